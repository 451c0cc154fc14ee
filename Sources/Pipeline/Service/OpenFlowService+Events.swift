// Asynchronous messages: to every connection that asked for them (OpenFlow 1.3 section 6.3.5).

internal import Base
internal import Classifier
internal import Flow
internal import OpenFlow

extension OpenFlowService {
    /// On a bridge's own socket nobody gets asynchronous messages before setting a miss-send length.
    func listens(_ connection: OpenFlowConnection) -> Bool {
        connection.isOpen && connection.configuration.receivesAsynchronous
            && (!connection.configuration.isService || connection.settings.missSendLength > 0)
    }

    /// Whether a connection wants packet-ins for `reason`.
    func wants(_ reason: PacketInReason, _ connection: OpenFlowConnection) -> Bool {
        listens(connection) && connection.settings.masks.packetIn >> UInt32(reason.wireValue(in: connection.version ?? .v1_0)) & 1 == 1
    }

    // MARK: Packet-in

    func send(_ event: PacketInEvent) {
        for connection in connections where connection.settings.controllerID == event.controllerID {
            let version = connection.version ?? .v1_0
            // A miss without a rule is for those versions that mean the controller by it; from 1.3 on a miss needs a rule to go there.
            if event.isImplicitMiss, version >= .v1_3 { continue }
            // Before 1.3 a rule that matches everything is a rule, and what it sends up an action's doing.
            let reason = event.isMissRule && version < .v1_3 ? .action : event.reason
            guard wants(reason, connection) else { continue }
            var metadata = Match()
            for field in OpenFlowService.metadataFields where event.metadata[field] != 0 { metadata.set(field, event.metadata[field]) }
            metadata.set(.inPort, UInt128(event.inPort.rawValue))
            // How much of the packet: a rule says so by itself, for a miss the connection did.
            let limit = reason == .noMatch ? min(event.maxLength, connection.settings.missSendLength) : event.maxLength
            let data = limit == .max ? event.packet : Array(event.packet.prefix(Int(limit)))
            var packetIn = PacketIn(
                format: connection.settings.packetInFormat, totalLength: event.totalLength, reason: reason,
                tableID: event.table, cookie: event.cookie, metadata: metadata, userdata: event.userdata, data: data)
            packetIn.continuation = event.continuation
            connection.sendPacketIn(packetIn)
        }
    }

    /// NXT_RESUME: a paused packet goes on.
    func resume(_ packet: PacketIn) throws(OpenFlowError) {
        guard let continuation = Continuation(packet.continuation) else {
            throw OpenFlowError(.nxrStale, "a continuation of \(packet.continuation.count) bytes is not one of this switch")
        }
        guard bridge.resume(packet: packet.data, metadata: packet.metadata, continuation) else {
            throw OpenFlowError(.nxrStale, "what the packet was to go on with is not known any more")
        }
    }

    /// What a packet-in says of the pipeline beside the port (OpenFlow 1.3 section 7.4.1).
    private static let metadataFields: [Field] = [
        .tunID, .tunSrc, .tunDst, .tunIPv6Src, .tunIPv6Dst, .tunFlags, .tunGBPID, .tunGBPFlags, .metadata, .reg0, .reg1, .reg2, .reg3,
        .reg4,
        .reg5, .reg6, .reg7, .reg8, .reg9, .reg10, .reg11, .reg12, .reg13, .reg14, .reg15, .reg16,
        .reg17, .reg18, .reg19, .reg20, .reg21, .reg22, .reg23, .reg24, .reg25, .reg26, .reg27, .reg28, .reg29, .reg30, .reg31, .pktMark,
    ]

    /// Sends a packet of our own to every connection that has not shown yet that its controller takes the switch. One that only
    /// waits for packets will answer it, with a rule or a packet-out.
    public func sendProbePacketIns() {
        // A request for our own address (RARP), from an address that nobody has: harmless wherever it is flooded.
        let source = bridge.datapathID & 0xfcff_ffff_ffff | 0x0200_0000_0000
        var packet = [UInt8](repeating: 0xff, count: 6)
        let address = (0..<6).map { UInt8(truncatingIfNeeded: source >> UInt64(40 - 8 * $0)) }
        packet += address + [0x80, 0x35, 0, 1, 0x08, 0, 6, 4, 0, 3]
        packet += address + [0, 0, 0, 0] + address + [0, 0, 0, 0]
        var metadata = Match()
        metadata.set(.inPort, UInt128(OpenFlowPort.local.rawValue))
        for connection in connections where !connection.isAdmitted && !connection.configuration.isService && wants(.noMatch, connection) {
            connection.sendPacketIn(
                PacketIn(
                    format: connection.settings.packetInFormat, totalLength: packet.count, reason: .noMatch, metadata: metadata,
                    data: packet))
        }
    }

    // MARK: Flow-removed

    func send(_ rule: FlowRule, _ reason: FlowRemovedReason) {
        var removed: FlowRemoved?
        for connection in connections where listens(connection) && connection.settings.masks.flowRemoved >> UInt32(reason.rawValue) & 1 == 1
        {
            var message = removed ?? OpenFlowService.flowRemoved(rule, reason, service: self)
            removed = message
            message.isNXM = connection.version == .v1_0 && connection.settings.flowFormat == .nxm
            connection.sendAsynchronously(.flowRemoved(message))
        }
    }

    private static func flowRemoved(_ rule: FlowRule, _ reason: FlowRemovedReason, service: OpenFlowService) -> FlowRemoved {
        let (seconds, nanoseconds) = duration(since: rule.created, now: service.clock.now)
        return FlowRemoved(
            match: rule.match, cookie: rule.cookie, priority: UInt16(truncatingIfNeeded: rule.priority),
            reason: FlowRemoved.Reason(rawValue: reason.rawValue) ?? .delete, tableID: rule.table, durationSeconds: seconds,
            durationNanoseconds: nanoseconds, idleTimeout: rule.idleTimeoutSeconds, hardTimeout: rule.hardTimeoutSeconds,
            packetCount: rule.packetCount, byteCount: rule.byteCount)
    }

    // MARK: Port status

    func send(_ port: BridgePort, _ reason: PortStatusReason) {
        switch reason {
        case .add: portsSince[port.number] = clock.now
        case .delete: portsSince[port.number] = nil
        case .modify: break
        }
        var status = PortStatus(reason: PortStatus.Reason(rawValue: reason.rawValue) ?? .modify, port: describe(port))
        // A port is there before it is found alive; 1.0 has no word for that.
        let comesAlive = reason == .add && status.port.state.contains(.live)
        if comesAlive { status.port.state.remove(.live) }
        send(status, since: .v1_0)
        if comesAlive { send(PortStatus(reason: .modify, port: describe(port)), since: .v1_1) }
    }

    private func send(_ status: PortStatus, since oldest: OpenFlowVersion) {
        for connection in connections
        where listens(connection) && connection.settings.masks.portStatus >> UInt32(status.reason.rawValue) & 1 == 1 {
            let version = connection.version ?? .v1_0
            // Until 1.5 a port-mod is not echoed to whoever sent it.
            if version < oldest || connection === currentSource && version < .v1_5 { continue }
            connection.sendAsynchronously(.portStatus(status))
        }
    }
}
