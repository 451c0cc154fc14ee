internal import Base
internal import Datapath
internal import DatapathAPI
internal import Flow
internal import Glibc
internal import Pipeline

/// Stages alone, in cycles: extraction by header shape and hashing over data that stays in the first-level cache, and upcalls (the
/// classifier's lookups are most of them) by number of rules, over packets of 10,000 flows.
enum Stages {
    static func run(wantsJSON: Bool) {
        let key = UnsafeMutablePointer<UInt64>.allocate(capacity: 40)
        defer { key.deallocate() }
        key.initialize(repeating: 0, count: 40)
        var sum: UInt64 = 0
        let rounds = 2_000_000
        for (name, frame) in shapes {
            let cycles = frame.withUnsafeBytes { bytes in
                time {
                    for _ in 0..<rounds {
                        let result = FlowExtractor.extract(packet: bytes.baseAddress!, length: bytes.count, inPort: 1, into: key)
                        sum &+= key[4] &+ UInt64(result.lineBits)
                    }
                }
            }
            show("extract-\(name)", cycles / Double(rounds), wantsJSON)
        }
        let secrets = HashSecrets(seed: 1)
        let words = UnsafeMutablePointer<UInt64>.allocate(capacity: 16)
        defer { words.deallocate() }
        for index in 0..<16 { words[index] = secrets.words[index] }
        let hashing = time {
            for round in 0..<rounds {
                key[3] = UInt64(truncatingIfNeeded: round)
                sum &+= KeyedHash.maskedLine(key, key + 8, words, 0)
            }
        }
        show("hash", hashing / Double(rounds), wantsJSON)
        if sum == 1 { print("") }
        for count in [10, 100, 1000, 10_000, 100_000] { upcalls(count, wantsJSON) }
    }

    /// A frame of each shape of headers.
    private static var shapes: [(String, [UInt8])] {
        let udp = Traffic.frame(1)
        var tcp = udp
        tcp[23] = 6
        tcp[46] = 0x50
        var icmp = udp
        icmp[23] = 1
        let vlan = Array(udp[..<12]) + [0x81, 0, 0, 5] + Array(udp[12...])
        let ipv6 =
            Array(udp[..<12]) + [0x86, 0xdd, 0x60, 0, 0, 0, 0, 8, 17, 64] + [UInt8](repeating: 1, count: 32) + [0, 1, 0, 2, 0, 8, 0, 0]
        let arp =
            [UInt8](repeating: 0xff, count: 6) + Array(udp[6..<12]) + [8, 6, 0, 1, 8, 0, 6, 4, 0, 1] + Array(udp[6..<12]) + [10, 0, 0, 1]
            + [UInt8](repeating: 0, count: 6) + [10, 0, 0, 2]
        return [("udp", udp), ("tcp", tcp), ("icmp", icmp), ("vlan-udp", vlan), ("ipv6-udp", ipv6), ("arp", arp)]
    }

    /// Translations by the pipeline under so many rules of an access list.
    private static func upcalls(_ rules: Int, _ wantsJSON: Bool) {
        guard let pipeline = try? ApusBench.makePipeline(Workload.accessList(rules), clock: Clock()) else { return }
        let keys = (0..<10_000).map { FlowKey(packet: Traffic.frame($0), inPort: 1) }
        var translation = Translation()
        let empty = UnsafeRawBufferPointer(start: nil, count: 0)
        for key in keys.prefix(1000) { pipeline.translate(key, packet: empty, hasSideEffects: false, into: &translation) }
        let cycles = time {
            for key in keys { pipeline.translate(key, packet: empty, hasSideEffects: false, into: &translation) }
        }
        show("upcall-\(rules)", cycles / Double(keys.count), wantsJSON)
    }

    /// Cycles.
    private static func time(_ body: () -> Void) -> Double {
        let clock = Clock()
        let start = clock.now.nanoseconds
        body()
        return Double(clock.now.nanoseconds - start) * Double(Datapath.cyclesPerSecond) / 1e9
    }

    private static func show(_ name: String, _ cycles: Double, _ wantsJSON: Bool) {
        let value = ApusBench.fixed(cycles, 1)
        print(wantsJSON ? "{\"name\":\"stage-\(name)\",\"cycles\":\(value)}" : "stage \(name): \(value) cycles")
        fflush(nil)
    }
}
