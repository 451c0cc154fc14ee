internal import Base
internal import Flow
internal import Glibc

/// Stages alone, over data that stays in the first-level cache.
enum Stages {
    static func run(wantsJSON: Bool) {
        let frames = (0..<32).map { Traffic.frame($0) }
        let size = frames[0].count
        let packets = UnsafeMutableRawPointer.allocate(byteCount: 32 * 128, alignment: 64)
        defer { packets.deallocate() }
        for (index, frame) in frames.enumerated() { (packets + index * 128).copyMemory(from: frame, byteCount: size) }
        let key = UnsafeMutablePointer<UInt64>.allocate(capacity: 40)
        defer { key.deallocate() }
        key.initialize(repeating: 0, count: 40)
        let secrets = HashSecrets(seed: 1)
        let words = UnsafeMutablePointer<UInt64>.allocate(capacity: 16)
        defer { words.deallocate() }
        for index in 0..<16 { words[index] = secrets.words[index] }
        let rounds = 2_000_000

        var sum: UInt64 = 0
        let extracting = time {
            for round in 0..<rounds {
                let result = FlowExtractor.extract(packet: packets + (round & 31) &* 128, length: size, inPort: 1, into: key)
                sum &+= key[4] &+ UInt64(result.lineBits)
            }
        }
        show("extract", extracting / Double(rounds), wantsJSON)
        let hashing = time {
            for round in 0..<rounds {
                key[3] = UInt64(truncatingIfNeeded: round)
                sum &+= KeyedHash.maskedLine(key, key + 8, words, 0)
            }
        }
        show("hash", hashing / Double(rounds), wantsJSON)
        if sum == 1 { print("") }
    }

    private static func time(_ body: () -> Void) -> Double {
        let clock = Clock()
        let start = clock.now.nanoseconds
        body()
        return Double(clock.now.nanoseconds - start)
    }

    private static func show(_ name: String, _ nanoseconds: Double, _ wantsJSON: Bool) {
        let value = ApusBench.fixed(nanoseconds, 2)
        print(wantsJSON ? "{\"name\":\"stage-\(name)\",\"nanoseconds\":\(value)}" : "stage \(name): \(value) ns a packet")
    }
}
