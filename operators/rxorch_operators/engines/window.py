"""The exact sliding window: the engine of the in-memory rate limiter.

Pure: the time is passed in as monotonic seconds. A time that lies before the last one counts as the last one.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass

from ..errors import invalid, is_count

__all__ = ["SlidingWindow", "SlidingWindowStatistics", "seconds_until"]


def seconds_until(target: float, now: float) -> float:
    """The least wait after which `now + wait` has reached the target; 0 when it has.

    The plain difference may fall short by a rounding step, and who then looks again is told to wait for a
    time too small to pass: a busy loop.

    Args:
        target: Monotonic seconds.
        now: Monotonic seconds.
    """
    wait = target - now
    if wait <= 0.0:
        return 0.0
    while now + wait < target:
        wait += math.ulp(max(wait, abs(now), abs(target)))
    return wait


@dataclass(frozen=True, slots=True)
class SlidingWindowStatistics:
    """What a sliding window has seen.

    Args:
        limit: Weight that fits into one interval.
        interval: Length of the window in seconds.
        used: Weight within the window.
        remaining: Weight that fits now.
        reset_after: Seconds until the oldest entry leaves; 0 when empty.
        taken: Weight taken in all, without what was given back.
        refused: Times that there was no room.
    """

    limit: int
    interval: float
    used: int
    remaining: int
    reset_after: float
    taken: int
    refused: int


class SlidingWindow:
    """At most so much weight in any interval, kept exactly: every entry stays until it is `interval` old.

    Holds at most `limit` entries.

    Args:
        limit: Weight that fits into one interval, 1 or more.
        interval: Seconds.

    Raises:
        ValueError: A number is out of its range.

    Example:
        >>> window = SlidingWindow(limit=2, interval=10.0)
        >>> window.take(0.0), window.take(4.0), window.take(5.0)
        (True, True, False)
        >>> window.peek(5.0), window.remaining(10.0)
        (5.0, 1)
    """

    __slots__ = ("_entries", "_now", "_refused", "_taken", "_used", "interval", "limit")

    def __init__(self, limit: int, interval: float) -> None:
        if not is_count(limit):
            raise invalid("limit", limit, "give a whole number, 1 or more")
        if not 0.0 < interval < math.inf:
            raise invalid("interval", interval, "give seconds above 0")
        self.limit = limit
        self.interval = interval
        self._entries: deque[tuple[float, int]] = deque()  # (when it leaves, weight), oldest first
        self._now = -math.inf
        self._used = 0
        self._taken = 0
        self._refused = 0

    def peek(self, now: float, weight: int = 1, ahead: int = 0) -> float:
        """Seconds until the weight would fit, if nothing but `ahead` came first; 0 if it fits now.

        Args:
            now: Monotonic seconds.
            weight: 1 up to `limit`.
            ahead: Weight queued before it, entering one by one as soon as each fits.

        Raises:
            ValueError: The weight could never fit.
        """
        self._check(weight)
        now = self._advance(now)
        excess = self._used + ahead + weight - self.limit
        if excess <= 0:
            return 0.0
        # Unit by unit, each place is taken again the moment it falls free: the log repeats every interval.
        rounds, place = divmod(excess - 1, self.limit)
        return seconds_until(self._leaves(place, now) + rounds * self.interval, now)

    def take(self, now: float, weight: int = 1) -> bool:
        """Enters the weight if it fits now; tells whether it did.

        Args:
            now: Monotonic seconds.
            weight: 1 up to `limit`.

        Raises:
            ValueError: The weight could never fit.
        """
        self._check(weight)
        now = self._advance(now)
        if self._used + weight > self.limit:
            self._refused += 1
            return False
        self._entries.append((now + self.interval, weight))
        self._used += weight
        self._taken += weight
        return True

    def give_back(self, taken: float, weight: int = 1) -> bool:
        """Undoes a `take` whose call did not happen after all; tells whether it was still in the window.

        Args:
            taken: The monotonic seconds that `take` was called with.
            weight: The weight that `take` was called with.
        """
        entry = (taken + self.interval, weight)
        if entry not in self._entries:
            return False
        self._entries.remove(entry)
        self._used -= weight
        self._taken -= weight
        return True

    def used(self, now: float) -> int:
        """Weight within the interval that ends now.

        Args:
            now: Monotonic seconds.
        """
        self._advance(now)
        return self._used

    def remaining(self, now: float) -> int:
        """Weight that fits now.

        Args:
            now: Monotonic seconds.
        """
        return self.limit - self.used(now)

    def reset_after(self, now: float) -> float:
        """Seconds until the oldest entry leaves; 0 when there is none.

        Args:
            now: Monotonic seconds.
        """
        now = self._advance(now)
        return seconds_until(self._entries[0][0], now) if self._entries else 0.0

    def reset(self) -> None:
        """Forgets all entries."""
        self._entries.clear()
        self._used = 0

    def statistics(self, now: float) -> SlidingWindowStatistics:
        """A snapshot.

        Args:
            now: Monotonic seconds.
        """
        return SlidingWindowStatistics(
            limit=self.limit,
            interval=self.interval,
            used=self.used(now),
            remaining=self.remaining(now),
            reset_after=self.reset_after(now),
            taken=self._taken,
            refused=self._refused,
        )

    def _check(self, weight: int) -> None:
        if not 1 <= weight <= self.limit:
            raise invalid("weight", weight, f"give 1 up to limit={self.limit}: more could never fit")

    def _leaves(self, place: int, now: float) -> float:
        """When the unit at this place in the log leaves; free places count as taken now."""
        for leaves, weight in self._entries:
            place -= weight
            if place < 0:
                return leaves
        return now + self.interval

    def _advance(self, now: float) -> float:
        if now <= self._now:
            return self._now
        self._now = now
        entries = self._entries
        while entries and entries[0][0] <= now:
            self._used -= entries.popleft()[1]
        return now
