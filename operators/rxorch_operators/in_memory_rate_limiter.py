"""InMemoryRateLimiter: limits by name, each with several rates over exact sliding windows."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Final

from ._rate_queue import RateQueue
from ._rate_waiter import wait_for_room
from .core.clock import Clock, LoopClock
from .engines.window import SlidingWindow
from .errors import OperatorError, TimeoutExceededError, invalid, is_count, is_number

__all__ = ["InMemoryRateLimiter", "RateLimit", "RateLimitStatus", "RateLimiterConfig"]

_FIRST_SWEEP: Final = 64


@dataclass(frozen=True, slots=True)
class RateLimit:
    """So much weight in any interval.

    Args:
        limit: Weight, 1 or more.
        interval: Seconds.

    Raises:
        ValueError: A number is out of its range.
    """

    limit: int
    interval: float

    def __post_init__(self) -> None:
        """Refuse what no window can hold."""
        SlidingWindow(self.limit, self.interval)


@dataclass(frozen=True, slots=True)
class RateLimiterConfig:
    """Which rates hold for which name.

    Args:
        default_rates: For every name without rates of its own, counted for each name apart.
        categories: Rates by name. All rates of a name must have room at the same time.

    Raises:
        ValueError: A list of rates is empty.
        TypeError: Something in a list is not a `RateLimit`.

    >>> RateLimiterConfig(default_rates=[], categories={})
    Traceback (most recent call last):
        ...
    ValueError: default_rates=[]: give at least one RateLimit
    """

    default_rates: Sequence[RateLimit]
    categories: Mapping[str, Sequence[RateLimit]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuse empty lists, and keep copies that nobody can change."""
        object.__setattr__(self, "default_rates", _checked("default_rates", self.default_rates))
        categories = {name: _checked(f"categories[{name!r}]", of) for name, of in self.categories.items()}
        object.__setattr__(self, "categories", categories)


def _checked(where: str, rates: Sequence[RateLimit]) -> tuple[RateLimit, ...]:
    if isinstance(rates, RateLimit):
        raise TypeError(f"{where} must be a list of RateLimit, got a single one")
    if not rates:
        raise invalid(where, rates, "give at least one RateLimit")
    for rate in rates:
        if not isinstance(rate, RateLimit):
            raise TypeError(f"{where} must be a list of RateLimit, got {type(rate).__name__} in it")
    return tuple(rates)


@dataclass(frozen=True, slots=True)
class RateLimitStatus:
    """How one name stands with the rate that has least room.

    Args:
        name: The name asked for.
        current_count: Weight within the interval.
        limit: Weight that fits into it.
        remaining: Weight that fits now.
        reset_after: Seconds until the oldest entry leaves; 0 when there is none.
    """

    name: str
    current_count: int
    limit: int
    remaining: int
    reset_after: float


class _Rates:
    """Several windows that must all have room, as one meter."""

    __slots__ = ("windows",)

    def __init__(self, rates: Sequence[RateLimit]) -> None:
        self.windows = [SlidingWindow(rate.limit, rate.interval) for rate in rates]

    def peek(self, now: float, cost: int = 1, ahead: int = 0, /) -> float:
        return max(window.peek(now, cost, ahead) for window in self.windows)

    def take(self, now: float, cost: int = 1, /) -> bool:
        windows = self.windows
        if len(windows) == 1:
            return windows[0].take(now, cost)
        if self.peek(now, cost) > 0.0:
            return False
        for window in windows:
            window.take(now, cost)
        return True

    def give_back(self, taken: float, cost: int = 1, /) -> None:
        for window in self.windows:
            window.give_back(taken, cost)

    def status(self, name: str, now: float) -> RateLimitStatus:
        window = min(self.windows, key=lambda one: (one.remaining(now), -one.reset_after(now)))
        used = window.used(now)
        return RateLimitStatus(name, used, window.limit, window.limit - used, window.reset_after(now))

    def is_idle(self, now: float) -> bool:
        return not any(window.used(now) for window in self.windows)

    def reset(self) -> None:
        for window in self.windows:
            window.reset()


class InMemoryRateLimiter:
    """Limits by name, within one process. Every window is exact: no interval holds more than its limit.

    A name stands for whatever shares a limit: an endpoint, a user, a key. Only waiting is asynchronous:
    `acquire` and `close` are awaited, while `try_acquire`, `get_status` and `reset` are plain methods.

    Args:
        config: The rates.
        clock: Time to wait on; that of the running loop by default.

    >>> import asyncio
    >>> from rxorch_operators import InMemoryRateLimiter, RateLimit, RateLimiterConfig
    >>> config = RateLimiterConfig(
    ...     default_rates=[RateLimit(limit=100, interval=60)],
    ...     categories={"search": [RateLimit(limit=2, interval=1), RateLimit(limit=50, interval=3600)]},
    ... )
    >>> async def main():
    ...     async with InMemoryRateLimiter(config) as limiter:
    ...         await limiter.acquire("search")
    ...         return limiter.get_status("search").remaining, limiter.get_status("other").remaining
    >>> asyncio.run(main())
    (1, 100)
    """

    def __init__(self, config: RateLimiterConfig, *, clock: Clock | None = None) -> None:
        if not isinstance(config, RateLimiterConfig):
            raise TypeError(f"expected a RateLimiterConfig, got {type(config).__name__}")
        self.config = config
        self._clock = clock
        self._queues: dict[str, RateQueue[_Rates]] = {}
        self._sweep_at = _FIRST_SWEEP
        self._closed = False

    async def acquire(self, name: str = "default", weight: int = 1, timeout: float | None = None) -> None:
        """Waits until the name's rates have room, first come, first served.

        Args:
            name: What shares the limit.
            weight: What the call takes, up to the smallest limit of the name.
            timeout: Seconds to wait at most; None for any time.

        Raises:
            TimeoutExceededError: The wait cannot end within `timeout`; raised at once, with the kind "queue".
                It is a `TimeoutError` too.
            OperatorError: The limiter was closed, before the wait or during it.
            ValueError: The weight could never fit, or `timeout` is no number.
        """
        if timeout is not None and not is_number(timeout, -math.inf):
            raise invalid("timeout", timeout, "give seconds, or None for any time")
        queue = self._queues.get(name)
        if queue is None or type(weight) is not int or weight < 1:
            queue = self._open_queue(name, weight)
        clock = queue._clock  # as in RateLimiter.acquire
        if type(clock) is not LoopClock or not clock.loop.is_running():
            clock = queue.clock()
        if not queue.waiting and queue.meter.take(clock.now(), weight):
            queue.granted += 1
        else:
            await self._wait(queue, weight, timeout)

    async def _wait(self, queue: RateQueue[_Rates], weight: int, timeout: float | None) -> None:
        patience = math.inf if timeout is None else timeout

        def error(wait: float) -> Exception:
            return _closed() if self._closed else TimeoutExceededError(limit=timeout, kind="queue")

        await wait_for_room(queue, weight, patience, error)

    def try_acquire(self, name: str = "default", weight: int = 1) -> bool:
        """Takes the weight if nobody waits and there is room now; tells whether it did. Not a coroutine.

        Args:
            name: What shares the limit.
            weight: What the call takes, up to the smallest limit of the name.

        Raises:
            OperatorError: The limiter is closed.
            ValueError: The weight could never fit.
        """
        queue = self._open_queue(name, weight)
        return queue.try_take(queue.clock().now(), weight)

    def get_status(self, name: str = "default") -> RateLimitStatus:
        """A snapshot of one name; takes nothing. Not a coroutine.

        Args:
            name: What shares the limit.
        """
        queue = self._queues.get(name)
        if queue is None:
            return _Rates(self._rates_of(name)).status(name, 0.0)
        return queue.meter.status(name, queue.clock().now())

    def reset(self, name: str | None = None) -> None:
        """Forgets what was taken; calls that wait may leave now. Not a coroutine.

        Args:
            name: Only of this name; None for all.
        """
        names = tuple(self._queues) if name is None else (name,)
        for one in names:
            queue = self._queues.get(one)
            if queue is not None:
                queue.meter.reset()
                queue.pump()

    async def close(self) -> None:
        """Ends every wait with an error, and lets nobody in any more. May be called twice."""
        self._closed = True
        queues, self._queues = self._queues, {}
        for queue in queues.values():
            for ticket in queue.clear():
                ticket.on_refused(queue, math.inf)

    async def __aenter__(self) -> InMemoryRateLimiter:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    def _rates_of(self, name: str) -> Sequence[RateLimit]:
        return self.config.categories.get(name, self.config.default_rates)

    def _open_queue(self, name: str, weight: int) -> RateQueue[_Rates]:
        if self._closed:
            raise _closed()
        if not is_count(weight):
            raise invalid("weight", weight, "give a whole number, 1 or more")
        queue = self._queues.get(name)
        if queue is None:
            queue = RateQueue(_Rates(self._rates_of(name)), name, self._clock)
            if len(self._queues) >= self._sweep_at:
                self._sweep(queue.clock().now())
            self._queues[name] = queue
        return queue

    def _sweep(self, now: float) -> None:
        """Forgets names that nothing is known of any more: there may be one for each user of a day."""
        self._queues = {
            name: queue
            for name, queue in self._queues.items()
            if queue.waiting or not queue.meter.is_idle(now)
        }
        self._sweep_at = max(_FIRST_SWEEP, 2 * len(self._queues))


def _closed() -> OperatorError:
    return OperatorError("the rate limiter is closed")
