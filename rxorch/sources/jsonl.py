"""``jsonl`` and ``lines``: one input in each line of a file."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterable
from contextlib import aclosing
from typing import Any, Literal, TypeAlias

from pydantic_core import from_json

from rxorch.errors import ApiConfigurationError
from rxorch.sources.bad_input import BadInput
from rxorch.sources.files import Chunk, LinesOf, StrPath, bad_input
from rxorch.sources.splitting import DEFAULT_MAX_LINE

__all__ = ["FileInputs", "OnBad", "jsonl", "lines"]

OnBad: TypeAlias = Literal["record", "raise"]
"""What a line that cannot be used does: it becomes a `BadInput`, or its error ends the source."""


def jsonl(
    path: StrPath,
    *,
    max_line: int = DEFAULT_MAX_LINE,
    follow: bool = False,
    every: float = 0.2,
    pattern: str = "*",
    on_bad: OnBad = "record",
) -> AsyncIterable[Any]:
    """The values of a file of JSON lines: UTF-8, one value a line. Empty lines are passed over.

    Read in another thread, no further than they are wanted. A line that is no JSON, too long, or cut off,
    becomes a `BadInput` with its number, and reading goes on behind it. NaN and Infinity are no JSON.

    Args:
        path: A file, gzip or not; a folder, whose files are read in the order of their names; "-" for
            standard input.
        max_line: Longest line in bytes, 1 MiB by default. Of a longer one nothing is kept.
        follow: Wait at the end for lines that are appended, and in a folder for new files, for ever. A file
            that is moved away and replaced, or cut down, is noticed.
        every: With `follow`, seconds between two looks.
        pattern: Of a folder, which files.
        on_bad: "raise" ends with the error of the first line that cannot be used.

    Emits: the values. Each pass reads anew.
    Errors: `OSError` where a file cannot be read.
    Disposal: closes the file; the end of the loop, `break` and cancellation do.

    Raises:
        ApiConfigurationError: An argument that cannot work.

    >>> import asyncio, pathlib
    >>> _ = pathlib.Path("orders.jsonl").write_text('{"id": 1}\\n{"id": \\n[2]\\n')
    >>> async def main():
    ...     return [value async for value in jsonl("orders.jsonl")]
    >>> one, bad, two = asyncio.run(main())
    >>> one, bad.line, str(bad.error), two
    ({'id': 1}, 2, 'orders.jsonl, line 2: it is no JSON (EOF while parsing a value, column 7)', [2])
    """
    return FileInputs(
        LinesOf(path, max_line=max_line, follow=follow, every=every, pattern=pattern), _json, on_bad
    )


def lines(
    path: StrPath,
    *,
    max_line: int = DEFAULT_MAX_LINE,
    follow: bool = False,
    every: float = 0.2,
    pattern: str = "*",
    on_bad: OnBad = "record",
) -> AsyncIterable[Any]:
    """The lines of a file of text, without their ends; empty ones are passed over.

    Everything else is as with `jsonl`. A line that is no UTF-8 becomes a `BadInput`.

    >>> import asyncio, pathlib
    >>> _ = pathlib.Path("names.txt").write_text("Ada\\nGrace\\n")
    >>> async def main():
    ...     return [name async for name in lines("names.txt")]
    >>> asyncio.run(main())
    ['Ada', 'Grace']
    """
    return FileInputs(
        LinesOf(path, max_line=max_line, follow=follow, every=every, pattern=pattern), _text, on_bad
    )


class FileInputs(AsyncIterable[Any]):
    """The inputs in the lines of files."""

    def __init__(self, files: LinesOf, parse: Any, on_bad: OnBad) -> None:
        if on_bad not in ("record", "raise"):
            raise ApiConfigurationError("on_bad: give 'record' or 'raise'")
        self._files = files
        self._parse = parse
        self._on_bad = on_bad

    async def __aiter__(self) -> AsyncGenerator[Any]:
        async with aclosing(aiter(self._files)) as chunks:
            async for chunk in chunks:
                for value in self._values(chunk):
                    if isinstance(value, BadInput) and self._on_bad == "raise":
                        raise value.error
                    yield value

    def _values(self, chunk: Chunk) -> list[Any]:
        values = []
        parse, limit = self._parse, self._files.max_line
        for number, line in chunk.lines:
            if line is None:
                values.append(bad_input(chunk.source, number, f"it is longer than {limit:,} bytes"))
            elif line and not line.isspace():
                values.append(parse(chunk.source, number, line))
        if chunk.failure is not None:
            values.append(bad_input(chunk.source, None, f"its end is missing: {chunk.failure}"))
        return values


def _json(source: str, number: int, line: bytes) -> Any:
    try:
        return from_json(line, allow_inf_nan=False)
    except ValueError as error:
        reason, _, place = str(error).partition(" at line 1 column ")
        return bad_input(
            source, number, f"it is no JSON ({reason}, column {place})" if place else "it is no JSON"
        )


def _text(source: str, number: int, line: bytes) -> Any:
    try:
        return line.decode("utf-8")
    except UnicodeDecodeError:
        return bad_input(source, number, "it is no UTF-8")
