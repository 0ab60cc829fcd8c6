"""A stream whose ledger, errors or keys are odd: nothing hangs, and each input has its record."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from reactivex.subject import Subject

from rxorch import ApiError, APIOrchestrator, Run, sequential
from rxorch.ledger import Ledger, LedgerError
from rxorch.stream import RunStream
from tests.support.fake_transport import FakeTransport, Hold, api, turns
from tests.support.streams import Source, idle, streaming, until


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "run.sqlite"


def orders(count: int) -> list[dict[str, int]]:
    return [{"n": n} for n in range(count)]


class Unspeakable(Exception):
    def __str__(self) -> str:
        raise LookupError("no words")


async def records(stream: RunStream, runs: list[Run]) -> None:
    async for run in stream:
        runs.append(run)  # noqa: PERF401 - what came before the error counts


def balanced(stream: RunStream) -> bool:
    figures = stream.statistics()
    ends = figures.ok + figures.failed + figures.cancelled + figures.skipped
    return figures.read == ends and figures.in_flight == 0


@pytest.mark.parametrize("error", [ValueError("\ud800"), Unspeakable()], ids=["surrogate", "unspeakable"])
async def test_errors_that_cannot_be_written_are_failures_as_others(path: Path, error: Exception) -> None:
    transport = FakeTransport({"item": lambda request: error if request.url.path == "/1" else {}})
    runs = [run async for run in streaming(transport).stream(orders(3), ledger=path, ordered=True)]
    assert [run.ok for run in runs] == [True, False, True]
    kept = [record.error for record in Ledger(path).records(failed=True)]
    assert kept == [{"type": type(error).__name__, "message": "?" if isinstance(error, ValueError) else ""}]


async def test_a_key_that_utf8_lacks_is_a_failure_of_that_input(path: Path) -> None:
    keys = ["a", "\ud800", "c\0d"]
    stream = streaming(FakeTransport()).stream(orders(3), ledger=path, key=lambda data: keys[data["n"]])
    runs = sorted([run async for run in stream], key=lambda run: run.index)
    assert [run.ok for run in runs] == [True, False, True]
    assert "key: a ledger takes text" in str(runs[1].error)
    assert sorted(record.key for record in Ledger(path).records()) == ["a", "c\0d"]


async def limit(ledger: Ledger, size: int) -> None:
    def work(connection: sqlite3.Connection) -> None:
        connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, size)

    assert ledger._writer is not None
    await ledger._writer.run(work)


async def test_what_is_larger_than_sqlite_takes_stops_nothing(path: Path) -> None:
    ledger, hold = Ledger(path), Hold()
    transport = FakeTransport(
        {"item": lambda request: hold if request.url.path == "/0" else {"much": "x" * 20_000}}
    )
    inputs = [{"n": 0}, {"n": 1}, {"n": 2, "much": "x" * 20_000}, {"n": 3}]
    stream = streaming(transport).stream(inputs, ledger=ledger, max_concurrent=1, ordered=True)
    waiting = asyncio.ensure_future(anext(stream))
    await until(lambda: hold.waiting == 1)
    await limit(ledger, 10_000)
    hold.answer({})
    runs = [await waiting] + [run async for run in stream]
    assert [run.ok for run in runs] == [True, True, False, True]
    assert transport.sends == 3
    kept = {record.key: (record.status, record.result_kept) for record in Ledger(path).records()}
    assert kept == {"0": ("ok", True), "1": ("ok", False), "3": ("ok", False)}


@pytest.mark.parametrize("in_flight", [True, False])
async def test_a_ledger_that_is_closed_under_it_ends_the_stream(path: Path, in_flight: bool) -> None:
    ledger, hold, source = Ledger(path), Hold(), Source()
    transport = FakeTransport({"item": hold if in_flight else {}})
    orchestrator = streaming(transport)
    stream = orchestrator.stream(source, ledger=ledger, max_concurrent=2)
    runs: list[Run] = []
    if in_flight:
        consuming = asyncio.ensure_future(records(stream, runs))
        await until(lambda: hold.waiting == 2)
    else:
        runs.append(await anext(stream))
        consuming = asyncio.ensure_future(records(stream, runs))
    await ledger.aclose()
    hold.answer({})
    with pytest.raises(LedgerError, match="is not open"):
        await consuming
    kept = {record.index for record in Ledger(path).records(finished=True)}
    assert {run.index for run in runs if run.ok} == kept
    assert sorted(run.index for run in runs) == list(range(source.read)) and balanced(stream)
    await idle(orchestrator, transport)


async def test_a_ledger_that_is_removed_ends_the_stream(path: Path) -> None:
    stream = streaming(FakeTransport()).stream(Source(), ledger=path, max_concurrent=3)
    runs = [await anext(stream)]
    path.unlink()
    with pytest.raises(LedgerError, match="was removed or replaced"):
        await records(stream, runs)
    assert sorted(run.index for run in runs) == list(range(len(runs))) and balanced(stream)


async def test_other_inputs_leave_the_books_balanced(path: Path) -> None:
    await streaming(FakeTransport()).stream(orders(3), ledger=path)
    stream = streaming(FakeTransport()).stream([{"n": 7}, {"n": 1}], ledger=path, resume=True)
    runs: list[Run] = []
    with pytest.raises(LedgerError, match="input 0 is not the one that the ledger"):
        await records(stream, runs)
    assert [type(run.error) for run in sorted(runs, key=lambda run: run.index)] == [LedgerError, ApiError]
    assert balanced(stream)


# -- batches -------------------------------------------------------------------------------------------


def failing(count: int) -> Iterator[dict[str, int]]:
    yield from orders(count)
    raise LookupError("the line was cut")


@pytest.mark.parametrize("key", [None, lambda batch: batch[0]["n"]], ids=["place", "key"])
@pytest.mark.parametrize("way", ["source", "drain"])
async def test_a_batch_that_was_not_filled_is_left_to_the_next_run(path: Path, key: Any, way: str) -> None:
    """Its rest would be lost, or take it for another batch."""
    hold, transport = Hold(), FakeTransport()
    orchestrator = APIOrchestrator(sequential(api("item")), transport=transport)
    if way == "source":
        stream = orchestrator.stream(failing(8), ledger=path, batch=3, key=key)
        first: list[Run] = []
        with pytest.raises(LookupError):
            await records(stream, first)
    else:
        transport.script("item", hold)
        pushed: Subject[dict[str, int]] = Subject()
        stream = orchestrator.stream(pushed, ledger=path, batch=3, key=key)
        first = []
        consuming = asyncio.ensure_future(records(stream, first))
        await until(lambda: bool(stream._width.links))
        for each in orders(8):
            pushed.on_next(each)
        await until(lambda: hold.waiting == 2)
        stream.drain()
        hold.answer({})
        await consuming
    assert sorted(len(run.input) for run in first) == [3, 3] and balanced(stream)
    again = orchestrator.stream(orders(8), ledger=path, batch=3, key=key, resume=True)
    assert [run.input async for run in again] == [[{"n": 6}, {"n": 7}]]
    assert again.statistics().skipped == 2


# -- while it is opened --------------------------------------------------------------------------------


async def opening(stream: RunStream) -> asyncio.Future[Run]:
    waiting = asyncio.ensure_future(anext(stream))
    await until(lambda: bool(stream._width.opening))
    return waiting


async def test_draining_before_the_ledger_is_open(path: Path) -> None:
    source, orchestrator = Source(), streaming(FakeTransport())
    stream = orchestrator.stream(source, ledger=path)
    waiting = await opening(stream)
    stream.drain()
    with pytest.raises(StopAsyncIteration):
        await waiting
    assert source.read == 0
    await idle(orchestrator, FakeTransport())


async def test_a_client_that_is_closed_before_the_ledger_is_open(path: Path) -> None:
    source, transport = Source(), FakeTransport()
    orchestrator = streaming(transport)
    async with orchestrator:
        waiting = await opening(orchestrator.stream(source, ledger=path))
    with pytest.raises(ApiError, match="the client was closed while this stream was under way"):
        await waiting
    assert (source.read, transport.sends) == (0, 0)
    assert orchestrator._caller._sessions == {}


@pytest.mark.parametrize("way", ["aclose", "cancel"])
async def test_leaving_before_the_ledger_is_open(path: Path, way: str) -> None:
    source, orchestrator = Source(), streaming(FakeTransport())
    stream = orchestrator.stream(source, ledger=path)
    waiting = await opening(stream)
    waiting.cancel()
    await asyncio.wait([waiting])
    if way == "aclose":
        await stream.aclose()
    rest = [run async for run in orchestrator.stream(orders(2), ledger=path, resume=True)]
    assert len(rest) == 2 and source.read == 0
    await idle(orchestrator, FakeTransport())


# -- one after another ---------------------------------------------------------------------------------


@pytest.mark.parametrize("same", [True, False])
async def test_the_next_stream_begins_as_soon_as_the_last_is_left(path: Path, same: bool) -> None:
    orchestrator, book = streaming(FakeTransport()), Ledger(path)
    seen = 0
    for _ in range(5):
        ledger = book if same else Ledger(path)
        async for _ in orchestrator.stream(Source(), ledger=ledger, resume=True, max_concurrent=3):
            seen += 1
            break
    assert seen == 5
    await asyncio.wait(asyncio.all_tasks() - {asyncio.current_task()})  # what was left closes its ledger
    await idle(orchestrator, FakeTransport())


async def test_there_is_nothing_to_retry_in_a_ledger_that_is_missing(path: Path) -> None:
    with pytest.raises(LedgerError, match="there is no ledger"):
        await anext(streaming(FakeTransport()).retry_failed(path))
    assert not path.exists()


def test_a_subscription_that_outlives_its_loop(path: Path) -> None:
    hold = Hold()

    async def begin() -> Callable[[], None]:
        stream = streaming(FakeTransport({"item": hold})).stream(orders(9), ledger=path, max_concurrent=2)
        subscription = stream.subscribe(lambda run: None)
        await until(lambda: hold.waiting == 2)
        return subscription.dispose

    loop = asyncio.new_event_loop()
    dispose = loop.run_until_complete(begin())
    dispose()
    tasks = asyncio.all_tasks(loop)
    loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
    loop.close()

    async def again() -> int:
        stream = streaming(FakeTransport()).stream(orders(9), ledger=path, resume=True)
        runs: list[Any] = [run async for run in stream]
        await turns()
        return len(runs)

    assert asyncio.run(again()) == 9
