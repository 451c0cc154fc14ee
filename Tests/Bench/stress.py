#!/usr/bin/python3
"""Measures where userspace switches collapse: Apus beside Open vSwitch with DPDK, by the same commands, in the same run.

    stress.py [--switches apus,ovs] [--pairs 1] [--seconds 2] [--seed 3] [scenario ...]

    million-uniform, million-zipf   a million flows from five replaying ports, in few megaflows: packets a second
    setup                           every packet a new flow: megaflows installed a second, and the time an upcall takes
    storm                           an established flow's port shares the PMD thread with a port whose flows are always new
    masks-512, masks-8192           the same with a port whose rules and traffic are made to need so many masks
    two-pmds                        two PMD threads on two cores against one
    latency                         one way between two guests at 10, 50 and 90 % of the slower switch's maximum

A victim's rate is compared with its rate beside the same neighbour whose traffic is harmless, because two ports of one PMD
thread take turns anyway. Needs what bench.py needs. Prints a table, writes all runs as JSON.
"""
import json
import pathlib
import random
import re
import struct
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

import report  # noqa: E402
import workloads  # noqa: E402
from bench import OVS_CACHES, tsc_hz  # noqa: E402
from Harness.netns import isolate  # noqa: E402
from Harness.process import HarnessError, ensure_hugepages, resident_bytes, wait_until  # noqa: E402
from Harness.switch import Switch, find_binaries  # noqa: E402

# The reference has one pool of at most 262,144 buffers for each class of MTU, and a replaying port keeps one for each packet.
MILLION_MTUS = (1500, 2500, 3500, 4500, 5500)
FLOWS_A_PORT = 200_000
# Rules whose actions read the five-tuple: what is cached must match all of it.
EXACT_ACTIONS = ("move:NXM_OF_IP_SRC[]->NXM_NX_REG0[],move:NXM_OF_IP_DST[]->NXM_NX_REG1[],"
                 "move:NXM_OF_UDP_SRC[]->NXM_NX_REG2[0..15],move:NXM_OF_UDP_DST[]->NXM_NX_REG2[16..31],output:2")
LATENCY_SHARES = (10, 50, 90)


def write_frames(path, frames):
    with open(path, "wb") as out:
        out.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1))
        for data in frames:
            out.write(struct.pack("<IIII", 0, 0, len(data), len(data)) + data)


def udp_frame(source, destination, source_port, destination_port):
    """A 64-byte frame (with FCS) of UDP over IPv4."""
    ip = struct.pack("!BBHHHBBHII", 0x45, 0, 46, 0, 0, 64, 17, 0, source, destination)
    ip = ip[:10] + struct.pack("!H", workloads._checksum(ip)) + ip[12:]
    ethernet = struct.pack("!Q", workloads.DST_MAC)[2:] + struct.pack("!Q", workloads.SRC_MAC)[2:] + b"\x08\x00"
    return ethernet + ip + struct.pack("!HHHH", source_port, destination_port, 26, 0) + bytes(18)


def unique_frames(count, seed):
    """Five-tuples that all differ, in random order."""
    order = list(range(count))
    random.Random(seed).shuffle(order)
    return (workloads.frame(flow) for flow in order)


def zipf_frames(count, seed):
    """`count` packets of as many possible flows, the k-th of which is 1/k as frequent as the first."""
    rng = random.Random(seed)
    return (workloads.frame(flow) for flow in rng.choices(range(count), weights=[1 / (rank + 1) for rank in range(count)], k=count))


def explosive_rules(port, masks):
    """Rules of one port that allow three exact values and drop what has none of them: traffic that differs from each value
    in a bit of its choice needs a mask for each choice. 32 bits of the address by 16 of one port, and by 16 of the other."""
    rules = [f"priority=30,in_port={port},udp,nw_src=10.0.0.1,actions=output:2", f"priority=20,in_port={port},udp,tp_dst=32768,actions=output:2"]
    if masks > 512:
        rules.append(f"priority=10,in_port={port},udp,tp_src=32768,actions=output:2")
    return rules


def explosive_frames(masks, seed):
    frames = []
    for bit in range(32):
        for first in range(16):
            for second in range(16) if masks > 512 else (None,):
                frames.append(udp_frame(0x0A000001 ^ 1 << bit, 0x0B000001, 32768 ^ (1 << second) if second is not None else 1000, 32768 ^ 1 << first))
    random.Random(seed).shuffle(frames)
    return frames * max(1, 4096 // len(frames))


class Bed:
    """A started switch with a sink at port 2."""

    def __init__(self, arguments, kind, cores="0x2", cache="smc", memory=1024, **other_config):
        self.arguments, self.kind = arguments, kind
        config = {"pmd-cpu-mask": cores} | (OVS_CACHES[cache] if kind == "ovs" else {}) | {key.replace("_", "-"): str(value) for key, value in other_config.items()}
        self.switch = Switch(kind, binaries=arguments.bin, other_config=config, hugepages=True, memory=memory)

    def __enter__(self):
        try:
            self.switch.start()
            self.switch.add_bridge(secure=True)
            self.switch.ofctl("del-flows", version="OpenFlow13")
            self.add_sink(2)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        self.switch.stop()
        self.switch.remove()

    def add_sink(self, number, **options):
        self.switch.add_port(f"sink{number}", "dpdk", ofport=number, dpdk_devargs=f"net_null{number},no-rx=1,size=64", **options)

    def rules(self, *rules):
        self.switch.ofctl("--bundle", "add-flows", "-", version="OpenFlow14", stdin="\n".join(rules) + "\n")

    def capture(self, number, frames):
        path = self.switch.path(f"traffic{number}.pcap")
        write_frames(path, frames)
        return path

    def add_source(self, number, frames, mtu=1500, affinity=None):
        words = ["add-port", "br0", f"source{number}", "--", "set", "Interface", f"source{number}", "type=dpdk", f"ofport_request={number}",
                 f"options:dpdk-devargs=net_pcap{number},rx_pcap={self.capture(number, frames)},infinite_rx=1", f"mtu_request={mtu}"]
        if affinity is not None:
            words.append(f"other_config:pmd-rxq-affinity=\"{affinity}\"")
        self.switch.vsctl(*words, timeout=60)

    def remove_source(self, number):
        self.switch.vsctl("del-port", "br0", f"source{number}")

    def received(self):
        return {name: stats["rx_packets"] for name, stats in self.switch.port_stats().items()}, time.monotonic()

    def rates(self, *ports, warm=None):
        """Packets a second that each port received, over the time the user chose."""
        time.sleep(self.arguments.warm if warm is None else warm)
        (before, start), _ = self.received(), time.sleep(self.arguments.seconds)
        after, end = self.received()
        rates = [(after[str(port)] - before[str(port)]) / (end - start) for port in ports]
        if min(rates) <= 0:
            raise HarnessError(f"ports {ports} receive {rates} packets a second")
        return rates

    def dropped(self, port):
        return self.switch.port_stats()[str(port)]["rx_drop"] or 0

    def misses(self):
        """Upcalls that led to a megaflow since the start."""
        text = self.switch.appctl("dpif-netdev/pmd-stats-show")
        return sum(int(value) for value in re.findall(r"miss with success upcall:\s*(\d+)", text))

    def percentile(self, name):
        found = re.search(rf"upcall microseconds, {name}th percentile below: ([\d.]+)", self.switch.appctl("dpif-netdev/pmd-perf-show"))
        return float(found.group(1)) if found else None

    def resident(self):
        return resident_bytes(self.switch.daemon.pid)

    def masks(self):
        """Masks in use, the port's own and the victim's; the reference does not say how many it has."""
        found = re.search(r"masks\s*: \(current (\d+)\)", self.switch.appctl("upcall/show"))
        return int(found.group(1)) if found else None


def million(frames):
    def scenario(arguments, kind):
        with Bed(arguments, kind, memory=6656) as bed:
            bed.rules(*[f"priority=10,udp,in_port={port},tp_src={bit}/1,actions=output:2" for port in range(11, 16) for bit in (0, 1)])
            before = bed.resident()
            for index, mtu in enumerate(MILLION_MTUS):
                bed.add_source(11 + index, frames(FLOWS_A_PORT, arguments.seed + index), mtu=mtu)
            rates = bed.rates(*range(11, 16), warm=max(5, arguments.warm))
            return {"mpps": sum(rates) / 1e6, "cycles": arguments.hz / sum(rates), "resident_growth_mib": (bed.resident() - before) / 2**20}
    return scenario


def setup(arguments, kind):
    """Flows are set up until the table's default limit is near, or five seconds are over."""
    with Bed(arguments, kind) as bed:
        bed.rules(f"priority=10,udp,in_port=1,actions={EXACT_ACTIONS}")
        before = bed.resident()
        bed.add_source(1, unique_frames(FLOWS_A_PORT, arguments.seed))
        samples = []
        deadline = time.monotonic() + 5
        while time.monotonic() < deadline:
            samples.append((time.monotonic(), bed.misses()))
            if samples[-1][1] > 0.8 * FLOWS_A_PORT:
                break
            time.sleep(0.02)
        (start, first), (end, last) = samples[0], samples[-1]
        result = {"installs_per_second": (last - first) / (end - start), "installed": last, "seconds": end - start}
        if kind == "apus":
            result |= {f"upcall_us_p{name}": bed.percentile(name) for name in ("50", "99", "99.9")}
            wait_until(lambda: bed.misses() >= 0.97 * FLOWS_A_PORT, 20, "all flows are set up")
            result["bytes_per_megaflow"] = (bed.resident() - before) / bed.misses()
        return result


def beside(bed, rules, frames):
    """The victim's rate at port 1 alone, beside harmless traffic at port 3, and beside `frames` under `rules` there."""
    bed.rules("priority=10,in_port=1,actions=output:2", "priority=10,in_port=3,actions=output:2")
    bed.add_source(1, (workloads.frame(flow) for _ in range(4) for flow in range(1000)))
    alone, = bed.rates(1)
    frames = list(frames)
    bed.add_source(3, frames)
    harmless, _ = bed.rates(1, 3)
    bed.remove_source(3)
    bed.switch.ofctl("--strict", "del-flows", "priority=10,in_port=3")
    bed.rules(*rules)
    bed.add_source(3, frames)
    dropped = bed.dropped(1)
    victim, other = bed.rates(1, 3)
    return {"alone_mpps": alone / 1e6, "harmless_mpps": harmless / 1e6, "victim_mpps": victim / 1e6, "kept": victim / harmless,
            "neighbour_mpps": other / 1e6, "victim_dropped": bed.dropped(1) - dropped}


def storm(arguments, kind):
    with Bed(arguments, kind, flow_limit=50000) as bed:
        before = bed.misses()
        result = beside(bed, [f"priority=10,udp,in_port=3,actions={EXACT_ACTIONS}"], unique_frames(150_000, arguments.seed))
        result["upcalls"] = bed.misses() - before
        if kind == "apus":
            result["upcall_us_p99"] = bed.percentile("99")
        return result


def explosion(masks):
    def scenario(arguments, kind):
        with Bed(arguments, kind) as bed:
            result = beside(bed, explosive_rules(3, masks), explosive_frames(masks, arguments.seed))
            result["masks"] = bed.masks()
            return result
    return scenario


def two_pmds(arguments, kind):
    """The same traffic into one port or two, on one core or two; few megaflows, which the threads share."""
    def traffic(index):
        return (workloads.frame(flow) for flow in random.Random(arguments.seed + index).choices(range(10_000), k=20_000))

    with Bed(arguments, kind, cores="0x3") as bed:
        bed.add_sink(4)
        bed.rules(*[f"priority=10,udp,in_port={port},tp_src={bit}/1,actions=output:{port + 1}" for port in (1, 3) for bit in (0, 1)])
        bed.add_source(1, traffic(1), affinity="0:1")
        one, = bed.rates(1)
        bed.add_source(3, traffic(3), affinity="0:0")
        two = sum(bed.rates(1, 3))
        return {"one_mpps": one / 1e6, "two_mpps": two / 1e6, "scaling": two / one}


class Probe:
    """apus-bench as a pair of guests: it sends at a pace and measures how long each packet took."""

    def __init__(self, bed, sockets):
        self.bed, self.sockets = bed, sockets

    def run(self, rate, seconds):
        command = [f"{self.bed.arguments.bin or find_binaries()}/apus-bench", "latency", "--cpu", "0", "--seconds", str(seconds), "--rate", str(int(rate)),
                   "--json", *self.sockets]
        ensure_hugepages(192)
        done = subprocess.run(command, capture_output=True, text=True, timeout=60 + seconds)
        if done.returncode:
            raise HarnessError(f"apus-bench: {(done.stderr or done.stdout)[-500:]}")
        return json.loads(done.stdout.splitlines()[-1])


def latency(arguments, kind, maximum=None):
    with Bed(arguments, kind) as bed:
        sockets = []
        for port in (11, 12):
            sockets.append(bed.switch.path(f"g{port}"))
            bed.switch.add_port(f"guest{port}", "dpdkvhostuserclient", ofport=port, vhost_server_path=sockets[-1])
        bed.rules(*[f"priority=10,udp,in_port=11,tp_src={bit}/1,actions=output:12" for bit in (0, 1)])
        probe = Probe(bed, sockets)
        if maximum is None:
            return {"mpps": probe.run(0, 2)["received_pps"] / 1e6}
        result = {}
        for share in LATENCY_SHARES:
            run = probe.run(maximum * share / 100, max(2, arguments.seconds))
            result |= {f"{name}_us_at_{share}": run[name] for name in ("p50", "p99", "p999")} | {f"lost_at_{share}": run["lost"]}
        return result


# name: (scenario, what is compared, whether more is better)
SCENARIOS = {
    "million-uniform": (million(unique_frames), "cycles", False),
    "million-zipf": (million(zipf_frames), "cycles", False),
    "setup": (setup, "installs_per_second", True),
    "storm": (storm, "kept", True),
    "masks-512": (explosion(512), "kept", True),
    "masks-8192": (explosion(8192), "kept", True),
    "two-pmds": (two_pmds, "scaling", True),
    "latency": (latency, "p99_us_at_50", False),
}


def measure(arguments, name, kind, pair, **more):
    run = {"switch": kind, "workload": name, "pair": pair}
    try:
        run |= SCENARIOS[name][0](arguments, kind, **more)
    except (HarnessError, subprocess.TimeoutExpired) as error:
        run["failed"] = str(error)
    report.show(run)
    return run


def table(results, names):
    lines = [f"{'scenario':<18}{'compared':<22}{'OVS':>14}{'Apus':>14}{'ratio':>9}   (above 1: Apus is ahead)"]
    for name in names:
        _, key, more = SCENARIOS[name]
        ovs, apus = (report.median([run for run in results if (run["workload"], run["switch"]) == (name, kind)], key) for kind in ("ovs", "apus"))
        ratio = (apus / ovs if more else ovs / apus) if ovs and apus else None
        lines.append(f"{name:<18}{key:<22}" + "".join(f"{report.number(value, 2):>{width}}" for value, width in ((ovs, 14), (apus, 14), (ratio, 9))))
        lines += report.failures(run for run in results if run["workload"] == name)
    return "\n".join(lines)


def main():
    parser = report.Arguments(__doc__, SCENARIOS, what="scenario")
    parser.add_argument("--pairs", type=int, default=1, help="runs of each switch and scenario")
    parser.add_argument("--seconds", type=float, default=2, help="length of a sample")
    parser.add_argument("--warm", type=float, default=2, help="seconds before a sample")
    parser.add_argument("--seed", type=int, default=3, help="changes addresses and orders, not their shape")
    arguments = parser.parse()
    arguments.hz = tsc_hz()
    names = arguments.names or list(SCENARIOS)
    report.warn_if_busy()
    isolate()
    results = []
    for pair in range(arguments.pairs):
        for name in names:
            order = report.order(pair, arguments.switches)
            more = {}
            if name == "latency":
                more["maximum"] = min((run["mpps"] * 1e6 for run in (measure(arguments, name, kind, pair) for kind in order) if "mpps" in run), default=1e6)
            results += [measure(arguments, name, kind, pair, **more) for kind in order]
    path = report.save(arguments.json, {"tsc_hz": arguments.hz, "seed": arguments.seed, "runs": results}, "stress")
    print("\n" + table(results, names) + f"\n{len(results)} runs, medians; all of them in {path}")
    return 1 if any("failed" in run for run in results) else 0


if __name__ == "__main__":
    sys.exit(main())
