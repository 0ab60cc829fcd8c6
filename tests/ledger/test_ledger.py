"""The ledger by itself."""

from __future__ import annotations

import asyncio
import math
import pickle
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from rxorch import ApiConfigurationError, ApiValidationError
from rxorch.ledger import Begun, Ledger, LedgerCounts, LedgerError, LedgerRecord

FACTS: dict[str, Any] = {"result": {"a": 1}, "error": None, "outcomes": {}, "attempts": 1, "duration": 0.5}


class Order(BaseModel):
    id: int
    day: date


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "run.sqlite"


@asynccontextmanager
async def opened(path: Path, *, resume: bool = True) -> AsyncIterator[Ledger]:
    ledger = Ledger(path)
    await ledger.open(resume=resume)
    try:
        yield ledger
    finally:
        await ledger.aclose()


async def begin(ledger: Ledger, key: str, value: Any = None, index: int = 0, **options: bool) -> Begun:
    told: asyncio.Future[Begun] = asyncio.get_running_loop().create_future()

    def then(state: Begun | None, error: Exception | None) -> None:
        if error is None:
            assert state is not None
            told.set_result(state)
        else:
            told.set_exception(error)

    ledger.begin(key, index, value, then, **options)
    return await told


async def finish(ledger: Ledger, key: str, status: str = "ok", **facts: Any) -> None:
    told: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    ledger.finish(
        key,
        status,
        {**FACTS, **facts},
        lambda _, error: told.set_result(None) if error is None else told.set_exception(error),
    )
    await told


def only(path: Path) -> LedgerRecord:
    (record,) = Ledger(path).records()
    return record


async def test_what_was_begun_and_how_it_ended(path: Path) -> None:
    async with opened(path, resume=False) as ledger:
        assert await begin(ledger, "a", {"id": 7}, 3) is Begun.NEW
        assert await begin(ledger, "a", {"id": 7}, 4) is Begun.DUPLICATE
        flying = only(path)
        assert (flying.status, flying.index, flying.input, flying.ended) == (None, 3, {"id": 7}, None)
        assert ledger.counts() == LedgerCounts(1, 0, 0, 0, 1)
        outcomes = {"pay": {"status": "failed", "attempts": 2, "duration": 0.1, "error": None}}
        error = {"type": "ApiHttpError", "message": "HTTP 404"}
        await finish(ledger, "a", "failed", error=error, outcomes=outcomes, attempts=2, result=None)
        assert await begin(ledger, "a", {"id": 7}, 5) is Begun.DONE
    record = only(path)
    assert (record.status, record.error, record.outcomes, record.attempts) == ("failed", error, outcomes, 2)
    assert record.ended is not None and record.ended >= record.began > 1.7e9
    assert str(Ledger(path).counts()) == "1 input: 0 ok, 1 failed, 0 in flight"


async def test_after_the_process_has_ended(path: Path) -> None:
    async with opened(path) as ledger:
        run_id = ledger.run_id
        for key in "abc":
            await begin(ledger, key)
        await finish(ledger, "a")
        await finish(ledger, "b", "failed")
    async with opened(path) as ledger:
        assert ledger.run_id == run_id
        assert [await begin(ledger, key) for key in "abcd"] == [
            Begun.DONE,
            Begun.DONE,
            Begun.REPEATED,
            Begun.NEW,
        ]
        assert await begin(ledger, "c") is Begun.DUPLICATE
        assert await begin(ledger, "b", again=True) is Begun.REPEATED
        assert await begin(ledger, "a", again=True) is Begun.DONE
        await finish(ledger, "b", "failed")
        assert await begin(ledger, "b", again=True) is Begun.DONE  # once in each session
    assert {record.key: record.session for record in Ledger(path).records()} == {
        "a": 1,
        "b": 2,
        "c": 2,
        "d": 2,
    }
    assert [record.key for record in Ledger(path).unsettled()] == ["b", "c", "d"]
    assert [record.key for record in Ledger(path).records(failed=True)] == ["b"]
    assert [record.key for record in Ledger(path).records(finished=False)] == ["c", "d"]


async def test_one_that_runs_again_has_nothing_of_its_last_end(path: Path) -> None:
    async with opened(path) as ledger:
        await begin(ledger, "a")
        await finish(ledger, "a", "failed", error={"type": "E", "message": "no"}, result=object(), attempts=3)
    async with opened(path) as ledger:
        await begin(ledger, "a", again=True)
    record = only(path)
    assert (record.status, record.ended, record.error, record.attempts) == (None, None, None, 0)
    assert record.result_kept and dict(record.outcomes) == {}


async def test_closing_while_it_opens(path: Path) -> None:
    ledger = Ledger(path)
    opening = asyncio.ensure_future(ledger.open(resume=False))
    await asyncio.sleep(0)
    await ledger.aclose()
    with pytest.raises(LedgerError, match="is not open"):
        await opening
    async with opened(path, resume=False):
        pass


async def test_two_ledgers_are_two_runs(tmp_path: Path) -> None:
    async with opened(tmp_path / "a") as first, opened(tmp_path / "b") as second:
        assert len({first.run_id, second.run_id}) == 2


async def test_a_run_is_not_begun_over_another(path: Path) -> None:
    async with opened(path, resume=False) as ledger:
        await begin(ledger, "a")
    async with opened(path.with_name("empty"), resume=True):
        pass
    async with opened(path.with_name("empty"), resume=False):
        pass
    with pytest.raises(LedgerError, match=r"holds a run already \(1 input: .*give resume=True"):
        async with opened(path, resume=False):
            pass
    with pytest.raises(LedgerError, match="in use by another stream"):
        async with opened(path) as ledger:
            await ledger.open(resume=True)
    async with opened(path):
        with pytest.raises(LedgerError, match="another process is at work"):
            async with opened(path):
                pass


async def test_an_input_that_must_be_the_same(path: Path) -> None:
    async with opened(path) as ledger:
        await begin(ledger, "0", {"id": 7})
        await finish(ledger, "0")
    async with opened(path) as ledger:
        assert await begin(ledger, "0", {"id": 7}, same=True) is Begun.DONE
        assert await begin(ledger, "0", {"id": 8}) is Begun.DONE
        with pytest.raises(LedgerError, match="input 0 is not the one that the ledger"):
            await begin(ledger, "0", {"id": 8}, same=True)


# -- JSON ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "kept"),
    [
        (None, None),
        ([1, "é", {"x": [None, True]}], [1, "é", {"x": [None, True]}]),
        (Order(id=7, day=date(2026, 11, 27)), {"id": 7, "day": "2026-11-27"}),
        ({"price": Decimal("1.10"), 3: (1, 2)}, {"price": "1.10", "3": [1, 2]}),
    ],
)
async def test_inputs_are_kept_as_json(path: Path, value: Any, kept: Any) -> None:
    async with opened(path) as ledger:
        await begin(ledger, "a", value)
    assert only(path).input == kept


async def test_numbers_that_json_lacks_are_kept(path: Path) -> None:
    async with opened(path) as ledger:
        await begin(ledger, "a", [math.inf, math.nan])
    inf, nan = only(path).input
    assert inf == math.inf and math.isnan(nan)


def cycle() -> Any:
    ring: list[Any] = []
    ring.append(ring)
    return ring


@pytest.mark.parametrize(
    ("value", "place"),
    [
        ({"client": object()}, r"\$.client is a object"),
        ([1, {"deep": [0, object()]}], r"\$\[1\].deep\[1\] is a object"),
        ({"secret": b"\xff\xfe"}, r"\$.secret is a bytes"),
        (object(), r"\$ is a object"),
        (cycle(), r"\$(\[0\])* is a list"),
    ],
)
async def test_what_json_cannot_hold_is_refused_at_once(path: Path, value: Any, place: str) -> None:
    async with opened(path) as ledger:
        with pytest.raises(ApiValidationError, match=f"input 'a' cannot be kept in the ledger: {place}"):
            await begin(ledger, "a", value)
    assert Ledger(path).counts().inputs == 0


async def test_a_result_that_json_cannot_hold_is_not_kept(path: Path) -> None:
    async with opened(path) as ledger:
        await begin(ledger, "a")
        await finish(ledger, "a", result=object())
    assert (only(path).result, only(path).result_kept) == (None, False)


# -- which file ----------------------------------------------------------------------------------------


def test_what_is_no_ledger(path: Path) -> None:
    with pytest.raises(LedgerError, match="there is no ledger"):
        Ledger(path).counts()
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE inputs (x)")
    connection.close()
    with pytest.raises(LedgerError, match="is no ledger"):
        list(Ledger(path).records())
    for wrong in ("", 7, None, "a\0b"):
        with pytest.raises(ApiConfigurationError, match="ledger: give a Ledger, or the path of its file"):
            Ledger(wrong)  # type: ignore[arg-type]


async def test_one_that_is_not_open(path: Path) -> None:
    with pytest.raises(LedgerError, match="is not open"):
        await begin(Ledger(path), "a")
    await Ledger(path).aclose()
    Ledger(path).close()


def test_its_error_survives_pickling() -> None:
    error = pickle.loads(pickle.dumps(LedgerError("full", attempts=2)))
    assert (type(error), error.message, error.attempts) == (LedgerError, "full", 2)


async def test_a_long_one_is_read_page_by_page(path: Path) -> None:
    async with opened(path) as ledger:
        for n in range(1200):
            ledger.begin(str(n), n, n, lambda *_: None)
        await begin(ledger, "last")
    assert [record.input for record in Ledger(path).records()] == [*range(1200), None]


# -- against a model -----------------------------------------------------------------------------------

steps = st.lists(
    st.one_of(
        st.tuples(st.just("begin"), st.sampled_from("abc"), st.booleans()),
        st.tuples(st.just("finish"), st.sampled_from("abc"), st.sampled_from(["ok", "failed"])),
        st.just(("reopen",)),
    ),
    max_size=30,
)


@given(steps)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40, deadline=None)
def test_it_does_what_a_dictionary_would(tmp_path_factory: pytest.TempPathFactory, script: Any) -> None:
    path = tmp_path_factory.mktemp("model") / "run.sqlite"

    async def play() -> None:
        model: dict[str, tuple[str | None, int]] = {}
        session = 0
        remaining = list(script)
        while remaining or not session:
            session += 1
            async with opened(path) as ledger:
                while remaining and (step := remaining.pop(0)) != ("reopen",):
                    kind, key, option = step
                    status, since = model.get(key, ("unknown", 0))
                    if kind == "finish":
                        await finish(ledger, key, option)
                        if key in model and status is None:
                            model[key] = (option, since)
                        continue
                    expected = Begun.DONE
                    if status == "unknown":
                        expected = Begun.NEW
                    elif status is None:
                        expected = Begun.DUPLICATE if since == session else Begun.REPEATED
                    elif option and status == "failed" and since != session:
                        expected = Begun.REPEATED
                    assert await begin(ledger, key, again=option) is expected
                    if expected in (Begun.NEW, Begun.REPEATED):
                        model[key] = (None, session)
        found = {record.key: (record.status, record.session) for record in Ledger(path).records()}
        assert found == model

    asyncio.run(play())
