// A bridge with its OpenFlow service and connections without sockets.

import Base
import DatapathAPI
import Flow
import OpenFlow
import Synchronization

@testable import Pipeline

/// A datapath that remembers what it was given.
final class ServiceDatapath: DatapathControl {
    let executed = Mutex<[(packet: [UInt8], inPort: DatapathPort, actions: [DatapathAction])]>([])
    func execute(packet: [UInt8], inPort: DatapathPort, actions: [DatapathAction]) {
        executed.withLock { $0.append((packet, inPort, actions)) }
    }
    func counters(of port: DatapathPort) -> PortCounters? {
        var counters = PortCounters()
        counters.receivedPackets = UInt64(port.rawValue) * 10
        counters.sentBytes = 77
        counters.drops[0] = 3
        return counters
    }
    func megaflows() -> [MegaflowSnapshot] { [] }
    func pushStatistics() {}
}

/// Runs everything at once: tests are the control loop.
final class InlineExecutor: ServiceExecutor {
    var isCurrent: Bool { true }
    func submit(_ work: @escaping @Sendable () -> Void) { work() }
}

final class ServiceRig {
    let clock = Clock(stoppedAt: Instant(nanoseconds: 1_000_000_000_000))
    let pipeline: SwitchPipeline
    let bridge: Bridge
    let datapath = ServiceDatapath()
    let service: OpenFlowService

    init(ports: Int = 3, executor: any ServiceExecutor = InlineExecutor()) {
        pipeline = SwitchPipeline(clock: clock, seed: 7)
        pipeline.attach(datapath)
        bridge = try! pipeline.addBridge(named: "br0", datapathID: 0x1122_3344_5566, failMode: .secure)
        for number in 1..<ports + 1 {
            _ = try! bridge.addPort(
                BridgePort(
                    number: OpenFlowPort(UInt32(number)), name: "p\(number)", attachment: .datapath(DatapathPort(UInt32(number))),
                    hardwareAddress: 0x0200_0000_0000 + UInt64(number), currentFeatures: 0x840))
        }
        service = OpenFlowService(bridge: bridge, clock: clock, datapath: datapath, executor: executor)
    }

    func peer(_ version: OpenFlowVersion, isService: Bool = true) -> Peer {
        let peer = Peer(self, version, isService: isService)
        peer.take()
        return peer
    }
}

/// The controller's end of a connection.
final class Peer {
    let version: OpenFlowVersion
    private(set) var connection: OpenFlowConnection!
    private var framer = Framer()
    private var xid: UInt32 = 1000
    private var received: [(message: Message, xid: UInt32)] = []

    init(_ rig: ServiceRig, _ version: OpenFlowVersion, isService: Bool) {
        self.version = version
        connection = OpenFlowConnection(
            configuration: .init(name: "test", isService: isService), clock: rig.clock, handler: rig.service
        ) { [unowned self] in framer.append($0) }
        connection.start()
        sendBytes(
            Message.hello(Hello(version: version.rawValue, bitmap: [OpenFlowVersionSet([version])])).encode(version: version, xid: 0)!)
    }

    func sendBytes(_ bytes: [UInt8]) { connection.receive(bytes) }

    /// Sends a message; returns its xid.
    @discardableResult
    func send(_ message: Message) -> UInt32 {
        xid += 1
        sendBytes(message.encode(version: version, xid: xid)!)
        return xid
    }

    /// Everything received since the last time.
    @discardableResult
    func take() -> [Message] {
        while let raw = try! framer.next() { received.append(try! Message.decode(raw)) }
        defer { received.removeAll() }
        return received.map(\.message)
    }

    /// Sends and returns the answers.
    func ask(_ message: Message) -> [Message] {
        take()
        send(message)
        return take()
    }

    /// Sends and returns the error that came back, if one did.
    func error(_ message: Message) -> ErrorCode? {
        for case .error(let error) in ask(message) { return error.code(in: version) }
        return nil
    }

    /// The flows, by `dump-flows`.
    func flows(_ request: FlowStatsRequest = FlowStatsRequest()) -> [FlowStats] {
        var result: [FlowStats] = []
        for case .statsReply(.flow(let flows, _), _) in ask(.statsRequest(.flow(request), more: false)) { result += flows }
        return result
    }
}

func tcpTo(_ port: UInt16) -> Match {
    var match = Match()
    match.set(.ethType, 0x0800)
    match.set(.nwProto, 6)
    match.set(.tcpDst, UInt128(port))
    return match
}
