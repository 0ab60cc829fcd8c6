"""What has become of a node, in SVG: a mark at its corner, lines and shares at its foot."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from rxorch.draw.boxes import RESULT_LINE
from rxorch.draw.results import Fate, NodeResult
from rxorch.draw.svg_parts import label, pixels
from rxorch.draw.words import fitted

__all__ = ["result_parts"]

_RADIUS: Final = 9.0
_SIDE: Final = 12.0
_LINE: Final = 'class="sign" stroke-width="2" stroke-linecap="round" stroke-linejoin="round"'
_SIGNS: Final[dict[Fate, str]] = {
    "ok": f'<path {_LINE} d="M-4 0.3l2.8 2.9l5.2 -6"/>',
    "failed": f'<path {_LINE} d="M-3.2 -3.2l6.4 6.4M3.2 -3.2l-6.4 6.4"/>',
    "unknown": f'<path {_LINE} d="M-2.6 -2.4a2.7 2.7 0 1 1 3.6 2.5q-1 .4 -1 1.5M0 4.4v.1"/>',
    "degraded": '<path class="dots" d="M0 -4.6l4.6 4.6l-4.6 4.6l-4.6 -4.6z"/>',
    "cached": '<circle class="dots" r="3.4"/>',
    "skipped": f'<path {_LINE} d="M-3.6 0h7.2"/>',
    "cancelled": '<rect class="dots" x="-3.2" y="-3.2" width="6.4" height="6.4"/>',
    "running": f'<path {_LINE} d="M-3.8 0v.1M0 0v.1M3.8 0v.1"/>',
}


def result_parts(left: float, top: float, width: float, corner: float, result: NodeResult) -> Iterator[str]:
    """The parts for a node.

    Args:
        left: Its left end.
        top: Where its foot begins.
        width: Of the node.
        corner: Its upper end.
        result: What has become of it.
    """
    yield from _shares(left + _SIDE, top + 1, width - 2 * _SIDE, result)
    for number, line in enumerate(result.lines):
        text = fitted(line, width - 16, 10.5)
        bold = 600 if number == 0 else 400
        y = top + 16 + number * RESULT_LINE
        yield label(left + width / 2, y, text, "t" if number == 0 else "m", size=10.5, weight=bold)
    yield (
        f'<g transform="translate({pixels(left + width - 5)} {pixels(corner + 3)})">'
        f'<circle class="r-{result.fate}" r="{_RADIUS:g}"/>{_SIGNS[result.fate]}</g>'
    )


def _shares(left: float, top: float, width: float, result: NodeResult) -> Iterator[str]:
    if not result.shares:
        yield f'<path class="rule" d="M{pixels(left)} {pixels(top)}h{pixels(width)}" stroke-width="1"/>'
        return
    for fate, share in result.shares:
        wide = max(1.0, width * share)
        place = f'x="{pixels(left)}" y="{pixels(top - 2)}" width="{pixels(wide)}" height="4"'
        yield f'<rect class="r-{fate}" {place}/>'
        left += width * share
