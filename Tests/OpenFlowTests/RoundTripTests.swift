// Random messages, encoded and decoded; cut at each byte; bytes changed at random.

import Flow
import OpenFlow
import Testing

private let seed: UInt64 = 0x5eed_0001

@Suite struct RoundTripTests {
    /// Encodes, decodes, compares; then decodes every prefix and many corruptions, which must not crash.
    func check(
        _ message: Message, _ version: OpenFlowVersion, _ random: inout RandomMessages, sourceLocation: SourceLocation = #_sourceLocation
    ) throws {
        let xid: UInt32 = random.number()
        let bytes = try #require(message.encode(version: version, xid: xid), "\(message)", sourceLocation: sourceLocation)
        let decoded: (message: Message, xid: UInt32)
        do {
            decoded = try Message.decode(bytes)
        } catch {
            Issue.record("\(error) decoding \(hexText(bytes)) of \(message), OpenFlow \(version)", sourceLocation: sourceLocation)
            return
        }
        #expect(decoded.xid == xid, sourceLocation: sourceLocation)
        if decoded.message != message {
            Issue.record("\(version): \(message)\nbecame \(decoded.message)\n\(hexText(bytes))", sourceLocation: sourceLocation)
        }
        // What is decoded encodes to the same bytes again.
        #expect(decoded.message.encode(version: version, xid: xid) == bytes, sourceLocation: sourceLocation)
        fuzz(bytes, &random)
    }

    func fuzz(_ bytes: [UInt8], _ random: inout RandomMessages) {
        for length in stride(from: 0, to: bytes.count, by: bytes.count > 512 ? 37 : 1) {
            // The prefix as it is, and with a header that owns up to its length.
            let prefix = Array(bytes.prefix(length))
            #expect(throws: OpenFlowError.self) { try Message.decode(prefix) }
            if length >= 8 {
                var honest = prefix
                honest[2] = UInt8(length >> 8)
                honest[3] = UInt8(length & 0xff)
                _ = try? Message.decode(honest)
            }
        }
        for _ in 0..<8 {
            var corrupt = bytes
            for _ in 0..<random.pick([1, 2, 5]) where corrupt.count > 8 {
                corrupt[Int.random(in: 8..<corrupt.count, using: &random.generator)] = random.number()
            }
            _ = try? Message.decode(corrupt)
        }
    }

    @Test(arguments: OpenFlowVersion.allCases) func flowMods(version: OpenFlowVersion) throws {
        var random = RandomMessages(seed: seed &+ UInt64(version.rawValue), version: version)
        for _ in 0..<150 { try check(.flowMod(random.flowMod()), version, &random) }
    }

    @Test(arguments: OpenFlowVersion.allCases) func packets(version: OpenFlowVersion) throws {
        var random = RandomMessages(seed: seed &+ 100, version: version)
        for _ in 0..<40 {
            try check(.packetOut(PacketOut(inPort: .local, actions: random.actions(limit: 5), data: random.bytes(80))), version, &random)
            for format in [PacketInFormat.standard, .nicira, .nicira2] {
                var packet = PacketIn(format: format, totalLength: 1500, reason: .action, data: random.bytes(80))
                packet.metadata.set(.inPort, 7)
                if format != .standard || version >= .v1_2 {
                    packet.metadata.set(.reg1, 5)
                    packet.metadata.set(.metadata, 0x1234)
                    packet.tableID = 3
                }
                if format != .standard || version >= .v1_3 { packet.cookie = 0x99 }
                if format == .nicira2 { packet.userdata = [1, 2, 3] }
                if format == .standard, version == .v1_1 { packet.tableID = 9 }
                try check(.packetIn(packet), version, &random)
            }
            var removed = FlowRemoved(
                match: random.match(isTLV: version >= .v1_2), cookie: random.number(), priority: random.number(), reason: .hardTimeout,
                tableID: version == .v1_0 ? 0xff : 4, durationSeconds: random.number(), durationNanoseconds: random.number(),
                idleTimeout: random.number(), hardTimeout: version >= .v1_2 ? 9 : 0, packetCount: random.number(),
                byteCount: random.number())
            try check(.flowRemoved(removed), version, &random)
            if version == .v1_0 {
                removed.isNXM = true
                removed.tableID = 200
                removed.match = random.match(isTLV: true)
                try check(.flowRemoved(removed), version, &random)
            }
        }
    }

    @Test(arguments: OpenFlowVersion.allCases) func switchMessages(version: OpenFlowVersion) throws {
        var random = RandomMessages(seed: seed &+ 200, version: version)
        try check(.hello(Hello(version: version.rawValue, bitmap: [.all])), version, &random)
        try check(.hello(Hello(version: version.rawValue, bitmap: nil)), version, &random)
        for code in ErrorCode.allCases where ErrorTable.number(of: code, in: version) != nil {
            let error = ErrorMessage(code, version: version, data: random.bytes(70))
            try check(.error(error), version, &random)
            #expect(error.number == error.code(in: version).flatMap { ErrorTable.number(of: $0, in: version) })
        }
        try check(.echoRequest(random.bytes(20)), version, &random)
        try check(.echoReply([]), version, &random)
        for message in [Message.featuresRequest, .getConfigRequest, .barrierRequest, .barrierReply] { try check(message, version, &random) }
        let ports = version <= .v1_2 ? (0..<3).map { _ in random.portDescription() } : []
        let features = SwitchFeatures(
            datapathID: random.number(), tableCount: 254, capabilities: [.flowStatistics, .portStatistics],
            actions: version == .v1_0 ? 0xfff : 0, ports: ports)
        try check(.featuresReply(features), version, &random)
        try check(.getConfigReply(SwitchConfig(missSendLength: 128)), version, &random)
        try check(.setConfig(SwitchConfig(fragments: .drop, missSendLength: 0xffff)), version, &random)
        try check(.portStatus(PortStatus(reason: .modify, port: random.portDescription())), version, &random)
        try check(
            .portMod(
                PortMod(port: OpenFlowPort(1), hardwareAddress: 0x0a0b_0c0d_0e0f, config: [.portDown], mask: [.portDown, .noPacketIn])),
            version, &random)
        if version == .v1_0 { try check(.setFlowFormat(.nxm), version, &random) }
        try check(.flowModTableID(true), version, &random)
        try check(.setPacketInFormat(.nicira2), version, &random)
        try check(.setControllerID(0xabcd), version, &random)
        try check(.flowAge, version, &random)
        try check(.roleRequest(RoleMessage(role: .primary, generationID: nil)), version, &random)
        if version >= .v1_1 { try check(.tableMod(TableMod(tableID: 0xff, config: 3)), version, &random) }
        if version >= .v1_2 { try check(.roleReply(RoleMessage(role: .secondary, generationID: random.number())), version, &random) }
        if version < .v1_4 { try check(.queueGetConfigRequest(port: OpenFlowPort(3)), version, &random) }
        if version >= .v1_3 {
            try check(.getAsyncRequest, version, &random)
            var config = AsyncConfig.initial(for: version)
            config.primary.packetIn = 3
            try check(.getAsyncReply(config), version, &random)
            try check(.setAsync(config, isNicira: false), version, &random)
            try check(.roleStatus(RoleStatus(role: .secondary, reason: .primaryRequest, generationID: 7)), version, &random)
            try check(.bundleControl(BundleControl(bundleID: 9, kind: .commitRequest, flags: [.atomic, .ordered])), version, &random)
            let inner = try #require(Message.barrierRequest.encode(version: version, xid: 5))
            try check(.bundleAdd(BundleAdd(bundleID: 9, flags: [.atomic], message: inner)), version, &random)
            let meter = MeterConfig(
                meterID: 5, flags: [.kilobits, .burst],
                bands: [
                    MeterBand(kind: .drop, rate: 1000, burst: 100), MeterBand(kind: .dscpRemark, rate: 2000, burst: 5, precedenceLevel: 1),
                ])
            try check(.meterMod(MeterMod(command: .modify, meter: meter)), version, &random)
        }
        if version >= .v1_1 {
            var buckets = [
                GroupBucket(weight: 10, actions: random.actions(limit: 3)),
                GroupBucket(watchPort: OpenFlowPort(4), bucketID: 1, actions: [.popVLAN]),
            ]
            try check(.groupMod(GroupMod(command: .addOrModify, kind: .select, groupID: 77, buckets: buckets)), version, &random)
            if version >= .v1_5 {
                buckets[0].bucketID = 99
                let selection = GroupSelection(
                    method: "hash", parameter: 5, fields: [.init(.tcpSrc, mask: 0xff00), .init(.ethDst, mask: 0xffff_ffff_ffff)])
                let mod = GroupMod(command: .modify, kind: .select, groupID: 77, buckets: buckets, selection: selection)
                try check(.groupMod(mod), version, &random)
                for place: UInt32 in [99, GroupMod.firstBucket, GroupMod.lastBucket] {
                    let insert = GroupMod(command: .insertBucket, kind: .select, groupID: 77, commandBucketID: place, buckets: buckets)
                    try check(.groupMod(insert), version, &random)
                    try check(
                        .groupMod(GroupMod(command: .removeBucket, kind: .all, groupID: 77, commandBucketID: place)), version, &random)
                }
            }
            try check(.groupMod(GroupMod(command: .add, kind: .select, groupID: 77, buckets: buckets)), version, &random)
        }
    }

    @Test(arguments: OpenFlowVersion.allCases) func statistics(version: OpenFlowVersion) throws {
        var random = RandomMessages(seed: seed &+ 300, version: version)
        func request(_ request: StatsRequest) throws { try check(.statsRequest(request, more: false), version, &random) }
        func reply(_ reply: StatsReply, more: Bool = false) throws { try check(.statsReply(reply, more: more), version, &random) }
        try request(.description)
        try request(.table)
        try request(.port(.any))
        try request(.queue(port: .any, queueID: 0xffff_ffff))
        try request(.portDescription(.any))
        for isNXM in version == .v1_0 ? [false, true] : [false] {
            let isTLV = isNXM || version >= .v1_2
            var flow = FlowStatsRequest(tableID: 4, outPort: OpenFlowPort(8), match: random.match(isTLV: isTLV), isNXM: isNXM)
            if isNXM || version >= .v1_1 { (flow.cookie, flow.cookieMask) = (0x40, 0xf0) }
            try request(.flow(flow))
            try request(.aggregate(flow))
            try reply(.aggregate(AggregateStats(packetCount: 3, byteCount: 4, flowCount: 5), isNXM: isNXM))
            for _ in 0..<20 {
                var flows: [FlowStats] = []
                for _ in 0..<3 {
                    var stats = FlowStats(
                        tableID: random.number(), match: random.match(isTLV: isTLV), priority: random.number(), cookie: random.number(),
                        actions: random.flowActions())
                    (stats.durationSeconds, stats.durationNanoseconds) = (random.number(), random.number())
                    (stats.packetCount, stats.byteCount) = (random.number(), random.number())
                    (stats.idleTimeout, stats.hardTimeout) = (random.number(), random.number())
                    if isNXM { (stats.idleAge, stats.hardAge) = (5, nil) }
                    if version >= .v1_3 { stats.flags = [.resetCounts, .sendFlowRemoved] }
                    if version >= .v1_4 { stats.importance = 6 }
                    if version >= .v1_5 { stats.idleAge = 12 }
                    flows.append(stats)
                }
                try reply(.flow(flows, isNXM: isNXM), more: random.chance(50))
            }
        }
        if version >= .v1_5 {
            try request(.flowCounters(FlowStatsRequest(tableID: 4, match: random.match(isTLV: true))))
            var stats = FlowStats(tableID: 7, match: random.match(isTLV: true), priority: 9, cookie: 0, actions: [])
            (stats.durationSeconds, stats.packetCount, stats.byteCount) = (3, 4, 5)
            stats.idleAge = 12
            try reply(.flowCounters([stats, stats]))
        }
        try reply(.description(SwitchDescription(manufacturer: "m", hardware: "h", software: "s", serialNumber: "n", datapath: "d")))
        let hasNames = version <= .v1_2
        try reply(
            .table([
                TableStats(
                    tableID: 1, name: hasNames ? "one" : "", maximumEntries: hasNames ? 100 : 0, activeCount: 2, lookupCount: 3,
                    matchedCount: 4)
            ]))
        var port = PortStats(port: OpenFlowPort(5))
        (port.receivedPackets, port.collisions, port.crcErrors) = (1, 2, .max)
        if version >= .v1_3 { port.durationSeconds = 9 }
        try reply(.port([port, port]))
        try reply(
            .queue([
                QueueStats(
                    port: OpenFlowPort(5), queueID: 1, sentBytes: 2, sentPackets: 3, sentErrors: 4,
                    durationSeconds: version >= .v1_3 ? 5 : 0)
            ]))
        try reply(.portDescription([random.portDescription(), random.portDescription()]))
        guard version >= .v1_1 else { return }
        try request(.group(GroupMod.allGroups))
        try request(.groupDescription(GroupMod.allGroups))
        let counters = [GroupStats.Bucket(packetCount: 1, byteCount: 2), GroupStats.Bucket(packetCount: 3, byteCount: 4)]
        try reply(
            .group([
                GroupStats(
                    groupID: 1, referenceCount: 2, packetCount: 3, byteCount: 4, durationSeconds: version >= .v1_3 ? 5 : 0,
                    durationNanoseconds: 0, buckets: counters)
            ]))
        try reply(
            .groupDescription([
                GroupDescription(kind: .fastFailover, groupID: 8, buckets: [GroupBucket(watchPort: OpenFlowPort(1), actions: [.exit])])
            ]))
        guard version >= .v1_3 else { return }
        try request(.groupFeatures)
        try request(.meter(5))
        try request(.meterConfig(0xffff_ffff))
        try request(.meterFeatures)
        try request(.tableFeatures([]))
        try reply(.groupFeatures(GroupFeatures(kinds: 15, capabilities: 7, maximumGroups: [1, 2, 3, 4], actions: [5, 6, 7, 8])))
        try reply(
            .meter([
                MeterStats(
                    meterID: 1, flowCount: 2, packetCount: 3, byteCount: 4, durationSeconds: 5, durationNanoseconds: 6, bands: counters)
            ]))
        try reply(.meterConfig([MeterConfig(meterID: 1, flags: [.packets], bands: [MeterBand(kind: .drop, rate: 1, burst: 2)])]))
        try reply(.meterFeatures(MeterFeatures(maximumMeters: 1, bandKinds: 2, capabilities: 3, maximumBands: 4, maximumColors: 5)))
        let properties = [TableFeatureProperty(kind: 0, content: [0, 1, 0, 4]), TableFeatureProperty(kind: 2, content: [1, 2, 3])]
        try reply(
            .tableFeatures([
                TableFeatures(
                    tableID: 3, name: "three", metadataMatch: .max, metadataWrite: 1, capabilities: 2, maximumEntries: 3,
                    properties: properties)
            ]))
        guard version >= .v1_4 else { return }
        try request(.tableDescription)
        try request(.queueDescription(port: .any, queueID: .max))
        try reply(.tableDescription([TableDescription(tableID: 3, config: 4)]))
    }
}
