// The keys of one stage: which of them rules have, and whose those are.
//
// A slot is two words: 40 bits of hash above 24 bits of rule count; and a filter, with a bit for each owner (64 of them, then again)
// that has such a rule or had one.

internal import Synchronization

/// A view of the word that has a stage's table; 0 if there is none. Written by one, read by many.
struct StageTable {
    /// Rules that a slot can count: more than a bridge has.
    private static let countMask: UInt64 = 0xff_ffff

    private let memory: UnsafeMutableRawPointer
    private let place: Int

    init(_ memory: UnsafeMutableRawPointer, _ place: Int) {
        self.memory = memory
        self.place = place
    }

    func create() { storeWord(memory, place, HashTableLink.make(capacity: 4, wordsPerSlot: 2)) }

    /// No reader may be left.
    func deallocate() { HashTableLink(loadWord(memory, place))?.memory.deallocate() }

    /// 40 bits of a hash, never 0, in the place where a slot has them.
    @inline(__always) private static func tag(_ hash: UInt64) -> UInt64 { (hashFinish(hash) | 1 << 63) & ~countMask }

    /// Where a tag is looked for first; from the tag alone, so that a table can be rebuilt from its slots.
    @inline(__always) private static func first(_ tag: UInt64) -> UInt64 { tag >> 24 }

    /// The filter of a stage's key; 0 if no rule has it.
    ///
    /// - Parameter hash: not finished.
    @inline(__always) static func filter(_ table: HashTableLink, _ hash: UInt64) -> UInt64 {
        let tag = tag(hash)
        var index = first(tag) & table.mask
        while true {
            let slot = loadWord(table.slots, 2 * Int(index))
            if slot == 0 { return 0 }
            if slot & ~countMask == tag { return slot & countMask == 0 ? 0 : loadWord(table.slots, 2 * Int(index) + 1) }
            index = (index + 1) & table.mask
        }
    }

    /// Counts a rule of an owner (`bit`) in (1) or out (-1), if there is a table; `retire` takes tables that were replaced.
    func adjust(_ hash: UInt64, _ bit: UInt64, by change: Int, retire: (UnsafeMutableRawPointer) -> Void) {
        guard var table = HashTableLink(loadWord(memory, place)) else { return }
        let tag = StageTable.tag(hash)
        while true {
            var index = StageTable.first(tag) & table.mask
            var slot = loadWord(table.slots, 2 * Int(index))
            while slot != 0, slot & ~StageTable.countMask != tag {
                index = (index + 1) & table.mask
                slot = loadWord(table.slots, 2 * Int(index))
            }
            let filter = 2 * Int(index) + 1
            if slot != 0 {
                // A key that comes back after its last rule went, which no reader looks for any more, begins anew.
                if change > 0 {
                    storeWord(table.slots, filter, slot & StageTable.countMask == 0 ? bit : loadWord(table.slots, filter) | bit)
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
            table = rebuild(table, retire: retire)
        }
    }

    private func rebuild(_ old: HashTableLink, retire: (UnsafeMutableRawPointer) -> Void) -> HashTableLink {
        let live = (0...Int(old.mask)).filter { loadWord(old.slots, 2 * $0) & StageTable.countMask != 0 }
        var capacity = 4
        while capacity < (live.count + 1) * 2 { capacity *= 2 }
        let made = HashTableLink.make(capacity: capacity, wordsPerSlot: 2)
        let table = HashTableLink(made).unsafelyUnwrapped
        for index in live {
            let slot = loadWord(old.slots, 2 * index)
            var place = StageTable.first(slot) & table.mask
            while loadWord(table.slots, 2 * Int(place)) != 0 { place = (place + 1) & table.mask }
            storeWord(table.slots, 2 * Int(place) + 1, loadWord(old.slots, 2 * index + 1))
            storeWord(table.slots, 2 * Int(place), slot)
        }
        table.used = UInt64(live.count)
        storeWord(memory, place, made)
        retire(old.memory)
        return table
    }
}

/// A word of a mask: its place in the key, and its bits.
struct MaskWord {
    var place: Int
    var bits: UInt64

    /// Writes words of a shape side by side.
    static func write(_ shape: MaskShape, _ range: Range<Int>, to memory: UnsafeMutableRawPointer) {
        for (index, place) in range.enumerated() {
            memory.storeBytes(
                of: MaskWord(place: Int(shape.words[place]), bits: shape.bits[place]), toByteOffset: index * MemoryLayout<MaskWord>.stride,
                as: MaskWord.self)
        }
    }
}
