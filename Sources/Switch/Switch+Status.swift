// What is written back: columns that say what runs. Only differences are written, in one transaction a round.

internal import Base
internal import Datapath
internal import DatapathAPI
internal import Flow
internal import Logging
internal import Netdev
internal import OVSDB
internal import Pipeline

/// Columns to write, collected during a round.
struct StatusUpdate {
    struct Row: Hashable {
        var table: String
        /// Nil is the table's only row.
        var uuid: UUID?
    }
    private(set) var columns: [Row: [String: Datum]] = [:]

    mutating func set(_ table: String, _ uuid: UUID?, _ column: String, _ value: Datum) {
        columns[Row(table: table, uuid: uuid), default: [:]][column] = value
    }
    mutating func clear() { columns = [:] }
}

extension Switch {
    /// Columns that do not change while the daemon runs.
    func writeOnce() {
        status.set("Open_vSwitch", nil, "datapath_types", Datum(strings: dummies == .none ? ["netdev"] : ["dummy", "netdev"]))
        let types = PortKind.allCases.filter { !$0.isDummy || dummies != .none }.map(\.rawValue) + ["patch"]
        status.set("Open_vSwitch", nil, "iface_types", Datum(strings: types))
        status.set("Open_vSwitch", nil, "ovs_version", Datum(ProductVersion.compatibleWith))
        status.set("Open_vSwitch", nil, "db_version", Datum(configuration.schema.version))
    }

    func publishGlobals() {
        status.set("Open_vSwitch", nil, "dpdk_initialized", Datum(DPDKRuntime.status != nil))
        status.set("Open_vSwitch", nil, "dpdk_version", Datum(DPDKRuntime.version))
    }

    func publishBridge(_ name: String) {
        guard let running = bridges[name] else { return }
        let uuid = running.wanted.uuid
        status.set("Bridge", uuid, "status", Datum(unsupportedStatus(uuid)))
        for port in running.wanted.ports { status.set("Port", port.uuid, "status", Datum(unsupportedStatus(port.uuid))) }
        let digits = String(running.bridge.datapathID, radix: 16)
        status.set("Bridge", uuid, "datapath_id", Datum(String(repeating: "0", count: 16 - digits.count) + digits))
        status.set("Bridge", uuid, "datapath_version", Datum("<built-in>"))
        for interface in running.interfaces.keys { publishInterface(interface, of: name) }
    }

    /// What a row asks for and does not get, for its status column.
    func unsupportedStatus(_ uuid: UUID) -> [String: String] {
        guard let sentences = unsupported[uuid], !sentences.isEmpty else { return [:] }
        return ["unsupported": sentences.joined(separator: "; ")]
    }

    /// Everything but statistics.
    func publishInterface(_ name: String, of bridgeName: String) {
        guard let interface = bridges[bridgeName]?.interfaces[name] else { return }
        let uuid = interface.wanted.uuid
        func set(_ column: String, _ value: Datum) { status.set("Interface", uuid, column, value) }
        set("error", Datum(interface.failure ?? interface.changeFailure ?? interface.affinityFailure))
        guard let number = interface.number else {
            set("ofport", Datum(-1))
            for column in ["mac_in_use", "mtu", "admin_state", "link_state", "link_speed", "duplex", "ifindex", "status", "statistics"] {
                set(column, .empty)
            }
            return
        }
        set("ofport", Datum(Int64(number == .local ? 65_534 : number.rawValue)))
        guard let netdev = interface.netdev else {
            let problem = patchProblem(interface)
            set("error", Datum(problem))
            set("admin_state", Datum("up"))
            set("link_state", Datum(problem == nil ? "up" : "down"))
            set("ifindex", Datum(Int64(0)))
            set("status", Datum(unsupportedStatus(uuid)))
            if let known = bridges[bridgeName]?.bridge.port(number) {
                set("mac_in_use", Datum(HardwareAddress(bits: known.hardwareAddress).description))
            }
            set("statistics", Datum(statistics(of: interface)))
            return
        }
        let link = netdev.link()
        set("mac_in_use", Datum(netdev.hardwareAddress.description))
        set("mtu", Datum(Int64(netdev.mtu)))
        set("admin_state", Datum(link.isAdministrativelyUp ? "up" : "down"))
        set("link_state", Datum(link.isUp ? "up" : "down"))
        set("link_speed", Datum(link.speed.map { Int64(clamping: $0) }))
        set("duplex", Datum(link.isFullDuplex.map { $0 ? "full" : "half" }))
        set("link_resets", Datum(Int64(clamping: link.changes)))
        set("ifindex", Datum(Int64(link.interfaceIndex)))
        // What the device cannot do is under the same key.
        var facts = netdev.status().merging(unsupportedStatus(uuid)) { own, asked in "\(own); \(asked)" }
        if globals.offloadsFlows, let port = interface.datapathPort {
            facts["hw_offload"] = datapath.offloadRefusal(of: port).map { "no: \($0)" } ?? "yes"
        }
        set("status", Datum(facts))
        if replica.row("Interface", uuid)?["statistics"].isEmpty ?? true {
            set("statistics", Datum(statistics(of: interface)))
        }
    }

    /// What keeps a patch port from carrying packets, in the field's words; nil if both ends name each other.
    private func patchProblem(_ interface: RunningInterface) -> String? {
        let peer = interface.wanted.options["peer"] ?? ""
        let other = bridges.values.lazy.compactMap { $0.interfaces[peer] }.first
        guard let other, other.wanted.type == "patch", other.number != nil, other.wanted.options["peer"] == interface.wanted.name else {
            return "No usable peer '\(peer)' exists in 'netdev' datapath."
        }
        return nil
    }

    /// Takes a port's device up or down, as a controller has asked, and shows everybody what became of its link.
    public func setPort(_ name: String, of bridge: String, isUp: Bool) {
        bridges[bridge]?.interfaces[name]?.netdev?.setAdministrativelyUp(isUp)
        refreshLinks()
    }

    /// Looks at every port's link and queues, and writes what changed.
    public func refreshLinks() {
        closeFailed()
        for (bridgeName, running) in bridges {
            for (name, interface) in running.interfaces {
                guard let netdev = interface.netdev, let number = interface.number else { continue }
                _ = netdev.link()
                let changes = netdev.changes
                guard changes != interface.seenChanges else { continue }
                bridges[bridgeName]?.interfaces[name]?.seenChanges = changes
                if netdev.isAwayFromNode { elsewhere { netdev.followNode() } }
                refreshBridgePort(interface, number: number, on: bridgeName)
                publishInterface(name, of: bridgeName)
            }
        }
        flushStatus()
    }

    /// Writes every port's counters, and the machine's if they are asked for.
    func refreshStatistics() {
        let wantsSystem = globals.otherConfig["enable-statistics"] == "true"
        status.set("Open_vSwitch", nil, "statistics", Datum(wantsSystem ? SystemStatistics.read(program: "apusd") : [:]))
        for running in bridges.values {
            publishMirrorStatistics(running)
            for interface in running.interfaces.values where interface.number != nil {
                status.set("Interface", interface.wanted.uuid, "statistics", Datum(statistics(of: interface)))
            }
        }
        flushStatus()
    }

    /// An interface's counters by name; empty if there is none of that name.
    public func interfaceStatistics(_ name: String) -> [String: Int64] {
        for running in bridges.values {
            if let interface = running.interfaces[name] { return statistics(of: interface) }
        }
        return [:]
    }

    /// The device's counters and the datapath's drop reasons, by name.
    func statistics(of interface: RunningInterface) -> [String: Int64] {
        var result: [String: Int64] = [:]
        if interface.netdev == nil, let number = interface.number,
            let crossed = bridges.values.lazy.filter({ $0.interfaces[interface.wanted.name]?.wanted.uuid == interface.wanted.uuid }).first?
                .bridge.patchStatistics(number)
        {
            result["rx_packets"] = Int64(clamping: crossed.receivedPackets)
            result["rx_bytes"] = Int64(clamping: crossed.receivedBytes)
            result["tx_packets"] = Int64(clamping: crossed.sentPackets)
            result["tx_bytes"] = Int64(clamping: crossed.sentBytes)
            return result
        }
        if let netdev = interface.netdev {
            for counter in netdev.statistics().named { result[counter.name] = Int64(clamping: counter.value) }
        }
        result.merge(policingStatistics(of: interface)) { $1 }
        if let port = interface.datapathPort, let counters = datapath.counters(of: port) {
            for reason in DropReason.allCases { result[reason.counterName] = Int64(clamping: counters.drops[Int(reason.rawValue)]) }
        }
        return result
    }

    /// Writes what differs from the rows, in one transaction.
    func flushStatus() {
        var transaction = TransactionBuilder(configuration.schema)
        for (row, columns) in status.columns {
            guard let uuid = row.uuid ?? replica.rows(row.table).first?.uuid, let current = replica.row(row.table, uuid) else { continue }
            let changed = columns.filter { current[$0.key] != $0.value }
            if !changed.isEmpty { transaction.update(row.table, uuid, changed) }
        }
        status.clear()
        guard !transaction.isEmpty else { return }
        configuration.transact(transaction) { [log] reply in
            if let error = reply.error { log.error("the switch's status could not be written: \(error)") }
        }
    }
}
