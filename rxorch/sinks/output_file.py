"""OutputFile: whole pieces of text, written soon, in another thread."""

from __future__ import annotations

import asyncio
import gzip
import os
from functools import partial
from pathlib import Path
from typing import IO, Final

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
        self._unwritten = 0
        self._timer: asyncio.TimerHandle | None = None
        self._failure: Exception | None = None
        self.is_empty = True

    async def open(self) -> None:
        """Makes the file, or empties it.

        Raises:
            OSError: It cannot be made.
        """
        background = Background()
        opened: list[IO[bytes]] = []
        try:
            await background.call(lambda: opened.append(self._opened()))
        except BaseException:
            # Who is cancelled here has it opened all the same, sooner or later.
            background.close(lambda: [file.close() for file in opened])
            raise
        self._background, self._file, self._failure = background, opened[0], None

    def _opened(self) -> IO[bytes]:
        path = self.path
        if path is None:
            return os.fdopen(os.dup(1), "wb", buffering=0)
        if path.suffix == ".gz":
            return gzip.open(path, "wb")  # type: ignore[return-value]
        if not self._append or not path.exists():
            return path.open("wb", buffering=0)
        file = path.open("r+b", buffering=0)
        try:
            _to_the_last_line(file)
            self.is_empty = file.tell() == 0
        except BaseException:
            file.close()
            raise
        return file

    async def write(self, piece: bytes) -> None:
        """Takes a piece. It is written within a quarter of a second, and not in parts.

        Raises:
            OSError: What was taken before could not be written; nothing more is.
            ApiConfigurationError: The file is not open.
        """
        if self._background is None:
            raise ApiConfigurationError(f"path: {self._name} is not open; write inside `async with`")
        if self._failure is not None:
            raise self._failure
        self._pieces.append(piece)
        self._unwritten += len(piece)
        self.is_empty = False
        if self._unwritten >= _ENOUGH:
            # Shielded, so that what goes on counts as unwritten when who waits for it is cancelled.
            await asyncio.shield(self._start(self._background))
        elif self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(_SOON, self._start, self._background)

    def _start(self, background: Background) -> asyncio.Future[None]:
        """Has what was taken written, behind what is being written."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        data, self._pieces = b"".join(self._pieces), []
        writing = background.call(self._put, data)
        writing.add_done_callback(partial(self._on_written, len(data)))
        return writing

    def _on_written(self, size: int, writing: asyncio.Future[None]) -> None:
        self._unwritten -= size
        if not writing.cancelled():
            writing.exception()  # seen: whoever writes or closes is told

    def _put(self, data: bytes) -> None:
        assert self._file is not None
        if self._failure is not None:
            raise self._failure  # a part of a piece may be in the file, and nothing is to go behind it
        view = memoryview(data)
        try:
            while view:
                written = self._file.write(view)
                view = view[written or 0 :]
        except Exception as error:
            self._failure = error
            raise

    async def close(self) -> None:
        """Writes what was taken, and closes the file; all of it also if this is cancelled.

        Raises:
            OSError: What was taken could not be written.
        """
        background, file = self._background, self._file
        if background is None or file is None:
            return
        self._background = None
        written, closed = self._start(background), background.call(file.close)
        background.close(lambda: None)
        try:
            await written
        finally:
            await closed

    @property
    def _name(self) -> str:
        return "standard output" if self.path is None else repr(str(self.path))


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
