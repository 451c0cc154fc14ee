"""dpdk-testpmd as a VirtIO guest: a driver that polls, in either role of the vhost-user protocol."""
import os
import re
import tempfile

from .process import Child, ensure_hugepages, wait_until


class Testpmd:
    """One testpmd with one virtio-user device a socket.

    `server=True`: testpmd makes the socket and the switch connects (dpdkvhostuserclient). `mode` is testpmd's forward
    mode: txonly and flowgen send, rxonly counts, io and macswap send back what came. `devices` are virtual devices of other kinds.
    """

    def __init__(self, sockets, mode, folder, server=False, core=1, memory=128, queues=1, arguments=(), macs=(), vdev="", devices=()):
        self.folder = tempfile.mkdtemp(prefix="testpmd-", dir=folder)
        self.sockets, self.mode, self.server, self.core, self.queues = sockets, mode, server, core, queues
        self.memory, self.arguments, self.macs, self.vdev = memory, list(arguments), list(macs), vdev
        self.devices = list(devices)
        self.child = None

    def command(self):
        prefix = os.path.basename(os.path.dirname(self.folder)) + os.path.basename(self.folder)
        words = ["dpdk-testpmd", "--lcores", f"0@{self.core},1@{self.core}", "--no-pci", "--single-file-segments", f"--file-prefix={prefix}",
                 "--no-telemetry", "-m", str(self.memory)]
        for index, path in enumerate(self.sockets):
            device = f"net_virtio_user{index},path={path},queues={self.queues}" + (",server=1" if self.server else "")
            if index < len(self.macs):
                device += f",mac={self.macs[index]}"
            words += ["--vdev", device + self.vdev]
        for device in self.devices:
            words += ["--vdev", device]
        words += ["--", f"--forward-mode={self.mode}", "--stats-period=1", "--total-num-mbufs=8192", "--nb-cores=1", *self.arguments]
        if self.queues > 1:
            words += [f"--rxq={self.queues}", f"--txq={self.queues}"]
        return words

    def start(self):
        ensure_hugepages(self.memory // 2 + 16)
        self.child = Child(self.command(), f"{self.folder}/out", name=f"testpmd {self.mode}")
        return self

    def stop(self):
        if self.child:
            self.child.stop(10)
            self.child = None

    def kill(self):
        if self.child:
            self.child.kill()
            self.child = None

    def ports(self):
        """Statistics of the last report: [{'rx': packets, 'tx': packets, 'rx_pps': ..., 'tx_pps': ...}, ...] by port."""
        latest = {}
        pattern = (r"NIC statistics for port (\d+).*?RX-packets:\s*(\d+).*?TX-packets:\s*(\d+).*?Rx-pps:\s*(\d+).*?Tx-pps:\s*(\d+)")
        for found in re.finditer(pattern, self.child.output(), re.S):
            port, rx, tx, rx_pps, tx_pps = map(int, found.groups())
            latest[port] = {"rx": rx, "tx": tx, "rx_pps": rx_pps, "tx_pps": tx_pps}
        return [latest[port] for port in sorted(latest)]

    def wait_traffic(self, side, packets, seconds=30, port=0):
        """Waits until so many packets were received ('rx') or sent ('tx') by a port of the guest."""
        def reached():
            ports = self.ports()
            return len(ports) > port and ports[port][side] >= packets
        wait_until(reached, seconds, lambda: f"testpmd {self.mode}: {side} >= {packets}; now {self.ports()}\n{self.child.tail(15)}",
                   alive=self.child, interval=0.2)
