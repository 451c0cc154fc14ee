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
    for table in ("Open_vSwitch", "Bridge", "Port", "Interface"):
        names = [name for where, name, _, _ in listed if where == table]
        assert len(names) == len(set(names)), f"{table}: a column is listed twice"
        assert set(names) == set(schema["tables"][table]["columns"]), table


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
