"""State, sessions and loops: what outlives what, and the blocking form."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from rxorch import (
    ApiCircuitOpenError,
    ApiHttpError,
    ApiNetworkError,
    APIOrchestrationConfig,
    APIOrchestrator,
    ApiRateLimitError,
    OrchestrationMode,
    sequential,
)
from rxorch_operators.testing import virtual_time
from tests.acceptance.threaded import ThreadedLoopback
from tests.conftest import ServeLoopback
from tests.support.fake_transport import FakeTransport, Hold, api, apis, orchestrate, turns
from tests.support.virtual_time import now

# -- state, sessions and loops -------------------------------------------------------------------------


@virtual_time
async def test_limits_and_breakers_belong_to_the_orchestrator() -> None:
    transport = FakeTransport({"bad": 500})
    limited = api("limited", rate_limit=1, rate_limit_window=60.0)
    orchestrator = orchestrate(
        limited,
        api("bad", retry_count=0),
        transport=transport,
        circuit_breaker_threshold=2,
        circuit_breaker_timeout=600.0,
    )
    results = [await orchestrator.execute() for _ in range(3)]
    assert now() == 120.0
    assert isinstance(results[2].errors["bad"], ApiCircuitOpenError)
    assert {name: breaker.state.name for name, breaker in orchestrator.breakers.items()} == {
        "limited": "CLOSED",
        "bad": "OPEN",
    }


@virtual_time
async def test_a_global_limit_is_shared_by_all_its_runs() -> None:
    transport = FakeTransport()
    orchestrator = orchestrate(
        *apis("ab"),
        transport=transport,
        mode=OrchestrationMode.PARALLEL,
        global_rate_limit=6,
        rate_limit_window=60.0,
    )
    await asyncio.gather(*(orchestrator.execute() for _ in range(3)))
    assert transport.waits == [10.0] * 5


def test_two_loops_one_after_another() -> None:
    """The limit, the circuit, the memory and the figures go on; the session does not."""
    with_server: list[Any] = []

    async def once(orchestrator: APIOrchestrator) -> Any:
        async with orchestrator:
            result = await orchestrator.execute()
            with_server.append(orchestrator._caller.transport)
            return result

    endpoints = [
        api("kept", "http://127.0.0.1:1/", cache_ttl=3600.0, error_handler=lambda error: "down"),
        api("limited", "http://127.0.0.1:1/l", rate_limit=1, rate_limit_window=36_000.0, retry_count=0),
        api("broken", "http://127.0.0.1:1/b", retry_count=0),
    ]
    config = APIOrchestrationConfig(endpoints=endpoints, circuit_breaker_threshold=1)
    orchestrator = APIOrchestrator(config)
    first, second = (asyncio.run(once(orchestrator)) for _ in range(2))
    assert isinstance(first.errors["broken"], ApiNetworkError)
    assert isinstance(second.errors["broken"], ApiCircuitOpenError)
    assert isinstance(second.errors["limited"], ApiCircuitOpenError | ApiRateLimitError)
    assert orchestrator.get_metrics().calls == 6
    assert with_server[0] is not with_server[1]


def test_a_limit_goes_on_in_the_next_loop() -> None:
    limited = api("limited", rate_limit=1, rate_limit_window=36_000.0)
    orchestrator = orchestrate(limited, api("kept", cache_ttl=3600.0), total_timeout=10.0)
    first, second = (orchestrator.run() for _ in range(2))
    assert first.ok
    assert isinstance(second.errors["limited"], ApiRateLimitError)
    figures = orchestrator.get_metrics()
    assert (figures.total_requests, figures.cache_hits) == (2, 1)


async def test_a_transport_that_was_given_is_not_closed() -> None:
    transport = FakeTransport()
    async with orchestrate(api("a"), transport=transport) as orchestrator:
        await orchestrator.execute()
        await orchestrator.aclose()
    assert transport.closed == 0


async def test_without_a_context_each_execute_has_a_session_of_its_own(loopback: ServeLoopback) -> None:
    server = await loopback({"GET /": {"fine": True}})
    orchestrator = APIOrchestrator(sequential(api("a", server.url), api("b", server.url)))
    for _ in range(2):
        assert (await orchestrator.execute()).ok
    assert server.connections_made == 2
    async with orchestrator:
        for _ in range(2):
            await orchestrator.execute()
        assert server.connections_made == 3
    await server.until_disconnected()


async def test_executes_at_the_same_time_share_a_session(loopback: ServeLoopback) -> None:
    """The last one closes it, and none closes it under another."""

    async def slow(request: Any) -> Any:
        if request.match_info["n"] == "0":
            await server.until(lambda: server.hits["/9"] == 1)
        return {"fine": True}

    server = await loopback({"GET /{n}": slow})
    orchestrator = APIOrchestrator(sequential(api("a", f"{server.url}/{{n}}")))
    results = await asyncio.gather(*(orchestrator.execute({"n": n}) for n in range(10)))
    assert all(result.ok for result in results)
    await server.until_disconnected()


async def test_in_flight_counts_calls() -> None:
    hold = Hold()
    orchestrator = orchestrate(
        *apis("abc"), transport=FakeTransport(otherwise=hold), mode=OrchestrationMode.PARALLEL
    )
    assert orchestrator.in_flight == 0
    task = asyncio.create_task(orchestrator.execute())
    await turns()
    assert orchestrator.in_flight == 3
    hold.answer({})
    await task
    assert orchestrator.in_flight == 0


# -- run -----------------------------------------------------------------------------------------------


async def test_run_blocks_a_running_loop_and_comes_back_with_the_result() -> None:
    """The server is in another thread; the loop that waits stands still meanwhile."""
    with ThreadedLoopback({"GET /{n}": lambda request: {"n": request.match_info["n"]}}) as server:
        orchestrator = APIOrchestrator(sequential(api("a", f"{server.url}/{{n}}")))
        went_on: list[int] = []
        asyncio.get_running_loop().call_soon(went_on.append, 1)
        results = [orchestrator.run({"n": n}) for n in range(2)]
        assert went_on == []
        assert [result["a"] for result in results] == [{"n": "0"}, {"n": "1"}]
        assert (await orchestrator.execute({"n": 2}))["a"] == {"n": "2"}
    assert orchestrator.get_metrics().total_requests == 3


async def test_run_in_a_running_loop_raises_what_an_execute_raises() -> None:
    orchestrator = orchestrate(api("a"), transport=FakeTransport({"a": 404}), fail_fast=True)
    with pytest.raises(ApiHttpError) as caught:
        orchestrator.run()
    assert caught.value.result.errors == {"a": caught.value}


async def test_run_in_a_running_loop_refuses_to_block_its_own_calls() -> None:
    hold = Hold()
    orchestrator = orchestrate(api("a"), transport=FakeTransport({"a": hold}))
    task = asyncio.create_task(orchestrator.execute())
    await turns()
    with pytest.raises(RuntimeError, match=r"1 calls? .*in flight"):
        orchestrator.run()
    hold.answer({})
    assert (await task).ok
    assert orchestrator.run().ok


async def test_run_within_the_context_of_another_loop_leaves_its_session_alone() -> None:
    with ThreadedLoopback({"GET /": {"fine": True}}) as server:
        async with APIOrchestrator(api("a", server.url)) as orchestrator:
            assert (await orchestrator.execute()).ok
            mine = orchestrator._caller.transport
            assert orchestrator.run().ok
            assert orchestrator._caller.transport is mine
            assert (await orchestrator.execute()).ok
            await server.until(lambda loopback: loopback.connections == 1)
        assert server.loopback.total == orchestrator.get_metrics().total_requests == 3
        assert server.loopback.connections_made == 2


def test_run_in_a_script_runs_a_loop() -> None:
    orchestrator = orchestrate(api("a"), transport=FakeTransport({"a": 7}))
    assert orchestrator.run({"id": 1})["a"] == 7
    assert orchestrator.run()["a"] == 7


def test_run_raises_in_a_script_too() -> None:
    with pytest.raises(ApiHttpError):
        orchestrate(api("a"), transport=FakeTransport({"a": 404}), fail_fast=True).run()
