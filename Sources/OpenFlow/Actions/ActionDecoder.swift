// Action lists from the wire.

internal import Flow

/// Reads the actions of one version. Lengths are checked before anything else.
struct ActionDecoder {
    let version: OpenFlowVersion

    /// Reads actions until the reader's end.
    func decode(_ reader: inout ByteReader, depth: Int = 0) throws(OpenFlowError) -> [Action] {
        if depth > OpenFlowLimits.actionNesting {
            throw OpenFlowError(.bacTooMany, "actions nested more than \(OpenFlowLimits.actionNesting) deep")
        }
        reader.lengthError = .bacBadLen
        var result: [Action] = []
        while !reader.isAtEnd {
            let type = try reader.u16()
            let length = Int(try reader.u16())
            guard length >= 8, length % 8 == 0 else {
                throw OpenFlowError(.bacBadLen, "action \(type) has length \(length), not a positive multiple of 8")
            }
            var body = try reader.sub(length - 4)
            if type == ActionType.experimenter {
                result.append(try experimenter(&body, depth: depth))
            } else if version == .v1_0 {
                result.append(try action10(type, &body))
            } else {
                result.append(try action11(type, &body))
            }
        }
        return result
    }

    // MARK: OpenFlow 1.0

    private func action10(_ type: UInt16, _ body: inout ByteReader) throws(OpenFlowError) -> Action {
        let fixed = [4, 4, 4, 4, 12, 12, 4, 4, 4, 4, 4, 12]
        guard Int(type) < fixed.count else { throw OpenFlowError(.bacBadType, "action type \(type) is not one of OpenFlow 1.0") }
        try exactly(fixed[Int(type)], body)
        switch type {
        case ActionType10.output:
            let port = OpenFlowPort(wire16: try body.u16())
            return try output(port, maxLength: try body.u16())
        case ActionType10.setVLANID: return .setVLANID(try vlanID(&body), pushIfNeeded: true)
        case ActionType10.setVLANPriority: return .setVLANPriority(try vlanPriority(&body), pushIfNeeded: true)
        case ActionType10.stripVLAN: return .popVLAN
        case ActionType10.setEthSrc: return .setEthSrc(try body.ethernetAddress())
        case ActionType10.setEthDst: return .setEthDst(try body.ethernetAddress())
        case ActionType10.setIPv4Src: return .setIPv4Src(try body.u32())
        case ActionType10.setIPv4Dst: return .setIPv4Dst(try body.u32())
        case ActionType10.setTOS: return .setIPDSCP(try tos(&body))
        case ActionType10.setL4Src: return .setL4Src(try body.u16())
        case ActionType10.setL4Dst: return .setL4Dst(try body.u16())
        default:
            let port = OpenFlowPort(wire16: try body.u16())
            guard port.rawValue < 0xff00 || port == .inPort || port == .local else {
                throw OpenFlowError(.bacBadOutPort, "enqueue to port \(port.rawValue)")
            }
            try body.skip(6)
            return .enqueue(port, queue: try body.u32())
        }
    }

    // MARK: OpenFlow 1.1 and later

    private func action11(_ type: UInt16, _ body: inout ByteReader) throws(OpenFlowError) -> Action {
        switch type {
        case ActionType.output:
            try exactly(12, body)
            return try output(OpenFlowPort(try body.u32()), maxLength: try body.u16())
        case ActionType.setField: return try setField(&body)
        case ActionType.copyField where version >= .v1_5: return try copyField(&body)
        case ActionType.setEthSrc, ActionType.setEthDst:
            try exactly(12, body)
            let address = try body.ethernetAddress()
            return type == ActionType.setEthSrc ? .setEthSrc(address) : .setEthDst(address)
        default: break
        }
        try exactly(4, body)
        switch type {
        case ActionType.setMPLSTTL: return .setMPLSTTL(try body.u8())
        case ActionType.decrementMPLSTTL: return .decrementMPLSTTL
        case ActionType.copyTTLOut: return .copyTTLOut
        case ActionType.copyTTLIn: return .copyTTLIn
        case ActionType.pushPBB where version >= .v1_3:
            let etherType = try body.u16()
            guard etherType == 0x88e7 else {
                throw OpenFlowError(.bacBadArgument, "push_pbb:0x\(String(etherType, radix: 16)) is not 0x88e7")
            }
            return .pushPBB(etherType: etherType)
        case ActionType.popPBB where version >= .v1_3: return .popPBB
        case ActionType.pushVLAN:
            let etherType = try body.u16()
            guard etherType == 0x8100 || etherType == 0x88a8 else {
                throw OpenFlowError(.bacBadArgument, "push_vlan:0x\(String(etherType, radix: 16)) is neither 0x8100 nor 0x88a8")
            }
            return .pushVLAN(etherType: etherType)
        case ActionType.popVLAN: return .popVLAN
        case ActionType.pushMPLS: return .pushMPLS(etherType: try mplsEtherType(&body))
        case ActionType.popMPLS: return .popMPLS(etherType: try body.u16())
        case ActionType.setQueue: return .setQueue(try body.u32())
        case ActionType.group: return .group(try body.u32())
        case ActionType.setTTL: return .setIPTTL(try body.u8())
        case ActionType.decrementTTL: return .decrementTTL(controllerIDs: [])
        case ActionType.meter where version >= .v1_5: return .meter(try body.u32())
        default: break
        }
        // 1.2 took these away in favour of set_field; they are still read, as the field's switches do.
        do {
            switch type {
            case ActionType.setVLANID: return .setVLANID(try vlanID(&body), pushIfNeeded: false)
            case ActionType.setVLANPriority: return .setVLANPriority(try vlanPriority(&body), pushIfNeeded: false)
            case ActionType.setIPv4Src: return .setIPv4Src(try body.u32())
            case ActionType.setIPv4Dst: return .setIPv4Dst(try body.u32())
            case ActionType.setTOS: return .setIPDSCP(try tos(&body))
            case ActionType.setECN: return .setIPECN(try limited(try body.u8(), 3, "ECN"))
            case ActionType.setL4Src: return .setL4Src(try body.u16())
            case ActionType.setL4Dst: return .setL4Dst(try body.u16())
            case ActionType.setMPLSLabel: return .setMPLSLabel(try mplsLabel(try body.u32()))
            case ActionType.setMPLSTC: return .setMPLSTC(try limited(try body.u8(), 7, "MPLS traffic class"))
            default: break
            }
        }
        throw OpenFlowError(.bacBadType, "action type \(type) is not one that OpenFlow \(version) and this switch know")
    }

    private func setField(_ body: inout ByteReader) throws(OpenFlowError) -> Action {
        guard version >= .v1_2 else { throw OpenFlowError(.bacBadType, "set_field needs OpenFlow 1.2") }
        body.lengthError = .bacBadSetLen
        var ahead = body
        let fieldClass = try UInt16(ahead.u32() >> 16)
        let action = try writtenField(&body)
        if case .setField(let field, _, let mask, _) = action, version < .v1_5, mask != field.layout.allOnes {
            throw OpenFlowError(.bacBadSetMask, "set_field of OpenFlow \(version) has no mask")
        }
        try zeros(&body, error: .bacBadSetArgument)
        if case .setField(let field, let value, let mask, _) = action {
            // The standard keeps its in_port from being set; Nicira's is there for it.
            if field == .inPort, fieldClass != FieldCatalog.classNXMOF {
                throw OpenFlowError(.bacBadSetArgument, "in_port is not for set_field")
            }
            // OpenFlow 1.5 section 7.2.6.7: the bit that says "tagged" is always part of what is written.
            if field == .vlanVID, value & mask & 0x1000 == 0 {
                throw OpenFlowError(.bacBadSetArgument, "set_field of vlan_vid=\(value) without OFPVID_PRESENT (0x1000)")
            }
        }
        return action
    }

    /// A value (and mask) TLV that is to be written to its field.
    private func writtenField(_ body: inout ByteReader) throws(OpenFlowError) -> Action {
        let decoded: DecodedField
        do {
            decoded = try OXMCodec.decodeField(&body, forAction: true)
        } catch {
            let code: ErrorCode =
                switch error.code {
                case .bmcBadField: .bacBadSetType
                case .bmcBadLen, .bacBadSetLen: .bacBadSetLen
                case .bmcBadMask, .bmcBadWildcards: .bacBadSetMask
                default: .bacBadSetArgument
                }
            throw OpenFlowError(code, error.detail)
        }
        let field = decoded.wire.field
        guard field.info.isWritable else { throw OpenFlowError(.bacBadSetArgument, "\(field.name) cannot be written") }
        return .setField(field, value: decoded.value, mask: decoded.mask ?? field.layout.allOnes, isLoad: false)
    }

    private func copyField(_ body: inout ByteReader) throws(OpenFlowError) -> Action {
        let bits = Int(try body.u16())
        let sourceOffset = Int(try body.u16())
        let destinationOffset = Int(try body.u16())
        try body.skip(2)
        return try move(&body, bits: bits, sourceOffset: sourceOffset, destinationOffset: destinationOffset)
    }

    // MARK: Shared pieces

    func output(_ port: OpenFlowPort, maxLength: UInt16) throws(OpenFlowError) -> Action {
        // 1.0's NONE is legal and does nothing; later versions have ANY under its number, which is no output.
        if port == .any, version == .v1_0 { return .output(port, maxLength: maxLength) }
        guard port.isEncodable, port != .any, port.rawValue < 0xff00 || port.rawValue >= OpenFlowPort.inPort.rawValue else {
            throw OpenFlowError(.bacBadOutPort, "output port \(port.rawValue) is not a port number")
        }
        return .output(port, maxLength: maxLength)
    }

    func exactly(_ count: Int, _ body: ByteReader) throws(OpenFlowError) {
        if body.remaining != count { throw OpenFlowError(.bacBadLen, "action of \(body.remaining + 4) bytes, not \(count + 4)") }
    }

    func zeros(_ body: inout ByteReader, error: ErrorCode = .nxbrcMustBeZero) throws(OpenFlowError) {
        if body.rest().contains(where: { $0 != 0 }) { throw OpenFlowError(error, "padding of an action is not zero") }
    }

    func limited(_ value: UInt8, _ maximum: UInt8, _ name: String) throws(OpenFlowError) -> UInt8 {
        if value > maximum { throw OpenFlowError(.bacBadArgument, "\(name) \(value) is above \(maximum)") }
        return value
    }

    func mplsLabel(_ value: UInt32) throws(OpenFlowError) -> UInt32 {
        if value > 0xfffff { throw OpenFlowError(.bacBadArgument, "MPLS label \(value) is above 1048575") }
        return value
    }

    func mplsEtherType(_ body: inout ByteReader) throws(OpenFlowError) -> UInt16 {
        let etherType = try body.u16()
        guard etherType == 0x8847 || etherType == 0x8848 else {
            throw OpenFlowError(.bacBadArgument, "push_mpls:0x\(String(etherType, radix: 16)) is neither 0x8847 nor 0x8848")
        }
        return etherType
    }

    private func vlanID(_ body: inout ByteReader) throws(OpenFlowError) -> UInt16 {
        let id = try body.u16()
        if id > 0xfff { throw OpenFlowError(.bacBadArgument, "VLAN \(id) is above 4095") }
        return id
    }

    private func vlanPriority(_ body: inout ByteReader) throws(OpenFlowError) -> UInt8 {
        try limited(try body.u8(), 7, "VLAN priority")
    }

    private func tos(_ body: inout ByteReader) throws(OpenFlowError) -> UInt8 {
        let tos = try body.u8()
        if tos & 3 != 0 { throw OpenFlowError(.bacBadArgument, "TOS \(tos) has ECN bits") }
        return tos
    }

    /// A field, by its header.
    func field(_ body: inout ByteReader) throws(OpenFlowError) -> Field {
        do throws(OpenFlowError) {
            let (wire, hasMask, length) = try OXMCodec.decodeHeader(&body)
            guard !hasMask, length == wire.byteCount else {
                throw OpenFlowError(.bmcBadField, "the header of \(wire.field.name) says \(length) bytes, not \(wire.byteCount)")
            }
            return wire.field
        } catch {
            throw OpenFlowError(error.code == .bmcBadField ? .bacBadSetType : .bacBadLen, error.detail)
        }
    }

    /// A field's header, then where in it.
    func subField(_ body: inout ByteReader, offset: Int, bits: Int) throws(OpenFlowError) -> SubField {
        let field = try field(&body)
        // An opcode of ARP has 16 bits on the wire, of which the lower eight are kept.
        let width = field == .arpOp ? 16 : field.layout.bits
        guard bits > 0, offset >= 0, offset + bits <= width else {
            throw OpenFlowError(.bacBadSetLen, "bits \(offset) to \(offset + bits - 1) of \(field.name), which has \(width)")
        }
        if offset >= field.layout.bits { throw OpenFlowError(.bacBadSetLen, "the upper bits of \(field.name) are always 0") }
        return SubField(field: field, offset: offset, bits: min(bits, field.layout.bits - offset))
    }

    func writable(_ field: SubField) throws(OpenFlowError) -> SubField {
        guard field.field.info.isWritable else { throw OpenFlowError(.bacBadSetArgument, "\(field.field.name) cannot be written") }
        return field
    }

    func move(_ body: inout ByteReader, bits: Int, sourceOffset: Int, destinationOffset: Int) throws(OpenFlowError) -> Action {
        var source = try subField(&body, offset: sourceOffset, bits: bits)
        var destination = try writable(try subField(&body, offset: destinationOffset, bits: bits))
        // Where one of them keeps fewer bits than were named, the others are zeros or nobody's.
        source.bits = min(source.bits, destination.bits)
        destination.bits = source.bits
        try zeros(&body)
        return .move(from: source, to: destination)
    }

    // MARK: Experimenters

    private func experimenter(_ body: inout ByteReader, depth: Int) throws(OpenFlowError) -> Action {
        let id = try body.u32()
        switch id {
        case Experimenter.nicira:
            try body.require(2)
            let subtype = try body.u16()
            return try NiciraActionDecoder(base: self).decode(subtype, &body, depth: depth)
        case Experimenter.onf:
            let subtype = try body.u16()
            guard subtype == ONFAction.copyField, version == .v1_3 || version == .v1_4 else {
                throw OpenFlowError(.bacBadVendorType, "ONF action \(subtype) is not one that OpenFlow \(version) knows")
            }
            try body.skip(2)
            let bits = Int(try body.u16())
            let sourceOffset = Int(try body.u16())
            let destinationOffset = Int(try body.u16())
            try body.skip(2)
            return try move(&body, bits: bits, sourceOffset: sourceOffset, destinationOffset: destinationOffset)
        default:
            throw OpenFlowError(.bacBadVendor, "experimenter 0x\(String(id, radix: 16)) is unknown")
        }
    }
}
