"""``RetryRequestStrategy``: how an ``ApiClient`` carries out ``call_api``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal, get_args

from rxorch.client.engine import RequestEngine
from rxorch.client.foreign import has_own_method
from rxorch.client.hooks import HookChain
from rxorch.client.http_client import AioHttpClient
from rxorch.client.limiter import limiter_from
from rxorch.client.protocols import (
    BaseCircuitBreaker,
    BaseHttpClient,
    BaseRateLimiter,
    BaseRequestModel,
    RequestHook,
)
from rxorch.client.settings import count, number, wrong
from rxorch.endpoint.caller import Caller
from rxorch.http.transport import Transport
from rxorch_operators import CircuitBreaker, RateLimiter, RetryPolicy

__all__ = ["RetryRequestStrategy"]

Jitter = Literal["full", "equal", "decorrelated", "none"]

_REQUEST: Final = AioHttpClient.request


class RetryRequestStrategy:
    """Repeats what failed, paces what leaves, and stops calling what keeps failing.

    It is a face of the policy stack that endpoints have: retry, then breaker, then rate limit, then one
    attempt with its time limit and hooks. A request that may change something (POST, PATCH) is repeated only
    when it certainly was not carried out (no connection, 429, 503), or when it has an ``Idempotency-Key``
    header of its own; see `docs/policies.md`.

    Args:
        http: what sends; a new ``AioHttpClient`` by default. A ``Transport``, or any object with
            ``request`` (see ``BaseHttpClient``), will do. Where a subclass of ours overrides a method that
            the protocol has (here, of ``breaker`` or of ``limiter``), that method is used.
        breaker: a circuit breaker for all requests; None: one for each origin, which opens after 5
            failures in a row for 60 s; False: none.
        limiter: a rate limiter that every attempt pays to, or ``{"key": ..., "max_requests": ...,
            "period": ...}``; all who give the same key share it. A ``Retry-After`` holds up the requests to
            the origin that said it, and no others.
        max_retries: attempts after the first one.
        backoff: the first wait in seconds; each further one is twice as long, up to 20 s: 2 means 2 s, 4 s,
            8 s ... None: 0.2 s (1 s after a 429 or 503), jittered.
        hooks: what looks at each attempt; see ``BaseRequestHook``.
        jitter: ``"full"``, ``"equal"``, ``"decorrelated"`` or ``"none"``; None: ``"none"`` with a
            ``backoff``, which then holds to the second, else ``"full"``. Many clients of one service should
            have some.
        retry: all settings of the repetition, in the place of ``max_retries``, ``backoff`` and ``jitter``.

    Attributes:
        sends_elsewhere: whether ``http`` is an HTTP client of the user's own. It is given the client's
            credentials on headers and url; it follows redirects and keeps answers as it likes.

    Raises:
        ApiConfigurationError: an argument of the wrong kind, named.

    Example:
        >>> from rxorch.client import ApiClient
        >>> strategy = RetryRequestStrategy(max_retries=3, backoff=2)
        >>> client = ApiClient(strategy=strategy)
    """

    def __init__(
        self,
        http: BaseHttpClient | Transport | None = None,
        breaker: CircuitBreaker | BaseCircuitBreaker | Literal[False] | None = None,
        limiter: RateLimiter | BaseRateLimiter | Mapping[str, Any] | None = None,
        max_retries: int = 2,
        backoff: float | None = None,
        hooks: Sequence[RequestHook] = (),
        *,
        jitter: Jitter | None = None,
        retry: RetryPolicy | None = None,
    ) -> None:
        self.http: BaseHttpClient | Transport = AioHttpClient() if http is None else http
        _check_parts(self.http, breaker, limiter)
        if isinstance(limiter, Mapping):
            limiter = limiter_from(limiter)
        self.breaker = breaker
        self.limiter = limiter
        self.hooks = None if hooks is None or hooks == [] or hooks == () else HookChain(hooks)
        self.sends_elsewhere = _is_foreign(self.http)
        self._engine = RequestEngine(
            retry=_settings(max_retries, backoff, jitter, retry),
            breaker=breaker,
            limiter=limiter,
            hooks=self.hooks,
            http=self.http if self.sends_elsewhere else None,  # type: ignore[arg-type] # it has `request`
            default_timeout=number(
                "default_timeout of http",
                getattr(self.http, "default_timeout", 30.0),
                "a number of seconds above 0",
                none=True,
            ),
        )

    async def execute(self, request: BaseRequestModel, client: Caller) -> Any:
        """Carry out one request; see ``BaseRequestStrategy``."""
        return await self._engine.execute(request, client)


def _settings(
    max_retries: int, backoff: float | None, jitter: Jitter | None, retry: RetryPolicy | None
) -> dict[str, Any]:
    """The repetition as an endpoint declares it."""
    if retry is not None:
        if not isinstance(retry, RetryPolicy):
            raise wrong("retry", "a RetryPolicy", retry)
        return {"retry": retry}
    count("max_retries", max_retries, "a number of attempts after the first one, 0 or more", zero=True)
    number("backoff", backoff, "a number of seconds, 0 or more", zero=True, none=True)
    if jitter is None:
        jitter = "full" if backoff is None else "none"
    if jitter not in get_args(Jitter):
        raise wrong("jitter", "'full', 'equal', 'decorrelated' or 'none'", jitter)
    return {"retry_count": max_retries, "retry_delay": backoff, "retry_jitter": jitter}


def _check_parts(http: Any, breaker: Any, limiter: Any) -> None:
    sends = callable(getattr(http, "request", None)) or isinstance(http, Transport)
    if isinstance(http, type) or not sends:
        raise wrong("http", "an HTTP client (an object with an async method request)", http)
    stops = isinstance(breaker, BaseCircuitBreaker | CircuitBreaker)
    if isinstance(breaker, type) or not (breaker is None or breaker is False or stops):
        raise wrong("breaker", "a circuit breaker, or False for none", breaker)
    paces = isinstance(limiter, BaseRateLimiter | Mapping)
    if isinstance(limiter, type) or not (limiter is None or paces):
        raise wrong(
            "limiter", "a rate limiter, or a mapping with 'key', 'max_requests' and 'period'", limiter
        )


def _is_foreign(http: object) -> bool:
    """Whether requests go through the client's own method, and not through a transport of ours."""
    if isinstance(http, Transport):
        return False
    return not isinstance(http, AioHttpClient) or has_own_method(http, "request", _REQUEST)
