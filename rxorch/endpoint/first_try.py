"""The first attempt of a call, as one link.

Nearly every call ends with it. One that has no more to pass than its circuit breaker and its time limit, and
that nobody listens to, needs none of the links of `attempts` as long as nothing fails: what they would do,
`FirstTry` does alone. At a failure those links are made, are told of it, and go on from there; so there is
one place that knows what follows a failure.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from reactivex.abc import DisposableBase, ObserverBase

from rxorch.endpoint.retry_rules import classify
from rxorch_operators import TimeoutExceededError
from rxorch_operators._retrying import RetryStage
from rxorch_operators.circuit_breaker import CircuitBreakerStage
from rxorch_operators.core.async_call import AsyncCall
from rxorch_operators.core.demand import DemandScheduler
from rxorch_operators.core.stage import DISPOSED, NOTHING, Link, Stage
from rxorch_operators.core.timer_queue import Entry, SharedTimer
from rxorch_operators.engines.circuit import CircuitPermit, Outcome3

if TYPE_CHECKING:
    from rxorch.endpoint.call import Call
    from rxorch.endpoint.runtime import EndpointRuntime

__all__ = ["FirstTry", "is_plain"]


def is_plain(runtime: EndpointRuntime) -> bool:
    """Whether an attempt of an endpoint passes breaker and time limit alone, and every value is taken."""
    endpoint = runtime.endpoint
    around = (endpoint.stream, endpoint.retry_if, runtime.hooks, runtime.exchange, runtime.bulkhead)
    return (
        all(each is None for each in around)
        and not runtime.limiters
        and not runtime.times_each_call
        and (runtime.breaker is None or runtime.breaker.classify is None)
    )


class FirstTry(Stage[Any]):
    """The attempts of each call of a plain endpoint.

    Args:
        attempts: All of them, as composed.
        attempt: One of them, which `attempts` repeats.
        limit: Seconds for one.
    """

    def __init__(self, attempts: Stage[Any], attempt: Stage[Any], limit: float | None) -> None:
        self.attempts = attempts
        self.repeated = attempts if isinstance(attempts, RetryStage) else None
        self.guarded = attempt if isinstance(attempt, CircuitBreakerStage) else None
        self.limit = None if limit == math.inf else limit
        self.timer = SharedTimer()

    def attach(self, sink: ObserverBase[Any], scheduler: DemandScheduler) -> DisposableBase:
        call: Call = scheduler.subject
        if call.listening or not isinstance(sink, Link):
            return self.attempts.attach(sink, scheduler)
        permit = None
        if self.guarded is not None:
            permit = self.guarded.let_in(scheduler.clock)
            if permit is None:
                return self.attempts.attach(sink, scheduler)
        link = _FirstLink(sink, self, scheduler, permit)
        link.begin(call)
        return link


class _FirstLink(Link):
    """Holds permit and timer of the first attempt; after a failure, `upstream` is what goes on."""

    __slots__ = ("_permit", "_scheduler", "_stage", "_started", "_timer")

    sink: Link

    def __init__(
        self, sink: Link, stage: FirstTry, scheduler: DemandScheduler, permit: CircuitPermit | None
    ) -> None:
        self.sink = sink
        self.upstream = NOTHING
        self._stage = stage
        self._scheduler = scheduler
        self._permit = permit
        self._timer: Entry | None = None
        self._started = scheduler.clock.now()

    def begin(self, call: Call) -> None:
        """Makes the attempt."""
        scheduler, limit = self._scheduler, self._stage.limit
        if call.budget is not None:
            call.budget.record_call(self._started)
        if limit is not None and not limit > 0.0:
            self.on_error(TimeoutExceededError(limit=0.0, kind="attempt"))
            return
        try:
            attempt = AsyncCall(call.runtime.attempt(call), self, scheduler.tasks, scheduler.context.copy())
        except Exception as error:
            self.on_error(error)
            return
        if (
            self.upstream is not NOTHING
        ):  # a task factory that is eager: it is over, or failed and is repeated
            return
        self.upstream = attempt
        if limit is not None:
            self._timer = self._stage.timer.queue(scheduler.clock, limit).call(self._time_over)

    def _time_over(self) -> None:
        limit = self._stage.limit
        assert limit is not None
        self.upstream.dispose()
        self.on_error(TimeoutExceededError(limit=limit, kind="attempt"))

    def on_only(self, value: Any) -> None:
        self.upstream = DISPOSED
        self._stop_timer()
        self._settle(classify(value))
        self.sink.on_only(value)

    def on_error(self, error: Exception) -> None:
        """Makes the links that know what follows, and tells them."""
        self._stop_timer()
        stage, scheduler, permit = self._stage, self._scheduler, self._permit
        going_on: Link = self.sink
        if stage.repeated is not None:
            self.upstream = going_on = stage.repeated.begun(self.sink, scheduler, self._started)
        else:
            self.upstream = DISPOSED
        if stage.guarded is not None and permit is not None:
            going_on = stage.guarded.watching(going_on, permit, scheduler.clock)
        going_on.on_error(error)

    def dispose(self) -> None:
        if self.upstream is DISPOSED:
            return
        self._stop_timer()
        self._settle(Outcome3.IGNORED)  # after a failure it has been settled, and this does nothing
        super().dispose()

    def _stop_timer(self) -> None:
        timer, self._timer = self._timer, None
        if timer is not None:
            timer.cancel()

    def _settle(self, outcome: Outcome3) -> None:
        guarded, permit = self._stage.guarded, self._permit
        if guarded is not None and permit is not None:
            guarded.breaker.record(permit, outcome, self._scheduler.clock.now())
