// Stage 5: packets that no current megaflow covers.
//
// Runs on the thread that received them, outside the part that may not allocate. The first packets of a burst's new flows
// are translated in place, within the budget; packets of the same flow in the same burst share one translation. The rest
// goes to the handler thread through a ring in which no port can take more than its share, and past that is dropped.
// A flow's packets that the handler still holds may be overtaken by later ones that find the new megaflow.
//
// ## Thread safety
// One handler object a worker, used by that worker's thread only; `@unchecked Sendable` because it is handed to that
// thread at its start.

internal import Base
internal import CDPDK
internal import CLinux
internal import DatapathAPI
internal import Flow
internal import Netdev
internal import Synchronization

/// Counts of packets whose translation was not installed, on their way to the maintenance thread.
struct UninstalledCredit: Sendable {
    var effects: any TranslationEffects
    var delta: FlowStatisticsDelta
}

final class MissHandler: @unchecked Sendable {
    private let translator: any PacketTranslator
    private let table: FlowTable
    private let credits: CreditQueue
    private let clock: Clock
    /// Whether packets beyond the budget can go to the handler thread.
    private let canDefer: Bool
    /// Written by control threads.
    let budget: Atomic<Int>

    /// Whether translations take a share of the thread's time only (a thread with ports that are polled), how long the window is in
    /// which that is looked at, when it began, and what they took in it.
    private let sharesTime: Bool
    private let windowCycles = cdpdk_tsc_hz() / 1_000_000 * DatapathLimits.upcallWindowMicroseconds
    private var windowStart: UInt64 = 0
    private var windowSpent: UInt64 = 0
    private var translation = Translation()
    /// What this burst's translations led to, as in `Group.entry`.
    private var decisions: [UInt32] = []
    /// By number of a program that was not installed: mask and masked key of its decision, 320 bytes each.
    private let transientMatches = UnsafeMutableRawPointer.allocate(
        byteCount: DatapathLimits.burst * 2 * FlowLayout.keyBytes, alignment: 64)
    private var programs: [ActionProgram] = []
    private var effects: [(any TranslationEffects)?] = []
    private var waiting: [UninstalledCredit] = []

    init(
        translator: any PacketTranslator, table: FlowTable, credits: CreditQueue, clock: Clock, canDefer: Bool, sharesTime: Bool,
        budget: Int
    ) {
        self.translator = translator
        self.table = table
        self.credits = credits
        self.clock = clock
        self.canDefer = canDefer
        self.sharesTime = sharesTime
        self.budget = Atomic(budget)
    }

    deinit { transientMatches.deallocate() }

    /// Decides on the burst's missed packets: afterwards each is found, or gone.
    func handle(_ worker: Worker, _ count: Int) {
        decisions.removeAll(keepingCapacity: true)
        worker.pointee.now = clock.now.nanoseconds
        // The budget keeps one port's new flows from delaying other ports; a port that has the thread to itself delays nobody.
        let isAlone = worker.pointee.soloBursts >= DatapathLimits.soloBursts
        let start = clinux_tsc()
        if start &- windowStart > windowCycles {
            windowStart = start
            windowSpent = 0
        }
        let isSpent = sharesTime && windowSpent > windowCycles * DatapathLimits.upcallSharePercent / 100
        let limit = isAlone ? count : isSpent ? 0 : budget.load(ordering: .relaxed)
        defer { windowSpent &+= clinux_tsc() &- start }
        var translated = 0
        var missed: UInt64 = 0
        for index in 0..<count where worker.pointee.misses[index] == LookupState.missed {
            missed += 1
            if let decision = decisions.first(where: { covers($0, worker, index) }) {
                settle(worker, index, decision)
                continue
            }
            // Only a packet on its first pass can wait elsewhere: its fate is not tied to this thread's other packets.
            if canDefer, translated >= limit, worker.pointee.depths[index] == 0 {
                handOver(worker, index)
                continue
            }
            translated += 1
            let begun = clinux_tsc()
            translate(worker, index)
            let cycles = max(1, clinux_tsc() &- begun)
            let bin = min(WorkerCounter.latencyBins - 1, 63 - cycles.leadingZeroBitCount)
            bump(worker.pointee.statistics + (WorkerCounter.upcallLatency + bin), 1)
            bump(worker.pointee.statistics + WorkerCounter.upcallCycles, cycles)
        }
        bump(worker.pointee.statistics + WorkerCounter.missed, missed)
        bump(worker.pointee.statistics + WorkerCounter.upcalls, UInt64(translated))
    }

    /// Notes the time.
    func lookAtClock(_ worker: Worker) { worker.pointee.now = clock.now.nanoseconds }

    private func settle(_ worker: Worker, _ index: Int, _ entry: UInt32) {
        worker.pointee.found[index] = entry
        worker.pointee.misses[index] = LookupState.found
    }

    /// Whether a decision of this burst holds for packet `index` too.
    private func covers(_ decision: UInt32, _ worker: Worker, _ index: Int) -> Bool {
        let (key, lines) = (worker.pointee.key(index), worker.pointee.lines(index))
        if decision & Group.transientFlag == 0 { return FlowReader.verify(table.shared, decision, key, lines) != 0 }
        let mask = transientMatches + Int(decision & ~Group.transientFlag) * 2 * FlowLayout.keyBytes
        return (0..<5).allSatisfy { line in
            FlowReader.lineAgrees(
                FlowReader.keyLine(table.shared, key, lines | 1, line), mask + line * 64, mask + (FlowLayout.keyBytes + line * 64))
        }
    }

    private func translate(_ worker: Worker, _ index: Int) {
        var key = FlowKey()
        key.withMutableBytes { Actions.copyKey(worker, index, $0.baseAddress!) }
        let packet = worker.pointee.packets[index]
        let bytes = UnsafeRawBufferPointer(start: cdpdk_mbuf_data(packet), count: Int(packet.pointee.data_len))
        if table.watch.isActive.load(ordering: .relaxed) { table.watch.tell { $0.missed(key) } }
        translator.translate(key, packet: bytes, hasSideEffects: true, into: &translation)
        if translation.isCacheable {
            if table.tryLock() {
                let result = table.installLocked(
                    key, lines: FlowLine(rawValue: worker.pointee.lines(index)), translation, now: worker.pointee.now,
                    missedBytes: UInt64(packet.pointee.pkt_len))
                let wantsGrowth = table.wantsGrowth
                table.unlock()
                // As for punted packets: wakes maintenance.
                if wantsGrowth { worker.pointee.puntsProduced = true }
                switch result {
                case .installed(let entry), .existing(let entry):
                    if case .installed = result, table.watch.isActive.load(ordering: .relaxed) { tellOfInstallation(entry, key) }
                    settle(worker, index, entry)
                    decisions.append(entry)
                    return
                case .refused: break
                }
            }
            bump(worker.pointee.statistics + WorkerCounter.uninstalledUpcalls, 1)
        }
        let program = ActionProgram(compiling: translation.actions)
        let number = worker.pointee.transientCount
        worker.pointee.transients[number] = TransientProgram(
            ops: program.ops, count: program.count, flags: program.flags, packets: 0, bytes: 0, tcpFlags: 0)
        worker.pointee.transientCount += 1
        programs.append(program)
        effects.append(translation.effects)
        let entry = UInt32(number) | Group.transientFlag
        settle(worker, index, entry)
        if translation.isCacheable {
            decisions.append(entry)
            remember(number, key)
        }
    }

    /// The entry stays until this thread's next quiescent state, whatever becomes of it.
    private func tellOfInstallation(_ entry: UInt32, _ key: FlowKey) {
        guard let record = table.record(entry) else { return }
        var snapshot = MegaflowSnapshot(
            match: table.match(entry, record), actions: record.compiled.actions, packets: 0, bytes: 0, lastUsed: nil, tcpFlags: 0)
        snapshot.packet = key
        table.watch.tell { $0.added(snapshot) }
    }

    /// Notes what the decision for a program that was not installed looked at.
    private func remember(_ number: Int, _ key: borrowing FlowKey) {
        translation.mask.addStructural()
        let mask = (transientMatches + number * 2 * FlowLayout.keyBytes).assumingMemoryBound(to: UInt64.self)
        let masked = mask + FlowLayout.keyWords
        for word in 0..<FlowLayout.keyWords {
            mask[word] = translation.mask.bits.words[word]
            masked[word] = key.words[word] & translation.mask.bits.words[word]
        }
    }

    /// Gives a packet to the handler thread, or drops it.
    private func handOver(_ worker: Worker, _ index: Int) {
        let port = Int(worker.pointee.inPorts[index])
        let outstanding =
            worker.pointee.deferredByPort[port] &- UInt32(truncatingIfNeeded: worker.pointee.handledByPort[port].load(ordering: .acquiring))
        worker.pointee.misses[index] = LookupState.gone
        // A port's packets stay in order: they have one handler.
        let handler = port % Int(worker.pointee.handlerCount)
        let ring = worker.pointee.deferred[handler]
        guard Int(outstanding) < DatapathLimits.upcallQueuePerPort, let record = ring.nextToProduce() else {
            bump(worker.pointee.statistics + WorkerCounter.lostUpcalls, 1)
            Outcome.drop(worker, worker.pointee.packets[index], worker.pointee.metas[index], .upcallOverload)
            return
        }
        record.storeBytes(of: worker.pointee.packets[index], toByteOffset: DeferredRecord.packet, as: Packet.self)
        record.storeBytes(of: worker.pointee.inPorts[index], toByteOffset: DeferredRecord.inPort, as: UInt32.self)
        ring.produce()
        worker.pointee.deferredByPort[port] &+= 1
        worker.pointee.deferredProduced |= 1 << UInt8(handler)
        bump(worker.pointee.statistics + WorkerCounter.deferredUpcalls, 1)
    }

    /// After the burst's actions: hands over the counts of decisions that were not installed, and frees their programs.
    func finishBurst(_ worker: Worker) {
        for number in 0..<worker.pointee.transientCount {
            let transient = worker.pointee.transients[number]
            if let effects = effects[number], transient.packets > 0 {
                waiting.append(
                    UninstalledCredit(
                        effects: effects,
                        delta: FlowStatisticsDelta(
                            packets: transient.packets, bytes: transient.bytes, lastUsed: Instant(nanoseconds: worker.pointee.now),
                            tcpFlags: transient.tcpFlags)))
            }
            programs[number].deallocate()
        }
        worker.pointee.transientCount = 0
        programs.removeAll(keepingCapacity: true)
        effects.removeAll(keepingCapacity: true)
        handOverCredits()
    }

    /// Tries to give waiting counts to the maintenance thread; never waits. Whether none are left.
    @discardableResult
    func handOverCredits() -> Bool {
        if waiting.isEmpty { return true }
        guard credits.tryAppend(waiting) else { return false }
        waiting.removeAll(keepingCapacity: true)
        return true
    }

    /// The same at the thread's end, when waiting harms nobody and there is no next time.
    func handOverLastCredits() {
        credits.append(waiting)
        waiting.removeAll()
    }
}

/// Counts of uninstalled translations, from any worker to the maintenance thread.
final class CreditQueue: Sendable {
    private let list = Mutex<[UninstalledCredit]>([])

    func tryAppend(_ credits: [UninstalledCredit]) -> Bool {
        list.withLockIfAvailable { $0.append(contentsOf: credits) } != nil
    }
    func append(_ credits: [UninstalledCredit]) { list.withLock { $0.append(contentsOf: credits) } }
    func take() -> [UninstalledCredit] {
        list.withLock { list in
            defer { list = [] }
            return list
        }
    }
}
