"""Colours of marbles, light and dark."""

from __future__ import annotations

from typing import Final

from rxorch.draw.marble.hues import COUNT, NEUTRAL
from rxorch.draw.theme import Palette

__all__ = ["PALETTE", "fill_of", "line_of"]

_LIGHT: Final = ("#0969da", "#bf3989", "#1a7f37", "#bc4c00", "#8250df", "#0f747b", "#7d5600", "#953800")
_DARK: Final = ("#58a6ff", "#ff80bf", "#56d364", "#ffa657", "#bc8cff", "#4fd1d9", "#e3b341", "#ff9b8a")
"""Told apart by most people who see colours otherwise too: neighbours differ in lightness or in blue."""

_NAMES: Final = tuple(f"hue{number}" for number in range(COUNT))

PALETTE: Final = Palette(
    light={
        **dict(zip(_NAMES, _LIGHT, strict=True)),
        "many": "#59636e",
        "on-hue": "#ffffff",
        "grid": "#e6eaef",
        "box": "#f6f8fa",
        "bad": "#cf222e",
        "room": "#aceebb",
        "room-ink": "#0f5323",
        "wait": "#ffd8b5",
        "wait-ink": "#7a3000",
    },
    dark={
        **dict(zip(_NAMES, _DARK, strict=True)),
        "many": "#9198a1",
        "on-hue": "#0d1117",
        "grid": "#232a33",
        "box": "#151b23",
        "bad": "#f85149",
        "room": "#1b4527",
        "room-ink": "#8ddb9f",
        "wait": "#4d2d10",
        "wait-ink": "#ffc58a",
    },
    fills={
        **{f"f{number}": (name, "paper") for number, name in enumerate(_NAMES)},
        **{f"l{number}": (None, name) for number, name in enumerate(_NAMES)},
        "fn": ("many", "paper"),
        "ln": (None, "ink"),
        "ot": ("on-hue", None),
        "grid": (None, "grid"),
        "box": ("box", "frame-edge"),
        "bad": (None, "bad"),
        "bt": ("bad", None),
        "ring": ("paper", "ink"),
        "end": (None, "ink"),
        "left": (None, "muted"),
        "room": ("room", None),
        "rt": ("room-ink", None),
        "wait": ("wait", None),
        "wt": ("wait-ink", None),
    },
)


def fill_of(hue: int) -> str:
    """The class of a marble."""
    return "fn" if hue == NEUTRAL else f"f{hue}"


def line_of(hue: int) -> str:
    """The class of a line."""
    return "ln" if hue == NEUTRAL else f"l{hue}"
