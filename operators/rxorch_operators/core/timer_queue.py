"""One timer for many waits of the same length.

A timer of the loop costs a heap insertion with comparisons in Python, and every call of an endpoint has a
time limit that it nearly always cancels. Waits of one length end in the order in which they began, so a queue
needs no heap: only its first entry has a timer.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Final

from .clock import Clock, Handle, LoopClock

_EARLY: Final = 1e-6
"""Seconds by which a timer may fire before its time: clocks tick, virtual ones in microseconds."""

_LEAST: Final = 1e-3
"""Least delay after a timer that fired too early: event loops that round to milliseconds would spin."""

_SPARSE: Final = 64
"""Ended entries that may lie between living ones before the queue is swept."""


class Entry:
    """One wait; `cancel()` ends it."""

    __slots__ = ("_queue", "at", "callback")

    def __init__(self, queue: TimerQueue, at: float, callback: Callable[[], object]) -> None:
        self._queue = queue
        self.at = at
        self.callback: Callable[[], object] | None = callback

    def cancel(self) -> None:
        """Ends the wait; harmless after its time."""
        if self.callback is not None:
            self.callback = None
            queue = self._queue
            queue.living -= 1
            if not queue.living:
                queue.rest()


class TimerQueue:
    """Calls functions after a fixed time, in order. Holds no timer while nobody waits.

    Attributes:
        living: Entries whose time has not come and that were not cancelled.
    """

    __slots__ = ("_clock", "_delay", "_entries", "_firing", "_handle", "living")

    def __init__(self, clock: Clock, delay: float) -> None:
        self._clock = clock
        self._delay = delay
        self._entries: deque[Entry] = deque()
        self.living = 0
        self._firing = False
        self._handle: Handle | None = None

    def serves(self, clock: Clock) -> bool:
        """Whether this queue measures with that clock."""
        own = self._clock
        return own is clock or (isinstance(own, LoopClock) and own.same_loop(clock))

    def call(self, callback: Callable[[], object]) -> Entry:
        """Calls `callback` once after the delay."""
        entry = Entry(self, self._clock.now() + self._delay, callback)
        entries = self._entries
        while entries and entries[0].callback is None:
            entries.popleft()
        if len(entries) > 2 * self.living + _SPARSE:  # a long wait at the front keeps ended ones behind it
            self._entries = entries = deque(one for one in entries if one.callback is not None)
        entries.append(entry)
        self.living += 1
        if self._handle is None and not self._firing:  # while it fires: others may be due before this one
            self._handle = self._clock.call_later(self._delay, self._fire)
        return entry

    def rest(self) -> None:
        """Nobody waits any more."""
        self._entries.clear()
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None

    def _fire(self) -> None:
        self._handle = None
        self._firing = True
        least = _LEAST
        now = self._clock.now()
        try:
            while (entry := self._first()) is not None and entry.at <= now + _EARLY:
                callback, entry.callback = entry.callback, None
                self._entries.popleft()
                self.living -= 1
                least = 0.0
                if callback is not None:
                    callback()
        finally:  # what one of them raises must not cost the others their time
            self._firing = False
            first = self._first()
            if first is not None:
                self._handle = self._clock.call_later(max(least, first.at - self._clock.now()), self._fire)

    def _first(self) -> Entry | None:
        entries = self._entries
        while entries and entries[0].callback is None:
            entries.popleft()
        return entries[0] if entries else None


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
