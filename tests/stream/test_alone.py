"""A run outside of a stream gives the record that a stream would give for its input."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from rxorch import APIOrchestrator, Run, fanout, parallel, sequential
from rxorch.errors import ApiError, ApiNetworkError
from rxorch.stream.run_stream import RunStream
from rxorch_operators.testing import virtual_time
from tests.conftest import ServeLoopback
from tests.support.fake_transport import FakeTransport, Hold, api, in_turn, turns

SCRIPTS: dict[str, Callable[[], dict[str, Any]]] = {
    "values": dict,
    "a refusal": lambda: {"b": 404},
    "a failure, then a value": lambda: {"b": in_turn(503, {"x": 1})},
    "no answer": lambda: {"b": Hold()},
    "nothing but failures": lambda: {"a": 503, "b": ApiNetworkError("down", sent=False)},
}
FLOWS: dict[str, Any] = {
    "one call": lambda **fields: api("b", **fields),
    "at once": lambda **fields: parallel(api("a", **fields), api("b", **fields)),
    "in turn": lambda **fields: sequential(api("a", **fields), api("b", **fields)),
    "one at a time": lambda **fields: fanout(api("a", **fields), api("b", **fields), max_concurrent=1),
}
SETTINGS: dict[str, dict[str, Any]] = {
    "by default": {},
    "fail fast": {"fail_fast": True},
    "the run is limited": {"total_timeout": 7.0},
    "merged": {"result_merger": list},
    "a merger that fails": {"result_merger": lambda values: values[1]["x"] / 0},
}


def orchestrator_of(flow: Any, script: dict[str, Any], **settings: Any) -> APIOrchestrator:
    transport = FakeTransport(script, otherwise={"x": 1})
    made = flow(timeout=50.0, retry_count=1, retry_jitter="none", circuit_breaker=False)
    return APIOrchestrator(made, transport=transport, **settings)


def plain(run: Run) -> Any:
    outcomes = {
        name: (
            replace(outcome, error=None, started=0.0, duration=round(outcome.duration, 3)),
            outcome.started and round(outcome.started, 3),
            type(outcome.error),
        )
        for name, outcome in run.outcomes.items()
    }
    result = run.result if isinstance(run.result, list) else dict(run.result)
    facts = run.index, run.input, run.ok, result, type(run.error), outcomes, run.key, run.attempts
    return *facts, round(run.duration, 3)


@pytest.mark.parametrize("settings", SETTINGS.values(), ids=SETTINGS)
@pytest.mark.parametrize("script", SCRIPTS.values(), ids=SCRIPTS)
@pytest.mark.parametrize("flow", FLOWS.values(), ids=FLOWS)
@virtual_time
async def test_it_is_the_record_of_a_stream(flow: Any, script: Any, settings: dict[str, Any]) -> None:
    async with orchestrator_of(flow, script(), **settings) as orchestrator:
        alone = plain(await orchestrator.record({"n": 7}))
    async with orchestrator_of(flow, script(), **settings) as orchestrator:
        (run,) = [run async for run in orchestrator.stream([{"n": 7}])]
    assert alone == plain(run)


@pytest.mark.parametrize("flow", FLOWS.values(), ids=FLOWS)
async def test_who_waits_no_more_ends_its_calls(flow: Any) -> None:
    hold = Hold()
    orchestrator = orchestrator_of(flow, {"a": hold, "b": hold})
    async with orchestrator:
        task = asyncio.create_task(orchestrator.record())
        await turns()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert orchestrator.in_flight == hold.waiting == 0


@pytest.mark.parametrize("flow", FLOWS.values(), ids=FLOWS)
async def test_a_client_that_is_closed_ends_it(flow: Any) -> None:
    hold = Hold()
    orchestrator = orchestrator_of(flow, {"a": hold, "b": hold})
    async with orchestrator:
        task = asyncio.create_task(orchestrator.record())
        await turns()
    run = await task
    assert not run.ok
    assert isinstance(run.error, ApiError) and "the client was closed" in str(run.error)
    assert hold.waiting == 0


async def test_a_cancellation_that_nobody_asked_for_is_raised() -> None:
    async with orchestrator_of(FLOWS["at once"], {"b": asyncio.CancelledError()}) as orchestrator:
        with pytest.raises(asyncio.CancelledError):
            await orchestrator.record()
        assert orchestrator.in_flight == 0


async def test_it_has_a_session_of_its_own_where_none_is_open(loopback: ServeLoopback) -> None:
    server = await loopback({"GET /user": {"x": 1}})
    run = await APIOrchestrator(api("user", server.url + "/user")).record()
    assert run.ok and run.result["user"] == {"x": 1}
    await server.until_idle()


async def test_it_leaves_nothing_to_the_collector() -> None:
    async with orchestrator_of(FLOWS["at once"], {}) as orchestrator:
        for _ in range(3):
            await orchestrator.record()
        gc.collect()
        gc.disable()
        try:
            for _ in range(50):
                await orchestrator.record()
            assert gc.collect() == 0
        finally:
            gc.enable()


async def test_it_makes_no_stream(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(RunStream, "__init__")
    async with orchestrator_of(FLOWS["at once"], {}) as orchestrator:
        assert (await orchestrator.record()).ok
