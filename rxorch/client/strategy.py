"""``RetryRequestStrategy``: how an ``ApiClient`` carries out ``call_api``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from rxorch.client.engine import RequestEngine
from rxorch.client.hooks import HookChain
from rxorch.client.http_client import AioHttpClient
from rxorch.client.limiter import limiter_from
from rxorch.client.protocols import (
    BaseCircuitBreaker,
    BaseHttpClient,
    BaseRateLimiter,
    BaseRequestHook,
    BaseRequestModel,
)
from rxorch.endpoint.caller import Caller
from rxorch.errors import ApiConfigurationError
from rxorch.http.transport import Transport
from rxorch_operators import CircuitBreaker, RateLimiter, RetryPolicy

__all__ = ["RetryRequestStrategy"]

Jitter = Literal["full", "equal", "decorrelated", "none"]


class RetryRequestStrategy:
    """Repeats what failed, paces what leaves, and stops calling what keeps failing.

    It is a face of the policy stack that endpoints have: retry, then breaker, then rate limit, then one
    attempt with its time limit and hooks. A request that may change something (POST, PATCH) is repeated only
    when it certainly was not carried out (no connection, 429, 503), or when it has an ``Idempotency-Key``
    header of its own; see `docs/policies.md`.

    Args:
        http: what sends; a new ``AioHttpClient`` by default. A ``Transport``, or any object with
            ``request`` (see ``BaseHttpClient``), will do.
        breaker: a circuit breaker for all requests; None: one for each origin, which opens after 5
            failures in a row for 60 s; False: none.
        limiter: a rate limiter that every attempt pays to, or ``{"key": ..., "max_requests": ...,
            "period": ...}``; all who give the same key share it.
        max_retries: attempts after the first one.
        backoff: the first wait in seconds; each further one is twice as long, up to 20 s: 2 means 2 s, 4 s,
            8 s ... None: 0.2 s (1 s after a 429 or 503), jittered.
        hooks: what looks at each attempt; see ``BaseRequestHook``.
        jitter: ``"full"``, ``"equal"``, ``"decorrelated"`` or ``"none"``; None: ``"none"`` with a
            ``backoff``, which then holds to the second, else ``"full"``. Many clients of one service should
            have some.
        retry: all settings of the repetition, in the place of ``max_retries``, ``backoff`` and ``jitter``.

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
        hooks: Sequence[BaseRequestHook] = (),
        *,
        jitter: Jitter | None = None,
        retry: RetryPolicy | None = None,
    ) -> None:
        self.http: BaseHttpClient | Transport = AioHttpClient() if http is None else http
        if not callable(getattr(self.http, "request", None)) and not isinstance(self.http, Transport):
            raise _wrong("http", "an HTTP client (an object with an async method request)", http)
        if not (
            breaker is None or breaker is False or isinstance(breaker, BaseCircuitBreaker | CircuitBreaker)
        ):
            raise _wrong("breaker", "a circuit breaker, or False for none", breaker)
        if isinstance(limiter, Mapping):
            limiter = limiter_from(limiter)
        if limiter is not None and not isinstance(limiter, BaseRateLimiter):
            raise _wrong(
                "limiter", "a rate limiter, or a mapping with 'key', 'max_requests' and 'period'", limiter
            )
        self.breaker = breaker
        self.limiter = limiter
        self.hooks = HookChain(hooks) if hooks else None
        foreign = not hasattr(self.http, "make_transport") and not isinstance(self.http, Transport)
        self._engine = RequestEngine(
            retry=_settings(max_retries, backoff, jitter, retry),
            breaker=breaker,
            limiter=limiter,
            hooks=self.hooks,
            http=self.http if foreign else None,  # type: ignore[arg-type] # it has `request`, see above
            default_timeout=getattr(self.http, "default_timeout", 30.0),
        )

    async def execute(self, request: BaseRequestModel, client: Caller) -> Any:
        """Carry out one request; see ``BaseRequestStrategy``."""
        return await self._engine.execute(request, client)


def _settings(
    max_retries: int, backoff: float | None, jitter: Jitter | None, retry: RetryPolicy | None
) -> dict[str, Any]:
    """The repetition as an endpoint declares it."""
    if retry is not None:
        return {"retry": retry}
    if isinstance(max_retries, bool) or not isinstance(max_retries, int) or max_retries < 0:
        raise _wrong("max_retries", "a number of attempts after the first one, 0 or more", max_retries)
    if backoff is not None and (isinstance(backoff, bool) or not isinstance(backoff, int | float)):
        raise _wrong("backoff", "a number of seconds, or None", backoff)
    if jitter is None:
        jitter = "full" if backoff is None else "none"
    return {"retry_count": max_retries, "retry_delay": backoff, "retry_jitter": jitter}


def _wrong(field: str, wanted: str, given: object) -> ApiConfigurationError:
    return ApiConfigurationError(f"{field}: give {wanted}; not {type(given).__name__}")
