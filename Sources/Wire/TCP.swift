// TCP (RFC 9293).

/// TCP flag bits in the 12-bit field: the low nine are NS, CWR, ECE, URG, ACK, PSH, RST, SYN, FIN.
public enum TCPFlags {
    @inlinable public static var fin: UInt16 { 0x001 }
    @inlinable public static var syn: UInt16 { 0x002 }
    @inlinable public static var rst: UInt16 { 0x004 }
    @inlinable public static var psh: UInt16 { 0x008 }
    @inlinable public static var ack: UInt16 { 0x010 }
    @inlinable public static var urg: UInt16 { 0x020 }
    @inlinable public static var ece: UInt16 { 0x040 }
    @inlinable public static var cwr: UInt16 { 0x080 }
    @inlinable public static var ns: UInt16 { 0x100 }
}

/// A checked view of a TCP segment.
public struct TCPView {
    public let bytes: UnsafeRawBufferPointer
    /// Nil if there is no whole header, or its data offset is wrong.
    public init?(_ bytes: UnsafeRawBufferPointer) {
        guard bytes.count >= 20 else { return nil }
        let header = Int(bytes[12] >> 4) * 4
        guard header >= 20, header <= bytes.count else { return nil }
        self.bytes = bytes
    }
    public var source: UInt16 { bytes.big16(0) }
    public var destination: UInt16 { bytes.big16(2) }
    public var sequence: UInt32 { bytes.big32(4) }
    public var acknowledgment: UInt32 { bytes.big32(8) }
    public var headerLength: Int { Int(bytes[12] >> 4) * 4 }
    public var flags: UInt16 { bytes.big16(12) & 0x0fff }
    public var window: UInt16 { bytes.big16(14) }
    public var checksum: UInt16 { bytes.big16(16) }
    public var payload: UnsafeRawBufferPointer { bytes.slice(headerLength) }
}

/// A TCP header without options.
public struct TCPHeader: Equatable, Sendable {
    public var source: UInt16
    public var destination: UInt16
    public var sequence: UInt32 = 0
    public var acknowledgment: UInt32 = 0
    public var flags: UInt16 = 0
    public var window: UInt16 = 0xffff
    public init(source: UInt16, destination: UInt16, flags: UInt16 = 0) {
        self.source = source
        self.destination = destination
        self.flags = flags
    }
    /// Appends the header; `TransportChecksum.finish` must be called when the payload is there.
    /// - Returns: the offset of the header.
    public func emit(into packet: inout PacketBuilder) -> Int {
        let start = packet.count
        packet.append(source)
        packet.append(destination)
        packet.append(sequence)
        packet.append(acknowledgment)
        packet.append(UInt16(5) << 12 | flags & 0x0fff)
        packet.append(window)
        packet.append(UInt32(0))
        return start
    }
}
