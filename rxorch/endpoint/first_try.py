"""The first attempt of a call, as one link.

Nearly every call ends with it. One that has no more to pass than its circuit breaker and its time limit, and
that nobody listens to, needs none of the links of `attempts` as long as nothing fails: what they would do,
`FirstTry` does alone. At a failure those links are made, are told of it, and go on from there; so there is
one place that knows what follows a failure.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from reactivex.abc import DisposableBase

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
    """Whether its calls are attempts and no more, which pass breaker and time limit alone."""
    endpoint = runtime.endpoint
    around = (
        endpoint.stream, endpoint.retry_if, endpoint.total_timeout, runtime.hooks, runtime.exchange,
        runtime.bulkhead, runtime.http_cache,
    )  # fmt: skip
    return (
        all(each is None for each in around)
        and not (runtime.limiters or runtime.cached or runtime.times_each_call)
        and (runtime.breaker is None or runtime.breaker.classify is None)
    )


class FirstTry:
    """Makes the first attempts of the calls of a plain endpoint.

    Args:
        attempts: All attempts of a call, as composed.
        attempt: One of them, which `attempts` repeats.
        limit: Seconds for one, above 0.
    """

    __slots__ = ("attempts", "guarded", "limit", "repeated", "timer")

    def __init__(self, attempts: Stage[Any], attempt: Stage[Any], limit: float | None) -> None:
        self.attempts = attempts
        self.repeated = attempts if isinstance(attempts, RetryStage) else None
        self.guarded = attempt if isinstance(attempt, CircuitBreakerStage) else None
        self.limit = limit
        self.timer = SharedTimer()

    def begin(self, call: Call, sink: Link, scheduler: DemandScheduler) -> DisposableBase:
        """Begins a call, of which nobody wants to hear anything but its end."""
        permit = None
        if self.guarded is not None:
            permit = self.guarded.let_in(scheduler.clock)
            if permit is None:
                return self.attempts.attach(sink, scheduler.about(call))
        link = _FirstLink(sink, self, call, scheduler, permit)
        if call.budget is not None:
            call.budget.record_call(link.started)
        first = call.runtime.first_attempt(call)
        try:
            attempt = AsyncCall(first, link, scheduler.tasks, scheduler.context.copy())
        except Exception as error:
            link.on_error(error)
            return link
        if link.upstream is NOTHING:  # else: an eager task has ended, or failed and is repeated
            link.upstream = attempt
            if self.limit is not None:
                link.timer = self.timer.queue(scheduler.clock, self.limit).call(link.time_over)
        return link


class _FirstLink(Link):
    """Holds permit and timer of the first attempt; after a failure, `upstream` is what goes on."""

    __slots__ = ("_call", "_permit", "_scheduler", "_tries", "started", "timer")

    sink: Link

    def __init__(
        self,
        sink: Link,
        tries: FirstTry,
        call: Call,
        scheduler: DemandScheduler,
        permit: CircuitPermit | None,
    ) -> None:
        self.sink = sink
        self.upstream = NOTHING
        self._tries = tries
        self._call = call
        self._scheduler = scheduler
        self._permit = permit
        self.timer: Entry | None = None
        self.started = scheduler.clock.now()

    def time_over(self) -> None:
        """The attempt took too long."""
        limit = self._tries.limit
        assert limit is not None
        self.upstream.dispose()
        self.on_error(TimeoutExceededError(limit=limit, kind="attempt"))

    def on_only(self, value: Any) -> None:
        self.upstream = DISPOSED
        timer, self.timer = self.timer, None
        if timer is not None:
            timer.cancel()
        if self._permit is not None:
            self._settle(self._permit, classify(value))
        self.sink.on_only(value)

    def on_error(self, error: Exception) -> None:
        """Makes the links that know what follows, and tells them."""
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None
        tries, permit = self._tries, self._permit
        scheduler = self._scheduler.about(self._call)
        going_on: Link = self.sink
        if tries.repeated is not None:
            self.upstream = going_on = tries.repeated.begun(self.sink, scheduler, self.started)
        else:
            self.upstream = DISPOSED
        if tries.guarded is not None and permit is not None:
            going_on = tries.guarded.watching(going_on, permit, scheduler.clock)
        going_on.on_error(error)

    def dispose(self) -> None:
        if self.upstream is DISPOSED:
            return
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None
        if self._permit is not None:  # after a failure it has been settled, and this does nothing
            self._settle(self._permit, Outcome3.IGNORED)
        super().dispose()

    def _settle(self, permit: CircuitPermit, outcome: Outcome3) -> None:
        guarded = self._tries.guarded
        assert guarded is not None
        breaker = guarded.breaker
        change = breaker.circuit.record(permit, outcome, self._scheduler.clock.now())
        if change is not None:
            breaker.tell(change)
