"""Text for terminals and for everything else."""

from __future__ import annotations

import io

import pytest

from rxorch.terminal.ink import Ink, columns, share


class Stream(io.StringIO):
    """A stream that may be a terminal, in any encoding."""

    def __init__(self, *, tty: bool = True, encoding: str = "utf-8") -> None:
        super().__init__()
        self._tty = tty
        self._encoding = encoding

    def isatty(self) -> bool:
        return self._tty

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return self._encoding


@pytest.mark.parametrize(
    ("tty", "environ", "colour", "live"),
    [
        (True, {"TERM": "xterm"}, True, True),
        (True, {"TERM": "xterm", "NO_COLOR": "1"}, False, True),
        (True, {"TERM": "xterm", "NO_COLOR": ""}, True, True),
        (True, {"TERM": "dumb"}, False, False),
        (False, {"TERM": "xterm"}, False, False),
    ],
)
def test_colour_and_redrawing_only_where_wanted(
    tty: bool, environ: dict[str, str], colour: bool, live: bool
) -> None:
    ink = Ink.of(Stream(tty=tty), environ)
    assert (ink.colour, ink.live) == (colour, live)


@pytest.mark.parametrize(
    ("encoding", "sign"), [("utf-8", "█"), ("ascii", "#"), ("latin-1", "#"), ("nonsense", "#")]
)
def test_signs_that_the_stream_cannot_write_are_replaced(encoding: str, sign: str) -> None:
    assert Ink.of(Stream(encoding=encoding), {}).sign("█", "#") == sign


def test_colour_codes_have_no_width() -> None:
    ink = Ink(colour=True)
    assert columns([[ink("a", "red", "bold"), "1"], ["bcd", "22"]], "><") == [
        "  \x1b[31;1ma\x1b[0m  1",
        "bcd  22",
    ]


def test_lines_have_no_spaces_at_their_end() -> None:
    assert columns([["a", ""], ["b", "c"]], "<<") == ["a", "b  c"]
    assert columns([], "<<") == []


def test_share_of_nothing() -> None:
    assert (share(1, 8), share(0, 0)) == ("12.5 %", "-")
