"""Running a coroutine to its end from code that cannot await."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from importlib import import_module
from importlib.util import find_spec
from typing import Any, TypeVar

__all__ = ["run_blocking", "run_in_thread"]

T = TypeVar("T")


def run_blocking(make: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """`asyncio.run`, on uvloop where that is installed (extra `speed`).

    Args:
        make: Makes the coroutine; called when the loop is there.

    >>> async def answer():
    ...     return 42
    >>> run_blocking(answer)
    42
    """
    factory = import_module("uvloop").new_event_loop if find_spec("uvloop") is not None else None
    with asyncio.Runner(loop_factory=factory) as runner:
        return runner.run(make())


def run_in_thread(make: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Runs a coroutine on a loop of its own in a thread, and waits: for callers whose own thread runs a loop.

    An interrupt of the caller (Ctrl-C, a notebook's stop button) cancels the coroutine and waits for its end.
    """
    outcome: list[T] = []
    failure: list[BaseException] = []
    running: list[tuple[asyncio.AbstractEventLoop, asyncio.Task[Any]]] = []

    async def tracked() -> T:
        task = asyncio.current_task()
        assert task is not None
        running.append((asyncio.get_running_loop(), task))
        return await make()

    def work() -> None:
        try:
            outcome.append(run_blocking(tracked))
        except BaseException as error:
            failure.append(error)

    thread = threading.Thread(target=work, name="rxorch-run", daemon=True)
    thread.start()
    try:
        thread.join()
    except BaseException:
        for loop, task in running:
            loop.call_soon_threadsafe(task.cancel)
        thread.join()
        raise
    if failure:
        raise failure[0]
    return outcome[0]
