// SCTP's common header (RFC 9260).

/// A checked view of an SCTP packet.
public struct SCTPView {
    public let bytes: UnsafeRawBufferPointer
    /// Nil if there are fewer than 12 bytes.
    public init?(_ bytes: UnsafeRawBufferPointer) {
        guard bytes.count >= 12 else { return nil }
        self.bytes = bytes
    }
    public var source: UInt16 { bytes.big16(0) }
    public var destination: UInt16 { bytes.big16(2) }
    public var verificationTag: UInt32 { bytes.big32(4) }
    /// CRC32c as a number.
    public var checksum: UInt32 { bytes.big32(8).byteSwapped }
    public var payload: UnsafeRawBufferPointer { bytes.slice(12) }
}

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
