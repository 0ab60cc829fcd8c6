"""The caller: state by endpoint, one transport per loop, sessions that are counted."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from rxorch import ApiClient, CircuitBreaker, RateLimiter
from rxorch.endpoint import CallDefaults, Caller
from rxorch.errors import ApiBulkheadFullError, ApiConfigurationError, ApiNetworkError
from rxorch.http import AioHttpTransport
from rxorch_operators import Bulkhead
from rxorch_operators.testing import virtual_time
from tests.conftest import ServeLoopback
from tests.support.fake_transport import FakeTransport, Hold, api, turns
from tests.support.virtual_time import now


async def test_a_call_returns_the_value() -> None:
    client = ApiClient(FakeTransport({"api": {"id": 7}}))
    assert await client.call(api(), {}) == {"id": 7}


async def test_a_call_of_each_returns_the_whole_list() -> None:
    assert await ApiClient(FakeTransport(otherwise=[1, 2])).call(api(each=True)) == [1, 2]


async def test_cancelling_a_call_waits_until_it_is_gone() -> None:
    hold = Hold()
    transport = FakeTransport({"api": hold})
    client = ApiClient(transport)
    task = asyncio.create_task(client.call(api()))
    await turns()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (transport.in_flight, hold.cancelled, client.runtimes["api"].calls_in_flight) == (0, 1, 0)


def test_the_same_endpoint_keeps_its_state() -> None:
    client = ApiClient(FakeTransport())
    first, same = api("user", retry_count=1), api("user", retry_count=1)
    assert client.runtime(first) is client.runtime(first) is client.runtime(same)


def test_two_endpoints_of_one_name_are_refused() -> None:
    client = ApiClient(FakeTransport())
    client.runtime(api("user"))
    with pytest.raises(ApiConfigurationError, match="'user'"):
        client.runtime(api("user", retry_count=0))


def test_runtimes_is_a_copy() -> None:
    client = ApiClient(FakeTransport())
    client.runtime(api("user"))
    client.runtimes.clear()
    assert list(client.runtimes) == ["user"]


async def test_a_given_transport_is_used_and_not_closed() -> None:
    transport = FakeTransport()
    async with ApiClient(transport) as client:
        await client.call(api())
        await client.aclose()
        assert client.transport is transport
    assert (transport.closed, transport.sends, client.sends) == (0, 1, 1)


async def test_an_own_transport_is_opened_when_needed_and_closed_by_the_last_to_leave(
    loopback: ServeLoopback,
) -> None:
    server = await loopback({"GET /": {"fine": True}})
    endpoint = api("api", server.url)
    client = ApiClient()
    async with client:
        async with client:
            await client.call(endpoint)
            transport = client.transport
        assert client.transport is transport  # one has left, one is still there
        await client.call(endpoint)
        assert server.connections_made == 1
    await server.until_disconnected()
    async with client:
        assert client.transport is not transport
        await client.call(endpoint)
    assert client.sends == server.total == 3  # over all its transports


async def test_the_sends_count_what_went_out(loopback: ServeLoopback) -> None:
    server = await loopback({"GET /": 503})
    async with ApiClient() as client:
        with pytest.raises(Exception, match="503"):
            await client.call(api("api", server.url, retry_count=1, retry_delay=0.0))
        with pytest.raises(ApiNetworkError):
            await client.call(api("nobody", "http://127.0.0.1:1/", retry_count=0))
        assert client.sends == server.total == 2


def test_the_state_outlives_a_loop_and_the_session_does_not() -> None:
    """Two loops one after another: breaker, limiter and cache go on, the transport is a new one."""
    limiter = RateLimiter(10, 3600.0)
    breaker = CircuitBreaker(threshold=2)
    client = ApiClient()
    good = api("good", "http://127.0.0.1:1/", rate_limiter=limiter, circuit_breaker=breaker, retry_count=0)
    transports = []

    async def once() -> None:
        async with client:
            with pytest.raises(Exception, match=r"connect|open"):
                await client.call(good)
            transports.append(client.transport)

    for _ in range(3):
        asyncio.run(once())
    assert breaker.state.name == "OPEN"
    assert limiter.statistics().granted == 2  # the third was refused by the open circuit
    assert len({id(transport) for transport in transports}) == 3
    assert all(isinstance(transport, AioHttpTransport) for transport in transports)


def test_a_transport_whose_loop_was_closed_under_it_is_forgotten_but_not_its_count() -> None:
    class Counted(Caller):
        made: list[FakeTransport] = []

        def _make_transport(self) -> FakeTransport:
            self.made.append(FakeTransport())
            return self.made[-1]

    client = Counted()

    async def enters_and_never_leaves() -> None:
        client.enter()
        await client.call(api())

    asyncio.run(enters_and_never_leaves())
    asyncio.run(enters_and_never_leaves())
    assert len(client.made) == 2
    assert client.sends == 2
    assert len(client._sessions) == 1


async def test_closing_in_the_middle_lets_the_next_call_open_anew(loopback: ServeLoopback) -> None:
    server = await loopback({"GET /": {"fine": True}})
    async with ApiClient() as client:
        await client.call(api("api", server.url))
        await client.aclose()
        await client.aclose()
        await client.call(api("api", server.url))
    assert client.sends == server.total == 2


def test_each_host_has_its_own_retry_budget() -> None:
    client = ApiClient(FakeTransport())
    assert client.budget_of("a.test") is client.budget_of("a.test")
    assert client.budget_of("a.test") is not client.budget_of("b.test")


def test_hosts_from_the_input_do_not_grow_the_memory_without_end() -> None:
    client = ApiClient(FakeTransport())
    for number in range(3000):
        client.budget_of(f"{number}.test")
    assert len(client._budgets) == 1024
    assert client.budget_of("2999.test") is client.budget_of("2999.test")


@virtual_time
async def test_max_in_flight_caps_all_endpoints_together() -> None:
    hold = Hold()
    transport = FakeTransport(otherwise=hold)
    client = ApiClient(transport, max_in_flight=3)
    tasks = [asyncio.create_task(client.call(api(f"e{n % 4}"))) for n in range(12)]
    await turns(50)
    assert transport.in_flight == 3
    hold.answer(1)
    assert await asyncio.gather(*tasks) == [1] * 12
    assert transport.peak == 3


async def test_a_full_bulkhead_refuses_and_the_error_is_of_both_trees() -> None:
    hold = Hold()
    defaults = CallDefaults(bulkhead=Bulkhead(1, queue=0))
    client = Caller(FakeTransport(otherwise=hold), defaults=defaults)
    first = asyncio.create_task(client.call(api()))
    await turns()
    with pytest.raises(ApiBulkheadFullError) as caught:
        await client.call(api())
    assert (caught.value.limit, caught.value.endpoint, caught.value.attempts) == (1, "api", 0)
    hold.answer({})
    await first
    await client.call(api())  # the permit came back


@virtual_time
async def test_a_global_rate_limit_holds_for_all_endpoints() -> None:
    """One at once and then one every 30 s: 2 per minute, whoever calls."""
    transport = FakeTransport()
    client = ApiClient(transport, global_rate_limit=2)
    await asyncio.gather(*(client.call(api(f"e{n}")) for n in range(4)))
    assert transport.waits == [30.0, 30.0, 30.0]
    assert now() == 90.0


@virtual_time
async def test_limits_compose_and_hold_nothing_of_each_other() -> None:
    """A call that waits for the limit of its endpoint does not stand in the way of other endpoints."""
    transport = FakeTransport()
    client = ApiClient(transport, global_rate_limit=60, rate_limit_window=60.0)
    slow = api("slow", rate_limit=1, rate_limit_window=600.0)
    calls = [client.call(slow), client.call(slow), *(client.call(api("quick")) for _ in range(20))]
    await asyncio.gather(*calls)
    at = [round(time - transport.times[0]) for time in transport.times]
    assert [time for name, time in zip(transport.names, at, strict=True) if name == "slow"] == [0, 600]
    assert max(time for name, time in zip(transport.names, at, strict=True) if name == "quick") < 20


def test_clearing_tells_how_much_was_there() -> None:
    async def fill(client: ApiClient) -> Any:
        for number in range(3):
            await client.call(api("a", "http://shop.test/{n}", cache_ttl=60.0), {"n": number})
        await client.call(api("b", cache_ttl=60.0))

    client = ApiClient(FakeTransport())
    asyncio.run(fill(client))
    assert client.clear_cache("nobody") == 0
    assert client.clear_cache("a") == 3
    assert client.clear_cache("a") == 0
    assert client.clear_all_cache() == 1
