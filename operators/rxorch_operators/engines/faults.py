"""Faults on purpose, by the dice: the engine of `chaos`.

What a caller sees of a bad day: an answer that comes late, a call that fails before it is made, a connection
that breaks when the work is done already, an answer that is not what it should be. The first three are the
delay and abort of Envoy's fault filter and the `reset_peer` of Toxiproxy, the last is the "outcome" of Polly.

Every plan takes the same number of throws, whatever the rates: a seed gives the same calls the same fate, and
to raise one rate does not change what befalls the others.

Pure: chance comes in as a `random.Random`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Any, Final, Literal

from ..errors import invalid, is_count

__all__ = ["ChaosPolicy", "ChaosStatistics", "FaultEvent", "FaultInjector", "FaultKind", "FaultPlan", "draw"]

FaultKind = Literal["latency", "error", "reset", "outcome"]
"""A late start, a failure instead of the call, an answer that gets lost, another answer."""

# 0.33 + 0.56 + 0.11 is 1.0000000000000002.
_ROUNDING: Final = 1e-9


@dataclass(frozen=True, slots=True, kw_only=True)
class ChaosPolicy:
    """Which faults, how often and how bad. Immutable and checked; without rates it does nothing.

    `error_rate`, `reset_rate` and `outcome_rate` are shares of all calls, and a call meets one of them at
    most. Latency comes on top, independent of them.

    Args:
        latency_rate: Share of calls that start late, 0 to 1.
        latency: Seconds by which they do, or a pair: evenly spread from the first to the second.
        error_rate: Share of calls that fail without being made, 0 to 1.
        error: Makes the error: an exception class, or a function. None: a `ConnectionRefusedError`.
        reset_rate: Share of calls that are made and whose answer gets lost, 0 to 1.
        reset: Makes the error of those. None: a `ConnectionResetError`.
        reset_after: Elements that pass before the break, or a pair: evenly spread from the first to the
            second. The element or end that follows is lost.
        outcome_rate: Share of calls that are not made and get another answer, 0 to 1.
        outcome: Makes that answer.

    Raises:
        ValueError: A number is out of its range; the message names the field, the value and the fix.

    Example:
        >>> ChaosPolicy(error_rate=0.7, reset_rate=0.7)
        Traceback (most recent call last):
        ValueError: reset_rate=0.7: give error_rate + reset_rate + outcome_rate of 1 at most, not 1.4
    """

    latency_rate: float = 0.0
    latency: float | tuple[float, float] = (0.1, 1.0)
    error_rate: float = 0.0
    error: Callable[[], Exception] | None = None
    reset_rate: float = 0.0
    reset: Callable[[], Exception] | None = None
    reset_after: int | tuple[int, int] = 0
    outcome_rate: float = 0.0
    outcome: Callable[[], Any] | None = None

    def __post_init__(self) -> None:
        """Refuse what could never work."""
        for name in ("latency_rate", "error_rate", "reset_rate", "outcome_rate"):
            rate = getattr(self, name)
            if not 0.0 <= rate <= 1.0:
                raise invalid(name, rate, "give a share of the calls, 0 to 1")
        total = self.error_rate + self.reset_rate + self.outcome_rate
        if total > 1.0 + _ROUNDING:
            fix = f"give error_rate + reset_rate + outcome_rate of 1 at most, not {total:.6g}"
            raise invalid("reset_rate", self.reset_rate, fix)
        low, high = _pair(self.latency)
        if not 0.0 <= low <= high < math.inf:
            raise invalid("latency", self.latency, "give seconds, 0 or more, or a pair (least, most)")
        least, most = _pair(self.reset_after)
        if not (is_count(least, least=0) and is_count(most, least=least)):
            fix = "give a whole number, 0 or more, or a pair (least, most)"
            raise invalid("reset_after", self.reset_after, fix)
        for name in ("error", "reset", "outcome"):
            make = getattr(self, name)
            if make is not None and not callable(make):
                raise invalid(name, make, "give a function that makes it, or None")
        if self.outcome_rate and self.outcome is None:
            raise invalid("outcome", None, "give a function that makes the answer")


@dataclass(frozen=True, slots=True)
class FaultPlan:
    """The fate of one call.

    Args:
        latency: Seconds until it starts.
        fault: What befalls it then; None for nothing.
        after: With a "reset": elements that pass before.
    """

    latency: float = 0.0
    fault: Literal["error", "reset", "outcome"] | None = None
    after: int = 0


@dataclass(frozen=True, slots=True)
class FaultEvent:
    """A fault was put in.

    Args:
        kind: Which one.
        latency: Seconds of a "latency"; else 0.
        error: What an "error" or "reset" fails with; else None.
    """

    kind: FaultKind
    latency: float = 0.0
    error: Exception | None = None


@dataclass(frozen=True, slots=True)
class ChaosStatistics:
    """What an injector has done.

    Args:
        calls: Calls that came while it was switched on, in all.
        latencies: Late starts in all.
        errors: Failures put in the place of a call, in all.
        resets: Answers lost in all. A call that was to be reset and failed by itself is not among them.
        outcomes: Answers put in the place of a call, in all.
    """

    calls: int
    latencies: int
    errors: int
    resets: int
    outcomes: int


class FaultInjector:
    """Throws the dice for the operators that share it, counts, and has the switch.

    Args:
        policy: Which faults and how often. May be set anew at any time, as an attribute.
        enabled: The switch: off by default. A bool, or a function that is asked at each call. May be set anew
            at any time, too.
        random: The dice; `Random(0)` by default, so that every run meets the same faults.

    Example:
        >>> injector = FaultInjector(ChaosPolicy(error_rate=0.5))
        >>> injector.plan() is None
        True
        >>> injector.enabled = True
        >>> [injector.plan().fault for _ in range(4)]
        ['error', None, None, None]
    """

    __slots__ = ("_calls", "_counts", "_random", "enabled", "policy")

    def __init__(
        self,
        policy: ChaosPolicy,
        *,
        enabled: bool | Callable[[], bool] = False,
        random: Random | None = None,
    ) -> None:
        if not isinstance(policy, ChaosPolicy):
            raise TypeError(
                f"expected a ChaosPolicy, got {type(policy).__name__}: write ChaosPolicy(error_rate=...)"
            )
        self.policy = policy
        self.enabled = enabled
        self._random = Random(0) if random is None else random
        self._calls = 0
        self._counts: dict[FaultKind, int] = {"latency": 0, "error": 0, "reset": 0, "outcome": 0}

    def plan(self) -> FaultPlan | None:
        """The fate of a call that starts now; None while switched off."""
        enabled = self.enabled
        if not (enabled() if callable(enabled) else enabled):
            return None
        self._calls += 1
        return draw(self.policy, self._random)

    def record(self, kind: FaultKind) -> None:
        """Counts a fault that was put in."""
        self._counts[kind] += 1

    def statistics(self) -> ChaosStatistics:
        """A snapshot."""
        counts = self._counts
        return ChaosStatistics(
            calls=self._calls,
            latencies=counts["latency"],
            errors=counts["error"],
            resets=counts["reset"],
            outcomes=counts["outcome"],
        )


def draw(policy: ChaosPolicy, random: Random) -> FaultPlan:
    """Throws the dice for one call: always four times.

    Args:
        policy: Which faults and how often.
        random: The dice.
    """
    is_late, how_late, which, how_far = random.random(), random.random(), random.random(), random.random()
    latency = 0.0
    if is_late < policy.latency_rate:
        low, high = _pair(policy.latency)
        latency = low + (high - low) * how_late
    if which < policy.error_rate:
        return FaultPlan(latency, "error")
    which -= policy.error_rate
    if which < policy.reset_rate:
        least, most = _pair(policy.reset_after)
        return FaultPlan(latency, "reset", least + int(how_far * (most - least + 1)))
    which -= policy.reset_rate
    if which < policy.outcome_rate:
        return FaultPlan(latency, "outcome")
    return FaultPlan(latency)


def _pair(value: Any) -> tuple[Any, Any]:
    return value if isinstance(value, tuple) else (value, value)
