"""The events of a run: the exact sequence, on the bus and in the result."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest
from reactivex import operators as ops
from reactivex.abc import ObserverBase

from rxorch import (
    ApiClient,
    ApiHttpError,
    APIOrchestrationConfig,
    APIOrchestrator,
    ApiTimeoutError,
    OrchestrationMode,
    graph,
    parallel,
    pipeline,
    sequential,
)
from rxorch.events import Event, RunFinished, RunStarted, StepFinished, StepSkipped, StepStarted
from rxorch.flow import FlowRun, RunEvents, RunSettings, compile_flow
from rxorch_operators.core.demand import DemandScheduler
from rxorch_operators.testing import virtual_time
from tests.support.fake_transport import FakeTransport, Hold, api, apis, in_turn, turns
from tests.support.watch import Watch, kinds

CALL = ["StepStarted", "CallStarted", "AttemptStarted", "CallFinished", "StepFinished"]
BROKEN_CALL = [
    "StepStarted",
    "CallStarted",
    "AttemptStarted",
    "AttemptFailed",
    "CallFinished",
    "StepFinished",
]


async def test_a_success() -> None:
    orchestrator = APIOrchestrator(sequential(*apis("ab")), transport=FakeTransport())
    watch = Watch(orchestrator.events)
    result = await orchestrator.execute()
    assert watch.kinds == ["RunStarted", *CALL, *CALL, "RunFinished"]
    assert result.events == tuple(watch.events)
    assert {event.run for event in watch.events} == {result.run}
    assert [event.endpoint for event in watch.events] == ["", *["a"] * 5, *["b"] * 5, ""]
    assert [event.at for event in watch.events] == sorted(event.at for event in watch.events)


async def test_the_run_says_what_it_is_and_how_it_ended() -> None:
    result = await APIOrchestrator(graph(*apis("ab")), transport=FakeTransport({"a": 404})).execute()
    first, last = result.events[0], result.events[-1]
    assert isinstance(first, RunStarted) and first.mode == "graph"
    assert isinstance(last, RunFinished) and (last.status, last.error) == ("failed", None)
    assert last.duration >= 0.0


@pytest.mark.parametrize("mode", list(OrchestrationMode))
async def test_every_mode_has_a_name(mode: OrchestrationMode) -> None:
    config = APIOrchestrationConfig(endpoints=[api("a")], mode=mode)
    result = await APIOrchestrator(config, transport=FakeTransport()).execute()
    expected = "graph" if mode is OrchestrationMode.HYBRID else mode.value
    assert [event.mode for event in result.events if isinstance(event, RunStarted)] == [expected]


@virtual_time
async def test_a_success_after_a_retry() -> None:
    flow = sequential(api("a", retry_jitter="none"))
    transport = FakeTransport({"a": in_turn(503, {"x": 1})})
    result = await APIOrchestrator(flow, transport=transport).execute()
    assert kinds(result.events) == [
        "RunStarted",
        "StepStarted",
        "CallStarted",
        "AttemptStarted",
        "AttemptFailed",
        "RetryWaiting",
        "AttemptStarted",
        "CallFinished",
        "StepFinished",
        "RunFinished",
    ]
    (end,) = [event for event in result.events if isinstance(event, StepFinished)]
    assert (end.status, end.duration, end.attempts, end.value, end.degraded) == (
        "ok",
        1.0,
        2,
        {"x": 1},
        False,
    )


async def test_a_skip() -> None:
    flow = sequential(api("a", condition=lambda data: False), api("b"))
    result = await APIOrchestrator(flow, transport=FakeTransport()).execute()
    assert kinds(result.events) == ["RunStarted", "StepSkipped", *CALL, "RunFinished"]
    (skip,) = [event for event in result.events if isinstance(event, StepSkipped)]
    assert (skip.endpoint, skip.reason) == ("a", "its condition does not hold")


async def test_a_failure_and_the_skip_that_it_causes() -> None:
    flow = sequential(api("a"), api("b", depends_on=["a"]))
    result = await APIOrchestrator(flow, transport=FakeTransport({"a": 404})).execute()
    assert kinds(result.events) == ["RunStarted", *BROKEN_CALL, "StepSkipped", "RunFinished"]
    (end,) = [event for event in result.events if isinstance(event, StepFinished)]
    assert (end.status, end.error, end.value) == ("failed", result.errors["a"], None)


async def test_an_answer_from_memory() -> None:
    orchestrator = APIOrchestrator(sequential(api("a")), transport=FakeTransport(), cache_ttl=60.0)
    await orchestrator.execute()
    assert kinds((await orchestrator.execute()).events) == [
        "RunStarted",
        "StepStarted",
        "CallStarted",
        "CacheHit",
        "CallFinished",
        "StepFinished",
        "RunFinished",
    ]


async def test_a_substitute() -> None:
    flow = sequential(api("a", error_handler=lambda error: "instead"))
    result = await APIOrchestrator(flow, transport=FakeTransport({"a": 404})).execute()
    assert kinds(result.events) == ["RunStarted", *BROKEN_CALL, "RunFinished"]
    (end,) = [event for event in result.events if isinstance(event, StepFinished)]
    assert (end.status, end.degraded, end.value) == ("ok", True, "instead")
    assert isinstance(end.error, ApiHttpError)


async def test_a_condition_that_raises() -> None:
    flow = sequential(api("a", condition=lambda data: 1 / 0))
    result = await APIOrchestrator(flow, transport=FakeTransport()).execute()
    assert kinds(result.events) == ["RunStarted", "StepStarted", "StepFinished", "RunFinished"]


async def test_a_first_failure_that_ends_the_run() -> None:
    transport = FakeTransport({"a": Hold(), "b": 404})
    orchestrator = APIOrchestrator(parallel(*apis("ab")), transport=transport, fail_fast=True)
    watch = Watch(orchestrator.events)
    with pytest.raises(ApiHttpError) as caught:
        await orchestrator.execute()
    assert [(type(event).__name__, event.endpoint) for event in watch.events][-6:] == [
        ("AttemptFailed", "b"),
        ("CallFinished", "b"),
        ("StepFinished", "b"),
        ("CallFinished", "a"),
        ("StepFinished", "a"),
        ("RunFinished", ""),
    ]
    end = watch.last(RunFinished)
    assert (end.status, end.error) == ("failed", caught.value)
    assert caught.value.result.events == tuple(watch.events)


@virtual_time
async def test_a_run_out_of_time() -> None:
    orchestrator = APIOrchestrator(
        sequential(*apis("ab")), transport=FakeTransport({"a": Hold()}), total_timeout=2
    )
    with pytest.raises(ApiTimeoutError) as caught:
        await orchestrator.execute()
    events = caught.value.result.events
    assert kinds(events) == ["RunStarted", *CALL, "RunFinished"]  # nothing of b, which never began
    assert [event.status for event in events if isinstance(event, StepFinished)] == ["cancelled"]
    assert events[-1].error is caught.value and events[-1].duration == 2.0


async def test_what_a_run_tells_stays_apart_from_other_runs() -> None:
    orchestrator = APIOrchestrator(parallel(*apis("ab")), transport=FakeTransport(lag=3))
    results = await asyncio.gather(*(orchestrator.execute() for _ in range(5)))
    assert len({result.run for result in results}) == 5
    for result in results:
        assert {event.run for event in result.events} == {result.run}
        assert len(result.events) == 12


async def test_nobody_listens_and_the_result_still_has_its_events() -> None:
    orchestrator = APIOrchestrator(sequential(api("a")), transport=FakeTransport(), metrics_enabled=False)
    assert not orchestrator.events.active
    assert len((await orchestrator.execute()).events) == 7


async def test_a_listener_that_fails_breaks_nothing(caplog: pytest.LogCaptureFixture) -> None:
    orchestrator = APIOrchestrator(sequential(*apis("ab")), transport=FakeTransport())
    heard: list[Event] = []

    def broken(event: Event) -> None:
        heard.append(event)
        raise LookupError("my own mistake")

    orchestrator.events.subscribe(broken)
    with caplog.at_level(logging.ERROR, "rxorch"):
        result = await orchestrator.execute()
        await orchestrator.execute()
    assert result.ok and len(result.events) == 12
    assert len(heard) == 1 and len(caplog.records) == 1
    assert orchestrator.get_metrics().calls == 4


async def test_observed_a_run_tells_the_same_live() -> None:
    orchestrator = APIOrchestrator(pipeline(*apis("ab")), transport=FakeTransport())
    watch = Watch(orchestrator.events)
    seen: list[Any] = []
    orchestrator.observe({"id": 7}).subscribe(seen.append, seen.append, lambda: seen.append("end"))
    assert kinds(seen) == ["RunStarted", "StepStarted", "CallStarted"]  # at once, on the way in
    await turns()
    assert seen == [*watch.events, "end"]
    assert kinds(seen[:-1])[-1] == "RunFinished"


async def test_observed_a_run_ends_in_the_error_of_an_execute() -> None:
    transport = FakeTransport({"a": 404})
    orchestrator = APIOrchestrator(sequential(*apis("ab")), transport=transport, fail_fast=True)
    seen: list[Any] = []
    orchestrator.observe().subscribe(seen.append, seen.append)
    await turns()
    *events, error = seen
    assert isinstance(error, ApiHttpError)
    assert kinds(events)[-1] == "RunFinished" and events[-1].error is error
    assert error.result["a"] is None


async def test_each_subscription_of_an_observed_run_is_a_run() -> None:
    orchestrator = APIOrchestrator(sequential(api("a")), transport=FakeTransport())
    observed = orchestrator.observe()
    await turns()
    assert orchestrator.in_flight == 0
    runs: list[set[str | None]] = []
    for _ in range(2):
        events: list[Event] = []
        observed.subscribe(events.append)
        await turns()
        runs.append({event.run for event in events})
    assert len(runs[0]) == len(runs[1]) == 1 and runs[0] != runs[1]


async def test_an_observer_may_leave_at_any_event() -> None:
    """From inside of its own on_next; nobody is told of the cancellation that follows."""
    for count in range(1, 8):
        transport = FakeTransport(lag=3)
        orchestrator = APIOrchestrator(sequential(api("a")), transport=transport)
        seen: list[Any] = []
        orchestrator.observe().pipe(ops.take(count)).subscribe(seen.append, seen.append)
        await turns()
        assert len(seen) == count
        assert (orchestrator.in_flight, transport.in_flight) == (0, 0)


async def test_a_step_is_told_as_started_before_its_call_and_finished_after() -> None:
    orchestrator = APIOrchestrator(parallel(*apis("ab")), transport=FakeTransport())
    events = (await orchestrator.execute()).events
    for name in "ab":
        own = [event for event in events if event.endpoint == name]
        assert isinstance(own[0], StepStarted) and isinstance(own[-1], StepFinished)
        assert own[0].call == own[-1].call == 0
        assert len({event.call for event in own[1:-1]}) == 1


class Raw(ObserverBase[Event]):
    """A sink of the lean kind: without the border that keeps events from others after a disposal."""

    def __init__(self) -> None:
        self.seen: list[Any] = []

    def on_next(self, value: Event) -> None:
        self.seen.append(value)

    def on_error(self, error: Exception) -> None:
        self.seen.append(error)

    def on_completed(self) -> None:
        self.seen.append("end")


async def test_after_disposal_not_even_a_neighbour_is_told() -> None:
    client, sink = ApiClient(FakeTransport({"a": Hold()})), Raw()
    events = RunEvents(FlowRun(compile_flow(sequential(api("a"))), {}, client, RunSettings()))
    subscription = events.attach(sink, DemandScheduler.of(None))
    await turns()
    assert kinds(sink.seen)[-1] == "AttemptStarted"
    subscription.dispose()
    assert kinds(sink.seen)[-1] == "AttemptStarted"
    assert client.runtimes["a"].calls_in_flight == 0


@virtual_time
async def test_a_step_says_what_it_came_after() -> None:
    flow = sequential(api("a"), parallel(api("b"), api("c", depends_on=["b"])), api("d"))
    orchestrator = APIOrchestrator(flow, transport=FakeTransport())
    result = await orchestrator.execute()
    after = {event.endpoint: event.after for event in result.events if isinstance(event, StepStarted)}
    assert after == {"a": (), "b": ("a",), "c": ("a", "b"), "d": ("a", "b", "c")}


@virtual_time
async def test_a_step_says_how_long_others_had_all_places() -> None:
    first, second = Hold(), Hold()
    flow = parallel(api("a"), api("b"), api("c", depends_on=["a"]), api("d"), max_concurrent=1)
    orchestrator = APIOrchestrator(flow, transport=FakeTransport({"a": first, "b": second}))
    run = asyncio.ensure_future(orchestrator.execute())
    await asyncio.sleep(1.0)
    first.answer({})
    await asyncio.sleep(2.0)
    second.answer({})
    result = await run
    waited = {e.endpoint: round(e.waited, 6) for e in result.events if isinstance(e, StepStarted)}
    assert waited == {"a": 0, "b": 1.0, "c": 2.0, "d": 3.0}
