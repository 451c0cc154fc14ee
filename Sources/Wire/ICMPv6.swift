// ICMPv6 (RFC 4443) and neighbour discovery (RFC 4861).

/// A checked view of a neighbour solicitation or advertisement.
public struct NeighborView {
    public let bytes: UnsafeRawBufferPointer
    /// Options looked at.
    public static var optionLimit: Int { 16 }

    /// Nil unless type is 135 or 136, code 0, and the target address is there.
    public init?(_ bytes: UnsafeRawBufferPointer) {
        guard bytes.count >= 24, bytes[0] == 135 || bytes[0] == 136, bytes[1] == 0 else { return nil }
        self.bytes = bytes
    }
    public var isSolicitation: Bool { bytes[0] == 135 }
    public var reserved: UInt32 { bytes.big32(4) }
    public var target: IPv6Address { IPv6Address(bytes.big128(8)) }

    /// The link-layer address of the first option of `kind` (1 source, 2 target).
    public func linkLayerAddress(kind: UInt8) -> MACAddress? {
        var at = 24
        for _ in 0..<NeighborView.optionLimit {
            guard bytes.count - at >= 8 else { return nil }
            let length = Int(bytes[at + 1]) * 8
            guard length > 0, length <= bytes.count - at else { return nil }
            if bytes[at] == kind, length == 8 { return MACAddress(bytes.big48(at + 2)) }
            at += length
        }
        return nil
    }
}

/// A neighbour solicitation or advertisement.
public struct NeighborMessage: Equatable, Sendable {
    public var isSolicitation: Bool
    public var target: IPv6Address
    public var reserved: UInt32 = 0
    public var sourceLinkLayer: MACAddress?
    public var targetLinkLayer: MACAddress?
    public init(isSolicitation: Bool, target: IPv6Address, sourceLinkLayer: MACAddress? = nil, targetLinkLayer: MACAddress? = nil) {
        self.isSolicitation = isSolicitation
        self.target = target
        self.sourceLinkLayer = sourceLinkLayer
        self.targetLinkLayer = targetLinkLayer
    }
    /// Appends the message; `TransportChecksum.finish` must be called afterwards.
    /// - Returns: the offset of the message.
    public func emit(into packet: inout PacketBuilder) -> Int {
        let start = ICMPHeader(type: isSolicitation ? 135 : 136, rest: reserved).emit(into: &packet)
        packet.append(target)
        if let sourceLinkLayer {
            packet.append(UInt16(0x0101))
            packet.append(sourceLinkLayer)
        }
        if let targetLinkLayer {
            packet.append(UInt16(0x0201))
            packet.append(targetLinkLayer)
        }
        return start
    }
}
