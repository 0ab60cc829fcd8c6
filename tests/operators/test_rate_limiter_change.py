"""Another rate while a limiter is in use."""

from __future__ import annotations

import asyncio
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rxorch_operators import RateLimiter, RateLimitExceededError
from rxorch_operators.engines.gcra import Gcra
from tests.operators.manual_clock import ManualClock
from tests.operators.support import turns
from tests.operators.test_rate_limiter import Line


@pytest.mark.parametrize(("rate", "expected"), [(120, 0.5), (30, 2.0), (60, 1.0)])
async def test_who_waits_leaves_at_the_new_pace(rate: float, expected: float) -> None:
    clock = ManualClock()
    line = Line(RateLimiter(60, 60.0, burst=1, clock=clock))
    tasks = [line.join(number) for number in range(3)]
    await turns()
    line.limiter.change(rate, burst=1)
    for done in (1, 2):
        clock.advance(expected * 0.99)
        await turns()
        assert len(line.left) == done
        clock.advance(expected * 0.01)
        await turns()
        assert len(line.left) == done + 1
    await asyncio.gather(*tasks)
    assert clock.timers == 0


async def test_a_higher_burst_lets_those_who_wait_leave_at_once() -> None:
    line = Line(RateLimiter(60, 60.0, burst=1, clock=ManualClock()))
    tasks = [line.join(number) for number in range(3)]
    await turns()
    line.limiter.change(burst=3)
    await asyncio.gather(*tasks)
    assert line.left == [0, 1, 2]


async def test_a_wait_that_cannot_end_in_time_any_more_fails_now() -> None:
    line = Line(RateLimiter(60, 60.0, burst=1, clock=ManualClock()))
    first, second = line.join(0), line.join(1, max_wait=2.0)
    await turns()
    line.limiter.change(window=600.0, burst=1)
    with pytest.raises(RateLimitExceededError) as failure:
        await second
    await first
    assert failure.value.retry_after == pytest.approx(10.0)


async def test_a_retry_after_goes_on() -> None:
    clock = ManualClock()
    limiter = RateLimiter(60, 60.0, clock=clock)
    limiter.feed_retry_after(30.0)
    limiter.change(6000)
    assert not limiter.try_acquire() and limiter.statistics().next_free == 30.0


async def test_a_rate_at_which_somebody_could_never_leave_is_refused() -> None:
    line = Line(RateLimiter(60, 60.0, burst=1, clock=ManualClock()))
    tasks = [line.join(0, cost=50), line.join(1, cost=50)]
    await turns()
    with pytest.raises(ValueError, match="a call that waits costs 50"):
        line.limiter.change(40)
    assert line.limiter.line.meter.limit == 60
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


@pytest.mark.parametrize(
    "fields", [{"rate_limit": 0}, {"window": -1.0}, {"burst": 0.5}, {"rate_limit": math.inf}]
)
def test_a_rate_that_is_none_changes_nothing(fields: dict[str, float]) -> None:
    limiter = RateLimiter(60, 30.0, burst=2)
    with pytest.raises(ValueError, match="give"):
        limiter.change(**fields)
    meter = limiter.line.meter
    assert (meter.limit, meter.window, meter.burst) == (60, 30.0, 2)


def test_before_its_first_use() -> None:
    limiter = RateLimiter(60)
    limiter.change(6000)
    assert limiter.statistics().available == 601


rates = st.tuples(st.integers(1, 100), st.floats(1.0, 100.0), st.integers(1, 20))


@given(rates, rates, st.lists(st.floats(0.0, 3.0), max_size=60), st.lists(st.floats(0.0, 3.0), max_size=60))
def test_no_window_sees_more_than_the_larger_of_both(
    old: tuple[int, float, int], new: tuple[int, float, int], before: list[float], after: list[float]
) -> None:
    meter, now, taken = Gcra(*old), 0.0, []
    for steps, change in ((before, None), (after, new)):
        if change is not None:
            meter.change(now, *change)
        for step in steps:
            now += step
            if meter.take(now):
                taken.append(now)
    window = min(old[1], new[1])
    most = max(limit / span for limit, span, _ in (old, new)) * window + max(old[2], new[2])
    for start in taken:
        assert sum(start <= at < start + window for at in taken) <= most + 1 + 1e-6
