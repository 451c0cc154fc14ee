internal import Base
internal import CDPDK
public import DatapathAPI
internal import Netdev
internal import Synchronization

extension PortCounters {
    /// What was counted since `earlier`.
    func since(_ earlier: PortCounters) -> PortCounters {
        var result = PortCounters()
        result.receivedPackets = receivedPackets &- earlier.receivedPackets
        result.receivedBytes = receivedBytes &- earlier.receivedBytes
        result.sentPackets = sentPackets &- earlier.sentPackets
        result.sentBytes = sentBytes &- earlier.sentBytes
        result.sendFailures = sendFailures &- earlier.sendFailures
        result.forwardedPackets = forwardedPackets &- earlier.forwardedPackets
        result.puntedPackets = puntedPackets &- earlier.puntedPackets
        result.drops = zip(drops, earlier.drops).map { $0 &- $1 }
        return result
    }
}

extension Datapath {
    /// Cycles a second of all cycle counts.
    public static var cyclesPerSecond: UInt64 { cdpdk_tsc_hz() }

    public func counters(of port: DatapathPort) -> PortCounters? {
        if port == .none { return sumCounters(0) }
        guard let baseline = control.withLock({ $0.ports[port.rawValue]?.baseline }) else { return nil }
        return sumCounters(port.rawValue).since(baseline)
    }

    /// A port number's counters over all threads since the start.
    func sumCounters(_ port: UInt32) -> PortCounters {
        var result = PortCounters()
        for worker in workers.withLock({ $0 }) {
            let memory = worker.memory
            result.receivedPackets &+= memory.portCounter(port, PortCounter.receivedPackets)
            result.receivedBytes &+= memory.portCounter(port, PortCounter.receivedBytes)
            result.sentPackets &+= memory.portCounter(port, PortCounter.sentPackets)
            result.sentBytes &+= memory.portCounter(port, PortCounter.sentBytes)
            result.sendFailures &+= memory.portCounter(port, PortCounter.sendFailures)
            result.forwardedPackets &+= memory.portCounter(port, PortCounter.forwarded)
            result.puntedPackets &+= memory.portCounter(port, PortCounter.punted)
            for reason in result.drops.indices { result.drops[reason] &+= memory.portCounter(port, PortCounter.drops + reason) }
        }
        return result
    }

    /// Statistics of all threads, PMD threads by CPU first; PMD threads that were stopped are left out.
    public func threadStatistics() -> [ThreadStatistics] {
        let all = workers.withLock { $0 }
        let (running, isolated) = control.withLock { _ in
            (Set(all.filter(\.isRunning).map(\.slot)), Set(all.filter(\.isIsolated).map(\.slot)))
        }
        let rates = control.withLock { control in control.balance.rates.mapValues { ($0.overLast(1), $0.overLast(60)) } }
        var result: [ThreadStatistics] = []
        for worker in all {
            let isRunning = running.contains(worker.slot)
            if worker.role == .pmd, !isRunning, worker.polled().isEmpty { continue }
            if worker.role == .handler, worker.handlerIndex >= max(1, settings.handlerThreads) { continue }
            let cleared = worker.cleared.withLock { $0 }
            func count(_ counter: Int) -> UInt64 { worker.memory.statistic(counter) &- cleared[counter] }
            var one = ThreadStatistics(role: worker.role, cpu: worker.cpu, numaNode: worker.numaNode)
            one.isIsolated = isolated.contains(worker.slot)
            one.isRunning = isRunning
            one.iterations = count(WorkerCounter.iterations)
            one.busyCycles = count(WorkerCounter.busyCycles)
            one.idleCycles = count(WorkerCounter.idleCycles)
            one.sleepCycles = count(WorkerCounter.sleepCycles)
            one.sleeps = count(WorkerCounter.sleeps)
            one.receivedPackets = count(WorkerCounter.received)
            one.recirculatedPackets = count(WorkerCounter.recirculated)
            one.cacheHits = count(WorkerCounter.cacheHits)
            one.megaflowHits = count(WorkerCounter.megaflowHits)
            one.missedPackets = count(WorkerCounter.missed)
            one.subtableProbes = count(WorkerCounter.subtableProbes)
            one.upcalls = count(WorkerCounter.upcalls)
            one.lostUpcalls = count(WorkerCounter.lostUpcalls)
            one.uninstalledUpcalls = count(WorkerCounter.uninstalledUpcalls)
            one.deferredUpcalls = count(WorkerCounter.deferredUpcalls)
            one.transmittedBatches = count(WorkerCounter.transmittedBatches)
            one.transmittedPackets = count(WorkerCounter.transmittedPackets)
            one.cacheSlots = Int(worker.memory.statistic(WorkerCounter.cacheSlots))
            one.busyIterations = count(WorkerCounter.busyIterations)
            one.upcallCycles = count(WorkerCounter.upcallCycles)
            one.upcallLatency = (0..<WorkerCounter.latencyBins).map { count(WorkerCounter.upcallLatency + $0) }
            one.burstSizes = (0..<WorkerCounter.burstBins).map { count(WorkerCounter.burstSizes + $0) }
            let sampled = Double(count(WorkerCounter.sampledPackets))
            if sampled > 0 {
                one.stages = Datapath.stageCounters.map { ($0.name, Double(count($0.counter)) / sampled) }
            }
            (one.lastSecond, one.lastMinute) = rates[worker.slot] ?? (nil, nil)
            result.append(one)
        }
        return result.sorted { (($0.role == .pmd ? 0 : 1), $0.cpu) < (($1.role == .pmd ? 0 : 1), $1.cpu) }
    }

    private static let stageCounters: [(name: String, counter: Int)] = [
        ("receive", WorkerCounter.stageReceive), ("extract", WorkerCounter.stageExtract), ("lookup", WorkerCounter.stageLookup),
        ("upcalls", WorkerCounter.stageUpcalls), ("actions", WorkerCounter.stageActions), ("transmit", WorkerCounter.stageTransmit),
    ]

    /// Statistics of the PMD threads (`dpif-netdev/pmd-stats-show`).
    public func pmdStatistics() -> [ThreadStatistics] { threadStatistics().filter { $0.role == .pmd } }

    /// Lets all thread statistics begin at zero (`dpif-netdev/pmd-stats-clear`).
    public func clearThreadStatistics() {
        for worker in workers.withLock({ $0 }) {
            let values = (0..<WorkerCounter.count).map { worker.memory.statistic($0) }
            worker.cleared.withLock { $0 = values }
        }
    }

    /// Where each receive queue is polled, by thread (`dpif-netdev/pmd-rxq-show`).
    public func receiveQueuePlacement() -> [ReceiveQueuePlacement] {
        let all = workers.withLock { $0 }
        return control.withLock { control in
            var result: [ReceiveQueuePlacement] = []
            for number in control.ports.keys.sorted() {
                let state = control.ports[number]!
                for queue in state.queues {
                    guard let worker = all.first(where: { $0.slot == queue.slot }) else { continue }
                    let cycles = queue.counters[QueueCounter.cycles].load(ordering: .relaxed)
                    // Of the last minute, as far as it is known.
                    let load = control.balance.threads[queue.slot]
                    let spent =
                        load.map { $0.all.sum }
                        ?? [WorkerCounter.busyCycles, WorkerCounter.idleCycles, WorkerCounter.sleepCycles]
                        .reduce(UInt64(0)) { $0 &+ worker.memory.statistic($1) }
                    result.append(
                        ReceiveQueuePlacement(
                            port: DatapathPort(number), portName: state.name, queue: queue.index, role: worker.role, cpu: worker.cpu,
                            isPinned: queue.isPinned, packets: queue.counters[QueueCounter.packets].load(ordering: .relaxed),
                            cycles: cycles, usagePercent: spent == 0 ? 0 : min(100, Double(queue.recentCycles) * 100 / Double(spent))))
                }
            }
            return result.sorted { ($0.cpu, $0.port.rawValue, $0.queue) < ($1.cpu, $1.port.rawValue, $1.queue) }
        }
    }

    /// Sizes and event counts of the megaflow table.
    public func flowTableStatistics() -> FlowTableStatistics { table.snapshotStatistics() }
}
