"""bulkhead: at most so many at once, shared by all who use the same Bulkhead."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from inspect import isawaitable
from types import TracebackType
from typing import Any, ParamSpec, TypeVar, overload

from reactivex import Observable
from reactivex.abc import DisposableBase, ObserverBase

from ._permitted import QUEUE, Permitted, SharedPermits
from .core.demand import DemandScheduler
from .core.stage import Stage, as_stage
from .engines.permits import Permit, PermitStatistics

__all__ = ["Bulkhead", "bulkhead"]

T = TypeVar("T")
P = ParamSpec("P")


class Bulkhead(SharedPermits):
    """A number of permits and a queue before them, for the calls to one service.

    Used by the operator `bulkhead(b)`, by `await b.call(fn, ...)` and by `async with b:`, which share the
    permits. Waiters are served in the order of arrival; one that is cancelled or disposed leaves the queue.
    Use it from one event loop at a time.

    Args:
        limit: Permits, 1 or more. May be set while it runs: a higher limit lets waiters in at once, a lower
            one holds as soon as enough permits came back.
        queue: Waiters it takes before it refuses with `BulkheadFullError`, 0 or more. None takes any number,
            which only suits callers that are bounded by other means.
        max_wait: Seconds that one may wait before `TimeoutExceededError(kind="queue")`; None for any time.
        name: For people and pictures.

    >>> import asyncio
    >>> from rxorch_operators import Bulkhead
    >>> async def main():
    ...     database = Bulkhead(limit=2)
    ...     async with database:
    ...         length = await database.call(len, "four")
    ...         return length, database.statistics().in_flight
    >>> asyncio.run(main())
    (4, 1)
    """

    __slots__ = ("_entered",)

    def __init__(
        self,
        limit: int = 20,
        queue: int | None = QUEUE,
        *,
        max_wait: float | None = None,
        name: str | None = None,
    ) -> None:
        super().__init__(limit, queue, max_wait, name)
        self._entered: list[Permit] = []

    @property
    def limit(self) -> int:
        """How many may be in flight at once."""
        return self.pool.limit

    @limit.setter
    def limit(self, limit: int) -> None:
        self.pool.limit = limit

    def statistics(self) -> PermitStatistics:
        """A snapshot: permits out, waiters, and what was granted and refused so far."""
        return self.pool.statistics()

    async def acquire(self) -> Permit:
        """Waits for a permit; the caller releases it.

        Raises `BulkheadFullError` when the queue is full, `TimeoutExceededError` after `max_wait`.
        """
        return await self.take()

    @overload
    async def call(self, fn: Callable[P, Awaitable[T]], /, *args: P.args, **kwargs: P.kwargs) -> T: ...

    @overload
    async def call(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T: ...

    async def call(self, fn: Callable[P, Any], /, *args: P.args, **kwargs: P.kwargs) -> Any:
        """Calls a function, or awaits an async one, while holding a permit.

        Returns what it returns and raises what it raises; `BulkheadFullError` and `TimeoutExceededError` as
        `acquire`, and then the function was not called.
        """
        permit = await self.take()
        try:
            result = fn(*args, **kwargs)
            return await result if isawaitable(result) else result
        finally:
            permit.release()

    async def __aenter__(self) -> Bulkhead:
        self._entered.append(await self.take())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # Tasks may leave in another order than they entered: any permit is as good as another.
        self._entered.pop().release()


def bulkhead(bulkhead: Bulkhead) -> Callable[[Observable[T]], Observable[T]]:
    """Subscribes to the source only while holding a permit of a shared `Bulkhead`.

    Args:
        bulkhead: Gives the permits. All operators made from one object share them.

    Emits: the elements of the source. Errors: those of the source; at once, without subscribing it,
    `BulkheadFullError` when the queue is full; `TimeoutExceededError(kind="queue")` after its `max_wait`. The
    permit goes back exactly once: before the last event goes out, or on disposal.
    Disposal: leaves the queue, or disposes the source and then gives the permit back.

    ::

        limit 1
        first         ---a|
        second            ---b|      subscribed when the first has ended
        results       ---a|
                      -------b|

    >>> import reactivex
    >>> from rxorch_operators import Bulkhead, bulkhead
    >>> shared = Bulkhead(limit=1)
    >>> first = reactivex.never().pipe(bulkhead(shared)).subscribe()
    >>> second = reactivex.just("my turn").pipe(bulkhead(shared)).subscribe(print)
    >>> first.dispose()
    my turn
    """
    if not isinstance(bulkhead, Bulkhead):
        raise TypeError(
            f"bulkhead() needs a Bulkhead, got {type(bulkhead).__name__}: write Bulkhead(limit=...)"
        )

    def operator(source: Observable[T]) -> Observable[T]:
        return _Bulkheaded(as_stage(source), bulkhead)

    return operator


class _Bulkheaded(Stage[T]):
    def __init__(self, source: Stage[T], bulkhead: Bulkhead) -> None:
        self.source = source
        self.bulkhead = bulkhead

    def attach(self, sink: ObserverBase[Any], scheduler: DemandScheduler) -> DisposableBase:
        return Permitted(sink, self.source, scheduler).line_up(self.bulkhead)
