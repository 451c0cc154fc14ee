// What must hold at the end of a transaction (RFC 7047 sections 3.2 and 4.1.3), and making it permanent.
//
// In this order: strong references are counted, rows nobody refers to any more are collected, weak references to rows that
// are gone are removed, then row limits and unique indexes are checked. Only when all of it holds, and the log has taken
// the record, does anything outside of the transaction's own undo records change.

extension Transaction {
    /// Everything commit computes before it changes shared state.
    struct Prepared {
        var changes: [RowChange]
        var referenceDeltas: [RowID: Int]
        /// Per table and index: keys that go, keys that come.
        var indexUpdates: [(table: Int, index: Int, removed: [IndexKey], added: [IndexKey: UUID])]
    }

    /// Checks all constraints. Leaves the changes applied in place, not committed.
    func prepare() throws(OVSDBError) -> Prepared {
        dropUnchanged()
        guard !order.isEmpty else { return Prepared(changes: [], referenceDeltas: [:], indexUpdates: []) }
        var deltas: [RowID: Int] = [:]
        for change in order { try count(change.id, from: change.old, to: change.new, &deltas) }
        for change in order where change.new == nil {
            let remaining = (change.old?.strongReferences ?? 0) + (deltas[change.id] ?? 0)
            guard remaining <= 0 else {
                throw OVSDBError(
                    "referential integrity violation",
                    "cannot delete \(tableName(change.id)) row \(change.id.uuid) because of \(remaining) remaining reference(s)")
            }
        }
        try collectGarbage(&deltas)
        dropUnchanged()
        try pruneWeakReferences()
        dropUnchanged()
        try checkRowLimits()
        let indexUpdates = try checkIndexes()
        for change in order { change.new?.version = database.makeUUID() }
        return Prepared(
            changes: order.map { RowChange(table: $0.id.table, uuid: $0.id.uuid, old: $0.old, new: $0.new) }, referenceDeltas: deltas,
            indexUpdates: indexUpdates)
    }

    /// Makes what `prepare` found permanent. Cannot fail.
    func commit(_ prepared: Prepared) {
        for update in prepared.indexUpdates {
            let table = database.tables[update.table]
            // Taken out while it is changed: one place to look for instead of two, ten thousand times.
            var index: [IndexKey: UUID] = [:]
            swap(&index, &table.indexes[update.index])
            for key in update.removed { index[key] = nil }
            for (key, uuid) in update.added { index[key] = uuid }
            swap(&index, &table.indexes[update.index])
        }
        for change in order where change.new != nil { database.tables[change.id.table].rows.settle(change.id.uuid) }
        for change in order where change.new == nil { database.tables[change.id.table].weakReferrers[change.id.uuid] = nil }
        for change in order { updateWeakReferrers(change) }
        for (id, delta) in prepared.referenceDeltas where delta != 0 {
            database.tables[id.table].rows[id.uuid]?.strongReferences += delta
        }
    }

    private func tableName(_ id: RowID) -> String { database.schema.tables[id.table].name }

    // MARK: Strong references

    private func count(_ id: RowID, from old: Row?, to new: Row?, _ deltas: inout [RowID: Int]) throws(OVSDBError) {
        let schema = database.tables[id.table].schema
        for column in schema.strongColumnsInFieldOrder {
            var before = old?.fields[column] ?? .empty
            var after = new?.fields[column] ?? .empty
            if before == after { continue }
            if !schema.columns[column].type.isMap { (before, after) = before.differences(after) }
            schema.forEachReference(.strong, in: before, column: column) { table, uuid in
                // A row does not keep itself alive.
                let target = RowID(table: table, uuid: uuid)
                if target != id { deltas[target, default: 0] -= 1 }
            }
            var missing: RowID?
            schema.forEachReference(.strong, in: after, column: column) { table, uuid in
                let target = RowID(table: table, uuid: uuid)
                if target == id { return }
                deltas[target, default: 0] += 1
                if database.tables[table].rows[uuid] == nil, changes[target]?.old == nil { missing = target }
            }
            if let missing {
                throw OVSDBError(
                    "referential integrity violation",
                    "Table \(schema.name) column \(schema.columns[column].name) row \(id.uuid) references nonexistent row \(missing.uuid) in table \(tableName(missing))."
                )
            }
        }
    }

    /// Deletes rows of non-root tables that nothing refers to, and then those that only these referred to.
    private func collectGarbage(_ deltas: inout [RowID: Int]) throws(OVSDBError) {
        var candidates = order.compactMap { $0.new != nil ? $0.id : nil }
        candidates.append(contentsOf: deltas.lazy.filter { $0.value < 0 }.map(\.key))
        while let id = candidates.popLast() {
            let table = database.tables[id.table]
            guard !table.schema.isRoot, let row = table.rows[id.uuid] else { continue }
            // A new version carries the committed count of the old one.
            guard row.strongReferences + (deltas[id] ?? 0) == 0 else { continue }
            delete(id.uuid, table)
            var freed: [RowID: Int] = [:]
            try count(id, from: row, to: nil, &freed)
            for (target, delta) in freed {
                deltas[target, default: 0] += delta
                candidates.append(target)
            }
        }
    }

    // MARK: Weak references

    private func pruneWeakReferences() throws(OVSDBError) {
        // Rows whose own references may point nowhere, and rows that refer to what is gone.
        var suspects: [RowID] = []
        var seen: Set<RowID> = []
        for change in order {
            let table = database.tables[change.id.table]
            if let new = change.new {
                let touched = table.schema.weakColumns.contains { change.old?.fields[$0] != new.fields[$0] }
                if touched, seen.insert(change.id).inserted { suspects.append(change.id) }
            } else if let referrers = table.weakReferrers[change.id.uuid] {
                for referrer in referrers.sorted(by: { $0.uuid < $1.uuid }) where seen.insert(referrer).inserted {
                    suspects.append(referrer)
                }
            }
        }
        for id in suspects {
            let table = database.tables[id.table]
            guard let row = table.rows[id.uuid] else { continue }
            for column in table.schema.weakColumns { try pruneWeakReferences(row, column, table) }
        }
    }

    private func pruneWeakReferences(_ row: Row, _ column: Int, _ table: Table) throws(OVSDBError) {
        let type = table.schema.columns[column].type
        let before = row.fields[column]
        var sawZero = false
        let after = before.filter(type) { key, value in
            for (atom, base) in [(key, type.key), (value ?? key, type.value ?? type.key)] where base.isWeakReference {
                guard let uuid = atom.uuid, database.tables[base.refTableIndex!].rows[uuid] == nil else { continue }
                if uuid == .zero { sawZero = true }
                return false
            }
            return true
        }
        guard after.count < before.count else { return }
        guard after.count >= type.min else {
            let id = RowID(table: table.schema.index, uuid: row.uuid)
            let when = changes[id].map { $0.old == nil ? " (inserted within this transaction)" : "" } ?? ""
            let place = "\"\(table.schema.columns[column].name)\" in \"\(table.schema.name)\" row \(row.uuid)\(when)"
            // The spelling is what ovsdb-server answers, byte for byte.
            throw .constraint(
                sawZero
                    ? "Weak reference column \(place) contained all-zeros UUID (probably as the default value for this column) but deleting this value caused a constraint volation because this column is not allowed to be empty."
                    : "Deletion of \(before.count - after.count) weak reference(s) to deleted (or never-existing) rows from column \(place) caused this column to become empty, but constraints on this column disallow an empty column."
            )
        }
        writable(row, table).fields[column] = after
    }

    private func updateWeakReferrers(_ change: PendingChange) {
        let schema = database.tables[change.id.table].schema
        guard !schema.weakColumns.isEmpty else { return }
        func targets(_ row: Row?) -> Set<RowID> {
            var result: Set<RowID> = []
            guard let row else { return result }
            for column in schema.weakColumns {
                schema.forEachReference(.weak, in: row.fields[column], column: column) { result.insert(RowID(table: $0, uuid: $1)) }
            }
            return result
        }
        let before = targets(change.old)
        let after = targets(change.new)
        for target in before where !after.contains(target) {
            let table = database.tables[target.table]
            table.weakReferrers[target.uuid]?.remove(change.id)
            if table.weakReferrers[target.uuid]?.isEmpty == true { table.weakReferrers[target.uuid] = nil }
        }
        for target in after where !before.contains(target) {
            database.tables[target.table].weakReferrers[target.uuid, default: []].insert(change.id)
        }
    }

    // MARK: Limits and indexes

    private func checkRowLimits() throws(OVSDBError) {
        for change in order where change.old == nil {
            let table = database.tables[change.id.table]
            guard let limit = table.schema.maxRows, table.rows.count > limit else { continue }
            throw .constraint(
                "transaction causes \"\(table.schema.name)\" table to contain \(table.rows.count) rows, greater than the schema-defined limit of \(limit) row(s)"
            )
        }
    }

    private func checkIndexes() throws(OVSDBError) -> [(table: Int, index: Int, removed: [IndexKey], added: [IndexKey: UUID])] {
        var updates: [(table: Int, index: Int, removed: [IndexKey], added: [IndexKey: UUID])] = []
        var byTable: [Int: [PendingChange]] = [:]
        for change in order where !database.tables[change.id.table].schema.indexes.isEmpty {
            byTable[change.id.table, default: []].append(change)
        }
        for (tableIndex, changed) in byTable {
            let table = database.tables[tableIndex]
            for (position, columns) in table.schema.indexes.enumerated() {
                var removed: [IndexKey] = []
                var added: [IndexKey: UUID] = [:]
                added.reserveCapacity(changed.count)
                let committed = table.indexes[position]
                for change in changed {
                    if let old = change.old { removed.append(IndexKey(old, columns)) }
                    guard let new = change.new else { continue }
                    let key = IndexKey(new, columns)
                    if let other = added.updateValue(new.uuid, forKey: key) { throw duplicate(table, columns, new.uuid, other) }
                    if let other = committed[key], changes[RowID(table: tableIndex, uuid: other)] == nil {
                        throw duplicate(table, columns, other, new.uuid)
                    }
                }
                updates.append((tableIndex, position, removed, added))
            }
        }
        return updates
    }

    private func duplicate(_ table: Table, _ columns: [Int], _ one: UUID, _ other: UUID) -> OVSDBError {
        // The greater row comes first, so that the sentence does not depend on what was found first.
        var (first, second) = (one, other)
        if let left = table.rows[one], let right = table.rows[other] {
            for index in table.schema.fieldOrder {
                let column = index >= 0 ? table.schema.columns[index] : index == ColumnSchema.uuidIndex ? .uuid : .version
                let order = left[column].compare(right[column])
                if order == 0 { continue }
                if order < 0 { (first, second) = (other, one) }
                break
            }
        }
        func list(_ texts: [String]) -> String {
            switch texts.count {
            case 1: texts[0]
            case 2: "\(texts[0]) and \(texts[1])"
            default: texts.dropLast().joined(separator: ", ") + ", and \(texts[texts.count - 1])"
            }
        }
        func history(_ uuid: UUID) -> String {
            guard let change = changes[RowID(table: table.schema.index, uuid: uuid)] else {
                return "existed in the database before this transaction and was not modified by the transaction"
            }
            guard let old = change.old else { return "was inserted by this transaction" }
            if columns.allSatisfy({ old.fields[$0] == change.new?.fields[$0] }) {
                return
                    "existed in the database before this transaction, which modified some of the row's columns but not any columns in this index"
            }
            return "had the following index values before the transaction: \(list(columns.map { old.fields[$0].text }))"
        }
        let values = table.rows[first].map { row in list(columns.map { row.fields[$0].text }) } ?? ""
        let names = list(columns.map { "\"\(table.schema.columns[$0].name)\"" })
        return .constraint(
            "Transaction causes multiple rows in \"\(table.schema.name)\" table to have identical values (\(values)) for index on \(columns.count == 1 ? "column" : "columns") \(names).  First row, with UUID \(first), \(history(first)).  Second row, with UUID \(second), \(history(second))."
        )
    }
}
