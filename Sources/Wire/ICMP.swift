// ICMP (RFC 792) and, with the same first eight bytes, IGMP.

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
