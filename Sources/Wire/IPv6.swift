// IPv6 and its extension headers (RFC 8200, RFC 4302).

/// A checked view of an IPv6 packet.
public struct IPv6View {
    public let bytes: UnsafeRawBufferPointer
    public static var headerLength: Int { 40 }

    /// Nil unless version and payload length agree with `bytes`.
    public init?(_ bytes: UnsafeRawBufferPointer) {
        guard bytes.count >= 40, bytes[0] >> 4 == 6, 40 + Int(bytes.big16(4)) <= bytes.count else { return nil }
        self.bytes = bytes
    }
    public var trafficClass: UInt8 { UInt8(truncatingIfNeeded: bytes.big16(0) >> 4) }
    public var flowLabel: UInt32 { bytes.big32(0) & 0x000f_ffff }
    public var payloadLength: Int { Int(bytes.big16(4)) }
    public var nextHeader: UInt8 { bytes[6] }
    public var hopLimit: UInt8 { bytes[7] }
    public var source: IPv6Address { IPv6Address(bytes.big128(8)) }
    public var destination: IPv6Address { IPv6Address(bytes.big128(24)) }
    /// Extension headers and what follows, without frame padding.
    public var payload: UnsafeRawBufferPointer { bytes.slice(40, 40 + payloadLength) }
}

/// A checked view of one extension header.
public struct IPv6ExtensionView {
    public let bytes: UnsafeRawBufferPointer
    public let kind: UInt8

    /// Whether `proto` is an extension header that has a length and a next header.
    public static func isExtension(_ proto: UInt8) -> Bool {
        proto == IPProtocol.hopByHop || proto == IPProtocol.routing || proto == IPProtocol.fragment
            || proto == IPProtocol.authentication || proto == IPProtocol.destinationOptions
    }

    /// Nil if `kind` is no extension header or its length exceeds `bytes`.
    public init?(_ bytes: UnsafeRawBufferPointer, kind: UInt8) {
        guard IPv6ExtensionView.isExtension(kind), bytes.count >= 8 else { return nil }
        self.bytes = bytes
        self.kind = kind
        guard length <= bytes.count else { return nil }
    }
    public var nextHeader: UInt8 { bytes[0] }
    public var length: Int {
        switch kind {
        case IPProtocol.fragment: 8
        case IPProtocol.authentication: (Int(bytes[1]) + 2) * 4
        default: (Int(bytes[1]) + 1) * 8
        }
    }
    /// Of a fragment header: offset in bytes.
    public var fragmentOffset: Int { Int(bytes.big16(2) & 0xfff8) }
    public var moreFragments: Bool { bytes[3] & 1 != 0 }
    public var payload: UnsafeRawBufferPointer { bytes.slice(length) }
}

/// An IPv6 header.
public struct IPv6Header: Equatable, Sendable {
    public var source: IPv6Address
    public var destination: IPv6Address
    public var nextHeader: UInt8
    public var trafficClass: UInt8 = 0
    /// 20 bits.
    public var flowLabel: UInt32 = 0
    public var hopLimit: UInt8 = 64

    public init(source: IPv6Address, destination: IPv6Address, nextHeader: UInt8) {
        self.source = source
        self.destination = destination
        self.nextHeader = nextHeader
    }

    /// Appends the header; `finish` must be called when the payload is there.
    /// - Returns: the offset of the header.
    public func emit(into packet: inout PacketBuilder) -> Int {
        let start = packet.count
        packet.append(UInt32(6) << 28 | UInt32(trafficClass) << 20 | flowLabel & 0x000f_ffff)
        packet.append(UInt16(0))
        packet.append(nextHeader)
        packet.append(hopLimit)
        packet.append(source)
        packet.append(destination)
        return start
    }

    /// Fills in the payload length of the header at `start`.
    public static func finish(_ packet: inout PacketBuilder, at start: Int) {
        packet.patch(UInt16(truncatingIfNeeded: packet.count - start - 40), at: start + 4)
    }

    /// Appends a fragment header. `offset` is a multiple of 8 bytes.
    public static func emitFragment(nextHeader: UInt8, offset: UInt16, more: Bool, identification: UInt32, into packet: inout PacketBuilder)
    {
        packet.append(nextHeader)
        packet.append(UInt8(0))
        packet.append(offset & 0xfff8 | (more ? 1 : 0))
        packet.append(identification)
    }

    /// Appends a hop-by-hop, routing or destination options header of `units` times 8 bytes, filled with padding options.
    public static func emitOptions(nextHeader: UInt8, units: Int = 1, into packet: inout PacketBuilder) {
        packet.append(nextHeader)
        packet.append(UInt8(units - 1))
        packet.append(UInt8(1))
        packet.append(UInt8(truncatingIfNeeded: units * 8 - 4))
        packet.append(Array(repeating: UInt8(0), count: units * 8 - 4))
    }
}
