// The lines of a trace.

internal import Classifier
internal import DatapathAPI
internal import Flow

enum TraceText {
    static func bridge(_ name: String) -> String { "bridge(\"\(name)\")" }

    static func rule(_ rule: FlowRule) -> String {
        let match = FlowText.format(rule.match)
        let cookie = rule.cookie == 0 ? "" : ", cookie 0x\(String(rule.cookie, radix: 16))"
        return "\(rule.table < 10 ? " " : "")\(rule.table). \(match.isEmpty ? "" : match + ", ")priority \(rule.priority)\(cookie)"
    }

    static func pattern(_ rule: FlowRule) -> String {
        let match = FlowText.format(rule.match)
        return "priority=\(rule.priority)" + (match.isEmpty ? "" : "," + match)
    }

    static func port(_ port: OpenFlowPort) -> String {
        switch port {
        case .local: "LOCAL"
        case .controller: "CONTROLLER"
        default: String(port.rawValue)
        }
    }

    static func action(_ action: Action) -> String { FlowText.format(action) }

    static func actions(_ actions: [Action]) -> String { actions.map { FlowText.format($0) }.joined(separator: ",") }

    /// A packet with every field that it has.
    static func flow(_ key: FlowKey) -> String {
        let text = FlowText.format(packet: key.withHashApart)
        if key[.recircID] == 0 { return text }
        // Of a packet that comes back it is said that it is an Ethernet frame.
        let parts = text.split(separator: ",")
        let place = parts.firstIndex { part in
            !["recirc_id=", "dp_hash=", "conj_id=", "skb_priority=", "actset_output=", "ct_"].contains { part.hasPrefix($0) }
        }
        return (parts[..<(place ?? parts.endIndex)] + ["eth"] + parts[(place ?? parts.endIndex)...]).joined(separator: ",")
    }

    /// What failed, in the field's few words.
    static func reason(_ failure: String) -> String {
        if failure.hasPrefix("over max translation depth") { return "Recursion too deep" }
        if failure.hasPrefix("over \(PipelineLimits.resubmits) ") { return "Too many resubmits" }
        if failure.hasSuffix("kB of stack") { return "Stack too deep" }
        return failure
    }

    static func setsQueue(_ actions: [DatapathAction]) -> Bool {
        actions.contains { action in
            switch action {
            case .set(.skbPriority, _, _): true
            case .clone(let inner): setsQueue(inner)
            default: false
            }
        }
    }

    /// Fields whose change makes the field's switch look at the protocol too.
    private static let protocolFields: Set<Field> = [.nwSrc, .nwDst, .nwTTL, .ipv6Src, .ipv6Dst, .ipv6Label]

    /// What the decision rests on. What is set counts too, as the field's switch has it: it looks at what it changes.
    static func megaflow(_ key: FlowKey, _ mask: FlowMask, _ actions: [DatapathAction], setsQueue: Bool = false) -> String {
        var looked = mask
        var isForeign = false
        var isRetagged = false
        func add(_ actions: [DatapathAction]) {
            for action in actions {
                switch action {
                case .clone(let inner): add(inner)
                // From here on the network header is another.
                case .pushMPLS, .popMPLS: isForeign = true
                case .pushVLAN, .popVLAN: isRetagged = true
                case .set(.vlanTCI, _, _): if !isRetagged { looked.bits[.vlanTCI] = 0xffff }
                case .set(let field, _, let bits):
                    let offset = field.layout.byteOffset
                    guard offset < 320 else { continue }
                    if isForeign, field != .ethSrc, field != .ethDst { continue }
                    looked.bits[field] |= bits & field.layout.allOnes
                    if [.arpSPA, .arpTPA, .arpSHA, .arpTHA].contains(field) { looked.bits[.arpOp] = 0xff }
                    let isIP = key[.ethType] == 0x0800 || key[.ethType] == 0x86dd
                    if isIP, protocolFields.contains(field) || field == .nwTOS && bits & 3 != 0 { looked.bits[.nwProto] = 0xff }
                default: continue
                }
            }
        }
        add(actions)
        var match = Match(key: key, mask: looked)
        if setsQueue { match.set(.skbPriority, key[.skbPriority]) }
        // The input port is shown by its OpenFlow number; what every megaflow matches anyway is not shown.
        match.clear(.datapathInPort)
        match.set(.inPort, key[.inPort])
        if key[.vlanTCI] & 0x1000 == 0 { match.clear(.vlanTCI) }
        if key.load(at: FlowOffset.vlanTCI2, count: 2) & 0x1000 == 0 {
            match.mask.bits.store(0, at: FlowOffset.vlanTCI2, count: 2)
        }
        let isIP = key[.ethType] == 0x0800 || key[.ethType] == 0x86dd
        if !isIP { match.clear(.ipFrag) }
        match.mask.bits.store(0, at: FlowOffset.mplsCount, count: 1)
        match.key.store(0, at: FlowOffset.mplsCount, count: 1)
        let text = FlowText.format(match.withHashApart, showsPacketType: true)
        // In a megaflow a type or code of ICMP is the lower half of a port.
        guard isIP, key[.nwProto] == 1 || key[.nwProto] == 58 else { return text }
        let isICMP = key[.nwProto] == (key[.ethType] == 0x0800 ? 1 : 58)
        guard isICMP else { return text }
        return text.split(separator: ",", omittingEmptySubsequences: false).map { part -> String in
            let halves = part.split(separator: "=")
            let names = ["icmp_type", "icmp_code", "icmpv6_type", "icmpv6_code"]
            guard halves.count == 2, names.contains(String(halves[0])) else { return String(part) }
            let parts = halves[1].split(separator: "/").map(String.init)
            func number(_ text: String) -> Int { text.hasPrefix("0x") ? Int(text.dropFirst(2), radix: 16) ?? 0 : Int(text) ?? 0 }
            let own = looked.bits[halves[0].hasSuffix("type") ? .icmpType : .icmpCode]
            let mask = parts.count > 1 ? number(parts[1]) : Int(own)
            let name = halves[0].replacingPrefix("icmpv6_", with: "icmp_")
            return "\(name)=0x\(String(number(parts[0]), radix: 16))/0x\(String(mask, radix: 16))"
        }.joined(separator: ",")
    }
}

extension Substring {
    fileprivate func replacingPrefix(_ prefix: String, with other: String) -> String {
        hasPrefix(prefix) ? other + dropFirst(prefix.count) : String(self)
    }
}
