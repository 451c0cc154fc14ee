// Statistics replies behind their common header.

internal import Flow

enum StatsReplyCodec {
    /// The reply's number; Nicira's forms are experimenters'.
    static func type(of reply: StatsReply, _ version: OpenFlowVersion) -> UInt16? {
        switch reply {
        case .description: StatsType.description
        case .flow(_, let isNXM): isNXM ? StatsType.experimenter : StatsType.flow
        case .flowCounters: StatsType.flowCounters
        case .aggregate(_, let isNXM): isNXM ? StatsType.experimenter : StatsType.aggregate
        case .table: StatsType.table
        case .port: StatsType.port
        case .queue: StatsType.queue
        case .group: version == .v1_0 ? StatsType.experimenter : StatsType.group
        case .groupDescription: version == .v1_0 ? StatsType.experimenter : StatsType.groupDescription
        case .groupFeatures: version <= .v1_1 ? StatsType.experimenter : StatsType.groupFeatures
        case .meter: StatsType.meter
        case .meterConfig: StatsType.meterConfig
        case .meterFeatures: StatsType.meterFeatures
        case .tableFeatures: StatsType.tableFeatures
        case .portDescription: StatsType.portDescription
        case .tableDescription: StatsType.tableDescription
        case .queueDescription: StatsType.queueDescription
        case .flowMonitor: version >= .v1_4 ? StatsType.flowMonitor : StatsType.experimenter
        case .controllerStatus: StatsType.controllerStatus
        case .bundleFeatures: StatsType.bundleFeatures
        case .experimenter: StatsType.experimenter
        }
    }

    static func decode(_ type: UInt16, _ reader: inout ByteReader, _ version: OpenFlowVersion) throws(OpenFlowError) -> StatsReply {
        func list<Entry>(
            _ reader: inout ByteReader, _ entry: (inout ByteReader) throws(OpenFlowError) -> Entry
        ) throws(OpenFlowError) -> [Entry] {
            var result: [Entry] = []
            while !reader.isAtEnd { result.append(try entry(&reader)) }
            return result
        }
        switch type {
        case StatsType.description: return .description(try decodeDescription(&reader))
        case StatsType.flow:
            return .flow(try list(&reader) { (r) throws(OpenFlowError) in try FlowStatsCodec.decode(&r, version) }, isNXM: false)
        case StatsType.flowCounters:
            return .flowCounters(try list(&reader) { (r) throws(OpenFlowError) in try FlowStatsCodec.decodeCounters(&r) })
        case StatsType.aggregate: return .aggregate(try FlowStatsCodec.decodeAggregate(&reader, version), isNXM: false)
        case StatsType.table: return .table(try list(&reader) { (r) throws(OpenFlowError) in try decodeTable(&r, version) })
        case StatsType.port: return .port(try list(&reader) { (r) throws(OpenFlowError) in try PortCodec.decodeStats(&r, version) })
        case StatsType.queue: return .queue(try list(&reader) { (r) throws(OpenFlowError) in try decodeQueue(&r, version) })
        case StatsType.group: return .group(try list(&reader) { (r) throws(OpenFlowError) in try GroupCodec.decodeStats(&r, version) })
        case StatsType.groupDescription:
            return .groupDescription(try list(&reader) { (r) throws(OpenFlowError) in try GroupCodec.decodeDescription(&r, version) })
        case StatsType.groupFeatures: return .groupFeatures(try GroupCodec.decodeFeatures(&reader))
        case StatsType.meter: return .meter(try list(&reader) { (r) throws(OpenFlowError) in try GroupCodec.decodeMeterStats(&r) })
        case StatsType.meterConfig:
            return .meterConfig(try list(&reader) { (r) throws(OpenFlowError) in try GroupCodec.decodeMeterConfig(&r) })
        case StatsType.meterFeatures: return .meterFeatures(try GroupCodec.decodeMeterFeatures(&reader))
        case StatsType.tableFeatures:
            return .tableFeatures(try list(&reader) { (r) throws(OpenFlowError) in try StatsCodec.decodeTableFeatures(&r) })
        case StatsType.portDescription:
            return .portDescription(try list(&reader) { (r) throws(OpenFlowError) in try PortCodec.decodePort(&r, version) })
        case StatsType.tableDescription:
            return .tableDescription(try list(&reader) { (r) throws(OpenFlowError) in try TableCodec.decodeDescription(&r) })
        case StatsType.queueDescription: return .queueDescription(reader.rest())
        case StatsType.flowMonitor: return .flowMonitor(try StatsCodec.decodeUpdates(&reader, version))
        case StatsType.controllerStatus:
            return .controllerStatus(try list(&reader) { (r) throws(OpenFlowError) in try NoticeCodec.decodeController(&r) })
        case StatsType.bundleFeatures:
            let features = BundleFeatures(capabilities: try reader.u16())
            _ = reader.rest()
            return .bundleFeatures(features)
        default: return try StatsCodec.decodeNicira(&reader, version)
        }
    }

    /// Writes the body behind the header.
    static func encode(_ reply: StatsReply, _ version: OpenFlowVersion, _ writer: inout ByteWriter) {
        switch reply {
        case .description(let description): encode(description, &writer)
        case .flow(let flows, let isNXM): for flow in flows { FlowStatsCodec.encode(flow, version, isNXM: isNXM, &writer) }
        case .flowCounters(let flows): for flow in flows { FlowStatsCodec.encodeCounters(flow, &writer) }
        case .aggregate(let stats, let isNXM): FlowStatsCodec.encode(stats, version, isNXM: isNXM, &writer)
        case .table(let tables): for table in tables { encode(table, version, &writer) }
        case .port(let ports): for port in ports { PortCodec.encodeStats(port, version, &writer) }
        case .queue(let queues): for queue in queues { encode(queue, version, &writer) }
        case .group(let groups): for group in groups { GroupCodec.encode(group, version, &writer) }
        case .groupDescription(let groups): for group in groups { GroupCodec.encode(group, version, &writer) }
        case .groupFeatures(let features): GroupCodec.encode(features, &writer)
        case .meter(let meters): for meter in meters { GroupCodec.encode(meter, &writer) }
        case .meterConfig(let meters): for meter in meters { GroupCodec.encode(meter, &writer) }
        case .meterFeatures(let features): GroupCodec.encode(features, version, &writer)
        case .tableFeatures(let tables): for table in tables { StatsCodec.encode(table, &writer) }
        case .portDescription(let ports): for port in ports { PortCodec.encodePort(port, version, &writer) }
        case .tableDescription(let tables): for table in tables { TableCodec.encode(table, &writer) }
        case .queueDescription(let bytes): writer.raw(bytes)
        case .flowMonitor(let updates): for update in updates { FlowMonitorCodec.encode(update, version, &writer) }
        case .controllerStatus(let controllers): for controller in controllers { NoticeCodec.encode(controller, &writer) }
        case .bundleFeatures(let features):
            writer.u16(features.capabilities)
            writer.zeros(6)
        case .experimenter(let message):
            writer.u32(message.experimenter)
            writer.u32(message.type)
            writer.raw(message.body)
        }
    }

    // MARK: Description

    private static func decodeDescription(_ reader: inout ByteReader) throws(OpenFlowError) -> SwitchDescription {
        let manufacturer = try reader.string(256)
        let hardware = try reader.string(256)
        let software = try reader.string(256)
        let serial = try reader.string(32)
        return SwitchDescription(
            manufacturer: manufacturer, hardware: hardware, software: software, serialNumber: serial, datapath: try reader.string(256))
    }

    private static func encode(_ description: SwitchDescription, _ writer: inout ByteWriter) {
        writer.string(description.manufacturer, count: 256)
        writer.string(description.hardware, count: 256)
        writer.string(description.software, count: 256)
        writer.string(description.serialNumber, count: 32)
        writer.string(description.datapath, count: 256)
    }

    // MARK: Tables

    /// All of 1.0's wildcard bits: every field may be wild.
    private static let allWildcards10: UInt32 = 0x3f_ffff

    private static func decodeTable(_ reader: inout ByteReader, _ version: OpenFlowVersion) throws(OpenFlowError) -> TableStats {
        var stats = TableStats(tableID: try reader.u8(), activeCount: 0, lookupCount: 0, matchedCount: 0)
        if version >= .v1_3 {
            try reader.skip(3)
        } else {
            try reader.skip(version == .v1_0 ? 3 : 7)
            stats.name = try reader.string(32)
            switch version {
            case .v1_0: try reader.skip(4)
            case .v1_1:
                try reader.skip(20)
                stats.missConfig = try reader.u32()
            default:
                try reader.skip(60)
                stats.missConfig = try reader.u32()
            }
            stats.maximumEntries = try reader.u32()
        }
        stats.activeCount = try reader.u32()
        stats.lookupCount = try reader.u64()
        stats.matchedCount = try reader.u64()
        return stats
    }

    static func encode(_ stats: TableStats, _ version: OpenFlowVersion, _ writer: inout ByteWriter) {
        writer.u8(stats.tableID)
        if version >= .v1_3 {
            writer.zeros(3)
        } else {
            // The last table leads to no other.
            let instructions: UInt32 = stats.tableID == 253 ? 0x3c : 0x3e
            writer.zeros(version == .v1_0 ? 3 : 7)
            writer.string(stats.name, count: 32)
            switch version {
            case .v1_0: writer.u32(allWildcards10)
            case .v1_1:
                // Every field of 1.1's match, wild or matched; every instruction and action of 1.1 but TTL copying.
                writer.u32(Capability.fields11)
                writer.u32(Capability.fields11)
                writer.u32(instructions)
                writer.u32(Capability.actions11)
                writer.u32(Capability.actions11)
                writer.u32(stats.missConfig)
            default:
                let fields = Capability.fields12
                writer.u64(fields)
                writer.u64(fields)
                writer.u32(Capability.actions12)
                writer.u32(Capability.actions12)
                writer.u64(fields & ~Capability.fixed12)
                writer.u64(fields & ~Capability.fixed12)
                writer.u64(.max)
                writer.u64(.max)
                writer.u32(instructions)
                writer.u32(stats.missConfig)
            }
            writer.u32(stats.maximumEntries)
        }
        writer.u32(stats.activeCount)
        writer.u64(stats.lookupCount)
        writer.u64(stats.matchedCount)
    }

    /// Bit sets that 1.1's and 1.2's table statistics carry.
    private enum Capability {
        /// All of 1.1's match but its type; addresses and metadata have bits 11 to 15, as switches in the field have it.
        static let fields11: UInt32 = 0xfbff
        /// Fields that no action writes: EtherType and IP protocol.
        static let fixed12: UInt64 = 1 << 5 | 1 << 10
        /// Actions 0 to 24 of 1.1 but copy-ttl (11, 12).
        static let actions11: UInt32 = 0x01ff_e7ff
        /// Those that 1.2 kept, and set-field.
        static let actions12: UInt32 = 0x03ff_8001
        /// OXM fields 0 to 38 that this switch knows (1, in_phy_port, it does not).
        static let fields12: UInt64 = 0x7f_ffff_fffd
    }

    // MARK: Queues

    private static func decodeQueue(_ reader: inout ByteReader, _ version: OpenFlowVersion) throws(OpenFlowError) -> QueueStats {
        if version >= .v1_4 { try reader.skip(8) }
        let port = try PortCodec.port(&reader, version)
        if version == .v1_0 { try reader.skip(2) }
        var stats = QueueStats(port: port, queueID: try reader.u32(), sentBytes: 0, sentPackets: 0, sentErrors: 0)
        stats.sentBytes = try reader.u64()
        stats.sentPackets = try reader.u64()
        stats.sentErrors = try reader.u64()
        if version >= .v1_3 {
            stats.durationSeconds = try reader.u32()
            stats.durationNanoseconds = try reader.u32()
        }
        return stats
    }

    static func encode(_ stats: QueueStats, _ version: OpenFlowVersion, _ writer: inout ByteWriter) {
        if version >= .v1_4 {
            writer.u16(48)
            writer.zeros(6)
        }
        PortCodec.put(stats.port, version, &writer)
        if version == .v1_0 { writer.u16(0) }
        writer.u32(stats.queueID)
        writer.u64(stats.sentBytes)
        writer.u64(stats.sentPackets)
        writer.u64(stats.sentErrors)
        if version >= .v1_3 {
            writer.u32(stats.durationSeconds)
            writer.u32(stats.durationNanoseconds)
        }
    }
}
