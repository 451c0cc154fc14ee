// The client of the configuration database, `db.sock`.

internal import Base
public import OVSDB

/// Reads and changes the configuration of a switch.
public final class DatabaseClient {
    static let database = "Open_vSwitch"

    let rpc: RPCStream
    private let runDirectory: String

    public init(_ directory: SwitchDirectory) throws(ClientError) {
        runDirectory = directory.path
        rpc = RPCStream(try UnixStream(path: directory.databaseSocket, runDirectory: directory.path, deadline: directory.deadline))
    }

    /// Runs operations as one transaction.
    ///
    /// - Returns: one result an operation.
    /// - Throws: `.refused` if the database refuses any of it; then nothing has changed.
    public func transact(_ operations: [JSON]) throws(ClientError) -> [JSON] {
        let results: [JSON]
        switch try rpc.call("transact", [.string(DatabaseClient.database)] + operations) {
        case .success(let result): results = result.array ?? []
        case .failure(let failure): throw .refused("the database refuses: \(failure.text)")
        }
        for result in results {
            if let error = result["error"], !error.isNull { throw .refused("the database refuses: \(RPCFailure(error: result).text)") }
        }
        guard results.count >= operations.count else {
            throw .refused("the database answered \(results.count) of \(operations.count) operations")
        }
        return results
    }

    /// Everything about bridges, ports and interfaces.
    public func view() throws(ClientError) -> SwitchView {
        func select(_ table: String) -> JSON { ["op": "select", "table": .string(table), "where": []] }
        let results = try transact(["Open_vSwitch", "Bridge", "Port", "Interface", "Controller"].map(select))
        let rows = results.map { $0["rows"]?.array ?? [] }
        guard let root = rows[0].first else {
            throw .refused("the database has no Open_vSwitch row: apusd has not set it up yet, try again")
        }
        return SwitchView(root: root, bridges: rows[1], ports: rows[2], interfaces: rows[3], controllers: rows[4])
    }

    /// Waits until the switch has carried out configuration number `number`.
    func waitForConfiguration(_ number: Int64) throws(ClientError) {
        func current(in tables: JSON) -> Int64? {
            tables["Open_vSwitch"]?.object?.members.compactMap { $0.value["new"]?["cur_cfg"]?.integer }.max()
        }
        let request: JSON = ["Open_vSwitch": ["columns": ["cur_cfg"] as JSON] as JSON]
        switch try rpc.call("monitor", [.string(DatabaseClient.database), "apusctl", request]) {
        case .failure(let failure): throw .refused("the database refuses: \(failure.text)")
        case .success(let tables): if let now = current(in: tables), now >= number { return }
        }
        while true {
            let (method, parameters) = try rpc.nextNotification("sign that the switch has taken the configuration over")
            if method == "update", parameters.count == 2, let now = current(in: parameters[1]), now >= number { return }
        }
    }
}

extension SwitchView {
    fileprivate init(root: JSON, bridges: [JSON], ports: [JSON], interfaces: [JSON], controllers: [JSON]) {
        func byUUID(_ rows: [JSON]) -> [String: JSON] {
            Dictionary(rows.compactMap { row in row["_uuid"]?.uuidText.map { ($0, row) } }, uniquingKeysWith: { $1 })
        }
        let interfaceRows = byUUID(interfaces)
        let portRows = byUUID(ports)
        let bridgeRows = byUUID(bridges)
        let controllerRows = byUUID(controllers)
        uuid = root["_uuid"]?.uuidText ?? ""
        nextConfiguration = root["next_cfg"]?.integer ?? 0
        currentConfiguration = root["cur_cfg"]?.integer ?? 0
        version = root["ovs_version"]?.optionalString
        dpdkVersion = root["dpdk_version"]?.optionalString
        isDPDKInitialized = root["dpdk_initialized"]?.boolean ?? false
        interfaceTypes = (root["iface_types"]?.elements.compactMap(\.string) ?? []).sorted()
        otherConfig = root["other_config"]?.strings ?? [:]
        self.bridges = (root["bridges"]?.uuidTexts ?? []).compactMap { bridgeRows[$0] }.map { row in
            let name = row["name"]?.string ?? ""
            let ports = (row["ports"]?.uuidTexts ?? []).compactMap { portRows[$0] }.map { port in
                PortView(port, interfaces: (port["interfaces"]?.uuidTexts ?? []).compactMap { interfaceRows[$0] }.map(InterfaceView.init))
            }
            return BridgeView(
                uuid: row["_uuid"]?.uuidText ?? "", name: name, datapathID: row["datapath_id"]?.optionalString,
                failMode: row["fail_mode"]?.optionalString,
                controllers: (row["controller"]?.uuidTexts ?? []).compactMap { controllerRows[$0]?["target"]?.string }.sorted(),
                ports: ports.sorted { ($0.name != name, $0.name) < ($1.name != name, $1.name) })
        }.sorted { $0.name < $1.name }
    }
}

/// `false` before `true`: so a tuple of a condition and a name sorts what has the condition last.
private func < (left: (Bool, String), right: (Bool, String)) -> Bool {
    left.0 == right.0 ? left.1 < right.1 : !left.0
}

extension PortView {
    fileprivate init(_ row: JSON, interfaces: [InterfaceView]) {
        self.init(
            uuid: row["_uuid"]?.uuidText ?? "", name: row["name"]?.string ?? "", tag: row["tag"]?.optionalInteger,
            trunks: (row["trunks"]?.elements.compactMap(\.integer) ?? []).sorted(), vlanMode: row["vlan_mode"]?.optionalString,
            interfaces: interfaces.sorted { $0.name < $1.name })
    }
}

extension InterfaceView {
    fileprivate init(_ row: JSON) {
        self.init(
            uuid: row["_uuid"]?.uuidText ?? "", name: row["name"]?.string ?? "", type: row["type"]?.string ?? "",
            ofport: row["ofport"]?.optionalInteger, error: row["error"]?.optionalString, hardwareAddress: row["mac_in_use"]?.optionalString,
            linkState: row["link_state"]?.optionalString, adminState: row["admin_state"]?.optionalString, mtu: row["mtu"]?.optionalInteger,
            options: row["options"]?.strings ?? [:],
            statistics: row["statistics"]?.integers ?? [:], status: row["status"]?.strings ?? [:])
    }
}
