"""throttle in virtual time: the pace holds, nothing is lost, and the source waits."""

from __future__ import annotations

import weakref
from typing import Any

import pytest
import reactivex
from hypothesis import given, settings
from hypothesis import strategies as st
from reactivex import operators as ops

from rxorch_operators import flat_map_bounded, from_iterable, throttle
from rxorch_operators.core.demand import DemandScheduler
from rxorch_operators.core.stage import as_stage
from rxorch_operators.from_async_iterable import from_async_iterable
from tests.operators.support import (
    AtOnce,
    Boom,
    Counting,
    Manual,
    MarbleStage,
    Recorder,
    Time,
    Window,
    events,
    turns,
)


def departures(recorder: Recorder) -> list[float]:
    return [at for at, event in recorder.events if event != "|"]


@pytest.mark.parametrize("kind", ["stock", "stage"])
def test_the_documented_marbles(kind: str) -> None:
    time = Time()
    marbles = time.marbles("abc-----d|")
    source: Any = marbles if kind == "stock" else MarbleStage(marbles)
    assert time.run(source.pipe(throttle(1, 2.0))).events == events("a-b-c---d|")


def test_a_slow_source_is_not_held_up() -> None:
    time = Time()
    assert time.run(time.marbles("-a--b--c|").pipe(throttle(1, 2.0))).events == events("-a--b--c|")


def test_a_burst_passes_at_once_after_a_rest() -> None:
    time = Time()
    recorder = time.run(from_iterable(range(6)).pipe(throttle(1, 2.0, burst=3)))
    assert departures(recorder) == [0.0, 0.0, 0.0, 2.0, 4.0, 6.0]
    assert recorder.values == list(range(6))


def test_completion_comes_after_the_queue_is_empty() -> None:
    time = Time()
    recorder = time.run(AtOnce("a", "b", "c").pipe(throttle(1, 2.0)))
    assert recorder.events == [(0.0, "a"), (2.0, "b"), (4.0, "c"), (4.0, "|")]


def test_an_error_comes_after_the_elements_before_it() -> None:
    time, boom = Time(), Boom()
    recorder = time.run(AtOnce("a", "b", error=boom).pipe(throttle(1, 2.0)))
    assert recorder.events == [(0.0, "a"), (2.0, "b"), (2.0, boom)]


def test_an_empty_source() -> None:
    time = Time()
    assert time.run(time.marbles("--|").pipe(throttle(1))).events == [(2.0, "|")]
    time = Time()
    assert isinstance(time.run(time.marbles("--#").pipe(throttle(1))).error, Boom)


def test_the_source_waits_while_an_element_is_held() -> None:
    time, numbers = Time(), Counting()
    recorder, subscription = time.record(from_iterable(numbers).pipe(ops.map(str), throttle(1, 2.0)))
    for passed in range(1, 20):
        assert numbers.read <= passed + 1
        time.advance(2)
        assert len(recorder.values) == passed + 1
    subscription.dispose()
    assert time.idle
    assert numbers.closed


def test_the_demand_of_downstream_holds_too() -> None:
    time, numbers, recorder = Time(), Counting(), Recorder()
    window = Window(recorder, room=2)
    stage = as_stage(from_iterable(numbers).pipe(throttle(100)))
    window.connect(stage, DemandScheduler.of(time.scheduler).with_demand(window.demand))
    time.advance(10)
    assert recorder.values == [0, 1]
    assert numbers.read == 2
    window.open(3)
    time.advance(10)
    assert recorder.values == [0, 1, 2, 3, 4]
    assert numbers.read == 5
    window.dispose()
    assert window.demand._listeners == []


def test_an_overfull_consumer_is_told_upstream() -> None:
    source, recorder, time = Manual(), Recorder(), Time()
    window = Window(recorder, room=1)
    window.connect(
        as_stage(source.pipe(throttle(1, 2.0))), DemandScheduler.of(time.scheduler).with_demand(window.demand)
    )
    assert source.credit == 1
    source.send("a", "b", "c")
    assert source.credit == 0 - 2
    time.advance(4)
    assert recorder.values == ["a", "b", "c"]
    assert source.credit == -2
    window.open(3)
    assert source.credit == 1


def test_a_source_that_pushes_regardless_is_queued_in_order() -> None:
    time, source = Time(), Manual()
    recorder, _ = time.record(source.pipe(throttle(1, 2.0)))
    source.send("a", "b")
    time.advance(1)
    source.send("c")
    time.advance(10)
    assert recorder.events == [(0.0, "a"), (2.0, "b"), (4.0, "c")]


def test_cost_is_what_an_element_takes() -> None:
    time = Time()
    recorder = time.run(from_iterable([1, 3, 1, 0, 1]).pipe(throttle(4, 4.0, cost=lambda units: units)))
    assert recorder.values == [1, 3, 1, 0, 1]
    assert departures(recorder) == [0.0, 1.0, 4.0, 4.0, 5.0]


def test_a_cost_that_raises_is_the_error() -> None:
    time, source = Time(), Manual()

    def cost(_: Any) -> float:
        raise Boom

    recorder, _ = time.record(source.pipe(throttle(1, cost=cost)))
    source.send("a")
    assert isinstance(recorder.error, Boom)
    assert source.disposed == 1


def test_a_cost_that_can_never_pass_is_an_error_and_no_endless_wait() -> None:
    time = Time()
    recorder = time.run(from_iterable([1, 11]).pipe(throttle(10, cost=lambda units: units)))
    assert isinstance(recorder.error, ValueError)


@pytest.mark.parametrize("at", [0.0, 1.0, 2.0, 3.0])
def test_disposal_drops_what_is_queued(at: float) -> None:
    time, source = Time(), Manual()
    recorder, subscription = time.record(source.pipe(throttle(1, 2.0)))
    source.send("a", "b", "c")
    if at:
        time.advance(at)
    subscription.dispose()
    seen = list(recorder.events)
    assert time.idle
    assert source.disposed == 1
    source.send("d")
    source.complete()
    time.advance(100)
    assert recorder.events == seen


def test_disposal_lets_go_of_the_elements() -> None:
    class Element:
        """Something that can be watched."""

    time, source, element = Time(), Manual(), Element()
    watched = weakref.ref(element)
    _, subscription = time.record(source.pipe(throttle(1)))
    source.send("first", element)
    del element
    subscription.dispose()
    assert watched() is None


def test_disposal_from_inside_on_next() -> None:
    time = Time()
    recorder = time.run(AtOnce(*"abcdef").pipe(throttle(1, 2.0, burst=2), ops.take(3)))
    assert recorder.events == [(0.0, "a"), (0.0, "b"), (2.0, "c"), (2.0, "|")]
    assert time.idle


def test_a_sink_that_makes_the_source_go_on_does_not_nest_or_reorder() -> None:
    time, recorder, depth = Time(), Recorder(), [0]
    source = Manual()

    def more(value: int) -> None:
        depth[0] += 1
        assert depth[0] == 1
        if value < 5000:
            source.send(value + 1)
        depth[0] -= 1

    source.pipe(throttle(10_000, burst=10_000), ops.do_action(more)).subscribe(
        recorder, scheduler=time.scheduler
    )
    source.send(0)
    assert recorder.values == list(range(5001))


def test_two_subscriptions_have_a_pace_each() -> None:
    time = Time()
    stream = from_iterable("ab").pipe(throttle(1, 2.0))
    first, _ = time.record(stream)
    second, _ = time.record(stream)
    time.advance(10)
    assert first.events == second.events == [(0.0, "a"), (2.0, "b"), (2.0, "|")]


def test_its_own_scheduler_is_the_time() -> None:
    time, recorder = Time(), Recorder()
    AtOnce("a", "b").pipe(throttle(1, 2.0, scheduler=time.scheduler)).subscribe(recorder)
    assert recorder.values == ["a"]
    time.advance(2)
    assert recorder.values == ["a", "b"]


@pytest.mark.parametrize(
    ("arguments", "field"),
    [
        ({"rate": 0}, "rate"),
        ({"rate": -1}, "rate"),
        ({"rate": float("nan")}, "rate"),
        ({"rate": float("inf")}, "rate"),
        ({"rate": 1, "window": 0}, "window"),
        ({"rate": 1, "burst": 0}, "burst"),
    ],
)
def test_what_cannot_work_is_refused_when_the_operator_is_made(arguments: dict[str, Any], field: str) -> None:
    with pytest.raises(ValueError, match=field):
        throttle(**arguments)


@settings(deadline=None)
@given(
    st.lists(st.floats(0.0, 3.0), max_size=40),
    st.integers(1, 5),
    st.floats(0.1, 3.0),
    st.integers(1, 4),
)
def test_no_window_sees_more_than_rate_and_burst_and_nothing_is_lost(
    gaps: list[float], rate: int, window: float, burst: int
) -> None:
    time, source = Time(), Manual()
    recorder, _ = time.record(source.pipe(throttle(rate, window, burst=burst)))
    for number, gap in enumerate(gaps):
        time.advance(gap)
        source.send(number)
    source.complete()
    time.advance(1000)
    assert recorder.values == list(range(len(gaps)))
    assert recorder.completed
    left = departures(recorder)
    for index, start in enumerate(left):
        inside = [at for at in left[index:] if at < start + window - 1e-5]
        assert len(inside) <= rate + burst


async def test_an_async_source_is_paced_on_the_loop() -> None:
    read = 0

    async def numbers() -> Any:
        nonlocal read
        while True:
            read += 1
            yield read

    recorder = Recorder()
    subscription = (
        from_async_iterable(numbers())
        .pipe(throttle(1, 3600.0, burst=3), flat_map_bounded(AtOnce, max_concurrent=1))
        .subscribe(recorder)
    )
    await turns()
    assert recorder.values == [1, 2, 3]
    assert read == 4
    subscription.dispose()
    await turns()


async def test_a_timer_that_fires_early_is_set_again_and_does_not_spin() -> None:
    made: list[float] = []

    class Early:
        """A clock whose timers fire at half their time, without the time passing."""

        time = 0.0
        pending: list[Any] = []

        def now(self) -> float:
            return self.time

        def call_later(self, delay: float, function: Any) -> Any:
            made.append(delay)
            self.pending.append(function)
            return reactivex.disposable.Disposable()

    clock, recorder = Early(), Recorder()
    scheduler = DemandScheduler.of(None)
    scheduler.clock = clock
    as_stage(AtOnce("a", "b").pipe(throttle(1, 1.0))).attach(recorder, scheduler)
    clock.time = 0.9999
    clock.pending.pop()()
    assert made == [1.0, 0.001]  # not 0.0001
    clock.time = 1.0
    clock.pending.pop()()
    assert recorder.values == ["a", "b"]
