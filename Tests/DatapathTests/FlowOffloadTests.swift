import Base
@testable import Datapath
import DatapathAPI
import Flow
import Netdev
import Synchronization
import TestSupport
import Testing

@Suite struct FlowOffloadTests {
    let frame = Frames.ip(src: 0x0a00_0001, dst: 0x0a00_0002, sport: 3, dport: 4, tag: 9)

    func bench(ports: Int = 3) throws -> Bench {
        var settings = Bench.stillSettings
        settings.offloadsFlows = true
        settings.maximumIdleMilliseconds = 1000
        return try Bench(ports: ports, settings: settings, options: ["hw-flows": "true"])
    }

    func rule(_ fields: [(Field, UInt128)], _ actions: [DatapathAction]) -> Rule {
        var match = Match()
        for (field, value) in fields { match.set(field, value) }
        return Rule(id: 1, priority: 1, match: match, actions: actions)
    }

    /// A frame by port 1, seen by the datapath; then the megaflow goes to the hardware.
    func offload(_ bench: Bench, _ actions: [DatapathAction], frame: [UInt8]? = nil, _ fields: [(Field, UInt128)] = []) {
        let fields = fields.isEmpty ? [(.ethType, 0x0800), (.nwProto, 17), (.udpDst, 4)] : fields
        bench.translator.change { $0.rules = [rule(fields, actions)] }
        bench.ports[1]!.inject(frame ?? self.frame)
        bench.run()
        bench.datapath.runMaintenance()
        _ = bench.sent()
    }

    @Test func hardwareForwardsAndItsCountsAreTheFlows() throws {
        let bench = try bench()
        defer { bench.close() }
        offload(bench, [.output(DatapathPort(2))])
        #expect(bench.datapath.offloadStatistics().inserted == 1)
        for _ in 0..<10 { bench.ports[1]!.inject(frame) }
        // The datapath has seen the first one alone.
        #expect(bench.counters(1).receivedPackets == 1)
        #expect(bench.sent() == [2: Array(repeating: frame, count: 10)])
        let flows = bench.datapath.megaflows()
        #expect(flows.count == 1 && flows[0].packets == 11 && flows[0].bytes == UInt64(11 * frame.count))
        #expect(flows.first?.hardwareLayer == "dpdk")
        bench.datapath.pushStatistics()
        #expect(bench.translator.state.withLock { $0.packets[1] } == 11)
        #expect(bench.ports[1]!.statistics().rxPackets == 11)
        // Another flow's packets are the datapath's.
        bench.ports[1]!.inject(Frames.ip(src: 1, dst: 2, sport: 3, dport: 5))
        bench.run()
        #expect(bench.counters(1).receivedPackets == 2)
        bench.checkAccounting()
    }

    @Test func tagsAndAddressesAreChangedByHardware() throws {
        let bench = try bench()
        defer { bench.close() }
        let whole: UInt128 = 0xffff_ffff_ffff
        offload(
            bench,
            [
                .set(.ethDst, value: 0x0102_0304_0506, mask: whole), .set(.ethSrc, value: 0x0a0b_0c0d_0e0f, mask: whole),
                .pushVLAN(tpid: 0x8100, tci: 0x3005), .output(DatapathPort(3)),
            ])
        bench.ports[1]!.inject(frame)
        #expect(bench.counters(1).receivedPackets == 1)
        let expected: [UInt8] = [1, 2, 3, 4, 5, 6, 10, 11, 12, 13, 14, 15, 0x81, 0, 0x20, 5] + frame[12...]
        #expect(bench.sent() == [3: [expected]])
    }

    @Test func aTagIsMatchedAndPopped() throws {
        let bench = try bench()
        defer { bench.close() }
        let tagged = Frames.ip(src: 1, dst: 2, sport: 3, dport: 4, tag: 9, vlan: 7)
        offload(bench, [.popVLAN, .output(DatapathPort(2))], frame: tagged, [(.vlanVID, 0x1007)])
        bench.ports[1]!.inject(tagged)
        bench.ports[1]!.inject(Frames.ip(src: 1, dst: 2, sport: 3, dport: 4, tag: 9, vlan: 8))
        bench.ports[1]!.inject(Frames.ip(src: 1, dst: 2, sport: 3, dport: 4, tag: 9))
        #expect(bench.sent() == [2: [Array(tagged[..<12]) + tagged[16...]]])
        #expect(bench.ports[1]!.pendingReceive() == 2)
    }

    @Test func dropsAreTheHardwaresToo() throws {
        let bench = try bench()
        defer { bench.close() }
        offload(bench, [.drop(.policy)])
        for _ in 0..<5 { bench.ports[1]!.inject(frame) }
        #expect(bench.counters(1).receivedPackets == 1 && bench.sent().isEmpty)
        #expect(bench.datapath.megaflows().first?.packets == 6)
    }

    @Test func aChangeHoldsWhenItIsAcknowledged() throws {
        let bench = try bench()
        defer { bench.close() }
        offload(bench, [.output(DatapathPort(2))])
        bench.ports[1]!.inject(frame)
        bench.translator.change { $0.rules = [rule([(.ethType, 0x0800)], [.output(DatapathPort(3))])] }
        bench.datapath.withdrawStale()
        bench.ports[1]!.inject(frame)
        bench.run()
        let sent = bench.sent()
        #expect(sent[2]?.count == 1 && sent[3]?.count == 1)
        // What the hardware counted before is not lost.
        bench.datapath.runMaintenance()
        bench.datapath.pushStatistics()
        #expect(bench.translator.state.withLock { $0.packets[1] } == 3)
    }

    @Test func aFlowInHardwareIsIdleOnlyIfTheHardwareSaysSo() throws {
        let bench = try bench()
        defer { bench.close() }
        offload(bench, [.output(DatapathPort(2))])
        for _ in 0..<5 {
            bench.clock.warp(milliseconds: 700)
            bench.ports[1]!.inject(frame)
            bench.datapath.runMaintenance()
            #expect(bench.datapath.offloadStatistics().inserted == 1)
        }
        bench.clock.warp(milliseconds: 1100)
        for _ in 0..<3 { bench.datapath.runMaintenance() }
        #expect(bench.datapath.megaflows().isEmpty && bench.datapath.offloadStatistics().inserted == 0)
        bench.ports[1]!.inject(frame)
        #expect(bench.ports[1]!.pendingReceive() == 1)
    }

    @Test func portsAndPolicersTakeFlowsBack() throws {
        let bench = try bench()
        defer { bench.close() }
        offload(bench, [.output(DatapathPort(2))])
        bench.datapath.setPolicer(.ingress(bytes: .init(rate: 1_000_000, burst: 10_000), packets: nil), .ingress, of: DatapathPort(1))
        #expect(bench.datapath.offloadStatistics().inserted == 0)
        #expect(bench.datapath.offloadRefusal(of: DatapathPort(1)) == "the port is policed")
        bench.ports[1]!.inject(frame)
        bench.run()
        bench.datapath.runMaintenance()
        #expect(bench.datapath.offloadStatistics().inserted == 0)
        bench.datapath.setPolicer(nil, .ingress, of: DatapathPort(1))
        bench.ports[1]!.inject(frame)
        bench.run()
        bench.datapath.runMaintenance()
        #expect(bench.datapath.offloadStatistics().inserted == 1)
        bench.remove(2)
        #expect(bench.datapath.offloadStatistics().inserted == 0)
        bench.ports[1]!.inject(frame)
        bench.run()
        #expect(bench.counters(1).drops[Int(DropReason.outputPortClosed.rawValue)] == 1)
        bench.checkAccounting()
    }

    @Test func itIsOffUnlessAskedFor() throws {
        let bench = try Bench(ports: 2, options: ["hw-flows": "true"])
        defer { bench.close() }
        offload(bench, [.output(DatapathPort(2))])
        #expect(bench.datapath.offloadStatistics().inserted == 0)
        var settings = Bench.stillSettings
        settings.offloadsFlows = true
        try bench.datapath.apply(settings)
        bench.ports[1]!.inject(frame)
        bench.run()
        bench.datapath.runMaintenance()
        #expect(bench.datapath.offloadStatistics().inserted == 1)
        settings.offloadsFlows = false
        try bench.datapath.apply(settings)
        #expect(bench.datapath.offloadStatistics().inserted == 0)
    }

    @Test func whatHardwareCannotDoStaysInSoftware() throws {
        let two = DatapathPort(2)
        for actions: [DatapathAction] in [
            [.output(two), .output(DatapathPort(3))], [.meter(1), .output(two)], [.set(.nwTTL, value: 3, mask: 0xff), .output(two)],
            [.truncate(maxLength: 60), .output(two)], [.pushVLAN(tpid: 0x8100, tci: 1), .pushVLAN(tpid: 0x88a8, tci: 2), .output(two)],
        ] {
            let bench = try bench()
            defer { bench.close() }
            offload(bench, actions)
            #expect(bench.datapath.offloadStatistics().inserted == 0 && bench.datapath.offloadStatistics().refused == 1, "\(actions)")
            // It is asked once.
            bench.ports[1]!.inject(frame)
            bench.run()
            bench.datapath.runMaintenance()
            #expect(bench.datapath.offloadStatistics().refused == 1)
        }
    }

    /// Random megaflows: a packet that the pattern matches is one that the megaflow matches.
    @Test func patternsMatchNothingElse() throws {
        var random = SeededRandom(seed: 11)
        let frames: [[UInt8]] = (0..<200).map { _ in
            let vlan: UInt16? = Bool.random(using: &random) ? UInt16.random(in: 0..<3, using: &random) | 0x2000 : nil
            let (sport, dport) = (UInt16.random(in: 1..<3, using: &random), UInt16.random(in: 1..<3, using: &random))
            switch Int.random(in: 0..<4, using: &random) {
            case 0:
                return Frames.ipv6(
                    src: UInt128.random(in: 1..<3, using: &random), dst: UInt128.random(in: 1..<3, using: &random), sport: sport,
                    dport: dport, tag: 0)
            case 1:
                return Frames.ethernet(type: 0x0806, payload: [UInt8](repeating: 0, count: 46))
            default:
                return Frames.ip(
                    src: UInt32.random(in: 1..<3, using: &random), dst: UInt32.random(in: 1..<3, using: &random),
                    proto: Bool.random(using: &random) ? 6 : 17, sport: sport, dport: dport, vlan: vlan,
                    srcMAC: UInt64.random(in: 2..<4, using: &random) << 1)
            }
        }
        let keys = frames.map { frame in FlowKey(packet: frame, inPort: 1) }
        let fields: [Field] = [.ethSrc, .vlanTCI, .nwSrc, .nwDst, .ipv6Src, .nwProto, .nwTOS, .nwTTL, .tcpSrc, .udpDst, .tcpFlags]
        var taken = 0
        for (frame, key) in zip(frames, keys) {
            var mask = FlowMask()
            for field in fields where Bool.random(using: &random) && key.meetsPrerequisites(of: field) { mask.add(field) }
            mask.addStructural()
            var match = Match()
            match.key = key.masked(by: mask)
            match.mask = mask
            guard let headers = try? HardwareFlow.headers(of: match) else { continue }
            taken += 1
            let provider = try PatternProbe(headers)
            for (other, otherKey) in zip(frames, keys) where provider.matches(other) {
                #expect(match.matches(otherKey), "\(headers) matches \(other), which \(match) does not")
            }
            let isTagged = key.load(at: FlowOffset.vlanTCI, count: 2) != 0
            if !isTagged || mask.bits.load(at: FlowOffset.vlanTCI, count: 2) & 0x1000 != 0 { #expect(provider.matches(frame)) }
        }
        #expect(taken > 100)
    }
}

/// Whether a pattern matches a frame, as the hardware of dummy ports has it.
private final class PatternProbe {
    let port: DummyPort

    init(_ headers: [HardwareFlow.Header]) throws {
        port = try DummyPort(NetdevConfiguration(name: "probe", kind: .dummy, options: ["hw-flows": "true"]))
        if case .provider(let provider) = port.hardwareFlows {
            _ = try provider.insert(HardwareFlow(headers: headers, actions: [.drop]))
        }
    }

    deinit { port.close() }

    func matches(_ frame: [UInt8]) -> Bool {
        let before = port.pendingReceive()
        port.inject(frame)
        return port.pendingReceive() == before
    }
}
