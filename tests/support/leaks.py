"""What a test left behind on its event loop: tasks, timers, sockets, errors that nobody took."""

from __future__ import annotations

import asyncio
from typing import Any

__all__ = ["LeakCheck"]

_TURNS = 25
"""Turns of the loop in which cancelled tasks and closed transports may finish."""


class LeakCheck:
    """Watches one event loop from its making on; ``await finish()`` names what is still there.

    Call both from one task of that loop. Errors that asyncio would only log (a callback that raised, a task
    whose exception was never retrieved) count as left behind, unless the test sets its own exception handler.
    """

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._tasks = set(asyncio.all_tasks())
        self._scheduled = set(self._timers())
        self._sockets = self._open_sockets()
        self._errors: list[str] = []
        self._loop.set_exception_handler(self._note_error)

    async def finish(self) -> list[str]:
        """Return one line for each thing left behind, and cancel the tasks among them."""
        for _ in range(_TURNS):
            if not self._left():
                break
            await asyncio.sleep(0)
        left = [*self._left(), *self._errors]
        for task in self._pending():
            task.cancel()
        return left

    def _left(self) -> list[str]:
        tasks = [f"task {task.get_name()}: {_where(task)}" for task in self._pending()]
        timers = [f"timer {timer!r}" for timer in self._timers() if timer not in self._scheduled]
        sockets = [f"socket {item!r}" for item in self._open_sockets() - self._sockets]
        return tasks + timers + sockets

    def _pending(self) -> list[asyncio.Task[Any]]:
        ours = {*self._tasks, asyncio.current_task()}
        return [task for task in asyncio.all_tasks() if task not in ours]

    def _timers(self) -> list[asyncio.TimerHandle]:
        # asyncio tells nobody which timers and sockets it holds; another loop than its own has none of this.
        scheduled = getattr(self._loop, "_scheduled", ())
        return [timer for timer in scheduled if not timer.cancelled()]

    def _open_sockets(self) -> set[str]:
        selector = getattr(self._loop, "_selector", None)
        if selector is None:
            return set()
        return {repr(key.fileobj) for key in selector.get_map().values()}

    def _note_error(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        self._errors.append(f"error {context.get('message')}: {context.get('exception')!r}")


def _where(task: asyncio.Task[Any]) -> str:
    frames = task.get_stack(limit=1)
    if not frames:
        return repr(task.get_coro())
    return f"{task.get_coro()!r} at {frames[0].f_code.co_filename}:{frames[0].f_lineno}"
