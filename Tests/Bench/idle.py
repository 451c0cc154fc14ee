#!/usr/bin/python3
"""Measures what an idle daemon costs, and how long the first packet after a pause takes.

    idle.py [--bin FOLDER] [--seconds 10] [--rounds 20] [--config KEY=VALUE ...]

A daemon with default settings and one bridge with two guests that say nothing: the share of a core it takes, by the kernel's account of
each thread's time (/proc/PID/task/*/schedstat). Then one guest says something after pauses of several lengths, and the time until the
other has it is taken, between the two writes to shared memory: median, 99th percentile and maximum. The longest sleep
(`pmd-sleep-max`) bounds it, plus the time the kernel needs to wake a thread.

Needs root.
"""
import argparse
import os
import pathlib
import statistics
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from Harness.frontend import FrontEnd  # noqa: E402
from Harness.netns import isolate  # noqa: E402
from Harness.packets import udp_frame  # noqa: E402
from Harness.switch import Switch  # noqa: E402

PAUSES = (0.001, 0.01, 0.1, 0.5)


def thread_times(pid):
    times = {}
    for task in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{task}/comm") as comm, open(f"/proc/{pid}/task/{task}/schedstat") as stat:
            nanoseconds, _, slices = map(int, stat.read().split())
            times[task] = comm.read().strip(), nanoseconds, slices
    return times


def idle(pid, seconds):
    before = thread_times(pid)
    time.sleep(seconds)
    total = 0.0
    print(f"{'thread':<18}{'% of a core':>12}{'runs/s':>9}{'us a run':>10}")
    for task, (name, nanoseconds, slices) in sorted(thread_times(pid).items()):
        if task not in before:
            continue
        spent, runs = nanoseconds - before[task][1], slices - before[task][2]
        total += spent
        if spent > seconds * 1e4:
            print(f"{name:<18}{spent / seconds / 1e7:>12.3f}{runs / seconds:>9.0f}{spent / runs / 1e3:>10.1f}")
    print(f"{'all':<18}{total / seconds / 1e7:>12.3f}\n")


def react(one, two, pause, rounds):
    frame, times = udp_frame(size=100), []
    for _ in range(rounds):
        two.received()
        time.sleep(pause)
        seen = two.used_index(0)
        start = time.perf_counter()
        one.transmit(frame)
        while two.used_index(0) == seen:
            if time.perf_counter() - start > 5:
                sys.exit("a packet did not arrive within 5 s")
        times.append((time.perf_counter() - start) * 1e6)
    times.sort()
    return statistics.median(times), times[min(len(times) - 1, int(len(times) * 0.99))], times[-1]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bin", default=None, help="folder of apusd")
    parser.add_argument("--seconds", type=float, default=10, help="how long the idle daemon is watched")
    parser.add_argument("--rounds", type=int, default=50, help="packets for each length of pause")
    parser.add_argument("--config", action="append", default=[], metavar="KEY=VALUE", help="other_config")
    arguments = parser.parse_args()
    isolate()
    config = dict(setting.split("=", 1) for setting in arguments.config)
    with Switch("apus", binaries=arguments.bin and os.path.abspath(arguments.bin), other_config=config) as switch:
        switch.add_bridge(secure=True)
        for number in (1, 2):
            switch.add_port(f"g{number}", "dpdkvhostuser", ofport=number)
            switch.ofctl("add-flow", f"in_port={number},actions=output:{3 - number}")
        with FrontEnd(switch.path("g1")) as first, FrontEnd(switch.path("g2")) as second:
            one, two = first.start(), second.start()
            switch.wait_link("g1")
            switch.wait_link("g2")
            time.sleep(2)
            idle(switch.daemon.pid, arguments.seconds)
            print(f"{'after a pause of':<18}{'median us':>10}{'99 % us':>10}{'maximum':>10}")
            for pause in PAUSES:
                median, high, worst = react(one, two, pause, arguments.rounds)
                print(f"{pause * 1000:>13.0f} ms  {median:>10.0f}{high:>10.0f}{worst:>10.0f}")


if __name__ == "__main__":
    main()
