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
    private let records: AtomicPointer
    private let recordRegion: RawRegion
    private let lockWord: UnsafeMutablePointer<Atomic<UInt32>>

    // Under the lock
    /// Counts the masks that got a number.
    private(set) var maskGeneration = 1
    /// The latest changes of single rules.
    var changes = ChangeLog()
    /// Of the summaries' lists.
    let links = EntryLinks()
    private var recentActions = RecentActions()
    private var free: [UInt32] = []
    private(set) var nextUnused: UInt32 = 1
    private(set) var flowCount = 0
    var subtables: [Subtable?] = [nil]
    private var freeSubtables: [UInt32] = []
    private var subtablesByHash: [UInt64: [UInt32]] = [:]
    /// The subtable that was chosen last: flows that come in a row mostly have one of a few masks.
    private var latestSubtable: UInt32 = 0
    /// The mask that is looked for. A place of its own, because 512 bytes are not copied for nothing.
    private var wanted = FlowMask()
    /// By port number; nil for those without megaflows.
    var ports: [PortFlows?] = Array(repeating: nil, count: DatapathLimits.ports)
    var portsInUse = 0
    private var removed: [Removed] = []
    var retired: [UnsafeMutableRawPointer] = []
    private var retiredSubtables: [UInt32] = []
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

    /// The match of an entry that cannot be freed meanwhile (maintenance lock held).
    func match(_ entry: UInt32, _ record: MegaflowRecord) -> Match {
        let memory = FlowReader.entry(shared, entry)
        var match = Match()
        match.mask = mask(record.subtable)
        let words = memory.assumingMemoryBound(to: UInt64.self)
        for word in 0..<8 { match.key.words[word] = words[word] }
        if let further = record.keyExtension?.assumingMemoryBound(to: UInt64.self) {
            for word in 0..<32 { match.key.words[8 + word] = further[word] }
        }
        return match
    }

    /// A mask from the subtable's memory: it stays as long as an entry refers to it.
    private func mask(_ number: UInt32) -> FlowMask {
        var mask = FlowMask()
        let words = FlowReader.subtable(shared, number).assumingMemoryBound(to: UInt64.self)
        for word in 0..<FlowLayout.keyWords { mask.bits.words[word] = words[word] }
        return mask
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
            result.masks = subtables.reduce(0) { $0 + ($1 == nil ? 0 : 1) }
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
        want(mask)
        let flows = ports[Int(port)]
        let count = flows?.uses.count ?? 0
        // However many ports there are: from half of all masks on a port may add a few only, and from three quarters on only
        // exact ones, of which there are few in all.
        let all = subtables.count - freeSubtables.count - retiredSubtables.count
        let (ladder, exact) =
            all < DatapathLimits.masks / 2
            ? (ladderMaskBudget, exactMaskBudget)
            : all < DatapathLimits.masks / 4 * 3 ? (min(ladderMaskBudget, 4), min(exactMaskBudget, 8)) : (0, 0)
        var existing = existingSubtable()
        if count < ladder || isUsed(existing, flows) { return existing ?? makeSubtable() }
        wanted = MaskLadder.rounded(wanted)
        existing = existingSubtable()
        if count < exact || isUsed(existing, flows) {
            statistics.laddered += 1
            return existing ?? makeSubtable()
        }
        statistics.exact += 1
        want(mask)
        wanted = MaskLadder.exact(wanted, lines: lines)
        return existingSubtable() ?? makeSubtable()
    }

    private func want(_ mask: borrowing FlowMask) {
        for word in 0..<FlowLayout.keyWords { wanted.bits.words[word] = mask.bits.words[word] }
        wanted.addStructural()
    }

    private func isUsed(_ number: UInt32?, _ flows: PortFlows?) -> Bool {
        guard let number, let flows else { return false }
        return flows.uses.contains { $0.subtable == number }
    }

    private func makeEntry(
        _ key: borrowing FlowKey, subtable: UInt32, port: UInt32, _ translation: borrowing Translation, now: UInt64
    ) -> UInt32? {
        let entry: UInt32
        if let reused = free.popLast() {
            entry = reused
        } else if Int(nextUnused) < DatapathLimits.megaflows {
            entry = nextUnused
            nextUnused += 1
        } else {
            return nil
        }
        let compiled = recentActions.compile(translation.actions)
        let program = compiled.program
        let memory = FlowReader.entry(shared, entry)
        let words = memory.assumingMemoryBound(to: UInt64.self)
        let subtableMemory = FlowReader.subtable(shared, subtable)
        let bits = subtableMemory.assumingMemoryBound(to: UInt64.self)
        for word in 0..<8 { words[word] = key.words[word] & bits[word] }
        let further = subtableMemory.load(fromByteOffset: FlowLayout.subtableLines, as: UInt8.self) & 0x1e
        var keyExtension: UnsafeMutableRawPointer?
        if further != 0 {
            let memory = UnsafeMutableRawPointer.allocate(byteCount: 256, alignment: 64)
            let words = memory.assumingMemoryBound(to: UInt64.self)
            for word in 0..<32 { words[word] = key.words[8 + word] & bits[8 + word] }
            keyExtension = memory
        }
        memory.storeBytes(of: translation.sequence, toByteOffset: FlowLayout.sequence, as: UInt64.self)
        memory.storeBytes(of: translation.dependencies.rawValue, toByteOffset: FlowLayout.dependencies, as: UInt64.self)
        memory.storeBytes(of: subtable, toByteOffset: FlowLayout.mask, as: UInt32.self)
        memory.storeBytes(of: UInt16(program.count), toByteOffset: FlowLayout.opCount, as: UInt16.self)
        memory.storeBytes(of: further, toByteOffset: FlowLayout.further, as: UInt8.self)
        if keyExtension == nil, program.count <= FlowLayout.inlineOps {
            memory.storeBytes(of: program.flags, toByteOffset: FlowLayout.flags, as: UInt8.self)
            (memory + FlowLayout.actions).copyMemory(from: program.ops, byteCount: program.count * MemoryLayout<ActionOp>.stride)
        } else {
            let flags = program.flags & ~(EntryFlag.light | EntryFlag.plain) | EntryFlag.external
            memory.storeBytes(of: flags, toByteOffset: FlowLayout.flags, as: UInt8.self)
            memory.storeBytes(of: UInt(bitPattern: program.ops), toByteOffset: FlowLayout.actions, as: UInt.self)
            memory.storeBytes(of: UInt(bitPattern: keyExtension), toByteOffset: FlowLayout.keyExtension, as: UInt.self)
        }
        let record = MegaflowRecord(
            effects: translation.effects, compiled: compiled, keyExtension: keyExtension, port: port, subtable: subtable,
            installedAt: now)
        records[Int(entry)].store(Unmanaged.passRetained(record).toOpaque(), ordering: .releasing)
        // Publishes everything above to whoever finds the number, be it in a flow cache from an earlier life.
        changes.note(entry, translation)
        let owner = subtables[Int(subtable)]!
        owner.summary.count(entry, rewritten: translation.rewrittenWords, 1)
        let isConcerned = changes.hasConcerned(entry, mask: owner.mask, port: port, translation, shared)
        memory.atomicWord(FlowLayout.checked).pointee.store(
            isConcerned ? FlowLayout.stale : max(translation.sequence, 1), ordering: .releasing)
        return entry
    }

    /// Takes back an entry that no slot refers to yet. A flow cache may still remember its number from an earlier life, so
    /// it waits for a grace period like any other.
    private func discard(_ entry: UInt32) { noteRemoved(entry, successor: 0) }

    private func noteRemoved(_ entry: UInt32, successor: UInt32) {
        let summary = subtables[Int(entrySubtable(entry))]?.summary
        summary?.count(entry, rewritten: changes.rewrittenWords(entry), -1)
        FlowReader.entry(shared, entry).atomicWord(FlowLayout.checked).pointee.store(0, ordering: .releasing)
        removed.append(Removed(entry: entry, successor: successor))
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
            retiredSubtables = []
        }
        return (removed, retired, retiredSubtables)
    }

    /// Entry and subtable numbers whose grace period is over. Locked. The caller has released the records.
    func recycleLocked(entries: [UInt32], subtables numbers: [UInt32]) {
        free.append(contentsOf: entries)
        freeSubtables.append(contentsOf: numbers)
    }

    /// Releases an entry's record; nobody can reach the entry any more.
    func releaseRecord(_ entry: UInt32) {
        if let pointer = records[Int(entry)].exchange(nil, ordering: .acquiringAndReleasing) {
            Unmanaged<MegaflowRecord>.fromOpaque(pointer).release()
        }
    }

    // MARK: Subtables

    /// Of the mask that is wanted.
    private func hashOfMask() -> UInt64 {
        var hash: UInt64 = 0
        let secrets = shared.pointee.secrets
        for word in 0..<FlowLayout.keyWords { hash = KeyedHash.fold(hash ^ wanted.bits.words[word] ^ secrets[word & 7], secrets[8]) }
        return hash
    }

    private func isWanted(_ number: UInt32) -> Bool {
        guard let subtable = subtables[Int(number)] else { return false }
        var difference: UInt64 = 0
        for word in 0..<FlowLayout.keyWords { difference |= subtable.mask.bits.words[word] ^ wanted.bits.words[word] }
        return difference == 0
    }

    private func existingSubtable() -> UInt32? {
        if isWanted(latestSubtable) { return latestSubtable }
        guard let found = subtablesByHash[hashOfMask()]?.first(where: isWanted) else { return nil }
        latestSubtable = found
        return found
    }

    private func makeSubtable() -> UInt32? {
        let number: UInt32
        if let reused = freeSubtables.popLast() {
            number = reused
        } else if subtables.count < DatapathLimits.masks {
            number = UInt32(subtables.count)
            subtables.append(nil)
        } else {
            return nil
        }
        maskGeneration += 1
        let hash = hashOfMask()
        subtables[Int(number)] = Subtable(wanted, hash: hash, buckets: 4, links: links, shared: shared)
        subtablesByHash[hash, default: []].append(number)
        let memory = FlowReader.subtable(shared, number)
        let words = memory.assumingMemoryBound(to: UInt64.self)
        for word in 0..<FlowLayout.keyWords { words[word] = wanted.bits.words[word] }
        memory.storeBytes(of: wanted.bits.lines.rawValue & 0x1f, toByteOffset: FlowLayout.subtableLines, as: UInt8.self)
        memory.atomicPointer(FlowLayout.subtableTable).pointee.store(FlowTable.makeBuckets(4), ordering: .releasing)
        return number
    }

    private func dropSubtableIfEmpty(_ number: UInt32) {
        guard let subtable = subtables[Int(number)], subtable.flows == 0 else { return }
        let hash = subtable.hash
        subtablesByHash[hash]?.removeAll { $0 == number }
        if subtablesByHash[hash]?.isEmpty == true { subtablesByHash[hash] = nil }
        if migration?.subtable == number { abandonMigration() }
        // The mask stays readable for entries that wait for their grace period; the buckets go with it.
        if let table = bucketTable(number) { retired.append(table) }
        FlowReader.subtable(shared, number).atomicPointer(FlowLayout.subtableTable).pointee.store(nil, ordering: .releasing)
        subtables[Int(number)] = nil
        retiredSubtables.append(number)
    }

    static func makeBuckets(_ count: Int) -> UnsafeMutableRawPointer {
        let bytes = FlowLayout.tableHeader + count * 64
        let memory = UnsafeMutableRawPointer.allocate(byteCount: bytes, alignment: 64)
        memory.initializeMemory(as: UInt64.self, repeating: 0, count: bytes / 8)
        memory.storeBytes(of: UInt64(count - 1), as: UInt64.self)
        return memory
    }

    func bucketTable(_ number: UInt32) -> UnsafeMutableRawPointer? {
        FlowReader.subtable(shared, number).atomicPointer(FlowLayout.subtableTable).pointee.load(ordering: .acquiring)
    }
}
