import Base
import Testing

@testable import OVSDB

@Suite struct EmbeddedConfigurationTests {
    @Test func monitorsAndTransacts() throws {
        let server = try makeTestServer()
        let source: any ConfigurationSource = try #require(EmbeddedConfiguration(server, database: "test"))
        #expect(EmbeddedConfiguration(server, database: "nope") == nil)
        let replica = ConfigurationReplica()
        var calls: [Bool] = []
        let monitor = source.monitor(["T": ["i", "m"], "C": nil, "Unknown": nil]) { update in
            calls.append(update.isInitial)
            replica.apply(update)
        }
        #expect(calls == [true])
        var transaction = TransactionBuilder(source.schema)
        let child = transaction.insert("C", ["name": Datum("child")])
        let row = transaction.insert("T", ["i": Datum(5), "m": Datum(["k": "v"]), "strong": Datum(child), "nonsense": Datum(1)])
        transaction.comment("from the test")
        transaction.commitDurably()
        #expect(transaction.skippedColumns == ["T.nonsense"])
        var replies: [TransactionReply] = []
        source.transact(transaction) { reply in
            // The monitor has been called before.
            #expect(calls == [true, false])
            replies.append(reply)
        }
        #expect(replies.count == 1 && replies[0].error == nil)
        #expect(replica.row("T", row)?.integer("i") == 5)
        #expect(replica.row("T", row)?["m"]["k"] == "v")
        #expect(replica.rows("C", replica.row("T", row)!.uuids("strong")).map { $0.string("name") } == ["child"])
        #expect(replica.row("C", where: "name", is: "child")?.uuid == child)

        // Columns nobody asked for do not wake the monitor.
        var status = TransactionBuilder(source.schema)
        status.update("T", row, ["eph": Datum("status")])
        source.transact(status) { replies.append($0) }
        #expect(calls.count == 2)

        var change = TransactionBuilder(source.schema)
        change.insert(into: "m", of: "T", row, Datum(["n": "w", "k": "ignored"]))
        change.remove(keys: ["zz"], from: "m", of: "T", row)
        change.add(2, to: "i", of: "T", row)
        let select = change.select("T", row, columns: ["i"])
        source.transact(change) { replies.append($0) }
        #expect(replies.last?.rows(select).first?["i"] == 7 && replies.last?.count(0) == 1)
        #expect(replica.row("T", row)?.map("m") == ["k": "v", "n": "w"])

        var failing = TransactionBuilder(source.schema)
        failing.require("T", row, "i", is: Datum(5))
        failing.delete("T", row)
        source.transact(failing) { replies.append($0) }
        #expect(replies.last?.error?.error == "timed out")
        #expect(replica.count("T") == 1)

        var deletion = TransactionBuilder(source.schema)
        deletion.delete("T", where: "i", is: Datum(7))
        source.transact(deletion) { replies.append($0) }
        #expect(replica.count("T") == 0 && replica.count("C") == 0)
        monitor.cancel()
        source.transact(transaction) { replies.append($0) }
        #expect(replies.last?.error == nil && replica.count("T") == 0)
    }

    /// A callback that writes does not disturb the order of things.
    @Test func callbacksMayTransact() throws {
        let server = try makeTestServer()
        let source = try #require(EmbeddedConfiguration(server, database: "test"))
        let session = server.makeSession(name: "a")
        var seen: [Int64] = []
        let monitor = source.monitor(["T": ["i"]]) { update in
            for change in update.changes {
                guard let row = change.new else { continue }
                seen.append(row.integer("i"))
                guard row.integer("i") < 5 else { continue }
                var next = TransactionBuilder(source.schema)
                next.add(1, to: "i", of: "T", row.uuid)
                source.transact(next) { #expect($0.error == nil) }
            }
        }
        session.receive(request("transact", ["test", ["op": "insert", "table": "T", "row": ["i": 1] as JSON] as JSON], id: 1))
        #expect(seen == [1, 2, 3, 4, 5])
        monitor.cancel()
    }

    /// The pinned schema cannot be converted away under the switch.
    @Test func pinnedSchemasStay() throws {
        let server = DatabaseServer(clock: Clock())
        try server.add(Database(schema: makeTestSchema()), isPinned: true)
        let session = server.makeSession(name: "a")
        session.receive(request("convert", ["test", ["name": "test", "tables": [:] as JSON] as JSON], id: 1))
        #expect(try messages(session).first?["error"]?["error"] == "not allowed")
        session.receive(request("convert", ["test", makeTestSchema().json], id: 2))
        #expect(try messages(session).first?["error"]?.isNull == true)
    }
}
