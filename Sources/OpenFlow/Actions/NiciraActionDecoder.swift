// Nicira's actions from the wire; the larger ones are in `+Extensions`.

internal import Flow

struct NiciraActionDecoder {
    let base: ActionDecoder

    /// Reads one action; `body` begins after the subtype and is as long as the action says.
    func decode(_ subtype: UInt16, _ body: inout ByteReader, depth: Int) throws(OpenFlowError) -> Action {
        switch subtype {
        case NiciraAction.resubmit:
            try base.exactly(6, body)
            let port = OpenFlowPort(wire16: try body.u16())
            return .resubmit(port: port == .inPort ? nil : port, table: nil)
        case NiciraAction.resubmitTable:
            try base.exactly(6, body)
            let port = OpenFlowPort(wire16: try body.u16())
            let table = try body.u8()
            try base.zeros(&body, error: .bacBadArgument)
            return .resubmit(port: port == .inPort ? nil : port, table: table == 0xff ? nil : table)
        case NiciraAction.setTunnel:
            try base.exactly(6, body)
            try body.skip(2)
            return .setTunnelID(UInt64(try body.u32()))
        case NiciraAction.setTunnel64:
            try base.exactly(14, body)
            try body.skip(6)
            return .setTunnelID(try body.u64())
        case NiciraAction.setQueue:
            try base.exactly(6, body)
            try body.skip(2)
            return .setQueue(try body.u32())
        case NiciraAction.popQueue:
            try base.exactly(6, body)
            return .popQueue
        case NiciraAction.move:
            let bits = Int(try body.u16())
            let sourceOffset = Int(try body.u16())
            let destinationOffset = Int(try body.u16())
            return try base.move(&body, bits: bits, sourceOffset: sourceOffset, destinationOffset: destinationOffset)
        case NiciraAction.load: return try load(&body)
        case NiciraAction.load2: return try load2(&body)
        case NiciraAction.note: return .note(body.rest())
        case NiciraAction.outputField: return try outputField(&body)
        case NiciraAction.outputField2: return try outputField2(&body)
        case NiciraAction.exit:
            try base.exactly(6, body)
            return .exit
        case NiciraAction.debugRecirculate:
            try base.exactly(6, body)
            return .debugRecirculate
        case NiciraAction.debugSlow:
            try base.exactly(6, body)
            return .debugSlow
        case NiciraAction.decrementTTL:
            try base.exactly(6, body)
            return .decrementTTL(controllerIDs: [])
        case NiciraAction.decrementTTLControllers: return try decrementTTL(&body)
        case NiciraAction.controller:
            try base.exactly(6, body)
            let maxLength = try body.u16()
            let id = try body.u16()
            return .controller(ControllerAction(maxLength: maxLength, controllerID: id, reason: try reason(try body.u8())))
        case NiciraAction.controller2: return try controller2(&body)
        case NiciraAction.writeMetadata:
            try base.exactly(22, body)
            try body.skip(6)
            let value = try body.u64()
            return .writeMetadata(value: value, mask: try body.u64())
        case NiciraAction.pushMPLS:
            try base.exactly(6, body)
            return .pushMPLS(etherType: try base.mplsEtherType(&body))
        case NiciraAction.popMPLS:
            try base.exactly(6, body)
            return .popMPLS(etherType: try body.u16())
        case NiciraAction.setMPLSTTL:
            try base.exactly(6, body)
            return .setMPLSTTL(try body.u8())
        case NiciraAction.decrementMPLSTTL:
            try base.exactly(6, body)
            return .decrementMPLSTTL
        case NiciraAction.setMPLSLabel:
            try base.exactly(6, body)
            try body.skip(2)
            return .setMPLSLabel(try base.mplsLabel(try body.u32()))
        case NiciraAction.setMPLSTC:
            try base.exactly(6, body)
            return .setMPLSTC(try base.limited(try body.u8(), 7, "MPLS traffic class"))
        case NiciraAction.push, NiciraAction.pop:
            let offset = Int(try body.u16())
            var ahead = body
            // The number of bits stands behind the field's header, whose length depends on its class.
            _ = try? OXMCodec.decodeHeader(&ahead)
            let bits = Int(try ahead.u16())
            let field = try base.subField(&body, offset: offset, bits: bits)
            try body.skip(2)
            try base.zeros(&body)
            return subtype == NiciraAction.push ? .push(field) : .pop(try base.writable(field))
        case NiciraAction.conjunction:
            try base.exactly(6, body)
            let clause = try body.u8()
            let clauses = try body.u8()
            guard clauses >= 2, clauses <= 64, clause < clauses else {
                throw OpenFlowError(.nxbacBadConjunction, "conjunction clause \(Int(clause) + 1) of \(clauses)")
            }
            return .conjunction(id: try body.u32(), clause: clause + 1, clauses: clauses)
        case NiciraAction.outputTruncated:
            try base.exactly(6, body)
            let port = OpenFlowPort(wire16: try body.u16())
            _ = try base.output(port, maxLength: 0)
            let maxLength = try body.u32()
            guard maxLength >= 14 else { throw OpenFlowError(.bacBadArgument, "output truncated to \(maxLength) bytes, less than 14") }
            return .outputTruncated(port, maxLength: maxLength)
        case NiciraAction.group:
            try base.exactly(6, body)
            try body.skip(2)
            return .group(try body.u32())
        case NiciraAction.clone:
            try body.skip(6)
            return .clone(try base.decode(&body, depth: depth + 1))
        default:
            if let action = try extended(subtype, &body, depth: depth) { return action }
            throw OpenFlowError(.bacBadVendorType, "Nicira action \(subtype) is not one that this switch knows")
        }
    }

    private func reason(_ value: UInt8) throws(OpenFlowError) -> PacketInReason {
        guard let reason = PacketInReason(rawValue: value) else { throw OpenFlowError(.nxbrcBadReason, "packet-in reason \(value)") }
        return reason
    }

    /// `ofs_nbits`: offset in the high ten bits, width less one in the low six.
    func split(_ value: UInt16) -> (offset: Int, bits: Int) { (Int(value >> 6), Int(value & 0x3f) + 1) }

    private func load(_ body: inout ByteReader) throws(OpenFlowError) -> Action {
        try base.exactly(14, body)
        let (offset, bits) = split(try body.u16())
        let target = try base.writable(try base.subField(&body, offset: offset, bits: bits))
        let value = try body.u64()
        if bits < 64, value >> UInt64(bits) != 0 {
            throw OpenFlowError(.bacBadArgument, "load of 0x\(String(value, radix: 16)) into \(bits) bits of \(target.field.name)")
        }
        let mask: UInt128 = (1 << UInt128(target.bits)) - 1
        var loaded = UInt128(value) & mask
        if target.field == .inPort, offset == 0, bits == 16 { loaded = UInt128(OpenFlowPort(wire16: UInt16(value)).rawValue) }
        return .setField(
            target.field, value: loaded << UInt128(offset),
            mask: target.field == .inPort ? target.field.layout.allOnes : mask << UInt128(offset),
            isLoad: true)
    }

    private func load2(_ body: inout ByteReader) throws(OpenFlowError) -> Action {
        let decoded: DecodedField
        do {
            decoded = try OXMCodec.decodeField(&body)
        } catch {
            throw OpenFlowError(error.code == .bmcBadField ? .bacBadSetType : .bacBadSetArgument, error.detail)
        }
        let field = decoded.wire.field
        guard field.info.isWritable else { throw OpenFlowError(.bacBadSetArgument, "\(field.name) cannot be written") }
        try base.zeros(&body)
        return .setField(field, value: decoded.value, mask: decoded.mask ?? field.layout.allOnes, isLoad: false)
    }

    private func outputField(_ body: inout ByteReader) throws(OpenFlowError) -> Action {
        try base.exactly(14, body)
        let (offset, bits) = split(try body.u16())
        let source = try base.subField(&body, offset: offset, bits: bits)
        let maxLength = try body.u16()
        try base.zeros(&body)
        return .outputField(source, maxLength: maxLength)
    }

    private func outputField2(_ body: inout ByteReader) throws(OpenFlowError) -> Action {
        let (offset, bits) = split(try body.u16())
        let maxLength = try body.u16()
        let source = try base.subField(&body, offset: offset, bits: bits)
        try base.zeros(&body)
        return .outputField(source, maxLength: maxLength)
    }

    private func decrementTTL(_ body: inout ByteReader) throws(OpenFlowError) -> Action {
        let count = Int(try body.u16())
        try body.skip(4)
        guard count > 0 else { throw OpenFlowError(.bacBadLen, "dec_ttl without controller ids") }
        var ids: [UInt16] = []
        for _ in 0..<count { ids.append(try body.u16()) }
        return .decrementTTL(controllerIDs: ids)
    }

    private func controller2(_ body: inout ByteReader) throws(OpenFlowError) -> Action {
        var action = ControllerAction()
        var padding = try body.sub(6)
        try base.zeros(&padding)
        while !body.isAtEnd {
            var (type, value) = try body.property()
            switch type {
            case ControllerProperty.maxLength: action.maxLength = try value.u16()
            case ControllerProperty.controllerID: action.controllerID = try value.u16()
            case ControllerProperty.reason: action.reason = try reason(try value.u8())
            case ControllerProperty.userdata: action.userdata = value.rest()
            case ControllerProperty.pause: action.pause = true
            case ControllerProperty.meter: action.meter = try value.u32()
            default: throw OpenFlowError(.bpcBadType, "property \(type) of controller2")
            }
            _ = value
        }
        return .controller(action)
    }
}
