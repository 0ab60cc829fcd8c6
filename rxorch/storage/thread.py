"""WriterThread: owns the connection of a writer, and commits what it is given in groups."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sqlite3
import threading
import time
from collections.abc import Callable
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any, Final, TypeAlias

from rxorch.storage.errors import StorageError
from rxorch.storage.file import SqliteFile, failure

__all__ = ["Then", "Work", "WriterThread", "on_loop", "settled"]

Work: TypeAlias = Callable[[sqlite3.Connection], Any]
"""Reads and writes in the thread of the writer, within a transaction that it does not end."""

Then: TypeAlias = Callable[[Any, Exception | None], object]
"""Hears, in a later turn of the loop, what work returned, or why it is not in the file."""

_Results: TypeAlias = list[tuple[Then, Any, Exception | None]]

_GROUP: Final = 1_000
"""Works in one transaction at most."""

_LOOK_AGAIN: Final = 0.002
"""Seconds. SQLite itself would look ever more seldom, and miss the moments between the commits of others."""

_OF_ONE: Final = (
    sqlite3.IntegrityError,
    sqlite3.DataError,
    sqlite3.ProgrammingError,
    sqlite3.InterfaceError,
    sqlite3.NotSupportedError,
)
"""Errors of SQLite that are about what is written, and not about the file."""

_alive: dict[Path, list[WriterThread]] = {}
"""The threads of this process that have a file, or want it, in the order in which they were made."""


class WriterThread(threading.Thread):
    """The thread of a writer. It does not hold the writer, which may be lost without being closed.

    Args:
        file: What to write.
        loop: Where those who gave work hear of it.
        opened: Is told when the file is open, or why it cannot be.

    Attributes:
        ending: Whether it was told to end.
    """

    def __init__(
        self, file: SqliteFile, loop: asyncio.AbstractEventLoop, opened: asyncio.Future[None]
    ) -> None:
        super().__init__(name="rxorch-sqlite", daemon=True)
        self._queue: SimpleQueue[tuple[Work, Then] | None] = SimpleQueue()
        self.ending = False
        self._file = file
        self._loop = loop
        self._opened = opened
        self._file_name = file.real
        self._place = Path(self._file_name)
        self._earlier = tuple(_alive.get(self._place, ()))
        self._identity: tuple[int, int] | None = None
        self._guard = threading.RLock()  # the end of a lost writer may come in the middle of anything
        self._is_over = False
        self._pause = threading.Event()  # never set
        self._refusal: StorageError | None = None
        self._waiting: list[Callable[[], None]] = []

    def start(self) -> None:
        """Begins to run."""
        _alive.setdefault(self._place, []).append(self)
        try:
            super().start()
        except RuntimeError:  # there are too many threads
            self._leave()
            raise

    def _leave(self) -> None:
        others = _alive.get(self._place, [])
        if self in others:
            others.remove(self)
        if not others:
            _alive.pop(self._place, None)

    def submit(self, work: Work, then: Then) -> None:
        """Has work done.

        Raises:
            StorageError: It was told to end, or has not got the file.
        """
        with self._guard:
            if self._refusal is not None:
                raise self._file.error(str(self._refusal))
            if self.ending or self._is_over:
                raise self._file.error(f"the {self._file.kind} {str(self._file.path)!r} is not open")
            self._queue.put((work, then))

    def end(self) -> None:
        """Does what was given before, and lets go of the file."""
        with self._guard:
            self.ending = True
            self._queue.put(None)

    def when_over(self, call: Callable[[], None]) -> None:
        """Calls back, in this thread or in that one, once the file is let go of."""
        with self._guard:
            if not self._is_over:
                self._waiting.append(call)
                return
        call()

    def forget(self) -> None:
        """In a copy of the process, which has the memory of the thread and not the thread."""
        self._guard = threading.RLock()
        self.ending = self._is_over = True
        _alive.clear()

    def run(self) -> None:
        """Writes until it is told to end."""
        try:
            lock, connection = self._take()
        except BaseException as error:
            self._refuse(error if isinstance(error, StorageError) else self._cannot(error))
        else:
            on_loop(self._loop, settled(self._opened, None))
            self._write(connection)
            for each in (connection, lock):
                with contextlib.suppress(sqlite3.Error):  # what was committed stays in the file, or beside it
                    if each is not None:
                        each.close()
        self._earlier = ()
        self._leave()
        with self._guard:
            self._is_over = True
        for call in self._waiting:
            call()

    def _take(self) -> tuple[sqlite3.Connection | None, sqlite3.Connection]:
        file = self._file
        for earlier in self._earlier:
            if earlier.ending:
                earlier.join()
        lock = None if file.shared else file.lock()
        try:
            connection = file.connect()
            if file.shared:
                connection.execute("PRAGMA busy_timeout=0")  # `_begin` waits
        except BaseException:
            if lock is not None:
                lock.close()
            raise
        self._identity = _identity(self._file_name)
        return lock, connection

    def _cannot(self, error: BaseException) -> StorageError:
        file = self._file
        return file.error(f"the {file.kind} {str(file.path)!r} cannot be used: {error}")

    def _refuse(self, error: StorageError) -> None:
        with self._guard:
            self._refusal = error
        on_loop(self._loop, settled(self._opened, error))
        while not self._queue.empty():
            item = self._queue.get()
            if item is not None:
                on_loop(self._loop, _told([(item[1], None, error)]))

    def _write(self, connection: sqlite3.Connection) -> None:
        queue = self._queue
        more = True
        while more:
            group = [queue.get()]
            try:
                while len(group) < _GROUP:
                    group.append(queue.get_nowait())
            except Empty:
                pass
            if None in group:
                more = False
                group = group[: group.index(None)]
            if group:
                on_loop(self._loop, _told(self._commit(connection, group)))  # type: ignore[arg-type]

    def _commit(self, connection: sqlite3.Connection, works: list[tuple[Work, Then]]) -> _Results:
        """Does works in one transaction; if one of them cannot be done, the others without it."""
        error: Exception
        try:
            self._check_place()
            try:
                return self._transaction(connection, works, _together)
            except BaseException as failed:
                if _is_of_file(failed):
                    raise
            return self._transaction(connection, works, _apart)
        except sqlite3.Error as failed:
            error = failure(self._file, failed)
        except BaseException as failed:
            error = failed if isinstance(failed, StorageError) else self._cannot(failed)
        return [(then, None, error) for _, then in works]

    def _transaction(
        self,
        connection: sqlite3.Connection,
        works: list[tuple[Work, Then]],
        do: Callable[[sqlite3.Connection, list[tuple[Work, Then]]], _Results],
    ) -> _Results:
        try:
            self._begin(connection)
            done = do(connection, works)
            connection.execute("COMMIT")
        except BaseException:
            _roll_back(connection)
            raise
        return done

    def _begin(self, connection: sqlite3.Connection) -> None:
        until = time.monotonic() + self._file.busy_seconds
        while True:
            try:
                connection.execute("BEGIN IMMEDIATE")
                return
            except sqlite3.OperationalError as error:
                is_busy = error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_BUSY
                if not (self._file.shared and is_busy and time.monotonic() < until):
                    raise
            self._pause.wait(_LOOK_AGAIN)

    def _check_place(self) -> None:
        # SQLite would go on to write what no name leads to, and all of it would be lost in the end.
        if _identity(self._file_name) != self._identity:
            file = self._file
            raise file.error(
                f"the {file.kind} {str(file.path)!r} was removed or replaced while it was written; "
                "put it back, or open it again"
            )


def _identity(place: str) -> tuple[int, int] | None:
    try:
        found = os.stat(place)  # noqa: PTH116, as it is done for each commit
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _together(connection: sqlite3.Connection, works: list[tuple[Work, Then]]) -> _Results:
    return [(then, work(connection), None) for work, then in works]


def _apart(connection: sqlite3.Connection, works: list[tuple[Work, Then]]) -> _Results:
    """The same, and what one of them raises undoes that one alone."""
    done: _Results = []
    for work, then in works:
        connection.execute("SAVEPOINT work")
        try:
            done.append((then, work(connection), None))
        except BaseException as error:
            if _is_of_file(error):
                raise
            connection.execute("ROLLBACK TO work")
            done.append((then, None, _as_error(error)))
        connection.execute("RELEASE work")
    return done


def _as_error(raised: BaseException) -> Exception:
    # A future takes no StopIteration, and would take a CancelledError for the end of who waits.
    if isinstance(raised, Exception) and not isinstance(raised, StopIteration):
        return raised
    error = RuntimeError(f"work for a file raised {type(raised).__name__}")
    error.__cause__ = raised
    return error


def _is_of_file(error: BaseException) -> bool:
    return isinstance(error, sqlite3.Error) and not isinstance(error, _OF_ONE)


def _roll_back(connection: sqlite3.Connection) -> None:
    if connection.in_transaction:
        with contextlib.suppress(sqlite3.Error):  # what failed may have done it
            connection.execute("ROLLBACK")


def _told(results: _Results) -> Callable[[], None]:
    def tell() -> None:
        broken: Exception | None = None
        for then, result, error in results:
            try:
                then(result, error)
            except Exception as failed:  # the others must hear it nevertheless
                broken = broken or failed
        if broken is not None:
            raise broken

    return tell


def settled(future: asyncio.Future[None], error: Exception | None) -> Callable[[], None]:
    """What gives a future its result, if somebody still waits."""

    def settle() -> None:
        if future.done():
            return
        if error is None:
            future.set_result(None)
        else:
            future.set_exception(error)

    return settle


def on_loop(loop: asyncio.AbstractEventLoop, call: Callable[[], None]) -> None:
    """Has a loop call something, if it is not closed: then nobody on it waits any more."""
    try:
        loop.call_soon_threadsafe(call)
    except RuntimeError:
        pass
