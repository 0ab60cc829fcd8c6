"""OutputFile: whole pieces of text, written soon, in another thread."""

from __future__ import annotations

import asyncio
import gzip
import os
from collections.abc import Coroutine
from pathlib import Path
from typing import IO, Any, Final

from rxorch.errors import ApiConfigurationError
from rxorch.sources.reading import Background

__all__ = ["OutputFile", "StrPath"]

StrPath = str | os.PathLike[str]

_SOON: Final = 0.25
"""Seconds after which a piece is written at the latest."""

_ENOUGH: Final = 64 * 1024
"""Bytes that are written at once."""


class OutputFile:
    """A file, or standard output, that takes pieces and writes them in groups.

    Args:
        path: A file, "-" for standard output. It is compressed if its name ends in `.gz`.
        append: Write behind what is there. A last line that has no end is cut off first.
    """

    def __init__(self, path: StrPath, *, append: bool = False) -> None:
        if not isinstance(path, str | os.PathLike) or not os.fspath(path):
            raise ApiConfigurationError('path: give the path of a file, or "-" for standard output')
        self.path = None if os.fspath(path) == "-" else Path(path)
        if append and self.path is not None and self.path.suffix == ".gz":
            raise ApiConfigurationError("append: a compressed file cannot be appended to")
        self._append = append
        self._file: IO[bytes] | None = None
        self._background: Background | None = None
        self._pieces: list[bytes] = []
        self._size = 0
        self._timer: asyncio.TimerHandle | None = None
        self._writing: asyncio.Task[None] | None = None
        self.is_empty = True

    async def open(self) -> None:
        """Makes the file, or empties it.

        Raises:
            OSError: It cannot be made.
        """
        self._background = Background()
        try:
            await self._background.call(self._open)
        except BaseException:
            self._background.close(self._close)  # cancelled meanwhile, it is open all the same
            self._background = None
            raise

    def _open(self) -> None:
        self._file = self._opened()

    def _close(self) -> None:
        if self._file is not None:
            self._file.close()

    def _opened(self) -> IO[bytes]:
        path = self.path
        if path is None:
            return os.fdopen(os.dup(1), "wb", buffering=0)
        if path.suffix == ".gz":
            return gzip.open(path, "wb")  # type: ignore[return-value]
        if not self._append or not path.exists():
            return path.open("wb", buffering=0)
        file = path.open("r+b", buffering=0)
        _to_the_last_line(file)
        self.is_empty = file.tell() == 0
        return file

    async def write(self, piece: bytes) -> None:
        """Takes a piece. It is written within a quarter of a second, and not in parts.

        Raises:
            OSError: What was taken before could not be written.
        """
        self._pieces.append(piece)
        self._size += len(piece)
        self.is_empty = False
        if self._writing is not None and self._writing.done():
            self._writing.result()
        if self._size >= _ENOUGH:
            await self.flush()
        elif self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(_SOON, self._flush_soon)

    def _flush_soon(self) -> None:
        self._timer = None
        self._start(self._flushed())

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        self._writing = asyncio.get_running_loop().create_task(work)

    async def flush(self) -> None:
        """Writes what was taken."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._writing is not None:
            await asyncio.shield(self._writing)  # who is cancelled here must not cancel what it waits for
        self._start(self._flushed())
        assert self._writing is not None
        await asyncio.shield(self._writing)

    async def _flushed(self) -> None:
        pieces, self._pieces, self._size = self._pieces, [], 0
        if pieces and self._background is not None:
            await self._background.call(self._put, b"".join(pieces))

    def _put(self, data: bytes) -> None:
        assert self._file is not None
        view = memoryview(data)
        while view:
            written = self._file.write(view)
            view = view[written or 0 :]

    async def close(self) -> None:
        """Writes what was taken, and closes the file."""
        if self._background is None:
            return
        background = self._background
        try:
            await self.flush()
        finally:
            self._background = None
            try:
                await background.call(self._close)
            finally:
                background.close(lambda: None)


def _to_the_last_line(file: IO[bytes]) -> None:
    """Cuts a line that has no end, and goes there."""
    end = file.seek(0, os.SEEK_END)
    while end > 0:
        start = max(0, end - _ENOUGH)
        file.seek(start)
        found = file.read(end - start).rfind(b"\n")
        if found >= 0:
            end = start + found + 1
            break
        end = start
    file.truncate(end)
    file.seek(end)
