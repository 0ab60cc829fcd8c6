"""The ordered form of flat_map_bounded: concurrent calls, results in the order of the source."""

from __future__ import annotations

import asyncio
import sys
from collections import deque
from typing import Any, Final, TypeVar

from reactivex import Observable
from reactivex.abc import DisposableBase, ObserverBase

from .core.demand import DemandScheduler, ListenedDemand
from .core.inner import Project, attach_inner
from .core.stage import DISPOSED, Link, Stage

T = TypeVar("T")

_HELD: Final = 16
"""Elements that an inner which can wait may emit before its turn."""


class OrderedFlatMap(Stage[T]):
    """Each element gets a seat in the order of the source; only the first seat emits."""

    def __init__(self, source: Stage[Any], project: Project, max_concurrent: int, look_ahead: int) -> None:
        self.source = source
        self.project = project
        self.max_concurrent = max_concurrent
        self.look_ahead = look_ahead

    def attach(self, sink: ObserverBase[Any], scheduler: DemandScheduler) -> DisposableBase:
        link = _Ordering(sink, self, scheduler)
        return link.connect(self.source, scheduler.with_demand(link))


class _Ordering(Link, ListenedDemand):
    __slots__ = (
        "_active", "_advancing", "_downstream", "_listeners", "_project", "_queue", "_scheduler", "_seats",
        "_seats_max", "_slots", "_source_done",
    )  # fmt: skip

    def __init__(
        self, sink: ObserverBase[Any], stage: OrderedFlatMap[Any], scheduler: DemandScheduler
    ) -> None:
        super().__init__(sink)
        self._project = stage.project
        self._slots = stage.max_concurrent
        self._seats_max = stage.max_concurrent + stage.look_ahead
        self._scheduler = scheduler
        self._active = 0
        self._seats: deque[_Seat] = deque()  # running or waiting for an earlier one, in order
        self._queue: deque[Any] = deque()
        self._source_done = False
        self._advancing = False
        self._listeners = []
        self._downstream = scheduler.demand
        self._downstream.listen(self._on_downstream_room)

    def _free(self) -> int:
        return min(self._slots - self._active, self._seats_max - len(self._seats))

    def credit(self) -> int:
        """Elements that may be sent now."""
        if self.upstream is DISPOSED:
            return sys.maxsize  # `share` may keep the source for others
        credit = self._free() - len(self._queue)
        downstream = self._downstream.credit()
        return credit + downstream if downstream < 0 else credit

    def _on_downstream_room(self) -> None:
        if self._seats:
            self._seats[0].grew()
        if not self._source_done and self.credit() > 0:
            self.grew()

    def resize(self, max_concurrent: int) -> None:
        """Sets another cap while it runs; under a lower one the inners that are alive go on to their end."""
        self._seats_max += max_concurrent - self._slots
        self._slots = max_concurrent
        self._advance()
        if not self._source_done and not self._advancing and self.credit() > 0:
            self.grew()

    def on_next(self, value: Any) -> None:
        if self.upstream is not DISPOSED:
            self._queue.append(value)
            self._advance()

    def on_error(self, error: Exception) -> None:
        self.fail(error)

    def on_completed(self) -> None:
        self._source_done = True
        self._advance()

    def _start(self, value: Any) -> None:
        self._active += 1
        seat = _Seat(self.sink, self)
        self._seats.append(seat)
        try:
            inner = self._project(value)
            scheduler = self._scheduler
            if isinstance(inner, Observable):  # an awaitable has one result and asks for no demand
                scheduler = scheduler.with_demand(seat)
            attach_inner(seat, inner, scheduler)
        except (Exception, asyncio.CancelledError) as error:
            if self.is_disposed:
                raise
            self.fail(error)  # type: ignore[arg-type]

    def seat_completed(self) -> None:
        """Frees the slot of an inner; its seat goes when all earlier ones are gone."""
        self._active -= 1
        self._advance()
        if not self._source_done and not self._advancing and self.credit() > 0:
            self.grew()

    def is_first(self, seat: _Seat) -> bool:
        """Whether this seat may emit now."""
        return bool(self._seats) and self._seats[0] is seat

    def credit_downstream(self) -> int:
        """What the first seat may emit."""
        return self._downstream.credit()

    def _advance(self) -> None:
        """Empties finished seats at the front and fills free ones: a loop, so nothing nests."""
        if self._advancing:
            return
        self._advancing = True
        try:
            while not self.is_disposed and (self._emit_front() or self._start_next()):
                pass
        finally:
            self._advancing = False
        if self._source_done and not self._seats and not self._queue and not self.is_disposed:
            self._end()
            self.sink.on_completed()

    def _emit_front(self) -> bool:
        if not self._seats:
            return False
        front = self._seats[0]
        emitted = False
        for value in front.held:  # grows meanwhile, if the sink makes its inner go on
            emitted = True
            self.sink.on_next(value)
            if self.is_disposed:
                return False
        front.held.clear()
        if front.done:
            self._seats.popleft()
        elif emitted:
            front.grew()
        return emitted or front.done

    def _start_next(self) -> bool:
        if not self._queue or self._free() <= 0:
            return False
        self._start(self._queue.popleft())
        return True

    def fail(self, error: Exception) -> None:
        """Ends everything with an error; what was emitted stays emitted."""
        if not self.is_disposed:
            self.dispose()
            self.sink.on_error(error)

    def _end(self) -> None:
        self._downstream.forget(self._on_downstream_room)

    def dispose(self) -> None:
        if self.is_disposed:
            return
        super().dispose()
        self._end()
        self._queue.clear()
        seats, self._seats = self._seats, deque()
        for seat in seats:
            seat.dispose()
        if self._listeners:  # a source that others share went by our demand
            self.grew()


class _Seat(Link, ListenedDemand):
    """An inner that emits when it is the first, and holds what it gives before.

    It is the demand of its inner too: that of downstream once it is the first, and little before.
    """

    __slots__ = ("_listeners", "_parent", "done", "held")

    def __init__(self, sink: ObserverBase[Any], parent: _Ordering) -> None:
        super().__init__(sink)
        self._parent = parent
        self._listeners = []
        self.held: list[Any] = []
        self.done = False

    def credit(self) -> int:
        """Elements that may be sent now."""
        if self._parent.is_first(self):
            return self._parent.credit_downstream()
        return _HELD - len(self.held)

    def on_next(self, value: Any) -> None:
        if self.upstream is DISPOSED:
            return
        if self._parent.is_first(self) and not self.held:
            self.sink.on_next(value)
        else:
            self.held.append(value)

    def on_error(self, error: Exception) -> None:
        self._parent.fail(error)

    def on_completed(self) -> None:
        self.done = True
        self.dispose()  # links refer to each other: undone here, they are freed without the garbage collector
        self._parent.seat_completed()
