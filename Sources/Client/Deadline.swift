// How long one command may take.

public import Base

/// The end of a command's time, on the one clock.
public struct Deadline: Sendable {
    private let clock: Clock
    private let end: Instant
    /// How much time there was.
    public let seconds: Double

    public init(clock: Clock, seconds: Double) {
        self.clock = clock
        self.seconds = seconds
        end = clock.now.adding(milliseconds: UInt64(max(0, min(seconds, 1e9)) * 1000))
    }

    /// Milliseconds left, 0 if none, for poll(2).
    var remainingMilliseconds: Int32 { Int32(clamping: end.milliseconds(since: clock.now)) }
    var hasPassed: Bool { end <= clock.now }
}
