import CDPDK
import Netdev
import Testing

@Suite struct PacketTests {
    /// A packet of the given segments, from a heap pool.
    func packet(_ segments: [[UInt8]], _ pool: OpaquePointer) -> Packet {
        let first = cdpdk_mbuf_alloc(pool)!
        var last = first
        for (index, bytes) in segments.enumerated() {
            let segment = index == 0 ? first : cdpdk_mbuf_alloc(pool)!
            cdpdk_mbuf_append(segment, UInt16(bytes.count))!.update(from: bytes, count: bytes.count)
            if index > 0 {
                last.pointee.next = segment
                first.pointee.nb_segs += 1
                first.pointee.pkt_len += UInt32(bytes.count)
            }
            last = segment
        }
        return first
    }
    func bytes(_ packet: Packet) -> [UInt8] {
        [UInt8](unsafeUninitializedCapacity: Int(packet.pointee.pkt_len)) { buffer, count in
            count = Int(cdpdk_mbuf_read(packet, 0, .max, buffer.baseAddress!))
        }
    }

    @Test func theFrontGrowsAndShrinksWithinItsRoom() throws {
        let pool = try #require(cdpdk_heap_pool_create(2048))
        let p = packet([[1, 2, 3, 4, 5, 6]], pool)
        #expect(cdpdk_mbuf_headroom(p) == 128)
        #expect(cdpdk_mbuf_adj(p, 4) != nil)
        #expect(bytes(p) == [5, 6])
        #expect(cdpdk_mbuf_adj(p, 3) == nil)
        #expect(cdpdk_mbuf_prepend(p, 132) != nil)
        #expect(p.pointee.data_off == 0 && p.pointee.pkt_len == 134)
        #expect(cdpdk_mbuf_prepend(p, 1) == nil)
        #expect(cdpdk_mbuf_tailroom(p) == 2048 + 128 - 134)
        #expect(cdpdk_mbuf_append(p, 2043) == nil)
        cdpdk_mbuf_free(p)
        cdpdk_pool_free(pool)
    }

    @Test func segmentsArePulledAndLinearised() throws {
        let pool = try #require(cdpdk_heap_pool_create(2048))
        let parts: [[UInt8]] = [[1, 2], [3], [4, 5, 6], [7, 8]]
        let whole = parts.flatMap { $0 }
        let p = packet(parts, pool)
        #expect(p.pointee.nb_segs == 4)
        #expect(cdpdk_mbuf_pull(p, 5) == 0)
        #expect(p.pointee.data_len == 5 && p.pointee.nb_segs == 3)
        #expect(bytes(p) == whole)
        #expect(cdpdk_mbuf_pull(p, 100) == 0)
        #expect(p.pointee.nb_segs == 1 && bytes(p) == whole)
        let q = packet(parts, pool)
        #expect(cdpdk_mbuf_linearize(q) == 0)
        #expect(bytes(q) == whole)
        let long = packet([[UInt8](repeating: 1, count: 2000), [UInt8](repeating: 2, count: 100)], pool)
        #expect(cdpdk_mbuf_linearize(long) == -1 && cdpdk_mbuf_pull(long, 2100) == -1)
        #expect(long.pointee.pkt_len == 2100)
        [p, q, long].forEach { cdpdk_mbuf_free($0) }
        cdpdk_pool_free(pool)
    }

    @Test func copiesAreDeepAndClonesShare() throws {
        let pool = try #require(cdpdk_heap_pool_create(2048))
        let p = packet([[1, 2, 3], [4, 5]], pool)
        let copy = try #require(cdpdk_mbuf_copy(p, pool, 0, .max))
        #expect(bytes(copy) == [1, 2, 3, 4, 5])
        #expect(copy.pointee.nb_segs == 1 && cdpdk_mbuf_headroom(copy) == 128)
        let cut = try #require(cdpdk_mbuf_copy(p, pool, 1, 3))
        #expect(bytes(cut) == [2, 3, 4])
        #expect(cdpdk_mbuf_is_exclusive(p))
        let clone = try #require(cdpdk_mbuf_clone(p, pool))
        #expect(!cdpdk_mbuf_is_exclusive(p) && !cdpdk_mbuf_is_exclusive(clone))
        cdpdk_mbuf_data(copy)[0] = 9
        #expect(bytes(p).first == 1)
        cdpdk_mbuf_free(p)
        #expect(bytes(clone) == [1, 2, 3, 4, 5], "a clone outlives its original")
        [copy, cut, clone].forEach { cdpdk_mbuf_free($0) }
        cdpdk_pool_free(pool)
    }

    @Test func burstsAreCountedBySize() throws {
        let pool = try #require(cdpdk_heap_pool_create(9216))
        var counters = cdpdk_queue_counters()
        let lengths = [1, 64, 65, 127, 128, 255, 256, 511, 512, 1023, 1024, 1522, 1523, 9000]
        withBurst { burst in
            for (index, length) in lengths.enumerated() { burst[index] = packet([[UInt8](repeating: 0, count: length)], pool) }
            cdpdk_count_burst(&counters, burst, UInt16(lengths.count), true)
            cdpdk_mbuf_free_bulk(burst, UInt16(lengths.count))
        }
        #expect(counters.packets == 14)
        #expect(counters.bytes == UInt64(lengths.reduce(0, +)))
        let buckets = withUnsafeBytes(of: counters.size_buckets) { Array($0.bindMemory(to: UInt64.self)) }
        #expect(buckets == [2, 2, 2, 2, 2, 2, 2])
        cdpdk_pool_free(pool)
    }

    @Test func quiescentStatesEndGracePeriods() throws {
        let qsbr = try #require(cdpdk_qsbr_create(8))
        #expect(cdpdk_qsbr_register(qsbr, 0) == 0 && cdpdk_qsbr_register(qsbr, 1) == 0)
        cdpdk_qsbr_online(qsbr, 0)
        cdpdk_qsbr_online(qsbr, 1)
        let token = cdpdk_qsbr_start(qsbr)
        #expect(!cdpdk_qsbr_check(qsbr, token, false))
        cdpdk_qsbr_quiescent(qsbr, 0)
        #expect(!cdpdk_qsbr_check(qsbr, token, false))
        cdpdk_qsbr_offline(qsbr, 1)
        #expect(cdpdk_qsbr_check(qsbr, token, false))
        cdpdk_qsbr_free(qsbr)
    }

    @Test func ringsKeepOrderAndBounds() throws {
        let ring = try #require(cdpdk_ring_create(8, true, true))
        #expect(cdpdk_ring_create(7, true, true) == nil, "not a power of two")
        var values = (1...10).map { UnsafeMutableRawPointer(bitPattern: $0)! }
        #expect(cdpdk_ring_enqueue_burst(ring, values, 10) == 7)
        #expect(cdpdk_ring_count(ring) == 7 && cdpdk_ring_free_count(ring) == 0)
        let expected = Array(values[..<7])
        values = values.reversed()
        #expect(cdpdk_ring_dequeue_burst(ring, &values, 10) == 7)
        #expect(Array(values[..<7]) == expected)
        cdpdk_ring_free(ring)
    }

    @Test func checksumsOfTheProcessorAreCastagnoli() {
        // RFC 3720 B.4: 32 bytes of zeroes, and 32 ascending bytes
        let zero = (0..<4).reduce(UInt32.max) { crc, _ in cdpdk_crc32c_u64(crc, 0) } ^ .max
        #expect(zero == 0x8a91_36aa)
        let ascending = (0..<32).reduce(UInt32.max) { cdpdk_crc32c_u8($0, UInt8($1)) } ^ .max
        #expect(ascending == 0x46dd_794e)
    }

    @Test func hardwareAddressesAreReadAndWritten() {
        #expect(HardwareAddress("02:00:00:aB:0c:1")?.description == "02:00:00:ab:0c:01")
        #expect(HardwareAddress("02:00:00:00:00") == nil)
        #expect(HardwareAddress("02:00:00:00:00:100") == nil)
        #expect(HardwareAddress("02:00:00:00:00:+1") == nil)
        #expect(HardwareAddress("") == nil)
        #expect(HardwareAddress(bits: 0x0102_0304_0506).bytes == [1, 2, 3, 4, 5, 6])
        #expect(HardwareAddress("ff:ff:ff:ff:ff:ff")!.isMulticast)
    }
}
