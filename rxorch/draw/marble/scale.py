"""The time axis of marbles: where a time stands, and round times to write below."""

from __future__ import annotations

import math
from typing import Final

from rxorch_operators._seconds import seconds_words

__all__ = ["Scale", "spoken"]

_STEPS: Final = (1.0, 2.0, 5.0, 10.0)
_CLOCK: Final = (15.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0)
_MINUTES: Final = 120.0
"""Seconds from which on an axis counts minutes."""


class Scale:
    """The places of times.

    Args:
        duration: Seconds of all.
        length: What they take, in pixels or columns.
    """

    def __init__(self, duration: float, length: float) -> None:
        self.duration = duration
        self.length = length

    def at(self, seconds: float) -> float:
        """The place of a time since the beginning."""
        return self.length * min(max(seconds / self.duration, 0.0), 1.0) if self.duration > 0 else 0.0

    def ticks(self, room: float) -> list[tuple[float, str]]:
        """Round times with their places, at least so far from each other."""
        if self.duration <= 0 or self.length <= 0:
            return [(0.0, "0")]
        step = _step(room / self.length * self.duration)
        count = math.floor(self.duration / step + 1e-9)
        return [(self.at(number * step), spoken(number * step)) for number in range(count + 1)]


def _step(least: float) -> float:
    if least > 10.0:
        found = next((step for step in _CLOCK if step >= least), None)
        return found or 3600.0 * math.ceil(least / 3600.0)
    power = 10.0 ** math.floor(math.log10(least))
    return next(step * power for step in _STEPS if step * power >= least * (1 - 1e-9))


def spoken(seconds: float) -> str:
    """A time as people write it.

    >>> spoken(0.0), spoken(0.0042), spoken(0.25), spoken(1.5), spoken(90), spoken(4 * 3600)
    ('0', '4.2 ms', '250 ms', '1.5 s', '90 s', '4 h')
    """
    if seconds >= _MINUTES:
        return seconds_words(seconds)
    return seconds_words(float(f"{seconds:.4g}"), exact=True) if seconds > 0 else "0"
