"""Settings of the wrong type, and NaN: refused by name, never taken for something that they are not."""

from __future__ import annotations

import math
from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
import reactivex

from rxorch_operators import (
    AdaptiveBulkhead,
    Bulkhead,
    CircuitBreaker,
    InMemoryRateLimiter,
    RateLimit,
    RateLimiter,
    RateLimiterConfig,
    RetryPolicy,
    TtlCache,
    adaptive_concurrency,
    cache,
    circuit_breaker,
    fallback,
    rate_limit,
    retry_backoff,
    timeout,
)
from rxorch_operators.errors import is_number
from tests.operators.support import AtOnce, Boom, Recorder, Time

WRONG = [True, "5", Decimal(5), None, [5], math.nan]
SECONDS: dict[str, Callable[[Any], Any]] = {
    "total": lambda limit: timeout(limit),
    "each": lambda limit: timeout(each=limit),
    "first": lambda limit: timeout(first=limit),
    "ttl": lambda ttl: cache(TtlCache(), ttl=ttl),
    "stale_while_revalidate": lambda s: cache(TtlCache(), ttl=1.0, stale_while_revalidate=s),
    "stale_if_error": lambda s: cache(TtlCache(), ttl=1.0, stale_if_error=s),
    "base": lambda base: RetryPolicy(base=base),
    "factor": lambda factor: RetryPolicy(factor=factor),
    "cap": lambda cap: RetryPolicy(cap=cap),
    "max_elapsed": lambda seconds: RetryPolicy(max_elapsed=seconds),
    "max_hint": lambda seconds: RetryPolicy(max_hint=seconds),
    "max_wait": lambda seconds: RateLimiter(1, max_wait=seconds),
    "max_wait of rate_limit": lambda seconds: rate_limit(RateLimiter(1), max_wait=seconds),
    "max_wait of Bulkhead": lambda seconds: Bulkhead(1, max_wait=seconds),
    "cost": lambda cost: rate_limit(RateLimiter(1), cost=cost),
}
MAY_BE_NONE = {"total", "each", "first", "max_elapsed", "stale_while_revalidate", "stale_if_error"}


@pytest.mark.parametrize("wrong", WRONG, ids=repr)
@pytest.mark.parametrize("name", SECONDS)
def test_what_is_no_number_is_refused_by_name(name: str, wrong: Any) -> None:
    if wrong is None and (name in MAY_BE_NONE or "max_wait" in name):
        SECONDS[name](None)
        return
    with pytest.raises(ValueError, match=rf"^{name.split()[0]}="):
        SECONDS[name](wrong)


@pytest.mark.parametrize("wrong", [3, True, "3", {}], ids=repr)
def test_what_is_no_policy_is_refused(wrong: Any) -> None:
    with pytest.raises(TypeError, match=r"write retry_backoff\(max_attempts=3\)"):
        retry_backoff(wrong)


@pytest.mark.parametrize(
    ("value", "number"),
    [
        (0, True),
        (1.5, True),
        (Fraction(1, 2), True),
        (math.inf, True),
        (-1, False),
        (False, False),
        (1j, False),
    ],
)
def test_is_number(value: object, number: bool) -> None:
    assert is_number(value) is number


async def test_what_a_wait_is_given_is_a_number_too() -> None:
    limiter = RateLimiter(1, burst=1)
    names = InMemoryRateLimiter(RateLimiterConfig(default_rates=[RateLimit(limit=1, interval=60)]))
    for wrong in (math.nan, "5", True):
        with pytest.raises(ValueError, match=r"^max_wait="):
            await limiter.acquire(max_wait=wrong)  # type: ignore[arg-type]
        with pytest.raises(ValueError, match=r"^timeout="):
            await names.acquire(timeout=wrong)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"^cost="):
        await limiter.acquire(math.nan)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"^weight="):
        await names.acquire(weight=math.nan)  # type: ignore[arg-type]
    assert limiter.try_acquire() and names.try_acquire(), "nothing was taken"


@pytest.mark.parametrize("wrong", [math.nan, "5", True])
def test_a_patience_that_is_no_number_is_the_error(wrong: Any) -> None:
    time, limiter = Time(), RateLimiter(1, burst=1)
    paced = AtOnce(1).pipe(rate_limit(limiter, max_wait=lambda: wrong))
    assert time.record(paced)[0].values == [1], "nobody had to wait"
    error = time.record(paced)[0].error
    assert isinstance(error, ValueError) and str(error).startswith("max_wait=")
    assert limiter.statistics().waiting == 0


def test_a_cost_that_one_of_two_limiters_could_never_grant_takes_nothing_from_the_other() -> None:
    time, wide, narrow = Time(), RateLimiter(10, burst=10), RateLimiter(2, burst=2)
    recorder = time.record(AtOnce(1).pipe(rate_limit(wide, narrow, cost=5)))[0]
    assert isinstance(recorder.error, ValueError)
    assert wide.statistics().available == 10


def again(error: Any) -> Any:
    raise error


VERDICTS: dict[str, Callable[[Any], Any]] = {
    "retry_if": lambda f: retry_backoff(retry_if=f),
    "hint": lambda f: retry_backoff(hint=f),
    "base": lambda f: retry_backoff(base=f),
    "classify": lambda f: circuit_breaker(CircuitBreaker(), classify=f),
    "classify, adaptive": lambda f: adaptive_concurrency(AdaptiveBulkhead(), classify=f),
    "fallback": lambda f: fallback(f),
}


@pytest.mark.parametrize("make", VERDICTS.values(), ids=VERDICTS)
@pytest.mark.parametrize("which", ["itself", "its cause"])
def test_a_function_that_raises_what_it_was_given_makes_no_ring(make: Any, which: str) -> None:
    first, cause, recorder = Boom("first"), Boom("cause"), Recorder()
    first.__cause__ = cause

    def raises(error: BaseException) -> Any:
        raise error if which == "itself" else cause

    reactivex.throw(first).pipe(make(raises)).subscribe(recorder)
    assert recorder.error is (first if which == "itself" else cause)
    assert (first.__cause__, cause.__cause__) == (cause, None)
