"""Layers from left to right, or from top to bottom, with few crossings.

The method is that of Sugiyama, Tagawa and Toda (1981).

Every arrow leads to a later layer. Where it passes a layer in between, a place is kept free for it there.
Each layer is put in the order of the means of its neighbours' places, back and forth, and the best order is
kept.
"""

from __future__ import annotations

from bisect import bisect_right, insort
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Final

from rxorch.draw.boxes import Drawing, Point, Route, beside
from rxorch.draw.scene import Arrow

__all__ = ["crossings", "layered", "layers_of"]

_MOST: Final = 9
"""Members of a layer; further ones go into the next."""
_SWEEPS: Final = 12
_GAP_X: Final = 64.0
_GAP_Y: Final = 18.0
_GAP_DOWN: Final = 46.0
"""Between layers that lie below each other."""
_GAP_BESIDE: Final = 24.0
_LANE: Final = 10.0
"""Height that is kept free for an arrow that passes."""


@dataclass
class _Net:
    """Members, and after them the places kept free, as numbers: their layers, and who is joined to whom."""

    layers: list[list[int]]
    before: dict[int, list[int]] = field(default_factory=dict)
    after: dict[int, list[int]] = field(default_factory=dict)
    ways: list[list[int]] = field(default_factory=list)

    def join(self, start: int, end: int) -> None:
        self.after.setdefault(start, []).append(end)
        self.before.setdefault(end, []).append(start)


def layered(parts: Sequence[Drawing], arrows: Sequence[Arrow], *, down: bool = False) -> Drawing:
    """Members in layers, with their arrows: from left to right, or from top to bottom.

    Down is the same with both axes exchanged, and what is said here of heights holds of widths then.
    """
    sizes = [(part.height, part.width) if down else (part.width, part.height) for part in parts]
    net = _net(len(parts), arrows)
    _order(net)
    gap_x, gap_y = (_GAP_DOWN, _GAP_BESIDE) if down else (_GAP_X, _GAP_Y)
    heights = {i: high for i, (_, high) in enumerate(sizes)}
    tops = _tops(net, heights, gap_y)
    lefts, widths = _lefts(net, sizes, gap_x)
    placed = [
        part.moved(*_turned((lefts[i], tops[i] - sizes[i][1] / 2), down)) for i, part in enumerate(parts)
    ]
    routes = []
    for arrow, way in zip(arrows, net.ways, strict=True):
        first, last = way[0], way[-1]
        points = [(lefts[first] + sizes[first][0], tops[first])]
        if sizes[first][0] < widths[first]:  # past the wider ones beside it
            points.append((lefts[first] + widths[first], tops[first]))
        for lane in way[1:-1]:
            points += [(lefts[lane], tops[lane]), (lefts[lane] + widths[lane], tops[lane])]
        points.append((lefts[last], tops[last]))
        turned = tuple(_turned(point, down) for point in points)
        routes.append(Route(turned, arrow.label, taken=arrow.taken, down=down))
    width = max(lefts[i] + widths[i] for i in range(len(parts)))
    height = max(tops[i] + heights.get(i, _LANE) / 2 for i in tops)
    return beside(placed, *_turned((width, height), down), tuple(routes), down=down)


def _turned(point: Point, down: bool) -> Point:
    return (point[1], point[0]) if down else point


def layers_of(size: int, arrows: Sequence[Arrow]) -> list[int]:
    """The layer of each member: behind all that lead to it, and in none are too many."""
    before: list[list[int]] = [[] for _ in range(size)]
    after: list[list[int]] = [[] for _ in range(size)]
    for arrow in arrows:
        before[arrow.end].append(arrow.start)
        after[arrow.start].append(arrow.end)
    left = [len(each) for each in before]
    ready = [i for i in range(size) if not left[i]]
    layer = [0] * size
    taken: dict[int, int] = {}
    while ready:
        # Those that something depends on first: what has no dependants may stand further to the right.
        i = min(ready, key=lambda each: (not after[each], each))
        ready.remove(i)
        place = max((layer[j] + 1 for j in before[i]), default=0)
        while taken.get(place, 0) >= _MOST:
            place += 1
        layer[i] = place
        taken[place] = taken.get(place, 0) + 1
        for j in after[i]:
            left[j] -= 1
            if not left[j]:
                ready.append(j)
    return layer


def _net(size: int, arrows: Sequence[Arrow]) -> _Net:
    layer = layers_of(size, arrows)
    net = _Net([[] for _ in range(max(layer) + 1)])
    for i in range(size):
        net.layers[layer[i]].append(i)
    fresh = size
    for arrow in arrows:
        way = [arrow.start]
        for between in range(layer[arrow.start] + 1, layer[arrow.end]):
            net.layers[between].append(fresh)
            way.append(fresh)
            fresh += 1
        way.append(arrow.end)
        for start, end in pairwise(way):
            net.join(start, end)
        net.ways.append(way)
    return net


def _order(net: _Net) -> None:
    best, fewest = [list(layer) for layer in net.layers], crossings(net.layers, net.after)
    for sweep in range(_SWEEPS):
        if not fewest:
            break
        onward = sweep % 2 == 0
        joined = net.before if onward else net.after
        for k in range(1, len(net.layers)) if onward else range(len(net.layers) - 2, -1, -1):
            net.layers[k] = _sorted(net.layers[k], net.layers[k - 1 if onward else k + 1], joined)
        now = crossings(net.layers, net.after)
        if now < fewest:
            best, fewest = [list(layer) for layer in net.layers], now
    net.layers = best


def _sorted(layer: Sequence[int], next_to: Sequence[int], joined: dict[int, list[int]]) -> list[int]:
    place = {i: float(at) for at, i in enumerate(next_to)}
    means = {}
    for at, i in enumerate(layer):
        known = [place[j] for j in joined.get(i, ()) if j in place]
        means[i] = sum(known) / len(known) if known else float(at)
    return sorted(layer, key=means.__getitem__)


def crossings(layers: Sequence[Sequence[int]], after: dict[int, list[int]]) -> int:
    """How many pairs of arrows cross."""
    total = 0
    for upper, lower in pairwise(layers):
        place = {i: at for at, i in enumerate(lower)}
        ends = [at for i in upper for at in sorted(place[j] for j in after.get(i, ()))]
        seen: list[int] = []
        for end in ends:
            total += len(seen) - bisect_right(seen, end)
            insort(seen, end)
    return total


def _tops(net: _Net, heights: dict[int, float], gap_y: float) -> dict[int, float]:
    """The middle of each member and lane, close to those it is joined to."""
    middle: dict[int, float] = {}
    for layer in net.layers:
        y = 0.0
        for i in layer:
            high = heights.get(i, _LANE)
            middle[i] = y + high / 2
            y += high + gap_y
        for i in layer:
            middle[i] -= (y - gap_y) / 2
    for sweep in range(_SWEEPS):
        onward = sweep % 2 == 0
        joined = net.before if onward else net.after
        for layer in net.layers if onward else reversed(net.layers):
            wished = [_level(i, joined, middle) for i in layer]
            middle.update(zip(layer, _apart(layer, wished, heights, gap_y), strict=True))
    return _closed_up(middle, heights, gap_y)


def _closed_up(middle: dict[int, float], heights: dict[int, float], gap_y: float) -> dict[int, float]:
    """From the top edge on, and without strips that are empty from end to end.

    What is joined to nothing is drawn to nobody's height, and may have been left far away.
    """
    found: dict[int, float] = {}
    taken = moved = 0.0
    for i in sorted(middle, key=lambda each: middle[each] - heights.get(each, _LANE) / 2):
        half = heights.get(i, _LANE) / 2
        top = middle[i] - half + moved
        least = taken + gap_y if found else 0.0
        if not found or top > least:
            moved += least - top
            top = least
        found[i] = top + half
        taken = max(taken, top + 2 * half)
    return found


def _level(i: int, joined: dict[int, list[int]], middle: dict[int, float]) -> float:
    others = joined.get(i)
    return middle[i] if not others else sum(middle[j] for j in others) / len(others)


def _apart(
    layer: Sequence[int], wished: Sequence[float], heights: dict[int, float], gap_y: float
) -> list[float]:
    """Places near the wished ones that do not overlap: the mean of pushing down and pushing up."""
    gaps = [(heights.get(a, _LANE) + heights.get(b, _LANE)) / 2 + gap_y for a, b in pairwise(layer)]
    down, up = list(wished), list(wished)
    for k, gap in enumerate(gaps):
        down[k + 1] = max(down[k + 1], down[k] + gap)
    for k in range(len(gaps) - 1, -1, -1):
        up[k] = min(up[k], up[k + 1] - gaps[k])
    return [(a + b) / 2 for a, b in zip(down, up, strict=True)]


def _lefts(net: _Net, sizes: Sequence[Point], gap_x: float) -> tuple[dict[int, float], dict[int, float]]:
    lefts: dict[int, float] = {}
    widths: dict[int, float] = {}
    left = 0.0
    for layer in net.layers:
        wide = max((sizes[i][0] for i in layer if i < len(sizes)), default=_LANE)
        for i in layer:
            lefts[i], widths[i] = left, wide
        left += wide + gap_x
    return lefts, widths
