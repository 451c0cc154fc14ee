"""The configuration database, through the field's clients and by hand: RFC 7047 and the Open_vSwitch schema."""
import json
import signal
import subprocess

import pytest

from Harness.process import Child, run, wait_until


# ovs-vsctl


def test_bridge_life(switch):
    switch.vsctl("add-br", "br0", "--", "set", "bridge", "br0", "datapath_type=netdev")
    assert switch.vsctl("list-br") == "br0"
    assert switch.vsctl("br-exists", "br0", check=False).returncode == 0
    assert switch.vsctl("br-exists", "br1", check=False).returncode == 2
    done = switch.vsctl("add-br", "br0", check=False)
    assert done.returncode == 1 and "already exists" in done.stderr
    switch.vsctl("--may-exist", "add-br", "br0")
    switch.vsctl("del-br", "br0")
    assert switch.vsctl("list-br") == ""
    done = switch.vsctl("del-br", "br0", check=False)
    assert done.returncode == 1 and "no bridge named br0" in done.stderr
    switch.vsctl("--if-exists", "del-br", "br0")


def test_two_bridges(bridge):
    bridge.add_bridge("br1")
    assert bridge.vsctl("list-br").splitlines() == ["br0", "br1"]
    bridge.add_port("tap9", "tap", bridge="br1")
    assert bridge.vsctl("port-to-br", "tap9") == "br1"
    assert bridge.vsctl("iface-to-br", "tap9") == "br1"
    bridge.vsctl("del-br", "br1")
    assert bridge.vsctl("list-br") == "br0"


def test_port_life(bridge):
    bridge.add_port("tap1", "tap")
    assert bridge.vsctl("list-ports", "br0") == "tap1"
    done = bridge.vsctl("add-port", "br0", "tap1", check=False)
    assert done.returncode == 1 and "already exists" in done.stderr
    bridge.vsctl("--may-exist", "add-port", "br0", "tap1")
    bridge.vsctl("del-port", "br0", "tap1")
    assert bridge.vsctl("list-ports", "br0") == ""
    bridge.vsctl("--if-exists", "del-port", "br0", "tap1")
    assert bridge.vsctl("del-port", "br0", "tap1", check=False).returncode == 1


def test_set_get_list_find_show(bridge):
    bridge.add_port("tap1", "tap")
    bridge.vsctl("set", "Interface", "tap1", "external_ids:iface-id=abc", "external_ids:vm=\"x y\"")
    assert bridge.get("Interface", "tap1", "external_ids:iface-id") == "abc"
    assert bridge.get("Interface", "tap1", "external_ids") == '{iface-id=abc, vm="x y"}'
    bridge.vsctl("remove", "Interface", "tap1", "external_ids", "vm")
    assert bridge.get("Interface", "tap1", "external_ids") == "{iface-id=abc}"
    bridge.vsctl("clear", "Interface", "tap1", "external_ids")
    assert bridge.get("Interface", "tap1", "external_ids") == "{}"
    bridge.vsctl("set", "Port", "tap1", "tag=7", "trunks=1,2,3")
    assert bridge.get("Port", "tap1", "tag") == "7"
    assert bridge.get("Port", "tap1", "trunks") == "[1, 2, 3]"
    bridge.vsctl("add", "Port", "tap1", "trunks", "9")
    assert bridge.get("Port", "tap1", "trunks") == "[1, 2, 3, 9]"
    assert "tap1" in bridge.vsctl("list", "Port")
    assert bridge.vsctl("--bare", "--columns=name", "find", "Interface", "type=tap") == "tap1"
    shown = bridge.vsctl("show")
    assert "Bridge br0" in shown and "Interface tap1" in shown and "type: tap" in shown


def test_wait_until(bridge):
    bridge.vsctl("wait-until", "Bridge", "br0", "datapath_type=netdev")
    bridge.add_port("tap1", "tap")
    run(["ip", "link", "set", "tap1", "up"])
    bridge.vsctl("wait-until", "Interface", "tap1", "link_state=up", "--", "get", "Interface", "tap1", "name")
    done = bridge.vsctl("wait-until", "Bridge", "br0", "fail_mode=standalone", check=False, timeout=1)
    assert done.returncode != 0


def test_what_the_switch_reports(bridge):
    (row,) = bridge.rows("Open_vSwitch")
    assert row["cur_cfg"] == row["next_cfg"] > 0
    assert {"dpdk", "dpdkvhostuser", "dpdkvhostuserclient", "internal", "patch", "tap"} <= set(row["iface_types"])
    assert "netdev" in (row["datapath_types"] if isinstance(row["datapath_types"], list) else [row["datapath_types"]])
    # (Around the reference, ovs-ctl writes these.)
    assert bridge.kind == "ovs" or row["ovs_version"] and row["db_version"]
    (br0,) = bridge.rows("Bridge")
    assert len(br0["datapath_id"]) == 16 and int(br0["datapath_id"], 16)
    bridge.add_port("tap1", "tap", ofport=7)
    run(["ip", "link", "set", "tap1", "up"])
    wait_until(lambda: bridge.interface("tap1")["link_state"] == "up", 10, "the link is up")
    interface = bridge.interface("tap1")
    assert interface["ofport"] == 7
    assert interface["error"] == []
    assert interface["admin_state"] == "up" and interface["link_state"] == "up"
    assert len(interface["mac_in_use"]) == 17
    assert interface["mtu"] == 1500
    wanted = {f"{side}_{what}" for side in ("rx", "tx") for what in ("packets", "bytes", "errors", "dropped")}
    wait_until(lambda: wanted <= set(bridge.statistics("tap1")), 15, lambda: f"statistics: {bridge.statistics('tap1')}")


def test_ofport_is_kept_and_never_given_twice(bridge):
    for name in ("tap1", "tap2", "tap3"):
        bridge.add_port(name, "tap")
    numbers = {name: bridge.interface(name)["ofport"] for name in ("tap1", "tap2", "tap3")}
    assert len(set(numbers.values())) == 3 and all(0 < number < 0xFF00 for number in numbers.values())
    bridge.vsctl("del-port", "tap2")
    assert {name: bridge.interface(name)["ofport"] for name in ("tap1", "tap3")} == {name: numbers[name] for name in ("tap1", "tap3")}


# ovsdb-client


def test_ovsdb_client_reads(bridge):
    assert set(bridge.ovsdb_client("list-dbs").split()) >= {"Open_vSwitch", "_Server"}
    schema = json.loads(bridge.ovsdb_client("get-schema", "Open_vSwitch"))
    assert schema["name"] == "Open_vSwitch" and schema["cksum"] and "Interface" in schema["tables"]
    tables = bridge.ovsdb_client("list-tables")
    assert "Bridge" in tables and "QoS" in tables
    assert "mtu_request" in bridge.ovsdb_client("list-columns", "Open_vSwitch", "Interface")
    dump = bridge.ovsdb_client("dump", "Open_vSwitch", "Bridge", "name")
    assert "br0" in dump
    (reply,) = json.loads(bridge.ovsdb_client("transact", '["Open_vSwitch",{"op":"select","table":"Bridge","where":[],"columns":["name"]}]'))
    assert reply == {"rows": [{"name": "br0"}]}


def test_ovsdb_client_monitor(bridge, folder):
    child = Child(["ovsdb-client", "--format=json", "monitor", f"unix:{bridge.db_socket}", "Open_vSwitch", "Interface", "name,ofport"],
                  f"{folder}/monitor", env=bridge.env)
    try:
        wait_until(lambda: "br0" in child.output(), 10, "the monitor's first rows", alive=child)
        bridge.add_port("tap5", "tap", ofport=5)
        wait_until(lambda: "tap5" in child.output() and ",5]" in child.output().replace(" ", ""), 10, child.output, alive=child)
        bridge.vsctl("del-port", "tap5")
        wait_until(lambda: "delete" in child.output(), 10, child.output, alive=child)
    finally:
        child.stop()


# By hand


def transact(connection, *operations):
    return connection.call("transact", ["Open_vSwitch", *operations])


def external_ids(name):
    return {"op": "select", "table": "Bridge", "where": [["name", "==", name]], "columns": ["external_ids"]}


BAD_OPERATIONS = {
    "table": {"op": "select", "table": "Brigde", "where": []},
    "column": {"op": "select", "table": "Bridge", "where": [], "columns": ["nmae"]},
    "condition-column": {"op": "select", "table": "Bridge", "where": [["nmae", "==", "br0"]]},
    "condition-function": {"op": "select", "table": "Bridge", "where": [["name", "=", "br0"]]},
    "condition-type": {"op": "select", "table": "Bridge", "where": [["name", "==", 5]]},
    "operation": {"op": "selekt", "table": "Bridge", "where": []},
    "value-type": {"op": "update", "table": "Bridge", "where": [], "row": {"name": 7}},
    "enumeration": {"op": "update", "table": "Bridge", "where": [], "row": {"fail_mode": "maybe"}},
    "range": {"op": "update", "table": "Port", "where": [], "row": {"tag": 4096}},
    "mutator": {"op": "mutate", "table": "Bridge", "where": [], "mutations": [["external_ids", "xor", 1]]},
    "read-only": {"op": "update", "table": "Bridge", "where": [], "row": {"name": "other"}},
    "no-table": {"op": "select", "where": []},
    "no-operation": {"table": "Bridge"},
}


@pytest.mark.parametrize("name", BAD_OPERATIONS)
def test_bad_operations_change_nothing(bridge, name):
    with bridge.rpc() as rpc:
        good = {"op": "mutate", "table": "Bridge", "where": [["name", "==", "br0"]], "mutations": [["external_ids", "insert", ["map", [["a", "b"]]]]]}
        reply = rpc.request("transact", ["Open_vSwitch", good, BAD_OPERATIONS[name]])
        assert reply["error"] is not None or any(result and "error" in result for result in reply["result"]), reply
        (result,) = transact(rpc, external_ids("br0"))
        assert result["rows"][0]["external_ids"] == ["map", []], "the transaction was not atomic"


def test_named_uuid_mutate_wait_abort(bridge):
    with bridge.rpc() as rpc:
        br0 = {"table": "Bridge", "where": [["name", "==", "br0"]]}
        results = transact(rpc, {"op": "insert", "table": "Mirror", "row": {"name": "m"}, "uuid-name": "new"},
                           {"op": "mutate", **br0, "mutations": [["mirrors", "insert", ["set", [["named-uuid", "new"]]]]]})
        assert results[1] == {"count": 1}
        uuid = results[0]["uuid"][1]
        (row,) = bridge.rows("Mirror")
        assert row["_uuid"] == uuid
        # A row that nobody refers to any more goes by itself.
        transact(rpc, {"op": "update", **br0, "row": {"mirrors": ["set", []]}})
        assert bridge.rows("Mirror") == []
        results = transact(rpc, {"op": "wait", **br0, "timeout": 0, "columns": ["name"], "until": "==", "rows": [{"name": "brX"}]}, {"op": "abort"})
        assert results[0]["error"] == "timed out"
        results = transact(rpc, {"op": "mutate", **br0, "mutations": [["external_ids", "insert", ["map", [["k", "v"]]]]]}, {"op": "abort"})
        assert any(result and result.get("error") == "aborted" for result in results)
        (result,) = transact(rpc, external_ids("br0"))
        assert result["rows"][0]["external_ids"] == ["map", []]


def test_constraints(bridge):
    with bridge.rpc() as rpc:
        dangling = "00000000-0000-4000-8000-000000000001"
        results = transact(rpc, {"op": "mutate", "table": "Bridge", "where": [["name", "==", "br0"]],
                                 "mutations": [["ports", "insert", ["set", [["uuid", dangling]]]]]})
        assert results[-1]["error"] == "referential integrity violation", results
        results = transact(rpc, {"op": "insert", "table": "Interface", "row": {"name": "x"}, "uuid-name": "i"},
                           {"op": "insert", "table": "Port", "row": {"name": "br0", "interfaces": ["named-uuid", "i"]}, "uuid-name": "p"},
                           {"op": "mutate", "table": "Bridge", "where": [["name", "==", "br0"]],
                            "mutations": [["ports", "insert", ["set", [["named-uuid", "p"]]]]]})
        assert results[-1] and results[-1].get("error") == "constraint violation", results


@pytest.mark.parametrize("method", ["monitor", "monitor_cond", "monitor_cond_since"])
def test_monitor_by_hand(bridge, method):
    with bridge.rpc() as rpc:
        request = {"Bridge": [{"columns": ["name", "external_ids"]}]}
        parameters = ["Open_vSwitch", "watch", request]
        if method == "monitor":
            request["Bridge"] = request["Bridge"][0]
        if method == "monitor_cond_since":
            parameters.append("00000000-0000-0000-0000-000000000000")
        assert "br0" in json.dumps(rpc.call(method, parameters))
        bridge.vsctl("set", "Bridge", "br0", "external_ids:seen=yes")
        text = json.dumps(rpc.notification(10))
        assert {"monitor": '"update"', "monitor_cond": '"update2"', "monitor_cond_since": '"update3"'}[method] in text
        assert '"seen", "yes"' in text and '"watch"' in text
        rpc.call("monitor_cancel", ["watch"])
        assert rpc.request("monitor_cancel", ["watch"])["error"] is not None


def test_locks_and_echo(switch):
    with switch.rpc() as first, switch.rpc() as second:
        assert first.call("echo", ["a", 1]) == ["a", 1]
        assert first.call("lock", ["mine"]) == {"locked": True}
        assert second.call("lock", ["mine"]) == {"locked": False}
        first.call("unlock", ["mine"])
        message = second.notification(5)
        assert (message["method"], message["params"]) == ("locked", ["mine"])
        assert first.call("steal", ["mine"]) == {"locked": True}
        message = second.notification(5)
        assert (message["method"], message["params"]) == ("stolen", ["mine"])
        assert first.request("no_such_method", [])["error"] is not None
        assert first.request("get_schema", ["No_Such_Database"])["error"] is not None


# Python's IDL


IDL = """
import sys, ovs.db.idl, ovs.poller, ovs.dirs, time
remote = sys.argv[1]
helper = ovs.db.idl.SchemaHelper("/usr/share/openvswitch/vswitch.ovsschema")
helper.register_all()
idl = ovs.db.idl.Idl(remote, helper)
def until(condition, what):
    deadline = time.monotonic() + 20
    while not condition():
        if time.monotonic() > deadline:
            sys.exit("not in time: " + what)
        poller = ovs.poller.Poller()
        idl.wait(poller)
        poller.timer_wait(200)
        poller.block()
        idl.run()
idl.run()
until(lambda: idl.has_ever_connected() and idl.tables["Open_vSwitch"].rows, "the first contents")
root = next(iter(idl.tables["Open_vSwitch"].rows.values()))
txn = ovs.db.idl.Transaction(idl)
interface = txn.insert(idl.tables["Interface"]); interface.name = "idl0"; interface.type = "internal"
port = txn.insert(idl.tables["Port"]); port.name = "idl0"; port.interfaces = [interface]
bridge = txn.insert(idl.tables["Bridge"]); bridge.name = "idl0"; bridge.datapath_type = "netdev"; bridge.ports = [port]
root.addvalue("bridges", bridge)
root.increment("next_cfg")
status = txn.commit_block()
if status != txn.SUCCESS:
    sys.exit("commit: %s %s" % (status, txn.get_error()))
wanted = txn.get_increment_new_value()
until(lambda: root.cur_cfg >= wanted, "cur_cfg")
print([row.ofport for row in idl.tables["Interface"].rows.values() if row.name == "idl0"], root.cur_cfg >= wanted)
"""


def test_python_idl(switch):
    try:
        done = subprocess.run(["/usr/bin/python3", "-c", IDL, f"unix:{switch.db_socket}"], capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr[-2000:]
        assert done.stdout.strip() == "[[65534]] True"
        assert switch.vsctl("list-br") == "idl0"
    finally:
        switch.vsctl("--if-exists", "del-br", "idl0")


def test_many_clients_and_long_transactions(bridge):
    connections = [bridge.rpc() for _ in range(100)]
    try:
        for connection in connections:
            assert connection.call("echo", [1]) == [1]
        inserts = [{"op": "mutate", "table": "Bridge", "where": [["name", "==", "br0"]],
                    "mutations": [["external_ids", "insert", ["map", [[f"key{n}", "v" * 100]]]]]} for n in range(1000)]
        results = connections[0].call("transact", ["Open_vSwitch", *inserts])
        assert results == [{"count": 1}] * 1000
        assert len(bridge.rows("Bridge")[0]["external_ids"]) == 1000
    finally:
        for connection in connections:
            connection.close()


def test_a_client_that_is_killed_leaves_nothing(bridge, folder):
    child = Child(["ovsdb-client", "monitor", f"unix:{bridge.db_socket}", "Open_vSwitch", "Bridge"], f"{folder}/killed", env=bridge.env)
    wait_until(lambda: "br0" in child.output(), 10, "the monitor's first rows", alive=child)
    child.stop(how=signal.SIGKILL)
    bridge.vsctl("set", "Bridge", "br0", "external_ids:a=b")
    assert bridge.get("Bridge", "br0", "external_ids:a") == "b"
