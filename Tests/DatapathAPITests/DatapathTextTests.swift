import Base
import DatapathAPI
import Flow
import Testing

@Suite struct DatapathTextTests {
    @Test func megaflowLine() throws {
        var match = try FlowText.parseMatch("ip,nw_dst=11.0.0.0/12,ip_frag=no")
        match.set(.datapathInPort, 2)
        match.set(.recircID, 0)
        var flow = MegaflowSnapshot(
            match: match, actions: [.output(DatapathPort(3))], packets: 3, bytes: 180, lastUsed: Instant(nanoseconds: 5_000_000_000),
            tcpFlags: 0)
        #expect(
            DatapathText.format(flow, now: Instant(nanoseconds: 5_100_000_000))
                == "recirc_id(0),in_port(2),packet_type(ns=0,id=0),eth_type(0x0800),ipv4(dst=11.0.0.0/255.240.0.0,frag=no), packets:3, bytes:180, used:0.100s, actions:3"
        )
        flow.lastUsed = nil
        flow.actions = []
        flow.tcpFlags = 0x12
        #expect(
            DatapathText.format(flow, now: Instant(nanoseconds: 0)).hasSuffix("packets:3, bytes:180, used:never, flags:S., actions:drop"))
    }

    @Test func taggedMatch() throws {
        var match = try FlowText.parseMatch("tcp,dl_vlan=5,dl_src=00:00:00:00:00:01,tp_dst=80,nw_tos=16,tcp_flags=+syn")
        match.set(.datapathInPort, 1)
        match.set(.ipFrag, 0)
        #expect(
            DatapathText.format(match, portName: { $0.rawValue == 1 ? "vm1" : nil })
                == "recirc_id(0),in_port(vm1),packet_type(ns=0,id=0),eth(src=00:00:00:00:00:01),eth_type(0x8100),vlan(vid=5),encap(eth_type(0x0800),ipv4(proto=6,tos=0x10/0xfc,frag=no),tcp(dst=80),tcp_flags(+syn))"
        )
    }

    @Test func actions() {
        let actions: [DatapathAction] = [
            .set(.ethDst, value: 5, mask: 0xffff_ffff_ffff), .pushVLAN(tpid: 0x8100, tci: 0x6005), .popVLAN,
            .set(.nwDst, value: 0x0a00_0001, mask: 0xffff_ffff),
            .set(.tcpDst, value: 80, mask: 0xffff), .truncate(maxLength: 100), .clone([.output(DatapathPort(1))]), .recirculate(3),
            .meter(2),
            .pushMPLS(etherType: 0x8847, entry: 0x0000_5140), .popMPLS(etherType: 0x800), .punt(PuntToken(rawValue: 7), maxLength: 128),
            .output(DatapathPort(2)),
        ]
        #expect(
            DatapathText.format(actions)
                == "set(eth(dst=00:00:00:00:00:05)),push_vlan(vid=5,pcp=3),pop_vlan,set(ipv4(dst=10.0.0.1)),set(tcp(dst=80)),trunc(100),clone(1),recirc(0x3),meter(2),"
                + "push_mpls(label=5,tc=0,ttl=64,bos=1,eth_type=0x8847),pop_mpls(eth_type=0x800),userspace(pid=0,controller(id=7,max_len=128)),2"
        )
        #expect(DatapathText.format([.drop(.policy)]) == "drop")
    }
}
