"""``RequestRuntime``: what lasts for the requests to one origin by one method."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final
from uuid import uuid4

from aiohttp import ClientError
from reactivex import Observable
from yarl import URL

from rxorch.client.answers import whole_answer
from rxorch.client.foreign import guarded_by, limited_by, settled
from rxorch.client.protocols import BaseHttpClient, BaseRequestModel
from rxorch.client.request_model import ApiRequestModel, WholeAnswerRequest
from rxorch.client.settings import is_seconds
from rxorch.client.writing import method_of, parse_url, write_request
from rxorch.endpoint.build import IDEMPOTENCY_KEY, again
from rxorch.endpoint.call import Call
from rxorch.endpoint.caller import Caller
from rxorch.endpoint.exchange import aside
from rxorch.endpoint.model import IDEMPOTENT_METHODS, APIEndpoint
from rxorch.endpoint.reading import AnswerReader
from rxorch.endpoint.retry_rules import RetryRules
from rxorch.endpoint.runtime import EndpointRuntime
from rxorch.errors import ApiConfigurationError, ApiError, ApiHttpError, ApiNetworkError, ApiTimeoutError
from rxorch.http.redaction import redact_url
from rxorch.http.request import DEFAULT_MAX_RESPONSE_BYTES, Request
from rxorch_operators import timeout

if TYPE_CHECKING:
    from rxorch.client.engine import Origin, RequestEngine

__all__ = ["RequestRuntime"]

_CONDITIONS: Final = frozenset({"If-None-Match", "If-Modified-Since"})
_NO_NAME: Final = re.compile(r"[^\w.-]+")


class Draft:
    """What a call of this layer knows of its request.

    Attributes:
        model: what each attempt begins with.
        reader: reads the answer to the attempt that is under way.
        method: by which that was sent: a hook may have changed it.
    """

    __slots__ = ("method", "model", "reader")

    def __init__(self, model: BaseRequestModel, reader: AnswerReader, method: str) -> None:
        self.model = model
        self.reader = reader
        self.method = method


class RequestRuntime(EndpointRuntime):
    """What lasts for the requests to one origin by one method."""

    is_declared = False
    times_each_call = True

    def __init__(self, engine: RequestEngine, origin: Origin, caller: Caller, method: str) -> None:
        self.chain = engine.hooks
        self.origin = origin
        endpoint = APIEndpoint(
            name=_name(origin.url, method),
            url=f"{origin.url}/",
            method=method,
            timeout=engine.default_timeout,
            circuit_breaker=origin.breaker,
            rate_limiter=engine.limiter,
            cache_ttl=0,
            http_cache=None if engine.http is None else False,
            **engine.retry,
        )
        super().__init__(endpoint, caller)
        self.http = engine.http
        self.readers = engine.readers
        self.keyed = not endpoint.is_idempotent and endpoint.max_attempts > 1
        self.keyed_rules = RetryRules(endpoint.model_copy(update={"idempotent": True}))
        self.unsafe_rules = RetryRules(endpoint.model_copy(update={"idempotent": False}))
        if origin.pause is not None:
            self.own_limiter = origin.pause  # a `Retry-After` is fed to this one
            shared = self.limiters if engine.limiter is None else self.limiters[:-1]
            self.limiters = (*shared, origin.pause, *self.limiters[len(shared) :])
        if engine.foreign_limiter is not None:
            self.attempt_bulkhead = _both(limited_by(engine.foreign_limiter), self.attempt_bulkhead)
        if engine.foreign_breaker is not None:
            self.attempt_breaker = guarded_by(engine.foreign_breaker)

    def _check_identity(self) -> None:
        self.hooks = self.chain  # of the strategy that sends: only they look at these requests
        super()._check_identity()

    def build(self, call: Call) -> Request:
        model: BaseRequestModel = call.data
        if model.timeout is not None and not is_seconds(model.timeout):
            raise ApiConfigurationError("timeout is a number of seconds above 0, or None for the default")
        reader = self._reader(model)
        if self.keyed and not _has_key(model):
            model = _copied(model)
            model.headers = {**(model.headers or {}), IDEMPOTENCY_KEY: uuid4().hex}
        call.draft = Draft(model, reader, self.endpoint.method)
        return self._written(model)

    def _written(self, model: BaseRequestModel) -> Request:
        limit = DEFAULT_MAX_RESPONSE_BYTES
        if isinstance(model, WholeAnswerRequest):
            limit = model.max_response_bytes
        base_url, name = self.caller.defaults.base_url, self.endpoint.name
        return write_request(model, base_url=base_url, max_response_bytes=limit, name=name)

    def _reader(self, model: BaseRequestModel) -> AnswerReader:
        if isinstance(model, WholeAnswerRequest):
            if self.http is not None:
                raise ApiConfigurationError(
                    "fetch: the HTTP client of this strategy gives the parsed answer alone; use call_api"
                )
            return whole_answer(self.endpoint.name)
        if model.response_key is None and model.model is None:
            return self.reader
        return self.readers.get(self.endpoint.name, model.response_key, model.model)

    def reader_of(self, call: Call) -> AnswerReader:
        reader: AnswerReader = call.draft.reader
        return reader

    def time_limit(self, call: Call) -> Callable[[Observable[Any]], Observable[Any]] | None:
        seconds = call.data.timeout
        return self.attempt_timeout if seconds is None else timeout(seconds, kind="attempt")

    def rules_of(self, call: Call) -> RetryRules:
        method = self.endpoint.method if call.draft is None else call.draft.method
        changed = method != self.endpoint.method and method not in IDEMPOTENT_METHODS
        # Who gives a key of his own says that the server knows it.
        if (self.keyed or changed) and _has_key(call.data):
            return self.keyed_rules
        return self.unsafe_rules if changed else self.rules

    async def hooked(self, call: Call, request: Request) -> tuple[Request, Any]:
        assert self.chain is not None
        draft: Draft = call.draft
        model = _copied(draft.model)
        if call.lookup is not None and call.lookup.response is not None:
            model.method = request.method  # what a HEAD found is renewed by a GET
        await aside(self.chain.run_before(model), call)
        draft.method = method_of(model.method)
        draft.reader = self._reader(model)
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
            model = _copied(call.draft.model)
        plain, request = request.url, again(request)  # credentials are put on what nobody else holds
        url, headers, params = await self._authorized(call, request, model)
        call.request = request
        call.tried.append(request)
        request.sent = True  # or it was not: nobody can know
        self.sends += 1
        limit = call.data.timeout or self.endpoint.timeout
        try:
            value = await settled(
                http.request(
                    request.method,
                    url,
                    headers=headers,
                    params=params,
                    data=model.data,
                    json_payload=model.json_payload,
                    timeout=limit,
                )
            )
        except ApiError as error:
            self._refused(call, request, plain, error)
            raise
        except TimeoutError as error:
            raise ApiTimeoutError(limit=limit, kind="attempt") from error
        except (OSError, ClientError) as error:
            raise ApiNetworkError(f"the HTTP client failed: {type(error).__name__}", sent=True) from error
        call.answered += 1
        if self.hooks is not None:
            await aside(self.hooks.after(model, value), call)
        return self._read(self.reader_of(call).shaped, value, None)

    async def _authorized(
        self, call: Call, request: Request, model: BaseRequestModel
    ) -> tuple[str, Mapping[str, str] | None, Mapping[str, Any] | None]:
        """Url, headers and parameters for a client of the user's own, with the credentials on them."""
        plain = str(parse_url(model.url, self.caller.defaults.base_url))
        auth = None if self.exchange is None else self.exchange.auth
        if auth is None:
            return plain, model.headers, model.params
        url, before = request.url, dict(request.headers)
        await aside(auth.authorize(request, self.caller), call)
        put = {name: text for name, text in request.headers.items() if before.get(name) != text}
        headers: Mapping[str, str] | None = model.headers
        if put:
            taken = {name.lower() for name in put}
            kept = {name: text for name, text in (headers or {}).items() if name.lower() not in taken}
            headers = kept | put
        if request.url == url:
            return plain, headers, model.params
        return str(request.url), headers, None  # with the parameters in it

    def _refused(self, call: Call, request: Request, plain: URL, error: ApiError) -> None:
        """See to what an error of such a client means for the credentials."""
        if isinstance(error, ApiHttpError):
            self._slow_down(error.retry_after)
        auth = None if self.exchange is None else self.exchange.auth
        if auth is None:
            return
        error.url = redact_url(plain)  # a key in the query is a secret, whatever it is called
        if isinstance(error, ApiHttpError) and error.status_code == 401:
            call.renewable = auth.refused(request) and request.repeatable


def _name(origin: URL, method: str) -> str:
    host = _NO_NAME.sub("-", origin.host or "").strip(".-") or "host"
    port = "" if origin.explicit_port is None else f"-{origin.explicit_port}"
    return f"{method}.{re.sub(r'[.]{2,}', '.', host)}{port}"


def _has_key(model: BaseRequestModel) -> bool:
    headers = model.headers
    return isinstance(headers, Mapping) and any(
        isinstance(name, str) and name.lower() == "idempotency-key" for name in headers
    )


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
