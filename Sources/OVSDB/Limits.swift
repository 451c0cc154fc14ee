// Every bound of the database server, in one place.

/// Bounds on what a peer, a client or a file may make the database server do.
///
/// The defaults hold for a switch's host database: the largest legal `Open_vSwitch` content (64 K ports with full
/// statistics) is some 60 MB of JSON, and a message may carry all of it once.
public struct DatabaseLimits: Sendable {
    /// Bytes of one JSON-RPC message.
    public var messageBytes = 128 << 20
    /// Bytes a session may have waiting in its own queue before it is closed, whatever the owner's policy is.
    public var outputBytesPerSession = 256 << 20
    /// Nesting of one JSON value. A legal transaction needs 9, a schema 10.
    public var jsonDepth = 256
    /// Operations of one transaction.
    public var operationsPerTransaction = 1_000_000
    /// Monitors one session may hold.
    public var monitorsPerSession = 10_000
    /// Transactions one session may have waiting.
    public var waitsPerSession = 10_000
    /// Locks one session may hold or wait for.
    public var locksPerSession = 1_000
    /// Transactions remembered for clients that reconnect with `monitor_cond_since`.
    public var historyTransactions = 1_000
    /// Row changes remembered over all of these transactions.
    public var historyRowChanges = 100_000
    /// Bytes of one record of the log file.
    public var logRecordBytes = 1 << 30
    /// The log is rewritten when it exceeds this many times its size after the last compaction...
    public var compactionGrowthFactor = 4
    /// ...and this many bytes...
    public var compactionMinimumBytes = 10 << 20
    /// ...and this many transactions.
    public var compactionMinimumTransactions = 100

    public init() {}
}
