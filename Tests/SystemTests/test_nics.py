"""Physical NICs: the daemon runs in a machine with an IOMMU and NICs of three kinds, which QEMU emulates down to their registers.

Each NIC is bound to vfio-pci and given to Apus by its PCI address; behind each is a namespace outside of the machine. Without KVM
the machine is slow (a boot takes ten seconds and more), so one machine serves all tests of the file, in order.
"""
import os
import re
import shutil
import socket
import tempfile

import pytest

from Harness.netns import TapNamespace
from Harness.process import HarnessError, wait_until
from Harness.qemu import Host
from Harness.switch import find_binaries

pytestmark = pytest.mark.apus
KINDS = ["e1000e", "vmxnet3", "virtio-net-pci"]
QUEUES = 2


class Site:
    """The machine, its three NICs as ports p1 to p3, and the namespaces behind them."""

    def __init__(self):
        self.folder = tempfile.mkdtemp(prefix="an", dir="/tmp")
        tag = os.getpid() % 100000
        self.taps = [f"tn{tag}x{index}" for index in range(len(KINDS))]
        nics = [(kind, f"52:54:00:00:09:{index:02x}", tap, "") for index, (kind, tap) in enumerate(zip(KINDS, self.taps))]
        self.host = Host("host", nics, self.folder, find_binaries(), queues=QUEUES)
        self.outside = []

    def start(self):
        self.host.start(wait=False)
        wait_until(lambda: {name for _, name in socket.if_nameindex()} >= set(self.taps), 20, "QEMU's tap devices", alive=self.host.child)
        for index, tap in enumerate(self.taps):
            self.outside.append(TapNamespace(tap, f"{self.address(index)}/24"))
        self.host.wait_ready().start_switch()
        self.host.vsctl("add-br br0 -- set bridge br0 datapath_type=netdev")
        return self

    @staticmethod
    def address(index):
        return f"198.18.9.{index + 1}"

    def add(self, index, **options):
        words = "".join(f" options:{key.replace('_', '-') if key != 'n_rxq' else key}={value}" for key, value in options.items())
        self.host.vsctl(f"add-port br0 p{index + 1} -- set Interface p{index + 1} type=dpdk ofport_request={index + 1} "
                        f"options:dpdk-devargs={self.host.pci(index)}{words}")
        error = self.host.column(f"p{index + 1}", "error")
        assert error == "[]", f"{error}\n{self.host.log()[-3000:]}"

    def talk(self, one, other, seconds=20):
        wait_until(lambda: self.outside[one].ping(self.address(other), 1) == 1, seconds,
                   lambda: f"{KINDS[one]} reaches {KINDS[other]}: {self.host.ofctl('dump-ports br0')}{self.host.log()[-2000:]}")

    def remove(self):
        self.host.stop()
        for namespace in self.outside:
            namespace.remove()
        shutil.rmtree(self.folder, ignore_errors=True)


@pytest.fixture(scope="module")
def site():
    site = Site()
    try:
        yield site.start()
    finally:
        site.remove()


def test_three_kinds_of_nics_forward(site):
    for index in range(len(KINDS)):
        site.add(index, **({"n_rxq": QUEUES} if index else {}))
    for one, other in ((0, 1), (1, 2), (2, 0)):
        site.talk(one, other)
    for index, driver in enumerate(("net_e1000_em", "net_vmxnet3", "net_virtio")):
        assert site.host.column(f"p{index + 1}", "status:driver_name") == driver
        assert site.host.column(f"p{index + 1}", "status:device") == site.host.pci(index)
        assert site.host.column(f"p{index + 1}", "link_state") == "up"
        assert site.host.column(f"p{index + 1}", "mac_in_use") == f"52:54:00:00:09:{index:02x}"


def test_received_packets_are_spread_over_queues(site):
    """Flows from outside come by both queues of the multi-queue NIC, and all of them arrive."""
    before = queue_packets(site, 2)
    count = 64
    program = ("import socket\ns = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(%d)]\n"
               "for n, one in enumerate(s):\n one.bind(('%s', 20000 + n)); one.sendto(b'x' * 64, ('%s', 9))\n"
               % (count, site.address(2), site.address(0)))
    site.outside[2].run("python3", "-c", program)
    now = wait_until(lambda: (lambda seen: seen if sum(seen) - sum(before) >= count else None)(queue_packets(site, 2)), 20,
                     lambda: f"{count} datagrams are received: {queue_packets(site, 2)}, {before} before")
    assert len(now) == QUEUES and all(after > earlier for after, earlier in zip(now, before)), (before, now)
    shown = site.host.appctl("dpif-netdev/pmd-rxq-show")
    assert all(f"port: p3                queue-id: {queue:2d}" in shown or re.search(rf"p3\s+queue-id:\s+{queue}", shown) for queue in (0, 1)), shown


def queue_packets(site, index):
    """Packets that each receive queue of a port has had, by the device's own counters."""
    text = site.host.column(f"p{index + 1}", "statistics")
    found = dict(re.findall(r"rx_q(\d+)_?(?:good_)?packets=(\d+)", text))
    assert found, text
    return [int(found[key]) for key in sorted(found, key=int)]


def test_frames_of_nine_kilobytes(site):
    """A raised MTU holds for the device, its buffers and what is forwarded; every byte arrives."""
    for index, mtu in ((0, 9000), (2, 9000)):
        site.host.vsctl(f"set Interface p{index + 1} mtu_request={mtu}")
        wait_until(lambda: site.host.column(f"p{index + 1}", "mtu") == str(mtu), 20, lambda: site.host.column(f"p{index + 1}", "mtu") + site.host.log()[-2000:])
        assert site.host.column(f"p{index + 1}", "error") == "[]"
        site.outside[index].run("ip", "link", "set", site.taps[index], "mtu", str(mtu))
    site.talk(0, 2)
    big = site.outside[0].run("ping", "-q", "-c", "4", "-i", "0.2", "-s", "8900", "-M", "do", "-W", "2", site.address(2), check=False)
    assert " 4 received" in big.stdout, big.stdout + site.host.ofctl("dump-ports br0")
    error = wrong_mtu(site)
    assert "9703" in error and "9702" in error, error


def wrong_mtu(site):
    site.host.vsctl("set Interface p2 mtu_request=9703")
    try:
        return wait_until(lambda: (lambda text: text if text != "[]" else None)(site.host.column("p2", "error")), 10, "an error for 9703")
    finally:
        site.host.vsctl("clear Interface p2 mtu_request")


def test_the_link_follows_the_cable(site):
    for index in (0, 2):
        for up in (False, True):
            site.host.qmp(("set_link", {"name": f"nic{index}", "up": up}))
            wanted = "up" if up else "down"
            wait_until(lambda: site.host.column(f"p{index + 1}", "link_state") == wanted, 20, f"{KINDS[index]}: link_state {wanted}")
    site.talk(0, 2)


def test_options_of_hardware(site):
    """What a NIC can do is done, what it cannot is said; the port works either way."""
    site.host.vsctl("set Interface p1 options:rx-flow-ctrl=true options:rx-steering=rss+lacp options:dpdk-vf-mac=52:54:00:00:00:09")
    status = wait_until(lambda: (lambda text: text if "rx-steering" in text else None)(site.host.column("p1", "status")), 20,
                        lambda: site.host.column("p1", "status"))
    # What is shown is what the link came to: this one's other side may agree to pause frames in both directions.
    assert any(f"flow_ctrl={modes}," in status.replace('"', '') for modes in ("rx", "full")), status
    assert "rx-steering=unsupported" in status.replace('"', ''), status
    assert "no representor" in status, status
    site.talk(0, 1)


def test_a_nic_tells_of_its_link(site):
    """With dpdk-lsc-interrupt nobody asks: an interrupt through vfio says so. (QEMU's e1000e sends none to this driver.)"""
    site.host.vsctl("set Interface p3 options:dpdk-lsc-interrupt=true")
    site.talk(0, 2)
    try:
        site.host.qmp(("set_link", {"name": "nic2", "up": False}))
        wait_until(lambda: site.host.column("p3", "link_state") == "down", 20, "the interrupt says that the link is down")
    finally:
        site.host.qmp(("set_link", {"name": "nic2", "up": True}))
    wait_until(lambda: site.host.column("p3", "link_state") == "up", 20, "the interrupt says that the link is up")
    assert "unsupported" not in site.host.column("p3", "status")
    site.talk(0, 2)


def test_errors_say_what_to_do(site):
    for devargs, words in (("0000:99:00.0", ["no PCI device 0000:99:00.0", site.host.pci(0)]), ("0000:00:1f.2", ["0000:00:1f.2", "bind it to vfio-pci"]),
                           (site.host.pci(0), ["in use by port p1"]), ("0000:01:00", ["0000:01:00"])):
        site.host.vsctl(f"add-port br0 bad -- set Interface bad type=dpdk options:dpdk-devargs={devargs}", check=False)
        error = site.host.column("bad", "error")
        assert all(word in error for word in words), (devargs, error)
        site.host.vsctl("del-port bad")


def test_a_nic_is_pulled_and_comes_back(site):
    """The kernel asks for the device, the port gives it back and says so; plugged in again, it works without anybody's help."""
    host = site.host
    host.qmp(("device_del", {"id": "nic1"}))
    wait_until(lambda: f"the device '{host.pci(1)}' of port p2 was taken out of the machine" in host.log(), 60, lambda: host.log()[-2000:], interval=0.5)
    wait_until(lambda: host.column("p2", "ofport") == "-1", 10, lambda: host.column("p2", "ofport"))
    wait_until(lambda: host.run(f"test -e /sys/bus/pci/devices/{host.pci(1)}", check=False)[0] != 0, 30, "the device has left the machine")
    site.talk(0, 2)
    wait_until(lambda: "no PCI device" in host.column("p2", "error"), 20, lambda: host.column("p2", "error"))
    # as QEMU's own device of that name is gone by then, so is the name
    wait_until(lambda: plugged_in(site), 20, "QEMU takes the device again", interval=0.5)
    wait_until(lambda: host.run(f"test -e /sys/bus/pci/devices/{host.pci(1)}", check=False)[0] == 0, 30, "the device is in the machine again")
    host.bind(host.pci(1))
    wait_until(lambda: host.column("p2", "error") == "[]", 30, lambda: host.column("p2", "error"))
    site.talk(0, 1)


def plugged_in(site):
    try:
        site.host.qmp(("device_add", {"driver": KINDS[1], "id": "nic1", "bus": "slot1", "netdev": "net1", "mac": "52:54:00:00:09:01", "romfile": ""}))
        return True
    except HarnessError as error:
        if "Duplicate" in str(error) or "in use" in str(error):
            return False
        raise


def test_the_daemon_gives_the_devices_back(site):
    """It ends as it should; the next one finds the same NICs."""
    site.host.run(f"kill $(cat {site.host.RUN}/apusd.pid)")
    wait_until(lambda: site.host.run("test -s /tmp/status", check=False)[0] == 0, 30, lambda: site.host.log()[-2000:])
    assert site.host.run("cat /tmp/status").strip() == "0", site.host.log()[-2000:]
    site.host.run("rm /tmp/status")
    site.host.start_switch()
    site.talk(0, 1, 60)
    site.talk(1, 2, 60)
