// Instructions (OpenFlow 1.1 and later) to and from the one flat list.
//
// The list is in the order in which instructions take effect: meter, apply, clear, write, metadata, goto.

internal import Flow

enum InstructionCodec {
    static func decode(_ reader: inout ByteReader, version: OpenFlowVersion) throws(OpenFlowError) -> [Action] {
        let badLength: ErrorCode = version == .v1_1 ? .bacBadLen : .bicBadLen
        var meter: Action?
        var apply: [Action] = []
        var clear: Action?
        var write: Action?
        var metadata: Action?
        var goto: Action?
        var seen: UInt64 = 0
        while !reader.isAtEnd {
            reader.lengthError = badLength
            let type = try reader.u16()
            let length = Int(try reader.u16())
            guard length >= 8, length % 8 == 0 else {
                throw OpenFlowError(badLength, "instruction \(type) has length \(length), not a positive multiple of 8")
            }
            var body = try reader.sub(length - 4)
            if type < 64 {
                guard seen >> UInt64(type) & 1 == 0 else { throw OpenFlowError(.bicDupInst, "instruction \(type) comes twice") }
                seen |= 1 << UInt64(type)
            }
            func exactly(_ count: Int) throws(OpenFlowError) {
                if body.remaining != count { throw OpenFlowError(badLength, "instruction \(type) of \(length) bytes, not \(count + 4)") }
            }
            switch type {
            case InstructionType.gotoTable:
                try exactly(4)
                goto = .gotoTable(try body.u8())
            case InstructionType.writeMetadata:
                try exactly(20)
                try body.skip(4)
                let value = try body.u64()
                metadata = .writeMetadata(value: value, mask: try body.u64())
            case InstructionType.writeActions, InstructionType.applyActions:
                try body.skip(4)
                let actions = try ActionDecoder(version: version).decode(&body)
                if type == InstructionType.applyActions { apply = actions } else { write = .writeActions(actions) }
            case InstructionType.clearActions:
                try exactly(4)
                clear = .clearActions
            case InstructionType.meter where version == .v1_3 || version == .v1_4:
                try exactly(4)
                meter = .meter(try body.u32())
            case InstructionType.experimenter:
                let id = try body.u32()
                throw OpenFlowError(.bicBadExperimenter, "instruction of experimenter 0x\(String(id, radix: 16))")
            default:
                throw OpenFlowError(.bicUnknownInst, "instruction \(type) is not one of OpenFlow \(version)")
            }
        }
        var result = apply
        if let meter { result.insert(meter, at: 0) }
        for instruction in [clear, write, metadata, goto] {
            if let instruction { result.append(instruction) }
        }
        return result
    }

    static func encode(_ actions: [Action], version: OpenFlowVersion, match: CompactMatch?, to writer: inout ByteWriter) {
        let encoder = ActionEncoder(version: version, match: match)
        var apply: [Action] = []
        for action in actions {
            switch action {
            case .meter(let meter) where version < .v1_5:
                if version >= .v1_3 { writer.property(InstructionType.meter) { $0.u32(meter) } }
            case .clearActions, .writeActions, .writeMetadata, .gotoTable: break
            default: apply.append(action)
            }
        }
        if !apply.isEmpty {
            writer.property(InstructionType.applyActions, countsPadding: true) {
                $0.zeros(4)
                encoder.encode(apply, to: &$0)
            }
        }
        for action in actions {
            switch action {
            case .clearActions: writer.property(InstructionType.clearActions) { $0.zeros(4) }
            case .writeActions(let set):
                writer.property(InstructionType.writeActions, countsPadding: true) {
                    $0.zeros(4)
                    encoder.encode(set, to: &$0)
                }
            case .writeMetadata(let value, let mask):
                writer.property(InstructionType.writeMetadata) {
                    $0.zeros(4)
                    $0.u64(value)
                    $0.u64(mask)
                }
            case .gotoTable(let table):
                writer.property(InstructionType.gotoTable) {
                    $0.u8(table)
                    $0.zeros(3)
                }
            default: break
            }
        }
    }
}
