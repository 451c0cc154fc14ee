internal import Flow

/// A packet's key without its zeros.
struct StoredKey: Sendable {
    /// Bit n: word n is not zero.
    private var present: UInt64 = 0
    private var words: [UInt64] = []

    init(_ key: borrowing FlowKey) {
        for word in 0..<FlowLayout.keyWords where key.words[word] != 0 {
            present |= 1 << UInt64(word)
            words.append(key.words[word])
        }
    }

    var key: FlowKey {
        var key = FlowKey()
        var rest = present
        var next = 0
        while rest != 0 {
            key.words[rest.trailingZeroBitCount] = words[next]
            rest &= rest - 1
            next += 1
        }
        return key
    }
}
