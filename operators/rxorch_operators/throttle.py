"""throttle: paces the elements of one stream without losing any."""

from __future__ import annotations

import asyncio
import math
import sys
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any, Final, TypeVar, cast

from reactivex import Observable
from reactivex.abc import DisposableBase, ObserverBase, SchedulerBase

from .core.clock import Clock, Handle
from .core.demand import DemandScheduler, ListenedDemand
from .core.per_call import Function, Operator, for_call
from .core.stage import DISPOSED, Link, Stage, as_stage
from .engines.gcra import Gcra
from .errors import invalid
from .rate_limit import rate_limit
from .rate_limiter import RateLimiter

__all__ = ["throttle"]

T = TypeVar("T")

_SLACK: Final = 1e-6
"""Seconds that count as no wait: clocks tick, virtual ones in microseconds."""

_LEAST: Final = 1e-3
"""Least delay after a timer that fired too early: event loops that round to milliseconds would spin."""


def throttle(
    rate: float,
    window: float = 1.0,
    *,
    burst: float = 1,
    cost: Callable[..., float] | None = None,
    scheduler: SchedulerBase | None = None,
) -> Callable[[Observable[T]], Observable[T]]:
    """Lets `rate` elements pass per `window` seconds, in order, and none is lost (unlike `throttle_first`).

    Each subscription has a pace of its own. A source that can wait is asked for the next element only when
    the one before it has gone; elements that a source pushes regardless are queued here without a bound.

    Under `guard` it paces calls: all that go through one `throttle(...)` share one pace and wait in one line,
    first come, first served. A call that is cancelled while it waits gives its place to the next.

    Args:
        rate: Elements (or units of `cost`) per window, above 0.
        window: Seconds, above 0.
        burst: Units that may pass at once after a rest, 1 or more. With 1 the gaps are even; more also lets a
            stream catch up when the event loop was late.
        cost: Tells the units that an element takes, 0 up to the larger of `rate` and `burst`; without it 1.
            It is given the element; under `guard` the arguments of the call.
        scheduler: Time to wait on; that of the subscription by default.

    Emits: the elements of the source, later. Errors and the end of the source come after the elements before
    them, at the pace of those. What `cost` raises, or a cost that can never pass (`ValueError`), at once.
    Disposal: drops what is queued and disposes the source.

    ::

        source        abc-----d|       rate=1, window=2
        result        a-b-c---d|

    >>> import reactivex
    >>> from reactivex.scheduler import VirtualTimeScheduler
    >>> from rxorch_operators import throttle
    >>> time = VirtualTimeScheduler()
    >>> paced = reactivex.from_iterable("abc").pipe(throttle(1, 2.0))
    >>> _ = paced.subscribe(lambda letter: print(time.clock, letter), scheduler=time)
    >>> time.start()
    0 a
    2.0 b
    4.0 c
    """
    if not 0.0 < rate < math.inf:
        raise invalid("rate", rate, "give elements per window, above 0")
    Gcra(rate, window, burst)  # refuses what cannot work now, and not at the first subscription
    clock = None if scheduler is None else DemandScheduler.of(scheduler).clock
    return _Operator(rate, window, burst, cost, clock)


class _Operator:
    """The settings of one `throttle`, and the pace of the calls that it guards."""

    __slots__ = ("_calls", "_clock", "_cost", "_rate")

    def __init__(
        self,
        rate: float,
        window: float,
        burst: float,
        cost: Callable[..., float] | None,
        clock: Clock | None,
    ) -> None:
        self._rate = (rate, window, burst)
        self._cost = cost
        self._clock = clock
        self._calls: Operator | None = None

    def __call__(self, source: Observable[T]) -> Observable[T]:
        return _Throttle(as_stage(source), self._rate, self._cost, self._clock)

    def for_call(self, fn: Function, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Operator:
        """The operator for one call of a function: it waits in the one line of all of them."""
        if self._calls is None:
            rate, window, burst = self._rate
            limiter = RateLimiter(rate, window, burst=burst, clock=self._clock)
            cost = 1 if self._cost is None else cast("Callable[..., int]", self._cost)  # parts of one will do
            self._calls = rate_limit(limiter, cost=cost)
        return for_call(self._calls, fn, args, kwargs)

    def __repr__(self) -> str:
        return "throttle"


class _Throttle(Stage[T]):
    def __init__(
        self,
        source: Stage[T],
        rate: tuple[float, float, float],
        cost: Callable[..., float] | None,
        clock: Clock | None,
    ) -> None:
        self.source = source
        self.rate = rate
        self.cost = cost
        self.clock = clock

    def attach(self, sink: ObserverBase[Any], scheduler: DemandScheduler) -> DisposableBase:
        link = _Pacing(sink, Gcra(*self.rate), self.cost, self.clock or scheduler.clock, scheduler)
        return link.connect(self.source, scheduler.with_demand(link))


class _Pacing(Link, ListenedDemand):
    """Queues what may not go yet; the demand of its source is room for one element, if downstream has any."""

    __slots__ = (
        "_clock", "_cost", "_downstream", "_error", "_gate", "_listeners", "_queue", "_sending",
        "_source_done", "_timer",
    )  # fmt: skip

    def __init__(
        self,
        sink: ObserverBase[Any],
        gate: Gcra,
        cost: Callable[..., float] | None,
        clock: Clock,
        scheduler: DemandScheduler,
    ) -> None:
        super().__init__(sink)
        self._gate = gate
        self._cost = cost
        self._clock = clock
        self._queue: deque[tuple[Any, float]] = deque()
        self._timer: Handle | None = None
        self._sending = False
        self._source_done = False
        self._error: Exception | None = None  # how the source ended, kept until its turn
        self._listeners = []
        self._downstream = scheduler.demand
        self._downstream.listen(self._on_downstream_room)

    def credit(self) -> int:
        """Elements that may be sent now."""
        if self.upstream is DISPOSED:
            return sys.maxsize  # `share` may keep the source for others
        return min(1, self._downstream.credit()) - len(self._queue)

    def _on_downstream_room(self) -> None:
        if not self._source_done and self.credit() > 0:
            self.grew()

    def on_next(self, value: Any) -> None:
        if self.is_disposed:
            return
        cost: float = 1
        if self._cost is not None:
            try:
                cost = self._cost(value)
                self._gate.peek(self._clock.now(), cost)  # refuses a cost that can never pass
            except (Exception, asyncio.CancelledError) as error:
                self._fail(error)  # type: ignore[arg-type]
                return
            if self.is_disposed:  # by `cost` itself
                return  # type: ignore[unreachable]
        self._queue.append((value, cost))
        if self._timer is None:
            self._send_due()

    def on_error(self, error: Exception) -> None:
        if not isinstance(error, Exception):  # a cancellation waits for nobody
            self._fail(error)  # type: ignore[unreachable]
            return
        self._error = error
        self.on_completed()

    def on_completed(self) -> None:
        if not self.is_disposed:
            self._source_done = True
            if self._timer is None:
                self._send_due()

    def _on_time(self) -> None:
        self._timer = None
        self._send_due(_LEAST)

    def _send_due(self, least: float = 0.0) -> None:
        """Sends what may go now, in a loop: the sink may have us called again from inside `on_next`."""
        if self._sending:
            return
        self._sending = True
        try:
            while self._queue and self._sent_next(least):
                least = 0.0
        finally:
            self._sending = False
        if self._queue or self.is_disposed:
            return
        if not self._source_done:
            if self.credit() > 0:
                self.grew()
        elif self._error is not None:
            self._fail(self._error)
        else:
            self.dispose()
            self.sink.on_completed()

    def _sent_next(self, least: float) -> bool:
        value, cost = self._queue[0]
        now = self._clock.now()
        wait = self._gate.peek(now, cost)
        if wait > _SLACK:
            try:
                self._timer = self._clock.call_later(max(wait, least), self._on_time)
            except Exception as error:  # no event loop to wait on
                self._fail(error)
            return False
        self._gate.take(now + wait, cost)
        self._queue.popleft()
        self.sink.on_next(value)
        return not self.is_disposed

    def _fail(self, error: Exception) -> None:
        if not self.is_disposed:
            self.dispose()
            self.sink.on_error(error)

    def dispose(self) -> None:
        if self.is_disposed:
            return
        super().dispose()
        self._downstream.forget(self._on_downstream_room)
        self._queue.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._listeners:  # a source that others share went by our demand
            self.grew()
