// When to try again: the life of a connection that we make, over all its attempts, without the connection itself.
//
// The first attempt is made at once. After a failure the next one waits, a second first, then twice as long each time up to a
// maximum; a connection that held longer than the last wait begins anew with a second. An attempt that takes longer than the
// wait has become counts as failed.

public import Base

/// The state of a connection that is made again whenever it ends.
public struct Reconnection: Sendable {
    /// As the `status` columns spell it.
    public enum State: String, Sendable {
        case void = "VOID"
        case backoff = "BACKOFF"
        case connecting = "CONNECTING"
        case active = "ACTIVE"
        /// Connected, and asked for a sign of life.
        case idle = "IDLE"
        case disconnected = "DISCONNECTED"
    }

    /// The first wait, and the shortest that may be configured as the longest.
    public static let minimumBackoffMilliseconds: UInt64 = 1000

    public private(set) var state = State.void
    /// Why the last attempt or connection ended; nil if none did, or if the peer just closed it.
    public private(set) var lastError: String?
    public private(set) var lastConnected: Instant?
    public private(set) var lastDisconnected: Instant?
    /// The longest wait.
    public var maximumBackoffMilliseconds: UInt64 {
        didSet { backoffMilliseconds = min(backoffMilliseconds, max(maximumBackoffMilliseconds, Reconnection.minimumBackoffMilliseconds)) }
    }
    private var backoffMilliseconds: UInt64 = 0
    private var backoffDeadline: Instant
    private var entered: Instant

    public init(now: Instant, maximumBackoffMilliseconds: UInt64) {
        self.maximumBackoffMilliseconds = maximumBackoffMilliseconds
        backoffDeadline = now
        entered = now
    }

    private mutating func enter(_ state: State, _ now: Instant) {
        self.state = state
        entered = now
    }

    /// When the next attempt is to be made; nil while there is a connection or an attempt.
    public var nextAttempt: Instant? {
        switch state {
        case .backoff: entered.adding(milliseconds: backoffMilliseconds)
        case .void: entered
        default: nil
        }
    }

    /// How long an attempt may take.
    public var attemptMilliseconds: UInt64 { max(backoffMilliseconds, Reconnection.minimumBackoffMilliseconds) }

    /// An attempt begins.
    public mutating func attemptBegan(now: Instant) {
        backoffDeadline = now.adding(milliseconds: backoffMilliseconds)
        enter(.connecting, now)
    }

    /// The attempt came to a connection.
    public mutating func connected(now: Instant) {
        lastConnected = now
        enter(.active, now)
    }

    /// The peer is silent and was asked for a sign of life, or has given one.
    public mutating func setIdle(_ isIdle: Bool, now: Instant) {
        if isIdle, state == .active { enter(.idle, now) }
        if !isIdle, state == .idle { enter(.active, now) }
    }

    /// The attempt failed or the connection ended.
    /// - Parameter error: nil if the peer closed it in order.
    public mutating func ended(_ error: String?, now: Instant) {
        lastError = error
        lastDisconnected = now
        let maximum = max(maximumBackoffMilliseconds, Reconnection.minimumBackoffMilliseconds)
        if now >= backoffDeadline {
            backoffMilliseconds = Reconnection.minimumBackoffMilliseconds
        } else {
            backoffMilliseconds = min(max(Reconnection.minimumBackoffMilliseconds, 2 * backoffMilliseconds), maximum)
        }
        backoffDeadline = now.adding(milliseconds: backoffMilliseconds)
        enter(.backoff, now)
    }

    /// The wait that `ended` decided on, for logs.
    public var waitMilliseconds: UInt64 { backoffMilliseconds }
}
