"""Many timers of one length on one timer of the loop, each at its time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from rxorch_operators.core.clock import LoopClock
from rxorch_operators.core.demand import DemandScheduler
from rxorch_operators.core.timer_queue import TimerQueue
from tests.operators.support import Boom, Time


class Loop:
    """The part of an event loop that timers need, in a time that the test sets."""

    def __init__(self) -> None:
        self.now = 0.0
        self.timers: list[Timer] = []
        self.made = 0

    def time(self) -> float:
        return self.now

    def call_later(self, delay: float, function: Callable[[], Any]) -> Timer:
        self.made += 1
        timer = Timer(self, self.now + delay, function)
        self.timers.append(timer)
        return timer

    def advance(self, to: float) -> None:
        while due := [timer for timer in self.timers if timer.when <= to]:
            first = min(due, key=lambda timer: timer.when)
            self.now = max(self.now, first.when)
            self.timers.remove(first)
            first.function()
        self.now = to


class Timer:
    def __init__(self, loop: Loop, when: float, function: Callable[[], Any]) -> None:
        self.loop, self.when, self.function = loop, when, function

    def cancel(self) -> None:
        if self in self.loop.timers:
            self.loop.timers.remove(self)


class Bench:
    """A loop, timers of ten seconds, and what fired when."""

    def __init__(self, loop: Loop | None = None) -> None:
        self.loop = loop or Loop()
        self.clock = LoopClock(self.loop)  # type: ignore[arg-type]
        self.timers = TimerQueue(self.clock, 10.0)
        self.fired: list[tuple[float, str]] = []

    def start(self, name: str) -> Any:
        return self.timers.call(lambda: self.fired.append((self.loop.now, name)))


def test_each_fires_at_its_time() -> None:
    bench = Bench()
    for second in range(5):
        bench.loop.advance(second)
        bench.start(f"at {second}")
    bench.loop.advance(100)
    assert bench.fired == [(10.0 + second, f"at {second}") for second in range(5)]
    assert bench.loop.timers == []


def test_those_of_one_instant_fire_together_in_order() -> None:
    bench = Bench()
    for name in "abc":
        bench.start(name)
    bench.loop.advance(10)
    assert bench.fired == [(10.0, "a"), (10.0, "b"), (10.0, "c")]
    assert bench.loop.made == 1


def test_a_cancelled_one_does_not_fire_and_the_others_do() -> None:
    bench = Bench()
    handles = []
    for second, name in enumerate("abc"):
        bench.loop.advance(second)
        handles.append(bench.start(name))
    handles[0].cancel()
    handles[0].cancel()
    bench.loop.advance(100)
    assert bench.fired == [(11.0, "b"), (12.0, "c")]


def test_to_cancel_one_twice_does_not_end_another() -> None:
    bench = Bench()
    first = bench.start("a")
    bench.start("b")
    first.cancel()
    first.cancel()
    bench.loop.advance(10)
    assert bench.fired == [(10.0, "b")]


def test_nothing_stays_on_the_loop_when_nobody_waits() -> None:
    bench = Bench()
    first, second = bench.start("a"), bench.start("b")
    first.cancel()
    assert len(bench.loop.timers) == 1
    second.cancel()
    assert bench.loop.timers == []
    bench.start("c")
    bench.loop.advance(100)
    assert bench.fired == [(10.0, "c")]


def test_many_cost_few_timers_of_the_loop() -> None:
    bench = Bench()
    pending: list[Any] = []
    for step in range(10_000):
        bench.loop.advance(step * 0.01)
        pending.append(bench.start("x"))
        if len(pending) > 100:
            pending.pop(0).cancel()
    assert bench.fired == []
    assert bench.loop.made < 20


def test_one_started_from_inside_another_has_its_whole_time() -> None:
    bench = Bench()
    bench.timers.call(lambda: bench.start("later"))
    bench.loop.advance(4)
    bench.start("between")
    bench.loop.advance(10)
    assert len(bench.loop.timers) == 1
    bench.loop.advance(100)
    assert bench.fired == [(14.0, "between"), (20.0, "later")]


def test_one_cancelled_from_inside_another_of_the_same_instant_does_not_fire() -> None:
    bench = Bench()
    handles: list[Any] = []
    bench.timers.call(lambda: handles[0].cancel())
    handles.append(bench.start("cancelled"))
    bench.start("stays")
    bench.loop.advance(10)
    assert bench.fired == [(10.0, "stays")]
    assert bench.loop.timers == []


def test_one_that_is_dropped_from_inside_another_of_the_same_instant_may_wait_anew() -> None:
    bench = Bench()

    class Waiting:
        def time_over(self) -> None:
            bench.fired.append((bench.loop.now, "anew"))

    waiting = Waiting()

    def fire() -> None:
        bench.timers.drop(waiting)
        bench.timers.wake(waiting, bench.loop.now)

    bench.timers.call(fire)
    bench.timers.wake(waiting, 0.0)
    bench.loop.advance(100)
    assert bench.fired == [(20.0, "anew")]


def test_the_last_one_cancelled_and_another_started_from_inside_a_third() -> None:
    bench = Bench()
    handles: list[Any] = []

    def fire() -> None:
        handles[0].cancel()
        bench.start("new")

    bench.timers.call(fire)
    handles.append(bench.start("old"))
    bench.loop.advance(100)
    assert bench.fired == [(20.0, "new")]


def test_one_that_raises_does_not_cost_the_others_their_time() -> None:
    bench = Bench()

    def fail() -> None:
        raise Boom

    bench.timers.call(fail)
    bench.start("same instant")
    bench.loop.advance(5)
    bench.start("later")
    with pytest.raises(Boom):
        bench.loop.advance(10)
    bench.loop.advance(100)
    assert [name for _, name in bench.fired] == ["same instant", "later"]
    assert bench.fired[0][0] < 10.01
    assert bench.fired[1][0] == 15.0


def test_a_timer_that_fires_early_is_set_again_and_does_not_spin() -> None:
    bench = Bench()
    bench.start("a")
    timer = bench.loop.timers.pop()
    bench.loop.now = 9.9999
    timer.function()
    assert bench.fired == []
    assert [round(timer.when - bench.loop.now, 6) for timer in bench.loop.timers] == [0.001]
    bench.loop.advance(11)
    assert [name for _, name in bench.fired] == ["a"]


def test_ended_ones_behind_a_long_wait_are_not_kept() -> None:
    bench = Bench()
    bench.start("long")
    for _ in range(10_000):
        bench.start("short").cancel()
    assert len(bench.timers._until) == 1
    bench.loop.advance(10)
    assert bench.fired == [(10.0, "long")]


def test_it_serves_one_loop_only() -> None:
    bench, other = Bench(), Bench()
    assert bench.timers.serves(bench.clock)
    assert bench.timers.serves(LoopClock(bench.loop))  # type: ignore[arg-type]
    assert not bench.timers.serves(other.clock)


def test_in_virtual_time() -> None:
    time, fired = Time(), []
    timers = TimerQueue(DemandScheduler.of(time.scheduler).clock, 3.0)
    timers.call(lambda: fired.append(time.now))
    timers.call(lambda: fired.append(-1.0)).cancel()
    time.advance(10)
    assert fired == [3.0]
    assert time.idle


async def test_on_a_real_loop() -> None:
    timers, done = TimerQueue(LoopClock(asyncio.get_running_loop()), 0.001), asyncio.Event()
    timers.call(lambda: pytest.fail("it was cancelled")).cancel()
    timers.call(done.set)
    await done.wait()
