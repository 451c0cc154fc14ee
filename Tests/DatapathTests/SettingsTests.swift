import Base
@testable import Datapath
import DatapathAPI
import Flow
import Netdev
import Synchronization
import Testing

/// Settings that change how the datapath goes about its work, not what it does.
@Suite struct SettingsTests {
    private func frame(_ number: Int) -> [UInt8] {
        Frames.ip(src: 1, dst: 0x0a00_0000 + UInt32(number), sport: 3, dport: 4, tag: UInt32(number))
    }

    /// `n-handler-threads`: each port's deferred packets have their handler, and all handlers work.
    @Test func handlersShareThePorts() throws {
        var settings = Bench.stillSettings
        settings.handlerThreads = 3
        settings.upcallsPerBurst = 0
        let bench = try Bench(ports: 4, settings: settings)
        defer { bench.close() }
        bench.translator.change { state in
            state.rules = [AccountingTests.rule(1, [.output(DatapathPort(4))])]
            state.extraMask.add(.nwDst)
        }
        for port in 1...3 as ClosedRange<UInt32> { for number in 0..<20 { bench.ports[port]!.inject(frame(number)) } }
        bench.run()
        #expect(bench.sent()[4]?.count == 60)
        bench.checkAccounting()
        func handlers() -> [ThreadStatistics] { bench.datapath.threadStatistics().filter { $0.role == .handler } }
        #expect(handlers().map(\.upcalls) == [20, 20, 20])
        // Fewer again: what comes from now on is the first one's.
        settings.handlerThreads = 1
        try bench.datapath.apply(settings)
        for port in 1...3 as ClosedRange<UInt32> { for number in 20..<30 { bench.ports[port]!.inject(frame(number)) } }
        bench.run()
        #expect(bench.sent()[4]?.count == 30)
        #expect(handlers().map(\.upcalls) == [50])
        bench.checkAccounting()
    }

    /// `emc-insert-inv-prob`: never, always, seldom.
    @Test(arguments: [0, 1, 1_000_000, nil] as [UInt32?])
    func theCacheIsFilledAsSet(inverse: UInt32?) throws {
        var settings = Bench.stillSettings
        settings.cacheInsertionInverse = inverse
        let bench = try Bench(ports: 2, settings: settings)
        defer { bench.close() }
        bench.translator.change { state in
            state.rules = (0..<20).map { number in
                var match = Match()
                match.set(.ethType, 0x0800)
                match.set(.nwDst, UInt128(0x0a00_0000 + number))
                if number % 2 == 1 { match.set(.nwProto, 17) }
                return Rule(id: number, priority: 1, match: match, actions: [.output(DatapathPort(2))])
            }
        }
        for _ in 0..<10 {
            for number in 0..<20 { bench.ports[1]!.inject(frame(number)) }
            bench.run()
        }
        #expect(bench.sent()[2]?.count == 200)
        let hits = bench.datapath.pmdStatistics()[0].cacheHits
        switch inverse {
        case nil, 1: #expect(hits >= 140)
        default: #expect(hits == 0)
        }
    }

    /// `tx-flush-interval`: batches wait until they are full or their time has come; none is sent by a port that went.
    @Test func batchesWaitForTheirInterval() throws {
        var settings = Bench.stillSettings
        settings.transmitFlushMicroseconds = 4_000_000_000
        let bench = try Bench(ports: 2, settings: settings)
        defer { bench.close() }
        bench.translator.change { $0.rules = [AccountingTests.rule(1, [.output(DatapathPort(2))])] }
        for number in 0..<40 { bench.ports[1]!.inject(frame(number)) }
        bench.run()
        #expect(bench.sent()[2]?.count == 32)
        settings.transmitFlushMicroseconds = 0
        try bench.datapath.apply(settings)
        bench.run()
        #expect(bench.sent()[2]?.count == 8)
        settings.transmitFlushMicroseconds = 4_000_000_000
        try bench.datapath.apply(settings)
        bench.run()
        for number in 0..<5 { bench.ports[1]!.inject(frame(number)) }
        bench.run()
        bench.remove(2)
        settings.transmitFlushMicroseconds = 0
        try bench.datapath.apply(settings)
        bench.run()
        bench.checkAccounting()
        #expect(bench.counters(1).forwardedPackets == 40)
        #expect(bench.counters(1).drops[Int(DropReason.outputPortClosed.rawValue)] == 5)
    }

    /// `pmd-auto-lb`: a minute of overload and a plan that helps move queues, and the next move is a minute away.
    @Test(.enabled(if: SettingsTests.hasTwoCPUs), arguments: [true, false])
    func overloadedThreadsGiveQueuesAway(isOn: Bool) throws {
        var settings = Bench.stillSettings
        settings.assignment = .roundrobin
        settings.balancesAutomatically = isOn
        let bench = try Bench(ports: 4, settings: settings)
        defer { bench.close() }
        settings.pmdCPUs = Set(bench.datapath.usableCPUs.prefix(2))
        try bench.datapath.apply(settings)
        settings.assignment = .group
        bench.datapath.control.withLock { $0.settings = settings }
        func places() -> [UInt32: Int] {
            Dictionary(uniqueKeysWithValues: bench.datapath.receiveQueuePlacement().map { ($0.port.rawValue, $0.cpu) })
        }
        // Dealt in turn: 1 and 3 together. They are the ones with work to do.
        #expect(places()[1] == places()[3] && places()[1] != places()[2])
        func pass(_ cost: [UInt32: UInt64]) {
            bench.datapath.control.withLock { control in
                for (port, cycles) in cost {
                    control.ports[port]!.queues[0].counters[QueueCounter.cycles].wrappingAdd(cycles, ordering: .relaxed)
                }
                for thread in control.pmds.values {
                    let busy = control.ports.values.filter { $0.queues[0].slot == thread.slot }.reduce(0) { $0 + (cost[$1.number] ?? 0) }
                    bump(thread.state.pointee.statistics + WorkerCounter.busyCycles, busy)
                    bump(thread.state.pointee.statistics + WorkerCounter.idleCycles, 1000 - min(1000, busy))
                }
            }
            bench.clock.warp(milliseconds: 5000)
            bench.datapath.runMaintenance(isWhole: false)
        }
        for _ in 0..<11 { pass([1: 500, 3: 480]) }
        #expect(places()[1] == places()[3])
        for _ in 0..<3 { pass([1: 500, 3: 480]) }
        #expect((places()[1] != places()[3]) == isOn)
        guard isOn else { return }
        // Now two others that are together are too much for one thread: but not so soon.
        let before = places()
        #expect(before[2] == before[4])
        for _ in 0..<8 { pass([2: 500, 4: 490]) }
        #expect(places() == before)
        for _ in 0..<8 { pass([2: 500, 4: 490]) }
        #expect(places()[2] != places()[4])
    }

    static var hasTwoCPUs: Bool {
        let translator = RuleTranslator()
        let datapath = Datapath(translator: translator, clock: Clock(), versions: translator.versions, settings: Bench.stillSettings)
        defer { datapath.shutdown() }
        return datapath.usableCPUs.count > 1
    }
}
