"""``csv``: one input in each row of a file."""

from __future__ import annotations

import csv as standard_csv
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterable, Callable, Iterator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

from rxorch.errors import ApiConfigurationError
from rxorch.sources.bad_input import BadInput
from rxorch.sources.files import Chunk, LinesOf, StrPath, bad_input
from rxorch.sources.jsonl import OnBad
from rxorch.sources.splitting import DEFAULT_MAX_LINE

__all__ = ["csv"]


def csv(
    path: StrPath,
    *,
    delimiter: str = ",",
    quote: str = '"',
    header: Sequence[str] | None = None,
    types: Mapping[str, Callable[[str], Any]] | None = None,
    max_line: int = DEFAULT_MAX_LINE,
    follow: bool = False,
    every: float = 0.2,
    pattern: str = "*",
    on_bad: OnBad = "record",
) -> AsyncIterable[Any]:
    r"""The rows of a CSV file as dictionaries (RFC 4180): UTF-8, quoted fields may have line ends in them.

    A row with too few or too many fields, a field that its type refuses, a quote that is never closed, and
    what `jsonl` does not bear, become a `BadInput` with the number of the line in which the row begins.

    Args:
        path: As in `jsonl`.
        delimiter: Between fields, one character.
        quote: Around fields, one character.
        header: Names of the columns; by default the first row of each file has them.
        types: What makes a value of the text of a column: `{"amount": float}`. The others stay text.
        max_line: Longest row in bytes.
        follow: As in `jsonl`.
        every: As in `jsonl`.
        pattern: As in `jsonl`.
        on_bad: As in `jsonl`.

    Errors: `ApiConfigurationError` where the header of a file has a name twice, or an empty one.

    Raises:
        ApiConfigurationError: An argument that cannot work.

    >>> import asyncio, pathlib
    >>> _ = pathlib.Path("orders.csv").write_text('id,note\n1,"two\nlines"\n2\n')
    >>> async def main():
    ...     return [row async for row in csv("orders.csv", types={"id": int})]
    >>> row, bad = asyncio.run(main())
    >>> row, str(bad.error)
    ({'id': 1, 'note': 'two\nlines'}, 'orders.csv, line 4: it has 1 field, and there are 2 columns')
    """
    for label, sign in (("delimiter", delimiter), ("quote", quote)):
        if not isinstance(sign, str) or len(sign) != 1 or sign in "\r\n":
            raise ApiConfigurationError(f"{label}: give one character")
    if on_bad not in ("record", "raise"):
        raise ApiConfigurationError("on_bad: give 'record' or 'raise'")
    form = _Form(delimiter, quote, None if header is None else tuple(header), dict(types or {}), max_line)
    if form.header is not None:
        _check_names(form.header, form, "header")
    files = LinesOf(path, max_line=max_line, follow=follow, every=every, pattern=pattern)
    return _Rows(files, form, on_bad)


@dataclass(frozen=True, slots=True)
class _Form:
    delimiter: str
    quote: str
    header: tuple[str, ...] | None
    types: dict[str, Callable[[str], Any]]
    max_line: int


def _check_names(names: Sequence[str], form: _Form, place: str) -> None:
    for number, name in enumerate(names, 1):
        if not isinstance(name, str) or not name.strip():
            raise ApiConfigurationError(f"{place}: column {number} has no name")
    twice = [name for name in names if names.count(name) > 1]
    if twice:
        raise ApiConfigurationError(f"{place}: two columns are called {twice[0]!r}")
    unknown = [name for name in form.types if name not in names]
    if unknown:
        raise ApiConfigurationError(f"{place}: types names {unknown[0]!r}, and there is no such column")


class _Rows(AsyncIterable[Any]):
    def __init__(self, files: LinesOf, form: _Form, on_bad: OnBad) -> None:
        self._files = files
        self._form = form
        self._on_bad = on_bad

    async def __aiter__(self) -> AsyncGenerator[Any]:
        tables: dict[str, _Table] = {}
        async with aclosing(aiter(self._files)) as chunks:
            async for chunk in chunks:
                table = tables.get(chunk.source)
                if table is None:
                    table = tables[chunk.source] = _Table(chunk.source, self._form)
                for row in table.rows(chunk):
                    if isinstance(row, BadInput) and self._on_bad == "raise":
                        raise row.error
                    yield row
                if chunk.ends:
                    del tables[chunk.source]


class _Table:
    """The rows of one file: puts lines together where a quoted field has line ends."""

    def __init__(self, source: str, form: _Form) -> None:
        self._source = source
        self._form = form
        self._names = form.header
        self._waiting: deque[tuple[int, str]] = deque()  # of a row that has no end yet
        self._size = 0
        self._is_quoted = False

    def rows(self, chunk: Chunk) -> Iterator[Any]:
        """The rows that end in a chunk."""
        for number, line in chunk.lines:
            if line is None:
                yield from self._given_up()
                yield self._bad(number, f"it is longer than {self._form.max_line:,} bytes")
                continue
            try:
                text = line.decode("utf-8")
            except UnicodeDecodeError:
                yield from self._given_up()
                yield self._bad(number, "it is no UTF-8")
                continue
            yield from self._line(number, text)
        if chunk.ends:
            yield from self._given_up()
        if chunk.failure is not None:
            yield self._bad(None, f"its end is missing: {chunk.failure}")

    def _line(self, number: int, text: str) -> Iterator[Any]:
        self._waiting.append((number, text))
        self._size += len(text)
        self._is_quoted = _ends_quoted(text, self._form, self._is_quoted)
        if not self._is_quoted:
            yield from self._row()
        elif self._size > self._form.max_line:
            yield from self._given_up()

    def _given_up(self) -> Iterator[Any]:
        """A quote that is never closed: its line is bad, and those behind it are read again."""
        while self._is_quoted:
            (number, _), *others = self._waiting
            self._forget()
            yield self._bad(number, "its quotes are not closed")
            for again, text in others:
                yield from self._line(again, text)

    def _forget(self) -> None:
        self._waiting.clear()
        self._size, self._is_quoted = 0, False

    def _row(self) -> Iterator[Any]:
        number = self._waiting[0][0]
        text = "\n".join(line for _, line in self._waiting)
        self._forget()
        if not text:
            return
        form = self._form
        try:
            fields = next(
                standard_csv.reader([text], delimiter=form.delimiter, quotechar=form.quote, strict=False)
            )
        except (standard_csv.Error, StopIteration):
            yield self._bad(number, "it is no row of CSV")
            return
        if self._names is None:
            _check_names(fields, form, f"{self._source}, line {number}")
            self._names = tuple(fields)
            return
        yield self._made(number, fields, self._names)

    def _made(self, number: int, fields: list[str], names: tuple[str, ...]) -> Any:
        if len(fields) != len(names):
            have = f"{len(fields)} field{'s' if len(fields) != 1 else ''}"
            return self._bad(number, f"it has {have}, and there are {len(names)} columns")
        row: dict[str, Any] = dict(zip(names, fields, strict=True))
        for name, make in self._form.types.items():
            try:
                row[name] = make(row[name])
            except Exception:
                kind = getattr(make, "__name__", "its type")
                return self._bad(number, f"the value of {name!r} is no {kind}")
        return row

    def _bad(self, number: int | None, reason: str) -> BadInput:
        return bad_input(self._source, number, reason)


def _ends_quoted(text: str, form: _Form, is_quoted: bool) -> bool:
    """Whether a quoted field is open at the end of a line, as it was at its beginning or not."""
    quote = form.quote
    if quote not in text:
        return is_quoted
    place, length = 0, len(text)
    at_start = not is_quoted
    while place < length:
        sign = text[place]
        if is_quoted:
            if sign == quote:
                if place + 1 < length and text[place + 1] == quote:
                    place += 1
                else:
                    is_quoted = False
        elif sign == form.delimiter:
            at_start = True
            place += 1
            continue
        elif sign == quote and at_start:
            is_quoted = True
        at_start = False
        place += 1
    return is_quoted
