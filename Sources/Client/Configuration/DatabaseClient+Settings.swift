// Interfaces, mirrors, QoS, controllers and managers: what is set beside bridges and ports.

public import OVSDB

/// What a mirror shall be.
public struct MirrorRequest: Sendable {
    public var name: String
    /// Copy everything that the bridge's ports receive and send.
    public var selectsAll = false
    /// Ports whose received and whose sent packets are copied.
    public var sources: [String] = []
    public var destinations: [String] = []
    public var vlans: [Int] = []
    public var outputPort: String?
    public var outputVLAN: Int?
    public var snapLength: Int?
    /// Flow text.
    public var filter: String?
    public init(name: String) { self.name = name }
}

extension DatabaseClient {
    private func whereUUID(_ uuid: String) -> JSON { [["_uuid", "==", .uuid(uuid)] as JSON] as JSON }

    private func update(_ table: String, _ uuid: String, _ row: [(String, JSON)]) -> JSON {
        ["op": "update", "table": .string(table), "where": whereUUID(uuid), "row": .object(JSONObject(row))]
    }

    /// All rows of a table.
    private func rows(_ table: String) throws(ClientError) -> [JSON] {
        try transact([["op": "select", "table": .string(table), "where": []] as JSON])[0]["rows"]?.array ?? []
    }

    // MARK: Interfaces

    /// Changes an interface, and waits until the switch has.
    ///
    /// - Parameters:
    ///   - options: keys to set; nil takes a key away
    ///   - columns: further columns by name
    public func setInterface(
        _ name: String, options: [String: String?] = [:], otherConfig: [String: String?] = [:], columns: [(String, JSON)] = []
    ) throws(ClientError) -> InterfaceView {
        let view = try view()
        let interface = try view.interface(name)
        var operations: [JSON] = []
        for (column, changes) in [("options", options), ("other_config", otherConfig)] where !changes.isEmpty {
            operations.append(mutate("Interface", interface.uuid, column, "delete", .set(changes.keys.sorted().map { .string($0) })))
            let kept = changes.compactMapValues { $0 }
            if !kept.isEmpty { operations.append(mutate("Interface", interface.uuid, column, "insert", .map(kept))) }
        }
        if !columns.isEmpty { operations.append(update("Interface", interface.uuid, columns)) }
        guard !operations.isEmpty else { return interface }
        try change(view, operations)
        let after = try self.view()
        try report(after, [name])
        return try after.interface(name)
    }

    // MARK: Mirrors

    /// The mirrors of a bridge, or of all.
    public func mirrors(of bridge: String?) throws(ClientError) -> Report {
        let view = try view()
        if let bridge { _ = try view.bridge(bridge) }
        let mirrors = Dictionary(try rows("Mirror").compactMap { row in row["_uuid"]?.uuidText.map { ($0, row) } }) { $1 }
        let names = Dictionary(view.bridges.flatMap { $0.ports.map { ($0.uuid, $0.name) } }) { $1 }
        var table = TextTable(["BRIDGE", "MIRROR", "FROM", "TO", "PACKETS", "BYTES"], right: ["PACKETS", "BYTES"])
        var list: [JSON] = []
        for row in try rows("Bridge").sorted(by: { ($0["name"]?.string ?? "") < ($1["name"]?.string ?? "") }) {
            let name = row["name"]?.string ?? ""
            if let bridge, bridge != name { continue }
            for mirror in (row["mirrors"]?.uuidTexts ?? []).compactMap({ mirrors[$0] }) {
                func ports(_ column: String) -> [String] { (mirror[column]?.uuidTexts ?? []).map { names[$0] ?? $0 }.sorted() }
                var from = mirror["select_all"] == true ? ["all"] : []
                from += ports("select_src_port").map { "from " + $0 } + ports("select_dst_port").map { "to " + $0 }
                let vlans = (mirror["select_vlan"]?.elements.compactMap(\.integer) ?? []).map { "vlan \($0)" }
                let output = ports("output_port").first ?? mirror["output_vlan"]?.optionalInteger.map { "vlan \($0)" } ?? "-"
                let counts = mirror["statistics"]?.integers ?? [:]
                table.add([
                    name, mirror["name"]?.string ?? "", (from + vlans).joined(separator: ", "), output, String(counts["tx_packets"] ?? 0),
                    String(counts["tx_bytes"] ?? 0),
                ])
                list.append([
                    "bridge": .string(name), "name": mirror["name"] ?? "", "select": .array((from + vlans).map { .string($0) }),
                    "output": .string(output), "packets": .integer(counts["tx_packets"] ?? 0), "bytes": .integer(counts["tx_bytes"] ?? 0),
                ])
            }
        }
        return Report(text: table.isEmpty ? "no mirrors\n" : table.text, json: .array(list))
    }

    /// Adds a mirror to a bridge.
    public func addMirror(_ request: MirrorRequest, to bridgeName: String) throws(ClientError) {
        let view = try view()
        let bridge = try view.bridge(bridgeName)
        func uuid(_ port: String) throws(ClientError) -> JSON {
            guard let found = bridge.ports.first(where: { $0.name == port }) else {
                throw .unknown(kind: "port", name: port, known: bridge.ports.map(\.name))
            }
            return .uuid(found.uuid)
        }
        guard (request.outputPort == nil) != (request.outputVLAN == nil) else {
            throw .invalid("a mirror needs one place for its copies: --to PORT or --to-vlan VLAN")
        }
        if try mirrorUUID(request.name, bridge) != nil {
            throw .refused("there is a mirror \"\(request.name)\" on bridge \"\(bridgeName)\" already; choose another name")
        }
        var row: [(String, JSON)] = [("name", .string(request.name)), ("select_all", .boolean(request.selectsAll))]
        var references: [JSON] = []
        for port in request.sources { references.append(try uuid(port)) }
        row.append(("select_src_port", .set(references)))
        references = []
        for port in request.destinations { references.append(try uuid(port)) }
        row.append(("select_dst_port", .set(references)))
        row.append(("select_vlan", .set(request.vlans.map { .integer(Int64($0)) })))
        if let port = request.outputPort { row.append(("output_port", try uuid(port))) }
        if let vlan = request.outputVLAN { row.append(("output_vlan", .integer(Int64(vlan)))) }
        if let length = request.snapLength { row.append(("snaplen", .integer(Int64(length)))) }
        if let filter = request.filter { row.append(("filter", .string(filter))) }
        try change(
            view,
            [insert("Mirror", "mirror", .object(JSONObject(row))), mutate("Bridge", bridge.uuid, "mirrors", "insert", .named("mirror"))])
    }

    /// Removes a mirror from a bridge.
    public func removeMirror(_ name: String, from bridgeName: String, ifExists: Bool) throws(ClientError) {
        let view = try view()
        let bridge = try view.bridge(bridgeName)
        guard let uuid = try mirrorUUID(name, bridge) else {
            if ifExists { return }
            throw .unknown(kind: "mirror", name: name, known: try rows("Mirror").compactMap { $0["name"]?.string })
        }
        try change(view, [mutate("Bridge", bridge.uuid, "mirrors", "delete", .uuid(uuid))])
    }

    private func mirrorUUID(_ name: String, _ bridge: BridgeView) throws(ClientError) -> String? {
        let held = Set(try rows("Bridge").first { $0["_uuid"]?.uuidText == bridge.uuid }?["mirrors"]?.uuidTexts ?? [])
        return try rows("Mirror").first { $0["name"] == .string(name) && held.contains($0["_uuid"]?.uuidText ?? "") }?["_uuid"]?.uuidText
    }

    // MARK: QoS

    /// Polices what a port sends; nil polices nothing any more. The rows in the database are the port's own.
    public func setQoS(_ name: String, _ qos: (type: String, options: [String: String])?) throws(ClientError) {
        let view = try view()
        let port = try view.port(name).port
        let old = try rows("Port").first { $0["_uuid"]?.uuidText == port.uuid }?["qos"]?.uuidTexts.first
        var operations: [JSON] = []
        if let qos {
            operations.append(insert("QoS", "qos", ["type": .string(qos.type), "other_config": .map(qos.options)]))
            operations.append(update("Port", port.uuid, [("qos", .named("qos"))]))
        } else {
            operations.append(update("Port", port.uuid, [("qos", .set([]))]))
        }
        let isShared = try old.map { (uuid) throws(ClientError) in try rows("Port").filter { $0["qos"]?.uuidTexts == [uuid] }.count > 1 }
        if let old, isShared == false { operations.append(["op": "delete", "table": "QoS", "where": whereUUID(old)] as JSON) }
        try change(view, operations)
        let status = try rows("Port").first { $0["_uuid"]?.uuidText == port.uuid }?["status"]?.strings["unsupported"]
        if let status, status.hasPrefix("qos:") { throw .notApplied("port \"\(name)\": \(status.dropFirst(5))") }
    }

    /// What ports are to police.
    public func qosReport() throws(ClientError) -> Report {
        let rows = Dictionary(try rows("QoS").compactMap { row in row["_uuid"]?.uuidText.map { ($0, row) } }) { $1 }
        var table = TextTable(["PORT", "TYPE", "SETTINGS"])
        var list: [JSON] = []
        for port in try self.rows("Port").sorted(by: { ($0["name"]?.string ?? "") < ($1["name"]?.string ?? "") }) {
            guard let qos = port["qos"]?.uuidTexts.first.flatMap({ rows[$0] }) else { continue }
            let settings = qos["other_config"]?.strings ?? [:]
            let name = port["name"]?.string ?? ""
            let type = qos["type"]?.string ?? ""
            table.add([name, type, settings.sorted { $0.key < $1.key }.map { "\($0.key)=\($0.value)" }.joined(separator: " ")])
            list.append([
                "port": .string(name), "type": .string(type), "settings": .object(JSONObject(settings.map { ($0.key, .string($0.value)) })),
            ])
        }
        return Report(text: table.isEmpty ? "no port polices what it sends\n" : table.text, json: .array(list))
    }

    // MARK: Controllers and managers

    /// A bridge's controllers, or with nil the managers of the switch.
    public func targets(of bridgeName: String?) throws(ClientError) -> Report {
        let view = try view()
        let kind = bridgeName == nil ? "Manager" : "Controller"
        let owner = try owner(bridgeName, view)
        let held = Set(owner.row[owner.column]?.uuidTexts ?? [])
        var table = TextTable(["TARGET", "CONNECTED", "ROLE", "STATE", "LAST ERROR"])
        var list: [JSON] = []
        for row in try rows(kind).sorted(by: { ($0["target"]?.string ?? "") < ($1["target"]?.string ?? "") })
        where held.contains(row["_uuid"]?.uuidText ?? "") {
            let status = row["status"]?.strings ?? [:]
            let isConnected = row["is_connected"] == true
            table.add([
                row["target"]?.string ?? "", isConnected ? "yes" : "no", row["role"]?.optionalString ?? "-", status["state"] ?? "-",
                status["last_error"] ?? "-",
            ])
            list.append([
                "target": row["target"] ?? "", "connected": .boolean(isConnected), "role": JSON(row["role"]?.optionalString),
                "status": .object(JSONObject(status.map { ($0.key, .string($0.value)) })),
            ])
        }
        let none = bridgeName.map { "bridge \($0) has no controllers\n" } ?? "there are no managers\n"
        return Report(text: table.isEmpty ? none : table.text, json: .array(list))
    }

    /// Replaces a bridge's controllers, or with nil the managers of the switch.
    public func setTargets(of bridgeName: String?, _ targets: [String]) throws(ClientError) {
        let view = try view()
        let owner = try owner(bridgeName, view)
        let kind = bridgeName == nil ? "Manager" : "Controller"
        var operations: [JSON] = []
        var references: [JSON] = []
        for (index, target) in targets.enumerated() {
            operations.append(insert(kind, "target\(index)", ["target": .string(target)]))
            references.append(.named("target\(index)"))
        }
        operations.append(update(owner.table, owner.uuid, [(owner.column, .set(references))]))
        try change(view, operations)
    }

    private func owner(
        _ bridgeName: String?, _ view: SwitchView
    ) throws(ClientError) -> (table: String, uuid: String, column: String, row: JSON) {
        let table = bridgeName == nil ? "Open_vSwitch" : "Bridge"
        let uuid = try bridgeName.map { (name) throws(ClientError) in try view.bridge(name).uuid } ?? view.uuid
        let row = try rows(table).first { $0["_uuid"]?.uuidText == uuid } ?? .null
        return (table, uuid, bridgeName == nil ? "manager_options" : "controller", row)
    }
}

extension SwitchView {
    /// The interface of that name.
    public func interface(_ name: String) throws(ClientError) -> InterfaceView {
        let all = bridges.flatMap { $0.ports.flatMap(\.interfaces) }
        guard let found = all.first(where: { $0.name == name }) else {
            throw .unknown(kind: "interface", name: name, known: all.map(\.name))
        }
        return found
    }
}
