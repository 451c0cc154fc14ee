"""`other_config:hw-offload`: flows in the hardware that dummy ports play, as the field's commands show them; and who has none says so."""
import re

import pytest

from Harness.packets import read_pcap

pytestmark = pytest.mark.apus

UDP = ("in_port(1),eth(src=50:54:00:00:00:09,dst=50:54:00:00:00:0a),eth_type(0x0800),"
       "ipv4(src=192.168.0.1,dst=192.168.0.2,proto=17,tos=0,ttl=64,frag=no),udp(src=1,dst=2)")


def test_flows_in_hardware(suite, folder):
    suite.bridge()
    for number in (1, 2):
        suite.vsctl("add-port", "br0", f"p{number}", "--", "set", "Interface", f"p{number}", "type=dummy", f"ofport_request={number}",
                    "options:hw-flows=true", f"options:tx_pcap={folder}/p{number}.pcap")
    stats = suite.appctl("dpctl/offload-stats-show", check=False)
    assert stats.returncode == 2 and "retrieving offload statistics (Invalid argument)" in stats.stderr
    suite.vsctl("set", "Open_vSwitch", ".", "other_config:hw-offload=true")
    assert suite.vsctl("get", "Interface", "p1", "status:hw_offload").strip().strip('"') == "yes"
    assert "no: a dummy plays hardware" in suite.vsctl("get", "Interface", "br0", "status:hw_offload")
    suite.ofctl("add-flow", "br0", "in_port=1,udp,tp_dst=2,actions=output:2")

    def sent():
        return len(read_pcap(f"{folder}/p2.pcap"))

    def counted():
        return int(re.search(r"n_packets=(\d+)", suite.ofctl("dump-flows", "br0", "udp"))[1])

    suite.appctl("netdev-dummy/receive", "p1", UDP)
    suite.appctl("revalidator/wait")
    flows = suite.appctl("dpctl/dump-flows", "-m", "type=offloaded")
    assert "offloaded:yes, dp:dpdk" in flows and flows.count("\n") >= 1, flows
    assert suite.appctl("dpctl/dump-flows", "-m", "type=dpdk") == flows
    assert "actions" not in suite.appctl("dpctl/dump-flows", "type=non-offloaded")
    assert re.search(r"Inserted offloads: +1\n", suite.appctl("dpctl/offload-stats-show"))
    # the hardware's packets leave, and are counted, without the datapath
    for _ in range(3):
        suite.appctl("netdev-dummy/receive", "p1", UDP)
    assert sent() == 4 and counted() == 4
    # what ovs-ofctl has acknowledged holds for the next packet
    suite.ofctl("mod-flows", "br0", "udp,actions=drop")
    suite.appctl("netdev-dummy/receive", "p1", UDP)
    assert sent() == 4 and counted() == 5
    suite.appctl("revalidator/wait")
    assert "offloaded:yes" in suite.appctl("dpctl/dump-flows", "-m")
    suite.appctl("netdev-dummy/receive", "p1", UDP)
    assert counted() == 6
    suite.vsctl("set", "Open_vSwitch", ".", "other_config:hw-offload=false")
    suite.ofctl("mod-flows", "br0", "udp,actions=output:2")
    suite.appctl("netdev-dummy/receive", "p1", UDP)
    assert sent() == 5 and suite.appctl("dpctl/dump-flows", "type=offloaded") == ""


def test_who_has_no_hardware_says_so(bridge):
    bridge.set_other_config({"hw-offload": "true"})
    try:
        bridge.add_null_sink("n1", 1)
        bridge.add_port("v1", "dpdkvhostuser", ofport=2)
        assert bridge.interface("n1")["status"]["hw_offload"] == "no: the driver net_null has no rte_flow"
        assert bridge.interface("v1")["status"]["hw_offload"] == "no: a port of type dpdkvhostuser has no hardware"
    finally:
        bridge.set_other_config({"hw-offload": "false"})
