"""A running awaitable whose result goes to a sink."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from contextvars import Context
from typing import Any, Final

from reactivex.abc import DisposableBase, ObserverBase

__all__ = ["ENDS_THE_TASK", "NEEDS_A_LOOP", "NOBODY", "AsyncCall"]

ENDS_THE_TASK: Final = (asyncio.CancelledError, KeyboardInterrupt, SystemExit)
"""What a task has to end with; another `BaseException` is told to the sink and that is all."""

NEEDS_A_LOOP: Final = "an async function needs a running event loop: subscribe inside a coroutine"


class AsyncCall(DisposableBase):
    """A running awaitable whose result goes to a sink; disposing it cancels its task.

    Args:
        awaitable: What to await.
        sink: Told the result.
        tasks: Those of the subscription; the call is one of them while it runs.
        context: The context variables that the task runs with; it is entered and must be nobody else's.

    The result is delivered from inside the task: one turn of the loop less than a done callback.
    """

    __slots__ = ("_awaitable", "_sink", "_task", "_tasks")

    def __init__(
        self,
        awaitable: Awaitable[Any],
        sink: ObserverBase[Any],
        tasks: set[asyncio.Task[Any]],
        context: Context,
    ) -> None:
        self._sink = sink
        self._awaitable: Awaitable[Any] | None = awaitable
        self._tasks = tasks
        self._task: asyncio.Task[None] | None = None
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            self._close_unstarted()
            raise RuntimeError(NEEDS_A_LOOP) from None
        task = loop.create_task(self._deliver(awaitable), context=context)
        if not task.done():  # an eager task factory runs it at once, up to its first wait or to its end
            self._task = task
            tasks.add(task)

    async def _deliver(self, awaitable: Awaitable[Any]) -> None:
        self._awaitable = None
        try:
            value = await awaitable
        except Exception as error:
            self._end().on_error(error)
        except GeneratorExit:  # thrown away with its loop: nobody is there any more
            raise
        except BaseException as error:  # a cancellation, or an exit: whoever waits must hear of it
            self._end().on_error(error)  # type: ignore[arg-type]
            if isinstance(error, ENDS_THE_TASK):
                raise
        else:
            sink = self._end()
            only = getattr(sink, "on_only", None)
            if only is not None:
                only(value)
                return
            self._sink = sink  # dispose() from inside on_next must keep on_completed from following
            sink.on_next(value)
            self._sink.on_completed()

    def _end(self) -> ObserverBase[Any]:
        """The task is done but for the delivery: disposing must not cancel it any more."""
        task, self._task = self._task, None
        if task is None:
            self._tasks.discard(asyncio.current_task())
        else:
            self._tasks.discard(task)
        sink, self._sink = self._sink, NOBODY
        return sink

    def _close_unstarted(self) -> None:
        awaitable, self._awaitable = self._awaitable, None
        close = getattr(awaitable, "close", None)
        if close is not None:
            close()

    def dispose(self) -> None:
        """Cancels the task; nothing is delivered any more."""
        self._sink = NOBODY
        task, self._task = self._task, None
        if task is None:
            return
        task.cancel()
        if self._awaitable is not None:  # a task cancelled before its first step never runs its code
            self._tasks.discard(task)
            self._close_unstarted()


class _Nobody(ObserverBase[Any]):
    __slots__ = ()

    def on_next(self, value: Any) -> None:
        """Nobody listens."""

    def on_error(self, error: Exception) -> None:
        """Nobody listens."""

    def on_completed(self) -> None:
        """Nobody listens."""


NOBODY = _Nobody()
"""The sink of what was disposed."""
