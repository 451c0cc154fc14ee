// A node of a `PrefixTrie`: the prefixes of four lengths below one prefix, and where longer ones are.
//
// In words: 0 and 1 the node's own prefix (high, low), of `depth` bits; 2 what there is (`Info`); 3 to 18 links for each value of the
// next four bits; then, of the writer alone, the number of rules of each of the 15 prefixes that end here, 32 bits each.

internal import Synchronization

/// A view of a node's memory, which it does not own.
struct PrefixNode {
    /// Which of the prefixes that end here have rules, and which values of the next four bits have links. One word, so that readers
    /// see both at one time.
    struct Info {
        var bits: UInt64
        /// A multiple of 4.
        @inline(__always) var depth: Int { Int(bits & 0xff) }
        /// By `place`: 15 bits.
        @inline(__always) var own: UInt32 { UInt32(truncatingIfNeeded: bits >> 32) }
        /// 16 bits.
        @inline(__always) var children: UInt32 { UInt32(truncatingIfNeeded: bits >> 8 & 0xffff) }

        /// How many of the next four bits say that there is nothing below this value of them, and which of the prefixes here match.
        func checkedBits(_ nibble: Int) -> Int {
            for count in 0..<4 {
                let (first, size) = (nibble & ~(15 >> count), 16 >> count)
                var below = children >> UInt32(first) & ((1 << UInt32(size)) - 1)
                for length in count + 1..<4 where below == 0 {
                    let places = 1 << (length - count)
                    below |= own >> UInt32(PrefixNode.place(first, length)) & ((1 << UInt32(places)) - 1)
                }
                if below == 0 { return count }
            }
            return 4
        }
    }

    private static let infoWord = 2
    private static let linkWord = 3
    private static let countOffset = (linkWord + 16) * 8
    private static let wordCount = linkWord + 16 + 8

    let memory: UnsafeMutableRawPointer

    @inline(__always) init(_ memory: UnsafeMutableRawPointer) { self.memory = memory }

    /// A node for what begins with the first `depth` bits of `prefix`.
    static func make(_ prefix: UInt128, depth: Int) -> PrefixNode {
        let node = PrefixNode(allocateWords(wordCount))
        let own = PrefixTrie.cut(prefix, depth)
        node.memory.storeBytes(of: UInt64(truncatingIfNeeded: own >> 64), as: UInt64.self)
        node.memory.storeBytes(of: UInt64(truncatingIfNeeded: own), toByteOffset: 8, as: UInt64.self)
        storeWord(node.memory, infoWord, UInt64(depth))
        return node
    }

    @inline(__always) var info: Info { Info(bits: loadWord(memory, PrefixNode.infoWord)) }

    var prefix: UInt128 { UInt128(memory.load(as: UInt64.self)) << 64 | UInt128(memory.load(fromByteOffset: 8, as: UInt64.self)) }

    @inline(__always) func link(_ nibble: Int) -> AtomicWord { atomicWord(memory, PrefixNode.linkWord + nibble) }

    @inline(__always) func child(_ nibble: Int) -> UInt64 { loadWord(memory, PrefixNode.linkWord + nibble) }

    /// Hangs a link in where there is none.
    func adopt(_ link: UInt64, _ nibble: Int) {
        self.link(nibble).pointee.store(link, ordering: .releasing)
        storeWord(memory, PrefixNode.infoWord, info.bits | 1 << UInt64(8 + nibble))
    }

    /// Takes a link out.
    func drop(_ nibble: Int) {
        storeWord(memory, PrefixNode.infoWord, info.bits & ~(1 << UInt64(8 + nibble)))
        link(nibble).pointee.store(0, ordering: .releasing)
    }

    /// Counts rules of a prefix that ends here.
    func count(_ prefix: UInt128, _ length: Int, by change: Int) {
        let place = PrefixNode.place(PrefixNode.nibble(prefix, info.depth), length - info.depth)
        let counts = (memory + PrefixNode.countOffset).assumingMemoryBound(to: UInt32.self)
        precondition(change > 0 || counts[place] > 0, "prefix is not in the trie")
        counts[place] = UInt32(Int(counts[place]) + change)
        let bit: UInt64 = 1 << UInt64(32 + place)
        storeWord(memory, PrefixNode.infoWord, counts[place] > 0 ? info.bits | bit : info.bits & ~bit)
    }

    /// Where the first `length` (0 to 3) bits of four have their place among the prefixes that end in a node.
    @inline(__always) static func place(_ nibble: Int, _ length: Int) -> Int { (1 << length) - 1 + nibble >> (4 - length) }

    /// The four bits from bit `depth` on, counted from the first. Beyond the last they are 0.
    @inline(__always) static func nibble(_ value: UInt128, _ depth: Int) -> Int {
        if depth < 64 { return Int(truncatingIfNeeded: UInt64(truncatingIfNeeded: value >> 64) >> UInt64(60 - depth)) & 15 }
        return depth < 128 ? Int(truncatingIfNeeded: UInt64(truncatingIfNeeded: value) >> UInt64(124 - depth)) & 15 : 0
    }

    /// How many of the first bits of `value` and of two words of memory are the same.
    @inline(__always) static func commonBits(_ value: UInt128, _ words: UnsafeMutableRawPointer) -> Int {
        let high = UInt64(truncatingIfNeeded: value >> 64) ^ words.load(as: UInt64.self)
        if high != 0 { return high.leadingZeroBitCount }
        return 64 + (UInt64(truncatingIfNeeded: value) ^ words.load(fromByteOffset: 8, as: UInt64.self)).leadingZeroBitCount
    }
}
