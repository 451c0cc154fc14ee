// The fast path: flow caches, the megaflow table, PMD threads, queue placement and the execution of actions.
//
// A newcomer reads in this order. `Flows/FlowMemory` says how megaflows lie in memory and who may touch what.
// `Threads/Pipeline` takes a burst through the stages of `Hot/`: extract, lookup, group, act, transmit; `Threads/MissHandler`
// is the door to the translator for what no megaflow covers. `Flows/FlowTable` installs and removes. `Control/` is this class:
// ports and threads come and go under traffic, statistics are read, and `Maintenance` credits, expires, re-translates and frees.
// Nothing here knows OpenFlow tables or OVSDB.
//
// ## Accounting
//
// Every packet received ends in exactly one bin of its input port: *forwarded* (sent at least once), *punted* (taken by the
// control plane and sent nowhere) or *dropped* under one `DropReason`. A packet on its way (in a batch, in the ring to the
// handler thread) is in none yet. Copies that fail while another one is sent count only at the port they were meant for,
// as `sendFailures`. Packets of the control plane's own (`execute`) are not received; they are counted under port 0.
//
// ## Thread safety
//
// All public members may be called from any thread but the datapath's own; they must not be called while holding a
// lock that the translator's `credit` or `receive` takes. Locks, outermost first: control, maintenance, execute, flow table.
// PMD threads take none of them but try the flow table's.

public import Base
internal import CDPDK
internal import CLinux
public import DatapathAPI
internal import Flow
internal import Glibc
internal import Netdev
internal import Synchronization

public final class Datapath: DatapathControl, @unchecked Sendable {
    let translator: any PacketTranslator
    let clock: Clock
    let versions: DependencyVersions
    let invalidationBudget = Mutex(InvalidationBudget())
    let sharedMemory: UnsafeMutablePointer<SharedState>
    let quiescent: QuiescentState
    let table: FlowTable
    let offload: FlowOffload
    let credits = CreditQueue()
    /// CPUs that this process may use, in order.
    public let usableCPUs: [Int]
    private let dummyNodes: [Int]?
    /// Threads that send packets, started or not: a port should have as many transmit queues, or its threads share them.
    public let transmitThreads: Int
    /// Becomes readable when maintenance has something to do at once.
    let maintenanceDescriptor: Int32

    let control: Mutex<Control>
    /// All workers there ever were; they stay until the end, as do their counters.
    let workers = Mutex<[WorkerThread]>([])
    let maintenance: Mutex<MaintenanceState>
    let puntLock = Mutex<Bool>(true)
    let executeLock = Mutex<Bool>(true)
    let meterLock = Mutex<Bool>(true)
    let kernelIO: WorkerThread
    /// The first `settings.handlerThreads` are in use; one that was once started waits until the end.
    let handlers = Mutex<[WorkerThread]>([])
    let handlerSet = HandlerSet()
    let controlWorker: WorkerThread
    let maintenanceThread: MaintenanceThread

    /// A datapath without ports. Its threads run from here on, if the settings say so, until `shutdown`.
    ///
    /// - Parameters:
    ///   - translator: decides what no megaflow covers.
    ///   - clock: for all ages; may be stopped.
    ///   - versions: what translations depend on, stamped by whoever changes it.
    ///   - seed: of the hash secrets; nil: random.
    ///   - dummyNodes: the NUMA nodes of made-up CPUs: threads that are said to run on them run anywhere.
    public init(
        translator: any PacketTranslator, clock: Clock, versions: DependencyVersions, settings: DatapathSettings = DatapathSettings(),
        seed: UInt64? = nil, dummyNodes: [Int]? = nil
    ) {
        self.dummyNodes = dummyNodes.map { Array($0.prefix(DatapathLimits.pmdThreads)) }
        self.translator = translator
        self.clock = clock
        self.versions = versions
        usableCPUs = self.dummyNodes.map { Array($0.indices) } ?? Array(ServiceCPUs.process.prefix(DatapathLimits.pmdThreads))
        transmitThreads = DatapathLimits.auxiliaryThreads + usableCPUs.count + DatapathLimits.handlerThreads - 1
        quiescent = QuiescentState(slotCount: transmitThreads)

        let entries = RawRegion(byteCount: DatapathLimits.megaflows * FlowLayout.entryBytes)
        entries.preferHugePages()
        let subtables = RawRegion(byteCount: DatapathLimits.masks * FlowLayout.subtableBytes)
        let ports = RawRegion(byteCount: DatapathLimits.ports * 8)
        let portFlows = RawRegion(byteCount: DatapathLimits.ports * 8)
        let meters = RawRegion(byteCount: DatapathLimits.meters * 8)
        // How many need the time, and a line on, the limit of tags.
        let timeUsers = RawRegion(byteCount: 128)
        let tagLimit = (timeUsers.base + 64).assumingMemoryBound(to: Atomic<UInt64>.self)
        tagLimit.pointee.store(UInt64(FlowExtractor.mostTags), ordering: .relaxed)
        // A line of zeros, then the secrets.
        let lines = UnsafeMutableRawPointer.allocate(byteCount: 64 + 128, alignment: 64)
        lines.initializeMemory(as: UInt8.self, repeating: 0, count: 64 + 128)
        var generator = SystemRandomNumberGenerator()
        let secrets = HashSecrets(seed: seed ?? generator.next())
        let secretWords = (lines + 64).assumingMemoryBound(to: UInt64.self)
        for index in 0..<16 { secretWords[index] = secrets.words[index] }
        let shared = UnsafeMutablePointer<SharedState>.allocate(capacity: 1)
        shared.initialize(
            to: SharedState(
                versions: versions.words, entries: entries.base, subtables: subtables.base,
                ports: ports.base.assumingMemoryBound(to: Atomic<UnsafeMutableRawPointer?>.self),
                portFlows: portFlows.base.assumingMemoryBound(to: Atomic<UnsafeMutableRawPointer?>.self),
                secrets: UnsafePointer(secretWords), zeroLine: UnsafeRawPointer(lines),
                meters: meters.base.assumingMemoryBound(to: Atomic<UnsafeMutableRawPointer?>.self),
                timeUsers: timeUsers.base.assumingMemoryBound(to: Atomic<UInt64>.self), tagLimit: tagLimit,
                timeOrigin: clock.now.nanoseconds))
        sharedMemory = shared
        let quiescent = quiescent
        // The table and the workers, which use this memory, all hold the table; so it goes when the table goes.
        table = FlowTable(shared: shared) {
            for region in [entries, subtables, ports, portFlows, meters, timeUsers] { region.unmap() }
            lines.deallocate()
            shared.deallocate()
            quiescent.deallocate()
        }
        offload = FlowOffload(table: table)
        maintenanceDescriptor = clinux_eventfd()

        let handler = Datapath.makeWorker(
            .handler, cpu: -1, slot: 0, quiescent: quiescent, translator: translator, table: table, credits: credits, clock: clock,
            settings: settings, maintenanceDescriptor: maintenanceDescriptor, handlers: nil)
        controlWorker = Datapath.makeWorker(
            .control, cpu: -1, slot: 1, quiescent: quiescent, translator: translator, table: table, credits: credits, clock: clock,
            settings: settings, maintenanceDescriptor: maintenanceDescriptor, handlers: nil)
        kernelIO = Datapath.makeWorker(
            .kernelIO, cpu: -1, slot: 2, quiescent: quiescent, translator: translator, table: table, credits: credits, clock: clock,
            settings: settings, maintenanceDescriptor: maintenanceDescriptor, handlers: handlerSet)
        control = Mutex(Control(settings: settings))
        maintenance = Mutex(MaintenanceState())
        maintenanceThread = MaintenanceThread()
        let auxiliary = [handler, controlWorker, kernelIO]
        workers.withLock { $0 = auxiliary }
        let sources = [kernelIO]
        handler.sources.withLock { $0 = sources }
        handlers.withLock { $0 = [handler] }
        handlerSet.set(0, handler)
        applyTableSettings(settings)
        addHandlers(settings)
        for worker in workers.withLock({ $0 }) { Datapath.apply(settings, to: worker) }
        if settings.runsThreads {
            handler.start()
            kernelIO.start()
            maintenanceThread.start(self)
        }
    }

    /// Stops all threads and takes all ports away. The ports themselves are the caller's to close, after this. Idempotent;
    /// must be called before the datapath is let go if its threads run.
    public func shutdown() {
        let numbers = control.withLock { control in
            control.isShutDown = true
            return Array(control.ports.keys)
        }
        maintenanceThread.stop()
        for number in numbers { removePort(DatapathPort(number)) }
        for worker in workers.withLock({ $0 }) { worker.stop() }
        freeMeters()
        runMaintenance()
        for worker in workers.withLock({ $0 }) { worker.memory.drain() }
    }

    deinit {
        if maintenanceDescriptor >= 0 { close(maintenanceDescriptor) }
        maintenance.withLock { $0.deallocate() }
    }

    static func makeWorker(
        _ role: ThreadStatistics.Role, cpu: Int, slot: Int, quiescent: QuiescentState, translator: any PacketTranslator, table: FlowTable,
        credits: CreditQueue, clock: Clock, settings: DatapathSettings, maintenanceDescriptor: Int32, handlers: HandlerSet?,
        handlerIndex: Int = 0, dummyNode: Int? = nil
    ) -> WorkerThread {
        let miss = MissHandler(
            translator: translator, table: table, credits: credits, clock: clock, canDefer: handlers != nil,
            sharesTime: role == .pmd && settings.runsThreads,
            budget: settings.upcallsPerBurst)
        let memory = WorkerMemory(slot: slot, shared: table.shared, quiescent: quiescent, missHandler: miss)
        return WorkerThread(
            role: role, cpu: cpu, slot: slot, memory: memory, clock: clock, maximumSleepMicroseconds: settings.maximumSleepMicroseconds,
            maintenanceDescriptor: maintenanceDescriptor, handlers: handlers, handlerIndex: handlerIndex, dummyNode: dummyNode)
    }

    /// The NUMA node of a CPU that is made up; nil if CPUs are the machine's.
    func dummyNode(_ cpu: Int) -> Int? { dummyNodes.flatMap { $0.indices.contains(cpu) ? $0[cpu] : nil } }

    // MARK: Settings

    /// Takes changed settings over. Queues may move to other threads; traffic goes on.
    public func apply(_ settings: DatapathSettings) throws(DatapathError) {
        if let wrong = settings.pmdCPUs.sorted().first(where: { !usableCPUs.contains($0) }) {
            throw .cpuNotUsable(wrong, usable: usableCPUs)
        }
        // What is known of packets with more tags was read otherwise.
        let readsOtherwise = settings.tagLimit != self.settings.tagLimit
        defer { if readsOtherwise { removeAllFlows() } }
        control.withLock { control in
            control.settings = settings
            applyTableSettings(settings)
            addHandlers(settings)
            for worker in workers.withLock({ $0 }) { Datapath.apply(settings, to: worker) }
            placeQueues(&control)
        }
    }

    static func apply(_ settings: DatapathSettings, to worker: WorkerThread) {
        worker.maximumSleep.store(UInt64(settings.maximumSleepMicroseconds) * 1000, ordering: .relaxed)
        worker.memory.missHandler.budget.store(settings.upcallsPerBurst, ordering: .relaxed)
        worker.cacheInsertionInverse.store(settings.cacheInsertionInverse.map(UInt64.init) ?? .max, ordering: .relaxed)
        let interval = settings.transmitFlushMicroseconds
        worker.flushCycles.store(interval == 0 ? 0 : UInt64(interval) * Datapath.cyclesPerSecond / 1_000_000, ordering: .relaxed)
        worker.handlerCount.store(UInt32(min(max(settings.handlerThreads, 1), DatapathLimits.handlerThreads)), ordering: .releasing)
    }

    /// Starts the handler threads that are wanted and not there yet.
    private func addHandlers(_ settings: DatapathSettings) {
        let wanted = min(settings.handlerThreads, DatapathLimits.handlerThreads)
        var all = handlers.withLock { $0 }
        while all.count < wanted {
            let slot = DatapathLimits.auxiliaryThreads + usableCPUs.count + all.count - 1
            let handler = Datapath.makeWorker(
                .handler, cpu: -1, slot: slot, quiescent: quiescent, translator: translator, table: table, credits: credits, clock: clock,
                settings: settings, maintenanceDescriptor: maintenanceDescriptor, handlers: nil, handlerIndex: all.count)
            let sources = all[0].sources.withLock { $0 }
            handler.sources.withLock { $0 = sources }
            workers.withLock { $0.append(handler) }
            handlerSet.set(all.count, handler)
            all.append(handler)
            if settings.runsThreads { handler.start() }
        }
        let made = all
        handlers.withLock { $0 = made }
    }

    /// The settings in force.
    public var settings: DatapathSettings { control.withLock { $0.settings } }

    /// `pmd-cpu-mask`: the CPUs that get a PMD thread; empty for the default.
    public func setPMDMask(_ cpus: Set<Int>) throws(DatapathError) {
        var changed = settings
        changed.pmdCPUs = cpus
        try apply(changed)
    }

    /// Spreads the receive queues anew by what they cost lately (`dpif-netdev/pmd-rxq-rebalance`).
    public func rebalance() { control.withLock { placeQueues(&$0) } }

    private func applyTableSettings(_ settings: DatapathSettings) {
        sharedMemory.pointee.tagLimit.pointee.store(UInt64(min(max(settings.tagLimit, 1), FlowExtractor.mostTags)), ordering: .relaxed)
        if settings.offloadsFlows != offload.isActive { offload.setOn(settings.offloadsFlows) }
        table.withLock {
            table.growsAtOnce = !settings.runsThreads
            table.flowLimit = max(1, min(settings.flowLimit, DatapathLimits.megaflows - 1))
            table.ladderMaskBudget = max(1, settings.ladderMaskBudget)
            table.exactMaskBudget = max(settings.ladderMaskBudget, settings.exactMaskBudget)
            table.directProbeMasks = max(0, settings.directProbeMasks)
        }
    }
}
