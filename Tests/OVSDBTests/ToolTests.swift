import Base
import Glibc
import OVSDB
import Testing

/// The field's own programs against this engine.
@Suite(.enabled(if: haveTools)) struct ToolTests {
    private let directory = makeTemporaryDirectory()

    private func serve(_ body: (String) throws -> Void) throws {
        let directory = directory
        let server = SocketServer(path: directory + "/db.sock") {
            let server = DatabaseServer(clock: Clock())
            do throws(StorageError) {
                let opened = try FileStorage.open(path: directory + "/test.db", schema: makeTestSchema())
                try! server.add(opened.database)
            } catch {
                fatalError("\(error)")
            }
            return server
        }
        defer { server.stop() }
        try body("unix:" + directory + "/db.sock")
    }

    @Test func clientsWorkAndTheFileIsReadable() throws {
        defer { removeDirectory(directory) }
        try serve { socket in
            #expect(run(["ovsdb-client", "list-dbs", socket]).output == "_Server\ntest\n")
            #expect(run(["ovsdb-client", "get-schema-version", socket, "test"]).output == "1.0.0\n")
            #expect(run(["ovsdb-client", "list-tables", socket, "test"]).output.contains("\nT\n"))
            let insert = run([
                "ovsdb-client", "transact", socket,
                #"["test",{"op":"insert","table":"T","uuid-name":"t","row":{"s":"hello","i":7,"strong":["named-uuid","c"],"r":0.5}},{"op":"insert","table":"C","uuid-name":"c","row":{"name":"kid"}},{"op":"comment","comment":"by hand"}]"#,
            ])
            #expect(insert.status == 0 && insert.output.contains("uuid"), "\(insert.output)")
            let update = run([
                "ovsdb-client", "transact", socket,
                #"["test",{"op":"mutate","table":"T","where":[],"mutations":[["m","insert",["map",[["a","b"]]]],["si","insert",["set",[3,4]]]]}]"#,
            ])
            #expect(update.status == 0)
            let dump = run(["ovsdb-client", "--format=json", "--data=json", "dump", socket, "test", "T", "s", "i", "si"])
            #expect(dump.output.contains("hello") && dump.output.contains(#"["set",[3,4]]"#), "\(dump.output)")
            #expect(run(["timeout", "1", "ovsdb-client", "monitor", socket, "test", "T", "s"]).output.contains("hello"))
            #expect(
                run(["timeout", "1", "ovsdb-client", "monitor-cond", socket, "test", #"[["i","==",7]]"#, "T", "s"]).output.contains("hello")
            )
            #expect(
                run(["timeout", "1", "ovsdb-client", "monitor-cond-since", socket, "test", #"[["i","==",7]]"#, "T", "s"]).output.contains(
                    "hello"))
            #expect(run(["timeout", "1", "ovsdb-client", "lock", socket, "l"]).output.contains("\"locked\":true"))
            #expect(run(["timeout", "5", "ovsdb-client", "wait", socket, "test", "connected"]).status == 0)
            let backup = run(["ovsdb-client", "backup", socket, "test"])
            #expect(backup.status == 0 && backup.output.hasPrefix("OVSDB JSON "))
        }
        let file = directory + "/test.db"
        #expect(run(["ovsdb-tool", "db-version", file]).output == "1.0.0\n")
        let log = run(["ovsdb-tool", "-mmm", "show-log", file])
        #expect(log.status == 0 && log.output.contains("by hand") && log.output.contains("hello"), "\(log.output)")
        let query = run(["ovsdb-tool", "query", file, #"["test",{"op":"select","table":"T","where":[],"columns":["s","si","m","r"]}]"#])
        #expect(
            query.output.contains("hello") && query.output.contains(#"["set",[3,4]]"#) && query.output.contains("0.5"), "\(query.output)")
        // Rewritten by the field's tool, it is still ours.
        #expect(run(["ovsdb-tool", "compact", file]).status == 0)
        let opened = try FileStorage.open(path: file, schema: makeTestSchema())
        #expect(opened.warnings.isEmpty && opened.database.rows("T").first?["m"]["a"] == "b")
        #expect(opened.database.rows("C").first?.string("name") == "kid")
    }

    /// A random history, written by us, is the same to the field's reader.
    @Test(arguments: [UInt64](1...3)) func theFieldReadsOurHistory(seed: UInt64) throws {
        defer { removeDirectory(directory) }
        let file = directory + "/random.db"
        var expected: [String: Set<String>] = [:]
        do {
            let database = try FileStorage.open(path: file, schema: makeTestSchema()).database
            var source = TransactionSource(seed: seed)
            let server = DatabaseServer(clock: Clock())
            try server.add(database)
            let session = server.makeSession(name: "writer")
            for number in 0..<200 {
                session.receive(request("transact", .array([.string("test")] + source.operations()), id: .integer(Int64(number))))
            }
            for table in ["T", "C", "W", "I", "M"] { expected[table] = Set(database.rows(table).map { describe($0) }) }
        }
        for (table, rows) in expected {
            let columns = makeTestSchema().table(table)!.columns.filter { !$0.isEphemeral }.map(\.name) + ["_uuid"]
            let list = columns.map { "\"\($0)\"" }.joined(separator: ",")
            let query = run([
                "ovsdb-tool", "query", file, "[\"test\",{\"op\":\"select\",\"table\":\"\(table)\",\"where\":[],\"columns\":[\(list)]}]",
            ])
            let answer = try JSON(parsing: query.output)
            let found = Set((answer[0]?["rows"]?.array ?? []).map(\.text))
            #expect(found == rows, "seed \(seed), table \(table)")
        }
    }

    private func describe(_ row: Row) -> String {
        var members: [(String, JSON)] = [("_uuid", ["uuid", .string(row.uuid.description)])]
        for column in row.table.columns where !column.isEphemeral { members.append((column.name, row[column].json(column.type))) }
        return JSON.object(JSONObject(members)).text
    }
}
