// The rows of one table, and what finds them fast.

internal import Base

/// The values of an index's columns.
struct IndexKey: Hashable {
    var values: [Datum]

    init(_ row: Row, _ columns: [Int]) { values = columns.map { row.fields[$0] } }
    init(values: [Datum]) { self.values = values }
}

/// One table of a database. Changed only by transactions.
final class Table {
    let shared: SharedTableSchema
    var schema: TableSchema { shared.schema }
    var rows = RowStore()
    /// For each of the schema's indexes: which committed row has these values.
    var indexes: [[IndexKey: UUID]]
    /// Rows that hold weak references to a row of this table, by that row. Committed state.
    var weakReferrers: [UUID: Set<RowID>] = [:]

    /// All rows, in the order in which their names stand in JSON: sorting them by number is far cheaper than by text.
    var sortedRows: [Row] {
        var comparisons = 0
        return rows.values.sorted {
            comparisons &+= 1
            if comparisons & 8191 == 0 { Breath.take() }
            return $0.uuid < $1.uuid
        }
    }

    init(_ schema: TableSchema) {
        shared = SharedTableSchema(schema)
        indexes = Array(repeating: [:], count: schema.indexes.count)
    }
}

extension TableSchema {
    /// Calls `body` with each reference of `kind` in `row`'s columns: target table and uuid.
    func forEachReference(_ kind: ReferenceKind, in datum: Datum, column: Int, _ body: (Int, UUID) -> Void) {
        let type = columns[column].type
        if let table = type.key.refTableIndex, type.key.refKind == kind {
            datum.forEachKey { if case .uuid(let uuid) = $0 { body(table, uuid) } }
        }
        if let table = type.value?.refTableIndex, type.value?.refKind == kind {
            for value in datum.values { if case .uuid(let uuid) = value { body(table, uuid) } }
        }
    }
}
