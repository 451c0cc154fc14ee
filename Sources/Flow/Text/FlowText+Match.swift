// Reading a match.

extension FlowText {
    /// Words that stand for an EtherType and perhaps a protocol.
    static let shorthands: [(name: String, etherType: UInt16, proto: UInt8?)] = [
        ("ip", 0x0800, nil), ("icmp", 0x0800, 1), ("tcp", 0x0800, 6), ("udp", 0x0800, 17), ("sctp", 0x0800, 132), ("igmp", 0x0800, 2),
        ("arp", 0x0806, nil), ("rarp", 0x8035, nil), ("ipv6", 0x86dd, nil), ("ip6", 0x86dd, nil), ("tcp6", 0x86dd, 6), ("udp6", 0x86dd, 17),
        ("sctp6", 0x86dd, 132), ("icmp6", 0x86dd, 58), ("mpls", 0x8847, nil), ("mplsm", 0x8848, nil), ("nsh", 0x894f, nil),
    ]

    /// Reads a match: words like `tcp`, `nw_dst=10.0.0.0/8`, `in_port=LOCAL`, in any order.
    public static func parseMatch(_ text: some StringProtocol, ports: PortNames = .none) throws(FlowTextError) -> Match {
        var match = Match()
        let rest = try addMatch(tokens(Substring(text)), to: &match, ports: ports)
        if let unknown = rest.first { throw unknownWord(unknown) }
        return match
    }

    /// Adds what is a match field among `tokens`; the others come back.
    static func addMatch(_ tokens: [FlowToken], to match: inout Match, ports: PortNames) throws(FlowTextError) -> [FlowToken] {
        var rest: [FlowToken] = []
        var fields: [(token: FlowToken, field: Field)] = []
        // What decides the meaning of the others comes first: protocol words, EtherType, protocol number, ICMPv6 type.
        for token in tokens {
            let key = token.key.lowercased()
            if !token.hasValue {
                if key == "eth" { continue }
                guard let short = shorthands.first(where: { $0.name == key }) else {
                    rest.append(token)
                    continue
                }
                try setType(UInt128(short.etherType), &match, token)
                if let proto = short.proto { try setProtocol(UInt128(proto), &match, token) }
                continue
            }
            switch key {
            case "eth_type", "dl_type":
                let (value, mask) = try parseValue(.ethType, token.value, name: key)
                if mask != 0 { try setType(value, &match, token) }
            case "nw_proto", "ip_proto":
                let (value, mask) = try parseValue(.nwProto, token.value, name: key)
                if mask != 0 { try setProtocol(value, &match, token) }
            default:
                guard let field = matchField(named: key) else {
                    rest.append(token)
                    continue
                }
                fields.append((token, field))
            }
        }
        for isFirstRound in [true, false] {
            for (token, named) in fields {
                let field = resolve(named, name: token.key.lowercased(), in: match)
                if (field == .icmpv6Type || field == .icmpv6Code) == isFirstRound { try setField(field, token, &match, ports: ports) }
            }
        }
        if match.mask.bits[.nwProto] != 0, ![0x0800, 0x86dd, 0x0806, 0x8035].contains(match.key[.ethType]) {
            throw FlowTextError("nw_proto matches IP packets only; add ip or ipv6 to the match")
        }
        return rest
    }

    private static func setType(_ value: UInt128, _ match: inout Match, _ token: FlowToken) throws(FlowTextError) {
        let (old, mask) = match.get(.ethType)
        if mask != 0, old != value {
            throw FlowTextError(
                "\"\(token.text)\" asks for EtherType \(hex(value, digits: 4)), but the match already says \(hex(old, digits: 4))")
        }
        match.set(.ethType, value)
    }

    private static func setProtocol(_ value: UInt128, _ match: inout Match, _ token: FlowToken) throws(FlowTextError) {
        let (old, mask) = match.get(.nwProto)
        if mask != 0, old != value {
            throw FlowTextError("\"\(token.text)\" asks for IP protocol \(value), but the match already says \(old)")
        }
        match.set(.nwProto, value)
    }

    /// A field by a name that may be matched; `tp_src` and the like stand for TCP's until the protocol is known.
    static func matchField(named name: String) -> Field? {
        switch name {
        case "tp_src": .tcpSrc
        case "tp_dst": .tcpDst
        // The datapath's port number is not a controller's business.
        case "dp_in_port": nil
        default: Field.byName[name]
        }
    }

    /// What a general name means in a packet of the match's protocol: `tp_src`, `nw_src` of ARP, `icmp_type` of ICMPv6.
    static func resolve(_ field: Field, name: String, in match: Match) -> Field {
        let etherType = match.mask.bits[.ethType] != 0 ? match.key[.ethType] : 0
        let proto = match.mask.bits[.nwProto] != 0 ? match.key[.nwProto] : 0
        switch name {
        case "tp_src", "tp_dst":
            let isSource = name == "tp_src"
            switch (etherType, proto) {
            case (0x0800, 1): return isSource ? .icmpType : .icmpCode
            case (0x86dd, 58): return isSource ? .icmpv6Type : .icmpv6Code
            case (_, 17): return isSource ? .udpSrc : .udpDst
            case (_, 132): return isSource ? .sctpSrc : .sctpDst
            default: return field
            }
        case "icmp_type": return etherType == 0x86dd ? .icmpv6Type : .icmpType
        case "icmp_code": return etherType == 0x86dd ? .icmpv6Code : .icmpCode
        case "nw_src" where etherType == 0x0806 || etherType == 0x8035: return .arpSPA
        case "nw_dst" where etherType == 0x0806 || etherType == 0x8035: return .arpTPA
        default: return field
        }
    }

    private static func setField(_ field: Field, _ token: FlowToken, _ match: inout Match, ports: PortNames) throws(FlowTextError) {
        let name = token.key.lowercased()
        guard token.delimiter != 0x28 else { throw FlowTextError("\"\(excerpt(token.text))\": write \(name)=VALUE in a match") }
        if token.value == "*" || token.value == "ANY", field != .inPort { return }
        if field == .vlanVID12, integer(token.value) == 0xffff {
            // OpenFlow 1.0's way to say "no tag".
            match.set(.vlanTCI, 0)
            return
        }
        var (value, mask) = try parseValue(field, token.value, name: name, ports: ports)
        if mask == 0 { return }
        try checkPrerequisite(of: field, name: name, match)
        switch field {
        case .vlanVID12:
            let tci = match.get(.vlanTCI)
            match.set(.vlanTCI, tci.value & 0xe000 | value | 0x1000, mask: tci.mask | 0x1fff)
            return
        case .vlanPCP:
            let tci = match.get(.vlanTCI)
            match.set(.vlanTCI, tci.value & 0x1fff | value << 13 | 0x1000, mask: tci.mask | 0xf000)
            return
        case .vlanVID:
            // Without the present bit 0x1000 and with a full mask, the OpenFlow value means "no tag".
            if mask == 0x1fff, value & 0x1000 == 0 {
                match.set(.vlanTCI, 0)
                return
            }
        case .nwTOS:
            // The text's nw_tos is the DSCP in place; the two low bits belong to nw_ecn.
            mask = 0xfc
            value &= 0xfc
        case .packetType where value == 0: return
        default: break
        }
        match.set(field, value, mask: mask)
    }

    /// The words that make a field's prerequisite true.
    static func words(for prerequisite: Prerequisite) -> String {
        switch prerequisite {
        case .none: ""
        case .vlan: "dl_vlan"
        case .pbb: "dl_type=0x88e7"
        case .mpls: "mpls"
        case .ipv4: "ip"
        case .ipv6: "ipv6"
        case .ip: "ip or ipv6"
        case .arp: "arp"
        case .tcp: "tcp or tcp6"
        case .udp: "udp or udp6"
        case .sctp: "sctp or sctp6"
        case .icmpv4: "icmp"
        case .icmpv6: "icmp6"
        case .nd: "icmp6,icmp_type=135 or icmp6,icmp_type=136"
        case .ndSolicit: "icmp6,icmp_type=135"
        case .ndAdvert: "icmp6,icmp_type=136"
        case .nsh: "nsh"
        }
    }

    static func checkPrerequisite(of field: Field, name: String, _ match: Match) throws(FlowTextError) {
        if field.prerequisite == .vlan || match.meetsPrerequisites(of: field) { return }
        let alternative: String
        switch (field, match.key[.ethType]) {
        case (.nwSrc, 0x86dd): alternative = " (did you mean \"ipv6_src\"?)"
        case (.nwDst, 0x86dd): alternative = " (did you mean \"ipv6_dst\"?)"
        case (.ipv6Src, 0x0800): alternative = " (did you mean \"nw_src\"?)"
        case (.ipv6Dst, 0x0800): alternative = " (did you mean \"nw_dst\"?)"
        default: alternative = ""
        }
        if name == "tp_src" || name == "tp_dst" {
            throw FlowTextError("\(name) is a port of TCP, UDP or SCTP; add tcp, udp, sctp, tcp6, udp6 or sctp6 to the match")
        }
        throw FlowTextError("\(name) can be matched only together with \(words(for: field.prerequisite))\(alternative)")
    }

    /// The error for a word that is no match field.
    static func unknownWord(_ token: FlowToken) -> FlowTextError {
        if !token.hasValue, let field = matchField(named: token.key.lowercased()) {
            return FlowTextError("\(token.key) needs a value: \(token.key)=\(formatValue(field, 1, mask: field.layout.allOnes))")
        }
        if token.hasValue, shorthands.contains(where: { $0.name == token.key.lowercased() }) {
            return FlowTextError("\(excerpt(token.text)): \(token.key) stands alone and takes no value")
        }
        let names =
            Array(Field.byName.keys) + shorthands.map(\.name) + [
                "tp_src", "tp_dst", "actions", "priority", "table", "cookie", "idle_timeout", "hard_timeout", "importance", "out_port",
                "out_group", "send_flow_rem", "check_overlap", "reset_counts", "no_packet_counts", "no_byte_counts",
            ]
        return FlowTextError("there is no match field \"\(excerpt(token.key))\"\(Suggestion.hint(for: token.key, among: names))")
    }
}
