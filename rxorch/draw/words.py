"""How wide words are, and what to leave out of those that are too long; without fonts to measure with."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from typing import Final

__all__ = ["BOLD", "bare", "fitted", "fitted_url", "names_room", "text_width"]

BOLD: Final = 1.1
"""How much wider bold letters are."""

_NARROW: Final = frozenset("iljtfI.,:;'|!()[] ")
_WIDE: Final = frozenset("mwMW@")
_SLIM: Final = 0.32
"""Width of the narrowest letter of any other font."""
_NAMES: Final = (70.0, 190.0)
_LETTER: Final = 0.61
"""Width of a letter of a font whose letters are all alike, for a size of 1."""


def text_width(text: str, size: float, *, mono: bool = False) -> float:
    """About how many pixels a text is wide.

    >>> text_width("ab", 10) < text_width("漢字", 10), text_width("漢字", 10, mono=True)
    (True, 20.0)
    """
    if not text.isascii():
        # Chinese, Japanese and Korean letters and emoji are as wide as high, in any font.
        square = sum(unicodedata.east_asian_width(char) in "WF" for char in text)
        if square:
            rest = "".join(char for char in text if unicodedata.east_asian_width(char) not in "WF")
            return square * size + text_width(rest, size, mono=mono)
    if mono:
        return len(text) * size * _LETTER
    return size * sum(_SLIM if char in _NARROW else 0.82 if char in _WIDE else 0.58 for char in text)


def names_room(widths: Iterable[float]) -> float:
    """Pixels for the names to the left of a picture's rows: what they need, within bounds.

    >>> names_room([]), names_room([20.0, 88.0]), names_room([700.0])
    (70.0, 88.0, 190.0)
    """
    return min(max([_NAMES[0], *widths]), _NAMES[1])


def fitted(text: str, room: float, size: float, *, mono: bool = False) -> str:
    """As much of the beginning of a text as fits into so many pixels."""
    if text_width(text, size, mono=mono) <= room + 0.01:
        return text
    text = text[: int(room / (size * _SLIM)) + 1]  # no more than that has to be measured
    while text and text_width(f"{text}…", size, mono=mono) > room:
        text = text[:-1]
    return f"{text}…"


def fitted_url(url: str, room: float, size: float) -> str:
    """A url without its scheme; without its host too, where it is too long: the path says more."""
    short = bare(url)
    if text_width(short, size, mono=True) > room + 0.01:
        host, slash, path = short.partition("/")
        short = f"/{path}" if slash else host
    return fitted(short, room, size, mono=True)


def bare(url: str) -> str:
    """A url without its scheme, which says little and takes much room."""
    return url.partition("://")[2] or url
