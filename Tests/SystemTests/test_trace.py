"""ofproto/trace: the field's text, line by line. The expected texts were seen from Open vSwitch 3.1."""
import pytest

from Harness.dummy import Suite

pytestmark = pytest.mark.apus

UDP = "in_port=1,dl_src=50:54:00:00:00:05,dl_dst=50:54:00:00:00:07,udp,nw_src=192.168.0.1,nw_dst=192.168.0.2,nw_ttl=64,udp_src=8,udp_dst=80"
UDP_FLOW = ("udp,in_port=1,vlan_tci=0x0000,dl_src=50:54:00:00:00:05,dl_dst=50:54:00:00:00:07,nw_src=192.168.0.1,nw_dst=192.168.0.2,"
            "nw_tos=0,nw_ecn=0,nw_ttl=64,nw_frag=no,tp_src=8,tp_dst=80")
MPLS = "in_port=1,dl_src=50:54:00:00:00:05,dl_dst=50:54:00:00:00:07,dl_type=0x8847,mpls_label=100,mpls_tc=2,mpls_ttl=64,mpls_bos=1"
TCP6 = "in_port=1,tcp6,ipv6_src=fe80::1,ipv6_dst=fe80::2,nw_ttl=64,tp_src=8,tp_dst=80"

TAILS = [
    ("ip,actions=mod_nw_src:1.2.3.4,mod_nw_dst:5.6.7.8,2", UDP,
     "eth,udp,in_port=1,nw_src=192.168.0.1,nw_dst=192.168.0.2,nw_frag=no", "set(ipv4(src=1.2.3.4,dst=5.6.7.8)),2"),
    ("ip,actions=mod_nw_tos:0x20,2", UDP, "eth,ip,in_port=1,nw_tos=0,nw_frag=no", "set(ipv4(tos=0x20/0xfc)),2"),
    ("ip,actions=dec_ttl,2", UDP, "eth,udp,in_port=1,nw_ttl=64,nw_frag=no", "set(ipv4(ttl=63)),2"),
    ("ipv6,actions=dec_ttl,2", TCP6, "eth,tcp6,in_port=1,nw_ttl=64,nw_frag=no", "set(ipv6(hlimit=63)),2"),
    ("udp,actions=mod_tp_src:99,mod_tp_dst:98,2", UDP, "eth,udp,in_port=1,nw_frag=no,tp_src=8,tp_dst=80", "set(udp(src=99,dst=98)),2"),
    ("actions=mod_dl_src:00:11:22:33:44:55,mod_dl_dst:00:11:22:33:44:66,2", UDP,
     "eth,ip,in_port=1,dl_src=50:54:00:00:00:05,dl_dst=50:54:00:00:00:07,nw_frag=no",
     "set(eth(src=00:11:22:33:44:55,dst=00:11:22:33:44:66)),2"),
    ("actions=mod_vlan_vid:10,2", UDP.replace("udp,", "dl_vlan=9,dl_vlan_pcp=3,udp,"),
     "eth,ip,in_port=1,dl_vlan=9,dl_vlan_pcp=3,nw_frag=no", "pop_vlan,push_vlan(vid=10,pcp=3),2"),
    ("mpls,actions=dec_mpls_ttl,2", MPLS, "eth,mpls,in_port=1,mpls_ttl=64", "set(mpls(label=100,tc=2,ttl=63,bos=1)),2"),
    ("actions=controller(max_len=100)", UDP, "eth,ip,in_port=1,nw_frag=no",
     "userspace(pid=0,controller(reason=1,dont_send=1,continuation=0,recirc_id=1,rule_cookie=0,controller_id=0,max_len=100))"),
]


@pytest.fixture(scope="module")
def suite():
    import shutil
    import tempfile
    folder = tempfile.mkdtemp(prefix="at", dir="/tmp")
    suite = Suite(folder)
    try:
        assert suite.started.returncode == 0, suite.started.stderr
        suite.bridge(1, 2, 3)
        yield suite
    finally:
        suite.stop()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.mark.parametrize("flow, packet, megaflow, actions", TAILS)
def test_megaflow_and_actions(suite, flow, packet, megaflow, actions):
    suite.ofctl("del-flows", "br0")
    suite.ofctl("add-flow", "br0", flow)
    lines = suite.appctl("ofproto/trace", "br0", packet).splitlines()
    # Masks of tables that are gone may linger for a moment, so only the tail is compared here.
    assert lines[-1] == f"Datapath actions: {actions}"
    shown = set(lines[-2].removeprefix("Megaflow: ").split(","))
    assert shown >= set(megaflow.split(",")) - {"ip"}, lines[-2]


def test_tree(suite):
    suite.ofctl("del-flows", "br0")
    for flow in ("in_port=1,actions=resubmit(,1),resubmit(,2),1,77,3", "table=1,actions=2", "table=2,cookie=0x5,priority=5,actions=load:5->NXM_NX_REG0[]"):
        suite.ofctl("add-flow", "br0", flow)
    assert suite.appctl("ofproto/trace", "br0", UDP + ",metadata=9") .startswith(f"""Flow: {UDP_FLOW.replace("udp,", "udp,metadata=0x9,")}

bridge("br0")
-------------
 0. in_port=1, priority 32768
    resubmit(,1)
     1. priority 32768
            output:2
    resubmit(,2)
     2. priority 5, cookie 0x5
            load:0x5->NXM_NX_REG0[]
    output:1
     >> skipping output to input port
    output:77
     >> Nonexistent output port
    output:3

Final flow: {UDP_FLOW.replace("udp,", "udp,reg0=0x5,metadata=0x9,")}
Megaflow: """)


def test_endless_resubmit(suite):
    suite.ofctl("del-flows", "br0")
    suite.ofctl("add-flow", "br0", "actions=resubmit(1,),resubmit(2,),3")
    text = suite.appctl("ofproto/trace", "br0", UDP)
    assert " >>>> over max translation depth 64 <<<<\n" in text
    assert text.endswith("Datapath actions: drop\nTranslation failed (Recursion too deep), packet is dropped.\n")


def test_ways_to_say_the_packet(suite):
    suite.ofctl("del-flows", "br0")
    suite.ofctl("add-flow", "br0", "in_port=2,actions=NORMAL")
    packet = "50540000000a505400000009080045000028000000004006f97cc0a80001c0a800020008005000000000000000005002000000000000"
    text = suite.appctl("ofproto/trace", "br0", "in_port=2", packet)
    assert text.startswith("Flow: tcp,in_port=2,") and "nw_dst=192.168.0.2,nw_tos=0,nw_ecn=0,nw_ttl=64" in text
    assert "50:54:00:00:00:09" in suite.appctl("fdb/show", "br0"), "a packet that is there teaches"
    flow = ("in_port(2),eth(src=50:54:00:00:00:0a,dst=50:54:00:00:00:09),eth_type(0x0800),"
            "ipv4(src=192.168.0.2,dst=192.168.0.1,proto=17,tos=0,ttl=64,frag=no),udp(src=1,dst=2)")
    for words in ([flow], ["ovs-dummy", flow], ["dummy@ovs-dummy", flow]):
        text = suite.appctl("ofproto/trace", *words)
        assert 'bridge("br0")' in text and "learned port is input port, dropping" in text
    assert "50:54:00:00:00:0a" not in suite.appctl("fdb/show", "br0")
    suite.appctl("ofproto/trace", flow, "-generate")
    assert "50:54:00:00:00:0a" in suite.appctl("fdb/show", "br0")
    text = suite.appctl("ofproto/trace-packet-out", "br0", "in_port=1,tcp,nw_ttl=9", "mod_nw_ttl:3,2,resubmit(2,0)")
    assert "    mod_nw_ttl:3\n    output:2\n    resubmit(2,0)\n 0. in_port=2, priority 32768\n    NORMAL\n" in text
    assert "Datapath actions: set(ipv4(ttl=3)),2," in text


def test_names(suite):
    suite.ofctl("del-flows", "br0")
    text = suite.appctl("ofproto/trace", "br0", "in_port=1,dl_type=0x9999", "--names")
    assert "in_port=p1," in text and "in_port=1" not in text
    suite.ofctl("add-flow", "br0", "dl_type=0x9999,actions=output:2")
    text = suite.appctl("ofproto/trace", "br0", "in_port=1,dl_type=0x9999", "--names")
    assert text.endswith("Datapath actions: p2\n") and "\n    output:p2\n" in text
    suite.ofctl("--strict", "del-flows", "br0", "dl_type=0x9999")


def test_the_limit_of_tags(suite):
    """By default one tag is looked at, and what it is followed by is the packet's type, whatever that is."""
    flow = "in_port(1),eth(src=50:54:00:00:00:05,dst=50:54:00:00:00:07),eth_type(0x8100),vlan(vid=16,pcp=0)," \
           "encap(eth_type(0x8100),vlan(vid=17,pcp=0),encap(eth_type(0xabcd)))"
    for added in ("dl_type=0x8100,actions=output:2", "dl_type=0xabcd,actions=output:3"):
        suite.ofctl("add-flow", "br0", "priority=50000," + added)
    for limit, port in ((None, 2), ("2", 3), ("1", 2), ("0", 3)):
        if limit:
            suite.vsctl("set", "Open_vSwitch", ".", f"other_config:vlan-limit={limit}")
        assert suite.appctl("ofproto/trace", flow).endswith(f"Datapath actions: {port}\n"), limit
    suite.vsctl("remove", "Open_vSwitch", ".", "other_config", "vlan-limit")
    suite.ofctl("del-flows", "br0", "dl_type=0x8100")
    suite.ofctl("del-flows", "br0", "dl_type=0xabcd")


def test_errors(suite):
    for words, error in (
            (["br0"], "syntax error at br0 (or the bridge name was omitted)"),
            (["nobr", "in_port=1"], "nobr: unknown bridge"),
            (["br0", "in_port=1", "-x"], "-x: unknown option"),
            (["br0", "in_port=1", "zz"], "Trailing garbage in packet data"),
            (["in_port(77),eth_type(0x0800)"], "no OpenFlow port for datapath port 77"),
            (["br0", "in_port=1", "--ct-next", "foo"], "foo: unknown connection tracking state flag"),
            (["br0", "in_port=1", "1", "2", "3"], "too many arguments")):
        done = suite.appctl("ofproto/trace", *words, check=False)
        assert done.returncode == 2 and done.stderr.splitlines()[0] == error, (words, done.stderr)
