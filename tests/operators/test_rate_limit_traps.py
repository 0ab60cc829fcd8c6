"""What others fell into where calls wait for their turn; ours must not."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import pytest
import reactivex
from reactivex import Observable
from reactivex import operators as ops
from reactivex.abc import SchedulerBase
from reactivex.scheduler.eventloop import AsyncIOScheduler

from rxorch_operators import (
    Bulkhead,
    InMemoryRateLimiter,
    RateLimit,
    RateLimiter,
    RateLimiterConfig,
    bulkhead,
    rate_limit,
    retry_backoff,
    throttle,
)
from rxorch_operators.core.demand import UNBOUNDED, DemandScheduler
from rxorch_operators.guard import guard
from tests.operators.manual_clock import ManualClock
from tests.operators.support import AtOnce, Manual, Recorder, Time, turns

HOUR = 3600.0

# Waiting


@dataclass
class Gate:
    """Something that lets one through and makes the next one wait."""

    enter: Callable[[], Awaitable[Any]]
    open: Callable[[], object]
    """Lets the next one through."""
    clock: ManualClock


async def through() -> None:
    """A call that ends at once."""


def by_acquire(clock: ManualClock) -> Gate:
    return Gate(limiter(clock).acquire, lambda: clock.advance(HOUR), clock)


def by_async_with(clock: ManualClock) -> Gate:
    one = limiter(clock)

    async def enter() -> None:
        async with one:
            pass

    return Gate(enter, lambda: clock.advance(HOUR), clock)


def by_call(clock: ManualClock) -> Gate:
    one = limiter(clock)
    return Gate(lambda: one.call(through), lambda: clock.advance(HOUR), clock)


def by_guarded_limit(clock: ManualClock) -> Gate:
    return Gate(guard(rate_limit(limiter(clock)))(through), lambda: clock.advance(HOUR), clock)


def by_two_limits(clock: ManualClock) -> Gate:
    chain = rate_limit(limiter(clock), limiter(clock))
    return Gate(guard(chain)(through), lambda: clock.advance(HOUR), clock)


def by_throttle(clock: ManualClock) -> Gate:
    scheduler = DemandScheduler(DemandScheduler.of(None).base, UNBOUNDED, clock, set())
    return Gate(guard(throttle(1, HOUR, scheduler=scheduler))(through), lambda: clock.advance(HOUR), clock)


def by_name(clock: ManualClock) -> Gate:
    one = InMemoryRateLimiter(RateLimiterConfig([RateLimit(1, HOUR)]), clock=clock)
    return Gate(one.acquire, lambda: clock.advance(HOUR), clock)


def by_bulkhead(clock: ManualClock) -> Gate:
    permits, held = Bulkhead(limit=1), []

    async def enter() -> None:
        held.append(await permits.acquire())

    return Gate(enter, lambda: held.pop().release(), clock)


def by_guarded_bulkhead(clock: ManualClock) -> Gate:
    permits, ends = Bulkhead(limit=1), list[asyncio.Event]()

    @guard(bulkhead(permits))
    async def enter() -> None:
        ends.append(asyncio.Event())
        if len(ends) == 1:
            await ends[0].wait()

    return Gate(enter, lambda: ends[0].set(), clock)


GATES = [
    by_acquire,
    by_async_with,
    by_call,
    by_guarded_limit,
    by_two_limits,
    by_throttle,
    by_name,
    by_bulkhead,
    by_guarded_bulkhead,
]
EVERY_GATE = pytest.mark.parametrize("make", GATES, ids=lambda make: make.__name__)


def limiter(clock: ManualClock) -> RateLimiter:
    return RateLimiter(1, HOUR, burst=1, clock=clock)


async def line_of(gate: Gate, length: int) -> list[asyncio.Task[Any]]:
    """The first one holds the gate, and the others wait behind it."""

    async def enter() -> None:
        await gate.enter()

    tasks = []
    for _ in range(length):
        tasks.append(asyncio.create_task(enter()))
        await turns()
    return tasks


@EVERY_GATE
async def test_trap_waiting_for_a_permit_that_cannot_be_cancelled(
    make: Callable[[ManualClock], Gate],
) -> None:
    """resilience4j `FlowableRateLimiter` (#314): who was cancelled while he waited has used up his permit."""
    gate = make(ManualClock())
    tasks = await line_of(gate, 4)
    for task in tasks[1:3]:
        task.cancel()
    await turns()
    assert [task.cancelled() for task in tasks[1:3]] == [True, True], "at once, and no time has passed"
    assert not tasks[3].done()
    gate.open()
    await turns()
    assert tasks[3].done() and not tasks[3].cancelled(), "who stood behind has moved up to the front"
    assert gate.clock.timers == 0
    await asyncio.wait(tasks)


@EVERY_GATE
async def test_trap_waiting_for_a_permit_that_blocks_the_thread(make: Callable[[ManualClock], Gate]) -> None:
    """resilience4j `SemaphoreBulkhead`, and its operators before #232: the thread sleeps till it may go."""
    loop_went_round = asyncio.Event()
    gate = make(ManualClock())
    tasks = await line_of(gate, 2)
    asyncio.get_running_loop().call_soon(loop_went_round.set)
    await loop_went_round.wait()
    assert not tasks[1].done()
    tasks[1].cancel()
    gate.open()
    await asyncio.wait(tasks)


async def test_trap_waiting_for_a_permit_that_blocks_the_thread_in_real_time() -> None:
    """The same on the clock of the loop: an hour's wait, and the loop goes round."""
    one, by_names = (
        RateLimiter(1, HOUR, burst=1),
        InMemoryRateLimiter(RateLimiterConfig([RateLimit(1, HOUR)])),
    )
    calls = [one.acquire, guard(throttle(1, HOUR))(through), by_names.acquire]
    tasks = [asyncio.create_task(_twice(call)) for call in calls]
    await turns()
    assert [task.done() for task in tasks] == [False] * 3
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)


async def _twice(call: Callable[[], Awaitable[Any]]) -> None:
    await call()
    await call()


def test_trap_a_waiting_subscription_that_cannot_be_disposed() -> None:
    """The same for a subscription: who has gone leaves no permit behind that is used up by nobody."""
    clock = ManualClock()
    one, source = limiter(clock), Manual()
    subscriptions = [source.pipe(rate_limit(one)).subscribe(Recorder()) for _ in range(4)]
    for subscription in subscriptions[1:3]:
        subscription.dispose()
    clock.advance(HOUR)
    assert source.attached == 2 and clock.timers == 0


# The herd


class Busy(Exception):
    """429, come back in 30 s."""


def calls_that_are_told_to_wait(time: Time, count: int) -> tuple[Observable[float], list[float]]:
    """The first so many are refused, all with the same Retry-After."""
    made: list[float] = []

    def call(_: SchedulerBase) -> Observable[float]:
        made.append(time.now)
        return reactivex.throw(Busy()) if len(made) <= count else reactivex.of(time.now)

    return reactivex.defer(call), made


def test_trap_a_herd_that_was_given_the_same_retry_after_is_released_at_once() -> None:
    """aiohttp_retry #59: 55 calls wait for the same 30 s, and fall upon the server in the same instant."""
    time = Time()
    one = RateLimiter(60, 60.0, burst=55)

    def told(_: Exception) -> float:
        one.feed_retry_after(30.0)
        return 30.0

    call, made = calls_that_are_told_to_wait(time, 55)
    again_when_told: Any = retry_backoff(max_attempts=2, hint=told, max_elapsed=None)
    careful = call.pipe(rate_limit(one), again_when_told)
    recorders = [time.record(careful)[0] for _ in range(55)]
    time.advance(200)
    again = made[55:]
    assert made[:55] == [0.0] * 55 and len(again) == 55
    early = [at for number, at in enumerate(again) if at < 30.0 + number - 1e-5]
    assert early == [], "nobody before the time, then one by one, though the limit has room for all at once"
    assert all(recorder.completed for recorder in recorders)
    assert time.idle


async def test_trap_a_herd_of_tasks_behind_one_retry_after() -> None:
    """The same for those who wait in `acquire` when they are told, and for those who come meanwhile."""
    clock, left = ManualClock(), list[float]()
    one = RateLimiter(60, 60.0, burst=55, clock=clock)

    async def call() -> None:
        await one.acquire()
        left.append(clock.now())

    one.feed_retry_after(30.0)
    tasks = [asyncio.create_task(call()) for _ in range(30)]
    await turns()
    clock.advance(10.0)
    one.feed_retry_after(20.0)
    tasks += [asyncio.create_task(call()) for _ in range(25)]
    await turns()
    for _ in range(100):
        clock.advance(1.0)
        await turns()
    assert left == [30.0 + second for second in range(55)]
    await asyncio.gather(*tasks)


# The cap


@pytest.mark.parametrize("tries", ["acquire", "call", "guard", "name"])
async def test_trap_a_cap_check_that_races(tries: str) -> None:
    """failsafe-go `TryAcquirePermit`: many ask whether there is room, and then all of them take it."""
    clock = ManualClock()
    one = RateLimiter(10, HOUR, burst=10, clock=clock)
    by_names = InMemoryRateLimiter(RateLimiterConfig([RateLimit(10, HOUR), RateLimit(99, HOUR)]), clock=clock)
    enter: dict[str, Callable[[], Awaitable[Any]]] = {
        "acquire": one.acquire,
        "call": lambda: one.call(through),
        "guard": guard(rate_limit(RateLimiter(99, HOUR, burst=99, clock=clock), one))(through),
        "name": by_names.acquire,
    }
    passed: list[int] = []

    async def call(number: int) -> None:
        await asyncio.sleep(0)  # all of them are at the gate before the first one goes through
        await enter[tries]()
        passed.append(number)

    tasks = [asyncio.create_task(call(number)) for number in range(100)]
    await turns()
    assert passed == list(range(10))
    assert not one.try_acquire() if tries != "name" else not by_names.try_acquire()
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)


def test_trap_a_cap_check_that_races_with_the_call_it_lets_go() -> None:
    """The check and the taking are one step: what a call does while it leaves finds its own unit gone."""
    clock = ManualClock()
    one = RateLimiter(2, HOUR, burst=2, clock=clock)
    inside: list[bool] = []
    for _ in range(2):
        AtOnce(1).pipe(rate_limit(one)).subscribe(lambda _: inside.append(one.try_acquire()))
    assert inside == [True], "so the second one has to wait: there are two in all"
    clock.advance(HOUR / 2)
    assert inside == [True, False]
    assert one.statistics().granted == 3


def test_trap_a_cap_check_that_races_between_two_limits() -> None:
    """With two limits: who is turned away by one of them has taken nothing of the other, not for a moment."""
    clock = ManualClock()
    everything, endpoint = RateLimiter(3, HOUR, burst=3, clock=clock), limiter(clock)
    seen: list[float] = []

    def look(_: float) -> None:
        seen.append(everything.statistics().available)

    source = Manual()
    for _ in range(5):
        source.pipe(rate_limit(everything, endpoint, on_wait=look)).subscribe(Recorder())
    assert source.attached == 1
    assert seen == [2.0] * 4
    assert everything.try_acquire() and everything.try_acquire() and not everything.try_acquire()


# Wall clocks


class SteppingScheduler(AsyncIOScheduler):
    """The scheduler of the loop in a machine whose wall clock is put back by an hour."""

    def __init__(self, loop: asyncio.AbstractEventLoop, *times: datetime) -> None:
        super().__init__(loop)
        self.asked = 0
        self._times: Iterator[datetime] = iter(times)

    @property
    def now(self) -> datetime:
        """What the clock on the wall shows."""
        self.asked += 1
        return next(self._times)


async def test_trap_a_step_back_of_the_wall_clock_silences_throttle_first_and_not_throttle() -> None:
    """RxPY: `throttle_first` compares times of the day, and drops all until it is as late as before."""
    noon = datetime(2030, 1, 1, 12, 0, 0)
    put_back = [noon] + [noon - timedelta(hours=1) + timedelta(seconds=20 * step) for step in range(1, 170)]
    loop = asyncio.get_running_loop()

    source, stock = Manual(), Recorder()
    source.pipe(ops.throttle_first(10.0, scheduler=SteppingScheduler(loop, *put_back))).subscribe(stock)
    source.send(*range(170))  # one each 20 s: all of them should pass
    assert stock.values == [0], "silent for 56 minutes"

    wall, arrived, ours = SteppingScheduler(loop, *put_back), asyncio.Event(), Recorder()
    paced = AtOnce(*range(5)).pipe(throttle(1000, scheduler=wall))
    paced.pipe(ops.do_action(on_completed=arrived.set)).subscribe(ours)
    await arrived.wait()
    assert ours.values == [0, 1, 2, 3, 4]
    assert wall.asked == 0, "it has no use for the time of the day"


async def test_trap_a_step_back_of_the_wall_clock_does_not_stop_a_limiter() -> None:
    """The same for limits: they wait on a monotonic clock, whatever the scheduler says that the time is."""
    wall = SteppingScheduler(asyncio.get_running_loop())
    one, done = RateLimiter(1000, 1.0, burst=1), asyncio.Event()
    for number in range(4):
        AtOnce(number).pipe(rate_limit(one)).subscribe(
            lambda n: done.set() if n == 3 else None, scheduler=wall
        )
    await done.wait()
    assert wall.asked == 0
