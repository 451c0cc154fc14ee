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
    private var comments: [String] = []
    /// Rows written to since an index of their table was last asked, by table.
    private var unindexed: [Int: [UUID]] = [:]
    /// Where rows written to may be found, by table and index. Entries may be stale: the row itself decides.
    private var overlays: [Int: [[IndexKey: [UUID]]]] = [:]
    private(set) var isDurable = false
    /// Set while a "wait" that may come true later has stopped the transaction.
    private(set) var waitMilliseconds: UInt64?
    private(set) var mustWait = false

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
        for row in table.rows.values {
            number &+= 1
            if number & 1023 == 0 { Breath.take() }
            if condition.holds(row) { matches.append(row) }
        }
        return matches
    }

    // MARK: Operations

    /// Runs all operations; the results of those that ran, and nulls behind a failure.
    ///
    /// - Returns: the results, and whether the transaction may be committed.
    func run(_ operations: ArraySlice<JSON>) -> (results: [JSON], succeeded: Bool) {
        reserveSymbols(operations)
        var results: [JSON] = []
        results.reserveCapacity(operations.count)
        for (number, operation) in operations.enumerated() {
            if number & 127 == 127 { Breath.take() }
            do throws(OVSDBError) {
                results.append(try run(operation, number + 1, operations.count))
            } catch {
                results.append(error.json)
                while results.count < operations.count { results.append(.null) }
                return (results, false)
            }
            if mustWait { return (results, false) }
        }
        return (results, true)
    }

    /// A name whose insert asks for a UUID stands for that UUID everywhere, also before the insert.
    private func reserveSymbols(_ operations: ArraySlice<JSON>) {
        for operation in operations {
            guard let wanted = operation["uuid"]?.string, let name = operation["uuid-name"]?.string, let uuid = UUID(wanted) else {
                continue
            }
            symbols.reserve(name, uuid)
        }
    }

    private func run(_ json: JSON, _ number: Int, _ count: Int) throws(OVSDBError) -> JSON {
        let what = "ovsdb operation \(number) of \(count)"
        guard case .object = json else { throw .syntax("Parsing \(what) failed: Object expected.") }
        var members = MemberReader(json, name: what)
        let operation = try members.required("op", .identifier).string!
        let result = try run(operation, json, &members, what)
        if context.isReadOnly || context.isReadOnlySession { try checkAllowed(operation) }
        return result
    }

    private func checkAllowed(_ operation: String) throws(OVSDBError) {
        guard !mustWait, ["insert", "update", "mutate", "delete", "commit"].contains(operation) else { return }
        throw OVSDBError(
            "not allowed",
            context.isReadOnlySession
                ? "\(operation) operation not allowed when database server is in read only mode"
                : "\(operation) operation not allowed on table in reserved database \(database.name)")
    }

    private func run(_ operation: String, _ json: JSON, _ members: inout MemberReader, _ what: String) throws(OVSDBError) -> JSON {
        switch operation {
        case "insert": return try runInsert(json, &members, what)
        case "select": return try runSelect(json, &members, what)
        case "update": return try runUpdate(json, &members, what)
        case "mutate": return try runMutate(json, &members, what)
        case "delete": return try runDelete(json, &members, what)
        case "wait": return try runWait(json, &members, what)
        case "commit":
            let durable = try members.required("durable", .boolean).boolean!
            try members.finish()
            if durable { isDurable = true }
            return .object(JSONObject())
        case "abort":
            try members.finish()
            throw OVSDBError("aborted", "aborted by request")
        case "comment":
            let comment = try members.required("comment", .string).string!
            try members.finish()
            comments.append(comment)
            return .object(JSONObject())
        case "assert":
            let lock = try members.required("lock", .identifier).string!
            try members.finish()
            guard context.holdsLock(lock) else { throw OVSDBError("not owner", "Asserted lock \(lock) not held.") }
            return .object(JSONObject())
        default:
            throw .syntax("Parsing \(what) failed: No operation \"\(operation)\"", json)
        }
    }

    private func table(_ json: JSON, _ members: inout MemberReader, _ what: String) throws(OVSDBError) -> Table {
        let name = try members.required("table", .identifier).string!
        guard let schema = database.schema.table(name) else { throw .syntax("Parsing \(what) failed: No table named \(name).", json) }
        return database.tables[schema.index]
    }

    /// Parses `<row>`: values by column, in column order.
    private func row(_ json: JSON, _ table: TableSchema) throws(OVSDBError) -> [(ColumnSchema, Datum)] {
        guard case .object(let object) = json else { throw .syntax("row must be JSON object", json) }
        var values: [(ColumnSchema, Datum)] = []
        values.reserveCapacity(object.count)
        do throws(OVSDBError) {
            for (name, value) in object.members { values.append(try field(name, value, json, table)) }
            return values
        } catch {
            // Of several faults the field's server names one: the first in its order.
            for position in FieldOrder.positions(object.members.map(\.key)) {
                _ = try field(object.members[position].key, object.members[position].value, json, table)
            }
            throw error
        }
    }

    private func field(_ name: String, _ value: JSON, _ row: JSON, _ table: TableSchema) throws(OVSDBError) -> (ColumnSchema, Datum) {
        guard let column = table.column(name) else {
            throw OVSDBError("unknown column", "No column \(name) in table \(table.name).", syntax: row)
        }
        return (column, try Datum(value, column.type, symbols: symbols))
    }

    /// Parses a list of distinct column names; all columns where there is none.
    static func columns(_ json: JSON?, _ table: TableSchema) throws(OVSDBError) -> [ColumnSchema] {
        guard let json else { return table.columns + [.uuid, .version] }
        guard case .array(let elements) = json else { throw .syntax("array of distinct column names expected", json) }
        var columns: [ColumnSchema] = []
        var seen: Set<Int> = []
        for element in elements {
            guard case .string(let name) = element else { throw .syntax("array of distinct column names expected", json) }
            guard let column = table.column(name) else { throw .syntax("\(name) is not a valid column name", json) }
            guard seen.insert(column.index).inserted else { throw .syntax("array of distinct column names expected", json) }
            columns.append(column)
        }
        return columns
    }

    private func runInsert(_ json: JSON, _ members: inout MemberReader, _ what: String) throws(OVSDBError) -> JSON {
        let table = try table(json, &members, what)
        let wanted = try members.optional("uuid", .string)
        let name = try members.optional("uuid-name", .identifier)
        let rowJSON = try members.required("row", .object)
        try members.finish()
        var uuid: UUID?
        if let wanted {
            guard let chosen = UUID(wanted.string!) else { throw .syntax("bad uuid", wanted) }
            let id = RowID(table: table.schema.index, uuid: chosen)
            guard table.rows[chosen] == nil, changes[id] == nil else {
                throw OVSDBError(
                    "duplicate uuid",
                    "This UUID would duplicate a UUID already present within the table or deleted within the same transaction.",
                    syntax: wanted)
            }
            uuid = chosen
        }
        if let name {
            guard let defined = symbols.define(name.string!, chosen: uuid) else {
                throw OVSDBError("duplicate uuid-name", "This \"uuid-name\" appeared on an earlier \"insert\" operation.", syntax: name)
            }
            uuid = defined
        }
        let schema = table.schema
        let row = Row(table.shared, uuid: uuid ?? database.makeUUID(), version: database.makeUUID(), fields: schema.defaults)
        let values = try self.row(rowJSON, schema)
        for (column, value) in values where column.index >= 0 { row.fields[column.index] = value }
        for column in schema.columnsWithoutDefault where !values.contains(where: { $0.0.index == column }) {
            try row.fields[column].check(schema.columns[column].type)
        }
        insert(row, table)
        return .object(JSONObject([("uuid", Atom.uuid(row.uuid).json)]))
    }

    private func runSelect(_ json: JSON, _ members: inout MemberReader, _ what: String) throws(OVSDBError) -> JSON {
        let table = try table(json, &members, what)
        let whereJSON = try members.required("where", .array)
        let columnsJSON = try members.optional("columns", .array)
        let sortJSON = try members.optional("sort", .array)
        try members.finish()
        let condition = try Condition(whereJSON, table.schema, symbols)
        let columns = try Transaction.columns(columnsJSON, table.schema)
        var matches = rows(table, condition)
        // Not in the RFC, but in the field's server.
        if let sortJSON {
            let keys = try Transaction.columns(sortJSON, table.schema)
            matches.sort { left, right in
                for key in keys {
                    let order = left[key].compare(right[key])
                    if order != 0 { return order < 0 }
                }
                return false
            }
        }
        // Without `_uuid` the result is a set of values, so equal ones appear once.
        let isSet = !columns.contains { $0.index == ColumnSchema.uuidIndex }
        var seen: Set<[Datum]> = []
        if context.wantsText {
            let texts = ColumnTexts(columns)
            var writer = JSONWriter()
            writer.raw("{\"rows\":[")
            var isFirst = true
            for (number, row) in matches.enumerated() where !isSet || seen.insert(columns.map { row[$0] }).inserted {
                if number & 255 == 255 { Breath.take() }
                if isFirst { isFirst = false } else { writer.raw(",") }
                texts.write(row, to: &writer)
            }
            writer.raw("]}")
            return .serialized(writer.bytes)
        }
        var rows: [JSON] = []
        for row in matches where !isSet || seen.insert(columns.map { row[$0] }).inserted { rows.append(row.json(columns)) }
        return .object(JSONObject([("rows", .array(rows))]))
    }

    private func count(_ number: Int) -> JSON { .object(JSONObject([("count", .integer(Int64(number)))])) }

    private func runUpdate(_ json: JSON, _ members: inout MemberReader, _ what: String) throws(OVSDBError) -> JSON {
        let table = try table(json, &members, what)
        let whereJSON = try members.required("where", .array)
        let rowJSON = try members.required("row", .object)
        try members.finish()
        let values = try row(rowJSON, table.schema)
        if values.contains(where: { !$0.0.isMutable }) {
            for position in FieldOrder.positions(values.map(\.0.name)) where !values[position].0.isMutable {
                throw .constraint("Cannot update immutable column \(values[position].0.name) in table \(table.schema.name).", json)
            }
        }
        let matches = rows(table, try Condition(whereJSON, table.schema, symbols))
        guard !values.isEmpty else { return count(matches.count) }
        for match in matches where values.contains(where: { match.fields[$0.0.index] != $0.1 }) {
            let row = writable(match, table)
            for (column, value) in values { row.fields[column.index] = value }
        }
        return count(matches.count)
    }

    private func runMutate(_ json: JSON, _ members: inout MemberReader, _ what: String) throws(OVSDBError) -> JSON {
        let table = try table(json, &members, what)
        let whereJSON = try members.required("where", .array)
        let mutationsJSON = try members.required("mutations", .array)
        try members.finish()
        var mutations: [Mutation] = []
        for element in mutationsJSON.array! { mutations.append(try Mutation(element, table.schema, symbols)) }
        let matches = rows(table, try Condition(whereJSON, table.schema, symbols))
        guard !mutations.isEmpty else { return count(matches.count) }
        for match in matches {
            let row = writable(match, table)
            for mutation in mutations {
                row.fields[mutation.column] = try mutation.apply(row.fields[mutation.column], table.schema.columns[mutation.column].type)
            }
        }
        return count(matches.count)
    }

    private func runDelete(_ json: JSON, _ members: inout MemberReader, _ what: String) throws(OVSDBError) -> JSON {
        let whereJSON = try members.required("where", .array)
        let table = try table(json, &members, what)
        try members.finish()
        let matches = rows(table, try Condition(whereJSON, table.schema, symbols))
        for row in matches { delete(row.uuid, table) }
        return count(matches.count)
    }

    private func runWait(_ json: JSON, _ members: inout MemberReader, _ what: String) throws(OVSDBError) -> JSON {
        let timeoutJSON = try members.optional("timeout", .integer)
        let whereJSON = try members.required("where", .array)
        let columnsJSON = try members.optional("columns", .array)
        let untilJSON = try members.required("until", .string)
        let rowsJSON = try members.required("rows", .array)
        let table = try table(json, &members, what)
        try members.finish()
        let condition = try Condition(whereJSON, table.schema, symbols)
        let columns = try Transaction.columns(columnsJSON, table.schema)
        if let timeoutJSON, timeoutJSON.integer! < 0 { throw .syntax("timeout must be nonnegative", timeoutJSON) }
        guard let until = untilJSON.string, until == "==" || until == "!=" else {
            throw .syntax("\"until\" must be \"==\" or \"!=\"", untilJSON)
        }
        var expected: Set<[Datum]> = []
        for element in rowsJSON.array! {
            let values = try row(element, table.schema)
            expected.insert(
                columns.map { column in
                    values.first { $0.0.index == column.index }?.1
                        ?? (column.index >= 0 ? table.schema.defaults[column.index] : Datum(UUID.zero))
                })
        }
        let actual = Set(rows(table, condition).map { row in columns.map { row[$0] } })
        if (actual == expected) == (until == "==") { return .object(JSONObject()) }
        guard let timeout = timeoutJSON.map({ UInt64($0.integer!) }) else {
            mustWait = true
            return .null
        }
        guard context.elapsedMilliseconds >= timeout else {
            mustWait = true
            waitMilliseconds = timeout
            return .null
        }
        throw OVSDBError(
            "timed out",
            context.elapsedMilliseconds == 0 ? "\"where\" clause test failed" : "\"wait\" timed out after \(context.elapsedMilliseconds) ms"
        )
    }
}
