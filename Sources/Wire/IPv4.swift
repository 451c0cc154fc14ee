// IPv4 (RFC 791).

/// IP protocol numbers by name.
public enum IPProtocol {
    @inlinable public static var hopByHop: UInt8 { 0 }
    @inlinable public static var icmp: UInt8 { 1 }
    @inlinable public static var igmp: UInt8 { 2 }
    @inlinable public static var tcp: UInt8 { 6 }
    @inlinable public static var udp: UInt8 { 17 }
    @inlinable public static var routing: UInt8 { 43 }
    @inlinable public static var fragment: UInt8 { 44 }
    @inlinable public static var authentication: UInt8 { 51 }
    @inlinable public static var icmpv6: UInt8 { 58 }
    @inlinable public static var noNextHeader: UInt8 { 59 }
    @inlinable public static var destinationOptions: UInt8 { 60 }
    @inlinable public static var sctp: UInt8 { 132 }
}

/// A checked view of an IPv4 packet.
public struct IPv4View {
    public let bytes: UnsafeRawBufferPointer

    /// Nil unless version, header length and total length agree with each other and with `bytes`.
    public init?(_ bytes: UnsafeRawBufferPointer) {
        guard bytes.count >= 20, bytes[0] >> 4 == 4 else { return nil }
        let header = Int(bytes[0] & 15) * 4
        let total = Int(bytes.big16(2))
        guard header >= 20, header <= total, total <= bytes.count else { return nil }
        self.bytes = bytes
    }
    public var headerLength: Int { Int(bytes[0] & 15) * 4 }
    public var totalLength: Int { Int(bytes.big16(2)) }
    public var tos: UInt8 { bytes[1] }
    public var identification: UInt16 { bytes.big16(4) }
    public var doNotFragment: Bool { bytes[6] & 0x40 != 0 }
    public var moreFragments: Bool { bytes[6] & 0x20 != 0 }
    /// In bytes.
    public var fragmentOffset: Int { Int(bytes.big16(6) & 0x1fff) * 8 }
    public var ttl: UInt8 { bytes[8] }
    public var proto: UInt8 { bytes[9] }
    public var checksum: UInt16 { bytes.big16(10) }
    public var source: IPv4Address { IPv4Address(bytes.big32(12)) }
    public var destination: IPv4Address { IPv4Address(bytes.big32(16)) }
    /// What the total length covers behind the header; frame padding is not part of it.
    public var payload: UnsafeRawBufferPointer { bytes.slice(headerLength, totalLength) }
    /// Whether the header's checksum is right.
    public var isChecksumValid: Bool { InternetChecksum.finish(InternetChecksum.sum(bytes.baseAddress!, count: headerLength)) == 0 }
}

/// An IPv4 header without or with options.
public struct IPv4Header: Equatable, Sendable {
    public var source: IPv4Address
    public var destination: IPv4Address
    public var proto: UInt8
    public var tos: UInt8 = 0
    public var ttl: UInt8 = 64
    public var identification: UInt16 = 0
    /// The 16 bits of flags and fragment offset: 0x4000 do not fragment, 0x2000 more fragments, offset in units of 8 bytes.
    public var fragment: UInt16 = 0
    /// A multiple of 4 bytes, at most 40.
    public var options: [UInt8] = []

    public init(source: IPv4Address, destination: IPv4Address, proto: UInt8) {
        self.source = source
        self.destination = destination
        self.proto = proto
    }

    /// Appends the header; `finish` must be called when the payload is there.
    /// - Returns: the offset of the header.
    public func emit(into packet: inout PacketBuilder) -> Int {
        precondition(options.count % 4 == 0 && options.count <= 40, "IPv4 options come in words, at most ten")
        let start = packet.count
        packet.append(UInt8(0x45 + options.count / 4))
        packet.append(tos)
        packet.append(UInt16(0))
        packet.append(identification)
        packet.append(fragment)
        packet.append(ttl)
        packet.append(proto)
        packet.append(UInt16(0))
        packet.append(source)
        packet.append(destination)
        packet.append(options)
        return start
    }

    /// Fills in total length and checksum of the header at `start`, whose payload ends where `packet` does.
    public static func finish(_ packet: inout PacketBuilder, at start: Int) {
        let header = Int(packet.bytes[start] & 15) * 4
        packet.patch(UInt16(truncatingIfNeeded: packet.count - start), at: start + 2)
        packet.patch(UInt16(0), at: start + 10)
        packet.patch(InternetChecksum.of(packet.bytes[start..<start + header]), at: start + 10)
    }
}
