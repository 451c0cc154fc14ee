// The control commands that look into the switch. Names and forms are the field's; `ovs-appctl`'s users and their scripts
// know them.
//
// One file a family: `+Trace`, `+Threads`, `Coverage`. Everything here reads; what it reads says itself from which threads
// it may be read.

internal import Base
internal import Datapath
internal import DatapathAPI
internal import Flow
internal import Pipeline
internal import Switch

/// Registers the commands of a running switch. Only on the control loop's thread.
struct SwitchCommands {
    /// The one datapath's name, as the field writes it.
    static let datapathName = "netdev@ovs-netdev"

    let theSwitch: Switch
    let pipeline: SwitchPipeline
    let datapath: Datapath
    let clock: Clock
    let coverage: Coverage

    init(theSwitch: Switch, pipeline: SwitchPipeline, datapath: Datapath, loop: ControlLoop) {
        self.theSwitch = theSwitch
        self.pipeline = pipeline
        self.datapath = datapath
        clock = loop.clock
        coverage = Coverage(datapath: datapath, timers: loop.timers)
    }

    /// Adds all commands.
    func register(on registry: CommandRegistry) {
        registry.register("dpif/show", arguments: 0...0) { _ in dpifShow() }
        registry.register("dpif/dump-dps", arguments: 0...0) { _ in SwitchCommands.datapathName + "\n" }
        registry.register("dpif/dump-flows", usage: "[-m] [--names | --no-names] bridge", arguments: 1...4) {
            (words) throws(CommandError) in
            try dumpBridgeFlows(words)
        }
        registry.register("dpctl/dump-dps", arguments: 0...0) { _ in SwitchCommands.datapathName + "\n" }
        registry.register("dpctl/show", usage: "[-s] [dp...]", arguments: 0...8) { (words) throws(CommandError) in
            try checkDatapath(words)
            return dpctlShow()
        }
        registry.register("dpctl/dump-flows", usage: "[-m] [--names] [dp] [filter=..] [type=..] [pmd=..]", arguments: 0...6) {
            (words) throws(CommandError) in try dumpFlows(words)
        }
        registry.register("dpctl/del-flows", usage: "[dp]", arguments: 0...1) { (words) throws(CommandError) in
            try checkDatapath(words)
            datapath.removeAllFlows()
            return ""
        }
        registry.register("revalidator/purge", arguments: 0...0) { _ in
            datapath.removeAllFlows()
            return ""
        }
        registry.register("revalidator/wait", arguments: 0...0) { _ in
            datapath.runMaintenance()
            return ""
        }
        registry.register("fdb/show", usage: "bridge", arguments: 1...1) { (words) throws(CommandError) in try fdbShow(words[0]) }
        registry.register("fdb/flush", usage: "[bridge]", arguments: 0...1) { (words) throws(CommandError) in
            for bridge in words.isEmpty ? pipeline.bridges : [try self.bridge(words[0])] { bridge.flushLearnedAddresses() }
            return "table successfully flushed\n"
        }
        registry.register("ofproto/list", arguments: 0...0) { _ in pipeline.bridges.map { $0.name + "\n" }.sorted().joined() }
        registry.register("upcall/show", arguments: 0...0) { _ in upcallShow() }
        registry.register("memory/show", arguments: 0...0) { _ in memoryShow() }
        registry.register("coverage/show", arguments: 0...0) { _ in coverage.show() }
        registry.register("coverage/read-counter", usage: "COUNTER", arguments: 1...1) { (words) throws(CommandError) in
            guard let value = coverage.counters()[words[0]] else { throw CommandError("No such counter") }
            return "\(value)\n"
        }
        registerThreadCommands(on: registry)
        registerTrace(on: registry)
    }

    // MARK: Bridges and ports

    func bridge(_ name: String) throws(CommandError) -> Bridge {
        guard let bridge = pipeline.bridge(named: name) else { throw CommandError("no such bridge") }
        return bridge
    }

    private func totals() -> (hits: UInt64, missed: UInt64, lost: UInt64) {
        datapath.threadStatistics().reduce(into: (0, 0, 0)) { sum, thread in
            sum.0 &+= thread.cacheHits &+ thread.megaflowHits
            sum.1 &+= thread.missedPackets
            sum.2 &+= thread.lostUpcalls
        }
    }

    private func dpifShow() -> String {
        let (hits, missed, _) = totals()
        var text = "\(SwitchCommands.datapathName): hit:\(hits) missed:\(missed)\n"
        for bridge in pipeline.bridges.sorted(by: { $0.name < $1.name }) {
            text += "  \(bridge.name):\n"
            for port in bridge.ports.sorted(by: { $0.name < $1.name }) {
                let number = port.number == .local ? 65534 : port.number.rawValue
                switch port.attachment {
                case .datapath(let datapathPort):
                    text += "    \(port.name) \(number)/\(datapathPort.rawValue): (\(interfaceType(port.name)))\n"
                case .patch(let peer):
                    text += "    \(port.name) \(number)/none: (patch: peer=\(peer))\n"
                }
            }
        }
        return text
    }

    private func dpctlShow() -> String {
        let (hits, missed, lost) = totals()
        var text = "\(SwitchCommands.datapathName):\n  lookups: hit:\(hits) missed:\(missed) lost:\(lost)\n"
        text += "  flows: \(datapath.flowTableStatistics().flows)\n"
        for port in datapath.ports() { text += "  port \(port.port.rawValue): \(port.name) (\(interfaceType(port.name)))\n" }
        return text
    }

    /// As the field prints it: an internal port is a tap device, the empty type is `system`.
    private func interfaceType(_ name: String) -> String {
        switch theSwitch.interfaceType(name) {
        case nil, "": "system"
        case "internal": "tap"
        case .some(let type): type
        }
    }

    // MARK: Flows

    private func checkDatapath(_ words: [String]) throws(CommandError) {
        for word in words where !word.hasPrefix("-") && word != SwitchCommands.datapathName && word != "ovs-netdev" {
            throw CommandError("datapath \(word) not found; the only one is \(SwitchCommands.datapathName)")
        }
    }

    private func portNames() -> [DatapathPort: String] { Dictionary(datapath.ports().map { ($0.port, $0.name) }, uniquingKeysWith: { $1 }) }

    private func dumpFlows(_ words: [String]) throws(CommandError) -> String {
        var names: [DatapathPort: String] = [:]
        var filter: Match?
        for word in words {
            if word == "--names" {
                names = portNames()
            } else if word == "-m" || word == "--more" || word == "--no-names" {
                continue
            } else if word.hasPrefix("filter=") {
                do throws(FlowTextError) {
                    filter = try FlowText.parseMatch(word.dropFirst("filter=".count))
                } catch {
                    throw CommandError(error.message)
                }
            } else if word.hasPrefix("type=") || word.hasPrefix("pmd=") {
                // All flows are the userspace datapath's, and each serves all PMD threads.
                if word.hasPrefix("type="), !["type=ovs", "type=non-offloaded", "type=all"].contains(word) { return "" }
            } else if word.hasPrefix("-") {
                throw CommandError("Unrecognized option \(word)")
            } else {
                try checkDatapath([word])
            }
        }
        datapath.pushStatistics()
        return lines(datapath.megaflows().filter { flow in filter.map { SwitchCommands.agrees(flow.match, $0) } ?? true }, names)
    }

    private func dumpBridgeFlows(_ words: [String]) throws(CommandError) -> String {
        var names: [DatapathPort: String] = [:]
        var bridge: Bridge?
        for word in words {
            if word == "--names" {
                names = portNames()
            } else if word.hasPrefix("-") {
                guard ["-m", "--more", "--no-names"].contains(word) else { throw CommandError("Unrecognized option \(word)") }
            } else {
                bridge = try self.bridge(word)
            }
        }
        guard let bridge else {
            throw CommandError("the bridge is missing; there are \(pipeline.bridges.map(\.name).sorted().joined(separator: ", "))")
        }
        let own = Set(
            bridge.ports.compactMap { port -> DatapathPort? in
                if case .datapath(let number) = port.attachment { number } else { nil }
            })
        return lines(
            datapath.megaflows().filter { own.contains(DatapathPort(UInt32(truncatingIfNeeded: $0.match.key[.datapathInPort]))) }, names)
    }

    private func lines(_ flows: [MegaflowSnapshot], _ names: [DatapathPort: String]) -> String {
        let now = clock.now
        return flows.map { DatapathText.format($0, now: now, portName: { names[$0] }) + "\n" }.sorted().joined()
    }

    /// Whether a packet of the flow can match the filter: they do not contradict each other.
    private static func agrees(_ flow: Match, _ filter: Match) -> Bool {
        var both = FlowMask()
        for word in 0..<FlowKey.wordCount { both.bits.words[word] = flow.mask.bits.words[word] & filter.mask.bits.words[word] }
        return both.agrees(flow.key, filter.key)
    }

    // MARK: MAC learning

    private func fdbShow(_ name: String) throws(CommandError) -> String {
        var text = " port  VLAN  MAC                Age\n"
        for entry in try bridge(name).learnedAddresses() {
            let port = entry.port == .local ? "LOCAL" : String(entry.port.rawValue)
            text +=
                "\(right(port, 5))  \(right(String(entry.vlan), 4))  \(FlowText.formatValue(.ethSrc, UInt128(entry.address), mask: Field.ethSrc.layout.allOnes))  \(right(String(entry.ageSeconds), 3))\n"
        }
        return text
    }

    // MARK: Sizes

    private func upcallShow() -> String {
        let flows = datapath.flowTableStatistics()
        return """
            \(SwitchCommands.datapathName):
              flows         : (current \(flows.flows)) (masks \(flows.masks)) (limit \(flows.limit))
              installed     : \(flows.installed), expired \(flows.expired), evicted \(flows.evicted), retranslated \(flows.retranslated)
              masks rounded : \(flows.laddered) to the ladder, \(flows.exact) to the exact flow
              refused       : \(flows.installsRefused)

            """
    }

    private func memoryShow() -> String {
        let flows = datapath.flowTableStatistics()
        var items = [
            "bridges:\(pipeline.bridges.count)", "masks:\(flows.masks)", "megaflows:\(flows.flows)", "ports:\(datapath.ports().count)",
            "rules:\(pipeline.bridges.reduce(0) { $0 + $1.flowCount })", "threads:\(datapath.threadStatistics().count)",
        ]
        if let resident = ProcessMemory.residentKilobytes { items.append("resident-kB:\(resident)") }
        return items.sorted().joined(separator: " ") + "\n"
    }
}

/// Right-aligned.
func right(_ text: String, _ width: Int) -> String { String(repeating: " ", count: max(0, width - text.count)) + text }
/// Left-aligned.
func left(_ text: String, _ width: Int) -> String { text + String(repeating: " ", count: max(0, width - text.count)) }
