"""flat_map_bounded: the cap, the order, the look-ahead, and that nothing survives its end."""

from __future__ import annotations

import asyncio
import gc
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

from rxorch_operators._demand import DemandScheduler
from rxorch_operators._stage import Stage, as_stage
from rxorch_operators.flat_map_bounded import flat_map_bounded
from rxorch_operators.from_async import from_async
from rxorch_operators.from_iterable import from_iterable
from tests.operators.support import AtOnce, Boom, Counting, Manual, Recorder, Time, Window, events, turns

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
            return Disposable(lambda: (stop(), timer.dispose())[0])

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


def test_ordered_does_not_stall_the_pool_behind_one_slow_item() -> None:
    # aiostream #89
    time = Time()
    pool = Pool(time)
    work = [(0, 50)] + [(name, 1) for name in range(1, 40)]
    stream = from_iterable(work).pipe(flat_map_bounded(pool.call, max_concurrent=4, ordered=True, buffer=10))
    recorder = Recorder(lambda: time.now)
    stream.subscribe(recorder, scheduler=time.scheduler)
    time.advance(49)
    assert recorder.events == []
    assert len(pool.started) == 4 + 10  # the slow one, and as many as may wait behind it
    time.advance(1)
    assert recorder.values == list(range(14))
    time.advance(100)
    assert recorder.values == list(range(40))


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
def test_an_inner_error_disposes_the_source_and_the_other_inners(ordered: bool) -> None:
    time, boom = Time(), Boom()
    slow, bad = time.marbles("----------a|"), time.marbles("--#", error=boom)
    source = Manual()
    stream = source.pipe(
        flat_map_bounded({"slow": slow, "bad": bad}.__getitem__, max_concurrent=2, ordered=ordered)
    )
    recorder, _ = time.record(stream)
    source.send("slow", "bad")
    time.advance(100)
    assert recorder.events == [(2.0, boom)]
    assert source.disposed == 1
    assert slow.active == 0
    assert time.idle


@BOTH
def test_a_source_error_disposes_the_inners(ordered: bool) -> None:
    time, boom = Time(), Boom()
    inner = time.marbles("----------a|")
    source = Manual()
    recorder, _ = time.record(
        source.pipe(flat_map_bounded(lambda _: inner, max_concurrent=2, ordered=ordered))
    )
    source.send(1)
    source.fail(boom)
    time.advance(100)
    assert recorder.events == [(0.0, boom)]
    assert inner.active == 0


@BOTH
def test_a_project_that_raises_is_an_error(ordered: bool) -> None:
    def project(_: int) -> Observable[int]:
        raise Boom

    recorder, numbers, time = Recorder(), Counting(), Time()
    from_iterable(numbers).pipe(flat_map_bounded(project, max_concurrent=2, ordered=ordered)).subscribe(
        recorder, scheduler=time.scheduler
    )
    time.advance(1)
    assert isinstance(recorder.error, Boom)
    assert numbers.closed


@BOTH
def test_a_plain_value_is_refused_with_advice(ordered: bool) -> None:
    recorder = Recorder()
    from_iterable([1]).pipe(
        flat_map_bounded(lambda number: number, max_concurrent=1, ordered=ordered)  # type: ignore[arg-type,return-value]
    ).subscribe(recorder)
    assert isinstance(recorder.error, TypeError)
    assert "use ops.map for plain values" in str(recorder.error)


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
    recorder = Recorder()
    from_iterable(range(5)).pipe(
        flat_map_bounded(lambda number: kinds[number](number), max_concurrent=5, ordered=ordered)
    ).subscribe(recorder)
    await turns()
    assert sorted(recorder.values) == [0, 10, 20, 30, 40]
    assert recorder.completed


@BOTH
def test_ten_thousand_queued_inners_that_end_at_once_do_not_nest(ordered: bool) -> None:
    gate, recorder, source = Manual(), Recorder(), Manual()

    def project(number: int) -> Stage[int]:
        return gate if number == 0 else AtOnce(number)

    source.pipe(flat_map_bounded(project, max_concurrent=1, ordered=ordered)).subscribe(recorder)
    source.send(*range(10_001))
    source.complete()
    assert recorder.events == []
    gate.complete()
    assert recorder.values == list(range(1, 10_001))
    assert recorder.completed


@BOTH
def test_ten_thousand_asked_for_inners_that_end_at_once_do_not_nest(ordered: bool) -> None:
    recorder, time = Recorder(), Time()
    from_iterable(range(10_000)).pipe(flat_map_bounded(AtOnce, max_concurrent=1, ordered=ordered)).subscribe(
        recorder, scheduler=time.scheduler
    )
    time.advance(1)
    assert recorder.values == list(range(10_000))
    assert recorder.completed


@BOTH
@pytest.mark.parametrize("after", range(16))
async def test_disposal_at_every_step_ends_everything(after: int, ordered: bool) -> None:
    # An un-awaited coroutine warns when it is collected, which fails the test; so does a task left over.
    running = 0

    async def call(number: int) -> int:
        nonlocal running
        running += 1
        try:
            await turns(number % 4)
            return number
        finally:
            running -= 1

    recorder = Recorder()
    subscription = (
        from_iterable(Counting())
        .pipe(flat_map_bounded(call, max_concurrent=3, ordered=ordered))
        .subscribe(recorder)
    )
    await turns(after)
    subscription.dispose()
    seen = list(recorder.events)
    await turns(8)
    gc.collect()
    assert recorder.events == seen
    assert running == 0


@BOTH
async def test_disposal_from_inside_on_next_at_every_element(ordered: bool) -> None:
    async def call(number: int) -> int:
        await asyncio.sleep(0)
        return number

    for stop in range(1, 8):
        recorder = Recorder()
        from_iterable(Counting()).pipe(
            flat_map_bounded(call, max_concurrent=3, ordered=ordered), ops.take(stop)
        ).subscribe(recorder)
        await turns(20)
        assert len(recorder.values) == stop
        assert recorder.completed


@BOTH
async def test_disposal_cancels_the_running_tasks(ordered: bool) -> None:
    cancelled = []

    async def call(number: int) -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.append(number)
            raise

    stream = from_iterable(range(3)).pipe(flat_map_bounded(call, max_concurrent=2, ordered=ordered))
    subscription = stream.subscribe(Recorder())
    await turns()
    subscription.dispose()
    await turns()
    assert sorted(cancelled) == [0, 1]


@BOTH
def test_no_inner_is_started_after_an_error_by_a_source_that_cannot_be_stopped(ordered: bool) -> None:
    started: list[int] = []

    def project(number: int) -> Stage[int]:
        started.append(number)
        return AtOnce(error=Boom())

    recorder = Recorder()
    AtOnce(1, 2, 3).pipe(flat_map_bounded(project, max_concurrent=2, ordered=ordered)).subscribe(recorder)
    assert isinstance(recorder.error, Boom)
    assert started == [1]


@BOTH
def test_an_inner_that_emits_on_while_it_is_starting_is_silent_after_the_error(ordered: bool) -> None:
    recorder = Recorder()

    class FailsOnFirst(Window):
        """A sink that ends everything at the first element, while its source is still starting."""

        def on_next(self, value: Any) -> None:
            super().on_next(value)
            source.fail(Boom())

    source = Manual()
    sink = FailsOnFirst(recorder, room=10)
    stage = source.pipe(flat_map_bounded(lambda _: AtOnce(1, 2, 3), max_concurrent=2, ordered=ordered))
    sink.connect(as_stage(stage), DemandScheduler.of(None).with_demand(sink.demand))
    source.send("x")
    assert recorder.values == [1]
    assert isinstance(recorder.error, Boom)


@BOTH
def test_an_error_that_nobody_handles_is_raised_though_it_came_while_an_inner_was_starting(
    ordered: bool,
) -> None:
    source = Manual()
    source.pipe(
        flat_map_bounded(lambda _: AtOnce(error=Boom()), max_concurrent=1, ordered=ordered)
    ).subscribe()
    with pytest.raises(Boom):
        source.send(1)


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

    window = Window(recorder, room=5)
    stage = from_iterable(["slow", "endless"]).pipe(flat_map_bounded(project, max_concurrent=2, ordered=True))
    window.connect(as_stage(stage), DemandScheduler.of(time.scheduler).with_demand(window.demand))
    time.advance(1)
    assert numbers.read <= 64
    slow.complete()
    time.advance(1)
    held = len(recorder.values)
    assert held == numbers.read
    window.open(held + 100)
    assert recorder.values == list(range(numbers.read))
    assert numbers.read >= held + 100
    window.dispose()


@pytest.mark.parametrize("cap", [0, -1, 2.5, True, None])
def test_a_cap_that_cannot_work_is_refused(cap: Any) -> None:
    with pytest.raises(ValueError, match="max_concurrent must be a whole number"):
        flat_map_bounded(from_async, max_concurrent=cap)


def test_a_buffer_without_order_is_refused() -> None:
    with pytest.raises(ValueError, match="ordered=True"):
        flat_map_bounded(from_async, max_concurrent=1, buffer=1)


def test_a_negative_buffer_is_refused() -> None:
    with pytest.raises(ValueError, match="buffer must be 0 or more"):
        flat_map_bounded(from_async, max_concurrent=1, ordered=True, buffer=-1)


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
