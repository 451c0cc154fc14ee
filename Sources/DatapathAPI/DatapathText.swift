// Megaflows and datapath actions in the datapath's own syntax, as `dpctl/dump-flows` prints them.

public import Base
public import Flow

/// Text of megaflows. Static functions without state.
public enum DatapathText {
    /// One line of `dpctl/dump-flows`, without a line end:
    /// `recirc_id(0),in_port(2),...,eth_type(0x0800),ipv4(frag=no), packets:3, bytes:180, used:0.100s, actions:3`.
    ///
    /// - Parameter portName: names instead of numbers, where it has one.
    public static func format(
        _ flow: MegaflowSnapshot, now: Instant, portName: (DatapathPort) -> String? = { _ in nil },
        punt: (PuntToken, UInt16) -> String? = { _, _ in nil }
    ) -> String {
        let packets = flow.packets - min(flow.packets, flow.missedPackets)
        let bytes = packets == 0 ? 0 : flow.bytes - min(flow.bytes, flow.missedBytes)
        var text = format(flow.match, portName: portName) + ", packets:\(packets), bytes:\(bytes), used:"
        if packets > 0 || flow.missedPackets == 0, let lastUsed = flow.lastUsed {
            let milliseconds = now.milliseconds(since: lastUsed)
            let fraction = String(milliseconds % 1000)
            text += "\(milliseconds / 1000).\(String(repeating: "0", count: 3 - fraction.count))\(fraction)s"
        } else {
            text += "never"
        }
        if flow.tcpFlags != 0 { text += ", flags:\(packetFlags(flow.tcpFlags))" }
        return text + ", actions:" + format(flow.actions, of: flow.match.key, mask: flow.match.mask, portName: portName, punt: punt)
    }

    /// TCP flags as one letter each, as the statistics show them.
    static func packetFlags(_ flags: UInt16) -> String {
        let letters: [(UInt16, Character)] = [
            (0x01, "F"), (0x02, "S"), (0x04, "R"), (0x08, "P"), (0x10, "."), (0x20, "U"), (0x40, "E"), (0x80, "C"), (0x100, "N"),
        ]
        return String(letters.filter { flags & $0.0 != 0 }.map(\.1))
    }

    /// Prints a megaflow's match. Only the datapath's lines count.
    public static func format(_ match: Match, portName: (DatapathPort) -> String? = { _ in nil }) -> String {
        var words: [String] = []
        let writer = MatchWriter(match: match)
        writer.tunnel(&words)
        writer.metadata(&words)
        let port = DatapathPort(UInt32(match.key[.datapathInPort]))
        words.append("in_port(\(portName(port) ?? String(port.rawValue)))")
        words.append("packet_type(ns=0,id=0)")
        writer.group("eth", [("src", .ethSrc), ("dst", .ethDst)], &words)
        var closing = 0
        for (offset, typeOffset) in [(FlowOffset.vlanTCI, FlowOffset.vlanTPID), (FlowOffset.vlanTCI2, FlowOffset.vlanTPID2)] {
            let mask = UInt16(match.mask.bits.load(at: offset, count: 2))
            let tci = UInt16(match.key.load(at: offset, count: 2))
            guard mask & 0x1000 != 0, tci & 0x1000 != 0 else { break }
            let tpid = UInt16(match.key.load(at: typeOffset, count: 2))
            words.append("eth_type(\(hex(tpid == 0 ? 0x8100 : tpid, digits: 4)))")
            words.append("vlan(\(vlan(tci, mask)))")
            words.append("encap(")
            closing += 1
        }
        if match.mask.bits[.ethType] != 0 { words.append("eth_type(\(hex(UInt16(match.key[.ethType]), digits: 4)))") }
        writer.network(&words)
        var text = ""
        for word in words {
            if !text.isEmpty, !text.hasSuffix("(") { text += "," }
            text += word
        }
        return text + String(repeating: ")", count: closing)
    }

    private static func vlan(_ tci: UInt16, _ mask: UInt16) -> String {
        var parts: [String] = []
        let vid = mask & 0x0fff
        parts.append("vid=\(tci & 0x0fff)" + (vid == 0x0fff ? "" : "/\(vid == 0 ? "0x0" : hex(vid))"))
        let pcp = mask >> 13
        parts.append("pcp=\(tci >> 13)" + (pcp == 7 ? "" : "/\(pcp == 0 ? "0x0" : hex(pcp))"))
        return parts.joined(separator: ",")
    }

    static func hex(_ value: some BinaryInteger) -> String { value == 0 ? "0" : "0x" + String(value, radix: 16) }
    static func hex(_ value: UInt16, digits: Int) -> String {
        let text = String(value, radix: 16)
        return "0x" + String(repeating: "0", count: max(0, digits - text.count)) + text
    }

    // MARK: - Actions

    /// Prints one datapath action.
    public static func format(_ action: DatapathAction, portName: (DatapathPort) -> String? = { _ in nil }) -> String {
        switch action {
        case .output(let port): return portName(port) ?? String(port.rawValue)
        case .set(let field, let value, let mask): return "set(\(formatSet(field, value, mask)))"
        case .pushVLAN(let tpid, let tci):
            return "push_vlan(" + (tpid == 0x8100 ? "" : "tpid=\(hex(tpid, digits: 4)),") + "vid=\(tci & 0x0fff),pcp=\(tci >> 13))"
        case .popVLAN: return "pop_vlan"
        case .pushMPLS(let etherType, let entry):
            // A label stack entry: label 20 bits, traffic class 3, bottom of stack 1, TTL 8.
            let label = "label=\(entry >> 12),tc=\(entry >> 9 & 7),ttl=\(entry & 255),bos=\(entry >> 8 & 1)"
            return "push_mpls(\(label),eth_type=\(hex(etherType)))"
        case .popMPLS(let etherType): return "pop_mpls(eth_type=\(hex(etherType)))"
        case .punt(let token, let maxLength): return "userspace(pid=0,controller(id=\(token.rawValue),max_len=\(maxLength)))"
        case .truncate(let maxLength): return "trunc(\(maxLength))"
        case .clone(let inner): return "clone(\(format(inner, portName: portName)))"
        case .pushPBB(let tag): return "push_pbb(isid=\(hex(tag & 0xff_ffff)),pcp=\(tag >> 29))"
        case .popPBB: return "pop_pbb"
        case .copyTTLOut: return "copy_ttl_out"
        case .copyTTLIn: return "copy_ttl_in"
        case .checkLength(let length, let larger, let other):
            let (more, less) = (format(larger, portName: portName), format(other, portName: portName))
            return "check_pkt_len(size=\(length),gt(\(more)),le(\(less)))"
        case .meter(let meter): return "meter(\(meter))"
        case .select(let algorithm, let basis, let ids):
            return "hash(\(algorithm == 1 ? "sym_l4" : "l4")(\(basis))),recirc(\(hex(ids.first ?? 0)))"
        case .recirculate(let id): return "recirc(\(hex(id)))"
        case .drop: return "drop"
        }
    }

    private static func formatSet(_ field: Field, _ value: UInt128, _ mask: UInt128) -> String {
        let (group, name) = MatchWriter.datapathName(of: field)
        let text = "\(name)=\(MatchWriter.value(field, name, value & mask, mask))"
        return group.isEmpty ? text : "\(group)(\(text))"
    }
}
