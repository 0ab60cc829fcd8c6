"""Requests that no endpoint declares, under the same policy stack as those that one does."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, Final, Literal
from uuid import uuid4

from aiohttp import ClientError
from pydantic import TypeAdapter
from pydantic.errors import PydanticSchemaGenerationError, PydanticUserError
from reactivex import Observable
from yarl import URL

from rxorch.client.breaker import CircuitBreaker
from rxorch.client.foreign import guarded_by, limited_by, settled
from rxorch.client.hooks import HookChain
from rxorch.client.protocols import BaseCircuitBreaker, BaseHttpClient, BaseRateLimiter, BaseRequestModel
from rxorch.client.request_model import ApiRequestModel
from rxorch.client.writing import parse_url, write_request
from rxorch.endpoint.build import IDEMPOTENCY_KEY
from rxorch.endpoint.call import LOOSE, Call
from rxorch.endpoint.caller import Caller
from rxorch.endpoint.exchange import aside
from rxorch.endpoint.model import APIEndpoint
from rxorch.endpoint.reading import AnswerReader
from rxorch.endpoint.retry_rules import RetryRules
from rxorch.endpoint.runtime import EndpointRuntime
from rxorch.endpoint.stack import EndpointCall
from rxorch.errors import ApiConfigurationError, ApiNetworkError, ApiTimeoutError
from rxorch.http.headers import check_method
from rxorch.http.request import Request
from rxorch_operators import CircuitBreaker as AnyCircuitBreaker
from rxorch_operators import RateLimiter, last_of, timeout

__all__ = ["RequestEngine"]

_MAX_ORIGINS: Final = 1024
_CONDITIONS: Final = frozenset({"If-None-Match", "If-Modified-Since"})
_NO_NAME: Final = re.compile(r"[^\w.-]+")


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
        self.breaker = breaker
        self.limiter = limiter
        self.hooks = hooks
        self.http = http
        self.default_timeout = default_timeout
        self._breakers: dict[str, AnyCircuitBreaker] = {}

    async def execute(self, model: BaseRequestModel, caller: Caller) -> Any:
        """Carry out one request on the transport of ``caller``."""
        caller.enter()
        try:
            url = parse_url(model.url, caller.defaults.base_url)
            runtime = self._runtime(caller, url, _method(model.method))
            call = EndpointCall(runtime, model, LOOSE)
            return await last_of(call, scheduler=caller.session().scheduler)
        finally:
            await caller.leave()

    def _runtime(self, caller: Caller, url: URL, method: str) -> EndpointRuntime:
        key = (self, url.scheme, url.host_port_subcomponent, method)
        runtime = caller.loose_runtimes.get(key)
        if runtime is None:
            runtime = RequestRuntime(self, caller, url.origin(), method)
            caller.keep_loose(key, runtime)
        return runtime

    def breaker_for(self, origin: URL) -> AnyCircuitBreaker | Literal[False]:
        """The circuit breaker for requests to an origin; False for none of ours."""
        if isinstance(self.breaker, AnyCircuitBreaker):
            return self.breaker
        if self.breaker is not None:
            return False
        key = str(origin)
        breaker = self._breakers.get(key)
        if breaker is None:
            if len(self._breakers) >= _MAX_ORIGINS:  # hosts from user input must not grow it without end
                self._breakers.pop(next(iter(self._breakers)))
            breaker = self._breakers[key] = CircuitBreaker(name=origin.host)
        return breaker


class RequestRuntime(EndpointRuntime):
    """What lasts for the requests to one origin by one method."""

    times_each_call = True

    def __init__(self, engine: RequestEngine, caller: Caller, origin: URL, method: str) -> None:
        limiter = engine.limiter if isinstance(engine.limiter, RateLimiter) else None
        endpoint = APIEndpoint(
            name=_name(origin, method),
            url=f"{origin}/",
            method=method,
            timeout=engine.default_timeout,
            circuit_breaker=engine.breaker_for(origin),
            rate_limiter=limiter,
            cache_ttl=0,
            **engine.retry,
        )
        super().__init__(endpoint, caller)
        self.hooks = self.chain = engine.hooks
        self.http = engine.http
        if self.http is not None:
            self.http_cache = None
        self._check_identity()
        self.keyed = not endpoint.is_idempotent and endpoint.max_attempts > 1
        self.keyed_rules = RetryRules(endpoint.model_copy(update={"idempotent": True}))
        if engine.limiter is not None and limiter is None:
            self.attempt_bulkhead = _both(limited_by(engine.limiter), self.attempt_bulkhead)
        if isinstance(engine.breaker, BaseCircuitBreaker) and not isinstance(
            engine.breaker, AnyCircuitBreaker
        ):
            self.attempt_breaker = guarded_by(engine.breaker)

    def build(self, call: Call) -> Request:
        model: BaseRequestModel = call.data
        if model.timeout is not None and not model.timeout > 0:
            raise ApiConfigurationError("timeout is a number of seconds above 0, or None for the default")
        if self.keyed and not _has_key(model):
            model = _copied(model)
            model.headers = {**(model.headers or {}), IDEMPOTENCY_KEY: uuid4().hex}
        call.draft = model
        return self._written(model)

    def _written(self, model: BaseRequestModel) -> Request:
        return write_request(model, base_url=self.caller.defaults.base_url, name=self.endpoint.name)

    def reader_of(self, call: Call) -> AnswerReader:
        model: BaseRequestModel = call.data
        if model.response_key is None and model.model is None:
            return self.reader
        return _reader(self.endpoint.name, model.response_key, model.model)

    def time_limit(self, call: Call) -> Callable[[Observable[Any]], Observable[Any]] | None:
        seconds = call.data.timeout
        return self.attempt_timeout if seconds is None else timeout(seconds, kind="attempt")

    def retryable(self, call: Call, error: Exception) -> bool:
        if self.keyed and _has_key(call.data):  # who gives a key of his own says that the server knows it
            return self.keyed_rules.retryable(call, error)
        return super().retryable(call, error)

    async def hooked(self, call: Call, request: Request) -> tuple[Request, Any]:
        assert self.chain is not None
        model = _copied(call.draft)
        if call.lookup is not None and call.lookup.response is not None:
            model.method = request.method  # what a HEAD found is renewed by a GET
        await aside(self.chain.run_before(model))
        written = self._written(model)
        for name in _CONDITIONS & request.headers.keys():  # of the HTTP cache
            written.headers.setdefault(name, request.headers[name])
        return written, model

    async def attempt(self, call: Call) -> Any:
        return await super().attempt(call) if self.http is None else await self._elsewhere(call, self.http)

    async def _elsewhere(self, call: Call, http: BaseHttpClient) -> Any:
        """One attempt by an HTTP client of the user's own, of which nothing is known but its answer."""
        request, model = await self.begin(call)
        if model is None:
            model = call.draft
        call.tried.append(request)
        request.sent = True  # or it was not: nobody can know
        self.sends += 1
        try:
            value = await settled(
                http.request(
                    request.method,
                    str(parse_url(model.url, self.caller.defaults.base_url)),
                    headers=model.headers,
                    params=model.params,
                    data=model.data,
                    json_payload=model.json_payload,
                    timeout=model.timeout or self.endpoint.timeout,
                )
            )
        except TimeoutError as error:
            if isinstance(error, ApiTimeoutError):
                raise
            raise ApiTimeoutError(limit=model.timeout or self.endpoint.timeout, kind="attempt") from error
        except (OSError, ClientError) as error:
            raise ApiNetworkError(f"the HTTP client failed: {type(error).__name__}", sent=True) from error
        call.answered += 1
        if self.hooks is not None:
            await aside(self.hooks.after(model, value))
        return self._read(self.reader_of(call).shaped, value, None)


def _method(given: str) -> str:
    method = check_method(given.upper() if isinstance(given, str) else given)
    if method == "TRACE":
        raise ApiConfigurationError("TRACE echoes the request with its credentials and is not supported")
    return method


def _name(origin: URL, method: str) -> str:
    host = _NO_NAME.sub("-", origin.host or "").strip(".-") or "host"
    port = "" if origin.explicit_port is None else f"-{origin.explicit_port}"
    return f"{method}.{re.sub(r'[.]{2,}', '.', host)}{port}"


def _has_key(model: BaseRequestModel) -> bool:
    return any(name.lower() == "idempotency-key" for name in model.headers or ())


def _copied(model: BaseRequestModel) -> ApiRequestModel:
    if isinstance(model, ApiRequestModel):
        return model.copied()
    fields = {name: getattr(model, name) for name in ApiRequestModel.model_fields}
    return ApiRequestModel.model_construct(**fields).copied()


def _both(
    outer: Callable[[Observable[Any]], Observable[Any]],
    inner: Callable[[Observable[Any]], Observable[Any]] | None,
) -> Callable[[Observable[Any]], Observable[Any]]:
    return outer if inner is None else lambda source: outer(inner(source))


def _reader(name: str, response_key: str | None, model: Any) -> AnswerReader:
    try:
        return _kept_reader(name, response_key, model)
    except TypeError:  # a type that cannot be hashed
        return _made_reader(name, response_key, model)


def _made_reader(name: str, response_key: str | None, model: Any) -> AnswerReader:
    adapter = None
    if model is not None:
        try:
            adapter = TypeAdapter(model)
        except (PydanticSchemaGenerationError, PydanticUserError) as error:
            raise ApiConfigurationError(
                f"model: pydantic cannot validate against it ({error.code})"
            ) from None
    return AnswerReader(name, response_key=response_key, adapter=adapter)


_kept_reader: Final = lru_cache(maxsize=1024)(_made_reader)
