"""TCP between everything that leaves packets unfinished and everything that cannot take them so, every byte of it.

A guest with all offloads, one with none, a namespace behind a packet socket, the host behind the bridge's own port; and a recorder
that is sent a copy of all: what it gets by a device without offloads must be whole frames with right checksums.
"""
import hashlib
import os
import struct

import pytest

from Harness.packets import checksum, read_pcap
from Harness.process import Child, run, wait_until

pytestmark = pytest.mark.apus

BARE = (",csum=off,gso=off,guest_csum=off,guest_tso4=off,guest_tso6=off,guest_ecn=off,guest_ufo=off,host_tso4=off,host_tso6=off,"
        "host_ecn=off,host_ufo=off,mrg_rxbuf=off")
ADDRESSES = {"full": "198.18.9.1", "bare": "198.18.9.2", "away": "198.18.9.3", "host": "198.18.9.4"}
KIBIBYTES = 512


class InGuest:
    def __init__(self, guest):
        self.guest = guest

    def make(self, path):
        return self.guest.make_file(f"/tmp/{path}", KIBIBYTES)

    def listen(self, port, path):
        self.guest.listen(port, f"/tmp/{path}")

    def send(self, address, port, path):
        self.guest.send_file(address, port, f"/tmp/{path}")

    def received(self, path):
        return self.guest.received(f"/tmp/{path}")


class Here:
    """This machine, or a namespace of it."""

    def __init__(self, folder, *prefix):
        self.folder, self.prefix = folder, prefix
        self.listener = None

    def make(self, path):
        data = os.urandom(KIBIBYTES * 1024)
        with open(f"{self.folder}/{path}", "wb") as out:
            out.write(data)
        return hashlib.md5(data).hexdigest()

    def listen(self, port, path):
        self.listener = Child([*self.prefix, "socat", "-u", f"TCP-LISTEN:{port},reuseaddr", f"OPEN:{self.folder}/{path},creat,trunc"],
                              f"{self.folder}/socat.out")
        wait_until(lambda: f":{port} " in run([*self.prefix, "ss", "-ltn"]).stdout, 10, f"socat listens on {port}", alive=self.listener)

    def send(self, address, port, path):
        run([*self.prefix, "socat", "-u", f"OPEN:{self.folder}/{path}", f"TCP:{address}:{port}"], timeout=60)

    def received(self, path):
        wait_until(lambda: self.listener.returncode() is not None, 30, "the listener has seen the end")
        with open(f"{self.folder}/{path}", "rb") as got:
            return hashlib.md5(got.read()).hexdigest()


def unfinished(frame):
    """What is wrong with a frame's IPv4 and TCP or UDP checksums; None if nothing is."""
    if frame[12:14] != b"\x08\x00":
        return None
    total = struct.unpack_from("!H", frame, 16)[0]
    header = (frame[14] & 15) * 4
    if checksum(frame[14:14 + header]) != 0:
        return "IPv4 header"
    body = frame[14 + header:14 + total]
    protocol = frame[23]
    if protocol not in (6, 17) or protocol == 17 and body[6:8] == b"\0\0":
        return None
    pseudo = frame[26:34] + struct.pack("!BBH", 0, protocol, len(body))
    return None if checksum(pseudo + body) == 0 else f"protocol {protocol}, {len(frame)} bytes"


def test_tcp_between_all_kinds_of_ports(bridge, folder, qemu, namespace):
    recorded = f"{folder}/copies.pcap"
    bridge.add_port("copies", "dpdk", ofport=9, dpdk_devargs=f"net_pcap9,tx_pcap={recorded}")
    bridge.add_port("full", "dpdkvhostuser", ofport=1)
    bridge.add_port("bare", "dpdkvhostuser", ofport=2)
    bridge.ofctl("add-flow", "priority=1,actions=NORMAL,output:9")
    guests = {
        "full": qemu("full", [bridge.path("full")], ["52:54:00:00:09:01"], wait=False),
        "bare": qemu("bare", [bridge.path("bare")], ["52:54:00:00:09:02"], wait=False, device=BARE)}
    away = namespace(f"{ADDRESSES['away']}/24", offloads=True)
    bridge.add_port(away.device, ofport=3)
    run(["ip", "addr", "add", f"{ADDRESSES['host']}/24", "dev", "br0"])
    run(["ip", "link", "set", "br0", "up"])
    for name, guest in guests.items():
        guest.wait_ready()
        guest.address(f"{ADDRESSES[name]}/24")
    places = {"full": InGuest(guests["full"]), "bare": InGuest(guests["bare"]), "away": Here(folder, "ip", "netns", "exec", away.name),
              "host": Here(folder)}
    for name in ("bare", "away", "host"):
        wait_until(lambda: guests["full"].ping(ADDRESSES[name], 1) == 1, 20, f"full reaches {name}", alive=bridge.daemon)
    # the rows follow within half a second
    for name in guests:
        wait_until(lambda: "negotiated" in bridge.interface(name)["status"], 10, f"{name} is in the database")
    status = bridge.interface("full")["status"]
    assert status["tx_tcp_seg_offload"] == "true" and "host_tso4" in status["negotiated"], status
    assert bridge.interface("bare")["status"]["tx_tcp_seg_offload"] == "false"
    port = 5000
    for source in places:
        sent = places[source].make(f"from-{source}")
        for sink in places:
            if sink == source:
                continue
            port += 1
            places[sink].listen(port, f"got-{port}")
            places[source].send(ADDRESSES[sink], port, f"from-{source}")
            assert places[sink].received(f"got-{port}") == sent, f"{source} to {sink}"
    # Long pieces did travel where both ends take them.
    wait_until(lambda: all(bridge.statistics("full")[f"{side}_1523_to_max_packets"] > 20 for side in ("rx", "tx")), 10,
               lambda: f"{dict(bridge.statistics('full'))}")
    assert bridge.statistics("bare")["tx_1523_to_max_packets"] == 0
    frames = read_pcap(recorded)
    assert len(frames) > 1000
    wrong = [what for what in map(unfinished, frames) if what]
    assert not wrong, f"{len(wrong)} of {len(frames)} copies: {sorted(set(wrong))[:5]}"
    assert max(map(len, frames)) <= 1518
    assert bridge.daemon.returncode() is None


def test_offloads_can_be_switched_off(make_switch, folder, testpmd):
    switch = make_switch(other_config={"userspace-tso-enable": "false", "pmd-cpu-mask": "0x2"})
    switch.add_bridge(secure=True)
    switch.add_port("v1", "dpdkvhostuser", ofport=1)
    testpmd(switch.path("v1"), "txonly")
    switch.wait_link("v1")
    status = wait_until(lambda: "negotiated" in switch.interface("v1")["status"] and switch.interface("v1")["status"], 10, "v1 is up")
    assert "tso" not in status["negotiated"] and "csum" not in status["negotiated"]
    assert status["userspace-tso"] == "disabled" and status["tx_tcp_seg_offload"] == "false"
