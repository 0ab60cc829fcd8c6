"""The line of the critical path in a waterfall: below the bars that are on it, and from row to row."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from rxorch.draw.svg_parts import pixels
from rxorch.draw.timeline.critical import PathPart
from rxorch.draw.timeline.marks import PlaceOf

__all__ = ["PathLine", "path_line"]

_ABOVE: Final = 3.5
"""Pixels between the line and the lower edge of its row."""


@dataclass(frozen=True, slots=True)
class PathLine:
    """Where the line runs, in pixels.

    Attributes:
        ways: The stretches below bars: from, to, height.
        links: The lines between them: from, height there; to, height there. Each goes to the side first.
    """

    ways: tuple[tuple[float, float, float], ...] = ()
    links: tuple[tuple[float, float, float, float], ...] = ()

    def drawn(self) -> Iterator[str]:
        """The line as SVG."""
        if self.links:
            way = "".join(
                f"M{pixels(x)} {pixels(y)}H{pixels(to_x)}V{pixels(to_y)}" for x, y, to_x, to_y in self.links
            )
            yield f'<path class="w-path" d="{way}" stroke-width="1" stroke-dasharray="2 2"/>'
        if self.ways:
            way = "".join(f"M{pixels(left)} {pixels(y)}H{pixels(right)}" for left, right, y in self.ways)
            yield f'<path class="w-path" d="{way}" stroke-width="2"/>'

    def crossing(self, top: float, bottom: float) -> list[float]:
        """Where it goes through a row from above to below or the other way, from left to right."""
        return sorted(x for _, a, x, b in self.links if min(a, b) < bottom and max(a, b) > top)


def path_line(path: Sequence[PathPart], x: PlaceOf, bottoms: Mapping[int, float]) -> PathLine:
    """The line of a path, by the lower edges of the rows of its calls."""
    ways, links = [], []
    before: tuple[float, float] | None = None
    for part in path:
        bottom = None if part.call is None else bottoms.get(part.call.number)
        if bottom is None:
            continue
        y = bottom - _ABOVE
        left, right = x(part.start), x(part.end)
        if before is not None and before[1] != y:
            links.append((*before, left, y))
        ways.append((left, max(right, left + 1), y))
        before = right, y
    return PathLine(tuple(ways), tuple(links))
