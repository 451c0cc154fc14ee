#!/usr/bin/python3
"""Draws what bench.py measured: throughput against flows, masks and rules, as SVG.

    plot.py OUTPUT-FOLDER RESULTS.json ...

Medians over all runs of all files; a curve has the points that were measured. Needs nothing but Python.
"""
import json
import pathlib
import statistics
import sys

import workloads

COLOURS = {"apus": ("Apus", "#c0392b"), "ovs": ("OVS-DPDK, best cache", "#2c3e50")}
WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 560, 320, 60, 20, 40, 50


def rates(paths):
    """Median Mpps by switch and workload; of the reference that with the cache setting that is best for the workload."""
    runs = [run for path in paths for run in json.loads(pathlib.Path(path).read_text())["runs"] if "rx_mpps" in run]
    result = {}
    for switch in COLOURS:
        for name in {run["workload"] for run in runs}:
            by_cache = {}
            for run in runs:
                if (run["switch"], run["workload"]) == (switch, name):
                    by_cache.setdefault(run.get("cache"), []).append(run["rx_mpps"])
            if by_cache:
                result[switch, name] = max(statistics.median(values) for values in by_cache.values())
    return result


def text(x, y, words, anchor="middle", colour="#333", size=12):
    return f'<text x="{x:.0f}" y="{y:.0f}" text-anchor="{anchor}" fill="{colour}" font-size="{size}">{words}</text>'


def draw(title, axis, points, measured):
    """A chart with as many columns as there are values, evenly spaced: they are powers of something anyway."""
    curves = {switch: [(column, measured[switch, name]) for column, (_, name) in enumerate(points) if (switch, name) in measured]
              for switch in COLOURS}
    top = max((rate for curve in curves.values() for _, rate in curve), default=1)
    step = next(step for step in (0.5, 1, 2, 5, 10, 20, 50) if top / step <= 7)
    ceiling = step * (int(top / step) + 1)

    def x(column):
        return LEFT + (WIDTH - LEFT - RIGHT) * (column + 0.5) / len(points)

    def y(rate):
        return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * rate / ceiling

    out = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{HEIGHT}" font-family="sans-serif">',
           f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>', text(WIDTH / 2, 20, title, size=14)]
    rate = 0
    while rate <= ceiling:
        out.append(f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y(rate):.1f}" y2="{y(rate):.1f}" stroke="#ddd"/>')
        out.append(text(LEFT - 6, y(rate) + 4, f"{rate:g}", "end"))
        rate += step
    for column, (value, _) in enumerate(points):
        out.append(text(x(column), HEIGHT - BOTTOM + 18, f"{value:,}"))
    out.append(text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 10, axis))
    out.append(f'<text transform="translate(16 {HEIGHT / 2}) rotate(-90)" text-anchor="middle" fill="#333" font-size="12">Mpps on one core</text>')
    for row, (switch, (name, colour)) in enumerate(COLOURS.items()):
        curve = curves[switch]
        out.append(f'<polyline fill="none" stroke="{colour}" stroke-width="2" points="' + " ".join(f"{x(c):.1f},{y(r):.1f}" for c, r in curve) + '"/>')
        for column, rate in curve:
            out.append(f'<circle cx="{x(column):.1f}" cy="{y(rate):.1f}" r="3" fill="{colour}"/>')
            out.append(text(x(column), y(rate) - 7, f"{rate:.1f}" if rate >= 0.1 else f"{rate:.2f}", colour=colour, size=10))
        out.append(text(WIDTH - RIGHT - 4, TOP + 14 * row, name, "end", colour))
    return "\n".join(out + ["</svg>"]) + "\n"


def main():
    if len(sys.argv) < 3:
        print(__doc__.strip(), file=sys.stderr)
        return 2
    measured = rates(sys.argv[2:])
    for name, (axis, points) in workloads.SWEEPS.items():
        points = [point for point in points if any((switch, point[1]) in measured for switch in COLOURS)]
        if points:
            path = pathlib.Path(sys.argv[1]) / f"throughput-{name}.svg"
            path.write_text(draw(f"64-byte packets against {axis}", axis, points, measured))
            print(path)
    return 0


if __name__ == "__main__":
    sys.exit(main())
