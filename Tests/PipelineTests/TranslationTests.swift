// Flow text in, datapath actions out.

import Base
import DatapathAPI
import Flow
import Synchronization
import Testing

@testable import Pipeline

@Test(arguments: [
    ("output:2", "2"),
    ("output:2,output:3", "2,3"),
    ("output:1", "drop"),
    ("in_port", "1"),
    ("drop", "drop"),
    ("all", "2,3,4"),
    ("flood", "2,3,4"),
    ("mod_dl_dst:02:00:00:00:00:09,output:2", "set(eth(dst=02:00:00:00:00:09)),2"),
    ("output:2,mod_nw_dst:10.9.9.9,output:3", "2,set(ipv4(dst=10.9.9.9)),3"),
    // Changed and changed back between outputs: nothing to do. (Once the value is known.)
    ("mod_nw_dst:10.9.9.9,mod_nw_dst:10.8.8.8,output:3", "set(ipv4(dst=10.8.8.8)),3"),
    ("mod_nw_dst:10.9.9.9,output:2,mod_nw_dst:10.9.9.9,output:3", "set(ipv4(dst=10.9.9.9)),2,3"),
    ("output:2,mod_nw_dst:10.9.9.9", "2"),
    ("mod_tp_dst:99,output:2", "set(tcp(dst=99)),2"),
    ("set_field:99->tcp_src,output:2", "set(tcp(src=99)),2"),
    ("mod_nw_tos:8,output:2", "set(ip(tos=0x8/0xfc)),2"),
    ("dec_ttl,output:2", "set(ip(ttl=63)),2"),
    ("dec_ttl,dec_ttl,output:2", "set(ip(ttl=62)),2"),
    ("mod_nw_ttl:1,dec_ttl,output:2", "drop"),
    ("mod_vlan_vid:10,output:2", "push_vlan(vid=10,pcp=0),2"),
    ("push_vlan:0x8100,set_field:4106->vlan_vid,output:2", "push_vlan(vid=10,pcp=0),2"),
    ("push_vlan:0x88a8,set_field:4107->vlan_vid,output:2", "push_vlan(tpid=0x88a8,vid=11,pcp=0),2"),
    ("mod_vlan_vid:10,mod_vlan_pcp:3,output:2,strip_vlan,output:3", "push_vlan(vid=10,pcp=3),2,pop_vlan,3"),
    ("mod_vlan_vid:10,strip_vlan,output:2", "2"),
    ("strip_vlan,output:2", "2"),
    ("load:5->NXM_NX_REG0[],output:2", "2"),
    ("load:3->NXM_NX_REG0[],output:NXM_NX_REG0[]", "3"),
    ("load:0xfff8->NXM_NX_REG0[],output:NXM_NX_REG0[]", "1"),
    ("load:0xfff8->NXM_NX_REG0[],output:NXM_NX_REG0[0..15]", "1"),
    ("output:0,output:3", "3"),
    ("move:NXM_OF_ETH_SRC[]->NXM_OF_ETH_DST[],output:2", "set(eth(dst=02:00:00:00:00:01)),2"),
    ("push:NXM_OF_ETH_SRC[],pop:NXM_OF_ETH_DST[],output:2", "set(eth(dst=02:00:00:00:00:01)),2"),
    ("clone(mod_nw_dst:10.9.9.9,output:2),output:3", "clone(set(ipv4(dst=10.9.9.9)),2),3"),
    ("clone(output:2),output:3", "2,3"),
    ("output:3,clone(mod_nw_dst:10.9.9.9,output:2)", "3,set(ipv4(dst=10.9.9.9)),2"),
    ("output:2,exit,output:3", "2"),
    ("note:00,output:2", "2"),
    ("controller", "userspace(pid=0,controller(id=1,max_len=65535))"),
    ("controller(max_len=100),output:2", "userspace(pid=0,controller(id=1,max_len=100)),2"),
    ("mod_nw_dst:10.9.9.9,controller", "set(ipv4(dst=10.9.9.9)),userspace(pid=0,controller(id=1,max_len=65535))"),
    ("output(port=2,max_len=64)", "trunc(64),2"),
    ("push_mpls:0x8847,output:2", "push_mpls(label=0,tc=0,ttl=64,bos=1,eth_type=0x8847),2"),
    (
        "push_mpls:0x8847,set_mpls_label:100,output:2",
        "push_mpls(label=100,tc=0,ttl=64,bos=1,eth_type=0x8847),2"
    ),
    ("push_mpls:0x8847,pop_mpls:0x0800,output:2", "push_mpls(label=0,tc=0,ttl=64,bos=1,eth_type=0x8847),pop_mpls(eth_type=0x800),2"),
    ("write_actions(output:2)", "2"),
    ("write_actions(output:2),clear_actions", "drop"),
    // The action set's order is the standard's, not the list's.
    ("write_actions(output:2,set_field:10.9.9.9->ip_dst)", "set(ipv4(dst=10.9.9.9)),2"),
    ("write_actions(output:3,output:2)", "2"),
    ("output:77", "drop"),
])
func actionsBecomeDatapathActions(actions: String, expected: String) {
    let rig = Rig()
    rig.flows("tcp,actions=\(actions)")
    let packet =
        "in_port=1,tcp,dl_src=02:00:00:00:00:01,dl_dst=02:00:00:00:00:02,nw_src=10.0.0.1,nw_dst=10.0.0.2,nw_ttl=64,tp_src=1,tp_dst=2"
    #expect(rig.actions(packet) == expected)
}

@Test func tablesAreWalked() {
    let rig = Rig()
    rig.flows(
        "table=0,priority=10,in_port=1,actions=load:7->NXM_NX_REG0[],goto_table:1",
        "table=0,priority=5,actions=resubmit(,2),output:4",
        "table=1,reg0=7,actions=write_metadata:0x55,goto_table:3",
        "table=2,in_port=2,actions=output:1",
        "table=3,metadata=0x55,actions=resubmit(9,2),output:2",
        "table=2,in_port=9,actions=output:3")
    #expect(rig.actions("in_port=1") == "3,2")
    #expect(rig.actions("in_port=2") == "1,4")
    #expect(rig.actions("in_port=3") == "4")
}

@Test func dropsSayWhy() {
    let rig = Rig()
    rig.flows(
        "in_port=1,actions=drop", "in_port=2,ip,actions=dec_ttl,output:1", "in_port=3,actions=output:88",
        "in_port=4,actions=resubmit(,4)", "table=4,actions=resubmit(,4)")
    #expect(rig.dropReason("in_port=1") == .policy)
    #expect(rig.dropReason("in_port=2,ip,nw_ttl=1") == .ttlExpired)
    #expect(rig.dropReason("in_port=2,arp") == .tableMiss)
    #expect(rig.dropReason("in_port=3") == .outputPortClosed)
    #expect(rig.dropReason("in_port=4") == .recursionTooDeep)
    #expect(rig.dropReason("in_port=9") == .inputPortClosed)
    rig.bridge.updatePort(OpenFlowPort(1)) { $0.configuration.insert(.noReceive) }
    #expect(rig.dropReason("in_port=1") == .inputPortClosed)
}

@Test func manyResubmitsAreBounded() {
    let rig = Rig()
    // 2 to the power of 20 lookups, if nobody counted.
    for table in 0..<20 { rig.flows("table=\(table),actions=resubmit(,\(table + 1)),resubmit(,\(table + 1))") }
    #expect(rig.dropReason("in_port=1") == .tooManyResubmits)
    // A chain through all tables is fine, as goto and as resubmit.
    let chain = Rig()
    for table in 0..<253 { chain.flows("table=\(table),actions=\(table % 2 == 0 ? "goto_table:\(table + 1)" : "resubmit(,\(table + 1))")") }
    chain.flows("table=253,actions=output:2")
    #expect(chain.actions("in_port=1") == "2")
}

@Test func masksHoldWhatWasReadAndNoMore() {
    let rig = Rig()
    rig.flows(
        "table=0,priority=10,tcp,tp_dst=80,actions=output:2",
        "table=0,priority=1,ip,nw_dst=10.0.0.0/8,actions=mod_nw_dst:1.1.1.1,goto_table:1",
        "table=1,ip,nw_dst=1.1.1.1,actions=dec_ttl,output:3")
    let tcp = rig.translate(Rig.key("in_port=1,tcp,nw_dst=10.0.0.1,nw_ttl=9,tp_dst=80"))
    #expect(tcp.mask.bits[.tcpDst] == 0xffff && tcp.mask.bits[.nwProto] == 0xff && tcp.mask.bits[.nwSrc] == 0)
    #expect(tcp.mask.bits[.datapathInPort] == 0xffff_ffff && tcp.mask.bits[.ethType] == 0xffff && tcp.mask.bits[.recircID] == 0xffff_ffff)
    #expect(tcp.mask.bits[.vlanTCI] == 0x1000 && tcp.mask.bits[.inPort] == 0 && tcp.mask.bits[.nwTTL] == 0)
    let udp = rig.translate(Rig.key("in_port=1,udp,nw_dst=10.0.0.1,nw_ttl=9"))
    #expect(DatapathText.format(udp.actions) == "set(ipv4(dst=1.1.1.1)),set(ip(ttl=8)),3")
    // The prefix of 10.0.0.0/8; the rest of the address is overwritten, and what table 1 read of it says nothing.
    #expect(udp.mask.bits[.nwDst] == 0xff00_0000 && udp.mask.bits[.nwTTL] == 0xff && udp.mask.bits[.ethSrc] == 0)
}

@Test func patchPortsLeadToTheOtherBridge() throws {
    let rig = Rig(ports: 2)
    let other = try rig.pipeline.addBridge(named: "br1", datapathID: 2, failMode: .secure)
    for (bridge, name, peer) in [(rig.bridge, "patch0", "patch1"), (other, "patch1", "patch0")] {
        try bridge.addPort(
            BridgePort(number: OpenFlowPort(10), name: name, attachment: .patch(peer: peer), hardwareAddress: 0x0200_0000_0000))
    }
    rig.addPort(21, to: other)
    rig.addPort(22, to: other)
    rig.flows("in_port=1,actions=load:1->NXM_NX_REG0[],output:10,output:2", "in_port=2,actions=mod_dl_src:02:00:00:00:00:77,output:10")
    rig.flows(
        "reg0=0,in_port=10,actions=mod_dl_dst:02:00:00:00:00:99,output:21", "in_port=21,actions=output:10",
        "in_port=22,actions=output:10", on: other)
    // The change in br1 is for the copy only.
    #expect(rig.actions("in_port=1") == "clone(set(eth(dst=02:00:00:00:00:99)),21),2")
    #expect(rig.actions("in_port=2") == "set(eth(src=02:00:00:00:00:77,dst=02:00:00:00:00:99)),21")
    #expect(rig.actions("in_port=21") == "drop")
    // Two bridges that send to each other for ever.
    rig.flows("priority=40000,in_port=10,actions=in_port")
    rig.flows("priority=40000,in_port=10,actions=in_port", on: other)
    #expect(rig.dropReason("in_port=22") == .recursionTooDeep)
    other.removePort(OpenFlowPort(10))
    #expect(rig.dropReason("in_port=2") == .outputPortClosed)
}

@Test func megaflowsDependOnWhatTheyUsed() {
    let rig = Rig()
    rig.flows("table=0,in_port=1,actions=goto_table:1", "table=1,actions=output:2", "table=7,actions=drop")
    let first = rig.translate(Rig.key("in_port=1"))
    let versions = rig.pipeline.versions
    #expect(versions.isCurrent(first.dependencies, since: first.sequence))
    rig.flows("table=7,priority=9,actions=output:3")
    #expect(versions.isCurrent(first.dependencies, since: first.sequence))
    rig.flows("table=1,priority=9,in_port=2,actions=output:3")
    #expect(!versions.isCurrent(first.dependencies, since: first.sequence))
    let second = rig.translate(Rig.key("in_port=1"))
    rig.bridge.updatePort(OpenFlowPort(2)) { $0.configuration.insert(.noForward) }
    #expect(!versions.isCurrent(second.dependencies, since: second.sequence))
    #expect(rig.dropReason("in_port=1") == .outputPortClosed)
}

@Test func controllersGetThePacketWithItsCircumstances() {
    let rig = Rig()
    rig.flows(
        "table=0,in_port=1,cookie=0x99,actions=load:5->NXM_NX_REG1[],write_metadata:0x77,controller(id=3,max_len=128)",
        "table=0,in_port=2,ip,actions=dec_ttl(4,5),output:1", "table=0,priority=0,actions=controller")
    func punted(_ packet: String) -> [PacketInEvent] {
        let key = Rig.key(packet)
        let translation = rig.translate(key)
        rig.events.packetIns.withLock { $0.removeAll() }
        for case .punt(let token, let length) in translation.actions {
            rig.pipeline.receive(
                PuntedPacket(token: token, bytes: Array(repeating: 1, count: min(Int(length), 200)), totalLength: 200, key: key))
        }
        return rig.events.packetIns.withLock { $0 }
    }
    let event = punted("in_port=1")[0]
    #expect(event.reason == .action && event.cookie == 0x99 && event.table == 0 && event.inPort == OpenFlowPort(1))
    #expect(event.controllerID == 3 && event.packet.count == 128 && event.totalLength == 200)
    #expect(event.metadata[.reg1] == 5 && event.metadata[.metadata] == 0x77 && event.metadata[.inPort] == 1)
    let expired = punted("in_port=2,ip,nw_ttl=1")
    #expect(expired.map(\.reason) == [.invalidTTL, .invalidTTL] && expired.map(\.controllerID) == [4, 5])
    #expect(punted("in_port=3").map(\.reason) == [.noMatch])
    rig.modify("", .delete)
    #expect(punted("in_port=3").isEmpty)
    rig.bridge.updateSettings { $0.sendsTableMissToController = true }
    let miss = punted("in_port=3")
    #expect(miss.map(\.reason) == [.noMatch] && miss[0].cookie == 0 && miss[0].isImplicitMiss)
    rig.bridge.updatePort(OpenFlowPort(3)) { $0.configuration.insert(.noPacketIn) }
    #expect(punted("in_port=3").isEmpty)
}

@Test func packetOutsAreCarriedOut() throws {
    let rig = Rig()
    rig.flows("in_port=1,actions=output:4")
    let frame: [UInt8] = [2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 0x12, 0x34] + Array(repeating: 0, count: 46)
    let actions = { (text: String) in try FlowText.parseActions(text) }
    try rig.bridge.packetOut(inPort: .controller, packet: frame, actions: actions("output:2"))
    try rig.bridge.packetOut(inPort: OpenFlowPort(1), packet: frame, actions: actions("flood"))
    try rig.bridge.packetOut(inPort: OpenFlowPort(1), packet: frame, actions: actions("table"))
    let sent = rig.datapath.executed.withLock { $0.map { "\($0.inPort.rawValue):" + DatapathText.format($0.actions) } }
    #expect(sent == ["0:2", "1:2,3,4", "1:4"])
    #expect(rig.bridge.flows().map(\.packetCount) == [1])
    #expect(throws: FlowModError.badOutGroup(5)) { try rig.bridge.packetOut(inPort: .controller, packet: frame, actions: [.group(5)]) }
    #expect(throws: FlowModError.self) { try rig.bridge.packetOut(inPort: .controller, packet: [1, 2], actions: []) }
}

@Test func tracesHaveTheFieldsForm() {
    let rig = Rig()
    rig.flows("table=0,in_port=1,actions=resubmit(,10),goto_table:4", "table=10,actions=output:3", "table=4,priority=7,actions=output:2")
    var key = Rig.key("tcp,nw_dst=10.0.0.1")
    key[.inPort] = 1
    #expect(
        rig.bridge.trace(key) == """
            Flow: tcp,in_port=1,vlan_tci=0x0000,dl_src=00:00:00:00:00:00,dl_dst=00:00:00:00:00:00,nw_src=0.0.0.0,nw_dst=10.0.0.1,nw_tos=0,nw_ecn=0,nw_ttl=0,nw_frag=no,tp_src=0,tp_dst=0,tcp_flags=0

            bridge("br0")
            -------------
             0. in_port=1, priority 32768
                resubmit(,10)
                10. priority 32768
                        output:3
                goto_table:4
             4. priority 7
                output:2

            Final flow: unchanged
            Megaflow: recirc_id=0,eth,ip,in_port=1,nw_frag=no
            Datapath actions: 3,2

            """)
}
