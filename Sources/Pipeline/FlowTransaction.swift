// Changes of a bridge's flow tables that become visible together, or not at all.
//
// Made and used under the bridge's writer lock, up to `commit`; `report` afterwards, without the lock. Where many rules change,
// breath is taken: whoever is let in there has nothing to do with the writer's state (see `Breath`).

internal import Base
internal import Classifier
internal import DatapathAPI
internal import Flow
internal import Synchronization

struct FlowTransaction {
    private enum Step {
        case inserted(FlowRule)
        case removed(FlowRule)
    }

    let bridge: Bridge
    let now: Instant
    let version: UInt64
    /// Groups and meters that change; nil is gone.
    var groupChanges: [UInt32: Group?] = [:]
    var meterChanges: [UInt32: MeterReference?] = [:]
    private var steps: [Step] = []
    private var changes: [(FlowRule, FlowChange)] = []
    /// What changed rules match, one of each match; for `commit`.
    private var concerned: [(table: UInt8, match: CompactMatch)] = []
    private var touched = InlineArray<4, UInt64>(repeating: 0)
    private var tableEvents: [(TableState, TableStatusReason)] = []
    /// What flows were learned by rules that are gone.
    private var orphans: Set<LearnedCookie> = []
    private(set) var result = FlowModResult()

    init(bridge: Bridge, now: Instant) {
        self.bridge = bridge
        self.now = now
        version = bridge.publishedVersion.load(ordering: .relaxed) + 1
    }

    // MARK: Flow-mods

    mutating func perform(_ change: FlowModification, _ state: inout Bridge.Writer) throws(FlowModError) {
        if let table = change.table, Int(table) >= PipelineLimits.tableCount { throw .badTable(table) }
        switch change.command {
        case .add:
            try ActionValidation.check(change.actions, match: change.match, table: change.table ?? 0, isLenient: change.isLenient)
            try checkReferences(change.actions)
            try add(change, &state)
        case .modify, .modifyStrict:
            try ActionValidation.check(change.actions, match: change.match, table: change.table ?? 0, isLenient: change.isLenient)
            try checkReferences(change.actions)
            let rules = select(change, strictly: change.command == .modifyStrict)
            for rule in rules {
                replace(rule, by: modified(rule, change), .modified, &state)
                result.modified += 1
                if result.modified & 127 == 127 { Breath.take() }
            }
            if rules.isEmpty, change.modifyAddsIfNone { try add(change, &state) }
        case .delete, .deleteStrict:
            var rules = select(change, strictly: change.command == .deleteStrict)
            for rule in rules { remove(rule, reason: .delete, &state) }
            rules.dissolve()
        }
    }

    private mutating func add(_ change: FlowModification, _ state: inout Bridge.Writer) throws(FlowModError) {
        let table = change.table ?? 0
        let classifier = bridge.makeClassifier(table)
        let priority = Int32(change.priority)
        let old = classifier.find(change.$match, priority: priority, version: version).map { unsafeDowncast($0, to: FlowRule.self) }
        if old == nil, change.flags.contains(.checkOverlap), classifier.hasOverlap(change.match, priority: priority, version: version) {
            throw .overlap
        }
        if old == nil {
            if state.ruleCount >= PipelineLimits.rulesPerBridge { throw .tableFull(limit: PipelineLimits.rulesPerBridge) }
            if state.isFull(table) {
                guard let victim = state.victim(in: table) else { throw .tableFull(limit: state.activeCounts[Int(table)]) }
                remove(victim, reason: .eviction, &state)
            }
        }
        let counters =
            change.flags.contains(.resetCounts) ? FlowCounters(lastUsed: old?.counters.lastUsed) : old?.counters ?? FlowCounters()
        let rule = FlowRule(
            match: change.$match, priority: change.priority, shape: old?.shape ?? classifier.shape(for: change.$match), table: table,
            cookie: change.newCookie ?? change.cookie, idleTimeoutSeconds: change.idleTimeoutSeconds,
            hardTimeoutSeconds: change.hardTimeoutSeconds, importance: change.importance, flags: change.flags,
            actions: state.lists.shared(change.actions), counters: counters, created: now, modified: now)
        if let old {
            replace(old, by: rule, .added, &state)
            result.added += 1
        } else {
            insert(rule, &state)
            note(table, change.$match)
            changes.append((rule, .added))
            state.ruleCount += 1
            state.activeCounts[Int(table)] += 1
            result.added += 1
        }
    }

    private func modified(_ rule: FlowRule, _ change: FlowModification) -> FlowRule {
        FlowRule(
            match: rule.compactPattern, priority: rule.priority, shape: rule.shape, table: rule.table,
            cookie: change.modifyChangesCookie ? change.newCookie ?? change.cookie : rule.cookie,
            idleTimeoutSeconds: rule.idleTimeoutSeconds, hardTimeoutSeconds: rule.hardTimeoutSeconds, importance: rule.importance,
            flags: rule.flags, actions: change.actions,
            counters: change.flags.contains(.resetCounts) ? FlowCounters(lastUsed: rule.counters.lastUsed) : rule.counters,
            created: rule.created, modified: now)
    }

    /// The rules that a modify or delete is about.
    private func select(_ change: FlowModification, strictly: Bool) -> [FlowRule] {
        let isDelete = change.command == .delete || change.command == .deleteStrict
        let match = change.match
        let filter = FlowFilter(
            cookie: change.cookie, cookieMask: change.cookieMask, outPort: isDelete ? change.outPort : nil,
            outGroup: isDelete ? change.outGroup : nil)
        var rules: [FlowRule] = []
        for table in change.table.map({ $0...$0 }) ?? 0...UInt8(PipelineLimits.tableCount - 1) {
            guard let classifier = bridge.classifier(table)?.takeUnretainedValue() else { continue }
            if strictly {
                guard let found = classifier.find(change.$match, priority: Int32(change.priority), version: version) else { continue }
                let rule = unsafeDowncast(found, to: FlowRule.self)
                if rule.isSelected(by: filter) { rules.append(rule) }
            } else {
                var visited = 0
                classifier.forEach(at: version, matching: match) { found in
                    visited &+= 1
                    if visited & 1023 == 0 { Breath.take() }
                    let rule = unsafeDowncast(found, to: FlowRule.self)
                    if rule.isSelected(by: filter) { rules.append(rule) }
                }
            }
        }
        return rules
    }

    // MARK: Steps

    private mutating func touch(_ table: UInt8) { touched[Int(table >> 6)] |= 1 << UInt64(table & 63) }

    private mutating func insert(_ rule: FlowRule, _ state: inout Bridge.Writer) {
        touch(rule.table)
        let classifier = bridge.makeClassifier(rule.table)
        if rule.isConjunctive { classifier.needsAllMatches.store(true, ordering: .relaxed) }
        classifier.insert(rule, version: version)
        steps.append(.inserted(rule))
        FlowTransaction.addReferences(of: rule, &state)
        state.countLearner(rule, by: 1)
        if rule.hasTimeout { state.expiring[ObjectIdentifier(rule)] = rule }
    }

    private mutating func takeOut(_ rule: FlowRule, _ state: inout Bridge.Writer) {
        touch(rule.table)
        bridge.makeClassifier(rule.table).remove(rule, version: version)
        steps.append(.removed(rule))
        FlowTransaction.removeReferences(of: rule, &state)
        for cookie in state.countLearner(rule, by: -1) { orphans.insert(cookie) }
        if rule.hasTimeout { state.expiring[ObjectIdentifier(rule)] = nil }
    }

    private mutating func replace(_ old: FlowRule, by rule: FlowRule, _ change: FlowChange, _ state: inout Bridge.Writer) {
        takeOut(old, &state)
        insert(rule, &state)
        note(rule.table, rule.compactPattern)
        let isAdd = if case .added = change { true } else { false }
        changes.append((rule, .replaced(old: old, isAdd: isAdd)))
    }

    mutating func remove(_ rule: FlowRule, reason: FlowRemovedReason, _ state: inout Bridge.Writer) {
        takeOut(rule, &state)
        note(rule.table, rule.compactPattern)
        changes.append((rule, .deleted(reason)))
        state.ruleCount -= 1
        state.activeCounts[Int(rule.table)] -= 1
        result.removed += 1
        if result.removed & 127 == 127 { Breath.take() }
    }

    /// Removes rules that a table's limit does not allow any more, as far as the table evicts.
    mutating func evictExcess(of table: UInt8, _ state: inout Bridge.Writer) {
        while let limit = state.tables[table]?.configured.flowLimit, state.activeCounts[Int(table)] > limit,
            let victim = state.victim(in: table)
        {
            remove(victim, reason: .eviction, &state)
        }
    }

    mutating func removeAll(_ state: inout Bridge.Writer) {
        for table in 0..<UInt8(PipelineLimits.tableCount) {
            guard let classifier = bridge.classifier(table)?.takeUnretainedValue() else { continue }
            var rules: [FlowRule] = []
            classifier.forEach(at: version, matching: Match()) { rules.append(unsafeDowncast($0, to: FlowRule.self)) }
            for rule in rules { remove(rule, reason: .delete, &state) }
        }
    }

    // MARK: End

    /// Notes what megaflows are to be compared with; too many are not worth it.
    private mutating func note(_ table: UInt8, _ match: @autoclosure () -> CompactMatch) {
        if concerned.count <= PipelineLimits.comparedChanges { concerned.append((table, match())) }
    }

    private func forEachTouched(_ body: (UInt8, Classifier) -> Void) {
        for word in 0..<4 {
            var rest = touched[word]
            while rest != 0 {
                let table = UInt8(word * 64 + rest.trailingZeroBitCount)
                rest &= rest - 1
                if let classifier = bridge.classifier(table)?.takeUnretainedValue() { body(table, classifier) }
            }
        }
    }

    /// Takes out the flows that were to go with the rules that learned them.
    private mutating func removeOrphans(_ state: inout Bridge.Writer) {
        while let orphan = orphans.popFirst() {
            if state.learners[orphan] != nil { continue }
            guard let classifier = bridge.classifier(orphan.table)?.takeUnretainedValue() else { continue }
            var rules: [FlowRule] = []
            classifier.forEach(at: version, matching: Match()) { found in
                let rule = unsafeDowncast(found, to: FlowRule.self)
                if rule.cookie == orphan.cookie { rules.append(rule) }
            }
            for rule in rules { remove(rule, reason: .delete, &state) }
        }
    }

    /// Gives a rule shorter timeouts, in place.
    mutating func reduceTimeouts(_ rule: FlowRule, idle: UInt16, hard: UInt16, _ state: inout Bridge.Writer) {
        func shorter(_ old: UInt16, _ new: UInt16) -> UInt16 { new == 0 ? old : old == 0 ? new : min(old, new) }
        let (newIdle, newHard) = (shorter(rule.idleTimeoutSeconds, idle), shorter(rule.hardTimeoutSeconds, hard))
        guard rule.isVisible(in: version), newIdle != rule.idleTimeoutSeconds || newHard != rule.hardTimeoutSeconds else { return }
        let reduced = FlowRule(
            match: rule.compactPattern, priority: rule.priority, shape: rule.shape, table: rule.table, cookie: rule.cookie,
            idleTimeoutSeconds: newIdle, hardTimeoutSeconds: newHard, importance: rule.importance, flags: rule.flags,
            actions: rule.actions, counters: rule.counters, created: rule.created, modified: rule.modified)
        takeOut(rule, &state)
        insert(reduced, &state)
    }

    /// Makes the changes visible, and marks what was decided before.
    mutating func commit(_ state: inout Bridge.Writer) {
        removeOrphans(&state)
        if steps.isEmpty, groupChanges.isEmpty, meterChanges.isEmpty { return }
        if !state.tables.isEmpty {
            for table in state.tables.keys.sorted() {
                if let reason = state.takeVacancyEvent(of: table) { tableEvents.append((state.tableState(table), reason)) }
            }
        }
        forEachTouched { $1.prepare() }
        publishGroups(&state)
        bridge.publishedVersion.store(version, ordering: .releasing)
        bridge.publishedRuleCount.store(state.ruleCount, ordering: .relaxed)
        bridge.pipeline.ruleChanges.wrappingAdd(UInt64(steps.count), ordering: .relaxed)
        var dependencies = DependencySet()
        forEachTouched {
            dependencies.formUnion(.table(bridge: bridge.identifier, table: $0)); $1.settleIfDue()
        }
        var groups = DependencySet()
        for id in groupChanges.keys { groups.formUnion(.group(bridge: bridge.identifier, group: id)) }
        for id in meterChanges.keys { groups.formUnion(.group(bridge: bridge.identifier, group: id)) }
        bridge.pipeline.stamp(groups)
        defer { bridge.pipeline.attachedDatapath?.withdrawStale() }
        if concerned.count <= PipelineLimits.comparedChanges, let datapath = bridge.pipeline.attachedDatapath,
            datapath.invalidate(concerned.map { tableChange($0.table, $0.match) })
        {
            return
        }
        bridge.pipeline.stamp(dependencies)
    }

    /// What a changed rule matches, in the datapath's terms.
    private func tableChange(_ table: UInt8, _ match: CompactMatch) -> TableChange {
        var inPort: DatapathPort?
        if match.present >> UInt64(TableChange.inPortWord) & 1 == 1 {
            let place = match.place(of: TableChange.inPortWord)
            let (key, mask) = (match.words[place].byteSwapped, match.words[place + 1].byteSwapped)
            if mask >> 32 == 0xffff_ffff {
                inPort = bridge.pipeline.datapathPort(of: OpenFlowPort(UInt32(truncatingIfNeeded: key >> 32)), in: bridge.identifier)
            }
        }
        return TableChange(slots: .table(bridge: bridge.identifier, table: table), match: match, inPort: inPort)
    }

    /// Takes everything back; nothing of it was visible.
    mutating func rollBack(_ state: inout Bridge.Writer) {
        for (number, step) in steps.reversed().enumerated() {
            if number & 127 == 127 { Breath.take() }
            switch step {
            case .inserted(let rule):
                bridge.makeClassifier(rule.table).withdraw(rule)
                FlowTransaction.removeReferences(of: rule, &state)
                state.expiring[ObjectIdentifier(rule)] = nil
                state.countLearner(rule, by: -1)
                state.ruleCount -= 1
                state.activeCounts[Int(rule.table)] -= 1
            case .removed(let rule):
                bridge.makeClassifier(rule.table).restore(rule)
                FlowTransaction.addReferences(of: rule, &state)
                state.countLearner(rule, by: 1)
                if rule.idleTimeoutSeconds > 0 || rule.hardTimeoutSeconds > 0 { state.expiring[ObjectIdentifier(rule)] = rule }
                state.ruleCount += 1
                state.activeCounts[Int(rule.table)] += 1
            }
        }
        forEachTouched {
            $1.prepare()
            $1.settleIfDue()
        }
        steps.removeAll()
        changes.removeAll()
        concerned.removeAll()
        groupChanges.removeAll()
        meterChanges.removeAll()
    }

    /// Tells the bridge's event receiver, and forgets what was done; without the writer lock.
    mutating func report() {
        defer {
            steps.dissolve()
            changes.dissolve()
        }
        guard !changes.isEmpty, let receiver = bridge.eventReceiver else { return }
        defer { for (state, reason) in tableEvents { receiver.tableStatus(state, reason: reason, from: bridge) } }
        for (number, (rule, change)) in changes.enumerated() {
            if number & 127 == 127 { Breath.take() }
            receiver.flowChanged(rule, change, in: bridge)
            if case .deleted(let reason) = change, rule.flags.contains(.sendFlowRemoved) {
                receiver.flowRemoved(rule, reason: reason, from: bridge)
            }
        }
    }
}
