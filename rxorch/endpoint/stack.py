"""THE policy stack: what happens, in which order, when an endpoint is called.

::

    fallback -> total timeout -> cache -> coalesce -> HTTP cache -> retry -> circuit breaker
             -> rate limit (global, then endpoint) -> bulkhead -> attempt timeout
             -> hooks -> credentials, redirects -> transport -> parse -> validate

Each step is one of the operators of `rxorch_operators`; a policy that the endpoint does not ask for is not
there. From the retry inwards the stack is composed once per endpoint, in `attempts`. The order has reasons: a
cached value costs no permit; every attempt is seen by the breaker and paid to the limiter; a wait for the
limiter is not part of the attempt's time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from reactivex import Observable
from reactivex import operators as ops
from reactivex.abc import DisposableBase, ObserverBase

from rxorch.endpoint.attempts import attempts_of
from rxorch.endpoint.call import Call, CallLink, DescribedLink, Trail
from rxorch.endpoint.http_caching import HttpCached
from rxorch.endpoint.session import InSession
from rxorch_operators import cache, coalesce, fallback, timeout
from rxorch_operators.core.demand import DemandScheduler
from rxorch_operators.core.stage import Stage, as_stage

if TYPE_CHECKING:
    from rxorch.endpoint.runtime import EndpointRuntime

__all__ = ["EndpointCall"]


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
        caller = self.runtime.caller
        if caller.is_open:
            return self.start(call, sink, scheduler)
        return InSession(_Begun(call), caller).attach(sink, scheduler)

    @staticmethod
    def start(call: Call, sink: ObserverBase[Any], scheduler: DemandScheduler) -> DisposableBase:
        """Begins a call whose facts the caller wants to read afterwards."""
        handler = call.runtime.error_handler
        # First: without an event loop there is no call to begin.
        link = CallLink(sink, call, describes=handler is None)
        call.begin(scheduler)
        if handler is None:
            return _begin(call, link, scheduler)
        handle = fallback(lambda error: handler(error, call.trail.context), degraded=call.substituted)
        return link.connect(as_stage(handle(_Described(call))), scheduler)


class _Begun(Stage[Any]):
    """A call whose facts were made before."""

    def __init__(self, call: Call) -> None:
        self.call = call

    def attach(self, sink: ObserverBase[Any], scheduler: DemandScheduler) -> DisposableBase:
        return EndpointCall.start(self.call, sink, scheduler)


class _Described(Stage[Any]):
    """A call whose errors have their name, place and facts before an `error_handler` gets them."""

    def __init__(self, call: Call) -> None:
        self.call = call

    def attach(self, sink: ObserverBase[Any], scheduler: DemandScheduler) -> DisposableBase:
        return _begin(self.call, DescribedLink(sink, self.call), scheduler)


def _begin(call: Call, link: DescribedLink, scheduler: DemandScheduler) -> DisposableBase:
    """Builds the request, and runs the policies."""
    runtime = call.runtime
    try:
        runtime.prepare(call)
    except Exception as error:
        link.on_error(error)
        return link
    first = runtime.first_try
    if first is None or call.listening:
        return link.connect(_compose(call), scheduler.about(call))
    return link.joined(first.begin(call, link, scheduler))


def _compose(call: Call) -> Stage[Any]:
    runtime = call.runtime
    source = runtime.attempts or attempts_of(runtime)
    if runtime.http_cache is not None:
        source = HttpCached(source, call, runtime.http_cache, _Begun)
    if runtime.cached and call.lookup is None:  # a refresh must not be answered by what it renews
        source = _remembered(call, source)
    if runtime.endpoint.stream and not call.piecewise:
        source = as_stage(source.pipe(ops.to_list()))
    if runtime.endpoint.total_timeout is not None:
        source = as_stage(timeout(call.remaining)(source))
    return source


def _remembered(call: Call, source: Observable[Any]) -> Stage[Any]:
    """What is known already instead of a call."""
    runtime = call.runtime
    if not runtime.unsafe:  # of a shared order only the first caller would know whether it was sent
        source = coalesce(runtime.coalescer, call.key)(source)
    name, ttl = runtime.endpoint.name, runtime.cache_ttl or 0.0
    return as_stage(cache(runtime.cache, call.key, ttl=ttl, tag=name, on_hit=call.cache_hit)(source))
