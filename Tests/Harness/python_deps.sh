#!/usr/bin/env bash
# Gives the system tests os-ken, a controller framework of the field, in a Python environment of their own.
#
# usage: python_deps.sh FOLDER PYTHON. Without a network it leaves the reason in FOLDER.missing, and the tests that need
# os-ken are skipped with it.
set -uo pipefail

folder=$1 python=$2
wanted="os-ken==4.2.2"
marker="$folder/.installed"
if [[ -f $marker && $(<"$marker") == "$wanted" ]]; then
    exit 0
fi
echo "installing: $wanted into $folder"
reason=$( { "$python" -m venv "$folder" && "$folder/bin/pip" install --quiet --disable-pip-version-check --retries 1 --timeout 20 "$wanted"; } 2>&1 )
if (($? == 0)); then
    echo "$wanted" >"$marker"
    rm -f "$folder.missing"
else
    echo "$wanted could not be installed by pip: $(tail -1 <<<"$reason")" | tee "$folder.missing" >&2
fi
exit 0
