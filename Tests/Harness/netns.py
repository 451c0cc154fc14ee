"""Network namespaces and veth pairs: what stands for a NIC and for a host behind it."""
import os
import socket
import time

from .process import HarnessError, run


class Namespace:
    """`device` is the host's end, for the switch; `inside` the other end, in the namespace, with an address."""

    count = 0

    def __init__(self, address=None, mac=None, offloads=False):
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
        # The kernel leaves checksums and segmentation to the card; a test that looks at bytes wants whole ones.
        if not offloads:
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


class TapNamespace:
    """A namespace with a tap device in it that QEMU has made: what is behind a machine's NIC."""

    def __init__(self, tap, address):
        self.name, self.tap = f"n{tap}", tap
        run(["ip", "netns", "add", self.name])
        run(["ip", "link", "set", tap, "netns", self.name])
        self.run("ip", "addr", "add", address, "dev", tap)
        self.run("ip", "link", "set", tap, "up")

    run = Namespace.run
    ping = Namespace.ping

    def remove(self):
        run(["ip", "netns", "del", self.name], check=False)


class Cable:
    """A veth pair whose ends both stay on the host: the switch opens `device`, a test sends raw frames into the other end."""

    def __init__(self):
        Namespace.count += 1
        tag = f"{os.getpid() % 100000}x{Namespace.count}"
        self.device, self.end = f"ca{tag}", f"cb{tag}"
        run(["ip", "link", "add", self.device, "type", "veth", "peer", "name", self.end])
        for name in (self.device, self.end):
            # The kernel itself must say nothing on this wire.
            with open(f"/proc/sys/net/ipv6/conf/{name}/disable_ipv6", "w") as setting:
                setting.write("1")
            run(["ip", "link", "set", name, "up", "mtu", "9000", "promisc", "on"])
        self.socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
        self.socket.bind((self.end, 0))

    def send(self, frames):
        # In small portions: the receiver's ring has a few hundred places, and nothing here may be lost.
        for start in range(0, len(frames), 64):
            for frame in frames[start:start + 64]:
                self.socket.send(frame)
            time.sleep(0.005)

    def remove(self):
        self.socket.close()
        run(["ip", "link", "del", self.device], check=False)


def isolate():
    """Moves this process, and whatever it starts, into a network namespace of its own.

    Bridges and taps have the names a test gives them: two runs at once, or a run on a machine that has a br0, must not
    meet, nor may a test meet the machine's own addresses.
    """
    import ctypes
    libc = ctypes.CDLL(None, use_errno=True)
    new_network = 0x40000000  # CLONE_NEWNET
    if libc.unshare(new_network) != 0:
        raise HarnessError(f"unshare: {os.strerror(ctypes.get_errno())}; this needs root")
    run(["ip", "link", "set", "lo", "up"])
