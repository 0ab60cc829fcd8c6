"""to_async_iterable: an observable as an async iterator, bounded and closed with its loop body."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from types import TracebackType
from typing import Generic, TypeVar

from reactivex import Observable
from reactivex.abc import SchedulerBase

from .core.inbox import Inbox, last_of, settle
from .core.stage import Stage, as_stage

__all__ = ["ObservableIterator", "last_of", "to_async_iterable"]

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
    the last reference end the source. `aclose()`, `async with` and a cancelled wait for the next element also
    wait until its tasks are gone.

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
        self._inbox = Inbox(buffer)
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
                await settle(inbox.tasks)  # they have been told to end; another cancellation ends the wait
                raise
        inbox.in_hand = True  # it counts as waiting until the loop body has done with it
        return inbox.items.popleft()  # type: ignore[no-any-return]

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
