#!/usr/bin/env python3
"""Disassembles a release binary and fails if a function of the poll loop counts references or allocates.

    Tests/Hotpath/check.py BINARY

The compiler's @_noLocks proves the same for the stages, but does not see exclusivity checks, nor the loop around the stages.
A function belongs to the poll loop if its mangled name matches one of HOT and none of COLD.
"""
import re
import subprocess
import sys

# Mangled names begin with the module ("8Datapath") and go on with length-prefixed names. Each pattern must match at
# least one function, so that renaming one does not silently end its check.
HOT = {
    "stages": r"8Datapath6StagesO",
    "actions": r"8Datapath7ActionsO",
    "meters": r"8Datapath6MetersO|8Datapath11TokenBucketO|8Datapath10SelectHashO",
    "outcomes": r"8Datapath7OutcomeO",
    "transmission": r"8Datapath8TransmitO",
    "packet edits": r"8Datapath10PacketEditO",
    "flow readers": r"8Datapath10FlowReaderO",
    "bursts": r"8Datapath5BurstO",
    "extraction": r"4Flow0?A?13FlowExtractorO|4Flow0A9ExtractorO",
    "rewriting": r"4Flow14PacketRewriterO",
    "queues": r"6Netdev1[0-9](RxQueueHandle|TxQueueHandle)V|6Netdev13RxQueueHandleV|6Netdev13TxQueueHandleV",
    "kernel queues": r"6Netdev11KernelQueueO",
}
# Accessors that hand out metadata or witnesses are not code of the loop.
COLD = r"(Ma|Mn|Mf|WP|Wl|WL|wCTm|wCP|Mp|MR|Mr|wet|wst|wup|wug|wui|wca|wta|wcp|wxx|woz|ws|vpZMV|fD|fd|vpfi)$"
# With -O much of the above is inlined; these hold it then.
MAY_BE_INLINED = {"actions", "meters", "outcomes", "transmission", "packet edits", "flow readers", "extraction", "rewriting", "queues", "kernel queues"}

BANNED = re.compile(
    r"^(swift_(retain|release|bridgeObjectRetain|bridgeObjectRelease|allocObject|deallocObject|beginAccess|once|slowAlloc|slowDealloc"
    r"|initStackObject|unknownObjectRetain|unknownObjectRelease|getGenericMetadata|getWitnessTable|allocBox|conformsToProtocol"
    r"|dynamicCast|projectBox|weak\w*|unowned\w*)\w*|malloc|calloc|realloc|free|posix_memalign|aligned_alloc"
    r"|pthread_mutex_\w+|pthread_cond_\w+|printf|fprintf)$"
)
FUNCTION = re.compile(r"^([0-9a-f]+) <([^>]+)>:$")
ADDRESS = re.compile(r"^\s*([0-9a-f]+):")
TARGET = re.compile(r"\b(?:call|jmp)q?\s+(?:([0-9a-f]+)|\*0x[0-9a-f]+\(%rip\))\s*(?:#\s*[0-9a-f]+\s*)?<([^>+]+?)(?:@plt|@[A-Z_0-9.]+)?(?:\+0x[0-9a-f]+)?>")


def ends(binary):
    """Where each function ends, by the address where it begins. What follows is a function without a name, and its own."""
    text = subprocess.run(["nm", "--print-size", "--defined-only", binary], capture_output=True, text=True).stdout
    rows = (line.split() for line in text.splitlines())
    return {int(row[0], 16): int(row[0], 16) + int(row[1], 16) for row in rows if len(row) == 4 and int(row[1], 16) > 0}


def main():
    if len(sys.argv) != 2:
        print(__doc__.strip(), file=sys.stderr)
        return 2
    process = subprocess.Popen(["objdump", "-d", "--no-show-raw-insn", sys.argv[1]], stdout=subprocess.PIPE, text=True)
    patterns = {name: re.compile(pattern) for name, pattern in HOT.items()}
    cold = re.compile(COLD)
    seen = {name: 0 for name in HOT}
    instructions = 0
    findings = []
    # Functions without a name count if the poll loop calls them: the places they begin at, and the calls in them that may not be.
    nameless_called = {}
    nameless_findings = []
    limits = ends(sys.argv[1])
    limit = None
    current = None
    for line in process.stdout:
        match = FUNCTION.match(line)
        if match:
            name = match.group(2)
            limit = limits.get(int(match.group(1), 16))
            current = None
            for group, pattern in patterns.items():
                if name.startswith("$s") and pattern.search(name) and not cold.search(name):
                    current = name
                    seen[group] += 1
                    break
            continue
        match = ADDRESS.match(line)
        if match is None:
            continue
        address = int(match.group(1), 16)
        is_nameless = limit is not None and address >= limit
        if current is None and not is_nameless:
            continue
        match = TARGET.search(line)
        if is_nameless:
            if match and BANNED.match(match.group(2)):
                nameless_findings.append((limit, address, match.group(2)))
            continue
        instructions += 1
        if match is None:
            continue
        if BANNED.match(match.group(2)):
            findings.append((current, match.group(2)))
        elif match.group(1):
            nameless_called[int(match.group(1), 16)] = current
    if process.wait() != 0:
        print(f"objdump could not read {sys.argv[1]}", file=sys.stderr)
        return 2
    for start, address, target in nameless_findings:
        # It begins at the last called place before the call, behind the named function that it follows.
        begin = max((place for place in nameless_called if start <= place <= address), default=None)
        if begin is not None:
            findings.append((nameless_called[begin], target))
    failed = False
    for name, target in sorted(set(findings)):
        print(f"{demangle(name)} calls {target}: the poll loop may not", file=sys.stderr)
        failed = True
    for group, count in seen.items():
        if count == 0 and group not in MAY_BE_INLINED:
            print(f"no function of the group '{group}' in {sys.argv[1]}: is it stripped, or was something renamed?", file=sys.stderr)
            failed = True
    if not failed:
        print(f"hot path clean: {sum(seen.values())} functions, {instructions} instructions")
    return 1 if failed else 0


def demangle(name):
    try:
        return subprocess.run(["swift", "demangle", "--compact", name], capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return name


if __name__ == "__main__":
    sys.exit(main())
