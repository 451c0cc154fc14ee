// Randomness that can be repeated: the seed is printed with a failure and given back by `APUS_SEED`.

internal import Glibc

/// SplitMix64, seeded.
public struct SeededRandom: RandomNumberGenerator, Sendable {
    public let seed: UInt64
    private var state: UInt64

    /// A generator with this seed.
    public init(seed: UInt64) {
        self.seed = seed
        state = seed
    }

    /// The seed in the environment variable `APUS_SEED`, or a new one.
    public init() {
        let given = getenv("APUS_SEED").flatMap { UInt64(String(cString: $0)) }
        self.init(seed: given ?? UInt64.random(in: 0 ... .max))
    }

    public mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xbf58_476d_1ce4_e5b9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94d0_49bb_1331_11eb
        return mixed ^ (mixed >> 31)
    }
}
