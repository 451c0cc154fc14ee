"""docs/columns.md against the switch: every column is there, and what is refused says so in its row."""
import pathlib
import re

import pytest

from Harness.jsonrpc import JsonRpc
from Harness.process import wait_until

pytestmark = pytest.mark.apus

PAGE = pathlib.Path(__file__).resolve().parents[2] / "docs" / "columns.md"


def columns():
    """(table, column, word, example) of the page."""
    table, found = None, []
    for line in PAGE.read_text().splitlines():
        if line.startswith("## "):
            table = line[3:].strip()
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if table and line.startswith("| `") and len(cells) == 3:
            example = re.fullmatch(r"`([^`]+)`", cells[2])
            for name in re.findall(r"`([^`]+)`", cells[0]):
                found.append((table, name, cells[1], example.group(1) if example else None))
    return found


def test_every_column_is_on_the_page(switch):
    with JsonRpc(switch.db_socket) as connection:
        schema = connection.call("get_schema", ["Open_vSwitch"])
    listed = columns()
    assert {word for _, _, word, _ in listed} == {"works", "written", "kept", "refused"}
    assert {where for where, _, _, _ in listed} == set(schema["tables"])
    for table in schema["tables"]:
        names = [name for where, name, _, _ in listed if where == table]
        assert len(names) == len(set(names)), f"{table}: a column is listed twice"
        assert set(names) == set(schema["tables"][table]["columns"]), table


def test_what_has_no_status_column_is_said_elsewhere(bridge):
    bridge.add_port("t1", "tap")
    bridge.vsctl("set", "Port", "t1", "qos=@q", "--", "--id=@q", "create", "QoS", "type=linux-htb")
    assert "linux-htb is not supported" in bridge.vsctl("get", "Port", "t1", "status:unsupported")
    bridge.vsctl("set", "Port", "t1", "qos=@q", "--", "--id=@q", "create", "QoS", "type=trtcm-policer", "other_config={cir=1000,cbs=1000,eir=1000,ebs=1000}",
                 "queues:1=@u", "--", "--id=@u", "create", "Queue", "dscp=1", "other_config:cir=100")
    assert "rates of queue 1 are not supported" in bridge.vsctl("get", "Port", "t1", "status:unsupported")
    bridge.vsctl("clear", "Port", "t1", "qos", "--", "--all", "destroy", "QoS", "--", "--all", "destroy", "Queue")
    assert "unsupported" not in bridge.vsctl("get", "Port", "t1", "status")
    bridge.vsctl("set", "Bridge", "br0", "other_config:mcast-snooping-table-size=5", "other_config:mac-agingtime=5")
    assert "multicast snooping" in bridge.vsctl("get", "Bridge", "br0", "status:unsupported")
    assert "mac-agingtime=5 in other_config of bridge br0 has no effect: there is no such key" in bridge.log()
    bridge.vsctl("set", "Open_vSwitch", ".", "other_config:max-revalidator=5")
    assert "max-revalidator=5" in bridge.log()
    bridge.vsctl("remove", "Open_vSwitch", ".", "other_config", "max-revalidator")


KEYS = [
    ("Port", "t1", "other_config", "bond-rebalance-interval", "bonds are not supported"), ("Port", "t1", "other_config", "nosuch", "there is no such key"),
    ("Interface", "t1", "other_config", "tx-steering", "a queue of its own"), ("Interface", "t1", "other_config", "lacp-port-id", "LACP is not supported"),
    ("Interface", "t1", "options", "n_rxqs", "there is no such key"), ("Interface", "p1", "options", "peers", "there is no such key"),
    ("Bridge", "br0", "other_config", "nosuch", "there is no such key"), ("Interface", "t1", "options", "n_rxq", "there is no such key"),
    ("Controller", ".", "other_config", "dscp", "the host's default"), ("Manager", ".", "other_config", "dscp", "it has no effect"),
]


def test_keys_that_mean_nothing_are_named(bridge):
    """In the row's status while they are there, and once in the log, however often other things change."""
    bridge.add_port("t1", "tap")
    bridge.vsctl("add-port", "br0", "p1", "--", "set", "Interface", "p1", "type=patch", "options:peer=p2")
    bridge.vsctl("set-controller", "br0", "punix:" + bridge.path("controller"))
    bridge.vsctl("set-manager", "punix:" + bridge.path("manager"))
    rows = {"Controller": bridge.vsctl("get", "Bridge", "br0", "controller").strip("[]"), "Manager": "punix:" + bridge.path("manager")}
    try:
        for table, row, column, key, reason in KEYS:
            row = rows.get(table, row)
            before = len(bridge.log())
            # Whoever does not wait is told, too.
            bridge.vsctl("--no-wait", "set", table, row, f"{column}:{key}=77")
            wait_until(lambda: f"{column}:{key}: " in (text := bridge.vsctl("get", table, row, "status")) and reason in text, 20,
                       lambda: bridge.vsctl("get", table, row, "status"))
            for tag in (5, 6):
                bridge.vsctl("set", "Port", "t1", f"tag={tag}")
            said = [line for line in bridge.log()[before:].splitlines() if f"{key}=77 in {column} of" in line]
            assert len(said) == 1, (table, key, said)
            bridge.vsctl("remove", table, row, column, key)
            wait_until(lambda: key not in bridge.vsctl("get", table, row, "status"), 20, lambda: bridge.vsctl("get", table, row, "status"))
    finally:
        bridge.vsctl("del-manager", "--", "del-controller", "br0")


def test_what_managers_remember_is_theirs(bridge):
    bridge.add_port("t1", "tap")
    bridge.vsctl("set", "Port", "t1", "other_config={net_uuid=x,network_type=vlan,physical_network=p,segmentation_id=5,tag=5}")
    assert "unsupported" not in bridge.vsctl("get", "Port", "t1", "status")


def test_a_port_that_fails_is_told_of_once(bridge):
    """A failed interface is tried with each change, and the log does not repeat itself."""
    before = len(bridge.log())
    bridge.vsctl("add-port", "br0", "nodevice0", check=False)
    bridge.add_port("t1", "tap")
    for tag in (5, 6):
        bridge.vsctl("set", "Port", "t1", f"tag={tag}")
    assert bridge.log()[before:].count("could not open network device nodevice0") == 1
    bridge.vsctl("set", "Interface", "nodevice0", "type=nosuch", check=False)
    assert bridge.log()[before:].count("could not open network device nodevice0") == 2


WRONG = [
    ("Bridge", "datapath_type=nosuch", "datapath_type=nosuch of bridge br0"), ("Bridge", "other_config:disable-in-band=maybe", "disable-in-band=maybe"),
    ("Bridge", "other_config:hwaddr=banana", "hwaddr=banana"), ("Bridge", "other_config:mac-table-size=-4", "mac-table-size=-4"),
    ("Interface", "mac=\"zz\"", "mac=zz of interface br0"), ("Interface", "other_config:pmd-rxq-affinity=banana", "pmd-rxq-affinity=banana"),
    ("Port", "other_config:priority-tags=sometimes", "priority-tags=sometimes"),
    ("Open_vSwitch", "other_config:dpdk-nosuch=1", "dpdk-nosuch=1"), ("Open_vSwitch", "other_config:pmd-nosuch=1", "pmd-nosuch=1"),
    ("Open_vSwitch", "other_config:dpdk-hugepage-dir=/x", "dpdk-hugepage-dir=/x"), ("Open_vSwitch", "other_config:vhost-sock-dir=../x", "vhost-sock-dir=../x"),
    ("Open_vSwitch", "other_config:max-idle=abc", "max-idle=abc"), ("Open_vSwitch", "other_config:pmd-cpu-mask=xyz", "pmd-cpu-mask=xyz"),
]


def test_wrong_values_are_named(bridge):
    """What cannot be is said, with what it was, and the switch goes on."""
    for table, setting, sentence in WRONG:
        row = "." if table == "Open_vSwitch" else "br0"
        bridge.vsctl("set", table, row, setting)
        assert sentence in bridge.log(), f"{table} {setting}: nothing in the log"
        column, _, key = setting.split("=")[0].partition(":")
        bridge.vsctl(*(("remove", table, row, column, key) if key else ("set", table, row, f"{column}=\"\"") if table == "Bridge" else ("clear", table, row, column)))


def test_refused_columns_say_so(bridge):
    bridge.add_port("t1", "tap")
    rows = {"Bridge": "br0", "Port": "t1", "Interface": "t1"}
    for table, name, word, example in columns():
        if word != "refused" or example is None:
            continue
        bridge.vsctl("set", table, rows[table], f"{name}:{example}" if "=" in example else f"{name}={example}")
        said = bridge.vsctl("get", table, rows[table], "status:unsupported")
        assert name in said, f"{table}.{name}: {said}"
        bridge.vsctl("clear" if "=" in example or not example == "true" else "set", table, rows[table], name if example != "true" else f"{name}=false")
        status = bridge.vsctl("get", table, rows[table], "status")
        assert "unsupported" not in status, f"{table}.{name}: {status}"
