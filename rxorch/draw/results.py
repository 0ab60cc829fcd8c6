"""What has become of an endpoint, as a node of a picture says it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from rxorch.draw.theme import Palette

__all__ = ["FATES", "MARKS", "PALETTE", "Fate", "NodeResult", "Share"]

Fate: TypeAlias = Literal["ok", "failed", "unknown", "degraded", "cached", "skipped", "cancelled", "running"]
Share: TypeAlias = tuple[Fate, float]

MARKS: Final[dict[Fate, tuple[str, str]]] = {
    "ok": ("✓", "+"),
    "failed": ("✗", "x"),
    "unknown": ("?", "?"),
    "degraded": ("◆", "!"),
    "cached": ("●", "o"),
    "skipped": ("–", "-"),  # noqa: RUF001 - a dash
    "cancelled": ("■", "#"),
    "running": ("…", "~"),
}
"""What each is marked with, and in ASCII."""


@dataclass(frozen=True, slots=True)
class NodeResult:
    """What has become of an endpoint.

    Attributes:
        fate: Of its call; of many the worst that there was.
        lines: What is said about it, at most three short lines.
        shares: How many of its calls ended so, as parts of all; none for a single call.
    """

    fate: Fate
    lines: tuple[str, ...]
    shares: tuple[Share, ...] = ()

    @property
    def is_reached(self) -> bool:
        """Whether there was a call at all."""
        return self.fate != "skipped"


FATES: Final[dict[Fate, tuple[str, str]]] = {
    "ok": ("#1a7f37", "#3fb950"),
    "failed": ("#cf222e", "#f85149"),
    "unknown": ("#8250df", "#ab7df8"),
    "degraded": ("#b07a00", "#d29922"),
    "cached": ("#0969da", "#4493f8"),
    "skipped": ("#818b98", "#656c76"),
    "cancelled": ("#59636e", "#9198a1"),
    "running": ("#0969da", "#4493f8"),
}
"""The colour of each, in light and in dark."""

PALETTE: Final = Palette(
    {**{f"r-{fate}": colours[0] for fate, colours in FATES.items()}, "sign": "#ffffff"},
    {**{f"r-{fate}": colours[1] for fate, colours in FATES.items()}, "sign": "#0d1117"},
    {
        **{f"r-{fate}": (f"r-{fate}", None) for fate in FATES},
        **{f"k-{fate}": ("card", f"r-{fate}") for fate in FATES},
        "sign": (None, "sign"),
        "dots": ("sign", None),
        "rule": (None, "frame-edge"),
    },
)
"""`r-`: filled; `k-`: a card with such a border."""
