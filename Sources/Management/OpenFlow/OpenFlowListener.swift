// The OpenFlow sockets of one bridge: `BRIDGE.mgmt`, where flows are managed, and `BRIDGE.snoop`, where what is said there
// can be listened to.

internal import Base
internal import Logging
internal import OpenFlow
internal import Pipeline

/// Joins an OpenFlow connection to a socket: bytes in, bytes out, its timer, its end.
private final class OpenFlowSession: StreamSession {
    let connection: StreamConnection
    private(set) var openFlow: OpenFlowConnection!
    private let loop: ControlLoop
    private let logger: Logger
    private var timer: (deadline: Instant, token: TimerQueue.Token)?
    private var isOver = false
    /// Called when the connection is over.
    var onEnd: (() -> Void)?

    init(
        connection: StreamConnection, loop: ControlLoop, logger: Logger, versions: OpenFlowVersionSet,
        handler: any OpenFlowConnectionHandler
    ) {
        self.connection = connection
        self.loop = loop
        self.logger = logger
        openFlow = OpenFlowConnection(
            configuration: OpenFlowConnection.Configuration(name: connection.name, versions: versions), clock: loop.clock, handler: handler,
            output: { [unowned connection] in connection.send($0) })
        openFlow.isCongested = { [unowned connection] in connection.isCongested }
        openFlow.pendingOutputBytes = { [unowned connection] in connection.pendingBytes }
    }

    func start() {
        openFlow.start()
        settle()
    }

    func received(_ bytes: [UInt8]) {
        openFlow.receive(bytes)
        settle()
    }

    func outputDrained() {
        openFlow.outputDrained()
        settle()
    }

    func connectionClosed() {
        openFlow.close("the peer closed the connection")
        end()
    }

    /// After everything that may have changed the connection's deadline or ended it.
    private func settle() {
        if let reason = openFlow.closeReason {
            if !isOver { logger.info("\(connection.name): connection ended: \(reason)") }
            connection.close()
            return end()
        }
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

    /// The service ended the connection: nothing may have arrived that would have told.
    func check() { settle() }

    private func end() {
        guard !isOver else { return }
        isOver = true
        cancelTimer()
        onEnd?()
        onEnd = nil
    }

    private func cancelTimer() {
        if let timer { loop.timers.cancel(timer.token) }
        timer = nil
    }
}

/// Listens to nothing and wants nothing: the far end of a snoop connection.
private final class SnoopHandler: OpenFlowConnectionHandler {
    func connectionOpened(_ connection: OpenFlowConnection) {}
    func handle(_ message: Message, xid: UInt32, raw: [UInt8], on connection: OpenFlowConnection) throws(OpenFlowError) {}
    func commit(_ bundle: Bundle, on connection: OpenFlowConnection) throws(OpenFlowError) {}
    func subscriptionChanged(_ connection: OpenFlowConnection) {}
    func connectionClosed(_ connection: OpenFlowConnection) {}
}

/// Serves one bridge. Only on the control loop's thread.
final class OpenFlowListener {
    private let service: OpenFlowService
    private var management: StreamServer?
    private var snoop: StreamServer?
    private var sessions: [ObjectIdentifier: OpenFlowSession] = [:]
    private var snoopers: [ObjectIdentifier: OpenFlowSession] = [:]
    private let snoopHandler = SnoopHandler()

    /// Opens both sockets.
    init(
        loop: ControlLoop, directory: String, service: OpenFlowService, versions: OpenFlowVersionSet, logger: Logger
    ) throws(UnixSocketError) {
        self.service = service
        let path = directory + "/" + service.bridge.name
        management = try StreamServer(loop: loop, path: path + ".mgmt", limits: .openFlow, logger: logger) { [unowned self] connection in
            let session = OpenFlowSession(connection: connection, loop: loop, logger: logger, versions: versions, handler: self.service)
            let id = ObjectIdentifier(session)
            self.sessions[id] = session
            session.onEnd = { [weak self] in self?.sessions[id] = nil }
            session.openFlow.tap = { [weak self] in self?.relay($0) }
            session.start()
            return session
        }
        do throws(UnixSocketError) {
            snoop = try StreamServer(loop: loop, path: path + ".snoop", limits: .snoop, logger: logger) { [unowned self] connection in
                let session = OpenFlowSession(
                    connection: connection, loop: loop, logger: logger, versions: versions, handler: self.snoopHandler)
                let id = ObjectIdentifier(session)
                self.snoopers[id] = session
                session.onEnd = { [weak self] in self?.snoopers[id] = nil }
                session.start()
                return session
            }
        } catch {
            management?.close()
            throw error
        }
    }

    /// Closes the sockets and ends every connection.
    func close() {
        service.shutDown()
        for session in Array(sessions.values) { session.check() }
        management?.close()
        snoop?.close()
    }

    /// Sends a copy of a message to whoever listens.
    private func relay(_ bytes: [UInt8]) {
        guard !snoopers.isEmpty else { return }
        for snooper in snoopers.values where snooper.openFlow.isOpen { snooper.connection.send(bytes) }
    }
}
