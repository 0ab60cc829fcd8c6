"""`orchestrator.stream`: one record per input, whatever the inputs are."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from functools import partial
from typing import Any

import pytest
import reactivex as rx
from reactivex import operators as ops
from reactivex.subject import Subject

from rxorch import (
    ApiHttpError,
    APIOrchestrator,
    ApiTimeoutError,
    OrchestrationResult,
    Run,
    sequential,
)
from rxorch import operators as rxo
from rxorch_operators.testing import virtual_time
from tests.support.fake_transport import FakeTransport, Hold, api, apis, turns
from tests.support.streams import Source, idle, streaming, stuck
from tests.support.virtual_time import now

# -- records -------------------------------------------------------------------------------------------


@virtual_time
async def test_one_record_for_each_input() -> None:
    transport = FakeTransport(
        {"item": lambda request: 404 if request.url.path == "/1" else {"n": request.url.path}}
    )
    runs = [run async for run in streaming(transport).stream([{"n": n} for n in range(3)], ordered=True)]
    assert [(run.index, run.input, run.ok) for run in runs] == [
        (0, {"n": 0}, True),
        (1, {"n": 1}, False),
        (2, {"n": 2}, True),
    ]
    good, bad, _ = runs
    assert isinstance(good.result, OrchestrationResult)
    assert (good.result["item"], good.error, good.attempts) == ({"n": "/0"}, None, 1)
    assert isinstance(bad.error, ApiHttpError)
    assert bad.result.errors == {"item": bad.error} and bad.outcomes == bad.result.outcomes


@virtual_time
async def test_a_record_tells_the_first_error_and_all_attempts() -> None:
    transport = FakeTransport({"b": 404, "c": 500, "a": {}})
    flow = sequential(api("a"), api("b"), api("c", retry_delay=2.0, retry_jitter="none"))
    (run,) = [run async for run in APIOrchestrator(flow, transport=transport).stream([None])]
    assert (getattr(run.error, "endpoint", None), run.attempts, run.duration, run.input) == (
        "b",
        5,
        6.0,
        None,
    )


@virtual_time
async def test_a_run_that_failed_fast_has_its_partial_result() -> None:
    transport = FakeTransport({"b": 404}, otherwise={"x": 1})
    orchestrator = APIOrchestrator(
        sequential(*apis("abc")), transport=transport, fail_fast=True, result_merger=lambda values: "merged"
    )
    (run,) = [run async for run in orchestrator.stream([{}])]
    assert isinstance(run.error, ApiHttpError) and not run.ok
    assert isinstance(run.result, OrchestrationResult)
    assert dict(run.result) == {"a": {"x": 1}, "b": None, "c": None}


@virtual_time
async def test_a_run_out_of_time_is_a_failed_run_and_not_the_end() -> None:
    transport = FakeTransport({"item": lambda request: Hold() if request.url.path == "/1" else {}})
    orchestrator = streaming(transport, total_timeout=5.0)
    runs = [run async for run in orchestrator.stream([{"n": n} for n in range(4)], ordered=True)]
    assert [run.ok for run in runs] == [True, False, True, True]
    assert isinstance(runs[1].error, ApiTimeoutError) and runs[1].duration == now() == 5.0


async def test_the_result_is_what_an_execute_returns() -> None:
    orchestrator = streaming(
        FakeTransport(otherwise=7),
        result_merger=lambda values: {"merged": values},
        result_transformer=lambda merged: [merged],
    )
    assert [run.result async for run in orchestrator.stream([{"n": 1}])] == [[{"merged": [7]}]]
    assert await orchestrator.execute({"n": 1}) == [{"merged": [7]}]


@pytest.mark.parametrize("field", ["result_merger", "result_transformer"])
async def test_a_merger_that_raises_fails_its_run_only(field: str) -> None:
    calls: list[Any] = []

    def broken(value: Any) -> Any:
        calls.append(value)
        if len(calls) == 2:
            raise LookupError("mine")
        return "fine"

    orchestrator = streaming(FakeTransport(), **{field: broken})
    runs = [run async for run in orchestrator.stream([{"n": n} for n in range(3)], max_concurrent=1)]
    assert [run.ok for run in runs] == [True, False, True]
    assert isinstance(runs[1].error, LookupError)
    assert isinstance(runs[1].result, OrchestrationResult) and runs[1].result.ok


async def test_a_record_is_frozen_and_short_to_read() -> None:
    (run,) = [run async for run in streaming(FakeTransport()).stream([{"n": 1}])]
    with pytest.raises(AttributeError):
        run.ok = False  # type: ignore[misc]
    assert "outcomes" not in repr(run)


async def test_no_inputs_no_records() -> None:
    transport = FakeTransport()
    assert [run async for run in streaming(transport).stream([])] == []
    assert transport.calls == []


# -- inputs --------------------------------------------------------------------------------------------


async def later() -> AsyncIterator[dict[str, int]]:
    for n in range(3):
        await asyncio.sleep(0)
        yield {"n": n}


@pytest.mark.parametrize(
    "inputs",
    [
        lambda: [{"n": n} for n in range(3)],
        lambda: ({"n": n} for n in range(3)),
        lambda: ({"n": 0}, {"n": 1}, {"n": 2}),
        later,
        lambda: rx.of({"n": 0}, {"n": 1}, {"n": 2}),
        lambda: rxo.from_iterable(range(3)).pipe(ops.map(lambda n: {"n": n})),
        lambda: rxo.from_async_iterable(later()),
    ],
    ids=["list", "generator", "tuple", "async generator", "stock observable", "piped", "async observable"],
)
async def test_many_kinds_of_inputs(inputs: Any) -> None:
    runs = [run async for run in streaming(FakeTransport()).stream(inputs(), ordered=True)]
    assert [(run.index, run.input["n"], run.ok) for run in runs] == [(0, 0, True), (1, 1, True), (2, 2, True)]


@pytest.mark.parametrize("inputs", [{"n": 1}, "text", b"bytes"])
def test_one_input_is_not_many(inputs: Any) -> None:
    with pytest.raises(TypeError, match="put it into a list"):
        streaming(FakeTransport()).stream(inputs)


@pytest.mark.parametrize("inputs", [7, None, object()])
def test_what_cannot_be_read_is_refused_at_once(inputs: Any) -> None:
    with pytest.raises(TypeError, match=type(inputs).__name__):
        streaming(FakeTransport()).stream(inputs)


@pytest.mark.parametrize("cap", [0, -1, 1.5, True])
def test_a_cap_is_a_whole_number(cap: Any) -> None:
    with pytest.raises(ValueError, match="max_concurrent"):
        streaming(FakeTransport()).stream([], max_concurrent=cap)


async def test_a_source_that_pushes_is_taken_as_it_comes() -> None:
    transport, pushed = FakeTransport(), Subject[Any]()
    orchestrator = streaming(transport)
    seen: list[int] = []

    async def consume() -> None:
        async for run in orchestrator.stream(pushed, max_concurrent=2, ordered=True):
            seen.append(run.index)  # noqa: PERF401 - what was seen before a failure counts too

    task = asyncio.create_task(consume())
    await turns()
    for n in range(7):
        pushed.on_next({"n": n})
    pushed.on_completed()
    await task
    assert seen == list(range(7)) and transport.peak == 2


async def test_the_error_of_a_source_ends_the_stream_after_what_came_before() -> None:
    hold = Hold()
    transport = FakeTransport({"item": lambda request: {} if request.url.path == "/0" else hold})

    def inputs() -> Iterator[dict[str, int]]:
        yield {"n": 0}
        yield {"n": 1}
        raise LookupError("the source broke")

    orchestrator = streaming(transport)
    stream = orchestrator.stream(inputs(), max_concurrent=2)
    assert (await anext(stream)).index == 0
    last = asyncio.ensure_future(anext(stream))
    await turns()
    assert hold.waiting == 1 and not last.done()  # it was read, so it has its end and its record
    hold.answer({})
    assert (await last).ok
    with pytest.raises(LookupError, match="the source broke"):
        await anext(stream)
    await idle(orchestrator, transport)


async def test_the_error_of_an_async_source_too() -> None:
    async def inputs() -> AsyncIterator[dict[str, int]]:
        yield {"n": 0}
        await turns()
        raise LookupError("the source broke")

    transport = FakeTransport()
    orchestrator = streaming(transport)
    seen: list[int] = []
    with pytest.raises(LookupError):
        async for run in orchestrator.stream(inputs()):
            seen += [run.index]
    assert seen == [0]
    await idle(orchestrator, transport)


# -- as an observable ----------------------------------------------------------------------------------


async def test_it_is_an_observable_too() -> None:
    transport = FakeTransport()
    stream = streaming(transport).stream(Source(5), ordered=True)
    seen: list[Any] = []
    await turns()
    assert transport.sends == 0  # cold
    stream.pipe(ops.skip(2)).subscribe(seen.append, seen.append, lambda: seen.append("end"))
    await turns(60)
    assert [run.index for run in seen[:-1]] == [2, 3, 4] and seen[-1] == "end"


async def test_each_subscription_runs_all_inputs_and_counts_from_zero() -> None:
    transport = FakeTransport()
    stream = streaming(transport).stream([{"n": n} for n in range(3)], ordered=True)
    heard: list[list[Run]] = [[], []]
    for runs in heard:
        stream.subscribe(runs.append)
    await turns(60)
    assert [[run.index for run in runs] for runs in heard] == [[0, 1, 2]] * 2
    assert transport.sends == 6


async def test_a_generator_serves_one_subscription() -> None:
    stream = streaming(FakeTransport()).stream(Source(3))
    heard: list[list[Any]] = [[], []]
    for runs in heard:
        stream.subscribe(runs.append, runs.append, partial(runs.append, "end"))
        await turns(60)
    assert [len(runs) for runs in heard] == [4, 1]


async def test_disposing_the_subscription_ends_it() -> None:
    transport, hold = stuck()
    orchestrator = streaming(transport)
    subscription = orchestrator.stream(Source(), max_concurrent=4).subscribe()
    await turns(60)
    assert hold.waiting == 4
    subscription.dispose()
    await idle(orchestrator, transport)
    assert hold.cancelled == 4


async def test_taking_a_few_ends_the_rest() -> None:
    transport = FakeTransport(lag=3)
    orchestrator, source = streaming(transport), Source()
    taken = orchestrator.stream(source, max_concurrent=4).pipe(ops.take(5))
    assert len([run async for run in rxo.to_async_iterable(taken)]) == 5
    await idle(orchestrator, transport)
    assert source.closed and source.read <= 5 + 4 + 1


async def test_two_streams_share_the_orchestrators_limits() -> None:
    transport = FakeTransport(lag=3)
    orchestrator = streaming(transport)

    async def consume() -> int:
        return len([run async for run in orchestrator.stream(Source(10), max_concurrent=2)])

    assert list(await asyncio.gather(consume(), consume())) == [10, 10]
    assert orchestrator.get_metrics().calls == 20
    await idle(orchestrator, transport)
