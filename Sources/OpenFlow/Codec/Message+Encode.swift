// A message to bytes.

internal import Flow

extension Message {
    /// Encodes for `version`, header included.
    ///
    /// - Returns: nil if the version has no such message, or if it would be longer than 65,535 bytes (a statistics reply
    ///   of any length goes through `MultipartWriter`, which splits it).
    public func encode(version: OpenFlowVersion, xid: UInt32) -> [UInt8]? {
        if case .hello(let hello) = self { return SwitchCodec.encodeHello(hello, xid: xid) }
        var writer = ByteWriter()
        writer.bytes.reserveCapacity(128)
        guard let type = encodeBody(version, &writer), let number = type.number(in: version), writer.count <= OpenFlowLimits.messageBytes
        else {
            return nil
        }
        writer.bytes[0] = version.rawValue
        writer.bytes[1] = number
        writer.patch16(writer.count, at: 2)
        for shift in 0..<4 { writer.bytes[4 + shift] = UInt8(truncatingIfNeeded: xid >> UInt32(24 - 8 * shift)) }
        return writer.bytes
    }

    /// Writes eight bytes of room for the header and the body; returns the type, or nil if the version cannot say it.
    private func encodeBody(_ version: OpenFlowVersion, _ writer: inout ByteWriter) -> MessageType? {
        writer.zeros(OpenFlowLimits.headerBytes)
        switch self {
        case .hello: return .hello
        case .error(let error):
            SwitchCodec.encodeError(error, version, &writer)
            return .error
        case .echoRequest(let data):
            writer.raw(data)
            return .echoRequest
        case .echoReply(let data):
            writer.raw(data)
            return .echoReply
        case .featuresRequest: return .featuresRequest
        case .featuresReply(let features):
            SwitchCodec.encodeFeatures(features, version, &writer)
            return .featuresReply
        case .getConfigRequest: return .getConfigRequest
        case .getConfigReply(let config):
            SwitchCodec.encodeConfig(config, version, &writer)
            return .getConfigReply
        case .setConfig(let config):
            SwitchCodec.encodeConfig(config, version, &writer)
            return .setConfig
        case .barrierRequest: return .barrierRequest
        case .barrierReply: return .barrierReply
        case .packetIn(let packet): return PacketCodec.encodePacketIn(packet, version, &writer)
        case .flowRemoved(let removed): return FlowCodec.encodeFlowRemoved(removed, version, &writer)
        case .portStatus(let status):
            PortCodec.encodeStatus(status, version, &writer)
            return .portStatus
        case .packetOut(let packet):
            PacketCodec.encodePacketOut(packet, version, &writer)
            return .packetOut
        case .flowMod(let mod): return FlowCodec.encodeFlowMod(mod, version, &writer)
        case .groupMod where version == .v1_0: return ExperimenterCodec.encode(self, version, &writer) ? .experimenter : nil
        case .groupMod(let mod):
            GroupCodec.encodeMod(mod, version, &writer)
            return .groupMod
        case .portMod(let mod):
            PortCodec.encodeMod(mod, version, &writer)
            return .portMod
        case .tableMod(let mod):
            TableCodec.encode(mod, version, &writer)
            return .tableMod
        case .meterMod(let mod):
            GroupCodec.encodeMeterMod(mod, &writer)
            return .meterMod
        case .statsRequest(let request, let more):
            return StatsCodec.encodeRequest(request, more: more, version, &writer) ? .statsRequest : nil
        case .statsReply(let reply, let more):
            return StatsCodec.encodeReply(reply, more: more, version, &writer) ? .statsReply : nil
        case .queueGetConfigRequest(let port):
            PortCodec.encodeQueuePort(port, version, &writer)
            return version < .v1_4 ? .queueGetConfigRequest : nil
        case .queueGetConfigReply(let port, let queues):
            PortCodec.encodeQueuePort(port, version, &writer)
            if version == .v1_0 { writer.zeros(4) }
            writer.raw(queues)
            return version < .v1_4 ? .queueGetConfigReply : nil
        case .bundleControl(let control) where version >= .v1_4:
            SwitchCodec.encodeBundleControl(control, &writer)
            return .bundleControl
        case .bundleAdd(let add) where version >= .v1_4:
            SwitchCodec.encodeBundleAdd(add, &writer)
            return .bundleAdd
        case .roleRequest(let role) where !role.isNicira:
            SwitchCodec.encodeRole(role, version, &writer)
            return .roleRequest
        case .roleReply(let role) where !role.isNicira:
            SwitchCodec.encodeRole(role, version, &writer)
            return .roleReply
        case .roleStatus(let status) where version >= .v1_4:
            SwitchCodec.encodeRoleStatus(status, &writer)
            return .roleStatus
        case .tableStatus(let status):
            NoticeCodec.encode(status, &writer)
            return .tableStatus
        case .requestForward(let request) where version >= .v1_4:
            return NoticeCodec.encode(request, version, &writer) ? .requestForward : nil
        case .controllerStatus(let status):
            NoticeCodec.encode(status, &writer)
            return .controllerStatus
        case .getAsyncRequest: return .getAsyncRequest
        case .getAsyncReply(let config):
            SwitchCodec.encodeAsync(config, version, &writer)
            return .getAsyncReply
        case .setAsync(let config, isNicira: false):
            SwitchCodec.encodeAsync(config, version, &writer)
            return .setAsync
        case .experimenter, .roleRequest, .roleReply, .roleStatus, .setAsync, .bundleControl, .bundleAdd, .setFlowFormat, .flowModTableID,
            .setPacketInFormat, .setControllerID, .flowAge, .requestForward, .resume, .tlvTableMod, .tlvTableRequest, .tlvTableReply,
            .flushConntrackZone, .flushConntrack, .flowMonitorCancel, .flowMonitorPaused, .flowMonitorResumed:
            return ExperimenterCodec.encode(self, version, &writer) ? .experimenter : nil
        }
    }
}
