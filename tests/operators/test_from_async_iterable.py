"""from_async_iterable reads on demand, and closes what it reads."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator
from typing import Any

import pytest
from reactivex import operators as ops
from reactivex.abc import DisposableBase

from rxorch_operators.core.demand import DemandScheduler
from rxorch_operators.core.stage import as_stage
from rxorch_operators.from_async_iterable import from_async_iterable
from tests.operators.eager import eager_task_factory
from tests.operators.support import Boom, Recorder, Window, turns


class Source:
    """An endless async generator that tells how far it was read, and whether it was closed."""

    def __init__(self, *, waits: bool = False) -> None:
        self.read = 0
        self.closed = 0
        self.waits = waits

    async def __call__(self) -> AsyncIterator[int]:
        try:
            while True:
                if self.waits:
                    await asyncio.sleep(0)
                self.read += 1
                yield self.read - 1
        finally:
            await asyncio.sleep(0)
            self.closed += 1


async def letters(text: str = "abc") -> AsyncIterator[str]:
    for letter in text:
        await asyncio.sleep(0)
        yield letter


async def test_emits_the_elements_and_completes() -> None:
    recorder = Recorder()
    from_async_iterable(letters()).subscribe(recorder)
    assert recorder.events == []
    await turns()
    assert recorder.values == ["a", "b", "c"]
    assert recorder.completed


@pytest.mark.parametrize("waits", [False, True])
async def test_reads_no_further_than_the_demand(waits: bool) -> None:
    source, recorder = Source(waits=waits), Recorder()
    window = Window(recorder, room=2)
    window.connect(
        as_stage(from_async_iterable(source())), DemandScheduler.of(None).with_demand(window.demand)
    )
    await turns()
    assert source.read == 2
    window.open(3)
    await turns()
    assert source.read == 5
    window.dispose()
    await turns()
    assert source.closed == 1
    assert window.demand._listeners == []


async def test_what_the_iterator_raises_is_the_error() -> None:
    async def numbers() -> AsyncIterator[int]:
        yield 1
        raise Boom

    recorder = Recorder()
    from_async_iterable(numbers()).subscribe(recorder)
    await turns()
    assert recorder.values == [1]
    assert isinstance(recorder.error, Boom)


async def test_what_is_no_async_iterable_is_an_error_of_the_stream() -> None:
    recorder = Recorder()
    from_async_iterable([1, 2]).subscribe(recorder)  # type: ignore[arg-type]
    await turns()
    assert isinstance(recorder.error, TypeError)


async def test_an_iterable_that_fails_to_start_is_an_error_of_the_stream() -> None:
    class Broken:
        def __aiter__(self) -> AsyncIterator[int]:
            raise Boom

    recorder = Recorder()
    from_async_iterable(Broken()).subscribe(recorder)
    await turns()
    assert isinstance(recorder.error, Boom)


async def test_disposal_cancels_a_pending_read_and_closes_the_iterator() -> None:
    closed = []

    async def numbers() -> AsyncIterator[int]:
        try:
            yield 1
            await asyncio.Event().wait()
        finally:
            closed.append(True)

    recorder = Recorder()
    subscription = from_async_iterable(numbers()).subscribe(recorder)
    await turns()
    subscription.dispose()
    await turns()
    assert closed == [True]
    assert recorder.values == [1]
    assert not recorder.ended


async def test_disposal_while_waiting_for_demand() -> None:
    source, recorder = Source(), Recorder()
    window = Window(recorder, room=0)
    window.connect(
        as_stage(from_async_iterable(source())), DemandScheduler.of(None).with_demand(window.demand)
    )
    await turns()
    window.dispose()
    await turns()
    assert source.read == 0
    assert recorder.events == []


async def test_disposal_before_the_first_step_never_starts_the_iterator() -> None:
    source = Source()
    from_async_iterable(source()).subscribe(Recorder()).dispose()
    await turns()
    gc.collect()
    assert source.read == 0


async def test_disposal_from_inside_on_next_closes_the_iterator() -> None:
    source, recorder = Source(), Recorder()
    from_async_iterable(source()).pipe(ops.take(2)).subscribe(recorder)
    await turns()
    assert recorder.values == [0, 1]
    assert source.closed == 1
    assert source.read == 2


async def test_an_on_next_that_raises_closes_the_iterator_and_reaches_its_own_on_error() -> None:
    source, errors = Source(), []

    def on_next(value: int) -> None:
        raise Boom

    from_async_iterable(source()).subscribe(on_next, errors.append)
    await turns()
    assert [type(error) for error in errors] == [Boom]
    assert source.closed == 1


async def test_an_on_next_that_disposes_and_raises_is_not_swallowed() -> None:
    unseen: list[Any] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: unseen.append(context["exception"]))
    subscription: DisposableBase

    def on_next(value: int) -> None:
        subscription.dispose()
        raise Boom

    subscription = from_async_iterable(letters()).subscribe(on_next)
    await turns()
    gc.collect()
    assert [type(error) for error in unseen] == [Boom]


async def test_a_reader_cancelled_from_outside_is_an_error_and_not_silence() -> None:
    recorder, scheduler = Recorder(), DemandScheduler.of(None)
    as_stage(from_async_iterable(Source(waits=True)())).attach(recorder, scheduler)
    await turns()
    for task in scheduler.tasks:
        task.cancel()
    await turns()
    assert isinstance(recorder.error, asyncio.CancelledError)
    assert scheduler.tasks == set()


async def test_its_task_is_known_until_the_iterator_is_closed() -> None:
    may_close = asyncio.Event()

    async def numbers() -> AsyncIterator[int]:
        try:
            yield 1
            await asyncio.Event().wait()
        finally:
            await may_close.wait()

    scheduler = DemandScheduler.of(None)
    subscription = as_stage(from_async_iterable(numbers())).attach(Recorder(), scheduler)
    await turns()
    subscription.dispose()
    await turns()
    assert len(scheduler.tasks) == 1
    may_close.set()
    await turns()
    assert scheduler.tasks == set()


async def test_an_iterator_that_never_waits_does_not_block_the_loop() -> None:
    source, recorder = Source(), Recorder()
    subscription = from_async_iterable(source()).subscribe(recorder)
    await turns(5)
    read = source.read
    assert 0 < read < 10_000
    await turns(5)
    assert source.read > read
    subscription.dispose()
    await turns()


def test_without_a_running_loop_it_says_so() -> None:
    recorder = Recorder()
    from_async_iterable(letters()).subscribe(recorder)
    gc.collect()
    assert isinstance(recorder.error, RuntimeError)
    assert "running event loop" in str(recorder.error)


async def test_a_queue_reader_ends_with_its_subscription() -> None:
    queue: asyncio.Queue[int] = asyncio.Queue()

    async def read() -> AsyncIterator[int]:
        while True:
            yield await queue.get()

    recorder = Recorder()
    subscription = from_async_iterable(read()).subscribe(recorder)
    for number in range(3):
        await queue.put(number)
    await turns()
    assert recorder.values == [0, 1, 2]
    subscription.dispose()
    await turns()


@pytest.fixture
async def eager() -> AsyncIterator[None]:
    loop = asyncio.get_running_loop()
    loop.set_task_factory(eager_task_factory)  # type: ignore[arg-type]
    yield
    loop.set_task_factory(None)


async def test_eager_take_stops_an_iterator_that_never_waits(eager: None) -> None:
    source, recorder = Source(), Recorder()
    from_async_iterable(source()).pipe(ops.take(2)).subscribe(recorder)
    await turns()
    assert recorder.values == [0, 1]
    assert source.closed == 1


async def test_eager_a_short_iterable_leaves_no_listener_behind(eager: None) -> None:
    async def numbers() -> AsyncIterator[int]:
        yield 1

    recorder = Recorder()
    window = Window(recorder, room=10)
    scheduler = DemandScheduler.of(None).with_demand(window.demand)
    window.connect(as_stage(from_async_iterable(numbers())), scheduler)
    await turns()
    assert recorder.values == [1]
    assert recorder.completed
    assert window.demand._listeners == []
    assert scheduler.tasks == set()
