"""InMemoryRateLimiter: several rates by name, exact in every interval, first come first served."""

from __future__ import annotations

import asyncio
import enum
import pickle
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rxorch_operators import (
    InMemoryRateLimiter,
    OperatorError,
    RateLimit,
    RateLimiterConfig,
    RateLimitStatus,
    TimeoutExceededError,
)
from tests.operators.manual_clock import ManualClock
from tests.operators.support import turns


def limiter(clock: ManualClock, *default: RateLimit, **categories: list[RateLimit]) -> InMemoryRateLimiter:
    config = RateLimiterConfig(default_rates=list(default or [RateLimit(2, 10.0)]), categories=categories)
    return InMemoryRateLimiter(config, clock=clock)


class Line:
    """Tasks that wait, and note when they left."""

    def __init__(self, limiter: InMemoryRateLimiter, clock: ManualClock) -> None:
        self.limiter = limiter
        self.clock = clock
        self.left: list[tuple[Any, float]] = []

    def join(self, label: Any, *args: Any, **kwargs: Any) -> asyncio.Task[None]:
        async def wait() -> None:
            await self.limiter.acquire(*args, **kwargs)
            self.left.append((label, self.clock.now()))

        return asyncio.create_task(wait())

    async def run(self, seconds: float, step: float = 1.0) -> None:
        for _ in range(round(seconds / step)):
            await turns()
            self.clock.advance(step)
        await turns()


async def test_waits_for_the_window_to_move() -> None:
    clock = ManualClock()
    line = Line(limiter(clock), clock)
    for number in range(5):
        line.join(number, "api")
        await line.run(1)
    await line.run(30)
    assert line.left == [(0, 0), (1, 1), (2, 10), (3, 11), (4, 20)]
    assert clock.timers == 0


async def test_all_rates_of_a_name_must_have_room() -> None:
    clock = ManualClock()
    line = Line(limiter(clock, api=[RateLimit(2, 1.0), RateLimit(3, 10.0)]), clock)
    for number in range(6):
        line.join(number, "api")
    await line.run(30)
    assert [at for _, at in line.left] == [0, 0, 1, 10, 10, 11]


async def test_nothing_is_taken_of_one_rate_while_another_has_no_room() -> None:
    clock = ManualClock()
    one = limiter(clock, api=[RateLimit(1, 10.0), RateLimit(3, 1000.0)])
    assert one.try_acquire("api")
    for _ in range(50):
        assert not one.try_acquire("api")
    clock.advance(10.0)
    assert one.try_acquire("api")
    assert one.get_status("api").limit == 1


async def test_each_unknown_name_counts_for_itself_by_the_default_rates() -> None:
    one = limiter(ManualClock(), special=[RateLimit(1, 10.0)])
    assert [one.try_acquire("x") for _ in range(3)] == [True, True, False]
    assert [one.try_acquire("y") for _ in range(3)] == [True, True, False]
    assert [one.try_acquire("special") for _ in range(2)] == [True, False]
    assert [one.try_acquire() for _ in range(3)] == [True, True, False]


async def test_weight() -> None:
    clock = ManualClock()
    one = limiter(clock, RateLimit(10, 60.0))
    await one.acquire("x", weight=7)
    assert not one.try_acquire("x", 4) and one.try_acquire("x", 3)
    for wrong in (0, -1, 1.5, True):
        with pytest.raises(ValueError, match="weight="):
            one.try_acquire("x", wrong)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="weight=11: give 1 up to limit=10"):
        await one.acquire("x", 11)


async def test_a_weight_that_cannot_be_is_refused_for_a_name_that_is_known_too() -> None:
    class Weight(enum.IntEnum):
        TWO = 2

    clock = ManualClock()
    one = limiter(clock, RateLimit(10, 60.0), RateLimit(2, 1.0))
    await one.acquire("x", Weight.TWO)
    assert one.get_status("x").current_count == 2
    for wrong in (0, -1, 1.5, True):
        with pytest.raises(ValueError, match="weight="):
            await one.acquire("x", wrong)  # type: ignore[arg-type]
    for _ in range(4):
        clock.advance(1.0)
        await one.acquire("x", 2)
    with pytest.raises(ValueError, match="weight=3: give 1 up to limit=2"):
        one.try_acquire("x", 3)  # though the larger limit is used up, and could be asked first
    with pytest.raises(ValueError, match="weight=3: give 1 up to limit=2"):
        await one.acquire("x", 3)


async def test_with_room_acquire_does_not_suspend() -> None:
    one = InMemoryRateLimiter(RateLimiterConfig([RateLimit(2, 60.0)]))
    for _ in range(2):
        with pytest.raises(StopIteration):
            one.acquire("x").send(None)
    assert not one.try_acquire("x")


def test_in_one_loop_after_another() -> None:
    one = InMemoryRateLimiter(RateLimiterConfig([RateLimit(1, 0.001)]))

    async def use() -> None:
        await one.acquire("x")
        await one.acquire("x", timeout=10.0)

    asyncio.run(use())
    asyncio.run(use())


async def test_first_come_first_served_by_name() -> None:
    clock = ManualClock()
    line = Line(limiter(clock, RateLimit(4, 10.0)), clock)
    line.limiter.try_acquire("x", 2)
    line.join("big", "x", 4)
    line.join("small", "x", 1)
    line.join("other", "y", 4)
    await turns()
    assert not line.limiter.try_acquire("x", 1), "nobody overtakes"
    await line.run(25)
    assert line.left == [("other", 0), ("big", 10), ("small", 20)]


async def test_a_wait_that_cannot_end_in_time_fails_at_once() -> None:
    clock = ManualClock()
    one = limiter(clock)
    assert one.try_acquire("x", 2)
    with pytest.raises(TimeoutExceededError) as caught:
        await one.acquire("x", timeout=9.9)
    assert caught.value.kind == "queue" and caught.value.limit == 9.9
    assert isinstance(caught.value, TimeoutError)
    assert one.get_status("x").current_count == 2
    clock.advance(10.0)
    await one.acquire("x", timeout=0)


async def test_a_place_behind_others_counts_in_the_estimate() -> None:
    clock = ManualClock()
    line = Line(limiter(clock), clock)
    line.limiter.try_acquire("x", 2)
    line.join(0, "x", 2)
    await turns()
    with pytest.raises(TimeoutExceededError):
        await line.limiter.acquire("x", timeout=19.0)
    line.join(1, "x", timeout=20.0)
    await line.run(40)
    assert line.left == [(0, 10), (1, 20)]


async def test_a_cancelled_waiter_gives_its_place_back_at_once() -> None:
    clock = ManualClock()
    line = Line(limiter(clock, RateLimit(3, 10.0)), clock)
    line.limiter.try_acquire("x", 2)
    big = line.join("big", "x", 3)
    line.join("small", "x", 1)
    await turns()
    big.cancel()
    await turns()
    assert line.left == [("small", 0)]


async def test_status() -> None:
    clock = ManualClock()
    one = limiter(clock, api=[RateLimit(5, 1.0), RateLimit(6, 100.0)])
    assert one.get_status("api") == RateLimitStatus("api", 0, 5, 5, 0.0)
    one.try_acquire("api", 4)
    clock.advance(0.5)
    assert one.get_status("api") == RateLimitStatus("api", 4, 5, 1, 0.5)
    clock.advance(1.0)
    assert one.get_status("api") == RateLimitStatus("api", 4, 6, 2, 98.5)
    assert one.get_status("unseen") == RateLimitStatus("unseen", 0, 2, 2, 0.0)


async def test_status_of_rates_with_equal_room_is_that_which_lasts_longer() -> None:
    one = limiter(ManualClock(), RateLimit(2, 1.0), RateLimit(2, 100.0), RateLimit(2, 50.0))
    one.try_acquire("x")
    assert one.get_status("x") == RateLimitStatus("x", 1, 2, 1, 100.0)


async def test_reset_of_one_name_or_all_lets_those_who_wait_leave() -> None:
    clock = ManualClock()
    line = Line(limiter(clock), clock)
    for name in ("x", "y"):
        line.limiter.try_acquire(name, 2)
        line.join(name, name)
    await turns()
    line.limiter.reset("x")
    line.limiter.reset("unseen")
    await turns()
    assert line.left == [("x", 0)]
    line.limiter.reset()
    await turns()
    assert line.left == [("x", 0), ("y", 0)]


async def test_close_ends_every_wait_with_a_clear_error_and_lets_nobody_in() -> None:
    clock = ManualClock()
    line = Line(limiter(clock, RateLimit(3, 10.0)), clock)
    async with line.limiter as one:
        one.try_acquire("x", 2)
        tasks = [line.join(0, "x", 3), line.join(1, "x", 1), line.join(2, "x", timeout=100.0)]
        await turns()
    assert clock.timers == 0
    await turns()
    assert [str(task.exception()) for task in tasks] == ["the rate limiter is closed"] * 3
    assert line.left == [] and clock.timers == 0
    with pytest.raises(OperatorError, match="closed"):
        await one.acquire("x")
    with pytest.raises(OperatorError, match="closed"):
        one.try_acquire("x")
    await one.close()


async def test_close_with_a_waiter_that_was_just_cancelled() -> None:
    clock = ManualClock()
    line = Line(limiter(clock), clock)
    line.limiter.try_acquire("x", 2)
    task = line.join(0, "x")
    await turns()
    task.cancel()
    await line.limiter.close()
    await turns()
    assert task.cancelled()


def test_names_that_nothing_is_known_of_any_more_are_forgotten() -> None:
    clock = ManualClock()
    one = limiter(clock)
    for number in range(10_000):
        one.try_acquire(f"user {number}")
        clock.advance(0.1)
    assert len(one._queues) < 500


async def test_a_name_with_a_line_is_not_forgotten_in_the_instant_in_which_its_window_empties() -> None:
    clock = ManualClock()
    line = Line(limiter(clock), clock)
    overtook: list[bool] = []

    def come_first() -> None:
        for number in range(500):
            line.limiter.try_acquire(f"user {number}")
        overtook.append(line.limiter.try_acquire("x"))

    clock.call_later(10.0, come_first)
    line.limiter.try_acquire("x", 2)
    line.join("waits", "x", 2)
    await line.run(11)
    assert overtook == [False] and line.left == [("waits", 10)]


def test_it_works_outside_a_loop_as_far_as_nothing_waits() -> None:
    one = InMemoryRateLimiter(RateLimiterConfig([RateLimit(1, 60)]))
    assert one.try_acquire() and not one.try_acquire()
    assert 0 < one.get_status().reset_after <= 60


# The configuration


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: RateLimit(0, 60), "limit=0"),
        (lambda: RateLimit(1.5, 60), "limit=1.5"),  # type: ignore[arg-type]
        (lambda: RateLimit(1, 0), "interval=0"),
        (lambda: RateLimiterConfig([]), r"default_rates=\[\]: give at least one RateLimit"),
        (lambda: RateLimiterConfig([RateLimit(1, 1)], {"a": []}), r"categories\['a'\]=\[\]"),
    ],
)
def test_values_that_cannot_work_are_refused(make: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: RateLimiterConfig(RateLimit(1, 1)), "must be a list of RateLimit, got a single one"),  # type: ignore[arg-type]
        (lambda: RateLimiterConfig([5]), "got int in it"),  # type: ignore[list-item]
        (lambda: InMemoryRateLimiter({"default": 5}), "expected a RateLimiterConfig, got dict"),  # type: ignore[arg-type]
    ],
)
def test_things_of_another_kind_are_refused(make: Any, message: str) -> None:
    with pytest.raises(TypeError, match=message):
        make()


def test_the_configuration_is_a_copy_that_can_be_pickled() -> None:
    rates = [RateLimit(1, 1)]
    config = RateLimiterConfig(default_rates=rates, categories={"a": rates})
    rates.append(RateLimit(2, 2))
    assert config.default_rates == config.categories["a"] == (RateLimit(1, 1),)
    assert pickle.loads(pickle.dumps(config)) == config


# Whatever comes


@given(
    rates=st.lists(st.tuples(st.integers(2, 6), st.sampled_from([0.5, 2.0, 7.3])), min_size=1, max_size=3),
    calls=st.lists(
        st.tuples(
            st.sampled_from([0.0, 0.0, 0.3, 1.1, 5.0]),  # pause before
            st.integers(1, 2),  # weight
            st.sampled_from([None, None, 0.0, 0.7]),  # cancelled after so long
            st.sampled_from([None, None, 1.0]),  # timeout
        ),
        max_size=40,
    ),
)
def test_no_interval_holds_more_than_its_limit_and_nobody_starves(
    rates: list[tuple[int, float]], calls: list[tuple[float, int, float | None, float | None]]
) -> None:
    left = asyncio.run(_history(rates, calls))
    order = [number for _, number, _ in left]
    assert order == sorted(order), "first come, first served"
    for limit, interval in rates:
        for start, _, _ in left:
            within = sum(weight for at, _, weight in left if start <= at < start + interval - 1e-6)
            assert within <= limit


async def _history(
    rates: list[tuple[int, float]], calls: list[tuple[float, int, float | None, float | None]]
) -> list[tuple[float, int, int]]:
    clock = ManualClock(start=1e5 / 3)
    one = limiter(clock, *(RateLimit(*rate) for rate in rates))
    left: list[tuple[float, int, int]] = []

    async def call(number: int, weight: int, timeout: float | None) -> None:
        await one.acquire("x", weight, timeout)
        left.append((clock.now(), number, weight))

    tasks = []
    for number, (pause, weight, patience, timeout) in enumerate(calls):
        await _pass(clock, pause)
        task = asyncio.create_task(call(number, weight, timeout))
        await turns(3)
        if patience is not None:
            clock.call_later(patience, task.cancel)
        tasks.append(task)
    while clock.timers:
        await _pass(clock, clock.next_due() - clock.now())
    done = await asyncio.gather(*tasks, return_exceptions=True)
    allowed = (asyncio.CancelledError, TimeoutExceededError)
    assert all(result is None or isinstance(result, allowed) for result in done)
    return left


async def _pass(clock: ManualClock, seconds: float) -> None:
    """Lets time pass from timer to timer, so that each task runs at the time at which it was granted."""
    end = clock.now() + max(0.0, seconds)
    while clock.next_due() <= end:
        clock.advance(max(0.0, clock.next_due() - clock.now()))
        await turns(3)
    clock.advance(max(0.0, end - clock.now()))
    await turns(3)
