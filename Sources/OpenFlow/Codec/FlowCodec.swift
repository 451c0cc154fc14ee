// Flow-mod and flow-removed: bodies after the header.

internal import Flow

enum FlowCodec {
    // MARK: Flow-mod

    static func decodeFlowMod(_ reader: inout ByteReader, _ version: OpenFlowVersion, hasTableID: Bool) throws(OpenFlowError) -> FlowMod {
        if version == .v1_0 { return try decodeFlowMod10(&reader, hasTableID: hasTableID) }
        var mod = FlowMod(blank: .add)
        let cookie = try reader.u64()
        let cookieMask = try reader.u64()
        mod.tableID = try reader.u8()
        mod.command = try command(UInt16(try reader.u8()))
        mod.idleTimeout = try reader.u16()
        mod.hardTimeout = try reader.u16()
        mod.priority = try reader.u16()
        mod.bufferID = try reader.u32()
        mod.outPort = OpenFlowPort(try reader.u32())
        mod.outGroup = try reader.u32()
        let flags = try reader.u16()
        let last = try reader.u16()
        if version >= .v1_4 { mod.importance = last }
        mod.flags = try decodeFlags(flags, version)
        mod.newCookie = cookie
        if mod.command != .add {
            mod.cookie = cookie & cookieMask
            mod.cookieMask = cookieMask
        }
        // OpenFlow 1.1: filters belong to deletes; elsewhere their fields mean nothing.
        if mod.command != .delete, mod.command != .deleteStrict {
            mod.outPort = .any
            mod.outGroup = FlowMod.anyGroup
        }
        mod.$match = version == .v1_1 ? CompactMatch(try LegacyMatch.decode11(&reader)) : try OXMCodec.decodeCompactMatch(&reader)
        mod.actions = try InstructionCodec.decode(&reader, version: version)
        mod.applySemantics(of: version)
        return mod
    }

    private static func decodeFlowMod10(_ reader: inout ByteReader, hasTableID: Bool) throws(OpenFlowError) -> FlowMod {
        var mod = FlowMod(blank: .add)
        var ahead = reader
        let isExact = try ahead.u32() & LegacyMatch.wildcards10 == 0
        mod.match = try LegacyMatch.decode10(&reader)
        mod.newCookie = try reader.u64()
        (mod.command, mod.tableID) = try commandAndTable(try reader.u16(), hasTableID: hasTableID)
        try decodeTail10(&reader, &mod)
        // OpenFlow 1.0 section 3.4: a flow without wildcards has the highest priority, whatever it says.
        if isExact { mod.priority = .max }
        mod.actions = try ActionDecoder(version: .v1_0).decode(&reader)
        mod.applySemantics(of: .v1_0)
        return mod
    }

    static func decodeNXFlowMod(_ reader: inout ByteReader, _ version: OpenFlowVersion, hasTableID: Bool) throws(OpenFlowError) -> FlowMod {
        guard version == .v1_0 else {
            throw OpenFlowError(.brcBadSubtype, "NXT_FLOW_MOD belongs to OpenFlow 1.0; this connection speaks \(version)")
        }
        var mod = FlowMod(blank: .add, isNXM: true)
        mod.newCookie = try reader.u64()
        (mod.command, mod.tableID) = try commandAndTable(try reader.u16(), hasTableID: hasTableID)
        let idle = try reader.u16()
        let hard = try reader.u16()
        mod.priority = try reader.u16()
        mod.bufferID = try reader.u32()
        mod.outPort = OpenFlowPort(wire16: try reader.u16())
        mod.flags = try decodeFlags(try reader.u16(), .v1_0)
        mod.idleTimeout = idle
        mod.hardTimeout = hard
        let matchBytes = Int(try reader.u16())
        try reader.skip(6)
        let decoded = try OXMCodec.decodeNXM(&reader, length: matchBytes, allowsCookie: true)
        mod.$match = decoded.$match
        mod.cookie = decoded.cookie
        mod.cookieMask = decoded.cookieMask
        if mod.command == .add, mod.cookieMask != 0 {
            throw OpenFlowError(.nxbrcNxmInvalid, "an added flow has no older cookie to match")
        }
        if mod.command != .delete, mod.command != .deleteStrict { mod.outPort = .any }
        mod.actions = try ActionDecoder(version: .v1_0).decode(&reader)
        mod.applySemantics(of: .v1_0)
        return mod
    }

    private static func decodeTail10(_ reader: inout ByteReader, _ mod: inout FlowMod) throws(OpenFlowError) {
        mod.idleTimeout = try reader.u16()
        mod.hardTimeout = try reader.u16()
        mod.priority = try reader.u16()
        mod.bufferID = try reader.u32()
        mod.outPort = OpenFlowPort(wire16: try reader.u16())
        mod.flags = try decodeFlags(try reader.u16(), .v1_0)
        if mod.command != .delete, mod.command != .deleteStrict { mod.outPort = .any }
    }

    private static func command(_ number: UInt16) throws(OpenFlowError) -> FlowMod.Command {
        guard number < 5, let command = FlowMod.Command(rawValue: UInt8(number)) else {
            throw OpenFlowError(.fmfcBadCommand, "flow-mod command \(number) is not one of 0 to 4")
        }
        return command
    }

    private static func commandAndTable(_ word: UInt16, hasTableID: Bool) throws(OpenFlowError) -> (FlowMod.Command, UInt8) {
        hasTableID ? (try command(word & 0xff), UInt8(word >> 8)) : (try command(word), 0xff)
    }

    private static func decodeFlags(_ bits: UInt16, _ version: OpenFlowVersion) throws(OpenFlowError) -> FlowMod.Flags {
        let known: UInt16 =
            switch version {
            case .v1_0, .v1_1: 0x3
            case .v1_2: 0x7
            default: 0x1f
            }
        if bits & ~known != 0 {
            if version == .v1_0, bits & 4 != 0 { throw OpenFlowError(.fmfcTableFull, "there is no emergency flow table") }
            throw OpenFlowError(.fmfcBadFlags, "flow-mod flags 0x\(String(bits, radix: 16))")
        }
        return FlowMod.Flags(rawValue: bits)
    }

    /// Writes the body; the message type, or nil if the version has none such.
    static func encodeFlowMod(_ mod: FlowMod, _ version: OpenFlowVersion, _ writer: inout ByteWriter) -> MessageType? {
        if version == .v1_0 { return encodeFlowMod10(mod, &writer) }
        guard !mod.isNXM else { return nil }
        // An add says its new cookie; the others filter by one.
        writer.u64(mod.command == .add || mod.cookieMask == 0 ? mod.newCookie : mod.cookie)
        writer.u64(mod.command == .add ? 0 : mod.cookieMask)
        writer.u8(mod.tableID)
        writer.u8(mod.command.rawValue)
        writer.u16(mod.idleTimeout)
        writer.u16(mod.hardTimeout)
        writer.u16(mod.priority)
        writer.u32(mod.bufferID)
        writer.u32(mod.outPort.rawValue)
        writer.u32(mod.outGroup)
        writer.u16(encodeFlags(mod.flags, version))
        writer.u16(version >= .v1_4 ? mod.importance : 0)
        if version == .v1_1 {
            LegacyMatch.encode11(mod.match, to: &writer)
        } else {
            OXMCodec.encodeStandardMatch(mod.$match, version: version, to: &writer)
        }
        InstructionCodec.encode(mod.actions, version: version, match: mod.$match, to: &writer)
        return .flowMod
    }

    private static func encodeFlowMod10(_ mod: FlowMod, _ writer: inout ByteWriter) -> MessageType {
        // With a table, the connection must have been told so (NXT_FLOW_MOD_TABLE_ID).
        let command = UInt16(mod.command.rawValue) | (mod.tableID == 0xff ? 0 : UInt16(mod.tableID) << 8)
        if mod.isNXM {
            writer.u32(Experimenter.nicira)
            writer.u32(NiciraMessage.flowMod)
        } else {
            LegacyMatch.encode10(mod.match, to: &writer)
        }
        writer.u64(mod.newCookie)
        writer.u16(command)
        writer.u16(mod.idleTimeout)
        writer.u16(mod.hardTimeout)
        writer.u16(mod.priority)
        writer.u32(mod.bufferID)
        writer.u16(mod.outPort.wire16)
        writer.u16(encodeFlags(mod.flags, .v1_0))
        if mod.isNXM {
            let lengthOffset = writer.count
            writer.zeros(8)
            let start = writer.count
            OXMCodec.encodeMatch(mod.$match, .nxm, cookie: mod.cookie, cookieMask: mod.cookieMask, to: &writer)
            writer.patch16(writer.count - start, at: lengthOffset)
            writer.pad(to: 8, from: start)
        }
        ActionEncoder(version: .v1_0, match: mod.$match).encode(mod.actions, to: &writer)
        return mod.isNXM ? .experimenter : .flowMod
    }

    static func encodeFlags(_ flags: FlowMod.Flags, _ version: OpenFlowVersion) -> UInt16 {
        switch version {
        case .v1_0, .v1_1: flags.rawValue & 0x3
        case .v1_2: flags.rawValue & 0x7
        default: flags.rawValue & 0x1f
        }
    }

    // MARK: Flow-removed

    private static func reason(_ value: UInt8) throws(OpenFlowError) -> FlowRemoved.Reason {
        guard let reason = FlowRemoved.Reason(rawValue: value) else { throw OpenFlowError(.nxbrcBadReason, "flow-removed reason \(value)") }
        return reason
    }

    static func decodeFlowRemoved(_ reader: inout ByteReader, _ version: OpenFlowVersion) throws(OpenFlowError) -> FlowRemoved {
        var removed = FlowRemoved(match: Match(), cookie: 0, priority: 0, reason: .delete, tableID: 0xff)
        if version == .v1_0 { removed.match = try LegacyMatch.decode10(&reader) }
        if version >= .v1_5 {
            removed.tableID = try reader.u8()
            removed.reason = try reason(try reader.u8())
            removed.priority = try reader.u16()
            removed.idleTimeout = try reader.u16()
            removed.hardTimeout = try reader.u16()
            removed.cookie = try reader.u64()
            removed.match = try OXMCodec.decodeStandardMatch(&reader)
            let stats = try StatisticsTLV.decode(&reader)
            removed.durationSeconds = stats.durationSeconds
            removed.durationNanoseconds = stats.durationNanoseconds
            removed.packetCount = stats.packetCount
            removed.byteCount = stats.byteCount
            return removed
        }
        removed.cookie = try reader.u64()
        removed.priority = try reader.u16()
        removed.reason = try reason(try reader.u8())
        let table = try reader.u8()
        if version >= .v1_1 { removed.tableID = table }
        removed.durationSeconds = try reader.u32()
        removed.durationNanoseconds = try reader.u32()
        removed.idleTimeout = try reader.u16()
        let hard = try reader.u16()
        if version >= .v1_2 { removed.hardTimeout = hard }
        removed.packetCount = try reader.u64()
        removed.byteCount = try reader.u64()
        if version == .v1_1 { removed.match = try LegacyMatch.decode11(&reader) }
        if version >= .v1_2 { removed.match = try OXMCodec.decodeStandardMatch(&reader) }
        return removed
    }

    static func decodeNXFlowRemoved(_ reader: inout ByteReader) throws(OpenFlowError) -> FlowRemoved {
        var removed = FlowRemoved(match: Match(), cookie: 0, priority: 0, reason: .delete, tableID: 0xff, isNXM: true)
        removed.cookie = try reader.u64()
        removed.priority = try reader.u16()
        removed.reason = try reason(try reader.u8())
        // The table plus one; 0 is unknown.
        removed.tableID = try reader.u8() &- 1
        removed.durationSeconds = try reader.u32()
        removed.durationNanoseconds = try reader.u32()
        removed.idleTimeout = try reader.u16()
        let length = Int(try reader.u16())
        removed.packetCount = try reader.u64()
        removed.byteCount = try reader.u64()
        removed.match = try OXMCodec.decodeNXM(&reader, length: length, allowsCookie: false).match
        return removed
    }

    static func encodeFlowRemoved(_ removed: FlowRemoved, _ version: OpenFlowVersion, _ writer: inout ByteWriter) -> MessageType {
        // What came later was a delete to older versions.
        let isKnown = removed.reason.rawValue <= 2 || version >= .v1_4 || (version >= .v1_1 && removed.reason == .groupDelete)
        let reason = (isKnown ? removed.reason : .delete).rawValue
        if version >= .v1_5 {
            writer.u8(removed.tableID)
            writer.u8(reason)
            writer.u16(removed.priority)
            writer.u16(removed.idleTimeout)
            writer.u16(removed.hardTimeout)
            writer.u64(removed.cookie)
            OXMCodec.encodeStandardMatch(removed.$match, version: version, to: &writer)
            var stats = StatisticsTLV()
            stats.durationSeconds = removed.durationSeconds
            stats.durationNanoseconds = removed.durationNanoseconds
            stats.packetCount = removed.packetCount
            stats.byteCount = removed.byteCount
            stats.encode([.duration, .packetCount, .byteCount], to: &writer)
            return .flowRemoved
        }
        let isNXM = removed.isNXM && version == .v1_0
        if isNXM {
            writer.u32(Experimenter.nicira)
            writer.u32(NiciraMessage.flowRemoved)
        } else if version == .v1_0 {
            LegacyMatch.encode10(removed.match, to: &writer)
        }
        writer.u64(removed.cookie)
        writer.u16(removed.priority)
        writer.u8(reason)
        writer.u8(isNXM ? removed.tableID &+ 1 : version == .v1_0 ? 0 : removed.tableID)
        writer.u32(removed.durationSeconds)
        writer.u32(removed.durationNanoseconds)
        writer.u16(removed.idleTimeout)
        let lengthOffset = writer.count
        writer.u16(version >= .v1_2 ? removed.hardTimeout : 0)
        writer.u64(removed.packetCount)
        writer.u64(removed.byteCount)
        if isNXM {
            let start = writer.count
            OXMCodec.encodeMatch(removed.$match, .nxm, to: &writer)
            writer.patch16(writer.count - start, at: lengthOffset)
            writer.pad(to: 8, from: start)
            return .experimenter
        }
        if version == .v1_1 { LegacyMatch.encode11(removed.match, to: &writer) }
        if version >= .v1_2 { OXMCodec.encodeStandardMatch(removed.$match, version: version, to: &writer) }
        return .flowRemoved
    }
}

/// OpenFlow 1.5's statistics TLVs (OXS, `ofp_stats`).
struct StatisticsTLV {
    enum Kind: UInt8 {
        case duration = 0
        case idleTime = 1
        case flowCount = 3
        case packetCount = 4
        case byteCount = 5
    }
    var durationSeconds: UInt32 = 0
    var durationNanoseconds: UInt32 = 0
    var idleSeconds: UInt32?
    var flowCount: UInt32 = 0
    var packetCount: UInt64 = 0
    var byteCount: UInt64 = 0

    static func decode(_ reader: inout ByteReader) throws(OpenFlowError) -> StatisticsTLV {
        var result = StatisticsTLV()
        try reader.skip(2)
        let length = Int(try reader.u16())
        guard length >= 4 else { throw OpenFlowError(.brcBadLen, "statistics of \(length) bytes") }
        var fields = try reader.sub(length - 4)
        try reader.skip((8 - length % 8) % 8)
        while !fields.isAtEnd {
            let wireClass = try fields.u16()
            let kind = try fields.u8() >> 1
            let size = Int(try fields.u8())
            var body = try fields.sub(size)
            guard wireClass == FieldCatalog.classStatistics else { continue }
            switch Kind(rawValue: kind) {
            case .duration:
                result.durationSeconds = try body.u32()
                result.durationNanoseconds = try body.u32()
            case .idleTime: result.idleSeconds = try body.u32()
            case .flowCount: result.flowCount = try body.u32()
            case .packetCount: result.packetCount = try body.u64()
            case .byteCount: result.byteCount = try body.u64()
            case nil: break
            }
        }
        return result
    }

    func encode(_ kinds: [Kind], to writer: inout ByteWriter) {
        writer.property(0) {
            for kind in kinds {
                $0.u16(FieldCatalog.classStatistics)
                $0.u8(kind.rawValue << 1)
                $0.u8(kind == .flowCount ? 4 : 8)
                switch kind {
                case .duration:
                    $0.u32(durationSeconds)
                    $0.u32(durationNanoseconds)
                case .idleTime:
                    $0.u32(idleSeconds ?? 0)
                    $0.u32(0)
                case .flowCount: $0.u32(flowCount)
                case .packetCount: $0.u64(packetCount)
                case .byteCount: $0.u64(byteCount)
                }
            }
        }
    }
}
