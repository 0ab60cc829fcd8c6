"""A pool of permits with a bounded queue: the engine of `bulkhead`.

Decides inside, acts outside: who gets a freed permit is settled, in the order of arrival, before anybody is
called; so a callback may acquire, release or resize at will. A chain of waiters that each end at once is
served in a loop, not by recursion.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass

from ..errors import BulkheadFullError, invalid, is_count

__all__ = ["Permit", "PermitPool", "PermitStatistics"]


@dataclass(frozen=True, slots=True)
class PermitStatistics:
    """What a pool has seen.

    Args:
        limit: Permits that may be out at once.
        queue: Waiters that it takes; None if the queue has no bound.
        in_flight: Permits that are out; above `limit` for a while after it was lowered.
        waiting: Waiters now.
        granted: Permits given in all.
        refused: Requests refused in all, because the queue was full.
        abandoned: Waiters that left before their turn.
        peak: Most permits out at once.
    """

    limit: int
    queue: int | None
    in_flight: int
    waiting: int
    granted: int
    refused: int
    abandoned: int
    peak: int


class Permit:
    """A place in a pool: waiting for its turn, then held, then released.

    Attributes:
        held: Whether the holder may work now.
    """

    __slots__ = ("_callback", "_pool", "held")

    def __init__(self, pool: PermitPool, callback: Callable[[Permit], object]) -> None:
        self._pool: PermitPool | None = pool
        self._callback = callback
        self.held = False

    @property
    def waiting(self) -> bool:
        """Whether it still stands in the queue."""
        return self._pool is not None and not self.held

    def release(self) -> None:
        """Gives the place back: leaves the queue, or hands the permit to the next. Once is enough."""
        pool, self._pool = self._pool, None
        if pool is not None:
            self._callback = _forgotten
            pool._release(self)

    def dispose(self) -> None:
        """The same under the name that Rx uses."""
        self.release()


class PermitPool:
    """At most so many at once; the others wait in the order of their arrival.

    Args:
        limit: Permits that may be out at once, 1 or more. May be set anew at any time: a higher limit lets
            waiters in at once, a lower one holds as soon as enough permits have come back.
        queue: Waiters it takes before it refuses, 0 or more; None takes any number, which only suits a
            caller that is bounded by other means.

    Raises:
        ValueError: A number is out of its range.

    Example:
        >>> pool = PermitPool(limit=1, queue=1)
        >>> first = pool.acquire(print)
        >>> second = pool.acquire(lambda permit: print("my turn"))
        >>> first.held, second.held
        (True, False)
        >>> first.release()
        my turn
    """

    __slots__ = (
        "_abandoned",
        "_calling",
        "_due",
        "_granted",
        "_in_flight",
        "_limit",
        "_peak",
        "_refused",
        "_waiters",
        "queue",
    )

    def __init__(self, limit: int, queue: int | None = None) -> None:
        if queue is not None and not is_count(queue, least=0):
            raise invalid("queue", queue, "give a whole number, 0 or more, or None for no bound")
        self._limit = _checked(limit)
        self.queue = queue
        self._waiters: OrderedDict[Permit, None] = OrderedDict()
        self._due: deque[Permit] = deque()  # granted, but not called yet
        self._calling = False
        self._in_flight = 0
        self._granted = 0
        self._refused = 0
        self._abandoned = 0
        self._peak = 0

    @property
    def limit(self) -> int:
        """Permits that may be out at once."""
        return self._limit

    @limit.setter
    def limit(self, limit: int) -> None:
        self._limit = _checked(limit)
        self._hand_out()

    @property
    def in_flight(self) -> int:
        """Permits that are out."""
        return self._in_flight

    @property
    def waiting(self) -> int:
        """How many stand in the queue."""
        return len(self._waiters)

    def acquire(self, callback: Callable[[Permit], object]) -> Permit:
        """Takes a permit or a place in the queue.

        Args:
            callback: Called with the permit when its turn comes; not called if it is held on return. If it
                raises, its permit is released, the other waiters are served, and then the error goes to
                whoever freed the permit.

        Returns:
            The permit, held or waiting. Release it in either case.

        Raises:
            BulkheadFullError: No permit is free and the queue is full.
        """
        waiters = self._waiters
        free = self._in_flight < self._limit  # and then nobody waits: freed permits are handed out at once
        if not free and self.queue is not None and len(waiters) >= self.queue:
            self._refused += 1
            raise BulkheadFullError(limit=self._limit, queue=self.queue)
        permit = Permit(self, callback)
        if free:
            self._grant(permit)
        else:
            waiters[permit] = None
        return permit

    def statistics(self) -> PermitStatistics:
        """A snapshot."""
        return PermitStatistics(
            limit=self._limit,
            queue=self.queue,
            in_flight=self._in_flight,
            waiting=len(self._waiters),
            granted=self._granted,
            refused=self._refused,
            abandoned=self._abandoned,
            peak=self._peak,
        )

    def _release(self, permit: Permit) -> None:
        if permit.held:
            permit.held = False
            self._in_flight -= 1
            if self._waiters:
                self._hand_out()
        else:
            del self._waiters[permit]
            self._abandoned += 1

    def _grant(self, permit: Permit) -> None:
        permit.held = True
        self._granted += 1
        self._in_flight += 1
        self._peak = max(self._peak, self._in_flight)

    def _hand_out(self) -> None:
        while self._waiters and self._in_flight < self._limit:
            permit, _ = self._waiters.popitem(last=False)
            self._grant(permit)
            self._due.append(permit)
        if self._calling:
            return  # the loop below, further up the stack, will call them
        self._calling = True
        errors: list[BaseException] = []
        while self._due:
            _call(self._due.popleft(), errors)
        self._calling = False
        if len(errors) == 1:
            raise errors[0]
        if errors:
            raise BaseExceptionGroup("several waiters failed to take their permit", errors)


def _forgotten(permit: Permit) -> None:
    """Stands where the callback of a released permit was: it must not be called any more.

    It may still be due, when a callback before it released this permit. And it usually leads back to the
    permit, a cycle that only the garbage collector could undo.
    """


def _call(permit: Permit, errors: list[BaseException]) -> None:
    try:
        permit._callback(permit)
    except BaseException as error:
        permit.release()
        errors.append(error)


def _checked(limit: int) -> int:
    if not is_count(limit):
        raise invalid("limit", limit, "give a whole number, 1 or more")
    return limit
