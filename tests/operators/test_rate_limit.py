"""rate_limit: subscriptions leave at the pace of the limits, in order, and hold nothing while they wait."""

from __future__ import annotations

import asyncio
import logging
import math
from functools import partial
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from reactivex.abc import DisposableBase, ObserverBase
from reactivex.disposable import SingleAssignmentDisposable

from rxorch_operators import RateLimiter, RateLimitExceededError, rate_limit
from rxorch_operators.core.demand import DemandScheduler
from rxorch_operators.core.stage import NOTHING, Stage
from tests.operators.manual_clock import ManualClock
from tests.operators.support import AtOnce, Boom, Manual, MarbleStage, Recorder, Time, events, turns


def limiter(limit: float, window: float = 60.0, burst: float | None = 1, **more: Any) -> RateLimiter:
    """One call per second at once, if nothing else is said."""
    return RateLimiter(limit, window, burst=burst, **more)


class Departures(Stage[Any]):
    """A call that notes when it left."""

    def __init__(self, clock: ManualClock) -> None:
        self.now = clock.now
        self.at: list[float] = []

    def attach(self, sink: ObserverBase[Any], scheduler: DemandScheduler) -> DisposableBase:
        self.at.append(round(self.now(), 6))
        sink.on_completed()
        return NOTHING


# The pace


def test_a_burst_leaves_at_once_and_the_rest_evenly() -> None:
    time = Time()
    marbles = time.marbles("|")
    paced = marbles.pipe(rate_limit(limiter(60, burst=3)))
    for _ in range(6):
        time.record(paced)
    time.advance(100)
    assert marbles.subscribed == [0, 0, 0, 1, 2, 3]
    assert time.idle


def test_the_default_burst_is_one_and_a_tenth() -> None:
    clock = ManualClock()
    calls = Departures(clock)
    paced = calls.pipe(rate_limit(RateLimiter(100, 100, clock=clock)))
    for _ in range(13):
        paced.subscribe()
    clock.drain()
    assert calls.at == [0] * 11 + [1, 2]


@pytest.mark.parametrize("lean", [True, False])
def test_elements_errors_and_the_end_pass(lean: bool) -> None:
    for text in ("a-b|", "a-#", "|"):
        time = Time()
        marbles = time.marbles(text, text)
        source = MarbleStage(marbles) if lean else marbles
        paced = source.pipe(rate_limit(limiter(1, 10.0)))
        first, _ = time.record(paced)
        second, _ = time.record(paced)
        time.advance(100)
        boom = first.error
        assert first.events == events(text, **({"#": boom} if boom else {}))
        assert [(at - 10, what) for at, what in second.events if what is not second.error] == [
            (at, what) for at, what in first.events if what is not boom
        ]
        assert marbles.subscribed == [0, 10]


def test_with_room_the_source_is_subscribed_at_once_without_anything_in_between() -> None:
    source = Manual()
    recorder = Recorder()
    source.pipe(rate_limit(limiter(1))).subscribe(recorder)
    assert source.attached == 1
    source.send(1)
    source.complete()
    assert recorder.values == [1] and recorder.completed


def test_scheduler_argument_gives_the_time() -> None:
    time = Time()
    source = Manual()
    paced = source.pipe(rate_limit(limiter(60), scheduler=time.scheduler))
    paced.subscribe(Recorder())
    paced.subscribe(Recorder())
    time.advance(0.9)
    assert source.attached == 1
    time.advance(0.2)
    assert source.attached == 2


def test_odd_rates_do_not_drift_in_virtual_time() -> None:
    time = Time()
    calls = Manual()
    paced = calls.pipe(rate_limit(limiter(7, 1.0)))
    for _ in range(701):
        paced.subscribe(Recorder(), scheduler=time.scheduler)
    time.advance(99.99)
    assert calls.attached == 700
    time.advance(0.02)
    assert calls.attached == 701


# Cost and patience


def test_cost_is_taken_and_may_be_a_function() -> None:
    clock = ManualClock()
    calls = Departures(clock)
    costs = iter([1, 3, 1])
    paced = calls.pipe(rate_limit(limiter(60, clock=clock), cost=lambda: next(costs)))
    for _ in range(3):
        paced.subscribe()
    clock.drain()
    assert calls.at == [0, 1, 4]


@pytest.mark.parametrize("broken", ["cost", "max_wait"])
def test_a_function_that_raises_is_the_calls_error(broken: str) -> None:
    def fail() -> Any:
        raise Boom

    one = limiter(60, clock=ManualClock())
    one.try_acquire()
    source = Manual()
    recorder = Recorder()
    options: dict[str, Any] = {broken: fail}
    source.pipe(rate_limit(one, **options)).subscribe(recorder)
    assert isinstance(recorder.error, Boom) and not source.attached
    assert one.statistics().waiting == 0


def test_a_cost_that_can_never_pass_is_an_error_at_once() -> None:
    recorder = Recorder()
    Manual().pipe(rate_limit(limiter(10), cost=11)).subscribe(recorder)
    assert isinstance(recorder.error, ValueError) and "cost=11" in str(recorder.error)


def test_a_wait_that_cannot_end_in_time_fails_at_once() -> None:
    clock = ManualClock()
    one = limiter(60, clock=clock, name="api")
    source = Manual()
    patient, hasty = Recorder(), Recorder()
    for _ in range(3):
        source.pipe(rate_limit(one)).subscribe(patient if _ == 2 else Recorder())
    source.pipe(rate_limit(one, max_wait=2.5)).subscribe(hasty)
    assert isinstance(hasty.error, RateLimitExceededError)
    assert hasty.error.retry_after == pytest.approx(3.0) and hasty.error.name == "api"
    assert one.statistics().waiting == 2 and one.statistics().refused == 1
    assert not patient.ended


@pytest.mark.parametrize(("own", "given", "waits"), [(1.5, None, 1), (5.0, 1.5, 1), (0.5, math.inf, 9)])
def test_max_wait_of_the_call_goes_before_that_of_the_limiter(
    own: float, given: float | None, waits: int
) -> None:
    clock = ManualClock()
    one = limiter(60, clock=clock, max_wait=own)
    paced = Manual().pipe(rate_limit(one, max_wait=(lambda: given)))
    for _ in range(10):
        paced.subscribe(Recorder())
    assert one.statistics().waiting == waits


def test_on_wait_is_told_the_expected_seconds_and_only_if_there_is_a_wait() -> None:
    clock = ManualClock()
    waits: list[float] = []
    everything, endpoint = limiter(60, clock=clock), limiter(30, clock=clock)
    paced = Manual().pipe(rate_limit(everything, endpoint, on_wait=waits.append))
    for _ in range(3):
        paced.subscribe(Recorder())
    assert waits == pytest.approx([2.0, 4.0])


def test_on_wait_that_raises_breaks_nothing(caplog: pytest.LogCaptureFixture) -> None:
    def fail(wait: float) -> None:
        raise Boom

    clock = ManualClock()
    source = Manual()
    paced = source.pipe(rate_limit(limiter(60, clock=clock), on_wait=fail))
    for _ in range(2):
        paced.subscribe(Recorder())
    with caplog.at_level(logging.ERROR):
        clock.drain()
    assert source.attached == 2
    assert "on_wait failed" in caplog.text


# Leaving


def test_trap_disposal_while_waiting_leaves_the_line_and_those_behind_move_up() -> None:
    clock = ManualClock()
    one = limiter(60, clock=clock)
    calls = Departures(clock)
    paced = calls.pipe(rate_limit(one))
    subscriptions = [paced.subscribe(Recorder()) for _ in range(4)]
    subscriptions[1].dispose()
    subscriptions[1].dispose()
    assert one.statistics().waiting == 2
    clock.drain()
    assert calls.at == [0, 1, 2]
    assert one.statistics().granted == 3


def test_when_the_head_leaves_the_next_is_timed_anew() -> None:
    clock = ManualClock()
    one = limiter(60, burst=1, clock=clock)
    costly, cheap = Departures(clock), Departures(clock)
    cheap.pipe(rate_limit(one)).subscribe()  # all room is gone
    head = costly.pipe(rate_limit(one, cost=30)).subscribe(Recorder())
    cheap.pipe(rate_limit(one)).subscribe()
    assert clock.timers == 1
    clock.advance(0.5)
    head.dispose()
    assert clock.timers == 1
    clock.drain()
    assert cheap.at == [0, 1] and not costly.at


def test_disposal_of_the_last_waiter_leaves_no_timer() -> None:
    clock = ManualClock()
    paced = Manual().pipe(rate_limit(limiter(1), limiter(60, clock=clock), scheduler=None))
    first, second = (paced.subscribe(Recorder()) for _ in range(2))
    first.dispose()
    second.dispose()
    assert clock.timers == 0


def test_disposal_after_the_wait_disposes_the_source() -> None:
    time = Time()
    marbles = time.marbles("-----------a|")
    paced = marbles.pipe(rate_limit(limiter(60)))
    time.record(paced)
    recorder, subscription = time.record(paced)
    time.advance(2)
    subscription.dispose()
    time.advance(100)
    assert marbles.subscribed == [0, 1] and 2 in marbles.released
    assert recorder.events == []


def test_disposal_from_inside_on_wait() -> None:
    clock = ManualClock()
    one = limiter(60, clock=clock)
    one.try_acquire()
    source = Manual()
    subscription = SingleAssignmentDisposable()
    waiting = source.pipe(rate_limit(one, on_wait=lambda _: subscription.dispose()))
    subscription.disposable = waiting.subscribe(Recorder())
    clock.drain()
    assert not source.attached and one.statistics().waiting == 0


def test_a_source_that_fails_to_start_after_the_wait_is_the_calls_error() -> None:
    class Broken(Stage[Any]):
        def attach(self, sink: ObserverBase[Any], scheduler: DemandScheduler) -> DisposableBase:
            raise Boom

    clock = ManualClock()
    one = limiter(60, clock=clock)
    one.try_acquire()
    recorder = Recorder()
    Broken().pipe(rate_limit(one)).subscribe(recorder)
    clock.drain()
    assert isinstance(recorder.error, Boom)


def test_an_observer_without_on_error_does_not_stop_the_line() -> None:
    clock = ManualClock()
    one = limiter(60, clock=clock)
    source = Manual()
    source.pipe(rate_limit(one)).subscribe(Recorder())
    source.pipe(rate_limit(one, max_wait=5.0)).subscribe()  # nobody catches what it is refused with
    source.pipe(rate_limit(one)).subscribe(Recorder())
    with pytest.raises(RateLimitExceededError):
        one.feed_retry_after(10.0)
    clock.drain()
    assert source.attached == 2


def test_an_observer_that_fails_while_its_call_leaves_does_not_stop_the_line() -> None:
    def fail() -> None:
        raise Boom

    clock = ManualClock()
    one = limiter(60, clock=clock)
    one.try_acquire()
    source = Manual()
    AtOnce(1).pipe(rate_limit(one)).subscribe(on_completed=fail)
    for _ in range(2):
        source.pipe(rate_limit(one)).subscribe(Recorder())
    with pytest.raises(Boom):
        clock.drain()
    clock.drain()
    assert source.attached == 2


def test_without_a_loop_or_a_scheduler_a_wait_is_an_error_and_the_limiter_stays_sound() -> None:
    one = RateLimiter(1, 1e9)
    source = Manual()
    recorders = [Recorder(), Recorder()]
    for recorder in recorders:
        source.pipe(rate_limit(one)).subscribe(recorder)
    assert isinstance(recorders[1].error, RuntimeError) and source.attached == 1
    assert one.statistics().waiting == 0


# Several limits


class Service:
    """An endpoint with a limit of its own, under one for everything."""

    def __init__(
        self, clock: ManualClock, everything: RateLimiter, limit: float, window: float = 60.0
    ) -> None:
        self.limiter = limiter(limit, window, clock=clock)
        self.calls = Departures(clock)
        self.paced = self.calls.pipe(rate_limit(everything, self.limiter))

    def call(self, times: int = 1) -> None:
        for _ in range(times):
            self.paced.subscribe(Recorder())


def test_two_limits_take_together() -> None:
    clock = ManualClock()
    everything = limiter(60, burst=2, clock=clock)
    service = Service(clock, everything, 20)
    service.call(4)
    clock.drain()
    assert service.calls.at == [0, 3, 6, 9]
    assert everything.statistics().granted == service.limiter.statistics().granted == 4


def test_a_call_held_up_by_its_endpoint_does_not_stand_in_the_way_of_others() -> None:
    clock = ManualClock()
    everything = limiter(60, clock=clock)
    slow, quick = Service(clock, everything, 1), Service(clock, everything, 1000)
    slow.call(3)
    quick.call(4)
    clock.advance(59)
    assert slow.calls.at == [0]
    assert quick.calls.at == [1, 2, 3, 4]


def test_a_call_that_waits_for_one_limit_holds_nothing_of_the_other() -> None:
    clock = ManualClock()
    everything = limiter(1, clock=clock)
    service = Service(clock, everything, 1, 10.0)
    everything.try_acquire()  # a minute to wait
    service.call()
    clock.advance(5)
    assert service.limiter.statistics().available == 1
    assert everything.statistics().waiting == service.limiter.statistics().waiting == 1
    clock.advance(55.001)
    assert service.calls.at == [60]


def test_an_endpoint_that_closes_while_its_call_waits_outside_lets_others_pass() -> None:
    clock = ManualClock()
    everything = limiter(6, clock=clock)  # one in ten seconds
    blocked, other = Service(clock, everything, 1000), Service(clock, everything, 1000)
    everything.try_acquire()
    blocked.call()
    other.call()
    clock.advance(5)
    blocked.limiter.feed_retry_after(100.0)
    clock.drain()
    assert other.calls.at == [10]
    assert blocked.calls.at == [105]


def test_the_outer_line_is_shared_fairly_by_the_inner_ones() -> None:
    clock = ManualClock()
    everything = limiter(60, clock=clock)
    busy, rare = Service(clock, everything, 6000), Service(clock, everything, 6000)
    busy.call(20)
    rare.call(2)
    clock.drain()
    assert rare.calls.at == [1, 3]
    assert busy.calls.at[-1] == 21


def test_three_limits() -> None:
    clock = ManualClock()
    limits = [limiter(60, clock=clock), limiter(30, clock=clock), limiter(20, clock=clock)]
    calls = Departures(clock)
    for _ in range(3):
        calls.pipe(rate_limit(*limits)).subscribe()
    clock.drain()
    assert calls.at == [0, 3, 6]


def test_max_wait_is_checked_again_when_the_next_line_is_joined() -> None:
    clock = ManualClock()
    everything, endpoint = limiter(60, clock=clock), limiter(12, clock=clock)
    endpoint.try_acquire()  # 5 s to wait
    recorder = Recorder(clock.now)
    Manual().pipe(rate_limit(everything, endpoint, max_wait=8.0)).subscribe(recorder)
    clock.advance(4)
    for _ in range(10):  # meanwhile the outer line grows to more than 3 s
        Manual().pipe(rate_limit(everything)).subscribe(Recorder())
    clock.advance(2)
    assert isinstance(recorder.error, RateLimitExceededError) and recorder.events[0][0] == 5.0
    assert recorder.error.retry_after == 9.0


def test_a_call_behind_a_head_that_is_stuck_outside_gives_up_in_time() -> None:
    clock = ManualClock()
    everything, endpoint = limiter(1, clock=clock), limiter(60, burst=60, clock=clock)
    everything.try_acquire()
    everything.feed_retry_after(1.0)
    stuck, behind = Recorder(clock.now), Recorder(clock.now)
    Manual().pipe(rate_limit(everything, endpoint)).subscribe(stuck)
    Manual().pipe(rate_limit(endpoint, max_wait=20.0)).subscribe(behind)
    clock.advance(25)
    assert isinstance(behind.error, RateLimitExceededError) and behind.events[0][0] == pytest.approx(
        20.0, abs=0.01
    )
    assert not stuck.ended


def test_a_call_that_moves_up_too_late_fails_then_and_not_at_its_deadline() -> None:
    clock = ManualClock()
    everything, endpoint = limiter(1, clock=clock), limiter(6, clock=clock)  # the endpoint's every 10 s
    everything.feed_retry_after(15.0)
    Manual().pipe(rate_limit(everything, endpoint)).subscribe(Recorder())
    behind = Recorder(clock.now)
    Manual().pipe(rate_limit(endpoint, max_wait=20.0)).subscribe(behind)
    clock.advance(60)
    assert isinstance(behind.error, RateLimitExceededError) and behind.events[0][0] == 15.0
    assert behind.error.retry_after == pytest.approx(10.0)


def test_an_outer_limit_that_is_known_to_be_too_slow_refuses_at_once() -> None:
    clock = ManualClock()
    everything, endpoint = limiter(60, clock=clock), limiter(60, clock=clock)
    everything.feed_retry_after(30.0)
    endpoint.try_acquire()
    waits: list[float] = []
    recorder = Recorder(clock.now)
    Manual().pipe(rate_limit(everything, endpoint, max_wait=10.0, on_wait=waits.append)).subscribe(recorder)
    assert isinstance(recorder.error, RateLimitExceededError) and recorder.error.retry_after == 30.0
    assert waits == [] and everything.statistics().refused == 1 and endpoint.statistics().refused == 0


def test_several_limits_on_the_time_of_the_subscription() -> None:
    time = Time()
    marbles = time.marbles("|")
    paced = marbles.pipe(rate_limit(limiter(20), limiter(60, burst=3)))
    for _ in range(3):
        time.record(paced)
    time.advance(10)
    assert marbles.subscribed == [0, 3, 6]


def test_one_limiter_twice_is_refused() -> None:
    one = limiter(1)
    with pytest.raises(ValueError, match="twice"):
        rate_limit(one, one)


def test_what_is_not_a_limiter_is_refused() -> None:
    with pytest.raises(TypeError, match="expected RateLimiter objects, got int"):
        rate_limit(5)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="max_wait=-1"):
        rate_limit(limiter(1), max_wait=-1)


# Retry-After


def test_trap_a_herd_behind_one_retry_after_leaves_at_the_pace_of_the_limit() -> None:
    clock = ManualClock()
    one = RateLimiter(60, 60.0, clock=clock)  # burst 7
    calls = Departures(clock)
    for _ in range(55):
        calls.pipe(rate_limit(one)).subscribe()
        one.feed_retry_after(30.0)  # each of them was told the same
    clock.drain()
    assert calls.at[:1] == [0]
    assert calls.at[1:] == pytest.approx([30.0 + second for second in range(54)])


def test_retry_after_ends_at_once_the_waits_that_it_makes_too_long() -> None:
    clock = ManualClock()
    one = limiter(60, clock=clock)
    one.try_acquire()
    recorders = [Recorder(clock.now) for _ in range(3)]
    for recorder, patience in zip(recorders, (50.0, 5.0, 31.5), strict=True):
        Manual().pipe(rate_limit(one, max_wait=patience)).subscribe(recorder)
    clock.advance(0.5)
    one.feed_retry_after(30.0)
    assert [isinstance(recorder.error, RateLimitExceededError) for recorder in recorders] == [
        False,
        True,
        False,
    ]
    assert recorders[1].events[0][0] == 0.5
    assert one.statistics().waiting == 2


def test_retry_after_ends_the_waits_that_are_too_long_only_because_of_those_before() -> None:
    clock = ManualClock()
    one = limiter(60, clock=clock)
    one.try_acquire()
    recorders = [Recorder(clock.now) for _ in range(3)]
    for recorder, patience in zip(recorders, (50.0, 30.5, 31.5), strict=True):
        Manual().pipe(rate_limit(one, max_wait=patience)).subscribe(recorder)
    one.feed_retry_after(30.0)
    assert [recorder.ended for recorder in recorders] == [False, True, False]


def test_one_observer_that_fails_when_refused_does_not_silence_the_others() -> None:
    clock = ManualClock()
    one = limiter(60, clock=clock)
    one.try_acquire()
    Manual().pipe(rate_limit(one, max_wait=10.0)).subscribe()  # nobody catches what it is refused with
    patient, other = Recorder(), Recorder()
    Manual().pipe(rate_limit(one)).subscribe(patient)
    Manual().pipe(rate_limit(one, max_wait=10.0)).subscribe(other)
    with pytest.raises(RateLimitExceededError):
        one.feed_retry_after(30.0)
    assert isinstance(other.error, RateLimitExceededError) and not patient.ended


# Calls from inside calls


def test_a_call_that_ends_at_once_may_start_the_next_one() -> None:
    clock = ManualClock()
    one = limiter(60, clock=clock)
    seen: list[float] = []

    def call(number: int) -> None:
        if number:
            AtOnce(number).pipe(rate_limit(one)).subscribe(
                lambda _: seen.append(clock.now()), on_completed=lambda: call(number - 1)
            )

    call(4)
    clock.drain()
    assert seen == pytest.approx([0, 1, 2, 3])


def test_a_call_that_disposes_all_others_while_it_leaves() -> None:
    clock = ManualClock()
    one = limiter(60, clock=clock)
    one.try_acquire()
    others: list[DisposableBase] = []

    def dispose_all(_: int) -> None:
        for other in others:
            other.dispose()

    AtOnce(1).pipe(rate_limit(one)).subscribe(dispose_all)
    source = Manual()
    others += [source.pipe(rate_limit(one)).subscribe(Recorder()) for _ in range(3000)]
    clock.drain()
    assert not source.attached and one.statistics().waiting == 0


def test_each_call_that_leaves_takes_the_next_one_out_of_the_line() -> None:
    clock = ManualClock()
    one = limiter(10_000, burst=10_000, clock=clock)
    one.try_acquire(10_000)
    subscriptions: list[DisposableBase] = []
    left: list[int] = []

    def leave(number: int) -> None:
        left.append(number)
        if number + 1 < len(subscriptions):
            subscriptions[number + 1].dispose()

    calls = [AtOnce(number).pipe(rate_limit(one)) for number in range(3000)]
    subscriptions.extend(call.subscribe(leave) for call in calls)
    one.reset()
    assert left == list(range(0, 3000, 2))


def test_stress_thousands_in_line_are_served_without_recursion() -> None:
    clock = ManualClock()
    everything, endpoint = limiter(10_000, 1.0, clock=clock), limiter(10_000, 1.0, burst=5000, clock=clock)
    calls = Departures(clock)
    for _ in range(5000):
        calls.pipe(rate_limit(everything, endpoint)).subscribe()
    clock.drain()
    assert len(calls.at) == 5000 and calls.at[-1] == pytest.approx(0.4999)


# Whatever comes


arrivals = st.lists(
    st.tuples(
        st.sampled_from([0.0, 0.0, 0.1, 0.7, 1.3, 6.0]),  # pause before
        st.sampled_from(["all", "a", "b"]),
        st.integers(1, 3),  # cost
        st.sampled_from([None, None, 0.0, 0.4, 2.5]),  # disposed after so long
        st.sampled_from([None, None, None, 0.5, 3.0]),  # max_wait
    ),
    max_size=60,
)


@given(
    calls=arrivals,
    outer=st.tuples(st.integers(1, 12), st.sampled_from([0.7, 3.0, 10.0]), st.integers(1, 5)),
    inner=st.tuples(st.integers(3, 9), st.sampled_from([1.0, 5.0]), st.integers(1, 4)),
    blocks=st.lists(st.tuples(st.floats(0.0, 30.0), st.floats(0.0, 8.0)), max_size=3),
)
def test_no_window_sees_more_than_its_limit_and_nobody_starves(
    calls: list[tuple[float, str, int, float | None, float | None]],
    outer: tuple[int, float, int],
    inner: tuple[int, float, int],
    blocks: list[tuple[float, float]],
) -> None:
    run = Run(outer, inner, blocks)
    for call in calls:
        run.arrive(*call)
    run.clock.drain()
    run.check()


class Run:
    """One history of calls under a limit for all and two for a part, in virtual time."""

    def __init__(self, outer: tuple[int, float, int], inner: tuple[int, float, int], blocks: Any) -> None:
        self.clock = ManualClock(start=1e5 / 3)
        self.limiters = {
            name: RateLimiter(max(limit, 3), window, burst=burst, clock=self.clock, name=name)
            for name, (limit, window, burst) in (("all", outer), ("a", inner), ("b", inner))
        }
        self.departed: dict[str, list[tuple[float, int]]] = {name: [] for name in self.limiters}
        self.order: dict[str, list[int]] = {name: [] for name in self.limiters}
        self.open: set[int] = set()
        self.count = 0
        for at, seconds in blocks:
            self.clock.call_later(at, partial(self.limiters["a"].feed_retry_after, seconds))

    def arrive(
        self, pause: float, name: str, cost: int, patience: float | None, max_wait: float | None
    ) -> None:
        self.clock.advance(pause)
        number = self.count
        self.count += 1
        chain = [self.limiters["all"]] + ([] if name == "all" else [self.limiters[name]])
        subscription = (
            Leaving(self, name, number, cost)
            .pipe(rate_limit(*chain, cost=cost, max_wait=max_wait))
            .subscribe(on_error=lambda _: self.open.discard(number))
        )
        if max_wait is None:
            self.open.add(number)
        if number in self.order[name]:
            self.open.discard(number)

        def give_up() -> None:
            subscription.dispose()
            self.open.discard(number)

        if patience is not None:
            self.clock.call_later(patience, give_up)

    def leave(self, name: str, number: int, cost: int) -> None:
        self.open.discard(number)
        self.order[name].append(number)
        for one in {"all", name}:
            self.departed[one].append((self.clock.now(), cost))

    def check(self) -> None:
        assert not self.open, "somebody was neither served nor refused"
        assert self.clock.timers == 0
        for name, one in self.limiters.items():
            assert one.statistics().waiting == 0 and one.line.cost_waiting == 0
            assert one.statistics().granted == len(self.departed[name])
            assert self.order[name] == sorted(self.order[name]), "first come, first served"
            self.check_windows(self.departed[name], one)

    def check_windows(self, departed: list[tuple[float, int]], one: RateLimiter) -> None:
        gcra = one.line.meter
        for start, _ in departed:
            within = [cost for at, cost in departed if start <= at < start + gcra.window - 1e-6]
            assert len(within) <= gcra.limit + gcra.burst
            assert sum(within) <= gcra.limit + max(gcra.burst, 3)


class Leaving(Stage[Any]):
    def __init__(self, run: Run, name: str, number: int, cost: int) -> None:
        self.notice = (run, name, number, cost)

    def attach(self, sink: ObserverBase[Any], scheduler: DemandScheduler) -> DisposableBase:
        run, name, number, cost = self.notice
        run.leave(name, number, cost)
        return NOTHING


# On a real loop


async def test_on_a_loop() -> None:
    one = RateLimiter(1000, 1.0, burst=1)
    loop = asyncio.get_running_loop()
    started = loop.time()
    calls = Manual()
    for _ in range(5):
        calls.pipe(rate_limit(one)).subscribe(Recorder())
    while calls.attached < 5:
        await asyncio.sleep(0.001)
    assert loop.time() - started >= 0.004 - 1e-6
    await turns()
    assert one.statistics().waiting == 0
