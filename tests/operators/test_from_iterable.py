"""from_iterable reads only what is asked for, and lets the event loop breathe."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from reactivex import operators as ops
from reactivex.abc import DisposableBase

from rxorch_operators.core.demand import DemandScheduler
from rxorch_operators.core.stage import Stage, as_stage
from rxorch_operators.from_iterable import from_iterable
from tests.operators.support import Boom, Counting, Recorder, Time, Window, turns


def test_emits_the_elements_and_completes() -> None:
    recorder = Recorder()
    from_iterable("abc").subscribe(recorder)
    assert recorder.values == ["a", "b", "c"]
    assert recorder.completed


def test_each_subscription_reads_a_list_anew() -> None:
    source, first, second = from_iterable([1, 2]), Recorder(), Recorder()
    source.subscribe(first)
    source.subscribe(second)
    assert first.values == second.values == [1, 2]


def test_what_the_iterator_raises_is_the_error() -> None:
    def numbers() -> Iterator[int]:
        yield 1
        raise Boom

    recorder = Recorder()
    from_iterable(numbers()).subscribe(recorder)
    assert recorder.values == [1]
    assert isinstance(recorder.error, Boom)


def test_what_cannot_be_iterated_is_an_error_of_the_stream() -> None:
    recorder = Recorder()
    from_iterable(3).subscribe(recorder)  # type: ignore[arg-type]
    assert isinstance(recorder.error, TypeError)


def test_reads_no_further_than_the_demand() -> None:
    numbers, recorder = Counting(), Recorder()
    time, window = Time(), Window(recorder, room=2)
    window.connect(_stage(numbers), DemandScheduler.of(time.scheduler).with_demand(window.demand))
    time.advance(1.0)
    assert numbers.read == 2
    window.open(3)
    assert numbers.read == 5
    assert recorder.values == [0, 1, 2, 3, 4]


def _stage(iterable: Any) -> Stage[Any]:
    return as_stage(from_iterable(iterable))


def test_demand_that_grows_inside_on_next_does_not_nest() -> None:
    numbers, recorder, time = Counting(), Recorder(), Time()

    class Greedy(Window):
        depth = 0

        def on_next(self, value: Any) -> None:
            self.depth += 1
            assert self.depth == 1
            super().on_next(value)
            if value < 5000:
                self.open()
            self.depth -= 1

    greedy = Greedy(recorder, room=1)
    greedy.connect(_stage(numbers), DemandScheduler.of(time.scheduler).with_demand(greedy.demand))
    time.advance(1.0)
    assert recorder.values == list(range(5001))


def test_dispose_closes_a_generator() -> None:
    closed = []

    def numbers() -> Iterator[int]:
        try:
            yield from range(10)
        finally:
            closed.append(True)

    recorder = Recorder()
    from_iterable(numbers()).pipe(ops.take(2)).subscribe(recorder)
    assert recorder.values == [0, 1]
    assert closed == [True]


def test_a_generator_that_disposes_its_own_subscription_is_closed_after_its_step() -> None:
    closed: list[bool] = []
    recorder, time = Recorder(), Time()
    subscription: DisposableBase

    def numbers() -> Iterator[int]:
        try:
            yield 1
            subscription.dispose()
            yield 2
            yield 3
        finally:
            closed.append(True)

    generator = numbers()
    subscription = from_iterable(generator).subscribe(recorder, scheduler=time.scheduler)
    time.advance(1.0)
    assert recorder.values == [1]
    assert closed == [True]


def test_dispose_before_the_first_element_reads_nothing() -> None:
    numbers, recorder, time = Counting(), Recorder(), Time()
    from_iterable(numbers).subscribe(recorder, scheduler=time.scheduler).dispose()
    time.advance(1.0)
    assert numbers.read == 0
    assert time.idle


def test_an_on_next_that_raises_ends_the_reading() -> None:
    numbers, errors, time = Counting(), [], Time()

    def on_next(value: int) -> None:
        raise Boom

    from_iterable(numbers).subscribe(on_next, errors.append, scheduler=time.scheduler)
    time.advance(1.0)
    assert [type(error) for error in errors] == [Boom]
    assert numbers.read == 1
    assert numbers.closed


def test_an_on_next_that_raises_ends_the_reading_in_a_blocking_script_too() -> None:
    numbers, errors = Counting(), []

    def on_next(value: int) -> None:
        raise Boom

    from_iterable(numbers).subscribe(on_next, errors.append)
    assert [type(error) for error in errors] == [Boom]
    assert numbers.read == 1
    assert numbers.closed


def test_an_exit_from_inside_on_next_closes_the_iterator_on_its_way() -> None:
    numbers, time = Counting(), Time()

    def on_next(value: int) -> None:
        raise SystemExit

    from_iterable(numbers).subscribe(on_next, scheduler=time.scheduler)
    with pytest.raises(SystemExit):
        time.advance(1.0)
    assert numbers.closed


async def test_a_long_iterable_does_not_block_the_loop() -> None:
    recorder = Recorder()
    from_iterable(range(100_000)).subscribe(recorder)
    rounds = 0
    while not recorder.completed:
        rounds += 1
        await asyncio.sleep(0)
    assert rounds > 100
    assert recorder.values == list(range(100_000))


async def test_dispose_between_two_turns() -> None:
    numbers, recorder = Counting(), Recorder()
    subscription = from_iterable(numbers).subscribe(recorder)
    await turns(3)
    subscription.dispose()
    read = numbers.read
    assert read > 0
    await turns(3)
    assert numbers.read == read
    assert numbers.closed


def test_an_iterator_without_close_can_be_disposed() -> None:
    time = Time()
    from_iterable(iter([1])).subscribe(scheduler=time.scheduler).dispose()
    time.advance(1.0)


def test_resubscribing_a_list_after_an_error_downstream() -> None:
    seen: list[int] = []

    def fail_once(number: int) -> int:
        seen.append(number)
        if len(seen) == 2:
            raise Boom
        return number

    recorder = Recorder()
    from_iterable([1, 2, 3]).pipe(ops.map(fail_once), ops.retry(2)).subscribe(recorder)
    assert recorder.values == [1, 1, 2, 3]
    assert recorder.completed


@pytest.mark.parametrize("count", [0, 1, 511, 512, 513, 1024])
def test_every_length_arrives_whole(count: int) -> None:
    recorder, time = Recorder(), Time()
    from_iterable(range(count)).subscribe(recorder, scheduler=time.scheduler)
    time.advance(1.0)
    assert recorder.values == list(range(count))
    assert recorder.completed
