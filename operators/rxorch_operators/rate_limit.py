"""rate_limit: a call waits until the limits let it leave."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Mapping
from typing import Any, Final, TypeVar

from reactivex import Observable
from reactivex.abc import DisposableBase, ObserverBase, SchedulerBase

from ._rate_queue import RateQueue, Ticket
from .core.clock import Clock
from .core.demand import DemandScheduler
from .core.per_call import Function
from .core.stage import DISPOSED, NOTHING, Stage, as_stage
from .engines.gcra import Gcra
from .errors import invalid, is_number
from .rate_limiter import RateLimiter, exceeded

__all__ = ["rate_limit"]

T = TypeVar("T")

_LOG: Final = logging.getLogger("rxorch_operators")


def rate_limit(
    limiter: RateLimiter,
    *more: RateLimiter,
    cost: int | Callable[..., int] = 1,
    max_wait: float | Callable[[], float | None] | None = None,
    on_wait: Callable[[float], None] | None = None,
    scheduler: SchedulerBase | None = None,
) -> Callable[[Observable[T]], Observable[T]]:
    """Subscribes to the source only when the limits let a call leave: the source is the call.

    With several limits a call waits for the last one first, at the head of its queue for the one before, and
    takes from all at the same instant. While it waits for one it holds nothing of another, and a call held up
    by the limit of its endpoint does not stand in the way of other endpoints' calls.

    Args:
        limiter: The limit, shared by all calls that it is for.
        more: More limits, outermost first: `rate_limit(everything, endpoint)`. Whoever shares two limits must
            name them in the same order.
        cost: Units that the call takes from each limit, or a function that tells when subscribed. Under
            `guard` it is given the arguments of the call, otherwise none.
        max_wait: Seconds that the call may wait in all, or a function that gives them when subscribed (what
            is left of a deadline). None: the shortest of the limiters' own.
        on_wait: Told the expected seconds when a call has to wait. What it raises is logged.
        scheduler: Time to wait on; that of the subscription by default. A limiter's own clock goes first.

    Emits: the elements of the source. Errors: those of the source; `RateLimitExceededError` with
    `retry_after`, at once, when the wait cannot end in time. Disposal: leaves the queues, and who stood
    behind moves up; or disposes the source.

    ::

        calls         a-b-c-------      one per 4, burst 1
        source        a---b---c---

    >>> import reactivex
    >>> from reactivex.scheduler import VirtualTimeScheduler
    >>> from rxorch_operators import RateLimiter, rate_limit
    >>> time = VirtualTimeScheduler()
    >>> call = reactivex.defer(lambda _: reactivex.just(time.clock))
    >>> paced = call.pipe(rate_limit(RateLimiter(60, window=60, burst=1)))
    >>> for _ in range(3):
    ...     _ = paced.subscribe(print, scheduler=time)
    >>> time.start()
    0
    1.0
    2.0
    """
    limiters = (limiter, *more)
    for one in limiters:
        if not isinstance(one, RateLimiter):
            raise TypeError(f"expected RateLimiter objects, got {type(one).__name__}")
    if more and len(set(limiters)) < len(limiters):
        raise ValueError("a limiter was given twice: it would wait for itself")
    if max_wait is not None and not callable(max_wait) and not is_number(max_wait):
        raise invalid("max_wait", max_wait, "give seconds, 0 or more, or None for the limiters' own")
    if not callable(cost) and not is_number(cost):
        raise invalid("cost", cost, "give units, 0 or more, or a function that tells them")
    clock = None if scheduler is None else DemandScheduler.of(scheduler).clock
    return RateLimitOptions(limiters, cost, max_wait, on_wait, clock)


class RateLimitOptions:
    """What `rate_limit` was told; itself the operator, shared by its subscriptions."""

    __slots__ = ("clock", "cost", "limiters", "lines", "max_wait", "on_wait")

    def __init__(
        self,
        limiters: tuple[RateLimiter, ...],
        cost: int | Callable[..., int] = 1,
        max_wait: float | Callable[[], float | None] | None = None,
        on_wait: Callable[[float], None] | None = None,
        clock: Clock | None = None,
    ) -> None:
        self.limiters = limiters
        self.lines: tuple[RateQueue[Gcra], ...] = tuple([one.line for one in limiters])
        self.cost = cost
        self.max_wait = max_wait
        self.on_wait = on_wait
        self.clock = clock

    def __call__(self, source: Observable[T]) -> Observable[T]:
        return RateLimitStage(as_stage(source), self)

    def for_call(self, fn: Function, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> RateLimitOptions:
        """The operator for one call of a function: its arguments may say what it costs."""
        cost = self.cost
        if not callable(cost):
            return self

        def cost_of_call() -> int:
            return cost(*args, **kwargs)

        return RateLimitOptions(self.limiters, cost_of_call, self.max_wait, self.on_wait, self.clock)

    def with_waits(
        self, max_wait: Callable[[], float | None], on_wait: Callable[[float], None]
    ) -> RateLimitOptions:
        """The same but for what concerns a wait."""
        return RateLimitOptions(self.limiters, self.cost, max_wait, on_wait, self.clock)

    def patience(self) -> float:
        """Seconds that a call may wait, asked for at its start."""
        patience = self.max_wait() if callable(self.max_wait) else self.max_wait
        if patience is None:
            own = [limiter.max_wait for limiter in self.limiters if limiter.max_wait is not None]
            return min(own, default=math.inf)
        if not is_number(patience, -math.inf):
            raise invalid("max_wait", patience, "make the function give seconds, or None")
        return patience

    def __repr__(self) -> str:
        return "rate_limit"


class RateLimitStage(Stage[T]):
    """A source that is subscribed when the limits have room."""

    def __init__(self, source: Stage[T], options: RateLimitOptions) -> None:
        self.source = source
        self.options = options
        self.innermost = options.lines[-1]
        self.alone = len(options.lines) == 1

    def options_of(self, scheduler: DemandScheduler) -> RateLimitOptions:
        """The options of one subscription that has to wait; only now, since most do not."""
        return self.options

    def costs_of(self, scheduler: DemandScheduler) -> tuple[int, ...]:
        """What one subscription takes from each limit."""
        cost = self.options.cost
        return (cost() if callable(cost) else cost,) * len(self.options.lines)

    def attach(self, sink: ObserverBase[Any], scheduler: DemandScheduler) -> DisposableBase:
        options = self.options
        try:
            costs = self.costs_of(scheduler)
            clock, line = options.clock or scheduler.clock, self.innermost
            if line._clock is not clock:
                clock = line.clock(clock)
            now = clock.now()
            if not self.alone:
                granted = _take_all(options.lines, now, costs)
            elif not line.waiting and line.meter.take(now, costs[0]):  # `line.try_take`, without another call
                line.granted += 1
                granted = True
            else:
                granted = False
            waiting = None if granted else self._line_up(sink, scheduler, costs, clock)
        except Exception as error:
            sink.on_error(error)
            return NOTHING
        return self.source.attach(sink, scheduler) if waiting is None else waiting

    def _line_up(
        self, sink: ObserverBase[Any], scheduler: DemandScheduler, costs: tuple[int, ...], clock: Clock
    ) -> DisposableBase:
        """Joins the first queue; raises if the wait cannot end in time."""
        options = self.options_of(scheduler)
        now = clock.now()
        wait, slowest = -1.0, self.innermost
        for line, cost in zip(options.lines, costs, strict=True):
            line.clock(clock)
            needed = line.meter.peek(now, cost, line.cost_waiting)
            if needed > wait:
                wait, slowest = needed, line
        patience = options.patience()
        if wait > patience:
            slowest.refused += 1
            raise exceeded(slowest, wait)
        waiting = _Waiting(sink, self.source, scheduler)
        own = costs[0] if len(set(costs)) == 1 else dict(zip(options.lines, costs, strict=True))
        waiting.line_up(Ticket(options.lines, own, now + patience, waiting.depart, waiting.give_up), now)
        if options.on_wait is not None:
            _tell(options.on_wait, wait)
        return waiting


def _take_all(lines: tuple[RateQueue[Gcra], ...], now: float, costs: tuple[int, ...]) -> bool:
    """Takes from all or from none; asking first and taking then would cost twice as much."""
    taken: list[tuple[RateQueue[Gcra], int]] = []
    try:
        for line, cost in zip(lines, costs, strict=True):
            if not line.try_take(now, cost):
                break
            taken.append((line, cost))
        else:
            taken = []
            return True
    finally:  # also when the cost could never pass one of them
        for line, cost in taken:
            line.give_back(now, cost)
    return False


def _tell(on_wait: Callable[[float], None], wait: float) -> None:
    try:
        on_wait(wait)
    except Exception:
        _LOG.exception("on_wait failed; the call waits on")


class _Waiting(DisposableBase):
    """One subscription that waits in line. Once it has left, the source talks to the sink directly."""

    __slots__ = ("_scheduler", "_sink", "_source", "_ticket", "_upstream")

    def __init__(self, sink: ObserverBase[Any], source: Stage[Any], scheduler: DemandScheduler) -> None:
        self._sink = sink
        self._source = source
        self._scheduler = scheduler
        self._upstream = NOTHING
        self._ticket: Ticket | None = None

    def line_up(self, ticket: Ticket, now: float) -> None:
        """Takes the place in line."""
        self._ticket = ticket
        try:
            ticket.join_next(now)
        except Exception:  # no event loop to wait on
            ticket.leave()
            raise

    def depart(self) -> None:
        """The limits have room: this is the call."""
        self._ticket = None  # it refers to us: so both are freed at once
        try:
            upstream = self._source.attach(self._sink, self._scheduler)
        except Exception as error:
            if self._upstream is DISPOSED:
                raise
            self._sink.on_error(error)
            return
        if self._upstream is DISPOSED:
            upstream.dispose()
        else:
            self._upstream = upstream

    def give_up(self, queue: RateQueue[Any], wait: float) -> None:
        """The wait cannot end in time."""
        self._ticket = None
        self._sink.on_error(exceeded(queue, wait))

    def dispose(self) -> None:
        upstream, self._upstream = self._upstream, DISPOSED
        upstream.dispose()
        ticket, self._ticket = self._ticket, None
        if ticket is not None:
            ticket.leave()
