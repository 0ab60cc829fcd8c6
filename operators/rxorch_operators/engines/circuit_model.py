"""The vocabulary of a circuit breaker: its states, rules and records, apart from the machine itself."""

from __future__ import annotations

import enum
import math
from dataclasses import dataclass
from typing import Literal, get_args

from ..errors import invalid, is_count

CircuitKind = Literal["consecutive", "count", "time"]
"""What is looked back on: the run of failures, the last calls, or the last seconds."""

CircuitReason = Literal["failures", "slow_calls", "timeout", "recovered", "manual"]
"""Why a state was left."""


class CircuitState(enum.Enum):
    """The states of a circuit."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"
    FORCED_OPEN = "forced_open"
    DISABLED = "disabled"
    METRICS_ONLY = "metrics_only"


class Outcome3(enum.Enum):
    """What a call means for the circuit. An ignored one (cancelled, the caller's fault) counts nowhere."""

    SUCCESS = "success"
    FAILURE = "failure"
    IGNORED = "ignored"


@dataclass(frozen=True, slots=True, kw_only=True)
class CircuitPolicy:
    """When a circuit opens, for how long, and how it tries again. Immutable and checked.

    Args:
        kind: `consecutive` opens after `threshold` bad calls in a row; `count` and `time` by rates over the
            last `size` calls or seconds.
        threshold: Bad calls in a row, for `consecutive`; a slow call is a bad one there.
        size: Calls (a whole number) or seconds to look back on. Seconds slide in steps of a fiftieth.
        failure_rate: Share of failed calls that opens, above 0 up to 1.
        min_calls: Calls in the window before a rate means anything.
        slow_call_duration: Seconds beyond which a call is slow; None to ignore slowness.
        slow_call_rate: Share of slow calls that opens, above 0 up to 1.
        timeout: Seconds that the circuit stays open.
        growth: Factor on the open time after each failed trial, 1 or more.
        max_timeout: Longest open time in seconds that growth leads to.
        half_open_permits: Trial calls, judged together.
        lease: Seconds after which a trial call that has not ended loses its permit to another one. Make it
            longer than a call may take.
        jitter: Up to this share of the open time is added by chance, so that many clients do not return at
            once.

    Raises:
        ValueError: A number is out of its range; the message names the field, the value and the fix.

    Example:
        >>> CircuitPolicy(kind="count", size=10, min_calls=50)
        Traceback (most recent call last):
            ...
        ValueError: min_calls=50: give 1 up to size=10, or no rate is ever judged
    """

    kind: CircuitKind = "consecutive"
    threshold: int = 5
    size: float = 100
    failure_rate: float = 0.5
    min_calls: int = 20
    slow_call_duration: float | None = None
    slow_call_rate: float = 1.0
    timeout: float = 60.0
    growth: float = 1.0
    max_timeout: float = 300.0
    half_open_permits: int = 3
    lease: float = 30.0
    jitter: float = 0.0

    def __post_init__(self) -> None:
        """Refuse what could never work."""
        if self.kind not in get_args(CircuitKind):
            raise invalid("kind", self.kind, f"give one of {', '.join(get_args(CircuitKind))}")
        for field in ("threshold", "min_calls", "half_open_permits"):
            if not is_count(getattr(self, field)):
                raise invalid(field, getattr(self, field), "give a whole number, 1 or more")
        for field in ("failure_rate", "slow_call_rate"):
            if not 0.0 < getattr(self, field) <= 1.0:
                raise invalid(field, getattr(self, field), "give a share above 0 up to 1")
        for field in ("size", "timeout", "lease"):
            if not 0.0 < getattr(self, field) < math.inf:
                raise invalid(field, getattr(self, field), "give a number above 0")
        self._check_window()
        self._check_open_time()

    def _check_window(self) -> None:
        if self.kind == "count":
            if not is_count(self.size):
                raise invalid("size", self.size, "give a whole number of calls")
            if self.min_calls > self.size:
                raise invalid(
                    "min_calls", self.min_calls, f"give 1 up to size={self.size}, or no rate is ever judged"
                )
        slow = self.slow_call_duration
        if slow is not None and not 0.0 <= slow < math.inf:
            raise invalid("slow_call_duration", slow, "give seconds, 0 or more, or None to ignore slowness")

    def _check_open_time(self) -> None:
        if not 1.0 <= self.growth < math.inf:
            raise invalid("growth", self.growth, "give 1 (the open time stays the same) or more")
        if self.growth > 1.0 and not self.timeout <= self.max_timeout < math.inf:
            raise invalid("max_timeout", self.max_timeout, f"give seconds, at least timeout={self.timeout}")
        if not 0.0 <= self.jitter <= 1.0:
            raise invalid("jitter", self.jitter, "give a share from 0 to 1")

    def open_time(self, trials: int) -> float:
        """Seconds that the circuit stays open, before jitter.

        Args:
            trials: Failed trials since it was last closed.
        """
        if self.growth == 1.0:
            return self.timeout
        try:
            return min(self.max_timeout, self.timeout * float(self.growth) ** trials)
        except OverflowError:
            return self.max_timeout

    def judge(self, calls: int, failed: int, slow: int) -> CircuitReason | None:
        """Says whether a share of bad calls is too large, and which one.

        Args:
            calls: Calls, 1 or more.
            failed: How many of them failed.
            slow: How many of them were slow.
        """
        # A quotient is rounded once, as the decimal of the policy was: 7 / 25 is 0.28, while 0.28 * 25 > 7.
        if failed / calls >= self.failure_rate:
            return "failures"
        if self.slow_call_duration is not None and slow / calls >= self.slow_call_rate:
            return "slow_calls"
        return None


@dataclass(frozen=True, slots=True)
class CircuitChange:
    """A change of state, for the listeners.

    Args:
        old: The state that was left.
        new: The state that was entered.
        at: Monotonic seconds.
        reason: Why.
        retry_after: Seconds until a trial, when the new state is OPEN.
    """

    old: CircuitState
    new: CircuitState
    at: float
    reason: CircuitReason
    retry_after: float | None = None


class CircuitPermit:
    """Leave for one call. Give it to `Circuit.record` once, whatever became of the call.

    Attributes:
        generation: Number of the state that gave it.
        started: Monotonic seconds at which it was given.
        change: The change of state that giving it brought about (OPEN to HALF_OPEN), for the listeners.
    """

    __slots__ = ("change", "generation", "settled", "started")

    def __init__(self, generation: int, started: float, change: CircuitChange | None = None) -> None:
        self.generation = generation
        self.started = started
        self.change = change
        self.settled = False


@dataclass(frozen=True, slots=True)
class CircuitStatistics:
    """What a circuit has seen.

    Args:
        state: The state now.
        generation: Changes of state and resets so far.
        calls: Calls in the window; for `consecutive` the bad ones in a row; while half-open the trials that
            have ended.
        failed: Failed calls among them.
        slow: Slow calls among them.
        trials: Trial calls that are out.
        opened: Times that the circuit has opened by itself.
        refused: Calls refused in all.
        retry_after: Seconds until a call may be let through; None if that is unknown.
    """

    state: CircuitState
    generation: int
    calls: int
    failed: int
    slow: int
    trials: int
    opened: int
    refused: int
    retry_after: float | None
