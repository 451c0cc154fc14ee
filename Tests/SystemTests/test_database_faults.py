"""The database under bad clients, crashes and failing disks."""
import json
import os
import random
import signal
import subprocess
import threading

import pytest

from Harness.database import DatabaseServer, create
from Harness.jsonrpc import JsonRpc
from Harness.process import HarnessError, run, wait_until

pytestmark = pytest.mark.apus

SCHEMA = {"name": "db", "version": "1.0.0", "tables": {
    "T": {"columns": {"n": {"type": "integer"}, "s": {"type": "string"}, "r": {"type": "real"},
                      "pair": {"type": {"key": {"type": "uuid", "refTable": "U"}, "min": 0, "max": "unlimited"}}}, "indexes": [["n"]], "isRoot": True},
    "U": {"columns": {"n": {"type": "integer"}}}}}


@pytest.fixture
def server(tmp_path):
    with DatabaseServer(tmp_path, [create(tmp_path, "d", SCHEMA)]) as server:
        yield server


def select(connection, columns=("n",), table="T"):
    (result,) = connection.call("transact", ["db", {"op": "select", "table": table, "where": [], "columns": list(columns)}])
    return result["rows"]


def insert(n, **values):
    return {"op": "insert", "table": "T", "row": {"n": n, **values}}


# Bad clients


@pytest.mark.parametrize("data, is_closed", [
    (b"[" * 100_000, True), (b'{"a":' * 100_000, True), (b'{"id":1,"method":"echo","params":[' + b"[" * 100_000, True),
    (b'{"id":1,"method":"echo","params":["\xff\xfe"]}', True), (b'{"id":1,"method":"echo","params":["\\ud800"]}', True),
    (b'{"id":1,"method":"echo","params":[1e999]}', True), (b'{"id":1,"method":"echo","params":[01]}', True), (b'{"id":1,"method":5,"params":[]}', True),
    (b'{"id":1,"method":"echo"}', True), (b'{"id":1,"method":"echo","params":{}}', True), (b'{"id":5,"result":1,"error":null}', True), (b"5", True),
    (b'{"id":1,"method":"ec', False), (b"   ", False),
], ids=["arrays", "objects", "deep", "utf8", "surrogate", "infinite", "zeros", "method", "no-params", "params", "reply", "number", "half", "space"])
def test_bad_messages(server, data, is_closed):
    with server.connect() as bad, server.connect() as good:
        try:
            bad.send_raw(data)
        except (BrokenPipeError, ConnectionResetError):
            pass
        assert good.call("echo", [1]) == [1]
        if is_closed:
            assert bad.receive(10) is None


def test_numbers_at_the_ends(server):
    with server.connect() as connection:
        for number in (2**63 - 1, -(2**63), 0):
            connection.call("transact", ["db", insert(number)])
        for number in (2**63, -(2**63) - 1, 1.5, "1", True, None):
            result = connection.call("transact", ["db", insert(number)])
            assert result[0]["error"] == "syntax error" and result[0]["details"] == "expected integer", (number, result)
        result = connection.call("transact", ["db", {"op": "mutate", "table": "T", "where": [["n", "==", 2**63 - 1]], "mutations": [["n", "+=", 1]]}])
        assert result[0] == {"error": "range error", "details": "Result of \"+=\" operation is out of range."}
        assert sorted(row["n"] for row in select(connection)) == [-(2**63), 0, 2**63 - 1]


def test_huge_values(server):
    with server.connect(60) as connection:
        text = "\u00e9x" * (4 << 20)
        assert "uuid" in connection.call("transact", ["db", insert(1, s=text)], 60)[0]
        assert select(connection, ["s"])[0]["s"] == text
        assert connection.call("echo", [list(range(200_000))], 60) == [list(range(200_000))]


def test_a_transaction_of_many_operations(server):
    with server.connect(120) as connection:
        results = connection.call("transact", ["db", *[insert(number) for number in range(100_000)]], 120)
        assert len(results) == 100_000 and all("uuid" in result for result in results)
        # One that fails at its end leaves nothing.
        results = connection.call("transact", ["db", *[insert(100_000 + number) for number in range(1000)], insert(5)], 60)
        assert results[-1]["error"] == "constraint violation"
        assert len(select(connection)) == 100_000


def test_more_monitors_than_anybody_needs(server):
    with server.connect(60) as connection, server.connect() as other:
        refused = None
        for number in range(0, 1_000_000, 1000):
            for index in range(1000):
                connection.send("monitor", ["db", number + index, {"T": {"columns": ["n"]}}], number + index)
            for index in range(1000):
                reply = connection.receive(60)
                if reply.get("error"):
                    refused = reply["error"]
            if refused:
                break
        assert refused["error"] == "resources exhausted", refused
        assert other.call("echo", []) == []


@pytest.mark.parametrize("schema", [
    5, [], {}, {"name": "db"}, {"name": "db", "tables": []}, {"name": "db", "version": "1", "tables": {}}, {"name": "0", "tables": {}},
    {"name": "db", "tables": {"T": {"columns": {}}}}, {"name": "db", "tables": {"_T": {"columns": {"a": {"type": "integer"}}}}},
    {"name": "db", "tables": {"T": {"columns": {"a": {"type": {"key": {"type": "integer", "minInteger": 5, "maxInteger": 1}}}}}}},
    {"name": "db", "tables": {"T": {"columns": {"a": {"type": {"key": "string", "min": 2}}}}}},
    {"name": "db", "tables": {"T": {"columns": {"a": {"type": {"key": "string", "min": 1, "max": 0}}}}}},
    {"name": "db", "tables": {"T": {"columns": {"a": {"type": {"key": {"type": "uuid", "refTable": "X"}}}}}}},
    {"name": "db", "tables": {"T": {"columns": {"a": {"type": {"key": {"type": "string", "minLength": 5, "maxLength": 1}}}}}}},
    {"name": "db", "tables": {"T": {"columns": {"a": {"type": {"key": {"type": "integer", "enum": ["set", []]}}}}}}},
    {"name": "db", "tables": {"T": {"columns": {"a": {"type": "number"}}}}},
    {"name": "db", "tables": {"T": {"columns": {"a": {"type": "integer", "ephemeral": True}}, "indexes": [["a"]]}}},
    {"name": "db", "tables": {"T": {"columns": {"a": {"type": "integer"}}, "indexes": [["b"]]}}},
    {"name": "db", "tables": {"T": {"columns": {"a": {"type": "integer"}}, "maxRows": 0}}},
    {"name": "other", "tables": {"T": {"columns": {"a": {"type": "integer"}}}}},
])
def test_schemas_that_are_none(server, schema):
    with server.connect() as connection:
        assert connection.request("convert", ["db", schema])["error"]["error"] in ("syntax error", "invalid parameters", "constraint violation")
        assert select(connection) == []


def test_conversion_that_does_not_fit(server):
    with server.connect() as connection:
        connection.call("transact", ["db", insert(7), insert(8)])
        narrow = {"name": "db", "tables": {"T": {"columns": {"n": {"type": {"key": {"type": "integer", "maxInteger": 7}}}}}}}
        assert connection.request("convert", ["db", narrow])["error"]["error"] == "constraint violation"
        few = {"name": "db", "tables": {"T": {"columns": {"n": {"type": "integer"}}, "maxRows": 1}}}
        assert connection.request("convert", ["db", few])["error"] is not None
        assert sorted(row["n"] for row in select(connection)) == [7, 8]


def test_a_client_that_does_not_read_gets_one_update_for_many(server):
    """As the field's server does it: what happened while a client was not reading is told as one update."""
    with server.connect(30) as slow, server.connect(30) as writer:
        slow.call("monitor", ["db", "m", {"T": {"columns": ["n", "s"]}}])
        text = "x" * 100_000
        for number in range(100):
            writer.call("transact", ["db", insert(number, s=text), {"op": "delete", "table": "T", "where": [["n", "<", number]]}])
        seen, updates = set(), 0
        while 99 not in seen:
            update = slow.notification(30)
            updates += 1
            for change in update["params"][1]["T"].values():
                if "old" in change and "new" not in change:
                    seen.discard(change["old"]["n"])
                else:
                    seen.add(change["new"]["n"])
        assert seen == {99} and updates < 100, updates


# Crashes


def test_sigkill_at_random_moments(tmp_path):
    """What was acknowledged as durable is there; nothing is there by halves."""
    pick = random.Random(20260101)
    path = create(tmp_path, "d", SCHEMA)
    server = DatabaseServer(tmp_path, [path])
    acknowledged, sent = set(), -1
    try:
        for _ in range(8):
            kill = threading.Timer(pick.uniform(0.02, 0.25), server.child.process.kill)
            kill.start()
            try:
                with server.connect() as connection:
                    while sent < 10_000:
                        sent += 1
                        # Two rows that belong together.
                        connection.call("transact", ["db", {"op": "insert", "table": "T", "row": {"n": sent, "pair": ["named-uuid", "u"]}},
                                                     {"op": "insert", "table": "U", "uuid-name": "u", "row": {"n": sent}}, {"op": "commit", "durable": True}])
                        acknowledged.add(sent)
            except (HarnessError, OSError):
                pass
            kill.join()
            server.child.process.wait()
            server.start()
            with server.connect() as connection:
                first = {row["n"] for row in select(connection)}
                second = {row["n"] for row in select(connection, table="U")}
            assert first == second
            assert first >= acknowledged
            assert first <= set(range(sent + 1))
            missing = set(range(sent + 1)) - first
            # Only what was under way when a kill came may be missing.
            assert len(missing) <= 8, missing
        assert len(acknowledged) > 20
        run(["ovsdb-tool", "query", path, '["db",{"op":"select","table":"T","where":[]}]'])
    finally:
        server.child.stop()


# Failing disks


SHIM = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <sys/stat.h>
static int failing(int fd, const char *what) {
    const char *flag = getenv("FAIL_FLAG");
    char name[64], path[4096];
    struct stat status;
    if (!flag || stat(flag, &status)) return 0;
    int length = 0, file = open(flag, O_RDONLY);
    if (file >= 0) { length = read(file, name, sizeof name - 1); close(file); }
    if (length < 0) length = 0;
    name[length] = 0;
    if (!strstr(name, what)) return 0;
    char link[64] = "/proc/self/fd/";
    int digits = 0, value = fd; char reversed[16];
    do { reversed[digits++] = '0' + value % 10; value /= 10; } while (value);
    int end = strlen(link);
    while (digits) link[end++] = reversed[--digits];
    link[end] = 0;
    length = readlink(link, path, sizeof path - 1);
    if (length < 2) return 0;
    path[length] = 0;
    return !strcmp(path + length - 2, "/d") || strstr(path, "/d.tmp");
}
ssize_t pwrite(int fd, const void *data, size_t count, off_t offset) {
    static ssize_t (*next)(int, const void *, size_t, off_t);
    if (!next) next = dlsym(RTLD_NEXT, "pwrite");
    if (failing(fd, "short")) { if (count > 20) { next(fd, data, 20, offset); } errno = EIO; return -1; }
    if (failing(fd, "write")) { errno = EIO; return -1; }
    return next(fd, data, count, offset);
}
ssize_t pwrite64(int fd, const void *data, size_t count, off_t offset) { return pwrite(fd, data, count, offset); }
int fdatasync(int fd) {
    static int (*next)(int);
    if (!next) next = dlsym(RTLD_NEXT, "fdatasync");
    if (failing(fd, "sync")) { errno = EIO; return -1; }
    return next(fd);
}
"""


@pytest.mark.parametrize("what", ["write", "short", "sync"])
def test_a_disk_with_errors(tmp_path, what):
    if subprocess.run(["cc", "--version"], capture_output=True).returncode != 0:
        pytest.skip("no C compiler to build the failing disk with")
    (tmp_path / "shim.c").write_text(SHIM)
    run(["cc", "-shared", "-fPIC", "-o", str(tmp_path / "shim.so"), str(tmp_path / "shim.c"), "-ldl"])
    flag = tmp_path / "flag"
    path = create(tmp_path, "d", SCHEMA)
    durable = {"op": "commit", "durable": True}
    with DatabaseServer(tmp_path, [path], env={"LD_PRELOAD": str(tmp_path / "shim.so"), "FAIL_FLAG": str(flag)}) as server:
        with server.connect() as connection:
            connection.call("transact", ["db", insert(1), durable])
            flag.write_text(what)
            result = connection.call("transact", ["db", insert(2), durable])
            assert result[-1]["error"] == "I/O error" and "Input/output error" in result[-1]["details"], result
            assert [row["n"] for row in select(connection)] == [1], "refused, and reading goes on"
            assert "not ok" in server.appctl("ovsdb-server/get-db-storage-status", "db")
            assert "changes are refused, reading goes on" in server.child.output()
            assert server.appctl("ovsdb-server/compact") != ""
            flag.unlink()
            assert "uuid" in connection.call("transact", ["db", insert(3), durable])[0]
            assert server.appctl("ovsdb-server/get-db-storage-status", "db") == "status: ok\n"
            assert server.appctl("ovsdb-server/compact") == ""
    rows = json.loads(run(["ovsdb-tool", "query", path, '["db",{"op":"select","table":"T","where":[],"columns":["n"]}]']).stdout)[0]["rows"]
    assert sorted(row["n"] for row in rows) == [1, 3]


def test_what_stands_in_the_way_is_refused(tmp_path):
    path = create(tmp_path, "d", SCHEMA)
    whole = (tmp_path / "d").read_bytes()
    cases = {"empty": b"", "foreign": b"hello, world\n", "cluster": b"OVSDB CLUSTER 5 0000\n", "middle": whole[:40] + b"!" + whole[41:] + whole}
    with DatabaseServer(tmp_path, [path]) as server:
        for name, data in cases.items():
            file = tmp_path / name
            file.write_bytes(data)
            answer = server.appctl("ovsdb-server/add-db", str(file))
            assert str(file) in answer and "server returned an error" in answer, answer
            assert file.read_bytes() == data, "not touched"
        # Another server has it.
        answer = run(["ovsdb-tool", "compact", path], check=False)
        assert answer.returncode != 0 and "lock" in answer.stderr


def test_the_log_is_compacted_and_others_do_not_wait(tmp_path):
    path = create(tmp_path, "d", SCHEMA)
    with DatabaseServer(tmp_path, [path]) as server, server.connect(60) as connection, server.connect(60) as other:
        for number in range(140):
            connection.call("transact", ["db", {"op": "delete", "table": "T", "where": []}, insert(number, s="x" * 100_000)], 60)
            assert other.call("echo", []) == []
        wait_until(lambda: os.path.getsize(path) < 10_000_000, 60, lambda: os.path.getsize(path), alive=server.child)
        assert [row["n"] for row in select(connection)] == [139]
        before = os.path.getsize(path)
        assert server.appctl("ovsdb-server/compact", "db") == ""
        assert os.path.getsize(path) <= before
        connection.call("transact", ["db", insert(1000)])
    rows = json.loads(run(["ovsdb-tool", "query", path, '["db",{"op":"select","table":"T","where":[],"columns":["n"]}]']).stdout)[0]["rows"]
    assert sorted(row["n"] for row in rows) == [139, 1000]
