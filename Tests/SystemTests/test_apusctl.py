"""apusctl: every command, tables for people, JSON for programs, errors that say what to do."""
import json
import subprocess

import pytest

from Harness.packets import udp_frame
from Harness.process import Child, wait_until

pytestmark = pytest.mark.apus


@pytest.fixture
def ctl(switch):
    switch.apusctl("bridge", "add", "br0")
    yield switch
    switch.vsctl("--if-exists", "del-br", "br0")


def names(value):
    """All strings in a JSON value."""
    if isinstance(value, dict):
        return [text for item in value.items() for part in item for text in names(part)]
    if isinstance(value, list):
        return [text for item in value for text in names(item)]
    return [value] if isinstance(value, str) else []


def test_bridges(switch):
    switch.apusctl("bridge", "add", "br7")
    assert "br7" in switch.apusctl("bridge", "list")
    assert "br7" in names(switch.apusctl_json("bridge", "list"))
    assert switch.vsctl("list-br") == "br7", "one configuration, whoever writes it"
    done = switch.apusctl("bridge", "add", "br7", check=False)
    assert done.returncode != 0 and "br7" in done.stderr
    switch.apusctl("bridge", "del", "br7")
    assert switch.vsctl("list-br") == ""
    done = switch.apusctl("bridge", "del", "br7", check=False)
    assert done.returncode != 0 and "br7" in done.stderr


def test_ports(ctl):
    ctl.apusctl("port", "add", "br0", "v1", "--type", "dpdkvhostuser")
    ctl.apusctl("port", "add", "br0", "t1", "--type", "tap")
    assert ctl.vsctl("list-ports", "br0").splitlines() == ["t1", "v1"]
    text = ctl.apusctl("port", "list", "br0")
    assert "v1" in text and "dpdkvhostuser" in text and "t1" in text
    assert {"v1", "t1"} <= set(names(ctl.apusctl_json("port", "list", "br0")))
    assert "v1" in ctl.apusctl("port", "stats", "br0")
    assert "rx_packets" in json.dumps(ctl.apusctl_json("port", "stats", "br0"))
    ctl.apusctl("port", "del", "br0", "v1")
    assert ctl.vsctl("list-ports", "br0") == "t1"


def test_a_port_that_fails_says_why(ctl):
    done = ctl.apusctl("port", "add", "br0", "bad", "--type", "dpdk", "--set", "dpdk-devargs=net_pcap4,rx_pcap=/no/such.pcap", check=False)
    assert done.returncode != 0 and "/no/such.pcap" in done.stderr


def test_show(ctl):
    ctl.apusctl("port", "add", "br0", "t1", "--type", "tap")
    text = ctl.apusctl("show")
    assert "br0" in text and "t1" in text
    assert {"br0", "t1"} <= set(names(ctl.apusctl_json("show")))


def test_flows(ctl):
    ctl.apusctl("flow", "add", "br0", "table=2,priority=100,udp,tp_dst=53,actions=drop")
    assert "tp_dst=53" in ctl.ofctl("dump-flows", "table=2")
    assert "tp_dst=53" in ctl.apusctl("flow", "dump", "br0") and json.dumps(ctl.apusctl_json("flow", "dump", "br0")).count("53")
    ctl.apusctl("flow", "del", "br0", "udp,tp_dst=53")
    assert "tp_dst=53" not in ctl.ofctl("dump-flows", "table=2")


def test_datapath_pmd_trace(ctl, cable):
    ctl.apusctl("port", "add", "br0", "p1", "--type", "dpdk", "--set", f"dpdk-devargs=net_af_packet3,iface={cable.device}")

    def cached():
        cable.send([udp_frame()])
        return "udp" in ctl.apusctl("datapath", "flows") or "0x0800" in ctl.apusctl("datapath", "flows")
    wait_until(cached, 10, lambda: ctl.apusctl("datapath", "flows"), interval=0.3)
    assert ctl.apusctl_json("datapath", "flows")
    assert ctl.apusctl("pmd").strip() and ctl.apusctl_json("pmd") is not None
    ctl.apusctl("flow", "add", "br0", "priority=9,udp,tp_dst=53,actions=drop")
    text = ctl.apusctl("trace", "br0", "in_port=1,udp,tp_dst=53")
    assert "priority 9" in text or "priority=9" in text
    assert "drop" in text


def test_watch(ctl, folder):
    child = Child([f"{ctl.binaries}/apusctl", "--rundir", ctl.directory, "port", "stats", "br0", "--watch"], f"{folder}/watch", env=ctl.env)
    try:
        wait_until(lambda: child.output().count("br0") >= 2, 15, child.output, alive=child)
    finally:
        child.stop(how=2)


BAD = {
    "command": ["fly"],
    "subcommand": ["port", "fly"],
    "bridge": ["port", "add", "brX", "p1"],
    "port": ["port", "del", "br0", "nosuch"],
    "type": ["port", "add", "br0", "p1", "--type", "flying-carpet"],
    "flow-field": ["flow", "add", "br0", "nw_sorc=1.1.1.1,actions=drop"],
    "flow-action": ["flow", "add", "br0", "actions=fly"],
    "flow-value": ["flow", "add", "br0", "udp,tp_dst=99999,actions=drop"],
    "flow-bridge": ["flow", "dump", "brX"],
    "option": ["show", "--nonsense"],
    "missing": ["bridge", "add"],
}


@pytest.mark.parametrize("name", BAD)
def test_errors_name_what_is_wrong(ctl, name):
    words = BAD[name]
    done = ctl.apusctl(*words, check=False)
    assert done.returncode != 0
    assert done.stderr.strip() and "Fatal" not in done.stderr, done.stderr
    offending = {"command": "fly", "subcommand": "fly", "bridge": "brX", "port": "nosuch", "type": "flying-carpet", "flow-field": "nw_sorc",
                 "flow-action": "fly", "flow-value": "99999", "flow-bridge": "brX", "option": "--nonsense", "missing": ""}[name]
    assert offending in done.stderr, done.stderr
    assert ctl.vsctl("list-ports", "br0") in ("", "p1")


def test_without_a_daemon(folder):
    from Harness.switch import find_binaries
    done = subprocess.run([f"{find_binaries()}/apusctl", "--rundir", folder, "show"], capture_output=True, text=True, timeout=20)
    assert done.returncode != 0 and folder in done.stderr and "apusd" in done.stderr, done.stderr


def test_help():
    from Harness.switch import find_binaries
    for words in (["--help"], ["port", "--help"], ["flow", "add", "--help"]):
        done = subprocess.run([f"{find_binaries()}/apusctl", *words], capture_output=True, text=True, timeout=20)
        assert done.returncode == 0 and words[0] in done.stdout + "--help", words
