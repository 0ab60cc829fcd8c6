"""Where everything goes: a scene becomes boxes and routes with coordinates, in pixels.

Frames are laid out from the inside out, each by its arrangement:

- `chain`: from left to right, in rows, as text is;
- `grid`: rows of members between which there are no arrows;
- `layers`: by the longest path, few crossings; see `layers`. From left to right, as long as there is room;
  what is longer goes down the page, and a mere sequence goes on in the next row.

A chain with a part that goes down does so itself: a page is scrolled downward.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from rxorch.draw.boxes import Box, Drawing, Route, beside, size_of
from rxorch.draw.layers import layered
from rxorch.draw.scene import Arrow, Frame, Node, Part, Scene

__all__ = ["Placed", "place"]

_ROW: Final = 1080.0
"""Longest row before a chain goes on in the next one."""
_GAP_X: Final = 44.0
_GAP_Y: Final = 18.0
_ROW_GAP: Final = 40.0
_END: Final = 84.0 + _GAP_X
"""Room for the input before something, or the result behind it."""
_PAD: Final = 16.0
_INNER_ROW: Final = _ROW - 2 * (_END + _PAD)
_HEADER: Final = 22.0


@dataclass(frozen=True, slots=True)
class Placed:
    """A scene with a place for everything, from the top left corner."""

    width: float
    height: float
    boxes: tuple[Box, ...]
    frames: tuple[Box, ...]
    routes: tuple[Route, ...]


def place(scene: Scene) -> Placed:
    """Lays a scene out."""
    width = max((size_of(node)[0] for node in _nodes(scene.whole) if node.shape == "call"), default=0.0)
    drawing = _part(scene.whole, width)
    return Placed(drawing.width, drawing.height, drawing.boxes, drawing.frames, drawing.routes)


def _nodes(part: Part) -> list[Node]:
    return [part] if isinstance(part, Node) else [node for member in part.members for node in _nodes(member)]


def _part(part: Part, width: float) -> Drawing:
    if isinstance(part, Node):
        wide, high = size_of(part, width if part.shape == "call" else 0.0)
        return Drawing(wide, high, boxes=(Box(part, 0.0, 0.0, wide, high),))
    inside = _arranged(part, [_part(member, width) for member in part.members])
    return _framed(part, inside) if part.label else inside


def _arranged(frame: Frame, parts: Sequence[Drawing]) -> Drawing:
    if not parts:
        return Drawing(120.0, 0.0)
    if frame.arrangement == "layers":
        return _layers(parts, frame.arrows)
    if frame.arrangement == "grid":
        return _grid(parts)
    goes_down = any(part.down for part in parts)
    return layered(parts, frame.arrows, down=True) if goes_down else _chain(parts, frame.arrows, _ROW)


def _layers(parts: Sequence[Drawing], arrows: Sequence[Arrow]) -> Drawing:
    across = layered(parts, arrows)
    if across.width <= _ROW:
        return across
    ways = {arrow.start: arrow for arrow in arrows}
    if len(arrows) == len(ways) == len({arrow.end for arrow in arrows}) == len(parts) - 1:
        (at,) = set(range(len(parts))) - {arrow.end for arrow in arrows}
        order = [at]
        while at in ways:
            at = ways[at].end
            order.append(at)
        return _chain([parts[i] for i in order], [ways[i] for i in order[:-1]], _INNER_ROW)
    down = layered(parts, arrows, down=True)
    return down if down.width <= max(_ROW, across.width / 2) else across


def _framed(frame: Frame, inside: Drawing) -> Drawing:
    wide = max(inside.width, 7.0 * len(frame.label)) + 2 * _PAD
    high = inside.height + 2 * _PAD + _HEADER
    moved = inside.moved((wide - inside.width) / 2, _PAD + _HEADER)
    box = Box(frame, 0.0, 0.0, wide, high)
    return Drawing(wide, high, moved.boxes, (box, *moved.frames), moved.routes, inside.down)


def _chain(parts: Sequence[Drawing], arrows: Sequence[Arrow], most: float) -> Drawing:
    rows = _rows(parts, most)
    width = max(_length([parts[i] for i in row]) for row in rows)
    placed: list[Drawing] = []
    routes: list[Route] = []
    at: list[tuple[float, float]] = []  # the left end and the middle of each part
    top = 0.0
    for row in rows:
        high = max(parts[i].height for i in row)
        left, middle = 0.0, top + high / 2
        for i in row:
            placed.append(parts[i].moved(left, middle - parts[i].height / 2))
            at.append((left, middle))
            if i:
                end = (at[i - 1][0] + parts[i - 1].width, at[i - 1][1])
                link = _link(end, (left, middle), width, turns=i == row[0], below=top - _ROW_GAP / 2)
                routes.append(replace(link, taken=arrows[i - 1].taken))
            left += parts[i].width + _GAP_X
        top += high + _ROW_GAP
    turned = any(len(route.points) > 2 for route in routes)
    margin = _GAP_X / 2 if turned else 0.0
    drawing = beside(placed, width + 2 * margin, top - _ROW_GAP, tuple(routes))
    return drawing.moved(margin, 0.0) if turned else drawing


def _rows(parts: Sequence[Drawing], most: float) -> list[list[int]]:
    """Which parts stand in which row: in as few rows as there can be, and none longer than that needs."""
    # A large part may still have an end on either side of it.
    enough = max(most, *(part.width + 2 * _END for part in parts))
    rows = _filled(parts, enough)
    too_short = 0.0
    while enough - too_short > 1.0:
        tried = (enough + too_short) / 2
        found = _filled(parts, tried)
        if len(found) > len(rows):
            too_short = tried
        else:
            enough, rows = tried, found
    return rows


def _filled(parts: Sequence[Drawing], most: float) -> list[list[int]]:
    rows: list[list[int]] = [[]]
    left = most
    for i, part in enumerate(parts):
        if rows[-1] and part.width > left:
            rows.append([])
            left = most
        rows[-1].append(i)
        left -= part.width + _GAP_X
    return rows


def _length(parts: Sequence[Drawing]) -> float:
    return sum(part.width for part in parts) + _GAP_X * (len(parts) - 1)


def _link(
    start: tuple[float, float], end: tuple[float, float], width: float, *, turns: bool, below: float
) -> Route:
    if not turns:
        return Route((start, end), straight=True)
    right, left = width + _GAP_X / 2 - 4, -_GAP_X / 2 + 4
    corners = ((right, start[1]), (right, below), (left, below), (left, end[1]))
    return Route((start, *corners, end), straight=True)


def _grid(parts: Sequence[Drawing]) -> Drawing:
    columns = _columns(parts)
    rows = [range(i, min(i + columns, len(parts))) for i in range(0, len(parts), columns)]
    widths = [max(parts[i].width for i in range(c, len(parts), columns)) for c in range(columns)]
    placed: list[Drawing] = []
    top = 0.0
    for row in rows:
        high = max(parts[i].height for i in row)
        for i in row:
            column = i % columns
            left = sum(widths[:column]) + _GAP_Y * column + (widths[column] - parts[i].width) / 2
            placed.append(parts[i].moved(left, top + (high - parts[i].height) / 2))
        top += high + _GAP_Y
    return beside(placed, sum(widths) + _GAP_Y * (columns - 1), top - _GAP_Y, ())


def _columns(parts: Sequence[Drawing]) -> int:
    """A single column for a few, else about as many as make the whole 1.6 times as wide as high."""
    if len(parts) <= 4:
        return 1
    wide = max(part.width for part in parts) + _GAP_Y
    high = sum(part.height for part in parts) / len(parts) + _GAP_Y
    wished = round(math.sqrt(1.6 * len(parts) * high / wide))
    return max(1, min(wished, int(_ROW // wide) or 1, len(parts)))
