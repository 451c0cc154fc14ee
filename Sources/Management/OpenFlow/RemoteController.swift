// One controller of a bridge, as a `Controller` row names it: one that we connect to, again and again, or an address at which
// any number may connect to us.

internal import Base
internal import Logging
internal import OpenFlow
internal import Pipeline
internal import Switch

/// Only on the control loop's thread.
final class RemoteController {
    private(set) var settings: ControllerSettings
    let isPrimary: Bool
    private let target: StreamTarget?
    private let loop: ControlLoop
    private let tls: TLSContext
    private let service: OpenFlowService
    private let logger: Logger
    private var connections: BridgeConnections
    private var reconnection: Reconnection
    private var attempt: StreamClient?
    private var server: StreamServer?
    private var timer: TimerQueue.Token?
    private var sessions: [ObjectIdentifier: OpenFlowSession] = [:]
    private var isClosed = false
    /// Why this controller is not served at all.
    private let refusal: String?
    /// Why the address could not be listened at; tried again with the back-off.
    private var listenFailure: String?
    /// Sees every message in both directions.
    var tap: (([UInt8]) -> Void)?
    /// Called after whatever may have changed `report`.
    var onChange: (() -> Void)?
    /// When a connection was last known to be taken by its controller, or the controller was configured.
    private var lastAdmitted: Instant
    private static let defaultPort: UInt16 = 6653

    init(
        _ settings: ControllerSettings, connections: BridgeConnections, loop: ControlLoop, directory: String, tls: TLSContext,
        service: OpenFlowService, logger: Logger
    ) {
        self.settings = settings
        self.connections = connections
        self.loop = loop
        self.tls = tls
        self.service = service
        self.logger = logger
        let now = loop.clock.now
        reconnection = Reconnection(now: now, maximumBackoffMilliseconds: settings.maximumBackoffMilliseconds)
        lastAdmitted = now
        let read = StreamTarget(settings.target, defaultPort: RemoteController.defaultPort)
        refusal = RemoteController.refusal(settings, read, directory: directory, bridge: service.bridge.name)
        target = read.map { $0.inDirectory(directory) }
        isPrimary = settings.isPrimary ?? !(read?.isPassive ?? false)
        if let refusal { logger.error("bridge \(service.bridge.name): controller \(settings.target): \(refusal)") }
    }

    /// Whether it can be served by the same object as before: what differs can be changed in place.
    func accepts(_ other: ControllerSettings) -> Bool {
        other.target == settings.target && other.isPrimary == settings.isPrimary && other.wantsInBand == settings.wantsInBand
    }

    /// Begins to connect or to listen.
    func start() {
        guard refusal == nil, let target else { return }
        if target.isPassive { listen(target) } else { connect(target) }
    }

    /// Takes changed settings; connections go on, except that other versions need a new hello.
    func update(_ settings: ControllerSettings, _ connections: BridgeConnections) {
        let versionsDiffer = connections.versions != self.connections.versions
        self.settings = settings
        self.connections = connections
        reconnection.maximumBackoffMilliseconds = settings.maximumBackoffMilliseconds
        for session in Array(sessions.values) {
            session.openFlow.configuration = configuration(session.openFlow.configuration.name)
            if versionsDiffer { session.close("the bridge's protocols have changed") } else { session.check() }
        }
    }

    func close(_ reason: String) {
        guard !isClosed else { return }
        isClosed = true
        onChange = nil
        if let timer { loop.timers.cancel(timer) }
        timer = nil
        server?.close()
        attempt?.cancel()
        for session in Array(sessions.values) { session.close(reason) }
        sessions = [:]
    }

    // MARK: Refusals

    /// Why a controller is not connected to; nil if it is.
    ///
    /// Whoever may write the database may be far away: Unix sockets outside the run directory are not opened for them, and
    /// names other than `BRIDGE.something` are not taken.
    private static func refusal(_ settings: ControllerSettings, _ target: StreamTarget?, directory: String, bridge: String) -> String? {
        guard let target else {
            return
                "the target is not one of tcp:HOST[:PORT], ssl:HOST[:PORT], unix:FILE, ptcp:[PORT][:HOST], pssl:[PORT][:HOST], punix:FILE"
        }
        if settings.wantsInBand {
            return "connection_mode=in-band is not supported; set connection_mode=out-of-band and reach the controller by another network"
        }
        guard case .unix(let path) = target.inDirectory(directory).place else { return nil }
        let name = path.hasPrefix(directory + "/") ? path.dropFirst(directory.utf8.count + 1) : ""
        if name.isEmpty || name.contains("/") {
            return "Not adding Unix domain socket controllers outside the run directory \(directory); give one in it"
        }
        if target.isPassive, !name.hasPrefix(bridge + ".") || name == "\(bridge).mgmt" || name == "\(bridge).snoop" {
            return "the socket's name must begin with \"\(bridge).\", and \(bridge).mgmt and \(bridge).snoop are the bridge's own"
        }
        return nil
    }

    // MARK: Connecting

    private func configuration(_ name: String) -> OpenFlowConnection.Configuration {
        var result = OpenFlowConnection.Configuration(
            name: name, versions: connections.versions, isService: !isPrimary, probeMilliseconds: settings.probeMilliseconds)
        result.packetInLimit = settings.packetInLimit
        result.receivesAsynchronous = settings.enablesAsynchronous
        result.bundleIdleSeconds = connections.bundleIdleSeconds
        return result
    }

    private func connect(_ target: StreamTarget) {
        reconnection.attemptBegan(now: loop.clock.now)
        logger.debug("\(service.bridge.name)<->\(target): connecting...")
        attempt = StreamClient(
            loop: loop, target: target, tls: target.usesTLS ? tls : nil, limits: .openFlow, logger: logger,
            timeoutMilliseconds: reconnection.attemptMilliseconds,
            makeSession: { [unowned self] connection in
                reconnection.connected(now: loop.clock.now)
                logger.info("\(service.bridge.name)<->\(target): connected")
                return serve(connection) { [weak self] in self?.ended($0) }
            },
            failed: { [weak self] in self?.ended($0) })
        onChange?()
    }

    /// The attempt failed or the connection is over.
    private func ended(_ reason: String?) {
        guard !isClosed else { return }
        attempt = nil
        reconnection.ended(reason, now: loop.clock.now)
        let wait = reconnection.waitMilliseconds
        if wait < settings.maximumBackoffMilliseconds {
            logger.info(
                "\(service.bridge.name)<->\(settings.target): \(reason ?? "connection closed by peer"); waiting \(wait / 1000) seconds before reconnect"
            )
        }
        retry()
        onChange?()
    }

    private func retry() {
        guard let next = reconnection.nextAttempt else { return }
        timer = loop.timers.schedule(at: next) { [weak self] in
            self?.timer = nil
            self?.start()
        }
    }

    // MARK: Listening

    private func listen(_ target: StreamTarget) {
        reconnection.attemptBegan(now: loop.clock.now)
        let make: (StreamConnection) -> any StreamSession = { [unowned self] connection in
            logger.info("\(service.bridge.name)<->\(connection.name): connected")
            return serve(connection) { [weak self] _ in self?.onChange?() }
        }
        do {
            switch target.place {
            case .unix(let path): server = try StreamServer(loop: loop, path: path, limits: .openFlow, logger: logger, makeSession: make)
            case .internet(let host, let port):
                server = try StreamServer(
                    loop: loop, host: host, port: port, tls: target.usesTLS ? tls : nil, limits: .openFlow, logger: logger,
                    makeSession: make)
            }
            listenFailure = nil
            reconnection.connected(now: loop.clock.now)
        } catch {
            let reason = "\(error)"
            if reason != listenFailure { logger.error("bridge \(service.bridge.name): controller \(settings.target): \(reason)") }
            listenFailure = reason
            reconnection.ended(reason, now: loop.clock.now)
            retry()
        }
        onChange?()
    }

    private func serve(_ connection: StreamConnection, ended: @escaping (String?) -> Void) -> OpenFlowSession {
        let session = OpenFlowSession(
            connection: connection, loop: loop, logger: logger, configuration: configuration(connection.name), handler: service)
        let id = ObjectIdentifier(session)
        sessions[id] = session
        session.openFlow.tap = { [weak self] in self?.tap?($0) }
        session.onEnd = { [weak self] reason in
            self?.sessions[id] = nil
            ended(reason)
        }
        session.onChange = { [weak self] in self?.sessionChanged() }
        session.start()
        return session
    }

    private var lastState: String = ""

    private func sessionChanged() {
        if sessions.values.contains(where: { $0.openFlow.isAdmitted }) { lastAdmitted = loop.clock.now }
        if !(target?.isPassive ?? true), let session = sessions.values.first {
            reconnection.setIdle(session.openFlow.isProbed, now: loop.clock.now)
        }
        let state = sessions.values.map { "\($0.openFlow.isOpen) \($0.openFlow.settings.role)" }.joined() + reconnection.state.rawValue
        if state != lastState {
            lastState = state
            onChange?()
        }
    }

    // MARK: State

    var isConnected: Bool { sessions.values.contains { $0.openFlow.isOpen } }

    /// Open, and taken by its controller.
    var isAdmitted: Bool { sessions.values.contains { $0.openFlow.isOpen && $0.openFlow.isAdmitted } }

    /// Milliseconds without a connection that its controller has taken.
    func failureMilliseconds(now: Instant) -> UInt64 {
        if isAdmitted { lastAdmitted = now }
        return now.milliseconds(since: lastAdmitted)
    }

    /// What its row is to say.
    func report(now: Instant) -> ControllerReport {
        var status: [String: String] = [:]
        if let refusal {
            status["state"] = Reconnection.State.void.rawValue
            status["last_error"] = refusal
            return ControllerReport(isConnected: false, role: nil, status: status)
        }
        let open = sessions.values.filter(\.openFlow.isOpen)
        if target?.isPassive ?? false {
            if let listenFailure { status["last_error"] = listenFailure }
            if let port = server?.port { status["bound_port"] = String(port) }
            status["n_connections"] = String(open.count)
            return ControllerReport(isConnected: !open.isEmpty, role: open.first?.openFlow.settings.role, status: status)
        }
        // A socket without hello is not a controller yet.
        let isActive = reconnection.state == .active || reconnection.state == .idle
        status["state"] = isActive && open.isEmpty ? Reconnection.State.connecting.rawValue : reconnection.state.rawValue
        if let error = reconnection.lastError { status["last_error"] = error }
        if let instant = reconnection.lastConnected { status["sec_since_connect"] = String(now.milliseconds(since: instant) / 1000) }
        if let instant = reconnection.lastDisconnected { status["sec_since_disconnect"] = String(now.milliseconds(since: instant) / 1000) }
        for (name, value) in open.first?.openFlow.packetInStatus ?? [] { status[name] = String(value) }
        return ControllerReport(
            isConnected: !open.isEmpty, role: open.first?.openFlow.settings.role ?? (isPrimary ? .equal : nil), status: status)
    }
}

extension StreamTarget {
    /// A relative path is one in the run directory.
    func inDirectory(_ directory: String) -> StreamTarget {
        guard case .unix(let path) = place, !path.hasPrefix("/") else { return self }
        let method = isPassive ? "punix" : "unix"
        return StreamTarget("\(method):\(directory)/\(path)", defaultPort: 0) ?? self
    }
}
