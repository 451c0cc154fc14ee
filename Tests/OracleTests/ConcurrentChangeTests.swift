// Changes of rules while threads forward: what a change says holds for every packet that comes after it.

import Base
import Datapath
import DatapathAPI
import Flow
import Glibc
import Netdev
import Pipeline
import Testing

@Suite(.serialized) struct ConcurrentChangeTests {
    private static func frame(flow: UInt16, source: UInt8, tag: UInt32) -> [UInt8] {
        typealias Generator = PipelineOracleTests.Generator
        var frame: [UInt8] = [2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 8, 0, 0x45, 0, 0, 32, 0, 0, 0, 0, 64, 17, 0, 0]
        frame += [10, 0, 0, source, 10, 0, 1, 1, 4, 0] + Generator.bytes(UInt64(flow), 2) + [0, 12, 0, 0]
        return frame + Generator.bytes(UInt64(tag), 4)
    }

    @Test func aChangeHoldsForTheNextPacketWhileThreadsRun() throws {
        let clock = Clock()
        let pipeline = SwitchPipeline(clock: clock, seed: 7)
        var settings = DatapathSettings()
        settings.maximumSleepMicroseconds = 50
        let datapath = Datapath(translator: pipeline, clock: clock, versions: pipeline.versions, settings: settings)
        pipeline.attach(datapath)
        let bridge = try pipeline.addBridge(named: "br0", datapathID: 1, failMode: .secure)
        var ports: [UInt32: DummyPort] = [:]
        for number in 1...4 as ClosedRange<UInt32> {
            let port = try DummyPort(NetdevConfiguration(name: "d\(number)", kind: .dummy))
            try datapath.addPort(port, number: DatapathPort(number))
            ports[number] = port
            _ = try bridge.addPort(
                BridgePort(
                    number: OpenFlowPort(number), name: "d\(number)", attachment: .datapath(DatapathPort(number)),
                    hardwareAddress: 0x0a_0000_0000_00 + UInt64(number)))
        }
        defer {
            datapath.shutdown()
            ports.values.forEach { port in
                _ = port.takeTransmitted()
                port.close()
            }
        }
        func apply(_ command: FlowModCommand, _ text: String) throws {
            let spec = try FlowText.parseFlow(text, for: command == .add ? .add : .delete)
            try bridge.apply(
                FlowModification(
                    command: command, table: spec.table ?? 0, match: spec.match, priority: spec.priority ?? 0x8000,
                    actions: spec.actions ?? []))
        }
        try apply(.add, "table=0,priority=0,actions=goto_table:1")
        var random = SplitMix64(seed: 11)
        func below(_ count: Int) -> Int { Int(random.next() % UInt64(count)) }
        for step in 0..<1500 as Range<UInt32> {
            let flow = UInt16(below(24))
            let source = UInt8(below(6))
            // Packets whose decision the change overtakes.
            for _ in 0..<below(4) { ports[1]!.inject(ConcurrentChangeTests.frame(flow: flow, source: source, tag: .max)) }
            let target = UInt32(2 + below(3))
            switch below(4) {
            case 0: try apply(.add, "table=1,priority=\(step + 1),udp,tp_dst=\(flow),actions=output:\(target)")
            case 1: try apply(.add, "table=1,priority=\(step + 1),udp,nw_src=10.0.0.\(source & 0xfe)/31,actions=output:\(target)")
            case 2: try apply(.add, "table=1,priority=\(step + 1),in_port=1,actions=output:\(target)")
            default:
                try apply(.delete, "table=1")
                try apply(.add, "table=1,priority=1,ip,actions=output:\(target)")
            }
            // Others' changes.
            try apply(.add, "table=1,priority=1,udp,tp_dst=\(100 + below(500)),nw_src=10.9.0.0/\(8 + below(24)),actions=drop")
            #expect(ports[1]!.inject(ConcurrentChangeTests.frame(flow: flow, source: source, tag: step)))
            let tag = PipelineOracleTests.Generator.bytes(UInt64(step), 4)
            var arrived: UInt32?
            for _ in 0..<200_000 where arrived == nil {
                for (number, port) in ports where port.takeTransmitted().contains(where: { Array($0.suffix(4)) == tag }) {
                    arrived = number
                }
                if arrived == nil { usleep(50) }
            }
            #expect(arrived == target, "step \(step)")
            if arrived != target { return }
        }
    }
}
