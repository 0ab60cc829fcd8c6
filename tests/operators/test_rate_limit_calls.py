"""Rate limits around functions: `guard(rate_limit(...))`, `limiter.call` and `async with limiter`."""

from __future__ import annotations

import asyncio
import math
import threading
from collections.abc import Callable
from typing import Any

import pytest

from rxorch_operators import RateLimiter, RateLimitExceededError, rate_limit
from rxorch_operators.core.clock import LoopClock
from rxorch_operators.core.per_call import for_call
from rxorch_operators.guard import guard
from tests.operators.eager import eager_task_factory
from tests.operators.manual_clock import ManualClock
from tests.operators.support import Boom, Manual, Recorder, turns


def limiter(clock: ManualClock, limit: float = 60, **more: Any) -> RateLimiter:
    """One call per second, if nothing else is said."""
    return RateLimiter(limit, 60.0, burst=more.pop("burst", 1), clock=clock, **more)


class Service:
    """Something that is called, and notes when."""

    def __init__(self, clock: ManualClock) -> None:
        self.clock = clock
        self.at: list[tuple[float, Any]] = []

    async def call(self, label: Any, **_: Any) -> Any:
        self.at.append((round(self.clock.now(), 6), label))
        return label

    async def run(self, seconds: float) -> None:
        for _ in range(round(seconds)):
            await turns()
            self.clock.advance(1.0)
        await turns()


# guard(rate_limit(...))


async def test_a_decorated_function_waits_in_the_line_of_the_limiter() -> None:
    clock = ManualClock()
    one, service = limiter(clock), Service(clock)
    call = guard(rate_limit(one))(service.call)
    tasks = [asyncio.create_task(call(number)) for number in range(3)]
    waiting = asyncio.create_task(one.acquire())
    await service.run(4)
    assert service.at == [(0.0, 0), (1.0, 1), (2.0, 2)]
    assert [task.result() for task in tasks] == [0, 1, 2] and waiting.done()
    assert one.statistics().granted == 4


async def test_cost_is_asked_with_the_arguments_of_the_call_each_time_it_is_made() -> None:
    clock = ManualClock()
    one, service = limiter(clock), Service(clock)
    asked: list[Any] = []

    def cost(label: str, *, rows: int) -> int:
        asked.append((label, rows))
        return rows

    call = guard(rate_limit(one, cost=cost))(service.call)
    tasks = [asyncio.create_task(call(label, rows=rows)) for label, rows in (("a", 1), ("b", 3), ("c", 1))]
    await service.run(6)
    assert service.at == [(0.0, "a"), (1.0, "b"), (4.0, "c")]
    assert asked == [("a", 1), ("b", 3), ("c", 1)]
    await asyncio.gather(*tasks)


async def test_calls_that_overlap_keep_their_own_cost() -> None:
    clock = ManualClock()
    one = limiter(clock)
    operator = rate_limit(one, cost=lambda units: units)
    first, second = (for_call(operator, print, (units,), {}) for units in (2, 5))
    source = Manual()
    source.pipe(second).subscribe(Recorder())
    source.pipe(first).subscribe(Recorder())
    assert one.statistics().waiting == 1
    clock.advance(5.0)
    assert source.attached == 2 and one.statistics().next_free == pytest.approx(2.0)


def test_in_a_pipeline_cost_is_asked_without_arguments() -> None:
    clock, asked = ManualClock(), list[tuple[Any, ...]]()

    def cost(*args: Any) -> int:
        asked.append(args)
        return 1

    Manual().pipe(rate_limit(limiter(clock), cost=cost)).subscribe(Recorder())
    assert asked == [()]


def test_everything_else_is_the_same_for_a_call() -> None:
    clock = ManualClock()
    everything, endpoint = limiter(clock), limiter(clock)
    waits: list[float] = []
    operator = rate_limit(
        everything, endpoint, cost=lambda units: units, max_wait=lambda: 4.5, on_wait=waits.append
    )
    source = Manual()
    recorders = [Recorder(), Recorder(), Recorder()]
    for units, recorder in zip((3, 2, 4), recorders, strict=True):
        source.pipe(for_call(operator, print, (units,), {})).subscribe(recorder)
    assert waits == [3.0]
    assert isinstance(recorders[2].error, RateLimitExceededError) and recorders[2].error.retry_after == 5.0
    assert endpoint.statistics().waiting == 1


async def test_a_cost_that_raises_is_the_error_of_the_call() -> None:
    clock = ManualClock()
    one, service = limiter(clock), Service(clock)
    with pytest.raises(TypeError):
        await guard(rate_limit(one, cost=lambda: 1)).call(service.call, "a")
    assert service.at == [] and one.statistics().granted == 0


def test_without_a_function_for_the_cost_it_is_one_operator_for_all_calls() -> None:
    operator = rate_limit(RateLimiter(1), cost=3)
    assert for_call(operator, print, (1,), {}) is operator
    assert repr(guard(operator)) == "guard(rate_limit)"


# limiter.call


async def test_call_waits_then_calls_or_awaits() -> None:
    clock = ManualClock()
    one, service = limiter(clock), Service(clock)

    def plain(label: str, *, fn: str) -> str:
        service.at.append((clock.now(), label))
        return label + fn

    tasks = [
        asyncio.create_task(one.call(service.call, "a")),
        asyncio.create_task(one.call(plain, "b", fn="!")),
    ]
    await service.run(2)
    assert service.at == [(0.0, "a"), (1.0, "b")]
    assert [task.result() for task in tasks] == ["a", "b!"]


async def test_call_raises_what_the_function_raises_and_it_has_left_nevertheless() -> None:
    clock = ManualClock()
    one = limiter(clock)

    def fail() -> None:
        raise Boom

    with pytest.raises(Boom):
        await one.call(fail)
    assert one.statistics().granted == 1 and not one.try_acquire()


async def test_a_call_that_cannot_leave_in_time_is_not_made() -> None:
    clock = ManualClock()
    one, service = limiter(clock, max_wait=0.5, name="api"), Service(clock)
    await one.call(service.call, "a")
    with pytest.raises(RateLimitExceededError) as caught:
        await one.call(service.call, "b")
    assert caught.value.retry_after == pytest.approx(1.0) and caught.value.name == "api"
    assert service.at == [(0.0, "a")]


async def test_a_call_that_is_cancelled_while_it_waits_is_not_made_and_gives_its_place_back() -> None:
    clock = ManualClock()
    one, service = limiter(clock), Service(clock)
    tasks = [asyncio.create_task(one.call(service.call, number)) for number in range(3)]
    await turns()
    tasks[1].cancel()
    await service.run(2)
    assert service.at == [(0.0, 0), (1.0, 2)]
    assert one.statistics().waiting == 0 and clock.timers == 0


# async with


async def test_async_with_takes_one_and_gives_nothing_back() -> None:
    clock = ManualClock()
    one, service = limiter(clock), Service(clock)

    async def call(number: int) -> None:
        async with one as entered:
            assert entered is one
            await service.call(number)

    tasks = [asyncio.create_task(call(number)) for number in range(3)]
    await service.run(3)
    assert service.at == [(0.0, 0), (1.0, 1), (2.0, 2)]
    await asyncio.gather(*tasks)
    with pytest.raises(Boom):
        async with one:
            raise Boom
    assert one.statistics().granted == 4


async def test_with_room_async_with_does_not_suspend() -> None:
    limiter = RateLimiter(rate_limit=100)
    for coroutine in (limiter.__aenter__(), limiter.__aexit__(None, None, None), limiter.call(len, "ab")):
        with pytest.raises(StopIteration):
            coroutine.send(None)


async def test_eager_tasks_take_at_once() -> None:
    clock = ManualClock()
    one = limiter(clock, burst=2)
    loop = asyncio.get_running_loop()
    loop.set_task_factory(eager_task_factory)
    try:
        tasks = [asyncio.ensure_future(one.acquire()) for _ in range(3)]
    finally:
        loop.set_task_factory(None)
    assert [task.done() for task in tasks] == [True, True, False]
    clock.advance(1.0)
    await turns()
    assert tasks[2].done()


# Loops


class Elsewhere:
    """A second event loop, which runs in a thread."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self.thread.start()

    def do(self, make: Callable[[], Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(make(), self.loop).result(10.0)

    def close(self) -> None:
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join()
        self.loop.close()


@pytest.fixture
def elsewhere() -> Any:
    other = Elsewhere()
    yield other
    other.close()


async def test_while_the_line_is_on_a_loop_that_runs_another_loop_may_take_and_wait(
    elsewhere: Elsewhere,
) -> None:
    one = RateLimiter(1000, 1.0, burst=2)
    elsewhere.do(one.acquire)
    await one.acquire()  # with room; the line stays where it is
    await one.acquire()  # has to wait, on this loop
    clock = one.line.clock()
    assert isinstance(clock, LoopClock) and clock.loop is asyncio.get_running_loop()
    assert one.statistics().granted == 3


async def test_a_loop_is_refused_while_calls_wait_on_another(elsewhere: Elsewhere) -> None:
    one = RateLimiter(1, 3600.0, burst=1)

    async def wait_long() -> asyncio.Task[None]:
        await one.acquire()
        task = asyncio.create_task(one.acquire())
        await turns()
        return task

    task = elsewhere.do(wait_long)
    with pytest.raises(RuntimeError, match="another event loop"):
        await one.acquire()
    assert len(one.line.waiting) == 1
    elsewhere.do(lambda: _cancelled(task))


async def _cancelled(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.wait([task])


def test_in_a_loop_that_was_stopped_and_goes_on() -> None:
    one = RateLimiter(1000, 1.0, burst=1)
    first, second = asyncio.new_event_loop(), asyncio.new_event_loop()
    try:
        first.run_until_complete(one.acquire())
        second.run_until_complete(one.acquire())
        first.run_until_complete(one.acquire())
        assert one.statistics().granted == 3
        first.run_until_complete(asyncio.wait_for(one.acquire(math.ceil(one.line.meter.burst)), 10.0))
    finally:
        first.close()
        second.close()


async def test_a_clock_that_was_given_goes_before_the_loop(elsewhere: Elsewhere) -> None:
    clock = ManualClock()
    one = limiter(clock)
    elsewhere.do(one.acquire)
    assert not one.try_acquire()
    clock.advance(1.0)
    await one.acquire()
    assert one.line.clock() is clock
