"""chaos in virtual time: the fault that the dice chose, and nothing at all while it is switched off."""

from __future__ import annotations

import asyncio
import logging
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reactivex import Observable
from reactivex import operators as ops
from reactivex.abc import DisposableBase

from rxorch_operators import from_iterable, retry_backoff
from rxorch_operators.chaos import ChaosPolicy, FaultEvent, FaultInjector, chaos
from rxorch_operators.core.demand import DemandScheduler
from rxorch_operators.core.stage import as_stage
from rxorch_operators.guard import guard
from tests.operators.support import END, AtOnce, Boom, Manual, MarbleStage, Recorder, Time, Window, events

LATE = ChaosPolicy(latency_rate=1.0, latency=2.0)
ERROR = ChaosPolicy(error_rate=1.0, error=Boom)
RESET = ChaosPolicy(reset_rate=1.0, reset=Boom)
OUTCOME = ChaosPolicy(outcome_rate=1.0, outcome=lambda: "other")
LATE_ERROR = ChaosPolicy(latency_rate=1.0, latency=2.0, error_rate=1.0, error=Boom)
LATE_RESET = ChaosPolicy(latency_rate=1.0, latency=2.0, reset_rate=1.0, reset=Boom)
LATE_OUTCOME = ChaosPolicy(latency_rate=1.0, latency=2.0, outcome_rate=1.0, outcome=lambda: "other")


def shape(recorder: Recorder) -> list[tuple[float, Any]]:
    """What was recorded, with errors by the name of their class."""
    return [
        (at, type(event).__name__ if isinstance(event, BaseException) else event)
        for at, event in recorder.events
    ]


@pytest.mark.parametrize("policy", [LATE, ERROR, RESET, OUTCOME])
def test_switched_off_nothing_happens(policy: ChaosPolicy) -> None:
    time = Time()
    told: list[FaultEvent] = []
    stream = time.marbles("-a-b|").pipe(chaos(policy, on_fault=told.append))
    assert time.run(stream).events == events("-a-b|")
    assert told == []


def test_switched_off_the_source_is_subscribed_as_if_it_were_not_there() -> None:
    time, source, recorder = Time(), Manual(), Recorder()
    as_stage(source.pipe(chaos(ERROR))).attach(recorder, DemandScheduler.of(time.scheduler))
    assert source.sink is recorder


def test_who_is_spared_is_not_touched() -> None:
    time, source, recorder = Time(), Manual(), Recorder()
    as_stage(source.pipe(chaos(ChaosPolicy(), enabled=True))).attach(
        recorder, DemandScheduler.of(time.scheduler)
    )
    assert source.sink is recorder


@pytest.mark.parametrize("kind", ["stock", "stage"])
def test_latency_delays_the_subscription(kind: str) -> None:
    time = Time()
    told: list[FaultEvent] = []
    marbles = time.marbles("-a-b|")
    source: Observable[Any] = marbles if kind == "stock" else MarbleStage(marbles)
    recorder = time.run(source.pipe(chaos(LATE, enabled=True, on_fault=told.append)))
    assert recorder.events == events("---a-b|")
    assert marbles.subscribed == [2.0]
    assert told == [FaultEvent("latency", 2.0)]
    assert time.idle


def test_an_error_comes_in_the_place_of_the_call() -> None:
    time = Time()
    told: list[FaultEvent] = []
    source = time.marbles("-a|")
    recorder = time.run(source.pipe(chaos(ERROR, enabled=True, on_fault=told.append)))
    assert shape(recorder) == [(0.0, "Boom")]
    assert source.subscribed == []
    assert told == [FaultEvent("error", error=recorder.error)]  # type: ignore[arg-type]


def test_a_late_call_may_fail_too() -> None:
    time = Time()
    told: list[FaultEvent] = []
    source = time.marbles("-a|")
    recorder = time.run(source.pipe(chaos(LATE_ERROR, enabled=True, on_fault=told.append)))
    assert shape(recorder) == [(2.0, "Boom")]
    assert source.subscribed == []
    assert [event.kind for event in told] == ["latency", "error"]


@pytest.mark.parametrize(
    ("after", "source", "result"),
    [
        (0, "-a-b|", [(1.0, "Boom")]),
        (1, "-a-b|", [(1.0, "a"), (3.0, "Boom")]),
        (2, "-a-b|", [(1.0, "a"), (3.0, "b"), (4.0, "Boom")]),  # the end was lost
        (9, "-a-b|", [(1.0, "a"), (3.0, "b"), (4.0, "Boom")]),
        (0, "--|", [(2.0, "Boom")]),
        (1, "-a", [(1.0, "a")]),
    ],
)
def test_a_reset_loses_what_comes_after_so_many_elements(
    after: int, source: str, result: list[tuple[float, Any]]
) -> None:
    time = Time()
    told: list[FaultEvent] = []
    marbles = time.marbles(source)
    policy = ChaosPolicy(reset_rate=1.0, reset=Boom, reset_after=after)
    recorder = time.run(marbles.pipe(chaos(policy, enabled=True, on_fault=told.append)))
    assert shape(recorder) == result
    assert marbles.subscribed == [0.0]
    assert [event.kind for event in told] == (["reset"] if recorder.ended else [])
    if recorder.ended:
        assert marbles.released == [result[-1][0]]


def test_a_source_that_fails_before_the_reset_keeps_its_error() -> None:
    time, error, injector = Time(), KeyError(), FaultInjector(RESET, enabled=True)
    recorder = time.run(time.marbles("-#", error=error).pipe(chaos(injector=injector)))
    assert recorder.error is error
    assert injector.statistics().resets == 0


def test_an_outcome_comes_in_the_place_of_the_answer() -> None:
    time = Time()
    told: list[FaultEvent] = []
    source = time.marbles("-a|")
    recorder = time.run(source.pipe(chaos(OUTCOME, enabled=True, on_fault=told.append)))
    assert recorder.events == [(0.0, "other"), (0.0, END)]
    assert source.subscribed == []
    assert told == [FaultEvent("outcome")]


def test_by_default_the_errors_are_those_of_the_network() -> None:
    for policy, kind in (
        (ChaosPolicy(error_rate=1.0), ConnectionRefusedError),
        (ChaosPolicy(reset_rate=1.0), ConnectionResetError),
    ):
        recorder = Recorder()
        again = Recorder()
        stream = AtOnce(1).pipe(chaos(policy, enabled=True))
        stream.subscribe(recorder)
        stream.subscribe(again)
        assert type(recorder.error) is type(again.error) is kind
        assert recorder.error is not again.error
        assert "injected by chaos" in str(recorder.error)


def fates(seed: int, calls: int = 30) -> list[Any]:
    time = Time()
    policy = ChaosPolicy(
        latency_rate=0.5, error_rate=0.3, reset_rate=0.3, outcome_rate=0.3, outcome=lambda: "z"
    )
    stream = time.marbles("-a|").pipe(chaos(policy, enabled=True, random=Random(seed)))
    return [shape(time.run(stream, seconds=5)) for _ in range(calls)]


def test_a_seed_repeats_itself() -> None:
    assert fates(7) == fates(7)
    assert fates(7) != fates(8)


def test_the_switch_may_be_a_function_asked_at_each_subscription() -> None:
    on, recorders = [False], [Recorder() for _ in range(3)]
    stream = AtOnce("a").pipe(chaos(ERROR, enabled=lambda: on[0]))
    for recorder, on[0] in zip(recorders, (False, True, False), strict=True):
        stream.subscribe(recorder)
    assert [recorder.completed for recorder in recorders] == [True, False, True]


def test_an_injector_is_shared_counts_and_can_be_switched_while_it_runs() -> None:
    time, injector = Time(), FaultInjector(LATE_ERROR)
    one, other = chaos(injector=injector), chaos(injector=injector)
    time.run(time.marbles("a|").pipe(one), seconds=1)
    injector.enabled = True
    time.run(time.marbles("a|").pipe(one), seconds=10)
    injector.policy = OUTCOME
    time.run(time.marbles("a|").pipe(other), seconds=10)
    statistics = injector.statistics()
    assert (statistics.calls, statistics.latencies, statistics.errors) == (2, 1, 1)
    assert (statistics.outcomes, statistics.resets) == (1, 0)


def test_a_policy_set_anew_does_not_change_the_fate_of_those_that_run() -> None:
    time, injector = Time(), FaultInjector(LATE_ERROR, enabled=True)
    recorder, _ = time.record(time.marbles("a|").pipe(chaos(injector=injector)))
    injector.policy = ChaosPolicy(error=KeyError)
    time.advance(5)
    assert isinstance(recorder.error, Boom)


def raises(*_: Any) -> Any:
    raise KeyError("broken")


@pytest.mark.parametrize(
    "policy",
    [
        ChaosPolicy(error_rate=1.0, error=raises),
        ChaosPolicy(reset_rate=1.0, reset=raises),
        ChaosPolicy(outcome_rate=1.0, outcome=raises),
    ],
)
def test_what_a_function_of_the_policy_raises_is_the_error(policy: ChaosPolicy) -> None:
    source, recorder, injector = Manual(), Recorder(), FaultInjector(policy, enabled=True)
    source.pipe(chaos(injector=injector)).subscribe(recorder)
    if source.attached:
        source.send("a")
        assert source.disposed == 1
    assert isinstance(recorder.error, KeyError)
    statistics = injector.statistics()
    assert statistics.errors + statistics.resets + statistics.outcomes == 0


@pytest.mark.parametrize("made", ["no exception", asyncio.CancelledError()])
def test_what_is_no_exception_is_refused_as_an_error(made: Any) -> None:
    recorder = Recorder()
    AtOnce(1).pipe(chaos(ChaosPolicy(error_rate=1.0, error=lambda: made), enabled=True)).subscribe(recorder)
    assert isinstance(recorder.error, TypeError)
    assert "must make an exception" in str(recorder.error)


def test_a_switch_that_raises_is_the_error() -> None:
    source, recorder = Manual(), Recorder()
    source.pipe(chaos(ERROR, enabled=raises)).subscribe(recorder)
    assert isinstance(recorder.error, KeyError)
    assert source.attached == 0


@pytest.mark.parametrize("policy", [LATE_ERROR, RESET, OUTCOME])
def test_what_on_fault_raises_is_logged_and_the_fault_stays(
    policy: ChaosPolicy, caplog: pytest.LogCaptureFixture
) -> None:
    time = Time()
    with caplog.at_level(logging.ERROR, "rxorch_operators"):
        recorder = time.run(time.marbles("-a|").pipe(chaos(policy, enabled=True, on_fault=raises)))
    assert recorder.ended
    assert recorder.values != ["a"]
    assert "on_fault failed" in caplog.text


@pytest.mark.parametrize("policy", [LATE_ERROR, LATE_RESET, LATE_OUTCOME])
def test_on_fault_may_dispose_the_subscription(policy: ChaosPolicy) -> None:
    time, source = Time(), Manual()

    def leave(event: FaultEvent) -> None:
        if event.kind != "latency":
            subscription.dispose()

    recorder, subscription = time.record(source.pipe(chaos(policy, enabled=True, on_fault=leave)))
    time.advance(3)
    if source.attached:
        source.send("a")
    assert recorder.events == []
    assert source.disposed == source.attached
    assert time.idle


def test_disposal_during_a_late_start_cancels_it() -> None:
    time = Time()
    source = time.marbles("-a|")
    recorder, subscription = time.record(source.pipe(chaos(LATE_ERROR, enabled=True)))
    time.advance(1)
    subscription.dispose()
    assert time.idle
    time.advance(100)
    assert recorder.events == []
    assert source.subscribed == []


@pytest.mark.parametrize("at", [2.0, 2.5, 3.5])
def test_disposal_disposes_the_source(at: float) -> None:
    time = Time()
    policy = ChaosPolicy(latency_rate=1.0, latency=2.0, reset_rate=1.0, reset_after=2)
    source = time.marbles("-a-b-c|")
    recorder, subscription = time.record(source.pipe(chaos(policy, enabled=True)))
    time.advance(at)
    subscription.dispose()
    seen = list(recorder.events)
    assert time.idle
    assert source.active == 0
    time.advance(100)
    assert recorder.events == seen


@pytest.mark.parametrize("policy", [LATE, ChaosPolicy(reset_rate=1.0, reset_after=5), LATE_OUTCOME])
def test_disposal_from_inside_on_next(policy: ChaosPolicy) -> None:
    time = Time()
    source = time.marbles("-a-b|")
    recorder = time.run(source.pipe(chaos(policy, enabled=True), ops.take(1)))
    assert len(recorder.values) == 1
    assert recorder.completed
    assert source.active == 0
    assert time.idle


@pytest.mark.parametrize(("after", "values"), [(0, []), (2, [1, 2]), (3, [1, 2, 3])])
def test_a_source_that_emits_while_it_starts_is_broken_as_well(after: int, values: list[int]) -> None:
    recorder = Recorder()
    policy = ChaosPolicy(reset_rate=1.0, reset=Boom, reset_after=after)
    AtOnce(1, 2, 3).pipe(chaos(policy, enabled=True)).subscribe(recorder)
    assert recorder.values == values
    assert isinstance(recorder.error, Boom)


@pytest.mark.parametrize("end", ["reset", "complete", "fail", "dispose"])
def test_nothing_follows_the_end_and_the_source_is_let_go_of(end: str) -> None:
    time, source, recorder = Time(), Manual(), Recorder()
    injector = FaultInjector(LATE_RESET if end == "reset" else LATE, enabled=True)
    stage = as_stage(source.pipe(chaos(injector=injector)))
    link = stage.attach(
        recorder, DemandScheduler.of(time.scheduler)
    )  # no border that hides an event too many
    time.advance(3)
    if end == "reset":
        source.send("a")
    elif end == "complete":
        source.complete()
    elif end == "fail":
        source.fail(Boom())
    else:
        link.dispose()
    for _ in range(2):
        source.send("b")
        source.complete()
        source.fail(KeyError())
    assert len(recorder.events) == (end != "dispose")
    assert source.disposed == 1
    assert injector.statistics().resets == (end == "reset")


def test_an_exception_while_the_source_starts_is_its_failure() -> None:
    class Broken(AtOnce):
        def attach(self, sink: Any, scheduler: Any) -> DisposableBase:
            if self.values:
                super().attach(sink, scheduler)
            raise Boom

    time = Time()
    assert isinstance(time.run(Broken().pipe(chaos(LATE, enabled=True))).error, Boom)
    recorder = Recorder()
    with pytest.raises(Boom):  # it had ended before
        Broken(1).pipe(chaos(RESET, enabled=True)).subscribe(recorder)
    assert isinstance(recorder.error, Boom)


def test_without_a_loop_it_says_what_to_do() -> None:
    source, recorder = Manual(), Recorder()
    source.pipe(chaos(LATE, enabled=True)).subscribe(recorder)
    assert "pass scheduler=" in str(recorder.error)
    assert source.attached == 0


def test_its_own_scheduler_is_the_time() -> None:
    time, source = Time(), Manual()
    source.pipe(chaos(LATE, enabled=True, scheduler=time.scheduler)).subscribe(Recorder())
    time.advance(3)
    assert source.attached == 1


def test_demand_passes_through() -> None:
    time, recorder = Time(), Recorder()
    window = Window(recorder, room=2)
    policy = ChaosPolicy(latency_rate=1.0, latency=2.0, reset_rate=1.0, reset=Boom, reset_after=3)
    stage = as_stage(from_iterable(range(9)).pipe(chaos(policy, enabled=True)))
    window.connect(stage, DemandScheduler.of(time.scheduler).with_demand(window.demand))
    time.advance(5)
    assert recorder.values == [0, 1]
    window.open(5)
    time.advance(5)
    assert recorder.values == [0, 1, 2]
    assert isinstance(recorder.error, Boom)


def test_a_retry_around_it_mends_what_it_breaks() -> None:
    time, injector = Time(), FaultInjector(ChaosPolicy(error_rate=0.3, reset_rate=0.2), enabled=True)
    call: Observable[Any] = time.marbles("-a|").pipe(
        chaos(injector=injector), retry_backoff(max_attempts=20, base=0.0, max_elapsed=None)
    )
    for _ in range(50):
        assert time.run(call, seconds=50).values == ["a"]
    statistics = injector.statistics()
    assert statistics.calls == 50 + statistics.errors + statistics.resets
    assert statistics.errors > 10
    assert statistics.resets > 5


rates = st.floats(0.0, 0.33)


@settings(deadline=None)
@given(rates, rates, rates, rates, st.integers(0, 3), st.integers(0, 1000), st.none() | st.integers(0, 9))
def test_every_subscription_ends_once_and_leaves_nothing(
    late: float, error: float, reset: float, outcome: float, after: int, seed: int, leaves: int | None
) -> None:
    time = Time()
    policy = ChaosPolicy(
        latency_rate=3 * late,
        latency=(0.0, 4.0),
        error_rate=error,
        reset_rate=reset,
        reset_after=(0, after),
        outcome_rate=outcome,
        outcome=lambda: "z",
    )
    injector = FaultInjector(policy, enabled=True, random=Random(seed))
    source = time.marbles("-a-b|")
    recorders = [time.record(source.pipe(chaos(injector=injector))) for _ in range(10)]
    if leaves is not None:
        for _, subscription in recorders:
            time.after(leaves + 0.25, subscription.dispose)
    time.advance(100)
    assert leaves is not None or all(recorder.ended for recorder, _ in recorders)
    assert source.active == 0
    assert time.idle
    statistics = injector.statistics()
    failed = sum(recorder.error is not None for recorder, _ in recorders)
    assert (statistics.calls, statistics.errors + statistics.resets) == (10, failed)
    assert statistics.outcomes == sum(recorder.values == ["z"] for recorder, _ in recorders)


async def test_awaited_and_as_a_decorator() -> None:
    calls = []

    async def double(number: int) -> Any:
        calls.append(number)
        return 2 * number

    injector = FaultInjector(ChaosPolicy(latency_rate=1.0, latency=0.0001, reset_rate=1.0))
    assert await guard(chaos(injector=injector)).call(double, 4) == 8
    injector.enabled = True
    with pytest.raises(ConnectionResetError):
        await guard(chaos(injector=injector)).call(double, 5)
    injector.policy = ERROR
    with pytest.raises(Boom):
        await guard(chaos(injector=injector))(double)(6)
    injector.policy = OUTCOME
    assert await guard(chaos(injector=injector))(double)(7) == "other"
    assert calls == [4, 5]  # the reset lost the answer of a call that was made


async def test_a_cancelled_caller_leaves_no_timer() -> None:
    told = asyncio.Event()
    late = chaos(ChaosPolicy(latency_rate=1.0, latency=3600.0), enabled=True, on_fault=lambda _: told.set())
    waiting = asyncio.create_task(guard(late).call(asyncio.sleep, 0))
    await told.wait()
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting  # the check after each test looks for timers


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "needs a policy or an injector"),
        ({"policy": 0.5}, r"ChaosPolicy\(error_rate="),
        ({"injector": LATE}, "expected a FaultInjector"),
        ({"injector": FaultInjector(LATE), "policy": LATE}, "brings its own"),
        ({"injector": FaultInjector(LATE), "enabled": True}, "brings its own"),
        ({"injector": FaultInjector(LATE), "random": Random(1)}, "brings its own"),
    ],
)
def test_what_does_not_fit_is_refused_with_advice(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(TypeError, match=message):
        chaos(**arguments)
