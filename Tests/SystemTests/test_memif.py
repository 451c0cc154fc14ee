"""memif and ring ports: packets through shared memory, to containers and to processes on the same machine.

Both are devices of DPDK's (options:dpdk-devargs). One side of a memif listens (role=server), the other connects; where the one that
connects says zero-copy=yes, its own packet buffers are what is shared.
"""
import pytest

from Harness.packets import udp_frame, write_pcap
from Harness.process import wait_until

pytestmark = pytest.mark.apus


def memif(number, role, path, more=""):
    return f"net_memif{number},role={role},id=0,socket={path},socket-abstract=no{more}"


@pytest.mark.parametrize("copy", ["copied", "zero-copy"])
def test_a_process_that_comes_and_goes(bridge, folder, testpmd, copy):
    """The switch listens; a process connects, hears its packets back, is killed, and another takes its place."""
    path = f"{folder}/memif"
    bridge.add_port("m1", "dpdk", ofport=1, dpdk_devargs=memif(0, "server", path))
    assert bridge.interface("m1")["error"] == [] or not bridge.interface("m1")["error"], bridge.interface("m1")["error"]
    bridge.ofctl("add-flow", "in_port=1,actions=in_port")
    device = memif(1, "client", path, ",zero-copy=yes" if copy == "zero-copy" else "")
    for _ in range(2):
        guest = testpmd([], "flowgen", devices=[device])
        guest.wait_traffic("rx", 2000)
        bridge.wait_link("m1")
        guest.kill()
        bridge.wait_link("m1", up=False)
    assert bridge.interface("m1")["status"]["driver_name"] == "net_memif"


@pytest.mark.parametrize("copy", ["copied", "zero-copy"])
def test_two_daemons(make_switch, folder, copy):
    """One Apus hands its packets to another; each is accounted for on both sides."""
    count = 20000
    write_pcap(f"{folder}/in.pcap", [udp_frame(src_port=1 + n % 5000, size=64 + n % 1200) for n in range(count)])
    # shared buffers have to be in files that are few
    extra = {"dpdk-extra": "--no-pci --single-file-segments"}
    one = make_switch(other_config={"pmd-cpu-mask": "0x2", **extra})
    other = make_switch(other_config={"pmd-cpu-mask": "0x1", **extra})
    path = f"{folder}/memif"
    for switch in (one, other):
        switch.add_bridge(secure=True)
        switch.ofctl("add-flow", "in_port=1,actions=output:2")
    other.add_port("m1", "dpdk", ofport=1, dpdk_devargs=memif(0, "server", path))
    other.add_port("sink", "dpdk", ofport=2, dpdk_devargs="net_null2,no-rx=1")
    one.add_port("m2", "dpdk", ofport=2, dpdk_devargs=memif(0, "client", path, ",zero-copy=yes" if copy == "zero-copy" else ""))
    one.wait_link("m2")
    other.wait_link("m1")
    one.add_port("source", "dpdk", ofport=1, dpdk_devargs=f"net_pcap1,rx_pcap={folder}/in.pcap")

    def balance():
        here, there = one.port_stats(), other.port_stats()
        return (here["1"]["rx_packets"], here["2"]["tx_packets"], here["1"]["rx_drop"] + here["2"]["tx_drop"],
                there["1"]["rx_packets"], there["2"]["tx_packets"], there["1"]["rx_drop"] + there["2"]["tx_drop"])
    wait_until(lambda: (lambda b: b[0] == count == b[1] + b[2] and b[1] == b[3] == b[4] + b[5])(balance()), 30,
               lambda: f"received = sent + dropped, and sent here = received there: {balance()}")
    assert balance()[4] > 0


def test_a_ring_loops_back(bridge):
    """A ring of DPDK's: what is sent by the port comes back by it. Frames of a flood go round until their TTL is through."""
    bridge.add_port("r1", "dpdk", ofport=1, dpdk_devargs="net_ring0")
    assert bridge.interface("r1")["status"]["driver_name"] == "net_ring"
    bridge.ofctl("add-flow", "in_port=1,ip,actions=dec_ttl,in_port")
    frame = udp_frame(src_port=7)
    ttl = frame[22]
    bridge.ofctl("packet-out", f"in_port=local,packet={frame.hex()},actions=output:1", version="OpenFlow13")
    wait_until(lambda: bridge.flow_packets("in_port=1") >= ttl - 1, 20, lambda: bridge.ofctl("dump-flows"))
    wait_until(lambda: bridge.port_stats()["1"]["tx_packets"] >= ttl - 1, 10, lambda: str(bridge.port_stats()))
