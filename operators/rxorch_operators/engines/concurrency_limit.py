"""Concurrency limits that find their number by themselves: the engines of `adaptive_concurrency`.

As TCP finds the rate of a connection that it knows nothing about. Source: `AIMDLimit`, `Gradient2Limit` and
`WindowedLimit` of Netflix concurrency-limits. Where `AimdLimit` differs from there:

- A permit is gained per round trip and not per call, which would double the limit each time: RFC 5681, and
  the limiter in Palantir's dialogue.
- Several drops of one round trip are one event, as in RFC 6582: only a call that began after the last cut
  can cut again. There, each of twenty calls that time out together takes a tenth.
- Calls that began before the cut do not raise the limit either: they tell of the limit that was too high.
- Slowness alone is no drop unless asked for. There, more than 5 s is; conjure-java-runtime #1022 undid it.

`GradientLimit` has the formula of `Gradient2Limit`, the headroom of Envoy's filter for adaptive concurrency
(a square root), and another baseline. A long average, as there, takes in what the queue adds: under steady
load it rises, the limit follows, and both grow without end. Envoy goes down to a few calls now and then to
measure anew. Here every cut goes to where the queue is empty, and what is measured after it is the baseline.
And a drop cuts at once: there, calls that all time out after the same time look stable, and the limit grows
(concurrency-limits #137).

A limit grows only while at least half of it is in use: who sends little learns nothing about more.

Pure: the time is passed in as monotonic seconds, and the permits are somebody else's.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import Final

from .circuit_model import Outcome3
from .limit_model import AimdPolicy, GradientPolicy, LimitChange, LimitReason, LimitSample

__all__ = [
    "AimdLimit",
    "AimdPolicy",
    "ConcurrencyLimit",
    "GradientLimit",
    "GradientPolicy",
    "LimitChange",
    "LimitReason",
    "LimitSample",
    "limit_of",
]

_FAILURE: Final = Outcome3.FAILURE
_IGNORED: Final = Outcome3.IGNORED
# Twenty steps of a twentieth are a little less than 1.
_ROUNDING: Final = 1e-9
# The average round trip of TCP (RFC 6298).
_RTT_GAIN: Final = 0.125


class ConcurrencyLimit(ABC):
    """A limit that learns from the calls it lets through: what both engines have in common.

    Attributes:
        policy: The rules.
        limit: Calls that may be in flight at once.
        increases: Times that the limit rose.
        decreases: Times that it fell.
        successes: Calls that went well.
        dropped: Calls that were dropped.
        ignored: Calls that said nothing about the load.
        rtt: Smoothed seconds of the calls that went well; None before the first.
        min_rtt: The shortest of them.
        baseline_rtt: What they are compared with; None where they are not.
    """

    policy: AimdPolicy | GradientPolicy

    def __init__(self, policy: AimdPolicy | GradientPolicy) -> None:
        self.policy = policy
        self.limit = policy.initial_limit
        self._level = float(policy.initial_limit)  # the limit with what was gained on the way to the next
        self._generation = 0
        self.increases = 0
        self.decreases = 0
        self.successes = 0
        self.dropped = 0
        self.ignored = 0
        self.rtt: float | None = None
        self.min_rtt: float | None = None

    @property
    def baseline_rtt(self) -> float | None:
        """Seconds that round trips are compared with; None where they are not."""
        return None

    def start(self, now: float, in_flight: int) -> LimitSample:
        """A call begins.

        Args:
            now: Monotonic seconds.
            in_flight: Calls in flight, this one included.
        """
        return LimitSample(now, in_flight, self._generation)

    def end(self, sample: LimitSample, now: float, outcome: Outcome3) -> LimitChange | None:
        """A call has ended.

        Args:
            sample: From `start`.
            now: Monotonic seconds.
            outcome: SUCCESS; FAILURE if it was dropped, which means timed out or refused for want of room; or
                IGNORED, which teaches nothing.

        Returns:
            The change of the limit, if it moved.
        """
        if outcome is _IGNORED:
            self.ignored += 1
            return None
        if outcome is _FAILURE:
            self.dropped += 1
            return self._cut(sample, now, "dropped")
        self.successes += 1
        rtt = now - sample.started
        if rtt < 0.0:  # two clocks
            rtt = 0.0
        if self.rtt is None or self.min_rtt is None:
            self.rtt = self.min_rtt = rtt
        else:
            self.rtt += _RTT_GAIN * (rtt - self.rtt)
            if rtt < self.min_rtt:
                self.min_rtt = rtt
        if sample.generation != self._generation:
            return None  # it belongs to the round trip of the last cut
        return self._succeeded(sample, now, rtt)

    def reset(self, now: float) -> LimitChange | None:
        """Goes back to the initial limit and forgets what calls, also those under way, have taught.

        Args:
            now: Monotonic seconds.
        """
        self._generation += 1
        self.rtt = self.min_rtt = None
        return self._move(self.policy.initial_limit, now, "reset")

    @abstractmethod
    def _succeeded(self, sample: LimitSample, now: float, rtt: float) -> LimitChange | None:
        """Learns from a call that went well and began after the last cut."""

    def _cut(self, sample: LimitSample, now: float, reason: LimitReason) -> LimitChange | None:
        if sample.generation != self._generation:
            return None
        self._generation += 1
        return self._move(min(self._level * self.policy.decrease, self.limit - 1.0), now, reason)

    def _move(self, level: float, now: float, reason: LimitReason) -> LimitChange | None:
        policy, old = self.policy, self.limit
        if level > policy.max_limit:
            level = policy.max_limit
        elif level < policy.min_limit:
            level = policy.min_limit
        self._level = level
        new = int(level + _ROUNDING)
        if new == old:
            return None
        self.limit = new
        if new > old:
            self.increases += 1
        else:
            self.decreases += 1
        return LimitChange(old, new, now, reason)


class AimdLimit(ConcurrencyLimit):
    """Additive increase, multiplicative decrease.

    Args:
        policy: The rules.

    Example:
        >>> limit = AimdLimit(AimdPolicy(initial_limit=2))
        >>> for second in range(2):
        ...     call = limit.start(second, in_flight=2)
        ...     change = limit.end(call, second + 0.5, Outcome3.SUCCESS)
        >>> change
        LimitChange(old=2, new=3, at=1.5, reason='success')
    """

    policy: AimdPolicy

    def __init__(self, policy: AimdPolicy) -> None:
        super().__init__(policy)

    def _succeeded(self, sample: LimitSample, now: float, rtt: float) -> LimitChange | None:
        slow = self.policy.slow_call_duration
        if slow is not None and rtt > slow:
            return self._cut(sample, now, "slow_call")
        limit = self.limit
        if sample.in_flight * 2 < limit:
            return None
        return self._move(self._level + self.policy.increase / limit, now, "success")


class GradientLimit(ConcurrencyLimit):
    """Compares what calls take with what they take when the service has no queue.

    Args:
        policy: The rules.

    Example:
        >>> limit = GradientLimit(GradientPolicy(initial_limit=16, min_samples=1))
        >>> for second in range(2):
        ...     call = limit.start(second, in_flight=16)
        ...     change = limit.end(call, second + 0.5, Outcome3.SUCCESS)
        >>> limit.limit, limit.baseline_rtt
        (20, 0.5)
    """

    policy: GradientPolicy

    def __init__(self, policy: GradientPolicy) -> None:
        super().__init__(policy)
        self._baseline: float | None = None
        self._emptied = False  # whether this window shows the service without a queue
        self._last = -math.inf
        self._open_window(None)

    @property
    def baseline_rtt(self) -> float | None:
        """Seconds that round trips are compared with; None before the first window is full."""
        return self._baseline

    def reset(self, now: float) -> LimitChange | None:
        self._baseline = None
        self._emptied = False
        self._open_window(None)
        return super().reset(now)

    def _open_window(self, at: float | None) -> None:
        self._opened = at
        self._samples = 0
        self._seconds = 0.0
        self._most = 0

    def _cut(self, sample: LimitSample, now: float, reason: LimitReason) -> LimitChange | None:
        if sample.generation == self._generation:
            self._open_window(now)
        return super()._cut(sample, now, reason)

    def _succeeded(self, sample: LimitSample, now: float, rtt: float) -> LimitChange | None:
        opened = self._opened
        if opened is None or now < self._last:  # the first call, or another clock
            self._open_window(now)
            opened = now
        self._last = now
        if now < opened:
            return None
        self._samples += 1
        self._seconds += rtt
        self._most = max(self._most, sample.in_flight)
        if self._samples < self.policy.min_samples or now - opened < self._length():
            return None
        average, most = self._seconds / self._samples, self._most
        self._open_window(now)
        return self._compare(average, most, now)

    def _length(self) -> float:
        return max(self.policy.window, 2.0 * (self.rtt or 0.0))

    def _compare(self, average: float, most: int, now: float) -> LimitChange | None:
        policy, baseline = self.policy, self._baseline
        if baseline is None or (self._emptied and average < baseline):
            self._baseline = baseline = average
        elif self._emptied:
            self._baseline = baseline = (baseline + average) / 2  # half the way: it may have been bad luck
        self._emptied = False
        if most * 2 < self.limit:
            return None
        slower = average / baseline if baseline > 0.0 else 1.0
        if slower <= policy.tolerance:
            return self._move(self._level + policy.increase * math.sqrt(self._level), now, "success")
        self._generation += 1  # what began before says nothing about the lower limit
        self._emptied = True
        # One window to settle: the first to end are the short calls, and would pass for the average.
        self._open_window(now + self._length())
        slower = min(slower, 2.0 * policy.tolerance)  # an outlier must not take all
        return self._move(self._level * policy.decrease / slower, now, "latency")


def limit_of(policy: AimdPolicy | GradientPolicy) -> ConcurrencyLimit:
    """The engine for a policy.

    Args:
        policy: The rules.
    """
    if isinstance(policy, GradientPolicy):
        return GradientLimit(policy)
    if isinstance(policy, AimdPolicy):
        return AimdLimit(policy)
    raise TypeError(f"expected an AimdPolicy or a GradientPolicy, got {type(policy).__name__}")
