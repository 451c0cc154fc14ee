// The switch: from the configuration that is wanted to the bridges, ports and threads that run.
//
// Level-triggered: whenever rows change, everything wanted is read, compared with everything that runs, and the
// difference is mended: first what must go (so that names, sockets and devices are free), then what must come. It never
// matters which change came first, or whether several came at once. What cannot be done leaves the rest alone and is said
// in the row's `error` column. When the round is over, `cur_cfg` takes the value of `next_cfg` that the round began
// with: whoever waits for it (`ovs-vsctl`) knows that the change is in force.
//
// ## Thread safety
// All of it belongs to the control loop: every call and every callback happens there.

public import Base
public import Datapath
internal import DatapathAPI
internal import Flow
internal import Logging
internal import Netdev
public import OVSDB
public import Pipeline

/// Is told of bridges that come and go, to open and close their OpenFlow sockets.
public protocol SwitchObserver: AnyObject {
    func bridgeAdded(_ bridge: Bridge)
    func bridgeRemoved(_ bridge: Bridge)
    /// What the bridge's connections are to be: after `bridgeAdded`, and whenever it has changed.
    func bridgeConfigured(_ bridge: Bridge, _ connections: BridgeConnections)
    /// The files for TLS: before the first bridge, and whenever they have changed.
    func tlsConfigured(_ files: TLSFiles)
}

extension SwitchObserver {
    public func bridgeConfigured(_ bridge: Bridge, _ connections: BridgeConnections) {}
    public func tlsConfigured(_ files: TLSFiles) {}
}

public final class Switch {
    /// How often link states are looked at.
    static let linkIntervalMilliseconds: UInt64 = 500
    /// How often ports that failed are tried again, when nothing in their configuration changed.
    static let retryIntervalMilliseconds: UInt64 = 5_000
    /// Removed rules of a table that are freed in one go, and the time between.
    static let settledAtOnce = 1_000
    static let settlingIntervalMilliseconds: UInt64 = 5

    let configuration: any ConfigurationSource
    let pipeline: SwitchPipeline
    let datapath: Datapath
    let clock: Clock
    let timers: TimerQueue
    let runDirectory: String
    weak var observer: (any SwitchObserver)?
    let log = Logger(label: "bridge")
    /// Which schedule of statistics counts: a changed interval begins a new one.
    private var statisticsSchedule = 0
    private let pollLog = Logger(label: "dpif_netdev")
    /// PMD threads by NUMA node, as they were last said.
    private var pollThreads: [Int: Int] = [:]

    var globals = WantedGlobals()
    var bridges: [String: RunningBridge] = [:]
    /// What will be written back at the end of the round.
    var status = StatusUpdate()
    /// Which interfaces are, or may be, dummies: for tests only.
    public let dummies: DummyMode

    /// Runs what may take long (DPDK's initialisation, devices that are opened and closed) and returns when it is done; may run it on
    /// another thread, and commands that only look meanwhile.
    public var elsewhere: (@escaping @Sendable () -> Void) -> Void = { $0() }

    /// What was said of mirrors already.
    var mirrorComplaints: Set<String> = []
    /// By interface name: why it could not be opened, as it was said last.
    var failuresSaid: [String: String] = [:]
    /// What the monitor has shown.
    let replica = ConfigurationReplica()
    private var monitor: (any ConfigurationMonitor)?
    private var wantedBefore: [WantedBridge] = []
    private var isFirstRound = true
    /// What is found meanwhile is written at the round's end.
    private(set) var isInRound = false
    private var isFirstApplication = true
    private var knownComplaints: Set<String> = []
    /// By row: what it asks for and does not get.
    var unsupported: [UUID: [String]] = [:]
    /// Open ports between two bridges, within a round.
    var moving: [String: RunningInterface] = [:]
    /// By interface name: where the round wants it.
    var places: [String: (bridge: WantedBridge, interface: WantedInterface)] = [:]
    private var isStarted = false
    private var trimmer = HeapTrimmer()

    /// - Parameters:
    ///   - configuration: where rows are read and status is written.
    ///   - runDirectory: where `dpdkvhostuser` sockets are made.
    public init(
        configuration: any ConfigurationSource, pipeline: SwitchPipeline, datapath: Datapath, clock: Clock, timers: TimerQueue,
        runDirectory: String, dummies: DummyMode = .none, observer: (any SwitchObserver)?
    ) {
        self.dummies = dummies
        self.configuration = configuration
        self.pipeline = pipeline
        self.datapath = datapath
        self.clock = clock
        self.timers = timers
        self.runDirectory = runDirectory
        self.observer = observer
    }

    /// Begins to follow the configuration: the first round happens before it returns.
    public func start() {
        isStarted = true
        writeOnce()
        let tables = [
            "Open_vSwitch", "Bridge", "Port", "Interface", "Controller", "Manager", "SSL", "Flow_Table", "Mirror", "QoS", "Queue",
            "Flow_Sample_Collector_Set",
        ]
        monitor = configuration.monitor(Dictionary(uniqueKeysWithValues: tables.map { ($0, nil) })) { [weak self] update in
            self?.replica.apply(update)
            self?.reconcile()
        }
        scheduleLinks()
        scheduleStatistics()
        scheduleRetries()
        scheduleAgeing()
    }

    /// Takes everything down, ports before bridges. The rows keep what is wanted.
    public func stop() {
        isStarted = false
        monitor?.cancel()
        monitor = nil
        for name in bridges.keys.sorted() { removeBridge(name) }
    }

    /// Brings what runs in line with what is wanted, if that is not what the last round wanted (as after the switch's own
    /// writes of status columns).
    func reconcile() {
        guard isStarted else { return }
        var reader = ConfigurationReader { [replica] table in
            replica.rows(table).reduce(into: [:]) { rows, row in
                rows[row.uuid] = ConfigurationRow(uuid: row.uuid) { row[$0] }
            }
        }
        let (wantedGlobals, wantedBridges) = reader.read()
        guard
            isFirstRound || wantedGlobals != globals || wantedBridges != wantedBefore || reader.unsupported != unsupported
                || Set(reader.complaints) != knownComplaints
        else { return }
        isFirstRound = false
        isInRound = true
        defer { isInRound = false }
        wantedBefore = wantedBridges
        logComplaints(reader.complaints)
        unsupported = reader.unsupported

        applyGlobals(wantedGlobals)
        places = [:]
        for bridge in wantedBridges {
            for port in bridge.ports where port.refusal == nil {
                for interface in port.interfaces where places[interface.name] == nil { places[interface.name] = (bridge, interface) }
            }
        }
        let wantedNames = Set(wantedBridges.map(\.name))
        for name in bridges.keys.sorted() where !wantedNames.contains(name) { removeBridge(name) }
        for wanted in wantedBridges { removeUnwantedInterfaces(wanted) }
        for wanted in wantedBridges { bringUp(wanted) }
        failuresSaid = failuresSaid.filter { places[$0.key] != nil }
        closeLeftOver()
        for name in bridges.keys.sorted() { publishBridge(name) }
        logPollThreads()
        datapath.withdrawStale()
        status.set("Open_vSwitch", nil, "cur_cfg", Datum(wantedGlobals.nextCfg))
        publishGlobals()
        flushStatus()
    }

    /// Logs sentences that were not there in the last round.
    private func logComplaints(_ complaints: [String]) {
        for complaint in complaints where !knownComplaints.contains(complaint) { log.warning("\(complaint)") }
        knownComplaints = Set(complaints)
    }

    /// Says how many PMD threads there are, where that has changed.
    private func logPollThreads() {
        var counts: [Int: Int] = [:]
        for thread in datapath.pmdStatistics() { counts[thread.numaNode, default: 0] += 1 }
        for (node, count) in counts.sorted(by: { $0.key < $1.key }) where pollThreads[node] != count {
            pollLog.info("There are \(count) pmd threads on numa node \(node)")
        }
        pollThreads = counts
    }

    // MARK: The whole switch

    private func applyGlobals(_ wanted: WantedGlobals) {
        DPDKRuntime.configure(wanted.otherConfig)
        if wanted.dpdkInit != .off && DPDKRuntime.status == nil {
            do throws(PortError) {
                let started = try waitingElsewhere { () throws(PortError) in try DPDKRuntime.initialize() }
                for note in started.notes { log.notice("\(note)") }
            } catch {
                log.error("\(error)")
            }
        }
        var settings = DatapathSettings()
        settings.pmdCPUs = Set(wanted.pmdCores ?? [])
        let unusable = settings.pmdCPUs.subtracting(datapath.usableCPUs).sorted()
        if !unusable.isEmpty, wanted.pmdCores != globals.pmdCores {
            let names = unusable.map(String.init).joined(separator: ",")
            log.warning("pmd-cpu-mask names CPUs \(names), which this process may not use: they get no thread")
        }
        settings.pmdCPUs.subtract(unusable)
        if isFirstApplication || wanted.rxqAssign != globals.rxqAssign || wanted.pmdCores != globals.pmdCores {
            let name = ReceiveQueueAssignment(rawValue: wanted.rxqAssign) == nil ? "cycles" : wanted.rxqAssign
            pollLog.info("Performing pmd to rx queue assignment using \(name) algorithm.")
        }
        settings.assignment = ReceiveQueueAssignment(rawValue: wanted.rxqAssign) ?? .cycles
        settings.isolatesPinnedQueues = wanted.isolatesPinnedQueues
        if let sleep = wanted.pmdSleepMaxMicroseconds { settings.maximumSleepMicroseconds = UInt32(sleep) }
        settings.handlerThreads = Int(wanted.handlerThreads)
        settings.cacheInsertionInverse = wanted.cacheInsertionInverse.map { UInt32($0) }
        settings.transmitFlushMicroseconds = UInt32(wanted.txFlushMicroseconds)
        settings.balancesAutomatically = wanted.autoBalance
        settings.balanceIntervalMinutes = wanted.balanceIntervalMinutes
        settings.balanceLoadThreshold = wanted.balanceLoadThreshold
        settings.balanceImprovementThreshold = wanted.balanceImprovementThreshold
        settings.maximumIdleMilliseconds = wanted.maxIdleMilliseconds
        settings.flowLimit = Int(wanted.flowLimit)
        settings.tagLimit = wanted.vlanLimit == 1 ? 1 : 2
        pipeline.tagLimit = settings.tagLimit
        settings.offloadsFlows = wanted.offloadsFlows
        do {
            try datapath.apply(settings)
        } catch {
            log.error("\(error); the settings before stay in force")
        }
        if isFirstApplication || wanted.tls != globals.tls { observer?.tlsConfigured(wanted.tls) }
        isFirstApplication = false
        let hasNewInterval = wanted.statsUpdateIntervalMilliseconds != globals.statsUpdateIntervalMilliseconds
        globals = wanted
        // A shorter interval does not wait for the end of a longer one.
        if hasNewInterval { scheduleStatistics() }
    }

    /// Runs `work` where it does not keep others waiting, and returns what it returned.
    func waitingElsewhere<T: Sendable>(_ work: @escaping @Sendable () throws(PortError) -> T) throws(PortError) -> T {
        // One writer, before `elsewhere` returns.
        nonisolated(unsafe) var outcome: Result<T, PortError>?
        elsewhere {
            do throws(PortError) { outcome = .success(try work()) } catch { outcome = .failure(error) }
        }
        guard let outcome else { preconditionFailure("what ran elsewhere has not ended") }
        return try outcome.get()
    }

    // MARK: Bridges

    private func bringUp(_ wanted: WantedBridge) {
        if bridges[wanted.name] == nil {
            let address = wanted.hardwareAddress ?? stableAddress(of: wanted)
            let bridge: Bridge
            do {
                bridge = try pipeline.addBridge(
                    named: wanted.name, datapathID: wanted.datapathID ?? address.bits, failMode: wanted.isSecure ? .secure : .standalone)
            } catch {
                log.error("bridge \(wanted.name) could not be created: \(error)")
                return
            }
            bridges[wanted.name] = RunningBridge(wanted: wanted, bridge: bridge)
            log.info("bridge \(wanted.name): created")
            observer?.bridgeAdded(bridge)
        }
        guard let running = bridges[wanted.name] else { return }
        running.bridge.datapathID = wanted.datapathID ?? (wanted.hardwareAddress ?? stableAddress(of: wanted)).bits
        running.bridge.setFailMode(wanted.isSecure ? .secure : .standalone)
        running.bridge.setMACLearning(capacity: wanted.macTableSize, ageingSeconds: Int(wanted.macAgingSeconds))
        running.bridge.updateSettings {
            $0.forwardsReservedMulticast = wanted.forwardBPDU
            $0.floodVLANs = wanted.floodVLANs.isEmpty ? nil : VLANSet(wanted.floodVLANs)
        }
        running.bridge.configureTables(wanted.flowTables)
        bridges[wanted.name]?.wanted = wanted
        bringUpInterfaces(wanted)
        applyMirrors(wanted)
        // Last: who connects finds the ports there.
        if running.connections != wanted.connections {
            bridges[wanted.name]?.connections = wanted.connections
            observer?.bridgeConfigured(running.bridge, wanted.connections)
        }
    }

    func removeBridge(_ name: String) {
        guard let running = bridges[name] else { return }
        for interface in running.interfaces.keys.sorted() where !setAside(interface, of: name) { takeDown(interface, of: name) }
        bridges[name] = nil
        observer?.bridgeRemoved(running.bridge)
        pipeline.removeBridge(named: name)
        log.info("bridge \(name): deleted")
    }

    /// The local port's address: made from the row's identifier, so that it, and the datapath id that follows from it, stay the
    /// same over restarts. Locally administered, unicast.
    func stableAddress(of wanted: WantedBridge) -> HardwareAddress {
        let bits = wanted.uuid.high ^ wanted.uuid.low
        return HardwareAddress(bits: bits & 0xfcff_ffff_ffff | 0x0200_0000_0000)
    }

    // MARK: Timers

    private func scheduleLinks() {
        guard isStarted else { return }
        timers.schedule(afterMilliseconds: Switch.linkIntervalMilliseconds) { [weak self] in
            guard let self, self.isStarted else { return }
            self.refreshLinks()
            self.scheduleLinks()
        }
    }

    private func scheduleStatistics() {
        guard isStarted else { return }
        statisticsSchedule += 1
        let schedule = statisticsSchedule
        timers.schedule(afterMilliseconds: globals.statsUpdateIntervalMilliseconds) { [weak self] in
            guard let self, self.isStarted, self.statisticsSchedule == schedule else { return }
            self.refreshStatistics()
            self.scheduleStatistics()
        }
    }

    /// Flow timeouts, MAC ageing.
    private func scheduleAgeing() {
        guard isStarted else { return }
        timers.schedule(afterMilliseconds: 1000) { [weak self] in
            guard let self, self.isStarted else { return }
            let isLeft = self.pipeline.run(settling: Switch.settledAtOnce)
            if isLeft { self.scheduleSettling() }
            if !isLeft, self.trimmer.shouldTrim(self.pipeline.changedRules) { HeapTrimmer.trim() }
            self.scheduleAgeing()
        }
    }

    /// Many rules that went are freed a few at a time: whoever waits for an answer waits for one slice at most.
    private func scheduleSettling() {
        timers.schedule(afterMilliseconds: Switch.settlingIntervalMilliseconds) { [weak self] in
            guard let self, self.isStarted, self.pipeline.settle(atMost: Switch.settledAtOnce) else { return }
            self.scheduleSettling()
        }
    }

    private func scheduleRetries() {
        guard isStarted else { return }
        timers.schedule(afterMilliseconds: Switch.retryIntervalMilliseconds) { [weak self] in
            guard let self, self.isStarted else { return }
            self.retryFailures()
            self.scheduleRetries()
        }
    }
}
