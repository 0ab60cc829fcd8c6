"""When a server says that a repetition makes sense: Retry-After and the reset of its rate limit."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC
from email.utils import parsedate_to_datetime

__all__ = ["http_date", "parse_rate_limit_reset", "parse_retry_after", "retry_hint"]

_SECONDS = re.compile(r"[0-9]{1,300}(\.[0-9]{1,9})?")
_EPOCH_FROM = 1e9
"""A reset beyond this (30 years as a delta) is a point in time: seconds since 1970."""
_EPOCH_MS_FROM = 1e11
"""A reset beyond this (the year 5138) is a point in time in milliseconds."""

_REMAINING = ("RateLimit-Remaining", "X-RateLimit-Remaining", "X-Rate-Limit-Remaining")
_RESET = ("RateLimit-Reset", "X-RateLimit-Reset", "X-Rate-Limit-Reset")


def retry_hint(status: int, headers: Mapping[str, str], now: float) -> float | None:
    """Seconds to wait before a repetition, as far as the server says; None if it does not.

    ``Retry-After`` counts first. The reset of a rate limit counts only where the limit is the reason: with
    status 429, or when nothing remains of it.

    Args:
        status: the HTTP status of the answer.
        headers: its headers (case-insensitive).
        now: seconds since 1970 by the local clock, used only if the answer has no ``Date``.

    Example:
        >>> retry_hint(503, {"Retry-After": "7"}, now=0.0)
        7.0
        >>> retry_hint(500, {"X-RateLimit-Reset": "30", "X-RateLimit-Remaining": "12"}, now=0.0)
    """
    wait = parse_retry_after(headers, now)
    if wait is not None:
        return wait
    remaining = _first_number(headers, _REMAINING)
    limited = remaining == 0 or (status == 429 and remaining is None)
    return parse_rate_limit_reset(headers, now) if limited else None


def parse_retry_after(headers: Mapping[str, str], now: float) -> float | None:
    """Read ``Retry-After``: seconds, or an HTTP date measured against the answer's own ``Date``.

    A date that has passed is 0. Nonsense (negative, not a number) is None. A huge value is returned as it
    is: whether to wait that long is the retry policy's decision.
    """
    text = headers.get("Retry-After", "").strip()
    if not text:
        return None
    if _SECONDS.fullmatch(text):
        return float(text)
    at = http_date(text)
    return None if at is None else max(0.0, at - _server_time(headers, now))


def parse_rate_limit_reset(headers: Mapping[str, str], now: float) -> float | None:
    """Read ``RateLimit-Reset`` or ``X-RateLimit-Reset``, as seconds from now.

    Large values are points in time: seconds, or milliseconds, since 1970.
    """
    value = _first_number(headers, _RESET)
    if value is None or value < _EPOCH_FROM:
        return value
    at = value / 1000 if value >= _EPOCH_MS_FROM else value
    return max(0.0, at - _server_time(headers, now))


def _first_number(headers: Mapping[str, str], names: tuple[str, ...]) -> float | None:
    for name in names:
        text = headers.get(name, "").strip()
        if _SECONDS.fullmatch(text):
            return float(text)
    return None


def _server_time(headers: Mapping[str, str], now: float) -> float:
    # Against the server's own clock the difference is right even where the local clock is not.
    at = http_date(headers.get("Date", ""))
    return now if at is None else at


def http_date(text: str) -> float | None:
    """Seconds since 1970 of an HTTP date; None if it is none."""
    try:
        at = parsedate_to_datetime(text.strip())
        # "-0000" (RFC 5322) and a missing zone give a naive datetime; HTTP dates are UTC (RFC 9110, section
        # 5.6.7).
        return (at if at.tzinfo is not None else at.replace(tzinfo=UTC)).timestamp()
    except (ValueError, TypeError, OverflowError, IndexError):
        return None
