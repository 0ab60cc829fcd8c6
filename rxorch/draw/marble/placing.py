"""Where marbles go: side by side, above each other where there is no room, or as one that counts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from rxorch.draw.marble.hues import NEUTRAL
from rxorch.draw.marble.scene import Mark
from rxorch.draw.marble.words import TIMES
from rxorch.draw.words import BOLD, text_width

__all__ = ["HEIGHT", "LEVELS", "Placed", "levels_of", "placed_on"]

HEIGHT: Final = 24.0
"""Of a marble."""
LEVELS: Final = 3
"""Marbles above each other."""

_WIDEST: Final = 84.0
_GAP: Final = 2.0
_LISTED: Final = 12
_MOST_PARTS: Final = 5


@dataclass(frozen=True, slots=True)
class Placed:
    """A marble, or several in one, with its place.

    Attributes:
        marks: The elements that it stands for.
        x: Its middle.
        width: Its width.
        level: How many marbles are between it and the line.
        first: Where the first of its elements belongs.
        last: Where the last one does.
    """

    marks: tuple[Mark, ...]
    x: float
    width: float
    level: int = 0
    first: float = 0.0
    last: float = 0.0

    @property
    def text(self) -> str:
        """What stands in it."""
        return self.marks[0].text if len(self.marks) == 1 else f"{TIMES}{len(self.marks)}"

    @property
    def hue(self) -> int:
        """Its colour."""
        hues = {mark.hue for mark in self.marks}
        return hues.pop() if len(hues) == 1 else NEUTRAL

    @property
    def parts(self) -> tuple[tuple[str, int], ...]:
        """Of a list of elements that fits: letters and colour of each."""
        return _parts(self.marks[0]) if len(self.marks) == 1 else ()

    @property
    def full(self) -> str:
        """All that is said of it."""
        told = [mark.full for mark in self.marks[:_LISTED]]
        more = len(self.marks) - len(told)
        return ", ".join([*told, f"and {more} more"] if more else told)


def placed_on(marks: Sequence[Mark], at: Callable[[float], float]) -> list[Placed]:
    """The marbles of a line, from left to right."""
    single = [_alone(mark, at(mark.at)) for mark in sorted(marks, key=lambda mark: mark.at)]
    stacked = _stacked(single)
    return _grouped(single) if stacked is None else stacked


def levels_of(placed: Sequence[Placed]) -> int:
    """How high they are stacked."""
    return max((each.level for each in placed), default=0)


def _alone(mark: Mark, x: float) -> Placed:
    return Placed((mark,), x, _width(mark), first=x, last=x)


def _parts(mark: Mark) -> tuple[tuple[str, int], ...]:
    return mark.parts if 0 < len(mark.parts) <= _MOST_PARTS else ()


def _width(mark: Mark) -> float:
    if parts := _parts(mark):
        return sum(max(HEIGHT - 4, text_width(text, 10) + 8) for text, _ in parts) + 6
    return min(max(HEIGHT, text_width(mark.text, 10.5) * BOLD + 12), _WIDEST)


def _stacked(single: Sequence[Placed]) -> list[Placed] | None:
    """Each on the lowest level where there is room; None if there is none for one of them."""
    right = [float("-inf")] * LEVELS
    stacked = []
    for each in single:
        left = each.x - each.width / 2
        level = next((i for i, taken in enumerate(right) if taken + _GAP <= left), None)
        if level is None:
            return None
        right[level] = each.x + each.width / 2
        stacked.append(replace(each, level=level))
    return stacked


def _grouped(single: Sequence[Placed]) -> list[Placed]:
    """Those that would cover each other are one, which tells how many they are."""
    apart: list[Placed] = []
    for each in single:
        while apart and each.x - each.width / 2 < apart[-1].x + apart[-1].width / 2 + _GAP:
            each = _together(apart.pop(), each)
        apart.append(each)
    return apart


def _together(a: Placed, b: Placed) -> Placed:
    marks = a.marks + b.marks
    width = max(HEIGHT, text_width(f"{TIMES}{len(marks)}", 10.5) * BOLD + 14)
    return Placed(marks, (a.first + b.last) / 2, width, first=a.first, last=b.last)
