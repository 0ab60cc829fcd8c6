"""Who has a file, by whatever name, and what happens to it meanwhile."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from rxorch.storage import SqliteWriter, StorageError, reader
from tests.storage.test_writer import file, insert, numbers

OTHER = """
import asyncio, sys
from dataclasses import replace
from pathlib import Path
from rxorch.storage import SqliteWriter, StorageError
from tests.storage.test_writer import file
async def main():
    writer = SqliteWriter(replace(file(Path(".")), path=Path(sys.argv[1])))
    try:
        await writer.open()
    except StorageError as error:
        print(error)
    await writer.aclose()
asyncio.run(main())
"""


def another_process(path: Path) -> str:
    """What another process hears that opens the same file."""
    command = [sys.executable, "-c", OTHER, str(path)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "numbers.sqlite"


async def test_a_second_writer_that_is_refused_takes_nothing_away(path: Path) -> None:
    writer = SqliteWriter(file(path.parent))
    await writer.open()
    for _ in range(2):
        with pytest.raises(StorageError, match="this one is already"):
            await SqliteWriter(file(path.parent)).open()
    assert "another process is at work" in another_process(path)
    await writer.aclose()
    assert another_process(path) == ""


async def test_by_another_name_it_is_the_same_file(path: Path) -> None:
    link = path.with_name("link.sqlite")
    link.symlink_to(path)
    writer = SqliteWriter(replace(file(path.parent), path=link))
    await writer.open()
    assert "another process is at work" in another_process(path)
    await writer.run(insert(1))
    await writer.aclose()
    assert numbers(path.parent) == [1] and link.is_symlink()
    assert path.stat().st_mode & 0o777 == 0o600


async def test_the_next_writer_waits_for_one_that_was_told_to_close(path: Path) -> None:
    writer = SqliteWriter(file(path.parent))
    await writer.open()
    for n in range(2_000):
        writer.submit(insert(n), lambda *_: None)
    del writer
    again = SqliteWriter(file(path.parent))
    await again.open()
    await again.run(insert(2_000))
    await again.aclose()
    assert len(numbers(path.parent)) == 2_001


async def test_one_that_is_removed_meanwhile_is_not_written_into_the_void(path: Path) -> None:
    writer = SqliteWriter(file(path.parent))
    await writer.open()
    await writer.run(insert(1))
    path.unlink()
    with pytest.raises(StorageError, match=r"numbers.sqlite' was removed or replaced while it was written"):
        await writer.run(insert(2))
    await writer.aclose()


async def test_a_lock_that_is_none(path: Path) -> None:
    Path(f"{path}.lock").write_text("no database at all, " * 100)
    with pytest.raises(StorageError, match=r"the book cannot be taken: .*sqlite.lock': file is not a data"):
        await SqliteWriter(file(path.parent)).open()


async def test_a_folder_is_none(path: Path) -> None:
    path.mkdir()
    with pytest.raises(StorageError, match="cannot be made: it is a folder"):
        await SqliteWriter(file(path.parent)).open()


async def test_a_name_that_is_no_text(path: Path) -> None:
    odd = path.with_name("n\udcff#?.sqlite")
    writer = SqliteWriter(replace(file(path.parent), path=odd))
    await writer.open()
    await writer.run(insert(1))
    await writer.aclose()
    with reader(replace(file(path.parent), path=odd)) as connection:
        assert connection.execute("SELECT n FROM numbers").fetchall() == [(1,)]


async def test_one_that_another_program_writes(path: Path) -> None:
    writer = SqliteWriter(file(path.parent))
    await writer.open()
    await writer.run(lambda connection: connection.execute("PRAGMA busy_timeout=1").fetchone())
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StorageError, match="another program holds it locked; let go of it, and resume"):
        await writer.run(insert(1))
    other.execute("ROLLBACK")
    other.close()
    await writer.run(insert(2))
    await writer.aclose()
    assert numbers(path.parent) == [2]
