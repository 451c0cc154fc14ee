// Running threads: two PMD threads where there are CPUs for it, ports that come and go under traffic.

import Base
@testable import Datapath
import DatapathAPI
import Flow
import Glibc
import Netdev
import Synchronization
import Testing

@Suite(.serialized) struct ThreadTests {
    static func datapath(_ translator: RuleTranslator, cpus: Int) throws -> Datapath {
        var settings = DatapathSettings()
        settings.maximumSleepMicroseconds = 200
        let datapath = Datapath(translator: translator, clock: Clock(), versions: translator.versions, settings: settings)
        try datapath.setPMDMask(Set(datapath.usableCPUs.prefix(cpus)))
        return datapath
    }

    /// Waits until `condition` holds, at most ten seconds.
    static func eventually(_ condition: () -> Bool) -> Bool {
        for _ in 0..<2000 {
            if condition() { return true }
            usleep(5000)
        }
        return condition()
    }

    @Test func portsComeAndGoUnderTraffic() throws {
        let translator = RuleTranslator()
        let datapath = try ThreadTests.datapath(translator, cpus: 2)
        translator.change { state in
            var first = Match()
            first.set(.datapathInPort, 1)
            var second = Match()
            second.set(.datapathInPort, 2)
            state.rules = [
                Rule(id: 1, priority: 2, match: first, actions: [.output(DatapathPort(2)), .output(DatapathPort(3))]),
                Rule(id: 2, priority: 1, match: second, actions: [.output(DatapathPort(1))]),
            ]
            state.extraMask.add(.nwDst)
        }
        let options = ["n_rxq": "2", "n_txq": "8"]
        let one = try DummyPort(NetdevConfiguration(name: "one", kind: .dummy, options: options))
        let two = try DummyPort(NetdevConfiguration(name: "two", kind: .dummy, options: options))
        try datapath.addPort(one, number: DatapathPort(1))
        try datapath.addPort(two, number: DatapathPort(2))
        func drain(_ port: DummyPort) { for queue in 0..<8 { _ = port.takeTransmitted(queue: queue) } }

        var injected: UInt64 = 0
        for round in 0..<60 {
            // Port 3 comes and goes; the rules and the threads' CPUs change.
            let three = try DummyPort(NetdevConfiguration(name: "three", kind: .dummy, options: options))
            try datapath.addPort(three, number: DatapathPort(3))
            for burst in 0..<100 as Range<UInt32> {
                let frame = Frames.ip(src: 1, dst: burst % 23, sport: 2, dport: UInt16(round))
                if one.inject(frame, queue: Int(burst % 2)) { injected += 1 }
                if two.inject(frame, queue: Int(burst % 2)) { injected += 1 }
                if three.inject(frame) { injected += 1 }
            }
            if round % 7 == 3 { translator.change { $0.rules.swapAt(0, 1) } }
            if round % 11 == 5 { try datapath.setPMDMask(Set(datapath.usableCPUs.prefix(1 + round % 2))) }
            drain(one)
            drain(two)
            drain(three)
            let received = datapath.counters(of: DatapathPort(3))!.receivedPackets
            datapath.removePort(DatapathPort(3))
            injected -= UInt64(three.pendingReceive() + three.pendingReceive(queue: 1))
            _ = received
            three.close()
        }
        func outcome(_ port: UInt32) -> UInt64 {
            let c = datapath.sumCounters(port)
            return c.forwardedPackets + c.puntedPackets + c.drops.reduce(0, +)
        }
        func received() -> UInt64 { [1, 2, 3].reduce(0) { $0 + datapath.sumCounters($1).receivedPackets } }
        #expect(ThreadTests.eventually { received() == injected && [1, 2, 3].reduce(0) { $0 + outcome($1) } == injected })
        #expect(received() == injected)
        #expect([1, 2, 3].reduce(0) { $0 + outcome($1) } == injected)
        for port in [1, 2, 3] as [UInt32] { #expect(outcome(port) == datapath.sumCounters(port).receivedPackets) }
        datapath.shutdown()
        datapath.pushStatistics()
        datapath.runMaintenance()
        drain(one)
        drain(two)
        one.close()
        two.close()
    }

    @Test func idleThreadsSleep() throws {
        let translator = RuleTranslator()
        var settings = DatapathSettings()
        settings.maximumSleepMicroseconds = 1000
        let datapath = Datapath(translator: translator, clock: Clock(), versions: translator.versions, settings: settings)
        let port = try DummyPort(NetdevConfiguration(name: "one", kind: .dummy))
        try datapath.addPort(port)
        #expect(ThreadTests.eventually { (datapath.pmdStatistics().first?.sleeps ?? 0) > 50 })
        datapath.clearThreadStatistics()
        usleep(300_000)
        let pmd = try #require(datapath.pmdStatistics().first)
        #expect(pmd.sleepCycles > 4 * pmd.idleCycles, "\(pmd)")
        #expect(datapath.receiveQueuePlacement().map(\.cpu) == [datapath.usableCPUs[0]])
        datapath.shutdown()
        port.close()
    }

    @Test func puntsAndUpcallsReachTheirThreads() throws {
        let translator = RuleTranslator()
        let datapath = try ThreadTests.datapath(translator, cpus: 1)
        translator.change { state in
            state.rules = [AccountingTests.rule(1, [.punt(PuntToken(rawValue: 3), maxLength: 100), .output(DatapathPort(1))])]
            state.extraMask.add(.udpDst)
        }
        let port = try DummyPort(NetdevConfiguration(name: "one", kind: .dummy))
        try datapath.addPort(port, number: DatapathPort(1))
        for flow in 0..<200 as Range<UInt16> { port.inject(Frames.ip(src: 1, dst: 2, sport: 3, dport: flow)) }
        var sent = 0
        #expect(
            ThreadTests.eventually {
                sent += port.takeTransmitted().count
                let lost = datapath.counters(of: DatapathPort(1))!.drops.reduce(0, +)
                return sent + Int(lost) == 200 && translator.state.withLock { $0.punts.count } >= sent
            })
        datapath.shutdown()
        port.close()
    }
}
