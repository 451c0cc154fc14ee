// How the configuration is shown.

internal import Flow
public import OVSDB

extension SwitchView {
    /// All of it, for `apusctl show`.
    public func report(runDirectory: String) -> Report {
        var text = "Apus in \(runDirectory)"
        if let version { text += ", compatible with Open vSwitch \(version)" }
        if isDPDKInitialized { text += ", " + (dpdkVersion ?? "DPDK") }
        text += "\n"
        if currentConfiguration < nextConfiguration {
            text += "configuration \(nextConfiguration) is being carried out (\(currentConfiguration) is done)\n"
        }
        if bridges.isEmpty { text += "no bridge yet: add one with `apusctl bridge add br0`\n" }
        for bridge in bridges {
            text += "\nbridge \(bridge.name)"
            if let id = bridge.datapathID { text += "  datapath id \(id)" }
            text += "  \(bridge.failMode ?? "standalone")"
            if !bridge.controllers.isEmpty { text += "  controllers \(bridge.controllers.joined(separator: " "))" }
            text += "\n" + bridge.portTable.split(separator: "\n").map { "  \($0)\n" }.joined()
        }
        let json: JSON = [
            "run_directory": .string(runDirectory), "ovs_version": JSON(version), "dpdk_version": JSON(dpdkVersion),
            "dpdk_initialized": .boolean(isDPDKInitialized), "configuration_wanted": .integer(nextConfiguration),
            "configuration_done": .integer(currentConfiguration), "bridges": .array(bridges.map(\.json)),
        ]
        return Report(text: text, json: json)
    }

    /// The bridges, one line each.
    public var bridgeReport: Report {
        var table = TextTable(["BRIDGE", "DATAPATH ID", "MODE", "PORTS", "CONTROLLERS"], right: ["PORTS"])
        for bridge in bridges {
            table.add([
                bridge.name, bridge.datapathID ?? "-", bridge.failMode ?? "standalone", String(bridge.ports.count),
                bridge.controllers.isEmpty ? "-" : bridge.controllers.joined(separator: " "),
            ])
        }
        return Report(
            text: table.isEmpty ? "no bridge yet: add one with `apusctl bridge add br0`\n" : table.text, json: .array(bridges.map(\.json)))
    }

    /// The ports of one bridge, or of all.
    public func portReport(bridge name: String?) throws(ClientError) -> Report {
        if let name {
            let bridge = try bridge(name)
            return Report(text: bridge.portTable, json: .array(bridge.ports.map { $0.json(bridge: name) }))
        }
        var text = ""
        for bridge in bridges { text += (text.isEmpty ? "" : "\n") + "bridge \(bridge.name)\n" + bridge.portTable }
        return Report(text: text, json: .array(bridges.flatMap { bridge in bridge.ports.map { $0.json(bridge: bridge.name) } }))
    }
}

extension BridgeView {
    var portTable: String {
        var table = TextTable(["PORT", "OFPORT", "TYPE", "LINK", "MTU", "VLAN", "MAC ADDRESS", "REMARK"], right: ["OFPORT", "MTU"])
        for port in ports {
            for interface in port.interfaces {
                table.add([
                    interface.name == port.name ? port.name : "\(port.name)/\(interface.name)", interface.ofportText,
                    interface.type.isEmpty ? "system" : interface.type, interface.linkState ?? "-", interface.mtu.map(String.init) ?? "-",
                    port.vlanText, interface.hardwareAddress ?? "-", interface.error.map { "ERROR: \($0)" } ?? interface.remark,
                ])
            }
        }
        return table.text
    }

    public var json: JSON {
        [
            "name": .string(name), "uuid": .string(uuid), "datapath_id": JSON(datapathID), "fail_mode": .string(failMode ?? "standalone"),
            "controllers": .array(controllers.map { .string($0) }), "ports": .array(ports.map { $0.json(bridge: name) }),
        ]
    }
}

extension PortView {
    var vlanText: String {
        let trunk = trunks.map(String.init).joined(separator: ",")
        switch (tag, trunks.isEmpty) {
        case (let tag?, true): return "access \(tag)"
        case (let tag?, false): return "native \(tag), trunk \(trunk)"
        case (nil, false): return "trunk \(trunk)"
        case (nil, true): return "-"
        }
    }

    public func json(bridge: String) -> JSON {
        [
            "name": .string(name), "uuid": .string(uuid), "bridge": .string(bridge), "tag": JSON(tag),
            "trunks": .array(trunks.map { .integer($0) }), "vlan_mode": JSON(vlanMode), "interfaces": .array(interfaces.map(\.json)),
        ]
    }
}

extension InterfaceView {
    var ofportText: String {
        guard let ofport else { return "-" }
        return ofport == 65534 ? "LOCAL" : String(ofport)
    }

    /// What tells the port from others of its type.
    var remark: String {
        for key in ["vhost-server-path", "dpdk-devargs", "peer", "remote_ip"] {
            if let value = options[key] { return "\(key)=\(value)" }
        }
        return ""
    }

    public var json: JSON {
        [
            "name": .string(name), "type": .string(type.isEmpty ? "system" : type), "ofport": JSON(ofport), "error": JSON(error),
            "mac": JSON(hardwareAddress), "link_state": JSON(linkState), "mtu": JSON(mtu),
            "options": .object(JSONObject(options.map { ($0.key, .string($0.value)) })),
            "statistics": .object(JSONObject(statistics.map { ($0.key, .integer($0.value)) })),
            "status": .object(JSONObject(status.map { ($0.key, .string($0.value)) })),
        ]
    }
}
