"""JournalView: a journal in a file as others have written it so far, for who does not write."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from sqlite3 import Connection

from rxorch.saga import sqlite_work as work
from rxorch.saga.errors import JournalError, UnknownRunError
from rxorch.saga.records import AuditEvent, RunRecord, SagaState, StepRecord
from rxorch.saga.sqlite_schema import APPLICATION_ID, MIGRATIONS
from rxorch.storage import SqliteFile
from rxorch.storage.file import reader

__all__ = ["JournalView", "reading"]


class JournalView:
    """What a journal held at one moment. Made by `reading`."""

    def __init__(self, connection: Connection, path: Path) -> None:
        self._connection = connection
        self._path = path

    def run(self, run_id: str) -> RunRecord:
        """A run.

        Raises:
            UnknownRunError: There is none of that id.
        """
        found = work.find(self._connection, run_id)
        if found is None:
            raise self._unknown(run_id)
        return found

    def latest(
        self, saga: str | None = None, states: Collection[SagaState] | None = None, *, limit: int = 100
    ) -> list[RunRecord]:
        """The runs that began last, at most `limit`, in the order in which they began."""
        wanted = None if states is None else sorted({state.value for state in states})
        return work.latest(self._connection, saga, wanted, max(0, limit))

    def counts(self, saga: str | None = None) -> Counter[SagaState]:
        """How many runs are in which state."""
        return Counter(work.counts(self._connection, saga))

    def steps(self, run_id: str) -> list[StepRecord]:
        """The steps of a run and their undoings, in the order in which they began."""
        return work.steps(self._connection, run_id)

    def history(self, run_id: str) -> list[AuditEvent]:
        """The events of a run, in their order."""
        return work.history(self._connection, run_id, 0)

    def _unknown(self, run_id: str) -> UnknownRunError:
        return UnknownRunError(f"there is no run {run_id!r} in the journal {str(self._path)!r}")


@contextmanager
def reading(path: str | os.PathLike[str]) -> Iterator[JournalView]:
    """A journal in a file, to be read while others write it. Blocks; all that is read is of one moment.

    Args:
        path: Of the file.

    Raises:
        JournalError: There is no such file, or it is no journal, or one of a newer rxorch.

    >>> import asyncio
    >>> from rxorch.saga import Saga, SqliteJournal, Step
    >>> async def main():
    ...     async with Saga("hello", [Step(lambda data: data, name="echo")], journal=journal) as saga:
    ...         await saga.execute({}, run_id="first")
    >>> journal = SqliteJournal("sagas.sqlite")
    >>> asyncio.run(main())
    >>> with reading("sagas.sqlite") as view:
    ...     [(run.run_id, str(run.state)) for run in view.latest()]
    [('first', 'completed')]
    """
    place = Path(path)
    file = SqliteFile(place, "journal", APPLICATION_ID, MIGRATIONS, error=JournalError, shared=True)
    with reader(file) as connection:
        connection.execute("BEGIN")
        version: int = connection.execute("PRAGMA user_version").fetchone()[0]
        if version > len(MIGRATIONS):
            raise JournalError(
                f"the journal {str(place)!r} was written by a newer rxorch (version {version} of its form; "
                f"this one knows {len(MIGRATIONS)})"
            )
        yield JournalView(connection, place)
