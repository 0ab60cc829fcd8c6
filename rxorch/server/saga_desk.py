"""SagaDesk: the sagas of an application: opened with it, resumed, and followed to their ends."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final

from rxorch.errors import ApiError
from rxorch.saga import MemoryJournal, RunRecord, Saga, SagaError, SagaRun, SagaState
from rxorch.server.problems import Problem
from rxorch.server.run_book import Tally
from rxorch.storage import StorageError

__all__ = ["SagaDesk", "journal_problem"]

_log: Final = logging.getLogger("rxorch.server")


def journal_problem(error: Exception) -> Problem:
    """What is answered when a journal cannot be read or written. The log gets the reason."""
    problem = Problem(503, "the journal cannot be used now", headers={"Retry-After": "5"})
    _log.error("%s: %s: %s", problem.id, type(error).__name__, error)
    return problem


class SagaDesk:
    """The sagas of an application.

    Args:
        sagas: By the name by which they are served.
        tallies: Counts their runs, by the same name.
        most: Runs that this process drives, at once.

    Attributes:
        told: Called when a run begins or ends; None: nobody wants to know.
    """

    def __init__(self, sagas: Mapping[str, Saga], tallies: Mapping[str, Tally], most: int) -> None:
        self.sagas = sagas
        self.told: Callable[[str, RunRecord], None] | None = None
        self._tallies = tallies
        self._most = most
        self._starting = 0
        self._followers: dict[str, dict[str, asyncio.Task[None]]] = {name: {} for name in sagas}

    @asynccontextmanager
    async def opened(self, name: str) -> AsyncIterator[None]:
        """Opens a saga. Goes on with its runs that nobody drives, now and twice in the time of a lease."""
        saga = self.sagas[name]
        if isinstance(saga.journal, MemoryJournal):
            _log.warning("the runs of saga %r are kept in memory, all of them: give it a SqliteJournal", name)
        async with saga:
            resuming = asyncio.create_task(self._keep_resuming(name), name=f"resume {name}")
            try:
                yield
            finally:
                resuming.cancel()
                await asyncio.wait([resuming])
        # It is closed: whoever waited for a run of it has been told so.
        if self._followers[name]:
            await asyncio.wait(self._followers[name].values())

    async def start(self, name: str, data: Any, run_id: str | None) -> SagaRun:
        """Begins a run, or finds the one of that id.

        Raises:
            Problem: There are too many, or that id belongs to another run.
        """
        if self._room <= 0:
            raise Problem(503, "too many runs of sagas at once", headers={"Retry-After": "5"})
        self._starting += 1
        try:
            run = await self._started(self.sagas[name], data, run_id)
        finally:
            self._starting -= 1
        self.follow(name, run)
        return run

    @property
    def _room(self) -> int:
        """Runs that this process may drive beside those that it does."""
        return self._most - self._starting - sum(saga.in_flight for saga in self.sagas.values())

    async def _started(self, saga: Saga, data: Any, run_id: str | None) -> SagaRun:
        if run_id is None:
            return await saga.start(data)
        await self._check_key(saga, run_id)
        try:
            return await saga.start(data, run_id=run_id)
        except SagaError:
            await self._check_key(saga, run_id)  # another saga may have begun it meanwhile
            raise

    async def _check_key(self, saga: Saga, run_id: str) -> None:
        for each in self.sagas.values():
            found = await each.journal.run(run_id)
            if found is not None and found.saga != saga.name:
                raise Problem(422, "that Idempotency-Key belongs to a run of another saga")

    async def find(self, run_id: str) -> tuple[str, Saga, RunRecord] | None:
        """A run, with its saga and the name of that; None if there is none."""
        for name, saga in self.sagas.items():
            run = await saga.journal.run(run_id)
            if run is not None and run.saga == saga.name:
                return name, saga, run
        return None

    async def dead_letters(self) -> int:
        """Runs that a person has to look at."""
        counts = [await saga.journal.count(saga.name, [SagaState.FAILED]) for saga in self.sagas.values()]
        return sum(counts)

    def follow(self, name: str, run: SagaRun) -> None:
        """Counts a run, and its end."""
        followers = self._followers[name]
        if run.run_id not in followers:
            task = asyncio.create_task(self._followed(name, run), name=f"follow {run.run_id}")
            followers[run.run_id] = task
            task.add_done_callback(lambda _: followers.pop(run.run_id, None))

    async def _followed(self, name: str, run: SagaRun) -> None:
        tally = self._tallies[name]
        tally.in_flight += 1
        try:
            begun = await run.status()
            if begun.state.is_over:  # it was when it was asked for
                return
            self._tell(name, begun)
            await run
            ended = await run.status()
        except (ApiError, StorageError):  # it is resumed later, here or elsewhere
            return
        finally:
            tally.in_flight -= 1
        is_ok = ended.state is SagaState.COMPLETED
        tally.count(max(0.0, ended.changed - ended.began), is_ok, not is_ok)
        self._tell(name, ended)

    def _tell(self, name: str, run: RunRecord) -> None:
        if self.told is not None:
            self.told(name, run)

    async def _keep_resuming(self, name: str) -> None:
        saga = self.sagas[name]
        while True:
            try:
                if (room := self._room) > 0:
                    for run in await saga.resume(limit=room):
                        self.follow(name, run)
            except Exception as error:  # it is tried again
                _log.warning(
                    "the runs of saga %r cannot be resumed now: %s: %s", name, type(error).__name__, error
                )
            await asyncio.sleep(saga.settings.lease / 2)
