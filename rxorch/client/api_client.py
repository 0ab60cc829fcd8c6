"""``ApiClient``: requests and endpoints over one HTTP session."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar, overload
from urllib.parse import urlsplit

from yarl import URL

from rxorch.client.arguments import Pairs, named_params, plain_url
from rxorch.client.protocols import BaseRequestStrategy, RequestHook
from rxorch.client.request_model import ApiRequestModel, WholeAnswerRequest
from rxorch.client.settings import count, flag, number, wrong
from rxorch.client.strategy import RetryRequestStrategy
from rxorch.endpoint import CallDefaults, Caller
from rxorch.endpoint.auth import AllAuth, Auth, Bound, TokenAuth, bound
from rxorch.endpoint.redirects import RedirectPolicy, redirects_from
from rxorch.errors import ApiConfigurationError
from rxorch.http import Transport
from rxorch.http.choosing import TransportKind, chosen
from rxorch.http.http_cache import HttpCache, http_cache_of
from rxorch.http.request import DEFAULT_MAX_RESPONSE_BYTES
from rxorch.http.response import Response
from rxorch_operators import Bulkhead, RateLimiter

__all__ = ["ApiClient"]

T = TypeVar("T")


class ApiClient(Caller):
    """Calls HTTP APIs: single requests by `call_api`, endpoints as observable factories.

    Use it with `async with`, on one event loop: its connections are kept for the block. `call_api` works
    without too; each call then opens a connection of its own. `client.observe(endpoint)` is the factory for
    pipelines, `await client.call(endpoint, data)` one call, `client.events` everything that happens.

    Args:
        transport: What sends requests: a `Transport`, `"aiohttp"`, or `"pyreqwest"` (extra `fast`); by
            default what the strategy sends with.
        strategy: How `call_api` works: retries, breaker, limiter, hooks. A `RetryRequestStrategy()` by
            default. Its HTTP client and its hooks serve the endpoints of this client too; its other policies
            do not, for endpoints have their own.
        base_url: What urls that are a path (`/users/7`, `users/7`) are put behind.
        auth: Credentials for the origin of `base_url`, or for the origins that they name themselves; they are
            sent nowhere else.
        follow_redirects: How far redirects are followed: True, a number of hops, or a `RedirectPolicy`.
            Not at all by default. It and `http_cache` want a transport: with an HTTP client of your own
            (`BaseHttpClient`) they are refused.
        hooks: Short for `strategy=RetryRequestStrategy(hooks=...)`.
        global_rate_limit: Requests per `rate_limit_window` for everything together.
        rate_limit_window: Seconds.
        max_in_flight: Attempts in flight at once, everything together; None: no cap.
        breaker_threshold: Consecutive failures that open an endpoint's circuit; None: no breakers.
        breaker_timeout: Seconds it stays open.
        http_cache: Keeps answers as their servers allow (RFC 9111): an `HttpCache`, or True for a new
            one. Needs the extra `http-cache`.
        cache_ttl: Seconds for which answers of endpoints with safe methods are kept; None: not at all.
        retry_budget: Whether retries may be at most 20 % of the calls to a host (for each of its endpoints, 3
            in 10 s are always allowed).

    Raises:
        ApiConfigurationError: A setting that cannot work, named.

    >>> import asyncio
    >>> from rxorch import APIEndpoint, ApiClient
    >>> async def main():
    ...     async with ApiClient() as client:
    ...         return client.observe(APIEndpoint(name="user", url="https://api.example.com/users/{id}"))
    >>> asyncio.run(main())
    <observable factory of endpoint 'user'>
    """

    def __init__(
        self,
        transport: Transport | TransportKind | None = None,
        *,
        strategy: BaseRequestStrategy | None = None,
        base_url: str | URL | None = None,
        auth: Auth | None = None,
        follow_redirects: RedirectPolicy | bool | int = False,
        hooks: Sequence[RequestHook] = (),
        global_rate_limit: int | None = None,
        rate_limit_window: float = 60.0,
        max_in_flight: int | None = None,
        breaker_threshold: int | None = 5,
        breaker_timeout: float = 60.0,
        http_cache: HttpCache | bool = False,
        cache_ttl: float | None = None,
        retry_budget: bool = True,
    ) -> None:
        if strategy is None:
            strategy = RetryRequestStrategy(hooks=hooks)
        elif hooks:
            raise ApiConfigurationError("hooks: give them to the strategy, RetryRequestStrategy(hooks=...)")
        if isinstance(strategy, type) or not callable(getattr(strategy, "execute", None)):
            raise wrong("strategy", "an object with an async method execute", strategy)
        self.strategy = strategy
        count("breaker_threshold", breaker_threshold, "a number of failures, 1 or more", none=True)
        number("breaker_timeout", breaker_timeout, "a number of seconds above 0")
        number("cache_ttl", cache_ttl, "a number of seconds, 0 or more", zero=True, none=True)
        number("global_rate_limit", global_rate_limit, "a number of requests above 0", none=True)
        number("rate_limit_window", rate_limit_window, "a number of seconds above 0")
        count("max_in_flight", max_in_flight, "a number of attempts, 1 or more", none=True)
        flag("retry_budget", retry_budget)
        base_url = _checked_base(base_url)
        policy, kept = _redirects(follow_redirects), http_cache_of(http_cache)
        _check_elsewhere(strategy, follow_redirects=policy, http_cache=kept)
        limiter = None
        if global_rate_limit is not None:
            limiter = RateLimiter(global_rate_limit, rate_limit_window, name="global")
        given, make = _sender(transport, strategy)
        super().__init__(
            given,
            make_transport=make,
            defaults=CallDefaults(
                breaker_threshold=breaker_threshold,
                breaker_timeout=breaker_timeout,
                rate_limit_window=rate_limit_window,
                global_limiter=limiter,
                bulkhead=None if max_in_flight is None else Bulkhead(max_in_flight, queue=None),
                cache_ttl=cache_ttl,
                retry_budget=retry_budget,
                base_url=base_url,
                auth=_bound_auth(auth, base_url),
                redirects=policy,
                hooks=getattr(strategy, "hooks", None),
                http_cache=kept,
            ),
        )

    @overload
    async def call_api(
        self,
        url: str | URL,
        method: str = ...,
        headers: Mapping[str, str] | None = ...,
        params: Pairs | None = ...,
        data: Any = ...,
        json_payload: Any = ...,
        timeout: float | None = ...,
        response_key: str | None = ...,
        *,
        model: type[T],
    ) -> T: ...
    @overload
    async def call_api(
        self,
        url: str | URL,
        method: str = ...,
        headers: Mapping[str, str] | None = ...,
        params: Pairs | None = ...,
        data: Any = ...,
        json_payload: Any = ...,
        timeout: float | None = ...,
        response_key: str | None = ...,
        model: Any = ...,
    ) -> Any: ...
    async def call_api(
        self,
        url: str | URL,
        method: str = "GET",
        headers: Mapping[str, str] | None = None,
        params: Pairs | None = None,
        data: Any = None,
        json_payload: Any = None,
        timeout: float | None = None,
        response_key: str | None = None,
        model: Any = None,
    ) -> Any:
        """Calls an API once, by the policies of the strategy.

        Args:
            url: Absolute, or a path behind `base_url`: text, or a `yarl.URL`. Nothing in it is a template.
            method: HTTP method, in any case.
            headers: Names to values.
            params: Query parameters, added to those in `url`: a mapping, or pairs. A list gives several of a
                name, None leaves it out.
            data: The body as it is: bytes, text, a `StreamedBody`, or a mapping or pairs that are sent as a
                form.
            json_payload: The body, sent as JSON. One of the two.
            timeout: Seconds for one attempt; None for that of the HTTP client (30 s).
            response_key: What is taken of the answer: `"data.items.0"`, or JMESPath such as `"items[*].id"`.
            model: Pydantic type that the value is validated against: `User`, `list[User]`, a union ...

        Returns:
            The answer's JSON value (text or bytes by its content type, None if it is empty), or what
            `response_key` and `model` make of it.

        Raises:
            ApiError: See `rxorch.errors`: `ApiHttpError` with `status_code`, `ApiTimeoutError`,
                `ApiNetworkError`, `ApiRateLimitError`, `ApiCircuitOpenError`, `ApiValidationError` ...
                An argument that cannot be sent, or no answer be read by, is one before anything is sent.

        >>> from rxorch.testing import MockTransport
        >>> import asyncio
        >>> async def main():
        ...     async with ApiClient(MockTransport(lambda request: {"data": {"id": 7}})) as client:
        ...         return await client.call_api("https://api.example.com/users/7", response_key="data.id")
        >>> asyncio.run(main())
        7
        """
        request = ApiRequestModel.unchecked(
            url=plain_url(url), method=method, headers=headers, params=named_params(params), data=data,
            json_payload=json_payload, timeout=timeout, response_key=response_key, model=model,
        )  # fmt: skip
        return await self.strategy.execute(request, self)

    async def fetch(
        self,
        url: str | URL,
        method: str = "GET",
        headers: Mapping[str, str] | None = None,
        params: Pairs | None = None,
        data: Any = None,
        json_payload: Any = None,
        timeout: float | None = None,
        *,
        max_response_bytes: int = DEFAULT_MAX_RESPONSE_BYTES,
    ) -> Response:
        """Calls an API as `call_api` does, and returns the answer itself: status, headers and body.

        A status that is no success is an `ApiHttpError` here too.

        Args:
            url: As of `call_api`, and so are the others.
            method: HTTP method.
            headers: Names to values.
            params: Query parameters.
            data: The body as it is.
            json_payload: The body, sent as JSON.
            timeout: Seconds for one attempt.
            max_response_bytes: Limit for the answer's body, on the wire and after decompression; 10 MiB by
                default.

        Raises:
            ApiError: As `call_api`; `ApiResponseTooLargeError` beyond the limit.
            ApiConfigurationError: The strategy, or its HTTP client, does not give whole answers.

        >>> from rxorch.testing import MockTransport
        >>> import asyncio
        >>> async def main():
        ...     async with ApiClient(MockTransport({"GET /users/7": {"id": 7}})) as client:
        ...         answer = await client.fetch("https://api.example.com/users/7")
        ...     return answer.status, answer.headers["content-type"], answer.json()
        >>> asyncio.run(main())
        (200, 'application/json', {'id': 7})
        """
        count("max_response_bytes", max_response_bytes, "a number of bytes, 1 or more")
        request = WholeAnswerRequest.unchecked(
            url=plain_url(url), method=method, headers=headers, params=named_params(params), data=data,
            json_payload=json_payload, timeout=timeout, response_key=None, model=None,
            max_response_bytes=max_response_bytes,
        )  # fmt: skip
        answer = await self.strategy.execute(request, self)
        if not isinstance(answer, Response):
            raise ApiConfigurationError(
                f"fetch: the strategy gave {type(answer).__name__} and no Response; use call_api"
            )
        return answer


def _sender(
    transport: Transport | TransportKind | None, strategy: BaseRequestStrategy
) -> tuple[Transport | None, Callable[[], Transport] | None]:
    """The transport that was passed in, or else what makes one."""
    http = getattr(strategy, "http", None)
    if transport is not None:
        return chosen(transport)
    if isinstance(http, Transport):
        return http, None
    return None, getattr(http, "make_transport", None)


def _checked_base(base_url: Any) -> str | None:
    if base_url is None:
        return None
    base_url = plain_url(base_url)
    if not isinstance(base_url, str):
        raise wrong("base_url", "an absolute http or https url", base_url)
    try:
        parts = urlsplit(base_url)
    except ValueError:
        raise ApiConfigurationError("base_url: not a valid url") from None
    plain = not (parts.query or parts.fragment or parts.username or parts.password)
    if parts.scheme not in ("http", "https") or not parts.hostname or not plain:
        raise ApiConfigurationError(
            "base_url: give an absolute http or https url without user info, query and fragment"
        )
    return base_url.rstrip("/")


def _check_elsewhere(strategy: object, **settings: object) -> None:
    if not isinstance(strategy, RetryRequestStrategy) or not strategy.sends_elsewhere:
        return
    for name, given in settings.items():
        if given is not None:
            raise ApiConfigurationError(
                f"{name}: the HTTP client of this strategy, {type(strategy.http).__name__}, sends by "
                "itself and would not know of it: leave it to that, or give the strategy a transport"
            )


def _bound_auth(auth: Auth | None, base_url: str | None) -> Auth | None:
    if auth is None or isinstance(auth, Bound):
        return auth
    if not isinstance(auth, Auth):
        raise ApiConfigurationError(
            f"auth: give credentials such as BearerAuth(token); not {type(auth).__name__}"
        )
    own = getattr(auth, "origins", None)
    if own is not None:  # ours hold to them by themselves; of others it is not known
        return auth if isinstance(auth, TokenAuth | AllAuth) else bound(auth, own)
    if base_url is None:
        raise ApiConfigurationError(
            "auth: say where the credentials may go: give base_url, or credentials with origins=[...]"
        )
    return bound(auth, [base_url])


def _redirects(given: RedirectPolicy | bool | int) -> RedirectPolicy | None:
    try:
        return redirects_from(given) or None
    except ValueError as error:
        raise ApiConfigurationError(str(error)) from None
