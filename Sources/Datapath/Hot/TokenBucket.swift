// Token buckets that any number of threads draw from without locks.
//
// A bucket is one atomic word: the *virtual time* up to which its tokens are spent, in units of 1/64 ns. A packet costs the
// time in which its tokens come in; it conforms if the virtual time stays at or before now. Idle time is credited up to
// the burst: the virtual time is never further back than now minus that. So filling needs no timer, and a whole
// burst of packets takes one compare-and-swap.
//
// The unit is small enough for 64-byte packets at 1 Tbit/s (33 units), and an Int64 of them is four and a half years from
// the datapath's start. Costs are computed with 16 more bits: at 40 Gbit/s they are right to 5 in a million.

internal import Synchronization

enum TokenBucket {
    // Byte offsets. What is set at the start has a cache line of its own.
    /// Units a bit or packet, shifted by 16; 0: nothing conforms.
    private static var multiplier: Int { @_noLocks @inline(__always) get { 0 } }
    private static var burst: Int { @_noLocks @inline(__always) get { 8 } }
    /// Whether a packet conforms only if all of its tokens are there; else if any is, so that a bucket of whatever depth
    /// lets packets of whatever length pass at its rate.
    private static var isStrict: Int { @_noLocks @inline(__always) get { 16 } }
    private static var virtualTime: Int { @_noLocks @inline(__always) get { 64 } }
    static var byteCount: Int { @_noLocks @inline(__always) get { 128 } }

    private static let unitsPerSecond = 64_000_000_000.0
    private static let longestBurst = 1.0e18

    /// Now in units, from the clock's nanoseconds.
    @_noLocks @inline(__always)
    static func time(_ nanoseconds: UInt64, since origin: UInt64) -> Int64 {
        Int64(truncatingIfNeeded: (nanoseconds > origin ? nanoseconds &- origin : 0) &* 64)
    }

    /// Makes a full bucket.
    ///
    /// - Parameters:
    ///   - rate: bits, bytes or packets a second, whatever amounts are in.
    ///   - burst: the same; how much may come at once. Nil: a hundredth of a second's, and a whole packet if there is anything.
    static func initialize(_ bucket: UnsafeMutableRawPointer, rate: Double, burst: Double?, now: Int64) {
        bucket.initializeMemory(as: UInt64.self, repeating: 0, count: byteCount / 8)
        if rate > 0 {
            bucket.storeBytes(
                of: UInt64(min((unitsPerSecond * 65_536 / rate).rounded(), 9.0e15)), toByteOffset: multiplier, as: UInt64.self)
        }
        let depth = Int64(min(rate > 0 ? (burst.map { $0 / rate } ?? 0.01) * unitsPerSecond : 0, longestBurst))
        bucket.storeBytes(of: depth, toByteOffset: self.burst, as: Int64.self)
        bucket.storeBytes(of: burst != nil, toByteOffset: isStrict, as: Bool.self)
        bucket.storeBytes(of: now - depth, toByteOffset: virtualTime, as: Int64.self)
    }

    /// The time that `amount` costs, at most 2^62 units.
    @_noLocks @inline(__always)
    static func cost(_ bucket: UnsafeMutableRawPointer, _ amount: UInt64) -> Int64 {
        let (high, low) = bucket.load(fromByteOffset: multiplier, as: UInt64.self).multipliedFullWidth(by: amount)
        let units = high << 48 | low >> 16
        return high >> 14 != 0 || units > 1 << 62 ? 1 << 62 : Int64(truncatingIfNeeded: units)
    }

    /// Takes the tokens of those of `count` (at most 64) packets that conform, in order. Returns a bit for each that does not.
    ///
    /// - Parameter amounts: of each packet, in what the rate is in.
    @_noLocks
    static func take(_ bucket: UnsafeMutableRawPointer, _ amounts: UnsafePointer<UInt32>, _ count: Int, now: Int64) -> UInt64 {
        if bucket.load(fromByteOffset: multiplier, as: UInt64.self) == 0 {
            return count == 64 ? .max : 1 << UInt64(truncatingIfNeeded: count) &- 1
        }
        let depth = bucket.load(fromByteOffset: burst, as: Int64.self)
        let strict = bucket.load(fromByteOffset: isStrict, as: Bool.self)
        let word = (bucket + virtualTime).assumingMemoryBound(to: Atomic<Int64>.self)
        var old = word.pointee.load(ordering: .relaxed)
        while true {
            var spent = strict ? max(old, now &- depth) : old
            var exceeding: UInt64 = 0
            var index = 0
            while index < count {
                let price = cost(bucket, UInt64(amounts[index]))
                if strict {
                    if spent &+ price <= now { spent &+= price } else { exceeding |= 1 << UInt64(truncatingIfNeeded: index) }
                } else {
                    // The bucket is never too shallow for the packet: what came in while waiting for it is not lost.
                    let start = max(spent, now &- max(depth, price))
                    if start <= now { spent = start &+ price } else { exceeding |= 1 << UInt64(truncatingIfNeeded: index) }
                }
                index &+= 1
            }
            let (exchanged, seen) = word.pointee.weakCompareExchange(expected: old, desired: spent, ordering: .relaxed)
            if exchanged { return exceeding }
            old = seen
        }
    }

    /// The same for one packet. True if it conforms.
    @_noLocks
    static func takeOne(_ bucket: UnsafeMutableRawPointer, _ amount: UInt32, now: Int64) -> Bool {
        var one = amount
        return take(bucket, &one, 1, now: now) == 0
    }
}
