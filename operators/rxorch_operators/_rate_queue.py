"""The waiting line of a rate limiter: first come, first served, with one timer for its head.

A `Ticket` is one call's place. It names the queues that it has to pass, outermost first, and walks them from
the innermost outwards: at the head of one that has room it joins the tail of the next, and keeps its place at
the head behind it. At the head of the outermost, with room in all of them at the same instant, it takes from
all and departs. So a call that waits for one limit holds nothing of another.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from heapq import heappop, heappush
from typing import Any, Final, Generic, Protocol, TypeVar

from .core.clock import Clock, Handle
from .core.clock_user import ClockUser

__all__ = ["Meter", "RateQueue", "Ticket"]

SLACK: Final = 2e-9
"""Seconds that count as no wait: an event loop fires its timers early by as much."""

_GRAIN: Final = 1e-6
"""Seconds by which a timer may fire before its time: virtual clocks tick in microseconds."""

EARLY: Final = 1e-3
"""Least delay after a timer that fired too early: uvloop rounds to milliseconds, and would spin."""


class Meter(Protocol):
    """What knows whether there is room."""

    def peek(self, now: float, cost: int = ..., ahead: int = ..., /) -> float:
        """Seconds until there is room, if `ahead` more leaves first."""

    def take(self, now: float, cost: int = ..., /) -> bool:
        """Takes room if there is some; tells whether there was."""

    def give_back(self, taken: float, cost: int = ..., /) -> object:
        """Undoes what was taken at that time."""


MeterT = TypeVar("MeterT", bound=Meter)


class Ticket:
    """One call's place in one or several queues.

    Args:
        queues: To be passed from the last to the first.
        cost: What the call takes from each: a number, or one for each queue.
        deadline: The clock's seconds after which it must not wait any more; `inf` for none.
        on_granted: Called when it departs. It has left all queues then.
        on_refused: Called with the queue at fault and the seconds that it asks for, when the deadline
            cannot be kept.
    """

    __slots__ = ("_at", "_costs", "deadline", "on_granted", "on_refused", "queues", "taken")

    def __init__(
        self,
        queues: tuple[RateQueue[Any], ...],
        cost: int | Mapping[RateQueue[Any], int],
        deadline: float,
        on_granted: Callable[[], object],
        on_refused: Callable[[RateQueue[Any], float], object],
    ) -> None:
        self.queues = queues
        self._costs = cost
        self.deadline = deadline
        self.on_granted = on_granted
        self.on_refused = on_refused
        self.taken = -math.inf
        self._at = len(queues)  # it stands in queues[_at:]

    def cost_in(self, queue: RateQueue[Any]) -> int:
        """What it takes from a queue."""
        costs = self._costs
        return costs[queue] if isinstance(costs, Mapping) else costs

    @property
    def queue(self) -> RateQueue[Any]:
        """The outermost queue that it stands in: the one that moves it."""
        return self.queues[self._at]

    def join_next(self, now: float) -> None:
        """Joins the next queue outwards; may depart or be refused before this returns."""
        self._at -= 1
        queue = self.queues[self._at]
        wait = queue.meter.peek(now, self.cost_in(queue), queue.cost_waiting)
        if now + wait > self.deadline + SLACK:
            self.refuse(queue, wait)
        else:
            queue.append(self)

    def leave(self) -> None:
        """Gives up the place in every queue; who stood behind it moves up at once."""
        _pump(self._vacate(self._at))

    def advance(self, now: float) -> None:
        """From the head of a queue that has room: joins the next one outwards, or departs."""
        if self._at:
            self.join_next(now)
            return
        for place, queue in enumerate(self.queues):
            if queue.meter.peek(now, self.cost_in(queue)) > SLACK:
                # An inner limit has closed since. Calls that need only the outer one must not wait for it.
                self._retreat(place)
                return
        for queue in self.queues:
            self.taken = queue.take(now, self.cost_in(queue))
        granted = self.on_granted
        moved = self._vacate(0)
        try:
            granted()
        finally:
            _pump(moved)

    def refuse(self, queue: RateQueue[Any], wait: float) -> None:
        """Ends a wait that cannot end in time."""
        queue.refused += 1
        refused = self.on_refused
        moved = self._vacate(self._at)
        try:
            refused(queue, wait)
        finally:
            _pump(moved)

    def _retreat(self, place: int) -> None:
        self._at = place
        moved = [queue for queue in self.queues[:place] if queue.remove(self)]
        _pump([self.queues[place], *moved])

    def _vacate(self, start: int) -> list[RateQueue[Any]]:
        self._at = len(self.queues)
        self.on_granted = self.on_refused = _over  # they refer to us: without them we are freed at once
        return [queue for queue in self.queues[start:] if queue.remove(self)]


def _over(*_: object) -> None:
    """Nobody is to be told any more."""


def _pump(queues: list[RateQueue[Any]]) -> None:
    for queue in queues:
        queue.pump()


class RateQueue(ClockUser, Generic[MeterT]):
    """Calls that wait for room in one meter.

    Args:
        meter: Knows whether there is room.
        name: For errors.
        clock: Time to wait on. Without it, that of whoever waits.
    """

    def __init__(self, meter: MeterT, name: str | None, clock: Clock | None = None) -> None:
        super().__init__(clock)
        self.meter = meter
        self.name = name
        self.waiting: OrderedDict[Ticket, None] = OrderedDict()  # leaving from the middle costs the same
        self.cost_waiting = 0
        self.granted = 0
        self.refused = 0
        self._timer: Handle | None = None
        self._due = math.inf  # when the timer fires
        self._head_due = math.inf
        self._deadlines: list[
            tuple[float, int, Ticket]
        ] = []  # a heap; tickets that have left are still in it
        self._joined = 0
        self._pumping = False

    def try_take(self, now: float, cost: int) -> bool:
        """Takes at once if nobody waits and there is room."""
        if not self.waiting and self.meter.take(now, cost):
            self.granted += 1
            return True
        return False

    def take(self, now: float, cost: int) -> float:
        """Takes the room that was seen, though it may open only in `SLACK`; returns the time entered."""
        taken = now + self.meter.peek(now, cost)
        self.meter.take(taken, cost)
        self.granted += 1
        return taken

    def give_back(self, taken: float, cost: int) -> None:
        """Undoes a `take` whose call did not leave after all."""
        self.granted -= 1
        self.meter.give_back(taken, cost)
        self.pump()

    def _is_waiting(self) -> bool:
        return bool(self.waiting)

    def _abandon(self) -> None:
        self.clear()

    def clear(self) -> list[Ticket]:
        """Empties the queue without a word to those who waited; returns them."""
        left = list(self.waiting)
        self.waiting.clear()
        self._deadlines.clear()
        self.cost_waiting = 0
        self._head_due = math.inf
        self._arm()
        return left

    def append(self, ticket: Ticket) -> None:
        """Adds a ticket at the tail."""
        self.waiting[ticket] = None
        self.cost_waiting += ticket.cost_in(self)
        if ticket.deadline < math.inf:
            self._joined += 1  # ties are broken by it: tickets cannot be compared
            heappush(self._deadlines, (ticket.deadline, self._joined, ticket))
        if len(self.waiting) == 1:
            self.pump()
        else:
            self._arm()

    def remove(self, ticket: Ticket) -> bool:
        """Takes a ticket out; tells whether it was the head."""
        waiting = self.waiting
        if ticket not in waiting:
            return False
        was_head = next(iter(waiting)) is ticket
        del waiting[ticket]
        self.cost_waiting -= ticket.cost_in(self)
        return was_head

    def pump(self) -> None:
        """Lets go whoever may go, in order, and sets the timer for the next."""
        if self._pumping:
            return  # a callback got us here: the loop below looks again after it
        self._pumping = True
        try:
            while self._step():
                pass
        finally:
            self._pumping = False
            self._arm()

    def _step(self) -> bool:
        """Moves the head if it can move. Decides first; the callbacks come last."""
        if not self.waiting:
            self._head_due = math.inf
            self._deadlines.clear()
            return False
        self._head_due = -math.inf  # should a callback raise, the timer goes on with the next one
        head = next(iter(self.waiting))
        if head.queue is not self:
            self._head_due = math.inf  # it waits further out, and comes back through us
            return False
        assert self._clock is not None
        now = self._clock.now()
        wait = self.meter.peek(now, head.cost_in(self))
        if wait <= SLACK:
            head.advance(now)
        elif now + wait > head.deadline + SLACK:
            head.refuse(self, wait)
        else:
            self._head_due = now + wait
            return False
        return True

    def review(self) -> None:
        """Refuses everybody whose deadline cannot be kept any more, wherever in the queue."""
        if not self.waiting or self._clock is None:
            return
        now = self._clock.now()
        ahead, late = 0, []
        for ticket in self.waiting:
            wait = self.meter.peek(now, ticket.cost_in(self), ahead) if ticket.deadline < math.inf else 0.0
            if now + wait > ticket.deadline + SLACK:
                late.append((ticket, wait))
            else:
                ahead += ticket.cost_in(self)
        self._refuse(late)

    def _expire(self, now: float) -> None:
        """Refuses those whose deadline has come, and looks at nobody else: the line may be long."""
        late: dict[Ticket, float] = {}
        kept = []
        while self._soonest() <= now + _GRAIN:
            entry = heappop(self._deadlines)
            ticket = entry[2]
            wait = self.meter.peek(now, ticket.cost_in(self), self._cost_before(ticket, late))
            if now + wait > ticket.deadline + SLACK:
                late[ticket] = wait
            else:
                kept.append(entry)  # it may leave at this very instant
        for entry in kept:
            heappush(self._deadlines, entry)
        self._refuse(late.items())

    def _cost_before(self, ticket: Ticket, late: dict[Ticket, float]) -> int:
        """What leaves before a ticket. Who waits longest is late first, so it is not far to the head."""
        ahead = 0
        for other in self.waiting:
            if other is ticket:
                break
            if other not in late:
                ahead += other.cost_in(self)
        return ahead

    def _soonest(self) -> float:
        """The earliest deadline of those who wait."""
        deadlines = self._deadlines
        while deadlines and deadlines[0][2] not in self.waiting:
            heappop(deadlines)
        return deadlines[0][0] if deadlines else math.inf

    def _refuse(self, late: Iterable[tuple[Ticket, float]]) -> None:
        broken: BaseException | None = None
        for ticket, wait in late:
            if ticket in self.waiting:  # a callback may have ended others
                try:
                    ticket.refuse(self, wait)
                except BaseException as error:  # the others must hear it nevertheless
                    broken = broken or error
        self.pump()
        if broken is not None:
            raise broken

    def __repr__(self) -> str:
        return f"RateQueue({self.name!r}, waiting={len(self.waiting)})"

    def _fire(self) -> None:
        self._timer, self._due = None, math.inf
        assert self._clock is not None
        before = self.granted + self.refused
        now = self._clock.now()
        if self._soonest() <= now + _GRAIN:
            self._expire(now)
        self.pump()
        if self._due < math.inf and self.granted + self.refused == before:
            self._arm(EARLY)

    def _arm(self, least: float = 0.0) -> None:
        due = min(self._head_due, self._soonest())
        if due == self._due and not least:
            return
        if self._timer is not None:
            self._timer.cancel()
            self._timer, self._due = None, math.inf
        if due < math.inf:
            assert self._clock is not None
            delay = max(least, due - self._clock.now())
            # Up to whole microseconds, the grain of virtual clocks, so that they do not fire before the time.
            self._timer = self._clock.call_later(math.ceil(delay * 1e6 - SLACK * 1e6) / 1e6, self._fire)
            self._due = due
