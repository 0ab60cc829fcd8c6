"""The scene of a recording: rows of marbles and the operators between them, before they have a place."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal, TypeAlias

from rxorch.draw.facts import printable
from rxorch.draw.marble.hues import NEUTRAL, Hues
from rxorch.draw.marble.words import HIDDEN, in_full, in_short, masked
from rxorch_operators import RecordedLane, RecordedPoint, Recording, StreamEvent

__all__ = ["Box", "Ending", "Mark", "Part", "Room", "Row", "Scene", "Span", "scene_of"]

_MOST_ROWS: Final = 8
"""Rows of one point; of more subscriptions several share a row, and what is beyond that is counted."""
_MOST_POINTS: Final = 40

Ending: TypeAlias = Literal["completed", "error", "disposed", "open"]


@dataclass(frozen=True, slots=True)
class Mark:
    """An element.

    Attributes:
        at: Seconds since the beginning, as all times here.
        text: A few letters.
        full: All of it that is shown anywhere.
        hue: Its colour, by number.
        parts: Of a list of elements: the letters and the colour of each.
    """

    at: float
    text: str
    full: str
    hue: int
    parts: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True, slots=True)
class Span:
    """A subscription: from when to when, how it ended, and of an error what was said."""

    start: float
    end: float
    ending: Ending
    hue: int = NEUTRAL
    said: str = ""


@dataclass(frozen=True, slots=True)
class Room:
    """For how many elements there was room; None: for any number."""

    start: float
    end: float
    credit: int | None


@dataclass(frozen=True, slots=True)
class Row:
    """What is drawn on one line."""

    label: str
    spans: tuple[Span, ...]
    marks: tuple[Mark, ...]
    room: tuple[Room, ...] = ()
    inner: bool = False


@dataclass(frozen=True, slots=True)
class Box:
    """An operator between two rows."""

    text: str


Part: TypeAlias = Row | Box


@dataclass(frozen=True, slots=True)
class Scene:
    """All of a picture, from top to bottom."""

    title: str
    notes: tuple[str, ...]
    parts: tuple[Part, ...]
    duration: float

    @property
    def rows(self) -> tuple[Row, ...]:
        """The rows without the operators."""
        return tuple(part for part in self.parts if isinstance(part, Row))


def scene_of(recording: Recording, title: str | None) -> Scene:
    """The scene of all that was recorded."""
    lanes = recording.lanes
    times = [event.at for lane in lanes for event in lane.events]
    times += [change.at for lane in lanes for change in lane.demand]
    start, end = min(times, default=0.0), max(times, default=0.0)
    points, others = recording.points[:_MOST_POINTS], recording.points[_MOST_POINTS:]
    drawn = _Drawn(start, end)
    rows: dict[str, list[Row]] = {point.name: [] for point in points}
    for lane, marks in zip(lanes, drawn.marks_of(lanes), strict=True):
        if lane.point.name in rows:
            rows[lane.point.name].append(drawn.row(lane, marks))
    elements = sum(event.kind == "next" for lane in lanes for event in lane.events)
    notes = [_counted(elements, "element"), _counted(len(lanes), "subscription")]
    if recording.left_out:
        notes.append(f"{recording.left_out:,} events left out")
    if others:
        notes.append(f"{len(others):,} more places")
    return Scene(
        "marbles" if title is None else printable(title),
        tuple(notes),
        tuple(_parts(points, {name: _fewer(name, each) for name, each in rows.items()})),
        end - start,
    )


def _counted(number: int, what: str) -> str:
    return f"{number:,} {what}" if number == 1 else f"{number:,} {what}s"


class _Drawn:
    """From events to marks and rows, by the clock of one recording."""

    def __init__(self, start: float, end: float) -> None:
        self.start = start
        self.end = end
        self.hues = Hues()

    def marks_of(self, lanes: Sequence[RecordedLane]) -> list[list[Mark]]:
        """The marks of each lane; their colours are given in the order of time."""
        marks: list[list[Mark]] = [[] for _ in lanes]
        all_events = (
            (event.at, i, event)
            for i, lane in enumerate(lanes)
            for event in lane.events
            if event.kind == "next"
        )
        for _, i, event in sorted(all_events, key=lambda each: each[:2]):
            marks[i].append(self._mark(event, lanes[i]))
        return marks

    def _mark(self, event: StreamEvent, lane: RecordedLane) -> Mark:
        at = event.at - self.start
        if not lane.point.values:
            return Mark(at, HIDDEN, "not recorded", self.hues.made_for(lane) if lane.point.inner else NEUTRAL)
        value = event.value
        parts = tuple((in_short(each), hue) for each, hue in self.hues.parts(value))
        hue = NEUTRAL if parts else self.hues.of(value, lane)
        return Mark(at, in_short(value), in_full(value), hue, parts)

    def row(self, lane: RecordedLane, marks: Sequence[Mark]) -> Row:
        """The row of one lane."""
        first, last = lane.events[0], lane.events[-1]
        point = lane.point
        span = Span(
            first.at - self.start,
            (last.at if lane.ended else self.end) - self.start,
            last.kind if last.kind in ("completed", "error", "disposed") else "open",
            self.hues.made_for(lane) if point.inner else NEUTRAL,
            "" if last.error is None else in_full(last.error),
        )
        label = masked(printable(point.name))
        label = f"{label} {in_short(lane.of)}" if point.inner and point.values else f"{label} {lane.number}"
        return Row(
            label,
            (span,),
            tuple(marks),
            () if point.inner else self._room(lane, span.end),
            point.inner,
        )

    def _room(self, lane: RecordedLane, end: float) -> tuple[Room, ...]:
        """What could be taken; what held for no time is left out."""
        held: list[Room] = []
        times = [change.at - self.start for change in lane.demand] + [end]
        for change, until in zip(lane.demand, times[1:], strict=True):
            since = change.at - self.start
            if since >= until:
                continue
            if held and _as_much(held[-1].credit, change.credit):
                since = held.pop().start
            held.append(Room(since, until, change.credit))
        return tuple(held)


def _as_much(a: int | None, b: int | None) -> bool:
    """Whether a picture says the same of both: below none there is nothing less."""
    return a == b or (a is not None and b is not None and a <= 0 and b <= 0)


def _fewer(name: str, rows: Sequence[Row]) -> list[Row]:
    """A row for each subscription, or of too many some rows that several share."""
    if not rows:
        return [Row(masked(printable(name)), (), ())]
    if len(rows) == 1:
        (row,) = rows
        return [row if row.inner else replace(row, label=row.label.removesuffix(" 1"))]
    if len(rows) <= _MOST_ROWS:
        return list(rows)
    shared: list[list[Row]] = []
    for row in rows:
        free = next((each for each in shared if each[-1].spans[0].end <= row.spans[0].start), None)
        if free is not None:
            free.append(row)
        elif len(shared) < _MOST_ROWS:
            shared.append([row])
    packed = [_joined(each) for each in shared]
    hidden = len(rows) - sum(len(each) for each in shared)
    if hidden:
        packed[-1] = replace(packed[-1], label=f"{packed[-1].label} (+{hidden})")
    return packed


def _joined(rows: Sequence[Row]) -> Row:
    label = rows[0].label if len(rows) == 1 else f"{rows[0].label} … {rows[-1].label.rpartition(' ')[2]}"
    return Row(
        label,
        tuple(span for row in rows for span in row.spans),
        tuple(mark for row in rows for mark in row.marks),
        inner=rows[0].inner,
    )


def _parts(points: Sequence[RecordedPoint], rows: dict[str, list[Row]]) -> Iterator[Part]:
    """Rows and boxes from top to bottom: an operator stands above the inner streams that it subscribes."""
    inner: list[Row] = []
    for point in points:
        if point.inner:
            inner += rows[point.name]
            continue
        if point.by is not None:
            yield Box(masked(printable(point.by)))
        yield from inner
        yield from rows[point.name]
        inner = []
    yield from inner
