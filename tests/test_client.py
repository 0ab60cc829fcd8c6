"""`ApiClient`: its settings reach the calls, and its session is counted."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from rxorch import ApiClient, APIEndpoint, ApiHttpError, parallel
from rxorch import operators as rxo
from rxorch.events import CallFinished
from rxorch_operators.testing import virtual_time
from tests.conftest import ServeLoopback
from tests.support.fake_transport import FakeTransport, api, turns
from tests.support.watch import Watch


def test_what_it_is_told_holds_for_all_its_calls() -> None:
    client = ApiClient(
        FakeTransport(),
        global_rate_limit=30,
        rate_limit_window=15.0,
        max_in_flight=7,
        breaker_threshold=3,
        breaker_timeout=12.0,
        cache_ttl=9.0,
        retry_budget=False,
    )
    defaults, runtime = client.defaults, client.runtime(api(rate_limit=5))
    assert defaults.global_limiter is not None and defaults.bulkhead is not None
    assert runtime.limiters[0] is defaults.global_limiter
    assert "5 per 15 s" in repr(runtime.limiters[1])
    assert "30 per 15 s" in repr(defaults.global_limiter)
    assert defaults.bulkhead.limit == 7
    assert runtime.breaker is not None
    assert (runtime.breaker.policy.threshold, runtime.breaker.policy.timeout) == (3, 12.0)
    assert runtime.cache_ttl == 9.0
    assert not defaults.retry_budget


def test_by_default_there_is_a_breaker_and_no_limit() -> None:
    client = ApiClient(FakeTransport())
    runtime = client.runtime(api())
    assert runtime.breaker is not None and runtime.breaker.policy.threshold == 5
    assert runtime.limiters == () and client.defaults.bulkhead is None and runtime.cache_ttl is None
    assert client.defaults.retry_budget


@pytest.mark.parametrize("setting", [{"global_rate_limit": 0}, {"max_in_flight": 0}])
def test_a_setting_that_cannot_work_is_refused(setting: dict[str, Any]) -> None:
    with pytest.raises(ValueError):
        ApiClient(**setting)


def test_the_window_of_an_endpoint_goes_before_the_clients() -> None:
    client = ApiClient(FakeTransport(), rate_limit_window=15.0)
    assert "5 per 3 s" in repr(client.runtime(api(rate_limit=5, rate_limit_window=3.0)).limiters[0])


async def test_a_client_calls_observes_and_tells(loopback: ServeLoopback) -> None:
    server = await loopback({"GET /users/{id}": lambda request: {"id": request.match_info["id"]}})
    user = APIEndpoint(name="user", url=f"{server.url}/users/{{id}}")
    async with ApiClient() as client:
        watch = Watch(client.events)
        assert await client.call(user, {"id": 7}) == {"id": "7"}
        stream = rxo.from_iterable([{"id": n} for n in range(20)]).pipe(
            rxo.flat_map_bounded(client.observe(user), max_concurrent=4, ordered=True)
        )
        assert [found["id"] async for found in rxo.to_async_iterable(stream)] == [str(n) for n in range(20)]
        assert client.sends == server.total == 21
    assert server.peak <= 4
    assert len(watch.of(CallFinished, status="ok")) == 21
    await server.until_disconnected()


@virtual_time
async def test_the_state_of_an_endpoint_is_kept_by_the_client() -> None:
    first, second = (ApiClient(FakeTransport(otherwise=500), breaker_threshold=1) for _ in range(2))
    endpoint = api(retry_count=0)
    with pytest.raises(ApiHttpError):
        await first.call(endpoint)
    with pytest.raises(ApiHttpError):
        await second.call(endpoint)
    assert first.runtimes["api"].breaker is not second.runtimes["api"].breaker


@virtual_time
async def test_a_flow_on_a_client_obeys_its_limits() -> None:
    transport = FakeTransport(lag=5)
    client = ApiClient(transport, max_in_flight=2)
    await parallel(*(api(f"e{n}") for n in range(8))).execute({}, client)
    assert transport.peak == 2


async def test_a_call_outside_of_any_session_opens_one(loopback: ServeLoopback) -> None:
    """And somebody has to close it: that is what `async with` is for."""
    server = await loopback({"GET /": {"fine": True}})
    client = ApiClient()
    assert await client.call(api("api", server.url)) == {"fine": True}
    await client.aclose()
    await server.until_disconnected()


async def test_many_subscriptions_at_once_share_one_client() -> None:
    transport = FakeTransport(lag=3)
    client = ApiClient(transport)
    await asyncio.gather(*(client.call(api(f"e{n % 3}")) for n in range(30)))
    await turns()
    assert transport.sends == 30
    assert [runtime.calls_in_flight for runtime in client.runtimes.values()] == [0, 0, 0]
