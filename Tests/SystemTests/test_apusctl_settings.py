"""apusctl beyond bridges and ports: interfaces, mirrors, QoS, controllers, managers; waiting and watching; manual pages."""
import json
import pathlib
import subprocess
import sys
import threading

import pytest

from Harness.process import Child, run, wait_until

pytestmark = pytest.mark.apus
ROOT = pathlib.Path(__file__).resolve().parents[2]


@pytest.fixture
def ctl(switch):
    switch.apusctl("bridge", "add", "br0")
    switch.apusctl("port", "add", "br0", "t1", "--type", "tap")
    switch.apusctl("port", "add", "br0", "t2", "--type", "tap")
    yield switch
    switch.vsctl("--if-exists", "del-br", "br0")


def fails(switch, status, *words):
    done = switch.apusctl(*words, check=False)
    assert done.returncode == status and done.stderr.startswith("apusctl: "), (done.returncode, done.stderr)
    return done.stderr


def test_interfaces(ctl):
    ctl.apusctl("interface", "set", "t1", "--mtu", "1400", "--policing-rate", "1000", "--policing-kpkts-rate", "2", "--other-config", "x=1")
    row = ctl.interface("t1")
    assert (row["mtu"], row["mtu_request"], row["ingress_policing_rate"], row["ingress_policing_kpkts_rate"]) == (1400, 1400, 1000, 2), row
    assert "x" in ctl.vsctl("get", "Interface", "t1", "other_config")
    ctl.apusctl("interface", "set", "t1", "--other-config", "x=")
    assert "x" not in ctl.vsctl("get", "Interface", "t1", "other_config")
    assert "t1" in ctl.apusctl("interface", "list", "br0") and "1400" in ctl.apusctl("interface", "show", "t1")
    assert "did you mean" in fails(ctl, 2, "interface", "set", "t11", "--mtu", "1500")
    assert "out of range" in fails(ctl, 2, "interface", "set", "t1", "--mtu", "5")


def test_mirrors(ctl):
    ctl.apusctl("mirror", "add", "br0", "m0", "--from", "t1", "--to", "t2", "--vlan", "7")
    listed = ctl.apusctl_json("mirror", "list", "br0")
    assert listed == [{"bridge": "br0", "name": "m0", "select": ["from t1", "vlan 7"], "output": "t2", "packets": 0, "bytes": 0}], listed
    assert "m0" in ctl.apusctl("mirror", "list")
    fails(ctl, 1, "mirror", "add", "br0", "m0", "--all", "--to", "t2")
    fails(ctl, 2, "mirror", "add", "br0", "m1", "--all")
    fails(ctl, 2, "mirror", "add", "br0", "m1", "--all", "--to", "nosuch")
    fails(ctl, 2, "mirror", "del", "br0", "m7")
    ctl.apusctl("mirror", "del", "br0", "m0")
    ctl.apusctl("mirror", "del", "br0", "m0", "--if-exists")
    assert ctl.apusctl_json("mirror", "list") == []


def test_qos(ctl):
    ctl.apusctl("qos", "set", "t1", "egress-policer", "cir=1000000", "cbs=2048")
    assert ctl.apusctl_json("qos", "list") == [{"port": "t1", "type": "egress-policer", "settings": {"cir": "1000000", "cbs": "2048"}}]
    assert "egress-policer" in ctl.appctl("qos/show", "t1")
    assert "not supported" in fails(ctl, 1, "qos", "set", "t1", "linux-htb", "max-rate=1")
    ctl.apusctl("qos", "clear", "t1")
    assert ctl.apusctl_json("qos", "list") == [] and ctl.vsctl("list", "QoS").strip() == ""


def test_controllers_and_managers(ctl):
    ctl.apusctl("controller", "set", "br0", "tcp:127.0.0.1:1", "unix:/nowhere")
    assert [row["target"] for row in ctl.apusctl_json("controller", "list", "br0")] == ["tcp:127.0.0.1:1", "unix:/nowhere"]
    assert ctl.vsctl("get-controller", "br0").splitlines() == ["tcp:127.0.0.1:1", "unix:/nowhere"]
    ctl.apusctl("controller", "del", "br0")
    assert ctl.vsctl("get-controller", "br0") == ""
    ctl.apusctl("manager", "set", "ptcp:0:127.0.0.1")
    assert ctl.vsctl("get-manager") == "ptcp:0:127.0.0.1" and "ptcp:0" in ctl.apusctl("manager", "list")
    ctl.apusctl("manager", "del")
    assert ctl.apusctl_json("manager", "list") == []


def test_wait(ctl):
    ctl.apusctl("wait", "bridge", "br0")
    ctl.apusctl("wait", "interface", "t1", "link_state=up", "type=tap", "error=")
    assert fails(ctl, 4, "--timeout", "0.3", "wait", "interface", "t1", "link_state=down")
    assert "\"link_state\"" in fails(ctl, 2, "wait", "interface", "t1", "link_stat=up")
    assert "\"Interface\"" in fails(ctl, 2, "wait", "interfac", "t1")
    waiting = threading.Timer(0.3, lambda: ctl.vsctl("set", "Interface", "t1", "external_ids:a=b"))
    waiting.start()
    ctl.apusctl("wait", "Interface", "t1", "external_ids:a=b")
    waiting.join()


def test_watch(ctl, tmp_path):
    child = Child([f"{ctl.binaries}/apusctl", "--rundir", ctl.directory, "--json", "watch", "port", "bridge", "--count", "3"], str(tmp_path / "out"))
    # It is there when it has its monitor: the first of these that it sees is the beginning.
    for number in range(200):
        ctl.vsctl("set", "Port", "t1", f"external_ids:n={number}")
        if child.returncode() is not None:
            break
    wait_until(lambda: child.returncode() is not None, 10, "three changes were seen")
    events = [json.loads(line) for line in child.output().splitlines()]
    assert child.returncode() == 0 and len(events) == 3
    assert all((event["event"], event["table"], event["name"]) == ("changed", "Port", "t1") and "external_ids" in event["columns"] for event in events), events
    assert ctl.apusctl("watch", "port", "--seconds", "0.2") == ""


def test_every_command_is_in_the_manual(switch, tmp_path):
    run([sys.executable, str(ROOT / "docs" / "manual.py"), f"{switch.binaries}/apusctl", f"{switch.binaries}/apusd", "--output", str(tmp_path)])
    text = (tmp_path / "apusctl.8").read_text().replace("\\-", "-")
    dump = json.loads(subprocess.run([f"{switch.binaries}/apusctl", "--experimental-dump-help"], capture_output=True, text=True, check=True).stdout)
    def paths(command, path=()):
        path = (*path, command["commandName"])
        children = [child for child in command.get("subcommands", []) if child["commandName"] != "help"]
        return [line for child in children for line in paths(child, path)] if children else [" ".join(path)]
    for path in paths(dump["command"]):
        assert f"\\fB{path}\\fR" in text, path
    assert "--no-switch" in (tmp_path / "apusd.8").read_text().replace("\\-", "-")
    for shell in ("bash", "zsh", "fish"):
        assert "apusctl" in run([f"{switch.binaries}/apusctl", "--generate-completion-script", shell]).stdout
