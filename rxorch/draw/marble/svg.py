"""Marbles as SVG: one file, no fonts or scripts from elsewhere, light and dark."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Final

from rxorch.draw.marble.layout import BOX, Framed, Line, Plan, plan_of
from rxorch.draw.marble.look import PALETTE, fill_of, line_of
from rxorch.draw.marble.placing import HEIGHT, Placed
from rxorch.draw.marble.scale import spoken
from rxorch.draw.marble.scene import Ending, Room, Scene, Span
from rxorch.draw.svg_parts import HEAD, MARGIN, heading_width, label, pixels, sheet
from rxorch.draw.svg_parts import escaped as _text
from rxorch.draw.theme import MONO, Scheme, style_sheet
from rxorch.draw.words import BOLD, fitted, text_width

__all__ = ["svg_of"]

_CLASS: Final = re.compile(r'class="([\w-]+)"')
_SIGN: Final = 6.0
"""Half of a cross."""
_WORD: Final = 100.0
_LEAST_WORD: Final = 24.0
_SEEN: Final = 0.4
_BAR: Final = 11.0
"""Half of the bar at the end."""


def svg_of(scene: Scene, scheme: Scheme | None = None) -> str:
    """The SVG of a scene, in both schemes or in one."""
    plan = plan_of(scene)
    notes = " · ".join(scene.notes)
    width = max(plan.width, heading_width(scene.title, notes)) + 2 * MARGIN
    body = [f'<g transform="translate({pixels(MARGIN)} {pixels(MARGIN + HEAD - 6)})">', *_body(plan), "</g>"]
    style = _used(style_sheet(PALETTE, scheme), body)
    return sheet(scene.title, notes, width, plan.height + HEAD + 2 * MARGIN - 6, body, style=style, defs="")


def _used(style: str, body: Sequence[str]) -> str:
    """The rules for what is in a picture, which stays the same when another kind of picture gets more."""
    classes = {"paper", "t", "m", *_CLASS.findall("".join(body))}
    return "\n".join(
        rule for rule in style.splitlines() if rule[0] != "." or rule[1 : rule.index("{")] in classes
    )


def _body(plan: Plan) -> Iterator[str]:
    yield from _axis(plan)
    for laid in plan.laid:
        if isinstance(laid, Line):
            yield from _line(laid, plan)
        else:
            yield from _box(laid, plan)
    yield from _legend(plan)


def _axis(plan: Plan) -> Iterator[str]:
    bottom = plan.axis
    for x, told in plan.scale.ticks(64):
        yield _stroke("grid", plan.left + x, 0, plan.left + x, bottom, 1)
        yield label(plan.left + x, bottom + 14, told, "m", size=10.5)


def _box(box: Framed, plan: Plan) -> Iterator[str]:
    place = f'x="0" y="{pixels(box.y)}" width="{pixels(plan.width)}" height="{pixels(BOX)}"'
    shown = fitted(box.text, plan.width - 24, 12.5, mono=True)
    yield f"<g><title>{_text(box.text)}</title>"
    yield f'<rect class="box" {place} rx="7"/>'
    yield (
        f'<text class="t" x="{pixels(plan.width / 2)}" y="{pixels(box.y + BOX / 2 + 4.5)}" font-size="12.5" '
        f'text-anchor="middle" font-family="{MONO}">{_text(shown)}</text></g>'
    )


def _line(line: Line, plan: Plan) -> Iterator[str]:
    left, y = plan.left, line.level
    size = 11.5 if line.row.inner else 12.5
    indent = 14 if line.row.inner else 0
    shown = fitted(line.row.label, left - 14 - indent, size)
    yield f"<g><title>{_text(line.row.label)}</title>"
    yield label(indent, y + 4, shown, "t", size=size, weight=400 if line.row.inner else 600, anchor="start")
    yield "</g>"
    yield _stroke("grid", left, y, left + plan.scale.length, y, 1.2)
    for span, start, end in line.spans:
        yield _stroke(line_of(span.hue), left + start, y, left + end, y, 1.8)
        if end - start > _SIGN:
            yield (
                f'<circle class="ring" cx="{pixels(left + start)}" cy="{pixels(y)}" r="3" stroke-width="1.5">'
                f"<title>subscribed at {spoken(span.start)}</title></circle>"
            )
    for span, _, end in line.spans:
        yield from _ending(span, left + end, y)
    yield from _error_words(line, left)
    for placed in line.placed:
        yield from _marble(placed, left, y)
    if line.row.room:
        yield from _rooms(line.row.room, line.strip, plan)


def _ending(span: Span, x: float, y: float, size: float = 1.0) -> Iterator[str]:
    at = spoken(span.end)
    if span.ending == "completed":
        bar = _stroke("end", x, y - _BAR * size, x, y + _BAR * size, 2.4)
        yield f"<g><title>completed at {at}</title>{bar}</g>"
    elif span.ending == "error":
        a = b = _SIGN * size
        way = f"M{pixels(x - a)} {pixels(y - b)}L{pixels(x + a)} {pixels(y + b)}"
        way += f"M{pixels(x + a)} {pixels(y - b)}L{pixels(x - a)} {pixels(y + b)}"
        yield f"<g><title>{_text(span.said)} at {at}</title>"
        yield f'<path class="bad" d="{way}" stroke-width="2.6" stroke-linecap="round"/></g>'
    elif span.ending == "disposed":
        way = f"M{pixels(x - 5)} {pixels(y - 8 * size)}H{pixels(x)}V{pixels(y + 8 * size)}H{pixels(x - 5)}"
        yield f'<g><title>disposed at {at}</title><path class="left" d="{way}" stroke-width="1.8"/></g>'
    else:
        way = f"M{pixels(x - 5)} {pixels(y - 4)}L{pixels(x)} {pixels(y)}L{pixels(x - 5)} {pixels(y + 4)}"
        yield f'<g><title>goes on</title><path class="left" d="{way}" stroke-width="1.6"/></g>'


def _error_words(line: Line, left: float) -> Iterator[str]:
    """What failed, above its cross, as far as there is room."""
    taken = sorted([*(end for _, _, end in line.spans), *(each.x for each in line.placed)])
    for span, _, x in line.spans:
        near = min((abs(x - each) for each in taken if abs(x - each) > 1), default=2 * _WORD)
        room = min(near - 4, _WORD)
        if span.word and room > _LEAST_WORD:
            yield label(left + x, line.level - 11, fitted(span.word, room, 9), "bt", size=9)


def _marble(placed: Placed, left: float, y: float) -> Iterator[str]:
    x = left + placed.x
    top = y - placed.level * (HEIGHT + 2) - HEIGHT / 2
    at = spoken(placed.marks[0].at)
    if len(placed.marks) > 1:
        at += f" to {spoken(placed.marks[-1].at)}"
    yield f"<g><title>{_text(placed.full)} at {at}</title>"
    if placed.parts:
        yield from _several(placed, x, top)
    else:
        yield _pill(fill_of(placed.hue), x - placed.width / 2, top, placed.width, HEIGHT)
        yield _letters(x, top + HEIGHT / 2, fitted(placed.text, (placed.width - 10) / BOLD, 10.5))
    yield "</g>"


def _several(placed: Placed, x: float, top: float) -> Iterator[str]:
    """A list of elements: a marble of marbles."""
    left = x - placed.width / 2
    yield f'<rect class="fn" {_place(left, top, placed.width, HEIGHT)} rx="{pixels(HEIGHT / 2)}"/>'
    left += 3
    for text, hue in placed.parts:
        wide = max(HEIGHT - 4, text_width(text, 10) + 8)
        yield _pill(fill_of(hue), left, top + 2.5, wide, HEIGHT - 5)
        yield _letters(left + wide / 2, top + HEIGHT / 2, text)
        left += wide


def _pill(name: str, x: float, y: float, width: float, height: float) -> str:
    return (
        f'<rect class="{name}" {_place(x, y, width, height)} rx="{pixels(height / 2)}" stroke-width="1.5"/>'
    )


def _letters(x: float, middle: float, text: str) -> str:
    return label(x, middle + 3.7, text, "ot", size=10.5, weight=600)


def _rooms(rooms: Sequence[Room], y: float, plan: Plan) -> Iterator[str]:
    left = plan.left
    yield label(14, y + 9, "room", "m", size=10, anchor="start")
    for room in rooms:
        start, end = plan.scale.at(room.start), plan.scale.at(room.end)
        if end - start < _SEEN:
            continue
        some = room.credit is None or room.credit > 0
        told = "any number" if room.credit is None else f"{room.credit}"
        title = f"room for {told}" if some else "no room: the source waits"
        yield f"<g><title>{title}, {spoken(room.start)} to {spoken(room.end)}</title>"
        yield f'<rect class="{"room" if some else "wait"}" {_place(left + start, y, end - start, 11)}/>'
        shown = told if some and room.credit is not None else "any" if some else "wait"
        if text_width(shown, 9) + 4 < end - start:
            yield label(left + (start + end) / 2, y + 8.6, shown, "rt" if some else "wt", size=9)
        yield "</g>"


def _legend(plan: Plan) -> Iterator[str]:
    """The signs that are used in the picture, with their meaning."""
    x, y = 0.0, plan.axis + 34
    for sign in plan.signs:
        yield from _sign(sign, x + 7, y)
        yield label(x + 20, y + 4, sign, "m", size=10.5, anchor="start")
        x += 40 + text_width(sign, 10.5)


def _sign(sign: str, x: float, y: float) -> Iterator[str]:
    if sign == "subscribed":
        yield f'<circle class="ring" cx="{pixels(x)}" cy="{pixels(y)}" r="3" stroke-width="1.5"/>'
    elif sign == "room":
        yield f'<rect class="room" {_place(x - 7, y - 5, 14, 10)}/>'
    elif sign == "no room":
        yield f'<rect class="wait" {_place(x - 7, y - 5, 14, 10)}/>'
    else:
        kinds: dict[str, Ending] = {
            "completed": "completed",
            "error": "error",
            "disposed": "disposed",
            "goes on": "open",
        }
        yield from _ending(Span(0, 0, kinds[sign]), x, y, 0.7)


def _stroke(name: str, x0: float, y0: float, x1: float, y1: float, width: float) -> str:
    ends = f'x1="{pixels(x0)}" y1="{pixels(y0)}" x2="{pixels(x1)}" y2="{pixels(y1)}"'
    return f'<line class="{name}" {ends} stroke-width="{width:g}"/>'


def _place(x: float, y: float, width: float, height: float) -> str:
    return f'x="{pixels(x)}" y="{pixels(y)}" width="{pixels(width)}" height="{pixels(height)}"'
