"""The guest's kernel and initramfs: Debian's cloud kernel, busybox and an init that obeys a serial port.

The image is made once and kept under .build/guest; it is made again when the kernel, busybox or this file changes.
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


def build():
    """Makes the initramfs unless it is there; returns (kernel, initramfs)."""
    image, modules = kernel()
    busybox = shutil.which("busybox")
    if not busybox:
        raise HarnessError("no busybox: make deps installs busybox-static")
    with open(__file__, "rb") as source, open(busybox, "rb") as binary:
        key = hashlib.sha256(source.read() + binary.read() + image.encode()).hexdigest()[:16]
    target = os.path.join(FOLDER, f"initramfs-{key}.gz")
    os.makedirs(FOLDER, exist_ok=True)
    with open(os.path.join(FOLDER, "lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not os.path.exists(target):
            for old in glob.glob(os.path.join(FOLDER, "initramfs-*.gz")):
                os.unlink(old)
            _pack(busybox, modules, target)
    return image, target


def _pack(busybox, modules, target):
    with tempfile.TemporaryDirectory(dir=FOLDER) as root:
        os.makedirs(f"{root}/bin")
        os.makedirs(f"{root}/modules")
        shutil.copy(busybox, f"{root}/bin/busybox")
        with open(f"{root}/init", "w") as init:
            init.write(INIT)
        os.chmod(f"{root}/init", 0o755)
        with open(f"{root}/modules/order", "w") as order:
            order.write("\n".join(MODULES) + "\n")
        for module in MODULES:
            found = glob.glob(f"{modules}/kernel/**/{module}.ko", recursive=True)
            if not found:
                raise HarnessError(f"{modules} has no {module}.ko")
            shutil.copy(found[0], f"{root}/modules/{module}.ko")
        names = "\n".join(sorted(os.path.relpath(os.path.join(folder, name), root)
                                 for folder, folders, files in os.walk(root) for name in folders + files))
        archive = subprocess.run(["cpio", "--quiet", "-o", "-H", "newc", "--owner=+0:+0"], cwd=root, input=names.encode(),
                                 capture_output=True, check=True).stdout
        packed = subprocess.run(["gzip", "-1"], input=archive, capture_output=True, check=True).stdout
        with open(target + ".new", "wb") as out:
            out.write(packed)
        os.rename(target + ".new", target)
