"""A guest moves, under traffic, from one port to another: the switch logs what it writes to the guest's memory, and hears where it went."""
import re
import time

import pytest

from Harness.process import wait_until

pytestmark = pytest.mark.apus
ADDRESSES = {"vm": "198.18.8.1", "peer": "198.18.8.2"}


def migrate(here, there, folder, qemu, paths=None, postcopy=False):
    """A guest moves from port `from` of one switch to port `to` of the same or another, while `peer`, on the first, talks to it. With
    `paths` QEMU listens there, and the ports connect."""
    mac = ["52:54:00:00:08:01"]
    listens = {"server": paths is not None}
    paths = paths or {"from": here.path("from"), "peer": here.path("peer"), "to": there.path("to")}
    vm = qemu("vm", [paths["from"]], mac, wait=False, **listens)
    peer = qemu("peer", [paths["peer"]], ["52:54:00:00:08:02"], wait=False, **listens)
    for name, guest in (("vm", vm), ("peer", peer)):
        guest.wait_ready().address(f"{ADDRESSES[name]}/24")
    wait_until(lambda: peer.ping(ADDRESSES["vm"], 1) == 1, 20, "the guests reach each other", alive=here.daemon)
    vm.run("echo moved > /tmp/mark; md5sum /modules/virtio_net.ko > /tmp/sum")
    # Pings all the time, and a stream whose bytes the switch writes to pages that were sent already.
    peer.run(f"(ping -i 0.05 -c 160 {ADDRESSES['vm']} > /tmp/pings 2>&1) </dev/null >/dev/null 2>&1 &")
    sent = peer.make_file("/tmp/sent", 8192)
    vm.listen(5001, "/tmp/got")
    peer.run(f"(nc -w 30 {ADDRESSES['vm']} 5001 < /tmp/sent) </dev/null >/dev/null 2>&1 < /tmp/sent &")
    arrived = qemu("vm-there", [paths["to"]], mac, wait=False, incoming=f"{folder}/migration", **listens)
    begun = time.monotonic()
    info = vm.migrate_to(arrived, postcopy=postcopy)
    took = time.monotonic() - begun
    assert (info["ram"]["postcopy-bytes"] > 0) == postcopy, info
    vm.kill()
    assert arrived.run("cat /tmp/mark").strip() == "moved"
    arrived.run("md5sum -c /tmp/sum")
    there.wait_link("to")
    here.wait_link("from", up=False)
    # Where it is now is known without the guest having to say anything.
    wait_until(lambda: re.search(rf"^\s*2\s.*{mac[0]}", here.appctl("fdb/show", "br0"), re.M), 10,
               lambda: f"the guest's address is on port 2: {here.appctl('fdb/show', 'br0')}")
    wait_until(lambda: "packets transmitted" in peer.run("cat /tmp/pings"), 40, "the pings are through", interval=0.5)
    answered = [int(number) for number in re.findall(r"seq=(\d+)", peer.run("cat /tmp/pings"))]
    gap = max(after - before for before, after in zip(answered, answered[1:])) * 50
    print(f"migration took {took:.2f} s, QEMU's downtime {info['downtime']} ms, longest gap between answers {gap} ms")
    assert len(answered) > 100 and gap < info["downtime"] + 5000, (gap, info["downtime"])
    assert arrived.received("/tmp/got", 60) == sent
    assert peer.ping(ADDRESSES["vm"], 5) == 5


def test_a_guest_migrates_under_traffic(bridge, folder, qemu):
    bridge.ofctl("add-flow", "priority=1,actions=NORMAL")
    for number, name in enumerate(("from", "to", "peer"), 1):
        bridge.add_port(name, "dpdkvhostuser", ofport=number)
    migrate(bridge, bridge, folder, qemu)


def test_a_guest_migrates_before_its_memory_does(make_switch, folder, qemu):
    """Post-copy: the guest runs at its new place while its pages still come, and the switch waits for those it touches."""
    switch = make_switch(other_config={"pmd-cpu-mask": "0x2", "vhost-postcopy-support": "true"})
    switch.add_bridge(secure=True)
    switch.ofctl("add-flow", "priority=1,actions=NORMAL")
    paths = {name: f"{folder}/{name}.sock" for name in ("from", "to", "peer")}
    for number, name in enumerate(paths, 1):
        switch.add_port(name, "dpdkvhostuserclient", ofport=number, vhost_server_path=paths[name])
    migrate(switch, switch, folder, qemu, paths, postcopy=True)


def test_a_guest_migrates_to_another_daemon(make_switch, folder, qemu):
    """Two hosts' switches with a wire between them: the second announces the guest, and the first sends there what is for it."""
    here = make_switch(other_config={"pmd-cpu-mask": "0x2"})
    there = make_switch(other_config={"pmd-cpu-mask": "0x1"})
    for switch, role in ((there, "server"), (here, "client")):
        switch.add_bridge(secure=True)
        switch.ofctl("add-flow", "priority=1,actions=NORMAL")
        switch.add_port("wire", "dpdk", ofport=2, dpdk_devargs=f"net_memif0,role={role},id=0,socket={folder}/wire,socket-abstract=no")
    here.wait_link("wire")
    here.add_port("from", "dpdkvhostuser", ofport=1)
    here.add_port("peer", "dpdkvhostuser", ofport=3)
    there.add_port("to", "dpdkvhostuser", ofport=1)
    migrate(here, there, folder, qemu)
