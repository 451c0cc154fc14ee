// `dpif/show`: datapaths, their bridges and ports, as text and as JSON.

internal import DatapathAPI
internal import Flow
internal import Netdev
internal import OVSDB
internal import Pipeline
internal import Switch

extension SwitchCommands {
    /// A port as both forms show it.
    private struct ShownPort {
        var name: String
        var openFlowNumber: UInt32
        /// Nil: none.
        var datapathNumber: UInt32?
        var type: String
        /// In the order in which they are shown.
        var settings: [(String, String)] = []
    }

    private func shownPorts(_ bridge: Bridge) -> [ShownPort] {
        bridge.ports.sorted { $0.name < $1.name }.map { port in
            let number = port.number == .local ? 65534 : port.number.rawValue
            switch port.attachment {
            case .datapath(let datapathPort):
                var shown = ShownPort(
                    name: port.name, openFlowNumber: number, datapathNumber: datapathPort.rawValue, type: interfaceType(port.name))
                if shown.type == "dummy-pmd", let dummy = theSwitch.dummyPort(port.name) {
                    shown.settings = [
                        ("n_rxq", "\(dummy.rxQueueCount)"), ("n_txq", "\(dummy.txQueueCount)"), ("numa_id", "\(max(0, dummy.numaNode))"),
                    ]
                }
                return shown
            case .patch(let peer):
                return ShownPort(name: port.name, openFlowNumber: number, type: "patch", settings: [("peer", peer)])
            }
        }
    }

    func dpifShow() -> String {
        let (hits, missed, _) = totals()
        var text = ""
        for type in datapathTypes() {
            text += "\(SwitchCommands.datapathName(type)): hit:\(hits) missed:\(missed)\n"
            for bridge in bridges(of: type) {
                text += "  \(bridge.name):\n"
                for port in shownPorts(bridge) {
                    let place = port.datapathNumber.map { String($0) } ?? "none"
                    let settings = port.settings.map { "\($0)=\($1)" }.joined(separator: ", ")
                    text += "    \(port.name) \(port.openFlowNumber)/\(place): (\(port.type)\(settings.isEmpty ? "" : ": \(settings)"))\n"
                }
            }
        }
        return text
    }

    func dpifShowJSON() -> JSON {
        let (hits, missed, _) = totals()
        func object(_ members: [(String, JSON)]) -> JSON { .object(JSONObject(members)) }
        return object(
            datapathTypes().map { type in
                let bridges = bridges(of: type).map { bridge in
                    let ports = shownPorts(bridge).map { port in
                        var members: [(String, JSON)] = [
                            ("ofport", .string("\(port.openFlowNumber)")),
                            ("port_no", .string(port.datapathNumber.map { "\($0)" } ?? "none")),
                            ("type", .string(port.type)),
                        ]
                        if !port.settings.isEmpty { members.append(("config", object(port.settings.map { ($0, .string($1)) }))) }
                        return (port.name, object(members))
                    }
                    return (bridge.name, object(ports))
                }
                let statistics = object([("hit", .string("\(hits)")), ("missed", .string("\(missed)"))])
                return (SwitchCommands.datapathName(type), object([("bridges", object(bridges)), ("stats", statistics)]))
            })
    }
}
