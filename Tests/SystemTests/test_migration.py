"""A guest moves, under traffic, from one port to another: the switch logs what it writes to the guest's memory, and hears where it went."""
import re
import time

import pytest

from Harness.process import wait_until

pytestmark = pytest.mark.apus
ADDRESSES = {"vm": "198.18.8.1", "peer": "198.18.8.2"}


def test_a_guest_migrates_under_traffic(bridge, folder, qemu):
    bridge.ofctl("add-flow", "priority=1,actions=NORMAL")
    for number, name in enumerate(("from", "to", "peer"), 1):
        bridge.add_port(name, "dpdkvhostuser", ofport=number)
    mac = ["52:54:00:00:08:01"]
    vm = qemu("vm", [bridge.path("from")], mac, wait=False)
    peer = qemu("peer", [bridge.path("peer")], ["52:54:00:00:08:02"], wait=False)
    for name, guest in (("vm", vm), ("peer", peer)):
        guest.wait_ready().address(f"{ADDRESSES[name]}/24")
    wait_until(lambda: peer.ping(ADDRESSES["vm"], 1) == 1, 20, "the guests reach each other", alive=bridge.daemon)
    vm.run("echo moved > /tmp/mark; md5sum /modules/virtio_net.ko > /tmp/sum")
    # Pings all the time, and a stream whose bytes the switch writes to pages that were sent already.
    peer.run(f"(ping -i 0.05 -c 160 {ADDRESSES['vm']} > /tmp/pings 2>&1) </dev/null >/dev/null 2>&1 &")
    sent = peer.make_file("/tmp/sent", 8192)
    vm.listen(5001, "/tmp/got")
    peer.run(f"(nc -w 30 {ADDRESSES['vm']} 5001 < /tmp/sent) </dev/null >/dev/null 2>&1 < /tmp/sent &")
    arrived = qemu("vm-there", [bridge.path("to")], mac, wait=False, incoming=f"{folder}/migration")
    begun = time.monotonic()
    info = vm.migrate_to(arrived)
    took = time.monotonic() - begun
    vm.kill()
    assert arrived.run("cat /tmp/mark").strip() == "moved"
    arrived.run("md5sum -c /tmp/sum")
    bridge.wait_link("to")
    bridge.wait_link("from", up=False)
    # Where it is now is known without the guest having to say anything.
    wait_until(lambda: re.search(rf"^\s*2\s.*{mac[0]}", bridge.appctl("fdb/show", "br0"), re.M), 10,
               lambda: f"the guest's address is on port 2: {bridge.appctl('fdb/show', 'br0')}")
    wait_until(lambda: "packets transmitted" in peer.run("cat /tmp/pings"), 40, "the pings are through", interval=0.5)
    answered = [int(number) for number in re.findall(r"seq=(\d+)", peer.run("cat /tmp/pings"))]
    gap = max(after - before for before, after in zip(answered, answered[1:])) * 50
    print(f"migration took {took:.2f} s, QEMU's downtime {info['downtime']} ms, longest gap between answers {gap} ms")
    assert len(answered) > 100 and gap < info["downtime"] + 5000, (gap, info["downtime"])
    assert arrived.received("/tmp/got", 60) == sent
    assert peer.ping(ADDRESSES["vm"], 5) == 5
