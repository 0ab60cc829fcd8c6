"""The sliding window against a list of all that was taken, in exact arithmetic, through random histories."""

from __future__ import annotations

from fractions import Fraction

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from rxorch_operators.engines.window import SlidingWindow, SlidingWindowStatistics


class SlidingWindowMachine(RuleBasedStateMachine):
    """Against a list that is searched anew each time, and waits that are found by playing them through.

    All times are multiples of 1/8 s, so floats and fractions decide alike.
    """

    interval = Fraction(4)
    weights = st.sampled_from([1, 1, 1, 2, 3])

    @initialize(limit=st.integers(3, 6))
    def start(self, limit):
        self.limit = limit
        self.window = SlidingWindow(limit, float(self.interval))
        self.now = Fraction(0)
        self.history = []  # (when, weight), without what was given back
        self.forgotten = 0  # so much of the history was reset
        self.refused = 0

    def log(self):
        return [entry for entry in self.history[self.forgotten :] if self.now - entry[0] < self.interval]

    def used(self):
        return sum(weight for _, weight in self.log())

    def enters(self, weight, ahead):
        """When the weight enters, if `ahead` single ones go in before it as soon as each fits."""
        now, leaving = self.now, [at + self.interval for at, units in self.log() for _ in range(units)]
        for units in [*([1] * ahead), weight]:
            while len(leaving) + units > self.limit:
                now = max(now, leaving.pop(0))
            leaving += [now + self.interval] * units
        return now

    def enter(self, weight):
        self.history.append((self.now, weight))

    @rule(eighths=st.integers(1, 8))
    def pass_time(self, eighths):
        self.now += Fraction(eighths, 8)

    @rule()
    def wait_until_the_oldest_leaves(self):
        self.now += Fraction(self.window.reset_after(float(self.now)))

    @rule(weight=weights, ahead=st.integers(0, 20))
    def ask(self, weight, ahead):
        wait = self.window.peek(float(self.now), weight, ahead)
        assert wait == self.enters(weight, ahead) - self.now

    @rule(weight=weights, back=st.sampled_from([0, 0, 0, 3]))
    def take(self, weight, back):
        """Also with a time that lies before the last one, which counts as the last one."""
        fits = self.used() + weight <= self.limit
        assert self.window.take(float(self.now) - back, weight) is fits
        if fits:
            self.enter(weight)
        else:
            self.refused += 1

    @rule(weight=weights)
    def wait_and_take(self, weight):
        self.now += Fraction(self.window.peek(float(self.now), weight))
        assert self.window.take(float(self.now), weight)
        self.enter(weight)

    @precondition(lambda self: self.history)
    @rule(place=st.integers(0, 5), weight=st.none() | weights)
    def give_back(self, place, weight):
        entry = self.history[max(0, len(self.history) - 1 - place)]
        if weight is not None:
            entry = (entry[0], weight)
        undone = entry in self.log()
        assert self.window.give_back(float(entry[0]), entry[1]) is undone
        if undone:
            del self.history[self.history.index(entry, self.forgotten)]

    @rule(wanted=st.integers(0, 15))
    def reset(self, wanted):
        if not wanted:  # seldom
            self.window.reset()
            self.forgotten = len(self.history)

    @invariant()
    def no_interval_holds_more(self):
        for start, _ in self.history[self.forgotten :]:
            inside = [w for at, w in self.history[self.forgotten :] if 0 <= at - start < self.interval]
            assert sum(inside) <= self.limit

    @invariant()
    def the_statistics_agree(self):
        log, now = self.log(), float(self.now)
        assert self.window.statistics(now) == SlidingWindowStatistics(
            limit=self.limit,
            interval=4.0,
            used=self.used(),
            remaining=self.limit - self.used(),
            reset_after=float(log[0][0] + self.interval - self.now) if log else 0.0,
            taken=sum(weight for _, weight in self.history),
            refused=self.refused,
        )


TestSlidingWindowMachine = SlidingWindowMachine.TestCase
TestSlidingWindowMachine.settings = settings(
    max_examples=60, stateful_step_count=40, deadline=None, derandomize=True
)
