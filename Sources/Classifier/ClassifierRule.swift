// A rule as the classifier keeps it.

public import Flow

/// A prioritised match; what to do is the subclass's business.
///
/// The match is kept compact, only the words that are not wild: 48 bytes and 8 a word, beside the object. A rule is
/// visible to lookups at versions from `addedIn` up to, not including, `removedIn`.
///
/// ## Thread safety
/// Pattern, rank and `addedIn` do not change once the rule is inserted; `removedIn` is an atomic word. A rule may be held
/// for as long as one likes, also after it left the classifier.
open class ClassifierRule: @unchecked Sendable {
    /// Higher wins. OpenFlow's are 0 to 65535.
    public let rank: Int32
    public let shape: MaskShape
    /// In words: 0 next rule of the same key (lower priority, or the same and older), 1 `removedIn`, 2 `addedIn`, 3 the
    /// rule's object, 4 hash, 5 priority, then the key. Sound: words 0 and 1 are atomic, the others are written before the
    /// rule is published.
    final let node: UnsafeMutableRawPointer

    static let nextWord = 0
    static let removedInWord = 1
    static let addedInWord = 2
    static let objectWord = 3
    static let hashWord = 4
    static let priorityWord = 5
    static let keyWord = 6

    /// `shape` comes from the classifier that the rule is for.
    public convenience init(match: Match, priority: Int32, shape: MaskShape) {
        self.init(compactMatch: CompactMatch(match), priority: priority, shape: shape)
    }

    /// The same for a match that is compact already.
    public init(compactMatch match: borrowing CompactMatch, priority: Int32, shape: MaskShape) {
        rank = priority
        self.shape = shape
        node = allocateWords(ClassifierRule.keyWord + shape.count)
        shape.copyKey(of: match, to: (node + ClassifierRule.keyWord * 8).assumingMemoryBound(to: UInt64.self))
        node.storeBytes(of: UInt64.max, toByteOffset: ClassifierRule.addedInWord * 8, as: UInt64.self)
        node.storeBytes(of: UInt64.max, toByteOffset: ClassifierRule.removedInWord * 8, as: UInt64.self)
        node.storeBytes(of: Int64(priority), toByteOffset: ClassifierRule.priorityWord * 8, as: Int64.self)
    }

    deinit { node.deallocate() }

    /// The match, in full (1,024 bytes: not for hot paths).
    public final var pattern: Match {
        var result = Match()
        for index in 0..<shape.count {
            result.key.words[Int(shape.words[index])] = keyWords[index]
            result.mask.bits.words[Int(shape.words[index])] = shape.bits[index]
        }
        return result
    }

    /// The match, compact.
    public final var compactPattern: CompactMatch {
        var present: UInt64 = 0
        for index in 0..<shape.count { present |= 1 << UInt64(shape.words[index]) }
        return CompactMatch(present: present) { place, words in
            for index in 0..<shape.count {
                let first = place(Int(shape.words[index]))
                words[first] = keyWords[index]
                words[first + 1] = shape.bits[index]
            }
        }
    }

    final var keyWords: UnsafePointer<UInt64> {
        UnsafePointer((node + ClassifierRule.keyWord * 8).assumingMemoryBound(to: UInt64.self))
    }

    /// The version it became visible in; `UInt64.max` before it is inserted.
    public final var addedIn: UInt64 { node.load(fromByteOffset: ClassifierRule.addedInWord * 8, as: UInt64.self) }
    /// The version it stopped being visible in; `UInt64.max` while it stands.
    public final var removedIn: UInt64 { loadWord(node, ClassifierRule.removedInWord) }

    public final func isVisible(in version: UInt64) -> Bool { addedIn <= version && version < removedIn }

    /// Whether every packet that this rule matches is matched by `filter` too, given that the masks allow it.
    final func agrees(with filter: Match) -> Bool {
        var difference: UInt64 = 0
        for index in 0..<shape.count {
            let word = Int(shape.words[index])
            difference |= (keyWords[index] ^ filter.key.words[word]) & filter.mask.bits.words[word]
        }
        return difference == 0
    }

    /// Whether some packet matches both.
    final func overlaps(_ other: Match) -> Bool {
        var difference: UInt64 = 0
        for index in 0..<shape.count {
            let word = Int(shape.words[index])
            difference |= (keyWords[index] ^ other.key.words[word]) & other.mask.bits.words[word] & shape.bits[index]
        }
        return difference == 0
    }
}
