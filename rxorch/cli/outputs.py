"""Where the records of a command go: JSON lines or CSV, into a file or to standard output."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self, TypeAlias

from rxorch.blocking import run_blocking
from rxorch.errors import ApiConfigurationError
from rxorch.ledger import Ledger, LedgerRecord
from rxorch.sinks import CsvSink, JsonlSink, Sink
from rxorch.stream import Run

__all__ = ["Output", "OutputForm", "export", "refuse_overwriting"]

OutputForm: TypeAlias = Literal["jsonl", "csv"]


class Output:
    """A sink for runs, and for records that a ledger has of earlier ones.

    Args:
        path: A file, or "-" for standard output.
        form: "jsonl" or "csv"; by the suffix of the file where it is None.
    """

    def __init__(self, path: str, form: OutputForm | None = None) -> None:
        is_csv = form == "csv" if form is not None else path.removesuffix(".gz").endswith(".csv")
        self._sink: Sink = CsvSink(path) if is_csv else JsonlSink(path)

    async def write(self, run: Run) -> None:
        """Writes a record."""
        await self._sink.write(run)

    async def replay(self, ledger: Ledger, *, failed: bool = False) -> int:
        """Writes what a ledger has, or what of it failed; returns how many of them failed."""
        count = 0
        for record in ledger.records(finished=True, failed=failed):
            count += record.status != "ok"
            await self._sink.write_record(_fields(record))
        return count

    async def __aenter__(self) -> Self:
        await self._sink.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._sink.__aexit__(kind, error, trace)


def refuse_overwriting(output: str, used: Iterable[str | None], option: str = "--output") -> None:
    """Refuses an output that is a file of the same command.

    Args:
        output: A path, or "-".
        used: Paths of the other files; None, "-" and what is no regular file are left alone.
        option: By which the output was given.

    Raises:
        ApiConfigurationError: The output would be written over one of them.
    """
    try:
        target = os.fstat(1) if output == "-" else Path(output).stat()
    except OSError:  # it is not there yet, or closed
        target = None
    if target is None or not stat.S_ISREG(target.st_mode):
        return
    for path in used:
        if path and path != "-" and Path(path).exists() and os.path.samestat(target, Path(path).stat()):
            raise ApiConfigurationError(f"{option}: it is {path!r} itself, which is used; give another file")


def export(ledger: Ledger, output: Output, *, failed: bool) -> None:
    """Writes what a ledger has, or what of it failed."""

    async def write() -> None:
        async with output:
            await output.replay(ledger, failed=failed)

    run_blocking(write)


def _fields(record: LedgerRecord) -> dict[str, Any]:
    return {
        "index": record.index,
        "key": record.key,
        "ok": record.status == "ok",
        "input": record.input,
        "result": record.result,
        "error": record.error,
        "outcomes": record.outcomes,
        "attempts": record.attempts,
        "started": None,
        "duration": record.duration,
    }
