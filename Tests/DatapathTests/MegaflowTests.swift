import Base
import CLinux
@testable import Datapath
import DatapathAPI
import Flow
import Netdev
import Synchronization
import Testing

@Suite struct MegaflowTests {
    static func udp(_ destination: UInt32, port: UInt16 = 4) -> [UInt8] {
        Frames.ip(src: 0x0a00_0001, dst: destination, sport: 3, dport: port)
    }

    @Test func aChangeHoldsForTheNextPacket() throws {
        let bench = try Bench(ports: 3)
        defer { bench.close() }
        for round in 0..<20 {
            let out = DatapathPort(round % 2 == 0 ? 2 : 3)
            bench.translator.change { $0.rules = [AccountingTests.rule(1, [.output(out)])] }
            if round % 5 == 4 { bench.datapath.runMaintenance() }
            for _ in 0..<10 { bench.ports[1]!.inject(MegaflowTests.udp(1)) }
            bench.run()
            #expect(bench.sent() == [out.rawValue: Array(repeating: MegaflowTests.udp(1), count: 10)])
        }
        // One megaflow all along, and nothing it counted was lost.
        bench.datapath.runMaintenance()
        bench.datapath.runMaintenance()
        let flows = bench.datapath.megaflows()
        #expect(flows.count == 1 && flows.first?.packets == 200)
        #expect(bench.translator.state.withLock { $0.packets[1] } == 200)
    }

    /// Stamps of bursts come round; what an earlier burst of the same stamp left must not be taken for this one's.
    @Test func groupStampsComeRound() throws {
        let bench = try Bench(ports: 2)
        defer { bench.close() }
        bench.translator.change { state in
            // Cut packets take the long way, which groups.
            state.rules = [AccountingTests.rule(1, [.truncate(maxLength: 1000), .output(DatapathPort(2))])]
            state.extraMask.add(.nwDst)
        }
        func burst() {
            for destination in 0..<8 as Range<UInt32> { bench.ports[1]!.inject(MegaflowTests.udp(destination)) }
            bench.run()
            #expect(bench.sent()[2]?.count == 8)
        }
        burst()
        let worker = bench.datapath.control.withLock { $0.pmds.values.first! }.state
        let first = worker.pointee.stamp
        worker.pointee.stamp = 0xff_ffff - 1
        for _ in 0..<4 { burst() }
        #expect(worker.pointee.stamp < 8 && first > 0)
        let flows = bench.datapath.megaflows()
        #expect(flows.count == 8 && flows.allSatisfy { $0.packets == 5 })
    }

    @Test func unrelatedChangesKeepMegaflows() throws {
        let bench = try Bench(ports: 2)
        defer { bench.close() }
        bench.translator.change { $0.rules = [AccountingTests.rule(1, [.output(DatapathPort(2))])] }
        bench.ports[1]!.inject(MegaflowTests.udp(1))
        bench.run()
        for _ in 0..<10 {
            bench.translator.versions.stamp(.macLearning(hash: 3))
            bench.ports[1]!.inject(MegaflowTests.udp(1))
            bench.run()
            bench.datapath.runMaintenance()
        }
        #expect(bench.translator.state.withLock { $0.translations } == 1)
    }

    @Test func idleMegaflowsExpire() throws {
        let bench = try Bench(ports: 2)
        defer { bench.close() }
        bench.translator.change { state in
            state.rules = [AccountingTests.rule(1, [.output(DatapathPort(2))])]
            state.extraMask.add(.nwDst)
        }
        for destination in 0..<10 as Range<UInt32> { bench.ports[1]!.inject(MegaflowTests.udp(destination)) }
        bench.run()
        bench.datapath.runMaintenance()
        #expect(bench.datapath.megaflows().count == 10)
        bench.clock.warp(milliseconds: 9_000)
        bench.ports[1]!.inject(MegaflowTests.udp(3))
        bench.run()
        bench.clock.warp(milliseconds: 1_500)
        bench.datapath.runMaintenance()
        let left = bench.datapath.megaflows()
        #expect(left.count == 1 && left.first?.match.get(.nwDst).value == 3)
        #expect(bench.datapath.flowTableStatistics().expired == 9)
        // Entry numbers are used again, and begin at zero.
        bench.datapath.runMaintenance()
        for destination in 20..<40 as Range<UInt32> { bench.ports[1]!.inject(MegaflowTests.udp(destination)) }
        bench.run()
        let flows = bench.datapath.megaflows()
        #expect(flows.count == 21)
        #expect(flows.filter { $0.match.get(.nwDst).value != 3 }.allSatisfy { $0.packets == 1 })
        bench.datapath.runMaintenance()
        #expect(bench.translator.state.withLock { $0.packets[1] } == 31)
    }

    /// Changes that touch an idle megaflow again and again must not keep it for ever.
    @Test func newDecisionsAreNoUse() throws {
        let bench = try Bench(ports: 2)
        defer { bench.close() }
        bench.translator.change { $0.rules = [AccountingTests.rule(1, [.output(DatapathPort(2))])] }
        bench.ports[1]!.inject(MegaflowTests.udp(1))
        bench.run()
        bench.datapath.runMaintenance()
        for _ in 0..<3 {
            bench.clock.warp(milliseconds: 3_000)
            bench.translator.versions.stamp(.all)
            bench.datapath.runMaintenance()
            #expect(bench.datapath.flowTableStatistics().flows == 1)
        }
        #expect(bench.datapath.flowTableStatistics().retranslated == 3)
        bench.clock.warp(milliseconds: 1_500)
        bench.datapath.runMaintenance()
        #expect(bench.datapath.flowTableStatistics().flows == 0 && bench.datapath.flowTableStatistics().expired == 1)
    }

    @Test func theIdlestGoFirstAtTheLimit() throws {
        var settings = Bench.stillSettings
        settings.flowLimit = 64
        let bench = try Bench(ports: 2, settings: settings)
        defer { bench.close() }
        bench.translator.change { state in
            state.rules = [AccountingTests.rule(1, [.output(DatapathPort(2))])]
            state.extraMask.add(.nwDst)
        }
        for destination in 0..<64 as Range<UInt32> {
            bench.ports[1]!.inject(MegaflowTests.udp(destination))
            bench.run()
            bench.clock.warp(milliseconds: 10)
        }
        bench.ports[1]!.inject(MegaflowTests.udp(0))
        bench.run()
        // Beyond the limit: carried out, not installed, and maintenance makes room.
        bench.ports[1]!.inject(MegaflowTests.udp(1000))
        bench.run()
        #expect(bench.sent()[2]?.count == 66)
        #expect(bench.datapath.megaflows().count == 64)
        bench.datapath.runMaintenance()
        let kept = Set(bench.datapath.megaflows().map { UInt32($0.match.get(.nwDst).value) })
        #expect(kept.count == 60 && kept.contains(0) && !kept.contains(1) && kept.contains(63))
        #expect(bench.datapath.flowTableStatistics().evicted == 4)
    }

    @Test func aThousandFlowsAreFoundAgain() throws {
        let bench = try Bench(ports: 2)
        defer { bench.close() }
        bench.translator.change { state in
            state.rules = [AccountingTests.rule(1, [.output(DatapathPort(2))])]
            state.extraMask.add(.nwDst)
            state.extraMask.add(.udpDst)
        }
        for _ in 0..<3 {
            for flow in 0..<1000 as Range<UInt32> {
                bench.ports[1]!.inject(MegaflowTests.udp(flow / 10, port: UInt16(flow % 10)))
            }
            bench.run()
            #expect(bench.sent()[2]?.count == 1000)
        }
        #expect(bench.translator.state.withLock { $0.translations } == 1000)
        let flows = bench.datapath.megaflows()
        #expect(flows.count == 1000 && flows.allSatisfy { $0.packets == 3 })
        bench.datapath.removeAllFlows()
        #expect(bench.datapath.megaflows().isEmpty)
        bench.datapath.runMaintenance()
        #expect(bench.translator.state.withLock { $0.packets[1] } == 3000)
    }

    @Test func masksStayWithinTheirBudgets() throws {
        let bench = try Bench(ports: 2)
        defer { bench.close() }
        // What an attacker provokes: every combination of prefix lengths becomes a mask.
        for source in 1...32 {
            for destination in 1...32 where (source + destination) % 3 == 0 {
                bench.translator.state.withLock { state in
                    state.rules = [AccountingTests.rule(1, [.output(DatapathPort(2))])]
                    state.extraMask = FlowMask()
                    state.extraMask.bits[.nwSrc] = UInt128(UInt32.max << UInt32(32 - source))
                    state.extraMask.bits[.nwDst] = UInt128(UInt32.max << UInt32(32 - destination))
                }
                bench.ports[1]!.inject(
                    Frames.ip(src: 1 << UInt32(32 - source), dst: 1 << UInt32(32 - destination), sport: 1, dport: 2))
                bench.run()
            }
        }
        let statistics = bench.datapath.flowTableStatistics()
        #expect(statistics.masks <= DatapathLimits.exactMaskBudget + 8, "\(statistics)")
        #expect(statistics.laddered + statistics.exact > 0)
        bench.checkAccounting()
    }

    /// A rounded mask has all bits of the original, and is one of few.
    @Test func theLadderOnlyAddsBits() {
        var random = SplitMix64(seed: 11)
        var rungs: Set<String> = []
        for _ in 0..<300 {
            var mask = FlowMask()
            for _ in 0..<random.next() % 4 { mask.bits[Field.allCases[Int(random.next() % UInt64(Field.allCases.count))]] = .max }
            if random.next() % 2 == 0 { mask.bits[.nwSrc] = UInt128(UInt32.max << UInt32(random.next() % 32)) }
            if random.next() % 2 == 0 { mask.bits[.ipv6Dst] = UInt128.max << UInt128(random.next() % 128) }
            if random.next() % 4 == 0 { mask.bits[.tcpSrc] = UInt128(random.next() & 0xffff) }
            for word in FlowLayout.keyWords..<FlowKey.wordCount { mask.bits.words[word] = 0 }
            let rounded = MaskLadder.rounded(mask)
            #expect(rounded.isSuperset(of: mask))
            #expect(MaskLadder.rounded(rounded) == rounded)
            let exact = MaskLadder.exact(mask, lines: .base)
            #expect(exact.isSuperset(of: mask))
            var only = FlowMask()
            only.bits[.nwSrc] = mask.bits[.nwSrc]
            rungs.insert("\(MaskLadder.rounded(only).bits[.nwSrc])")
        }
        #expect(rungs.count <= 5)
    }
}

/// What SIMD does, against its scalar twin.
@Suite struct MatchEightTests {
    @Test func findsWhatALoopFinds() {
        var random = SplitMix64(seed: 5)
        let words = UnsafeMutableRawPointer.allocate(byteCount: 32, alignment: 32).assumingMemoryBound(to: UInt32.self)
        defer { words.deallocate() }
        for _ in 0..<1000 {
            for index in 0..<8 { words[index] = UInt32(random.next() % 4) }
            let wanted = UInt32(random.next() % 4)
            let twin = (0..<8).reduce(UInt32(0)) { words[$1] == wanted ? $0 | 1 << UInt32($1) : $0 }
            #expect(clinux_match_8(words, wanted) == twin)
        }
    }
}
