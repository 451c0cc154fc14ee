#!/usr/bin/env python3
"""TCP between two Linux guests, and from a guest to the host: Apus beside OVS-DPDK, by its default and with its userspace TSO.

    Tests/Bench/guests_tcp.py [--rounds 2] [--megabytes 64] [--only apus,ovs,ovs-tso] [--json FILE]

Each switch is started with two guests in QEMU (KVM where it works, else TCG) on dpdkvhostuserclient ports, and is measured in turn, so
many rounds; what counts is the ratio of the best, in the same run. One PMD thread on CPU 1.
"""
import argparse
import json
import os
import pathlib
import socket
import sys
import tempfile
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from Harness.netns import isolate  # noqa: E402
from Harness.process import run, wait_until  # noqa: E402
from Harness.qemu import Guest, choose_accelerator  # noqa: E402
from Harness.switch import Switch  # noqa: E402

SWITCHES = {"apus": ("apus", {}), "ovs": ("ovs", {}), "ovs-tso": ("ovs", {"userspace-tso-enable": "true"})}
HOST, GUESTS = "198.18.12.254", ("198.18.12.1", "198.18.12.2")


def sink(port, done):
    """Takes one connection on the host, and says how many bytes came in how many seconds."""
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((HOST, port))
        listener.listen(1)
        done.append(None)
        with listener.accept()[0] as connection:
            total, begun = 0, time.monotonic()
            while data := connection.recv(1 << 20):
                total += len(data)
            done.append((total, time.monotonic() - begun))


class Site:
    def __init__(self, kind, options, folder):
        self.switch = Switch(kind, other_config={"pmd-cpu-mask": "0x2", **options}).start()
        self.guests = []
        self.switch.add_bridge()
        for index in (0, 1):
            path = f"{folder}/{self.switch.directory[-6:]}{index}"
            self.switch.add_port(f"vm{index}", "dpdkvhostuserclient", ofport=1 + index, vhost_server_path=path)
            self.guests.append(Guest(f"vm{index}", [path], [f"52:54:00:00:12:0{index}"], folder, server=True).start(wait=False))
        for guest, address in zip(self.guests, GUESTS):
            guest.wait_ready().address(f"{address}/24")
        run(["ip", "addr", "add", f"{HOST}/24", "dev", "br0"])
        run(["ip", "link", "set", "br0", "up"])
        wait_until(lambda: self.guests[0].ping(GUESTS[1], 1) and self.guests[0].ping(HOST, 1), 60, "all reach each other", alive=self.switch.daemon)

    def send(self, address, port, megabytes):
        # dd itself writes to the socket, 64 KiB at once: nc would copy a KiB at a time, and an emulated guest would do little else
        self.guests[0].run(f"nc {address} {port} -e dd if=/dev/zero bs=65536 count={16 * megabytes} 2>/dev/null", seconds=300)

    def between_guests(self, megabytes):
        taker = self.guests[1]
        taker.run("rm -f /tmp/done; (nc -l -p 5001 -e dd of=/dev/null bs=65536; touch /tmp/done) </dev/null >/dev/null 2>&1 &")
        wait_until(lambda: ":5001 " in taker.run("netstat -ltn"), 10, "the guest listens")
        begun = time.monotonic()
        self.send(GUESTS[1], 5001, megabytes)
        # the sender ends when the last byte is in its socket; the listener's end is the stream's
        wait_until(lambda: taker.run("test -e /tmp/done", check=False)[0] == 0, 60, "the stream's end", interval=0.02)
        return megabytes * 8 * 1.048576 / (time.monotonic() - begun)

    def to_host(self, megabytes):
        done = []
        thread = threading.Thread(target=sink, args=(5002, done))
        thread.start()
        wait_until(lambda: done, 5, "the host listens", interval=0.01)
        self.send(HOST, 5002, megabytes)
        thread.join(60)
        total, seconds = done[1]
        return total * 8 / 1e6 / seconds

    def stop(self):
        for guest in self.guests:
            guest.stop()
        run(["ip", "addr", "del", f"{HOST}/24", "dev", "br0"], check=False)
        self.switch.stop()
        self.switch.remove()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--megabytes", type=int, default=64)
    parser.add_argument("--only", default=",".join(SWITCHES))
    parser.add_argument("--json")
    options = parser.parse_args()
    isolate()
    names = options.only.split(",")
    rates = {name: {"guest to guest": [], "guest to host": []} for name in names}
    print(f"guests by {choose_accelerator()}, {options.megabytes} MiB a stream")
    for number in range(options.rounds):
        for name in names:
            kind, other_config = SWITCHES[name]
            with tempfile.TemporaryDirectory(prefix="gt", dir="/tmp") as folder:
                site = Site(kind, other_config, folder)
                try:
                    rates[name]["guest to guest"].append(site.between_guests(options.megabytes))
                    rates[name]["guest to host"].append(site.to_host(options.megabytes))
                finally:
                    site.stop()
            print(f"round {number + 1}, {name}: " + ", ".join(f"{what} {values[-1]:.0f} Mbit/s" for what, values in rates[name].items()), flush=True)
    result = {}
    for what in ("guest to guest", "guest to host"):
        best = {name: max(rates[name][what]) for name in names}
        base = best.get("ovs")
        result[what] = {"mbits": best, "ratio_to_ovs": {name: value / base for name, value in best.items()} if base else None}
        print(f"{what}: " + ", ".join(f"{name} {value:.0f} Mbit/s" + (f" ({value / base:.2f})" if base else "") for name, value in best.items()))
    if options.json:
        with open(options.json, "w") as out:
            json.dump(result, out, indent=1)
    return 0


if __name__ == "__main__":
    os.environ.setdefault("PYTHONDONTWRITEBYTECODE", "1")
    sys.exit(main())
