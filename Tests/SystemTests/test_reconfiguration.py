"""Reconfiguration under load: what is not touched loses nothing, and what moves is not opened anew.

Numbered frames go at a steady pace through pairs of ports that stay as they are (kernel interfaces, and DPDK devices polled by PMD
threads), while everything around them changes; at the other end every number must have come, once.
"""
import itertools
import os
import socket
import threading
import time

import pytest

from Harness.netns import Cable
from Harness.packets import udp_frame
from Harness.process import wait_until

pytestmark = pytest.mark.apus


class Stream:
    """Numbered frames from one cable to another, and what became of them."""

    def __init__(self, number, source, sink, pace=2000):
        self.source, self.sink = source, sink
        self.frame = bytearray(udp_frame(src_port=5000 + number, dst_port=6000 + number) + bytes(16))
        self.sent = 0
        self.seen = bytearray()
        self.duplicates = 0
        self.pause = 10 / pace
        self.stopping = threading.Event()
        self.receiver = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
        self.receiver.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8 << 20)
        self.receiver.bind((sink.end, 0))
        self.receiver.settimeout(0.1)
        self.threads = [threading.Thread(target=self.send), threading.Thread(target=self.receive)]

    def start(self):
        for thread in self.threads:
            thread.start()

    def send(self):
        # Late rounds are made up for by no burst: the pace is what the kernel's rings can hold for a second.
        while not self.stopping.is_set():
            for _ in range(10):
                self.frame[-4:] = self.sent.to_bytes(4, "big")
                self.source.socket.send(self.frame)
                self.sent += 1
            time.sleep(self.pause)

    def receive(self):
        while True:
            try:
                data, address = self.receiver.recvfrom(2048)
            except TimeoutError:
                if self.stopping.is_set() and not self.threads[0].is_alive():
                    return
                continue
            if address[2] == socket.PACKET_OUTGOING or data[:14] != self.frame[:14] or data[34:38] != self.frame[34:38]:
                continue
            number = int.from_bytes(data[-4:], "big")
            if number >= len(self.seen):
                self.seen.extend(bytes(number + 1 - len(self.seen)))
            self.duplicates += self.seen[number]
            self.seen[number] = 1

    def stop(self):
        self.stopping.set()
        for thread in self.threads:
            thread.join()
        self.receiver.close()

    def missing(self):
        return [number for number in range(self.sent) if number >= len(self.seen) or not self.seen[number]]


@pytest.fixture
def cables():
    made = [Cable() for _ in range(6)]
    yield made
    for cable in made:
        cable.remove()


def test_nothing_is_lost_by_what_is_not_touched(bridge, cables):
    """Ports, queues, VLANs, mirrors, flows, policers, bridges and PMD masks change all the time beside two streams."""
    cpus = sorted(os.sched_getaffinity(0))
    masks = [hex(1 << cpu) for cpu in cpus[:2]] + [hex(sum(1 << cpu for cpu in cpus[:2]))]
    for index, cable in enumerate(cables[:2]):
        bridge.vsctl("add-port", "br0", cable.device, "--", "set", "Interface", cable.device, f"ofport_request={index + 1}")
    for index, cable in enumerate(cables[2:4]):
        bridge.add_port(f"d{index}", "dpdk", ofport=index + 3, dpdk_devargs=f"net_af_packet{index},iface={cable.device}")
    for source, sink in ((1, 2), (3, 4)):
        bridge.ofctl("add-flow", f"priority=100,in_port={source},actions=output:{sink}")
    streams = [Stream(0, cables[0], cables[1]), Stream(1, cables[2], cables[3])]
    for stream in streams:
        stream.start()
    try:
        wait_until(lambda: all(len(stream.seen) > 100 for stream in streams), 10, "both streams pass")
        end = time.monotonic() + 8
        for round_ in itertools.count():
            if time.monotonic() > end and round_ >= 3:
                break
            bridge.vsctl("add-port", "br0", "t1", "tag=7", "--", "set", "Interface", "t1", "type=tap")
            bridge.vsctl("add-port", "br0", "n1", "--", "set", "Interface", "n1", "type=dpdk", f"options:dpdk-devargs=net_null{round_ % 2},no-rx=1", "options:n_rxq=2")
            bridge.vsctl("add-port", "br0", "v1", "--", "set", "Interface", "v1", "type=dpdkvhostuser")
            bridge.vsctl("set", "Open_vSwitch", ".", f"other_config:pmd-cpu-mask={masks[round_ % len(masks)]}")
            bridge.vsctl("set", "Interface", "n1", "options:n_rxq=1", "--", "set", "Port", "t1", "tag=8", "trunks=1,2,3", "vlan_mode=native-tagged")
            bridge.vsctl("--", "--id=@t", "get", "Port", "t1", "--", "--id=@n", "get", "Port", "n1", "--", "--id=@m", "create", "Mirror", "name=m", "select_src_port=@t",
                         "output_port=@n", "--", "set", "Bridge", "br0", "mirrors=@m")
            bridge.vsctl("set", "Interface", "t1", "ingress_policing_rate=1000", "--", "set", "Port", "n1", "qos=@q", "--", "--id=@q", "create", "QoS",
                         "type=egress-policer", "other_config={cir=1000000,cbs=2000}")
            bridge.ofctl("add-flows", "-", stdin="\n".join(f"priority=5,udp,tp_dst={n + 1},actions=drop" for n in range(200)))
            bridge.vsctl("--may-exist", "add-br", "br1", "--", "add-port", "br1", "t2", "--", "set", "Interface", "t2", "type=tap")
            bridge.vsctl("del-br", "br1", "--", "clear", "Bridge", "br0", "mirrors", "--", "clear", "Port", "n1", "qos")
            bridge.ofctl("--strict", "del-flows", "priority=5,udp,tp_dst=7")
            bridge.ofctl("del-flows", "udp")
            for name in ("t1", "n1", "v1"):
                bridge.vsctl("del-port", "br0", name)
    finally:
        for stream in streams:
            stream.stop()
    for stream in streams:
        missing = stream.missing()
        assert not missing and not stream.duplicates, f"{len(missing)} of {stream.sent} frames are missing, from {missing[:5]}; {stream.duplicates} twice; {bridge.port_stats()}"


def test_an_interface_moves_between_bridges_without_being_opened_anew(bridge, cables):
    """The device stays open, its counters go on, and what arrives meanwhile waits."""
    source, sink = cables[4], cables[5]
    bridge.vsctl("add-br", "br1")
    try:
        for name, cable in (("in", source), ("out", sink)):
            bridge.add_port(name, "dpdk", dpdk_devargs=f"net_af_packet{4 + (name == 'out')},iface={cable.device},framecnt=8192")
        for name in ("br0", "br1"):
            bridge.ofctl("add-flow", "priority=1,actions=drop", bridge=name)
        bridge.appctl("vlog/disable-rate-limit", "bridge")
        bridge.set_other_config({"stats-update-interval": "200"})
        log = len(bridge.log())
        received = bridge.statistics("in")["rx_packets"]
        stream = Stream(2, source, sink, pace=500)
        stream.start()
        try:
            for here, there in (("br0", "br1"), ("br1", "br0")) * 3:
                bridge.vsctl("--", "--id=@i", "get", "Port", "in", "--", "--id=@o", "get", "Port", "out", "--", "remove", "Bridge", here, "ports", "@i", "@o", "--",
                             "add", "Bridge", there, "ports", "@i", "@o")
                numbers = {name: bridge.get("Interface", name, "ofport") for name in ("in", "out")}
                assert all(int(number) > 0 for number in numbers.values()), numbers
                wait_until(lambda: bridge.statistics("in")["rx_packets"] > received, 10, "frames are received")
                received = bridge.statistics("in")["rx_packets"]
        finally:
            stream.stop()
        wait_until(lambda: bridge.statistics("in")["rx_packets"] >= stream.sent, 10, lambda: f"{stream.sent} sent, {bridge.statistics('in')}")
        moves = bridge.log()[log:]
        assert moves.count("interface in moves to bridge") == 6 and "deleted interface in" not in moves, moves[-2000:]
        # A bridge that goes hands its ports on, too.
        bridge.vsctl("--", "--id=@i", "get", "Port", "in", "--", "add", "Bridge", "br1", "ports", "@i", "--", "remove", "Bridge", "br0", "ports", "@i")
        bridge.vsctl("--", "--id=@i", "get", "Port", "in", "--", "add", "Bridge", "br0", "ports", "@i", "--", "del-br", "br1", check=False)
        bridge.vsctl("--if-exists", "del-br", "br1")
    finally:
        bridge.vsctl("--if-exists", "del-br", "br1")


def test_patch_ports_count_and_are_mirrored(bridge, cables):
    """What crosses a patch port is counted at both its ends, in the database and over OpenFlow; a mirror may select it."""
    source, sink = cables[4], cables[5]
    bridge.vsctl("add-br", "br1")
    try:
        bridge.vsctl("add-port", "br0", "pa", "--", "set", "Interface", "pa", "type=patch", "options:peer=pb", "ofport_request=10", "--",
                     "add-port", "br1", "pb", "--", "set", "Interface", "pb", "type=patch", "options:peer=pa", "ofport_request=11")
        bridge.vsctl("add-port", "br0", source.device, "--", "set", "Interface", source.device, "ofport_request=1")
        bridge.vsctl("add-port", "br1", sink.device, "--", "set", "Interface", sink.device, "ofport_request=2")
        bridge.add_null_sink("copy", 5)
        bridge.ofctl("add-flow", "in_port=1,actions=output:10")
        bridge.ofctl("add-flow", "in_port=11,actions=output:2", bridge="br1")
        bridge.vsctl("--", "--id=@p", "get", "Port", "pa", "--", "--id=@c", "get", "Port", "copy", "--", "--id=@m", "create", "Mirror", "name=m", "select_dst_port=@p",
                     "output_port=@c", "--", "set", "Bridge", "br0", "mirrors=@m")
        frames = [udp_frame(src_port=1, dst_port=2)] * 200
        source.send(frames)
        size = len(frames[0]) * 200
        wait_until(lambda: bridge.port_stats("br1")["11"]["rx_packets"] == 200, 10, lambda: bridge.port_stats("br1"))
        assert bridge.port_stats()["10"]["tx_packets"] == 200
        wait_until(lambda: bridge.statistics("pb").get("rx_bytes") == size, 10, lambda: bridge.statistics("pb"))
        counted = bridge.statistics("pa")
        assert (counted["tx_packets"], counted["tx_bytes"], counted["rx_packets"]) == (200, size, 0), counted
        assert bridge.port_stats()["5"]["tx_packets"] == 200
    finally:
        bridge.vsctl("--if-exists", "del-br", "br1")


def cpus_by_thread(pid):
    """The names of a process's threads, and the sets of CPUs they may run on."""
    found = []
    for thread in os.listdir(f"/proc/{pid}/task"):
        try:
            with open(f"/proc/{pid}/task/{thread}/status") as status:
                lines = dict(line.rstrip("\n").split(":\t", 1) for line in status if ":\t" in line)
        except (FileNotFoundError, ProcessLookupError):
            continue
        found.append((lines["Name"], lines["Cpus_allowed_list"]))
    return found


def test_other_threads_keep_off_the_cpus_of_pmd_threads(make_switch):
    if len(os.sched_getaffinity(0) & {0, 1}) < 2:
        pytest.skip("needs CPUs 0 and 1")
    switch = make_switch(other_config={"pmd-cpu-mask": "0x2"})
    pid = switch.daemon.pid
    home = sorted(os.sched_getaffinity(0))
    switch.add_bridge()

    def others():
        return {cpus for name, cpus in cpus_by_thread(pid) if not name.startswith("apus-pmd")}

    assert others() == {text_of(home)}
    switch.add_null_sink("sink1", 1)
    rest = text_of([cpu for cpu in home if cpu != 1])
    wait_until(lambda: dict(cpus_by_thread(pid)).get("apus-pmd1") == "1" and others() == {rest}, 30, "all others are off CPU 1")
    # With a PMD thread everywhere, the others may be everywhere too.
    switch.set_other_config({"pmd-cpu-mask": f"{sum(1 << cpu for cpu in home):#x}"})
    wait_until(lambda: others() == {text_of(home)}, 30, "the others may run anywhere")
    switch.set_other_config({"pmd-cpu-mask": "0x1"})
    rest = text_of([cpu for cpu in home if cpu != 0])
    wait_until(lambda: dict(cpus_by_thread(pid)).get("apus-pmd0") == "0" and others() == {rest}, 30, "all others are off CPU 0")


def text_of(cpus):
    """CPUs as the kernel lists them: `0-2,5`."""
    ranges = []
    for cpu in cpus:
        if ranges and ranges[-1][1] == cpu - 1:
            ranges[-1][1] = cpu
        else:
            ranges.append([cpu, cpu])
    return ",".join(f"{first}-{last}" if last > first else f"{first}" for first, last in ranges)
