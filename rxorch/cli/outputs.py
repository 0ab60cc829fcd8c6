"""Where the records of a command go: JSON lines or CSV, into a file or to standard output."""

from __future__ import annotations

from types import TracebackType
from typing import Any, Literal, Self, TypeAlias

from rxorch.blocking import run_blocking
from rxorch.ledger import Ledger, LedgerRecord
from rxorch.sinks import CsvSink, JsonlSink, Sink
from rxorch.stream import Run

__all__ = ["Output", "OutputForm", "export"]

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

    async def replay(self, ledger: Ledger, *, failed: bool = False) -> None:
        """Writes what a ledger has, or what of it failed."""
        for record in ledger.records(finished=True, failed=failed):
            await self._sink.write_record(_fields(record))

    async def __aenter__(self) -> Self:
        await self._sink.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._sink.__aexit__(kind, error, trace)


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
