"""timeout in virtual time: three limits, three errors, and timers that do not outlive anything."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest
import reactivex
from reactivex import Observable
from reactivex import operators as ops

from rxorch_operators import TimeoutExceededError, from_iterable, timeout
from rxorch_operators.core.demand import DemandScheduler
from rxorch_operators.core.stage import as_stage
from rxorch_operators.from_async import from_async
from tests.operators.support import AtOnce, Boom, Manual, MarbleStage, Recorder, Time, Window, events, turns


def outcome(recorder: Recorder) -> tuple[float, str, float | None]:
    """When, which kind and which limit."""
    at, error = recorder.events[-1]
    assert isinstance(error, TimeoutExceededError)
    return at, error.kind, error.limit


@pytest.mark.parametrize("kind", ["stock", "stage"])
def test_total_is_over_the_whole_subscription(kind: str) -> None:
    time = Time()
    marbles = time.marbles("-a-b-c-d-e|")
    source: Observable[Any] = marbles if kind == "stock" else MarbleStage(marbles)
    recorder = time.run(source.pipe(timeout(4.5)))
    assert recorder.values == ["a", "b"]
    assert outcome(recorder) == (4.5, "total", 4.5)
    assert marbles.released == [4.5]
    assert time.idle


@pytest.mark.parametrize(
    "limits", [{"total": 7.0}, {"each": 3.0}, {"first": 3.0}, {"total": 7.0, "each": 3.0, "first": 3.0}, {}]
)
def test_in_time_nothing_changes_and_no_timer_stays(limits: dict[str, float]) -> None:
    time = Time()
    recorder = time.run(time.marbles("--a--b|").pipe(timeout(**limits)), seconds=6)
    assert recorder.events == events("--a--b|")
    assert time.idle


@pytest.mark.parametrize("limits", [{"total": 9.0}, {"each": 9.0}, {"first": 9.0}])
def test_an_error_of_the_source_passes_and_no_timer_stays(limits: dict[str, float]) -> None:
    time, boom = Time(), Boom()
    recorder = time.run(time.marbles("-#", error=boom).pipe(timeout(**limits)), seconds=1)
    assert recorder.events == [(1.0, boom)]
    assert time.idle


def test_first_is_until_the_first_element() -> None:
    time = Time()
    source = time.marbles("---a|")
    assert outcome(time.run(source.pipe(timeout(first=2.0)))) == (2.0, "first", 2.0)
    assert source.active == 0


def test_first_has_no_say_after_the_first_element() -> None:
    time = Time()
    assert time.run(time.marbles("-a---------b|").pipe(timeout(first=2.0))).values == ["a", "b"]


def test_first_holds_for_the_end_of_an_empty_source_too() -> None:
    time = Time()
    assert time.run(time.marbles("-|").pipe(timeout(first=2.0))).events == [(1.0, "|")]
    time = Time()
    assert outcome(time.run(time.marbles("---|").pipe(timeout(first=2.0)))) == (2.0, "first", 2.0)


def test_each_is_the_gap_between_elements() -> None:
    time = Time()
    source = time.marbles("-a--b---------c|")
    recorder = time.run(source.pipe(timeout(each=5.0)))
    assert recorder.values == ["a", "b"]
    assert outcome(recorder) == (9.0, "each", 5.0)
    assert source.active == 0
    assert time.idle


def test_the_documented_marbles() -> None:
    time = Time()
    recorder = time.run(time.marbles("-a--b----------c|").pipe(timeout(each=5.0)))
    assert [at for at, _ in recorder.events] == [1.0, 4.0, 9.0]


def test_each_holds_for_the_first_element_unless_first_is_given() -> None:
    time = Time()
    assert outcome(time.run(time.marbles("------a").pipe(timeout(each=5.0)))) == (5.0, "each", 5.0)
    time = Time()
    assert time.run(time.marbles("------a|").pipe(timeout(each=5.0, first=7.0))).values == ["a"]


def test_each_holds_between_the_last_element_and_the_end() -> None:
    time = Time()
    recorder = time.run(time.marbles("a--------|").pipe(timeout(each=5.0)))
    assert outcome(recorder) == (5.0, "each", 5.0)


def test_a_long_first_does_not_delay_the_gap_after_it() -> None:
    time = Time()
    recorder = time.run(time.marbles("-a------").pipe(timeout(first=100.0, each=2.0)))
    assert outcome(recorder) == (3.0, "each", 2.0)


@pytest.mark.parametrize(
    ("limits", "kind"),
    [
        ({"total": 2.0, "each": 3.0, "first": 4.0}, "total"),
        ({"total": 4.0, "each": 3.0, "first": 2.0}, "first"),
        ({"total": 4.0, "each": 2.0}, "each"),
    ],
)
def test_the_limit_that_runs_out_first_is_the_kind(limits: dict[str, float], kind: str) -> None:
    time = Time()
    recorder = time.run(reactivex.never().pipe(timeout(**limits)))
    assert outcome(recorder) == (2.0, kind, 2.0)
    assert time.idle


def test_each_makes_no_timer_per_element_on_a_fast_stream() -> None:
    time, made = Time(), 0
    clock = DemandScheduler.of(time.scheduler).clock

    class Counted:
        now = staticmethod(clock.now)

        @staticmethod
        def call_later(delay: float, function: Any) -> Any:
            nonlocal made
            made += 1
            return clock.call_later(delay, function)

    source, recorder = Manual(), Recorder(lambda: time.now)
    scheduler = DemandScheduler.of(time.scheduler)
    scheduler.clock = Counted()  # type: ignore[assignment]
    as_stage(source.pipe(timeout(each=10.0))).attach(recorder, scheduler)
    for number in range(1000):
        time.advance(0.1)
        source.send(number)
    assert len(recorder.values) == 1000
    assert made <= 1 + 100 / 10 * 2
    time.advance(9.9)
    assert not recorder.ended
    time.advance(0.1)
    assert outcome(recorder) == (110.0, "each", 10.0)


def test_time_in_which_the_consumer_asks_for_nothing_does_not_count() -> None:
    time, source = Time(), Manual()
    recorder = Recorder(lambda: time.now)
    window = Window(recorder, room=1)
    stage = as_stage(source.pipe(timeout(each=5.0)))
    window.connect(stage, DemandScheduler.of(time.scheduler).with_demand(window.demand))
    time.advance(1)
    source.send("a")  # room for no more
    time.advance(100)
    assert not recorder.ended
    window.open()
    time.advance(4.5)
    assert not recorder.ended
    time.advance(0.5)
    assert outcome(recorder) == (106.0, "each", 5.0)
    assert window.demand._listeners == []


def test_room_that_others_make_does_not_keep_a_silent_source_alive() -> None:
    time, source = Time(), Manual()
    recorder = Recorder(lambda: time.now)
    window = Window(recorder, room=10)
    stage = as_stage(source.pipe(timeout(each=5.0)))
    window.connect(stage, DemandScheduler.of(time.scheduler).with_demand(window.demand))
    for _ in range(10):
        time.advance(1)
        window.open()
    assert outcome(recorder) == (5.0, "each", 5.0)


@pytest.mark.parametrize(("looks", "over"), [(True, 9.5), (False, 5.0)])
def test_room_that_others_took_and_gave_back_between_two_firings(looks: bool, over: float) -> None:
    time, source = Time(), Manual()
    recorder = Recorder(lambda: time.now)
    window = Window(recorder, room=1)
    stage = as_stage(source.pipe(timeout(each=5.0)))
    window.connect(stage, DemandScheduler.of(time.scheduler).with_demand(window.demand))
    time.advance(1)
    window.room = 0
    time.advance(1)
    if looks:  # else it has nothing to emit, and nobody keeps it from that
        assert source.credit == 0
    time.advance(2.5)
    window.open()
    time.advance(50)
    assert outcome(recorder) == (over, "each", 5.0)
    assert window.demand._listeners == []


def test_total_counts_though_the_consumer_asks_for_nothing() -> None:
    time, source = Time(), Manual()
    recorder = Recorder(lambda: time.now)
    window = Window(recorder, room=0)
    stage = as_stage(source.pipe(timeout(3.0, each=5.0)))
    window.connect(stage, DemandScheduler.of(time.scheduler).with_demand(window.demand))
    time.advance(10)
    assert outcome(recorder) == (3.0, "total", 3.0)


@pytest.mark.parametrize("left", [0.0, -1.0, float("nan")])
def test_with_nothing_left_the_source_is_not_even_subscribed(left: float) -> None:
    source, recorder = Manual(), Recorder()
    source.pipe(timeout(lambda: left)).subscribe(recorder)
    assert outcome(recorder) == (0.0, "total", 0.0)
    assert source.attached == 0


def test_a_total_of_nothing_fails_at_once() -> None:
    source, recorder = Manual(), Recorder()
    source.pipe(timeout(0)).subscribe(recorder)
    assert outcome(recorder) == (0.0, "total", 0.0)
    assert source.attached == 0


def test_total_may_be_read_when_subscribed() -> None:
    time = Time()
    stream = reactivex.never().pipe(timeout(lambda: 5.0 - time.now))
    time.advance(2)
    assert outcome(time.run(stream)) == (5.0, "total", 3.0)


def test_total_may_be_no_limit_when_subscribed() -> None:
    time = Time()
    assert time.run(time.marbles("---------a|").pipe(timeout(lambda: None))).values == ["a"]


def test_a_total_that_cannot_be_read_is_the_error() -> None:
    def broken() -> float:
        raise Boom

    recorder = Recorder()
    reactivex.never().pipe(timeout(broken)).subscribe(recorder)
    assert isinstance(recorder.error, Boom)


def test_infinite_limits_are_no_limits() -> None:
    time, infinite = Time(), float("inf")
    recorder = time.run(time.marbles("-----a|").pipe(timeout(infinite, each=infinite, first=infinite)))
    assert recorder.values == ["a"]
    assert time.run(reactivex.just(1).pipe(timeout(lambda: infinite))).values == [1]


@pytest.mark.parametrize("name", ["total", "each", "first"])
@pytest.mark.parametrize("limit", [-1.0, float("nan")])
def test_a_limit_that_cannot_work_is_refused(name: str, limit: float) -> None:
    with pytest.raises(ValueError, match=name):
        timeout(**{name: limit})


@pytest.mark.parametrize("at", [0.0, 0.5, 1.0, 2.5])
def test_disposal_stops_the_timers_and_the_source(at: float) -> None:
    time = Time()
    source = time.marbles("-a-b--------|")
    recorder, subscription = time.record(source.pipe(timeout(5.0, each=3.0, first=2.0)))
    time.advance(at) if at else None
    subscription.dispose()
    seen = list(recorder.events)
    assert time.idle
    assert source.active == 0
    time.advance(100)
    assert recorder.events == seen


def test_disposal_from_inside_on_next_starts_no_timer() -> None:
    time = Time()
    recorder = time.run(time.marbles("-a-b|").pipe(timeout(9.0, each=3.0, first=2.0), ops.take(1)), seconds=1)
    assert recorder.events == [(1.0, "a"), (1.0, "|")]
    assert time.idle


def test_a_source_that_ends_while_it_is_starting_needs_no_timer() -> None:
    recorder = Recorder()
    AtOnce(1).pipe(timeout(5.0, each=1.0, first=1.0)).subscribe(recorder)  # there is no clock to wait on
    assert recorder.values == [1]
    assert recorder.completed


def test_a_source_that_emits_while_it_is_starting_has_its_gaps_limited() -> None:
    time = Time()

    class Starts(Manual):
        def attach(self, sink: Any, scheduler: Any) -> Any:
            sink.on_next("a")
            return super().attach(sink, scheduler)

    source = Starts()
    recorder = time.run(source.pipe(timeout(first=100.0, each=2.0)))
    assert outcome(recorder) == (2.0, "each", 2.0)
    assert source.disposed == 1


def test_nothing_follows_the_error() -> None:
    time, source = Time(), Manual()
    recorder, _ = time.record(source.pipe(timeout(1.0)))
    time.advance(2)
    source.send(1)
    source.complete()
    source.fail(Boom())
    assert len(recorder.events) == 1


def test_each_subscription_has_its_own_time() -> None:
    time = Time()
    stream = reactivex.never().pipe(timeout(3.0))
    first, _ = time.record(stream)
    time.advance(1)
    second, _ = time.record(stream)
    time.advance(10)
    assert (outcome(first)[0], outcome(second)[0]) == (3.0, 4.0)


def test_a_subscription_made_when_another_runs_out_does_not_delay_the_rest() -> None:
    time = Time()
    limited = reactivex.never().pipe(timeout(10.0))
    again, between = Recorder(lambda: time.now), Recorder(lambda: time.now)
    limited.subscribe(
        on_error=lambda _: limited.subscribe(again, scheduler=time.scheduler) and None,
        scheduler=time.scheduler,
    )
    scheduler = DemandScheduler.of(time.scheduler)  # one clock, and so one queue of timers
    time.advance(4)
    as_stage(limited).attach(between, scheduler)
    as_stage(limited).attach(Recorder(), scheduler)
    time.advance(100)
    assert outcome(between)[0] == 14.0
    assert outcome(again)[0] == 20.0


def test_its_own_scheduler_is_the_time() -> None:
    time, recorder = Time(), Recorder()
    reactivex.never().pipe(timeout(3.0, each=2.0, scheduler=time.scheduler)).subscribe(recorder)
    time.advance(5)
    assert outcome(recorder)[1:] == ("each", 2.0)


def test_without_a_loop_it_says_what_to_do() -> None:
    recorder = Recorder()
    source = Manual()
    source.pipe(timeout(3.0)).subscribe(recorder)
    assert isinstance(recorder.error, RuntimeError)
    assert "pass scheduler=" in str(recorder.error)
    assert source.disposed == 1


async def test_it_fires_on_the_loop_and_the_call_is_cancelled() -> None:
    # RxPY's `ops.timeout` fires on another thread, with a bare `Exception("Timeout")`.
    cancelled = []

    async def call() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.append(True)

    failed: asyncio.Future[tuple[Exception, int]] = asyncio.get_running_loop().create_future()
    from_async(call).pipe(timeout(0.001)).subscribe(
        on_error=lambda error: failed.set_result((error, threading.get_ident()))
    )
    error, thread = await failed
    await turns()
    assert isinstance(error, TimeoutError)
    assert isinstance(error, TimeoutExceededError)
    assert thread == threading.get_ident()
    assert cancelled == [True]


async def test_no_timer_is_left_on_the_loop() -> None:
    recorder = Recorder()
    from_iterable(range(3)).pipe(timeout(100.0, each=50.0, first=50.0)).subscribe(recorder)
    from_async(asyncio.sleep, 0).pipe(timeout(100.0)).subscribe(Recorder())
    disposed = reactivex.never().pipe(timeout(100.0, each=50.0)).subscribe(Recorder())
    disposed.dispose()
    await turns()  # the check after each test looks for timers
    assert recorder.values == [0, 1, 2]


def test_time_before_the_consumer_asks_for_anything_does_not_count() -> None:
    time = Time()
    window = Window(Recorder(lambda: time.now), room=0)
    source = Manual()
    scheduler = DemandScheduler.of(time.scheduler).with_demand(window.demand)
    source.pipe(timeout(first=1.0)).subscribe(window, scheduler=scheduler)
    time.advance(0.9)
    window.open()
    time.advance(0.5)
    assert window.sink.events == []  # type: ignore[attr-defined]
    time.advance(0.6)
    assert isinstance(window.sink.error, TimeoutExceededError)  # type: ignore[attr-defined]
