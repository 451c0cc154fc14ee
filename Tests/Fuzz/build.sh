#!/usr/bin/env bash
# Builds the fuzzers, with the address sanitizer; prints their folder. build.sh NAME...
set -euo pipefail
cd "$(dirname "$0")/../.."
export APUS_FUZZ=1 SWIFT_BACKTRACE=enable=no
# Of several -sanitize the compiler takes the last, and the package manager gives them in any order: both in one, behind them.
for name in "$@"; do
    swift build --product "Fuzz$name" --sanitize fuzzer --sanitize address -Xswiftc -sanitize=fuzzer,address --scratch-path .build-fuzz >&2
done
echo .build-fuzz/debug
