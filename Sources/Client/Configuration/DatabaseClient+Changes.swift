// Changing the configuration, and waiting until the switch has carried the change out.
//
// A change is one transaction that also counts `next_cfg` up; the switch sets `cur_cfg` to that number once it has done
// what it can. What it could not do stands in `Interface.error` then, and becomes this client's error. The row stays:
// the operator decides.

internal import OVSDB

/// What a new port shall be.
public struct PortRequest: Sendable {
    public var name: String
    /// "" is a system device.
    public var type: String
    public var options: [String: String]
    /// Access VLAN, or native VLAN if there are trunks.
    public var tag: Int?
    public var trunks: [Int]
    public var ofport: Int?
    public var mtu: Int?
    public init(
        name: String, type: String = "", options: [String: String] = [:], tag: Int? = nil, trunks: [Int] = [], ofport: Int? = nil,
        mtu: Int? = nil
    ) {
        self.name = name
        self.type = type
        self.options = options
        self.tag = tag
        self.trunks = trunks
        self.ofport = ofport
        self.mtu = mtu
    }
}

extension DatabaseClient {
    /// Adds a bridge with its local port.
    ///
    /// - Parameters:
    ///   - isSecure: forward nothing but what flows say; else a new bridge switches by MAC learning.
    ///   - mayExist: a bridge of that name is fine.
    public func addBridge(_ name: String, isSecure: Bool = false, mayExist: Bool = false) throws(ClientError) -> BridgeView {
        let view = try view()
        if let bridge = view.bridges.first(where: { $0.name == name }) {
            guard mayExist else { throw .refused("there is a bridge \"\(name)\" already; add --may-exist if that is fine") }
            return bridge
        }
        try refuseUsedName(name, view)
        var row: [(String, JSON)] = [("name", .string(name)), ("datapath_type", "netdev"), ("ports", .named("port"))]
        if isSecure { row.append(("fail_mode", "secure")) }
        try change(
            view,
            [
                insert("Interface", "interface", ["name": .string(name), "type": "internal"]),
                insert("Port", "port", ["name": .string(name), "interfaces": .named("interface")]),
                insert("Bridge", "bridge", .object(JSONObject(row))),
                mutate("Open_vSwitch", view.uuid, "bridges", "insert", .named("bridge")),
            ])
        let after = try self.view()
        try report(after, [name])
        return try after.bridge(name)
    }

    /// Removes a bridge and its ports.
    public func removeBridge(_ name: String, ifExists: Bool = false) throws(ClientError) {
        let view = try view()
        if ifExists && !view.bridges.contains(where: { $0.name == name }) { return }
        let bridge = try view.bridge(name)
        try change(view, [mutate("Open_vSwitch", view.uuid, "bridges", "delete", .uuid(bridge.uuid))])
    }

    /// Adds a port with one interface of the same name.
    public func addPort(_ request: PortRequest, to bridgeName: String, mayExist: Bool = false) throws(ClientError) -> PortView {
        let view = try view()
        let bridge = try view.bridge(bridgeName)
        if let port = bridge.ports.first(where: { $0.name == request.name }), mayExist { return port }
        try refuseUsedName(request.name, view)
        if !request.type.isEmpty, !view.interfaceTypes.isEmpty, !view.interfaceTypes.contains(request.type) {
            throw .unknown(kind: "interface type", name: request.type, known: view.interfaceTypes)
        }
        var interface: [(String, JSON)] = [("name", .string(request.name)), ("type", .string(request.type))]
        if !request.options.isEmpty { interface.append(("options", .map(request.options))) }
        if let ofport = request.ofport { interface.append(("ofport_request", .integer(Int64(ofport)))) }
        if let mtu = request.mtu { interface.append(("mtu_request", .integer(Int64(mtu)))) }
        var port: [(String, JSON)] = [("name", .string(request.name)), ("interfaces", .named("interface"))]
        if let tag = request.tag { port.append(("tag", .integer(Int64(tag)))) }
        if !request.trunks.isEmpty { port.append(("trunks", .set(request.trunks.map { .integer(Int64($0)) }))) }
        try change(
            view,
            [
                insert("Interface", "interface", .object(JSONObject(interface))), insert("Port", "port", .object(JSONObject(port))),
                stillThere(bridge), mutate("Bridge", bridge.uuid, "ports", "insert", .named("port")),
            ])
        let after = try self.view()
        try report(after, [request.name])
        return try after.port(request.name).port
    }

    /// Removes a port.
    ///
    /// - Parameter bridgeName: where it must be; nil is any bridge.
    public func removePort(_ name: String, from bridgeName: String?, ifExists: Bool = false) throws(ClientError) {
        let view = try view()
        if let bridgeName {
            let bridge = try view.bridge(bridgeName)
            if let elsewhere = view.bridges.first(where: { $0.name != bridgeName && $0.ports.contains { $0.name == name } }) {
                throw .refused("port \"\(name)\" is on bridge \"\(elsewhere.name)\", not on \"\(bridgeName)\"")
            }
            guard bridge.ports.contains(where: { $0.name == name }) else {
                if ifExists { return }
                throw .unknown(kind: "port", name: name, known: bridge.ports.map(\.name))
            }
        } else if ifExists && !view.bridges.contains(where: { $0.ports.contains { $0.name == name } }) {
            return
        }
        let (bridge, port) = try view.port(name)
        guard name != bridge.name else {
            throw .refused("\"\(name)\" is the local port of its bridge; remove the bridge with `apusctl bridge del \(name)`")
        }
        try change(view, [mutate("Bridge", bridge.uuid, "ports", "delete", .uuid(port.uuid))])
    }

    // MARK: Within

    /// Runs operations and waits for the switch.
    func change(_ view: SwitchView, _ operations: [JSON]) throws(ClientError) {
        let counted: [JSON] = [
            [
                "op": "mutate", "table": "Open_vSwitch", "where": [], "mutations": [["next_cfg", "+=", 1] as JSON] as JSON,
            ],
            ["op": "select", "table": "Open_vSwitch", "where": [], "columns": ["next_cfg"] as JSON],
        ]
        let results = try transact(operations + counted)
        guard let number = results[operations.count + 1]["rows"]?[0]?["next_cfg"]?.integer else {
            throw .refused("the database did not tell the number of the new configuration")
        }
        try waitForConfiguration(number)
    }

    /// Turns what the switch could not do into an error.
    func report(_ view: SwitchView, _ names: [String]) throws(ClientError) {
        for name in names {
            guard let interface = try view.port(name).port.interfaces.first(where: { $0.name == name }) else { continue }
            if let error = interface.error {
                throw .notApplied("port \"\(name)\" is configured, but does not work: \(error)")
            }
            if interface.ofport == -1 {
                throw .notApplied("port \"\(name)\" is configured, but could not be opened: the log of apusd says why")
            }
        }
    }

    private func refuseUsedName(_ name: String, _ view: SwitchView) throws(ClientError) {
        guard !name.isEmpty else { throw .invalid("a name must have at least one character") }
        for bridge in view.bridges {
            if bridge.name == name { throw .refused("\"\(name)\" is the name of a bridge already; choose another name") }
            if bridge.ports.contains(where: { $0.name == name }) {
                throw .refused("there is a port \"\(name)\" on bridge \"\(bridge.name)\" already; choose another name")
            }
        }
    }

    func insert(_ table: String, _ name: String, _ row: JSON) -> JSON {
        ["op": "insert", "table": .string(table), "uuid-name": .string(name), "row": row]
    }

    func mutate(_ table: String, _ uuid: String, _ column: String, _ mutator: String, _ value: JSON) -> JSON {
        [
            "op": "mutate", "table": .string(table), "where": [["_uuid", "==", .uuid(uuid)] as JSON] as JSON,
            "mutations": [[.string(column), .string(mutator), value] as JSON] as JSON,
        ]
    }

    /// Fails the transaction if the bridge went meanwhile.
    private func stillThere(_ bridge: BridgeView) -> JSON {
        [
            "op": "wait", "timeout": 0, "table": "Bridge", "where": [["_uuid", "==", .uuid(bridge.uuid)] as JSON] as JSON,
            "columns": ["name"] as JSON, "until": "==", "rows": [["name": .string(bridge.name)] as JSON] as JSON,
        ]
    }
}
