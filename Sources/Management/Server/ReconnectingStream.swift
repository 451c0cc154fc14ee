// A connection that this side makes, and makes again when it ends.
//
// The waiting time between attempts starts at a second and doubles up to a bound; a connection that lasted at least as long as
// the last wait starts it over. The states' names and the lines in the log are the field's, which operators grep for.

internal import Base
internal import Logging

/// Keeps one connection to a target and runs a `StreamSession` on it. Only on the control loop's thread.
final class ReconnectingStream {
    /// As the field's status columns name them.
    enum State: String { case void = "VOID", backoff = "BACKOFF", connecting = "CONNECTING", active = "ACTIVE" }

    private static let minimumBackoffMilliseconds: UInt64 = 1000
    private static let connectTimeoutMilliseconds: UInt64 = 10_000
    /// Attempts in a row that the log tells of.
    private static let loggedAttempts = 4

    let target: StreamTarget
    private(set) var state = State.void
    /// Why the last attempt or connection ended.
    private(set) var lastError: String?
    var maximumBackoffMilliseconds: UInt64

    private let loop: ControlLoop
    private let limits: StreamLimits
    private let logger: Logger
    private let tls: TLSContext?
    private let makeSession: (StreamConnection) -> any StreamSession
    private var client: StreamClient?
    private var backoffMilliseconds: UInt64 = 0
    private var attempts = 0
    private var timer: TimerQueue.Token?
    private var connectedAt: Instant?
    private var disconnectedAt: Instant?
    private var isClosed = false

    var isConnected: Bool { state == .active }
    /// Seconds since the present or last connection began, and since the last one ended.
    var secondsSinceConnect: UInt64? { connectedAt.map { loop.clock.now.milliseconds(since: $0) / 1000 } }
    var secondsSinceDisconnect: UInt64? { disconnectedAt.map { loop.clock.now.milliseconds(since: $0) / 1000 } }

    /// Begins to connect.
    init(
        loop: ControlLoop, target: StreamTarget, tls: TLSContext?, limits: StreamLimits, logger: Logger,
        maximumBackoffMilliseconds: UInt64 = 8000, makeSession: @escaping (StreamConnection) -> any StreamSession
    ) {
        loop.preconditionCurrent()
        precondition(!target.isPassive, "this side connects")
        self.loop = loop
        self.target = target
        self.tls = tls
        self.limits = limits
        self.logger = logger
        self.maximumBackoffMilliseconds = maximumBackoffMilliseconds
        self.makeSession = makeSession
        connect()
    }

    /// Ends the connection for good.
    func close() {
        isClosed = true
        timer.map(loop.timers.cancel)
        timer = nil
        state = .void
        client?.cancel()
        client = nil
    }

    /// Drops the connection, and makes it again.
    func reconnect() {
        guard !isClosed else { return }
        if state == .active { client?.connection?.abort() } else if state == .backoff { connect() }
    }

    private var isLogged: Bool { attempts < ReconnectingStream.loggedAttempts }

    private func connect() {
        timer.map(loop.timers.cancel)
        timer = nil
        state = .connecting
        if isLogged { logger.info("\(target): connecting...") }
        client = StreamClient(
            loop: loop, target: target, tls: tls, limits: limits, logger: logger,
            timeoutMilliseconds: ReconnectingStream.connectTimeoutMilliseconds,
            makeSession: { [unowned self] connection in
                state = .active
                connectedAt = loop.clock.now
                attempts = 0
                lastError = nil
                logger.info("\(target): connected")
                return Watched(makeSession(connection)) { [weak self, weak connection] in self?.ended(connection?.failure) }
            },
            failed: { [weak self] reason in self?.failed(reason) })
    }

    private func failed(_ reason: String) {
        guard !isClosed else { return }
        lastError = reason
        if isLogged { logger.info("\(target): connection attempt failed (\(reason))") }
        wait()
    }

    private func ended(_ reason: String?) {
        client = nil
        disconnectedAt = loop.clock.now
        guard !isClosed else { return }
        lastError = reason ?? "Connection closed by peer"
        logger.info("\(target): \(reason.map { "connection dropped (\($0))" } ?? "connection closed by peer")")
        if let connectedAt, loop.clock.now.milliseconds(since: connectedAt) >= backoffMilliseconds { backoffMilliseconds = 0 }
        wait()
    }

    private func wait() {
        attempts += 1
        backoffMilliseconds =
            backoffMilliseconds == 0
            ? ReconnectingStream.minimumBackoffMilliseconds : min(backoffMilliseconds * 2, max(maximumBackoffMilliseconds, 1))
        state = .backoff
        if isLogged {
            logger.info("\(target): waiting \(Double(backoffMilliseconds) / 1000) seconds before reconnect")
        } else if attempts == ReconnectingStream.loggedAttempts {
            logger.info("\(target): continuing to reconnect in the background but suppressing further logging")
        }
        timer = loop.timers.schedule(afterMilliseconds: backoffMilliseconds) { [weak self] in self?.connect() }
    }
}

/// A session, and somebody who wants to know when it is over.
private final class Watched: StreamSession {
    private let session: any StreamSession
    private let over: () -> Void

    init(_ session: any StreamSession, over: @escaping () -> Void) {
        self.session = session
        self.over = over
    }

    func received(_ bytes: [UInt8]) { session.received(bytes) }
    func outputDrained() { session.outputDrained() }
    func outputEmptied() { session.outputEmptied() }
    func inputEnded() { session.inputEnded() }
    func connectionClosed() {
        session.connectionClosed()
        over()
    }
}
