// Cache and megaflows against the translator's own decision, under random rules, packets and changes.

import Base
@testable import Datapath
import DatapathAPI
import Flow
import Netdev
import Synchronization
import Testing

@Suite struct OracleTests {
    /// Small value sets, so that rules and packets meet.
    struct Generator {
        var random: SplitMix64
        mutating func below(_ count: Int) -> Int { Int(random.next() % UInt64(count)) }
        mutating func pick<T>(_ values: [T]) -> T { values[below(values.count)] }

        mutating func address() -> UInt32 {
            0x0a00_0000 | UInt32(below(2)) << 16 | UInt32(below(3)) << 8 | UInt32(below(6))
        }
        mutating func wideAddress() -> UInt128 { 0x2001_0db8 << 96 | UInt128(below(3)) << 64 | UInt128(below(5)) }

        mutating func frame(tag: UInt32) -> [UInt8] {
            switch below(8) {
            case 0:
                return Frames.ipv6(
                    src: wideAddress(), dst: wideAddress(), sport: UInt16(1000 + below(3)), dport: UInt16(below(3)), tag: tag)
            case 1: return Frames.ethernet(type: 0x88cc, payload: Frames.bytes(UInt64(tag), 4) + [UInt8](repeating: 1, count: below(40)))
            case 2: return Frames.bytes(UInt64(tag), 4) + [UInt8](repeating: 9, count: below(9))
            default:
                let vlan: UInt16? = below(4) == 0 ? UInt16(10 + below(2)) : nil
                return Frames.ip(
                    src: address(), dst: address(), proto: pick([6, 17]), sport: UInt16(1000 + below(4)), dport: UInt16(below(4)),
                    tag: tag, vlan: vlan, dstMAC: 0x02_0000_0000_00 + UInt64(below(4)), srcMAC: 0x02_0000_0000_10 + UInt64(below(3)))
            }
        }

        mutating func match() -> Match {
            var match = Match()
            if below(4) == 0 { match.set(.datapathInPort, UInt128(1 + below(4))) }
            switch below(5) {
            case 0: break
            case 1:
                match.set(.ethType, 0x86dd)
                if below(2) == 0 { match.set(.ipv6Dst, wideAddress(), mask: UInt128.max << UInt128(pick([0, 3, 64]))) }
            default:
                match.set(.ethType, 0x0800)
                if below(2) == 0 { match.set(.nwSrc, UInt128(address()), mask: UInt128(UInt32.max << UInt32(pick([0, 1, 2, 8, 16])))) }
                if below(2) == 0 { match.set(.nwDst, UInt128(address()), mask: UInt128(UInt32.max << UInt32(pick([0, 3, 8])))) }
                if below(3) == 0 {
                    match.set(.nwProto, pick([6, 17]))
                    if below(2) == 0 { match.set(.udpDst, UInt128(below(4)), mask: pick([0xffff, 0xfffe])) }
                }
            }
            if below(4) == 0 { match.set(.ethDst, 0x02_0000_0000_00 + UInt128(below(4))) }
            if below(6) == 0 { match.set(.vlanTCI, UInt128(0x1000 | (10 + below(2))), mask: 0x1fff) }
            return match
        }

        mutating func actions() -> [DatapathAction] {
            switch below(9) {
            case 0: return [.drop(.policy)]
            case 1: return [.output(DatapathPort(UInt32(1 + below(4)))), .output(DatapathPort(UInt32(1 + below(4))))]
            case 2: return [.set(.ethDst, value: 0x0a_0b0c_0d0e_0f, mask: 0xffff_ffff_ffff), .output(DatapathPort(2))]
            case 3: return [.output(DatapathPort(1)), .pushVLAN(tpid: 0x8100, tci: 0x1000 | 77), .output(DatapathPort(3))]
            case 4: return [.popVLAN, .output(DatapathPort(4))]
            case 5:
                return [
                    .set(.nwTTL, value: 9, mask: 0xff), .pushVLAN(tpid: 0x8100, tci: 0x1000 | 3), .set(.udpDst, value: 99, mask: 0xffff),
                    .output(DatapathPort(2)),
                ]
            default: return [.output(DatapathPort(UInt32(1 + below(4))))]
            }
        }

        mutating func rule(_ id: Int) -> Rule { Rule(id: id, priority: below(100), match: match(), actions: actions()) }
    }

    /// What a frame's actions send, by port.
    static func apply(_ actions: [DatapathAction], _ frame: [UInt8]) -> [(UInt32, [UInt8])] {
        var frame = frame
        var result: [(UInt32, [UInt8])] = []
        for action in actions {
            switch action {
            case .output(let port): result.append((port.rawValue, frame))
            case .set(.ethDst, let value, _): frame.replaceSubrange(0..<6, with: Frames.bytes(UInt64(value), 6))
            case .pushVLAN(let tpid, let tci):
                frame.insert(contentsOf: Frames.bytes(UInt64(tpid), 2) + Frames.bytes(UInt64(tci & 0xefff), 2), at: 12)
            case .set(let field, let value, let mask):
                var key = FlowKey()
                let headers = frame.withUnsafeBytes { key.extract($0, inPort: 1) }
                frame.withUnsafeMutableBytes { bytes in
                    _ = PacketRewriter.set(
                        field, value: value, mask: mask, packet: bytes.baseAddress!, length: bytes.count, headers: headers)
                }
            case .popVLAN:
                if frame.count >= 18, frame[12] == 0x81, frame[13] == 0 { frame.removeSubrange(12..<16) }
            default: break
            }
        }
        return result
    }

    @Test(arguments: [1, 2, 3, 4, 5, 6] as [UInt64])
    func verdictsEqualTheTranslators(seed: UInt64) throws {
        var settings = Bench.stillSettings
        // Some runs with tight budgets, some with direct probing, some with a small table.
        settings.ladderMaskBudget = seed % 2 == 0 ? 3 : 32
        settings.exactMaskBudget = seed % 2 == 0 ? 6 : 64
        settings.directProbeMasks = seed % 3 == 0 ? 0 : 2
        settings.flowLimit = seed == 5 ? 20 : 10_000
        let bench = try Bench(ports: 4, settings: settings)
        defer { bench.close() }
        var generator = Generator(random: SplitMix64(seed: seed))
        var nextRule = 0
        func sorted(_ rules: [Rule]) -> [Rule] { rules.sorted { ($1.priority, $0.id) < ($0.priority, $1.id) } }
        var tag: UInt32 = 0
        var total: UInt64 = 0
        for round in 0..<75 {
            if round % 3 == 0 {
                bench.translator.change { state in
                    if state.rules.count > 12 { state.rules.remove(at: generator.below(state.rules.count)) }
                    for _ in 0..<(1 + generator.below(3)) {
                        state.rules.append(generator.rule(nextRule))
                        nextRule += 1
                    }
                    state.rules = sorted(state.rules)
                }
            }
            if round % 10 == 9 { bench.datapath.runMaintenance() }
            if round % 20 == 19 { bench.clock.warp(milliseconds: 11_000) }
            var expected: [UInt32: [[UInt8]]] = [:]
            for _ in 0..<(1 + generator.below(60)) {
                tag += 1
                let port = UInt32(1 + generator.below(4))
                let frame = generator.frame(tag: tag)
                #expect(bench.ports[port]!.inject(frame))
                total += 1
                if frame.count >= 14 {
                    let key = FlowKey(packet: frame, inPort: port)
                    for (out, bytes) in OracleTests.apply(bench.translator.actions(for: key), frame) {
                        expected[out, default: []].append(bytes)
                    }
                }
            }
            bench.run()
            let sent = bench.sent()
            for port in 1...4 as ClosedRange<UInt32> {
                let got = (sent[port] ?? []).sorted { $0.lexicographicallyPrecedes($1) }
                let want = (expected[port] ?? []).sorted { $0.lexicographicallyPrecedes($1) }
                #expect(got == want, "seed \(seed) round \(round) port \(port)")
                if got != want { return }
            }
        }
        bench.checkAccounting()
        #expect((1...4).reduce(UInt64(0)) { $0 + bench.counters($1).receivedPackets } == total)
        // Every packet that was forwarded or dropped by a rule was credited to it once.
        bench.datapath.pushStatistics()
        bench.datapath.runMaintenance()
        bench.datapath.runMaintenance()
        let credited = bench.translator.state.withLock { $0.packets.values.reduce(0, +) }
        let missed = (1...4).reduce(UInt64(0)) {
            $0 + bench.counters($1).drops[Int(DropReason.tableMiss.rawValue)] + bench.counters($1).drops[Int(DropReason.malformed.rawValue)]
        }
        #expect(credited + missed == total)
        // The caches took part: most packets were not translated.
        let threads = bench.datapath.threadStatistics()
        #expect(threads.reduce(0) { $0 + $1.megaflowHits + $1.cacheHits } > total / 10)
        if settings.directProbeMasks == 0 { #expect(threads.reduce(0) { $0 + $1.cacheHits } > 0) }
    }
}
