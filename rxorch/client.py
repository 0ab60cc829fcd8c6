"""ApiClient: endpoints as observable factories over one HTTP session."""

from __future__ import annotations

from rxorch.endpoint import CallDefaults, Caller
from rxorch.http import Transport
from rxorch_operators import Bulkhead, RateLimiter

__all__ = ["ApiClient"]


class ApiClient(Caller):
    """Makes endpoints callable; keeps their breakers, limits, caches and one HTTP session.

    Use it with `async with`, on one event loop. `client.observe(endpoint)` is the factory for pipelines,
    `await client.call(endpoint, data)` one call, `client.events` everything that happens.

    Args:
        transport: What sends requests; by default an HTTP session of its own.
        global_rate_limit: Requests per `rate_limit_window` for all endpoints together.
        rate_limit_window: Seconds.
        max_in_flight: Attempts in flight at once, all endpoints together; None: no cap.
        breaker_threshold: Consecutive failures that open an endpoint's circuit; None: no breakers.
        breaker_timeout: Seconds it stays open.
        cache_ttl: Seconds for which answers of safe methods are kept; None: not at all.
        retry_budget: Whether retries may be at most 20 % of the calls to a host (for each of its endpoints, 3
            in 10 s are always allowed).

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
        transport: Transport | None = None,
        *,
        global_rate_limit: int | None = None,
        rate_limit_window: float = 60.0,
        max_in_flight: int | None = None,
        breaker_threshold: int | None = 5,
        breaker_timeout: float = 60.0,
        cache_ttl: float | None = None,
        retry_budget: bool = True,
    ) -> None:
        limiter = None
        if global_rate_limit is not None:
            limiter = RateLimiter(global_rate_limit, rate_limit_window, name="global")
        super().__init__(
            transport,
            defaults=CallDefaults(
                breaker_threshold=breaker_threshold,
                breaker_timeout=breaker_timeout,
                rate_limit_window=rate_limit_window,
                global_limiter=limiter,
                bulkhead=None if max_in_flight is None else Bulkhead(max_in_flight, queue=None),
                cache_ttl=cache_ttl,
                retry_budget=retry_budget,
            ),
        )
