"""apusctl export, apply, fdb and db."""
import json

import pytest

from Harness.process import run, wait_until

pytestmark = pytest.mark.apus

WANTED = """
other_config: {max-idle: "20000"}
bridges:
  - name: br0
    fail_mode: secure
    protocols: [OpenFlow10, OpenFlow13]
    other_config: {hwaddr: "02:00:00:00:00:01"}
    ports:
      - {name: t1, type: tap, tag: 10, ofport_request: 5}
      - name: t2
        trunks: [3, 1]
        interfaces:
          - {name: t2, type: tap, mtu_request: 1400}
  - name: br1
    ports:
      - {name: x0, type: patch, options: {peer: x1}}
"""


def apply(switch, folder, text, *words, check=True):
    path = f"{folder}/net.yaml"
    with open(path, "w") as file:
        file.write(text)
    return switch.apusctl("apply", path, *words, check=check)


def test_apply_and_export(switch, folder):
    ctl = switch
    dry = apply(ctl, folder, WANTED, "--dry-run")
    assert "+ bridge br0\n" in dry and "+ port t1 of bridge br0\n" in dry
    assert ctl.vsctl("list-br") == ""
    apply(ctl, folder, WANTED)
    assert ctl.vsctl("get", "Interface", "t1", "ofport") == "5"
    assert ctl.vsctl("get", "Port", "t2", "trunks") == "[1, 3]"
    assert ctl.vsctl("get", "Interface", "t2", "mtu") == "1400"
    assert apply(ctl, folder, WANTED) == "nothing to change\n"
    text = ctl.apusctl("export")
    assert apply(ctl, folder, text) == "nothing to change\n", text
    assert json.loads(ctl.apusctl("--json", "export"))["bridges"][0]["name"] == "br0"
    uuid = ctl.vsctl("get", "Interface", "t2", "_uuid")
    changed = apply(ctl, folder, WANTED.replace("tag: 10", "tag: 20").replace("fail_mode: secure", ""))
    assert set(changed.splitlines()) == {"~ port t1: tag 10 -> 20", '~ bridge br0: fail_mode "secure" -> null'}
    assert ctl.vsctl("get", "Interface", "t2", "_uuid") == uuid
    done = apply(ctl, folder, WANTED.replace("tag: 20", "tag: 5000").replace("tag: 10", "tag: 5000"), check=False)
    assert done.returncode == 1 and "5000 is not in the valid range" in done.stderr
    assert ctl.vsctl("get", "Port", "t1", "tag") == "20", "nothing of it was done"
    done = apply(ctl, folder, WANTED.replace("fail_mode", "fail_mod"), check=False)
    assert done.returncode == 2 and 'did you mean "fail_mode"?' in done.stderr
    gone = apply(ctl, folder, "bridges: []\nother_config: {pmd-cpu-mask: \"0x2\"}")
    assert "- bridge br0\n" in gone and ctl.vsctl("list-br") == ""


def test_fdb_and_db(bridge):
    bridge.add_port("t1", "tap")
    bridge.apusctl("fdb", "add", "br0", "t1", "02:00:00:00:00:05", "--vlan", "7")
    assert bridge.apusctl_json("fdb", "show", "br0") == [
        {"age_seconds": None, "mac": "02:00:00:00:00:05", "port": 1, "static": True, "vlan": 7}]
    bridge.apusctl("fdb", "del", "br0", "02:00:00:00:00:05", "--vlan", "7")
    done = bridge.apusctl("fdb", "show", "br9", check=False)
    assert done.returncode == 2 and 'no bridge "br9"' in done.stderr
    rows = bridge.apusctl_json("db", "list", "Interface", "--name", "t1", "--columns", "type,ofport")
    assert rows == [{"ofport": 1, "type": "tap"}]
    assert bridge.apusctl_json("db", "transact", '[{"op":"comment","comment":"hello"}]') == [{}]
    done = bridge.apusctl("db", "list", "Interfac", check=False)
    assert done.returncode == 1 and "Interfac" in done.stderr


def test_trace_of_a_capture(bridge, folder):
    from Harness.packets import udp_frame, write_pcap
    write_pcap(f"{folder}/two.pcap", [udp_frame(), udp_frame(src="10.0.0.9")])
    bridge.ofctl("add-flow", "udp,nw_src=10.0.0.9,actions=drop")
    text = bridge.apusctl("trace", "br0", "in_port=1", "--pcap", f"{folder}/two.pcap")
    assert text.count("Datapath actions: drop") == 2 and "nw_src=10.0.0.9" in text
    assert len(bridge.apusctl_json("trace", "br0", "in_port=1", "--pcap", f"{folder}/two.pcap", "--count", "1")) == 1
    done = bridge.apusctl("trace", "br0", "in_port=1", "--pcap", "/no/such.pcap", check=False)
    assert done.returncode == 2 and "/no/such.pcap" in done.stderr
