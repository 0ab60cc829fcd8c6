"""What `bulkhead` and `adaptive_concurrency` share: calls line up for a pool, and a link holds a permit."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Final

from reactivex.abc import DisposableBase, ObserverBase

from .core.clock import Handle
from .core.demand import DemandScheduler
from .core.stage import DISPOSED, NOTHING, Link, Stage
from .engines.permits import Permit, PermitPool
from .errors import BulkheadFullError, TimeoutExceededError, invalid, is_number

__all__ = ["QUEUE", "Permitted", "SharedPermits"]

QUEUE: Final = 100
"""Waiters that are let in by default: five rounds of the 20 calls that run by default.

Who would stand further behind waits longer than most callers do, and a longer queue only hides that there is
too much to do. The `ThreadPoolBulkhead` of resilience4j has the same number.
"""


class SharedPermits:
    """A pool of permits with a name and a patience: the part that shared objects have in common.

    Args:
        limit: Permits, 1 or more.
        queue: Waiters it takes, 0 or more; None for any number.
        max_wait: Seconds that one may wait; None for any time.
        name: For people and pictures.
    """

    __slots__ = ("max_wait", "name", "pool")

    def __init__(self, limit: int, queue: int | None, max_wait: float | None, name: str | None) -> None:
        if max_wait is not None and not is_number(max_wait):
            raise invalid("max_wait", max_wait, "give seconds, 0 or more, or None to wait any time")
        self.pool = PermitPool(limit, queue)
        self.max_wait = max_wait
        self.name = name

    def request(self, granted: Callable[[Permit], object]) -> Permit:
        """Takes a permit, or a place in the queue and calls `granted` when its turn comes.

        Raises `BulkheadFullError` when the queue is full.
        """
        try:
            return self.pool.acquire(granted)
        except BulkheadFullError as error:
            if self.name is None:
                raise
            message = f"bulkhead {self.name!r} is full: {error.limit} in flight, {error.queue} waiting"
            raise BulkheadFullError(message, limit=error.limit, queue=error.queue) from None

    async def take(self) -> Permit:
        """Waits for a permit; the caller releases it.

        Raises `BulkheadFullError` when the queue is full, `TimeoutExceededError` after `max_wait`.
        """
        waiter: asyncio.Future[None] | None = None

        def granted(_: Permit) -> None:
            if waiter is not None and not waiter.done():
                waiter.set_result(None)

        permit = self.request(granted)
        if permit.held:
            return permit
        waiter = asyncio.get_running_loop().create_future()
        timer = self._timer(waiter)
        try:
            await waiter
        except BaseException:
            permit.release()  # also when it was granted in the turn that cancelled us
            raise
        finally:
            if timer is not None:
                timer.cancel()
        return permit

    def _timer(self, waiter: asyncio.Future[None]) -> Handle | None:
        limit = self.max_wait
        if limit is None:
            return None

        def over() -> None:
            if not waiter.done():
                waiter.set_exception(TimeoutExceededError(limit=limit, kind="queue"))

        return waiter.get_loop().call_later(limit, over)

    def __repr__(self) -> str:
        name = "" if self.name is None else f" {self.name!r}"
        pool = self.pool
        kind = type(self).__name__
        return f"<{kind}{name}: {pool.in_flight} of {pool.limit} in flight, {pool.waiting} waiting>"


class Permitted(Link):
    """Waits for a permit, holds it while the source runs."""

    __slots__ = ("_scheduler", "_source", "_timer", "permit")

    permit: Permit

    def __init__(self, sink: ObserverBase[Any], source: Stage[Any], scheduler: DemandScheduler) -> None:
        self.sink = sink
        self.upstream = NOTHING
        self._source = source
        self._scheduler = scheduler
        self._timer: Handle | None = None

    def line_up(self, permits: SharedPermits) -> DisposableBase:
        """Asks for the permit; returns what the sink may dispose."""
        try:
            permit = permits.request(self.granted)
        except BulkheadFullError as error:
            self.sink.on_error(error)
            return NOTHING
        self.permit = permit
        if permit.held:
            self.start()
        elif permits.max_wait is not None:
            self._wait(permits.max_wait)
        return self

    def _wait(self, max_wait: float) -> None:
        def over() -> None:
            self._end(TimeoutExceededError(limit=max_wait, kind="queue"))

        try:
            self._timer = self._scheduler.clock.call_later(max_wait, over)
        except BaseException:  # no event loop to wait on
            self._stop()
            raise

    def granted(self, _: Permit) -> None:
        """Its turn has come."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self.start()

    def start(self) -> None:
        """Subscribes to the source; an exception on the way is its error."""
        try:
            self.connect(self._source, self._scheduler)
        except BaseException as error:
            if self.upstream is DISPOSED or not isinstance(error, Exception):
                self._stop()  # nobody else can: our caller has not got us yet
                raise
            self.on_error(error)

    def on_next(self, value: Any) -> None:
        if self.upstream is not DISPOSED:
            self.sink.on_next(value)

    def on_error(self, error: Exception) -> None:
        self._end(error)

    def on_completed(self) -> None:
        self._end(None)

    def _end(self, error: Exception | None) -> None:
        if self.upstream is DISPOSED:
            return
        try:
            self._stop()
        finally:  # the next one starts inside it; what that raises must not cost us our end
            if error is None:
                self.sink.on_completed()
            else:
                self.sink.on_error(error)

    def dispose(self) -> None:
        self._stop()

    def _stop(self) -> None:
        upstream = self.upstream
        if upstream is DISPOSED:
            return
        self.upstream = DISPOSED
        try:
            upstream.dispose()  # first: who gets the permit must not meet what it stood for
        finally:
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None
            self.give_back()

    def give_back(self) -> None:
        """Returns the permit, or leaves the queue."""
        self.permit.release()
