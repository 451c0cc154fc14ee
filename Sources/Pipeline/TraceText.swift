// The lines of a trace.

internal import Classifier
internal import Flow

enum TraceText {
    static func bridge(_ name: String) -> String { "bridge(\"\(name)\")" }

    static func rule(_ rule: FlowRule) -> String {
        let match = FlowText.format(rule.match)
        let cookie = rule.cookie == 0 ? "" : ", cookie 0x\(String(rule.cookie, radix: 16))"
        return "\(rule.table < 10 ? " " : "")\(rule.table). \(match.isEmpty ? "" : match + ", ")priority \(rule.priority)\(cookie)"
    }

    static func port(_ port: OpenFlowPort) -> String {
        switch port {
        case .local: "LOCAL"
        case .controller: "CONTROLLER"
        default: String(port.rawValue)
        }
    }

    static func action(_ action: Action) -> String { FlowText.format(action) }

    /// A packet with every field that it has.
    static func flow(_ key: FlowKey) -> String { FlowText.format(packet: key) }

    static func megaflow(_ key: FlowKey, _ mask: FlowMask) -> String {
        var match = Match(key: key, mask: mask)
        // The input port is shown by its OpenFlow number; what every megaflow matches anyway is not shown.
        match.clear(.datapathInPort)
        match.set(.inPort, key[.inPort])
        if match.key[.vlanTCI] == 0, match.mask.bits[.vlanTCI] == 0x1000 { match.clear(.vlanTCI) }
        let isIP = key[.ethType] == 0x0800 || key[.ethType] == 0x86dd
        if !isIP { match.clear(.ipFrag) }
        match.mask.bits.store(0, at: FlowOffset.mplsCount, count: 1)
        match.key.store(0, at: FlowOffset.mplsCount, count: 1)
        return FlowText.format(match, showsPacketType: true)
    }
}
