"""Boards: how far a stream is, live on a terminal or line by line elsewhere."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Collection
from typing import TYPE_CHECKING, Protocol, TextIO

from rxorch.terminal.ink import Ink, count

if TYPE_CHECKING:
    from rich.live import Live

__all__ = ["Board", "LiveBoard", "PlainBoard", "Progress", "board_for", "shown"]

_LIVE_EVERY = 0.1
_PLAIN_EVERY = 1.0
_SHORTEST_BAR, _LONGEST_BAR = 8, 40
_BESIDE_BAR = 62
_IN_THE_FIRST_LINE = 3


class Progress(Protocol):
    """What a board shows."""

    @property
    def done(self) -> int:
        """Inputs that have ended."""

    @property
    def total(self) -> int | None:
        """Inputs in all; None where nobody knows."""

    @property
    def open_breakers(self) -> Collection[str]:
        """Endpoints whose circuit is open."""

    def facts(self) -> list[tuple[str, str]]:
        """What to show beside the bar: label and value, the most important first."""


class Board(Protocol):
    """Shows progress. ``every``: seconds between two looks."""

    every: float

    def show(self, progress: Progress) -> None:
        """Show how it stands."""

    def close(self, progress: Progress) -> None:
        """Show how it ended, and give the terminal back."""


class PlainBoard:
    """A line a second, for pipes, logs and terminals that cannot redraw."""

    every = _PLAIN_EVERY

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def show(self, progress: Progress) -> None:
        """Print one line."""
        done = _done(progress)
        facts = "  ".join(f"{label} {value}" for label, value in progress.facts())
        breakers = f"  open: {', '.join(sorted(progress.open_breakers))}" if progress.open_breakers else ""
        print(f"  {done}  {facts}{breakers}", file=self._stream, flush=True)

    def close(self, progress: Progress) -> None:
        """Print the last line."""
        self.show(progress)


class LiveBoard:
    """A bar and two lines that redraw themselves. Needs rich and a terminal."""

    every = _LIVE_EVERY

    def __init__(self, stream: TextIO, ink: Ink) -> None:
        from rich.console import Console
        from rich.live import Live

        self._ink = ink
        console = Console(file=stream, no_color=not ink.colour, highlight=False)
        # Without a thread that refreshes: the event loop says when to draw.
        self._live: Live = Live(console=console, auto_refresh=False, transient=True)
        self._live.start()

    def show(self, progress: Progress) -> None:
        """Redraw."""
        from rich.text import Text

        self._live.update(Text.from_ansi("\n".join(self.lines(progress))), refresh=True)

    def close(self, progress: Progress) -> None:
        """Remove the lines: the summary says it all."""
        self._live.stop()

    def lines(self, progress: Progress) -> list[str]:
        """The bar, and the facts below."""
        ink = self._ink
        length = max(_SHORTEST_BAR, min(_LONGEST_BAR, self._live.console.width - _BESIDE_BAR))
        bar = ""
        if progress.total is not None:
            filled = (
                length * min(progress.done, progress.total) // progress.total if progress.total else length
            )
            bar = ink(ink.sign("━", "#") * filled, "green")
            bar += ink(ink.sign("━", ".") * (length - filled), "dim") + "  "
        facts = [f"{ink(label, 'dim')} {value}" for label, value in progress.facts()]
        first = "   ".join(facts[:_IN_THE_FIRST_LINE])
        second = "   ".join(facts[_IN_THE_FIRST_LINE:])
        if progress.open_breakers:
            second += "   " + ink(f"circuit open: {', '.join(sorted(progress.open_breakers))}", "yellow")
        return [f"  {bar}{_done(progress).strip()}   {first}", f"  {second}"]


def _done(progress: Progress) -> str:
    if progress.total is None:
        return count(progress.done)
    total = count(progress.total)
    return f"{count(progress.done):>{len(total)}}/{total}"


def board_for(stream: TextIO, ink: Ink) -> Board:
    """A live board where it can work, else a plain one."""
    if ink.live:
        with contextlib.suppress(ImportError):
            return LiveBoard(stream, ink)
    return PlainBoard(stream)


@contextlib.asynccontextmanager
async def shown(progress: Progress, board: Board) -> AsyncIterator[None]:
    """Show ``progress`` on ``board`` again and again while the block runs."""

    async def again_and_again() -> None:
        while True:
            await asyncio.sleep(board.every)
            board.show(progress)

    showing = asyncio.create_task(again_and_again(), name="progress")
    try:
        yield
    finally:
        showing.cancel()
        await asyncio.wait([showing])
        board.close(progress)
        if not showing.cancelled():
            showing.result()  # it ended by itself, with an error: a pipe without a reader
