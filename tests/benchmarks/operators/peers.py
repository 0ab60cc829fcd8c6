"""Awaited calls, against the libraries made for one policy each and against the standard library."""

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

from .jobs import CALLS, ELEMENTS, ENOUGH, IN_FLIGHT, SECONDS, call, in_tasks, numbers, pool
from .measure import Pair, Side

__all__ = ["BREAKERS", "LIMITERS", "MAPS", "RETRIES", "STANDARD_LIBRARY"]

Function: TypeAlias = Callable[[int], Awaitable[Any]]
Around: TypeAlias = Callable[[Function], Function]
"""Puts a policy around a function; done once per round."""


def _awaited(around: Around, make: Callable[[], Function] = lambda: call) -> Side:
    """Awaits calls through a policy, many at once."""

    async def side(count: int) -> None:
        await pool(around(make()), count)

    return side


def _bare(function: Function) -> Function:
    return function


_CALLS_ALONE: Final = _awaited(_bare)


def _pair(
    operator: str,
    job: str,
    peer: str,
    ours: Side,
    theirs: Side,
    bare: Side = _CALLS_ALONE,
    *,
    count: int = 2 * CALLS,
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


# Retries


def _failing_once() -> Function:
    """Calls that fail at the first attempt and go well at the second."""
    failed: set[int] = set()

    async def once(number: int) -> int:
        await asyncio.sleep(0)
        if number not in failed:
            failed.add(number)
            raise OSError("reset")
        return number

    return once


def _again_by_hand(function: Function) -> Function:
    async def by_hand(number: int) -> Any:
        try:
            return await function(number)
        except OSError:
            await asyncio.sleep(0)
            return await function(number)

    return by_hand


def _decorated(function: Function) -> Function:
    return guard(retry_backoff(max_attempts=3, base=0.0))(function)


def _guarded(function: Function) -> Function:
    through: Any = guard(retry_backoff(max_attempts=3, base=0.0)).call
    return partial(through, function)


def _tenacity(function: Function) -> Function:
    return tenacity.retry(stop=tenacity.stop_after_attempt(3), wait=tenacity.wait_none())(function)


def _stamina(function: Function) -> Function:
    stamina.instrumentation.set_on_retry_hooks([])  # it would write a log line for every retry
    settings: dict[str, Any] = {"wait_initial": 0.0, "wait_max": 0.0, "wait_jitter": 0.0}
    return stamina.retry(on=OSError, attempts=3, timeout=None, **settings)(function)


def _stamina_caller(function: Function) -> Function:
    stamina.instrumentation.set_on_retry_hooks([])
    caller = stamina.AsyncRetryingCaller(
        attempts=3, timeout=None, wait_initial=0.0, wait_max=0.0, wait_jitter=0.0
    )
    through: Any = caller.on(OSError)
    return partial(through, function)


def _retries(operator: str, peer: str, ours: Around, theirs: Around) -> tuple[Pair, Pair]:
    return (
        _pair(operator, "a call that goes well", peer, _awaited(ours), _awaited(theirs)),
        _pair(
            operator,
            "a call that fails once, no wait",
            peer,
            _awaited(ours, _failing_once),
            _awaited(theirs, _failing_once),
            _awaited(_again_by_hand, _failing_once),
            count=CALLS,
        ),
    )


RETRIES: Final = (
    *_retries("@guard(retry_backoff())", "tenacity", _decorated, _tenacity),
    *_retries("@guard(retry_backoff())", "stamina", _decorated, _stamina),
    *_retries("guard(retry_backoff()).call", "stamina's caller", _guarded, _stamina_caller),
)


# Rate limiters


async def _nothing(_: int) -> None:
    """What stands in the place of an acquisition."""


_POOL_ALONE: Final = _awaited(_bare, lambda: _nothing)


def _acquiring(limiter: RateLimiter | aiolimiter.AsyncLimiter) -> Function:
    async def acquired(_: int) -> None:
        await limiter.acquire()

    return acquired


async def _acquire_pyrate(count: int) -> None:
    limiter = pyrate_limiter.Limiter(pyrate_limiter.Rate(ENOUGH, pyrate_limiter.Duration.SECOND))

    async def acquired(_: int) -> None:
        await limiter.try_acquire_async("key")

    try:
        await pool(acquired, count)
    finally:
        limiter.close()  # it has a thread


_ACQUIRE: Final = _awaited(_bare, lambda: _acquiring(RateLimiter(ENOUGH, 1.0)))
_RATE: Final = 20_000.0
"""Calls per second, so that nearly all have to wait."""

_AT_ONCE: Final = 20
"""Calls that may leave at once: event loops wait for whole milliseconds."""

LIMITERS: Final = (
    _pair(
        "RateLimiter.acquire",
        "with room",
        "aiolimiter",
        _ACQUIRE,
        _awaited(_bare, lambda: _acquiring(aiolimiter.AsyncLimiter(ENOUGH, 1.0))),
        _POOL_ALONE,
        count=ELEMENTS,
    ),
    _pair(
        "RateLimiter.acquire",
        "with room",
        "pyrate-limiter",
        _ACQUIRE,
        _acquire_pyrate,
        _POOL_ALONE,
        count=ELEMENTS,
    ),
    _pair(
        "RateLimiter.acquire",
        "in line",
        "aiolimiter",
        _awaited(_bare, lambda: _acquiring(RateLimiter(_RATE, 1.0, burst=_AT_ONCE))),
        _awaited(_bare, lambda: _acquiring(aiolimiter.AsyncLimiter(_AT_ONCE, _AT_ONCE / _RATE))),
        _POOL_ALONE,
        count=CALLS,
    ),
)


# Circuit breakers


def _breaker(function: Function) -> Function:
    return partial(CircuitBreaker().call, function)


def _purgatory(function: Function) -> Function:
    return AsyncCircuitBreakerFactory()("circuit")(function)  # type: ignore[no-any-return]


def _pybreaker(function: Function) -> Function:
    breaker = pybreaker.CircuitBreaker()

    async def through(number: int) -> Any:
        with breaker.calling():  # its `call_async` needs tornado
            return await function(number)

    return through


def _plain(number: int) -> int:
    return number


async def _plain_alone(count: int) -> None:
    for number in range(count):
        _plain(number)


async def _plain_ours(count: int) -> None:
    breaker = CircuitBreaker()
    for number in range(count):
        await breaker.call(_plain, number)


async def _plain_pybreaker(count: int) -> None:
    breaker = pybreaker.CircuitBreaker()
    for number in range(count):
        breaker.call(_plain, number)


BREAKERS: Final = (
    _pair("CircuitBreaker.call", "an async call", "purgatory", _awaited(_breaker), _awaited(_purgatory)),
    _pair("CircuitBreaker.call", "an async call", "pybreaker", _awaited(_breaker), _awaited(_pybreaker)),
    _pair(
        "CircuitBreaker.call",
        "a plain call",
        "pybreaker",
        _plain_ours,
        _plain_pybreaker,
        _plain_alone,
        count=ELEMENTS,
    ),
)


# Many calls from an async source


def _mapped(ordered: bool) -> Side:
    async def side(count: int) -> None:
        stream = from_async_iterable(numbers(count)).pipe(
            flat_map_bounded(call, max_concurrent=IN_FLIGHT, ordered=ordered)
        )
        async with to_async_iterable(stream) as results:
            async for _ in results:
                pass

    return side


def _mapped_by_aiostream(ordered: bool) -> Side:
    async def side(count: int) -> None:
        mapped: Any = aiostream.stream.map  # its type wants a function of any number of elements
        stream = mapped(numbers(count), call, ordered=ordered, task_limit=IN_FLIGHT)
        async with stream.stream() as results:
            async for _ in results:
                pass

    return side


MAPS: Final = tuple(
    _pair(
        "flat_map_bounded",
        f"{IN_FLIGHT} calls at once, {order}",
        "aiostream map(task_limit=)",
        _mapped(ordered),
        _mapped_by_aiostream(ordered),
        in_tasks,
        count=CALLS,
    )
    for ordered, order in ((False, "unordered"), (True, "ordered"))
)


# The standard library has these in C, or does less: no goal


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


STANDARD_LIBRARY: Final = tuple(
    _pair(operator, "an async call", peer, _awaited(ours), _awaited(theirs), goal=False)
    for operator, peer, ours, theirs in (
        ("Bulkhead.call", "asyncio.Semaphore", _bulkhead, _semaphore),
        ("@guard(timeout())", "asyncio.timeout", _timeout, _asyncio_timeout),
        ("@guard(timeout())", "asyncio.wait_for", _timeout, _wait_for),
    )
)
