import Base
@testable import Datapath
import DatapathAPI
import Flow
import Netdev
import Synchronization
import Testing

@Suite struct AccountingTests {
    static func rule(_ id: Int, port: UInt32? = nil, _ actions: [DatapathAction]) -> Rule {
        var match = Match()
        if let port { match.set(.datapathInPort, UInt128(port)) }
        return Rule(id: id, priority: id, match: match, actions: actions)
    }

    @Test func forwardsAndCounts() throws {
        let bench = try Bench(ports: 2)
        defer { bench.close() }
        bench.translator.change { $0.rules = [AccountingTests.rule(1, [.output(DatapathPort(2))])] }
        let frame = Frames.ip(src: 1, dst: 2, proto: 6, sport: 3, dport: 4, tcpFlags: 0x02)
        for _ in 0..<100 { bench.ports[1]!.inject(frame) }
        bench.run()
        #expect(bench.sent()[2]?.count == 100)
        let one = bench.counters(1)
        #expect(one.receivedPackets == 100 && one.receivedBytes == UInt64(100 * frame.count) && one.forwardedPackets == 100)
        #expect(bench.counters(2).sentPackets == 100 && bench.counters(2).sentBytes == UInt64(100 * frame.count))
        let flows = bench.datapath.megaflows()
        #expect(flows.count == 1 && flows[0].packets == 100 && flows[0].bytes == UInt64(100 * frame.count))
        #expect(flows.first?.tcpFlags == 0x02)
        bench.datapath.pushStatistics()
        #expect(bench.translator.state.withLock { $0.packets[1] } == 100)
        #expect(bench.translator.state.withLock { $0.tcpFlags[1] } == 0x02)
        #expect(bench.translator.state.withLock { $0.translations } == 1)
        bench.checkAccounting()
    }

    @Test func dropsUnderOneReason() throws {
        let bench = try Bench(ports: 3)
        defer { bench.close() }
        bench.translator.change { state in
            state.rules = [
                AccountingTests.rule(1, port: 1, [.output(DatapathPort(9))]), AccountingTests.rule(2, port: 2, [.drop(.normalFiltered)]),
            ]
        }
        let frame = Frames.ip(src: 1, dst: 2, sport: 3, dport: 4)
        for _ in 0..<5 {
            bench.ports[1]!.inject(frame)
            bench.ports[2]!.inject(frame)
            bench.ports[3]!.inject(frame)
        }
        bench.ports[1]!.inject([1, 2, 3])
        bench.run()
        #expect(bench.counters(1).drops[Int(DropReason.outputPortClosed.rawValue)] == 5)
        #expect(bench.counters(1).drops[Int(DropReason.malformed.rawValue)] == 1)
        #expect(bench.counters(2).drops[Int(DropReason.normalFiltered.rawValue)] == 5)
        #expect(bench.counters(3).drops[Int(DropReason.tableMiss.rawValue)] == 5)
        bench.checkAccounting()
    }

    @Test func countsRefusedAndOversizePackets() throws {
        let bench = try Bench(ports: 3)
        defer { bench.close() }
        bench.translator.change { state in
            state.rules = [
                AccountingTests.rule(2, port: 1, [.output(DatapathPort(2))]),
                AccountingTests.rule(1, port: 3, [.output(DatapathPort(2)), .output(DatapathPort(1))]),
            ]
        }
        let frame = Frames.ip(src: 1, dst: 2, sport: 3, dport: 4)
        // The transmit ring holds 4095; nobody takes anything out.
        for _ in 0..<5 {
            for _ in 0..<1000 { bench.ports[1]!.inject(frame) }
            bench.run()
        }
        let full = bench.counters(1).drops[Int(DropReason.transmitQueueFull.rawValue)]
        #expect(full > 900)
        #expect(bench.counters(1).forwardedPackets + full == 5000)
        #expect(bench.counters(2).sentPackets == bench.counters(1).forwardedPackets)
        #expect(bench.counters(2).sendFailures == full)
        // Sent once of two times: forwarded all the same.
        for _ in 0..<10 { bench.ports[3]!.inject(frame) }
        bench.run()
        #expect(bench.counters(3).forwardedPackets == 10)
        #expect(bench.counters(2).sendFailures == full + 10)
        _ = bench.ports[2]!.takeTransmitted()
        bench.ports[1]!.inject(Frames.ip(src: 1, dst: 2, sport: 3, dport: 4, padding: 1490))
        bench.run()
        #expect(bench.counters(1).drops[Int(DropReason.oversize.rawValue)] == 1)
        bench.checkAccounting()
    }

    @Test func puntsAndCountsWhatTheQueueRefuses() throws {
        let bench = try Bench(ports: 2)
        defer { bench.close() }
        let token = PuntToken(rawValue: 77)
        bench.translator.change { $0.rules = [AccountingTests.rule(1, [.punt(token, maxLength: 20)])] }
        let frame = Frames.ip(src: 1, dst: 2, sport: 3, dport: 4)
        for _ in 0..<600 { bench.ports[1]!.inject(frame) }
        bench.run()
        #expect(bench.counters(1).puntedPackets == UInt64(DatapathLimits.puntQueue))
        #expect(bench.counters(1).drops[Int(DropReason.puntQueueFull.rawValue)] == UInt64(600 - DatapathLimits.puntQueue))
        bench.datapath.runMaintenance()
        let punts = bench.translator.state.withLock { $0.punts }
        #expect(punts.count == DatapathLimits.puntQueue)
        #expect(punts.first?.token == token && punts.first?.bytes == Array(frame.prefix(20)) && punts.first?.totalLength == frame.count)
        #expect(punts.first?.key == FlowKey(packet: frame, inPort: 1))
        // Punted and sent: forwarded.
        bench.translator.change { $0.rules = [AccountingTests.rule(1, [.punt(token, maxLength: 0xffff), .output(DatapathPort(2))])] }
        bench.ports[1]!.inject(frame)
        bench.run()
        #expect(bench.counters(1).forwardedPackets == 1)
        #expect(bench.sent()[2] == [frame])
        bench.datapath.runMaintenance()
        #expect(bench.translator.state.withLock { $0.punts.last?.bytes } == frame)
        bench.checkAccounting()
    }

    @Test func uninstalledDecisionsAreCreditedToo() throws {
        let bench = try Bench(ports: 2)
        defer { bench.close() }
        bench.translator.change { state in
            state.rules = [AccountingTests.rule(1, [.output(DatapathPort(2))])]
            state.isCacheable = false
        }
        for _ in 0..<40 { bench.ports[1]!.inject(Frames.ip(src: 1, dst: 2, sport: 3, dport: 4)) }
        bench.run()
        bench.datapath.pushStatistics()
        #expect(bench.sent()[2]?.count == 40)
        #expect(bench.translator.state.withLock { $0.packets[1] } == 40)
        #expect(bench.datapath.megaflows().isEmpty)
        bench.checkAccounting()
    }

    @Test func overloadIsBoundedAndCounted() throws {
        var settings = Bench.stillSettings
        settings.upcallsPerBurst = 2
        let bench = try Bench(ports: 2, settings: settings)
        defer { bench.close() }
        bench.translator.change { state in
            state.rules = [AccountingTests.rule(1, port: 1, [.output(DatapathPort(2))])]
            state.isCacheable = false
        }
        for tag in 0..<3000 { bench.ports[1]!.inject(Frames.ip(src: 1, dst: 2, sport: 3, dport: UInt16(tag))) }
        // Without the handler's turn in between: all bursts first.
        let pmd = bench.datapath.control.withLock { $0.pmds.values.first! }
        pmd.state.pointee.quiescent.online(pmd.slot)
        // Another port has a packet each time: it is who the budget protects. It may have several turns for each of the first.
        while bench.counters(1).receivedPackets < 3000 {
            bench.ports[2]!.inject(Frames.ip(src: 7, dst: 8, sport: 9, dport: 10))
            _ = Burst.pollOnce(pmd.state)
        }
        pmd.state.pointee.quiescent.offline(pmd.slot)
        let dropped = bench.counters(1).drops[Int(DropReason.upcallOverload.rawValue)]
        #expect(dropped > 0)
        #expect(Int(pmd.state.pointee.deferredByPort[1]) == DatapathLimits.upcallQueuePerPort)
        bench.run()
        #expect(bench.sent()[2]?.count == 3000 - Int(dropped))
        bench.checkAccounting()
    }

    @Test func aPortAloneOnItsThreadLosesNothing() throws {
        let bench = try Bench(ports: 2, settings: Bench.stillSettings)
        defer { bench.close() }
        bench.translator.change { state in
            state.rules = [AccountingTests.rule(1, [.output(DatapathPort(2))])]
            state.isCacheable = false
        }
        for tag in 0..<3000 { bench.ports[1]!.inject(Frames.ip(src: 1, dst: 2, sport: 3, dport: UInt16(tag))) }
        bench.run()
        #expect(bench.counters(1).drops[Int(DropReason.upcallOverload.rawValue)] == 0)
        #expect(bench.sent()[2]?.count == 3000)
        bench.checkAccounting()
    }

    @Test func packetOutIsCountedUnderPortZero() throws {
        let bench = try Bench(ports: 2)
        defer { bench.close() }
        let frame = Frames.ip(src: 1, dst: 2, sport: 3, dport: 4)
        bench.datapath.execute(packet: frame, inPort: DatapathPort(1), actions: [.output(DatapathPort(1)), .output(DatapathPort(2))])
        #expect(bench.sent() == [1: [frame], 2: [frame]])
        bench.datapath.execute(packet: frame, inPort: DatapathPort(1), actions: [])
        let zero = bench.datapath.counters(of: .none)!
        #expect(zero.forwardedPackets == 1 && zero.drops[Int(DropReason.policy.rawValue)] == 1)
        #expect(bench.counters(1).receivedPackets == 0)
        // Through the tables, as a packet from port 1.
        bench.translator.change { state in
            var match = Match()
            match.set(.datapathInPort, 1)
            match.set(.recircID, 5)
            state.rules = [Rule(id: 1, priority: 1, match: match, actions: [.output(DatapathPort(2))])]
        }
        bench.datapath.execute(packet: frame, inPort: DatapathPort(1), actions: [.recirculate(5)])
        #expect(bench.sent() == [2: [frame]])
    }

    @Test func refusesPortNumbers() throws {
        let bench = try Bench(ports: 1)
        defer { bench.close() }
        let port = try DummyPort(NetdevConfiguration(name: "x", kind: .dummy))
        #expect(throws: DatapathError.portNumberTaken(1)) { try bench.datapath.addPort(port, number: DatapathPort(1)) }
        #expect(throws: DatapathError.portNumberInvalid(0, limit: 4095)) { try bench.datapath.addPort(port, number: DatapathPort(0)) }
        #expect(throws: DatapathError.portNumberInvalid(4096, limit: 4095)) {
            try bench.datapath.addPort(port, number: DatapathPort(4096))
        }
        #expect(throws: (any Error).self) { try bench.datapath.setPMDMask([100_000]) }
        #expect(try bench.datapath.addPort(port) == DatapathPort(2))
        bench.datapath.removePort(DatapathPort(2))
        bench.datapath.removePort(DatapathPort(2))
        port.close()
        #expect(bench.datapath.counters(of: DatapathPort(2)) == nil)
    }
}
