"""How far a stream reads ahead, and how it ends: nothing is left behind."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from reactivex.subject import Subject

from rxorch import (
    ApiError,
    APIOrchestrator,
    ErrorThresholdExceeded,
    Run,
    parallel,
    sequential,
)
from tests.conftest import ServeLoopback
from tests.support.fake_transport import FakeTransport, Hold, api, apis, turns
from tests.support.streams import Source, idle, streaming, stuck

# -- bounds --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("cap", [1, 3, 10])
@pytest.mark.parametrize("ordered", [False, True])
async def test_the_source_is_read_no_further_than_the_cap(cap: int, ordered: bool) -> None:
    """`max_concurrent` and one more, counted at every record; and never more calls at once."""
    source, transport = Source(200), FakeTransport(lag=2)
    taken = ahead = 0
    async for _ in streaming(transport).stream(source, max_concurrent=cap, ordered=ordered):
        taken += 1
        ahead = max(ahead, source.read - taken)
    assert taken == 200
    assert ahead <= cap + 1 + (cap if ordered else 0)
    assert transport.peak == cap


async def test_a_slow_consumer_slows_the_source_down() -> None:
    source, transport = Source(), FakeTransport()
    stream = streaming(transport).stream(source, max_concurrent=3)
    async with stream:
        await anext(stream)
        await turns(200)
        assert source.read <= 1 + 3 + 1
        assert transport.sends == source.read


async def test_nothing_is_read_before_the_first_step() -> None:
    source, transport = Source(), FakeTransport()
    stream = streaming(transport).stream(source)
    await turns()
    assert (source.read, transport.sends) == (0, 0)
    await stream.aclose()
    assert [run async for run in stream] == []


async def test_the_configs_cap_is_the_streams_unless_it_says_otherwise() -> None:
    transport = FakeTransport(lag=3)
    orchestrator = streaming(transport, max_concurrent=4)
    assert len([run async for run in orchestrator.stream(Source(30))]) == 30
    assert transport.peak == 4


async def test_the_configs_cap_holds_inside_of_each_run() -> None:
    transport = FakeTransport(lag=3)
    orchestrator = APIOrchestrator(parallel(*apis("abcdef")), transport=transport, max_concurrent=2)
    assert len([run async for run in orchestrator.stream([{}] * 20, max_concurrent=3)]) == 20
    assert transport.peak == 6


async def test_quick_ones_overtake_slow_ones_unless_ordered() -> None:
    for ordered, order in ((False, [1, 2, 3, 0]), (True, [0, 1, 2, 3])):
        hold = Hold()
        transport = FakeTransport(
            {"item": lambda request, hold=hold: hold if request.url.path == "/0" else {}}
        )
        stream = streaming(transport).stream(Source(4), max_concurrent=2, ordered=ordered)
        if ordered:
            asyncio.get_running_loop().call_soon(hold.answer, {})
        seen: list[int] = []
        async for run in stream:
            seen += [run.index]
            if len(seen) == 3:
                hold.answer({})
        assert seen == order


# -- the end -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("way", ["break", "aclose", "async with", "error", "cancel", "forgotten"])
@pytest.mark.parametrize("ordered", [False, True])
async def test_whichever_way_it_is_left_nothing_remains(way: str, ordered: bool) -> None:
    transport, hold = stuck()
    orchestrator, source = streaming(transport), Source()

    async def consume() -> None:
        stream = orchestrator.stream(source, max_concurrent=4, ordered=ordered)
        if way == "async with":
            async with stream:
                await anext(stream)
                await turns()
            return
        async for _ in stream:
            await turns()
            assert transport.in_flight >= 3
            if way == "break":
                break
            if way == "aclose":
                await stream.aclose()
                assert transport.in_flight == 0  # it has waited for them
                assert [run async for run in stream] == []
            if way == "error":
                raise LookupError("in the body")
            if way == "forgotten":
                return

    task = asyncio.create_task(consume())
    if way == "cancel":
        await turns(60)
        task.cancel()
    await asyncio.wait([task])
    assert isinstance(
        None if task.cancelled() else task.exception(), LookupError if way == "error" else type(None)
    )
    del task  # the traceback of its error holds the stream
    gc.collect()
    await idle(orchestrator, transport)
    assert hold.cancelled >= 3 and hold.waiting == 0
    assert source.closed and source.read <= 10


async def test_a_generator_is_closed_when_the_stream_is_left() -> None:
    closed: list[str] = []

    def inputs() -> Iterator[dict[str, int]]:
        try:
            for n in range(1000):
                yield {"n": n}
        finally:
            closed.append("generator")

    async def async_inputs() -> AsyncIterator[dict[str, int]]:
        try:
            for n in range(1000):
                yield {"n": n}
        finally:
            await asyncio.sleep(0)
            closed.append("async generator")

    for source in (inputs(), async_inputs()):
        async with streaming(FakeTransport()).stream(source) as stream:
            await anext(stream)
    assert closed == ["generator", "async generator"]


async def test_what_has_ended_stays_ended() -> None:
    stream = streaming(FakeTransport()).stream([{"n": 1}])
    assert len([run async for run in stream]) == 1
    assert [run async for run in stream] == []
    with pytest.raises(StopAsyncIteration):
        await anext(stream)
    await stream.aclose()


async def test_leaving_twice_is_harmless() -> None:
    stream = streaming(FakeTransport()).stream(Source())
    await anext(stream)
    await stream.aclose()
    await stream.aclose()


async def test_a_stream_of_its_own_opens_one_session_and_closes_it(loopback: ServeLoopback) -> None:
    server = await loopback({"GET /{n}": {"fine": True}})
    orchestrator = APIOrchestrator(sequential(api("item", f"{server.url}/{{n}}")))
    runs = [run async for run in orchestrator.stream(Source(30), max_concurrent=3)]
    assert all(run.ok for run in runs)
    assert server.connections_made <= 3
    await server.until_disconnected()
    assert orchestrator._caller._sessions == {}


async def test_within_the_orchestrators_session_it_closes_nothing(loopback: ServeLoopback) -> None:
    server = await loopback({"GET /{n}": {"fine": True}})
    async with APIOrchestrator(sequential(api("item", f"{server.url}/{{n}}"))) as orchestrator:
        for _ in range(3):
            assert len([run async for run in orchestrator.stream(Source(5), max_concurrent=1)]) == 5
        assert server.connections_made == 1


async def test_breaking_out_of_a_real_stream_closes_its_connections(loopback: ServeLoopback) -> None:
    async def answer(request: Any) -> Any:
        if request.match_info["n"] != "0":
            await asyncio.get_running_loop().create_future()
        return {"fine": True}

    server = await loopback({"GET /{n}": answer})
    orchestrator = APIOrchestrator(sequential(api("item", f"{server.url}/{{n}}")))
    async for _ in orchestrator.stream(Source(), max_concurrent=3):
        await server.until_in_flight(2)
        break
    gc.collect()
    await server.until_disconnected()
    await turns()
    assert orchestrator._caller._sessions == {}


# -- thresholds ----------------------------------------------------------------------------------------


async def test_too_many_failures_stop_the_stream_and_the_next_one_starts_clean() -> None:
    transport = FakeTransport({"item": lambda request: 404 if int(request.url.path[1:]) % 2 else {}})
    orchestrator = streaming(transport, error_threshold=0.4, error_threshold_min_calls=10)
    for _ in range(2):
        seen: list[bool] = []
        with pytest.raises(ErrorThresholdExceeded) as caught:
            async for run in orchestrator.stream(Source(), max_concurrent=1):
                seen += [run.ok]
        assert seen == [True, False, True, False, True, False, True, False, True, False]
        assert caught.value.counts == {"ok": 5, "failed": 5}
    await idle(orchestrator, transport)


async def test_it_cancels_what_is_in_flight_and_does_not_count_that() -> None:
    hold = Hold()
    script = {"item": lambda request: hold if int(request.url.path[1:]) % 3 == 2 else 404}
    transport = FakeTransport(script)
    fields = {"method": "POST", "timeout": None}
    orchestrator = streaming(transport, error_threshold=0.5, error_threshold_min_calls=4, fields=fields)
    for _ in range(2):
        before = transport.sends
        records: list[Run] = []
        with pytest.raises(ErrorThresholdExceeded) as caught:
            async for run in orchestrator.stream(Source(), max_concurrent=3):
                records += [run]
        assert caught.value.counts == {"ok": 0, "failed": 4}
        await idle(orchestrator, transport)
        # every input that was read has one record; of the orders that were cut off nobody knows
        assert sorted(run.index for run in records) == list(range(len(records)))
        assert transport.sends - before <= len(records)
        assert {"failed", "unknown"} <= {run.outcomes["item"].status for run in records}
        assert transport.sends - before <= 8


@pytest.mark.parametrize("ordered", [False, True])
async def test_what_a_source_has_pushed_already_gets_a_record_and_no_request(ordered: bool) -> None:
    """A Subject cannot wait: its elements lie in the queue of the stream when that is stopped."""
    hold = Hold()
    transport = FakeTransport({"item": hold})
    orchestrator = streaming(transport)
    pushed: Subject[dict[str, int]] = Subject()
    records: list[Run] = []

    async def consume() -> None:
        async for run in orchestrator.stream(pushed, max_concurrent=2, ordered=ordered):
            records.append(run)  # noqa: PERF401 - what came before the error counts

    async with orchestrator:
        consumer = asyncio.create_task(consume())
        await turns()
        for number in range(10):
            pushed.on_next({"n": number})
        await turns()
    with pytest.raises(ApiError, match="client was closed"):
        await consumer
    assert transport.sends == 2
    assert sorted(run.index for run in records) == list(range(10))
    assert not any(run.ok for run in records)
    await idle(orchestrator, transport)
