"""Watch: who waits for runs, and for what is written of them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from copy import copy
from typing import TYPE_CHECKING, Final
from weakref import WeakValueDictionary

from pydantic_core import from_json

from rxorch.saga.errors import JournalError, SagaError, UnknownRunError
from rxorch.saga.journal import Journal
from rxorch.saga.records import AuditEvent, RunRecord, SagaState
from rxorch.saga.run import SagaResult

if TYPE_CHECKING:
    from rxorch.saga.drive import Drive

__all__ = ["Watch"]

_POLL: Final = 0.5
"""Seconds between looks at runs that other processes drive."""


class Watch:
    """What a saga knows of its runs without asking the journal, and who waits for more.

    Args:
        name: Of the saga.
        journal: Where the runs are kept.

    Attributes:
        drives: The runs that are driven here, each with its task.
        failures: Why runs that were driven here are not any more, though they are not over.
        is_closing: Whether the saga is closed, or being closed.
    """

    def __init__(self, name: str, journal: Journal) -> None:
        self._name = name
        self._journal = journal
        self.drives: dict[str, tuple[Drive, asyncio.Task[None]]] = {}
        self.failures: dict[str, Exception] = {}
        self.is_closing = False
        self._news: WeakValueDictionary[str, asyncio.Event] = WeakValueDictionary()

    def tell(self, run_id: str) -> None:
        """Something was written of a run, or nobody drives it any more."""
        news = self._news.pop(run_id, None)
        if news is not None:
            news.set()

    def tell_all(self) -> None:
        """The saga is being closed."""
        for run_id in tuple(self._news):
            self.tell(run_id)

    def closed(self, run_id: str) -> SagaError:
        """What they are told who wait for a run when the saga is closed."""
        return SagaError(f"saga {self._name!r} was closed before run {run_id!r} was over: it can be resumed")

    async def status(self, run_id: str) -> RunRecord:
        """What the journal knows of a run."""
        run = await self._journal.run(run_id)
        if run is None:
            raise UnknownRunError(f"there is no run {run_id!r}")
        return run

    async def ended(self, run_id: str, adopt: Callable[[RunRecord], Awaitable[None]]) -> SagaResult:
        """Waits for the end of a run, wherever it is driven; `adopt` is given it as it stands meanwhile."""
        while True:
            own = self.drives.get(run_id)
            if own is not None and not self.is_closing:
                await own[0].gone.wait()
                if own[0].result_json is not None:  # as it is in the journal by now
                    return SagaResult(run_id, SagaState.COMPLETED, from_json(own[0].result_json))
            news = self._next(run_id)
            run = await self._looked_at(run_id)
            if run.state.is_over:
                return SagaResult.of(run)
            self._raise_what_keeps_from(run_id)
            await adopt(run)
            await self._wait(news)

    async def events(self, run_id: str) -> AsyncIterator[AuditEvent]:
        """The events of a run from the first on, until it is over."""
        last = 0
        while True:
            news = self._next(run_id)
            run = await self._looked_at(run_id)
            for event in await self._journal.history(run_id, last):
                last = event.number
                yield event
            if run.state.is_over:
                return
            self._raise_what_keeps_from(run_id)
            await self._wait(news)

    def _raise_what_keeps_from(self, run_id: str) -> None:
        """Raises why the end of a run is not to be waited for here."""
        failure = self.failures.get(run_id)
        if failure is not None:
            raise _once_more(failure)
        if self.is_closing:
            raise self.closed(run_id)

    def _next(self, run_id: str) -> asyncio.Event:
        news = self._news.get(run_id)
        if news is None:
            news = self._news[run_id] = asyncio.Event()
        return news

    async def _looked_at(self, run_id: str) -> RunRecord:
        try:
            return await self.status(run_id)
        except JournalError:
            if self.is_closing:
                raise self.closed(run_id) from None
            raise

    async def _wait(self, news: asyncio.Event) -> None:
        """Waits until something may have been written. What other processes write is not told."""
        with suppress(TimeoutError):
            async with asyncio.timeout(_POLL):
                await news.wait()


def _once_more(error: Exception) -> Exception:
    """An error for one more of those who wait: each adds to the traceback of its own."""
    try:
        again = copy(error)
    except Exception:  # its class cannot be made of its arguments
        return error
    again.__cause__ = error.__cause__
    return again.with_traceback(error.__traceback__)
