"""Progress: what it counts, and how it is shown."""

from __future__ import annotations

import asyncio
import builtins
from typing import Any

import pytest

from rxorch import ApiHttpError
from rxorch import events as ev
from rxorch.demo.progress import Progress
from rxorch.terminal.boards import LiveBoard, PlainBoard, board_for, shown
from rxorch.terminal.ink import Ink
from tests.terminal.test_ink import Stream


class Clock:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.now = 10.0

    def __call__(self) -> float:
        return self.now


def halfway() -> Progress:
    """A stream of 4 of which 2 are done after 0.5 s, and one is in flight."""
    clock = Clock()
    progress = Progress(4, 50, clock)
    progress.start()
    event: dict[str, Any] = {"at": 10.0, "run": "r", "endpoint": "user"}
    for _ in range(3):
        progress.on_event(ev.RunStarted(10.0, "r", ""))
    progress.on_event(ev.AttemptStarted(**event, attempt=1))
    progress.on_event(ev.AttemptFailed(**event, attempt=1, error=ApiHttpError(503), duration=0.1))
    progress.on_event(ev.RetryWaiting(**event, attempt=1, wait=0.1, error=ApiHttpError(503)))
    progress.on_event(ev.AttemptStarted(**event, attempt=2))
    progress.on_event(ev.BreakerChanged(**event, old="closed", new="open"))
    for status in ("ok", "failed"):
        progress.on_event(ev.RunFinished(10.5, "r", "", status, 0.2))
    progress.on_run(True, 0.2)
    progress.on_run(False, 0.04)
    clock.now += 0.5
    return progress


def test_what_is_counted() -> None:
    progress = halfway()
    assert (progress.done, progress.ok, progress.failed, progress.in_flight) == (2, 1, 1, 1)
    assert (progress.retries, progress.attempt_failures, progress.rate) == (1, {"503": 1}, 4.0)
    assert progress.durations.percentile(0.5) == pytest.approx(0.04, rel=0.01)
    assert progress.durations.percentile(0.95) == pytest.approx(0.2, rel=0.01)
    assert progress.open_breakers == {"user"}
    progress.on_event(ev.BreakerChanged(10.0, "r", "user", "half_open", "closed"))
    assert progress.open_breakers == set()
    assert [change.new for change in progress.breaker_changes] == ["open", "closed"]


def test_a_plain_board_writes_a_line_and_nothing_that_moves() -> None:
    stream = Stream(tty=False)
    board = PlainBoard(stream)
    board.show(halfway())
    # The percentiles are those of a histogram, at most 1 % off.
    assert stream.getvalue() == (
        "  2/4  ok 1  failed 1  retried 1  in flight 1/50  rate 4/s  p50 40 ms  p95 199 ms  open: user\n"
    )


def test_a_live_board_draws_a_bar_of_the_right_length() -> None:
    stream = Stream()
    board = LiveBoard(stream, Ink(live=True))
    progress = halfway()
    first, second = board.lines(progress)
    bar = first.split()[0]
    assert set(bar) == {"━"}
    assert first.endswith("2/4   ok 1   failed 1   retried 1")
    assert second.strip().startswith(
        "in flight 1/50   rate 4/s   p50 40 ms   p95 199 ms   circuit open: user"
    )
    coloured = LiveBoard(stream, Ink(colour=True, live=True)).lines(progress)[0]
    assert coloured.count("━") == len(bar)
    assert coloured.startswith(f"  \x1b[32m{'━' * (len(bar) // 2)}\x1b[0m")


def test_a_live_board_gives_the_terminal_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")  # on a dumb one nothing moves
    stream = Stream()
    board = LiveBoard(stream, Ink(colour=True, live=True))
    board.show(halfway())
    assert "in flight" in stream.getvalue()
    board.close(halfway())
    shown_cursor = stream.getvalue().rindex("\x1b[?25h")
    assert stream.getvalue().rindex("\x1b[?25l") < shown_cursor


def test_the_board_fits_the_stream(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    board = board_for(Stream(), Ink(live=True))
    assert isinstance(board, LiveBoard)
    board.close(halfway())
    assert isinstance(board_for(Stream(tty=False), Ink()), PlainBoard)


def test_without_rich_the_board_is_plain(monkeypatch: pytest.MonkeyPatch) -> None:
    import_module = builtins.__import__

    def no_rich(name: str, *more: Any) -> Any:
        if name.startswith("rich"):
            raise ImportError(name)
        return import_module(name, *more)

    monkeypatch.setattr(builtins, "__import__", no_rich)
    assert isinstance(board_for(Stream(), Ink(live=True)), PlainBoard)


class Recorder:
    """A board that notes what it is told, and says when."""

    every = 0.001

    def __init__(self) -> None:
        self.shown = asyncio.Event()
        self.closed = 0

    def show(self, progress: Progress) -> None:
        self.shown.set()

    def close(self, progress: Progress) -> None:
        self.closed += 1


async def test_progress_is_shown_while_the_block_runs_and_closed_after_an_error() -> None:
    board = Recorder()
    with pytest.raises(RuntimeError, match="over"):
        async with shown(Progress(1, 1), board):
            await board.shown.wait()
            raise RuntimeError("over")
    assert board.closed == 1
    assert not [task for task in asyncio.all_tasks() if task.get_name() == "progress"]
