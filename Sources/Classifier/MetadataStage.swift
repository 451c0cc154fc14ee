// What groups of subtables that match on the same metadata (ports, registers, tunnel) have in common.
//
// Tables are often shared by tenants whose rules name their port or a register. A packet of one tenant has no use for the others'
// rules: one look at its metadata says in which groups any rule has it, and the rest is passed by without a look at addresses.
// So rules of one port neither slow lookups of others down nor make their megaflows more specific.
//
// Readers see a block of raw memory (`body`). In words: 0 the `StageTable`, whose filters name groups, 1 the number of mask words, then
// these.

internal import Synchronization

/// The metadata stage of all groups with one mask of it, as the writer sees it.
///
/// ## Thread safety
/// The writer's, but for `body`: readers load word 0 with acquire; the others never change.
final class MetadataStage {
    /// Stages that a list of groups has; groups of further ones are looked at one by one.
    static var listed: Int { @inline(__always) get { 15 } }
    private static var wordsOffset: Int { @inline(__always) get { 16 } }

    /// A shape with this metadata, in its first words.
    private let shape: MaskShape
    let body: UnsafeMutableRawPointer
    private var groupsSeen = 0
    /// Groups there are.
    private(set) var groupCount = 0

    init(shape: MaskShape) {
        self.shape = shape
        let end = shape.stageEnds.0
        body = .allocate(byteCount: MetadataStage.wordsOffset + end * MemoryLayout<MaskWord>.stride, alignment: 16)
        body.storeBytes(of: UInt64(end), toByteOffset: 8, as: UInt64.self)
        MaskWord.write(shape, 0..<end, to: body + MetadataStage.wordsOffset)
        StageTable(body, 0).create()
    }

    /// No reader may be left.
    deinit {
        StageTable(body, 0).deallocate()
        body.deallocate()
    }

    /// Shapes that belong together have the same; nil without metadata.
    static func hash(_ shape: MaskShape) -> UInt64? {
        if shape.stageEnds.0 == 0 { return nil }
        var hash: UInt64 = 0x3c6e
        for index in 0..<shape.stageEnds.0 { hash = hashStep(hashStep(hash, UInt64(shape.words[index])), shape.bits[index]) }
        return hashFinish(hash)
    }

    func belongs(_ other: MaskShape) -> Bool {
        other.stageEnds.0 == shape.stageEnds.0
            && (0..<shape.stageEnds.0).allSatisfy { other.words[$0] == shape.words[$0] && other.bits[$0] == shape.bits[$0] }
    }

    /// One more group. Returns its bit in filters; bits go round: two groups of one bit only cost a look each.
    func join() -> Int {
        groupCount += 1
        groupsSeen += 1
        return (groupsSeen - 1) & 63
    }

    /// One group less.
    func leave() { groupCount -= 1 }

    /// Counts a rule of a group in (1) or out (-1).
    func count(_ hash: UInt64, _ filterBit: Int, by change: Int, retire: (UnsafeMutableRawPointer) -> Void) {
        StageTable(body, 0).adjust(hash, 1 << UInt64(filterBit), by: change, retire: retire)
    }

    // MARK: Reading

    /// Which groups may have rules with the packet's metadata.
    @inline(__always) static func filter(_ body: UnsafeMutableRawPointer, _ words: UnsafePointer<UInt64>, _ seed: UInt64) -> UInt64 {
        let mask = (body + wordsOffset).assumingMemoryBound(to: MaskWord.self)
        var hash = seed
        for index in 0..<Int(body.load(fromByteOffset: 8, as: UInt64.self)) {
            hash = hashStep(hash, words[mask[index].place] & mask[index].bits)
        }
        return StageTable.filter(HashTableLink(loadWord(body, 0)).unsafelyUnwrapped, hash)
    }

    /// Notes that the metadata was looked at.
    @inline(__always) static func unwildcard(_ body: UnsafeMutableRawPointer, in looked: UnsafeMutablePointer<UInt64>) {
        let mask = (body + wordsOffset).assumingMemoryBound(to: MaskWord.self)
        for index in 0..<Int(body.load(fromByteOffset: 8, as: UInt64.self)) { looked[mask[index].place] |= mask[index].bits }
    }
}
