"""Connections to controllers: made, lost and made again; roles, fail modes, TLS; the field's own client in every version; os-ken's applications."""
import os
import re
import struct
import subprocess

import pytest

from Harness.controller import Controller, Listener, OsKen, certificates, osken_missing, server_context
from Harness.packets import udp_frame
from Harness.process import HarnessError, run, wait_until

VERSIONS = {1: "OpenFlow10", 2: "OpenFlow11", 3: "OpenFlow12", 4: "OpenFlow13", 5: "OpenFlow14", 6: "OpenFlow15"}
HELLO, ERROR, FEATURES_REQUEST, FEATURES_REPLY, PACKET_IN, PORT_STATUS = 0, 1, 5, 6, 10, 12
ROLE_REQUEST, ROLE_REPLY, ROLE_STATUS = 24, 25, 30
NICIRA = 0x2320
needs_osken = pytest.mark.skipif(osken_missing() is not None, reason=str(osken_missing()))


def controller_row(switch):
    rows = switch.rows("Controller")
    return rows[0] if len(rows) == 1 else None


def set_controllers(switch, *targets, bridge="br0", **columns):
    switch.vsctl("set-controller", bridge, *targets)
    for key, value in columns.items():
        for row in switch.rows("Controller"):
            switch.vsctl("set", "Controller", row["_uuid"], f"{key}={value}")


@pytest.fixture
def listener():
    with Listener() as made:
        yield made


# Connecting

@pytest.mark.parametrize("version", VERSIONS)
def test_connects_and_negotiates_each_version(bridge, listener, version):
    set_controllers(bridge, listener.target)
    with listener.accept(version) as controller:
        assert controller.hello[0] == 6, "the switch's hello says the highest version it has"
        got = controller.ask(FEATURES_REQUEST)
        assert got[:2] == (version, FEATURES_REPLY)
        wait_until(lambda: controller_row(bridge)["is_connected"], 10, "is_connected")
        row = controller_row(bridge)
        assert row["role"] == "other" and row["status"]["state"] == "ACTIVE", row
        assert "sec_since_connect" in row["status"]
    wait_until(lambda: not controller_row(bridge)["is_connected"], 10, "the end is seen")


def test_a_bitmap_decides_where_version_bytes_would_not(bridge, listener):
    set_controllers(bridge, listener.target)
    # A controller whose header says 1.5 and whose bitmap says 1.0 and 1.2.
    with listener.accept(6, hello=False) as controller:
        controller.send(HELLO, struct.pack("!HHI", 1, 8, 1 << 1 | 1 << 3))
        assert controller.receive()[1] == HELLO
        controller.version = 3
        assert controller.ask(FEATURES_REQUEST)[:2] == (3, FEATURES_REPLY)


def test_protocols_limit_versions(bridge, listener):
    bridge.vsctl("set", "bridge", "br0", "protocols=OpenFlow10,OpenFlow13")
    set_controllers(bridge, listener.target)
    with listener.accept(5, hello=False) as controller:
        assert controller.receive()[0] == 4
        controller.send(HELLO, struct.pack("!HHI", 1, 8, 1 << 5), xid=9)
        kind, body = controller.receive()[1::2]
        assert kind == ERROR and struct.unpack_from("!HH", body) == (0, 0), "OFPHFC_INCOMPATIBLE"
        assert controller.receive() is None
    assert "OpenFlow13" not in bridge.ofctl("show", version="OpenFlow14", check=False).stdout
    assert bridge.ofctl("show", version="OpenFlow14", check=False).returncode != 0
    assert bridge.ofctl("show", version="OpenFlow13")


def test_connects_again_with_backoff(bridge, listener):
    set_controllers(bridge, listener.target, max_backoff=1000)
    for _ in range(3):
        listener.accept().close()
    wait_until(lambda: "sec_since_disconnect" in controller_row(bridge)["status"], 10, "the status tells of the end")
    assert controller_row(bridge)["status"]["state"] in ("BACKOFF", "CONNECTING", "ACTIVE")


def test_nobody_listens(bridge):
    set_controllers(bridge, "tcp:127.0.0.1:1")
    wait_until(lambda: controller_row(bridge)["status"].get("last_error") == "Connection refused", 10, lambda: controller_row(bridge)["status"])
    assert controller_row(bridge)["status"]["state"] in ("BACKOFF", "CONNECTING")


def test_del_controller_disconnects(bridge, listener):
    set_controllers(bridge, listener.target)
    controller = listener.accept()
    bridge.vsctl("del-controller", "br0")
    assert controller.receive(10) is None
    assert bridge.rows("Controller") == []


def test_several_controllers_and_a_unix_one(bridge, listener):
    path = bridge.path("mine.sock")
    with Listener(path) as local:
        set_controllers(bridge, listener.target, local.target)
        with listener.accept() as one, local.accept(1) as two:
            assert one.ask(FEATURES_REQUEST)[1] == two.ask(FEATURES_REQUEST)[1] == FEATURES_REPLY
    os.unlink(path)


def test_passive_controllers(bridge):
    set_controllers(bridge, "ptcp:0:127.0.0.1")
    wait_until(lambda: "bound_port" in controller_row(bridge)["status"], 10, "bound_port")
    port = controller_row(bridge)["status"]["bound_port"]
    for version in VERSIONS.values():
        assert "n_tables:254" in run(["ovs-ofctl", "-O", version, "show", f"tcp:127.0.0.1:{port}"]).stdout
    set_controllers(bridge, "punix:br0.passive")
    wait_until(lambda: os.path.exists(bridge.path("br0.passive")), 10, "br0.passive")
    assert run(["ovs-ofctl", "probe", f"unix:{bridge.path('br0.passive')}"]).returncode == 0


@pytest.mark.apus
def test_what_cannot_be_a_controller_says_why(bridge):
    for target, words in (("unix:/etc/passwd", "run directory"), ("punix:other.sock", "br0."), ("nonsense", "tcp:HOST")):
        set_controllers(bridge, target)
        wait_until(lambda: words in controller_row(bridge)["status"].get("last_error", ""), 10, lambda: controller_row(bridge)["status"])
    set_controllers(bridge, "tcp:127.0.0.1:1", connection_mode="in-band")
    wait_until(lambda: "out-of-band" in controller_row(bridge)["status"].get("last_error", ""), 10, lambda: controller_row(bridge)["status"])


def test_mod_port_is_told_as_port_status(bridge, listener):
    set_controllers(bridge, listener.target)
    with listener.accept(4) as controller:
        controller.barrier()
        bridge.ofctl("mod-port", "br0", "noflood", version="OpenFlow10")
        body = controller.wait(PORT_STATUS)[3]
        assert body[0] == 2 and struct.unpack_from("!I", body, 8)[0] == 0xfffffffe


# Roles

def role(controller, role, generation):
    return controller.ask(ROLE_REQUEST, struct.pack("!IIQ", role, 0, generation))


def test_roles(bridge):
    with Listener() as first, Listener() as second:
        set_controllers(bridge, first.target, second.target)
        with first.accept(5) as one, second.accept(5) as two:
            assert struct.unpack("!IIQ", role(one, 2, 10)[3]) == (2, 0, 10)
            wait_until(lambda: sorted(row["role"] for row in bridge.rows("Controller")) == ["master", "other"], 10, "the role is in the database")
            assert role(two, 2, 9)[1] == ERROR, "a generation from before"
            assert struct.unpack("!IIQ", role(two, 2, 11)[3]) == (2, 0, 11)
            body = one.wait(ROLE_STATUS)[3]
            assert struct.unpack_from("!IB", body) == (3, 0), "secondary, because another one asked"
            # A secondary may look, not touch.
            flow_mod = struct.pack("!QQBBHHHIIIHH", 0, 0, 0, 0, 0, 0, 1, 0xffffffff, 0xffffffff, 0xffffffff, 0, 0) + struct.pack("!HH4x", 1, 4)
            kind, body = one.ask(14, flow_mod, answer=21)[1::2]
            assert kind == ERROR and struct.unpack_from("!HH", body) == (1, 10), "OFPBRC_IS_SLAVE"
            assert one.ask(FEATURES_REQUEST)[1] == FEATURES_REPLY
            two.send(14, flow_mod)
            two.barrier()
            assert "priority=1" in bridge.ofctl("dump-flows", version="OpenFlow13")


# Packets

def packet_ins(controller):
    return [message for message in controller.backlog if message[1] == PACKET_IN]


def test_a_miss_goes_to_controllers_of_the_versions_that_want_it(bridge, cable):
    with Listener() as first, Listener() as second:
        set_controllers(bridge, first.target, second.target)
        with first.accept(1) as old, second.accept(4) as new:
            bridge.add_port("source", "dpdk", ofport=1, dpdk_devargs=f"net_af_packet0,iface={cable.device}")
            old.ask(18, answer=19)
            cable.send([udp_frame()])
            body = old.wait(PACKET_IN)[3]
            buffer, length, port, reason = struct.unpack_from("!IHHB", body)
            assert (buffer, length, port, reason) == (0xffffffff, len(udp_frame()), 1, 0)
            assert body[10:] == udp_frame()[:128]
            new.barrier()
            assert packet_ins(new) == []
            bridge.vsctl("del-port", "source")


def test_packet_ins_are_limited(bridge, cable):
    with Listener() as listener:
        set_controllers(bridge, listener.target, controller_rate_limit=100, controller_burst_limit=25)
        with listener.accept(4) as controller:
            bridge.add_port("source", "dpdk", ofport=1, dpdk_devargs=f"net_af_packet0,iface={cable.device}")
            bridge.ofctl("add-flow", "actions=controller")
            controller.barrier()
            cable.send([udp_frame(src_port=1000 + n) for n in range(500)])
            wait_until(lambda: bridge.flow_packets("") >= 500, 10, "all have been looked at")
            wait_until(lambda: int(controller_row(bridge)["status"].get("packet-in-action-dropped", 0)) > 0, 10, lambda: controller_row(bridge)["status"])
            bridge.vsctl("del-port", "source")


# Fail modes

def test_standalone_forwards_without_controllers(switch):
    switch.vsctl("--if-exists", "del-br", "brf")
    switch.vsctl("add-br", "brf", "--", "set", "bridge", "brf", "datapath_type=netdev")
    assert "NORMAL" in switch.ofctl("dump-flows", bridge="brf")
    with Listener() as listener:
        set_controllers(switch, listener.target, bridge="brf")
        with listener.accept(4):
            assert "NORMAL" not in switch.ofctl("dump-flows", bridge="brf")
    switch.vsctl("del-controller", "brf")
    assert "NORMAL" in switch.ofctl("dump-flows", bridge="brf")
    assert switch.vsctl("get-fail-mode", "brf") == ""
    switch.vsctl("set-fail-mode", "brf", "secure")
    assert switch.vsctl("get-fail-mode", "brf") == "secure"
    assert "NORMAL" not in switch.ofctl("dump-flows", bridge="brf")
    switch.vsctl("del-br", "brf")


@pytest.mark.apus
def test_failing_open_and_back(make_switch):
    switch = make_switch(arguments=["--enable-dummy"])
    switch.add_bridge()
    with Listener() as listener:
        set_controllers(switch, listener.target, max_backoff=1000)
        with listener.accept(4) as controller:
            controller.barrier()
            switch.ofctl("add-flow", "priority=7,actions=drop")
    trace = lambda: switch.appctl("ofproto/trace", "br0", "in_port=LOCAL,dl_src=02:00:00:00:00:01,dl_dst=02:00:00:00:00:02")
    switch.appctl("time/warp", "20000")
    wait_until(lambda: "by itself" in trace(), 20, trace)
    assert "priority=7" not in switch.ofctl("dump-flows")
    with Listener() as again:
        set_controllers(switch, again.target)
        with again.accept(4) as controller:
            controller.barrier()
            wait_until(lambda: "by itself" not in trace(), 20, trace)


# TLS

def test_tls(bridge, folder):
    paths = certificates(folder)
    bridge.vsctl("set-ssl", paths["switch-key"], paths["switch"], paths["ca"])
    with Listener(tls=server_context(paths)) as listener:
        set_controllers(bridge, listener.target, max_backoff=1000)
        with listener.accept(4) as controller:
            assert controller.ask(FEATURES_REQUEST)[1] == FEATURES_REPLY
            assert dict(entry[0] for entry in controller.socket.getpeercert()["subject"])["commonName"] == "switch"
            wait_until(lambda: controller_row(bridge)["is_connected"], 10, "is_connected")
    bridge.vsctl("del-controller", "br0", "--", "del-ssl")


def test_tls_refuses_strangers(bridge, folder):
    paths = certificates(folder)
    bridge.vsctl("set-ssl", paths["switch-key"], paths["switch"], paths["ca"])
    with Listener(tls=server_context(paths, "stranger")) as listener:
        set_controllers(bridge, listener.target, max_backoff=1000)
        with pytest.raises((OSError, HarnessError)):
            listener.accept(4)
        wait_until(lambda: controller_row(bridge)["status"].get("last_error"), 10, "last_error")
        assert not controller_row(bridge)["is_connected"]
    # And it refuses clients without a certificate of the authority.
    set_controllers(bridge, "pssl:0:127.0.0.1")
    wait_until(lambda: "bound_port" in (controller_row(bridge) or {"status": {}})["status"], 10, "bound_port")
    target = f"ssl:127.0.0.1:{controller_row(bridge)['status']['bound_port']}"

    def probe(name):
        return run(["ovs-ofctl", "--timeout=5", f"--private-key={paths[name + '-key']}", f"--certificate={paths[name]}", f"--ca-cert={paths['ca']}", "probe", target],
                   check=False).returncode
    assert probe("controller") == 0
    assert probe("stranger") != 0
    bridge.vsctl("del-controller", "br0", "--", "del-ssl")


def test_tls_takes_the_authority_from_the_first_peer(bridge, folder):
    paths = certificates(folder)
    context = server_context(paths)
    with open(f"{folder}/chain.pem", "w") as chain:
        for name in ("controller", "ca"):
            with open(paths[name]) as part:
                chain.write(part.read())
    context.load_cert_chain(f"{folder}/chain.pem", paths["controller-key"])
    taken = f"{folder}/taken.pem"
    bridge.vsctl("--", "--bootstrap", "set-ssl", paths["switch-key"], paths["switch"], taken)
    with Listener(tls=context) as listener:
        set_controllers(bridge, listener.target, max_backoff=1000)
        try:
            listener.accept(4).close()
        except (OSError, HarnessError):
            pass
        wait_until(lambda: os.path.exists(taken), 10, taken)
        with listener.accept(4) as controller:
            assert controller.ask(FEATURES_REQUEST)[1] == FEATURES_REPLY
    der = [subprocess.run(["openssl", "x509", "-in", path, "-outform", "der"], capture_output=True).stdout for path in (taken, paths["ca"])]
    assert der[0] == der[1] != b""
    bridge.vsctl("del-controller", "br0", "--", "del-ssl")


@pytest.mark.apus
def test_tls_without_files_says_so(bridge, listener):
    set_controllers(bridge, listener.target.replace("tcp", "ssl"))
    wait_until(lambda: "private key must be configured" in controller_row(bridge)["status"].get("last_error", ""), 10, lambda: controller_row(bridge)["status"])


# The field's client

@pytest.mark.parametrize("version", VERSIONS.values())
def test_ofctl_in_every_version(bridge, version):
    assert "n_tables:254, n_buffers:0" in bridge.ofctl("show", version=version)
    assert "LOCAL" in bridge.ofctl("dump-ports-desc", version=version)
    assert re.search(r"LOCAL: rx pkts=", bridge.ofctl("dump-ports", version=version))
    assert "Nicira, Inc." in bridge.ofctl("dump-desc", version=version)
    assert "active=" in bridge.ofctl("dump-tables", version=version)
    bridge.ofctl("add-flow", "tcp,tp_dst=80,actions=LOCAL", version=version)
    assert "tp_dst=80" in bridge.ofctl("dump-flows", version=version)
    assert "flow_count=1" in bridge.ofctl("dump-aggregate", version=version)
    for flag, word in (("down", "PORT_DOWN"), ("no-receive", "NO_RECV"), ("no-forward", "NO_FWD"), ("no-packet-in", "NO_PACKET_IN")):
        bridge.ofctl("mod-port", "br0", flag, version=version)
        assert word in bridge.ofctl("show", version="OpenFlow10"), flag
        bridge.ofctl("mod-port", "br0", {"down": "up"}.get(flag, flag.removeprefix("no-")), version=version)
        assert word not in bridge.ofctl("show", version="OpenFlow10"), flag
    for mode in ("drop", "nx-match", "normal"):
        bridge.ofctl("set-frags", mode, version=version)
        assert bridge.ofctl("get-frags", version=version).strip() == mode
    assert "received from" in bridge.ofctl("ping", version=version) or "bytes" in bridge.ofctl("ping", version=version)
    assert bridge.ofctl("probe", version=version) == ""
    bridge.ofctl("del-flows", version=version)
    assert "tp_dst" not in bridge.ofctl("dump-flows", version=version)
    assert bridge.ofctl("queue-stats", version=version)
    bridge.ofctl("queue-get-config", version=version)


@pytest.mark.parametrize("version", VERSIONS.values())
def test_monitors_are_told_of_ports_packets_and_removals(bridge, version, folder):
    log = f"{folder}/monitor.log"
    with open(log, "wb") as out:
        monitor = subprocess.Popen(["ovs-ofctl", "-O", version, "monitor", f"unix:{bridge.path('br0.mgmt')}", "65534"], stdout=out, stderr=out, env=bridge.env)
    text = lambda: open(log).read()
    try:
        # It listens once the switch has its miss length: a port's change is told then.
        def told():
            bridge.ofctl("mod-port", "br0", "no-receive", version="OpenFlow10")
            bridge.ofctl("mod-port", "br0", "receive", version="OpenFlow10")
            return "PORT_STATUS" in text()
        wait_until(told, 10, text)
        bridge.ofctl("add-flow", "priority=3,cookie=0x5,send_flow_rem,idle_timeout=60,tcp,tp_dst=80,actions=LOCAL", version=version)
        bridge.ofctl("packet-out", f"in_port=LOCAL,packet={udp_frame().hex()},actions=controller", version=version)
        wait_until(lambda: re.search(r"in_port=LOCAL \(via (action|packet_out)\) data_len=60", text()), 10, text)
        bridge.ofctl("del-flows", version=version)
        wait_until(lambda: re.search(r"FLOW_REMOVED.*priority=3,tcp,tp_dst=80 reason=delete.* cookie:0x5 .*idle60", text()), 10, text)
    finally:
        monitor.terminate()
        monitor.wait()


def test_statistics_of_a_port_that_is_not_there(bridge):
    assert "0 ports" in bridge.ofctl("dump-ports", "77")


def test_benchmark(bridge):
    assert "Finished in" in bridge.ofctl("benchmark", "8", "100")


def test_description_from_the_configuration(bridge):
    bridge.vsctl("set", "bridge", "br0", "other_config:dp-desc=here", "other_config:dp-sn=42")
    text = bridge.ofctl("dump-desc")
    assert "DP Description: here" in text and "Serial Num: 42" in text


@pytest.mark.parametrize("version", VERSIONS.values())
def test_monitors_tell_of_flows(bridge, version, folder):
    bridge.ofctl("add-flow", "in_port=1,actions=2", version=version)
    log = f"{folder}/monitor.log"
    with open(log, "wb") as out:
        monitor = subprocess.Popen(["ovs-ofctl", "-O", version, "monitor", f"unix:{bridge.path('br0.mgmt')}", "watch:"], stdout=out, stderr=out, env=bridge.env)
    text = lambda: open(log).read()
    try:
        wait_until(lambda: re.search(r"event=(ADDED|INITIAL) table=0 cookie=0 in_port=1 actions=output:2", text()), 10, text)
        bridge.ofctl("add-flow", "in_port=2,actions=3", version=version)
        bridge.ofctl("mod-flows", "in_port=1,actions=4", version=version)
        bridge.ofctl("del-flows", "in_port=2", version=version)
        for line in ("event=ADDED table=0 cookie=0 in_port=2 actions=output:3", "event=MODIFIED table=0 cookie=0 in_port=1 actions=output:4",
                     "event=DELETED reason=delete table=0 cookie=0 in_port=2 actions=output:3"):
            wait_until(lambda: line in text(), 10, text)
    finally:
        monitor.terminate()
        monitor.wait()


def test_snoop_hears_controllers(bridge, listener, folder):
    set_controllers(bridge, listener.target)
    with listener.accept(4) as controller:
        controller.barrier()
        log = f"{folder}/snoop.log"
        with open(log, "wb") as out:
            snoop = subprocess.Popen(["ovs-ofctl", "-O", "OpenFlow13", "snoop", f"unix:{bridge.path('br0.snoop')}"], stdout=out, stderr=out, env=bridge.env)
        try:
            wait_until(lambda: controller.ask(FEATURES_REQUEST) and "OFPT_FEATURES_REPLY" in open(log).read(), 10, lambda: open(log).read())
            bridge.ofctl("dump-tables")
            controller.barrier()
            wait_until(lambda: "OFPT_BARRIER_REPLY" in open(log).read(), 10, lambda: open(log).read())
            assert "OFPST_TABLE" not in open(log).read(), "what clients of the bridge's own socket say is their business"
        finally:
            snoop.terminate()
            snoop.wait()


def test_geneve_options_are_kept(bridge):
    bridge.ofctl("add-tlv-map", "{class=0xffff,type=0,len=4}->tun_metadata0,{class=0xffff,type=1,len=8}->tun_metadata1")
    text = bridge.ofctl("dump-tlv-map")
    assert re.search(r"0xffff\s+0x1\s+8\s+tun_metadata1", text), text
    again = bridge.ofctl("add-tlv-map", "{class=0xffff,type=0,len=4}->tun_metadata5", check=False)
    assert "DUP_ENTRY" in again.stdout + again.stderr
    bridge.ofctl("del-tlv-map")
    assert "tun_metadata" not in bridge.ofctl("dump-tlv-map")


# os-ken

@pytest.fixture
def osken(folder):
    made = []

    def make(application, *arguments, **options):
        made.append(OsKen(application, folder, *arguments, **options))
        return made[-1]
    yield make
    for app in made:
        app.stop()


@needs_osken
def test_osken_learning_switch(bridge, osken, namespace):
    first, second = namespace("10.7.0.1/24"), namespace("10.7.0.2/24")
    bridge.add_port("p1", "dpdk", ofport=1, dpdk_devargs=f"net_af_packet1,iface={first.device}")
    bridge.add_port("p2", "dpdk", ofport=2, dpdk_devargs=f"net_af_packet2,iface={second.device}")
    app = osken("learning")
    set_controllers(bridge, app.target, max_backoff=1000)
    wait_until(lambda: app.events("features"), 20, app.child.tail)
    wait_until(lambda: "CONTROLLER" in bridge.ofctl("dump-flows", version="OpenFlow13"), 10, "the table-miss rule")
    wait_until(lambda: first.ping("10.7.0.2", 1), 20, app.child.tail)
    wait_until(lambda: "dl_dst" in bridge.ofctl("dump-flows", version="OpenFlow13"), 10, "a learned rule")
    assert not app.events("error"), app.events("error")
    assert first.ping("10.7.0.2", 3) == 3
    bridge.vsctl("del-port", "p1", "--", "del-port", "p2")


@needs_osken
def test_osken_roles(bridge, osken):
    one = osken("role", "primary", "1")
    set_controllers(bridge, one.target, max_backoff=1000)
    wait_until(lambda: one.events("role"), 20, one.child.tail)
    two = osken("role", "primary", "2")
    bridge.vsctl("set-controller", "br0", one.target, two.target)
    wait_until(lambda: two.events("role"), 20, two.child.tail)
    wait_until(lambda: one.events("role-status") or len(one.events("features")) > 1, 20, one.child.tail)
    assert [event["role"] for event in two.events("role")] == [2]


@needs_osken
def test_osken_bundles(bridge, osken):
    app = osken("bundle")
    set_controllers(bridge, app.target, max_backoff=1000)
    # open, commit, open; and the commit of the second one fails with the error of its last message.
    wait_until(lambda: len(app.events("bundle")) >= 3 and len(app.events("error")) >= 2, 20, app.child.tail)
    assert [(event["id"], event["type"]) for event in app.events("bundle")] == [(1, 1), (1, 5), (2, 1)]
    flows = bridge.ofctl("dump-flows", version="OpenFlow14")
    assert all(f"table={table}," in flows for table in (10, 11, 5)) and "table=20," not in flows and "table=21," not in flows, flows


@needs_osken
def test_osken_flow_monitor(bridge, osken):
    app = osken("monitor")
    # The flow survives what setting a controller does to the tables only if it is added later: the monitor asks again.
    set_controllers(bridge, app.target, max_backoff=1000)
    wait_until(lambda: app.events("connected"), 20, app.child.tail)
    bridge.ofctl("add-flow", "table=4,priority=9,cookie=0x77,actions=drop", version="OpenFlow14")
    # os-ken 4.2 reads updates about flows that were there when it began, and trips over its own assertion at any other: it
    # connects anew, and is told of the flow as one that was there.
    app.stop()
    app = osken("monitor")
    bridge.vsctl("set", "Controller", bridge.rows("Controller")[0]["_uuid"], f'target="{app.target}"')
    wait_until(lambda: [event for event in app.events("update") if event["cookie"] == 0x77 and event["table"] == 4], 20, app.child.tail)


@needs_osken
def test_osken_over_tls(bridge, osken, folder):
    paths = certificates(folder)
    app = osken("learning", tls={"key": paths["controller-key"], "certificate": paths["controller"], "ca": paths["ca"]})
    bridge.vsctl("set-ssl", paths["switch-key"], paths["switch"], paths["ca"])
    set_controllers(bridge, app.target, max_backoff=1000)
    wait_until(lambda: app.events("features"), 20, app.child.tail)
    bridge.vsctl("del-controller", "br0", "--", "del-ssl")
