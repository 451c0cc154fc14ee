// The slow path's rule table: which rule of highest priority matches a packet, and which bits of the packet said so.
//
// Rules are grouped by mask into subtables (tuple space search). A lookup visits subtables by falling highest priority and
// stops when none that is left can beat what it has. On the way it avoids whole subtables: by tries of the IPv4 and IPv6
// prefixes, when no rule anywhere has a prefix of that subtable's length that the address is in; and by stages (metadata,
// L2, L3, L4), when no rule of the subtable agrees with the packet's first stages.
//
// What a lookup looked at is reported as a mask, for the megaflow. The invariant: a packet that agrees with this one on the
// mask's bits gets the same rule. Superfluous bits are harmless, missing ones are wrong; every avoided subtable still adds
// the bits that showed it could be avoided.
//
// Rules carry versions. A change is made at a version above the published one, where no lookup sees it, and becomes
// visible, however big, by the one store that publishes the version. What was removed stays linked until no reader of an
// older version is left.

public import Base
public import Flow
public import Synchronization

/// A table of prioritised rules.
///
/// ## Thread safety
/// Readers (`lookup`, `forEachVisible`) may be any threads at any time; they hold a slot of `epochs` while they look and
/// while they use what they found without retaining it. They wait for nobody. Everything else is for one writer at a time.
public final class Classifier: @unchecked Sendable {
    /// Word 0 points to the published list of subtables, words 1 to 4 to the tries' roots.
    /// Sound: atomic words, freed with the object.
    let shared: UnsafeMutableRawPointer
    let tries: [PrefixTrie]
    let epochs: ReaderEpochs
    let seed: UInt64

    // The writer's.
    /// The subtable that was looked up last.
    var latest: Subtable?
    /// Removed rules and replaced tables that are worth a look at all readers.
    static let settlingThreshold = 64
    var subtables: [UInt64: [Subtable]] = [:]
    var order: [Subtable] = []
    var isOrderStale = false
    /// Subtables without rules that readers may still find in a list.
    var emptied: [Subtable] = []
    /// Removed at a version that is not published yet.
    var removed: [ClassifierRule] = []
    /// Removed and published; to unlink when readers of older versions are gone.
    var unlinking: [(tag: UInt64, rules: [ClassifierRule])] = []
    /// Out of reach for new readers; to free when the present ones are gone.
    var retiring = Retired()
    var freeing: [(tag: UInt64, what: Retired)] = []
    /// Rules linked, whatever their version.
    public internal(set) var linkedCount = 0
    /// Whether rules were put in that decide together, so that lookups must see every match (`forEachMatch`). Sound: atomic.
    public let needsAllMatches = Atomic<Bool>(false)

    /// What to free together.
    struct Retired {
        var memory: [UnsafeMutableRawPointer] = []
        var rules: [ClassifierRule] = []
        var subtables: [Subtable] = []
        var isEmpty: Bool { memory.isEmpty && rules.isEmpty && subtables.isEmpty }
    }

    /// - Parameter seed: keeps outsiders from aiming at hash collisions.
    public init(epochs: ReaderEpochs, seed: UInt64) {
        self.epochs = epochs
        self.seed = seed
        let shared = allocateWords(1 + TrieField.allCases.count)
        self.shared = shared
        tries = TrieField.allCases.map { PrefixTrie(root: atomicWord(shared, 1 + $0.rawValue)) }
        storeWord(shared, 0, word(Classifier.makeList([])))
    }

    /// No reader may be left.
    deinit {
        for subtable in order {
            subtable.forEach { Subtable.rule($0.node).release() }
        }
        for retired in freeing.map(\.what) + [retiring] { retired.memory.forEach { $0.deallocate() } }
        tries.forEach { $0.removeAll() }
        pointer(loadWord(shared, 0))?.deallocate()
        shared.deallocate()
    }

    // MARK: Lookup

    /// The subtables as readers see them: word 0 the count, then pairs of body and highest priority.
    static func makeList(_ subtables: [Subtable]) -> UnsafeMutableRawPointer {
        let list = allocateWords(1 + 2 * subtables.count)
        list.storeBytes(of: UInt64(subtables.count), as: UInt64.self)
        for (index, subtable) in subtables.enumerated() {
            list.storeBytes(of: word(subtable.body), toByteOffset: 8 + 16 * index, as: UInt64.self)
            list.storeBytes(of: Int64(subtable.maximumPriority), toByteOffset: 16 + 16 * index, as: Int64.self)
        }
        return list
    }

    /// The rule of highest priority that matches `key` at `version`, if any. Among equal priorities any one may be found.
    ///
    /// - Parameter mask: gets the bits that were looked at, in addition to what it has.
    /// - Returns: unretained; stays as long as the caller holds its slot of `epochs`.
    /// - Complexity: O(subtables of higher priority than the result's)
    public func lookup(
        _ key: UnsafePointer<FlowKey>, version: UInt64, mask: UnsafeMutablePointer<FlowMask>
    ) -> Unmanaged<ClassifierRule>? {
        let words = UnsafeRawPointer(key).assumingMemoryBound(to: UInt64.self)
        let looked = UnsafeMutableRawPointer(mask).assumingMemoryBound(to: UInt64.self)
        let list = pointer(loadWord(shared, 0))!
        let count = Int(list.load(as: UInt64.self))
        var best: UnsafeMutableRawPointer?
        var bestPriority = Int64.min
        var prefixes = InlineArray<4, TrieResult>(repeating: TrieResult())
        var walked = 0

        nextSubtable: for index in 0..<count {
            if list.load(fromByteOffset: 16 + 16 * index, as: Int64.self) <= bestPriority { break }
            let body = pointer(list.load(fromByteOffset: 8 + 16 * index, as: UInt64.self))!
            let layout = (body + Subtable.layoutOffset).assumingMemoryBound(to: Subtable.Layout.self)
            if layout.pointee.hasPrefixes {
                for field in 0..<4 {
                    let trieField = TrieField(rawValue: field).unsafelyUnwrapped
                    let length = trieField.prefixLength(layout.pointee.prefixLengths)
                    if length == 0 { continue }
                    if walked >> field & 1 == 0 {
                        walked |= 1 << field
                        prefixes[field] = tries[field].lookup(trieField.load(words), width: trieField.width)
                    }
                    if !prefixes[field].contains(length) {
                        trieField.unwildcard(min(prefixes[field].checkedBits, length), in: looked)
                        continue nextSubtable
                    }
                }
            }
            let wordList = layout.pointee.words
            let bits = layout.pointee.bits
            let total = layout.pointee.wordCount
            let ends = layout.pointee.stageEnds
            var hash = seed
            var place = 0
            for stage in 0..<3 {
                let end = stage == 0 ? ends.0 : stage == 1 ? ends.1 : ends.2
                if end == place { continue }
                while place < end {
                    hash = hashStep(hash, words[Int(wordList[place])] & bits[place])
                    place += 1
                }
                if place == total { break }
                if !Classifier.stageContains(pointer(loadWord(body, 1 + stage))!, hashFinish(hash)) {
                    for seen in 0..<place { looked[Int(wordList[seen])] |= bits[seen] }
                    continue nextSubtable
                }
            }
            while place < total {
                hash = hashStep(hash, words[Int(wordList[place])] & bits[place])
                place += 1
            }
            for seen in 0..<total { looked[Int(wordList[seen])] |= bits[seen] }
            if let node = Classifier.find(body, layout, hashFinish(hash), words, version) {
                let priority = node.load(fromByteOffset: ClassifierRule.priorityWord * 8, as: Int64.self)
                if priority > bestPriority {
                    best = node
                    bestPriority = priority
                }
            }
        }
        return best.map { Subtable.rule($0) }
    }

    @inline(__always) private static func stageContains(_ table: UnsafeMutableRawPointer, _ hash: UInt64) -> Bool {
        let tag = Subtable.stageTag(hash)
        let mask = table.load(as: UInt64.self)
        var index = Subtable.stagePlace(tag) & mask
        while true {
            let slot = loadWord(table, Subtable.slotsAt + Int(index))
            if slot == 0 { return false }
            if slot & ~0xff_ffff == tag { return slot & 0xff_ffff != 0 }
            index = (index + 1) & mask
        }
    }

    @inline(__always) private static func find(
        _ body: UnsafeMutableRawPointer, _ layout: UnsafeMutablePointer<Subtable.Layout>, _ hash: UInt64,
        _ words: UnsafePointer<UInt64>, _ version: UInt64
    ) -> UnsafeMutableRawPointer? {
        let table = pointer(loadWord(body, 0))!
        let mask = table.load(as: UInt64.self)
        let total = layout.pointee.wordCount
        var index = hash & mask
        while true {
            let slot = loadWord(table, Subtable.slotsAt + Int(index))
            if slot == 0 { return nil }
            if slot != Subtable.tombstone, (slot ^ hash) & ~Subtable.addressMask == 0,
                var node = pointer(slot & Subtable.addressMask)
            {
                let key = (node + ClassifierRule.keyWord * 8).assumingMemoryBound(to: UInt64.self)
                var difference: UInt64 = 0
                for word in 0..<total {
                    difference |= key[word] ^ (words[Int(layout.pointee.words[word])] & layout.pointee.bits[word])
                }
                if difference == 0 {
                    while true {
                        let addedIn = node.load(fromByteOffset: ClassifierRule.addedInWord * 8, as: UInt64.self)
                        if addedIn <= version, version < loadWord(node, ClassifierRule.removedInWord) { return node }
                        guard let next = pointer(loadWord(node, ClassifierRule.nextWord)) else { return nil }
                        node = next
                    }
                }
            }
            index = (index + 1) & mask
        }
    }

    /// Visits every rule that is visible at `version` and at least as specific as `filter`, in no order.
    public func forEachVisible(at version: UInt64, matching filter: Match, _ visit: (ClassifierRule) -> Void) {
        let list = pointer(loadWord(shared, 0))!
        let count = Int(list.load(as: UInt64.self))
        for index in 0..<count {
            let body = pointer(list.load(fromByteOffset: 8 + 16 * index, as: UInt64.self))!
            var covers: Bool?
            Subtable.forEach(body) { rule in
                guard rule.isVisible(in: version) else { return }
                if covers == nil { covers = rule.shape.isSuperset(of: filter.mask) }
                if covers!, rule.agrees(with: filter) { visit(rule) }
            }
        }
    }
}
