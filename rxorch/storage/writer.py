"""SqliteWriter: writes of many callers, committed in groups by a thread of its own."""

from __future__ import annotations

import asyncio
import atexit
import os
import sqlite3
import weakref
from collections.abc import Callable
from typing import TypeVar

from rxorch.storage.file import SqliteFile
from rxorch.storage.thread import Then, Work, WriterThread, on_loop, settled

__all__ = ["SqliteWriter"]

T = TypeVar("T")

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
        self._thread: WriterThread | None = None

    async def open(self) -> None:
        """Takes the file, and makes it or brings it to the newest version.

        A writer of this process that was told to close is waited for.

        Raises:
            StorageError: Another process has it, or it cannot be used.
        """
        loop = asyncio.get_running_loop()
        opened: asyncio.Future[None] = loop.create_future()
        try:
            thread = WriterThread(self._file, loop, opened)
            thread.start()
        except (RuntimeError, ValueError) as error:
            raise self._file.error(
                f"the {self._file.kind} {str(self._file.path)!r} cannot be opened: {error}"
            ) from error
        self._thread = thread
        weakref.finalize(self, thread.end).atexit = False
        _open.add(self)
        await opened

    def submit(self, work: Work, then: Then) -> None:
        """Has work done, and tells when it is in the file.

        Args:
            work: Called in the thread of the writer; again, if another of its group cannot be done. What it
                raises undoes what it wrote.
            then: Called in a later turn of the loop on which the writer was opened.

        Raises:
            StorageError: It is closed, or was opened by the process of which this one is a copy.
        """
        thread = self._thread
        if thread is None:
            raise self._file.error(f"the {self._file.kind} {str(self._file.path)!r} is not open")
        thread.submit(work, then)

    def run(self, work: Callable[[sqlite3.Connection], T]) -> asyncio.Future[T]:
        """Has work done; what it returned is to be awaited, and is there when it is in the file.

        Raises:
            StorageError: As of `submit`.
        """
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
        return done

    async def aclose(self) -> None:
        """Commits what was given before, and closes the file."""
        thread = self._thread
        if thread is None:
            return
        thread.end()
        loop = asyncio.get_running_loop()
        ended: asyncio.Future[None] = loop.create_future()
        thread.when_over(lambda: on_loop(loop, settled(ended, None)))
        await ended
        self.close()

    def close(self) -> None:
        """`aclose`, blocking."""
        thread, self._thread = self._thread, None
        _open.discard(self)
        if thread is not None:
            thread.end()
            thread.join()

    def _forget(self) -> None:
        if self._thread is not None:
            self._thread.forget()


@atexit.register
def _close_all() -> None:
    for writer in tuple(_open):
        writer.close()


def _forget_all() -> None:
    for writer in tuple(_open):
        writer._forget()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_all)
