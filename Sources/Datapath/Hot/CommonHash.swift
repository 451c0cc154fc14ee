internal import Base
internal import Flow

/// The hash of common packets' keys under one mask: the same as `FlowReader.hash`, with what is the same for the whole burst
/// done once. Words 0, 6 and 7 of such keys are known, and so are the VLAN tags; pairs of words without bits in the mask need no look.
struct CommonHash {
    private let secrets: UnsafePointer<UInt64>
    private let mask: UnsafePointer<UInt64>
    private let first: UInt64
    private let hasFirst: Bool
    private let hasSecond: Bool
    private let hasThird: Bool
    private let constants: (UInt64, UInt64, UInt64, UInt64)

    @_noLocks @inline(__always)
    init(_ secrets: UnsafePointer<UInt64>, _ mask: UnsafeMutableRawPointer, _ word: UInt64) {
        let m = UnsafePointer(mask.assumingMemoryBound(to: UInt64.self))
        self.secrets = secrets
        self.mask = m
        first = (word & m[0]) ^ secrets[0]
        hasFirst = m[1] != 0
        hasSecond = (m[2] & 0xffff_ffff) | m[3] != 0
        hasThird = m[4] | m[5] != 0
        constants = (
            KeyedHash.fold((word & m[0]) ^ secrets[0], secrets[1]), KeyedHash.fold(secrets[2], secrets[3]),
            KeyedHash.fold(secrets[4], secrets[5]), KeyedHash.fold(secrets[6], secrets[7])
        )
    }

    @_noLocks @inline(__always)
    func hash(_ key: UnsafePointer<UInt64>) -> UInt64 {
        var (a, b, c) = (constants.0, constants.1, constants.2)
        if hasFirst { a = KeyedHash.fold(first, (key[1] & mask[1]) ^ secrets[1]) }
        if hasSecond { b = KeyedHash.fold((key[2] & mask[2]) ^ secrets[2], (key[3] & mask[3]) ^ secrets[3]) }
        if hasThird { c = KeyedHash.fold((key[4] & mask[4]) ^ secrets[4], (key[5] & mask[5]) ^ secrets[5]) }
        let sum = (a &+ b) ^ ((c &+ constants.3) &* secrets[8])
        return KeyedHash.fold(sum, secrets[9]) | 1 << 63
    }
}
