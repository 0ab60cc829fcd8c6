"""Reading a journal's file from outside while others write it; a saga with another journal."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import pytest

from rxorch import ApiClient, RetryPolicy
from rxorch.saga import (
    JournalError,
    MemoryJournal,
    NewRun,
    Saga,
    SagaState,
    SqliteJournal,
    Step,
    UnknownRunError,
)
from rxorch.saga.reading import reading
from rxorch.saga.sqlite_schema import MIGRATIONS


def echo(data: Any) -> Any:
    return data


def no(data: Any) -> None:
    raise ValueError("no")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "runs of sagas?.sqlite"


async def fill(path: Path) -> None:
    async with SqliteJournal(path) as journal:
        for number in range(5):
            saga, steps = ("good", [Step(echo)]) if number % 2 == 0 else ("bad", [Step(no)])
            async with Saga(saga, steps, journal=journal) as driven:
                await driven.execute({"n": number}, run_id=f"run-{number}")
            await journal.open()


async def test_it_is_read_as_the_journal_has_it(path: Path) -> None:
    await fill(path)
    with reading(path) as view:
        assert [run.run_id for run in view.latest()] == [f"run-{n}" for n in range(5)]
        assert [run.run_id for run in view.latest(limit=2)] == ["run-3", "run-4"]
        assert [run.run_id for run in view.latest("bad")] == ["run-1", "run-3"]
        assert [run.run_id for run in view.latest(None, [SagaState.COMPLETED], limit=2)] == ["run-2", "run-4"]
        assert view.latest(states=[]) == []
        assert view.counts() == {SagaState.COMPLETED: 3, SagaState.COMPENSATED: 2}
        assert view.counts("bad") == {SagaState.COMPENSATED: 2}
        run, steps, history = view.run("run-1"), view.steps("run-1"), view.history("run-1")
    async with SqliteJournal(path) as journal:
        assert run == await journal.run("run-1")
        assert steps == await journal.steps("run-1")
        assert history == await journal.history("run-1")


async def test_all_that_is_read_is_of_one_moment_and_holds_up_nobody(path: Path) -> None:
    await fill(path)
    async with SqliteJournal(path, busy_timeout=0) as journal:
        with reading(path) as view:
            assert view.counts().total() == 5
            await journal.create(NewRun("later", "good", "f", b"{}"), "me", 30)
            assert view.counts().total() == 5
        with reading(path) as view:
            assert view.counts().total() == 6


async def test_it_is_read_while_another_writes(path: Path) -> None:
    await fill(path)
    writer = sqlite3.connect(path, isolation_level=None)
    try:
        writer.execute("BEGIN IMMEDIATE")
        writer.execute("UPDATE runs SET state = 'failed'")
        with reading(path) as view:
            assert view.counts()[SagaState.FAILED] == 0
    finally:
        writer.close()


async def test_what_is_not_there_is_named(path: Path, tmp_path: Path) -> None:
    with pytest.raises(JournalError, match="there is no journal"), reading(path):
        pass
    assert list(tmp_path.iterdir()) == []
    await fill(path)
    with (
        reading(path) as view,
        pytest.raises(UnknownRunError, match=r"no run 'none' in the journal .*runs of"),
    ):
        view.run("none")


async def test_other_files_and_newer_ones_are_refused(path: Path, tmp_path: Path) -> None:
    text = tmp_path / "text"
    text.write_text("no journal" * 500)
    with pytest.raises(JournalError, match="damaged, or no SQLite file"), reading(text):
        pass
    with sqlite3.connect(tmp_path / "other") as other:
        other.execute("CREATE TABLE t (a)")
    other.close()
    with pytest.raises(JournalError, match="is no journal"), reading(tmp_path / "other"):
        pass
    await fill(path)
    newer = sqlite3.connect(path)
    newer.execute(f"PRAGMA user_version = {len(MIGRATIONS) + 1}")
    newer.close()
    with pytest.raises(JournalError, match="written by a newer rxorch"), reading(path):
        pass


async def test_a_saga_with_another_journal_is_the_same_saga() -> None:
    policy = RetryPolicy(max_attempts=2, base=0.01)
    first, second, client = MemoryJournal(), MemoryJournal(), ApiClient()
    options: dict[str, Any] = {"lease": 5.0, "undo": policy, "recovery": policy, "workflow_header": "X-Run"}
    saga = Saga("order", [Step(echo)], journal=first, client=client, **options)
    other = saga.with_journal(second)
    assert (saga.journal, other.journal) == (first, second)
    assert (other.name, other.settings) == (saga.name, saga.settings)
    assert other.definition.fingerprint == saga.definition.fingerprint
    async with saga, other:  # at once: they share nothing that is open
        await other.execute(run_id="one")
        assert [run.run_id for run in await other.runs()] == ["one"]
        assert await saga.runs() == []
        assert other._caller is client
