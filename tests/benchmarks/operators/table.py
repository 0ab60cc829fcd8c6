"""Measures all pairs and prints the tables of docs/performance.md.

.venv/bin/python -m tests.benchmarks.operators.table
.venv/bin/python -m tests.benchmarks.operators.table --only breaker --rounds 5 --microseconds
"""

from __future__ import annotations

import argparse
import gc
import math
import platform
import sys
from collections.abc import Iterable, Iterator, Sequence
from importlib.metadata import version
from typing import Final

from . import ends, peers, shapes, stock
from .measure import Figures, Pair, measure

__all__ = ["ROUNDS", "TABLES", "lines_of", "main", "row_of"]

ROUNDS: Final = 15

TABLES: Final[dict[str, tuple[Pair, ...]]] = {
    "Awaited calls, against libraries": (*peers.RETRIES, *peers.LIMITERS, *peers.BREAKERS, *peers.MAPS),
    "Around a call, against stock RxPY": stock.AROUND_CALLS,
    "On a stream, against stock RxPY": stock.ON_STREAMS,
    "Shapes and ends, against stock RxPY": (
        *shapes.FLAT_MAPS,
        *shapes.BATCHES,
        *shapes.PACED,
        *ends.SOURCES,
        *ends.ENDS,
    ),
    "Between a stock source and a stock subscriber": stock.BETWEEN_STOCK,
    "Awaited calls, against the standard library": peers.STANDARD_LIBRARY,
}
"""What is measured, in the order of the page."""

_LIBRARIES: Final = (
    "reactivex", "aiolimiter", "aiostream", "purgatory", "pybreaker", "pyrate-limiter", "stamina", "tenacity",
)  # fmt: skip


def row_of(pair: Pair, figures: Figures, *, microseconds: bool = False) -> str:
    """One line of a table."""
    cells = [
        f"`{pair.operator}`" + ("" if pair.goal else " *"),
        pair.job,
        pair.peer,
        _ratio(figures.whole),
        _ratio(figures.added),
    ]
    if microseconds:
        cells += [f"{figures.ours:.2f}", f"{figures.theirs:.2f}"]
        cells += [f"{figures.our_part:.2f}", f"{figures.their_part:.2f}"]
    return f"| {' | '.join(cells)} |"


def _ratio(ratio: float) -> str:
    return "-" if math.isnan(ratio) else f"{max(0.0, ratio):.2f}"


def lines_of(
    title: str, measured: Iterable[tuple[Pair, Figures]], *, microseconds: bool = False
) -> Iterator[str]:
    """A table with its heading."""
    columns = ["operator", "job", "against", "whole", "added"]
    if microseconds:
        columns += ["ours, us", "theirs, us", "ours adds", "theirs adds"]
    rule = ["---"] * 3 + ["---:"] * (len(columns) - 3)
    yield from (f"### {title}", "", f"| {' | '.join(columns)} |", f"| {' | '.join(rule)} |")
    for pair, figures in measured:
        yield row_of(pair, figures, microseconds=microseconds)
    yield ""


def main(arguments: Sequence[str] | None = None) -> None:
    """Prints the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--scale", type=float, default=1.0, help="factor on the size of a round")
    parser.add_argument("--only", default="", help="measure only what has this text in it")
    parser.add_argument("--microseconds", action="store_true", help="print these too; they vary by machine")
    options = parser.parse_args(arguments)
    gc.collect()
    gc.freeze()  # what was imported is no garbage, and a collection need not look at it
    for title, pairs in TABLES.items():
        measured = []
        for pair in pairs:
            if options.only.lower() in str(pair).lower():
                print(f"  {pair}", file=sys.stderr)
                measured.append((pair, measure(pair, options.rounds, options.scale)))
        if measured:
            print("\n".join(lines_of(title, measured, microseconds=options.microseconds)), flush=True)
    python = f"{platform.python_implementation()} {platform.python_version()}"
    libraries = ", ".join(f"{name} {version(name)}" for name in _LIBRARIES)
    print(f"{python}, {libraries}; {options.rounds} rounds.")


if __name__ == "__main__":
    main()
