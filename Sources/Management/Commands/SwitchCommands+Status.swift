// Commands that show flows of all tables, and those about things that no bridge here has: they answer as the field does for a
// switch that has none of them.

internal import Base
internal import Flow
internal import Pipeline

extension SwitchCommands {
    func registerStatusCommands(on registry: CommandRegistry) {
        registry.register("bridge/dump-flows", usage: "[--offload-stats] bridge", arguments: 1...2) { (words) throws(CommandError) in
            guard let bridge = words.last.flatMap({ pipeline.bridge(named: $0) }) else { throw CommandError("Unknown bridge") }
            return dumpAllFlows(bridge)
        }
        registry.register("dpif/show-dp-features", usage: "bridge", arguments: 1...1) { (words) throws(CommandError) in
            _ = try bridge(words[0])
            return SwitchCommands.features.map { "\($0.name): \($0.value)\n" }.joined()
        }
        registry.register("dpctl/list-commands", arguments: 0...0) { [unowned registry] _ in
            let lines = registry.list.split(separator: "\n").filter { $0.hasPrefix("  dpctl/") }
            return "The available commands are:\n" + lines.map { $0 + "\n" }.joined()
        }
        registry.register("ofproto/list-tunnels", arguments: 0...0) { _ in "" }
        for name in ["bond/show", "lacp/show", "lacp/show-stats", "cfm/show", "bfd/show"] {
            registry.register(name, usage: name.hasPrefix("bfd") || name.hasPrefix("cfm") ? "[interface]" : "[port]", arguments: 0...1) {
                (words) throws(CommandError) in
                guard let word = words.first else { return "" }
                switch name.prefix(3) {
                case "bon": throw CommandError("no such bond")
                case "lac": throw CommandError("no such lacp object")
                case "cfm": throw CommandError("no such CFM object")
                default: throw CommandError("no such bfd object: \(word)")
                }
            }
        }
        registry.register("bond/list", arguments: 0...0) { _ in "bond\ttype\trecircID\tmembers\n" }
        registry.register("stp/show", usage: "[bridge]", arguments: 0...1) { (words) throws(CommandError) in
            if words.isEmpty { return "" }
            throw CommandError("no such stp object")
        }
        registry.register("rstp/show", usage: "[bridge]", arguments: 0...1) { (words) throws(CommandError) in
            if words.isEmpty { return "" }
            throw CommandError("No such RSTP object")
        }
        for name in ["mdb/show", "mdb/flush"] {
            registry.register(name, usage: name == "mdb/show" ? "bridge" : "[bridge]", arguments: (name == "mdb/show" ? 1 : 0)...1) {
                (words) throws(CommandError) in
                guard let word = words.first else { return "" }
                _ = try bridge(word)
                throw CommandError("multicast snooping is disabled")
            }
        }
    }

    /// All rules, in the order of their tables.
    private func dumpAllFlows(_ bridge: Bridge) -> String {
        let now = clock.now
        let rules = bridge.flows().sorted { ($0.table, $1.priority) < ($1.table, $0.priority) }
        return rules.map { rule in
            var text = rule.table == 0 ? "" : "table_id=\(rule.table), "
            text += "duration=\(now.milliseconds(since: rule.created) / 1000)s, n_packets=\(rule.counters.packets), "
            text += "n_bytes=\(rule.counters.bytes), "
            let match = FlowText.format(rule.match, priority: UInt16(truncatingIfNeeded: rule.priority))
            return text + match + ",actions=" + FlowText.format(rule.actions) + "\n"
        }.joined()
    }

    /// What the datapath can do, in the field's words.
    private static let features: [(name: String, value: String)] = [
        ("Masked set action", "Yes"), ("Tunnel push pop", "No"), ("Ufid", "No"), ("Truncate action", "Yes"), ("Clone action", "Yes"),
        ("Sample nesting", "0"), ("Conntrack eventmask", "No"), ("Conntrack clear", "No"), ("Max dp_hash algorithm", "1"),
        ("Check pkt length action", "Yes"), ("Conntrack timeout policy", "No"), ("Explicit Drop action", "Yes"),
        ("Optimized Balance TCP mode", "No"), ("Conntrack all-zero IP SNAT", "No"), ("MPLS Label add", "No"), ("Max VLAN headers", "2"),
        ("Max MPLS depth", "3"), ("Recirc", "Yes"), ("CT state", "No"), ("CT zone", "No"), ("CT mark", "No"), ("CT label", "No"),
        ("CT state NAT", "No"), ("CT orig tuple", "No"), ("CT orig tuple for IPv6", "No"), ("IPv6 ND Extension", "No"),
    ]
}
