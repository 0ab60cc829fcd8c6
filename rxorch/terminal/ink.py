"""Text for a terminal: colours where they are wanted, and columns that line up.

No dependency: what the demo prints must look the same where rich is not installed.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import TextIO

__all__ = ["Ink", "columns", "count", "counted", "share"]

_CODES = {"bold": "1", "dim": "2", "red": "31", "green": "32", "yellow": "33", "blue": "34", "cyan": "36"}
_ESCAPE = re.compile(r"\x1b\[[0-9;]*m")
_SIGNS = "█▒░·≈━✓✗→≤"


class Ink:
    r"""How to write on one stream.

    Args:
        colour: colour codes are understood.
        unicode: signs beyond ASCII can be written.
        live: lines can be drawn again.

    Example:
        >>> Ink(colour=True)("ok", "green")
        '\x1b[32mok\x1b[0m'
        >>> Ink()("ok", "green")
        'ok'
    """

    def __init__(self, *, colour: bool = False, unicode: bool = True, live: bool = False) -> None:
        self.colour = colour
        self.unicode = unicode
        self.live = live

    @classmethod
    def of(cls, stream: TextIO, environ: Mapping[str, str] = os.environ) -> Ink:
        """What ``stream`` can show: colour on a terminal only, and never with ``NO_COLOR`` (no-color.org)."""
        live = stream.isatty() and environ.get("TERM") != "dumb"
        return cls(colour=live and not environ.get("NO_COLOR"), unicode=_can_write(stream), live=live)

    def __call__(self, text: str, *styles: str) -> str:
        """``text`` in the given styles, if there is colour."""
        if not self.colour or not styles or not text:
            return text
        return f"\x1b[{';'.join(_CODES[style] for style in styles)}m{text}\x1b[0m"

    def sign(self, unicode: str, ascii_: str) -> str:
        """The first, or the second where the stream cannot write the first."""
        return unicode if self.unicode else ascii_


def columns(rows: Iterable[Sequence[str]], align: str, *, gap: int = 2) -> list[str]:
    """Rows of cells as lines with aligned columns.

    Args:
        rows: each with as many cells as ``align`` has letters; colour codes in them have no width.
        align: one letter a column, ``<`` or ``>``.
        gap: spaces between columns.

    Example:
        >>> columns([["a", "10"], ["long", "7"]], "<>")
        ['a     10', 'long   7']
    """
    table = [list(row) for row in rows]
    widths = [max((_width(row[column]) for row in table), default=0) for column in range(len(align))]
    lines = []
    for row in table:
        cells = []
        for cell, side, width in zip(row, align, widths, strict=True):
            space = " " * (width - _width(cell))
            cells.append(space + cell if side == ">" else cell + space)
        lines.append((" " * gap).join(cells).rstrip())
    return lines


def count(number: int) -> str:
    """An integer with separators: ``12,345``."""
    return f"{number:,}"


def counted(number: int, noun: str) -> str:
    """An integer and what it counts.

    Example:
        >>> counted(1, "input"), counted(1200, "input")
        ('1 input', '1,200 inputs')
    """
    return f"{count(number)} {noun}{'s' if number != 1 else ''}"


def share(part: int, whole: int) -> str:
    """A fraction in percent: ``12.3 %``."""
    return f"{100 * part / whole:.1f} %" if whole else "-"


def _width(text: str) -> int:
    return len(_ESCAPE.sub("", text))


def _can_write(stream: TextIO) -> bool:
    try:
        _SIGNS.encode(stream.encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return False
    return True
