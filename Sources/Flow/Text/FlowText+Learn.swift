// Reading `learn` and `ct`.

internal import Wire

extension FlowText {
    static func parseLearn(_ word: FlowToken, ports: PortNames) throws(FlowTextError) -> Action {
        var action = LearnAction()
        let whole = excerpt(word.text)
        for part in try tokens(word.value) {
            switch part.key {
            case "table": action.table = try parseNumber(part.value, UInt8.self, whole, "a table number", max: 254)
            case "priority": action.priority = try parseNumber(part.value, UInt16.self, whole, "a priority")
            case "idle_timeout": action.idleTimeout = try parseNumber(part.value, UInt16.self, whole, "a number of seconds")
            case "hard_timeout": action.hardTimeout = try parseNumber(part.value, UInt16.self, whole, "a number of seconds")
            case "fin_idle_timeout": action.finIdleTimeout = try parseNumber(part.value, UInt16.self, whole, "a number of seconds")
            case "fin_hard_timeout": action.finHardTimeout = try parseNumber(part.value, UInt16.self, whole, "a number of seconds")
            case "cookie": action.cookie = try parseNumber(part.value, UInt64.self, whole, "a cookie")
            case "send_flow_rem": action.sendsFlowRemoved = true
            case "delete_learned": action.deletesLearned = true
            case "limit": action.limit = try parseNumber(part.value, UInt32.self, whole, "a number of flows")
            case "result_dst":
                let target = try parseSubField(part.value, in: word.text)
                try requireWritable(target.field, word)
                guard target.bits == 1 else { throw FlowTextError("\(whole): result_dst is one bit, not \(target.bits)") }
                action.resultDestination = target
            default: action.specs.append(try parseLearnSpec(part, word, ports: ports))
            }
        }
        return .learn(action)
    }

    private static func parseLearnSpec(_ part: FlowToken, _ word: FlowToken, ports: PortNames) throws(FlowTextError) -> LearnSpec {
        let whole = excerpt(word.text)
        switch part.key {
        case "load":
            let (from, to) = try arrow(part)
            let target = try parseSubField(to, in: part.text)
            try requireWritable(target.field, word)
            if let value = integer(from) {
                try requireFit(value, target, part)
                return LearnSpec(bits: target.bits, source: .immediate(value), target: .load(target))
            }
            let source = try parseSubField(from, in: part.text)
            guard source.bits == target.bits else {
                throw FlowTextError("\(excerpt(part.text)): the source has \(source.bits) bits and the destination \(target.bits)")
            }
            return LearnSpec(bits: source.bits, source: .field(source), target: .load(target))
        case "output":
            let source = try parseSubField(part.value, in: part.text)
            return LearnSpec(bits: source.bits, source: .field(source), target: .output)
        default:
            let target = try parseSubField(part.key, in: part.text)
            guard part.hasValue else { return LearnSpec(bits: target.bits, source: .field(target), target: .match(target)) }
            let isName = part.value.first.map { $0.isLetter } ?? false
            let fieldName = part.value.prefix { $0 != "[" }
            if isName, Field.named(fieldName) != nil {
                let source = try parseSubField(part.value, in: part.text)
                guard source.bits == target.bits else {
                    throw FlowTextError("\(whole): \(excerpt(part.text)) compares \(target.bits) bits with \(source.bits)")
                }
                return LearnSpec(bits: target.bits, source: .field(source), target: .match(target))
            }
            if target.offset == 0, target.bits == target.field.layout.bits {
                let (value, mask) = try parseValue(target.field, part.value, name: target.field.name, ports: ports)
                guard mask == target.field.layout.allOnes else { throw FlowTextError("\(excerpt(part.text)): learn takes no masks") }
                return LearnSpec(bits: target.bits, source: .immediate(value), target: .match(target))
            }
            guard let value = integer(part.value) else {
                throw FlowTextError("\(excerpt(part.text)): \"\(excerpt(part.value))\" is neither a field nor a number")
            }
            try requireFit(value, target, part)
            return LearnSpec(bits: target.bits, source: .immediate(value), target: .match(target))
        }
    }

    private static func requireFit(_ value: UInt128, _ target: SubField, _ part: FlowToken) throws(FlowTextError) {
        guard target.bits == 128 || value >> UInt128(target.bits) == 0 else {
            throw FlowTextError("\(excerpt(part.text)): the value does not fit into \(target.bits) bits")
        }
    }

    // MARK: ct

    static func parseConnectionTrack(
        _ word: FlowToken, ports: PortNames, depth: Int, budget: inout Int
    ) throws(FlowTextError) -> Action {
        var action = ConnectionTrackAction()
        let whole = excerpt(word.text)
        for part in try tokens(word.value) {
            switch part.key {
            case "commit": action.commits = true
            case "force": action.forces = true
            case "table": action.table = try parseNumber(part.value, UInt8.self, whole, "a table number", max: 254)
            case "zone":
                if let value = integer(part.value), value <= 0xffff {
                    action.zone = .value(UInt16(value))
                } else {
                    let field = try parseSubField(part.value, in: word.text)
                    guard field.bits == 16 else { throw FlowTextError("\(whole): a zone has 16 bits, not \(field.bits)") }
                    action.zone = .field(field)
                }
            case "alg":
                switch part.value {
                case "ftp": action.helper = 21
                case "tftp": action.helper = 69
                default: throw FlowTextError("\(whole): the helpers are ftp and tftp, not \"\(excerpt(part.value))\"")
                }
            case "nat": action.actions.append(.nat(try parseNAT(part)))
            case "exec": action.actions += try parseActions(part.value, ports: ports, depth: depth + 1, budget: &budget)
            default:
                throw FlowTextError(
                    "\(whole): ct takes commit, force, table, zone, alg, nat and exec, not \"\(excerpt(part.key))\"")
            }
        }
        if action.forces, !action.commits { throw FlowTextError("\(whole): force goes with commit only") }
        return .connectionTrack(action)
    }

    static func parseNAT(_ word: FlowToken) throws(FlowTextError) -> NATAction {
        var action = NATAction()
        let whole = excerpt(word.text)
        for part in try tokens(word.value) {
            switch part.key {
            case "src", "dst":
                action.flags.insert(part.key == "src" ? .source : .destination)
                if part.hasValue { try parseRange(part.value, into: &action, whole) }
            case "persistent": action.flags.insert(.persistent)
            case "hash": action.flags.insert(.hash)
            case "random": action.flags.insert(.random)
            default: throw FlowTextError("\(whole): nat takes src, dst, persistent, hash and random, not \"\(excerpt(part.key))\"")
            }
        }
        if action.flags.isSuperset(of: [.source, .destination]) { throw FlowTextError("\(whole): nat takes src or dst, not both") }
        if action.flags.isSuperset(of: [.hash, .random]) { throw FlowTextError("\(whole): nat takes hash or random, not both") }
        if action.flags.isDisjoint(with: [.source, .destination]), !action.flags.isEmpty {
            throw FlowTextError("\(whole): persistent, hash and random go with src or dst only")
        }
        return action
    }

    /// `ADDRESS[-ADDRESS][:PORT[-PORT]]`; IPv6 addresses may stand in brackets, and must if ports follow.
    private static func parseRange(_ text: Substring, into action: inout NATAction, _ whole: String) throws(FlowTextError) {
        let error = FlowTextError("\(whole): \"\(excerpt(text))\" is not a range like 10.0.0.1-10.0.0.9:1024-2047")
        var addresses = text
        var ports: Substring?
        if text.contains("[") {
            if let close = text.lastIndex(of: "]"), text.index(after: close) < text.endIndex {
                addresses = text[...close]
                let rest = text[text.index(after: close)...]
                guard rest.first == ":" else { throw error }
                ports = rest.dropFirst()
            }
        } else if text.contains("."), let colon = text.firstIndex(of: ":") {
            addresses = text[..<colon]
            ports = text[text.index(after: colon)...]
        }
        let ends = addresses.split(separator: "-", omittingEmptySubsequences: false).map { String($0.filter { $0 != "[" && $0 != "]" }) }
        guard (1...2).contains(ends.count) else { throw error }
        if let first = IPv4Address(ends[0]) {
            guard let last = ends.count == 2 ? IPv4Address(ends[1]) : IPv4Address(0), ends.count == 1 || last.rawValue >= first.rawValue
            else { throw error }
            action.addresses = .ipv4(first: first.rawValue, last: last.rawValue)
        } else if let first = IPv6Address(ends[0]) {
            guard let last = ends.count == 2 ? IPv6Address(ends[1]) : IPv6Address(0), ends.count == 1 || last.rawValue >= first.rawValue
            else { throw error }
            action.addresses = .ipv6(first: first.rawValue, last: last.rawValue)
        } else {
            throw error
        }
        guard let ports else { return }
        let numbers = ports.split(separator: "-", omittingEmptySubsequences: false).map { integer($0) }
        guard (1...2).contains(numbers.count), let first = numbers[0], first >= 1, first <= 0xffff else { throw error }
        action.firstPort = UInt16(first)
        if numbers.count == 2 {
            guard let last = numbers[1], last >= first, last <= 0xffff else { throw error }
            action.lastPort = UInt16(last)
        }
    }
}
