// A flow's match in full: what the packet that led to the flow looked like, and which of its bits count.
//
// Each header is a group of fields. A field is shown if any of its bits count, or if everything is asked for; then what does
// not count has a mask of zeros: `ipv4(src=10.0.0.2/0.0.0.0,...)`.

internal import Flow

/// Prints one flow's match.
struct FlowWriter {
    /// A packet of the flow; bits that do not count may be zero.
    let key: FlowKey
    /// Nil: a packet's key alone, every bit of it.
    let mask: FlowMask?
    /// Also what does not count.
    let showsAll: Bool
    private var words: [String] = []

    init(key: FlowKey, mask: FlowMask?, showsAll: Bool) {
        self.key = key.withHashApart
        self.mask = mask
        self.showsAll = showsAll
    }

    static func text(
        key: FlowKey, mask: FlowMask?, showsAll: Bool, portName: (DatapathPort) -> String?
    ) -> String {
        var writer = FlowWriter(key: key, mask: mask, showsAll: showsAll)
        writer.metadata(portName)
        let closing = writer.link()
        writer.network()
        writer.transport()
        var text = ""
        for word in writer.words {
            if !text.isEmpty, !text.hasSuffix("(") { text += "," }
            text += word
        }
        return text + String(repeating: ")", count: closing)
    }

    // MARK: Parts

    private func bits(_ field: Field) -> UInt128 {
        guard let mask else { return field.layout.allOnes }
        // What this datapath has not counts where all the rest does.
        if field == .dpHash || field == .skbPriority {
            if field == .dpHash, mask.bits[.dpHash] != 0 { return mask.bits[.dpHash] }
            return mask.bits[.ctLabel] == Field.ctLabel.layout.allOnes && mask.bits[.pktMark] == 0xffff_ffff ? field.layout.allOnes : 0
        }
        return mask.bits[field]
    }

    /// `name=value` of a field in a group, or nothing.
    private func part(_ name: String, _ field: Field) -> String? {
        let counted = bits(field)
        // A fragment's class is one thing: all of it counts, or nothing.
        if field == .ipFrag {
            return counted == 0 ? nil : "\(name)=\(FlowText.formatValue(field, key[field], mask: field.layout.allOnes))"
        }
        if counted == 0, !showsAll { return nil }
        return "\(name)=\(MatchWriter.value(field, name, key[field], counted))"
    }

    private mutating func group(_ name: String, _ fields: [(String, Field)]) {
        let parts = fields.compactMap { part($0.0, $0.1) }
        if fields.contains(where: { bits($0.1) != 0 }) || showsAll { words.append("\(name)(\(parts.joined(separator: ",")))") }
    }

    private mutating func single(_ name: String, _ field: Field) {
        let counted = bits(field)
        if counted == 0, !showsAll { return }
        var text = MatchWriter.value(field, name, key[field], counted)
        if field == .ctState {
            let all = field.layout.allOnes
            if showsAll {
                text = DatapathText.hex(key[field]) + (counted == all ? "" : "/\(DatapathText.hex(counted))")
            }
        }
        words.append("\(name)(\(text))")
    }

    private mutating func metadata(_ portName: (DatapathPort) -> String?) {
        words.append("recirc_id(\(DatapathText.hex(key[.recircID])))")
        single("dp_hash", .dpHash)
        single("skb_priority", .skbPriority)
        if key[.tunDst] != 0 || key[.tunSrc] != 0 || key[.tunIPv6Dst] != 0 || key[.tunIPv6Src] != 0 {
            group(
                "tunnel",
                [
                    ("tun_id", .tunID), ("src", .tunSrc), ("dst", .tunDst), ("ipv6_src", .tunIPv6Src), ("ipv6_dst", .tunIPv6Dst),
                    ("tos", .tunTOS), ("ttl", .tunTTL), ("flags", .tunFlags),
                ])
        }
        let port = DatapathPort(UInt32(truncatingIfNeeded: key[.datapathInPort]))
        if port != .none { words.append("in_port(\(portName(port) ?? String(port.rawValue)))") }
        single("skb_mark", .pktMark)
        single("ct_state", .ctState)
        single("ct_zone", .ctZone)
        single("ct_mark", .ctMark)
        single("ct_label", .ctLabel)
        if key[.ctNWProto] != 0 {
            let tuple: [(String, Field)] = [("proto", .ctNWProto), ("tp_src", .ctTPSrc), ("tp_dst", .ctTPDst)]
            if key[.ethType] == 0x86dd {
                group("ct_tuple6", [("src", .ctIPv6Src), ("dst", .ctIPv6Dst)] + tuple)
            } else {
                group("ct_tuple4", [("src", .ctNWSrc), ("dst", .ctNWDst)] + tuple)
            }
        }
        words.append("packet_type(ns=0,id=0)")
    }

    /// The Ethernet header and its tags. Returns how many groups are to be closed at the end.
    private mutating func link() -> Int {
        group("eth", [("src", .ethSrc), ("dst", .ethDst)])
        var closing = 0
        for (offset, typeOffset) in [(FlowOffset.vlanTCI, FlowOffset.vlanTPID), (FlowOffset.vlanTCI2, FlowOffset.vlanTPID2)] {
            let tci = UInt16(key.load(at: offset, count: 2))
            guard tci & 0x1000 != 0 else { break }
            let counted = mask.map { UInt16($0.bits.load(at: offset, count: 2)) } ?? .max
            let tpid = UInt16(key.load(at: typeOffset, count: 2))
            // An inner tag that nobody looked at is not known to be there.
            if closing == 1, counted == 0, mask != nil, !showsAll, tpid == 0 { break }
            words.append("eth_type(\(DatapathText.hex(tpid == 0 ? 0x8100 : tpid, digits: 4)))")
            // That there is a tag every flow matches.
            if counted & 0xefff != 0 || showsAll { words.append("vlan(\(vlan(tci, counted)))") }
            words.append("encap(")
            closing += 1
        }
        let type = UInt16(key[.ethType])
        // A frame without a type.
        if type >= 0x600 {
            words.append("eth_type(\(DatapathText.hex(type, digits: 4)))")
        } else if mask != nil {
            words.append("eth_type(0/0xffff)")
        }
        return closing
    }

    private func vlan(_ tci: UInt16, _ counted: UInt16) -> String {
        var parts: [String] = []
        let (vid, pcp) = (counted & 0x0fff, counted >> 13)
        if showsAll || tci & 0x0fff != 0 || vid != 0 {
            parts.append("vid=\(tci & 0x0fff)" + (vid == 0x0fff ? "" : "/0x\(String(vid, radix: 16))"))
        }
        if showsAll || tci >> 13 != 0 || pcp != 0 {
            parts.append("pcp=\(tci >> 13)" + (pcp == 7 ? "" : "/0x\(String(pcp, radix: 16))"))
        }
        return parts.joined(separator: ",")
    }

    private mutating func network() {
        switch key[.ethType] {
        case 0x0800:
            group(
                "ipv4",
                [("src", .nwSrc), ("dst", .nwDst), ("proto", .nwProto), ("tos", .nwTOS), ("ttl", .nwTTL), ("frag", .ipFrag)])
        case 0x86dd:
            group(
                "ipv6",
                [
                    ("src", .ipv6Src), ("dst", .ipv6Dst), ("label", .ipv6Label), ("proto", .nwProto), ("tclass", .nwTOS),
                    ("hlimit", .nwTTL), ("frag", .ipFrag),
                ])
        case 0x0806, 0x8035:
            group("arp", [("sip", .arpSPA), ("tip", .arpTPA), ("op", .arpOp), ("sha", .arpSHA), ("tha", .arpTHA)])
        case 0x8847, 0x8848: labels()
        case 0x894f:
            group(
                "nsh",
                [
                    ("flags", .nshFlags), ("ttl", .nshTTL), ("mdtype", .nshMDType), ("np", .nshNP), ("spi", .nshSPI), ("si", .nshSI),
                    ("c1", .nshC1), ("c2", .nshC2), ("c3", .nshC3), ("c4", .nshC4),
                ])
        default: break
        }
    }

    /// The label stack, as far as the key has it: either every bit counts, or each part is shown with its mask.
    private mutating func labels() {
        let count = max(1, Int(key.load(at: FlowOffset.mplsCount, count: 1)))
        var entries: [(value: UInt32, mask: UInt32)] = []
        for index in 0..<min(3, count) {
            let offset = FlowOffset.mplsLSE0 + 4 * index
            entries.append(
                (UInt32(key.load(at: offset, count: 4)), mask.map { UInt32($0.bits.load(at: offset, count: 4)) } ?? .max))
        }
        if !showsAll, entries.allSatisfy({ $0.mask == 0 }) { return }
        let isExact = entries.allSatisfy { $0.mask == .max }
        func hex(_ value: UInt32) -> String { String(value, radix: 16) }
        let parts = entries.map { (value, mask) in
            // A label stack entry: label 20 bits, traffic class 3, bottom of stack 1, TTL 8.
            isExact
                ? "label=\(value >> 12),tc=\(value >> 9 & 7),ttl=\(value & 255),bos=\(value >> 8 & 1)"
                : "label=\(value >> 12)/0x\(hex(mask >> 12)),tc=\(value >> 9 & 7)/\(hex(mask >> 9 & 7)),"
                    + "ttl=\(value & 255)/0x\(hex(mask & 255)),bos=\(value >> 8 & 1)/\(mask >> 8 & 1)"
        }
        words.append("mpls(\(parts.joined(separator: ",")))")
    }

    private mutating func transport() {
        let type = key[.ethType]
        guard type == 0x0800 || type == 0x86dd, key[.ipFrag] & 2 == 0 else { return }
        // Where the protocol was not looked at, nothing behind it was.
        if mask != nil, !showsAll, bits(.nwProto) != 0xff { return }
        switch (key[.nwProto], type) {
        case (6, _):
            group("tcp", [("src", .tcpSrc), ("dst", .tcpDst)])
            if key[.tcpFlags] != 0 || mask.map({ $0.bits[.tcpFlags] != 0 }) ?? false { single("tcp_flags", .tcpFlags) }
        case (17, _): group("udp", [("src", .udpSrc), ("dst", .udpDst)])
        case (132, _): group("sctp", [("src", .sctpSrc), ("dst", .sctpDst)])
        case (1, 0x0800): group("icmp", [("type", .icmpType), ("code", .icmpCode)])
        case (58, 0x86dd):
            group("icmpv6", [("type", .icmpv6Type), ("code", .icmpv6Code)])
            let icmpType = key[.icmpv6Type]
            if icmpType == 135 || icmpType == 136, key[.icmpv6Code] == 0 {
                group("nd", [("target", .ndTarget), ("sll", .ndSLL), ("tll", .ndTLL)])
            }
        default: break
        }
    }
}
