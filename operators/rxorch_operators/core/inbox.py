"""Where a stream ends in a coroutine: what has arrived and was not taken yet."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections import deque
from types import TracebackType
from typing import Any, Final, TypeVar

from reactivex import Observable
from reactivex.abc import DisposableBase, ObserverBase, SchedulerBase

from .clock import base_scheduler, clock_of
from .demand import BoundedDemand, Demand, DemandScheduler
from .stage import DISPOSED, NOTHING, Stage, as_stage

__all__ = ["Inbox", "last_of", "settle"]

T = TypeVar("T")


class Inbox(ObserverBase[Any], DisposableBase):
    """What has arrived and was not taken yet."""

    __slots__ = (
        "_capacity",
        "_demand",
        "_upstream",
        "_waiter",
        "done",
        "error",
        "in_hand",
        "items",
        "loop",
        "tasks",
    )

    def __init__(self, capacity: int) -> None:
        self.items: deque[Any] = deque()
        self.error: Exception | None = None
        self.done = False
        self.loop: asyncio.AbstractEventLoop | None = None
        self.tasks: set[asyncio.Task[Any]] = set()
        self._capacity = capacity
        self.in_hand = False
        self._demand = self._own_demand()
        self._upstream = NOTHING
        self._waiter: asyncio.Future[None] | None = None

    def _own_demand(self) -> Demand:
        return BoundedDemand(self._credit)

    def _credit(self) -> int:
        if self.done:
            return sys.maxsize  # `share` may keep the source for others
        return self._capacity - len(self.items) - self.in_hand

    def open(self, source: Stage[Any], scheduler: SchedulerBase | None) -> None:
        """Subscribes; what fails on the way is the stream's error."""
        self.loop = asyncio.get_running_loop()
        subject = None
        if isinstance(scheduler, DemandScheduler):  # of a subscription that this one belongs to
            base, clock, subject = scheduler.base, scheduler.clock, scheduler.subject
        else:
            base = base_scheduler(scheduler)
            clock = clock_of(base)
        own = DemandScheduler(base, self._demand, clock, self.tasks, subject=subject)
        try:
            upstream = source.attach(self, own)
        except Exception as error:
            self.on_error(error)
            return
        if self.done:
            upstream.dispose()
        else:
            self._upstream = upstream

    def put_away(self) -> None:
        """The loop body asks for more: there is room for another."""
        self.in_hand = False
        if not self.done and isinstance(self._demand, BoundedDemand):
            self._demand.grew()

    async def arrival(self) -> None:
        """Waits until there is something new."""
        if self._waiter is not None:
            raise RuntimeError("this stream is already being iterated by another task")
        self._waiter = asyncio.get_running_loop().create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def on_next(self, value: Any) -> None:
        if not self.done:
            self.items.append(value)
            waiter = self._waiter
            if waiter is not None and not waiter.done():
                waiter.set_result(None)

    def on_error(self, error: Exception) -> None:
        if not self.done:
            self.error = error
            self._finish()

    def on_completed(self) -> None:
        if not self.done:
            self._finish()

    def _finish(self) -> None:
        self.done = True
        upstream, self._upstream = self._upstream, DISPOSED
        self._wake()
        upstream.dispose()
        if isinstance(self._demand, BoundedDemand):
            self._demand.grew()

    def dispose(self) -> None:
        self.items.clear()
        self.error = None
        self._finish()


async def settle(tasks: set[asyncio.Task[Any]]) -> None:
    """Waits until these tasks, all of them told to end already, have ended."""
    current = asyncio.current_task()
    while pending := {task for task in tasks if task is not current and not task.done()}:
        await asyncio.wait(pending)


async def last_of(source: Observable[T], *, scheduler: SchedulerBase | None = None) -> T:
    """Awaits the last element of an observable; a cancelled wait ends the source and its tasks first.

    Args:
        source: What to wait for.
        scheduler: Time to go by. From a `DemandScheduler` its loop, clock and subject are taken, and no more.

    Raises the source's error, or `LookupError` when it completes without an element.
    """
    inbox = _Last()
    closed = False
    try:
        inbox.open(as_stage(source), scheduler)
        while not inbox.done:
            await inbox.arrival()
        if inbox.error is not None:
            # Several may wait for one call: each raises its error from where it was raised first.
            raise inbox.error.with_traceback(inbox.trace)
        if not inbox.items:
            raise LookupError("the observable completed without an element")
        return inbox.items[0]  # type: ignore[no-any-return]
    except (
        GeneratorExit
    ):  # the coroutine is being closed: nothing may be awaited, nor is there a loop perhaps
        closed = True
        raise
    finally:
        if closed:
            with contextlib.suppress(RuntimeError):
                inbox.dispose()
        else:
            inbox.dispose()
            if inbox.tasks:
                await settle(inbox.tasks)


class _One(Demand):
    """Room for one element at any time: the newest replaces the one before."""

    __slots__ = ()

    def credit(self) -> int:
        return 1


_ONE: Final = _One()


class _Last(Inbox):
    """Keeps the last element alone."""

    __slots__ = ("trace",)

    def __init__(self) -> None:
        super().__init__(1)
        self.trace: TracebackType | None = None

    def _own_demand(self) -> Demand:
        return _ONE  # one of its own would refer to it, and both would have to be collected

    def on_next(self, value: Any) -> None:
        self.items.clear()
        self.items.append(value)

    def on_error(self, error: Exception) -> None:
        self.trace = error.__traceback__
        super().on_error(error)
