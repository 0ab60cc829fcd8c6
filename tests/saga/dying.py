"""A journal as a process sees it that dies at one of its writes."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Sequence

from rxorch.saga import (
    AuditEvent,
    Claim,
    Heard,
    Journal,
    JournalError,
    Lease,
    NewRun,
    RunRecord,
    SagaState,
    Signal,
    StepRecord,
)

__all__ = ["Dying"]


class Dying:
    """A journal of which nothing is to be had after so many writes; what is written before stays.

    Args:
        journal: Where all goes.
        writes: How many writes, posted ones too, are let through.
        is_written: Whether the last one is written, though nobody is told.
        yields: Turns of the loop that a write takes.
    """

    def __init__(self, journal: Journal, writes: int, *, is_written: bool = False, yields: int = 0) -> None:
        self.journal = journal
        self.yields = yields
        self.left = writes
        self.is_written = is_written
        self.is_dead = False
        self.died = asyncio.Event()

    async def open(self) -> None:
        """It is open."""

    async def aclose(self) -> None:
        """Leaves it open, for the next process."""

    def _alive(self) -> None:
        if self.is_dead:
            raise JournalError("the process is gone")

    def _counted(self) -> bool:
        """Counts a write; returns whether it is the last, and is written."""
        self._alive()
        self.left -= 1
        if self.left > 0:
            return False
        self.is_dead = True
        self.died.set()
        if not self.is_written:
            raise JournalError("the process is gone")
        return True

    def post(self, lease: Lease, step: StepRecord) -> None:
        """A write."""
        last = self._counted()
        self.journal.post(lease, step)
        if last:
            raise JournalError("the process is gone")

    async def write(
        self,
        lease: Lease,
        steps: Sequence[StepRecord] = (),
        state: SagaState | None = None,
        *,
        error: dict[str, str] | None = None,
        result_json: bytes | None = None,
        unless: SagaState | None = None,
    ) -> Heard:
        """A write."""
        last = self._counted()
        for _ in range(self.yields):
            await asyncio.sleep(0)
        heard = await self.journal.write(
            lease, steps, state, error=error, result_json=result_json, unless=unless
        )
        if last:
            raise JournalError("the process is gone")
        return heard

    async def create(
        self, new: NewRun, owner: str, seconds: float, steps: Sequence[StepRecord] = ()
    ) -> tuple[Claim, bool]:
        """A write, if steps begin with a run that is new."""
        self._alive()
        last = steps and await self.journal.run(new.run_id) is None and self._counted()
        made = await self.journal.create(new, owner, seconds, steps)
        if last:
            raise JournalError("the process is gone")
        return made

    async def claim(self, run_id: str, owner: str, seconds: float) -> Claim | None:
        """Not counted."""
        self._alive()
        return await self.journal.claim(run_id, owner, seconds)

    async def run(self, run_id: str) -> RunRecord | None:
        """Not counted."""
        self._alive()
        return await self.journal.run(run_id)

    async def runs(
        self,
        saga: str | None = None,
        states: Collection[SagaState] | None = None,
        *,
        limit: int = 100,
        after: str | None = None,
        newest_first: bool = False,
    ) -> list[RunRecord]:
        """Not counted."""
        self._alive()
        return await self.journal.runs(saga, states, limit=limit, after=after, newest_first=newest_first)

    async def count(self, saga: str | None = None, states: Collection[SagaState] | None = None) -> int:
        """Not counted."""
        self._alive()
        return await self.journal.count(saga, states)

    async def steps(self, run_id: str) -> list[StepRecord]:
        """Not counted."""
        self._alive()
        return await self.journal.steps(run_id)

    async def signals(self, run_id: str) -> list[Signal]:
        """Not counted."""
        self._alive()
        return await self.journal.signals(run_id)

    async def history(self, run_id: str, after: int = 0) -> list[AuditEvent]:
        """Not counted."""
        self._alive()
        return await self.journal.history(run_id, after)

    async def unclaimed(self, saga: str, limit: int = 100) -> list[str]:
        """Not counted."""
        self._alive()
        return await self.journal.unclaimed(saga, limit)

    async def renew(self, lease: Lease, seconds: float) -> Heard:
        """Not counted."""
        self._alive()
        return await self.journal.renew(lease, seconds)

    async def release(self, lease: Lease) -> None:
        """Not counted."""
        self._alive()
        await self.journal.release(lease)

    async def request_cancel(self, run_id: str, reason: str = "") -> RunRecord:
        """Not counted."""
        self._alive()
        return await self.journal.request_cancel(run_id, reason)

    async def signal(self, run_id: str, name: str, value_json: bytes) -> bool:
        """Not counted."""
        self._alive()
        return await self.journal.signal(run_id, name, value_json)

    async def reopen(self, run_id: str) -> RunRecord:
        """Not counted."""
        self._alive()
        return await self.journal.reopen(run_id)

    async def outbox(self, limit: int = 100) -> list[AuditEvent]:
        """Not counted."""
        self._alive()
        return await self.journal.outbox(limit)

    async def acknowledge(self, numbers: Collection[int]) -> None:
        """Not counted."""
        self._alive()
        await self.journal.acknowledge(numbers)

    async def prune(self, before: float, *, unpublished: bool = False) -> int:
        """Not counted."""
        self._alive()
        return await self.journal.prune(before, unpublished=unpublished)
