"""The retry budget: a bounded share of extra calls."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rxorch_operators.engines.budget import RetryBudget, RetryBudgetStatistics

moderate = settings(max_examples=100, deadline=None, derandomize=True)


def spend(budget, now, times):
    return sum(budget.try_spend(now) for _ in range(times))


# 20 % extra over 10 s with a floor of 3.
@pytest.mark.parametrize(("calls", "granted"), [(0, 3), (5, 3), (15, 3), (19, 3), (20, 4), (100, 20)])
def test_the_default_allows_a_fifth_and_at_least_three(calls, granted):
    budget = RetryBudget()
    for _ in range(calls):
        budget.record_call(0.0)
    assert spend(budget, 0.0, 200) == granted


@pytest.mark.parametrize(
    ("ratio", "calls", "granted"), [(0.29, 100, 29), (0.07, 100, 7), (0.1, 30, 3), (0.0, 50, 0)]
)
def test_a_share_that_floats_cannot_hold_is_not_cut_short(ratio, calls, granted):
    budget = RetryBudget(ratio=ratio, floor=0)
    for _ in range(calls):
        budget.record_call(0.0)
    assert spend(budget, 0.0, 200) == granted


def test_what_was_spent_comes_back_when_the_window_has_passed():
    budget = RetryBudget()
    assert spend(budget, 0.0, 9) == 3
    assert spend(budget, 9.9, 9) == 0
    assert spend(budget, 11.0, 9) == 3


def test_calls_of_long_ago_earn_nothing():
    budget = RetryBudget()
    for _ in range(100):
        budget.record_call(0.0)
    assert spend(budget, 11.0, 200) == 3


def test_a_refused_spend_costs_nothing():
    budget = RetryBudget(ratio=0.5, floor=1)
    assert spend(budget, 0.0, 50) == 1
    for _ in range(4):
        budget.record_call(1.0)
    assert spend(budget, 1.0, 50) == 1


@given(
    st.lists(st.tuples(st.floats(0.0, 3.0), st.booleans()), max_size=200),
    st.sampled_from([0.0, 0.1, 0.2, 0.5, 1.0]),
    st.integers(0, 5),
)
@moderate
def test_no_window_ever_holds_more_than_the_share_or_the_floor(steps, ratio, floor):
    budget, now, calls, spent = RetryBudget(ratio=ratio, floor=floor), 0.0, [], []
    for gap, is_call in steps:
        now += gap
        if is_call:
            budget.record_call(now)
            calls.append(now)
        elif budget.try_spend(now):
            spent.append(now)
            # The window slides in tenths: calls may earn, and repeats may weigh, for one tenth longer.
            earned = sum(now - call < 11.0 + 1e-9 for call in calls)
            assert sum(now - repeat < 10.0 for repeat in spent) <= max(floor, ratio * earned + 1e-9)
        else:
            earned = sum(now - call < 10.0 - 1e-9 for call in calls)
            weighing = sum(now - repeat < 11.0 + 1e-9 for repeat in spent)
            assert weighing + 1 > max(floor, math.floor(ratio * earned))


def test_a_step_back_in_time_changes_nothing():
    budget = RetryBudget(floor=1)
    assert budget.try_spend(100.0)
    assert not budget.try_spend(50.0)
    assert not budget.try_spend(100.0)


def test_statistics():
    budget = RetryBudget(ratio=0.5, floor=1)
    for _ in range(4):
        budget.record_call(0.0)
    spend(budget, 1.0, 5)
    assert budget.statistics(1.0) == RetryBudgetStatistics(calls=4, spent=2, allowance=2, granted=2, denied=3)
    assert budget.statistics(60.0) == RetryBudgetStatistics(
        calls=0, spent=0, allowance=1, granted=2, denied=3
    )


@pytest.mark.parametrize(
    ("setting", "text"),
    [
        ({"ratio": -0.1}, "ratio=-0.1: give"),
        ({"ratio": math.nan}, "ratio=nan: give"),
        ({"ratio": math.inf}, "ratio=inf: give"),
        ({"window": 0.0}, "window=0.0: give seconds above 0"),
        ({"window": math.inf}, "window=inf: give seconds"),
        ({"floor": -1}, "floor=-1: give a whole number"),
        ({"floor": 1.5}, "floor=1.5: give a whole number"),
    ],
)
def test_a_budget_that_cannot_work_is_refused(setting, text):
    with pytest.raises(ValueError) as caught:
        RetryBudget(**setting)
    assert str(caught.value).startswith(text)


def test_a_window_may_be_shorter_than_a_second():
    budget = RetryBudget(window=0.5, floor=1)
    assert budget.try_spend(0.0)
    assert not budget.try_spend(0.45)
    assert budget.try_spend(0.55)


def test_the_floor_may_be_raised_later():
    budget = RetryBudget(floor=1)
    assert spend(budget, 0.0, 9) == 1
    budget.floor = 4
    assert spend(budget, 0.0, 9) == 3
