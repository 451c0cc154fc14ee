// The OpenFlow service of one bridge.
//
// A server makes one service a bridge and one `OpenFlowConnection` a peer, with the service as the connection's handler.
// Flow-mods are visible to translations when `handle` returns, so a barrier needs no waiting.
//
// ## Thread safety
// Belongs to the control loop's thread, which `executor` names. Events that the bridge raises on other threads are brought
// there by `ServiceEvents`; nothing else crosses.

public import Base
public import DatapathAPI
public import OpenFlow
internal import Flow

/// The thread that services and connections belong to.
public protocol ServiceExecutor: AnyObject, Sendable {
    /// Whether the caller is on it.
    var isCurrent: Bool { get }
    /// Has `work` run on it, after what was submitted before.
    func submit(_ work: @escaping @Sendable () -> Void)
    /// Has `work`, which takes long, run on another thread if there is one, else at once.
    func detach(_ work: @escaping @Sendable () -> Void)
}

extension ServiceExecutor {
    public func detach(_ work: @escaping @Sendable () -> Void) { work() }
}

/// What a service cannot know by itself.
public struct ServiceEnvironment {
    /// For `dump-desc`; the datapath's description is the bridge's name.
    public var description: SwitchDescription
    /// A port's counters in full, if there is more to say than the datapath counts.
    public var portStatistics: (BridgePort) -> PortStats?
    /// A controller set or cleared a port's `OFPPC_PORT_DOWN`: its device is to follow.
    public var portSwitched: (BridgePort, _ isUp: Bool) -> Void
    /// For logs: one line a refused or odd request.
    public var log: (String) -> Void

    public init(
        description: SwitchDescription = SwitchDescription(
            manufacturer: "Apus", hardware: "userspace switch", software: "0.1", serialNumber: "None", datapath: "None"),
        portStatistics: @escaping (BridgePort) -> PortStats? = { _ in nil },
        portSwitched: @escaping (BridgePort, _ isUp: Bool) -> Void = { _, _ in }, log: @escaping (String) -> Void = { _ in }
    ) {
        self.description = description
        self.portStatistics = portStatistics
        self.portSwitched = portSwitched
        self.log = log
    }
}

/// The service.
public final class OpenFlowService: OpenFlowConnectionHandler, @unchecked Sendable {
    public let bridge: Bridge
    let clock: Clock
    let datapath: (any DatapathControl)?
    let executor: any ServiceExecutor
    var environment: ServiceEnvironment
    /// Open connections, in the order in which they opened.
    public private(set) var connections: [OpenFlowConnection] = []
    /// The connection whose request is being carried out: before 1.5 it is not told of what it did to a port itself.
    var currentSource: OpenFlowConnection?
    /// The request's xid.
    var currentXID: UInt32 = 0
    /// Flow monitors by connection; an entry has at least one.
    var monitors: [ObjectIdentifier: FlowMonitors] = [:]
    /// Geneve options that are mapped to fields, by the field's index.
    var optionMaps: [UInt16: TLVMap] = [:]
    /// The newest generation that a primary or secondary claimed; nil before the first.
    var generationID: UInt64?
    /// When each port was first seen here; durations count from it.
    var portsSince: [OpenFlowPort: Instant] = [:]
    let started: Instant
    private(set) var events: ServiceEvents?

    /// Makes a service and has the bridge's events come to it.
    public init(
        bridge: Bridge, clock: Clock, datapath: (any DatapathControl)?, executor: any ServiceExecutor,
        environment: ServiceEnvironment = ServiceEnvironment()
    ) {
        self.bridge = bridge
        self.clock = clock
        self.datapath = datapath
        self.executor = executor
        self.environment = environment
        started = clock.now
        let events = ServiceEvents(service: self, executor: executor)
        self.events = events
        bridge.setEvents(events)
    }

    /// Ends the service: no more events, and every connection closed. For a bridge that goes.
    public func shutDown() {
        bridge.setEvents(nil)
        events = nil
        for connection in connections { connection.close("bridge \(bridge.name) is gone") }
    }

    /// Sets what `dump-desc` says of this bridge; nil is the default.
    public func describe(datapath: String?, serialNumber: String?) {
        environment.description.datapath = datapath ?? "None"
        environment.description.serialNumber = serialNumber ?? "None"
    }

    // MARK: Connections

    public func connectionOpened(_ connection: OpenFlowConnection) {
        connections.append(connection)
        updateBridgeSettings()
        announce(connection, .channelStatus)
    }

    public func connectionClosed(_ connection: OpenFlowConnection) {
        connections.removeAll { $0 === connection }
        forgetMonitors(of: connection)
        announce(connection, .channelStatus)
        updateBridgeSettings()
    }

    public func subscriptionChanged(_ connection: OpenFlowConnection) { updateBridgeSettings() }

    /// Tells the bridge whether anybody wants its table misses and expired packets.
    func updateBridgeSettings() {
        let wantsMisses = connections.contains {
            // OpenFlow 1.3 made a miss a drop; it sends what a table-miss rule says.
            ($0.version ?? .v1_5) <= .v1_2 && $0.settings.controllerID == 0 && wants(.noMatch, $0)
        }
        let wantsExpired = connections.contains { wants(.invalidTTL, $0) }
        let settings = bridge.settings
        let hasController = connections.contains { $0.isOpen && !$0.configuration.isService }
        if settings.sendsTableMissToController == wantsMisses, settings.sendsInvalidTTLToController == wantsExpired,
            settings.hasControllerConnection == hasController
        {
            return
        }
        bridge.updateSettings {
            $0.sendsTableMissToController = wantsMisses
            $0.sendsInvalidTTLToController = wantsExpired
            $0.hasControllerConnection = hasController
        }
    }

    // MARK: Messages

    public func handle(_ message: Message, xid: UInt32, raw: [UInt8], on connection: OpenFlowConnection) throws(OpenFlowError) {
        currentSource = connection
        currentXID = xid
        defer {
            currentSource = nil
            flushMonitors()
        }
        switch message {
        case .featuresRequest: connection.send(.featuresReply(features(for: connection)), xid: xid)
        case .getConfigRequest: connection.send(.getConfigReply(configuration(for: connection)), xid: xid)
        case .setConfig(let config): try set(config, on: connection)
        case .flowMod(let mod):
            try requireWritable(connection)
            try apply(mod, on: connection)
        case .packetOut(let packet):
            try requireWritable(connection)
            try packetOut(packet, on: connection)
        case .resume(let packet):
            try requireWritable(connection)
            try resume(packet)
        case .portMod(let mod):
            try requireWritable(connection)
            try change(mod)
        case .tableMod(let mod):
            try requireWritable(connection)
            try change(mod, on: connection)
        case .groupMod(let mod):
            try requireWritable(connection)
            try apply(mod, on: connection)
            forward(.group(mod, xid: xid), from: connection)
        case .meterMod(let mod):
            try requireWritable(connection)
            try apply(mod, on: connection)
            forward(.meter(mod, xid: xid), from: connection)
        case .statsRequest(let request, let more): try answer(request, more: more, xid: xid, on: connection)
        case .queueGetConfigRequest(let port):
            // Queues are those of ports with a number of their own.
            let isAll = port == .any && connection.version != .v1_0
            guard isAll || port.rawValue < OpenFlowPort.max16.rawValue && bridge.port(port) != nil else {
                throw OpenFlowError(.qofcBadPort, "port \(port.rawValue) does not exist")
            }
            answerQueueConfiguration(port, xid: xid, on: connection)
        case .roleRequest(let request): try change(role: request, xid: xid, on: connection)
        case .flowMonitorCancel(let id): try cancelMonitor(id, on: connection)
        case .tlvTableMod(let mod):
            try requireWritable(connection)
            try change(mod)
        case .tlvTableRequest:
            let maps = optionMaps.values.sorted { $0.index < $1.index }
            connection.send(.tlvTableReply(TLVTable(maps: maps)), xid: xid)
        case .flushConntrackZone, .flushConntrack:
            // No connection is tracked yet, so none is left.
            try requireWritable(connection)
        case .experimenter(let message):
            throw OpenFlowError(.brcBadVendor, "experimenter 0x\(String(message.experimenter, radix: 16)) is unknown")
        default: throw OpenFlowError(.brcBadType, "a message that this switch does not handle")
        }
    }

    /// A secondary controller may look, not touch.
    func requireWritable(_ connection: OpenFlowConnection) throws(OpenFlowError) {
        if connection.settings.role == .secondary { throw OpenFlowError(.brcIsSecondary, "this controller's role is secondary") }
    }

    // MARK: Switch

    private func features(for connection: OpenFlowConnection) -> SwitchFeatures {
        let version = connection.version ?? .v1_0
        var capabilities: SwitchFeatures.Capabilities = [.flowStatistics, .tableStatistics, .portStatistics, .queueStatistics]
        if version == .v1_0 { capabilities.insert(.arpMatchIP) } else { capabilities.insert(.groupStatistics) }
        if version >= .v1_4 { capabilities.insert(.bundles) }
        return SwitchFeatures(
            datapathID: bridge.datapathID, tableCount: UInt8(PipelineLimits.tableCount), capabilities: capabilities,
            actions: 0xfff, ports: version <= .v1_2 ? bridge.ports.map(describe) : [])
    }

    private func configuration(for connection: OpenFlowConnection) -> SwitchConfig {
        SwitchConfig(
            fragments: OpenFlowService.wire(bridge.settings.fragments),
            invalidTTLToController: connection.settings.asynchronous.primary.packetIn & 1 << UInt32(PacketInReason.invalidTTL.rawValue)
                != 0,
            missSendLength: connection.settings.missSendLength)
    }

    private func set(_ config: SwitchConfig, on connection: OpenFlowConnection) throws(OpenFlowError) {
        connection.settings.missSendLength = config.missSendLength
        if (connection.version ?? .v1_5) <= .v1_2 {
            let bit: UInt32 = 1 << UInt32(PacketInReason.invalidTTL.rawValue)
            // It is a primary's wish; a secondary gets no packets for it.
            if config.invalidTTLToController {
                connection.settings.asynchronous.primary.packetIn |= bit
            } else {
                connection.settings.asynchronous.primary.packetIn &= ~bit
            }
        }
        updateBridgeSettings()
        // A secondary controller's settings are its own; the switch's it may not change. Reassembly is not offered: asking for
        // it changes nothing, which `get-config` then tells.
        if connection.settings.role == .secondary { return }
        let handling: FragmentHandling? =
            switch config.fragments {
            case .normal: .normal
            case .drop: .drop
            case .nxMatch: .match
            case .reassemble: nil
            }
        if let handling, handling != bridge.settings.fragments { bridge.updateSettings { $0.fragments = handling } }
    }

    private static func wire(_ handling: FragmentHandling) -> SwitchConfig.Fragments {
        switch handling {
        case .normal: .normal
        case .drop: .drop
        case .match: .nxMatch
        }
    }
}
