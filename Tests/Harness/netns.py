"""A network namespace joined to the host by a veth pair."""
import os

from .process import run


class Namespace:
    """`device` is the host's end, for the switch; `inside` the other end, in the namespace, with an address."""

    count = 0

    def __init__(self, address=None, mac=None):
        Namespace.count += 1
        tag = f"{os.getpid() % 100000}x{Namespace.count}"
        self.name, self.device, self.inside = f"apt{tag}", f"va{tag}", f"vb{tag}"
        run(["ip", "netns", "add", self.name])
        run(["ip", "link", "add", self.device, "type", "veth", "peer", "name", self.inside, "netns", self.name])
        if mac:
            self.run("ip", "link", "set", self.inside, "address", mac)
        if address:
            self.run("ip", "addr", "add", address, "dev", self.inside)
        self.run("ip", "link", "set", "lo", "up")
        self.run("ip", "link", "set", self.inside, "up")
        run(["ip", "link", "set", self.device, "up"])
        # The kernel leaves checksums to the card; a userspace switch would carry the half-done ones.
        run(["ethtool", "-K", self.inside, "tx", "off"], check=False)
        self.run("ethtool", "-K", self.inside, "tx", "off", check=False)

    def run(self, *words, check=True, timeout=60):
        done = run(["ip", "netns", "exec", self.name, *words], check=check, timeout=timeout)
        return done.stdout if check else done

    def ping(self, target, count=3, interval=0.2):
        """Returns how many of `count` were answered."""
        done = self.run("ping", "-q", "-c", str(count), "-i", str(interval), "-W", "1", "-w", str(int(count * interval) + 2), target, check=False)
        for line in done.stdout.splitlines():
            if " received" in line:
                return int(line.split(",")[1].split()[0])
        return 0

    def remove(self):
        run(["ip", "netns", "del", self.name], check=False)
        run(["ip", "link", "del", self.device], check=False)
