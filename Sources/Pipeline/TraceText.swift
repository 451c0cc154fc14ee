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

    static func action(_ action: Action) -> String { FlowText.format(action) }

    /// A packet with every field that it has.
    static func flow(_ key: FlowKey) -> String {
        var mask = FlowMask()
        for field in [.inPort, .ethSrc, .ethDst, .ethType, .vlanTCI] as [Field] { mask.bits[field] = field.layout.allOnes }
        if key[.vlanTCI] & 0x1000 != 0, key.load(at: FlowOffset.vlanTCI2, count: 2) & 0x1000 != 0 {
            mask.bits.store(0xffff, at: FlowOffset.vlanTCI2, count: 2)
        }
        // What is zero unless somebody set it is shown if it was.
        for field in Field.allCases where field.layout.byteOffset >= FlowOffset.tunID && field.layout.byteOffset < FlowOffset.inPort {
            let isWhole = Field.reg0.rawValue...Field.reg15.rawValue ~= field.rawValue || !(Field.xreg0.rawValue...Field.xxreg3.rawValue ~= field.rawValue)
            if isWhole, key[field] != 0 { mask.bits[field] = field.layout.allOnes }
        }
        for field in [.pktMark, .ctState, .ctZone, .ctMark, .skbPriority] as [Field] where key[field] != 0 {
            mask.bits[field] = field.layout.allOnes
        }
        let candidates: [Field] = [
            .nwSrc, .nwDst, .ipv6Src, .ipv6Dst, .ipv6Label, .nwProto, .nwTOS, .nwTTL, .ipFrag, .arpOp, .arpSPA, .arpTPA, .arpSHA, .arpTHA,
            .mplsLabel, .mplsTC, .mplsTTL, .mplsBOS, .tcpSrc, .tcpDst, .tcpFlags, .udpSrc, .udpDst, .sctpSrc, .sctpDst, .icmpType,
            .icmpCode, .icmpv6Type, .icmpv6Code, .ndTarget, .ndSLL, .ndTLL,
        ]
        for field in candidates where key.meetsPrerequisites(of: field) { mask.bits[field] = field.layout.allOnes }
        return FlowText.format(Match(key: key, mask: mask))
    }

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
