// A translator small enough to be right by looking at it: prioritised rules in a list, searched from the top.

import Base
import DatapathAPI
import Flow
import Synchronization

/// One rule.
struct Rule: Sendable {
    var id: Int
    var priority: Int
    var match: Match
    var actions: [DatapathAction]
}

final class RuleTranslator: PacketTranslator {
    final class Effects: TranslationEffects {
        let rule: Int
        init(rule: Int) { self.rule = rule }
    }

    struct State {
        var rules: [Rule] = []
        var packets: [Int: UInt64] = [:]
        var bytes: [Int: UInt64] = [:]
        var tcpFlags: [Int: UInt16] = [:]
        var punts: [PuntedPacket] = []
        var translations = 0
        var isCacheable = true
        var extraMask = FlowMask()
        /// As `Translation.rewrittenWords`: by default nothing may be compared.
        var rewrittenWords = UInt64.max
    }

    let versions = DependencyVersions()
    let state = Mutex(State())
    static let slot = DependencySet.table(bridge: 1, table: 0)

    /// Changes the rules and says so, as a flow-mod does before its barrier is answered.
    func change(_ body: (inout State) -> Void) {
        state.withLock { body(&$0) }
        versions.stamp(RuleTranslator.slot)
    }

    /// The rule for a key: the first of the highest priority that matches.
    static func decide(_ key: FlowKey, _ rules: [Rule]) -> (rule: Rule?, mask: FlowMask) {
        var mask = FlowMask()
        for rule in rules {
            mask.formUnion(rule.match.mask)
            if rule.match.matches(key) { return (rule, mask) }
        }
        return (nil, mask)
    }

    func actions(for key: FlowKey) -> [DatapathAction] {
        state.withLock { RuleTranslator.decide(key, $0.rules).rule?.actions ?? [.drop(.tableMiss)] }
    }

    func translate(
        _ key: borrowing FlowKey, packet: UnsafeRawBufferPointer, hasSideEffects: Bool, into translation: inout Translation
    ) {
        translation.reset()
        translation.sequence = versions.sequence
        translation.dependencies = RuleTranslator.slot
        let copy = copy key
        state.withLock { state in
            state.translations += 1
            let (rule, mask) = RuleTranslator.decide(copy, state.rules)
            translation.actions = rule?.actions ?? [.drop(.tableMiss)]
            translation.mask = mask
            translation.mask.formUnion(state.extraMask)
            translation.isCacheable = state.isCacheable
            translation.rewrittenWords = state.rewrittenWords
            if let rule { translation.effects = Effects(rule: rule.id) }
        }
    }

    func credit(_ effects: any TranslationEffects, _ delta: FlowStatisticsDelta) {
        guard let effects = effects as? Effects else { return }
        state.withLock { state in
            state.packets[effects.rule, default: 0] += delta.packets
            state.bytes[effects.rule, default: 0] += delta.bytes
            state.tcpFlags[effects.rule, default: 0] |= delta.tcpFlags
        }
    }

    func receive(_ packet: PuntedPacket) { state.withLock { $0.punts.append(packet) } }
}
