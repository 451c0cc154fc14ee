// A match as it is kept: only the words that are not wild.
//
// A `Match` is 1,024 bytes, right for computing and wrong for keeping or handing on by the hundred thousand. Five or six of
// its 64 words are in use as a rule; this is those.

/// Something that says which fields a match has.
public protocol FieldMatching {
    /// The field's value and mask; mask 0 means wild.
    func get(_ field: Field) -> (value: UInt128, mask: UInt128)
}

extension Match: FieldMatching {}

/// A match in a few dozen bytes.
public struct CompactMatch: Equatable, Sendable, FieldMatching {
    /// Bit n says that word n of the mask is not zero.
    public private(set) var present: UInt64
    /// For each such word, in order: the key's word, then the mask's.
    public private(set) var words: [UInt64]

    /// Matches every packet.
    public init() {
        present = 0
        words = []
    }

    /// Of the words that `present` names; `fill` writes them, each at its place: the key's word, then the mask's, which is not zero.
    public init(present: UInt64, fill: (_ place: (Int) -> Int, _ words: UnsafeMutablePointer<UInt64>) -> Void) {
        self.present = present
        words = []
        if present == 0 { return }
        let places = present
        words = [UInt64](unsafeUninitializedCapacity: 2 * present.nonzeroBitCount) { buffer, count in
            fill({ 2 * (places & ((1 << UInt64($0)) - 1)).nonzeroBitCount }, buffer.baseAddress!)
            count = buffer.count
        }
    }

    public init(_ match: borrowing Match) {
        var present: UInt64 = 0
        for index in 0..<FlowKey.wordCount where match.mask.bits.words[index] != 0 { present |= 1 << UInt64(index) }
        self.present = present
        if present == 0 {
            words = []
            return
        }
        let keyWords = match.key.words.span
        let maskWords = match.mask.bits.words.span
        words = [UInt64](unsafeUninitializedCapacity: 2 * present.nonzeroBitCount) { buffer, count in
            var rest = present
            while rest != 0 {
                let index = rest.trailingZeroBitCount
                rest &= rest - 1
                buffer[count] = keyWords[index] & maskWords[index]
                buffer[count + 1] = maskWords[index]
                count += 2
            }
        }
    }

    /// The match in full.
    public var match: Match {
        var result = Match()
        var rest = present
        var place = 0
        while rest != 0 {
            let index = rest.trailingZeroBitCount
            rest &= rest - 1
            result.key.words[index] = words[place]
            result.mask.bits.words[index] = words[place + 1]
            place += 2
        }
        return result
    }

    /// Where word `index`, which is present, lies in `words`.
    @inlinable public func place(of index: Int) -> Int { 2 * (present & ((1 << UInt64(index)) - 1)).nonzeroBitCount }

    // MARK: Fields

    /// Where a field lies: its first word, and how far it is shifted within that word and the next, big-endian.
    private static func window(_ layout: FieldLayout) -> (word: Int, shift: UInt128) {
        let start = layout.byteOffset & 7
        return (layout.byteOffset >> 3, UInt128((16 - start - layout.byteCount) * 8 + layout.shift))
    }

    /// The big-endian window of two words that begins with `word`.
    private func window(at word: Int, _ half: Int) -> UInt128 {
        func part(_ word: Int) -> UInt128 {
            guard word < FlowKey.wordCount, present >> UInt64(word) & 1 == 1 else { return 0 }
            return UInt128(words[place(of: word) + half].byteSwapped)
        }
        return part(word) << 64 | part(word + 1)
    }

    public func get(_ field: Field) -> (value: UInt128, mask: UInt128) {
        let layout = field.layout
        let (word, shift) = CompactMatch.window(layout)
        guard present >> UInt64(word) & 0b11 != 0 else { return (0, 0) }
        let ones = layout.allOnes
        let mask = window(at: word, 1) >> shift & ones
        if mask == 0 { return (0, 0) }
        return (window(at: word, 0) >> shift & ones, mask)
    }

    /// Requires `field` to equal `value` where `mask` (default: all of the field's bits) has ones.
    public mutating func set(_ field: Field, _ value: UInt128, mask: UInt128? = nil) {
        let layout = field.layout
        let (word, shift) = CompactMatch.window(layout)
        let bits = (mask ?? layout.allOnes) & layout.allOnes
        let (key, place) = ((value & bits) << shift, bits << shift)
        require(word, UInt64(truncatingIfNeeded: key >> 64).byteSwapped, UInt64(truncatingIfNeeded: place >> 64).byteSwapped)
        require(word + 1, UInt64(truncatingIfNeeded: key).byteSwapped, UInt64(truncatingIfNeeded: place).byteSwapped)
    }

    private mutating func require(_ word: Int, _ key: UInt64, _ bits: UInt64) {
        if bits == 0 { return }
        let place = place(of: word)
        if present >> UInt64(word) & 1 == 1 {
            words[place] = words[place] & ~bits | key
            words[place + 1] |= bits
            return
        }
        present |= 1 << UInt64(word)
        if words.isEmpty { words.reserveCapacity(12) }
        words.insert(bits, at: place)
        words.insert(key, at: place)
    }
}

/// A property that reads and writes as a `Match` and is kept as a `CompactMatch`, which the projection gives.
@propertyWrapper
public struct KeptCompact: Equatable, Sendable {
    public var projectedValue: CompactMatch

    public init(wrappedValue: Match) { projectedValue = CompactMatch(wrappedValue) }
    public init(projectedValue: CompactMatch) { self.projectedValue = projectedValue }

    public var wrappedValue: Match {
        get { projectedValue.match }
        set { projectedValue = CompactMatch(newValue) }
    }
}
