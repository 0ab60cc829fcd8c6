"""What the bars and marks of a waterfall mean: only those that are in it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from rxorch.draw.svg_parts import label, pixels
from rxorch.draw.timeline.look import DOTS, FILLS, WORDS
from rxorch.draw.timeline.marks import breaker_mark, cache_mark, dotted, hedge_mark, substitute_mark
from rxorch.draw.timeline.records import ATTEMPTS, SegmentKind, Timeline
from rxorch.draw.words import text_width

__all__ = ["kinds_of", "legend"]

_LINE: Final = 22.0
_SIGN: Final = 18.0


def kinds_of(timeline: Timeline) -> list[SegmentKind]:
    """The kinds that are in a timeline, in the order of a legend."""
    there = {part.kind for call in timeline.calls for part in call.segments}
    return [kind for kind in WORDS if kind in there and kind is not SegmentKind.WORK]


def _signs(timeline: Timeline, grouped: bool) -> Iterator[tuple[str, str]]:
    """Each sign, drawn at the origin, with its word."""
    if grouped:
        yield _box('class="w-ok"', 12), "in flight"
        yield _box('class="w-timeout"', 12), "goes wrong"
        yield _box('fill="url(#backoff)"', 12), "waiting"
        if SegmentKind.FAILED in kinds_of(timeline):
            yield _box(FILLS[SegmentKind.FAILED], 12), "one failed attempt"
    else:
        for kind in kinds_of(timeline):
            drawn = (
                dotted(kind, 1, 13, -4) if kind in DOTS else _box(FILLS[kind], 12 if kind in ATTEMPTS else 8)
            )
            yield drawn, WORDS[kind]
    if any(call.hedge for call in timeline.calls):
        yield hedge_mark(10, -8), "hedge"
    if any(call.cached for call in timeline.calls):
        yield cache_mark(7, -4), "cache"
    if any(call.degraded for call in timeline.calls):
        yield substitute_mark(7, -4), "fallback"
    if any(call.note == "circuit open" for call in timeline.calls):
        yield breaker_mark(7, -4), "circuit open"
    yield '<path class="w-path" d="M0 -4H14" stroke-width="2"/>', "critical path"


def _box(fill: str, height: int) -> str:
    return f'<rect {fill} y="{pixels(-4 - height / 2)}" width="14" height="{height}" rx="2"/>'


def legend(
    timeline: Timeline, grouped: bool, left: float, top: float, right: float
) -> tuple[list[str], float]:
    """The signs with their words in lines from `left` to `right`; and where the last line ends."""
    shown, x, y = [], left, top
    for sign, words in _signs(timeline, grouped):
        wide = _SIGN + text_width(words, 11) + 20
        if x + wide > right and x > left:
            x, y = left, y + _LINE
        shown.append(f'<g transform="translate({pixels(x)} {pixels(y)})">{sign}</g>')
        shown.append(label(x + _SIGN + 2, y, words, "m", size=11, anchor="start"))
        x += wide
    return shown, y
