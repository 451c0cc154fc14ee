// The whole way against the pipeline alone: what the datapath's caches and megaflows do to a packet is what the pipeline
// says at that moment, under random tables in the field's own syntax, random packets, and changes in between.

import Base
import Datapath
import DatapathAPI
import Flow
import Netdev
import Pipeline
import Testing

@Suite struct PipelineOracleTests {
    /// Small value sets, so that rules and packets meet.
    struct Generator {
        var random: SplitMix64
        mutating func below(_ count: Int) -> Int { Int(random.next() % UInt64(count)) }
        mutating func pick<T>(_ values: [T]) -> T { values[below(values.count)] }

        mutating func match(table: Int) -> String {
            var parts: [String] = []
            if below(3) == 0 { parts.append("in_port=\(1 + below(4))") }
            if below(4) == 0 { parts.append("dl_dst=02:00:00:00:00:0\(below(5))") }
            if below(6) == 0 { parts.append("dl_src=02:00:00:00:00:0\(below(5))/ff:ff:ff:ff:ff:0e") }
            if below(5) == 0 { parts.append(pick(["vlan_tci=0", "dl_vlan=10", "dl_vlan=11", "vlan_tci=0x1000/0x1000"])) }
            if table > 0, below(4) == 0 { parts.append("reg0=\(below(3))") }
            switch below(7) {
            case 0: parts.append("arp")
            case 1:
                parts.append("ipv6")
                if below(2) == 0 { parts.append("ipv6_dst=2001:db8::\(below(4))/\(pick([120, 126, 127, 128]))") }
            case 2: break
            case 3:
                parts.append("ip")
                if below(2) == 0 { parts.append("nw_src=10.0.\(below(3)).\(below(6))/\(pick([8, 16, 22, 24, 30, 31, 32]))") }
                if below(3) == 0 { parts.append("nw_ttl=\(pick([1, 64]))") }
            default:
                parts.append(pick(["tcp", "udp"]))
                if below(2) == 0 { parts.append("nw_dst=10.0.\(below(3)).\(below(6))/\(pick([16, 23, 24, 29, 32]))") }
                if below(2) == 0 { parts.append(pick(["tp_dst=\(below(5))", "tp_dst=0x2/0xfffe", "tp_src=\(1000 + below(3))"])) }
                if below(6) == 0 { parts.append("nw_tos=\(pick([0, 4, 32]))") }
            }
            return parts.joined(separator: ",")
        }

        mutating func actions(table: Int) -> String {
            var parts: [String] = []
            for _ in 0..<below(3) {
                parts.append(
                    pick([
                        "mod_dl_dst:0a:0b:0c:0d:0e:0\(below(4))", "load:\(below(3))->NXM_NX_REG0[]", "push_vlan:0x8100", "strip_vlan",
                        "mod_vlan_vid:\(10 + below(2))", "move:NXM_OF_ETH_SRC[]->NXM_OF_ETH_DST[]", "output:\(1 + below(4))",
                        "set_queue:0", "resubmit(,\(table + 1))",
                    ]))
            }
            parts.append(
                pick([
                    "output:\(1 + below(4))", "drop", "NORMAL", "FLOOD", "IN_PORT", "ALL",
                    table < 3 ? "goto_table:\(table + 1)" : "output:2", table < 3 ? "resubmit(,\(table + 1))" : "output:3",
                    "output:\(1 + below(4)),output:\(1 + below(4))",
                ]))
            if parts.count > 1 { parts.removeAll { $0 == "drop" } }
            return parts.joined(separator: ",")
        }

        mutating func rule() -> String {
            let table = pick([0, 0, 0, 1, 2, 3])
            let match = match(table: table)
            return "table=\(table),priority=\(below(50))" + (match.isEmpty ? "" : ",\(match)") + ",actions=" + actions(table: table)
        }

        static func bytes(_ value: UInt64, _ count: Int) -> [UInt8] {
            (0..<count).map { UInt8(truncatingIfNeeded: value >> UInt64(8 * (count - 1 - $0))) }
        }

        mutating func frame(tag: UInt32) -> [UInt8] {
            var frame = Generator.bytes(below(8) == 0 ? 0xffff_ffff_ffff : 0x02_0000_0000_00 + UInt64(below(5)), 6)
            frame += Generator.bytes(0x02_0000_0000_00 + UInt64(below(5)), 6)
            if below(4) == 0 { frame += Generator.bytes(0x8100, 2) + Generator.bytes(UInt64(pick([10, 11, 0x200a, 0])), 2) }
            func address() -> UInt64 { 0x0a00_0000 | UInt64(below(3)) << 8 | UInt64(below(6)) }
            let isTCP = below(2) == 0
            var l4 = Generator.bytes(UInt64(1000 + below(4)), 2) + Generator.bytes(UInt64(below(5)), 2)
            l4 += isTCP ? Generator.bytes(0, 8) + [0x50, UInt8(below(32))] + Generator.bytes(0, 6) : Generator.bytes(12, 2) + [0, 0]
            l4 += Generator.bytes(UInt64(tag), 4)
            switch below(8) {
            case 0:
                frame += Generator.bytes(0x0806, 2) + [0, 1, 8, 0, 6, 4, 0, UInt8(1 + below(2))]
                frame += Generator.bytes(0x02_0000_0000_01, 6) + Generator.bytes(address(), 4)
                frame += Generator.bytes(0, 6) + Generator.bytes(address(), 4) + Generator.bytes(UInt64(tag), 4)
            case 1:
                frame += Generator.bytes(0x86dd, 2) + [0x60, 0, 0, 0] + Generator.bytes(UInt64(l4.count), 2) + [isTCP ? 6 : 17, 64]
                for _ in 0..<2 { frame += Generator.bytes(0x2001_0db8_0000_0000, 8) + Generator.bytes(UInt64(below(4)), 8) }
                frame += l4
            case 2:
                frame += Generator.bytes(0x88cc, 2) + Generator.bytes(UInt64(tag), 4)
            default:
                let fragment: UInt64 = below(12) == 0 ? pick([0x2000, 0x0004]) : 0
                frame += Generator.bytes(0x0800, 2) + [0x45, pick([0, 4, 32])] + Generator.bytes(UInt64(20 + l4.count), 2) + [0, 0]
                frame += Generator.bytes(fragment, 2) + [pick([1, 64]), isTCP ? 6 : 17, 0, 0]
                frame += Generator.bytes(address(), 4) + Generator.bytes(address(), 4) + l4
            }
            // Cut short now and then.
            return below(15) == 0 ? Array(frame.prefix(14 + below(max(1, frame.count - 14)))) : frame
        }
    }

    /// What actions send, by port.
    static func apply(_ actions: [DatapathAction], _ frame: inout [UInt8], into result: inout [UInt32: [[UInt8]]]) {
        for action in actions {
            switch action {
            case .output(let port): result[port.rawValue, default: []].append(frame)
            case .set(let field, let value, let mask):
                var key = FlowKey()
                let headers = frame.withUnsafeBytes { key.extract($0, inPort: 1) }
                frame.withUnsafeMutableBytes { bytes in
                    _ = PacketRewriter.set(
                        field, value: value, mask: mask, packet: bytes.baseAddress!, length: bytes.count, headers: headers)
                }
            case .pushVLAN(let tpid, let tci):
                frame.insert(contentsOf: Generator.bytes(UInt64(tpid), 2) + Generator.bytes(UInt64(tci & 0xefff), 2), at: 12)
            case .popVLAN:
                if frame.count >= 18, [[0x81, 0], [0x88, 0xa8]].contains(Array(frame[12..<14])) { frame.removeSubrange(12..<16) }
            case .clone(let inner):
                var copy = frame
                apply(inner, &copy, into: &result)
            default: break
            }
        }
    }

    /// Changes every 25 steps with the first seeds; with the last ones they come faster than packets repeat.
    @Test(arguments: [1, 2, 3, 4, 5, 6] as [UInt64])
    func verdictsEqualThePipelines(seed: UInt64) throws {
        let interval = seed < 5 ? 25 : 2
        let clock = Clock(stoppedAt: Instant(nanoseconds: 1_000_000_000))
        let pipeline = SwitchPipeline(clock: clock, seed: seed)
        var settings = DatapathSettings()
        settings.runsThreads = false
        settings.ladderMaskBudget = seed == 2 ? 3 : 32
        settings.exactMaskBudget = seed == 2 ? 6 : 64
        settings.directProbeMasks = seed == 3 ? 0 : 2
        let datapath = Datapath(translator: pipeline, clock: clock, versions: pipeline.versions, settings: settings, seed: seed)
        pipeline.attach(datapath)
        let bridge = try pipeline.addBridge(named: "br0", datapathID: 1)
        bridge.flushFlows()
        var ports: [UInt32: DummyPort] = [:]
        for number in 1...4 as ClosedRange<UInt32> {
            let port = try DummyPort(NetdevConfiguration(name: "d\(number)", kind: .dummy))
            try datapath.addPort(port, number: DatapathPort(number))
            ports[number] = port
            _ = try bridge.addPort(
                BridgePort(
                    number: OpenFlowPort(number), name: "d\(number)", attachment: .datapath(DatapathPort(number)),
                    hardwareAddress: 0x0a_0000_0000_00 + UInt64(number), vlanMode: number == 4 ? .access : .trunk,
                    tag: number == 4 ? 10 : 0))
        }
        defer {
            datapath.shutdown()
            ports.values.forEach { port in
                _ = port.takeTransmitted()
                port.close()
            }
        }
        var generator = Generator(random: SplitMix64(seed: seed))
        var translation = Translation()
        var refused = 0
        var applied = 0
        var history: [String] = []
        // Flows that come back, and new ones among them.
        var flows = (0..<12).map { (UInt32(1 + generator.below(4)), generator.frame(tag: UInt32($0))) }
        for step in 0..<1200 {
            if generator.below(8) == 0 {
                flows[generator.below(12)] = (UInt32(1 + generator.below(4)), generator.frame(tag: UInt32(step)))
            }
            if step % interval == 0 {
                for _ in 0..<(1 + generator.below(4)) {
                    let text = generator.rule()
                    do {
                        let spec = try FlowText.parseFlow(text)
                        try bridge.apply(
                            FlowModification(
                                command: generator.below(6) == 0 ? .delete : .add, table: spec.table ?? 0, match: spec.match,
                                priority: spec.priority ?? 0x8000, actions: spec.actions ?? []))
                        applied += 1
                        history.append(text)
                    } catch {
                        refused += 1
                    }
                }
            }
            if step % 100 == 99 { datapath.runMaintenance() }
            if step % 400 == 399 {
                clock.warp(milliseconds: 11_000)
                pipeline.run()
            }
            let (inPort, frame) = flows[generator.below(12)]
            var expected: [UInt32: [[UInt8]]] = [:]
            var copy = frame
            frame.withUnsafeBytes { bytes in
                pipeline.translate(FlowKey(packet: bytes, inPort: inPort), packet: bytes, hasSideEffects: false, into: &translation)
            }
            PipelineOracleTests.apply(translation.actions, &copy, into: &expected)
            #expect(ports[inPort]!.inject(frame))
            datapath.runOnce()
            var sent: [UInt32: [[UInt8]]] = [:]
            for (number, port) in ports {
                let frames = port.takeTransmitted()
                if !frames.isEmpty { sent[number] = frames }
            }
            #expect(sent == expected, "seed \(seed) step \(step) from port \(inPort): \(translation.actions); rules \(history)")
            if sent != expected { return }
        }
        #expect(applied > 4 * refused, "\(applied) rules applied, \(refused) refused")
        for number in ports.keys {
            let c = datapath.counters(of: DatapathPort(number))!
            #expect(c.receivedPackets == c.forwardedPackets + c.puntedPackets + c.drops.reduce(0, +))
        }
        let threads = datapath.threadStatistics()
        #expect(threads.reduce(0) { $0 + $1.megaflowHits + $1.cacheHits } > (interval > 2 ? 400 : 20))
    }
}
