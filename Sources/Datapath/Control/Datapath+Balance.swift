// Load over time, and moving queues away from threads that have too much of it.
//
// Every five seconds what each queue and each PMD thread spent is noted; the last minute counts. A thread that was loaded to
// the threshold in all of the interval's samples is overloaded. Then the settings' way of placing queues is tried on paper: if
// the variance of the threads' loads would shrink by as much as is asked for, queues move (`placeQueues`, which loses nothing and
// keeps their packets in order). Whatever came of it, the next try is an interval away: so placements do not swing.

internal import Base
internal import DatapathAPI
internal import Netdev
internal import Synchronization

/// Amounts of the last intervals, oldest first.
struct LoadHistory {
    private var samples: [UInt64] = []
    static var intervals: Int { 12 }

    mutating func append(_ amount: UInt64) {
        samples.append(amount)
        if samples.count > LoadHistory.intervals { samples.removeFirst() }
    }
    var isEmpty: Bool { samples.isEmpty }
    var sum: UInt64 { samples.reduce(0, &+) }
}

/// A PMD thread's cycles in the last intervals.
struct ThreadLoad {
    var busy = LoadHistory()
    var all = LoadHistory()
    var countedBusy: UInt64 = 0
    var countedAll: UInt64 = 0
    /// Samples in a row in which it was loaded to the threshold.
    var overloaded: UInt64 = 0
}

/// Under the control lock.
struct BalanceState {
    static var interval: UInt64 { 5_000_000_000 }
    var lastSample: UInt64 = 0
    /// By slot.
    var threads: [Int: ThreadLoad] = [:]
    /// By slot, a sample a second.
    var rates: [Int: RateHistory] = [:]
    var lastRateSample: UInt64 = 0
    /// When queues were last tried, or set, anew.
    var lastTry: UInt64 = 0
}

/// A thread's counters, once a second for a minute.
struct RateHistory {
    struct Sample {
        var time: UInt64
        var received: UInt64
        var upcalls: UInt64
        var busy: UInt64
        var all: UInt64
    }
    private var samples: [Sample] = []

    mutating func append(_ sample: Sample) {
        samples.append(sample)
        if samples.count > 61 { samples.removeFirst() }
    }

    /// What happened between the newest sample and the one `count` before it, or the oldest there is.
    func overLast(_ count: Int) -> ThreadRate? {
        guard samples.count > 1, let new = samples.last else { return nil }
        let old = samples[max(0, samples.count - 1 - count)]
        let seconds = Double(new.time &- old.time) / 1e9
        let (received, busy, all) = (Double(new.received &- old.received), Double(new.busy &- old.busy), Double(new.all &- old.all))
        guard seconds > 0 else { return nil }
        return ThreadRate(
            seconds: seconds, packetsPerSecond: received / seconds, upcallsPerSecond: Double(new.upcalls &- old.upcalls) / seconds,
            cyclesPerPacket: received > 0 ? busy / received : 0, busyPercent: all > 0 ? busy * 100 / all : 0)
    }
}

extension Datapath {
    /// Notes what the threads have done so far, once a second.
    private func sampleRates(_ control: inout Control, _ now: UInt64, _ threads: [WorkerThread]) {
        guard now &- control.balance.lastRateSample >= 1_000_000_000 else { return }
        control.balance.lastRateSample = now
        for thread in threads {
            let busy = thread.memory.statistic(WorkerCounter.busyCycles)
            control.balance.rates[thread.slot, default: RateHistory()].append(
                RateHistory.Sample(
                    time: now, received: thread.memory.statistic(WorkerCounter.received),
                    upcalls: thread.memory.statistic(WorkerCounter.upcalls), busy: busy,
                    all: busy &+ thread.memory.statistic(WorkerCounter.idleCycles) &+ thread.memory.statistic(WorkerCounter.sleepCycles)))
        }
    }

    /// Takes a sample if it is time, and moves queues if that helps. By the maintenance thread.
    func balance(now: UInt64) {
        let all = workers.withLock { $0 }
        control.withLock { control in
            sampleRates(&control, now, all)
            guard now &- control.balance.lastSample >= BalanceState.interval else { return }
            control.balance.lastSample = now
            sample(&control)
            guard control.settings.balancesAutomatically, !control.isShutDown else { return }
            let wait = max(control.settings.balanceIntervalMinutes, 1) * 60_000_000_000
            guard now &- control.balance.lastTry >= wait else { return }
            let threads = control.pmds.values.filter { !$0.isIsolated && !$0.polled().isEmpty }
            let needed = wait / BalanceState.interval
            guard control.pmds.values.filter({ !$0.isIsolated }).count > 1,
                threads.contains(where: { control.balance.threads[$0.slot, default: ThreadLoad()].overloaded >= needed })
            else { return }
            control.balance.lastTry = now
            if wouldImprove(control) { placeQueues(&control) }
        }
    }

    private func sample(_ control: inout Control) {
        for number in control.ports.keys {
            for index in control.ports[number]!.queues.indices {
                let cycles = control.ports[number]!.queues[index].counters[QueueCounter.cycles].load(ordering: .relaxed)
                let before = control.ports[number]!.queues[index].countedCycles
                control.ports[number]!.queues[index].history.append(cycles &- before)
                control.ports[number]!.queues[index].countedCycles = cycles
            }
        }
        for thread in control.pmds.values {
            let busy = thread.memory.statistic(WorkerCounter.busyCycles)
            let all = busy &+ thread.memory.statistic(WorkerCounter.idleCycles) &+ thread.memory.statistic(WorkerCounter.sleepCycles)
            var load = control.balance.threads[thread.slot] ?? ThreadLoad()
            let (newBusy, newAll) = (busy &- load.countedBusy, all &- load.countedAll)
            load.busy.append(newBusy)
            load.all.append(newAll)
            load.countedBusy = busy
            load.countedAll = all
            let isOver = newAll > 0 && Double(newBusy) * 100 >= Double(newAll) * Double(control.settings.balanceLoadThreshold)
            load.overloaded = isOver ? load.overloaded + 1 : 0
            control.balance.threads[thread.slot] = load
        }
    }

    /// Whether placing queues anew makes the loads of the threads that share queues more even by as much as is asked for.
    private func wouldImprove(_ control: Control) -> Bool {
        let numbers = control.ports.keys.sorted()
        let cpus = control.settings.pmdCPUs.isEmpty ? [usableCPUs[0]] : control.settings.pmdCPUs.sorted()
        let plan = plan(control, numbers, cpus.filter { control.pmds[$0] != nil })
        var (before, after): ([Int: Double], [Int: Double]) = ([:], [:])
        for cpu in cpus where !plan.isolated.contains(cpu) {
            guard let slot = control.pmds[cpu]?.slot else { continue }
            before[slot] = 0
            after[slot] = 0
        }
        for place in plan.places {
            let queue = control.ports[place.port]!.queues[place.index]
            before[queue.slot]? += Double(queue.recentCycles)
            if let slot = control.pmds[place.cpu]?.slot { after[slot]? += Double(queue.recentCycles) }
        }
        func variance(_ loads: [Int: Double]) -> Double {
            let mean = loads.values.reduce(0, +) / Double(max(1, loads.count))
            return loads.values.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / Double(max(1, loads.count))
        }
        let (old, new) = (variance(before), variance(after))
        return old > 0 && (old - new) * 100 >= old * Double(control.settings.balanceImprovementThreshold) && new < old
    }
}
