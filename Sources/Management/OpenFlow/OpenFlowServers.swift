// The OpenFlow sockets of all bridges: opened and closed as the switch creates and deletes bridges.

internal import Base
public import DatapathAPI
internal import Logging
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
    private var listeners: [String: OpenFlowListener] = [:]

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
                log: { logger.info("\(name): \($0)") }))
        do throws(UnixSocketError) {
            listeners[name] = try OpenFlowListener(loop: loop, directory: directory, service: service, versions: .all, logger: logger)
        } catch {
            service.shutDown()
            logger.error("bridge \(name): no OpenFlow socket: \(error)")
        }
    }

    public func bridgeRemoved(_ bridge: Bridge) { listeners.removeValue(forKey: bridge.name)?.close() }

    /// Ends all of it.
    public func close() {
        for listener in listeners.values { listener.close() }
        listeners = [:]
    }
}
