"""flat_map_bounded: the cap, the order, the look-ahead, and that nothing survives its end."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
import reactivex
from hypothesis import given, settings
from hypothesis import strategies as st
from reactivex import Observable
from reactivex import operators as ops
from reactivex.abc import DisposableBase, ObserverBase
from reactivex.disposable import Disposable
from reactivex.subject import Subject

from rxorch_operators.core.demand import DemandScheduler
from rxorch_operators.core.stage import as_stage
from rxorch_operators.flat_map_bounded import flat_map_bounded
from rxorch_operators.from_async import from_async
from rxorch_operators.from_iterable import from_iterable
from tests.operators.support import AtOnce, Counting, Manual, Recorder, Time, Window, events, turns

BOTH = pytest.mark.parametrize("ordered", [False, True], ids=["unordered", "ordered"])


class Pool:
    """Inner observables in virtual time that count how many run at once."""

    def __init__(self, time: Time) -> None:
        self.time = time
        self.running = 0
        self.peak = 0
        self.started: list[int] = []

    def call(self, work: tuple[int, int]) -> Observable[int]:
        """Emits the name of a piece of work after its seconds."""
        name, seconds = work

        def subscribe(observer: ObserverBase[int], _: Any = None) -> DisposableBase:
            self.running += 1
            self.peak = max(self.peak, self.running)
            self.started.append(name)
            running = True

            def stop() -> None:
                nonlocal running
                if running:
                    running = False
                    self.running -= 1

            def done() -> None:
                if running:
                    stop()
                    observer.on_next(name)
                    observer.on_completed()

            timer = self.time.after(seconds, done)

            def let_go() -> None:
                stop()
                timer.dispose()

            return Disposable(let_go)

        return Observable(subscribe)


durations = st.lists(st.integers(0, 5), max_size=30)


@settings(deadline=None)
@given(durations, st.integers(1, 4), st.booleans(), st.booleans())
def test_the_cap_is_never_exceeded_and_nothing_is_lost(
    seconds: list[int], cap: int, ordered: bool, pushed: bool
) -> None:
    time = Time()
    pool, work = Pool(time), list(enumerate(seconds))
    source = AtOnce(*work) if pushed else as_stage(from_iterable(work))
    recorder = time.run(source.pipe(flat_map_bounded(pool.call, max_concurrent=cap, ordered=ordered)))
    assert pool.peak == min(cap, len(work))
    assert sorted(recorder.values) == list(range(len(work)))
    assert recorder.completed
    assert pool.running == 0
    assert time.idle


@settings(deadline=None)
@given(durations, st.integers(1, 4), st.integers(0, 3))
def test_ordered_keeps_the_order_and_bounds_the_look_ahead(seconds: list[int], cap: int, buffer: int) -> None:
    time = Time()
    pool, work = Pool(time), list(enumerate(seconds))
    recorder = Recorder()

    def call(item: tuple[int, int]) -> Observable[int]:
        assert item[0] - len(recorder.values) < cap + buffer
        return pool.call(item)

    stream = from_iterable(work).pipe(flat_map_bounded(call, max_concurrent=cap, ordered=True, buffer=buffer))
    stream.subscribe(recorder, scheduler=time.scheduler)
    time.advance(1000)
    assert recorder.values == list(range(len(work)))
    assert recorder.completed
    assert pool.peak <= cap


def test_unordered_emits_what_is_ready_first() -> None:
    time = Time()
    stream = from_iterable([(1, 5), (2, 1), (3, 1)]).pipe(flat_map_bounded(Pool(time).call, max_concurrent=2))
    assert time.run(stream).events == [(1.0, 2), (2.0, 3), (5.0, 1), (5.0, "|")]


@BOTH
@pytest.mark.parametrize("upstream", ["stage", "stock"])
def test_many_elements_per_inner(ordered: bool, upstream: str) -> None:
    time = Time()
    inners = {"x": time.marbles("-a-b|"), "y": time.marbles("c-d|")}
    outer = from_iterable("xy") if upstream == "stage" else reactivex.of("x", "y")
    stream = outer.pipe(flat_map_bounded(inners.__getitem__, max_concurrent=2, ordered=ordered))
    expected = {
        False: [(0.0, "c"), (1.0, "a"), (2.0, "d"), (3.0, "b"), (4.0, "|")],
        True: [(1.0, "a"), (3.0, "b"), (4.0, "c"), (4.0, "d"), (4.0, "|")],
    }
    assert time.run(stream).events == expected[ordered]


@BOTH
def test_empty_source_and_empty_inners(ordered: bool) -> None:
    time = Time()
    nothing = from_iterable(()).pipe(flat_map_bounded(Pool(time).call, max_concurrent=1, ordered=ordered))
    assert time.run(nothing).events == [(0.0, "|")]
    empties = from_iterable(range(3)).pipe(
        flat_map_bounded(lambda _: reactivex.empty(), max_concurrent=1, ordered=ordered)
    )
    assert time.run(empties).values == []


@BOTH
async def test_async_functions_awaitables_and_stock_observables_are_inners(ordered: bool) -> None:
    async def call(number: int) -> int:
        return number * 10

    kinds: list[Callable[[int], Any]] = [
        call,
        lambda number: asyncio.ensure_future(call(number)),
        lambda number: from_async(call, number),
        lambda number: reactivex.just(number * 10),
        lambda number: reactivex.from_future(asyncio.ensure_future(call(number))),
    ]

    def project(number: int) -> Any:
        return kinds[number](number)

    recorder = Recorder()
    from_iterable(range(5)).pipe(flat_map_bounded(project, max_concurrent=5, ordered=ordered)).subscribe(
        recorder
    )
    await turns()
    assert sorted(recorder.values) == [0, 10, 20, 30, 40]
    assert recorder.completed


def test_ordered_keeps_the_order_when_the_sink_makes_an_inner_go_on() -> None:
    first, second = Manual(), Manual()
    recorder, source = Recorder(), Manual()
    source.pipe(
        flat_map_bounded({1: first, 2: second}.__getitem__, max_concurrent=2, ordered=True),
        # Taking an element makes room, and so the source of that element may go on at once.
        ops.do_action(lambda value: second.send("c") if value == "a" else None),
    ).subscribe(recorder)
    source.send(1, 2)
    second.send("a", "b")
    first.complete()
    assert recorder.values == ["a", "b", "c"]


def test_ordered_inners_that_can_wait_do_not_fill_the_memory_behind_a_slow_one() -> None:
    slow, numbers, time, recorder = Manual(), Counting(), Time(), Recorder()

    def project(name: str) -> Observable[Any]:
        return slow if name == "slow" else from_iterable(numbers)

    window = Window(recorder, room=500)
    stage = from_iterable(["slow", "endless"]).pipe(flat_map_bounded(project, max_concurrent=2, ordered=True))
    window.connect(as_stage(stage), DemandScheduler.of(time.scheduler).with_demand(window.demand))
    time.advance(1)
    assert numbers.read <= 64
    slow.complete()
    time.advance(1)
    assert numbers.read == 500  # it goes on by itself, as far as there is room
    window.open(100)
    assert numbers.read == 600
    assert recorder.values == list(range(600))
    window.dispose()


@pytest.mark.parametrize("cap", [0, -1, 2.5, True, None])
def test_a_cap_that_cannot_work_is_refused(cap: Any) -> None:
    with pytest.raises(ValueError, match=f"max_concurrent={cap}: give a whole number, 1 or more"):
        flat_map_bounded(from_async, max_concurrent=cap)


def test_a_buffer_without_order_is_refused() -> None:
    with pytest.raises(ValueError, match="buffer=1: give it with ordered=True or key="):
        flat_map_bounded(from_async, max_concurrent=1, buffer=1)


@pytest.mark.parametrize("buffer", [-1, 1.5, True])
def test_a_buffer_that_cannot_work_is_refused(buffer: Any) -> None:
    with pytest.raises(ValueError, match=f"buffer={buffer}: give a whole number, 0 or more"):
        flat_map_bounded(from_async, max_concurrent=1, ordered=True, buffer=buffer)


@BOTH
def test_two_subscriptions_share_nothing(ordered: bool) -> None:
    time = Time()
    pool = Pool(time)
    stream = from_iterable([(1, 2), (2, 1)]).pipe(
        flat_map_bounded(pool.call, max_concurrent=1, ordered=ordered)
    )
    first, _ = time.record(stream)
    second, subscription = time.record(stream)
    assert pool.running == 0
    time.advance(1)
    assert pool.running == 2
    subscription.dispose()
    time.advance(100)
    assert first.values == [1, 2]
    assert second.values == []


@BOTH
def test_a_push_source_of_another_kind(ordered: bool) -> None:
    subject: Subject[int] = Subject()
    recorder = Recorder()
    subject.pipe(flat_map_bounded(AtOnce, max_concurrent=1, ordered=ordered)).subscribe(recorder)
    for number in range(3):
        subject.on_next(number)
    subject.on_completed()
    assert recorder.values == [0, 1, 2]
    assert recorder.completed


@pytest.mark.parametrize(("ordered", "expected"), [(False, "--2-1-3|"), (True, "----123|")])
def test_the_documented_marbles(ordered: bool, expected: str) -> None:
    time = Time()
    inners = {"a": time.marbles("----1|"), "b": time.marbles("-2|"), "c": time.marbles("---3|")}
    stream = time.marbles("ab-c|").pipe(
        flat_map_bounded(inners.__getitem__, max_concurrent=2, ordered=ordered)
    )
    assert time.run(stream).events == events(expected)
