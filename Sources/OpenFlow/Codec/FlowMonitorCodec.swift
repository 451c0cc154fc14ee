// Flow monitors: requests and updates in their three forms.

internal import Flow

enum FlowMonitorCodec {
    private typealias Flags = FlowMonitorRequest.Flags

    /// Bytes of a full update before its match, in every form.
    private static let fullBytes = 24

    // MARK: Requests

    static func decode(_ reader: inout ByteReader, _ version: OpenFlowVersion) throws(OpenFlowError) -> FlowMonitorRequest {
        version >= .v1_4 ? try decode14(&reader) : try decodeExtension(&reader, version)
    }

    /// Nicira's form, and ONF's, which differs in the port's width and the match.
    private static func decodeExtension(
        _ reader: inout ByteReader, _ version: OpenFlowVersion
    ) throws(OpenFlowError) -> FlowMonitorRequest {
        let isWide = version == .v1_3
        let id = try reader.u32()
        let flags = Flags(rawValue: try reader.u16())
        try check(flags, known: 0x3f)
        var port = OpenFlowPort.any
        if !isWide { port = OpenFlowPort(wire16: try reader.u16()) }
        let length = Int(try reader.u16())
        if isWide { port = OpenFlowPort(try reader.u32()) }
        let table = try reader.u8()
        for _ in 0..<(isWide ? 3 : 5) where try reader.u8() != 0 {
            throw OpenFlowError(.nxbrcMustBeZero, "padding of flow monitor \(id) is not zero")
        }
        let match: Match
        if isWide {
            match = try OXMCodec.decodeStandardMatch(&reader)
        } else {
            match = try OXMCodec.decodeNXM(&reader, length: length, allowsCookie: false).match
        }
        return FlowMonitorRequest(id: id, flags: flags, outPort: port, tableID: table, match: match)
    }

    private static func decode14(_ reader: inout ByteReader) throws(OpenFlowError) -> FlowMonitorRequest {
        var request = FlowMonitorRequest(id: try reader.u32(), flags: [])
        request.outPort = OpenFlowPort(try reader.u32())
        request.outGroup = try reader.u32()
        request.flags = Flags(rawValue: try reader.u16())
        request.tableID = try reader.u8()
        let number = try reader.u8()
        guard let command = FlowMonitorRequest.Command(rawValue: number) else {
            throw OpenFlowError(.mofcBadCommand, "flow monitor command \(number) is not 0, 1 or 2")
        }
        request.command = command
        if command != .delete { try check(request.flags, known: 0x7f) }
        request.match = try OXMCodec.decodeStandardMatch(&reader)
        return request
    }

    private static func check(_ flags: Flags, known: UInt16) throws(OpenFlowError) {
        guard flags.rawValue & ~known == 0, !flags.isDisjoint(with: [.add, .removed, .modify]) else {
            throw OpenFlowError(
                .mofcBadFlags, "flow monitor flags 0x\(String(flags.rawValue, radix: 16)) name no event, or what is unknown")
        }
    }

    static func encode(_ request: FlowMonitorRequest, _ version: OpenFlowVersion, _ writer: inout ByteWriter) {
        writer.u32(request.id)
        if version >= .v1_4 {
            writer.u32(request.outPort.rawValue)
            writer.u32(request.outGroup)
            writer.u16(request.flags.rawValue)
            writer.u8(request.tableID)
            writer.u8(request.command.rawValue)
            OXMCodec.encodeStandardMatch(CompactMatch(request.match), version: version, to: &writer)
            return
        }
        writer.u16(request.flags.rawValue & 0x3f)
        if version < .v1_3 { writer.u16(request.outPort.wire16) }
        let lengthOffset = writer.count
        writer.u16(0)
        if version == .v1_3 { writer.u32(request.outPort.rawValue) }
        writer.u8(request.tableID)
        writer.zeros(version == .v1_3 ? 3 : 5)
        encodeMatch(request.match, version, lengthOffset: lengthOffset, &writer)
    }

    /// The match and its padding; its length goes to `lengthOffset`.
    private static func encodeMatch(_ match: Match, _ version: OpenFlowVersion, lengthOffset: Int, _ writer: inout ByteWriter) {
        let start = writer.count
        if version >= .v1_3 {
            OXMCodec.encodeStandardMatch(CompactMatch(match), version: version, to: &writer)
            writer.patch16(writer.count - start, at: lengthOffset)
        } else {
            OXMCodec.encodeMatch(CompactMatch(match), .nxm, to: &writer)
            writer.patch16(writer.count - start, at: lengthOffset)
            writer.pad(to: 8, from: start)
        }
    }

    // MARK: Updates

    static func decodeUpdate(_ reader: inout ByteReader, _ version: OpenFlowVersion) throws(OpenFlowError) -> FlowUpdate {
        let length = Int(try reader.u16())
        let event = try reader.u16()
        guard length >= 8, length % 8 == 0 else { throw OpenFlowError(.nxbrcFmBadEvent, "flow update of \(length) bytes") }
        var body = try reader.sub(length - 4)
        if version >= .v1_4 {
            switch event {
            case 4: return .abbreviated(xid: try body.u32())
            case 5: return .paused
            case 6: return .resumed
            default: break
            }
        } else if event == 3 {
            return .abbreviated(xid: try body.u32())
        }
        let events: [FlowUpdate.Full.Event] = version >= .v1_4 ? [.initial, .added, .removed, .modified] : [.added, .removed, .modified]
        guard Int(event) < events.count else { throw OpenFlowError(.nxbrcFmBadEvent, "flow update event \(event)") }
        return .full(try decodeFull(&body, events[Int(event)], version))
    }

    private static func decodeFull(
        _ body: inout ByteReader, _ event: FlowUpdate.Full.Event, _ version: OpenFlowVersion
    ) throws(OpenFlowError) -> FlowUpdate.Full {
        var update = FlowUpdate.Full(
            event: event, tableID: 0, priority: 0, idleTimeout: 0, hardTimeout: 0, cookie: 0, match: Match(), actions: [])
        var reason: UInt16 = 0
        if version >= .v1_4 {
            update.tableID = try body.u8()
            reason = UInt16(try body.u8())
            update.idleTimeout = try body.u16()
            update.hardTimeout = try body.u16()
            update.priority = try body.u16()
            try body.skip(4)
            update.cookie = try body.u64()
            update.match = try OXMCodec.decodeStandardMatch(&body)
            update.actions = try InstructionCodec.decode(&body, version: version)
        } else {
            reason = try body.u16()
            update.priority = try body.u16()
            update.idleTimeout = try body.u16()
            update.hardTimeout = try body.u16()
            let length = Int(try body.u16())
            update.tableID = try body.u8()
            try body.skip(1)
            update.cookie = try body.u64()
            if version == .v1_3 {
                update.match = try OXMCodec.decodeStandardMatch(&body)
                update.actions = try InstructionCodec.decode(&body, version: version)
            } else {
                update.match = try OXMCodec.decodeNXM(&body, length: length, allowsCookie: false).match
                update.actions = try ActionDecoder(version: version).decode(&body)
            }
        }
        update.reason = FlowRemoved.Reason(rawValue: UInt8(truncatingIfNeeded: reason)) ?? .delete
        return update
    }

    static func encode(_ update: FlowUpdate, _ version: OpenFlowVersion, _ writer: inout ByteWriter) {
        let is14 = version >= .v1_4
        switch update {
        case .abbreviated(let xid):
            writer.u16(8)
            writer.u16(is14 ? 4 : 3)
            writer.u32(xid)
        case .paused, .resumed:
            // Before 1.4 these are messages, not updates.
            guard is14 else { return }
            writer.u16(8)
            writer.u16(update == .paused ? 5 : 6)
            writer.u32(0)
        case .full(let full): encode(full, version, &writer)
        }
    }

    private static func encode(_ update: FlowUpdate.Full, _ version: OpenFlowVersion, _ writer: inout ByteWriter) {
        let start = writer.count
        let is14 = version >= .v1_4
        writer.u16(0)
        switch update.event {
        case .initial: writer.u16(0)
        case .added: writer.u16(is14 ? 1 : 0)
        case .removed: writer.u16(is14 ? 2 : 1)
        case .modified: writer.u16(is14 ? 3 : 2)
        }
        let reason = update.event == .removed ? update.reason.rawValue : 0
        if is14 {
            writer.u8(update.tableID)
            writer.u8(reason)
            writer.u16(update.idleTimeout)
            writer.u16(update.hardTimeout)
            writer.u16(update.priority)
            writer.u32(0)
            writer.u64(update.cookie)
            OXMCodec.encodeStandardMatch(CompactMatch(update.match), version: version, to: &writer)
        } else {
            writer.u16(UInt16(reason))
            writer.u16(update.priority)
            writer.u16(update.idleTimeout)
            writer.u16(update.hardTimeout)
            let lengthOffset = writer.count
            writer.u16(0)
            writer.u8(update.tableID)
            writer.u8(0)
            writer.u64(update.cookie)
            encodeMatch(update.match, version, lengthOffset: lengthOffset, &writer)
        }
        if !update.actions.isEmpty {
            if version >= .v1_3 {
                InstructionCodec.encode(update.actions, version: version, match: CompactMatch(update.match), to: &writer)
            } else {
                ActionEncoder(version: version, match: CompactMatch(update.match)).encode(update.actions, to: &writer)
            }
        }
        writer.patch16(writer.count - start, at: start)
    }
}
