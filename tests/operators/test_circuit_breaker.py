"""circuit_breaker and CircuitBreaker: permits come back, outcomes count once, listeners break nothing."""

from __future__ import annotations

import asyncio
import logging
from random import Random
from typing import Any

import pytest
import reactivex
from reactivex import operators as ops
from reactivex.abc import DisposableBase, ObserverBase

from rxorch_operators import (
    BulkheadFullError,
    CircuitBreaker,
    CircuitChange,
    CircuitOpenError,
    CircuitPolicy,
    CircuitState,
    Outcome3,
    RateLimitExceededError,
    TimeoutExceededError,
    circuit_breaker,
    from_async,
)
from rxorch_operators.core.demand import DemandScheduler
from rxorch_operators.core.stage import Link, Stage
from tests.operators.manual_clock import ManualClock
from tests.operators.support import AtOnce, Boom, Manual, MarbleStage, Recorder, Time, events, turns

CLOSED, OPEN, HALF_OPEN = CircuitState.CLOSED, CircuitState.OPEN, CircuitState.HALF_OPEN
SUCCESS, FAILURE, IGNORED = Outcome3.SUCCESS, Outcome3.FAILURE, Outcome3.IGNORED


def opened(clock: ManualClock, **more: Any) -> CircuitBreaker:
    """A breaker that is open for another 60 s."""
    breaker = CircuitBreaker(policy=CircuitPolicy(threshold=1, **more), clock=clock)
    fail(breaker)
    assert breaker.state is OPEN
    return breaker


def half_open(clock: ManualClock, **more: Any) -> CircuitBreaker:
    """A breaker whose open time is over."""
    breaker = opened(clock, **more)
    clock.advance(60.0)
    return breaker


def call(breaker: CircuitBreaker, source: Stage[Any] | None = None, **more: Any) -> Recorder:
    recorder = Recorder()
    (source or AtOnce(1)).pipe(circuit_breaker(breaker, **more)).subscribe(recorder)
    return recorder


def fail(breaker: CircuitBreaker) -> Recorder:
    return call(breaker, AtOnce(error=Boom()))


class Once(Link):
    """A sink that has enough after one element."""

    def on_next(self, value: Any) -> None:
        super().on_next(value)
        self.dispose()


# The operator


@pytest.mark.parametrize("lean", [True, False])
@pytest.mark.parametrize("text", ["a-b|", "a-#", "|", "#"])
def test_elements_errors_and_the_end_pass(lean: bool, text: str) -> None:
    time = Time()
    marbles = time.marbles(text)
    recorder = time.run((MarbleStage(marbles) if lean else marbles).pipe(circuit_breaker(CircuitBreaker())))
    boom = recorder.error
    assert recorder.events == events(text, **({"#": boom} if boom else {}))
    assert marbles.active == 0 and time.idle


def test_opens_after_the_threshold_and_then_subscribes_nothing() -> None:
    clock = ManualClock()
    breaker = CircuitBreaker(3, 60.0, clock=clock, name="shop")
    for _ in range(3):
        assert breaker.state is CLOSED and breaker.retry_after == 0.0
        assert isinstance(fail(breaker).error, Boom)
    source = Manual()
    clock.advance(20.0)
    refused = call(breaker, source)
    assert isinstance(refused.error, CircuitOpenError)
    assert refused.error.retry_after == pytest.approx(40.0) and refused.error.name == "shop"
    assert not source.attached and breaker.state is OPEN and breaker.retry_after == pytest.approx(40.0)


def test_a_success_starts_the_count_anew() -> None:
    breaker = CircuitBreaker(2, clock=ManualClock())
    for _ in range(5):
        fail(breaker)
        call(breaker)
    assert breaker.state is CLOSED


def test_the_state_is_new_when_the_end_reaches_the_consumer() -> None:
    breaker = CircuitBreaker(1, clock=ManualClock())
    seen: list[CircuitState] = []
    AtOnce(error=Boom()).pipe(circuit_breaker(breaker)).subscribe(
        on_error=lambda _: seen.append(breaker.state)
    )
    assert seen == [OPEN]


def test_closes_when_the_trials_are_well() -> None:
    clock = ManualClock()
    breaker = half_open(clock, half_open_permits=2)
    assert breaker.state is OPEN  # reading it is no trial
    call(breaker)
    assert breaker.state is HALF_OPEN
    call(breaker, AtOnce())  # empty is a success too
    assert breaker.state is CLOSED


def test_time_comes_from_the_subscription_or_the_argument() -> None:
    time = Time()
    breaker = CircuitBreaker(1, 10.0)
    broken = time.marbles("#").pipe(circuit_breaker(breaker))
    assert isinstance(time.run(broken, seconds=4).error, Boom)
    refused = time.run(broken, seconds=4).error
    assert isinstance(refused, CircuitOpenError) and refused.retry_after == 6.0
    other = Recorder()
    time.marbles("#").pipe(circuit_breaker(breaker, scheduler=time.scheduler)).subscribe(other)
    assert isinstance(other.error, CircuitOpenError) and other.error.retry_after == 2.0
    assert breaker.retry_after == 2.0


def test_an_attempt_that_cannot_even_start_is_a_failure() -> None:
    class Broken(Stage[Any]):
        def attach(self, sink: ObserverBase[Any], scheduler: DemandScheduler) -> DisposableBase:
            raise Boom

    breaker = CircuitBreaker(1, clock=ManualClock())
    assert isinstance(call(breaker, Broken()).error, Boom)
    assert breaker.state is OPEN


def test_an_observer_that_fails_is_not_the_sources_fault() -> None:
    def fail_in_the_end() -> None:
        raise Boom

    breaker = CircuitBreaker(1, clock=ManualClock())
    with pytest.raises(Boom):
        AtOnce(1).pipe(circuit_breaker(breaker)).subscribe(on_completed=fail_in_the_end)
    assert breaker.state is CLOSED


def test_what_is_not_a_breaker_is_refused() -> None:
    with pytest.raises(TypeError, match="expected a CircuitBreaker, got int"):
        circuit_breaker(5)  # type: ignore[arg-type]


def test_a_lean_sink_hears_nothing_after_it_was_disposed_even_from_a_rude_source() -> None:
    source, sink = Manual(), Recorder()
    stage = source.pipe(circuit_breaker(CircuitBreaker()))
    assert isinstance(stage, Stage)
    subscription = stage.attach(sink, DemandScheduler.of(Time().scheduler))
    source.send(1)
    subscription.dispose()
    source.send(2)
    source.complete()
    source.fail(Boom())
    assert sink.events == [(0.0, 1)]


# What counts


@pytest.mark.parametrize(
    ("source", "subject"),
    [(AtOnce(7, 8), 7), (AtOnce(error=Boom("x")), "x"), (AtOnce(7, error=Boom("y")), "y")],
)
def test_classify_sees_the_error_or_else_the_first_element(source: AtOnce, subject: object) -> None:
    seen: list[Any] = []

    def classify(result: object) -> Outcome3:
        seen.append(result)
        return FAILURE

    breaker = CircuitBreaker(1, clock=ManualClock(), classify=classify)
    call(breaker, source)
    assert [str(one) for one in seen] == [str(subject)] and breaker.state is OPEN


def test_classify_of_the_operator_goes_first_and_an_empty_source_is_not_asked_about() -> None:
    breaker = CircuitBreaker(1, clock=ManualClock(), classify=lambda _: FAILURE)
    call(breaker, classify=lambda _: SUCCESS)
    call(breaker, AtOnce())
    assert breaker.state is CLOSED
    call(breaker)
    assert breaker.state is OPEN


def test_ignored_errors_count_for_nothing() -> None:
    breaker = CircuitBreaker(2, clock=ManualClock(), classify=lambda _: IGNORED)
    breaker.record(breaker.acquire(), FAILURE)
    for _ in range(5):
        fail(breaker)
    assert breaker.statistics().calls == 1
    breaker.record(breaker.acquire(), FAILURE)
    assert breaker.state is OPEN


@pytest.mark.parametrize("source", [AtOnce(1), AtOnce(error=Boom("first"))])
def test_classify_that_raises_is_the_calls_error_and_the_permit_comes_back(source: AtOnce) -> None:
    def broken(_: object) -> Outcome3:
        raise LookupError("classify")

    clock = ManualClock()
    breaker = half_open(clock, half_open_permits=1)
    recorder = call(breaker, source, classify=broken)
    assert isinstance(recorder.error, LookupError)
    assert recorder.error.__cause__ is source.error
    assert breaker.state is HALF_OPEN and breaker.statistics().trials == 0


def test_slow_calls_count_from_the_subscription_to_the_end() -> None:
    time = Time()
    breaker = CircuitBreaker(policy=CircuitPolicy(threshold=1, slow_call_duration=2.0))
    time.run(time.marbles("a-|").pipe(circuit_breaker(breaker)), seconds=10)
    assert breaker.state is CLOSED
    time.run(time.marbles("a--|").pipe(circuit_breaker(breaker)), seconds=10)
    assert breaker.state is OPEN


def test_a_consumer_that_has_what_it_wanted_counts_like_an_end() -> None:
    clock = ManualClock()
    breaker = half_open(clock, half_open_permits=1)
    recorder = Recorder()
    source = Manual()
    source.pipe(circuit_breaker(breaker), ops.take(1)).subscribe(recorder)
    source.send(5)
    assert recorder.values == [5] and source.disposed == 1
    assert breaker.state is CLOSED


def test_a_failure_told_by_the_first_element_counts_for_such_a_consumer_too() -> None:
    breaker = CircuitBreaker(1, clock=ManualClock(), classify=lambda _: FAILURE)
    source = Manual()
    source.pipe(circuit_breaker(breaker), ops.take(1)).subscribe(Recorder())
    source.send(5)
    assert breaker.state is OPEN


# Disposal and cancellation


def test_disposal_disposes_the_source_and_counts_for_nothing() -> None:
    breaker = CircuitBreaker(1, clock=ManualClock())
    source = Manual()
    subscription = source.pipe(circuit_breaker(breaker)).subscribe(Recorder())
    subscription.dispose()
    subscription.dispose()
    assert source.disposed == 1 and breaker.statistics().calls == 0


def test_trap_a_cancelled_trial_neither_closes_nor_wedges() -> None:
    clock = ManualClock()
    breaker = half_open(clock, half_open_permits=1)
    for _ in range(5):
        source = Manual()
        subscription = source.pipe(circuit_breaker(breaker)).subscribe(Recorder())
        assert source.attached == 1, "the permit of the one before did not come back"
        assert isinstance(call(breaker).error, CircuitOpenError)
        subscription.dispose()
        assert breaker.state is HALF_OPEN
    call(breaker)
    assert breaker.state is CLOSED


def test_trap_a_trial_disposed_after_its_first_element_gives_its_permit_back() -> None:
    breaker = half_open(ManualClock(), half_open_permits=1)
    source = Manual()
    subscription = source.pipe(circuit_breaker(breaker)).subscribe(Recorder())
    source.send(1)
    subscription.dispose()
    assert breaker.state is HALF_OPEN and breaker.statistics().trials == 0
    assert call(breaker).completed


def test_trap_a_cancelled_call_of_the_closed_state_adds_no_trials() -> None:
    clock = ManualClock()
    breaker = CircuitBreaker(policy=CircuitPolicy(threshold=1, half_open_permits=2), clock=clock)
    old = [Manual().pipe(circuit_breaker(breaker)).subscribe(Recorder()) for _ in range(5)]
    fail(breaker)
    clock.advance(60.0)
    trials = [Manual() for _ in range(2)]
    for trial in trials:
        trial.pipe(circuit_breaker(breaker)).subscribe(Recorder())
    for subscription in old:
        subscription.dispose()
    assert isinstance(call(breaker).error, CircuitOpenError)


@pytest.mark.parametrize("text", ["success", "failure"])
def test_trap_results_of_an_older_state_change_nothing(text: str) -> None:
    clock = ManualClock()
    breaker = CircuitBreaker(policy=CircuitPolicy(threshold=1, half_open_permits=1), clock=clock)
    late = Manual()
    recorder = call(breaker, late)
    fail(breaker)
    clock.advance(60.0)
    trial = Manual()
    call(breaker, trial)
    if text == "success":
        late.complete()
    else:
        late.fail(Boom())
    assert recorder.ended
    assert breaker.state is HALF_OPEN and breaker.statistics().trials == 1
    trial.complete()
    assert breaker.state is CLOSED


def test_trap_a_trial_that_hangs_loses_its_lease() -> None:
    clock = ManualClock()
    breaker = half_open(clock, half_open_permits=1, lease=30.0)
    hung = Manual()
    call(breaker, hung)
    clock.advance(29.0)
    assert isinstance(call(breaker).error, CircuitOpenError)
    clock.advance(1.0)
    assert call(breaker).completed and breaker.state is CLOSED
    hung.fail(Boom())
    assert breaker.state is CLOSED and breaker.statistics().calls == 0


async def test_a_task_that_is_cancelled_from_outside_is_ignored() -> None:
    breaker = CircuitBreaker(1)

    async def hang() -> None:
        await asyncio.get_running_loop().create_future()

    recorder = Recorder()
    before = asyncio.all_tasks()
    from_async(hang).pipe(circuit_breaker(breaker)).subscribe(recorder)
    await turns()
    (task,) = asyncio.all_tasks() - before
    task.cancel()
    await turns()
    assert isinstance(recorder.error, asyncio.CancelledError) and breaker.state is CLOSED


# await breaker.call(...)


async def test_call_takes_plain_and_async_functions() -> None:
    breaker = CircuitBreaker(threshold=3, timeout=30.0)

    def plain(a: int, *, b: int) -> int:
        return a + b

    async def later(a: int, *, b: int) -> int:
        await asyncio.sleep(0)
        return a * b

    assert await breaker.call(plain, 2, b=3) == 5
    assert await breaker.call(later, 2, b=3) == 6
    assert await breaker.call(lambda: reactivex.just(7)) == 7


async def test_call_opens_and_then_does_not_call() -> None:
    clock = ManualClock()
    breaker = CircuitBreaker(threshold=2, timeout=30.0, clock=clock)
    calls = 0

    def plain() -> None:
        nonlocal calls
        calls += 1
        raise Boom

    async def later() -> None:
        plain()

    for function in (plain, later):
        with pytest.raises(Boom):
            await breaker.call(function)
    with pytest.raises(CircuitOpenError) as caught:
        await breaker.call(plain)
    assert caught.value.retry_after == 30.0 and calls == 2
    clock.advance(30.0)
    for _ in range(3):
        await breaker.call(lambda: None)
    assert breaker.state is CLOSED


async def test_call_classifies_results() -> None:
    breaker = CircuitBreaker(1, classify=lambda result: FAILURE if result == 503 else SUCCESS)
    assert await breaker.call(lambda: 200) == 200 and breaker.state is CLOSED
    assert await breaker.call(lambda: 503) == 503 and breaker.state is OPEN


async def test_trap_a_cancelled_call_gives_its_permit_back_and_is_not_classified() -> None:
    clock = ManualClock()
    breaker = half_open(clock, half_open_permits=1)
    breaker.classify = lambda result: FAILURE

    async def hang() -> None:
        await asyncio.get_running_loop().create_future()

    for _ in range(3):
        task = asyncio.create_task(breaker.call(hang))
        await turns()
        assert breaker.statistics().trials == 1
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled()
        assert breaker.state is HALF_OPEN and breaker.statistics().trials == 0


async def test_call_with_a_classify_that_raises_gives_the_permit_back() -> None:
    def broken(_: object) -> Outcome3:
        raise LookupError

    breaker = half_open(ManualClock(), half_open_permits=1)
    breaker.classify = broken
    with pytest.raises(LookupError):
        await breaker.call(lambda: 1)
    assert breaker.statistics().trials == 0


# By hand


def test_the_states_by_hand() -> None:
    clock = ManualClock()
    breaker = CircuitBreaker(1, clock=clock)
    breaker.force_open()
    refused = call(breaker).error
    assert isinstance(refused, CircuitOpenError) and refused.retry_after is None
    clock.advance(1e6)
    assert breaker.state is CircuitState.FORCED_OPEN
    breaker.disable()
    fail(breaker)
    assert breaker.state is CircuitState.DISABLED and breaker.statistics().calls == 0
    breaker.metrics_only()
    fail(breaker)
    assert breaker.state is CircuitState.METRICS_ONLY and breaker.statistics().failed == 1
    breaker.reset()
    assert breaker.state is CLOSED and breaker.statistics().calls == 0


def test_acquire_and_record_for_callers_of_another_kind() -> None:
    class Spelled(CircuitBreaker):
        """As another library spells it."""

        def __init__(self, max_failures: int, cooldown_time: float) -> None:
            super().__init__(max_failures, cooldown_time, clock=ManualClock())

        def is_open(self) -> bool:
            return self.state is OPEN

        def record_failure(self) -> None:
            self.record(self.acquire(), FAILURE)

    breaker = Spelled(max_failures=2, cooldown_time=5)
    breaker.record_failure()
    assert not breaker.is_open()
    breaker.record_failure()
    assert breaker.is_open()
    with pytest.raises(CircuitOpenError):
        breaker.acquire()


def test_a_permit_counts_once() -> None:
    breaker = CircuitBreaker(2, clock=ManualClock())
    permit = breaker.acquire()
    breaker.record(permit, FAILURE)
    breaker.record(permit, FAILURE)
    assert breaker.state is CLOSED


# Listeners


def test_listeners_hear_each_change_and_may_use_the_breaker() -> None:
    clock = ManualClock()
    seen: list[tuple[CircuitState, CircuitState]] = []
    states: list[CircuitState] = []

    def listen(change: CircuitChange) -> None:
        seen.append((change.old, change.new))
        states.append(breaker.state)

    breaker = CircuitBreaker(
        policy=CircuitPolicy(threshold=1, half_open_permits=1), clock=clock, on_change=listen
    )
    fail(breaker)
    clock.advance(60.0)
    call(breaker)
    breaker.force_open()
    assert seen == [
        (CLOSED, OPEN),
        (OPEN, HALF_OPEN),
        (HALF_OPEN, CLOSED),
        (CLOSED, CircuitState.FORCED_OPEN),
    ]
    assert states == [new for _, new in seen]


async def test_listeners_hear_the_changes_of_awaited_calls() -> None:
    clock = ManualClock()
    breaker = half_open(clock, half_open_permits=1)
    seen: list[CircuitState] = []
    breaker.listen(lambda change: seen.append(change.new))
    await breaker.call(lambda: 1)
    assert seen == [HALF_OPEN, CLOSED]


def test_a_sink_that_ends_itself_before_the_source_has_attached_hears_no_more() -> None:
    breaker = CircuitBreaker(1, clock=ManualClock())
    recorder = Recorder()
    stage = AtOnce(1, 2).pipe(circuit_breaker(breaker))
    assert isinstance(stage, Stage)
    Once(recorder).connect(stage, DemandScheduler.of(Time().scheduler))
    assert recorder.events == [(0.0, 1)]


def test_a_listener_that_fails_breaks_neither_the_call_nor_the_others(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def broken(_: CircuitChange) -> None:
        raise LookupError

    breaker = CircuitBreaker(1, clock=ManualClock(), on_change=broken)
    heard: list[CircuitChange] = []
    breaker.listen(heard.append)
    with caplog.at_level(logging.ERROR):
        assert isinstance(fail(breaker).error, Boom)
    assert len(heard) == 1 and "a listener of CircuitBreaker(OPEN) failed" in caplog.text


def test_a_listener_that_was_disposed_hears_nothing_even_if_it_listened_twice() -> None:
    breaker = CircuitBreaker(1, clock=ManualClock())
    heard: list[CircuitChange] = []
    tell = heard.append
    first = breaker.listen(tell)
    breaker.listen(tell)
    first.dispose()
    first.dispose()
    breaker.force_open()
    assert len(heard) == 1


def test_jitter_comes_from_the_given_chance() -> None:
    def wait_of(seed: int) -> float | None:
        breaker = CircuitBreaker(
            policy=CircuitPolicy(threshold=1, jitter=0.5), clock=ManualClock(), random=Random(seed)
        )
        fail(breaker)
        return breaker.retry_after

    assert wait_of(1) == wait_of(1) != wait_of(2)


def test_without_a_loop_the_time_is_monotonic() -> None:
    breaker = CircuitBreaker(1, 60.0)
    fail(breaker)
    wait = breaker.retry_after
    assert wait is not None and 0 < wait <= 60.0
    assert repr(CircuitBreaker(name="shop")) == "CircuitBreaker('shop', CLOSED)"


@pytest.mark.parametrize(
    ("refusal", "state"),
    [
        (RateLimitExceededError(retry_after=1.0), CLOSED),
        (BulkheadFullError(), CLOSED),
        (CircuitOpenError(), CLOSED),
        (TimeoutExceededError(limit=1.0, kind="queue"), CLOSED),
        (TimeoutExceededError(limit=1.0, kind="total"), OPEN),
        (OSError("reset"), OPEN),
    ],
)
def test_a_refusal_from_inside_is_no_failure_of_the_service(refusal: Exception, state: CircuitState) -> None:
    breaker = CircuitBreaker(threshold=1)
    reactivex.throw(refusal).pipe(circuit_breaker(breaker)).subscribe(on_error=lambda _: None)
    assert breaker.state is state
