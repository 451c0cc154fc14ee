#!/usr/bin/env bash
# Replays the corpus and every input that once failed. regress.sh [NAME...]
set -euo pipefail
cd "$(dirname "$0")/../.."
names=("$@")
((${#names[@]})) || names=(Packet FlowText JSON OVSDB OpenFlow VhostUser)
binaries=$(Tests/Fuzz/build.sh "${names[@]}")
export SWIFT_BACKTRACE=enable=no ASAN_OPTIONS=detect_leaks=0
for name in "${names[@]}"; do
    mapfile -t inputs < <(find "Tests/Fuzz/Corpus/$name" "Tests/Fuzz/Regressions/$name" -type f 2>/dev/null | sort)
    "$binaries/Fuzz$name" -timeout=10 "${inputs[@]}" >/dev/null 2>.build-fuzz/regress.log || { tail -30 .build-fuzz/regress.log >&2; exit 1; }
    echo "$name: ${#inputs[@]} inputs pass"
done
