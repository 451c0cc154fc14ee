// `dpif/*`, `dpctl/*`, `revalidator/*`: ports and cached flows.
//
// There is one datapath. The field has one for each `datapath_type`, named after it (`netdev@ovs-netdev`); so the ports of
// bridges of one type are shown under one name, and cached flows by the port they come in by.

internal import Base
internal import Datapath
internal import DatapathAPI
internal import Flow
internal import Netdev
internal import Pipeline
internal import Switch

extension SwitchCommands {
    func registerDatapathCommands(on registry: CommandRegistry) {
        registry.register("dpif/show", arguments: 0...0) { _ in dpifShow() }
        registry.registerJSON("dpif/show", arguments: 0...0) { _ in dpifShowJSON() }
        registry.register("dpif/dump-dps", arguments: 0...0) { _ in
            pipeline.bridges.map { "\(theSwitch.datapathType(ofBridge: $0.name))@\($0.name)\n" }.sorted().joined()
        }
        registry.register("dpif/dump-flows", usage: "[-m] [--names | --no-names] bridge", arguments: 1...4) {
            (words) throws(CommandError) in
            try dumpBridgeFlows(words)
        }
        registry.register("dpctl/dump-dps", arguments: 0...0) { _ in
            datapathTypes().map { SwitchCommands.datapathName($0) + "\n" }.joined()
        }
        registry.register("dpctl/show", usage: "[-s] [dp...]", arguments: 0...Int(Int16.max)) { (words) throws(CommandError) in
            var types: [String] = []
            for word in words where word != "-s" {
                guard let type = datapathType(named: word) else {
                    throw CommandError("\(program): opening datapath \(word) failed (No such device)")
                }
                types.append(type)
            }
            return (types.isEmpty ? datapathTypes() : types).map { dpctlShow($0, hasStatistics: words.contains("-s")) }.joined()
        }
        registry.register("dpctl/dump-flows", usage: "[-m] [--names] [dp] [filter=..] [type=..] [pmd=..]", arguments: 0...6) {
            (words) throws(CommandError) in try dumpFlows(words)
        }
        registry.register("dpctl/del-flows", usage: "[dp] [file]", arguments: 0...2) { (words) throws(CommandError) in
            if let word = words.first { try checkDatapath(word) }
            datapath.removeAllFlows()
            return ""
        }
        registry.register("dpctl/get-flow", usage: "[dp] ufid", arguments: 1...4) { (words) throws(CommandError) in try getFlow(words) }
        registry.register("upcall/disable-megaflows", arguments: 0...0) { _ in
            pipeline.matchesEverything = true
            datapath.removeAllFlows()
            return "megaflows disabled\n"
        }
        registry.register("upcall/enable-megaflows", arguments: 0...0) { _ in
            pipeline.matchesEverything = false
            datapath.removeAllFlows()
            return "megaflows enabled\n"
        }
        // Flows are listed as they are, with and without identifiers.
        registry.register("upcall/disable-ufid", arguments: 0...0) { _ in "Datapath dumping tersely using UFID disabled\n" }
        registry.register("upcall/enable-ufid", arguments: 0...0) { _ in "Datapath dumping tersely using UFID enabled\n" }
        registry.register("revalidator/purge", arguments: 0...0) { _ in
            datapath.removeAllFlows()
            return ""
        }
        // What they did, maintenance does at once, and whoever stops it cannot tell.
        registry.register("revalidator/pause", arguments: 0...0) { _ in "" }
        registry.register("revalidator/resume", arguments: 0...0) { _ in "" }
        registry.register("revalidator/wait", arguments: 0...0) { _ in
            datapath.runMaintenance()
            return ""
        }
    }

    // MARK: Names

    static func datapathName(_ type: String) -> String { "\(type)@ovs-\(type)" }

    /// The types of the bridges' datapaths.
    func datapathTypes() -> [String] { Set(pipeline.bridges.map { theSwitch.datapathType(ofBridge: $0.name) }).sorted() }

    /// The type that a datapath's name stands for: `netdev@ovs-netdev`, `ovs-netdev`.
    func datapathType(named name: String) -> String? {
        datapathTypes().first { [SwitchCommands.datapathName($0), "ovs-\($0)"].contains(name) }
    }

    func checkDatapath(_ word: String) throws(CommandError) {
        if datapathType(named: word) == nil { throw CommandError("\(program): datapath not found (Invalid argument)") }
    }

    func bridges(of type: String) -> [Bridge] {
        pipeline.bridges.filter { theSwitch.datapathType(ofBridge: $0.name) == type }.sorted { $0.name < $1.name }
    }

    /// As the field prints it: the empty type is `system`, and what stands for `internal` depends on the datapath.
    func interfaceType(_ name: String) -> String {
        switch theSwitch.interfaceType(name) {
        case nil, "": "system"
        case "internal": theSwitch.dummyPort(name) == nil ? "tap" : "dummy-internal"
        case .some(let type): type
        }
    }

    // MARK: Ports

    func totals() -> (hits: UInt64, missed: UInt64, lost: UInt64) {
        datapath.threadStatistics().reduce(into: (0, 0, 0)) { sum, thread in
            sum.0 &+= thread.cacheHits &+ thread.megaflowHits
            sum.1 &+= thread.missedPackets
            sum.2 &+= thread.lostUpcalls
        }
    }

    /// The datapath ports of a type's bridges.
    private func datapathPorts(of type: String) -> Set<DatapathPort> {
        Set(
            bridges(of: type).flatMap(\.ports).compactMap { port -> DatapathPort? in
                if case .datapath(let number) = port.attachment { number } else { nil }
            })
    }

    private func dpctlShow(_ type: String, hasStatistics: Bool) -> String {
        let (hits, missed, lost) = totals()
        let own = datapathPorts(of: type)
        var text = "\(SwitchCommands.datapathName(type)):\n  lookups: hit:\(hits) missed:\(missed) lost:\(lost)\n"
        text += "  flows: \(flows(of: type).count)\n"
        text += "  port 0: ovs-\(type) (\(theSwitch.dummies == .none || type == "netdev" ? "tap" : "dummy-internal"))\n"
        if hasStatistics { text += statistics([:]) }
        for port in datapath.ports() where own.contains(port.port) {
            text += "  port \(port.port.rawValue): \(port.name) (\(interfaceType(port.name)))\n"
            if hasStatistics { text += statistics(theSwitch.interfaceStatistics(port.name)) }
        }
        return text
    }

    private func statistics(_ values: [String: Int64]) -> String {
        func value(_ name: String) -> String { values[name].map(String.init) ?? "?" }
        func count(_ name: String) -> String { String(values[name] ?? 0) }
        return """
                RX packets:\(count("rx_packets")) errors:\(value("rx_errors")) dropped:\(value("rx_dropped")) overruns:? frame:?
                TX packets:\(count("tx_packets")) errors:\(value("tx_errors")) dropped:\(value("tx_dropped")) aborted:? carrier:?
                collisions:\(value("collisions"))
                RX bytes:\(count("rx_bytes"))\(scaled(values["rx_bytes"]))  TX bytes:\(count("tx_bytes"))\(scaled(values["tx_bytes"]))

            """
    }

    /// ` (1.5 MiB)` for what is worth it.
    private func scaled(_ bytes: Int64?) -> String {
        guard let bytes, bytes >= 1024 else { return "" }
        let units: [(Int, String)] = [(40, "TiB"), (30, "GiB"), (20, "MiB"), (10, "KiB")]
        let unit = units.first { bytes >= 1 << Int64($0.0) }!
        return " (\(fixed(Double(bytes) / Double(1 << Int64(unit.0)), 1)) \(unit.1))"
    }

    // MARK: Flows

    private func portNames() -> [DatapathPort: String] { Dictionary(datapath.ports().map { ($0.port, $0.name) }, uniquingKeysWith: { $1 }) }

    /// The cached flows of packets that come in by a type's ports.
    private func flows(of type: String?) -> [MegaflowSnapshot] {
        guard let type else { return datapath.megaflows() }
        let own = datapathPorts(of: type)
        return datapath.megaflows().filter { own.contains(DatapathPort(UInt32(truncatingIfNeeded: $0.match.key[.datapathInPort]))) }
    }

    private func dumpFlows(_ words: [String]) throws(CommandError) -> String {
        var names: [DatapathPort: String] = [:]
        var showsAll = false
        var filter: Match?
        var type: String?
        var kinds: Set<String> = ["all"]
        for word in words {
            if word == "--names" {
                names = portNames()
            } else if word == "-m" || word == "--more" {
                showsAll = true
            } else if word == "--no-names" {
                names = [:]
            } else if word.hasPrefix("filter=") {
                do throws(FlowTextError) {
                    // Values may be in parentheses, as the datapath writes them.
                    let text = word.dropFirst("filter=".count).map { $0 == "(" ? "=" : $0 }.filter { $0 != ")" }
                    filter = try FlowText.parseMatch(String(text))
                } catch {
                    throw CommandError("\(program): Failed to parse filter (\(error.message))")
                }
            } else if word.hasPrefix("type=") {
                for kind in word.dropFirst(5).split(separator: ",") {
                    guard ["ovs", "tc", "dpdk", "offloaded", "partially-offloaded", "non-offloaded", "all"].contains(kind) else {
                        throw CommandError("\(program): Failed to parse type (\(kind)) (Invalid argument)")
                    }
                }
                kinds = Set(word.dropFirst(5).split(separator: ",").map(String.init))
            } else if word.hasPrefix("pmd=") {
                // Each flow serves all PMD threads.
                continue
            } else if word.hasPrefix("-") {
                throw CommandError("Unrecognized option \(word)")
            } else {
                try checkDatapath(word)
                type = datapathType(named: word)
            }
        }
        if type == nil, datapathTypes().count > 1 {
            throw CommandError("\(program): multiple datapaths, specify one (Invalid argument)")
        }
        datapath.pushStatistics()
        let found = flows(of: type).filter { flow in
            (filter.map { SwitchCommands.agrees(flow.match, $0) } ?? true) && SwitchCommands.isOf(kinds, flow)
        }
        // The field's flows belong to threads. Here they are shared; without PMD threads the name of the one that is left is right.
        let title = found.isEmpty || !datapath.pmdStatistics().isEmpty ? "" : "flow-dump from the main thread:\n"
        return title + lines(found, names, showsAll: showsAll, layer: "ovs")
    }

    private func dumpBridgeFlows(_ words: [String]) throws(CommandError) -> String {
        var names: [DatapathPort: String] = [:]
        var bridge: Bridge?
        var showsAll = false
        for word in words {
            if word == "--names" {
                names = portNames()
            } else if word == "-m" || word == "--more" {
                showsAll = true
                // In full means with names, too.
                if !words.contains("--no-names") { names = portNames() }
            } else if word.hasPrefix("-") {
                guard word == "--no-names" else { throw CommandError("Unrecognized option \(word)") }
            } else {
                bridge = try self.bridge(word)
            }
        }
        guard let bridge else { throw CommandError("no such bridge") }
        let own = Set(
            bridge.ports.compactMap { port -> DatapathPort? in
                if case .datapath(let number) = port.attachment { number } else { nil }
            })
        datapath.pushStatistics()
        return lines(
            datapath.megaflows().filter { own.contains(DatapathPort(UInt32(truncatingIfNeeded: $0.match.key[.datapathInPort]))) }, names,
            showsAll: showsAll, isBridge: true)
    }

    private func lines(
        _ flows: [MegaflowSnapshot], _ names: [DatapathPort: String], showsAll: Bool = false, layer: String? = nil,
        isBridge: Bool = false
    ) -> String {
        let now = clock.now
        return flows.map { flow in
            var text = DatapathText.format(
                flow, now: now, showsAll: showsAll, layer: layer, portName: { names[$0] },
                punt: { pipeline.describePunt($0, length: $1) })
            // Of a bridge's flows the identifier stands apart.
            if showsAll, isBridge, let comma = text.firstIndex(of: ",") { text.remove(at: comma) }
            return text + "\n"
        }.joined()
    }

    /// The flow with an identifier, as `dpctl/dump-flows -m` shows it.
    private func getFlow(_ words: [String]) throws(CommandError) -> String {
        var names: [DatapathPort: String] = [:]
        var identifier: String?
        for word in words {
            if word == "--names" {
                names = portNames()
            } else if word.hasPrefix("ufid:") {
                identifier = String(word.dropFirst(5))
            } else if !word.hasPrefix("-"), !word.hasPrefix("pmd=") {
                try checkDatapath(word)
            }
        }
        guard let identifier else { throw CommandError("\(program): either the ufid or a flow must be given (Invalid argument)") }
        datapath.pushStatistics()
        guard let flow = datapath.megaflows().first(where: { $0.identifier == identifier }) else {
            throw CommandError("\(program): getting flow (No such file or directory)")
        }
        return lines([flow], names)
    }

    /// Whether a packet of the flow can match the filter: they do not contradict each other.
    private static func agrees(_ flow: Match, _ filter: Match) -> Bool {
        var both = FlowMask()
        for word in 0..<FlowKey.wordCount { both.bits.words[word] = flow.mask.bits.words[word] & filter.mask.bits.words[word] }
        return both.agrees(flow.key, filter.key)
    }
}
