// The OpenFlow sockets of one bridge: `BRIDGE.mgmt`, where flows are managed; `BRIDGE.snoop`, where what its controllers say can
// be listened to; and the controllers.

internal import Base
internal import Logging
internal import OVSDB
internal import OpenFlow
internal import Pipeline
internal import Switch

/// Listens to nothing and wants nothing: the far end of a snoop connection.
private final class SnoopHandler: OpenFlowConnectionHandler {
    func connectionOpened(_ connection: OpenFlowConnection) {}
    func handle(_ message: Message, xid: UInt32, raw: [UInt8], on connection: OpenFlowConnection) throws(OpenFlowError) {}
    func commit(_ bundle: Bundle, xid: UInt32, on connection: OpenFlowConnection) throws(OpenFlowError) {}
    func subscriptionChanged(_ connection: OpenFlowConnection) {}
    func connectionClosed(_ connection: OpenFlowConnection) {}
}

/// Serves one bridge. Only on the control loop's thread.
final class OpenFlowListener {
    private let service: OpenFlowService
    private let loop: ControlLoop
    private let logger: Logger
    private let controllers: BridgeControllers
    private var management: StreamServer?
    private var snoop: StreamServer?
    private var sessions: [ObjectIdentifier: OpenFlowSession] = [:]
    private var snoopers: [ObjectIdentifier: OpenFlowSession] = [:]
    private let snoopHandler = SnoopHandler()
    private var connections = BridgeConnections()

    /// Opens both sockets.
    init(
        loop: ControlLoop, directory: String, tls: TLSContext, service: OpenFlowService, logger: Logger
    ) throws(UnixSocketError) {
        self.service = service
        self.loop = loop
        self.logger = logger
        controllers = BridgeControllers(loop: loop, directory: directory, tls: tls, service: service, logger: logger)
        controllers.tap = { [weak self] in self?.relay($0) }
        let path = directory + "/" + service.bridge.name
        management = try StreamServer(loop: loop, path: path + ".mgmt", limits: .openFlow, logger: logger) { [unowned self] connection in
            let session = serve(connection, handler: self.service, among: \.sessions)
            session.start()
            return session
        }
        do throws(UnixSocketError) {
            snoop = try StreamServer(loop: loop, path: path + ".snoop", limits: .snoop, logger: logger) { [unowned self] connection in
                let session = serve(connection, handler: snoopHandler, among: \.snoopers)
                // Without a controller there is nothing that could ever be heard.
                if controllers.isConnected { session.start() } else { session.close("there is no controller connection to snoop") }
                return session
            }
        } catch {
            management?.close()
            throw error
        }
    }

    /// Called when a controller's state has changed.
    var onReport: (([UUID: ControllerReport]) -> Void)? {
        get { controllers.onReport }
        set { controllers.onReport = newValue }
    }

    private func serve(
        _ connection: StreamConnection, handler: any OpenFlowConnectionHandler,
        among list: ReferenceWritableKeyPath<OpenFlowListener, [ObjectIdentifier: OpenFlowSession]>
    ) -> OpenFlowSession {
        var configuration = OpenFlowConnection.Configuration(name: connection.name, versions: connections.versions)
        configuration.bundleIdleSeconds = connections.bundleIdleSeconds
        let session = OpenFlowSession(
            connection: connection, loop: loop, logger: logger, configuration: configuration, handler: handler)
        let id = ObjectIdentifier(session)
        self[keyPath: list][id] = session
        session.onEnd = { [weak self] _ in self?[keyPath: list][id] = nil }
        return session
    }

    /// Takes what the configuration says. Clients that speak a version that is not enabled any more are disconnected.
    func configure(_ wanted: BridgeConnections) {
        connections = wanted
        service.describe(datapath: wanted.datapathDescription, serialNumber: wanted.serialNumber)
        for session in Array(sessions.values) {
            if let version = session.openFlow.version, !wanted.versions.contains(version) {
                session.close("the bridge's protocols have changed")
            }
        }
        controllers.configure(wanted)
    }

    /// Closes the sockets and ends every connection.
    func close() {
        service.shutDown()
        controllers.close()
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
