"""The form of flat_map_bounded that keeps the order per key: equal keys in turn, different ones at once."""

from __future__ import annotations

import asyncio
import sys
from collections import deque
from collections.abc import Callable, Hashable
from typing import Any, TypeVar, cast

from reactivex.abc import DisposableBase, ObserverBase

from ._flat_map_merging import Inner, Merging
from ._keyed import remove
from .core.demand import DemandScheduler
from .core.inner import Project, attach_inner
from .core.stage import DISPOSED, Stage

__all__ = ["KeyedFlatMap"]

T = TypeVar("T")


class KeyedFlatMap(Stage[T]):
    """Each key is a lane in which one inner runs at a time."""

    def __init__(
        self,
        source: Stage[Any],
        project: Project,
        key: Callable[[Any], Hashable],
        max_concurrent: int,
        look_ahead: int,
    ) -> None:
        self.source = source
        self.project = project
        self.key = key
        self.max_concurrent = max_concurrent
        self.look_ahead = look_ahead

    def attach(self, sink: ObserverBase[Any], scheduler: DemandScheduler) -> DisposableBase:
        link = _Keying(sink, self, scheduler)
        return link.connect(self.source, scheduler.with_demand(link))


class _Lane:
    """A key of which an element runs or is in `_queue`, and the elements that wait behind it."""

    __slots__ = ("key", "waiting")

    def __init__(self, key: Hashable) -> None:
        self.key = key
        self.waiting: deque[Any] | None = None  # most keys never see two elements at once


class _Keying(Merging):
    """Here `_queue` holds elements, with their lanes, that could run but for a free slot.

    They come there only when the source pushes unasked: a slot that is freed goes to the lane that freed it.
    """

    __slots__ = ("_key", "_lanes", "_look_ahead", "_waiting")

    def __init__(self, sink: ObserverBase[Any], stage: KeyedFlatMap[Any], scheduler: DemandScheduler) -> None:
        super().__init__(sink, stage.project, stage.max_concurrent, scheduler)
        self._key = stage.key
        self._look_ahead = stage.look_ahead
        self._lanes: dict[Hashable, _Lane] = {}
        self._waiting = 0

    def credit(self) -> int:
        """Elements that may be sent now: each may find its key busy, and each may find it free."""
        if self.upstream is DISPOSED:
            return sys.maxsize  # `share` may keep the source for others
        slots = self._max_concurrent - self._active - len(self._queue)
        credit = min(slots, self._look_ahead - self._waiting)
        downstream = self._downstream.credit()
        if downstream < 0:
            self._short = True
            return credit + downstream
        return credit

    def on_next(self, value: Any) -> None:
        if self.upstream is DISPOSED:
            return
        try:
            key = self._key(value)
            lane = self._lanes.get(key)
            is_free = lane is None
            if lane is None:
                lane = self._lanes[key] = _Lane(key)
        except (Exception, asyncio.CancelledError) as error:
            if self.is_disposed:
                raise
            self.fail(error)  # type: ignore[arg-type]
            return
        if is_free:
            super().on_next((lane, value))
            return
        if lane.waiting is None:
            lane.waiting = deque()
        lane.waiting.append(value)
        self._waiting += 1

    def _start(self, value: tuple[_Lane, Any]) -> None:
        self._active += 1
        inner = _KeyedInner(self.sink, self)
        inner.lane, element = value
        self._inners.add(inner)
        try:
            attach_inner(inner, self._project(element), self._scheduler)
        except (Exception, asyncio.CancelledError) as error:
            if self.is_disposed:
                raise
            self.fail(error)  # type: ignore[arg-type]

    def inner_completed(self, inner: Inner) -> None:
        """Frees the slot and the key of an inner that is done; the next one of its lane is ready."""
        if self.is_disposed:
            return
        lane = cast("_KeyedInner", inner).lane
        if lane.waiting:
            self._queue.append((lane, lane.waiting.popleft()))
            self._waiting -= 1
        else:
            remove(self._lanes, lane.key, lane)  # the lane that runs knows what waits in it, found or not
        super().inner_completed(inner)

    def dispose(self) -> None:
        super().dispose()
        self._lanes.clear()


class _KeyedInner(Inner):
    __slots__ = ("lane",)

    lane: _Lane
