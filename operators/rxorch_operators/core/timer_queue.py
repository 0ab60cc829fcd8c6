"""One timer for many waits of the same length.

A timer of the loop costs a heap insertion with comparisons in Python, and every call of an endpoint has a
time limit that it nearly always cancels. Waits of one length end in the order in which they began, so a queue
needs no heap: only its first entry has a timer. A dict keeps that order, and forgets one anywhere in it.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import takewhile
from typing import Final, Protocol

from .clock import Clock, Handle, LoopClock

_EARLY: Final = 1e-6
"""Seconds by which a timer may fire before its time: clocks tick, virtual ones in microseconds."""

_LEAST: Final = 1e-3
"""Least delay after a timer that fired too early: event loops that round to milliseconds would spin."""


class Waiter(Protocol):
    """Who waits."""

    def time_over(self) -> object:
        """Its time has come."""


class Entry:
    """One wait for a function; `cancel()` ends it."""

    __slots__ = ("_queue", "time_over")

    def __init__(self, queue: TimerQueue, callback: Callable[[], object]) -> None:
        self._queue = queue
        self.time_over = callback

    def cancel(self) -> None:
        """Ends the wait; harmless after its time."""
        self._queue.drop(self)


class TimerQueue:
    """Calls functions after a fixed time, in order. Holds no timer while nobody waits."""

    __slots__ = ("_clock", "_delay", "_firing", "_handle", "_until")

    def __init__(self, clock: Clock, delay: float) -> None:
        self._clock = clock
        self._delay = delay
        self._until: dict[Waiter, float] = {}
        self._firing = False
        self._handle: Handle | None = None

    def serves(self, clock: Clock) -> bool:
        """Whether this queue measures with that clock."""
        own = self._clock
        return own is clock or (isinstance(own, LoopClock) and own.same_loop(clock))

    def call(self, callback: Callable[[], object]) -> Entry:
        """Calls `callback` once after the delay."""
        entry = Entry(self, callback)
        self.wake(entry, self._clock.now())
        return entry

    def wake(self, waiter: Waiter, now: float) -> None:
        """Calls `waiter.time_over()` once after the delay, unless it is dropped before.

        Args:
            waiter: Waits for nothing else here.
            now: What the clock says.
        """
        self._until[waiter] = now + self._delay
        if self._handle is None and not self._firing:  # while it fires: others may be due before this one
            self._handle = self._clock.call_later(self._delay, self._fire)

    def drop(self, waiter: Waiter) -> None:
        """Ends a wait; harmless after its time."""
        until = self._until
        if until.pop(waiter, None) is not None and not until and self._handle is not None:
            self._handle.cancel()  # nobody waits any more
            self._handle = None

    def _fire(self) -> None:
        self._handle = None
        self._firing = True
        least = _LEAST
        now = self._clock.now() + _EARLY
        until = self._until
        # All of them before the first is called: to ask a dict for its first key after each would have it
        # pass over all that were deleted there, and the time of many would grow with their square.
        due = [waiter for waiter, _ in takewhile(lambda entry: entry[1] <= now, until.items())]
        try:
            for waiter in due:
                if until.get(waiter, math.inf) <= now:  # else: another has dropped it meanwhile
                    del until[waiter]
                    least = 0.0
                    waiter.time_over()
        finally:  # what one of them raises must not cost the others their time
            self._firing = False
            first = next(iter(until.values()), None)
            if first is not None:
                self._handle = self._clock.call_later(max(least, first - self._clock.now()), self._fire)


class SharedTimer:
    """The timer queue of those who all wait equally long, whatever clock they come with."""

    __slots__ = ("_clock", "_queue")

    def __init__(self) -> None:
        self._clock: Clock | None = None
        self._queue: TimerQueue

    def queue(self, clock: Clock, seconds: float) -> TimerQueue:
        """The queue of this clock; another loop, another queue."""
        if self._clock is not clock:
            if self._clock is None or not self._queue.serves(clock):
                self._queue = TimerQueue(clock, seconds)
            self._clock = clock
        return self._queue
