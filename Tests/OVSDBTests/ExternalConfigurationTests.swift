import Base
import Testing

@testable import OVSDB

/// A server in this process and a client of it, joined by their bytes.
private final class Link {
    let server: DatabaseServer
    let client: ExternalConfiguration
    var session: Session?
    private var framer = JSONFramer()
    private var toServer: [[UInt8]] = []
    /// Requests of these methods are answered as by a server that does not know them.
    var unknown: Set<String> = []

    init(_ server: DatabaseServer, lock: String? = nil) {
        self.server = server
        client = ExternalConfiguration(database: "test", lock: lock)
    }

    func connect() {
        let session = server.makeSession(name: "client")
        self.session = session
        framer = JSONFramer()
        client.connected { [unowned self] in toServer.append($0) }
        settle()
    }

    func disconnect() {
        session?.close()
        session = nil
        toServer = []
        client.disconnected()
    }

    /// Carries bytes to and fro until nobody says anything.
    func settle() {
        while let session {
            let requests = toServer
            toServer = []
            var replies: [JSON] = []
            for bytes in requests {
                let message = try! JSON(parsing: bytes)
                if let method = message["method"]?.string, unknown.contains(method) {
                    replies.append(["id": message["id"]!, "error": "unknown method", "result": .null])
                } else {
                    session.receive(bytes)
                }
            }
            framer.append(session.takeOutput())
            while let message = try! framer.next() { replies.append(message) }
            for reply in replies { try! client.receive(reply) }
            if requests.isEmpty && replies.isEmpty { return }
        }
    }
}

@Suite struct ExternalConfigurationTests {
    private func content(_ replica: ConfigurationReplica) -> Set<String> {
        Set(replica.rows("C").map { $0.string("name") })
    }

    private func insert(_ server: DatabaseServer, _ name: String) {
        let writer = server.makeSession(name: "writer")
        writer.receive(
            request(
                "transact",
                [
                    "test", ["op": "insert", "table": "T", "row": ["strong": ["named-uuid", "c"] as JSON] as JSON] as JSON,
                    ["op": "insert", "table": "C", "uuid-name": "c", "row": ["name": .string(name)] as JSON] as JSON,
                ], id: 1))
        writer.close()
    }

    /// Whatever the server can do, a replica follows it, over reconnections too; and each change is told once.
    @Test(arguments: [[], ["monitor_cond_since"], ["monitor_cond_since", "monitor_cond"]]) func followsTheServer(unknown: [String]) throws {
        let server = try makeTestServer()
        insert(server, "a")
        let link = Link(server)
        link.unknown = Set(unknown)
        let replica = ConfigurationReplica()
        var initials = 0
        link.client.onReady = {
            _ = link.client.monitor(["C": ["name"], "T": nil, "nosuch": nil]) { update in
                if update.isInitial { initials += 1 }
                replica.apply(update)
            }
        }
        link.connect()
        #expect(content(replica) == ["a"] && initials == 1)
        insert(server, "b")
        link.settle()
        #expect(content(replica) == ["a", "b"])
        link.disconnect()
        insert(server, "c")
        link.connect()
        #expect(content(replica) == ["a", "b", "c"])
        // What was missed was enough, where the server remembers.
        #expect(initials == (unknown.isEmpty ? 1 : 2))
    }

    @Test func writesOnlyWithTheLock() throws {
        let server = try makeTestServer()
        let other = server.makeSession(name: "other")
        other.receive(request("lock", ["l"], id: 1))
        let link = Link(server, lock: "l")
        var isReady = false
        link.client.onReady = { isReady = true }
        link.connect()
        #expect(!isReady)
        other.receive(request("unlock", ["l"], id: 2))
        link.settle()
        #expect(isReady)
        var replies: [TransactionReply] = []
        func write() {
            var transaction = TransactionBuilder(link.client.schema)
            transaction.insert("I", ["a": Datum(1), "b": Datum("x")])
            link.client.transact(transaction) { replies.append($0) }
            link.settle()
        }
        write()
        #expect(replies.last?.error == nil && replies.last?.results.count == 1)
        // Taken away: nothing is written any more, not even before the news has come.
        other.receive(request("steal", ["l"], id: 3))
        write()
        #expect(replies.last?.error?.error == "not owner")
        other.receive(request("unlock", ["l"], id: 4))
        link.settle()
        write()
        #expect(replies.last?.error?.error == "constraint violation", "the lock is back; the row is there already")
        link.disconnect()
        write()
        #expect(replies.last?.error?.error == "canceled")
    }

    /// A schema that changes under the client: everything begins anew.
    @Test func survivesAConversion() throws {
        let server = try makeTestServer()
        insert(server, "a")
        let link = Link(server)
        let replica = ConfigurationReplica()
        link.client.onReady = { _ = link.client.monitor(["C": ["name"]]) { replica.apply($0) } }
        link.connect()
        var schema = makeTestSchema().json.object!
        schema["version"] = "7.0.0"
        let writer = server.makeSession(name: "writer")
        writer.receive(request("convert", ["test", .object(schema)], id: 1))
        link.settle()
        #expect(link.client.schema.version == "7.0.0" && content(replica) == ["a"])
        insert(server, "b")
        link.settle()
        #expect(content(replica) == ["a", "b"])
    }

    @Test(arguments: [
        #"{"id":1,"error":null,"result":5}"#, #"{"id":1,"error":"unknown database","result":null}"#,
        #"{"id":1,"error":null,"result":{"name":"test","tables":{"T":{"columns":{}}}}}"#,
    ]) func refusesAServerThatMakesNoSense(reply: String) {
        let client = ExternalConfiguration(database: "test", lock: nil)
        client.connected { _ in }
        #expect(throws: OVSDBError.self) { try client.receive(JSON(parsing: reply)) }
    }
}
