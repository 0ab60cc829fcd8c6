"""Counting recent events at constant cost: what the circuit breaker and the retry budget look back on.

Pure: the time is passed in as monotonic seconds. A time that lies before the last one counts as the last one.
"""

from __future__ import annotations

from math import floor
from typing import Final, Protocol

_LONG_AGO: Final = -(1 << 62)
_CALLS: Final = 0
_FAILED: Final = 1
_SLOW: Final = 2


class Buckets:
    """Counts several kinds of event over the last `span` seconds, in constant time and space.

    The ring has one part more than the span, since the part under way is not yet full: counts reach back at
    least `span` seconds and less than one part more.

    Args:
        span: Seconds.
        parts: Parts that the span is cut into; each step forward forgets one.
        kinds: Number of counts kept side by side.

    Attributes:
        totals: The sums per kind, as of the last `advance` or `add`.

    Example:
        >>> buckets = Buckets(span=10.0, parts=5, kinds=1)
        >>> buckets.add(0.0, 0)
        >>> buckets.add(9.0, 0)
        >>> buckets.totals
        [2]
        >>> buckets.advance(12.5)
        >>> buckets.totals
        [1]
    """

    __slots__ = ("_per_second", "_rows", "_tick", "totals")

    def __init__(self, span: float, parts: int, kinds: int) -> None:
        self._per_second = parts / span
        self._rows = [[0] * kinds for _ in range(parts + 1)]
        self._tick = _LONG_AGO
        self.totals = [0] * kinds

    def add(self, now: float, kind: int) -> None:
        """Counts one event.

        Args:
            now: Monotonic seconds.
            kind: Which count, from 0.
        """
        tick = floor(now * self._per_second)
        if tick > self._tick:
            self._forget(tick)
        rows = self._rows
        rows[self._tick % len(rows)][kind] += 1
        self.totals[kind] += 1

    def advance(self, now: float) -> None:
        """Forgets what is too old.

        Args:
            now: Monotonic seconds.
        """
        tick = floor(now * self._per_second)
        if tick > self._tick:
            self._forget(tick)

    def clear(self) -> None:
        """Forgets everything."""
        kinds = len(self.totals)
        for row in self._rows:
            row[:] = [0] * kinds
        self.totals[:] = [0] * kinds

    def _forget(self, tick: int) -> None:
        rows = self._rows
        if tick - self._tick >= len(rows):
            self.clear()
        else:
            for passed in range(self._tick + 1, tick + 1):
                row = rows[passed % len(rows)]
                for kind, count in enumerate(row):
                    self.totals[kind] -= count
                    row[kind] = 0
        self._tick = tick


class Tally(Protocol):
    """Results of recent calls: how many, how many failed, how many were slow."""

    @property
    def calls(self) -> int:
        """How many are remembered."""

    @property
    def failed(self) -> int:
        """How many of them failed."""

    @property
    def slow(self) -> int:
        """How many of them were slow."""

    def add(self, now: float, failed: bool, slow: bool) -> None:
        """Counts the result of one call."""

    def advance(self, now: float) -> None:
        """Forgets what is too old, by age."""

    def clear(self) -> None:
        """Forgets everything."""


class Run:
    """Counts the bad results, failed or slow, since the last good one."""

    __slots__ = ("calls", "failed", "slow")

    def __init__(self) -> None:
        self.calls = 0
        self.failed = 0
        self.slow = 0

    def add(self, now: float, failed: bool, slow: bool) -> None:
        """Counts the result of one call."""
        if failed or slow:
            self.calls += 1
            self.failed += failed
            self.slow += slow
        elif self.calls:
            self.clear()

    def advance(self, now: float) -> None:
        """Does nothing: a run has no age."""

    def clear(self) -> None:
        """Forgets everything."""
        self.calls = 0
        self.failed = 0
        self.slow = 0


class LastCalls:
    """Counts among the last `size` calls; one byte for each.

    Args:
        size: Calls that are remembered.

    Example:
        >>> last = LastCalls(size=2)
        >>> last.add(0.0, failed=True, slow=False)
        >>> last.add(0.0, failed=False, slow=True)
        >>> last.add(0.0, failed=False, slow=False)
        >>> last.calls, last.failed, last.slow
        (2, 0, 1)
    """

    __slots__ = ("_next", "_ring", "_size", "calls", "failed", "slow")

    def __init__(self, size: int) -> None:
        self._size = size
        self._ring = bytearray(size)
        self._next = 0
        self.calls = 0
        self.failed = 0
        self.slow = 0

    def add(self, now: float, failed: bool, slow: bool) -> None:
        """Counts the result of one call, and forgets the oldest if there is no room for both."""
        place = self._next
        if self.calls == self._size:
            oldest = self._ring[place]
            self.failed -= oldest & 1
            self.slow -= oldest >> 1
        else:
            self.calls += 1
        self._ring[place] = failed | slow << 1
        self.failed += failed
        self.slow += slow
        place += 1
        self._next = 0 if place == self._size else place

    def advance(self, now: float) -> None:
        """Does nothing: calls are forgotten by number, not by age."""

    def clear(self) -> None:
        """Forgets everything."""
        self._next = 0
        self.calls = 0
        self.failed = 0
        self.slow = 0


class LastSeconds:
    """Counts among the calls that ended in the last `span` seconds; constant space.

    Args:
        span: Seconds.
        parts: Parts that the span is cut into; counts reach back up to one part more than the span.
    """

    __slots__ = ("_buckets", "_totals")

    def __init__(self, span: float, parts: int) -> None:
        self._buckets = Buckets(span, parts, kinds=3)
        self._totals = self._buckets.totals

    @property
    def calls(self) -> int:
        """How many ended in the span."""
        return self._totals[_CALLS]

    @property
    def failed(self) -> int:
        """How many of them failed."""
        return self._totals[_FAILED]

    @property
    def slow(self) -> int:
        """How many of them were slow."""
        return self._totals[_SLOW]

    def add(self, now: float, failed: bool, slow: bool) -> None:
        """Counts the result of one call."""
        self._buckets.add(now, _CALLS)
        if failed:
            self._buckets.add(now, _FAILED)
        if slow:
            self._buckets.add(now, _SLOW)

    def advance(self, now: float) -> None:
        """Forgets what is too old."""
        self._buckets.advance(now)

    def clear(self) -> None:
        """Forgets everything."""
        self._buckets.clear()
