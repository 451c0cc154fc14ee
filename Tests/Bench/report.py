"""What the benchmarks share: their arguments, and how runs are shown, summed up and kept."""
import argparse
import json
import os
import pathlib
import statistics
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]


class Arguments(argparse.ArgumentParser):
    """The arguments of a benchmark beside another switch: `--switches`, `--bin`, `--json`, and which of `names` to run."""

    def __init__(self, description, names, switches="apus,ovs", known=("apus", "ovs"), what="workload"):
        super().__init__(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
        self.names, self.known, self.what = list(names), known, what
        self.add_argument("--switches", default=switches, help=f"which of {', '.join(known)} (default: {switches})")
        self.add_argument("--bin", default=None, help="folder of apusd")
        self.add_argument("--json", default=None, help="where to write all runs")
        self.add_argument(what, nargs="*", help=", ".join(self.names))

    def parse(self, further=()):
        """The arguments: `switches` and `names` are lists (no name: an empty one); `further` names are known, but not shown."""
        arguments = self.parse_args()
        arguments.switches = arguments.switches.split(",")
        arguments.names = getattr(arguments, self.what)
        for word in arguments.switches:
            if word not in self.known:
                self.error(f"no switch {word!r}; there are {', '.join(self.known)}")
        for word in arguments.names:
            if word not in self.names and word not in further:
                self.error(f"no {self.what} {word!r}; there are {', '.join([*self.names, *further])}")
        if arguments.bin:
            arguments.bin = os.path.abspath(arguments.bin)
        return arguments


def warn_if_busy():
    if os.getloadavg()[0] > 0.5:
        print(f"the machine is not idle (load {os.getloadavg()[0]:.1f}): what follows is worth little", file=sys.stderr)


def order(pair, switches):
    """The order in which a pair's switches run: it turns with each pair."""
    return [kind for kind in (("ovs", "apus") if pair % 2 else ("apus", "ovs")) if kind in switches]


def show(run):
    """One run, as a line of JSON."""
    print(json.dumps({key: round(value, 4) if isinstance(value, float) else value for key, value in run.items()}), flush=True)


def save(path, content, name=None):
    """Writes all runs; without a path to `.build/bench/NAME-TIME.json`, or nowhere if there is no name either. Returns where."""
    if path is None:
        if name is None:
            return None
        path = ROOT / ".build" / "bench" / time.strftime(f"{name}-%Y%m%d-%H%M%S.json")
    path = pathlib.Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=1) + "\n")
    return path


def median(runs, key):
    values = [run[key] for run in runs if run.get(key) is not None]
    return statistics.median(values) if values else None


def number(value, digits=0):
    return "-" if value is None else f"{value:,.{digits}f}"


def failures(runs):
    return [f"    {run['switch']} failed: {run['failed'].splitlines()[0]}" for run in runs if "failed" in run]
