"""The rate limiter of the request layer: the one of the operators, with the words of this layer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final
from weakref import WeakValueDictionary

from rxorch.errors import ApiConfigurationError
from rxorch_operators import RateLimiter
from rxorch_operators._seconds import seconds_words

__all__ = ["TokenBucketRateLimiter", "limiter_from"]

_KEYS: Final = ("key", "max_requests", "period")


class TokenBucketRateLimiter(RateLimiter):
    """Lets so many requests leave per period: a bucket that holds ``burst`` tokens and is refilled evenly.

    It is `rxorch.RateLimiter` in other words, so all that takes the one takes the other. It serves one event
    loop at a time.

    Args:
        max_requests: Requests per period.
        period: Seconds.
        key: Name of the limit, for errors and events.
        burst: Tokens that the bucket holds, all there at the start; 1 + 10 % of `max_requests` by default, so
            that no period ever sees many more than `max_requests`.
        max_wait: Most seconds that a request waits for its turn; one that would have to wait longer fails at
            once. None: as long as its time limits allow.

    >>> TokenBucketRateLimiter(100, 60, key="example")
    RateLimiter('example', 100 per 60 s, burst 11)
    """

    def __init__(
        self,
        max_requests: float,
        period: float = 60.0,
        *,
        key: str | None = None,
        burst: float | None = None,
        max_wait: float | None = None,
    ) -> None:
        super().__init__(max_requests, period, burst=burst, max_wait=max_wait, name=key)
        self.max_requests = max_requests
        self.period = period


_shared: Final[WeakValueDictionary[str, TokenBucketRateLimiter]] = WeakValueDictionary()


def limiter_from(config: Mapping[str, Any]) -> TokenBucketRateLimiter:
    """The limiter that ``{"key": ..., "max_requests": ..., "period": ...}`` asks for.

    The key is the identity of the limit: all who give the same key in one process share one limiter, as long
    as one of them lives. Without a key it is one of its own. A limiter serves one event loop at a time: who
    works on several loops at once (a thread each) gives each loop a key of its own.

    Raises:
        ApiConfigurationError: an unknown or missing entry, a key that is no text, or one that is in use with
            other numbers.

    Example:
        >>> config = {"key": "example_api", "max_requests": 100, "period": 60}
        >>> first, second = limiter_from(config), limiter_from(config)
        >>> first is second
        True
    """
    unknown = sorted(set(map(str, config)) - {*_KEYS, "burst", "max_wait"})
    if unknown or "max_requests" not in config:
        fault = f"unknown entry {unknown[0]!r}" if unknown else "'max_requests' is missing"
        raise ApiConfigurationError(f"limiter: {fault}; it has 'key', 'max_requests' and 'period'")
    key = config.get("key")
    if key is not None and not (isinstance(key, str) and key):
        raise ApiConfigurationError("limiter: 'key' is text, the name of the limit; or leave it out")
    try:
        made = TokenBucketRateLimiter(**config)
    except (TypeError, ValueError) as error:
        raise ApiConfigurationError(f"limiter: {error}") from None
    if key is None:
        return made
    found = _shared.setdefault(key, made)
    if _numbers(found) != _numbers(made):
        raise ApiConfigurationError(
            f"limiter: the key {key!r} is in use for {found.max_requests:g} requests per "
            f"{seconds_words(found.period, exact=True)}, burst {found.line.meter.burst:g}, "
            f"max_wait {found.max_wait}; give the other limit another key"
        )
    return found


def _numbers(limiter: TokenBucketRateLimiter) -> tuple[Any, ...]:
    return limiter.max_requests, limiter.period, limiter.line.meter.burst, limiter.max_wait
