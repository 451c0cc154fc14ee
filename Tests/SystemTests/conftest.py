"""Fixtures of the system tests: a real daemon, real clients, real guests.

SWITCH=ovs runs the tests of common behaviour against Debian's OVS-DPDK, to check the expectations themselves; tests
marked `apus` are about what only Apus has. APUS_BIN names the folder of the binaries (default: .build/release, then debug).
"""
import os
import pathlib
import shutil
import sys
import tempfile

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from Harness.dummy import Suite  # noqa: E402
from Harness.netns import Cable, Namespace, isolate  # noqa: E402
from Harness.packets import read_pcap  # noqa: E402
from Harness.process import wait_until  # noqa: E402
from Harness.qemu import Guest  # noqa: E402
from Harness.switch import Switch  # noqa: E402
from Harness.testpmd import Testpmd  # noqa: E402

KIND = os.environ.get("SWITCH", "apus")
LOG_LEVEL = os.environ.get("APUS_LOG_LEVEL", "info")
LOG_LINES = 60


def pytest_configure(config):
    config.addinivalue_line("markers", "apus: only Apus does this; left out when the reference is tested")
    isolate()


def pytest_collection_modifyitems(config, items):
    if KIND != "apus":
        for item in items:
            if item.get_closest_marker("apus"):
                item.add_marker(pytest.mark.skip(reason="only Apus does this"))


LIVE = []


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    """The log of every switch that runs is shown, when a test failed."""
    outcome = yield
    report = outcome.get_result()
    if report.failed:
        for switch in LIVE:
            lines = [line for line in switch.log().splitlines() if "VHOST_CONFIG" not in line][-LOG_LINES:]
            report.sections.append((f"log of the switch in {switch.directory}", "\n".join(lines)))


def end(switch):
    """Stops a switch and checks how it went: status 0, no process, no socket left."""
    if switch in LIVE:
        LIVE.remove(switch)
    running = switch.daemon
    if running is not None:
        pid = running.pid
        early = running.returncode()
        log = switch.log()
        status = switch.stop()
        assert early is None, f"the daemon had ended by itself with status {early}:\n{log[-3000:]}"
        assert not os.path.exists(f"/proc/{pid}"), f"process {pid} is still there"
        if switch.kind == "apus":
            assert status == 0, f"the daemon ended with status {status}:\n{switch.log()[-3000:]}"
            left = [name for name in os.listdir(switch.directory) if name.endswith((".sock", ".ctl", ".mgmt", ".snoop", ".pid"))]
            assert not left, f"the daemon left {left} behind"
    switch.stop()


@pytest.fixture
def make_switch():
    """A maker of switches of one's own: `make_switch(other_config=..., start=False)`; all are ended and checked."""
    made = []

    def make(start=True, **options):
        options.setdefault("log_level", LOG_LEVEL)
        switch = Switch(KIND, **options)
        made.append(switch)
        LIVE.append(switch)
        return switch.start() if start else switch
    yield make
    try:
        for switch in made:
            end(switch)
    finally:
        for switch in made:
            switch.stop()
            switch.remove()


@pytest.fixture(scope="module")
def switch():
    """The module's switch: started once, ended and checked after the module's last test."""
    switch = Switch(KIND, log_level=LOG_LEVEL, other_config={"pmd-cpu-mask": "0x2"})
    LIVE.append(switch)
    try:
        switch.start()
        yield switch
        end(switch)
    finally:
        if switch in LIVE:
            LIVE.remove(switch)
        switch.stop()
        switch.remove()


@pytest.fixture
def bridge(switch):
    """The module's switch with a fresh bridge br0, whose flow table is empty; the bridge goes with the test."""
    switch.vsctl("--if-exists", "del-br", "br0")
    switch.add_bridge(secure=True)
    yield switch
    switch.vsctl("--if-exists", "del-br", "br0")


@pytest.fixture
def folder():
    """A short-named folder for sockets and captures."""
    path = tempfile.mkdtemp(prefix="at", dir="/tmp")
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture
def suite(folder):
    """A daemon with the field's test controls, started; ended after the test."""
    suite = Suite(folder)
    try:
        assert suite.started.returncode == 0, suite.started.stderr
        yield suite
    finally:
        suite.stop()


@pytest.fixture
def testpmd(folder):
    """A maker of testpmd guests, started; stopped after the test."""
    made = []

    def make(sockets, mode, **options):
        guest = Testpmd(sockets if isinstance(sockets, list) else [sockets], mode, folder, core=0, **options)
        made.append(guest)
        return guest.start()
    yield make
    for guest in made:
        guest.stop()


@pytest.fixture
def qemu(folder):
    """A maker of QEMU guests, booted; stopped after the test. `wait=False` leaves the wait to the test."""
    made = []

    def make(name, sockets, macs, wait=True, **options):
        guest = Guest(name, sockets, macs, folder, **options)
        made.append(guest)
        return guest.start(wait)
    yield make
    for guest in made:
        guest.stop()


@pytest.fixture
def namespace():
    """A maker of network namespaces with a veth pair; removed after the test."""
    made = []

    def make(address=None, mac=None, offloads=False):
        made.append(Namespace(address, mac, offloads))
        return made[-1]
    yield make
    for item in made:
        item.remove()


@pytest.fixture(scope="session")
def cable():
    """A veth pair on the host: `cable.device` is for the switch, and `cable.send(frames)` sends into the other end."""
    cable = Cable()
    yield cable
    cable.remove()


@pytest.fixture
def through(bridge, cable, folder):
    """Sends frames into port 1 and returns what left through port 2.

    `through(frames, flows, count)`: waits until all frames were received, and until `count` frames have left (default:
    as many as came in).
    """
    serial = [0]

    def run(frames, flows, count=None, version=None, seconds=10, add=None):
        serial[0] += 1
        count = len(frames) if count is None else count
        recorded = f"{folder}/out{serial[0]}.pcap"
        bridge.add_port("sink", "dpdk", ofport=2, dpdk_devargs=f"net_pcap{serial[0]},tx_pcap={recorded}")
        bridge.add_port("source", "dpdk", ofport=1, dpdk_devargs=f"net_af_packet{serial[0]},iface={cable.device}")
        bridge.ofctl("del-flows")
        for flow in flows:
            if add:
                add(flow)
            else:
                bridge.ofctl("add-flow", flow, version=version)
        try:
            before = bridge.port_stats()["1"]["rx_packets"] or 0
            cable.send(frames)
            wait_until(lambda: (bridge.port_stats()["1"]["rx_packets"] or 0) - before >= len(frames), seconds,
                       lambda: f"{len(frames)} frames received: {bridge.port_stats()}")
            if count:
                wait_until(lambda: len(read_pcap(recorded)) >= count, seconds,
                           lambda: f"{count} frames left: {len(read_pcap(recorded))}, {bridge.port_stats()}")
            return read_pcap(recorded)
        finally:
            bridge.vsctl("del-port", "br0", "source", "--", "del-port", "br0", "sink")
    return run
