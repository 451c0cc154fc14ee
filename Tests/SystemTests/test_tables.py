"""Flow tables: Flow_Table rows, mod-table, names, limits, eviction, vacancy events."""
import re

import pytest

from Harness.process import Child, wait_until


def limit(bridge, table, **columns):
    words = " ".join(f"{key}={value}" for key, value in columns.items()).split()
    bridge.vsctl("--", "--id=@t", "create", "Flow_Table", *words, "--", "set", "Bridge", "br0", f"flow_tables:{table}=@t")


def table_text(text, number):
    found = re.search(rf"^  table {number}\b.*?(?=^  table|\Z)", text, re.M | re.S)
    return found.group(0) if found else ""


def test_a_limited_table_refuses(bridge):
    limit(bridge, 3, name="small", flow_limit=2, overflow_policy="refuse")
    for port in (1, 2):
        bridge.ofctl("add-flow", f"table=3,in_port={port},actions=drop", version="OpenFlow13")
    refused = bridge.ofctl("add-flow", "table=3,in_port=3,actions=drop", version="OpenFlow13", check=False)
    assert "OFPFMFC_TABLE_FULL" in refused.stdout + refused.stderr
    bridge.ofctl("add-flow", "table=3,in_port=2,actions=output:1", version="OpenFlow13")
    text = table_text(bridge.ofctl("dump-tables"), 3)
    assert '("small")' in text and "active=2" in text and "max_entries=2" in text, text
    bridge.vsctl("clear", "Bridge", "br0", "flow_tables")
    bridge.ofctl("add-flow", "table=3,in_port=3,actions=drop", version="OpenFlow13")
    assert bridge.ofctl("dump-flows", "table=3").count("actions=") == 3


def test_a_limited_table_evicts(bridge):
    limit(bridge, 3, flow_limit=2, overflow_policy="evict", groups='"NXM_OF_IN_PORT[]"')
    for port, seconds in ((1, 100), (1, 200), (2, 50)):
        bridge.ofctl("add-flow", f"table=3,tcp,in_port={port},tp_dst={seconds},idle_timeout={seconds},actions=drop")
    left = bridge.ofctl("--no-stats", "dump-flows", "table=3")
    assert left.count("actions=") == 2 and "in_port=2" in left, left


def test_vacancy_and_eviction_by_mod_table(bridge, folder):
    limit(bridge, 3, flow_limit=10)
    bridge.ofctl("mod-table", "3", "evict", version="OpenFlow14")
    bridge.ofctl("mod-table", "3", "vacancy:20,60", version="OpenFlow14")
    text = bridge.ofctl("dump-table-desc", version="OpenFlow14")
    assert "vacancy_down=20% vacancy_up=60% vacancy=100%" in table_text(text, 3), text[:400]
    assert "vacancy=off" in table_text(text, 2)
    monitor = Child(["ovs-ofctl", "-O", "OpenFlow14", "monitor", f"unix:{bridge.path('br0.mgmt')}", "65534"], f"{folder}/monitor", env=bridge.env)
    try:
        wait_until(lambda: "OFPT_GET_CONFIG_REPLY" in monitor.output() or "OFPT_SET_CONFIG" in monitor.output() or monitor.returncode() is None,
                   5, "the monitor runs")

        def told():
            # The monitor may not listen yet when the first flows come.
            for port in range(1, 11):
                bridge.ofctl("add-flow", f"table=3,in_port={port},actions=drop", version="OpenFlow14")
            bridge.ofctl("del-flows", "table=3", version="OpenFlow14")
            return "VACANCY_DOWN" in monitor.output() and "VACANCY_UP" in monitor.output()
        wait_until(told, 20, monitor.output)
    finally:
        monitor.stop()


def test_table_names(bridge):
    bridge.ofctl("mod-table", "4", "name:firewall", version="OpenFlow15")
    assert 'table 4 ("firewall")' in bridge.ofctl("dump-table-features", version="OpenFlow13")
    bridge.ofctl("add-flow", "table=firewall,actions=drop", version="OpenFlow15")
    assert "table=4" in bridge.ofctl("--no-names", "dump-flows", version="OpenFlow15")
    # The configuration's name goes first.
    limit(bridge, 4, name="wall")
    assert 'table 4 ("wall")' in bridge.ofctl("dump-table-features", version="OpenFlow13")


@pytest.mark.parametrize("version", ["OpenFlow13", "OpenFlow14", "OpenFlow15"])
def test_table_features_are_whole(bridge, version):
    text = bridge.ofctl("dump-table-features", version=version)
    first, last = table_text(text, 0), table_text(text, 253)
    assert "next tables: 1-253" in first and "goto_table" in first
    assert "goto_table" not in last.split("Write-Actions")[0]
    assert "max_entries=1000000" in first
    assert "metadata: match=0xffffffffffffffff write=0xffffffffffffffff" in first
