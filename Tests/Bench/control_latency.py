"""How long unixctl takes to answer while the database server is kept busy: everything asked for, again and again, durable changes,
compactions, conversions to another schema. With --switch: while the switch is: ports opened and closed, MTUs changed, many rules added,
listed, deleted, committed at once.

    python3 -m Tests.Bench.control_latency [--rows 100000] [--seconds 10] [--bin DIR]
    python3 -m Tests.Bench.control_latency --switch [--rows 100000] [--seconds 20] [--bin DIR]
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
from Tests.Harness.switch import Switch, find_binaries  # noqa: E402


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


def measure(control, commands, loads, seconds):
    """Asks all the while `loads` (by name: functions that are called again and again, each on a thread of its own) are at work."""
    print(f"{'while the daemon is busy with':32}{'command':26}{'median':>9}{'99 %':>9}{'longest':>9}")
    for name, works in loads.items():
        ending = threading.Event()
        threads = [threading.Thread(target=lambda work=work: [work() for _ in iter(ending.is_set, True)]) for work in works]
        for thread in threads:
            thread.start()
        time.sleep(0.2)
        times = {command: [] for command in commands}
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            for command, taken in times.items():
                taken.append(ask(control, command))
            time.sleep(0.002)
        ending.set()
        for thread in threads:
            thread.join()
        for command, taken in times.items():
            taken.sort()
            print(f"{name:32}{command:26}{taken[len(taken) // 2] * 1000:9.2f}{taken[len(taken) * 99 // 100] * 1000:9.2f}{taken[-1] * 1000:9.2f}", flush=True)


def measure_switch(options):
    rules = options.rows
    with tempfile.TemporaryDirectory(prefix="cl", dir="/tmp") as directory, Switch(binaries=options.bin) as switch:
        flows = os.path.join(directory, "flows")
        with open(flows, "w", encoding="ascii") as file:
            file.writelines(f"table=1,priority=5,udp,nw_src=10.{n >> 16}.{n >> 8 & 255}.{n & 255},tp_dst={n & 1023},actions=drop\n" for n in range(rules))
        switch.add_bridge()
        switch.add_port("v1", "dpdkvhostuser")

        def port():
            switch.vsctl("add-port", "br0", "n1", "--", "set", "Interface", "n1", "type=dpdk", "options:dpdk-devargs=net_null1,no-rx=1")
            switch.vsctl("del-port", "br0", "n1")

        def mtu():
            for size in (9000, 1500, 4000):
                switch.vsctl("set", "Interface", "v1", f"mtu_request={size}")

        def database():
            switch.ovsdb_client("dump")

        def one_by_one():
            switch.ofctl("add-flows", "-", stdin="".join(open(flows, encoding="ascii").readlines()[:5000]))

        def bundle():
            switch.ofctl("--bundle", "add-flows", flows)
            switch.ofctl("del-flows", "table=1")

        measure(switch.unixctl_socket, ["version", "dpif/show", "fdb/show", "upcall/show"], {
            "idle": [], "ports that come and go": [port], "MTU changes": [mtu], "the database listed": [database],
            "flows added one by one": [one_by_one], "bundles and deletes of all rules": [bundle],
        }, options.seconds / 6)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--bin")
    parser.add_argument("--switch", action="store_true")
    options = parser.parse_args()
    if options.switch:
        return measure_switch(options)
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

        def client(*requests):
            """A connection that asks all of them whenever it is called."""
            connection = Connection(server.socket)
            connection.ask({"id": 0, "method": "set_db_change_aware", "params": [True]})
            return lambda: [connection.ask(request) for request in requests]

        print(f"{options.rows} rows; milliseconds\n")
        measure(control, ["version", "ovsdb-server/list-remotes"], {
            "idle": [],
            "monitors of everything": [client({"id": 1, "method": "monitor_cond", "params": ["db", "m", {"Row": [{}]}]}, {"id": 2, "method": "monitor_cancel", "params": ["m"]})],
            "scans": [client(transact({"op": "select", "table": "Row", "where": [["n", "==", -1]]}))],
            "durable changes": [client(*[transact({"op": "update", "table": "Row", "where": [["_uuid", "==", ["uuid", row_uuid(1)]]], "row": {"n": n}}, {"op": "commit", "durable": True}) for n in range(2)])],
            "compactions": [lambda: ask(control, "ovsdb-server/compact")],
            "conversions": [client(*[{"id": 1, "method": "convert", "params": ["db", dict(SCHEMA, version=f"{n}.0.0")]} for n in (2, 3)])],
        }, options.seconds / 6)
    finally:
        if server and server.child:
            server.child.stop()
        shutil.rmtree(directory, ignore_errors=True)


if __name__ == "__main__":
    main()
