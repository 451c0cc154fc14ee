// Random packets and matches over few values, so that they often meet.

import Flow

/// A small generator with a seed (SplitMix64).
struct SeededGenerator: RandomNumberGenerator {
    private var state: UInt64
    init(seed: UInt64) { state = seed }
    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var value = state
        value = (value ^ value >> 30) &* 0xbf58_476d_1ce4_e5b9
        value = (value ^ value >> 27) &* 0x94d0_49bb_1331_11eb
        return value ^ value >> 31
    }
}

enum RandomRules {
    static func packet(_ random: inout SeededGenerator) -> FlowKey {
        var key = FlowKey()
        key[.inPort] = UInt128(random.next() % 3)
        key[.reg0] = UInt128(random.next() % 3)
        key[.metadata] = UInt128(random.next() % 2) << 40
        key[.ethDst] = UInt128(random.next() % 3) << 20 | UInt128(random.next() % 2)
        key[.ethSrc] = UInt128(random.next() % 3)
        key[.vlanTCI] = random.next() % 2 == 0 ? 0 : UInt128(0x1000 | random.next() % 3)
        key[.ethType] = random.next() % 3 == 0 ? 0x86dd : 0x0800
        key[.nwSrc] = address(&random)
        key[.nwDst] = address(&random)
        key[.ipv6Src] = address(&random) << 90 | UInt128(random.next() % 3)
        key[.ipv6Dst] = address(&random) << 70 | UInt128(random.next() % 3)
        key[.nwProto] = random.next() % 2 == 0 ? 6 : 17
        key[.tcpSrc] = UInt128(random.next() % 4)
        key[.tcpDst] = UInt128(random.next() % 4) << 6
        return key
    }

    /// Addresses that share prefixes of many lengths.
    private static func address(_ random: inout SeededGenerator) -> UInt128 {
        var value: UInt128 = 0x0a00_0000
        for _ in 0..<random.next() % 4 { value ^= 1 << UInt128(random.next() % 32) }
        return value
    }

    static func match(_ random: inout SeededGenerator) -> Match {
        let packet = packet(&random)
        var match = Match()
        for field in [.inPort, .reg0, .metadata, .ethDst, .ethSrc, .vlanTCI, .ethType, .nwProto, .tcpSrc] as [Field]
        where random.next() % 5 == 0 {
            match.set(field, packet[field])
        }
        if random.next() % 4 == 0 { match.set(.tcpDst, packet[.tcpDst], mask: 0xffc0) }
        for (field, bits) in [(.nwSrc, 32), (.nwDst, 32), (.ipv6Src, 128), (.ipv6Dst, 128)] as [(Field, Int)] where random.next() % 3 == 0 {
            let all: UInt128 = bits == 128 ? .max : (1 << UInt128(bits)) - 1
            if random.next() % 8 == 0 {
                match.set(field, packet[field], mask: UInt128(random.next()) << UInt128(bits / 2) & all)
            } else {
                let length = Int(random.next() % UInt64(bits + 1))
                match.set(field, packet[field], mask: length == 0 ? 0 : all & ~((1 << UInt128(bits - length)) - 1))
            }
        }
        return match
    }

    /// The packet with random changes in bits that `mask` leaves wild.
    static func disturbed(_ packet: FlowKey, outside mask: FlowMask, _ random: inout SeededGenerator) -> FlowKey {
        var result = packet
        let other = RandomRules.packet(&random)
        for word in 0..<FlowKey.wordCount {
            let change = random.next() % 2 == 0 ? other.words[word] ^ packet.words[word] : random.next() & random.next()
            result.words[word] ^= change & ~mask.bits.words[word]
        }
        return result
    }
}
