// Packet-in and packet-out: bodies after the header.

public import Flow

enum PacketCodec {
    // MARK: Packet-in

    static func decodePacketIn(_ reader: inout ByteReader, _ version: OpenFlowVersion) throws(OpenFlowError) -> PacketIn {
        let buffer = try reader.u32()
        var packet = PacketIn(bufferID: buffer, totalLength: 0, reason: .noMatch, data: [])
        switch version {
        case .v1_0:
            packet.totalLength = Int(try reader.u16())
            packet.metadata.set(.inPort, UInt128(OpenFlowPort(wire16: try reader.u16()).rawValue))
            packet.reason = try reason(try reader.u8())
            try reader.skip(1)
        case .v1_1:
            packet.metadata.set(.inPort, UInt128(try reader.u32()))
            try reader.skip(4)
            packet.totalLength = Int(try reader.u16())
            packet.reason = try reason(try reader.u8())
            packet.tableID = try reader.u8()
        default:
            packet.totalLength = Int(try reader.u16())
            packet.reason = try reason(try reader.u8())
            packet.tableID = try reader.u8()
            if version >= .v1_3 { packet.cookie = try reader.u64() }
            packet.metadata = try OXMCodec.decodeStandardMatch(&reader)
            try reader.skip(2)
        }
        packet.data = reader.rest()
        return packet
    }

    static func decodeNXPacketIn(_ reader: inout ByteReader) throws(OpenFlowError) -> PacketIn {
        var packet = PacketIn(format: .nicira, totalLength: 0, reason: .noMatch, data: [])
        packet.bufferID = try reader.u32()
        packet.totalLength = Int(try reader.u16())
        packet.reason = try reason(try reader.u8())
        packet.tableID = try reader.u8()
        packet.cookie = try reader.u64()
        let length = Int(try reader.u16())
        try reader.skip(6)
        packet.metadata = try OXMCodec.decodeNXM(&reader, length: length, allowsCookie: false).match
        try reader.skip(2)
        packet.data = reader.rest()
        return packet
    }

    /// Properties of NXT_PACKET_IN2.
    private enum Property {
        static let packet: UInt16 = 0
        static let fullLength: UInt16 = 1
        static let bufferID: UInt16 = 2
        static let tableID: UInt16 = 3
        static let cookie: UInt16 = 4
        static let reason: UInt16 = 5
        static let metadata: UInt16 = 6
        static let userdata: UInt16 = 7
        static let continuation: UInt16 = 8
    }

    static func decodeNXPacketIn2(_ reader: inout ByteReader) throws(OpenFlowError) -> PacketIn {
        var packet = PacketIn(format: .nicira2, totalLength: -1, reason: .noMatch, data: [])
        while !reader.isAtEnd {
            var (type, body) = try reader.property()
            switch type {
            case Property.packet: packet.data = body.rest()
            case Property.fullLength: packet.totalLength = Int(try body.u32())
            case Property.bufferID: packet.bufferID = try body.u32()
            case Property.tableID: packet.tableID = try body.u8()
            case Property.cookie:
                try body.skip(4)
                packet.cookie = try body.u64()
            case Property.reason: packet.reason = try reason(try body.u8())
            case Property.metadata:
                body.lengthError = .bmcBadLen
                packet.metadata = try OXMCodec.decodeMatch(&body).match
            case Property.userdata: packet.userdata = body.rest()
            case Property.continuation:
                try body.skip(4)
                packet.continuation = body.rest()
            default: throw OpenFlowError(.bpcBadType, "property \(type) of a packet-in")
            }
        }
        if packet.totalLength < 0 { packet.totalLength = packet.data.count }
        return packet
    }

    private static func reason(_ value: UInt8) throws(OpenFlowError) -> PacketInReason {
        guard let reason = PacketInReason(rawValue: value) else { throw OpenFlowError(.nxbrcBadReason, "packet-in reason \(value)") }
        return reason
    }

    private static func reason(_ reason: PacketInReason, _ version: OpenFlowVersion) -> UInt8 { reason.wireValue(in: version) }

    static func encodePacketIn(_ packet: PacketIn, _ version: OpenFlowVersion, _ writer: inout ByteWriter) -> MessageType {
        let totalLength = UInt16(clamping: packet.totalLength)
        switch packet.format {
        case .nicira:
            writer.u32(Experimenter.nicira)
            writer.u32(NiciraMessage.packetIn)
            writer.u32(packet.bufferID)
            writer.u16(totalLength)
            writer.u8(reason(packet.reason, version))
            writer.u8(packet.tableID)
            writer.u64(packet.cookie)
            let lengthOffset = writer.count
            writer.zeros(8)
            let start = writer.count
            OXMCodec.encodeMatch(packet.$metadata, .nxm, to: &writer)
            writer.patch16(writer.count - start, at: lengthOffset)
            writer.pad(to: 8, from: start)
            writer.u16(0)
            writer.raw(packet.data)
            return .experimenter
        case .nicira2:
            writer.u32(Experimenter.nicira)
            writer.u32(NiciraMessage.packetIn2)
            encodeProperties(packet, version, &writer)
            return .experimenter
        case .standard: break
        }
        writer.u32(packet.bufferID)
        switch version {
        case .v1_0:
            writer.u16(totalLength)
            writer.u16(packet.inPort.wire16)
            writer.u8(reason(packet.reason, version))
            writer.u8(0)
        case .v1_1:
            writer.u32(packet.inPort.rawValue)
            writer.u32(packet.inPort.rawValue)
            writer.u16(totalLength)
            writer.u8(reason(packet.reason, version))
            writer.u8(packet.tableID)
        default:
            writer.u16(totalLength)
            writer.u8(reason(packet.reason, version))
            writer.u8(packet.tableID)
            if version >= .v1_3 { writer.u64(packet.cookie) }
            OXMCodec.encodeStandardMatch(packet.$metadata, version: version, to: &writer)
            writer.u16(0)
        }
        writer.raw(packet.data)
        return .packetIn
    }

    /// The properties of NXT_PACKET_IN2 and NXT_RESUME.
    static func encodeProperties(_ packet: PacketIn, _ version: OpenFlowVersion, _ writer: inout ByteWriter) {
        writer.property(Property.packet) { $0.raw(packet.data) }
        if packet.totalLength != packet.data.count {
            writer.property(Property.fullLength) { $0.u32(UInt32(clamping: packet.totalLength)) }
        }
        if packet.bufferID != FlowMod.noBuffer { writer.property(Property.bufferID) { $0.u32(packet.bufferID) } }
        writer.property(Property.tableID) { $0.u8(packet.tableID) }
        if packet.cookie != .max {
            writer.property(Property.cookie) {
                $0.u32(0)
                $0.u64(packet.cookie)
            }
        }
        writer.property(Property.reason) { $0.u8(reason(packet.reason, version)) }
        writer.property(Property.metadata) { OXMCodec.encodeMatch(packet.$metadata, .oxm(version), to: &$0) }
        if !packet.userdata.isEmpty { writer.property(Property.userdata) { $0.raw(packet.userdata) } }
        if !packet.continuation.isEmpty {
            // Behind four bytes of padding, so that what is in it is aligned.
            writer.property(Property.continuation) {
                $0.u32(0)
                $0.raw(packet.continuation)
            }
        }
    }

    // MARK: Packet-out

    static func decodePacketOut(_ reader: inout ByteReader, _ version: OpenFlowVersion) throws(OpenFlowError) -> PacketOut {
        let buffer = try reader.u32()
        var metadata = Match()
        let actionBytes: Int
        if version >= .v1_5 {
            actionBytes = Int(try reader.u16())
            try reader.skip(2)
            metadata = try OXMCodec.decodeStandardMatch(&reader)
            for field in Field.allCases where field.isHeaderField && metadata.get(field).mask != 0 {
                throw OpenFlowError(.brcPipelineFieldsOnly, "\(field.name) is in the packet, not beside it")
            }
            if metadata.get(.inPort).mask == 0 { throw OpenFlowError(.brcBadPort, "a packet-out without in_port") }
        } else {
            let inPort = try PortCodec.port(&reader, version)
            actionBytes = Int(try reader.u16())
            if version >= .v1_1 { try reader.skip(6) }
            metadata.set(.inPort, UInt128(inPort.rawValue))
        }
        let inPort = OpenFlowPort(UInt32(metadata.get(.inPort).value))
        // IN_PORT, TABLE and the like are no place where a packet can come from.
        guard inPort.rawValue < 0xff00 || inPort == .local || inPort == .controller || inPort == .any else {
            throw OpenFlowError(.brcBadPort, "a packet-out's in_port \(inPort.rawValue) is not a port")
        }
        guard actionBytes <= reader.remaining, actionBytes % 8 == 0 else {
            throw OpenFlowError(.brcBadLen, "\(actionBytes) bytes of actions, \(reader.remaining) are there")
        }
        var list = try reader.sub(actionBytes)
        let actions = try ActionDecoder(version: version).decode(&list)
        return PacketOut(bufferID: buffer, metadata: metadata, actions: actions, data: reader.rest())
    }

    static func encodePacketOut(_ packet: PacketOut, _ version: OpenFlowVersion, _ writer: inout ByteWriter) {
        writer.u32(packet.bufferID)
        let lengthOffset: Int
        if version >= .v1_5 {
            lengthOffset = writer.count
            writer.u32(0)
            OXMCodec.encodeStandardMatch(packet.$metadata, version: version, to: &writer)
        } else {
            PortCodec.put(packet.inPort, version, &writer)
            lengthOffset = writer.count
            writer.u16(0)
            if version >= .v1_1 { writer.zeros(6) }
        }
        let start = writer.count
        ActionEncoder(version: version).encode(packet.actions, to: &writer)
        writer.patch16(writer.count - start, at: lengthOffset)
        writer.raw(packet.data)
    }
}

extension PacketInReason {
    /// The reason as `version` knows it: what came later was "an action said so".
    public func wireValue(in version: OpenFlowVersion) -> UInt8 {
        switch self {
        case .noMatch, .action: rawValue
        case .invalidTTL: rawValue
        default: version >= .v1_4 ? rawValue : PacketInReason.action.rawValue
        }
    }
}
