import Base
import Glibc
import Management
import OVSDB
import Synchronization
import TestSupport
import Testing

private final class Host {
    let loop = ControlLoop(clock: Clock())
    let sink = LogSink()
    let directory = TemporaryDirectory()
    let server: Confined<ControlServer>
    var path: String { directory.file("apusd.1.ctl") }

    init() throws {
        let log = LogRegistry(clock: Clock(), consoleDescriptor: sink.descriptor)
        let path = directory.file("apusd.1.ctl")
        server = try loop.run { [loop] in
            let server = try ControlServer(loop: loop, path: path, log: log, program: "apusd (Apus) 1.2.3") { _ in }
            server.registry.register("echo", usage: "[word]...", arguments: 1...3) { $0.joined(separator: " ") }
            server.registry.register(
                "later", arguments: 0...0,
                deferred: { call in
                    loop.timers.schedule(afterMilliseconds: 10) { call.reply("late") }
                })
            server.registerTimeCommands(loop: loop)
            return Confined(server, to: loop)
        }
    }
    deinit {
        _ = try? loop.run { [server] in server.value.close() }
        loop.shutDown()
    }

    /// One request, one answer.
    func call(_ method: String, _ arguments: [String] = []) throws -> JSON {
        let client = try #require(RawClient(path))
        client.send((["id": 0, "method": .string(method), "params": .array(arguments.map { .string($0) })] as JSON).bytes)
        client.endInput()
        return try JSON(parsing: try #require(client.receiveAll()))
    }
}

/// Holds a thread up until it is opened.
private final class Gate: Sendable {
    private let isOpen = Mutex(false)
    func open() { isOpen.withLock { $0 = true } }
    func block() { while !isOpen.withLock({ $0 }) { sched_yield() } }
}

@Suite struct ControlServerTests {
    @Test func standardCommandsAnswer() throws {
        let host = try Host()
        #expect(try host.call("version") == ["id": 0, "result": "apusd (Apus) 1.2.3\n", "error": .null])
        let list = try #require(try host.call("list-commands")["result"]?.string)
        #expect(list.hasPrefix("The available commands are:\n  echo                    [word]...\n  exit                    [--cleanup]\n"))
        #expect(list.contains("  vlog/list               \n"))
        #expect(try host.call("echo", ["a", "b"])["result"] == "a b\n")
    }

    /// The socket has a thread of its own: what needs nothing of the control loop is answered while that does something else.
    @Test func aBusyLoopDoesNotKeepTheSocketFromAnswering() throws {
        let host = try Host()
        let gate = Gate()
        host.loop.submit { gate.block() }
        #expect(try host.call("version")["result"] == "apusd (Apus) 1.2.3\n")
        #expect(try host.call("vlog/list")["error"] == .null)
        #expect(try host.call("vlog/set", ["unixctl:dbg"])["error"] == .null)
        gate.open()
        #expect(try host.call("echo", ["a"])["result"] == "a\n")
    }

    @Test func errorsHaveTheFieldsTexts() throws {
        let host = try Host()
        #expect(
            try host.call("no-such-command")
                == [
                    "id": 0,
                    "error": "\"no-such-command\" is not a valid command (use \"list-commands\" to see a list of valid commands)\n",
                ])
        #expect(try host.call("version", ["x"])["error"] == "\"version\" command takes at most 0 arguments\n")
        #expect(try host.call("echo")["error"] == "\"echo\" command requires at least 1 arguments\n")
        #expect(try host.call("vlog/set", ["nosuch"])["error"] == "no destination, level, or module \"nosuch\"\n")
        #expect(try host.call("vlog/disable-rate-limit", ["nosuch"])["error"] == "unknown module\n")
        #expect(try host.call("exit", ["now"])["error"]?.string?.contains("valid is --cleanup") == true)
    }

    @Test func severalRequestsAndALateAnswer() throws {
        let host = try Host()
        let client = try #require(RawClient(host.path))
        client.send(#"{"id":"a","method":"later","params":[]}"#)
        #expect(client.receive(39) == Array(#"{"error":null,"id":"a","result":"late\n"}"#.utf8.prefix(39)))
    }

    @Test(arguments: [
        "garbage", "[1]", #"{"id":0,"method":5,"params":[]}"#, #"{"id":0,"method":"version"}"#,
        #"{"method":"version","params":[],"id":null}"#,
        #"{"id":0,"result":"x","error":null}"#, #"{"id":0,"method":"version","params":[],"x":1}"#,
        #"{"id":0,"method":"version","params":5}"#,
        #"{"id":0,"method":"ver\q"}"#, "{}", "]",
    ])
    func whatIsNotARequestEndsTheConnection(_ text: String) throws {
        let host = try Host()
        let client = try #require(RawClient(host.path))
        client.send(text)
        #expect(client.receiveAll() == [])
        #expect(host.sink.text.contains("|unixctl|WARN|"))
        #expect(try host.call("version")["error"] == .null)
    }

    @Test func halfAnObjectAndSilenceDisturbsNobody() throws {
        let host = try Host()
        let silent = try #require(RawClient(host.path))
        silent.send(#"{"id":0,"method":"ver"#)
        #expect(try host.call("version")["error"] == .null)
        silent.send(#"sion","params":[]}"#)
        #expect(silent.receive(10).count == 10)
    }

    @Test func anEndlessRequestIsRefused() throws {
        let host = try Host()
        let client = try #require(RawClient(host.path))
        client.send(#"{"id":0,"method":""#)
        let piece = [UInt8](repeating: UInt8(ascii: "x"), count: 65536)
        var sent = 0
        while sent < 4 << 20, client.send(piece) { sent += piece.count }
        #expect(sent < 4 << 20)
    }

    @Test func argumentsMustBeStrings() throws {
        let host = try Host()
        let client = try #require(RawClient(host.path))
        client.send(#"{"id":0,"method":"echo","params":[1]}"#)
        client.endInput()
        #expect(try JSON(parsing: client.receiveAll() ?? [])["error"] == "\"echo\" command has non-string argument\n")
    }

    @Test func timeCanBeStoppedAndWarped() throws {
        let host = try Host()
        #expect(try host.call("time/stop")["error"] == .null)
        #expect(host.loop.clock.isStopped)
        let before = host.loop.clock.now
        #expect(try host.call("time/warp", ["5000"])["result"] == "warped\n")
        #expect(host.loop.clock.now.milliseconds(since: before) == 5000)
        #expect(try host.call("time/warp", ["x"])["error"] == "invalid MSECS\n")
    }
}
