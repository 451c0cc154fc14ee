// UUIDs (RFC 4122) as row names, and where new ones come from.

/// A 128-bit row identifier.
public struct UUID: Hashable, Comparable, Sendable, CustomStringConvertible {
    public var high: UInt64
    public var low: UInt64

    /// All zeros: "no row", the default of a uuid column.
    public static let zero = UUID(high: 0, low: 0)

    public init(high: UInt64, low: UInt64) {
        self.high = high
        self.low = low
    }

    /// Parses "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx", either case; nil for anything else.
    public init?(_ text: String) {
        var value: (UInt64, UInt64) = (0, 0)
        var digits = 0
        var index = 0
        for byte in text.utf8 {
            if index == 8 || index == 13 || index == 18 || index == 23 {
                guard byte == UInt8(ascii: "-") else { return nil }
            } else {
                guard let digit = hexadecimalValue(byte), digits < 32 else { return nil }
                if digits < 16 { value.0 = value.0 << 4 | UInt64(digit) } else { value.1 = value.1 << 4 | UInt64(digit) }
                digits += 1
            }
            index += 1
        }
        guard index == 36 else { return nil }
        self.init(high: value.0, low: value.1)
    }

    /// The 36-character form, lower case.
    public var description: String {
        String(unsafeUninitializedCapacity: 36) { buffer in
            write(to: buffer)
            return 36
        }
    }

    /// Writes the 36 characters of `description`.
    func write(to buffer: UnsafeMutableBufferPointer<UInt8>) {
        var position = 0
        for nibble in 0..<32 {
            if nibble == 8 || nibble == 12 || nibble == 16 || nibble == 20 {
                buffer[position] = UInt8(ascii: "-")
                position += 1
            }
            let word = nibble < 16 ? high : low
            buffer[position] = hexadecimalDigit(UInt8(truncatingIfNeeded: word >> UInt64(60 - 4 * (nibble & 15))) & 15)
            position += 1
        }
    }

    public static func < (left: UUID, right: UUID) -> Bool {
        left.high != right.high ? left.high < right.high : left.low < right.low
    }

    public func hash(into hasher: inout Hasher) {
        hasher.combine(high)
        hasher.combine(low)
    }
}

/// Makes version 4 UUIDs from a seed (xoshiro256**); the same seed gives the same sequence.
public struct UUIDGenerator: Sendable {
    private var state: (UInt64, UInt64, UInt64, UInt64)

    /// Seeded by the system: unpredictable, never the same twice.
    public init() {
        var system = SystemRandomNumberGenerator()
        state = (system.next(), system.next(), system.next(), system.next() | 1)
    }

    /// Repeatable, for tests.
    public init(seed: UInt64) {
        var splitMix = seed
        func next() -> UInt64 {
            splitMix &+= 0x9e37_79b9_7f4a_7c15
            var z = splitMix
            z = (z ^ z >> 30) &* 0xbf58_476d_1ce4_e5b9
            z = (z ^ z >> 27) &* 0x94d0_49bb_1331_11eb
            return z ^ z >> 31
        }
        state = (next(), next(), next(), next() | 1)
    }

    public mutating func next() -> UUID {
        UUID(high: random() & 0xffff_ffff_ffff_0fff | 0x4000, low: random() & 0x3fff_ffff_ffff_ffff | 0x8000_0000_0000_0000)
    }

    private mutating func random() -> UInt64 {
        func rotate(_ value: UInt64, _ bits: UInt64) -> UInt64 { value << bits | value >> (64 - bits) }
        let result = rotate(state.1 &* 5, 7) &* 9
        let shifted = state.1 << 17
        state.2 ^= state.0
        state.3 ^= state.1
        state.1 ^= state.2
        state.0 ^= state.3
        state.2 ^= shifted
        state.3 = rotate(state.3, 45)
        return result
    }
}
