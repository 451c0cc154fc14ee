// Changing and reading a bridge's flow tables.

internal import Base
internal import Classifier
internal import DatapathAPI
internal import Flow
internal import Synchronization

/// What a change did.
public struct FlowModResult: Sendable, Equatable {
    public var added = 0
    public var modified = 0
    public var removed = 0
    public init() {}
}

extension Bridge {
    /// Carries out one flow-mod. When it returns, every packet received from now on meets the new tables.
    @discardableResult
    public func apply(_ change: FlowModification) throws(FlowModError) -> FlowModResult {
        let now = pipeline.clock.now
        let outcome: Result<FlowTransaction, FlowModError> = writer.withLock { state in
            var transaction = FlowTransaction(bridge: self, now: now)
            do throws(FlowModError) {
                try transaction.perform(change, &state)
            } catch {
                transaction.rollBack(&state)
                return .failure(error)
            }
            transaction.commit(&state)
            return .success(transaction)
        }
        var transaction = try outcome.get()
        transaction.report()
        return transaction.result
    }

    /// Carries out changes in order, all or nothing; translations see all of them at once.
    @discardableResult
    public func apply(bundle changes: [FlowModification]) throws(BundleError) -> FlowModResult {
        try apply(changes: changes.map { .flow($0) })
    }

    /// The same for flow-mods and group-mods together.
    @discardableResult
    public func apply(changes: [BridgeChange]) throws(BundleError) -> FlowModResult { try carryOut(changes, isTrial: false) }

    @discardableResult
    private func carryOut(_ changes: [BridgeChange], isTrial: Bool) throws(BundleError) -> FlowModResult {
        let now = pipeline.clock.now
        let outcome: Result<FlowTransaction, BundleError> = writer.withLock { state in
            var transaction = FlowTransaction(bridge: self, now: now)
            for (index, change) in changes.enumerated() {
                if index & 63 == 63 { Breath.take() }
                do throws(FlowModError) {
                    switch change {
                    case .flow(let mod): try transaction.perform(mod, &state)
                    case .group(let mod): try transaction.perform(mod, &state)
                    case .packetOut(let actions): try transaction.checkReferences(actions)
                    }
                } catch {
                    transaction.rollBack(&state)
                    return .failure(BundleError(index: index, error: error))
                }
            }
            if isTrial { transaction.rollBack(&state) } else { transaction.commit(&state) }
            return .success(transaction)
        }
        var transaction = try outcome.get()
        if !isTrial { transaction.report() }
        return transaction.result
    }

    /// Throws what `apply(changes:)` would throw, and changes nothing.
    public func check(changes: [BridgeChange]) throws(BundleError) { try carryOut(changes, isTrial: true) }

    /// Removes all rules, without events to controllers, and installs what the fail mode asks for.
    public func flushFlows() {
        let now = pipeline.clock.now
        writer.withLock { state in
            var transaction = FlowTransaction(bridge: self, now: now)
            transaction.removeAll(&state)
            if state.failMode == .standalone, !state.hasControllers {
                // Cannot fail: the table exists and is empty, the action is supported.
                try? transaction.perform(
                    FlowModification(command: .add, table: 0, priority: 0, actions: [.output(.normal, maxLength: 0)]), &state)
            }
            transaction.commit(&state)
        }
    }

    /// Rules, by table; within a table in no order. Counts are exact when it returns.
    ///
    /// Reads one version of the tables, and neither waits for changes nor makes them wait.
    public func flows(matching filter: FlowFilter = FlowFilter()) -> [FlowRule] {
        var result: [FlowRule] = []
        forEachFlow(matching: filter) { result.append($0) }
        return result
    }

    /// Visits them as `flows` lists them. The callee may keep them.
    private func forEachFlow(matching filter: FlowFilter, _ visit: (FlowRule) -> Void) {
        pipeline.refreshStatistics()
        let slot = pipeline.epochs.enter()
        defer { pipeline.epochs.leave(slot) }
        let version = publishedVersion.load(ordering: .acquiring)
        let tables = filter.table.map { $0...$0 } ?? 0...UInt8(PipelineLimits.tableCount - 1)
        for table in tables {
            guard let classifier = classifier(table) else { continue }
            classifier.takeUnretainedValue().forEachVisible(at: version, matching: filter.match) { rule in
                let rule = unsafeDowncast(rule, to: FlowRule.self)
                if rule.isSelected(by: filter) { visit(rule) }
            }
        }
    }

    /// Sums over the rules that `filter` selects.
    public func aggregate(matching filter: FlowFilter = FlowFilter()) -> (packets: UInt64, bytes: UInt64, flows: Int) {
        var sums = (packets: UInt64(0), bytes: UInt64(0), flows: 0)
        forEachFlow(matching: filter) { rule in
            sums.packets &+= rule.packetCount
            sums.bytes &+= rule.byteCount
            sums.flows += 1
        }
        return sums
    }

    /// Number of rules in all tables, as translations see them: waits for nobody.
    public var flowCount: Int { publishedRuleCount.load(ordering: .relaxed) }

    /// Removes rules whose time is over. Called by the pipeline's `run`.
    func expireFlows() {
        func due(_ state: Writer, now: Instant) -> [(FlowRule, FlowRemovedReason)] {
            state.expiring.values.compactMap { rule in
                if rule.hardTimeoutSeconds > 0, now.milliseconds(since: rule.lastChanged) >= UInt64(rule.hardTimeoutSeconds) * 1000 {
                    return (rule, .hardTimeout)
                }
                if rule.idleTimeoutSeconds > 0, now.milliseconds(since: rule.lastActive) >= UInt64(rule.idleTimeoutSeconds) * 1000 {
                    return (rule, .idleTimeout)
                }
                return nil
            }
        }
        let now = pipeline.clock.now
        // What looks idle may only be unreported: ask the datapath, then look again.
        guard writer.withLock({ !due($0, now: now).isEmpty }) else { return }
        pipeline.refreshStatistics()
        var transaction = writer.withLock { state -> FlowTransaction in
            var transaction = FlowTransaction(bridge: self, now: now)
            for (rule, reason) in due(state, now: now) { transaction.remove(rule, reason: reason, &state) }
            transaction.commit(&state)
            return transaction
        }
        transaction.report()
    }

    /// Frees what earlier changes left behind, as far as no reader looks at it any more.
    ///
    /// - Parameter limit: rules of a table that are freed at most.
    /// - Returns: whether something is left.
    @discardableResult
    func settle(atMost limit: Int = .max) -> Bool {
        writer.withLock { state in
            reclaimGroupTables(&state)
            var isLeft = false
            for table in 0..<UInt8(PipelineLimits.tableCount) {
                guard let classifier = classifier(table)?.takeUnretainedValue(), classifier.isUnsettled else { continue }
                classifier.settle(atMost: limit)
                if classifier.isUnsettled { isLeft = true }
            }
            return isLeft
        }
    }
}
