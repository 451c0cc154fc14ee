// SCTP's common header (RFC 9260).

/// An SCTP common header.
public struct SCTPHeader: Equatable, Sendable {
    public var source: UInt16
    public var destination: UInt16
    public var verificationTag: UInt32 = 0
    public init(source: UInt16, destination: UInt16) {
        self.source = source
        self.destination = destination
    }
    /// Appends the header; `TransportChecksum.finish` must be called when the payload is there.
    /// - Returns: the offset of the header.
    public func emit(into packet: inout PacketBuilder) -> Int {
        let start = packet.count
        packet.append(source)
        packet.append(destination)
        packet.append(verificationTag)
        packet.append(UInt32(0))
        return start
    }
}
