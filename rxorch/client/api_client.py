"""``ApiClient``: requests and endpoints over one HTTP session."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar, overload
from urllib.parse import urlsplit

from rxorch.client.protocols import BaseRequestHook, BaseRequestStrategy
from rxorch.client.request_model import ApiRequestModel
from rxorch.client.strategy import RetryRequestStrategy
from rxorch.endpoint import CallDefaults, Caller
from rxorch.endpoint._checks import redirects
from rxorch.endpoint.auth import Auth, Bound, bound
from rxorch.endpoint.redirects import RedirectPolicy
from rxorch.errors import ApiConfigurationError
from rxorch.http import Transport
from rxorch.http.choosing import TransportKind, chosen
from rxorch.http.http_cache import HttpCache
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
        base_url: What urls that are a path (`/users/7`) are put behind.
        auth: Credentials for the origin of `base_url`, or for the origins that they name themselves; they are
            sent nowhere else.
        follow_redirects: How far redirects are followed: True, a number of hops, or a `RedirectPolicy`.
            Not at all by default.
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
        base_url: str | None = None,
        auth: Auth | None = None,
        follow_redirects: RedirectPolicy | bool | int = False,
        hooks: Sequence[BaseRequestHook] = (),
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
        if not callable(getattr(strategy, "execute", None)):
            raise ApiConfigurationError(
                f"strategy: give an object with an async method execute; not {type(strategy).__name__}"
            )
        self.strategy = strategy
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
                base_url=None if base_url is None else _checked_base(base_url),
                auth=_bound_auth(auth, base_url),
                redirects=_redirects(follow_redirects),
                hooks=getattr(strategy, "hooks", None),
                http_cache=_http_cache(http_cache),
            ),
        )

    @overload
    async def call_api(
        self,
        url: str,
        method: str = ...,
        headers: Mapping[str, str] | None = ...,
        params: Mapping[str, Any] | None = ...,
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
        url: str,
        method: str = ...,
        headers: Mapping[str, str] | None = ...,
        params: Mapping[str, Any] | None = ...,
        data: Any = ...,
        json_payload: Any = ...,
        timeout: float | None = ...,
        response_key: str | None = ...,
        model: Any = ...,
    ) -> Any: ...
    async def call_api(
        self,
        url: str,
        method: str = "GET",
        headers: Mapping[str, str] | None = None,
        params: Mapping[str, Any] | None = None,
        data: Any = None,
        json_payload: Any = None,
        timeout: float | None = None,
        response_key: str | None = None,
        model: Any = None,
    ) -> Any:
        """Calls an API once, by the policies of the strategy.

        Args:
            url: Absolute, or a path behind `base_url`. Nothing in it is a template.
            method: HTTP method, in any case.
            headers: Names to values.
            params: Query parameters, added to those in `url`. A list gives several of a name, None leaves
                it out.
            data: The body as it is: bytes, text, a `StreamedBody`, or a mapping that is sent as a form.
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

        >>> from rxorch.testing import MockTransport
        >>> import asyncio
        >>> async def main():
        ...     async with ApiClient(MockTransport(lambda request: {"data": {"id": 7}})) as client:
        ...         return await client.call_api("https://api.example.com/users/7", response_key="data.id")
        >>> asyncio.run(main())
        7
        """
        request = ApiRequestModel.unchecked(
            url=url, method=method, headers=headers, params=params, data=data, json_payload=json_payload,
            timeout=timeout, response_key=response_key, model=model,
        )  # fmt: skip
        return await self.strategy.execute(request, self)


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


def _checked_base(base_url: str) -> str:
    parts = urlsplit(base_url)
    plain = not (parts.query or parts.fragment or parts.username or parts.password)
    if parts.scheme not in ("http", "https") or not parts.hostname or not plain:
        raise ApiConfigurationError(
            "base_url: give an absolute http or https url without user info, query and fragment"
        )
    return base_url.rstrip("/")


def _http_cache(given: HttpCache | bool) -> HttpCache | None:
    if not isinstance(given, HttpCache | bool):
        raise ApiConfigurationError(f"http_cache: give an HttpCache, or True; not {type(given).__name__}")
    return (HttpCache() if given else None) if isinstance(given, bool) else given


def _bound_auth(auth: Auth | None, base_url: str | None) -> Auth | None:
    if auth is None or getattr(auth, "origins", None) is not None or isinstance(auth, Bound):
        return auth
    if not isinstance(auth, Auth):
        raise ApiConfigurationError(
            f"auth: give credentials such as BearerAuth(token); not {type(auth).__name__}"
        )
    if base_url is None:
        raise ApiConfigurationError(
            "auth: say where the credentials may go: give base_url, or credentials with origins=[...]"
        )
    return bound(auth, [base_url])


def _redirects(given: RedirectPolicy | bool | int) -> RedirectPolicy | None:
    try:
        return redirects(given) or None
    except ValueError as error:
        raise ApiConfigurationError(str(error)) from None
