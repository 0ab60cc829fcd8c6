"""Timers of one length, served by a single timer of the event loop.

Timers of the same length run out in the order in which they were started. So a queue is enough, with one
real timer for its head: starting and stopping another costs an entry in a dict, a quarter of `call_later`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from ._clock import Clock, Handle, LoopClock

__all__ = ["EqualTimers"]

_EARLY: Final = 1e-6
"""Seconds by which a loop may call before the time."""

_LEAST: Final = 1e-3
"""Least delay after a timer that fired too early: event loops that round to milliseconds would spin."""


class EqualTimers:
    """Starts timers of one length on whatever clock asks.

    Args:
        delay: Seconds that each of them takes.
    """

    __slots__ = ("_delay", "_queue")

    def __init__(self, delay: float) -> None:
        self._delay = delay
        self._queue: _Queue | None = None

    def start(self, clock: Clock, function: Callable[[], object]) -> Handle:
        """Calls a function once after the delay, unless the handle is cancelled before."""
        if not isinstance(clock, LoopClock):
            return clock.call_later(self._delay, function)
        queue = self._queue
        if queue is None or queue.loop is not clock.loop:
            queue = self._queue = _Queue(clock.loop, self._delay)
        return queue.add(function)


class _Queue:
    """The timers on one event loop, the first to run out in front."""

    __slots__ = ("_delay", "_entries", "_firing", "_timer", "loop")

    def __init__(self, loop: asyncio.AbstractEventLoop, delay: float) -> None:
        self.loop = loop
        self._delay = delay
        self._entries: dict[_Entry, None] = {}  # a dict keeps the order and gives up any entry at once
        self._timer: asyncio.TimerHandle | None = None
        self._firing = False

    def add(self, function: Callable[[], object]) -> Handle:
        entry = _Entry(self, self.loop.time() + self._delay, function)
        self._entries[entry] = None
        if self._timer is None and not self._firing:
            self._timer = self.loop.call_later(self._delay, self._fire)
        return entry

    def remove(self, entry: _Entry) -> None:
        self._entries.pop(entry, None)
        if not self._entries and self._timer is not None:
            self._timer.cancel()  # nothing of ours stays on the loop when nobody waits
            self._timer = None

    def _fire(self) -> None:
        self._timer = None
        self._firing = True
        now = self.loop.time()
        try:
            while self._entries:
                entry = next(iter(self._entries))
                if entry.due > now + _EARLY:
                    break
                del self._entries[entry]
                entry.function()
        finally:  # what one of them raises must not cost the others their time
            self._firing = False
            if self._entries:
                left = next(iter(self._entries)).due - now
                self._timer = self.loop.call_later(max(left, _LEAST), self._fire)


class _Entry:
    """One timer; cancelled by its handle."""

    __slots__ = ("_queue", "due", "function")

    def __init__(self, queue: _Queue, due: float, function: Callable[[], object]) -> None:
        self._queue = queue
        self.due = due
        self.function = function

    def cancel(self) -> None:
        """Stops it, also after it has fired."""
        self._queue.remove(self)
