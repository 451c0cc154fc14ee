// Ports, packet-out.

internal import DatapathAPI
internal import Flow
internal import OpenFlow

extension OpenFlowService {
    // MARK: Descriptions

    /// A port as controllers see it.
    func describe(_ port: BridgePort) -> PortDescription {
        var state: PortDescription.State = []
        if !port.isLinkUp { state.insert(.linkDown) }
        if port.isLinkUp, !port.configuration.contains(.down) { state.insert(.live) }
        return PortDescription(
            number: port.number, hardwareAddress: port.hardwareAddress, name: port.name,
            config: PortDescription.Config(rawValue: port.configuration.rawValue), state: state,
            current: PortDescription.Features(rawValue: port.currentFeatures), currentSpeed: port.currentSpeedKbps,
            maximumSpeed: port.maximumSpeedKbps)
    }

    // MARK: Port-mod

    /// What a port-mod may be refused for, without changing anything.
    func check(_ mod: PortMod) throws(OpenFlowError) {
        guard let port = bridge.port(mod.port) else { throw OpenFlowError(.pmfcBadPort, "port \(mod.port.rawValue) does not exist") }
        guard port.hardwareAddress == mod.hardwareAddress else {
            throw OpenFlowError(.pmfcBadHwAddr, "port \(port.name) does not have the hardware address in the request")
        }
    }

    func change(_ mod: PortMod) throws(OpenFlowError) {
        try check(mod)
        let wasDown = bridge.port(mod.port)?.configuration.contains(.down)
        bridge.updatePort(mod.port) { port in
            let bits = (port.configuration.rawValue & ~mod.mask.rawValue) | (mod.config.rawValue & mod.mask.rawValue)
            port.configuration = PortConfiguration(rawValue: bits)
        }
        if let port = bridge.port(mod.port), port.configuration.contains(.down) != wasDown {
            environment.portSwitched(port, !port.configuration.contains(.down))
        }
    }

    // MARK: Packet-out

    func check(_ packet: PacketOut) throws(OpenFlowError) {
        if packet.bufferID != FlowMod.noBuffer { throw OpenFlowError(.brcBufferUnknown, "there is no buffer \(packet.bufferID)") }
        if packet.data.count < 14 {
            throw OpenFlowError(.brcBadPacket, "a packet of \(packet.data.count) bytes is too short: an Ethernet header is 14 bytes")
        }
    }

    func packetOut(_ packet: PacketOut, on connection: OpenFlowConnection) throws(OpenFlowError) {
        try check(packet)
        do throws(FlowModError) {
            try bridge.packetOut(
                inPort: packet.inPort, packet: packet.data, actions: packet.actions, metadata: packet.metadata,
                isLenient: connection.version == .v1_0)
        } catch {
            throw OpenFlowService.wireError(error, connection.version ?? .v1_0)
        }
    }
}
