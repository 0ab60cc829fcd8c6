"""GCRA against the algorithm of the standard, in exact arithmetic, through random histories."""

from __future__ import annotations

from fractions import Fraction

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from rxorch_operators.engines.gcra import Gcra
from tests.operators.engines.departures import heaviest_window


class GcraMachine(RuleBasedStateMachine):
    """Against the standard's algorithm in exact arithmetic, and a log of all departures.

    All times are multiples of 1/8 s, the interval is 1/2 s: so floats and fractions decide alike.
    """

    interval = Fraction(1, 2)

    @initialize(burst=st.integers(1, 4))
    def start(self, burst):
        self.burst = burst
        self.limiter = Gcra(limit=8, window=4.0, burst=burst)
        self.now = Fraction(0)
        self.tat = Fraction(-1000)
        self.blocked = Fraction(-1000)
        self.last = None  # when the last call left, unless a block came after it
        self.departures = []
        self.taken = self.calls = self.refused = 0

    def earliest(self, cost, ahead=0):
        early = min(cost, self.burst) - self.burst
        return max(max(self.tat, self.now) + (ahead + early) * self.interval, self.blocked)

    def depart(self, cost):
        self.last = self.now
        self.tat = max(self.tat, self.now) + cost * self.interval
        self.departures.append((self.now, cost))
        self.taken += cost
        self.calls += 1

    @rule(eighths=st.integers(0, 5))
    def pass_time(self, eighths):
        self.now += Fraction(eighths, 8)

    @rule(seconds=st.integers(1, 6))
    def rest(self, seconds):
        self.now += seconds

    @rule(cost=st.sampled_from([0, 0, 1, 1, 2, 3, 5, 8]), ahead=st.sampled_from([0, 0, 0, 1, 2, 9]))
    def ask(self, cost, ahead):
        assert self.limiter.peek(float(self.now), cost, ahead) == max(
            0, self.earliest(cost, ahead) - self.now
        )

    @rule(cost=st.sampled_from([0, 1, 1, 1, 2, 3, 8]))
    def take(self, cost):
        allowed = self.earliest(cost) <= self.now
        assert self.limiter.take(float(self.now), cost) is allowed
        if allowed:
            self.depart(cost)
        else:
            self.refused += 1

    @rule(cost=st.integers(1, 8))
    def wait_and_take(self, cost):
        self.now += Fraction(self.limiter.peek(float(self.now), cost))
        assert self.limiter.take(float(self.now), cost)
        self.depart(cost)

    @precondition(lambda self: self.departures)
    @rule(place=st.integers(-3, -1))
    def give_back(self, place):
        at, cost = self.departures[max(place, -len(self.departures))]
        undone = at == self.last
        assert self.limiter.give_back(float(at), cost) is undone
        if undone:
            self.departures.remove((at, cost))
            self.tat -= cost * self.interval
            self.taken -= cost
            self.calls -= 1

    @rule(eighths=st.integers(-8, 24))
    def block(self, eighths):
        until = self.now + Fraction(eighths, 8)
        self.limiter.block_until(float(until))
        self.blocked = max(self.blocked, until)
        paced = until + (self.burst - 1) * self.interval
        self.last = None
        if paced > self.tat:
            self.tat = paced

    @rule(wanted=st.integers(0, 7))
    def reset(self, wanted):
        if wanted:  # seldom
            return
        self.limiter.reset()
        self.tat = self.blocked = Fraction(-1000)
        self.last = None
        self.departures = []

    @invariant()
    def the_statistics_agree(self):
        statistics = self.limiter.statistics(float(self.now))
        assert (statistics.taken, statistics.calls, statistics.refused) == (
            self.taken,
            self.calls,
            self.refused,
        )
        if self.now < self.blocked:
            assert (statistics.blocked_until, statistics.available) == (self.blocked, 0)
        else:
            unpaid = max(Fraction(0), self.tat - self.now) / self.interval
            assert (statistics.blocked_until, statistics.available) == (None, self.burst - unpaid)

    @invariant()
    def no_window_sees_more(self):
        calls, units = heaviest_window([entry for entry in self.departures if entry[1]], 4)
        largest = max((cost for _, cost in self.departures), default=0)
        assert calls <= 8 + self.burst
        assert units <= 8 + max(self.burst, largest)


TestGcraMachine = GcraMachine.TestCase
TestGcraMachine.settings = settings(max_examples=80, stateful_step_count=40, deadline=None, derandomize=True)
