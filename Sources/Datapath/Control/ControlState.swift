internal import Base
internal import DatapathAPI
internal import Netdev
internal import Synchronization

/// What control threads know; under the datapath's control lock.
struct Control {
    var settings: DatapathSettings
    var ports: [UInt32: PortState] = [:]
    /// PMD threads by CPU, running or not.
    var pmds: [Int: WorkerThread] = [:]
    var isShutDown = false
}

/// A port of the datapath.
struct PortState {
    var number: UInt32
    var name: String
    var port: any Port
    /// `pmd-rxq-affinity`: CPU by queue.
    var affinity: [Int: Int]
    var changes: UInt64
    var queues: [QueueState] = []
    /// Counters as they were when the port was added: numbers are used again.
    var baseline: PortCounters
}

/// A receive queue and where it is polled.
struct QueueState: @unchecked Sendable {
    var index: Int
    var handle: RxQueueHandle
    /// Its counters, `QueueCounter.count` words; also its identity.
    var counters: AtomicWord
    /// The slot of the thread that polls it; -1: none.
    var slot = -1
    var isPinned = false

    /// Whether the kernel I/O thread waits for its packets.
    var waitsInKernel: Bool { handle.descriptor >= 0 }
}
