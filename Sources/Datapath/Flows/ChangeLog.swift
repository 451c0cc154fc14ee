// Changes of single rules: which megaflows they concern.
//
// A megaflow is concerned if it looked in the rule's table and its match does not exclude the rule's. Megaflows that are
// there when the change is noted are compared by `FlowTable.invalidate`, those that come later when they are installed: a
// decision remembers the number of the latest change from before it began, and the log keeps the latest changes.

internal import Base
internal import DatapathAPI
internal import Flow
internal import Synchronization

/// The log, under the flow table's lock.
struct ChangeLog {
    private static let capacity = 256
    /// The latest changes; change number n is at n % capacity.
    private var changes: [TableChange?] = Array(repeating: nil, count: capacity)
    private(set) var latest: UInt64 = 0
    /// `Translation.rewrittenWords` by entry number.
    private let rewritten = RawRegion(byteCount: DatapathLimits.megaflows * 8)

    func deallocate() { rewritten.unmap() }

    /// Notes a change that is visible already and that `number` counts.
    mutating func append(_ change: TableChange, number: UInt64) {
        changes[Int(number % UInt64(ChangeLog.capacity))] = change
        latest = number
    }

    /// Notes how a megaflow's decision saw its packets.
    func note(_ entry: UInt32, _ translation: borrowing Translation) {
        rewritten.base.storeBytes(of: translation.rewrittenWords, toByteOffset: Int(entry) * 8, as: UInt64.self)
    }

    @inline(__always) func rewrittenWords(_ entry: UInt32) -> UInt64 {
        rewritten.base.load(fromByteOffset: Int(entry) * 8, as: UInt64.self)
    }

    /// Whether a change came since the decision began that concerns it, or too many came to tell.
    func hasConcerned(
        _ entry: UInt32, mask: borrowing FlowMask, port: UInt32, _ translation: borrowing Translation, _ shared: UnsafePointer<SharedState>
    ) -> Bool {
        guard latest > translation.tableSequence else { return false }
        if latest - translation.tableSequence > UInt64(ChangeLog.capacity) { return true }
        for number in translation.tableSequence + 1...latest {
            guard let change = changes[Int(number % UInt64(ChangeLog.capacity))] else { return true }
            if translation.dependencies.isDisjoint(with: change.slots) { continue }
            let probe = ChangeProbe(change, mask: mask)
            if probe.concerns(FlowReader.entry(shared, entry), port: port, rewritten: translation.rewrittenWords) { return true }
        }
        return false
    }
}

/// A change held against the megaflows of one mask: the words of key line 0 that both look at.
///
/// Bits in further lines are not compared; that can only make a megaflow stale that need not be.
struct ChangeProbe {
    private var keys = InlineArray<8, UInt64>(repeating: 0)
    private var bits = InlineArray<8, UInt64>(repeating: 0)
    private var places = InlineArray<8, Int>(repeating: 0)
    private var count = 0
    private let slots: UInt64
    private let inPort: UInt32?

    init(_ change: borrowing TableChange, mask: borrowing FlowMask) {
        slots = change.slots.rawValue
        inPort = change.inPort?.rawValue
        var rest = change.match.present & 0xff
        while rest != 0 {
            let word = rest.trailingZeroBitCount
            rest &= rest - 1
            let place = change.match.place(of: word)
            let common = change.match.words[place + 1] & mask.bits.words[word]
            if common == 0 { continue }
            keys[count] = change.match.words[place] & common
            bits[count] = common
            places[count] = word
            count += 1
        }
    }

    /// Whether the megaflow with this entry may be concerned, whatever it depended on.
    @inline(__always)
    func concerns(_ entry: UnsafeMutableRawPointer, port: UInt32, rewritten: UInt64) -> Bool {
        if let inPort, inPort != port, rewritten >> UInt64(TableChange.inPortWord) & 1 == 0 { return false }
        let words = entry.assumingMemoryBound(to: UInt64.self)
        for index in 0..<count where (words[places[index]] ^ keys[index]) & bits[index] != 0 {
            if rewritten >> UInt64(places[index]) & 1 == 0 { return false }
        }
        return true
    }

    @inline(__always)
    func dependsOnIt(_ entry: UnsafeMutableRawPointer) -> Bool {
        entry.load(fromByteOffset: FlowLayout.dependencies, as: UInt64.self) & slots != 0
    }
}

extension FlowTable {
    /// Entries that are looked at in one piece, with the lock held.
    private static let slice = 2048

    /// Notes changes, and says how many comparisons it takes to find the megaflows that they concern.
    func noteChanges(_ changes: [TableChange], versions: DependencyVersions) -> Int {
        withLock {
            for change in changes { self.changes.append(change, number: versions.advanceTableSequence()) }
            var comparisons = 0
            var scans = false
            for change in changes {
                let requirement = MaskSummary.Requirement(change)
                for subtable in subtables {
                    guard let subtable, subtable.flows > 0, !subtable.summary.excludes(requirement) else { continue }
                    if let list = subtable.summary.list(requirement), list.count <= FlowTable.slice {
                        comparisons += list.count
                    } else {
                        comparisons += subtable.flows
                        scans = true
                    }
                }
            }
            return scans ? comparisons + Int(nextUnused) : comparisons
        }
    }

    /// Marks the megaflows that changes (64 at most), which are noted, concern. The maintenance lock need not be held: an entry
    /// that is replaced or installed meanwhile is compared when it comes.
    func invalidate(_ changes: [TableChange]) {
        let requirements = changes.map { MaskSummary.Requirement($0) }
        // By mask number, the changes that its lists have settled already.
        var settled: [UInt32: UInt64] = [:]
        guard withLock({ followLists(changes, requirements, &settled) }) else { return }
        // By mask number, made when a mask is first met.
        var probes: [UInt32: [ChangeProbe]] = [:]
        var generation = 0
        var first: UInt32 = 1
        while true {
            let isDone = withLock {
                // A number may be another mask's by now. Its megaflows are newer than the changes.
                if generation != subtables.generation {
                    generation = subtables.generation
                    probes.removeAll()
                }
                let end = min(nextUnused, first &+ UInt32(FlowTable.slice))
                var entry = first
                var latestMask: UInt32 = 0
                var latest: [ChangeProbe] = []
                while entry < end {
                    let number = entry
                    let memory = FlowReader.entry(shared, number)
                    entry += 1
                    if memory.atomicWord(FlowLayout.checked).pointee.load(ordering: .relaxed) == 0 { continue }
                    let mask = memory.load(fromByteOffset: FlowLayout.mask, as: UInt32.self)
                    if mask != latestMask {
                        latestMask = mask
                        if let known = probes[mask] {
                            latest = known
                        } else {
                            latest = probesOf(mask, changes, requirements, settled[mask] ?? 0)
                            probes[mask] = latest
                        }
                    }
                    for probe in latest where isConcerned(number, memory, probe) {
                        mark(memory.atomicWord(FlowLayout.checked))
                        break
                    }
                }
                first = end
                return end >= nextUnused
            }
            if isDone { return }
        }
    }

    /// Compares changes with the megaflows of a list, where a mask has a short one for them, and notes that. Locked. False if
    /// nothing else is left to be compared.
    private func followLists(
        _ changes: [TableChange], _ requirements: [MaskSummary.Requirement], _ settled: inout [UInt32: UInt64]
    ) -> Bool {
        var isLeft = false
        for number in subtables.indices {
            guard let subtable = subtables[number], subtable.flows > 0 else { continue }
            for index in changes.indices where !subtable.summary.excludes(requirements[index]) {
                guard let list = subtable.summary.list(requirements[index]), list.count <= FlowTable.slice else {
                    isLeft = true
                    continue
                }
                settled[UInt32(number), default: 0] |= 1 << UInt64(index)
                let probe = ChangeProbe(changes[index], mask: subtable.mask)
                var entry = list.first
                while entry != 0 {
                    let memory = FlowReader.entry(shared, entry)
                    if isConcerned(entry, memory, probe) { mark(memory.atomicWord(FlowLayout.checked)) }
                    entry = links.get(entry).next
                }
            }
        }
        return isLeft
    }

    @inline(__always)
    private func isConcerned(_ entry: UInt32, _ memory: UnsafeMutableRawPointer, _ probe: ChangeProbe) -> Bool {
        let port = UInt32(bigEndian: memory.load(fromByteOffset: FlowOffset.datapathInPort, as: UInt32.self))
        return probe.dependsOnIt(memory) && probe.concerns(memory, port: port, rewritten: changes.rewrittenWords(entry))
    }

    /// The changes that may concern some megaflow of a mask and are not settled. Locked.
    private func probesOf(
        _ number: UInt32, _ changes: [TableChange], _ requirements: [MaskSummary.Requirement], _ settled: UInt64
    ) -> [ChangeProbe] {
        let open = changes.indices.filter { settled >> UInt64($0) & 1 == 0 }
        guard let subtable = subtables[Int(number)] else { return open.map { ChangeProbe(changes[$0], mask: FlowMask()) } }
        return open.filter { !subtable.summary.excludes(requirements[$0]) }.map { ChangeProbe(changes[$0], mask: subtable.mask) }
    }

    /// Makes a megaflow stale, unless it is gone.
    private func mark(_ checked: AtomicWord) {
        var seen = checked.pointee.load(ordering: .relaxed)
        while seen != 0, seen != FlowLayout.stale {
            let (isDone, original) = checked.pointee.compareExchange(
                expected: seen, desired: FlowLayout.stale, ordering: .acquiringAndReleasing)
            if isDone { return }
            seen = original
        }
    }
}
