"""How far the stream of orders is: collected from its events, shown live or once a second."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol, TextIO

from rxorch import events as ev
from rxorch.demo.calls import short
from rxorch.demo.ink import Ink, count, milliseconds
from rxorch.observe.histogram import Histogram

if TYPE_CHECKING:
    from rich.live import Live

__all__ = ["Board", "Progress", "board_for", "shown"]

_LIVE_EVERY = 0.1
_PLAIN_EVERY = 1.0
_SHORTEST_BAR, _LONGEST_BAR = 8, 40
_BESIDE_BAR = 62


@dataclass(slots=True)
class Progress:
    """The state of a stream of ``total`` inputs of which ``cap`` may be in flight at once."""

    total: int
    cap: int
    clock: Callable[[], float] = time.monotonic
    ok: int = 0
    failed: int = 0
    in_flight: int = 0
    retries: int = 0
    attempt_failures: Counter[str] = field(default_factory=Counter)
    breaker_changes: list[ev.BreakerChanged] = field(default_factory=list)
    open_breakers: set[str] = field(default_factory=set)
    durations: Histogram = field(default_factory=Histogram)
    began: float = 0.0

    def start(self) -> None:
        """The clock runs from now on."""
        self.began = self.clock()

    def on_event(self, event: ev.Event) -> None:
        """Take one record of the orchestrator's event stream."""
        match event:
            case ev.RunStarted():
                self.in_flight += 1
            case ev.RunFinished():
                self.in_flight -= 1
            case ev.AttemptFailed(error=error):
                self.attempt_failures[short(error)] += 1
            case ev.AttemptStarted(attempt=attempt):
                # Not the waits: one may end without an attempt, when the circuit has opened meanwhile.
                self.retries += attempt > 1
            case ev.BreakerChanged(endpoint=endpoint, new=new):
                self.breaker_changes.append(event)
                (self.open_breakers.discard if new == "closed" else self.open_breakers.add)(endpoint)

    def on_run(self, ok: bool, duration: float) -> None:
        """Take one finished input."""
        self.ok += ok
        self.failed += not ok
        self.durations.add(duration)

    @property
    def done(self) -> int:
        """Inputs that have ended."""
        return self.ok + self.failed

    @property
    def seconds(self) -> float:
        """Time since the beginning."""
        return self.clock() - self.began

    @property
    def rate(self) -> float:
        """Inputs per second since the beginning."""
        return self.done / self.seconds if self.seconds > 0 else 0.0

    def facts(self) -> list[tuple[str, str]]:
        """What to show beside the bar: label and value."""
        p50, p95 = (milliseconds(self.durations.percentile(fraction)) for fraction in (0.5, 0.95))
        return [
            ("ok", count(self.ok)),
            ("failed", count(self.failed)),
            ("retried", count(self.retries)),
            ("in flight", f"{self.in_flight}/{self.cap}"),
            ("rate", f"{self.rate:.0f}/s"),
            ("p50", p50),
            ("p95", p95),
        ]


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
        done = f"{count(progress.done):>{len(count(progress.total))}}/{count(progress.total)}"
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
        filled = length * progress.done // progress.total if progress.total else length
        bar = ink(ink.sign("━", "#") * filled, "green") + ink(ink.sign("━", ".") * (length - filled), "dim")
        facts = dict(progress.facts())
        first = "   ".join(f"{ink(label, 'dim')} {facts.pop(label)}" for label in ("ok", "failed", "retried"))
        second = "   ".join(f"{ink(label, 'dim')} {value}" for label, value in facts.items())
        if progress.open_breakers:
            second += "   " + ink(f"circuit open: {', '.join(sorted(progress.open_breakers))}", "yellow")
        return [f"  {bar}  {count(progress.done)}/{count(progress.total)}   {first}", f"  {second}"]


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
