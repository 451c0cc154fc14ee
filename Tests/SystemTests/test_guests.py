"""Linux guests in QEMU: the kernel's own virtio-net driver, interrupt driven, over both roles of the protocol.

Two machines serve the module's tests in order: vm1 on a port where the switch listens, vm2 on one where QEMU does.
"""
import os
import shutil
import tempfile

import pytest

from Harness.process import wait_until
from Harness.qemu import Guest, choose_accelerator

# A range that no host has (RFC 2544), so that the guests never meet the machine's own addresses.
ADDRESSES = {"vm1": "198.18.7.1", "vm2": "198.18.7.2"}
MACS = {"vm1": "52:54:00:00:00:01", "vm2": "52:54:00:00:00:02"}


class Site:
    """A bridge with two ports, and the machines on them."""

    def __init__(self, switch):
        self.switch = switch
        self.folder = tempfile.mkdtemp(prefix="ag", dir="/tmp")
        self.guests = {}
        switch.add_bridge(secure=True)
        switch.add_port("vm1", "dpdkvhostuser", ofport=1)
        switch.add_port("vm2", "dpdkvhostuserclient", ofport=2, vhost_server_path=f"{self.folder}/vm2")
        switch.ofctl("add-flow", "priority=1,actions=NORMAL")

    def boot(self, name, wait=True):
        path = self.switch.path(name) if name == "vm1" else f"{self.folder}/{name}"
        guest = Guest(name, [path], [MACS[name]], self.folder, server=name != "vm1")
        self.guests[name] = guest
        guest.start(wait=False)
        return self.ready(name) if wait else guest

    def ready(self, name):
        guest = self.guests[name].wait_ready()
        guest.address(f"{ADDRESSES[name]}/24")
        return guest

    def __getitem__(self, name):
        return self.guests[name]

    def talk(self, seconds=20):
        wait_until(lambda: self["vm1"].ping(ADDRESSES["vm2"], 1) == 1, seconds, "vm1 reaches vm2", alive=self.switch.daemon)

    def remove(self):
        for guest in self.guests.values():
            guest.stop()
        shutil.rmtree(self.folder, ignore_errors=True)


@pytest.fixture(scope="module")
def site(switch):
    site = Site(switch)
    try:
        for name in ADDRESSES:
            site.boot(name, wait=False)
        for name in ADDRESSES:
            site.ready(name)
        yield site
    finally:
        site.remove()


def test_ping_in_all_sizes(site):
    site.talk()
    for size in (0, 56, 512, 1472):
        assert site["vm1"].ping(ADDRESSES["vm2"], 5, 0.05, size=size) == 5
        assert site["vm2"].ping(ADDRESSES["vm1"], 5, 0.05, size=size) == 5
    # More than a frame holds: IP fragments.
    assert site["vm1"].ping(ADDRESSES["vm2"], 3, 0.05, size=4000) == 3


def test_ipv6(site):
    for name, address in (("vm1", "fd42:a::1"), ("vm2", "fd42:a::2")):
        site[name].run(f"ip -6 addr add {address}/64 dev eth0 nodad || ip -6 addr add {address}/64 dev eth0")
    wait_until(lambda: "1 packets received" in site["vm1"].run("ping6 -c 1 -W 1 fd42:a::2", check=False)[1], 15, "a first answer by IPv6")
    assert "5 packets received" in site["vm2"].run("ping6 -q -c 5 -i 0.1 fd42:a::1")


def test_tcp_carries_every_byte(site):
    site.talk()
    for source, sink in (("vm1", "vm2"), ("vm2", "vm1")):
        sent = site[source].make_file("/tmp/sent", 4096)
        site[sink].listen(5001, "/tmp/got")
        site[source].send_file(ADDRESSES[sink], 5001, "/tmp/sent")
        assert site[sink].received("/tmp/got") == sent


def test_guests_see_a_flow_change_at_once(site):
    site.talk()
    switch = site.switch
    switch.ofctl("add-flow", "priority=10,icmp,in_port=1,actions=drop")
    assert site["vm1"].ping(ADDRESSES["vm2"], 3) == 0
    if switch.kind == "apus":
        assert switch.flow_packets("icmp,in_port=1") == 3
    switch.ofctl("mod-flows", "icmp,in_port=1,actions=output:2")
    assert site["vm1"].ping(ADDRESSES["vm2"], 3) == 3
    switch.ofctl("del-flows", "icmp")
    assert site["vm1"].ping(ADDRESSES["vm2"], 3) == 3


def test_vlan_access_ports_part_guests(site):
    site.talk()
    site.switch.vsctl("set", "Port", "vm1", "tag=10", "--", "set", "Port", "vm2", "tag=20")
    assert site["vm1"].ping(ADDRESSES["vm2"], 2) == 0
    site.switch.vsctl("set", "Port", "vm2", "tag=10")
    site.talk()
    site.switch.vsctl("clear", "Port", "vm1", "tag", "--", "clear", "Port", "vm2", "tag")
    site.talk()


def test_a_link_that_goes_is_reported_and_comes_back(site):
    site["vm1"].run("ip link set eth0 down; ip link set eth0 up")
    site.talk()


@pytest.mark.parametrize("name", ["vm1", "vm2"])
def test_a_guest_is_killed_and_boots_again(site, name):
    site.talk()
    site[name].kill()
    site.switch.wait_link(name, up=False)
    if name == "vm2" and os.path.exists(f"{site.folder}/vm2"):
        os.unlink(f"{site.folder}/vm2")
    site.boot(name)
    site.switch.wait_link(name)
    site.talk()


def test_the_driver_is_unloaded_and_loaded(site):
    site.talk()
    site["vm1"].run("rmmod virtio_net && insmod /modules/virtio_net.ko")
    site["vm1"].address(f"{ADDRESSES['vm1']}/24")
    site.talk()


def test_message_signalled_interrupts(site, switch):
    """MSI-X where it can be: QEMU 7.2 crashes with it under TCG."""
    if choose_accelerator() != "kvm":
        pytest.skip("no KVM here, and QEMU 7.2 crashes with MSI-X on vhost-user under TCG")
    assert "PCI-MSI" in site["vm1"].run("grep virtio /proc/interrupts")


def test_daemon_is_killed_and_the_client_port_guest_goes_on(site):
    """The last of the module: after SIGKILL the switch starts again, and vm2's QEMU was never told."""
    site.talk()
    switch = site.switch
    switch.kill9()
    switch.start()
    wait_until(lambda: switch.ofctl("show", check=False).returncode == 0, 20, "br0 answers again", alive=switch.daemon)
    switch.ofctl("add-flow", "priority=1,actions=NORMAL")
    switch.wait_link("vm2")
    if switch.kind == "ovs":
        return  # The reference cannot listen again on a path that its predecessor left behind.
    # QEMU's side of vm1 reconnects as well (reconnect=1), for the switch listens on the same path again.
    switch.wait_link("vm1")
    site.talk(30)


@pytest.mark.apus
def test_a_guest_behind_an_iommu(make_switch, folder, qemu, namespace):
    """vhost-iommu-support: the guest's addresses are translated by QEMU, page by page; they come, go, and come again."""
    switch = make_switch(other_config={"pmd-cpu-mask": "0x2", "vhost-iommu-support": "true"})
    switch.add_bridge(secure=True)
    switch.ofctl("add-flow", "priority=1,actions=NORMAL")
    outside = namespace("198.18.13.2/24")
    switch.add_port(outside.device, ofport=2)
    switch.add_port("v1", "dpdkvhostuserclient", ofport=1, vhost_server_path=f"{folder}/g1")
    guest = qemu("vm", [f"{folder}/g1"], ["52:54:00:00:13:01"], server=True, iommu=True)
    guest.address("198.18.13.1/24")
    wait_until(lambda: outside.ping("198.18.13.1", 1) == 1, 60, lambda: f"the guest answers: {switch.interface('v1')['status']}", alive=switch.daemon)
    switch.wait_link("v1")
    assert "iommu_platform" in switch.interface("v1")["status"]["negotiated"], switch.interface("v1")["status"]
    # more buffers than the cache of translations holds at first
    sent = guest.make_file("/tmp/sent", 4096)
    assert sent
    # a packet for a buffer whose translation is not there yet is lost; what asked for it brings it for the next ones
    wait_until(lambda: outside.ping("198.18.13.1", 20, 0.05) == 20, 90, "twenty packets in a row are answered", alive=switch.daemon)
    guest.run("ip link set eth0 down; ip link set eth0 up")
    wait_until(lambda: outside.ping("198.18.13.1", 1) == 1, 60, "the guest answers again", alive=switch.daemon)
