// Reading the datapath's own syntax: `recirc_id(0),in_port(1),eth_type(0x0800),ipv4(dst=10.0.0.0/255.0.0.0,proto=6),tcp(dst=80)`.

public import Flow

/// What is wrong with text in the datapath's syntax.
public struct DatapathTextError: Error, Equatable, CustomStringConvertible, Sendable {
    public var description: String
    init(_ description: String) { self.description = description }
}

extension DatapathText {
    /// Encapsulations in each other that a flow may have: two tags, and one to spare.
    private static let depthLimit = 4

    /// Reads a flow. What is not said is wild; `Match.key` is then a packet's key whose other bits are zero.
    ///
    /// - Parameter port: the number of the port with a name.
    public static func parseMatch(_ text: String, port: (String) -> DatapathPort? = { _ in nil }) throws(DatapathTextError) -> Match {
        var match = Match()
        try parse(Substring(text), into: &match, port: port, depth: 0)
        return match
    }

    private static func parse(
        _ text: Substring, into match: inout Match, port: (String) -> DatapathPort?, depth: Int
    ) throws(DatapathTextError) {
        guard depth < depthLimit else { throw DatapathTextError("flow text nests deeper than \(depthLimit)") }
        var rest = text
        while true {
            rest = rest.drop { $0 == "," || $0 == " " || $0 == "\t" || $0 == "\n" }
            if rest.isEmpty { return }
            if rest.hasPrefix("ufid:") {
                rest = rest.drop { $0 != "," && $0 != " " }
                continue
            }
            guard let open = rest.firstIndex(of: "("), let close = closing(rest, open) else {
                throw DatapathTextError("syntax error at \(rest)")
            }
            let name = String(rest[..<open])
            let arguments = rest[rest.index(after: open)..<close]
            let whole = rest
            rest = rest[rest.index(after: close)...]
            if name == "encap" {
                // The EtherType before it was the tag's.
                match.clear(.ethType)
                try parse(arguments, into: &match, port: port, depth: depth + 1)
                continue
            }
            do throws(FlowTextError) {
                guard try read(name, String(arguments), &match, port) else { throw FlowTextError("") }
            } catch {
                throw DatapathTextError(error.message.isEmpty ? "syntax error at \(whole)" : error.message)
            }
        }
    }

    /// The parenthesis that closes the one at `open`.
    static func closing(_ text: Substring, _ open: Substring.Index) -> Substring.Index? {
        var depth = 0
        var index = open
        while index < text.endIndex {
            if text[index] == "(" { depth += 1 }
            if text[index] == ")" {
                depth -= 1
                if depth == 0 { return index }
            }
            index = text.index(after: index)
        }
        return nil
    }

    /// Fields of the groups with names in them.
    private static let groups: [String: [String: Field]] = [
        "eth": ["src": .ethSrc, "dst": .ethDst],
        "ipv4": ["src": .nwSrc, "dst": .nwDst, "proto": .nwProto, "tos": .nwTOS, "ttl": .nwTTL, "frag": .ipFrag],
        "ipv6": [
            "src": .ipv6Src, "dst": .ipv6Dst, "label": .ipv6Label, "proto": .nwProto, "tclass": .nwTOS, "hlimit": .nwTTL, "frag": .ipFrag,
        ],
        "arp": ["sip": .arpSPA, "tip": .arpTPA, "op": .arpOp, "sha": .arpSHA, "tha": .arpTHA],
        "tcp": ["src": .tcpSrc, "dst": .tcpDst], "udp": ["src": .udpSrc, "dst": .udpDst], "sctp": ["src": .sctpSrc, "dst": .sctpDst],
        "icmp": ["type": .icmpType, "code": .icmpCode], "icmpv6": ["type": .icmpv6Type, "code": .icmpv6Code],
        "nd": ["target": .ndTarget, "sll": .ndSLL, "tll": .ndTLL],
        "nsh": [
            "flags": .nshFlags, "ttl": .nshTTL, "mdtype": .nshMDType, "np": .nshNP, "spi": .nshSPI, "si": .nshSI, "c1": .nshC1,
            "c2": .nshC2, "c3": .nshC3, "c4": .nshC4,
        ],
        "tunnel": [
            "tun_id": .tunID, "src": .tunSrc, "dst": .tunDst, "ipv6_src": .tunIPv6Src, "ipv6_dst": .tunIPv6Dst, "tos": .tunTOS,
            "ttl": .tunTTL,
        ],
        "ct_tuple4": ["src": .ctNWSrc, "dst": .ctNWDst, "proto": .ctNWProto, "tp_src": .ctTPSrc, "tp_dst": .ctTPDst],
        "ct_tuple6": ["src": .ctIPv6Src, "dst": .ctIPv6Dst, "proto": .ctNWProto, "tp_src": .ctTPSrc, "tp_dst": .ctTPDst],
    ]
    private static let singles: [String: Field] = [
        "recirc_id": .recircID, "dp_hash": .dpHash, "skb_priority": .skbPriority, "skb_mark": .pktMark, "ct_state": .ctState,
        "ct_zone": .ctZone, "ct_mark": .ctMark, "ct_label": .ctLabel, "eth_type": .ethType, "tcp_flags": .tcpFlags,
    ]

    /// Adds one group. False if there is none of that name or form.
    private static func read(
        _ name: String, _ text: String, _ match: inout Match, _ port: (String) -> DatapathPort?
    ) throws(FlowTextError) -> Bool {
        if let field = singles[name] {
            try set(field, text, name, &match)
            return true
        }
        let pairs = text.split(separator: ",").map { part -> (String, String) in
            // Long flows are broken into lines anywhere.
            let halves = part.filter { !$0.isWhitespace }.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            return (String(halves[0]), halves.count > 1 ? String(halves[1]) : "")
        }
        if let fields = groups[name] {
            for (key, value) in pairs {
                if name == "tunnel", key.hasPrefix("flags(") || key == "" || value.isEmpty { continue }
                guard let field = fields[key] else { return false }
                try set(field, value, key, &match)
            }
            // A header is of its type, whether or not the text says so.
            if let type = ["ipv4": 0x0800, "ipv6": 0x86dd, "arp": 0x0806][name], match.mask.bits[.ethType] == 0 {
                match.set(.ethType, UInt128(type))
            }
            // A packet with ports has their protocol, whether or not the text says so.
            if let proto = ["tcp": 6, "udp": 17, "sctp": 132, "icmp": 1, "icmpv6": 58][name], match.mask.bits[.nwProto] == 0 {
                match.set(.nwProto, UInt128(proto))
            }
            return true
        }
        switch name {
        case "in_port":
            guard let number = port(text) ?? UInt32(text).map({ DatapathPort($0) }) else { return false }
            match.set(.datapathInPort, UInt128(number.rawValue))
        case "packet_type": break
        case "vlan":
            let isInner = match.mask.bits[.vlanTCI] != 0
            let offset = isInner ? FlowOffset.vlanTCI2 : FlowOffset.vlanTCI
            var tci: UInt16 = 0x1000
            var mask: UInt16 = 0x1000
            for (key, value) in pairs {
                let parts = value.split(separator: "/").map { number(String($0)) }
                guard let first = parts.first, let bits = first else { return false }
                let own = parts.count > 1 ? parts[1] ?? 0 : .max
                switch key {
                case "vid":
                    tci |= UInt16(truncatingIfNeeded: bits) & 0xfff
                    mask |= UInt16(truncatingIfNeeded: own) & 0xfff
                case "pcp":
                    tci |= UInt16(truncatingIfNeeded: bits & 7) << 13
                    mask |= UInt16(truncatingIfNeeded: own & 7) << 13
                case "cfi":
                    if bits == 0 {
                        tci &= 0xefff
                    }
                default: return false
                }
            }
            match.key.store(UInt128(tci & mask), at: offset, count: 2)
            match.mask.bits.store(UInt128(mask), at: offset, count: 2)
            let tpid = match.mask.bits[.ethType] != 0 ? match.key[.ethType] : 0x8100
            match.key.store(tpid, at: isInner ? FlowOffset.vlanTPID2 : FlowOffset.vlanTPID, count: 2)
        case "mpls":
            var entries: [UInt32] = []
            var masks: [UInt32] = []
            for (key, value) in pairs {
                let parts = value.split(separator: "/").map { number(String($0)) }
                guard let first = parts.first, let bits = first else { return false }
                let own = parts.count > 1 ? parts[1] ?? 0 : .max
                guard let (shift, ones) = ["label": (12, 0xfffff), "tc": (9, 7), "bos": (8, 1), "ttl": (0, 0xff)][key] as (Int, UInt32)?
                else { return false }
                if key == "label" || entries.isEmpty {
                    guard entries.count < 3 else { return false }
                    entries.append(0)
                    masks.append(0)
                }
                entries[entries.count - 1] |= (UInt32(truncatingIfNeeded: bits) & ones) << UInt32(shift)
                masks[masks.count - 1] |= (UInt32(truncatingIfNeeded: own) & ones) << UInt32(shift)
            }
            for index in entries.indices {
                match.key.store(UInt128(entries[index]), at: FlowOffset.mplsLSE0 + 4 * index, count: 4)
                match.mask.bits.store(UInt128(masks[index]), at: FlowOffset.mplsLSE0 + 4 * index, count: 4)
            }
            match.key.store(UInt128(entries.count), at: FlowOffset.mplsCount, count: 1)
        default: return false
        }
        return true
    }

    private static func set(_ field: Field, _ text: String, _ name: String, _ match: inout Match) throws(FlowTextError) {
        let (value, mask) = try FlowText.parseValue(field, text, name: name)
        if mask != 0 { match.set(field, value, mask: mask) }
        // A later fragment is said with one bit, and a packet has both.
        if field == .ipFrag, value & 2 != 0 { match.set(.ipFrag, 3) }
    }

    private static func number(_ text: String) -> UInt64? {
        text.hasPrefix("0x") ? UInt64(text.dropFirst(2), radix: 16) : UInt64(text)
    }
}
