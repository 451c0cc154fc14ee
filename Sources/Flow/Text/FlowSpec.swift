// A whole flow as people write it: table, priority, cookie, timeouts, flags, match, actions.

/// Flow-mod flags (OpenFlow 1.5 section 7.3.4.2), in the numbering of 1.3 and later.
public struct FlowFlags: OptionSet, Hashable, Sendable {
    public var rawValue: UInt16
    public init(rawValue: UInt16) { self.rawValue = rawValue }
    public static let sendFlowRemoved = FlowFlags(rawValue: 1)
    public static let checkOverlap = FlowFlags(rawValue: 2)
    public static let resetCounts = FlowFlags(rawValue: 4)
    public static let noPacketCounts = FlowFlags(rawValue: 8)
    public static let noByteCounts = FlowFlags(rawValue: 16)

    static let names: [(name: String, flag: FlowFlags)] = [
        ("send_flow_rem", .sendFlowRemoved), ("check_overlap", .checkOverlap), ("reset_counts", .resetCounts),
        ("no_packet_counts", .noPacketCounts), ("no_byte_counts", .noByteCounts),
    ]
}

/// A flow, or a description of flows to change or delete.
public struct FlowSpec: Equatable, Sendable {
    /// Nil if none was given: table 0 for an addition, every table for a change or deletion.
    public var table: UInt8?
    /// Nil if none was given; 32768 is the default.
    public var priority: UInt16?
    public var match = Match()
    public var cookie: UInt64 = 0
    /// For changes and deletions: flows whose cookies agree with `cookie` here; 0 is any.
    public var cookieMask: UInt64 = 0
    /// Seconds; 0 is never.
    public var idleTimeout: UInt16 = 0
    public var hardTimeout: UInt16 = 0
    public var importance: UInt16 = 0
    public var flags = FlowFlags()
    public var outPort: OpenFlowPort?
    public var outGroup: UInt32?
    /// Nil if the text has no `actions=`.
    public var actions: [Action]?
    public init() {}
}

/// What a flow's text is for: an addition must have actions and may not have a cookie mask or an output filter.
public enum FlowTextPurpose: Sendable {
    case add, modify, delete
}

extension FlowText {
    /// Reads `table=1,priority=5,tcp,nw_dst=10.0.0.1,actions=output:2`.
    public static func parseFlow(
        _ text: some StringProtocol, for purpose: FlowTextPurpose = .add, ports: PortNames = .none
    ) throws(FlowTextError) -> FlowSpec {
        var spec = FlowSpec()
        var description = Substring(text)
        if let found = actionsRange(description) {
            spec.actions = try parseActions(description[found.upperBound...], ports: ports)
            description = description[..<found.lowerBound]
        }
        switch purpose {
        case .add, .modify:
            guard spec.actions != nil else {
                throw FlowTextError(
                    "\"\(excerpt(text))\" has no actions; end it with actions=drop, actions=NORMAL, actions=output:2 or the like")
            }
        case .delete:
            guard spec.actions == nil else { throw FlowTextError("flows are deleted by match alone; leave \"actions=\" away") }
        }
        var matchTokens: [FlowToken] = []
        for token in try tokens(description) where !(try addAttribute(token, to: &spec, purpose, ports: ports)) {
            matchTokens.append(token)
        }
        let rest = try addMatch(matchTokens, to: &spec.match, ports: ports)
        if let unknown = rest.first { throw unknownWord(unknown) }
        return spec
    }

    /// Where `actions=` (or `action=`) stands as a word of its own.
    private static func actionsRange(_ text: Substring) -> Range<Substring.Index>? {
        let bytes = text.utf8
        var isStart = true
        for at in bytes.indices {
            if isStart {
                for word in ["actions=", "action="] where bytes[at...].starts(with: word.utf8) {
                    return at..<bytes.index(at, offsetBy: word.utf8.count)
                }
            }
            isStart = isSeparator(bytes[at])
        }
        return nil
    }

    /// Takes a word that is about the flow rather than its match. False if it is not one.
    private static func addAttribute(
        _ token: FlowToken, to spec: inout FlowSpec, _ purpose: FlowTextPurpose, ports: PortNames
    ) throws(FlowTextError) -> Bool {
        let key = token.key.lowercased()
        if let known = FlowFlags.names.first(where: { $0.name == key }), !token.hasValue {
            spec.flags.insert(known.flag)
            return true
        }
        guard token.hasValue else { return false }
        let whole = excerpt(token.text)
        switch key {
        case "table":
            let table = try parseNumber(token.value, UInt8.self, whole, "a table number")
            if table == 255, purpose == .add { throw FlowTextError("\(whole): a flow lives in a table from 0 to 254") }
            spec.table = table == 255 ? nil : table
        case "priority": spec.priority = try parseNumber(token.value, UInt16.self, whole, "a priority")
        case "idle_timeout": spec.idleTimeout = try parseNumber(token.value, UInt16.self, whole, "a number of seconds")
        case "hard_timeout": spec.hardTimeout = try parseNumber(token.value, UInt16.self, whole, "a number of seconds")
        case "importance": spec.importance = try parseNumber(token.value, UInt16.self, whole, "an importance")
        case "cookie":
            let parts = token.value.split(separator: "/", maxSplits: 1, omittingEmptySubsequences: false)
            spec.cookie = try parseNumber(parts[0], UInt64.self, whole, "a cookie")
            if parts.count == 2 {
                guard purpose != .add else {
                    throw FlowTextError("\(whole): a new flow's cookie takes no mask; a mask chooses flows to change or delete")
                }
                spec.cookieMask = parts[1] == "-1" ? .max : try parseNumber(parts[1], UInt64.self, whole, "a cookie mask")
            }
        case "out_port":
            guard purpose != .add else {
                throw FlowTextError("\(whole): out_port chooses flows to delete or dump; a new flow does not take it")
            }
            guard let port = OpenFlowPort(text: token.value, names: ports) else {
                throw FlowTextError(
                    "\(whole): there is no port \"\(excerpt(token.value))\"; a number, LOCAL or the name of a port would do")
            }
            spec.outPort = port
        case "out_group":
            guard purpose != .add else {
                throw FlowTextError("\(whole): out_group chooses flows to delete or dump; a new flow does not take it")
            }
            spec.outGroup = try parseNumber(token.value, UInt32.self, whole, "a group number")
        // What `dump-flows` prints about a flow may be fed back.
        case "duration", "n_packets", "n_bytes", "idle_age", "hard_age": break
        default: return false
        }
        return true
    }

    /// Prints a flow so that `parseFlow` reads it back.
    public static func format(_ spec: FlowSpec, ports: PortNames = .none) -> String {
        var words: [String] = []
        if let table = spec.table { words.append("table=\(table)") }
        if spec.cookieMask != 0 {
            words.append("cookie=\(hex(spec.cookie))/" + (spec.cookieMask == .max ? "-1" : hex(spec.cookieMask)))
        } else if spec.cookie != 0 {
            words.append("cookie=\(hex(spec.cookie))")
        }
        if spec.idleTimeout != 0 { words.append("idle_timeout=\(spec.idleTimeout)") }
        if spec.hardTimeout != 0 { words.append("hard_timeout=\(spec.hardTimeout)") }
        if spec.importance != 0 { words.append("importance=\(spec.importance)") }
        words += FlowFlags.names.filter { spec.flags.contains($0.flag) }.map(\.name)
        if let port = spec.outPort { words.append("out_port=\(port.text(names: ports))") }
        if let group = spec.outGroup { words.append("out_group=\(group)") }
        if let priority = spec.priority { words.append("priority=\(priority)") }
        let match = format(spec.match, ports: ports)
        if !match.isEmpty { words.append(match) }
        if let actions = spec.actions { words.append("actions=\(format(actions, ports: ports))") }
        return words.joined(separator: ",")
    }
}

/// A flow with its statistics, as `dump-flows` shows it.
public struct FlowDescription: Sendable {
    public var cookie: UInt64 = 0
    /// Since the flow was added.
    public var durationNanoseconds: UInt64 = 0
    public var table: UInt8 = 0
    public var packets: UInt64 = 0
    public var bytes: UInt64 = 0
    public var idleTimeout: UInt16 = 0
    public var hardTimeout: UInt16 = 0
    public var importance: UInt16 = 0
    public var flags = FlowFlags()
    /// Seconds since the last packet, and since the last change; nil where the protocol does not say.
    public var idleAge: Int?
    public var hardAge: Int?
    public var priority: UInt16 = 32768
    public var match = Match()
    public var actions: [Action] = []
    public init() {}
}

extension FlowText {
    /// Prints one line of `dump-flows`, with the leading blank and without a line end.
    public static func format(_ flow: FlowDescription, ports: PortNames = .none) -> String {
        var text = " cookie=0x\(String(flow.cookie, radix: 16)), duration=\(duration(flow.durationNanoseconds)), table=\(flow.table), "
        text += "n_packets=\(flow.packets), n_bytes=\(flow.bytes), "
        if flow.idleTimeout != 0 { text += "idle_timeout=\(flow.idleTimeout), " }
        if flow.hardTimeout != 0 { text += "hard_timeout=\(flow.hardTimeout), " }
        if flow.importance != 0 { text += "importance=\(flow.importance), " }
        for known in FlowFlags.names where flow.flags.contains(known.flag) { text += known.name + " " }
        if let idleAge = flow.idleAge { text += "idle_age=\(idleAge), " }
        if let hardAge = flow.hardAge, UInt64(hardAge) != flow.durationNanoseconds / 1_000_000_000 { text += "hard_age=\(hardAge), " }
        let match = format(flow.match, priority: flow.priority, ports: ports)
        if !match.isEmpty { text += match + " " }
        return text + "actions=" + format(flow.actions, ports: ports)
    }

    /// `5s`, `5.250s`: as many decimals as the fraction needs, in threes.
    public static func duration(_ nanoseconds: UInt64) -> String {
        let seconds = nanoseconds / 1_000_000_000
        let fraction = nanoseconds % 1_000_000_000
        func padded(_ value: UInt64, _ digits: Int) -> String {
            let text = String(value)
            return String(repeating: "0", count: digits - text.count) + text
        }
        if fraction == 0 { return "\(seconds)s" }
        if fraction % 1_000_000 == 0 { return "\(seconds).\(padded(fraction / 1_000_000, 3))s" }
        if fraction % 1000 == 0 { return "\(seconds).\(padded(fraction / 1000, 6))s" }
        return "\(seconds).\(padded(fraction, 9))s"
    }
}
