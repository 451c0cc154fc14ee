// Which megaflows a change of rules makes stale.

internal import Base
public import DatapathAPI
internal import Synchronization

/// How much comparing of megaflows with changes is worth doing: a budget in comparisons that refills with time. Beyond it
/// everything that depends on the changed tables is made stale, which costs the caller nothing.
struct InvalidationBudget {
    /// About 4 ms, so that a barrier's reply is never late.
    static let capacity = 1_000_000
    /// A fifth of a thread.
    static let perMillisecond = 50_000
    private var tokens = capacity
    private var refilled: UInt64 = 0

    mutating func take(_ comparisons: Int, now: UInt64) -> Bool {
        let elapsed = now > refilled ? (now - refilled) / 1_000_000 : 0
        if elapsed > 0 {
            refilled = now
            tokens = min(InvalidationBudget.capacity, tokens + Int(min(elapsed, 1000)) * InvalidationBudget.perMillisecond)
        }
        guard comparisons <= tokens else { return false }
        tokens -= comparisons
        return true
    }
}

extension Datapath {
    public func invalidate(_ changes: [TableChange]) -> Bool {
        let comparisons = table.noteChanges(changes, versions: versions)
        if comparisons == 0 { return true }
        let now = clock.now.nanoseconds
        guard invalidationBudget.withLock({ $0.take(comparisons, now: now) }) else { return false }
        table.invalidate(changes)
        return true
    }
}
