// The one clock of the daemon.
//
// Every timer, timeout and age in Apus is computed from a `Clock`, so that tests can stop and warp time and nothing
// sleeps to find out what would happen later. PMD threads read the TSC for cycle accounting only; ages they write
// are in the clock's nanoseconds too.

internal import Glibc
internal import Synchronization

/// A point on the clock's monotonic axis, in nanoseconds since an arbitrary start. Never negative.
public struct Instant: Hashable, Comparable, Sendable {
    public var nanoseconds: UInt64
    public init(nanoseconds: UInt64) { self.nanoseconds = nanoseconds }

    public static func < (left: Instant, right: Instant) -> Bool { left.nanoseconds < right.nanoseconds }

    /// The instant `milliseconds` later; saturates at the end of the axis.
    public func adding(milliseconds: UInt64) -> Instant {
        let (product, overflowed) = milliseconds.multipliedReportingOverflow(by: 1_000_000)
        let (sum, overflowedSum) = nanoseconds.addingReportingOverflow(product)
        return Instant(nanoseconds: overflowed || overflowedSum ? .max : sum)
    }

    /// Milliseconds from `earlier` to this instant; 0 if `earlier` is later.
    public func milliseconds(since earlier: Instant) -> UInt64 {
        nanoseconds > earlier.nanoseconds ? (nanoseconds - earlier.nanoseconds) / 1_000_000 : 0
    }
}

/// Monotonic time that can be stopped and warped.
///
/// ## Thread safety
/// All members may be called from any thread. A stopped clock's value is one atomic word; `warp` adds to it.
public final class Clock: Sendable {
    /// 0 while the clock follows the machine; else the frozen value in nanoseconds.
    private let frozen = Atomic<UInt64>(0)
    /// Added to the machine's monotonic time when the clock runs (what warps gained).
    private let gained = Atomic<UInt64>(0)

    /// A clock that follows the machine's `CLOCK_MONOTONIC`.
    public init() {}

    /// A stopped clock for tests, at `start` (must be above zero).
    public init(stoppedAt start: Instant) {
        precondition(start.nanoseconds > 0, "a stopped clock starts above zero")
        frozen.store(start.nanoseconds, ordering: .relaxed)
    }

    /// Time now.
    public var now: Instant {
        let stopped = frozen.load(ordering: .acquiring)
        if stopped != 0 { return Instant(nanoseconds: stopped) }
        return Instant(nanoseconds: Clock.machineNanoseconds() &+ gained.load(ordering: .relaxed))
    }

    /// Whether time is stopped (`time/stop`).
    public var isStopped: Bool { frozen.load(ordering: .acquiring) != 0 }

    /// Stops time where it is. Idempotent.
    public func stop() {
        let value = now.nanoseconds
        _ = frozen.compareExchange(expected: 0, desired: value, ordering: .acquiringAndReleasing)
    }

    /// Moves time forward by `milliseconds`, stopped or not.
    public func warp(milliseconds: UInt64) {
        let nanoseconds = milliseconds &* 1_000_000
        if isStopped {
            frozen.wrappingAdd(nanoseconds, ordering: .acquiringAndReleasing)
        } else {
            gained.wrappingAdd(nanoseconds, ordering: .relaxed)
        }
    }

    /// Wall-clock time in milliseconds since 1970-01-01 UTC, for logs and databases; never for timers.
    public static func wallMilliseconds() -> UInt64 {
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        return UInt64(time.tv_sec) * 1000 + UInt64(time.tv_nsec) / 1_000_000
    }

    private static func machineNanoseconds() -> UInt64 {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        return UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
    }
}
