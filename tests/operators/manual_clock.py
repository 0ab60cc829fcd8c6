"""A clock that stands still until a test moves it, exact to the last bit."""

from __future__ import annotations

import heapq
import itertools
import math
from collections.abc import Callable


class Timer:
    """One timer of a manual clock."""

    def __init__(self, function: Callable[[], object]) -> None:
        self.function: Callable[[], object] | None = function

    def cancel(self) -> None:
        """Stops it, also after it has fired."""
        self.function = None


class ManualClock:
    """Monotonic seconds that pass when `advance` is called."""

    def __init__(self, start: float = 0.0) -> None:
        self._now = start
        self._numbers = itertools.count()
        self._timers: list[tuple[float, int, Timer]] = []

    def now(self) -> float:
        """The time."""
        return self._now

    def call_later(self, delay: float, function: Callable[[], object]) -> Timer:
        """Calls a function once after so many seconds."""
        timer = Timer(function)
        heapq.heappush(self._timers, (self._now + max(0.0, delay), next(self._numbers), timer))
        return timer

    def advance(self, seconds: float) -> None:
        """Lets time pass, timer by timer."""
        end = self._now + seconds
        for fired in itertools.count():
            if not self._timers or self._timers[0][0] > end:
                break
            assert fired < 100_000, "timers without end"
            at, _, timer = heapq.heappop(self._timers)
            self._now = max(self._now, at)
            function, timer.function = timer.function, None
            if function is not None:
                function()
        self._now = end

    def drain(self) -> None:
        """Lets time pass until no timer is left."""
        while (due := self.next_due()) < math.inf:
            self.advance(max(0.0, due - self._now))

    def next_due(self) -> float:
        """When the next timer fires; `inf` without one."""
        return min((at for at, _, timer in self._timers if timer.function is not None), default=math.inf)

    @property
    def timers(self) -> int:
        """Timers that have not fired and were not cancelled."""
        return sum(timer.function is not None for _, _, timer in self._timers)
