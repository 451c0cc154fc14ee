// ICMP (RFC 792) and, with the same first eight bytes, IGMP.

/// A checked view of an ICMP message.
public struct ICMPView {
    public let bytes: UnsafeRawBufferPointer
    /// Nil if there are fewer than 8 bytes.
    public init?(_ bytes: UnsafeRawBufferPointer) {
        guard bytes.count >= 8 else { return nil }
        self.bytes = bytes
    }
    public var type: UInt8 { bytes[0] }
    public var code: UInt8 { bytes[1] }
    public var checksum: UInt16 { bytes.big16(2) }
    /// The four bytes after the checksum: identifier and sequence number of an echo.
    public var rest: UInt32 { bytes.big32(4) }
    public var payload: UnsafeRawBufferPointer { bytes.slice(8) }
}

/// The first eight bytes of an ICMP or ICMPv6 message.
public struct ICMPHeader: Equatable, Sendable {
    public var type: UInt8
    public var code: UInt8
    public var rest: UInt32
    public init(type: UInt8, code: UInt8 = 0, rest: UInt32 = 0) {
        self.type = type
        self.code = code
        self.rest = rest
    }
    /// Appends the header; `TransportChecksum.finish` must be called when the payload is there.
    /// - Returns: the offset of the header.
    public func emit(into packet: inout PacketBuilder) -> Int {
        let start = packet.count
        packet.append(type)
        packet.append(code)
        packet.append(UInt16(0))
        packet.append(rest)
        return start
    }
}
