"""Which calls raced: a late one, and the hedges that were sent for it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from rxorch.draw.timeline.records import CallRecord

__all__ = ["races"]

_NEAR: Final = 0.01
"""Seconds by which a call may begin later than the race it is of."""


def races(calls: Iterable[CallRecord]) -> dict[int, CallRecord]:
    """The first call of the race that each hedge is of, by the number of the hedge.

    A hedge says how late the first call was. That one has the same endpoint and run, and began so long
    before; of several, the one that began last. No call is given two first hedges, or two second ones.
    """
    firsts: dict[tuple[str | None, str], list[CallRecord]] = {}
    found: dict[int, CallRecord] = {}
    taken: set[tuple[int, int]] = set()
    for call in calls:  # by their beginning
        known = firsts.setdefault((call.run, call.endpoint), [])
        if not call.hedge:
            known.append(call)
            continue
        race = call.began - call.late
        for first in reversed(known):
            if first.began < race - _NEAR:
                break
            if first.began <= race + _NEAR and (first.number, call.hedge) not in taken:
                taken.add((first.number, call.hedge))
                found[call.number] = first
                break
    return found
