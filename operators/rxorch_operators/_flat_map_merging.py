"""The plain form of flat_map_bounded: concurrent calls, results as they come."""

from __future__ import annotations

import asyncio
import sys
from abc import abstractmethod
from collections import deque
from collections.abc import Callable
from typing import Any, TypeVar

from reactivex import Observable
from reactivex.abc import DisposableBase, ObserverBase

from .core.demand import DemandScheduler, ListenedDemand
from .core.inner import Project, attach_inner
from .core.stage import DISPOSED, NOTHING, Link, Stage

__all__ = ["Inner", "InnerMaker", "Merging", "MergingFlatMap"]

T = TypeVar("T")


class MergingFlatMap(Stage[T]):
    """What is ready first is emitted first."""

    def __init__(self, source: Stage[Any], project: Project, max_concurrent: int) -> None:
        self.source = source
        self.project = project
        self.max_concurrent = max_concurrent

    def attach(self, sink: ObserverBase[Any], scheduler: DemandScheduler) -> DisposableBase:
        link = Merging(sink, self.project, self.max_concurrent, scheduler)
        return link.connect(self.source, scheduler.with_demand(link))


class Merging(Link, ListenedDemand):
    """Hears the source and runs the inners of one subscription, and is the demand of its source."""

    __slots__ = (
        "_active", "_downstream", "_draining", "_inner", "_inners", "_listeners", "_max_concurrent",
        "_project", "_queue", "_scheduler", "_short", "_source_done",
    )  # fmt: skip

    def __init__(
        self, sink: ObserverBase[Any], project: Project, max_concurrent: int, scheduler: DemandScheduler
    ) -> None:
        super().__init__(sink)
        self._project = project
        self._inner: Callable[[Any, ObserverBase[Any], Merging], Inner] | None = None
        if isinstance(project, InnerMaker):  # and not who has an `inner`, which is a name like any other
            self._inner = project.inner
        self._max_concurrent = max_concurrent
        self._scheduler = scheduler
        self._active = 0
        self._inners: set[Inner] = set()
        self._queue: deque[Any] = deque()  # only what a source pushed without being asked
        self._source_done = False
        self._draining = False
        self._short = False  # whether it was room downstream that was missing when the source asked last
        self._listeners = []
        self._downstream = scheduler.demand
        self._downstream.listen(self._on_downstream_room)

    def credit(self) -> int:
        """Elements that may be sent now."""
        if self.upstream is DISPOSED:
            return sys.maxsize  # `share` may keep the source for others
        credit = self._max_concurrent - self._active - len(self._queue)
        downstream = self._downstream.credit()
        if downstream < 0:
            self._short = True
            return credit + downstream
        return credit

    def _on_downstream_room(self) -> None:
        if self._short:
            self._short = False
            if not self._source_done:
                self.grew()

    def resize(self, max_concurrent: int) -> None:
        """Sets another cap while it runs; under a lower one the inners that are alive go on to their end."""
        self._max_concurrent = max_concurrent
        if self._queue and not self._draining:
            self._drain()
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
        make = self._inner
        inner = Inner(self.sink, self) if make is None else make(value, self.sink, self)
        self._inners.add(inner)
        try:
            if make is None:
                attach_inner(inner, self._project(value), self._scheduler)
            else:
                inner.begin()
        except (Exception, asyncio.CancelledError) as error:
            if self.is_disposed:
                raise
            self.fail(error)  # type: ignore[arg-type]

    def inner_completed(self, inner: Inner) -> None:
        """Frees the slot of an inner that is done."""
        self._inners.discard(inner)
        if inner.upstream is not DISPOSED:
            inner.dispose()  # links refer to each other: undone here, they are freed without the collector
        self._active -= 1
        if self._draining:
            return
        if self._queue:
            self._drain()
        if self._source_done:
            self._complete_if_idle()
        elif (
            not self._short or self.credit() > 0
        ):  # the slot alone seldom makes room where downstream has none
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
        self._complete_if_idle()

    def _complete_if_idle(self) -> None:
        if not self._active and not self._queue and not self.is_disposed:
            self.release()
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
        if self._listeners:  # a source that others share went by our demand
            self.grew()


class Inner(Link):
    """Hears one inner observable; its elements go to the sink of the whole."""

    __slots__ = ("_parent",)

    _parent: Merging | None
    """Who runs it; None only for what a projection with `inner` has made and somebody else runs."""

    def begin(self) -> None:
        """Starts what a projection with `inner` has made."""

    def __init__(self, sink: ObserverBase[Any], parent: Merging | None) -> None:
        self.sink = sink
        self.upstream = NOTHING
        self._parent = parent

    def on_error(self, error: Exception) -> None:
        if self._parent is None:
            self.sink.on_error(error)
        else:
            self._parent.fail(error)

    def on_completed(self) -> None:
        if self._parent is None:
            self.sink.on_completed()
        else:
            self._parent.inner_completed(self)

    def on_only(self, value: Any) -> None:
        if self.upstream is not DISPOSED:
            self.upstream = DISPOSED
            self.give_only(value)

    def give_only(self, value: Any) -> None:
        """Hands on the only element, and ends."""
        parent = self._parent
        if parent is None:
            self.sink.on_only(value)  # type: ignore[attr-defined]  # of `flat_map_bounded`
            return
        self.sink.on_next(value)
        if parent.upstream is not DISPOSED:  # else: the sink has had enough
            parent.inner_completed(self)


class InnerMaker:
    """A projection that can make the inner link itself: one object less, and the way to it is short."""

    __slots__ = ()

    @abstractmethod
    def __call__(self, value: Any) -> Observable[Any]:
        """What is merged for an element, for who makes the link."""

    @abstractmethod
    def inner(self, value: Any, sink: ObserverBase[Any], parent: Merging) -> Inner:
        """The link of an element; its `begin` starts it.

        Args:
            value: The element.
            sink: That of the whole.
            parent: Who runs it.
        """
