// Network byte order on raw memory.
//
// This is the bottom of the packet layer. Each protocol has one file with the same order: field offsets, a *view* over
// bytes that is checked once when it is made and cannot fail afterwards, and a *value* that emits itself into a
// `PacketBuilder`. Views are for input from outside; values are for what we build (tests, packet-out, tracing).
// The fast path uses neither: `Flow.FlowExtractor` reads the same offsets in one pass.

extension UnsafeRawBufferPointer {
    /// The big-endian number at `offset`. The view that calls this has checked the length.
    @inlinable func big16(_ offset: Int) -> UInt16 { UInt16(bigEndian: loadUnaligned(fromByteOffset: offset, as: UInt16.self)) }
    @inlinable func big32(_ offset: Int) -> UInt32 { UInt32(bigEndian: loadUnaligned(fromByteOffset: offset, as: UInt32.self)) }
    @inlinable func big64(_ offset: Int) -> UInt64 { UInt64(bigEndian: loadUnaligned(fromByteOffset: offset, as: UInt64.self)) }
    @inlinable func big48(_ offset: Int) -> UInt64 { UInt64(big16(offset)) << 32 | UInt64(big32(offset + 2)) }
    @inlinable func big128(_ offset: Int) -> UInt128 { UInt128(big64(offset)) << 64 | UInt128(big64(offset + 8)) }
    /// The bytes from `offset` on, up to `end`.
    @inlinable func slice(_ offset: Int, _ end: Int? = nil) -> UnsafeRawBufferPointer {
        UnsafeRawBufferPointer(rebasing: self[offset..<(end ?? count)])
    }
}

/// A growing packet: values append themselves to it, outermost header first.
///
/// Lengths and checksums that depend on what follows are filled in by `finish` functions of the protocols, which know
/// the offset their header began at.
public struct PacketBuilder: Sendable {
    public var bytes: [UInt8] = []
    public init() {}
    public var count: Int { bytes.count }

    public mutating func append(_ value: UInt8) { bytes.append(value) }
    public mutating func append(_ value: UInt16) {
        bytes.append(UInt8(truncatingIfNeeded: value >> 8))
        bytes.append(UInt8(truncatingIfNeeded: value))
    }
    public mutating func append(_ value: UInt32) {
        append(UInt16(truncatingIfNeeded: value >> 16))
        append(UInt16(truncatingIfNeeded: value))
    }
    public mutating func append(_ value: UInt64) {
        append(UInt32(truncatingIfNeeded: value >> 32))
        append(UInt32(truncatingIfNeeded: value))
    }
    public mutating func append(_ value: MACAddress) {
        append(UInt16(truncatingIfNeeded: value.rawValue >> 32))
        append(UInt32(truncatingIfNeeded: value.rawValue))
    }
    public mutating func append(_ value: IPv4Address) { append(value.rawValue) }
    public mutating func append(_ value: IPv6Address) {
        append(UInt64(truncatingIfNeeded: value.rawValue >> 64))
        append(UInt64(truncatingIfNeeded: value.rawValue))
    }
    public mutating func append(_ more: some Sequence<UInt8>) { bytes.append(contentsOf: more) }

    /// Overwrites two bytes at `offset`.
    public mutating func patch(_ value: UInt16, at offset: Int) {
        bytes[offset] = UInt8(truncatingIfNeeded: value >> 8)
        bytes[offset + 1] = UInt8(truncatingIfNeeded: value)
    }
    /// Overwrites four bytes at `offset`.
    public mutating func patch(_ value: UInt32, at offset: Int) {
        patch(UInt16(truncatingIfNeeded: value >> 16), at: offset)
        patch(UInt16(truncatingIfNeeded: value), at: offset + 2)
    }
    /// Appends zeros up to a length; Ethernet's minimum is 60 without the frame check sequence.
    public mutating func pad(to length: Int) {
        while bytes.count < length { bytes.append(0) }
    }
}
