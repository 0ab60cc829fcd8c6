"""What lives as long as a client for each of its endpoints: compiled parts and shared state."""

from __future__ import annotations

import asyncio
import math
import weakref
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar
from urllib.parse import urlsplit

from pydantic import ValidationError
from reactivex import Observable

from rxorch.endpoint.build import IDEMPOTENCY_KEY, RequestBuilder, again, cache_key
from rxorch.endpoint.call import Call
from rxorch.endpoint.defaults import CallDefaults
from rxorch.endpoint.exchange import Exchange, aside
from rxorch.endpoint.http_caching import identity_of, rewritten, seen_by_cache, unread
from rxorch.endpoint.model import APIEndpoint
from rxorch.endpoint.notes import CANCELLED, noted, uncancelled
from rxorch.endpoint.parts import handler_of, placed, rate_cost_of, time_limit_of
from rxorch.endpoint.reading import AnswerReader, Attempted
from rxorch.endpoint.retry_rules import RetryRules, classify, retry_policy
from rxorch.endpoint.streaming import LAST_EVENT_ID
from rxorch.errors import ApiConfigurationError, ApiHttpError, ApiResponseTooLargeError, ApiValidationError
from rxorch.events import BreakerChanged, EventBus
from rxorch.http.headers import SAFE_METHODS
from rxorch.http.request import Request
from rxorch.http.response import Response
from rxorch_operators import (
    CircuitBreaker,
    Coalescer,
    RateLimiter,
    RetryBudget,
    RetryPolicy,
    TtlCache,
    bulkhead,
    circuit_breaker,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from rxorch.endpoint.caller import Caller
    from rxorch.endpoint.first_try import FirstTry
    from rxorch_operators import CircuitChange
    from rxorch_operators.core.stage import Stage

__all__ = ["EndpointRuntime"]


class EndpointRuntime:
    """One endpoint as one client knows it: request builder, breaker, limiters, cache, counters."""

    is_declared: ClassVar[bool] = True
    """Whether an endpoint stands behind it; state of requests that are not declared comes and goes."""

    times_each_call = False
    """Whether calls have time limits of their own: `time_limit` is asked, and not `attempt_timeout`."""

    attempts: Stage[Any] | None = None
    """Composed at the first call, when all its parts are known."""

    first_try: FirstTry | None = None
    """Made with it, where a first attempt has little to pass."""

    def __init__(self, endpoint: APIEndpoint, caller: Caller) -> None:
        defaults = caller.defaults
        self.declared = endpoint
        self.endpoint = endpoint = placed(endpoint, defaults.base_url)
        self.caller = caller
        self.bus: EventBus = caller.events
        self.builder = RequestBuilder(endpoint)
        self.reader = AnswerReader.of(endpoint)
        self.rules = RetryRules(endpoint)
        self.retry_base = self.rules.base
        self.unsafe = endpoint.method not in SAFE_METHODS  # it may change something
        self.error_handler = handler_of(endpoint)
        self.random = defaults.random
        self.bulkhead = defaults.bulkhead
        self.breaker = self._own_breaker(endpoint, defaults)
        self.own_limiter = self._own_limiter(endpoint, defaults)
        limiters = (defaults.global_limiter, self.own_limiter)  # outermost first
        self.limiters = tuple(limiter for limiter in limiters if limiter is not None)
        self.rate_cost = rate_cost_of(endpoint)
        # Operators that are the same for every call are made once.
        self.attempt_timeout = time_limit_of(endpoint)
        self.attempt_bulkhead = None if self.bulkhead is None else bulkhead(self.bulkhead)
        self.attempt_breaker = (
            None
            if self.breaker is None
            else circuit_breaker(
                self.breaker,
                classify=self.breaker.classify or classify,
                judged_at="end" if endpoint.stream is None else "first",
            )
        )
        self.retry_policy = retry_policy(endpoint)
        self._budget: RetryBudget | None = None
        host = urlsplit(endpoint.url).netloc
        if defaults.retry_budget and "{" not in host:
            self._budget = caller.budget_of(urlsplit(endpoint.url).hostname or "", one_more=self.is_declared)
        self.cache: TtlCache[Any, Any] = caller.cache
        self.coalescer = Coalescer()
        self.cache_ttl = endpoint.cache_ttl
        if self.cache_ttl is None and endpoint.method in SAFE_METHODS:
            self.cache_ttl = defaults.cache_ttl
        self.cached = bool(self.cache_ttl) and endpoint.stream is None  # 0 says: never
        self.hooks = defaults.hooks
        self.exchange = self._exchange(endpoint, defaults)
        self.renews = self.exchange is not None and self.exchange.auth is not None
        self.http_cache = None if endpoint.http_cache is False or endpoint.stream else defaults.http_cache
        self.identity = (
            ""
            if self.http_cache is None
            else identity_of(defaults.auth if endpoint.auth is None else endpoint.auth)
        )
        self._check_identity()
        self.calls_in_flight = self.retries = self.sends = 0

    def _own_breaker(self, endpoint: APIEndpoint, defaults: CallDefaults) -> CircuitBreaker | None:
        own = endpoint.circuit_breaker
        if own is False or (own is None and defaults.breaker_threshold is None):
            return None
        if isinstance(own, CircuitBreaker):
            breaker = own
        else:
            breaker = CircuitBreaker(
                defaults.breaker_threshold or 5, defaults.breaker_timeout, name=endpoint.name
            )
        # A shared breaker outlives its clients; it must not keep them alive.
        changed = weakref.WeakMethod(self._breaker_changed)

        def listener(change: CircuitChange) -> None:
            tell = changed()
            if tell is not None:
                tell(change)

        weakref.finalize(self, breaker.listen(listener).dispose)
        return breaker

    def _breaker_changed(self, change: CircuitChange) -> None:
        if self.bus.active:
            self.bus.emit(
                BreakerChanged(
                    change.at, None, self.endpoint.name, change.old.name.lower(), change.new.name.lower()
                )
            )

    def _exchange(self, endpoint: APIEndpoint, defaults: CallDefaults) -> Exchange | None:
        """What stands between attempt and transport; None where nothing has to."""
        redirects = defaults.redirects if endpoint.follow_redirects is None else endpoint.follow_redirects
        auth = defaults.auth if endpoint.auth is None else endpoint.auth
        if not auth and not redirects:
            return None
        return Exchange(self.caller, auth or None, redirects or None, at_home=endpoint.auth is not None)

    def _check_identity(self) -> None:
        keeps = self.cached or self.http_cache is not None
        if keeps and self.hooks is not None and not self.hooks.keeps_identity:
            raise ApiConfigurationError(
                "its answers are kept, and a hook may change who is asking: set keeps_identity = True on the "
                "hook if it does not, or keep no answers (cache_ttl=0, http_cache=False)",
                endpoint=self.endpoint.name,
            )

    @staticmethod
    def _own_limiter(endpoint: APIEndpoint, defaults: CallDefaults) -> RateLimiter | None:
        if endpoint.rate_limiter is not None:
            return endpoint.rate_limiter
        if endpoint.rate_limit is None:
            return None
        window = endpoint.rate_limit_window or defaults.rate_limit_window
        return RateLimiter(endpoint.rate_limit, window, burst=endpoint.burst_limit, name=endpoint.name)

    def prepare(self, call: Call) -> None:
        """Builds the request of a call; raises what is wrong with its input."""
        call.built = call.request = request = self.build(call)
        if self.rate_cost is not None:
            call.cost = self._cost(call, self.rate_cost)
        defaults = self.caller.defaults
        if self.retry_policy is not None and defaults.retry_budget:
            call.budget = self._budget or self.caller.budget_of(request.url.host or "")
        if self.cached:
            generator = defaults.cache_key_generator
            make = partial(cache_key, self.endpoint, request, data=call.data, generator=generator)
            call.key = uncancelled(make)

    def _cost(self, call: Call, of_data: Callable[[Any, Any], Any]) -> int:
        cost = uncancelled(of_data, call.data, call.trail.context)
        most = math.inf if self.own_limiter is None else self.own_limiter.line.meter.max_cost
        if isinstance(cost, bool) or not isinstance(cost, int) or not 0 <= cost <= most:
            raise ApiValidationError(
                f"rate_cost: a call costs a whole number from 0 to {most:g}, which is what can pass at once",
                endpoint=self.endpoint.name,
            )
        return cost

    def build(self, call: Call) -> Request:
        """The request of a call, before hooks and credentials."""
        trail = call.trail
        try:
            request = self.builder.build(call.data, trail.context)
        except asyncio.CancelledError as error:  # as `uncancelled`, without another call
            raise RuntimeError(CANCELLED) from error
        # The steps of a saga, whose requests have headers of their own, are undone by their keys.
        takes_key = self.builder.takes_key if trail.headers is None else self.builder.could_take_key
        if trail.idempotency is not None and takes_key:
            request.headers = {**request.headers, IDEMPOTENCY_KEY: trail.idempotency(self.endpoint.name)}
        if trail.headers is not None:
            known = {name.lower() for name in request.headers}
            more = {name: text for name, text in trail.headers.items() if name.lower() not in known}
            request.headers = {**request.headers, **more}
        if call.rewrite is not None:
            request.url = call.rewrite(request.url)
        return request

    def reader_of(self, call: Call) -> AnswerReader:
        """What reads the answers to a call."""
        return self.reader

    def time_limit(self, call: Call) -> Callable[[Observable[Any]], Observable[Any]] | None:
        """The limit for one attempt, as an operator."""
        return self.attempt_timeout

    def retryable(self, call: Call, error: Exception) -> bool:
        """Whether another attempt may cure this error, and the request can be sent again."""
        if call.emitted and not (call.last_event_id and not self.unsafe):
            return False  # the elements would come twice
        if call.request is not None and not call.request.repeatable and _begun(call):
            return False
        rules = self.rules_of(call)
        if call.changed and not rules.is_harmless(call):
            return False  # what could be repeated is only the whole, and that was carried out
        return rules.retryable(call, error)

    def rules_of(self, call: Call) -> RetryRules:
        """What decides whether another attempt of this call may be made."""
        return self.rules

    async def attempt(self, call: Call) -> Any:
        """One attempt: transport, then parse, then validate."""
        request, seen = self.begun(call), None
        if self.hooks is not None:
            request, seen = await self._seen_by_hooks(call, request)
        if self.exchange is None:
            response = await self.send(call, request)
        else:
            response = await self.exchange.answer(call, request, self.send)
        if self.http_cache is not None:
            response = seen_by_cache(call, response, self.http_cache)
            call.headers = response.headers
        try:
            return await self._value(call, response, seen)
        except Exception as error:
            if self.http_cache is not None:
                unread(call, response, error, self.http_cache)
            raise

    def answered(self, call: Call, response: Response) -> Any:
        """The value of the answer to the first attempt of a call without hooks, cache and credentials."""
        call.answered += 1  # not 1: an attempt that nobody waits for any more may be answered after others
        call.status_code = response.status
        call.headers = response.headers
        try:
            return self.reader.read(response, call.trail.context)
        except BaseException as error:
            self._unread(error)
            raise

    async def _value(self, call: Call, response: Response, seen: Any) -> Any:
        reader = self.reader_of(call)
        if self.hooks is None:
            return self._read(reader.read, response, call.trail.context)
        value = self._read(reader.parsed, response)
        await aside(self.hooks.after(seen, value), call)
        return self._read(reader.shaped, value, call.trail.context)

    def read(self, call: Call, response: Response) -> Any:
        """The value of an answer that no attempt brought."""
        return self._read(self.reader_of(call).read, response, call.trail.context)

    def shaped(self, call: Call, element: Any) -> Any:
        """What is made of one element of a stream."""
        return self._read(self.reader_of(call).shaped, element, call.trail.context)

    def refusal(self, call: Call, response: Response) -> ApiHttpError:
        """The error that an answer is which is not a success."""
        error = self.reader_of(call).refusal(response)
        self._slow_down(error.retry_after)
        return error

    async def begin(self, call: Call) -> tuple[Request, Any]:
        """The request of a new attempt, with what the hooks made of it and want to know later."""
        request = self.begun(call)
        return (request, None) if self.hooks is None else await self._seen_by_hooks(call, request)

    async def _seen_by_hooks(self, call: Call, request: Request) -> tuple[Request, Any]:
        if not call.hops:  # else they have seen the request that led to this one
            request, call.seen = await self.hooked(call, request)
            if self.http_cache is not None:
                request = rewritten(call, request, self.http_cache)
        return request, call.seen

    def begun(self, call: Call) -> Request:
        """The request of a new attempt, before hooks and credentials; or that of the next hop of one."""
        hop = call.hop
        if hop is not None:
            call.hop, call.request, call.status_code = None, hop, None
            return hop
        request = call.built
        assert request is not None
        if call.attempts:
            request = again(request)
        if call.last_event_id:
            request.headers = {**request.headers, LAST_EVENT_ID: call.last_event_id}
        call.request = request
        call.attempt_started()
        call.status_code = None
        return request

    async def hooked(self, call: Call, request: Request) -> tuple[Request, Any]:
        """What the hooks make of a request."""
        assert self.hooks is not None
        return await aside(self.hooks.before(request), call)

    async def send(self, call: Call, request: Request) -> Response:
        """Puts one request on the wire, and counts it."""
        call.request = request
        call.tried.append(request)
        try:
            response = await self.caller.transport.send(request)
        except ApiResponseTooLargeError:
            call.answered += 1  # and refused by us
            raise
        finally:
            self.sends += request.sent
        call.answered += 1
        call.status_code = response.status
        call.headers = response.headers
        return response

    def _read(self, step: Callable[..., Any], *args: Any) -> Any:
        try:
            return step(*args)
        except BaseException as error:
            self._unread(error)
            raise

    def _unread(self, error: BaseException) -> None:
        """Raises what an error means that a parser or another callable of the endpoint raised."""
        if isinstance(error, asyncio.CancelledError):  # as `uncancelled`, without another call
            raise RuntimeError(CANCELLED) from error
        if isinstance(error, ApiHttpError):
            self._slow_down(error.retry_after)
        elif isinstance(
            error, ValidationError
        ):  # of a model that the parser makes: it would quote the answer
            raise ApiValidationError.from_pydantic(error, endpoint=self.endpoint.name) from None
        elif isinstance(error, StopIteration):
            raise noted(error, f"in a callable of endpoint {self.endpoint.name!r}") from error

    def _slow_down(self, retry_after: float | None) -> None:
        """Lets the endpoint's other calls wait too, but no longer than a retry would."""
        if retry_after is None or self.own_limiter is None:
            return
        longest = RetryPolicy().max_hint if self.retry_policy is None else self.retry_policy.max_hint
        self.own_limiter.feed_retry_after(min(retry_after, longest))

    def refused_result(self, call: Call) -> Callable[[Any], bool] | None:
        """The endpoint's `retry_if` on values, as the retry operator asks it."""
        judge = self.endpoint.retry_if
        if judge is None:
            return None
        return lambda value: bool(uncancelled(judge, Attempted(call.status_code, call.headers, value)))


def _begun(call: Call) -> bool:
    return any(request.sent for request in call.tried)
