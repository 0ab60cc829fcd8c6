"""SqliteFile: which kind of file it is, how it is opened, and who may write it."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import quote

from rxorch.storage.errors import StorageError

__all__ = ["SqliteFile", "failure", "reader"]

_PRIVATE: Final = 0o600


@dataclass(frozen=True, slots=True)
class SqliteFile:
    """A file of records of one kind.

    Args:
        path: Where it is.
        kind: What it is called in messages: "ledger".
        application_id: By which a file of this kind is known (SQLite's `application_id`).
        migrations: SQL scripts; file version n has seen the first n of them.
        durable: Whether a commit waits until the disk has it (`synchronous=FULL`). Without it a commit
            survives a crash of the process, and not always one of the machine.
        error: The class of its errors.
        shared: Whether several processes may write it at once. Then nobody takes a lock for longer than a
            transaction, and there is no file of the lock.
        busy_seconds: How long to wait for others who write it.
    """

    path: Path
    kind: str
    application_id: int
    migrations: Sequence[str]
    durable: bool = True
    error: type[StorageError] = StorageError
    shared: bool = False
    busy_seconds: float = 5.0

    @property
    def real(self) -> str:
        """The path without symbolic links: by another name it is the same file, with the same lock."""
        return os.path.realpath(self.path)

    def lock(self) -> sqlite3.Connection:
        """Takes the file for this process; the connection that is returned holds it.

        It is a lock of the operating system, on a file beside it, and so it ends with the process.

        Raises:
            StorageError: Another process has it, or the folder cannot be written.
        """
        path = Path(f"{self.real}.lock")
        self._create(path)
        connection = sqlite3.connect(path, timeout=0, isolation_level=None, check_same_thread=False)
        try:
            connection.execute("PRAGMA journal_mode=OFF")  # nothing is ever written to it
            connection.execute("BEGIN EXCLUSIVE")
        except sqlite3.Error as error:
            connection.close()
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY:
                raise self.error(f"the {self.kind} cannot be taken: {str(path)!r}: {error}") from error
            raise self.error(
                f"another process is at work with the {self.kind} {str(self.path)!r}, or this one is already"
            ) from error
        return connection

    def connect(self) -> sqlite3.Connection:
        """A connection to write with; the file is made, or brought to the newest version.

        Others may do the same at the same time.

        Raises:
            StorageError: It is no file of this kind, or of a newer version, or cannot be used.
        """
        self._create(Path(self.real))
        try:
            connection = sqlite3.connect(
                self.real, timeout=self.busy_seconds, isolation_level=None, check_same_thread=False
            )
        except sqlite3.Error as error:
            raise failure(self, error) from error
        try:
            connection.execute("BEGIN")  # what is read is of one moment, whoever makes the file just now
            version = self._version(connection)
            connection.execute("COMMIT")
            self._use_wal(connection)
            connection.execute(f"PRAGMA synchronous={'FULL' if self.durable else 'NORMAL'}")
            if version < len(self.migrations):
                self._migrate(connection)
        except sqlite3.Error as error:
            connection.close()
            raise failure(self, error) from error
        except BaseException:
            connection.close()
            raise
        return connection

    def _use_wal(self, connection: sqlite3.Connection) -> None:
        # SQLite does not wait by itself here, where two who wait for each other would never end.
        until = time.monotonic() + self.busy_seconds
        while True:
            try:
                connection.execute("PRAGMA journal_mode=WAL")
                return
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() >= until:
                    raise
            connection.execute("BEGIN IMMEDIATE")  # waits for who is at it
            connection.execute("ROLLBACK")

    def _create(self, path: Path) -> None:
        # Never one that is there: closing any handle of a file gives up all locks that the process has on it.
        try:
            os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, _PRIVATE))
        except FileExistsError:
            if path.is_dir():
                raise self.error(
                    f"the {self.kind} {str(self.path)!r} cannot be made: it is a folder"
                ) from None
        except OSError as error:
            raise self.error(
                f"the {self.kind} {str(self.path)!r} cannot be made: {error.strerror}"
            ) from error

    def _version(self, connection: sqlite3.Connection) -> int:
        found = connection.execute("PRAGMA application_id").fetchone()[0]
        version: int = connection.execute("PRAGMA user_version").fetchone()[0]
        tables = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
        if found != self.application_id and (found or version or tables):
            raise self.error(f"{str(self.path)!r} is no {self.kind}: it holds something else")
        if version > len(self.migrations):
            raise self.error(
                f"the {self.kind} {str(self.path)!r} was written by a newer rxorch (version {version} of its "
                f"form; this one knows {len(self.migrations)})"
            )
        return version

    def _migrate(self, connection: sqlite3.Connection) -> None:
        connection.execute("BEGIN IMMEDIATE")
        version = self._version(connection)  # another may have done it while this one waited
        for script in self.migrations[version:]:
            for statement in _statements(script):
                connection.execute(statement)
        connection.execute(f"PRAGMA application_id={self.application_id}")
        connection.execute(f"PRAGMA user_version={len(self.migrations)}")
        connection.execute("COMMIT")


def _statements(script: str) -> Iterator[str]:
    # `executescript` would end the transaction first.
    statement = ""
    for piece in script.split(";"):
        statement += f"{piece};"
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""


@contextlib.contextmanager
def reader(file: SqliteFile) -> Iterator[sqlite3.Connection]:
    """A connection to read with, while others write; closed with the block.

    Raises:
        StorageError: There is no such file, or it is of another kind or cannot be read.
    """
    if not file.path.is_file():
        raise file.error(f"there is no {file.kind} {str(file.path)!r}")
    try:
        connection = sqlite3.connect(
            f"file:{quote(os.fsencode(file.path.absolute()))}?mode=ro", uri=True, timeout=file.busy_seconds
        )
        with contextlib.closing(connection):
            if connection.execute("PRAGMA application_id").fetchone()[0] != file.application_id:
                raise file.error(f"{str(file.path)!r} is no {file.kind}")
            yield connection
    except sqlite3.Error as error:
        raise failure(file, error) from error


def failure(file: SqliteFile, error: sqlite3.Error) -> StorageError:
    """What an error of SQLite means for a file, in words."""
    text = str(error)
    place = f"the {file.kind} {str(file.path)!r}"
    if "not a database" in text or "malformed" in text:
        return file.error(f"{place} cannot be used: {text}; it is damaged, or no SQLite file")
    if "full" in text:
        return file.error(f"{place} cannot be written: no space is left; make room, and resume")
    if "locked" in text or "busy" in text:
        return file.error(
            f"{place} cannot be written: another program holds it locked; let go of it, and resume"
        )
    if "readonly" in text:
        return file.error(
            f"{place} cannot be written: it, or its folder, is read-only; make it writable, and resume"
        )
    if "disk I/O" in text:
        return file.error(
            f"{place} cannot be used: {text}; see to the disk and the limits of the process, and resume"
        )
    return file.error(f"{place} cannot be used: {text}")
