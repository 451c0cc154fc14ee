// One flow of a flow-statistics reply, and the sums over flows.

internal import Flow

enum FlowStatsCodec {
    /// A reader of the entry's body behind its length.
    private static func entry(_ reader: inout ByteReader, minimum: Int) throws(OpenFlowError) -> ByteReader {
        let length = Int(try reader.u16())
        guard length >= minimum else { throw OpenFlowError(.brcBadLen, "flow statistics of \(length) bytes, less than \(minimum)") }
        return try reader.sub(length - 2)
    }

    static func decode(_ reader: inout ByteReader, _ version: OpenFlowVersion) throws(OpenFlowError) -> FlowStats {
        switch version {
        case .v1_0: return try decode10(&reader)
        case .v1_5: return try decode15(&reader)
        default: break
        }
        var body = try entry(&reader, minimum: 56)
        var stats = FlowStats(tableID: try body.u8(), match: Match(), priority: 0, cookie: 0, actions: [])
        try body.skip(1)
        stats.durationSeconds = try body.u32()
        stats.durationNanoseconds = try body.u32()
        stats.priority = try body.u16()
        stats.idleTimeout = try body.u16()
        stats.hardTimeout = try body.u16()
        let flags = try body.u16()
        if version >= .v1_3 { stats.flags = FlowMod.Flags(rawValue: flags) }
        let importance = try body.u16()
        if version >= .v1_4 { stats.importance = importance }
        try body.skip(2)
        stats.cookie = try body.u64()
        stats.packetCount = try body.u64()
        stats.byteCount = try body.u64()
        stats.match = version == .v1_1 ? try LegacyMatch.decode11(&body) : try OXMCodec.decodeStandardMatch(&body)
        stats.actions = try InstructionCodec.decode(&body, version: version)
        return stats
    }

    private static func decode10(_ reader: inout ByteReader) throws(OpenFlowError) -> FlowStats {
        var body = try entry(&reader, minimum: 88)
        var stats = FlowStats(tableID: try body.u8(), match: Match(), priority: 0, cookie: 0, actions: [])
        try body.skip(1)
        stats.match = try LegacyMatch.decode10(&body)
        stats.durationSeconds = try body.u32()
        stats.durationNanoseconds = try body.u32()
        stats.priority = try body.u16()
        stats.idleTimeout = try body.u16()
        stats.hardTimeout = try body.u16()
        try body.skip(6)
        stats.cookie = try body.u64()
        stats.packetCount = try body.u64()
        stats.byteCount = try body.u64()
        stats.actions = try ActionDecoder(version: .v1_0).decode(&body)
        return stats
    }

    private static func decode15(_ reader: inout ByteReader) throws(OpenFlowError) -> FlowStats {
        var body = try entry(&reader, minimum: 40)
        try body.skip(2)
        var stats = FlowStats(tableID: try body.u8(), match: Match(), priority: 0, cookie: 0, actions: [])
        try body.skip(1)
        stats.priority = try body.u16()
        stats.idleTimeout = try body.u16()
        stats.hardTimeout = try body.u16()
        stats.flags = FlowMod.Flags(rawValue: try body.u16())
        stats.importance = try body.u16()
        stats.cookie = try body.u64()
        stats.match = try OXMCodec.decodeStandardMatch(&body)
        try decodeFields(&body, into: &stats)
        stats.actions = try InstructionCodec.decode(&body, version: .v1_5)
        return stats
    }

    /// What is counted of a flow, as 1.5 has it.
    private static func decodeFields(_ body: inout ByteReader, into stats: inout FlowStats) throws(OpenFlowError) {
        let fields = try StatisticsTLV.decode(&body)
        stats.durationSeconds = fields.durationSeconds
        stats.durationNanoseconds = fields.durationNanoseconds
        stats.idleAge = fields.idleSeconds.map { UInt16(clamping: $0) }
        stats.packetCount = fields.packetCount
        stats.byteCount = fields.byteCount
    }

    static func decodeNX(_ reader: inout ByteReader) throws(OpenFlowError) -> FlowStats {
        var body = try entry(&reader, minimum: 48)
        var stats = FlowStats(tableID: try body.u8(), match: Match(), priority: 0, cookie: 0, actions: [])
        try body.skip(1)
        stats.durationSeconds = try body.u32()
        stats.durationNanoseconds = try body.u32()
        stats.priority = try body.u16()
        stats.idleTimeout = try body.u16()
        stats.hardTimeout = try body.u16()
        let length = Int(try body.u16())
        // Ages are carried plus one, so that 0 is unknown.
        let idle = try body.u16()
        let hard = try body.u16()
        stats.idleAge = idle == 0 ? nil : idle - 1
        stats.hardAge = hard == 0 ? nil : hard - 1
        stats.cookie = try body.u64()
        stats.packetCount = try body.u64()
        stats.byteCount = try body.u64()
        stats.match = try OXMCodec.decodeNXM(&body, length: length, allowsCookie: false).match
        stats.actions = try ActionDecoder(version: .v1_0).decode(&body)
        return stats
    }

    static func encode(_ stats: FlowStats, _ version: OpenFlowVersion, isNXM: Bool, _ writer: inout ByteWriter) {
        let start = writer.count
        writer.u16(0)
        if version >= .v1_5, !isNXM {
            encode15(stats, &writer)
            writer.patch16(writer.count - start, at: start)
            return
        }
        writer.u8(stats.tableID)
        writer.u8(0)
        if version == .v1_0, !isNXM { LegacyMatch.encode10(stats.match, to: &writer) }
        writer.u32(stats.durationSeconds)
        writer.u32(stats.durationNanoseconds)
        writer.u16(stats.priority)
        writer.u16(stats.idleTimeout)
        writer.u16(stats.hardTimeout)
        let middle = writer.count
        if isNXM {
            writer.u16(0)
            writer.u16(age(stats.idleAge))
            writer.u16(age(stats.hardAge))
        } else {
            writer.u16(version >= .v1_3 ? stats.flags.rawValue & 0x1f : 0)
            writer.u16(version >= .v1_4 ? stats.importance : 0)
            writer.u16(0)
        }
        writer.u64(stats.cookie)
        writer.u64(stats.packetCount)
        writer.u64(stats.byteCount)
        if isNXM {
            let matchStart = writer.count
            OXMCodec.encodeMatch(stats.$match, .nxm, to: &writer)
            writer.patch16(writer.count - matchStart, at: middle)
            writer.pad(to: 8, from: matchStart)
        } else if version == .v1_1 {
            LegacyMatch.encode11(stats.match, to: &writer)
        } else if version >= .v1_2 {
            OXMCodec.encodeStandardMatch(stats.$match, version: version, to: &writer)
        }
        if version == .v1_0 || isNXM {
            ActionEncoder(version: .v1_0, match: stats.$match).encode(stats.actions, to: &writer)
        } else {
            InstructionCodec.encode(stats.actions, version: version, match: stats.$match, to: &writer)
        }
        writer.patch16(writer.count - start, at: start)
    }

    private static func encode15(_ stats: FlowStats, _ writer: inout ByteWriter) {
        writer.u16(0)
        writer.u8(stats.tableID)
        writer.u8(0)
        writer.u16(stats.priority)
        writer.u16(stats.idleTimeout)
        writer.u16(stats.hardTimeout)
        writer.u16(stats.flags.rawValue & 0x1f)
        writer.u16(stats.importance)
        writer.u64(stats.cookie)
        OXMCodec.encodeStandardMatch(stats.$match, version: .v1_5, to: &writer)
        encodeFields(stats, &writer)
        InstructionCodec.encode(stats.actions, version: .v1_5, match: stats.$match, to: &writer)
    }

    /// OpenFlow 1.5's statistics of a flow without its description (`ofp_flow_stats`, section 7.3.5.3).
    static func decodeCounters(_ reader: inout ByteReader) throws(OpenFlowError) -> FlowStats {
        var body = try entry(&reader, minimum: 24)
        try body.skip(2)
        var stats = FlowStats(tableID: try body.u8(), match: Match(), priority: 0, cookie: 0, actions: [])
        try body.skip(1)
        stats.priority = try body.u16()
        stats.match = try OXMCodec.decodeStandardMatch(&body)
        try decodeFields(&body, into: &stats)
        return stats
    }

    static func encodeCounters(_ stats: FlowStats, _ writer: inout ByteWriter) {
        let start = writer.count
        writer.u32(0)
        writer.u8(stats.tableID)
        // Why it is told: it was asked for.
        writer.u8(0)
        writer.u16(stats.priority)
        OXMCodec.encodeStandardMatch(stats.$match, version: .v1_5, to: &writer)
        encodeFields(stats, &writer)
        writer.patch16(writer.count - start, at: start)
    }

    private static func encodeFields(_ stats: FlowStats, _ writer: inout ByteWriter) {
        var fields = StatisticsTLV()
        fields.durationSeconds = stats.durationSeconds
        fields.durationNanoseconds = stats.durationNanoseconds
        fields.idleSeconds = stats.idleAge.map(UInt32.init)
        fields.packetCount = stats.packetCount
        fields.byteCount = stats.byteCount
        fields.encode([.duration] + (stats.idleAge == nil ? [] : [.idleTime]) + [.packetCount, .byteCount], to: &writer)
    }

    private static func age(_ seconds: UInt16?) -> UInt16 {
        guard let seconds else { return 0 }
        return seconds == .max ? .max : seconds + 1
    }

    static func decodeAggregate(_ reader: inout ByteReader, _ version: OpenFlowVersion) throws(OpenFlowError) -> AggregateStats {
        if version >= .v1_5 {
            let fields = try StatisticsTLV.decode(&reader)
            return AggregateStats(packetCount: fields.packetCount, byteCount: fields.byteCount, flowCount: fields.flowCount)
        }
        let packets = try reader.u64()
        let bytes = try reader.u64()
        let flows = try reader.u32()
        try reader.skip(4)
        return AggregateStats(packetCount: packets, byteCount: bytes, flowCount: flows)
    }

    static func encode(_ stats: AggregateStats, _ version: OpenFlowVersion, isNXM: Bool, _ writer: inout ByteWriter) {
        if version >= .v1_5, !isNXM {
            var fields = StatisticsTLV()
            fields.packetCount = stats.packetCount
            fields.byteCount = stats.byteCount
            fields.flowCount = stats.flowCount
            fields.encode([.packetCount, .byteCount, .flowCount], to: &writer)
            return
        }
        writer.u64(stats.packetCount)
        writer.u64(stats.byteCount)
        writer.u32(stats.flowCount)
        writer.u32(0)
    }
}
