/// How receive queues without affinity are spread over PMD threads (`pmd-rxq-assign`).
public enum ReceiveQueueAssignment: String, Sendable, CaseIterable {
    /// In turn.
    case roundrobin
    /// Busiest first, by measured cycles, dealt up and down.
    case cycles
    /// Each to the thread with the least load so far.
    case group
}

/// What can be set while the datapath runs; `other_config` of the `Open_vSwitch` table holds them.
public struct DatapathSettings: Sendable, Equatable {
    /// `pmd-cpu-mask`: CPUs that get a PMD thread. Empty: one thread on the lowest CPU this process may use.
    public var pmdCPUs: Set<Int> = []
    /// `pmd-rxq-assign`.
    public var assignment: ReceiveQueueAssignment = .cycles
    /// `pmd-rxq-isolate`: a CPU that a queue is pinned to polls only pinned queues.
    public var isolatesPinnedQueues = true
    /// `pmd-sleep-max`: the longest sleep of an idle PMD thread, in microseconds; 0: never sleep.
    public var maximumSleepMicroseconds: UInt32 = 2000
    /// `max-idle`: megaflows unused for so long are removed.
    public var maximumIdleMilliseconds: UInt64 = 10_000
    /// `flow-limit`: megaflows kept; beyond it the idlest go first.
    public var flowLimit = DatapathLimits.defaultFlowLimit
    /// `vlan-limit`: VLAN tags of a packet that are looked at, 1 or 2.
    public var tagLimit = 2
    /// Masks of one port from which new masks are rounded up to the ladder, and from which flows become exact.
    public var ladderMaskBudget = DatapathLimits.ladderMaskBudget
    public var exactMaskBudget = DatapathLimits.exactMaskBudget
    /// Translations in place for one burst; packets of further flows go to the handler thread.
    public var upcallsPerBurst = DatapathLimits.upcallsPerBurst
    /// `n-handler-threads`: threads that translate what is beyond that budget, each for its share of ports; at most
    /// `DatapathLimits.handlerThreads`.
    public var handlerThreads = 1
    /// `emc-insert-inv-prob`: of so many flows that the flow cache does not know, one is remembered; 0: there is no flow cache. Nil:
    /// every one, or fewer while the cache is being scanned.
    public var cacheInsertionInverse: UInt32?
    /// `tx-flush-interval`: how long packets may wait for others of the same port, in microseconds; 0: until the round is over.
    public var transmitFlushMicroseconds: UInt32 = 0
    /// `pmd-auto-lb`: whether queues move when a PMD thread is overloaded; and after how many minutes of how much load, in percent, for
    /// how much less variance of loads, in percent (`pmd-auto-lb-rebal-interval`, `-load-threshold`, `-improvement-threshold`).
    public var balancesAutomatically = true
    public var balanceIntervalMinutes: UInt64 = 1
    public var balanceLoadThreshold: UInt64 = 95
    public var balanceImprovementThreshold: UInt64 = 25
    /// A port with at most this many masks is looked up without the flow cache.
    public var directProbeMasks = 1
    /// `hw-offload`: megaflows in use go to the hardware of ports that have such.
    public var offloadsFlows = false
    /// Whether PMD threads, the kernel I/O thread and the maintenance thread are started (`start`). Tests that drive
    /// everything themselves say no.
    public var runsThreads = true

    public init() {}
}

/// Why the datapath refused.
public enum DatapathError: Error, Equatable, CustomStringConvertible {
    case tooManyPorts(limit: Int)
    case portNumberTaken(UInt32)
    case portNumberInvalid(UInt32, limit: Int)
    case noSuchPort(UInt32)
    case cpuNotUsable(Int, usable: [Int])
    case notRunning

    public var description: String {
        switch self {
        case .tooManyPorts(let limit): "there are \(limit) datapath ports already, as many as there can be: remove one first"
        case .portNumberTaken(let number): "datapath port number \(number) is in use: choose another or none"
        case .portNumberInvalid(let number, let limit): "datapath port number \(number) is out of range: valid are 1 to \(limit)"
        case .noSuchPort(let number): "there is no datapath port \(number)"
        case .cpuNotUsable(let cpu, let usable):
            "pmd-cpu-mask names CPU \(cpu), which this process may not use: usable are \(usable.map(String.init).joined(separator: ","))"
        case .notRunning: "the datapath was shut down"
        }
    }
}
