"""AdaptiveBulkhead: the shared object behind `adaptive_concurrency`, and what awaits calls through it."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from inspect import isawaitable
from typing import Any, Final, ParamSpec, TypeAlias, TypeVar, overload

from ._permitted import QUEUE, SharedPermits
from .core.clock import Clock, base_scheduler, clock_of, running_loop
from .engines.circuit_model import Outcome3
from .engines.concurrency_limit import AimdPolicy, GradientPolicy, LimitChange, LimitSample, limit_of
from .engines.permits import Permit
from .errors import BulkheadFullError, RateLimitExceededError

__all__ = ["AdaptiveBulkhead", "AdaptiveStatistics", "Classify", "judge"]

T = TypeVar("T")
P = ParamSpec("P")

Classify: TypeAlias = Callable[[Any], Outcome3]

_LOG: Final = logging.getLogger("rxorch_operators")
_SUCCESS: Final = Outcome3.SUCCESS
_FAILURE: Final = Outcome3.FAILURE
_IGNORED: Final = Outcome3.IGNORED
# Timeouts, and refusals for want of room. Any other failure may have nothing to do with the load, and is
# ignored, as in the client of concurrency-limits for gRPC, where only UNAVAILABLE is a drop.
_DROPS: Final = (TimeoutError, BulkheadFullError, RateLimitExceededError)


def judge(result: object, classify: Classify | None, *, failed: bool) -> Outcome3:
    """What a call means for the limit.

    Args:
        result: The call's exception or value.
        classify: Who says so; None for the usual. Not asked about a cancellation.
        failed: Whether the result is an exception that was raised.
    """
    if failed and not isinstance(result, Exception):
        return _IGNORED  # cancelled, or the program is being stopped
    if classify is not None:
        outcome = classify(result)
        if not isinstance(outcome, Outcome3):
            raise TypeError(f"classify must return an Outcome3, got {outcome!r}")
        return outcome
    if not failed:
        return _SUCCESS
    return _FAILURE if isinstance(result, _DROPS) else _IGNORED


@dataclass(frozen=True, slots=True)
class AdaptiveStatistics:
    """What an adaptive bulkhead has seen.

    Args:
        limit: Calls that may be in flight at once, now.
        queue: Waiters that it takes; None if the queue has no bound.
        in_flight: Calls in flight; above `limit` for a while after it fell.
        waiting: Waiters now.
        granted: Calls let through in all.
        refused: Calls refused in all, because the queue was full.
        abandoned: Waiters that left before their turn.
        peak: Most calls in flight at once.
        increases: Times that the limit rose.
        decreases: Times that it fell.
        successes: Calls that went well.
        dropped: Calls that timed out or were refused.
        ignored: Calls that said nothing about the load, cancelled ones among them.
        rtt: Smoothed seconds of the calls that went well, from permit to end; None before the first.
        min_rtt: The shortest of them in seconds.
        baseline_rtt: Seconds that a `GradientPolicy` compares them with; None with an `AimdPolicy`.
    """

    limit: int
    queue: int | None
    in_flight: int
    waiting: int
    granted: int
    refused: int
    abandoned: int
    peak: int
    increases: int
    decreases: int
    successes: int
    dropped: int
    ignored: int
    rtt: float | None
    min_rtt: float | None
    baseline_rtt: float | None


class AdaptiveBulkhead(SharedPermits):
    """A bulkhead whose limit adapts to what the service behind it can take.

    Used by the operator `adaptive_concurrency(b)` and by `await b.call(fn, ...)`, which share the permits.
    Calls that go well raise the limit, one that is dropped cuts it, and one that is cancelled returns its
    permit and teaches nothing. Waiters are served in the order of arrival. Use it from one event loop at a
    time.

    Args:
        policy: How the limit moves: an `AimdPolicy`, which is the default, or a `GradientPolicy`.
        queue: Waiters it takes before it refuses with `BulkheadFullError`, 0 or more; None for any number.
        max_wait: Seconds that one may wait before `TimeoutExceededError(kind="queue")`; None for any time.
        name: For people and pictures.
        classify: What a call means for the limit, from its exception or value: `Outcome3.FAILURE` if it was
            dropped, SUCCESS, or IGNORED. By default a `TimeoutError`, a `BulkheadFullError` and a
            `RateLimitExceededError` are drops, any other exception says nothing about the load, and a value
            is a success. A cancellation is ignored in any case.
        on_change: Told each change of the limit. What it raises is logged and breaks nothing.
        clock: Time to measure with; that of the running loop, or of the subscription, by default.

    >>> import asyncio
    >>> from rxorch_operators import AdaptiveBulkhead
    >>> shop = AdaptiveBulkhead(on_change=lambda change: print(change.old, "->", change.new, change.reason))
    >>> async def fetch(item):
    ...     raise TimeoutError("too much to do")
    >>> async def main():
    ...     for _ in range(2):
    ...         try:
    ...             await shop.call(fetch, 7)
    ...         except TimeoutError as error:
    ...             print(error)
    >>> asyncio.run(main())
    20 -> 18 dropped
    too much to do
    18 -> 16 dropped
    too much to do
    """

    __slots__ = ("_on_change", "classify", "clock", "engine")

    def __init__(
        self,
        policy: AimdPolicy | GradientPolicy | None = None,
        *,
        queue: int | None = QUEUE,
        max_wait: float | None = None,
        name: str | None = None,
        classify: Classify | None = None,
        on_change: Callable[[LimitChange], object] | None = None,
        clock: Clock | None = None,
    ) -> None:
        self.engine = limit_of(AimdPolicy() if policy is None else policy)
        super().__init__(self.engine.limit, queue, max_wait, name)
        self.classify = classify
        self._on_change = on_change
        self.clock = clock

    @property
    def policy(self) -> AimdPolicy | GradientPolicy:
        """How the limit moves."""
        return self.engine.policy

    @property
    def limit(self) -> int:
        """How many may be in flight at once, now."""
        return self.engine.limit

    def statistics(self) -> AdaptiveStatistics:
        """A snapshot: the limit, who holds and awaits a permit, and what the calls have taught."""
        engine, permits = self.engine, self.pool.statistics()
        return AdaptiveStatistics(
            limit=engine.limit,
            queue=permits.queue,
            in_flight=permits.in_flight,
            waiting=permits.waiting,
            granted=permits.granted,
            refused=permits.refused,
            abandoned=permits.abandoned,
            peak=permits.peak,
            increases=engine.increases,
            decreases=engine.decreases,
            successes=engine.successes,
            dropped=engine.dropped,
            ignored=engine.ignored,
            rtt=engine.rtt,
            min_rtt=engine.min_rtt,
            baseline_rtt=engine.baseline_rtt,
        )

    def reset(self) -> None:
        """Goes back to the initial limit and forgets what calls, also those under way, have taught."""
        self._adopt(self.engine.reset(self._now()))

    @overload
    async def call(self, fn: Callable[P, Awaitable[T]], /, *args: P.args, **kwargs: P.kwargs) -> T: ...

    @overload
    async def call(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T: ...

    async def call(self, fn: Callable[P, Any], /, *args: P.args, **kwargs: P.kwargs) -> Any:
        """Calls a function, plain or `async def`, while holding a permit, and learns from how it ends.

        Args:
            fn: Called with the remaining arguments. Its result is returned, awaited if it is awaitable.
            *args: For the function.
            **kwargs: For the function.

        Raises:
            BulkheadFullError: The queue is full; the function was not called.
            TimeoutExceededError: `max_wait` is over; the function was not called.
            Exception: What the function or `classify` raises.
        """
        permit = await self.take()
        sample = self.engine.start(self._now(), self.pool.in_flight)
        outcome = _IGNORED
        try:
            try:
                result = fn(*args, **kwargs)
                if isawaitable(result):
                    result = await result
            except Exception as error:
                outcome = judge(error, self.classify, failed=True)
                raise
            outcome = judge(result, self.classify, failed=False)
            return result
        finally:
            self.settle(permit, sample, outcome, self._now())

    def settle(self, permit: Permit, sample: LimitSample, outcome: Outcome3, now: float) -> None:
        """Learns from a call that has ended, then gives its permit back.

        Args:
            permit: Held by the call.
            sample: What the engine gave when the call began.
            outcome: What became of it.
            now: Monotonic seconds of the clock that the sample was begun with.
        """
        try:
            self._adopt(self.engine.end(sample, now, outcome))
        finally:
            permit.release()

    def _adopt(self, change: LimitChange | None) -> None:
        if change is None:
            return
        pool, engine = self.pool, self.engine
        if change.new < pool.limit:
            pool.limit = change.new  # calls nobody, and holds for what the listener starts
        try:
            self._tell(change)  # before waiters are let in: what they end with comes after this
        finally:
            pool.limit = engine.limit  # not `change.new`: the listener may have brought about another

    def _tell(self, change: LimitChange) -> None:
        if self._on_change is None:
            return
        try:
            self._on_change(change)
        except Exception:
            _LOG.exception("on_change of %r failed", self)

    def _now(self) -> float:
        clock = self.clock
        if clock is None:
            loop = running_loop()
            return loop.time() if loop is not None else clock_of(base_scheduler(None)).now()
        return clock.now()
