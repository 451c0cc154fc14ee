// Meters and selections as the datapath carries them out, on a stopped clock.

import Base
import DatapathAPI
import Flow
import Netdev
import Testing

@testable import Datapath

@Suite struct TokenBucketTests {
    /// What passes of a load that is `load` times the rate, in `milliseconds`, in bursts of up to 32 packets and a millisecond.
    private func passed(rate: Double, amount: UInt32, load: Double, milliseconds: Int) -> Double {
        let burst = max(1, min(32, Int(rate * load / Double(amount) / 1000)))
        let bucket = UnsafeMutableRawPointer.allocate(byteCount: TokenBucket.byteCount, alignment: 64)
        defer { bucket.deallocate() }
        TokenBucket.initialize(bucket, rate: rate, burst: nil, now: 0)
        let amounts = [UInt32](repeating: amount, count: burst)
        let nanosecondsPerBurst = Double(amount) * Double(burst) / (rate * load) * 1e9
        var taken = 0
        var time = 0.0
        while time < Double(milliseconds) * 1e6 {
            time += nanosecondsPerBurst
            let exceeding = TokenBucket.take(bucket, amounts, burst, now: TokenBucket.time(UInt64(time), since: 0))
            taken += burst - exceeding.nonzeroBitCount
        }
        return Double(taken) * Double(amount)
    }

    /// Bits a second, and bits a packet: within 2 % over the first second and over a later one, whatever is offered.
    @Test(arguments: [1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 4e10], [UInt32(512), 12_112, 72_000])
    func isAccurate(_ rate: Double, _ bits: UInt32) {
        for load in [1.5, 2, 10] {
            // No more packets than 50,000, whatever the rate.
            let milliseconds = max(30, min(1000, Int(50_000 * Double(bits) / (rate * load) * 1000)))
            let wanted = rate * Double(milliseconds) / 1000
            // A packet more, and what the bucket had at the beginning: a hundredth of a second's.
            let got = passed(rate: rate, amount: bits, load: load, milliseconds: milliseconds) - rate * 0.01
            #expect(abs(got - wanted) <= wanted * 0.002 + 2 * Double(bits), "\(rate) bit/s, \(bits) bits, load \(load): \(got)")
        }
    }

    @Test func isAccurateOverASecond() {
        let cases: [(Double, UInt32)] = [(1e5, 512), (1e6, 512), (1e7, 12_112), (1e8, 12_112), (4e8, 12_112)]
        for (rate, bits) in cases {
            let got = passed(rate: rate, amount: bits, load: 3, milliseconds: 1000)
            #expect(abs(got / rate - 1) < 0.02, "\(rate) bit/s: \(got)")
        }
        for rate in [100.0, 1000, 10_000, 30_000] {
            let got = passed(rate: rate, amount: 1, load: 3, milliseconds: 1000)
            #expect(abs(got / rate - 1) < 0.02 + 1 / rate, "\(rate) packets/s: \(got)")
        }
    }

    @Test func whatConformsPasses() {
        let bits: UInt32 = 512
        #expect(passed(rate: 1e6, amount: bits, load: 0.99, milliseconds: 1000) >= 0.98e6)
    }

    @Test func burstsAreStrict() {
        let bucket = UnsafeMutableRawPointer.allocate(byteCount: TokenBucket.byteCount, alignment: 64)
        defer { bucket.deallocate() }
        TokenBucket.initialize(bucket, rate: 1000, burst: 2000, now: 0)
        // Four packets of 480 bits, but not a fifth; a second later two.
        #expect(TokenBucket.take(bucket, [480, 480, 480, 480, 480], 5, now: 0) == 0b10000)
        #expect(TokenBucket.take(bucket, [480, 480, 480], 3, now: TokenBucket.time(1_000_000_000, since: 0)) == 0b100)
        // A longer one that never fits does not keep a shorter one out.
        #expect(TokenBucket.take(bucket, [9000, 480], 2, now: TokenBucket.time(60_000_000_000, since: 0)) == 0b01)
        TokenBucket.initialize(bucket, rate: 0, burst: nil, now: 0)
        #expect(TokenBucket.take(bucket, [1, 1], 2, now: .max) == 0b11)
        // The longest idle time and the slowest rate.
        TokenBucket.initialize(bucket, rate: 1, burst: 4_294_967_295_000, now: 0)
        #expect(TokenBucket.takeOne(bucket, .max, now: TokenBucket.time(100_000_000_000_000_000, since: 0)))
    }

    @Test func threadsShareABucket() async {
        nonisolated(unsafe) let bucket = UnsafeMutableRawPointer.allocate(byteCount: TokenBucket.byteCount, alignment: 64)
        defer { bucket.deallocate() }
        TokenBucket.initialize(bucket, rate: 1000, burst: 50_000, now: 0)
        let total = await withTaskGroup(of: Int.self) { group in
            for _ in 0..<4 {
                group.addTask {
                    var taken = 0
                    for _ in 0..<20_000 where TokenBucket.takeOne(bucket, 1, now: 0) { taken += 1 }
                    return taken
                }
            }
            return await group.reduce(0, +)
        }
        #expect(total == 50_000)
    }
}

@Suite struct DatapathMeterTests {
    func frame(_ size: Int, tos: UInt8 = 0) -> [UInt8] {
        var frame = Frames.ip(src: 0x0a00_0001, dst: 0x0a00_0002, sport: 3, dport: 4)
        frame[15] = tos
        return frame + [UInt8](repeating: 0, count: max(0, size - frame.count))
    }

    @Test func dropsWhatExceedsAndCountsIt() throws {
        let bench = try Bench(ports: 2)
        defer { bench.close() }
        bench.translator.change { $0.rules = [AccountingTests.rule(1, [.meter(7), .output(DatapathPort(2))])] }
        bench.datapath.setMeter(7, DatapathMeter(isPacketRate: true, bands: [.init(rate: 10, burst: 5)]))
        for _ in 0..<20 { bench.ports[1]!.inject(frame(60)) }
        bench.run()
        #expect(bench.sent()[2]?.count == 5)
        bench.checkAccounting()
        #expect(bench.datapath.counters(of: DatapathPort(1))!.drops[Int(DropReason.meter.rawValue)] == 15)
        var counters = try #require(bench.datapath.meterCounters(7))
        #expect(counters.packets == 20 && counters.bytes == 1200 && counters.bands[0].packets == 15 && counters.bands[0].bytes == 900)
        // A second later ten more could, but the bucket holds five.
        bench.clock.warp(milliseconds: 1000)
        for _ in 0..<20 { bench.ports[1]!.inject(frame(60)) }
        bench.run()
        #expect(bench.sent()[2]?.count == 5)
        // A change keeps the meter's counts and begins its bands' anew.
        bench.datapath.setMeter(7, DatapathMeter(isPacketRate: true, bands: [.init(rate: 10, burst: 100)]))
        for _ in 0..<20 { bench.ports[1]!.inject(frame(60)) }
        bench.run()
        #expect(bench.sent()[2]?.count == 20)
        counters = try #require(bench.datapath.meterCounters(7))
        #expect(counters.packets == 60 && counters.bands[0].packets == 0)
        bench.datapath.removeMeter(7)
        #expect(bench.datapath.meterCounters(7) == nil)
        for _ in 0..<200 { bench.ports[1]!.inject(frame(60)) }
        bench.run()
        #expect(bench.sent()[2]?.count == 200)
        bench.checkAccounting()
    }

    @Test func aMeterOfACopyDropsTheCopyOnly() throws {
        let bench = try Bench(ports: 3)
        defer { bench.close() }
        bench.translator.change {
            $0.rules = [
                AccountingTests.rule(1, port: 1, [.clone([.meter(0), .output(DatapathPort(2))]), .output(DatapathPort(3))]),
                AccountingTests.rule(2, port: 2, [.output(DatapathPort(3)), .meter(0), .output(DatapathPort(1))]),
                AccountingTests.rule(3, port: 3, [.meter(0), .drop(.policy)]),
            ]
        }
        bench.datapath.setMeter(0, DatapathMeter(isPacketRate: true, bands: [.init(rate: 1, burst: 2)]))
        for _ in 0..<6 { bench.ports[1]!.inject(frame(60)) }
        bench.run()
        var sent = bench.sent()
        #expect(sent[2]?.count == 2 && sent[3]?.count == 6)
        bench.clock.warp(milliseconds: 10_000)
        for _ in 0..<6 { bench.ports[2]!.inject(frame(60)) }
        bench.run()
        sent = bench.sent()
        #expect(sent[1]?.count == 2 && sent[3]?.count == 6)
        for _ in 0..<6 { bench.ports[3]!.inject(frame(60)) }
        bench.run()
        bench.checkAccounting()
        #expect(bench.datapath.meterCounters(0)?.packets == 18)
        #expect(bench.datapath.counters(of: DatapathPort(3))!.drops[Int(DropReason.meter.rawValue)] == 6)
    }

    @Test func theBandOfTheHighestRateDecides() throws {
        let bench = try Bench(ports: 2)
        defer { bench.close() }
        bench.translator.change { $0.rules = [AccountingTests.rule(1, [.meter(0), .output(DatapathPort(2))])] }
        bench.datapath.setMeter(
            0, DatapathMeter(isPacketRate: true, bands: [.init(rate: 1, burst: 4, remark: 1), .init(rate: 5, burst: 10)]))
        for _ in 0..<20 { bench.ports[1]!.inject(frame(60, tos: 10 << 2)) }
        bench.run()
        let sent = bench.sent()[2] ?? []
        // Four as they are, six with a higher drop precedence (AF11 to AF12), ten not at all.
        #expect(sent.map { $0[15] >> 2 } == [10, 10, 10, 10, 12, 12, 12, 12, 12, 12])
        bench.checkAccounting()
        let counters = try #require(bench.datapath.meterCounters(0))
        #expect(counters.bands.map(\.packets) == [6, 10])
    }

    @Test func remarksRaiseTheDropPrecedence() {
        #expect(Meters.remarked(10, by: 1) == 12 && Meters.remarked(10, by: 2) == 14 && Meters.remarked(12, by: 5) == 14)
        #expect(Meters.remarked(24, by: 1) == 16 && Meters.remarked(8, by: 3) == 0 && Meters.remarked(0, by: 1) == 0)
        #expect(Meters.remarked(46, by: 1) == 46 && Meters.remarked(11, by: 1) == 11)
    }

    @Test func selectionsSpreadConnectionsAndKeepThem() throws {
        let bench = try Bench(ports: 4)
        defer { bench.close() }
        var first = AccountingTests.rule(1, [.select(algorithm: 1, basis: 0, recirculations: [8, 9, 9, 9])])
        first.match.set(.recircID, 0)
        var rules = [first]
        for (id, port) in [(8, 2), (9, 3)] {
            var rule = AccountingTests.rule(1, [.output(DatapathPort(UInt32(port)))])
            rule.id = id
            rule.match.set(.recircID, UInt128(id))
            rules.append(rule)
        }
        bench.translator.change { $0.rules = rules }
        for round in 0..<2 {
            for port in 0..<2000 {
                // Connections first, then stations whose packets differ in nothing but their addresses.
                bench.ports[1]!.inject(
                    Frames.ip(
                        src: 0x0a00_0001, dst: 0x0a00_0002, sport: round == 0 ? UInt16(port) : 7, dport: 80,
                        srcMAC: 0x02_0000_0000_01 + UInt64(round * port)))
                if port % 32 == 31 { bench.run() }
            }
            bench.run()
            let sent = bench.sent()
            let (few, many) = (sent[2]?.count ?? 0, sent[3]?.count ?? 0)
            #expect(few + many == 2000 && abs(few - 500) < 80, "round \(round): \(few), \(many)")
        }
        // Who asks for whom counts where that is all there is.
        for address in 0..<1000 {
            let sender = Frames.bytes(0x02_0000_0000_01, 6) + Frames.bytes(0x0a00_0001, 4)
            let target = Frames.bytes(0, 6) + Frames.bytes(UInt64(0x0a01_0000 + address), 4)
            bench.ports[1]!.inject(
                Frames.ethernet(dst: 0xffff_ffff_ffff, type: 0x0806, payload: [0, 1, 8, 0, 6, 4, 0, 1] + sender + target))
            if address % 32 == 31 { bench.run() }
        }
        bench.run()
        let asked = bench.sent()
        let few = asked[2]?.count ?? 0
        #expect(few + (asked[3]?.count ?? 0) == 1000 && abs(few - 250) < 60, "ARP: \(few)")
        bench.checkAccounting()
        // Both directions go the same way.
        for port in 0..<100 {
            bench.ports[1]!.inject(Frames.ip(src: 0x0a00_0001, dst: 0x0a00_0002, sport: UInt16(port), dport: 80))
            bench.run()
            let there = bench.sent()
            bench.ports[1]!.inject(
                Frames.ip(
                    src: 0x0a00_0002, dst: 0x0a00_0001, sport: 80, dport: UInt16(port), dstMAC: 0x02_0000_0000_01, srcMAC: 0x02_0000_0000_02
                ))
            bench.run()
            #expect(Set(there.keys) == Set(bench.sent().keys))
        }
    }
}
