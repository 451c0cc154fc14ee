// Reading actions.

internal import Wire

extension FlowText {
    /// Names of all actions read here, for suggestions.
    static let actionNames = [
        "output", "controller", "enqueue", "set_queue", "pop_queue", "group", "set_field", "load", "move", "push", "pop", "mod_vlan_vid",
        "set_vlan_vid", "mod_vlan_pcp", "set_vlan_pcp", "push_vlan", "strip_vlan", "pop_vlan", "push_mpls", "pop_mpls", "set_mpls_label",
        "set_mpls_tc", "set_mpls_ttl", "dec_mpls_ttl", "mod_dl_src", "mod_dl_dst", "mod_nw_src", "mod_nw_dst", "mod_nw_tos", "mod_nw_ecn",
        "mod_nw_ttl", "mod_tp_src", "mod_tp_dst", "dec_ttl", "set_tunnel", "set_tunnel64", "resubmit", "note", "exit", "clone",
        "conjunction",
        "meter", "clear_actions", "write_actions", "write_metadata", "goto_table", "apply_actions", "drop", "normal", "flood", "all",
        "local",
        "in_port", "table", "push_pbb", "pop_pbb", "copy_ttl_out", "copy_ttl_in", "multipath", "bundle", "bundle_load", "learn",
        "fin_timeout", "sample", "check_pkt_larger", "delete_field", "encap", "decap", "dec_nsh_ttl", "ct", "nat", "ct_clear",
    ]

    /// Reads a list of actions and instructions; empty text and `drop` are the empty list.
    public static func parseActions(_ text: some StringProtocol, ports: PortNames = .none) throws(FlowTextError) -> [Action] {
        var budget = actionLimit
        return try parseActions(Substring(text), ports: ports, depth: 0, budget: &budget)
    }

    static func parseActions(_ text: Substring, ports: PortNames, depth: Int, budget: inout Int) throws(FlowTextError) -> [Action] {
        guard depth < nestingLimit else { throw FlowTextError("actions are nested more than \(nestingLimit) deep") }
        let words = try tokens(text)
        var actions: [Action] = []
        for word in words {
            budget -= 1
            guard budget >= 0 else { throw FlowTextError("more than \(actionLimit) actions in one flow") }
            if word.key.lowercased() == "drop", !word.hasValue {
                guard words.count == 1 else { throw FlowTextError("drop stands alone: a list with other actions does not drop") }
                return []
            }
            if word.key.lowercased() == "apply_actions", word.delimiter == 0x28 {
                actions += try parseActions(word.value, ports: ports, depth: depth + 1, budget: &budget)
                continue
            }
            actions.append(try parseAction(word, ports: ports, depth: depth, budget: &budget))
        }
        return actions
    }

    private static func parseAction(_ word: FlowToken, ports: PortNames, depth: Int, budget: inout Int) throws(FlowTextError) -> Action {
        let name = word.key.lowercased()
        let value = word.value
        func number<Number: FixedWidthInteger>(_ type: Number.Type, _ what: String, max: Number = .max) throws(FlowTextError) -> Number {
            try parseNumber(value, type, "\(name):\(excerpt(value))", what, max: max)
        }
        func nested(_ budget: inout Int) throws(FlowTextError) -> [Action] {
            guard word.delimiter == 0x28 else { throw FlowTextError("\(name) takes actions in parentheses: \(name)(output:2)") }
            return try parseActions(value, ports: ports, depth: depth + 1, budget: &budget)
        }
        func bare(_ action: Action) throws(FlowTextError) -> Action {
            guard value.isEmpty else { throw FlowTextError("\(excerpt(word.text)): \(name) takes no argument") }
            return action
        }
        switch name {
        case "output": return try parseOutput(word, ports: ports)
        case "controller": return try parseController(word)
        case "enqueue":
            let parts = value.split(whereSeparator: { $0 == ":" || $0 == "," })
            guard parts.count == 2 else { throw FlowTextError("\(excerpt(word.text)): write enqueue:PORT:QUEUE") }
            return .enqueue(
                try port(parts[0], word, ports), queue: try parseNumber(parts[1], UInt32.self, excerpt(word.text), "a queue number"))
        case "set_queue": return .setQueue(try number(UInt32.self, "a queue number"))
        case "pop_queue": return try bare(.popQueue)
        case "group": return .group(try number(UInt32.self, "a group number", max: 0xffff_ff00))
        case "set_field": return try parseSetField(word, ports: ports)
        case "load": return try parseLoad(word)
        case "move":
            let (from, to) = try arrow(word)
            let source = try parseSubField(from, in: word.text)
            let target = try parseSubField(to, in: word.text)
            guard source.bits == target.bits else {
                throw FlowTextError(
                    "\(excerpt(word.text)): the source has \(source.bits) bits and the destination \(target.bits); they must be equally wide"
                )
            }
            try requireWritable(target.field, word)
            return .move(from: source, to: target)
        case "push": return .push(try parseSubField(value, in: word.text))
        case "pop":
            let target = try parseSubField(value, in: word.text)
            try requireWritable(target.field, word)
            return .pop(target)
        case "mod_vlan_vid", "set_vlan_vid":
            return .setVLANID(try number(UInt16.self, "a VLAN id", max: 4095), pushIfNeeded: true)
        case "mod_vlan_pcp", "set_vlan_pcp":
            return .setVLANPriority(try number(UInt8.self, "a VLAN priority", max: 7), pushIfNeeded: true)
        case "strip_vlan", "pop_vlan": return try bare(.popVLAN)
        case "push_vlan":
            let type = try number(UInt16.self, "an EtherType")
            guard type == 0x8100 || type == 0x88a8 else {
                throw FlowTextError("\(excerpt(word.text)): a VLAN tag's EtherType is 0x8100 or 0x88a8")
            }
            return .pushVLAN(etherType: type)
        case "push_mpls":
            let type = try number(UInt16.self, "an EtherType")
            guard type == 0x8847 || type == 0x8848 else {
                throw FlowTextError("\(excerpt(word.text)): an MPLS EtherType is 0x8847 or 0x8848")
            }
            return .pushMPLS(etherType: type)
        case "pop_mpls": return .popMPLS(etherType: try number(UInt16.self, "an EtherType"))
        case "set_mpls_label": return .setMPLSLabel(try number(UInt32.self, "an MPLS label", max: 0xfffff))
        case "set_mpls_tc": return .setMPLSTC(try number(UInt8.self, "an MPLS traffic class", max: 7))
        case "set_mpls_ttl": return .setMPLSTTL(try number(UInt8.self, "a TTL"))
        case "dec_mpls_ttl": return try bare(.decrementMPLSTTL)
        case "mod_dl_src": return .setEthSrc(try address(.ethSrc, word))
        case "mod_dl_dst": return .setEthDst(try address(.ethDst, word))
        case "mod_nw_src": return .setIPv4Src(UInt32(try address(.nwSrc, word)))
        case "mod_nw_dst": return .setIPv4Dst(UInt32(try address(.nwDst, word)))
        case "mod_nw_tos":
            let tos = try number(UInt8.self, "a TOS byte")
            guard tos & 3 == 0 else {
                throw FlowTextError(
                    "\(excerpt(word.text)): the two low bits of a TOS byte belong to ECN; use a multiple of 4, or mod_nw_ecn")
            }
            return .setIPDSCP(tos)
        case "mod_nw_ecn": return .setIPECN(try number(UInt8.self, "an ECN value", max: 3))
        case "mod_nw_ttl": return .setIPTTL(try number(UInt8.self, "a TTL"))
        case "mod_tp_src": return .setL4Src(try number(UInt16.self, "a port number"))
        case "mod_tp_dst": return .setL4Dst(try number(UInt16.self, "a port number"))
        case "dec_ttl":
            var ids: [UInt16] = []
            for part in value.split(separator: ",") {
                ids.append(try parseNumber(part, UInt16.self, excerpt(word.text), "a controller id"))
            }
            return .decrementTTL(controllerIDs: ids)
        case "set_tunnel", "set_tunnel64": return .setTunnelID(try number(UInt64.self, "a tunnel id"))
        case "resubmit": return try parseResubmit(word, ports: ports)
        case "goto_table": return .gotoTable(try number(UInt8.self, "a table number", max: 254))
        case "write_metadata":
            let (bits, mask) = try parseValue(.metadata, value, name: name)
            return .writeMetadata(value: UInt64(bits), mask: UInt64(mask))
        case "clear_actions": return try bare(.clearActions)
        case "write_actions": return .writeActions(try nested(&budget))
        case "clone": return .clone(try nested(&budget))
        case "meter": return .meter(try number(UInt32.self, "a meter number"))
        case "note": return .note(try hexBytes(value, word))
        case "exit": return try bare(.exit)
        case "debug_recirc": return try bare(.debugRecirculate)
        case "debug_slow": return try bare(.debugSlow)
        case "conjunction": return try parseConjunction(word)
        case "push_pbb":
            let type = try number(UInt16.self, "an EtherType")
            guard type == 0x88e7 else { throw FlowTextError("\(excerpt(word.text)): a PBB service tag's EtherType is 0x88e7") }
            return .pushPBB(etherType: type)
        case "pop_pbb": return try bare(.popPBB)
        case "copy_ttl_out": return try bare(.copyTTLOut)
        case "copy_ttl_in": return try bare(.copyTTLIn)
        case "dec_nsh_ttl": return try bare(.decrementNSHTTL)
        case "ct_clear": return try bare(.clearConnectionTrack)
        default:
            // A port by itself: `2`, `LOCAL`, `eth0`.
            if let action = try parseExtension(name, word, ports: ports, depth: depth, budget: &budget) { return action }
            if !word.hasValue, let port = OpenFlowPort(text: word.key, names: ports), port != .any { return output(port) }
            throw FlowTextError("there is no action \"\(excerpt(word.key))\"\(Suggestion.hint(for: word.key, among: actionNames))")
        }
    }

    static func parseNumber<Number: FixedWidthInteger>(
        _ text: some StringProtocol, _ type: Number.Type, _ whole: String, _ what: String, max: Number = .max
    ) throws(FlowTextError) -> Number {
        guard let value = integer(text), value <= UInt128(max) else {
            throw FlowTextError("\(whole): \"\(excerpt(text))\" is not \(what); a number of at most \(max) would do")
        }
        return Number(value)
    }

    private static func output(_ port: OpenFlowPort, maxLength: UInt16 = 0xffff) -> Action {
        port == .controller
            ? .controller(ControllerAction(maxLength: maxLength)) : .output(port, maxLength: port == .controller ? maxLength : 0)
    }

    static func port(_ text: some StringProtocol, _ word: FlowToken, _ ports: PortNames) throws(FlowTextError) -> OpenFlowPort {
        guard let port = OpenFlowPort(text: text, names: ports) else {
            let hint = Suggestion.hint(for: text, among: OpenFlowPort.reserved.map(\.name))
            throw FlowTextError(
                "\(excerpt(word.text)): there is no port \"\(excerpt(text))\"; a number, a port's name or LOCAL would do\(hint)")
        }
        return port
    }

    private static func address(_ field: Field, _ word: FlowToken) throws(FlowTextError) -> UInt64 {
        let (value, mask) = try parseValue(field, word.value, name: word.key.lowercased())
        guard mask == field.layout.allOnes else {
            throw FlowTextError("\(excerpt(word.text)): takes an address without a mask; set_field takes one")
        }
        return UInt64(value)
    }

    private static func parseOutput(_ word: FlowToken, ports: PortNames) throws(FlowTextError) -> Action {
        if word.delimiter == 0x28 {
            var target: OpenFlowPort?
            var length: UInt32?
            for part in try tokens(word.value) {
                switch part.key {
                case "port": target = try port(part.value, word, ports)
                case "max_len": length = try parseNumber(part.value, UInt32.self, excerpt(word.text), "a length in bytes")
                default: throw FlowTextError("\(excerpt(word.text)): output takes port= and max_len=, not \"\(excerpt(part.key))\"")
                }
            }
            guard let target, let length else { throw FlowTextError("\(excerpt(word.text)): write output(port=PORT,max_len=BYTES)") }
            guard length >= 14 else { throw FlowTextError("\(excerpt(word.text)): max_len must be at least 14, an Ethernet header") }
            return .outputTruncated(target, maxLength: length)
        }
        let value = word.value
        if value.contains("[") || (OpenFlowPort(text: value, names: ports) == nil && Field.named(value) != nil) {
            return .outputField(try parseSubField(value, in: word.text), maxLength: 0xffff)
        }
        // OpenFlow 1.0's "output:CONTROLLER:128".
        if let colon = value.firstIndex(of: ":"), value[..<colon].lowercased() == "controller" {
            return output(
                .controller,
                maxLength: try parseNumber(value[value.index(after: colon)...], UInt16.self, excerpt(word.text), "a length in bytes"))
        }
        let target = try port(value, word, ports)
        guard target != .any else { throw FlowTextError("\(excerpt(word.text)): ANY is no port to send to; ALL sends to every port") }
        return output(target)
    }

    private static func parseController(_ word: FlowToken) throws(FlowTextError) -> Action {
        var action = ControllerAction()
        if word.delimiter != 0x28 {
            if !word.value.isEmpty { action.maxLength = try parseNumber(word.value, UInt16.self, excerpt(word.text), "a length in bytes") }
            return .controller(action)
        }
        for part in try tokens(word.value) {
            switch part.key {
            case "max_len": action.maxLength = try parseNumber(part.value, UInt16.self, excerpt(word.text), "a length in bytes")
            case "id": action.controllerID = try parseNumber(part.value, UInt16.self, excerpt(word.text), "a controller id")
            case "meter_id": action.meter = try parseNumber(part.value, UInt32.self, excerpt(word.text), "a meter number")
            case "userdata": action.userdata = try hexBytes(part.value, word)
            case "pause": action.pause = true
            case "reason":
                guard let reason = PacketInReason(text: part.value) else {
                    throw FlowTextError(
                        "\(excerpt(word.text)): there is no reason \"\(excerpt(part.value))\"; the reasons are \(PacketInReason.all.map(\.text).joined(separator: ", "))"
                    )
                }
                action.reason = reason
            default:
                throw FlowTextError(
                    "\(excerpt(word.text)): controller takes max_len, reason, id, userdata, pause and meter_id, not \"\(excerpt(part.key))\""
                )
            }
        }
        return .controller(action)
    }

    private static func parseResubmit(_ word: FlowToken, ports: PortNames) throws(FlowTextError) -> Action {
        let parts = word.value.split(separator: ",", omittingEmptySubsequences: false)
        let isTracked = parts.count == 3 && parts[2] == "ct"
        guard parts.count <= 2 || isTracked, !word.value.isEmpty, word.value != "," else {
            throw FlowTextError("\(excerpt(word.text)): write resubmit(PORT,TABLE), resubmit(,TABLE), resubmit(,TABLE,ct) or resubmit:PORT")
        }
        var target: OpenFlowPort?
        if !parts[0].isEmpty {
            let parsed = try port(parts[0], word, ports)
            target = parsed == .inPort ? nil : parsed
        }
        var table: UInt8?
        if parts.count >= 2, !parts[1].isEmpty { table = try parseNumber(parts[1], UInt8.self, excerpt(word.text), "a table number") }
        if table == 255 { table = nil }
        if isTracked { return .resubmitTracked(port: target, table: table) }
        return .resubmit(port: target, table: table)
    }

    private static func parseConjunction(_ word: FlowToken) throws(FlowTextError) -> Action {
        let parts = word.value.split(whereSeparator: { $0 == "," || $0 == "/" || $0 == " " })
        guard parts.count == 3 else { throw FlowTextError("\(excerpt(word.text)): write conjunction(ID,CLAUSE/CLAUSES)") }
        let id = try parseNumber(parts[0], UInt32.self, excerpt(word.text), "a conjunction id")
        let clause = try parseNumber(parts[1], UInt8.self, excerpt(word.text), "a clause number")
        let clauses = try parseNumber(parts[2], UInt8.self, excerpt(word.text), "a number of clauses", max: 64)
        guard clauses >= 2 else { throw FlowTextError("\(excerpt(word.text)): a conjunction has 2 to 64 clauses") }
        guard clause >= 1, clause <= clauses else {
            throw FlowTextError("\(excerpt(word.text)): clause \(clause) is not between 1 and \(clauses)")
        }
        return .conjunction(id: id, clause: clause, clauses: clauses)
    }

    /// `01.02.ff`, dots optional.
    static func hexBytes(_ text: Substring, _ word: FlowToken) throws(FlowTextError) -> [UInt8] {
        var bytes: [UInt8] = []
        var high: Int?
        for character in text where character != "." {
            guard let digit = character.hexDigitValue else {
                throw FlowTextError("\(excerpt(word.text)): \"\(character)\" is not a hexadecimal digit; bytes are written like 01.02.ff")
            }
            if let first = high {
                bytes.append(UInt8(first << 4 | digit))
                high = nil
            } else {
                high = digit
            }
        }
        guard high == nil else { throw FlowTextError("\(excerpt(word.text)): a byte has two hexadecimal digits") }
        return bytes
    }
}

extension PacketInReason {
    static let all: [PacketInReason] = [.noMatch, .action, .invalidTTL, .actionSet, .group, .packetOut]

    /// The name in text.
    public var text: String {
        switch self {
        case .noMatch: "no_match"
        case .action: "action"
        case .invalidTTL: "invalid_ttl"
        case .actionSet: "action_set"
        case .group: "group"
        case .packetOut: "packet_out"
        }
    }
    public init?(text: some StringProtocol) {
        guard let known = PacketInReason.all.first(where: { $0.text == text }) else { return nil }
        self = known
    }
}
