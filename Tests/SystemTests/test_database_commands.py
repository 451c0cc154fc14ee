"""What runs under the name of the field's database server: its command line, roles of clients, the process that watches it."""
import json
import os
import signal

import pytest

from Harness.database import create
from Harness.process import Child, run, wait_until
from Harness.switch import find_binaries
from test_database_server import make_certificates

pytestmark = pytest.mark.apus

SCHEMA = {"name": "mydb", "version": "1.0.0", "tables": {
    "Root": {"isRoot": True, "columns": {"connections": {"type": {"key": {"type": "uuid", "refTable": "Connection"}, "min": 0, "max": "unlimited"}}}},
    "Connection": {"columns": {"target": {"type": "string"}, "role": {"type": "string"},
                               "status": {"type": {"key": "string", "value": "string", "min": 0, "max": "unlimited"}, "ephemeral": True}}},
    "RBAC_Role": {"isRoot": True, "columns": {"name": {"type": "string"}, "permissions": {"type": {
        "key": "string", "value": {"type": "uuid", "refTable": "RBAC_Permission", "refType": "weak"}, "min": 0, "max": "unlimited"}}}},
    "RBAC_Permission": {"isRoot": True, "columns": {"table": {"type": "string"}, "insert_delete": {"type": "boolean"},
                                                    "authorization": {"type": {"key": "string", "min": 0, "max": "unlimited"}},
                                                    "update": {"type": {"key": "string", "min": 0, "max": "unlimited"}}}},
    "Color": {"isRoot": True, "columns": {"creator": {"type": "string"}, "name": {"type": "string"}}}}}


class FieldServer:
    """`ovsdb-server`, as a link to `apusd`."""

    def __init__(self, directory, *options):
        self.directory = str(directory)
        self.program = os.path.join(self.directory, "ovsdb-server")
        if not os.path.exists(self.program):
            os.symlink(os.path.join(os.path.abspath(find_binaries()), "apusd"), self.program)
        self.control = os.path.join(self.directory, "ctl")
        self.command = [self.program, f"--unixctl={self.control}", f"--pidfile={self.directory}/pid", f"--log-file={self.directory}/log", *options]
        self.child = Child(self.command, os.path.join(self.directory, "out"), env=dict(os.environ, OVS_RUNDIR=self.directory), name="ovsdb-server")
        wait_until(lambda: self.appctl("version") is not None, 60, self.child.output, alive=self.child)

    def appctl(self, *words):
        done = run(["ovs-appctl", "-t", self.control, *words], check=False)
        return done.stdout if done.returncode == 0 else None

    def pid(self):
        try:
            with open(f"{self.directory}/pid") as file:
                return int(file.read() or 0)
        except FileNotFoundError:
            return 0

    def __enter__(self):
        return self

    def __exit__(self, *_):
        assert self.child.stop() == 0, self.child.tail()


def test_without_databases_and_with_shortened_options(tmp_path):
    with FieldServer(tmp_path, "--no-db", "--rem=punix:s") as server:
        assert server.appctl("ovsdb-server/list-dbs") == "_Server\n"
        assert server.appctl("ovsdb-server/list-remotes") == "punix:s\n"
        assert run(["ovsdb-client", "list-dbs", f"unix:{tmp_path}/s"]).stdout == "_Server\n"


def test_an_ambiguous_option_is_refused(tmp_path):
    os.symlink(os.path.join(os.path.abspath(find_binaries()), "apusd"), tmp_path / "ovsdb-server")
    done = run([str(tmp_path / "ovsdb-server"), "--ssl=x"], check=False)
    assert done.returncode == 1 and "--ssl" in done.stderr
    done = run([str(tmp_path / "ovsdb-server"), "--no-dbs", f"--unixctl={tmp_path}/nowhere/ctl"], check=False)
    assert done.returncode == 1 and "could not initialize control socket" in done.stderr


def test_a_crashed_server_is_started_again(tmp_path):
    with FieldServer(tmp_path, "--no-dbs", "--monitor") as server:
        first = server.pid()
        assert first not in (0, server.child.pid)
        os.kill(first, signal.SIGSEGV)
        wait_until(lambda: server.pid() not in (0, first) and server.appctl("version"), 60, server.child.output, alive=server.child)
        with open(tmp_path / "log") as file:
            assert f"|daemon_unix(monitor)|ERR|1 crashes: pid {first} died, killed (Segmentation fault), restarting" in file.read()
        second = server.pid()
        with open(f"/proc/{second}/comm") as file:
            assert file.read() == "ovsdb-server\n"
    assert not os.path.exists(f"/proc/{second}") and server.pid() == 0


def test_a_server_that_ends_by_itself_is_not_started_again(tmp_path):
    server = FieldServer(tmp_path, "--no-dbs", "--monitor")
    assert server.appctl("exit") is not None
    wait_until(lambda: server.child.returncode() is not None, 60, server.child.output)
    assert server.child.returncode() == 0


def test_roles(tmp_path):
    make_certificates(tmp_path)
    database = create(tmp_path, "db", SCHEMA)
    run(["ovsdb-tool", "transact", database, """["mydb",
        {"op": "insert", "table": "Root", "row": {"connections": ["named-uuid", "c"]}},
        {"op": "insert", "table": "Connection", "uuid-name": "c", "row": {"target": "pssl:0:127.0.0.1", "role": "painter"}},
        {"op": "insert", "table": "RBAC_Role", "row": {"name": "painter", "permissions": ["map", [["Color", ["named-uuid", "p"]]]]}},
        {"op": "insert", "table": "RBAC_Permission", "uuid-name": "p",
         "row": {"table": "Color", "authorization": "creator", "insert_delete": true, "update": "name"}}]"""])
    with FieldServer(tmp_path, database, "--remote=punix:s", "--remote=db:mydb,Root,connections", f"--private-key={tmp_path}/server.key",
                     f"--certificate={tmp_path}/server.pem", f"--ca-cert={tmp_path}/ca.pem"):
        local = ["ovsdb-client", "transact", f"unix:{tmp_path}/s"]

        def port():
            words = run([*local, '["mydb",{"op":"select","table":"Connection","where":[],"columns":["status"]}]']).stdout.split('"')
            return words[words.index("bound_port") + 2] if "bound_port" in words else None

        wait_until(port, 60, "the port")
        client = ["ovsdb-client", f"--private-key={tmp_path}/client.key", f"--certificate={tmp_path}/client.pem", f"--ca-cert={tmp_path}/ca.pem",
                  "transact", f"ssl:127.0.0.1:{port()}"]

        def insert(who, creator):
            return run([*who, '["mydb",{"op":"insert","table":"Color","row":{"creator":"%s","name":"red"}}]' % creator]).stdout

        assert "uuid" in insert(client, "client")
        assert 'RBAC rules for client \\"client\\" role \\"painter\\" prohibit row insertion into table \\"Color\\".' in insert(client, "other")
        assert "uuid" in insert(local, "other")
        done = run([*client, '["mydb",{"op":"delete","table":"Color","where":[]}]']).stdout
        assert 'prohibit row deletion from table \\"Color\\".' in done
        assert '"count":1' in run([*client, '["mydb",{"op":"delete","table":"Color","where":[["creator","==","client"]]}]']).stdout


def configure(path, remotes, databases):
    with open(path, "w") as file:
        json.dump({"remotes": remotes, "databases": databases}, file)


def test_a_configuration_file(tmp_path):
    create(tmp_path, "a", dict(SCHEMA, name="first"))
    create(tmp_path, "b", dict(SCHEMA, name="second"))
    path = str(tmp_path / "config.json")
    first, second = str(tmp_path / "a"), str(tmp_path / "b")
    configure(path, {"punix:s": {"read-only": True}}, {first: None})
    with FieldServer(tmp_path, f"--config-file={path}") as server:
        assert server.appctl("ovsdb-server/list-dbs") == "_Server\nfirst\n"
        refused = run(["ovsdb-client", "transact", f"unix:{tmp_path}/s", '["first",{"op":"insert","table":"Root","row":{}}]']).stdout
        assert "read only" in refused
        assert server.appctl("ovsdb-server/add-db", second) is None and server.appctl("ovsdb-server/remove-remote", "punix:s") is None
        configure(path, {"punix:t": {}}, {second: {"service-model": "standalone"}})
        assert server.appctl("ovsdb-server/reload") == ""
        assert server.appctl("ovsdb-server/list-dbs") == "_Server\nsecond\n" and server.appctl("ovsdb-server/list-remotes") == "punix:t\n"
        for databases in ({second: {"service-model": "relay"}}, {second: {"nosuch": 1}}, {str(tmp_path / "none"): {}}):
            configure(path, {"punix:t": {}}, {second: None, **databases})
            assert server.appctl("ovsdb-server/reload") is None
        configure(path, {"punix:t": {"role": 5}}, {second: None})
        assert server.appctl("ovsdb-server/reload") is None
        assert server.appctl("ovsdb-server/list-dbs") == "_Server\nsecond\n" and server.appctl("ovsdb-server/list-remotes") == "punix:t\n"
    done = run([server.program, "--config-file", path, "--remote=punix:x"], check=False)
    assert done.returncode == 1 and "mutually exclusive" in done.stderr
    with open(path, "w") as file:
        file.write("{")
    done = run([server.program, "--config-file", path, f"--unixctl={tmp_path}/c2"], check=False)
    assert done.returncode == 1 and "not valid JSON" in done.stderr and "server configuration failed" in done.stderr


def test_what_commands_have_changed_survives_a_crash(tmp_path):
    create(tmp_path, "a", dict(SCHEMA, name="first"))
    create(tmp_path, "b", dict(SCHEMA, name="second"))
    create(tmp_path, "c", dict(SCHEMA, name="third"))
    with FieldServer(tmp_path, "--monitor", "--remote=punix:s", str(tmp_path / "a"), str(tmp_path / "c")) as server:
        assert server.appctl("ovsdb-server/remove-db", "third") == ""
        assert server.appctl("ovsdb-server/add-db", str(tmp_path / "b")) == "" and server.appctl("ovsdb-server/add-remote", "punix:t") == ""
        assert server.appctl("ovsdb-server/remove-remote", "punix:s") == ""
        first = server.pid()
        os.kill(first, signal.SIGSEGV)
        wait_until(lambda: server.pid() not in (0, first) and server.appctl("version"), 60, server.child.output, alive=server.child)
        assert server.appctl("ovsdb-server/list-dbs") == "_Server\nfirst\nsecond\n"
        assert server.appctl("ovsdb-server/list-remotes") == "punix:t\n"
