"""Time as the operators see it: monotonic seconds and one kind of timer.

On an event loop both come straight from the loop (a `TimerHandle` is ten times cheaper than an Rx
scheduled action); under any other scheduler, the virtual ones above all, from that scheduler.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Final, Protocol

from reactivex.abc import DisposableBase, SchedulerBase
from reactivex.scheduler import CurrentThreadScheduler, VirtualTimeScheduler
from reactivex.scheduler.eventloop import AsyncIOScheduler, AsyncIOThreadSafeScheduler


class Handle(Protocol):
    """What a timer gives back: `cancel()` stops it, also after it has fired."""

    def cancel(self) -> object: ...


class Clock(Protocol):
    """A source of monotonic seconds and of timers."""

    @property
    def now(self) -> Callable[[], float]:
        """Reads the time, in seconds, from an arbitrary start."""

    @property
    def call_later(self) -> Callable[[float, Callable[[], object]], Handle]:
        """Calls a function once after so many seconds."""


_LOOP_TIME: Final = asyncio.BaseEventLoop.time


class LoopClock:
    """The clock of an asyncio event loop."""

    __slots__ = ("call_later", "loop", "now")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.now = loop.time
        if getattr(self.now, "__func__", None) is _LOOP_TIME:
            self.now = time.monotonic  # what it calls: one call less each time
        self.call_later: Callable[[float, Callable[[], object]], Handle] = loop.call_later

    def same_loop(self, clock: Clock) -> bool:
        """Whether another clock is that of the same loop."""
        return isinstance(clock, LoopClock) and clock.loop is self.loop


class _Scheduled:
    """Makes an Rx disposable look like a timer handle."""

    __slots__ = ("_disposable",)

    def __init__(self, disposable: DisposableBase) -> None:
        self._disposable = disposable

    def cancel(self) -> None:
        self._disposable.dispose()


class SchedulerClock:
    """The clock of any Rx scheduler; virtual time is read from it, real time is monotonic."""

    __slots__ = ("_scheduler", "now")

    def __init__(self, scheduler: SchedulerBase) -> None:
        self._scheduler = scheduler
        virtual = isinstance(scheduler, VirtualTimeScheduler)
        self.now: Callable[[], float] = self._virtual_now if virtual else time.monotonic

    def _virtual_now(self) -> float:
        return self._scheduler.to_seconds(self._scheduler.now)

    def call_later(self, delay: float, function: Callable[[], object]) -> Handle:
        def action(_: SchedulerBase, __: object = None) -> None:
            function()

        return _Scheduled(self._scheduler.schedule_relative(max(0.0, delay), action))


class _NoClock:
    """Stands in where there is neither loop nor scheduler: time can be read, not waited for."""

    __slots__ = ()
    now = staticmethod(time.monotonic)

    @staticmethod
    def call_later(delay: float, function: Callable[[], object]) -> Handle:
        raise RuntimeError(
            "this operator has to wait, and there is no running event loop to wait on: "
            "subscribe inside a coroutine, or pass scheduler="
        )


_NO_CLOCK = _NoClock()


def has_timers(clock: Clock) -> bool:
    """Whether one can wait by a clock, and not only read it."""
    return clock is not _NO_CLOCK


def running_loop() -> asyncio.AbstractEventLoop | None:
    """The running event loop of this thread, or None."""
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


def base_scheduler(scheduler: SchedulerBase | None) -> SchedulerBase:
    """The scheduler to work on: the given one, else the running loop's, else the current thread's."""
    if scheduler is not None:
        return scheduler
    loop = running_loop()
    return CurrentThreadScheduler.singleton() if loop is None else AsyncIOScheduler(loop)


def clock_of(scheduler: SchedulerBase) -> Clock:
    """The clock that belongs to a scheduler."""
    if type(scheduler) is AsyncIOScheduler or _is_kind_of_it(scheduler):
        return LoopClock(scheduler._loop)  # type: ignore[attr-defined]
    if isinstance(scheduler, CurrentThreadScheduler):
        return _NO_CLOCK  # its timers put the thread to sleep
    return SchedulerClock(scheduler)


def _is_kind_of_it(scheduler: SchedulerBase) -> bool:
    """Whether it is made of the loop's scheduler; the thread-safe one is for other threads."""
    return isinstance(scheduler, AsyncIOScheduler) and not isinstance(scheduler, AsyncIOThreadSafeScheduler)
