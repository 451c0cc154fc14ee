// Which bucket of a select group each slot of the datapath's table belongs to.

internal import Glibc

/// Slots in proportion to weights.
enum SelectSlots {
    /// The datapath's hash algorithms, as `selection_method_param` numbers them: the 5-tuple, and a hash that is the same in
    /// both directions.
    static let l4: UInt32 = 0
    static let symmetricL4: UInt32 = 1

    /// The bucket of each slot: a power of two of them, at least 16 a bucket as long as there is room, each bucket with its
    /// weight's share to within one slot, spread evenly. Nil if the weights are all zero, or if there are too many buckets
    /// to give each its share.
    ///
    /// The slot goes to whoever is owed most: by then a bucket of weight w should have `w / total` of the slots.
    static func make(weights: [UInt16]) -> [UInt16]? {
        let total = weights.reduce(UInt64(0)) { $0 + UInt64($1) }
        guard total > 0, let smallest = weights.filter({ $0 > 0 }).min() else { return nil }
        let positive = weights.count { $0 > 0 }
        var count = PipelineLimits.selectSlotsMinimum
        while count < PipelineLimits.selectSlotsMaximum, count < positive * 16 { count *= 2 }
        // Whoever has a weight gets a slot.
        while UInt64(count) * UInt64(smallest) < total {
            count *= 2
            if count > PipelineLimits.selectSlotsMaximum { return nil }
        }
        var owed = [Int64](repeating: 0, count: weights.count)
        return (0..<count).map { _ in
            var winner = 0
            for index in weights.indices {
                owed[index] += Int64(weights[index])
                if owed[index] > owed[winner] { winner = index }
            }
            owed[winner] -= Int64(total)
            return UInt16(winner)
        }
    }

    /// The table with the slots of buckets that are not alive given to the bucket of the next slot that is; nil if none is.
    static func alive(_ slots: [UInt16], _ isAlive: (Int) -> Bool) -> [UInt16]? {
        var known: [UInt16: Bool] = [:]
        func alive(_ bucket: UInt16) -> Bool {
            if let answer = known[bucket] { return answer }
            let answer = isAlive(Int(bucket))
            known[bucket] = answer
            return answer
        }
        guard var next = slots.first(where: { alive($0) }) else { return nil }
        var result = slots
        // From the end: whoever is alive takes over for those before it; the last ones go round to the first.
        for index in slots.indices.reversed() {
            if alive(slots[index]) { next = slots[index] } else { result[index] = next }
        }
        return result
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
