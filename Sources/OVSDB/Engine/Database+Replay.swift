// Building a database's content from log records.

extension Database {
    /// Applies one transaction record of a log. No constraint is checked before `finishReplay`.
    ///
    /// - Parameter ignoringUnknown: skip columns and tables the schema lacks, instead of failing
    func replay(_ record: JSON) throws(OVSDBError) {
        guard case .object(let object) = record else { throw .syntax("a transaction record must be a JSON object", record) }
        let isDifference = object["_is_diff"]?.boolean ?? false
        for (name, value) in object.members {
            if name.utf8.first == UInt8(ascii: "_") { continue }
            guard let schema = schema.table(name) else {
                throw OVSDBError("unknown table", "No table named \(name).", syntax: record)
            }
            guard case .object(let rows) = value else { throw .syntax("object expected for table \(name)", value) }
            for (key, row) in rows.members {
                guard let uuid = UUID(key) else { throw .syntax("table \(name) contains invalid UUID \"\(key)\"", value) }
                try replay(tables[schema.index], uuid, row, isDifference)
            }
        }
    }

    private func replay(_ table: Table, _ uuid: UUID, _ json: JSON, _ isDifference: Bool) throws(OVSDBError) {
        if json.isNull {
            table.rows[uuid] = nil
            return
        }
        guard case .object(let values) = json else { throw .syntax("object expected for row \(uuid)", json) }
        let old = table.rows[uuid]
        // Nobody else sees rows during a replay, so they are changed in place.
        let row = old ?? Row(table.shared, uuid: uuid, version: makeUUID(), fields: table.schema.defaults)
        for (name, value) in values.members {
            guard let column = table.schema.column(name), column.index >= 0 else {
                if name == "_uuid" || name == "_version" { continue }
                throw OVSDBError("unknown column", "No column \(name) in table \(table.schema.name).")
            }
            // A difference may hold more elements than the column may.
            var type = column.type
            if isDifference {
                type.min = 0
                type.max = column.type.isMap || column.type.max > 1 ? .max : 1
            }
            let datum = try Datum(value, type)
            let held = row.fields[column.index]
            if isDifference, old != nil, held != table.schema.defaults[column.index] {
                row.fields[column.index] = held.applying(difference: datum, column.type)
            } else {
                row.fields[column.index] = datum
            }
        }
        table.rows[uuid] = row
    }

    /// Checks the replayed content, counts references and fills the indexes.
    ///
    /// - Returns: how many rows that nothing refers to were dropped
    func finishReplay() throws(OVSDBError) -> Int {
        for table in tables {
            for row in table.rows.values {
                for column in table.schema.columns { try row.fields[column.index].check(column.type) }
                row.strongReferences = 0
            }
        }
        for table in tables {
            table.rows.settle()
            for row in table.rows.values { try countReferences(row, table) }
        }
        let dropped = dropUnreferenced()
        for table in tables { pruneAndIndexWeakReferences(table) }
        for table in tables {
            if let limit = table.schema.maxRows, table.rows.count > limit {
                throw .constraint("table \(table.schema.name) holds \(table.rows.count) rows, the limit is \(limit)")
            }
            for (position, columns) in table.schema.indexes.enumerated() {
                for row in table.rows.values {
                    let key = IndexKey(row, columns)
                    if let other = table.indexes[position].updateValue(row.uuid, forKey: key) {
                        throw .constraint(
                            "table \(table.schema.name) rows \(row.uuid) and \(other) have identical values for index \(columns.map { table.schema.columns[$0].name })"
                        )
                    }
                }
            }
        }
        return dropped
    }

    private func countReferences(_ row: Row, _ table: Table) throws(OVSDBError) {
        for column in table.schema.strongColumns {
            var missing: (Int, UUID)?
            table.schema.forEachReference(.strong, in: row.fields[column], column: column) { target, uuid in
                if uuid == row.uuid && target == table.schema.index { return }
                if let referred = tables[target].rows[uuid] { referred.strongReferences += 1 } else { missing = (target, uuid) }
            }
            if let (target, uuid) = missing {
                throw OVSDBError(
                    "referential integrity violation",
                    "Table \(table.schema.name) column \(table.schema.columns[column].name) row \(row.uuid) references nonexistent row \(uuid) in table \(schema.tables[target].name)."
                )
            }
        }
    }

    private func dropUnreferenced() -> Int {
        var dropped = 0
        var work: [RowID] = []
        for table in tables where !table.schema.isRoot {
            for row in table.rows.values where row.strongReferences == 0 {
                work.append(RowID(table: table.schema.index, uuid: row.uuid))
            }
        }
        while let id = work.popLast() {
            let table = tables[id.table]
            guard let row = table.rows.removeValue(forKey: id.uuid) else { continue }
            dropped += 1
            for column in table.schema.strongColumns {
                table.schema.forEachReference(.strong, in: row.fields[column], column: column) { target, uuid in
                    guard uuid != row.uuid || target != id.table, let referred = tables[target].rows[uuid] else { return }
                    referred.strongReferences -= 1
                    if referred.strongReferences == 0, !tables[target].schema.isRoot { work.append(RowID(table: target, uuid: uuid)) }
                }
            }
        }
        return dropped
    }

    private func pruneAndIndexWeakReferences(_ table: Table) {
        for column in table.schema.weakColumns {
            let type = table.schema.columns[column].type
            for row in table.rows.values {
                row.fields[column] = row.fields[column].filter(type) { key, value in
                    for (atom, base) in [(key, type.key), (value ?? key, type.value ?? type.key)] where base.isWeakReference {
                        if let uuid = atom.uuid, tables[base.refTableIndex!].rows[uuid] == nil { return false }
                    }
                    return true
                }
                let id = RowID(table: table.schema.index, uuid: row.uuid)
                table.schema.forEachReference(.weak, in: row.fields[column], column: column) { target, uuid in
                    tables[target].weakReferrers[uuid, default: []].insert(id)
                }
            }
        }
    }

    /// A copy of `source`'s content under another schema: what the new one lacks is dropped, what is new gets its default.
    ///
    /// - Throws: where a value does not fit the new type.
    func adopt(_ source: Database) throws(OVSDBError) {
        for table in tables {
            guard let oldSchema = source.schema.table(table.schema.name) else { continue }
            var sources: [Int?] = []
            for column in table.schema.columns {
                guard let old = oldSchema.column(column.name), old.index >= 0 else {
                    sources.append(nil)
                    continue
                }
                sources.append(old.index)
            }
            for oldRow in source.tables[oldSchema.index].rows.values {
                let row = Row(table.shared, uuid: oldRow.uuid, version: makeUUID(), fields: table.schema.defaults)
                for column in table.schema.columns {
                    guard let position = sources[column.index] else { continue }
                    let value = oldRow.fields[position]
                    let oldType = oldSchema.columns[position].type
                    // Through JSON only where the types differ; that checks what the new type demands.
                    row.fields[column.index] = oldType == column.type ? value : try Datum(value.json(oldType), column.type)
                }
                table.rows[row.uuid] = row
            }
        }
        _ = try finishReplay()
    }
}
