// Tables as controllers see and change them: features, names, eviction, vacancy events, misses.

internal import Flow
internal import OpenFlow

extension OpenFlowService {
    /// What tables are said to hold at most, where no limit is configured.
    static let tableEntries: UInt32 = 1_000_000

    // MARK: Table-mod

    func change(_ mod: TableMod, on connection: OpenFlowConnection) throws(OpenFlowError) {
        if mod.tableID == 254 { throw OpenFlowError(.tmfcEperm, "table 254 is not for controllers") }
        guard mod.tableID == 0xff || Int(mod.tableID) < PipelineLimits.tableCount else {
            throw OpenFlowError(.tmfcBadTable, "table \(mod.tableID) does not exist")
        }
        var change = TableModification()
        switch connection.version ?? .v1_3 {
        case .v1_0, .v1_1, .v1_2:
            switch mod.config & 3 {
            case 0: change.miss = .toController
            case 1: change.miss = .nextTable
            case 2: change.miss = .drop
            default: throw OpenFlowError(.tmfcBadConfig, "a table cannot both go on to the next table and drop")
            }
        // 1.3 keeps the bits for compatibility; they mean nothing any more.
        case .v1_3: return
        case .v1_4, .v1_5:
            change.evicts = mod.config & TableDescription.evictionBit != 0
            if mod.config & TableDescription.vacancyBit == 0 {
                change.vacancy = .off
            } else {
                let vacancy = mod.vacancy ?? TableDescription.Vacancy(down: 0, up: 0, current: 0)
                change.vacancy = .on(VacancyLimits(down: vacancy.down, up: vacancy.up))
            }
        }
        bridge.modifyTable(mod.tableID == 0xff ? nil : mod.tableID, change)
    }

    // MARK: Descriptions

    static func description(of state: TableState) -> TableDescription {
        var config: UInt32 = 0
        if state.evicts { config |= TableDescription.evictionBit }
        if state.vacancyLimits != nil { config |= TableDescription.vacancyBit }
        var description = TableDescription(tableID: state.table, config: config)
        description.evictionFlags = TableDescription.allEvictionFlags
        if let limits = state.vacancyLimits {
            description.vacancy = TableDescription.Vacancy(down: limits.down, up: limits.up, current: state.vacancy)
        }
        return description
    }

    /// Tells controllers that the free room of a table crossed one of its limits.
    func send(_ state: TableState, _ reason: TableStatusReason) {
        guard let reason = TableStatus.Reason(rawValue: reason.rawValue) else { return }
        send(TableStatus(reason: reason, table: OpenFlowService.description(of: state)))
    }

    // MARK: Features

    /// Answers a request for table features. What it carries names tables; everything else a table can do is what it is.
    func answerTableFeatures(
        _ wanted: [TableFeatures], more: Bool, _ xid: UInt32, _ connection: OpenFlowConnection
    ) throws(OpenFlowError) {
        if !wanted.isEmpty {
            try requireWritable(connection)
            for features in wanted {
                guard Int(features.tableID) < PipelineLimits.tableCount else {
                    throw OpenFlowError(.tffcBadTable, "table \(features.tableID) does not exist")
                }
                // 1.5: 0 replaces, 1 modifies; tables cannot be taken away.
                if features.command > 1 { throw OpenFlowError(.tffcEperm, "tables cannot be enabled or disabled") }
            }
            for features in wanted { bridge.nameTable(features.tableID, features.name) }
        }
        // A request in parts is answered once, when it is complete.
        if more { return }
        guard let version = connection.version, var writer = MultipartWriter(.tableFeatures([]), version: version, xid: xid) else { return }
        let last = UInt8(PipelineLimits.tableCount - 1)
        for state in bridge.tableStates() {
            writer.append(
                .tableFeatures([
                    TableFeatures.complete(
                        tableID: state.table, name: state.name, lastTable: last,
                        maximumEntries: min(OpenFlowService.tableEntries, UInt32(clamping: state.flowLimit ?? .max)), version: version,
                        hasGroups: true, hasMeters: true)
                ]))
            for part in writer.takeParts() { connection.sendBytes(part) }
        }
        for part in writer.finish() { connection.sendBytes(part) }
    }
}
