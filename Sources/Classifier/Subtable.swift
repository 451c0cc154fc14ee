// The rules of one mask: a hash table over their keys, and one small hash table for each stage before the last.
//
// Readers see a block of raw memory (`body`), the writer this object. In words, a body is: 0 the hash table, 1 to 3 the
// stage tables of stages 0 to 2 (0 if the stage has none), then a `Layout`.
//
// A hash table is: word 0 its capacity less one, word 1 slots used (the writer's), then one word a slot: a node's address
// in the low 48 bits under 16 bits of hash; 0 is free, 1 was freed. Slots are probed one after the other. Rules of the same
// key hang in a chain, highest priority first. A stage table's slots hold 40 bits of hash above 24 bits of rule count.

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
        var stageEnds: (Int, Int, Int, Int)
        var prefixLengths: (UInt8, UInt8, UInt8, UInt8)
        var hasPrefixes: Bool
        var words: UnsafeMutablePointer<UInt8>
        var bits: UnsafeMutablePointer<UInt64>
    }

    static let layoutOffset = 32
    static let addressMask: UInt64 = 0x0000_ffff_ffff_ffff
    static let tombstone: UInt64 = 1
    static let slotsAt = 2

    let shape: MaskShape
    let body: UnsafeMutableRawPointer
    /// Nodes in the tables, visible or not.
    private(set) var ruleCount = 0
    /// At least the highest priority of the rules.
    private(set) var maximumPriority = Int32.min
    private var removalsSinceScan = 0
    private let seed: UInt64

    init(shape: MaskShape, seed: UInt64) {
        self.shape = shape
        self.seed = seed
        body = .allocate(byteCount: Subtable.layoutOffset + MemoryLayout<Layout>.size, alignment: 16)
        body.initializeMemory(as: UInt64.self, repeating: 0, count: Subtable.layoutOffset / 8)
        let lengths = shape.prefixLengths
        (body + Subtable.layoutOffset).initializeMemory(
            as: Layout.self,
            repeating: Layout(
                wordCount: shape.count, stageEnds: shape.stageEnds, prefixLengths: lengths,
                hasPrefixes: lengths.0 | lengths.1 | lengths.2 | lengths.3 != 0, words: shape.words, bits: shape.bits),
            count: 1)
        storeWord(body, 0, word(Subtable.makeTable(capacity: 4)))
        let ends = [shape.stageEnds.0, shape.stageEnds.1, shape.stageEnds.2]
        var previous = 0
        for stage in 0..<3 {
            // A stage of its own words, with others after it, can end a lookup early.
            if ends[stage] > previous, ends[stage] < shape.count { storeWord(body, 1 + stage, word(Subtable.makeTable(capacity: 4))) }
            previous = ends[stage]
        }
    }

    /// Frees what the subtable holds; no reader may be left.
    deinit {
        for index in 0..<4 { pointer(loadWord(body, index))?.deallocate() }
        body.deallocate()
    }

    static func makeTable(capacity: Int) -> UnsafeMutableRawPointer {
        let table = allocateWords(slotsAt + capacity)
        table.storeBytes(of: UInt64(capacity - 1), as: UInt64.self)
        return table
    }

    /// The hash of a key's words (already masked, in stage order) after each stage.
    private func hashes(_ key: UnsafePointer<UInt64>) -> (InlineArray<3, UInt64>, UInt64) {
        var stages = InlineArray<3, UInt64>(repeating: 0)
        var hash = seed
        let ends = shape.stageEnds
        for index in 0..<shape.count {
            hash = hashStep(hash, key[index])
            if index + 1 == ends.0 { stages[0] = hashFinish(hash) }
            if index + 1 == ends.1 { stages[1] = hashFinish(hash) }
            if index + 1 == ends.2 { stages[2] = hashFinish(hash) }
        }
        return (stages, hashFinish(hash))
    }

    // MARK: Rules

    /// Links a rule's node; `retire` takes tables that were replaced.
    func insert(_ rule: ClassifierRule, retire: (UnsafeMutableRawPointer) -> Void) {
        let (stages, hash) = hashes(rule.keyWords)
        rule.node.storeBytes(of: hash, toByteOffset: ClassifierRule.hashWord * 8, as: UInt64.self)
        for stage in 0..<3 where loadWord(body, 1 + stage) != 0 { adjustStage(stage, stages[stage], by: 1, retire: retire) }
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
    func unlink(_ rule: ClassifierRule, retire: (UnsafeMutableRawPointer) -> Void) {
        let (stages, hash) = hashes(rule.keyWords)
        for stage in 0..<3 where loadWord(body, 1 + stage) != 0 { adjustStage(stage, stages[stage], by: -1, retire: retire) }
        guard var place = findChain(hash, rule.keyWords) else { preconditionFailure("the rule is not in its subtable") }
        var isSlot = true
        while let next = pointer(place.pointee.load(ordering: .relaxed) & Subtable.addressMask), next != rule.node {
            place = atomicWord(next, ClassifierRule.nextWord)
            isSlot = false
        }
        let after = loadWord(rule.node, ClassifierRule.nextWord)
        if isSlot {
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
        let table = pointer(loadWord(body, 0))!
        let capacity = Int(table.load(as: UInt64.self)) + 1
        for index in 0..<capacity {
            var next = loadWord(table, slotsAt + index) & addressMask
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
        let (_, hash) = hashes(key)
        guard let link = findChain(hash, key) else { return }
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
        let table = pointer(loadWord(body, 0))!
        let mask = table.load(as: UInt64.self)
        var index = hash & mask
        while true {
            let slot = loadWord(table, Subtable.slotsAt + Int(index))
            if slot == 0 { return nil }
            if slot != Subtable.tombstone, (slot ^ hash) & ~Subtable.addressMask == 0, let node = pointer(slot & Subtable.addressMask),
                node.load(fromByteOffset: ClassifierRule.hashWord * 8, as: UInt64.self) == hash
            {
                let other = (node + ClassifierRule.keyWord * 8).assumingMemoryBound(to: UInt64.self)
                if (0..<shape.count).allSatisfy({ other[$0] == key[$0] }) { return atomicWord(table, Subtable.slotsAt + Int(index)) }
            }
            index = (index + 1) & mask
        }
    }

    private func claimSlot(_ hash: UInt64, _ node: UnsafeMutableRawPointer, retire: (UnsafeMutableRawPointer) -> Void) {
        var table = pointer(loadWord(body, 0))!
        var used = table.load(fromByteOffset: 8, as: UInt64.self)
        // At most two thirds are used, freed slots included, so that a probe always ends.
        if (used + 1) * 3 > (table.load(as: UInt64.self) + 1) * 2 {
            table = rebuild(table, retire: retire)
            used = table.load(fromByteOffset: 8, as: UInt64.self)
        }
        let mask = table.load(as: UInt64.self)
        var index = hash & mask
        while loadWord(table, Subtable.slotsAt + Int(index)) != 0 { index = (index + 1) & mask }
        table.storeBytes(of: used + 1, toByteOffset: 8, as: UInt64.self)
        storeWord(table, Subtable.slotsAt + Int(index), Subtable.slotWord(hash, node))
    }

    private func rebuild(_ old: UnsafeMutableRawPointer, retire: (UnsafeMutableRawPointer) -> Void) -> UnsafeMutableRawPointer {
        let oldCapacity = Int(old.load(as: UInt64.self)) + 1
        var live = 0
        for index in 0..<oldCapacity where loadWord(old, Subtable.slotsAt + index) > Subtable.tombstone { live += 1 }
        var capacity = 4
        while capacity < (live + 1) * 2 { capacity *= 2 }
        let table = Subtable.makeTable(capacity: capacity)
        let mask = UInt64(capacity - 1)
        for index in 0..<oldCapacity {
            let slot = loadWord(old, Subtable.slotsAt + index)
            guard slot > Subtable.tombstone, let node = pointer(slot & Subtable.addressMask) else { continue }
            var place = node.load(fromByteOffset: ClassifierRule.hashWord * 8, as: UInt64.self) & mask
            while loadWord(table, Subtable.slotsAt + Int(place)) != 0 { place = (place + 1) & mask }
            storeWord(table, Subtable.slotsAt + Int(place), slot)
        }
        table.storeBytes(of: UInt64(live), toByteOffset: 8, as: UInt64.self)
        storeWord(body, 0, word(table))
        retire(old)
        return table
    }

    // MARK: Stages

    /// 40 bits of a hash, never 0, in the place where a stage slot has them.
    @inline(__always) static func stageTag(_ hash: UInt64) -> UInt64 { (hash | 1 << 63) & ~0xff_ffff }

    private func adjustStage(_ stage: Int, _ hash: UInt64, by change: Int, retire: (UnsafeMutableRawPointer) -> Void) {
        let tag = Subtable.stageTag(hash)
        var table = pointer(loadWord(body, 1 + stage))!
        while true {
            let mask = table.load(as: UInt64.self)
            let used = table.load(fromByteOffset: 8, as: UInt64.self)
            var index = Subtable.stagePlace(tag) & mask
            var slot = loadWord(table, Subtable.slotsAt + Int(index))
            while slot != 0, slot & ~0xff_ffff != tag {
                index = (index + 1) & mask
                slot = loadWord(table, Subtable.slotsAt + Int(index))
            }
            if slot != 0 {
                storeWord(table, Subtable.slotsAt + Int(index), change > 0 ? slot + 1 : slot - 1)
                return
            }
            precondition(change > 0, "a rule leaves a stage table that it is not in")
            if (used + 1) * 3 <= (mask + 1) * 2 {
                table.storeBytes(of: used + 1, toByteOffset: 8, as: UInt64.self)
                storeWord(table, Subtable.slotsAt + Int(index), tag | 1)
                return
            }
            table = rebuildStage(stage, table, retire: retire)
        }
    }

    private func rebuildStage(
        _ stage: Int, _ old: UnsafeMutableRawPointer, retire: (UnsafeMutableRawPointer) -> Void
    ) -> UnsafeMutableRawPointer {
        let oldCapacity = Int(old.load(as: UInt64.self)) + 1
        var live: [UInt64] = []
        for index in 0..<oldCapacity {
            let slot = loadWord(old, Subtable.slotsAt + index)
            if slot & 0xff_ffff != 0 { live.append(slot) }
        }
        var capacity = 4
        while capacity < (live.count + 1) * 2 { capacity *= 2 }
        let table = Subtable.makeTable(capacity: capacity)
        let mask = UInt64(capacity - 1)
        for slot in live {
            var place = Subtable.stagePlace(slot) & mask
            while loadWord(table, Subtable.slotsAt + Int(place)) != 0 { place = (place + 1) & mask }
            storeWord(table, Subtable.slotsAt + Int(place), slot)
        }
        table.storeBytes(of: UInt64(live.count), toByteOffset: 8, as: UInt64.self)
        storeWord(body, 1 + stage, word(table))
        retire(old)
        return table
    }

    /// Where a tag is looked for first; from the tag alone, so that a table can be rebuilt from its slots.
    @inline(__always) static func stagePlace(_ tag: UInt64) -> UInt64 { tag >> 24 }
}
