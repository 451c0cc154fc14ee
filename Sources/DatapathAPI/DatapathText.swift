// Megaflows and datapath actions in the datapath's own syntax, as `dpctl/dump-flows` prints them.

public import Base
public import Flow

/// Text of megaflows. Static functions without state.
public enum DatapathText {
    /// One line of `dpctl/dump-flows`, without a line end:
    /// `recirc_id(0),in_port(2),...,eth_type(0x0800),ipv4(frag=no), packets:3, bytes:180, used:0.100s, actions:3`.
    ///
    /// - Parameters:
    ///   - showsAll: also its identifier, and what does not count.
    ///   - layer: where the flow is, shown with everything.
    ///   - portName: names instead of numbers, where it has one.
    public static func format(
        _ flow: MegaflowSnapshot, now: Instant, showsAll: Bool = false, layer: String? = nil,
        portName: (DatapathPort) -> String? = { _ in nil },
        punt: (PuntToken, UInt16) -> String? = { _, _ in nil }
    ) -> String {
        let packets = flow.packets - min(flow.packets, flow.missedPackets)
        let bytes = packets == 0 ? 0 : flow.bytes - min(flow.bytes, flow.missedBytes)
        var text = showsAll ? "ufid:\(flow.identifier), " : ""
        text += format(flow.match, packet: flow.packet, showsAll: showsAll, portName: portName)
        text += ", packets:\(packets), bytes:\(bytes), used:"
        if packets > 0 || flow.missedPackets == 0, let lastUsed = flow.lastUsed {
            let milliseconds = now.milliseconds(since: lastUsed)
            let fraction = String(milliseconds % 1000)
            text += "\(milliseconds / 1000).\(String(repeating: "0", count: 3 - fraction.count))\(fraction)s"
        } else {
            text += "never"
        }
        if flow.tcpFlags != 0, packets > 0 { text += ", flags:\(packetFlags(flow.tcpFlags))" }
        if showsAll, flow.hardwareLayer != nil { text += ", offloaded:yes" }
        if showsAll, let layer { text += ", dp:\(flow.hardwareLayer ?? layer)" }
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
    ///
    /// - Parameters:
    ///   - packet: a packet of the flow, for what is shown of bits that do not count; what the match says, if nil.
    ///   - showsAll: also what does not count, under masks of zeros.
    public static func format(
        _ match: Match, packet: FlowKey? = nil, showsAll: Bool = false, portName: (DatapathPort) -> String? = { _ in nil }
    ) -> String {
        let shown = match.withHashApart
        return FlowWriter.text(key: packet ?? shown.key, mask: shown.mask, showsAll: showsAll, portName: portName)
    }

    /// Prints everything of a packet that the datapath knows.
    public static func format(packet key: FlowKey) -> String {
        FlowWriter.text(key: key, mask: nil, showsAll: true) { _ in nil }
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
        case .pushEthernet(let destination, let source, _):
            let (to, from) = (Field.ethDst, Field.ethSrc)
            return "push_eth(src=\(FlowText.formatValue(from, UInt128(source), mask: from.layout.allOnes)),"
                + "dst=\(FlowText.formatValue(to, UInt128(destination), mask: to.layout.allOnes)))"
        case .popEthernet: return "pop_eth"
        case .pushNSH(let bytes): return "push_nsh(\(formatNSH(bytes)))"
        case .popNSH: return "pop_nsh()"
        case .addMPLS(let etherType, let entry): return "add_" + format(.pushMPLS(etherType: etherType, entry: entry)).dropFirst(5)
        case .removeMPLS(let etherType): return "pop_mpls(eth_type=\(hex(etherType)))"
        case .copyTTLOut: return "copy_ttl_out"
        case .copyTTLIn: return "copy_ttl_in"
        case .checkLength(let length, let larger, let other):
            let (more, less) = (format(larger, portName: portName), format(other, portName: portName))
            return "check_pkt_len(size=\(length),gt(\(more)),le(\(less)))"
        case .meter(let meter): return "meter(\(meter))"
        case .select(let algorithm, let basis, let ids):
            let first = ids.first ?? 0
            let number = HashedRecirculation(id: first)?.number ?? first
            return "hash(\(algorithm == 1 ? "sym_l4" : "l4")(\(basis))),recirc(\(hex(number)))"
        case .recirculate(let id): return "recirc(\(hex(id)))"
        case .drop: return "drop"
        }
    }

    /// A network service header's fields (RFC 8300 section 2.2).
    private static func formatNSH(_ bytes: [UInt8]) -> String {
        guard bytes.count >= 8 else { return "" }
        func word(_ at: Int) -> UInt32 { bytes[at..<at + 4].reduce(0) { $0 << 8 | UInt32($1) } }
        let path = word(4)
        var text = "flags=\(bytes[0] >> 4 & 3),ttl=\(word(0) >> 22 & 63),mdtype=\(bytes[2]),np=\(bytes[3])"
        text += ",spi=\(hex(path >> 8)),si=\(path & 0xff)"
        if bytes[2] == 1, bytes.count >= 24 {
            for index in 0..<4 { text += ",c\(index + 1)=0x\(String(word(8 + 4 * index), radix: 16))" }
        } else if bytes.count > 8 {
            text += ",md2=0x" + bytes[8...].map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
        }
        return text
    }

    private static func formatSet(_ field: Field, _ value: UInt128, _ mask: UInt128) -> String {
        if field == .skbPriority { return "skb_priority(\(hex(value)))" }
        let (group, name) = MatchWriter.datapathName(of: field)
        let text = "\(name)=\(MatchWriter.value(field, name, value & mask, mask))"
        return group.isEmpty ? text : "\(group)(\(text))"
    }
}
