internal import Glibc
internal import Wire

/// Captures for `net_pcap` to replay.
enum Traffic {
    /// 64-byte UDP frames (FCS counted) of `flows` flows, shuffled; at least 4,096 frames.
    static func write(flows: Int, to path: String) throws(BenchError) {
        var order = (0..<flows * max(1, 4096 / flows)).map { $0 % flows }
        var state: UInt64 = 7
        for index in order.indices.reversed() where index > 0 {
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            order.swapAt(index, Int(state >> 33) % (index + 1))
        }
        let capture = PCAP(records: order.map { PCAP.Record(nanoseconds: 0, bytes: frame($0)) })
        let bytes = capture.serialized()
        guard let file = fopen(path, "wb") else { throw BenchError("\(path) cannot be written: \(String(cString: strerror(errno)))") }
        defer { fclose(file) }
        guard fwrite(bytes, 1, bytes.count, file) == bytes.count else { throw BenchError("\(path) could not be written whole") }
    }

    private static func big(_ value: UInt64, _ count: Int) -> [UInt8] {
        (0..<count).map { UInt8(truncatingIfNeeded: value >> UInt64(8 * (count - 1 - $0))) }
    }

    static func frame(_ flow: Int) -> [UInt8] {
        let source = UInt64(0x0a00_0000 | flow & 0xff_ffff)
        let destination = UInt64(0x0b00_0000 | flow &* 7919 & 0xff_ffff)
        var frame = big(0x02_0000_0000_02, 6) + big(0x02_0000_0000_01, 6) + [8, 0]
        frame += [0x45, 0] + big(46, 2) + big(0, 4) + [64, 17, 0, 0] + big(source, 4) + big(destination, 4)
        frame += big(UInt64(1024 + flow % 60000), 2) + big(UInt64(2000 + flow &* 31 % 50000), 2) + big(26, 2) + [0, 0]
        return frame + [UInt8](repeating: 0, count: 60 - frame.count)
    }
}

/// Why a benchmark could not run.
struct BenchError: Error, CustomStringConvertible {
    let description: String
    init(_ description: String) { self.description = description }
}
