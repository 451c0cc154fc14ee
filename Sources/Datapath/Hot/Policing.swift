// Policing: what a port may take in and let out, whatever the flows say.
//
// A policer is one or two token buckets that all threads share. What comes in is policed before anything looks at it, what
// goes out right before it is sent.

internal import Base
internal import CDPDK
internal import DatapathAPI
internal import Netdev
internal import Synchronization

/// A policer's memory: 64 bytes, the counts, then the buckets.
enum PolicerRecord {
    /// How the buckets work together: `Kind`.
    static var kind: Int { @_noLocks @inline(__always) get { 0 } }
    /// Packets and bytes that passed, and packets that did not.
    static var packets: Int { @_noLocks @inline(__always) get { 64 } }
    static var bytes: Int { @_noLocks @inline(__always) get { 72 } }
    static var drops: Int { @_noLocks @inline(__always) get { 80 } }
    static var first: Int { @_noLocks @inline(__always) get { 128 } }
    static var second: Int { @_noLocks @inline(__always) get { 128 &+ TokenBucket.byteCount } }
    static var byteCount: Int { @_noLocks @inline(__always) get { 128 &+ 2 &* TokenBucket.byteCount } }

    enum Kind {
        /// The first bucket counts bytes.
        static var bytes: UInt32 { @_noLocks @inline(__always) get { 1 } }
        /// What the first bucket does not have, the second one may (RFC 4115): both count bytes.
        static var bytesTwice: UInt32 { @_noLocks @inline(__always) get { 2 } }
        /// The second bucket counts packets.
        static var packets: UInt32 { @_noLocks @inline(__always) get { 4 } }
    }
    /// The Ethernet header, which rates do not count.
    static var headerBytes: UInt32 { @_noLocks @inline(__always) get { 14 } }
}

enum Policing {
    /// Drops of the first `count` packets of the burst, all received by `port`, what its policer does not let in. Returns how
    /// many remain.
    @_noLocks
    static func admit(_ worker: Worker, _ count: Int, port: UInt32) -> Int {
        guard let record = worker.pointee.shared.pointee.ports[Int(truncatingIfNeeded: port)].load(ordering: .acquiring),
            let policer = record.atomicPointer(PortRecord.ingressPolicer).pointee.load(ordering: .acquiring)
        else { return count }
        let packets = worker.pointee.packets
        let excess = judge(worker, policer, packets, count)
        if excess == 0 { return count }
        var kept = 0
        var index = 0
        while index < count {
            let packet = packets[index]
            if excess >> UInt64(truncatingIfNeeded: index) & 1 == 0 {
                packets[kept] = packet
                kept &+= 1
            } else {
                // Those that remain are counted with the rest of the burst.
                bump(worker.pointee.portCounter(port, PortCounter.receivedBytes), UInt64(packet.pointee.pkt_len))
                Outcome.drop(worker, packet, port, .ingressPolicing)
            }
            index &+= 1
        }
        return kept
    }

    /// Drops of a batch what the policer of its port does not let out. Returns how many remain.
    ///
    /// - Parameters:
    ///   - bytes: of the batch; becomes that of what remains.
    ///   - isMixed: whether each packet carries its own meta; else all have `meta`.
    @_noLocks
    static func release(
        _ worker: Worker, _ policer: UnsafeMutableRawPointer, _ packets: PacketBurst, _ count: Int, _ bytes: inout UInt64, isMixed: Bool,
        meta: UInt32
    ) -> Int {
        let excess = judge(worker, policer, packets, count)
        if excess == 0 { return count }
        var kept = 0
        var index = 0
        while index < count {
            let packet = packets[index]
            if excess >> UInt64(truncatingIfNeeded: index) & 1 == 0 {
                packets[kept] = packet
                kept &+= 1
            } else {
                let meta = isMixed ? packet.pointee.hash_high : meta
                bytes &-= UInt64(packet.pointee.pkt_len)
                // It was counted as forwarded when it was queued.
                if meta & Fate.flag == 0 { bump(worker.pointee.portCounter(meta, PortCounter.forwarded), UInt64.max) }
                Outcome.drop(worker, packet, meta, .egressPolicing)
            }
            index &+= 1
        }
        return kept
    }

    /// A bit for each packet that is too much; counts them all.
    @_noLocks
    private static func judge(_ worker: Worker, _ policer: UnsafeMutableRawPointer, _ packets: PacketBurst, _ count: Int) -> UInt64 {
        let now = TokenBucket.time(worker.pointee.now, since: worker.pointee.shared.pointee.timeOrigin)
        let kind = policer.load(fromByteOffset: PolicerRecord.kind, as: UInt32.self)
        let amounts = worker.pointee.amounts
        var excess: UInt64 = 0
        var bytes: UInt64 = 0
        var index = 0
        while index < count {
            let length = packets[index].pointee.pkt_len
            bytes &+= UInt64(length)
            amounts[index] = length > PolicerRecord.headerBytes ? length &- PolicerRecord.headerBytes : 0
            index &+= 1
        }
        if kind & (PolicerRecord.Kind.bytes | PolicerRecord.Kind.bytesTwice) != 0 {
            excess = TokenBucket.take(policer + PolicerRecord.first, amounts, count, now: now)
        }
        if kind & PolicerRecord.Kind.bytesTwice != 0, excess != 0 {
            index = 0
            while index < count {
                let bit: UInt64 = 1 << UInt64(truncatingIfNeeded: index)
                if excess & bit != 0, TokenBucket.takeOne(policer + PolicerRecord.second, amounts[index], now: now) { excess &= ~bit }
                index &+= 1
            }
        }
        if kind & PolicerRecord.Kind.packets != 0 {
            index = 0
            while index < count {
                let bit: UInt64 = 1 << UInt64(truncatingIfNeeded: index)
                if excess & bit == 0, !TokenBucket.takeOne(policer + PolicerRecord.second, 1, now: now) { excess |= bit }
                index &+= 1
            }
        }
        var dropped: UInt64 = 0
        if excess != 0 {
            index = 0
            while index < count {
                if excess >> UInt64(truncatingIfNeeded: index) & 1 != 0 {
                    dropped &+= 1
                    bytes &-= UInt64(packets[index].pointee.pkt_len)
                }
                index &+= 1
            }
            policer.atomicWord(PolicerRecord.drops).pointee.wrappingAdd(dropped, ordering: .relaxed)
        }
        policer.atomicWord(PolicerRecord.packets).pointee.wrappingAdd(UInt64(count) &- dropped, ordering: .relaxed)
        policer.atomicWord(PolicerRecord.bytes).pointee.wrappingAdd(bytes, ordering: .relaxed)
        return excess
    }
}
