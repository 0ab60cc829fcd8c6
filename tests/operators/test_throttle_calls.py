"""throttle around a function: all calls of one throttle share one pace, in order, and none is lost."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rxorch_operators import from_iterable, retry_backoff, throttle
from rxorch_operators.core.demand import DemandScheduler
from rxorch_operators.core.per_call import for_call
from rxorch_operators.core.stage import as_stage
from rxorch_operators.guard import guard
from tests.operators.support import AtOnce, Boom, Recorder, Time, turns


class Paced:
    """A guarded function in virtual time, and the calls of it."""

    def __init__(self, time: Time, *operators: Any) -> None:
        self.time = time
        self.left: list[tuple[float, Any]] = []
        self.call = guard(*operators)(self._called)

    async def _called(self, label: Any, *_: Any) -> Any:
        self.left.append((round(self.time.now, 6), label))
        return label

    def start(self, *args: Any) -> asyncio.Task[Any]:
        return asyncio.create_task(self.call(*args))

    async def run(self, seconds: float, step: float = 1.0) -> None:
        for _ in range(round(seconds / step)):
            await turns()
            self.time.advance(step)
        await turns()


def in_time(time: Time, rate: float, window: float = 1.0, **more: Any) -> Any:
    return throttle(rate, window, scheduler=time.scheduler, **more)


async def test_calls_leave_at_the_pace_in_the_order_in_which_they_came() -> None:
    time = Time()
    paced = Paced(time, in_time(time, 1, 2.0))
    tasks = [paced.start(number) for number in range(4)]
    await paced.run(8)
    assert paced.left == [(0.0, 0), (2.0, 1), (4.0, 2), (6.0, 3)]
    assert [task.result() for task in tasks] == [0, 1, 2, 3]
    assert time.idle


async def test_a_burst_passes_at_once_after_a_rest() -> None:
    time = Time()
    paced = Paced(time, in_time(time, 1, 2.0, burst=2))
    for number in range(4):
        paced.start(number)
    await paced.run(12)
    for number in range(4, 7):
        paced.start(number)
    await paced.run(4)
    assert [at for at, _ in paced.left] == [0.0, 0.0, 2.0, 4.0, 12.0, 12.0, 14.0]


async def test_one_throttle_is_one_pace_whatever_it_guards() -> None:
    time = Time()
    shared = in_time(time, 1, 2.0)
    paced = Paced(time, shared)

    async def other() -> None:
        paced.left.append((time.now, "other"))

    paced.start("decorated")
    task = asyncio.create_task(guard(shared).call(other))
    apart = Paced(time, in_time(time, 1, 2.0))
    apart.start("apart")
    await paced.run(3)
    assert paced.left == [(0.0, "decorated"), (2.0, "other")]
    assert apart.left == [(0.0, "apart")]
    await task


async def test_the_same_throttle_in_a_pipeline_has_a_pace_for_each_subscription() -> None:
    time = Time()
    shared = in_time(time, 1, 2.0)
    paced = Paced(time, shared)
    paced.start("call")
    await turns()
    first, _ = time.record(from_iterable("ab").pipe(shared))
    second, _ = time.record(from_iterable("ab").pipe(shared))
    time.advance(5)
    assert paced.left == [(0.0, "call")]
    assert first.events == second.events == [(0.0, "a"), (2.0, "b"), (2.0, "|")]


async def test_a_call_that_is_cancelled_while_it_waits_gives_its_place_back() -> None:
    time = Time()
    paced = Paced(time, in_time(time, 1, 2.0))
    tasks = [paced.start(number) for number in range(4)]
    await turns()
    tasks[1].cancel()
    await paced.run(5)
    assert paced.left == [(0.0, 0), (2.0, 2), (4.0, 3)]
    assert tasks[1].cancelled()


async def test_the_last_one_that_leaves_the_line_leaves_no_timer() -> None:
    time = Time()
    paced = Paced(time, in_time(time, 1, 2.0))
    tasks = [paced.start(number) for number in range(3)]
    await turns()
    for task in tasks[1:]:
        task.cancel()
    await turns()
    assert time.idle and len(paced.left) == 1


async def test_attempts_are_paced_if_the_retry_is_outside() -> None:
    time, attempts = Time(), list[float]()

    async def fail() -> None:
        attempts.append(time.now)
        raise Boom

    again: Any = retry_backoff(max_attempts=3, base=0.0, scheduler=time.scheduler)
    task = asyncio.create_task(guard(in_time(time, 1, 2.0), again).call(fail))
    for _ in range(6):
        await turns()
        time.advance(1)
    await asyncio.wait([task])
    assert isinstance(task.exception(), Boom)
    assert attempts == [0.0, 2.0, 4.0]


async def test_cost_is_asked_with_the_arguments_of_the_call() -> None:
    time = Time()
    asked: list[Any] = []

    def cost(*args: Any) -> float:
        asked.append(args)
        return float(args[1])

    paced = Paced(time, in_time(time, 4, 4.0, cost=cost))
    for label, units in (("a", 1), ("b", 3), ("c", 0.5), ("d", 1)):
        paced.start(label, units)
    await paced.run(10, 0.5)
    assert paced.left == [(0.0, "a"), (1.0, "b"), (3.5, "c"), (4.5, "d")]
    assert asked == [("a", 1), ("b", 3), ("c", 0.5), ("d", 1)]


@pytest.mark.parametrize("cost", [lambda label: 1 / 0, lambda label: 2])
async def test_a_cost_that_raises_or_can_never_pass_is_the_error_of_the_call(
    cost: Callable[[Any], float],
) -> None:
    time = Time()
    paced = Paced(time, in_time(time, 1, cost=cost))
    with pytest.raises((ZeroDivisionError, ValueError)):
        await paced.call("a")
    assert paced.left == []


async def test_on_the_clock_of_the_loop_and_in_one_loop_after_another() -> None:
    paced = throttle(1000)

    async def answer() -> int:
        return 1

    assert [await guard(paced).call(answer) for _ in range(3)] == [1, 1, 1]
    assert await asyncio.to_thread(lambda: asyncio.run(guard(paced).call(answer))) == 1


def test_making_it_and_naming_it() -> None:
    paced = throttle(1)
    assert repr(guard(paced)) == "guard(throttle)"
    assert for_call(paced, print, (), {}) is for_call(paced, len, (1,), {})


@given(
    rate=st.integers(1, 3),
    window=st.sampled_from([1.0, 2.0]),
    burst=st.integers(1, 3),
    calls=st.lists(
        st.tuples(st.sampled_from([0.0, 0.25, 1.0]), st.one_of(st.none(), st.none(), st.integers(0, 4))),
        max_size=20,
    ),
)
def test_no_window_sees_more_and_nobody_who_stays_is_lost(
    rate: int, window: float, burst: int, calls: list[tuple[float, int | None]]
) -> None:
    """Each call is disposed after so many quarters of a second, or stays."""
    time = Time()
    paced = in_time(time, rate, window, burst=burst)
    recorders: list[tuple[int | None, Recorder]] = []
    for number, (gap, patience) in enumerate(calls):
        time.advance(gap)
        recorder = Recorder(lambda: time.now)
        operator = for_call(paced, print, (number,), {})
        source = as_stage(operator(AtOnce(number)))
        subscription = source.attach(recorder, DemandScheduler.of(time.scheduler))
        if patience is not None:
            time.after(patience / 4, subscription.dispose)
        recorders.append((patience, recorder))
    time.advance(1000)
    assert all(recorder.ended for patience, recorder in recorders if patience is None)
    left = [recorder.events[0][0] for _, recorder in recorders if recorder.ended]
    assert left == sorted(left), "first come, first served"
    for index, start in enumerate(left):
        inside = [at for at in left[index:] if at < start + window - 1e-5]
        assert len(inside) <= rate + burst
    assert time.idle
