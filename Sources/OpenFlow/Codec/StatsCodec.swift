// Statistics (1.0) and multipart (1.1 and later): the common header, requests and the numbers of the kinds.

internal import Flow

/// `OFPST_*` and `OFPMP_*`.
enum StatsType {
    static let description: UInt16 = 0
    static let flow: UInt16 = 1
    static let aggregate: UInt16 = 2
    static let table: UInt16 = 3
    static let port: UInt16 = 4
    static let queue: UInt16 = 5
    static let group: UInt16 = 6
    static let groupDescription: UInt16 = 7
    static let groupFeatures: UInt16 = 8
    static let meter: UInt16 = 9
    static let meterConfig: UInt16 = 10
    static let meterFeatures: UInt16 = 11
    static let tableFeatures: UInt16 = 12
    static let portDescription: UInt16 = 13
    static let tableDescription: UInt16 = 14
    static let queueDescription: UInt16 = 15
    static let flowMonitor: UInt16 = 16
    /// 1.5 calls `flow` the flows' description, and this their statistics.
    static let flowCounters: UInt16 = 17
    static let controllerStatus: UInt16 = 18
    static let bundleFeatures: UInt16 = 19
    static let experimenter: UInt16 = 0xffff

    /// The first version that has `type`. Port descriptions are 1.3's, but 1.0 and later are answered too, as the field does.
    static func isKnown(_ type: UInt16, in version: OpenFlowVersion) -> Bool {
        switch type {
        case description, flow, aggregate, table, port, queue, experimenter, portDescription: true
        case group, groupDescription: version >= .v1_1
        case groupFeatures: version >= .v1_2
        case meter, meterConfig, meterFeatures, tableFeatures: version >= .v1_3
        case tableDescription, queueDescription, flowMonitor: version >= .v1_4
        case flowCounters, controllerStatus, bundleFeatures: version >= .v1_5
        default: false
        }
    }
}

enum StatsCodec {
    // MARK: Header

    static func encodeHeader(_ type: UInt16, more: Bool, _ version: OpenFlowVersion, _ writer: inout ByteWriter) {
        writer.u16(type)
        writer.u16(more ? 1 : 0)
        if version >= .v1_1 { writer.u32(0) }
    }

    /// Nicira's statistics: the header, then the subtype.
    static func encodeNiciraHeader(_ subtype: UInt32, more: Bool, _ version: OpenFlowVersion, _ writer: inout ByteWriter) {
        encodeHeader(StatsType.experimenter, more: more, version, &writer)
        writer.u32(Experimenter.nicira)
        writer.u32(subtype)
        if version == .v1_0 { writer.u32(0) }
    }

    private static func decodeHeader(
        _ reader: inout ByteReader, _ version: OpenFlowVersion
    ) throws(OpenFlowError) -> (type: UInt16, more: Bool) {
        let type = try reader.u16()
        let flags = try reader.u16()
        if version >= .v1_1 { try reader.skip(4) }
        guard StatsType.isKnown(type, in: version) else {
            throw OpenFlowError(.brcBadStat, "statistics type \(type) is not one of OpenFlow \(version)")
        }
        return (type, flags & 1 != 0)
    }

    private static func experimenterHeader(_ reader: inout ByteReader) throws(OpenFlowError) -> (UInt32, UInt32) {
        let id = try reader.u32()
        return (id, try reader.u32())
    }

    // MARK: Requests

    static func decodeRequest(
        _ reader: inout ByteReader, _ version: OpenFlowVersion
    ) throws(OpenFlowError) -> (StatsRequest, more: Bool) {
        let (type, more) = try decodeHeader(&reader, version)
        let request: StatsRequest
        switch type {
        case StatsType.description: request = .description
        case StatsType.flow: request = .flow(try decodeFlowRequest(&reader, version))
        case StatsType.aggregate: request = .aggregate(try decodeFlowRequest(&reader, version))
        case StatsType.flowCounters: request = .flowCounters(try decodeFlowRequest(&reader, version))
        case StatsType.table: request = .table
        case StatsType.port:
            request = .port(try PortCodec.port(&reader, version))
            try reader.skip(version == .v1_0 ? 6 : 4)
        case StatsType.queue:
            let port = try PortCodec.port(&reader, version)
            if version == .v1_0 { try reader.skip(2) }
            // 1.0 asks for all ports with OFPP_ALL, later versions with OFPP_ANY.
            request = .queue(port: port == .all && version == .v1_0 ? .any : port, queueID: try reader.u32())
        case StatsType.group:
            request = .group(try reader.u32())
            try reader.skip(4)
        case StatsType.groupDescription:
            var group = GroupMod.allGroups
            if version >= .v1_5 {
                group = try reader.u32()
                try reader.skip(4)
            }
            request = .groupDescription(group)
        case StatsType.groupFeatures: request = .groupFeatures
        case StatsType.meter, StatsType.meterConfig:
            let meter = try reader.u32()
            try reader.skip(4)
            request = type == StatsType.meter ? .meter(meter) : .meterConfig(meter)
        case StatsType.meterFeatures: request = .meterFeatures
        case StatsType.tableFeatures:
            var tables: [TableFeatures] = []
            while !reader.isAtEnd { tables.append(try decodeTableFeatures(&reader)) }
            request = .tableFeatures(tables)
        case StatsType.portDescription:
            var port = OpenFlowPort.any
            if version >= .v1_5 {
                port = OpenFlowPort(try reader.u32())
                try reader.skip(4)
            }
            request = .portDescription(port)
        case StatsType.tableDescription: request = .tableDescription
        case StatsType.queueDescription:
            let port = OpenFlowPort(try reader.u32())
            request = .queueDescription(port: port, queueID: try reader.u32())
        case StatsType.flowMonitor: request = .flowMonitor(try decodeMonitors(&reader, version))
        case StatsType.controllerStatus: request = .controllerStatus
        case StatsType.bundleFeatures:
            // What is asked about scheduling gets the same answer.
            _ = reader.rest()
            request = .bundleFeatures
        default:
            let (id, subtype) = try experimenterHeader(&reader)
            if id == Experimenter.onf, subtype == ONFStats.flowMonitor, version == .v1_3 {
                request = .flowMonitor(try decodeMonitors(&reader, version))
                break
            }
            guard id == Experimenter.nicira else {
                throw OpenFlowError(.brcBadVendor, "experimenter 0x\(String(id, radix: 16)) is unknown")
            }
            if version == .v1_0 { try reader.skip(4) }
            switch subtype {
            case NiciraStats.flow where version == .v1_0: request = .flow(try decodeNXFlowRequest(&reader))
            case NiciraStats.aggregate where version == .v1_0: request = .aggregate(try decodeNXFlowRequest(&reader))
            case NiciraStats.flowMonitor where version <= .v1_2: request = .flowMonitor(try decodeMonitors(&reader, version))
            case NiciraStats.group where version == .v1_0, NiciraStats.groupDescription where version == .v1_0:
                let group = try reader.u32()
                try reader.skip(4)
                request = subtype == NiciraStats.group ? .group(group) : .groupDescription(group)
            case NiciraStats.groupFeatures where version <= .v1_1: request = .groupFeatures
            case NiciraStats.ipfixBridge, NiciraStats.ipfixFlow: request = .ipfix(isBridge: subtype == NiciraStats.ipfixBridge)
            default: throw OpenFlowError(.brcBadSubtype, "Nicira statistics \(subtype) are not ones that this switch keeps")
            }
        }
        return (request, more)
    }

    private static func decodeMonitors(
        _ reader: inout ByteReader, _ version: OpenFlowVersion
    ) throws(OpenFlowError) -> [FlowMonitorRequest] {
        var monitors: [FlowMonitorRequest] = []
        while !reader.isAtEnd { monitors.append(try FlowMonitorCodec.decode(&reader, version)) }
        return monitors
    }

    /// The header of flow monitor requests and replies: the standard's, ONF's or Nicira's.
    static func encodeMonitorHeader(more: Bool, _ version: OpenFlowVersion, _ writer: inout ByteWriter) {
        switch version {
        case .v1_0, .v1_1, .v1_2: encodeNiciraHeader(NiciraStats.flowMonitor, more: more, version, &writer)
        case .v1_3:
            encodeHeader(StatsType.experimenter, more: more, version, &writer)
            writer.u32(Experimenter.onf)
            writer.u32(ONFStats.flowMonitor)
        case .v1_4, .v1_5: encodeHeader(StatsType.flowMonitor, more: more, version, &writer)
        }
    }

    static func encodeRequest(_ request: StatsRequest, more: Bool, _ version: OpenFlowVersion, _ writer: inout ByteWriter) -> Bool {
        func header(_ type: UInt16) -> Bool {
            encodeHeader(type, more: more, version, &writer)
            return StatsType.isKnown(type, in: version)
        }
        switch request {
        case .description: return header(StatsType.description)
        case .flow(let flow), .aggregate(let flow):
            let isFlow = if case .flow = request { true } else { false }
            if flow.isNXM {
                encodeNiciraHeader(isFlow ? NiciraStats.flow : NiciraStats.aggregate, more: more, version, &writer)
                encodeNXFlowRequest(flow, &writer)
                return true
            }
            defer { encodeFlowRequest(flow, version, &writer) }
            return header(isFlow ? StatsType.flow : StatsType.aggregate)
        case .flowCounters(let flow):
            defer { encodeFlowRequest(flow, version, &writer) }
            return header(StatsType.flowCounters)
        case .table: return header(StatsType.table)
        case .port(let port):
            defer {
                PortCodec.put(port, version, &writer)
                writer.zeros(version == .v1_0 ? 6 : 4)
            }
            return header(StatsType.port)
        case .queue(let port, let queue):
            defer {
                PortCodec.put(version == .v1_0 && port == .any ? .all : port, version, &writer)
                if version == .v1_0 { writer.u16(0) }
                writer.u32(queue)
            }
            return header(StatsType.queue)
        case .group(let group),
            .groupDescription(let group) where version == .v1_0:
            let isStats = if case .group = request { true } else { false }
            if version == .v1_0 {
                encodeNiciraHeader(isStats ? NiciraStats.group : NiciraStats.groupDescription, more: more, version, &writer)
                writer.u64(UInt64(group) << 32)
                return true
            }
            defer { writer.u64(UInt64(group) << 32) }
            return header(StatsType.group)
        case .groupFeatures where version <= .v1_1:
            encodeNiciraHeader(NiciraStats.groupFeatures, more: more, version, &writer)
            return true
        case .groupDescription(let group):
            defer { if version >= .v1_5 { writer.u64(UInt64(group) << 32) } }
            return header(StatsType.groupDescription)
        case .groupFeatures: return header(StatsType.groupFeatures)
        case .meter(let meter):
            defer { writer.u64(UInt64(meter) << 32) }
            return header(StatsType.meter)
        case .meterConfig(let meter):
            defer { writer.u64(UInt64(meter) << 32) }
            return header(StatsType.meterConfig)
        case .meterFeatures: return header(StatsType.meterFeatures)
        case .tableFeatures(let tables):
            defer { for table in tables { encode(table, &writer) } }
            return header(StatsType.tableFeatures)
        case .portDescription(let port):
            defer { if version >= .v1_5 { writer.u64(UInt64(port.rawValue) << 32) } }
            return header(StatsType.portDescription)
        case .tableDescription: return header(StatsType.tableDescription)
        case .queueDescription(let port, let queue):
            defer {
                writer.u32(port.rawValue)
                writer.u32(queue)
            }
            return header(StatsType.queueDescription)
        case .flowMonitor(let monitors):
            encodeMonitorHeader(more: more, version, &writer)
            for monitor in monitors { FlowMonitorCodec.encode(monitor, version, &writer) }
            return true
        case .controllerStatus: return header(StatsType.controllerStatus)
        case .bundleFeatures:
            defer { writer.zeros(8) }
            return header(StatsType.bundleFeatures)
        case .ipfix(let isBridge):
            encodeNiciraHeader(isBridge ? NiciraStats.ipfixBridge : NiciraStats.ipfixFlow, more: more, version, &writer)
            return true
        case .experimenter(let message):
            defer {
                writer.u32(message.experimenter)
                writer.u32(message.type)
                writer.raw(message.body)
            }
            return header(StatsType.experimenter)
        }
    }

    // MARK: Replies

    static func decodeReply(_ reader: inout ByteReader, _ version: OpenFlowVersion) throws(OpenFlowError) -> (StatsReply, more: Bool) {
        let (type, more) = try decodeHeader(&reader, version)
        return (try StatsReplyCodec.decode(type, &reader, version), more)
    }

    /// Writes header and body; false if the version has no such reply.
    static func encodeReply(_ reply: StatsReply, more: Bool, _ version: OpenFlowVersion, _ writer: inout ByteWriter) -> Bool {
        guard let type = StatsReplyCodec.type(of: reply, version), StatsType.isKnown(type, in: version) else { return false }
        switch reply {
        case .flow(_, isNXM: true): encodeNiciraHeader(NiciraStats.flow, more: more, version, &writer)
        case .aggregate(_, isNXM: true): encodeNiciraHeader(NiciraStats.aggregate, more: more, version, &writer)
        case .flowMonitor: encodeMonitorHeader(more: more, version, &writer)
        case .group where version == .v1_0: encodeNiciraHeader(NiciraStats.group, more: more, version, &writer)
        case .groupDescription where version == .v1_0: encodeNiciraHeader(NiciraStats.groupDescription, more: more, version, &writer)
        case .groupFeatures where version <= .v1_1: encodeNiciraHeader(NiciraStats.groupFeatures, more: more, version, &writer)
        default: encodeHeader(type, more: more, version, &writer)
        }
        StatsReplyCodec.encode(reply, version, &writer)
        return true
    }

    static func decodeUpdates(_ reader: inout ByteReader, _ version: OpenFlowVersion) throws(OpenFlowError) -> [FlowUpdate] {
        var updates: [FlowUpdate] = []
        while !reader.isAtEnd { updates.append(try FlowMonitorCodec.decodeUpdate(&reader, version)) }
        return updates
    }

    /// The standard's number of a reply that Nicira brought to versions before it.
    private static func groupType(_ subtype: UInt32, _ version: OpenFlowVersion) -> UInt16? {
        switch subtype {
        case NiciraStats.group where version == .v1_0: StatsType.group
        case NiciraStats.groupDescription where version == .v1_0: StatsType.groupDescription
        case NiciraStats.groupFeatures where version <= .v1_1: StatsType.groupFeatures
        default: nil
        }
    }

    static func decodeNicira(_ reader: inout ByteReader, _ version: OpenFlowVersion) throws(OpenFlowError) -> StatsReply {
        let (id, subtype) = try experimenterHeader(&reader)
        if version == .v1_3
            ? id == Experimenter.onf && subtype == ONFStats.flowMonitor
            : id == Experimenter.nicira && subtype == NiciraStats.flowMonitor && version <= .v1_2
        {
            if version == .v1_0 { try reader.skip(4) }
            return .flowMonitor(try decodeUpdates(&reader, version))
        }
        if id == Experimenter.nicira, let type = groupType(subtype, version) {
            if version == .v1_0 { try reader.skip(4) }
            return try StatsReplyCodec.decode(type, &reader, version)
        }
        guard id == Experimenter.nicira, subtype == NiciraStats.flow || subtype == NiciraStats.aggregate else {
            return .experimenter(ExperimenterMessage(experimenter: id, type: subtype, body: reader.rest()))
        }
        if version == .v1_0 { try reader.skip(4) }
        if subtype == NiciraStats.aggregate { return .aggregate(try FlowStatsCodec.decodeAggregate(&reader, .v1_0), isNXM: true) }
        var flows: [FlowStats] = []
        while !reader.isAtEnd { flows.append(try FlowStatsCodec.decodeNX(&reader)) }
        return .flow(flows, isNXM: true)
    }
}
