#!/usr/bin/env python3
"""What a hostile front-end costs the others: the rate of a saturated pair of ports, with each attack and without it, in turn.

    Tests/Bench/hostile.py [--seconds 2] [--rounds 3] [--only WORDS] [--json FILE]

A capture is replayed without end from one port to another by the one PMD thread (CPU 1), which polls the hostile guest's port as well;
the attacks run on CPU 0. The figure is the rate under attack as a part of the rate without, each the median of its rounds.
"""
import argparse
import contextlib
import json
import os
import pathlib
import random
import statistics
import struct
import sys
import tempfile
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from Harness import frontend as fe  # noqa: E402
from Harness.frontend import FrontEnd, PackedFrontEnd, message  # noqa: E402
from Harness.netns import isolate  # noqa: E402
from Harness.packets import udp_frame, write_pcap  # noqa: E402
from Harness.process import HarnessError  # noqa: E402
from Harness.switch import Switch  # noqa: E402

BUFFER = fe.GUEST + 0x200000


def nothing(path, going):
    with FrontEnd(path) as guest:
        guest.start()
        while going():
            time.sleep(0.01)


def connections(path, going):
    while going():
        try:
            with FrontEnd(path) as evil:
                evil.send(message(1))
        except OSError:
            pass


def messages(path, going):
    with FrontEnd(path) as evil:
        evil.negotiate()
        evil.socket.settimeout(0.05)
        while going():
            try:
                evil.send(message(fe.SET_OWNER) * 64)
            except OSError:
                pass


def restarts(path, going):
    while going():
        try:
            with FrontEnd(path) as evil:
                evil.start()
                evil.ask(fe.GET_VRING_BASE, struct.pack("<II", 0, 0))
        except (HarnessError, OSError):
            pass


def lies(kind):
    """A ring full of descriptors that are wrong in every way, changed all the time."""
    def attack(path, going, source=random.Random(3)):
        while going():
            try:
                with kind(path) as evil:
                    evil.start(fe.MRG_RXBUF | fe.INDIRECT)
                    evil.transmit(udp_frame(src_port=5))
                    evil.wait_used(1, 1)
                    until = time.monotonic() + 0.5
                    while going() and time.monotonic() < until:
                        address, length = source.choice([BUFFER, 0, 1 << 50, 2**64 - 1]), source.choice([0, 1, 12, 70, 4096, 0xFFFFFFFF])
                        flags = source.choice([0, fe.DESC_NEXT, fe.DESC_INDIRECT, fe.DESC_WRITE])
                        if kind is PackedFrontEnd:
                            evil.place(1, source.randrange(512), address, length, flags, source.randrange(65536))
                        else:
                            evil.descriptor(1, source.randrange(256), address, length, flags, source.randrange(65536))
                            evil.publish(1, source.randrange(65536), source.choice([1, 200, 60000]))
            except (HarnessError, OSError):
                pass
    return attack


def long_chains(path, going):
    """The dearest thing that is right: rings full of chains of one-byte descriptors."""
    while going():
        try:
            with FrontEnd(path) as evil:
                evil.start()
                for index in range(256):
                    evil.descriptor(1, index, BUFFER, 1, fe.DESC_NEXT if index % 128 != 127 else 0, (index + 1) % 256)
                until = time.monotonic() + 0.5
                while going() and time.monotonic() < until:
                    for _ in range(64):
                        evil.publish(1, 0)
        except (HarnessError, OSError):
            pass


def vanishing_memory(path, going):
    while going():
        try:
            with FrontEnd(path) as evil:
                evil.start()
                for number in range(32):
                    evil.transmit(udp_frame(src_port=3000 + number))
                evil.wait_used(1, 32)
                os.ftruncate(evil.memory, 0)
                evil.is_cut_off(1)
        except (HarnessError, OSError):
            pass


def new_flows(path, going):
    """Valid frames, each of a flow of its own."""
    with FrontEnd(path) as evil:
        evil.start()
        number = 0
        while going():
            if evil.wait_used(1, number):
                for _ in range(64):
                    number += 1
                    evil.transmit(udp_frame(src_port=1 + number % 60000, dst_port=1 + number // 60000, size=64))


ATTACKS = {"connections": connections, "messages": messages, "restarts": restarts, "rings that lie": lies(FrontEnd),
           "packed rings that lie": lies(PackedFrontEnd), "long chains": long_chains, "memory that vanishes": vanishing_memory,
           "new flows": new_flows}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", default="")
    parser.add_argument("--json")
    options = parser.parse_args()
    isolate()
    result = {}
    with tempfile.TemporaryDirectory(prefix="ho", dir="/tmp") as folder:
        switch = Switch("apus", other_config={"pmd-cpu-mask": "0x2"})
        switch.patience = 5
        switch.start()
        try:
            switch.add_bridge(secure=True)
            write_pcap(f"{folder}/in.pcap", [udp_frame(src_port=1 + n % 1000) for n in range(4000)])
            switch.add_null_sink("sink", 2)
            switch.add_port("evil", "dpdkvhostuser", ofport=3)
            switch.ofctl("add-flow", "in_port=1,actions=output:2")
            switch.ofctl("add-flow", "in_port=3,udp,actions=drop")
            switch.add_pcap_source("source", 1, f"{folder}/in.pcap")

            def rate(attack):
                stop = threading.Event()

                def run():
                    # of this thread alone: the PMD thread's CPU is not for it
                    os.sched_setaffinity(0, {0})
                    with contextlib.suppress(HarnessError, OSError):
                        attack(switch.path("evil"), lambda: not stop.is_set())
                thread = threading.Thread(target=run, daemon=True)
                thread.start()
                time.sleep(0.5)
                begun, before = time.monotonic(), switch.port_stats()["2"]["tx_packets"]
                time.sleep(options.seconds)
                packets = switch.port_stats()["2"]["tx_packets"] - before
                seconds = time.monotonic() - begun
                stop.set()
                thread.join(10)
                return packets / seconds

            for name, attack in ATTACKS.items():
                if options.only not in name:
                    continue
                pairs = [(rate(nothing), rate(attack)) for _ in range(options.rounds)]
                part = statistics.median(under for _, under in pairs) / statistics.median(quiet for quiet, _ in pairs)
                result[name] = part
                print(f"{name}: {statistics.median(q for q, _ in pairs) / 1e6:.2f} Mpps without, {part:.1%} of it under attack", flush=True)
            assert switch.daemon.returncode() is None
        finally:
            switch.stop()
            switch.remove()
    if options.json:
        with open(options.json, "w") as out:
            json.dump(result, out, indent=1)
    return 0


if __name__ == "__main__":
    sys.exit(main())
