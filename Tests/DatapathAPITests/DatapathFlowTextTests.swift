// A flow shown in full.

import DatapathAPI
import Flow
import Testing

@Suite struct DatapathFlowTextTests {
    private var packet: FlowKey {
        let match = try! FlowText.parseMatch(
            "icmp,nw_src=10.0.0.2,nw_dst=10.0.0.1,nw_ttl=64,icmp_type=8,dl_src=02:00:00:00:00:09,dl_dst=02:00:00:00:00:0a")
        var key = match.key
        key[.datapathInPort] = 3
        return key
    }

    @Test func everythingOfAPacket() {
        #expect(
            DatapathText.format(packet: packet)
                == "recirc_id(0),dp_hash(0),skb_priority(0),in_port(3),skb_mark(0),ct_state(0),ct_zone(0),ct_mark(0),ct_label(0),"
                + "packet_type(ns=0,id=0),eth(src=02:00:00:00:00:09,dst=02:00:00:00:00:0a),eth_type(0x0800),"
                + "ipv4(src=10.0.0.2,dst=10.0.0.1,proto=1,tos=0,ttl=64,frag=no),icmp(type=8,code=0)")
    }

    @Test func everythingOfAFlow() {
        var match = Match(key: packet, mask: .structural)
        match.set(.nwDst, 0x0a00_0000, mask: 0xff00_0000)
        #expect(
            DatapathText.format(match, packet: packet)
                == "recirc_id(0),in_port(3),packet_type(ns=0,id=0),eth_type(0x0800),ipv4(dst=10.0.0.1/255.0.0.0,frag=no)")
        #expect(
            DatapathText.format(match, packet: packet, showsAll: true)
                == "recirc_id(0),dp_hash(0/0),skb_priority(0/0),in_port(3),skb_mark(0/0),ct_state(0/0),ct_zone(0/0),ct_mark(0/0),"
                + "ct_label(0/0),packet_type(ns=0,id=0),eth(src=02:00:00:00:00:09/00:00:00:00:00:00,"
                + "dst=02:00:00:00:00:0a/00:00:00:00:00:00),eth_type(0x0800),"
                + "ipv4(src=10.0.0.2/0.0.0.0,dst=10.0.0.1/255.0.0.0,proto=1/0,tos=0/0,ttl=64/0,frag=no),icmp(type=8/0,code=0/0)")
    }

    @Test func labelsAreShownWithTheirMasksWhereNotAllCounts() {
        var key = FlowKey()
        key[.datapathInPort] = 1
        key[.ethType] = 0x8847
        key.store(1, at: FlowOffset.mplsCount, count: 1)
        key.store(0x0000_b740, at: FlowOffset.mplsLSE0, count: 4)
        var match = Match(key: key, mask: .structural)
        match.mask.bits.store(0x100, at: FlowOffset.mplsLSE0, count: 4)
        #expect(DatapathText.format(match, packet: key).hasSuffix(",mpls(label=11/0x0,tc=3/0,ttl=64/0x0,bos=1/1)"))
        match.mask.bits.store(0xffff_ffff, at: FlowOffset.mplsLSE0, count: 4)
        #expect(DatapathText.format(match, packet: key).hasSuffix(",mpls(label=11,tc=3,ttl=64,bos=1)"))
    }

    @Test func masksOfAddressesAreWrittenOut() throws {
        var match = try FlowText.parseMatch("ipv6,ipv6_src=2001:db8::/32")
        match.set(.datapathInPort, 1)
        match.set(.ipFrag, 0)
        #expect(DatapathText.format(match).hasSuffix("ipv6(src=2001:db8::/ffff:ffff::,frag=no)"))
    }

    @Test func aChangedTagKeepsItsType() {
        var key = FlowKey()
        key[.ethType] = 0x0800
        key.store(0x1005, at: FlowOffset.vlanTCI, count: 2)
        key.store(0x88a8, at: FlowOffset.vlanTPID, count: 2)
        let change: [DatapathAction] = [.set(.vlanTCI, value: 7, mask: 0xefff)]
        #expect(DatapathText.format(change, of: key) == "pop_vlan,push_vlan(tpid=0x88a8,vid=7,pcp=0)")
    }

    @Test func identifiersTellMatchesApart() {
        func flow(_ match: Match) -> MegaflowSnapshot {
            MegaflowSnapshot(match: match, actions: [], packets: 0, bytes: 0, lastUsed: nil, tcpFlags: 0)
        }
        var one = Match()
        one.set(.nwDst, 1)
        var other = Match()
        other.set(.nwDst, 1, mask: 0xffff)
        #expect(flow(one).identifier == flow(one).identifier)
        #expect(flow(one).identifier != flow(other).identifier)
        #expect(flow(one).identifier.count == 36)
    }
}
