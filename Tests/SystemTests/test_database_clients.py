"""The field's OVSDB clients on our server: ovsdb-client, ovsdb-tool, Python's IDL, ovsdbapp, os-vif."""
import json
import os
import subprocess

import pytest

from Harness.database import DatabaseServer, create
from Harness.process import Child, run, wait_until

pytestmark = pytest.mark.apus

SCHEMA = {"name": "ordinals", "version": "5.1.3", "tables": {
    "ordinals": {"columns": {"number": {"type": "integer"}, "name": {"type": "string"}}, "indexes": [["number"]]}}}
NARROW = {"name": "ordinals", "tables": {"ordinals": {"columns": {"number": {"type": "integer"}}}}}


@pytest.fixture
def server(tmp_path):
    with DatabaseServer(tmp_path, [create(tmp_path, "db", SCHEMA)]) as server:
        for number, name in enumerate(("zero", "one", "two")):
            server.transact("db.sock", {"op": "insert", "table": "ordinals", "row": {"number": number, "name": name}}, database="ordinals")
        yield server


def client(server, command, *words, options=(), check=True):
    done = run(["ovsdb-client", "-t10", *options, command, f"unix:{server.socket}", *words], check=check)
    return done.stdout if check else done


# ovsdb-client


def test_each_subcommand_that_answers(server, tmp_path):
    assert client(server, "list-dbs").split() == ["_Server", "ordinals"]
    schema = json.loads(client(server, "get-schema", "ordinals"))
    assert schema["version"] == "5.1.3" and schema["tables"]["ordinals"]["indexes"] == [["number"]]
    assert client(server, "get-schema-version", "ordinals") == "5.1.3\n"
    assert client(server, "get-schema-cksum", "ordinals") == "\n"
    assert "ordinals" in client(server, "list-tables", "ordinals")
    assert "number" in client(server, "list-columns", "ordinals", "ordinals")
    (rows,) = json.loads(client(server, "transact", '["ordinals",{"op":"select","table":"ordinals","where":[],"columns":["name"],"sort":["number"]}]'))
    assert [row["name"] for row in rows["rows"]] == ["zero", "one", "two"]
    assert client(server, "query", '["ordinals",{"op":"select","table":"ordinals","where":[["number","==",1]],"columns":["name"]}]') == '[{"rows":[{"name":"one"}]}]\n'
    client(server, "query", '["ordinals",{"op":"delete","table":"ordinals","where":[]}]')
    dump = client(server, "dump", "ordinals", "ordinals", "number", options=["--format=csv", "--no-headings"])
    assert sorted(dump.split()) == sorted(["ordinals", "table", "0", "1", "2"])
    assert client(server, "wait", "ordinals", "connected") == "" and client(server, "wait", "nosuch", "removed") == ""
    for command in ("lock", "steal"):
        child = Child(["ovsdb-client", command, f"unix:{server.socket}", "mine"], server.path(command))
        try:
            wait_until(lambda child=child: "locked" in child.output(), 10, child.output, alive=child)
        finally:
            child.stop()
    backup = client(server, "backup", "ordinals")
    assert backup.startswith("OVSDB JSON ") and "zero" in backup
    client(server, "transact", '["ordinals",{"op":"delete","table":"ordinals","where":[]}]')
    (tmp_path / "backup").write_text(backup)
    with open(tmp_path / "backup", encoding="utf-8") as file:
        restored = subprocess.run(["ovsdb-client", "-t10", "restore", f"unix:{server.socket}", "ordinals"], stdin=file, text=True, capture_output=True)
    assert restored.returncode == 0, restored.stderr
    assert "zero" in client(server, "dump", "ordinals")


@pytest.mark.parametrize("command", ["monitor", "monitor-cond", "monitor-cond-since"])
def test_monitors(server, command):
    words = {"monitor": ["ordinals", "ordinals", "number,name"], "monitor-cond": ["ordinals", '[["number","!=",1]]', "ordinals", "number,name"],
             "monitor-cond-since": ["ordinals", "00000000-0000-0000-0000-000000000000", '[["number","!=",1]]', "ordinals", "number,name"]}[command]
    child = Child(["ovsdb-client", "--format=csv", "--no-headings", command, f"unix:{server.socket}", *words], server.path("monitor"))
    try:
        wait_until(lambda: "two" in child.output(), 10, child.output, alive=child)
        assert ("one" in child.output()) == (command == "monitor")
        client(server, "transact", '["ordinals",{"op":"insert","table":"ordinals","row":{"number":9,"name":"nine"}}]')
        wait_until(lambda: "insert,9,nine" in child.output(), 10, child.output, alive=child)
        client(server, "transact", '["ordinals",{"op":"update","table":"ordinals","where":[["number","==",9]],"row":{"name":"neun"}}]')
        wait_until(lambda: "neun" in child.output(), 10, child.output, alive=child)
        client(server, "transact", '["ordinals",{"op":"delete","table":"ordinals","where":[["number","==",9]]}]')
        wait_until(lambda: "delete" in child.output(), 10, child.output, alive=child)
    finally:
        child.stop()


def test_conversion_online(server, tmp_path):
    (tmp_path / "narrow").write_text(json.dumps(NARROW))
    assert client(server, "needs-conversion", str(tmp_path / "narrow")) == "yes\n"
    monitors = {}
    for name in ("db-change-aware", "no-db-change-aware"):
        monitors[name] = Child(["ovsdb-client", f"--{name}", "--no-headings", "monitor", f"unix:{server.socket}", "ordinals", "ordinals"], server.path(name))
        wait_until(lambda child=monitors[name]: "two" in child.output(), 10, monitors[name].output, alive=monitors[name])
    wait = {"op": "wait", "table": "ordinals", "where": [["name", "==", "seven"]], "columns": ["name"], "rows": [], "until": "!="}
    aware, unaware = server.connect(), server.connect()
    aware.call("set_db_change_aware", [True])
    for connection in (aware, unaware):
        connection.send("transact", ["ordinals", wait], "waits")
        connection.call("echo", [])
    client(server, "convert", str(tmp_path / "narrow"))
    assert client(server, "needs-conversion", str(tmp_path / "narrow")) == "no\n"
    wait_until(lambda: all(child.returncode() is not None for child in monitors.values()), 10, "both monitors end")
    assert "ordinals database was removed" in monitors["db-change-aware"].output()
    assert "End of file" in monitors["no-db-change-aware"].output()
    assert aware.receive(5)["error"] == "canceled" and unaware.receive(5) is None
    assert "name" not in client(server, "dump", "ordinals")
    client(server, "transact", '["ordinals",{"op":"insert","table":"ordinals","row":{"number":6}}]')
    server.child.stop()
    server.start()
    numbers = client(server, "dump", "ordinals", "ordinals", "number", options=["--format=csv", "--no-headings"])
    assert sorted(numbers.split()) == sorted(["ordinals", "table", "0", "1", "2", "6"])


# ovsdb-tool


def test_ovsdb_tool_on_our_file(server, tmp_path):
    client(server, "transact", '["ordinals",{"op":"mutate","table":"ordinals","where":[],"mutations":[["number","+=",10]]},{"op":"comment","comment":"ten more"}]')
    assert server.child.stop() == 0
    path = server.path("db")

    def tool(*words):
        return run(["ovsdb-tool", *words]).stdout

    assert tool("db-name", path) == "ordinals\n" and tool("db-version", path) == "5.1.3\n" and tool("db-cksum", path) == "\n"
    assert tool("db-is-standalone", path) == "" and tool("needs-conversion", path, path + ".schema") == "no\n"
    log = tool("-mmm", "show-log", path)
    assert "ten more" in log and "number=10" in log.replace(" ", "")
    query = '["ordinals",{"op":"select","table":"ordinals","where":[],"columns":["number"],"sort":["number"]}]'
    assert json.loads(tool("query", path, query))[0]["rows"] == [{"number": 10}, {"number": 11}, {"number": 12}]
    tool("transact", path, '["ordinals",{"op":"insert","table":"ordinals","row":{"number":20}}]')
    tool("compact", path)
    (tmp_path / "narrow").write_text(json.dumps(NARROW))
    tool("convert", path, str(tmp_path / "narrow"))
    server.start()
    numbers = client(server, "dump", "ordinals", "ordinals", "number", options=["--format=csv", "--no-headings"])
    assert sorted(numbers.split()) == sorted(["ordinals", "table", "10", "11", "12", "20"])


# Python's IDL


IDL = """
import sys, time
import ovs.db.idl, ovs.poller
remote, schema = sys.argv[1:]
helper = ovs.db.idl.SchemaHelper(schema)
helper.register_all()
events = []
class Idl(ovs.db.idl.Idl):
    def notify(self, event, row, updates=None):
        # The rows of `_Server` come by, too.
        if row._table.name == "ordinals":
            events.append((event, row.number, sorted(updates._data) if updates else []))
idl = Idl(remote, helper)
def until(condition, what):
    deadline = time.monotonic() + 20
    while not condition():
        if time.monotonic() > deadline:
            sys.exit("not in time: %s %s" % (what, events))
        poller = ovs.poller.Poller()
        idl.wait(poller)
        poller.timer_wait(100)
        poller.block()
        idl.run()
numbers = lambda: sorted(row.number for row in idl.tables["ordinals"].rows.values())
until(lambda: numbers() == [0, 1, 2], "the first contents")
txn = ovs.db.idl.Transaction(idl)
row = txn.insert(idl.tables["ordinals"]); row.number = 7; row.name = "seven"
assert txn.commit_block() == txn.SUCCESS, txn.get_error()
until(lambda: numbers() == [0, 1, 2, 7], "the insert")
assert ("create", 7, []) in events, events
txn = ovs.db.idl.Transaction(idl)
row = [row for row in idl.tables["ordinals"].rows.values() if row.number == 7][0]
row.verify("name"); row.name = "sept"
assert txn.commit_block() == txn.SUCCESS, txn.get_error()
until(lambda: any(event == "update" and number == 7 and "name" in columns for event, number, columns in events), "the change")
# The same number again: refused by the index, and the error says so.
txn = ovs.db.idl.Transaction(idl)
again = txn.insert(idl.tables["ordinals"]); again.number = 7
assert txn.commit_block() == txn.ERROR and "constraint violation" in txn.get_error(), txn.get_error()
# The server goes and comes back.
print("READY", flush=True)
sys.stdin.readline()
idl.force_reconnect()
until(lambda: numbers() == [0, 1, 2, 7, 8], "what was missed")
# Only some rows.
idl.cond_change("ordinals", [["number", ">", 1]])
until(lambda: numbers() == [2, 7, 8], "the condition")
row = [row for row in idl.tables["ordinals"].rows.values() if row.number == 8][0]
txn = ovs.db.idl.Transaction(idl)
row.delete()
assert txn.commit_block() == txn.SUCCESS
until(lambda: numbers() == [2, 7], "the delete")
print("DONE", flush=True)
"""


def test_python_idl(server, tmp_path):
    process = subprocess.Popen(["/usr/bin/python3", "-c", IDL, f"unix:{server.socket}", server.path("db.schema")], stdin=subprocess.PIPE,
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        while (line := process.stdout.readline()) and line != "READY\n":
            pass
        assert line == "READY\n", process.communicate()[1][-2000:]
        server.child.stop()
        server.start()
        server.transact("db.sock", {"op": "insert", "table": "ordinals", "row": {"number": 8, "name": "eight"}}, database="ordinals")
        output, errors = process.communicate("\n", timeout=60)
        assert process.returncode == 0 and "DONE" in output, errors[-2000:]
    finally:
        process.kill()


# From PyPI


@pytest.fixture(scope="session")
def pypi():
    """A Python with ovsdbapp and os-vif, which `make pypi` makes: the tests' own network namespace leads nowhere."""
    root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    python = os.path.join(root, ".build", "pypi", "bin", "python")
    if subprocess.run([python, "-c", "import ovsdbapp, os_vif"], capture_output=True, check=False).returncode if os.path.exists(python) else True:
        pytest.skip("ovsdbapp and os-vif are not there: `make pypi` gets them from PyPI")
    return python


OVSDBAPP = """
import sys
from ovsdbapp.backend.ovs_idl import connection
from ovsdbapp.schema.open_vswitch import impl_idl
remote = sys.argv[1]
idl = connection.OvsdbIdl.from_server(remote, "Open_vSwitch")
api = impl_idl.OvsdbIdl(connection.Connection(idl=idl, timeout=10))
with api.transaction(check_error=True) as txn:
    txn.add(api.add_br("br-app", datapath_type="netdev"))
    txn.add(api.add_port("br-app", "app0"))
    txn.add(api.db_set("Interface", "app0", ("type", "internal"), ("external_ids", {"iface-id": "x"})))
assert api.br_exists("br-app").execute(check_error=True)
assert api.list_ports("br-app").execute(check_error=True) == ["app0"]
assert api.db_get("Interface", "app0", "external_ids").execute(check_error=True) == {"iface-id": "x"}
assert api.port_to_br("app0").execute(check_error=True) == "br-app"
api.db_add("Bridge", "br-app", "protocols", "OpenFlow13").execute(check_error=True)
assert [row["name"] for row in api.db_find("Bridge", ("name", "=", "br-app")).execute(check_error=True)] == ["br-app"]
api.set_controller("br-app", ["tcp:127.0.0.1:6633"]).execute(check_error=True)
assert api.get_controller("br-app").execute(check_error=True) == ["tcp:127.0.0.1:6633"]
api.del_controller("br-app").execute(check_error=True)
api.del_port("app0").execute(check_error=True)
api.del_br("br-app").execute(check_error=True)
assert not api.br_exists("br-app").execute(check_error=True)
print("DONE")
"""

OS_VIF = """
import sys
import os_vif
from os_vif.objects import instance_info, network, subnet, vif
path = sys.argv[1]
os_vif.initialize()
profile = vif.VIFPortProfileOpenVSwitch(interface_id="e65867e0-9340-4a7f-a256-09af6eb7a3aa", datapath_type="netdev")
port = vif.VIFVHostUser(id="b679325f-ca89-4ee0-a8be-6db1409b69ea", address="ca:fe:de:ad:be:ef", network=network.Network(id="437c6db5-4e6f-4b43-b64b-ed6a11ee5ba7", bridge="br-vif", subnets=subnet.SubnetList(objects=[]), mtu=1500), plugin="ovs", mode="client", path=path, vif_name="vhub679325f-ca", port_profile=profile)
instance = instance_info.InstanceInfo(uuid="f0000000-0000-0000-0000-000000000001", name="demo")
if sys.stdin.readline() == "plug\\n":
    os_vif.plug(port, instance)
    print("PLUGGED", flush=True)
    sys.stdin.readline()
    os_vif.unplug(port, instance)
    print("UNPLUGGED", flush=True)
"""


def test_ovsdbapp(pypi, switch):
    done = subprocess.run([pypi, "-c", OVSDBAPP, f"unix:{switch.db_socket}"], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0 and "DONE" in done.stdout, done.stderr[-3000:]


def test_os_vif(pypi, switch, tmp_path):
    path = switch.path("vif.sock")
    # os-vif starts its helper by sudo; whoever runs this is root.
    (tmp_path / "sudo").write_text('#!/bin/sh\nexec "$@"\n')
    (tmp_path / "sudo").chmod(0o755)
    environment = dict(os.environ, PATH=f"{tmp_path}:{os.path.dirname(pypi)}:{os.environ['PATH']}")
    # Where os-vif looks unless told otherwise.
    switch.vsctl("set-manager", "ptcp:6640:127.0.0.1")
    process = subprocess.Popen([pypi, "-c", OS_VIF, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE, text=True, env=environment)
    try:
        process.stdin.write("plug\n")
        process.stdin.flush()
        line = process.stdout.readline()
        assert line == "PLUGGED\n", process.communicate()[1][-3000:]
        interface = switch.interface("vhub679325f-ca")
        assert interface["type"] in ("dpdkvhostuser", "dpdkvhostuserclient")
        assert interface["external_ids"]["iface-id"] == "e65867e0-9340-4a7f-a256-09af6eb7a3aa"
        assert switch.vsctl("port-to-br", "vhub679325f-ca") == "br-vif"
        output, errors = process.communicate("unplug\n", timeout=30)
        assert "UNPLUGGED" in output, errors[-3000:]
        assert switch.vsctl("list-ports", "br-vif") == ""
    finally:
        process.kill()
        switch.vsctl("--if-exists", "del-br", "br-vif", "--", "del-manager")
