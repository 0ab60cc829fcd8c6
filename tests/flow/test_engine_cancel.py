"""Cancellation at any moment leaves nothing: no task, no permit, no place in a line, no session."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from rxorch import (
    APIOrchestrationConfig,
    APIOrchestrator,
    OutcomeStatus,
    conditional,
    graph,
    parallel,
    pipeline,
    sequential,
)
from rxorch.events import RunFinished
from rxorch_operators.testing import run_virtual
from tests.support.fake_transport import FakeTransport, Hold, api, apis, in_turn, turns
from tests.support.watch import Watch, kinds


def rich(transport: FakeTransport, **settings: Any) -> APIOrchestrator:
    """Everything that can hold something: caps, limits, breaker, memory, retries, groups in groups."""
    kept = {
        "rate_limit": 600,
        "burst_limit": 2,
        "cache_ttl": 60.0,
        "retry_delay": 0.01,
        "total_timeout": 60.0,
    }
    flow = sequential(
        api("auth", **kept),
        parallel(
            api("u1", **kept),
            api("u2", depends_on=["u1"], **kept),
            pipeline(api("p1", method="POST"), conditional(bool, then=api("p2", error_handler=repr))),
            max_concurrent=2,
        ),
        graph(api("g1"), api("g2", depends_on=["g1"], condition=lambda data: True)),
    )
    return APIOrchestrator(
        flow, transport=transport, global_rate_limit=600, error_threshold=0.9, max_concurrent=3, **settings
    )


SCRIPT = {"u1": (503, {}), "p1": (503, {"x": 1}), "p2": (404,), "auth": (500, 429, {"token": "t"})}


def scripted() -> FakeTransport:
    return FakeTransport({name: in_turn(*answers) for name, answers in SCRIPT.items()}, lag=2)


async def nothing_held(orchestrator: APIOrchestrator, transport: FakeTransport) -> None:
    """No call, no permit, no place in a line is held; and a whole run still goes through."""
    assert orchestrator.in_flight == 0
    assert transport.in_flight == 0
    caller = orchestrator._caller
    assert all(not session.entered for session in caller._sessions.values())
    for runtime in caller.runtimes.values():
        assert all(limiter.statistics().waiting == 0 for limiter in runtime.limiters)
        assert runtime.coalescer.statistics().in_flight == 0
        assert runtime.breaker is not None and runtime.breaker.statistics().trials == 0
    assert asyncio.all_tasks() == {asyncio.current_task()}
    assert (await orchestrator.execute({})).ok


@pytest.mark.parametrize("steps", [*range(60), *range(60, 200, 7)])
def test_cancelled_after_any_number_of_turns_a_run_leaves_nothing(steps: int) -> None:
    async def cancelled() -> None:
        transport = scripted()
        orchestrator = rich(transport)
        watch = Watch(orchestrator.events)
        task = asyncio.create_task(orchestrator.execute({}))
        for _ in range(steps):
            await asyncio.sleep(0)
        assert task.cancel() or task.done()
        await asyncio.wait([task])
        await nothing_held(orchestrator, transport)
        for run in {event.run for event in watch.events}:
            assert kinds(event for event in watch.events if event.run == run)[-1] == "RunFinished"

    run_virtual(cancelled())


@pytest.mark.parametrize("wait", [0.001, 0.011, 0.1, 0.5, 1.05, 2.1])
def test_cancelled_in_a_wait_a_run_leaves_nothing(wait: float) -> None:
    async def cancelled() -> None:
        transport = scripted()
        orchestrator = rich(transport)
        task = asyncio.create_task(orchestrator.execute({}))
        await asyncio.sleep(wait)
        task.cancel()
        await asyncio.wait([task])
        await nothing_held(orchestrator, transport)

    run_virtual(cancelled())


@pytest.mark.parametrize("steps", range(0, 60, 3))
def test_disposed_after_any_number_of_turns_an_observed_run_leaves_nothing(steps: int) -> None:
    async def disposed() -> None:
        transport = scripted()
        orchestrator = rich(transport)
        seen: list[Any] = []
        subscription = orchestrator.observe({}).subscribe(seen.append, seen.append)
        for _ in range(steps):
            await asyncio.sleep(0)
        subscription.dispose()
        heard = len(seen)
        await turns()
        assert len(seen) == heard  # nobody is told any more
        await nothing_held(orchestrator, transport)

    run_virtual(disposed())


@pytest.mark.parametrize("steps", range(0, 60, 3))
def test_cancelled_after_any_number_of_turns_a_stream_leaves_nothing(steps: int) -> None:
    async def cancelled() -> None:
        transport = scripted()
        orchestrator = rich(transport)

        async def consume() -> None:
            async for _ in orchestrator.stream(({} for _ in range(50)), max_concurrent=3):
                pass

        task = asyncio.create_task(consume())
        for _ in range(steps):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
        await turns()
        await nothing_held(orchestrator, transport)

    run_virtual(cancelled())


async def test_a_cancelled_run_is_told_as_such() -> None:
    transport = FakeTransport({"a": Hold(), "b": Hold()})
    orchestrator = APIOrchestrator(parallel(api("a"), api("b", method="POST")), transport=transport)
    watch = Watch(orchestrator.events)
    task = asyncio.create_task(orchestrator.execute())
    await turns()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert sorted(watch.statuses) == ["cancelled", "unknown"]
    assert watch.last(RunFinished).status == "cancelled"


async def test_a_second_cancellation_does_not_hurry_it_past_its_cleaning_up() -> None:
    transport = FakeTransport({"a": Hold()})
    orchestrator = APIOrchestrator(sequential(api("a")), transport=transport)
    task = asyncio.create_task(orchestrator.execute())
    await turns()
    task.cancel()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await turns()
    assert (orchestrator.in_flight, transport.in_flight) == (0, 0)


async def test_a_timeout_around_an_execute_is_a_cancellation() -> None:
    orchestrator = APIOrchestrator(
        APIOrchestrationConfig(endpoints=[api("a", timeout=None)]), transport=FakeTransport({"a": Hold()})
    )
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0):
            await orchestrator.execute()
    assert orchestrator.in_flight == 0


async def test_an_attempt_that_somebody_else_cancelled_cancels_the_run() -> None:
    class Breaking(FakeTransport):
        async def send(self, request: Any) -> Any:
            await turns(1)
            raise asyncio.CancelledError

    orchestrator = APIOrchestrator(parallel(*apis("ab")), transport=Breaking())
    with pytest.raises(asyncio.CancelledError):
        await orchestrator.execute()
    assert orchestrator.in_flight == 0
    assert OutcomeStatus("cancelled") is OutcomeStatus.CANCELLED
