"""The jobs that both sides of a comparison do: calls, streams, and who waits for them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from typing import Any, Final

from reactivex import Observable
from reactivex.scheduler.eventloop import AsyncIOScheduler

__all__ = [
    "CALLS",
    "ELEMENTS",
    "ENOUGH",
    "IN_FLIGHT",
    "SECONDS",
    "call",
    "drain",
    "in_tasks",
    "numbers",
    "pool",
    "subscribe_each",
    "task_of",
]

IN_FLIGHT: Final = 100
"""Calls in flight at once, where there are several."""

ELEMENTS: Final = 10_000
"""Elements in a round."""

CALLS: Final = 500
"""Calls in a round."""

ENOUGH: Final = 10**9
"""A limit that is never met."""

SECONDS: Final = 30.0
"""A time that never runs out."""


async def call(number: int) -> int:
    """Stands for a request: one turn of the event loop."""
    await asyncio.sleep(0)
    return number


def task_of(number: int) -> asyncio.Task[int]:
    """The call, under way."""
    return asyncio.get_running_loop().create_task(call(number))


async def numbers(count: int) -> AsyncIterator[int]:
    """An async source that never waits."""
    for number in range(count):
        yield number


async def pool(function: Callable[[int], Awaitable[object]], count: int) -> None:
    """Awaits the function for each number, `IN_FLIGHT` of them at once."""
    left = iter(range(count))

    async def worker() -> None:
        for number in left:
            await function(number)

    await asyncio.gather(*(worker() for _ in range(min(IN_FLIGHT, count))))


async def in_tasks(count: int) -> None:
    """The calls alone, each in a task: what whoever runs them has to pay."""

    async def in_task(number: int) -> None:
        await task_of(number)

    await pool(in_task, count)


def _ignore(_: object) -> None:
    """A consumer that costs as little as a consumer can."""


async def drain(source: Observable[Any]) -> None:
    """Subscribes as a user does, with callbacks, and waits for the end."""
    loop = asyncio.get_running_loop()
    ended: asyncio.Future[None] = loop.create_future()
    source.subscribe(
        on_next=_ignore,
        on_error=ended.set_exception,
        on_completed=partial(ended.set_result, None),
        scheduler=AsyncIOScheduler(loop),
    )
    await ended


async def subscribe_each(make: Callable[[int], Observable[Any]], count: int) -> None:
    """The same for many observables, one for each number, `IN_FLIGHT` of them at once."""
    loop = asyncio.get_running_loop()
    scheduler = AsyncIOScheduler(loop)

    async def subscribed(number: int) -> None:
        ended: asyncio.Future[None] = loop.create_future()
        make(number).subscribe(
            on_next=_ignore,
            on_error=ended.set_exception,
            on_completed=partial(ended.set_result, None),
            scheduler=scheduler,
        )
        await ended

    await pool(subscribed, count)
