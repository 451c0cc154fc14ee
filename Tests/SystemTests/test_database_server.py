"""The database server on its own: `--no-switch`, any schemas, remotes, TLS, commands."""
import json
import os
import re
import subprocess

import pytest

from Harness.database import DatabaseServer as Server
from Harness.database import create
from Harness.jsonrpc import JsonRpc
from Harness.ovsdb_differential import play
from Harness.process import Child, run, wait_until
from Harness.switch import find_binaries

pytestmark = pytest.mark.apus

SCHEMA = {"name": "mydb", "version": "1.0.0", "tables": {
    "Root": {"columns": {
        "managers": {"type": {"key": "string", "min": 0, "max": "unlimited"}},
        "manager_options": {"type": {"key": {"type": "uuid", "refTable": "Manager"}, "min": 0, "max": "unlimited"}},
        "key": {"type": "string"}, "certificate": {"type": "string"}, "ca": {"type": "string"}}, "isRoot": True},
    "Manager": {"columns": {
        "target": {"type": "string"},
        "inactivity_probe": {"type": {"key": "integer", "min": 0}},
        "read_only": {"type": {"key": "boolean", "min": 0}},
        "is_connected": {"type": "boolean", "ephemeral": True},
        "status": {"type": {"key": "string", "value": "string", "min": 0, "max": "unlimited"}, "ephemeral": True}}}}}
OTHER = {"name": "other", "version": "2.0.0", "tables": {"T": {"columns": {"n": {"type": "integer"}}, "indexes": [["n"]]}}}


@pytest.mark.parametrize("seed", range(1, 5))
def test_answers_are_those_of_the_fields_server(seed):
    play(seed * 1000, steps=40)


def test_serves_any_databases(tmp_path):
    with Server(tmp_path, [create(tmp_path, "a", SCHEMA), create(tmp_path, "b", OTHER)]) as server:
        assert run(["ovsdb-client", "list-dbs", f"unix:{server.path('db.sock')}"]).stdout.split() == ["_Server", "mydb", "other"]
        assert server.appctl("ovsdb-server/list-dbs").split() == ["_Server", "mydb", "other"]
        assert server.transact("db.sock", {"op": "insert", "table": "T", "row": {"n": 7}}, database="other")[0]["uuid"]
    assert "7" in run(["ovsdb-tool", "query", str(tmp_path / "b"), '["other",{"op":"select","table":"T","where":[]}]']).stdout


def test_databases_come_and_go(tmp_path):
    first, second = create(tmp_path, "a", SCHEMA), create(tmp_path, "b", OTHER)
    with Server(tmp_path, [first]) as server:
        assert server.appctl("ovsdb-server/add-db", first).startswith(f"ovsdb error: {first}: already open\n")
        assert server.appctl("ovsdb-server/add-db", str(tmp_path / "none")).startswith(f"I/O error: {tmp_path / 'none'}: open failed (No such file")
        with JsonRpc(server.path("db.sock")) as aware, JsonRpc(server.path("db.sock")) as unaware:
            aware.call("set_db_change_aware", [True])
            for connection in (aware, unaware):
                connection.call("monitor", ["_Server", None, {"Database": {"columns": ["name"]}}])
            assert server.appctl("ovsdb-server/add-db", second) == ""
            assert "other" in json.dumps(aware.notification(5))
            assert unaware.receive(5) is None
            aware.call("monitor", ["other", "m", {"T": {}}])
            assert server.appctl("ovsdb-server/remove-db", "other") == ""
            assert aware.notification(5) == {"id": None, "method": "monitor_canceled", "params": ["m"]}
        assert server.appctl("ovsdb-server/remove-db", "other").startswith("Failed to find the database.\n")
        assert server.appctl("ovsdb-server/remove-db", "_Server").startswith("Cannot remove reserved database.\n")
        assert server.appctl("ovsdb-server/compact", "mydb") == ""
        assert server.appctl("ovsdb-server/compact", "nosuch").startswith("no database by that name\n")
        assert server.appctl("ovsdb-server/sync-status") == "state: active\n"
        assert server.appctl("ovsdb-server/get-db-storage-status", "mydb") == "status: ok\n"


def test_remotes_by_command(tmp_path):
    with Server(tmp_path, [create(tmp_path, "a", SCHEMA)], "--remote", "punix:one") as server:
        assert os.path.exists(server.path("one")) and not os.path.exists(server.path("db.sock"))
        assert os.stat(server.path("one")).st_mode & 0o777 == 0o660
        assert server.appctl("ovsdb-server/list-remotes") == "punix:one\n"
        assert server.appctl("ovsdb-server/add-remote", "punix:two") == ""
        assert server.appctl("ovsdb-server/list-remotes") == "punix:one\npunix:two\n"
        assert server.transact("two", {"op": "select", "table": "Root", "where": []}) == [{"rows": []}]
        assert server.appctl("ovsdb-server/add-remote", "db:x,y,z").startswith('"db:x,y,z": no database named x\n')
        assert server.appctl("ovsdb-server/remove-remote", "punix:one") == ""
        assert not os.path.exists(server.path("one"))
        assert server.appctl("ovsdb-server/remove-remote", "punix:one").startswith("no such remote\n")
        with JsonRpc(server.path("two")) as connection:
            connection.call("echo", [])
            assert server.appctl("ovsdb-server/reconnect") == ""
            assert connection.receive(5) is None


def test_remotes_out_of_a_database(tmp_path):
    options = ["--remote", "punix:own", "--remote", "db:mydb,Root,managers", "--remote", "db:mydb,Root,manager_options"]
    with Server(tmp_path, [create(tmp_path, "a", SCHEMA)], *options) as server:
        server.transact("own", {"op": "insert", "table": "Root", "row": {"managers": "punix:first", "manager_options": ["named-uuid", "x"]}},
                        {"op": "insert", "table": "Manager", "uuid-name": "x", "row": {"target": "ptcp:0:127.0.0.1", "read_only": True}})
        wait_until(lambda: os.path.exists(server.path("first")), 5, "the column's socket", alive=server.child)

        def row():
            return server.transact("own", {"op": "select", "table": "Manager", "where": [], "columns": ["is_connected", "status"]})[0]["rows"][0]

        wait_until(lambda: "bound_port" in json.dumps(row()), 10, row, alive=server.child)
        status = row()
        assert status["is_connected"] is False
        port = dict(status["status"][1])["bound_port"]
        client = ["ovsdb-client", "transact", f"tcp:127.0.0.1:{port}"]
        done = run([*client, '["mydb",{"op":"delete","table":"Root","where":[]}]'])
        assert "not allowed when database server is in read only mode" in done.stdout
        child = Child(["ovsdb-client", "monitor", f"tcp:127.0.0.1:{port}", "mydb", "Root"], server.path("monitor"))
        wait_until(lambda: row()["is_connected"] is True, 10, row, alive=server.child)
        child.stop()
        server.transact("own", {"op": "update", "table": "Root", "where": [], "row": {"manager_options": ["set", []], "managers": ["set", []]}})
        wait_until(lambda: not os.path.exists(server.path("first")), 5, "the column's socket is gone", alive=server.child)
        assert run([*client, "[]"], check=False).returncode != 0


def test_connects_to_its_clients(tmp_path):
    child = Child(["ovsdb-client", "monitor", f"punix:{tmp_path}/client", "mydb", "Root"], str(tmp_path / "monitor"))
    try:
        wait_until(lambda: os.path.exists(tmp_path / "client"), 5, "the client listens", alive=child)
        with Server(tmp_path, [create(tmp_path, "a", SCHEMA)], "--remote", "punix:own", "--remote", f"unix:{tmp_path}/client") as server:
            server.transact("own", {"op": "insert", "table": "Root", "row": {"managers": "x"}})
            wait_until(lambda: "insert" in child.output() or "initial" in child.output(), 10, child.output, alive=child)
    finally:
        child.stop()


def make_certificates(directory):
    """An authority, and a certificate of it for each of two."""
    def openssl(*words):
        subprocess.run(["openssl", *words], check=True, capture_output=True, cwd=directory)
    openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", "ca.key", "-out", "ca.pem",
            "-days", "2", "-subj", "/CN=authority")
    for name in ("server", "client"):
        openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", f"{name}.key", "-out", f"{name}.csr", "-subj", f"/CN={name}")
        openssl("x509", "-req", "-in", f"{name}.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2", "-out", f"{name}.pem")


def test_tls(tmp_path):
    make_certificates(tmp_path)
    files = ["--private-key", "db:mydb,Root,key", "--certificate", str(tmp_path / "server.pem"), "--ca-cert", str(tmp_path / "ca.pem")]
    with Server(tmp_path, [create(tmp_path, "a", SCHEMA)], "--remote", "punix:own", "--remote", "db:mydb,Root,manager_options", *files) as server:
        server.transact("own", {"op": "insert", "table": "Root", "row": {"key": str(tmp_path / "server.key"), "manager_options": ["named-uuid", "x"]}},
                        {"op": "insert", "table": "Manager", "uuid-name": "x", "row": {"target": "pssl:0:127.0.0.1"}})

        def port():
            rows = server.transact("own", {"op": "select", "table": "Manager", "where": [], "columns": ["status"]})[0]["rows"]
            return dict(rows[0]["status"][1]).get("bound_port")

        wait_until(port, 10, "the port", alive=server.child)
        client = ["ovsdb-client", "-t5", "--ca-cert", str(tmp_path / "ca.pem")]
        mine = ["--private-key", str(tmp_path / "client.key"), "--certificate", str(tmp_path / "client.pem")]
        assert run([*client, *mine, "list-dbs", f"ssl:127.0.0.1:{port()}"]).stdout.split() == ["_Server", "mydb"]
        # Without a certificate of its own a client is not let in.
        assert run([*client[:2], "--bootstrap-ca-cert", str(tmp_path / "none"), "list-dbs", f"ssl:127.0.0.1:{port()}"], check=False).returncode != 0
        assert run(["ovsdb-client", "-t5", "list-dbs", f"tcp:127.0.0.1:{port()}"], check=False).returncode != 0


def test_tls_versions_and_ciphers(tmp_path):
    """What --ssl-protocols and --ssl-ciphers allow, out of a column, and changed while the server runs."""
    make_certificates(tmp_path)
    schema = json.loads(json.dumps(SCHEMA))
    schema["tables"]["Root"]["columns"].update(versions={"type": "string"}, ciphers={"type": "string"})
    database = create(tmp_path, "a", schema)
    program = tmp_path / "ovsdb-server"
    program.symlink_to(os.path.join(find_binaries(), "apusd"))
    child = Child([str(program), database, f"--remote=punix:{tmp_path}/own", "--remote=db:mydb,Root,manager_options", f"--private-key={tmp_path}/server.key",
                   f"--certificate={tmp_path}/server.pem", f"--ca-cert={tmp_path}/ca.pem", "--ssl-protocols=db:mydb,Root,versions",
                   "--ssl-ciphers=db:mydb,Root,ciphers", f"--unixctl={tmp_path}/ctl"], str(tmp_path / "out"), env=dict(os.environ, OVS_RUNDIR=str(tmp_path)))

    def transact(*operations):
        with JsonRpc(str(tmp_path / "own")) as connection:
            return connection.call("transact", ["mydb", *operations])

    def bound():
        rows = transact({"op": "select", "table": "Manager", "where": [], "columns": ["status"]})[0]["rows"]
        return dict(rows[0]["status"][1]).get("bound_port")

    try:
        wait_until(lambda: os.path.exists(tmp_path / "own"), 30, child.output, alive=child)
        transact({"op": "insert", "table": "Root", "row": {"manager_options": ["named-uuid", "x"]}},
                 {"op": "insert", "table": "Manager", "uuid-name": "x", "row": {"target": "pssl:0:127.0.0.1"}})
        wait_until(bound, 30, "the port", alive=child)
        port = bound()

        def connects(*options):
            done = subprocess.run(["openssl", "s_client", "-connect", f"127.0.0.1:{port}", "-cert", str(tmp_path / "client.pem"), "-key", str(tmp_path / "client.key"),
                                   "-CAfile", str(tmp_path / "ca.pem"), *options], input="", capture_output=True, text=True, timeout=30, check=False)
            return re.search(r"Cipher is (?!\(NONE\))", done.stdout) is not None

        def have(versions="", ciphers=""):
            transact({"op": "update", "table": "Root", "where": [], "row": {"versions": versions, "ciphers": ciphers}})

        assert connects("-tls1_2") and connects("-tls1_3") and not connects("-tls1_1")
        have(versions="TLSv1.3")
        wait_until(lambda: not connects("-tls1_2"), 30, "1.2 is not spoken any more")
        assert connects("-tls1_3")
        have(versions="TLSv1.2", ciphers="ECDHE-ECDSA-AES128-GCM-SHA256")
        wait_until(lambda: not connects("-tls1_3"), 30, "1.3 is not spoken any more")
        assert connects("-tls1_2") and not connects("-tls1_2", "-cipher", "ECDHE-ECDSA-AES256-GCM-SHA384")
        # What cannot be lets nobody in, and says why.
        have(versions="TLSv1.1")
        wait_until(lambda: not connects("-tls1_2"), 30, "nobody is let in")
        wait_until(lambda: "names no TLS versions" in child.output(), 30, child.output)
    finally:
        child.stop()


# The other half of an Open vSwitch installation


OVS_SCHEMA = "/usr/share/openvswitch/vswitch.ovsschema"


@pytest.fixture
def fields_server(tmp_path):
    """Debian's ovsdb-server with a host's database."""
    database = str(tmp_path / "conf.db")
    run(["ovsdb-tool", "create", database, OVS_SCHEMA])
    socket = str(tmp_path / "ovs.sock")

    def start():
        child = Child(["ovsdb-server", database, f"--remote=punix:{socket}", f"--unixctl={tmp_path}/ovsdb.ctl"], str(tmp_path / "ovsdb.out"),
                      env=dict(os.environ, OVS_RUNDIR=str(tmp_path)))
        wait_until(lambda: os.path.exists(socket), 10, "ovsdb-server listens", alive=child)
        return child

    state = {"child": start(), "start": start, "socket": socket}
    yield state
    state["child"].stop()


def vsctl(socket, *words, timeout=15):
    return run(["ovs-vsctl", f"--timeout={timeout}", f"--db=unix:{socket}", *words]).stdout.strip()


def test_our_switch_with_the_fields_server(tmp_path, fields_server):
    socket = fields_server["socket"]
    directory = tmp_path / "run"
    directory.mkdir()
    vsctl(socket, "--no-wait", "init")
    command = [f"{find_binaries()}/apusd", "--rundir", str(directory), f"unix:{socket}", "--enable-dummy"]
    child = Child(command, str(tmp_path / "apusd.out"), name="apusd")
    try:
        wait_until(lambda: "|ready" in child.output(), 20, "apusd is ready", alive=child)
        vsctl(socket, "add-br", "br0", "--", "set", "bridge", "br0", "datapath_type=dummy", "--", "add-port", "br0", "p1", "--",
              "set", "interface", "p1", "type=dummy", "ofport_request=7")
        assert vsctl(socket, "get", "interface", "p1", "ofport") == "7"
        assert "p1" in run(["ovs-ofctl", "show", f"unix:{directory}/br0.mgmt"]).stdout
        # A second switch waits until the first lets go of the lock.
        other = tmp_path / "other"
        other.mkdir()
        second = Child([command[0], "--rundir", str(other), f"unix:{socket}", "--enable-dummy"], str(tmp_path / "second.out"), name="apusd")
        try:
            wait_until(lambda: "holds the lock ovs_vswitchd" in second.output(), 15, second.output, alive=second)
            assert not os.path.exists(other / "br0.mgmt")
            # The server goes and comes back: the switch goes on, and hears what it missed.
            fields_server["child"].stop()
            assert os.path.exists(directory / "br0.mgmt")
            fields_server["child"] = fields_server["start"]()
            vsctl(socket, "--timeout=30", "add-port", "br0", "p2", "--", "set", "interface", "p2", "type=dummy", timeout=30)
            assert vsctl(socket, "get", "interface", "p2", "ofport") != "[]"
        finally:
            assert second.stop() == 0
    finally:
        assert child.stop() == 0, child.tail()


def test_our_switch_with_the_fields_server_over_tls(tmp_path):
    for name in ("good", "bad", "run"):
        (tmp_path / name).mkdir()
    make_certificates(tmp_path / "good")
    make_certificates(tmp_path / "bad")
    run(["ovsdb-tool", "create", str(tmp_path / "conf.db"), OVS_SCHEMA])
    socket = str(tmp_path / "ovs.sock")

    def files(directory, name):
        return [word for option, file in (("private-key", f"{name}.key"), ("certificate", f"{name}.pem"), ("ca-cert", "ca.pem"))
                for word in (f"--{option}", str(tmp_path / directory / file))]

    server = Child(["ovsdb-server", str(tmp_path / "conf.db"), f"--remote=punix:{socket}", "--remote=pssl:0:127.0.0.1", f"--unixctl={tmp_path}/ovsdb.ctl",
                    *files("good", "server")], str(tmp_path / "ovsdb.out"), env=dict(os.environ, OVS_RUNDIR=str(tmp_path)))
    switch = None

    def start(certificates):
        return Child([f"{find_binaries()}/apusd", "--rundir", str(tmp_path / "run"), "--enable-dummy", *files(certificates, "client"), f"ssl:127.0.0.1:{port}"],
                     str(tmp_path / f"{certificates}.out"), name="apusd")

    try:
        wait_until(lambda: "listening on port" in server.output(), 60, server.output, alive=server)
        port = server.output().split("listening on port ")[1].split()[0]
        vsctl(socket, "--no-wait", "init")
        vsctl(socket, "--no-wait", "add-br", "br0", "--", "set", "bridge", "br0", "datapath_type=dummy")
        # Of an authority that the server does not know: it is not let in, says so, and goes on trying.
        switch = start("bad")
        wait_until(lambda: "certificate" in switch.output().lower(), 60, switch.output, alive=switch)
        assert not os.path.exists(tmp_path / "run/br0.mgmt")
        assert switch.stop() == 0
        switch = start("good")
        vsctl(socket, "add-port", "br0", "p1", "--", "set", "interface", "p1", "type=dummy", "ofport_request=7", timeout=60)
        assert vsctl(socket, "get", "interface", "p1", "ofport") == "7"
    finally:
        if switch:
            assert switch.stop() == 0, switch.tail()
        server.stop()


def test_the_fields_switch_with_our_server(tmp_path):
    database = str(tmp_path / "conf.db")
    run(["ovsdb-tool", "create", database, OVS_SCHEMA])
    with Server(tmp_path, [database], "--remote", "punix:db.sock") as server:
        socket = server.path("db.sock")
        vsctl(socket, "--no-wait", "init")
        environment = dict(os.environ, OVS_RUNDIR=str(tmp_path))
        vswitchd = Child(["/usr/lib/openvswitch-switch/ovs-vswitchd", f"unix:{socket}", "--enable-dummy=override", "--disable-system",
                          f"--unixctl={tmp_path}/vswitchd.ctl", "-vconsole:warn"], server.path("vswitchd.out"), env=environment)
        try:
            vsctl(socket, "add-br", "br0", "--", "set", "bridge", "br0", "datapath_type=dummy", "--", "add-port", "br0", "p1", "--",
                  "set", "interface", "p1", "type=dummy", "ofport_request=7", timeout=30)
            assert vsctl(socket, "get", "interface", "p1", "ofport") == "7"
            assert vsctl(socket, "wait-until", "interface", "p1", "statistics:rx_packets=0") == ""
        finally:
            vswitchd.stop()
