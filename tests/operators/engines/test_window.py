"""The exact sliding window, against a list of all entries."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rxorch_operators.engines.window import SlidingWindow, SlidingWindowStatistics, seconds_until

moderate = settings(max_examples=100, deadline=None, derandomize=True)


def test_an_entry_stays_until_it_is_one_interval_old():
    window = SlidingWindow(limit=3, interval=10.0)
    assert [window.take(now) for now in (0.0, 4.0, 4.0, 9.9, 10.0, 10.0)] == [
        True,
        True,
        True,
        False,
        True,
        False,
    ]
    assert [window.remaining(now) for now in (10.0, 13.9, 14.0, 20.0)] == [0, 0, 2, 3]


def test_weights():
    window = SlidingWindow(limit=5, interval=10.0)
    assert window.take(0.0, 3)
    assert not window.take(1.0, 3)
    assert window.take(1.0, 2)
    assert (window.peek(2.0, 1), window.peek(2.0, 3), window.peek(2.0, 4)) == (8.0, 8.0, 9.0)
    assert window.used(2.0) == 5


def test_reset_after_is_the_time_until_the_oldest_entry_leaves():
    window = SlidingWindow(limit=5, interval=10.0)
    assert window.reset_after(0.0) == 0.0
    window.take(0.0)
    window.take(3.0)
    assert [window.reset_after(now) for now in (3.0, 10.0, 13.0)] == [7.0, 3.0, 0.0]


entries = st.lists(st.tuples(st.integers(0, 12), st.integers(1, 5)), max_size=80)


@given(st.integers(5, 9), entries)
@moderate
def test_no_interval_ever_holds_more_than_the_limit_and_none_is_refused_without_need(limit, steps):
    window, now, log = SlidingWindow(limit, 2.0), 0.0, []
    for eighths, weight in steps:
        now += eighths / 8
        used = sum(entry for at, entry in log if now - at < 2.0)
        assert window.used(now) == used
        assert window.take(now, weight) is (used + weight <= limit)
        if used + weight <= limit:
            log.append((now, weight))


@given(
    limit=st.integers(1, 6),
    interval=st.floats(1e-3, 1e4),
    start=st.floats(0.0, 1e9),
    gaps=st.lists(st.floats(0.0, 0.5), max_size=60),
)
@moderate
def test_an_announced_wait_is_always_enough_and_no_wait_means_enter(limit, interval, start, gaps):
    window, now = SlidingWindow(limit, interval), start
    for gap in gaps:
        now += gap * interval
        wait = window.peek(now)
        if wait:
            assert not window.take(now)
        now += wait
        assert window.peek(now) == 0.0
        assert window.take(now)


@given(st.lists(st.integers(0, 6), max_size=4), st.integers(1, 12))
@moderate
def test_a_queue_enters_exactly_when_it_was_told(gaps, waiting):
    window, now = SlidingWindow(limit=4, interval=8.0), 0.0
    for gap in gaps:
        now += gap / 2
        window.take(now)
    announced = [now + window.peek(now, 1, ahead) for ahead in range(waiting)]
    entered = []
    for _ in range(waiting):
        now += window.peek(now)
        assert window.take(now)
        entered.append(now)
    assert entered == announced


def test_what_did_not_happen_can_be_given_back():
    window = SlidingWindow(limit=2, interval=10.0)
    window.take(0.0, 1)
    window.take(1.0, 1)
    assert window.give_back(0.0)
    assert not window.give_back(0.0)
    assert not window.give_back(1.0, 2)
    assert (window.remaining(2.0), window.reset_after(2.0)) == (1, 9.0)


def test_a_reset_empties_the_window():
    window = SlidingWindow(limit=2, interval=10.0)
    window.take(0.0, 2)
    window.reset()
    assert window.take(0.0, 2)


def test_it_holds_no_more_entries_than_its_limit():
    window = SlidingWindow(limit=10, interval=1.0)
    for step in range(10_000):
        window.take(step / 100)
    assert len(window._entries) <= 10


def test_trap_wall_clocks_a_step_back_lets_nothing_extra_through():
    window = SlidingWindow(limit=1, interval=10.0)
    assert window.take(100.0)
    assert not window.take(50.0)
    assert window.peek(50.0) == 10.0
    assert window.take(110.0)


def test_statistics():
    window = SlidingWindow(limit=3, interval=10.0)
    for now in (0.0, 1.0, 2.0, 3.0, 3.0):
        window.take(now)
    window.give_back(1.0)
    assert window.statistics(4.0) == SlidingWindowStatistics(
        limit=3, interval=10.0, used=2, remaining=1, reset_after=6.0, taken=2, refused=2
    )


@pytest.mark.parametrize("weight", [0, -1, 4])
def test_a_weight_that_could_never_fit_is_refused(weight):
    window = SlidingWindow(limit=3, interval=10.0)
    for method in (window.peek, window.take):
        with pytest.raises(ValueError, match=f"^weight={weight}: give 1 up to limit=3"):
            method(0.0, weight)


@pytest.mark.parametrize(
    ("limit", "interval", "text"),
    [
        (0, 1.0, "limit=0: give a whole number, 1 or more"),
        (1.5, 1.0, "limit=1.5: give"),
        (1, 0.0, "interval=0.0: give seconds above 0"),
        (1, math.inf, "interval=inf: give"),
    ],
)
def test_a_window_that_cannot_work_is_refused(limit, interval, text):
    with pytest.raises(ValueError) as caught:
        SlidingWindow(limit, interval)
    assert str(caught.value).startswith(text)


@given(st.floats(-1e9, 1e9), st.floats(-1e9, 1e9))
@moderate
def test_after_the_wait_the_target_is_reached_and_no_later_than_needed(target, now):
    wait = seconds_until(target, now)
    assert now + wait >= target
    assert wait == 0.0 if now >= target else wait <= (target - now) + 4 * math.ulp(max(abs(target), abs(now)))
