"""A coroutine that waits in the line of a rate limiter."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from ._rate_queue import RateQueue, Ticket

__all__ = ["wait_for_room"]


async def wait_for_room(
    queue: RateQueue[Any], cost: int, patience: float, error: Callable[[float], Exception]
) -> None:
    """Waits until there is room for the cost, and takes it.

    Args:
        queue: The line to wait in.
        cost: What to take.
        patience: Seconds to wait at most.
        error: Makes the error for a wait that cannot end in time, from the seconds that it would take.
    """
    granted: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def grant() -> None:
        if granted.done():  # cancelled, and the task has not run yet to leave the line
            queue.give_back(ticket.taken, cost)
        else:
            granted.set_result(None)

    def refuse(_: RateQueue[Any], wait: float) -> None:
        if not granted.done():
            granted.set_exception(error(wait))

    now = queue.clock().now()
    ticket = Ticket((queue,), cost, now + patience, grant, refuse)
    try:
        ticket.join_next(now)
        await granted
    except BaseException:
        if granted.done() and not granted.cancelled() and granted.exception() is None:
            # Cancelled after the grant, before this task ran again: nobody is going to leave on it.
            queue.give_back(ticket.taken, cost)
        else:
            ticket.leave()
        raise
