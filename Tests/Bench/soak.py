#!/usr/bin/env python3
"""Soak: mixed load while ports, flows and guests come and go, for so many minutes; at the end nothing may be missing.

    Tests/Bench/soak.py [--minutes 60] [--seed 1] [--binaries FOLDER]

Load: two captures replayed without end through a table of a few hundred rules, two proper guests that talk to each other (their
frames carry numbers, so that loss, doubling and damage show), a pair of namespaces' worth of kernel ports, a guest of testpmd's.
Churn, in an order that the seed gives: vhost-user ports with guests that stop, die and lie, taps, bridges, rules by the
hundred, MTUs, queues, PMD threads. Checked all the time: the guests hear each other (no stuck queue). Checked at the end, with the load
taken away: sent + dropped = received, to the packet, over all ports; buffers all back in their pools; descriptors, threads and
memory as after the first round; no error in the log that a healthy run has not. Exit status 0 if all of it holds.
"""
import argparse
import contextlib
import os
import pathlib
import random
import re
import struct
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from Harness.frontend import FrontEnd, PackedFrontEnd, message  # noqa: E402
from Harness.netns import isolate  # noqa: E402
from Harness.packets import udp_frame, write_pcap  # noqa: E402
from Harness.process import HarnessError, wait_until  # noqa: E402
from Harness.switch import Switch  # noqa: E402
from Harness.testpmd import Testpmd  # noqa: E402

# Seconds in which anything answers, on a machine that may be busy with something else.
PATIENCE = 300
# What may grow over a run, in KiB of the daemon's own memory: logs, statistics, the allocator's play.
MEMORY_PLAY = 65536


class Pair:
    """Two proper guests; every frame is numbered and heard once on the other side."""

    def __init__(self, switch, names, kind):
        self.switch = switch
        self.guests = [kind(switch.path(name)).start() for name in names]
        for name in names:
            switch.wait_link(name, seconds=PATIENCE)
        self.number = 0
        self.sent = self.heard = self.overtaken = 0

    def talk(self, count=50):
        for source, sink in (self.guests, self.guests[::-1]):
            sink.received()
            numbers = []
            for _ in range(count):
                self.number += 1
                frame = udp_frame(src_port=4000, dst_port=4001, size=120)
                source.transmit(frame[:60] + struct.pack("!I", self.number) + frame[64:])
                numbers.append(self.number)
            self.sent += count
            got, deadline = [], time.monotonic() + PATIENCE
            while len(got) < count:
                for _, frame in sink.received():
                    if len(frame) == 120 and frame[36:38] == struct.pack("!H", 4001):
                        got.append(struct.unpack("!I", frame[60:64])[0])
                if time.monotonic() > deadline:
                    raise HarnessError(f"a stuck queue: {len(got)} of {count} frames were heard; {self.switch.daemon.tail(10)}")
                time.sleep(0.002)
            # the first frames of a flow may go by a handler thread, and arrive after those that follow them
            self.overtaken += sum(later < earlier for earlier, later in zip(got, got[1:]))
            if sorted(got) != numbers:
                raise HarnessError(f"frames lost or doubled: {numbers[0]} to {numbers[-1]} sent, {got} heard")
            self.heard += count

    def close(self):
        for guest in self.guests:
            guest.close()


class Soak:
    def __init__(self, seed, folder, binaries):
        self.random = random.Random(seed)
        self.folder = folder
        self.switch = Switch("apus", binaries=binaries, other_config={"pmd-cpu-mask": "0x2", "stats-update-interval": "2000"})
        self.switch.patience = 15
        self.counts = {}
        self.testpmd = None
        self.serial = 0

    def start(self):
        switch = self.switch.start()
        switch.add_bridge(secure=True)
        for number, name in enumerate(("a1", "a2", "b1", "b2"), 1):
            switch.add_port(name, "dpdkvhostuser", ofport=number)
        switch.add_port("t1", "dpdkvhostuser", ofport=5)
        for index in (0, 1):
            path = f"{self.folder}/in{index}.pcap"
            write_pcap(path, [udp_frame(src_port=1 + n % (1000 * (index + 1)), dst_port=1 + n % 7, size=64 + 40 * index) for n in range(4000)])
            switch.add_null_sink(f"n{index}", 20 + index)
        switch.ofctl("add-flow", "priority=50,in_port=1,actions=output:2")
        switch.ofctl("add-flow", "priority=50,in_port=2,actions=output:1")
        switch.ofctl("add-flow", "priority=50,in_port=3,actions=output:4")
        switch.ofctl("add-flow", "priority=50,in_port=4,actions=output:3")
        switch.ofctl("add-flow", "priority=50,in_port=5,actions=in_port")
        self.rules(100)
        self.pairs = [Pair(switch, ("a1", "a2"), FrontEnd), Pair(switch, ("b1", "b2"), PackedFrontEnd)]
        self.load()
        return self

    def load(self):
        for index in (0, 1):
            self.switch.add_pcap_source(f"s{index}", 10 + index, f"{self.folder}/in{index}.pcap")

    # Churn. Each is one step, and leaves the configuration as it was.

    def rules(self, count=200):
        """The table of the load, anew: some ports of theirs are dropped, some rewritten, all others forwarded."""
        lines = []
        for number in range(count):
            port = self.random.randrange(1, 2000)
            action = self.random.choice(["drop", "output:20", "output:21", "mod_dl_dst:02:00:00:00:00:01,output:20", "dec_ttl,output:21"])
            lines.append(f"priority={self.random.randrange(11, 40)},udp,tp_src={port},actions={action}")
        lines += ["priority=10,in_port=10,actions=output:20", "priority=10,in_port=11,actions=output:20,output:21"]
        self.switch.ofctl("del-flows", "udp", timeout=60)
        self.switch.ofctl("--bundle", "add-flows", "-", version="OpenFlow14", stdin="\n".join(lines) + "\n", timeout=60)

    def guests_come_and_go(self):
        names = [f"v{number}" for number in range(self.random.randrange(1, 12))]
        for name in names:
            self.switch.add_port(name, "dpdkvhostuser")
        guests = []
        for name in names[:6]:
            kind = self.random.choice((FrontEnd, PackedFrontEnd))
            guests.append(kind(self.switch.path(name)).start(pairs=self.random.choice((1, 2))))
            self.switch.wait_link(name, seconds=PATIENCE)
            guests[-1].transmit(udp_frame(src_port=6))
        for guest in guests[:3]:
            guest.close()
        self.switch.vsctl(*[word for name in names for word in ("--", "del-port", name)][1:], timeout=60)
        for guest in guests[3:]:
            guest.is_cut_off()
            guest.close()

    def guests_that_lie(self):
        self.switch.add_port("evil", "dpdkvhostuser")
        try:
            for _ in range(5):
                attack = self.random.randrange(4)
                try:
                    with FrontEnd(self.switch.path("evil")) as evil:
                        if attack == 0:
                            evil.send(message(99))
                        else:
                            evil.start()
                            evil.transmit(udp_frame(src_port=9))
                            evil.wait_used(1, 1)
                            if attack == 1:
                                os.ftruncate(evil.memory, 0)
                            elif attack == 2:
                                evil.publish(1, 60000, count=30000)
                            else:
                                evil.descriptor(1, 1, 1 << 50, 100)
                                evil.publish(1, 1)
                        evil.is_cut_off(1)
                except (HarnessError, OSError):
                    pass
        finally:
            self.switch.vsctl("del-port", "evil")

    def testpmd_comes_and_dies(self):
        if self.testpmd:
            self.testpmd.kill()
            self.switch.wait_link("t1", up=False, seconds=PATIENCE)
        vdev = self.random.choice(("", ",packed_vq=1"))
        for attempt in range(5):
            self.testpmd = Testpmd([self.switch.path("t1")], "flowgen", self.folder, core=0, memory=64, vdev=vdev).start()
            try:
                return self.testpmd.wait_traffic("rx", 1000, seconds=PATIENCE)
            except HarnessError:
                # others on this machine may have taken the hugepages between asking for them and using them
                if attempt == 4 or "Not enough memory" not in self.testpmd.child.output():
                    raise
                self.testpmd.kill()

    def taps(self):
        self.serial += 1
        name = f"tap{self.serial % 1000}"
        self.switch.add_port(name, self.random.choice(("tap", "internal")))
        self.switch.vsctl("set", "Interface", name, f"mtu_request={self.random.choice((1400, 2000, 9000))}")
        self.switch.vsctl("del-port", name)

    def bridges(self):
        self.switch.add_bridge("br7")
        self.switch.add_port("w1", "dpdkvhostuser", bridge="br7")
        with FrontEnd(self.switch.path("w1")) as guest:
            guest.start()
            guest.transmit(udp_frame(src_port=8))
            # the port moves to the other bridge under its guest
            self.switch.vsctl("del-port", "br7", "w1", "--", "add-port", "br0", "w1", "--", "set", "Interface", "w1", "type=dpdkvhostuser")
        self.switch.vsctl("del-br", "br7", "--", "del-port", "w1")

    def sources(self):
        """The captures' ports, closed and opened; with another MTU, with more queues."""
        index = self.random.randrange(2)
        self.switch.vsctl("del-port", f"s{index}")
        self.switch.add_pcap_source(f"s{index}", 10 + index, f"{self.folder}/in{index}.pcap")
        self.switch.vsctl("set", "Interface", f"n{index}", f"mtu_request={self.random.choice((1500, 3000))}")

    def threads(self):
        self.switch.set_other_config({"pmd-cpu-mask": "0x3"})
        self.pairs[0].talk(10)
        self.switch.set_other_config({"pmd-cpu-mask": "0x2"})

    def looks(self):
        for words in (("dpif-netdev/pmd-perf-show",), ("dpctl/dump-flows",), ("fdb/show", "br0"), ("memory/show",), ("coverage/show",)):
            self.switch.appctl(*words)
        self.switch.apusctl("port", "show", "a1")

    def step(self):
        steps = [self.rules, self.guests_come_and_go, self.guests_that_lie, self.testpmd_comes_and_dies, self.taps, self.bridges, self.sources,
                 self.threads, self.looks]
        chosen = self.random.choice(steps)
        self.latest = chosen.__name__
        chosen()
        self.counts[chosen.__name__] = self.counts.get(chosen.__name__, 0) + 1
        for pair in self.pairs:
            pair.talk()

    # What is looked at

    def quiet(self):
        """Takes the load away, and waits until counters stand still."""
        if self.testpmd:
            self.testpmd.kill()
            self.testpmd = None
            self.switch.wait_link("t1", up=False, seconds=PATIENCE)
        for index in (0, 1):
            self.switch.vsctl("--if-exists", "del-port", f"s{index}")
        last = [None]

        def still():
            now = str(self.switch.port_stats())
            same, last[0] = now == last[0], now
            return same
        wait_until(still, PATIENCE, "counters stand still", interval=0.5)

    def buffers(self):
        """Buffers of the pools that are out, by the field's own command: (out, of)."""
        text = self.switch.appctl("netdev-dpdk/get-mempool-info")
        sizes = [int(value) for value in re.findall(r"^\s+size=(\d+)", text, re.M)]
        free = [int(a) + int(b) for a, b in zip(re.findall(r"total_cache_count=(\d+)", text), re.findall(r"common_pool_count=(\d+)", text))]
        return [size - left for size, left in zip(sizes, free)]

    def state(self):
        pid = self.switch.daemon.pid
        with open(f"/proc/{pid}/status") as status:
            lines = dict(line.split(":", 1) for line in status)
        # DPDK's pages have a descriptor each; pools come at need, and stay
        files = []
        for name in os.listdir(f"/proc/{pid}/fd"):
            # the guard may close one meanwhile
            with contextlib.suppress(FileNotFoundError):
                files.append(os.readlink(f"/proc/{pid}/fd/{name}"))
        return {"descriptors": sum("memfd:seg_" not in file for file in files), "threads": int(lines["Threads"]), "memory": int(lines["RssAnon"].split()[0]),
                "buffers": self.buffers(), "sockets": len(os.listdir(self.switch.directory))}

    def balance(self):
        """Of a load of known size: (received, sent, dropped) over all ports."""
        count = 100000
        write_pcap(f"{self.folder}/last.pcap", [udp_frame(src_port=1 + n % 1500, dst_port=1 + n % 5) for n in range(count)])
        self.switch.ofctl("del-flows", "udp")
        self.switch.ofctl("add-flow", "priority=10,in_port=10,actions=output:20")
        before = self.switch.port_stats()
        self.switch.add_pcap_source("last", 10, f"{self.folder}/last.pcap", infinite=False)

        def now():
            stats = self.switch.port_stats()
            return (stats["10"]["rx_packets"], stats["20"]["tx_packets"] - before["20"]["tx_packets"],
                    stats["10"]["rx_drop"] + stats["20"]["tx_drop"] - before["20"]["tx_drop"])
        wait_until(lambda: now()[0] == count == now()[1] + now()[2], PATIENCE, lambda: f"{count} received = sent + dropped: {now()}")
        self.switch.vsctl("del-port", "last")
        return now

    def stop(self):
        for pair in getattr(self, "pairs", []):
            pair.close()
        if self.testpmd:
            self.testpmd.kill()
        status = self.switch.stop()
        self.switch.remove()
        return status


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--binaries")
    options = parser.parse_args()
    isolate()
    FrontEnd.patience = PATIENCE
    with tempfile.TemporaryDirectory(prefix="so", dir="/tmp") as folder:
        soak = Soak(options.seed, folder, options.binaries)
        problems = []
        try:
            soak.start()
            # Everything has been there once, so that pools, threads and caches are what they will be.
            for step in (soak.rules, soak.guests_come_and_go, soak.guests_that_lie, soak.testpmd_comes_and_dies, soak.taps, soak.bridges,
                         soak.sources, soak.threads, soak.looks):
                step()
            soak.quiet()
            first = soak.state()
            print(f"after one round: {first}", flush=True)
            soak.load()
            begun = told = time.monotonic()
            while time.monotonic() - begun < options.minutes * 60:
                soak.step()
                if time.monotonic() - told > 60:
                    told = time.monotonic()
                    print(f"{(told - begun) / 60:.0f} min: {soak.counts}", flush=True)
            soak.quiet()
            last = soak.state()
            print(f"at the end: {last}\nsteps: {soak.counts}", flush=True)
            for pair in soak.pairs:
                print(f"numbered frames: {pair.sent} sent, {pair.heard} heard, {pair.overtaken} overtaken")
            for key in ("descriptors", "threads", "sockets"):
                if last[key] > first[key]:
                    problems.append(f"{key}: {first[key]} after one round, {last[key]} at the end")
            if last["memory"] > first["memory"] + MEMORY_PLAY:
                problems.append(f"memory: {first['memory']} KiB after one round, {last['memory']} KiB at the end")
            # receive queues that were opened hold their descriptors' buffers; what leaks grows
            if sum(last["buffers"]) > sum(first["buffers"]):
                problems.append(f"buffers out of their pools: {first['buffers']} after one round, {last['buffers']} at the end")
            soak.balance()
            print("a load of known size: received = sent + dropped, to the packet")
        except (HarnessError, OSError, subprocess.TimeoutExpired) as error:
            problems.append(f"{getattr(soak, 'latest', 'start')}: {error}")
        finally:
            alive = soak.switch.daemon is not None and soak.switch.daemon.returncode() is None
            if not alive:
                problems.append(f"the daemon had ended: {soak.switch.log()[-3000:]}")
            status = soak.stop()
        if status != 0:
            problems.append(f"the daemon ended with status {status}")
    for problem in problems:
        print(f"PROBLEM: {problem}")
    print("failed" if problems else "passed")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
