// The order in which the field's server looks at names.
//
// Where a request has several faults, or two rows collide, what the answer says depends on which name is looked at first. There
// that is the order of a chained hash table (32-bit Murmur hash, buckets a power of two, doubled when they hold two names on
// average, the newest name of a bucket first). Answers are compared word by word with that server's, so the order is the same here.

/// Orders names as the field's hash table does.
enum FieldOrder {
    /// Positions of `names`, in the order in which they would be visited had they been inserted as given.
    static func positions(_ names: [String]) -> [Int] {
        guard names.count > 1 else { return Array(names.indices) }
        let hashes = names.map(hash)
        var buckets: [[Int]] = [[]]
        var count = 0
        for index in names.indices {
            buckets[Int(hashes[index]) & (buckets.count - 1)].insert(index, at: 0)
            count += 1
            guard count / 2 > buckets.count - 1 else { continue }
            var grown: [[Int]] = Array(repeating: [], count: bucketCount(count))
            for bucket in buckets { for item in bucket { grown[Int(hashes[item]) & (grown.count - 1)].insert(item, at: 0) } }
            buckets = grown
        }
        return buckets.flatMap { $0 }
    }

    /// Buckets for a table that holds `count` names.
    private static func bucketCount(_ count: Int) -> Int {
        var mask = count / 2
        for shift in [1, 2, 4, 8, 16] { mask |= mask >> shift }
        // A table that is allocated at all has four buckets.
        return (mask | (mask & 1) << 1) + 1
    }

    /// Murmur's 32-bit hash with basis 0, over the name's bytes, the last word padded with zeros.
    static func hash(_ name: String) -> UInt32 {
        var hash: UInt32 = 0
        var word: UInt32 = 0
        var filled: UInt32 = 0
        var length: UInt32 = 0
        func rotate(_ value: UInt32, _ bits: UInt32) -> UInt32 { value << bits | value >> (32 - bits) }
        func mix() { hash = rotate(hash ^ rotate(word &* 0xcc9e_2d51, 15) &* 0x1b87_3593, 13) &* 5 &+ 0xe654_6b64 }
        for byte in name.utf8 {
            word |= UInt32(byte) << (8 * filled)
            filled += 1
            length += 1
            if filled == 4 {
                mix()
                word = 0
                filled = 0
            }
        }
        if filled > 0 { mix() }
        hash ^= length
        hash = (hash ^ hash >> 16) &* 0x85eb_ca6b
        hash = (hash ^ hash >> 13) &* 0xc2b2_ae35
        return hash ^ hash >> 16
    }
}
