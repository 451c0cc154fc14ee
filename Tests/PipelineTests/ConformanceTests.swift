// Behaviours by which the field's own suites and controllers tell a switch: each of these was once otherwise.

import Base
import DatapathAPI
import Flow
import OpenFlow
import Synchronization
import Testing

@testable import Pipeline

@Suite struct ConformanceTests {
    private let packet = "in_port=1,tcp,nw_src=10.0.0.1,nw_dst=10.0.0.2,nw_ttl=64,dl_src=02:00:00:00:00:01"

    @Test func registersAbove15() {
        let rig = Rig()
        rig.flows(
            "table=0,actions=set_field:7->reg16,set_field:0x1122334455667788->xreg15,resubmit(,1)",
            "table=1,reg16=7,reg30=0x11223344,reg31=0x55667788,actions=output:2")
        #expect(rig.actions(packet) == "2")
        #expect(Field.named("NXOXM_ET_REG31") == .reg31)
        #expect(Field.named("xxreg7")?.layout.byteOffset == Field.reg28.layout.byteOffset)
    }

    @Test func onlyWaysBackGoDeeper() {
        let rig = Rig()
        for table in 1..<200 { rig.flows("table=\(table),actions=resubmit(,\(table + 1)),resubmit(,\(table + 1))") }
        rig.flows("table=0,actions=resubmit(,1)")
        // Forward it ends by itself; there are too many ways.
        #expect(rig.dropReason(packet) == .tooManyResubmits)
        rig.flows("table=1,actions=resubmit(,2)", "table=2,actions=resubmit(,1)")
        #expect(rig.dropReason(packet) == .recursionTooDeep)
        rig.flows("table=2,actions=resubmit(,150)", "table=150,actions=output:2")
        #expect(rig.actions(packet) == "2")
        for table in 0..<199 { rig.flows("table=\(table),actions=resubmit(,\(table + 1)),output:3") }
        rig.flows("table=199,actions=output:2")
        #expect(rig.actions(packet).hasPrefix("2,3,3"))
    }

    @Test func sixtyFourWaysBackAreNotTooDeep() {
        let rig = Rig()
        for port in 1..<66 { rig.flows("in_port=\(port),actions=\(port == 65 ? "output:2" : "resubmit:\(port + 1)")") }
        #expect(rig.actions(packet) == "2")
        rig.flows("in_port=65,actions=resubmit:66", "in_port=66,actions=output:2")
        #expect(rig.dropReason(packet) == .recursionTooDeep)
    }

    @Test func aStackThatOverflowsIsItsOwnReason() {
        let rig = Rig()
        let pushes = Array(repeating: "push:NXM_NX_REG0[]", count: 1000).joined(separator: ",")
        for table in 0..<5 { rig.flows("table=\(table),actions=\(pushes),resubmit(,\(table + 1))") }
        #expect(rig.dropReason(packet) == .stackTooDeep)
    }

    @Test func aMissBehindTheLastTableGoesToControllers() throws {
        let rig = ServiceRig()
        let peer = rig.peer(.v1_0)
        _ = peer.ask(.setConfig(SwitchConfig(fragments: .normal, missSendLength: 0xffff)))
        for table in 0..<PipelineLimits.tableCount {
            #expect(rig.peer(.v1_1).error(.tableMod(TableMod(tableID: UInt8(table), config: 1))) == nil)
        }
        var translation = Translation()
        rig.pipeline.translate(
            Rig.key(packet), packet: UnsafeRawBufferPointer(start: nil, count: 0), hasSideEffects: false, into: &translation)
        #expect(DatapathText.format(translation.actions).hasPrefix("userspace"))
    }

    @Test func modifyingIsNoUse() throws {
        let rig = Rig()
        rig.flows("ip,actions=output:2")
        rig.clock.warp(milliseconds: 3000)
        rig.modify("ip,actions=output:3", .modify)
        rig.clock.warp(milliseconds: 2000)
        let rule = try #require(rig.bridge.flows(matching: FlowFilter()).first)
        #expect(rig.clock.now.milliseconds(since: rule.lastActive) == 5000)
        #expect(rig.clock.now.milliseconds(since: rule.lastChanged) == 2000)
    }

    @Test func aPopLooksAtNoMoreOfALabelThanWhetherItIsTheLast() {
        let rig = Rig()
        rig.flows("mpls,actions=pop_mpls:0x0800,output:2")
        let one = rig.translate(Rig.key("in_port=1,mpls,mpls_label=5,mpls_bos=1")).mask
        #expect(one.bits[.mplsLabel] == 0 && one.bits[.mplsTTL] == 0 && one.bits[.mplsBOS] == 1)
        var two = Rig.key("in_port=1,mpls,mpls_label=5")
        two.store(2, at: FlowOffset.mplsCount, count: 1)
        let mask = rig.translate(two).mask
        #expect(mask.bits[.mplsLabel] == 0 && mask.bits.load(at: FlowOffset.mplsLSE1, count: 4) == 0xffff_ffff)
    }

    @Test func aMirrorsCopyIsMadeOnceThoughThePacketComesBack() {
        let rig = Rig()
        rig.mirrors(
            MirrorSettings(
                identifier: "m", sources: [OpenFlowPort(1)], destinations: [OpenFlowPort(2)], outputPort: OpenFlowPort(3)))
        rig.flows("actions=debug_recirc,output:2")
        #expect(rig.actions(packet) == "3,recirc(0x1)")
        #expect(rig.actions(packet + ",recirc_id=1") == "2")
    }

    @Test func queuesGoBesideThePacketAndMayMarkIt() {
        let rig = Rig()
        rig.change(2) { $0.queueMarks = [1: 1, 2: 2] }
        rig.flows("actions=enqueue:2:1,enqueue:2:2,output:2,set_queue:7,output:3,pop_queue,output:4")
        #expect(
            rig.actions("in_port=1,ip,nw_tos=252")
                == "set(ip(tos=0x4/0xfc)),set(skb_priority(0x1)),2,set(ip(tos=0x8/0xfc)),set(skb_priority(0x2)),2,"
                + "set(ip(tos=0xfc/0xfc)),set(skb_priority(0)),2,set(skb_priority(0x7)),3,set(skb_priority(0)),4")
        #expect(rig.translate(Rig.key("in_port=1,ip,nw_tos=252")).mask.bits[.ipDSCP] == 0x3f)
        #expect(rig.actions("in_port=1,arp").hasPrefix("set(skb_priority(0x1)),2,set(skb_priority(0x2)),2,"))
    }

    @Test func fourLabelsAreTooManyForTheFieldsSwitches() {
        let rig = Rig()
        let pushes = Array(repeating: "push_mpls:0x8847", count: 4).joined(separator: ",")
        rig.flows("ip,actions=\(pushes),output:2", "arp,actions=encap(mpls),encap(mpls),encap(mpls),encap(mpls),encap(ethernet),output:2")
        #expect(rig.actions(packet).hasSuffix("bos=0,eth_type=0x8847),2"))
        #expect(rig.actions("in_port=1,arp").hasSuffix(",2"))
        rig.pipeline.matchesWhatIsSet = true
        #expect(rig.dropReason(packet) == .tooManyLabels && rig.dropReason("in_port=1,arp") == .tooManyLabels)
    }

    @Test func headersWithoutAProtocolStayWhereTheFieldsDo() {
        let rig = Rig()
        rig.flows("ip,actions=mod_nw_dst:1.2.3.4,output:2")
        let odd = "in_port=1,ip,nw_proto=0,nw_dst=10.0.0.2"
        #expect(rig.actions(odd) == "set(ip(dst=1.2.3.4)),2" || rig.actions(odd) == "set(ipv4(dst=1.2.3.4)),2")
        rig.pipeline.matchesWhatIsSet = true
        #expect(rig.actions(odd) == "2")
    }
}

@Suite struct ConformanceServiceTests {
    @Test func askingForAsynchronousMessagesIsEnough() {
        let rig = ServiceRig()
        let listener = rig.peer(.v1_4)
        let source = rig.peer(.v1_4)
        var config = AsyncConfig.initial(for: .v1_4)
        config.primary.requestForward = 3
        listener.send(.setAsync(config, isNicira: false))
        listener.take()
        #expect(source.error(.groupMod(GroupMod(command: .add, kind: .all, groupID: 1, buckets: []))) == nil)
        #expect(listener.take().contains { if case .requestForward = $0 { true } else { false } })
    }

    @Test func eachVersionStartsWithTheReasonsItKnows() {
        #expect(AsyncConfig.initial(for: .v1_0).primary.flowRemoved == 0x07)
        #expect(AsyncConfig.initial(for: .v1_3).primary.flowRemoved == 0x0f)
        #expect(AsyncConfig.initial(for: .v1_4).primary.flowRemoved == 0x3f)
    }

    @Test(arguments: [OpenFlowVersion.v1_0, .v1_3]) func aPortComesAliveAfterItIsThere(version: OpenFlowVersion) throws {
        let rig = ServiceRig()
        let peer = rig.peer(version, isService: false)
        _ = try rig.bridge.addPort(
            BridgePort(number: OpenFlowPort(9), name: "p9", attachment: .datapath(DatapathPort(9)), hardwareAddress: 9))
        let states = peer.take().compactMap { message -> (PortStatus.Reason, Bool)? in
            if case .portStatus(let status) = message { (status.reason, status.port.state.contains(.live)) } else { nil }
        }
        #expect(states.map(\.0) == (version == .v1_0 ? [.add] : [.add, .modify]))
        #expect(states.last?.1 == (version != .v1_0))
    }

    @Test func aTableThatIsNotForControllersIsRefusedAsSoonAsItIsNamed() {
        let rig = ServiceRig()
        let peer = rig.peer(.v1_4)
        #expect(peer.error(.bundleControl(BundleControl(bundleID: 1, kind: .openRequest, flags: []))) == nil)
        let mod = Message.flowMod(FlowMod(command: .add, tableID: 254, match: Match(), actions: []))
        // The bundled message's transaction is the bundling one's.
        let xid = peer.send(.barrierRequest) + 1
        let inner = mod.encode(version: .v1_4, xid: xid)!
        #expect(peer.error(.bundleAdd(BundleAdd(bundleID: 1, flags: [], message: inner))) == .brcEperm)
    }

    @Test func anOpcodeOfARPHasSixteenBitsInActions() {
        let rig = ServiceRig()
        let peer = rig.peer(.v1_0)
        var match = Match()
        match.set(.ethType, 0x0806)
        let load = Action.setField(.arpOp, value: 2, mask: 0xff, isLoad: true)
        var mod = FlowMod(command: .add, tableID: 0xff, match: match, actions: [load])
        mod.isNXM = true
        #expect(peer.error(.flowMod(mod)) == nil)
        let bytes = Message.flowMod(mod).encode(version: .v1_0, xid: 9)!
        // NXAST_REG_LOAD, bits 0 to 15.
        #expect((0..<bytes.count - 6).contains { Array(bytes[$0..<$0 + 6]) == [0x23, 0x20, 0, 7, 0, 15] })
        #expect(peer.flows().map(\.actions) == [[load]])
    }

    @Test func aContinuationIsAListOfProperties() {
        let bytes = Continuation(bridge: 3, state: 7).bytes
        #expect(bytes.count == 24 && Array(bytes[..<4]) == [0x80, 0, 0, 20])
        #expect(Continuation(bytes)?.state == 7)
        #expect(Continuation(Array(bytes.dropLast())) == nil)
    }
}
