// A mask in compact form: only the words that are not wild, sorted by stage.

public import Flow

/// What the rules of one subtable match on. Immutable, shared by all of them.
///
/// Stages are the order in which a lookup reads a packet: metadata (ports, registers, tunnel, conntrack), L2, L3, L4. A
/// packet that no rule of the subtable agrees with in an early stage need not be looked at any further.
///
/// ## Thread safety
/// Immutable; any thread may read it.
public final class MaskShape: Sendable {
    static let stageCount = 4
    /// The key's words of a stage, as a set of bits; within a stage they are taken in order.
    @inline(__always) static func stageWords(_ stage: Int) -> UInt64 {
        switch stage {
        case 0: ~0xff_ffff | 0b1100_0001
        case 1: 0b0110
        case 2: 0xff_ff00 | 0b1000
        default: 0b0011_0000
        }
    }

    /// Number of words that are not wild.
    let count: Int
    /// Their places in the key, and their masks. Sound: written before `init` ends, freed with the object.
    nonisolated(unsafe) let words: UnsafeMutablePointer<UInt8>
    nonisolated(unsafe) let bits: UnsafeMutablePointer<UInt64>
    /// Where each stage ends, counted in words.
    let stageEnds: (Int, Int, Int, Int)
    /// Leading ones of the mask of each field that has a trie; 0 if the field is wild in its first bit.
    let prefixLengths: (UInt8, UInt8, UInt8, UInt8)
    /// The bits themselves, hashed: equal masks have equal hashes.
    let hash: UInt64

    convenience init(_ mask: FlowMask) { self.init(CompactMatch(Match(key: FlowKey(), mask: mask))) }

    /// The shape of rules with this match.
    init(_ match: borrowing CompactMatch) {
        let present = match.present
        count = present.nonzeroBitCount
        words = .allocate(capacity: max(1, count))
        bits = .allocate(capacity: max(1, count))
        var ends = (0, 0, 0, 0)
        var place = 0
        for stage in 0..<MaskShape.stageCount {
            var rest = present & MaskShape.stageWords(stage)
            while rest != 0 {
                let index = rest.trailingZeroBitCount
                rest &= rest - 1
                words[place] = UInt8(index)
                bits[place] = match.words[match.place(of: index) + 1]
                place += 1
            }
            switch stage {
            case 0: ends.0 = place
            case 1: ends.1 = place
            case 2: ends.2 = place
            default: ends.3 = place
            }
        }
        stageEnds = ends
        hash = MaskShape.hash(match)
        let (wordList, bitList) = (words, bits)
        func leading(_ field: TrieField) -> UInt8 { UInt8(field.leadingOnes(wordList, bitList, place)) }
        prefixLengths = (leading(.nwSrc), leading(.nwDst), leading(.ipv6Src), leading(.ipv6Dst))
    }

    /// The hash of a match's mask.
    static func hash(_ match: borrowing CompactMatch) -> UInt64 {
        var hash: UInt64 = hashStep(0x51ed, match.present)
        var place = 1
        while place < match.words.count {
            hash = hashStep(hash, match.words[place])
            place += 2
        }
        return hashFinish(hash)
    }

    deinit {
        words.deallocate()
        bits.deallocate()
    }

    /// Whether it matches every packet.
    public var isEmpty: Bool { count == 0 }

    /// The mask in full.
    public var mask: FlowMask {
        var result = FlowMask()
        for index in 0..<count { result.bits.words[Int(words[index])] = bits[index] }
        return result
    }

    func isEqual(to other: MaskShape) -> Bool {
        guard hash == other.hash, count == other.count else { return false }
        for index in 0..<count where words[index] != other.words[index] || bits[index] != other.bits[index] { return false }
        return true
    }

    /// Whether `match` has this shape; `hash` is its mask's.
    func fits(_ match: borrowing CompactMatch, hash: UInt64) -> Bool {
        guard hash == self.hash, count == match.present.nonzeroBitCount else { return false }
        for index in 0..<count {
            let word = Int(words[index])
            guard match.present >> UInt64(word) & 1 == 1, match.words[match.place(of: word) + 1] == bits[index] else { return false }
        }
        return true
    }

    /// Writes the match's key words in stage order; the match has this shape.
    func copyKey(of match: borrowing CompactMatch, to key: UnsafeMutablePointer<UInt64>) {
        for index in 0..<count { key[index] = match.words[match.place(of: Int(words[index]))] }
    }

    /// Whether every bit of `mask` is matched by this shape too.
    func isSuperset(of mask: FlowMask) -> Bool {
        var covered = 0
        for index in 0..<count {
            let wanted = mask.bits.words[Int(words[index])]
            if wanted & ~bits[index] != 0 { return false }
            if wanted != 0 { covered += 1 }
        }
        var wantedWords = 0
        for index in 0..<FlowKey.wordCount where mask.bits.words[index] != 0 { wantedWords += 1 }
        return covered == wantedWords
    }
}

/// A field whose prefixes are kept in a trie.
enum TrieField: Int, CaseIterable {
    case nwSrc, nwDst, ipv6Src, ipv6Dst

    var width: Int { rawValue < 2 ? 32 : 128 }

    /// The field of a key, left-aligned in 128 bits.
    @inline(__always) func load(_ words: UnsafePointer<UInt64>) -> UInt128 {
        switch self {
        case .nwSrc: UInt128(words[3].byteSwapped >> 32) << 96
        case .nwDst: UInt128(words[3].byteSwapped & 0xffff_ffff) << 96
        case .ipv6Src: UInt128(words[8].byteSwapped) << 64 | UInt128(words[9].byteSwapped)
        case .ipv6Dst: UInt128(words[10].byteSwapped) << 64 | UInt128(words[11].byteSwapped)
        }
    }

    /// Sets the first `length` bits of the field in a mask.
    @inline(__always) func unwildcard(_ length: Int, in words: UnsafeMutablePointer<UInt64>) {
        switch self {
        case .nwSrc: words[3] |= (~(UInt64.max >> UInt64(length)) & 0xffff_ffff_0000_0000).byteSwapped
        case .nwDst: words[3] |= (~(UInt64.max >> UInt64(length)) >> 32).byteSwapped
        case .ipv6Src, .ipv6Dst:
            let first = self == .ipv6Src ? 8 : 10
            words[first] |= (length >= 64 ? UInt64.max : ~(UInt64.max >> UInt64(length))).byteSwapped
            if length > 64 { words[first + 1] |= (length >= 128 ? UInt64.max : ~(UInt64.max >> UInt64(length - 64))).byteSwapped }
        }
    }

    /// Leading ones of the field in a mask of which only `count` words are not zero.
    func leadingOnes(_ words: UnsafePointer<UInt8>, _ bits: UnsafePointer<UInt64>, _ count: Int) -> Int {
        withUnsafeTemporaryAllocation(of: UInt64.self, capacity: 12) { all in
            all.initialize(repeating: 0)
            for index in 0..<count where words[index] < 12 { all[Int(words[index])] = bits[index] }
            return min(width, (~load(UnsafePointer(all.baseAddress!))).leadingZeroBitCount)
        }
    }

    @inline(__always) func prefixLength(_ shape: (UInt8, UInt8, UInt8, UInt8)) -> Int {
        switch self {
        case .nwSrc: Int(shape.0)
        case .nwDst: Int(shape.1)
        case .ipv6Src: Int(shape.2)
        case .ipv6Dst: Int(shape.3)
        }
    }
}
