// The flow key: everything a packet, its metadata and the pipeline can be matched on, at fixed places.
//
// A key is 512 bytes: eight lines of 64 bytes (eight 64-bit words each). Every field is stored big-endian (as on the
// wire) at a fixed byte offset, so that extraction is a few copies and a masked compare is a few wide loads.
//
//     line 0  what the fast path needs for L2 and IPv4: port, MACs, VLANs, addresses, ports (`FlowLine.base`)
//     line 1  IPv6 addresses and label, neighbour-discovery target                          (`.ipv6`)
//     line 2  ARP and ND link-layer addresses, MPLS labels, NSH                             (`.detail`)
//     line 3  tunnel metadata                                                               (`.tunnel`)
//     line 4  connection tracking's original tuple and label                                (`.conntrack`)
//     line 5  registers 0 to 15: pipeline only, never in the datapath                       (`.registers`)
//     line 6  metadata, OpenFlow port, action-set output: pipeline only                     (`.pipeline`)
//     line 7  registers 16 to 31: pipeline only                                             (`.upperRegisters`)
//
// The datapath handles lines 0 to 4 only. A line that a packet does not have reads as zeros.
//
// Offsets are in `FlowOffset`; which bits make a field is in `Field`'s registry. Nothing else knows a position.

/// The 64-byte lines of a key, as bits of a set. `rawValue` bit n stands for line n.
public struct FlowLine: OptionSet, Hashable, Sendable {
    public var rawValue: UInt8
    @inlinable public init(rawValue: UInt8) { self.rawValue = rawValue }

    @inlinable public static var base: FlowLine { FlowLine(rawValue: 1 << 0) }
    @inlinable public static var ipv6: FlowLine { FlowLine(rawValue: 1 << 1) }
    @inlinable public static var detail: FlowLine { FlowLine(rawValue: 1 << 2) }
    @inlinable public static var tunnel: FlowLine { FlowLine(rawValue: 1 << 3) }
    @inlinable public static var conntrack: FlowLine { FlowLine(rawValue: 1 << 4) }
    @inlinable public static var registers: FlowLine { FlowLine(rawValue: 1 << 5) }
    @inlinable public static var pipeline: FlowLine { FlowLine(rawValue: 1 << 6) }
    @inlinable public static var upperRegisters: FlowLine { FlowLine(rawValue: 1 << 7) }
    /// The lines that exist in the datapath.
    @inlinable public static var datapath: FlowLine { FlowLine(rawValue: 0x1f) }
}

/// Byte offsets into a key. Multi-byte values are big-endian. Computed, so that they are constants in other modules too.
public enum FlowOffset {
    // Line 0
    /// Datapath port number the packet came in by, 4 bytes. Always matched exactly by a megaflow.
    @inlinable public static var datapathInPort: Int { 0 }
    /// EtherType, 2 bytes; 0x05ff for frames without one (802.3).
    @inlinable public static var etherType: Int { 4 }
    /// Fragment class (`IPFragment`), 1 byte.
    @inlinable public static var ipFragment: Int { 6 }
    /// Number of MPLS labels that extraction stored (0 to 3), 1 byte.
    @inlinable public static var mplsCount: Int { 7 }
    @inlinable public static var ethDst: Int { 8 }
    @inlinable public static var ethSrc: Int { 14 }
    /// Outer VLAN TCI, 2 bytes; bit 0x1000 (CFI) is set if and only if there is a tag, so 0 means untagged.
    @inlinable public static var vlanTCI: Int { 20 }
    /// Inner VLAN TCI, same encoding.
    @inlinable public static var vlanTCI2: Int { 22 }
    /// IPv4 source (or ARP sender protocol address), 4 bytes.
    @inlinable public static var nwSrc: Int { 24 }
    /// IPv4 destination (or ARP target protocol address), 4 bytes.
    @inlinable public static var nwDst: Int { 28 }
    /// L4 source port; ICMP type in the low byte (offset + 1), 2 bytes.
    @inlinable public static var tpSrc: Int { 32 }
    /// L4 destination port; ICMP code in the low byte (offset + 1), 2 bytes.
    @inlinable public static var tpDst: Int { 34 }
    /// IP protocol; for ARP the low byte of the opcode (0 if the opcode is above 255), 1 byte.
    @inlinable public static var nwProto: Int { 36 }
    /// IP TOS byte or IPv6 traffic class: DSCP in the high six bits, ECN in the low two.
    @inlinable public static var nwTOS: Int { 37 }
    @inlinable public static var nwTTL: Int { 38 }
    /// TCP flags, 12 bits in 2 bytes.
    @inlinable public static var tcpFlags: Int { 40 }
    /// EtherType of the outer VLAN tag (0x8100 or 0x88a8), 0 if untagged.
    @inlinable public static var vlanTPID: Int { 42 }
    @inlinable public static var vlanTPID2: Int { 44 }
    @inlinable public static var recircID: Int { 48 }
    /// Connection state bits, 1 byte (new 0x01, est 0x02, rel 0x04, rpl 0x08, inv 0x10, trk 0x20, snat 0x40, dnat 0x80).
    @inlinable public static var ctState: Int { 52 }
    @inlinable public static var ctZone: Int { 54 }
    @inlinable public static var ctMark: Int { 56 }
    @inlinable public static var pktMark: Int { 60 }
    // Line 1
    @inlinable public static var ipv6Src: Int { 64 }
    @inlinable public static var ipv6Dst: Int { 80 }
    /// IPv6 flow label, 20 bits in 4 bytes.
    @inlinable public static var ipv6Label: Int { 96 }
    /// IPv6 extension header bits (OXM_OF_IPV6_EXTHDR), 9 bits in 2 bytes.
    @inlinable public static var ipv6ExtensionHeaders: Int { 100 }
    @inlinable public static var ndReserved: Int { 104 }
    @inlinable public static var ndOptionsType: Int { 108 }
    @inlinable public static var ndTarget: Int { 112 }
    // Line 2
    /// ARP sender hardware address, or ND source link-layer address option, 6 bytes.
    @inlinable public static var arpSHA: Int { 128 }
    /// ARP target hardware address, or ND target link-layer address option, 6 bytes.
    @inlinable public static var arpTHA: Int { 134 }
    /// Up to three MPLS label stack entries, outermost first, 4 bytes each (label 20, TC 3, BoS 1, TTL 8).
    @inlinable public static var mplsLSE0: Int { 140 }
    @inlinable public static var mplsLSE1: Int { 144 }
    @inlinable public static var mplsLSE2: Int { 148 }
    @inlinable public static var nshFlags: Int { 152 }
    @inlinable public static var nshTTL: Int { 153 }
    @inlinable public static var nshMDType: Int { 154 }
    @inlinable public static var nshNextProtocol: Int { 155 }
    /// NSH service path id (24 bits) and service index (8 bits), 4 bytes.
    @inlinable public static var nshPathHeader: Int { 156 }
    @inlinable public static var nshContext: Int { 160 }
    @inlinable public static var pbbISID: Int { 176 }
    @inlinable public static var pbbUCA: Int { 180 }
    // Line 3
    @inlinable public static var tunID: Int { 192 }
    @inlinable public static var tunSrc: Int { 200 }
    @inlinable public static var tunDst: Int { 204 }
    @inlinable public static var tunFlags: Int { 208 }
    @inlinable public static var tunTOS: Int { 210 }
    @inlinable public static var tunTTL: Int { 211 }
    @inlinable public static var tunGBPID: Int { 212 }
    @inlinable public static var tunGBPFlags: Int { 214 }
    @inlinable public static var tunIPv6Src: Int { 224 }
    @inlinable public static var tunIPv6Dst: Int { 240 }
    // Line 4
    @inlinable public static var ctLabel: Int { 256 }
    @inlinable public static var ctIPv6Src: Int { 272 }
    @inlinable public static var ctIPv6Dst: Int { 288 }
    @inlinable public static var ctNWSrc: Int { 304 }
    @inlinable public static var ctNWDst: Int { 308 }
    @inlinable public static var ctTPSrc: Int { 312 }
    @inlinable public static var ctTPDst: Int { 314 }
    @inlinable public static var ctNWProto: Int { 316 }
    // Line 5
    /// Register n (0 to 15) at `registers + 4 * n`; xreg and xxreg overlay two and four of them, big-endian.
    @inlinable public static var registers: Int { 320 }
    // Line 6
    @inlinable public static var metadata: Int { 384 }
    /// OpenFlow port the packet came in by, 4 bytes (1.1 numbering).
    @inlinable public static var inPort: Int { 392 }
    @inlinable public static var actsetOutput: Int { 396 }
    @inlinable public static var conjID: Int { 400 }
    @inlinable public static var packetType: Int { 404 }
    @inlinable public static var dpHash: Int { 408 }
    @inlinable public static var skbPriority: Int { 412 }
    // Line 7
    /// Register n (16 to 31) at `upperRegisters + 4 * (n - 16)`; xreg8 to 15 and xxreg4 to 7 overlay them.
    @inlinable public static var upperRegisters: Int { 448 }
}

/// Fragment class of an IP packet, as the key stores it (`nw_frag`: bit 0 any fragment, bit 1 later fragment).
public enum IPFragment {
    @inlinable public static var none: UInt8 { @_noLocks get { 0 } }
    /// First fragment: has the L4 header.
    @inlinable public static var first: UInt8 { @_noLocks get { 1 } }
    /// Later fragment: no L4 header, ports read as zero.
    @inlinable public static var later: UInt8 { @_noLocks get { 3 } }
}

/// A packet's key, or any other content of the same shape.
///
/// A plain value of 512 bytes: pass it `borrowing` or by pointer on warm paths.
public struct FlowKey: Equatable, Sendable {
    @inlinable public static var wordCount: Int { 64 }
    @inlinable public static var byteCount: Int { 512 }
    @inlinable public static var wordsPerLine: Int { 8 }

    /// The raw words in memory order. Word w covers bytes 8w to 8w+7; the bytes are in wire order, so a word's integer
    /// value is byte-swapped on little-endian machines: only bitwise operations and comparison make sense on words.
    public var words: InlineArray<64, UInt64>

    /// All zeros.
    @inlinable public init() { words = InlineArray(repeating: 0) }

    @inlinable public static func == (left: FlowKey, right: FlowKey) -> Bool {
        var difference: UInt64 = 0
        for index in 0..<wordCount { difference |= left.words[index] ^ right.words[index] }
        return difference == 0
    }

    /// The lines that hold anything but zeros.
    public var lines: FlowLine {
        var result = FlowLine()
        for line in 0..<8 {
            var any: UInt64 = 0
            for word in 0..<8 { any |= words[line * 8 + word] }
            if any != 0 { result.insert(FlowLine(rawValue: 1 << UInt8(line))) }
        }
        return result
    }

    /// Big-endian bytes `offset ..< offset + count` as an integer; `count` is 1 to 16, and the bytes lie in at most two
    /// neighbouring words.
    @inlinable public func load(at offset: Int, count: Int) -> UInt128 {
        let word = offset >> 3
        let start = offset & 7
        if start + count <= 8 {
            let value = words[word].bigEndian >> UInt64((8 - start - count) * 8)
            return UInt128(count == 8 ? value : value & ((1 << UInt64(count * 8)) - 1))
        }
        precondition(start + count <= 16, "a field lies in at most two words")
        let value = UInt128(words[word].bigEndian) << 64 | UInt128(words[word + 1].bigEndian)
        let shifted = value >> UInt128((16 - start - count) * 8)
        return count == 16 ? shifted : shifted & ((1 << UInt128(count * 8)) - 1)
    }

    /// Stores the low `count` bytes of `value` big-endian at `offset`; `count` and place as for `load`.
    @inlinable public mutating func store(_ value: UInt128, at offset: Int, count: Int) {
        let word = offset >> 3
        let start = offset & 7
        if start + count <= 8 {
            let shift = UInt64((8 - start - count) * 8)
            let ones: UInt64 = count == 8 ? .max : (1 << UInt64(count * 8)) - 1
            let merged = (words[word].bigEndian & ~(ones << shift)) | ((UInt64(truncatingIfNeeded: value) & ones) << shift)
            words[word] = merged.bigEndian
            return
        }
        precondition(start + count <= 16, "a field lies in at most two words")
        let shift = UInt128((16 - start - count) * 8)
        let ones: UInt128 = count == 16 ? .max : (1 << UInt128(count * 8)) - 1
        let old = UInt128(words[word].bigEndian) << 64 | UInt128(words[word + 1].bigEndian)
        let merged = (old & ~(ones << shift)) | ((value & ones) << shift)
        words[word] = UInt64(truncatingIfNeeded: merged >> 64).bigEndian
        words[word + 1] = UInt64(truncatingIfNeeded: merged).bigEndian
    }

    /// Calls `body` with the key's 512 bytes, valid during the call.
    public func withBytes<Result>(_ body: (UnsafeRawBufferPointer) -> Result) -> Result {
        withUnsafeBytes(of: self) { body($0) }
    }

    /// Calls `body` with the key's 512 mutable bytes, valid during the call.
    public mutating func withMutableBytes<Result>(_ body: (UnsafeMutableRawBufferPointer) -> Result) -> Result {
        withUnsafeMutableBytes(of: &self) { body($0) }
    }

    /// Bitwise and, word by word.
    @inlinable public func masked(by mask: FlowMask) -> FlowKey {
        var result = self
        for index in 0..<FlowKey.wordCount { result.words[index] &= mask.bits.words[index] }
        return result
    }
}

/// Which bits of a key count: 1 is matched (or was looked at), 0 is wild.
///
/// When a mask says what a decision looked at, superfluous 1-bits are harmless and missing ones are wrong.
public struct FlowMask: Equatable, Sendable {
    public var bits: FlowKey

    /// Everything wild.
    @inlinable public init() { bits = FlowKey() }
    @inlinable public init(bits: FlowKey) { self.bits = bits }

    /// Adds all of `other`'s bits.
    @inlinable public mutating func formUnion(_ other: FlowMask) {
        for index in 0..<FlowKey.wordCount { bits.words[index] |= other.bits.words[index] }
    }

    /// Whether every bit of `other` is set here too.
    @inlinable public func isSuperset(of other: FlowMask) -> Bool {
        var missing: UInt64 = 0
        for index in 0..<FlowKey.wordCount { missing |= other.bits.words[index] & ~bits.words[index] }
        return missing == 0
    }

    /// Whether two keys agree on the bits that count.
    @inlinable public func agrees(_ left: FlowKey, _ right: FlowKey) -> Bool {
        var difference: UInt64 = 0
        for index in 0..<FlowKey.wordCount { difference |= (left.words[index] ^ right.words[index]) & bits.words[index] }
        return difference == 0
    }
}

/// What a rule or megaflow matches: `key` under `mask`. Bits of `key` outside `mask` are zero.
public struct Match: Equatable, Sendable {
    public var key: FlowKey
    public var mask: FlowMask

    /// Matches every packet.
    @inlinable public init() {
        key = FlowKey()
        mask = FlowMask()
    }

    /// Clears key bits outside the mask.
    @inlinable public init(key: FlowKey, mask: FlowMask) {
        self.key = key.masked(by: mask)
        self.mask = mask
    }

    @inlinable public func matches(_ packet: FlowKey) -> Bool { mask.agrees(key, packet) }

    /// Requires `field` to equal `value` where `mask` (default: all of the field's bits) has ones.
    @inlinable public mutating func set(_ field: Field, _ value: UInt128, mask fieldMask: UInt128? = nil) {
        let layout = field.layout
        let bits = (fieldMask ?? layout.allOnes) & layout.allOnes
        let old = mask.bits[field]
        mask.bits[field] = old | bits
        key[field] = (key[field] & ~bits) | (value & bits)
    }

    /// Makes all of `field` wild.
    @inlinable public mutating func clear(_ field: Field) {
        key[field] = 0
        mask.bits[field] = 0
    }

    /// The field's value and mask; mask 0 means wild.
    @inlinable public func get(_ field: Field) -> (value: UInt128, mask: UInt128) { (key[field], mask.bits[field]) }
}

extension FlowKey {
    /// A field's value as an integer of its width (see `Field.layout`).
    @inlinable public subscript(field: Field) -> UInt128 {
        get {
            let layout = field.layout
            return (load(at: layout.byteOffset, count: layout.byteCount) >> UInt128(layout.shift)) & layout.allOnes
        }
        set {
            let layout = field.layout
            let old = load(at: layout.byteOffset, count: layout.byteCount)
            let shifted = layout.allOnes << UInt128(layout.shift)
            let merged = (old & ~shifted) | ((newValue & layout.allOnes) << UInt128(layout.shift))
            store(merged, at: layout.byteOffset, count: layout.byteCount)
        }
    }
}
