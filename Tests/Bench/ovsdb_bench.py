"""The database server beside Debian's ovsdb-server, in the same run: each line's ratio is what counts.

    python3 -m Tests.Bench.ovsdb_bench [--rows 100000] [--clients 1000] [--bin DIR] [--rounds 3]

Both serve a copy of the same file at a Unix socket; the client counts bytes and parses none, so that it costs both the same.
The two take turns, and of each the best round is shown.
"""
import argparse
import json
import os
import resource
import selectors
import shutil
import socket
import sys
import tempfile
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))

from Tests.Harness.process import Child, resident_bytes, run, wait_until  # noqa: E402
from Tests.Harness.switch import find_binaries  # noqa: E402

SCHEMA = {"name": "db", "version": "1.0.0", "tables": {
    "Row": {"isRoot": True, "indexes": [["name"]], "columns": {
        "name": {"type": "string"}, "n": {"type": "integer"}, "ids": {"type": {"key": "string", "value": "string", "min": 0, "max": "unlimited"}},
        "parts": {"type": {"key": {"type": "uuid", "refTable": "Part"}, "min": 0, "max": "unlimited"}}}},
    "Part": {"columns": {"n": {"type": "integer"}}},
    "Mark": {"isRoot": True, "columns": {"n": {"type": "integer"}}}}}


class Connection:
    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX)
        while True:
            try:
                self.socket.connect(path)
                break
            except BlockingIOError:
                time.sleep(0.001)

    def stream(self, requests, mark="END-OF-BATCH"):
        """Sends all requests in one stream and reads until the echo behind them comes back; seconds."""
        data = b"".join(json.dumps(request).encode() for request in requests) + json.dumps({"id": mark, "method": "echo", "params": []}).encode()
        started = time.perf_counter()
        sender = threading.Thread(target=self.socket.sendall, args=(data,))
        sender.start()
        tail, wanted = b"", mark.encode()
        total = 0
        while wanted not in tail:
            got = self.socket.recv(1 << 20)
            if not got:
                raise RuntimeError("the server closed the connection")
            total += len(got)
            tail = tail[-len(wanted):] + got
            if b'"details"' in got:
                raise RuntimeError(got[:500])
        sender.join()
        return time.perf_counter() - started

    def ask(self, request):
        return self.stream([request])

    def close(self):
        self.socket.close()


def transact(*operations, number=1):
    return {"id": number, "method": "transact", "params": ["db", *operations]}


class Server:
    def __init__(self, kind, directory, source, binaries):
        self.kind = kind
        self.directory = os.path.join(directory, kind)
        os.mkdir(self.directory)
        self.database = os.path.join(self.directory, "db")
        shutil.copy(source, self.database)
        self.socket = os.path.join(self.directory, "s")
        if kind == "ovsdb-server":
            self.command = ["ovsdb-server", self.database, f"--remote=punix:{self.socket}", f"--unixctl={self.directory}/ctl", "-vconsole:off"]
        else:
            self.command = [f"{binaries}/apusd", "--no-switch", "--db", self.database, "--remote", f"punix:{self.socket}", "--rundir", self.directory, "--log-level", "err"]
        self.child = None

    def start(self):
        started = time.perf_counter()
        self.child = Child(self.command, os.path.join(self.directory, "out"), env=dict(os.environ, OVS_RUNDIR=self.directory))
        wait_until(lambda: os.path.exists(self.socket), 300, f"{self.kind} listens", interval=0.005, alive=self.child)
        Connection(self.socket).close()
        return time.perf_counter() - started

    def memory(self):
        return resident_bytes(self.child.pid) / 2**20


def fan_out(server, clients, changes):
    """Seconds until every monitor has seen the last of some changes."""
    selector = selectors.DefaultSelector()
    connections = []
    for _ in range(clients):
        connection = Connection(server.socket)
        connection.socket.sendall(json.dumps({"id": 0, "method": "monitor_cond", "params": ["db", "m", {"Mark": [{"columns": ["n"]}]}]}).encode())
        connection.socket.recv(1 << 16)
        connection.socket.setblocking(False)
        selector.register(connection.socket, selectors.EVENT_READ)
        connections.append(connection)
    writer = Connection(server.socket)
    last = 987654321
    requests = [transact({"op": "insert", "table": "Mark", "row": {"n": last if index == changes - 1 else index}}) for index in range(changes)]
    started = time.perf_counter()
    thread = threading.Thread(target=writer.stream, args=(requests,))
    thread.start()
    waiting = clients
    while waiting:
        for key, _ in selector.select(30):
            if str(last).encode() in key.fileobj.recv(1 << 20):
                selector.unregister(key.fileobj)
                waiting -= 1
    elapsed = time.perf_counter() - started
    thread.join()
    for connection in connections:
        connection.close()
    writer.ask(transact({"op": "delete", "table": "Mark", "where": []}))
    writer.close()
    return elapsed


def lines(server, rows, clients, base):
    """The measurements: name, unit, and a value of which more is better."""
    connection = Connection(server.socket)
    count = 10_000

    def rate(requests):
        return len(requests) / connection.stream(requests)

    yield "echo, pipelined", "/s", rate([{"id": number, "method": "echo", "params": []} for number in range(count)])
    yield "insert, pipelined", "/s", rate([transact({"op": "insert", "table": "Row", "row": {"name": f"new{base}-{number}", "n": number}}, number=number) for number in range(count)])
    yield "update by uuid", "/s", rate([transact({"op": "update", "table": "Row", "where": [["_uuid", "==", ["uuid", row_uuid(number * 7 % rows)]]], "row": {"n": base + number}}, number=number) for number in range(count)])
    few = [transact({"op": "update", "table": "Row", "where": [["name", "==", f"row{number}"]], "row": {"n": base + number}}, number=number) for number in range(50)]
    yield "update by index", "/s", rate(few)
    yield "mutate a map", "/s", rate([transact({"op": "mutate", "table": "Row", "where": [["_uuid", "==", ["uuid", row_uuid(number % rows)]]], "mutations": [["ids", "insert", ["map", [[f"k{base}", "v"]]]]]}, number=number) for number in range(count)])
    yield "insert with a child", "/s", rate([transact({"op": "insert", "table": "Row", "row": {"name": f"par{base}-{number}", "parts": ["named-uuid", "p"]}}, {"op": "insert", "table": "Part", "uuid-name": "p", "row": {"n": 1}}, number=number) for number in range(count // 2)])
    yield "delete by uuid pattern", "/s", 1 / connection.ask(transact({"op": "delete", "table": "Row", "where": [["n", "==", -12345]]}))
    yield "select one by uuid", "/s", rate([transact({"op": "select", "table": "Row", "where": [["_uuid", "==", ["uuid", row_uuid(number % rows)]]]}, number=number) for number in range(count)])
    yield "select all", "/s", 1 / connection.ask(transact({"op": "select", "table": "Row", "where": [], "columns": ["_uuid", "name", "n"]}))
    yield "10,000 inserts in one", "/s", 1 / connection.ask(transact(*[{"op": "insert", "table": "Row", "row": {"name": f"bulk{base}-{number}"}} for number in range(10_000)]))
    yield "durable, one by one", "/s", 100 / sum(connection.ask(transact({"op": "insert", "table": "Row", "row": {"name": f"dur{base}-{number}"}}, {"op": "commit", "durable": True})) for number in range(100))
    yield "monitor of all", "/s", 1 / connection.ask({"id": 1, "method": "monitor_cond", "params": ["db", "all", {"Row": [{}]}]})
    connection.ask({"id": 1, "method": "monitor_cancel", "params": ["all"]})
    yield f"20 changes to {clients} monitors", "/s", 1 / fan_out(server, clients, 20)
    connection.ask(transact(*[{"op": "delete", "table": "Row", "where": [["n", "==", -1]]}]))
    connection.close()


def row_uuid(number):
    return f"00000000-0000-4000-8000-{number:012x}"


def make_database(directory, rows):
    path = os.path.join(directory, "source")
    with open(path + ".schema", "w", encoding="ascii") as file:
        json.dump(SCHEMA, file)
    run(["ovsdb-tool", "create", path, path + ".schema"])
    server = Server("ovsdb-server", os.path.join(directory, ""), path, None)
    server.start()
    connection = Connection(server.socket)
    for start in range(0, rows, 5000):
        connection.ask(transact(*[{"op": "insert", "table": "Row", "uuid": row_uuid(number), "row": {"name": f"row{number}", "n": number, "ids": ["map", [["a", "b"], ["c", f"d{number}"]]]}}
                                  for number in range(start, min(rows, start + 5000))]))
    connection.close()
    server.child.stop()
    shutil.move(server.database, path)
    shutil.rmtree(server.directory)
    return path


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--clients", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--bin")
    options = parser.parse_args()
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(limit[1], 8192), limit[1]))
    directory = tempfile.mkdtemp(prefix="ob", dir="/tmp")
    servers = []
    try:
        source = make_database(directory, options.rows)
        servers = [Server(kind, directory, source, options.bin or find_binaries()) for kind in ("ovsdb-server", "apusd")]
        best = {}
        for server in servers:
            best["start with the file", server.kind] = 1 / server.start()
        names = ["start with the file"]
        for base in range(options.rounds):
            for server in servers:
                for name, _, value in lines(server, options.rows, options.clients, base):
                    best[name, server.kind] = max(best.get((name, server.kind), 0), value)
                    if name not in names:
                        names.append(name)
        print(f"{options.rows} rows; per second, more is better\n")
        print(f"{'':34}{'ovsdb-server':>14}{'apusd':>14}{'ratio':>8}")
        for name in names:
            theirs, ours = (best[name, server.kind] for server in servers)
            print(f"{name:34}{theirs:14.1f}{ours:14.1f}{ours / theirs:8.2f}")
        print(f"{'memory, MB (less is better)':34}" + "".join(f"{server.memory():14.0f}" for server in servers))
    finally:
        for server in servers:
            if server.child:
                server.child.stop()
        shutil.rmtree(directory, ignore_errors=True)


if __name__ == "__main__":
    main()
