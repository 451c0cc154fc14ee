// Joins an OpenFlow connection to a socket: bytes in, bytes out, its timer, its end.

internal import Base
internal import Logging
internal import OpenFlow

final class OpenFlowSession: StreamSession {
    let connection: StreamConnection
    private(set) var openFlow: OpenFlowConnection!
    private let loop: ControlLoop
    private let logger: Logger
    private var timer: (deadline: Instant, token: TimerQueue.Token)?
    private var isOver = false
    /// Called when the connection is over, with the reason; nil if the peer just closed it.
    var onEnd: ((String?) -> Void)?
    /// Called after whatever may have changed the connection's state.
    var onChange: (() -> Void)?

    init(
        connection: StreamConnection, loop: ControlLoop, logger: Logger, configuration: OpenFlowConnection.Configuration,
        handler: any OpenFlowConnectionHandler
    ) {
        self.connection = connection
        self.loop = loop
        self.logger = logger
        openFlow = OpenFlowConnection(
            configuration: configuration, clock: loop.clock, handler: handler, output: { [unowned connection] in connection.send($0) })
        openFlow.isCongested = { [unowned connection] in connection.isCongested }
        openFlow.pendingOutputBytes = { [unowned connection] in connection.pendingBytes }
        openFlow.onUpdate = { [weak self] in self?.settle() }
    }

    func start() {
        openFlow.start()
        settle()
    }

    func received(_ bytes: [UInt8]) {
        // Many rules may change by one message.
        loop.breath.during { openFlow.receive(bytes) }
        settle()
    }

    func outputDrained() {
        loop.breath.during { openFlow.outputDrained() }
        settle()
    }

    func outputEmptied() { openFlow.onOutputEmpty?() }

    func connectionClosed() {
        let failure = connection.failure
        openFlow.close(failure ?? "the peer closed the connection")
        end(failure)
    }

    /// Ends the connection from our side.
    func close(_ reason: String) {
        openFlow.close(reason)
        settle()
    }

    /// After everything that may have changed the connection's deadline or ended it.
    private func settle() {
        if let reason = openFlow.closeReason {
            if !isOver { logger.info("\(connection.name): connection ended: \(reason)") }
            connection.close()
            return end(reason)
        }
        onChange?()
        guard let deadline = openFlow.nextDeadline else { return cancelTimer() }
        // A deadline that moved later is looked at when the earlier one comes; that spares a timer a message.
        if let timer, timer.deadline <= deadline { return }
        cancelTimer()
        let token = loop.timers.schedule(at: deadline) { [weak self] in self?.timerFired() }
        timer = (deadline, token)
    }

    private func timerFired() {
        timer = nil
        openFlow.tick()
        settle()
    }

    /// Something outside may have ended the connection or given it a deadline: nothing may have arrived that would have told.
    func check() { settle() }

    private func end(_ reason: String?) {
        guard !isOver else { return }
        isOver = true
        cancelTimer()
        onEnd?(reason)
        onEnd = nil
        onChange = nil
    }

    private func cancelTimer() {
        if let timer { loop.timers.cancel(timer.token) }
        timer = nil
    }
}
