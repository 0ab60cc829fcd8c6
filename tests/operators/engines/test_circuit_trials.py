"""The circuit breaker on trial, half-open; and one test for each trap that others fell into."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rxorch_operators.engines.circuit import Circuit, CircuitChange, CircuitPolicy
from tests.operators.engines.circuit_cases import (
    CLOSED,
    FAILURE,
    HALF_OPEN,
    IGNORED,
    LETTERS,
    OPEN,
    SUCCESS,
    call,
    half_opened,
    opened,
)

moderate = settings(max_examples=100, deadline=None, derandomize=True)


def test_only_so_many_trials_go_through():
    circuit, _ = half_opened(permits=3)
    assert circuit.try_acquire(60.0) is None
    assert circuit.retry_after(60.0) is None


# The trials are judged together. A verdict that the missing results cannot change is spoken at once.
@pytest.mark.parametrize(
    ("kind", "permits", "letters", "states"),
    [
        ("consecutive", 3, "sss", [HALF_OPEN, HALF_OPEN, CLOSED]),
        ("consecutive", 3, "ssf", [HALF_OPEN, HALF_OPEN, OPEN]),
        ("consecutive", 3, "f", [OPEN]),
        ("count", 3, "sss", [HALF_OPEN, HALF_OPEN, CLOSED]),
        ("count", 3, "fss", [HALF_OPEN, HALF_OPEN, CLOSED]),
        ("count", 3, "ff", [HALF_OPEN, OPEN]),
        ("count", 4, "ssff", [HALF_OPEN, HALF_OPEN, HALF_OPEN, OPEN]),
        ("time", 4, "sfss", [HALF_OPEN, HALF_OPEN, HALF_OPEN, CLOSED]),
        ("time", 1, "f", [OPEN]),
        ("time", 1, "s", [CLOSED]),
    ],
)
def test_the_trials_are_judged_together(kind, permits, letters, states):
    circuit, trials = half_opened(permits=permits, kind=kind, min_calls=1)
    seen = []
    for trial, letter in zip(trials, letters, strict=False):
        circuit.record(trial, LETTERS[letter], 61.0)
        seen.append(circuit.state(61.0))
    assert seen == states


@given(
    st.lists(st.booleans(), min_size=1, max_size=12),
    st.sampled_from([0.1, 0.3, 0.5, 2 / 3, 0.9, 1.0]),
    st.randoms(use_true_random=False),
)
@moderate
def test_an_early_verdict_is_the_verdict_on_all_results_in_any_order(failed, rate, random):
    circuit, trials = half_opened(permits=len(failed), kind="count", min_calls=1, failure_rate=rate)
    random.shuffle(trials)
    for trial, bad in zip(trials, failed, strict=True):
        circuit.record(trial, FAILURE if bad else SUCCESS, 61.0)
    assert circuit.state(61.0) is (OPEN if sum(failed) / len(failed) >= rate else CLOSED)


def test_slow_trials_reopen():
    circuit, trials = half_opened(
        permits=2, kind="count", min_calls=1, slow_call_duration=1.0, slow_call_rate=1.0
    )
    assert circuit.record(trials[0], SUCCESS, 65.0) is None
    assert circuit.record(trials[1], SUCCESS, 65.0).reason == "slow_calls"


@pytest.mark.parametrize("kind", ["consecutive", "count"])
def test_a_trial_as_long_as_a_call_may_be_is_not_slow(kind):
    circuit, trials = half_opened(permits=1, kind=kind, min_calls=1, slow_call_duration=1.0)
    assert circuit.record(trials[0], SUCCESS, 61.0).new is CLOSED


@pytest.mark.parametrize("kind", ["consecutive", "count"])
def test_failed_trials_say_so(kind):
    circuit, trials = half_opened(permits=1, kind=kind, min_calls=1)
    assert circuit.record(trials[0], FAILURE, 61.0) == CircuitChange(HALF_OPEN, OPEN, 61.0, "failures", 60.0)


def test_a_trial_that_is_free_may_leave_now():
    circuit = opened(half_open_permits=2)
    circuit.try_acquire(60.0)
    assert circuit.retry_after(60.0) == 0.0
    circuit.try_acquire(60.0)
    assert circuit.retry_after(60.0) is None


def test_a_recovered_circuit_starts_with_an_empty_window():
    circuit, trials = half_opened(permits=1, kind="count", size=4, min_calls=2)
    change = circuit.record(trials[0], SUCCESS, 61.0)
    assert change == CircuitChange(HALF_OPEN, CLOSED, 61.0, "recovered")
    assert circuit.statistics(61.0).calls == 0
    call(circuit, FAILURE, 61.0)
    assert circuit.state(61.0) is CLOSED


def test_the_results_of_the_other_trials_change_nothing_after_the_verdict():
    circuit, trials = half_opened(permits=3)
    circuit.record(trials[0], FAILURE, 61.0)
    before = circuit.statistics(61.0)
    assert circuit.record(trials[1], SUCCESS, 62.0) is None
    assert circuit.record(trials[2], FAILURE, 62.0) is None
    assert replace(circuit.statistics(61.0), retry_after=before.retry_after) == before


def test_trap_a_cancelled_half_open_probe_closes_the_circuit():
    """Polly. Here it gives its permit back, and the verdict waits for another trial."""
    circuit, trials = half_opened(permits=1)
    assert circuit.record(trials[0], IGNORED, 61.0) is None
    assert circuit.state(61.0) is HALF_OPEN
    assert call(circuit, SUCCESS, 61.0).new is CLOSED


def test_trap_a_cancelled_half_open_probe_wedges_the_circuit_for_ever():
    """resilience4j #544, #903, #2120."""
    circuit, trials = half_opened(permits=3)
    for _ in range(10):
        assert circuit.try_acquire(61.0) is None
        for trial in trials:
            circuit.record(trial, IGNORED, 61.0)
        trials = [circuit.try_acquire(61.0) for _ in range(3)]
        assert all(trials)


def test_trap_a_hung_probe_wedges_the_circuit_for_ever():
    circuit, _ = half_opened(permits=3, lease=30.0)
    assert circuit.try_acquire(89.9) is None
    fresh = [circuit.try_acquire(90.0) for _ in range(3)]
    assert all(fresh)
    assert circuit.try_acquire(90.0) is None
    for trial in fresh:
        circuit.record(trial, SUCCESS, 91.0)
    assert circuit.state(91.0) is CLOSED


@pytest.mark.parametrize("wanted_meanwhile", [False, True])
@pytest.mark.parametrize("outcome", [SUCCESS, FAILURE, IGNORED])
def test_the_late_result_of_a_hung_probe_changes_nothing_but_frees_its_permit(outcome, wanted_meanwhile):
    circuit, trials = half_opened(permits=1, lease=30.0)
    if wanted_meanwhile:
        trial = circuit.try_acquire(90.0)
        assert circuit.record(trials[0], outcome, 90.0) is None
        assert circuit.try_acquire(90.0) is None
    else:
        assert circuit.record(trials[0], outcome, 90.0) is None
        trial = circuit.try_acquire(90.0)
    assert circuit.state(90.0) is HALF_OPEN
    assert circuit.record(trial, SUCCESS, 91.0).new is CLOSED


@pytest.mark.parametrize("outcome", [SUCCESS, FAILURE, IGNORED])
def test_trap_a_call_of_the_closed_state_adds_probes_to_the_half_open_state(outcome):
    """resilience4j `releasePermission`."""
    circuit = Circuit(CircuitPolicy(threshold=1, half_open_permits=1))
    old = [circuit.try_acquire(0.0) for _ in range(5)]
    call(circuit, FAILURE, 0.0)
    trial = circuit.try_acquire(60.0)
    for permit in old:
        assert circuit.record(permit, outcome, 60.0) is None
    assert circuit.try_acquire(60.0) is None
    assert circuit.record(trial, SUCCESS, 61.0).new is CLOSED


def test_a_result_from_before_the_circuit_opened_does_not_count_after_it_closed_again():
    circuit = Circuit(CircuitPolicy(threshold=1, half_open_permits=1))
    old = circuit.try_acquire(0.0)
    call(circuit, FAILURE, 0.0)
    call(circuit, SUCCESS, 60.0)
    assert circuit.state(60.0) is CLOSED
    assert circuit.record(old, FAILURE, 61.0) is None
    assert circuit.state(61.0) is CLOSED


def test_trap_a_cap_check_that_races():
    """failsafe-go `TryAcquirePermit`. A listener told of a change asks again before the first call runs."""
    circuit = opened(half_open_permits=2)
    out = []

    def tell(permit):
        if permit is not None:
            out.append(permit)
            tell(circuit.try_acquire(60.0))

    tell(circuit.try_acquire(60.0))
    assert len(out) == 2
    for permit in out:
        circuit.record(permit, IGNORED, 60.0)
        circuit.record(permit, IGNORED, 60.0)  # the second result is worth nothing
    assert [circuit.try_acquire(60.0) is None for _ in range(3)] == [False, False, True]


def test_trap_wall_clocks_a_step_back_neither_opens_nor_closes():
    circuit = opened(now=100.0)
    assert circuit.try_acquire(50.0) is None
    assert circuit.try_acquire(160.0) is not None


def test_a_second_result_for_one_permit_is_ignored():
    circuit = Circuit(CircuitPolicy(threshold=2))
    permit = circuit.try_acquire(0.0)
    for _ in range(5):
        assert circuit.record(permit, FAILURE, 0.0) is None
    assert circuit.state(0.0) is CLOSED
