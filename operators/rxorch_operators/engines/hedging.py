"""When a call is late: the engine of `hedge`.

A hedge is a second, equal call that is made because the first one is slow. Made after the 95th percentile of
what calls take, it cuts the tail off and adds about 5 % of load. Source: Dean and Barroso, "The Tail at
Scale", Communications of the ACM 56 (2), 2013.

The race spoils the measurement. A first call that loses is stopped, and how long it would have taken is
never known. Left out, only the fast ones would be counted: the percentile would sink, more calls would be
hedged and lost, and it would sink further. So a call that was late and got no answer is counted with the time
it had taken by then, as the `BackupRequestFilter` of Finagle does. That is a lower bound, and enough: it lies
above the delay, and to find the delay at which 5 % are late one has to know only that this one was.

Pure: durations come in as seconds, from whatever clock.
"""

from __future__ import annotations

import math
from bisect import bisect_left, insort
from collections import deque
from dataclasses import dataclass
from typing import Final

from rxorch_operators._seconds import seconds_words

from ..errors import invalid, is_count

__all__ = ["HedgeEvent", "HedgePolicy", "HedgeStatistics", "Hedger", "LatencyWindow"]

_MOST_HEDGES: Final = 10
# 0.07 * 100 is 7.000000000000001, which has to count as 7.
_ROUNDING: Final = 1e-9
_EARLY: Final = 1e-6
"""Seconds by which a timer may fire before its time: clocks tick, virtual ones in microseconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HedgePolicy:
    """When to make one more call, and how many more. Immutable and checked.

    Args:
        max_hedges: Calls beside the first one, 0 (only measures) to 10.
        delay: Seconds without an answer until a hedge, as long as fewer than `min_samples` durations are
            known, and always without a `percentile`. 0 starts all calls at once, always. `math.inf` never
            hedges before the durations are known. 2 s is Polly's: to be too late at first costs little.
        percentile: The share of calls that should answer without a hedge, between 0 and 1; the delay is what
            they take. None: always `delay`.
        min_samples: Durations that must be known before the percentile counts, 1 or more.
        window: Newest durations that are kept, `min_samples` or more. The delay follows a change of the
            service after 5 % (1 - `percentile`) of them.
        min_delay: Least delay that the percentile may give, in seconds: where nearly all answers take no
            time, the delay must not become none (1 ms in Finagle).
        max_delay: Most delay that the percentile may give, in seconds, at least `min_delay`.

    Raises:
        ValueError: A number is out of its range; the message names the field, the value and the fix.

    Example:
        >>> HedgePolicy(delay=-1.0)
        Traceback (most recent call last):
        ValueError: delay=-1.0: give seconds, 0 (all at once) or more
    """

    max_hedges: int = 1
    delay: float = 2.0
    percentile: float | None = 0.95
    min_samples: int = 50
    window: int = 500
    min_delay: float = 0.001
    max_delay: float = math.inf

    def __post_init__(self) -> None:
        """Refuse what could never work."""
        if not is_count(self.max_hedges, least=0) or self.max_hedges > _MOST_HEDGES:
            fix = f"give a whole number from 0 (only measures) to {_MOST_HEDGES}"
            raise invalid("max_hedges", self.max_hedges, fix)
        if not self.delay >= 0.0:
            raise invalid("delay", self.delay, "give seconds, 0 (all at once) or more")
        if self.percentile is not None and not 0.0 < self.percentile < 1.0:
            raise invalid(
                "percentile", self.percentile, "give a share between 0 and 1, or None for a fixed delay"
            )
        if not is_count(self.min_samples):
            raise invalid("min_samples", self.min_samples, "give a whole number, 1 or more")
        if not is_count(self.window, least=self.min_samples):
            raise invalid(
                "window", self.window, f"give a whole number, at least min_samples={self.min_samples}"
            )
        if not 0.0 <= self.min_delay < math.inf:
            raise invalid("min_delay", self.min_delay, "give seconds, 0 or more")
        if not self.max_delay >= self.min_delay:
            raise invalid("max_delay", self.max_delay, f"give seconds, at least min_delay={self.min_delay!r}")


@dataclass(frozen=True, slots=True)
class HedgeEvent:
    """One more call is about to be made, or the budget forbids it.

    Args:
        hedge: Its number; the first hedge is 1.
        elapsed: Seconds since the first call began.
        denied: Whether the budget was spent: then it is not made, and neither is a later one for this call.
        error: The failure it was wanted for; None if the calls before it are only slow.
    """

    hedge: int
    elapsed: float
    denied: bool
    error: Exception | None


@dataclass(frozen=True, slots=True)
class HedgeStatistics:
    """What a hedger has seen.

    Args:
        calls: Calls in all; the hedges are not among them.
        hedged: Hedges started in all.
        won_by_hedge: Calls in all that were answered by a hedge.
        denied: Hedges in all that the budget forbade.
        samples: Durations that are known now.
        delay: Seconds after which a call that starts now is hedged.
    """

    calls: int
    hedged: int
    won_by_hedge: int
    denied: int
    samples: int
    delay: float


class LatencyWindow:
    """The newest durations, and any quantile of them, exactly.

    Adding costs a search and a shift in a sorted list, half a microsecond for 500; asking costs nothing.

    Args:
        size: Durations kept, 1 or more.

    Example:
        >>> window = LatencyWindow(size=4)
        >>> for seconds in (9.0, 1.0, 2.0, 3.0, 4.0):
        ...     window.add(seconds)
        >>> len(window), window.quantile(0.5), window.quantile(0.95)
        (4, 2.0, 4.0)
    """

    __slots__ = ("_newest", "_sorted", "size")

    def __init__(self, size: int) -> None:
        if not is_count(size):
            raise invalid("size", size, "give a whole number, 1 or more")
        self.size = size
        self._newest: deque[float] = deque()
        self._sorted: list[float] = []

    def __len__(self) -> int:
        return len(self._sorted)

    def add(self, seconds: float) -> None:
        """Keeps a duration, and forgets the oldest if there is no room for both."""
        ordered = self._sorted
        if len(ordered) == self.size:
            del ordered[bisect_left(ordered, self._newest.popleft())]
        self._newest.append(seconds)
        insort(ordered, seconds)

    def quantile(self, share: float) -> float:
        """The least of the durations that at least this share of them do not exceed.

        Args:
            share: Between 0 and 1.

        Raises:
            ValueError: Nothing was added yet.
        """
        ordered = self._sorted
        if not ordered:
            raise ValueError("no duration is known yet")
        return ordered[max(0, math.ceil(share * len(ordered) - _ROUNDING) - 1)]


class Hedger:
    """Remembers how long the calls to one service take, and so knows when one is late.

    Operators that share it learn from each other's calls.

    Args:
        policy: When to hedge and how often; `HedgePolicy()` by default.
        name: For people and pictures.

    Example:
        >>> search = Hedger(HedgePolicy(delay=2.0, min_samples=20), name="search")
        >>> for hundredths in range(1, 21):
        ...     search.record_answer(hundredths / 100)
        >>> search.record_call()
        0.19
        >>> search
        <Hedger 'search': 0 hedges for 1 calls, after 190 ms>
    """

    __slots__ = ("_calls", "_denied", "_hedged", "_learns", "_window", "_won", "name", "policy")

    def __init__(self, policy: HedgePolicy | None = None, *, name: str | None = None) -> None:
        if policy is not None and not isinstance(policy, HedgePolicy):
            raise TypeError(
                f"expected a HedgePolicy, got {type(policy).__name__}: write HedgePolicy(delay=...)"
            )
        self.policy = policy = policy or HedgePolicy()
        self.name = name
        self._learns = policy.percentile is not None and policy.delay > 0.0
        self._window = LatencyWindow(policy.window)
        self._calls = 0
        self._hedged = 0
        self._won = 0
        self._denied = 0

    @property
    def delay(self) -> float:
        """Seconds after which a call that starts now is hedged."""
        policy = self.policy
        if policy.percentile is None or not self._learns or len(self._window) < policy.min_samples:
            return policy.delay
        return min(policy.max_delay, max(policy.min_delay, self._window.quantile(policy.percentile)))

    def record_call(self) -> float:
        """Counts a call, and tells its delay in seconds."""
        self._calls += 1
        return self.delay

    def record_answer(self, seconds: float) -> None:
        """A first call was answered, after so many seconds."""
        if self._learns:
            self._window.add(max(0.0, seconds))

    def record_no_answer(self, seconds: float, delay: float) -> None:
        """A first call ended without an answer: it lost against a hedge, failed, or was disposed.

        Counts if it was late by then. One that ended before says nothing about how long answers take: fast
        failures would only draw the delay down.

        Args:
            seconds: What it had taken by then.
            delay: What `record_call` told for it.
        """
        if self._learns and seconds >= delay - _EARLY:
            self._window.add(max(0.0, seconds))

    def record_hedge(self, denied: bool = False) -> None:
        """Counts a hedge that is made, or one that the budget denied."""
        if denied:
            self._denied += 1
        else:
            self._hedged += 1

    def record_win(self) -> None:
        """Counts a call that a hedge has answered."""
        self._won += 1

    def statistics(self) -> HedgeStatistics:
        """A snapshot: what was hedged so far, and the delay that a call would get now."""
        return HedgeStatistics(
            calls=self._calls,
            hedged=self._hedged,
            won_by_hedge=self._won,
            denied=self._denied,
            samples=len(self._window),
            delay=self.delay,
        )

    def __repr__(self) -> str:
        name = "" if self.name is None else f" {self.name!r}"
        late = seconds_words(self.delay)
        return f"<Hedger{name}: {self._hedged} hedges for {self._calls} calls, after {late}>"
