"""Measures the aggregator on each server and prints a table.

    python -m tests.benchmarks.server [--rounds 3] [--seconds 5] [--connections 32] [--only NAME ...]

One GET makes two calls of the upstream at once, and is answered with both values in one JSON object. Each
server has one core (the first); wrk and the upstream share the second. Needs Linux, wrk, node and npm; the
peers are installed under `build/` at the first run.

Ratios are of requests/s, each the median of the rounds, in which the servers take turns. CPU is that of the
server's process in the round that was disturbed least: where other programs share the cores, it tells more.
"""

from __future__ import annotations

import argparse
import sys

from tests.benchmarks.server.measuring import Figures, measured
from tests.benchmarks.server.processes import SERVERS

_REFERENCES = {"Express": "Express + axios", "by hand": "aiohttp by hand", "Fastify": "Fastify + undici"}


def table(figures: dict[str, Figures]) -> str:
    """The figures as a table in Markdown."""
    known = {short: figures[name] for short, name in _REFERENCES.items() if name in figures}
    head = [
        "server",
        "requests/s",
        *(f"/ {short}" for short in known),
        "CPU us each",
        "p50 ms",
        "p99 ms",
        "errors",
    ]
    rows = [head, ["---", *["---:"] * (len(head) - 1)]]
    for name, own in figures.items():
        ratios = [f"{own.rate_to(other):.2f}" for other in known.values()]
        times = [f"{own.least_cpu():.0f}", f"{own.median('p50'):.1f}", f"{own.median('p99'):.1f}"]
        rows.append([name, f"{own.median('rate'):,.0f}", *ratios, *times, str(own.errors)])
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def goals(figures: dict[str, Figures]) -> list[str]:
    """What was aimed at, and what came of it."""
    told = []
    for other, goal in {"Express + axios": 1.9, "aiohttp by hand": 0.85}.items():
        if {"rxorch", other} <= figures.keys():
            reached = figures["rxorch"].rate_to(figures[other])
            verdict = "reached" if reached >= goal else "missed"
            told.append(f"rxorch is {reached:.2f} of {other}; the goal, {goal}, is {verdict}")
    return told


def main() -> int:
    """Runs the command; 1 if a server made errors."""
    names = [server.name for server in SERVERS]
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=5, help="of each round")
    parser.add_argument("--connections", type=int, default=32)
    parser.add_argument("--only", nargs="+", choices=names, default=names, metavar="NAME")
    given = parser.parse_args()
    figures = measured(given.only, rounds=given.rounds, seconds=given.seconds, connections=given.connections)
    print(table(figures))
    print(*goals(figures), sep="\n")
    for name, own in figures.items():
        print(f"{name}: {', '.join(f'{each.rate:,.0f}' for each in own.rounds)} requests/s", file=sys.stderr)
    return 1 if any(own.errors for own in figures.values()) else 0


if __name__ == "__main__":
    raise SystemExit(main())
