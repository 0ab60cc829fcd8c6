"""The whole demo: the tour of the modes, the stream of orders, the verdict."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any, TextIO

from rxorch.blocking import run_blocking
from rxorch.demo.orders import stream_orders
from rxorch.demo.progress import Progress
from rxorch.demo.report import OrdersReport
from rxorch.demo.shop import ShopError
from rxorch.demo.summary import orders_lines, tour_lines, verdict
from rxorch.demo.tour import TourReport, take_tour
from rxorch.terminal.boards import board_for
from rxorch.terminal.ink import Ink, count
from rxorch_operators._seconds import seconds_words

__all__ = ["INTERRUPTED", "run_demo", "write"]

CAP = 50
"""Orders in flight at the same time."""

INTERRUPTED = 130
"""Exit code after Ctrl-C: 128 plus the number of SIGINT."""


def run_demo(orders: int = 2000, seed: int = 7, *, as_json: bool = False, page: Path | None = None) -> int:
    """Run the demo and return the exit code.

    Args:
        orders: to send in the second part.
        seed: of the random orders and of the faults; the same number gives the same ones.
        as_json: one JSON document on standard output, everything for people on standard error.
        page: file for a page about the orders.

    Returns:
        0 if every invariant holds, 1 if not or if the shop cannot start, 130 after Ctrl-C.
    """
    stream = sys.stderr if as_json else sys.stdout
    progress = Progress(orders, CAP)
    try:
        tour, report = run_blocking(lambda: _run(progress, seed, stream, page))
    except KeyboardInterrupt:
        print(f"stopped after {count(progress.done)} of {count(orders)} orders", file=sys.stderr)
        return INTERRUPTED
    except ShopError as error:
        print(f"rxorch demo: {error}", file=sys.stderr)
        return 1
    if as_json:
        print(json.dumps(document(seed, tour, report), indent=2))
    return 0 if all(each.holds for each in (*tour.invariants, *report.invariants)) else 1


async def _run(
    progress: Progress, seed: int, stream: TextIO, page: Path | None
) -> tuple[TourReport, OrdersReport]:
    ink = Ink.of(stream)
    title = ink("rxorch demo", "bold")
    write(stream, [f"{title}  eight real services in another process, with faults (seed {seed})", ""])
    tour = await take_tour(seed)
    write(stream, tour_lines(tour, ink, _columns(stream)))
    heading = f"{count(progress.total)} orders, {CAP} at a time, eight services each"
    write(stream, [ink(heading, "bold")])
    report = await stream_orders(progress, seed, board_for(stream, ink), page)
    rate = report.number / report.seconds if report.seconds else 0
    write(stream, [f"done in {seconds_words(report.seconds)}, {rate:.0f} orders/s", ""])
    write(stream, [*orders_lines(report, ink), *verdict(tour, report, ink)])
    return tour, report


def document(seed: int, tour: TourReport, report: OrdersReport) -> dict[str, Any]:
    """Everything that was found, as plain data."""
    return {
        "seed": seed,
        "ok": all(each.holds for each in (*tour.invariants, *report.invariants)),
        "tour": [
            {
                "mode": visit.mode,
                "ms": round(visit.seconds * 1000, 1),
                "requests": {"client": visit.sent, "services": visit.counted},
                "endpoints": [row.as_json() for row in visit.rows],
            }
            for visit in tour.visits
        ],
        "orders": report.as_json(),
        "invariants": [each.as_json() for each in (*tour.invariants, *report.invariants)],
    }


def _columns(stream: TextIO) -> int:
    """The width of the terminal; what goes elsewhere is written for 120 columns."""
    return shutil.get_terminal_size().columns if stream.isatty() else 120


def write(stream: TextIO, lines: Iterable[str]) -> None:
    """Print lines, at once."""
    for line in lines:
        print(line, file=stream)
    stream.flush()
