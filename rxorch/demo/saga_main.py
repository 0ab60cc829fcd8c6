"""The demo of sagas: orders that are completed or undone, whatever goes wrong, and the verdict."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TextIO

from rxorch.blocking import run_blocking
from rxorch.demo.main import INTERRUPTED, write
from rxorch.demo.saga_orders import run_orders
from rxorch.demo.saga_progress import SagaProgress
from rxorch.demo.saga_report import SagaReport, saga_lines
from rxorch.demo.shop import ShopError
from rxorch.terminal.boards import board_for
from rxorch.terminal.ink import Ink, count
from rxorch_operators._seconds import seconds_words

__all__ = ["run_saga_demo"]

CAP = 20
"""Orders under way at the same time."""


def run_saga_demo(
    orders: int = 200, seed: int = 7, *, as_json: bool = False, page: Path | None = None
) -> int:
    """Run the demo of sagas and return the exit code, as `run_demo` does.

    Args:
        orders: to be made.
        seed: of the random orders and of the faults.
        as_json: one JSON document on standard output, everything for people on standard error.
        page: file for a page about the orders.

    Returns:
        0 if every invariant holds, 1 if not or if the shop cannot start, 130 after Ctrl-C.
    """
    stream = sys.stderr if as_json else sys.stdout
    progress = SagaProgress(orders, CAP)
    try:
        report = run_blocking(lambda: _run(progress, seed, stream, page))
    except KeyboardInterrupt:
        print(f"stopped after {count(progress.done)} of {count(orders)} orders", file=sys.stderr)
        return INTERRUPTED
    except ShopError as error:
        print(f"rxorch demo: {error}", file=sys.stderr)
        return 1
    ok = all(each.holds for each in report.invariants)
    if as_json:
        invariants = [each.as_json() for each in report.invariants]
        print(
            json.dumps({"seed": seed, "ok": ok, "saga": report.as_json(), "invariants": invariants}, indent=2)
        )
    return 0 if ok else 1


async def _run(progress: SagaProgress, seed: int, stream: TextIO, page: Path | None) -> SagaReport:
    ink = Ink.of(stream)
    title = ink("rxorch demo --saga", "bold")
    write(stream, [f"{title}  real services in another process, with faults (seed {seed})", ""])
    heading = f"{count(progress.total)} orders, {CAP} at a time: charge, reserve, ship, or nothing of it"
    write(stream, [ink(heading, "bold")])
    report = await run_orders(progress, seed, board_for(stream, ink), page)
    rate = report.number / report.seconds if report.seconds else 0
    write(stream, [f"done in {seconds_words(report.seconds)}, {rate:.0f} orders/s", ""])
    write(stream, saga_lines(report, ink))
    return report
