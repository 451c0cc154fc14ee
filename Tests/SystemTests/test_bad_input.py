"""Unknown names and garbage, in every client and on every socket: a clear refusal, and everything else goes on."""
import json
import os
import random
import socket

import pytest

from Harness.jsonrpc import JsonRpc
from Harness.process import HarnessError, resident_bytes, wait_until

VSCTL = {
    "bridge": ["add-port", "brX", "p"],
    "port": ["del-port", "nosuch"],
    "table": ["list", "Brigde"],
    "column": ["get", "Bridge", "br0", "nmae"],
    "record": ["get", "Bridge", "brX", "name"],
    "key": ["get", "Bridge", "br0", "external_ids:nosuch"],
    "value": ["set", "Bridge", "br0", "fail_mode=maybe"],
    "range": ["set", "Port", "br0", "tag=5000"],
    "type": ["set", "Port", "br0", "tag=seven"],
    "command": ["fly"],
}


@pytest.mark.parametrize("name", VSCTL)
def test_vsctl(bridge, name):
    done = bridge.vsctl(*VSCTL[name], check=False)
    assert done.returncode == 1 and done.stderr.startswith("ovs-vsctl: "), done.stderr


OFCTL = {
    "bridge": (["dump-flows"], "brX"),
    "field": (["add-flow", "nw_sorc=1.1.1.1,actions=drop"], "br0"),
    "action": (["add-flow", "actions=fly"], "br0"),
    "port": (["add-flow", "in_port=nosuch,actions=drop"], "br0"),
    "table": (["add-flow", "table=300,actions=drop"], "br0"),
    "group": (["add-flow", "ip,actions=group:77"], "br0"),
    "prerequisite": (["add-flow", "tp_dst=80,actions=mod_tp_dst:5,load:1->NXM_OF_TCP_DST[]"], "br0"),
    "mod-port": (["mod-port", "nosuch", "down"], "br0"),
}


@pytest.mark.parametrize("name", OFCTL)
def test_ofctl(bridge, name):
    words, bridge_name = OFCTL[name]
    done = bridge.ofctl(*words, bridge=bridge_name, version=None if name != "group" else "OpenFlow13", check=False)
    assert done.returncode == 1 and done.stderr.strip(), (done.returncode, done.stderr)
    assert "actions=" not in bridge.ofctl("dump-flows")


def test_ovsdb_client(switch):
    for words in (["get-schema", "Nothing"], ["dump", "Open_vSwitch", "Brigde"], ["transact", '["Nothing"]'], ["transact", '["Open_vSwitch",{"op":"x"}]'],
                  ["monitor", "Open_vSwitch", "Bridge", "nmae"]):
        done = switch.ovsdb_client(*words, check=False)
        assert done.returncode != 0 or "error" in done.stdout, words


def closed(connection, seconds=10):
    """The server ended this connection, with or without a last word."""
    try:
        while connection.receive(seconds) is not None:
            pass
        return True
    except HarnessError:
        return False


GARBAGE = {
    "binary": bytes(range(256)) * 4,
    "text": b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
    "brackets": b"}}}}]]]]",
    "not-an-object": b"[1,2,3]",
    "no-method": b'{"id":1,"params":[]}',
    "wrong-types": b'{"id":1,"method":5,"params":[]}',
    "params-object": b'{"id":1,"method":"echo","params":{}}',
    "bad-escape": b'{"id":1,"method":"\\q","params":[]}',
    "bad-utf8": b'{"id":1,"method":"\xff\xfe","params":[]}',
    "lone-surrogate": b'{"id":1,"method":"\\ud800","params":[]}',
    "huge-number": b'{"id":1,"method":"echo","params":[1e999999]}',
    "deep": b"[" * 100000,
    "deep-in-params": b'{"id":1,"method":"echo","params":' + b"[" * 5000 + b"]" * 5000 + b"}",
}


@pytest.mark.parametrize("name", GARBAGE)
def test_garbage_on_the_database_socket(switch, name):
    with JsonRpc(switch.db_socket) as other, JsonRpc(switch.db_socket) as connection:
        try:
            connection.send_raw(GARBAGE[name])
        except (BrokenPipeError, ConnectionResetError):
            pass
        # An answer (an error, or for JSON that is merely unusual a result) or the end; never silence and never a crash.
        try:
            message = connection.receive(5)
            assert message is None or "error" in message or "method" in message
        except HarnessError:
            pytest.fail("neither an answer nor the end of the connection")
        except ConnectionResetError:
            pass
        assert other.call("echo", ["alive"]) == ["alive"]
    assert switch.daemon.returncode() is None


def test_half_an_object_blocks_nobody(switch):
    with JsonRpc(switch.db_socket) as half, JsonRpc(switch.db_socket) as other:
        half.send_raw(b'{"method":"echo","params":["ha')
        assert other.call("echo", [1]) == [1]
        assert switch.vsctl("list-br") == ""
        half.send_raw(b'lf"],"id":9}')
        assert half.receive() == {"id": 9, "result": ["half"], "error": None}


def test_an_object_in_single_bytes(switch):
    with JsonRpc(switch.db_socket) as connection:
        for byte in b'{"method":"echo","params":["\\u00e4 \xc3\xa4 }{"],"id":3}':
            connection.send_raw(bytes([byte]))
        assert connection.receive()["result"] == ["ä ä }{"]


def test_a_client_that_never_reads(bridge):
    """Its replies and updates pile up to a bound, then its connection ends; nobody else notices, and memory stays."""
    def resident():
        return resident_bytes((bridge.database_server or bridge.daemon).pid)

    with bridge.rpc() as setup:
        setup.call("transact", ["Open_vSwitch", {"op": "mutate", "table": "Bridge", "where": [["name", "==", "br0"]],
                                                 "mutations": [["external_ids", "insert", ["map", [[f"k{n}", "x" * 1000] for n in range(1000)]]]]}])
    before = resident()
    silent = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    silent.connect(bridge.db_socket)
    silent.settimeout(0.5)
    request = json.dumps({"method": "transact", "id": 1, "params": ["Open_vSwitch", {"op": "select", "table": "Bridge", "where": []}]}).encode()
    sent = 0
    try:
        for _ in range(2000):
            silent.sendall(request)
            sent += 1
    except (TimeoutError, BrokenPipeError, ConnectionResetError):
        pass
    assert bridge.vsctl("list-br") == "br0"
    if bridge.kind == "apus":
        assert resident() - before < 256 << 20, f"{(resident() - before) >> 20} MiB more after {sent} requests of 1 MiB each that nobody reads"
    silent.close()
    assert bridge.vsctl("list-br") == "br0"


@pytest.mark.parametrize("which", ["db.sock", "br0.mgmt", "unixctl"])
def test_random_bytes_on_every_socket(bridge, which):
    path = bridge.unixctl_socket if which == "unixctl" else bridge.path(which)
    seed = int(os.environ.get("SEED", "1"))
    rng = random.Random(seed)
    for _ in range(50):
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.connect(path)
            connection.settimeout(1)
            try:
                connection.sendall(rng.randbytes(rng.choice([1, 7, 8, 100, 5000])))
            except (BrokenPipeError, ConnectionResetError, TimeoutError):
                pass
    assert bridge.vsctl("list-br") == "br0", f"seed {seed}"
    assert bridge.ofctl("show") and bridge.appctl("version")


def test_hundreds_of_idle_connections(bridge):
    connections = []
    try:
        for path in (bridge.db_socket, bridge.path("br0.mgmt"), bridge.unixctl_socket):
            for _ in range(100):
                connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
                connections.append(connection)
                wait_until(lambda: connection.connect_ex(path) in (0, 106), 10, f"a connection to {path}", interval=0.01)
        assert bridge.vsctl("list-br") == "br0"
        assert bridge.ofctl("show") and bridge.appctl("version")
    finally:
        for connection in connections:
            connection.close()


@pytest.mark.apus
def test_descriptors_come_back(bridge):
    def descriptors():
        return len(os.listdir(f"/proc/{bridge.daemon.pid}/fd"))

    def round_trip():
        for _ in range(20):
            with JsonRpc(bridge.db_socket) as connection:
                connection.call("echo", [1])
        bridge.ofctl("show")
        bridge.appctl("version")
        bridge.add_port("v1", "dpdkvhostuser")
        bridge.add_port("t1", "tap")
        bridge.vsctl("del-port", "v1", "--", "del-port", "t1")
    round_trip()
    before = descriptors()
    for _ in range(5):
        round_trip()
    wait_until(lambda: descriptors() <= before + 2, 10, lambda: f"{descriptors()} descriptors, {before} before")
