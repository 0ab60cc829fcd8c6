"""The retry budget against a list of all calls and repeats, in exact arithmetic, through random histories."""

from __future__ import annotations

from fractions import Fraction
from math import floor

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from rxorch_operators.engines.budget import RetryBudget, RetryBudgetStatistics


class RetryBudgetMachine(RuleBasedStateMachine):
    """Against lists that are searched anew each time. A ratio counts as the decimal that was written.

    The window is 5 s long and slides in tenths, half seconds: what counts is the tenth under way, and the ten
    before. All times are multiples of 1/8 s, so it is known which these are.
    """

    tenth = Fraction(1, 2)
    waits = st.integers(0, 12).map(lambda eighths: Fraction(eighths, 8)) | st.sampled_from([4, 5, 6, 1_000])

    @initialize(
        ratio=st.sampled_from(["0", "0.07", "0.1", "0.29", "0.5", "1", "2.5"]), least=st.integers(0, 3)
    )
    def start(self, ratio, least):
        self.ratio = Fraction(ratio)
        self.floor = least
        self.budget = RetryBudget(ratio=float(ratio), window=5.0, floor=least)
        self.now = Fraction(100)
        self.calls = []
        self.spent = []
        self.denied = 0

    def recent(self, events):
        oldest = floor(self.now / self.tenth) - 10
        return sum(floor(at / self.tenth) >= oldest for at in events)

    def allowance(self):
        return max(self.floor, floor(self.ratio * self.recent(self.calls)))

    @rule(wait=waits, number=st.sampled_from([1, 2, 5, 10, 30, 100]))
    def call(self, wait, number):
        self.now += wait
        for _ in range(number):
            self.budget.record_call(float(self.now))
            self.calls.append(self.now)

    @rule(wait=waits, number=st.integers(1, 5))
    def spend(self, wait, number):
        self.now += wait
        self.spend_at(self.now, number)

    @rule(number=st.integers(1, 5), seconds=st.integers(1, 9))
    def spend_by_a_clock_that_was_set_back(self, number, seconds):
        self.spend_at(self.now - seconds, number)

    def spend_at(self, now, number):
        for _ in range(number):
            granted = self.recent(self.spent) < self.allowance()
            assert self.budget.try_spend(float(now)) is granted
            if granted:
                self.spent.append(self.now)
            else:
                self.denied += 1

    @rule(least=st.integers(0, 3))
    def set_the_floor(self, least):
        self.floor = self.budget.floor = least

    @invariant()
    def the_statistics_agree(self):
        assert self.budget.statistics(float(self.now)) == RetryBudgetStatistics(
            calls=self.recent(self.calls),
            spent=self.recent(self.spent),
            allowance=self.allowance(),
            granted=len(self.spent),
            denied=self.denied,
        )


TestRetryBudgetMachine = RetryBudgetMachine.TestCase
TestRetryBudgetMachine.settings = settings(
    max_examples=60, stateful_step_count=40, deadline=None, derandomize=True
)
