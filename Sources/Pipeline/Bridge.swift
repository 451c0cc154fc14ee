// A bridge: OpenFlow ports, 254 flow tables, a MAC-learning table.
//
// Flow tables are classifiers over raw memory that translations read without a lock. All changes of a bridge's tables go
// through one writer lock: they are made at the version after the published one and become visible together by one store.

internal import Base
internal import Classifier
internal import DatapathAPI
public import Flow
internal import OpenFlow
internal import Synchronization

/// What happens without a controller (`Bridge.fail_mode`).
public enum FailMode: String, Sendable {
    /// Nothing: only the rules there are.
    case secure
    /// A rule of priority 0 treats everything as NORMAL.
    case standalone
}

/// What is done with fragments of IP packets (`OFPC_FRAG_*`).
public enum FragmentHandling: Sendable {
    /// Their transport ports read as zero.
    case normal
    case drop
    /// The first fragment's ports are what they are, later ones' zero; rules tell fragments apart by `ip_frag`.
    case match
}

/// What can be set on a bridge and what translations read.
public struct BridgeSettings: Equatable, Sendable {
    /// Whether NORMAL forwards 01:80:c2:00:00:0x (`other_config:forward-bpdu`).
    public var forwardsReservedMulticast = false
    /// Whether a packet that no rule of its table matches goes to controllers: true while one speaks OpenFlow 1.0 to 1.2
    /// and wants packet-ins. With 1.3 and later a miss is dropped.
    public var sendsTableMissToController = false
    /// Tables whose misses controllers have said something about.
    public var tableMisses: [UInt8: TableMiss] = [:]
    /// `OFPC_INVALID_TTL_TO_CONTROLLER`: whether `dec_ttl` without controller ids tells controllers of expired packets.
    public var sendsInvalidTTLToController = false
    /// Whether every packet is handled as NORMAL says, whatever the tables: the controllers are gone.
    public var hasFailedOpen = false
    /// What is done with fragments of IP packets.
    public var fragments = FragmentHandling.normal
    /// Whether a controller is connected; buckets may watch that.
    public var hasControllerConnection = false
    /// VLANs without MAC learning, whose packets are flooded (`flood_vlans`).
    public var floodVLANs: VLANSet?
    public init() {}
}

/// One table's counts.
public struct TableStatistics: Sendable, Equatable {
    public var table: UInt8
    public var activeCount: Int
    /// Packets that were looked up, and those that matched a rule.
    public var lookupCount: UInt64
    public var matchedCount: UInt64
}

/// A bridge.
///
/// ## Thread safety
/// All members may be called from any thread but PMD threads. Changes of the flow tables wait for each other; nothing that
/// reads them waits.
public final class Bridge: @unchecked Sendable {
    public let name: String
    /// Unique in the pipeline and never used again.
    public let identifier: UInt32
    unowned let pipeline: SwitchPipeline

    /// The version that translations use. Sound: atomic.
    let publishedVersion = Atomic<UInt64>(1)
    /// Rules in all tables at that version. Sound: atomic.
    let publishedRuleCount = Atomic<Int>(0)
    /// Classifiers by table, 0 until a table has its first rule. Sound: atomic words; a classifier lives as long as the bridge.
    private let tables: UnsafeMutablePointer<Atomic<UInt>>
    /// Lookups and matches by table. Sound: atomic words.
    /// Which prefixes staged lookups consider, where tables were told.
    private let prefixOrders = Mutex<[UInt8: PrefixOrder]>([:])
    private let tableCounts: UnsafeMutablePointer<Atomic<UInt64>>
    /// The published `GroupTable`, retained. Sound: replaced by one store under `writer`; an old one is released when no reader is
    /// left.
    let groupTableWord: Atomic<UInt>
    let writer: Mutex<Writer>
    private let events = Mutex<(any BridgeEvents)?>(nil)

    /// What the writer lock guards beside the classifiers.
    struct Writer {
        var datapathID: UInt64
        var failMode: FailMode
        var hasControllers = false
        var ruleCount = 0
        var activeCounts = [Int](repeating: 0, count: PipelineLimits.tableCount)
        var lists = ActionLists()
        /// Tables that something was set on.
        var tables: [UInt8: TableSettings] = [:]
        /// How many rules learn flows of a table and cookie that are to go with the last of them.
        var learners: [LearnedCookie: Int] = [:]
        /// Rules with a timeout.
        var expiring: [ObjectIdentifier: FlowRule] = [:]
        /// Rules by what they name.
        var referrers: [ActionReferences.Reference: [ObjectIdentifier: FlowRule]] = [:]
        var meters: [UInt32: Meter] = [:]
        /// Group tables that were replaced, until no reader is left.
        var retiredGroupTables: [(tag: UInt64, table: Unmanaged<GroupTable>)] = []
    }

    init(name: String, identifier: UInt32, datapathID: UInt64, failMode: FailMode, pipeline: SwitchPipeline) {
        self.name = name
        self.identifier = identifier
        self.pipeline = pipeline
        writer = Mutex(Writer(datapathID: datapathID, failMode: failMode))
        groupTableWord = Atomic(UInt(bitPattern: Unmanaged.passRetained(GroupTable()).toOpaque()))
        let tableWords = UnsafeMutableRawPointer.allocate(byteCount: PipelineLimits.tableCount * 8, alignment: 8)
        tableWords.initializeMemory(as: UInt.self, repeating: 0, count: PipelineLimits.tableCount)
        tables = tableWords.assumingMemoryBound(to: Atomic<UInt>.self)
        let countWords = UnsafeMutableRawPointer.allocate(byteCount: PipelineLimits.tableCount * 16, alignment: 8)
        countWords.initializeMemory(as: UInt64.self, repeating: 0, count: 2 * PipelineLimits.tableCount)
        tableCounts = countWords.assumingMemoryBound(to: Atomic<UInt64>.self)
    }

    deinit {
        for table in 0..<PipelineLimits.tableCount {
            let bits = tables[table].load(ordering: .relaxed)
            if let opaque = UnsafeRawPointer(bitPattern: bits) { Unmanaged<Classifier>.fromOpaque(opaque).release() }
        }
        currentGroupTable.release()
        writer.withLock { $0.retiredGroupTables.forEach { $0.table.release() } }
        UnsafeMutableRawPointer(tables).deallocate()
        UnsafeMutableRawPointer(tableCounts).deallocate()
    }

    // MARK: Identity

    public var datapathID: UInt64 {
        get { writer.withLock { $0.datapathID } }
        set { writer.withLock { $0.datapathID = newValue } }
    }

    public var failMode: FailMode { writer.withLock { $0.failMode } }

    /// Changes the fail mode; without controllers the flow tables are emptied and set up for it.
    public func setFailMode(_ mode: FailMode) {
        let flushes = writer.withLock { state in
            let changes = state.failMode != mode && !state.hasControllers
            state.failMode = mode
            return changes
        }
        if flushes { flushFlows() }
    }

    /// Says whether controllers are configured; the flow tables are emptied when that changes.
    public func setHasControllers(_ hasControllers: Bool) {
        let flushes = writer.withLock { state in
            let changes = state.hasControllers != hasControllers
            state.hasControllers = hasControllers
            return changes
        }
        guard flushes else { return }
        flushFlows()
        // What is not there need not be deleted: neither can fail.
        try? apply(GroupMod(command: .delete, kind: .all, groupID: GroupMod.allGroups))
        try? apply(MeterMod(command: .delete, meter: MeterConfig(meterID: MeterMod.allMeters, flags: [], bands: [])))
    }

    /// Says whether the bridge forwards by itself because its controllers are gone; its flow tables are emptied when it begins to.
    public func setFailedOpen(_ hasFailed: Bool) {
        guard settings.hasFailedOpen != hasFailed else { return }
        if hasFailed { flushFlows() }
        updateSettings { $0.hasFailedOpen = hasFailed }
    }

    /// Where events go; held weakly by nobody: pass nil to end.
    public func setEvents(_ receiver: (any BridgeEvents)?) { events.withLock { $0 = receiver } }

    var eventReceiver: (any BridgeEvents)? { events.withLock { $0 } }

    /// Packet-ins that were given up because too many waited for the control loop.
    public var lostPacketIns: UInt64 { eventReceiver?.lostPacketIns ?? 0 }

    // MARK: Settings and ports

    public var settings: BridgeSettings { pipeline.bridgeState(of: self)?.settings ?? BridgeSettings() }

    public func updateSettings(_ change: (inout BridgeSettings) -> Void) { pipeline.updateSettings(of: self, change) }

    /// The ports, by number.
    public var ports: [BridgePort] { (pipeline.bridgeState(of: self)?.ports.values).map { $0.sorted { $0.number < $1.number } } ?? [] }

    public func port(_ number: OpenFlowPort) -> BridgePort? { pipeline.bridgeState(of: self)?.ports[number.rawValue] }

    public func port(named name: String) -> BridgePort? { ports.first { $0.name == name } }

    /// Adds a port.
    ///
    /// `port.number` is what it gets if it is free; `.any` (or a number that is taken) means the lowest free one from 1 on.
    /// - Returns: the number it got.
    @discardableResult
    public func addPort(_ port: BridgePort) throws(PipelineError) -> OpenFlowPort { try pipeline.addPort(port, to: self) }

    /// Removes a port; what was learned behind it is forgotten. False if there is none.
    @discardableResult
    public func removePort(_ number: OpenFlowPort) -> Bool { pipeline.removePort(number, of: self) }

    /// Changes a port (not its number). False if there is none.
    @discardableResult
    public func updatePort(_ number: OpenFlowPort, _ change: (inout BridgePort) -> Void) -> Bool {
        pipeline.updatePort(number, of: self, change)
    }

    // MARK: MAC learning

    /// The learned stations, by port, VLAN and address.
    public func learnedAddresses() -> [LearnedAddress] {
        pipeline.bridgeState(of: self)?.macTable.entries(now: pipeline.clock.now) ?? []
    }

    /// Puts a station behind a port by hand: it neither ages nor moves.
    public func addStaticAddress(_ address: UInt64, vlan: UInt16, port: OpenFlowPort) {
        guard let table = pipeline.bridgeState(of: self)?.macTable else { return }
        pipeline.stamp(table.learn(address, vlan: vlan, port: port, now: pipeline.clock.now, isStatic: true))
    }

    /// Removes a station that was put there by hand. False if there is none.
    public func removeStaticAddress(_ address: UInt64, vlan: UInt16) -> Bool {
        guard let changed = pipeline.bridgeState(of: self)?.macTable.removeStatic(address, vlan: vlan) else { return false }
        pipeline.stamp(changed)
        return true
    }

    /// What MAC learning did so far.
    public func learningStatistics() -> MACTableStatistics { pipeline.bridgeState(of: self)?.macTable.statistics() ?? MACTableStatistics() }

    /// Forgets stations that were not heard of for the ageing time, as happens about once a second.
    public func expireLearnedAddresses() {
        guard let table = pipeline.bridgeState(of: self)?.macTable else { return }
        pipeline.stamp(table.expire(now: pipeline.clock.now))
    }

    /// Lets the counts of events begin at zero.
    public func clearLearningStatistics() { pipeline.bridgeState(of: self)?.macTable.clearStatistics() }

    /// Forgets all learned stations.
    public func flushLearnedAddresses() {
        guard let table = pipeline.bridgeState(of: self)?.macTable else { return }
        pipeline.stamp(table.removeLearned())
    }

    /// Sets how many stations are kept and for how long (`mac-table-size`, `mac-aging-time`); values out of range are moved
    /// to its end.
    public func setMACLearning(capacity: Int, ageingSeconds: Int) {
        pipeline.setMACLearning(
            of: self, capacity: min(max(capacity, PipelineLimits.macTableMinimum), PipelineLimits.macTableMaximum),
            ageingSeconds: min(max(ageingSeconds, PipelineLimits.macAgeingMinimumSeconds), PipelineLimits.macAgeingMaximumSeconds))
    }

    // MARK: Tables

    /// A table's classifier, if it ever had a rule.
    @inline(__always) func classifier(_ table: UInt8) -> Unmanaged<Classifier>? {
        guard Int(table) < PipelineLimits.tableCount,
            let opaque = UnsafeRawPointer(bitPattern: tables[Int(table)].load(ordering: .acquiring))
        else { return nil }
        return Unmanaged<Classifier>.fromOpaque(opaque)
    }

    /// The same, made if missing; for the writer.
    func makeClassifier(_ table: UInt8) -> Classifier {
        if let found = classifier(table) { return found.takeUnretainedValue() }
        let made = Classifier(epochs: pipeline.epochs, seed: pipeline.seed &+ UInt64(identifier) << 8 &+ UInt64(table))
        if let order = prefixOrders.withLock({ $0[table] }) { made.prefixOrder = order }
        tables[Int(table)].store(UInt(bitPattern: Unmanaged.passRetained(made).toOpaque()), ordering: .releasing)
        return made
    }

    /// Says which prefixes a table's staged lookups consider.
    func setPrefixes(_ fields: [Field]?, of table: UInt8) {
        let order = fields.flatMap { PrefixOrder($0) } ?? .standard
        prefixOrders.withLock { $0[table] = order }
        classifier(table)?.takeUnretainedValue().prefixOrder = order
    }

    func countLookup(_ table: UInt8, packets: UInt64, matched: Bool) {
        guard Int(table) < PipelineLimits.tableCount else { return }
        tableCounts[2 * Int(table)].wrappingAdd(packets, ordering: .relaxed)
        if matched { tableCounts[2 * Int(table) + 1].wrappingAdd(packets, ordering: .relaxed) }
    }

    /// Counts of all tables, 0 to 253.
    public func tableStatistics() -> [TableStatistics] {
        pipeline.refreshStatistics()
        let active = writer.withLock { $0.activeCounts }
        return active.indices.map { table in
            TableStatistics(
                table: UInt8(table), activeCount: active[table], lookupCount: tableCounts[2 * table].load(ordering: .relaxed),
                matchedCount: tableCounts[2 * table + 1].load(ordering: .relaxed))
        }
    }
}
