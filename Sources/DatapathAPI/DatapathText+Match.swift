// The groups of a megaflow's match: `ipv4(src=...,frag=no)`, `tcp(dst=80)`.

internal import Flow

/// Prints the parts of one match.
struct MatchWriter {
    let match: Match

    private func mask(_ field: Field) -> UInt128 { match.mask.bits[field] }

    /// Appends `name(a=...,b=...)` with those fields that are matched, or nothing.
    func group(_ name: String, _ fields: [(String, Field)], _ words: inout [String]) {
        let parts = fields.compactMap { name, field -> String? in
            let bits = mask(field)
            return bits == 0 ? nil : "\(name)=\(MatchWriter.value(field, name, match.key[field], bits))"
        }
        if !parts.isEmpty { words.append("\(name)(\(parts.joined(separator: ",")))") }
    }

    /// `name(value)` or `name(value/mask)`.
    private func single(_ name: String, _ field: Field, _ words: inout [String]) {
        let bits = mask(field)
        if bits != 0 { words.append("\(name)(\(MatchWriter.value(field, name, match.key[field], bits)))") }
    }

    func tunnel(_ words: inout [String]) {
        group(
            "tunnel",
            [
                ("tun_id", .tunID), ("src", .tunSrc), ("dst", .tunDst), ("ipv6_src", .tunIPv6Src), ("ipv6_dst", .tunIPv6Dst),
                ("tos", .tunTOS),
                ("ttl", .tunTTL), ("flags", .tunFlags),
            ], &words)
    }

    func metadata(_ words: inout [String]) {
        single("skb_mark", .pktMark, &words)
        single("ct_state", .ctState, &words)
        single("ct_zone", .ctZone, &words)
        single("ct_mark", .ctMark, &words)
        single("ct_label", .ctLabel, &words)
        let tuple: [(String, Field)] = [
            ("src", .ctNWSrc), ("dst", .ctNWDst), ("proto", .ctNWProto), ("tp_src", .ctTPSrc), ("tp_dst", .ctTPDst),
        ]
        if match.mask.bits[.ctIPv6Src] != 0 || match.mask.bits[.ctIPv6Dst] != 0 {
            group("ct_tuple6", [("src", .ctIPv6Src), ("dst", .ctIPv6Dst)] + tuple.suffix(3), &words)
        } else {
            group("ct_tuple4", tuple, &words)
        }
        words.append("recirc_id(\(DatapathText.hex(match.key[.recircID])))")
    }

    func network(_ words: inout [String]) {
        let etherType = match.mask.bits[.ethType] != 0 ? match.key[.ethType] : 0
        switch etherType {
        case 0x0800:
            group(
                "ipv4",
                [("src", .nwSrc), ("dst", .nwDst), ("proto", .nwProto), ("tos", .nwTOS), ("ttl", .nwTTL), ("frag", .ipFrag)], &words)
        case 0x86dd:
            group(
                "ipv6",
                [
                    ("src", .ipv6Src), ("dst", .ipv6Dst), ("label", .ipv6Label), ("proto", .nwProto), ("tclass", .nwTOS),
                    ("hlimit", .nwTTL),
                    ("frag", .ipFrag),
                ], &words)
        case 0x0806, 0x8035:
            group("arp", [("sip", .arpSPA), ("tip", .arpTPA), ("op", .arpOp), ("sha", .arpSHA), ("tha", .arpTHA)], &words)
        case 0x8847, 0x8848:
            group("mpls", [("label", .mplsLabel), ("tc", .mplsTC), ("ttl", .mplsTTL), ("bos", .mplsBOS)], &words)
        case 0x894f:
            group(
                "nsh",
                [
                    ("flags", .nshFlags), ("ttl", .nshTTL), ("mdtype", .nshMDType), ("np", .nshNP), ("spi", .nshSPI), ("si", .nshSI),
                    ("c1", .nshC1),
                    ("c2", .nshC2), ("c3", .nshC3), ("c4", .nshC4),
                ], &words)
        default: break
        }
        guard etherType == 0x0800 || etherType == 0x86dd, match.mask.bits[.nwProto] == 0xff else { return }
        switch (match.key[.nwProto], etherType) {
        case (6, _):
            group("tcp", [("src", .tcpSrc), ("dst", .tcpDst)], &words)
            single("tcp_flags", .tcpFlags, &words)
        case (17, _): group("udp", [("src", .udpSrc), ("dst", .udpDst)], &words)
        case (132, _): group("sctp", [("src", .sctpSrc), ("dst", .sctpDst)], &words)
        case (1, 0x0800): group("icmp", [("type", .icmpType), ("code", .icmpCode)], &words)
        case (58, 0x86dd):
            group("icmpv6", [("type", .icmpv6Type), ("code", .icmpv6Code)], &words)
            group("nd", [("target", .ndTarget), ("sll", .ndSLL), ("tll", .ndTLL)], &words)
        default: break
        }
    }

    /// A value in the datapath's notation, with `/mask` unless every bit counts.
    static func value(_ field: Field, _ name: String, _ value: UInt128, _ mask: UInt128) -> String {
        let isExact = mask == field.layout.allOnes
        switch field.info.format {
        case .mac, .ipv6: return FlowText.formatValue(field, value, mask: mask)
        case .ipv4:
            // The datapath writes netmasks out.
            let text = FlowText.formatValue(field, value, mask: field.layout.allOnes)
            return isExact ? text : text + "/" + FlowText.formatValue(field, mask, mask: field.layout.allOnes)
        case .frag: return FlowText.formatValue(field, value, mask: mask)
        case .tcpFlags: return FlowText.formatValue(field, value, mask: mask)
        case .port, .decimal, .hex:
            if field == .ctState || field == .tunFlags { return FlowText.formatValue(field, value, mask: mask) }
            let isHex = field.info.format == .hex || name == "tos" || name == "tclass"
            let text = isHex ? DatapathText.hex(value) : String(value)
            return isExact ? text : "\(text)/\(DatapathText.hex(mask))"
        }
    }

    /// The datapath's group and name of a field that may be set.
    static func datapathName(of field: Field) -> (group: String, name: String) {
        switch field {
        case .ethSrc: ("eth", "src")
        case .ethDst: ("eth", "dst")
        case .vlanVID, .vlanVID12: ("vlan", "vid")
        case .vlanPCP: ("vlan", "pcp")
        case .vlanTCI: ("vlan", "tci")
        case .nwSrc: ("ipv4", "src")
        case .nwDst: ("ipv4", "dst")
        case .nwTOS: ("ip", "tos")
        case .ipDSCP, .nwECN: ("ip", field.name)
        case .nwTTL: ("ip", "ttl")
        case .ipv6Src: ("ipv6", "src")
        case .ipv6Dst: ("ipv6", "dst")
        case .ipv6Label: ("ipv6", "label")
        case .arpOp: ("arp", "op")
        case .arpSPA: ("arp", "sip")
        case .arpTPA: ("arp", "tip")
        case .arpSHA: ("arp", "sha")
        case .arpTHA: ("arp", "tha")
        case .tcpSrc: ("tcp", "src")
        case .tcpDst: ("tcp", "dst")
        case .udpSrc: ("udp", "src")
        case .udpDst: ("udp", "dst")
        case .sctpSrc: ("sctp", "src")
        case .sctpDst: ("sctp", "dst")
        case .icmpType: ("icmp", "type")
        case .icmpCode: ("icmp", "code")
        case .icmpv6Type: ("icmpv6", "type")
        case .icmpv6Code: ("icmpv6", "code")
        case .ndTarget: ("nd", "target")
        case .ndSLL: ("nd", "sll")
        case .ndTLL: ("nd", "tll")
        case .mplsLabel: ("mpls", "label")
        case .mplsTC: ("mpls", "tc")
        case .mplsTTL: ("mpls", "ttl")
        case .mplsBOS: ("mpls", "bos")
        case .pktMark: ("", "skb_mark")
        case .tunID: ("tunnel", "tun_id")
        case .tunSrc: ("tunnel", "src")
        case .tunDst: ("tunnel", "dst")
        default: ("", field.name)
        }
    }
}
