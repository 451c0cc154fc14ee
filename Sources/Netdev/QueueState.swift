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
    var snapshots: [QueueCountersSnapshot] { (0..<count).map { QueueCountersSnapshot(base + $0) } }
}
