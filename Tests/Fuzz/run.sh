#!/usr/bin/env bash
# Runs each fuzzer for so many seconds, the canary first: it must fail. run.sh SECONDS [NAME...]
# New inputs go to .build-fuzz/corpus; an input that fails goes to Tests/Fuzz/Regressions/NAME, to be kept.
set -euo pipefail
cd "$(dirname "$0")/../.."
seconds=${1:-60}
shift || true
names=("$@")
((${#names[@]})) || names=(Packet FlowText JSON OVSDB OpenFlow VhostUser)
binaries=$(Tests/Fuzz/build.sh Canary "${names[@]}")
export SWIFT_BACKTRACE=enable=no ASAN_OPTIONS=detect_leaks=0

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
if "$binaries/FuzzCanary" -max_total_time=60 -artifact_prefix="$work/" "$work" >"$work/log" 2>&1; then
    echo "the canary was not found in a minute: the fuzzers see nothing" >&2
    exit 1
fi
echo "canary: found"
for name in "${names[@]}"; do
    corpus=.build-fuzz/corpus/$name
    failures=Tests/Fuzz/Regressions/$name
    mkdir -p "$corpus" "$failures"
    log=$work/$name.log
    if ! "$binaries/Fuzz$name" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 -artifact_prefix="$failures/" "$corpus" \
        "Tests/Fuzz/Corpus/$name" "$failures" >"$log" 2>&1; then
        tail -30 "$log" >&2
        echo "$name: an input failed; it is in $failures" >&2
        exit 1
    fi
    echo "$name: $(grep -E 'cov:' "$log" | tail -1)"
    grep -q 'cov: [1-9]' "$log" || { echo "$name: no coverage was seen" >&2; exit 1; }
done
