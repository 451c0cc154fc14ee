// The compact form of a match against the full one.

import Base
import Flow
import Testing

@Suite struct CompactMatchTests {
    @Test(arguments: [1, 2, 3] as [UInt64])
    func agreesWithTheFullForm(seed: UInt64) {
        var random = SplitMix64(seed: seed)
        for _ in 0..<200 {
            var full = Match()
            var compact = CompactMatch()
            for _ in 0..<1 + Int(random.next() % 8) {
                let field = Field.allCases[Int(random.next() % UInt64(Field.allCases.count))]
                let value = (UInt128(random.next()) << 64 | UInt128(random.next())) & field.layout.allOnes
                let mask: UInt128? =
                    random.next() % 2 == 0 ? nil : (UInt128(random.next()) << 64 | UInt128(random.next())) & field.layout.allOnes
                full.set(field, value, mask: mask)
                compact.set(field, value, mask: mask)
            }
            #expect(compact == CompactMatch(full))
            #expect(compact.match == full)
            for field in Field.allCases {
                #expect(compact.get(field).mask == full.get(field).mask)
                // Of a field that is wild the value is zero in both.
                #expect(compact.get(field).value == full.get(field).value & full.get(field).mask)
            }
        }
        #expect(CompactMatch() == CompactMatch(Match()))
    }
}
