// Bytes to a message.

internal import Flow

extension Message {
    /// Decodes one whole message, header included.
    ///
    /// - Parameters:
    ///   - bytes: exactly one message, as a `Framer` yields it.
    ///   - flowModTableID: whether the connection has asked that 1.0's flow-mods carry a table in their command's high byte.
    /// - Throws: the error to answer with. Never crashes, whatever the bytes.
    public static func decode(_ bytes: [UInt8], flowModTableID: Bool = false) throws(OpenFlowError) -> (message: Message, xid: UInt32) {
        guard let header = Header(bytes), header.length == bytes.count else {
            throw OpenFlowError(.brcBadLen, "message of \(bytes.count) bytes whose header does not say so")
        }
        // A hello is readable whatever its version.
        if header.type == 0 { return (.hello(try SwitchCodec.decodeHello(bytes, version: header.version)), header.xid) }
        guard let version = OpenFlowVersion(rawValue: header.version) else {
            throw OpenFlowError(.brcBadVersion, "version \(header.version) is not one of 1 to 6")
        }
        guard let type = MessageType(number: header.type, version: version) else {
            throw OpenFlowError(.brcBadType, "message type \(header.type) is not one of OpenFlow \(version)")
        }
        var reader = ByteReader(bytes)
        try reader.skip(OpenFlowLimits.headerBytes)
        if let count = type.bodyBytes(in: version), reader.remaining != count {
            throw OpenFlowError(
                .brcBadLen, "message type \(header.type) of \(bytes.count) bytes, not \(OpenFlowLimits.headerBytes + count)")
        }
        let message = try decode(type, version, &reader, flowModTableID: flowModTableID)
        return (message, header.xid)
    }

    /// Whether only switches send what `bytes` begin with.
    static func isForControllers(_ bytes: [UInt8]) -> Bool {
        guard let header = Header(bytes), let version = OpenFlowVersion(rawValue: header.version),
            let type = MessageType(number: header.type, version: version)
        else { return false }
        guard type == .experimenter else { return type.isForControllers }
        var reader = ByteReader(bytes)
        guard (try? reader.skip(OpenFlowLimits.headerBytes)) != nil, let id = try? reader.u32(), let subtype = try? reader.u32() else {
            return false
        }
        return id == Experimenter.nicira && NiciraMessage.forControllers.contains(subtype)
    }

    private static func decode(
        _ type: MessageType, _ version: OpenFlowVersion, _ reader: inout ByteReader, flowModTableID: Bool
    ) throws(OpenFlowError) -> Message {
        let message: Message
        switch type {
        case .hello: return .hello(Hello(version: version.rawValue, bitmap: nil))
        case .error: return .error(try SwitchCodec.decodeError(&reader, version))
        case .echoRequest: return .echoRequest(reader.rest())
        case .echoReply: return .echoReply(reader.rest())
        case .experimenter: return try ExperimenterCodec.decode(&reader, version, flowModTableID: flowModTableID)
        case .featuresRequest: message = .featuresRequest
        case .featuresReply: message = .featuresReply(try SwitchCodec.decodeFeatures(&reader, version))
        case .getConfigRequest: message = .getConfigRequest
        case .getConfigReply: message = .getConfigReply(try SwitchCodec.decodeConfig(&reader, version))
        case .setConfig: message = .setConfig(try SwitchCodec.decodeConfig(&reader, version))
        case .packetIn: return .packetIn(try PacketCodec.decodePacketIn(&reader, version))
        case .flowRemoved: message = .flowRemoved(try FlowCodec.decodeFlowRemoved(&reader, version))
        case .portStatus: message = .portStatus(try PortCodec.decodeStatus(&reader, version))
        case .packetOut: return .packetOut(try PacketCodec.decodePacketOut(&reader, version))
        case .flowMod: message = .flowMod(try FlowCodec.decodeFlowMod(&reader, version, hasTableID: flowModTableID))
        case .groupMod: message = .groupMod(try GroupCodec.decodeMod(&reader, version))
        case .portMod: message = .portMod(try PortCodec.decodeMod(&reader, version))
        case .tableMod: message = .tableMod(try TableCodec.decodeMod(&reader, version))
        case .statsRequest:
            let (request, more) = try StatsCodec.decodeRequest(&reader, version)
            message = .statsRequest(request, more: more)
        case .statsReply:
            let (reply, more) = try StatsCodec.decodeReply(&reader, version)
            message = .statsReply(reply, more: more)
        case .barrierRequest: message = .barrierRequest
        case .barrierReply: message = .barrierReply
        case .queueGetConfigRequest: message = .queueGetConfigRequest(port: try PortCodec.decodeQueuePort(&reader, version))
        case .queueGetConfigReply:
            let port = try PortCodec.decodeQueuePort(&reader, version)
            if version == .v1_0 { try reader.skip(4) }
            return .queueGetConfigReply(port: port, queues: reader.rest())
        case .roleRequest: message = .roleRequest(try SwitchCodec.decodeRole(&reader, version))
        case .roleReply: message = .roleReply(try SwitchCodec.decodeRole(&reader, version))
        case .roleStatus: message = .roleStatus(try SwitchCodec.decodeRoleStatus(&reader))
        case .getAsyncRequest: message = .getAsyncRequest
        case .getAsyncReply: message = .getAsyncReply(try SwitchCodec.decodeAsync(&reader, version))
        case .setAsync: message = .setAsync(try SwitchCodec.decodeAsync(&reader, version), isNicira: false)
        case .meterMod: message = .meterMod(try GroupCodec.decodeMeterMod(&reader))
        case .bundleControl: message = .bundleControl(try SwitchCodec.decodeBundleControl(&reader))
        case .bundleAdd: message = .bundleAdd(try SwitchCodec.decodeBundleAdd(&reader))
        case .tableStatus: message = .tableStatus(try NoticeCodec.decodeTableStatus(&reader))
        case .requestForward: message = .requestForward(try NoticeCodec.decodeForwarded(&reader))
        case .controllerStatus: message = .controllerStatus(try NoticeCodec.decodeController(&reader))
        }
        try reader.expectEnd()
        return message
    }
}
