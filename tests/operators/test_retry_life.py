"""retry_backoff at its edges: the functions given to it, disposal, sources that fail while they start."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
import reactivex
from reactivex import Observable
from reactivex import operators as ops
from reactivex.abc import DisposableBase, ObserverBase
from reactivex.disposable import Disposable

from rxorch_operators import RetryPolicy, from_iterable, retry_backoff
from rxorch_operators.core.stage import as_stage
from rxorch_operators.from_async import from_async
from tests.operators.support import AtOnce, Boom, Manual, Recorder, Time, turns

STEADY = RetryPolicy(max_attempts=4, base=1.0, factor=2.0, cap=60.0, jitter="none", max_elapsed=None)
"""Waits of 1, 2 and 4 seconds."""


def test_disposal_during_the_wait_cancels_it() -> None:
    time = Time()
    source = time.marbles("#")
    recorder, subscription = time.record(source.pipe(retry_backoff(STEADY)))
    time.advance(0.5)
    subscription.dispose()
    assert time.idle
    time.advance(100)
    assert recorder.events == []
    assert len(source.subscribed) == 1


@pytest.mark.parametrize("at", [0.5, 1.0, 1.5, 2.0, 2.5, 3.5, 5.5])
def test_disposal_at_every_step_ends_everything(at: float) -> None:
    time = Time()
    source = time.marbles("-#", "-#", "--------a")
    recorder = time.run(source.pipe(retry_backoff(STEADY)), dispose=at)
    assert recorder.events == []
    assert source.active == 0
    assert time.idle


def test_disposal_while_an_element_is_held_drops_it() -> None:
    time = Time()
    recorder = time.run(
        time.marbles("a--|").pipe(retry_backoff(STEADY, retry_result=lambda _: False)), dispose=1
    )
    assert recorder.events == []


@pytest.mark.parametrize(
    "name", ["retry_if", "hint", "base", "on_retry", "deadline", "on_give_up", "resume", "retry_result"]
)
def test_a_function_that_raises_is_the_error_with_the_original_as_its_cause(name: str) -> None:
    time, boom, broken = Time(), Boom(), KeyError("broken")

    def raises(*args: Any) -> Any:
        raise broken

    attempts = 1 if name == "on_give_up" else 3
    marbles = {"resume": "a#", "retry_result": "a|"}.get(name, "#")
    source = time.marbles(marbles, error=boom)
    recorder = time.run(source.pipe(retry_backoff(STEADY, max_attempts=attempts, **{name: raises})))
    assert recorder.error is broken
    assert broken.__cause__ is (None if name == "retry_result" else boom)
    assert len(source.subscribed) == 1
    assert time.idle


def test_a_function_that_raises_the_error_it_was_given_makes_no_ring() -> None:
    time, boom = Time(), Boom()

    def raises(error: Exception) -> bool:
        raise error

    recorder = time.run(time.marbles("#", error=boom).pipe(retry_backoff(STEADY, retry_if=raises)))
    assert recorder.error is boom
    assert boom.__cause__ is None


@pytest.mark.parametrize("name", ["on_retry", "retry_if", "on_give_up"])
def test_disposal_from_inside_a_function(name: str) -> None:
    time = Time()
    subscription: DisposableBase

    def disposes(*args: Any) -> bool:
        subscription.dispose()
        return True

    attempts = 1 if name == "on_give_up" else 3
    source = time.marbles("-#")
    operator = retry_backoff(STEADY, max_attempts=attempts, **{name: disposes})  # type: ignore[arg-type]
    recorder, subscription = time.record(source.pipe(operator))
    time.advance(100)
    assert recorder.events == []
    assert len(source.subscribed) == 1
    assert time.idle


def test_an_exception_in_attach_is_a_failure_like_any_other() -> None:
    time, calls = Time(), []

    def broken(_: Any) -> Observable[int]:
        calls.append(time.now)
        if len(calls) < 3:
            raise Boom
        return reactivex.just(1)

    recorder = time.run(reactivex.defer(broken).pipe(retry_backoff(STEADY)))
    assert calls == [0.0, 1.0, 3.0]
    assert recorder.values == [1]


def test_an_attempt_that_fails_while_it_is_starting_does_not_hide_the_next() -> None:
    time, later = Time(), Manual()

    class FailsOnce(Manual):
        def attach(self, sink: ObserverBase[Any], scheduler: Any) -> DisposableBase:
            if self.attached == 0:
                self.attached += 1
                sink.on_error(Boom())
                return Disposable()
            return later.attach(sink, scheduler)

    recorder, subscription = time.record(FailsOnce().pipe(retry_backoff(STEADY)))
    time.advance(2)
    assert later.attached == 1
    subscription.dispose()
    assert later.disposed == 1
    assert recorder.events == []


def test_disposal_while_an_attempt_is_starting_disposes_it() -> None:
    source, recorder = Manual(), Recorder()

    class Emits(Manual):
        def attach(self, sink: ObserverBase[Any], scheduler: Any) -> DisposableBase:
            disposable = source.attach(sink, scheduler)
            sink.on_next(1)
            sink.on_next(2)
            return disposable

    Emits().pipe(retry_backoff(STEADY), ops.take(1)).subscribe(recorder)
    assert recorder.values == [1]
    assert source.disposed == 1


def test_disposal_while_a_later_attempt_is_starting_disposes_it() -> None:
    time, later = Time(), Manual()

    class FailsOnce(Manual):
        def attach(self, sink: ObserverBase[Any], scheduler: Any) -> DisposableBase:
            disposable = later.attach(sink, scheduler)
            if later.attached == 1:
                sink.on_error(Boom())
            else:
                sink.on_next(1)
                sink.on_next(2)
            return disposable

    recorder = time.run(FailsOnce().pipe(retry_backoff(STEADY), ops.take(1)))
    assert recorder.events == [(1.0, 1), (1.0, "|")]
    assert later.disposed == 1
    assert time.idle


def test_waits_of_nothing_need_no_timer_and_do_not_nest() -> None:
    calls = 0

    def failing(_: Any) -> Observable[int]:
        nonlocal calls
        calls += 1
        return reactivex.just(calls) if calls == 5000 else AtOnce(error=Boom())

    recorder = Recorder()
    reactivex.defer(failing).pipe(retry_backoff(max_attempts=5000, base=0.0)).subscribe(recorder)
    assert recorder.values == [5000]


def test_a_wait_of_nothing_outside_any_trampoline_can_be_disposed() -> None:
    source, recorder = Manual(), Recorder()
    subscription = source.pipe(retry_backoff(base=0.0)).subscribe(recorder)
    source.fail(Boom())
    assert source.attached == 2
    subscription.dispose()
    assert source.disposed == 1
    source.send(1)
    assert recorder.events == []


def test_a_wait_without_a_loop_says_what_to_do() -> None:
    recorder = Recorder()
    AtOnce(error=Boom()).pipe(retry_backoff(STEADY)).subscribe(recorder)
    assert isinstance(recorder.error, RuntimeError)
    assert "pass scheduler=" in str(recorder.error)
    assert isinstance(recorder.error.__cause__, Boom)


def test_its_own_scheduler_is_the_time_of_the_waits() -> None:
    time, recorder = Time(), Recorder()
    source = time.marbles("#", "a|")
    source.pipe(retry_backoff(STEADY, scheduler=time.scheduler)).subscribe(recorder)
    time.advance(0.5)
    assert recorder.events == []
    time.advance(2)
    assert recorder.values == ["a"]


async def test_waits_on_the_running_loop() -> None:
    calls = 0

    async def call() -> int:
        nonlocal calls
        calls += 1
        if calls < 3:
            raise Boom
        return calls

    recorder = Recorder()
    done = asyncio.Event()
    from_async(call).pipe(retry_backoff(base=0.0001, cap=0.001), ops.finally_action(done.set)).subscribe(
        recorder
    )
    await done.wait()
    assert recorder.values == [3]


async def test_disposal_of_a_wait_on_the_loop_leaves_no_timer() -> None:
    recorder = Recorder()
    subscription = AtOnce(error=Boom()).pipe(retry_backoff(base=50.0, cap=50.0)).subscribe(recorder)
    await turns()
    subscription.dispose()
    assert recorder.events == []


def test_the_demand_of_the_consumer_reaches_every_attempt() -> None:
    source = Manual()
    source.pipe(retry_backoff(base=0.0)).subscribe(Recorder())
    first = source.scheduler
    source.fail(Boom())
    assert source.scheduler is first


def test_an_error_without_handler_is_raised_and_not_retried() -> None:
    with pytest.raises(Boom):
        AtOnce(error=Boom()).pipe(retry_backoff(max_attempts=1)).subscribe()


def test_elements_of_a_source_of_ours_pass_through() -> None:
    recorder = Recorder()
    as_stage(from_iterable(range(3))).pipe(retry_backoff()).subscribe(recorder)
    assert recorder.values == [0, 1, 2]
    assert recorder.completed
