// Nicira's and ONF's messages.

internal import Flow

enum ExperimenterCodec {
    static func decode(_ reader: inout ByteReader, _ version: OpenFlowVersion, flowModTableID: Bool) throws(OpenFlowError) -> Message {
        let id = try reader.u32()
        if id == Experimenter.onf { return try decodeONF(&reader, version) }
        guard id == Experimenter.nicira else {
            throw OpenFlowError(.brcBadVendor, "experimenter 0x\(String(id, radix: 16)) is unknown")
        }
        let subtype = try reader.u32()
        let message: Message
        switch subtype {
        case NiciraMessage.roleRequest: message = .roleRequest(try decodeRole(&reader))
        case NiciraMessage.roleReply: message = .roleReply(try decodeRole(&reader))
        case NiciraMessage.setFlowFormat where version == .v1_0:
            let number = try reader.u32()
            guard let format = FlowFormat(rawValue: number) else { throw OpenFlowError(.brcEperm, "flow format \(number)") }
            message = .setFlowFormat(format)
        case NiciraMessage.flowMod: message = .flowMod(try FlowCodec.decodeNXFlowMod(&reader, version, hasTableID: flowModTableID))
        case NiciraMessage.groupMod where version == .v1_0: message = .groupMod(try GroupCodec.decodeMod(&reader, version))
        case NiciraMessage.flowRemoved: message = .flowRemoved(try FlowCodec.decodeNXFlowRemoved(&reader))
        case NiciraMessage.flowModTableID:
            message = .flowModTableID(try reader.u8() != 0)
            try reader.skip(7)
        case NiciraMessage.setPacketInFormat:
            let number = try reader.u32()
            guard let format = PacketInFormat(rawValue: number) else { throw OpenFlowError(.brcEperm, "packet-in format \(number)") }
            message = .setPacketInFormat(format)
        case NiciraMessage.packetIn: return .packetIn(try PacketCodec.decodeNXPacketIn(&reader))
        case NiciraMessage.packetIn2: return .packetIn(try PacketCodec.decodeNXPacketIn2(&reader))
        case NiciraMessage.flowAge: message = .flowAge
        case NiciraMessage.setAsync: message = .setAsync(try SwitchCodec.decodeAsync(&reader, .v1_3), isNicira: true)
        case NiciraMessage.setAsync2 where version <= .v1_3:
            message = .setAsync(try SwitchCodec.decodeAsync(&reader, .v1_4), isNicira: true)
        case NiciraMessage.setControllerID:
            try reader.skip(6)
            message = .setControllerID(try reader.u16())
        case NiciraMessage.flowMonitorCancel where version <= .v1_2: message = .flowMonitorCancel(id: try reader.u32())
        case NiciraMessage.flowMonitorPaused where version <= .v1_2: message = .flowMonitorPaused
        case NiciraMessage.flowMonitorResumed where version <= .v1_2: message = .flowMonitorResumed
        case NiciraMessage.tlvTableMod: message = .tlvTableMod(try NoticeCodec.decodeTLVTableMod(&reader))
        case NiciraMessage.tlvTableRequest: message = .tlvTableRequest
        case NiciraMessage.tlvTableReply: message = .tlvTableReply(try NoticeCodec.decodeTLVTable(&reader))
        case NiciraMessage.resume: return .resume(try PacketCodec.decodeNXPacketIn2(&reader))
        case NiciraMessage.flushConntrackZone:
            guard try reader.array(6).allSatisfy({ $0 == 0 }) else {
                throw OpenFlowError(.nxbrcMustBeZero, "padding of a conntrack flush is not zero")
            }
            message = .flushConntrackZone(try reader.u16())
        case NiciraMessage.flushConntrack:
            let number = try reader.u8()
            guard try reader.array(7).allSatisfy({ $0 == 0 }) else {
                throw OpenFlowError(.nxbrcMustBeZero, "padding of a conntrack flush is not zero")
            }
            message = .flushConntrack(protocolNumber: number, properties: reader.rest())
        case NiciraMessage.requestForward where version <= .v1_2: return .requestForward(try NoticeCodec.decodeForwarded(&reader))
        default: throw OpenFlowError(.brcBadSubtype, "Nicira message \(subtype) is not one that this switch knows")
        }
        try reader.expectEnd()
        return message
    }

    private static func decodeONF(_ reader: inout ByteReader, _ version: OpenFlowVersion) throws(OpenFlowError) -> Message {
        let type = try reader.u32()
        // ONF's extensions are 1.3's; later versions have the same as messages of their own.
        guard version == .v1_3 else { throw OpenFlowError(.brcBadSubtype, "ONF message \(type) in OpenFlow \(version)") }
        let message: Message
        switch type {
        case ONFMessage.bundleControl: message = .bundleControl(try SwitchCodec.decodeBundleControl(&reader))
        case ONFMessage.bundleAdd: message = .bundleAdd(try SwitchCodec.decodeBundleAdd(&reader))
        case ONFMessage.roleStatus: message = .roleStatus(try SwitchCodec.decodeRoleStatus(&reader))
        case ONFMessage.flowMonitorCancel: message = .flowMonitorCancel(id: try reader.u32())
        case ONFMessage.flowMonitorPaused: message = .flowMonitorPaused
        case ONFMessage.flowMonitorResumed: message = .flowMonitorResumed
        case ONFMessage.requestForward: return .requestForward(try NoticeCodec.decodeForwarded(&reader))
        default: throw OpenFlowError(.brcBadSubtype, "ONF message \(type) is not one that this switch knows")
        }
        try reader.expectEnd()
        return message
    }

    /// Nicira's roles are 0 other, 1 primary, 2 secondary, and have no generation.
    private static func decodeRole(_ reader: inout ByteReader) throws(OpenFlowError) -> RoleMessage {
        let number = try reader.u32()
        guard number < 3, let role = ControllerRole(rawValue: number + 1) else {
            throw OpenFlowError(.rrfcBadRole, "controller role \(number) is not 0, 1 or 2")
        }
        return RoleMessage(role: role, generationID: nil)
    }

    /// Writes the body; false if the version has no such message.
    static func encode(_ message: Message, _ version: OpenFlowVersion, _ writer: inout ByteWriter) -> Bool {
        func nicira(_ subtype: UInt32) {
            writer.u32(Experimenter.nicira)
            writer.u32(subtype)
        }
        func onf(_ type: UInt32) {
            writer.u32(Experimenter.onf)
            writer.u32(type)
        }
        switch message {
        case .experimenter(let message):
            writer.u32(message.experimenter)
            writer.u32(message.type)
            writer.raw(message.body)
        case .roleRequest(let role), .roleReply(let role):
            if case .roleRequest = message { nicira(NiciraMessage.roleRequest) } else { nicira(NiciraMessage.roleReply) }
            writer.u32(max(role.role.rawValue, 1) - 1)
        case .setFlowFormat(let format) where version == .v1_0:
            nicira(NiciraMessage.setFlowFormat)
            writer.u32(format.rawValue)
        case .flowModTableID(let isOn):
            nicira(NiciraMessage.flowModTableID)
            writer.u8(isOn ? 1 : 0)
            writer.zeros(7)
        case .setPacketInFormat(let format):
            nicira(NiciraMessage.setPacketInFormat)
            writer.u32(format.rawValue)
        case .setControllerID(let id):
            nicira(NiciraMessage.setControllerID)
            writer.zeros(6)
            writer.u16(id)
        case .flowAge: nicira(NiciraMessage.flowAge)
        case .groupMod(let mod) where version == .v1_0:
            nicira(NiciraMessage.groupMod)
            GroupCodec.encodeMod(mod, version, &writer)
        case .setAsync(let config, _):
            nicira(NiciraMessage.setAsync)
            SwitchCodec.encodeAsync(config, .v1_3, &writer)
        case .bundleControl(let control) where version == .v1_3:
            onf(ONFMessage.bundleControl)
            SwitchCodec.encodeBundleControl(control, &writer)
        case .bundleAdd(let add) where version == .v1_3:
            onf(ONFMessage.bundleAdd)
            SwitchCodec.encodeBundleAdd(add, &writer)
        case .roleStatus(let status) where version == .v1_3:
            onf(ONFMessage.roleStatus)
            SwitchCodec.encodeRoleStatus(status, &writer)
        case .flowMonitorCancel(let id) where version <= .v1_3:
            if version == .v1_3 { onf(ONFMessage.flowMonitorCancel) } else { nicira(NiciraMessage.flowMonitorCancel) }
            writer.u32(id)
        case .flowMonitorPaused where version <= .v1_3:
            if version == .v1_3 { onf(ONFMessage.flowMonitorPaused) } else { nicira(NiciraMessage.flowMonitorPaused) }
        case .flowMonitorResumed where version <= .v1_3:
            if version == .v1_3 { onf(ONFMessage.flowMonitorResumed) } else { nicira(NiciraMessage.flowMonitorResumed) }
        case .requestForward(let request) where version <= .v1_3:
            if version == .v1_3 { onf(ONFMessage.requestForward) } else { nicira(NiciraMessage.requestForward) }
            return NoticeCodec.encode(request, version, &writer)
        case .resume(let packet):
            nicira(NiciraMessage.resume)
            PacketCodec.encodeProperties(packet, version, &writer)
        case .tlvTableMod(let mod):
            nicira(NiciraMessage.tlvTableMod)
            NoticeCodec.encode(mod, &writer)
        case .tlvTableRequest: nicira(NiciraMessage.tlvTableRequest)
        case .tlvTableReply(let table):
            nicira(NiciraMessage.tlvTableReply)
            NoticeCodec.encode(table, &writer)
        case .flushConntrackZone(let zone):
            nicira(NiciraMessage.flushConntrackZone)
            writer.zeros(6)
            writer.u16(zone)
        case .flushConntrack(let number, let properties):
            nicira(NiciraMessage.flushConntrack)
            writer.u8(number)
            writer.zeros(7)
            writer.raw(properties)
        default: return false
        }
        return true
    }
}
