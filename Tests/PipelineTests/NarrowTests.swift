// Decisions that rest on what they set, as the field's switches take them.

import DatapathAPI
import Flow
import OpenFlow
import Synchronization
import Testing

@testable import Pipeline

@Suite struct NarrowTests {
    private func rig(_ flows: String...) -> Rig {
        let rig = Rig()
        rig.pipeline.matchesWhatIsSet = true
        for flow in flows { _ = try! rig.bridge.apply(try! Rig.modification(flow)) }
        return rig
    }
    private let packet = "in_port=1,tcp,nw_src=10.0.0.1,nw_dst=10.0.0.2,tp_src=8,tp_dst=9,nw_ttl=64,dl_src=02:00:00:00:00:01"

    @Test func whatIsSetIsMatched() {
        let rig = rig("in_port=1,ip,actions=mod_nw_src:1.2.3.4,output:2")
        let translation = rig.translate(Rig.key(packet))
        #expect(translation.mask.bits[.nwSrc] == 0xffff_ffff)
        #expect(translation.mask.bits[.nwProto] == 0xff)
        #expect(translation.mask.bits[.nwDst] == 0)
        rig.pipeline.matchesWhatIsSet = false
        #expect(rig.translate(Rig.key(packet)).mask.bits[.nwSrc] == 0)
    }

    @Test func whatACopyChangedIsSetBack() {
        let rig = rig("in_port=1,ip,actions=clone(mod_nw_src:1.2.3.4,output:2),output:3")
        #expect(rig.actions(packet) == "set(ipv4(src=1.2.3.4)),2,set(ipv4(src=10.0.0.1)),3")
        rig.pipeline.matchesWhatIsSet = false
        #expect(rig.actions(packet) == "clone(set(ipv4(src=1.2.3.4)),2),3")
    }

    @Test func tagsAreSetBackToo() {
        let rig = rig("in_port=1,actions=clone(mod_vlan_vid:5,output:2),output:3")
        #expect(rig.actions(packet) == "push_vlan(vid=5,pcp=0),2,pop_vlan,3")
        #expect(rig.actions(packet + ",dl_vlan=7").hasSuffix(",3"))
    }

    @Test func labelsStayInTheirCopy() {
        let rig = rig("in_port=1,ip,actions=clone(push_mpls:0x8847,output:2),output:3")
        #expect(rig.actions(packet) == "clone(push_mpls(label=0,tc=0,ttl=64,bos=1,eth_type=0x8847),2),3")
    }

    @Test func everythingIsMatchedOnRequest() {
        let rig = rig("actions=output:2")
        rig.pipeline.matchesEverything = true
        #expect(rig.translate(Rig.key(packet)).mask.bits[.tcpDst] == 0xffff)
        rig.pipeline.matchesEverything = false
        #expect(rig.translate(Rig.key(packet)).mask.bits[.tcpDst] == 0)
    }

    @Test func packetsOfNobodyAreFlooded() {
        let rig = rig("actions=NORMAL")
        var key = Rig.key("dl_type=0x1234")
        key[.inPort] = UInt128(OpenFlowPort.any.rawValue)
        #expect(rig.bridge.trace(key).hasSuffix("Datapath actions: 1,2,3,4\n"))
    }

    @Test func aForcedRecirculationGoesOnWhereItWas() {
        let rig = rig("table=0,in_port=1,actions=output:2,resubmit(,1),output:4", "table=1,actions=debug_recirc,output:3")
        let first = rig.translate(Rig.key(packet))
        guard case .recirculate(let id)? = first.actions.last else {
            Issue.record("\(first.actions)")
            return
        }
        var key = Rig.key(packet)
        key[.recircID] = UInt128(id)
        #expect(DatapathText.format(rig.translate(key).actions) == "3,4")
    }

    @Test func conjunctionsAreNamed() {
        let rig = rig(
            "priority=10,ip,nw_src=10.0.0.1,actions=conjunction(1,1/2)", "priority=10,tcp,actions=conjunction(1,2/2)",
            "conj_id=1,actions=output:2")
        var key = Rig.key(packet)
        key[.inPort] = 1
        let text = rig.bridge.trace(key)
        #expect(text.contains(" -> conj. priority=10,ip,nw_src=10.0.0.1\n") && text.contains(" -> conj. priority=10,tcp\n"), "\(text)")
    }

    @Test func failuresAreWrittenDown() {
        let rig = rig("actions=pop:NXM_NX_REG0[],output:2", "table=1,actions=resubmit(,1)", "priority=40000,udp,actions=resubmit(,1)")
        let lines = Mutex<[String]>([])
        rig.pipeline.journal.connect { _, _, line in lines.withLock { $0.append(line) } }
        _ = rig.actions("in_port=1,dl_type=0x1234")
        let packet = "in_port=1,vlan_tci=0x0000,dl_src=00:00:00:00:00:00,dl_dst=00:00:00:00:00:00,dl_type=0x1234"
        #expect(lines.withLock { $0 } == ["stack underflow on bridge br0 while processing \(packet)"])
        _ = rig.actions("in_port=1,udp")
        #expect(
            lines.withLock { $0 }.last?.hasPrefix("over max translation depth 64 on bridge br0 while processing udp,in_port=1,") == true)
        // Of what is only asked nothing is written, nor of packets with more labels than can be read.
        _ = rig.bridge.trace(Rig.key("in_port=1,dl_type=0x1234"))
        #expect(lines.withLock { $0.count } == 2)
    }

    @Test func numbersAreSharedAndComeBack() {
        let numbers = TokenNumbers()
        let (first, second) = (TokenRegistry<Int>(numbers: numbers, lingering: 1), TokenRegistry<String>(numbers: numbers, lingering: 1))
        #expect([first.acquire(5), second.acquire("a"), first.acquire(6), first.acquire(5)] == [1, 2, 3, 1])
        #expect(second.description(of: 1) == nil && first.description(of: 3) == 6)
    }
}

extension NarrowTests {
    @Test func aTraceGoesOnWithWhatComesBack() {
        let rig = Rig()
        rig.pipeline.matchesWhatIsSet = true
        _ = try! rig.bridge.apply(try! Rig.modification("in_port=1,actions=output:2,debug_recirc,output:3"))
        var key = Rig.key("in_port=1,tcp")
        key[.inPort] = 1
        #expect(rig.bridge.trace(key).hasSuffix("Datapath actions: 2,recirc(0x1)\n"))
        key[.recircID] = 1
        let text = rig.bridge.trace(key)
        #expect(text.hasPrefix("Flow: recirc_id=0x1,eth,tcp,") && text.hasSuffix("Datapath actions: 3\n"), "\(text)")
    }

    @Test func accessPortsGetNoSecondTag() {
        let port = BridgePort(
            number: OpenFlowPort(1), name: "p", attachment: .datapath(DatapathPort(1)), hardwareAddress: 2, vlanMode: .access, tag: 5)
        #expect(port.carries(vlan: 5) && !port.carries(vlan: 5, customer: 7))
    }

    @Test func groupsAndMetersGoWithTheFlowsWhenControllersChange() throws {
        let rig = Rig()
        try rig.bridge.apply(GroupMod(command: .add, kind: .all, groupID: 5))
        rig.bridge.setHasControllers(true)
        #expect(rig.bridge.groupDescriptions().isEmpty)
    }

    @Test func partsOfATypeAreShownAsParts() {
        let rig = Rig()
        rig.pipeline.matchesWhatIsSet = true
        _ = try! rig.bridge.apply(try! Rig.modification("in_port=1,icmp,icmp_type=8,actions=output:2"))
        var key = Rig.key("in_port=1,icmp,icmp_type=3")
        key[.inPort] = 1
        #expect(rig.bridge.trace(key).contains(",icmp_type=0x0/0xf8\n"), "\(rig.bridge.trace(key))")
    }
}
