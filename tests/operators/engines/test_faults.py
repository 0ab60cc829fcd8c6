"""Faults by the dice: the rates hold, a seed repeats itself, and one rate does not disturb another."""

from __future__ import annotations

import dataclasses
import math
from collections import Counter
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rxorch_operators.engines.faults import ChaosPolicy, ChaosStatistics, FaultInjector, FaultPlan, draw

moderate = settings(max_examples=100, deadline=None, derandomize=True)

ALL = ChaosPolicy(
    latency_rate=0.3,
    latency=(1.0, 3.0),
    error_rate=0.1,
    reset_rate=0.2,
    reset_after=(0, 4),
    outcome_rate=0.4,
    outcome=dict,
)


def plans(policy: ChaosPolicy, count: int, seed: int = 1) -> list[FaultPlan]:
    random = Random(seed)
    return [draw(policy, random) for _ in range(count)]


def test_the_rates_are_shares_of_all_calls() -> None:
    drawn = plans(ALL, 20_000)
    counts = Counter(plan.fault for plan in drawn)
    shares = {fault: round(count / len(drawn), 1) for fault, count in counts.items()}
    assert shares == {"error": 0.1, "reset": 0.2, "outcome": 0.4, None: 0.3}
    assert sum(plan.latency > 0 for plan in drawn) / len(drawn) == pytest.approx(0.3, abs=0.02)


def test_latency_and_the_place_of_a_break_are_evenly_spread() -> None:
    drawn = plans(ALL, 20_000)
    late = [plan.latency for plan in drawn if plan.latency]
    assert 1.0 <= min(late) < 1.01
    assert 2.99 < max(late) <= 3.0
    assert sum(late) / len(late) == pytest.approx(2.0, abs=0.05)
    breaks = Counter(plan.after for plan in drawn if plan.fault == "reset")
    assert set(breaks) == {0, 1, 2, 3, 4}
    assert max(breaks.values()) < 1.3 * min(breaks.values())


def test_latency_befalls_the_others_as_well_as_the_lucky() -> None:
    for fault in (None, "error", "reset", "outcome"):
        met = [plan.latency > 0 for plan in plans(ALL, 20_000) if plan.fault == fault]
        assert sum(met) / len(met) == pytest.approx(0.3, abs=0.04)


@pytest.mark.parametrize("rate", ["latency_rate", "error_rate", "reset_rate", "outcome_rate"])
def test_none_and_all_are_exact(rate: str) -> None:
    whole: dict[str, Any] = {rate: 1.0}
    never, always = ChaosPolicy(outcome=dict), ChaosPolicy(outcome=dict, **whole)
    assert set(plans(never, 1000)) == {FaultPlan()}
    drawn = plans(always, 1000)
    if rate == "latency_rate":
        assert all(0.1 <= plan.latency <= 1.0 and plan.fault is None for plan in drawn)
    else:
        assert {plan.fault for plan in drawn} == {rate.removesuffix("_rate")}


def test_a_throw_of_nought_is_no_fault_where_the_rate_is_nought() -> None:
    class Nought(Random):
        def random(self) -> float:
            return 0.0

    assert draw(ChaosPolicy(outcome=dict), Nought()) == FaultPlan()
    assert draw(ChaosPolicy(reset_rate=0.1), Nought()).fault == "reset"
    assert draw(ChaosPolicy(outcome_rate=0.1, outcome=dict), Nought()).fault == "outcome"


def test_fixed_numbers_need_no_pair() -> None:
    policy = ChaosPolicy(latency_rate=1.0, latency=2.5, reset_rate=1.0, reset_after=3)
    assert set(plans(policy, 100)) == {FaultPlan(2.5, "reset", 3)}


def test_a_seed_repeats_itself_and_another_one_does_not() -> None:
    assert plans(ALL, 50, seed=5) == plans(ALL, 50, seed=5)
    assert plans(ALL, 50, seed=5) != plans(ALL, 50, seed=6)


rates = st.floats(0.0, 1.0)


@moderate
@given(latency=rates, error=rates, seed=st.integers(0, 99))
def test_a_rate_that_is_raised_adds_faults_and_moves_none(latency: float, error: float, seed: int) -> None:
    before = plans(ChaosPolicy(latency_rate=latency / 2, error_rate=error / 2), 50, seed)
    after = plans(ChaosPolicy(latency_rate=latency, error_rate=error), 50, seed)
    for old, new in zip(before, after, strict=True):
        assert old.latency in (0.0, new.latency)
        assert old.fault in (None, new.fault)


def test_it_is_off_unless_switched_on_and_throws_no_dice_then() -> None:
    injector = FaultInjector(ALL, random=Random(3))
    assert [injector.plan() for _ in range(100)] == [None] * 100
    injector.enabled = True
    assert [injector.plan() for _ in range(20)] == plans(ALL, 20, seed=3)
    injector.enabled = False
    assert injector.plan() is None
    assert injector.statistics().calls == 20


def test_the_switch_may_be_a_function_asked_each_time() -> None:
    answers = iter([True, False, True])
    injector = FaultInjector(ALL, enabled=lambda: next(answers))
    assert [injector.plan() is None for _ in range(3)] == [False, True, False]


def test_without_dice_every_run_is_the_same() -> None:
    one, other = (FaultInjector(ALL, enabled=True) for _ in range(2))
    assert [one.plan() for _ in range(20)] == [other.plan() for _ in range(20)]


def test_the_policy_may_be_set_anew() -> None:
    injector = FaultInjector(ChaosPolicy(), enabled=True)
    assert injector.plan() == FaultPlan()
    injector.policy = ChaosPolicy(error_rate=1.0)
    assert injector.plan() == FaultPlan(fault="error")


def test_statistics_are_a_snapshot() -> None:
    injector = FaultInjector(ALL, enabled=True)
    before = injector.statistics()
    injector.plan()
    for count, kind in enumerate(("latency", "error", "reset", "outcome"), start=1):
        for _ in range(count):
            injector.record(kind)  # type: ignore[arg-type]
    assert before == ChaosStatistics(0, 0, 0, 0, 0)
    assert injector.statistics() == ChaosStatistics(1, latencies=1, errors=2, resets=3, outcomes=4)
    with pytest.raises(dataclasses.FrozenInstanceError):
        before.calls = 1  # type: ignore[misc]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("latency_rate", -0.1),
        ("latency_rate", 1.1),
        ("error_rate", math.nan),
        ("error_rate", 5),
        ("reset_rate", -1),
        ("outcome_rate", 2),
        ("latency", -1.0),
        ("latency", math.inf),
        ("latency", (2.0, 1.0)),
        ("latency", (0.0, math.nan)),
        ("reset_after", -1),
        ("reset_after", 1.5),
        ("reset_after", (3, 2)),
        ("reset_after", (True, 2)),
        ("error", ValueError("an instance")),
        ("reset", "ConnectionResetError"),
        ("outcome", {"an": "instance"}),
    ],
)
def test_what_cannot_work_is_refused(field: str, value: Any) -> None:
    with pytest.raises(ValueError, match=f"^{field}="):
        ChaosPolicy(**{field: value})


def test_an_outcome_rate_needs_an_outcome() -> None:
    with pytest.raises(ValueError, match="outcome=None"):
        ChaosPolicy(outcome_rate=0.1)


def test_no_latency_is_a_latency() -> None:
    assert ChaosPolicy(latency_rate=1.0, latency=(0.0, 1.0))
    assert plans(ChaosPolicy(latency_rate=1.0, latency=0.0), 1) == [FaultPlan()]


def test_one_call_meets_one_end_at_most() -> None:
    assert ChaosPolicy(error_rate=0.33, reset_rate=0.56, outcome_rate=0.11, outcome=dict)
    with pytest.raises(ValueError, match=r"1 at most, not 1\.3"):
        ChaosPolicy(error_rate=0.4, reset_rate=0.3, outcome_rate=0.6, outcome=dict)
    with pytest.raises(ValueError, match=r"1 at most, not 1\.2"):
        ChaosPolicy(error_rate=0.6, reset_rate=0.6)


def test_a_policy_is_frozen_and_takes_keywords_only() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        ALL.error_rate = 0.0  # type: ignore[misc]
    with pytest.raises(TypeError):
        ChaosPolicy(0.1)  # type: ignore[call-arg]
    with pytest.raises(TypeError, match=r"ChaosPolicy\(error_rate="):
        FaultInjector(0.1)  # type: ignore[arg-type]
