"""The circuit breaker's state machine: what opens it, for how long, and what a hand can do."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rxorch_operators.engines.circuit import (
    Circuit,
    CircuitChange,
    CircuitPermit,
    CircuitPolicy,
    CircuitStatistics,
)
from tests.operators.engines.circuit_cases import (
    CLOSED,
    DISABLED,
    FAILURE,
    FORCED_OPEN,
    HALF_OPEN,
    METRICS_ONLY,
    OPEN,
    SUCCESS,
    call,
    half_opened,
    opened,
    play,
)

moderate = settings(max_examples=100, deadline=None, derandomize=True)


# The run of failures: opens at the fifth in a row; ignored calls neither count nor break it.
@pytest.mark.parametrize(
    ("letters", "opens"),
    [("fffff", True), ("ffff", False), ("ffffsffff", False), ("sssssfffff", True), ("ffiifiiff", True)],
)
def test_five_failures_in_a_row_open_the_default_circuit(letters, opens):
    circuit = Circuit()
    states = play(circuit, letters)
    assert (states[-1] is OPEN) is opens
    assert all(state is CLOSED for state in states[:-1])


@pytest.mark.parametrize("kind", ["consecutive", "count", "time"])
def test_the_change_says_what_opened_it_and_for_how_long(kind):
    circuit = Circuit(CircuitPolicy(kind=kind, threshold=2, size=5, min_calls=2, slow_call_duration=1.0))
    call(circuit, FAILURE, 3.0)
    # Slow as well: the failures are the reason that is given.
    assert call(circuit, FAILURE, 3.0, took=2.0) == CircuitChange(CLOSED, OPEN, 5.0, "failures", 60.0)


# resilience4j: failure rate >= threshold opens, once min_calls are in the window.
@pytest.mark.parametrize(
    ("letters", "opens"),
    [
        ("ffff", False),  # not enough calls
        ("fffff", True),
        ("sssff", False),
        ("ssfff", True),
        ("ffsss", False),
        ("sffiiis", False),  # four of these seven count
        ("sffiiisf", True),
        ("sssssssssssfffff", True),  # ten back: half of them failed
        ("ssssssssssffff", False),
    ],
)
def test_a_failure_rate_over_the_last_calls_opens(letters, opens):
    circuit = Circuit(CircuitPolicy(kind="count", size=10, min_calls=5, failure_rate=0.5))
    states = play(circuit, letters)
    assert (states[-1] is OPEN) is opens
    assert all(state is CLOSED for state in states[:-1])


def test_a_failure_rate_over_the_last_seconds_opens():
    circuit = Circuit(CircuitPolicy(kind="time", size=50, min_calls=4, failure_rate=0.5))
    play(circuit, "ff", now=0.0)
    play(circuit, "ss", now=60.0)  # alone in the window
    play(circuit, "f", now=70.0)
    assert circuit.state(70.0) is CLOSED
    play(circuit, "f", now=80.0)
    assert circuit.state(80.0) is OPEN


def test_the_last_seconds_slide_in_fiftieths():
    circuit = Circuit(CircuitPolicy(kind="time", size=50))
    call(circuit, FAILURE, now=0.99)
    assert [circuit.statistics(now).calls for now in (50.99, 51.0)] == [1, 0]


def test_a_rate_is_compared_as_it_was_written():
    """7 of 25 is a rate of 0.28, though 0.28 * 25 is more than 7 in floating point."""
    circuit = Circuit(CircuitPolicy(kind="count", size=25, min_calls=25, failure_rate=0.28))
    assert play(circuit, "s" * 18 + "f" * 7)[-1] is OPEN


def test_the_call_that_fills_the_window_may_open_even_if_it_was_well():
    circuit = Circuit(CircuitPolicy(kind="count", size=10, min_calls=4, failure_rate=0.5))
    assert play(circuit, "fffs") == [CLOSED, CLOSED, CLOSED, OPEN]


@pytest.mark.parametrize(
    ("kind", "took", "opens"),
    [("count", 2.1, True), ("count", 2.0, False), ("time", 2.1, True), ("consecutive", 2.1, True)],
)
def test_slow_calls_open_too(kind, took, opens):
    policy = CircuitPolicy(
        kind=kind, threshold=4, size=10, min_calls=4, slow_call_duration=2.0, slow_call_rate=0.75
    )
    circuit = Circuit(policy)
    changes = [call(circuit, SUCCESS, took=took) for _ in range(4)]
    assert changes[-1] == (CircuitChange(CLOSED, OPEN, took, "slow_calls", 60.0) if opens else None)


def test_slowness_is_ignored_unless_it_was_asked_for():
    circuit = Circuit(CircuitPolicy(kind="count", size=4, min_calls=4, slow_call_rate=0.1))
    for _ in range(8):
        call(circuit, SUCCESS, took=1_000.0)
    assert circuit.state(0.0) is CLOSED


def test_an_ignored_call_counts_nowhere():
    for kind in ("consecutive", "count", "time"):
        circuit = Circuit(CircuitPolicy(kind=kind, threshold=1, size=5, min_calls=1))
        play(circuit, "iiiiiiii")
        assert circuit.statistics(0.0).calls == 0
        assert circuit.state(0.0) is CLOSED


def test_an_open_circuit_lets_nothing_through_until_its_time_is_over():
    circuit = opened(now=10.0)
    assert [circuit.try_acquire(now) for now in (10.0, 30.0, 69.9)] == [None, None, None]
    assert (circuit.retry_after(10.0), circuit.retry_after(69.0), circuit.retry_after(80.0)) == (
        60.0,
        1.0,
        0.0,
    )


def test_an_announced_wait_is_always_enough():
    """Also where `now + (until - now)` falls short of `until`, as it does for one of a hundred."""
    random = Random(1)
    for _ in range(2_000):
        timeout = random.uniform(0.1, 100.0)
        circuit, now = opened(timeout=timeout), random.uniform(0.0, timeout)
        assert circuit.try_acquire(now + circuit.retry_after(now)) is not None


def test_the_first_try_after_the_time_begins_the_trial_and_says_so():
    circuit = opened()
    assert circuit.state(1e6) is OPEN
    permit = circuit.try_acquire(60.0)
    assert permit.change == CircuitChange(OPEN, HALF_OPEN, 60.0, "timeout")
    assert circuit.state(60.0) is HALF_OPEN
    assert circuit.try_acquire(60.0).change is None


def test_reading_the_state_takes_no_permit():
    circuit, _ = half_opened(permits=1)
    for _ in range(5):
        circuit.state(60.0)
        circuit.retry_after(60.0)
        circuit.statistics(60.0)
    free = opened(half_open_permits=1)
    for _ in range(5):
        free.retry_after(60.0)
        free.statistics(60.0)
    assert free.try_acquire(60.0) is not None


def test_the_open_time_grows_with_each_failed_trial_up_to_its_maximum_and_starts_anew_after_recovery():
    circuit = opened(growth=2.0, max_timeout=300.0, half_open_permits=1)
    now, lengths = 0.0, []
    for _ in range(5):
        lengths.append(circuit.retry_after(now))
        now += lengths[-1]
        call(circuit, FAILURE, now)
    assert lengths == [60.0, 120.0, 240.0, 300.0, 300.0]
    call(circuit, SUCCESS, now + 300.0)
    assert call(circuit, FAILURE, now + 300.0).retry_after == 60.0


@given(st.integers(), st.floats(0.0, 1.0))
@moderate
def test_jitter_only_lengthens_the_open_time(number, jitter):
    circuit = Circuit(CircuitPolicy(threshold=1, jitter=jitter), Random(number))
    wait = call(circuit, FAILURE).retry_after
    assert 60.0 <= wait <= 60.0 * (1.0 + jitter)
    assert circuit.retry_after(0.0) == wait


def test_jitter_parts_those_who_opened_together():
    random = Random(5)
    policy = CircuitPolicy(threshold=1, jitter=0.5)
    waits = [call(Circuit(policy, random), FAILURE).retry_after for _ in range(20)]
    assert len(set(waits)) == 20
    assert waits[0] == call(Circuit(policy, Random(5)), FAILURE).retry_after


def test_jitter_needs_no_random_of_ones_own():
    circuit = Circuit(CircuitPolicy(threshold=1, jitter=1.0))
    assert 60.0 <= call(circuit, FAILURE).retry_after <= 120.0


def test_forced_open_lets_nothing_through_for_ever():
    circuit = Circuit()
    assert circuit.force_open(1.0) == CircuitChange(CLOSED, FORCED_OPEN, 1.0, "manual")
    assert circuit.force_open(2.0) is None
    assert circuit.try_acquire(1e9) is None
    assert circuit.retry_after(1e9) is None


def test_disabled_lets_everything_through_and_counts_nothing():
    circuit = Circuit(CircuitPolicy(threshold=1))
    assert circuit.disable(1.0) == CircuitChange(CLOSED, DISABLED, 1.0, "manual")
    assert circuit.disable(1.0) is None
    assert set(play(circuit, "ffffff")) == {DISABLED}
    assert circuit.statistics(1.0).calls == 0
    assert circuit.retry_after(1.0) == 0.0


def test_metrics_only_lets_everything_through_and_counts_it():
    circuit = Circuit(CircuitPolicy(kind="count", size=10, min_calls=1))
    assert circuit.metrics_only(1.0) == CircuitChange(CLOSED, METRICS_ONLY, 1.0, "manual")
    assert circuit.metrics_only(1.0) is None
    assert set(play(circuit, "fffsi")) == {METRICS_ONLY}
    statistics = circuit.statistics(1.0)
    assert (statistics.calls, statistics.failed, statistics.retry_after) == (4, 3, 0.0)


@pytest.mark.parametrize(
    ("leave", "state"), [("force_open", FORCED_OPEN), ("disable", DISABLED), ("metrics_only", METRICS_ONLY)]
)
def test_a_reset_closes_whatever_was_set_and_forgets_the_results(leave, state):
    circuit = opened(kind="count", size=4, min_calls=2)
    getattr(circuit, leave)(1.0)
    assert circuit.reset(2.0) == CircuitChange(state, CLOSED, 2.0, "manual")
    assert circuit.statistics(2.0).calls == 0
    assert play(circuit, "s") == [CLOSED]


def test_a_reset_of_a_closed_circuit_changes_no_state_but_forgets_also_the_calls_under_way():
    circuit = Circuit(CircuitPolicy(threshold=2))
    under_way = circuit.try_acquire(0.0)
    call(circuit, FAILURE)
    assert circuit.reset(1.0) is None
    circuit.record(under_way, FAILURE, 1.0)
    call(circuit, FAILURE)
    assert circuit.state(1.0) is CLOSED


def test_the_trials_out_are_forgotten_by_a_reset():
    circuit, trials = half_opened(permits=1)
    circuit.reset(61.0)
    assert circuit.record(trials[0], FAILURE, 62.0) is None
    assert circuit.state(62.0) is CLOSED


def test_statistics():
    circuit, trials = half_opened(permits=3, kind="count", size=4, min_calls=2, failure_rate=0.9)
    circuit.try_acquire(60.0)
    circuit.record(trials[0], FAILURE, 61.0)
    assert circuit.statistics(61.0) == CircuitStatistics(
        state=HALF_OPEN,
        generation=2,
        calls=1,
        failed=1,
        slow=0,
        trials=2,
        opened=1,
        refused=1,
        retry_after=None,
    )


def test_statistics_count_on_over_all_states():
    circuit = opened(half_open_permits=1)
    assert [circuit.try_acquire(now) for now in (1.0, 2.0)] == [None, None]
    call(circuit, FAILURE, 60.0)
    assert circuit.try_acquire(60.0) is None
    statistics = circuit.statistics(60.0)
    assert (statistics.opened, statistics.refused, statistics.generation) == (2, 3, 3)


def test_an_open_circuit_still_shows_the_window_that_opened_it():
    circuit = opened(kind="count", size=4, min_calls=2)
    assert (circuit.statistics(1.0).calls, circuit.statistics(1.0).failed) == (2, 2)


def test_it_remembers_one_byte_a_call():
    circuit = Circuit(CircuitPolicy(kind="count", size=1_000, min_calls=1_000, failure_rate=1.0))
    play(circuit, "fs" * 5_000)
    assert len(circuit._tally._ring) == 1_000


def test_a_permit_says_when_and_by_which_generation_it_was_given():
    permit = Circuit().try_acquire(3.0)
    assert isinstance(permit, CircuitPermit)
    assert (permit.generation, permit.started, permit.change, permit.settled) == (0, 3.0, None, False)
