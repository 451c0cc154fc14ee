#!/usr/bin/env bash
# Installs the Debian packages named as arguments that are not installed yet. Asks dpkg first, so that a machine
# that has them all pays a tenth of a second and needs neither a network nor root.
set -euo pipefail

missing=()
for package in "$@"; do
    status=$(dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null || true)
    [[ $status == installed ]] || missing+=("$package")
done
if ((${#missing[@]} == 0)); then
    exit 0
fi
echo "installing: ${missing[*]}"
if ((EUID != 0)); then
    echo "this needs root: apt-get install ${missing[*]}" >&2
    exit 1
fi
# RUNLEVEL=1 keeps the packages' own services stopped: the tests start their daemons themselves.
export DEBIAN_FRONTEND=noninteractive RUNLEVEL=1
apt-get update -qq
apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
