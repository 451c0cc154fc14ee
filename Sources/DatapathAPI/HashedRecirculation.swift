// Recirculation ids that say which hash value led to them.
//
// Where the datapath chooses one of several ways by a hash of the packet, each hash value has an id of its own: what stands for
// the choice (a number, the same for all of them), and the hash value. In text these are two fields, `recirc_id` and
// `dp_hash` with a mask, as the field's switches have them; in the key they are one word that every megaflow matches.
//
//     bit 31    set: there is a hash value
//     28 to 30  bits of the hash that count, minus 1
//     20 to 27  the hash value
//     0 to 19   the number

public import Flow

/// A recirculation id's parts.
public struct HashedRecirculation: Equatable, Sendable {
    /// What stands for the choice; below `numberLimit`, never 0.
    public var number: UInt32
    /// Which of the hash values; below `count`.
    public var hash: UInt32
    /// How many hash values there are: a power of two from 2 to 256.
    public var count: UInt32

    /// Numbers are below this.
    public static let numberLimit: UInt32 = 1 << 20

    public init(number: UInt32, hash: UInt32, count: UInt32) {
        precondition(number < HashedRecirculation.numberLimit && count.nonzeroBitCount == 1 && (2...256).contains(count) && hash < count)
        self.number = number
        self.hash = hash
        self.count = count
    }

    /// Nil if the id has no hash value.
    public init?(id: UInt32) {
        guard id >> 31 != 0 else { return nil }
        number = id & (HashedRecirculation.numberLimit - 1)
        count = 2 << (id >> 28 & 7)
        hash = id >> 20 & 0xff & (count - 1)
    }

    public var id: UInt32 { 1 << 31 | UInt32(count.trailingZeroBitCount - 1) << 28 | hash << 20 | number }
}

extension FlowKey {
    /// The same with the number in `recirc_id` and the hash value in `dp_hash`, for those who read it.
    public var withHashApart: FlowKey {
        guard let hashed = HashedRecirculation(id: UInt32(truncatingIfNeeded: self[.recircID])) else { return self }
        var result = self
        result[.recircID] = UInt128(hashed.number)
        result[.dpHash] = UInt128(hashed.hash)
        return result
    }
}

extension Match {
    /// The same with the number in `recirc_id` and the hash value in `dp_hash`, for those who read it.
    public var withHashApart: Match {
        guard let hashed = HashedRecirculation(id: UInt32(truncatingIfNeeded: key[.recircID])) else { return self }
        var result = self
        result.key = key.withHashApart
        result.mask.bits[.dpHash] = UInt128(hashed.count - 1)
        return result
    }
}
