#!/usr/bin/python3
"""Measures flow tables at scale: loading, listing and deleting many rules, beside Open vSwitch if wanted.

    flow_tables.py [--switches apus,ovs] [--rules 100000] [--sets exact,acl] [--json FILE] [test ...]

Tests: `unbundled` and `bundled` (ovs-ofctl add-flows), `raw` and `raw-bundled` (a client that sends everything at once and waits for
one barrier or commit: what the daemon itself costs), `dump` and `delete` (ovs-ofctl), `memory` (growth of resident memory a rule).
For each: rules a second, processor time of the daemon a rule, and the longest time that another connection waited for
an echo meanwhile, which is how long the daemon's control loop was held up. Needs root and openvswitch-switch.
"""
import multiprocessing
import os
import pathlib
import random
import resource
import struct
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

import report  # noqa: E402
from Harness.netns import isolate  # noqa: E402
from Harness.process import processor_seconds, resident_bytes  # noqa: E402
from Harness.openflow import OpenFlow, message  # noqa: E402
from Harness.switch import Switch  # noqa: E402

TESTS = ["unbundled", "bundled", "raw", "raw-bundled", "dump", "delete", "memory"]
FLOW_MOD, BARRIER_REQUEST, BUNDLE_CONTROL, BUNDLE_ADD, ECHO_REQUEST = 14, 20, 33, 34, 2
LENGTHS = {"exact": ([32], [32]), "acl": ([8, 16, 20, 24, 28, 32], [0, 8, 12, 16, 24])}


def rules(kind, count, seed):
    """(priority, source, its length, destination, its length, port or None) of each rule; no two are alike."""
    rng = random.Random(seed)
    seen, result = set(), []
    while len(result) < count:
        source, destination = (rng.choice(lengths) for lengths in LENGTHS[kind])
        rule = (1000 + source + destination, rng.getrandbits(32) >> 32 - source << 32 - source, source,
                rng.getrandbits(32) >> 32 - destination << 32 - destination if destination else 0, destination,
                rng.randrange(1, 60000) if kind == "exact" or rng.random() < 0.7 else None)
        if rule not in seen:
            seen.add(rule)
            result.append(rule)
    return result


def text(rule):
    priority, source, source_length, destination, destination_length, port = rule
    match = f"priority={priority},udp,nw_src={address(source)}/{source_length}"
    if destination_length:
        match += f",nw_dst={address(destination)}/{destination_length}"
    return match + (f",tp_dst={port}" if port else "") + ",actions=output:2"


def address(value):
    return ".".join(str(value >> shift & 255) for shift in (24, 16, 8, 0))


def field(number, size, value, length=None):
    full = length is None or length == 8 * size
    data = value.to_bytes(size, "big") + (b"" if full else ((1 << 8 * size) - (1 << 8 * size - length)).to_bytes(size, "big"))
    return struct.pack("!HBB", 0x8000, number << 1 | (not full), len(data)) + data


def flow_mod(rule, version, xid):
    priority, source, source_length, destination, destination_length, port = rule
    fields = field(5, 2, 0x0800) + field(10, 1, 17) + field(11, 4, source, source_length)
    if destination_length:
        fields += field(12, 4, destination, destination_length)
    if port:
        fields += field(16, 2, port)
    match = struct.pack("!HH", 1, 4 + len(fields)) + fields
    match += bytes(-len(match) % 8)
    action = struct.pack("!HHIH6x", 0, 16, 2, 0)
    body = struct.pack("!QQBBHHHIIIHH", 0, 0, 0, 0, 0, 0, priority, 0xFFFFFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0, 0)
    return message(version, FLOW_MOD, xid, body + match + struct.pack("!HH4x", 4, 8 + len(action)) + action)


def watch(path, pipe):
    """Sends an echo each millisecond; tells the longest wait for a reply when told to stop."""
    os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(11)) if os.geteuid() == 0 else None
    with OpenFlow(path, version=4, seconds=300) as connection:
        pipe.send("ready")
        longest, number = 0.0, 10
        while not pipe.poll():
            begin = time.monotonic()
            connection.send(ECHO_REQUEST, number)
            connection.reply(number)
            longest = max(longest, time.monotonic() - begin)
            number += 1
            time.sleep(0.001)
        pipe.recv()
        pipe.send(longest)


class Measurement:
    """Times a piece of work from outside: seconds, the daemon's processor time, the control loop's longest pause."""

    def __init__(self, switch, watched=True):
        self.switch, self.watched = switch, watched

    def cpu(self):
        return processor_seconds(self.switch.daemon.pid)

    def __enter__(self):
        if self.watched:
            self.pipe, other = multiprocessing.Pipe()
            self.watcher = multiprocessing.Process(target=watch, args=(self.switch.path("br0.mgmt"), other), daemon=True)
            self.watcher.start()
            self.pipe.recv()
        self.cpu_start, self.start = self.cpu(), time.monotonic()
        return self

    def __exit__(self, *_):
        self.seconds = time.monotonic() - self.start
        self.cpu_seconds = self.cpu() - self.cpu_start
        self.pause = None
        if self.watched:
            self.pipe.send("stop")
            self.pause = self.pipe.recv()
            self.watcher.join()

    def result(self, count):
        result = {"rules": count, "seconds": self.seconds, "per_second": count / self.seconds,
                  "daemon_microseconds_a_rule": self.cpu_seconds / count * 1e6}
        if self.pause is not None:
            result["longest_pause_ms"] = self.pause * 1e3
        return result


class Bench:
    def __init__(self, arguments, kind, rule_set):
        self.arguments, self.kind, self.rule_set = arguments, kind, rule_set
        self.switch = Switch(kind, binaries=arguments.bin, memory=512)
        self.rules = rules(rule_set, arguments.rules, arguments.seed)

    def run(self, tests):
        results = {}
        try:
            self.switch.start()
            self.switch.add_bridge(secure=True)
            self.switch.vsctl("set", "bridge", "br0", "protocols=[]")
            self.file = self.switch.path("rules.txt")
            with open(self.file, "w") as out:
                out.writelines(text(rule) + "\n" for rule in self.rules)
            for test in tests:
                results[test] = getattr(self, test.replace("-", "_"))()
                report.show({"switch": self.kind, "set": self.rule_set, "test": test, **results[test]})
        finally:
            self.switch.stop()
            self.switch.remove()
        return results

    def clear(self):
        self.switch.ofctl("del-flows", timeout=600)

    def count(self):
        # The reply is one message, so that counting costs little.
        return int(self.switch.ofctl("dump-aggregate", timeout=600).split("flow_count=")[1].split()[0])

    def check(self, count):
        if self.count() != count:
            raise SystemExit(f"{self.count()} rules are there, not {count}")

    def load(self, *options):
        self.clear()
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        with Measurement(self.switch, not self.arguments.unwatched) as measurement:
            self.switch.ofctl(*options, "add-flows", self.file, timeout=3600, version="OpenFlow14" if "--bundle" in options else "OpenFlow13")
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        self.check(len(self.rules))
        # The watching process is a child too, and costs little.
        client = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        return {**measurement.result(len(self.rules)), "client_microseconds_a_rule": client / len(self.rules) * 1e6}

    def unbundled(self):
        return self.load()

    def bundled(self):
        return self.load("--bundle")

    def memory(self):
        """Loads in bundles of 250,000 (a bundle has limits), and looks at what is resident before and some seconds after."""
        self.clear()
        time.sleep(2)
        before = self.resident()
        for start in range(0, len(self.rules), 250_000):
            part = "".join(text(rule) + "\n" for rule in self.rules[start:start + 250_000])
            self.switch.ofctl("--bundle", "add-flows", "-", timeout=3600, version="OpenFlow14", stdin=part)
        self.check(len(self.rules))
        time.sleep(6)
        after = self.resident()
        return {"rules": len(self.rules), "resident_mebibytes": (after - before) / 2**20, "bytes_a_rule": (after - before) / len(self.rules)}

    def resident(self):
        return resident_bytes(self.switch.daemon.pid)

    def raw(self):
        self.clear()
        data = b"".join(flow_mod(rule, 4, number + 10) for number, rule in enumerate(self.rules))
        with OpenFlow(self.switch.path("br0.mgmt"), version=4, seconds=600) as connection:
            with Measurement(self.switch, not self.arguments.unwatched) as measurement:
                connection.send_raw(data)
                connection.send(BARRIER_REQUEST, 5)
                connection.reply(5)
        self.check(len(self.rules))
        return measurement.result(len(self.rules))

    def raw_bundled(self):
        self.clear()
        version, parts = 5, []
        for number, rule in enumerate(self.rules):
            mod = flow_mod(rule, version, number + 10)
            parts.append(message(version, BUNDLE_ADD, number + 10, struct.pack("!IxxH", 1, 3) + mod + bytes(-len(mod) % 8)))
        data = b"".join(parts)
        with OpenFlow(self.switch.path("br0.mgmt"), version=version, seconds=600) as connection:
            connection.send(BUNDLE_CONTROL, 3, struct.pack("!IHH", 1, 0, 3))
            connection.reply(3)
            with Measurement(self.switch, not self.arguments.unwatched) as measurement:
                connection.send_raw(data)
                adding = time.monotonic()
                connection.send(BUNDLE_CONTROL, 4, struct.pack("!IHH", 1, 4, 3))
                if connection.reply(4)[1] != BUNDLE_CONTROL:
                    raise SystemExit("the bundle was refused")
                committing = time.monotonic() - adding
        self.check(len(self.rules))
        return {**measurement.result(len(self.rules)), "commit_seconds": committing}

    def dump(self):
        self.check(len(self.rules))
        listing = self.switch.path("listing")
        with Measurement(self.switch, not self.arguments.unwatched) as measurement:
            with open(listing, "w") as out:
                subprocess.run(["ovs-ofctl", "-O", "OpenFlow13", "dump-flows", f"unix:{self.switch.path('br0.mgmt')}"], stdout=out, check=True)
        with open(listing) as file:
            lines = sum("actions=output:2" in line for line in file)
        if lines != len(self.rules):
            raise SystemExit(f"{lines} rules are listed, not {len(self.rules)}")
        return measurement.result(len(self.rules))

    def delete(self):
        self.check(len(self.rules))
        with Measurement(self.switch, not self.arguments.unwatched) as measurement:
            self.switch.ofctl("del-flows", timeout=600)
        self.check(0)
        return measurement.result(len(self.rules))


def main():
    parser = report.Arguments(__doc__, TESTS, what="test")
    parser.add_argument("--rules", type=int, default=100_000)
    parser.add_argument("--sets", default="exact,acl", help="which of exact (one mask) and acl (mixed prefixes)")
    parser.add_argument("--seed", type=int, default=3)
    parser.add_argument("--unwatched", action="store_true", help="without the second connection")
    arguments = parser.parse()
    isolate()
    results = []
    for rule_set in arguments.sets.split(","):
        for kind in arguments.switches:
            # Listing and deleting need what was loaded before.
            tests = arguments.names or ["memory", "dump", "delete", "raw", "unbundled", "raw-bundled", "bundled"]
            results.append({"switch": kind, "set": rule_set, "results": Bench(arguments, kind, rule_set).run(tests)})
    report.save(arguments.json, results)


if __name__ == "__main__":
    main()
