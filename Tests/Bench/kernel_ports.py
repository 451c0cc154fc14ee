#!/usr/bin/python3
"""Measures kernel interfaces: Apus beside Open vSwitch's userspace datapath, over veth pairs, in the same run.

    kernel_ports.py [--pairs 3] [--seconds 2] [--bin FOLDER] [workload ...]

A generator sends into one veth pair as fast as the kernel takes it; the switch has the
other end and an end of a second pair, and forwards by one flow; what arrives at the far end is counted by the kernel. The
generator, and with it the kernel's work of delivering to the switch's sockets, has one core, the switch the other. Runs of
the switches alternate; medians are reported.

Workloads: system-64, system-1500 (frames of so many bytes between two `system` ports), tap-64 (a `system` port to a tap device, where
the kernel counts them), afxdp-64 (between two `afxdp` ports; OVS has its `system` ports in their place).

Needs root, two cores, hugepages and openvswitch-switch-dpdk.
"""
import contextlib
import os
import pathlib
import signal
import socket
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

import report  # noqa: E402
from Harness.netns import isolate  # noqa: E402
from Harness.process import HarnessError, processor_seconds, run, wait_until  # noqa: E402
from Harness.switch import Switch  # noqa: E402
from report import median, number  # noqa: E402

WORKLOADS = {
    "system-64": ("system", 64),
    "system-1500": ("system", 1500),
    "tap-64": ("tap", 64),
    "afxdp-64": ("afxdp", 64),
}


def counters(name, column):
    """A column of /proc/net/dev: 1 is packets received, 9 packets sent."""
    with open("/proc/self/net/dev") as table:
        for line in table:
            device, _, values = line.partition(":")
            if device.strip() == name:
                return int(values.split()[column])
    raise HarnessError(f"no device {name}")


class Wires:
    """in0 - in1 to the switch, out0 of the switch - out1."""

    def __init__(self):
        for left, right in (("in0", "in1"), ("out0", "out1")):
            run(["ip", "link", "add", left, "type", "veth", "peer", "name", right])
            for name in (left, right):
                with open(f"/proc/sys/net/ipv6/conf/{name}/disable_ipv6", "w") as setting:
                    setting.write("1")
                run(["ip", "link", "set", name, "up", "mtu", "1500"])
                # whole frames on the wires, with their checksums
                run(["ethtool", "-K", name, "tx", "off", "tx-udp-segmentation", "off"], check=False)
        run(["ip", "addr", "add", "10.9.0.1/24", "dev", "in0"])
        run(["ip", "neigh", "add", "10.9.0.2", "lladdr", "02:00:00:00:00:09", "dev", "in0"])

    def remove(self):
        for name in ("in0", "out0"):
            run(["ip", "link", "del", name], check=False)


class Generator:
    """A process that sends UDP frames of `size` bytes as fast as it can: 64 with a system call, which the kernel takes apart. That is
    twice as fast as one by one, and faster than any of the switches."""

    def __init__(self, size, core=0):
        self.size, self.core = size, core

    def __enter__(self):
        start = counters("in0", 9)
        self.child = os.fork()
        if self.child == 0:
            try:
                self.run()
            finally:
                os._exit(1)
        wait_until(lambda: counters("in0", 9) > start + 1000, 20, "the generator sends", interval=0.1)
        return self

    def run(self):
        os.sched_setaffinity(0, {self.core})
        payload = self.size - 42
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            sender.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4 << 20)
            sender.setsockopt(socket.IPPROTO_UDP, 103, payload)  # UDP_SEGMENT
            sender.connect(("10.9.0.2", 9))
            data = bytes(payload * min(64, 65000 // payload))
            while True:
                with contextlib.suppress(OSError):
                    sender.send(data)

    def __exit__(self, *_):
        os.kill(self.child, signal.SIGKILL)
        os.waitpid(self.child, 0)


def measure(arguments, kind, name):
    port_type, size = WORKLOADS[name]
    other_config = {"pmd-cpu-mask": "0x2"} | ({"dpdk-lcore-mask": "0x2"} if kind == "ovs" else {})
    switch = Switch(kind, binaries=arguments.bin, other_config=other_config, hugepages=True, memory=256)
    result = {"switch": kind, "workload": name}
    wires = Wires()
    try:
        switch.start()
        switch.add_bridge(secure=True)
        sockets = "afxdp" if port_type == "afxdp" and kind == "apus" else "system"
        switch.add_port("in1", sockets, ofport=1)
        if port_type != "tap":
            switch.add_port("out0", sockets, ofport=2)
            target, column = "out1", 1
        else:
            switch.add_port("tap0", "tap", ofport=2)
            run(["ip", "link", "set", "tap0", "up"])
            target, column = "tap0", 1
        switch.ofctl("add-flow", "in_port=1,actions=output:2")
        with Generator(size):
            time.sleep(arguments.warm)
            samples = []
            for _ in range(arguments.samples):
                before = counters(target, column), counters("in0", 9), processor_seconds(switch.daemon.pid), time.monotonic()
                time.sleep(arguments.seconds)
                after = counters(target, column), counters("in0", 9), processor_seconds(switch.daemon.pid), time.monotonic()
                seconds = after[3] - before[3]
                samples.append([(b - a) / seconds for a, b in zip(before[:3], after[:3])])
            arrived, offered, cpu = sorted(samples)[len(samples) // 2]
            result |= {"arrived_kpps": arrived / 1e3, "offered_kpps": offered / 1e3, "cores": cpu, "us_per_packet": cpu / arrived * 1e6 if arrived else None}
            if arguments.perf and kind == "apus":
                run(["perf", "record", "-g", "-o", arguments.perf, "-p", str(switch.daemon.pid), "--", "sleep", "2"], check=False)
    except HarnessError as error:
        result["failed"] = str(error)
    finally:
        switch.stop()
        switch.remove()
        wires.remove()
    return result


def table(results, names):
    lines = [f"{'workload':<14}{'OVS kpps':>10}{'us/packet':>11}{'Apus kpps':>11}{'us/packet':>11}{'offered':>9}{'ratio':>7}"]
    for name in names:
        ovs = [r for r in results if r["workload"] == name and r["switch"] == "ovs"]
        apus = [r for r in results if r["workload"] == name and r["switch"] == "apus"]
        ours, theirs = median(apus, "arrived_kpps"), median(ovs, "arrived_kpps")
        lines.append(f"{name:<14}{number(theirs):>10}{number(median(ovs, 'us_per_packet'), 2):>11}{number(ours):>11}"
                     f"{number(median(apus, 'us_per_packet'), 2):>11}{number(median(apus, 'offered_kpps')):>9}"
                     f"{number(ours / theirs if ours and theirs else None, 2):>7}")
        lines += report.failures(apus + ovs)
    return "\n".join(lines)


def main():
    parser = report.Arguments(__doc__, WORKLOADS)
    parser.add_argument("--pairs", type=int, default=3, help="runs of each switch and workload")
    parser.add_argument("--samples", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=2, help="length of a sample")
    parser.add_argument("--warm", type=float, default=2, help="seconds before the first sample")
    parser.add_argument("--perf", default=None, help="file for perf's record of apusd")
    arguments = parser.parse()
    names = arguments.names or list(WORKLOADS)
    isolate()
    results = []
    for pair in range(arguments.pairs):
        for name in names:
            for kind in report.order(pair, arguments.switches):
                results.append(measure(arguments, kind, name) | {"pair": pair})
                report.show(results[-1])
    report.save(arguments.json, results)
    print("\n" + table(results, names))
    if any("failed" in r for r in results):
        sys.exit(1)


if __name__ == "__main__":
    main()
