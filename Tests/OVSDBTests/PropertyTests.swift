import Base
import Testing

@testable import OVSDB

/// A client that knows only what a monitor told it.
private struct Replica {
    let version: MonitorVersion
    let schema: DatabaseSchema
    private(set) var rows: [String: [String: [String: Datum]]] = [:]

    init(_ version: MonitorVersion, _ schema: DatabaseSchema) {
        self.version = version
        self.schema = schema
    }

    mutating func apply(_ updates: JSON) throws {
        for (tableName, tableUpdates) in updates.object!.members {
            let table = schema.table(tableName)!
            for (uuid, update) in tableUpdates.object!.members {
                if version == .rows {
                    try applyRow(table, uuid, update)
                } else {
                    try applyDifference(table, uuid, update)
                }
            }
        }
    }

    private mutating func applyRow(_ table: TableSchema, _ uuid: String, _ update: JSON) throws {
        let known = rows[table.name]?[uuid]
        if let old = update["old"] {
            for (name, value) in old.object!.members {
                let column = table.column(name)!
                #expect(known?[name] == (try Datum(value, column.type)), "old value of \(table.name).\(name) is what the client knows")
            }
        } else {
            #expect(known == nil)
        }
        guard let new = update["new"] else {
            rows[table.name]?[uuid] = nil
            return
        }
        var values: [String: Datum] = [:]
        for (name, value) in new.object!.members { values[name] = try Datum(value, table.column(name)!.type) }
        rows[table.name, default: [:]][uuid] = values
    }

    private mutating func applyDifference(_ table: TableSchema, _ uuid: String, _ update: JSON) throws {
        let (kind, body) = update.object!.members[0]
        switch kind {
        case "delete":
            #expect(rows[table.name]?.removeValue(forKey: uuid) != nil)
        case "initial", "insert":
            #expect(rows[table.name]?[uuid] == nil)
            var values: [String: Datum] = [:]
            for (name, value) in body.object!.members { values[name] = try Datum(value, table.column(name)!.type) }
            rows[table.name, default: [:]][uuid] = values
        default:
            for (name, value) in body.object!.members {
                let column = table.column(name)!
                var loose = column.type
                loose.min = 0
                if loose.max > 1 || loose.isMap { loose.max = .max }
                let old = rows[table.name]![uuid]![name] ?? column.type.defaultDatum
                rows[table.name]![uuid]![name] = old.applying(difference: try Datum(value, loose), column.type)
            }
        }
    }

    /// What the client should know.
    func expected(_ database: Database, _ columns: [String: [String]], _ sees: (Row) -> Bool) -> [String: [String: [String: Datum]]] {
        var result: [String: [String: [String: Datum]]] = [:]
        for (tableName, names) in columns {
            for row in database.rows(tableName) where sees(row) {
                var values: [String: Datum] = [:]
                for name in names {
                    let column = row.table.column(name)!
                    if version == .rows || !row[column].isDefault(column.type) { values[name] = row[column] }
                }
                result[tableName, default: [:]][row.uuid.description] = values
            }
        }
        return result
    }

    /// What it does know, defaults left out where the protocol leaves them out.
    var known: [String: [String: [String: Datum]]] {
        var result: [String: [String: [String: Datum]]] = [:]
        for (tableName, tableRows) in rows where !tableRows.isEmpty {
            let table = schema.table(tableName)!
            result[tableName] = tableRows.mapValues { values in
                version == .rows ? values : values.filter { !$0.value.isDefault(table.column($0.key)!.type) }
            }
        }
        return result
    }
}

@Suite struct PropertyTests {
    /// Counters, indexes and references kept incrementally are those recomputed from scratch; a failed transaction changes nothing.
    @Test(arguments: [UInt64](1...12)) func engineKeepsItsInvariants(seed: UInt64) {
        let database = Database(schema: makeTestSchema(), uuids: UUIDGenerator(seed: seed))
        var source = TransactionSource(seed: seed)
        var committed = 0
        for number in 0..<400 {
            let operations = source.operations()
            let before = database.content()
            guard case .finished(let results, let changes) = database.execute(operations[...]) else {
                Issue.record("a transaction without wait waits")
                return
            }
            let failed = results.contains { $0["error"] != nil }
            if failed { #expect(database.content() == before, "seed \(seed), transaction \(number)") }
            if changes != nil { committed += 1 }
            let problems = database.inconsistencies()
            if !problems.isEmpty {
                Issue.record("seed \(seed), transaction \(number): \(problems.prefix(3)) after \(operations)")
                return
            }
        }
        #expect(committed > 20, "seed \(seed)")
    }

    /// What a transaction sees through an index is what it sees by looking at every row, also of its own doing; and ten thousand
    /// operations that look rows up do not look at each other's rows.
    @Test func indexesSeeTheTransactionsOwnRows() {
        let database = Database(schema: makeTestSchema(), uuids: UUIDGenerator(seed: 1))
        func run(_ operations: [JSON]) -> [JSON] {
            guard case .finished(let results, _) = database.execute(operations[...]) else { return [] }
            return results
        }
        func named(_ name: String) -> JSON { .array([.array(["name", "==", .string(name)])]) }
        func insert(_ name: String) -> JSON { ["op": "insert", "table": "C", "row": ["name": .string(name)] as JSON] }
        func find(_ name: String) -> JSON {
            .object(JSONObject([("op", "select"), ("table", "C"), ("where", named(name)), ("columns", ["name"])]))
        }
        func rename(_ from: String, _ to: String) -> JSON {
            .object(JSONObject([("op", "update"), ("table", "C"), ("where", named(from)), ("row", ["name": .string(to)])]))
        }
        let results = run([
            insert("a"), find("a"), rename("a", "b"), find("a"), find("b"), rename("b", "a"), find("a"),
            .object(JSONObject([("op", "delete"), ("table", "C"), ("where", named("a"))])), find("a"),
        ])
        #expect([1, 3, 4, 6, 8].map { results[$0]["rows"]?.array?.count } == [1, 0, 1, 1, 0])
        var many: [JSON] = []
        for number in 0..<5_000 { many += [insert("n\(number)"), rename("n\(number)", "m\(number)")] }
        #expect(run(many).allSatisfy { $0["error"] == nil })
    }

    /// A client that applies what monitors send knows the database's content, whatever the version, and whatever happens in between.
    @Test(arguments: [MonitorVersion.rows, .differences, .history], [UInt64](1...5)) func monitorsTellEverything(
        version: MonitorVersion, seed: UInt64
    ) throws {
        let server = try makeTestServer(seed: seed)
        let session = server.makeSession(name: "monitor")
        let writer = server.makeSession(name: "writer")
        var source = TransactionSource(seed: seed)
        let columns = [
            "T": ["i", "oi", "si", "m", "eph", "strong", "weak", "weak1"], "C": ["name", "kids"], "W": ["must"], "I": ["a", "b"],
        ]
        let database = server.database("test")!
        var replica = Replica(version, database.schema)
        for _ in 0..<20 { writer.receive(request("transact", .array([.string("test")] + source.operations()), id: 1)) }
        var threshold: Int64? = version == .rows ? nil : 3
        func sees(_ row: Row) -> Bool { row.table.name != "T" || threshold.map { row.integer("i") < $0 } ?? true }
        func requests() -> JSON {
            .object(
                JSONObject(
                    columns.map { name, list in
                        var members: [(String, JSON)] = [("columns", .array(list.map { .string($0) }))]
                        if name == "T", let threshold { members.append(("where", .array([.array(["i", "<", .integer(threshold)])]))) }
                        return (name, .array([.object(JSONObject(members))]))
                    }))
        }
        let method = version == .rows ? "monitor" : version == .differences ? "monitor_cond" : "monitor_cond_since"
        var parameters: [JSON] = ["test", "m", requests()]
        if version == .history { parameters.append(.string(UUID.zero.description)) }
        session.receive(request(method, .array(parameters), id: 7))
        let reply = try #require(try messages(session).first)
        try replica.apply(version == .history ? reply["result"]![2]! : reply["result"]!)
        #expect(replica.known == replica.expected(database, columns, sees))
        for step in 0..<300 {
            writer.receive(request("transact", .array([.string("test")] + source.operations()), id: 1))
            _ = writer.takeOutput()
            if version != .rows, step % 10 == 9 {
                threshold = Int64(source.random.below(7))
                let condition: JSON = .array([.array(["i", "<", .integer(threshold!)])])
                session.receive(request("monitor_cond_change", ["m", "m", ["T": [["where": condition] as JSON] as JSON] as JSON], id: 8))
            }
            for message in try messages(session) where message["method"] != nil {
                try replica.apply(message["params"]![version == .history ? 2 : 1]!)
            }
            if replica.known != replica.expected(database, columns, sees) {
                Issue.record("seed \(seed), step \(step): the client's content differs")
                return
            }
        }
    }

    /// A client that comes back with the last transaction it saw gets just the rest.
    @Test(arguments: [UInt64](1...5)) func reconnectingClientsCatchUp(seed: UInt64) throws {
        let server = try makeTestServer(seed: seed)
        let writer = server.makeSession(name: "writer")
        var source = TransactionSource(seed: seed)
        let columns = ["T": ["i", "si", "m", "strong"], "C": ["name"]]
        let requests: JSON = [
            "T": ["columns": ["i", "si", "m", "strong"] as JSON] as JSON, "C": ["columns": ["name"] as JSON] as JSON,
        ]
        var replica = Replica(.history, server.database("test")!.schema)
        var last = UUID.zero.description
        for round in 0..<30 {
            for _ in 0..<source.random.below(20) {
                writer.receive(request("transact", .array([.string("test")] + source.operations()), id: 1))
            }
            let session = server.makeSession(name: "client")
            session.receive(request("monitor_cond_since", ["test", "m", requests, .string(last)], id: 2))
            let result = try #require(try messages(session).first?["result"])
            #expect(result[0]?.boolean == (round > 0))
            last = try #require(result[1]?.string)
            try replica.apply(result[2]!)
            #expect(replica.known == replica.expected(server.database("test")!, columns) { _ in true }, "seed \(seed), round \(round)")
            session.close()
        }
        #expect(server.sessionCount == 1)
    }
}

/// A request's bytes as a message.
func request(_ method: String, _ parameters: JSON, id: JSON) -> JSON {
    .object(JSONObject([("id", id), ("method", .string(method)), ("params", parameters)]))
}
