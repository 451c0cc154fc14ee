"""How long unixctl takes to answer while the database server is kept busy: everything asked for, again and again, durable changes,
compactions, conversions to another schema.

    python3 -m Tests.Bench.control_latency [--rows 100000] [--seconds 10] [--bin DIR]
"""
import argparse
import json
import os
import shutil
import socket
import sys
import tempfile
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))

from Tests.Bench.ovsdb_bench import SCHEMA, Connection, Server, row_uuid, transact  # noqa: E402
from Tests.Harness.process import run  # noqa: E402
from Tests.Harness.switch import find_binaries  # noqa: E402


def ask(path, command, *words):
    """Seconds for one command over a connection of its own."""
    started = time.perf_counter()
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(path)
        client.sendall(json.dumps({"id": 1, "method": command, "params": words}).encode())
        answer = b""
        while b'"id":1' not in answer:
            answer += client.recv(1 << 16)
    return time.perf_counter() - started


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--bin")
    options = parser.parse_args()
    directory = tempfile.mkdtemp(prefix="cl", dir="/tmp")
    server = None
    try:
        source = os.path.join(directory, "source")
        with open(source + ".schema", "w", encoding="ascii") as file:
            json.dump(SCHEMA, file)
        run(["ovsdb-tool", "create", source, source + ".schema"])
        server = Server("apusd", directory, source, options.bin or find_binaries())
        server.start()
        control = f"{server.directory}/apusd.{server.child.pid}.ctl"
        filler = Connection(server.socket)
        for start in range(0, options.rows, 5000):
            filler.ask(transact(*[{"op": "insert", "table": "Row", "uuid": row_uuid(number), "row": {"name": f"row{number}", "n": number, "ids": ["map", [["a", "b"]]]}}
                                  for number in range(start, min(options.rows, start + 5000))]))
        ending = threading.Event()

        def busy(*requests):
            connection = Connection(server.socket)
            connection.ask({"id": 0, "method": "set_db_change_aware", "params": [True]})
            while not ending.is_set():
                for request in requests:
                    connection.ask(request)

        loads = {
            "idle": [],
            "monitors of everything": [[{"id": 1, "method": "monitor_cond", "params": ["db", "m", {"Row": [{}]}]}, {"id": 2, "method": "monitor_cancel", "params": ["m"]}]],
            "scans": [[transact({"op": "select", "table": "Row", "where": [["n", "==", -1]]})]],
            "durable changes": [[transact({"op": "update", "table": "Row", "where": [["_uuid", "==", ["uuid", row_uuid(1)]]], "row": {"n": n}}, {"op": "commit", "durable": True}) for n in range(2)]],
            "compactions": [],
            "conversions": [[{"id": 1, "method": "convert", "params": ["db", dict(SCHEMA, version=f"{n}.0.0")]} for n in (2, 3)]],
        }
        print(f"{options.rows} rows; milliseconds\n\n{'while the server is busy with':32}{'command':26}{'median':>9}{'99 %':>9}{'longest':>9}")
        for name, clients in loads.items():
            ending.clear()
            threads = [threading.Thread(target=busy, args=requests) for requests in clients]
            if name == "compactions":
                threads = [threading.Thread(target=lambda: [ask(control, "ovsdb-server/compact") for _ in iter(ending.is_set, True)])]
            for thread in threads:
                thread.start()
            time.sleep(0.2)
            times = {"version": [], "ovsdb-server/list-remotes": []}
            end = time.monotonic() + options.seconds / len(loads)
            while time.monotonic() < end:
                for command, taken in times.items():
                    taken.append(ask(control, command))
                time.sleep(0.002)
            ending.set()
            for thread in threads:
                thread.join()
            for command, taken in times.items():
                taken.sort()
                print(f"{name:32}{command:26}{taken[len(taken) // 2] * 1000:9.2f}{taken[len(taken) * 99 // 100] * 1000:9.2f}{taken[-1] * 1000:9.2f}")
    finally:
        if server and server.child:
            server.child.stop()
        shutil.rmtree(directory, ignore_errors=True)


if __name__ == "__main__":
    main()
