"""A stream that is turned up, down and off while it runs, and what it says of itself meanwhile."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from rxorch import APIOrchestrationConfig, APIOrchestrator, RateLimiter
from rxorch.stream import StreamStatistics
from rxorch_operators.testing import virtual_time
from tests.support.fake_transport import FakeTransport, Hold, api, turns
from tests.support.streams import Source, item, streaming
from tests.support.virtual_time import now

FORMS: list[dict[str, Any]] = [{}, {"ordered": True}, {"ordered": "key", "key": lambda data: data["n"]}]


@pytest.mark.parametrize("form", FORMS, ids=["merged", "ordered", "keyed"])
async def test_the_cap_can_be_changed(form: dict[str, Any]) -> None:
    hold = Hold()
    transport = FakeTransport({"item": hold})
    async with streaming(transport).stream(Source(20), max_concurrent=2, **form) as stream:
        first = asyncio.ensure_future(anext(stream))
        await turns()
        assert transport.in_flight == 2
        stream.max_concurrent = 5
        await turns()
        assert (transport.in_flight, stream.max_concurrent, stream.statistics().max_concurrent) == (5, 5, 5)
        stream.max_concurrent = 1
        hold.answer_next({})
        await first
        await turns()
        assert transport.in_flight == 4  # those under way go on
        hold.answer({})
        transport.script("item", Hold())
        for _ in range(4):
            await anext(stream)
        rest = asyncio.ensure_future(anext(stream))
        await turns(60)
        assert transport.in_flight == 1
        rest.cancel()
        await asyncio.wait([rest])


async def test_the_cap_that_is_set_holds_from_the_beginning() -> None:
    transport = FakeTransport(lag=3)
    stream = streaming(transport).stream(Source(20), max_concurrent=7)
    stream.max_concurrent = 2
    assert len([run async for run in stream]) == 20
    assert transport.peak == 2


@virtual_time
async def test_a_rate_can_be_changed() -> None:
    limiter = RateLimiter(60, 60.0, burst=1)
    transport = FakeTransport()
    stream = streaming(transport, fields={"rate_limiter": limiter}).stream(Source(21), max_concurrent=1)
    async for run in stream:
        if run.index == 10:
            assert now() == pytest.approx(10.0, abs=1e-3)
            limiter.change(600, burst=1)
    assert now() == pytest.approx(11.0, abs=1e-3)


async def test_the_limiters_of_an_orchestrator_are_at_hand() -> None:
    config = APIOrchestrationConfig(
        endpoints=[api("a", rate_limit=10), api("b")], global_rate_limit=100, rate_limit_window=1.0
    )
    orchestrator = APIOrchestrator(config, transport=FakeTransport())
    assert list(orchestrator.limiters) == [""]
    await orchestrator.execute({})
    assert {name: limiter.line.meter.limit for name, limiter in orchestrator.limiters.items()} == {
        "": 100,
        "a": 10,
    }


# -- drain ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", FORMS, ids=["merged", "ordered", "keyed"])
async def test_draining_reads_no_more_and_lets_the_rest_end(form: dict[str, Any]) -> None:
    hold, source = Hold(), Source()
    transport = FakeTransport({"item": hold})
    stream = streaming(transport).stream(source, max_concurrent=3, **form)
    first = asyncio.ensure_future(anext(stream))
    await turns()
    stream.drain()
    assert source.closed and not first.done()
    hold.answer({})
    runs = [await first] + [run async for run in stream]
    assert [run.ok for run in runs] == [True] * 3
    assert source.read == 3
    figures = stream.statistics()
    assert (figures.read, figures.ok, figures.in_flight) == (3, 3, 0)


async def test_draining_what_has_not_begun_or_is_over_changes_nothing() -> None:
    stream = streaming(FakeTransport()).stream(Source(3))
    stream.drain()
    assert len([run async for run in stream]) == 3
    stream.drain()


async def test_draining_gives_a_batch_that_was_not_full() -> None:
    async def some() -> Any:
        yield {"n": 0}
        yield {"n": 1}
        await asyncio.Event().wait()

    stream = APIOrchestrator(
        item(transform_input=lambda data: {"n": len(data)}), transport=FakeTransport()
    ).stream(some(), batch=5)
    first = asyncio.ensure_future(anext(stream))
    await turns()
    stream.drain()
    assert (await first).input == [{"n": 0}, {"n": 1}]
    assert [run async for run in stream] == []


# -- statistics ----------------------------------------------------------------------------------------


async def test_what_it_says_of_itself() -> None:
    hold = Hold()
    transport = FakeTransport({"item": lambda request: {"/0": {}, "/1": 404}.get(request.url.path, hold)})
    stream = streaming(transport).stream(Source(3), max_concurrent=3)
    assert stream.statistics() == StreamStatistics(0, 0, 0, 0, 0, 0, 0, 3)
    await anext(stream)
    await anext(stream)
    assert stream.statistics() == StreamStatistics(3, 1, 1, 1, 0, 0, 0, 3)
    hold.answer({})
    assert len([run async for run in stream]) == 1
    assert stream.statistics() == StreamStatistics(3, 0, 2, 1, 0, 0, 0, 3)


async def test_what_was_left_is_not_in_flight() -> None:
    transport = FakeTransport({"item": Hold()})
    stream = streaming(transport).stream(Source(9), max_concurrent=3)
    waiting = asyncio.ensure_future(anext(stream))
    await turns()
    assert stream.statistics().in_flight == 3
    waiting.cancel()
    await asyncio.wait([waiting])
    assert stream.statistics().in_flight == 0
