// Statistics and multipart requests. Flow counts are exact: the bridge asks the datapath for them first.

internal import Base
internal import Classifier
internal import DatapathAPI
internal import Flow
internal import OpenFlow

extension OpenFlowService {
    func answer(_ request: StatsRequest, more: Bool = false, xid: UInt32, on connection: OpenFlowConnection) throws(OpenFlowError) {
        switch request {
        case .description:
            var description = environment.description
            if description.datapath == "None" { description.datapath = bridge.name }
            connection.send(.statsReply(.description(description), more: false), xid: xid)
        case .flow(let flow): try answerFlows(flow, xid: xid, on: connection)
        case .flowCounters(let flow):
            let filter = try filter(flow)
            let rules = filter.table == 254 ? [] : bridge.flows(matching: filter)
            let now = clock.now
            sendParts(.flowCounters([]), rules.map { .flowCounters([OpenFlowService.statistics(of: $0, now: now)]) }, xid, connection)
        case .aggregate(let flow): try answerAggregate(flow, xid: xid, on: connection)
        case .table:
            let tables = zip(bridge.tableStatistics(), bridge.tableStates()).map { counts, state in
                TableStats(
                    tableID: counts.table, name: state.name,
                    maximumEntries: min(OpenFlowService.tableEntries, UInt32(clamping: state.flowLimit ?? .max)),
                    activeCount: UInt32(clamping: counts.activeCount), lookupCount: counts.lookupCount, matchedCount: counts.matchedCount,
                    missConfig: state.miss == .nextTable ? 1 : state.miss == .drop ? 2 : 0)
            }
            sendParts(.table([]), tables.map { .table([$0]) }, xid, connection)
        case .port(let number):
            let ports = ports(number)
            sendParts(.port([]), ports.map { .port([statistics(of: $0)]) }, xid, connection)
        case .portDescription(let number):
            let ports = ports(number)
            sendParts(.portDescription([]), ports.map { .portDescription([describe($0)]) }, xid, connection)
        case .queue(let number, let queue):
            guard number == .any || bridge.port(number) != nil else {
                throw OpenFlowError(.qofcBadPort, "port \(number.rawValue) does not exist")
            }
            let found = queues(number, queue)
            if queue != 0xffff_ffff, found.isEmpty { throw OpenFlowError(.qofcBadQueue, "queue \(queue) does not exist") }
            let entries = found.map {
                QueueStats(
                    port: $0, queueID: 0, sentBytes: .max, sentPackets: .max, sentErrors: .max, durationSeconds: .max,
                    durationNanoseconds: .max)
            }
            sendParts(.queue([]), entries.map { .queue([$0]) }, xid, connection)
        case .queueDescription(let number, let queue):
            guard number == .any || bridge.port(number) != nil else {
                throw OpenFlowError(.qofcBadPort, "port \(number.rawValue) does not exist")
            }
            let found = queues(number, queue)
            if queue != 0xffff_ffff, found.isEmpty { throw OpenFlowError(.qofcBadQueue, "queue \(queue) does not exist") }
            // Of a queue's properties none is set: port, queue, length and padding.
            let entries = found.flatMap { port in
                OpenFlowService.bytes(port.rawValue) + OpenFlowService.bytes(0) + [0, 16, 0, 0, 0, 0, 0, 0]
            }
            connection.send(.statsReply(.queueDescription(entries), more: false), xid: xid)
        case .group, .groupDescription, .groupFeatures, .meter, .meterConfig, .meterFeatures:
            try answerGroupsAndMeters(request, xid: xid, on: connection)
        case .tableFeatures(let wanted): try answerTableFeatures(wanted, more: more, xid, connection)
        case .tableDescription:
            let tables = bridge.tableStates().map { StatsReply.tableDescription([OpenFlowService.description(of: $0)]) }
            sendParts(.tableDescription([]), tables, xid, connection)
        case .flowMonitor(let requests): try answer(requests, xid: xid, on: connection)
        case .controllerStatus: connection.send(.statsReply(.controllerStatus(controllerStatuses()), more: false), xid: xid)
        case .bundleFeatures:
            // Atomic and ordered; not scheduled.
            connection.send(.statsReply(.bundleFeatures(BundleFeatures(capabilities: 3)), more: false), xid: xid)
        case .ipfix: throw OpenFlowError(.nxstNotConfigured, "IPFIX is not configured")
        case .experimenter(let message):
            throw OpenFlowError(.brcBadVendor, "experimenter 0x\(String(message.experimenter, radix: 16)) is unknown")
        }
    }

    /// Sends entries in as many messages as they take; without entries, one.
    func sendParts(_ empty: StatsReply, _ entries: [StatsReply], _ xid: UInt32, _ connection: OpenFlowConnection) {
        guard let version = connection.version, var writer = MultipartWriter(empty, version: version, xid: xid) else { return }
        for entry in entries { writer.append(entry) }
        for part in writer.finish() { connection.sendBytes(part) }
    }

    // MARK: Queues

    /// The ports that have queue 0 and no other: devices for tests. Other devices' queues are not shown.
    private func queues(_ number: OpenFlowPort, _ queue: UInt32) -> [OpenFlowPort] {
        if queue != 0xffff_ffff, queue != 0 { return [] }
        return ports(number).filter(\.isDummy).map(\.number)
    }

    private static func bytes(_ value: UInt32) -> [UInt8] { withUnsafeBytes(of: value.bigEndian) { Array($0) } }

    /// The queues of a port, or of all, in the form of OpenFlow 1.0 to 1.3.
    func answerQueueConfiguration(_ port: OpenFlowPort, xid: UInt32, on connection: OpenFlowConnection) {
        let isOld = connection.version == .v1_0
        let entries = queues(port, 0xffff_ffff).flatMap { number -> [UInt8] in
            // Queue, (port,) length, padding; no properties.
            if isOld || connection.version == .v1_1 { return OpenFlowService.bytes(0) + [0, 8, 0, 0] }
            return OpenFlowService.bytes(0) + OpenFlowService.bytes(number.rawValue) + [0, 16, 0, 0, 0, 0, 0, 0]
        }
        connection.send(.queueGetConfigReply(port: port, queues: entries), xid: xid)
    }

    // MARK: Flows

    private func filter(_ request: FlowStatsRequest) throws(OpenFlowError) -> FlowFilter {
        // Table 254 exists but holds nothing that may be seen; beyond it there is none.
        if request.tableID != 0xff, Int(request.tableID) >= PipelineLimits.tableCount, request.tableID != 254 {
            throw OpenFlowError(.brcBadTableId, "table \(request.tableID) does not exist")
        }
        return FlowFilter(
            table: request.tableID == 0xff ? nil : request.tableID, match: request.match, cookie: request.cookie,
            cookieMask: request.cookieMask, outPort: request.outPort == .any ? nil : request.outPort,
            outGroup: request.outGroup == FlowMod.anyGroup ? nil : request.outGroup)
    }

    private func answerFlows(_ request: FlowStatsRequest, xid: UInt32, on connection: OpenFlowConnection) throws(OpenFlowError) {
        let filter = try filter(request)
        guard let version = connection.version,
            let listing = FlowListing(bridge: bridge, filter: filter, isNXM: request.isNXM, version: version, xid: xid, clock: clock)
        else { return }
        DetachedReply.send(on: connection, executor) { listing.next() }
    }

    private func answerAggregate(_ request: FlowStatsRequest, xid: UInt32, on connection: OpenFlowConnection) throws(OpenFlowError) {
        let filter = try filter(request)
        guard let version = connection.version else { return }
        let (bridge, isNXM) = (bridge, request.isNXM)
        DetachedReply.send(on: connection, executor) {
            let sums = bridge.aggregate(matching: filter)
            let stats = AggregateStats(packetCount: sums.packets, byteCount: sums.bytes, flowCount: UInt32(clamping: sums.flows))
            let reply = Message.statsReply(.aggregate(stats, isNXM: isNXM), more: false).encode(version: version, xid: xid)
            return (reply.map { [$0] } ?? [], true)
        }
    }

    static func statistics(of rule: FlowRule, now: Instant) -> FlowStats {
        var stats = FlowStats(
            tableID: rule.table, compactMatch: rule.compactPattern, priority: UInt16(truncatingIfNeeded: rule.priority),
            cookie: rule.cookie,
            actions: rule.actions)
        (stats.durationSeconds, stats.durationNanoseconds) = duration(since: rule.created, now: now)
        stats.idleTimeout = rule.idleTimeoutSeconds
        stats.hardTimeout = rule.hardTimeoutSeconds
        stats.idleAge = UInt16(clamping: now.milliseconds(since: rule.lastUse) / 1000)
        stats.hardAge = UInt16(clamping: now.milliseconds(since: rule.lastChanged) / 1000)
        stats.importance = rule.importance
        stats.flags = FlowMod.Flags(rawValue: rule.flags.rawValue)
        stats.packetCount = rule.packetCount
        stats.byteCount = rule.byteCount
        return stats
    }

    static func duration(since start: Instant, now: Instant) -> (seconds: UInt32, nanoseconds: UInt32) {
        let nanoseconds = now.nanoseconds > start.nanoseconds ? now.nanoseconds - start.nanoseconds : 0
        return (UInt32(clamping: nanoseconds / 1_000_000_000), UInt32(nanoseconds % 1_000_000_000))
    }

    // MARK: Ports

    private func ports(_ number: OpenFlowPort) -> [BridgePort] {
        if number == .any { return bridge.ports }
        // Of a port that does not exist there is nothing to say, as the field's switches say it.
        return bridge.port(number).map { [$0] } ?? []
    }

    private func statistics(of port: BridgePort) -> PortStats {
        var stats = environment.portStatistics(port) ?? counted(port)
        stats.port = port.number
        let (seconds, nanoseconds) = OpenFlowService.duration(since: portsSince[port.number] ?? started, now: clock.now)
        stats.durationSeconds = seconds
        stats.durationNanoseconds = nanoseconds
        return stats
    }

    /// What the datapath counts; of a patch port, what the pipeline does.
    private func counted(_ port: BridgePort) -> PortStats {
        var stats = PortStats(port: port.number)
        var isPatch = false
        if case .patch = port.attachment { isPatch = true }
        if port.isDummy || isPatch {
            // What is not counted is shown as all ones.
            for path in [
                \PortStats.receivedDropped, \.sentDropped, \.receivedErrors, \.sentErrors, \.frameErrors, \.overrunErrors, \.crcErrors,
                \.collisions,
            ] {
                stats[keyPath: path] = .max
            }
        }
        if let crossed = bridge.patchStatistics(port.number) {
            stats.receivedPackets = crossed.receivedPackets
            stats.receivedBytes = crossed.receivedBytes
            stats.sentPackets = crossed.sentPackets
            stats.sentBytes = crossed.sentBytes
            return stats
        }
        guard case .datapath(let number) = port.attachment, let counters = datapath?.counters(of: number) else { return stats }
        stats.receivedPackets = counters.receivedPackets
        stats.receivedBytes = counters.receivedBytes
        stats.sentPackets = counters.sentPackets
        stats.sentBytes = counters.sentBytes
        if !port.isDummy { stats.receivedDropped = counters.drops.reduce(0, &+) }
        return stats
    }
}
