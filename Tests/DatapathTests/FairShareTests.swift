import Base
@testable import Datapath
import DatapathAPI
import Flow
import Netdev
import Synchronization
import Testing

/// Ports of one thread get equal shares of its time: see `Burst.pollOnce`.
@Suite struct FairShareTests {
    private static let ahead: UInt64 = 1 << 40

    private static func bench() throws -> Bench {
        let bench = try Bench(ports: 3)
        bench.translator.change { state in
            state.rules = [Rule(id: 1, priority: 1, match: Match(), actions: [.output(DatapathPort(3))])]
        }
        for port in [1, 2] as [UInt32] { bench.ports[port]!.inject(frame(port)) }
        bench.run()
        return bench
    }

    private static func frame(_ port: UInt32) -> [UInt8] { Frames.ip(src: port, dst: 2, sport: 3, dport: 4) }

    /// As if `port` had taken so much of the threads' time that others are owed some.
    private static func putAhead(_ port: UInt32, _ bench: Bench) {
        for worker in bench.datapath.workers.withLock({ $0 }) {
            let turn = worker.state.pointee.portCounter(port, PortCounter.turn)
            turn.pointee.store(worker.state.pointee.shareFloor + ahead, ordering: .relaxed)
        }
    }

    @Test func aPortAheadWaitsWhileOthersHavePackets() throws {
        let bench = try FairShareTests.bench()
        defer { bench.close() }
        FairShareTests.putAhead(1, bench)
        for _ in 0..<64 { for port in [1, 2] as [UInt32] { bench.ports[port]!.inject(FairShareTests.frame(port)) } }
        for round in 1...2 as ClosedRange<UInt64> {
            _ = bench.datapath.runOnce()
            #expect(bench.counters(1).receivedPackets == 1)
            #expect(bench.counters(2).receivedPackets == 1 + 32 * round)
        }
        bench.run()
        #expect(bench.counters(1).receivedPackets == 65)
        bench.checkAccounting()
    }

    @Test func nobodyWaitsForAPortWithoutPackets() throws {
        let bench = try FairShareTests.bench()
        defer { bench.close() }
        FairShareTests.putAhead(1, bench)
        bench.ports[1]!.inject(FairShareTests.frame(1))
        #expect(bench.datapath.runOnce() == 1)
        // What a port did not use is not saved up for it.
        FairShareTests.putAhead(1, bench)
        FairShareTests.putAhead(2, bench)
        for port in [1, 2] as [UInt32] { bench.ports[port]!.inject(FairShareTests.frame(port)) }
        #expect(bench.datapath.runOnce() == 2)
    }

    @Test func anotherListOfQueuesForgivesWhoWasAhead() throws {
        let bench = try FairShareTests.bench()
        defer { bench.close() }
        FairShareTests.putAhead(1, bench)
        try bench.add(4)
        for port in [1, 2] as [UInt32] { bench.ports[port]!.inject(FairShareTests.frame(port)) }
        #expect(bench.datapath.runOnce() == 2)
    }
}
