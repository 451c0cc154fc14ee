// What goes on beside the traffic: delivering punted packets, crediting counts, expiring and evicting, translating stale
// megaflows anew, freeing what nobody can see any more.

internal import Base
internal import CDPDK
internal import CLinux
public import DatapathAPI
internal import Flow
internal import Glibc
internal import Netdev
internal import Synchronization

/// Under the datapath's maintenance lock.
struct MaintenanceState {
    /// What was taken out of the flow table, and the token of its grace period.
    struct Reclaim {
        var token: UInt64
        var removed: [FlowTable.Removed]
        var memory: [UnsafeMutableRawPointer]
        var subtables: [UInt32]
    }
    var reclaims: [Reclaim] = []
    /// When the last whole pass was, and the dependencies' sequence it began at.
    var lastPass: UInt64 = 0
    var lastSequence: UInt64 = 0
    /// Before this time only a whole pass that is asked for takes place: passes take a third of a thread at most, however
    /// fast things change. Who meets a stale megaflow meanwhile translates it anew.
    var nextPass: UInt64 = 0
    var lastOrdering: UInt64 = 0
    var translation = Translation()

    /// Frees the memory of batches that never came to their end; the flow table is going too.
    func deallocate() { for reclaim in reclaims { reclaim.memory.forEach { $0.deallocate() } } }
}

extension Datapath {
    /// A round of maintenance: as the maintenance thread does it, and as tests without threads call it. `isWhole` makes it
    /// look at every megaflow whatever the time.
    public func runMaintenance(isWhole: Bool = true) {
        deliverPunts()
        creditUninstalled()
        offload.withdrawStale()
        let now = clock.now.nanoseconds
        let isDue = maintenance.withLock { state in
            reclaim(&state)
            table.growTables()
            let sequence = versions.sequence
            // Twice a second for expiry and counts, and at once when something changed.
            let isWanted = sequence != state.lastSequence || now &- state.lastPass >= 500_000_000 || table.withLock { table.isPressed }
            guard isWhole || isWanted && now >= state.nextPass else { return false }
            state.lastPass = now
            state.lastSequence = sequence
            return true
        }
        if isDue {
            pass(now: now)
            maintenance.withLock { state in
                evict(now: now)
                let end = clock.now.nanoseconds
                state.nextPass = end &+ 2 &* (end &- now)
            }
        }
        maintenance.withLock { state in
            if now &- state.lastOrdering >= 1_000_000_000 {
                state.lastOrdering = now
                table.withLock { table.orderSubtablesLocked() }
            }
            reclaim(&state)
        }
        followPortChanges()
        balance(now: clock.now.nanoseconds)
    }

    // MARK: Towards the control plane

    /// Hands punted packets to the translator.
    func deliverPunts() {
        puntLock.withLock { _ in
            for worker in workers.withLock({ $0 }) {
                let ring = worker.state.pointee.punts
                // Bounded by the ring's size: a flood must not keep maintenance from its other duties.
                var left = DatapathLimits.puntQueue
                while left > 0, let record = ring.nextToConsume() {
                    left -= 1
                    let packet = record.load(fromByteOffset: PuntRecord.packet, as: Packet.self)
                    let total = record.load(fromByteOffset: PuntRecord.totalLength, as: UInt32.self)
                    let length = min(packet.pointee.pkt_len, record.load(fromByteOffset: PuntRecord.maxLength, as: UInt32.self))
                    let bytes = [UInt8](unsafeUninitializedCapacity: Int(length)) { buffer, count in
                        count = length == 0 ? 0 : Int(cdpdk_mbuf_read(packet, 0, length, buffer.baseAddress!))
                    }
                    var key = FlowKey()
                    key.withMutableBytes { $0.baseAddress!.copyMemory(from: record + PuntRecord.key, byteCount: FlowLayout.keyBytes) }
                    let token = PuntToken(rawValue: record.load(fromByteOffset: PuntRecord.token, as: UInt32.self))
                    ring.consume()
                    cdpdk_mbuf_free(packet)
                    translator.receive(PuntedPacket(token: token, bytes: bytes, totalLength: Int(total), key: key))
                }
            }
        }
    }

    private func creditUninstalled() {
        for credit in credits.take() { translator.credit(credit.effects, credit.delta) }
    }

    public func pushStatistics() {
        creditUninstalled()
        maintenance.withLock { _ in
            let all = workers.withLock { $0 }
            var ordered = OrderedCredits()
            creditOffloaded(&ordered)
            for entry in 1..<max(1, table.withLock({ table.nextUnused })) {
                guard let record = table.record(entry), table.isAlive(entry) else { continue }
                credit(entry, record, all, &ordered)
            }
            ordered.handOver(to: translator)
        }
    }

    /// What is handed over in the order in which megaflows were last used.
    struct OrderedCredits {
        private var credits: [(effects: any TranslationEffects, delta: FlowStatisticsDelta)] = []

        mutating func add(_ effects: any TranslationEffects, _ delta: FlowStatisticsDelta) { credits.append((effects, delta)) }

        consuming func handOver(to translator: any PacketTranslator) {
            credits.sort { $0.delta.lastUsed < $1.delta.lastUsed }
            for credit in credits { translator.credit(credit.effects, credit.delta) }
        }
    }

    /// Takes over what the threads counted for an entry since the last time. Returns the packets.
    @discardableResult
    private func credit(
        _ entry: UInt32, _ record: MegaflowRecord, _ all: [WorkerThread], _ ordered: inout OrderedCredits
    ) -> UInt64 {
        var packets: UInt64 = 0
        var bytes: UInt64 = 0
        var lastUsed: UInt64 = 0
        var tcpFlags: UInt64 = 0
        for worker in all {
            let counters = worker.state.pointee.flowCounters + Int(entry) * FlowLayout.flowCounterBytes
            packets &+= counters.atomicWord(0).pointee.load(ordering: .relaxed)
            bytes &+= counters.atomicWord(8).pointee.load(ordering: .relaxed)
            lastUsed = max(lastUsed, counters.atomicWord(16).pointee.load(ordering: .relaxed))
            tcpFlags |= counters.atomicWord(24).pointee.load(ordering: .relaxed)
        }
        let newPackets = packets &- record.packets
        guard newPackets > 0 else { return 0 }
        let delta = FlowStatisticsDelta(
            packets: newPackets, bytes: bytes &- record.bytes, lastUsed: Instant(nanoseconds: lastUsed),
            tcpFlags: UInt16(truncatingIfNeeded: tcpFlags))
        record.packets = packets
        record.bytes = bytes
        record.lastUsed = lastUsed
        record.tcpFlags |= delta.tcpFlags
        if let effects = record.effects {
            if effects.isOrdered { ordered.add(effects, delta) } else { translator.credit(effects, delta) }
        }
        return newPackets
    }

    // MARK: Looking at every megaflow

    /// A whole pass, in slices: whoever asks for statistics meanwhile waits for one of them at most.
    private func pass(now: UInt64) {
        let (last, maximumIdle) = (table.withLock { table.nextUnused }, settings.maximumIdleMilliseconds)
        let idleNanoseconds = maximumIdle.multipliedReportingOverflow(by: 1_000_000)
        let limit = idleNanoseconds.overflow ? UInt64.max : idleNanoseconds.partialValue
        var hits: [UInt64: UInt64] = [:]
        var candidates: [FlowOffload.Candidate] = []
        maintenance.withLock { _ in
            var ordered = OrderedCredits()
            creditOffloaded(&ordered)
            ordered.handOver(to: translator)
        }
        var first: UInt32 = 1
        while first < last {
            let end = min(last, first + UInt32(DatapathLimits.maintenanceSlice))
            maintenance.withLock { state in
                let all = workers.withLock { $0 }
                var ordered = OrderedCredits()
                for number in first..<end {
                    guard let record = table.record(number), table.isAlive(number) else { continue }
                    let packets = credit(number, record, all, &ordered)
                    if packets > 0 { hits[UInt64(record.port) << 32 | UInt64(record.subtable), default: 0] += packets }
                    if now > record.lastActivity, now - record.lastActivity >= limit {
                        table.withLock {
                            table.removeLocked(number)
                            table.countLocked(expired: 1)
                        }
                    } else if !table.isCurrent(number) {
                        retranslate(number, record, &state.translation)
                    } else if offload.isActive, now < record.lastUsed &+ 1_000_000_000,
                        candidates.count < DatapathLimits.offloadsPerPass
                    {
                        if let candidate = candidate(number, record) { candidates.append(candidate) }
                    }
                }
                ordered.handOver(to: translator)
            }
            first = end
            deliverPunts()
            // Under the lock: one thread at a time lets tables grow.
            maintenance.withLock { _ in table.growTables() }
        }
        table.withLock { table.noteHitsLocked(hits) }
        if !candidates.isEmpty { offload.insert(candidates) }
    }

    /// Asks the translator again about a stale megaflow. The answer takes the old one's place if it looks at no bit that the
    /// megaflow does not match; else the next packet will tell.
    private func retranslate(_ entry: UInt32, _ record: MegaflowRecord, _ translation: inout Translation) {
        let match = table.match(entry, record)
        translator.translate(match.key, packet: UnsafeRawBufferPointer(start: nil, count: 0), hasSideEffects: false, into: &translation)
        var looked = translation.mask
        looked.addStructural()
        for word in FlowLayout.keyWords..<FlowKey.wordCount { looked.bits.words[word] = 0 }
        var isReplaced = false
        table.withLock {
            if translation.isCacheable, match.mask.isSuperset(of: looked), table.replaceLocked(entry, record, translation) {
                isReplaced = true
                return
            }
            if table.record(entry) === record { table.removeLocked(entry) }
        }
        if isReplaced, table.watch.isActive.load(ordering: .relaxed), translation.actions != record.compiled.actions {
            var snapshot = MegaflowSnapshot(match: match, actions: translation.actions, packets: 0, bytes: 0, lastUsed: nil, tcpFlags: 0)
            snapshot.packet = record.packet?.key
            table.watch.tell { $0.changed(snapshot, from: record.compiled.actions) }
        }
    }

    /// At the limit, the idlest megaflows make room.
    private func evict(now: UInt64) {
        let (count, limit, isPressed, last) = table.withLock { (table.flowCount, table.flowLimit, table.isPressed, table.nextUnused) }
        guard isPressed || count > limit else { return }
        let wanted = max(0, count - limit) + max(1, limit / 16)
        // Ports with more than their share give first.
        var greedy: [UInt32: Bool] = [:]
        var ages: [(keeps: Bool, activity: UInt64, entry: UInt32)] = []
        ages.reserveCapacity(count)
        for entry in 1..<max(1, last) {
            guard let record = table.record(entry), table.isAlive(entry) else { continue }
            let isGreedy = greedy[record.port] ?? table.withLock { table.isOverShare(record.port) }
            greedy[record.port] = isGreedy
            ages.append((!isGreedy, record.lastActivity, entry))
        }
        ages.sort { ($0.keeps ? 1 : 0, $0.activity) < ($1.keeps ? 1 : 0, $1.activity) }
        for old in ages.prefix(wanted) {
            table.withLock {
                table.removeLocked(old.entry)
                table.countLocked(evicted: 1)
            }
        }
        table.withLock { table.clearPressureLocked() }
    }

    /// Takes all megaflows of an input port out.
    func removeFlows(ofInputPort port: UInt32) {
        maintenance.withLock { state in
            for entry in 1..<max(1, table.withLock({ table.nextUnused })) {
                guard let record = table.record(entry), record.port == port, table.isAlive(entry) else { continue }
                table.withLock { table.removeLocked(entry) }
            }
            reclaim(&state)
        }
    }

    /// Takes all megaflows out (`dpctl/del-flows`); what they counted is credited.
    public func removeAllFlows() {
        maintenance.withLock { state in
            for entry in 1..<max(1, table.withLock({ table.nextUnused })) { table.withLock { table.removeLocked(entry) } }
            reclaim(&state)
        }
    }

    // MARK: Freeing

    /// Begins a grace period for what was taken out lately, and frees what is past its own.
    private func reclaim(_ state: inout MaintenanceState) {
        let taken = table.withLock { table.takeRemovedLocked() }
        if !taken.removed.isEmpty || !taken.memory.isEmpty || !taken.subtables.isEmpty {
            state.reclaims.append(
                MaintenanceState.Reclaim(
                    token: quiescent.beginGracePeriod(), removed: taken.removed, memory: taken.memory, subtables: taken.subtables))
        }
        while let first = state.reclaims.first, quiescent.hasPassed(first.token) {
            state.reclaims.removeFirst()
            let all = workers.withLock { $0 }
            var ordered = OrderedCredits()
            offload.withdrawStale()
            creditOffloaded(&ordered)
            for removed in first.removed {
                guard let record = table.record(removed.entry) else { continue }
                credit(removed.entry, record, all, &ordered)
                if removed.successor != 0, let successor = table.record(removed.successor) {
                    successor.basePackets &+= record.basePackets &+ record.packets
                    successor.baseBytes &+= record.baseBytes &+ record.bytes
                    successor.missedPackets &+= record.missedPackets
                    successor.missedBytes &+= record.missedBytes
                    successor.tcpFlags |= record.tcpFlags
                    successor.lastUsed = max(successor.lastUsed, record.lastUsed)
                }
                // No reader can reach the entry: its counters have no writer.
                for worker in all {
                    let counters = worker.state.pointee.flowCounters + Int(removed.entry) * FlowLayout.flowCounterBytes
                    for word in 0..<4 { counters.atomicWord(word * 8).pointee.store(0, ordering: .relaxed) }
                }
                table.releaseRecord(removed.entry)
            }
            ordered.handOver(to: translator)
            first.memory.forEach { $0.deallocate() }
            table.withLock { table.recycleLocked(entries: first.removed.map(\.entry), subtables: first.subtables) }
        }
    }

    // MARK: Showing

    public func megaflows() -> [MegaflowSnapshot] {
        maintenance.withLock { _ in
            var result: [MegaflowSnapshot] = []
            let all = workers.withLock { $0 }
            var ordered = OrderedCredits()
            creditOffloaded(&ordered)
            let layers = offload.layers()
            for entry in 1..<max(1, table.withLock({ table.nextUnused })) {
                guard let record = table.record(entry), table.isAlive(entry) else { continue }
                credit(entry, record, all, &ordered)
                var snapshot = MegaflowSnapshot(
                    match: table.match(entry, record), actions: record.compiled.actions, packets: record.basePackets &+ record.packets,
                    bytes: record.baseBytes &+ record.bytes,
                    lastUsed: record.lastUsed == 0 ? nil : Instant(nanoseconds: record.lastUsed), tcpFlags: record.tcpFlags)
                snapshot.packet = record.packet?.key
                snapshot.hardwareLayer = layers[entry]
                snapshot.missedPackets = record.missedPackets
                snapshot.missedBytes = record.missedBytes
                result.append(snapshot)
            }
            ordered.handOver(to: translator)
            return result
        }
    }
}

/// The thread that calls `runMaintenance`.
///
/// ## Thread safety
/// `start` and `stop` are called once each, by the datapath's owner; `@unchecked` for the thread's handle between the two.
final class MaintenanceThread: @unchecked Sendable {
    private var thread: pthread_t?
    private let stopping = Atomic<Bool>(false)
    private var descriptor: Int32 = -1

    private final class Context {
        let datapath: Datapath
        let owner: MaintenanceThread
        init(datapath: Datapath, owner: MaintenanceThread) {
            self.datapath = datapath
            self.owner = owner
        }
    }

    func start(_ datapath: Datapath) {
        descriptor = datapath.maintenanceDescriptor
        let context = Unmanaged.passRetained(Context(datapath: datapath, owner: self)).toOpaque()
        var created = pthread_t()
        let result = pthread_create(
            &created, nil,
            { context in
                let context = Unmanaged<Context>.fromOpaque(context!).takeRetainedValue()
                clinux_set_thread_name("apus-maint")
                cdpdk_thread_register()
                context.owner.run(context.datapath)
                cdpdk_thread_unregister()
                return nil
            }, context)
        if result != 0 {
            Unmanaged<Context>.fromOpaque(context).release()
            fatalError("the maintenance thread could not be created: \(String(cString: strerror(result)))")
        }
        thread = created
    }

    func stop() {
        guard let running = thread else { return }
        stopping.store(true, ordering: .releasing)
        _ = clinux_eventfd_signal(descriptor)
        pthread_join(running, nil)
        thread = nil
    }

    private func run(_ datapath: Datapath) {
        while !stopping.load(ordering: .acquiring) {
            var waiting = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
            _ = poll(&waiting, 1, 100)
            if waiting.revents != 0 {
                _ = clinux_eventfd_drain(descriptor)
                datapath.deliverPunts()
            }
            datapath.runMaintenance(isWhole: false)
        }
    }
}
