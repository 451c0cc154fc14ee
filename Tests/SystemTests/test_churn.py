"""Flow tables that change under traffic: what is acknowledged holds, and the cache lives through changes of other flows."""
import re
import time

import pytest

from Harness.packets import udp_frame, write_pcap
from Harness.process import wait_until


@pytest.fixture
def replay(bridge, folder):
    """The bridge with 512 flows that come in by port 1 for ever, and port 2 that swallows."""
    capture = f"{folder}/flows.pcap"
    write_pcap(capture, [udp_frame(src_port=1024 + n, dst_port=n % 16 + 1) for n in range(512)])
    bridge.add_null_sink("sink", 2)
    bridge.add_pcap_source("source", 1, capture)
    return bridge


def received(bridge):
    return bridge.port_stats()["1"]["rx_packets"]


def wait_for_packets(bridge, count=2000):
    before = received(bridge)
    wait_until(lambda: received(bridge) >= before + count, 20, lambda: str(bridge.port_stats()))


def upcalls(bridge):
    text = bridge.appctl("dpif-netdev/pmd-stats-show")
    return sum(int(count) for count in re.findall(r"miss with success upcall: (\d+)", text))


def upcalls_when_all_is_cached(bridge):
    """The number of upcalls once the traffic makes no more: some may have waited for another thread."""
    for _ in range(50):
        before = upcalls(bridge)
        wait_for_packets(bridge, 5000)
        if upcalls(bridge) == before:
            return before
    raise AssertionError(bridge.appctl("dpif-netdev/pmd-stats-show"))


@pytest.mark.apus
def test_a_change_holds_under_traffic(replay):
    """Each packet that comes after the reply meets the new flows, with 512 cached decisions in use and others changing."""
    replay.ofctl("add-flow", "priority=1,actions=drop")
    for number in range(1, 6):
        others = "\n".join(f"priority=5,udp,nw_src=10.{number}.{n}.0/24,tp_dst={n + 100},actions=drop" for n in range(50))
        replay.ofctl("add-flow", f"priority={10 * number},udp,in_port=1,tp_dst={number},actions=output:2")
        wait_for_packets(replay)
        replay.ofctl("add-flows", "-", stdin=others)
        assert replay.port_stats()["2"]["tx_packets"] > 0
        replay.ofctl("add-flow", f"priority={10 * number},udp,in_port=1,tp_dst={number},actions=drop")
        # What was received before the reply may still be on its way for a burst.
        wait_for_packets(replay, 200)
        sent = replay.port_stats()["2"]["tx_packets"]
        wait_for_packets(replay)
        assert replay.port_stats()["2"]["tx_packets"] == sent


@pytest.mark.apus
def test_changes_of_other_flows_leave_cached_decisions_alone(replay):
    """Flows that no packet of the traffic can match are added and removed: no decision is taken again for them."""
    replay.ofctl("add-flow", "priority=10,udp,nw_dst=0.0.0.0/0,tp_src=0/0,actions=output:2")
    replay.ofctl("add-flow", "priority=9,udp,tp_dst=9999,actions=drop")
    before = upcalls_when_all_is_cached(replay)
    replay.ofctl("add-flows", "-", stdin="\n".join(f"priority=20,tcp,tp_dst={n + 1},actions=drop" for n in range(500)))
    replay.ofctl("del-flows", "tcp")
    wait_for_packets(replay, 5000)
    assert upcalls(replay) - before <= 64, replay.appctl("dpif-netdev/pmd-stats-show")


@pytest.mark.apus
def test_a_change_of_one_flow_concerns_one_decision(replay):
    """Each of 512 flows of the traffic has a rule and a cached decision of its own: changing one takes one decision again."""
    replay.ofctl("add-flows", "-", stdin="\n".join(f"priority=10,udp,in_port=1,tp_src={1024 + n},actions=output:2" for n in range(512)))
    before = upcalls_when_all_is_cached(replay)
    for n in range(10):
        replay.ofctl("add-flow", f"priority=10,udp,in_port=1,tp_src={1024 + n},actions=drop")
        wait_for_packets(replay, 1000)
    assert 10 <= upcalls(replay) - before <= 64, replay.appctl("dpif-netdev/pmd-stats-show")
