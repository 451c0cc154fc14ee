// Actions that reach beyond one lookup: recirculation, backbone frames, conjunctions, learning, choices by hash.

import Base
import DatapathAPI
import Flow
import Synchronization
import Testing

@testable import Pipeline

@Test(arguments: [
    // A new tag begins as the outer one was (OpenFlow 1.5 section 7.2.6.4).
    ("dl_vlan=5,dl_vlan_pcp=3,tcp", "push_vlan:0x88a8,output:2", "push_vlan(tpid=0x88a8,vid=5,pcp=3),2"),
    (
        "dl_vlan=5,tcp", "push_vlan:0x88a8,push_vlan:0x88a8,output:2",
        "push_vlan(tpid=0x88a8,vid=5,pcp=0),push_vlan(tpid=0x88a8,vid=5,pcp=0),2"
    ),
    (
        "dl_vlan=5,tcp", "push_vlan:0x88a8,push_vlan:0x88a8,pop_vlan,pop_vlan,output:2",
        "push_vlan(tpid=0x88a8,vid=5,pcp=0),push_vlan(tpid=0x88a8,vid=5,pcp=0),pop_vlan,pop_vlan,2"
    ),
    ("tcp", "push_pbb:0x88e7,set_field:0x123456->pbb_isid,output:2", "push_pbb(isid=0,pcp=0),set(pbb_isid(0x123456)),2"),
    ("tcp,dl_vlan=5,dl_vlan_pcp=6", "push_pbb:0x88e7,output:2", "push_pbb(isid=0,pcp=6),2"),
    ("dl_type=0x88e7,pbb_isid=7", "push_pbb:0x88e7,output:2", "push_pbb(isid=0x7,pcp=0),2"),
    ("dl_type=0x88e7", "pop_pbb,output:2", "pop_pbb,2"),
    ("dl_type=0x88e7", "pop_pbb,mod_dl_dst:02:00:00:00:00:01,output:2", "pop_pbb,recirc(0x1)"),
    ("mpls", "copy_ttl_out,output:2", "copy_ttl_out,2"),
    ("mpls", "copy_ttl_in,mod_dl_dst:02:00:00:00:00:01,output:2", "copy_ttl_in,set(eth(dst=02:00:00:00:00:01)),2"),
    ("mpls", "copy_ttl_out,dec_mpls_ttl,output:2", "copy_ttl_out,recirc(0x1)"),
    ("mpls", "pop_mpls:0x0800,output:2", "pop_mpls(eth_type=0x800),2"),
    ("mpls", "pop_mpls:0x0800,dec_ttl,output:2", "pop_mpls(eth_type=0x800),recirc(0x1)"),
    (
        "tcp", "push_mpls:0x8847,push_mpls:0x8847,push_mpls:0x8847,push_mpls:0x8847,output:2",
        "push_mpls(label=0,tc=0,ttl=0,bos=1,eth_type=0x8847),push_mpls(label=0,tc=0,ttl=0,bos=0,eth_type=0x8847),"
            + "push_mpls(label=0,tc=0,ttl=0,bos=0,eth_type=0x8847),push_mpls(label=0,tc=0,ttl=0,bos=0,eth_type=0x8847),2"
    ),
    ("tcp", "set_field:17->ip_proto,output:2", "set(nw_proto(17)),2"),
    ("tcp", "set_field:0x8848->eth_type,output:2", "set(eth_type(0x8848)),2"),
    ("mpls", "set_field:0->mpls_bos,output:2", "set(mpls(bos=0)),2"),
    ("tcp", "check_pkt_larger(100)->NXM_NX_REG0[0],output:2", "2"),
    (
        "tcp", "check_pkt_larger(100)->NXM_NX_REG0[0],load:2->NXM_NX_REG0[1..4],output:NXM_NX_REG0[0..2]",
        "check_pkt_len(size=100,gt(drop),le(4))"
    ),
    ("tcp", "bundle(eth_src,0,active_backup,ofport,members:3,2)", "3"),
    ("tcp", "bundle_load(eth_src,0,active_backup,ofport,NXM_NX_REG0[],members:9,2),output:NXM_NX_REG0[]", "2"),
    ("tcp", "multipath(eth_src,0,modulo_n,1,0,NXM_NX_REG0[0..7]),load:3->NXM_NX_REG0[0..7],output:NXM_NX_REG0[]", "3"),
    (
        "tcp", "write_actions(push_vlan:0x8100,set_field:4105->vlan_vid,push_mpls:0x8847,output:2)",
        "push_mpls(label=0,tc=0,ttl=0,bos=1,eth_type=0x8847),push_vlan(vid=9,pcp=0),2"
    ),
    ("tcp", "write_actions(set_field:02:00:00:00:00:01->eth_dst)", "drop"),
    ("tcp", "sample(probability=65535),output:2", "2"),
])
func extensions(_ packet: String, _ actions: String, _ expected: String) {
    let rig = Rig()
    let prefix = packet.hasPrefix("dl_type=0x88e7") ? "dl_type=0x88e7," : packet.hasPrefix("mpls") ? "mpls," : "tcp,"
    rig.flows("\(prefix)actions=\(actions)")
    #expect(rig.actions("in_port=1," + packet) == expected)
}

@Test func questionsForTheLengthAreBounded() {
    let rig = Rig()
    func asking(_ count: Int) -> String {
        (0..<count).map { "check_pkt_larger(\(100 + $0))->NXM_NX_REG0[\($0)]," }.joined()
    }
    rig.flows("tcp,actions=\(asking(10))output:2", "udp,actions=\(asking(30))output:2")
    #expect(rig.actions("in_port=1,tcp") == "2")
    #expect(rig.dropReason("in_port=1,udp") == .tooManyResubmits)
}

@Test func whatIsBehindALabelIsMatchedAfterRecirculation() {
    let rig = Rig()
    rig.flows(
        "table=0,mpls,actions=load:7->NXM_NX_REG3[],pop_mpls:0x0800,resubmit(,1),output:3", "table=1,ip,nw_dst=10.0.0.2,reg3=7,actions=2",
        "table=1,priority=1,actions=output:4")
    #expect(rig.actions("in_port=1,mpls,mpls_label=5") == "pop_mpls(eth_type=0x800),recirc(0x1)")
    #expect(rig.actions("in_port=1,recirc_id=1,ip,nw_dst=10.0.0.2") == "2,3")
    #expect(rig.actions("in_port=1,recirc_id=1,ip,nw_dst=10.0.0.3") == "4,3")
    // Equal states share an id.
    #expect(rig.actions("in_port=1,mpls,mpls_label=6") == "pop_mpls(eth_type=0x800),recirc(0x1)")
    #expect(rig.actions("in_port=1,recirc_id=99,ip,nw_dst=10.0.0.3") == "drop")
}

@Test func theActionSetWaitsForTheRecirculatedPacket() {
    let rig = Rig()
    rig.flows(
        "table=0,mpls,actions=pop_mpls:0x0800,write_actions(output:2),goto_table:1", "table=1,ip,nw_dst=10.0.0.2,actions=dec_ttl",
        "table=1,priority=1,actions=clear_actions")
    #expect(rig.actions("in_port=1,mpls") == "pop_mpls(eth_type=0x800),recirc(0x1)")
    #expect(rig.actions("in_port=1,recirc_id=1,ip,nw_dst=10.0.0.2,nw_ttl=9") == "set(ip(ttl=8)),2")
    #expect(rig.actions("in_port=1,recirc_id=1,ip,nw_dst=10.0.0.3,nw_ttl=9") == "drop")
}

@Test func aCloneRecirculatesByItself() {
    let rig = Rig()
    rig.flows("mpls,actions=clone(pop_mpls:0x0800,dec_ttl,output:2),output:3")
    #expect(rig.actions("in_port=1,mpls") == "clone(pop_mpls(eth_type=0x800),recirc(0x1)),3")
    #expect(rig.actions("in_port=1,recirc_id=1,ip,nw_ttl=9") == "set(ip(ttl=8)),2")
}

@Test func conjunctions() {
    let rig = Rig()
    rig.flows(
        "ip,nw_src=10.0.0.1,actions=conjunction(5,1/2)", "ip,nw_src=10.0.0.2,actions=conjunction(5,1/2),conjunction(6,1/2)",
        "tcp,tp_dst=80,actions=conjunction(5,2/2)", "tcp,tp_dst=81,actions=conjunction(6,2/2)", "conj_id=5,actions=output:2",
        "conj_id=6,ip,actions=output:3", "priority=1,actions=output:4", "priority=40000,tcp,tp_src=9,actions=drop")
    #expect(rig.actions("in_port=1,tcp,nw_src=10.0.0.1,tcp_dst=80") == "2")
    #expect(rig.actions("in_port=1,tcp,nw_src=10.0.0.2,tcp_dst=80") == "2")
    #expect(rig.actions("in_port=1,tcp,nw_src=10.0.0.2,tcp_dst=81") == "3")
    #expect(rig.actions("in_port=1,tcp,nw_src=10.0.0.1,tcp_dst=81") == "4")
    #expect(rig.actions("in_port=1,tcp,nw_src=10.0.0.3,tcp_dst=80") == "4")
    #expect(rig.actions("in_port=1,tcp,nw_src=10.0.0.1,tcp_dst=80,tcp_src=9") == "drop")
    // The megaflow tells these apart.
    let mask = rig.translate(Rig.key("in_port=1,tcp,nw_src=10.0.0.1,tcp_dst=80")).mask
    #expect(mask.bits[.nwSrc] == 0xffff_ffff && mask.bits[.tcpDst] == 0xffff)
}

@Test func learningAddsAndRefreshes() {
    let rig = Rig()
    rig.flows(
        "table=0,actions=learn(table=1,hard_timeout=10,cookie=0x77,NXM_OF_ETH_DST[]=NXM_OF_ETH_SRC[],load:5->NXM_NX_REG1[],"
            + "output:NXM_OF_IN_PORT[]),resubmit(,1)", "table=1,priority=0,actions=FLOOD")
    let packet = "in_port=1,dl_src=02:00:00:00:00:aa,dl_dst=02:00:00:00:00:bb"
    #expect(rig.actions(packet) == "2,3,4")
    func learned() -> [FlowRule] { rig.bridge.flows(matching: FlowFilter(table: 1)).filter { $0.cookie == 0x77 } }
    #expect(
        learned().map { FlowText.format($0.match) + " " + FlowText.format($0.actions) } == [
            "dl_dst=02:00:00:00:00:aa load:0x5->NXM_NX_REG1[],output:1"
        ])
    #expect(rig.actions("in_port=2,dl_src=02:00:00:00:00:bb,dl_dst=02:00:00:00:00:aa") == "1")
    #expect(learned().count == 2)
    // Packets credited to the translation start the timeout again.
    let translation = rig.translate(Rig.key(packet))
    rig.clock.warp(milliseconds: 8000)
    rig.pipeline.credit(
        translation.effects!, FlowStatisticsDelta(packets: 1, bytes: 60, lastUsed: rig.clock.now, tcpFlags: 0))
    rig.clock.warp(milliseconds: 8000)
    rig.pipeline.run()
    #expect(learned().map { FlowText.format($0.match) } == ["dl_dst=02:00:00:00:00:aa"])
    rig.clock.warp(milliseconds: 8000)
    rig.pipeline.run()
    #expect(learned().isEmpty)
    // A trace teaches nothing.
    _ = rig.bridge.trace(
        {
            var key = Rig.key(packet); key[.inPort] = 1; return key
        }())
    #expect(learned().isEmpty)
}

@Test func whatIsLearnedMayHaveAFinTimeoutWhateverItMatches() {
    let rig = Rig()
    rig.flows("table=0,actions=learn(table=1,fin_idle_timeout=5,NXM_OF_ETH_DST[]=NXM_OF_ETH_SRC[],output:NXM_OF_IN_PORT[]),output:2")
    _ = rig.translate(Rig.key("in_port=1,dl_src=02:00:00:00:00:aa,dl_dst=02:00:00:00:00:02"))
    #expect(rig.bridge.flows(matching: FlowFilter(table: 1)).map { FlowText.format($0.match) } == ["dl_dst=02:00:00:00:00:aa"])
}

@Test func learningHasALimitAndGoesWithItsTeacher() {
    let rig = Rig()
    rig.flows(
        "table=0,actions=learn(table=1,cookie=0x9,limit=2,delete_learned,result_dst=NXM_NX_REG0[0],NXM_OF_ETH_DST[]=NXM_OF_ETH_SRC[])"
            + ",resubmit(,2)", "table=2,reg0=1,actions=output:2", "table=2,reg0=0,actions=output:3")
    #expect(rig.actions("in_port=1,dl_src=02:00:00:00:00:01") == "2")
    #expect(rig.actions("in_port=1,dl_src=02:00:00:00:00:02") == "2")
    #expect(rig.actions("in_port=1,dl_src=02:00:00:00:00:03") == "3")
    #expect(rig.actions("in_port=1,dl_src=02:00:00:00:00:02") == "2")
    #expect(rig.bridge.flows(matching: FlowFilter(table: 1)).count == 2)
    rig.modify("table=0", .delete)
    #expect(rig.bridge.flows(matching: FlowFilter(table: 1)).isEmpty)
}

@Test func timeoutsShrinkWhenTheConnectionEnds() {
    let rig = Rig()
    rig.flows("tcp,idle_timeout=60,actions=fin_timeout(idle_timeout=5),output:2")
    let translation = rig.translate(Rig.key("in_port=1,tcp"))
    func timeout() -> UInt16? { rig.bridge.flows().first?.idleTimeoutSeconds }
    func credit(_ flags: UInt16) {
        rig.pipeline.credit(translation.effects!, FlowStatisticsDelta(packets: 1, bytes: 60, lastUsed: rig.clock.now, tcpFlags: flags))
    }
    credit(0x10)
    #expect(timeout() == 60)
    credit(0x11)
    #expect(timeout() == 5)
    #expect(rig.bridge.flows().first?.packetCount == 2)
}

@Test func aPausedPacketGoesOn() {
    let rig = Rig()
    rig.flows(
        "actions=load:5->NXM_NX_REG1[],controller(userdata=01,pause),mod_dl_dst:02:00:00:00:00:09,resubmit(,1)", "table=1,reg1=5,actions=2",
        "table=1,reg1=6,actions=output:3")
    let translation = rig.translate(Rig.key("in_port=1"))
    guard case .punt(let token, _)? = translation.actions.first, translation.actions.count == 1 else {
        Issue.record("\(translation.actions)")
        return
    }
    let frame = [UInt8](repeating: 0, count: 60)
    rig.pipeline.receive(PuntedPacket(token: token, bytes: frame, totalLength: 60, key: Rig.key("in_port=1")))
    let event = rig.events.packetIns.withLock { $0.first }
    #expect(event?.userdata == [1])
    guard let event, let continuation = Continuation(event.continuation) else {
        Issue.record("no continuation")
        return
    }
    var metadata = Match(key: event.metadata, mask: FlowMask(bits: event.metadata))
    #expect(rig.bridge.resume(packet: frame, metadata: metadata, continuation))
    metadata.set(.reg1, 6)
    #expect(rig.bridge.resume(packet: frame, metadata: metadata, continuation))
    let sent = rig.datapath.executed.withLock { $0.map { DatapathText.format($0.actions) } }
    #expect(sent == ["set(eth(dst=02:00:00:00:00:09)),2", "set(eth(dst=02:00:00:00:00:09)),3"])
    #expect(!rig.bridge.resume(packet: frame, metadata: metadata, Continuation(bridge: 1, state: 4_000_000)))
}
