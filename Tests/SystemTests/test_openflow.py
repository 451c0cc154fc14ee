"""OpenFlow on BRIDGE.mgmt, through ovs-ofctl in the versions people use, and by hand where ovs-ofctl is too polite."""
import re
import struct

import pytest

from Harness.openflow import ECHO_REPLY, ECHO_REQUEST, FEATURES_REPLY, FEATURES_REQUEST, OpenFlow
from Harness.packets import udp_frame
from Harness.process import Child, HarnessError, run, wait_until

VERSIONS = [None, "OpenFlow13"]
FRAME = udp_frame().hex()


def flows(bridge, *words, version=None):
    """The flows as ovs-ofctl prints them, without counters and times, sorted."""
    text = bridge.ofctl("--no-stats", "dump-flows", *words, version=version)
    return sorted(line.strip() for line in text.splitlines() if "actions=" in line)


@pytest.mark.parametrize("version", VERSIONS)
def test_show_and_descriptions(bridge, version):
    bridge.add_port("tap1", "tap", ofport=3)
    text = bridge.ofctl("show", version=version)
    assert re.search(r"dpid:[0-9a-f]{16}", text) and "n_tables:254" in text
    assert version or re.search(r" 3\(tap1\): addr:", text) and re.search(r" LOCAL\(br0\): addr:", text)
    text = bridge.ofctl("dump-ports-desc", version=version)
    assert re.search(r" 3\(tap1\): addr:", text) and " LOCAL(br0)" in text
    assert bridge.get("Bridge", "br0", "datapath_id").strip('"') in bridge.ofctl("show")
    assert "Manufacturer" in bridge.ofctl("dump-desc", version=version)


@pytest.mark.parametrize("version", VERSIONS)
def test_add_dump_delete(bridge, version):
    texts = ["priority=10,in_port=1 actions=output:2", "priority=20,tcp,nw_src=10.0.0.0/8,tp_dst=80 actions=drop",
             "priority=30,ipv6,ipv6_dst=2001:db8::/32 actions=NORMAL", "priority=40,arp,arp_tpa=10.0.0.1 actions=FLOOD",
             "priority=50,dl_vlan=5 actions=strip_vlan,output:3", "priority=60,dl_src=02:00:00:00:00:01 actions=mod_dl_dst:02:00:00:00:00:02,LOCAL"]
    for text in texts:
        bridge.ofctl("add-flow", text.replace(" ", ","), version=version)
    shown = flows(bridge, version=version)
    assert len(shown) == len(texts)
    for number, text in zip(range(10, 70, 10), texts):
        (line,) = [line for line in shown if f"priority={number}," in line]
        assert text.split(" ")[0].split(",", 1)[1] in line, line
    assert len(flows(bridge, "tcp", version=version)) == 1
    bridge.ofctl("del-flows", "tcp", version=version)
    assert len(flows(bridge, version=version)) == len(texts) - 1
    bridge.ofctl("del-flows", version=version)
    assert flows(bridge, version=version) == []


@pytest.mark.parametrize("version", VERSIONS)
def test_strict_and_loose(bridge, version):
    for priority in (10, 20):
        bridge.ofctl("add-flow", f"priority={priority},ip,nw_dst=10.0.0.0/8,actions=drop", version=version)
        bridge.ofctl("add-flow", f"priority={priority},ip,nw_dst=10.1.0.0/16,actions=drop", version=version)
    bridge.ofctl("--strict", "mod-flows", "priority=10,ip,nw_dst=10.0.0.0/8,actions=output:1", version=version)
    assert len([line for line in flows(bridge, version=version) if "output:1" in line]) == 1
    bridge.ofctl("mod-flows", "ip,nw_dst=10.0.0.0/8,actions=output:2", version=version)
    assert len([line for line in flows(bridge, version=version) if "output:2" in line]) == 4
    bridge.ofctl("--strict", "del-flows", "priority=20,ip,nw_dst=10.1.0.0/16", version=version)
    assert len(flows(bridge, version=version)) == 3
    bridge.ofctl("del-flows", "ip,nw_dst=10.1.0.0/16", version=version)
    assert len(flows(bridge, version=version)) == 2
    bridge.ofctl("del-flows", "out_port=9", version=version)
    assert len(flows(bridge, version=version)) == 2
    bridge.ofctl("del-flows", "out_port=2", version=version)
    assert flows(bridge, version=version) == []


@pytest.mark.parametrize("version", VERSIONS)
def test_cookies(bridge, version):
    for cookie in (0x11, 0x12, 0x21):
        bridge.ofctl("add-flow", f"cookie={cookie:#x},priority={cookie},actions=drop", version=version)
    assert len(flows(bridge, "cookie=0x10/0xf0", version=version)) == 2
    bridge.ofctl("del-flows", "cookie=0x12/-1", version=version)
    assert len(flows(bridge, version=version)) == 2
    bridge.ofctl("del-flows", "cookie=0x10/0xf0", version=version)
    assert len(flows(bridge, version=version)) == 1


@pytest.mark.parametrize("version", ["OpenFlow10", "OpenFlow13", "OpenFlow14"])
def test_bundle_is_all_or_nothing(bridge, folder, version):
    bridge.ofctl("--bundle", "add-flows", "-", version="OpenFlow14", stdin="\n".join(f"table=3,udp,tp_dst={n},actions=drop" for n in range(1, 500)))
    assert len(flows(bridge, "table=3")) == 499
    # Output to a group that is not there is refused by the switch, not by ovs-ofctl.
    done = bridge.ofctl("--bundle", "add-flows", "-", version="OpenFlow14", check=False, stdin="table=4,actions=drop\ntable=4,ip,actions=group:77\n")
    assert done.returncode != 0
    assert flows(bridge, "table=4") == []
    bridge.ofctl("add-flows", "-", version=version, stdin="table=5,ip,actions=drop\ntable=5,arp,actions=drop\n")
    assert len(flows(bridge, "table=5")) == 2


def test_timeouts_and_flow_removed(bridge, folder):
    monitor = Child(["ovs-ofctl", "-O", "OpenFlow13", "monitor", f"unix:{bridge.path('br0.mgmt')}", "65534"], f"{folder}/monitor", env=bridge.env)
    try:
        wait_connected(bridge, monitor)
        bridge.ofctl("add-flow", "priority=1,udp,idle_timeout=1,cookie=0x1,send_flow_rem,actions=drop", version="OpenFlow13")
        bridge.ofctl("add-flow", "priority=2,tcp,hard_timeout=1,cookie=0x2,send_flow_rem,actions=drop", version="OpenFlow13")
        bridge.ofctl("add-flow", "priority=3,arp,cookie=0x3,send_flow_rem,actions=drop", version="OpenFlow13")
        assert len(flows(bridge)) == 3
        wait_until(lambda: len(flows(bridge)) == 1, 10, lambda: f"two of three flows are gone: {flows(bridge)}")
        bridge.ofctl("del-flows", "arp", version="OpenFlow13")

        def removed():
            text = monitor.output()
            found = dict(re.findall(r"OFPT_FLOW_REMOVED.*?reason=(\w+).*?cookie[:=](0x\d)", text)) or \
                {reason: cookie for cookie, reason in re.findall(r"OFPT_FLOW_REMOVED.*?cookie[:=](0x\d).*?reason=(\w+)", text)}
            return found == {"idle": "0x1", "hard": "0x2", "delete": "0x3"}
        wait_until(removed, 10, monitor.output, alive=monitor)
    finally:
        monitor.stop()


def wait_connected(bridge, monitor):
    """Waits until a monitor is served: a packet-out to the controller comes back to it."""
    def seen():
        bridge.ofctl("packet-out", f"in_port=controller packet={FRAME} actions=controller", version="OpenFlow13")
        return "OFPT_PACKET_IN" in monitor.output() or "NXT_PACKET_IN" in monitor.output()
    wait_until(seen, 10, "the monitor sees a packet-in", alive=monitor, interval=0.2)


@pytest.mark.parametrize("version", ["OpenFlow10", "OpenFlow13"])
def test_packet_in_by_a_flow(bridge, folder, cable, version):
    bridge.add_port("p1", "dpdk", ofport=1, dpdk_devargs=f"net_af_packet0,iface={cable.device}")
    bridge.ofctl("add-flow", "in_port=1,actions=controller:128", version=version)
    monitor = Child(["ovs-ofctl", "-O", version, "monitor", f"unix:{bridge.path('br0.mgmt')}", "65534"], f"{folder}/monitor", env=bridge.env)
    try:
        wait_connected_any(bridge, monitor, version)
        cable.send([udp_frame(src_port=4242, dst_port=4343)])
        wait_until(lambda: "4242" in monitor.output(), 10, monitor.output, alive=monitor)
        (line,) = [line for line in monitor.output().splitlines() if "in_port=1 " in line or "in_port=1," in line][:1]
        assert "total_len=60" in line and "via action" in line, line
    finally:
        monitor.stop()


def wait_connected_any(bridge, monitor, version):
    def seen():
        bridge.ofctl("packet-out", f"in_port=controller packet={FRAME} actions=controller", version=version)
        return "PACKET_IN" in monitor.output()
    wait_until(seen, 10, "the monitor sees a packet-in", alive=monitor, interval=0.2)


@pytest.mark.parametrize("version", VERSIONS)
def test_packet_out(bridge, folder, version):
    from Harness.packets import read_pcap
    recorded = f"{folder}/out.pcap"
    bridge.add_port("sink", "dpdk", ofport=2, dpdk_devargs=f"net_pcap4,tx_pcap={recorded}")
    bridge.ofctl("packet-out", f"in_port=controller packet={FRAME} actions=mod_dl_dst:02:00:00:00:00:55,output:2", version=version)
    wait_until(lambda: read_pcap(recorded), 10, "the frame left")
    assert read_pcap(recorded) == [bytes.fromhex("020000000055" + FRAME[12:])]
    # To the table: the flow decides.
    bridge.ofctl("add-flow", "udp,actions=mod_dl_src:02:00:00:00:00:44,output:2", version=version)
    bridge.ofctl("packet-out", f"in_port=controller packet={FRAME} actions=table", version=version)
    wait_until(lambda: len(read_pcap(recorded)) == 2, 10, "the second frame left")
    assert read_pcap(recorded)[1] == bytes.fromhex(FRAME[:12] + "020000000044" + FRAME[24:])
    wait_until(lambda: bridge.flow_packets("udp", version=version) == 1, 10, "the flow counts it")


@pytest.mark.parametrize("version", VERSIONS)
def test_tables(bridge, version):
    for table in (0, 100, 253):
        bridge.ofctl("add-flow", f"table={table},actions=drop", version=version)
    text = bridge.ofctl("dump-tables", version=version)
    assert re.search(r"table 100[^\n]*:\s+active=1", text), text
    assert re.search(r"table 253[^\n]*:\s+active=1", text), text
    assert "flow_count=3" in bridge.ofctl("dump-aggregate", version=version)


@pytest.mark.parametrize("version", VERSIONS)
def test_ports_statistics(bridge, version):
    bridge.add_port("tap1", "tap", ofport=3)
    text = bridge.ofctl("dump-ports", version=version)
    assert re.search(r"port\s+\"?(3|tap1)\"?: rx pkts=\d+, bytes=\d+, drop=\d+, errs=\d+", text), text
    assert re.search(r"port\s+\"?(3|tap1)\"?: rx", bridge.ofctl("dump-ports", "3", version=version))
    assert bridge.ofctl("dump-ports", "77", version=version, check=False).returncode in (0, 1)


def test_a_hundred_thousand_flows(bridge):
    count = 100000 if bridge.kind == "apus" else 20000
    lines = "\n".join(f"table=1,udp,nw_src=10.{n >> 16}.{n >> 8 & 255}.{n & 255},tp_dst={n % 60000 + 1},actions=output:{n % 200 + 1}" for n in range(count))
    bridge.ofctl("--bundle", "add-flows", "-", version="OpenFlow14", stdin=lines, timeout=120)
    assert f"flow_count={count}" in bridge.ofctl("dump-aggregate")
    text = bridge.ofctl("--no-stats", "dump-flows", "table=1", timeout=120)
    assert text.count("actions=") == count
    bridge.ofctl("del-flows", timeout=120)
    assert "flow_count=0" in bridge.ofctl("dump-aggregate")


def test_port_comes_and_goes_in_port_status(bridge, folder):
    monitor = Child(["ovs-ofctl", "-O", "OpenFlow13", "monitor", f"unix:{bridge.path('br0.mgmt')}", "65534"], f"{folder}/monitor", env=bridge.env)
    try:
        serial = iter(range(1, 1000))

        def first():
            bridge.vsctl("set", "Bridge", "br0", f"external_ids:n={next(serial)}")
            bridge.vsctl("--may-exist", "add-port", "br0", "tap8", "--", "set", "Interface", "tap8", "type=tap")
            bridge.vsctl("del-port", "tap8")
            return all(re.search(rf"OFPT_PORT_STATUS.*?: {what}:", monitor.output()) for what in ("ADD", "DEL"))
        # The monitor may begin to listen between an addition and its deletion.
        wait_until(first, 20, monitor.output, alive=monitor)
    finally:
        monitor.stop()


def test_mod_port(bridge):
    bridge.add_port("tap1", "tap", ofport=3)
    bridge.ofctl("mod-port", "3", "no-flood")
    assert re.search(r" 3\(tap1\)[^(]*?config:[^\n]*NO_FLOOD", bridge.ofctl("show"))
    bridge.ofctl("mod-port", "3", "flood")
    assert not re.search(r" 3\(tap1\)[^(]*?config:[^\n]*NO_FLOOD", bridge.ofctl("show"))


def test_mod_port_takes_the_device_down(bridge):
    bridge.add_port("tap2", "tap", ofport=4)

    def is_up():
        return "UP" in re.search(r"<([^>]*)>", run(["ip", "link", "show", "tap2"]).stdout)[1].split(",")
    wait_until(is_up, 10, "the device is up")
    bridge.ofctl("mod-port", "4", "down")
    wait_until(lambda: not is_up(), 10, "the device is down")
    wait_until(lambda: re.search(r" 4\(tap2\)[^(]*?config:\s+PORT_DOWN\s+state:\s+LINK_DOWN", bridge.ofctl("show")), 10, lambda: bridge.ofctl("show"))
    bridge.ofctl("mod-port", "4", "up")
    wait_until(is_up, 10, "the device is up again")


def test_snoop_socket_is_there(bridge):
    assert run(["test", "-S", bridge.path("br0.snoop")], check=False).returncode == 0


# By hand


@pytest.mark.parametrize("version", [1, 4, 5, 6])
def test_handshake_and_echo(bridge, version):
    if bridge.kind == "apus" and version == 6:
        bridge.vsctl("set", "Bridge", "br0", "protocols=OpenFlow10,OpenFlow13,OpenFlow14,OpenFlow15")
    with OpenFlow(bridge.path("br0.mgmt"), version) as connection:
        connection.send(ECHO_REQUEST, 2, b"abc")
        assert connection.reply(2) == (version, ECHO_REPLY, 2, b"abc")
        connection.send(FEATURES_REQUEST, 3)
        assert connection.reply(3)[:2] == (version, FEATURES_REPLY)


BAD_MESSAGES = {
    # name: (type, body, (error type, error code)) for OpenFlow 1.3
    "type": (77, b"", (1, 1)),
    "flow-mod-too-short": (14, bytes(8), (1, 6)),
    "multipart-type": (18, struct.pack("!HHI", 0x7777, 0, 0), (1, 2)),
    "experimenter": (4, struct.pack("!II", 0x12345678, 1), (1, 3)),
    "packet-out-in-port": (13, struct.pack("!IIH6x", 0xFFFFFFFF, 0, 0), None),
    "flow-mod-table": (14, struct.pack("!QQBBHHHIIIHH", 0, 0, 254, 77, 0, 0, 1, 0xFFFFFFFF, 0, 0, 0, 0) + struct.pack("!HH4x", 1, 4), (5, 6)),
    "action-type": (14, struct.pack("!QQBBHHHIIIHH", 0, 0, 0, 0, 0, 0, 1, 0xFFFFFFFF, 0, 0, 0, 0) + struct.pack("!HH4x", 1, 4)
                    + struct.pack("!HH4xHH4x", 4, 16, 0x7777, 8), (2, 0)),
    "action-length": (14, struct.pack("!QQBBHHHIIIHH", 0, 0, 0, 0, 0, 0, 1, 0xFFFFFFFF, 0, 0, 0, 0) + struct.pack("!HH4x", 1, 4)
                      + struct.pack("!HH4xHH4x", 4, 16, 0, 64), (2, 1)),
    "match-field": (14, struct.pack("!QQBBHHHIIIHH", 0, 0, 0, 0, 0, 0, 1, 0xFFFFFFFF, 0, 0, 0, 0)
                    + struct.pack("!HHHBBI4x", 1, 12, 0x8000, 0x7E << 1, 4, 0), (4, 6)),
    "match-prerequisite": (14, struct.pack("!QQBBHHHIIIHH", 0, 0, 0, 0, 0, 0, 1, 0xFFFFFFFF, 0, 0, 0, 0)
                           + struct.pack("!HHHBBH6x", 1, 10, 0x8000, 14 << 1, 2, 80), (4, 9)),
    "output-port": (14, struct.pack("!QQBBHHHIIIHH", 0, 0, 0, 0, 0, 0, 1, 0xFFFFFFFF, 0, 0, 0, 0) + struct.pack("!HH4x", 1, 4)
                    + struct.pack("!HH4xHHIH6x", 4, 24, 0, 16, 0xFFFFFF10, 0), (2, 4)),
}


@pytest.mark.parametrize("name", BAD_MESSAGES)
def test_bad_messages_get_the_standard_errors(bridge, name):
    kind, body, expected = BAD_MESSAGES[name]
    with OpenFlow(bridge.path("br0.mgmt")) as connection:
        connection.send(kind, 99, body)
        if expected:
            assert connection.error(99) == expected
        connection.send(ECHO_REQUEST, 100)
        assert connection.reply(100)[1] == ECHO_REPLY, "the connection goes on"
    assert flows(bridge) == []


GARBAGE = {"length-zero": struct.pack("!BBHI", 4, 2, 0, 1), "length-short": struct.pack("!BBHI", 4, 2, 7, 1),
           "text": b"GET / HTTP/1.1\r\n\r\n" * 20}


@pytest.mark.parametrize("name", GARBAGE)
def test_garbage_closes_that_connection_only(bridge, name):
    data = GARBAGE[name]
    with OpenFlow(bridge.path("br0.mgmt")) as other, OpenFlow(bridge.path("br0.mgmt"), hello=False) as connection:
        connection.send_raw(data)
        try:
            while connection.receive() is not None:
                pass
        except HarnessError:
            pytest.fail("the connection stays open")
        other.send(ECHO_REQUEST, 5)
        assert other.reply(5)[1] == ECHO_REPLY


def test_a_half_message_blocks_nobody(bridge):
    with OpenFlow(bridge.path("br0.mgmt"), hello=False) as half, OpenFlow(bridge.path("br0.mgmt")) as other:
        half.send_raw(b"\x04\x0e\x00")
        other.send(ECHO_REQUEST, 5)
        assert other.reply(5)[1] == ECHO_REPLY
        bridge.ofctl("add-flow", "priority=5,actions=drop")
        assert len(flows(bridge)) == 1
