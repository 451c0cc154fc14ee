// `learn` on the wire: a fixed part, then specs of 16-bit headers, sources and targets until the end or a zero header.

internal import Flow

extension NiciraActionDecoder {
    func learn(_ body: inout ByteReader, isSecond: Bool) throws(OpenFlowError) -> Action {
        var action = LearnAction()
        action.idleTimeout = try body.u16()
        action.hardTimeout = try body.u16()
        action.priority = try body.u16()
        action.cookie = try body.u64()
        let flags = try body.u16()
        action.table = try body.u8()
        guard try body.u8() == 0 else { throw OpenFlowError(.bacBadArgument, "padding of learn is not zero") }
        guard action.table != 0xff else { throw OpenFlowError(.bacBadArgument, "learn into table 255, which is all tables") }
        action.finIdleTimeout = try body.u16()
        action.finHardTimeout = try body.u16()
        let known = LearnBits.sendFlowRemoved | LearnBits.deleteLearned | (isSecond ? LearnBits.writeResult : 0)
        guard flags & ~known == 0 else { throw OpenFlowError(.bacBadArgument, "learn flags 0x\(String(flags, radix: 16))") }
        action.sendsFlowRemoved = flags & LearnBits.sendFlowRemoved != 0
        action.deletesLearned = flags & LearnBits.deleteLearned != 0
        if isSecond {
            action.limit = try body.u32()
            let offset = try body.u16()
            guard try body.u16() == 0 else { throw OpenFlowError(.nxbacMustBeZero, "padding of learn is not zero") }
            if flags & LearnBits.writeResult != 0 {
                action.resultDestination = try base.writable(try base.subField(&body, offset: Int(offset), bits: 1))
            } else if offset != 0 {
                throw OpenFlowError(.bacBadArgument, "learn with a place for a result and no field")
            }
        }
        while body.remaining >= 2 {
            let header = try body.u16()
            if header == 0 { break }
            action.specs.append(try spec(header, &body))
        }
        try base.zeros(&body, error: .bacBadArgument)
        return .learn(action)
    }

    private func spec(_ header: UInt16, _ body: inout ByteReader) throws(OpenFlowError) -> LearnSpec {
        let bits = Int(header & LearnBits.widthMask)
        let target = header & LearnBits.targetMask
        let isImmediate = header & LearnBits.immediate != 0
        guard header & ~(LearnBits.widthMask | LearnBits.targetMask | LearnBits.immediate) == 0,
            target == LearnBits.match || target == LearnBits.load || target == LearnBits.output && !isImmediate
        else { throw OpenFlowError(.bacBadArgument, "a learn spec of type 0x\(String(header, radix: 16))") }
        func place(_ body: inout ByteReader) throws(OpenFlowError) -> SubField {
            var ahead = body
            _ = try? OXMCodec.decodeHeader(&ahead)
            let offset = Int(try ahead.u16())
            let field = try base.subField(&body, offset: offset, bits: bits)
            try body.skip(2)
            return field
        }
        let source: LearnSpec.Source
        if isImmediate {
            let bytes = (bits + 15) / 16 * 2
            guard (1...128).contains(bits) else { throw OpenFlowError(.bacBadArgument, "a learned value of \(bits) bits") }
            let value = try body.integer(bytes)
            source = .immediate(bits == 128 ? value : value & ((1 << UInt128(bits)) - 1))
        } else {
            source = .field(try place(&body))
        }
        switch target {
        case LearnBits.match: return LearnSpec(bits: bits, source: source, target: .match(try place(&body)))
        case LearnBits.load: return LearnSpec(bits: bits, source: source, target: .load(try base.writable(try place(&body))))
        default: return LearnSpec(bits: bits, source: source, target: .output)
        }
    }
}

extension ActionEncoder {
    func encodeLearn(_ action: LearnAction, _ writer: inout ByteWriter) {
        let isSecond = action.limit != 0 || action.resultDestination != nil
        var flags: UInt16 = 0
        if action.sendsFlowRemoved { flags |= LearnBits.sendFlowRemoved }
        if action.deletesLearned { flags |= LearnBits.deleteLearned }
        if action.resultDestination != nil { flags |= LearnBits.writeResult }
        nicira(isSecond ? NiciraAction.learn2 : NiciraAction.learn, &writer) {
            $0.u16(action.idleTimeout)
            $0.u16(action.hardTimeout)
            $0.u16(action.priority)
            $0.u64(action.cookie)
            $0.u16(flags)
            $0.u8(action.table)
            $0.u8(0)
            $0.u16(action.finIdleTimeout)
            $0.u16(action.finHardTimeout)
            if isSecond {
                $0.u32(action.limit)
                $0.u16(UInt16(action.resultDestination?.offset ?? 0))
                $0.u16(0)
                if let result = action.resultDestination { header(of: result.field, &$0) }
            }
            for spec in action.specs { encode(spec, &$0) }
        }
    }

    /// A field's header: NXM's number if there is one.
    func header(of field: Field, _ writer: inout ByteWriter) {
        guard let wire = FieldCatalog.header(of: field, .nxm) else { return }
        OXMCodec.encodeHeader(wire, hasMask: false, to: &writer)
    }

    /// The same for a part: of the input port's upper half only the standard's number knows.
    private func header(of part: SubField, _ writer: inout ByteWriter) {
        guard part.field == .inPort, !part.isNarrowPort else { return header(of: part.field, &writer) }
        guard let wire = FieldCatalog.header(of: part.field, .oxm(.v1_3)) else { return }
        OXMCodec.encodeHeader(wire, hasMask: false, to: &writer)
    }

    private func encode(_ spec: LearnSpec, _ writer: inout ByteWriter) {
        var word = UInt16(spec.bits)
        switch spec.target {
        case .match: word |= LearnBits.match
        case .load: word |= LearnBits.load
        case .output: word |= LearnBits.output
        }
        if case .immediate = spec.source { word |= LearnBits.immediate }
        writer.u16(word)
        switch spec.source {
        case .immediate(let value): writer.integer(value, count: (spec.bits + 15) / 16 * 2)
        case .field(let field):
            header(of: field, &writer)
            writer.u16(UInt16(field.offset))
        }
        switch spec.target {
        case .match(let field), .load(let field):
            header(of: field, &writer)
            writer.u16(UInt16(field.offset))
        case .output: break
        }
    }
}
