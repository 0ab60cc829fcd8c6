"""SqliteJournal: the runs of sagas in a file that several processes share."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import time
from collections.abc import Callable, Collection, Sequence
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Final, TypeVar

from rxorch.errors import ApiConfigurationError
from rxorch.ledger.json_text import plain_json
from rxorch.saga import audit
from rxorch.saga import sqlite_work as work
from rxorch.saga.errors import JournalError, LeaseLostError, SagaError, UnknownRunError
from rxorch.saga.records import (
    AuditEvent,
    Claim,
    Heard,
    Lease,
    NewRun,
    RunRecord,
    SagaState,
    Signal,
    StepRecord,
)
from rxorch.saga.sqlite_prune import prune
from rxorch.saga.sqlite_rows import error_json
from rxorch.saga.sqlite_schema import APPLICATION_ID, MIGRATIONS
from rxorch.storage import SqliteFile, SqliteWriter, StorageError

__all__ = ["SqliteJournal"]

T = TypeVar("T")

_PRUNED: Final = 500
"""Runs that are deleted in one transaction."""


class SqliteJournal:
    """A `Journal` in an SQLite file.

    Several processes of one machine may have it open at once; who drives which run, the leases say. What is
    written together is committed together, as fast as the disk takes it: a hundred runs at once cost hardly
    more commits than one. A call that is cancelled while it waits may have been written.

    The file holds inputs and results, and is made readable for its owner alone. What is in it stays until
    `prune` deletes it. Open a journal after a fork of the process and not before, and not on a network drive.

    Args:
        path: Of the file. `path-wal` and `path-shm` stand beside it.
        durable: Whether a commit waits for the disk. Without it a commit survives the end of the process,
            but perhaps not that of the machine.
        now: The time of the day, in seconds since 1970.
        busy_timeout: Seconds to wait for other processes that write, before it is a `JournalError`.

    >>> import asyncio
    >>> from rxorch.saga import NewRun, SqliteJournal
    >>> async def main():
    ...     async with SqliteJournal("sagas.sqlite") as journal:
    ...         await journal.create(NewRun("order-1", "order", "v1", b'{"item": 7}'), "me", 30.0)
    ...     async with SqliteJournal("sagas.sqlite") as journal:
    ...         return (await journal.run("order-1")).input
    >>> asyncio.run(main())
    {'item': 7}
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        durable: bool = True,
        now: Callable[[], float] = time.time,
        busy_timeout: float = 5.0,
    ) -> None:
        if not isinstance(path, str | os.PathLike) or not os.fspath(path) or "\0" in str(path):
            raise ApiConfigurationError("journal: give the path of its file")
        if not 0 <= busy_timeout <= 86_400:
            raise ApiConfigurationError("busy_timeout: give seconds from 0 to 86400")
        self.path = Path(path)
        self._file = SqliteFile(
            self.path,
            "journal",
            APPLICATION_ID,
            MIGRATIONS,
            durable,
            JournalError,
            shared=True,
            busy_seconds=busy_timeout,
        )
        self._now = now
        self._opening = asyncio.Lock()
        self._writer: SqliteWriter | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    async def open(self) -> None:
        """Makes the file, or goes on with it; harmless if it is open.

        Raises:
            JournalError: It is no journal, or one of a newer rxorch, or cannot be used.
        """
        async with self._opening:
            loop = asyncio.get_running_loop()
            if self._writer is not None and self._loop is loop:
                return
            if self._loop is not None and self._loop is not loop and not self._loop.is_closed():
                raise self._elsewhere()
            await self._let_go()
            writer = SqliteWriter(self._file)
            try:
                await writer.open()
            except BaseException:
                await writer.aclose()
                raise
            self._writer, self._loop = writer, loop

    async def aclose(self) -> None:
        """Writes what was given before, and closes the file; harmless if it is closed."""
        async with self._opening:
            await self._let_go()

    async def __aenter__(self) -> SqliteJournal:
        await self.open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    def __repr__(self) -> str:
        return f"SqliteJournal({str(self.path)!r})"

    # -- runs ------------------------------------------------------------------------------------------

    async def create(
        self, new: NewRun, owner: str, seconds: float, steps: Sequence[StepRecord] = ()
    ) -> tuple[Claim, bool]:
        """See `Journal`."""
        now = self._now()
        rows = [work.step_rows(step) for step in steps]
        return await self._do(
            partial(work.create, new=new, owner=owner, until=now + seconds, now=now, rows=rows)
        )

    async def run(self, run_id: str) -> RunRecord | None:
        """See `Journal`."""
        return await self._do(partial(work.find, run_id=run_id))

    async def runs(
        self,
        saga: str | None = None,
        states: Collection[SagaState] | None = None,
        *,
        limit: int = 100,
        after: str | None = None,
        newest_first: bool = False,
    ) -> list[RunRecord]:
        """See `Journal`. Raises `UnknownRunError` if there is no run of the id `after`."""
        page = partial(
            work.runs,
            saga=saga,
            states=_texts(states),
            limit=max(0, limit),
            after=after,
            newest_first=newest_first,
        )
        return self._known(await self._do(page), str(after))

    async def count(self, saga: str | None = None, states: Collection[SagaState] | None = None) -> int:
        """See `Journal`."""
        return await self._do(partial(work.count, saga=saga, states=_texts(states)))

    async def steps(self, run_id: str) -> list[StepRecord]:
        """See `Journal`."""
        return await self._do(partial(work.steps, run_id=run_id))

    async def signals(self, run_id: str) -> list[Signal]:
        """See `Journal`."""
        return await self._do(partial(work.signals, run_id=run_id))

    async def history(self, run_id: str, after: int = 0) -> list[AuditEvent]:
        """See `Journal`."""
        return await self._do(partial(work.history, run_id=run_id, after=after))

    # -- leases ----------------------------------------------------------------------------------------

    async def unclaimed(self, saga: str, limit: int = 100) -> list[str]:
        """See `Journal`."""
        return await self._do(partial(work.unclaimed, saga=saga, now=self._now(), limit=max(0, limit)))

    async def claim(self, run_id: str, owner: str, seconds: float) -> Claim | None:
        """See `Journal`."""
        now = self._now()
        found = await self._do(partial(work.claim, run_id=run_id, owner=owner, until=now + seconds, now=now))
        if isinstance(found, Claim):
            return found
        return self._known(None, run_id) if found else None

    async def renew(self, lease: Lease, seconds: float) -> Heard:
        """See `Journal`."""
        until = self._now() + seconds
        return self._held(await self._do(partial(work.renew, lease=lease, until=until)), lease)

    async def release(self, lease: Lease) -> None:
        """See `Journal`."""
        await self._do(partial(work.release, lease=lease))

    # -- what who drives a run writes ------------------------------------------------------------------

    def post(self, lease: Lease, step: StepRecord) -> None:
        """See `Journal`."""
        rows = (work.step_rows(step),)
        self._opened().submit(
            partial(work.write, run_id=lease.run_id, generation=lease.generation, now=self._now(), rows=rows),
            _nobody,
        )

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
        """See `Journal`. Raises `LeaseLostError` also if the run is over and `state` is another one."""
        event = None
        if state is not None:
            kind, data = audit.state_event(state, error)
            event = (kind, plain_json(data))
        heard = await self._do(
            partial(
                work.write,
                run_id=lease.run_id,
                generation=lease.generation,
                now=self._now(),
                rows=[work.step_rows(step) for step in steps],
                state=state,
                event=event,
                error=error_json(error),
                result=result_json,
                unless=unless,
            )
        )
        if isinstance(heard, str):
            raise LeaseLostError(f"the run {lease.run_id!r} is over, and its lease with it")
        return self._held(heard, lease)

    # -- what others write -----------------------------------------------------------------------------

    async def request_cancel(self, run_id: str, reason: str = "") -> RunRecord:
        """See `Journal`."""
        data = plain_json({"reason": reason})
        run = await self._do(partial(work.cancel, run_id=run_id, data=data, now=self._now()))
        return self._known(run, run_id)

    async def signal(self, run_id: str, name: str, value_json: bytes) -> bool:
        """See `Journal`."""
        data = plain_json({"name": name})
        is_first = await self._do(
            partial(work.signal, run_id=run_id, name=name, value=value_json, data=data, now=self._now())
        )
        return self._known(is_first, run_id)

    async def reopen(self, run_id: str) -> RunRecord:
        """See `Journal`."""
        found = await self._do(partial(work.reopen, run_id=run_id, now=self._now()))
        run, was_dead = self._known(found, run_id)
        if not was_dead:
            raise SagaError(f"the run {run_id!r} is no dead letter: it is {run.state.value}")
        return run

    # -- outbox ----------------------------------------------------------------------------------------

    async def outbox(self, limit: int = 100) -> list[AuditEvent]:
        """See `Journal`."""
        return await self._do(partial(work.outbox, limit=max(0, limit)))

    async def acknowledge(self, numbers: Collection[int]) -> None:
        """See `Journal`."""
        await self._do(partial(work.acknowledge, numbers=tuple(numbers)))

    async def prune(self, before: float, *, unpublished: bool = False) -> int:
        """See `Journal`. Some runs at a time, so that others write meanwhile. The file does not become
        smaller: what comes next takes the room.
        """
        pruned = 0
        while True:
            some = await self._do(partial(prune, before=before, limit=_PRUNED, unpublished=unpublished))
            pruned += some
            if some < _PRUNED:
                return pruned

    # -- inside ----------------------------------------------------------------------------------------

    async def _do(self, doing: Callable[[sqlite3.Connection], T]) -> T:
        writer = self._opened()
        try:
            return await writer.run(doing)
        except StorageError:
            raise
        except (sqlite3.Error, UnicodeEncodeError, OverflowError) as error:
            raise JournalError(
                f"the journal {str(self.path)!r} cannot keep what it was given ({type(error).__name__}): "
                "it is too large, or no text or number that SQLite can hold"
            ) from None

    def _opened(self) -> SqliteWriter:
        writer = self._writer
        if writer is None:
            raise JournalError(
                f"the journal {str(self.path)!r} is not open: `async with journal:`, or await journal.open()"
            )
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:  # so it is in a copy of the process, too
            raise self._elsewhere() from None
        if loop is not self._loop:
            raise self._elsewhere()
        return writer

    def _elsewhere(self) -> JournalError:
        return JournalError(
            f"the journal {str(self.path)!r} is open on another event loop: close it there, "
            "or give each loop a SqliteJournal of its own"
        )

    async def _let_go(self) -> None:
        writer, self._writer, self._loop = self._writer, None, None
        if writer is not None:
            await writer.aclose()

    def _known(self, found: T | None, run_id: str) -> T:
        if found is None:
            raise UnknownRunError(f"there is no run {run_id!r} in the journal {str(self.path)!r}")
        return found

    def _held(self, heard: Heard | None, lease: Lease) -> Heard:
        if heard is None:
            raise LeaseLostError(f"the run {lease.run_id!r} is driven by somebody else now")
        return heard


def _texts(states: Collection[SagaState] | None) -> list[str] | None:
    return None if states is None else sorted({state.value for state in states})


def _nobody(result: Any, error: Exception | None) -> None:
    """Hears how a posted step was written."""
