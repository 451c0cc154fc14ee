// The NORMAL action: VLANs and MAC learning.

import Base
import DatapathAPI
import Flow
import Testing

@testable import Pipeline

private let toBroadcast = "dl_src=02:00:00:00:00:01,dl_dst=ff:ff:ff:ff:ff:ff"

/// Ports: 1 access 10, 2 access 10, 3 access 20, 4 trunk all, 5 trunk 20, 6 native-tagged 10, 7 native-untagged 10.
private func vlanRig() -> Rig {
    let rig = Rig(ports: 0, failMode: .standalone)
    rig.addPort(1, mode: .access, tag: 10)
    rig.addPort(2, mode: .access, tag: 10)
    rig.addPort(3, mode: .access, tag: 20)
    rig.addPort(4)
    rig.addPort(5, trunks: [20])
    rig.addPort(6, mode: .nativeTagged, tag: 10, trunks: [20])
    rig.addPort(7, mode: .nativeUntagged, tag: 10, trunks: [30])
    return rig
}

@Test(arguments: [
    ("in_port=1", "2,push_vlan(vid=10,pcp=0),4,6,pop_vlan,7"),
    ("in_port=1,dl_vlan=10", "drop"),
    // A priority tag has no VLAN id of its own.
    ("in_port=1,dl_vlan=0,dl_vlan_pcp=5", "pop_vlan,2,push_vlan(vid=10,pcp=5),4,6,pop_vlan,7"),
    ("in_port=3", "push_vlan(vid=20,pcp=0),4,5,6"),
    ("in_port=4", "drop"),
    ("in_port=4,dl_vlan=10", "pop_vlan,1,2,push_vlan(vid=10,pcp=0),6,pop_vlan,7"),
    ("in_port=4,dl_vlan=20,dl_vlan_pcp=3", "pop_vlan,3,push_vlan(vid=20,pcp=3),5,6"),
    ("in_port=4,dl_vlan=30", "7"),
    ("in_port=5,dl_vlan=20", "pop_vlan,3,push_vlan(vid=20,pcp=0),4,6"),
    ("in_port=5,dl_vlan=10", "drop"),
    ("in_port=5", "drop"),
    ("in_port=6", "1,2,push_vlan(vid=10,pcp=0),4,pop_vlan,7"),
    ("in_port=6,dl_vlan=10", "pop_vlan,1,2,push_vlan(vid=10,pcp=0),4,pop_vlan,7"),
    ("in_port=7,dl_vlan=30", "4"),
    ("in_port=7,dl_vlan=20", "drop"),
    ("in_port=7", "1,2,push_vlan(vid=10,pcp=0),4,6"),
])
func floodingFollowsTheVLANs(packet: String, expected: String) {
    #expect(vlanRig().actions("\(packet),\(toBroadcast)") == expected)
}

@Test func stationsAreLearnedAndForgotten() {
    let rig = Rig(failMode: .standalone)
    let there = "in_port=1,dl_src=02:00:00:00:00:01,dl_dst=02:00:00:00:00:02"
    let back = "in_port=2,dl_src=02:00:00:00:00:02,dl_dst=02:00:00:00:00:01"
    let flooded = rig.translate(Rig.key(there))
    #expect(DatapathText.format(flooded.actions) == "2,3,4")
    #expect(rig.actions(back) == "1")
    // That station 2 is known now makes the flood stale.
    #expect(!rig.pipeline.versions.isCurrent(flooded.dependencies, since: flooded.sequence))
    #expect(rig.actions(there) == "2")
    #expect(rig.actions("in_port=2,dl_src=02:00:00:00:00:03,dl_dst=02:00:00:00:00:02") == "drop")
    rig.clock.warp(milliseconds: 3000)
    #expect(
        rig.bridge.learnedAddresses() == [
            LearnedAddress(port: OpenFlowPort(1), vlan: 0, address: 0x0200_0000_0001, ageSeconds: 3),
            LearnedAddress(port: OpenFlowPort(2), vlan: 0, address: 0x0200_0000_0002, ageSeconds: 3),
            LearnedAddress(port: OpenFlowPort(2), vlan: 0, address: 0x0200_0000_0003, ageSeconds: 3),
        ])
    // The station moves.
    #expect(rig.actions("in_port=3,dl_src=02:00:00:00:00:02,dl_dst=02:00:00:00:00:01") == "1")
    let cached = rig.translate(Rig.key(there))
    #expect(DatapathText.format(cached.actions) == "3")
    // Cached traffic keeps its source alive; the others age out.
    rig.clock.warp(milliseconds: 299_000)
    rig.pipeline.credit(cached.effects!, FlowStatisticsDelta(packets: 1, bytes: 60, lastUsed: rig.clock.now, tcpFlags: 0))
    rig.pipeline.run()
    #expect(rig.bridge.learnedAddresses().map(\.address) == [0x0200_0000_0002, 0x0200_0000_0001], "the longest unused first")
    rig.clock.warp(milliseconds: 2000)
    rig.pipeline.run()
    #expect(rig.bridge.learnedAddresses().map(\.address) == [0x0200_0000_0001])
    #expect(!rig.pipeline.versions.isCurrent(cached.dependencies, since: cached.sequence))
    #expect(rig.actions(there) == "2,3,4")
    rig.bridge.removePort(OpenFlowPort(1))
    #expect(rig.bridge.learnedAddresses().isEmpty)
    _ = rig.actions(back)
    rig.bridge.flushLearnedAddresses()
    #expect(rig.bridge.learnedAddresses().isEmpty)
}

@Test func onlyRealPacketsTeach() {
    let rig = Rig(failMode: .standalone)
    _ = rig.translate(Rig.key("in_port=1,\(toBroadcast)"), hasSideEffects: false)
    #expect(rig.bridge.learnedAddresses().isEmpty)
    _ = rig.translate(Rig.key("in_port=1,dl_src=03:00:00:00:00:01,dl_dst=ff:ff:ff:ff:ff:ff"))
    #expect(rig.bridge.learnedAddresses().isEmpty, "a group address is no station")
}

@Test func stationsAreForgottenWhereThePortChangesVLAN() {
    let rig = Rig(failMode: .standalone)
    _ = rig.actions("in_port=1,dl_src=02:00:00:00:00:01,dl_dst=ff:ff:ff:ff:ff:ff")
    #expect(rig.bridge.learnedAddresses().count == 1)
    rig.bridge.updatePort(OpenFlowPort(1)) { $0.isLinkUp = false }
    #expect(rig.bridge.learnedAddresses().count == 1)
    rig.bridge.updatePort(OpenFlowPort(1)) { $0.trunks = VLANSet([7]) }
    #expect(rig.bridge.learnedAddresses().isEmpty)
}

@Test func fragmentsHaveNoPortsToTheTables() {
    let rig = Rig()
    rig.flows("priority=9,tcp,tp_dst=80,actions=output:2")
    rig.flows("priority=1,tcp,tp_dst=0,actions=output:3")
    #expect(rig.actions("in_port=1,tcp,tp_dst=80") == "2")
    let first = rig.translate(Rig.key("in_port=1,tcp,nw_frag=first,tp_dst=80"))
    #expect(DatapathText.format(first.actions) == "3")
    #expect(first.mask.bits[.tcpDst] == 0)
}

@Test func addressesOfIPv4ActionsLeaveARPAlone() {
    let rig = Rig()
    rig.flows("actions=mod_nw_src:1.2.3.4,output:2")
    #expect(rig.actions("in_port=1,arp,arp_spa=9.9.9.9") == "2")
}

@Test(arguments: ["01:00:0c:cc:cc:cc", "01:00:0c:cc:cc:cd", "01:00:0c:cd:cd:cd", "01:00:0c:00:00:00", "00:e0:2b:00:00:04"])
func vendorsProtocolsStayHere(address: String) {
    let rig = Rig(failMode: .standalone)
    #expect(rig.dropReason("in_port=1,dl_src=02:00:00:00:00:01,dl_dst=\(address)") == .normalFiltered)
}

@Test func reservedMulticastStaysHere() {
    let rig = Rig(failMode: .standalone)
    let packet = "in_port=1,dl_src=02:00:00:00:00:01,dl_dst=01:80:c2:00:00:0e"
    #expect(rig.dropReason(packet) == .normalFiltered)
    #expect(rig.actions("in_port=1,dl_src=02:00:00:00:00:01,dl_dst=01:80:c2:00:00:10") == "2,3,4")
    rig.bridge.updateSettings { $0.forwardsReservedMulticast = true }
    #expect(rig.actions(packet) == "2,3,4")
}

@Test func normalReadsAddressesAndVLANOnly() {
    let rig = Rig(failMode: .standalone)
    let mask = rig.translate(Rig.key("in_port=1,tcp,\(toBroadcast),nw_dst=10.0.0.1")).mask
    #expect(mask.bits[.ethSrc] == 0xffff_ffff_ffff && mask.bits[.ethDst] == 0xffff_ffff_ffff && mask.bits[.vlanTCI] == 0x1fff)
    #expect(mask.bits[.nwDst] == 0 && mask.bits[.nwProto] == 0)
}

@Test func noFloodPortsAreLeftOut() {
    let rig = Rig(failMode: .standalone)
    rig.bridge.updatePort(OpenFlowPort(3)) { $0.configuration.insert(.noFlood) }
    #expect(rig.actions("in_port=1,\(toBroadcast)") == "2,4")
    rig.flows("priority=9,in_port=2,actions=flood", "priority=9,in_port=4,actions=all")
    #expect(rig.actions("in_port=2") == "1,4")
    #expect(rig.actions("in_port=4") == "1,2,3")
}

@Test func onePortCannotPushOutTheOthersStations() {
    let rig = Rig(failMode: .standalone)
    rig.bridge.setMACLearning(capacity: 100, ageingSeconds: 300)
    for station in 1...20 {
        _ = rig.actions("in_port=2,dl_src=02:00:00:00:02:\(String(station + 0x10, radix: 16)),dl_dst=ff:ff:ff:ff:ff:ff")
    }
    for high in 0x10..<0x20 {
        for low in 0x10..<0x40 {
            _ = rig.actions(
                "in_port=1,dl_src=02:00:00:01:\(String(high, radix: 16)):\(String(low, radix: 16)),dl_dst=ff:ff:ff:ff:ff:ff")
        }
    }
    let learned = rig.bridge.learnedAddresses()
    #expect(learned.count == 100)
    #expect(learned.filter { $0.port == OpenFlowPort(2) }.count == 20)
    #expect(learned.contains { $0.address == 0x0200_0001_1f3f })
    rig.bridge.setMACLearning(capacity: 20_000, ageingSeconds: 300)
    #expect(rig.actions("in_port=1,\(toBroadcast)") == "2,3,4")
}

/// A megaflow's counts come late: what they say of a station must not undo a move seen since.
@Test func lateCountsDoNotMoveAStationBack() {
    let table = MACTable(bridge: 1, capacity: 16, ageingSeconds: 300, seed: 1)
    let (before, move, after) = (Instant(nanoseconds: 1_000), Instant(nanoseconds: 2_000), Instant(nanoseconds: 3_000))
    _ = table.learn(0x02_0000_0000_01, vlan: 0, port: OpenFlowPort(1), now: before)
    #expect(!table.learn(0x02_0000_0000_01, vlan: 0, port: OpenFlowPort(2), now: move).isEmpty)
    #expect(table.learn(0x02_0000_0000_01, vlan: 0, port: OpenFlowPort(1), now: before, isLate: true).isEmpty)
    #expect(table.lookup(0x02_0000_0000_01, vlan: 0) == OpenFlowPort(2))
    // Counts of packets after the move are news.
    #expect(!table.learn(0x02_0000_0000_01, vlan: 0, port: OpenFlowPort(1), now: after, isLate: true).isEmpty)
    #expect(table.lookup(0x02_0000_0000_01, vlan: 0) == OpenFlowPort(1))
}
