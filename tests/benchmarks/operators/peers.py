"""Awaited calls, against the libraries made for one policy each, and against the standard library."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, Final, TypeAlias

import aiolimiter
import aiostream
import pybreaker
import pyrate_limiter
import stamina
import tenacity
from purgatory import AsyncCircuitBreakerFactory

from rxorch_operators import (
    Bulkhead,
    CircuitBreaker,
    RateLimiter,
    flat_map_bounded,
    from_async_iterable,
    guard,
    retry_backoff,
    timeout,
    to_async_iterable,
)

from .jobs import IN_FLIGHT, call, in_tasks, numbers, pool
from .measure import Pair, Side

__all__ = ["BREAKERS", "LIMITERS", "MAPS", "PERMITS", "RETRIES"]

Function: TypeAlias = Callable[[int], Awaitable[Any]]
Around: TypeAlias = Callable[[Function], Function]
"""Puts a policy around a function; done once per round."""

CALLS: Final = 1_000
QUICK: Final = 10_000
"""Calls in a round of what takes less than a microsecond."""

ENOUGH: Final = 10**9
"""A limit that is never met."""

SECONDS: Final = 30.0
"""A time that never runs out."""


def _awaited(around: Around, make: Callable[[], Function] = lambda: call) -> Side:
    async def side(count: int) -> None:
        await pool(around(make()), count)

    return side


def _plain(function: Function) -> Function:
    return function


def _failing_once() -> Function:
    """A call that fails at the first attempt and goes well at the second."""
    failed: set[int] = set()

    async def once(number: int) -> int:
        await asyncio.sleep(0)
        if number not in failed:
            failed.add(number)
            raise OSError("reset")
        return number

    return once


async def _failing_bare(count: int) -> None:
    once = _failing_once()

    async def by_hand(number: int) -> int:
        try:
            return await once(number)
        except OSError:
            await asyncio.sleep(0)
            return await once(number)

    await pool(by_hand, count)


_BARE: Final = _awaited(_plain)


def _decorated(function: Function) -> Function:
    return guard(retry_backoff(max_attempts=3, base=0.0))(function)


def _guarded(function: Function) -> Function:
    return partial(guard(retry_backoff(max_attempts=3, base=0.0)).call, function)


def _tenacity(function: Function) -> Function:
    return tenacity.retry(stop=tenacity.stop_after_attempt(3), wait=tenacity.wait_none())(function)


def _stamina(function: Function) -> Function:
    stamina.instrumentation.set_on_retry_hooks([])  # it would log every retry
    settings: dict[str, float] = {"wait_initial": 0.0, "wait_max": 0.0, "wait_jitter": 0.0}
    return stamina.retry(on=OSError, attempts=3, timeout=None, **settings)(function)


def _stamina_caller(function: Function) -> Function:
    stamina.instrumentation.set_on_retry_hooks([])
    caller = stamina.AsyncRetryingCaller(
        attempts=3, timeout=None, wait_initial=0.0, wait_max=0.0, wait_jitter=0.0
    )
    return partial(caller.on(OSError), function)


def _pair(
    operator: str,
    job: str,
    peer: str,
    ours: Side,
    theirs: Side,
    bare: Side = _BARE,
    *,
    count: int = CALLS,
    goal: bool = True,
) -> Pair:
    return Pair(
        operator=operator,
        job=job,
        peer=peer,
        ours=ours,
        theirs=theirs,
        ours_bare=bare,
        theirs_bare=bare,
        count=count,
        goal=goal,
    )


def _retries(operator: str, peer: str, ours: Around, theirs: Around) -> tuple[Pair, Pair]:
    failing = _failing_once
    return (
        _pair(operator, "a call that goes well", peer, _awaited(ours), _awaited(theirs)),
        _pair(
            operator,
            "a call that fails once",
            peer,
            _awaited(ours, failing),
            _awaited(theirs, failing),
            _failing_bare,
            count=CALLS // 2,
        ),
    )


RETRIES: Final = (
    *_retries("@guard(retry_backoff())", "tenacity", _decorated, _tenacity),
    *_retries("@guard(retry_backoff())", "stamina", _decorated, _stamina),
    *_retries("guard(retry_backoff()).call", "stamina's caller", _guarded, _stamina_caller),
)


async def _nothing(number: int) -> int:
    return number


_NOTHING: Final = _awaited(_plain, lambda: _nothing)


async def _acquire_ours(count: int) -> None:
    limiter = RateLimiter(ENOUGH, 1.0)

    async def acquired(number: int) -> None:
        await limiter.acquire()

    await pool(acquired, count)


async def _acquire_aiolimiter(count: int) -> None:
    limiter = aiolimiter.AsyncLimiter(ENOUGH, 1.0)

    async def acquired(number: int) -> None:
        await limiter.acquire()

    await pool(acquired, count)


async def _acquire_pyrate(count: int) -> None:
    rate = pyrate_limiter.Rate(ENOUGH, pyrate_limiter.Duration.SECOND)
    limiter = pyrate_limiter.Limiter(rate)
    try:

        async def acquired(number: int) -> None:
            await limiter.try_acquire_async("key")

        await pool(acquired, count)
    finally:
        limiter.close()  # its bucket has a thread


PACE: Final = 20_000.0
"""Calls per second, one by one: nearly all have to wait."""


async def _wait_ours(count: int) -> None:
    limiter = RateLimiter(PACE, 1.0, burst=1)

    async def acquired(number: int) -> None:
        await limiter.acquire()

    await pool(acquired, count)


async def _wait_aiolimiter(count: int) -> None:
    limiter = aiolimiter.AsyncLimiter(1, 1.0 / PACE)

    async def acquired(number: int) -> None:
        await limiter.acquire()

    await pool(acquired, count)


LIMITERS: Final = (
    _pair("RateLimiter.acquire", "room", "aiolimiter", _acquire_ours, _acquire_aiolimiter, _NOTHING, count=QUICK),
    _pair("RateLimiter.acquire", "room", "pyrate-limiter", _acquire_ours, _acquire_pyrate, _NOTHING, count=QUICK),
    _pair("RateLimiter.acquire", "in line", "aiolimiter", _wait_ours, _wait_aiolimiter, _NOTHING, count=500),
)


def _broken_ours(function: Function) -> Function:
    return partial(CircuitBreaker().call, function)


def _purgatory(function: Function) -> Function:
    return AsyncCircuitBreakerFactory()("circuit")(function)  # type: ignore[no-any-return]


def _pybreaker(function: Function) -> Function:
    breaker = pybreaker.CircuitBreaker()

    async def through(number: int) -> Any:
        with breaker.calling():  # its `call_async` needs tornado
            return await function(number)

    return through


def _plain_call(number: int) -> int:
    return number


async def _plain_alone(count: int) -> None:
    for number in range(count):
        _plain_call(number)


async def _plain_ours(count: int) -> None:
    breaker = CircuitBreaker()
    for number in range(count):
        await breaker.call(_plain_call, number)


async def _plain_pybreaker(count: int) -> None:
    breaker = pybreaker.CircuitBreaker()
    for number in range(count):
        breaker.call(_plain_call, number)


BREAKERS: Final = (
    _pair("CircuitBreaker.call", "an async call", "purgatory", _awaited(_broken_ours), _awaited(_purgatory)),
    _pair("CircuitBreaker.call", "an async call", "pybreaker", _awaited(_broken_ours), _awaited(_pybreaker)),
    _pair("CircuitBreaker.call", "a plain call", "pybreaker", _plain_ours, _plain_pybreaker, _plain_alone, count=QUICK),
)


def _map_ours(*, ordered: bool) -> Side:
    async def side(count: int) -> None:
        mapped = from_async_iterable(numbers(count)).pipe(
            flat_map_bounded(call, max_concurrent=IN_FLIGHT, ordered=ordered)
        )
        async with to_async_iterable(mapped) as results:
            async for _ in results:
                pass

    return side


def _map_aiostream(*, ordered: bool) -> Side:
    async def side(count: int) -> None:
        mapped = aiostream.stream.map(numbers(count), call, ordered=ordered, task_limit=IN_FLIGHT)
        async with mapped.stream() as results:
            async for _ in results:
                pass

    return side


MAPS: Final = tuple(
    _pair(
        "flat_map_bounded",
        f"{IN_FLIGHT} calls at once" + (", ordered" if ordered else ""),
        "aiostream map(task_limit=)",
        _map_ours(ordered=ordered),
        _map_aiostream(ordered=ordered),
        in_tasks,
        count=CALLS // 2,
    )
    for ordered in (False, True)
)


def _bulkhead(function: Function) -> Function:
    return partial(Bulkhead(IN_FLIGHT).call, function)


def _semaphore(function: Function) -> Function:
    permits = asyncio.Semaphore(IN_FLIGHT)

    async def through(number: int) -> Any:
        async with permits:
            return await function(number)

    return through


def _timeout(function: Function) -> Function:
    return guard(timeout(SECONDS))(function)


def _asyncio_timeout(function: Function) -> Function:
    async def through(number: int) -> Any:
        async with asyncio.timeout(SECONDS):
            return await function(number)

    return through


def _wait_for(function: Function) -> Function:
    async def through(number: int) -> Any:
        return await asyncio.wait_for(function(number), SECONDS)

    return through


PERMITS: Final = (
    _pair("Bulkhead.call", "an async call", "asyncio.Semaphore", _awaited(_bulkhead), _awaited(_semaphore), goal=False),
    _pair("@guard(timeout())", "an async call", "asyncio.timeout", _awaited(_timeout), _awaited(_asyncio_timeout), goal=False),
    _pair("@guard(timeout())", "an async call", "asyncio.wait_for", _awaited(_timeout), _awaited(_wait_for), goal=False),
)
