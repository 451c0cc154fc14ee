#!/usr/bin/python3
"""Measures how well meters keep to their rates: a port that always has packets, a meter, a port that swallows what passes.

    meters.py [--seconds 1] [--bin FOLDER] [--core 1] [--switches apus,ovs] [kbps pktps dscp_remark]

Each rate is offered far more than it allows. What conforms is counted by the port behind the meter (drop bands), or by the
meter's own counts (dscp_remark, where everything passes), over the time that the switch itself says has gone by. Prints the
deviation from the rate in percent over two seconds, one after the other.

Needs root, two cores, hugepages (asks for them), dpdk; openvswitch-switch-dpdk for `ovs`.
"""
import argparse
import os
import pathlib
import re
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

import workloads  # noqa: E402
from Harness.netns import isolate  # noqa: E402
from Harness.process import ensure_hugepages  # noqa: E402
from Harness.switch import Switch  # noqa: E402

MEMORY_MEBIBYTES = 1024
# Rates, and the size of the frames that are offered (with the checksum that counters leave out).
RATES = {
    "kbps": [(100, 64), (1_000, 64), (10_000, 1518), (100_000, 1518), (1_000_000, 1518), (10_000_000, 1518), (40_000_000, 1518)],
    "pktps": [(100, 64), (1_000, 64), (10_000, 64), (100_000, 64), (1_000_000, 64)],
    "dscp_remark": [(100, 64), (10_000, 64), (1_000_000, 1518), (10_000_000, 1518)],
}


class Meter:
    """One switch with a bridge, on which meter after meter is measured."""

    def __init__(self, arguments, kind):
        self.seconds = arguments.seconds
        self.switch = Switch(kind, binaries=arguments.bin, other_config={"pmd-cpu-mask": f"{1 << arguments.core:#x}"}, hugepages=True,
                             memory=MEMORY_MEBIBYTES)
        self.switch.start()
        self.switch.add_bridge(secure=True)
        self.switch.add_port("sink", "dpdk", ofport=2, dpdk_devargs="net_null2,no-rx=1")
        self.captures = {}
        for size in (64, 1518):
            self.captures[size] = self.switch.path(f"{size}.pcap")
            workloads.write_pcap(self.captures[size], 16, size=size)

    def ofctl(self, *words):
        return self.switch.ofctl(*words, version="OpenFlow13")

    def counts(self):
        """Seconds, and packets and bytes that conformed: by the port that they left by, and by the meter."""
        sent = self.switch.port_stats()["2"]
        text = self.ofctl("meter-stats")
        numbers = {name: int(value) for name, value in re.findall(r"(packet_in_count|byte_in_count):\s*(\d+)", text)}
        band = re.search(r"0:\s*packet_count:\s*(\d+) byte_count:\s*(\d+)", text)
        seconds = float(re.search(r"duration:\s*([\d.]+)s", text).group(1))
        return seconds, (sent["tx_packets"], sent["tx_bytes"]), (numbers["packet_in_count"] - int(band.group(1)),
                                                                 numbers["byte_in_count"] - int(band.group(2)))

    def measure(self, what, rate, size):
        """Deviations in percent, over two times `seconds`."""
        unit = "pktps" if what == "pktps" else "kbps"
        band = "type=dscp_remark,prec_level=1" if what == "dscp_remark" else "type=drop"
        self.ofctl("del-flows")
        self.ofctl("add-meter", f"meter=1,{unit},stats,bands={band},rate={rate}")
        self.switch.add_port("source", "dpdk", ofport=1, dpdk_devargs=f"net_pcap1,rx_pcap={self.captures[size]},infinite_rx=1")
        try:
            self.ofctl("add-flow", "in_port=1,actions=meter:1,output:2")
            before = self.counts()
            result = []
            for _ in range(2):
                time.sleep(self.seconds)
                after = self.counts()
                view = 2 if what == "dscp_remark" else 1
                amount = after[view][0] - before[view][0] if unit == "pktps" else (after[view][1] - before[view][1]) * 8 / 1000
                result.append((amount / (after[0] - before[0]) / rate - 1) * 100)
                before = after
            return result
        finally:
            self.switch.vsctl("del-port", "source")
            self.ofctl("del-flows")
            self.ofctl("del-meters")

    def stop(self):
        self.switch.stop()
        self.switch.remove()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", nargs="*", help=" ".join(RATES))
    parser.add_argument("--seconds", type=float, default=1)
    parser.add_argument("--bin", default=None)
    parser.add_argument("--core", type=int, default=1)
    parser.add_argument("--switches", default="apus")
    arguments = parser.parse_args()
    if os.geteuid() != 0:
        parser.error("needs root")
    isolate()
    ensure_hugepages(MEMORY_MEBIBYTES // 2 + 64)
    print("| switch | meter | rate | a second, % | the next, % |\n| --- | --- | --- | --- | --- |")
    for kind in arguments.switches.split(","):
        meter = Meter(arguments, kind)
        try:
            for what in arguments.what or RATES:
                for rate, size in RATES[what]:
                    first, second = meter.measure(what, rate, size)
                    print(f"| {kind} | {what} | {rate:,} | {first:+.2f} | {second:+.2f} |", flush=True)
        finally:
            meter.stop()


if __name__ == "__main__":
    main()
