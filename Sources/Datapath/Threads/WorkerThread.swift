// The threads: a PMD thread spins over its queues, the kernel I/O thread waits for its descriptors, the handler thread waits
// for deferred packets. All run the same stages.

internal import Base
internal import CDPDK
internal import CLinux
internal import DatapathAPI
internal import Flow
internal import Glibc
internal import Netdev
internal import Synchronization

/// One thread of the datapath and its memory, which outlives the thread: its counters go on counting.
///
/// ## Thread safety
/// `start`, `stop` and `publish` belong to control threads (the datapath's control lock). The words in between are atomic.
final class WorkerThread: @unchecked Sendable {
    let role: ThreadStatistics.Role
    let cpu: Int
    let numaNode: Int
    /// Whether its CPU is one of the machine's.
    private let isPinned: Bool
    let slot: Int
    let memory: WorkerMemory
    var state: Worker { memory.state }

    private let clock: Clock
    private let stopping = Atomic<Bool>(false)
    /// Longest sleep when idle, nanoseconds; 0: never.
    let maximumSleep: Atomic<UInt64>
    /// Wakes the thread if it waits (kernel I/O, handler).
    let wakeDescriptor: Int32
    /// Whether it is about to wait, so that who has work for it must signal.
    let isWaiting = Atomic<Bool>(false)
    /// What a PMD thread waits for while it sleeps, its own descriptor included; used by that thread alone.
    private let waited = UnsafeMutablePointer<pollfd>.allocate(capacity: Int(DatapathLimits.descriptorsWaitedFor) + 1)
    /// Who to tell of punts and deferred packets.
    private let maintenanceDescriptor: Int32
    private let handlers: HandlerSet?
    /// Of a handler: which one it is.
    let handlerIndex: Int
    /// `emc-insert-inv-prob`, `UInt64.max` if it is not set; `tx-flush-interval` in cycles; handler threads. Taken over now and then.
    let cacheInsertionInverse = Atomic<UInt64>(.max)
    let flushCycles = Atomic<UInt64>(0)
    let handlerCount = Atomic<UInt32>(1)
    /// Workers whose deferred packets the handler takes; written before they start, read by the handler.
    let sources = Mutex<[WorkerThread]>([])
    private var thread: pthread_t?
    var isRunning: Bool { thread != nil }
    /// Statistics as they were when they were last cleared.
    let cleared = Mutex<[UInt64]>([UInt64](repeating: 0, count: WorkerCounter.count))
    /// Whether only queues pinned to its CPU are polled; under the control lock.
    var isIsolated = false

    init(
        role: ThreadStatistics.Role, cpu: Int, slot: Int, memory: WorkerMemory, clock: Clock, maximumSleepMicroseconds: UInt32,
        maintenanceDescriptor: Int32, handlers: HandlerSet?, handlerIndex: Int = 0, dummyNode: Int? = nil
    ) {
        self.role = role
        self.cpu = cpu
        self.slot = slot
        self.memory = memory
        self.clock = clock
        self.maintenanceDescriptor = maintenanceDescriptor
        self.handlers = handlers
        self.handlerIndex = handlerIndex
        isPinned = dummyNode == nil
        numaNode = dummyNode ?? (cpu < 0 ? 0 : Int(clinux_numa_of_cpu(UInt32(cpu))))
        maximumSleep = Atomic(UInt64(maximumSleepMicroseconds) * 1000)
        wakeDescriptor = clinux_eventfd()
    }

    deinit {
        if wakeDescriptor >= 0 { close(wakeDescriptor) }
        waited.deallocate()
    }

    func start() {
        guard thread == nil else { return }
        stopping.store(false, ordering: .releasing)
        var created = pthread_t()
        let context = Unmanaged.passRetained(self).toOpaque()
        let result = pthread_create(
            &created, nil,
            { context in
                let worker = Unmanaged<WorkerThread>.fromOpaque(context!).takeRetainedValue()
                worker.run()
                return nil
            }, context)
        if result != 0 {
            Unmanaged<WorkerThread>.fromOpaque(context).release()
            fatalError("a datapath thread could not be created: \(String(cString: strerror(result)))")
        }
        thread = created
    }

    /// Ends the thread and waits until it has.
    func stop() {
        guard let running = thread else { return }
        stopping.store(true, ordering: .releasing)
        wake()
        pthread_join(running, nil)
        thread = nil
    }

    /// Odd while the thread may hold descriptors of its poll list in a system call: a descriptor closed meanwhile
    /// keeps its device until that call returns. Written by that thread; release, so that whoever sees a wait over sees it all.
    private let waits = Atomic<UInt64>(0)

    /// Waits until the thread holds no descriptor that left its poll list before a grace period that is over.
    func endWait() {
        let seen = waits.load(ordering: .acquiring)
        guard seen & 1 == 1 else { return }
        wake()
        // The wait ends at the wake-up, or after its own half second.
        while waits.load(ordering: .acquiring) == seen { clinux_sleep_nanoseconds(20_000) }
    }

    func wake() { if wakeDescriptor >= 0 { _ = clinux_eventfd_signal(wakeDescriptor) } }

    private func run() {
        let name =
            switch role {
            case .pmd: "apus-pmd\(cpu)"
            case .kernelIO: "apus-io"
            case .handler: handlerIndex == 0 ? "apus-handler" : "apus-handler\(handlerIndex)"
            case .control: "apus-control"
            }
        clinux_set_thread_name(name)
        if role == .pmd, isPinned { ServiceCPUs.enter(cpu) }
        clinux_set_timer_slack(1000)
        cdpdk_thread_register()
        memory.state.pointee.now = clock.now.nanoseconds
        switch role {
        case .pmd: runPolling()
        case .kernelIO: runWaiting()
        case .handler: runHandling()
        case .control: break
        }
        memory.state.pointee.quiescent.offline(slot)
        memory.missHandler.handOverLastCredits()
        cdpdk_thread_unregister()
        ServiceCPUs.leave()
    }

    // MARK: PMD

    private func runPolling() {
        let worker = memory.state
        let statistics = worker.pointee.statistics
        worker.pointee.quiescent.online(slot)
        var round: UInt32 = 0
        var sleepNanoseconds: UInt64 = 0
        // How long it goes on polling without finding anything, in cycles: a sleep takes some 60 us at least, which no packet of a
        // steady stream should wait.
        let spin = cdpdk_tsc_hz() / 1_000_000 * DatapathLimits.busySpinMicroseconds
        var latestPacket = clinux_tsc()
        var before = clinux_tsc()
        while true {
            worker.pointee.lastCycles = before
            let received = Burst.pollOnce(worker)
            let after = clinux_tsc()
            bump(statistics + WorkerCounter.iterations, 1)
            round &+= 1
            if received > 0 {
                bump(statistics + WorkerCounter.busyCycles, after &- before)
                bump(statistics + WorkerCounter.busyIterations, 1)
                before = after
                latestPacket = after
                // Traffic shortens the next sleep, much traffic ends sleeping for now.
                sleepNanoseconds = received >= DatapathLimits.burst / 2 ? 0 : sleepNanoseconds / 4
                if worker.pointee.puntsProduced || worker.pointee.deferredProduced != 0 { tell(worker) }
                if round & 63 == 0 {
                    housekeep(worker)
                    if stopping.load(ordering: .relaxed) { break }
                }
                continue
            }
            bump(statistics + WorkerCounter.idleCycles, after &- before)
            before = after
            if round & 63 == 0 {
                housekeep(worker)
                if stopping.load(ordering: .relaxed) { break }
            }
            let longest = maximumSleep.load(ordering: .relaxed)
            if longest == 0 || worker.pointee.dirtyCount > 0 || after &- latestPacket < spin {
                clinux_pause()
                continue
            }
            // Sleeps grow slowly, so that a pause in the traffic costs little, and readers of shared memory are not waited for: up to
            // 0.5 ms by an eighth, so that the first packet after a pause waits for a ninth of the pause at most; and yet more
            // slowly to what a port that was idle for a tenth of a second gets.
            let growth = sleepNanoseconds < DatapathLimits.quickSleepNanoseconds ? 2_000 + sleepNanoseconds / 8 : sleepNanoseconds / 64
            sleepNanoseconds = min(sleepNanoseconds + growth, longest)
            rest(worker, sleepNanoseconds)
            if stopping.load(ordering: .relaxed) { break }
            if sleepNanoseconds >= DatapathLimits.quickSleepNanoseconds { housekeep(worker) }
            let woken = clinux_tsc()
            bump(statistics + WorkerCounter.sleepCycles, woken &- before)
            bump(statistics + WorkerCounter.sleeps, 1)
            before = woken
        }
        Stages.flush(worker)
    }

    /// Sleeps so long, or until a queue that can be waited for has packets.
    private func rest(_ worker: Worker, _ nanoseconds: UInt64) {
        if nanoseconds < DatapathLimits.deafSleepNanoseconds {
            // Packets that come now come soon after others: they are taken together.
            worker.pointee.quiescent.offline(slot)
            clinux_sleep_nanoseconds(nanoseconds)
            worker.pointee.quiescent.online(slot)
            return
        }
        var count: UInt32 = 0
        var canAllWait = true
        // Before the list is read: whoever finds this even may close what the list does not have any more.
        waits.store(waits.load(ordering: .relaxed) &+ 1, ordering: .sequentiallyConsistent)
        if let list = worker.pointee.pollList.pointee.load(ordering: .sequentiallyConsistent) {
            for index in 0..<PollList.count(list) {
                let descriptor = PollList.entry(list, index).pointee.handle.descriptor
                if descriptor >= 0, count < DatapathLimits.descriptorsWaitedFor {
                    waited[Int(count)] = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
                    count += 1
                } else {
                    canAllWait = false
                }
            }
        }
        worker.pointee.quiescent.offline(slot)
        if count == 0 {
            waits.store(waits.load(ordering: .relaxed) &+ 1, ordering: .releasing)
            clinux_sleep_nanoseconds(nanoseconds)
            worker.pointee.quiescent.online(slot)
            return
        }
        waited[Int(count)] = pollfd(fd: wakeDescriptor, events: Int16(POLLIN), revents: 0)
        // Where nothing has to be polled, the kernel wakes the thread.
        let isLong = canAllWait && nanoseconds >= DatapathLimits.quickSleepNanoseconds
        let ready = clinux_wait(waited, count + 1, isLong ? DatapathLimits.longestWaitNanoseconds : nanoseconds)
        waits.store(waits.load(ordering: .relaxed) &+ 1, ordering: .releasing)
        worker.pointee.quiescent.online(slot)
        guard ready > 0 else { return }
        if waited[Int(count)].revents != 0 { _ = clinux_eventfd_drain(wakeDescriptor) }
        if let list = worker.pointee.pollList.pointee.load(ordering: .acquiring) {
            for index in 0..<PollList.count(list) { PollList.entry(list, index).pointee.handle.noteReadable() }
        }
        // A device that somebody deleted is ready for ever and has nothing: it must not take a CPU.
        for index in 0..<Int(count) where waited[index].revents & Int16(POLLERR | POLLHUP | POLLNVAL) != 0 {
            clinux_sleep_nanoseconds(min(nanoseconds, DatapathLimits.quickSleepNanoseconds))
            break
        }
    }

    /// What is done now and then: time, the cache's size, counts that wait.
    private func housekeep(_ worker: Worker) {
        worker.pointee.now = clock.now.nanoseconds
        takeSettings(worker)
        memory.missHandler.handOverCredits()
    }

    /// Takes over settings that control threads changed.
    func takeSettings(_ worker: Worker) {
        let inverse = cacheInsertionInverse.load(ordering: .relaxed)
        FlowCache.adapt(worker, inverse: inverse == .max ? nil : UInt32(truncatingIfNeeded: inverse))
        if role == .pmd { worker.pointee.flushCycles = flushCycles.load(ordering: .relaxed) }
        worker.pointee.handlerCount = handlerCount.load(ordering: .acquiring)
    }

    /// Tells who is concerned of punts and deferred packets.
    func tell(_ worker: Worker) {
        if worker.pointee.puntsProduced {
            worker.pointee.puntsProduced = false
            _ = clinux_eventfd_signal(maintenanceDescriptor)
        }
        if worker.pointee.deferredProduced != 0 {
            handlers?.wake(worker.pointee.deferredProduced)
            worker.pointee.deferredProduced = 0
        }
    }

    // MARK: Kernel I/O

    /// Waits for any of its queues' descriptors, then polls them all until none has anything left.
    private func runWaiting() {
        let worker = memory.state
        let statistics = worker.pointee.statistics
        var descriptors: [pollfd] = []
        while !stopping.load(ordering: .acquiring) {
            descriptors.removeAll(keepingCapacity: true)
            descriptors.append(pollfd(fd: wakeDescriptor, events: Int16(POLLIN), revents: 0))
            // Before the list is read: whoever finds this even may close what the list does not have any more.
            waits.store(waits.load(ordering: .relaxed) &+ 1, ordering: .releasing)
            worker.pointee.quiescent.online(slot)
            if let list = worker.pointee.pollList.pointee.load(ordering: .acquiring) {
                for index in 0..<PollList.count(list) {
                    let descriptor = PollList.entry(list, index).pointee.handle.descriptor
                    if descriptor >= 0 { descriptors.append(pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)) }
                }
            }
            worker.pointee.quiescent.offline(slot)
            let ready = poll(&descriptors, nfds_t(descriptors.count), 500)
            waits.store(waits.load(ordering: .relaxed) &+ 1, ordering: .releasing)
            let start = clinux_tsc()
            worker.pointee.now = clock.now.nanoseconds
            guard ready > 0 else { continue }
            if descriptors[0].revents != 0 { _ = clinux_eventfd_drain(wakeDescriptor) }
            worker.pointee.quiescent.online(slot)
            // Bounded, so that a flood does not keep the thread from seeing a changed list.
            var rounds = 0
            worker.pointee.lastCycles = start
            while rounds < 64, Burst.pollOnce(worker) > 0 { rounds += 1 }
            worker.pointee.quiescent.offline(slot)
            // A device that somebody deleted is ready for ever and has nothing: it must not take a CPU.
            if rounds == 0, descriptors.contains(where: { $0.revents & Int16(POLLERR | POLLHUP | POLLNVAL) != 0 }) {
                clinux_sleep_nanoseconds(1_000_000)
            }
            tell(worker)
            housekeep(worker)
            bump(statistics + WorkerCounter.iterations, 1)
            bump(statistics + WorkerCounter.busyCycles, clinux_tsc() &- start)
        }
    }

    // MARK: Handler

    private func runHandling() {
        let worker = memory.state
        let statistics = worker.pointee.statistics
        while !stopping.load(ordering: .acquiring) {
            let start = clinux_tsc()
            if handleOnce() > 0 {
                bump(statistics + WorkerCounter.iterations, 1)
                bump(statistics + WorkerCounter.busyCycles, clinux_tsc() &- start)
                continue
            }
            takeSettings(worker)
            let isSettled = memory.missHandler.handOverCredits()
            // Announce the wait, look once more, then wait: a producer either sees the announcement or is seen (its side is
            // `HandlerSet.wake`).
            isWaiting.store(true, ordering: .relaxed)
            atomicMemoryFence(ordering: .sequentiallyConsistent)
            if handleOnce() == 0, !stopping.load(ordering: .acquiring) {
                var descriptor = pollfd(fd: wakeDescriptor, events: Int16(POLLIN), revents: 0)
                _ = poll(&descriptor, 1, isSettled ? -1 : 20)
                if descriptor.revents != 0 { _ = clinux_eventfd_drain(wakeDescriptor) }
            }
            isWaiting.store(false, ordering: .relaxed)
        }
    }

    /// Takes up to a burst from each source in turn. Returns the packets handled.
    func handleOnce() -> Int {
        let worker = memory.state
        var total = 0
        for source in sources.withLock({ $0 }) {
            let ring = source.state.pointee.deferred[handlerIndex]
            var count = 0
            while count < DatapathLimits.burst, let record = ring.nextToConsume() {
                let port = record.load(fromByteOffset: DeferredRecord.inPort, as: UInt32.self)
                worker.pointee.packets[count] = record.load(fromByteOffset: DeferredRecord.packet, as: Packet.self)
                worker.pointee.metas[count] = port
                worker.pointee.inPorts[count] = port
                worker.pointee.recirculations[count] = 0
                worker.pointee.depths[count] = 0
                ring.consume()
                // Two handlers may be at it while a port moves from one to the other.
                source.state.pointee.handledByPort[Int(port)].wrappingAdd(1, ordering: .releasing)
                count += 1
            }
            if count > 0 {
                worker.pointee.filledPort = 0
                worker.pointee.quiescent.online(slot)
                memory.missHandler.lookAtClock(worker)
                Burst.passes(worker, count)
                Stages.flush(worker)
                worker.pointee.quiescent.offline(slot)
                if worker.pointee.puntsProduced { tell(worker) }
                total += count
            }
        }
        return total
    }

    // MARK: Publishing

    /// What it polls at the moment.
    func polled() -> [PollEntry] {
        guard let list = state.pointee.pollList.pointee.load(ordering: .acquiring) else { return [] }
        return (0..<PollList.count(list)).map { PollList.entry(list, $0).pointee }
    }

    /// Replaces the list of queues to poll. The caller frees the returned old one after a grace period.
    func publish(_ entries: [PollEntry]) -> UnsafeMutableRawPointer? {
        let bytes = PollList.entries + entries.count * MemoryLayout<PollEntry>.stride
        let list = UnsafeMutableRawPointer.allocate(byteCount: bytes, alignment: 64)
        list.storeBytes(of: entries.count, as: Int.self)
        for (index, entry) in entries.enumerated() { PollList.entry(list, index).initialize(to: entry) }
        let old = state.pointee.pollList.pointee.exchange(list, ordering: .acquiringAndReleasing)
        wake()
        return old
    }
}
