"""SqliteWriter: writes of many callers, committed in groups by a thread of its own."""

from __future__ import annotations

import asyncio
import atexit
import sqlite3
import threading
import weakref
from collections.abc import Callable
from queue import Empty, SimpleQueue
from typing import Any, Final, TypeAlias, TypeVar

from rxorch.storage.errors import StorageError
from rxorch.storage.file import SqliteFile, failure

__all__ = ["SqliteWriter", "Then", "Work"]

T = TypeVar("T")

Work: TypeAlias = Callable[[sqlite3.Connection], Any]
"""Reads and writes in the thread of the writer, within a transaction that it does not end."""

Then: TypeAlias = Callable[[Any, Exception | None], object]
"""Hears, in a later turn of the loop, what work returned, or why it is not in the file."""

_GROUP: Final = 1_000
"""Works in one transaction at most."""

_open: weakref.WeakSet[SqliteWriter] = weakref.WeakSet()


class SqliteWriter:
    """Commits what it is given, in the order in which it is given, in groups.

    A thread owns the connection. It takes all work that is there, does it in one transaction, and commits;
    what comes meanwhile is the next group. So nobody waits longer than two commits take, and a hundred
    callers at once cost hardly more than one.

    Args:
        file: What to write.

    Closing, or losing the last reference, commits what was given before. So does the end of the interpreter.
    """

    def __init__(self, file: SqliteFile) -> None:
        self._file = file
        self._queue: SimpleQueue[Any] = SimpleQueue()
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    async def open(self) -> None:
        """Takes the file, and makes it or brings it to the newest version.

        Raises:
            StorageError: Another process has it, or it cannot be used.
        """
        self._loop = loop = asyncio.get_running_loop()
        opened: asyncio.Future[None] = loop.create_future()
        target = _Thread(self._file, self._queue, loop)
        self._thread = threading.Thread(target=target.run, args=(opened,), name="rxorch-sqlite", daemon=True)
        self._thread.start()
        weakref.finalize(self, self._queue.put, None).atexit = False
        _open.add(self)
        await asyncio.shield(opened)

    def submit(self, work: Work, then: Then) -> None:
        """Has work done, and tells when it is in the file.

        Args:
            work: Called in the thread of the writer. What it raises undoes what it wrote.
            then: Called in a later turn of the loop on which the writer was opened.
        """
        self._queue.put((work, then))

    async def run(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Has work done, and waits until it is in the file."""
        loop = asyncio.get_running_loop()
        done: asyncio.Future[T] = loop.create_future()

        def then(result: T, error: Exception | None) -> None:
            if done.done():
                return
            if error is None:
                done.set_result(result)
            else:
                done.set_exception(error)

        self.submit(work, then)
        return await done

    async def aclose(self) -> None:
        """Commits what was given before, and closes the file."""
        thread = self._thread
        if thread is None:
            return
        loop = asyncio.get_running_loop()
        closed = loop.create_future()
        self._queue.put(_Close(loop, closed))
        await asyncio.shield(closed)
        self.close()

    def close(self) -> None:
        """`aclose`, blocking."""
        thread, self._thread = self._thread, None
        _open.discard(self)
        if thread is not None:
            self._queue.put(None)
            thread.join()


class _Close:
    """The last that a thread is given, and whom to tell when the file is closed."""

    __slots__ = ("closed", "loop")

    def __init__(self, loop: asyncio.AbstractEventLoop, closed: asyncio.Future[None]) -> None:
        self.loop = loop
        self.closed = closed

    def tell(self) -> None:
        _on(self.loop, self._set)

    def _set(self) -> None:
        if not self.closed.done():
            self.closed.set_result(None)


class _Thread:
    """The work of the thread. It does not hold the writer, which may be lost without being closed."""

    def __init__(self, file: SqliteFile, queue: SimpleQueue[Any], loop: asyncio.AbstractEventLoop) -> None:
        self._file = file
        self._queue = queue
        self._loop = loop

    def run(self, opened: asyncio.Future[None]) -> None:
        """Writes until it is told to end."""
        try:
            lock = self._file.lock()
        except StorageError as error:
            self._refuse(opened, error)
            return
        try:
            connection = self._file.connect()
        except StorageError as error:
            lock.close()
            self._refuse(opened, error)
            return
        _on(self._loop, _settled(opened, None))
        last = self._write(connection)
        connection.close()
        lock.close()
        if last is not None:
            last.tell()

    def _refuse(self, opened: asyncio.Future[None], error: StorageError) -> None:
        _on(self._loop, _settled(opened, error))
        while (item := self._queue.get()) is not None:
            if isinstance(item, _Close):
                item.tell()
                return
            _on(self._loop, _told([(item[1], None, error)]))

    def _write(self, connection: sqlite3.Connection) -> _Close | None:
        queue = self._queue
        while True:
            group = [queue.get()]
            try:
                while len(group) < _GROUP:
                    group.append(queue.get_nowait())
            except Empty:
                pass
            end = next(
                (place for place, item in enumerate(group) if item is None or isinstance(item, _Close)), None
            )
            works = group if end is None else group[:end]
            if works:
                _on(self._loop, _told(self._commit(connection, works)))
            if end is not None:
                return group[end]  # type: ignore[no-any-return]

    def _commit(
        self, connection: sqlite3.Connection, works: list[tuple[Work, Then]]
    ) -> list[tuple[Then, Any, Exception | None]]:
        """Does works in one transaction; if one of them cannot be done, each in one of its own."""
        try:
            connection.execute("BEGIN IMMEDIATE")
            done = [(then, work(connection), None) for work, then in works]
            connection.execute("COMMIT")
        except Exception as error:
            _roll_back(connection)
            of_database = isinstance(error, sqlite3.Error)
            if isinstance(error, sqlite3.Error):
                error = failure(self._file, error)
            if of_database or len(works) == 1:
                return [(then, None, error) for _, then in works]
            return [told for each in works for told in self._commit(connection, [each])]
        return done  # type: ignore[return-value]


def _roll_back(connection: sqlite3.Connection) -> None:
    if connection.in_transaction:
        try:
            connection.execute("ROLLBACK")
        except sqlite3.Error:
            pass  # what failed has done it


def _told(results: list[tuple[Then, Any, Exception | None]]) -> Callable[[], None]:
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


def _settled(future: asyncio.Future[None], error: Exception | None) -> Callable[[], None]:
    def settle() -> None:
        if future.done():
            return
        if error is None:
            future.set_result(None)
        else:
            future.set_exception(error)

    return settle


def _on(loop: asyncio.AbstractEventLoop, call: Callable[[], None]) -> None:
    try:
        loop.call_soon_threadsafe(call)
    except RuntimeError:
        pass  # the loop is closed, and nobody on it waits any more


@atexit.register
def _close_all() -> None:
    for writer in tuple(_open):
        writer.close()
