// Which bucket of a select group each slot of the datapath's table belongs to.

internal import Glibc

/// Slots in proportion to weights.
enum SelectSlots {
    /// The datapath's hash algorithms, as `selection_method_param` numbers them: the 5-tuple, and a hash that is the same in
    /// both directions.
    static let l4: UInt32 = 0
    static let symmetricL4: UInt32 = 1

    /// Why there is no table.
    enum Refusal: Error, Equatable {
        case noBuckets
        case noWeight
        /// More hash values than there may be.
        case tooMany(Int)
    }

    /// How many hash values weights need: a power of two, at least 16 and four a bucket as long as there is room, and one for
    /// whoever has a weight at all.
    static func count(weights: [UInt16]) throws(Refusal) -> Int {
        if weights.isEmpty { throw .noBuckets }
        let total = weights.reduce(0) { $0 + Int($1) }
        guard let smallest = weights.filter({ $0 > 0 }).min() else { throw .noWeight }
        let most = PipelineLimits.selectSlotsMaximum
        let wanted = max((total + Int(smallest) - 1) / Int(smallest), min(weights.count * 4, most))
        var count = PipelineLimits.selectSlotsMinimum
        while count < wanted { count *= 2 }
        if count > most { throw .tooMany(count) }
        return count
    }

    /// The bucket of each slot, each bucket with its weight's share, spread evenly.
    ///
    /// Each slot goes to the bucket with the highest quotient of its weight and the odd number that follows twice its slots
    /// (Webster's method): shares are as near to the weights as whole numbers can be.
    static func make(weights: [UInt16]) throws(Refusal) -> [UInt16] {
        var divisors = [Int](repeating: 1, count: weights.count)
        return try (0..<count(weights: weights)).map { _ in
            var winner = 0
            for index in weights.indices where Int(weights[index]) * divisors[winner] > Int(weights[winner]) * divisors[index] {
                winner = index
            }
            divisors[winner] += 2
            return UInt16(winner)
        }
    }

    /// The bucket of a hash value: its slot's, or if that is not alive the next slot's whose bucket is. Nil if none is.
    static func bucket(_ slots: [UInt16], _ hash: Int, isAlive: (Int) -> Bool) -> Int? {
        var known: [UInt16: Bool] = [:]
        for offset in slots.indices {
            let bucket = slots[(hash + offset) & (slots.count - 1)]
            if known[bucket] == nil { known[bucket] = isAlive(Int(bucket)) }
            if known[bucket]! { return Int(bucket) }
        }
        return nil
    }

    /// Picks an index by weights: `hash` chooses, each index with its weight's share, and an index that goes or comes moves
    /// only what it has or gets (weighted rendezvous hashing). Nil if all weights are zero.
    static func pick(_ hash: UInt64, _ candidates: [(id: UInt32, weight: UInt16)]) -> Int? {
        var best: Int?
        var bestScore = -Double.infinity
        for (index, candidate) in candidates.enumerated() where candidate.weight > 0 {
            // Uniform in (0, 1].
            let uniform = Double((mix(hash, UInt64(candidate.id)) >> 11) + 1) * 0x1p-53
            // The largest of u^(1/w) is at each index with probability w / total; logarithms keep it in range.
            let score = log(uniform) / Double(candidate.weight)
            if score > bestScore {
                bestScore = score
                best = index
            }
        }
        return best
    }

    /// One step of a hash over words.
    static func mix(_ state: UInt64, _ word: UInt64) -> UInt64 {
        var value = state ^ word &* 0x9e37_79b9_7f4a_7c15
        value = (value ^ value >> 30) &* 0xbf58_476d_1ce4_e5b9
        value = (value ^ value >> 27) &* 0x94d0_49bb_1331_11eb
        return value ^ value >> 31
    }
}
