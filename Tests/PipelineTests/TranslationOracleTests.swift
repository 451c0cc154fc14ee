// Megaflows against an interpreter.
//
// Random tables, random packets. A packet is translated; then packets that agree with it under the mask are sent through
// the *datapath actions* that came out, and through an interpreter that carries out the OpenFlow actions one by one on that
// very packet. What leaves, by which port and with which headers, must be the same. This holds the classifier's masks, the
// reading and writing of fields, and the lazy commit of changes, all at once.

import Base
import DatapathAPI
import Flow
import Testing

@testable import Pipeline

private struct Random: RandomNumberGenerator {
    var state: UInt64
    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var value = state
        value = (value ^ value >> 30) &* 0xbf58_476d_1ce4_e5b9
        value = (value ^ value >> 27) &* 0x94d0_49bb_1331_11eb
        return value ^ value >> 31
    }
    mutating func below(_ bound: Int) -> Int { Int(next() % UInt64(bound)) }
    mutating func pick<Value>(_ values: [Value]) -> Value { values[below(values.count)] }
}

/// A frame's key that extraction could have made.
private func packet(_ random: inout Random) -> FlowKey {
    var key = FlowKey()
    key[.datapathInPort] = UInt128(1 + random.below(3))
    key[.ethDst] = UInt128(random.below(4))
    key[.ethSrc] = UInt128(random.below(4))
    let tags = random.below(3)
    if tags > 0 {
        key.store(UInt128(0x1000 | random.below(3) | random.below(2) << 13), at: FlowOffset.vlanTCI, count: 2)
        key.store(0x8100, at: FlowOffset.vlanTPID, count: 2)
    }
    if tags > 1 {
        key.store(UInt128(0x1000 | random.below(3)), at: FlowOffset.vlanTCI2, count: 2)
        key.store(UInt128(random.pick([0x8100, 0x88a8])), at: FlowOffset.vlanTPID2, count: 2)
    }
    key[.ethType] = random.pick([0x0800, 0x0800, 0x86dd, 0x0806])
    switch key[.ethType] {
    case 0x0806:
        key[.arpOp] = UInt128(1 + random.below(2))
        key[.arpSPA] = UInt128(0x0a00_0000 + random.below(4))
        key[.arpTPA] = UInt128(0x0a00_0000 + random.below(4))
    case let type:
        if type == 0x0800 {
            key[.nwSrc] = UInt128(0x0a00_0000 | random.below(4) << random.below(24))
            key[.nwDst] = UInt128(0x0a00_0000 | random.below(4) << random.below(24))
        } else {
            key[.ipv6Src] = UInt128(random.below(4)) << 100
            key[.ipv6Dst] = UInt128(random.below(4)) << 60
        }
        key[.nwProto] = random.pick([6, 17, 1])
        key[.nwTTL] = UInt128(random.below(4))
        key[.nwTOS] = UInt128(random.below(16))
        key[.ipFrag] = random.pick([0, 0, 0, 1, 3])
        if key[.ipFrag] != 3, key[.nwProto] != 1 || type == 0x0800 {
            key[.tcpSrc] = UInt128(random.below(4))
            key[.tcpDst] = UInt128(random.below(4))
        }
    }
    return key
}

/// Another frame that agrees with `key` under `mask`.
private func sibling(of key: FlowKey, under mask: FlowMask, _ random: inout Random) -> FlowKey {
    let other = packet(&random)
    var result = key
    for word in 0..<40 { result.words[word] = key.words[word] & mask.bits.words[word] | other.words[word] & ~mask.bits.words[word] }
    func clear(_ offsets: Int...) { for offset in offsets { result.store(0, at: offset, count: 2) } }
    // Make it a frame again; presence of a tag and the types are always in the mask.
    if result[.vlanTCI] & 0x1000 == 0 {
        clear(FlowOffset.vlanTCI, FlowOffset.vlanTPID, FlowOffset.vlanTCI2, FlowOffset.vlanTPID2)
    } else {
        if result.load(at: FlowOffset.vlanTPID, count: 2) == 0 { result.store(0x8100, at: FlowOffset.vlanTPID, count: 2) }
        if result.load(at: FlowOffset.vlanTCI2, count: 2) & 0x1000 == 0 { clear(FlowOffset.vlanTCI2, FlowOffset.vlanTPID2) }
    }
    if result[.ethType] == 0x0806 {
        result[.nwTOS] = 0
        result[.nwTTL] = 0
        clear(FlowOffset.tpSrc, FlowOffset.tpDst)
        result[.arpOp] = max(1, result[.arpOp] & 3)
    } else if result[.ipFrag] == 3 {
        clear(FlowOffset.tpSrc, FlowOffset.tpDst)
    }
    if !mask.agrees(key, result) { return key }
    return result
}

private let matches = [
    "", "in_port=1", "in_port=2", "ip", "tcp", "udp", "arp", "ipv6", "tcp,tp_dst=1", "udp,tp_src=2", "ip,nw_dst=10.0.0.0/24",
    "ip,nw_src=10.0.0.0/16", "ip,nw_dst=10.0.0.1", "ipv6,ipv6_src=::/30", "dl_dst=00:00:00:00:00:01", "dl_src=00:00:00:00:00:02",
    "dl_vlan=1", "vlan_tci=0", "reg0=1", "reg0=2,ip", "ip,nw_tos=4", "dl_vlan_pcp=1", "arp,arp_tpa=10.0.0.1", "ip,nw_ttl=2",
    "metadata=3", "ip,nw_frag=later", "dl_dst=00:00:00:00:00:00/ff:ff:ff:ff:ff:fe",
]

private func randomActions(_ random: inout Random, table: Int, nesting: Int = 0) -> String {
    var list: [String] = []
    for _ in 0..<1 + random.below(5) {
        switch random.below(nesting == 0 ? 25 : 20) {
        case 0, 1: list.append("output:\(1 + random.below(4))")
        case 2: list.append("in_port")
        case 3: list.append("flood")
        case 4: list.append("mod_dl_dst:00:00:00:00:00:0\(random.below(4))")
        case 5: list.append("mod_dl_src:00:00:00:00:00:0\(random.below(4))")
        case 6: list.append("mod_nw_dst:10.0.0.\(random.below(3))")
        case 7: list.append("mod_nw_src:10.0.\(random.below(3)).0")
        case 8: list.append("mod_tp_dst:\(random.below(3))")
        case 9: list.append("mod_vlan_vid:\(random.below(3))")
        case 10: list.append("mod_vlan_pcp:\(random.below(2))")
        case 11: list.append("strip_vlan")
        case 12: list.append("load:\(random.below(3))->NXM_NX_REG0[0..3]")
        case 13: list.append("load:\(random.below(4))->NXM_OF_ETH_DST[0..2]")
        case 14: list.append("move:NXM_OF_ETH_SRC[0..1]->NXM_NX_REG0[0..1]")
        case 15: list.append("move:NXM_NX_REG0[0..1]->NXM_OF_ETH_DST[0..1]")
        case 16: list.append("move:NXM_OF_ETH_DST[]->NXM_OF_ETH_SRC[]")
        case 17: list.append("mod_nw_tos:\(random.below(3) * 4)")
        case 18: list.append("write_metadata:\(random.below(4))")
        case 19: list.append("dec_ttl")
        case 20: list.append("push:NXM_OF_ETH_DST[0..1],pop:NXM_NX_REG0[0..1]")
        case 21, 22: if table < 3 { list.append("resubmit(,\(table + 1 + random.below(2)))") }
        case 23: list.append("clone(\(randomActions(&random, table: table, nesting: 1)))")
        case 24: if random.below(4) == 0 { list.append("exit") }
        default: break
        }
    }
    if nesting == 0, random.below(4) == 0 { list.append("write_actions(mod_dl_src:00:00:00:00:00:03,output:\(1 + random.below(4)))") }
    if nesting == 0, table < 3, random.below(3) == 0 { list.append("goto_table:\(table + 1)") }
    return list.isEmpty ? "drop" : list.joined(separator: ",")
}

/// A packet that left.
private struct Departure: Equatable, CustomStringConvertible {
    var port: UInt32
    var key: FlowKey
    init(_ port: UInt32, _ key: FlowKey) {
        self.port = port
        self.key = key
        for word in 40..<FlowKey.wordCount { self.key.words[word] = 0 }
    }
    var description: String {
        let tags = [FlowOffset.vlanTCI, FlowOffset.vlanTPID, FlowOffset.vlanTCI2, FlowOffset.vlanTPID2].map {
            String(key.load(at: $0, count: 2), radix: 16)
        }
        return "\(port): \(TraceText.flow(key)) tags \(tags)"
    }
}

/// Carries out datapath actions.
private func execute(_ actions: [DatapathAction], on start: FlowKey) -> [Departure] {
    var key = start
    var result: [Departure] = []
    for action in actions {
        switch action {
        case .output(let port): result.append(Departure(port.rawValue, key))
        case .set(let field, let value, let mask): key[field] = key[field] & ~mask | value
        case .pushVLAN(let tpid, let tci): key.pushTag(tpid: tpid, tci: tci | 0x1000)
        case .popVLAN: key.popTag()
        case .clone(let nested): result += execute(nested, on: key)
        case .drop: break
        default: Issue.record("unexpected \(action)")
        }
    }
    return result
}

extension FlowKey {
    fileprivate mutating func pushTag(tpid: UInt16, tci: UInt16) {
        store(load(at: FlowOffset.vlanTCI, count: 2), at: FlowOffset.vlanTCI2, count: 2)
        store(load(at: FlowOffset.vlanTPID, count: 2), at: FlowOffset.vlanTPID2, count: 2)
        store(UInt128(tci), at: FlowOffset.vlanTCI, count: 2)
        store(UInt128(tpid), at: FlowOffset.vlanTPID, count: 2)
    }
    fileprivate mutating func popTag() {
        store(load(at: FlowOffset.vlanTCI2, count: 2), at: FlowOffset.vlanTCI, count: 2)
        store(load(at: FlowOffset.vlanTPID2, count: 2), at: FlowOffset.vlanTPID, count: 2)
        store(0, at: FlowOffset.vlanTCI2, count: 2)
        store(0, at: FlowOffset.vlanTPID2, count: 2)
    }
}

/// Carries out OpenFlow, one action after the other, on one packet.
private struct Interpreter {
    let rules: [FlowRule]
    var key: FlowKey
    var out: [Departure] = []
    var stack: [UInt128] = []
    var actionSet: [Action] = []
    var hasExited = false

    init(_ rules: [FlowRule], _ packet: FlowKey) {
        self.rules = rules
        key = packet
        key[.inPort] = packet[.datapathInPort]
        key[.actsetOutput] = 0xffff_fff7
    }

    mutating func runAll() {
        run(table: 0)
        runSet()
    }

    mutating func runSet() {
        let set = actionSet
        actionSet = []
        let order = set.filter { if case .output = $0 { false } else { true } }
        run(order, table: 0)
        if let last = set.last(where: { if case .output = $0 { true } else { false } }) { run([last], table: 0) }
    }

    mutating func run(table: UInt8) {
        var seen = key
        // No fragment has ports to the tables.
        if key.load(at: FlowOffset.ipFragment, count: 1) != 0 { seen.store(0, at: FlowOffset.tpSrc, count: 4) }
        let found = rules.filter { $0.table == table && $0.match.matches(seen) }.max { $0.priority < $1.priority }
        if let found { run(found.actions, table: table) }
    }

    mutating func set(_ field: Field, _ value: UInt128, _ mask: UInt128) {
        if key.meetsPrerequisites(of: field) { key[field] = key[field] & ~mask | value & mask }
    }

    var isTagged: Bool { key[.vlanTCI] & 0x1000 != 0 }

    mutating func setTag(_ value: UInt16, _ mask: UInt16) {
        if !isTagged { key.pushTag(tpid: 0x8100, tci: 0x1000) }
        key[.vlanTCI] = key[.vlanTCI] & ~UInt128(mask) | UInt128(value & mask)
    }

    mutating func run(_ list: [Action], table: UInt8) {
        for action in list {
            if hasExited { return }
            switch action {
            case .output(let port, _):
                switch port {
                case .inPort: out.append(Departure(UInt32(key[.inPort]), key))
                case .flood:
                    for port in 1...4 as ClosedRange<UInt32> where port != UInt32(key[.inPort]) { out.append(Departure(port, key)) }
                default: if port.rawValue != UInt32(key[.inPort]) { out.append(Departure(port.rawValue, key)) }
                }
            case .setEthDst(let value): set(.ethDst, UInt128(value), 0xffff_ffff_ffff)
            case .setEthSrc(let value): set(.ethSrc, UInt128(value), 0xffff_ffff_ffff)
            case .setIPv4Dst(let value): set(.nwDst, UInt128(value), 0xffff_ffff)
            case .setIPv4Src(let value): set(.nwSrc, UInt128(value), 0xffff_ffff)
            case .setL4Dst(let value):
                set(.tcpDst, UInt128(value), 0xffff)
                set(.udpDst, UInt128(value), 0xffff)
            case .setVLANID(let id, _): setTag(id, 0x0fff)
            case .setVLANPriority(let priority, _): setTag(UInt16(priority) << 13, 0xe000)
            case .popVLAN: if isTagged { key.popTag() }
            case .setField(let field, let value, let mask, _): set(field, value, mask)
            case .move(let from, let to):
                let value = key[from.field] >> UInt128(from.offset) & ((1 << UInt128(from.bits)) - 1)
                set(to.field, value << UInt128(to.offset), ((1 << UInt128(to.bits)) - 1) << UInt128(to.offset))
            case .setIPDSCP(let value): set(.nwTOS, UInt128(value), 0xfc)
            case .writeMetadata(let value, let mask): set(.metadata, UInt128(value), UInt128(mask))
            case .decrementTTL:
                guard key.meetsPrerequisites(of: .nwTTL) else { continue }
                if key[.nwTTL] <= 1 { return }
                key[.nwTTL] -= 1
            case .push(let from): stack.append(key[from.field] >> UInt128(from.offset) & ((1 << UInt128(from.bits)) - 1))
            case .pop(let to):
                if let value = stack.popLast() {
                    set(to.field, value << UInt128(to.offset), ((1 << UInt128(to.bits)) - 1) << UInt128(to.offset))
                }
            case .resubmit(_, let next): run(table: next ?? table)
            case .clone(let nested):
                var copy = self
                copy.run(nested, table: table)
                copy.runSet()
                out = copy.out
            case .exit: hasExited = true
            case .writeActions(let nested): actionSet += nested
            case .gotoTable(let next):
                run(table: next)
                return
            default: Issue.record("unexpected \(action)")
            }
        }
    }
}

@Test(arguments: 1...12 as ClosedRange<UInt64>)
func megaflowsDoWhatTheTablesSay(seed: UInt64) throws {
    var random = Random(state: seed)
    var cached = 0
    for round in 0..<15 {
        let rig = Rig(ports: 4)
        var rules: [String] = []
        for table in 0..<5 {
            for _ in 0..<2 + random.below(8) {
                let match = random.pick(matches)
                let priority = 100 + rules.count
                rules.append(
                    "table=\(table),priority=\(priority),\(match)\(match.isEmpty ? "" : ",")actions=\(randomActions(&random, table: table))"
                )
            }
        }
        for rule in rules { _ = try? rig.bridge.apply(Rig.modification(rule)) }
        let installed = rig.bridge.flows()
        #expect(installed.count * 10 > rules.count * 8, "most random rules are valid: \(installed.count) of \(rules.count)")
        for _ in 0..<40 {
            let key = packet(&random)
            let translation = rig.translate(key, hasSideEffects: false)
            if translation.actions == [.drop(.translationError)] { continue }
            for _ in 0..<5 {
                let other = sibling(of: key, under: translation.mask, &random)
                if other != key { cached += 1 }
                var interpreter = Interpreter(installed, other)
                interpreter.runAll()
                let actual = execute(translation.actions, on: other)
                if actual != interpreter.out {
                    Issue.record(
                        """
                        seed \(seed) round \(round)
                        rules:
                        \(rules.joined(separator: "\n"))
                        translated: \(TraceText.flow(key)) in_port \(key[.datapathInPort])
                        actions: \(DatapathText.format(translation.actions))
                        received: \(TraceText.flow(other))
                        sent: \(actual)
                        should be: \(interpreter.out)
                        """)
                    return
                }
                // The same decision for the sibling, by itself.
                let again = rig.translate(other, hasSideEffects: false)
                let sent = execute(again.actions, on: other)
                #expect(sent == interpreter.out)
            }
        }
    }
    #expect(cached > 500, "only \(cached) packets differed from the one that was translated")
}
