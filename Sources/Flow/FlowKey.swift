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
//     line 7  unused
//
// The datapath handles lines 0 to 4 only. A line that a packet does not have reads as zeros.
//
// Offsets are in `FlowOffset`; which bits make a field is in `Field`'s registry. Nothing else knows a position.

/// The 64-byte lines of a key, as bits of a set. `rawValue` bit n stands for line n.
public struct FlowLine: OptionSet, Hashable, Sendable {
    public var rawValue: UInt8
    @inlinable public init(rawValue: UInt8) { self.rawValue = rawValue }

    public static let base = FlowLine(rawValue: 1 << 0)
    public static let ipv6 = FlowLine(rawValue: 1 << 1)
    public static let detail = FlowLine(rawValue: 1 << 2)
    public static let tunnel = FlowLine(rawValue: 1 << 3)
    public static let conntrack = FlowLine(rawValue: 1 << 4)
    public static let registers = FlowLine(rawValue: 1 << 5)
    public static let pipeline = FlowLine(rawValue: 1 << 6)
    /// The lines that exist in the datapath.
    public static let datapath = FlowLine(rawValue: 0x1f)
}

/// Byte offsets into a key. Multi-byte values are big-endian.
public enum FlowOffset {
    // Line 0
    /// Datapath port number the packet came in by, 4 bytes. Always matched exactly by a megaflow.
    public static let datapathInPort = 0
    /// EtherType, 2 bytes; 0x05ff for frames without one (802.3).
    public static let etherType = 4
    /// Fragment class (`IPFragment`), 1 byte.
    public static let ipFragment = 6
    /// Number of MPLS labels that extraction stored (0 to 3), 1 byte.
    public static let mplsCount = 7
    public static let ethDst = 8
    public static let ethSrc = 14
    /// Outer VLAN TCI, 2 bytes; bit 0x1000 (CFI) is set if and only if there is a tag, so 0 means untagged.
    public static let vlanTCI = 20
    /// Inner VLAN TCI, same encoding.
    public static let vlanTCI2 = 22
    /// IPv4 source (or ARP sender protocol address), 4 bytes.
    public static let nwSrc = 24
    /// IPv4 destination (or ARP target protocol address), 4 bytes.
    public static let nwDst = 28
    /// L4 source port; ICMP type in the low byte (offset + 1), 2 bytes.
    public static let tpSrc = 32
    /// L4 destination port; ICMP code in the low byte (offset + 1), 2 bytes.
    public static let tpDst = 34
    /// IP protocol; for ARP the low byte of the opcode (0 if the opcode is above 255), 1 byte.
    public static let nwProto = 36
    /// IP TOS byte or IPv6 traffic class: DSCP in the high six bits, ECN in the low two.
    public static let nwTOS = 37
    public static let nwTTL = 38
    /// TCP flags, 12 bits in 2 bytes.
    public static let tcpFlags = 40
    /// EtherType of the outer VLAN tag (0x8100 or 0x88a8), 0 if untagged.
    public static let vlanTPID = 42
    public static let vlanTPID2 = 44
    public static let recircID = 48
    /// Connection state bits, 1 byte (new 0x01, est 0x02, rel 0x04, rpl 0x08, inv 0x10, trk 0x20, snat 0x40, dnat 0x80).
    public static let ctState = 52
    public static let ctZone = 54
    public static let ctMark = 56
    public static let pktMark = 60
    // Line 1
    public static let ipv6Src = 64
    public static let ipv6Dst = 80
    /// IPv6 flow label, 20 bits in 4 bytes.
    public static let ipv6Label = 96
    /// IPv6 extension header bits (OXM_OF_IPV6_EXTHDR), 9 bits in 2 bytes.
    public static let ipv6ExtensionHeaders = 100
    public static let ndReserved = 104
    public static let ndOptionsType = 108
    public static let ndTarget = 112
    // Line 2
    /// ARP sender hardware address, or ND source link-layer address option, 6 bytes.
    public static let arpSHA = 128
    /// ARP target hardware address, or ND target link-layer address option, 6 bytes.
    public static let arpTHA = 134
    /// Up to three MPLS label stack entries, outermost first, 4 bytes each (label 20, TC 3, BoS 1, TTL 8).
    public static let mplsLSE0 = 140
    public static let mplsLSE1 = 144
    public static let mplsLSE2 = 148
    public static let nshFlags = 152
    public static let nshTTL = 153
    public static let nshMDType = 154
    public static let nshNextProtocol = 155
    /// NSH service path id (24 bits) and service index (8 bits), 4 bytes.
    public static let nshPathHeader = 156
    public static let nshContext = 160
    public static let pbbISID = 176
    public static let pbbUCA = 180
    // Line 3
    public static let tunID = 192
    public static let tunSrc = 200
    public static let tunDst = 204
    public static let tunFlags = 208
    public static let tunTOS = 210
    public static let tunTTL = 211
    public static let tunGBPID = 212
    public static let tunGBPFlags = 214
    public static let tunIPv6Src = 224
    public static let tunIPv6Dst = 240
    // Line 4
    public static let ctLabel = 256
    public static let ctIPv6Src = 272
    public static let ctIPv6Dst = 288
    public static let ctNWSrc = 304
    public static let ctNWDst = 308
    public static let ctTPSrc = 312
    public static let ctTPDst = 314
    public static let ctNWProto = 316
    // Line 5
    /// Register n (0 to 15) at `registers + 4 * n`; xreg and xxreg overlay two and four of them, big-endian.
    public static let registers = 320
    // Line 6
    public static let metadata = 384
    /// OpenFlow port the packet came in by, 4 bytes (1.1 numbering).
    public static let inPort = 392
    public static let actsetOutput = 396
    public static let conjID = 400
    public static let packetType = 404
    public static let dpHash = 408
    public static let skbPriority = 412
}

/// Fragment class of an IP packet, as the key stores it (`nw_frag`: bit 0 any fragment, bit 1 later fragment).
public enum IPFragment {
    public static let none: UInt8 = 0
    /// First fragment: has the L4 header.
    public static let first: UInt8 = 1
    /// Later fragment: no L4 header, ports read as zero.
    public static let later: UInt8 = 3
}

/// A packet's key, or any other content of the same shape.
///
/// A plain value of 512 bytes: pass it `borrowing` or by pointer on warm paths.
public struct FlowKey: Equatable, Sendable {
    public static let wordCount = 64
    public static let byteCount = 512
    public static let wordsPerLine = 8

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

    /// Big-endian bytes `offset ..< offset + count` as an integer; `count` is 1 to 16.
    public func load(at offset: Int, count: Int) -> UInt128 {
        withBytes { bytes in
            var value: UInt128 = 0
            for index in offset..<offset + count { value = value << 8 | UInt128(bytes[index]) }
            return value
        }
    }

    /// Stores the low `count` bytes of `value` big-endian at `offset`; `count` is 1 to 16.
    public mutating func store(_ value: UInt128, at offset: Int, count: Int) {
        withMutableBytes { bytes in
            var rest = value
            for index in (offset..<offset + count).reversed() {
                bytes[index] = UInt8(truncatingIfNeeded: rest)
                rest >>= 8
            }
        }
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
    public func masked(by mask: FlowMask) -> FlowKey {
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
    public func isSuperset(of other: FlowMask) -> Bool {
        var missing: UInt64 = 0
        for index in 0..<FlowKey.wordCount { missing |= other.bits.words[index] & ~bits.words[index] }
        return missing == 0
    }

    /// Whether two keys agree on the bits that count.
    public func agrees(_ left: FlowKey, _ right: FlowKey) -> Bool {
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
    public init(key: FlowKey, mask: FlowMask) {
        self.key = key.masked(by: mask)
        self.mask = mask
    }

    public func matches(_ packet: FlowKey) -> Bool { mask.agrees(key, packet) }

    /// Requires `field` to equal `value` where `mask` (default: all of the field's bits) has ones.
    public mutating func set(_ field: Field, _ value: UInt128, mask fieldMask: UInt128? = nil) {
        let layout = field.layout
        let bits = (fieldMask ?? layout.allOnes) & layout.allOnes
        let old = mask.bits[field]
        mask.bits[field] = old | bits
        key[field] = (key[field] & ~bits) | (value & bits)
    }

    /// Makes all of `field` wild.
    public mutating func clear(_ field: Field) {
        key[field] = 0
        mask.bits[field] = 0
    }

    /// The field's value and mask; mask 0 means wild.
    public func get(_ field: Field) -> (value: UInt128, mask: UInt128) { (key[field], mask.bits[field]) }
}

extension FlowKey {
    /// A field's value as an integer of its width (see `Field.layout`).
    public subscript(field: Field) -> UInt128 {
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
