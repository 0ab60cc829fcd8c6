"""Curves: which share of calls gave a value within which time."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from rxorch.draw.svg_parts import HEAD, MARGIN, label, pixels, sheet
from rxorch_operators._seconds import seconds_words

__all__ = ["Curve", "curves_svg"]

_WIDTH: Final = 640.0
_HEIGHT: Final = 260.0
_LEFT: Final = 58.0
_LEGEND: Final = 20.0
_LEAST: Final = 1e-4
_MOST_POINTS: Final = 400
_WIDE: Final = 2.5
"""Powers of ten, beyond which only these are marked."""

_COLOURS: Final = 5
_DASHES: Final = ("2 4", "6 4")
"""Of what was recorded, and of its replay; policies that were tried have whole lines."""


@dataclass(frozen=True, slots=True)
class Curve:
    """The calls under one policy.

    Attributes:
        name: Of the policy.
        durations: Seconds of the calls that gave a value, from the shortest to the longest.
        calls: How many there were.
    """

    name: str
    durations: Sequence[float]
    calls: int


def curves_svg(title: str, curves: Sequence[Curve]) -> str:
    """A curve for each policy: the higher, the more calls gave a value; the further left, the sooner."""
    times = [curve.durations for curve in curves if curve.durations]
    first = max(_LEAST, min((each[0] for each in times), default=_LEAST))
    last = max(first * 1.01, max((each[-1] for each in times), default=1.0))
    scale = _Scale(math.log10(first), math.log10(last))
    drawn = (line for place, each in enumerate(curves) for line in _drawn(each, place, scale))
    body = [*_axes(scale), *drawn]
    height = HEAD + _HEIGHT + 54.0 + _LEGEND * len(curves) + MARGIN
    below = "share of the calls that gave a value within a time; the time in powers of ten"
    return sheet(title, below, _LEFT + _WIDTH + MARGIN, height, body)


@dataclass(frozen=True, slots=True)
class _Scale:
    """From seconds and shares to places. Between the ends of the axis, in logarithms of seconds."""

    first: float
    last: float

    def x(self, seconds: float) -> float:
        share = (math.log10(max(seconds, _LEAST)) - self.first) / (self.last - self.first)
        return _LEFT + _WIDTH * min(max(share, 0.0), 1.0)

    def y(self, share: float) -> float:
        return HEAD + 18.0 + _HEIGHT * (1.0 - share)


def _axes(scale: _Scale) -> Iterator[str]:
    for quarter in range(5):
        y = scale.y(quarter / 4)
        yield _line(_LEFT, y, _LEFT + _WIDTH, y)
        yield label(_LEFT - 8.0, y + 4.0, f"{25 * quarter} %", "m", size=11, anchor="end")
    for power in range(math.floor(scale.first), math.floor(scale.last) + 1):
        for factor in (1, 2, 5):
            seconds = factor * 10.0**power
            if scale.last - scale.first > _WIDE and factor != 1:
                continue
            if scale.first <= math.log10(seconds) <= scale.last:
                x = scale.x(seconds)
                yield _line(x, scale.y(0.0), x, scale.y(0.0) + 5.0)
                yield label(x, scale.y(0.0) + 19.0, seconds_words(seconds, exact=True), "m", size=11)


def _line(x: float, y: float, to_x: float, to_y: float) -> str:
    ends = f"M{pixels(x)} {pixels(y)}L{pixels(to_x)} {pixels(to_y)}"
    return f'<path class="wire" stroke-opacity="0.35" d="{ends}"/>'


def _drawn(curve: Curve, place: int, scale: _Scale) -> Iterator[str]:
    dash = f' stroke-dasharray="{_DASHES[place]}"' if place < len(_DASHES) else ""
    name = "c0" if place < len(_DASHES) else f"c{(place - len(_DASHES)) % _COLOURS + 1}"
    if curve.durations and curve.calls:
        yield f'<path class="{name}" stroke-width="2"{dash} d="{_path(curve, scale)}"/>'
    y = scale.y(0.0) + 44.0 + _LEGEND * place
    yield f'<path class="{name}" stroke-width="2"{dash} d="M{pixels(_LEFT)} {pixels(y)}h28"/>'
    share = len(curve.durations) / curve.calls if curve.calls else 0.0
    yield label(_LEFT + 38.0, y + 4.0, f"{curve.name}: {share:.1%}", "t", size=12, anchor="start")


def _path(curve: Curve, scale: _Scale) -> str:
    """Steps, from the first value to the right edge; of many only some are drawn."""
    durations, calls = curve.durations, curve.calls
    every = max(1, len(durations) // _MOST_POINTS)
    places = (*range(every - 1, len(durations) - 1, every), len(durations) - 1)
    steps = (f"H{pixels(scale.x(durations[at]))}V{pixels(scale.y((at + 1) / calls))}" for at in places)
    return f"M{pixels(scale.x(durations[0]))} {pixels(scale.y(0.0))}{''.join(steps)}H{pixels(_LEFT + _WIDTH)}"
