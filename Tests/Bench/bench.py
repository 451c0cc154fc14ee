#!/usr/bin/python3
"""Measures Apus beside Open vSwitch with DPDK, on the same traffic, on one PMD core, with no NIC.

    bench.py [--switches apus,ovs,limit] [--pairs 3] [--seconds 2] [workload ...]

A net_pcap port replays the traffic for ever, a net_null port swallows it; the guest workloads have two testpmd guests
instead. Both switches are driven by the same ovs-vsctl and ovs-ofctl commands and measured from outside, by OpenFlow
statistics over time. Runs of the switches alternate (a pair is one run of each), so that a slow phase of the machine meets
both; medians are reported. A packet costs the core's TSC rate divided by the packets received a second.

The limit is testpmd's io forwarder between the same two drivers: what is left of a packet's cost when nothing is
switched. Before each measurement of Apus a finite capture goes through, and received = sent + dropped must hold to the packet.

Needs root, 2 cores, hugepages (asks for them), openvswitch-switch-dpdk, dpdk. Prints a table, writes all runs as JSON.
"""
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

import report  # noqa: E402
import workloads  # noqa: E402
from Harness.netns import isolate  # noqa: E402
from Harness.process import HarnessError, ensure_hugepages, wait_until  # noqa: E402
from Harness.switch import Switch  # noqa: E402
from Harness.testpmd import Testpmd  # noqa: E402
from report import median, number  # noqa: E402

MEMORY_MEBIBYTES = 1024

# The reference's own cache settings. It is compared at its best: which one that is depends on the number of flows.
OVS_CACHES = {
    "default": {},
    "emc": {"emc-insert-inv-prob": "1"},
    "smc": {"emc-insert-inv-prob": "0", "smc-enable": "true"},
    "none": {"emc-insert-inv-prob": "0"},
}
GUESTS = {"guests-1": 1, "guests-1k": 1024}


def best_cache(name):
    flows = GUESTS.get(name) or workloads.find(name)[0]
    return "emc" if flows <= 1024 else "smc"


def tsc_hz():
    """The rate of the time-stamp counter, from the kernel's log, else from the processor's description."""
    log = subprocess.run(["dmesg"], capture_output=True, text=True).stdout
    found = re.search(r"tsc: (?:Detected|Refined TSC clocksource calibration:) ([\d.]+) MHz", log)
    if found:
        return float(found.group(1)) * 1e6
    with open("/proc/cpuinfo") as info:
        return float(re.search(r"cpu MHz\s*: ([\d.]+)", info.read()).group(1)) * 1e6


class Run:
    """One switch, one workload, one measurement."""

    def __init__(self, arguments, kind, name, cache):
        self.arguments, self.kind, self.name = arguments, kind, name
        other_config = {"pmd-cpu-mask": f"{1 << arguments.core:#x}"}
        if kind == "ovs":
            other_config.update(OVS_CACHES[cache])
        else:
            other_config.update(setting.split("=", 1) for setting in arguments.apus_config)
        self.cache = cache if kind == "ovs" else None
        self.switch = Switch(kind, binaries=arguments.bin, other_config=other_config, hugepages=True, memory=MEMORY_MEBIBYTES)

    def measure(self):
        result = {"switch": self.kind, "workload": self.name, "cache": self.cache}
        try:
            self.switch.start()
            self.switch.add_bridge(secure=True)
            result.update(self.guests() if self.name in GUESTS else self.ports())
        except HarnessError as error:
            result["failed"] = str(error) + ("\n" + self.switch.log()[-2000:] if self.kind == "apus" else "")
        finally:
            status = self.switch.stop()
            self.switch.remove()
        if self.kind == "apus" and status != 0 and "failed" not in result:
            result["failed"] = f"apusd ended with status {status}"
        return result

    def ports(self):
        switch, seed = self.switch, self.arguments.seed
        flows, rules = workloads.find(self.name)
        capture, rule_file = switch.path("traffic.pcap"), switch.path("rules.txt")
        workloads.write_pcap(capture, flows, seed=seed)
        with open(rule_file, "w") as out:
            out.write("\n".join(rules(seed)) + "\n")
        switch.add_port("sink", "dpdk", ofport=2, dpdk_devargs="net_null2,no-rx=1,size=64")
        switch.ofctl("del-flows", version="OpenFlow13")
        start = time.monotonic()
        switch.ofctl("--bundle", "add-flows", rule_file, timeout=300)
        result = {"rules_per_second": round(len(rules(seed)) / (time.monotonic() - start))}
        if self.kind == "apus":
            result.update(self.account(capture))
        switch.add_port("source", "dpdk", ofport=1, dpdk_devargs=f"net_pcap1,rx_pcap={capture},infinite_rx=1")
        result.update(self.sample(self.port_counters))
        return result

    def port_counters(self):
        stats = self.switch.port_stats()
        return stats["1"]["rx_packets"], stats["2"]["tx_packets"], time.monotonic()

    def account(self, capture):
        """Plays the capture once; received must be sent plus dropped, and nothing may be dropped here."""
        switch = self.switch
        count = (os.path.getsize(capture) - 24) // (16 + 60)
        switch.add_port("once", "dpdk", ofport=1, dpdk_devargs=f"net_pcap9,rx_pcap={capture}")

        def settled():
            stats = switch.port_stats()
            received, sent = stats["1"]["rx_packets"], stats["2"]["tx_packets"]
            dropped = (stats["1"]["rx_drop"] or 0) + (stats["2"]["tx_drop"] or 0)
            return (received, sent, dropped) if received >= count and received <= sent + dropped else None
        try:
            received, sent, dropped = wait_until(settled, 60, lambda: f"{count} packets accounted for; now {switch.port_stats()}", interval=0.2)
        finally:
            switch.vsctl("del-port", "br0", "once")
        if received != sent + dropped:
            raise HarnessError(f"received {received} is not sent {sent} + dropped {dropped}")
        return {"account_received": received, "account_sent": sent, "account_dropped": dropped}

    def guests(self):
        """Two guest interfaces that send to each other; one testpmd drives both, on the core that the PMD thread does not have."""
        switch = self.switch
        for port in (1, 2):
            switch.add_port(f"guest{port}", "dpdkvhostuserclient", ofport=port, vhost_server_path=switch.path(f"g{port}"))
            switch.ofctl("add-flow", f"in_port={port},actions=output:{3 - port}")
        guest = Testpmd([switch.path(f"g{port}") for port in (1, 2)], "flowgen", switch.directory, server=True, core=0, memory=256,
                        arguments=[f"--flowgen-flows={GUESTS[self.name]}"])
        try:
            guest.start().wait_traffic("rx", 10000)
            return self.sample(self.flow_counters)
        finally:
            guest.stop()

    def flow_counters(self):
        # The reference counts no packets on vhost-user ports in Debian's build; its flows count what was received.
        received = self.switch.flow_packets("table=0")
        return received, received, time.monotonic()

    def sample(self, counters):
        time.sleep(self.arguments.warm)
        samples = []
        for _ in range(self.arguments.samples):
            rx0, tx0, t0 = counters()
            time.sleep(self.arguments.seconds)
            rx1, tx1, t1 = counters()
            samples.append(((rx1 - rx0) / (t1 - t0), (tx1 - tx0) / (t1 - t0)))
        rx, tx = sorted(samples)[len(samples) // 2]
        if rx <= 0:
            raise HarnessError("nothing was received")
        return {"rx_mpps": rx / 1e6, "tx_mpps": tx / 1e6, "lost": max(0.0, 1 - tx / rx), "cycles": self.arguments.hz / rx}


def limit(arguments):
    with tempfile.TemporaryDirectory(prefix="aplimit") as folder:
        capture = f"{folder}/traffic.pcap"
        workloads.write_pcap(capture, 1000, seed=arguments.seed)
        ensure_hugepages(384)
        command = ["timeout", "--signal=INT", "10", "dpdk-testpmd", "--lcores", f"0@0,1@{arguments.core}", "--no-pci",
                   f"--file-prefix={os.path.basename(folder)}", "--vdev", f"net_pcap0,rx_pcap={capture},infinite_rx=1",
                   "--vdev", "net_null1,no-rx=1", "-m", "512", "--", "--forward-mode=io", "--stats-period=2", "--total-num-mbufs=16384",
                   "--nb-cores=1"]
        text = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL).stdout
    rates = sorted(int(value) for value in re.findall(r"Rx-pps:\s+(\d+)", text) if int(value) > 1000)
    if not rates:
        return {"switch": "limit", "workload": "limit", "failed": text[-500:]}
    rate = rates[len(rates) // 2]
    return {"switch": "limit", "workload": "limit", "rx_mpps": rate / 1e6, "cycles": arguments.hz / rate}


def table(results, names):
    lines = [f"{'workload':<16}{'OVS Mpps':>10}{'cycles':>10}  {'cache':<8}{'Apus Mpps':>10}{'cycles':>10}{'lost':>8}{'ratio':>8}   (ratio: OVS cycles / Apus cycles)"]
    for name in names:
        ovs = [run for run in results if run["workload"] == name and run["switch"] == "ovs"]
        apus = [run for run in results if run["workload"] == name and run["switch"] == "apus"]
        by_cache = {cache: [run for run in ovs if run.get("cache") == cache] for cache in {run.get("cache") for run in ovs}}
        cache = min(by_cache, key=lambda key: median(by_cache[key], "cycles") or float("inf"), default="-")
        ovs = by_cache.get(cache, [])
        ours, theirs = median(apus, "cycles"), median(ovs, "cycles")
        ratio = theirs / ours if ours and theirs else None
        lost = median(apus, "lost")
        lines.append(f"{name:<16}{number(median(ovs, 'rx_mpps'), 2):>10}{number(theirs):>10}  {cache:<8}{number(median(apus, 'rx_mpps'), 2):>10}"
                     f"{number(ours):>10}{'-' if lost is None else f'{lost:.2%}':>8}{number(ratio, 2):>8}")
        for run in apus + ovs:
            if "failed" in run:
                lines.append(f"    {run['switch']} failed: {run['failed'].splitlines()[0]}")
    floor = median([run for run in results if run["switch"] == "limit"], "cycles")
    if floor:
        lines.append(f"limit (testpmd io, the two drivers alone): {floor:.0f} cycles a packet")
    return "\n".join(lines)


def main():
    every = list(workloads.WORKLOADS) + list(GUESTS)
    parser = report.Arguments(__doc__, every, switches="apus,ovs,limit", known=("apus", "ovs", "limit"))
    parser.add_argument("--ovs-cache", default="best", choices=["best", "all", *OVS_CACHES],
                        help="best: the setting known to be the fastest for the workload; all: try each, report the fastest")
    parser.add_argument("--apus-config", action="append", default=[], metavar="KEY=VALUE", help="other_config of Apus")
    parser.add_argument("--pairs", type=int, default=3, help="runs of each switch and workload")
    parser.add_argument("--samples", type=int, default=1, help="samples a run, of which the median counts")
    parser.add_argument("--seconds", type=float, default=2, help="length of a sample")
    parser.add_argument("--warm", type=float, default=3, help="seconds before the first sample")
    parser.add_argument("--seed", type=int, default=3, help="changes rules and addresses, not their statistical shape")
    parser.add_argument("--core", type=int, default=1, help="the PMD thread's core")
    arguments = parser.parse(further=workloads.SWEEP_WORKLOADS)
    names = arguments.names or every
    arguments.hz = tsc_hz()
    report.warn_if_busy()
    isolate()
    results = []

    def record(run):
        results.append(run)
        report.show(run)

    for pair in range(arguments.pairs):
        if "limit" in arguments.switches:
            record(limit(arguments))
        for name in names:
            for kind in report.order(pair, arguments.switches):
                caches = [None]
                if kind == "ovs":
                    caches = list(OVS_CACHES) if arguments.ovs_cache == "all" else [best_cache(name) if arguments.ovs_cache == "best" else arguments.ovs_cache]
                for cache in caches:
                    record(Run(arguments, kind, name, cache).measure() | {"pair": pair})
    path = report.save(arguments.json, {"tsc_hz": arguments.hz, "seed": arguments.seed, "seconds": arguments.seconds, "runs": results}, "bench")
    print("\n" + table(results, names) + f"\n{len(results)} runs, medians; all of them in {path}")
    if any("failed" in run for run in results):
        sys.exit(1)


if __name__ == "__main__":
    main()
