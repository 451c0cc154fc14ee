import Base
import DatapathAPI
import Flow
import Glibc
import Management
import OpenFlow
import Pipeline
import TestSupport
import Testing

private final class NoDatapath: DatapathControl {
    func execute(packet: [UInt8], inPort: DatapathPort, actions: [DatapathAction]) {}
    func counters(of port: DatapathPort) -> PortCounters? { nil }
    func megaflows() -> [MegaflowSnapshot] { [] }
    func pushStatistics() {}
}

private final class Host {
    let clock = Clock()
    let loop: ControlLoop
    let sink = LogSink()
    let directory = TemporaryDirectory()
    let pipeline: SwitchPipeline
    let servers: Confined<OpenFlowServers>

    init() throws {
        let loop = ControlLoop(clock: clock)
        let log = LogRegistry(clock: clock, consoleDescriptor: sink.descriptor)
        let pipeline = SwitchPipeline(clock: clock, seed: 1)
        let path = directory.path
        self.loop = loop
        self.pipeline = pipeline
        servers = try loop.run {
            let servers = OpenFlowServers(loop: loop, directory: path, datapath: NoDatapath(), log: log)
            servers.bridgeAdded(try pipeline.addBridge(named: "br0", datapathID: 0x42))
            return Confined(servers, to: loop)
        }
    }
    deinit {
        _ = try? loop.run { [servers] in servers.value.close() }
        loop.shutDown()
    }

    func connect(_ socket: String = "br0.mgmt") throws -> Peer { Peer(try #require(RawClient(directory.file(socket)))) }
    func submit(_ body: @escaping @Sendable (OpenFlowServers) throws -> Void) throws {
        try loop.run { [servers] in try body(servers.value) }
    }
}

/// The controller's side, byte by byte.
private final class Peer {
    let client: RawClient
    private var framer = Framer()
    init(_ client: RawClient) { self.client = client }

    func hello(_ version: OpenFlowVersion = .v1_3) throws {
        send(.hello(Hello(version: version.rawValue, bitmap: OpenFlowVersionSet([version]))), version)
        guard case .hello = try receive().message else { throw Unexpected() }
    }
    struct Unexpected: Error {}

    func send(_ message: Message, _ version: OpenFlowVersion = .v1_3, xid: UInt32 = 7) {
        client.send(message.encode(version: version, xid: xid)!)
    }

    func receive() throws -> (message: Message, xid: UInt32) {
        while true {
            if let bytes = try framer.next() { return try Message.decode(bytes) }
            let bytes = client.receiveSome()
            try #require(!bytes.isEmpty, "the switch closed or was silent")
            framer.append(bytes)
        }
    }
}

@Suite struct OpenFlowServersTests {
    @Test func aBridgeHasTwoSocketsAndAnswers() throws {
        let host = try Host()
        var status = stat()
        for name in ["br0.mgmt", "br0.snoop"] {
            #expect(stat(host.directory.file(name), &status) == 0)
            #expect(status.st_mode & 0o7777 == 0o660)
        }
        let peer = try host.connect()
        try peer.hello()
        peer.send(.featuresRequest)
        guard case .featuresReply(let features) = try peer.receive().message else { throw Peer.Unexpected() }
        #expect(features.datapathID == 0x42)
        peer.send(.echoRequest([1, 2, 3]), xid: 9)
        let (echo, xid) = try peer.receive()
        #expect(echo == .echoReply([1, 2, 3]) && xid == 9)
    }

    @Test func flowsAreThereWhenTheBarrierIsAnswered() throws {
        let host = try Host()
        let peer = try host.connect()
        try peer.hello()
        for priority in 1...500 as ClosedRange<UInt16> { peer.send(.flowMod(FlowMod(command: .add, tableID: 0, priority: priority))) }
        peer.send(.barrierRequest, xid: 99)
        let (reply, xid) = try peer.receive()
        #expect(reply == .barrierReply && xid == 99)
        #expect(host.pipeline.bridge(named: "br0")?.flowCount ?? 0 >= 500)
    }

    @Test func whatTheSwitchDoesNotKnowIsAnsweredWithTheStandardsError() throws {
        let host = try Host()
        let peer = try host.connect()
        try peer.hello()
        // Type 200 of OpenFlow 1.3.
        peer.client.send([4, 200, 0, 8, 0, 0, 0, 5])
        let (reply, xid) = try peer.receive()
        guard case .error(let error) = reply else { throw Peer.Unexpected() }
        #expect(xid == 5)
        #expect(error.code(in: .v1_3) == .brcBadType)
        #expect(error.data == [4, 200, 0, 8, 0, 0, 0, 5])
        peer.send(.echoRequest([]))
        guard case .echoReply = try peer.receive().message else { throw Peer.Unexpected() }
    }

    @Test func aLengthThatCannotBeEndsTheConnection() throws {
        let host = try Host()
        let peer = try host.connect()
        try peer.hello()
        peer.client.send([4, 2, 0, 3, 0, 0, 0, 1])
        #expect(peer.client.isClosedByPeer)
        #expect(host.sink.text.contains("|ofproto|INFO|br0.mgmt#0: connection ended: "))
    }

    @Test(arguments: [1, 2, 3, 4] as [UInt64])
    func randomBytesEndInACloseAndDisturbNobody(_ seed: UInt64) throws {
        let host = try Host()
        let peer = try host.connect()
        try peer.hello()
        let garbage = try host.connect()
        var state = seed
        let bytes = (0..<100_000).map { _ -> UInt8 in
            state = state &* 6_364_136_223_846_793_005 &+ 1
            return UInt8(truncatingIfNeeded: state >> 33)
        }
        garbage.client.send(bytes)
        garbage.client.endInput()
        #expect(garbage.client.isClosedByPeer)
        peer.send(.echoRequest([]))
        guard case .echoReply = try peer.receive().message else { throw Peer.Unexpected() }
    }

    @Test func halfAMessageAndSilenceDisturbsNobody() throws {
        let host = try Host()
        let silent = try host.connect()
        silent.client.send([4, 0, 0])
        let peer = try host.connect()
        try peer.hello()
        peer.send(.barrierRequest)
        guard case .barrierReply = try peer.receive().message else { throw Peer.Unexpected() }
        silent.client.endInput()
        #expect(silent.client.isClosedByPeer)
    }

    @Test func aVersionThatNobodySpeaksIsRefused() throws {
        let host = try Host()
        let peer = try host.connect()
        peer.send(.hello(Hello(version: 0x20, bitmap: OpenFlowVersionSet(rawValue: 0))))
        _ = try peer.receive()
        guard case .error = try peer.receive().message else { throw Peer.Unexpected() }
        #expect(peer.client.isClosedByPeer)
    }

    @Test func deletingTheBridgeEndsItsConnectionsAndSockets() throws {
        let host = try Host()
        let peer = try host.connect()
        try peer.hello()
        let pipeline = host.pipeline
        try host.submit { servers in
            let bridge = try #require(pipeline.bridge(named: "br0"))
            servers.bridgeRemoved(bridge)
        }
        #expect(peer.client.isClosedByPeer)
        #expect(access(host.directory.file("br0.mgmt"), F_OK) != 0)
        #expect(access(host.directory.file("br0.snoop"), F_OK) != 0)
    }

    @Test func theSnoopSocketClosesWhileThereIsNoController() throws {
        let host = try Host()
        let snooper = try host.connect("br0.snoop")
        #expect(snooper.client.isClosedByPeer)
    }

    @Test func aClientThatAsksForDumpsAndNeverReadsStopsItself() throws {
        let host = try Host()
        let peer = try host.connect()
        try peer.hello()
        for priority in 1...2000 as ClosedRange<UInt16> { peer.send(.flowMod(FlowMod(command: .add, tableID: 0, priority: priority))) }
        peer.send(.barrierRequest)
        guard case .barrierReply = try peer.receive().message else { throw Peer.Unexpected() }
        // 100 dumps of some 200 kB each; a switch that answered them all at once would hold 20 MB.
        let request = Message.statsRequest(.flow(FlowStatsRequest()), more: false)
        for _ in 0..<100 { peer.send(request) }
        let other = try host.connect()
        try other.hello()
        other.send(.echoRequest([]))
        guard case .echoReply = try other.receive().message else { throw Peer.Unexpected() }
        var dumps = 0
        while dumps < 100 {
            if case .statsReply(_, let more) = try peer.receive().message, !more { dumps += 1 }
        }
    }

    @Test func aBridgeWhoseNameCannotBeAFileGetsNoSocket() throws {
        let host = try Host()
        let pipeline = host.pipeline
        try host.submit { servers in servers.bridgeAdded(try pipeline.addBridge(named: "a/b", datapathID: 1)) }
        #expect(host.sink.text.contains("bridge a/b: it gets no OpenFlow socket"))
    }
}
