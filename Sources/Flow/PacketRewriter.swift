// Writing header fields back into packets, with their checksums.
//
// Pure functions over raw bytes and the offsets that extraction found (`ExtractResult`): what the datapath executes for
// `DatapathAction.set`, `pushVLAN` and the like. A field that the packet does not have is left alone, and nothing is
// written beyond `length`: a megaflow's actions may meet a packet whose headers are cut short.
//
// Checksums are updated incrementally (RFC 1624), so a wrong one stays wrong and later bytes are not touched; so is
// SCTP's CRC32c, by its linearity. A UDP checksum of zero means "none" and stays zero.
//
// Pushing and popping change where the packet begins. The caller owns the buffer: it prepends `tagLength` bytes before a
// push and calls with the new start; after a pop it strips as many bytes from the front. `ExtractResult.shift` then follows.

/// Rewriting, as static functions over raw memory.
///
/// ## Thread safety
/// No state; the packet belongs to the caller.
public enum PacketRewriter {
    /// Bytes that a VLAN tag or an MPLS label stack entry takes.
    @inlinable public static var tagLength: Int { 4 }

    /// Writes the bits of `mask` of a field.
    ///
    /// - Parameters:
    ///   - value: right-aligned as in `Field.layout`; bits outside `mask` are ignored.
    ///   - length: contiguous bytes at `packet`.
    ///   - headers: what extraction of this packet said.
    /// - Returns: false if the packet does not have the field; then nothing was written.
    @_noLocks @discardableResult
    public static func set(
        _ field: Field, value: UInt128, mask: UInt128, packet: UnsafeMutableRawPointer, length: Int, headers: ExtractResult
    ) -> Bool {
        guard headers.isFrame, length >= 14 else { return false }
        let low = UInt64(truncatingIfNeeded: value)
        let lowMask = UInt64(truncatingIfNeeded: mask)
        switch field {
        case .ethDst: return write48(packet, 0, low, lowMask)
        case .ethSrc: return write48(packet, 6, low, lowMask)
        case .ethType:
            guard headers.l3Offset >= 14, Int(headers.l3Offset) <= length else { return false }
            store16(packet, Int(headers.l3Offset) &- 2, merge16(load16(packet, Int(headers.l3Offset) &- 2), low, lowMask & 0xffff))
            return true
        case .nwProto: return setProtocol(low, lowMask & 0xff, packet, length, headers)
        case .pbbISID, .pbbUCA: return setPBB(field, low, lowMask, packet, length, headers)
        // Of the tag control information, VID and PCP; the bit 0x1000 says "tagged" in a key and DEI on the wire.
        case .vlanTCI, .vlanVID, .vlanVID12: return setVLAN(low, lowMask & 0xefff, packet, length)
        case .vlanPCP: return setVLAN(low << 13, (lowMask & 7) << 13, packet, length)
        case .mplsLabel: return setMPLS(low << 12, (lowMask & 0xfffff) << 12, packet, length, headers)
        case .mplsTC: return setMPLS(low << 9, (lowMask & 7) << 9, packet, length, headers)
        case .mplsBOS: return setMPLS(low << 8, (lowMask & 1) << 8, packet, length, headers)
        case .mplsTTL: return setMPLS(low, lowMask & 0xff, packet, length, headers)
        case .nwSrc: return setIPv4Address(12, low, lowMask, packet, length, headers)
        case .nwDst: return setIPv4Address(16, low, lowMask, packet, length, headers)
        case .nwTOS: return setTOS(low, lowMask & 0xff, packet, length, headers)
        case .ipDSCP: return setTOS(low << 2, (lowMask & 0x3f) << 2, packet, length, headers)
        case .nwECN: return setTOS(low, lowMask & 3, packet, length, headers)
        case .nwTTL: return setTTL(low, lowMask & 0xff, packet, length, headers)
        case .ipv6Src: return setIPv6Address(8, value, mask, packet, length, headers)
        case .ipv6Dst: return setIPv6Address(24, value, mask, packet, length, headers)
        case .ipv6Label:
            guard isL3(0xdd86, 40, packet, length, headers) else { return false }
            return write32(packet, Int(headers.l3Offset), low, lowMask & 0xfffff)
        case .arpOp, .arpSPA, .arpTPA, .arpSHA, .arpTHA: return setARP(field, low, lowMask, packet, length, headers)
        case .tcpSrc, .tcpDst, .udpSrc, .udpDst, .sctpSrc, .sctpDst: return setPort(field, low, lowMask, packet, length, headers)
        case .icmpType, .icmpCode, .icmpv6Type, .icmpv6Code: return setICMP(field, low, lowMask, packet, length, headers)
        case .ndTarget, .ndSLL, .ndTLL, .ndReserved, .ndOptionsType:
            return setNeighbor(field, value, mask, packet, length, headers)
        case .nshFlags, .nshTTL, .nshSPI, .nshSI, .nshC1, .nshC2, .nshC3, .nshC4:
            return setNSH(field, low, lowMask, packet, length, headers)
        default: return false
        }
    }

    // MARK: - Tags

    /// Adds an outer tag. `newStart` is where the packet begins after the caller made room for four bytes.
    ///
    /// - Parameter tci: VID and PCP; the bit 0x1000 is not written.
    @_noLocks
    public static func pushVLAN(newStart: UnsafeMutableRawPointer, tpid: UInt16, tci: UInt16) {
        moveFront(to: newStart, from: newStart + 4, count: 12)
        newStart.storeBytes(of: tpid.bigEndian, toByteOffset: 12, as: UInt16.self)
        newStart.storeBytes(of: (tci & 0xefff).bigEndian, toByteOffset: 14, as: UInt16.self)
    }

    /// Takes the outer tag away: the packet then begins at `packet + 4`, and the caller strips the four bytes before it.
    /// - Returns: false if there is no tag; then nothing changed.
    @_noLocks
    public static func popVLAN(packet: UnsafeMutableRawPointer, length: Int) -> Bool {
        guard length >= 18, isTagged(packet) else { return false }
        moveBack(to: packet + 4, from: packet, count: 12)
        return true
    }

    /// Adds an outermost label stack entry behind the L2 header of `l2Length` bytes (before the push: `l3Offset`), and sets
    /// the EtherType. `newStart` is where the packet begins after the caller made room for four bytes.
    @_noLocks
    public static func pushMPLS(newStart: UnsafeMutableRawPointer, l2Length: Int, etherType: UInt16, entry: UInt32) {
        moveFront(to: newStart, from: newStart + 4, count: l2Length)
        newStart.storeBytes(of: etherType.bigEndian, toByteOffset: l2Length &- 2, as: UInt16.self)
        newStart.storeBytes(of: entry.bigEndian, toByteOffset: l2Length, as: UInt32.self)
    }

    /// Takes the outermost label stack entry away and sets the EtherType: the packet then begins at `packet + 4`.
    /// - Returns: false if there is no label; then nothing changed.
    @_noLocks
    public static func popMPLS(packet: UnsafeMutableRawPointer, length: Int, l2Length: Int, etherType: UInt16) -> Bool {
        guard l2Length >= 14, length >= l2Length &+ 4 else { return false }
        let rawType = packet.loadUnaligned(fromByteOffset: l2Length &- 2, as: UInt16.self)
        guard rawType == 0x4788 || rawType == 0x4888 else { return false }
        moveBack(to: packet + 4, from: packet, count: l2Length)
        packet.storeBytes(of: etherType.bigEndian, toByteOffset: l2Length &+ 2, as: UInt16.self)
        return true
    }

    /// Byte by byte towards lower addresses; the regions may overlap.
    @_noLocks @inline(__always)
    private static func moveFront(to: UnsafeMutableRawPointer, from: UnsafeMutableRawPointer, count: Int) {
        var at = 0
        while count &- at >= 4 {
            to.storeBytes(of: from.loadUnaligned(fromByteOffset: at, as: UInt32.self), toByteOffset: at, as: UInt32.self)
            at &+= 4
        }
        while at < count {
            to.storeBytes(of: from.load(fromByteOffset: at, as: UInt8.self), toByteOffset: at, as: UInt8.self)
            at &+= 1
        }
    }

    /// Byte by byte towards higher addresses; the regions may overlap.
    @_noLocks @inline(__always)
    private static func moveBack(to: UnsafeMutableRawPointer, from: UnsafeMutableRawPointer, count: Int) {
        var at = count
        while at >= 4 {
            at &-= 4
            to.storeBytes(of: from.loadUnaligned(fromByteOffset: at, as: UInt32.self), toByteOffset: at, as: UInt32.self)
        }
        while at > 0 {
            at &-= 1
            to.storeBytes(of: from.load(fromByteOffset: at, as: UInt8.self), toByteOffset: at, as: UInt8.self)
        }
    }

    // MARK: - Pieces that every field uses

    @_noLocks @inline(__always)
    static func isTagged(_ packet: UnsafeMutableRawPointer) -> Bool {
        let rawType = packet.loadUnaligned(fromByteOffset: 12, as: UInt16.self)
        return rawType == 0x0081 || rawType == 0xa888
    }

    /// Whether L3 was read, has this EtherType (as loaded), and `bytes` of it are there.
    @_noLocks @inline(__always)
    static func isL3(_ rawType: UInt16, _ bytes: Int, _ packet: UnsafeMutableRawPointer, _ length: Int, _ headers: ExtractResult) -> Bool {
        let offset = Int(headers.l3Offset)
        return headers.hasL3 && offset >= 14 && length &- offset >= bytes
            && packet.loadUnaligned(fromByteOffset: offset &- 2, as: UInt16.self) == rawType
    }

    @_noLocks @inline(__always)
    static func load16(_ packet: UnsafeMutableRawPointer, _ offset: Int) -> UInt16 {
        packet.loadUnaligned(fromByteOffset: offset, as: UInt16.self)
    }
    @_noLocks @inline(__always)
    static func load32(_ packet: UnsafeMutableRawPointer, _ offset: Int) -> UInt32 {
        packet.loadUnaligned(fromByteOffset: offset, as: UInt32.self)
    }
    @_noLocks @inline(__always)
    static func store16(_ packet: UnsafeMutableRawPointer, _ offset: Int, _ raw: UInt16) {
        packet.storeBytes(of: raw, toByteOffset: offset, as: UInt16.self)
    }
    @_noLocks @inline(__always)
    static func store32(_ packet: UnsafeMutableRawPointer, _ offset: Int, _ raw: UInt32) {
        packet.storeBytes(of: raw, toByteOffset: offset, as: UInt32.self)
    }

    /// `old` with the bits of `mask` from `value`; all as loaded but value and mask, which are numbers.
    @_noLocks @inline(__always)
    static func merge16(_ old: UInt16, _ value: UInt64, _ mask: UInt64) -> UInt16 {
        let rawMask = UInt16(truncatingIfNeeded: mask).bigEndian
        return (old & ~rawMask) | (UInt16(truncatingIfNeeded: value).bigEndian & rawMask)
    }
    @_noLocks @inline(__always)
    static func merge32(_ old: UInt32, _ value: UInt64, _ mask: UInt64) -> UInt32 {
        let rawMask = UInt32(truncatingIfNeeded: mask).bigEndian
        return (old & ~rawMask) | (UInt32(truncatingIfNeeded: value).bigEndian & rawMask)
    }

    @_noLocks @inline(__always)
    static func write32(_ packet: UnsafeMutableRawPointer, _ offset: Int, _ value: UInt64, _ mask: UInt64) -> Bool {
        store32(packet, offset, merge32(load32(packet, offset), value, mask))
        return true
    }

    @_noLocks @inline(__always)
    static func write48(_ packet: UnsafeMutableRawPointer, _ offset: Int, _ value: UInt64, _ mask: UInt64) -> Bool {
        store16(packet, offset, merge16(load16(packet, offset), value >> 32, mask >> 32))
        store32(packet, offset &+ 2, merge32(load32(packet, offset &+ 2), value, mask))
        return true
    }

    @_noLocks
    private static func setVLAN(_ value: UInt64, _ mask: UInt64, _ packet: UnsafeMutableRawPointer, _ length: Int) -> Bool {
        guard length >= 18, isTagged(packet) else { return false }
        store16(packet, 14, merge16(load16(packet, 14), value, mask))
        return true
    }

    @_noLocks
    private static func setMPLS(
        _ value: UInt64, _ mask: UInt64, _ packet: UnsafeMutableRawPointer, _ length: Int, _ headers: ExtractResult
    ) -> Bool {
        guard isL3(0x4788, 4, packet, length, headers) || isL3(0x4888, 4, packet, length, headers) else { return false }
        return write32(packet, Int(headers.l3Offset), value, mask)
    }

    @_noLocks
    private static func setARP(
        _ field: Field, _ value: UInt64, _ mask: UInt64, _ packet: UnsafeMutableRawPointer, _ length: Int, _ headers: ExtractResult
    ) -> Bool {
        guard isL3(0x0608, 28, packet, length, headers) || isL3(0x3580, 28, packet, length, headers) else { return false }
        let offset = Int(headers.l3Offset)
        switch field {
        case .arpOp:
            store16(packet, offset &+ 6, UInt16(truncatingIfNeeded: value & mask & 0xff).bigEndian)
            return true
        case .arpSHA: return write48(packet, offset &+ 8, value, mask)
        case .arpSPA: return write32(packet, offset &+ 14, value, mask)
        case .arpTHA: return write48(packet, offset &+ 18, value, mask)
        default: return write32(packet, offset &+ 24, value, mask)
        }
    }

    @_noLocks
    private static func setNSH(
        _ field: Field, _ value: UInt64, _ mask: UInt64, _ packet: UnsafeMutableRawPointer, _ length: Int, _ headers: ExtractResult
    ) -> Bool {
        guard isL3(0x4f89, 8, packet, length, headers) else { return false }
        let offset = Int(headers.l3Offset)
        switch field {
        case .nshFlags:
            store16(packet, offset, merge16(load16(packet, offset), value << 12, (mask & 3) << 12))
            return true
        case .nshTTL:
            store16(packet, offset, merge16(load16(packet, offset), value << 6, (mask & 0x3f) << 6))
            return true
        case .nshSPI: return write32(packet, offset &+ 4, value << 8, (mask & 0xffffff) << 8)
        case .nshSI: return write32(packet, offset &+ 4, value, mask & 0xff)
        default:
            guard isL3(0x4f89, 24, packet, length, headers), packet.load(fromByteOffset: offset &+ 2, as: UInt8.self) == 1 else {
                return false
            }
            let position: Int
            switch field {
            case .nshC1: position = 8
            case .nshC2: position = 12
            case .nshC3: position = 16
            default: position = 20
            }
            return write32(packet, offset &+ position, value, mask)
        }
    }
}
