import Base
import CDPDK
@testable import Datapath
import DatapathAPI
import Flow
import Netdev
import Synchronization
import Testing

@Suite struct ActionTests {
    let frame = Frames.ip(src: 0x0a00_0001, dst: 0x0a00_0002, sport: 3, dport: 4, tag: 9)

    func carriedOut(_ actions: [DatapathAction], on frame: [UInt8]) throws -> [UInt32: [[UInt8]]] {
        let bench = try Bench(ports: 4)
        defer { bench.close() }
        bench.translator.change { $0.rules = [AccountingTests.rule(1, actions)] }
        bench.ports[1]!.inject(frame)
        bench.run()
        bench.checkAccounting()
        return bench.sent()
    }

    func tagged(_ tci: UInt16, _ frame: [UInt8], tpid: UInt16 = 0x8100) -> [UInt8] {
        Array(frame[..<12]) + Frames.bytes(UInt64(tpid), 2) + Frames.bytes(UInt64(tci), 2) + Array(frame[12...])
    }

    @Test func pushesAndPopsTags() throws {
        let two = DatapathPort(2)
        #expect(try carriedOut([.pushVLAN(tpid: 0x8100, tci: 0x1000 | 5), .output(two)], on: frame) == [2: [tagged(5, frame)]])
        #expect(try carriedOut([.popVLAN, .output(two)], on: tagged(0x2005, frame)) == [2: [frame]])
        #expect(try carriedOut([.popVLAN, .output(two)], on: frame) == [2: [frame]])
        let double = tagged(7, tagged(5, frame), tpid: 0x88a8)
        #expect(
            try carriedOut(
                [.pushVLAN(tpid: 0x8100, tci: 0x1005), .pushVLAN(tpid: 0x88a8, tci: 0x1007), .output(two)], on: frame) == [2: [double]])
    }

    @Test func pushesAndPopsLabels() throws {
        let two = DatapathPort(2)
        let entry: UInt32 = 100 << 12 | 1 << 8 | 64
        let labelled = Array(frame[..<12]) + [0x88, 0x47] + Frames.bytes(UInt64(entry), 4) + Array(frame[14...])
        #expect(try carriedOut([.pushMPLS(etherType: 0x8847, entry: entry), .output(two)], on: frame) == [2: [labelled]])
        #expect(try carriedOut([.popMPLS(etherType: 0x0800), .output(two)], on: labelled) == [2: [frame]])
        // Behind the VLAN tag, whose own type stays.
        let both = Array(tagged(5, frame)[..<16]) + [0x88, 0x47] + Frames.bytes(UInt64(entry), 4) + Array(frame[14...])
        #expect(try carriedOut([.pushMPLS(etherType: 0x8847, entry: entry), .output(two)], on: tagged(5, frame)) == [2: [both]])
        #expect(try carriedOut([.popMPLS(etherType: 0x0800), .output(two)], on: both) == [2: [tagged(5, frame)]])
    }

    @Test func setsAddresses() throws {
        let sent = try carriedOut(
            [
                .set(.ethDst, value: 0x0102_0304_0506, mask: 0xffff_ffff_ffff),
                .set(.ethSrc, value: 0x0a0b_0c0d_0e0f, mask: 0xffff_ffff_ffff),
                .output(DatapathPort(2)),
            ], on: frame)
        #expect(sent == [2: [[1, 2, 3, 4, 5, 6, 10, 11, 12, 13, 14, 15] + frame[12...]]])
    }

    @Test func addressesAreNotMergedAcrossLists() throws {
        let sent = try carriedOut(
            [
                .set(.ethDst, value: 0x0102_0304_0506, mask: 0xffff_ffff_ffff),
                .clone([.set(.ethSrc, value: 0x0a0b_0c0d_0e0f, mask: 0xffff_ffff_ffff), .output(DatapathPort(2))]),
                .set(.ethSrc, value: 0x1111_1111_1111, mask: 0xffff_ffff_ffff), .output(DatapathPort(3)),
            ], on: frame)
        let changed: [UInt8] = [1, 2, 3, 4, 5, 6]
        #expect(sent[2] == [changed + [10, 11, 12, 13, 14, 15] + frame[12...]])
        #expect(sent[3] == [changed + [0x11, 0x11, 0x11, 0x11, 0x11, 0x11] + frame[12...]])
    }

    @Test func changesAfterAnOutputDoNotReachIt() throws {
        let sent = try carriedOut(
            [
                .output(DatapathPort(2)), .pushVLAN(tpid: 0x8100, tci: 0x1005), .output(DatapathPort(3)), .popVLAN,
                .output(DatapathPort(4)), .set(.ethDst, value: 1, mask: 0xffff_ffff_ffff),
            ], on: frame)
        #expect(sent == [2: [frame], 3: [tagged(5, frame)], 4: [frame]])
    }

    @Test func clonesAreCopies() throws {
        let sent = try carriedOut(
            [
                .clone([.pushVLAN(tpid: 0x8100, tci: 0x1005), .output(DatapathPort(2)), .clone([.popVLAN, .output(DatapathPort(3))])]),
                .clone([.output(DatapathPort(1))]), .output(DatapathPort(4)),
            ], on: frame)
        #expect(sent == [1: [frame], 2: [tagged(5, frame)], 3: [frame], 4: [frame]])
        // A clone at the end, and nothing else.
        #expect(
            try carriedOut([.clone([.pushVLAN(tpid: 0x8100, tci: 0x1005), .output(DatapathPort(2))])], on: frame)
                == [2: [tagged(5, frame)]])
    }

    @Test func truncatesTheNextOutputOnly() throws {
        let sent = try carriedOut([.truncate(maxLength: 20), .output(DatapathPort(2)), .output(DatapathPort(3))], on: frame)
        #expect(sent == [2: [Array(frame.prefix(20))], 3: [frame]])
        #expect(try carriedOut([.truncate(maxLength: 20), .output(DatapathPort(2))], on: frame) == [2: [Array(frame.prefix(20))]])
    }

    @Test func recirculatesUpToTheLimit() throws {
        let bench = try Bench(ports: 3)
        defer { bench.close() }
        func rule(_ id: UInt32, _ actions: [DatapathAction]) -> Rule {
            var match = Match()
            match.set(.recircID, UInt128(id))
            return Rule(id: Int(id), priority: 1, match: match, actions: actions)
        }
        bench.translator.change { state in
            state.rules = [
                rule(0, [.output(DatapathPort(3)), .pushVLAN(tpid: 0x8100, tci: 0x1005), .recirculate(1)]),
                rule(1, [.popVLAN, .output(DatapathPort(2))]),
            ]
        }
        for _ in 0..<40 { bench.ports[1]!.inject(frame) }
        bench.run()
        let sent = bench.sent()
        #expect(sent[2]?.count == 40 && sent[3]?.count == 40 && sent[2]?.first == frame)
        #expect(bench.counters(1).forwardedPackets == 40)
        bench.translator.change { $0.rules = [AccountingTests.rule(1, [.recirculate(2)])] }
        bench.ports[1]!.inject(frame)
        bench.run()
        #expect(bench.counters(1).drops[Int(DropReason.recirculationLimit.rawValue)] == 1)
        // Multiplying itself at each pass: bounded all the same, and sent at least once.
        bench.translator.change { state in
            state.rules = [AccountingTests.rule(1, [.recirculate(2), .recirculate(2), .recirculate(2), .output(DatapathPort(2))])]
        }
        bench.ports[1]!.inject(frame)
        bench.run()
        #expect(bench.counters(1).forwardedPackets == 41)
        bench.checkAccounting()
    }
}

/// Packets of several segments, as a device with small buffers delivers them.
@Suite struct SegmentTests {
    /// A chain of heap mbufs with `sizes` bytes each of `frame`.
    static func chain(_ frame: [UInt8], sizes: [Int], pool: OpaquePointer) -> Packet {
        var first: Packet?
        var last: Packet?
        var offset = 0
        for size in sizes {
            let segment = cdpdk_mbuf_alloc(pool)!
            frame[offset..<offset + size].withUnsafeBytes { bytes in
                UnsafeMutableRawPointer(cdpdk_mbuf_data(segment)).copyMemory(from: bytes.baseAddress!, byteCount: size)
            }
            segment.pointee.data_len = UInt16(size)
            segment.pointee.pkt_len = UInt32(size)
            offset += size
            if let last { last.pointee.next = segment }
            if first == nil { first = segment }
            last = segment
        }
        first!.pointee.nb_segs = UInt16(sizes.count)
        first!.pointee.pkt_len = UInt32(offset)
        return first!
    }

    @Test(arguments: [[10, 4, 30, 200], [14, 20, 400], [50, 1000], [5, 5, 5, 5, 60]])
    func segmentsAreOnePacket(sizes: [Int]) throws {
        let bench = try Bench(ports: 3)
        defer { bench.close() }
        let total = sizes.reduce(0, +)
        let frame = Array((Frames.ip(src: 1, dst: 2, sport: 3, dport: 4) + [UInt8](repeating: 7, count: total)).prefix(total))
        bench.translator.change { state in
            state.rules = [
                AccountingTests.rule(1, [.output(DatapathPort(2)), .pushVLAN(tpid: 0x8100, tci: 0x1005), .output(DatapathPort(3))])
            ]
            state.extraMask.add(.udpDst)
        }
        let pool = cdpdk_heap_pool_create(2048)!
        let worker = bench.datapath.control.withLock { $0.pmds.values.first! }
        worker.state.pointee.quiescent.online(worker.slot)
        worker.state.pointee.packets[0] = SegmentTests.chain(frame, sizes: sizes, pool: pool)
        Burst.process(worker.state, 1, port: 1)
        Stages.flush(worker.state)
        worker.state.pointee.quiescent.offline(worker.slot)
        let tagged = Array(frame[..<12]) + [0x81, 0, 0, 5] + Array(frame[12...])
        #expect(bench.sent() == [2: [frame], 3: [tagged]])
        #expect(bench.counters(1).receivedBytes == UInt64(total))
        bench.checkAccounting()
        cdpdk_pool_free(pool)
    }

    @Test(arguments: [14, 20, 60, 99, 100])
    func cutsAcrossSegments(length: Int) {
        let pool = cdpdk_heap_pool_create(2048)!
        let before = cdpdk_heap_pool_outstanding(pool)
        let frame = (0..<100).map { UInt8($0) }
        let packet = SegmentTests.chain(frame, sizes: [20, 40, 40], pool: pool)
        PacketEdit.cut(packet, to: UInt32(length))
        #expect(packet.pointee.pkt_len == UInt32(length))
        var bytes = [UInt8](repeating: 0, count: 100)
        #expect(cdpdk_mbuf_read(packet, 0, 100, &bytes) == UInt32(length))
        #expect(Array(bytes.prefix(length)) == Array(frame.prefix(length)))
        cdpdk_mbuf_free(packet)
        #expect(cdpdk_heap_pool_outstanding(pool) == before)
        cdpdk_pool_free(pool)
    }
}
