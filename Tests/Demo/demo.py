#!/usr/bin/python3
"""The demonstration: two virtual machines talk through the switch, a flow cuts one of them off, the counters tell.

    demo.py [--switch apus|ovs] [--bin FOLDER] [--keep]

Every step is printed with what was seen; the first thing that is not as it should be ends the run with status 1.
`--switch ovs` runs the same steps against Debian's OVS-DPDK, to tell a fault of the demonstration from one of the switch.
"""
import argparse
import json
import os
import pathlib
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from Harness.netns import isolate  # noqa: E402
from Harness.process import HarnessError, wait_until  # noqa: E402
from Harness.qemu import Guest, choose_accelerator  # noqa: E402
from Harness.switch import Switch  # noqa: E402

PORTS = ["vhost1", "vhost2"]
MACS = ["52:54:00:00:00:01", "52:54:00:00:00:02"]
ADDRESSES = ["198.18.7.1", "198.18.7.2"]
CUT = "priority=100,in_port=1,icmp"
TRANSFER_KIBIBYTES = 2048
STARTED = time.monotonic()


def say(text):
    print(f"[{time.monotonic() - STARTED:5.1f} s] {text}", flush=True)


def check(condition, text):
    if not condition:
        raise HarnessError(f"not so: {text}")
    say(f"    {text}")


class Demo:
    def __init__(self, switch):
        self.switch = switch
        self.apus = switch.kind == "apus"
        self.guests = []

    def control(self, *words):
        say("    $ apusctl " + " ".join(f"'{word}'" if " " in word or "," in word else word for word in words))
        return self.switch.apusctl(*words)

    def run(self):
        switch = self.switch
        say(f"1. start the switch ({switch.kind}) on its own run directory {switch.directory}")
        switch.start()
        say("2. a bridge and two vhost-user ports")
        if self.apus:
            self.control("bridge", "add", "br0")
            for port in PORTS:
                self.control("port", "add", "br0", port, "--type", "dpdkvhostuser")
        else:
            switch.add_bridge()
            for port in PORTS:
                switch.add_port(port, "dpdkvhostuser")
        for port in PORTS:
            wait_until(lambda: os.path.exists(switch.path(port)), 10, f"socket {switch.path(port)}", alive=switch.daemon)
            number = switch.interface(port)["ofport"]
            check(number == PORTS.index(port) + 1, f"{port}: socket {switch.path(port)}, OpenFlow port {number}")

        accelerator = choose_accelerator()
        say(f"3. boot two virtual machines ({accelerator})")
        for index, port in enumerate(PORTS):
            self.guests.append(Guest(f"vm{index + 1}", [switch.path(port)], [MACS[index]], switch.directory))
        for guest in self.guests:
            guest.start(wait=False)
        for guest, address in zip(self.guests, ADDRESSES):
            guest.wait_ready()
            guest.address(f"{address}/24")
            driver = os.path.basename(guest.run("readlink /sys/class/net/eth0/device/driver").strip())
            check(driver == "virtio_net", f"{guest.name} is up: Linux {guest.run('uname -r').strip()}, {address}, driver {driver}")
        for port in PORTS:
            switch.wait_link(port)

        first, second = self.guests
        say("4. ping, both ways")
        for guest, target in ((first, ADDRESSES[1]), (second, ADDRESSES[0])):
            wait_until(lambda: guest.ping(target, 1) == 1, 20, f"a first answer from {target}")
            answered = guest.ping(target, 5)
            check(answered == 5, f"{guest.name} pings {target}: {answered} of 5 answered")
        answered = first.ping(ADDRESSES[1], 3, size=1472)
        check(answered == 3, f"vm1 pings {ADDRESSES[1]} with full-sized frames: {answered} of 3 answered")

        say(f"5. TCP, both ways, {TRANSFER_KIBIBYTES} KiB of random bytes")
        for source, sink, target in ((first, second, ADDRESSES[1]), (second, first, ADDRESSES[0])):
            self.transfer(source, sink, target)

        say("6. a flow cuts vm1 -> vm2 for ICMP")
        if self.apus:
            self.control("flow", "add", "br0", f"{CUT},actions=drop")
        else:
            switch.ofctl("add-flow", f"{CUT},actions=drop")
        arrived = [self.echo_requests(guest) for guest in self.guests]
        check(first.ping(ADDRESSES[1], 5) == 0, "vm1 pings vm2: no answer")
        check(second.ping(ADDRESSES[0], 5) == 0, "vm2 pings vm1: no answer either, for the answers go the way that is cut")
        arrived = [self.echo_requests(guest) - before for guest, before in zip(self.guests, arrived)]
        check(arrived[1] == 0, "of vm1's requests none came to vm2")
        check(arrived[0] == 5, f"of vm2's requests {arrived[0]} of 5 came to vm1: the other direction is open")
        self.transfer(first, second, ADDRESSES[1])
        self.counters(dropped=10)

        say("7. the flow is taken away again")
        if self.apus:
            self.control("flow", "del", "br0", "in_port=1,icmp")
        else:
            switch.ofctl("del-flows", "in_port=1,icmp")
        answered = first.ping(ADDRESSES[1], 5)
        check(answered == 5, f"vm1 pings vm2: {answered} of 5 answered")

    def transfer(self, source, sink, target):
        sent = source.make_file("/tmp/sent", TRANSFER_KIBIBYTES)
        sink.listen(5001, "/tmp/got")
        start = time.monotonic()
        source.send_file(target, 5001, "/tmp/sent")
        got = sink.received("/tmp/got")
        rate = TRANSFER_KIBIBYTES * 1024 * 8 / (time.monotonic() - start) / 1e6
        if sent != got:
            raise HarnessError(f"{source.name} -> {sink.name}: sent md5 {sent}, received {got}: {sink.run('ls -l /tmp/got').strip()}")
        check(True, f"{source.name} -> {sink.name}: {TRANSFER_KIBIBYTES} KiB, md5 {got} on both sides, {rate:.0f} Mbit/s")

    def echo_requests(self, guest):
        """How many echo requests the guest's kernel has received."""
        names, values = [line.split() for line in guest.run("grep ^Icmp: /proc/net/snmp").splitlines()]
        return int(values[names.index("InEchos")])

    def counters(self, dropped):
        say("    counters, by the tools")
        switch = self.switch
        if self.apus:
            print(indent(self.control("flow", "dump", "br0")), flush=True)
            print(indent(self.control("port", "stats", "br0")), flush=True)
            print(indent(self.control("datapath", "flows")), flush=True)
            flows = switch.apusctl_json("flow", "dump", "br0")
            text = json.dumps(flows)
            check("icmp" in text.lower() or "drop" in text.lower(), "apusctl --json flow dump is JSON and has the flow")
        else:
            print(indent(switch.ofctl("dump-flows")), flush=True)
        counted = wait_until(lambda: (n := switch.flow_packets("in_port=1,icmp")) >= dropped and n, 10, f"the flow counts {dropped} packets",
                             alive=switch.daemon)
        # The reference credits a new flow with what the flows it replaced in the cache had just counted.
        check(counted == dropped or not self.apus, f"the flow dropped {counted} packets: 5 requests and 5 answers")
        say(f"    counters, by a raw JSON-RPC call on {switch.db_socket}")

        def seen():
            rows = {row["name"]: row["statistics"] for row in switch.rows("Interface", columns=["name", "statistics"])}
            # Debian's build of the reference reports no packet counters for vhost-user ports.
            enough = not self.apus or all(rows.get(port, {}).get("rx_bytes", 0) >= TRANSFER_KIBIBYTES * 1024 for port in PORTS)
            return rows if enough else None
        rows = wait_until(seen, 15, lambda: f"Interface.statistics of both ports; now {switch.rows('Interface', columns=['name', 'statistics'])}",
                          alive=switch.daemon)
        for port in PORTS:
            names = ("rx_packets", "rx_bytes", "tx_packets", "tx_bytes", "rx_dropped", "tx_dropped")
            say(f"    {port}: " + ", ".join(f"{name}={rows[port].get(name, '-')}" for name in names))

    def end(self):
        say("8. tear down")
        for guest in self.guests:
            guest.stop()
        running = self.switch.daemon is not None
        status = self.switch.stop()
        return status if running else None


def indent(text):
    return "\n".join("           " + line for line in text.rstrip().splitlines())


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--switch", choices=["apus", "ovs"], default="apus")
    parser.add_argument("--bin", help="folder of apusd and apusctl")
    parser.add_argument("--keep", action="store_true", help="keep the run directory with its logs")
    arguments = parser.parse_args()
    binaries = os.path.abspath(arguments.bin) if arguments.bin else None
    isolate()
    switch = Switch(arguments.switch, binaries=binaries)
    demo = Demo(switch)
    failure = None
    try:
        demo.run()
    except (HarnessError, OSError) as error:
        failure = str(error)
    except KeyboardInterrupt:
        failure = "interrupted"
    status = demo.end()
    if failure is None and status != 0:
        failure = f"the switch ended with status {status}"
    left = [name for name in PORTS + ["db.sock", "br0.mgmt"] if os.path.exists(switch.path(name))] if arguments.switch == "apus" else []
    if failure is None and left:
        failure = f"the switch left {', '.join(left)} behind"
    if failure:
        print(f"\nFAILED: {failure}\n\nthe switch's log:\n{switch.log()[-3000:]}", file=sys.stderr)
    if not arguments.keep:
        switch.remove()
    if failure:
        sys.exit(1)
    say("done: everything was as it should be, and nothing is left")


if __name__ == "__main__":
    main()
