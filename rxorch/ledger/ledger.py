"""Ledger: what was begun and how it ended."""

from __future__ import annotations

import os
import sqlite3
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from enum import Enum
from pathlib import Path
from typing import Any, Final, TypeAlias

from rxorch.errors import ApiConfigurationError
from rxorch.ledger.errors import LedgerError
from rxorch.ledger.json_text import input_json, plain_json, result_json
from rxorch.ledger.records import COLUMNS, LedgerCounts, LedgerRecord, record_of
from rxorch.storage import SqliteFile, SqliteWriter, reader

__all__ = ["Begun", "Ledger"]

APPLICATION_ID: Final = 0x7278_6C67
"""`rxlg`"""

_MIGRATIONS: Final = (
    """
    CREATE TABLE run (id TEXT NOT NULL, began REAL NOT NULL, session INTEGER NOT NULL);
    CREATE TABLE inputs (
        id INTEGER PRIMARY KEY,
        key TEXT NOT NULL UNIQUE,
        place INTEGER NOT NULL,
        input BLOB NOT NULL,
        status TEXT CHECK (status IN ('ok', 'failed', 'unreadable')),
        result BLOB,
        result_kept INTEGER NOT NULL DEFAULT 1,
        error BLOB,
        outcomes BLOB,
        attempts INTEGER,
        duration REAL,
        began REAL NOT NULL,
        ended REAL,
        session INTEGER NOT NULL
    );
    CREATE INDEX not_ok ON inputs (id) WHERE status IS NOT 'ok'
    """,
)

_PAGE: Final = 500


class Begun(Enum):
    """What a ledger says to an input that is to begin.

    `NEW`: it was not known; now it is begun. `REPEATED`: an earlier process had begun it and not ended, or it
    is to be run again; now it is begun anew. `DONE`: it has its record. `DUPLICATE`: another input of the
    same key is in flight here and now.
    """

    NEW = "new"
    REPEATED = "repeated"
    DONE = "done"
    DUPLICATE = "duplicate"


OnBegun: TypeAlias = Callable[[Begun | None, Exception | None], object]
OnKept: TypeAlias = Callable[[Any, Exception | None], object]


class Ledger:
    """Which inputs of a stream were begun, and how they ended: an SQLite file.

    `orchestrator.stream(inputs, ledger="run.sqlite")` writes one. An input is in it before its first call is
    made, and its record before it is given to the consumer; what is written is committed in groups, as fast
    as the disk takes them. One process at a time may write a ledger; others may read it meanwhile, also with
    other programs (the table `inputs`).

    The file holds inputs and results, and is made readable for its owner alone.

    Args:
        path: Of the file. `path-wal`, `path-shm` and `path.lock` stand beside it.
        durable: Whether a commit waits for the disk. Without it a commit survives the end of the process,
            but perhaps not that of the machine.

    >>> from rxorch.ledger import Ledger
    >>> Ledger("run.sqlite")
    Ledger('run.sqlite')
    """

    def __init__(self, path: str | os.PathLike[str], *, durable: bool = True) -> None:
        if not isinstance(path, str | os.PathLike) or not os.fspath(path) or "\0" in str(path):
            raise ApiConfigurationError("ledger: give a Ledger, or the path of its file")
        self.path = Path(path)
        self._file = SqliteFile(self.path, "ledger", APPLICATION_ID, _MIGRATIONS, durable, LedgerError)
        self._writer: SqliteWriter | None = None
        self._run_id = ""
        self._session = 0

    @property
    def run_id(self) -> str:
        """Names the run that the file is about, for ever; "" before the ledger was opened."""
        return self._run_id

    async def open(self, *, resume: bool) -> None:
        """Begins to write: makes the file, or goes on with it.

        Args:
            resume: Whether it may hold records already.

        Raises:
            LedgerError: It holds records and `resume` is False; another process writes it; it is no ledger
                or cannot be used.
        """
        if self._writer is not None:
            raise LedgerError(f"the ledger {str(self.path)!r} is in use by another stream of this process")
        self._writer = writer = SqliteWriter(self._file)
        try:
            await writer.open()
            counts = None if resume else await writer.run(_counts)
            if counts is not None and counts.inputs:
                raise LedgerError(
                    f"the ledger {str(self.path)!r} holds a run already ({counts}): "
                    "give resume=True to go on with it, or another file"
                )
            self._run_id, self._session = await writer.run(_next_session)
        except BaseException:
            self._writer = None
            await writer.aclose()
            raise

    def begin(
        self,
        key: str,
        index: int,
        value: Any,
        then: OnBegun,
        *,
        again: bool = False,
        same: bool = False,
    ) -> None:
        """Notes that an input begins.

        Args:
            key: Of the input.
            index: Its place.
            value: The input. It is kept as it is now.
            then: Hears in a later turn of the loop what the ledger says; `NEW` and `REPEATED` are in the
                file by then.
            again: Whether an input that failed begins anew.
            same: Whether an input of this key must be the one that the ledger has.

        Raises:
            ApiValidationError: The input cannot be written as JSON.
        """
        text = input_json(value, f"input {key!r}")
        session = self._session
        path = self.path

        def work(connection: sqlite3.Connection) -> Begun:
            row = connection.execute(
                "SELECT status, session, input FROM inputs WHERE key = ?", (key,)
            ).fetchone()
            if row is None:
                connection.execute(
                    "INSERT INTO inputs (key, place, input, began, session) VALUES (?, ?, ?, ?, ?)",
                    (key, index, text, time.time(), session),
                )
                return Begun.NEW
            status, began_in, kept = row
            if same and kept != text:
                raise LedgerError(
                    f"input {index} is not the one that the ledger {str(path)!r} has in this place: "
                    "the inputs have changed. Give key= to know them by, or begin another ledger"
                )
            if status is None and began_in == session:
                return Begun.DUPLICATE
            if status is None or (again and status == "failed" and began_in != session):
                connection.execute(_AGAIN, (time.time(), session, key))
                return Begun.REPEATED
            return Begun.DONE

        self._submit(work, then)

    def finish(self, key: str, status: str, facts: Mapping[str, Any], then: OnKept) -> None:
        """Notes how an input ended.

        Args:
            key: Of an input that was begun.
            status: "ok", "failed" or "unreadable".
            facts: `result`, `error`, `outcomes`, `attempts`, `duration`; see `LedgerRecord`.
            then: Hears in a later turn of the loop that the record is in the file, or why it is not.
        """
        result = result_json(facts["result"])
        error = facts["error"]
        row = (
            status,
            result,
            result is not None,
            None if error is None else plain_json(error),
            plain_json(facts["outcomes"]),
            facts["attempts"],
            facts["duration"],
            time.time(),
            key,
        )

        def work(connection: sqlite3.Connection) -> None:
            try:
                connection.execute(_FINISH, row)
            except (sqlite3.DataError, sqlite3.ProgrammingError):  # a result larger than SQLite takes
                connection.execute(_FINISH, (status, None, False, *row[3:]))

        self._submit(work, then)

    def _submit(
        self, work: Callable[[sqlite3.Connection], Any], then: Callable[[Any, Exception | None], object]
    ) -> None:
        writer = self._writer
        if writer is None:
            raise LedgerError(f"the ledger {str(self.path)!r} is not open")
        writer.submit(work, then)

    def counts(self) -> LedgerCounts:
        """How the inputs stand, as the file says. Reads it, and so blocks for a moment."""
        with reader(self._file) as connection:
            return _counts(connection)

    def records(self, *, finished: bool | None = None, failed: bool = False) -> Iterator[LedgerRecord]:
        """What the file has, in the order in which inputs were first begun; a page at a time.

        Args:
            finished: True: only inputs that have an end, False: only those that have none.
            failed: Only those that failed.
        """
        wanted = {None: "1", True: "status IS NOT NULL", False: "status IS NULL"}[finished]
        return self._pages("status = 'failed'" if failed else wanted)

    def unsettled(self) -> Iterator[LedgerRecord]:
        """The inputs that failed, and those that have no end."""
        return self._pages("status IS NOT 'ok' AND status IS NOT 'unreadable'")

    def _pages(self, condition: str) -> Iterator[LedgerRecord]:
        last = 0
        while True:
            with reader(self._file) as connection:
                page = f"SELECT id, {COLUMNS} FROM inputs WHERE id > ? AND {condition} ORDER BY id LIMIT ?"
                rows = connection.execute(page, (last, _PAGE)).fetchall()
            for number, *row in rows:
                last = number
                yield record_of(tuple(row))
            if len(rows) < _PAGE:
                return

    async def aclose(self) -> None:
        """Commits what was given before, and closes the file. It can be opened again."""
        writer, self._writer = self._writer, None
        if writer is not None:
            await writer.aclose()

    def close(self) -> None:
        """`aclose`, blocking, for where there is no event loop."""
        writer, self._writer = self._writer, None
        if writer is not None:
            writer.close()

    def __repr__(self) -> str:
        return f"Ledger({str(self.path)!r})"


_AGAIN: Final = """
    UPDATE inputs SET status = NULL, result = NULL, result_kept = 1, error = NULL, outcomes = NULL,
        attempts = NULL, duration = NULL, ended = NULL, began = ?, session = ? WHERE key = ?
"""

_FINISH: Final = """
    UPDATE inputs SET status = ?, result = ?, result_kept = ?, error = ?, outcomes = ?, attempts = ?,
        duration = ?, ended = ? WHERE key = ? AND status IS NULL
"""


def _counts(connection: sqlite3.Connection) -> LedgerCounts:
    found = dict(connection.execute("SELECT status, count(*) FROM inputs GROUP BY status"))
    return LedgerCounts(
        sum(found.values()),
        found.get("ok", 0),
        found.get("failed", 0),
        found.get("unreadable", 0),
        found.get(None, 0),
    )


def _next_session(connection: sqlite3.Connection) -> tuple[str, int]:
    row = connection.execute("SELECT id, session FROM run").fetchone()
    if row is None:
        run_id = uuid.uuid4().hex
        connection.execute("INSERT INTO run (id, began, session) VALUES (?, ?, 1)", (run_id, time.time()))
        return run_id, 1
    connection.execute("UPDATE run SET session = session + 1")
    return row[0], row[1] + 1
