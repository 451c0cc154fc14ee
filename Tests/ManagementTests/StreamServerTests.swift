import Base
import Glibc
import Management
import TestSupport
import Testing

/// Answers each byte 'a' with `reply`, closes on 'q'.
private final class EchoSession: StreamSession {
    let connection: StreamConnection
    let reply: [UInt8]
    let gone: () -> Void
    init(_ connection: StreamConnection, reply: [UInt8], gone: @escaping () -> Void) {
        self.connection = connection
        self.reply = reply
        self.gone = gone
    }
    /// Requests not answered yet.
    private var waiting: [UInt8] = []
    func received(_ bytes: [UInt8]) {
        waiting += bytes
        outputDrained()
    }
    func outputDrained() {
        while !waiting.isEmpty, !connection.isCongested {
            if waiting.removeFirst() == UInt8(ascii: "q") { return connection.close() }
            connection.send(reply)
        }
    }
    func connectionClosed() { gone() }
}

/// A server on a loop of its own.
private final class Host {
    let loop = ControlLoop(clock: Clock())
    let sink = LogSink()
    let directory = TemporaryDirectory()
    let log: LogRegistry
    let server: Confined<StreamServer>
    var path: String { directory.file("s.sock") }

    init(limits: StreamLimits, reply: [UInt8] = [1]) throws {
        let log = LogRegistry(clock: Clock(), consoleDescriptor: sink.descriptor)
        self.log = log
        let path = directory.file("s.sock")
        server = try loop.run { [loop] in
            Confined(
                try StreamServer(loop: loop, path: path, limits: limits, logger: log.logger("stream")) {
                    EchoSession($0, reply: reply) {}
                }, to: loop)
        }
    }
    deinit {
        _ = try? loop.run { [server] in server.value.close() }
        loop.shutDown()
    }
    func connections() throws -> Int { try loop.run { [server] in server.value.connectionCount } }
}

@Suite struct StreamServerTests {
    private let limits = StreamLimits(connections: 4, pauseBytes: 1 << 16, outputBytes: 1 << 20)

    @Test func theSocketIsForOwnerAndGroup() throws {
        let host = try Host(limits: limits)
        var status = stat()
        #expect(stat(host.path, &status) == 0)
        #expect(status.st_mode & 0o7777 == 0o660)
    }

    @Test func answersAndCloses() throws {
        let host = try Host(limits: limits, reply: Array("hello".utf8))
        let client = try #require(RawClient(host.path))
        client.send("aaq")
        #expect(client.receiveAll() == Array("hellohello".utf8))
        #expect(try eventually { try host.connections() == 0 })
    }

    /// Answers that are awaited one by one, and then more than the socket takes: nothing is lost, nothing overtakes.
    @Test func aPeerThatWaitsForEachAnswerIsFollowed() throws {
        let reply = (0..<50_000).map { UInt8(truncatingIfNeeded: $0 / 7) }
        let limits = StreamLimits(connections: 4, pauseBytes: 1 << 16, outputBytes: 8 << 20, followMicroseconds: 100)
        let host = try Host(limits: limits, reply: reply)
        let client = try #require(RawClient(host.path))
        for _ in 0..<200 {
            client.send("a")
            #expect(client.receive(reply.count) == reply)
        }
        client.send(String(repeating: "a", count: 60) + "q")
        let rest = try #require(client.receiveAll())
        #expect(rest.count == 60 * reply.count)
        for index in 0..<60 where Array(rest[index * reply.count..<(index + 1) * reply.count]) != reply {
            Issue.record("answer \(index) is not the one that was sent")
            return
        }
    }

    @Test func aHalfClosedPeerStillGetsItsAnswer() throws {
        let host = try Host(limits: limits, reply: [UInt8](repeating: 7, count: 50_000))
        let client = try #require(RawClient(host.path))
        client.send("a")
        client.endInput()
        #expect(client.receiveAll()?.count == 50_000)
    }

    @Test func closingRemovesTheNameAndTheConnections() throws {
        let host = try Host(limits: limits)
        let client = try #require(RawClient(host.path))
        client.send("a")
        #expect(client.receive(1) == [1])
        try host.loop.run { [server = host.server] in server.value.close() }
        #expect(client.isClosedByPeer)
        #expect(access(host.path, F_OK) != 0)
    }

    @Test func connectionsPastTheLimitAreRefused() throws {
        let host = try Host(limits: limits)
        let clients = (0..<4).compactMap { _ in RawClient(host.path) }
        for client in clients {
            client.send("a")
            #expect(client.receive(1) == [1])
        }
        let fifth = try #require(RawClient(host.path))
        #expect(fifth.isClosedByPeer)
        #expect(host.sink.text.contains("refusing a connection, 4 are open already"))
        #expect(try host.connections() == 4)
    }

    @Test func aClientThatNeverReadsIsDisconnected() throws {
        // One request asks for more than the limit at once.
        let host = try Host(limits: limits, reply: [UInt8](repeating: 0, count: 1_100_000))
        let client = try #require(RawClient(host.path, receiveBufferBytes: 4096))
        client.send("a")
        var log = ""
        let isLogged = eventually {
            log += host.sink.text
            return log.contains("bytes wait for a peer that does not read (limit 1048576)")
        }
        #expect(isLogged, "\(log)")
        #expect(try eventually { try host.connections() == 0 })
    }

    @Test func aClientThatAsksAndNeverReadsIsNotReadFrom() throws {
        let host = try Host(limits: limits, reply: [UInt8](repeating: 0, count: 100_000))
        let client = try #require(RawClient(host.path, receiveBufferBytes: 4096))
        // Each request alone; a server that read them all would pass its limit.
        for _ in 0..<50 {
            client.send("a")
            usleep(1_000)
        }
        #expect(try host.connections() == 1)
        // When it reads after all, it gets every answer.
        #expect(client.receive(5_000_000).count == 5_000_000)
    }

    @Test func aStaleSocketIsTakenOver() throws {
        let directory = TemporaryDirectory()
        let path = directory.file("x.sock")
        do {
            let socket = try UnixSocket(listeningAt: path)
            socket.closeDescriptor()
        }
        #expect(RawClient(path) == nil)
        let again = try UnixSocket(listeningAt: path)
        #expect(RawClient(path) != nil)
        again.removeName()
        again.closeDescriptor()
        #expect(access(path, F_OK) != 0)
    }

    @Test func aLiveSocketIsRefusedAndItsHolderNamed() throws {
        let directory = TemporaryDirectory()
        let path = directory.file("x.sock")
        let socket = try UnixSocket(listeningAt: path)
        defer { socket.closeDescriptor() }
        #expect(throws: UnixSocketError.inUse(path: path, pid: getpid())) { try UnixSocket(listeningAt: path) }
    }

    @Test func badPathsAreExplained() throws {
        let directory = TemporaryDirectory()
        let long = directory.path + "/" + String(repeating: "x", count: 120)
        #expect(throws: UnixSocketError.pathTooLong(path: long, limit: 107)) { try UnixSocket(listeningAt: long) }
        #expect(throws: UnixSocketError.emptyPath) { try UnixSocket(listeningAt: "") }
        let file = directory.file("plain")
        close(open(file, O_CREAT | O_WRONLY, 0o600))
        #expect(throws: UnixSocketError.notASocket(path: file)) { try UnixSocket(listeningAt: file) }
        #expect(throws: UnixSocketError.self) { try UnixSocket(listeningAt: directory.path + "/no/such") }
        #expect(UnixSocketError.pathTooLong(path: long, limit: 107).description.contains("use a shorter directory"))
    }
}
