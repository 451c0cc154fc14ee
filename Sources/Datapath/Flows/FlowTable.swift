// The megaflow table's writing side: installing, replacing and removing.
//
// Readers are described in FlowMemory. Writers serialise on one lock that is held for a microsecond or a few (longer
// when a bucket table grows) and never while anything is translated. PMD threads only *try* it: who finds it taken
// carries its actions out without installing. Maintenance waits for it.
//
// What is taken out goes to `removed` and `retired`; maintenance frees it after a grace period.
//
// ## Thread safety
// Members that say "locked" are called with the lock held. `@unchecked Sendable`: everything mutable is under the lock, but
// for `records`, whose words are atomic and whose objects only maintenance releases.

internal import Base
internal import CLinux
internal import DatapathAPI
internal import Flow
internal import Glibc
internal import Synchronization

final class FlowTable: @unchecked Sendable {
    /// What came of an attempt to install.
    enum Installation {
        case installed(UInt32)
        /// Somebody else has installed a current megaflow that covers the packet.
        case existing(UInt32)
        case refused
    }

    /// A megaflow that was taken out, and the one that took its place and inherits its counts.
    struct Removed {
        var entry: UInt32
        var successor: UInt32
    }

    let shared: UnsafePointer<SharedState>
    let watch = FlowWatch()
    /// `Unmanaged<MegaflowRecord>` by entry number.
    let records: AtomicPointer
    private let recordRegion: RawRegion
    private let lockWord: UnsafeMutablePointer<Atomic<UInt32>>

    // Under the lock
    /// The latest changes of single rules.
    var changes = ChangeLog()
    /// Of the summaries' lists.
    let links = EntryLinks()
    var recentActions = RecentActions()
    var free: [UInt32] = []
    var nextUnused: UInt32 = 1
    private(set) var flowCount = 0
    var subtables: SubtableSet
    /// By port number; nil for those without megaflows.
    var ports: [PortFlows?] = Array(repeating: nil, count: DatapathLimits.ports)
    var portsInUse = 0
    var removed: [Removed] = []
    var retired: [UnsafeMutableRawPointer] = []
    private var statistics = FlowTableStatistics()
    /// The subtable whose larger bucket table is being filled, and those that wait for it.
    var migration: Migration?
    var growing: [UInt32] = []
    /// Whether large bucket tables grow at once, too: where nobody does maintenance.
    var growsAtOnce = false
    /// Copies of the settings that count here.
    var flowLimit = DatapathLimits.defaultFlowLimit
    var ladderMaskBudget = DatapathLimits.ladderMaskBudget
    var exactMaskBudget = DatapathLimits.exactMaskBudget
    var directProbeMasks = 1
    /// Set when an install met the limit: maintenance is to make room.
    private(set) var isPressed = false

    /// Frees what `shared` leads to, when nobody uses it any more.
    private let afterDeinit: () -> Void

    init(shared: UnsafePointer<SharedState>, afterDeinit: @escaping () -> Void) {
        self.shared = shared
        self.afterDeinit = afterDeinit
        subtables = SubtableSet(shared: shared, links: links)
        recordRegion = RawRegion(byteCount: DatapathLimits.megaflows * 8)
        records = recordRegion.base.assumingMemoryBound(to: Atomic<UnsafeMutableRawPointer?>.self)
        let raw = UnsafeMutableRawPointer.allocate(byteCount: 64, alignment: 64)
        raw.initializeMemory(as: UInt8.self, repeating: 0, count: 64)
        lockWord = raw.assumingMemoryBound(to: Atomic<UInt32>.self)
    }

    /// All readers and writers are gone.
    deinit {
        for entry in 0..<nextUnused {
            if let pointer = records[Int(entry)].load(ordering: .acquiring) { Unmanaged<MegaflowRecord>.fromOpaque(pointer).release() }
        }
        for port in ports.indices where ports[port] != nil { shared.pointee.portFlows[port].load(ordering: .acquiring)?.deallocate() }
        for number in subtables.indices where subtables[number] != nil { bucketTable(UInt32(number))?.deallocate() }
        abandonMigration()
        retired.forEach { $0.deallocate() }
        recordRegion.unmap()
        changes.deallocate()
        links.deallocate()
        UnsafeMutableRawPointer(lockWord).deallocate()
        afterDeinit()
    }

    // MARK: The lock

    func tryLock() -> Bool {
        lockWord.pointee.load(ordering: .relaxed) == 0 && lockWord.pointee.exchange(1, ordering: .acquiring) == 0
    }
    func lock() {
        var rounds: UInt32 = 0
        while !tryLock() {
            rounds &+= 1
            if rounds & 63 == 0 { sched_yield() } else { clinux_pause() }
        }
    }
    func unlock() { lockWord.pointee.store(0, ordering: .releasing) }
    func withLock<Result>(_ body: () -> Result) -> Result {
        lock()
        defer { unlock() }
        return body()
    }

    // MARK: Reading

    func record(_ entry: UInt32) -> MegaflowRecord? {
        guard let pointer = records[Int(entry)].load(ordering: .acquiring) else { return nil }
        return Unmanaged<MegaflowRecord>.fromOpaque(pointer).takeUnretainedValue()
    }

    /// Whether the entry is in the table (and not only waiting for its grace period to end).
    func isAlive(_ entry: UInt32) -> Bool {
        FlowReader.entry(shared, entry).atomicWord(FlowLayout.checked).pointee.load(ordering: .acquiring) != 0
    }

    /// Whether a decision taken at `sequence` with `dependencies` still stands.
    func isCurrent(_ entry: UInt32) -> Bool {
        let memory = FlowReader.entry(shared, entry)
        let checked = memory.atomicWord(FlowLayout.checked).pointee.load(ordering: .acquiring)
        let sequence = shared.pointee.versions.pointee.load(ordering: .acquiring)
        return checked != 0 && (checked == sequence || FlowReader.refresh(shared, entry, checked, sequence))
    }

    func snapshotStatistics() -> FlowTableStatistics {
        withLock {
            var result = statistics
            result.flows = flowCount
            result.masks = subtables.used
            result.limit = flowLimit
            return result
        }
    }

    // MARK: Installing

    /// Installs a megaflow for the key (40 words, absent lines as zeros), unless somebody has. Locked.
    func installLocked(
        _ key: borrowing FlowKey, lines: FlowLine, _ translation: Translation, now: UInt64, missedBytes: UInt64 = 0
    ) -> Installation {
        let port = UInt32(truncatingIfNeeded: key.load(at: FlowOffset.datapathInPort, count: 4))
        var stale: UInt32 = 0
        let found = find(key, port: port)
        if found != 0 {
            if isCurrent(found) { return .existing(found) }
            stale = found
        }
        guard stale != 0 || hasRoom(for: port) else {
            isPressed = true
            statistics.installsRefused += 1
            return .refused
        }
        guard let subtable = chooseSubtable(translation.mask, port: port, lines: lines) else {
            statistics.installsRefused += 1
            return .refused
        }
        if stale != 0, entrySubtable(stale) != subtable {
            // Decisions of different times overlap: another packet of the stale one's may have brought this very megaflow already.
            let twin = find(key, in: subtable)
            if twin != 0 {
                removeLocked(stale)
                if isCurrent(twin) { return .existing(twin) }
                stale = twin
            }
        }
        guard let entry = makeEntry(key, subtable: subtable, port: port, translation, now: now) else {
            dropSubtableIfEmpty(subtable)
            statistics.installsRefused += 1
            return .refused
        }
        if let record = record(entry) {
            if missedBytes > 0 {
                record.missedPackets = 1
                record.missedBytes = missedBytes
            }
            if watch.keepsPackets.load(ordering: .relaxed) { record.packet = StoredKey(key) }
        }
        if stale != 0, entrySubtable(stale) == subtable, hasSameKey(stale, entry) {
            replaceSlot(stale, with: entry)
            noteRemoved(stale, successor: entry)
            changeDirect(port, stale, entry)
        } else {
            if stale != 0 { removeLocked(stale) }
            guard insertSlot(entry, subtable: subtable) else {
                discard(entry)
                dropSubtableIfEmpty(subtable)
                statistics.installsRefused += 1
                return .refused
            }
            flowCount += 1
            addUse(port, subtable, entry)
            changeDirect(port, 0, entry)
        }
        statistics.installed += 1
        return .installed(entry)
    }

    /// Replaces a megaflow by one of the same match with a new decision. Locked, and the maintenance lock held. False if it is
    /// gone already. A new decision is no use: the new one is as idle as the old one.
    func replaceLocked(_ old: UInt32, _ record: MegaflowRecord, _ translation: Translation) -> Bool {
        guard self.record(old) === record, isAlive(old) else { return false }
        let key = match(old, record).key
        guard let entry = makeEntry(key, subtable: record.subtable, port: record.port, translation, now: record.lastActivity) else {
            return false
        }
        self.record(entry)?.packet = record.packet
        replaceSlot(old, with: entry)
        noteRemoved(old, successor: entry)
        changeDirect(record.port, old, entry)
        statistics.retranslated += 1
        return true
    }

    /// Whether one more megaflow fits. What is left of the last sixteenth of the table is for ports that have less than their
    /// share of it.
    private func hasRoom(for port: UInt32) -> Bool {
        let limit = min(flowLimit, DatapathLimits.megaflows - 1)
        if flowCount < limit - limit / 16 { return true }
        return flowCount < limit && !isOverShare(port)
    }

    /// Whether a port has more megaflows than the limit divided by the ports that have any. Locked.
    func isOverShare(_ port: UInt32) -> Bool {
        guard let flows = ports[Int(port)]?.direct.flows else { return false }
        return flows * max(1, portsInUse) > flowLimit
    }

    private func find(_ key: borrowing FlowKey, port: UInt32) -> UInt32 {
        guard Int(port) < DatapathLimits.ports else { return 0 }
        var checked: UInt64 = 0
        let shared = shared
        return key.withBytes { FlowReader.find(shared, port: port, $0.baseAddress!, 0x1f, &checked) }
    }

    /// The same in one subtable only, whatever others have.
    private func find(_ key: borrowing FlowKey, in subtable: UInt32) -> UInt32 {
        guard let table = bucketTable(subtable) else { return 0 }
        var checked: UInt64 = 0
        let shared = shared
        let memory = FlowReader.subtable(shared, subtable)
        let lines = memory.load(fromByteOffset: FlowLayout.subtableLines, as: UInt8.self)
        return key.withBytes {
            let hash = FlowReader.hash(shared, $0.baseAddress!, 0x1f, memory, lines)
            return FlowReader.probe(shared, table, hash, $0.baseAddress!, 0x1f, &checked)
        }
    }

    /// The subtable for a decision that looked at these bits: with what readers must match anyway, and no more masks than the port's
    /// budgets allow. Nil if there cannot be another one.
    private func chooseSubtable(_ mask: borrowing FlowMask, port: UInt32, lines: FlowLine) -> UInt32? {
        subtables.want(mask)
        let flows = ports[Int(port)]
        let count = flows?.uses.count ?? 0
        // However many ports there are: from half of all masks on a port may add a few only, and from three quarters on only
        // exact ones, of which there are few in all.
        let all = subtables.taken
        let (ladder, exact) =
            all < DatapathLimits.masks / 2
            ? (ladderMaskBudget, exactMaskBudget)
            : all < DatapathLimits.masks / 4 * 3 ? (min(ladderMaskBudget, 4), min(exactMaskBudget, 8)) : (0, 0)
        var existing = subtables.existing()
        if count < ladder || isUsed(existing, flows) { return existing ?? subtables.make() }
        subtables.roundWanted()
        existing = subtables.existing()
        if count < exact || isUsed(existing, flows) {
            statistics.laddered += 1
            return existing ?? subtables.make()
        }
        statistics.exact += 1
        subtables.want(mask)
        subtables.makeWantedExact(lines)
        return subtables.existing() ?? subtables.make()
    }

    private func isUsed(_ number: UInt32?, _ flows: PortFlows?) -> Bool {
        guard let number, let flows else { return false }
        return flows.uses.contains { $0.subtable == number }
    }

    // MARK: Removing

    /// Takes a megaflow out. Locked.
    func removeLocked(_ entry: UInt32) {
        guard isAlive(entry), let record = record(entry) else { return }
        clearSlot(entry)
        noteRemoved(entry, successor: 0)
        flowCount -= 1
        subtables[Int(record.subtable)]!.flows -= 1
        removeUse(record.port, record.subtable)
        changeDirect(record.port, entry, 0)
        dropSubtableIfEmpty(record.subtable)
    }

    /// Counts removals by cause. Locked.
    func countLocked(expired: Int = 0, evicted: Int = 0) {
        statistics.expired += UInt64(expired)
        statistics.evicted += UInt64(evicted)
    }
    func clearPressureLocked() { isPressed = false }

    /// What was taken out since the last call. Locked.
    func takeRemovedLocked() -> (removed: [Removed], memory: [UnsafeMutableRawPointer], subtables: [UInt32]) {
        defer {
            removed = []
            retired = []
        }
        return (removed, retired, subtables.takeRetired())
    }

    /// Entry and subtable numbers whose grace period is over. Locked. The caller has released the records.
    func recycleLocked(entries: [UInt32], subtables numbers: [UInt32]) {
        free.append(contentsOf: entries)
        subtables.recycle(numbers)
    }

    /// Releases an entry's record; nobody can reach the entry any more.
    func releaseRecord(_ entry: UInt32) {
        if let pointer = records[Int(entry)].exchange(nil, ordering: .acquiringAndReleasing) {
            Unmanaged<MegaflowRecord>.fromOpaque(pointer).release()
        }
    }

    // MARK: Subtables

    private func dropSubtableIfEmpty(_ number: UInt32) {
        guard let subtable = subtables[Int(number)], subtable.flows == 0 else { return }
        if migration?.subtable == number { abandonMigration() }
        if let table = subtables.drop(subtable, number) { retired.append(table) }
    }

    func bucketTable(_ number: UInt32) -> UnsafeMutableRawPointer? { subtables.bucketTable(number) }
}
