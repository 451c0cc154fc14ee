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
    var balance = BalanceState()
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
    /// What `queues` was, while nothing is received.
    var pausedQueues: [QueueState] = []
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
    /// What it cost in the intervals of the last minute, and its counter at the end of the last one.
    var history = LoadHistory()
    var countedCycles: UInt64 = 0
    /// Cycles of the last minute; of all time while there is no history yet.
    var recentCycles: UInt64 { history.isEmpty ? counters[QueueCounter.cycles].load(ordering: .relaxed) : history.sum }

    /// Whether the kernel I/O thread waits for its packets: those of a tap device, of which every look is a system call, unless it
    /// was given a CPU. What is polled without one belongs to PMD threads.
    func waitsInKernel(_ affinity: [Int: Int]) -> Bool {
        handle.descriptor >= 0 && handle.kind != .packetRing && affinity[index] == nil
    }
}
