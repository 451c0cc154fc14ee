internal import CDPDK
internal import Glibc

/// Counters of a port's queues in raw memory, a line group each.
///
/// `@unchecked Sendable`: each queue's counters are written by whoever uses the queue and read by others as relaxed
/// atomics. The port that owns this frees it when it is deallocated, after its handles are gone.
final class QueueState: @unchecked Sendable {
    let base: UnsafeMutablePointer<cdpdk_queue_counters>
    let count: Int

    init(count: Int) {
        self.count = count
        let size = MemoryLayout<cdpdk_queue_counters>.stride * max(count, 1)
        let raw = aligned_alloc(64, size)!
        memset(raw, 0, size)
        base = raw.bindMemory(to: cdpdk_queue_counters.self, capacity: max(count, 1))
    }
    deinit { free(base) }

    subscript(index: Int) -> UnsafeMutablePointer<cdpdk_queue_counters> {
        precondition(index >= 0 && index < count, "queue \(index) of \(count)")
        return base + index
    }
    func setMaximumFrame(mtu: Int) {
        for index in 0..<count {
            cdpdk_counter_store(&base[index].max_frame, UInt64(mtu + NetdevLimits.frameOverhead))
        }
    }
    /// What packets need not be finished (`CDPDK_OFFLOAD_*`).
    func setOffloads(_ offloads: UInt32) {
        for index in 0..<count { cdpdk_counter_store(&base[index].offloads, UInt64(offloads)) }
    }
    var snapshots: [QueueCountersSnapshot] { (0..<count).map { QueueCountersSnapshot(base + $0) } }
}

/// The pairs of `Interface.status` that say what a port finishes of the packets sent by it.
func offloadStatus(_ offloads: UInt32) -> [String: String] {
    let checksums = offloads & UInt32(CDPDK_OFFLOAD_CHECKSUM) != 0
    let segments = offloads & UInt32(CDPDK_OFFLOAD_TSO4) != 0 && offloads & UInt32(CDPDK_OFFLOAD_TSO6) != 0
    return [
        "tx_tcp_csum_offload": String(checksums), "tx_udp_csum_offload": String(checksums), "tx_tcp_seg_offload": String(segments),
    ]
}
