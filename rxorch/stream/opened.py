"""Opened: a stream whose ledger is opened before its first input is read, and closed after all records."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

from reactivex.abc import DisposableBase, ObserverBase

from rxorch.endpoint import Caller
from rxorch.errors import ApiError
from rxorch.ledger import LedgerError
from rxorch.stream.control import CLOSED
from rxorch.stream.options import StreamOptions
from rxorch.stream.run import Run
from rxorch_operators.core.demand import DemandScheduler
from rxorch_operators.core.stage import Link, Stage

__all__ = ["Opened"]


class Opened(Stage[Run]):
    """The records of a stream, with its ledger open.

    Args:
        source: The records.
        options: Of the stream, with its ledger: it is opened at subscription, and its end is awaited before
            that of the stream is told.
        caller: By which the runs call. If it is closed while the ledger is opened, nothing is read.
        opening: Has the subscriptions that wait for their ledger.
    """

    def __init__(self, source: Stage[Run], options: StreamOptions, caller: Caller, opening: set[Any]) -> None:
        self.source = source
        self.options = options
        self.caller = caller
        self.opening = opening

    def attach(self, sink: ObserverBase[Any], scheduler: DemandScheduler) -> DisposableBase:
        link = _OpenedLink(sink, self, scheduler)
        link.open()
        return link


class _OpenedLink(Link):
    __slots__ = ("_ended", "_error", "_is_open", "_ledger", "_scheduler", "_siblings", "_stage", "_task")

    def __init__(self, sink: ObserverBase[Any], stage: Opened, scheduler: DemandScheduler) -> None:
        super().__init__(sink)
        self._stage = stage
        self._scheduler = scheduler
        self._is_open = False
        assert stage.options.ledger is not None
        self._ledger = stage.options.ledger
        self._siblings = stage.caller.session().streams
        self._ended = False
        self._error: Exception | None = None

    def open(self) -> None:
        """Begins to open the ledger."""
        self._task = self._in_background(self._opening())
        self._siblings.add(self)
        self._stage.opening.add(self)

    def drain(self) -> None:
        """Ends before the first input is read."""
        self._ended = True

    def abort(self) -> None:
        """The same, because the client is closed."""
        self._ended = True
        self._error = ApiError(CLOSED)

    def _opened(self) -> None:
        self._siblings.discard(self)
        self._stage.opening.discard(self)

    def _in_background(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(work)
        tasks = self._scheduler.tasks  # who closes the stream waits for them
        tasks.add(task)
        task.add_done_callback(tasks.discard)
        return task

    async def _opening(self) -> None:
        options = self._stage.options
        try:
            if options.again and not self._ledger.path.exists():
                raise LedgerError(f"there is no ledger {str(self._ledger.path)!r}")
            await self._ledger.open(resume=options.resume)
        except Exception as error:
            if not self.is_disposed:
                self.sink.on_error(error)
            return
        finally:
            self._opened()
        if self.is_disposed:
            await self._ledger.aclose()
            return
        self._is_open = True
        if self._ended:
            self._close(self._error)
            return
        try:
            self.connect(self._stage.source, self._scheduler)
        except Exception as error:
            self.on_error(error)

    def on_error(self, error: Exception) -> None:
        self._close(error)

    def on_completed(self) -> None:
        self._close(None)

    def _close(self, error: Exception | None) -> None:
        self._is_open = False
        self._in_background(self._closing(error))

    async def _closing(self, error: Exception | None) -> None:
        try:
            await self._ledger.aclose()
        except Exception as failure:
            error = error or failure
        if self.is_disposed:
            return
        if error is None:
            self.sink.on_completed()
        else:
            self.sink.on_error(error)

    def dispose(self) -> None:
        if self.is_disposed:
            return
        super().dispose()
        waits = self in self._stage.opening
        self._opened()
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            if self._is_open:
                self._ledger.close()  # without a loop there is nobody to wait for
            return
        if waits:
            self._task.cancel()  # at once: the next stream may want the file
        elif self._is_open:
            self._in_background(self._ledger.aclose())
        self._is_open = False
