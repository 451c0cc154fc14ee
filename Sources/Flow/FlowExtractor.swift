// Packet bytes to flow key: the fast path's parser.
//
// The key is a pure function of the packet's bytes and the input port. What cannot be read (frame cut short, lengths
// that contradict each other, later fragment, unknown type) reads as zero, and nothing else depends on it: two packets
// that agree under a mask are the same to every decision that looked at no other bits, whatever lies behind them
// (CVE-2020-35498 is what happens otherwise). `FlowMask.structural` names the bits that say *what was read*.
//
// How deep a packet is read:
//
//     Ethernet       14 bytes, else the whole key but the input port is zero (`isFrame` false)
//     VLAN           two tags (0x8100, 0x88a8), or one if so told; the next one stays the EtherType
//     802.3          LLC/SNAP with an EtherType is looked through; else EtherType 0x05ff
//     IPv4           header and options, total length; L4 lies within the total length, what follows is padding
//     IPv6           extension headers up to `extensionHeaderLimit`; of a later fragment no L4, protocol 44
//     TCP UDP SCTP ICMP IGMP ICMPv6   ports, or type and code; TCP flags; ND target and link-layer options
//     ARP, RARP      Ethernet/IPv4 only
//     MPLS           three labels; nothing behind them
//     NSH            base header and MD type 1 context
//     PBB            the service tag; nothing behind it
//
// Straight IPv4 with TCP or UDP is inlined into the caller (about 20 cycles); all else is one call away.
//
// Multi-byte values are compared as loaded, in wire order, on a little-endian machine: `rawX` names such a value.

#if _endian(big)
#error("FlowExtractor composes key words for little-endian machines")
#endif

/// What extraction found out besides the key. Eight bytes: returned in a register.
public struct ExtractResult: Sendable {
    /// `FlowLine.rawValue` of `lines`.
    public var lineBits: UInt8
    @usableFromInline var flags: UInt8
    /// Offset of what follows the last EtherType read (MPLS labels, L3 header), 0 without an Ethernet header.
    public var l3Offset: UInt16
    /// Offset of the L4 header if all of its fixed part is there and was read, else 0.
    public var l4Offset: UInt16
    /// The protocol of what is at `l4Offset` (TCP, UDP, SCTP, ICMP, IGMP, ICMPv6), 0 if nothing was read.
    public var l4Protocol: UInt8

    @_noLocks @inlinable init(lineBits: UInt8, flags: UInt8, l3Offset: UInt16, l4Offset: UInt16, l4Protocol: UInt8 = 0) {
        self.lineBits = lineBits
        self.flags = flags
        self.l3Offset = l3Offset
        self.l4Offset = l4Offset
        self.l4Protocol = l4Protocol
    }

    /// The key's lines that were written; all others read as zero, whatever the memory holds.
    @inlinable public var lines: FlowLine { FlowLine(rawValue: lineBits) }
    /// Whether there is an Ethernet header at all.
    @inlinable public var isFrame: Bool { @_noLocks get { flags & 1 != 0 } }
    /// Whether the L3 header (IPv4, IPv6, ARP, MPLS, NSH) was read and consistent.
    @inlinable public var hasL3: Bool { @_noLocks get { flags & 2 != 0 } }
    /// Whether a header that the types promise was cut short or contradicted itself; its fields read as zero.
    @inlinable public var isMalformed: Bool { @_noLocks get { flags & 4 != 0 } }
    /// Whether an IPv6 routing header still has segments to visit: then the L4 checksum does not cover the destination
    /// address in the IPv6 header (RFC 8200 section 8.1).
    @inlinable public var isSourceRouted: Bool { @_noLocks get { flags & 8 != 0 } }

    /// A network header of known content was put in.
    @_noLocks @inlinable public mutating func markRead() { flags |= 2 }

    /// Follows the headers when `bytes` were put in front of L3 (negative: taken away).
    @_noLocks @inlinable public mutating func shift(by bytes: Int) {
        l3Offset = UInt16(truncatingIfNeeded: Int(l3Offset) &+ bytes)
        if l4Offset != 0 { l4Offset = UInt16(truncatingIfNeeded: Int(l4Offset) &+ bytes) }
    }
}

/// Extraction, as static functions over raw memory.
///
/// ## Thread safety
/// No state.
public enum FlowExtractor {
    /// VLAN tags that the key has room for.
    @inlinable public static var mostTags: Int { @_noLocks get { 2 } }
    /// IPv6 extension headers read before the packet counts as malformed.
    @inlinable public static var extensionHeaderLimit: Int { @_noLocks get { 12 } }
    /// Neighbour discovery options looked at.
    @inlinable public static var neighborOptionLimit: Int { @_noLocks get { 16 } }

    @inline(__always) static var frame: UInt8 { @_noLocks get { 1 } }
    @inline(__always) static var l3: UInt8 { @_noLocks get { 2 } }
    @inline(__always) static var malformed: UInt8 { @_noLocks get { 4 } }
    @inline(__always) static var sourceRouted: UInt8 { @_noLocks get { 8 } }

    /// Reads the headers of `length` bytes at `packet` into `key`, 40 words (the datapath's lines).
    ///
    /// Line 0 is written completely, with zero metadata (recirculation id, connection tracking, mark); of the other lines
    /// only those in the result's `lines` are written, each completely.
    ///
    /// - Parameter tagLimit: VLAN tags that are looked at, 1 or 2; the EtherType of the next one is the packet's.
    @_noLocks @inlinable @inline(__always)
    public static func extract(
        packet: UnsafeRawPointer, length: Int, inPort: UInt32, tagLimit: Int = FlowExtractor.mostTags,
        into key: UnsafeMutablePointer<UInt64>
    ) -> ExtractResult {
        // 42: Ethernet, IPv4 without options, UDP. Anything shorter is no common packet.
        guard length >= 42, packet.loadUnaligned(fromByteOffset: 12, as: UInt16.self) == 0x0008 else {
            return extractAny(packet: packet, length: length, inPort: inPort, tagLimit: tagLimit, into: key)
        }
        let start = packet.loadUnaligned(fromByteOffset: 14, as: UInt64.self)
        let next = packet.loadUnaligned(fromByteOffset: 22, as: UInt16.self)
        let total = Int(UInt16(truncatingIfNeeded: start >> 16).byteSwapped)
        let proto = UInt8(truncatingIfNeeded: next >> 8)
        // Version 4, five words of header; neither more-fragments nor an offset (bytes 6 and 7, DF and the reserved bit aside).
        guard start & 0xff3f_0000_0000_00ff == 0x45, total <= length - 14 else {
            return extractAny(packet: packet, length: length, inPort: inPort, tagLimit: tagLimit, into: key)
        }
        var tcpFlags: UInt64 = 0
        if proto == 17 {
            guard total >= 28 else { return extractAny(packet: packet, length: length, inPort: inPort, tagLimit: tagLimit, into: key) }
        } else {
            guard proto == 6, total >= 40 else {
                return extractAny(packet: packet, length: length, inPort: inPort, tagLimit: tagLimit, into: key)
            }
            // A header of five words at least, all of it there.
            let tcp = packet.loadUnaligned(fromByteOffset: 46, as: UInt16.self)
            let bytes = Int(tcp >> 2 & 0x3c)
            guard bytes >= 20, total >= 20 &+ bytes else {
                return extractAny(packet: packet, length: length, inPort: inPort, tagLimit: tagLimit, into: key)
            }
            tcpFlags = UInt64(tcp & 0xff0f)
        }
        key[0] = UInt64(inPort.bigEndian) | 0x0008 << 32
        key[1] = packet.loadUnaligned(as: UInt64.self)
        key[2] = UInt64(packet.loadUnaligned(fromByteOffset: 8, as: UInt32.self))
        key[3] = packet.loadUnaligned(fromByteOffset: 26, as: UInt64.self)
        key[4] =
            UInt64(packet.loadUnaligned(fromByteOffset: 34, as: UInt32.self)) | UInt64(proto) << 32
            | (start & 0xff00) << 32 | UInt64(next & 0xff) << 48
        key[5] = tcpFlags
        key[6] = 0
        key[7] = 0
        return ExtractResult(lineBits: 1, flags: 3, l3Offset: 14, l4Offset: 34, l4Protocol: proto)
    }

    /// Extraction of every kind of packet; what `extract` calls for all but the commonest.
    @_noLocks @inline(never)
    public static func extractAny(
        packet: UnsafeRawPointer, length: Int, inPort: UInt32, tagLimit: Int = FlowExtractor.mostTags,
        into key: UnsafeMutablePointer<UInt64>
    ) -> ExtractResult {
        var index = 1
        key[0] = UInt64(inPort.bigEndian)
        while index < 8 {
            key[index] = 0
            index &+= 1
        }
        guard length >= 14 else { return ExtractResult(lineBits: 1, flags: malformed, l3Offset: 0, l4Offset: 0) }
        key[1] = packet.loadUnaligned(as: UInt64.self)
        key[2] = UInt64(packet.loadUnaligned(fromByteOffset: 8, as: UInt32.self))

        var flags = frame
        // Position of the EtherType.
        var at = 12
        var rawType = packet.loadUnaligned(fromByteOffset: at, as: UInt16.self)
        if rawType == 0x0081 || rawType == 0xa888 {
            if length &- at >= 6 {
                key[2] |= UInt64(packet.loadUnaligned(fromByteOffset: at &+ 2, as: UInt16.self) | 0x0010) << 32
                key[5] |= UInt64(rawType) << 16
                at &+= 4
                rawType = packet.loadUnaligned(fromByteOffset: at, as: UInt16.self)
                if tagLimit > 1, rawType == 0x0081 || rawType == 0xa888 {
                    if length &- at >= 6 {
                        key[2] |= UInt64(packet.loadUnaligned(fromByteOffset: at &+ 2, as: UInt16.self) | 0x0010) << 48
                        key[5] |= UInt64(rawType) << 32
                        at &+= 4
                        rawType = packet.loadUnaligned(fromByteOffset: at, as: UInt16.self)
                    } else {
                        flags |= malformed
                    }
                }
            } else {
                flags |= malformed
            }
        }
        var offset = at &+ 2
        if rawType.byteSwapped < 0x0600 {
            // An 802.3 length. LLC with SNAP and organisation code 0 carries an EtherType behind.
            rawType = 0xff05
            if length &- offset >= 8, packet.loadUnaligned(fromByteOffset: offset, as: UInt32.self) == 0x0003_aaaa,
                packet.loadUnaligned(fromByteOffset: offset &+ 4, as: UInt16.self) == 0
            {
                let rawInner = packet.loadUnaligned(fromByteOffset: offset &+ 6, as: UInt16.self)
                if rawInner.byteSwapped >= 0x0600 {
                    rawType = rawInner
                    offset &+= 8
                }
            }
        }
        key[0] |= UInt64(rawType) << 32
        let base = ExtractResult(
            lineBits: 1, flags: flags, l3Offset: UInt16(truncatingIfNeeded: offset), l4Offset: 0)
        switch rawType {
        case 0x0008: return extractIPv4(packet, length, offset, base, key)
        case 0xdd86: return extractIPv6(packet, length, offset, base, key)
        case 0x0608, 0x3580: return extractARP(packet, length, offset, base, key)
        case 0x4788, 0x4888: return extractMPLS(packet, length, offset, base, key)
        case 0x4f89: return extractNSH(packet, length, offset, base, key)
        case 0xe788: return extractPBB(packet, length, offset, base, key)
        default: return base
        }
    }
}

extension FlowKey {
    /// The key of a whole packet that came in by datapath port `inPort`; unlike `FlowExtractor.extract`, all lines are there.
    public init(packet: UnsafeRawBufferPointer, inPort: UInt32) {
        self.init()
        _ = extract(packet, inPort: inPort)
    }

    /// Fills an all-zero key from a packet.
    public mutating func extract(_ packet: UnsafeRawBufferPointer, inPort: UInt32) -> ExtractResult {
        // An empty buffer may have no address; nothing is read from this one.
        let start = packet.baseAddress ?? UnsafeRawPointer(bitPattern: 1)!
        return withMutableBytes { bytes in
            let key = bytes.baseAddress!.assumingMemoryBound(to: UInt64.self)
            return FlowExtractor.extract(packet: start, length: packet.count, inPort: inPort, into: key)
        }
    }

    /// The key of a packet in an array.
    public init(packet: [UInt8], inPort: UInt32) {
        self.init()
        let result = packet.withUnsafeBytes { extract($0, inPort: inPort) }
        _ = result
    }
}
