"""The guest's kernel and initramfs: Debian's cloud kernel, busybox and an init that obeys a serial port.

The image is made once and kept under .build/guest; it is made again when the kernel, busybox or this file changes. There is a
second one with a switch in it: the daemon, the field's clients, the libraries all of them need, and DPDK's drivers.
"""
import fcntl
import glob
import hashlib
import os
import re
import shutil
import subprocess
import tempfile

from .process import HarnessError, run

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
FOLDER = os.path.join(ROOT, ".build", "guest")

# Loaded in this order; the kernel has none of them built in.
MODULES = ["virtio_ring", "virtio", "virtio_pci_legacy_dev", "virtio_pci_modern_dev", "virtio_pci", "failover", "net_failover", "virtio_net"]

# A switch in a guest: what gives a NIC to a process, and the drivers of the NICs and devices it may be given.
SWITCH_MODULES = ["irqbypass", "vfio_virqfd", "vfio", "vfio_iommu_type1", "vfio-pci-core", "vfio-pci", "tun"]
SWITCH_DRIVERS = ["bus_pci", "bus_vdev", "mempool_ring", "net_e1000", "net_vmxnet3", "net_virtio", "net_null", "net_ring"]
CLIENTS = ["ovs-vsctl", "ovs-ofctl", "ovs-appctl"]

# The agent's protocol, on the second serial port. The host writes one line: a number, a space, a shell command. The guest
# runs it and answers with the line "=BEGIN number", the output, and the line "=END number status".
# The agent is not process 1: that inherits orphans, and the shell's read loses its line when a child's end interrupts it.
INIT = """#!/bin/busybox sh
if [ "$1" = agent ]; then
    exec 3<>/dev/ttyS1
    echo "=READY" >&3
    while IFS= read -r line <&3; do
        number=${line%% *}
        command=${line#* }
        echo "=BEGIN $number" >&3
        sh -c "$command" </dev/null >&3 2>&1
        echo "=END $number $?" >&3
    done
    exit
fi
/bin/busybox chmod 755 /
/bin/busybox mkdir -p /proc /sys /dev /tmp /bin /sbin
/bin/busybox mount -t proc proc /proc
/bin/busybox mount -t sysfs sysfs /sys
/bin/busybox mount -t devtmpfs dev /dev
/bin/busybox mount -t tmpfs tmp /tmp
/bin/busybox --install -s /bin
export PATH=/bin:/sbin HOME=/tmp
echo 1 > /proc/sys/kernel/printk
for module in $(cat /modules/order); do insmod /modules/$module.ko; done
ip link set lo up
stty -F /dev/ttyS1 raw -echo
/init agent &
while :; do wait; sleep 1; done
"""


def kernel():
    """Path of the cloud kernel that dpkg knows (not the running one) and of its modules."""
    packages = run(["dpkg-query", "-W", "-f", "${Package} ${db:Status-Status}\\n", "linux-image-*-cloud-amd64"], check=False).stdout
    versions = re.findall(r"^linux-image-(\S+-cloud-amd64) installed$", packages, re.M)
    for version in sorted(versions, reverse=True):
        if os.path.exists(f"/boot/vmlinuz-{version}") and os.path.isdir(f"/lib/modules/{version}"):
            return f"/boot/vmlinuz-{version}", f"/lib/modules/{version}"
    raise HarnessError("no cloud kernel in /boot: make deps installs linux-image-cloud-amd64")


def build(binaries=None):
    """Makes the initramfs unless it is there; returns (kernel, initramfs). `binaries`: the folder of an apusd to put into it."""
    image, modules = kernel()
    busybox = shutil.which("busybox")
    if not busybox:
        raise HarnessError("no busybox: make deps installs busybox-static")
    with open(__file__, "rb") as source, open(busybox, "rb") as binary:
        key = hashlib.sha256(source.read() + binary.read() + image.encode())
    kind = "initramfs"
    if binaries:
        kind = "switch"
        found = os.stat(f"{binaries}/apusd")
        key.update(f"{found.st_size} {found.st_mtime_ns}".encode())
    target = os.path.join(FOLDER, f"{kind}-{key.hexdigest()[:16]}")
    os.makedirs(FOLDER, exist_ok=True)
    with open(os.path.join(FOLDER, "lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not os.path.exists(target):
            for old in glob.glob(os.path.join(FOLDER, f"{kind}-*")):
                os.unlink(old)
            _pack(busybox, modules, target, binaries)
    return image, target


def _pack(busybox, modules, target, binaries):
    with tempfile.TemporaryDirectory(dir=FOLDER) as root:
        os.makedirs(f"{root}/bin")
        os.makedirs(f"{root}/modules")
        shutil.copy(busybox, f"{root}/bin/busybox")
        with open(f"{root}/init", "w") as init:
            init.write(INIT)
        os.chmod(f"{root}/init", 0o755)
        names = MODULES + (SWITCH_MODULES if binaries else [])
        with open(f"{root}/modules/order", "w") as order:
            order.write("\n".join(names) + "\n")
        for module in names:
            found = glob.glob(f"{modules}/kernel/**/{module}.ko", recursive=True)
            if not found:
                raise HarnessError(f"{modules} has no {module}.ko")
            shutil.copy(found[0], f"{root}/modules/{module}.ko")
        if binaries:
            _add_switch(root, binaries)
        names = "\n".join(sorted(os.path.relpath(os.path.join(folder, name), root)
                                 for folder, folders, files in os.walk(root) for name in folders + files))
        with open(target + ".new", "wb") as out:
            archive = subprocess.run(["cpio", "--quiet", "-o", "-H", "newc", "--owner=+0:+0"], cwd=root, input=names.encode(),
                                     stdout=subprocess.PIPE, check=True).stdout
            # The big one is not packed: an emulated processor takes longer to unpack it than to copy it.
            out.write(archive if binaries else subprocess.run(["gzip", "-1"], input=archive, stdout=subprocess.PIPE, check=True).stdout)
        os.rename(target + ".new", target)


def _add_switch(root, binaries):
    """The daemon and the clients in /bin, libraries and drivers where they are on the host."""
    for name in ("lib", "lib64"):
        # as on the host, where both spellings are one folder
        os.makedirs(f"{root}/usr/{name}")
        os.symlink(f"usr/{name}", f"{root}/{name}")
    os.makedirs(f"{root}/run")
    os.makedirs(f"{root}/var")
    os.symlink("../run", f"{root}/var/run")
    subprocess.run(["strip", "-o", f"{root}/bin/apusd", f"{binaries}/apusd"], check=True)
    wanted = [f"{binaries}/apusd"]
    for name in CLIENTS:
        path = shutil.which(name)
        if not path:
            raise HarnessError(f"no {name}: make deps installs openvswitch-common and openvswitch-switch")
        shutil.copy(path, f"{root}/bin/{name}")
        wanted.append(path)
    for name in SWITCH_DRIVERS:
        found = glob.glob(f"/usr/lib/*/dpdk/pmds-*/librte_{name}.so*")
        if not found:
            raise HarnessError(f"DPDK's driver librte_{name}.so is not installed: make deps installs dpdk")
        wanted += found
        for path in found:
            _copy_library(path, root)
    for path in wanted:
        for library in re.findall(r"(/\S+) \(0x", run(["ldd", path]).stdout):
            _copy_library(library, root)


def _copy_library(path, root):
    """A library under all of its names: links stay links, or it would be loaded once a name."""
    while True:
        folder, name = os.path.split(path)
        folder = os.path.realpath(folder)
        target = f"{root}{folder}/{name}"
        os.makedirs(os.path.dirname(target), exist_ok=True)
        if os.path.lexists(target):
            return
        if not os.path.islink(path):
            shutil.copy(path, target)
            return
        os.symlink(os.readlink(path), target)
        path = os.path.join(folder, os.readlink(path))
