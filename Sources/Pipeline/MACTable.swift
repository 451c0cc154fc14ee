// The MAC-learning table of a bridge: behind which port is a station of a VLAN?
//
// Lookups are part of every NORMAL translation and take no lock. Learning, which changes the table, takes one; it happens
// once for each new or moved station. A station that is seen again only gets a newer time.
//
// The table is open addressing over fixed memory of twice the entries. A slot is three atomic words: key, port, last use.
// A reader reads key, port, key: if the key did not change in between, the port belongs to it.

internal import Base
internal import DatapathAPI
public import Flow
internal import Synchronization

/// An entry as `fdb/show` lists it.
public struct LearnedAddress: Sendable, Equatable {
    public var port: OpenFlowPort
    public var vlan: UInt16
    /// 48 bits.
    public var address: UInt64
    public var ageSeconds: Int
    /// Put there by hand: neither ages nor moves.
    public var isStatic = false
}

/// What a MAC-learning table did so far (`fdb/stats-show`).
public struct MACTableStatistics: Sendable, Equatable {
    public var entries = 0
    public var capacity = 0
    public var staticEntries = 0
    public var learned: UInt64 = 0
    public var expired: UInt64 = 0
    public var evicted: UInt64 = 0
    public var moved: UInt64 = 0
    /// Times that a station was heard of elsewhere than where it was put by hand.
    public var staticRefusals: UInt64 = 0
}

/// Learned stations.
///
/// ## Thread safety
/// `lookup` and `touch` may be called by any thread and wait for nobody; the others take the table's lock for a moment.
final class MACTable: Sendable {
    private static let tombstone: UInt64 = 1 << 61
    private static let present: UInt64 = 1 << 60
    private static let slotWords = 3
    private static let evictionCandidates = 8

    private struct State {
        var capacity: Int
        var ageingSeconds: Int
        var entryCount = 0
        var tombstoneCount = 0
        /// Slots of each port's entries, least recently learned or refreshed first (checked again at eviction).
        var queues: [UInt32: [Int]] = [:]
        var counts: [UInt32: Int] = [:]
        var learned: UInt64 = 0
        var expired: UInt64 = 0
        var evicted: UInt64 = 0
        var moved: UInt64 = 0
        var staticRefusals: UInt64 = 0
    }
    /// The last use of a static entry.
    private static let never = UInt64.max

    /// Word 0: the slots' mask, then the slots.
    private struct Storage: @unchecked Sendable {
        // Sound: atomic words.
        let words: UnsafeMutablePointer<Atomic<UInt64>>
        let mask: Int
        init(slots: Int) {
            let count = slots * MACTable.slotWords
            let raw = UnsafeMutableRawPointer.allocate(byteCount: count * 8, alignment: 64)
            raw.initializeMemory(as: UInt64.self, repeating: 0, count: count)
            words = raw.assumingMemoryBound(to: Atomic<UInt64>.self)
            mask = slots - 1
        }
    }

    private let storage: Storage
    private let state: Mutex<State>
    private let seed: UInt64
    let bridge: UInt32

    /// - Parameter capacity: entries; the memory is for this many for good, `setLimits` may use fewer.
    init(bridge: UInt32, capacity: Int, ageingSeconds: Int, seed: UInt64) {
        self.bridge = bridge
        self.seed = seed
        var slots = 16
        while slots < capacity * 2 { slots *= 2 }
        storage = Storage(slots: slots)
        state = Mutex(State(capacity: capacity, ageingSeconds: ageingSeconds))
    }

    deinit { UnsafeMutableRawPointer(storage.words).deallocate() }

    private func key(_ address: UInt64, _ vlan: UInt16) -> UInt64 {
        MACTable.present | UInt64(vlan & 0xfff) << 48 | address & 0xffff_ffff_ffff
    }

    private func hash(_ key: UInt64) -> UInt64 {
        let product = (key ^ seed).multipliedFullWidth(by: 0x9e37_79b9_7f4a_7c15)
        return product.high ^ product.low
    }

    private func slot(_ index: Int) -> UnsafeMutablePointer<Atomic<UInt64>> { storage.words + index * MACTable.slotWords }

    /// What a decision that looked this station up depends on.
    func dependency(_ address: UInt64, vlan: UInt16) -> DependencySet {
        .macLearning(hash: UInt32(truncatingIfNeeded: hash(key(address, vlan)) >> 40) &+ bridge)
    }

    /// The port behind which the station is.
    func lookup(_ address: UInt64, vlan: UInt16) -> OpenFlowPort? {
        let wanted = key(address, vlan)
        guard let slot = find(wanted) else { return nil }
        let port = (slot + 1).pointee.load(ordering: .acquiring)
        return slot.pointee.load(ordering: .acquiring) == wanted ? OpenFlowPort(UInt32(truncatingIfNeeded: port)) : nil
    }

    private func find(_ wanted: UInt64) -> UnsafeMutablePointer<Atomic<UInt64>>? {
        var index = Int(truncatingIfNeeded: hash(wanted)) & storage.mask
        for _ in 0...storage.mask {
            let found = slot(index).pointee.load(ordering: .acquiring)
            if found == wanted { return slot(index) }
            if found == 0 { return nil }
            index = (index + 1) & storage.mask
        }
        return nil
    }

    /// Notes that the station is alive. False if it is not known behind this port: it has to be learned.
    func touch(_ address: UInt64, vlan: UInt16, port: OpenFlowPort, now: Instant) -> Bool {
        let wanted = key(address, vlan)
        guard let slot = find(wanted), (slot + 1).pointee.load(ordering: .acquiring) == UInt64(port.rawValue) else { return false }
        // What was put there by hand stays as it is.
        if (slot + 2).pointee.load(ordering: .relaxed) != MACTable.never { (slot + 2).pointee.max(now.nanoseconds, ordering: .relaxed) }
        return true
    }

    /// Learns a station, or that it moved. Returns what depended on the old state.
    ///
    /// - Parameter isLate: the packets are from `now`, but are heard of only later, as counts of a megaflow. They do not undo
    ///   what was seen since: a station that moved stays where it moved to.
    /// - Parameter isStatic: it stays there until it is removed.
    func learn(
        _ address: UInt64, vlan: UInt16, port: OpenFlowPort, now: Instant, isLate: Bool = false, isStatic: Bool = false
    ) -> DependencySet {
        let wanted = key(address, vlan)
        let now = isStatic ? Instant(nanoseconds: MACTable.never) : now
        return state.withLock { state in
            if let slot = find(wanted) {
                let old = UInt32(truncatingIfNeeded: (slot + 1).pointee.load(ordering: .relaxed))
                if !isStatic, (slot + 2).pointee.load(ordering: .relaxed) == MACTable.never {
                    if old != port.rawValue { state.staticRefusals += 1 }
                    return []
                }
                if isLate, (slot + 2).pointee.load(ordering: .relaxed) >= now.nanoseconds { return [] }
                (slot + 2).pointee.store(now.nanoseconds, ordering: .relaxed)
                if old == port.rawValue { return [] }
                state.moved += 1
                (slot + 1).pointee.store(UInt64(port.rawValue), ordering: .releasing)
                let index = (slot - storage.words) / MACTable.slotWords
                state.counts[old, default: 1] -= 1
                state.counts[port.rawValue, default: 0] += 1
                enqueue(index, port.rawValue, &state)
                return dependency(address, vlan: vlan)
            }
            var changed = dependency(address, vlan: vlan)
            while state.entryCount >= state.capacity {
                state.evicted += 1
                changed.formUnion(evictOne(&state))
            }
            if !isStatic { state.learned += 1 }
            if state.entryCount + state.tombstoneCount >= (storage.mask + 1) * 3 / 4 { changed.formUnion(rebuild(&state)) }
            var index = Int(truncatingIfNeeded: hash(wanted)) & storage.mask
            while true {
                let found = slot(index).pointee.load(ordering: .relaxed)
                if found == 0 { break }
                if found == MACTable.tombstone {
                    state.tombstoneCount -= 1
                    break
                }
                index = (index + 1) & storage.mask
            }
            (slot(index) + 1).pointee.store(UInt64(port.rawValue), ordering: .relaxed)
            (slot(index) + 2).pointee.store(now.nanoseconds, ordering: .relaxed)
            slot(index).pointee.store(wanted, ordering: .releasing)
            state.entryCount += 1
            state.counts[port.rawValue, default: 0] += 1
            enqueue(index, port.rawValue, &state)
            return changed
        }
    }

    /// Frees the entry that was idle longest among those of the port that has most, so that one port cannot push out others.
    private func evictOne(_ state: inout State) -> DependencySet {
        guard let port = state.counts.max(by: { ($0.value, $0.key) < ($1.value, $1.key) })?.key else {
            // The counts add up to the entries; should they ever not, start anew rather than look for ever.
            return removeWhere(&state) { _, _, _ in true }
        }
        var oldest = -1
        var oldestTime = UInt64.max
        var seen = 0
        // The queue is in order of learning: among its first few is one that is old enough.
        for index in state.queues[port] ?? [] where isEntry(index, of: port) {
            let time = (slot(index) + 2).pointee.load(ordering: .relaxed)
            if time < oldestTime {
                oldest = index
                oldestTime = time
            }
            seen += 1
            if seen == MACTable.evictionCandidates { break }
        }
        guard oldest >= 0 else {
            state.queues[port] = nil
            state.counts[port] = nil
            return removeWhere(&state) { entryPort, _, _ in entryPort == port }
        }
        let freed = free(oldest, &state)
        // Drop what the queue has in front that is not this port's any more.
        if var queue = state.queues[port] {
            let stale = queue.prefix { !isEntry($0, of: port) }.count
            queue.removeFirst(stale)
            state.queues[port] = queue
        }
        return freed
    }

    private func enqueue(_ index: Int, _ port: UInt32, _ state: inout State) {
        state.queues[port, default: []].append(index)
        // A station that moves to and fro leaves places behind that are not this port's, or are there twice.
        guard let count = state.queues[port]?.count, count > 2 * state.counts[port, default: 0] + 64 else { return }
        var seen: Set<Int> = []
        state.queues[port]?.removeAll { !isEntry($0, of: port) || !seen.insert($0).inserted }
    }

    private func isEntry(_ index: Int, of port: UInt32) -> Bool {
        let key = slot(index).pointee.load(ordering: .relaxed)
        return key & MACTable.present != 0 && (slot(index) + 1).pointee.load(ordering: .relaxed) == UInt64(port)
    }

    private func free(_ index: Int, _ state: inout State) -> DependencySet {
        let key = slot(index).pointee.load(ordering: .relaxed)
        let port = UInt32(truncatingIfNeeded: (slot(index) + 1).pointee.load(ordering: .relaxed))
        slot(index).pointee.store(MACTable.tombstone, ordering: .releasing)
        state.entryCount -= 1
        state.tombstoneCount += 1
        if let count = state.counts[port] { state.counts[port] = count > 1 ? count - 1 : nil }
        return dependency(key & 0xffff_ffff_ffff, vlan: UInt16(truncatingIfNeeded: key >> 48 & 0xfff))
    }

    /// Too many freed slots make probes long: place everything anew. Readers may miss entries meanwhile, so everything that
    /// depended on any entry is stale.
    private func rebuild(_ state: inout State) -> DependencySet {
        var entries: [(key: UInt64, port: UInt64, used: UInt64)] = []
        for index in 0...storage.mask {
            let key = slot(index).pointee.load(ordering: .relaxed)
            if key & MACTable.present != 0 {
                entries.append(
                    (key, (slot(index) + 1).pointee.load(ordering: .relaxed), (slot(index) + 2).pointee.load(ordering: .relaxed)))
            }
            slot(index).pointee.store(0, ordering: .releasing)
        }
        state.tombstoneCount = 0
        state.queues.removeAll(keepingCapacity: true)
        for entry in entries.sorted(by: { $0.used < $1.used }) {
            var index = Int(truncatingIfNeeded: hash(entry.key)) & storage.mask
            while slot(index).pointee.load(ordering: .relaxed) != 0 { index = (index + 1) & storage.mask }
            (slot(index) + 1).pointee.store(entry.port, ordering: .relaxed)
            (slot(index) + 2).pointee.store(entry.used, ordering: .relaxed)
            slot(index).pointee.store(entry.key, ordering: .releasing)
            state.queues[UInt32(truncatingIfNeeded: entry.port), default: []].append(index)
        }
        var all = DependencySet()
        for hash in 0..<12 as Range<UInt32> { all.formUnion(.macLearning(hash: hash)) }
        return all
    }

    /// Removes the entries for which `condition` (port, VLAN, last use) holds. Returns what depended on them.
    private func removeWhere(_ state: inout State, _ condition: (UInt32, UInt16, UInt64) -> Bool) -> DependencySet {
        var changed = DependencySet()
        for index in 0...storage.mask {
            let key = slot(index).pointee.load(ordering: .relaxed)
            guard key & MACTable.present != 0 else { continue }
            let port = UInt32(truncatingIfNeeded: (slot(index) + 1).pointee.load(ordering: .relaxed))
            let used = (slot(index) + 2).pointee.load(ordering: .relaxed)
            if condition(port, UInt16(truncatingIfNeeded: key >> 48 & 0xfff), used) { changed.formUnion(free(index, &state)) }
        }
        return changed
    }

    /// Forgets entries that were not used for the ageing time.
    func expire(now: Instant) -> DependencySet {
        state.withLock { state in
            if state.entryCount == 0 { return [] }
            let limit = UInt64(state.ageingSeconds) * 1_000_000_000
            let before = state.entryCount
            let changed = removeWhere(&state) { _, _, used in now.nanoseconds > used && now.nanoseconds - used >= limit }
            state.expired += UInt64(before - state.entryCount)
            return changed
        }
    }

    /// Forgets what was learned; what was put there by hand stays.
    func removeLearned() -> DependencySet { state.withLock { removeWhere(&$0) { _, _, used in used != MACTable.never } } }

    func remove(port: OpenFlowPort) -> DependencySet {
        state.withLock { removeWhere(&$0) { entryPort, _, _ in entryPort == port.rawValue } }
    }

    /// Forgets learned stations, wherever they are.
    func remove(_ stations: [LearnedAddress]) -> DependencySet {
        state.withLock { state in
            var changed = DependencySet()
            for station in stations {
                guard let slot = find(key(station.address, station.vlan)), (slot + 2).pointee.load(ordering: .relaxed) != MACTable.never
                else { continue }
                changed.formUnion(free((slot - storage.words) / MACTable.slotWords, &state))
            }
            return changed
        }
    }

    /// Removes a static entry; nil if there is none.
    func removeStatic(_ address: UInt64, vlan: UInt16) -> DependencySet? {
        let wanted = key(address, vlan)
        return state.withLock { state in
            guard let slot = find(wanted), (slot + 2).pointee.load(ordering: .relaxed) == MACTable.never else { return nil }
            return free((slot - storage.words) / MACTable.slotWords, &state)
        }
    }

    /// Counts so far; `clearStatistics` lets those of events begin at zero.
    func statistics() -> MACTableStatistics {
        let fixed = entries(now: Instant(nanoseconds: 0)).count(where: \.isStatic)
        return state.withLock { state in
            MACTableStatistics(
                entries: state.entryCount, capacity: state.capacity, staticEntries: fixed, learned: state.learned, expired: state.expired,
                evicted: state.evicted, moved: state.moved, staticRefusals: state.staticRefusals)
        }
    }

    func clearStatistics() {
        state.withLock { state in
            (state.learned, state.expired, state.evicted, state.moved, state.staticRefusals) = (0, 0, 0, 0, 0)
        }
    }

    func setAgeing(seconds: Int) { state.withLock { $0.ageingSeconds = seconds } }

    /// Keeps at most `capacity` entries from now on; false if the table is too small for that.
    func setCapacity(_ capacity: Int) -> Bool {
        state.withLock { state in
            guard capacity <= (storage.mask + 1) / 2 else { return false }
            // Entries beyond it go as new ones come.
            state.capacity = max(1, capacity)
            return true
        }
    }

    var count: Int { state.withLock { $0.entryCount } }

    /// All entries, the longest unused first; then by port, VLAN and address.
    func entries(now: Instant) -> [LearnedAddress] {
        var result: [(used: UInt64, entry: LearnedAddress)] = []
        for index in 0...storage.mask {
            let key = slot(index).pointee.load(ordering: .acquiring)
            let port = (slot(index) + 1).pointee.load(ordering: .acquiring)
            let used = (slot(index) + 2).pointee.load(ordering: .relaxed)
            guard key & MACTable.present != 0, slot(index).pointee.load(ordering: .acquiring) == key else { continue }
            let entry = LearnedAddress(
                port: OpenFlowPort(UInt32(truncatingIfNeeded: port)), vlan: UInt16(truncatingIfNeeded: key >> 48 & 0xfff),
                address: key & 0xffff_ffff_ffff, ageSeconds: Int(now.milliseconds(since: Instant(nanoseconds: used)) / 1000),
                isStatic: used == MACTable.never)
            result.append((used, entry))
        }
        return result.sorted {
            ($0.used, $0.entry.port, $0.entry.vlan, $0.entry.address) < ($1.used, $1.entry.port, $1.entry.vlan, $1.entry.address)
        }.map(\.entry)
    }
}
