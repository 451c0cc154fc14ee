// A trie of one field's prefixes: which lengths can match an address, and how many of the address's bits say so.
//
// A node looks at four bits and is path-compressed: it stands at a multiple of four bits, and where nothing branches there is no
// node. Below a few prefixes nothing branches any more: they lie side by side in a bucket of a cache line or two. So a walk
// among 100,000 prefixes takes five or six steps, and a prefix takes about 30 bytes. With prefixes 10.0.0.0/8 and 10.1.0.0/16, the
// address 11.0.0.1 is known to match neither after 8 bits, so a megaflow for it needs 8 bits and not 16.
//
// A link is 0, a node's address (`PrefixNode`), or a bucket's (`PrefixBucket`) with bit 0 set. A node holds its whole prefix, so
// that putting one between others only adds nodes and removing one only takes nodes out: a reader at any node finds it consistent
// whatever the writer does meanwhile. The same holds for a bucket: a place in it is given to one prefix for good, only its
// count changes; what does not fit is written to a new bucket.

internal import Synchronization

/// What a walk found.
struct TrieResult {
    /// Bit n-1 is set if a rule has a prefix of length n that the address matches; lengths 1 to 64, and from 65 on.
    var short: UInt64 = 0
    var long: UInt64 = 0
    /// Bits of the address that the answer rests on: addresses that share them have the same answer.
    var checkedBits = 0

    @inline(__always) func contains(_ length: Int) -> Bool {
        (length <= 64 ? short >> UInt64(length - 1) : long >> UInt64(length - 65)) & 1 == 1
    }

    @inline(__always) mutating func insert(_ length: Int) {
        if length <= 64 { short |= 1 << UInt64(length - 1) } else { long |= 1 << UInt64(length - 65) }
    }
}

/// A trie over raw memory.
///
/// ## Thread safety
/// One writer, any number of readers; readers load links, counts and places with acquire. What was replaced is handed to
/// `retire`, and freed when no reader is left.
struct PrefixTrie {
    typealias Retire = (UnsafeMutableRawPointer) -> Void
    static let bucketTag: UInt64 = 1
    private static let countUnit: UInt64 = 256
    /// The word that points to the root.
    let root: AtomicWord
    /// Bits of an address: 32 or 128.
    let width: Int

    // MARK: Reading

    /// - Parameter address: left-aligned.
    func lookup(_ address: UInt128) -> TrieResult {
        var result = TrieResult()
        var next = root.pointee.load(ordering: .acquiring)
        // Bits that keep the address out of what is beside the way.
        var checked = 0
        while next != 0 {
            if next & PrefixTrie.bucketTag != 0 {
                result.checkedBits = checked
                let bucket = pointer(next ^ PrefixTrie.bucketTag).unsafelyUnwrapped
                if width == 32 { searchNarrow(bucket, address, &result) } else { searchWide(bucket, address, &result) }
                return result
            }
            let node = PrefixNode(pointer(next).unsafelyUnwrapped)
            let common = PrefixNode.commonBits(address, node.memory)
            let info = node.info
            if common < info.depth {
                result.checkedBits = common + 1
                return result
            }
            let nibble = PrefixNode.nibble(address, info.depth)
            if info.own != 0 {
                for length in 0..<4 where info.own >> UInt32(PrefixNode.place(nibble, length)) & 1 == 1 {
                    result.insert(info.depth + length)
                }
            }
            next = node.child(nibble)
            checked = info.depth + 4
            if next == 0 {
                result.checkedBits = info.depth + info.checkedBits(nibble)
                return result
            }
        }
        result.checkedBits = checked
        return result
    }

    @inline(__always) private func searchNarrow(_ bucket: UnsafeMutableRawPointer, _ address: UInt128, _ result: inout TrieResult) {
        let wanted = UInt32(truncatingIfNeeded: address >> 96)
        var checked = result.checkedBits
        for place in 1...Int(bucket.load(as: UInt64.self)) {
            let entry = loadWord(bucket, place)
            if entry == 0 { break }
            if entry & 0xffff_ff00 == 0 { continue }
            let length = Int(entry & 0xff)
            let common = (wanted ^ UInt32(truncatingIfNeeded: entry >> 32)).leadingZeroBitCount
            if common >= length { result.short |= 1 << UInt64(length - 1) }
            checked = max(checked, min(common + 1, length))
        }
        result.checkedBits = checked
    }

    @inline(__always) private func searchWide(_ bucket: UnsafeMutableRawPointer, _ address: UInt128, _ result: inout TrieResult) {
        var checked = result.checkedBits
        for place in 0..<Int(bucket.load(as: UInt64.self)) {
            let info = loadWord(bucket, 3 * place + 3)
            if info == 0 { break }
            if info < PrefixTrie.countUnit { continue }
            let length = Int(info & 0xff)
            let common = PrefixNode.commonBits(address, bucket + (3 * place + 1) * 8)
            if common >= length { result.insert(length) }
            checked = max(checked, min(common + 1, length))
        }
        result.checkedBits = checked
    }

    // MARK: Writing

    /// - Parameters:
    ///   - prefix: left-aligned, zero beyond its length.
    ///   - length: 1 to `width`.
    func insert(_ prefix: UInt128, length: Int, retire: Retire) {
        var link = root
        while true {
            let found = link.pointee.load(ordering: .relaxed)
            if found == 0 {
                link.pointee.store(PrefixBucket.make([(prefix, length, 1)], width: width), ordering: .releasing)
                return
            }
            if found & PrefixTrie.bucketTag != 0 {
                let bucket = PrefixBucket(found, width: width)
                if bucket.add(prefix, length) { return }
                let live = bucket.live
                if live.count < PrefixBucket.capacity(width) {
                    link.pointee.store(PrefixBucket.make(live + [(prefix, length, 1)], width: width), ordering: .releasing)
                    return retire(bucket.memory)
                }
                // Too many for one bucket: a node, buckets below it, and another look.
                link.pointee.store(split(live), ordering: .releasing)
                retire(bucket.memory)
                continue
            }
            let node = PrefixNode(pointer(found).unsafelyUnwrapped)
            let depth = node.info.depth
            let common = min(PrefixNode.commonBits(prefix, node.memory), length)
            if common < depth {
                let fork = PrefixNode.make(prefix, depth: common & ~3)
                fork.adopt(found, PrefixNode.nibble(node.prefix, common & ~3))
                // Not published yet: the next look is at it.
                link.pointee.store(word(fork.memory), ordering: .releasing)
                continue
            }
            if length < depth + 4 { return node.count(prefix, length, by: 1) }
            let nibble = PrefixNode.nibble(prefix, depth)
            if node.child(nibble) == 0 {
                node.adopt(PrefixBucket.make([(prefix, length, 1)], width: width), nibble)
                return
            }
            link = node.link(nibble)
        }
    }

    /// A node with everything that a full bucket has, in buckets below it.
    private func split(_ entries: [PrefixBucket.Entry]) -> UInt64 {
        let first = entries[0]
        var common = first.length
        for entry in entries { common = min(common, entry.length, (entry.prefix ^ first.prefix).leadingZeroBitCount) }
        let depth = common & ~3
        let node = PrefixNode.make(first.prefix, depth: depth)
        for nibble in 0..<16 {
            let below = entries.filter { $0.length >= depth + 4 && PrefixNode.nibble($0.prefix, depth) == nibble }
            if !below.isEmpty { node.adopt(PrefixBucket.make(below, width: width), nibble) }
        }
        for entry in entries where entry.length < depth + 4 { node.count(entry.prefix, entry.length, by: Int(entry.count)) }
        return word(node.memory)
    }

    /// The prefix must be there.
    func remove(_ prefix: UInt128, length: Int, retire: Retire) {
        var parent: (link: AtomicWord, node: PrefixNode, nibble: Int)?
        var link = root
        while true {
            let found = link.pointee.load(ordering: .relaxed)
            precondition(found != 0, "prefix is not in the trie")
            if found & PrefixTrie.bucketTag != 0 {
                let bucket = PrefixBucket(found, width: width)
                if !bucket.subtract(prefix, length) { return }
                retire(bucket.memory)
            } else {
                let node = PrefixNode(pointer(found).unsafelyUnwrapped)
                let depth = node.info.depth
                if length >= depth + 4 {
                    let nibble = PrefixNode.nibble(prefix, depth)
                    parent = (link, node, nibble)
                    link = node.link(nibble)
                    continue
                }
                node.count(prefix, length, by: -1)
                simplify(node, at: link, retire)
                if link.pointee.load(ordering: .relaxed) != 0 { return }
            }
            // Nothing is left here: the node above may have become superfluous.
            if let parent {
                parent.node.drop(parent.nibble)
                simplify(parent.node, at: parent.link, retire)
            } else {
                link.pointee.store(0, ordering: .releasing)
            }
            return
        }
    }

    /// Takes out a node that decides nothing.
    private func simplify(_ node: PrefixNode, at link: AtomicWord, _ retire: Retire) {
        let info = node.info
        guard info.own == 0, info.children.nonzeroBitCount < 2 else { return }
        link.pointee.store(info.children == 0 ? 0 : node.child(info.children.trailingZeroBitCount), ordering: .releasing)
        retire(node.memory)
    }

    /// Frees all nodes; no reader may be left.
    func removeAll() {
        var stack = [root.pointee.load(ordering: .relaxed)]
        root.pointee.store(0, ordering: .relaxed)
        while let next = stack.popLast() {
            guard let memory = pointer(next & ~PrefixTrie.bucketTag) else { continue }
            if next & PrefixTrie.bucketTag == 0 { for nibble in 0..<16 { stack.append(PrefixNode(memory).child(nibble)) } }
            memory.deallocate()
        }
    }

    static func cut(_ value: UInt128, _ length: Int) -> UInt128 { length == 0 ? 0 : value & (UInt128.max << UInt128(128 - length)) }
}
