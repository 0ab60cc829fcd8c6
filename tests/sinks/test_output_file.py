"""The file below a sink: when it is opened, written and closed, and what of it is cancelled or fails."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from rxorch.errors import ApiConfigurationError
from rxorch.sinks import output_file
from rxorch.sinks.output_file import OutputFile

KIB = 1024


def threads() -> set[threading.Thread]:
    return {thread for thread in threading.enumerate() if thread.name == "rxorch-read"}


def descriptors() -> set[str]:
    return {path.name for path in Path("/proc/self/fd").iterdir()}


async def until_ended(some: set[threading.Thread]) -> None:
    while any(thread.is_alive() for thread in some):
        await asyncio.sleep(0)


# -- opening -------------------------------------------------------------------------------------------


async def cancelled_opening(output: OutputFile) -> set[threading.Thread]:
    """Cancels an opening that is under way; returns its thread."""
    before = threads()
    opening = asyncio.ensure_future(output.open())
    await asyncio.sleep(0)
    opening.cancel()
    with pytest.raises(asyncio.CancelledError):
        await opening
    return threads() - before


@pytest.mark.parametrize("name", ["out.jsonl", "out.jsonl.gz"])
async def test_a_cancelled_opening_leaves_no_file_open(tmp_path: Path, name: str) -> None:
    path, before = tmp_path / name, descriptors()
    os.mkfifo(path)  # is open when somebody reads it
    output = OutputFile(path)
    opening = await cancelled_opening(output)
    assert [thread.is_alive() for thread in opening] == [True]
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    try:
        await until_ended(opening)
    finally:
        os.close(reader)
    assert descriptors() <= before


async def test_a_cancelled_opening_does_not_touch_the_next_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, before = tmp_path / "out.jsonl", descriptors()
    begun, goes_on = threading.Event(), threading.Event()
    output = OutputFile(path)
    opened = output._opened

    def slowly() -> Any:
        begun.set()
        goes_on.wait()
        return opened()

    monkeypatch.setattr(output, "_opened", slowly)
    opening = await cancelled_opening(output)
    await asyncio.to_thread(begun.wait)
    monkeypatch.undo()
    await output.open()
    goes_on.set()
    await until_ended(opening)
    await output.write(b"one\n")
    await output.close()
    assert path.read_bytes() == b"one\n" and descriptors() <= before


async def test_what_has_no_last_line_cannot_be_appended_to_and_is_closed(tmp_path: Path) -> None:
    path, before = tmp_path / "out.jsonl", descriptors()
    os.mkfifo(path)
    with pytest.raises(OSError, match="Illegal seek"):
        await OutputFile(path, append=True).open()
    assert descriptors() <= before


async def test_who_writes_outside_of_async_with_is_told(tmp_path: Path) -> None:
    output = OutputFile(tmp_path / "out.jsonl")
    with pytest.raises(ApiConfigurationError, match=r"path: '.*out\.jsonl' is not open; write inside"):
        await output.write(b"one\n")
    await output.open()
    await output.close()
    with pytest.raises(ApiConfigurationError, match="is not open"):
        await output.write(b"two\n")
    with pytest.raises(ApiConfigurationError, match="path: standard output is not open"):
        await OutputFile("-").write(b"three\n")


# -- a file that is slow -------------------------------------------------------------------------------


class Slow:
    """A file that writes when it may.

    Attributes:
        begun: Somebody writes.
        goes_on: Lets go on who writes.
        failure: The first that writes gets it.
    """

    def __init__(self, file: Any, failure: Exception | None = None) -> None:
        self._file = file
        self.begun, self.goes_on = threading.Event(), threading.Event()
        self.failure = failure

    def write(self, data: bytes) -> int:
        self.begun.set()
        self.goes_on.wait()
        failure, self.failure = self.failure, None
        if failure is not None:
            raise failure
        written: int = self._file.write(data)
        return written

    def close(self) -> None:
        self._file.close()


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> Callable[[OutputFile, bytes], Any]:
    """A function that writes a piece, and has it written in the next turn of the loop."""
    monkeypatch.setattr(output_file, "_SOON", 0.0)

    async def write(output: OutputFile, piece: bytes) -> None:
        await output.write(piece)
        while output._timer is not None:
            await asyncio.sleep(0)

    return write


async def slow(path: Path, failure: Exception | None = None) -> tuple[OutputFile, Slow]:
    output = OutputFile(path)
    await output.open()
    file: Any = Slow(output._file, failure)
    output._file = file
    return output, file


async def test_what_could_not_be_written_is_told_and_nothing_goes_behind_it(
    tmp_path: Path, at_once: Callable[[OutputFile, bytes], Any]
) -> None:
    output, file = await slow(tmp_path / "out.jsonl", OSError("no space"))
    await at_once(output, b"one\n")
    await at_once(output, b"two\n")
    file.goes_on.set()
    while output._unwritten:
        await asyncio.sleep(0)
    with pytest.raises(OSError, match="no space"):
        await output.write(b"three\n")
    with pytest.raises(OSError, match="no space"):
        await output.close()
    assert (tmp_path / "out.jsonl").read_bytes() == b""


async def test_no_more_waits_for_a_slow_file_than_is_written_at_once(
    tmp_path: Path, at_once: Callable[[OutputFile, bytes], Any]
) -> None:
    output, file = await slow(tmp_path / "out.jsonl")
    taken = []

    async def write() -> None:
        for number in range(10):
            await at_once(output, b"x" * 20 * KIB)
            taken.append(number)

    writing = asyncio.ensure_future(write())
    await asyncio.to_thread(file.begun.wait)
    for _ in range(100):
        await asyncio.sleep(0)
    assert taken == [0, 1, 2]  # the fourth makes it 80 KiB
    file.goes_on.set()
    await writing
    await output.close()
    assert (tmp_path / "out.jsonl").stat().st_size == 200 * KIB


@pytest.mark.parametrize("times", [1, 2])
async def test_a_cancelled_closing_loses_nothing(
    tmp_path: Path, at_once: Callable[[OutputFile, bytes], Any], times: int
) -> None:
    before, opened = threads(), descriptors()
    output, file = await slow(tmp_path / "out.jsonl")
    await at_once(output, b"one\n")
    await asyncio.to_thread(file.begun.wait)
    await output.write(b"two\n")
    closing = asyncio.ensure_future(output.close())
    for _ in range(times):
        await asyncio.sleep(0)
        closing.cancel()
    await asyncio.sleep(0)
    file.goes_on.set()
    with pytest.raises(asyncio.CancelledError):
        await closing
    await until_ended(threads() - before)
    assert (tmp_path / "out.jsonl").read_bytes() == b"one\ntwo\n"
    assert descriptors() <= opened
