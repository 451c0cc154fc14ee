// Running a transaction's operations (RFC 7047 section 5.2): what they have in common, and which is which.

internal import Base

extension Transaction {
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

    func table(_ json: JSON, _ members: inout MemberReader, _ what: String) throws(OVSDBError) -> Table {
        let name = try members.required("table", .identifier).string!
        guard let schema = database.schema.table(name) else { throw .syntax("Parsing \(what) failed: No table named \(name).", json) }
        return database.tables[schema.index]
    }

    /// Parses `<row>`: values by column, in column order.
    func row(_ json: JSON, _ table: TableSchema) throws(OVSDBError) -> [(ColumnSchema, Datum)] {
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
}
