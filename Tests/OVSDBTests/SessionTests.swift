import Base
import Testing

@testable import OVSDB

@Suite struct SessionTests {
    private func result(_ session: Session, _ method: String, _ parameters: JSON, id: JSON = 1) throws -> [JSON] {
        session.receive(request(method, parameters, id: id))
        return try messages(session)
    }

    @Test func locksQueueAndPassOn() throws {
        let server = try makeTestServer()
        let (a, b, c) = (server.makeSession(name: "a"), server.makeSession(name: "b"), server.makeSession(name: "c"))
        #expect(try result(a, "lock", ["l"]).first?["result"] == ["locked": true])
        #expect(try result(b, "lock", ["l"]).first?["result"] == ["locked": false])
        #expect(try result(a, "transact", ["test", ["op": "assert", "lock": "l"] as JSON]).first?["result"]?[0]?["error"] == nil)
        #expect(try result(b, "transact", ["test", ["op": "assert", "lock": "l"] as JSON]).first?["result"]?[0]?["error"] == "not owner")
        #expect(try result(c, "steal", ["l"]).first?["result"] == ["locked": true])
        #expect(try messages(a).first == ["id": .null, "method": "stolen", "params": ["l"] as JSON])
        #expect(try result(c, "unlock", ["l"]).first?["result"] == [:])
        #expect(try messages(a).first == ["id": .null, "method": "locked", "params": ["l"] as JSON])
        a.close()
        #expect(try messages(b).first?["method"] == "locked")
        #expect(try messages(c).isEmpty)
    }

    private func waitFor(_ value: JSON, timeout: JSON? = nil) -> JSON {
        var members: [(String, JSON)] = [
            ("op", "wait"), ("table", "T"), ("where", []), ("columns", ["i"]), ("until", "=="), ("rows", .array([["i": value]])),
        ]
        if let timeout { members.append(("timeout", timeout)) }
        return .object(JSONObject(members))
    }

    @Test func waitsUntilTheDatabaseChanges() throws {
        let server = try makeTestServer()
        let (waiter, writer) = (server.makeSession(name: "waiter"), server.makeSession(name: "writer"))
        let insert: JSON = ["op": "insert", "table": "M", "row": ["a": 1] as JSON]
        #expect(try result(waiter, "transact", ["test", waitFor(5), insert], id: 9).isEmpty)
        _ = try result(writer, "transact", ["test", ["op": "insert", "table": "T", "row": ["i": 4] as JSON] as JSON])
        #expect(try messages(waiter).isEmpty)
        #expect(server.database("test")?.rows("M").isEmpty == true)
        _ = try result(writer, "transact", ["test", ["op": "update", "table": "T", "where": [], "row": ["i": 5] as JSON] as JSON])
        let reply = try #require(try messages(waiter).first)
        #expect(reply["id"] == 9 && reply["result"]?[0] == [:] && reply["result"]?[1]?["uuid"] != nil)
        #expect(server.database("test")?.rows("M").count == 1)
    }

    @Test func waitsTimeOut() throws {
        let server = try makeTestServer()
        let session = server.makeSession(name: "waiter")
        #expect(try result(session, "transact", ["test", waitFor(5, timeout: 100)]).isEmpty)
        let deadline = try #require(server.nextDeadline)
        #expect(deadline.milliseconds(since: server.clock.now) == 100)
        server.clock.warp(milliseconds: 99)
        server.runTimers()
        #expect(try messages(session).isEmpty)
        server.clock.warp(milliseconds: 1)
        server.runTimers()
        let error = try #require(try messages(session).first?["result"]?[0])
        #expect(error == ["error": "timed out", "details": "\"wait\" timed out after 100 ms"])
        #expect(server.nextDeadline == nil)
    }

    @Test func cancelsWaits() throws {
        let server = try makeTestServer()
        let session = server.makeSession(name: "waiter")
        #expect(try result(session, "transact", ["test", waitFor(5, timeout: 1_000_000)], id: "w").isEmpty)
        #expect(try result(session, "cancel", ["other"], id: .null).isEmpty)
        #expect(try result(session, "cancel", ["w"], id: .null) == [["id": "w", "error": "canceled", "result": .null]])
        #expect(try result(session, "transact", ["test", waitFor(5)], id: "v").isEmpty)
        session.close()
        #expect(server.nextDeadline == nil && server.sessionCount == 0)
    }

    @Test func ownUpdatesComeBeforeTheReply() throws {
        let server = try makeTestServer()
        let session = server.makeSession(name: "a")
        _ = try result(session, "monitor", ["test", .null, ["T": [:] as JSON] as JSON])
        let answers = try result(session, "transact", ["test", ["op": "insert", "table": "T", "row": [:] as JSON] as JSON], id: 2)
        #expect(answers.count == 2 && answers[0]["method"] == "update" && answers[0]["params"]?[0]?.isNull == true && answers[1]["id"] == 2)
        // Left out columns are all columns but `_uuid`.
        let row = answers[0]["params"]?[1]?["T"]?.object?.members.first?.value["new"]
        #expect(row?["_version"] != nil && row?["_uuid"] == nil && row?["s"] == "")
    }

    @Test func historyIsBounded() throws {
        var limits = DatabaseLimits()
        limits.historyTransactions = 10
        let server = try makeTestServer(limits: limits)
        let session = server.makeSession(name: "a")
        func since(_ id: JSON) throws -> JSON {
            let reply = try result(session, "monitor_cond_since", ["test", "m", ["T": ["columns": ["i"] as JSON] as JSON] as JSON, id])
            _ = try result(session, "monitor_cancel", ["m"])
            return reply[0]["result"]!
        }
        let start = try #require(try since(.string(UUID.zero.description))[1])
        for number in Int64(0)..<8 {
            _ = try result(session, "transact", ["test", ["op": "insert", "table": "T", "row": ["i": .integer(number)] as JSON] as JSON])
        }
        let known = try since(start)
        #expect(known[0] == true && known[2]?["T"]?.object?.count == 8)
        for number in Int64(0)..<30 {
            _ = try result(
                session, "transact",
                ["test", ["op": "update", "table": "T", "where": [], "row": ["i": .integer(number + 100)] as JSON] as JSON])
        }
        #expect(try since(start)[0] == false)
        #expect(server.database("test")!.history.count <= 10)
    }

    @Test func probesSilentPeers() throws {
        let server = try makeTestServer()
        let session = server.makeSession(name: "a")
        var reason: String?
        session.onClose = { reason = $0 }
        session.probeIntervalMilliseconds = 5000
        server.clock.warp(milliseconds: 5000)
        server.runTimers()
        #expect(try messages(session) == [["id": "echo", "method": "echo", "params": []]])
        session.receive(["id": "echo", "result": [], "error": .null])
        server.clock.warp(milliseconds: 5000)
        server.runTimers()
        #expect(try messages(session).count == 1)
        #expect(!session.isClosed)
        server.clock.warp(milliseconds: 5000)
        server.runTimers()
        #expect(session.isClosed && reason?.contains("inactivity probe") == true)
        #expect(server.sessionCount == 0)
    }

    @Test(arguments: [
        "[]", "{\"x\":", "{]", "{}", "{\"id\":1,\"method\":5,\"params\":[]}", "{\"id\":1,\"method\":\"echo\"}",
        "{\"id\":1,\"method\":\"echo\",\"params\":{}}",
        "\u{0}", "{\"id\":1,\"method\":\"e\\u0000\",\"params\":[]}", "{bad",
    ]) func garbageEndsOnlyItsOwnSession(_ text: String) throws {
        let server = try makeTestServer()
        let (bad, good) = (server.makeSession(name: "bad"), server.makeSession(name: "good"))
        var reason: String?
        bad.onClose = { reason = $0 }
        _ = try result(bad, "monitor", ["test", "m", ["T": [:] as JSON] as JSON])
        bad.receive(Array(text.utf8))
        let isHalf = text == "{\"x\":" || text == "{bad"
        #expect(bad.isClosed == !isHalf && (reason != nil) == !isHalf)
        #expect(try result(good, "echo", [1]).first?["result"] == [1])
        if isHalf { bad.close() }
        #expect(server.sessionCount == 1)
    }

    @Test func outputIsCountedAndAnnounced() throws {
        let server = try makeTestServer()
        let session = server.makeSession(name: "a")
        var announced = 0
        session.onOutput = { announced += 1 }
        session.receive(Array(#"{"id":1,"method":"echo","params":[1]}{"id":2,"method":"echo","params":[2]}"#.utf8))
        #expect(announced == 1 && session.bufferedOutputBytes > 40)
        #expect(try messages(session).count == 2)
        #expect(session.bufferedOutputBytes == 0)
    }

    /// A client that never reads is let go; the others do not notice.
    @Test func closesWhoNeverReads() throws {
        var limits = DatabaseLimits()
        limits.outputBytesPerSession = 10_000
        let server = try makeTestServer(limits: limits)
        let (silent, writer) = (server.makeSession(name: "silent"), server.makeSession(name: "writer"))
        var reason: String?
        silent.onClose = { reason = $0 }
        silent.receive(request("monitor", ["test", "m", ["T": [:] as JSON] as JSON], id: 1))
        for _ in 0..<100 {
            let answers = try result(writer, "transact", ["test", ["op": "insert", "table": "T", "row": [:] as JSON] as JSON])
            #expect(answers.first?["result"]?[0]?["uuid"] != nil)
        }
        #expect(silent.isClosed && reason?.contains("does not read") == true && silent.bufferedOutputBytes == 0)
        #expect(server.sessionCount == 1)
    }

    @Test func boundsWhatASessionHolds() throws {
        var limits = DatabaseLimits()
        limits.monitorsPerSession = 3
        limits.waitsPerSession = 2
        limits.locksPerSession = 2
        limits.operationsPerTransaction = 4
        let server = try makeTestServer(limits: limits)
        let session = server.makeSession(name: "a")
        for number in 0..<5 {
            let reply = try result(session, "monitor", ["test", .integer(Int64(number)), [:]]).first
            #expect((reply?["error"]?["error"] == "resources exhausted") == (number >= 3))
            let lock = try result(session, "lock", [.string("l\(number)")]).first
            #expect((lock?["error"]?["error"] == "resources exhausted") == (number >= 2))
        }
        #expect(try result(session, "transact", ["test", waitFor(9)], id: 1).isEmpty)
        #expect(try result(session, "transact", ["test", waitFor(9)], id: 2).isEmpty)
        #expect(try result(session, "transact", ["test", waitFor(9)], id: 3).first?["error"]?["error"] == "resources exhausted")
        let abort: JSON = ["op": "comment", "comment": "x"]
        #expect(
            try result(session, "transact", ["test", abort, abort, abort, abort, abort], id: 4).first?["result"]?[0]?["error"]
                == "resources exhausted")
    }

    @Test func serverDatabaseDescribesAll() throws {
        let server = try makeTestServer()
        let session = server.makeSession(name: "a")
        #expect(try result(session, "list_dbs", []).first?["result"] == ["_Server", "test"])
        // Extra parameters are ignored: Python's client sends one.
        #expect(try result(session, "get_schema", ["_Server", "x"]).first?["result"]?["version"] == "1.2.0")
        _ = try result(session, "set_db_change_aware", [true])
        _ = try result(session, "monitor", ["_Server", "s", ["Database": ["columns": ["name", "schema"] as JSON] as JSON] as JSON])
        try server.add(
            Database(schema: DatabaseSchema(JSON(parsing: #"{"name":"more","tables":{"A":{"columns":{"a":{"type":"string"}}}}}"#))))
        #expect(try messages(session).first?["method"] == "update")
        #expect(throws: OVSDBError.self) { try server.add(Database(schema: makeTestSchema())) }
        server.remove("more")
        #expect(try messages(session).count == 1)
        #expect(server.databaseNames == ["_Server", "test"])
    }

    @Test func conversionKeepsWhatFits() throws {
        let server = try makeTestServer()
        let (aware, other) = (server.makeSession(name: "aware"), server.makeSession(name: "other"))
        _ = try result(aware, "set_db_change_aware", [true])
        for session in [aware, other] { _ = try result(session, "monitor", ["test", "m", ["I": [:] as JSON] as JSON]) }
        _ = try result(aware, "transact", ["test", ["op": "insert", "table": "I", "row": ["a": 3] as JSON] as JSON])
        _ = try messages(other)
        let schema = try JSON(
            parsing: #"{"name":"test","tables":{"I":{"columns":{"a":{"type":{"key":"integer","min":0,"max":5}},"n":{"type":"string"}}}}}"#)
        let answers = try result(aware, "convert", ["test", schema], id: 5)
        #expect(answers.map { $0["method"]?.string ?? "" } == ["monitor_canceled", ""])
        #expect(other.isClosed)
        #expect(server.database("test")?.rows("I").first?["a"] == Datum(3))
        let bad = try JSON(parsing: #"{"name":"test","tables":{"I":{"columns":{"a":{"type":"string"}}}}}"#)
        #expect(try result(aware, "convert", ["test", bad]).first?["error"]?["error"] == "syntax error")
        #expect(server.database("test")?.rows("I").count == 1)
    }
}
