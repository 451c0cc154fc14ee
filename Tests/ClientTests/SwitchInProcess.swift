import Base
import DatapathAPI
import Flow
import Glibc
import Management
import OVSDB
import Pipeline
import Switch
import TestSupport
import Testing

@testable import Client

private final class NoDatapath: DatapathControl {
    func execute(packet: [UInt8], inPort: DatapathPort, actions: [DatapathAction]) {}
    func counters(of port: DatapathPort) -> PortCounters? { nil }
    func megaflows() -> [MegaflowSnapshot] { [] }
    func pushStatistics() {}
}

/// All sockets of a switch, served by the real servers over the real database and pipeline. Only devices are missing: a
/// port works at once, one called "bad..." never, and one called "slow..." keeps the configuration unfinished.
final class SwitchInProcess {
    let loop = ControlLoop(clock: Clock())
    let sink = LogSink()
    let runDirectory = TemporaryDirectory()
    private let parts: Confined<Parts>

    private final class Parts {
        let configuration: EmbeddedConfiguration
        let listener: DatabaseListener
        let openFlow: OpenFlowServers
        let control: ControlServer
        let pipeline: SwitchPipeline
        let replica = ConfigurationReplica()
        var monitor: (any ConfigurationMonitor)?

        init(_ loop: ControlLoop, _ log: LogRegistry, _ path: String) throws {
            let server = DatabaseServer(clock: loop.clock)
            try server.add(Database(schema: makeOpenVSwitchSchema()))
            configuration = try #require(EmbeddedConfiguration(server, database: "Open_vSwitch"))
            var first = TransactionBuilder(configuration.schema)
            first.insert("Open_vSwitch", ["iface_types": Datum(strings: ["dpdk", "dpdkvhostuser", "internal", "patch", "tap"])])
            configuration.transact(first) { _ in }
            listener = try DatabaseListener(loop: loop, path: path + "/db.sock", database: server, log: log)
            pipeline = SwitchPipeline(clock: loop.clock, seed: 1)
            openFlow = OpenFlowServers(loop: loop, directory: path, datapath: NoDatapath(), log: log)
            control = try ControlServer(loop: loop, path: path + "/apusd.\(getpid()).ctl", log: log, program: "apusd (Apus) test") { _ in }
        }

        func start() {
            control.registry.register("dpctl/dump-flows", arguments: 0...1) { words in
                "recirc_id(0),in_port(\(words == ["--names"] ? "p1" : "1")),eth_type(0x0800),ipv4(frag=no), packets:3, bytes:180, used:0.100s, actions:2\n"
            }
            monitor = configuration.monitor(["Open_vSwitch": nil, "Bridge": nil, "Port": nil, "Interface": nil]) { [weak self] update in
                self?.replica.apply(update)
                self?.reconcile()
            }
        }

        private func reconcile() {
            guard let root = replica.rows("Open_vSwitch").first else { return }
            let names = Set(replica.rows("Bridge").compactMap { $0["name"].string })
            for bridge in pipeline.bridges where !names.contains(bridge.name) {
                openFlow.bridgeRemoved(bridge)
                pipeline.removeBridge(named: bridge.name)
            }
            for name in names where pipeline.bridge(named: name) == nil {
                if let bridge = try? pipeline.addBridge(named: name, datapathID: 7) { openFlow.bridgeAdded(bridge) }
            }
            var changes = TransactionBuilder(configuration.schema)
            for row in replica.rows("Interface") where row["ofport"].isEmpty {
                let name = row["name"].string ?? ""
                let number: Int64 = name.hasPrefix("bad") ? -1 : names.contains(name) ? 65534 : 1 + Int64(replica.count("Interface"))
                changes.update(
                    "Interface", row.uuid, ["ofport": Datum(number), "error": Datum(name.hasPrefix("bad") ? "no such device" : nil)])
                attach(row, OpenFlowPort(UInt32(clamping: number)))
            }
            let isSlow = replica.rows("Interface").contains { $0["name"].string?.hasPrefix("slow") == true }
            if !isSlow, root["cur_cfg"] != root["next_cfg"] { changes.update("Open_vSwitch", root.uuid, ["cur_cfg": root["next_cfg"]]) }
            if !changes.isEmpty { configuration.transact(changes) { _ in } }
        }

        private func attach(_ interface: Row, _ number: OpenFlowPort) {
            for bridge in replica.rows("Bridge") {
                for port in replica.rows("Port", bridge["ports"].uuids) where port["interfaces"].uuids.contains(interface.uuid) {
                    guard number.rawValue < 0xff00, let name = interface["name"].string else { continue }
                    _ = try? pipeline.bridge(named: bridge["name"].string ?? "")?.addPort(
                        BridgePort(
                            number: number, name: name, attachment: .datapath(DatapathPort(number.rawValue)),
                            hardwareAddress: 0x0200_0000_0001))
                }
            }
        }

        func close() {
            monitor?.cancel()
            listener.close()
            openFlow.close()
            control.close()
        }
    }

    init() throws {
        let log = LogRegistry(clock: Clock(), consoleDescriptor: sink.descriptor)
        let path = runDirectory.path
        parts = try loop.run { [loop] in
            let parts = try Parts(loop, log, path)
            parts.start()
            return Confined(parts, to: loop)
        }
    }

    deinit {
        _ = try? loop.run { [parts] in parts.value.close() }
        loop.shutDown()
    }

    func directory(timeoutSeconds: Double = 10) -> SwitchDirectory {
        SwitchDirectory(path: runDirectory.path, clock: Clock(), timeoutSeconds: timeoutSeconds)
    }
    func database(timeoutSeconds: Double = 10) throws -> DatabaseClient { try DatabaseClient(directory(timeoutSeconds: timeoutSeconds)) }
}

/// The error that `body` throws.
func errorOf(_ body: () throws -> Void) -> ClientError? {
    do {
        try body()
        return nil
    } catch let error as ClientError {
        return error
    } catch {
        return .refused("unexpected: \(error)")
    }
}
