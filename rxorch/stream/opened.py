"""Opened: a stream whose ledger is opened before its first input is read, and closed after all records."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

from reactivex.abc import DisposableBase, ObserverBase

from rxorch.ledger import Ledger
from rxorch.stream.run import Run
from rxorch_operators.core.demand import DemandScheduler
from rxorch_operators.core.stage import Link, Stage

__all__ = ["Opened"]


class Opened(Stage[Run]):
    """The records of a stream, with its ledger open.

    Args:
        source: The records.
        ledger: What is opened at subscription. Its end is awaited before that of the stream is told.
        resume: Whether it may have records already.
    """

    def __init__(self, source: Stage[Run], ledger: Ledger, *, resume: bool) -> None:
        self.source = source
        self.ledger = ledger
        self.resume = resume

    def attach(self, sink: ObserverBase[Any], scheduler: DemandScheduler) -> DisposableBase:
        link = _OpenedLink(sink, self, scheduler)
        link.open()
        return link


class _OpenedLink(Link):
    __slots__ = ("_is_open", "_scheduler", "_stage")

    def __init__(self, sink: ObserverBase[Any], stage: Opened, scheduler: DemandScheduler) -> None:
        super().__init__(sink)
        self._stage = stage
        self._scheduler = scheduler
        self._is_open = False

    def open(self) -> None:
        """Begins to open the ledger."""
        self._in_background(self._opening())

    def _in_background(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        tasks = self._scheduler.tasks  # who closes the stream waits for them
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    async def _opening(self) -> None:
        stage = self._stage
        try:
            await stage.ledger.open(resume=stage.resume)
        except Exception as error:
            if not self.is_disposed:
                self.sink.on_error(error)
            return
        if self.is_disposed:
            await stage.ledger.aclose()
            return
        self._is_open = True
        try:
            self.connect(stage.source, self._scheduler)
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
            await self._stage.ledger.aclose()
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
        if not self._is_open:
            return
        self._is_open = False
        try:
            self._in_background(self._stage.ledger.aclose())
        except RuntimeError:
            self._stage.ledger.close()  # without a loop there is nobody to wait for
