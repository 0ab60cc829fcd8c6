"""to_async_iterable: every way out of the loop ends the source, and the loop body sets the pace."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

import pytest
import reactivex
from reactivex import operators as ops
from reactivex.subject import Subject

from rxorch_operators.core.stage import as_stage
from rxorch_operators.flat_map_bounded import flat_map_bounded
from rxorch_operators.from_async import from_async
from rxorch_operators.from_async_iterable import from_async_iterable
from rxorch_operators.from_iterable import from_iterable
from rxorch_operators.to_async_iterable import last_of, settle, to_async_iterable
from tests.operators.support import AtOnce, Boom, Counting, Manual, turns


async def test_gives_the_elements_and_ends() -> None:
    assert [letter async for letter in to_async_iterable(from_iterable("abc"))] == ["a", "b", "c"]


async def test_a_stock_observable() -> None:
    assert [number async for number in to_async_iterable(reactivex.of(1, 2))] == [1, 2]


async def test_an_empty_source() -> None:
    assert [number async for number in to_async_iterable(from_iterable(()))] == []


async def test_the_error_comes_after_the_elements_before_it() -> None:
    seen = []
    with pytest.raises(Boom):
        async for number in to_async_iterable(AtOnce(1, 2, 3, error=Boom())):
            seen.append(number)
            await asyncio.sleep(0)
    assert seen == [1, 2, 3]


async def test_the_error_is_raised_once_and_then_it_is_over() -> None:
    stream = to_async_iterable(AtOnce(error=Boom()))
    with pytest.raises(Boom):
        await anext(stream)
    with pytest.raises(StopAsyncIteration):
        await anext(stream)


async def test_an_exception_in_attach_is_raised() -> None:
    def broken(_: Any) -> Any:
        raise Boom

    with pytest.raises(Boom):
        await anext(to_async_iterable(reactivex.defer(broken)))


async def test_nothing_is_subscribed_before_the_first_step() -> None:
    source = Manual()
    stream = to_async_iterable(source)
    assert source.attached == 0
    step = asyncio.ensure_future(anext(stream))
    await turns()
    assert source.attached == 1
    source.send(1)
    assert await step == 1
    await stream.aclose()


async def test_break_ends_the_source() -> None:
    source = Manual()
    stepper = asyncio.ensure_future(_first(source))
    await turns()
    source.send(1, 2)
    assert await stepper == 1
    assert source.disposed == 1


async def _first(source: Manual) -> Any:
    async for value in to_async_iterable(source):
        return value
    return None


async def test_an_exception_in_the_body_ends_the_source() -> None:
    numbers = Counting()
    with pytest.raises(Boom):
        async for _ in to_async_iterable(from_iterable(numbers)):
            raise Boom
    gc.collect()
    await turns()
    assert numbers.closed


async def test_losing_the_last_reference_ends_the_source() -> None:
    source = Manual()
    stream = to_async_iterable(source)
    step = asyncio.ensure_future(anext(stream))
    await turns()
    source.send(1)
    await step
    assert source.disposed == 0
    del stream, step
    assert source.disposed == 1


async def test_a_reference_lost_on_another_thread_ends_the_source_on_the_loop() -> None:
    source = Manual()
    held = [to_async_iterable(source)]
    step = asyncio.ensure_future(anext(held[0]))
    await turns()
    source.send(1)
    await step
    del step
    await asyncio.to_thread(held.clear)
    await turns()
    assert source.disposed == 1


def test_a_reference_lost_after_the_loop_is_closed_is_no_error() -> None:
    held = []

    async def main() -> None:
        held.append(to_async_iterable(Manual()))
        step = asyncio.ensure_future(anext(held[0]))
        await turns(2)
        step.cancel()
        await asyncio.wait([step])

    asyncio.run(main())
    held.clear()
    gc.collect()


async def test_cancelling_the_consumer_ends_the_source_though_the_iterator_is_still_held() -> None:
    source = Manual()
    stream = to_async_iterable(source)

    async def consume() -> None:
        async for _ in stream:
            pass

    task = asyncio.ensure_future(consume())
    await turns()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert source.disposed == 1
    with pytest.raises(StopAsyncIteration):
        await anext(stream)


async def test_aclose_ends_the_source_and_waits_for_its_tasks() -> None:
    steps = []

    async def call() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await turns(3)
            steps.append("cleaned up")

    stream = to_async_iterable(from_async(call))
    step = asyncio.ensure_future(anext(stream))
    await turns()
    await stream.aclose()
    assert steps == ["cleaned up"]
    with pytest.raises(StopAsyncIteration):
        await step


async def test_aclose_waits_for_the_iterator_of_the_source_to_close() -> None:
    steps = []

    async def numbers() -> AsyncIterator[int]:
        try:
            while True:
                await asyncio.sleep(0)
                yield 1
        finally:
            await turns(3)
            steps.append("closed")

    async with to_async_iterable(from_async_iterable(numbers())) as stream:
        await anext(stream)
    assert steps == ["closed"]


async def test_aclosing_of_the_standard_library_works() -> None:
    source = Manual()
    async with aclosing(to_async_iterable(source)) as stream:
        step = asyncio.ensure_future(anext(stream))
        await turns()
        source.send(1)
        assert await step == 1
    assert source.disposed == 1


async def test_aclose_before_the_first_step_subscribes_nothing() -> None:
    source = Manual()
    stream = to_async_iterable(source)
    await stream.aclose()
    with pytest.raises(StopAsyncIteration):
        await anext(stream)
    assert source.attached == 0


async def test_aclose_twice() -> None:
    source = Manual()
    stream = to_async_iterable(source)
    step = asyncio.ensure_future(anext(stream))
    await turns()
    await stream.aclose()
    await stream.aclose()
    assert source.disposed == 1
    with pytest.raises(StopAsyncIteration):
        await step


async def test_aclose_from_inside_the_loop_body_does_not_wait_for_itself() -> None:
    stream = to_async_iterable(from_iterable(Counting()))
    async for _ in stream:
        await stream.aclose()


async def test_two_consumers_are_refused() -> None:
    source = Manual()
    stream = to_async_iterable(source)
    first = asyncio.ensure_future(anext(stream))
    await turns()
    with pytest.raises(RuntimeError, match="already being iterated"):
        await anext(stream)
    source.send(1)
    assert await first == 1
    await stream.aclose()


@pytest.mark.parametrize("buffer", [1, 3])
async def test_no_more_than_the_buffer_is_read_ahead(buffer: int) -> None:
    numbers = Counting()
    async with to_async_iterable(from_iterable(numbers).pipe(ops.map(str)), buffer=buffer) as stream:
        for taken in range(1, 50):
            await anext(stream)
            await turns(3)
            assert numbers.read <= taken + buffer


@pytest.mark.parametrize("ordered", [False, True])
@pytest.mark.parametrize(("cap", "buffer"), [(1, 1), (5, 1), (5, 4)])
async def test_a_slow_consumer_keeps_the_source_within_cap_and_buffer(
    cap: int, buffer: int, ordered: bool
) -> None:
    numbers = Counting()

    async def call(number: int) -> int:
        await asyncio.sleep(0)
        return number

    stream = from_iterable(numbers).pipe(flat_map_bounded(call, max_concurrent=cap, ordered=ordered))
    async with to_async_iterable(stream, buffer=buffer) as results:
        for taken in range(1, 60):
            await anext(results)
            await turns(8)
            assert numbers.read - taken <= cap + buffer


async def test_a_source_that_cannot_wait_is_buffered_and_nothing_is_lost() -> None:
    subject: Subject[int] = Subject()
    stream = to_async_iterable(subject)
    step = asyncio.ensure_future(anext(stream))
    await turns()
    for number in range(100):
        subject.on_next(number)
    subject.on_completed()
    assert [await step, *[number async for number in stream]] == list(range(100))


async def test_nothing_arrives_after_the_end() -> None:
    source = Manual()
    stream = to_async_iterable(source)
    step = asyncio.ensure_future(anext(stream))
    await turns()
    source.send(1)
    source.complete()
    source.send(2)
    source.fail(Boom())
    assert await step == 1
    assert [number async for number in stream] == []


@pytest.mark.parametrize("buffer", [0, -1])
def test_a_buffer_of_nothing_is_refused(buffer: int) -> None:
    with pytest.raises(ValueError, match="buffer must be 1 or more"):
        to_async_iterable(reactivex.never(), buffer=buffer)


def test_what_is_no_observable_is_refused_at_once() -> None:
    with pytest.raises(TypeError, match="expected an Observable"):
        to_async_iterable([1, 2])  # type: ignore[arg-type]


async def test_last_of_is_the_last_element() -> None:
    assert await last_of(from_iterable(range(5000))) == 4999


async def test_last_of_nothing_is_an_error() -> None:
    with pytest.raises(LookupError, match="without an element"):
        await last_of(from_iterable(()))


async def test_last_of_raises_the_error_of_the_source() -> None:
    with pytest.raises(Boom):
        await last_of(AtOnce(1, error=Boom()))


async def test_last_of_cancelled_ends_the_source_and_its_tasks_first() -> None:
    steps = []

    async def call() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await turns(3)
            steps.append("cleaned up")

    waiting = asyncio.ensure_future(last_of(from_async(call)))
    await turns()
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert steps == ["cleaned up"]


async def test_settle_waits_for_nothing_when_there_is_nothing() -> None:
    await settle(set())


async def test_an_iterator_can_be_asked_again_after_a_stage_completed() -> None:
    source = as_stage(from_iterable([1]))
    assert [number async for number in to_async_iterable(source)] == [1]
    assert [number async for number in to_async_iterable(source)] == [1]
