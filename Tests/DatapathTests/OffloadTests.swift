// Unfinished packets: checksums pending, TCP segments in one piece. Every mix of what came, what was done to it, and what the
// port it leaves by takes; what leaves finished is checked by summing it up again.

import Base
@testable import Datapath
import DatapathAPI
import Flow
import Netdev
import Synchronization
import Testing
import Wire

@Suite struct OffloadTests {
    enum Shape: CaseIterable { case tcp4, udp4, tcp6, udp6 }
    enum Taken: CaseIterable { case nothing, checksums, segments4, segments6, everything }
    enum Treatment: CaseIterable { case none, addresses, ports, vlan, label, mirror }

    static let payload = (0..<4000).map { UInt8(truncatingIfNeeded: $0 &* 7 &+ $0 >> 8) }

    /// A frame whose checksum field holds what a liar would leave there.
    static func frame(_ shape: Shape, payload: [UInt8], vlan: UInt16? = nil) -> [UInt8] {
        let isTCP = shape == .tcp4 || shape == .tcp6
        var l4 = Frames.bytes(1000, 2) + Frames.bytes(2000, 2)
        // sequence number, acknowledgement, header of 32 bytes with options, CWR ACK PSH FIN
        if isTCP {
            l4 += Frames.bytes(0xffff_fff0, 4) + Frames.bytes(77, 4) + [0x80, 0x99] + Frames.bytes(512, 2) + [0xde, 0xad, 0, 0]
            l4 += [1, 1, 8, 10] + Frames.bytes(5, 4) + Frames.bytes(6, 4)
        } else {
            l4 += Frames.bytes(UInt64(8 + payload.count), 2) + [0xde, 0xad]
        }
        l4 += payload
        let ip: [UInt8]
        let type: UInt16
        switch shape {
        case .tcp4, .udp4:
            type = 0x0800
            var header: [UInt8] =
                [0x45, 0] + Frames.bytes(UInt64(20 + l4.count), 2) + Frames.bytes(0xfffe, 2) + [0x40, 0, 64, isTCP ? 6 : 17, 0, 0]
            header += Frames.bytes(0x0a00_0001, 4) + Frames.bytes(0x0a00_0002, 4)
            let sum = InternetChecksum.of(header)
            header[10] = UInt8(sum >> 8)
            header[11] = UInt8(truncatingIfNeeded: sum)
            ip = header + l4
        default:
            type = 0x86dd
            ip =
                [0x60, 0, 0, 0] + Frames.bytes(UInt64(l4.count), 2) + [isTCP ? 6 : 17, 64] + Frames.bytes(0xfd00 << 48, 8)
                + Frames.bytes(1, 8) + Frames.bytes(0xfd00 << 48, 8) + Frames.bytes(2, 8) + l4
        }
        guard let vlan else { return Frames.ethernet(type: type, payload: ip) }
        return Frames.ethernet(type: 0x8100, payload: Frames.bytes(UInt64(vlan), 2) + Frames.bytes(UInt64(type), 2) + ip)
    }

    struct Parsed {
        var l3 = 14
        var l4 = 0
        var isV6 = false
        var proto: UInt8 = 0
        var payload: [UInt8] = []
        var sequence: UInt32 = 0
        var flags: UInt8 = 0
        var identification: UInt16 = 0
        var l3IsRight = true
        var l4IsRight = false
    }

    static func number(_ frame: [UInt8], _ at: Int, _ count: Int) -> UInt32 {
        frame[at..<at + count].reduce(0) { $0 << 8 | UInt32($1) }
    }

    /// Reads a frame and sums it up, by other code than the switch's.
    static func parse(_ frame: [UInt8]) throws -> Parsed {
        var p = Parsed()
        var type = number(frame, 12, 2)
        while type == 0x8100 {
            p.l3 += 4
            type = number(frame, p.l3 - 2, 2)
        }
        if type == 0x8847 {
            p.l3 += 4
            type = frame[p.l3] >> 4 == 4 ? 0x0800 : 0x86dd
        }
        let end: Int
        var pseudo: [UInt8]
        if type == 0x0800 {
            p.l4 = p.l3 + 20
            p.proto = frame[p.l3 + 9]
            p.identification = UInt16(number(frame, p.l3 + 4, 2))
            end = p.l3 + Int(number(frame, p.l3 + 2, 2))
            p.l3IsRight = InternetChecksum.of(frame[p.l3..<p.l4]) == 0
            pseudo = Array(frame[p.l3 + 12..<p.l3 + 20])
        } else {
            p.isV6 = true
            p.l4 = p.l3 + 40
            p.proto = frame[p.l3 + 6]
            end = p.l4 + Int(number(frame, p.l3 + 4, 2))
            pseudo = Array(frame[p.l3 + 8..<p.l3 + 40])
        }
        try #require(end == frame.count)
        pseudo += [0, p.proto] + Frames.bytes(UInt64(end - p.l4), 4)
        p.l4IsRight = InternetChecksum.of(pseudo + frame[p.l4..<end]) == 0
        if p.proto == 6 {
            p.sequence = number(frame, p.l4 + 4, 4)
            p.flags = frame[p.l4 + 13]
            p.payload = Array(frame[(p.l4 + Int(frame[p.l4 + 12] >> 4) * 4)..<end])
        } else {
            p.payload = Array(frame[p.l4 + 8..<end])
        }
        return p
    }

    static func actions(_ treatment: Treatment, _ shape: Shape) -> [DatapathAction] {
        let isV6 = shape == .tcp6 || shape == .udp6
        let isTCP = shape == .tcp4 || shape == .tcp6
        let out = DatapathAction.output(DatapathPort(2))
        switch treatment {
        case .none: return [out]
        case .addresses:
            return [
                isV6
                    ? .set(.ipv6Dst, value: 0x2001_0db8 << 96 | 9, mask: .max)
                    : .set(.nwDst, value: 0xc0a8_0909, mask: 0xffff_ffff), out,
            ]
        case .ports: return [.set(isTCP ? .tcpDst : .udpDst, value: 4242, mask: 0xffff), out]
        case .vlan: return [.pushVLAN(tpid: 0x8100, tci: 0x1005), out]
        case .label: return [.pushMPLS(etherType: 0x8847, entry: 100 << 12 | 1 << 8 | 64), out]
        case .mirror: return [.output(DatapathPort(3)), .set(.ethDst, value: 5, mask: 0xffff_ffff_ffff), out]
        }
    }

    func bench(_ taken: Taken, mtu: Int? = nil) throws -> Bench {
        let bench = try Bench(ports: 0 + 1)
        for number in UInt32(2)...3 {
            let port = try DummyPort(NetdevConfiguration(name: "d\(number)", kind: .dummy, requestedMTU: mtu))
            try bench.datapath.addPort(port, number: DatapathPort(number))
            bench.ports[number] = port
        }
        // the port packets come in by has buffers for long ones
        bench.remove(1)
        let long = try DummyPort(NetdevConfiguration(name: "d1", kind: .dummy, requestedMTU: 9000))
        try bench.datapath.addPort(long, number: DatapathPort(1))
        bench.ports[1] = long
        bench.ports[2]!.takeUnfinished(
            checksums: taken != .nothing, segmentsIPv4: taken == .segments4 || taken == .everything,
            segmentsIPv6: taken == .segments6 || taken == .everything)
        return bench
    }

    @Test(arguments: Shape.allCases, Taken.allCases)
    func whateverLeavesFinishedIsRight(_ shape: Shape, _ taken: Taken) throws {
        let isTCP = shape == .tcp4 || shape == .tcp6
        for treatment in Treatment.allCases {
            for size in isTCP ? [0, 1400, 100] as [UInt16] : [0] {
                for vlan in [nil, 0x2007] as [UInt16?] {
                    let bench = try bench(taken)
                    defer { bench.close() }
                    bench.translator.change { $0.rules = [AccountingTests.rule(1, Self.actions(treatment, shape))] }
                    let payload = Array(Self.payload.prefix(size == 0 ? 1001 : 4000))
                    bench.ports[1]!.inject(Self.frame(shape, payload: payload, vlan: vlan), isPartial: true, segmentSize: size)
                    bench.run()
                    bench.checkAccounting()
                    let counters = bench.counters(1)
                    let name = "\(shape) \(taken) \(treatment) \(size)"
                    #expect(counters.receivedPackets == 1 && counters.forwardedPackets == 1, "\(name): \(counters)")
                    let takesSegments = taken == .everything || taken == (shape == .tcp6 ? .segments6 : .segments4)
                    for (number, frames) in bench.sent() {
                        let isPlain = number == 3 || taken == .nothing
                        try check(
                            frames, payload: payload, size: size, isFinished: isPlain, isWhole: number != 3 && takesSegments, name: name)
                    }
                    #expect(bench.sent().isEmpty)
                }
            }
        }
    }

    func check(_ frames: [[UInt8]], payload: [UInt8], size: UInt16, isFinished: Bool, isWhole: Bool, name: String) throws {
        let parsed = try frames.map(Self.parse)
        #expect(parsed.flatMap(\.payload) == payload, "\(name)")
        for (index, p) in parsed.enumerated() {
            #expect(p.l3IsRight, "\(name): IPv4 header of piece \(index)")
            #expect(p.l4IsRight == isFinished, "\(name): checksum of piece \(index)")
        }
        guard size > 0 else { return #expect(frames.count == 1, "\(name)") }
        if isWhole { return #expect(frames.count == 1, "\(name)") }
        let count = (payload.count + Int(size) - 1) / Int(size)
        #expect(frames.count == count, "\(name)")
        for (index, p) in parsed.enumerated() {
            #expect(p.sequence == 0xffff_fff0 &+ UInt32(index * Int(size)), "\(name): sequence of piece \(index)")
            // CWR with the first, PSH and FIN with the last, ACK with all
            let expected: UInt8 = (index == 0 ? 0x80 : 0) | (index == count - 1 ? 0x09 : 0) | 0x10
            #expect(p.flags == expected, "\(name): flags of piece \(index)")
            if !p.isV6 { #expect(p.identification == 0xfffe &+ UInt16(index), "\(name)") }
        }
    }

    @Test func whatTheControllerSeesIsFinished() throws {
        let bench = try bench(.everything)
        defer { bench.close() }
        bench.translator.change { $0.rules = [AccountingTests.rule(1, [.punt(PuntToken(rawValue: 1), maxLength: 65535)])] }
        for size in [0, 1000] as [UInt16] {
            bench.ports[1]!.inject(Self.frame(.tcp4, payload: Self.payload), isPartial: true, segmentSize: size)
        }
        bench.run()
        bench.datapath.runMaintenance()
        let punts = bench.translator.state.withLock { $0.punts }
        #expect(punts.count == 2)
        for punt in punts {
            let p = try Self.parse(punt.bytes)
            #expect(p.l4IsRight && p.l3IsRight && p.payload == Self.payload)
        }
        bench.checkAccounting()
    }

    @Test func aCutCopyHasTheWholePacketsChecksum() throws {
        let bench = try bench(.everything)
        defer { bench.close() }
        bench.translator.change {
            $0.rules = [AccountingTests.rule(1, [.truncate(maxLength: 60), .output(DatapathPort(2)), .output(DatapathPort(3))])]
        }
        bench.ports[1]!.inject(Self.frame(.tcp4, payload: Self.payload), isPartial: true, segmentSize: 1000)
        bench.run()
        bench.checkAccounting()
        let sent = bench.sent()
        #expect(sent[2]?.map(\.count) == [60])
        #expect(sent[3]?.count == 4)
        try #require(sent[2]?.count == 1)
        // put together again, the checksum is right
        var whole = Self.frame(.tcp4, payload: Self.payload)
        whole.replaceSubrange(..<60, with: sent[2]![0])
        #expect(try Self.parse(whole).l4IsRight)
    }

    @Test func whatCannotBeDoneIsDroppedForAReason() throws {
        let bench = try bench(.nothing)
        defer { bench.close() }
        bench.translator.change { $0.rules = [AccountingTests.rule(1, [.output(DatapathPort(2))])] }
        // segments longer than the port's frames; more than 256 of them; one that is no TCP; lengths that contradict each other
        bench.ports[1]!.inject(Self.frame(.tcp4, payload: Self.payload), isPartial: true, segmentSize: 3000)
        bench.ports[1]!.inject(Self.frame(.tcp4, payload: Self.payload), isPartial: true, segmentSize: 1)
        bench.ports[1]!.inject(Self.frame(.udp4, payload: Self.payload), isPartial: true, segmentSize: 1000)
        bench.ports[1]!.inject(Array(Self.frame(.tcp4, payload: Self.payload).prefix(3000)), isPartial: true, segmentSize: 1000)
        bench.ports[1]!.inject(Array(Self.frame(.tcp6, payload: Self.payload).prefix(60)), isPartial: true, segmentSize: 1000)
        bench.run()
        bench.checkAccounting()
        let drops = bench.counters(1).drops
        #expect(drops[Int(DropReason.oversize.rawValue)] == 1 && drops[Int(DropReason.malformed.rawValue)] == 4, "\(drops)")
        #expect(bench.sent().isEmpty)
    }

    /// Every length a frame can be cut to: nothing is read behind its end (the address sanitizer looks), nothing is lost uncounted.
    @Test(arguments: Shape.allCases)
    func truncationAtEveryByte(_ shape: Shape) throws {
        let bench = try bench(.nothing)
        defer { bench.close() }
        bench.translator.change { $0.rules = [AccountingTests.rule(1, [.output(DatapathPort(2))])] }
        let frame = Self.frame(shape, payload: Array(Self.payload.prefix(300)))
        for length in 1...frame.count {
            for size in [0, 100] as [UInt16] {
                bench.ports[1]!.inject(Array(frame.prefix(length)), isPartial: true, segmentSize: size)
                bench.run()
            }
        }
        bench.checkAccounting()
        #expect(bench.counters(1).receivedPackets == UInt64(2 * frame.count))
    }
}
