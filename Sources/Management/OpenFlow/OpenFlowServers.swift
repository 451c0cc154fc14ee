// The OpenFlow sockets of all bridges: opened and closed as the switch creates and deletes bridges.

internal import Base
public import DatapathAPI
internal import Logging
public import OVSDB
internal import OpenFlow
public import Pipeline
public import Switch

extension ControlLoop: ServiceExecutor {}

/// Follows the switch's bridges. Only on the control loop's thread.
public final class OpenFlowServers: SwitchObserver {
    private let loop: ControlLoop
    private let directory: String
    private let datapath: any DatapathControl
    private let logger: Logger
    private let tls = TLSContext()
    private var listeners: [String: OpenFlowListener] = [:]
    /// Called when controllers' states have changed.
    public var onReport: (([UUID: ControllerReport]) -> Void)?
    /// A controller took a port (bridge, name) up or down.
    public var onPortSwitched: ((_ bridge: String, _ port: String, _ isUp: Bool) -> Void)?

    /// - Parameter directory: the run directory, where the sockets are made.
    public init(loop: ControlLoop, directory: String, datapath: any DatapathControl, log: LogRegistry) {
        self.loop = loop
        self.directory = directory
        self.datapath = datapath
        logger = log.logger("ofproto")
    }

    public func bridgeAdded(_ bridge: Bridge) {
        guard !bridge.name.contains("/"), !bridge.name.hasPrefix(".") else {
            logger.error("bridge \(bridge.name): it gets no OpenFlow socket, because its name cannot be a file's; choose one without \"/\"")
            return
        }
        let logger = logger
        let name = bridge.name
        let service = OpenFlowService(
            bridge: bridge, clock: loop.clock, datapath: datapath, executor: loop,
            environment: ServiceEnvironment(
                // Controllers recognise what a switch can do by these words.
                description: SwitchDescription(
                    manufacturer: "Nicira, Inc.", hardware: "Open vSwitch", software: ProductVersion.compatibleWith, serialNumber: "None",
                    datapath: "None"),
                portSwitched: { [weak self] in self?.onPortSwitched?(name, $0.name, $1) }, log: { logger.info("\(name): \($0)") }))
        do throws(UnixSocketError) {
            let listener = try OpenFlowListener(loop: loop, directory: directory, tls: tls, service: service, logger: logger)
            listener.onReport = { [weak self] in self?.onReport?($0) }
            listeners[name] = listener
        } catch {
            service.shutDown()
            logger.error("bridge \(name): no OpenFlow socket: \(error)")
        }
    }

    public func bridgeConfigured(_ bridge: Bridge, _ connections: BridgeConnections) {
        listeners[bridge.name]?.configure(connections)
    }

    public func tlsConfigured(_ files: TLSFiles) {
        tls.settings = TLSSettings(
            privateKey: files.privateKey, certificate: files.certificate, caCertificate: files.caCertificate,
            bootstrapsCA: files.bootstrapsCA)
    }

    public func bridgeRemoved(_ bridge: Bridge) { listeners.removeValue(forKey: bridge.name)?.close() }

    /// Ends all of it.
    public func close() {
        for listener in listeners.values { listener.close() }
        listeners = [:]
    }
}
