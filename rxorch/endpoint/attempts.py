"""The attempts of a call: the part of the policy stack that is the same for every call of an endpoint.

It is composed once, at the first call; composed anew for each, it would cost as much as the calls' own work.
Which call a subscription belongs to its parts read from `scheduler.subject`.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from reactivex.abc import DisposableBase, ObserverBase

from rxorch.endpoint.exchange import Aside, Hop
from rxorch.endpoint.first_try import FirstTry, is_plain
from rxorch.endpoint.retry_rules import hint
from rxorch.endpoint.streaming import ElementStream
from rxorch_operators import RetryPolicy, TimeoutExceededError
from rxorch_operators._permitted import Permitted
from rxorch_operators._retrying import RetryOptions, RetryStage
from rxorch_operators.core.async_call import AsyncCall
from rxorch_operators.core.demand import DemandScheduler
from rxorch_operators.core.stage import Link, Stage, as_stage
from rxorch_operators.rate_limit import RateLimitOptions, RateLimitStage, rate_limit

if TYPE_CHECKING:
    from rxorch.endpoint.call import Call
    from rxorch.endpoint.runtime import EndpointRuntime
    from rxorch_operators import RetryBudget

__all__ = ["attempts_of"]

_ONCE_MORE: Final = RetryPolicy(max_attempts=2, base=0.0, jitter="none")
"""With other credentials, after a 401. It is no repetition of what failed: the first try was not let in."""


def attempts_of(runtime: EndpointRuntime) -> Stage[Any]:
    """The attempts of each call, which is the subject of its subscription."""
    attempts = runtime.attempts
    if attempts is None:
        attempt = _attempt(runtime)
        runtime.attempts = attempts = _repeated(runtime, attempt)
        if is_plain(runtime):
            runtime.first_try = FirstTry(attempts, attempt, runtime.endpoint.timeout)
    return attempts


def _attempt(runtime: EndpointRuntime) -> Stage[Any]:
    """One attempt, with what it has to pass before it may leave."""
    source: Stage[Any] = _Streamed() if runtime.endpoint.stream else _Sent()
    if runtime.times_each_call:
        source = _Timed(source)
    elif runtime.attempt_timeout is not None:
        source = as_stage(runtime.attempt_timeout(source))
    if runtime.hooks is not None or runtime.renews:
        source = _Excused(source)
    source = _Watched(source)
    if runtime.attempt_bulkhead is not None:
        source = _Queued(as_stage(runtime.attempt_bulkhead(source)))
    if runtime.limiters:
        limits = rate_limit(*runtime.limiters)
        assert isinstance(limits, RateLimitOptions)
        source = _Limited(source, limits)
    redirects = None if runtime.exchange is None else runtime.exchange.redirects
    if redirects is not None:
        options = replace(_no_options(runtime), retry_if=_is_hop)
        hops = RetryPolicy(max_attempts=redirects.max_hops + 1, base=0.0, jitter="none", max_elapsed=None)
        source = _Redirected(source, replace(options, policy=hops))
    if runtime.attempt_breaker is not None:
        source = as_stage(runtime.attempt_breaker(source))
    return source


def _repeated(runtime: EndpointRuntime, source: Stage[Any]) -> Stage[Any]:
    """The attempts of a call."""
    options = _no_options(runtime)
    if runtime.renews:
        source = _Renewed(source, options)
    attempt = source
    if runtime.retry_policy is not None:
        options = replace(
            options,
            policy=runtime.retry_policy,
            retry_result=runtime.endpoint.retry_if,  # that there is one; `options_of` says how it is asked
            hint=hint,
            base=runtime.retry_base,
            resume=(lambda _count, _last: attempt) if runtime.endpoint.stream == "sse" else None,
            reset_on_success=True,  # a stream may break many times, if it goes on in between
        )
        source = _Repeated(source, options)
    return source


def _no_options(runtime: EndpointRuntime) -> RetryOptions:
    return RetryOptions(
        policy=_ONCE_MORE,
        retry_if=None,
        retry_result=None,
        hint=None,
        base=None,
        on_retry=None,
        on_give_up=None,
        budget=None,
        deadline=None,
        resume=None,
        reset_on_success=False,
        random=runtime.random,
        clock=None,
    )


def _is_hop(error: Exception) -> bool:
    return isinstance(error, Hop)


class _Redirected(RetryStage[Any]):
    """An attempt whose answer is a redirect goes on with the next request, which passes the limits as the
    first.

    The circuit breaker sees the whole as one attempt.
    """

    def attach(self, sink: ObserverBase[Any], scheduler: DemandScheduler) -> DisposableBase:
        call: Call = scheduler.subject
        call.hop, call.hops = None, 0
        return super().attach(sink, scheduler)


class _Excused(Stage[Any]):
    """A time limit that passes while a hook or credentials are at work says nothing about the service."""

    def __init__(self, source: Stage[Any]) -> None:
        self.source = source

    def attach(self, sink: ObserverBase[Any], scheduler: DemandScheduler) -> DisposableBase:
        return _ExcusedLink(sink, scheduler.subject).connect(self.source, scheduler)


class _ExcusedLink(Link):
    __slots__ = ("_call",)

    def __init__(self, sink: ObserverBase[Any], call: Call) -> None:
        super().__init__(sink)
        self._call = call

    def on_error(self, error: Exception) -> None:
        if self._call.is_aside and isinstance(error, TimeoutExceededError):
            error = Aside(error)
        self.sink.on_error(error)


class _Sent(Stage[Any]):
    """What `from_async(runtime.attempt, call)` would be."""

    def attach(self, sink: ObserverBase[Any], scheduler: DemandScheduler) -> DisposableBase:
        call = scheduler.subject
        return AsyncCall(call.runtime.attempt(call), sink, scheduler.tasks, scheduler.context.copy())


class _Streamed(Stage[Any]):
    def attach(self, sink: ObserverBase[Any], scheduler: DemandScheduler) -> DisposableBase:
        return ElementStream(scheduler.subject).attach(sink, scheduler)


class _Timed(Stage[Any]):
    """Gives an attempt the time limit of its call, where calls have limits of their own."""

    def __init__(self, source: Stage[Any]) -> None:
        self.source = source

    def attach(self, sink: ObserverBase[Any], scheduler: DemandScheduler) -> DisposableBase:
        call: Call = scheduler.subject
        limited = call.runtime.time_limit(call)
        source = self.source if limited is None else as_stage(limited(self.source))
        return source.attach(sink, scheduler)


class _Watched(Stage[Any]):
    """Tells the call of a failed attempt, its timeout included."""

    def __init__(self, source: Stage[Any]) -> None:
        self.source = source

    def attach(self, sink: ObserverBase[Any], scheduler: DemandScheduler) -> DisposableBase:
        call: Call = scheduler.subject
        if not call.listening:  # nobody asked when it began: there is nothing to tell
            return self.source.attach(sink, scheduler)
        return _WatchedLink(sink, call).connect(self.source, scheduler)


class _WatchedLink(Link):
    __slots__ = ("_call",)

    def __init__(self, sink: ObserverBase[Any], call: Call) -> None:
        super().__init__(sink)
        self._call = call

    def on_error(self, error: Exception) -> None:
        self._call.attempt_failed(error)
        self.sink.on_error(error)


class _Queued(Stage[Any]):
    """Tells the call that it waits for a permit."""

    def __init__(self, source: Stage[Any]) -> None:
        self.source = source

    def attach(self, sink: ObserverBase[Any], scheduler: DemandScheduler) -> DisposableBase:
        upstream = self.source.attach(sink, scheduler)
        call: Call = scheduler.subject
        if call.listening and isinstance(upstream, Permitted) and upstream.permit.waiting:
            call.permit_awaited()
        return upstream


class _Limited(RateLimitStage[Any]):
    def options_of(self, scheduler: DemandScheduler) -> RateLimitOptions:
        call: Call = scheduler.subject
        return self.options.with_waits(call.remaining, call.rate_limited)

    def costs_of(self, scheduler: DemandScheduler) -> tuple[int, ...]:
        call: Call = scheduler.subject
        cost, limiters = call.cost, call.runtime.limiters
        if cost == 1:
            return (1,) * len(limiters)
        own = call.runtime.own_limiter  # the others count requests
        return tuple(cost if limiter is own else 1 for limiter in limiters)


class _Renewed(RetryStage[Any]):
    def options_of(self, scheduler: DemandScheduler) -> RetryOptions:
        return replace(self.options, retry_if=scheduler.subject.renews)


class _Repeated(RetryStage[Any]):
    def options_of(self, scheduler: DemandScheduler) -> RetryOptions:
        call: Call = scheduler.subject
        runtime = call.runtime
        return replace(
            self.options,
            retry_if=lambda error: runtime.retryable(call, error),
            retry_result=runtime.refused_result(call),
            hint=hint if call.reconnect is None else call.wait_before_reconnecting,
            on_retry=call.retrying,
            on_give_up=call.budget_spent if call.listening else None,
            budget=call.budget,
            deadline=call.deadline,
        )

    def budget_of(self, scheduler: DemandScheduler) -> RetryBudget | None:
        budget: RetryBudget | None = scheduler.subject.budget
        return budget
