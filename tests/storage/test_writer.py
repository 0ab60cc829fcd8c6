"""Writes in groups, in a thread of their own."""

from __future__ import annotations

import asyncio
import gc
import sqlite3
import stat
import subprocess
import sys
import threading
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from rxorch.storage import SqliteFile, SqliteWriter, StorageError, reader

MIGRATIONS = ("CREATE TABLE numbers (n INTEGER NOT NULL UNIQUE)",)


def file(path: Path, **changes: Any) -> SqliteFile:
    fields: dict[str, Any] = {
        "path": path / "numbers.sqlite",
        "kind": "book",
        "application_id": 77,
        "migrations": MIGRATIONS,
    }
    return SqliteFile(**{**fields, **changes})


def insert(n: Any) -> Any:
    return lambda connection: connection.execute("INSERT INTO numbers VALUES (?)", (n,)).lastrowid


def numbers(path: Path) -> list[int]:
    with reader(file(path)) as connection:
        return [n for (n,) in connection.execute("SELECT n FROM numbers ORDER BY rowid")]


@pytest.fixture
async def writer(tmp_path: Path) -> AsyncIterator[SqliteWriter]:
    made = SqliteWriter(file(tmp_path))
    await made.open()
    yield made
    await made.aclose()


class Told(list[Any]):
    """What `then` has heard."""

    def __call__(self, result: Any, error: Exception | None) -> None:
        self.append(result if error is None else type(error))


async def test_what_is_told_is_in_the_file(writer: SqliteWriter, tmp_path: Path) -> None:
    told = Told()
    for n in range(200):
        writer.submit(insert(n), told)
    assert told == []  # never from inside of `submit`
    assert await writer.run(insert(200)) == 201
    assert told == list(range(1, 201))
    assert numbers(tmp_path) == list(range(201))


async def test_one_that_fails_spoils_no_other(writer: SqliteWriter, tmp_path: Path) -> None:
    def broken(connection: sqlite3.Connection) -> None:
        connection.execute("INSERT INTO numbers VALUES (99)")
        raise LookupError("mine")

    told = Told()
    for work in (insert(1), broken, insert(2)):
        writer.submit(work, told)
    await writer.run(insert(3))
    assert told[1] is LookupError and numbers(tmp_path) == [1, 2, 3]


async def test_an_error_of_the_database_is_told_to_all_and_passes(tmp_path: Path) -> None:
    small = file(tmp_path)
    writer = SqliteWriter(small)
    await writer.open()
    pages = await writer.run(lambda connection: connection.execute("PRAGMA page_count").fetchone()[0])

    def limit(to: int) -> Any:
        return lambda connection: connection.execute(f"PRAGMA max_page_count={to}").fetchone()

    await writer.run(limit(pages))
    big = "x" * 100_000
    with pytest.raises(StorageError, match=r"the book .*numbers.sqlite' cannot be written: no space is left"):
        await writer.run(insert(big))
    await writer.run(limit(1_000_000))
    await writer.run(insert(7))
    await writer.aclose()
    assert numbers(tmp_path) == [7]


async def test_a_file_has_one_writer(writer: SqliteWriter, tmp_path: Path) -> None:
    second = SqliteWriter(file(tmp_path))
    with pytest.raises(StorageError, match="another process is at work with the book"):
        await second.open()
    with pytest.raises(StorageError, match="another process"):
        await second.run(insert(1))
    await second.aclose()
    await writer.aclose()
    third = SqliteWriter(file(tmp_path))
    await third.open()
    await third.aclose()


async def test_it_can_be_closed_twice_and_commits_what_came_before(
    writer: SqliteWriter, tmp_path: Path
) -> None:
    told = Told()
    writer.submit(insert(1), told)
    await writer.aclose()
    await writer.aclose()
    writer.close()
    assert numbers(tmp_path) == [1] and told == [1]
    assert not [thread for thread in threading.enumerate() if thread.name == "rxorch-sqlite"]


async def test_a_writer_that_is_lost_ends_its_thread(tmp_path: Path) -> None:
    writer = SqliteWriter(file(tmp_path))
    await writer.open()
    (thread,) = [thread for thread in threading.enumerate() if thread.name == "rxorch-sqlite"]
    writer.submit(insert(1), lambda *_: None)
    del writer
    gc.collect()
    await asyncio.to_thread(thread.join)
    assert numbers(tmp_path) == [1]


def test_the_end_of_the_program_commits(tmp_path: Path) -> None:
    program = f"""
import asyncio
from pathlib import Path
from tests.storage.test_writer import SqliteWriter, file, insert
kept = []
async def main():
    writer = SqliteWriter(file(Path({str(tmp_path)!r})))
    await writer.open()
    kept.append(writer)
    for n in range(500):
        writer.submit(insert(n), print)
asyncio.run(main())
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert numbers(tmp_path) == list(range(500))


async def test_the_file_is_for_its_owner_alone(writer: SqliteWriter, tmp_path: Path) -> None:
    await writer.run(insert(1))
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}
    assert len(modes) == 4 and set(modes.values()) == {0o600}


# -- which file ----------------------------------------------------------------------------------------


async def refusal(given: SqliteFile) -> str:
    with pytest.raises(StorageError) as refused:
        await SqliteWriter(given).open()
    return str(refused.value)


async def test_a_file_of_something_else_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "numbers.sqlite"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE mine (x)")
    connection.close()
    before = path.read_bytes()
    assert "is no book: it holds something else" in await refusal(file(tmp_path))
    assert path.read_bytes() == before
    path.write_bytes(b"no database at all, " * 100)
    assert "it is damaged, or no SQLite file" in await refusal(file(tmp_path))


async def test_a_newer_file_is_left_alone(writer: SqliteWriter, tmp_path: Path) -> None:
    await writer.aclose()
    assert "written by a newer rxorch" in await refusal(file(tmp_path, migrations=()))


async def test_an_older_file_is_brought_up_to_date(writer: SqliteWriter, tmp_path: Path) -> None:
    await writer.run(insert(1))
    await writer.aclose()
    newer = (*MIGRATIONS, "ALTER TABLE numbers ADD COLUMN name TEXT; UPDATE numbers SET name = 'one'")
    for _ in range(2):
        again = SqliteWriter(file(tmp_path, migrations=newer))
        await again.open()
        assert await again.run(lambda connection: connection.execute("SELECT * FROM numbers").fetchall()) == [
            (1, "one")
        ]
        await again.aclose()


async def test_a_folder_that_is_missing(tmp_path: Path) -> None:
    message = await refusal(file(tmp_path / "nowhere"))
    assert "cannot be made: No such file or directory" in message
    with pytest.raises(StorageError, match="there is no book"), reader(file(tmp_path / "nowhere")):
        pass
