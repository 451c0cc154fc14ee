// A keyed hash over 64-byte lines, for tables whose keys strangers choose.
//
// CRC32C is cheaper to write down but linear: keys that collide collide under every seed. This one multiplies secret-masked
// words pairwise (the idea of NH and of the folded-multiply hashes), four independent multiplications a line, which
// the processor overlaps; without the secrets nobody can aim for collisions.

/// The secrets: 16 random odd words.
///
/// Used by pointer on the fast path; trivial, so copies are free of reference counts.
public struct HashSecrets: Sendable {
    public var words: InlineArray<16, UInt64>

    /// Secrets from a seed; the same seed gives the same hashes.
    public init(seed: UInt64) {
        words = InlineArray(repeating: 0)
        var generator = SplitMix64(seed: seed)
        for index in 0..<16 { words[index] = generator.next() | 1 }
    }
}

/// A small generator of well-mixed numbers, for secrets and for tests: the same seed gives the same sequence.
public struct SplitMix64: RandomNumberGenerator, Sendable {
    @usableFromInline var state: UInt64
    @inlinable public init(seed: UInt64) { state = seed }
    @inlinable @_noLocks public mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var value = state
        value = (value ^ (value >> 30)) &* 0xbf58_476d_1ce4_e5b9
        value = (value ^ (value >> 27)) &* 0x94d0_49bb_1331_11eb
        return value ^ (value >> 31)
    }
}

/// The functions over raw lines.
public enum KeyedHash {
    /// Both halves of the 128-bit product, xored.
    @inlinable @inline(__always) @_noLocks public static func fold(_ left: UInt64, _ right: UInt64) -> UInt64 {
        let product = left.multipliedFullWidth(by: right)
        return product.high ^ product.low
    }

    /// Hash of the 64-byte line at `line` under the mask at `mask` (both 8-byte aligned), continued from `state`.
    @inlinable @inline(__always) @_noLocks public static func maskedLine(
        _ line: UnsafeRawPointer, _ mask: UnsafeRawPointer, _ secrets: UnsafePointer<UInt64>, _ state: UInt64
    ) -> UInt64 {
        let k = line.assumingMemoryBound(to: UInt64.self)
        let m = mask.assumingMemoryBound(to: UInt64.self)
        let a = fold((k[0] & m[0]) ^ secrets[0], (k[1] & m[1]) ^ secrets[1])
        let b = fold((k[2] & m[2]) ^ secrets[2], (k[3] & m[3]) ^ secrets[3])
        let c = fold((k[4] & m[4]) ^ secrets[4], (k[5] & m[5]) ^ secrets[5])
        let d = fold((k[6] & m[6]) ^ secrets[6], (k[7] & m[7]) ^ secrets[7])
        let sum = (a &+ b) ^ ((c &+ d) &* secrets[8])
        return fold(sum ^ state, secrets[9])
    }
}
