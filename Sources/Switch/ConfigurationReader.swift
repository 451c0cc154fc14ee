// From rows to plain values.
//
// The reader follows references from the one `Open_vSwitch` row down and validates as it goes. A value that is no good
// is left at its default and complained about once; only what makes an interface impossible refuses the interface.

internal import Flow
internal import Netdev
internal import OVSDB
internal import Pipeline

/// One row, as the reader wants it.
struct ConfigurationRow {
    let uuid: UUID
    let columns: (String) -> Datum
    subscript(_ column: String) -> Datum { columns(column) }
}

/// Reads everything that is wanted.
struct ConfigurationReader {
    /// The rows of a table by identifier.
    let table: (String) -> [UUID: ConfigurationRow]

    /// Sentences about values that were ignored; the caller logs the new ones.
    var complaints: [String] = []
    /// By row: what it asks for and does not get, for its status column.
    private(set) var unsupported: [UUID: [String]] = [:]

    init(table: @escaping (String) -> [UUID: ConfigurationRow]) { self.table = table }

    /// Notes in a row's status what it asks for and does not get.
    mutating func refuse(_ row: UUID, _ sentence: String) { unsupported[row, default: []].append(sentence) }

    /// Keeps a sentence about a value that was ignored.
    mutating func complain(_ sentence: String) { complaints.append(sentence) }

    mutating func read() -> (global: WantedGlobals, bridges: [WantedBridge]) {
        guard let root = table("Open_vSwitch").values.first else { return (WantedGlobals(), []) }
        let bridgeRows = table("Bridge")
        let portRows = table("Port")
        let interfaceRows = table("Interface")
        let controllerRows = table("Controller")
        let bridges = root["bridges"].uuids.compactMap { bridgeRows[$0] }
            .filter { hasSafeName($0) }
            .map { bridge($0, ports: portRows, interfaces: interfaceRows) }
            .sorted { $0.name < $1.name }
        var globals = global(root)
        if let row = root["ssl"].uuids.first.flatMap({ table("SSL")[$0] }) { globals.tls = tls(row) }
        return (globals, bridges.map { connections($0, root, bridgeRows[$0.uuid], controllerRows) })
    }

    /// Whether a bridge's sockets stay in the run directory: whoever may write the database may not write anywhere else by its name.
    private mutating func hasSafeName(_ row: ConfigurationRow) -> Bool {
        let name = row["name"].string ?? ""
        guard name.contains(where: { $0 == "/" || $0 == "\\" }) else { return true }
        complain("ignoring bridge with invalid name '\(name)': its sockets would be outside of the run directory; use no slashes")
        return false
    }

    private mutating func global(_ row: ConfigurationRow) -> WantedGlobals {
        let config = OtherConfig(values: row["other_config"].stringMap, origin: "other_config of Open_vSwitch")
        var result = WantedGlobals()
        result.nextCfg = row["next_cfg"].integer ?? 0
        result.otherConfig = config.values
        complainOfKeys(config, ConfigurationReader.globalKeys, without: ConfigurationReader.globalKeysWithoutEffect)
        let managers = table("Manager")
        for manager in row["manager_options"].uuids.compactMap({ managers[$0] }) { complainOfConnectionKeys(manager, "manager") }
        if !row["datapaths"].isEmpty {
            complaints.append("datapaths of Open_vSwitch has no effect: connection tracking zones are not supported; clear the column")
        }
        if !table("Flow_Sample_Collector_Set").isEmpty {
            complaints.append("rows of Flow_Sample_Collector_Set have no effect: sampling to collectors is not supported; remove them")
        }
        switch config.values["dpdk-init"] {
        case nil, "false": result.dpdkInit = .off
        case "true": result.dpdkInit = .on
        case "try": result.dpdkInit = .attempt
        case .some(let text):
            complaints.append("dpdk-init=\(text) in \(config.origin) is ignored: it must be true, try or false")
        }
        if let text = config.values["vhost-sock-dir"] {
            if text.split(separator: "/").contains("..") {
                complaints.append(
                    "vhost-sock-dir=\(text) in \(config.origin) is ignored: it must be below the run directory, without \"..\"")
            } else {
                result.vhostSockDir = text
            }
        }
        result.pmdCores = config.coreMask("pmd-cpu-mask", complaints: &complaints)
        result.pmdSleepMaxMicroseconds =
            config.number("pmd-sleep-max", in: 0...10_000, complaints: &complaints)
            ?? config.number("pmd-maxsleep", in: 0...10_000, complaints: &complaints)
        if let assign = config.values["pmd-rxq-assign"] {
            if ["cycles", "group", "roundrobin"].contains(assign) {
                result.rxqAssign = assign
            } else {
                complaints.append(
                    "pmd-rxq-assign=\(assign) in \(config.origin) is ignored: it must be cycles, group or roundrobin")
            }
        }
        if let isolates = config.flag("pmd-rxq-isolate", complaints: &complaints) { result.isolatesPinnedQueues = isolates }
        func number(_ key: String, _ range: ClosedRange<UInt64>, _ path: WritableKeyPath<WantedGlobals, UInt64>) {
            if let value = config.number(key, in: range, complaints: &complaints) { result[keyPath: path] = value }
        }
        number("n-handler-threads", 1...UInt64(UInt32.max), \.handlerThreads)
        result.cacheInsertionInverse = config.number("emc-insert-inv-prob", in: 0...UInt64(UInt32.max), complaints: &complaints)
        number("tx-flush-interval", 0...1_000_000, \.txFlushMicroseconds)
        if let offloads = config.flag("hw-offload", complaints: &complaints) { result.offloadsFlows = offloads }
        if let balances = config.flag("pmd-auto-lb", complaints: &complaints) { result.autoBalance = balances }
        number("pmd-auto-lb-rebal-interval", 0...20_000, \.balanceIntervalMinutes)
        number("pmd-auto-lb-load-threshold", 0...100, \.balanceLoadThreshold)
        number("pmd-auto-lb-improvement-threshold", 0...100, \.balanceImprovementThreshold)
        number("max-idle", 500...86_400_000, \.maxIdleMilliseconds)
        number("flow-limit", 1...10_000_000, \.flowLimit)
        number("vlan-limit", 0...2, \.vlanLimit)
        number("stats-update-interval", 100...3_600_000, \.statsUpdateIntervalMilliseconds)
        return result
    }

    private mutating func bridge(
        _ row: ConfigurationRow, ports: [UUID: ConfigurationRow], interfaces: [UUID: ConfigurationRow]
    ) -> WantedBridge {
        let name = row["name"].string ?? ""
        let config = OtherConfig(values: row["other_config"].stringMap, origin: "other_config of bridge \(name)")
        complainOfWhatIsMissing(row, ConfigurationReader.unsupportedBridgeColumns, "bridge \(name)")
        for sentence in complainOfKeys(config, ConfigurationReader.bridgeKeys, without: ConfigurationReader.bridgeKeysWithoutEffect) {
            refuse(row.uuid, sentence)
        }
        var result = WantedBridge(uuid: row.uuid, name: name)
        result.isSecure = row["fail_mode"].string == "secure"
        result.datapathType = row["datapath_type"].string ?? ""
        if !["", "netdev", "system", "dummy"].contains(result.datapathType) {
            refuse(row.uuid, "datapath_type: \(result.datapathType) is not known")
            complaints.append(
                "datapath_type=\(result.datapathType) of bridge \(name) has no effect: there is no such type; the bridge is of type netdev, as with netdev and system"
            )
        }
        _ = config.flag("disable-in-band", complaints: &complaints)
        if let text = config.values["datapath-id"] {
            let digits = text.hasPrefix("0x") ? String(text.dropFirst(2)) : text
            if let value = UInt64(digits, radix: 16), value != 0, digits.count <= 16 {
                result.datapathID = value
            } else if digits.contains(where: { $0 != "0" }) {
                complaints.append(
                    "datapath-id=\(text) in \(config.origin) is ignored: it must be up to 16 hexadecimal digits, not all zero")
            }
        }
        if let text = config.values["hwaddr"] {
            if let address = HardwareAddress(text), !address.isMulticast, address.bits != 0 {
                result.hardwareAddress = address
            } else {
                complaints.append("hwaddr=\(text) in \(config.origin) is ignored: it must be a unicast address such as 02:00:00:00:00:01")
            }
        }
        if let size = config.number("mac-table-size", in: 10...1_000_000, complaints: &complaints) { result.macTableSize = Int(size) }
        if let age = config.number("mac-aging-time", in: 15...3600, complaints: &complaints) { result.macAgingSeconds = age }
        result.forwardBPDU = config.flag("forward-bpdu", complaints: &complaints) ?? false
        result.flowTables = flowTables(row, bridge: name)
        result.floodVLANs = Set(row["flood_vlans"].integers.map { UInt16(truncatingIfNeeded: $0) })
        let mirrorRows = table("Mirror")
        result.mirrors = row["mirrors"].uuids.compactMap { mirrorRows[$0] }.map { mirror($0, of: name) }
            .sorted { ($0.name, $0.uuid.description) < ($1.name, $1.uuid.description) }
        result.ports = row["ports"].uuids.compactMap { ports[$0] }
            .map { port($0, of: name, interfaces: interfaces) }
            .sorted { $0.name < $1.name }
        return result
    }

    /// The bridge's `flow_tables`. A group that is no part of a field is left out.
    private mutating func flowTables(_ row: ConfigurationRow, bridge: String) -> [UInt8: TableConfiguration] {
        let rows = table("Flow_Table")
        var result: [UInt8: TableConfiguration] = [:]
        for (key, value) in row["flow_tables"].uuidsByInteger.sorted(by: { $0.key < $1.key }) {
            guard let row = rows[value] else { continue }
            guard let number = UInt8(exactly: key), Int(number) < PipelineLimits.tableCount else {
                complaints.append("flow_tables:\(key) of bridge \(bridge) is ignored: tables are 0 to \(PipelineLimits.tableCount - 1)")
                continue
            }
            var configuration = TableConfiguration()
            configuration.name = row["name"].string ?? ""
            configuration.flowLimit = row["flow_limit"].integer.map { Int(clamping: $0) }
            configuration.evictsWhenFull = row["overflow_policy"].string == "evict"
            let prefixes = row["prefixes"].strings
            if !prefixes.isEmpty {
                let known: [String: Field] = [
                    "nw_src": .nwSrc, "ip_src": .nwSrc, "nw_dst": .nwDst, "ip_dst": .nwDst, "ipv6_src": .ipv6Src, "ipv6_dst": .ipv6Dst,
                ]
                configuration.prefixes = prefixes.compactMap { known[$0] }
            }
            for text in row["groups"].strings.sorted() {
                do {
                    configuration.groups.append(try FlowText.subField(text))
                } catch {
                    complaints.append("groups of table \(number) of bridge \(bridge): \(text) is ignored: \(error)")
                }
            }
            result[number] = configuration
        }
        return result
    }

    /// Columns that ask for something this switch does not do yet. They are kept, and said, never silently ignored.
    private static let unsupportedBridgeColumns = [
        "netflow": "NetFlow", "sflow": "sFlow", "ipfix": "IPFIX", "auto_attach": "auto-attach",
        "stp_enable": "the spanning tree protocol", "rstp_enable": "the rapid spanning tree protocol",
        "mcast_snooping_enable": "multicast snooping",
    ]
    private static let unsupportedPortColumns = ["lacp": "LACP", "bond_fake_iface": "bond_fake_iface"]
    private static let unsupportedInterfaceColumns = [
        "bfd": "BFD", "cfm_mpid": "CFM", "lldp": "LLDP",
    ]

    /// Whether a column holds anything but its default: emptiness, false or zero.
    private static func asks(_ value: Datum) -> Bool {
        !value.isEmpty && value != Datum(false) && value != Datum(Int64(0))
    }

    private mutating func complainOfWhatIsMissing(_ row: ConfigurationRow, _ columns: [String: String], _ place: String) {
        for (column, feature) in columns.sorted(by: { $0.key < $1.key }) where ConfigurationReader.asks(row[column]) {
            complaints.append("\(column) of \(place) has no effect: \(feature) is not supported; clear the column")
            unsupported[row.uuid, default: []].append("\(column): \(feature) is not supported")
        }
    }

    private mutating func port(_ row: ConfigurationRow, of bridge: String, interfaces: [UUID: ConfigurationRow]) -> WantedPort {
        var result = WantedPort(uuid: row.uuid, name: row["name"].string ?? "")
        complainOfWhatIsMissing(row, ConfigurationReader.unsupportedPortColumns, "port \(result.name)")
        complainOfPortKeys(row, result.name)
        let tag = row["tag"].integer.map { UInt16(truncatingIfNeeded: $0) }
        result.trunks = Set(row["trunks"].integers.map { UInt16(truncatingIfNeeded: $0) })
        result.tag = tag ?? 0
        switch row["vlan_mode"].string {
        case "access": result.vlanMode = .access
        case "native-tagged": result.vlanMode = .nativeTagged
        case "native-untagged": result.vlanMode = .nativeUntagged
        case "trunk": result.vlanMode = .trunk
        case "dot1q-tunnel": result.vlanMode = .dot1qTunnel
        default: result.vlanMode = tag != nil ? .access : .trunk
        }
        readVLANOptions(row, &result)
        result.queueMarks = queueMarks(row)
        result.qos = row["qos"].uuids.first.flatMap { table("QoS")[$0] }.flatMap { qos($0, of: result.name, port: row.uuid) }
        result.interfaces = row["interfaces"].uuids.compactMap { interfaces[$0] }
            .map { interface($0, of: bridge) }
            .sorted { $0.name < $1.name }
        if result.interfaces.count > 1 {
            result.refusal = "port \(result.name) has \(result.interfaces.count) interfaces, but bonds are not supported; give it one"
        }
        return result
    }

    private mutating func interface(_ row: ConfigurationRow, of bridge: String) -> WantedInterface {
        var result = WantedInterface(uuid: row.uuid, name: row["name"].string ?? "", type: row["type"].string ?? "")
        complainOfWhatIsMissing(row, ConfigurationReader.unsupportedInterfaceColumns, "interface \(result.name)")
        result.options = row["options"].stringMap
        complainOfInterfaceKeys(row, result, isLocal: result.name == bridge && result.type.isEmpty)
        let config = OtherConfig(values: row["other_config"].stringMap, origin: "other_config of interface \(result.name)")
        result.queueAffinity = config.queueAffinity("pmd-rxq-affinity", complaints: &complaints) ?? [:]
        result.ofportRequest = row["ofport_request"].integer.flatMap { UInt32(exactly: $0) }
        result.previousOfport = Remembered(row["ofport"].integer.flatMap { UInt32(exactly: $0) })
        result.mtuRequest = row["mtu_request"].integer.flatMap { Int(exactly: $0) }
        result.macRequest = row["mac"].string.flatMap { HardwareAddress($0) }
        if let text = row["mac"].string, !text.isEmpty, result.macRequest == nil {
            complaints.append("mac=\(text) of interface \(result.name) is ignored: it must be an address such as 02:00:00:00:00:01")
        }
        result.ingressPolicer = ingressPolicer(row)
        return result
    }
}
