import DatapathAPI
import Flow
import Testing

@Suite struct DatapathTextParseTests {
    @Test(arguments: [
        "recirc_id(0),in_port(1),packet_type(ns=0,id=0),eth(src=50:54:00:00:00:09,dst=50:54:00:00:00:0a),eth_type(0x0800),ipv4(src=10.0.0.0/255.0.0.0,dst=192.168.0.2,proto=6,tos=0,ttl=64,frag=no),tcp(src=8,dst=80)",
        "recirc_id(0x5),in_port(3),packet_type(ns=0,id=0),eth_type(0x86dd),ipv6(src=fe80::1,proto=17,frag=no),udp(dst=53)",
        "recirc_id(0),in_port(1),packet_type(ns=0,id=0),eth_type(0x8100),vlan(vid=9,pcp=3),encap(eth_type(0x0806),arp(sip=10.0.0.1,op=1))",
        "recirc_id(0),in_port(1),packet_type(ns=0,id=0),eth_type(0x8847),mpls(label=100,tc=7,ttl=64,bos=1)",
    ])
    func whatIsPrintedIsRead(text: String) throws {
        #expect(DatapathText.format(try DatapathText.parseMatch(text)) == text)
    }

    @Test func namesOfPortsAndNothingElse() throws {
        let match = try DatapathText.parseMatch("in_port(p1)") { $0 == "p1" ? DatapathPort(7) : nil }
        #expect(match.key[.datapathInPort] == 7)
        for text in ["zz", "in_port(p2)", "ipv4(foo=1)", "eth_type(0x0800", "in_port()", String(repeating: "encap(", count: 50)] {
            #expect(throws: DatapathTextError.self) { try DatapathText.parseMatch(text) }
        }
        let fault = #expect(throws: DatapathTextError.self) { try DatapathText.parseMatch("zz") }
        #expect(fault?.description == "syntax error at zz")
    }

    @Test func changesOfOneHeaderAreOneSet() {
        var key = FlowKey()
        key[.ethType] = 0x86dd
        let change: [DatapathAction] = [
            .set(.ethDst, value: 5, mask: 0xffff_ffff_ffff), .set(.ethSrc, value: 6, mask: 0xffff_ffff_ffff),
            .set(.nwTTL, value: 63, mask: 0xff), .set(.nwTOS, value: 4, mask: 0xfc), .output(DatapathPort(2)),
        ]
        #expect(
            DatapathText.format(change, of: key)
                == "set(eth(src=00:00:00:00:00:06,dst=00:00:00:00:00:05)),set(ipv6(tclass=0x4/0xfc,hlimit=63)),2")
        key[.ethType] = 0x0800
        let push: [DatapathAction] = [
            .pushMPLS(etherType: 0x8847, entry: 0x140), .set(.mplsLabel, value: 10, mask: 0xfffff), .output(DatapathPort(2)),
        ]
        #expect(DatapathText.format(push, of: key) == "push_mpls(label=10,tc=0,ttl=64,bos=1,eth_type=0x8847),2")
        #expect(DatapathText.format([], of: key) == "drop")
    }
}
