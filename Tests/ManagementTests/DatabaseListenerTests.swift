import Base
import Glibc
import Management
import OVSDB
import TestSupport
import Testing

/// A disk that is done at once, while the request that waits for it is still being handled.
private final class ImmediateWork: BackgroundWork {
    func perform(_ kind: BackgroundKind, _ work: @escaping @Sendable () -> Void, done: @escaping () -> Void) {
        work()
        done()
    }
}

/// A database with one table, served.
private final class Host {
    let loop = ControlLoop(clock: Clock())
    let sink = LogSink()
    let directory = TemporaryDirectory()
    let listener: Confined<DatabaseListener>
    var path: String { directory.file("db.sock") }

    init(limits: StreamLimits = .database, isOnDisk: Bool = false) throws {
        let log = LogRegistry(clock: Clock(), consoleDescriptor: sink.descriptor)
        let path = directory.file("db.sock")
        let file = isOnDisk ? directory.file("notes.db") : nil
        listener = try loop.run { [loop] in
            let schema = try DatabaseSchema([
                "name": "Notes", "version": "1.0.0",
                "tables": ["Note": ["columns": ["text": ["type": "string"] as JSON] as JSON, "isRoot": true] as JSON] as JSON,
            ])
            let server = DatabaseServer(clock: loop.clock)
            if let file {
                try server.add(FileStorage.open(path: file, schema: schema).database)
                server.background = ImmediateWork()
            } else {
                try server.add(Database(schema: schema))
            }
            return Confined(try DatabaseListener(loop: loop, path: path, database: server, log: log, limits: limits), to: loop)
        }
    }
    deinit {
        _ = try? loop.run { [listener] in listener.value.close() }
        loop.shutDown()
    }

    func connections() throws -> Int { try loop.run { [listener] in listener.value.connectionCount } }
}

/// A client of the database, message by message.
private final class Peer {
    let client: RawClient
    private var framer = JSONFramer()
    init(_ host: Host, receiveBufferBytes: Int32? = nil) throws {
        client = try #require(RawClient(host.path, receiveBufferBytes: receiveBufferBytes))
    }
    func send(_ text: String) { client.send(text) }
    /// The next JSON object from the server.
    func receive() throws -> JSON {
        while true {
            if let message = try framer.next() { return message }
            let bytes = client.receiveSome()
            try #require(!bytes.isEmpty, "the server closed or was silent")
            framer.append(bytes)
        }
    }
}

@Suite struct DatabaseListenerTests {
    @Test func requestsAreAnsweredHoweverTheyAreCut() throws {
        let host = try Host()
        let client = try Peer(host)
        for byte in Array(#"{"id":1,"method":"list_dbs","params":[]}"#.utf8) { client.client.send([byte]) }
        #expect(try client.receive()["result"] == ["Notes", "_Server"])
        client.send(#"{"id":2,"method":"echo","params":[1]} {"id":3,"method":"nonsense","params":[]}"#)
        #expect(try client.receive()["result"] == [1])
        #expect(try client.receive()["error"] == "unknown method")
    }

    @Test func aQuickDiskLosesNoRequestAndRepeatsNone() throws {
        let host = try Host(isOnDisk: true)
        let client = try Peer(host)
        for id in 1...3 as ClosedRange<Int64> {
            client.send(
                #"{"id":\#(id),"method":"transact","params":["Notes",{"op":"insert","table":"Note","row":{"text":"a"}},{"op":"commit","durable":true}]}"#
            )
            #expect(try client.receive()["id"] == .integer(id))
        }
        client.send(#"{"id":9,"method":"transact","params":["Notes",{"op":"select","table":"Note","where":[]}]}"#)
        let reply = try client.receive()
        #expect(reply["id"] == 9)
        #expect(reply["result"]?[0]?["rows"]?.array?.count == 3)
    }

    @Test func monitorsAreToldOfCommitsByOthers() throws {
        let host = try Host()
        let watcher = try Peer(host)
        watcher.send(#"{"id":1,"method":"monitor","params":["Notes","m",{"Note":{}}]}"#)
        #expect(try watcher.receive()["id"] == 1)
        let writer = try Peer(host)
        writer.send(#"{"id":2,"method":"transact","params":["Notes",{"op":"insert","table":"Note","row":{"text":"hello"}}]}"#)
        _ = try writer.receive()
        let update = try watcher.receive()
        #expect(update["method"] == "update")
        #expect(update.text.contains("hello"))
    }

    @Test func aWaitTimesOutByTheLoopsTimers() throws {
        let host = try Host()
        let client = try Peer(host)
        client.send(
            #"{"id":1,"method":"transact","params":["Notes",{"op":"wait","timeout":50,"table":"Note","where":[],"columns":["text"],"until":"==","rows":[{"text":"never"}]}]}"#
        )
        #expect(try client.receive()["result"]?[0]?["error"] == "timed out")
    }

    @Test func garbageEndsTheConnectionAndTheLogSaysWhy() throws {
        let host = try Host()
        for text in ["hello", "[1]", #"{"id":1,"method":"#, #"{"a":tru}"#] {
            let client = try Peer(host)
            client.send(text)
            if text.hasSuffix(":") {
                // Half an object is no error: it may go on.
                let other = try Peer(host)
                other.send(#"{"id":2,"method":"echo","params":[]}"#)
                #expect(try other.receive()["id"] == 2)
            } else {
                #expect(client.client.isClosedByPeer)
            }
        }
        #expect(host.sink.text.contains("|jsonrpc|WARN|db.sock#0: "))
    }

    @Test func aMonitorThatNeverReadsCollectsAndIsDisconnected() throws {
        let host = try Host(limits: StreamLimits(connections: 8, pauseBytes: 1 << 16, outputBytes: 1 << 20, stallMilliseconds: 500))
        let silent = try Peer(host, receiveBufferBytes: 4096)
        silent.send(#"{"id":1,"method":"monitor","params":["Notes","m",{"Note":{}}]}"#)
        #expect(try silent.receive()["id"] == 1)
        let writer = try Peer(host)
        let note = String(repeating: "x", count: 60_000)
        for _ in 0..<60 {
            writer.send(#"{"id":2,"method":"transact","params":["Notes",{"op":"insert","table":"Note","row":{"text":"\#(note)"}}]}"#)
            _ = try writer.receive()
        }
        #expect(try eventually { try host.connections() == 1 })
        #expect(host.sink.text.contains("a peer that does not read"))
    }

    @Test func aClientThatAsksAndNeverReadsWaitsForItself() throws {
        let host = try Host(limits: StreamLimits(connections: 8, pauseBytes: 1 << 16, outputBytes: 4 << 20))
        let client = try Peer(host, receiveBufferBytes: 4096)
        let echo = #"{"id":1,"method":"echo","params":["\#(String(repeating: "y", count: 30_000))"]}"#
        // Not all of it is taken in; the rest waits in the socket.
        for _ in 0..<10 { client.send(echo) }
        let other = try Peer(host)
        other.send(#"{"id":2,"method":"echo","params":[]}"#)
        #expect(try other.receive()["id"] == 2)
        for _ in 0..<10 { #expect(try client.receive()["id"] == 1) }
    }

    @Test func manyClientsAtOnce() throws {
        let host = try Host()
        let clients = try (0..<200).map { _ in try Peer(host) }
        #expect(clients.count == 200)
        for client in clients { client.send(#"{"id":1,"method":"list_dbs","params":[]}"#) }
        for client in clients { #expect(try client.receive()["id"] == 1) }
    }
}
