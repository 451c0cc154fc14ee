#!/usr/bin/env bash
# Starts the switch in the foreground, gives it a bridge and two vhost-user ports, says how to attach a VM.
# run.sh BINARIES RUNDIR. Ctrl-C stops all of it.
set -euo pipefail

binaries=$1
rundir=$2
mkdir -p "$rundir"

"$binaries/apusd" --rundir "$rundir" &
daemon=$!
trap 'kill -TERM $daemon 2>/dev/null || true' INT TERM EXIT

for _ in $(seq 100); do
    [[ -S $rundir/db.sock ]] && break
    kill -0 $daemon 2>/dev/null || { wait $daemon; exit $?; }
    sleep 0.1
done
"$(dirname "$0")/configure.sh" "$binaries" "$rundir"

status=0
wait $daemon || status=$?
# A signal interrupts the first wait: the trap has passed it on, now the daemon's own status counts.
if kill -0 $daemon 2>/dev/null; then
    status=0
    wait $daemon || status=$?
fi
exit $status
