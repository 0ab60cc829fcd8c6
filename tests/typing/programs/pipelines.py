"""Types through `pipe`: what comes out of our operators is what went in, and the checkers know it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import assert_type

import reactivex
from reactivex import Observable
from reactivex import operators as ops

from rxorch import operators as rxo


class User:
    """What is asked for."""

    name: str = "Ada"


async def fetch(number: int) -> User:
    """An `async def` call."""
    return User()


def watch(user: User) -> Observable[str]:
    """A call as an observable."""
    return reactivex.just(user.name)


def named(user: User) -> str:
    """A plain function."""
    return user.name


numbers = rxo.from_iterable([1, 2, 3])
assert_type(numbers, Observable[int])

users = numbers.pipe(rxo.flat_map_bounded(fetch, max_concurrent=5))
assert_type(users, Observable[User])

names = numbers.pipe(
    rxo.throttle(100),
    rxo.flat_map_bounded(fetch, max_concurrent=5, ordered=True),
    rxo.flat_map_bounded(watch, max_concurrent=5),
)
assert_type(names, Observable[str])

guarded = rxo.from_async(fetch, 7).pipe(
    rxo.timeout(1.0),
    rxo.bulkhead(rxo.Bulkhead(limit=3)),
    rxo.rate_limit(rxo.RateLimiter(100)),
    rxo.circuit_breaker(rxo.CircuitBreaker()),
    rxo.retry_backoff(max_attempts=3),
    rxo.coalesce(rxo.Coalescer(), "users"),
    rxo.cache(rxo.TtlCache(), "users", ttl=60.0),
)
assert_type(guarded, Observable[User])

hedged = rxo.from_async(fetch, 7).pipe(
    rxo.chaos(rxo.ChaosPolicy()),
    rxo.adaptive_concurrency(rxo.AdaptiveBulkhead()),
    rxo.hedge(delay=0.5),
    rxo.policy(retry=3, timeout=1.0),
)
assert_type(hedged, Observable[User])

pushed = reactivex.interval(1.0).pipe(
    rxo.with_overflow("drop_oldest", buffer=10), rxo.tap_events(print), ops.map(str)
)
assert_type(pushed, Observable[str])

assert_type(users.pipe(rxo.batch(10, within=1.0)), Observable[list[User]])
assert_type(users.pipe(rxo.fallback(lambda error: None)), Observable[User | None])
assert_type(users.pipe(ops.map(named), rxo.throttle(5), ops.map(len)), Observable[int])


async def consume(letters: AsyncIterator[str]) -> None:
    """Ends of streams."""
    assert_type(await rxo.last_of(users), User)
    assert_type(rxo.from_async_iterable(letters), Observable[str])
    assert_type(rxo.to_async_iterable(users), rxo.ObservableIterator[User])
    async for user in rxo.to_async_iterable(users):
        assert_type(user, User)
