"""Rate limiting: for all services together, for one service, and the limiters used on their own.

The budgets that must run out are given a window of hours: a wait that cannot end before the deadline is
refused at once, so what the limit let through is counted at the server and no test waits for a clock.
"""

from __future__ import annotations

import asyncio
import math
import time

import aiohttp
import pytest

from rxorch import (
    APIEndpoint,
    APIOrchestrationConfig,
    APIOrchestrator,
    ApiRateLimitError,
    InMemoryRateLimiter,
    OrchestrationMode,
    RateLimit,
    RateLimiter,
    RateLimiterConfig,
)
from rxorch.operators import RateLimitExceededError
from tests.acceptance.witness import Witness
from tests.support.loopback import Loopback

TEN_HOURS = 36_000


async def test_global_rate_limit_lets_a_modest_run_through() -> None:
    """Global rate limiting: 100 a minute for all services together does not hold three calls up."""
    witness = Witness()
    routes = {f"GET /{name}": witness.answers(name) for name in ("a", "b", "c")}
    async with Loopback(routes) as server:
        endpoints = [APIEndpoint(name=name, url=f"{server.url}/{name}") for name in ("a", "b", "c")]
        config = APIOrchestrationConfig(endpoints=endpoints, global_rate_limit=100, rate_limit_window=60)
        result = await APIOrchestrator(config).execute({})

    assert result.ok
    assert witness.names() == ["a", "b", "c"]


async def test_global_rate_limit_is_shared_by_all_services() -> None:
    """Global rate limiting: the budget counts over all endpoints, refusals say when to come again."""
    names = [f"service{i}" for i in range(6)]
    witness = Witness()
    async with Loopback({f"GET /{name}": witness.answers(name) for name in names}) as server:
        endpoints = [APIEndpoint(name=name, url=f"{server.url}/{name}") for name in names]
        config = APIOrchestrationConfig(
            endpoints=endpoints,
            mode=OrchestrationMode.PARALLEL,
            global_rate_limit=20,  # burst of 1 + 20 // 10, then one in half an hour
            rate_limit_window=TEN_HOURS,
        )
        result = await APIOrchestrator(config).execute({})

    assert len(witness.calls) == 3
    assert len(result.errors) == 3
    for error in result.errors.values():
        assert isinstance(error, ApiRateLimitError)
        assert error.status_code is None
        assert error.retry_after is not None and 0 < error.retry_after <= TEN_HOURS


async def test_endpoint_rate_limit_allows_its_burst() -> None:
    """Per-endpoint rate limiting: five at once by burst_limit, and the sixth is not sent."""
    witness = Witness()
    routes = {"GET /limited": witness.answers("limited_api"), "GET /free": witness.answers("free_api")}
    async with Loopback(routes) as server:
        endpoint = APIEndpoint(
            name="limited_api", url=f"{server.url}/limited", rate_limit=10, burst_limit=5, retry_count=0
        )
        free = APIEndpoint(name="free_api", url=f"{server.url}/free")
        config = APIOrchestrationConfig(endpoints=[endpoint, free], rate_limit_window=TEN_HOURS)
        orchestrator = APIOrchestrator(config)
        results = [await orchestrator.execute({}) for _ in range(6)]

    assert [result["limited_api"] is not None for result in results] == [True] * 5 + [False]
    assert isinstance(results[5].errors["limited_api"], ApiRateLimitError)
    assert (witness.count("limited_api"), witness.count("free_api")) == (5, 6)


async def test_endpoint_limits_do_not_touch_each_other() -> None:
    """Per-endpoint rate limiting: a service that is at its limit leaves the others their own."""
    witness = Witness()
    async with Loopback({f"GET /{name}": witness.answers(name) for name in ("a", "b")}) as server:
        endpoints = [
            APIEndpoint(name="a", url=f"{server.url}/a", rate_limit=1),
            APIEndpoint(name="b", url=f"{server.url}/b", rate_limit=20, burst_limit=2),
        ]
        config = APIOrchestrationConfig(endpoints=endpoints, rate_limit_window=TEN_HOURS)
        orchestrator = APIOrchestrator(config)
        for _ in range(3):
            await orchestrator.execute({})

    assert (witness.count("a"), witness.count("b")) == (1, 2)


async def test_a_limited_call_waits_its_turn_and_is_sent() -> None:
    """Per-endpoint rate limiting: a wait that can end in time is waited for, nothing is lost."""
    witness = Witness()
    async with Loopback({"GET /limited/{n}": witness.answers("limited_api")}) as server:
        endpoint = APIEndpoint(name="limited_api", url=f"{server.url}/limited/{{n}}", rate_limit=3)
        config = APIOrchestrationConfig(endpoints=[endpoint], rate_limit_window=0.06)
        orchestrator = APIOrchestrator(config)
        results = await asyncio.gather(*(orchestrator.execute({"n": n}) for n in range(6)))

    assert all(result.ok for result in results)
    assert sorted(call.path for call in witness.calls) == [f"/limited/{n}" for n in range(6)]


async def test_custom_rate_limiter_guards_a_foreign_client() -> None:
    """Custom rate limiter: ``await limiter.acquire()`` before a call of another HTTP client."""
    witness = Witness()
    limiter = RateLimiter(rate_limit=100, window=60)
    routes = {"GET /data": witness.answers("data", {"n": 1})}
    async with Loopback(routes) as server, aiohttp.ClientSession() as http_client:

        async def make_request() -> dict[str, int]:
            await limiter.acquire()
            async with http_client.get(f"{server.url}/data") as response:
                answer: dict[str, int] = await response.json()
            return answer

        answers = [await make_request() for _ in range(5)]

    assert answers == [{"n": 1}] * 5
    assert witness.count("data") == 5


def test_custom_rate_limiter_refuses_beyond_its_burst() -> None:
    """Custom rate limiter: 100 a minute grants its burst of 11 at once, then one each 0.6 s."""
    limiter = RateLimiter(rate_limit=100, window=60)
    started = time.monotonic()
    granted = sum(bool(limiter.try_acquire()) for _ in range(100))

    earned_meanwhile = math.ceil((time.monotonic() - started) / 0.6)
    assert 11 <= granted <= 11 + earned_meanwhile


async def test_custom_rate_limiter_is_first_come_first_served() -> None:
    """Custom rate limiter: those who wait are let through in the order in which they came."""
    limiter = RateLimiter(rate_limit=2, window=0.02)
    served: list[int] = []

    async def make_request(n: int) -> None:
        await limiter.acquire()
        served.append(n)

    await asyncio.gather(*(make_request(n) for n in range(8)))

    assert served == list(range(8))


async def test_custom_rate_limiter_refuses_a_wait_that_is_too_long() -> None:
    """Custom rate limiter: ``max_wait`` turns a long wait into an error that says how long."""
    limiter = RateLimiter(rate_limit=1, window=TEN_HOURS)
    await limiter.acquire()

    with pytest.raises(RateLimitExceededError) as caught:
        await limiter.acquire(max_wait=1.0)
    assert caught.value.retry_after is not None
    assert 1.0 < caught.value.retry_after <= TEN_HOURS


def shown_limiter() -> InMemoryRateLimiter:
    config = RateLimiterConfig(
        default_rates=[RateLimit(limit=100, interval=60)],
        categories={"limited_api": [RateLimit(limit=10, interval=60)]},
    )
    return InMemoryRateLimiter(config)


async def test_in_memory_limiter_guards_a_foreign_client() -> None:
    """InMemoryRateLimiter: ``await limiter.acquire(endpoint_name)`` before each call, rates by category."""
    witness = Witness()
    limiter = shown_limiter()
    routes = {"GET /{name}": witness.answers("data", {"n": 1})}
    async with Loopback(routes) as server, aiohttp.ClientSession() as http_client:

        async def make_request(endpoint_name: str) -> int:
            await limiter.acquire(endpoint_name)
            async with http_client.get(f"{server.url}/{endpoint_name}") as response:
                return response.status

        statuses = [await make_request("limited_api") for _ in range(10)]
        statuses += [await make_request("other_api") for _ in range(10)]
        assert not limiter.try_acquire("limited_api")
        assert limiter.try_acquire("other_api")
    await limiter.close()

    assert statuses == [200] * 20


async def test_in_memory_limiter_weights() -> None:
    """InMemoryRateLimiter: a heavy operation takes its weight, and is refused whole."""
    limiter = shown_limiter()

    assert limiter.try_acquire("limited_api", weight=7)
    assert not limiter.try_acquire("limited_api", weight=4)
    assert limiter.try_acquire("limited_api", weight=3)
    assert not limiter.try_acquire("limited_api")
    await limiter.close()


async def test_in_memory_limiter_times_out() -> None:
    """InMemoryRateLimiter: a timeout ends a wait that would be too long."""
    limiter = shown_limiter()
    await limiter.acquire("limited_api", weight=10)

    with pytest.raises(TimeoutError):
        await limiter.acquire("limited_api", timeout=0.01)
    await limiter.close()


async def test_in_memory_limiter_waits_for_capacity() -> None:
    """InMemoryRateLimiter: acquire returns when the window has room again."""
    limiter = InMemoryRateLimiter(RateLimiterConfig(default_rates=[RateLimit(limit=2, interval=0.02)]))
    for _ in range(6):
        await limiter.acquire("any", timeout=10.0)
    await limiter.close()


async def test_in_memory_limiter_status_and_reset() -> None:
    """InMemoryRateLimiter: get_status tells what is used and left; reset gives one category or all back."""
    limiter = shown_limiter()
    for name in ("limited_api", "other"):
        await limiter.acquire(name, weight=4)

    status = limiter.get_status("limited_api")
    assert (status.name, status.current_count, status.limit, status.remaining) == ("limited_api", 4, 10, 6)
    assert 0 < status.reset_after <= 60

    limiter.reset("limited_api")
    assert limiter.get_status("limited_api").current_count == 0
    assert limiter.get_status("other").current_count == 4

    limiter.reset()
    assert limiter.get_status("other").remaining == 100
    await limiter.close()
