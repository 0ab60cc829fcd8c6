"""BlockReader: reading files and pipes in a thread that cannot keep the process from ending."""

from __future__ import annotations

import asyncio
import os
import threading
import zlib
from collections.abc import Callable
from pathlib import Path
from queue import SimpleQueue
from typing import Any, Final, TypeVar

__all__ = ["BLOCK", "Background", "CutOffError", "Opened", "open_path"]

T = TypeVar("T")

BLOCK: Final = 256 * 1024
"""Bytes read at a time."""

_GZIP_MAGIC: Final = b"\x1f\x8b"
_GZIP: Final = 16 + zlib.MAX_WBITS


class Background:
    """Calls functions in a thread of its own, one at a time.

    Not the loop's default executor: whoever waits there for a line of a pipe would keep the process from
    ending. This thread is a daemon.
    """

    def __init__(self) -> None:
        self._queue: SimpleQueue[Any] = SimpleQueue()
        thread = threading.Thread(target=_work, args=(self._queue,), name="rxorch-read", daemon=True)
        thread.start()

    def call(self, function: Callable[..., T], *args: Any) -> asyncio.Future[T]:
        """Calls it there, behind what was called before, whether anybody waits for the result or not.

        Who is cancelled while waiting gets no result; the call ends by itself.
        """
        loop = asyncio.get_running_loop()
        done: asyncio.Future[T] = loop.create_future()
        self._queue.put((function, args, loop, done))
        return done

    def close(self, last: Callable[[], object]) -> None:
        """Ends the thread when it has nothing to do any more; `last` is called there."""
        self._queue.put((last, (), None, None))
        self._queue.put(None)


def _work(queue: SimpleQueue[Any]) -> None:
    while (item := queue.get()) is not None:
        function, args, loop, done = item
        result, error = None, None
        try:
            result = function(*args)
        except Exception as failed:
            error = failed
        if loop is not None:
            try:
                loop.call_soon_threadsafe(_settle, done, result, error)
            except RuntimeError:
                pass  # the loop is closed


def _settle(done: asyncio.Future[Any], result: Any, error: Exception | None) -> None:
    if done.done():
        return
    if error is None:
        done.set_result(result)
    else:
        done.set_exception(error)


class CutOffError(Exception):
    """A compressed file that ends too early, or is damaged."""


class Opened:
    """A file, or standard input, being read.

    Args:
        descriptor: Of the file. It is closed with this, unless it is that of standard input.
        is_compressed: Whether to undo gzip; None: as its first bytes say.
    """

    def __init__(self, descriptor: int, *, closes: bool = True, is_compressed: bool | None = None) -> None:
        self._descriptor = descriptor
        self._closes = closes
        self._is_compressed = is_compressed
        self._inflate: Any = None
        self._rest = b""
        self._is_new = True

    def read(self) -> bytes:
        """The next block, b"" at the end.

        Raises:
            CutOffError: It is compressed, and damaged or cut off.
        """
        if self._is_new:
            self._is_new = False
            first = os.read(self._descriptor, BLOCK)
            if self._is_compressed is None:
                self._is_compressed = first.startswith(_GZIP_MAGIC)
            if not self._is_compressed:
                return first
            self._inflate, self._rest = zlib.decompressobj(_GZIP), first
        return self._inflated() if self._is_compressed else os.read(self._descriptor, BLOCK)

    def _inflated(self) -> bytes:
        while True:
            if not self._rest:
                self._rest = os.read(self._descriptor, BLOCK)
                if not self._rest:
                    if not self._inflate.eof:
                        raise CutOffError("it is cut off")
                    return b""
            if self._inflate.eof:
                self._rest = self._rest.lstrip(b"\0")  # files are padded with them
                if not self._rest:
                    continue
                self._inflate = zlib.decompressobj(_GZIP)
            try:
                block: bytes = self._inflate.decompress(self._rest, BLOCK)
            except zlib.error as error:
                raise CutOffError("it is damaged") from error
            self._rest = self._inflate.unused_data or self._inflate.unconsumed_tail
            if block:
                return block

    @property
    def identity(self) -> tuple[int, int]:
        """Device and number of the file."""
        found = os.fstat(self._descriptor)
        return found.st_dev, found.st_ino

    @property
    def was_truncated(self) -> bool:
        """Whether the file is shorter now than what was read of it."""
        return os.fstat(self._descriptor).st_size < os.lseek(self._descriptor, 0, os.SEEK_CUR)

    def rewind(self) -> None:
        """Back to the beginning."""
        os.lseek(self._descriptor, 0, os.SEEK_SET)

    def close(self) -> None:
        """Closes the file."""
        if self._closes and self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


def open_path(path: Path | None, *, follow: bool = False) -> Opened:
    """Opens a file, or standard input for None."""
    if path is None:
        return Opened(0, closes=False)
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0))
    is_compressed = False if follow else None
    return Opened(descriptor, is_compressed=is_compressed)
