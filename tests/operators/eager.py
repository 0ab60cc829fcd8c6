"""A task factory that runs the first step at once, as `asyncio.eager_task_factory` of Python 3.12 does."""

from __future__ import annotations

import asyncio
import types
from collections.abc import Coroutine, Generator
from typing import Any


def eager_task_factory(loop: asyncio.AbstractEventLoop, coroutine: Any, **kwargs: Any) -> asyncio.Future[Any]:
    """Runs a coroutine up to its first wait; what is done by then comes back as a future that is done."""
    if not loop.is_running():
        return asyncio.Task(coroutine, loop=loop, **kwargs)
    try:
        waiting_for = coroutine.send(None)
    except StopIteration as stop:
        done: asyncio.Future[Any] = loop.create_future()
        done.set_result(stop.value)
        return done
    return asyncio.Task(_rest(coroutine, waiting_for), loop=loop, **kwargs)


async def _rest(coroutine: Coroutine[Any, Any, Any], waiting_for: Any) -> Any:
    return await _continue(coroutine, waiting_for)


@types.coroutine
def _continue(coroutine: Coroutine[Any, Any, Any], waiting_for: Any) -> Generator[Any, Any, Any]:
    while True:
        try:
            sent = yield waiting_for
        except BaseException as error:
            step, argument = coroutine.throw, error
        else:
            step, argument = coroutine.send, sent
        try:
            waiting_for = step(argument)
        except StopIteration as stop:
            return stop.value
