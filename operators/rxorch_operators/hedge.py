"""hedge: one more subscription when the first one is late; the first to answer wins."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass, replace
from typing import Any, Final, TypedDict, TypeVar, Unpack

from reactivex import Observable
from reactivex.abc import DisposableBase, ObserverBase, SchedulerBase

from .core.cause import caused_by
from .core.clock import Clock, Handle
from .core.demand import DemandScheduler
from .core.stage import DISPOSED, NOTHING, Link, Stage, as_stage
from .engines.budget import RetryBudget
from .engines.hedging import HedgeEvent, HedgePolicy, Hedger
from .errors import RetryBudgetExhaustedError

__all__ = ["HedgeEvent", "HedgePolicy", "HedgeSettings", "Hedger", "hedge"]

T = TypeVar("T")

HEDGE: Final[ContextVar[HedgeEvent | None]] = ContextVar("rxorch_hedge", default=None)
"""Where a subscription is made that is a hedge: which one it is, and how late the first is."""

_LOG: Final = logging.getLogger("rxorch_operators")


class HedgeSettings(TypedDict, total=False):
    """The fields of `HedgePolicy` that `hedge` takes as keywords."""

    max_hedges: int
    delay: float
    percentile: float | None
    min_samples: int
    window: int
    min_delay: float
    max_delay: float


def hedge(
    policy: HedgePolicy | None = None,
    *,
    hedger: Hedger | None = None,
    budget: RetryBudget | None = None,
    record_calls: bool = True,
    hedge_if: Callable[[Exception], bool] | None = None,
    on_hedge: Callable[[HedgeEvent], None] | None = None,
    scheduler: SchedulerBase | None = None,
    **settings: Unpack[HedgeSettings],
) -> Callable[[Observable[T]], Observable[T]]:
    """Subscribes once more when the source is late with its first element; the first to answer wins.

    The source is then subscribed twice at the same time: only for calls that may safely be made twice. Each
    further hedge waits as long again. Whichever subscription emits or completes first has won; the others are
    disposed before that element goes out, and the rest of the winner passes.

    Args:
        policy: How many and how late; `HedgePolicy()` by default. Each of its fields may be given as a
            keyword too and replaces that of the policy: `hedge(delay=0.5, max_hedges=2)`.
        hedger: Remembers the durations, and brings its own policy. Without it the operator has one of its
            own, for all who subscribe through it.
        budget: Hedges are taken from it, as retries are. When it is spent, there is no hedge.
        record_calls: Whether each subscription is recorded in the budget as a call. False inside of a
            `retry_backoff` on the same budget, which records it already.
        hedge_if: Whether a failure without an element is worth another call. Then the next hedge starts at
            once, and the failure waits for the others; any other failure ends the call and disposes the
            others. Without it a failure starts nothing, but waits for those that run.
        on_hedge: Told before each hedge, and when the budget forbids one. What it raises is logged.
        scheduler: Time to wait on; that of the subscription by default.

    Emits: the elements of the winner. Errors: those of the winner; when all have failed, the error of the
    first subscription with the others as notes, and `RetryBudgetExhaustedError` as its `__cause__` (a note if
    it has a cause) when the budget forbade to go on; what `hedge_if` raises. A cancellation
    (`asyncio.CancelledError`) passes at once. Disposal: disposes all subscriptions and stops the timer.

    ::

        first         ------------a|      delay 4
        hedge             --b|
        result        ------b|            the first one is disposed

    >>> import reactivex
    >>> from reactivex.scheduler import VirtualTimeScheduler
    >>> from rxorch_operators.hedge import hedge
    >>> time = VirtualTimeScheduler()
    >>> answers = iter([reactivex.never(), reactivex.just("from the hedge")])
    >>> call = reactivex.defer(lambda _: next(answers))
    >>> call.pipe(hedge(delay=4.0, on_hedge=print)).subscribe(print, scheduler=time) and None
    >>> time.start()
    HedgeEvent(hedge=1, elapsed=4.0, denied=False, error=None)
    from the hedge
    """
    if hedger is None:
        hedger = Hedger(policy)
        if settings:
            hedger = Hedger(replace(hedger.policy, **settings))
    elif not isinstance(hedger, Hedger):
        raise TypeError(f"expected a Hedger, got {type(hedger).__name__}")
    elif policy is not None or settings:
        raise TypeError("a hedger brings its own policy: write hedge(hedger=Hedger(policy))")
    options = _Options(
        hedger=hedger,
        budget=budget,
        record_calls=record_calls,
        hedge_if=hedge_if,
        on_hedge=on_hedge,
        clock=None if scheduler is None else DemandScheduler.of(scheduler).clock,
    )

    def operator(source: Observable[T]) -> Observable[T]:
        return _Hedged(as_stage(source), options)

    return operator


@dataclass(slots=True)  # frozen would cost 1 us for each operator that is made
class _Options:
    hedger: Hedger
    budget: RetryBudget | None
    record_calls: bool
    hedge_if: Callable[[Exception], bool] | None
    on_hedge: Callable[[HedgeEvent], None] | None
    clock: Clock | None


class _Hedged(Stage[T]):
    def __init__(self, source: Stage[T], options: _Options) -> None:
        self.source = source
        self.options = options

    def attach(self, sink: ObserverBase[Any], scheduler: DemandScheduler) -> DisposableBase:
        race = _Race(sink, self.source, scheduler, self.options)
        try:
            race.begin()
        except BaseException:
            race.dispose()
            raise
        return race


class _Race(DisposableBase):
    """One call: its subscriptions, and the wait for the next of them."""

    __slots__ = (
        "_clock", "_delay", "_denied", "_errors", "_hedges", "_held_up", "_left", "_options", "_over",
        "_racing", "_running", "_scheduler", "_sink", "_source", "_started", "_timer",
    )  # fmt: skip

    def __init__(
        self, sink: ObserverBase[Any], source: Stage[Any], scheduler: DemandScheduler, options: _Options
    ) -> None:
        self._sink = sink
        self._source = source
        self._scheduler = scheduler
        self._options = options
        self._clock = options.clock or scheduler.clock
        self._started = self._clock.now()
        self._delay = options.hedger.record_call()
        self._denied = False
        self._hedges = 0
        self._left = options.hedger.policy.max_hedges
        self._running: list[_Attempt] = []  # in the order of their start; the winner alone, once there is one
        self._errors: list[tuple[int, Exception]] = []
        self._over = False  # who wins is settled, or that nobody does
        self._racing = self._delay <= 0.0  # all are being started at once
        self._held_up = False  # the consumer was seen asking for nothing
        self._timer: Handle | None = None
        if options.budget is not None and options.record_calls:
            options.budget.record_call(self._started)

    def begin(self) -> None:
        """Starts the first subscription, and then the wait for the next or all of them."""
        self._start(0, self._scheduler)
        if not self._racing:
            self._arm()
            return
        while self._left and not self._over:
            self._hedge(None)
        self._racing = False
        self._fail_if_alone()

    def _start(self, number: int, scheduler: DemandScheduler) -> None:
        attempt = _Attempt(self._sink, self, number)
        self._running.append(attempt)
        try:
            attempt.connect(self._source, scheduler)
        except Exception as error:
            if attempt.upstream is DISPOSED:  # it had ended before
                raise
            attempt.on_error(error)

    def _arm(self) -> None:
        self._disarm()
        if self._left and not self._over and self._delay < math.inf:
            self._timer = self._clock.call_later(self._delay, self._late)

    def _disarm(self) -> None:
        timer, self._timer = self._timer, None
        if timer is not None:
            timer.cancel()

    def _late(self) -> None:
        self._timer = None
        demand = self._scheduler.demand
        if demand.credit() > 0:
            self._hedge(None)
            self._arm()
        else:  # the source may not emit now: it is not slow, and a second one may not emit either
            self._held_up = True
            demand.forget(self._on_room)  # a failure may have set the timer anew while we listened already
            demand.listen(self._on_room)

    def _on_room(self) -> None:
        if self._scheduler.demand.credit() > 0:
            self._scheduler.demand.forget(self._on_room)
            self._arm()

    def _hedge(self, error: Exception | None) -> None:
        """Starts another subscription, unless the budget forbids this one and so those after it."""
        options = self._options
        now = self._clock.now()
        denied = options.budget is not None and not options.budget.try_spend(now)
        self._hedges += 1
        self._left = 0 if denied else self._left - 1
        self._denied = denied
        number = self._hedges
        options.hedger.record_hedge(denied)
        event = HedgeEvent(number, now - self._started, denied, error)
        if options.on_hedge is not None:
            _tell(options.on_hedge, event)
        if not denied and not self._over:  # over: on_hedge has ended the subscription
            context = self._scheduler.context.copy()
            context.run(HEDGE.set, event)
            self._start(number, self._scheduler.within(context))

    def won(self, winner: _Attempt) -> None:
        """The first element is there, or the end of an empty source: the others are let go of."""
        if winner not in self._running:  # it is being let go of: what another one held has set it going
            winner.dispose()
            return
        primary_runs = self._settle()
        if winner.number:
            self._options.hedger.record_win()
            if primary_runs:
                self._unanswered()
        else:
            self._options.hedger.record_answer(self._clock.now() - self._started)
        losers = [attempt for attempt in self._running if attempt is not winner]
        self._running = [winner]
        _dispose_all(losers)

    def failed(self, attempt: _Attempt, error: Exception) -> None:
        """A subscription has failed before its first element."""
        if attempt not in self._running:  # it was being let go of
            return
        self._running.remove(attempt)
        if not attempt.number:
            self._unanswered()
        hedge_if = self._options.hedge_if
        waits = isinstance(error, Exception)  # else it is a cancellation
        if waits and hedge_if is not None:
            try:
                waits = hedge_if(error)
            except Exception as broken:
                waits, error = False, caused_by(broken, error)
        if self._over:  # hedge_if has ended the subscription
            return
        if not waits:
            self._end(error)
            return
        self._errors.append((attempt.number, error))
        if hedge_if is not None and self._left and not self._racing:
            self._hedge(error)
            self._arm()  # anew: the next one waits from here on
        self._fail_if_alone()

    def _fail_if_alone(self) -> None:
        if self._over or self._running or self._racing:
            return
        _, error = min(self._errors, key=_number)  # what hedges fail with must not hide why they were made
        if self._denied:
            _mark_exhausted(error)
        self._end(error)

    def _end(self, error: Exception) -> None:
        self.dispose()
        errors, self._errors = self._errors, []
        _note(error, errors)
        self._sink.on_error(error)

    def _settle(self) -> bool:
        """No more hedges from here on; tells whether the first subscription is still running."""
        self._over = True
        self._disarm()
        if self._held_up:
            self._scheduler.demand.forget(self._on_room)
        return bool(self._running) and not self._running[0].number

    def _unanswered(self) -> None:
        self._options.hedger.record_no_answer(self._clock.now() - self._started, self._delay)

    def dispose(self) -> None:
        if not self._over and self._settle():
            self._unanswered()
        running, self._running = self._running, []
        _dispose_all(running)


class _Attempt(Link):
    """One subscription of the source. Once it has won, it only passes on."""

    __slots__ = ("_race", "number")

    def __init__(self, sink: ObserverBase[Any], race: _Race, number: int) -> None:
        self.sink = sink
        self.upstream = NOTHING
        self.number = number
        self._race: _Race | None = race

    def _win(self) -> None:
        race, self._race = self._race, None
        if race is not None and self.upstream is not DISPOSED:
            race.won(self)

    def on_next(self, value: Any) -> None:
        if self._race is not None:
            self._win()
        if self.upstream is not DISPOSED:
            self.sink.on_next(value)

    def on_completed(self) -> None:
        self._win()
        if self.upstream is not DISPOSED:
            self.release()
            self.sink.on_completed()

    def on_error(self, error: Exception) -> None:
        if self.upstream is DISPOSED:
            return
        self.release()
        race, self._race = self._race, None
        if race is None:
            self.sink.on_error(error)
        else:
            race.failed(self, error)


def _dispose_all(attempts: list[_Attempt]) -> None:
    # The last one first: it may be waiting for what the one before it holds, and must not get it now.
    for attempt in reversed(attempts):
        attempt.dispose()


def _number(failure: tuple[int, Exception]) -> int:
    return failure[0]


def _tell(on_hedge: Callable[[HedgeEvent], None], event: HedgeEvent) -> None:
    try:
        on_hedge(event)
    except Exception:
        _LOG.exception("on_hedge failed; the call goes on")


def _note(error: Exception, failures: list[tuple[int, Exception]]) -> None:
    for number, other in failures:
        if other is not error:
            who = f"hedge {number}" if number else "the first subscription"
            _add_note(error, f"{who} failed too: {other!r}")


def _mark_exhausted(error: Exception) -> None:
    exhausted = RetryBudgetExhaustedError()
    if error.__cause__ is None:
        error.__cause__ = exhausted
    elif not isinstance(error.__cause__, RetryBudgetExhaustedError):
        _add_note(error, f"not hedged: {exhausted}")


def _add_note(error: Exception, note: str) -> None:
    if note not in getattr(error, "__notes__", ()):  # one error object may end many calls
        error.add_note(note)
