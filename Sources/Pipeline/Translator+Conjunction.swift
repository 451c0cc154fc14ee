// Conjunctive matches: rules that each are one alternative of a clause, and match together when every clause has one.
//
// A rule with `conjunction(id,k/n)` actions does not match by itself. Where a packet matches rules of one priority that
// between them have all n clauses of an id, the lookup is made again with `conj_id` set to the id. An ordinary match of the
// same or a higher priority goes first. Tables without such rules are looked up as ever.

internal import Classifier
internal import Flow

extension FlowRule {
    /// The clauses that the rule is an alternative of; empty for an ordinary rule.
    var conjunctions: [(id: UInt32, clause: UInt8, clauses: UInt8)] {
        actions.compactMap { if case .conjunction(let id, let clause, let clauses) = $0 { (id, clause, clauses) } else { nil } }
    }

    /// A rule whose actions are conjunctions has no other actions but notes.
    var isConjunctive: Bool {
        actions.contains { if case .conjunction = $0 { true } else { false } }
    }
}

extension Translator {
    /// Looks the packet up in a table that has conjunctive rules. Adds what was looked at to `lookupMask`.
    func lookupConjunctive(_ classifier: Classifier) -> FlowRule? {
        var hard: FlowRule?
        var soft: [FlowRule] = []
        forEachMatch(classifier) { rule in
            if rule.isConjunctive {
                soft.append(rule)
            } else if hard == nil || rule.rank > hard!.rank {
                hard = rule
            }
            return hard?.rank
        }
        soft.sort { $0.rank > $1.rank }
        var begin = 0
        while begin < soft.count, soft[begin].rank > hard?.rank ?? .min {
            var end = begin
            while end < soft.count, soft[end].rank == soft[begin].rank { end += 1 }
            for id in Translator.complete(soft[begin..<end]) {
                if let found = lookupOrdinary(classifier, conjunction: id) {
                    if trace != nil { completing = soft[begin..<end].filter { $0.conjunctions.contains { $0.id == id } } }
                    return found
                }
            }
            begin = end
        }
        return hard
    }

    /// The ids of which every clause is there, in order.
    private static func complete(_ rules: ArraySlice<FlowRule>) -> [UInt32] {
        var clauses: [UInt32: (found: UInt64, count: UInt8)] = [:]
        for rule in rules {
            for conjunction in rule.conjunctions {
                // Rules that disagree on the number of clauses complete nothing they did not agree on.
                let known = clauses[conjunction.id] ?? (0, conjunction.clauses)
                clauses[conjunction.id] = (known.found | 1 << UInt64(conjunction.clause - 1), max(known.count, conjunction.clauses))
            }
        }
        return clauses.filter { $0.value.found.nonzeroBitCount == Int($0.value.count) }.keys.sorted()
    }

    /// The ordinary rule of highest priority for a packet with this `conj_id`.
    private func lookupOrdinary(_ classifier: Classifier, conjunction: UInt32) -> FlowRule? {
        let saved = load32(FlowOffset.conjID)
        store32(FlowOffset.conjID, conjunction)
        defer { store32(FlowOffset.conjID, saved) }
        var best: FlowRule?
        forEachMatch(classifier) { rule in
            if !rule.isConjunctive, best == nil || rule.rank > best!.rank { best = rule }
            return best?.rank
        }
        return best
    }

    /// Visits every rule that matches. What `visit` answers is the priority up to which rules are of no interest any more.
    private func forEachMatch(_ classifier: Classifier, _ visit: (FlowRule) -> Int32?) {
        if isNarrow,
            classifier.forEachStagedMatch(key, version: version, mask: lookupMask, { visit(unsafeDowncast($0, to: FlowRule.self)) })
        {
            return
        }
        classifier.forEachMatch(key, version: version, mask: lookupMask) { _ = visit(unsafeDowncast($0, to: FlowRule.self)) }
    }

    /// The ordinary rule of highest priority, looked for as the field's switches do.
    func lookupStaged(_ classifier: Classifier) -> FlowRule? {
        var best: FlowRule?
        let isDone = classifier.forEachStagedMatch(key, version: version, mask: lookupMask) { found in
            if best == nil || found.rank > best!.rank { best = unsafeDowncast(found, to: FlowRule.self) }
            return best?.rank
        }
        if isDone { return best }
        return classifier.lookup(key, version: version, mask: lookupMask).map {
            unsafeDowncast($0.takeUnretainedValue(), to: FlowRule.self)
        }
    }
}
