"""GCRA: the engine of `rate_limit` and `throttle`.

The generic cell rate algorithm (ITU-T I.371, annex A; ATM Forum TM 4.0) in its virtual scheduling form.
Time is cut into emission intervals of `window / limit` seconds. The theoretical arrival time (TAT) is the
instant at which all that was let through would be paid for at that pace. A call may leave while the TAT,
its own cost included, runs at most `burst` intervals ahead of now.

A call that costs more than `burst` could never leave by that rule. It leaves when all before it is paid for,
and what follows it pays for it. So for every stretch of `window` seconds, ends included:

- at most `limit + burst` calls leave (of cost 1 or more each);
- at most `limit + max(burst, largest cost)` units leave. A `burst` as large as the largest cost, or larger,
  makes both bounds one.

Two numbers stand for the TAT: the instant at which the limiter was last idle, and the cost since. So no
rounding errors add up over days of full load, and a wait that was announced is always enough.

Pure: the time is passed in as monotonic seconds.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from ..errors import invalid
from .window import seconds_until

__all__ = ["Gcra", "GcraStatistics"]

_NEVER = -math.inf


@dataclass(frozen=True, slots=True)
class GcraStatistics:
    """What a limiter has seen.

    Args:
        limit: Units of cost per window.
        window: Seconds.
        burst: Units that may leave at once after a rest.
        available: Units that may leave now; below 0 while a call of more than the burst is being paid for.
        taken: Units let through in all, without those given back.
        calls: Calls let through in all.
        refused: Times that a call could not leave.
        blocked_until: Monotonic seconds before which nothing leaves; None if there is no block.
    """

    limit: float
    window: float
    burst: float
    available: float
    taken: float
    calls: int
    refused: int
    blocked_until: float | None


class Gcra:
    """Lets `limit` units of cost leave per `window` seconds, and up to `burst` of them at once.

    The order of waiters is kept by the caller, who tells with `ahead=` how much is queued before a call.

    Args:
        limit: Units per window, above 0.
        window: Seconds, above 0.
        burst: Units at once, 1 or more; by default 1 + a tenth of `limit`.

    Raises:
        ValueError: A number is out of its range.

    Example:
        >>> limiter = Gcra(limit=60, window=60.0, burst=2)
        >>> [limiter.take(now=0.0) for _ in range(3)]
        [True, True, False]
        >>> limiter.peek(now=0.25), limiter.peek(now=0.25, ahead=3)
        (0.75, 3.75)
        >>> limiter.take(now=1.0)
        True
    """

    __slots__ = (
        "_blocked",
        "_calls",
        "_idle",
        "_interval",
        "_last",
        "_refused",
        "_since",
        "_taken",
        "burst",
        "limit",
        "max_cost",
        "window",
    )

    def __init__(self, limit: float, window: float, burst: float | None = None) -> None:
        self._set(limit, window, burst)
        self._idle = _NEVER
        self._since: float = 0
        self._blocked = _NEVER
        self._last = _NEVER
        self._taken: float = 0
        self._calls = 0
        self._refused = 0

    def _set(self, limit: float, window: float, burst: float | None) -> None:
        if not 0.0 < limit < math.inf:
            raise invalid("limit", limit, "give units per window, above 0")
        if not 0.0 < window < math.inf:
            raise invalid("window", window, "give seconds above 0")
        if burst is not None and not 1.0 <= burst < math.inf:
            raise invalid("burst", burst, "give 1 (strict pacing) or more, or None for 1 + limit // 10")
        interval = window / limit
        if not 0.0 < interval < math.inf:
            raise invalid("limit", limit, f"give a rate of use: this is one unit each {interval} s")
        self.limit = limit
        self.window = window
        self.burst = 1 + limit // 10 if burst is None else burst
        self.max_cost = max(self.limit, self.burst)
        self._interval = interval

    def change(self, now: float, limit: float, window: float, burst: float | None = None) -> None:
        """Goes on with another rate. What has left and is not paid for yet stays so, at the new pace.

        Args:
            now: Monotonic seconds.
            limit: Units per window, above 0.
            window: Seconds, above 0.
            burst: Units at once, 1 or more; by default 1 + a tenth of `limit`.

        Raises:
            ValueError: A number is out of its range; nothing has changed then.

        Example:
            >>> limiter = Gcra(limit=60, window=60.0, burst=1)
            >>> limiter.take(now=0.0), limiter.peek(now=0.0)
            (True, 1.0)
            >>> limiter.change(now=0.0, limit=600, window=60.0, burst=1)
            >>> limiter.peek(now=0.0)
            0.1
        """
        unpaid = max(0.0, self._idle + self._since * self._interval - now) / self._interval
        self._set(limit, window, burst)
        self._idle, self._since = now, unpaid
        self._last = _NEVER  # what is given back now was taken at another rate

    def peek(self, now: float, cost: float = 1, ahead: float = 0) -> float:
        """Seconds until a call of this cost may leave; 0 if `take` would succeed now.

        Args:
            now: Monotonic seconds.
            cost: Units, 0 up to `max_cost`.
            ahead: Units queued before this call, each leaving as soon as it may.

        Raises:
            ValueError: The cost could never pass.
        """
        if not 0 <= cost <= self.max_cost:
            raise self._impossible(cost)
        interval = self._interval
        early = cost - self.burst
        if early > 0:
            early = 0
        if self._idle + self._since * interval <= now:
            target = now + (ahead + early) * interval
        else:
            target = self._idle + (self._since + ahead + early) * interval
        return seconds_until(max(target, self._blocked), now)

    def take(self, now: float, cost: float = 1) -> bool:
        """Lets a call leave now if it may; tells whether it did.

        Args:
            now: Monotonic seconds.
            cost: Units, 0 up to `max_cost`.

        Raises:
            ValueError: The cost could never pass.
        """
        if not 0 <= cost <= self.max_cost:
            raise self._impossible(cost)
        interval = self._interval
        since = self._since
        idle = self._idle + since * interval <= now
        # Summed up in the order of `peek`, so that both round alike.
        if not idle and self._idle + (since + (cost - self.burst)) * interval > now:
            self._refused += 1
            return False
        if now < self._blocked:
            self._refused += 1
            return False
        if idle:
            self._idle = now
            self._since = cost
        else:
            self._since = since + cost
        self._last = now
        self._taken += cost
        self._calls += 1
        return True

    def give_back(self, taken: float, cost: float = 1) -> bool:
        """Undoes a `take` whose call did not leave after all; tells whether it was undone.

        It is undone only while nothing was taken later and no block came. After that its place in time is
        gone, and to give it out again at another time could break the bound.

        Args:
            taken: The monotonic seconds that `take` was called with.
            cost: The cost that `take` was called with.
        """
        if taken != self._last:
            return False
        self._since = max(0, self._since - cost)
        self._taken -= cost
        self._calls -= 1
        return True

    def block_until(self, until: float) -> None:
        """Lets nothing leave before an instant, such as the one that a `Retry-After` names.

        Behind it the burst is used up: calls leave one by one at the usual pace, so that the waiters do not
        all meet the other side at once. A block is never shortened by a second one.

        Args:
            until: Monotonic seconds.
        """
        if not math.isfinite(until):
            raise invalid("until", until, "give monotonic seconds")
        self._blocked = max(self._blocked, until)
        self._last = _NEVER  # what is given back now would let a burst go right behind the block
        paced = until + (self.burst - 1) * self._interval
        if paced > self._idle + self._since * self._interval:
            self._idle = paced
            self._since = 0

    def reset(self) -> None:
        """Forgets all that was taken, and any block; the counts of `statistics` go on."""
        self._idle = _NEVER
        self._since = 0
        self._blocked = _NEVER
        self._last = _NEVER

    def statistics(self, now: float) -> GcraStatistics:
        """A snapshot.

        Args:
            now: Monotonic seconds.
        """
        blocked = now < self._blocked
        unpaid = max(0.0, self._idle + self._since * self._interval - now) / self._interval
        return GcraStatistics(
            limit=self.limit,
            window=self.window,
            burst=self.burst,
            available=0.0 if blocked else self.burst - unpaid,
            taken=self._taken,
            calls=self._calls,
            refused=self._refused,
            blocked_until=self._blocked if blocked else None,
        )

    def _impossible(self, cost: float) -> ValueError:
        return invalid("cost", cost, f"give 0 up to {self.max_cost:g}, the larger of limit and burst")
