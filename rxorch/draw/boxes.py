"""Boxes, routes, and drawings that are made of them and can be moved as one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from rxorch.draw.scene import Frame, Node
from rxorch.draw.words import bare, text_width

__all__ = [
    "CHIP_HEIGHT",
    "NARROWEST",
    "RESULT_LINE",
    "WIDEST",
    "Box",
    "Drawing",
    "Point",
    "Route",
    "beside",
    "chip_rows",
    "result_height",
    "size_of",
]

NARROWEST: Final = 148.0
WIDEST: Final = 232.0
CHIP_HEIGHT: Final = 19.0
RESULT_LINE: Final = 15.0
_CHIP_GAP: Final = 5.0
_SIDE: Final = 12.0

Point = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Box:
    """A node or a frame with its place: left, top, width, height."""

    part: Node | Frame
    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True, slots=True)
class Route:
    """The way of an arrow.

    `straight`: with corners; otherwise a curve through the points, which leaves and arrives level, or upright
    where it leads `down`.
    """

    points: tuple[Point, ...]
    label: str = ""
    straight: bool = False
    taken: bool = True
    down: bool = False


@dataclass(frozen=True, slots=True)
class Drawing:
    """A part of the picture, from (0, 0) to its width and height. `down`: it is read from top to bottom."""

    width: float
    height: float
    boxes: tuple[Box, ...] = ()
    frames: tuple[Box, ...] = ()
    routes: tuple[Route, ...] = ()
    down: bool = False

    def moved(self, x: float, y: float) -> Drawing:
        """The same at another place; its size stays what it is."""
        return Drawing(
            self.width,
            self.height,
            tuple(replace(box, x=box.x + x, y=box.y + y) for box in self.boxes),
            tuple(replace(box, x=box.x + x, y=box.y + y) for box in self.frames),
            tuple(
                replace(route, points=tuple((px + x, py + y) for px, py in route.points))
                for route in self.routes
            ),
            self.down,
        )


def beside(
    parts: Sequence[Drawing],
    width: float,
    height: float,
    routes: tuple[Route, ...],
    *,
    down: bool = False,
) -> Drawing:
    """One drawing of several that have their places already."""
    return Drawing(
        width,
        height,
        tuple(box for part in parts for box in part.boxes),
        tuple(box for part in parts for box in part.frames),
        (*routes, *(route for part in parts for route in part.routes)),
        down,
    )


def size_of(node: Node, width: float = 0.0) -> Point:
    """Width and height of a node, at least so wide."""
    facts = node.facts
    if facts is None:
        wide = min(WIDEST, text_width(node.title, 13)) + 36
        return (max(84.0, wide), 38.0) if node.shape == "end" else (max(110.0, wide + 24), 46.0)
    texts = [
        text_width(node.title, 13.5) * 1.06 + 2 * _SIDE,
        text_width(f"{facts.method} {bare(facts.url)}", 10.5, mono=True) + 2 * _SIDE,
        *(chip_width(chip) + 2 * _SIDE for chip in chips_of(node)),
        *(text_width(line, 10.5) + 2 * _SIDE for line in (node.result.lines if node.result else ())),
    ]
    wide = max(width, min(WIDEST, max(NARROWEST, *texts)))
    rows = len(chip_rows(node, wide))
    return wide, 48.0 + (rows * (CHIP_HEIGHT + 4) + 4 if rows else 0) + result_height(node)


def result_height(node: Node) -> float:
    """Height of the lines with what has become of a node."""
    return RESULT_LINE * len(node.result.lines) + 10 if node.result else 0.0


def chips_of(node: Node) -> list[str]:
    """The chips of a node; the first one is its condition, if it has one."""
    facts = node.facts
    if facts is None:
        return []
    return [f"if {facts.condition}", *facts.chips] if facts.condition is not None else list(facts.chips)


def chip_width(chip: str) -> float:
    """Width of a chip with its text."""
    return min(text_width(chip, 10.5) + 14, WIDEST - 2 * _SIDE)


def chip_rows(node: Node, width: float) -> list[list[tuple[str, float, float]]]:
    """The chips of a node in rows: text, left end within the node, width. Each row is centred."""
    rows: list[list[tuple[str, float]]] = []
    used = 0.0
    for chip in chips_of(node):
        wide = chip_width(chip)
        if not rows or used + wide > width - 2 * _SIDE:
            rows.append([])
            used = 0.0
        rows[-1].append((chip, wide))
        used += wide + _CHIP_GAP
    return [_centred(row, width) for row in rows]


def _centred(row: Sequence[tuple[str, float]], width: float) -> list[tuple[str, float, float]]:
    left = (width - sum(wide for _, wide in row) - _CHIP_GAP * (len(row) - 1)) / 2
    placed = []
    for chip, wide in row:
        placed.append((chip, left, wide))
        left += wide + _CHIP_GAP
    return placed
