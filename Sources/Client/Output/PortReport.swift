// One port in full, for `apusctl port show`.

internal import OVSDB

extension SwitchView {
    /// What a port is, what was negotiated with whoever is behind it, and why it is down if it is.
    public func portReport(port name: String) throws(ClientError) -> Report {
        let (bridge, port) = try port(name)
        var text = "port \(port.name) of bridge \(bridge.name), VLANs: \(port.vlanText == "-" ? "all" : port.vlanText)\n"
        for interface in port.interfaces { text += interface.details }
        return Report(text: text, json: port.json(bridge: bridge.name))
    }
}

extension InterfaceView {
    /// Why no packets flow, in a sentence; nil if they can.
    public var problem: String? {
        if let error, !error.isEmpty { return error }
        guard linkState == "down" else { return nil }
        if let reason = status["reason"], !reason.isEmpty { return reason }
        if adminState == "down" { return "the interface is switched off on this host: ip link set \(name) up" }
        return "the device has no carrier"
    }

    var details: String {
        var text = "interface \(name)\n"
        func line(_ label: String, _ value: String?) {
            guard let value, !value.isEmpty else { return }
            text += "  \(label)\(String(repeating: " ", count: max(1, 18 - label.utf8.count)))\(value)\n"
        }
        line("type", type.isEmpty ? "system" : type)
        line("OpenFlow port", ofportText)
        line("link", linkState)
        line("down because", problem.map { $0 + "." })
        line("MAC address", hardwareAddress)
        line("MTU", mtu.map(String.init))
        for (key, value) in options.sorted(by: { $0.key < $1.key }) { line("option", "\(key)=\(value)") }
        for (key, value) in status.sorted(by: { $0.key < $1.key }) where key != "reason" { line(key, value) }
        // Whatever is not normal is worth a line.
        for (key, value) in statistics.sorted(by: { $0.key < $1.key })
        where value > 0 && (key.hasPrefix("drop_") || key.hasPrefix("vhost_") || key.hasSuffix("_errors") || key.hasSuffix("_dropped")) {
            line(key, String(value))
        }
        return text
    }
}
