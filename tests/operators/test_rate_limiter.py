"""RateLimiter as an object: `await acquire()`, `try_acquire`, clocks and loops."""

from __future__ import annotations

import asyncio
import math
import threading
from typing import Any

import pytest
import reactivex
from reactivex.scheduler import VirtualTimeScheduler

from rxorch_operators import RateLimiter, RateLimitExceededError, rate_limit
from rxorch_operators._rate_queue import Ticket
from tests.operators.manual_clock import ManualClock
from tests.operators.support import Manual, Recorder, turns


class Line:
    """Tasks that wait for a limiter, and note the order in which they left."""

    def __init__(self, limiter: RateLimiter) -> None:
        self.limiter = limiter
        self.left: list[Any] = []

    def join(self, name: Any, cost: int = 1, **more: Any) -> asyncio.Task[None]:
        async def wait() -> None:
            await self.limiter.acquire(cost, **more)
            self.left.append(name)

        return asyncio.create_task(wait())


async def test_with_room_acquire_does_not_suspend() -> None:
    limiter = RateLimiter(rate_limit=100, window=60)
    coroutine = limiter.acquire()
    with pytest.raises(StopIteration):
        coroutine.send(None)


async def test_first_come_first_served_at_the_pace_of_the_limit() -> None:
    clock = ManualClock()
    line = Line(RateLimiter(60, 60.0, burst=2, clock=clock))
    tasks = [line.join(number) for number in range(5)]
    await turns()
    assert line.left == [0, 1]
    for expected in ([0, 1, 2], [0, 1, 2, 3], [0, 1, 2, 3, 4]):
        clock.advance(0.99)
        await turns()
        assert line.left == expected[:-1]
        clock.advance(0.01)
        await turns()
        assert line.left == expected
    await asyncio.gather(*tasks)
    assert clock.timers == 0


async def test_a_wait_that_cannot_end_in_time_fails_at_once_and_takes_nothing() -> None:
    clock = ManualClock()
    limiter = RateLimiter(60, burst=1, clock=clock, name="api", max_wait=10.0)
    await limiter.acquire()
    with pytest.raises(RateLimitExceededError) as caught:
        await limiter.acquire(max_wait=0.5)
    assert caught.value.retry_after == pytest.approx(1.0) and caught.value.name == "api"
    assert limiter.statistics().waiting == 0 and limiter.statistics().next_free == pytest.approx(1.0)


async def test_max_wait_of_the_limiter_holds_unless_the_call_has_its_own() -> None:
    clock = ManualClock()
    limiter = RateLimiter(60, burst=1, clock=clock, max_wait=0.5)
    line = Line(limiter)
    await limiter.acquire()
    with pytest.raises(RateLimitExceededError):
        await limiter.acquire()
    task = line.join("patient", max_wait=math.inf)
    await turns()
    clock.drain()
    await task
    assert line.left == ["patient"]


async def test_trap_a_cancelled_waiter_gives_its_place_back_at_once() -> None:
    clock = ManualClock()
    line = Line(RateLimiter(60, burst=1, clock=clock))
    await line.limiter.acquire()
    big = line.join("big", cost=50)
    small = line.join("small")
    await turns()
    assert line.limiter.statistics().waiting == 2
    big.cancel()
    await asyncio.wait([big])
    assert line.limiter.statistics().waiting == 1
    clock.drain()
    await small
    assert clock.now() == 1.0
    assert line.limiter.statistics().granted == 2


async def test_the_head_keeps_the_others_waiting_however_cheap_they_are() -> None:
    clock = ManualClock()
    line = Line(RateLimiter(60, burst=10, clock=clock))
    await line.limiter.acquire(10)
    tasks = [line.join("big", cost=10), line.join("small")]
    await turns()
    clock.advance(9.5)
    tasks.append(line.join("late"))  # there is room for it, but not for those who stand before it
    await turns()
    assert line.left == [] and not line.limiter.try_acquire()
    clock.drain()
    await asyncio.gather(*tasks)
    assert line.left == ["big", "small", "late"]


async def test_cancelled_after_the_grant_before_the_task_ran_gives_the_room_to_the_next() -> None:
    clock = ManualClock()
    line = Line(RateLimiter(60, burst=1, clock=clock))
    await line.limiter.acquire()
    first, second = line.join("first"), line.join("second")
    await turns()
    clock.advance(1.0)  # granted, but its task has not run
    first.cancel()
    await turns()
    assert first.cancelled() and second.done()
    assert line.left == ["second"] and line.limiter.statistics().granted == 2


async def test_granted_after_the_cancellation_before_the_task_ran_gives_the_room_to_the_next() -> None:
    clock = ManualClock()
    line = Line(RateLimiter(60, burst=1, clock=clock))
    await line.limiter.acquire()
    first, second = line.join("first"), line.join("second")
    await turns()
    first.cancel()  # its task has not left the line yet
    clock.advance(1.0)
    await turns()
    assert first.cancelled() and second.done()
    assert line.left == ["second"] and line.limiter.statistics().granted == 2


async def test_refused_after_the_cancellation_before_the_task_ran() -> None:
    clock = ManualClock()
    line = Line(RateLimiter(60, burst=1, clock=clock, max_wait=5.0))
    await line.limiter.acquire()
    first = line.join("first")
    await turns()
    first.cancel()
    line.limiter.feed_retry_after(30.0)
    await turns()
    assert first.cancelled()


async def test_try_acquire_never_waits_nor_overtakes() -> None:
    clock = ManualClock()
    limiter = RateLimiter(60, burst=2, clock=clock)
    assert limiter.try_acquire() and limiter.try_acquire() and not limiter.try_acquire()
    clock.advance(1.0)
    assert limiter.try_acquire(1)
    statistics = limiter.statistics()
    assert (statistics.granted, statistics.refused, statistics.waiting) == (3, 1, 0)


async def test_retry_after_ends_waits_that_become_too_long() -> None:
    clock = ManualClock()
    line = Line(RateLimiter(60, burst=1, clock=clock))
    await line.limiter.acquire()
    hasty, patient = line.join("hasty", max_wait=5.0), line.join("patient")
    await turns()
    line.limiter.feed_retry_after(10.0)
    with pytest.raises(RateLimitExceededError) as caught:
        await hasty
    assert caught.value.retry_after == pytest.approx(10.0)
    assert clock.now() == 0.0
    clock.drain()
    await patient
    assert clock.now() == 10.0


@pytest.mark.parametrize("seconds", [0.0, -3.0])
async def test_a_retry_after_in_the_past_changes_nothing(seconds: float) -> None:
    limiter = RateLimiter(60, clock=ManualClock())
    limiter.feed_retry_after(seconds)
    assert limiter.try_acquire()


async def test_reset_lets_those_who_wait_leave_now() -> None:
    clock = ManualClock()
    line = Line(RateLimiter(1, burst=1, clock=clock))
    await line.limiter.acquire()
    tasks = [line.join(0), line.join(1)]
    await turns()
    line.limiter.reset()
    await turns()
    assert line.left == [0]
    tasks[1].cancel()
    await asyncio.wait(tasks)


def test_statistics_are_a_snapshot() -> None:
    clock = ManualClock()
    limiter = RateLimiter(60, burst=3, clock=clock, name="api")
    limiter.try_acquire(2)
    before = limiter.statistics()
    limiter.try_acquire(1)
    assert (before.name, before.available, before.next_free) == ("api", 1, 0.0)
    assert limiter.statistics().next_free == pytest.approx(1.0)
    with pytest.raises(AttributeError):
        before.granted = 7  # type: ignore[misc]


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"rate_limit": 0}, "limit=0"),
        ({"rate_limit": 5, "window": 0}, "window=0"),
        ({"rate_limit": 5, "burst": 0}, "burst=0"),
        ({"rate_limit": 5, "max_wait": -1}, "max_wait=-1"),
    ],
)
def test_numbers_out_of_range_are_refused(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        RateLimiter(**wrong)


async def test_a_cost_that_can_never_pass_is_refused_with_or_without_a_line() -> None:
    clock = ManualClock()
    limiter = RateLimiter(10, clock=clock)
    with pytest.raises(ValueError, match="cost=11"):
        await limiter.acquire(11)
    line = Line(limiter)
    tasks = [line.join(number) for number in range(4)]
    await turns()
    with pytest.raises(ValueError, match="cost=11"):
        await limiter.acquire(11)
    clock.drain()
    await asyncio.gather(*tasks)
    assert line.left == [0, 1, 2, 3]


def test_it_shows_what_it_is() -> None:
    assert repr(RateLimiter(100, 60, name="api")) == "RateLimiter('api', 100 per 60 s, burst 11)"


# Loops


def test_made_outside_a_loop_and_used_in_one_after_another() -> None:
    limiter = RateLimiter(1000, 1.0, burst=1)

    async def use() -> None:
        await limiter.acquire()
        await limiter.acquire()

    asyncio.run(use())
    asyncio.run(use())
    assert limiter.statistics().granted == 4


def test_a_loop_that_is_over_is_not_asked_for_the_time() -> None:
    """That of uvloop stands still when it does not run."""

    class Loop(asyncio.SelectorEventLoop):
        def time(self) -> float:
            assert self.is_running()
            return super().time()

    limiter = RateLimiter(1000, 1.0)
    for _ in range(2):
        with asyncio.Runner(loop_factory=Loop) as runner:
            runner.run(limiter.acquire())
    asyncio.run(limiter.acquire())
    assert limiter.statistics().granted == 3


@pytest.mark.parametrize("looked_at", [True, False])
def test_calls_left_waiting_in_a_closed_loop_are_forgotten(looked_at: bool) -> None:
    limiter = RateLimiter(1000, 1.0, burst=1)

    async def leave_behind() -> None:
        limiter.feed_retry_after(0.001)
        Manual().pipe(rate_limit(limiter)).subscribe(Recorder())

    async def use() -> None:
        await limiter.acquire()

    asyncio.run(leave_behind())
    if looked_at:
        assert limiter.statistics().waiting == 0
    asyncio.run(asyncio.wait_for(use(), 10.0))
    assert limiter.statistics().waiting == 0


async def test_two_times_at_once_are_refused() -> None:
    limiter = RateLimiter(1)
    limiter.try_acquire()
    waiting = asyncio.create_task(limiter.acquire())
    await turns()
    recorder = Recorder()
    Manual().pipe(rate_limit(limiter)).subscribe(recorder, scheduler=VirtualTimeScheduler())
    assert isinstance(recorder.error, RuntimeError) and "another event loop" in str(recorder.error)
    assert limiter.statistics().waiting == 1
    waiting.cancel()
    await asyncio.wait([waiting])


def test_a_long_line_with_deadlines_is_looked_at_only_where_it_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each timer used to go over the whole line, and 10,000 waiters took more than all the time."""
    clock = ManualClock()
    limiter = RateLimiter(100, 1.0, burst=1, clock=clock)
    line, ended = limiter.line, []

    def granted() -> None:
        ended.append("granted")

    def refused(*_: object) -> None:
        ended.append("refused")

    looked_at = 0
    peek = limiter.line.meter.__class__.peek

    def counting(*args: Any, **kwargs: Any) -> float:
        nonlocal looked_at
        looked_at += 1
        return peek(*args, **kwargs)

    monkeypatch.setattr(limiter.line.meter.__class__, "peek", counting)
    for number in range(3_000):
        line.clock(clock)
        ticket = Ticket((line,), 1, clock.now() + 40.0 - number * 1e-6, granted, refused)
        ticket.join_next(clock.now())
    clock.advance(10.0)
    assert ended in (["granted"] * 1_000, ["granted"] * 1_001)
    assert looked_at < 20_000


def test_a_plain_thread_does_not_take_the_clock_from_those_who_wait() -> None:
    limiter = RateLimiter(1, 60.0, burst=1)
    errors: list[BaseException] = []

    def subscribe() -> None:
        try:
            reactivex.just(1).pipe(rate_limit(limiter)).subscribe(on_error=errors.append)
        except RuntimeError as error:
            errors.append(error)

    async def main() -> str:
        await limiter.acquire()
        waiting = asyncio.ensure_future(limiter.acquire())
        await asyncio.sleep(0)
        thread = threading.Thread(target=subscribe)
        thread.start()
        thread.join()
        limiter.reset()
        await asyncio.wait_for(waiting, 60.0)
        return "left"

    assert asyncio.run(main()) == "left"
    assert len(errors) == 1
    assert "another event loop" in str(errors[0])
