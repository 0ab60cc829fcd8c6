"""The links of retry_backoff: one subscription, its attempts and the waits between them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Any, Final, Literal, TypeVar

from reactivex import Observable
from reactivex.abc import DisposableBase, ObserverBase, SchedulerBase

from .core.cause import caused_by
from .core.clock import Clock, Handle
from .core.demand import DemandScheduler
from .core.stage import DISPOSED, NOTHING, Link, Stage, as_stage
from .engines.backoff import RetryPolicy, RetryState
from .engines.budget import RetryBudget
from .errors import RetryBudgetExhaustedError

__all__ = ["GiveUpReason", "RetryEvent", "RetryOptions", "RetryStage"]

T = TypeVar("T")

GiveUpReason = Literal["attempts", "budget", "deadline", "emitted", "hint", "max_elapsed", "not_retryable"]
"""Why a failure was not followed by another attempt."""

_MISSING: Final = object()


@dataclass(frozen=True, slots=True)
class RetryEvent:
    """One attempt failed and another will follow.

    Args:
        attempt: Number of the attempt that failed; the first is 1.
        wait: Seconds until the next attempt starts.
        error: What it failed with; None when `retry_result` refused its result.
    """

    attempt: int
    wait: float
    error: Exception | None


@dataclass(frozen=True, slots=True)
class RetryOptions:
    """What `retry_backoff` was told; shared by its subscriptions."""

    policy: RetryPolicy
    retry_if: Callable[[Exception], bool] | None
    retry_result: Callable[[Any], bool] | None
    hint: Callable[[Exception], float | None] | None
    base: Callable[[Exception], float | None] | None
    on_retry: Callable[[RetryEvent], None] | None
    on_give_up: Callable[[GiveUpReason, Exception | None], None] | None
    budget: RetryBudget | None
    deadline: float | Callable[[], float | None] | None
    resume: Callable[[int, Any], Observable[Any]] | None
    reset_on_success: bool
    random: Random
    clock: Clock | None


class RetryStage(Stage[T]):
    """A source that is subscribed again when it fails."""

    def __init__(self, source: Stage[T], options: RetryOptions) -> None:
        self.source = source
        self.options = options

    def options_of(self, scheduler: DemandScheduler) -> RetryOptions:
        """The options of one subscription that has failed; asked for only then, since most never fail.

        Who composes a stage once for many overrides it, and may then not change clock and resume, nor whether
        there is a `retry_result`.
        """
        return self.options

    def budget_of(self, scheduler: DemandScheduler) -> RetryBudget | None:
        """The budget of one subscription, which counts it as a call."""
        return self.options.budget

    def attach(self, sink: ObserverBase[Any], scheduler: DemandScheduler) -> DisposableBase:
        started = (self.options.clock or scheduler.clock).now()
        budget = self.budget_of(scheduler)
        if budget is not None:
            budget.record_call(started)
        link = self.begun(sink, scheduler, started)
        link.attempt(self.source)
        return link

    def begun(self, sink: ObserverBase[Any], scheduler: DemandScheduler, started: float) -> _Retrying:
        """The link of a subscription that has begun and whose budget knows of it.

        Who makes the first attempt alone makes the link when it fails, and tells it the error.
        """
        link_type = _Retrying if self.options.retry_result is None else _Holding
        return link_type(sink, self, scheduler, started)


class _Retrying(Link):
    """Listens to one attempt after another; `upstream` is the attempt, or the wait for the next one."""

    __slots__ = ("_clock", "_emitted", "_last", "_own_options", "_scheduler", "_stage", "_started", "_state")

    def __init__(
        self, sink: ObserverBase[Any], stage: RetryStage[Any], scheduler: DemandScheduler, started: float
    ) -> None:
        self.sink = sink
        self.upstream = NOTHING
        self._stage = stage
        self._own_options: RetryOptions | None = None
        self._scheduler = scheduler
        self._clock = stage.options.clock or scheduler.clock
        self._started = started
        self._state: RetryState | None = None  # most subscriptions never fail
        self._emitted = 0
        self._last: Any = None

    @property
    def _options(self) -> RetryOptions:
        options = self._own_options
        if options is None:
            options = self._own_options = self._stage.options_of(self._scheduler)
        return options

    def attempt(self, source: Stage[Any]) -> None:
        """Subscribes; an exception on the way is a failure like any other."""
        try:
            upstream = source.attach(self, self._scheduler)
        except Exception as error:
            if self.upstream is not NOTHING:  # it had ended before
                raise
            self.on_error(error)
            return
        if self.upstream is DISPOSED:
            upstream.dispose()
        elif self.upstream is NOTHING:  # else: it failed while it was starting, and we are waiting already
            self.upstream = upstream

    def _again(self, error: Exception | None) -> None:
        self.upstream = NOTHING
        if not self._emitted:
            self.attempt(self._stage.source)
            return
        assert self._options.resume is not None  # without it nothing is repeated after an element
        try:
            source = as_stage(self._options.resume(self._emitted, self._last))
        except Exception as broken:
            self._fail(caused_by(broken, error))
            return
        self.attempt(source)

    def on_next(self, value: Any) -> None:
        if self.upstream is not DISPOSED:
            self._emit(value)

    def _emit(self, value: Any) -> None:
        self._emitted += 1
        if self._stage.options.resume is not None:
            self._last = value
            if self._state is not None and self._stage.options.reset_on_success:
                self._state = None
                self._started = self._clock.now()
        self.sink.on_next(value)

    def on_completed(self) -> None:
        if self.upstream is not DISPOSED:
            self.release()
            self.sink.on_completed()

    def on_only(self, value: Any) -> None:
        only = getattr(self.sink, "on_only", None)
        if only is None:
            super().on_only(value)
        elif self.upstream is not DISPOSED:
            self.upstream = DISPOSED
            only(value)

    def on_error(self, error: Exception) -> None:
        if self.upstream is DISPOSED:
            return
        try:
            repeated = isinstance(error, Exception) and self._repeat(error)
        except Exception as broken:
            self._fail(caused_by(broken, error))
            return
        if not repeated:
            self._fail(error)

    def _fail(self, error: Exception) -> None:
        if self.upstream is not DISPOSED:
            self.release()
            self.sink.on_error(error)

    def _repeat(self, error: Exception | None) -> bool:
        """Starts the wait for another attempt, or tells why there is none."""
        verdict = self._verdict(error)
        options = self._options
        if isinstance(verdict, str):
            if verdict == "budget" and error is not None:
                _mark_exhausted(error)
            if options.on_give_up is not None:
                options.on_give_up(verdict, error)
            return False
        if options.on_retry is not None:
            attempts = 1 if self._state is None else self._state.attempts
            options.on_retry(RetryEvent(attempts, verdict, error))
        if self.upstream is not DISPOSED:  # else: one of the user's functions has ended the subscription
            self._wait(verdict, error)
        return True

    def _wait(self, seconds: float, error: Exception | None) -> None:
        self.upstream = NOTHING
        wait: DisposableBase
        if seconds > 0.0:
            wait = _Wait(self._clock.call_later(seconds, lambda: self._again(error)))
        else:  # no timer: so it works under a scheduler that has none

            def again(_: SchedulerBase, __: object = None) -> None:
                self._again(error)

            wait = self._scheduler.schedule(again)
        if self.upstream is NOTHING:  # else: an idle trampoline has run it already
            self.upstream = wait

    def _verdict(self, error: Exception | None) -> float | GiveUpReason:
        """Seconds to wait, or the reason to give up. The budget is asked last, because asking spends."""
        options = self._options
        if error is not None and options.retry_if is not None and not options.retry_if(error):
            return "not_retryable"
        if self._emitted and options.resume is None:
            return "emitted"
        state = self._state
        if state is None:
            state = self._state = RetryState(options.policy, options.random, self._started)
        now = self._clock.now()
        deadline = options.deadline() if callable(options.deadline) else options.deadline
        hint = None if error is None or options.hint is None else options.hint(error)
        base = None if error is None or options.base is None else options.base(error)
        wait = state.next_delay(now, hint=hint, base=base, deadline=deadline)
        if wait is None:
            return self._limit_reached(state.attempts, hint, deadline)
        if options.budget is not None and not options.budget.try_spend(now):
            return "budget"
        return wait

    def _limit_reached(self, attempts: int, hint: float | None, deadline: float | None) -> GiveUpReason:
        policy = self._options.policy
        if attempts >= policy.max_attempts:
            return "attempts"
        if hint is not None and hint > policy.max_hint:
            return "hint"
        if policy.max_elapsed is None:
            return "deadline"
        if deadline is None or self._started + policy.max_elapsed <= deadline:
            return "max_elapsed"
        return "deadline"


class _Holding(_Retrying):
    """Holds the newest element back until it is known not to be a refused result."""

    __slots__ = ("_held",)
    on_only = Link.on_only

    def __init__(
        self, sink: ObserverBase[Any], stage: RetryStage[Any], scheduler: DemandScheduler, started: float
    ) -> None:
        super().__init__(sink, stage, scheduler, started)
        self._held: Any = _MISSING

    def on_next(self, value: Any) -> None:
        if self.upstream is not DISPOSED:
            held, self._held = self._held, value
            if held is not _MISSING:
                self._emit(held)

    def on_completed(self) -> None:
        if self.upstream is DISPOSED:
            return
        try:
            repeated = self._held is not _MISSING and self._refused(self._held) and self._repeat(None)
        except Exception as broken:
            super()._fail(broken)
            return
        if not repeated:
            self._release()
            super().on_completed()

    def _refused(self, value: Any) -> bool:
        refused = self._options.retry_result
        return refused is not None and refused(value)

    def _release(self) -> None:
        held, self._held = self._held, _MISSING
        if (
            held is not _MISSING and self.upstream is not DISPOSED
        ):  # one of the user's functions may have ended it
            self._emit(held)

    def _again(self, error: Exception | None) -> None:
        self._held = _MISSING
        super()._again(error)

    def _fail(self, error: Exception) -> None:
        self._release()
        super()._fail(error)


class _Wait(DisposableBase):
    """A timer as something to dispose."""

    __slots__ = ("_handle",)

    def __init__(self, handle: Handle) -> None:
        self._handle = handle

    def dispose(self) -> None:
        self._handle.cancel()


def _mark_exhausted(error: Exception) -> None:
    exhausted = RetryBudgetExhaustedError()
    if error.__cause__ is None:
        error.__cause__ = exhausted
    else:
        error.add_note(f"not repeated: {exhausted}")
