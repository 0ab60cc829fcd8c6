"""A run of one plain call is made in one link; all else is as with the links of an ordinary run.

With a listener every run is an ordinary one: so whatever comes of a run must be the same with and without.
"""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest

from rxorch import APIOrchestrator, Run
from rxorch.errors import ApiNetworkError
from rxorch.events import CallFinished, Event
from rxorch.flow import SoloRun
from rxorch.http import Request, Response
from rxorch.stream import RunStream
from rxorch_operators.testing import virtual_time
from tests.support.fake_transport import FakeTransport, Hold, api, in_turn, orchestrate, reply, turns

SCRIPTS: dict[str, Callable[[], Any]] = {
    "values": lambda: {"x": 1},
    "answers that are refused": lambda: 404,
    "one failure": lambda: in_turn({"x": 1}, 503, {"x": 1}),
    "failures without end": lambda: in_turn({"x": 1}, 503),
    "a rate limit": lambda: in_turn({"x": 1}, 429, {"x": 1}),
    "no answer": lambda: in_turn({"x": 1}, Hold()),
    "a network error": lambda: in_turn({"x": 1}, ApiNetworkError("down", sent=False)),
    "an error of the transport": lambda: in_turn({"x": 1}, ValueError("strange")),
    "a cancellation that nobody asked for": lambda: in_turn({"x": 1}, asyncio.CancelledError()),
}
INPUTS: list[dict[str, int]] = [{"n": 0}, {"n": 1}, {}, {"n": 3}, {"n": 4}, {"n": 5}]
"""One of them lacks what the url needs."""

SETTINGS: dict[str, dict[str, Any]] = {
    "the attempt is limited": {"timeout": 5.0},
    "the run is limited": {"timeout": 50.0, "run": {"total_timeout": 7.0}},
    "nothing is limited": {"timeout": 20.0, "retry_count": 0, "run": {"total_timeout": None}},
    "no breaker": {"timeout": 5.0, "circuit_breaker": False, "retry_count": 0},
    "it may change something": {"timeout": 5.0, "method": "POST", "retry_count": 0},
}


def facts_of(error: BaseException | None) -> Any:
    if error is None:
        return None
    fields = ("status_code", "attempts", "endpoint", "url", "__notes__")
    cause = type(error.__cause__), str(error.__cause__)
    message = str(error).partition(" s]")[0].rpartition(",")[0]  # without the seconds that it took
    return [type(error), message, cause, *(getattr(error, field, None) for field in fields)]


def plain(run: Run) -> Any:
    outcomes = {
        name: replace(outcome, error=None, duration=round(outcome.duration, 3), started=0.0)
        for name, outcome in run.outcomes.items()
    }
    errors = [facts_of(outcome.error) for outcome in run.outcomes.values()]
    value = run.result.value if run.ok else None
    return run.index, run.ok, value, facts_of(run.error), outcomes, errors, round(run.duration, 3)


async def what_comes_of(script: Any, *, listener: bool, **fields: Any) -> tuple[Any, ...]:
    run_settings = fields.pop("run", {})
    transport = FakeTransport({"api": script})
    endpoint = api("api", "http://shop.test/{n}", retry_jitter="none", **fields)
    async with orchestrate(
        endpoint, transport=transport, circuit_breaker_threshold=4, **run_settings
    ) as orchestrator:
        if listener:
            orchestrator.events.subscribe(lambda event: None)
        begun = asyncio.get_running_loop().time()
        ends: list[Any] = []
        try:
            async for run in orchestrator.stream(INPUTS, max_concurrent=1):
                ends.append(plain(run))  # noqa: PERF401 - those before an error count too
        except BaseException as error:
            ends.append(facts_of(error))
        times = [round(time - begun, 3) for time in transport.times]
        figures = replace(orchestrator.get_metrics(), endpoints={})
        figures = replace(figures, avg_latency=0.0, p50=0.0, p95=0.0, p99=0.0)
        return ends, times, figures


@pytest.mark.parametrize("fields", SETTINGS.values(), ids=SETTINGS)
@pytest.mark.parametrize("script", SCRIPTS.values(), ids=SCRIPTS)
@virtual_time
async def test_what_comes_of_a_run_is_the_same_with_a_listener_and_without(
    script: Callable[[], Any], fields: dict[str, Any]
) -> None:
    alone = await what_comes_of(script(), listener=False, **fields)
    assert alone == await what_comes_of(script(), listener=True, **fields)


async def after_one(script: Any, **fields: Any) -> tuple[APIOrchestrator, FakeTransport, RunStream]:
    """A stream whose next runs are made in one link: its endpoint has been called."""
    transport = FakeTransport({"api": script})
    orchestrator = orchestrate(api("api", **fields), transport=transport)
    stream = orchestrator.stream(({"n": n} for n in range(100)), max_concurrent=1)
    assert (await anext(stream)).ok
    return orchestrator, transport, stream


def solo_runs() -> int:
    gc.collect()
    return sum(isinstance(each, SoloRun) for each in gc.get_objects())


async def test_the_second_run_of_a_stream_is_made_in_one_link_and_an_ordinary_one_is_not() -> None:
    for fields, made in (({}, 1), ({"rate_limit": 1_000_000}, 0), ({"error_handler": lambda error: 0}, 0)):
        before, hold = solo_runs(), Hold()
        orchestrator, _, stream = await after_one(in_turn({"x": 1}, hold), **fields)
        taken = asyncio.create_task(anext(stream))
        await turns()
        assert (hold.waiting, solo_runs() - before) == (1, made), fields
        hold.answer({})
        assert (await taken).ok
        await stream.aclose()
        await orchestrator.aclose()


async def test_a_stream_that_is_closed_cancels_the_request_of_the_run() -> None:
    hold = Hold()
    orchestrator, transport, stream = await after_one(in_turn({"x": 1}, hold), method="POST", retry_count=0)
    taken = asyncio.create_task(anext(stream))
    await turns()
    taken.cancel()
    with pytest.raises(asyncio.CancelledError):
        await taken
    assert (hold.cancelled, transport.in_flight) == (1, 0)
    await orchestrator.aclose()


async def test_a_client_that_is_closed_ends_the_run_with_a_record() -> None:
    hold = Hold()
    orchestrator, transport, stream = await after_one(in_turn({"x": 1}, hold), method="POST", retry_count=0)
    taken = asyncio.create_task(anext(stream))
    await turns()
    await orchestrator.aclose()
    run = await taken
    assert (run.ok, str(run.outcomes["api"].status), hold.cancelled) == (False, "unknown", 1)
    assert "the client was closed" in str(run.error)
    assert (transport.in_flight, orchestrator.get_metrics().errors) == (0, 1)


async def test_runs_that_end_well_leave_nothing_for_the_collector() -> None:
    orchestrator, _, stream = await after_one({"x": 1})
    gc.collect()
    gc.disable()
    try:
        for _ in range(50):
            await anext(stream)
        left = gc.collect()
    finally:
        gc.enable()
    await stream.aclose()
    await orchestrator.aclose()
    assert left < 50


async def test_who_begins_to_listen_in_the_middle_of_a_run_hears_to_which_run_its_call_belonged() -> None:
    for kinds in (None, [CallFinished]):
        hold = Hold()
        orchestrator, _, stream = await after_one(in_turn({"x": 1}, hold))
        taken = asyncio.create_task(anext(stream))
        await turns()
        heard: list[Event] = []
        orchestrator.events.subscribe(heard.append, kinds=kinds)
        hold.answer({})
        run = await taken
        assert isinstance(heard[0], CallFinished)
        assert (heard[0].run, heard[0].status) == (run.result.run, "ok")
        await stream.aclose()
        await orchestrator.aclose()


class Late(FakeTransport):
    """Answers the second request 3 s after its cancellation, whatever that is worth then."""

    async def send(self, request: Request) -> Response:
        if len(self.calls) != 1:
            return await super().send(request)
        self.calls.append(request)
        request.sent = True
        with suppress(asyncio.CancelledError):
            await asyncio.sleep(100)
        await asyncio.sleep(3)
        return reply(503)


@pytest.mark.parametrize("listener", [False, True])
@virtual_time
async def test_an_answer_that_comes_after_its_time_counts_beside_the_others(listener: bool) -> None:
    endpoint = api(
        "api", method="POST", idempotent=True, timeout=1.0, retry_count=3, retry_delay=2.0,
        retry_jitter="none", circuit_breaker=False,
    )  # fmt: skip
    async with orchestrate(endpoint, transport=Late({"api": in_turn({}, 503)})) as orchestrator:
        if listener:
            orchestrator.events.subscribe(lambda event: None)
        runs = [run async for run in orchestrator.stream([{}, {}], max_concurrent=1)]
    assert str(runs[1].outcomes["api"].status) == "failed"  # and not "unknown": each of them was answered
