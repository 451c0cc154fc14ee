// Groups in the pipeline: what they translate to, how they change, what changes with them.

import Base
import DatapathAPI
import Flow
import OpenFlow
import Synchronization
import TestSupport
import Testing

@testable import Pipeline

extension Rig {
    func bucket(_ id: UInt32, _ actions: String, weight: UInt16 = 0, port: UInt32? = nil, group: UInt32? = nil) -> GroupBucket {
        GroupBucket(
            weight: weight, watchPort: port.map { OpenFlowPort($0) } ?? .any, watchGroup: group ?? FlowMod.anyGroup, bucketID: id,
            actions: try! FlowText.parseActions(actions))
    }

    func group(_ id: UInt32, _ kind: GroupKind, _ buckets: GroupBucket..., selection: GroupSelection? = nil) {
        try! bridge.apply(GroupMod(command: .add, kind: kind, groupID: id, buckets: buckets, selection: selection))
    }

    func error(_ mod: GroupMod) -> ErrorCode? {
        do throws(FlowModError) {
            try bridge.apply(mod)
            return nil
        } catch {
            if case .standard(let code, _) = error { return code }
            Issue.record("\(error)")
            return nil
        }
    }

    /// The actions of the pass that a packet with a recirculation id makes.
    func actions(_ packet: String, recirculation: UInt32) -> String {
        var key = Rig.key(packet)
        key[.recircID] = UInt128(recirculation)
        return DatapathText.format(translate(key).actions)
    }

    func credit(_ packet: String, packets: UInt64, bytes: UInt64) {
        let translation = translate(Rig.key(packet))
        pipeline.credit(translation.effects!, FlowStatisticsDelta(packets: packets, bytes: bytes, lastUsed: clock.now, tcpFlags: 0))
    }
}

@Suite struct GroupTests {
    let packet = "in_port=1,tcp,nw_src=10.0.0.1,nw_dst=10.0.0.2,tp_src=1000,tp_dst=80"

    @Test func allSendsACopyByEveryBucket() {
        let rig = Rig()
        rig.group(1, .all, rig.bucket(0, "mod_dl_dst:02:00:00:00:00:99,output:2"), rig.bucket(1, "output:3"))
        rig.flows("in_port=1,actions=group:1,output:4")
        #expect(rig.actions(packet) == "clone(set(eth(dst=02:00:00:00:00:99)),2),3,4")
    }

    @Test func bucketsAreActionSets() {
        let rig = Rig()
        // The output written last counts, tags are pushed before fields are set, and what leads nowhere does nothing.
        rig.group(1, .indirect, rig.bucket(0, "output:2,mod_vlan_vid:7,output:3"))
        rig.group(2, .indirect, rig.bucket(0, "mod_dl_dst:02:00:00:00:00:99"))
        rig.flows("in_port=1,actions=group:1", "in_port=2,actions=group:2,output:1")
        #expect(rig.actions(packet) == "push_vlan(vid=7,pcp=0),3")
        #expect(rig.actions("in_port=2,tcp") == "1")
    }

    @Test func aGroupReplacesTheOutputOfAnActionSet() {
        let rig = Rig()
        rig.group(1, .indirect, rig.bucket(0, "output:3"))
        rig.flows("table=0,in_port=1,actions=write_actions(group:1,output:2)", "in_port=2,actions=write_actions(output:3)")
        #expect(rig.actions(packet) == "3")
        #expect(rig.actions("in_port=2,tcp") == "3")
    }

    @Test func fastFailoverFollowsPortsAndGroups() {
        let rig = Rig(ports: 5)
        rig.group(2, .fastFailover, rig.bucket(0, "output:3", port: 3))
        rig.group(
            1, .fastFailover, rig.bucket(0, "output:2", port: 2), rig.bucket(1, "group:2", group: 2), rig.bucket(2, "output:4", port: 4))
        rig.flows("in_port=1,actions=group:1")
        let first = rig.translate(Rig.key(packet))
        #expect(DatapathText.format(first.actions) == "2")
        rig.bridge.updatePort(OpenFlowPort(2)) { $0.isLinkUp = false }
        #expect(!rig.pipeline.versions.isCurrent(first.dependencies, since: first.sequence))
        #expect(rig.actions(packet) == "3")
        rig.bridge.updatePort(OpenFlowPort(3)) { $0.configuration = [.down] }
        #expect(rig.actions(packet) == "4")
        rig.bridge.updatePort(OpenFlowPort(4)) { $0.isLinkUp = false }
        #expect(rig.actions(packet) == "drop")
        rig.bridge.updatePort(OpenFlowPort(2)) { $0.isLinkUp = true }
        #expect(rig.actions(packet) == "2")
    }

    @Test func whatGroupsWatchIsBounded() {
        // Each of many groups watches the next one twice, and nothing is alive at the end.
        let rig = Rig()
        let last: UInt32 = 60
        rig.group(last, .fastFailover, rig.bucket(0, "output:2", port: 99))
        for id in (1..<last).reversed() {
            rig.group(id, .fastFailover, rig.bucket(0, "output:2", group: id + 1), rig.bucket(1, "output:3", group: id + 1))
        }
        rig.flows("actions=group:1")
        #expect(rig.actions(packet) == "drop")
    }

    @Test func changesOfGroupsMakeDecisionsStale() throws {
        let rig = Rig()
        rig.group(1, .indirect, rig.bucket(0, "output:2"))
        rig.flows("in_port=1,actions=group:1")
        let before = rig.translate(Rig.key(packet))
        try rig.bridge.apply(GroupMod(command: .modify, kind: .indirect, groupID: 1, buckets: [rig.bucket(0, "output:3")]))
        #expect(!rig.pipeline.versions.isCurrent(before.dependencies, since: before.sequence))
        #expect(rig.actions(packet) == "3")
        // The flows go with the group.
        try rig.bridge.apply(GroupMod(command: .delete, kind: .all, groupID: GroupMod.allGroups))
        #expect(rig.bridge.flowCount == 0)
        #expect(rig.dropReason(packet) == .tableMiss)
    }

    @Test func flowsNameGroupsThatExist() {
        let rig = Rig()
        #expect(throws: FlowModError.badOutGroup(7)) { try rig.bridge.apply(try Rig.modification("actions=group:7")) }
        #expect(throws: FlowModError.badOutGroup(7)) {
            try rig.bridge.apply(try Rig.modification("actions=clone(write_actions(group:7))"))
        }
        rig.group(7, .all)
        rig.flows("in_port=1,actions=group:7")
        #expect(rig.actions(packet) == "drop")
    }

    @Test func standardErrors() {
        let rig = Rig()
        rig.group(1, .all, rig.bucket(0, "output:1"))
        #expect(rig.error(GroupMod(command: .add, kind: .all, groupID: 1)) == .gmfcGroupExists)
        #expect(rig.error(GroupMod(command: .modify, kind: .all, groupID: 2)) == .gmfcUnknownGroup)
        #expect(rig.error(GroupMod(command: .add, kind: .all, groupID: 0xffff_ff01)) == .gmfcInvalidGroup)
        #expect(rig.error(GroupMod(command: .addOrModify, kind: .all, groupID: 2)) == nil)
        #expect(rig.error(GroupMod(command: .addOrModify, kind: .select, groupID: 2)) == nil)
        // Deleting what is not there is done.
        #expect(rig.error(GroupMod(command: .delete, kind: .all, groupID: 77)) == nil)
        let insert = GroupMod(command: .insertBucket, kind: .all, groupID: 1, commandBucketID: 9, buckets: [rig.bucket(1, "output:1")])
        #expect(rig.error(insert) == .gmfcUnknownBucket)
        let twice = GroupMod(
            command: .insertBucket, kind: .all, groupID: 1, commandBucketID: GroupMod.lastBucket, buckets: [rig.bucket(0, "output:1")])
        #expect(rig.error(twice) == .gmfcBucketExists)
        #expect(rig.error(GroupMod(command: .removeBucket, kind: .all, groupID: 1, commandBucketID: 9)) == .gmfcUnknownBucket)
    }

    @Test func chainsAreFollowedAndLoopsRefused() {
        let rig = Rig()
        rig.group(3, .indirect, rig.bucket(0, "output:2"))
        rig.group(2, .indirect, rig.bucket(0, "mod_vlan_vid:5,group:3"))
        rig.group(1, .all, rig.bucket(0, "group:2"), rig.bucket(1, "group:3"))
        rig.flows("in_port=1,actions=group:1")
        #expect(rig.actions(packet) == "clone(push_vlan(vid=5,pcp=0),2),2")
        #expect(
            rig.error(GroupMod(command: .modify, kind: .indirect, groupID: 3, buckets: [rig.bucket(0, "group:1")])) == .gmfcLoop)
        #expect(rig.error(GroupMod(command: .add, kind: .indirect, groupID: 9, buckets: [rig.bucket(0, "group:9")])) == .gmfcLoop)
        let watch = GroupMod(command: .modify, kind: .fastFailover, groupID: 3, buckets: [rig.bucket(0, "output:1", group: 1)])
        #expect(rig.error(watch) == .gmfcLoop)
        #expect(rig.actions(packet) == "clone(push_vlan(vid=5,pcp=0),2),2")
    }

    @Test func bucketsComeAndGoWithTheirCounts() throws {
        let rig = Rig(ports: 6)
        rig.group(1, .all, rig.bucket(1, "output:2"), rig.bucket(2, "output:3"))
        rig.flows("in_port=1,actions=group:1")
        rig.credit(packet, packets: 5, bytes: 500)
        func insert(_ at: UInt32, _ buckets: GroupBucket...) throws {
            try rig.bridge.apply(GroupMod(command: .insertBucket, kind: .all, groupID: 1, commandBucketID: at, buckets: buckets))
        }
        try insert(1, rig.bucket(10, "output:4"))
        try insert(GroupMod.firstBucket, rig.bucket(11, "output:5"))
        try insert(GroupMod.lastBucket, rig.bucket(12, "output:6"))
        #expect(rig.actions(packet) == "5,2,4,3,6")
        #expect(rig.bridge.groupDescriptions(1)[0].buckets.map(\.bucketID) == [11, 1, 10, 2, 12])
        var statistics = rig.bridge.groupStatistics(1)[0]
        #expect(statistics.packetCount == 5 && statistics.byteCount == 500 && statistics.referenceCount == 1)
        #expect(statistics.buckets.map(\.packetCount) == [0, 5, 0, 5, 0])
        for id in [GroupMod.firstBucket, GroupMod.lastBucket, 2] {
            try rig.bridge.apply(GroupMod(command: .removeBucket, kind: .all, groupID: 1, commandBucketID: id))
        }
        #expect(rig.actions(packet) == "2,4")
        // A modify keeps the group's counts and not its buckets'.
        try rig.bridge.apply(GroupMod(command: .modify, kind: .all, groupID: 1, buckets: [rig.bucket(1, "output:3")]))
        statistics = rig.bridge.groupStatistics(1)[0]
        #expect(statistics.packetCount == 5 && statistics.buckets.map(\.packetCount) == [0])
        try rig.bridge.apply(GroupMod(command: .removeBucket, kind: .all, groupID: 1, commandBucketID: GroupMod.allBuckets))
        #expect(rig.actions(packet) == "drop")
    }

    @Test func bundlesTakeGroupsAndFlowsTogether() throws {
        let rig = Rig()
        let add = BridgeChange.group(GroupMod(command: .add, kind: .indirect, groupID: 1, buckets: [rig.bucket(0, "output:2")]))
        let use = BridgeChange.flow(try Rig.modification("in_port=1,actions=group:1"))
        let bad = BridgeChange.flow(try Rig.modification("in_port=2,actions=group:2"))
        do throws(BundleError) {
            try rig.bridge.apply(changes: [add, use, bad])
            Issue.record("a flow of an unknown group was taken")
        } catch {
            #expect(error.index == 2 && error.error == .badOutGroup(2))
        }
        #expect(rig.bridge.groupDescriptions().isEmpty && rig.bridge.flowCount == 0)
        try rig.bridge.apply(changes: [add, use])
        #expect(rig.actions(packet) == "2")
        // What a failed bundle deleted is there again, with what names it.
        let delete = BridgeChange.group(GroupMod(command: .delete, kind: .all, groupID: 1))
        #expect(throws: BundleError.self) { try rig.bridge.apply(changes: [delete, bad]) }
        #expect(rig.actions(packet) == "2")
        try rig.bridge.apply(changes: [delete])
        #expect(rig.bridge.flowCount == 0)
    }

    @Test func hashLooksAtItsFieldsOnly() {
        let rig = Rig()
        rig.group(
            1, .select, rig.bucket(0, "output:2", weight: 1), rig.bucket(1, "output:3", weight: 1),
            selection: GroupSelection(method: "hash", parameter: 7, fields: [.init(.tcpSrc, mask: 0xff00), .init(.udpSrc, mask: 0xffff)]))
        rig.flows("in_port=1,actions=group:1")
        let translation = rig.translate(Rig.key(packet))
        #expect(translation.mask.bits[.tcpSrc] == 0xff00)
        #expect(translation.mask.bits[.nwSrc] == 0 && translation.mask.bits[.tcpDst] == 0)
        var seen: Set<String> = []
        for port in stride(from: 0, to: 65_536, by: 256) { seen.insert(rig.actions("in_port=1,tcp,tp_src=\(port)")) }
        #expect(seen == ["2", "3"])
        #expect(rig.actions("in_port=1,tcp,tp_src=256") == rig.actions("in_port=1,tcp,tp_src=511"))
    }

    @Test func theDatapathChoosesByDefault() throws {
        let rig = Rig()
        rig.group(1, .select, rig.bucket(5, "mod_vlan_vid:9,output:2", weight: 1), rig.bucket(6, "output:3", weight: 3))
        rig.flows("in_port=1,actions=load:7->NXM_NX_REG0[],group:1,output:4", "table=1,reg0=7,actions=output:2")
        let translation = rig.translate(Rig.key(packet))
        guard case .select(1, 0, let ids)? = translation.actions.first else {
            Issue.record("\(translation.actions)")
            return
        }
        #expect(translation.actions.last == .output(DatapathPort(4)))
        // No header of L3 or L4 was looked at.
        for field: Field in [.nwSrc, .nwDst, .nwProto, .tcpSrc, .tcpDst, .ethSrc, .ethDst] { #expect(translation.mask.bits[field] == 0) }
        // A hash value each, of one choice.
        #expect(ids.count == 16 && Set(ids.compactMap { HashedRecirculation(id: $0)?.number }) == [1])
        let minors = ids.filter { rig.actions(packet, recirculation: $0) == "push_vlan(vid=9,pcp=0),2" }
        let majors = ids.filter { rig.actions(packet, recirculation: $0) == "3" }
        #expect(minors.count == 4 && majors.count == 12)
        let (minor, major) = (minors[0], majors[0])
        // Counted where it was decided.
        var key = Rig.key(packet)
        key[.recircID] = UInt128(major)
        rig.pipeline.credit(
            rig.translate(key).effects!, FlowStatisticsDelta(packets: 3, bytes: 30, lastUsed: rig.clock.now, tcpFlags: 0))
        let statistics = rig.bridge.groupStatistics(1)[0]
        #expect(statistics.packetCount == 3 && statistics.buckets.map(\.packetCount) == [0, 3])
        // Registers are as they were: a bucket may go on in a table.
        try rig.bridge.apply(
            GroupMod(command: .modify, kind: .select, groupID: 1, buckets: [rig.bucket(6, "resubmit(,1)", weight: 1)]))
        guard case .select(_, _, let after)? = rig.translate(Rig.key(packet)).actions.first else { return }
        #expect(rig.actions(packet, recirculation: after[0]) == "2")
        // What was under way to a bucket that has gone takes another.
        #expect(rig.actions(packet, recirculation: minor) == "2")
    }

    @Test func hashValuesAreShownAsTheFieldHasThem() throws {
        let rig = Rig()
        rig.group(1, .select, rig.bucket(0, "output:2", weight: 1), rig.bucket(1, "output:3", weight: 1))
        rig.flows("in_port=1,actions=group:1")
        let first = rig.translate(Rig.key(packet))
        #expect(DatapathText.format(first.actions) == "hash(sym_l4(0)),recirc(0x1)")
        guard case .select(_, _, let ids)? = first.actions.first else { return }
        var key = Rig.key(packet)
        key[.recircID] = UInt128(ids[5])
        let second = rig.translate(key)
        #expect(DatapathText.format(Match(key: key, mask: second.mask)).hasPrefix("recirc_id(0x1),dp_hash(0x5/0xf),in_port("))
        #expect(rig.bridge.trace(key).contains("Megaflow: recirc_id=0x1,dp_hash=0x5/0xf,"))
        // As it is written, so it may be said to a trace.
        key[.recircID] = 1
        key[.dpHash] = 0xffff_fff5
        #expect(rig.bridge.trace(key).hasSuffix("Datapath actions: \(rig.actions(packet, recirculation: ids[5]))\n"))
    }

    @Test func selectGroupsGiveAnAccountOfThemselves() throws {
        let rig = Rig()
        let lines = Mutex<[String]>([])
        rig.pipeline.journal.connect { _, _, line in lines.withLock { $0.append(line) } }
        rig.group(1, .select, rig.bucket(0, "output:2", weight: 1))
        #expect(lines.withLock { $0 }.isEmpty)
        rig.pipeline.journal.wantsGroups = true
        rig.group(2, .select, rig.bucket(0, "output:2", weight: 5), rig.bucket(7, "output:3", weight: 6))
        #expect(
            lines.withLock { $0 } == [
                "Constructing select group 2", "No selection method specified. Trying dp_hash.", "  Minimum weight: 5, total weight: 11",
                "  Using 16 hash values:", "  Bucket 0: weight=5, target=7.27 hits=7", "  Bucket 7: weight=6, target=8.73 hits=9",
                "Use dp_hash with 16 hash values using algorithm 1.",
            ])
        lines.withLock { $0.removeAll() }
        rig.group(
            3, .select, rig.bucket(0, "output:2", weight: 1), rig.bucket(1, "output:2", weight: 1000),
            selection: GroupSelection(method: "dp_hash"))
        #expect(
            lines.withLock { $0 }.suffix(3) == [
                "  Minimum weight: 1, total weight: 1001", "  Too many hash values required: 1024", "Falling back to default hash method.",
            ])
    }

    @Test func numbersForHashValuesAreSmall() {
        let numbers = TokenNumbers()
        let small = TokenRegistry<Int>(numbers: numbers, lingering: 1, limit: 4)
        let any = TokenRegistry<Int>(numbers: numbers, lingering: 1)
        #expect([any.acquire(1), small.acquire(1), any.acquire(2), any.acquire(3)] == [1, 2, 3, 4])
        #expect(small.acquire(2) == 0 && small.acquire(1) == 2)
    }

    @Test func deadBucketsOfASelectGroupGetNothing() {
        let rig = Rig()
        rig.group(1, .select, rig.bucket(0, "output:2", weight: 1, port: 2), rig.bucket(1, "output:3", weight: 1, port: 3))
        rig.group(
            2, .select, rig.bucket(0, "output:2", weight: 1, port: 2), rig.bucket(1, "output:3", weight: 1, port: 3),
            selection: GroupSelection(method: "hash"))
        rig.flows("in_port=1,actions=group:1", "in_port=4,actions=group:2")
        rig.bridge.updatePort(OpenFlowPort(2)) { $0.isLinkUp = false }
        guard case .select(_, _, let ids)? = rig.translate(Rig.key(packet)).actions.first else {
            Issue.record("no selection")
            return
        }
        #expect(ids.allSatisfy { rig.actions(packet, recirculation: $0) == "3" })
        for port in 1..<50 { #expect(rig.actions("in_port=4,udp,tp_src=\(port)") == "3") }
        rig.bridge.updatePort(OpenFlowPort(3)) { $0.isLinkUp = false }
        #expect(rig.actions(packet) == "drop" && rig.actions("in_port=4,udp") == "drop")
    }

    @Test(arguments: [[1, 1], [1, 2, 3], [1, 0, 1], [10, 1], [100, 200, 300, 400], Array(repeating: 1, count: 40)])
    func slotsFollowWeights(_ weights: [Int]) throws {
        let slots = try SelectSlots.make(weights: weights.map { UInt16($0) })
        let total = weights.reduce(0, +)
        for (index, weight) in weights.enumerated() {
            let wanted = Double(slots.count * weight) / Double(total)
            #expect(abs(Double(slots.count { Int($0) == index }) - wanted) < 1.5, "bucket \(index) of \(weights)")
        }
        #expect(throws: SelectSlots.Refusal.noWeight) { try SelectSlots.make(weights: [0, 0]) }
        #expect(throws: SelectSlots.Refusal.tooMany(65_536)) { try SelectSlots.make(weights: [1, 65_535]) }
    }

    @Test func picksFollowWeightsAndMoveLittle() {
        var random = SeededRandom(seed: 11)
        let candidates: [(id: UInt32, weight: UInt16)] = [(1, 1), (2, 2), (3, 5), (4, 0)]
        var counts = [0, 0, 0, 0]
        var moved = 0
        let rounds = 40_000
        for _ in 0..<rounds {
            let hash = random.next()
            let pick = SelectSlots.pick(hash, candidates)!
            counts[pick] += 1
            // Without the third, those that had another stay.
            let other = SelectSlots.pick(hash, [candidates[0], candidates[1]])!
            if pick != 2, other != pick { moved += 1 }
        }
        for (index, share) in [0.125, 0.25, 0.625, 0].enumerated() {
            #expect(abs(Double(counts[index]) / Double(rounds) - share) < 0.01)
        }
        #expect(moved == 0)
    }

    @Test func controllerActionsOfBucketsSaySo() {
        let rig = Rig()
        rig.group(1, .all, rig.bucket(0, "controller"))
        rig.flows("in_port=1,priority=7,actions=group:1")
        guard case .punt(let token, _)? = rig.translate(Rig.key(packet)).actions.first else {
            Issue.record("no packet-in")
            return
        }
        #expect(rig.pipeline.punts.description(of: token)?.reason == .group)
    }
}

@Suite struct MeterTests {
    let packet = "in_port=1,tcp"

    func config(_ id: UInt32, bands: Int = 1) -> MeterConfig {
        MeterConfig(
            meterID: id, flags: [.kilobits, .burst], bands: Array(repeating: MeterBand(kind: .drop, rate: 1000, burst: 10), count: bands))
    }

    func error(_ rig: Rig, _ command: MeterMod.Command, _ config: MeterConfig) -> ErrorCode? {
        do throws(FlowModError) {
            try rig.bridge.apply(MeterMod(command: command, meter: config))
            return nil
        } catch {
            if case .standard(let code, _) = error { return code }
            return .mmfcUnknown
        }
    }

    @Test func flowsPassTheirMeter() throws {
        let rig = Rig()
        #expect(throws: FlowModError.unknownMeter(5)) { try rig.bridge.apply(try Rig.modification("actions=meter:5,output:2")) }
        #expect(error(rig, .add, config(4)) == nil)
        #expect(error(rig, .add, config(5)) == nil)
        rig.flows("in_port=1,actions=meter:5,output:2", "in_port=2,actions=meter:5")
        #expect(rig.actions(packet) == "meter(1),2")
        #expect(rig.actions("in_port=2,tcp") == "meter(1),drop")
        #expect(try rig.bridge.meterStatistics(5)[0].flowCount == 2)
        let before = rig.translate(Rig.key(packet))
        #expect(error(rig, .delete, config(5)) == nil)
        #expect(!rig.pipeline.versions.isCurrent(before.dependencies, since: before.sequence))
        #expect(rig.bridge.flowCount == 0)
        // The datapath's number is free again.
        #expect(error(rig, .add, config(6)) == nil)
        rig.flows("in_port=1,actions=meter:6,output:2")
        #expect(rig.actions(packet) == "meter(1),2")
    }

    @Test func standardErrors() {
        let rig = Rig()
        #expect(error(rig, .add, config(0)) == .mmfcInvalidMeter)
        #expect(error(rig, .add, config(0xffff_0001)) == .mmfcInvalidMeter)
        #expect(error(rig, .add, config(MeterMod.allMeters)) == .mmfcInvalidMeter)
        #expect(error(rig, .add, config(1, bands: 9)) == .mmfcOutOfBands)
        #expect(error(rig, .modify, config(1)) == .mmfcUnknownMeter)
        #expect(error(rig, .add, config(1, bands: 8)) == nil)
        #expect(error(rig, .add, config(1)) == .mmfcMeterExists)
        #expect(error(rig, .modify, config(1)) == nil)
        #expect(error(rig, .delete, config(9)) == nil)
        #expect(throws: FlowModError.self) { try rig.bridge.meterStatistics(9) }
        #expect(error(rig, .delete, config(MeterMod.allMeters)) == nil)
        #expect(try! rig.bridge.meterConfigurations().isEmpty)
    }

    @Test func theDatapathMayWaitForTranslationsThatLookAtTheBridge() throws {
        let rig = Rig()
        try rig.bridge.apply(MeterMod(command: .add, meter: config(1)))
        // What takes the writer's lock, as a translation may that learns.
        let seen = Mutex<[FailMode]>([])
        rig.datapath.onMeter.withLock { $0 = { [bridge = rig.bridge] in seen.withLock { $0.append(bridge.failMode) } } }
        try rig.bridge.apply(MeterMod(command: .modify, meter: config(1, bands: 2)))
        #expect(seen.withLock { $0 } == [.secure])
        #expect(try rig.bridge.meterConfigurations(1).first?.bands.count == 2)
    }

    @Test func theControllerMeterLimitsWhatGoesToControllers() {
        let rig = Rig()
        rig.flows("in_port=1,actions=controller,output:2")
        #expect(error(rig, .add, config(MeterMod.controller)) == nil)
        guard case .clone(let copy)? = rig.translate(Rig.key(packet)).actions.first, case .meter(0)? = copy.first else {
            Issue.record("not metered: \(rig.actions(packet))")
            return
        }
        // An action's own meter goes before it.
        #expect(error(rig, .add, config(3)) == nil)
        rig.flows("in_port=2,actions=controller(meter_id=3)")
        guard case .meter(1)? = rig.translate(Rig.key("in_port=2,tcp")).actions.first else {
            Issue.record("not metered: \(rig.actions("in_port=2,tcp"))")
            return
        }
    }
}
