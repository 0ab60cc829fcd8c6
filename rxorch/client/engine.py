"""Requests that no endpoint declares, under the same policy stack as those that one does."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from typing import Any, Final, Literal
from weakref import WeakSet

from yarl import URL

from rxorch.client.answers import Readers
from rxorch.client.breaker import CircuitBreaker
from rxorch.client.foreign import has_own_breaker_methods, has_own_method
from rxorch.client.hooks import HookChain
from rxorch.client.protocols import BaseCircuitBreaker, BaseHttpClient, BaseRateLimiter, BaseRequestModel
from rxorch.client.runtime import RequestRuntime
from rxorch.client.writing import method_of, parse_url
from rxorch.endpoint.call import LOOSE
from rxorch.endpoint.caller import Caller
from rxorch.endpoint.runtime import EndpointRuntime
from rxorch.endpoint.stack import EndpointCall
from rxorch_operators import CircuitBreaker as AnyCircuitBreaker
from rxorch_operators import CircuitState, RateLimiter, last_of

__all__ = ["RequestEngine"]

_MAX_ORIGINS: Final = 1024
_AT_ONCE: Final = 1e9
_ACQUIRE: Final = RateLimiter.acquire


class RequestEngine:
    """Carries out requests, each as a call of the policy stack.

    What lasts from call to call (breakers, limiters, counters) is kept for each origin and method.

    Args:
        retry: attempts and waits, as fields of an ``APIEndpoint``.
        breaker: None: one for each origin; False: none; or one for all.
        limiter: what every attempt pays to.
        hooks: around every attempt.
        http: what sends in the place of the client's transport.
        default_timeout: seconds for one attempt.

    Attributes:
        readers: of the answers.
        foreign_breaker: the breaker, if its methods are the user's own.
        foreign_limiter: the limiter, likewise.
    """

    def __init__(
        self,
        *,
        retry: Mapping[str, Any],
        breaker: AnyCircuitBreaker | BaseCircuitBreaker | Literal[False] | None,
        limiter: RateLimiter | BaseRateLimiter | None,
        hooks: HookChain | None,
        http: BaseHttpClient | None,
        default_timeout: float | None,
    ) -> None:
        self.retry = retry
        self.breaker: AnyCircuitBreaker | Literal[False] | None = None
        self.foreign_breaker: BaseCircuitBreaker | None = None
        if isinstance(breaker, BaseCircuitBreaker) and has_own_breaker_methods(breaker):
            self.breaker, self.foreign_breaker = False, breaker
        else:
            self.breaker = breaker  # type: ignore[assignment] # who has no methods of his own is one of ours
        self.limiter: RateLimiter | None = None
        self.foreign_limiter: BaseRateLimiter | None = None
        if isinstance(limiter, RateLimiter) and not has_own_method(limiter, "acquire", _ACQUIRE):
            self.limiter = limiter
        else:
            self.foreign_limiter = limiter
        self.hooks = hooks
        self.http = http
        self.default_timeout = default_timeout
        self.readers = Readers()
        self._origins: OrderedDict[str, Origin] = OrderedDict()

    async def execute(self, model: BaseRequestModel, caller: Caller) -> Any:
        """Carry out one request on the transport of ``caller``."""
        caller.enter()
        try:
            url = parse_url(model.url, caller.defaults.base_url)
            runtime = self._runtime(caller, url, method_of(model.method))
            call = EndpointCall(runtime, model, LOOSE)
            return await last_of(call, scheduler=caller.session().scheduler)
        finally:
            await caller.leave()

    def _runtime(self, caller: Caller, url: URL, method: str) -> EndpointRuntime:
        key = (self, url.scheme, url.host_port_subcomponent, method)
        runtime = caller.loose_runtime(key)
        if runtime is None:
            origin = self._origin(url.origin())
            runtime = RequestRuntime(self, origin, caller, method)
            origin.runtimes.add(runtime)
            caller.keep_loose(key, runtime)
        else:
            assert isinstance(runtime, RequestRuntime)
            self._used(runtime.origin)
        return runtime

    def _origin(self, url: URL) -> Origin:
        key = str(url)
        origin = self._origins.get(key)
        if origin is None:
            origin = Origin(self, url)
        self._used(origin)
        return origin

    def _used(self, origin: Origin) -> None:
        key = origin.key
        if key in self._origins:
            self._origins.move_to_end(key)
            return
        if len(self._origins) >= _MAX_ORIGINS:  # hosts from user input must not grow it without end
            self._forget_one()
        self._origins[key] = origin

    def _forget_one(self) -> None:
        """Forget an origin, the one used longest ago: none in flight, and rather one that is well."""
        idle = [key for key, origin in self._origins.items() if not origin.in_flight]
        closed = (key for key in idle if self._origins[key].is_closed)
        key = next(closed, idle[0] if idle else None)
        if key is not None:
            del self._origins[key]


class Origin:
    """What an engine knows of one origin, whatever the method.

    Attributes:
        url: scheme, host and port.
        breaker: its own, or the one for all; False for none of ours.
        pause: holds up its requests after a ``Retry-After``. Not the limiter does that, which other origins
            may pay to as well. None where there is no limiter of ours.
        runtimes: those who use it.
    """

    __slots__ = ("breaker", "key", "pause", "runtimes", "url")

    def __init__(self, engine: RequestEngine, url: URL) -> None:
        self.url = url
        self.key = str(url)
        breaker = engine.breaker
        self.breaker = CircuitBreaker(name=url.host) if breaker is None else breaker
        limiter = engine.limiter or engine.foreign_limiter
        self.pause: RateLimiter | None = None
        if isinstance(limiter, RateLimiter):
            self.pause = RateLimiter(_AT_ONCE, 1.0, max_wait=limiter.max_wait, name=limiter.name)
        self.runtimes: WeakSet[RequestRuntime] = WeakSet()

    @property
    def in_flight(self) -> bool:
        """Whether a call to it is under way."""
        return any(runtime.calls_in_flight for runtime in self.runtimes)

    @property
    def is_closed(self) -> bool:
        """Whether its circuit lets everything pass."""
        return self.breaker is False or self.breaker.state is CircuitState.CLOSED
