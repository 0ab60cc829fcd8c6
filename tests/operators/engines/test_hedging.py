"""When a call is late: exact quantiles, and an estimate that the race itself does not spoil."""

from __future__ import annotations

import dataclasses
import math
import re
from collections import deque
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rxorch_operators.engines.hedging import HedgePolicy, Hedger, HedgeStatistics, LatencyWindow

moderate = settings(max_examples=100, deadline=None, derandomize=True)


def taught(policy: HedgePolicy, *seconds: float) -> Hedger:
    hedger = Hedger(policy)
    for duration in seconds:
        hedger.record_answer(duration)
    return hedger


@pytest.mark.parametrize(
    ("count", "share", "rank"),
    [
        (1, 0.5, 1),
        (20, 0.95, 19),
        (100, 0.95, 95),
        (100, 0.07, 7),
        (100, 0.29, 29),
        (3, 0.99, 3),
        (3, 0.01, 1),
    ],
)
def test_a_quantile_is_the_nearest_rank(count: int, share: float, rank: int) -> None:
    window = LatencyWindow(size=count)
    for number in range(count, 0, -1):
        window.add(float(number))
    assert window.quantile(share) == rank


def test_the_oldest_duration_is_forgotten_first() -> None:
    window = LatencyWindow(size=3)
    for seconds in (5.0, 1.0, 5.0, 2.0, 3.0):
        window.add(seconds)
    assert (len(window), window.quantile(0.01), window.quantile(0.99)) == (3, 2.0, 5.0)
    window.add(1.0)
    assert window.quantile(0.99) == 3.0


@moderate
@given(st.lists(st.integers(0, 9), min_size=1, max_size=60), st.integers(1, 12), st.floats(0.01, 0.99))
def test_a_window_agrees_with_sorting_the_newest(durations: list[int], size: int, share: float) -> None:
    window = LatencyWindow(size)
    newest: deque[int] = deque(maxlen=size)
    for seconds in durations:
        window.add(float(seconds))
        newest.append(seconds)
    value = window.quantile(share)
    assert len(window) == len(newest)
    assert value in newest
    assert sum(one <= value for one in newest) >= share * len(newest) - 1e-6
    assert sum(one < value for one in newest) < share * len(newest)


def test_an_empty_window_has_no_quantile() -> None:
    with pytest.raises(ValueError, match="no duration"):
        LatencyWindow(size=1).quantile(0.5)
    with pytest.raises(ValueError, match="size"):
        LatencyWindow(size=0)


def test_the_delay_is_fixed_until_fifty_durations_are_known() -> None:
    hedger = taught(HedgePolicy(delay=2.0), *[number / 100 for number in range(1, 50)])
    assert hedger.delay == 2.0
    hedger.record_answer(0.5)
    assert hedger.delay == 0.48  # the 48th of 50


def test_the_default_delay_is_two_seconds_and_one_hedge() -> None:
    policy = HedgePolicy()
    assert (policy.delay, policy.max_hedges, policy.percentile, policy.min_samples) == (2.0, 1, 0.95, 50)


def test_the_observed_delay_has_bounds_and_the_fixed_one_has_not() -> None:
    policy = HedgePolicy(delay=9.0, min_samples=2, min_delay=0.1, max_delay=3.0)
    assert taught(policy, 0.0).delay == 9.0
    assert taught(policy, 0.0, 0.0).delay == 0.1
    assert taught(policy, 0.0, 1.0).delay == 1.0
    assert taught(policy, 0.0, 7.0).delay == 3.0


@pytest.mark.parametrize("fixed", [{"percentile": None}, {"delay": 0.0}])
def test_without_a_percentile_or_in_a_race_nothing_is_learnt(fixed: dict[str, Any]) -> None:
    hedger = taught(HedgePolicy(min_samples=1, **fixed), 5.0, 5.0)
    hedger.record_no_answer(99.0, hedger.record_call())
    assert (hedger.delay, hedger.statistics().samples) == (fixed.get("delay", 2.0), 0)


def test_it_may_wait_for_ever_until_it_knows_better() -> None:
    hedger = taught(HedgePolicy(delay=math.inf, min_samples=2), 1.0)
    assert hedger.delay == math.inf
    hedger.record_answer(3.0)
    assert hedger.delay == 3.0


def test_a_call_that_was_late_counts_with_what_it_had_taken() -> None:
    hedger = taught(HedgePolicy(delay=2.0, min_samples=1))
    hedger.record_no_answer(5.0, 2.0)
    assert (hedger.delay, hedger.statistics().samples) == (5.0, 1)


def test_a_timer_that_fired_a_tick_early_counts_too() -> None:
    hedger = taught(HedgePolicy(delay=2.0, min_samples=1))
    hedger.record_no_answer(1.9999995, 2.0)
    assert hedger.statistics().samples == 1


def test_a_fast_failure_says_nothing() -> None:
    hedger = taught(HedgePolicy(min_samples=1), 1.0)
    for _ in range(100):
        hedger.record_no_answer(0.001, hedger.record_call())
    assert (hedger.delay, hedger.statistics().samples) == (1.0, 1)


def test_a_clock_that_steps_back_leaves_no_negative_delay() -> None:
    hedger = taught(HedgePolicy(min_samples=1, min_delay=0.0), -3.0)
    assert hedger.delay == 0.0


def race(hedger: Hedger, random: Random, calls: int, spread: float) -> float:
    """Plays so many calls, each attempt log-normal around a second; the share that was hedged."""
    hedged = 0
    for _ in range(calls):
        first, second = random.lognormvariate(0.0, spread), random.lognormvariate(0.0, spread)
        delay = hedger.record_call()
        hedged += first > delay
        if first <= delay + second:
            hedger.record_answer(first)
        else:
            hedger.record_no_answer(delay + second, delay)
    return hedged / calls


@pytest.mark.parametrize("start", [0.01, 1.0, 100.0, math.inf])
def test_about_a_twentieth_is_hedged_wherever_it_started(start: float) -> None:
    hedger, random = Hedger(HedgePolicy(delay=start)), Random(7)
    race(hedger, random, 3000, spread=1.0)
    assert 0.03 <= race(hedger, random, 20_000, spread=1.0) <= 0.07
    assert hedger.delay == pytest.approx(math.exp(1.645), rel=0.35)


def test_the_losers_left_out_the_delay_would_sink() -> None:
    """What the test above is there for: the same race, told of the winners only."""

    class Forgetful(Hedger):
        __slots__ = ()

        def record_no_answer(self, seconds: float, delay: float) -> None:
            pass

    hedger, random = Forgetful(HedgePolicy(delay=1.0)), Random(7)
    race(hedger, random, 3000, spread=1.0)
    assert race(hedger, random, 20_000, spread=1.0) > 0.1


def test_it_follows_a_service_that_got_slower_after_a_twentieth_of_the_window() -> None:
    hedger = taught(HedgePolicy(window=100), *[1.0] * 100)
    lost = 0
    while hedger.delay == 1.0:
        lost += 1
        hedger.record_no_answer(4.0, hedger.record_call())
    assert (lost, hedger.delay) == (6, 4.0)


def test_statistics_are_a_snapshot() -> None:
    hedger = taught(HedgePolicy(delay=2.0, min_samples=2), 1.0)
    before = hedger.statistics()
    hedger.record_call()
    hedger.record_hedge()
    hedger.record_hedge(denied=True)
    hedger.record_win()
    hedger.record_answer(1.5)
    assert before == HedgeStatistics(0, 0, 0, 0, samples=1, delay=2.0)
    assert hedger.statistics() == HedgeStatistics(
        calls=1, hedged=1, won_by_hedge=1, denied=1, samples=2, delay=1.5
    )
    with pytest.raises(dataclasses.FrozenInstanceError):
        before.calls = 1  # type: ignore[misc]


def test_it_has_a_face_for_people() -> None:
    hedger = Hedger(name="search")
    hedger.record_call()
    assert repr(hedger) == "<Hedger 'search': 0 hedges for 1 calls, after 2 s>"
    assert repr(Hedger()) == "<Hedger: 0 hedges for 0 calls, after 2 s>"


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("max_hedges", -1),
        ("max_hedges", 11),
        ("max_hedges", True),
        ("delay", -0.1),
        ("delay", math.nan),
        ("percentile", 0.0),
        ("percentile", 1.0),
        ("percentile", 95),
        ("percentile", math.nan),
        ("min_samples", 0),
        ("window", 49),
        ("min_delay", -1.0),
        ("min_delay", math.inf),
        ("max_delay", 0.0),
        ("max_delay", math.nan),
    ],
)
def test_what_cannot_work_is_refused(field: str, value: float) -> None:
    with pytest.raises(ValueError, match=f"^{field}="):
        HedgePolicy(**{field: value})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"max_hedges": 11}, "max_hedges=11: give a whole number from 0 (only measures) to 10"),
        ({"delay": -1.0}, "delay=-1.0: give seconds, 0 (all at once) or more"),
        ({"percentile": 95}, "percentile=95: give a share between 0 and 1, or None for a fixed delay"),
        ({"min_samples": 0}, "min_samples=0: give a whole number, 1 or more"),
        ({"window": 49}, "window=49: give a whole number, at least min_samples=50"),
        ({"min_delay": -1.0}, "min_delay=-1.0: give seconds, 0 or more"),
        ({"max_delay": 0.0}, "max_delay=0.0: give seconds, at least min_delay=0.001"),
    ],
)
def test_a_refusal_names_the_field_its_value_and_the_fix(given: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        HedgePolicy(**given)


def test_a_window_without_room_is_refused_with_the_fix() -> None:
    with pytest.raises(ValueError, match=r"^size=0: give a whole number, 1 or more$"):
        LatencyWindow(size=0)


def test_the_ends_of_the_ranges_are_allowed() -> None:
    for hedges in (0, 10):
        assert HedgePolicy(max_hedges=hedges).max_hedges == hedges
    assert HedgePolicy(min_samples=1, window=1, min_delay=1.0, max_delay=1.0)


def test_a_policy_is_frozen_and_takes_keywords_only() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        HedgePolicy().delay = 1.0  # type: ignore[misc]
    with pytest.raises(TypeError):
        HedgePolicy(1)  # type: ignore[call-arg]
    with pytest.raises(TypeError, match=r"HedgePolicy\(delay="):
        Hedger(0.5)  # type: ignore[arg-type]
