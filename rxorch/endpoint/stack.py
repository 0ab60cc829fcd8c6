"""THE policy stack: what happens, in which order, when an endpoint is called.

::

    fallback -> total timeout -> cache -> coalesce -> HTTP cache -> retry -> circuit breaker
             -> rate limit (global, then endpoint) -> bulkhead -> attempt timeout
             -> hooks -> credentials, redirects -> transport -> parse -> validate

Each step of `_compose` and its parts is one of the operators of `rxorch_operators`; a policy that the
endpoint does not ask for is not there. The order has reasons: a cached value costs no permit; every attempt
is seen by the breaker and paid to the limiter; a wait for the limiter is not part of the attempt's time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from reactivex import Observable
from reactivex import operators as ops
from reactivex.abc import DisposableBase, ObserverBase

from rxorch.endpoint.call import Call, CallLink, Trail
from rxorch.endpoint.exchange import Aside
from rxorch.endpoint.http_caching import HttpCached
from rxorch.endpoint.notes import noted
from rxorch.endpoint.retry_rules import hint
from rxorch.endpoint.streaming import ElementStream
from rxorch.errors import (
    ApiBulkheadFullError,
    ApiCircuitOpenError,
    ApiError,
    ApiRateLimitError,
    ApiTimeoutError,
)
from rxorch_operators import (
    BulkheadFullError,
    CircuitOpenError,
    RateLimitExceededError,
    RetryPolicy,
    TimeoutExceededError,
    cache,
    coalesce,
    fallback,
    from_async,
    rate_limit,
    retry_backoff,
    timeout,
)
from rxorch_operators.core.demand import DemandScheduler
from rxorch_operators.core.stage import Link, Stage, as_stage

if TYPE_CHECKING:
    from rxorch.endpoint.runtime import EndpointRuntime

__all__ = ["EndpointCall"]

_ONCE_MORE: Final = RetryPolicy(max_attempts=2, base=0.0, jitter="none")
"""With other credentials, after a 401. It is no repetition of what failed: the first try was not let in."""


class EndpointCall(Stage[Any]):
    """One call as an observable: cold, one value, cancelled by disposal. Each subscription calls anew.

    Of an endpoint with ``stream`` the value is the list of its elements; with ``piecewise`` they are emitted
    one by one as they come.
    """

    def __init__(self, runtime: EndpointRuntime, data: Any, trail: Trail, *, piecewise: bool = False) -> None:
        self.runtime = runtime
        self.data = data
        self.trail = trail
        self.piecewise = piecewise

    def attach(self, sink: ObserverBase[Any], scheduler: DemandScheduler) -> DisposableBase:
        call = Call(self.runtime, self.data, self.trail)
        call.piecewise = self.piecewise
        return self.start(call, sink, scheduler)

    @staticmethod
    def start(call: Call, sink: ObserverBase[Any], scheduler: DemandScheduler) -> DisposableBase:
        """Begins a call whose facts the caller wants to read afterwards."""
        link = CallLink(sink, call)  # first: without an event loop there is no call to begin
        call.begin(scheduler.clock.now)
        stage: Stage[Any] = _Described(call)
        handler = call.runtime.error_handler
        if handler is not None:
            handle = fallback(lambda error: handler(error, call.trail.context), degraded=call.substituted)
            stage = as_stage(handle(stage))
        return link.connect(stage, scheduler)


class _Begun(Stage[Any]):
    """A call whose facts were made before."""

    def __init__(self, call: Call) -> None:
        self.call = call

    def attach(self, sink: ObserverBase[Any], scheduler: DemandScheduler) -> DisposableBase:
        return EndpointCall.start(self.call, sink, scheduler)


class _Described(Stage[Any]):
    """Builds the request, runs the policies, and gives every error its name, place and facts."""

    def __init__(self, call: Call) -> None:
        self.call = call

    def attach(self, sink: ObserverBase[Any], scheduler: DemandScheduler) -> DisposableBase:
        call = self.call
        link = _DescribedLink(sink, call)
        try:
            call.runtime.prepare(call)
        except Exception as error:
            link.on_error(error)
            return link
        return link.connect(as_stage(_compose(call)), scheduler)


class _DescribedLink(Link):
    __slots__ = ("_call",)

    def __init__(self, sink: ObserverBase[Any], call: Call) -> None:
        super().__init__(sink)
        self._call = call

    def on_error(self, error: Exception) -> None:
        if isinstance(error, Exception):
            try:
                error = api_error(self._call, error)
            except Exception as broken:  # a strange error of the user's must still end the call
                error = broken
        self.sink.on_error(error)


def _compose(call: Call) -> Observable[Any]:
    source = _remembered(call, _repeated(call, _attempt(call)))
    if call.runtime.endpoint.stream and not call.piecewise:
        source = source.pipe(ops.to_list())
    if call.runtime.endpoint.total_timeout is not None:
        source = timeout(call.remaining)(source)
    return source


def _attempt(call: Call) -> Observable[Any]:
    """One attempt, with what it has to pass before it may leave."""
    runtime = call.runtime
    source: Observable[Any]
    source = ElementStream(call) if runtime.endpoint.stream else from_async(runtime.attempt, call)
    limited = runtime.time_limit(call)
    if limited is not None:
        source = limited(source)
    source = _Watched(as_stage(source), call)
    if runtime.attempt_bulkhead is not None:
        source = runtime.attempt_bulkhead(source)
    if runtime.limiters:
        source = rate_limit(*runtime.limiters, max_wait=call.remaining, on_wait=call.rate_limited)(source)
    if runtime.attempt_breaker is not None:
        source = runtime.attempt_breaker(source)
    return source


def _repeated(call: Call, source: Observable[Any]) -> Observable[Any]:
    """The attempts of a call."""
    runtime = call.runtime
    if runtime.renews:
        source = retry_backoff(_ONCE_MORE, retry_if=call.renews)(source)
    attempt = source
    if runtime.retry_policy is not None:
        source = retry_backoff(
            runtime.retry_policy,
            retry_if=lambda error: runtime.retryable(call, error),
            retry_result=runtime.refused_result(call),
            hint=hint,
            base=runtime.retry_base,
            on_retry=call.retrying,
            resume=(lambda _count, _last: attempt) if runtime.endpoint.stream == "sse" else None,
            on_give_up=call.budget_spent if call.listening else None,
            budget=call.budget,
            deadline=call.deadline,
            random=runtime.random,
        )(source)
    return source


def _remembered(call: Call, source: Observable[Any]) -> Observable[Any]:
    """What is known already instead of a call."""
    runtime = call.runtime
    if runtime.http_cache is not None:
        source = HttpCached(as_stage(source), call, runtime.http_cache, _Begun)
    if runtime.cached:
        if not runtime.unsafe:  # of a shared order only the first caller would know whether it was sent
            source = coalesce(runtime.coalescer, call.key)(source)
        name, ttl = runtime.endpoint.name, runtime.cache_ttl or 0.0
        source = cache(runtime.cache, call.key, ttl=ttl, tag=name, on_hit=call.cache_hit)(source)
    return source


class _Watched(Stage[Any]):
    """Tells the call of a failed attempt, its timeout included."""

    def __init__(self, source: Stage[Any], call: Call) -> None:
        self.source = source
        self.call = call

    def attach(self, sink: ObserverBase[Any], scheduler: DemandScheduler) -> DisposableBase:
        return _WatchedLink(sink, self.call).connect(self.source, scheduler)


class _WatchedLink(Link):
    __slots__ = ("_call",)

    def __init__(self, sink: ObserverBase[Any], call: Call) -> None:
        super().__init__(sink)
        self._call = call

    def on_error(self, error: Exception) -> None:
        self._call.attempt_failed(error)
        self.sink.on_error(error)


def api_error(call: Call, error: Exception) -> Exception:
    """The error as one of the tree of `rxorch.errors`, with the facts of the call on it."""
    if isinstance(error, Aside):
        error = error.error
    if isinstance(error, ApiError):
        return call.describe(error)
    named = _named(error)
    if isinstance(named, ApiTimeoutError) and named.kind == "total":
        # The operator was given what was left of it when the call began.
        named = ApiTimeoutError(limit=call.runtime.endpoint.total_timeout, kind="total")
    if named is None:
        # A callable of the endpoint failed: its own error says more than any class of ours.
        return noted(error, f"in endpoint {call.runtime.endpoint.name!r}")
    named.__cause__ = error
    return call.describe(named)


def _named(error: Exception) -> ApiError | None:
    if isinstance(error, TimeoutExceededError):
        return ApiTimeoutError(limit=error.limit, kind=error.kind)
    if isinstance(error, RateLimitExceededError):
        return ApiRateLimitError(retry_after=error.retry_after, name=getattr(error, "name", None))
    if isinstance(error, CircuitOpenError):
        return ApiCircuitOpenError(name=error.name, retry_after=error.retry_after)
    if isinstance(error, BulkheadFullError):
        return ApiBulkheadFullError(limit=error.limit, queue=error.queue)
    return None
