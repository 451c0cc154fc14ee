// UDP (RFC 768).

/// A checked view of a UDP datagram.
public struct UDPView {
    public let bytes: UnsafeRawBufferPointer
    /// Nil if there is no whole header, or its length is wrong.
    public init?(_ bytes: UnsafeRawBufferPointer) {
        guard bytes.count >= 8 else { return nil }
        let length = Int(bytes.big16(4))
        guard length >= 8, length <= bytes.count else { return nil }
        self.bytes = bytes
    }
    public var source: UInt16 { bytes.big16(0) }
    public var destination: UInt16 { bytes.big16(2) }
    public var length: Int { Int(bytes.big16(4)) }
    public var checksum: UInt16 { bytes.big16(6) }
    public var payload: UnsafeRawBufferPointer { bytes.slice(8, length) }
}

/// A UDP header.
public struct UDPHeader: Equatable, Sendable {
    public var source: UInt16
    public var destination: UInt16
    public init(source: UInt16, destination: UInt16) {
        self.source = source
        self.destination = destination
    }
    /// Appends the header; `TransportChecksum.finish` must be called when the payload is there (it fills in the length too).
    /// - Returns: the offset of the header.
    public func emit(into packet: inout PacketBuilder) -> Int {
        let start = packet.count
        packet.append(source)
        packet.append(destination)
        packet.append(UInt16(8))
        packet.append(UInt16(0))
        return start
    }
}
