// Lists of datapath actions, as people and scripts know them: what changes one header is one `set(...)`.

public import Flow

extension DatapathText {
    /// Prints datapath actions; the empty list is `drop`.
    ///
    /// - Parameters:
    ///   - key: the packet they are for, as far as it is known: says which of the headers a field is of.
    ///   - mask: what is known of it; all, if nil.
    ///   - punt: what a packet for the control plane goes with, in `userspace(...)`.
    public static func format(
        _ actions: [DatapathAction], of key: FlowKey? = nil, mask: FlowMask? = nil, portName: (DatapathPort) -> String? = { _ in nil },
        punt: (PuntToken, UInt16) -> String? = { _, _ in nil }
    ) -> String {
        var words: [String] = []
        var context = key
        /// The types of the packet's tags, outermost first, as far as they are known.
        var tagTypes =
            key.map { [UInt16($0.load(at: FlowOffset.vlanTPID, count: 2)), UInt16($0.load(at: FlowOffset.vlanTPID2, count: 2))] } ?? []
        /// Of the header that is being changed: its name, and what it gets.
        var group = ""
        var fields: [(field: Field, value: UInt128, mask: UInt128)] = []
        func finish() {
            if !fields.isEmpty { words.append(setText(group, fields, context, mask, tagType: tagTypes.first ?? 0)) }
            fields = []
        }
        for action in actions {
            if case .set(let field, let value, let bits) = action, field != .skbPriority {
                let name = groupName(of: field, context)
                if name != group || group.isEmpty { finish() }
                // A label that was just pushed is pushed as it shall be.
                if fields.isEmpty, name == "mpls", case .pushMPLS(let type, let entry)? = lastPush(words, actions, action) {
                    words[words.count - 1] = format(.pushMPLS(etherType: type, entry: entry))
                    continue
                }
                group = name
                fields.append((field, value, bits))
                continue
            }
            finish()
            group = ""
            switch action {
            case .clone(let inner): words.append("clone(\(format(inner, of: context, mask: mask, portName: portName, punt: punt)))")
            case .punt(let token, let length): words.append(punt(token, length).map { "userspace(\($0))" } ?? format(action))
            case .pushMPLS(let type, _), .popMPLS(let type):
                // What the labels are from here on is not followed.
                context?[.ethType] = [0x8847, 0x8848].contains(type) ? 0 : UInt128(type)
                words.append(format(action, portName: portName))
            default:
                if case .pushVLAN(let type, _) = action { tagTypes.insert(type, at: 0) }
                if case .popVLAN = action, !tagTypes.isEmpty { tagTypes.removeFirst() }
                words.append(format(action, portName: portName))
            }
        }
        finish()
        return words.isEmpty ? "drop" : words.joined(separator: ",")
    }

    /// The push of a label right before a change of it, with that change and those before it made.
    private static func lastPush(_ words: [String], _ actions: [DatapathAction], _ change: DatapathAction) -> DatapathAction? {
        guard words.last?.hasPrefix("push_mpls(") == true, let end = actions.firstIndex(of: change) else { return nil }
        guard let start = actions[..<end].lastIndex(where: { if case .pushMPLS = $0 { true } else { false } }),
            case .pushMPLS(let type, var entry) = actions[start]
        else { return nil }
        for action in actions[(start + 1)...end] {
            guard case .set(let field, let value, let mask) = action else { return nil }
            let shift: UInt32
            switch field {
            case .mplsLabel: shift = 12
            case .mplsTC: shift = 9
            case .mplsTTL: shift = 0
            default: return nil
            }
            entry = entry & ~(UInt32(truncatingIfNeeded: mask) << shift) | UInt32(truncatingIfNeeded: value & mask) << shift
        }
        return .pushMPLS(etherType: type, entry: entry)
    }

    /// The header a field is of.
    private static func groupName(of field: Field, _ key: FlowKey?) -> String {
        let name = MatchWriter.datapathName(of: field).group
        guard name == "ip" else { return name }
        guard let key else { return name }
        return key[.ethType] == 0x86dd ? "ipv6" : "ipv4"
    }

    /// In the order in which the datapath's syntax has them.
    private static let order = [
        "src", "dst", "sip", "tip", "op", "sha", "tha", "label", "proto", "tos", "tclass", "tc", "ttl", "hlimit", "bos", "type", "code",
        "target", "sll", "tll",
    ]

    private static func setText(
        _ group: String, _ fields: [(field: Field, value: UInt128, mask: UInt128)], _ key: FlowKey?, _ known: FlowMask?, tagType: UInt16
    ) -> String {
        if group.isEmpty {
            return fields.map { one in
                let name = MatchWriter.datapathName(of: one.field).name
                return "set(\(name)(\(MatchWriter.value(one.field, name, one.value & one.mask, one.mask))))"
            }.joined(separator: ",")
        }
        // A tag is changed by taking it off and putting the new one on.
        if group == "vlan", let key, fields.allSatisfy({ $0.field == .vlanTCI }),
            known.map({ $0.bits[.vlanTCI] | 0x1000 == 0xffff }) ?? true
        {
            let tci = fields.reduce(key[.vlanTCI]) { $0 & ~$1.mask | $1.value & $1.mask }
            return "pop_vlan," + format(.pushVLAN(tpid: tagType == 0 ? 0x8100 : tagType, tci: UInt16(truncatingIfNeeded: tci)))
        }
        var fields = fields
        // A label is set as a whole, where the whole is known.
        if group == "mpls", let key, known == nil, [0x8847, 0x8848].contains(key[.ethType]) {
            for field in [.mplsLabel, .mplsTC, .mplsTTL, .mplsBOS] as [Field] where !fields.contains(where: { $0.field == field }) {
                fields.append((field, key[field], field.layout.allOnes))
            }
        }
        var parts: [(name: String, text: String)] = []
        for (field, value, mask) in fields {
            var name = MatchWriter.datapathName(of: field).name
            var (value, mask) = (value, mask)
            if group == "ipv6" || group == "ipv4" {
                if field == .nwTTL { name = group == "ipv6" ? "hlimit" : "ttl" }
                if field == .nwTOS { name = group == "ipv6" ? "tclass" : "tos" }
                // Parts of the one byte.
                if field == .ipDSCP || field == .nwECN {
                    name = group == "ipv6" ? "tclass" : "tos"
                    if field == .ipDSCP { (value, mask) = (value << 2, mask << 2) }
                }
            }
            let shown: Field = field == .ipDSCP || field == .nwECN ? .nwTOS : field
            parts.append((name, "\(name)=\(MatchWriter.value(shown, name, value & mask, mask))"))
        }
        let sorted = parts.sorted { (order.firstIndex(of: $0.name) ?? 99) < (order.firstIndex(of: $1.name) ?? 99) }
        return "set(\(group)(\(sorted.map(\.text).joined(separator: ","))))"
    }
}
