// Which masks there are, and by which number readers know them.
//
// To find or make a mask's subtable, it is first named with `want`: it has a place of its own here, because its 512 bytes are not
// to be copied for nothing. All under the flow table's lock.

internal import Base
internal import Flow
internal import Synchronization

/// The subtables by number. Number 0 is nobody's.
struct SubtableSet: RandomAccessCollection {
    private let shared: UnsafePointer<SharedState>
    private let links: EntryLinks
    private var subtables: [Subtable?] = [nil]
    private var free: [UInt32] = []
    private var numbersByHash: [UInt64: [UInt32]] = [:]
    /// The subtable that was found last: flows that come in a row mostly have one of a few masks.
    private var latest: UInt32 = 0
    private var wanted = FlowMask()
    /// Without flows, but entries that wait for their grace period still refer to their masks.
    private var retired: [UInt32] = []
    /// Counts the masks that got a number.
    private(set) var generation = 1

    init(shared: UnsafePointer<SharedState>, links: EntryLinks) {
        self.shared = shared
        self.links = links
    }

    var startIndex: Int { 0 }
    var endIndex: Int { subtables.count }
    subscript(number: Int) -> Subtable? { subtables[number] }

    /// Masks that flows have.
    private(set) var used = 0
    /// Numbers that are not free to be given to another mask: used, or waiting for the end of a grace period; and number 0.
    var taken: Int { subtables.count - free.count - retired.count }

    // MARK: The mask that is looked for

    /// With what readers must match anyway.
    mutating func want(_ mask: borrowing FlowMask) {
        for word in 0..<FlowLayout.keyWords { wanted.bits.words[word] = mask.bits.words[word] }
        wanted.addStructural()
    }

    /// Up to the next rungs of the ladder.
    mutating func roundWanted() { wanted = MaskLadder.rounded(wanted) }

    /// All bits of the lines that the key has.
    mutating func makeWantedExact(_ lines: FlowLine) { wanted = MaskLadder.exact(wanted, lines: lines) }

    private func hashOfWanted() -> UInt64 {
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

    // MARK: Subtables

    mutating func existing() -> UInt32? {
        if isWanted(latest) { return latest }
        guard let found = numbersByHash[hashOfWanted()]?.first(where: isWanted) else { return nil }
        latest = found
        return found
    }

    /// A subtable for the wanted mask, which has none. Nil if there are too many.
    mutating func make() -> UInt32? {
        let number: UInt32
        if let reused = free.popLast() {
            number = reused
        } else if subtables.count < DatapathLimits.masks {
            number = UInt32(subtables.count)
            subtables.append(nil)
        } else {
            return nil
        }
        generation += 1
        used += 1
        let hash = hashOfWanted()
        subtables[Int(number)] = Subtable(wanted, hash: hash, buckets: 4, links: links, shared: shared)
        numbersByHash[hash, default: []].append(number)
        let memory = FlowReader.subtable(shared, number)
        let words = memory.assumingMemoryBound(to: UInt64.self)
        for word in 0..<FlowLayout.keyWords { words[word] = wanted.bits.words[word] }
        memory.storeBytes(of: wanted.bits.lines.rawValue & 0x1f, toByteOffset: FlowLayout.subtableLines, as: UInt8.self)
        memory.atomicPointer(FlowLayout.subtableTable).pointee.store(SubtableSet.makeBuckets(4), ordering: .releasing)
        return number
    }

    /// Takes an empty subtable away. Returns its buckets, to be freed after a grace period; the mask stays readable as long.
    mutating func drop(_ subtable: Subtable, _ number: UInt32) -> UnsafeMutableRawPointer? {
        numbersByHash[subtable.hash]?.removeAll { $0 == number }
        if numbersByHash[subtable.hash]?.isEmpty == true { numbersByHash[subtable.hash] = nil }
        let table = bucketTable(number)
        FlowReader.subtable(shared, number).atomicPointer(FlowLayout.subtableTable).pointee.store(nil, ordering: .releasing)
        subtables[Int(number)] = nil
        used -= 1
        retired.append(number)
        return table
    }

    /// The numbers of what was dropped since the last call.
    mutating func takeRetired() -> [UInt32] {
        defer { retired = [] }
        return retired
    }

    /// Numbers whose grace period is over.
    mutating func recycle(_ numbers: [UInt32]) { free.append(contentsOf: numbers) }

    // MARK: Buckets

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
