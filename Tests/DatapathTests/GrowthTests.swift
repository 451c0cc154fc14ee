import Base
@testable import Datapath
import DatapathAPI
import Flow
import Netdev
import Synchronization
import Testing

/// Large tables, and ports that want all of them.
@Suite struct GrowthTests {
    private func frame(_ number: Int) -> [UInt8] { Frames.ip(src: 1, dst: 0x0a00_0000 + UInt32(number), sport: 3, dport: 4) }

    /// A bucket table is filled beside the old one while megaflows come, go and change: none is lost, none comes back.
    @Test func tablesGrowInSlices() throws {
        let bench = try Bench(ports: 2)
        defer { bench.close() }
        let table = bench.datapath.table
        table.withLock { table.growsAtOnce = false }
        bench.translator.change { state in
            state.rules = [AccountingTests.rule(1, [.output(DatapathPort(2))])]
            state.extraMask.add(.nwDst)
        }
        var hasMigrated = false
        var gone = 0
        let (total, step) = (9000, 250)
        for start in stride(from: 0, to: total, by: step) {
            for number in start..<start + step { bench.ports[1]!.inject(frame(number)) }
            bench.run()
            // Some of the old ones go.
            table.withLock {
                for entry in stride(from: UInt32(start + 1), to: UInt32(start + 50), by: 7) where table.isAlive(entry) {
                    table.removeLocked(entry)
                    gone += 1
                }
            }
            table.growTables(slices: 2)
            hasMigrated = hasMigrated || table.withLock { table.migration != nil }
            if start == 4500 {
                // Stale ones are replaced in both tables, and those that went come again.
                bench.translator.change { _ in }
                let before = bench.datapath.flowTableStatistics().flows
                for number in 0..<100 { bench.ports[1]!.inject(frame(number)) }
                bench.run()
                gone -= bench.datapath.flowTableStatistics().flows - before
            }
        }
        table.growTables()
        #expect(hasMigrated && table.withLock { !table.wantsGrowth })
        // Where both buckets were full before the larger table was there, an install waits for the flow's next packet.
        let statistics = bench.datapath.flowTableStatistics()
        #expect(statistics.flows <= total - gone && statistics.flows + Int(statistics.installsRefused) >= total - gone)
        #expect(statistics.installsRefused < 100)
        // Those that went come again, all others are found.
        let before = bench.translator.state.withLock { $0.translations }
        for start in stride(from: 0, to: total, by: step) {
            for number in start..<start + step { bench.ports[1]!.inject(frame(number)) }
            bench.run()
        }
        #expect(bench.datapath.flowTableStatistics().flows == total)
        #expect(bench.translator.state.withLock { $0.translations } - before >= gone)
        _ = bench.sent()
        bench.checkAccounting()
    }

    /// After a change that makes decisions coarser, packets of many narrow megaflows, stale all of them, bring one megaflow, not one
    /// each under the same key.
    @Test func coarserDecisionsAreInstalledOnce() throws {
        let bench = try Bench(ports: 2)
        defer { bench.close() }
        let table = bench.datapath.table
        bench.translator.change { state in
            state.rules = [AccountingTests.rule(1, [.output(DatapathPort(2))])]
            state.extraMask.add(.nwDst)
        }
        func play() {
            for number in 0..<500 { bench.ports[1]!.inject(frame(number)) }
            bench.run()
            _ = bench.sent()
        }
        for round in 1...3 {
            bench.translator.change { $0.extraMask.add(.nwDst) }
            play()
            #expect(bench.datapath.flowTableStatistics().flows >= 500)
            bench.translator.change { $0.extraMask = FlowMask() }
            play()
            // Stale ones that no packet met any more are left.
            let coarse = bench.datapath.megaflows().filter { $0.match.mask.bits[.nwDst] == 0 }
            #expect(coarse.count == 1, "round \(round)")
        }
        table.growTables()
        #expect(table.withLock { table.subtables.allSatisfy { ($0?.buckets ?? 0) <= 1024 } })
        bench.checkAccounting()
    }

    /// A port that floods the table leaves room for others, and is the one whose megaflows are evicted.
    @Test func aFloodLeavesRoom() throws {
        var settings = Bench.stillSettings
        settings.flowLimit = 320
        let bench = try Bench(ports: 3, settings: settings)
        defer { bench.close() }
        bench.translator.change { state in
            state.rules = [AccountingTests.rule(1, [.output(DatapathPort(3))])]
            state.extraMask.add(.nwDst)
        }
        func play(_ port: UInt32, _ numbers: Range<Int>) {
            for number in numbers { bench.ports[port]!.inject(frame(number)) }
            bench.run()
            _ = bench.sent()
        }
        func flows(_ port: UInt32) -> Int { bench.datapath.megaflows().filter { $0.match.key[.datapathInPort] == UInt128(port) }.count }
        play(2, 0..<1)
        play(1, 0..<600)
        #expect(flows(1) == 299)
        play(2, 0..<15)
        #expect(flows(2) == 15)
        bench.clock.warp(milliseconds: 10)
        bench.datapath.runMaintenance()
        #expect(flows(2) == 15 && flows(1) < 299)
        bench.checkAccounting()
    }

    /// Answers under a mask of its own for each port and destination.
    final class MaskTranslator: PacketTranslator {
        let versions = DependencyVersions()
        func translate(
            _ key: borrowing FlowKey, packet: UnsafeRawBufferPointer, hasSideEffects: Bool, into translation: inout Translation
        ) {
            translation.reset()
            translation.sequence = versions.sequence
            translation.actions = [.output(DatapathPort(99))]
            let (port, number) = (key[.datapathInPort], key[.nwDst] & 0xff)
            translation.mask.add(.nwDst)
            translation.mask.bits[.nwSrc] = (port * 64 + number) & 0xffff
        }
        func credit(_ effects: any TranslationEffects, _ delta: FlowStatisticsDelta) {}
        func receive(_ packet: PuntedPacket) {}
    }

    /// Forty ports that each make as many masks as they can do not use the masks up.
    @Test func masksStayWithinTheirBudget() throws {
        let translator = MaskTranslator()
        let datapath = Datapath(
            translator: translator, clock: Clock(stoppedAt: Instant(nanoseconds: 1)), versions: translator.versions,
            settings: Bench.stillSettings, seed: 7)
        defer { datapath.shutdown() }
        var ports: [DummyPort] = []
        defer { ports.forEach { $0.close() } }
        for number in 1...40 as ClosedRange<UInt32> {
            let port = try DummyPort(NetdevConfiguration(name: "d\(number)", kind: .dummy))
            try datapath.addPort(port, number: DatapathPort(number))
            ports.append(port)
            for destination in 0..<64 { port.inject(frame(destination)) }
            while datapath.runOnce() > 0 {}
        }
        let statistics = datapath.flowTableStatistics()
        #expect(statistics.flows == 40 * 64 && statistics.installsRefused == 0)
        #expect(statistics.masks > 1000 && statistics.masks < 1600, "\(statistics)")
    }

    /// With thousands of megaflows that are exact in an address, a rule for one address is compared with one of them, whichever field
    /// they differ in, and whatever came and went.
    @Test(arguments: [true, false]) func changesOfOneAddressAreComparedWithFewMegaflows(isSource: Bool) throws {
        let bench = try Bench(ports: 2)
        defer { bench.close() }
        bench.translator.change { state in
            state.rules = [AccountingTests.rule(1, [.output(DatapathPort(2))])]
            state.rewrittenWords = 0
            state.extraMask.add(.ethType)
            state.extraMask.add(.nwSrc)
            state.extraMask.add(.nwDst)
        }
        func frame(_ number: Int) -> [UInt8] {
            let address = 0x0a00_0000 + UInt32(number)
            return Frames.ip(src: isSource ? address : 1, dst: isSource ? 1 : address, sport: 3, dport: 4)
        }
        let total = 3000
        for start in stride(from: 0, to: total, by: 250) {
            for number in start..<start + 250 { bench.ports[1]!.inject(frame(number)) }
            bench.run()
        }
        let table = bench.datapath.table
        table.withLock {
            for entry in stride(from: UInt32(1), to: UInt32(total), by: 3) where table.isAlive(entry) { table.removeLocked(entry) }
        }
        let left = bench.datapath.flowTableStatistics().flows
        #expect(left < total && left >= total * 2 / 3 - 1)
        var compared = 0
        var stale = 0
        for number in 0..<total {
            var match = CompactMatch()
            match.set(.ethType, 0x0800)
            match.set(isSource ? .nwSrc : .nwDst, 0x0a00_0000 + UInt128(number))
            let change = TableChange(slots: .all, match: match, inPort: nil)
            compared += table.noteChanges([change], versions: bench.translator.versions)
            table.invalidate([change])
        }
        // Each of them once; and all of them are stale then.
        #expect(compared == left)
        table.withLock {
            for entry in UInt32(1)..<table.nextUnused where table.isAlive(entry) && !table.isCurrent(entry) { stale += 1 }
        }
        #expect(stale == left)
    }
}
