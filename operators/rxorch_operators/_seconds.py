"""How seconds are said to people: the same in every message, table and picture."""

from __future__ import annotations

import math
from typing import Final

__all__ = ["seconds_words"]

_LONG: Final = ((86_400, "d", 3600, "h"), (3600, "h", 60, "min"), (60, "min", 1, "s"))
"""Seconds from which on a unit is used, and the smaller one for what is left over."""


def seconds_words(seconds: float, *, exact: bool = False) -> str:
    """Seconds as people write them.

    Args:
        seconds: A time that took so long; one below 0 is 0.
        exact: Whether it was declared and not measured: then it keeps its digits, six at most, and stays in
            milliseconds or seconds, so that it can be found again where somebody has written it.

    >>> [seconds_words(each) for each in (0.00153, 0.0421, 0.563, 1.25, 12.34, 75, 4000, 200_000)]
    ['1.5 ms', '42 ms', '563 ms', '1.25 s', '12.3 s', '1 min 15 s', '1 h 6 min', '2 d 7 h']
    >>> [seconds_words(each, exact=True) for each in (0.0425, 0.35, 2.5, 300, 12_345.6)]
    ['42.5 ms', '350 ms', '2.5 s', '300 s', '12,345.6 s']
    """
    if not math.isfinite(seconds):
        return f"{seconds} s"
    seconds = max(0.0, seconds)
    return _declared(seconds) if exact else _measured(seconds)


def _declared(seconds: float) -> str:
    seconds = float(f"{seconds:.6g}")
    if 0 < seconds < 1:
        ms = seconds * 1000
        return f"{ms:.6g} ms" if ms >= 0.001 else f"{ms:.6f} ms"
    return f"{seconds:,.6g} s" if seconds < 1e6 else f"{seconds:,.0f} s"


def _measured(seconds: float) -> str:
    ms = seconds * 1000
    if ms < 999.5:
        return f"{round(ms, 1):g} ms" if ms < 9.95 else f"{ms:.0f} ms"
    if seconds < 59.95:
        return f"{round(seconds, 2 if seconds < 9.995 else 1):g} s"
    whole = round(seconds)
    size, unit, part, smaller = next(each for each in _LONG if whole >= each[0])
    more = whole % size // part
    return f"{whole // size:,} {unit} {more} {smaller}" if more else f"{whole // size:,} {unit}"
