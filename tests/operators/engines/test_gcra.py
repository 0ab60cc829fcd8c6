"""GCRA: the promise of the rate limiter, held against a log of all departures and against the standard."""

from __future__ import annotations

import math
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rxorch_operators.engines.gcra import Gcra, GcraStatistics
from tests.operators.engines.departures import heaviest_window

moderate = settings(max_examples=100, deadline=None, derandomize=True)


def taken_at(limiter, now, times, cost=1):
    return sum(limiter.take(now, cost) for _ in range(times))


def depart(limiter, now, cost=1):
    """Wait exactly as long as announced, and leave; returns when."""
    now += limiter.peek(now, cost)
    assert limiter.take(now, cost)
    return now


@pytest.mark.parametrize(
    ("limit", "burst"), [(100, 11), (60, 7), (10, 2), (9, 1), (1, 1), (0.5, 1), (1000, 101)]
)
def test_the_default_burst_is_one_and_a_tenth(limit, burst):
    limiter = Gcra(limit, 60.0)
    assert limiter.burst == burst
    assert taken_at(limiter, 0.0, 2_000) == burst


def test_ten_a_minute_with_a_burst_of_five():
    limiter = Gcra(limit=10, window=60.0, burst=5)
    assert taken_at(limiter, 0.0, 10) == 5
    assert limiter.peek(0.0) == 6.0
    assert [taken_at(limiter, now, 10) for now in (5.9, 6.0, 11.9, 12.0, 60.0)] == [0, 1, 0, 1, 5]


# ITU-T I.371 annex A, the virtual scheduling algorithm GCRA(I, L), worked by hand for I = 10, L = 15:
# a cell at t conforms if t >= TAT - L, and then TAT = max(t, TAT) + I. The burst is 1 + L / I.
@pytest.mark.parametrize(
    ("at", "conforms"),
    [
        ([0, 0, 0], [True, True, False]),
        ([0, 5, 10], [True, True, True]),
        ([0, 5, 10, 14, 15], [True, True, True, False, True]),
        ([0, 4, 5, 6, 7], [True, True, True, False, False]),
        ([0, 10, 20, 30, 40], [True, True, True, True, True]),
        ([0, 100, 100, 100], [True, True, True, False]),
    ],
)
def test_the_virtual_scheduling_of_itu_t_i_371(at, conforms):
    limiter = Gcra(limit=1, window=10.0, burst=2.5)
    assert [limiter.take(float(now)) for now in at] == conforms


limits = st.one_of(st.integers(1, 50), st.floats(0.1, 50.0))
bursts = st.none() | st.integers(1, 20) | st.floats(1.0, 20.0)


@given(
    limit=limits,
    window=st.floats(0.01, 100.0),
    burst=bursts,
    start=st.floats(0.0, 1e7),
    steps=st.lists(st.tuples(st.none() | st.floats(0.0, 1.5), st.floats(0.0, 1.0)), max_size=120),
)
@moderate
def test_no_window_ever_sees_more_than_limit_and_burst(limit, window, burst, start, steps):
    """Greedy callers of all sizes, at any time, or exactly when they were told to come."""
    limiter, now, departures = Gcra(limit, window, burst), start, []
    for gap, share in steps:
        cost = max(1.0, share * limiter.max_cost)
        now += limiter.peek(now, cost) if gap is None else gap * window / limit
        if limiter.take(now, cost):
            departures.append((now, cost))
    calls, units = heaviest_window(departures, window)
    largest = max((cost for _, cost in departures), default=0.0)
    rounding = 1e-9 * (limit + limiter.burst)
    assert calls <= limit + limiter.burst + rounding
    assert units <= limit + max(limiter.burst, largest) + rounding


@given(limit=st.integers(1, 30), burst=st.integers(1, 10), gaps=st.lists(st.integers(0, 3), max_size=150))
@moderate
def test_no_window_of_single_calls_ever_sees_more_than_limit_and_burst(limit, burst, gaps):
    limiter, now, departures = Gcra(limit, 1.0, burst), 0.0, []
    for gap in gaps:
        now += limiter.peek(now) if gap == 0 else (gap - 1) / limit
        if limiter.take(now):
            departures.append((now, 1))
    assert heaviest_window(departures, 1.0)[0] <= limit + burst


@given(
    limit=limits,
    window=st.floats(1e-3, 1e4),
    burst=bursts,
    start=st.floats(0.0, 1e9),
    costs=st.lists(st.floats(0.0, 1.0), max_size=40),
)
@moderate
def test_an_announced_wait_is_always_enough_and_no_wait_means_leave(limit, window, burst, start, costs):
    limiter, now = Gcra(limit, window, burst), start
    for share in costs:
        cost = share * limiter.max_cost
        wait = limiter.peek(now, cost)
        assert 0.0 <= wait <= 2 * max(window, limiter.burst * window / limit)
        if wait:
            assert not limiter.take(now, cost)
        now += wait
        assert limiter.peek(now, cost) == 0.0
        assert limiter.take(now, cost)


def test_an_announced_wait_is_enough_where_floats_fall_short():
    """`now + (target - now)` is less than `target` for one of a hundred."""
    random = Random(1)
    for _ in range(2_000):
        window = random.uniform(0.1, 100.0)
        limiter, now = Gcra(limit=1, window=window, burst=1), random.uniform(0.0, window)
        assert limiter.take(0.0)
        depart(limiter, now)


def test_days_of_full_load_do_not_drift():
    limiter, start, number = Gcra(limit=10, window=1.0, burst=2), 1e6 / 3, 200_000
    now = start
    for _ in range(number + 2):
        now = depart(limiter, now)
    assert now - start == pytest.approx(number / 10, abs=1e-9)


def test_what_is_ahead_is_waited_for():
    limiter = Gcra(limit=8, window=4.0, burst=2)
    announced = [limiter.peek(0.0, 1, ahead) for ahead in range(6)]
    now, left = 0.0, []
    for _ in range(6):
        now = depart(limiter, now)
        left.append(now)
    assert announced == left == [0.0, 0.0, 0.5, 1.0, 1.5, 2.0]


@given(st.lists(st.integers(1, 8), min_size=1, max_size=12), st.integers(0, 12), st.booleans())
@moderate
def test_a_queue_departs_exactly_when_it_was_told(costs, used, blocked):
    limiter, now = Gcra(limit=8, window=4.0, burst=3), 0.0
    taken_at(limiter, 0.0, used)
    if blocked:
        limiter.block_until(1.0)
    announced = [limiter.peek(0.0, cost, sum(costs[:place])) for place, cost in enumerate(costs)]
    left = []
    for cost in costs:
        now = depart(limiter, now, cost)
        left.append(now)
    assert left == announced


def test_a_cost_above_the_burst_leaves_when_all_is_paid_and_is_paid_by_what_follows():
    limiter = Gcra(limit=60, window=60.0, burst=5)
    assert limiter.take(0.0, cost=30)
    assert limiter.statistics(0.0).available == -25
    assert (limiter.peek(0.0), limiter.peek(0.0, cost=5), limiter.peek(0.0, cost=30)) == (26.0, 30.0, 30.0)
    assert limiter.take(30.0, cost=30)
    assert limiter.peek(30.0, cost=30, ahead=30) == 60.0


def test_large_calls_alone_use_the_whole_rate():
    """1000 tokens a minute, 500 each: two calls a minute, in spite of a burst of 101."""
    limiter, now = Gcra(limit=1000, window=60.0), 0.0
    for _ in range(11):
        now = depart(limiter, now, 500)
    assert now == pytest.approx(300.0)


def test_a_cost_of_nothing_always_passes_but_for_a_block_or_a_debt():
    limiter = Gcra(limit=60, window=60.0, burst=2)
    assert taken_at(limiter, 0.0, 2) == 2
    assert limiter.take(0.0, cost=0)
    limiter.block_until(5.0)
    assert not limiter.take(4.0, cost=0)


@pytest.mark.parametrize("cost", [61, -1, math.nan, math.inf])
def test_a_cost_that_could_never_pass_is_refused(cost):
    limiter = Gcra(limit=60, window=60.0, burst=5)
    for method in (limiter.peek, limiter.take):
        with pytest.raises(ValueError, match=f"^cost={cost}: give 0 up to 60, the larger of limit and burst"):
            method(0.0, cost)


def test_a_taken_permit_can_be_given_back():
    limiter = Gcra(limit=60, window=60.0, burst=2)
    assert taken_at(limiter, 0.0, 2) == 2
    assert limiter.give_back(0.0)
    assert limiter.take(0.5)
    assert not limiter.take(0.5)


def test_a_whole_burst_can_be_given_back_in_its_instant():
    limiter = Gcra(limit=60, window=60.0, burst=3)
    assert taken_at(limiter, 0.0, 3) == 3
    assert [limiter.give_back(0.0) for _ in range(3)] == [True] * 3
    assert taken_at(limiter, 0.0, 9) == 3


def test_a_permit_comes_back_too_late_once_another_was_taken():
    """Else two would leave at once where one may: the first place in time is long gone."""
    limiter = Gcra(limit=60, window=60.0, burst=1)
    assert limiter.take(0.0)
    assert limiter.take(100.0)
    assert not limiter.give_back(0.0)
    assert not limiter.take(100.0)


def test_a_permit_given_back_does_not_open_a_block():
    limiter = Gcra(limit=60, window=60.0, burst=3)
    assert limiter.take(0.0)
    limiter.block_until(10.0)
    assert not limiter.give_back(0.0)
    assert limiter.peek(0.0) == 10.0


def test_trap_herd_nothing_leaves_before_the_end_of_a_block_and_the_55_waiters_not_at_once_after_it():
    limiter = Gcra(limit=100, window=10.0, burst=50)
    limiter.block_until(30.0)
    announced = [limiter.peek(0.0, 1, ahead) for ahead in range(55)]
    assert announced[0] == 30.0
    assert announced == pytest.approx([30.0 + place / 10 for place in range(55)])
    assert not limiter.take(29.999)
    assert taken_at(limiter, 30.0, 55) == 1


def test_a_block_is_never_shortened():
    limiter = Gcra(limit=60, window=60.0, burst=1)
    limiter.block_until(30.0)
    limiter.block_until(10.0)
    assert limiter.peek(0.0) == 30.0


def test_a_block_that_is_over_adds_no_wait_after_a_rest():
    limiter = Gcra(limit=60, window=60.0, burst=5)
    limiter.block_until(10.0)
    assert taken_at(limiter, 100.0, 9) == 5


def test_a_reset_forgets_what_was_taken_and_the_block():
    limiter = Gcra(limit=60, window=60.0, burst=5)
    taken_at(limiter, 0.0, 5)
    limiter.block_until(30.0)
    limiter.reset()
    assert not limiter.give_back(0.0)
    assert taken_at(limiter, 0.0, 9) == 5


def test_trap_wall_clocks_a_step_back_lets_nothing_extra_through():
    limiter = Gcra(limit=60, window=60.0, burst=2)
    assert taken_at(limiter, 100.0, 9) == 2
    assert taken_at(limiter, 50.0, 9) == 0
    assert taken_at(limiter, 101.0, 9) == 1


def test_statistics():
    limiter = Gcra(limit=60, window=30.0, burst=6)
    assert limiter.statistics(0.0).available == 6
    assert taken_at(limiter, 0.0, 5, cost=2) == 3
    limiter.give_back(0.0, 2)
    assert limiter.statistics(0.5) == GcraStatistics(
        limit=60, window=30.0, burst=6, available=3.0, taken=4, calls=2, refused=2, blocked_until=None
    )
    limiter.block_until(7.0)
    assert (limiter.statistics(1.0).available, limiter.statistics(1.0).blocked_until) == (0.0, 7.0)
    assert taken_at(limiter, 6.75, 2, cost=0) == 0
    statistics = limiter.statistics(7.0)
    assert (statistics.blocked_until, statistics.available, statistics.refused) == (None, 1.0, 4)


@pytest.mark.parametrize(
    ("setting", "text"),
    [
        ({"limit": 0}, "limit=0: give units per window"),
        ({"limit": math.inf}, "limit=inf: give units"),
        ({"limit": math.nan}, "limit=nan: give units"),
        ({"window": 0.0}, "window=0.0: give seconds"),
        ({"window": math.inf}, "window=inf: give seconds"),
        ({"burst": 0}, "burst=0: give 1 (strict pacing) or more, or None for 1 + limit // 10"),
        ({"burst": math.nan}, "burst=nan: give 1"),
        ({"burst": math.inf}, "burst=inf: give 1"),
        ({"limit": 1e-300, "window": 1e300}, "limit=1e-300: give a rate of use"),
        ({"limit": 1e300, "window": 1e-300}, "limit=1e+300: give a rate of use"),
    ],
)
def test_a_limiter_that_cannot_work_is_refused(setting, text):
    with pytest.raises(ValueError) as caught:
        Gcra(**{"limit": 60, "window": 60.0, **setting})
    assert str(caught.value).startswith(text)


def test_a_block_needs_a_time():
    with pytest.raises(ValueError, match="until=nan: give monotonic seconds"):
        Gcra(60, 60.0).block_until(math.nan)


def test_what_left_before_a_block_is_not_given_back_after_it():
    limiter = Gcra(60, 60.0, 3)
    assert limiter.take(0.0, 3)
    limiter.block_until(0.5)
    assert not limiter.give_back(0.0, 3)
    assert not limiter.take(0.5, 3)
