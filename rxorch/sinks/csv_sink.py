"""CsvSink: one row for each run."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from typing import Any, Final

from pydantic_core import to_json

from rxorch.errors import ApiConfigurationError
from rxorch.sinks.jsonl_sink import Sink
from rxorch.sinks.output_file import StrPath

__all__ = ["CsvSink"]

_ALWAYS: Final = ("index", "key", "ok", "error", "attempts", "duration")
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")


class CsvSink(Sink):
    """Writes runs as rows of CSV: what is known of the run, the fields of its input and of its results.

    A column is a dotted path into the record (see `record_of`): `input.id`, `result.user.name`, `error.type`.
    What is no text, number or truth is written as JSON.

    Args:
        path: As in `JsonlSink`.
        columns: Paths; by default those of the first run: index, key, ok, error, attempts, duration, each
            field of its input, and each endpoint's result. If it called nothing, as for an input that could
            not be read, input and result are a column each.
        append: As in `JsonlSink`; then no header is written.
        raw: Write text that begins like a formula (`=`, `+`, `-`, `@`, tab, carriage return) as it is. Else
            an apostrophe goes before it, for a spreadsheet would carry it out.
    """

    def __init__(
        self,
        path: StrPath,
        columns: Sequence[str] | None = None,
        *,
        append: bool = False,
        raw: bool = False,
    ) -> None:
        super().__init__(path, append=append)
        if columns is not None and (
            isinstance(columns, str) or not all(isinstance(each, str) for each in columns)
        ):
            raise ApiConfigurationError("columns: give a list of paths such as 'input.id'")
        self._columns = None if columns is None else list(columns)
        self._raw = raw
        self._is_new = True

    async def write_record(self, record: Mapping[str, Any]) -> None:
        text = io.StringIO()
        writer = csv.writer(text)
        if self._columns is None:
            self._columns = _columns_of(record)
        if self._is_new:
            self._is_new = False
            if self._file.is_empty:
                writer.writerow(self._columns)
        writer.writerow([self._cell(_found(record, path)) for path in self._columns])
        await self._file.write(text.getvalue().encode("utf-8", "backslashreplace"))

    def _cell(self, value: Any) -> Any:
        if value is None:
            return ""
        if isinstance(value, bool):
            return "true" if value else "false"
        if isinstance(value, int | float):
            return value
        text = value if isinstance(value, str) else to_json(value, inf_nan_mode="null").decode()
        return f"'{text}" if not self._raw and text.startswith(_FORMULA) else text


def _columns_of(record: Mapping[str, Any]) -> list[str]:
    columns = list(_ALWAYS)
    columns[columns.index("error")] = "error.type"
    columns.insert(columns.index("error.type") + 1, "error.message")
    for part in ("input", "result"):
        value = record[part] if record["outcomes"] else None  # else its fields say nothing of the others'
        columns += [f"{part}.{name}" for name in value] if isinstance(value, Mapping) and value else [part]
    return columns


def _found(record: Any, path: str) -> Any:
    value = record
    for name in path.split("."):
        if not isinstance(value, Mapping):
            return None
        value = value.get(name)
    return value
