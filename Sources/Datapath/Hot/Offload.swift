// Packets that a guest or the host did not finish: checksums pending, TCP segments in one piece.
//
// Where the port they leave by takes them so, they go so; else they are finished here, by what the bytes say then. Whoever shows a
// packet's bytes to somebody (a controller, a cut copy) finishes it before.

internal import CDPDK
internal import DatapathAPI
internal import Netdev

enum Offload {
    /// Marks of packets that may not be finished.
    static var partial: UInt64 { @_noLocks @inline(__always) get { 1 << 16 | 1 << 3 } }

    /// Readies a packet that is not finished, or longer than the port's frames, for `port`. False if it is gone: dropped, or queued
    /// already in pieces.
    @_noLocks @inline(never)
    static func ready(_ worker: Worker, _ packet: Packet, _ meta: UInt32, _ port: UInt32) -> Bool {
        let batch = worker.pointee.batches + Int(port)
        let (longest, offloads) = (batch.pointee.longest, batch.pointee.offloads)
        let count = cdpdk_offload_prepare(packet, offloads, longest)
        if count == 1 { return true }
        if count >= 0x1_0000 {
            Outcome.drop(worker, packet, meta, count == 0x1_0000 ? .malformed : .oversize)
            return false
        }
        guard let pool = packet.pointee.pool else {
            Outcome.drop(worker, packet, meta, .noBuffer)
            return false
        }
        // One packet was received, whatever it becomes: its pieces share a fate.
        let fate = meta & Fate.flag != 0 ? meta : Outcome.makeFate(worker, inPort: meta, reason: .noBuffer)
        var index: UInt32 = 0
        while index < count {
            guard let piece = cdpdk_offload_piece(packet, index, offloads, pool) else { break }
            Outcome.addPending(worker, fate)
            Transmit.append(worker, piece, fate, port)
            index &+= 1
        }
        cdpdk_mbuf_free(packet)
        Outcome.note(worker, fate, drop: .noBuffer)
        return false
    }

    /// A copy of at most `limit` bytes, finished if it is shorter than the packet; nil without a buffer.
    @_noLocks @inline(never)
    static func finishedCopy(_ packet: Packet, _ limit: UInt32) -> Packet? {
        guard let pool = packet.pointee.pool, let copy = cdpdk_mbuf_copy(packet, pool, 0, .max) else { return nil }
        cdpdk_offload_complete(copy)
        if copy.pointee.pkt_len > limit { PacketEdit.cut(copy, to: limit) }
        return copy
    }
}
