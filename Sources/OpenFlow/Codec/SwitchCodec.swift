// Hello, errors, features, configuration, roles, asynchronous configuration, bundles: bodies after the header.

internal import Flow

enum SwitchCodec {
    // MARK: Hello

    static func decodeHello(_ bytes: [UInt8], version: UInt8) throws(OpenFlowError) -> Hello {
        var reader = ByteReader(bytes)
        try reader.skip(OpenFlowLimits.headerBytes)
        var bitmap: OpenFlowVersionSet?
        // Elements of types to come, and rubbish after the last whole one, are no reason to refuse a peer.
        while reader.remaining >= 4 {
            let type = try reader.u16()
            let length = Int(try reader.u16())
            guard length >= 4, length - 4 <= reader.remaining else { break }
            var body = try reader.sub(length - 4)
            try reader.skip(min(reader.remaining, (8 - length % 8) % 8))
            if type == 1, body.remaining >= 4 { bitmap = OpenFlowVersionSet(rawValue: try body.u32()) }
        }
        return Hello(version: version, bitmap: bitmap)
    }

    static func encodeHello(_ hello: Hello, xid: UInt32) -> [UInt8] {
        var writer = ByteWriter()
        writer.u8(hello.version)
        writer.u8(0)
        writer.u16(hello.bitmap == nil ? 8 : 16)
        writer.u32(xid)
        if let bitmap = hello.bitmap { writer.property(1) { $0.u32(bitmap.rawValue) } }
        return writer.bytes
    }

    // MARK: Error

    /// 1.0 and 1.1 have no experimenter errors; Nicira put its numbers behind this type.
    static let niciraErrorType: UInt16 = 0xb0c2
    static let experimenterErrorType: UInt16 = 0xffff

    static func decodeError(_ reader: inout ByteReader, _ version: OpenFlowVersion) throws(OpenFlowError) -> ErrorMessage {
        let type = try reader.u16()
        let code = try reader.u16()
        // An experimenter's id is never 0; what pretends so is an ordinary error of an odd type.
        var ahead = reader
        if version <= .v1_1, type == niciraErrorType, code == 0, ahead.remaining >= 8 {
            let number = ErrorNumber(experimenter: try ahead.u32(), type: try ahead.u16(), code: try ahead.u16())
            if number.experimenter != 0 { return ErrorMessage(number: number, data: ahead.rest()) }
        }
        if version >= .v1_2, type == experimenterErrorType, ahead.remaining >= 4 {
            let number = ErrorNumber(experimenter: try ahead.u32(), type: code, code: 0)
            if number.experimenter != 0 { return ErrorMessage(number: number, data: ahead.rest()) }
        }
        return ErrorMessage(number: ErrorNumber(type: type, code: code), data: reader.rest())
    }

    static func encodeError(_ error: ErrorMessage, _ version: OpenFlowVersion, _ writer: inout ByteWriter) {
        let number = error.number
        if number.experimenter == 0 {
            writer.u16(number.type)
            writer.u16(number.code)
        } else if version <= .v1_1 {
            writer.u16(niciraErrorType)
            writer.u16(0)
            writer.u32(number.experimenter)
            writer.u16(number.type)
            writer.u16(number.code)
        } else {
            writer.u16(experimenterErrorType)
            writer.u16(number.type)
            writer.u32(number.experimenter)
        }
        writer.raw(error.data.prefix(OpenFlowLimits.messageBytes - writer.count))
    }

    // MARK: Features and configuration

    static func decodeFeatures(_ reader: inout ByteReader, _ version: OpenFlowVersion) throws(OpenFlowError) -> SwitchFeatures {
        let id = try reader.u64()
        let buffers = try reader.u32()
        let tables = try reader.u8()
        let auxiliary = try reader.u8()
        try reader.skip(2)
        let capabilities = SwitchFeatures.Capabilities(rawValue: try reader.u32())
        let actions = try reader.u32()
        var ports: [PortDescription] = []
        if version <= .v1_2 { while !reader.isAtEnd { ports.append(try PortCodec.decodePort(&reader, version)) } }
        return SwitchFeatures(
            datapathID: id, bufferCount: buffers, tableCount: tables, auxiliaryID: version >= .v1_3 ? auxiliary : 0,
            capabilities: capabilities, actions: version == .v1_0 ? actions : 0, ports: ports)
    }

    static func encodeFeatures(_ features: SwitchFeatures, _ version: OpenFlowVersion, _ writer: inout ByteWriter) {
        writer.u64(features.datapathID)
        writer.u32(features.bufferCount)
        writer.u8(features.tableCount)
        writer.u8(version >= .v1_3 ? features.auxiliaryID : 0)
        writer.u16(0)
        writer.u32(features.capabilities.rawValue)
        writer.u32(version == .v1_0 ? features.actions : 0)
        if version <= .v1_2 {
            for port in features.ports {
                // A port list too long for one message is cut at the last whole port, as there is no second part.
                if writer.count + 64 > OpenFlowLimits.messageBytes { break }
                PortCodec.encodePort(port, version, &writer)
            }
        }
    }

    static func decodeConfig(_ reader: inout ByteReader, _ version: OpenFlowVersion) throws(OpenFlowError) -> SwitchConfig {
        let flags = try reader.u16()
        let length = try reader.u16()
        // The standard's flag in 1.1 and 1.2; the field's switches take it in 1.0 too.
        let invalidTTL = version <= .v1_2 && flags & 4 != 0
        guard let fragments = SwitchConfig.Fragments(rawValue: invalidTTL ? flags & ~4 : flags) else {
            throw OpenFlowError(.scfcBadFlags, "switch configuration flags 0x\(String(flags, radix: 16))")
        }
        return SwitchConfig(fragments: fragments, invalidTTLToController: invalidTTL, missSendLength: length)
    }

    static func encodeConfig(_ config: SwitchConfig, _ version: OpenFlowVersion, _ writer: inout ByteWriter) {
        let invalidTTL: UInt16 = version <= .v1_2 && config.invalidTTLToController ? 4 : 0
        writer.u16(config.fragments.rawValue | invalidTTL)
        writer.u16(config.missSendLength)
    }

    // MARK: Roles

    static func decodeRole(_ reader: inout ByteReader, _ version: OpenFlowVersion) throws(OpenFlowError) -> RoleMessage {
        let number = try reader.u32()
        // 1.5 has put a short id into the padding.
        let shortID = try reader.u16()
        try reader.skip(2)
        let generation = try reader.u64()
        guard let role = ControllerRole(rawValue: number) else { throw OpenFlowError(.rrfcBadRole, "controller role \(number)") }
        return RoleMessage(role: role, generationID: generation, shortID: version >= .v1_5 ? shortID : 0)
    }

    static func encodeRole(_ role: RoleMessage, _ version: OpenFlowVersion, _ writer: inout ByteWriter) {
        writer.u32(role.role.rawValue)
        writer.u16(version >= .v1_5 ? role.shortID : 0)
        writer.u16(0)
        writer.u64(role.generationID ?? .max)
    }

    static func decodeRoleStatus(_ reader: inout ByteReader) throws(OpenFlowError) -> RoleStatus {
        let number = try reader.u32()
        let reason = try reader.u8()
        try reader.skip(3)
        let generation = try reader.u64()
        _ = reader.rest()
        guard let role = ControllerRole(rawValue: number) else { throw OpenFlowError(.rrfcBadRole, "controller role \(number)") }
        return RoleStatus(role: role, reason: RoleStatus.Reason(rawValue: reason) ?? .experimenter, generationID: generation)
    }

    static func encodeRoleStatus(_ status: RoleStatus, _ writer: inout ByteWriter) {
        writer.u32(status.role.rawValue)
        writer.u8(status.reason.rawValue)
        writer.zeros(3)
        writer.u64(status.generationID)
    }

    // MARK: Asynchronous configuration

    /// The bits that mean something, by property (OpenFlow 1.5 section 7.3.10.1): packet-in, port status, flow removed, role status,
    /// table status, requestforward, each for secondary and primary controllers.
    private static let knownAsync: [UInt32] = [0x3f, 0x3f, 7, 7, 0x3f, 0x3f, 7, 7, 0x18, 0x18, 3, 3]

    static func decodeAsync(_ reader: inout ByteReader, _ version: OpenFlowVersion) throws(OpenFlowError) -> AsyncConfig {
        var config = AsyncConfig.initial(for: version)
        guard version >= .v1_4 else {
            config.primary.packetIn = try reader.u32()
            config.secondary.packetIn = try reader.u32()
            config.primary.portStatus = try reader.u32()
            config.secondary.portStatus = try reader.u32()
            config.primary.flowRemoved = try reader.u32()
            config.secondary.flowRemoved = try reader.u32()
            return config
        }
        while !reader.isAtEnd {
            var (type, value) = try reader.property()
            if type >= 0xfffe { throw ByteReader.unknownProperty(type, value, of: "an asynchronous configuration") }
            let mask = try value.u32()
            try value.expectEnd()
            if Int(type) < knownAsync.count, mask & ~knownAsync[Int(type)] != 0 {
                throw OpenFlowError(.acfcInvalid, "bits 0x\(String(mask, radix: 16)) of asynchronous configuration property \(type)")
            }
            switch type {
            case 0: config.secondary.packetIn = mask
            case 1: config.primary.packetIn = mask
            case 2: config.secondary.portStatus = mask
            case 3: config.primary.portStatus = mask
            case 4: config.secondary.flowRemoved = mask
            case 5: config.primary.flowRemoved = mask
            case 6: config.secondary.roleStatus = mask
            case 7: config.primary.roleStatus = mask
            case 8: config.secondary.tableStatus = mask
            case 9: config.primary.tableStatus = mask
            case 10: config.secondary.requestForward = mask
            case 11: config.primary.requestForward = mask
            default: throw OpenFlowError(.acfcUnsupported, "asynchronous configuration property \(type)")
            }
        }
        return config
    }

    static func encodeAsync(_ config: AsyncConfig, _ version: OpenFlowVersion, _ writer: inout ByteWriter) {
        let (primary, secondary) = (config.primary, config.secondary)
        guard version >= .v1_4 else {
            let masks = [
                primary.packetIn, secondary.packetIn, primary.portStatus, secondary.portStatus, primary.flowRemoved, secondary.flowRemoved,
            ]
            for mask in masks { writer.u32(mask) }
            return
        }
        let masks = [
            secondary.packetIn, primary.packetIn, secondary.portStatus, primary.portStatus, secondary.flowRemoved, primary.flowRemoved,
            secondary.roleStatus, primary.roleStatus, secondary.tableStatus, primary.tableStatus, secondary.requestForward,
            primary.requestForward,
        ]
        for (type, mask) in masks.enumerated() { writer.property(UInt16(type)) { $0.u32(mask) } }
    }

    // MARK: Bundles

    static func decodeBundleControl(_ reader: inout ByteReader) throws(OpenFlowError) -> BundleControl {
        let id = try reader.u32()
        let kind = try reader.u16()
        let flags = try reader.u16()
        guard let known = BundleControl.Kind(rawValue: kind) else { throw OpenFlowError(.bfcBadType, "bundle control type \(kind)") }
        guard flags & ~3 == 0 else { throw OpenFlowError(.bfcBadFlags, "bundle flags 0x\(String(flags, radix: 16))") }
        _ = reader.rest()
        return BundleControl(bundleID: id, kind: known, flags: BundleControl.Flags(rawValue: flags))
    }

    static func encodeBundleControl(_ control: BundleControl, _ writer: inout ByteWriter) {
        writer.u32(control.bundleID)
        writer.u16(control.kind.rawValue)
        writer.u16(control.flags.rawValue)
    }

    static func decodeBundleAdd(_ reader: inout ByteReader) throws(OpenFlowError) -> BundleAdd {
        let id = try reader.u32()
        try reader.skip(2)
        let flags = try reader.u16()
        guard flags & ~3 == 0 else { throw OpenFlowError(.bfcBadFlags, "bundle flags 0x\(String(flags, radix: 16))") }
        var ahead = reader
        try ahead.skip(2)
        let length = Int(try ahead.u16())
        guard length >= OpenFlowLimits.headerBytes, length <= reader.remaining else {
            throw OpenFlowError(.bfcMsgBadLen, "the bundled message says \(length) bytes, \(reader.remaining) are there")
        }
        let message = try reader.array(length)
        _ = reader.rest()
        return BundleAdd(bundleID: id, flags: BundleControl.Flags(rawValue: flags), message: message)
    }

    static func encodeBundleAdd(_ add: BundleAdd, _ writer: inout ByteWriter) {
        writer.u32(add.bundleID)
        writer.u16(0)
        writer.u16(add.flags.rawValue)
        writer.raw(add.message)
    }
}
