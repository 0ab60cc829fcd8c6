"""How long to wait before the next attempt: the engine of `retry_backoff`.

Pure: the time is passed in as monotonic seconds, chance as a `random.Random`. The formulas are those of
Marc Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015:

- `none`: `ceiling(n) = min(cap, base * factor ** n)`, where `n` = 0, 1, ... numbers the repeats
- `full`: uniform in `[0, ceiling(n)]`
- `equal`: `ceiling(n) / 2` plus uniform in `[0, ceiling(n) / 2]`
- `decorrelated`: `min(cap, uniform(base, 3 * the wait before))`; `factor` plays no part
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from random import Random
from typing import Final, Literal, get_args

from ..errors import invalid, is_count, is_number

__all__ = ["Jitter", "RetryLimit", "RetryPolicy", "RetryState", "RetryStatistics"]

Jitter = Literal["full", "equal", "decorrelated", "none"]
"""How chance spreads the waits."""

RetryLimit = Literal["attempts", "hint", "max_elapsed", "deadline"]
"""What forbids another attempt."""

_DECORRELATION: Final = 3.0
_HINT_SPREAD: Final = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """When and how often to try again. Immutable and checked.

    Args:
        max_attempts: Attempts in all, 1 or more; the first call counts.
        base: Seconds before the first repeat, before jitter; 0 or more.
        factor: What each further wait is multiplied by, 1 or more.
        cap: Longest wait in seconds before jitter; at least `base`.
        jitter: How chance spreads the waits, see the formulas above.
        max_elapsed: Seconds after the start of the first attempt before which every wait must end; None for
            no limit.
        max_hint: Longest `Retry-After` in seconds that is still worth waiting for.

    Raises:
        ValueError: A number is out of its range; the message names the field, the value and the fix.

    Example:
        >>> RetryPolicy(max_attempts=5, base=1.0, cap=5.0, jitter="none").delays()
        (1.0, 2.0, 4.0, 5.0)
    """

    max_attempts: int = 3
    base: float = 0.2
    factor: float = 2.0
    cap: float = 20.0
    jitter: Jitter = "full"
    max_elapsed: float | None = 60.0
    max_hint: float = 60.0

    def __post_init__(self) -> None:
        """Refuse what could never work."""
        if not is_count(self.max_attempts):
            raise invalid("max_attempts", self.max_attempts, "give a whole number, 1 (no repeat) or more")
        if not is_number(self.base) or self.base == math.inf:
            raise invalid("base", self.base, "give seconds, 0 or more")
        if not is_number(self.factor, 1.0) or self.factor == math.inf:
            raise invalid("factor", self.factor, "give 1 (waits stay equal) or more")
        if not is_number(self.cap, self.base) or self.cap == math.inf:
            raise invalid("cap", self.cap, f"give seconds, at least base={self.base!r}, or lower base")
        if self.jitter not in get_args(Jitter):
            raise invalid("jitter", self.jitter, f"give one of {', '.join(get_args(Jitter))}")
        if self.max_elapsed is not None and (not is_number(self.max_elapsed) or self.max_elapsed == 0.0):
            raise invalid("max_elapsed", self.max_elapsed, "give seconds above 0, or None for no limit")
        if not is_number(self.max_hint):
            raise invalid("max_hint", self.max_hint, "give seconds, 0 or more")

    def ceiling(self, repeat: int, base: float | None = None) -> float:
        """Longest backoff in seconds before a repeat (0 = the first repeat).

        Args:
            repeat: Number of the repeat, from 0.
            base: Used instead of the policy's own base.
        """
        start = self.base if base is None else base
        factor: float = self.factor
        if self.jitter == "decorrelated":
            factor, repeat = _DECORRELATION, repeat + 1
        try:
            return min(self.cap, start * float(factor) ** repeat)
        except OverflowError:
            return self.cap if start else 0.0

    def delays(self) -> tuple[float, ...]:
        """Longest wait in seconds before each repeat: what a picture or a worst-case sum shows."""
        return tuple(self.ceiling(repeat) for repeat in range(self.max_attempts - 1))


@dataclass(frozen=True, slots=True)
class RetryStatistics:
    """What one subscription has spent on repeating.

    Args:
        attempts: Attempts that ended in a failure.
        waited: Seconds of wait handed out.
        started: Monotonic seconds at which the first attempt began; None before it is known.
    """

    attempts: int
    waited: float
    started: float | None


class RetryState:
    """The memory of one subscription: how many attempts failed, and since when.

    Make one per subscription; it is never shared.

    Args:
        policy: The rules.
        random: Source of the jitter.
        started: Monotonic seconds at which the first attempt began. Without it the first failure counts as
            the start, and the first attempt's own duration is not charged to `max_elapsed`.

    Attributes:
        attempts: Attempts that ended in a failure, counted by `next_delay`. Right after that call it is the
            number of the attempt that just failed, and after giving up the number of attempts made.
        started: See above.
        limit: What made the last `next_delay` give up; None if it did not.

    Example:
        >>> from random import Random
        >>> state = RetryState(RetryPolicy(base=1.0, jitter="none"), Random(1), started=0.0)
        >>> state.next_delay(0.5), state.next_delay(2.0), state.next_delay(4.5)
        (1.0, 2.0, None)
        >>> state.attempts
        3
    """

    __slots__ = ("_policy", "_previous", "_random", "_waited", "attempts", "limit", "started")

    def __init__(self, policy: RetryPolicy, random: Random, started: float | None = None) -> None:
        self._policy = policy
        self._random = random
        self._previous: float | None = None
        self._waited = 0.0
        self.attempts = 0
        self.started = started
        self.limit: RetryLimit | None = None

    def next_delay(
        self,
        now: float,
        *,
        hint: float | None = None,
        base: float | None = None,
        deadline: float | None = None,
    ) -> float | None:
        """Counts a failed attempt and says how long to wait before the next one.

        Args:
            now: Monotonic seconds.
            hint: Seconds that the other side asked to wait (`Retry-After`). It replaces the backoff; the wait
                is up to a tenth longer (up to 0.1 s, if that is more), never shorter, whatever the policy's
                jitter. Below 0 it counts as 0, not-a-number as no hint.
            base: Replaces the policy's base for this wait, such as 1 s after a 429; 0 or more.
            deadline: Monotonic seconds at which everything must be over.

        Returns:
            Seconds to wait, or None to give up at once: the attempts are used up, the hint is beyond
            `max_hint`, or the wait would not end before `max_elapsed` or the deadline.
        """
        if self.started is None:
            self.started = now
        self.attempts += 1
        self.limit = self._used_up(hint)
        if self.limit is not None:
            return None
        if hint is None or math.isnan(hint):
            wait = self._backoff(base)
        else:
            wait = self._beyond(max(0.0, hint))
        self.limit = self._too_late(now + wait, deadline)
        if self.limit is not None:
            return None
        self._waited += wait
        return wait

    def statistics(self) -> RetryStatistics:
        """A snapshot."""
        return RetryStatistics(attempts=self.attempts, waited=self._waited, started=self.started)

    def _used_up(self, hint: float | None) -> RetryLimit | None:
        if self.attempts >= self._policy.max_attempts:
            return "attempts"
        return "hint" if hint is not None and hint > self._policy.max_hint else None

    def _too_late(self, next_start: float, deadline: float | None) -> RetryLimit | None:
        # An attempt that starts at the very limit has no time left, so the limit itself is too late.
        if deadline is not None and next_start >= deadline:
            return "deadline"
        limit, started = self._policy.max_elapsed, self.started
        late = limit is not None and started is not None and next_start - started >= limit
        return "max_elapsed" if late else None

    def _backoff(self, base: float | None) -> float:
        policy = self._policy
        jitter = policy.jitter
        if jitter == "decorrelated":
            return self._decorrelated(policy.base if base is None else base)
        ceiling = policy.ceiling(self.attempts - 1, base)
        if jitter == "full":
            return self._random.random() * ceiling
        if jitter == "equal":
            return 0.5 * ceiling * (1.0 + self._random.random())
        return ceiling

    def _decorrelated(self, base: float) -> float:
        top = _DECORRELATION * (base if self._previous is None else self._previous)
        self._previous = min(self._policy.cap, base + self._random.random() * max(0.0, top - base))
        return self._previous

    def _beyond(self, hint: float) -> float:
        """Spreads those who were given the same hint: none before it, and not all at once after it."""
        spread = max(_HINT_SPREAD, _HINT_SPREAD * hint)
        return hint + spread * (1.0 - 0.9 * self._random.random())
