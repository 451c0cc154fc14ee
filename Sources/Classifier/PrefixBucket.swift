// A few prefixes side by side, at the end of a trie's branch; see `PrefixTrie` for its layout.

internal import Synchronization

/// A bucket, as the writer sees it. A view of memory that it does not own.
struct PrefixBucket {
    typealias Entry = (prefix: UInt128, length: Int, count: UInt64)

    private static let countUnit: UInt64 = 256
    let memory: UnsafeMutableRawPointer
    private let isNarrow: Bool

    /// - Parameter link: with the tag.
    init(_ link: UInt64, width: Int) {
        memory = pointer(link ^ PrefixTrie.bucketTag).unsafelyUnwrapped
        isNarrow = width == 32
    }

    /// Places of the largest bucket: with its first word, one cache line of narrow ones, two of wide ones.
    static func capacity(_ width: Int) -> Int { width == 32 ? 7 : 5 }

    /// The link to a new bucket with these prefixes, and room for more if there is any.
    static func make(_ entries: [Entry], width: Int) -> UInt64 {
        let small = width == 32 ? 3 : 1
        let places = entries.count <= small ? small : capacity(width)
        let memory = allocateWords(1 + places * (width == 32 ? 1 : 3))
        memory.storeBytes(of: UInt64(places), as: UInt64.self)
        let link = word(memory) | PrefixTrie.bucketTag
        let bucket = PrefixBucket(link, width: width)
        for (place, entry) in entries.enumerated() { bucket.write(entry, at: place) }
        return link
    }

    private var places: Int { Int(memory.load(as: UInt64.self)) }

    /// The word that has a place's length and count.
    @inline(__always) private func infoWord(_ place: Int) -> Int { isNarrow ? 1 + place : 3 * place + 3 }

    @inline(__always) private func info(_ place: Int) -> UInt64 {
        let word = loadWord(memory, infoWord(place))
        return isNarrow ? word & 0xffff_ffff : word
    }

    private func prefix(_ place: Int) -> UInt128 {
        if isNarrow { return UInt128(loadWord(memory, 1 + place) >> 32) << 96 }
        let words = (memory + (3 * place + 1) * 8).assumingMemoryBound(to: UInt64.self)
        return UInt128(words[0]) << 64 | UInt128(words[1])
    }

    /// Fills a free place. Its last word makes it one.
    private func write(_ entry: Entry, at place: Int) {
        var info = entry.count * PrefixBucket.countUnit + UInt64(entry.length)
        if isNarrow {
            info |= UInt64(truncatingIfNeeded: entry.prefix >> 96) << 32
        } else {
            let words = (memory + (3 * place + 1) * 8).assumingMemoryBound(to: UInt64.self)
            words[0] = UInt64(truncatingIfNeeded: entry.prefix >> 64)
            words[1] = UInt64(truncatingIfNeeded: entry.prefix)
        }
        storeWord(memory, infoWord(place), info)
    }

    /// Counts one more rule of a prefix. False if it has no place and none is free.
    func add(_ prefix: UInt128, _ length: Int) -> Bool {
        for place in 0..<places {
            let info = info(place)
            if info == 0 {
                write((prefix, length, 1), at: place)
                return true
            }
            if Int(info & 0xff) == length, self.prefix(place) == prefix {
                let word = infoWord(place)
                storeWord(memory, word, loadWord(memory, word) + PrefixBucket.countUnit)
                return true
            }
        }
        return false
    }

    /// Counts one rule less. True if no prefix is left.
    func subtract(_ prefix: UInt128, _ length: Int) -> Bool {
        var isFound = false
        var isEmpty = true
        for place in 0..<places {
            var info = info(place)
            if info == 0 { break }
            if !isFound, Int(info & 0xff) == length, info >= PrefixBucket.countUnit, self.prefix(place) == prefix {
                isFound = true
                let word = infoWord(place)
                info -= PrefixBucket.countUnit
                storeWord(memory, word, loadWord(memory, word) - PrefixBucket.countUnit)
            }
            if info >= PrefixBucket.countUnit { isEmpty = false }
        }
        precondition(isFound, "prefix is not in the trie")
        return isEmpty
    }

    /// Prefixes that rules have.
    var live: [Entry] {
        (0..<places).compactMap { place in
            let info = info(place)
            return info < PrefixBucket.countUnit ? nil : (prefix(place), Int(info & 0xff), info / PrefixBucket.countUnit)
        }
    }
}
