// A burst through all stages, and what a worker does between bursts.

internal import Base
internal import CDPDK
internal import CLinux
internal import DatapathAPI
internal import Flow
internal import Netdev
internal import Synchronization

/// A burst's way. The functions named here and what they call make the poll loop: they take no lock, count no
/// references and allocate nothing, but for the miss path, which is entered through `MissPath`.
enum Burst {
    /// Takes `count` received packets of `port` through all stages.
    static func process(_ worker: Worker, _ count: Int, port: UInt32) {
        if port != worker.pointee.burstPort {
            worker.pointee.burstPort = port
            worker.pointee.soloBursts = 0
        } else if worker.pointee.soloBursts < DatapathLimits.soloBursts {
            worker.pointee.soloBursts &+= 1
        }
        let isTimed = worker.pointee.shared.pointee.timeUsers.pointee.load(ordering: .relaxed) != 0
        if isTimed { MissPath.lookAtClock(worker) }
        bump(worker.pointee.statistics + (WorkerCounter.burstSizes &+ (Int.bitWidth &- 1 &- count.leadingZeroBitCount)), 1)
        Stages.receive(worker, count, port: port)
        worker.pointee.recirculationBudget = DatapathLimits.recirculationsPerBurst
        let admitted = isTimed ? Policing.admit(worker, count, port: port) : count
        if admitted == 0 { return }
        if worker.pointee.isSampled {
            processSample(worker, admitted, port: port)
        } else {
            let kept = Stages.extractReceived(worker, admitted, port: port)
            if kept > 0 {
                let missed = Stages.lookup(worker, kept)
                if worker.pointee.isLight {
                    actLightly(worker, kept, port)
                    return
                }
                if missed > 0 { MissPath.handle(worker, kept) }
                finish(worker, kept)
            }
        }
        if worker.pointee.recirculationCount > 0 { passes(worker, Stages.takeRecirculated(worker)) }
    }

    @inline(__always)
    private static func actLightly(_ worker: Worker, _ count: Int, _ port: UInt32) {
        let only = worker.pointee.onlyEntry
        if only != 0 {
            Stages.actLightly(worker, count, port: port, entry: only)
        } else {
            Stages.actLightly(worker, count, port: port)
        }
    }

    /// The first pass of a burst, with a look at the clock between its stages.
    @inline(never)
    private static func processSample(_ worker: Worker, _ count: Int, port: UInt32) {
        let statistics = worker.pointee.statistics
        bump(statistics + WorkerCounter.sampledPackets, UInt64(count))
        var before = clinux_tsc()
        func note(_ stage: Int, _ other: UInt64 = 0) {
            let now = clinux_tsc()
            bump(statistics + stage, now &- before &- other)
            before = now
        }
        let kept = Stages.extractReceived(worker, count, port: port)
        note(WorkerCounter.stageExtract)
        if kept == 0 { return }
        let missed = Stages.lookup(worker, kept)
        note(WorkerCounter.stageLookup)
        if missed > 0 {
            MissPath.handle(worker, kept)
            note(WorkerCounter.stageUpcalls)
        }
        let sending = statistics[WorkerCounter.stageTransmit].load(ordering: .relaxed)
        if worker.pointee.isLight { actLightly(worker, kept, port) } else { finish(worker, kept) }
        note(WorkerCounter.stageActions, statistics[WorkerCounter.stageTransmit].load(ordering: .relaxed) &- sending)
    }

    /// Takes the packets in the burst arrays, and what recirculates of them, through the stages from extraction on.
    static func passes(_ worker: Worker, _ received: Int) {
        worker.pointee.recirculationBudget = DatapathLimits.recirculationsPerBurst
        var count = received
        while true {
            let kept = Stages.extract(worker, count)
            if kept > 0 {
                if Stages.lookup(worker, kept) > 0 { MissPath.handle(worker, kept) }
                finish(worker, kept)
            }
            if worker.pointee.recirculationCount == 0 { return }
            count = Stages.takeRecirculated(worker)
        }
    }

    /// Groups and acts.
    private static func finish(_ worker: Worker, _ count: Int) {
        Stages.group(worker, count)
        Stages.act(worker)
        if worker.pointee.transientCount > 0 { MissPath.finish(worker) }
    }

    /// Polls each queue of the worker's list once, sends what came of it, and reports quiescence now and then: the
    /// report waits until all stores are seen, which costs as much as half a packet. Returns the packets received.
    ///
    /// Ports that all have packets get equal shares of the thread's time, not of its bursts: a port whose packets are dear (each a
    /// new flow, or in need of many masks) waits while others catch up. It is fair queueing by start time (P. Goyal and others,
    /// "Start-time Fair Queueing", 1996): each port's clock goes on by the cycles that its bursts took, and a port whose clock is
    /// ahead of the slowest busy port's is passed over. Nobody waits for a port without packets.
    static func pollOnce(_ worker: Worker) -> Int {
        var total = 0
        if let list = worker.pointee.pollList.pointee.load(ordering: .acquiring) {
            if list != worker.pointee.latestList { takeOver(list, worker) }
            var isAnyoneAhead = false
            // Whom the others kept waiting, and now have nothing themselves, is not kept waiting any longer.
            repeat { total = pollAll(list, worker, &isAnyoneAhead) } while total == 0 && isAnyoneAhead
        }
        if worker.pointee.dirtyCount > 0 { flushWhenDue(worker) }
        worker.pointee.pollRounds &+= 1
        if worker.pointee.pollRounds & 7 == 0 || total == 0 { worker.pointee.quiescent.quiescent(worker.pointee.slot) }
        return total
    }

    /// One round of a list's queues, but for those of ports that are ahead of others, and those that rest. `isAnyoneAhead` says whether
    /// the former were the only reason to find nothing.
    @inline(__always)
    private static func pollAll(_ list: UnsafeMutableRawPointer, _ worker: Worker, _ isAnyoneAhead: inout Bool) -> Int {
        let count = PollList.count(list)
        let floor = worker.pointee.shareFloor
        // The slowest busy port's clock after this round.
        var slowest = UInt64.max
        var total = 0
        var passesOver = false
        var rests = false
        var index = 0
        while index < count {
            let entry = PollList.entry(list, index)
            index &+= 1
            let clockWord = worker.pointee.portCounter(entry.pointee.port, PortCounter.turn)
            let clock = clockWord.pointee.load(ordering: .relaxed)
            if clock > floor &+ DatapathLimits.shareSlackCycles {
                slowest = min(slowest, clock)
                passesOver = true
                continue
            }
            if worker.pointee.lastCycles < entry.pointee.restsUntil {
                // It has packets, as far as the others are concerned.
                slowest = min(slowest, max(clock, floor))
                rests = true
                continue
            }
            // Receiving counts too, but several queues' empty polls are nobody's: a port is timed from before its poll if it had
            // packets the last time. With one queue there are no others' polls in between.
            let turn = takeTurn(entry, worker, isTimed: count > 1 && clock >= floor, isAlone: count == 1)
            if turn.received == 0 { continue }
            total &+= turn.received
            let after = max(clock, floor) &+ turn.cycles
            clockWord.pointee.store(after, ordering: .relaxed)
            slowest = min(slowest, after)
        }
        if slowest != .max { worker.pointee.shareFloor = max(floor, slowest) }
        isAnyoneAhead = passesOver && !rests
        return total
    }

    /// Bursts of one queue: as many as it has, for a limited time, because each change of ports costs what the caches and predictors
    /// have to learn anew. Returns the packets received, and the cycles they took.
    @inline(__always)
    private static func takeTurn(
        _ entry: UnsafeMutablePointer<PollEntry>, _ worker: Worker, isTimed: Bool, isAlone: Bool
    ) -> (received: Int, cycles: UInt64) {
        var total = 0
        var cycles: UInt64 = 0
        var isTimed = isTimed
        while true {
            worker.pointee.isSampled = worker.pointee.bursts & 63 == 0
            let polled = isTimed || worker.pointee.isSampled ? clinux_tsc() : 0
            let received = Int(entry.pointee.handle.receive(into: worker.pointee.packets, limit: UInt16(DatapathLimits.burst)))
            if received == 0 { break }
            worker.pointee.bursts &+= 1
            if worker.pointee.isSampled { bump(worker.pointee.statistics + WorkerCounter.stageReceive, clinux_tsc() &- polled) }
            let start = isAlone || total > 0 ? worker.pointee.lastCycles : polled != 0 ? polled : clinux_tsc()
            process(worker, received, port: entry.pointee.port)
            total &+= received
            bump(entry.pointee.counters + QueueCounter.packets, UInt64(received))
            let end = clinux_tsc()
            bump(entry.pointee.counters + QueueCounter.cycles, end &- start)
            worker.pointee.lastCycles = end
            cycles &+= end &- start
            if entry.pointee.handle.kind == .vhost {
                let isFast = end &- entry.pointee.latestBurst < UInt64(received) &* DatapathLimits.restingPacketCycles
                let isSmall = received > 1 && received < DatapathLimits.smallBurst
                entry.pointee.restsUntil = isFast && isSmall ? end &+ DatapathLimits.restCycles : 0
                entry.pointee.latestBurst = end
            }
            if isAlone || received < DatapathLimits.burst || cycles > DatapathLimits.turnCycles { break }
            isTimed = false
        }
        return (total, cycles)
    }
}

extension Burst {
    /// Begins to work on another list of queues.
    private static func takeOver(_ list: UnsafeMutableRawPointer, _ worker: Worker) {
        // Who polls a queue that is not in the list any more may find newer packets than those that wait here.
        Stages.flush(worker)
        worker.pointee.latestList = list
        // A port that was on another thread meanwhile has a clock of long ago.
        for index in 0..<PollList.count(list) {
            worker.pointee.portCounter(PollList.entry(list, index).pointee.port, PortCounter.turn).pointee
                .store(worker.pointee.shareFloor, ordering: .relaxed)
        }
    }

    /// Sends what waits in batches: at once, or when the oldest has waited for long enough.
    @inline(__always)
    private static func flushWhenDue(_ worker: Worker) {
        if worker.pointee.flushCycles != 0 {
            let now = clinux_tsc()
            if worker.pointee.waitingSince == 0 { worker.pointee.waitingSince = now }
            if now &- worker.pointee.waitingSince < worker.pointee.flushCycles { return }
            worker.pointee.waitingSince = 0
        }
        Stages.flush(worker)
    }
}

extension Stages {
    /// Loads the next pass's packets into the burst arrays. Returns how many.
    @_noLocks
    static func takeRecirculated(_ worker: Worker) -> Int {
        let count = min(worker.pointee.recirculationCount, DatapathLimits.burst)
        worker.pointee.filledPort = 0
        // From the end: which of two packets goes first is of no matter, unless they are of one flow; those are side by side.
        let start = worker.pointee.recirculationCount &- count
        var index = 0
        while index < count {
            let next = worker.pointee.recirculationQueue[start &+ index]
            worker.pointee.packets[index] = next.packet
            worker.pointee.metas[index] = next.meta
            worker.pointee.inPorts[index] = next.inPort
            worker.pointee.recirculations[index] = next.id
            worker.pointee.depths[index] = next.depth
            index &+= 1
        }
        worker.pointee.recirculationCount = start
        bump(worker.pointee.statistics + WorkerCounter.recirculated, UInt64(count))
        return count
    }
}

/// The doors out of the poll loop's part that may not allocate.
enum MissPath {
    @inline(never)
    static func handle(_ worker: Worker, _ count: Int) {
        Unmanaged<MissHandler>.fromOpaque(worker.pointee.missHandler)._withUnsafeGuaranteedRef { $0.handle(worker, count) }
    }
    @inline(never)
    static func lookAtClock(_ worker: Worker) {
        Unmanaged<MissHandler>.fromOpaque(worker.pointee.missHandler)._withUnsafeGuaranteedRef { $0.lookAtClock(worker) }
    }
    @inline(never)
    static func finish(_ worker: Worker) {
        Unmanaged<MissHandler>.fromOpaque(worker.pointee.missHandler)._withUnsafeGuaranteedRef { $0.finishBurst(worker) }
    }
}
