"""RateLimiter: how many calls may leave per window, shared by all who hold it."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from inspect import isawaitable
from types import TracebackType
from typing import Any, ParamSpec, TypeVar, overload

from rxorch_operators._seconds import seconds_words

from ._rate_queue import RateQueue
from ._rate_waiter import wait_for_room
from .core.clock import Clock, LoopClock
from .engines.gcra import Gcra
from .errors import RateLimitExceededError, invalid, is_number

__all__ = ["RateLimiter", "RateLimiterStatistics", "exceeded"]

T = TypeVar("T")
P = ParamSpec("P")


@dataclass(frozen=True, slots=True)
class RateLimiterStatistics:
    """What a rate limiter has seen.

    Args:
        name: Name of the limiter.
        granted: Calls that left.
        refused: Calls that were turned away, or gave up because their wait could not end in time.
        waiting: Calls in the queue.
        available: Units of cost that may leave now; below 0 while a large call is being paid for.
        next_free: Seconds until one more call of cost 1 could leave, after all that wait.
    """

    name: str | None
    granted: int
    refused: int
    waiting: int
    available: float
    next_free: float


class RateLimiter:
    """Lets `rate_limit` units of cost leave per `window` seconds, first come, first served.

    Calls leave evenly, one every `window / rate_limit` seconds, but up to `burst` of them at once after a
    rest. No window ever sees more than `rate_limit + burst` departures. (GCRA; see `gcra.Gcra`.)

    Used by the operator `rate_limit(limiter)`, by `await limiter.acquire()`, by `async with limiter:` and by
    `await limiter.call(fn, ...)`, which stand in one line. One limiter belongs to one event loop at a time.
    It may be made outside of any.

    Args:
        rate_limit: Units per window, above 0. A call costs 1 unless it says otherwise.
        window: Seconds.
        burst: Units that may leave at once, 1 or more; by default 1 + a tenth of `rate_limit`.
        max_wait: Seconds that a call may wait, unless it says otherwise; None for any time. A call whose wait
            cannot end in time fails at once.
        name: For errors and events.
        clock: Time to wait on; that of the running loop by default.

    Attributes:
        line: Those who wait; for operators.

    Raises:
        ValueError: A number is out of its range.

    >>> import asyncio
    >>> from rxorch_operators import RateLimiter
    >>> limiter = RateLimiter(rate_limit=100, window=60)
    >>> async def main():
    ...     await limiter.acquire()  # the request goes here
    ...     async with limiter:
    ...         pass  # or here
    ...     length = await limiter.call(len, "or this is the request")
    ...     return limiter.statistics().granted
    >>> asyncio.run(main())
    3
    """

    def __init__(
        self,
        rate_limit: float,
        window: float = 60.0,
        *,
        burst: float | None = None,
        max_wait: float | None = None,
        name: str | None = None,
        clock: Clock | None = None,
    ) -> None:
        if max_wait is not None and not is_number(max_wait):
            raise invalid("max_wait", max_wait, "give seconds, 0 or more, or None for any time")
        self.name = name
        self.max_wait = max_wait
        self.line = RateQueue(Gcra(rate_limit, window, burst), name, clock)

    async def acquire(self, cost: int = 1, *, max_wait: float | None = None) -> None:
        """Waits until a call may leave. A cancelled wait gives its place to the next at once.

        Args:
            cost: Units, up to the larger of `rate_limit` and `burst`.
            max_wait: Seconds; the limiter's by default, `math.inf` for any time.

        Raises:
            RateLimitExceededError: The wait could not end within `max_wait`; `retry_after` has the seconds
                that it would have taken.
            ValueError: The cost could never pass, or `max_wait` is no number.
        """
        if max_wait is not None and not is_number(max_wait, -math.inf):
            raise invalid("max_wait", max_wait, "give seconds, or None for the limiter's own")
        line = self.line
        # This is `line.try_take(line.clock().now(), cost)`, only that a line on a running loop is not asked
        # whether it is the loop of this task: to find that out costs as much as all the rest. Who has to wait
        # is asked.
        clock = line._clock
        if type(clock) is not LoopClock or not clock.loop.is_running():
            clock = line.clock()
        if not line.waiting and line.meter.take(clock.now(), cost):
            line.granted += 1
        else:
            await self._wait(cost, max_wait)

    async def _wait(self, cost: int, max_wait: float | None) -> None:
        line = self.line
        if max_wait is None:
            max_wait = math.inf if self.max_wait is None else self.max_wait
        await wait_for_room(line, cost, max_wait, lambda wait: exceeded(line, wait))

    @overload
    async def call(self, fn: Callable[P, Awaitable[T]], /, *args: P.args, **kwargs: P.kwargs) -> T: ...

    @overload
    async def call(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T: ...

    async def call(self, fn: Callable[P, Any], /, *args: P.args, **kwargs: P.kwargs) -> Any:
        """Waits as `acquire()` does, then calls a function, or awaits an async one.

        Args:
            fn: Called with the remaining arguments once the call may leave. What it does costs 1; for another
                cost, or to retry, use `guard(rate_limit(limiter, cost=...))`.
            *args: For the function.
            **kwargs: For the function.

        Returns what it returns and raises what it raises; `RateLimitExceededError` as `acquire`, and then the
        function was not called.
        """
        await self.acquire()
        result = fn(*args, **kwargs)
        return await result if isawaitable(result) else result

    async def __aenter__(self) -> RateLimiter:
        await self.acquire()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Nothing comes back: what has left counts, however it ended."""

    def try_acquire(self, cost: int = 1) -> bool:
        """Lets a call leave if it may leave now, before nobody who waits; tells whether it did.

        Args:
            cost: Units, up to the larger of `rate_limit` and `burst`.
        """
        line = self.line
        if line.try_take(line.clock().now(), cost):
            return True
        line.refused += 1
        return False

    def feed_retry_after(self, seconds: float) -> None:
        """Lets nothing leave for so long: the other side said so.

        After it the calls that wait leave one by one at the usual pace. Those whose wait cannot end in time
        any more fail now. A shorter time than one fed before changes nothing.

        Args:
            seconds: From now; 0 or less changes nothing.
        """
        if seconds > 0.0:
            line = self.line
            line.meter.block_until(line.clock().now() + seconds)
            line.review()

    def change(
        self, rate_limit: float | None = None, window: float | None = None, *, burst: float | None = None
    ) -> None:
        """Goes on with another rate. Calls that wait leave at the new pace from now on.

        What has left under the old rate and is not paid for yet counts on, and so does a `Retry-After`. Calls
        whose wait cannot end in time any more fail now.

        Args:
            rate_limit: Units per window, above 0; None: as it is.
            window: Seconds, above 0; None: as it is.
            burst: Units at once, 1 or more; by default 1 + a tenth of the rate.

        Raises:
            ValueError: A number is out of its range, or a call that waits costs more than could ever pass;
                nothing has changed then.
        """
        line = self.line
        meter = line.meter
        limit = meter.limit if rate_limit is None else rate_limit
        window = meter.window if window is None else window
        costliest = max((ticket.cost_in(line) for ticket in line.waiting), default=0)
        if costliest > Gcra(limit, window, burst).max_cost:
            raise invalid("rate_limit", limit, f"a call that waits costs {costliest}, which could never pass")
        meter.change(line.clock().now(), limit, window, burst)
        line.review()
        line.pump()

    def statistics(self) -> RateLimiterStatistics:
        """A snapshot."""
        line = self.line
        now = line.clock().now()
        return RateLimiterStatistics(
            name=self.name,
            granted=line.granted,
            refused=line.refused,
            waiting=len(line.waiting),
            available=line.meter.statistics(now).available,
            next_free=line.meter.peek(now, 1, line.cost_waiting),
        )

    def reset(self) -> None:
        """Forgets what has left, and any `Retry-After`; the counts go on. Calls that wait may leave now."""
        self.line.meter.reset()
        self.line.pump()

    def __repr__(self) -> str:
        name = "" if self.name is None else f"{self.name!r}, "
        meter = self.line.meter
        window = seconds_words(meter.window, exact=True)
        return f"RateLimiter({name}{meter.limit:g} per {window}, burst {meter.burst:g})"


def exceeded(line: RateQueue[Any], retry_after: float) -> RateLimitExceededError:
    """The error for a call that would have to wait so many seconds in this line."""
    return RateLimitExceededError(name=line.name, retry_after=retry_after)
