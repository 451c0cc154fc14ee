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
COLD = r"(Ma|Mn|Mf|WP|Wl|WL|wCTm|Mp|MR|Mr|wet|wst|wup|wug|wui|wca|wta|wcp|wxx|woz|ws|vpZMV|fD|fd|vpfi)$"
# With -O much of the above is inlined; these hold it then.
MAY_BE_INLINED = {"actions", "meters", "outcomes", "transmission", "packet edits", "flow readers", "extraction", "rewriting", "queues", "kernel queues"}

BANNED = re.compile(
    r"^(swift_(retain|release|bridgeObjectRetain|bridgeObjectRelease|allocObject|deallocObject|beginAccess|once|slowAlloc|slowDealloc"
    r"|initStackObject|unknownObjectRetain|unknownObjectRelease|getGenericMetadata|getWitnessTable|allocBox|conformsToProtocol"
    r"|dynamicCast|projectBox|weak\w*|unowned\w*)\w*|malloc|calloc|realloc|free|posix_memalign|aligned_alloc"
    r"|pthread_mutex_\w+|pthread_cond_\w+|printf|fprintf)$"
)
FUNCTION = re.compile(r"^[0-9a-f]+ <([^>]+)>:$")
TARGET = re.compile(r"\b(?:call|jmp)q?\s+(?:[0-9a-f]+|\*0x[0-9a-f]+\(%rip\))\s*(?:#\s*[0-9a-f]+\s*)?<([^>+]+?)(?:@plt|@[A-Z_0-9.]+)?(?:\+0x[0-9a-f]+)?>")


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
    current = None
    for line in process.stdout:
        match = FUNCTION.match(line)
        if match:
            name = match.group(1)
            current = None
            for group, pattern in patterns.items():
                if name.startswith("$s") and pattern.search(name) and not cold.search(name):
                    current = name
                    seen[group] += 1
                    break
            continue
        if current is None:
            continue
        instructions += 1
        match = TARGET.search(line)
        if match and BANNED.match(match.group(1)):
            findings.append((current, match.group(1)))
    if process.wait() != 0:
        print(f"objdump could not read {sys.argv[1]}", file=sys.stderr)
        return 2
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
