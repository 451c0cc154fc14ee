"""docs/columns.md against the switch: every column is there, and what is refused says so in its row."""
import pathlib
import re

import pytest

from Harness.jsonrpc import JsonRpc

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
                 "queues:1=@u", "--", "--id=@u", "create", "Queue", "dscp=1")
    assert "queues are not supported" in bridge.vsctl("get", "Port", "t1", "status:unsupported")
    bridge.vsctl("clear", "Port", "t1", "qos", "--", "--all", "destroy", "QoS", "--", "--all", "destroy", "Queue")
    assert "unsupported" not in bridge.vsctl("get", "Port", "t1", "status")
    bridge.vsctl("set", "Bridge", "br0", "other_config:mcast-snooping-table-size=5", "other_config:mac-agingtime=5")
    assert "multicast snooping" in bridge.vsctl("get", "Bridge", "br0", "status:unsupported")
    assert "mac-agingtime=5 in other_config of bridge br0 has no effect: there is no such key" in bridge.log()
    bridge.vsctl("set", "Open_vSwitch", ".", "other_config:max-revalidator=5")
    assert "max-revalidator=5" in bridge.log()
    bridge.vsctl("remove", "Open_vSwitch", ".", "other_config", "max-revalidator")


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
