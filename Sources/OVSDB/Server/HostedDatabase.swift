// A database in a server: who monitors it, and which transactions wait for it to change.

internal import Base

/// A session's monitor.
final class Monitor {
    unowned let session: Session
    let database: HostedDatabase
    /// The id the client gave, as JSON bytes.
    var id: [UInt8]
    var specification: MonitorSpecification
    /// What has happened since the peer fell behind with reading, oldest first.
    var collected: [ChangeSet] = []
    var collectedRows = 0
    /// Row changes above which they are folded: what is kept is bounded by the rows of the database.
    static let foldRows = 1000
    var collectedLimit = Monitor.foldRows

    init(_ session: Session, _ database: HostedDatabase, id: [UInt8], _ specification: MonitorSpecification) {
        self.session = session
        self.database = database
        self.id = id
        self.specification = specification
    }
}

/// Monitors that get the same updates: these are computed and serialized once.
final class MonitorGroup {
    let specification: MonitorSpecification
    var members: [ObjectIdentifier: Monitor] = [:]
    init(_ specification: MonitorSpecification) { self.specification = specification }
}

/// A transaction whose "wait" does not hold yet.
final class WaitingTransaction {
    let session: Session?
    let operations: ArraySlice<JSON>
    let started: Instant
    let completion: ([JSON]?) -> Void
    /// The tables its "wait" operations look at: nothing else can make it go on.
    let tables: Set<Int>
    var timer: TimerQueue.Token?
    var isFinished = false

    init(
        _ session: Session?, _ operations: ArraySlice<JSON>, started: Instant, schema: DatabaseSchema,
        completion: @escaping ([JSON]?) -> Void
    ) {
        self.session = session
        self.operations = operations
        self.started = started
        self.completion = completion
        var tables: Set<Int> = []
        for operation in operations where operation["op"]?.string == "wait" {
            if let name = operation["table"]?.string, let table = schema.table(name) { tables.insert(table.index) }
        }
        self.tables = tables
    }
}

/// A database with its watchers.
///
/// ## Thread safety
/// None: the server's executor owns it.
final class HostedDatabase {
    private(set) var database: Database
    let isReadOnly: Bool
    /// The schema somebody in this process relies on; such a database cannot be converted to another.
    let isPinned: Bool
    private var groups: [String: MonitorGroup] = [:]
    var locals: [LocalMonitor] = []
    var waiting: [WaitingTransaction] = []
    /// The compaction under way, and who is to hear of its end.
    var compaction: LogCompaction?
    var compactionWaiters: [(OVSDBError?) -> Void] = []
    /// While something is on its way to the disk that nothing may overtake.
    private(set) var isHeld = false
    /// What runs when that is over.
    private var queue: [() -> Void] = []
    private var queueStart = 0
    var hasQueue: Bool { queueStart < queue.count }

    init(_ database: Database, isReadOnly: Bool, isPinned: Bool) {
        self.database = database
        self.isReadOnly = isReadOnly
        self.isPinned = isPinned
    }

    func replace(_ database: Database) {
        self.database = database
        groups = [:]
    }

    /// Has everything that may change the database or its log queue up.
    func hold() {
        precondition(!isHeld, "one at a time")
        isHeld = true
    }

    /// Ends `hold`, and runs what has queued up, until something of that holds again.
    func release() {
        isHeld = false
        while !isHeld, hasQueue {
            let next = queue[queueStart]
            queueStart += 1
            next()
        }
        if !hasQueue {
            queue.removeAll(keepingCapacity: true)
            queueStart = 0
        }
    }

    /// Runs `body` now, or behind what has queued up before it.
    func whenFree(_ body: @escaping () -> Void) { if isHeld { queue.append(body) } else { body() } }

    func add(_ monitor: Monitor) {
        let key = monitor.specification.key
        let group = groups[key] ?? MonitorGroup(monitor.specification)
        groups[key] = group
        group.members[ObjectIdentifier(monitor)] = monitor
    }

    func remove(_ monitor: Monitor) {
        let key = monitor.specification.key
        guard let group = groups[key] else { return }
        group.members[ObjectIdentifier(monitor)] = nil
        if group.members.isEmpty { groups[key] = nil }
    }

    /// Sends every monitor what a commit means to it.
    ///
    /// - Complexity: O(groups + changes of the monitored tables, once a group + members of the groups concerned)
    func notify(_ changes: ChangeSet) {
        let touched = Set(changes.rows.map(\.table))
        for group in Array(groups.values) where group.specification.tables.keys.contains(where: touched.contains) {
            // Computed once for all members, if one of them is to hear of it now.
            var bytes: [UInt8]?
            // A session that closes itself over this takes its monitors out of the group.
            for monitor in Array(group.members.values) {
                if monitor.session.isPeerBehind {
                    collect(changes, monitor)
                    continue
                }
                if bytes == nil { bytes = group.specification.updates(changes, database.schema)?.bytes ?? [] }
                if let bytes, !bytes.isEmpty { monitor.session.notify(monitor, updates: bytes, transaction: changes.id) }
            }
        }
    }

    /// Keeps a commit for a monitor whose client does not read. Many rows are folded into one change each.
    private func collect(_ changes: ChangeSet, _ monitor: Monitor) {
        monitor.session.hasCollected = true
        monitor.collected.append(changes)
        monitor.collectedRows += changes.rows.count
        guard monitor.collected.count > 1, monitor.collectedRows > monitor.collectedLimit else { return }
        let folded = MonitorSpecification.merge(monitor.collected[...])
        monitor.collected = [ChangeSet(id: changes.id, rows: folded, comment: nil)]
        monitor.collectedRows = folded.count
        // Folding again pays when as much has come again.
        monitor.collectedLimit = max(Monitor.foldRows, 2 * folded.count)
    }
}
