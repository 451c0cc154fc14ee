// Rewriting L3 and L4, where one change is many: a new address changes the IPv4 header's checksum and the transport's,
// whose pseudo header covers the addresses.

internal import Wire

extension PacketRewriter {
    /// Corrects the transport checksum for a change of a 32-bit (or, zero-extended, 16-bit) piece at an even offset.
    @_noLocks @inline(__always)
    private static func updateL4(
        _ packet: UnsafeMutableRawPointer, _ length: Int, _ headers: ExtractResult, old: UInt32, new: UInt32
    ) {
        let offset = Int(headers.l4Offset)
        guard offset != 0 else { return }
        switch headers.l4Protocol {
        case 6:
            guard length &- offset >= 20 else { return }
            store16(packet, offset &+ 16, InternetChecksum.updated(load16(packet, offset &+ 16), old: old, new: new))
        case 17:
            guard length &- offset >= 8 else { return }
            let checksum = load16(packet, offset &+ 6)
            guard checksum != 0 else { return }
            let updated = InternetChecksum.updated(checksum, old: old, new: new)
            store16(packet, offset &+ 6, updated == 0 ? 0xffff : updated)
        case 58:
            guard length &- offset >= 4 else { return }
            store16(packet, offset &+ 2, InternetChecksum.updated(load16(packet, offset &+ 2), old: old, new: new))
        default: break
        }
    }

    @_noLocks
    static func setIPv4Address(
        _ position: Int, _ value: UInt64, _ mask: UInt64, _ packet: UnsafeMutableRawPointer, _ length: Int, _ headers: ExtractResult
    ) -> Bool {
        guard isL3(0x0008, 20, packet, length, headers) else { return false }
        let offset = Int(headers.l3Offset)
        let old = load32(packet, offset &+ position)
        let new = merge32(old, value, mask)
        guard old != new else { return true }
        store32(packet, offset &+ position, new)
        store16(packet, offset &+ 10, InternetChecksum.updated(load16(packet, offset &+ 10), old: old, new: new))
        updateL4(packet, length, headers, old: old, new: new)
        return true
    }

    /// TOS byte of IPv4, traffic class of IPv6.
    @_noLocks
    static func setTOS(
        _ value: UInt64, _ mask: UInt64, _ packet: UnsafeMutableRawPointer, _ length: Int, _ headers: ExtractResult
    ) -> Bool {
        let offset = Int(headers.l3Offset)
        if isL3(0x0008, 20, packet, length, headers) {
            let old = load16(packet, offset)
            let new = merge16(old, value, mask)
            store16(packet, offset, new)
            store16(packet, offset &+ 10, InternetChecksum.updated(load16(packet, offset &+ 10), old: UInt32(old), new: UInt32(new)))
            return true
        }
        guard isL3(0xdd86, 40, packet, length, headers) else { return false }
        store16(packet, offset, merge16(load16(packet, offset), value << 4, mask << 4))
        return true
    }

    /// TTL of IPv4, hop limit of IPv6.
    @_noLocks
    static func setTTL(
        _ value: UInt64, _ mask: UInt64, _ packet: UnsafeMutableRawPointer, _ length: Int, _ headers: ExtractResult
    ) -> Bool {
        let offset = Int(headers.l3Offset)
        if isL3(0x0008, 20, packet, length, headers) {
            // TTL and protocol are one 16-bit word of the checksum.
            let old = load16(packet, offset &+ 8)
            let new = merge16(old, value << 8, mask << 8)
            store16(packet, offset &+ 8, new)
            store16(packet, offset &+ 10, InternetChecksum.updated(load16(packet, offset &+ 10), old: UInt32(old), new: UInt32(new)))
            return true
        }
        guard isL3(0xdd86, 40, packet, length, headers) else { return false }
        store16(packet, offset &+ 6, merge16(load16(packet, offset &+ 6), value, mask))
        return true
    }

    /// Writes the TTL of the IPv4 header at `offset`.
    @_noLocks
    static func setIPv4TTL(_ packet: UnsafeMutableRawPointer, _ offset: Int, _ ttl: UInt8) {
        let old = load16(packet, offset &+ 8)
        let new = merge16(old, UInt64(ttl) << 8, 0xff00)
        store16(packet, offset &+ 8, new)
        store16(packet, offset &+ 10, InternetChecksum.updated(load16(packet, offset &+ 10), old: UInt32(old), new: UInt32(new)))
    }

    /// The protocol of IPv4, or what IPv6 says follows when no extension header does.
    @_noLocks
    static func setProtocol(
        _ value: UInt64, _ mask: UInt64, _ packet: UnsafeMutableRawPointer, _ length: Int, _ headers: ExtractResult
    ) -> Bool {
        let offset = Int(headers.l3Offset)
        if isL3(0x0008, 20, packet, length, headers) {
            let old = load16(packet, offset &+ 8)
            let new = merge16(old, value, mask)
            store16(packet, offset &+ 8, new)
            store16(packet, offset &+ 10, InternetChecksum.updated(load16(packet, offset &+ 10), old: UInt32(old), new: UInt32(new)))
            // The pseudo header has the protocol in the low byte of a word.
            updateL4(packet, length, headers, old: UInt32(old & 0xff00), new: UInt32(new & 0xff00))
            return true
        }
        guard isL3(0xdd86, 40, packet, length, headers), headers.l4Offset == 0 || Int(headers.l4Offset) == offset &+ 40 else {
            return false
        }
        let old = load16(packet, offset &+ 6)
        let new = merge16(old, value << 8, mask << 8)
        store16(packet, offset &+ 6, new)
        updateL4(packet, length, headers, old: UInt32(old & 0xff) << 8, new: UInt32(new & 0xff) << 8)
        return true
    }

    @_noLocks
    static func setIPv6Address(
        _ position: Int, _ value: UInt128, _ mask: UInt128, _ packet: UnsafeMutableRawPointer, _ length: Int, _ headers: ExtractResult
    ) -> Bool {
        guard isL3(0xdd86, 40, packet, length, headers) else { return false }
        let coversChecksum = position == 8 || !headers.isSourceRouted
        var piece = 0
        while piece < 4 {
            let shift = UInt128(truncatingIfNeeded: (3 &- piece) &* 32)
            write(
                packet, Int(headers.l3Offset) &+ position &+ piece &* 4, UInt64(truncatingIfNeeded: value >> shift),
                UInt64(truncatingIfNeeded: mask >> shift), coversChecksum, length, headers)
            piece &+= 1
        }
        return true
    }

    /// Writes 32 bits that the transport checksum covers if `coversChecksum`.
    @_noLocks @inline(__always)
    private static func write(
        _ packet: UnsafeMutableRawPointer, _ offset: Int, _ value: UInt64, _ mask: UInt64, _ coversChecksum: Bool, _ length: Int,
        _ headers: ExtractResult
    ) {
        let old = load32(packet, offset)
        let new = merge32(old, value, mask)
        guard old != new else { return }
        store32(packet, offset, new)
        if coversChecksum { updateL4(packet, length, headers, old: old, new: new) }
    }

    @_noLocks
    static func setPort(
        _ field: Field, _ value: UInt64, _ mask: UInt64, _ packet: UnsafeMutableRawPointer, _ length: Int, _ headers: ExtractResult
    ) -> Bool {
        let offset = Int(headers.l4Offset)
        let wanted: UInt8
        switch field {
        case .tcpSrc, .tcpDst: wanted = 6
        case .udpSrc, .udpDst: wanted = 17
        default: wanted = 132
        }
        guard offset != 0, headers.l4Protocol == wanted, length &- offset >= 8 else { return false }
        let isSource: Bool
        switch field {
        case .tcpSrc, .udpSrc, .sctpSrc: isSource = true
        default: isSource = false
        }
        let position = isSource ? offset : offset &+ 2
        let old = load16(packet, position)
        let new = merge16(old, value, mask)
        guard old != new else { return true }
        store16(packet, position, new)
        if wanted == 132 {
            updateSCTP(packet, length, headers, difference: isSource ? UInt32(old ^ new) : UInt32(old ^ new) << 16)
        } else {
            updateL4(packet, length, headers, old: UInt32(old), new: UInt32(new))
        }
        return true
    }

    /// Corrects the CRC32c, which covers all of the SCTP packet; of a fragment it cannot be known, and is left.
    @_noLocks
    private static func updateSCTP(
        _ packet: UnsafeMutableRawPointer, _ length: Int, _ headers: ExtractResult, difference: UInt32
    ) {
        let l3 = Int(headers.l3Offset)
        let l4 = Int(headers.l4Offset)
        let end: Int
        if isL3(0x0008, 20, packet, length, headers) {
            guard load16(packet, l3 &+ 6) & 0xff3f == 0 else { return }
            end = l3 &+ Int(load16(packet, l3 &+ 2).byteSwapped)
        } else {
            end = l3 &+ 40 &+ Int(load16(packet, l3 &+ 4).byteSwapped)
        }
        guard end &- l4 >= 12, l4 &+ 12 <= length else { return }
        let change = CRC32C.change(difference: difference, count: end &- l4)
        store32(packet, l4 &+ 8, load32(packet, l4 &+ 8) ^ change)
    }

    @_noLocks
    static func setICMP(
        _ field: Field, _ value: UInt64, _ mask: UInt64, _ packet: UnsafeMutableRawPointer, _ length: Int, _ headers: ExtractResult
    ) -> Bool {
        let offset = Int(headers.l4Offset)
        let isType: Bool
        let wanted: UInt8
        switch field {
        case .icmpType: (isType, wanted) = (true, 1)
        case .icmpCode: (isType, wanted) = (false, 1)
        case .icmpv6Type: (isType, wanted) = (true, 58)
        default: (isType, wanted) = (false, 58)
        }
        guard offset != 0, headers.l4Protocol == wanted, length &- offset >= 4 else { return false }
        let old = load16(packet, offset)
        let new = isType ? merge16(old, value << 8, (mask & 0xff) << 8) : merge16(old, value, mask & 0xff)
        store16(packet, offset, new)
        store16(packet, offset &+ 2, InternetChecksum.updated(load16(packet, offset &+ 2), old: UInt32(old), new: UInt32(new)))
        return true
    }

    /// Fields of neighbour discovery messages. Options are never added, only rewritten.
    @_noLocks
    static func setNeighbor(
        _ field: Field, _ value: UInt128, _ mask: UInt128, _ packet: UnsafeMutableRawPointer, _ length: Int, _ headers: ExtractResult
    ) -> Bool {
        let offset = Int(headers.l4Offset)
        guard offset != 0, headers.l4Protocol == 58, isL3(0xdd86, 40, packet, length, headers) else { return false }
        let end = Int(headers.l3Offset) &+ 40 &+ Int(load16(packet, Int(headers.l3Offset) &+ 4).byteSwapped)
        guard end <= length, end &- offset >= 24 else { return false }
        let type = packet.load(fromByteOffset: offset, as: UInt8.self)
        guard type == 135 || type == 136, packet.load(fromByteOffset: offset &+ 1, as: UInt8.self) == 0 else { return false }
        let low = UInt64(truncatingIfNeeded: value)
        let lowMask = UInt64(truncatingIfNeeded: mask)
        switch field {
        case .ndTarget:
            var piece = 0
            while piece < 4 {
                let shift = UInt128(truncatingIfNeeded: (3 &- piece) &* 32)
                write(
                    packet, offset &+ 8 &+ piece &* 4, UInt64(truncatingIfNeeded: value >> shift),
                    UInt64(truncatingIfNeeded: mask >> shift),
                    true, length, headers)
                piece &+= 1
            }
            return true
        case .ndReserved:
            write(packet, offset &+ 4, low, lowMask, true, length, headers)
            return true
        case .ndOptionsType:
            guard end &- offset >= 32 else { return false }
            // The type is the first byte of the option's 32 bits.
            write(packet, offset &+ 24, low << 24, (lowMask & 0xff) << 24, true, length, headers)
            return true
        default:
            var kind: UInt8 = 2
            if case .ndSLL = field { kind = 1 }
            // A solicitation carries the source's address, an advertisement the target's.
            guard type == (kind == 1 ? 135 : 136) else { return false }
            var at = offset &+ 24
            var count = 0
            while end &- at >= 8, count < FlowExtractor.neighborOptionLimit {
                let bytes = Int(packet.load(fromByteOffset: at &+ 1, as: UInt8.self)) &* 8
                if bytes == 0 || bytes > end &- at { return false }
                if bytes == 8, packet.load(fromByteOffset: at, as: UInt8.self) == kind {
                    // Two bytes of the address share 32 bits with type and length.
                    write(packet, at, low >> 32, (lowMask >> 32) & 0xffff, true, length, headers)
                    write(packet, at &+ 4, low, lowMask, true, length, headers)
                    return true
                }
                at &+= bytes
                count &+= 1
            }
            return false
        }
    }
}
