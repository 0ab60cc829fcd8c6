"""The picture as SVG: one file, no fonts or scripts from elsewhere, light and dark."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

from rxorch.draw.boxes import CHIP_HEIGHT, Box, Route, chip_rows, result_height
from rxorch.draw.layout import Placed, place
from rxorch.draw.results import PALETTE
from rxorch.draw.scene import Frame, Node, Scene
from rxorch.draw.svg_marks import result_parts
from rxorch.draw.svg_parts import HEAD, MARGIN, heading_width, sheet
from rxorch.draw.svg_parts import escaped as _text
from rxorch.draw.svg_parts import label as _label
from rxorch.draw.svg_parts import pixels as _n
from rxorch.draw.theme import METHODS, MONO, style_sheet
from rxorch.draw.words import fitted, fitted_url, text_width

__all__ = ["svg_of"]


def svg_of(scene: Scene) -> str:
    """The SVG of a scene."""
    placed = place(scene)
    settings = " · ".join(scene.settings)
    width = max(placed.width, heading_width(scene.title, settings)) + 2 * MARGIN
    body = [
        f'<g transform="translate({_n((width - placed.width) / 2)} {_n(MARGIN + HEAD)})">',
        *_body(placed),
        "</g>",
    ]
    style = style_sheet(PALETTE) if scene.ended else None
    return sheet(scene.title, settings, width, placed.height + HEAD + 2 * MARGIN, body, style=style)


def _body(placed: Placed) -> Iterator[str]:
    for box in placed.frames:
        yield from _frame(box)
    for route in placed.routes:
        yield _wire(route)
    for box in placed.boxes:
        if isinstance(box.part, Node):
            yield from _node(box, box.part)
    for route in placed.routes:
        if route.label:
            yield from _wire_label(route)


def _frame(box: Box) -> Iterator[str]:
    if isinstance(box.part, Frame):
        yield f'<rect class="frame" {_place(box)} rx="10" stroke-dasharray="4 3"/>'
        yield _label(box.x + 14, box.y + 20, box.part.label, "m", size=11, weight=600, anchor="start")


def _node(box: Box, node: Node) -> Iterator[str]:
    middle = box.x + box.width / 2
    if node.shape == "end":
        yield f'<rect class="end" {_place(box)} rx="{_n(box.height / 2)}" stroke-width="1.5"/>'
        yield _label(middle, box.y + box.height / 2 + 4.5, node.title, "t", size=13, weight=600)
        return
    if node.shape == "decision":
        asked = fitted(node.title, box.width - 44, 12.5)
        yield f"<g><title>{_text(node.title)}</title>"
        yield _diamond(box)
        yield _label(middle, box.y + box.height / 2 + 4, asked, "it", size=12, weight=600)
        yield "</g>"
        return
    yield from _call(box, node, middle)


def _call(box: Box, node: Node, middle: float) -> Iterator[str]:
    facts = node.facts
    assert facts is not None
    whole = f"{facts.name}: {facts.request}"
    if facts.depends_on:
        whole += f" (after {', '.join(facts.depends_on)})"
    result = node.result
    if result is not None:
        whole += f": {', '.join(result.lines)}"
    faded = ' opacity="0.55"' if result is not None and not result.is_reached else ""
    yield f"<g{faded}><title>{_text(whole)}</title>"
    kind = "card" if result is None else f"k-{result.fate}"
    yield f'<rect class="{kind}" {_place(box)} rx="8" stroke-width="1.5"/>'
    room = box.width - 24
    name = fitted(node.title, room / 1.06, 13.5)
    yield _label(middle, box.y + 20, name, "t", size=13.5, weight=600)
    kind = METHODS.get(facts.method, "write")
    url = fitted_url(facts.url, room - text_width(f"{facts.method} ", 10.5, mono=True), 10.5)
    yield (
        f'<text class="m" x="{_n(middle)}" y="{_n(box.y + 37)}" font-size="10.5" text-anchor="middle" '
        f'font-family="{MONO}"><tspan class="{kind}" font-weight="700">{_text(facts.method)}</tspan> '
        f"{_text(url)}</text>"
    )
    top = box.y + 48
    for row in chip_rows(node, box.width):
        for chip, left, wide in row:
            yield from _chip(chip, box.x + left, top, wide, conditional=chip.startswith("if "))
        top += CHIP_HEIGHT + 4
    if result is not None:
        yield from result_parts(box.x, box.y + box.height - result_height(node), box.width, box.y, result)
    yield "</g>"


def _chip(chip: str, x: float, y: float, width: float, *, conditional: bool) -> Iterator[str]:
    box, ink = ("if", "it") if conditional else ("chip", "ct")
    outline = "" if conditional else ' stroke="none"'
    yield (
        f'<rect class="{box}" x="{_n(x)}" y="{_n(y)}" width="{_n(width)}" height="{_n(CHIP_HEIGHT)}" '
        f'rx="9.5" stroke-width="0.8"{outline}/>'
    )
    yield _label(x + width / 2, y + 13.2, fitted(chip, width - 8, 10.5), ink, size=10.5)


def _diamond(box: Box) -> str:
    x, y, right, bottom = box.x, box.y, box.x + box.width, box.y + box.height
    level, cut = (y + bottom) / 2, 16.0
    points = [
        (x, level),
        (x + cut, y),
        (right - cut, y),
        (right, level),
        (right - cut, bottom),
        (x + cut, bottom),
    ]
    return (
        f'<polygon class="if" points="{" ".join(f"{_n(a)},{_n(b)}" for a, b in points)}" stroke-width="1.5"/>'
    )


def _wire(route: Route) -> str:
    way = _corners(route.points) if route.straight else _curve(route.points, down=route.down)
    faded = "" if route.taken else ' opacity="0.45" stroke-dasharray="3 4"'
    return f'<path class="wire" d="{way}" stroke-width="1.4" marker-end="url(#a)"{faded}/>'


def _corners(points: Sequence[tuple[float, float]]) -> str:
    """Straight lines, with the corners made round."""
    parts = [f"M{_n(points[0][0])} {_n(points[0][1])}"]
    for before, corner, after in zip(points, points[1:], points[2:], strict=False):
        a, b = _towards(corner, before), _towards(corner, after)
        parts.append(f"L{_n(a[0])} {_n(a[1])}Q{_n(corner[0])} {_n(corner[1])} {_n(b[0])} {_n(b[1])}")
    parts.append(f"L{_n(points[-1][0])} {_n(points[-1][1])}")
    return "".join(parts)


def _towards(start: tuple[float, float], end: tuple[float, float]) -> tuple[float, float]:
    length = abs(end[0] - start[0]) + abs(end[1] - start[1])
    share = min(8.0, length / 2) / length if length else 0.0
    return start[0] + (end[0] - start[0]) * share, start[1] + (end[1] - start[1]) * share


def _curve(points: Sequence[tuple[float, float]], *, down: bool) -> str:
    """Curves that leave and arrive level, or upright where they lead down."""
    parts = [f"M{_n(points[0][0])} {_n(points[0][1])}"]
    for (x0, y0), (x1, y1) in pairwise(points):
        half = (y0 + y1) / 2 if down else (x0 + x1) / 2
        bends = ((x0, half), (x1, half)) if down else ((half, y0), (half, y1))
        parts.append(
            f"L{_n(x1)} {_n(y1)}"
            if (x0 == x1 if down else y0 == y1)
            else f"C{' '.join(f'{_n(x)} {_n(y)}' for x, y in (*bends, (x1, y1)))}"
        )
    return "".join(parts)


def _wire_label(route: Route) -> Iterator[str]:
    (x0, y0), (x1, y1) = route.points[0], route.points[1]
    x, y = (x0 + x1) / 2, (y0 + y1) / 2
    wide = text_width(route.label, 10.5) + 10
    place = f'x="{_n(x - wide / 2)}" y="{_n(y - 8)}" width="{_n(wide)}" height="16"'
    yield f'<rect class="paper" {place} rx="8"/>'
    yield _label(x, y + 4, route.label, "m", size=10.5)


def _place(box: Box) -> str:
    return f'x="{_n(box.x)}" y="{_n(box.y)}" width="{_n(box.width)}" height="{_n(box.height)}"'
