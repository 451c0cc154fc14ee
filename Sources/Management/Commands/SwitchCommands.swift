// The control commands that need the switch, with the field's names and formats (ovs-appctl's).

internal import Base
internal import Datapath
internal import DatapathAPI
internal import Flow
internal import Pipeline
internal import Switch

/// Only on the control loop's thread.
struct SwitchCommands {
    /// The one datapath's name, as tools know the userspace datapath.
    private static let datapathName = "netdev@ovs-netdev"

    let theSwitch: Switch
    let pipeline: SwitchPipeline
    let datapath: Datapath
    let clock: Clock

    func register(in registry: CommandRegistry) {
        registry.register("dpif/show", arguments: 0...0) { _ throws(CommandError) in self.showDatapath() }
        registry.register("dpif/dump-dps", arguments: 0...0) { _ throws(CommandError) in Self.datapathName + "\n" }
        registry.register("dpctl/dump-dps", arguments: 0...0) { _ throws(CommandError) in Self.datapathName + "\n" }
        registry.register("dpctl/dump-flows", usage: "[-m] [--names | --no-names] [dp] [filter=..] [type=..]", arguments: 0...6) {
            arguments throws(CommandError) in try self.dumpFlows(arguments)
        }
        registry.register("dpctl/del-flows", usage: "[dp]", arguments: 0...1) { _ throws(CommandError) in
            self.datapath.removeAllFlows()
            return ""
        }
        registry.register("dpctl/show", usage: "[-s] [dp]", arguments: 0...2) { _ throws(CommandError) in self.showPorts() }
        registry.register("upcall/show", arguments: 0...0) { _ throws(CommandError) in self.showUpcalls() }
        registry.register("revalidator/purge", arguments: 0...0) { _ throws(CommandError) in
            self.datapath.removeAllFlows()
            return ""
        }
        registry.register("revalidator/wait", arguments: 0...0) { _ throws(CommandError) in
            self.datapath.runMaintenance()
            return ""
        }
        registry.register("fdb/show", usage: "bridge", arguments: 1...1) { arguments throws(CommandError) in
            try self.showLearned(arguments[0])
        }
        registry.register("fdb/flush", usage: "[bridge]", arguments: 0...1) { arguments throws(CommandError) in
            for bridge in try arguments.first.map({ name throws(CommandError) in [try self.bridge(name)] }) ?? self.pipeline.bridges {
                bridge.flushLearnedAddresses()
            }
            return "table successfully flushed\n"
        }
        registry.register("ofproto/list", arguments: 0...0) { _ throws(CommandError) in
            self.pipeline.bridges.map { $0.name + "\n" }.joined()
        }
        registry.register("ofproto/trace", usage: "bridge flow [-generate|packet]", arguments: 2...3) {
            arguments throws(CommandError) in try self.trace(arguments)
        }
        registry.register("memory/show", arguments: 0...0) { _ throws(CommandError) in self.showMemory() }
        registry.register("coverage/show", arguments: 0...0) { _ throws(CommandError) in self.showCoverage() }
        PMDCommands(datapath: datapath).register(in: registry)
    }

    private func bridge(_ name: String) throws(CommandError) -> Bridge {
        guard let bridge = pipeline.bridge(named: name) else { throw CommandError("no such bridge") }
        return bridge
    }

    // MARK: Ports

    private func showDatapath() -> String {
        let threads = datapath.threadStatistics()
        let hits = threads.reduce(0) { $0 + $1.cacheHits + $1.megaflowHits }
        var text = "\(Self.datapathName): hit:\(hits) missed:\(threads.reduce(0) { $0 + $1.missedPackets })\n"
        for bridge in pipeline.bridges.sorted(by: { $0.name < $1.name }) {
            text += "  \(bridge.name):\n"
            for port in bridge.ports.sorted(by: { $0.name < $1.name }) {
                let number = port.number == .local ? "65534" : String(port.number.rawValue)
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

    /// As the field prints it: an internal port is a tap device, the empty type is `system`.
    private func interfaceType(_ name: String) -> String {
        switch theSwitch.interfaceType(name) {
        case nil, "": "system"
        case "internal": "tap"
        case .some(let type): type
        }
    }

    private func showPorts() -> String {
        let threads = datapath.threadStatistics()
        let table = datapath.flowTableStatistics()
        var text = "\(Self.datapathName):\n"
        let hits = threads.reduce(0) { $0 + $1.cacheHits + $1.megaflowHits }
        text += "  lookups: hit:\(hits) missed:\(threads.reduce(0) { $0 + $1.missedPackets })"
        text += " lost:\(threads.reduce(0) { $0 + $1.lostUpcalls })\n  flows: \(table.flows)\n"
        for port in datapath.ports() { text += "  port \(port.port.rawValue): \(port.name) (\(interfaceType(port.name)))\n" }
        return text
    }

    // MARK: Flows

    private func dumpFlows(_ arguments: [String]) throws(CommandError) -> String {
        var usesNames = false
        for argument in arguments {
            switch argument {
            case "-m", "--more", "--no-names", Self.datapathName, "type=all", "type=ovs", "pmd=-1": break
            case "--names": usesNames = true
            default:
                throw CommandError("\"\(argument)\" is not understood: give -m, --names, --no-names or \(Self.datapathName)")
            }
        }
        let names = Dictionary(datapath.ports().map { ($0.port, $0.name) }, uniquingKeysWith: { first, _ in first })
        datapath.pushStatistics()
        let now = clock.now
        return datapath.megaflows().map { flow in
            DatapathText.format(flow, now: now, portName: { usesNames ? names[$0] : nil }) + "\n"
        }.joined()
    }

    private func showUpcalls() -> String {
        let table = datapath.flowTableStatistics()
        return """
            \(Self.datapathName):
              flows         : (current \(table.flows)) (masks \(table.masks)) (limit \(table.limit))
              installed     : \(table.installed)
              retranslated  : \(table.retranslated)
              expired       : \(table.expired)
              evicted       : \(table.evicted)
              masks rounded : \(table.laddered) to the ladder, \(table.exact) to the exact flow
              not installed : \(table.installsRefused)

            """
    }

    private func showLearned(_ name: String) throws(CommandError) -> String {
        let bridge = try bridge(name)
        var text = " port  VLAN  MAC                Age\n"
        let entries = bridge.learnedAddresses().sorted { ($0.vlan, $0.address) < ($1.vlan, $1.address) }
        for entry in entries {
            let port = entry.port == .local ? "LOCAL" : String(entry.port.rawValue)
            text += "\(aligned(port, 5))  \(aligned(String(entry.vlan), 4))  \(macText(entry.address))  \(aligned(String(entry.ageSeconds), 3))\n"
        }
        return text
    }

    private func macText(_ address: UInt64) -> String {
        stride(from: 40, through: 0, by: -8).map { shift in
            let byte = UInt8(truncatingIfNeeded: address >> UInt64(shift))
            return (byte < 16 ? "0" : "") + String(byte, radix: 16)
        }.joined(separator: ":")
    }

    private func trace(_ arguments: [String]) throws(CommandError) -> String {
        let bridge = try bridge(arguments[0])
        let ports = PortNames(
            Dictionary(bridge.ports.map { ($0.name, $0.number) }, uniquingKeysWith: { first, _ in first }))
        var key: FlowKey
        do {
            key = try FlowText.parsePacket(arguments[1], ports: ports)
        } catch {
            throw CommandError("\(arguments[1]): \(error)")
        }
        if arguments.count == 3, arguments[2] != "-generate" {
            guard let bytes = packetBytes(arguments[2]) else {
                throw CommandError("\"\(arguments[2])\" is no packet: give -generate or at least 14 bytes in hexadecimal")
            }
            let inPort = key[.inPort]
            key = FlowKey(packet: bytes, inPort: 0)
            key[.inPort] = inPort
        }
        return bridge.trace(key)
    }

    /// Hexadecimal digits, blanks between them allowed.
    private func packetBytes(_ text: String) -> [UInt8]? {
        let digits = text.filter { !$0.isWhitespace }.map(\.hexDigitValue)
        guard digits.count >= 28, digits.count.isMultiple(of: 2), !digits.contains(nil) else { return nil }
        return stride(from: 0, to: digits.count, by: 2).map { UInt8(digits[$0]! << 4 | digits[$0 + 1]!) }
    }

    // MARK: Counters

    private func showMemory() -> String {
        let bridges = pipeline.bridges
        let rules = bridges.reduce(0) { $0 + $1.tableStatistics().reduce(0) { $0 + $1.activeCount } }
        let ports = bridges.reduce(0) { $0 + $1.ports.count }
        return "ports:\(ports) rules:\(rules) udpif keys:\(datapath.flowTableStatistics().flows)\n"
    }

    private func showCoverage() -> String {
        let ports = datapath.ports()
        let threads = datapath.threadStatistics()
        let table = datapath.flowTableStatistics()
        var totals: [(String, UInt64)] = DropReason.allCases.map { reason in
            ("datapath_" + reason.counterName, ports.reduce(0) { $0 + $1.counters.drops[Int(reason.rawValue)] })
        }
        totals.append(("xlate_actions", threads.reduce(0) { $0 + $1.upcalls }))
        totals.append(("dpif_flow_put", table.installed))
        totals.append(("dpif_flow_del", table.expired + table.evicted))
        var text = "Event coverage, totals since the start:\n"
        for (name, count) in totals where count > 0 { text += "\(padded(name, 40)) total: \(count)\n" }
        text += "\(totals.count { $0.1 == 0 }) events never hit\n"
        return text
    }
}
