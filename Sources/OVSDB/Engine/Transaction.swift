// A transaction: operations applied in place with an undo record a row touched, then checked and made permanent.
//
// ## Cost
// Everything here is proportional to the rows a transaction touches (and to those its conditions have to look at where no
// uuid and no index names them), never to the size of the database: references are counted, not searched for; unique indexes
// are hash tables; weak references know who holds them.

internal import Base

/// What a transaction may know about who asks for it.
struct TransactionContext {
    /// Time since the request arrived, for "wait".
    var elapsedMilliseconds: UInt64 = 0
    /// Whether the client holds a lock, for "assert".
    var holdsLock: (String) -> Bool = { _ in false }
    /// Whether only reading is allowed, as in `_Server`.
    var isReadOnly = false
    /// Whether this client may only read.
    var isReadOnlySession = false
    /// Who asks.
    var client = ClientRole()
    /// Whether results are only to be written out.
    var wantsText = false
    /// Whether a durable transaction may end as `TransactionOutcome.synchronizing`.
    var defersSynchronization = false
}

/// What became of one row within a transaction.
final class PendingChange {
    let id: RowID
    let old: Row?
    var new: Row?

    init(_ id: RowID, old: Row?, new: Row?) {
        self.id = id
        self.old = old
        self.new = new
    }
}

/// One transaction under way.
///
/// ## Thread safety
/// None: lives within one call on the database's executor.
final class Transaction {
    let database: Database
    let context: TransactionContext
    let symbols: SymbolTable
    private(set) var changes: [RowID: PendingChange] = [:]
    /// The order rows were first touched in, so that results and logs are reproducible.
    private(set) var order: [PendingChange] = []
    var comments: [String] = []
    /// Rows written to since an index of their table was last asked, by table.
    private var unindexed: [Int: [UUID]] = [:]
    /// Where rows written to may be found, by table and index. Entries may be stale: the row itself decides.
    private var overlays: [Int: [[IndexKey: [UUID]]]] = [:]
    var isDurable = false
    /// Set while a "wait" that may come true later has stopped the transaction.
    var waitMilliseconds: UInt64?
    var mustWait = false

    var comment: String? { comments.isEmpty ? nil : comments.joined(separator: "\n") }

    init(_ database: Database, _ context: TransactionContext) {
        self.database = database
        self.context = context
        symbols = SymbolTable { [unowned database] in database.makeUUID() }
    }

    // MARK: Rows

    /// The version of `row` this transaction may write to.
    func writable(_ row: Row, _ table: Table) -> Row {
        let id = RowID(table: table.schema.index, uuid: row.uuid)
        markUnindexed(id, table)
        if let change = changes[id] {
            if let new = change.new, new !== change.old { return new }
            let copy = row.copy()
            change.new = copy
            table.rows[row.uuid] = copy
            return copy
        }
        let copy = row.copy()
        record(PendingChange(id, old: row, new: copy))
        table.rows[row.uuid] = copy
        return copy
    }

    func insert(_ row: Row, _ table: Table) {
        let id = RowID(table: table.schema.index, uuid: row.uuid)
        markUnindexed(id, table)
        record(PendingChange(id, old: nil, new: row))
        table.rows[row.uuid] = row
    }

    private func markUnindexed(_ id: RowID, _ table: Table) {
        if !table.schema.indexes.isEmpty { unindexed[id.table, default: []].append(id.uuid) }
    }

    /// Rows of `table` this transaction has written to that may have `key` now.
    private func written(_ table: Table, _ position: Int, _ key: IndexKey) -> [UUID] {
        let index = table.schema.index
        if let fresh = unindexed.removeValue(forKey: index) {
            // Taken out while it is changed, else each change would copy it.
            var overlay = overlays.removeValue(forKey: index) ?? Array(repeating: [:], count: table.schema.indexes.count)
            for uuid in Set(fresh) {
                guard let row = table.rows[uuid] else { continue }
                for (position, columns) in table.schema.indexes.enumerated() {
                    overlay[position][IndexKey(row, columns), default: []].append(uuid)
                }
            }
            overlays[index] = overlay
        }
        return overlays[index]?[position][key] ?? []
    }

    func delete(_ uuid: UUID, _ table: Table) {
        guard let row = table.rows.removeValue(forKey: uuid) else { return }
        let id = RowID(table: table.schema.index, uuid: uuid)
        if let change = changes[id] {
            change.new = nil
        } else {
            record(PendingChange(id, old: row, new: nil))
        }
    }

    private func record(_ change: PendingChange) {
        changes[change.id] = change
        order.append(change)
    }

    /// Puts every row back.
    func rollBack() {
        for change in order { database.tables[change.id.table].rows[change.id.uuid] = change.old }
        changes = [:]
        order = []
    }

    /// Shows every row as it was before, for the time being.
    func suspend() { for change in order { database.tables[change.id.table].rows[change.id.uuid] = change.old } }

    /// Undoes `suspend`, when nothing else has changed since.
    func resume() { for change in order { database.tables[change.id.table].rows[change.id.uuid] = change.new } }

    /// Forgets rows that are as they were.
    func dropUnchanged() {
        var kept: [PendingChange] = []
        for change in order {
            if change.old == nil && change.new == nil {
                changes[change.id] = nil
            } else if let old = change.old, let new = change.new, old === new || old.fields == new.fields {
                database.tables[change.id.table].rows[change.id.uuid] = old
                changes[change.id] = nil
            } else {
                kept.append(change)
            }
        }
        order = kept
    }

    /// Rows of `table` that match.
    func rows(_ table: Table, _ condition: Condition) -> [Row] {
        if let uuid = condition.uuid {
            guard let row = table.rows[uuid], condition.holds(row) else { return [] }
            return [row]
        }
        for (position, columns) in table.schema.indexes.enumerated() {
            guard let key = condition.key(columns) else { continue }
            // The index knows the committed state; what this transaction has written is looked up besides.
            var candidates = Set(written(table, position, key))
            if let uuid = table.indexes[position][key] { candidates.insert(uuid) }
            return candidates.compactMap { table.rows[$0] }.filter(condition.holds)
        }
        if condition.clauses.isEmpty { return Array(table.rows.values) }
        var matches: [Row] = []
        var number = 0
        for row in table.rows.values(fetching: condition.firstColumn) {
            number &+= 1
            if number & 1023 == 0 { Breath.take() }
            if condition.holds(row) { matches.append(row) }
        }
        return matches
    }
}
