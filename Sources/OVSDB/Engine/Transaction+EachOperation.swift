// The operations that read and write rows, one by one (RFC 7047 section 5.2).

internal import Base

extension Transaction {
    func runInsert(_ json: JSON, _ members: inout MemberReader, _ what: String) throws(OVSDBError) -> JSON {
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
        try checkPermission("row insertion into", table, [row], columns: nil)
        insert(row, table)
        return .object(JSONObject([("uuid", Atom.uuid(row.uuid).json)]))
    }

    func runSelect(_ json: JSON, _ members: inout MemberReader, _ what: String) throws(OVSDBError) -> JSON {
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

    func runUpdate(_ json: JSON, _ members: inout MemberReader, _ what: String) throws(OVSDBError) -> JSON {
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
        try checkPermission("modification of", table, matches, columns: values.map(\.0))
        guard !values.isEmpty else { return count(matches.count) }
        for match in matches where values.contains(where: { match.fields[$0.0.index] != $0.1 }) {
            let row = writable(match, table)
            for (column, value) in values { row.fields[column.index] = value }
        }
        return count(matches.count)
    }

    func runMutate(_ json: JSON, _ members: inout MemberReader, _ what: String) throws(OVSDBError) -> JSON {
        let table = try table(json, &members, what)
        let whereJSON = try members.required("where", .array)
        let mutationsJSON = try members.required("mutations", .array)
        try members.finish()
        var mutations: [Mutation] = []
        for element in mutationsJSON.array! { mutations.append(try Mutation(element, table.schema, symbols)) }
        let matches = rows(table, try Condition(whereJSON, table.schema, symbols))
        guard !mutations.isEmpty else { return count(matches.count) }
        try checkPermission("mutate operation on", table, matches, columns: mutations.map { table.schema.columns[$0.column] })
        for match in matches {
            let row = writable(match, table)
            for mutation in mutations {
                row.fields[mutation.column] = try mutation.apply(row.fields[mutation.column], table.schema.columns[mutation.column].type)
            }
        }
        return count(matches.count)
    }

    func runDelete(_ json: JSON, _ members: inout MemberReader, _ what: String) throws(OVSDBError) -> JSON {
        let whereJSON = try members.required("where", .array)
        let table = try table(json, &members, what)
        try members.finish()
        let matches = rows(table, try Condition(whereJSON, table.schema, symbols))
        try checkPermission("row deletion from", table, matches, columns: nil)
        for row in matches { delete(row.uuid, table) }
        return count(matches.count)
    }

    func runWait(_ json: JSON, _ members: inout MemberReader, _ what: String) throws(OVSDBError) -> JSON {
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
