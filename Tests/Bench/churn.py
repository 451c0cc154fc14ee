#!/usr/bin/python3
"""Measures what changes of flows cost while packets are forwarded, and how long a barrier's reply takes.

    churn.py [--switches apus,ovs] [--rate 10000] [--pairs 5] [--seconds 1.5] [--json FILE] [workload ...]

Traffic is replayed for ever on one PMD core, with as many megaflows as the workload's name says. Phases with and without changes
alternate; the ratio of a pair is the packets a second with changes to those without. Changes come in groups of 50 with a barrier
behind each; the time to the barrier's reply is taken. Kinds of changes:

    other   flows of the traffic's own fields that no packet of it has: no cached decision is concerned
    same    flows of the traffic, added anew: a decision each is taken again
    wide    (at one a second) a flow that all of the traffic might have met: every decision is concerned

Then, with the same traffic, a flow is changed from output to drop and back, with a barrier each: from its reply on no packet may
go the old way (`late` counts those that did). Needs root, 2 cores, hugepages, dpdk; where others use the machine, `nice -n -20` helps,
while a real-time priority lets the switch's own threads keep each other waiting.
"""
import pathlib
import statistics
import struct
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

import report  # noqa: E402
import workloads  # noqa: E402
from Harness.netns import isolate  # noqa: E402
from Harness.openflow import OpenFlow, message  # noqa: E402
from Harness.process import wait_until  # noqa: E402
from Harness.switch import Switch  # noqa: E402

FLOW_MOD, BARRIER_REQUEST, MULTIPART_REQUEST = 14, 20, 18
ADD, DELETE_STRICT = 0, 4
GROUP = 50
# name: (megaflows, kind of changes)
WORKLOADS = {f"{kind}-{count // 1000}k": (count, kind) for count in (1000, 10000, 60000, 100000) for kind in ("other", "same", "wide")}


def field(number, data):
    return struct.pack("!HBB", 0x8000, number << 1, len(data)) + data


def flow_mod(command, source, priority=10, output=2):
    """A flow of UDP packets by port 1 from one IPv4 address (None: from any)."""
    fields = field(0, struct.pack("!I", 1)) + field(5, b"\x08\x00") + field(10, b"\x11")
    if source is not None:
        fields += field(11, struct.pack("!I", source))
    match = struct.pack("!HH", 1, 4 + len(fields)) + fields
    match += bytes(-len(match) % 8)
    body = struct.pack("!QQBBHHHIIIHH", 0, 0, 0, command, 0, 0, priority, 0xFFFFFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0, 0) + match
    if command == ADD and output is not None:
        action = struct.pack("!HHIH6x", 0, 16, output, 0)
        body += struct.pack("!HH4x", 4, 8 + len(action)) + action
    return message(4, FLOW_MOD, 7, body)


def source_address(flow):
    """As `workloads.frame` has it."""
    return 0x0A000000 | flow & 0xFFFFFF


class Churn:
    def __init__(self, arguments, kind, name):
        self.arguments, self.kind, self.name = arguments, kind, name
        self.megaflows, self.changes = WORKLOADS[name]
        options = {"pmd-cpu-mask": f"{1 << arguments.core:#x}"}
        self.switch = Switch(kind, binaries=arguments.bin, other_config=options, hugepages=True, memory=1024)

    def run(self):
        result = {"switch": self.kind, "workload": self.name}
        switch = self.switch
        try:
            switch.start()
            switch.add_bridge(secure=True)
            capture = switch.path("traffic.pcap")
            workloads.write_pcap(capture, self.megaflows, seed=self.arguments.seed)
            switch.add_port("sink", "dpdk", ofport=2, dpdk_devargs="net_null2,no-rx=1,size=64")
            self.connection = OpenFlow(switch.path("br0.mgmt"), version=4, seconds=60)
            self.exchange([flow_mod(ADD, source_address(flow)) for flow in range(self.megaflows)])
            switch.add_port("source", "dpdk", ofport=1, dpdk_devargs=f"net_pcap1,rx_pcap={capture},infinite_rx=1")
            wait_until(lambda: self.cached() >= self.megaflows * 0.99, 60, lambda: f"{self.megaflows} megaflows; {self.cached()} now", interval=0.5)
            time.sleep(2)
            result.update(self.measure())
            result.update(self.late())
            result["megaflows"] = self.cached()
        finally:
            switch.stop()
            switch.remove()
        return result

    def cached(self):
        """Megaflows in the datapath."""
        text = self.switch.appctl("upcall/show")
        return int(text.split("current ")[1].split(")")[0])

    def exchange(self, mods):
        """Sends flow-mods and a barrier; returns the seconds until its reply."""
        begin = time.monotonic()
        self.connection.send_raw(b"".join(mods))
        self.connection.send(BARRIER_REQUEST, 9)
        if self.connection.reply(9)[1] != BARRIER_REQUEST + 1:
            raise SystemExit("a flow-mod was refused")
        return time.monotonic() - begin

    def port(self, number, offset):
        """A counter of a port; 8: packets received, 16: packets sent."""
        self.connection.send(MULTIPART_REQUEST, 11, struct.pack("!HH4xI4x", 4, 0, number))
        _, _, _, body = self.connection.reply(11)
        return struct.unpack_from("!Q", body, 8 + offset)[0], time.monotonic()

    def groups(self):
        """Groups of changes, for ever."""
        number = 0
        while True:
            if self.changes == "wide":
                yield [flow_mod(ADD if number % 2 == 0 else DELETE_STRICT, None, priority=5)]
                number += 1
                continue
            mods = []
            for _ in range(GROUP):
                if self.changes == "same":
                    mods.append(flow_mod(ADD, source_address(number % self.megaflows)))
                else:
                    # Added, and gone again 500 changes later.
                    source = 0x0A800000 | number % 500
                    mods.append(flow_mod(ADD if number // 500 % 2 == 0 else DELETE_STRICT, source))
                number += 1
            yield mods

    def phase(self, groups):
        """(packets a second, changes made, seconds to each barrier's reply)"""
        first, start = self.port(1, 8)
        made, waits = 0, []
        # Changes that touch everything are for the reply's time, not for a rate.
        interval = 1 if self.changes == "wide" else GROUP / self.arguments.rate
        while groups and (now := time.monotonic()) < start + self.arguments.seconds:
            mods = next(groups)
            waits.append(self.exchange(mods))
            made += len(mods)
            time.sleep(max(0, now + interval - time.monotonic()))
        time.sleep(max(0, start + self.arguments.seconds - time.monotonic()))
        last, end = self.port(1, 8)
        return (last - first) / (end - start), made / (end - start), waits

    def measure(self):
        groups, ratios, quiet, made, waits = self.groups(), [], [], [], []
        for _ in range(self.arguments.pairs):
            without = self.phase(None)[0]
            rate, changes, seconds = self.phase(groups)
            ratios.append(rate / without)
            quiet.append(without)
            made.append(changes)
            waits += seconds
        waits.sort()
        return {"quiet_mpps": statistics.median(quiet) / 1e6, "ratio": statistics.median(ratios), "ratios": ratios,
                "changes_per_second": statistics.median(made), "barriers": len(waits), "barrier_ms_50": waits[len(waits) // 2] * 1e3,
                "barrier_ms_99": waits[len(waits) * 99 // 100] * 1e3, "barrier_ms_max": waits[-1] * 1e3}

    def late(self):
        """Packets that went the old way after the reply."""
        late, waits = 0, []
        for _ in range(5):
            # All of the traffic turned off by one flow of higher priority.
            waits.append(self.exchange([flow_mod(ADD, None, priority=20, output=None)]))
            # What was received before the reply may still be under way, by the handler threads too.
            time.sleep(0.02)
            before = self.port(2, 16)[0]
            time.sleep(0.05)
            late += self.port(2, 16)[0] - before
            waits.append(self.exchange([flow_mod(DELETE_STRICT, None, priority=20)]))
            time.sleep(0.2)
        return {"late": late, "turn_ms_max": max(waits) * 1e3}


def main():
    parser = report.Arguments(__doc__, WORKLOADS, switches="apus")
    parser.add_argument("--rate", type=int, default=10_000, help="changes a second")
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=1.5, help="length of a phase")
    parser.add_argument("--seed", type=int, default=3)
    parser.add_argument("--core", type=int, default=1, help="the PMD thread's core")
    arguments = parser.parse()
    isolate()
    results = []
    for name in arguments.names or ["other-1k", "same-1k", "other-10k", "same-10k", "other-60k", "same-60k", "wide-100k"]:
        for kind in arguments.switches:
            results.append(Churn(arguments, kind, name).run())
            report.show(results[-1])
    report.save(arguments.json, results)


if __name__ == "__main__":
    main()
