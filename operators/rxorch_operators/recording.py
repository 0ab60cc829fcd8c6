"""Recording: what passed at several places of a stream, and when."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, TypeVar

from reactivex import Observable

from .errors import invalid, is_count

if TYPE_CHECKING:
    from .tap_events import StreamEvent

__all__ = ["DemandChange", "RecordedLane", "RecordedPoint", "Recording"]

A = TypeVar("A")
B = TypeVar("B")

ENDS: Final = ("error", "completed", "disposed")


@dataclass(frozen=True, slots=True)
class DemandChange:
    """How many elements a subscription could take from some time on.

    Args:
        at: Seconds, of the clock that the events have.
        credit: Elements that may be sent; zero or less: the source has to wait. None: any number.

    >>> DemandChange(at=0.5, credit=2)
    DemandChange(at=0.5, credit=2)
    """

    at: float
    credit: int | None


@dataclass(frozen=True, slots=True)
class RecordedPoint:
    """A place where a recording listens.

    Args:
        name: What it is called.
        by: What stands between the point before and this one, for people; None if nobody said.
        inner: Whether it is inside of an operator, with one subscription for each of its elements.
        values: Whether the elements are kept.

    >>> RecordedPoint("out", by="debounce(100 ms)").inner
    False
    """

    name: str
    by: str | None = None
    inner: bool = False
    values: bool = True


@dataclass(frozen=True, slots=True)
class RecordedLane:
    """One subscription of a point.

    Args:
        point: Where.
        number: Which subscription of the point, from 1.
        events: What passed, in order, beginning with `subscribed`.
        demand: What could be taken, from the beginning on; empty if that was any number all the time, and for
            inner lanes.
        of: Of an inner lane: the element that it was made for.

    >>> RecordedLane(RecordedPoint("out"), 1, events=()).ended
    False
    """

    point: RecordedPoint
    number: int
    events: tuple[StreamEvent, ...]
    demand: tuple[DemandChange, ...] = ()
    of: Any = None

    @property
    def ended(self) -> bool:
        """Whether it completed, failed or was disposed."""
        return bool(self.events) and self.events[-1].kind in ENDS


@dataclass(slots=True)
class _Lane:
    """A lane while it is being recorded."""

    of: Any
    events: list[StreamEvent] = field(default_factory=list)
    demand: list[DemandChange] = field(default_factory=list)


@dataclass(slots=True)
class Place:
    """A point while it is being recorded; `operators.record` listens for it."""

    point: RecordedPoint
    recording: Recording
    numbers: itertools.count[int] = field(default_factory=lambda: itertools.count(1))
    lanes: dict[int, _Lane] = field(default_factory=dict)

    def note(self, event: StreamEvent, of: Any = None) -> None:
        """Notes what passes, as far as there is room; the end of a lane that is kept always has some."""
        lane = self.lanes.get(event.subscription)
        if lane is None:
            if self.recording._has_room() and event.kind == "subscribed":
                self.lanes[event.subscription] = _Lane(of, [event])
        elif event.kind in ENDS or self.recording._has_room():
            lane.events.append(event)

    def note_demand(self, number: int, at: float, credit: int) -> None:
        """Notes how much may be sent now."""
        lane = self.lanes.get(number)
        if self.recording._has_room() and lane is not None:
            lane.demand.append(DemandChange(at, None if credit >= sys.maxsize else credit))


class Recording:
    """What passed at several places of a stream, and when: the record that `record` makes.

    `rxorch.draw.marbles` draws it. It holds the elements themselves, no copies.

    Args:
        max_events: Events and changes of demand that it keeps, 1 or more: the first ones. What comes later is
            counted in `left_out`; only the end of a subscription whose beginning is there is always kept.

    Raises:
        ValueError: `max_events` is no such number.

    >>> from rxorch_operators import Recording, from_iterable, record
    >>> recording = Recording()
    >>> from_iterable("ab").pipe(record(recording, "letters")).subscribe() and None
    >>> [(event.kind, event.value) for event in recording.lanes[0].events]
    [('subscribed', None), ('next', 'a'), ('next', 'b'), ('completed', None)]
    >>> recording
    <Recording of letters: 4 events>
    """

    def __init__(self, max_events: int = 10_000) -> None:
        if not is_count(max_events):
            raise invalid("max_events", max_events, "give a whole number, 1 or more")
        self.max_events = max_events
        self._places: dict[str, Place] = {}
        self._kept = 0
        self._left_out = 0

    @property
    def points(self) -> tuple[RecordedPoint, ...]:
        """The places where it listens, in the order in which they were made."""
        return tuple(place.point for place in self._places.values())

    @property
    def lanes(self) -> tuple[RecordedLane, ...]:
        """The subscriptions: in the order of the points, then in that of their beginning."""
        return tuple(
            RecordedLane(place.point, number, tuple(lane.events), tuple(lane.demand), lane.of)
            for place in self._places.values()
            for number, lane in place.lanes.items()
        )

    @property
    def events(self) -> tuple[StreamEvent, ...]:
        """What passed at all points, in the order of time; at one instant in the order of `lanes`."""
        return tuple(sorted(self._events(), key=lambda event: event.at))

    @property
    def left_out(self) -> int:
        """How many events and changes of demand there was no room for."""
        return self._left_out

    def inner(
        self,
        project: Callable[[A], Observable[B] | Awaitable[B]],
        name: str | None = None,
        *,
        values: bool = True,
    ) -> Callable[[A], Observable[B]]:
        """The function of a `flat_map_bounded`, or of a stock `flat_map`, with all that it makes recorded.

        Args:
            project: What gives the inner observable or awaitable for one element.
            name: What the inner lanes are called; by default as the function, or "inner".
            values: Whether their elements are kept.

        >>> import asyncio
        >>> from rxorch_operators import flat_map_bounded, from_iterable, last_of
        >>> async def double(number):
        ...     return 2 * number
        >>> recording = Recording()
        >>> doubled = from_iterable([1, 2]).pipe(flat_map_bounded(recording.inner(double), max_concurrent=2))
        >>> asyncio.run(last_of(doubled))
        4
        >>> [(lane.of, lane.events[1].value) for lane in recording.lanes]
        [(1, 2), (2, 4)]
        """
        from .record import recorded_inner

        if not callable(project):
            raise invalid("project", project, "give a function of one element")
        called = getattr(project, "__name__", "inner") if name is None else name
        called = called if isinstance(called, str) and called != "<lambda>" else "inner"
        return recorded_inner(self.place(RecordedPoint(called, inner=True, values=values)), project)

    def place(self, point: RecordedPoint) -> Place:
        """Where to note what passes at a point; points of one name are one."""
        return self._places.setdefault(point.name, Place(point, self))

    def _events(self) -> Iterator[StreamEvent]:
        for place in self._places.values():
            for lane in place.lanes.values():
                yield from lane.events

    def _has_room(self) -> bool:
        """Whether one more is kept; if not, it is counted."""
        if self._kept < self.max_events:
            self._kept += 1
            return True
        self._left_out += 1
        return False

    def __repr__(self) -> str:
        names = ", ".join(self._places) or "nothing yet"
        events = sum(1 for _ in self._events())
        left_out = f", {self._left_out} left out" if self._left_out else ""
        return f"<Recording of {names}: {events} event{'' if events == 1 else 's'}{left_out}>"
