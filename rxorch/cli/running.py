"""Running a stream of a command to its end: inputs in, records out, progress beside it."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager, AsyncExitStack, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from rxorch.blocking import run_blocking
from rxorch.cli.exits import BROKEN_PIPE, FAILED, INTERRUPTED, OK, USAGE, quiet_pipe
from rxorch.cli.interrupts import interrupts
from rxorch.cli.outputs import Output
from rxorch.cli.progress import StreamProgress
from rxorch.errors import ApiError
from rxorch.ledger import Ledger
from rxorch.orchestrator import APIOrchestrator
from rxorch.sources.reading import Background
from rxorch.stream import RunStream
from rxorch.terminal.boards import Board, board_for, shown
from rxorch.terminal.ink import Ink, count, counted
from rxorch_operators._seconds import seconds_words

if TYPE_CHECKING:
    from rxorch.draw import Recording

__all__ = ["Job", "carry_out"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """What a command has to run.

    Attributes:
        orchestrator: Runs it.
        stream: Makes the stream.
        output: Where its records go.
        replayed: A ledger whose records are written first, so that the output is whole.
        total: Counts the inputs, in a thread; None where nobody can know.
        quiet: Show no progress and no summary.
        report: Where a page about it goes.
        title: Of that page.
    """

    orchestrator: APIOrchestrator
    stream: Callable[[], RunStream]
    output: Output
    replayed: Ledger | None = None
    total: Callable[[], int] | None = None
    quiet: bool = False
    report: Path | None = None
    title: str | None = None


def carry_out(job: Job) -> int:
    """Runs a job and returns the exit code."""
    try:
        return run_blocking(lambda: _Runner(job).run())
    except KeyboardInterrupt:  # before or after there was anything to stop
        return INTERRUPTED


class _Silent:
    """A board that shows nothing."""

    every = 3600.0

    def show(self, progress: Any) -> None:
        """Nothing."""

    def close(self, progress: Any) -> None:
        """Nothing."""


class _Runner:
    def __init__(self, job: Job) -> None:
        self.job = job
        self.ink = Ink.of(sys.stderr)
        self.began = 0.0
        self.failed_before = 0

    async def run(self) -> int:
        loop = asyncio.get_running_loop()
        self.began = loop.time()
        stream = self.job.stream()
        progress = StreamProgress(stream, self.job.orchestrator)
        with self._recorded() as recording:
            code = await self._streamed(stream, progress)
        if not self.job.quiet and code not in (BROKEN_PIPE, USAGE):
            self._sum_up(stream, loop.time() - self.began)
        is_told = recording is None or code == USAGE or self._reported(stream, recording, code)
        if code == OK and (stream.statistics().failed or self.failed_before or not is_told):
            return FAILED
        return code

    def _recorded(self) -> AbstractContextManager[Recording | None]:
        if self.job.report is None:
            return nullcontext()
        from rxorch.draw import record  # only a report needs what draws it

        return record(self.job.orchestrator, limit=1)

    def _reported(self, stream: RunStream, recording: Recording, code: int) -> bool:
        from rxorch.cli.report_file import written
        from rxorch.draw import report

        assert self.job.report is not None
        page = report(
            self.job.orchestrator,
            recording,
            title=self.job.title,
            inputs=stream.statistics(),
            interrupted=code != OK,
        )
        return written(page, self.job.report, quiet=self.job.quiet)

    async def _streamed(self, stream: RunStream, progress: StreamProgress) -> int:
        stopped = None
        try:
            async with AsyncExitStack() as stack:
                stopped = stack.enter_context(interrupts(stream))
                await stack.enter_async_context(self.job.orchestrator)
                output = await stack.enter_async_context(self.job.output)
                if self.job.replayed is not None:
                    self.failed_before = await output.replay(self.job.replayed)
                stack.callback(self._counting(progress).cancel)
                await stack.enter_async_context(shown(progress, self._board()))
                await stack.enter_async_context(stream)
                async for run in stream:
                    progress.on_run(run)
                    await output.write(run)
        except BrokenPipeError:
            quiet_pipe()
            return BROKEN_PIPE
        except asyncio.CancelledError:
            return INTERRUPTED if stopped is None or stopped.signal is None else 128 + stopped.signal
        except (ApiError, OSError, ExceptionGroup) as error:
            self._tell(error)
            return USAGE if stream.statistics().read == 0 else FAILED
        return OK if stopped.signal is None else 128 + stopped.signal

    def _counting(self, progress: StreamProgress) -> asyncio.Task[None]:
        total = self.job.total

        async def count_inputs() -> None:
            if total is None or self.job.quiet:
                return
            background = Background()  # the loop's own threads would be waited for at the end
            try:
                progress.total = await background.call(total)
            except OSError:  # who reads the inputs will say it
                pass
            finally:
                background.close(lambda: None)

        return asyncio.create_task(count_inputs())

    def _board(self) -> Board:
        return _Silent() if self.job.quiet else board_for(sys.stderr, self.ink)

    def _tell(self, error: BaseException) -> None:
        typer.echo(f"rxorch: {error}", err=True)

    def _sum_up(self, stream: RunStream, seconds: float) -> None:
        figures, metrics, ink = stream.statistics(), self.job.orchestrator.get_metrics(), self.ink
        parts = [
            counted(figures.read, "input"),
            ink(f"{count(figures.ok)} ok", "green"),
            ink(f"{count(figures.failed)} failed", "red") if figures.failed else "0 failed",
        ]
        if figures.skipped:
            failed = f", {count(self.failed_before)} of them failed" if self.failed_before else ""
            parts.append(f"{count(figures.skipped)} done before{failed}")
        if figures.repeated:
            parts.append(f"{count(figures.repeated)} repeated")
        if (
            cut_off := figures.read - figures.ok - figures.failed - figures.skipped
        ):  # or nobody took their end
            parts.append(f"{count(cut_off)} cut off")
        rate = (figures.ok + figures.failed) / seconds if seconds > 0 else 0.0
        parts.append(
            f"{counted(metrics.total_requests, 'request')}, {count(metrics.retries)} of them repeats"
        )
        typer.echo(f"{', '.join(parts)}; {seconds_words(seconds)}, {rate:,.0f}/s", err=True)
