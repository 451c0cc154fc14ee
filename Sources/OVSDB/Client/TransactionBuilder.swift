// Transactions from typed values.

/// A list of operations under construction.
///
/// Values are written in the notation of their column's type, so the builder knows the schema. Columns the schema lacks are left out
/// and remembered in `skippedColumns`: an older server's database just does not show them. Tables must exist.
public struct TransactionBuilder {
    public let schema: DatabaseSchema
    public private(set) var operations: [JSON] = []
    /// "Table.column" of values that had nowhere to go.
    public private(set) var skippedColumns: [String] = []
    private var uuids: UUIDGenerator

    public init(_ schema: DatabaseSchema, uuids: UUIDGenerator = UUIDGenerator()) {
        self.schema = schema
        self.uuids = uuids
    }

    public var isEmpty: Bool { operations.isEmpty }

    /// Inserts a row under a UUID of its own, at once usable in other rows' references.
    @discardableResult
    public mutating func insert(_ table: String, _ values: [String: Datum], uuid: UUID? = nil) -> UUID {
        let uuid = uuid ?? uuids.next()
        add([
            ("op", "insert"), ("table", .string(table)), ("uuid", .string(uuid.description)), ("row", row(table, values)),
        ])
        return uuid
    }

    /// Sets columns of one row.
    public mutating func update(_ table: String, _ uuid: UUID, _ values: [String: Datum]) {
        let row = row(table, values)
        guard row.object?.isEmpty == false else { return }
        add([("op", "update"), ("table", .string(table)), ("where", named(uuid)), ("row", row)])
    }

    /// Sets columns of all rows whose `column` equals `value`.
    public mutating func update(_ table: String, where column: String, is value: Datum, _ values: [String: Datum]) {
        add([("op", "update"), ("table", .string(table)), ("where", equals(table, column, value)), ("row", row(table, values))])
    }

    /// Adds elements to a set, or pairs to a map (keys already there keep their value).
    public mutating func insert(into column: String, of table: String, _ uuid: UUID, _ elements: Datum) {
        mutate(table, uuid, column, "insert", elements)
    }

    /// Removes elements from a set, or pairs from a map.
    public mutating func remove(from column: String, of table: String, _ uuid: UUID, _ elements: Datum) {
        mutate(table, uuid, column, "delete", elements)
    }

    /// Removes keys, whatever their value, from a string-keyed map.
    public mutating func remove(keys: [String], from column: String, of table: String, _ uuid: UUID) {
        guard schema.table(table)?.column(column) != nil else { return skippedColumns.append("\(table).\(column)") }
        mutate(table, uuid, column, "delete", json: ["set", .array(keys.map { .string($0) })])
    }

    /// Adds `amount` to an integer column.
    public mutating func add(_ amount: Int64, to column: String, of table: String, _ uuid: UUID) {
        mutate(table, uuid, column, "+=", json: .integer(amount))
    }

    /// Deletes one row. Rows of non-root tables go by themselves when nothing refers to them.
    public mutating func delete(_ table: String, _ uuid: UUID) {
        add([("op", "delete"), ("table", .string(table)), ("where", named(uuid))])
    }

    public mutating func delete(_ table: String, where column: String, is value: Datum) {
        add([("op", "delete"), ("table", .string(table)), ("where", equals(table, column, value))])
    }

    /// Reads columns; the rows are in the reply at this operation's index, which is returned.
    @discardableResult
    public mutating func select(_ table: String, _ uuid: UUID? = nil, columns: [String]) -> Int {
        add([
            ("op", "select"), ("table", .string(table)), ("where", uuid.map(named) ?? .array([])),
            ("columns", .array(columns.map { .string($0) })),
        ])
        return operations.count - 1
    }

    /// Lets the transaction fail ("timed out") unless a row's column still has this value.
    public mutating func require(_ table: String, _ uuid: UUID, _ column: String, is value: Datum) {
        guard schema.table(table)?.column(column) != nil else { return skippedColumns.append("\(table).\(column)") }
        add([
            ("op", "wait"), ("timeout", 0), ("table", .string(table)), ("where", named(uuid)), ("columns", .array([.string(column)])),
            ("until", "=="), ("rows", .array([row(table, [column: value])])),
        ])
    }

    /// A remark for the log.
    public mutating func comment(_ text: String) { add([("op", "comment"), ("comment", .string(text))]) }

    /// Completes only when the transaction is on disk.
    public mutating func commitDurably() { add([("op", "commit"), ("durable", true)]) }

    /// Any operation.
    public mutating func append(_ operation: JSON) { operations.append(operation) }

    private mutating func add(_ members: [(String, JSON)]) { operations.append(.object(JSONObject(members))) }

    private func named(_ uuid: UUID) -> JSON { .array([.array(["_uuid", "==", Atom.uuid(uuid).json])]) }

    private func equals(_ table: String, _ column: String, _ value: Datum) -> JSON {
        let type = schema.table(table)?.column(column)?.type
        return .array([.array([.string(column), "==", type.map { value.json($0) } ?? .null])])
    }

    private mutating func row(_ table: String, _ values: [String: Datum]) -> JSON {
        guard let schema = schema.table(table) else { return .object(JSONObject()) }
        var members: [(String, JSON)] = []
        members.reserveCapacity(values.count)
        for (name, value) in values {
            guard let column = schema.column(name) else {
                skippedColumns.append("\(table).\(name)")
                continue
            }
            members.append((name, value.json(column.type)))
        }
        return .object(JSONObject(members))
    }

    private mutating func mutate(_ table: String, _ uuid: UUID, _ column: String, _ mutator: String, _ value: Datum) {
        guard let type = schema.table(table)?.column(column)?.type else { return skippedColumns.append("\(table).\(column)") }
        if value.isEmpty { return }
        mutate(table, uuid, column, mutator, json: value.json(type))
    }

    private mutating func mutate(_ table: String, _ uuid: UUID, _ column: String, _ mutator: String, json: JSON) {
        add([
            ("op", "mutate"), ("table", .string(table)), ("where", named(uuid)),
            ("mutations", .array([.array([.string(column), .string(mutator), json])])),
        ])
    }
}
