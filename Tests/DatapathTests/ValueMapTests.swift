import Base
import Testing

@testable import Datapath

/// The map against the standard library's dictionary, under random insertions and removals that fill and empty it again and again.
@Suite struct ValueMapTests {
    @Test(arguments: [1, 2, 3] as [UInt64]) func agreesWithADictionary(seed: UInt64) {
        var random = SplitMix64(seed: seed)
        var map = ValueMap(secrets: (random.next() | 1, random.next() | 1))
        var reference: [UInt32: UInt32] = [:]
        for step in 0..<40_000 {
            // Values from few or many, so that runs of taken slots grow, wrap around and break.
            let value = UInt32(truncatingIfNeeded: random.next() % (step % 8_000 < 4_000 ? 3_000 : 40))
            let grows = step % 8_000 < 3_000
            let number = random.next() % 4 == 0 || !grows ? 0 : UInt32.random(in: 1...9, using: &random)
            map[value] = number
            reference[value] = number == 0 ? nil : number
            #expect(map[value] == number)
            #expect(map.count == reference.count)
            if step % 500 == 0 {
                for (value, number) in reference { #expect(map[value] == number) }
                #expect(map.numbers.sorted() == reference.values.sorted())
                #expect(map.contains { $0 == 7 } == (reference[7] != nil))
            }
        }
    }
}
