"""A QEMU guest on a vhost-user port: Linux's own virtio-net driver, obeying the host over a serial port."""
import fcntl
import json
import os
import socket
import tempfile
import time

from . import guest_image
from .process import Child, HarnessError, wait_until

BOOT_SECONDS = 90


class Guest:
    """One virtual machine.

    `sockets` are the vhost-user sockets of its interfaces. With `server=True` QEMU makes the socket and the switch
    connects (dpdkvhostuserclient), else the switch makes it (dpdkvhostuser). `vectors=0` is INTx; under TCG QEMU 7.2
    crashes with MSI-X on vhost-user, so that is the default there. With `incoming`, a path, it does not boot: it waits there for a
    machine that migrates (`migrate_to`). With `iommu` it has one, and its driver gives addresses that only the IOMMU knows.
    """

    def __init__(self, name, sockets, macs, folder, server=False, accelerator=None, vectors=None, memory=192, queues=1, device="",
                 incoming=None, iommu=False):
        self.name, self.sockets, self.macs = name, sockets, macs
        self.folder = tempfile.mkdtemp(prefix=f"{name}-", dir=folder)
        self.server = server
        self.accelerator = accelerator or choose_accelerator()
        self.vectors = vectors if vectors is not None else (None if self.accelerator == "kvm" else 0)
        self.memory, self.queues, self.device = memory, queues, device
        self.incoming, self.iommu = incoming, iommu
        self.child = None
        self.serial = None
        self.number = 0
        self.pending = b""

    def command(self):
        kernel, initramfs = guest_image.build()
        # the check of the timer is against the host's clock, which a busy host does not keep up with: the guest would panic
        extra = " no_timer_check"
        # QEMU 7.2 does not pass the guest's lazy flushes on: whatever back-end then reads what was at an address before
        extra += " intel_iommu=on iommu.strict=1" if self.iommu else ""
        words = ["qemu-system-x86_64", "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot", "-machine", "q35" if self.iommu else "pc",
                 "-m", str(self.memory), "-object", f"memory-backend-memfd,id=mem,size={self.memory}M,share=on", "-numa", "node,memdev=mem",
                 "-kernel", kernel, "-initrd", initramfs, "-append", "console=ttyS0 quiet panic=-1 tsc=reliable mitigations=off" + extra,
                 "-serial", f"file:{self.folder}/console", "-serial", f"unix:{self.folder}/agent,server=on,wait=off",
                 "-qmp", f"unix:{self.folder}/qmp,server=on,wait=off"]
        if self.iommu:
            words += ["-device", "intel-iommu,device-iotlb=on"]
        if self.incoming:
            words += ["-incoming", f"unix:{self.incoming}"]
        words += ["-accel", "kvm", "-cpu", "host"] if self.accelerator == "kvm" else ["-accel", "tcg,thread=multi", "-cpu", "qemu64"]
        for index, (path, mac) in enumerate(zip(self.sockets, self.macs)):
            chardev = f"socket,id=char{index},path={path}" + (",server=on,wait=off" if self.server else ",reconnect=1")
            netdev = f"vhost-user,id=net{index},chardev=char{index}" + (f",queues={self.queues}" if self.queues > 1 else "")
            device = f"virtio-net-pci,netdev=net{index},mac={mac},romfile=" + (",mq=on" if self.queues > 1 else "")
            if self.iommu:
                device += ",disable-legacy=on,iommu_platform=on,ats=on"
            if self.vectors is not None:
                device += f",vectors={self.vectors}"
            words += ["-chardev", chardev, "-netdev", netdev, "-device", device + self.device]
        return words

    def start(self, wait=True):
        self.child = Child(self.command(), f"{self.folder}/qemu.out", name=f"qemu {self.name}")
        # At once: what the guest says before somebody listens is lost.
        path = f"{self.folder}/agent"
        self.serial = wait_until(lambda: _connect(path), 20, f"{self.name}: QEMU's serial socket", alive=self.child, interval=0.01)
        if wait:
            self.wait_ready()
        return self

    def wait_ready(self, seconds=BOOT_SECONDS):
        """Waits until the guest's init obeys."""
        try:
            self._read_until(b"=READY\n", seconds)
        except HarnessError as error:
            raise HarnessError(f"{error}\nconsole of {self.name}:\n{self.console()[-2000:]}\nqemu: {self.child.tail()}") from None
        return self

    def run(self, command, seconds=60, check=True):
        """Runs a shell command in the guest; returns its output, fails on another status than 0. check=False: (status, output)."""
        self.number += 1
        self.serial.settimeout(5)
        self.serial.sendall(f"{self.number} {command}\n".encode())
        self._read_until(f"=BEGIN {self.number}\n".encode(), seconds)
        mark = f"=END {self.number} ".encode()
        output = self._read_until(mark, seconds)
        status = int(self._read_until(b"\n", seconds))
        text = output.decode(errors="replace")
        if check and status:
            raise HarnessError(f"{self.name}: {command}\n  status {status}: {text.strip()[-600:]}")
        return text if check else (status, text)

    def _read_until(self, mark, seconds):
        deadline = time.monotonic() + seconds
        while mark not in self.pending:
            if self.child.returncode() is not None:
                raise HarnessError(f"{self.name}: QEMU ended with status {self.child.returncode()}: {self.child.tail()}")
            if time.monotonic() > deadline:
                raise HarnessError(f"{self.name}: no {mark!r} from the guest within {seconds} s; last: {self.pending[-300:]!r}")
            self.serial.settimeout(0.5)
            try:
                data = self.serial.recv(65536)
            except TimeoutError:
                continue
            except ConnectionResetError:
                # QEMU went with bytes of ours unread: the same end as a closed port
                data = b""
            if not data:
                raise HarnessError(f"{self.name}: the guest's serial port was closed: {self.child.tail()}")
            self.pending += data
        before, _, self.pending = self.pending.partition(mark)
        return before

    def console(self):
        try:
            with open(f"{self.folder}/console", errors="replace") as console:
                return console.read()
        except OSError:
            return ""

    # What tests ask of a guest

    def address(self, address, device="eth0", mtu=None):
        """Brings an interface up with an address such as 10.0.0.1/24."""
        setting = f"ip link set {device} mtu {mtu}; " if mtu else ""
        self.run(f"{setting}ip addr add {address} dev {device}; ip link set {device} up")

    def ping(self, target, count=3, interval=0.2, size=56, deadline=None):
        """Pings; returns how many of `count` were answered."""
        deadline = deadline or int(count * interval + 3)
        status, text = self.run(f"ping -q -c {count} -i {interval} -s {size} -W 1 -w {deadline} {target}", check=False)
        for line in text.splitlines():
            if "packets received" in line:
                return int(line.split(",")[1].split()[0])
        raise HarnessError(f"{self.name}: ping {target}: {text.strip()[-300:]}")

    def make_file(self, path, kibibytes):
        """A file of random bytes; returns its checksum."""
        self.run(f"dd if=/dev/urandom of={path} bs=1024 count={kibibytes} 2>/dev/null")
        return self.checksum(path)

    def checksum(self, path):
        return self.run(f"md5sum {path}").split()[0]

    def listen(self, port, path):
        """Receives one TCP connection into a file, in the background."""
        # nc takes the end of its standard input for the end of the connection: give it one that never ends.
        self.run(f"rm -f {path} {path}.done; test -p /tmp/never || mkfifo /tmp/never; "
                 f"(nc -l -p {port} <>/tmp/never > {path}; echo done > {path}.done) </dev/null >/dev/null 2>&1 &")
        wait_until(lambda: f":{port} " in self.run("netstat -ltn"), 10, f"{self.name} listens on port {port}")

    def send_file(self, target, port, path, seconds=60):
        self.run(f"nc -w 10 {target} {port} < {path}", seconds=seconds)

    def received(self, path, seconds=30):
        """Waits until the listener has seen the end of its connection; returns the file's checksum."""
        wait_until(lambda: self.run(f"test -e {path}.done", check=False)[0] == 0, seconds, f"{self.name} received {path}")
        return self.checksum(path)

    def qmp(self, *commands):
        """Says commands to QEMU's monitor: a name, or (name, arguments). Returns the last one's answer."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as monitor:
            monitor.settimeout(20)
            monitor.connect(f"{self.folder}/qmp")
            lines = monitor.makefile("rw")
            lines.readline()
            for command in ("qmp_capabilities", *commands):
                name, arguments = command if isinstance(command, tuple) else (command, {})
                lines.write(json.dumps({"execute": name, "arguments": arguments}) + "\n")
                lines.flush()
                answer = json.loads(lines.readline())
                while "event" in answer:
                    answer = json.loads(lines.readline())
                if "error" in answer:
                    raise HarnessError(f"{self.name}: {name}: {answer['error']}")
            return answer["return"]

    def migrate_to(self, other, seconds=60, postcopy=False):
        """Moves the running machine to `other`, which was started with `incoming`; with `postcopy` it runs there before its memory has come.
        Returns what QEMU tells about it."""
        wait_until(lambda: os.path.exists(other.incoming), 20, f"{other.name} waits for a machine", alive=other.child)
        start = [("migrate-set-parameters", {"max-bandwidth": 1 << 32}), ("migrate", {"uri": f"unix:{other.incoming}"})]
        if postcopy:
            capability = ("migrate-set-capabilities", {"capabilities": [{"capability": "postcopy-ram", "state": True}]})
            other.qmp(capability)
            # slow enough for pages to be left
            start = [capability, ("migrate-set-parameters", {"max-bandwidth": 8 << 20}), start[1]]
        self.qmp(*start)
        if postcopy:
            wait_until(lambda: self.qmp("query-migrate").get("status") == "active", 20, "the migration has begun", alive=self.child)
            self.qmp("migrate-start-postcopy", ("migrate-set-parameters", {"max-postcopy-bandwidth": 0}))

        def result():
            info = self.qmp("query-migrate")
            if info.get("status") in ("failed", "cancelled"):
                raise HarnessError(f"{self.name}: migration {info}; {self.child.tail(5)}; {other.child.tail(5)}")
            return info if info.get("status") == "completed" else None
        info = wait_until(result, seconds, lambda: f"{self.name} has migrated: {self.qmp('query-migrate')}", alive=self.child)
        # what is written to its serial port before its state is loaded is lost
        wait_until(lambda: other.qmp("query-status").get("status") == "running", seconds, f"{other.name} runs", alive=other.child)
        other.number, other.pending = self.number, self.pending
        return info

    def stop(self):
        if self.serial:
            self.serial.close()
            self.serial = None
        if self.child:
            self.child.stop(5)
            self.child = None

    def kill(self):
        if self.serial:
            self.serial.close()
            self.serial = None
        if self.child:
            self.child.kill()
            self.child = None


class Host(Guest):
    """A machine with NICs and an IOMMU, and with the switch in it: Apus as a user of real PCI devices.

    `nics`: [(PCI device, MAC, tap device, further properties)]. Each sits behind a PCI Express port of its own, so that it can be
    pulled; its address in the machine is `pci(index)`. The tap devices are made by QEMU, with `queues` queues each.
    """

    RUN = "/tmp/run"

    def __init__(self, name, nics, folder, binaries, queues=1, memory=1024, cores=2):
        super().__init__(name, [], [], folder, accelerator=choose_accelerator(), memory=memory, queues=queues)
        self.nics, self.binaries, self.cores = nics, binaries, cores

    def command(self):
        kernel, initramfs = guest_image.build(self.binaries)
        words = ["qemu-system-x86_64", "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot",
                 "-machine", "q35" + (",kernel-irqchip=split" if self.accelerator == "kvm" else ""), "-m", str(self.memory),
                 "-smp", str(self.cores), "-device", "intel-iommu,intremap=on", "-kernel", kernel, "-initrd", initramfs,
                 "-append", "console=ttyS0 quiet panic=-1 tsc=reliable mitigations=off intel_iommu=on no_timer_check",
                 "-serial", f"file:{self.folder}/console", "-serial", f"unix:{self.folder}/agent,server=on,wait=off",
                 "-qmp", f"unix:{self.folder}/qmp,server=on,wait=off"]
        words += ["-accel", "kvm", "-cpu", "host"] if self.accelerator == "kvm" else ["-accel", "tcg,thread=multi", "-cpu", "max"]
        for index, (kind, mac, tap, properties) in enumerate(self.nics):
            # A virtio device goes by the IOMMU only if it is told to.
            special = ",disable-legacy=on,iommu_platform=on,mq=on,vectors=8" if kind.startswith("virtio") else ""
            queues = f",queues={self.queues}" if self.queues > 1 and special else ""
            words += ["-device", f"pcie-root-port,id=slot{index},chassis={index + 1},slot={index + 1}",
                      "-netdev", f"tap,id=net{index},ifname={tap},script=no,downscript=no{queues}",
                      "-device", f"{kind},id=nic{index},bus=slot{index},netdev=net{index},mac={mac},romfile={special}{properties}"]
        return words

    def wait_ready(self, seconds=2 * BOOT_SECONDS):
        super().wait_ready(seconds)
        self.run("echo 160 > /proc/sys/vm/nr_hugepages; mkdir -p /dev/hugepages; mount -t hugetlbfs hugetlbfs /dev/hugepages")
        for index in range(len(self.nics)):
            self.bind(self.pci(index))
        return self

    @staticmethod
    def pci(index):
        # buses are numbered in the order of the ports they are behind
        return f"0000:{index + 1:02x}:00.0"

    def bind(self, address, driver="vfio-pci"):
        """Takes a device from the kernel's driver, if it has one, and gives it to another."""
        device = f"/sys/bus/pci/devices/{address}"
        self.run(f"test ! -e {device}/driver || echo {address} > {device}/driver/unbind; echo {driver} > {device}/driver_override; "
                 f"echo {address} > /sys/bus/pci/drivers_probe; test -e {device}/driver")

    def start_switch(self, log_level="info"):
        self.run(f"mkdir -p {self.RUN}; (OVS_RUNDIR={self.RUN} apusd --rundir {self.RUN} --log-level {log_level} </dev/null >/tmp/log 2>&1; "
                 "echo $? > /tmp/status) >/dev/null 2>&1 &")
        wait_until(lambda: self.run(f"test -S {self.RUN}/db.sock", check=False)[0] == 0, 60, lambda: f"{self.name}: apusd: {self.log()}")
        return self

    def log(self):
        return self.run("cat /tmp/log", check=False)[1]

    def vsctl(self, words, check=True, seconds=60):
        return self.run(f"ovs-vsctl --timeout={seconds} --db=unix:{self.RUN}/db.sock {words}", check=check, seconds=seconds + 10)

    def ofctl(self, words, **options):
        return self.run(f"OVS_RUNDIR={self.RUN} ovs-ofctl {words}", **options)

    def appctl(self, words, **options):
        return self.run(f"ovs-appctl -t {self.RUN}/apusd.$(cat {self.RUN}/apusd.pid).ctl {words}", **options)

    def column(self, port, column):
        """A column of an Interface as ovs-vsctl prints it; of a map, `statistics:rx_packets`, one value."""
        return self.vsctl(f"--if-exists get Interface {port} {column}").strip().strip('"')


def _connect(path):
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        connection.connect(path)
        return connection
    except OSError:
        connection.close()
        return None


def choose_accelerator():
    """'kvm' if a guest boots with it here, else 'tcg'. Tried once a boot of this machine, then remembered."""
    if os.environ.get("GUEST_ACCELERATOR"):
        return os.environ["GUEST_ACCELERATOR"]
    with open("/proc/sys/kernel/random/boot_id") as file:
        boot = file.read().strip()
    os.makedirs(guest_image.FOLDER, exist_ok=True)
    answer = os.path.join(guest_image.FOLDER, f"accelerator-{boot}")
    with open(os.path.join(guest_image.FOLDER, "accelerator.lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not os.path.exists(answer):
            works = os.access("/dev/kvm", os.R_OK | os.W_OK) and _boots_with_kvm()
            with open(answer, "w") as out:
                out.write("kvm" if works else "tcg")
        with open(answer) as file:
            return file.read()


def _boots_with_kvm():
    with tempfile.TemporaryDirectory() as folder:
        guest = Guest("probe", [], [], folder, accelerator="kvm")
        try:
            guest.start(wait=False).wait_ready(10)
            return True
        except (HarnessError, OSError):
            # where QEMU aborts, it depends on the moment which end is seen
            return False
        finally:
            guest.kill()
