"""A stream with a ledger: nothing is called twice, and nothing is lost."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from rxorch import APIOrchestrator, ApiValidationError, sequential
from rxorch.ledger import Ledger, LedgerError
from rxorch.sources import BadInput
from rxorch.stream.ledgered import idempotency_keys
from tests.support.fake_transport import FakeTransport, Hold, api
from tests.support.streams import Source, idle, item, streaming, until


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "run.sqlite"


def orders(count: int) -> list[dict[str, int]]:
    return [{"n": n} for n in range(count)]


def posting(transport: FakeTransport) -> APIOrchestrator:
    """A GET and a POST for each input."""
    flow = sequential(item(), api("pay", "http://shop.test/pay/{n}", method="POST"))
    return APIOrchestrator(flow, transport=transport)


def keys(transport: FakeTransport) -> dict[str, str]:
    return {request.url.path: request.headers["Idempotency-Key"] for request in transport.of("pay")}


async def test_each_record_is_in_the_file_before_it_is_given(path: Path) -> None:
    transport = FakeTransport({"item": lambda request: 404 if request.url.path == "/2" else {"n": 1}})
    stream = streaming(transport).stream(orders(5), ledger=path)
    async for run in stream:
        kept = {record.key: record for record in Ledger(path).records()}
        assert run.key == str(run.index)
        assert kept[run.key].status == ("ok" if run.ok else "failed")
    records = {record.key: record for record in Ledger(path).records()}
    assert records["2"].error == {
        "type": "ApiHttpError",
        "message": str(records["2"].outcomes["item"]["error"]["message"]),
    }
    assert records["1"].result == {"item": {"n": 1}} and records["1"].input == {"n": 1}
    assert (stream.statistics().ok, stream.statistics().failed) == (4, 1)


async def test_an_input_is_in_the_file_before_it_is_called(path: Path) -> None:
    seen: list[Any] = []

    def answer(request: Any) -> Any:
        seen.append([record.key for record in Ledger(path).records()])
        return {}

    await streaming(FakeTransport({"item": answer})).stream(orders(2), ledger=path, max_concurrent=1)
    assert seen == [["0"], ["0", "1"]]


async def test_a_run_goes_on_where_it_was_left(path: Path) -> None:
    hold, first = Hold(), FakeTransport({"pay": lambda request: hold if request.url.path > "/pay/3" else {}})
    stream = posting(first).stream(orders(10), ledger=path, max_concurrent=3)
    done = [await anext(stream) for _ in range(4)]
    await until(lambda: hold.waiting == 3)
    await stream.aclose()
    assert sorted(run.index for run in done) == [0, 1, 2, 3] and hold.cancelled == 3
    second = FakeTransport()
    stream = posting(second).stream(orders(10), ledger=path, resume=True)
    rest = [run async for run in stream]
    assert sorted(run.index for run in rest) == [4, 5, 6, 7, 8, 9]
    figures = stream.statistics()
    assert (figures.skipped, figures.repeated, figures.ok) == (4, 3, 6)
    repeated = keys(first).keys() & keys(second).keys()
    assert repeated == {"/pay/4", "/pay/5", "/pay/6"}
    assert all(keys(first)[each] == keys(second)[each] for each in repeated)
    assert len({*keys(first).values(), *keys(second).values()}) == 10
    assert Ledger(path).counts().ok == 10


async def test_what_was_cut_off_is_repeated_and_what_failed_is_not(path: Path) -> None:
    hold = Hold()
    first = FakeTransport({"item": lambda request: 404 if request.url.path == "/0" else hold})
    stream = streaming(first).stream(orders(3), ledger=path, on_error="fail_fast")
    runs = []
    with pytest.raises(Exception, match="HTTP 404"):
        while True:
            runs.append(await anext(stream))
    assert [run.index for run in runs] == [0, 1, 2]
    stream = streaming(FakeTransport()).stream(orders(3), ledger=path, resume=True)
    assert sorted([run.index async for run in stream]) == [1, 2]
    counts = Ledger(path).counts()
    assert (counts.ok, counts.failed, counts.in_flight) == (2, 1, 0)


async def test_what_failed_can_be_run_again(path: Path) -> None:
    bad = BadInput("orders.jsonl", 3, ApiValidationError("not JSON"))
    first = FakeTransport({"pay": lambda request: 500 if request.url.path in ("/pay/0", "/pay/1") else {}})
    await posting(first).stream([*orders(3), bad], ledger=path)
    second = FakeTransport({"pay": lambda request: 404 if request.url.path == "/pay/0" else {}})
    stream = posting(second).retry_failed(path)
    runs = {run.key: run.ok async for run in stream}
    assert runs == {"0": False, "1": True}
    assert keys(second) == {each: keys(first)[each] for each in ("/pay/0", "/pay/1")}
    counts = Ledger(path).counts()
    assert (counts.ok, counts.failed, counts.unreadable, stream.statistics().repeated) == (2, 1, 1, 2)


async def test_a_retry_that_was_cut_off_goes_on_with_the_next(path: Path) -> None:
    await streaming(FakeTransport(otherwise=404)).stream(orders(3), ledger=path)
    stuck = Hold()
    stream = streaming(FakeTransport(otherwise=stuck)).retry_failed(path, max_concurrent=2)
    waiting = asyncio.ensure_future(anext(stream))
    await until(lambda: stuck.waiting == 2)
    waiting.cancel()
    await asyncio.wait([waiting])
    await stream.aclose()
    assert [run.ok async for run in streaming(FakeTransport()).retry_failed(path)] == [True] * 3


async def test_inputs_of_one_key_are_one_input(path: Path) -> None:
    hold, transport = Hold(), FakeTransport()
    transport.script("item", hold)
    stream = streaming(transport).stream(
        [{"n": 1}, {"n": 2}, {"n": 1}, {"n": 1}], ledger=path, key=lambda data: data["n"], max_concurrent=3
    )
    first = asyncio.ensure_future(anext(stream))
    await until(lambda: stream.statistics().skipped == 2)
    hold.answer({})
    runs = [await first] + [run async for run in stream]
    assert sorted(run.key for run in runs) == ["1", "2"]
    assert (transport.sends, stream.statistics().skipped) == (2, 2)


async def test_what_could_not_be_read_has_its_record_too(path: Path) -> None:
    bad = BadInput("orders.jsonl", 2, ApiValidationError("orders.jsonl, line 2: not JSON"))
    for resume in (False, True):
        stream = streaming(FakeTransport()).stream([{"n": 0}, bad], ledger=path, resume=resume)
        assert len([run async for run in stream]) == (0 if resume else 2)
    ok, unreadable = Ledger(path).records()
    assert (ok.status, unreadable.status, unreadable.attempts) == ("ok", "unreadable", 0)
    assert unreadable.input == {"source": "orders.jsonl", "line": 2}
    assert unreadable.error == {"type": "ApiValidationError", "message": "orders.jsonl, line 2: not JSON"}


async def test_what_json_cannot_hold_fails_before_it_is_called(path: Path) -> None:
    transport = FakeTransport()
    stream = streaming(transport).stream([{"n": 0}, {"n": 1, "x": object()}], ledger=path, ordered=True)
    runs = [run async for run in stream]
    assert [run.ok for run in runs] == [True, False]
    assert "input '1' cannot be kept in the ledger: $.x is a object" in str(runs[1].error)
    assert (transport.sends, Ledger(path).counts().inputs) == (1, 1)


@pytest.mark.parametrize(
    ("key", "message"),
    [
        (lambda data: None, "not NoneType"),
        (lambda data: "", "1 to 1,024"),
        (lambda data: "x" * 1025, "got 1,025"),
    ],
)
async def test_a_key_that_a_ledger_cannot_hold(path: Path, key: Any, message: str) -> None:
    (run,) = [run async for run in streaming(FakeTransport()).stream(orders(1), ledger=path, key=key)]
    assert isinstance(run.error, ApiValidationError) and message in str(run.error)


async def test_other_inputs_than_the_ledgers_end_the_stream(path: Path) -> None:
    await streaming(FakeTransport()).stream(orders(3), ledger=path)
    transport = FakeTransport()
    stream = streaming(transport).stream([{"n": 0}, {"n": 7}, {"n": 2}], ledger=path, resume=True)
    with pytest.raises(LedgerError, match="input 1 is not the one that the ledger"):
        await stream
    assert transport.sends == 0


async def test_over_another_run_nothing_is_read(path: Path) -> None:
    await streaming(FakeTransport()).stream(orders(3), ledger=path)
    source, orchestrator = Source(), streaming(FakeTransport())
    with pytest.raises(LedgerError, match="holds a run already"):
        await orchestrator.stream(source, ledger=path)
    assert source.read == 0
    await idle(orchestrator, FakeTransport())


async def test_a_ledger_that_cannot_be_written_ends_the_stream(path: Path) -> None:
    ledger = Ledger(path)
    hold, transport = Hold(), FakeTransport()
    transport.script("item", hold)
    orchestrator = streaming(transport)
    stream = orchestrator.stream(Source(), ledger=ledger, max_concurrent=3)
    first = asyncio.ensure_future(anext(stream))
    await until(lambda: hold.waiting == 3)
    assert ledger._writer is not None
    pages = await ledger._writer.run(lambda connection: connection.execute("PRAGMA page_count").fetchone()[0])
    await ledger._writer.run(
        lambda connection: connection.execute(f"PRAGMA max_page_count={pages}").fetchone()
    )
    hold.answer({"much": "x" * 50_000})
    with pytest.raises(LedgerError, match="no space is left; make room, and resume"):
        assert not (await first).ok
        while True:
            assert not (await anext(stream)).ok  # what was cut off
    await idle(orchestrator, transport)
    again = streaming(FakeTransport()).stream(orders(3), ledger=path, resume=True)
    assert len([run async for run in again]) == 3
    assert again.statistics().repeated == 3


@pytest.mark.parametrize("ordered", [False, True])
async def test_the_source_is_read_no_further_than_the_cap(path: Path, ordered: bool) -> None:
    source, taken, ahead = Source(100), 0, 0
    async for _ in streaming(FakeTransport()).stream(source, max_concurrent=4, ordered=ordered, ledger=path):
        taken += 1
        ahead = max(ahead, source.read - taken)
    assert taken == 100 and ahead <= 5 + (4 if ordered else 0)


async def test_it_can_be_used_by_one_stream_after_another(path: Path) -> None:
    ledger, orchestrator = Ledger(path), streaming(FakeTransport())
    for count in (2, 3):
        stream = orchestrator.stream(orders(count), ledger=ledger, resume=True)
        assert len([run async for run in stream]) == count - (2 if count == 3 else 0)


def test_keys_tell_runs_inputs_and_endpoints_apart() -> None:
    made = {
        idempotency_keys(run, key)(name)
        for run in ("1", "11")
        for key in ("1", "11", "1:1")
        for name in ("a", "1", "1:a")
    }
    assert len(made) == 18 and all(len(key) == 32 for key in made)
