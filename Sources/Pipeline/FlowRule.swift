// An OpenFlow rule: a match with actions, timeouts, a cookie and counts.

public import Base
public import Classifier
public import Flow
internal import Synchronization

/// What a rule counted; shared by a rule and what it is modified into, so that a modify loses no count.
///
/// ## Thread safety
/// Atomic words: the datapath's maintenance thread adds, anybody reads.
public final class FlowCounters: Sendable {
    private let packetCount = Atomic<UInt64>(0)
    private let byteCount = Atomic<UInt64>(0)
    private let lastUsedNanoseconds = Atomic<UInt64>(0)

    /// - Parameter lastUsed: of the rule whose counts begin anew: a reset of counts is no use.
    init(lastUsed: Instant? = nil) { lastUsedNanoseconds.store(lastUsed?.nanoseconds ?? 0, ordering: .relaxed) }

    public var packets: UInt64 { packetCount.load(ordering: .relaxed) }
    public var bytes: UInt64 { byteCount.load(ordering: .relaxed) }
    /// When the newest packet came; nil before the first.
    public var lastUsed: Instant? {
        let value = lastUsedNanoseconds.load(ordering: .relaxed)
        return value == 0 ? nil : Instant(nanoseconds: value)
    }

    func add(packets: UInt64, bytes: UInt64, lastUsed: Instant) {
        packetCount.wrappingAdd(packets, ordering: .relaxed)
        byteCount.wrappingAdd(bytes, ordering: .relaxed)
        lastUsedNanoseconds.max(lastUsed.nanoseconds, ordering: .relaxed)
    }
}

/// A rule of a flow table. What it says never changes: a modify replaces the rule by a new one with the same counters.
///
/// ## Thread safety
/// Immutable, but for the counters. May be held for as long as one likes.
public final class FlowRule: ClassifierRule, @unchecked Sendable {
    public let table: UInt8
    public let flags: FlowModFlags
    public let idleTimeoutSeconds: UInt16
    public let hardTimeoutSeconds: UInt16
    public let importance: UInt16
    public let cookie: UInt64
    public let actions: [Action]
    public let counters: FlowCounters
    /// When the rule was added; a modify keeps it. Durations count from here.
    public let created: Instant
    /// When the rule was added or last modified.
    public let modified: Instant
    /// When the rule was learned anew, unchanged. Sound: atomic.
    private let refreshedNanoseconds = Atomic<UInt64>(0)

    init(
        match: CompactMatch, priority: UInt16, shape: MaskShape, table: UInt8, cookie: UInt64, idleTimeoutSeconds: UInt16,
        hardTimeoutSeconds: UInt16, importance: UInt16, flags: FlowModFlags, actions: [Action], counters: FlowCounters,
        created: Instant, modified: Instant
    ) {
        self.table = table
        self.flags = flags
        self.idleTimeoutSeconds = idleTimeoutSeconds
        self.hardTimeoutSeconds = hardTimeoutSeconds
        self.importance = importance
        self.cookie = cookie
        self.actions = actions
        self.counters = counters
        self.created = created
        self.modified = modified
        super.init(compactMatch: match, priority: Int32(priority), shape: shape)
    }

    /// When the rule was added, modified or learned anew. The hard timeout counts from here.
    public var lastChanged: Instant { max(modified, Instant(nanoseconds: refreshedNanoseconds.load(ordering: .relaxed))) }
    /// Starts the hard timeout again.
    func refresh(_ now: Instant) { refreshedNanoseconds.max(now.nanoseconds, ordering: .relaxed) }

    var hasTimeout: Bool { idleTimeoutSeconds > 0 || hardTimeoutSeconds > 0 }
    public var priority: UInt16 { UInt16(truncatingIfNeeded: rank) }
    /// The match in full (1,024 bytes: not for hot paths).
    public var match: Match { pattern }

    public var packetCount: UInt64 { counters.packets }
    public var byteCount: UInt64 { counters.bytes }

    /// When the rule last had a packet, or else when it was added: a modify is no use. The idle timeout counts from here.
    public var lastActive: Instant { max(counters.lastUsed ?? created, created) }

    /// When the rule, or one that it took the place of, last had a packet, or else when it was added. Idle ages count from here.
    public var lastUse: Instant { counters.lastUsed ?? created }

    /// Whether some action, nested ones included, outputs to `port`.
    public func outputs(to port: OpenFlowPort) -> Bool { FlowRule.outputs(actions, to: port) }

    private static func outputs(_ actions: [Action], to port: OpenFlowPort) -> Bool {
        actions.contains { action in
            switch action {
            case .output(let target, _), .outputTruncated(let target, _), .enqueue(let target, _): target == port
            case .controller: port == .controller
            case .clone(let nested), .writeActions(let nested): outputs(nested, to: port)
            case .bundle(let bundle): bundle.destination == nil && bundle.members.contains(port)
            default: false
            }
        }
    }

    /// Whether some action, nested ones included, sends to `group`.
    public func sends(toGroup group: UInt32) -> Bool { FlowRule.sends(actions, toGroup: group) }

    private static func sends(_ actions: [Action], toGroup group: UInt32) -> Bool {
        actions.contains { action in
            switch action {
            case .group(let target): target == group
            case .clone(let nested), .writeActions(let nested): sends(nested, toGroup: group)
            default: false
            }
        }
    }

    func isSelected(by filter: FlowFilter) -> Bool {
        if (cookie ^ filter.cookie) & filter.cookieMask != 0 { return false }
        if let port = filter.outPort, !outputs(to: port) { return false }
        if let group = filter.outGroup, !sends(toGroup: group) { return false }
        return true
    }
}
