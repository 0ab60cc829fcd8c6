"""How each kind of segment looks: colours, patterns, words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from rxorch.draw.theme import Palette
from rxorch.draw.timeline.records import SegmentKind

__all__ = ["DEFS", "DOTS", "FILLS", "PALETTE", "SIGNS", "WORDS"]

_K = SegmentKind

WORDS: Final[Mapping[SegmentKind, str]] = {
    _K.OK: "request",
    _K.FAILED: "failed",
    _K.TIMEOUT: "timeout",
    _K.CANCELLED: "cancelled",
    _K.RUNNING: "under way",
    _K.BACKOFF: "back-off",
    _K.RETRY_AFTER: "Retry-After",
    _K.RATE_LIMIT: "rate limit",
    _K.PERMIT: "permit",
    _K.PLACE: "queued",
    _K.SHARED: "shared answer",
    _K.WORK: "own code",
}
"""What they are called, in the order of a legend."""

SIGNS: Final[Mapping[SegmentKind, tuple[str, str]]] = {
    _K.OK: ("█", "#"),
    _K.FAILED: ("x", "x"),
    _K.TIMEOUT: ("X", "X"),
    _K.CANCELLED: ("-", "-"),
    _K.RUNNING: ("▒", "%"),
    _K.BACKOFF: ("~", "~"),
    _K.RETRY_AFTER: ("≈", "="),
    _K.RATE_LIMIT: (":", ":"),
    _K.PERMIT: (";", ";"),
    _K.PLACE: ("·", "."),
    _K.SHARED: ("░", "s"),
}
"""What they are in a line of text, and in one of ASCII. Own code is left blank."""

_LIGHT: Final = {
    "ok": "#54aeff",
    "ok-ink": "#0a3069",
    "failed": "#ffaba8",
    "failed-ink": "#82071e",
    "timeout": "#a40e26",
    "timeout-ink": "#ffffff",
    "cancelled": "#c4cbd3",
    "cancelled-ink": "#424a53",
    "running": "#b6e3ff",
    "running-ink": "#0550ae",
    "backoff": "#d4a72c",
    "retry_after": "#fb8f44",
    "dot": "#818b98",
    "work": "#d1d9e0",
    "shared": "#80ccff",
    "zebra": "#f6f8fa",
    "grid": "#e3e8ed",
    "cache": "#1a7f37",
    "substitute": "#bf8700",
}
_DARK: Final = {
    "ok": "#388bfd",
    "ok-ink": "#ffffff",
    "failed": "#8e2a2a",
    "failed-ink": "#ffdcd7",
    "timeout": "#ff7b72",
    "timeout-ink": "#3c0008",
    "cancelled": "#484f58",
    "cancelled-ink": "#d1d7e0",
    "running": "#1b4b91",
    "running-ink": "#cae8ff",
    "backoff": "#bb8009",
    "retry_after": "#db6d28",
    "dot": "#8b949e",
    "work": "#30363d",
    "shared": "#1f6feb",
    "zebra": "#151b23",
    "grid": "#262c36",
    "cache": "#3fb950",
    "substitute": "#d29922",
}

_PLAIN: Final = (
    "ok",
    "failed",
    "timeout",
    "cancelled",
    "running",
    "backoff",
    "retry_after",
    "work",
    "shared",
)

PALETTE: Final = Palette(
    _LIGHT,
    _DARK,
    {
        **{f"w-{name}": (name, None) for name in _PLAIN},
        **{f"w-{name}-ink": (f"{name}-ink", None) for name in _PLAIN[:5]},
        "w-zebra": ("zebra", None),
        "w-grid": (None, "grid"),
        "w-dots": (None, "dot"),
        "w-path": (None, "ink"),
        "w-cache": ("cache", "paper"),
        "w-substitute": ("substitute", "paper"),
        "w-breaker": ("delete", "paper"),
        "w-zigzag": (None, "line"),
    },
)

FILLS: Final[Mapping[SegmentKind, str]] = {
    **{
        kind: f'class="w-{kind}"'
        for kind in (_K.OK, _K.FAILED, _K.TIMEOUT, _K.CANCELLED, _K.RUNNING, _K.WORK)
    },
    _K.BACKOFF: 'fill="url(#backoff)"',
    _K.RETRY_AFTER: 'fill="url(#retry)"',
    _K.SHARED: 'fill="url(#shared)"',
}
"""What fills those that are drawn as bars, as an attribute."""

DOTS: Final[Mapping[SegmentKind, tuple[str, tuple[float, ...]]]] = {
    _K.RATE_LIMIT: ("0.1 5", (-2.5, 2.5)),
    _K.PERMIT: ("5 4", (0.0,)),
    _K.PLACE: ("0.1 5", (0.0,)),
}
"""The waits that are drawn as lines of dots or dashes: their pattern, and how far off the middle."""


def _hatch(name: str, kind: str, angle: int) -> str:
    return (
        f'<pattern id="{name}" width="6" height="6" patternUnits="userSpaceOnUse" '
        f'patternTransform="rotate({angle})"><rect class="w-{kind}" width="3" height="6"/></pattern>'
    )


DEFS: Final = "".join(
    [
        _hatch("backoff", "backoff", 45),
        _hatch("retry", "retry_after", -45),
        _hatch("shared", "shared", 90),
    ]
)
