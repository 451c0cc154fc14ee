#!/usr/bin/env python3
"""Holds the package to DESIGN's dependency rule: which target may import which.

The compiler already refuses an import that Package.swift does not declare. This check holds Package.swift itself to the
layers below, and the sources to the two rules that no compiler knows: SwiftNIO stays in the servers and the client,
Foundation stays out.
"""
import json
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]

# A target may import what stands here, and whatever that may import in turn.
LAYERS = {
    "CLinux": [],
    "CDPDK": [],
    "CVhostUser": ["CDPDK"],
    "Base": ["CLinux"],
    "Wire": ["Base"],
    "Flow": ["Wire"],
    "Classifier": ["Flow"],
    "DatapathAPI": ["Flow"],
    "Netdev": ["CDPDK", "CVhostUser", "CLinux", "Wire", "Base"],
    "Datapath": ["DatapathAPI", "Netdev"],
    "OpenFlow": ["Flow"],
    "Pipeline": ["Classifier", "OpenFlow", "DatapathAPI"],
    "OVSDB": ["Base"],
    "Switch": ["Pipeline", "Datapath", "OVSDB"],
    "Management": ["Switch"],
    "Client": ["OVSDB", "OpenFlow"],
    "apusd": ["Management"],
    "apusctl": ["Client"],
    "apus-bench": ["Datapath", "Pipeline", "OVSDB"],
}
NEVER = {"Pipeline": "Datapath", "Datapath": "OpenFlow", "OVSDB": "OpenFlow"}
NIO_ALLOWED = {"Management", "Client"}
IMPORT = re.compile(r"^\s*(?:@\w+(?:\([^)]*\))?\s+)*(?:public |package |internal |fileprivate |private )?import (?:\w+ )?([A-Za-z_]\w*)", re.M)


def closure(name):
    seen, queue = set(), list(LAYERS[name])
    while queue:
        layer = queue.pop()
        if layer not in seen:
            seen.add(layer)
            queue += LAYERS[layer]
    return seen


def declared_targets():
    dump = subprocess.run(["swift", "package", "dump-package"], cwd=ROOT, capture_output=True, text=True)
    if dump.returncode:
        sys.exit(f"swift package dump-package: {dump.stderr.strip()[-400:]}")
    for target in json.loads(dump.stdout)["targets"]:
        names = [(kind.get("byName") or kind.get("target") or kind.get("product"))[0] for kind in target["dependencies"]]
        yield target["name"], target["type"], names


def main():
    faults = []
    for name, kind, dependencies in declared_targets():
        if kind == "test" or name == "TestSupport" or name.lower().startswith("fuzz"):
            continue
        if name not in LAYERS:
            faults.append(f"Package.swift: target {name} has no place in the layers of Tests/Harness/dependency_rule.py")
            continue
        allowed = closure(name)
        for dependency in dependencies:
            if dependency in LAYERS and dependency not in allowed:
                faults.append(f"Package.swift: {name} may not depend on {dependency}; it may on {', '.join(sorted(allowed)) or 'nothing'}")
            if dependency.startswith("NIO") and name not in NIO_ALLOWED:
                faults.append(f"Package.swift: {name} may not depend on {dependency}; SwiftNIO belongs to {' and '.join(sorted(NIO_ALLOWED))}")
        if NEVER.get(name) in dependencies:
            faults.append(f"Package.swift: {name} must never depend on {NEVER[name]}")
    for source in sorted((ROOT / "Sources").rglob("*.swift")):
        target = source.relative_to(ROOT / "Sources").parts[0]
        for module in IMPORT.findall(source.read_text()):
            where = source.relative_to(ROOT)
            if module == "Foundation":
                faults.append(f"{where}: imports Foundation; use Glibc, Synchronization or the house's own")
            if module.startswith("NIO") and target not in NIO_ALLOWED:
                faults.append(f"{where}: imports {module}; SwiftNIO belongs to {' and '.join(sorted(NIO_ALLOWED))}")
            if module in LAYERS and target in LAYERS and module != target and module not in closure(target):
                faults.append(f"{where}: {target} may not import {module}")
    for fault in faults:
        print(fault, file=sys.stderr)
    if faults:
        sys.exit(1)
    print("dependency rule: held")


if __name__ == "__main__":
    main()
