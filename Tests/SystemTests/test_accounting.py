"""Received = sent + dropped, to the packet, and each drop under a reason."""
import pathlib
import sys

import pytest

from Harness.packets import udp_frame, write_pcap
from Harness.process import wait_until

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "Bench"))
import workloads  # noqa: E402


def play(bridge, capture, count, seconds=60):
    """Opens a port on the capture, waits until all of it was received and is accounted for; returns (received, sent, dropped)."""
    bridge.add_port("source", "dpdk", ofport=1, dpdk_devargs=f"net_pcap1,rx_pcap={capture}")
    try:
        def balance():
            stats = bridge.port_stats()
            return stats["1"]["rx_packets"], stats["2"]["tx_packets"], stats["1"]["rx_drop"] + stats["2"]["tx_drop"]

        wait_until(lambda: balance()[0] == count and balance()[0] == balance()[1] + balance()[2], seconds,
                   lambda: f"{count} received = sent + dropped; now {balance()}", interval=0.1, alive=bridge.daemon)
        return balance()
    finally:
        bridge.vsctl("del-port", "source")


@pytest.mark.apus
@pytest.mark.parametrize("name", workloads.WORKLOADS)
def test_every_workload_to_the_packet(bridge, folder, name):
    """The comparison's workloads, their capture once, at full speed: all received is sent.

    Also where every packet brings a flow of its own: a port alone on its thread has no established traffic to protect from upcalls.
    """
    flows, rules = workloads.WORKLOADS[name]
    workloads.write_pcap(f"{folder}/in.pcap", flows, seed=3)
    count = flows * max(1, 4096 // flows)
    bridge.add_port("sink", "dpdk", ofport=2, dpdk_devargs="net_null2,no-rx=1")
    bridge.ofctl("--bundle", "add-flows", "-", version="OpenFlow14", stdin="\n".join(rules(3)) + "\n", timeout=120)
    received, sent, dropped = play(bridge, f"{folder}/in.pcap", count)
    assert (received, sent, dropped) == (count, count, 0)
    assert bridge.flow_packets("in_port=1") == count if name == "forward-1" else True


@pytest.mark.apus
def test_drops_have_reasons(bridge, folder):
    """Half the packets meet a drop rule, the others leave: each half is found again in flows and in ports."""
    count = 20000
    write_pcap(f"{folder}/in.pcap", [udp_frame(src_port=1 + n % 1000, dst_port=1 + n % 2) for n in range(count)])
    bridge.add_port("sink", "dpdk", ofport=2, dpdk_devargs="net_null2,no-rx=1")
    bridge.ofctl("add-flow", "priority=10,udp,in_port=1,tp_dst=1,actions=drop")
    bridge.ofctl("add-flow", "priority=10,udp,in_port=1,tp_dst=2,actions=output:2")
    bridge.add_port("source", "dpdk", ofport=1, dpdk_devargs=f"net_pcap1,rx_pcap={folder}/in.pcap")
    wait_until(lambda: bridge.port_stats()["1"]["rx_packets"] == count, 20, lambda: f"all received: {bridge.port_stats()}")
    wait_until(lambda: bridge.port_stats()["2"]["tx_packets"] == count // 2, 10, lambda: f"half sent: {bridge.port_stats()}")
    for port in (1, 2):
        wait_until(lambda: bridge.flow_packets(f"udp,tp_dst={port}") == count // 2, 10, lambda: bridge.ofctl("dump-flows"))
    statistics = None

    def reasons():
        nonlocal statistics
        statistics = bridge.statistics("source")
        return statistics.get("rx_packets") == count
    wait_until(reasons, 15, lambda: f"the database's statistics: {statistics}")
    assert statistics["rx_packets"] == statistics["rx_dropped"] + count // 2 or \
        sum(value for key, value in statistics.items() if "drop" in key and key not in ("rx_dropped", "tx_dropped")) == count // 2, statistics


@pytest.mark.apus
def test_counters_survive_changes_of_flows(bridge, cable):
    """Flow counters follow the flow, not the cache: a hundred changes of other flows lose no packet of this one."""
    bridge.add_port("sink", "dpdk", ofport=2, dpdk_devargs="net_null2,no-rx=1")
    bridge.add_port("source", "dpdk", ofport=1, dpdk_devargs=f"net_af_packet1,iface={cable.device}")
    bridge.ofctl("add-flow", "priority=10,udp,in_port=1,actions=output:2")
    for number in range(20):
        cable.send([udp_frame(src_port=n) for n in range(1, 51)])
        bridge.ofctl("add-flow", f"priority=5,tcp,tp_dst={number},actions=drop")
    wait_until(lambda: bridge.flow_packets("udp") == 1000, 10, lambda: bridge.ofctl("dump-flows", "udp"))
    wait_until(lambda: bridge.port_stats()["2"]["tx_packets"] == 1000, 10, lambda: str(bridge.port_stats()))


@pytest.mark.apus
def test_a_change_holds_when_it_is_acknowledged(bridge, cable, folder):
    """After ovs-ofctl returns (it waits for a barrier), not one packet more meets the old flow."""
    bridge.add_port("sink", "dpdk", ofport=2, dpdk_devargs="net_null2,no-rx=1")
    bridge.add_port("source", "dpdk", ofport=1, dpdk_devargs=f"net_af_packet1,iface={cable.device}")
    for number in range(10):
        bridge.ofctl("add-flow", "priority=10,udp,in_port=1,actions=output:2")
        cable.send([udp_frame(src_port=n) for n in range(1, 51)])
        wait_until(lambda: bridge.port_stats()["2"]["tx_packets"] == 50 * (number + 1), 10, lambda: str(bridge.port_stats()))
        bridge.ofctl("add-flow", "priority=10,udp,in_port=1,actions=drop")
        before = bridge.port_stats()["1"]["rx_packets"]
        cable.send([udp_frame(src_port=n) for n in range(1, 51)])
        wait_until(lambda: bridge.port_stats()["1"]["rx_packets"] == before + 50, 10, lambda: str(bridge.port_stats()))
        assert bridge.port_stats()["2"]["tx_packets"] == 50 * (number + 1)
