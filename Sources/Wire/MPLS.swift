// MPLS label stack entries (RFC 3032).

/// One label stack entry.
public struct MPLSEntry: RawRepresentable, Hashable, Sendable {
    /// Label 20 bits, traffic class 3, bottom of stack 1, TTL 8.
    public var rawValue: UInt32
    @inlinable public init(rawValue: UInt32) { self.rawValue = rawValue }
    @inlinable public init(label: UInt32, trafficClass: UInt8 = 0, isBottom: Bool, ttl: UInt8 = 64) {
        rawValue = (label & 0xf_ffff) << 12 | UInt32(trafficClass & 7) << 9 | (isBottom ? 0x100 : 0) | UInt32(ttl)
    }
    @inlinable public var label: UInt32 { rawValue >> 12 }
    @inlinable public var trafficClass: UInt8 { UInt8(truncatingIfNeeded: rawValue >> 9) & 7 }
    @inlinable public var isBottom: Bool { rawValue & 0x100 != 0 }
    @inlinable public var ttl: UInt8 { UInt8(truncatingIfNeeded: rawValue) }
    public func emit(into packet: inout PacketBuilder) { packet.append(rawValue) }
}
