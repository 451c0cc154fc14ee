// `learn` and `fin_timeout`: what a packet teaches the flow tables.

internal import DatapathAPI
internal import Flow

extension Translator {
    func run(_ action: LearnAction) {
        var match = Match()
        var actions: [Action] = []
        if action.finIdleTimeout != 0 || action.finHardTimeout != 0 {
            actions.append(.finTimeout(idle: action.finIdleTimeout, hard: action.finHardTimeout))
        }
        for spec in action.specs {
            let value: UInt128
            switch spec.source {
            case .immediate(let immediate): value = immediate
            case .field(let field):
                if meetsPrerequisites(of: field.field) { look(field) }
                value = read(field)
            }
            switch spec.target {
            case .match(let target): Translator.add(target, value, to: &match)
            case .load(let target):
                let ones: UInt128 = target.bits == 128 ? .max : (1 << UInt128(target.bits)) - 1
                actions.append(
                    .setField(
                        target.field, value: (value & ones) << UInt128(target.offset), mask: ones << UInt128(target.offset), isLoad: true))
            case .output:
                let port = OpenFlowPort(Translator.wide(UInt32(truncatingIfNeeded: min(value, UInt128(UInt32.max)))))
                if port < .max16 || [.inPort, .flood, .local, .all].contains(port) { actions.append(.output(port, maxLength: 0)) }
            }
        }
        var flags: FlowModFlags = []
        if action.sendsFlowRemoved { flags.insert(.sendFlowRemoved) }
        var change = FlowModification(
            command: .modifyStrict, table: action.table, match: match, priority: action.priority, cookie: 0, cookieMask: 0,
            newCookie: action.cookie, idleTimeoutSeconds: action.idleTimeout, hardTimeoutSeconds: action.hardTimeout, flags: flags,
            actions: actions, modifyAddsIfNone: true, modifyChangesCookie: action.cookie != .max)
        // `fin_timeout` is for what is learned of a TCP packet, whatever else is learned by the same action.
        change.isLenient = true
        let lesson = Lesson(bridge: view.bridge, change: change, limit: action.limit)
        if let result = action.resultDestination {
            // Whether there is room changes with every flow that is learned: each packet asks anew.
            isCacheable = false
            set(result, view.bridge.hasRoom(for: lesson) ? 1 : 0)
        }
        lessons.append(lesson)
        if !hasSideEffects { report(.warning, "suppressing side effects, so learn action ignored") }
    }

    private static func add(_ target: SubField, _ value: UInt128, to match: inout Match) {
        if target.isNarrowPort, target.offset == 0, target.bits == 16 {
            match.set(.inPort, UInt128(wide(UInt32(truncatingIfNeeded: value))))
            return
        }
        let ones: UInt128 = target.bits == 128 ? .max : (1 << UInt128(target.bits)) - 1
        switch target.field {
        case .vlanVID12: match.set(.vlanTCI, value & ones | 0x1000, mask: ones << UInt128(target.offset) | 0x1000)
        default: match.set(target.field, (value & ones) << UInt128(target.offset), mask: ones << UInt128(target.offset))
        }
    }

    /// Of TCP packets: the rule's timeouts become shorter once a FIN or RST is seen.
    func finTimeout(idle: UInt16, hard: UInt16) {
        lookBytes(FlowOffset.nwProto, 1)
        guard load8(FlowOffset.nwProto) == 6, let rule else { return }
        finTimeouts.append(FinTimeout(bridge: view.bridge, rule: rule, idle: idle, hard: hard))
    }
}
