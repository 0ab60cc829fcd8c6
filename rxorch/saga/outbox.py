"""The outbox: the events of a journal for whoever publishes them, none lost."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Final

from rxorch.saga.errors import SagaError
from rxorch.saga.journal import Journal
from rxorch.saga.records import AuditEvent

__all__ = ["Delivery", "outbox"]

_MOST: Final = 1_000
"""Events that may wait for their acknowledgement."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """An event of the outbox.

    Attributes:
        event: What happened.
    """

    event: AuditEvent
    _journal: Journal

    async def acknowledge(self) -> None:
        """It was published: it will not come again."""
        await self._journal.acknowledge([self.event.number])


async def outbox(journal: Journal, *, poll: float | None = 1.0, batch: int = 100) -> AsyncIterator[Delivery]:
    """The events of a journal in their order, each until it is acknowledged.

    An event that was not acknowledged comes again with the next iteration, so a publisher that crashed loses
    none and may see some twice: their `number` tells.

    Args:
        journal: An open journal.
        poll: Seconds between looks, when there is nothing; None: end instead.
        batch: Events that are read at once.

    Raises:
        SagaError: 1,000 events were taken and none of them acknowledged.

    >>> import asyncio
    >>> from rxorch.saga import MemoryJournal, outbox
    >>> async def main():
    ...     async with MemoryJournal() as journal:
    ...         return [delivery async for delivery in outbox(journal, poll=None)]
    >>> asyncio.run(main())
    []
    """
    given: set[int] = set()
    while True:
        found = await journal.outbox(len(given) + batch)
        given &= {event.number for event in found}
        fresh = [event for event in found if event.number not in given]
        for event in fresh:
            given.add(event.number)
            yield Delivery(event, journal)
        if len(given) >= _MOST:
            still = {event.number for event in await journal.outbox(len(given))}
            if given <= still:
                raise SagaError(f"{len(given):,} events of the outbox were taken and not acknowledged")
        if fresh:
            continue
        if poll is None:
            return
        await asyncio.sleep(poll)
