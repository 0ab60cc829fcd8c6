"""JsonlSink: one line of JSON for each run."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import AsyncIterable, Mapping
from types import TracebackType
from typing import Any, Self

from rxorch.sinks.output_file import OutputFile, StrPath
from rxorch.sinks.record import json_line, record_of
from rxorch.stream import Run

__all__ = ["JsonlSink", "Sink", "write_all"]


class Sink:
    """Writes runs into a file; used in `async with`, which closes it."""

    def __init__(self, path: StrPath, *, append: bool = False) -> None:
        self._file = OutputFile(path, append=append)

    async def write(self, run: Run) -> None:
        """Writes a run, see `record_of`. It is in the file within a quarter of a second.

        Raises:
            OSError: It, or one before it, cannot be written; `BrokenPipeError` where nobody reads.
        """
        await self.write_record(record_of(run))

    @abstractmethod
    async def write_record(self, record: Mapping[str, Any]) -> None:
        """Writes what is a record already."""

    async def __aenter__(self) -> Self:
        await self._file.open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._file.close()


class JsonlSink(Sink):
    """Writes runs as lines of JSON.

    Args:
        path: A file, which is made anew; "-" for standard output. It is compressed if its name ends in `.gz`.
        append: Write behind the lines that are there; a last line without an end is cut off.

    >>> import asyncio, pathlib
    >>> from rxorch import APIOrchestrationConfig, APIOrchestrator
    >>> async def main():
    ...     async with (
    ...         APIOrchestrator(APIOrchestrationConfig()) as orchestrator,
    ...         JsonlSink("out.jsonl") as sink,
    ...     ):
    ...         async for run in orchestrator.stream([{"id": 7}]):
    ...             await sink.write(run)
    >>> asyncio.run(main())
    >>> pathlib.Path("out.jsonl").read_text()[:46]
    '{"index":0,"key":null,"ok":true,"input":{"id":'
    """

    async def write_record(self, record: Mapping[str, Any]) -> None:
        await self._file.write(json_line(record))


async def write_all(runs: AsyncIterable[Run], sink: Sink) -> int:
    """Writes all runs of a stream; returns how many there were.

    Args:
        runs: A stream.
        sink: Opened and closed here.
    """
    count = 0
    async with sink:
        async for run in runs:
            await sink.write(run)
            count += 1
    return count
