public import DatapathAPI

/// What one thread of the datapath did since it was started or its statistics were cleared.
public struct ThreadStatistics: Sendable {
    public enum Role: String, Sendable {
        /// A pinned thread that polls device queues.
        case pmd
        /// The thread that waits for the host's own interfaces (tap, packet sockets).
        case kernelIO
        /// Translates packets beyond the PMD threads' budgets.
        case handler
        /// Packets of the control plane's own.
        case control
    }
    public var role: Role
    /// CPU of a PMD thread; -1 for others.
    public var cpu: Int
    public var numaNode: Int
    /// Whether only queues pinned to it are polled.
    public var isIsolated = false
    public var isRunning = false
    public var iterations: UInt64 = 0
    public var busyCycles: UInt64 = 0
    public var idleCycles: UInt64 = 0
    public var sleepCycles: UInt64 = 0
    /// Iterations that ended in a sleep.
    public var sleeps: UInt64 = 0
    public var receivedPackets: UInt64 = 0
    public var recirculatedPackets: UInt64 = 0
    /// Packets found through the flow cache, through the megaflow table, and not found.
    public var cacheHits: UInt64 = 0
    public var megaflowHits: UInt64 = 0
    public var missedPackets: UInt64 = 0
    /// Subtables looked into for the packets that the cache did not answer.
    public var subtableProbes: UInt64 = 0
    /// Translations, those that could not be done, and translations whose megaflow was not installed.
    public var upcalls: UInt64 = 0
    public var lostUpcalls: UInt64 = 0
    public var uninstalledUpcalls: UInt64 = 0
    /// Packets handed over to the handler thread.
    public var deferredUpcalls: UInt64 = 0
    public var transmittedBatches: UInt64 = 0
    public var transmittedPackets: UInt64 = 0
    /// Slots of its flow cache.
    public var cacheSlots: Int = 0
    /// Iterations that received packets.
    public var busyIterations: UInt64 = 0
    /// Cycles that translations took; and how many took so many: element n counts those of 2^n to 2^(n+1) - 1 cycles.
    public var upcallCycles: UInt64 = 0
    public var upcallLatency: [UInt64] = []
    /// Bursts by size: element n counts those of 2^n to 2^(n+1) - 1 packets.
    public var burstSizes: [UInt64] = []
    /// Cycles a packet by stage, of every 64th burst; empty if there was none.
    public var stages: [(name: String, cyclesPerPacket: Double)] = []
    /// What went on in the last second and the last minute, as far as it has run for so long.
    public var lastSecond: ThreadRate?
    public var lastMinute: ThreadRate?

    public init(role: Role, cpu: Int, numaNode: Int) {
        self.role = role
        self.cpu = cpu
        self.numaNode = numaNode
    }

    /// The least number of cycles that this share of all translations did not exceed, to the next power of two; 0 if there was none.
    public func upcallCycles(atMostFor share: Double) -> UInt64 {
        let total = upcallLatency.reduce(0, +)
        var sum: UInt64 = 0
        for (bin, count) in upcallLatency.enumerated() {
            sum += count
            if count > 0, Double(sum) >= share * Double(total) { return 2 << UInt64(bin) }
        }
        return 0
    }

    /// Busy cycles a packet received; 0 if there was none.
    public var cyclesPerPacket: Double { receivedPackets == 0 ? 0 : Double(busyCycles) / Double(receivedPackets) }
}

/// A thread's doings over some time.
public struct ThreadRate: Sendable, Equatable {
    public var seconds: Double
    public var packetsPerSecond: Double
    public var upcallsPerSecond: Double
    /// Busy cycles a packet, and their share of all cycles in percent.
    public var cyclesPerPacket: Double
    public var busyPercent: Double
}

/// Where a receive queue is polled (`dpif-netdev/pmd-rxq-show`).
public struct ReceiveQueuePlacement: Sendable {
    public var port: DatapathPort
    public var portName: String
    public var queue: Int
    public var role: ThreadStatistics.Role
    /// CPU of its PMD thread; -1 on the kernel I/O thread.
    public var cpu: Int
    public var isPinned: Bool
    /// Packets and cycles since it was placed here.
    public var packets: UInt64
    public var cycles: UInt64
    /// Its share of its thread's cycles since the thread's statistics were cleared, in percent.
    public var usagePercent: Double
}

/// A port as the datapath knows it (`dpif/show`).
public struct DatapathPortSnapshot: Sendable {
    public var port: DatapathPort
    public var name: String
    public var receiveQueues: Int
    public var counters: PortCounters
}

/// Size and content of the flow tables.
public struct FlowTableStatistics: Sendable, Equatable {
    public var flows: Int = 0
    public var masks: Int = 0
    public var limit: Int = 0
    /// Megaflows installed, removed for idleness, evicted at the limit, and found stale, since the start.
    public var installed: UInt64 = 0
    public var expired: UInt64 = 0
    public var evicted: UInt64 = 0
    public var retranslated: UInt64 = 0
    /// Megaflows whose mask was rounded up to the ladder, and whose mask became exact.
    public var laddered: UInt64 = 0
    public var exact: UInt64 = 0
    /// Translations that found the tables full or locked.
    public var installsRefused: UInt64 = 0
    public init() {}
}
