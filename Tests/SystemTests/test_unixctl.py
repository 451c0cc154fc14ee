"""ovs-appctl on apusd.PID.ctl: the field's command names and its error texts."""
import re

from Harness.jsonrpc import JsonRpc
from Harness.packets import udp_frame
from Harness.process import wait_until


def test_commands_that_must_be_there(switch):
    listed = switch.appctl("list-commands")
    for command in ("list-commands", "version", "exit", "vlog/set", "vlog/list", "dpif/show", "dpctl/dump-flows", "dpif-netdev/pmd-stats-show",
                    "dpif-netdev/pmd-rxq-show", "fdb/show", "ofproto/trace"):
        assert re.search(rf"^\s+{command}\b", listed, re.M), f"{command} is not listed"
    assert re.search(r"\d+\.\d+", switch.appctl("version"))


def test_errors(switch):
    done = switch.appctl("nosuch", check=False)
    assert done.returncode == 2
    assert '"nosuch" is not a valid command (use "list-commands" to see a list of valid commands)' in done.stderr
    done = switch.appctl("version", "x", check=False)
    assert done.returncode == 2 and '"version" command takes at most 0 arguments' in done.stderr
    done = switch.appctl("ofproto/trace", "nobridge", "in_port=1", check=False)
    assert done.returncode == 2 and "nobridge" in done.stderr
    done = switch.appctl("fdb/show", check=False)
    assert done.returncode == 2 and '"fdb/show" command requires at least 1 arguments' in done.stderr


def test_log_levels(switch):
    switch.appctl("vlog/set", "info")
    assert re.search(r"\b(INFO|info)\b", switch.appctl("vlog/list"))
    assert switch.appctl("vlog/set", "nonsense", check=False).returncode == 2


def test_shows(bridge, cable):
    bridge.add_port("p1", "dpdk", ofport=1, dpdk_devargs=f"net_af_packet0,iface={cable.device}")
    bridge.add_port("p2", "dpdk", ofport=2, dpdk_devargs="net_null0,no-rx=1")
    bridge.ofctl("add-flow", "in_port=1,udp,actions=output:2")
    text = bridge.appctl("dpif/show")
    assert "netdev@" in text and "br0:" in text and re.search(r"p1 1/\d+: \(dpdk", text), text
    assert re.search(r"br0 65534/\d+: \(", text)
    assert re.search(r"port: p1 +queue-id: +0", bridge.appctl("dpif-netdev/pmd-rxq-show"))
    assert re.search(r"pmd thread numa_id \d+ core_id \d+:", bridge.appctl("dpif-netdev/pmd-stats-show"))

    def cached():
        cable.send([udp_frame()])
        text = bridge.appctl("dpctl/dump-flows")
        return re.search(r"eth_type\(0x0800\).*packets:[1-9]\d*, bytes:\d+, used:[\d.]+s.*actions:\S", text)
    wait_until(cached, 10, lambda: f"a datapath flow with packets: {bridge.appctl('dpctl/dump-flows')}", interval=0.3)


def test_fdb(bridge, cable):
    bridge.add_port("p1", "dpdk", ofport=1, dpdk_devargs=f"net_af_packet0,iface={cable.device}")
    bridge.ofctl("add-flow", "actions=NORMAL")

    def learned():
        cable.send([udp_frame(src="10.0.0.1")])
        return re.search(r"^\s+1\s+0\s+02:00:00:00:00:01\s+\d+", bridge.appctl("fdb/show", "br0"), re.M)
    wait_until(learned, 10, lambda: bridge.appctl("fdb/show", "br0"), interval=0.3)


def test_trace(bridge):
    bridge.ofctl("add-flow", "table=0,priority=7,ip,actions=load:1->NXM_NX_REG0[],goto_table:1", version="OpenFlow13")
    bridge.ofctl("add-flow", "table=1,priority=9,tcp,tp_dst=80,actions=drop")
    text = bridge.appctl("ofproto/trace", "br0", "in_port=1,tcp,nw_dst=10.0.0.1,tp_dst=80")
    assert text.startswith("Flow: tcp,in_port=1"), text
    assert 'bridge("br0")' in text and re.search(r"^ 0\. .*priority 7", text, re.M) and re.search(r"^ +1\. .*priority 9", text, re.M), text
    assert re.search(r"^Megaflow: .*tp_dst=80", text, re.M) and re.search(r"^Datapath actions: drop", text, re.M), text


def test_raw_and_hostile(switch):
    with JsonRpc(switch.unixctl_socket) as first:
        first.send_raw(b'{"method":"list-comm')
        with JsonRpc(switch.unixctl_socket) as second:
            assert "list-commands" in second.call("list-commands", [])
        first.send_raw(b'ands","params":[],"id":7}')
        assert "list-commands" in first.receive()["result"]
    with JsonRpc(switch.unixctl_socket) as garbage:
        garbage.send_raw(b"\x00\xff garbage }}}}")
        assert garbage.receive() is None, "the connection is closed"
    with JsonRpc(switch.unixctl_socket) as wrong:
        assert wrong.request("version", [5])["error"] is not None
    assert switch.appctl("version")


def test_answers_in_json(bridge):
    with JsonRpc(bridge.unixctl_socket) as client:
        assert client.call("set-options", ["--format", "json"]) == ""
        assert client.call("version", []) == {"reply": bridge.appctl("version").rstrip("\n"), "reply-format": "plain"}
        assert client.call("fdb/show", ["br0"]) == []
        bridge.appctl("fdb/add", "br0", "br0", "7", "50:54:00:00:00:09")
        assert client.call("fdb/show", ["br0"]) == [{"mac": "50:54:00:00:00:09", "port": 65534, "static": True, "vlan": 7}]
        (datapath,) = client.call("dpif/show", []).values()
        assert datapath["bridges"]["br0"]["br0"]["ofport"] == "65534" and datapath["stats"].keys() == {"hit", "missed"}
        assert client.request("set-options", ["--format", "xml"])["error"] == "option format has invalid value xml\n"
        assert client.request("fdb/show", [])["error"] is not None
    assert "(JSON)" not in bridge.appctl("list-commands")
    # What somebody put there by hand is not flushed; whoever puts it elsewhere is told.
    bridge.appctl("fdb/flush", "br0")
    assert "static" in bridge.appctl("fdb/show", "br0")
    bridge.add_port("p1", "dpdk", ofport=1, dpdk_devargs="net_null0,no-rx=1")
    assert bridge.appctl("fdb/add", "br0", "p1", "7", "50:54:00:00:00:09") == "Overriding already existing static entry on LOCAL\n"


def test_exit(make_switch):
    switch = make_switch()
    daemon = switch.daemon
    switch.appctl("exit")
    wait_until(lambda: daemon.returncode() is not None, 15, "the daemon ends")
    assert daemon.returncode() == 0
    switch.daemon = None
    switch.stop()
