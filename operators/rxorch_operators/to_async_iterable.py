"""to_async_iterable: an observable as an async iterator, bounded and closed with its loop body."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncIterator
from types import TracebackType
from typing import Any, Generic, TypeVar

from reactivex import Observable
from reactivex.abc import DisposableBase, ObserverBase, SchedulerBase

from .core.clock import base_scheduler, clock_of
from .core.demand import BoundedDemand, DemandScheduler
from .core.stage import DISPOSED, NOTHING, Stage, as_stage

T = TypeVar("T")


def to_async_iterable(
    source: Observable[T], *, buffer: int = 1, scheduler: SchedulerBase | None = None
) -> ObservableIterator[T]:
    """Lets an `async for` consume an observable, with back-pressure to its source.

    Subscribes at the first step. A source that can wait (see `flat_map_bounded`) is asked for more only
    while fewer than `buffer` elements wait here, so a slow loop body slows the source down.

    Args:
        source: Any observable. One that cannot wait is buffered without a bound.
        buffer: Elements that may wait for the loop body, 1 or more.
        scheduler: Time for the operators upstream; the running loop's by default.

    Emits: the elements; ends when the source completes. Errors: the source's error is raised after the
    elements before it. Disposal: `break`, an exception in the body, cancellation, `await aclose()` or losing
    the last reference end the source. `aclose()` (or `async with`) also waits until its tasks are gone.

    >>> import asyncio, reactivex
    >>> from rxorch_operators import to_async_iterable
    >>> async def main():
    ...     async with to_async_iterable(reactivex.of(1, 2, 3)) as numbers:
    ...         return [n async for n in numbers]
    >>> asyncio.run(main())
    [1, 2, 3]
    """
    if buffer < 1:
        raise ValueError(f"buffer must be 1 or more, got {buffer!r}")
    return ObservableIterator(as_stage(source), buffer, scheduler)


class ObservableIterator(AsyncIterator[T], Generic[T]):
    """The async iterator that `to_async_iterable` returns; good for one pass by one task."""

    def __init__(self, source: Stage[T], buffer: int, scheduler: SchedulerBase | None) -> None:
        self._source = source
        self._scheduler = scheduler
        self._inbox: _Inbox = _Inbox(buffer)
        self._started = False

    def __aiter__(self) -> ObservableIterator[T]:
        return self

    async def __anext__(self) -> T:
        inbox = self._inbox
        if not self._started:
            self._started = True
            inbox.open(self._source, self._scheduler)
        elif inbox.in_hand:
            inbox.put_away()
        while not inbox.items:
            if inbox.done:
                if inbox.tasks:
                    await settle(inbox.tasks)
                error, inbox.error = inbox.error, None
                raise StopAsyncIteration if error is None else error
            try:
                await inbox.arrival()
            except asyncio.CancelledError:
                inbox.dispose()  # as in an async generator; the traceback may hold us for long
                raise
        return inbox.take()  # type: ignore[no-any-return]

    async def aclose(self) -> None:
        """Disposes the subscription and waits until the tasks it had running have ended."""
        self._started = True
        self._inbox.dispose()
        await settle(self._inbox.tasks)

    async def __aenter__(self) -> ObservableIterator[T]:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    def __del__(self) -> None:
        # The source holds the inbox, not us: so a `break` that drops us gets here at once.
        inbox = getattr(self, "_inbox", None)
        if inbox is not None and not inbox.done and inbox.loop is not None:
            with contextlib.suppress(RuntimeError):  # the loop is closed: nothing is running any more
                if _running_in(inbox.loop):
                    inbox.dispose()
                else:
                    inbox.loop.call_soon_threadsafe(inbox.dispose)


def _running_in(loop: asyncio.AbstractEventLoop) -> bool:
    try:
        return asyncio.get_running_loop() is loop
    except RuntimeError:
        return False


class _Inbox(ObserverBase[Any], DisposableBase):
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
        self._demand = BoundedDemand(self._credit)
        self._upstream = NOTHING
        self._waiter: asyncio.Future[None] | None = None

    def _credit(self) -> int:
        return self._capacity - len(self.items) - self.in_hand

    def open(self, source: Stage[Any], scheduler: SchedulerBase | None) -> None:
        """Subscribes; what fails on the way is the stream's error."""
        self.loop = asyncio.get_running_loop()
        base = base_scheduler(scheduler)
        try:
            upstream = source.attach(self, DemandScheduler(base, self._demand, clock_of(base), self.tasks))
        except Exception as error:
            self.on_error(error)
            return
        if self.done:
            upstream.dispose()
        else:
            self._upstream = upstream

    def take(self) -> Any:
        """The oldest element. It counts as waiting until the loop body has done with it."""
        self.in_hand = True
        return self.items.popleft()

    def put_away(self) -> None:
        """The loop body asks for more: there is room for another."""
        self.in_hand = False
        if not self.done:
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
            self._wake()

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

    Raises the source's error, or `LookupError` when it completes without an element.
    """
    inbox = _Last()
    try:
        inbox.open(as_stage(source), scheduler)
        while not inbox.done:
            await inbox.arrival()
        if inbox.error is not None:
            raise inbox.error
        if not inbox.items:
            raise LookupError("the observable completed without an element")
        return inbox.items[0]  # type: ignore[no-any-return]
    finally:
        inbox.dispose()
        if inbox.tasks:
            await settle(inbox.tasks)


class _Last(_Inbox):
    __slots__ = ()

    def __init__(self) -> None:
        super().__init__(1)

    def _credit(self) -> int:
        return 1

    def on_next(self, value: Any) -> None:
        self.items.clear()
        self.items.append(value)
