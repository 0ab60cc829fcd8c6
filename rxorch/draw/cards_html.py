"""What every card is made of: HTML with inline styles alone, escaped, in colours for light and dark.

A notebook that is not trusted drops `<style>`, scripts and SVG. A card sets no background of its own: its
text has the colour of the page, and the few colours of texts are readable on white and on black. A chip has
a background, and an ink that goes with it.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Sequence
from typing import Final

from rxorch.draw.facts import printable
from rxorch.draw.theme import SANS

__all__ = [
    "COLOURS",
    "Html",
    "address",
    "and_more",
    "bar",
    "card",
    "chip",
    "chips",
    "code",
    "cut",
    "details",
    "joined",
    "line",
    "markup",
    "muted",
    "plain_block",
    "strong",
    "styled",
    "table",
]

COLOURS: Final = {
    "ok": "#2a8a43",
    "failed": "#dd3b41",
    "warned": "#a06f10",
    "busy": "#2f7ddb",
    "muted": "#78818b",
    "rest": "rgba(128,128,128,0.25)",
}
"""Of texts and bars: at least 3.9 : 1 on white and on nearly black."""

_CHIPS: Final = {
    "policy": ("#ddf4ff", "#0550ae"),
    "ok": ("#dafbe1", "#116329"),
    "failed": ("#ffebe9", "#a40e26"),
    "warned": ("#fff8c5", "#7d4e00"),
    "busy": ("#ddf4ff", "#0550ae"),
    "write": ("#fbefff", "#6639ba"),
    "muted": ("#eaeef2", "#424a53"),
}
"""Background and ink."""

_MOST_CHIPS: Final = 24
_LONGEST: Final = 160
_PARTS: Final = re.compile(r"(?<=[/?&])(?!/)")


class Html(str):
    """A text that is HTML already."""

    __slots__ = ()


def markup(value: object) -> Html:
    """A text as HTML; what is HTML stays."""
    return value if isinstance(value, Html) else Html(html.escape(printable(str(value))))


def joined(parts: Iterable[object], between: str = "") -> Html:
    """Parts in a row."""
    return Html(between.join(map(markup, parts)))


def cut(text: object, most: int = _LONGEST) -> str:
    """As much of the beginning of a text as there is room for, in one line."""
    line = " ".join(str(text).split())
    return line if len(line) <= most else f"{line[: most - 1]}…"


def styled(style: str, *parts: object, tag: str = "span") -> Html:
    """Parts in a style."""
    return Html(f'<{tag} style="{style}">{joined(parts)}</{tag}>')


def strong(*parts: object, kind: str = "") -> Html:
    """What is to be seen first."""
    return styled(f"font-weight:600{f';color:{COLOURS[kind]}' if kind else ''}", *parts)


def muted(*parts: object) -> Html:
    """What is to be seen last."""
    return styled(f"color:{COLOURS['muted']}", *parts)


def and_more(number: int, what: str = "more") -> Html:
    """How many are not shown; nothing where all are."""
    return muted(f"… {number:,} {what}") if number > 0 else Html("")


def code(text: object) -> Html:
    """What belongs to a program; nothing where there is nothing in it."""
    if text == "":
        return Html("")
    return styled("font-size:12px;overflow-wrap:anywhere", text, tag="code")


def address(url: str) -> Html:
    """A url; where it is too long for a line, the next begins after a slash, and not within a word."""
    parts = joined(_PARTS.split(url), "<wbr>")  # styles that say so do not survive everywhere
    return styled("font-size:12px;overflow-wrap:break-word", parts, tag="code")


def chip(text: object, kind: str = "policy") -> Html:
    """A short fact, in the colours of its kind."""
    paper, ink = _CHIPS[kind]
    return styled(
        f"display:inline-block;background-color:{paper};color:{ink};border-radius:9px;padding:0 8px;"
        "margin:1px 4px 1px 0;font-size:11px;line-height:17px;white-space:nowrap",
        cut(text, 60),
    )


def chips(texts: Sequence[object], kind: str = "policy") -> Html:
    """Chips in a row, and how many more there are."""
    more = len(texts) - _MOST_CHIPS
    shown = [each if isinstance(each, Html) else chip(each, kind) for each in texts[:_MOST_CHIPS]]
    return joined([*shown, muted(f"and {more} more")] if more > 0 else shown)


def line(*parts: object) -> Html:
    """A line of a card; nothing where there is nothing in it."""
    found = joined((part for part in parts if part != ""), " ")
    return styled("margin:2px 0", found, tag="div") if found else found


def details(summary: object, *parts: object, is_open: bool = False) -> Html:
    """What is long, behind its name."""
    how = " open" if is_open else ""
    head = f'<summary style="cursor:pointer;color:{COLOURS["muted"]}">{markup(summary)}</summary>'
    return Html(f'<details style="margin:4px 0"{how}>{head}{joined(parts)}</details>')


def plain_block(text: str) -> Html:
    """Text whose columns line up."""
    style = "font-size:12px;line-height:1.4;margin:4px 0;overflow-x:auto"
    return styled(style, joined(text.split("\n"), "\n"), tag="pre")


def table(head: Sequence[object], rows: Sequence[Sequence[object]], right: Sequence[int] = ()) -> Html:
    """Rows in columns.

    Args:
        head: The names of the columns; none: no such row.
        rows: Of cells.
        right: Columns that are aligned on the right.
    """

    def cells(tag: str, row: Sequence[object], weight: str) -> Html:
        left, right_ = "text-align:left", "text-align:right;white-space:nowrap"
        side = [right_ if place in right else left for place in range(len(row))]
        return joined(
            styled(f"{side[place]};padding:2px 12px 2px 0;font-weight:{weight}", cell, tag=tag)
            for place, cell in enumerate(row)
        )

    body = joined(Html(f"<tr>{cells('td', row, 'normal')}</tr>") for row in rows)
    top = Html(f"<thead><tr>{cells('th', head, '600')}</tr></thead>") if head else Html("")
    style = "border-collapse:collapse;margin:4px 0;font-size:12px"
    return Html(f'<table style="{style}">{top}<tbody>{body}</tbody></table>')


def bar(parts: Sequence[tuple[float, str]]) -> Html:
    """Shares of a whole as one bar: each a number and its kind."""
    whole = sum(share for share, _ in parts)
    if whole <= 0:
        return Html("")
    shares = joined(
        styled(
            f"display:inline-block;vertical-align:top;height:6px;width:{100 * share / whole:.2f}%;"
            f"background-color:{COLOURS[kind]}"
        )
        for share, kind in parts
        if share > 0
    )
    return styled(
        "height:6px;line-height:6px;font-size:0;border-radius:3px;overflow:hidden;margin:6px 0;"
        "white-space:nowrap",
        shares,
        tag="div",
    )


def card(*parts: object, width: int = 760) -> Html:
    """The frame around it all; `width` is the most that it has, in pixels."""
    return styled(
        "border:1px solid rgba(128,128,128,0.45);border-radius:6px;padding:8px 12px;margin:4px 0;"
        f"max-width:{width}px;font-family:{_quoted(SANS)};font-size:13px;line-height:1.5;overflow-x:auto",
        *parts,
        tag="div",
    )


def _quoted(fonts: str) -> str:
    return fonts.replace("'", "&#x27;")
