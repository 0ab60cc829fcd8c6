"""What the thread of a writer makes of work that fails, and how it ends."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from rxorch.storage import SqliteWriter, StorageError
from tests.storage.test_writer import Told, file, insert, numbers


@pytest.fixture
async def writer(tmp_path: Path) -> AsyncIterator[SqliteWriter]:
    made = SqliteWriter(file(tmp_path))
    await made.open()
    yield made
    await made.aclose()


@pytest.mark.parametrize("wrong", [1, None, object(), "\ud800", 2**70])
async def test_a_value_that_cannot_be_written_spoils_no_other(
    writer: SqliteWriter, tmp_path: Path, wrong: Any
) -> None:
    told = Told()
    for n in (1, wrong, 2):
        writer.submit(insert(n), told)
    await writer.run(insert(3))
    assert told[0] == 1 and isinstance(told[1], type) and not issubclass(told[1], StorageError)
    assert numbers(tmp_path) == [1, 2, 3]


@pytest.mark.parametrize("error", [asyncio.CancelledError, StopIteration, SystemExit, GeneratorExit])
async def test_whatever_work_raises_the_thread_goes_on(
    writer: SqliteWriter, tmp_path: Path, error: type[BaseException]
) -> None:
    def broken(_: object) -> None:
        raise error

    with pytest.raises(RuntimeError, match=error.__name__):
        await writer.run(broken)
    await writer.run(insert(1))
    assert numbers(tmp_path) == [1]


async def test_it_can_be_closed_by_several_at_once(writer: SqliteWriter, tmp_path: Path) -> None:
    writer.submit(insert(1), lambda *_: None)
    await asyncio.gather(writer.aclose(), writer.aclose(), writer.aclose())
    assert numbers(tmp_path) == [1]


async def test_one_that_is_closed_takes_no_work(writer: SqliteWriter) -> None:
    closing = asyncio.ensure_future(writer.aclose())
    await asyncio.sleep(0)
    for _ in range(2):
        with pytest.raises(StorageError, match="is not open"):
            await writer.run(insert(1))
        await closing


async def test_closing_while_it_opens(tmp_path: Path) -> None:
    writer = SqliteWriter(file(tmp_path))
    opening = asyncio.ensure_future(writer.open())
    await asyncio.sleep(0)
    await writer.aclose()
    await opening
    assert not [thread for thread in threading.enumerate() if thread.name == "rxorch-sqlite"]


async def test_an_opening_that_is_cancelled(tmp_path: Path) -> None:
    writer = SqliteWriter(file(tmp_path))
    opening = asyncio.ensure_future(writer.open())
    await asyncio.sleep(0)
    opening.cancel()
    await asyncio.wait([opening])
    await writer.aclose()
    again = SqliteWriter(file(tmp_path))
    await again.open()
    await again.aclose()


async def test_without_a_thread_it_does_not_open(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", no)
    writer = SqliteWriter(file(tmp_path))
    with pytest.raises(StorageError, match="cannot be opened: can't start new thread"):
        await writer.open()
    await writer.aclose()


async def test_a_copy_of_the_process_is_told_that_it_has_no_thread(
    writer: SqliteWriter, tmp_path: Path
) -> None:
    child = os.fork()
    if child == 0:
        try:
            writer.submit(insert(1), lambda *_: None)
        except StorageError:
            writer.close()
            os._exit(7)
        os._exit(0)
    _, status = await asyncio.to_thread(os.waitpid, child, 0)
    assert os.waitstatus_to_exitcode(status) == 7
    await writer.run(insert(2))
    assert numbers(tmp_path) == [2]
