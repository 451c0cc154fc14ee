"""vhost-user ports with a guest that polls: dpdk-testpmd's virtio-user, in both roles of the protocol."""
import os
import re
import socket
import struct

import pytest

from Harness.frontend import FrontEnd
from Harness.packets import read_pcap, udp_frame
from Harness.process import wait_until


def pair(switch, folder, role):
    """Two vhost-user ports and their sockets: 'server', the switch listens; 'client', the guest listens."""
    paths = []
    for number in (1, 2):
        if role == "server":
            switch.add_port(f"v{number}", "dpdkvhostuser", ofport=number)
            paths.append(switch.path(f"v{number}"))
        else:
            paths.append(f"{folder}/g{number}")
            switch.add_port(f"v{number}", "dpdkvhostuserclient", ofport=number, vhost_server_path=paths[-1])
        switch.ofctl("add-flow", f"in_port={number},actions=output:{3 - number}")
    return paths


@pytest.mark.parametrize("role", ["server", "client"])
def test_traffic_both_ways(bridge, folder, testpmd, role):
    paths = pair(bridge, folder, role)
    guest = testpmd(paths, "flowgen", server=role == "client", arguments=["--flowgen-flows=64"])
    for port in (0, 1):
        guest.wait_traffic("rx", 20000, port=port)
    for name in ("v1", "v2"):
        bridge.wait_link(name, up=True)  # the row follows the link within half a second
    if bridge.kind == "apus":
        wait_until(lambda: all(bridge.statistics(name)["rx_packets"] > 20000 and bridge.statistics(name)["tx_packets"] > 20000
                               for name in ("v1", "v2")), 15, "statistics of both ports")


@pytest.mark.parametrize("role", ["server", "client"])
def test_guest_is_killed_and_comes_back(bridge, folder, testpmd, role):
    paths = pair(bridge, folder, role)
    steady = testpmd(paths[0], "flowgen", server=role == "client")
    for _ in range(2):
        restless = testpmd(paths[1], "flowgen", server=role == "client")
        restless.wait_traffic("rx", 5000)
        restless.kill()
        if role == "client":
            os.unlink(paths[1])
        bridge.wait_link("v2", up=False)
        assert bridge.interface("v1")["link_state"] == "up"
    restless = testpmd(paths[1], "flowgen", server=role == "client")
    restless.wait_traffic("rx", 5000)
    received = steady.ports()[0]["rx"]
    steady.wait_traffic("rx", received + 1000)


def test_the_switch_dies_and_client_ports_reconnect(make_switch, folder, testpmd):
    switch = make_switch(other_config={"pmd-cpu-mask": "0x2"})
    switch.add_bridge(secure=True)
    paths = pair(switch, folder, "client")
    guest = testpmd(paths, "flowgen", server=True)
    guest.wait_traffic("rx", 10000)
    switch.kill9()
    switch.start()
    # The database brought bridge and ports back; flows are the controller's business.
    wait_until(lambda: switch.ofctl("show", check=False).returncode == 0, 20, "br0 answers again", alive=switch.daemon)
    for number in (1, 2):
        wait_until(lambda: switch.interface(f"v{number}")["ofport"] == number, 10, "the ports are back with their numbers")
        switch.ofctl("add-flow", f"in_port={number},actions=output:{3 - number}")
    for name in ("v1", "v2"):
        switch.wait_link(name)
    received = guest.ports()[0]["rx"]
    guest.wait_traffic("rx", received + 10000)


def test_a_port_is_removed_under_load(bridge, folder, testpmd):
    paths = pair(bridge, folder, "server")
    guest = testpmd(paths, "flowgen")
    guest.wait_traffic("rx", 10000)
    bridge.vsctl("del-port", "v2")
    assert not os.path.exists(paths[1])
    assert bridge.daemon.returncode() is None
    assert bridge.interface("v1")["link_state"] == "up"
    assert bridge.vsctl("list-ports", "br0") == "v1"


@pytest.mark.apus
def test_every_packet_is_accounted_for(bridge, folder, testpmd):
    """Stops the guests, then received = sent + dropped over both ports, to the packet."""
    paths = pair(bridge, folder, "server")
    guest = testpmd(paths, "flowgen", arguments=["--flowgen-flows=256"])
    guest.wait_traffic("rx", 20000)
    guest.stop()
    for name in ("v1", "v2"):
        bridge.wait_link(name, up=False)

    def balance():
        stats = bridge.port_stats()
        received = sum(stats[port]["rx_packets"] for port in ("1", "2"))
        sent = sum(stats[port]["tx_packets"] for port in ("1", "2"))
        dropped = sum(stats[port]["rx_drop"] + stats[port]["tx_drop"] for port in ("1", "2"))
        return received, sent, dropped
    wait_until(lambda: balance()[0] == balance()[1] + balance()[2], 10, lambda: f"received = sent + dropped: {balance()}")
    # What the guest says it sent, the switch received.
    final = re.findall(r"TX-packets:\s*(\d+)", guest_output(guest))
    assert final


def guest_output(guest):
    with open(f"{guest.folder}/out", errors="replace") as out:
        return out.read()


def test_sixty_four_ports(bridge, folder, testpmd):
    names = [f"v{number}" for number in range(1, 65)]
    words = []
    for number, name in enumerate(names, 1):
        words += ["--", "add-port", "br0", name, "--", "set", "Interface", name, "type=dpdkvhostuser", f"ofport_request={number}"]
    bridge.vsctl(*words[1:], timeout=60)
    for name in names:
        assert os.path.exists(bridge.path(name)), name
    assert all(row["error"] == [] for row in bridge.rows("Interface"))
    # First and last talk to each other.
    bridge.ofctl("add-flow", "in_port=1,actions=output:64")
    bridge.ofctl("add-flow", "in_port=64,actions=output:1")
    guest = testpmd([bridge.path("v1"), bridge.path("v64")], "flowgen")
    guest.wait_traffic("rx", 10000, port=0)
    guest.wait_traffic("rx", 10000, port=1)


def test_more_queues_than_one(bridge, folder, testpmd):
    paths = pair(bridge, folder, "client")
    guest = testpmd(paths, "flowgen", server=True, queues=2)
    guest.wait_traffic("rx", 10000)


# The other side of the socket is hostile


def vhost_message(request, payload=b"", flags=1, size=None):
    return struct.pack("<III", request, flags, len(payload) if size is None else size) + payload


@pytest.mark.apus
def test_a_polled_guest_need_not_notify(bridge):
    """A switch that polls both rings wants no notification of either: each would cost the guest an exit or a system call."""
    for number in (1, 2):
        bridge.add_port(f"v{number}", "dpdkvhostuser", ofport=number)
        bridge.ofctl("add-flow", f"in_port={number},actions=output:{3 - number}")
    with FrontEnd(bridge.path("v1")) as one, FrontEnd(bridge.path("v2")) as two:
        one.start()
        two.start()
        bridge.wait_link("v1")
        bridge.wait_link("v2")
        for source, sink in ((one, two), (two, one)):
            source.transmit(udp_frame())
            assert sink.wait_frames(1)
        for guest in (one, two):
            for queue in (0, 1):
                flags = struct.unpack_from("<H", guest.map, guest.ring_offset(queue) + 0x8000)[0]
                assert flags == 1, f"ring {queue} asks for notifications"


HOSTILE = {
    "garbage": b"\xff" * 4096,
    "text": b"GET / HTTP/1.1\r\n\r\n",
    "half-header": b"\x01\x00",
    "unknown-request": vhost_message(99),
    "huge-size": vhost_message(1, b"", size=0xFFFFFFF0),
    "short-payload": vhost_message(2, b"\x00\x00", size=8),
    "vring-index": vhost_message(8, struct.pack("<II", 0xFFFF, 256)),
    "vring-size": vhost_message(8, struct.pack("<II", 0, 0xFFFFFFFF)),
    "addresses-before-memory": vhost_message(9, struct.pack("<IIQQQQ", 0, 0, 1 << 40, 1 << 41, 1 << 42, 0)),
    "memory-without-descriptor": vhost_message(5, struct.pack("<II", 1, 0) + struct.pack("<QQQQ", 0, 1 << 20, 0, 0)),
    "many-regions": vhost_message(5, struct.pack("<II", 255, 0)),
    "base-of-nothing": vhost_message(11, struct.pack("<II", 0, 0)),
    "enable-index": vhost_message(18, struct.pack("<II", 9999, 1)),
}


@pytest.mark.apus
@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_front_end(bridge, folder, cable, name):
    """Whatever the front end says, the daemon lives, the other ports forward, and the socket serves the next guest."""
    bridge.add_port("v1", "dpdkvhostuser", ofport=3)
    bridge.add_port("sink", "dpdk", ofport=2, dpdk_devargs=f"net_pcap2,tx_pcap={folder}/out.pcap")
    bridge.add_port("p1", "dpdk", ofport=1, dpdk_devargs=f"net_af_packet1,iface={cable.device}")
    bridge.ofctl("add-flow", "in_port=1,actions=output:2,output:3")
    for _ in range(3):
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as front:
            front.connect(bridge.path("v1"))
            front.sendall(HOSTILE[name])
            front.settimeout(0.2)
            try:
                front.recv(4096)
            except (TimeoutError, ConnectionResetError):
                pass
    cable.send([udp_frame()] * 5)
    wait_until(lambda: len(read_pcap(f"{folder}/out.pcap")) == 5, 10, "the others go on", alive=bridge.daemon)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as front:
        front.connect(bridge.path("v1"))
        front.settimeout(5)
        front.sendall(vhost_message(1))
        header = front.recv(12)
        assert struct.unpack_from("<I", header)[0] == 1, "the next guest is served"
