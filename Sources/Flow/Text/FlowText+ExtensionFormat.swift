// Printing the actions that carry more than a value: learn, multipath, bundle, sample, encap, ct, nat.

internal import Wire

extension FlowText {
    static func format(_ action: MultipathAction) -> String {
        "multipath(\(action.fields.text),\(action.basis),\(action.algorithm.text),\(Int(action.lastLink) + 1),\(action.argument),"
            + "\(format(action.destination)))"
    }

    static func format(_ action: BundleAction, ports: PortNames) -> String {
        let name = action.destination == nil ? "bundle" : "bundle_load"
        let target = action.destination.map { format($0) + "," } ?? ""
        let members = action.members.map { $0.text(names: ports) }.joined(separator: ",")
        return "\(name)(\(action.fields.text),\(action.basis),\(action.algorithm.text),ofport,\(target)members:\(members))"
    }

    static func format(_ action: SampleAction, ports: PortNames) -> String {
        func number(_ number: ActionNumber) -> String {
            switch number {
            case .value(let value): String(value)
            case .field(let field): format(field)
            }
        }
        var text = "sample(probability=\(action.probability),collector_set_id=\(action.collectorSetID)"
        text += ",obs_domain_id=\(number(action.observationDomain)),obs_point_id=\(number(action.observationPoint))"
        if let port = action.samplingPort { text += ",sampling_port=\(port.text(names: ports))" }
        switch action.direction {
        case .unspecified: break
        case .ingress: text += ",ingress"
        case .egress: text += ",egress"
        }
        return text + ")"
    }

    static func formatFinTimeout(idle: UInt16, hard: UInt16) -> String {
        var parts: [String] = []
        if idle != 0 { parts.append("idle_timeout=\(idle)") }
        if hard != 0 { parts.append("hard_timeout=\(hard)") }
        return "fin_timeout(\(parts.joined(separator: ",")))"
    }

    static func format(_ action: EncapsulateAction) -> String {
        let name = encapsulations.first { $0.type == action.packetType }?.name ?? "UNKNOWN"
        let properties = action.properties.map { property in
            switch property {
            case .mdType(let type): "md_type=\(type)"
            case .tlv(let tlvClass, let type, let data): "tlv(\(hex(tlvClass, digits: 4)),\(type),0x\(hexDigits(data)))"
            }
        }
        return "encap(\(name)" + (properties.isEmpty ? "" : "(\(properties.joined(separator: ",")))") + ")"
    }

    static func formatDecapsulate(_ type: PacketType) -> String {
        type == .useNextProtocol ? "decap()" : "decap(packet_type(ns=\(type.nameSpace),type=\(hex(type.type))))"
    }

    static let encapsulations: [(name: String, type: PacketType)] = [
        ("ethernet", .ethernet), ("nsh", .nsh), ("mpls", .mpls), ("mpls_mc", .mplsMulticast),
    ]

    static func hexDigits(_ bytes: [UInt8]) -> String { bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined() }

    // MARK: learn

    static func format(_ action: LearnAction, ports: PortNames) -> String {
        var parts = ["table=\(action.table)"]
        if action.idleTimeout != 0 { parts.append("idle_timeout=\(action.idleTimeout)") }
        if action.hardTimeout != 0 { parts.append("hard_timeout=\(action.hardTimeout)") }
        if action.finIdleTimeout != 0 { parts.append("fin_idle_timeout=\(action.finIdleTimeout)") }
        if action.finHardTimeout != 0 { parts.append("fin_hard_timeout=\(action.finHardTimeout)") }
        if action.priority != 32768 { parts.append("priority=\(action.priority)") }
        if action.sendsFlowRemoved { parts.append("send_flow_rem") }
        if action.deletesLearned { parts.append("delete_learned") }
        if action.cookie != 0 { parts.append("cookie=\(hex(action.cookie))") }
        if action.limit != 0 { parts.append("limit=\(action.limit)") }
        if let result = action.resultDestination { parts.append("result_dst=\(format(result))") }
        return "learn(\((parts + action.specs.map { format($0, ports: ports) }).joined(separator: ",")))"
    }

    /// The immediate values of learn are printed as the bytes that hold them.
    private static func immediate(_ value: UInt128, bits: Int) -> String {
        let text = String(value, radix: 16)
        let digits = (bits + 7) / 8 * 2
        return value == 0 ? "0" : "0x" + (text.count > digits ? String(text.suffix(digits)) : text)
    }

    private static func format(_ spec: LearnSpec, ports: PortNames) -> String {
        switch (spec.source, spec.target) {
        case (.immediate(let value), .match(let target)):
            let isWhole = target.offset == 0 && target.bits == target.field.layout.bits
            return isWhole
                ? "\(target.field.name)=\(formatValue(target.field, value, mask: target.field.layout.allOnes, ports: ports))"
                : "\(format(target))=\(immediate(value, bits: spec.bits))"
        case (.field(let source), .match(let target)):
            return source.field == target.field && source.offset == target.offset
                ? format(target) : "\(format(target))=\(format(source))"
        case (.immediate(let value), .load(let target)): return "load:\(immediate(value, bits: spec.bits))->\(format(target))"
        case (.field(let source), .load(let target)): return "load:\(format(source))->\(format(target))"
        case (.field(let source), .output): return "output:\(format(source))"
        case (.immediate(let value), .output): return "output:\(immediate(value, bits: spec.bits))"
        }
    }

    // MARK: ct

    static func format(_ action: ConnectionTrackAction, ports: PortNames) -> String {
        var parts: [String] = []
        if action.commits { parts.append("commit") }
        if action.forces { parts.append("force") }
        if let table = action.table { parts.append("table=\(table)") }
        switch action.zone {
        case .value(0): break
        case .value(let zone): parts.append("zone=\(zone)")
        case .field(let field): parts.append("zone=\(format(field))")
        }
        var rest = action.actions[...]
        // A NAT that comes first is printed outside of exec.
        if case .nat(let nat)? = rest.first {
            parts.append(format(nat))
            rest = rest.dropFirst()
        }
        if !rest.isEmpty { parts.append("exec(\(format(Array(rest), ports: ports)))") }
        switch action.helper {
        case 0: break
        case 21: parts.append("alg=ftp")
        case 69: parts.append("alg=tftp")
        default: parts.append("alg=\(action.helper)")
        }
        return "ct(\(parts.joined(separator: ",")))"
    }

    static func format(_ action: NATAction) -> String {
        guard !action.flags.isDisjoint(with: [.source, .destination]) else { return "nat" }
        var text = action.flags.contains(.source) ? "src" : "dst"
        let isBracketed = action.firstPort != 0
        func ipv6(_ address: UInt128) -> String { isBracketed ? "[\(IPv6Address(address))]" : "\(IPv6Address(address))" }
        switch action.addresses {
        case .none: return "nat(\(text))"
        case .ipv4(let first, let last):
            text += "=\(IPv4Address(first))" + (last != 0 && last != first ? "-\(IPv4Address(last))" : "")
        case .ipv6(let first, let last):
            text += "=\(ipv6(first))" + (last != 0 && last != first ? "-\(ipv6(last))" : "")
        }
        if action.firstPort != 0 {
            text += ":\(action.firstPort)"
            if action.lastPort != 0, action.lastPort != action.firstPort { text += "-\(action.lastPort)" }
        }
        if action.flags.contains(.persistent) { text += ",persistent" }
        if action.flags.contains(.hash) { text += ",hash" }
        if action.flags.contains(.random) { text += ",random" }
        return "nat(\(text))"
    }
}
