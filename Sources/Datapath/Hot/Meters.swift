// Meters: what a group of packets meets on its way.
//
// A meter's memory is made when it is configured and freed a grace period after it is gone. All threads draw from the same
// buckets, so a meter holds for all queues together; each batch takes one atomic addition for its packets, one for its
// bytes, and one compare-and-swap a band.

internal import Base
internal import CDPDK
internal import DatapathAPI
internal import Flow
internal import Netdev
internal import Synchronization

/// A meter's memory: 64 bytes, the counts, then the bands.
enum MeterRecord {
    static var isPacketRate: Int { @_noLocks @inline(__always) get { 0 } }
    static var bandCount: Int { @_noLocks @inline(__always) get { 4 } }
    /// Points to packets and bytes; shared with the record that takes this one's place.
    static var counters: Int { @_noLocks @inline(__always) get { 8 } }
    static var bands: Int { @_noLocks @inline(__always) get { 64 } }
    static var mostBands: Int { @_noLocks @inline(__always) get { 8 } }

    // Within a band: a token bucket, then these.
    static var rate: Int { @_noLocks @inline(__always) get { TokenBucket.byteCount } }
    /// 0: drop; else by how much to raise the drop precedence, plus 1.
    static var remark: Int { @_noLocks @inline(__always) get { TokenBucket.byteCount &+ 4 } }
    static var packets: Int { @_noLocks @inline(__always) get { TokenBucket.byteCount &+ 64 } }
    static var bytes: Int { @_noLocks @inline(__always) get { TokenBucket.byteCount &+ 72 } }
    static var bandBytes: Int { @_noLocks @inline(__always) get { TokenBucket.byteCount &+ 128 } }

    @_noLocks @inline(__always)
    static func band(_ record: UnsafeMutableRawPointer, _ index: Int) -> UnsafeMutableRawPointer { record + (bands &+ index &* bandBytes) }
}

enum Meters {
    /// Has packets pass meter `number`. Returns how many remain; the others were dropped.
    @_noLocks
    static func run(
        _ worker: Worker, _ number: UInt32, _ packets: PacketBurst, _ infos: UnsafeMutablePointer<PacketInfo>, _ count: Int
    ) -> Int {
        let shared = worker.pointee.shared
        guard Int(number) < DatapathLimits.meters, let record = shared.pointee.meters[Int(number)].load(ordering: .acquiring) else {
            return count
        }
        let now = TokenBucket.time(worker.pointee.now, since: shared.pointee.timeOrigin)
        let isPacketRate = record.load(fromByteOffset: MeterRecord.isPacketRate, as: UInt32.self) != 0
        let amounts = worker.pointee.amounts
        var bytes: UInt64 = 0
        var index = 0
        while index < count {
            let length = packets[index].pointee.pkt_len
            bytes &+= UInt64(length)
            amounts[index] = isPacketRate ? 1 : length &* 8
            index &+= 1
        }
        let counters = record.load(fromByteOffset: MeterRecord.counters, as: UnsafeMutableRawPointer.self)
        counters.atomicWord(0).pointee.wrappingAdd(UInt64(count), ordering: .relaxed)
        counters.atomicWord(8).pointee.wrappingAdd(bytes, ordering: .relaxed)
        // Every band is drawn from. Of those that a packet exceeds, the one with the highest rate has it.
        let verdicts = worker.pointee.verdicts
        let bandCount = Int(record.load(fromByteOffset: MeterRecord.bandCount, as: UInt32.self))
        var exceeded: UInt64 = 0
        var band = 0
        while band < bandCount {
            let bucket = MeterRecord.band(record, band)
            var exceeding = TokenBucket.take(bucket, amounts, count, now: now)
            let rate = bucket.load(fromByteOffset: MeterRecord.rate, as: UInt32.self)
            while exceeding != 0 {
                let packet = exceeding.trailingZeroBitCount
                exceeding &= exceeding &- 1
                let isFirst = exceeded >> UInt64(truncatingIfNeeded: packet) & 1 == 0
                if isFirst
                    || rate > MeterRecord.band(record, Int(verdicts[packet])).load(fromByteOffset: MeterRecord.rate, as: UInt32.self)
                {
                    verdicts[packet] = UInt8(truncatingIfNeeded: band)
                }
                exceeded |= 1 << UInt64(truncatingIfNeeded: packet)
            }
            band &+= 1
        }
        return exceeded == 0 ? count : judge(worker, record, exceeded, packets, infos, count)
    }

    /// Carries out what the bands say of the packets that exceed them.
    @_noLocks @inline(never)
    private static func judge(
        _ worker: Worker, _ record: UnsafeMutableRawPointer, _ exceeded: UInt64, _ packets: PacketBurst,
        _ infos: UnsafeMutablePointer<PacketInfo>, _ count: Int
    ) -> Int {
        var kept = 0
        var index = 0
        while index < count {
            let packet = packets[index]
            if exceeded >> UInt64(truncatingIfNeeded: index) & 1 != 0 {
                let band = MeterRecord.band(record, Int(worker.pointee.verdicts[index]))
                band.atomicWord(MeterRecord.packets).pointee.wrappingAdd(1, ordering: .relaxed)
                band.atomicWord(MeterRecord.bytes).pointee.wrappingAdd(UInt64(packet.pointee.pkt_len), ordering: .relaxed)
                let remark = band.load(fromByteOffset: MeterRecord.remark, as: UInt32.self)
                if remark == 0 {
                    Outcome.drop(worker, packet, infos[index].meta, .meter)
                    index &+= 1
                    continue
                }
                // A packet that cannot be copied cannot be remarked; it goes on as it is.
                if let own = Actions.exclusive(packet) {
                    packets[kept] = own
                    raisePrecedence(own, infos[index].headers, by: UInt8(truncatingIfNeeded: min(remark &- 1, 7)))
                } else {
                    packets[kept] = packet
                }
            } else {
                packets[kept] = packet
            }
            infos[kept] = infos[index]
            kept &+= 1
            index &+= 1
        }
        return kept
    }

    /// Raises the drop precedence of an IP packet's DSCP. Of an assured-forwarding class (RFC 2597) it goes up to 3; a class
    /// selector (RFC 2474) falls by as many classes. What has no precedence stays as it is.
    @_noLocks
    private static func raisePrecedence(_ packet: Packet, _ headers: ExtractResult, by level: UInt8) {
        let start = UnsafeMutableRawPointer(cdpdk_mbuf_data(packet))
        let (l3, length) = (Int(headers.l3Offset), Int(packet.pointee.data_len))
        guard l3 >= 14, l3 &+ 2 <= length else { return }
        let type = UInt16(bigEndian: start.loadUnaligned(fromByteOffset: l3 &- 2, as: UInt16.self))
        let word = UInt16(bigEndian: start.loadUnaligned(fromByteOffset: l3, as: UInt16.self))
        let dscp: UInt8
        switch type {
        case 0x0800: dscp = UInt8(truncatingIfNeeded: word >> 2 & 0x3f)
        case 0x86dd: dscp = UInt8(truncatingIfNeeded: word >> 6 & 0x3f)
        default: return
        }
        let fresh = remarked(dscp, by: level)
        if fresh == dscp { return }
        PacketRewriter.set(
            .nwTOS, value: UInt128(fresh) << 2, mask: 0xfc, packet: start, length: length, headers: headers)
    }

    /// A DSCP with its drop precedence raised by `level`.
    @_noLocks
    static func remarked(_ dscp: UInt8, by level: UInt8) -> UInt8 {
        let (group, precedence) = (dscp >> 3, dscp >> 1 & 3)
        if dscp & 7 == 0 { return (group > level ? group &- level : 0) << 3 }
        guard dscp & 1 == 0, (1...4).contains(group), precedence > 0 else { return dscp }
        return group << 3 | min(precedence &+ level, 3) << 1
    }
}
