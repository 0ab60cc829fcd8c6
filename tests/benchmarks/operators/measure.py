"""How two ways to do one job are compared: CPU time of this process, rounds in alternation, medians.

A ratio of two figures from one run hardly depends on the machine; the figures themselves do.
"""

from __future__ import annotations

import asyncio
import gc
import math
import operator
import statistics
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeAlias

__all__ = ["Figures", "Pair", "Side", "measure"]

Side: TypeAlias = Callable[[int], Awaitable[object]]
"""One way to do a job so many times; it runs on an event loop of its own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """The same job done with one of our operators and with its nearest counterpart.

    Args:
        operator: What is measured.
        job: What it does there.
        peer: What it is compared with.
        ours: Does the job with the operator.
        theirs: Does the job with the counterpart.
        ours_bare: The same as `ours` without the operator: the same calls, as many in flight.
        theirs_bare: The same as `theirs` without the counterpart.
        count: Elements, or calls, in one round.
        goal: Whether ours has to be the cheaper one. Not, where the other does less.
    """

    operator: str
    job: str
    peer: str
    ours: Side
    theirs: Side
    ours_bare: Side
    theirs_bare: Side
    count: int
    goal: bool = True

    def __str__(self) -> str:
        return f"{self.operator}, {self.job}, against {self.peer}"


@dataclass(frozen=True, slots=True)
class Figures:
    """What came of a measurement.

    Args:
        ours: CPU microseconds per element or call, median of the rounds.
        theirs: The same of the counterpart.
        whole: Ours / theirs, with the job itself on both sides.
        our_part: What ours adds, in microseconds, to the same thing without it.
        their_part: The same of the counterpart.
    """

    ours: float
    theirs: float
    whole: float
    our_part: float
    their_part: float

    @property
    def added(self) -> float:
        """Ours / theirs, of what each adds; not a number if the counterpart adds nothing that can be seen."""
        return self.our_part / self.their_part if self.their_part > 0.0 else math.nan


def measure(pair: Pair, rounds: int = 15, scale: float = 1.0) -> Figures:
    """Measures both sides and what they are without their operators.

    Rounds are short and there are many of them. What is compared is compared within one round and the median
    taken of that, so that a machine that is busy for a while slows down both sides.

    Args:
        pair: What to compare.
        rounds: How often each side runs.
        scale: Factor on the size of a round, for a quick look.
    """
    count = max(1, round(pair.count * scale))
    # A side that stands in two places, the bare call on its own, is run once per round.
    sides = list(dict.fromkeys((pair.ours, pair.theirs, pair.ours_bare, pair.theirs_bare)))
    for side in sides:
        _microseconds(side, count)  # the interpreter specialises its code, and counts nothing
    seen: dict[Side, list[float]] = {side: [] for side in sides}
    for _ in range(rounds):
        for side in sides:
            seen[side].append(_microseconds(side, count))
        sides.reverse()  # who runs first in one round runs last in the next
    ours, theirs = seen[pair.ours], seen[pair.theirs]
    return Figures(
        ours=statistics.median(ours),
        theirs=statistics.median(theirs),
        whole=statistics.median(map(operator.truediv, ours, theirs)),
        our_part=statistics.median(map(operator.sub, ours, seen[pair.ours_bare])),
        their_part=statistics.median(map(operator.sub, theirs, seen[pair.theirs_bare])),
    )


def _microseconds(side: Side, count: int) -> float:
    """CPU time of one round per element, without that of making and closing the loop."""

    async def timed() -> float:
        started = time.process_time()
        await side(count)
        return time.process_time() - started

    gc.collect()
    return asyncio.run(timed()) / count * 1e6
