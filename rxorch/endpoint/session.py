"""InSession: an observable that keeps its caller's HTTP session open while it is subscribed."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, TypeVar

from reactivex.abc import DisposableBase, ObserverBase

from rxorch_operators.core.demand import DemandScheduler
from rxorch_operators.core.stage import Link, Stage

if TYPE_CHECKING:
    from rxorch.endpoint.caller import Caller

T = TypeVar("T")

__all__ = ["InSession"]


class InSession(Stage[T]):
    """Enters the caller at subscription and leaves it at the end; the last one to leave closes the session.

    Within the caller's own `async with` it does nothing: the block closes it.
    """

    def __init__(self, source: Stage[T], caller: Caller) -> None:
        self.source = source
        self.caller = caller

    def attach(self, sink: ObserverBase[Any], scheduler: DemandScheduler) -> DisposableBase:
        if self.caller.is_open:
            return self.source.attach(sink, scheduler)
        link = _SessionLink(sink, self.caller, scheduler.tasks)
        try:
            return link.connect(self.source, scheduler)
        except BaseException:
            link.leave()
            raise


class _SessionLink(Link):
    __slots__ = ("_caller", "_left", "_tasks")

    def __init__(self, sink: ObserverBase[Any], caller: Caller, tasks: set[asyncio.Task[Any]]) -> None:
        super().__init__(sink)
        self._caller = caller
        self._tasks = tasks
        self._left = False
        caller.enter()

    def leave(self) -> None:
        """Leaves the session, once."""
        if self._left:
            return
        self._left = True
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            return  # the loop is gone, and its session with it
        if not self._caller.release():
            return
        task = loop.create_task(self._caller.close_unused())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def on_error(self, error: Exception) -> None:
        self.leave()
        self.sink.on_error(error)

    def on_completed(self) -> None:
        self.leave()
        self.sink.on_completed()

    def dispose(self) -> None:
        super().dispose()
        self.leave()
