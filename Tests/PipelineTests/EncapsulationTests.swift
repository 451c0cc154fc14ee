// `encap` and `decap`: headers in front of the whole packet.

import DatapathAPI
import Flow
import Testing

@testable import Pipeline

private let ip = "in_port=1,ip,nw_src=10.0.0.1,nw_dst=10.0.0.2,nw_ttl=9,dl_src=02:00:00:00:00:01,dl_dst=02:00:00:00:00:02"
private let nsh = "in_port=1,dl_type=0x894f,nsh_mdtype=1,nsh_np=3,nsh_spi=0x1234,nsh_si=255,nsh_ttl=63,nsh_c1=0x11223344"

@Suite struct EncapsulationTests {
    @Test(arguments: [
        (
            ip,
            "encap(nsh(md_type=1)),set_field:0x1234->nsh_spi,set_field:0x11223344->nsh_c1,encap(ethernet),"
                + "set_field:11:22:33:44:55:66->eth_dst,output:2",
            "push_nsh(flags=0,ttl=63,mdtype=1,np=3,spi=0x1234,si=255,c1=0x11223344,c2=0x0,c3=0x0,c4=0x0),"
                + "push_eth(src=00:00:00:00:00:00,dst=11:22:33:44:55:66),2"
        ),
        (
            ip, "encap(nsh(md_type=2,tlv(0x1000,10,0x12345678))),encap(ethernet),output:2",
            "push_nsh(flags=0,ttl=63,mdtype=2,np=3,spi=0,si=255,md2=0x10000a0412345678),"
                + "push_eth(src=00:00:00:00:00:00,dst=00:00:00:00:00:00),2"
        ),
        (
            ip, "encap(mpls),set_field:7->mpls_label,encap(ethernet),output:2",
            "add_mpls(label=7,tc=0,ttl=64,bos=1,eth_type=0x8847),push_eth(src=00:00:00:00:00:00,dst=00:00:00:00:00:00),2"
        ),
        (nsh, "decap(),decap(),output:2", "pop_eth,pop_nsh(),2"),
        (nsh, "decap(),decap(),mod_dl_dst:02:00:00:00:00:09,output:2", "pop_eth,pop_nsh(),recirc(0x1)"),
        (nsh, "dec_nsh_ttl,output:2", "set(nsh_ttl(62)),2"),
        ("in_port=1,mpls,mpls_bos=1", "decap(),decap(packet_type(ns=0,type=0)),output:2", "pop_eth,pop_mpls(eth_type=0x6558),2"),
        // The Ethernet header alone is replaced.
        (
            ip, "decap(),encap(ethernet),set_field:02:00:00:00:00:09->eth_dst,output:2",
            "pop_eth,push_eth(src=00:00:00:00:00:00,dst=02:00:00:00:00:09),2"
        ),
        // What lies behind it is looked for anew before it is changed.
        (
            ip, "decap(),encap(ethernet),dec_ttl,output:2",
            "pop_eth,push_eth(src=00:00:00:00:00:00,dst=00:00:00:00:00:00),recirc(0x1)"
        ),
        // Ports want frames.
        (ip, "decap(),output:2", "drop"), (ip, "encap(nsh),output:2,CONTROLLER", "drop"), (ip, "encap(ethernet),output:2", "drop"),
        (ip, "decap(),set_field:1.2.3.4->nw_src,encap(ethernet),output:2", "drop"),
        // A copy keeps to itself.
        (
            ip, "clone(encap(nsh),encap(ethernet),output:2),output:3",
            "clone(push_nsh(flags=0,ttl=63,mdtype=1,np=3,spi=0,si=255,c1=0x0,c2=0x0,c3=0x0,c4=0x0),"
                + "push_eth(src=00:00:00:00:00:00,dst=00:00:00:00:00:00),2),3"
        ),
    ])
    func headers(_ packet: String, _ actions: String, _ expected: String) {
        let rig = Rig()
        let match = packet == nsh ? "dl_type=0x894f," : packet == ip ? "ip," : "mpls,"
        rig.flows("\(match)actions=\(actions)")
        #expect(rig.actions(packet) == expected)
    }

    @Test func aLabelThatIsNotThereIsTakenOffOnce() {
        let rig = Rig()
        rig.flows("mpls,actions=decap(),decap(packet_type(ns=0,type=0)),decap(packet_type(ns=0,type=0)),output:2")
        // Fourteen bytes whose type promises a label.
        var key = Rig.key("in_port=1,mpls")
        key.store(0, at: FlowOffset.mplsCount, count: 1)
        let translation = rig.translate(key)
        #expect(DatapathText.format(translation.actions) == "drop")
    }

    @Test func optionsFitTheirHeader() throws {
        func check(_ options: [Int]) throws(FlowModError) {
            let properties = options.map { EncapsulateAction.Property.tlv(class: 0x1000, type: 1, data: [UInt8](repeating: 7, count: $0)) }
            let action = EncapsulateAction(packetType: .nsh, properties: [.mdType(2)] + properties)
            try ActionValidation.check([.encapsulate(action)], match: Match(), table: 0)
        }
        try check([124, 112])
        try check([127, 108])
        #expect(throws: FlowModError.self) { try check([128]) }
        #expect(throws: FlowModError.self) { try check([124, 113]) }
        #expect(throws: FlowModError.self) { try check(Array(repeating: 3, count: 31)) }
    }

    @Test func aTaggedFrameKeepsItsHeader() {
        let rig = Rig()
        rig.flows("ip,actions=decap(),encap(ethernet),output:2")
        #expect(rig.dropReason(ip + ",dl_vlan=5") == .translationError)
    }

    @Test func whatIsMatchedOfAHeaderIsLookedAt() {
        let rig = Rig()
        rig.flows("dl_type=0x894f,nsh_spi=0x1234,actions=decap(),decap(),output:2", "priority=1,actions=output:3")
        let mask = rig.translate(Rig.key(nsh)).mask
        #expect(mask.bits[.nshSPI] == 0xff_ffff && mask.bits[.nshNP] == 0xff && mask.bits[.nshC1] == 0)
        #expect(rig.actions(nsh.replacing("nsh_spi=0x1234", with: "nsh_spi=0x1235")) == "3")
    }

    @Test func prerequisitesFollowTheHeaders() throws {
        func check(_ flow: String) throws(FlowModError) {
            let change = try! Rig.modification(flow)
            try ActionValidation.check(change.actions, match: change.match, table: 0)
        }
        try check("ip,actions=encap(nsh),set_field:5->nsh_si,encap(ethernet),set_field:02:00:00:00:00:09->eth_dst,output:2")
        try check("ip,actions=decap(),set_field:1.1.1.1->nw_dst")
        #expect(throws: FlowModError.self) { try check("ip,actions=encap(nsh),set_field:1.1.1.1->nw_dst") }
        #expect(throws: FlowModError.self) { try check("ip,actions=dec_nsh_ttl") }
    }
}

extension String {
    fileprivate func replacing(_ part: String, with other: String) -> String {
        guard let start = indices.first(where: { self[$0...].hasPrefix(part) }) else { return self }
        return String(self[..<start]) + other + self[index(start, offsetBy: part.count)...]
    }
}
