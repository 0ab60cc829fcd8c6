"""flat_map_bounded: flat_map with a cap, and with back-pressure on its source."""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from reactivex import Observable
from reactivex.abc import DisposableBase, ObserverBase

from ._flat_map_ordered import OrderedFlatMap
from .core.demand import DemandScheduler, ListenedDemand
from .core.inner import Project, attach_inner
from .core.stage import DISPOSED, Link, Stage, as_stage

A = TypeVar("A")
B = TypeVar("B")


def flat_map_bounded(
    project: Callable[[A], Observable[B] | Awaitable[B]],
    *,
    max_concurrent: int,
    ordered: bool = False,
    buffer: int | None = None,
) -> Callable[[Observable[A]], Observable[B]]:
    """Maps each element to an observable, or to an `async def` call, and merges at most so many at once.

    The source is asked for an element only when there is a free slot and room downstream. Sources that
    can wait (`from_iterable`, `from_async_iterable`, this operator) do wait, also through stock operators
    in between that do not buffer; so no queue grows. A source that pushes regardless is queued here.

    Args:
        project: Gives the inner observable or awaitable for one element. What it raises is an error.
        max_concurrent: Inner subscriptions alive at once, 1 or more.
        ordered: Emit in the order of the source. A slow element holds up the emission of later ones, not
            their calls, until `buffer` of them wait.
        buffer: Only with `ordered`: how many finished elements may wait for an earlier one;
            `max_concurrent` by default.

    Emits: what the inner observables emit. Completes when source and all inners have. Errors: the first
    error of the source, of `project` or of an inner; everything else is disposed first.
    Disposal: disposes the source and every inner.

    ::

        source        ab-c|                cap 2
        inners        a: ----1|    b: -2|    c: ---3|
        unordered     --2-1-3|
        ordered       ----123|

    Example:

    >>> import asyncio
    >>> from rxorch_operators import flat_map_bounded, from_iterable, to_async_iterable
    >>> async def call(x):
    ...     await asyncio.sleep(0)
    ...     return x * 10
    >>> async def main():
    ...     stream = from_iterable(range(4)).pipe(flat_map_bounded(call, max_concurrent=2, ordered=True))
    ...     return [value async for value in to_async_iterable(stream)]
    >>> asyncio.run(main())
    [0, 10, 20, 30]
    """
    if isinstance(max_concurrent, bool) or not isinstance(max_concurrent, int) or max_concurrent < 1:
        raise ValueError(f"max_concurrent must be a whole number of 1 or more, got {max_concurrent!r}")
    if buffer is not None and not ordered:
        raise ValueError("buffer bounds the look-ahead of ordered=True; without it nothing is buffered")
    if buffer is not None and buffer < 0:
        raise ValueError(f"buffer must be 0 or more, got {buffer!r}")

    def operator(source: Observable[A]) -> Observable[B]:
        stage = as_stage(source)
        if ordered:
            look_ahead = max_concurrent if buffer is None else buffer
            return OrderedFlatMap(stage, project, max_concurrent, look_ahead)
        return _FlatMap(stage, project, max_concurrent)

    return operator


class _FlatMap(Stage[B]):
    def __init__(self, source: Stage[Any], project: Project, max_concurrent: int) -> None:
        self.source = source
        self.project = project
        self.max_concurrent = max_concurrent

    def attach(self, sink: ObserverBase[Any], scheduler: DemandScheduler) -> DisposableBase:
        link = _Merging(sink, self.project, self.max_concurrent, scheduler)
        return link.connect(self.source, scheduler.with_demand(link))


class _Merging(Link, ListenedDemand):
    __slots__ = (
        "_active", "_downstream", "_draining", "_inners", "_listeners", "_max_concurrent", "_project",
        "_queue", "_scheduler", "_source_done",
    )  # fmt: skip

    def __init__(
        self, sink: ObserverBase[Any], project: Project, max_concurrent: int, scheduler: DemandScheduler
    ) -> None:
        super().__init__(sink)
        self._project = project
        self._max_concurrent = max_concurrent
        self._scheduler = scheduler
        self._active = 0
        self._inners: set[_Inner] = set()
        self._queue: deque[Any] = deque()  # only what a source pushed without being asked
        self._source_done = False
        self._draining = False
        self._listeners = []
        self._downstream = scheduler.demand
        self._downstream.listen(self._on_downstream_room)

    def credit(self) -> int:
        """Elements that may be sent now."""
        credit = self._max_concurrent - self._active - len(self._queue)
        downstream = self._downstream.credit()
        return credit + downstream if downstream < 0 else credit

    def _on_downstream_room(self) -> None:
        if not self._source_done and self.credit() > 0:
            self.grew()

    def on_next(self, value: Any) -> None:
        if self.upstream is DISPOSED:
            return
        if self._active < self._max_concurrent and not self._queue:
            self._start(value)
        else:
            self._queue.append(value)

    def _start(self, value: Any) -> None:
        self._active += 1
        inner = _Inner(self.sink, self)
        self._inners.add(inner)
        try:
            attach_inner(inner, self._project(value), self._scheduler)
        except Exception as error:
            if self.is_disposed:
                raise
            self.fail(error)

    def inner_completed(self, inner: _Inner) -> None:
        """Frees the slot of an inner that is done."""
        self._inners.discard(inner)
        inner.dispose()  # links refer to each other: undone here, they are freed without the collector
        self._active -= 1
        if self._draining:
            return
        if self._queue:
            self._drain()
        if self._source_done:
            if not self._active and not self._queue and not self.is_disposed:
                self._end()
                self.sink.on_completed()
        elif self.credit() > 0:
            self.grew()

    def _drain(self) -> None:
        # A loop, not a recursion: inners that complete at once would nest as deep as the queue is long.
        self._draining = True
        while self._queue and self._active < self._max_concurrent:
            self._start(self._queue.popleft())
        self._draining = False

    def fail(self, error: Exception) -> None:
        """Ends everything with an error."""
        if not self.is_disposed:
            self.dispose()
            self.sink.on_error(error)

    def on_error(self, error: Exception) -> None:
        self.fail(error)

    def on_completed(self) -> None:
        self._source_done = True
        if not self._active and not self._queue and not self.is_disposed:
            self._end()
            self.sink.on_completed()

    def _end(self) -> None:
        self._downstream.forget(self._on_downstream_room)

    def dispose(self) -> None:
        if self.is_disposed:
            return
        super().dispose()
        self._end()
        self._queue.clear()
        inners, self._inners = self._inners, set()
        for inner in inners:
            inner.dispose()


class _Inner(Link):
    __slots__ = ("_parent",)

    def __init__(self, sink: ObserverBase[Any], parent: _Merging) -> None:
        super().__init__(sink)
        self._parent = parent

    def on_error(self, error: Exception) -> None:
        self._parent.fail(error)

    def on_completed(self) -> None:
        self._parent.inner_completed(self)
