"""A waterfall as SVG."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from rxorch.draw.svg_parts import HEAD, MARGIN, escaped, label, pixels, sheet
from rxorch.draw.theme import MONO, Scheme, style_sheet
from rxorch.draw.timeline.axis import Axis, Break
from rxorch.draw.timeline.critical import PathPart
from rxorch.draw.timeline.legend import legend
from rxorch.draw.timeline.look import DEFS, PALETTE
from rxorch.draw.timeline.marks import bars, marks
from rxorch.draw.timeline.path_line import PathLine, path_line
from rxorch.draw.timeline.records import SegmentKind, Timeline
from rxorch.draw.timeline.rows import AnyRow, Density, GroupRow, Heading, Row, Rows
from rxorch.draw.words import fitted, names_room, text_width
from rxorch_operators._seconds import seconds_words

__all__ = ["svg_of"]

_WIDTH: Final = 960.0
_OUTCOME: Final = 196.0
_AXIS: Final = 22.0
_ROW: Final = 30.0
_GROUP: Final = 38.0
_HEADING: Final = 26.0
_CUT: Final = 26.0
_EDGE: Final = 7.0
_TICK: Final = 74.0
_BINS: Final = 150
_TOUCHING: Final = 2.0
"""Stretches of the critical path so near to each other are one."""


class _Sheet:
    """The measures of one picture."""

    def __init__(self, timeline: Timeline, rows: Rows, path: Sequence[PathPart]) -> None:
        names = [row.name for row in rows.rows if not isinstance(row, Heading)]
        self.names = names_room(text_width(name, 12.5, mono=True) for name in names)
        self.rows = rows
        self.path = path
        self.left = MARGIN + 10 + self.names + 18
        self.axis = Axis(timeline, _WIDTH - MARGIN - _OUTCOME - self.left, _CUT)
        self.top = MARGIN + HEAD + _AXIS
        self.tops = [self.top]
        for row in rows.rows:
            self.tops.append(self.tops[-1] + height_of(row))
        self.bottom = self.tops[-1]
        self.cuts = [edge for each in self.axis.breaks for edge in self.edges(each)]

    def x(self, seconds: float) -> float:
        """The place of a time."""
        return self.left + self.axis.at(seconds)

    def edges(self, cut: Break) -> tuple[float, float]:
        """The lines to the left and the right of time that is left out."""
        return self.left + cut.left + _EDGE, self.left + cut.right - _EDGE


def height_of(row: AnyRow) -> float:
    """How high a row is."""
    if isinstance(row, Heading):
        return _HEADING
    return _GROUP if isinstance(row, GroupRow) else _ROW + 9.0 * max(0, len(row.calls) - 2)


def svg_of(
    timeline: Timeline,
    rows: Rows,
    path: Sequence[PathPart],
    title: str,
    below: str,
    scheme: Scheme | None,
) -> str:
    """The SVG of a timeline with these rows and this critical path."""
    page = _Sheet(timeline, rows, path)
    line = PathLine()
    if not rows.grouped:
        bottoms = {call.number: top + height_of(row) for row, top in _with_tops(page) for call in row.calls}
        line = path_line(path, page.x, bottoms)
    body = [*_stripes(page), *_grid(page), *_path_row(page)]
    for row, top in zip(rows.rows, page.tops, strict=False):
        body += _row(page, row, top, line)
    body += [*line.drawn(), *_breaks(page)]
    signs, bottom = legend(timeline, rows.grouped, MARGIN + 10, page.bottom + 30, _WIDTH - MARGIN)
    body += signs
    style = style_sheet(PALETTE, scheme)
    return sheet(title, below, _WIDTH, bottom + MARGIN, body, style=style, defs=DEFS)


def _with_tops(page: _Sheet) -> Iterator[tuple[Row, float]]:
    for row, top in zip(page.rows.rows, page.tops, strict=False):
        if isinstance(row, Row):
            yield row, top


def _stripes(page: _Sheet) -> Iterator[str]:
    shown = False
    for row, top in zip(page.rows.rows, page.tops, strict=False):
        shown = False if isinstance(row, Heading) else not shown
        if shown:
            yield (
                f'<rect class="w-zebra" x="{pixels(MARGIN)}" y="{pixels(top)}" rx="4" '
                f'width="{pixels(_WIDTH - 2 * MARGIN)}" height="{pixels(height_of(row))}"/>'
            )


def _grid(page: _Sheet) -> Iterator[str]:
    for place, words in page.axis.ticks(_TICK):
        x = pixels(page.left + place)
        yield label(page.left + place, page.top - 10, words, "m", size=10.5)
        way = f"M{x} {pixels(page.top - 4)}V{pixels(page.bottom)}"
        yield f'<path class="w-grid" d="{way}" stroke-width="1"/>'


def _path_row(page: _Sheet) -> Iterator[str]:
    """Where calls share rows, the critical path is drawn along the axis."""
    if not page.rows.grouped:
        return
    stretches: list[tuple[float, float]] = []
    for part in page.path:
        if part.call is None:
            continue
        left, right = page.x(part.start), page.x(part.end)
        if stretches and left - stretches[-1][1] < _TOUCHING:
            left = stretches.pop()[0]
        stretches.append((left, right))
    if stretches:
        way = "".join(f"M{pixels(left)} {pixels(page.top - 3)}H{pixels(right)}" for left, right in stretches)
        yield f'<path class="w-path" d="{way}" stroke-width="2"/>'


def _row(page: _Sheet, row: AnyRow, top: float, line: PathLine) -> Iterator[str]:
    if isinstance(row, Heading):
        yield label(MARGIN + 10, top + 18, row.text, "m", size=11, weight=600, anchor="start")
        return
    middle = top + height_of(row) / 2
    yield f"<g><title>{escaped(_told(row))}</title>"
    name = fitted(row.name, page.names + 4, 12.5, mono=True)
    yield (
        f'<text class="t" x="{pixels(MARGIN + 10)}" y="{pixels(middle + 4)}" font-size="12.5" '
        f'font-family="{MONO}">{escaped(name)}</text>'
    )
    if isinstance(row, GroupRow):
        yield from _strip(page, row, top)
    else:
        high, room = height_of(row), (page.left, page.left + page.axis.length)
        yield from bars(row.calls, page.x, top, high)
        crossed = sorted([*line.crossing(top, top + high), *page.cuts])
        yield from marks(row.calls, page.x, top, high, room, crossed)
    yield from _outcome(row, middle)
    yield "</g>"


def _told(row: Row | GroupRow) -> str:
    """What a tooltip says."""
    if isinstance(row, GroupRow):
        return f"{row.name}: {len(row.calls):,} calls, {row.lost:,} failed, {row.facts}"
    _, word = row.outcome
    parts = [f"{row.name}: {word} {row.facts}".strip()]
    for call in row.calls:
        parts += [
            f"{part.kind.replace('_', ' ')}{f' {part.note}' if part.note else ''} "
            f"{seconds_words(part.end - part.start)}"
            for part in call.segments
            if part.kind is not SegmentKind.WORK
        ][:20]
    return " · ".join(parts)


def _outcome(row: Row | GroupRow, middle: float) -> Iterator[str]:
    x = _WIDTH - MARGIN - _OUTCOME + 14
    if isinstance(row, GroupRow):
        failed = f' <tspan class="delete">{row.lost:,} failed</tspan>' if row.lost else ""
        place = f'x="{pixels(x)}" y="{pixels(middle - 3)}"'
        yield f'<text class="t" {place} font-size="11.5">{row.count}{failed}</text>'
        yield label(x, middle + 11, row.more, "m", size=10.5, anchor="start")
        return
    sign, word = row.outcome
    ink = {"✓": "get", "✗": "delete", "?": "it"}.get(sign, "m")
    word = fitted(word, _OUTCOME - 60 - text_width(f"{row.tries} {row.took}", 11.5), 11.5)
    yield (
        f'<text class="{ink}" x="{pixels(x)}" y="{pixels(middle + 4)}" font-size="11.5">'
        f'{sign} {escaped(word)} <tspan class="m" dx="2">{row.tries}</tspan></text>'
    )
    yield label(_WIDTH - MARGIN - 10, middle + 4, row.took, "m", size=11.5, anchor="end")


def _strip(page: _Sheet, row: GroupRow, top: float) -> Iterator[str]:
    """How many calls are in flight over time, as stacked areas."""
    density = Density(row.calls, page.axis, _BINS)
    most = density.most
    if most <= 0:
        return
    floor, room = top + _GROUP - 5, _GROUP - 10
    below = [0.0] * _BINS
    layers = ((density.good, 'class="w-ok"'), (density.bad, 'class="w-timeout"'))
    for values, fill in (*layers, (density.waiting, 'fill="url(#backoff)"')):
        above = [low + value for low, value in zip(below, values, strict=True)]
        yield from _area(below, above, fill, page, floor, room / most)
        below = above


def _area(
    below: Sequence[float], above: Sequence[float], fill: str, page: _Sheet, floor: float, scale: float
) -> Iterator[str]:
    wide = page.axis.length / _BINS
    ways = []
    start = 0
    while start < _BINS:
        if above[start] - below[start] <= 0:
            start += 1
            continue
        end = start
        while end < _BINS and above[end] - below[end] > 0:
            end += 1
        up = [_stair(page.left + wide * at, wide, floor - above[at] * scale) for at in range(start, end)]
        down = [
            _stair(page.left + wide * (at + 1), -wide, floor - below[at] * scale)
            for at in reversed(range(start, end))
        ]
        ways.append(
            f"M{pixels(page.left + wide * start)} {pixels(floor - below[start] * scale)}{''.join(up + down)}Z"
        )
        start = end
    if ways:
        yield f'<path {fill} d="{"".join(ways)}"/>'


def _stair(x: float, wide: float, y: float) -> str:
    return f"V{pixels(y)}H{pixels(x + wide)}"


def _breaks(page: _Sheet) -> Iterator[str]:
    for each in page.axis.breaks:
        left, right = page.edges(each)
        top, bottom = page.top - 4, page.bottom + 4
        yield (
            f'<rect class="paper" x="{pixels(left)}" y="{pixels(top)}" width="{pixels(right - left)}" '
            f'height="{pixels(bottom - top)}"/>'
        )
        for x in (left, right):
            yield f'<path class="w-zigzag" d="{_zigzag(x, top, bottom)}" stroke-width="1"/>'
        words = f"{seconds_words(each.end - each.start)} idle"
        yield label((left + right) / 2, page.top - 10, words, "it", size=10.5, weight=600)


def _zigzag(x: float, top: float, bottom: float) -> str:
    points, y, side = [f"M{pixels(x)} {pixels(top)}"], top, 1
    while y < bottom:
        y = min(y + 5, bottom)
        points.append(f"L{pixels(x + 2 * side)} {pixels(y)}")
        side = -side
    return "".join(points)
