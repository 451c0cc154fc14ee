#!/usr/bin/env bash
# Gives a running switch the bridge br0 and the vhost-user ports vhost1 and vhost2, and prints how to attach a VM to them.
# configure.sh BINARIES RUNDIR
set -euo pipefail

binaries=$1
rundir=$2
ctl() { "$binaries/apusctl" --rundir "$rundir" "$@"; }

# What is there from an earlier run stays: the database is durable.
ctl bridge add br0 --may-exist
for port in vhost1 vhost2; do
    ctl port add br0 "$port" --type dpdkvhostuser --may-exist
done
ip link set br0 up 2>/dev/null || true

cat <<TEXT

The switch runs. Bridge br0; its local port is the host's interface br0 (give it an address with: ip addr add 198.18.7.254/24 dev br0).
vhost-user sockets: $rundir/vhost1 $rundir/vhost2
A VM attaches with these QEMU options (vhost2, another id and another MAC address for the second):

  -m 512 -object memory-backend-memfd,id=mem,size=512M,share=on -numa node,memdev=mem \\
  -chardev socket,id=net0,path=$rundir/vhost1 \\
  -netdev vhost-user,id=net0,chardev=net0 \\
  -device virtio-net-pci,netdev=net0,mac=52:54:00:00:00:01

Without KVM (TCG) add ,vectors=0 to the -device: QEMU 7.2 crashes there when the guest turns on MSI-X.
Look at it:  $binaries/apusctl --rundir $rundir show      $binaries/apusctl --rundir $rundir port stats --watch
Ctrl-C stops the switch.
TEXT
