"""Colours and measures that all pictures share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

__all__ = ["DARK", "LIGHT", "METHODS", "MONO", "SANS", "Palette", "Scheme", "style_sheet"]

Scheme: TypeAlias = Literal["light", "dark"]

SANS: Final = "system-ui, -apple-system, 'Segoe UI', Roboto, 'DejaVu Sans', sans-serif"
MONO: Final = "ui-monospace, SFMono-Regular, Menlo, Consolas, 'DejaVu Sans Mono', monospace"

LIGHT: Final[Mapping[str, str]] = {
    "paper": "#ffffff",
    "ink": "#1f2328",
    "muted": "#59636e",
    "line": "#8c959f",
    "card": "#ffffff",
    "edge": "#0969da",
    "frame": "#f6f8fa",
    "frame-edge": "#d1d9e0",
    "chip": "#ddf4ff",
    "chip-ink": "#0550ae",
    "if": "#fff8c5",
    "if-ink": "#7d4e00",
    "end": "#dafbe1",
    "end-edge": "#1a7f37",
    "get": "#1a7f37",
    "write": "#8250df",
    "delete": "#cf222e",
}
DARK: Final[Mapping[str, str]] = {
    "paper": "#0d1117",
    "ink": "#f0f6fc",
    "muted": "#9198a1",
    "line": "#6e7681",
    "card": "#151b23",
    "edge": "#4493f8",
    "frame": "#10161d",
    "frame-edge": "#3d444d",
    "chip": "#12304f",
    "chip-ink": "#79c0ff",
    "if": "#3b2e0a",
    "if-ink": "#e3b341",
    "end": "#12301c",
    "end-edge": "#3fb950",
    "get": "#3fb950",
    "write": "#ab7df8",
    "delete": "#f85149",
}
METHODS: Final[Mapping[str, str]] = {
    "GET": "get",
    "HEAD": "get",
    "OPTIONS": "get",
    "DELETE": "delete",
}
"""The colour of a method; of any other it is that of `write`."""

_FILLS: Final = {
    "paper": ("paper", None),
    "card": ("card", "edge"),
    "frame": ("frame", "frame-edge"),
    "chip": ("chip", None),
    "if": ("if", "if-ink"),
    "end": ("end", "end-edge"),
    "head": ("line", None),
    "wire": (None, "line"),
    "t": ("ink", None),
    "m": ("muted", None),
    "ct": ("chip-ink", None),
    "it": ("if-ink", None),
    "get": ("get", None),
    "write": ("write", None),
    "delete": ("delete", None),
    "c0": (None, "muted"),
    "c1": (None, "edge"),
    "c2": (None, "write"),
    "c3": (None, "get"),
    "c4": (None, "if-ink"),
    "c5": (None, "delete"),
}
"""Class: its fill and stroke, by names of colours."""


@dataclass(frozen=True, slots=True)
class Palette:
    """Colours that a kind of picture has beside the common ones.

    Attributes:
        light: Names to colours.
        dark: The same names.
        fills: Class: its fill and stroke, by names of colours of its own or of the common ones.
    """

    light: Mapping[str, str]
    dark: Mapping[str, str]
    fills: Mapping[str, tuple[str | None, str | None]]


_PLAIN: Final = Palette({}, {}, {})


def style_sheet(more: Palette = _PLAIN, scheme: Scheme | None = None) -> str:
    """The rules for both schemes, or for one.

    Plain colours in the place of CSS variables, which not every program that draws SVG knows.
    """
    fills = {**_FILLS, **more.fills}
    light, dark = _rules({**LIGHT, **more.light}, fills), _rules({**DARK, **more.dark}, fills)
    if scheme is not None:
        return dark if scheme == "dark" else light
    return f"{light}\n@media (prefers-color-scheme: dark) {{\n{dark}\n}}"


def _rules(colours: Mapping[str, str], fills: Mapping[str, tuple[str | None, str | None]]) -> str:
    rules = []
    for name, (fill, stroke) in fills.items():
        paint = f"fill:{colours[fill] if fill else 'none'}"
        if stroke:
            paint += f";stroke:{colours[stroke]}"
        rules.append(f".{name}{{{paint}}}")
    return "\n".join(rules)
