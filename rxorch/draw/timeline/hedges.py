"""Which calls raced: a late one, and the hedges that were sent for it."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterable
from typing import Final, TypeAlias

from rxorch.draw.timeline.records import CallRecord

__all__ = ["races"]

_Key: TypeAlias = tuple[str | None, str]

_NEAR: Final = 0.01
"""Seconds by which a call may begin later than the race it is of."""


def races(calls: Iterable[CallRecord]) -> dict[int, CallRecord]:
    """The first call of the race that each hedge is of, by the number of the hedge.

    A hedge says how late the first call was. That one has the same endpoint and run, and began so long
    before; of several, the one that began last. No call is given two first hedges, or two second ones.
    """
    firsts: dict[_Key, list[CallRecord]] = {}
    hedges = []
    for call in calls:  # by their beginning
        if call.hedge:
            hedges.append(call)
        else:
            firsts.setdefault((call.run, call.endpoint), []).append(call)
    known = {key: _Firsts(firsts.get(key, ())) for key in {(call.run, call.endpoint) for call in hedges}}
    found = {}
    for hedge in hedges:
        first = known[hedge.run, hedge.endpoint].taken_by(hedge)
        if first is not None:
            found[hedge.number] = first
    return found


class _Firsts:
    """Calls of one endpoint and run that are no hedges, by their beginning."""

    def __init__(self, calls: Iterable[CallRecord]) -> None:
        self._calls = sorted(calls, key=_beginning)
        self._taken: dict[int, dict[int, int]] = {}
        """For each hedge: places that are taken, with one further left that may be free."""

    def taken_by(self, hedge: CallRecord) -> CallRecord | None:
        """The first call of the race of a hedge, which is its own from now on."""
        race = hedge.began - hedge.late
        last = min((race + _NEAR, math.inf), _beginning(hedge))
        taken = self._taken.setdefault(hedge.hedge, {})
        at = _free(taken, bisect_right(self._calls, last, key=_beginning) - 1)
        if at < 0 or self._calls[at].began < race - _NEAR:
            return None
        taken[at] = at - 1
        return self._calls[at]


def _beginning(call: CallRecord) -> tuple[float, float]:
    return call.began, call.number


def _free(taken: dict[int, int], at: int) -> int:
    """The first place from here to the left that is not taken; the way there is shorter the next time."""
    way = []
    while at in taken:
        way.append(at)
        at = taken[at]
    for each in way:
        taken[each] = at
    return at
