#!/usr/bin/env bash
# API pages of every module into .build/docs, from the compiler's symbol graphs.
set -euo pipefail
cd "$(dirname "$0")/../.."

rm -rf .build/docs
mkdir -p .build/docs
swift package dump-symbol-graph --minimum-access-level public --skip-synthesized-members >/dev/null
graphs=$(find .build -type d -name symbolgraph -path '*debug*' | head -1)
modules=$(find Sources -mindepth 1 -maxdepth 1 -type d -printf '%f\n' | grep -vE '^(apus|CLinux)' | sort)
for module in $modules; do
    graph="$graphs/$module.symbols.json"
    [[ -f $graph ]] || continue
    one=$(mktemp -d)
    cp "$graph" "$one/"
    docc convert --fallback-display-name "$module" --fallback-bundle-identifier "apus.$module" --additional-symbol-graph-dir "$one" \
        --transform-for-static-hosting --hosting-base-path "$module" --output-path ".build/docs/$module" >/dev/null
    rm -rf "$one"
    echo ".build/docs/$module"
done
