// Rounding masks up, so that the number of masks is bounded by construction.
//
// A megaflow whose mask has more bits than the decision looked at is right all the same, only narrower. On the ladder,
// IPv4 addresses are matched by 0, 8, 16, 24 or 32 leading bits, IPv6 addresses by 0, 32, 48, 64 or 128, and everything else
// wholly or not at all. The last step, the exact flow, leaves only choices that do not multiply with traffic: TTL,
// TOS and TCP flags, each wholly or not at all, as they vary within one flow.

internal import Flow

enum MaskLadder {
    /// The smallest mask on the ladder that has all of `mask`'s bits. Only the datapath's lines are kept.
    static func rounded(_ mask: FlowMask) -> FlowMask {
        var result = FlowMask()
        for range in baseRanges { widen(mask, &result, range.offset, range.count) }
        prefix32(mask, &result, FlowOffset.nwSrc)
        prefix32(mask, &result, FlowOffset.nwDst)
        prefix128(mask, &result, FlowOffset.ipv6Src)
        prefix128(mask, &result, FlowOffset.ipv6Dst)
        for word in furtherWords where mask.bits.words[word] != 0 { result.bits.words[word] = .max }
        return result
    }

    /// The exact flow: all bits of line 0 and of every line the packet or the mask has, but for TTL, TOS and TCP flags
    /// where the decision did not look.
    static func exact(_ mask: FlowMask, lines: FlowLine) -> FlowMask {
        var result = FlowMask()
        let wanted = lines.union(mask.bits.lines).intersection(.datapath)
        for line in 0..<5 where wanted.rawValue >> UInt8(line) & 1 != 0 {
            for word in 0..<8 { result.bits.words[line * 8 + word] = .max }
        }
        for word in 0..<8 { result.bits.words[word] = .max }
        for (offset, count) in [(FlowOffset.nwTTL, 1), (FlowOffset.nwTOS, 1), (FlowOffset.tcpFlags, 2)]
        where mask.bits.load(at: offset, count: count) == 0 {
            result.bits.store(0, at: offset, count: count)
        }
        return result
    }

    /// The fields of line 0 that are matched wholly or not at all.
    private static let baseRanges: [(offset: Int, count: Int)] = [
        (0, 8), (FlowOffset.ethDst, 6), (FlowOffset.ethSrc, 6), (FlowOffset.vlanTCI, 2), (FlowOffset.vlanTCI2, 2), (FlowOffset.tpSrc, 2),
        (FlowOffset.tpDst, 2), (FlowOffset.nwProto, 1), (FlowOffset.nwTOS, 1), (FlowOffset.nwTTL, 1), (39, 1), (FlowOffset.tcpFlags, 2),
        (FlowOffset.vlanTPID, 2), (FlowOffset.vlanTPID2, 2), (46, 2), (FlowOffset.recircID, 4), (FlowOffset.ctState, 2),
        (FlowOffset.ctZone, 2), (FlowOffset.ctMark, 4), (FlowOffset.pktMark, 4),
    ]
    /// The words beyond line 0 that are no IPv6 address of line 1.
    private static let furtherWords: [Int] = Array(12..<40)

    private static func widen(_ mask: FlowMask, _ result: inout FlowMask, _ offset: Int, _ count: Int) {
        if mask.bits.load(at: offset, count: count) != 0 { result.bits.store(.max, at: offset, count: count) }
    }

    private static func prefix32(_ mask: FlowMask, _ result: inout FlowMask, _ offset: Int) {
        let value = UInt32(truncatingIfNeeded: mask.bits.load(at: offset, count: 4))
        guard value != 0 else { return }
        let length = 32 - value.trailingZeroBitCount
        let rung = (length + 7) / 8 * 8
        result.bits.store(UInt128(UInt32.max << UInt32(32 - rung)), at: offset, count: 4)
    }

    private static func prefix128(_ mask: FlowMask, _ result: inout FlowMask, _ offset: Int) {
        let value = mask.bits.load(at: offset, count: 16)
        guard value != 0 else { return }
        let length = 128 - value.trailingZeroBitCount
        let rung = [32, 48, 64, 128].first { $0 >= length } ?? 128
        result.bits.store(UInt128.max << UInt128(128 - rung), at: offset, count: 16)
    }
}
