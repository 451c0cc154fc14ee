#!/usr/bin/env bash
# Builds the fuzzers, with the address sanitizer; prints their folder. build.sh NAME...
set -euo pipefail
cd "$(dirname "$0")/../.."
export APUS_FUZZ=1 SWIFT_BACKTRACE=enable=no
for name in "$@"; do
    swift build --product "Fuzz$name" --sanitize fuzzer --sanitize address --scratch-path .build-fuzz >&2
done
echo .build-fuzz/debug
