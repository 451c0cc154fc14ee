// Rows: immutable once committed, replaced as a whole.

/// A table's schema shared by its rows.
final class SharedTableSchema: Sendable {
    let schema: TableSchema
    init(_ schema: TableSchema) { self.schema = schema }
}

/// One version of one row.
///
/// A committed row never changes: a transaction that modifies it makes a new `Row` with the same `uuid`. Who keeps a reference
/// keeps that version.
///
/// ## Thread safety
/// None: rows belong to the executor that owns the database.
public final class Row {
    let shared: SharedTableSchema
    public let uuid: UUID
    /// New with every change.
    public internal(set) var version: UUID
    /// By column index.
    public internal(set) var fields: [Datum]
    /// References from other rows through strong columns.
    var strongReferences = 0

    init(_ shared: SharedTableSchema, uuid: UUID, version: UUID, fields: [Datum]) {
        self.shared = shared
        self.uuid = uuid
        self.version = version
        self.fields = fields
    }

    func copy() -> Row {
        let row = Row(shared, uuid: uuid, version: version, fields: fields)
        row.strongReferences = strongReferences
        return row
    }

    public var table: TableSchema { shared.schema }

    /// The value of `column`.
    public subscript(column: ColumnSchema) -> Datum {
        switch column.index {
        case ColumnSchema.uuidIndex: Datum(uuid)
        case ColumnSchema.versionIndex: Datum(version)
        default: fields[column.index]
        }
    }

    /// The value of the column called `name`; the empty datum if the table has no such column, so that a reader of an older
    /// schema sees it as unset.
    public subscript(name: String) -> Datum { shared.schema.column(name).map { self[$0] } ?? .empty }

    /// Shorthands for the usual shapes; the default of the type where the column is empty or of another type.
    public func string(_ name: String) -> String { self[name].string ?? "" }
    public func integer(_ name: String) -> Int64 { self[name].integer ?? 0 }
    public func boolean(_ name: String) -> Bool { self[name].boolean ?? false }
    public func optionalString(_ name: String) -> String? { self[name].string }
    public func optionalInteger(_ name: String) -> Int64? { self[name].integer }
    public func optionalBoolean(_ name: String) -> Bool? { self[name].boolean }
    public func uuids(_ name: String) -> [UUID] { self[name].uuids }
    public func map(_ name: String) -> [String: String] { self[name].stringMap }

    /// An object of `columns`.
    func json(_ columns: [ColumnSchema]) -> JSON {
        .object(JSONObject(columns.map { ($0.name, self[$0].json($0.type)) }))
    }
}

/// Names a row within a database.
struct RowID: Hashable {
    var table: Int
    var uuid: UUID
}

/// What a transaction did to one row.
public struct RowChange {
    /// The table's index in the schema.
    public let table: Int
    public let uuid: UUID
    /// Nil for an insert.
    public let old: Row?
    /// Nil for a delete.
    public let new: Row?
    /// Columns (by index) whose value differs; of an insert and a delete, all.
    public let changedColumns: [Int]

    init(table: Int, uuid: UUID, old: Row?, new: Row?) {
        self.table = table
        self.uuid = uuid
        self.old = old
        self.new = new
        if let old, let new {
            changedColumns = new.fields.indices.filter { old.fields[$0] != new.fields[$0] }
        } else {
            changedColumns = Array((new ?? old)?.fields.indices ?? 0..<0)
        }
    }
}

/// What one committed transaction changed; no row twice.
public final class ChangeSet {
    /// The transaction's name, for `monitor_cond_since`.
    public let id: UUID
    public let rows: [RowChange]
    public let comment: String?

    init(id: UUID, rows: [RowChange], comment: String?) {
        self.id = id
        self.rows = rows
        self.comment = comment
    }
}
