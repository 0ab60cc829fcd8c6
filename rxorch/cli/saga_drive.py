"""``rxorch saga resume`` and ``rxorch saga retry``: going on with runs until they are over."""

from __future__ import annotations

import asyncio
import logging
import sys
from collections import Counter
from collections.abc import Callable, Collection, Coroutine, Iterator
from contextlib import AsyncExitStack, contextmanager
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from rxorch.blocking import run_blocking
from rxorch.cli.exits import FAILED, INTERRUPTED, OK, escape_signs
from rxorch.cli.interrupts import signals
from rxorch.cli.saga_flows import JournalPath, RunId, SagaFlow, saga_errors, saga_of
from rxorch.errors import ApiError
from rxorch.terminal.boards import board_for, shown
from rxorch.terminal.ink import Ink, count, counted

if TYPE_CHECKING:
    from rxorch.saga import Saga, SagaRun

__all__ = ["resume", "retry"]

_EVERY: Final = 0.5
"""Seconds between looks at runs that others drive."""


def resume(
    flow: SagaFlow,
    journal: JournalPath,
    max_concurrent: Annotated[int, typer.Option(min=1, help="Runs under way at once.")] = 50,
    wait: Annotated[
        bool, typer.Option("--wait", help="Wait for the leases of others to end, and go on with theirs.")
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress and no summary.")] = False,
) -> None:
    """Go on with all runs of a saga that are not over, and wait for their end.

    Exits with 0 if all are completed or undone, with 1 if one of them failed or is driven by somebody else.
    """
    raise typer.Exit(_carried_out(flow, journal, lambda saga: _resumed(saga, max_concurrent, wait, quiet)))


def retry(flow: SagaFlow, journal: JournalPath, run_id: RunId) -> None:
    """Try again what made a run a dead letter, and wait for its end.

    Exits with 0 if it is completed or undone then, with 1 if it failed again.
    """
    raise typer.Exit(_carried_out(flow, journal, lambda saga: _retried(saga, run_id)))


class _Going:
    """How far it is: a `Progress`."""

    open_breakers: Collection[str] = ()

    def __init__(self, total: int) -> None:
        self.total: int | None = total
        self.ended: Counter[str] = Counter()
        self.in_flight: dict[asyncio.Task[str], str] = {}
        self.stuck: set[str] = set()

    @property
    def done(self) -> int:
        """Runs that are over, or cannot be driven."""
        return self.ended.total()

    def facts(self) -> list[tuple[str, str]]:
        """What became of them."""
        ended = self.ended
        return [
            ("completed", count(ended["completed"])),
            ("undone", count(ended["compensated"])),
            ("failed", count(ended["failed"])),
            ("in flight", count(len(self.in_flight))),
        ]


def _carried_out(flow: str, path: str, work: Callable[[Saga], Coroutine[Any, Any, int]]) -> int:
    from rxorch.saga import SqliteJournal
    from rxorch.saga.reading import reading

    escape_signs()
    with saga_errors():
        with reading(path):  # nothing is made where there is no journal
            pass
        saga = saga_of(flow, SqliteJournal(path))

        async def carry_out() -> int:
            with _interrupts() as stopped:
                try:
                    async with AsyncExitStack() as stack:
                        if saga.client is not None:  # nobody else is here to close it
                            await stack.enter_async_context(saga.client)
                        return await work(await stack.enter_async_context(saga))
                except asyncio.CancelledError:
                    return 128 + stopped[0] if stopped else INTERRUPTED

        try:
            return run_blocking(carry_out)
        except KeyboardInterrupt:  # before or after there was anything to stop
            return INTERRUPTED


@contextmanager
def _interrupts() -> Iterator[list[int]]:
    """Ctrl-C and SIGTERM cancel the task that enters this; the first one's number is in the list."""
    task = asyncio.current_task()
    assert task is not None
    seen: list[int] = []

    def stop(number: int) -> None:
        seen.append(number)
        print("stopping: what is under way can be resumed", file=sys.stderr, flush=True)
        task.cancel()

    with signals(stop):
        yield seen


async def _retried(saga: Saga, run_id: str) -> int:
    from rxorch.saga.picture import plight_of

    result = await (await saga.retry_dead_letter(run_id))
    why = f": {plight_of(result.error)}" if result.state == "failed" and result.error else ""
    typer.echo(f"{run_id}: {result.state}{why}")
    return FAILED if result.state == "failed" else OK


def _is_news(record: logging.LogRecord) -> bool:
    """What is logged of runs that began with other steps is told by this command, once."""
    from rxorch.saga import SagaDefinitionChangedError

    arguments = record.args if isinstance(record.args, tuple) else ()
    return not any(isinstance(each, SagaDefinitionChangedError) for each in arguments)


async def _resumed(saga: Saga, most: int, wait: bool, quiet: bool) -> int:
    unfinished = await _unfinished(saga)
    going = _Going(len(unfinished))
    ink = Ink.of(sys.stderr)
    logger = logging.getLogger("rxorch")
    async with AsyncExitStack() as stack:
        logger.addFilter(_is_news)
        stack.callback(logger.removeFilter, _is_news)
        if unfinished and not quiet:
            await stack.enter_async_context(shown(going, board_for(sys.stderr, ink)))
        left = await _driven(saga, going, most, wait)
    if not quiet:
        _sum_up(going, left, ink)
    return FAILED if going.ended["failed"] or left else OK


async def _driven(saga: Saga, going: _Going, most: int, wait: bool) -> int:
    """Drives what can be driven, some at a time; returns how many runs others drive still."""
    try:
        while True:
            room = most - len(going.in_flight)
            # Those that cannot be driven are found again and again, and before the others.
            for run in await saga.resume(limit=room + len(going.stuck)) if room else ():
                if run.run_id not in going.stuck:
                    going.in_flight[asyncio.create_task(_end_of(run, going))] = run.run_id
            if not going.in_flight:
                left = len(await _unfinished(saga)) - len(going.stuck)
                if left <= 0 or not wait:
                    return max(0, left)
            await _next_end(going)
    finally:
        for task in going.in_flight:
            task.cancel()
        if going.in_flight:
            await asyncio.wait(going.in_flight)


async def _next_end(going: _Going) -> None:
    if not going.in_flight:
        await asyncio.sleep(_EVERY)
        return
    done, _ = await asyncio.wait(going.in_flight, return_when=asyncio.FIRST_COMPLETED, timeout=_EVERY)
    for task in done:
        del going.in_flight[task]
        going.ended[task.result()] += 1


async def _end_of(run: SagaRun, going: _Going) -> str:
    from rxorch.saga.picture import plight_of

    try:
        result = await run
    except Exception as error:  # of this run alone: it is not what its saga is now, or cannot be written
        going.stuck.add(run.run_id)
        told = (
            error.message if isinstance(error, ApiError) else f"{run.run_id}: {type(error).__name__}: {error}"
        )
        typer.echo(f"rxorch: {told}", err=True)
        return "failed"
    if result.state == "failed" and result.error is not None:
        typer.echo(f"{run.run_id}: failed: {plight_of(result.error)}", err=True)
    return str(result.state)


async def _unfinished(saga: Saga) -> list[str]:
    """The runs that are not over."""
    from rxorch.saga import SagaState

    states = [state for state in SagaState if not state.is_over]
    found: list[str] = []
    while True:
        page = await saga.runs(states, limit=1_000, after=found[-1] if found else None)
        found += [run.run_id for run in page]
        if len(page) < 1_000:
            return found


def _sum_up(going: _Going, left: int, ink: Ink) -> None:
    ended = going.ended
    parts = [
        counted(ended.total(), "run"),
        ink(f"{count(ended['completed'])} completed", "green"),
        f"{count(ended['compensated'])} undone",
        ink(f"{count(ended['failed'])} failed", "red") if ended["failed"] else "0 failed",
    ]
    if left:
        parts.append(f"{count(left)} driven by others (--wait goes on with them when their lease ends)")
    typer.echo(", ".join(parts), err=True)
