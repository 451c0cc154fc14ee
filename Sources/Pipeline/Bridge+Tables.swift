// Settings of a bridge's flow tables: names, limits, eviction, vacancy events, misses.

internal import Base
internal import Classifier
internal import Flow
internal import Synchronization

extension Bridge {
    /// Takes the configuration of all tables over; tables that are not named have none. A table above a lowered limit loses
    /// rules, as far as it evicts.
    public func configureTables(_ configurations: [UInt8: TableConfiguration]) {
        let now = pipeline.clock.now
        var transaction: FlowTransaction? = writer.withLock { state in
            var isChanged = false
            for table in 0..<UInt8(PipelineLimits.tableCount) {
                let wanted = configurations[table] ?? TableConfiguration()
                if state.tables[table]?.configured ?? TableConfiguration() == wanted { continue }
                state.tables[table, default: TableSettings()].configured = wanted
                setPrefixes(wanted.prefixes, of: table)
                isChanged = true
            }
            guard isChanged else { return nil }
            var transaction = FlowTransaction(bridge: self, now: now)
            for table in configurations.keys.sorted() where Int(table) < PipelineLimits.tableCount {
                transaction.evictExcess(of: table, &state)
            }
            transaction.commit(&state)
            return transaction
        }
        transaction?.report()
    }

    /// Carries out a controller's change of one table or, with nil, of all.
    public func modifyTable(_ table: UInt8?, _ change: TableModification) {
        let tables = table.map { $0...$0 } ?? 0...UInt8(PipelineLimits.tableCount - 1)
        let misses: [UInt8: TableMiss] = writer.withLock { state in
            for table in tables {
                var settings = state.tables[table] ?? TableSettings()
                if let miss = change.miss { settings.miss = miss }
                if let evicts = change.evicts { settings.evictsForControllers = evicts }
                switch change.vacancy {
                case .off:
                    settings.vacancyLimits = nil
                    settings.nextEvent = nil
                case .on(let limits):
                    settings.vacancyLimits = limits
                    if settings.nextEvent == nil {
                        let vacancy = settings.vacancy(active: state.activeCounts[Int(table)])
                        settings.nextEvent = vacancy < limits.up ? .vacancyUp : .vacancyDown
                    }
                case nil: break
                }
                state.tables[table] = settings
            }
            return state.tables.compactMapValues { $0.miss == .standard ? nil : $0.miss }
        }
        if change.miss != nil { updateSettings { $0.tableMisses = misses } }
    }

    /// Names a table on behalf of a controller; an empty name takes that name away.
    public func nameTable(_ table: UInt8, _ name: String) {
        writer.withLock { $0.tables[table, default: TableSettings()].givenName = name }
    }

    /// The tables, 0 to 253.
    public func tableStates() -> [TableState] {
        writer.withLock { state in (0..<UInt8(PipelineLimits.tableCount)).map { state.tableState($0) } }
    }

    /// One table, 0 to 253.
    public func tableState(_ table: UInt8) -> TableState { writer.withLock { $0.tableState(table) } }
}

extension Bridge.Writer {
    func tableState(_ table: UInt8) -> TableState {
        let settings = tables[table] ?? TableSettings()
        return TableState(
            table: table, name: settings.configured.name.isEmpty ? settings.givenName : settings.configured.name,
            flowLimit: settings.configured.flowLimit, miss: settings.miss, evicts: settings.evictsForControllers,
            vacancyLimits: settings.vacancyLimits, vacancy: settings.vacancy(active: activeCounts[Int(table)]))
    }

    /// Whether a table has as many rules as it may have, or more.
    func isFull(_ table: UInt8) -> Bool {
        guard let limit = tables[table]?.configured.flowLimit else { return false }
        return activeCounts[Int(table)] >= limit
    }

    /// The rule that makes room in a table that evicts: of the largest group the least important one, and of these the one
    /// that would expire first. Rules without a timeout stay.
    func victim(in table: UInt8) -> FlowRule? {
        guard let settings = tables[table], settings.evicts else { return nil }
        let candidates = expiring.values.filter { $0.table == table }
        var groups: [[UInt128]: [FlowRule]] = [:]
        let fields = settings.configured.groups
        for rule in candidates {
            let match = rule.compactPattern
            groups[fields.map { match.get($0) }, default: []].append(rule)
        }
        let largest = groups.values.max { ($0.count, Bridge.Writer.order($1)) < ($1.count, Bridge.Writer.order($0)) } ?? []
        return largest.min { ($0.importance, $0.expiry, $0.created) < ($1.importance, $1.expiry, $1.created) }
    }

    /// Groups of the same size: the one that was there first.
    private static func order(_ rules: [FlowRule]) -> UInt64 { rules.reduce(.max) { min($0, $1.created.nanoseconds) } }

    /// The vacancy event that is due in a table; afterwards the other one is.
    mutating func takeVacancyEvent(of table: UInt8) -> TableStatusReason? {
        guard let settings = tables[table], let limits = settings.vacancyLimits, let next = settings.nextEvent else { return nil }
        let vacancy = settings.vacancy(active: activeCounts[Int(table)])
        switch next {
        case .vacancyDown where vacancy < limits.down: tables[table]!.nextEvent = .vacancyUp
        case .vacancyUp where vacancy > limits.up: tables[table]!.nextEvent = .vacancyDown
        default: return nil
        }
        return next
    }
}

extension CompactMatch {
    /// The bits of a part of a field; what is wild is zero.
    fileprivate func get(_ part: SubField) -> UInt128 {
        let ones = part.bits >= 128 ? UInt128.max : (1 << UInt128(part.bits)) - 1
        return get(part.field).value >> UInt128(part.offset) & ones
    }
}

extension FlowRule {
    /// When the rule goes by itself if no packet comes, in nanoseconds.
    fileprivate var expiry: UInt64 {
        var result = UInt64.max
        if hardTimeoutSeconds > 0 { result = modified.nanoseconds &+ UInt64(hardTimeoutSeconds) * 1_000_000_000 }
        if idleTimeoutSeconds > 0 { result = min(result, lastActive.nanoseconds &+ UInt64(idleTimeoutSeconds) * 1_000_000_000) }
        return result
    }
}
