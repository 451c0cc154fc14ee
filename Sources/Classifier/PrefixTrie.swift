// A path-compressed binary trie of one field's prefixes: which lengths can match an address, and how many of the address's
// bits say so.
//
// A node holds its whole prefix, so that splitting an edge only adds nodes and removing one only takes nodes out: a reader
// at any node finds it consistent whatever the writer does meanwhile. With prefixes 10.0.0.0/8 and 10.1.0.0/16, the address
// 11.0.0.1 is known to match neither after 8 bits, so a megaflow for it needs 8 bits and not 16.
//
// Node, in words: 0 and 1 prefix (high, low), 2 and 3 children for bit 0 and 1, 4 length and, above it, the number of
// rules with this very prefix.

internal import Synchronization

/// What a walk found.
struct TrieResult {
    /// Bit n-1 is set if a rule has a prefix of length n that the address matches.
    var lengths: UInt128 = 0
    /// Bits of the address that the answer rests on: addresses that share them have the same answer.
    var checkedBits = 0

    @inline(__always) func contains(_ length: Int) -> Bool { lengths >> UInt128(length - 1) & 1 == 1 }
}

/// A trie over raw memory.
///
/// ## Thread safety
/// One writer, any number of readers; readers load links with acquire. Removed nodes are handed to `retire`, and freed when
/// no reader is left.
struct PrefixTrie {
    static let nodeWords = 5
    private static let countUnit: UInt64 = 256
    /// The word that points to the root.
    let root: AtomicWord

    func lookup(_ address: UInt128, width: Int) -> TrieResult {
        var result = TrieResult()
        var next = root.pointee.load(ordering: .acquiring)
        while let node = pointer(next) {
            let info = loadWord(node, 4)
            let length = Int(info & 0xff)
            let common = PrefixTrie.commonBits(address, node)
            if common < length {
                result.checkedBits = common + 1
                return result
            }
            if info >= PrefixTrie.countUnit, length > 0 { result.lengths |= 1 << UInt128(length - 1) }
            if length == width {
                result.checkedBits = width
                return result
            }
            let bit = PrefixTrie.bit(address, length)
            next = loadWord(node, 2 + bit)
            // Nothing below on this side: that bit counted only if there is something on the other side.
            if next == 0 { result.checkedBits = loadWord(node, 3 - bit) != 0 ? length + 1 : length }
        }
        return result
    }

    func insert(_ prefix: UInt128, length: Int) {
        var link = root
        while true {
            guard let node = pointer(link.pointee.load(ordering: .relaxed)) else {
                link.pointee.store(word(PrefixTrie.make(prefix, length, count: 1)), ordering: .releasing)
                return
            }
            let nodeLength = PrefixTrie.length(node)
            let common = min(PrefixTrie.commonBits(prefix, node), length, nodeLength)
            if common == nodeLength {
                if length == nodeLength {
                    storeWord(node, 4, loadWord(node, 4) + PrefixTrie.countUnit)
                    return
                }
                link = atomicWord(node, 2 + PrefixTrie.bit(prefix, nodeLength))
                continue
            }
            let nodePrefix = PrefixTrie.prefix(node)
            if common == length {
                let parent = PrefixTrie.make(prefix, length, count: 1)
                storeWord(parent, 2 + PrefixTrie.bit(nodePrefix, length), word(node))
                link.pointee.store(word(parent), ordering: .releasing)
                return
            }
            let fork = PrefixTrie.make(PrefixTrie.cut(prefix, common), common, count: 0)
            storeWord(fork, 2 + PrefixTrie.bit(nodePrefix, common), word(node))
            storeWord(fork, 2 + PrefixTrie.bit(prefix, common), word(PrefixTrie.make(prefix, length, count: 1)))
            link.pointee.store(word(fork), ordering: .releasing)
            return
        }
    }

    /// The prefix must be there.
    func remove(_ prefix: UInt128, length: Int, retire: (UnsafeMutableRawPointer) -> Void) {
        var parentLink: AtomicWord?
        var parent: UnsafeMutableRawPointer?
        var link = root
        while let node = pointer(link.pointee.load(ordering: .relaxed)) {
            let nodeLength = PrefixTrie.length(node)
            if nodeLength < length {
                parentLink = link
                parent = node
                link = atomicWord(node, 2 + PrefixTrie.bit(prefix, nodeLength))
                continue
            }
            precondition(nodeLength == length && PrefixTrie.prefix(node) == prefix, "prefix is not in the trie")
            storeWord(node, 4, loadWord(node, 4) - PrefixTrie.countUnit)
            if PrefixTrie.hasRules(node) || PrefixTrie.childCount(node) == 2 { return }
            let child = loadWord(node, 2) | loadWord(node, 3)
            link.pointee.store(child, ordering: .releasing)
            retire(node)
            // A fork that lost one of its two sides is no fork any more.
            if child == 0, let parent, let parentLink, !PrefixTrie.hasRules(parent), PrefixTrie.childCount(parent) == 1 {
                parentLink.pointee.store(loadWord(parent, 2) | loadWord(parent, 3), ordering: .releasing)
                retire(parent)
            }
            return
        }
        preconditionFailure("prefix is not in the trie")
    }

    /// Frees all nodes; no reader may be left.
    func removeAll() {
        var stack = [root.pointee.load(ordering: .relaxed)]
        root.pointee.store(0, ordering: .relaxed)
        while let next = stack.popLast() {
            guard let node = pointer(next) else { continue }
            stack.append(loadWord(node, 2))
            stack.append(loadWord(node, 3))
            node.deallocate()
        }
    }

    private static func make(_ prefix: UInt128, _ length: Int, count: UInt64) -> UnsafeMutableRawPointer {
        let node = allocateWords(nodeWords)
        node.storeBytes(of: UInt64(truncatingIfNeeded: prefix >> 64), as: UInt64.self)
        node.storeBytes(of: UInt64(truncatingIfNeeded: prefix), toByteOffset: 8, as: UInt64.self)
        node.storeBytes(of: count * countUnit + UInt64(length), toByteOffset: 32, as: UInt64.self)
        return node
    }

    @inline(__always) private static func prefix(_ node: UnsafeMutableRawPointer) -> UInt128 {
        UInt128(node.load(as: UInt64.self)) << 64 | UInt128(node.load(fromByteOffset: 8, as: UInt64.self))
    }

    @inline(__always) private static func length(_ node: UnsafeMutableRawPointer) -> Int { Int(loadWord(node, 4) & 0xff) }

    @inline(__always) private static func hasRules(_ node: UnsafeMutableRawPointer) -> Bool { loadWord(node, 4) >= countUnit }

    /// How many of the first bits of `value` and a node's prefix are the same.
    @inline(__always) private static func commonBits(_ value: UInt128, _ node: UnsafeMutableRawPointer) -> Int {
        let high = UInt64(truncatingIfNeeded: value >> 64) ^ node.load(as: UInt64.self)
        if high != 0 { return high.leadingZeroBitCount }
        return 64 + (UInt64(truncatingIfNeeded: value) ^ node.load(fromByteOffset: 8, as: UInt64.self)).leadingZeroBitCount
    }

    /// Bit `index` of a prefix, counted from the first.
    @inline(__always) private static func bit(_ value: UInt128, _ index: Int) -> Int {
        let word = UInt64(truncatingIfNeeded: index < 64 ? value >> 64 : value)
        return Int(word >> UInt64(63 - (index & 63))) & 1
    }

    static func cut(_ value: UInt128, _ length: Int) -> UInt128 { length == 0 ? 0 : value & (UInt128.max << UInt128(128 - length)) }

    private static func childCount(_ node: UnsafeMutableRawPointer) -> Int {
        (loadWord(node, 2) != 0 ? 1 : 0) + (loadWord(node, 3) != 0 ? 1 : 0)
    }
}
