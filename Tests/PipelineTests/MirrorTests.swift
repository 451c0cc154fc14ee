// Mirrors, and the VLAN modes beyond access and trunk.

import Base
import DatapathAPI
import Flow
import Testing

@testable import Pipeline

private let broadcast = "dl_src=02:00:00:00:00:01,dl_dst=ff:ff:ff:ff:ff:ff"

extension Rig {
    func mirrors(_ settings: MirrorSettings...) { bridge.setMirrors(settings) }

    func change(_ port: UInt32, _ body: (inout BridgePort) -> Void) { bridge.updatePort(OpenFlowPort(port), body) }
}

private func ports(_ numbers: UInt32...) -> Set<OpenFlowPort> { Set(numbers.map { OpenFlowPort($0) }) }

@Suite struct MirrorTests {
    @Test func copiesWhatComesInBeforeAnythingElse() {
        let rig = Rig()
        rig.mirrors(MirrorSettings(identifier: "m", sources: ports(1), outputPort: OpenFlowPort(3)))
        rig.flows("in_port=1,actions=mod_dl_dst:02:00:00:00:00:99,output:2", "in_port=2,actions=output:1")
        #expect(rig.actions("in_port=1,tcp") == "3,set(eth(dst=02:00:00:00:00:99)),2")
        #expect(rig.actions("in_port=2,tcp") == "1")
        // A packet that is dropped was received all the same.
        rig.flows("in_port=1,udp,priority=40000,actions=drop")
        #expect(rig.actions("in_port=1,udp") == "3")
        #expect(rig.actions("in_port=3,tcp") == "drop")
    }

    @Test func copiesWhatGoesOutAsItGoesOut() {
        let rig = Rig()
        rig.mirrors(MirrorSettings(identifier: "m", destinations: ports(2), outputPort: OpenFlowPort(3)))
        rig.flows("in_port=1,actions=output:4,mod_dl_dst:02:00:00:00:00:99,output:2,output:4")
        #expect(rig.actions("in_port=1,tcp") == "4,set(eth(dst=02:00:00:00:00:99)),2,3,4")
    }

    @Test func oneCopyIsEnoughUnlessThePacketChanges() {
        let rig = Rig()
        rig.mirrors(
            MirrorSettings(identifier: "m", sources: ports(1, 2), destinations: ports(1, 2), outputPort: OpenFlowPort(3)),
            MirrorSettings(identifier: "n", sources: ports(1), outputPort: OpenFlowPort(3)))
        rig.flows("in_port=1,actions=output:2", "in_port=2,actions=mod_dl_dst:02:00:00:00:00:99,output:1")
        #expect(rig.actions("in_port=1,tcp") == "3,2")
        #expect(rig.actions("in_port=2,tcp") == "3,set(eth(dst=02:00:00:00:00:99)),1,3")
    }

    @Test func copiesOfACloneThatChangesThePacketCountForItOnly() {
        let rig = Rig()
        rig.mirrors(MirrorSettings(identifier: "m", sources: ports(1), destinations: ports(2, 4), outputPort: OpenFlowPort(3)))
        rig.flows("in_port=1,actions=clone(mod_dl_dst:02:00:00:00:00:99,output:2),output:4")
        #expect(rig.actions("in_port=1,tcp") == "3,clone(set(eth(dst=02:00:00:00:00:99)),2,3),4")
    }

    @Test func normalLeavesTheOutputPortAlone() {
        let rig = Rig(failMode: .standalone)
        rig.mirrors(MirrorSettings(identifier: "m", sources: ports(1), outputPort: OpenFlowPort(3)))
        #expect(rig.actions("in_port=1,\(broadcast)") == "3,2,4")
        #expect(rig.actions("in_port=2,\(broadcast)") == "1,4")
        #expect(rig.dropReason("in_port=3,\(broadcast)") == .normalFiltered)
    }

    @Test func selectsByVLANAndFilterAndCuts() {
        let rig = Rig()
        rig.mirrors(
            MirrorSettings(identifier: "v", sources: ports(1), vlans: VLANSet([5]), outputPort: OpenFlowPort(3), snapLength: 100),
            MirrorSettings(
                identifier: "f", sources: ports(1), filter: try! FlowText.parseMatch("tcp,tp_dst=80"), outputPort: OpenFlowPort(4)))
        rig.flows("in_port=1,actions=output:2")
        #expect(rig.actions("in_port=1,dl_vlan=5") == "trunc(100),3,2")
        #expect(rig.actions("in_port=1,dl_vlan=6") == "2")
        let translation = rig.translate(Rig.key("in_port=1,tcp,tp_dst=80"))
        #expect(DatapathText.format(translation.actions) == "4,2")
        #expect(translation.mask.bits[.tcpDst] == 0xffff)
        #expect(rig.actions("in_port=1,tcp,tp_dst=81") == "2")
    }

    @Test func remoteMirrorsFloodIntoAVLAN() {
        let rig = Rig(ports: 0)
        rig.addPort(1)
        rig.addPort(2, mode: .access, tag: 9)
        rig.addPort(3, trunks: [5])
        rig.mirrors(MirrorSettings(identifier: "m", sources: ports(1), outputVLAN: 9))
        rig.flows("in_port=1,actions=output:3")
        #expect(rig.actions("in_port=1,\(broadcast)") == "push_vlan(vid=9,pcp=0),1,pop_vlan,2,3")
        #expect(rig.actions("in_port=1,dl_vlan=9,\(broadcast)") == "3")
    }

    @Test func countsWhatItCopies() {
        let rig = Rig()
        rig.mirrors(MirrorSettings(identifier: "m", sources: ports(1), outputPort: OpenFlowPort(3)))
        rig.flows("in_port=1,actions=output:2")
        rig.credit("in_port=1,tcp", packets: 4, bytes: 400)
        #expect(rig.bridge.mirrorStatistics("m")! == (4, 400))
        // The counts stay when the mirror changes.
        rig.mirrors(MirrorSettings(identifier: "m", sources: ports(2), outputPort: OpenFlowPort(3)))
        #expect(rig.bridge.mirrorStatistics("m")! == (4, 400))
        #expect(rig.actions("in_port=1,tcp") == "2")
        rig.mirrors()
        #expect(rig.bridge.mirrorStatistics("m") == nil)
    }
}

@Suite struct VLANModeTests {
    /// Port 1: customers in VLAN 100; port 2: a trunk; port 3: another customer port.
    private func tunnelRig() -> Rig {
        let rig = Rig(ports: 0, failMode: .standalone)
        rig.addPort(1, mode: .dot1qTunnel, tag: 100)
        rig.addPort(2)
        rig.addPort(3, mode: .dot1qTunnel, tag: 100)
        rig.addPort(4, mode: .access, tag: 7)
        return rig
    }

    @Test func tunnelsAddAndTakeAnOuterTag() {
        let rig = tunnelRig()
        #expect(rig.actions("in_port=1,dl_vlan=7,\(broadcast)") == "push_vlan(tpid=0x88a8,vid=100,pcp=0),2,pop_vlan,3")
        #expect(rig.actions("in_port=1,\(broadcast)") == "push_vlan(tpid=0x88a8,vid=100,pcp=0),2,pop_vlan,3")
        rig.change(1) { $0.tunnelEtherType = 0x8100 }
        #expect(rig.actions("in_port=1,dl_vlan=7,\(broadcast)") == "push_vlan(vid=100,pcp=0),2,pop_vlan,3")
        // From the trunk a tag comes off.
        #expect(rig.actions("in_port=2,dl_vlan=100,\(broadcast)") == "pop_vlan,1,3")
    }

    @Test func tunnelsCarryTheirCustomersVLANsOnly() {
        let rig = tunnelRig()
        rig.change(1) { $0.customerVLANs = VLANSet([7]) }
        rig.change(3) { $0.customerVLANs = VLANSet([8]) }
        #expect(rig.dropReason("in_port=1,dl_vlan=8,\(broadcast)") == .normalFiltered)
        #expect(rig.actions("in_port=1,dl_vlan=7,\(broadcast)") == "push_vlan(tpid=0x88a8,vid=100,pcp=0),2")
    }

    @Test func protectedPortsDoNotReachEachOther() {
        let rig = Rig(failMode: .standalone)
        rig.change(1) { $0.isProtected = true }
        rig.change(2) { $0.isProtected = true }
        #expect(rig.actions("in_port=1,\(broadcast)") == "3,4")
        #expect(rig.actions("in_port=3,\(broadcast)") == "1,2,4")
        rig.flows("in_port=1,priority=9,actions=output:2")
        #expect(rig.dropReason("in_port=1,\(broadcast)") == .normalFiltered)
    }

    @Test func priorityTagsAreKeptWhereTheyAreWanted() {
        let rig = Rig(ports: 0, failMode: .standalone)
        rig.addPort(1)
        rig.addPort(2, mode: .access, tag: 5)
        let packet = "in_port=1,dl_vlan=5,dl_vlan_pcp=3,\(broadcast)"
        #expect(rig.actions(packet) == "pop_vlan,2")
        rig.change(2) { $0.priorityTags = .ifNonzero }
        #expect(rig.actions(packet) == "set(vlan(tci=0x6000/0xefff)),2")
        #expect(rig.actions("in_port=1,dl_vlan=5,dl_vlan_pcp=0,\(broadcast)") == "pop_vlan,2")
    }

    @Test func floodVLANsLearnNothing() {
        let rig = Rig(failMode: .standalone)
        rig.bridge.updateSettings { $0.floodVLANs = VLANSet([5]) }
        _ = rig.actions("in_port=1,dl_vlan=5,dl_src=02:00:00:00:00:01,dl_dst=02:00:00:00:00:02")
        #expect(rig.bridge.learnedAddresses().isEmpty)
        #expect(rig.actions("in_port=2,dl_vlan=5,dl_src=02:00:00:00:00:02,dl_dst=02:00:00:00:00:01") == "1,3,4")
    }
}
