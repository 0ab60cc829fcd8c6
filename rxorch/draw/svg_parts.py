"""What every SVG here is made of: the sheet with its heading, lines of text, numbers."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable
from typing import Final

from rxorch.draw.theme import SANS, style_sheet
from rxorch.draw.words import BOLD, fitted, text_width

__all__ = ["HEAD", "MARGIN", "escaped", "heading_width", "label", "least_width", "pixels", "sheet"]

MARGIN: Final = 24.0
HEAD: Final = 58.0
"""Height of the heading."""

_WIDEST: Final = 1200.0
"""Of a heading; a longer one is cut."""
_LETTERS: Final = 0.8
"""How much smaller a picture may become, and can still be read."""
_WIDTH: Final = re.compile(r'<svg[^>]* width="([\d.]+)"')
_SPACE: Final = "http://www.w3.org/2000/svg"
_ARROW_HEAD: Final = (
    '<marker id="a" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="8" markerHeight="8" orient="auto" '
    'markerUnits="userSpaceOnUse"><path class="head" d="M0 0.5 8 4 0 7.5z"/></marker>'
)


def sheet(
    title: str,
    below: str,
    width: float,
    height: float,
    body: Iterable[str],
    *,
    style: str | None = None,
    defs: str = _ARROW_HEAD,
) -> str:
    """A whole SVG: a title, a line below it, and a body that has its places already.

    Needs nothing from elsewhere, and is light or dark as the reader's system is, or as `style` says.
    """
    wide, high, room = pixels(width), pixels(height), width - 2 * MARGIN
    size = f'width="{wide}" height="{high}" viewBox="0 0 {wide} {high}"'
    lines = [
        f'<svg xmlns="{_SPACE}" role="img" aria-labelledby="t" {size} font-family="{SANS}">',
        f'<title id="t">{escaped(title)}</title>',
        f"<style>\n{style_sheet() if style is None else style}\n</style>",
        f"<defs>{defs}</defs>",
        f'<rect class="paper" width="{wide}" height="{high}" rx="8"/>',
        label(MARGIN, MARGIN + 14, fitted(title, room / BOLD, 16), "t", size=16, weight=600, anchor="start"),
        label(MARGIN, MARGIN + 34, fitted(below, room, 12), "m", size=12, anchor="start"),
        *body,
        "</svg>",
    ]
    return "\n".join(lines) + "\n"


def heading_width(title: str, below: str = "") -> float:
    """How much room a title and the line below it need, within bounds.

    >>> heading_width("trip") < heading_width("trip", "at most 10 at once"), heading_width("trip" * 99)
    (True, 1200.0)
    """
    return min(max(text_width(title, 16) * BOLD, text_width(below, 12)), _WIDEST)


def label(
    x: float, y: float, text: str, name: str, *, size: float, weight: int = 400, anchor: str = "middle"
) -> str:
    """A line of text; `name` is its class."""
    return (
        f'<text class="{name}" x="{pixels(x)}" y="{pixels(y)}" font-size="{size:g}" font-weight="{weight}" '
        f'text-anchor="{anchor}">{escaped(text)}</text>'
    )


def escaped(text: str) -> str:
    """Text that ends no tag and no attribute."""
    return html.escape(text, quote=True)


def pixels(value: float) -> str:
    """A number in tenths of a pixel."""
    return f"{value:.1f}".removesuffix(".0")


def least_width(svg: str) -> int:
    """The pixels below which nobody could read a picture: where there is less room, it has to scroll.

    >>> least_width('<svg xmlns="http://www.w3.org/2000/svg" width="1000" height="20"/>')
    800
    """
    found = _WIDTH.match(svg)
    return round(_LETTERS * float(found[1])) if found else 0
