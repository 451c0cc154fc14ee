// Values and names in a megaflow's match: `ipv4(src=...,frag=no)`, `tcp(dst=80)`.

internal import Flow

/// Values and names of fields in the datapath's syntax. Static functions without state.
enum MatchWriter {
    /// A value in the datapath's notation, with `/mask` unless every bit counts.
    static func value(_ field: Field, _ name: String, _ value: UInt128, _ mask: UInt128) -> String {
        let isExact = mask == field.layout.allOnes
        switch field.info.format {
        case .mac: return FlowText.formatValue(field, value, mask: mask)
        case .ipv4, .ipv6:
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
