import Base
@testable import Datapath
import DatapathAPI
import Flow
import Netdev
import Synchronization
import Testing

/// Bursts of which every packet just leaves by a port take a short way through lookup and actions; the first burst of a flow,
/// which is translated, takes the long one. Both must do the same.
@Suite struct ShortWayTests {
    private static let macs: (UInt128, UInt128) = (0x0a0b_0c0d_0e0f, 0x0102_0304_0506)

    private static func actions(_ number: Int) -> [DatapathAction] {
        let destination = DatapathAction.set(.ethDst, value: macs.0, mask: 0xffff_ffff_ffff)
        let source = DatapathAction.set(.ethSrc, value: macs.1, mask: 0xffff_ffff_ffff)
        let ttl = DatapathAction.set(.nwTTL, value: 63, mask: 0xff)
        let changes: [[DatapathAction]] = [
            [], [destination], [source, ttl], [destination, source, ttl], [ttl], [ttl, destination], [ttl, source, destination], [source],
        ]
        return changes[number % changes.count] + [.output(DatapathPort(UInt32(2 + number % 3)))]
    }

    /// Rules for destinations, a few or many; with a second field in every other rule, so that there are several masks.
    private static func rules(_ count: Int, mixesMasks: Bool) -> [Rule] {
        (0..<count).map { number in
            var match = Match()
            match.set(.ethType, 0x0800)
            match.set(.nwDst, UInt128(0x0a00_0000 + number))
            if mixesMasks, number % 2 == 1 {
                match.set(.nwProto, 17)
                match.set(.udpDst, 4)
            }
            return Rule(id: number, priority: 1, match: match, actions: actions(number))
        }
    }

    /// What left by each port, flow by flow: between flows the order is free.
    private static func flows(_ sent: [UInt32: [[UInt8]]]) -> [String: [[UInt8]]] {
        var result: [String: [[UInt8]]] = [:]
        for (port, frames) in sent {
            for frame in frames {
                result["\(port) \(frame[12..<14]) \(frame.count >= 34 ? frame[30..<34] : [])", default: []].append(frame)
            }
        }
        return result
    }

    @Test(arguments: [1, 2, 3, 4, 5, 40], [false, true])
    func bothWaysAgree(rules count: Int, mixesMasks: Bool) throws {
        let bench = try Bench(ports: 4)
        defer { bench.close() }
        bench.translator.change { $0.rules = ShortWayTests.rules(count, mixesMasks: mixesMasks) }
        var frames = (0..<75).map { number in
            Frames.ip(src: 0x0a00_0001, dst: 0x0a00_0000 + UInt32(number * 7 % count), sport: 3, dport: 4, tag: UInt32(number))
        }
        for withOthers in [false, true] {
            if withOthers {
                // What extraction cannot take the short way with.
                frames.insert(Frames.ip(src: 1, dst: 0x0a00_0000, sport: 3, dport: 4, vlan: 5), at: 3)
                frames.insert(Frames.ipv6(src: 1, dst: 2, sport: 3, dport: 4, tag: 5), at: 40)
                frames.insert([1, 2, 3], at: 41)
            }
            var rounds: [[String: [[UInt8]]]] = []
            for _ in 0..<4 {
                for frame in frames { bench.ports[1]!.inject(frame) }
                bench.run()
                rounds.append(ShortWayTests.flows(bench.sent()))
            }
            #expect(rounds.dropFirst().allSatisfy { $0 == rounds[0] })
            // Of the others, only the tagged one has a rule.
            #expect(rounds[0].values.reduce(0) { $0 + $1.count } == 75 + (withOthers ? 1 : 0))
            bench.checkAccounting()
        }
        bench.datapath.runMaintenance()
        bench.datapath.runMaintenance()
        let counted = bench.datapath.megaflows().reduce(UInt64(0)) { $0 + $1.packets }
        #expect(counted == UInt64(8 * 75 + 4 * 2))
        #expect(bench.translator.state.withLock { $0.translations } < 60)
    }

    /// Batches fill up across bursts and input ports, and what a port refuses is dropped under the port it came in by.
    @Test func fullPortsAreCountedAtTheirSources() throws {
        let bench = try Bench(ports: 3)
        defer { bench.close() }
        bench.translator.change { $0.rules = [AccountingTests.rule(1, [.output(DatapathPort(3))])] }
        for _ in 0..<3 {
            for port in [1, 2] as [UInt32] {
                for number in 0..<1000 { bench.ports[port]!.inject(Frames.ip(src: port, dst: 1, sport: 3, dport: 4, tag: UInt32(number))) }
            }
            bench.run()
            bench.checkAccounting()
        }
        // The transmit ring holds 4095; nobody took anything out.
        let left = UInt64(bench.sent()[3]?.count ?? 0)
        let counters = [bench.counters(1), bench.counters(2)]
        #expect(left == 4095 && counters.reduce(0) { $0 + $1.forwardedPackets } == left)
        #expect(counters.reduce(0) { $0 + $1.receivedPackets } == left + counters.reduce(0) { $0 + $1.drops.reduce(0, +) })
    }

    /// A frame longer than the output takes is dropped, its neighbours are not.
    @Test func longFramesAreDroppedAlone() throws {
        let bench = try Bench(ports: 2)
        defer { bench.close() }
        bench.translator.change { $0.rules = [AccountingTests.rule(1, [.output(DatapathPort(2))])] }
        for _ in 0..<3 {
            for number in 0..<8 as Range<UInt32> {
                bench.ports[1]!.inject(Frames.ip(src: 1, dst: 1, sport: 3, dport: 4, tag: number, padding: number == 4 ? 1490 : 0))
            }
            bench.run()
            #expect(bench.sent()[2]?.count == 7)
        }
        bench.checkAccounting()
        #expect(bench.counters(1).drops[Int(DropReason.oversize.rawValue)] == 3)
    }

    /// The hash with what is known left out is the hash.
    @Test func commonHashesAreHashes() {
        let secrets = UnsafeMutablePointer<UInt64>.allocate(capacity: 16)
        let memory = UnsafeMutablePointer<UInt64>.allocate(capacity: 16)
        defer {
            secrets.deallocate()
            memory.deallocate()
        }
        var random = SplitMix64(seed: 3)
        for index in 0..<16 { secrets[index] = random.next() | 1 }
        let (key, mask) = (memory, memory + 8)
        for round in 0..<200 {
            for index in 0..<8 {
                key[index] = random.next()
                mask[index] = round >> (index % 4) & 1 == 0 ? 0 : random.next()
            }
            key[0] = BurstTraits.commonWord(9)
            mask[0] = .max
            key[2] &= 0xffff_ffff
            key[6] = 0
            key[7] = 0
            let hasher = CommonHash(secrets, UnsafeMutableRawPointer(mask), BurstTraits.commonWord(9))
            #expect(hasher.hash(key) == KeyedHash.maskedLine(key, mask, secrets, 0) | 1 << 63)
        }
    }

    /// The scan of a bucket finds what its slots have, in each of them.
    @Test func scansBuckets() {
        let bucket = UnsafeMutableRawPointer.allocate(byteCount: 64, alignment: 64)
        defer { bucket.deallocate() }
        for slot in 0..<FlowLayout.slotsPerBucket {
            bucket.initializeMemory(as: UInt64.self, repeating: 0, count: 8)
            bucket.storeBytes(of: 3, toByteOffset: 56, as: UInt64.self)
            let hash: UInt64 = 0x8765_4321_0000_0000 | UInt64(slot)
            #expect(FlowReader.scanBucket(bucket, hash) == 0)
            for other in 0..<FlowLayout.slotsPerBucket {
                bucket.storeBytes(of: UInt64(0x8000_0000 + other) << 32 | 77, toByteOffset: other * 8, as: UInt64.self)
            }
            bucket.storeBytes(of: 0x8765_4321_0000_1234, toByteOffset: slot * 8, as: UInt64.self)
            #expect(FlowReader.scanBucket(bucket, hash) == 0x1234)
        }
    }
}
