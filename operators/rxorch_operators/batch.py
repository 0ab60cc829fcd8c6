"""batch: elements in lists, by number or by time, whichever comes first."""

from __future__ import annotations

import asyncio
import math
import sys
from collections import deque
from collections.abc import Callable
from typing import Any, TypeVar, overload

from reactivex import Observable
from reactivex.abc import DisposableBase, ObserverBase, SchedulerBase

from .core.clock import Clock, Handle
from .core.demand import UNBOUNDED, DemandScheduler, ListenedDemand
from .core.stage import DISPOSED, NOTHING, Link, Stage, as_stage
from .errors import invalid, is_count

__all__ = ["batch"]

T = TypeVar("T")


@overload
def batch(
    size: int, within: float | None = None, *, scheduler: SchedulerBase | None = None
) -> Callable[[Observable[T]], Observable[list[T]]]: ...


@overload
def batch(
    size: float,
    within: float | None = None,
    *,
    weigh: Callable[[T], float],
    scheduler: SchedulerBase | None = None,
) -> Callable[[Observable[T]], Observable[list[T]]]: ...


def batch(
    size: float,
    within: float | None = None,
    *,
    weigh: Callable[[T], float] | None = None,
    scheduler: SchedulerBase | None = None,
) -> Callable[[Observable[T]], Observable[list[T]]]:
    """Collects elements into lists: a list goes when it is full, or so long after its first element.

    A bounded consumer is asked whether it has room for a list. While it has none, one more list is filled;
    then the source has to wait. What a source pushes regardless is kept here without a bound, in full lists.

    Args:
        size: Elements in a list at most, 1 or more. With `weigh`: units, any number above 0.
        within: Seconds from the first element of a list until it goes, full or not; 0 for what comes in one
            turn of the event loop. None: only full lists, and the rest at the end.
        weigh: Tells the units that an element takes, 0 or more. A list never weighs more than `size`, unless
            one element does so alone: that gets a list to itself.
        scheduler: Time to wait on; that of the subscription by default.

    Emits: new lists, never an empty one; the receiver may keep and change them. The last one, full or not,
    comes before the end. Errors: those of the source, and what `weigh` raises, after a list of the elements
    that came before. (Reactor's `bufferTimeout` and the `Buffer` of ReactiveX drop those elements.)
    Disposal: drops the elements at hand, stops the timer and disposes the source.

    ::

        source        abc--d---------e|     size=3, within=5
        result        --(abc)---(d)---(e)|

    >>> from rxorch_operators import from_iterable
    >>> from rxorch_operators.batch import batch
    >>> from_iterable("abcde").pipe(batch(2)).subscribe(print) and None
    ['a', 'b']
    ['c', 'd']
    ['e']
    """
    if weigh is None:
        if not is_count(size):
            raise invalid("size", size, "give a whole number, 1 or more")
    elif not 0.0 < size < math.inf:
        raise invalid("size", size, "give units of weigh, above 0")
    if within is not None and not within >= 0.0:
        raise invalid("within", within, "give seconds, 0 or more, or None to wait for full lists")
    seconds = None if within == math.inf else within
    clock = None if scheduler is None else DemandScheduler.of(scheduler).clock

    def operator(source: Observable[T]) -> Observable[list[T]]:
        return _Batch(as_stage(source), size, seconds, weigh, clock)

    return operator


class _Batch(Stage[list[T]]):
    def __init__(
        self,
        source: Stage[T],
        size: float,
        within: float | None,
        weigh: Callable[[Any], float] | None,
        clock: Clock | None,
    ) -> None:
        self.source = source
        self.size = size
        self.within = within
        self.weigh = weigh
        self.clock = clock

    def attach(self, sink: ObserverBase[Any], scheduler: DemandScheduler) -> DisposableBase:
        weigh = self.weigh
        link = _Counting(sink, self, scheduler) if weigh is None else _Weighing(sink, self, scheduler, weigh)
        if scheduler.demand is not UNBOUNDED:
            scheduler = scheduler.with_demand(link)
        return link.connect(self.source, scheduler)


class _Batching(Link, ListenedDemand):
    """Fills the open list. Full ones wait in a queue, where there is more than one only if it was pushed."""

    __slots__ = (
        "_clock", "_downstream", "_due", "_error", "_full", "_listeners", "_open", "_sending", "_source_done",
        "_timer", "_within",
    )  # fmt: skip

    def __init__(self, sink: ObserverBase[Any], stage: _Batch[Any], scheduler: DemandScheduler) -> None:
        self.sink = sink
        self.upstream = NOTHING
        self._within = stage.within
        self._clock = stage.clock or scheduler.clock
        self._open: list[Any] = []
        self._full: deque[list[Any]] = deque()
        self._due = False  # whether the open list may go as it is: its time is over, or the source at its end
        self._timer: Handle | None = None
        self._sending = False
        self._source_done = False
        self._error: Exception | None = None  # how the source ended, kept until its turn
        self._listeners = []
        self._downstream = scheduler.demand
        if self._downstream is not UNBOUNDED:
            self._downstream.listen(self._on_room)

    def _begin(self) -> None:
        """The open list has got its first element."""
        if self._within is not None:
            try:
                self._timer = self._clock.call_later(self._within, self._on_time)
            except Exception as error:  # no event loop to wait on
                self._break(error)

    def _on_time(self) -> None:
        self._timer = None
        self._due = True
        self._send()

    def _close(self) -> None:
        """The open list is to go; the next element begins another."""
        self._full.append(self._open)
        self._open = []
        self._due = False
        self._stop_timer()

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _send(self) -> None:
        """Sends what may go now, in a loop: the sink may have us called again from inside `on_next`."""
        if self._sending:
            return
        self._sending = True
        room = self._downstream.credit
        try:
            while (self._full or self._due) and room() > 0:
                if not self._full:
                    self._close()
                self.sink.on_next(self._full.popleft())
                if self.upstream is DISPOSED:
                    return
        finally:
            self._sending = False
        if self._source_done and not self._full and not self._due:
            self._finish()

    def _on_room(self) -> None:
        if self.upstream is DISPOSED:
            return
        self._send()
        if not self._source_done and self.credit() > 0:
            self.grew()

    def on_error(self, error: Exception) -> None:
        if self._source_done or self.upstream is DISPOSED:
            return
        self._error = error
        self.on_completed()
        if self.upstream is not DISPOSED and not isinstance(error, Exception):
            self.dispose()  # type: ignore[unreachable]  # a cancellation does not wait for room
            self.sink.on_error(error)

    def on_completed(self) -> None:
        if self.upstream is DISPOSED or self._source_done:
            return
        self._source_done = True
        self._due = bool(self._open)
        self._stop_timer()
        self._send()

    def _break(self, error: Exception) -> None:
        """Ends with an error of our own, in its turn; the source has to stop at once."""
        self.on_error(error)
        self.upstream.dispose()

    def _finish(self) -> None:
        self.dispose()
        if self._error is None:
            self.sink.on_completed()
        else:
            self.sink.on_error(self._error)

    def dispose(self) -> None:
        if self.upstream is DISPOSED:
            return
        super().dispose()
        if self._downstream is not UNBOUNDED:
            self._downstream.forget(self._on_room)
        self._full.clear()
        self._open = []
        self._stop_timer()
        if self._listeners:  # a source that others share went by our demand
            self.grew()


class _Counting(_Batching):
    __slots__ = ("_size",)

    def __init__(self, sink: ObserverBase[Any], stage: _Batch[Any], scheduler: DemandScheduler) -> None:
        super().__init__(sink, stage, scheduler)
        self._size = int(stage.size)

    def credit(self) -> int:
        """Elements that may be sent now: as many as fill the lists that downstream can take, and one more."""
        if self.upstream is DISPOSED:
            return sys.maxsize  # `share` may keep the source for others
        lists = self._downstream.credit() + 1 - len(self._full)
        return lists * self._size - len(self._open)

    def on_next(self, value: Any) -> None:
        if self._source_done or self.upstream is DISPOSED:
            return
        items = self._open
        items.append(value)
        count = len(items)
        if count == self._size:
            self._close()
            self._send()
        elif count == 1:
            self._begin()


class _Weighing(_Batching):
    __slots__ = ("_max_weight", "_weigh", "_weight")

    def __init__(
        self,
        sink: ObserverBase[Any],
        stage: _Batch[Any],
        scheduler: DemandScheduler,
        weigh: Callable[[Any], float],
    ) -> None:
        super().__init__(sink, stage, scheduler)
        self._max_weight = stage.size
        self._weigh = weigh
        self._weight: float = 0

    def credit(self) -> int:
        """Elements that may be sent now: what they weigh is not known, so each counts as a whole list."""
        if self.upstream is DISPOSED:
            return sys.maxsize  # `share` may keep the source for others
        return self._downstream.credit() + 1 - len(self._full)

    def on_next(self, value: Any) -> None:
        if self._source_done or self.upstream is DISPOSED:
            return
        try:
            weight = self._weigh(value)
            if not weight >= 0.0:
                raise invalid("weigh", weight, "the weight of an element is 0 or more")
        except (Exception, asyncio.CancelledError) as error:
            self._break(error)  # type: ignore[arg-type]
            return
        if self.upstream is DISPOSED:  # by `weigh` itself
            return
        if self._open and self._weight + weight > self._max_weight:
            self._close()
        first = not self._open
        self._weight = weight if first else self._weight + weight
        self._open.append(value)
        if self._weight >= self._max_weight:
            self._close()
        elif first:
            self._begin()
        if self._full:
            self._send()
