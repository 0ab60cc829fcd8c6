"""from_async_iterable: an async iterable as an observable that is read only while there is demand."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, AsyncIterator
from typing import Any, Final, TypeVar

from reactivex import Observable
from reactivex.abc import DisposableBase, ObserverBase

from .core.async_call import NOBODY
from .core.clock import running_loop
from .core.demand import DemandScheduler
from .core.stage import Stage

T = TypeVar("T")

_TURN: Final = 512
"""Elements emitted before other work of the loop gets its turn, if the iterator never waits itself."""


def from_async_iterable(iterable: AsyncIterable[T]) -> Observable[T]:
    """Emits the elements of an async iterable, reading the next one only when the consumer has room.

    Args:
        iterable: An async generator, a queue reader, a response stream ... Iterated once per subscription.

    Emits: its elements, then completes. Errors: what the iterator raises.
    Disposal: cancels a pending read and closes the iterator (`aclose`).

    ::

        iterable   a--b----c-|
        demand     ^  .  ^
        result     a-----b-c-|

    >>> import asyncio
    >>> from rxorch_operators import from_async_iterable, to_async_iterable
    >>> async def letters():
    ...     yield "a"
    ...     yield "b"
    >>> async def main():
    ...     return [value async for value in to_async_iterable(from_async_iterable(letters()))]
    >>> asyncio.run(main())
    ['a', 'b']
    """
    return _FromAsyncIterable(iterable)


class _FromAsyncIterable(Stage[T]):
    def __init__(self, iterable: AsyncIterable[T]) -> None:
        self.iterable = iterable

    def attach(self, sink: ObserverBase[Any], scheduler: DemandScheduler) -> DisposableBase:
        return _Reader(self.iterable, sink, scheduler)


class _Reader(DisposableBase):
    """A task that moves elements from an async iterator to a sink while there is demand."""

    __slots__ = ("_demand", "_room", "_sink", "_task", "_tasks")

    def __init__(
        self, iterable: AsyncIterable[Any], sink: ObserverBase[Any], scheduler: DemandScheduler
    ) -> None:
        loop = running_loop()
        if loop is None:
            raise RuntimeError("an async iterable needs a running event loop: subscribe inside a coroutine")
        self._sink = sink
        self._demand = scheduler.demand
        self._tasks = scheduler.tasks
        self._room: asyncio.Future[None] | None = None
        self._demand.listen(self._on_room)
        self._task: asyncio.Task[None] | None = None
        self._task = task = loop.create_task(self._read(iterable), context=scheduler.context.copy())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _on_room(self) -> None:
        room = self._room
        if room is not None and not room.done():
            room.set_result(None)

    async def _read(self, iterable: AsyncIterable[Any]) -> None:
        if self._task is None:
            await asyncio.sleep(0)  # an eager task factory: nobody could dispose us yet
        iterator: AsyncIterator[Any] | None = None
        try:
            iterator = aiter(iterable)
            await self._move(iterator)
        except StopAsyncIteration:
            self._end().on_completed()
        except asyncio.CancelledError as error:
            self._end().on_error(error)  # type: ignore[arg-type]
            raise
        except Exception as error:
            if self._sink is NOBODY and not self._cancelled():
                raise  # from an `on_next` that disposed us first: nobody else would hear of it
            self._end().on_error(error)
        finally:
            self._demand.forget(self._on_room)
            close = getattr(iterator, "aclose", None)
            if close is not None:
                await close()

    async def _move(self, iterator: AsyncIterator[Any]) -> None:
        turn = 0
        while self._sink is not NOBODY:
            turn += 1
            if turn % _TURN == 0:
                await asyncio.sleep(0)
            while self._demand.credit() <= 0:
                self._room = asyncio.get_running_loop().create_future()
                await self._room
                self._room = None
            value = await anext(iterator)
            self._sink.on_next(value)

    def _cancelled(self) -> bool:
        return self._task is not None and self._task.cancelling() > 0

    def _end(self) -> ObserverBase[Any]:
        sink, self._sink = self._sink, NOBODY
        return sink

    def dispose(self) -> None:
        if self._sink is NOBODY:
            return
        self._sink = NOBODY
        self._demand.forget(self._on_room)
        task = self._task
        # Disposed from inside our own on_next: the loop above ends by itself, and `aclose` can be awaited.
        if task is not None and _current_task() is not task:
            task.cancel()


def _current_task() -> asyncio.Task[Any] | None:
    try:
        return asyncio.current_task()
    except RuntimeError:
        return None
