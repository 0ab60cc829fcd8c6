"""The vocabulary of a concurrency limit: its policies and records, apart from the engines themselves."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from ..errors import invalid, is_count

__all__ = ["AimdPolicy", "GradientPolicy", "LimitChange", "LimitReason", "LimitSample"]

LimitReason = Literal["success", "dropped", "slow_call", "latency", "reset"]
"""Why a limit moved: calls went well, one was dropped or took too long, all became slower, or by hand."""


@dataclass(frozen=True, slots=True)
class LimitChange:
    """A limit that moved, for the listener.

    Args:
        old: The limit before.
        new: The limit now.
        at: Monotonic seconds.
        reason: Why.
    """

    old: int
    new: int
    at: float
    reason: LimitReason


class LimitSample:
    """A call under way. Give it to `ConcurrencyLimit.end` once, whatever became of the call.

    Attributes:
        started: Monotonic seconds at which it began.
        in_flight: Calls in flight when it began, itself included.
        generation: Cuts of the limit before it began.
    """

    __slots__ = ("generation", "in_flight", "started")

    def __init__(self, started: float, in_flight: int, generation: int) -> None:
        self.started = started
        self.in_flight = in_flight
        self.generation = generation


@dataclass(frozen=True, slots=True, kw_only=True)
class AimdPolicy:
    """Grows by a step while calls go well, and shrinks by a share when one is dropped. Immutable and checked.

    The limit grows until the other side refuses or calls time out, is cut, and grows again: it swings just
    below what the service can take. It needs no idea of what a normal latency is.

    Args:
        initial_limit: Calls in flight at the start.
        min_limit: The limit never falls below, 1 or more.
        max_limit: The limit never rises above.
        increase: Permits gained per round trip, that is for `limit` calls that went well; above 0.
        decrease: Factor on the limit when a call is dropped, above 0 and below 1. The limit falls by 1 at
            least.
        slow_call_duration: Seconds beyond which a call that went well cuts the limit as well; None to ignore
            slowness.

    Raises:
        ValueError: A number is out of its range; the message names the field, the value and the fix.

    Example:
        >>> AimdPolicy(initial_limit=20, max_limit=10)
        Traceback (most recent call last):
            ...
        ValueError: max_limit=10: give a whole number, at least initial_limit=20
    """

    initial_limit: int = 20
    min_limit: int = 1
    max_limit: int = 200
    increase: float = 1.0
    decrease: float = 0.9
    slow_call_duration: float | None = None

    def __post_init__(self) -> None:
        """Refuse what could never work."""
        _check_limits(self)
        slow = self.slow_call_duration
        if slow is not None and not 0.0 < slow < math.inf:
            raise invalid("slow_call_duration", slow, "give seconds, above 0, or None to ignore slowness")


@dataclass(frozen=True, slots=True, kw_only=True)
class GradientPolicy:
    """Shrinks when calls take longer than they need, before any is dropped. Immutable and checked.

    The average round trip of each window is compared with a baseline, what a call takes when it waits for no
    other. While calls take at most `tolerance` times the baseline, the limit grows. Beyond, `limit * baseline
    / average` is what the service works on at once (Little's law) and the rest stands in a queue: the limit
    is cut to a little below that, and the calls that begin after the cut renew the baseline.

    Args:
        initial_limit: Calls in flight at the start.
        min_limit: The limit never falls below, 1 or more.
        max_limit: The limit never rises above.
        increase: Permits gained per window, in square roots of the limit; above 0.
        decrease: Factor on the limit when a call is dropped, and on the estimate that a cut goes to; above 0
            and below 1.
        tolerance: How many times as long as the baseline a call may take, above 1.
        window: Seconds that are averaged, two round trips at least.
        min_samples: Calls that went well without which a window goes on.

    Raises:
        ValueError: A number is out of its range; the message names the field, the value and the fix.

    Example:
        >>> GradientPolicy(tolerance=0.5)
        Traceback (most recent call last):
            ...
        ValueError: tolerance=0.5: give a number above 1
    """

    initial_limit: int = 20
    min_limit: int = 1
    max_limit: int = 200
    increase: float = 1.0
    decrease: float = 0.9
    tolerance: float = 1.5
    window: float = 1.0
    min_samples: int = 10

    def __post_init__(self) -> None:
        """Refuse what could never work."""
        _check_limits(self)
        if not 1.0 < self.tolerance < math.inf:
            raise invalid("tolerance", self.tolerance, "give a number above 1")
        if not 0.0 < self.window < math.inf:
            raise invalid("window", self.window, "give seconds, above 0")
        if not is_count(self.min_samples):
            raise invalid("min_samples", self.min_samples, "give a whole number, 1 or more")


def _check_limits(policy: AimdPolicy | GradientPolicy) -> None:
    if not is_count(policy.min_limit):
        raise invalid("min_limit", policy.min_limit, "give a whole number, 1 or more")
    if not is_count(policy.initial_limit, least=policy.min_limit):
        fix = f"give a whole number, at least min_limit={policy.min_limit}"
        raise invalid("initial_limit", policy.initial_limit, fix)
    if not is_count(policy.max_limit, least=policy.initial_limit):
        fix = f"give a whole number, at least initial_limit={policy.initial_limit}"
        raise invalid("max_limit", policy.max_limit, fix)
    if not 0.0 < policy.increase < math.inf:
        raise invalid("increase", policy.increase, "give a number above 0")
    if not 0.0 < policy.decrease < 1.0:
        raise invalid("decrease", policy.decrease, "give a share above 0 and below 1")
