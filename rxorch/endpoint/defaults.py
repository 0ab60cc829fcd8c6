"""What holds for every endpoint of a client that does not say otherwise."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from rxorch.endpoint._cache_key import CacheKeyGenerator
from rxorch.endpoint.auth import Auth
from rxorch.endpoint.exchange import RequestHooks
from rxorch.endpoint.redirects import RedirectPolicy
from rxorch_operators import Bulkhead, RateLimiter

if TYPE_CHECKING:
    from rxorch.http.http_cache import HttpCache

__all__ = ["CallDefaults"]


@dataclass(frozen=True, slots=True)
class CallDefaults:
    """What holds for every endpoint of a client that does not say otherwise.

    Args:
        breaker_threshold: Consecutive failures that open an endpoint's circuit; None: no breakers.
        breaker_timeout: Seconds an open circuit stays open.
        rate_limit_window: Seconds over which `rate_limit` counts.
        global_limiter: Limits all calls of the client together.
        bulkhead: Caps the attempts in flight of all endpoints together; None: no cap.
        cache_ttl: Seconds that answers of safe methods are kept; None: not at all.
        cache_key_generator: Replaces url, parameters and body in the cache key.
        retry_budget: Whether retries are limited to 20 % of the calls to a host (at least 3 in 10 s for each
            of its endpoints).
        random: Source of jitter.
        base_url: What endpoints whose url is a path are put behind.
        auth: Credentials for requests to the origins that they are bound to.
        redirects: How far redirects are followed; None: not at all.
        hooks: What looks at each request and answer.
        http_cache: Keeps answers as their servers allow.
    """

    breaker_threshold: int | None = 5
    breaker_timeout: float = 60.0
    rate_limit_window: float = 60.0
    global_limiter: RateLimiter | None = None
    bulkhead: Bulkhead | None = None
    cache_ttl: float | None = None
    cache_key_generator: CacheKeyGenerator | None = None
    retry_budget: bool = True
    random: random.Random = field(default_factory=random.Random)
    base_url: str | None = None
    auth: Auth | None = None
    redirects: RedirectPolicy | None = None
    hooks: RequestHooks | None = None
    http_cache: HttpCache | None = None
