"""Bars and marks of one row."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from typing import Final, TypeAlias

from rxorch.draw.svg_parts import label, pixels
from rxorch.draw.timeline.look import DOTS, FILLS
from rxorch.draw.timeline.records import ATTEMPTS, CallRecord, Segment, SegmentKind
from rxorch.draw.words import fitted, text_width

__all__ = [
    "PlaceOf",
    "bars",
    "breaker_mark",
    "cache_mark",
    "dotted",
    "hedge_mark",
    "marks",
    "substitute_mark",
]

PlaceOf: TypeAlias = Callable[[float], float]
"""From a time of the clock to pixels."""

_BAR: Final = 16.0
_WAIT: Final = 8.0
_LANE: Final = 9.0
_THIN: Final = 2.0
"""Pixels that an attempt has at least; and those below which a wait is not worth drawing."""
_NOTE: Final = 10.5
_LONGEST: Final = 420.0
_BESIDE: Final = 6.0
"""Words in a row: their size, their most pixels where there is little room, how far they keep from lines."""


def bars(calls: Sequence[CallRecord], x: PlaceOf, top: float, height: float) -> Iterator[str]:
    """The segments of a call and of its hedges; each has a lane of the row."""
    middle = top + height / 2
    if len(calls) == 1:
        yield from _lane(calls[0], x, middle - 1, _BAR)
        return
    first = middle - _LANE * len(calls) / 2
    for lane, call in enumerate(calls):
        yield from _lane(call, x, first + lane * _LANE + _LANE / 2 - 0.5, _LANE - 1)


def _lane(call: CallRecord, x: PlaceOf, middle: float, height: float) -> Iterator[str]:
    for segment in call.segments:
        yield from _segment(segment, x, middle, height)


def _segment(segment: Segment, x: PlaceOf, middle: float, height: float) -> Iterator[str]:
    left, right = x(segment.start), x(segment.end)
    attempt = segment.kind in ATTEMPTS
    if right - left < _THIN and not attempt:
        return
    if segment.kind in DOTS:
        yield dotted(segment.kind, left + 2, right - 2, middle)
        return
    wide = max(right - left, _THIN)
    high = height if attempt else 2.0 if segment.kind is SegmentKind.WORK else min(_WAIT, height - 2)
    place = (
        f'x="{pixels(left)}" y="{pixels(middle - high / 2)}" width="{pixels(wide)}" height="{pixels(high)}"'
    )
    rounded = ' rx="2"' if attempt and wide > 4 else ""
    yield f"<rect {FILLS[segment.kind]} {place}{rounded}/>"
    note = segment.note
    if segment.kind in (SegmentKind.OK, SegmentKind.RUNNING) or not attempt or height < 12 or not note:
        return
    if text_width(note, 10.5) + 8 <= wide:
        yield label(left + wide / 2, middle + 3.7, note, f"w-{segment.kind}-ink", size=10.5, weight=600)


def dotted(kind: SegmentKind, left: float, right: float, middle: float) -> str:
    """A wait as lines of dots or dashes."""
    dashes, offsets = DOTS[kind]
    way = "".join(f"M{pixels(left)} {pixels(middle + offset)}H{pixels(right)}" for offset in offsets)
    return (
        f'<path class="w-dots" d="{way}" stroke-width="1.8" stroke-linecap="round" '
        f'stroke-dasharray="{dashes}"/>'
    )


def marks(
    calls: Sequence[CallRecord],
    x: PlaceOf,
    top: float,
    height: float,
    room: tuple[float, float],
    crossed: Sequence[float] = (),
) -> Iterator[str]:
    """Hedges, values from the cache, substitutes, refusals, and why a step was skipped.

    Args:
        calls: The call of the row and its hedges.
        x: From times to pixels.
        top: The upper edge of the row.
        height: Its height.
        room: Where the room for marks begins and ends.
        crossed: Where lines go through the row from above to below, from left to right.
    """
    first, middle = calls[0], top + height / 2
    if first.status == "skipped":
        yield _reason(first.note, x(first.began), middle + 3.7, room, crossed)
        return
    for hedge in calls[1:]:
        yield hedge_mark(x(hedge.began), middle)
    end = x(first.end)
    if first.cached and first.status == "ok":
        yield cache_mark(end, middle - 1)
    elif first.degraded:
        yield substitute_mark(end, middle - 1)
    elif first.note == "circuit open":
        yield breaker_mark(end, middle - 1)


def _reason(note: str, at: float, y: float, room: tuple[float, float], crossed: Sequence[float]) -> str:
    """Why a step was skipped: as near to the time of it as the words touch no line and no edge."""
    edges = [room[0] - _BESIDE, *crossed, room[1] + _BESIDE]
    gaps = [(left + _BESIDE, right - _BESIDE) for left, right in pairwise(edges)]
    widest = max(right - left for left, right in gaps)
    if text_width(note, _NOTE) > min(room[1] - at, widest):
        note = fitted(note, min(_LONGEST, widest), _NOTE)
    wide = text_width(note, _NOTE)
    places = [max(left, min(at, right - wide)) for left, right in gaps if right - left >= wide - 0.01]
    left = min(places, key=lambda each: abs(each - at), default=at)
    if left < at:  # it ends where it has to: how wide it is on a screen is only about known
        return label(left + wide, y, note, "m", size=_NOTE, anchor="end")
    return label(left, y, note, "m", size=_NOTE, anchor="start")


def hedge_mark(x: float, middle: float) -> str:
    """A pointer to where a hedge was sent."""
    return f'<path class="t" d="M{pixels(x - 7)} {pixels(middle + 1)}l5 3.5l-5 3.5z"/>'


def cache_mark(x: float, middle: float) -> str:
    """A point: a value from the cache."""
    return f'<circle class="w-cache" cx="{pixels(x)}" cy="{pixels(middle)}" r="5" stroke-width="1"/>'


def breaker_mark(x: float, middle: float) -> str:
    """A point: the circuit breaker let nothing through."""
    return f'<circle class="w-breaker" cx="{pixels(x)}" cy="{pixels(middle)}" r="5" stroke-width="1"/>'


def substitute_mark(x: float, middle: float) -> str:
    """A lozenge: a substitute."""
    return (
        f'<path class="w-substitute" d="M{pixels(x - 6)} {pixels(middle)}l6 -6l6 6l-6 6z" stroke-width="1"/>'
    )
