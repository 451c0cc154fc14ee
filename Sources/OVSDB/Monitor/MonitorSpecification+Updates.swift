// From row changes to <table-updates>.

internal import Base

extension MonitorSpecification {
    /// The whole content, as the reply to a monitor request.
    func initialUpdates(_ database: Database) -> JSON {
        var writer = JSONWriter()
        var isFirstTable = true
        writer.raw("{")
        let byName = tables.sorted { utf8Precedes(database.schema.tables[$0.key].name, database.schema.tables[$1.key].name) }
        for (index, monitored) in byName where monitored.select.contains(.initial) {
            let columns = ColumnTexts(monitored.columns.filter { $0.select.contains(.initial) }.map(\.column))
            var isFirstRow = true
            let rows = database.tables[index].sortedRows
            let start = writer.bytes.count
            for (number, row) in rows.enumerated() where monitored.sees(row) {
                if number & 255 == 255 { Breath.take() }
                // By what the first rows took: the text is then not moved about as it grows.
                if number == 1023 { writer.reserve(start + (writer.bytes.count - start) / 1000 * rows.count) }
                if isFirstRow {
                    if isFirstTable { isFirstTable = false } else { writer.raw(",") }
                    writer.write(string: database.schema.tables[index].name)
                    writer.raw(":{")
                    isFirstRow = false
                } else {
                    writer.raw(",")
                }
                writer.write(row.uuid)
                if version == .rows { writer.raw(":{\"new\":") } else { writer.raw(":{\"initial\":") }
                columns.write(row, to: &writer, skippingDefaults: version != .rows)
                writer.raw("}")
            }
            if !isFirstRow { writer.raw("}") }
        }
        writer.raw("}")
        return .serialized(writer.bytes)
    }

    /// What one transaction means to this monitor; nil if nothing.
    func updates(_ changes: ChangeSet, _ schema: DatabaseSchema) -> JSON? {
        updates(changes.rows, schema)
    }

    /// What row changes, no row twice, mean to this monitor; nil if nothing.
    func updates(_ changes: [RowChange], _ schema: DatabaseSchema) -> JSON? {
        var byTable: [Int: [(String, JSON)]] = [:]
        for change in changes {
            guard let monitored = tables[change.table] else { continue }
            guard let update = monitored.update(change, version) else { continue }
            byTable[change.table, default: []].append((change.uuid.description, update))
        }
        guard !byTable.isEmpty else { return nil }
        return .object(JSONObject(byTable.map { (schema.tables[$0.key].name, .object(JSONObject($0.value))) }))
    }

    /// What several transactions together mean to a client that knows the state before them.
    func updates(_ history: ArraySlice<ChangeSet>, _ schema: DatabaseSchema) -> JSON {
        mergedUpdates(history, schema) ?? .object(JSONObject())
    }

    /// The same; nil if it is nothing.
    func mergedUpdates(_ history: ArraySlice<ChangeSet>, _ schema: DatabaseSchema) -> JSON? {
        if history.count == 1 { return updates(history[history.startIndex], schema) }
        return updates(MonitorSpecification.merge(history), schema)
    }

    /// Several transactions' changes as one change a row; rows that came and went are left out.
    static func merge(_ history: ArraySlice<ChangeSet>) -> [RowChange] {
        var merged: [RowID: (old: Row?, new: Row?)] = [:]
        var order: [RowID] = []
        for changes in history {
            for change in changes.rows {
                let id = RowID(table: change.table, uuid: change.uuid)
                if merged[id] != nil {
                    merged[id]!.new = change.new
                } else {
                    merged[id] = (change.old, change.new)
                    order.append(id)
                }
            }
        }
        var rows: [RowChange] = []
        for id in order {
            let (old, new) = merged[id]!
            if old != nil || new != nil { rows.append(RowChange(table: id.table, uuid: id.uuid, old: old, new: new)) }
        }
        return rows
    }

    /// What replacing conditions by others means: rows that come into sight, and rows that leave it. Nil if none do.
    func updates(changing conditions: [Int: [Clause]], _ database: Database) -> JSON? {
        var result: [(String, JSON)] = []
        for (index, condition) in conditions {
            guard let before = tables[index] else { continue }
            var after = before
            after.condition = condition
            let table = database.tables[index]
            var rows: [(String, JSON)] = []
            for row in table.rows.values {
                let (was, willBe) = (before.sees(row), after.sees(row))
                if was == willBe { continue }
                let update =
                    willBe
                    ? before.update(.insert, old: nil, new: row, changed: [], version)
                    : before.update(.delete, old: row, new: nil, changed: [], version)
                if let update { rows.append((row.uuid.description, update)) }
            }
            if !rows.isEmpty { result.append((table.schema.name, .object(JSONObject(rows)))) }
        }
        return result.isEmpty ? nil : .object(JSONObject(result))
    }
}

extension MonitoredTable {
    fileprivate func update(_ change: RowChange, _ version: MonitorVersion) -> JSON? {
        let was = change.old.map(sees) ?? false
        let willBe = change.new.map(sees) ?? false
        switch (was, willBe) {
        case (false, false): return nil
        case (false, true): return update(.insert, old: nil, new: change.new, changed: [], version)
        case (true, false): return update(.delete, old: change.old, new: nil, changed: [], version)
        case (true, true): return update(.modify, old: change.old, new: change.new, changed: change.changedColumns, version)
        }
    }

    /// `<row-update>` or `<row-update2>`; nil if the monitor did not select it.
    ///
    /// - Parameter changed: of a modification, the columns that differ
    fileprivate func update(_ kind: MonitorSelect, old: Row?, new: Row?, changed: [Int], _ version: MonitorVersion) -> JSON? {
        guard select.contains(kind) else { return nil }
        func isChanged(_ column: ColumnSchema) -> Bool { changed.contains(column.index) || column.index == ColumnSchema.versionIndex }
        if kind == .modify, !columns.contains(where: { isChanged($0.column) }), !changed.contains(where: conditionColumns.contains) {
            return nil
        }
        return version == .rows ? rowUpdate(kind, old, new, isChanged) : rowUpdate2(kind, old, new, isChanged)
    }

    private func rowUpdate(_ kind: MonitorSelect, _ old: Row?, _ new: Row?, _ isChanged: (ColumnSchema) -> Bool) -> JSON? {
        var before: [(String, JSON)] = []
        var after: [(String, JSON)] = []
        for (column, select) in columns where select.contains(kind) {
            if let old, kind == .delete || isChanged(column) { before.append((column.name, old[column].json(column.type))) }
            if let new { after.append((column.name, new[column].json(column.type))) }
        }
        var members: [(String, JSON)] = []
        if kind == .modify || kind == .delete { members.append(("old", .object(JSONObject(before)))) }
        if kind != .delete { members.append(("new", .object(JSONObject(after)))) }
        return .object(JSONObject(members))
    }

    private func rowUpdate2(_ kind: MonitorSelect, _ old: Row?, _ new: Row?, _ isChanged: (ColumnSchema) -> Bool) -> JSON? {
        guard let new else { return .object(JSONObject([("delete", .null)])) }
        var values: [(String, JSON)] = []
        for (column, select) in columns where select.contains(kind) {
            let value = new[column]
            if kind == .modify {
                guard isChanged(column), let old else { continue }
                values.append((column.name, old[column].difference(to: value, column.type).json(column.type)))
            } else if !value.isDefault(column.type) {
                values.append((column.name, value.json(column.type)))
            }
        }
        let name = kind == .modify ? "modify" : kind == .initial ? "initial" : "insert"
        return .object(JSONObject([(name, .object(JSONObject(values)))]))
    }
}
