import Base
import Glibc
import Testing

@testable import OVSDB

/// Work that happens when the test says so.
private final class ManualWork: BackgroundWork {
    var pending: [(kind: BackgroundKind, work: () -> Void, done: () -> Void)] = []

    func perform(_ kind: BackgroundKind, _ work: @escaping @Sendable () -> Void, done: @escaping () -> Void) {
        pending.append((kind, work, done))
    }

    func step() {
        let next = pending.removeFirst()
        next.work()
        next.done()
    }
}

/// What a disk would hold, and a switch to let it fail.
private final class TestDisk: DatabaseStorage {
    final class Fault: @unchecked Sendable { var isFailing = false }
    let fault = Fault()
    var records: [JSON] = []

    func append(_ record: JSON, durable: Bool) throws(OVSDBError) { records.append(record) }
    func synchronize() throws(OVSDBError) {}
    var growth: (bytes: Int, baseBytes: Int, transactions: Int) { (records.count, 0, records.count) }
    func replace(schema: JSON, content: JSON) throws(OVSDBError) { records = [] }
    var synchronization: (@Sendable () -> OVSDBError?)? { { [fault] in fault.isFailing ? OVSDBError("I/O error", "no disk") : nil } }
    func takeBack(to bytes: Int) { records.removeLast(records.count - bytes) }
    func makeCompaction(limits: DatabaseLimits) -> LogCompaction? { nil }
    func adopt(_ compaction: LogCompaction) {}
}

private let durably: JSON = ["op": "commit", "durable": true]
private func insert(_ number: Int) -> JSON { ["op": "insert", "table": "T", "row": ["i": .integer(Int64(number))] as JSON] }
private let select: JSON = ["op": "select", "table": "T", "where": [], "columns": ["i"]]

private struct Rig {
    let server: DatabaseServer
    let disk = TestDisk()
    let work = ManualWork()

    init() throws {
        server = DatabaseServer(clock: Clock(stoppedAt: Instant(nanoseconds: 1_000_000_000)), uuids: UUIDGenerator(seed: 1))
        try server.add(Database(schema: makeTestSchema(), storage: disk, uuids: UUIDGenerator(seed: 2)))
        server.background = work
    }

    func transact(_ session: Session, id: JSON, _ operations: JSON...) {
        session.receive(request("transact", .array(["test"] + operations), id: id).bytes)
    }
}

private func numbers(_ reply: JSON?) -> [Int64] {
    (reply?["result"]?[0]?["rows"]?.array ?? []).compactMap { $0["i"]?.integer }.sorted()
}

@Suite struct BackgroundTests {
    @Test func durableTransactionsAreAnsweredFromTheDisk() throws {
        let rig = try Rig()
        let (writer, other, watcher) = (
            rig.server.makeSession(name: "w"), rig.server.makeSession(name: "o"), rig.server.makeSession(name: "m")
        )
        watcher.receive(request("monitor", ["test", "m", ["T": ["columns": ["i"]] as JSON] as JSON], id: 1).bytes)
        _ = try messages(watcher)
        rig.transact(writer, id: 1, insert(1), durably)
        rig.transact(writer, id: 2, select)
        writer.receive(request("echo", ["after"], id: 3).bytes)
        #expect(try messages(writer).isEmpty && writer.isHeld, "nothing overtakes it")
        #expect(try messages(watcher).isEmpty)
        // Somebody else reads what is there, and is answered; a change queues up.
        rig.transact(other, id: 4, select)
        #expect(numbers(try messages(other).first) == [])
        rig.transact(other, id: 5, insert(2))
        rig.server.makeSession(name: "e").receive(request("echo", [], id: 6).bytes)
        #expect(try messages(other).isEmpty && rig.disk.records.count == 1)
        rig.work.step()
        let replies = try messages(writer)
        #expect(replies.map { $0["id"] } == [1, 2, 3])
        #expect(numbers(replies[1]) == [1, 2] || numbers(replies[1]) == [1])
        #expect(try messages(other).map { $0["id"] } == [5])
        #expect(try messages(watcher).count == 2)
        #expect(rig.server.database("test")!.inconsistencies() == [])
    }

    @Test func whatDoesNotReachTheDiskNeverWas() throws {
        let rig = try Rig()
        let session = rig.server.makeSession(name: "w")
        var warnings: [String] = []
        rig.server.database("test")!.onWarning = { warnings.append($0) }
        rig.transact(session, id: 1, insert(1))
        _ = try messages(session)
        rig.disk.fault.isFailing = true
        rig.transact(session, id: 2, ["op": "update", "table": "T", "where": [], "row": ["i": 9] as JSON], insert(2), durably)
        rig.transact(session, id: 3, select)
        rig.work.step()
        let replies = try messages(session)
        #expect(replies.first?["result"]?.array?.last?["error"] == "I/O error")
        #expect(numbers(replies.last) == [1])
        #expect(rig.disk.records.count == 1 && warnings.count == 1)
        #expect(rig.server.database("test")!.storageProblem == "no disk")
        rig.disk.fault.isFailing = false
        rig.transact(session, id: 4, insert(3), durably)
        rig.work.step()
        #expect(try messages(session).first?["result"]?[0]?["uuid"] != nil)
        #expect(rig.server.database("test")!.storageProblem == nil)
        #expect(rig.server.database("test")!.inconsistencies() == [])
    }

    /// A transaction that waits, is durable, and comes true while another one is on its way to the disk.
    @Test func waitsGoOnBehindTheDisk() throws {
        let rig = try Rig()
        let (waiter, writer) = (rig.server.makeSession(name: "a"), rig.server.makeSession(name: "b"))
        let wait: JSON = ["op": "wait", "table": "T", "where": [], "columns": ["i"], "until": "==", "rows": .array([["i": 1] as JSON])]
        rig.transact(waiter, id: 1, wait, ["op": "insert", "table": "M", "row": [:] as JSON], durably)
        #expect(!waiter.isHeld, "a wait holds nobody up")
        rig.transact(writer, id: 1, insert(1), durably)
        rig.transact(writer, id: 2, wait, durably)
        rig.work.step()
        #expect(try messages(waiter).isEmpty && rig.work.pending.count == 1)
        while !rig.work.pending.isEmpty { rig.work.step() }
        #expect(try messages(waiter).first?["result"]?[1]?["uuid"] != nil)
        #expect(try messages(writer).map { $0["id"] } == [1, 2])
    }

    /// The copying of rows is the background's; readers go on, changes wait and find the new schema.
    @Test func conversionsLeaveTheExecutorAlone() throws {
        let rig = try Rig()
        let (asker, writer) = (rig.server.makeSession(name: "a"), rig.server.makeSession(name: "b"))
        for session in [asker, writer] {
            session.receive(request("set_db_change_aware", [true], id: 0).bytes)
            _ = try messages(session)
        }
        var warnings: [String] = []
        rig.server.database("test")!.onWarning = { warnings.append($0) }
        rig.transact(asker, id: 1, insert(1))
        _ = try messages(asker)
        let narrow = try JSON(
            parsing: #"{"name":"test","tables":{"T":{"columns":{"i":{"type":"integer"},"new":{"type":"string"}},"isRoot":true}}}"#)
        asker.receive(request("convert", ["test", narrow], id: 2).bytes)
        asker.receive(request("echo", ["behind"], id: 3).bytes)
        #expect(try messages(asker).isEmpty && asker.isHeld)
        rig.transact(writer, id: 4, select)
        #expect(numbers(try messages(writer).first) == [1], "readers see what was there")
        rig.transact(writer, id: 5, ["op": "insert", "table": "T", "row": ["i": 2, "new": "n"] as JSON])
        #expect(try messages(writer).isEmpty)
        rig.work.step()
        #expect(try messages(asker).map { $0["id"] } == [2, 3])
        #expect(try messages(writer).first?["result"]?[0]?["uuid"] != nil)
        let database = rig.server.database("test")!
        #expect(database.rows("T").map { $0.integer("i") }.sorted() == [1, 2] && database.schema.table("I") == nil)
        database.onWarning("still heard")
        #expect(warnings == ["still heard"])
        #expect(database.inconsistencies() == [])
        // One that does not fit leaves everything as it is; what was made for it goes in the background.
        let impossible = try JSON(parsing: #"{"name":"test","tables":{"T":{"columns":{"i":{"type":"boolean"}},"isRoot":true}}}"#)
        asker.receive(request("convert", ["test", impossible], id: 6).bytes)
        while !rig.work.pending.isEmpty { rig.work.step() }
        #expect(try messages(asker).first?["error"]?["error"] == "syntax error")
        #expect(rig.server.database("test") === database && !asker.isHeld)
    }

    @Test func closedSessionsTransactionsAreCarriedOut() throws {
        let rig = try Rig()
        let (first, second) = (rig.server.makeSession(name: "a"), rig.server.makeSession(name: "b"))
        rig.transact(first, id: 1, insert(1), durably)
        rig.transact(second, id: 1, insert(2))
        second.close()
        first.close()
        rig.work.step()
        #expect(rig.server.database("test")!.rows("T").map { $0.integer("i") }.sorted() == [1, 2])
    }

    /// Random transactions between all steps of a compaction: the file has what the database has, at the end and after each step.
    @Test(arguments: [UInt64](1...3)) func compactsWhileTransactionsGoOn(seed: UInt64) throws {
        let directory = makeTemporaryDirectory()
        defer { removeDirectory(directory) }
        let path = directory + "/db"
        let work = ManualWork()
        var before = 0
        do {
            let opened = try FileStorage.open(path: path, schema: makeTestSchema())
            let server = DatabaseServer(clock: Clock(stoppedAt: Instant(nanoseconds: 1_000_000_000)), uuids: UUIDGenerator(seed: seed))
            try server.add(opened.database)
            server.background = work
            let session = server.makeSession(name: "s")
            var source = TransactionSource(seed: seed)
            func run(_ count: Int) throws {
                _ = try messages(session)
                for _ in 0..<count {
                    session.receive(request("transact", .array(["test"] + source.operations()), id: 1).bytes)
                    if session.isHeld { return }
                    #expect(try messages(session).count == 1)
                }
            }
            try run(200)
            before = opened.database.storage!.growth.bytes
            var ends: [OVSDBError?] = []
            server.compact("test") { ends.append($0) }
            server.compact("test") { ends.append($0) }
            var steps = 0
            while !work.pending.isEmpty {
                try run(40)
                work.step()
                steps += 1
                #expect(steps < 1000)
            }
            #expect(ends.count == 2 && ends.allSatisfy { $0 == nil })
            try run(50)
            while !work.pending.isEmpty { work.step() }
            #expect(opened.database.inconsistencies() == [])
            let content = opened.database.content(ephemeral: false)
            let bytes = opened.database.storage!.growth
            #expect(bytes.transactions < 300 && bytes.baseBytes < before)
            server.remove("test")
            let copy = directory + "/copy"
            copyFile(path, copy)
            #expect(try FileStorage.open(path: copy, schema: nil).database.content(ephemeral: false) == content)
        }
        #expect(try FileStorage.open(path: path, schema: nil).warnings == [])
        #expect(access(path + ".tmp", F_OK) != 0)
    }

    @Test func aCompactionThatCannotBeIsGivenUp() throws {
        let directory = makeTemporaryDirectory()
        defer { removeDirectory(directory) }
        let work = ManualWork()
        let opened = try FileStorage.open(path: directory + "/db", schema: makeTestSchema())
        let server = DatabaseServer(clock: Clock(stoppedAt: Instant(nanoseconds: 1_000_000_000)))
        try server.add(opened.database)
        server.background = work
        mkdir(directory + "/db.tmp", 0o700)
        var end: OVSDBError?
        server.compact("test") { end = $0 }
        while !work.pending.isEmpty { work.step() }
        #expect(end?.error == "I/O error")
        let session = server.makeSession(name: "s")
        session.receive(request("transact", ["test", insert(1)], id: 1).bytes)
        #expect(try messages(session).first?["result"]?[0]?["uuid"] != nil)
        rmdir(directory + "/db.tmp")
        server.compact("test") { end = $0 }
        while !work.pending.isEmpty { work.step() }
        #expect(end == nil)
    }

    /// Urgent work runs in the midst of a long answer, and not where something is half done.
    @Test func urgentWorkGoesBeforeALongAnswer() throws {
        let server = try makeTestServer()
        let session = server.makeSession(name: "s")
        let breath = Breath()
        let rows = JSON.array(["test"] + (0..<3000).map { ["op": "insert", "table": "T", "row": ["i": .integer(Int64($0))] as JSON] })
        session.receive(request("transact", rows, id: 1).bytes)
        _ = try messages(session)
        let order = Order()
        for (number, ask) in [
            request("transact", ["test", select], id: 2),
            request("monitor", ["test", "m", ["T": ["columns": ["i"]] as JSON] as JSON], id: 3),
            request("transact", rows, id: 4),
        ].enumerated() {
            session.onOutput = { order.add("answer \(number)") }
            let bytes = ask.bytes
            breath.submit { order.add("urgent \(number)") }
            breath.during { session.receive(bytes) }
            _ = session.takeOutput()
        }
        #expect(order.words == ["urgent 0", "answer 0", "urgent 1", "answer 1", "urgent 2", "answer 2"])
        breath.submit { order.add("late") }
        breath.during { Breath.suspended { Breath.take() } }
        Breath.take()
        #expect(order.words.count == 6, "no breath where there is none to take")
        breath.drain()
        #expect(order.words.last == "late")
    }
}

private final class Order: @unchecked Sendable {
    var words: [String] = []
    func add(_ word: String) { words.append(word) }
}

private func copyFile(_ from: String, _ to: String) {
    let (source, target) = (open(from, O_RDONLY), open(to, O_WRONLY | O_CREAT, 0o600))
    defer {
        close(source)
        close(target)
    }
    var bytes = [UInt8](repeating: 0, count: 1 << 16)
    while case let count = read(source, &bytes, bytes.count), count > 0 { write(target, bytes, count) }
}
