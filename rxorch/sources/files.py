"""LinesOf: the lines of a file, a folder of files or standard input, to the end or for ever."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeAlias

from rxorch.errors import ApiConfigurationError, ApiValidationError
from rxorch.sources.bad_input import BadInput
from rxorch.sources.reading import Background, CutOffError, Opened, open_path
from rxorch.sources.splitting import DEFAULT_MAX_LINE, Lines, LineSplitter

__all__ = ["Chunk", "LinesOf", "StrPath", "bad_input"]

StrPath: TypeAlias = str | os.PathLike[str]

STANDARD_INPUT: Final = "standard input"
_BOM: Final = b"\xef\xbb\xbf"


@dataclass(frozen=True, slots=True)
class Chunk:
    """Lines of one file that have been read.

    Attributes:
        source: Name of the file.
        lines: What the splitter gave.
        ends: Whether the file ends here.
        failure: Why it ends before its time.
    """

    source: str
    lines: Lines
    ends: bool = False
    failure: str | None = None


def bad_input(source: str, line: int | None, reason: str) -> BadInput:
    """What stands in the place of a line that cannot be used."""
    place = source if line is None else f"{source}, line {line}"
    return BadInput(source, line, ApiValidationError(f"{place}: {reason}"))


class LinesOf:
    """The lines of files, read in another thread and no further than they are wanted.

    Args:
        path: A file, a folder, or "-" for standard input.
        max_line: Longest line in bytes.
        follow: Wait at the end for what is appended, and in a folder for new files.
        every: Seconds between two looks.
        pattern: Which files of a folder.
    """

    def __init__(
        self,
        path: StrPath,
        *,
        max_line: int = DEFAULT_MAX_LINE,
        follow: bool = False,
        every: float = 0.2,
        pattern: str = "*",
    ) -> None:
        if not isinstance(path, str | os.PathLike) or not os.fspath(path):
            raise ApiConfigurationError('path: give the path of a file or folder, or "-" for standard input')
        if type(max_line) is not int or max_line < 1:
            raise ApiConfigurationError("max_line: give a whole number of bytes, 1 or more")
        if not every > 0:
            raise ApiConfigurationError("every: give seconds above 0")
        self.path = None if os.fspath(path) == "-" else Path(path)
        if follow and self.path is None:
            raise ApiConfigurationError("follow: standard input ends when its writer ends; leave out follow")
        if follow and self.path is not None and self.path.suffix == ".gz":
            raise ApiConfigurationError("follow: a compressed file cannot be followed")
        self.max_line = max_line
        self.follow = follow
        self.every = every
        self.pattern = pattern

    async def __aiter__(self) -> AsyncGenerator[Chunk]:
        background = Background()
        files: _Followed | _InTurn = _Followed(self) if self.follow else _InTurn(self)
        try:
            chunks = files.chunks(background)
            async with aclosing(chunks):
                async for chunk in chunks:
                    yield chunk
        finally:
            background.close(files.close)


class _Reading:
    """A file of which lines are read."""

    def __init__(self, name: str, opened: Opened, max_line: int) -> None:
        self.name = name
        self.opened = opened
        self.splitter = LineSplitter(max_line)
        self._is_new = True

    def chunk(self) -> Chunk | None:
        """The lines of the next block; None at the end."""
        try:
            block = self.opened.read()
        except CutOffError as error:
            return Chunk(self.name, self.splitter.finish(), True, str(error))
        if not block:
            return None
        if self._is_new:
            self._is_new = False
            block = block.removeprefix(_BOM)
        return Chunk(self.name, self.splitter.feed(block))

    def last(self) -> Chunk:
        """The line that has no end."""
        return Chunk(self.name, self.splitter.finish(), ends=True)

    def restart(self, max_line: int) -> None:
        """From the first line again."""
        self.opened.rewind()
        self.splitter = LineSplitter(max_line)
        self._is_new = True


def _paths(given: LinesOf) -> list[Path | None]:
    path = given.path
    if path is None or not path.is_dir():
        return [path]
    return [each for each in sorted(path.glob(given.pattern)) if each.is_file()]


def _name(given: LinesOf, path: Path | None) -> str:
    return STANDARD_INPUT if path is None else str(path)


class _InTurn:
    """Each file to its end."""

    def __init__(self, given: LinesOf) -> None:
        self._given = given
        self._open: _Reading | None = None

    async def chunks(self, background: Background) -> AsyncGenerator[Chunk]:
        for path in await background.call(_paths, self._given):
            reading = await background.call(self._opened, path)
            while (chunk := await background.call(reading.chunk)) is not None:
                yield chunk
                if chunk.ends:
                    break
            else:
                yield reading.last()
            await background.call(self.close)

    def _opened(self, path: Path | None) -> _Reading:
        name = _name(self._given, path)
        self._open = _Reading(name, open_path(path), self._given.max_line)
        return self._open

    def close(self) -> None:
        """Closes the file that is open."""
        if self._open is not None:
            self._open.opened.close()
            self._open = None


class _Followed:
    """Files that grow: what is there, and then what comes, as `tail -F` does.

    A file that was moved away is read to its end before the one that took its place; one that was cut down is
    read from its beginning.
    """

    def __init__(self, given: LinesOf) -> None:
        self._given = given
        self._readings: dict[Path, _Reading] = {}

    async def chunks(self, background: Background) -> AsyncGenerator[Chunk]:
        given = self._given
        if given.path is not None:
            await background.call(given.path.stat)  # what is not there at the beginning is a mistake
        while True:
            found = False
            for path in await background.call(self._paths):
                while (chunk := await background.call(self._next, path)) is not None:
                    found = True
                    yield chunk
            if not found:
                await asyncio.sleep(given.every)

    def _paths(self) -> list[Path]:
        now = [path for path in _paths(self._given) if path is not None]
        return [*(path for path in self._readings if path not in now), *now]

    def _next(self, path: Path) -> Chunk | None:
        reading = self._readings.get(path)
        if reading is None:
            try:
                opened = open_path(path, follow=True)
            except FileNotFoundError:
                return None  # moved away, and nothing is in its place yet
            reading = self._readings[path] = _Reading(str(path), opened, self._given.max_line)
        chunk = reading.chunk()
        if chunk is not None:
            return chunk
        if reading.opened.was_truncated:
            reading.restart(self._given.max_line)
            return reading.chunk()
        if _identity(path) == reading.opened.identity:
            return None
        reading.opened.close()
        del self._readings[path]
        last = reading.last()
        return last if last.lines else None

    def close(self) -> None:
        """Closes all files."""
        for reading in self._readings.values():
            reading.opened.close()
        self._readings.clear()


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino
