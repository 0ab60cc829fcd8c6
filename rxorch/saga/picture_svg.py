"""The picture of a run as SVG: the steps from top to bottom, and their undoings beside them, back up."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from textwrap import wrap
from typing import TYPE_CHECKING, Final

from rxorch.draw.facts import printable
from rxorch.draw.results import PALETTE
from rxorch.draw.svg_parts import HEAD, MARGIN, escaped, heading_width, label, pixels, sheet
from rxorch.draw.theme import style_sheet
from rxorch.draw.words import fitted, text_width
from rxorch.saga.picture import WORDS, count_of, state_word, time_of, undo_colour, undo_word
from rxorch.saga.records import StepStatus

if TYPE_CHECKING:
    from rxorch.saga.picture import RunPicture, StepRow

__all__ = ["BETWEEN", "CARD", "LEFT", "RIGHT", "STEP", "card", "svg_of", "wire"]

LEFT: Final = 210.0
RIGHT: Final = 190.0
BETWEEN: Final = 64.0
CARD: Final = 46.0
STEP: Final = 68.0
_REASON: Final = 18.0
_MOST_LINES: Final = 4
"""Of a reason; the text of the picture has more."""
_INKS: Final = {"green": "get", "red": "delete", "yellow": "it", "cyan": "ct", "dim": "m"}
"""Colours of the text as classes of the style sheet."""
_FATES: Final = {
    StepStatus.COMPLETED: "k-ok",
    StepStatus.FAILED: "k-failed",
    StepStatus.UNKNOWN: "k-unknown",
    StepStatus.STARTED: "k-running",
    StepStatus.WAITING: "k-running",
    StepStatus.SKIPPED: "frame",
}
"""What has become of a step as the class of its card, as in the picture of a flow."""
_STATUS_INKS: Final = {
    StepStatus.COMPLETED: "get",
    StepStatus.FAILED: "delete",
    StepStatus.UNKNOWN: "it",
    StepStatus.STARTED: "ct",
    StepStatus.WAITING: "ct",
    StepStatus.SKIPPED: "m",
}


def svg_of(picture: RunPicture) -> str:
    """The SVG of a picture."""
    rows = picture.rows
    columns = LEFT + BETWEEN + RIGHT if any(row.undone for row in rows) else LEFT
    inner = max(columns, heading_width(picture.heading), 300.0)
    reasons = [part for text in picture.reasons() for part in _wrapped(text, inner)]
    steps = max(0.0, len(rows) * STEP - (STEP - CARD))
    height = HEAD + steps + (len(reasons) * _REASON + 8 if reasons else 0) + 2 * MARGIN
    body = [*_wires(rows), *(line for i, row in enumerate(rows) for line in _row(row, _top(i)))]
    for i, reason in enumerate(reasons):
        y = MARGIN + HEAD + steps + 22 + i * _REASON
        body.append(label(MARGIN, y, reason, "delete", size=11, anchor="start"))
    below = f"{state_word(picture.run)} · {picture.time}"
    style = style_sheet(PALETTE)
    return sheet(picture.heading, below, inner + 2 * MARGIN, height, body, style=style)


def _wrapped(text: str, room: float) -> Iterator[str]:
    """A text in lines of such a width; a url goes on in the next one."""
    letters = max(1, int(room / (text_width(text, 11) / max(1, len(text)))))
    lines = wrap(text, letters, break_on_hyphens=False, max_lines=_MOST_LINES, placeholder=" …")
    return (fitted(each, room * 1.1, 11) for each in lines)


def _top(i: int) -> float:
    return MARGIN + HEAD + i * STEP


def _wires(rows: tuple[StepRow, ...]) -> Iterator[str]:
    """Arrows down from step to step, over to what undid them, and up from undoing to undoing."""
    middle, right = MARGIN + LEFT / 2, MARGIN + LEFT + BETWEEN + RIGHT / 2
    for i in range(1, len(rows)):
        yield wire(middle, _top(i - 1) + CARD, middle, _top(i) - 2)
    undone = [i for i, row in enumerate(rows) if row.undone is not None]
    for i in undone:
        level = _top(i) + CARD / 2
        yield wire(MARGIN + LEFT + BETWEEN, level, MARGIN + LEFT + 2, level, dashed=True)
    for above, below in pairwise(undone):
        yield wire(right, _top(below), right, _top(above) + CARD + 2, dashed=True)


def wire(x: float, y: float, to_x: float, to_y: float, *, dashed: bool = False) -> str:
    """An arrow."""
    way = f"M{pixels(x)} {pixels(y)}L{pixels(to_x)} {pixels(to_y)}"
    dash = ' stroke-dasharray="4 3"' if dashed else ""
    return f'<path class="wire" d="{way}" stroke-width="1.4"{dash} marker-end="url(#a)"/>'


def _row(row: StepRow, top: float) -> Iterator[str]:
    name = printable(row.name)
    if row.done is None:
        yield from card(MARGIN, top, LEFT, name, row.absence, "m", "frame")
    else:
        word = WORDS.get(row.done.status, "done")
        facts = " · ".join(part for part in (word, count_of(row.done), time_of(row.done)) if part)
        yield from card(
            MARGIN, top, LEFT, name, facts, _STATUS_INKS[row.done.status], _FATES[row.done.status]
        )
    if row.undone is not None:
        facts = " · ".join(part for part in (count_of(row.undone), time_of(row.undone)) if part)
        ink = _INKS[undo_colour(row.undone)]
        kind = "k-degraded" if row.undone.status is StepStatus.COMPLETED else _FATES[row.undone.status]
        yield from card(MARGIN + LEFT + BETWEEN, top, RIGHT, undo_word(row), facts, ink, kind)


def card(x: float, y: float, width: float, name: str, facts: str, ink: str, kind: str) -> Iterator[str]:
    """A card with a name and facts in a colour."""
    place = f'x="{pixels(x)}" y="{pixels(y)}" width="{pixels(width)}" height="{pixels(CARD)}"'
    middle = x + width / 2
    yield f"<g><title>{escaped(f'{name}: {facts}')}</title>"
    yield f'<rect class="{kind}" {place} rx="8" stroke-width="1.5"/>'
    yield label(middle, y + 20, fitted(name, (width - 24) / 1.06, 13.5), "t", size=13.5, weight=600)
    yield label(middle, y + 36, fitted(facts, width - 24, 11), ink, size=11)
    yield "</g>"
