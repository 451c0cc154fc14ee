"""Physical NICs: the daemon runs in a machine with an IOMMU and NICs of three kinds, which QEMU emulates down to their registers.

Each NIC is bound to vfio-pci and given to Apus by its PCI address; behind each is a namespace outside of the machine. Without KVM
the machine is slow (a boot takes ten seconds and more), so one machine serves all tests of the file, in order.
"""
import os
import shutil
import socket
import tempfile

import pytest

from Harness.netns import TapNamespace
from Harness.process import wait_until
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
