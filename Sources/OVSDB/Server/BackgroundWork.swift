// What a server has done elsewhere, because a disk may take its time.

/// Kinds of work that do not wait for each other.
public enum BackgroundKind: Sendable {
    /// Somebody waits for it: making a transaction durable.
    case synchronization
    /// Nobody does: rewriting a log. Takes seconds of processor time for a large database.
    case compaction
}

/// Runs work on other threads, for a server whose executor must not be held up.
public protocol BackgroundWork: AnyObject {
    /// Runs `work` elsewhere, behind earlier work of the same kind, and then `done` on the server's executor.
    func perform(_ kind: BackgroundKind, _ work: @escaping @Sendable () -> Void, done: @escaping () -> Void)
}

/// What work in the background found.
///
/// ## Thread safety
/// `@unchecked Sendable`: written by the background, read by the owner after `done` was called for it.
final class BackgroundResult<Value>: @unchecked Sendable {
    var value: Value?
}
