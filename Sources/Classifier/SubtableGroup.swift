// The subtables whose masks differ in the last stage (L4) only, and what they share: the stages before.
//
// A rule set has many masks because its ports and address prefixes come in many combinations. With the subtables that agree
// in metadata, L2 and L3 together, a lookup hashes those once for all of them, and most groups are passed by with one
// look: no rule of any of them has the packet's addresses.
//
// Readers see a block of raw memory (`body`), the writer this object. In words, a body is: 0 the list of subtables, 1 to 3
// the stage tables of stages 0 to 2 (0 if the stage has no words, or is the last of all), then a `Layout` and its bits. A list is:
// word 0 the count, then a `Member` each, of falling priority. A stage table's slots are two words: 40 bits of hash above 24
// bits of rule count; and a filter, with a bit for each subtable (64 of them, then again) that has such a rule or had one.

internal import Synchronization

/// A group, as its writer sees it.
///
/// ## Thread safety
/// The writer's, but for `body`: readers load its atomic words with acquire and read the layout, which never changes.
final class SubtableGroup {
    /// What a reader needs beside the tables; written before the body is published.
    struct Layout {
        /// Words of the stages that are shared; further ones are the subtables' own.
        var wordCount: Int
        var stageEnds: (Int, Int, Int)
    }

    /// A word of the mask: its place in the key, and its bits.
    struct MaskWord {
        var place: Int
        var bits: UInt64
    }

    /// A subtable in the list.
    struct Member {
        var body: UnsafeMutableRawPointer
        var priority: Int32
        var filterBit: UInt32
        /// The masks of the two words of L4.
        var bits: (UInt64, UInt64)
    }

    static let layoutOffset = 32
    static let wordsOffset = layoutOffset + MemoryLayout<Layout>.stride
    /// The key's words of the last stage.
    static let furtherWords = (4, 5)
    /// Rules that a slot can count: more than a bridge has.
    private static let countMask: UInt64 = 0xff_ffff

    /// The first subtable's shape; the group's words are its first ones.
    let shape: MaskShape
    let body: UnsafeMutableRawPointer
    /// In falling order of priority as of the last `publish`.
    var subtables: [Subtable] = []
    /// As published.
    private(set) var maximumPriority = Int32.min
    /// Whether the published list is not up to date.
    var isStale = false
    private var filterBits = 0
    private let seed: UInt64

    init(shape: MaskShape, seed: UInt64) {
        self.shape = shape
        self.seed = seed
        let end = shape.stageEnds.2
        body = .allocate(byteCount: SubtableGroup.wordsOffset + end * MemoryLayout<MaskWord>.stride, alignment: 64)
        body.initializeMemory(as: UInt64.self, repeating: 0, count: SubtableGroup.layoutOffset / 8)
        let ends = (shape.stageEnds.0, shape.stageEnds.1, shape.stageEnds.2)
        (body + SubtableGroup.layoutOffset).initializeMemory(
            as: Layout.self, repeating: Layout(wordCount: end, stageEnds: ends), count: 1)
        for place in 0..<end {
            (body + SubtableGroup.wordsOffset).storeBytes(
                of: MaskWord(place: Int(shape.words[place]), bits: shape.bits[place]), toByteOffset: place * MemoryLayout<MaskWord>.stride,
                as: MaskWord.self)
        }
        storeWord(body, 0, word(SubtableGroup.makeList([])))
        var previous = 0
        for (stage, end) in [ends.0, ends.1, ends.2].enumerated() {
            // A stage of its own words, with others after it, can end a lookup early.
            if end > previous, end < shape.count { storeWord(body, 1 + stage, HashTableLink.make(capacity: 4, wordsPerSlot: 2)) }
            previous = end
        }
    }

    /// Frees what the group holds; no reader may be left.
    deinit {
        pointer(loadWord(body, 0))?.deallocate()
        for stage in 0..<3 { HashTableLink(loadWord(body, 1 + stage))?.memory.deallocate() }
        body.deallocate()
    }

    // MARK: Membership

    /// Shapes that belong together have the same.
    static func hash(_ shape: MaskShape) -> UInt64 {
        var hash: UInt64 = shape.count > shape.stageEnds.2 ? 0x6a09 : 0xbb67
        for index in 0..<shape.stageEnds.2 { hash = hashStep(hashStep(hash, UInt64(shape.words[index])), shape.bits[index]) }
        return hashFinish(hash)
    }

    func belongs(_ other: MaskShape) -> Bool {
        let end = shape.stageEnds.2
        guard other.stageEnds.2 == end, (other.count > end) == (shape.count > end) else { return false }
        for index in 0..<end where other.words[index] != shape.words[index] || other.bits[index] != shape.bits[index] { return false }
        return true
    }

    // MARK: The list

    private static func makeList(_ subtables: [Subtable]) -> UnsafeMutableRawPointer {
        let list = UnsafeMutableRawPointer.allocate(byteCount: 8 + MemoryLayout<Member>.stride * subtables.count, alignment: 8)
        list.storeBytes(of: subtables.count, as: Int.self)
        let members = (list + 8).assumingMemoryBound(to: Member.self)
        for (index, subtable) in subtables.enumerated() {
            let shape = subtable.shape
            var member = Member(
                body: subtable.body, priority: subtable.maximumPriority, filterBit: UInt32(subtable.filterBit), bits: (0, 0))
            for place in shape.stageEnds.2..<shape.count {
                let bits = shape.bits[place]
                if Int(shape.words[place]) == furtherWords.0 { member.bits.0 = bits } else { member.bits.1 = bits }
            }
            (members + index).initialize(to: member)
        }
        return list
    }

    /// The members of a list.
    @inline(__always) static func members(_ list: UnsafeMutableRawPointer) -> UnsafePointer<Member> {
        UnsafePointer((list + 8).assumingMemoryBound(to: Member.self))
    }

    /// Bits go round: two subtables of one bit only cost a look each.
    func nextFilterBit() -> Int {
        defer { filterBits += 1 }
        return filterBits & 63
    }

    /// Publishes the list anew, without empty subtables. Returns whether the highest priority is another now, or none is left.
    func publish(_ retire: (UnsafeMutableRawPointer) -> Void) -> Bool {
        isStale = false
        subtables.removeAll { $0.ruleCount == 0 }
        if subtables.count > 1 { subtables.sort { $0.maximumPriority > $1.maximumPriority } }
        if let old = pointer(loadWord(body, 0)) { retire(old) }
        storeWord(body, 0, word(SubtableGroup.makeList(subtables)))
        let before = maximumPriority
        maximumPriority = subtables.first?.maximumPriority ?? Int32.min
        return maximumPriority != before || subtables.isEmpty
    }

    // MARK: Stages

    /// Counts a rule of a subtable in (1) or out (-1); `retire` takes tables that were replaced.
    func count(_ key: UnsafePointer<UInt64>, of subtable: Subtable, by change: Int, retire: (UnsafeMutableRawPointer) -> Void) {
        let ends: InlineArray<3, Int> = [shape.stageEnds.0, shape.stageEnds.1, shape.stageEnds.2]
        var hash = seed
        var place = 0
        for stage in 0..<3 where loadWord(body, 1 + stage) != 0 {
            while place < ends[stage] {
                hash = hashStep(hash, key[place])
                place += 1
            }
            adjustStage(stage, hashFinish(hash), 1 << UInt64(subtable.filterBit), by: change, retire: retire)
        }
    }

    /// 40 bits of a hash, never 0, in the place where a stage slot has them.
    @inline(__always) static func stageTag(_ hash: UInt64) -> UInt64 { (hash | 1 << 63) & ~countMask }

    /// Where a tag is looked for first; from the tag alone, so that a table can be rebuilt from its slots.
    @inline(__always) static func stagePlace(_ tag: UInt64) -> UInt64 { tag >> 24 }

    /// The filter of a stage's key; 0 if no rule has it.
    @inline(__always) static func filter(_ table: HashTableLink, _ hash: UInt64) -> UInt64 {
        let tag = stageTag(hash)
        var index = stagePlace(tag) & table.mask
        while true {
            let slot = loadWord(table.slots, 2 * Int(index))
            if slot == 0 { return 0 }
            if slot & ~countMask == tag { return slot & countMask == 0 ? 0 : loadWord(table.slots, 2 * Int(index) + 1) }
            index = (index + 1) & table.mask
        }
    }

    private func adjustStage(
        _ stage: Int, _ hash: UInt64, _ bit: UInt64, by change: Int, retire: (UnsafeMutableRawPointer) -> Void
    ) {
        let tag = SubtableGroup.stageTag(hash)
        var table = HashTableLink(loadWord(body, 1 + stage)).unsafelyUnwrapped
        while true {
            var index = SubtableGroup.stagePlace(tag) & table.mask
            var slot = loadWord(table.slots, 2 * Int(index))
            while slot != 0, slot & ~SubtableGroup.countMask != tag {
                index = (index + 1) & table.mask
                slot = loadWord(table.slots, 2 * Int(index))
            }
            let filter = 2 * Int(index) + 1
            if slot != 0 {
                // A key that comes back after its last rule went, which no reader looks for any more, begins anew.
                if change > 0 {
                    storeWord(table.slots, filter, slot & SubtableGroup.countMask == 0 ? bit : loadWord(table.slots, filter) | bit)
                }
                storeWord(table.slots, filter - 1, change > 0 ? slot + 1 : slot - 1)
                return
            }
            precondition(change > 0, "a rule leaves a stage table that it is not in")
            if (table.used + 1) * 3 <= (table.mask + 1) * 2 {
                table.used += 1
                storeWord(table.slots, filter, bit)
                storeWord(table.slots, filter - 1, tag | 1)
                return
            }
            table = rebuildStage(stage, table, retire: retire)
        }
    }

    private func rebuildStage(_ stage: Int, _ old: HashTableLink, retire: (UnsafeMutableRawPointer) -> Void) -> HashTableLink {
        let live = (0...Int(old.mask)).filter { loadWord(old.slots, 2 * $0) & SubtableGroup.countMask != 0 }
        var capacity = 4
        while capacity < (live.count + 1) * 2 { capacity *= 2 }
        let made = HashTableLink.make(capacity: capacity, wordsPerSlot: 2)
        let table = HashTableLink(made).unsafelyUnwrapped
        for index in live {
            let slot = loadWord(old.slots, 2 * index)
            var place = SubtableGroup.stagePlace(slot) & table.mask
            while loadWord(table.slots, 2 * Int(place)) != 0 { place = (place + 1) & table.mask }
            storeWord(table.slots, 2 * Int(place) + 1, loadWord(old.slots, 2 * index + 1))
            storeWord(table.slots, 2 * Int(place), slot)
        }
        table.used = UInt64(live.count)
        storeWord(body, 1 + stage, made)
        retire(old.memory)
        return table
    }
}
