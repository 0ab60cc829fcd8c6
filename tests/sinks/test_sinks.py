"""Records in files."""

from __future__ import annotations

import asyncio
import csv
import gzip
import json
import math
import subprocess
import sys
import threading
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from rxorch import ApiConfigurationError, ApiValidationError, Outcome, OutcomeStatus, Run
from rxorch.sinks import CsvSink, JsonlSink, record_of, write_all
from rxorch.sources import BadInput, jsonl
from tests.support.fake_transport import FakeTransport
from tests.support.streams import Source, streaming

ROOT = Path(__file__).parents[2]
OUTCOME = Outcome(OutcomeStatus.OK, attempts=1)


def run_of(index: int = 0, **fields: Any) -> Run:
    outcomes = {} if "input" in fields and isinstance(fields["input"], BadInput) else {"a": OUTCOME}
    given = {"index": index, "input": {"id": index}, "ok": True, "result": {"a": 1}, "outcomes": outcomes}
    return Run(**given | fields)


async def written(sink: Any, *runs: Run) -> None:
    async with sink:
        for run in runs:
            await sink.write(run)


async def test_every_line_is_json_for_strict_readers(tmp_path: Path) -> None:
    run = run_of(input={"id": float("inf")}, result={"a": [float("nan")]})
    await written(JsonlSink(tmp_path / "out.jsonl"), run)
    await written(CsvSink(tmp_path / "out.csv", ["result"]), run)
    (record,) = [record async for record in jsonl(tmp_path / "out.jsonl")]
    assert (record["input"], record["result"]) == ({"id": None}, {"a": [None]})
    assert "null" in (tmp_path / "out.csv").read_text()


async def test_a_stream_into_a_file_and_back(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    transport = FakeTransport({"item": lambda request: 404 if request.url.path == "/1" else {"n": 1}})
    assert await write_all(streaming(transport).stream(Source(3), ordered=True), JsonlSink(path)) == 3
    good, bad, _ = [record async for record in jsonl(path)]
    assert list(good) == [
        "index", "key", "ok", "input", "result", "error", "outcomes", "attempts", "started", "duration",
    ]  # fmt: skip
    assert (good["index"], good["ok"], good["input"], good["result"]) == (
        0,
        True,
        {"n": 0},
        {"item": {"n": 1}},
    )
    assert (bad["error"]["type"], bad["outcomes"]["item"]["status"], bad["attempts"]) == (
        "ApiHttpError",
        "failed",
        1,
    )


def test_what_json_cannot_hold() -> None:
    record = record_of(run_of(result=object(), input={"price": Decimal("1.5")}, key=("a", 1)))
    assert (record["result"], record["result_kept"], record["input"]) == (None, False, {"price": "1.5"})
    assert record["key"] == "('a', 1)"
    bad = BadInput("in.jsonl", 7, ApiValidationError("in.jsonl, line 7: it is no JSON"))
    record = record_of(run_of(input=bad, ok=False, error=bad.error, result={}))
    assert (record["input"], record["error"]) == (
        {"source": "in.jsonl", "line": 7},
        {"type": "ApiValidationError", "message": "in.jsonl, line 7: it is no JSON"},
    )


async def test_compressed_and_appended(tmp_path: Path) -> None:
    await written(JsonlSink(tmp_path / "out.jsonl.gz"), run_of(0), run_of(1))
    text = gzip.decompress((tmp_path / "out.jsonl.gz").read_bytes())
    assert [json.loads(line)["index"] for line in text.splitlines()] == [0, 1]
    path = tmp_path / "out.jsonl"
    path.write_text('{"index": 7}\n{"ind')
    await written(JsonlSink(path, append=True), run_of(8))
    assert [json.loads(line)["index"] for line in path.read_text().splitlines()] == [7, 8]
    await written(JsonlSink(path), run_of(9))
    assert len(path.read_text().splitlines()) == 1
    with pytest.raises(ApiConfigurationError, match="append: a compressed file"):
        JsonlSink("x.gz", append=True)


async def test_what_was_taken_is_written_soon(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    async with JsonlSink(path) as sink:
        await sink.write(run_of())
        timer = sink._file._timer
        assert timer is not None and path.read_text() == ""
        timer._run()  # type: ignore[attr-defined] # its time has come
        while sink._file._unwritten:
            await asyncio.sleep(0)
        assert path.read_text().count("\n") == 1


async def test_a_file_that_cannot_be_made(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        await written(JsonlSink(tmp_path / "none" / "out.jsonl"), run_of())
    with pytest.raises(ApiConfigurationError, match="path: give"):
        JsonlSink("")


async def test_text_that_utf_8_lacks_and_an_error_without_words(tmp_path: Path) -> None:
    class Speechless(Exception):
        def __str__(self) -> str:
            raise LookupError

    path = tmp_path / "out.jsonl"
    runs = [run_of(result={"name": "half \ud800", "n": math.inf}), run_of(1, ok=False, error=Speechless())]
    await written(JsonlSink(path), *runs)
    one, two = (json.loads(line) for line in path.read_text().splitlines())
    assert one["result"] == {"name": "half \ud800", "n": None}
    assert two["error"] == {"type": "Speechless", "message": ""}


async def test_who_is_cancelled_while_it_is_written_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, sink = tmp_path / "out.jsonl", JsonlSink(tmp_path / "out.jsonl")
    goes_on, begun = threading.Event(), threading.Event()
    put = sink._file._put

    def slowly(data: bytes) -> None:
        begun.set()
        goes_on.wait()
        put(data)

    monkeypatch.setattr(sink._file, "_put", slowly)

    async def write() -> None:
        async with sink:
            await sink.write(run_of())
            timer = sink._file._timer
            assert timer is not None
            timer._run()  # type: ignore[attr-defined]
            await asyncio.to_thread(begun.wait)
            for index in range(1, 3):
                await sink.write(run_of(index, input="x" * 40_000))  # the second has to wait for the first

    writing = asyncio.ensure_future(write())
    await asyncio.to_thread(begun.wait)
    while sink._file._unwritten < 64 * 1024:
        await asyncio.sleep(0)
    writing.cancel()
    await asyncio.sleep(0)
    goes_on.set()
    with pytest.raises(asyncio.CancelledError):
        await writing
    assert [json.loads(line)["index"] for line in path.read_text().splitlines()] == [0, 1, 2]


# -- CSV -----------------------------------------------------------------------------------------------


async def rows(path: Path, *runs: Run, **options: Any) -> list[dict[str, str]]:
    await written(CsvSink(path, **options), *runs)
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


async def test_the_columns_are_those_of_the_first_run(tmp_path: Path) -> None:
    first = run_of(result={"user": {"name": "Ada"}}, duration=0.5)
    second = run_of(1, ok=False, error=ApiValidationError("bad"), result={"user": None, "more": 1})
    one, two = await rows(tmp_path / "out.csv", first, second)
    assert one == {
        "index": "0", "key": "", "ok": "true", "error.type": "", "error.message": "", "attempts": "1",
        "duration": "0.5", "input.id": "0", "result.user": '{"name":"Ada"}',
    }  # fmt: skip
    assert (two["ok"], two["error.type"], two["error.message"], two["result.user"]) == (
        "false", "ApiValidationError", "bad", "",
    )  # fmt: skip


async def test_a_first_input_that_could_not_be_read_hides_no_column(tmp_path: Path) -> None:
    bad = BadInput("in.csv", 2, ApiValidationError("in.csv, line 2: it has 1 field"))
    first = run_of(input=bad, ok=False, error=bad.error, result={})
    one, two = await rows(tmp_path / "out.csv", first, run_of(1, result={"user": 7}))
    assert json.loads(one["input"]) == {"source": "in.csv", "line": 2}
    assert (json.loads(two["input"]), json.loads(two["result"])) == ({"id": 1}, {"user": 7})


async def test_columns_of_ones_own_and_a_header_once(tmp_path: Path) -> None:
    path = tmp_path / "out.csv"
    columns = ["input.id", "result.user.name", "result.none.at.all"]
    await rows(path, run_of(result={"user": {"name": 'a,"b"\n'}}), columns=columns)
    found = await rows(path, run_of(1), columns=columns, append=True)
    assert [row["input.id"] for row in found] == ["0", "1"] and found[0]["result.user.name"] == 'a,"b"\n'
    with pytest.raises(ApiConfigurationError, match="columns: give a list of paths"):
        CsvSink(path, "input.id")


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@x", "\tx"])
async def test_text_that_a_spreadsheet_would_carry_out(tmp_path: Path, text: str) -> None:
    run = run_of(input={"id": text, "n": -1})
    columns = ["input.id", "input.n"]
    assert await rows(tmp_path / "a.csv", run, columns=columns) == [{"input.id": f"'{text}", "input.n": "-1"}]
    assert await rows(tmp_path / "b.csv", run, columns=columns, raw=True) == [
        {"input.id": text, "input.n": "-1"}
    ]


# -- standard output -----------------------------------------------------------------------------------

PROGRAM = """
import asyncio
from rxorch import Run
from rxorch.sinks import JsonlSink
async def main():
    async with JsonlSink("-") as sink:
        for index in range(COUNT):
            await sink.write(Run(index, "x" * 100, True, None))
try:
    asyncio.run(main())
except BrokenPipeError:
    print("nobody reads", file=__import__("sys").stderr)
"""


def test_standard_output_and_a_reader_that_leaves() -> None:
    environment = {"PYTHONPATH": f"{ROOT}:{ROOT / 'operators'}"}
    command = [sys.executable, "-c", PROGRAM.replace("COUNT", "3")]
    done = subprocess.run(command, capture_output=True, check=True, env=environment)
    assert [json.loads(line)["index"] for line in done.stdout.splitlines()] == [0, 1, 2]
    command = [sys.executable, "-c", PROGRAM.replace("COUNT", "100000")]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment
    ) as running:
        assert running.stdout is not None and running.stderr is not None
        running.stdout.readline()
        running.stdout.close()
        assert (running.wait(60), running.stderr.read()) == (0, b"nobody reads\n")
