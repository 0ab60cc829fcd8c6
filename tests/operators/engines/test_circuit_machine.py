"""The circuit breaker against a simple model, through random histories."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from rxorch_operators.engines.circuit import Circuit, CircuitPolicy
from tests.operators.engines.circuit_cases import (
    CLOSED,
    DISABLED,
    FAILURE,
    FORCED_OPEN,
    HALF_OPEN,
    IGNORED,
    METRICS_ONLY,
    OPEN,
    SUCCESS,
)


class CircuitMachine(RuleBasedStateMachine):
    """Against a breaker that keeps every result of its state in a list and counts anew each time.

    The window in seconds slides in quarters, and all times are quarters: so it is known what is in it.
    """

    outcomes = st.sampled_from([SUCCESS, SUCCESS, FAILURE, FAILURE, IGNORED])

    @initialize(
        kind=st.sampled_from(["consecutive", "count", "time"]),
        permits=st.integers(1, 3),
        rate=st.sampled_from([0.3, 0.5, 1.0]),
        slow=st.sampled_from([None, 4.0]),
        on_trial=st.booleans(),
    )
    def start(self, kind, permits, rate, slow, on_trial):
        self.policy = CircuitPolicy(
            kind=kind,
            threshold=3,
            size=12.5 if kind == "time" else 6,
            min_calls=3,
            failure_rate=rate,
            slow_call_duration=slow,
            slow_call_rate=0.5,
            timeout=10.0,
            growth=2.0,
            max_timeout=30.0,
            half_open_permits=permits,
            lease=12.0,
        )
        self.circuit = Circuit(self.policy)
        self.now = 0.0
        self.state = CLOSED
        self.results = []  # (failed, slow, when) since the state began
        self.out = []  # (permit, given in this stay in the state)
        self.until = 0.0
        self.trials_failed = 0
        self.opened = 0
        self.refused = 0
        if on_trial:
            self.acquire()  # its result will come late, from another state
            self.some_calls_in_a_row(FAILURE, 3, took=0.0)
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
        self.opened += 1
        self.enter(OPEN)

    def on_trial(self):
        return [p for p, current in self.out if current and self.now - p.started < 12.0]

    def bad(self, results, of):
        failed, slow = sum(f for f, _, _ in results), sum(s for _, s, _ in results)
        return failed / of >= self.policy.failure_rate or slow / of >= 0.5

    def trial_is_free(self):
        return len(self.on_trial()) + len(self.results) < self.policy.half_open_permits

    @rule(step=st.sampled_from([0.25, 4.0, 12.0, "almost until it may try", "until it may try"]))
    def pass_time(self, step):
        if isinstance(step, float):
            self.now += step
        elif self.state is OPEN:
            self.now = max(self.now, self.until - 0.25 * step.startswith("almost"))

    @rule()
    def acquire(self):
        if self.state is OPEN and self.now >= self.until:
            self.enter(HALF_OPEN)
        expected = self.state not in (OPEN, FORCED_OPEN) and (
            self.state is not HALF_OPEN or self.trial_is_free()
        )
        permit = self.circuit.try_acquire(self.now)
        assert (permit is not None) is expected
        if permit is None:
            self.refused += 1
        else:
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

    @rule(outcome=outcomes, number=st.integers(1, 3), took=st.sampled_from([0.0, 0.0, 4.25]))
    def some_calls_in_a_row(self, outcome, number, took):
        for _ in range(number):
            known = len(self.out)
            self.acquire()
            self.now += took
            if len(self.out) > known:
                self.record(known, outcome, again=False)

    @precondition(lambda self: self.state in (OPEN, HALF_OPEN))
    @rule(outcomes=st.lists(outcomes, min_size=1, max_size=3), took=st.sampled_from([0.0, 4.0, 4.25]))
    def some_trials_at_once(self, outcomes, took):
        self.pass_time("until it may try")
        known = len(self.out)
        for _ in outcomes:
            self.acquire()
        self.now += took
        for outcome in outcomes[: len(self.out) - known]:
            self.record(known, outcome, again=False)

    def count(self, permit, outcome):
        lapsed = self.state is HALF_OPEN and self.now - permit.started >= 12.0
        if outcome is IGNORED or self.state is DISABLED or lapsed:
            return
        limit = self.policy.slow_call_duration
        slow = limit is not None and self.now - permit.started > limit
        self.results.append((outcome is FAILURE, slow, self.now))
        if self.state is HALF_OPEN:
            self.judge_trials()
        elif self.state is CLOSED:
            self.judge()

    def judge_trials(self):
        permits = self.policy.half_open_permits
        any_bad = any(failed or slow for failed, slow, _ in self.results)
        if any_bad if self.policy.kind == "consecutive" else self.bad(self.results, permits):
            self.trials_failed += 1
            self.open()
        elif len(self.results) == permits:
            self.enter(CLOSED)

    def judge(self):
        seen = self.window()
        if len(seen) >= 3 and (self.policy.kind == "consecutive" or self.bad(seen, len(seen))):
            self.open()

    def window(self):
        """What is looked back on: the bad run, the last six, or 12.5 s and the quarter now."""
        seen = self.results
        if self.policy.kind == "count":
            return seen[-6:]
        if self.policy.kind == "time":
            return [result for result in seen if self.now - result[2] <= 12.5]
        good = [place for place, (failed, slow, _) in enumerate(seen) if not failed and not slow]
        return seen[good[-1] + 1 :] if good else seen

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
        seen = self.results if self.state is HALF_OPEN else self.window()
        return len(seen), sum(failed for failed, _, _ in seen), sum(slow for _, slow, _ in seen)

    def wait(self):
        if self.state is OPEN:
            return max(0.0, self.until - self.now)
        blocked = self.state is FORCED_OPEN or (self.state is HALF_OPEN and not self.trial_is_free())
        return None if blocked else 0.0

    @invariant()
    def the_states_agree(self):
        assert self.circuit.state(self.now) is self.state
        statistics = self.circuit.statistics(self.now)
        assert statistics.trials <= self.policy.half_open_permits
        if self.state in (CLOSED, METRICS_ONLY, HALF_OPEN):
            assert (statistics.calls, statistics.failed, statistics.slow) == self.counts()
        assert (statistics.opened, statistics.refused) == (self.opened, self.refused)
        assert statistics.retry_after == self.circuit.retry_after(self.now) == self.wait()


TestCircuitMachine = CircuitMachine.TestCase
TestCircuitMachine.settings = settings(
    max_examples=200, stateful_step_count=40, deadline=None, derandomize=True
)
