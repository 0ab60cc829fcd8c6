"""Files that several may write at once."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from pathlib import Path

import pytest

from rxorch.storage import SqliteFile, SqliteWriter, StorageError
from tests.storage.test_writer import file, insert, numbers


async def test_several_write_one_file(tmp_path: Path) -> None:
    writers = [SqliteWriter(file(tmp_path, shared=True)) for _ in range(3)]
    await asyncio.gather(*(writer.open() for writer in writers))
    await asyncio.gather(*(writers[n % 3].run(insert(n)) for n in range(90)))
    for writer in writers:
        await writer.aclose()
    assert [path.name for path in tmp_path.iterdir()] == ["numbers.sqlite"]  # no lock, and all is in it
    assert sorted(numbers(tmp_path)) == list(range(90))


async def test_one_waits_for_another_until_its_patience_ends(tmp_path: Path) -> None:
    writer = SqliteWriter(file(tmp_path, shared=True, busy_seconds=0.02))
    await writer.open()
    other = sqlite3.connect(tmp_path / "numbers.sqlite", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StorageError, match="another program holds it locked; let go of it, and resume"):
        await writer.run(insert(1))
    other.execute("ROLLBACK")
    other.close()
    await writer.run(insert(2))
    await writer.aclose()
    assert numbers(tmp_path) == [2]


async def test_one_that_turns_to_wal_waits_for_who_writes(tmp_path: Path) -> None:
    other = sqlite3.connect(tmp_path / "numbers.sqlite", isolation_level=None, check_same_thread=False)
    other.execute("BEGIN IMMEDIATE")
    tried = threading.Event()
    connect = sqlite3.connect

    def traced(*arguments: object, **options: object) -> sqlite3.Connection:
        connection = connect(*arguments, **options)  # type: ignore[call-overload]
        connection.set_trace_callback(lambda text: tried.set() if "IMMEDIATE" in text else None)
        return connection  # type: ignore[no-any-return]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sqlite3, "connect", traced)
        writer = SqliteWriter(file(tmp_path, shared=True, busy_seconds=60.0))
        opening = asyncio.ensure_future(writer.open())
        opening.add_done_callback(lambda _: tried.set())
        await asyncio.to_thread(tried.wait)
        assert not opening.done()
        other.execute("COMMIT")
        other.close()
        await opening
    await writer.run(insert(1))
    await writer.aclose()
    assert numbers(tmp_path) == [1]


def test_scripts_of_any_kind_are_migrations(tmp_path: Path) -> None:
    scripts = (
        """
        CREATE TABLE a (x TEXT DEFAULT ';');  -- one; and
        CREATE TRIGGER t AFTER INSERT ON a BEGIN UPDATE a SET x = 1; UPDATE a SET x = x || ';2'; END
        """,
        "CREATE TABLE b (y); INSERT INTO a VALUES (0);",
    )
    made = SqliteFile(tmp_path / "any.sqlite", "book", 77, scripts)
    for _ in range(2):
        connection = made.connect()
        assert connection.execute("SELECT x FROM a").fetchall() == [("1;2",)]
        assert connection.execute("PRAGMA user_version").fetchone() == (2,)
        connection.close()


def test_a_migration_that_fails_leaves_the_file_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "any.sqlite"
    SqliteFile(path, "book", 77, ("CREATE TABLE a (x)",)).connect().close()
    with pytest.raises(StorageError, match="cannot be used: no such table"):
        SqliteFile(path, "book", 77, ("CREATE TABLE a (x)", "CREATE TABLE b (y); DROP TABLE c")).connect()
    connection = sqlite3.connect(path)
    assert connection.execute("SELECT name FROM sqlite_master").fetchall() == [("a",)]
    assert connection.execute("PRAGMA user_version").fetchone() == (1,)
    connection.close()
