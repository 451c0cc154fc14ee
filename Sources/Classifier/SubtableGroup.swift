// The subtables whose masks differ in the last stage (L4) only, and what they share: the stages before.
//
// A rule set has many masks because its ports and address prefixes come in many combinations. With the subtables that agree
// in metadata, L2 and L3 together, a lookup hashes those once for all of them, and most groups are passed by with one
// look: no rule of any of them has the packet's addresses.
//
// Readers see a block of raw memory (`body`), the writer this object. In words, a body is: 0 the list of subtables, 1 and 2
// the `StageTable`s of L2 and L3 (0 if the stage has no words, or is the last of all), whose filters name subtables, then a `Layout`
// and its bits. A list is: word 0 the count, then a `Member` each, of falling priority. Metadata, the first stage, is common to
// all groups that match on the same of it: `MetadataStage`.

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

    /// A subtable in the list.
    struct Member {
        var body: UnsafeMutableRawPointer
        var priority: Int32
        var filterBit: UInt32
        /// The masks of the two words of L4.
        var bits: (UInt64, UInt64)
    }

    static let layoutOffset = 24
    static let wordsOffset = layoutOffset + MemoryLayout<Layout>.stride
    /// The key's words of the last stage.
    static let furtherWords = (4, 5)
    /// The first subtable's shape; the group's words are its first ones.
    let shape: MaskShape
    let body: UnsafeMutableRawPointer
    /// Shared with others, and the bit in its filters that stands for this group; nil if no metadata is matched on.
    let metadata: (stage: MetadataStage, filterBit: Int)?
    /// In falling order of priority as of the last `publish`.
    var subtables: [Subtable] = []
    /// As published.
    private(set) var maximumPriority = Int32.min
    /// Whether the published list is not up to date.
    var isStale = false
    private var filterBits = 0
    private let seed: UInt64

    init(shape: MaskShape, metadata: MetadataStage?, seed: UInt64) {
        self.shape = shape
        self.metadata = metadata.map { ($0, $0.join()) }
        self.seed = seed
        let end = shape.stageEnds.2
        body = .allocate(byteCount: SubtableGroup.wordsOffset + end * MemoryLayout<MaskWord>.stride, alignment: 64)
        body.initializeMemory(as: UInt64.self, repeating: 0, count: SubtableGroup.layoutOffset / 8)
        let ends = (shape.stageEnds.0, shape.stageEnds.1, shape.stageEnds.2)
        (body + SubtableGroup.layoutOffset).initializeMemory(
            as: Layout.self, repeating: Layout(wordCount: end, stageEnds: ends), count: 1)
        MaskWord.write(shape, 0..<end, to: body + SubtableGroup.wordsOffset)
        storeWord(body, 0, word(SubtableGroup.makeList([])))
        // A stage of its own words, with others after it, can end a lookup early.
        if ends.1 > ends.0, ends.1 < shape.count { StageTable(body, 1).create() }
        if ends.2 > ends.1, ends.2 < shape.count { StageTable(body, 2).create() }
    }

    /// Frees what the group holds; no reader may be left.
    deinit {
        pointer(loadWord(body, 0))?.deallocate()
        for stage in 1...2 { StageTable(body, stage).deallocate() }
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
        var hash = seed
        for place in 0..<shape.stageEnds.0 { hash = hashStep(hash, key[place]) }
        if let metadata { metadata.stage.count(hash, metadata.filterBit, by: change, retire: retire) }
        for place in shape.stageEnds.0..<shape.stageEnds.1 { hash = hashStep(hash, key[place]) }
        let bit: UInt64 = 1 << UInt64(subtable.filterBit)
        StageTable(body, 1).adjust(hash, bit, by: change, retire: retire)
        if loadWord(body, 2) == 0 { return }
        for place in shape.stageEnds.1..<shape.stageEnds.2 { hash = hashStep(hash, key[place]) }
        StageTable(body, 2).adjust(hash, bit, by: change, retire: retire)
    }
}
