"""timeout: separate limits for a whole subscription, its first element and each gap."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Final, Literal, TypeVar

from reactivex import Observable
from reactivex.abc import DisposableBase, ObserverBase, SchedulerBase

from .core.clock import Clock, Handle
from .core.demand import UNBOUNDED, Demand, DemandScheduler
from .core.stage import DISPOSED, NOTHING, Link, Stage, as_stage
from .core.timer_queue import SharedTimer
from .errors import TimeoutExceededError, TimeoutKind, invalid, is_number

__all__ = ["timeout"]

T = TypeVar("T")

_EARLY: Final = 1e-6
"""Seconds by which a timer may fire before its time: clocks tick, virtual ones in microseconds."""


def timeout(
    total: float | Callable[[], float | None] | None = None,
    *,
    each: float | None = None,
    first: float | None = None,
    kind: Literal["total", "attempt"] = "total",
    scheduler: SchedulerBase | None = None,
) -> Callable[[Observable[T]], Observable[T]]:
    """Ends a subscription with an error of its own when a time limit runs out.

    Args:
        total: Seconds from subscription to the end of the source; or a function that gives them when
            subscribed (what is left of a deadline), with None for no limit. With nothing left (0 or
            less) the source is not even subscribed.
        each: Seconds from one element to the next or to the end, and to the first element too unless `first`
            is given. Time in which a bounded consumer asks for nothing does not count: the source may not
            emit then.
        first: Seconds from subscription to the first element, or to the end of an empty source.
        kind: What its error calls the total: "attempt" where a retry stands outside of it.
        scheduler: Time to measure with; that of the subscription by default.

    Emits: the elements of the source. Errors: those of the source; `TimeoutExceededError`, which is also a
    `TimeoutError`, with `kind` "total" (or "attempt"), "each" or "first" and the `limit` in seconds. The
    source is disposed before the error goes out. Disposal: stops the timers and disposes the source.

    ::

        source        -a--b----------c|      each=5
        result        -a--b----x

    >>> import reactivex
    >>> from reactivex.scheduler import VirtualTimeScheduler
    >>> from rxorch_operators import timeout
    >>> time = VirtualTimeScheduler()
    >>> slow = reactivex.timer(2.0).pipe(timeout(0.5))
    >>> _ = slow.subscribe(print, lambda error: print(repr(error.kind), error.limit), scheduler=time)
    >>> time.start()
    'total' 0.5
    """
    for name, limit in (("total", total), ("each", each), ("first", first)):
        if limit is not None and not callable(limit) and not is_number(limit):
            raise invalid(name, limit, "give seconds, 0 or more, or None for no limit")
    if kind not in ("total", "attempt"):
        raise invalid("kind", kind, 'give "total" or "attempt"')
    clock = None if scheduler is None else DemandScheduler.of(scheduler).clock

    shared = SharedTimer()

    def operator(source: Observable[T]) -> Observable[T]:
        return _Timeout(as_stage(source), total, _finite(each), _finite(first), kind, clock, shared)

    return operator


def _finite(limit: float | None) -> float | None:
    return None if limit == math.inf else limit


class _Timeout(Stage[T]):
    def __init__(
        self,
        source: Stage[T],
        total: float | Callable[[], float | None] | None,
        each: float | None,
        until_first: float | None,
        kind: TimeoutKind,
        clock: Clock | None,
        shared: SharedTimer | None,
    ) -> None:
        self.source = source
        self.shared = shared
        self.total = total
        self.each = each
        self.until_first = until_first  # `first` is a method of Observable
        self.kind = kind
        self.clock = clock

    def attach(self, sink: ObserverBase[Any], scheduler: DemandScheduler) -> DisposableBase:
        total, shared = self.total, self.shared
        if callable(total):
            total, shared = total(), None
        if total is not None and not total > 0.0:
            sink.on_error(TimeoutExceededError(limit=max(0.0, total), kind=self.kind))
            return NOTHING
        link: _Limited
        if self.each is None and self.until_first is None:
            link = _Limited(sink, self.kind)
        else:
            link = _Paced(sink, self, scheduler)
            if scheduler.demand is not UNBOUNDED:
                scheduler = scheduler.with_demand(_Watched(scheduler.demand, link))
        try:
            link.connect(self.source, scheduler)
            if link.upstream is not DISPOSED:  # else: it ended while it was starting
                link.arm(total, self.clock or scheduler.clock, shared)
        except BaseException:
            link.dispose()
            raise
        return link


class _Limited(Link):
    """Has one timer at most, for the whole subscription."""

    __slots__ = ("_kind", "_total", "_total_limit")

    def __init__(self, sink: ObserverBase[Any], kind: TimeoutKind) -> None:
        self.sink = sink
        self.upstream = NOTHING
        self._kind = kind
        self._total: Handle | None = None

    def arm(self, total: float | None, clock: Clock, shared: SharedTimer | None) -> None:
        """Starts the time."""
        if total is None or total == math.inf:
            return
        self._total_limit = total
        if shared is None:
            self._total = clock.call_later(total, self._total_over)
        else:
            self._total = shared.queue(clock, total).call(self._total_over)

    def _total_over(self) -> None:
        self._expire(self._total_limit, self._kind)

    def _expire(self, limit: float, kind: TimeoutKind) -> None:
        if self.upstream is not DISPOSED:
            self.dispose()
            self.sink.on_error(TimeoutExceededError(limit=limit, kind=kind))

    def on_next(self, value: Any) -> None:
        if self.upstream is not DISPOSED:
            self.sink.on_next(value)

    def on_error(self, error: Exception) -> None:
        if self.upstream is not DISPOSED:
            self.release()
            self._disarm()
            self.sink.on_error(error)

    def on_completed(self) -> None:
        if self.upstream is not DISPOSED:
            self.release()
            self._disarm()
            self.sink.on_completed()

    def on_only(self, value: Any) -> None:
        only = getattr(self.sink, "on_only", None)
        if only is None:
            super().on_only(value)
        elif self.upstream is not DISPOSED:
            self.upstream = DISPOSED
            total, self._total = self._total, None
            if total is not None:
                total.cancel()
            only(value)

    def dispose(self) -> None:
        upstream = self.upstream
        if upstream is not DISPOSED:
            self.upstream = DISPOSED
            self._disarm()
            upstream.dispose()

    def _disarm(self) -> None:
        if self._total is not None:
            self._total.cancel()
            self._total = None


class _Paced(_Limited):
    """Has a second timer, for the first element and then for the gaps.

    An element only notes its time. The timer looks at the note when it fires and sets itself anew, so a fast
    stream costs one timer per limit and not one per element.
    """

    __slots__ = ("_clock", "_closed", "_demand", "_each", "_gap", "_gap_kind", "_gap_limit", "_last")

    _gap_kind: TimeoutKind
    on_only = Link.on_only  # its elements have times of their own

    def __init__(self, sink: ObserverBase[Any], stage: _Timeout[Any], scheduler: DemandScheduler) -> None:
        super().__init__(sink, stage.kind)
        self._clock = stage.clock or scheduler.clock
        self._each = stage.each
        self._demand: Demand = scheduler.demand
        self._closed = False  # whether the consumer was seen asking for nothing, by us or by the source
        self._gap: Handle | None = None
        self._gap_kind, self._gap_limit = "first", stage.until_first
        if stage.until_first is None:
            self._gap_kind, self._gap_limit = "each", stage.each
        self._last = self._clock.now()

    def held_up(self) -> None:
        """The source has seen that the consumer asks for nothing."""
        self._closed = True

    def arm(self, total: float | None, clock: Clock, shared: SharedTimer | None) -> None:
        super().arm(total, clock, shared)
        if self._demand is not UNBOUNDED:
            self._demand.listen(self._on_room)
            self._closed = self._demand.credit() <= 0
        self._arm_gap()

    def _arm_gap(self) -> None:
        if self._gap is None and self._gap_limit is not None:
            self._gap = self._clock.call_later(self._gap_limit, self._gap_over)

    def on_next(self, value: Any) -> None:
        if self.upstream is DISPOSED:
            return
        if self._gap_kind == "first":
            self._first_arrived()
        self.sink.on_next(value)
        self._last = self._clock.now()
        self._closed = self._demand.credit() <= 0

    def _first_arrived(self) -> None:
        self._gap_kind, self._gap_limit = "each", self._each
        gap, self._gap = self._gap, None
        if gap is not None:  # else: the source emits while it is starting, and `arm` follows
            gap.cancel()
            self._arm_gap()

    def _on_room(self) -> None:
        if self._closed and self._demand.credit() > 0:
            self._closed = False
            self._last = self._clock.now()

    def _gap_over(self) -> None:
        limit = self._gap_limit
        if limit is None or self.upstream is DISPOSED:
            return
        now = self._clock.now()
        if self._demand.credit() <= 0:
            self._closed = True
            self._last = now
        left = self._last + limit - now
        if left > _EARLY:
            self._gap = self._clock.call_later(left, self._gap_over)
        else:
            self._expire(limit, self._gap_kind)

    def _disarm(self) -> None:
        super()._disarm()
        if self._demand is not UNBOUNDED:
            self._demand.forget(self._on_room)
        if self._gap is not None:
            self._gap.cancel()
            self._gap = None


class _Watched(Demand):
    """The demand of the consumer, which tells when the source was held up by it.

    Others may take the room of the consumer and give it back while we hear nothing. That matters only to a
    source that looked in between; one that did not was not kept from anything.
    """

    __slots__ = ("_demand", "_link", "forget", "listen")

    def __init__(self, demand: Demand, link: _Paced) -> None:
        self._demand = demand
        self._link = link
        self.listen = demand.listen  # type: ignore[method-assign]
        self.forget = demand.forget  # type: ignore[method-assign]

    def credit(self) -> int:
        credit = self._demand.credit()
        if credit <= 0:
            self._link.held_up()
        return credit
