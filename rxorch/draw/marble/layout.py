"""The places of rows, boxes, marbles and signs in a picture of marbles."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from rxorch.draw.marble.placing import HEIGHT, Placed, levels_of, placed_on
from rxorch.draw.marble.scale import Scale
from rxorch.draw.marble.scene import Row, Scene, Span
from rxorch.draw.words import names_room, text_width

__all__ = ["BOX", "STRIP", "Framed", "Line", "Plan", "plan_of"]

BOX: Final = 32.0
"""Height of an operator."""
STRIP: Final = 12.0
"""Height of the strip that shows the room."""

_LENGTH: Final = 720.0
_BELOW: Final = 4.0
_ROW: Final = 38.0
_AFTER: Final = 30.0
"""Room behind the last time, for signs that moved out of the way."""
_ENDING: Final = 7.0
_SIGN: Final = 6.0
"""From the sign of an end to that of the next beginning."""
_TOO_NEAR: Final = 3.0


@dataclass(frozen=True, slots=True)
class Line:
    """A row with its place.

    Attributes:
        row: What it shows.
        level: Where its line is, from above.
        placed: Its marbles.
        spans: Its subscriptions, with the places of the signs for beginning and end: beside what is there.
        strip: Where the strip for the room begins.
    """

    row: Row
    level: float
    placed: tuple[Placed, ...]
    spans: tuple[tuple[Span, float, float], ...]
    strip: float


@dataclass(frozen=True, slots=True)
class Framed:
    """An operator with its place."""

    text: str
    y: float


@dataclass(frozen=True, slots=True)
class Plan:
    """All of it.

    Attributes:
        left: Where time begins.
        scale: Where times are, from there.
        laid: From top to bottom.
        axis: Where the rows end and the axis is.
        signs: What needs an explanation.
        width: Of all.
        height: Of all.
    """

    left: float
    scale: Scale
    laid: tuple[Line | Framed, ...]
    axis: float
    signs: tuple[str, ...]
    width: float
    height: float


def plan_of(scene: Scene) -> Plan:
    """Where everything goes."""
    rows = scene.rows
    widths = [text_width(row.label, 12.5) * 1.06 + (14 if row.inner else 0) for row in rows]
    left = names_room(widths) + 18
    scale = Scale(scene.duration, _LENGTH)
    laid: list[Line | Framed] = []
    y = 0.0
    for part in scene.parts:
        if isinstance(part, Row):
            line = _line(part, y, scale)
            y = line.strip + (STRIP + _BELOW if part.room else 0.0)
            laid.append(line)
        else:
            laid.append(Framed(part.text, y + 6))
            y += BOX + 12
    axis = y + 4
    return Plan(left, scale, tuple(laid), axis, tuple(_signs(rows)), left + _LENGTH + _AFTER, axis + 42)


def _line(row: Row, top: float, scale: Scale) -> Line:
    placed = placed_on(row.marks, scale.at)
    level = top + _ROW / 2 + levels_of(placed) * (HEIGHT + 2)
    return Line(row, level, tuple(placed), tuple(_spans(row, placed, scale)), level + _ROW / 2)


def _spans(row: Row, placed: Sequence[Placed], scale: Scale) -> Iterator[tuple[Span, float, float]]:
    before = float("-inf")
    for span in sorted(row.spans, key=lambda span: span.start):
        start, end = scale.at(span.start), _beside(span, placed, scale)
        if end - before < _TOO_NEAR and span.ending != "error":
            continue  # it would cover the one before, and has nothing else to tell
        if start < before + _SIGN < scale.at(span.end):
            start = before + _SIGN
        before = end
        yield span, start, end


def _beside(span: Span, placed: Sequence[Placed], scale: Scale) -> float:
    """Where the sign of an end is: at its time, or right of the marble that is there."""
    x = scale.at(span.end)
    for each in placed:
        if each.level == 0 and each.marks[0].at <= span.end and x < each.x + each.width / 2 + _ENDING:
            x = each.x + each.width / 2 + _ENDING
    return x


def _signs(rows: Sequence[Row]) -> Iterator[str]:
    endings = {span.ending for row in rows for span in row.spans}
    yield "subscribed"
    names = (("completed", "completed"), ("error", "error"), ("disposed", "disposed"), ("open", "goes on"))
    yield from (name for kind, name in names if kind in endings)
    credits = [room.credit for row in rows for room in row.room]
    if any(credit is None or credit > 0 for credit in credits):
        yield "room"
    if any(credit is not None and credit <= 0 for credit in credits):
        yield "no room"
