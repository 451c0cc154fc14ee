// The headers behind the EtherType, one function each. They take the packet, its length, the offset of their header, what is
// known so far, and the key whose line 0 is already zeroed; they return what is known afterwards.

extension FlowExtractor {
    @_noLocks
    static func extractIPv4(
        _ packet: UnsafeRawPointer, _ length: Int, _ offset: Int, _ base: ExtractResult, _ key: UnsafeMutablePointer<UInt64>
    ) -> ExtractResult {
        var result = base
        let size = length &- offset
        guard size >= 20 else {
            result.flags |= malformed
            return result
        }
        let start = packet.loadUnaligned(fromByteOffset: offset, as: UInt64.self)
        let headerLength = Int(start & 0x0f) &* 4
        let total = Int(UInt16(truncatingIfNeeded: start >> 16).byteSwapped)
        guard start & 0xf0 == 0x40, headerLength >= 20, headerLength <= total, total <= size else {
            result.flags |= malformed
            return result
        }
        result.flags |= l3
        let next = packet.loadUnaligned(fromByteOffset: offset &+ 8, as: UInt16.self)
        let rawFragment = UInt16(truncatingIfNeeded: start >> 48)
        key[3] = packet.loadUnaligned(fromByteOffset: offset &+ 12, as: UInt64.self)
        let proto = UInt8(truncatingIfNeeded: next >> 8)
        key[4] = UInt64(proto) << 32 | (start & 0xff00) << 32 | UInt64(next & 0xff) << 48
        if rawFragment & 0xff3f != 0 {
            let isLater = rawFragment & 0xff1f != 0
            key[0] |= UInt64(isLater ? IPFragment.later : IPFragment.first) << 48
            if isLater { return result }
        }
        return extractL4(packet, offset &+ headerLength, offset &+ total, proto, false, result, key)
    }

    @_noLocks
    static func extractIPv6(
        _ packet: UnsafeRawPointer, _ length: Int, _ offset: Int, _ base: ExtractResult, _ key: UnsafeMutablePointer<UInt64>
    ) -> ExtractResult {
        var result = base
        let size = length &- offset
        guard size >= 40 else {
            result.flags |= malformed
            return result
        }
        let start = packet.loadUnaligned(fromByteOffset: offset, as: UInt64.self)
        let payload = Int(UInt16(truncatingIfNeeded: start >> 32).byteSwapped)
        guard start & 0xf0 == 0x60, payload <= size &- 40 else {
            result.flags |= malformed
            return result
        }
        result.lineBits |= 1 << 1
        key[8] = packet.loadUnaligned(fromByteOffset: offset &+ 8, as: UInt64.self)
        key[9] = packet.loadUnaligned(fromByteOffset: offset &+ 16, as: UInt64.self)
        key[10] = packet.loadUnaligned(fromByteOffset: offset &+ 24, as: UInt64.self)
        key[11] = packet.loadUnaligned(fromByteOffset: offset &+ 32, as: UInt64.self)
        // Version 4 bits, traffic class 8, flow label 20; the label goes big-endian into four bytes.
        let firstWord = UInt32(truncatingIfNeeded: start).byteSwapped
        key[12] = UInt64((firstWord & 0x000f_ffff).byteSwapped)
        key[13] = 0
        key[14] = 0
        key[15] = 0

        let end = offset &+ 40 &+ payload
        var at = offset &+ 40
        var proto = UInt8(truncatingIfNeeded: start >> 48)
        var fragment = IPFragment.none
        // The bits of OpenFlow's OFPIEH: which extension headers there are, and whether one came twice.
        var present: UInt16 = 0
        var count = 0
        walk: while true {
            var bit: UInt16 = 0
            var unit = 8
            switch proto {
            case 0: bit = 1 << 6
            case 43: bit = 1 << 5
            case 60: bit = 1 << 3
            case 44:
                bit = 1 << 4
                unit = 0
            case 51:
                bit = 1 << 2
                unit = 4
            default: break walk
            }
            guard end &- at >= 8, count < extensionHeaderLimit else {
                result.flags |= malformed
                return result
            }
            count &+= 1
            let header = packet.loadUnaligned(fromByteOffset: at, as: UInt32.self)
            let bytes = Int((header >> 8) & 0xff) &* unit &+ 8
            guard end &- at >= bytes else {
                result.flags |= malformed
                return result
            }
            if proto == 43, header >> 24 != 0 { result.flags |= sourceRouted }
            if present & bit != 0 { present |= 1 << 7 }
            present |= bit
            if proto == 44 {
                let rawOffset = UInt16(truncatingIfNeeded: header >> 16)
                if rawOffset & 0xf8ff != 0 {
                    fragment = IPFragment.later
                    break walk
                }
                if rawOffset & 0x0100 != 0 { fragment = IPFragment.first }
            }
            proto = UInt8(truncatingIfNeeded: header)
            at &+= bytes
        }
        if proto == 59 { present |= 1 }
        if proto == 50 { present |= 1 << 1 }
        result.flags |= l3
        key[0] |= UInt64(fragment) << 48
        key[12] |= UInt64(present.byteSwapped) << 32
        let trafficClass = UInt64((firstWord >> 20) & 0xff)
        key[4] = UInt64(proto) << 32 | trafficClass << 40 | (start >> 56) << 48
        if fragment == IPFragment.later { return result }
        return extractL4(packet, at, end, proto, true, result, key)
    }

    /// Ports, or type and code. `end` is where the IP payload ends.
    @_noLocks
    static func extractL4(
        _ packet: UnsafeRawPointer, _ offset: Int, _ end: Int, _ proto: UInt8, _ isIPv6: Bool, _ base: ExtractResult,
        _ key: UnsafeMutablePointer<UInt64>
    ) -> ExtractResult {
        var result = base
        let size = end &- offset
        var needed = 8
        switch proto {
        case 6: needed = 20
        case 17: break
        case 132: needed = 12
        // ICMP and IGMP belong to IPv4, ICMPv6 to IPv6.
        case 1, 2: if isIPv6 { return result }
        case 58: if !isIPv6 { return result }
        default: return result
        }
        if proto == 6, size >= needed {
            // What it says itself, if that is a header at all.
            let own = Int(packet.load(fromByteOffset: offset &+ 12, as: UInt8.self) >> 4) &* 4
            needed = own >= 20 ? own : .max
        }
        guard size >= needed else {
            result.flags |= malformed
            return result
        }
        result.l4Offset = UInt16(truncatingIfNeeded: offset)
        result.l4Protocol = proto
        let word = UInt64(packet.loadUnaligned(fromByteOffset: offset, as: UInt32.self))
        switch proto {
        case 6:
            key[4] |= word
            key[5] |= UInt64(packet.loadUnaligned(fromByteOffset: offset &+ 12, as: UInt16.self) & 0xff0f)
        case 17, 132:
            key[4] |= word
        default:
            // Type and code, each in the low byte of a big-endian 16-bit number.
            key[4] |= (word & 0xff) << 8 | (word & 0xff00) << 16
            let type = UInt8(truncatingIfNeeded: word)
            if isIPv6, type == 135 || type == 136, word & 0xff00 == 0 {
                return extractNeighbor(packet, offset, end, result, key)
            }
        }
        return result
    }

    /// Neighbour solicitation and advertisement (RFC 4861 sections 4.3 and 4.4). A broken option ends the reading; the same
    /// link-layer option twice makes target and addresses read as zero.
    @_noLocks
    static func extractNeighbor(
        _ packet: UnsafeRawPointer, _ offset: Int, _ end: Int, _ base: ExtractResult, _ key: UnsafeMutablePointer<UInt64>
    ) -> ExtractResult {
        var result = base
        guard end &- offset >= 24 else { return result }
        var source: UInt64 = 0
        var target: UInt64 = 0
        var sourceSeen = false
        var targetSeen = false
        var firstOption: UInt64 = 0
        var at = offset &+ 24
        var count = 0
        while end &- at >= 8, count < neighborOptionLimit {
            let option = packet.loadUnaligned(fromByteOffset: at, as: UInt64.self)
            let bytes = Int((option >> 8) & 0xff) &* 8
            if bytes == 0 || bytes > end &- at { break }
            if count == 0 { firstOption = option & 0xff }
            if bytes == 8, option & 0xff == 1 {
                if sourceSeen { return result }
                sourceSeen = true
                source = option >> 16
            } else if bytes == 8, option & 0xff == 2 {
                if targetSeen { return result }
                targetSeen = true
                target = option >> 16
            }
            count &+= 1
            at &+= bytes
        }
        key[13] = UInt64(packet.loadUnaligned(fromByteOffset: offset &+ 4, as: UInt32.self)) | firstOption << 32
        key[14] = packet.loadUnaligned(fromByteOffset: offset &+ 8, as: UInt64.self)
        key[15] = packet.loadUnaligned(fromByteOffset: offset &+ 16, as: UInt64.self)
        if sourceSeen || targetSeen {
            result.lineBits |= 1 << 2
            clearDetail(key)
            key[16] = source | target << 48
            key[17] = target >> 16
        }
        return result
    }

    @_noLocks
    static func extractARP(
        _ packet: UnsafeRawPointer, _ length: Int, _ offset: Int, _ base: ExtractResult, _ key: UnsafeMutablePointer<UInt64>
    ) -> ExtractResult {
        var result = base
        guard length &- offset >= 28 else {
            result.flags |= malformed
            return result
        }
        let start = packet.loadUnaligned(fromByteOffset: offset, as: UInt64.self)
        // Ethernet, IPv4, address lengths 6 and 4; other kinds of ARP have no fields here.
        guard start & 0xffff_ffff_ffff == 0x0406_0008_0100 else { return result }
        result.flags |= l3
        result.lineBits |= 1 << 2
        let opcode = UInt16(truncatingIfNeeded: start >> 48).byteSwapped
        key[3] =
            UInt64(packet.loadUnaligned(fromByteOffset: offset &+ 14, as: UInt32.self))
            | UInt64(packet.loadUnaligned(fromByteOffset: offset &+ 24, as: UInt32.self)) << 32
        key[4] = opcode <= 255 ? UInt64(opcode) << 32 : 0
        clearDetail(key)
        let sender = packet.loadUnaligned(fromByteOffset: offset &+ 8, as: UInt64.self) & 0xffff_ffff_ffff
        let target = packet.loadUnaligned(fromByteOffset: offset &+ 16, as: UInt64.self) >> 16
        key[16] = sender | target << 48
        key[17] = target >> 16
        return result
    }

    @_noLocks
    static func extractMPLS(
        _ packet: UnsafeRawPointer, _ length: Int, _ offset: Int, _ base: ExtractResult, _ key: UnsafeMutablePointer<UInt64>
    ) -> ExtractResult {
        var result = base
        guard beginShim(length, offset, &result, key) else { return result }
        let first = packet.loadUnaligned(fromByteOffset: offset, as: UInt32.self)
        key[17] = UInt64(first) << 32
        var count: UInt64 = 1
        // The bottom-of-stack bit is bit 0 of the third byte.
        if first & 0x0001_0000 == 0 {
            if length &- offset >= 8 {
                let second = packet.loadUnaligned(fromByteOffset: offset &+ 4, as: UInt32.self)
                key[18] = UInt64(second)
                count = 2
                if second & 0x0001_0000 == 0 {
                    if length &- offset >= 12 {
                        key[18] |= UInt64(packet.loadUnaligned(fromByteOffset: offset &+ 8, as: UInt32.self)) << 32
                        count = 3
                    } else {
                        result.flags |= malformed
                    }
                }
            } else {
                result.flags |= malformed
            }
        }
        key[0] |= count << 56
        return result
    }

    /// RFC 8300 section 2; only MD type 1 has its context read.
    @_noLocks
    static func extractNSH(
        _ packet: UnsafeRawPointer, _ length: Int, _ offset: Int, _ base: ExtractResult, _ key: UnsafeMutablePointer<UInt64>
    ) -> ExtractResult {
        var result = base
        let size = length &- offset
        guard size >= 8 else {
            result.flags |= malformed
            return result
        }
        let start = packet.loadUnaligned(fromByteOffset: offset, as: UInt64.self)
        let first = UInt16(truncatingIfNeeded: start).byteSwapped
        let bytes = Int(first & 0x3f) &* 4
        let mdType = UInt8(truncatingIfNeeded: start >> 16)
        guard first >> 14 == 0, bytes >= 8, bytes <= size, mdType != 1 || bytes == 24 else {
            result.flags |= malformed
            return result
        }
        result.flags |= l3
        result.lineBits |= 1 << 2
        clearDetail(key)
        // Bits 13 and 12 are flags (O and unassigned), then six bits of TTL.
        key[19] =
            UInt64((first >> 12) & 0x3) | UInt64((first >> 6) & 0x3f) << 8 | UInt64(mdType) << 16
            | ((start >> 24) & 0xff) << 24 | (start >> 32) << 32
        if mdType == 1 {
            key[20] = packet.loadUnaligned(fromByteOffset: offset &+ 8, as: UInt64.self)
            key[21] = packet.loadUnaligned(fromByteOffset: offset &+ 16, as: UInt64.self)
        }
        return result
    }

    /// IEEE 802.1ah's service tag: PCP 3 bits, DEI 1, UCA 1, reserved 3, service id 24.
    @_noLocks
    static func extractPBB(
        _ packet: UnsafeRawPointer, _ length: Int, _ offset: Int, _ base: ExtractResult, _ key: UnsafeMutablePointer<UInt64>
    ) -> ExtractResult {
        var result = base
        guard beginShim(length, offset, &result, key) else { return result }
        let tag = packet.loadUnaligned(fromByteOffset: offset, as: UInt32.self).byteSwapped
        key[22] = UInt64((tag & 0xff_ffff).byteSwapped) | UInt64(tag >> 27 & 1) << 32
        return result
    }

    /// What labels and I-tags have in common: they stand in the place of a network header, and have at least four bytes. False if
    /// those are not there.
    @_noLocks
    @inline(__always)
    static func beginShim(
        _ length: Int, _ offset: Int, _ result: inout ExtractResult, _ key: UnsafeMutablePointer<UInt64>
    ) -> Bool {
        guard length &- offset >= 4 else {
            result.flags |= malformed
            return false
        }
        result.flags |= l3
        result.lineBits |= 1 << 2
        clearDetail(key)
        return true
    }

    @_noLocks
    static func clearDetail(_ key: UnsafeMutablePointer<UInt64>) {
        var index = 16
        while index < 24 {
            key[index] = 0
            index &+= 1
        }
    }
}
