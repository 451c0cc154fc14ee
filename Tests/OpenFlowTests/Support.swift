// What the codec's tests share: hexadecimal, and seeded random messages.

import Flow
import OpenFlow

/// Bytes from hexadecimal digits; blanks are ignored.
func hex(_ text: String) -> [UInt8] {
    let digits = text.compactMap { $0.hexDigitValue }
    return stride(from: 0, to: digits.count - 1, by: 2).map { UInt8(digits[$0] * 16 + digits[$0 + 1]) }
}

func hexText(_ bytes: [UInt8]) -> String {
    bytes.map { byte in
        let text = String(byte, radix: 16)
        return text.count == 1 ? "0" + text : text
    }.joined()
}

/// SplitMix64.
struct SeededGenerator: RandomNumberGenerator {
    private var state: UInt64
    init(seed: UInt64) { state = seed }
    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var z = state
        z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
        z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
        return z ^ (z >> 31)
    }
}

/// Random content that each version can say, in the form in which it is decoded.
struct RandomMessages {
    var generator: SeededGenerator
    let version: OpenFlowVersion

    init(seed: UInt64, version: OpenFlowVersion) {
        generator = SeededGenerator(seed: seed)
        self.version = version
    }

    mutating func number<Value: FixedWidthInteger>(_ type: Value.Type = Value.self) -> Value {
        Value.random(in: .min ... .max, using: &generator)
    }
    mutating func chance(_ percent: Int) -> Bool { Int.random(in: 0..<100, using: &generator) < percent }
    mutating func pick<Element>(_ list: [Element]) -> Element { list.randomElement(using: &generator)! }
    mutating func bytes(_ limit: Int) -> [UInt8] { (0..<Int.random(in: 0...limit, using: &generator)).map { _ in number() } }
    mutating func port() -> OpenFlowPort {
        chance(20)
            ? pick([.inPort, .normal, .flood, .all, .controller, .local]) : OpenFlowPort(UInt32.random(in: 1..<0xff00, using: &generator))
    }
    mutating func value(_ bits: Int) -> UInt128 {
        let all: UInt128 = bits == 128 ? .max : (1 << UInt128(bits)) - 1
        return (UInt128(number(UInt64.self)) << 64 | UInt128(number(UInt64.self))) & all
    }

    // MARK: Matches

    mutating func maybe(_ field: Field, _ match: inout Match, masked: Bool = true) {
        guard chance(50) else { return }
        let all = field.layout.allOnes
        let mask = masked && field.info.isMaskable && chance(40) ? value(field.layout.bits) : all
        if mask != 0 { match.set(field, value(field.layout.bits) & mask, mask: mask) }
    }

    /// A match with its prerequisites; `isTLV` allows what only NXM and OXM can say.
    mutating func match(isTLV: Bool) -> Match {
        var match = Match()
        if chance(30) { match.set(.inPort, UInt128(UInt32.random(in: 1..<0xff00, using: &generator))) }
        maybe(.ethSrc, &match, masked: isTLV)
        maybe(.ethDst, &match, masked: isTLV)
        if chance(30) { match.set(.vlanTCI, 0x1000 | value(12) | value(3) << 13) }
        if chance(70) {
            match.set(.ethType, UInt128(pick([0x0800, 0x0806, 0x86dd, 0x8847, 0x1234])))
        }
        if match.satisfies(.ip) {
            if chance(50) { match.set(.ipDSCP, value(6)) }
            if isTLV {
                maybe(.nwECN, &match)
                maybe(.nwTTL, &match)
                maybe(.ipFrag, &match)
            }
            if match.satisfies(.ipv4) {
                if isTLV {
                    maybe(.nwSrc, &match)
                    maybe(.nwDst, &match)
                } else {
                    let bits = Int.random(in: 0...32, using: &generator)
                    if bits < 32 {
                        match.set(.nwDst, (value(32) >> UInt128(bits)) << UInt128(bits), mask: UInt128(UInt32.max << UInt32(bits)))
                    }
                }
            } else if isTLV {
                maybe(.ipv6Src, &match)
                maybe(.ipv6Dst, &match)
                maybe(.ipv6Label, &match)
            }
            if chance(70) {
                let protocols: [UInt128] = match.satisfies(.ipv4) ? [6, 17, 132, 1, 47] : [6, 17, 132, 58, 47]
                match.set(.nwProto, pick(protocols))
            }
            let pairs: [(Prerequisite, Field, Field)] = [
                (.tcp, .tcpSrc, .tcpDst), (.udp, .udpSrc, .udpDst), (.sctp, .sctpSrc, .sctpDst), (.icmpv4, .icmpType, .icmpCode),
                (.icmpv6, .icmpv6Type, .icmpv6Code),
            ]
            for (prerequisite, first, second) in pairs where match.satisfies(prerequisite) {
                maybe(first, &match, masked: isTLV)
                maybe(second, &match, masked: isTLV)
            }
            if isTLV, match.satisfies(.tcp) { maybe(.tcpFlags, &match) }
            if isTLV, match.satisfies(.icmpv6), chance(40) {
                match.set(.icmpv6Type, 135)
                match.set(.icmpv6Code, 0)
                maybe(.ndTarget, &match)
                maybe(.ndSLL, &match)
            }
        } else if match.satisfies(.arp) {
            if chance(50) { match.set(.arpOp, UInt128(UInt8.random(in: 1...2, using: &generator))) }
            if isTLV {
                maybe(.arpSPA, &match)
                maybe(.arpSHA, &match)
                maybe(.arpTHA, &match)
            }
        } else if isTLV, match.satisfies(.mpls) {
            for field in [Field.mplsLabel, .mplsTC, .mplsBOS] { maybe(field, &match) }
        }
        if isTLV {
            let anywhere: [Field] = [
                .metadata, .tunID, .tunSrc, .tunDst, .tunIPv6Src, .tunFlags, .tunGBPID, .reg0, .reg5, .reg15, .pktMark, .ctState, .ctZone,
                .ctMark, .ctLabel, .conjID, .recircID, .dpHash,
            ]
            for field in anywhere where chance(20) { maybe(field, &match) }
        }
        return match
    }

    // MARK: Actions

    mutating func subField(_ field: Field) -> SubField {
        let bits = Int.random(in: 1...min(64, field.layout.bits), using: &generator)
        return SubField(field: field, offset: Int.random(in: 0...field.layout.bits - bits, using: &generator), bits: bits)
    }

    /// Actions that every version carries as they are.
    mutating func action(depth: Int = 0) -> Action {
        let registers: [Field] = [.reg0, .reg7, .metadata, .ethSrc, .ethDst, .nwDst, .tcpDst, .tunID, .ipv6Dst, .xxreg1]
        switch Int.random(in: 0..<(depth < 2 ? 24 : 23), using: &generator) {
        case 0, 1:
            let port = port()
            return .output(port, maxLength: number())
        case 2:
            var controller = ControllerAction(maxLength: number(), controllerID: number(), reason: pick([.action, .noMatch, .invalidTTL]))
            if chance(40) { controller.userdata = bytes(20) }
            if chance(20) { controller.pause = true }
            if chance(20) { controller.meter = number() }
            return .controller(controller)
        case 3:
            let field = subField(pick(registers))
            return .outputField(field, maxLength: number())
        case 4:
            return .outputTruncated(
                OpenFlowPort(UInt32.random(in: 1..<0xff00, using: &generator)), maxLength: UInt32.random(in: 14...9000, using: &generator))
        case 5: return .setQueue(number())
        case 6: return .popQueue
        case 7: return .group(number())
        case 8:
            // Whole and unmasked: a load in versions before 1.2, a set-field from then on.
            let field = pick([Field.reg0, .metadata, .tunID, .pktMark])
            return .setField(field, value: value(field.layout.bits), mask: field.layout.allOnes, isLoad: version <= .v1_1)
        case 9:
            let target = subField(pick(registers))
            let mask = ((UInt128(1) << UInt128(target.bits)) - 1) << UInt128(target.offset)
            return .setField(target.field, value: value(128) & mask, mask: mask, isLoad: version < .v1_5)
        case 10:
            let bits = Int.random(in: 1...32, using: &generator)
            return .move(from: SubField(field: .reg3, offset: 0, bits: bits), to: SubField(field: .metadata, offset: 7, bits: bits))
        case 11: return .push(subField(pick(registers)))
        case 12: return .pop(subField(.reg2))
        case 13: return .popVLAN
        case 14: return .pushMPLS(etherType: 0x8847)
        case 15: return .popMPLS(etherType: 0x0800)
        case 16: return .setMPLSTTL(number())
        case 17: return .decrementMPLSTTL
        case 18: return .decrementTTL(controllerIDs: chance(50) ? [] : [1, number()])
        case 19:
            return chance(50)
                ? .resubmit(port: nil, table: UInt8.random(in: 0...253, using: &generator)) : .resubmit(port: OpenFlowPort(7), table: nil)
        case 20: return .note(bytes(1) + [1, 2, 3, 4, 5, 6].prefix(5))
        case 21: return .exit
        case 22: return .conjunction(id: number(), clause: 1, clauses: 3)
        default: return .clone(actions(limit: 3, depth: depth + 1))
        }
    }

    mutating func actions(limit: Int, depth: Int = 0) -> [Action] {
        (0..<Int.random(in: 0...limit, using: &generator)).map { _ in
            var action = action(depth: depth)
            // Notes are padded to the action's length, which is then part of them.
            if case .note(let bytes) = action { action = .note(bytes + Array(repeating: 0, count: (8 - (bytes.count + 10) % 8) % 8)) }
            return action
        }
    }

    /// A flow's actions: instructions in their order where the version has them.
    mutating func flowActions() -> [Action] {
        var result: [Action] = []
        if version == .v1_3 || version == .v1_4, chance(20) { result.append(.meter(number())) }
        result += actions(limit: 6)
        guard version >= .v1_1 else { return result }
        if chance(20) { result.append(.clearActions) }
        if chance(30) { result.append(.writeActions(actions(limit: 3))) }
        if chance(30) { result.append(.writeMetadata(value: number(), mask: number())) }
        if chance(40) { result.append(.gotoTable(UInt8.random(in: 1...253, using: &generator))) }
        return result
    }

    // MARK: Messages

    mutating func flowMod() -> FlowMod {
        let isNXM = version == .v1_0 && chance(50)
        var mod = FlowMod(
            command: pick([.add, .modify, .modifyStrict, .delete, .deleteStrict]),
            tableID: version == .v1_0 ? 0xff : number(), match: match(isTLV: isNXM || version >= .v1_2), priority: number(),
            newCookie: number(),
            idleTimeout: number(), hardTimeout: number(), flags: chance(50) ? [.sendFlowRemoved, .checkOverlap] : [],
            actions: flowActions(), isNXM: isNXM)
        if version >= .v1_4 { mod.importance = number() }
        if mod.command == .delete || mod.command == .deleteStrict {
            mod.outPort = port()
            if version >= .v1_1 { mod.outGroup = number() }
        }
        if mod.command != .add, isNXM || version >= .v1_1, chance(50) {
            mod.cookieMask = number()
            if isNXM {
                mod.cookie = number() & mod.cookieMask
            } else {
                // One field is both: the cookie to match and the one that would be new.
                mod.cookie = mod.newCookie & mod.cookieMask
                mod.newCookie = mod.cookie
            }
        }
        mod.applySemantics(of: version)
        return mod
    }

    mutating func portDescription() -> PortDescription {
        var port = PortDescription(number: port(), hardwareAddress: UInt64(value(48)), name: "port\(number(UInt16.self))")
        port.config = chance(50) ? [.portDown, .noPacketIn] : []
        port.state = chance(50) ? [.linkDown] : []
        port.current = [.tenGigabitFull, .copper]
        if version >= .v1_1 {
            port.currentSpeed = number()
            port.maximumSpeed = number()
        }
        return port
    }
}
