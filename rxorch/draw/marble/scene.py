"""The scene of a recording: rows of marbles and the operators between them, before they have a place."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal, TypeAlias

from rxorch.draw.marble.hues import NEUTRAL, Hues
from rxorch.draw.marble.words import HIDDEN, error_name, heading, in_full, in_short
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
    """A subscription: from when to when, and how it ended.

    Attributes:
        start: When it began.
        end: When it ended, or until when it was seen.
        ending: How.
        hue: Its colour, by number.
        word: Of an error: what it is.
        said: Of an error: all that is shown of it anywhere.
    """

    start: float
    end: float
    ending: Ending
    hue: int = NEUTRAL
    word: str = ""
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


def scene_of(recording: Recording, title: str | None, caption: str | None) -> Scene:
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
    notes = [_counted(recording) if caption is None else heading(caption)]
    if recording.left_out:
        notes.append(f"{recording.left_out:,} events left out")
    if others:
        notes.append(f"{len(others):,} more places")
    return Scene(
        "marbles" if title is None else heading(title),
        tuple(notes),
        tuple(_parts(points, {name: _rows(name, each) for name, each in rows.items()})),
        end - start,
    )


def _counted(recording: Recording) -> str:
    number = len(recording.events)
    return f"{number:,} event" if number == 1 else f"{number:,} events"


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
            "" if last.error is None else error_name(last.error),
            "" if last.error is None else in_full(last.error),
        )
        label = heading(point.name)
        label = f"{label} {in_short(lane.of)}" if point.inner and point.values else label
        return Row(
            label,
            (span,),
            tuple(marks),
            () if point.inner else self._room(lane, span.end),
            point.inner,
        )

    def _room(self, lane: RecordedLane, end: float) -> tuple[Room, ...]:
        """What could be taken, if there was ever no room; what held for no time is left out."""
        held: list[Room] = []
        times = [change.at - self.start for change in lane.demand] + [end]
        for change, until in zip(lane.demand, times[1:], strict=True):
            since = change.at - self.start
            if since >= until:
                continue
            if held and _as_much(held[-1].credit, change.credit):
                since = held.pop().start
            held.append(Room(since, until, None if change.credit is None else max(change.credit, 0)))
        return tuple(held) if any(_is_full(room.credit) for room in held) else ()


def _as_much(a: int | None, b: int | None) -> bool:
    """Whether a picture says the same of both: below none there is nothing less."""
    return a == b or (_is_full(a) and _is_full(b))


def _is_full(credit: int | None) -> bool:
    return credit is not None and credit <= 0


def _rows(name: str, lanes: Sequence[Row]) -> list[Row]:
    """The rows of a point: one, if its subscriptions came one after another, else one for each.

    Of many, those that are not there at the same time share one.
    """
    label = heading(name)
    if not lanes:
        return [Row(label, (), ())]
    if lanes[0].inner and len(lanes) <= _MOST_ROWS:
        return list(lanes)
    shared = _shared(lanes)
    if len(shared) == 1:
        return [_joined(label, lanes)]
    if len(lanes) <= _MOST_ROWS:
        shared = [[number] for number in range(len(lanes))]
    rows = [_joined(f"{label} {_numbers(row)}", [lanes[number] for number in row]) for row in shared]
    hidden = len(lanes) - sum(map(len, shared))
    if hidden:
        rows[-1] = replace(rows[-1], label=f"{rows[-1].label} (+{hidden:,})")
    return rows


def _shared(lanes: Sequence[Row]) -> list[list[int]]:
    """Which lanes share a row, for each row; there are no more than so many rows."""
    shared: list[list[int]] = []
    for number, lane in enumerate(lanes):
        start = lane.spans[0].start
        free = next((row for row in shared if lanes[row[-1]].spans[0].end <= start), None)
        if free is not None:
            free.append(number)
        elif len(shared) < _MOST_ROWS:
            shared.append([number])
    return shared


def _numbers(row: Sequence[int]) -> str:
    """Which subscriptions these are, counted from 1."""
    shown = [str(number + 1) for number in row]
    return ", ".join(shown) if len(shown) < 4 else f"{shown[0]} … {shown[-1]}"


def _joined(label: str, lanes: Sequence[Row]) -> Row:
    return Row(
        label,
        tuple(span for lane in lanes for span in lane.spans),
        tuple(mark for lane in lanes for mark in lane.marks),
        tuple(room for lane in lanes for room in lane.room),
        lanes[0].inner,
    )


def _parts(points: Sequence[RecordedPoint], rows: dict[str, list[Row]]) -> Iterator[Part]:
    """Rows and boxes from top to bottom: an operator stands above the inner streams that it subscribes."""
    inner: list[Row] = []
    for point in points:
        if point.inner:
            inner += rows[point.name]
            continue
        if point.by is not None:
            yield Box(heading(point.by))
        yield from inner
        yield from rows[point.name]
        inner = []
    yield from inner
