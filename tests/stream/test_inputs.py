"""Inputs: their keys, batches of them, and those that could not be read."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from rxorch import APIOrchestrator, ApiValidationError
from rxorch.sources import BadInput
from rxorch_operators.testing import virtual_time
from tests.support.fake_transport import FakeTransport, Hold, api, turns
from tests.support.streams import Source, item, streaming
from tests.support.virtual_time import now


def bad(line: int) -> BadInput:
    return BadInput("orders.jsonl", line, ApiValidationError(f"orders.jsonl, line {line}: not JSON"))


def sized() -> APIOrchestrator:
    """One call for each batch."""
    return APIOrchestrator(item(transform_input=lambda data: {"n": len(data)}), transport=FakeTransport())


# -- keys ----------------------------------------------------------------------------------------------


async def test_without_a_key_there_is_none() -> None:
    assert [run.key async for run in streaming(FakeTransport()).stream(Source(2))] == [None, None]


async def test_the_key_is_on_the_record() -> None:
    stream = streaming(FakeTransport()).stream(Source(2), key=lambda data: ("order", data["n"]), ordered=True)
    assert [run.key async for run in stream] == [("order", 0), ("order", 1)]


@pytest.mark.parametrize("form", [{}, {"ordered": "key"}])
async def test_an_input_without_a_key_fails_alone(form: dict[str, Any]) -> None:
    keys: dict[int, Any] = {0: "a", 1: [], 2: "c"}
    transport = FakeTransport()
    stream = streaming(transport).stream(Source(4), key=lambda data: keys[data["n"]], **form)
    runs = sorted([run async for run in stream], key=lambda run: run.index)
    assert [run.ok for run in runs] == [True, False, True, False]
    assert isinstance(runs[1].error, TypeError) and isinstance(runs[3].error, KeyError)
    assert transport.sends == 2


async def test_in_the_order_of_each_key() -> None:
    first = Hold()
    transport = FakeTransport({"item": lambda request: first if request.url.path == "/0" else {}})
    stream = streaming(transport).stream(
        Source(6), max_concurrent=4, ordered="key", key=lambda data: data["n"] % 2
    )
    seen: list[int] = []
    async for run in stream:
        seen.append(run.index)
        if len(seen) == 3:
            first.answer({})
    assert seen[:3] == [1, 3, 5] and seen[3:] == [0, 2, 4]


# -- batches -------------------------------------------------------------------------------------------


async def test_batches_by_number() -> None:
    runs = [run async for run in sized().stream(Source(7), batch=3, ordered=True)]
    assert [[data["n"] for data in run.input] for run in runs] == [[0, 1, 2], [3, 4, 5], [6]]
    assert [run.index for run in runs] == [0, 1, 2]


@virtual_time
async def test_batches_by_time() -> None:
    async def slowly() -> AsyncIterator[dict[str, int]]:
        for n in range(5):
            yield {"n": n}
            await asyncio.sleep(0.4)

    sizes = [(len(run.input), round(now(), 1)) async for run in sized().stream(slowly(), batch=(10, 1.0))]
    assert sizes == [(3, 1.0), (2, 2.0)]


# -- bad inputs ----------------------------------------------------------------------------------------


async def test_what_could_not_be_read_is_a_failed_record_without_a_call() -> None:
    transport = FakeTransport()
    stream = streaming(transport).stream([{"n": 0}, bad(2), {"n": 2}], ordered=True)
    runs = [run async for run in stream]
    assert [run.ok for run in runs] == [True, False, True]
    assert runs[1].input == bad(2) or isinstance(runs[1].input, BadInput)
    assert str(runs[1].error) == "orders.jsonl, line 2: not JSON"
    assert (transport.sends, runs[1].outcomes, runs[1].attempts) == (2, {}, 0)


async def test_it_is_in_no_batch() -> None:
    stream = sized().stream([{"n": 0}, bad(2), {"n": 2}, {"n": 3}, bad(5)], batch=3, ordered=True)
    runs = [run async for run in stream]
    assert [run.ok for run in runs] == [True, False, True, False]
    assert [len(run.input) for run in runs if run.ok] == [2, 1]
    assert [run.input.line for run in runs if not run.ok] == [2, 5]


async def test_many_of_them_do_not_run_ahead_of_a_slow_consumer() -> None:
    read = 0

    def all_bad() -> Any:
        nonlocal read
        for line in range(100_000):
            read += 1
            yield bad(line)

    async with streaming(FakeTransport()).stream(all_bad(), max_concurrent=5) as stream:
        await anext(stream)
        await turns(50)
        assert read <= 10
    async with sized().stream(all_bad(), max_concurrent=5, batch=10) as stream:
        read = 0
        await anext(stream)
        await turns(50)
        assert read <= 100


async def test_an_endpoint_sees_an_input_that_is_a_message() -> None:
    transport = FakeTransport()
    stream = APIOrchestrator(api("pay", method="POST"), transport=transport).stream([{"n": 1}])
    assert [run.ok async for run in stream] == [True]
    assert transport.bodies("pay") == [{"n": 1}]
