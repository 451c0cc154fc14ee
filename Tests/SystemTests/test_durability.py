"""What is committed is there again; what cannot be written is refused, and says so."""
import json
import os
import shutil
import subprocess

import pytest

from Harness.process import Child, run, wait_until
from Harness.switch import OVS_SCHEMA


def ports(switch):
    return sorted(switch.vsctl("list-ports", "br0").split())


def test_everything_committed_survives_sigkill(make_switch):
    switch = make_switch()
    switch.add_bridge()
    names = []
    for round_number in range(5):
        for index in range(4):
            name = f"t{round_number}{index}"
            switch.add_port(name, "tap", ofport=10 + 4 * round_number + index)
            names.append(name)
        switch.vsctl("set", "Bridge", "br0", f"external_ids:round={round_number}")
        switch.kill9()
        switch.start()
        assert switch.get("Bridge", "br0", "external_ids:round") == f'"{round_number}"'
        assert ports(switch) == sorted(names)
    wait_until(lambda: all(switch.interface(name)["ofport"] == 10 + number and switch.interface(name)["error"] == [] for number, name in enumerate(names)),
               20, "the ports are open again with their numbers", alive=switch.daemon)
    wait_until(lambda: switch.ofctl("show", check=False).returncode == 0, 20, "br0 answers again", alive=switch.daemon)


def test_restart_keeps_the_bridges_identity(make_switch):
    switch = make_switch()
    switch.add_bridge()
    before = switch.get("Bridge", "br0", "datapath_id"), switch.interface("br0")["mac_in_use"]
    switch.stop()
    switch.start()
    wait_until(lambda: switch.get("Bridge", "br0", "datapath_id") != "[]", 10, "the datapath id")
    after = switch.get("Bridge", "br0", "datapath_id"), switch.interface("br0")["mac_in_use"]
    if switch.kind == "apus":
        assert after == before


def test_the_database_file_is_the_standard_one(make_switch):
    switch = make_switch()
    switch.add_bridge()
    switch.vsctl("set", "Bridge", "br0", "external_ids:who=apus")
    switch.stop()
    path = switch.path("conf.db")
    assert os.path.exists(path), os.listdir(switch.directory)
    assert run(["ovsdb-tool", "db-name", path]).stdout.strip() == "Open_vSwitch"
    (reply,) = json.loads(run(["ovsdb-tool", "query", path, '["Open_vSwitch",{"op":"select","table":"Bridge","where":[],"columns":["external_ids"]}]']).stdout)
    assert reply["rows"][0]["external_ids"] == ["map", [["who", "apus"]]]
    run(["ovsdb-tool", "compact", path])
    switch.start()
    assert switch.get("Bridge", "br0", "external_ids:who") == "apus"


def test_an_existing_database_is_taken_over(make_switch):
    switch = make_switch(start=False)
    path = switch.path("conf.db")
    run(["ovsdb-tool", "create", path, OVS_SCHEMA])
    operations = ["Open_vSwitch", {"op": "insert", "table": "Open_vSwitch", "row": {"bridges": ["named-uuid", "b"]}},
                  {"op": "insert", "table": "Bridge", "uuid-name": "b", "row": {"name": "br0", "datapath_type": "netdev", "ports": ["named-uuid", "p"]}},
                  {"op": "insert", "table": "Port", "uuid-name": "p", "row": {"name": "br0", "interfaces": ["named-uuid", "i"]}},
                  {"op": "insert", "table": "Interface", "uuid-name": "i", "row": {"name": "br0", "type": "internal"}}]
    assert "error" not in run(["ovsdb-tool", "transact", path, json.dumps(operations)]).stdout
    switch.start()
    assert switch.vsctl("list-br") == "br0"
    wait_until(lambda: switch.ofctl("show", check=False).returncode == 0, 20, "br0 answers", alive=switch.daemon)


def test_a_torn_last_record_is_cut_off(make_switch):
    switch = make_switch()
    switch.add_bridge()
    switch.vsctl("set", "Bridge", "br0", "external_ids:a=1")
    switch.kill9()
    with open(switch.path("conf.db"), "ab") as file:
        file.write(b"OVSDB JSON 500 0123456789012345678901234567890123456789\n{\"half\":")
    switch.start()
    assert switch.get("Bridge", "br0", "external_ids:a") == '"1"'
    switch.vsctl("set", "Bridge", "br0", "external_ids:b=2")
    switch.kill9()
    switch.start()
    assert switch.get("Bridge", "br0", "external_ids") == '{a="1", b="2"}'


def refuse(switch, *arguments, seconds=20):
    """Starts a daemon that must refuse; returns what it said."""
    child = Child([f"{switch.binaries}/apusd", "--rundir", switch.directory, *arguments], switch.path("refused.out"), env=switch.env)
    try:
        wait_until(lambda: child.returncode() is not None, seconds, lambda: f"the daemon refuses: {child.tail()}")
    finally:
        child.stop()
    assert child.returncode() != 0
    assert "Fatal error" not in child.output(), child.output()
    return child.output()


@pytest.mark.apus
def test_two_daemons_on_one_directory(make_switch):
    switch = make_switch()
    switch.add_bridge()
    said = refuse(switch)
    assert str(switch.daemon.pid) in said, "it says who holds the directory"
    assert switch.vsctl("list-br") == "br0"
    assert switch.appctl("version")


@pytest.mark.apus
def test_a_database_that_is_none(make_switch):
    switch = make_switch(start=False)
    for name, contents in (("text", b"this is no database\n"), ("json", b"{}\n"), ("cut", b"OVSDB JSON 10 abc")):
        path = switch.path(f"{name}.db")
        with open(path, "wb") as file:
            file.write(contents)
        said = refuse(switch, "--db", path)
        assert f"{name}.db" in said
        with open(path, "rb") as file:
            assert file.read() == contents, "it is left as it was"


@pytest.mark.apus
def test_a_read_only_database(make_switch):
    """It is served, with a warning; every change is refused and says why. (Root may write to any file that is merely 0444.)"""
    switch = make_switch()
    switch.add_bridge()
    switch.stop()
    folder = switch.path("ro")
    os.mkdir(folder)
    shutil.move(switch.path("conf.db"), f"{folder}/conf.db")
    run(["mount", "--bind", folder, folder])
    try:
        run(["mount", "-o", "remount,ro,bind", folder])
        switch.arguments = ["--db", f"{folder}/conf.db"]
        switch.start()
        assert "conf.db: read-only" in switch.log()
        assert switch.vsctl("list-br") == "br0"
        done = switch.vsctl("--no-wait", "add-br", "br1", check=False)
        assert done.returncode == 1 and "ead-only" in done.stderr, done.stderr
        assert switch.vsctl("list-br") == "br0"
        switch.stop()
    finally:
        switch.stop()
        run(["umount", folder], check=False)


@pytest.mark.apus
def test_a_full_disk(make_switch):
    """A commit that cannot be stored is refused, the switch goes on, and it commits again when there is room."""
    switch = make_switch(start=False)
    folder = switch.path("small")
    os.mkdir(folder)
    run(["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", folder])
    try:
        switch.arguments = ["--db", f"{folder}/conf.db"]
        switch.start()
        switch.add_bridge()
        free = os.statvfs(folder)
        with open(f"{folder}/ballast", "wb") as file:
            file.write(bytes(max(0, free.f_bavail * free.f_bsize - 8192)))
        with switch.rpc() as rpc:
            refused = None
            for number in range(40):
                operation = {"op": "mutate", "table": "Bridge", "where": [["name", "==", "br0"]],
                             "mutations": [["external_ids", "insert", ["map", [[f"k{number}", "x" * 2000]]]]]}
                reply = rpc.request("transact", ["Open_vSwitch", operation])
                if reply["error"] is not None or any(result and "error" in result for result in reply["result"]):
                    refused = number
                    break
            assert refused is not None, "a full disk was not noticed"
            assert "I/O error" in json.dumps(reply) or "resources" in json.dumps(reply), reply
        stored = [key for key in switch.rows("Bridge")[0]["external_ids"]]
        assert stored == [f"k{number}" for number in range(refused)] or len(stored) == refused, "what was refused is not there"
        assert switch.appctl("version")
        os.unlink(f"{folder}/ballast")
        wait_until(lambda: switch.vsctl("set", "Bridge", "br0", "external_ids:after=1", check=False).returncode == 0, 10, "it commits again")
        switch.kill9()
        switch.start()
        external = switch.rows("Bridge")[0]["external_ids"]
        assert external["after"] == "1" and len(external) == refused + 1
        switch.stop()
    finally:
        switch.stop()
        run(["umount", folder], check=False)


@pytest.mark.apus
def test_no_hugepages(make_switch):
    """Without a single hugepage the switch starts and carries guests; it says that it does without."""
    switch = make_switch(start=False)
    # A mount namespace without hugetlbfs stands for a machine without hugepages.
    command = ["unshare", "--mount", "sh", "-c", "umount -a -t hugetlbfs; exec \"$@\"", "sh", f"{switch.binaries}/apusd", "--rundir", switch.directory]
    switch.daemon = Child(command, switch.path("apusd.out"), env=switch.env, name="apusd")
    wait_until(switch._answers, 20, "the daemon answers", alive=switch.daemon)
    switch.add_bridge()
    switch.add_port("v1", "dpdkvhostuser")
    assert switch.interface("v1")["error"] == []
    assert os.path.exists(switch.path("v1"))


@pytest.mark.apus
def test_sockets_are_for_owner_and_group_only(make_switch):
    switch = make_switch()
    switch.add_bridge()
    switch.add_port("v1", "dpdkvhostuser")
    for name in ("db.sock", "br0.mgmt", "br0.snoop", "v1", os.path.basename(switch.unixctl_socket)):
        mode = os.stat(switch.path(name)).st_mode & 0o777
        assert mode & 0o117 == 0, f"{name} has mode {mode:o}"


@pytest.mark.apus
@pytest.mark.parametrize("arguments", [["--nonsense"], ["--rundir"], ["--log-level", "loud"], ["surplus"], ["--db", "/no/such/folder/conf.db"]])
def test_bad_arguments(make_switch, arguments):
    switch = make_switch(start=False)
    said = refuse(switch, *arguments)
    assert arguments[-1] in said, said


@pytest.mark.apus
def test_version_and_help(make_switch):
    switch = make_switch(start=False)
    for option in ("--version", "--help"):
        done = subprocess.run([f"{switch.binaries}/apusd", option], capture_output=True, text=True, timeout=20)
        assert done.returncode == 0 and done.stdout


@pytest.mark.apus
def test_detach_and_pid_file(make_switch):
    switch = make_switch(start=False)
    try:
        done = subprocess.run([f"{switch.binaries}/apusd", "--rundir", switch.directory, "--detach", "--pidfile"], capture_output=True, text=True,
                              timeout=30)
    finally:
        with open(switch.path("apusd.pid")) as file:
            pid = int(file.read())
    try:
        assert done.returncode == 0, done.stderr
        assert switch._answers(), "when the command returns, the daemon answers"
    finally:
        os.kill(pid, 15)
        wait_until(lambda: not os.path.exists(f"/proc/{pid}"), 15, "the daemon ends")
    assert not os.path.exists(switch.path("apusd.pid"))
