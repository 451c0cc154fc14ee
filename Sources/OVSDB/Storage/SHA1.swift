// SHA-1 (FIPS 180-4), the checksum of OVSDB's log records. It guards against torn writes, not against people.

struct SHA1 {
    /// The digest in lower-case hexadecimal digits.
    static func hexadecimal(_ bytes: some Collection<UInt8>) -> String {
        let digest = digest(Array(bytes))
        var text: [UInt8] = []
        text.reserveCapacity(40)
        for word in digest {
            for shift in stride(from: 28, through: 0, by: -4) {
                text.append(hexadecimalDigit(UInt8(truncatingIfNeeded: word >> UInt32(shift)) & 15))
            }
        }
        return String(decoding: text, as: UTF8.self)
    }

    /// The five words of the digest.
    ///
    /// - Complexity: O(n); some 500 MB/s
    static func digest(_ bytes: [UInt8]) -> [UInt32] {
        var state: (UInt32, UInt32, UInt32, UInt32, UInt32) = (0x6745_2301, 0xefcd_ab89, 0x98ba_dcfe, 0x1032_5476, 0xc3d2_e1f0)
        let whole = bytes.count / 64
        bytes.withUnsafeBytes { input in
            withUnsafeTemporaryAllocation(of: UInt32.self, capacity: 80) { schedule in
                for block in 0..<whole {
                    compress(&state, UnsafeRawBufferPointer(rebasing: input[(block * 64)..<(block * 64 + 64)]), schedule)
                }
                // The tail: rest, one bit, zeros, length in bits.
                var tail = Array(bytes[(whole * 64)...])
                tail.append(0x80)
                while tail.count % 64 != 56 { tail.append(0) }
                let bits = UInt64(bytes.count) * 8
                for shift in stride(from: 56, through: 0, by: -8) { tail.append(UInt8(truncatingIfNeeded: bits >> UInt64(shift))) }
                tail.withUnsafeBytes { tail in
                    for block in 0..<(tail.count / 64) {
                        compress(&state, UnsafeRawBufferPointer(rebasing: tail[(block * 64)..<(block * 64 + 64)]), schedule)
                    }
                }
            }
        }
        return [state.0, state.1, state.2, state.3, state.4]
    }

    private static func compress(
        _ state: inout (UInt32, UInt32, UInt32, UInt32, UInt32), _ block: UnsafeRawBufferPointer,
        _ schedule: UnsafeMutableBufferPointer<UInt32>
    ) {
        for index in 0..<16 { schedule[index] = UInt32(bigEndian: block.loadUnaligned(fromByteOffset: index * 4, as: UInt32.self)) }
        for index in 16..<80 {
            schedule[index] = rotate(schedule[index - 3] ^ schedule[index - 8] ^ schedule[index - 14] ^ schedule[index - 16], 1)
        }
        var (a, b, c, d, e) = state
        for index in 0..<80 {
            let (mix, constant): (UInt32, UInt32)
            switch index {
            case 0..<20: (mix, constant) = (b & c | ~b & d, 0x5a82_7999)
            case 20..<40: (mix, constant) = (b ^ c ^ d, 0x6ed9_eba1)
            case 40..<60: (mix, constant) = (b & c | b & d | c & d, 0x8f1b_bcdc)
            default: (mix, constant) = (b ^ c ^ d, 0xca62_c1d6)
            }
            let next = rotate(a, 5) &+ mix &+ e &+ constant &+ schedule[index]
            (e, d, c, b, a) = (d, c, rotate(b, 30), a, next)
        }
        state = (state.0 &+ a, state.1 &+ b, state.2 &+ c, state.3 &+ d, state.4 &+ e)
    }

    @inline(__always)
    private static func rotate(_ value: UInt32, _ bits: UInt32) -> UInt32 { value << bits | value >> (32 - bits) }
}
