// The internet checksum (RFC 1071), its incremental update (RFC 1624), and SCTP's CRC32c (RFC 9260 appendix A).

/// The internet checksum over raw memory. Static functions without allocation: usable on the fast path.
public enum InternetChecksum {
    /// The unfolded sum of `count` bytes as 16-bit words in memory order; an odd last byte counts as a word with a zero after it.
    /// Sums of pieces that begin at even offsets may be added up before `finish`.
    @_noLocks @inlinable
    public static func sum(_ start: UnsafeRawPointer, count: Int) -> UInt64 {
        var total: UInt64 = 0
        var at = 0
        while count &- at >= 4 {
            total &+= UInt64(start.loadUnaligned(fromByteOffset: at, as: UInt32.self))
            at &+= 4
        }
        if count &- at >= 2 {
            total &+= UInt64(start.loadUnaligned(fromByteOffset: at, as: UInt16.self))
            at &+= 2
        }
        if at < count { total &+= UInt64(start.load(fromByteOffset: at, as: UInt8.self)) }
        return total
    }

    /// Folds a sum to the checksum, in memory order: store it as it is.
    @_noLocks @inlinable
    public static func finish(_ sum: UInt64) -> UInt16 {
        var folded = (sum & 0xffff_ffff) &+ (sum >> 32)
        folded = (folded & 0xffff_ffff) &+ (folded >> 32)
        folded = (folded & 0xffff) &+ (folded >> 16)
        folded = (folded & 0xffff) &+ (folded >> 16)
        return ~UInt16(truncatingIfNeeded: folded)
    }

    /// The checksum after a 32-bit piece at an even offset changed (RFC 1624 equation 3). All values in memory order.
    @_noLocks @inlinable
    public static func updated(_ checksum: UInt16, old: UInt32, new: UInt32) -> UInt16 {
        finish(UInt64(~checksum) &+ UInt64(~old) &+ UInt64(new))
    }

    /// The sum of IPv4's pseudo header: addresses in memory order, `length` of the L4 part in host order.
    @_noLocks @inlinable
    public static func pseudoHeaderSum(source: UInt32, destination: UInt32, protocol proto: UInt8, length: Int) -> UInt64 {
        UInt64(source) &+ UInt64(destination) &+ UInt64(proto) << 8 &+ UInt64(UInt32(truncatingIfNeeded: length).bigEndian)
    }

    /// The sum of IPv6's pseudo header; `addresses` points at source and destination, 32 bytes.
    @_noLocks @inlinable
    public static func pseudoHeaderSum(addresses: UnsafeRawPointer, protocol proto: UInt8, length: Int) -> UInt64 {
        sum(addresses, count: 32) &+ UInt64(proto) << 8 &+ UInt64(UInt32(truncatingIfNeeded: length).bigEndian)
    }

    /// The checksum of `bytes`, as a number (host order).
    public static func of(_ bytes: some Sequence<UInt8>) -> UInt16 {
        let copy = Array(bytes)
        return copy.withUnsafeBytes { buffer in
            UInt16(bigEndian: finish(buffer.isEmpty ? 0 : sum(buffer.baseAddress!, count: buffer.count)))
        }
    }
}

/// CRC-32C (Castagnoli), four bits at a time: the table is a switch over constants, which becomes read-only data, where an
/// array would be a lazily initialised global. SCTP packets are rewritten rarely.
public enum CRC32C {
    /// The checksum of `count` bytes with four bytes at `zeroedAt` (or none) taken as zero; host order.
    /// SCTP stores it little-endian (RFC 9260 appendix A): `checksum.littleEndian` as it is in memory.
    @_noLocks
    public static func of(_ start: UnsafeRawPointer, count: Int, zeroedAt: Int = -4) -> UInt32 {
        var crc: UInt32 = ~0
        var at = 0
        while at < count {
            let isZeroed = at >= zeroedAt && at < zeroedAt &+ 4
            crc = step(crc ^ (isZeroed ? 0 : UInt32(start.load(fromByteOffset: at, as: UInt8.self))))
            at &+= 1
        }
        return ~crc
    }

    /// What a message's checksum changes by (xor) when its first four bytes change by `difference` (xor, memory order):
    /// the code is linear. `count` is the length of the message.
    @_noLocks
    public static func change(difference: UInt32, count: Int) -> UInt32 {
        var crc: UInt32 = 0
        var at = 0
        while at < count {
            let byte = at < 4 ? (difference >> UInt32(truncatingIfNeeded: at &* 8)) & 0xff : 0
            crc = step(crc ^ byte)
            at &+= 1
        }
        return crc
    }

    @_noLocks @inline(__always)
    private static func step(_ crc: UInt32) -> UInt32 {
        let once = (crc >> 4) ^ nibble(crc & 15)
        return (once >> 4) ^ nibble(once & 15)
    }

    @_noLocks @inline(__always)
    private static func nibble(_ value: UInt32) -> UInt32 {
        switch value {
        case 0: 0
        case 1: 0x105e_c76f
        case 2: 0x20bd_8ede
        case 3: 0x30e3_49b1
        case 4: 0x417b_1dbc
        case 5: 0x5125_dad3
        case 6: 0x61c6_9362
        case 7: 0x7198_540d
        case 8: 0x82f6_3b78
        case 9: 0x92a8_fc17
        case 10: 0xa24b_b5a6
        case 11: 0xb215_72c9
        case 12: 0xc38d_26c4
        case 13: 0xd3d3_e1ab
        case 14: 0xe330_a81a
        default: 0xf36e_6f75
        }
    }
}
