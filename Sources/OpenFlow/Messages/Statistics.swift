// Statistics (1.0) and multipart (1.1 and later) requests and replies, Nicira's forms of them included.

public import Flow

/// Which flows a flow or aggregate request is about.
public struct FlowStatsRequest: Equatable, Sendable {
    /// 0xff is all.
    public var tableID: UInt8
    public var outPort: OpenFlowPort
    public var outGroup: UInt32
    public var cookie: UInt64
    public var cookieMask: UInt64
    @KeptCompact public var match: Match
    /// NXST_FLOW or NXST_AGGREGATE; the reply has the same form.
    public var isNXM: Bool
    public init(
        tableID: UInt8 = 0xff, outPort: OpenFlowPort = .any, outGroup: UInt32 = FlowMod.anyGroup, cookie: UInt64 = 0,
        cookieMask: UInt64 = 0, match: Match = Match(), isNXM: Bool = false
    ) {
        self.tableID = tableID
        self.outPort = outPort
        self.outGroup = outGroup
        self.cookie = cookie
        self.cookieMask = cookieMask
        self.match = match
        self.isNXM = isNXM
    }
}

/// One flow of a flow reply.
public struct FlowStats: Equatable, Sendable {
    public var tableID: UInt8
    @KeptCompact public var match: Match
    public var priority: UInt16
    public var cookie: UInt64
    public var durationSeconds: UInt32 = 0
    public var durationNanoseconds: UInt32 = 0
    public var idleTimeout: UInt16 = 0
    public var hardTimeout: UInt16 = 0
    /// Seconds since the last packet; carried by NXST (and 1.5) only. Nil if unknown.
    public var idleAge: UInt16?
    /// Seconds since the flow was added or modified; NXST only.
    public var hardAge: UInt16?
    public var importance: UInt16 = 0
    public var flags: FlowMod.Flags = []
    public var packetCount: UInt64 = 0
    public var byteCount: UInt64 = 0
    public var actions: [Action]
    public init(tableID: UInt8, match: Match, priority: UInt16, cookie: UInt64, actions: [Action]) {
        self.init(tableID: tableID, compactMatch: CompactMatch(match), priority: priority, cookie: cookie, actions: actions)
    }

    /// The same for a match that is compact already.
    public init(tableID: UInt8, compactMatch: CompactMatch, priority: UInt16, cookie: UInt64, actions: [Action]) {
        self.tableID = tableID
        _match = KeptCompact(projectedValue: compactMatch)
        self.priority = priority
        self.cookie = cookie
        self.actions = actions
    }
}

public struct AggregateStats: Equatable, Sendable {
    public var packetCount: UInt64
    public var byteCount: UInt64
    public var flowCount: UInt32
    public init(packetCount: UInt64, byteCount: UInt64, flowCount: UInt32) {
        self.packetCount = packetCount
        self.byteCount = byteCount
        self.flowCount = flowCount
    }
}

/// `OFPST_DESC`.
public struct SwitchDescription: Equatable, Sendable {
    public var manufacturer: String
    public var hardware: String
    public var software: String
    public var serialNumber: String
    public var datapath: String
    public init(manufacturer: String, hardware: String, software: String, serialNumber: String, datapath: String) {
        self.manufacturer = manufacturer
        self.hardware = hardware
        self.software = software
        self.serialNumber = serialNumber
        self.datapath = datapath
    }
}

/// One table of a table-statistics reply. Names and limits are carried by 1.0 to 1.2 only.
public struct TableStats: Equatable, Sendable {
    public var tableID: UInt8
    public var name: String
    public var maximumEntries: UInt32
    public var activeCount: UInt32
    public var lookupCount: UInt64
    public var matchedCount: UInt64
    /// `OFPTC_TABLE_MISS_*`, carried by 1.1 and 1.2.
    public var missConfig: UInt32
    public init(
        tableID: UInt8, name: String = "", maximumEntries: UInt32 = 0, activeCount: UInt32, lookupCount: UInt64, matchedCount: UInt64,
        missConfig: UInt32 = 0
    ) {
        self.missConfig = missConfig
        self.tableID = tableID
        self.name = name
        self.maximumEntries = maximumEntries
        self.activeCount = activeCount
        self.lookupCount = lookupCount
        self.matchedCount = matchedCount
    }
}

/// A property of a table's features: `kind` is `OFPTFPT_*`, `content` what follows its four header bytes.
public struct TableFeatureProperty: Equatable, Sendable {
    public enum Kind: UInt16, Sendable {
        case instructions = 0
        case instructionsMiss = 1
        case nextTables = 2
        case nextTablesMiss = 3
        case writeActions = 4
        case writeActionsMiss = 5
        case applyActions = 6
        case applyActionsMiss = 7
        case match = 8
        case wildcards = 10
        case writeSetField = 12
        case writeSetFieldMiss = 13
        case applySetField = 14
        case applySetFieldMiss = 15
    }
    public var kind: UInt16
    public var content: [UInt8]
    public init(kind: UInt16, content: [UInt8]) {
        self.kind = kind
        self.content = content
    }
}

/// One table of `OFPMP_TABLE_FEATURES` (1.3 and later).
public struct TableFeatures: Equatable, Sendable {
    public var tableID: UInt8
    /// `OFPTFC_*` of 1.5's requests: 0 replaces, 1 modifies, 2 enables, 3 disables.
    public var command: UInt8 = 0
    public var name: String
    public var metadataMatch: UInt64
    public var metadataWrite: UInt64
    /// `config` in 1.3, `capabilities` in 1.4 and later.
    public var capabilities: UInt32
    public var maximumEntries: UInt32
    public var properties: [TableFeatureProperty]
    public init(
        tableID: UInt8, name: String, metadataMatch: UInt64, metadataWrite: UInt64, capabilities: UInt32, maximumEntries: UInt32,
        properties: [TableFeatureProperty]
    ) {
        self.tableID = tableID
        self.name = name
        self.metadataMatch = metadataMatch
        self.metadataWrite = metadataWrite
        self.capabilities = capabilities
        self.maximumEntries = maximumEntries
        self.properties = properties
    }
}

/// One table of `OFPMP_TABLE_DESC` (1.4 and later).
public struct TableDescription: Equatable, Sendable {
    /// `OFPTC_EVICTION` and `OFPTC_VACANCY_EVENTS` of `config`.
    public static let evictionBit: UInt32 = 1 << 2
    public static let vacancyBit: UInt32 = 1 << 3
    /// `OFPTMPEF_*`: other, importance, lifetime.
    public static let allEvictionFlags: UInt32 = 7

    /// `OFPTMPT_VACANCY`: percent.
    public struct Vacancy: Equatable, Sendable {
        public var down: UInt8
        public var up: UInt8
        /// As it is now; in a table-mod it means nothing.
        public var current: UInt8
        public init(down: UInt8, up: UInt8, current: UInt8 = 0) {
            self.down = down
            self.up = up
            self.current = current
        }
    }
    public var tableID: UInt8
    public var config: UInt32
    /// By what rules to evict are chosen; nil if it does not say.
    public var evictionFlags: UInt32?
    public var vacancy: Vacancy?
    public init(tableID: UInt8, config: UInt32) {
        self.tableID = tableID
        self.config = config
    }
}

public struct QueueStats: Equatable, Sendable {
    public var port: OpenFlowPort
    public var queueID: UInt32
    public var sentBytes: UInt64
    public var sentPackets: UInt64
    public var sentErrors: UInt64
    public var durationSeconds: UInt32
    public var durationNanoseconds: UInt32
    public init(
        port: OpenFlowPort, queueID: UInt32, sentBytes: UInt64, sentPackets: UInt64, sentErrors: UInt64, durationSeconds: UInt32 = 0,
        durationNanoseconds: UInt32 = 0
    ) {
        self.port = port
        self.queueID = queueID
        self.sentBytes = sentBytes
        self.sentPackets = sentPackets
        self.sentErrors = sentErrors
        self.durationSeconds = durationSeconds
        self.durationNanoseconds = durationNanoseconds
    }
}

/// A statistics or multipart request.
public indirect enum StatsRequest: Equatable, Sendable {
    case description
    /// In 1.5, descriptions of flows with their statistics.
    case flow(FlowStatsRequest)
    /// 1.5's statistics of flows alone.
    case flowCounters(FlowStatsRequest)
    case aggregate(FlowStatsRequest)
    case table
    /// `.any` is all ports.
    case port(OpenFlowPort)
    /// `.any` is all ports; 0xffffffff is all queues.
    case queue(port: OpenFlowPort, queueID: UInt32)
    case group(UInt32)
    case groupDescription(UInt32)
    case groupFeatures
    case meter(UInt32)
    case meterConfig(UInt32)
    case meterFeatures
    /// Empty asks, anything else changes.
    case tableFeatures([TableFeatures])
    /// `.any` is all ports; only 1.5 can ask for one.
    case portDescription(OpenFlowPort)
    case tableDescription
    case queueDescription(port: OpenFlowPort, queueID: UInt32)
    case flowMonitor([FlowMonitorRequest])
    /// 1.5.
    case controllerStatus
    case bundleFeatures
    /// NXST_IPFIX_BRIDGE or NXST_IPFIX_FLOW.
    case ipfix(isBridge: Bool)
    case experimenter(ExperimenterMessage)
}

/// A statistics or multipart reply, or one part of it.
public indirect enum StatsReply: Equatable, Sendable {
    case description(SwitchDescription)
    case flow([FlowStats], isNXM: Bool)
    case flowCounters([FlowStats])
    case aggregate(AggregateStats, isNXM: Bool)
    case table([TableStats])
    case port([PortStats])
    case queue([QueueStats])
    case group([GroupStats])
    case groupDescription([GroupDescription])
    case groupFeatures(GroupFeatures)
    case meter([MeterStats])
    case meterConfig([MeterConfig])
    case meterFeatures(MeterFeatures)
    case tableFeatures([TableFeatures])
    case portDescription([PortDescription])
    case tableDescription([TableDescription])
    /// Apus has no queues; replies of others are kept as bytes.
    case queueDescription([UInt8])
    case flowMonitor([FlowUpdate])
    case controllerStatus([ControllerStatusEntry])
    case bundleFeatures(BundleFeatures)
    case experimenter(ExperimenterMessage)
}
