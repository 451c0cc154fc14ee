// The rules of one mask: a hash table over their keys.
//
// Readers see a block of raw memory (`body`), the writer this object. A body is: word 0 the hash table, then a `Layout`.
//
// A hash table (`HashTableLink`) has one word a slot: a node's address in the low 48 bits under 16 bits of hash; 0 is free, 1
// was freed. Slots are probed one after the other. Rules of the same
// key hang in a chain, highest priority first.

internal import Flow
internal import Synchronization

/// A subtable, as its writer sees it.
///
/// ## Thread safety
/// The writer's, but for `body`: readers load its atomic words with acquire and read the layout, which never changes.
final class Subtable {
    /// What a reader needs beside the tables; written before the body is published.
    struct Layout {
        var wordCount: Int
        var words: UnsafeMutablePointer<UInt8>
        var bits: UnsafeMutablePointer<UInt64>
    }

    static let layoutOffset = 8
    static let addressMask: UInt64 = 0x0000_ffff_ffff_ffff
    static let tombstone: UInt64 = 1

    let shape: MaskShape
    unowned let group: SubtableGroup
    /// Which of 64 bits stands for this subtable in the group's filters.
    let filterBit: Int
    let body: UnsafeMutableRawPointer
    /// Nodes in the tables, visible or not.
    private(set) var ruleCount = 0
    /// At least the highest priority of the rules.
    private(set) var maximumPriority = Int32.min
    private var removalsSinceScan = 0
    private let seed: UInt64

    init(shape: MaskShape, seed: UInt64, group: SubtableGroup) {
        self.shape = shape
        self.group = group
        filterBit = group.nextFilterBit()
        self.seed = seed
        body = .allocate(byteCount: Subtable.layoutOffset + MemoryLayout<Layout>.size, alignment: 16)
        storeWord(body, 0, HashTableLink.make(capacity: 4))
        (body + Subtable.layoutOffset).initializeMemory(
            as: Layout.self, repeating: Layout(wordCount: shape.count, words: shape.words, bits: shape.bits), count: 1)
    }

    /// Frees what the subtable holds; no reader may be left.
    deinit {
        table.memory.deallocate()
        body.deallocate()
    }

    private var table: HashTableLink { HashTableLink(loadWord(body, 0)).unsafelyUnwrapped }

    /// The hash of a key's words, already masked and in stage order.
    private func hash(_ key: UnsafePointer<UInt64>) -> UInt64 {
        var hash = seed
        for index in 0..<shape.count { hash = hashStep(hash, key[index]) }
        return hashFinish(hash)
    }

    // MARK: Rules

    /// Links a rule's node; `retire` takes tables that were replaced.
    func insert(_ rule: ClassifierRule, retire: (UnsafeMutableRawPointer) -> Void) {
        let hash = hash(rule.keyWords)
        rule.node.storeBytes(of: hash, toByteOffset: ClassifierRule.hashWord * 8, as: UInt64.self)
        ruleCount += 1
        maximumPriority = ruleCount == 1 ? rule.rank : max(maximumPriority, rule.rank)
        guard let link = findChain(hash, rule.keyWords) else {
            claimSlot(hash, rule.node, retire: retire)
            return
        }
        // Before the first of a lower or the same priority: of equal ones the newest comes first.
        var place = link
        var isSlot = true
        while let next = pointer(place.pointee.load(ordering: .relaxed) & Subtable.addressMask),
            Subtable.priority(next) > rule.rank
        {
            place = atomicWord(next, ClassifierRule.nextWord)
            isSlot = false
        }
        storeWord(rule.node, ClassifierRule.nextWord, place.pointee.load(ordering: .relaxed) & Subtable.addressMask)
        place.pointee.store(isSlot ? Subtable.slotWord(hash, rule.node) : word(rule.node), ordering: .releasing)
    }

    /// Unlinks a rule's node, which readers may still be looking at.
    func unlink(_ rule: ClassifierRule) {
        guard var place = findChain(hash(rule.keyWords), rule.keyWords) else { preconditionFailure("the rule is not in its subtable") }
        var isSlot = true
        while let next = pointer(place.pointee.load(ordering: .relaxed) & Subtable.addressMask), next != rule.node {
            place = atomicWord(next, ClassifierRule.nextWord)
            isSlot = false
        }
        let after = loadWord(rule.node, ClassifierRule.nextWord)
        if isSlot {
            let hash = rule.node.load(fromByteOffset: ClassifierRule.hashWord * 8, as: UInt64.self)
            place.pointee.store(pointer(after).map { Subtable.slotWord(hash, $0) } ?? Subtable.tombstone, ordering: .releasing)
        } else {
            place.pointee.store(after, ordering: .releasing)
        }
        ruleCount -= 1
        removalsSinceScan += 1
        // The bound on priorities is lowered now and then, not each time: finding the next highest is a scan.
        if rule.rank == maximumPriority, removalsSinceScan >= ruleCount / 4 + 1 {
            removalsSinceScan = 0
            var highest = Int32.min
            forEach { highest = max(highest, $0.rank) }
            maximumPriority = highest
        }
    }

    /// Visits every rule that is linked. The callee must not insert or unlink.
    func forEach(_ visit: (ClassifierRule) -> Void) { Subtable.forEach(body, visit) }

    /// The same for readers, who come by the body.
    static func forEach(_ body: UnsafeMutableRawPointer, _ visit: (ClassifierRule) -> Void) {
        let table = HashTableLink(loadWord(body, 0)).unsafelyUnwrapped
        for index in 0...Int(table.mask) {
            var next = loadWord(table.slots, index) & addressMask
            if next == tombstone { continue }
            while let node = pointer(next) {
                // Read first: the visitor may let go of the rule.
                next = loadWord(node, ClassifierRule.nextWord)
                visit(rule(node).takeUnretainedValue())
            }
        }
    }

    /// The chain of rules with this very key, highest priority first.
    func forEachInChain(of key: UnsafePointer<UInt64>, _ visit: (ClassifierRule) -> Void) {
        guard let link = findChain(hash(key), key) else { return }
        var next = link.pointee.load(ordering: .relaxed) & Subtable.addressMask
        while let node = pointer(next) {
            visit(Subtable.rule(node).takeUnretainedValue())
            next = loadWord(node, ClassifierRule.nextWord)
        }
    }

    // MARK: Slots

    @inline(__always) static func priority(_ node: UnsafeMutableRawPointer) -> Int32 {
        Int32(truncatingIfNeeded: node.load(fromByteOffset: ClassifierRule.priorityWord * 8, as: Int64.self))
    }

    @inline(__always) static func rule(_ node: UnsafeMutableRawPointer) -> Unmanaged<ClassifierRule> {
        Unmanaged.fromOpaque(node.load(fromByteOffset: ClassifierRule.objectWord * 8, as: UnsafeRawPointer.self))
    }

    @inline(__always) static func slotWord(_ hash: UInt64, _ node: UnsafeMutableRawPointer) -> UInt64 {
        hash & ~addressMask | word(node)
    }

    private func findChain(_ hash: UInt64, _ key: UnsafePointer<UInt64>) -> AtomicWord? {
        let table = table
        var index = hash & table.mask
        while true {
            let slot = loadWord(table.slots, Int(index))
            if slot == 0 { return nil }
            if slot != Subtable.tombstone, (slot ^ hash) & ~Subtable.addressMask == 0, let node = pointer(slot & Subtable.addressMask),
                node.load(fromByteOffset: ClassifierRule.hashWord * 8, as: UInt64.self) == hash
            {
                let other = (node + ClassifierRule.keyWord * 8).assumingMemoryBound(to: UInt64.self)
                if isSame(other, key) { return atomicWord(table.slots, Int(index)) }
            }
            index = (index + 1) & table.mask
        }
    }

    @inline(__always) private func isSame(_ left: UnsafePointer<UInt64>, _ right: UnsafePointer<UInt64>) -> Bool {
        var difference: UInt64 = 0
        for index in 0..<shape.count { difference |= left[index] ^ right[index] }
        return difference == 0
    }

    private func claimSlot(_ hash: UInt64, _ node: UnsafeMutableRawPointer, retire: (UnsafeMutableRawPointer) -> Void) {
        var table = table
        // At most two thirds are used, freed slots included, so that a probe always ends.
        if (table.used + 1) * 3 > (table.mask + 1) * 2 { table = rebuild(table, retire: retire) }
        var index = hash & table.mask
        while loadWord(table.slots, Int(index)) != 0 { index = (index + 1) & table.mask }
        table.used += 1
        storeWord(table.slots, Int(index), Subtable.slotWord(hash, node))
    }

    private func rebuild(_ old: HashTableLink, retire: (UnsafeMutableRawPointer) -> Void) -> HashTableLink {
        var live = 0
        for index in 0...Int(old.mask) where loadWord(old.slots, index) > Subtable.tombstone { live += 1 }
        var capacity = 4
        while capacity < (live + 1) * 2 { capacity *= 2 }
        let made = HashTableLink.make(capacity: capacity)
        let table = HashTableLink(made).unsafelyUnwrapped
        for index in 0...Int(old.mask) {
            let slot = loadWord(old.slots, index)
            guard slot > Subtable.tombstone, let node = pointer(slot & Subtable.addressMask) else { continue }
            var place = node.load(fromByteOffset: ClassifierRule.hashWord * 8, as: UInt64.self) & table.mask
            while loadWord(table.slots, Int(place)) != 0 { place = (place + 1) & table.mask }
            storeWord(table.slots, Int(place), slot)
        }
        table.used = UInt64(live)
        storeWord(body, 0, made)
        retire(old.memory)
        return table
    }
}
