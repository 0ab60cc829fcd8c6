"""The circuit breaker's state machine: tables, one test for each trap, and a model to hold it against."""

from __future__ import annotations

import math
from dataclasses import replace
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from rxorch_operators.circuit import (
    Circuit,
    CircuitChange,
    CircuitPermit,
    CircuitPolicy,
    CircuitState,
    CircuitStatistics,
    Outcome3,
)

CLOSED, OPEN, HALF_OPEN = CircuitState.CLOSED, CircuitState.OPEN, CircuitState.HALF_OPEN
FORCED_OPEN, DISABLED = CircuitState.FORCED_OPEN, CircuitState.DISABLED
METRICS_ONLY = CircuitState.METRICS_ONLY
SUCCESS, FAILURE, IGNORED = Outcome3.SUCCESS, Outcome3.FAILURE, Outcome3.IGNORED
LETTERS = {"s": SUCCESS, "f": FAILURE, "i": IGNORED}

moderate = settings(max_examples=100, deadline=None, derandomize=True)


def call(circuit, outcome, now=0.0, took=0.0):
    """One call from permit to result; returns the change of state that the result brought."""
    permit = circuit.try_acquire(now)
    assert permit is not None
    return circuit.record(permit, outcome, now + took)


def play(circuit, letters, now=0.0):
    """One call for each letter; returns the states after each."""
    states = []
    for letter in letters:
        call(circuit, LETTERS[letter], now)
        states.append(circuit.state(now))
    return states


def opened(now=0.0, **policy):
    """A circuit that has just opened."""
    circuit = Circuit(CircuitPolicy(**{"threshold": 1, **policy}), Random(1))
    while circuit.state(now) is CLOSED:
        call(circuit, FAILURE, now)
    return circuit


def half_opened(now=60.0, permits=3, **policy):
    """A circuit on trial, with all its trial permits out."""
    circuit = opened(half_open_permits=permits, **policy)
    trials = [circuit.try_acquire(now) for _ in range(permits)]
    assert all(trials)
    assert circuit.state(now) is HALF_OPEN
    return circuit, trials


# --- CLOSED: what opens -----------------------------------------------------------------------------------


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


# --- OPEN -------------------------------------------------------------------------------------------------


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


def test_hundreds_of_failed_trials_do_not_overflow():
    assert CircuitPolicy(growth=2.0).open_time(5_000) == 300.0


def test_without_growth_the_maximum_plays_no_part():
    assert CircuitPolicy(timeout=600.0).open_time(7) == 600.0


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
    waits = {call(Circuit(policy, random), FAILURE).retry_after for _ in range(20)}
    assert len(waits) == 20


# --- HALF_OPEN --------------------------------------------------------------------------------------------


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


# --- traps ------------------------------------------------------------------------------------------------


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


# --- by hand ----------------------------------------------------------------------------------------------


def test_forced_open_lets_nothing_through_for_ever():
    circuit = Circuit()
    assert circuit.force_open(1.0) == CircuitChange(CLOSED, FORCED_OPEN, 1.0, "manual")
    assert circuit.force_open(2.0) is None
    assert circuit.try_acquire(1e9) is None
    assert circuit.retry_after(1e9) is None


def test_disabled_lets_everything_through_and_counts_nothing():
    circuit = Circuit(CircuitPolicy(threshold=1))
    assert circuit.disable(1.0).new is DISABLED
    assert circuit.disable(1.0) is None
    assert set(play(circuit, "ffffff")) == {DISABLED}
    assert circuit.statistics(1.0).calls == 0
    assert circuit.retry_after(1.0) == 0.0


def test_metrics_only_lets_everything_through_and_counts_it():
    circuit = Circuit(CircuitPolicy(kind="count", size=10, min_calls=1))
    assert circuit.metrics_only(1.0).new is METRICS_ONLY
    assert circuit.metrics_only(1.0) is None
    assert set(play(circuit, "fffsi")) == {METRICS_ONLY}
    statistics = circuit.statistics(1.0)
    assert (statistics.calls, statistics.failed, statistics.retry_after) == (4, 3, 0.0)


@pytest.mark.parametrize("leave", ["force_open", "disable", "metrics_only"])
def test_a_reset_closes_whatever_was_set_and_forgets_the_results(leave):
    circuit = opened(kind="count", size=4, min_calls=2)
    getattr(circuit, leave)(1.0)
    assert circuit.reset(2.0).new is CLOSED
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


# --- the rest ---------------------------------------------------------------------------------------------


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


def test_an_open_circuit_still_shows_the_window_that_opened_it():
    circuit = opened(kind="count", size=4, min_calls=2)
    assert (circuit.statistics(1.0).calls, circuit.statistics(1.0).failed) == (2, 2)


def test_it_remembers_one_byte_a_call():
    circuit = Circuit(CircuitPolicy(kind="count", size=1_000, min_calls=1_000, failure_rate=1.0))
    play(circuit, "fs" * 5_000)
    assert len(circuit._tally._ring) == 1_000


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
        ({"slow_call_duration": -1.0}, "slow_call_duration=-1.0: give seconds"),
        ({"growth": 0.5}, "growth=0.5: give 1"),
        ({"growth": 2.0, "timeout": 600.0}, "max_timeout=300.0: give seconds, at least timeout=600.0"),
        ({"jitter": 2.0}, "jitter=2.0: give a share"),
    ],
)
def test_a_policy_that_cannot_work_is_refused(setting, text):
    with pytest.raises(ValueError) as caught:
        CircuitPolicy(**setting)
    assert str(caught.value).startswith(text)


# --- the model --------------------------------------------------------------------------------------------


class CircuitMachine(RuleBasedStateMachine):
    """Against a breaker that keeps every result of its state in a list and counts anew each time."""

    outcomes = st.sampled_from([SUCCESS, SUCCESS, FAILURE, FAILURE, IGNORED])

    @initialize(
        kind=st.sampled_from(["consecutive", "count"]),
        permits=st.integers(1, 3),
        rate=st.sampled_from([0.3, 0.5, 1.0]),
        slow=st.sampled_from([None, 4.0]),
        on_trial=st.booleans(),
    )
    def start(self, kind, permits, rate, slow, on_trial):
        self.policy = CircuitPolicy(
            kind=kind,
            threshold=3,
            size=6,
            min_calls=3,
            failure_rate=rate,
            slow_call_duration=slow,
            slow_call_rate=0.5,
            timeout=10.0,
            growth=2.0,
            max_timeout=30.0,
            half_open_permits=permits,
            lease=8.0,
        )
        self.circuit = Circuit(self.policy)
        self.now = 0.0
        self.state = CLOSED
        self.results = []  # (failed, slow) since the state began
        self.out = []  # (permit, given in this stay in the state)
        self.until = 0.0
        self.trials_failed = 0
        if on_trial:
            self.acquire()  # its result will come late, from another state
            self.some_calls_in_a_row(FAILURE, 3)
            self.pass_time("until it may try")
            self.acquire()

    def enter(self, state):
        self.state = state
        if state is not OPEN:
            self.results = []
        if state is CLOSED:
            self.trials_failed = 0
        self.out = [(permit, False) for permit, _ in self.out]

    def open(self):
        self.until = self.now + min(30.0, 10.0 * 2.0**self.trials_failed)
        self.enter(OPEN)

    def on_trial(self):
        return [p for p, current in self.out if current and self.now - p.started < 8.0]

    def bad(self, results, of):
        failed, slow = sum(f for f, _ in results), sum(s for _, s in results)
        return failed / of >= self.policy.failure_rate or slow / of >= 0.5

    @rule(step=st.sampled_from([0.5, 4.0, 8.0, "almost until it may try", "until it may try"]))
    def pass_time(self, step):
        if isinstance(step, float):
            self.now += step
        elif self.state is OPEN:
            self.now = max(self.now, self.until - 0.25 * step.startswith("almost"))

    @rule()
    def acquire(self):
        if self.state is OPEN and self.now >= self.until:
            self.enter(HALF_OPEN)
        on_trial = len(self.on_trial()) + len(self.results)
        expected = self.state not in (OPEN, FORCED_OPEN) and not (
            self.state is HALF_OPEN and on_trial >= self.policy.half_open_permits
        )
        permit = self.circuit.try_acquire(self.now)
        assert (permit is not None) is expected
        if permit is not None:
            self.out.append((permit, True))

    @precondition(lambda self: self.out)
    @rule(place=st.integers(0, 9), outcome=outcomes, again=st.booleans())
    def record(self, place, outcome, again):
        place %= len(self.out)
        permit, current = self.out[place] if again else self.out.pop(place)
        before = self.state
        if again:  # a result now, and another one later that must be ignored
            self.out[place] = (permit, False)
        if current:
            self.count(permit, outcome)
        change = self.circuit.record(permit, outcome, self.now)
        assert (change.old, change.new) == (before, self.state) if change else before is self.state

    @rule(outcome=outcomes, number=st.integers(1, 3))
    def some_calls_in_a_row(self, outcome, number):
        for _ in range(number):
            known = len(self.out)
            self.acquire()
            if len(self.out) > known:
                self.record(known, outcome, again=False)

    def count(self, permit, outcome):
        lapsed = self.state is HALF_OPEN and self.now - permit.started >= 8.0
        if outcome is IGNORED or self.state is DISABLED or lapsed:
            return
        limit = self.policy.slow_call_duration
        result = (outcome is FAILURE, limit is not None and self.now - permit.started > limit)
        self.results.append(result)
        if self.state is HALF_OPEN:
            self.judge_trials()
        elif self.state is CLOSED:
            self.judge()

    def judge_trials(self):
        permits = self.policy.half_open_permits
        any_bad = any(failed or slow for failed, slow in self.results)
        if any_bad if self.policy.kind == "consecutive" else self.bad(self.results, permits):
            self.trials_failed += 1
            self.open()
        elif len(self.results) == permits:
            self.enter(CLOSED)

    def judge(self):
        if self.policy.kind == "consecutive":
            last = self.results[-3:]
            if len(last) == 3 and all(failed or slow for failed, slow in last):
                self.open()
        elif len(self.results) >= 3 and self.bad(self.results[-6:], len(self.results[-6:])):
            self.open()

    @rule(
        by_hand=st.sampled_from(
            [
                ("force_open", FORCED_OPEN),
                ("disable", DISABLED),
                ("metrics_only", METRICS_ONLY),
                ("reset", CLOSED),
            ]
        ),
        wanted=st.integers(0, 15),
    )
    def set_by_hand(self, by_hand, wanted):
        if wanted:  # seldom
            return
        method, state = by_hand
        before = self.state
        change = getattr(self.circuit, method)(self.now)
        assert (change is None) is (before is state)
        if before is not state or state is CLOSED:
            self.enter(state)

    def counts(self):
        seen = self.results
        if self.state is not HALF_OPEN and self.policy.kind == "count":
            seen = seen[-6:]
        elif self.state is not HALF_OPEN:
            bad = [failed or slow for failed, slow in reversed(seen)]
            seen = seen[len(seen) - (bad.index(False) if False in bad else len(bad)) :]
        return len(seen), sum(failed for failed, _ in seen), sum(slow for _, slow in seen)

    @invariant()
    def the_states_agree(self):
        assert self.circuit.state(self.now) is self.state
        statistics = self.circuit.statistics(self.now)
        assert statistics.trials <= self.policy.half_open_permits
        if self.state in (CLOSED, METRICS_ONLY, HALF_OPEN):
            assert (statistics.calls, statistics.failed, statistics.slow) == self.counts()
        if self.state is OPEN:
            assert statistics.retry_after == max(0.0, self.until - self.now)


TestCircuitMachine = CircuitMachine.TestCase
TestCircuitMachine.settings = settings(
    max_examples=200, stateful_step_count=40, deadline=None, derandomize=True
)


def test_a_permit_says_when_and_by_which_generation_it_was_given():
    permit = Circuit().try_acquire(3.0)
    assert isinstance(permit, CircuitPermit)
    assert (permit.generation, permit.started, permit.change, permit.settled) == (0, 3.0, None, False)
