"""bulkhead: at most so many at once, shared by all who use the same Bulkhead."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from inspect import isawaitable
from types import TracebackType
from typing import Any, ParamSpec, TypeVar, overload

from reactivex import Observable
from reactivex.abc import DisposableBase, ObserverBase

from .core.clock import Handle
from .core.demand import DemandScheduler
from .core.stage import DISPOSED, NOTHING, Link, Stage, as_stage
from .engines.permits import Permit, PermitPool, PermitStatistics
from .errors import BulkheadFullError, TimeoutExceededError, invalid

__all__ = ["Bulkhead", "bulkhead"]

T = TypeVar("T")
P = ParamSpec("P")


class Bulkhead:
    """A number of permits and a queue before them, for the calls to one service.

    Used by the operator `bulkhead(b)`, by `await b.call(fn, ...)` and by `async with b:`, which share the
    permits. Waiters are served in the order of arrival; one that is cancelled or disposed leaves the queue.
    Use it from one event loop at a time.

    Args:
        limit: Permits, 1 or more. May be set while it runs: a higher limit lets waiters in at once, a lower
            one holds as soon as enough permits came back.
        queue: Waiters it takes before it refuses with `BulkheadFullError`, 0 or more; None for any number.
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

    __slots__ = ("_entered", "max_wait", "name", "pool")

    def __init__(
        self,
        limit: int = 20,
        queue: int | None = None,
        *,
        max_wait: float | None = None,
        name: str | None = None,
    ) -> None:
        if max_wait is not None and not max_wait >= 0.0:
            raise invalid("max_wait", max_wait, "give seconds, 0 or more, or None to wait any time")
        self.pool = PermitPool(limit, queue)
        self.max_wait = max_wait
        self.name = name
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

    def request(self, granted: Callable[[Permit], object]) -> Permit:
        """Takes a permit, or a place in the queue and calls `granted` when its turn comes.

        Raises `BulkheadFullError` when the queue is full.
        """
        try:
            return self.pool.acquire(granted)
        except BulkheadFullError as error:
            if self.name is None:
                raise
            message = f"bulkhead {self.name!r} is full: {error.limit} in flight, {error.queue} waiting"
            raise BulkheadFullError(message, limit=error.limit, queue=error.queue) from None

    async def acquire(self) -> Permit:
        """Waits for a permit; the caller releases it.

        Raises `BulkheadFullError` when the queue is full, `TimeoutExceededError` after `max_wait`.
        """
        waiter: asyncio.Future[None] | None = None

        def granted(_: Permit) -> None:
            if waiter is not None and not waiter.done():
                waiter.set_result(None)

        permit = self.request(granted)
        if permit.held:
            return permit
        waiter = asyncio.get_running_loop().create_future()
        timer = self._timer(waiter)
        try:
            await waiter
        except BaseException:
            permit.release()  # also when it was granted in the turn that cancelled us
            raise
        finally:
            if timer is not None:
                timer.cancel()
        return permit

    def _timer(self, waiter: asyncio.Future[None]) -> Handle | None:
        limit = self.max_wait
        if limit is None:
            return None

        def over() -> None:
            if not waiter.done():
                waiter.set_exception(TimeoutExceededError(limit=limit, kind="queue"))

        return waiter.get_loop().call_later(limit, over)

    @overload
    async def call(self, fn: Callable[P, Awaitable[T]], *args: P.args, **kwargs: P.kwargs) -> T: ...

    @overload
    async def call(self, fn: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T: ...

    async def call(self, fn: Callable[P, Any], *args: P.args, **kwargs: P.kwargs) -> Any:
        """Calls a function, or awaits an async one, while holding a permit.

        Returns what it returns and raises what it raises; `BulkheadFullError` and `TimeoutExceededError` as
        `acquire`, and then the function was not called.
        """
        permit = await self.acquire()
        try:
            result = fn(*args, **kwargs)
            return await result if isawaitable(result) else result
        finally:
            permit.release()

    async def __aenter__(self) -> Bulkhead:
        self._entered.append(await self.acquire())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # Tasks may leave in another order than they entered: any permit is as good as another.
        self._entered.pop().release()

    def __repr__(self) -> str:
        name = "" if self.name is None else f" {self.name!r}"
        pool = self.pool
        return f"<Bulkhead{name}: {pool.in_flight} of {pool.limit} in flight, {pool.waiting} waiting>"


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
        link = _Permitted(sink, self.source, scheduler)
        try:
            permit = self.bulkhead.request(link.granted)
        except BulkheadFullError as error:
            sink.on_error(error)
            return NOTHING
        link.permit = permit
        if permit.held:
            link.start()
        else:
            link.wait(self.bulkhead.max_wait)
        return link


class _Permitted(Link):
    """Waits for a permit, holds it while the source runs."""

    __slots__ = ("_scheduler", "_source", "_timer", "permit")

    permit: Permit

    def __init__(self, sink: ObserverBase[Any], source: Stage[Any], scheduler: DemandScheduler) -> None:
        self.sink = sink
        self.upstream = NOTHING
        self._source = source
        self._scheduler = scheduler
        self._timer: Handle | None = None

    def wait(self, max_wait: float | None) -> None:
        """Stays in the queue, for so many seconds at most."""
        if max_wait is not None:
            self._timer = self._scheduler.clock.call_later(max_wait, lambda: self._tired(max_wait))

    def _tired(self, max_wait: float) -> None:
        self.on_error(TimeoutExceededError(limit=max_wait, kind="queue"))

    def granted(self, _: Permit) -> None:
        """Its turn has come."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self.start()

    def start(self) -> None:
        """Subscribes to the source; an exception on the way is its error."""
        try:
            self.connect(self._source, self._scheduler)
        except Exception as error:
            if self.upstream is DISPOSED:
                raise
            self.on_error(error)

    def on_next(self, value: Any) -> None:
        if self.upstream is not DISPOSED:
            self.sink.on_next(value)

    def on_error(self, error: Exception) -> None:
        if self.upstream is not DISPOSED:
            try:
                self._let_go()
            finally:  # the next one starts inside the release; what it raises must not cost us our end
                self.sink.on_error(error)

    def on_completed(self) -> None:
        if self.upstream is not DISPOSED:
            try:
                self._let_go()
            finally:
                self.sink.on_completed()

    def dispose(self) -> None:
        upstream = self.upstream
        if upstream is DISPOSED:
            return
        self.upstream = DISPOSED
        try:
            upstream.dispose()  # first: who gets the permit must not meet what it stood for
        finally:
            self._let_go()

    def _let_go(self) -> None:
        self.release()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self.permit.release()
