"""The rules of a circuit breaker: their defaults, their limits, and how long it stays open."""

from __future__ import annotations

import math

import pytest

from rxorch_operators.engines.circuit import CircuitPolicy, CircuitState, Outcome3


def test_the_defaults():
    assert CircuitPolicy() == CircuitPolicy(
        kind="consecutive",
        threshold=5,
        size=100,
        failure_rate=0.5,
        min_calls=20,
        slow_call_duration=None,
        slow_call_rate=1.0,
        timeout=60.0,
        growth=1.0,
        max_timeout=300.0,
        half_open_permits=3,
        lease=30.0,
        jitter=0.0,
    )


def test_states_and_outcomes_have_their_names_in_small_letters_as_values():
    assert all(member.value == member.name.lower() for member in (*CircuitState, *Outcome3))


def test_hundreds_of_failed_trials_do_not_overflow():
    assert CircuitPolicy(growth=2.0).open_time(5_000) == 300.0


def test_without_growth_the_maximum_plays_no_part():
    assert CircuitPolicy(timeout=600.0).open_time(7) == 600.0


@pytest.mark.parametrize(
    ("setting", "text"),
    [
        ({"kind": "wild"}, "kind='wild': give one of consecutive, count, time"),
        ({"threshold": 0}, "threshold=0: give a whole number"),
        ({"min_calls": 0}, "min_calls=0: give a whole number"),
        ({"half_open_permits": 0}, "half_open_permits=0: give a whole number"),
        ({"failure_rate": 0.0}, "failure_rate=0.0: give a share"),
        ({"slow_call_rate": 1.5}, "slow_call_rate=1.5: give a share"),
        ({"failure_rate": math.nan}, "failure_rate=nan: give a share"),
        ({"size": 0}, "size=0: give a number above 0"),
        ({"timeout": 0.0}, "timeout=0.0: give a number above 0"),
        ({"timeout": math.inf}, "timeout=inf: give a number above 0"),
        ({"lease": -1.0}, "lease=-1.0: give a number above 0"),
        ({"kind": "count", "size": 50.5}, "size=50.5: give a whole number"),
        ({"kind": "count", "size": 10}, "min_calls=20: give 1 up to size=10"),
        (
            {"slow_call_duration": -1.0},
            "slow_call_duration=-1.0: give seconds, 0 or more, or None to ignore slowness",
        ),
        ({"slow_call_duration": math.inf}, "slow_call_duration=inf: give seconds"),
        ({"growth": 0.5}, "growth=0.5: give 1"),
        ({"growth": math.inf}, "growth=inf: give 1"),
        ({"growth": 2.0, "timeout": 600.0}, "max_timeout=300.0: give seconds, at least timeout=600.0"),
        ({"growth": 2.0, "max_timeout": math.inf}, "max_timeout=inf: give seconds, at least timeout=60.0"),
        ({"jitter": 2.0}, "jitter=2.0: give a share"),
    ],
)
def test_a_policy_that_cannot_work_is_refused(setting, text):
    with pytest.raises(ValueError) as caught:
        CircuitPolicy(**setting)
    assert str(caught.value).startswith(text)


@pytest.mark.parametrize(
    "setting",
    [
        {"failure_rate": 1.0},
        {"kind": "count", "size": 20},
        {"slow_call_duration": 0.0},
        {"growth": 2.0, "max_timeout": 60.0},
        {"jitter": 1.0},
    ],
)
def test_a_policy_at_the_edge_of_what_works_is_accepted(setting):
    policy = CircuitPolicy(**setting)
    assert {field: getattr(policy, field) for field in setting} == setting
