"""Guests come, go, die and change under traffic. APUS_MATRIX=all runs every cell, else a few that differ in everything; APUS_CHURN=N
makes 256 ports come and go N times (default: 24 of them, twice)."""
import itertools
import os
import time

import pytest

from Harness.frontend import FrontEnd, Listener, PackedFrontEnd
from Harness.packets import udp_frame
from Harness.process import wait_until

pytestmark = pytest.mark.apus
ROLES, QUEUES, RINGS = ("server", "client"), (1, 2, 8), ("split", "packed")
CELLS = list(itertools.product(ROLES, QUEUES, RINGS))
if os.environ.get("APUS_MATRIX") != "all":
    CELLS = [("server", 1, "packed"), ("client", 2, "split"), ("server", 8, "split"), ("client", 8, "packed")]
CHURN = int(os.environ.get("APUS_CHURN", "2"))
PORTS = 256 if "APUS_CHURN" in os.environ else 24


def descriptors(switch):
    return len(os.listdir(f"/proc/{switch.daemon.pid}/fd"))


@pytest.mark.parametrize("role,queues,rings", CELLS, ids=lambda value: str(value))
def test_matrix(bridge, folder, testpmd, role, queues, rings):
    """Start, SIGKILL, start again with another number of queues; the port follows, and traffic resumes."""
    if role == "server":
        bridge.add_port("v1", "dpdkvhostuser", ofport=1)
        path = bridge.path("v1")
    else:
        path = f"{folder}/g1"
        bridge.add_port("v1", "dpdkvhostuserclient", ofport=1, vhost_server_path=path)
    bridge.ofctl("add-flow", "in_port=1,actions=in_port")
    extra = ",packed_vq=1" if rings == "packed" else ""
    for count in (queues, 1 if queues > 1 else 2):
        guest = testpmd(path, "flowgen", server=role == "client", queues=count, vdev=extra)
        guest.wait_traffic("rx", 2000)
        status = wait_until(lambda: bridge.interface("v1")["status"].get("num_of_vrings") == str(2 * count)
                            and bridge.interface("v1")["status"], 10, lambda: f"{count} queues: {dict(bridge.interface('v1')['status'])}")
        assert ("ring_packed" in status["negotiated"]) == (rings == "packed"), status
        guest.kill()
        bridge.wait_link("v1", up=False)
        assert bridge.interface("v1")["status"]["reason"]
        if role == "client":
            os.unlink(path)
    assert bridge.daemon.returncode() is None


DAEMON_CELLS = CELLS if os.environ.get("APUS_MATRIX") == "all" else [("server", 1, "packed"), ("client", 2, "split")]


@pytest.mark.parametrize("role,queues,rings", DAEMON_CELLS, ids=lambda value: str(value))
def test_matrix_of_the_switch(make_switch, folder, testpmd, role, queues, rings):
    """What the switch does under a guest's traffic: MTU, bridge, port and daemon change, die and come back. Traffic resumes.

    A guest that listens (the port is the client) connects again by itself, as QEMU does in both roles; virtio-user as the side that
    connects does not, so there a new guest takes the place of the old one.
    """
    switch = make_switch(other_config={"pmd-cpu-mask": "0x2"}, hugepages=True)
    path = switch.path("v1") if role == "server" else f"{folder}/g1"
    guest = None

    def add(name):
        switch.add_bridge(name, secure=True)
        if role == "server":
            switch.add_port("v1", "dpdkvhostuser", bridge=name, ofport=1)
        else:
            switch.add_port("v1", "dpdkvhostuserclient", bridge=name, ofport=1, vhost_server_path=path)
        switch.ofctl("add-flow", "in_port=1,actions=in_port", bridge=name)

    def boot():
        nonlocal guest
        if guest:
            guest.kill()
            if role == "client":
                os.unlink(path)
        guest = testpmd(path, "flowgen", server=role == "client", queues=queues, vdev=",packed_vq=1" if rings == "packed" else "")
        guest.wait_traffic("rx", 2000)

    def resumes():
        if role == "server":
            boot()
        else:
            guest.wait_traffic("rx", guest.ports()[0]["rx"] + 2000)
        switch.wait_link("v1")

    add("br0")
    boot()
    switch.vsctl("set", "Interface", "v1", "mtu_request=9000")
    guest.wait_traffic("rx", guest.ports()[0]["rx"] + 2000)
    assert switch.interface("v1")["mtu"] == 9000
    connections = wait_until(lambda: switch.interface("v1")["statistics"].get("vhost_connections"), 30, "a guest is counted")
    assert connections == 1, "the guest was cut off"
    switch.vsctl("del-port", "v1")
    switch.add_port("v1", "dpdkvhostuser" if role == "server" else "dpdkvhostuserclient", ofport=1,
                    **({} if role == "server" else {"vhost_server_path": path}))
    resumes()
    switch.vsctl("del-port", "v1")
    add("br1")
    resumes()
    switch.vsctl("del-br", "br1")
    add("br2")
    resumes()
    for end in (switch.kill9, switch.stop):
        end()
        switch.start()
        switch.ofctl("add-flow", "in_port=1,actions=in_port", bridge="br2")
        resumes()
    assert switch.daemon.returncode() is None


@pytest.mark.parametrize("kind", [FrontEnd, PackedFrontEnd], ids=["split", "packed"])
def test_a_guest_outlives_the_daemon_to_the_packet(make_switch, folder, kind):
    """The daemon is killed in mid traffic, again and again: no frame comes twice or damaged, at most a ring of them is lost, order stays."""
    switch = make_switch(other_config={"pmd-cpu-mask": "0x2"})
    switch.add_bridge(secure=True)
    listener = Listener(f"{folder}/g1")
    switch.add_port("v1", "dpdkvhostuserclient", ofport=1, vhost_server_path=f"{folder}/g1")
    switch.ofctl("add-flow", "in_port=1,actions=in_port")
    with listener.accept(kind=kind) as guest:
        guest.start()
        sent, heard = [], []

        def listen(wanted=None):
            deadline = time.monotonic() + 10
            while wanted is None or sum(number > wanted[0] for number in heard) < wanted[1]:
                for _, frame in guest.received():
                    number = int.from_bytes(frame[-4:], "big")
                    assert frame[:-4] == udp_frame(src_port=7, size=200)[:-4], "a frame is damaged"
                    heard.append(number)
                if wanted is None:
                    return
                assert time.monotonic() < deadline, f"{len(sent)} sent, {len(heard)} heard, of the last {wanted[1]} {sum(n > wanted[0] for n in heard)}"
                time.sleep(0.002)

        def send(count):
            for _ in range(count):
                sent.append(len(sent))
                guest.transmit(udp_frame(src_port=7, size=200)[:-4] + len(sent).to_bytes(4, "big"))

        # more than once round the ring before the first death, and not a whole number of rounds
        for _ in range(7):
            mark = len(sent)
            send(50)
            listen((mark, 50))
        for _ in range(4):
            send(60)
            switch.kill9()
            listen()
            switch.start()
            guest.reconnect(listener.connection())
            switch.ofctl("add-flow", "in_port=1,actions=in_port")
            switch.wait_link("v1")
            mark = len(sent)
            send(40)
            listen((mark, 40))
        assert heard == sorted(set(heard)), "frames came twice, or out of order"
        assert len(sent) - len(heard) <= 4 * guest.ring, (len(sent), len(heard))
        print(f"{len(sent)} sent, {len(heard)} heard over 4 deaths")
    listener.close()


QEMU_CELLS = list(itertools.product(ROLES, (1, 2), RINGS)) if os.environ.get("APUS_MATRIX") == "all" else [("client", 2, "packed")]


@pytest.mark.parametrize("role,queues,rings", QEMU_CELLS, ids=lambda value: str(value))
def test_matrix_of_linux_guests(make_switch, folder, qemu, namespace, role, queues, rings):
    """A Linux guest and a namespace ping each other; the guest is stopped, killed and started, the daemon killed and restarted."""
    switch = make_switch(other_config={"pmd-cpu-mask": "0x2"})
    switch.add_bridge(secure=True)
    outside = namespace("198.18.11.2/24")
    path = switch.path("v1") if role == "server" else f"{folder}/g1"
    if role == "server":
        switch.add_port("v1", "dpdkvhostuser", ofport=1)
    else:
        switch.add_port("v1", "dpdkvhostuserclient", ofport=1, vhost_server_path=path)
    switch.add_port(outside.device, ofport=2)
    # a guest has as many vectors as it has queues, or none: without them all queues share an interrupt
    options = {"server": role == "client", "queues": queues, "device": ",packed=on" if rings == "packed" else ""}

    def boot():
        guest = qemu("vm", [path], ["52:54:00:00:11:01"], **options)
        guest.address("198.18.11.1/24")
        return guest

    def talk(seconds=30):
        switch.ofctl("add-flow", "priority=1,actions=NORMAL")
        wait_until(lambda: outside.ping("198.18.11.1", 1) == 1, seconds, lambda: f"the guest answers: {switch.interface('v1')['status']}", alive=switch.daemon)

    guest = boot()
    talk()
    switch.wait_link("v1")
    assert ("ring_packed" in switch.interface("v1")["status"]["negotiated"]) == (rings == "packed")
    guest.qmp("stop")
    assert outside.ping("198.18.11.1", 1) == 0
    guest.qmp("cont")
    talk()
    switch.kill9()
    switch.start()
    talk()
    switch.vsctl("set", "Interface", "v1", "mtu_request=2000")
    talk()
    guest.kill()
    switch.wait_link("v1", up=False)
    if role == "client":
        os.unlink(path)
    boot()
    talk()


@pytest.mark.parametrize("role", ROLES)
def test_front_ends_that_come_and_go(bridge, folder, role):
    """Guests in a row, each heard; nothing is left of them."""
    path = bridge.path("v1") if role == "server" else f"{folder}/g1"
    listener = Listener(path) if role == "client" else None
    try:
        if role == "server":
            bridge.add_port("v1", "dpdkvhostuser", ofport=1)
        else:
            bridge.add_port("v1", "dpdkvhostuserclient", ofport=1, vhost_server_path=path)
        bridge.ofctl("add-flow", "in_port=1,actions=in_port")
        before = None
        for number in range(10 * CHURN + 10):
            with listener.accept() if listener else FrontEnd(path) as guest:
                guest.start()
                frame = udp_frame(src_port=2000 + number)
                guest.transmit(frame)
                assert guest.wait_frames(1)[0][1] == frame
            if number == 5:
                bridge.wait_link("v1", up=False)
                before = descriptors(bridge)
        if listener:
            listener.close()
        bridge.wait_link("v1", up=False)
        wait_until(lambda: descriptors(bridge) <= before, 10, lambda: f"{descriptors(bridge)} descriptors, {before} before")
    finally:
        if listener:
            listener.close()


def test_ports_come_and_go_in_numbers(bridge, folder):
    """Many ports at once, with guests on some, again and again: descriptors, sockets and folders are as before."""
    names = [f"v{number}" for number in range(1, PORTS + 1)]
    bridge.add_port("v0", "dpdkvhostuser", ofport=300)
    before = descriptors(bridge)
    for _ in range(CHURN):
        words = []
        for number, name in enumerate(names, 1):
            words += ["--", "add-port", "br0", name, "--", "set", "Interface", name, "type=dpdkvhostuser", f"ofport_request={number}"]
        bridge.vsctl(*words[1:], timeout=300)
        guests = [FrontEnd(bridge.path(name)).start() for name in names[:8]]
        for name in names[:8]:
            bridge.wait_link(name)
        bridge.vsctl(*[word for name in names for word in ("--", "del-port", name)][1:], timeout=300)
        for guest in guests:
            assert guest.is_cut_off()
            guest.close()
        assert not any(os.path.exists(bridge.path(name)) for name in names)
        wait_until(lambda: descriptors(bridge) <= before, 10, lambda: f"{descriptors(bridge)} descriptors, {before} before")
    assert len(os.listdir(bridge.path(".vhost"))) == 1


def test_sockets_have_owner_and_mode(bridge):
    bridge.add_port("v1", "dpdkvhostuser")
    assert os.stat(bridge.path("v1")).st_mode & 0o777 == 0o660
    bridge.add_port("v2", "dpdkvhostuser", vhost_sock_owner="nobody", vhost_sock_group="65534", vhost_sock_mode="0600")
    found = os.stat(bridge.path("v2"))
    assert (found.st_mode & 0o777, found.st_gid) == (0o600, 65534) and found.st_uid != 0
    bridge.add_port("v3", "dpdkvhostuser", check=False, vhost_sock_owner="no-such-user-here")
    assert "no-such-user-here" in "".join(bridge.interface("v3")["error"])


def test_a_port_that_waits_says_for_what(bridge, folder):
    def waits_for(name, reason):
        wait_until(lambda: reason in bridge.interface(name)["status"].get("reason", ""), 10, lambda: f"{dict(bridge.interface(name)['status'])}")

    bridge.add_port("v1", "dpdkvhostuserclient", vhost_server_path=f"{folder}/nobody")
    waits_for("v1", "No such file")
    bridge.add_port("v2", "dpdkvhostuser")
    waits_for("v2", "no front-end is connected")
