// How datapath actions are written: `dpctl/dump-flows` and traces.

internal import Flow

extension DatapathAction {
    /// The field's spelling, for example `set(ipv4(dst=10.0.0.1)),push_vlan(vid=10,pcp=0),2`.
    public var text: String {
        switch self {
        case .output(let port): "\(port.rawValue)"
        case .set(let field, let value, let mask): DatapathAction.setText(field, value, mask)
        case .pushVLAN(let tpid, let tci):
            "push_vlan(\(tpid == 0x8100 ? "" : "tpid=0x\(String(tpid, radix: 16)),")vid=\(tci & 0xfff),pcp=\(tci >> 13))"
        case .popVLAN: "pop_vlan"
        case .pushMPLS(let etherType, let entry):
            "push_mpls(label=\(entry >> 12),tc=\(entry >> 9 & 7),ttl=\(entry & 0xff),bos=\(entry >> 8 & 1),eth_type=0x\(String(etherType, radix: 16)))"
        case .popMPLS(let etherType): "pop_mpls(eth_type=0x\(String(etherType, radix: 16)))"
        case .punt(_, let maxLength): "userspace(controller(max_len=\(maxLength)))"
        case .truncate(let length): "trunc(\(length))"
        case .clone(let nested): "clone(\(nested.map(\.text).joined(separator: ",")))"
        case .meter(let meter): "meter(\(meter))"
        case .recirculate(let id): "recirc(0x\(String(id, radix: 16)))"
        case .drop: "drop"
        }
    }

    /// A whole list; `drop` for a list that ends in nothing but a drop.
    public static func text(_ actions: [DatapathAction]) -> String {
        actions.isEmpty ? "drop" : actions.map(\.text).joined(separator: ",")
    }

    private static func setText(_ field: Field, _ value: UInt128, _ mask: UInt128) -> String {
        func place() -> (String, String) {
            switch field {
            case .ethSrc: ("eth", "src")
            case .ethDst: ("eth", "dst")
            case .vlanTCI: ("vlan", "tci")
            case .nwSrc: ("ipv4", "src")
            case .nwDst: ("ipv4", "dst")
            case .ipv6Src: ("ipv6", "src")
            case .ipv6Dst: ("ipv6", "dst")
            case .ipv6Label: ("ipv6", "label")
            case .nwTOS: ("ip", "tos")
            case .nwTTL: ("ip", "ttl")
            case .tcpSrc: ("tcp", "src")
            case .tcpDst: ("tcp", "dst")
            case .udpSrc: ("udp", "src")
            case .udpDst: ("udp", "dst")
            case .sctpSrc: ("sctp", "src")
            case .sctpDst: ("sctp", "dst")
            case .arpOp: ("arp", "op")
            case .arpSPA: ("arp", "sip")
            case .arpTPA: ("arp", "tip")
            case .arpSHA: ("arp", "sha")
            case .arpTHA: ("arp", "tha")
            case .mplsLabel: ("mpls", "label")
            case .mplsTC: ("mpls", "tc")
            case .mplsTTL: ("mpls", "ttl")
            default: (field.name, "value")
            }
        }
        let (header, part) = place()
        return "set(\(header)(\(part)=\(FlowText.formatValue(field, value, mask: mask))))"
    }
}
