// Capture files: the classic pcap format, both byte orders, microseconds and nanoseconds.

/// Why bytes are not a capture.
public enum PCAPError: Error, Equatable, CustomStringConvertible {
    case badMagic(UInt32)
    case truncated(offset: Int)
    case recordTooLong(offset: Int, length: UInt32)

    public var description: String {
        switch self {
        case .badMagic(let magic): "0x\(String(magic, radix: 16)) is not a pcap file's magic number; 0xa1b2c3d4 or 0xa1b23c4d would be"
        case .truncated(let offset): "the capture ends in the middle of a record or header at byte \(offset)"
        case .recordTooLong(let offset, let length):
            "the record at byte \(offset) says \(length) bytes; at most \(PCAP.maximumRecordLength) are allowed"
        }
    }
}

/// A capture in memory.
public struct PCAP: Equatable, Sendable {
    /// One captured packet.
    public struct Record: Equatable, Sendable {
        /// Since 1970.
        public var nanoseconds: UInt64
        public var bytes: [UInt8]
        /// Length on the wire, at least `bytes.count`.
        public var originalLength: Int
        public init(nanoseconds: UInt64, bytes: [UInt8], originalLength: Int? = nil) {
            self.nanoseconds = nanoseconds
            self.bytes = bytes
            self.originalLength = originalLength ?? bytes.count
        }
    }
    /// Longest record read or written, what other tools take as snap length.
    public static var maximumRecordLength: Int { 262_144 }
    public var records: [Record]
    public init(records: [Record] = []) { self.records = records }

    /// Parses a file's bytes.
    public init(parsing file: [UInt8]) throws(PCAPError) {
        records = []
        func number(_ offset: Int, swapped: Bool) -> UInt32 {
            let value =
                UInt32(file[offset]) | UInt32(file[offset + 1]) << 8 | UInt32(file[offset + 2]) << 16 | UInt32(file[offset + 3]) << 24
            return swapped ? value.byteSwapped : value
        }
        guard file.count >= 24 else { throw .truncated(offset: 0) }
        var swapped = false
        var scale: UInt64 = 1000
        switch number(0, swapped: false) {
        case 0xa1b2_c3d4: break
        case 0xa1b2_3c4d: scale = 1
        case 0xd4c3_b2a1: swapped = true
        case 0x4d3c_b2a1:
            swapped = true
            scale = 1
        case let other: throw .badMagic(other)
        }
        var at = 24
        while at < file.count {
            guard file.count - at >= 16 else { throw .truncated(offset: at) }
            let length = number(at + 8, swapped: swapped)
            guard length <= PCAP.maximumRecordLength else { throw .recordTooLong(offset: at, length: length) }
            guard file.count - at - 16 >= Int(length) else { throw .truncated(offset: at) }
            let time = UInt64(number(at, swapped: swapped)) * 1_000_000_000 + UInt64(number(at + 4, swapped: swapped)) * scale
            records.append(
                Record(
                    nanoseconds: time, bytes: Array(file[at + 16..<at + 16 + Int(length)]),
                    originalLength: Int(number(at + 12, swapped: swapped))))
            at += 16 + Int(length)
        }
    }

    /// The file's bytes: little-endian, nanoseconds, Ethernet.
    public func serialized() -> [UInt8] {
        var file: [UInt8] = []
        func append(_ value: UInt32) {
            for shift in [0, 8, 16, 24] as [UInt32] { file.append(UInt8(truncatingIfNeeded: value >> shift)) }
        }
        append(0xa1b2_3c4d)
        append(4 << 16 | 2)
        append(0)
        append(0)
        append(UInt32(PCAP.maximumRecordLength))
        append(1)
        for record in records {
            append(UInt32(truncatingIfNeeded: record.nanoseconds / 1_000_000_000))
            append(UInt32(truncatingIfNeeded: record.nanoseconds % 1_000_000_000))
            append(UInt32(record.bytes.count))
            append(UInt32(truncatingIfNeeded: record.originalLength))
            file += record.bytes
        }
        return file
    }
}
