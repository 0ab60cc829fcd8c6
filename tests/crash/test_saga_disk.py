"""A journal that cannot be written in the middle of runs: they say so, and go on when it can."""

from __future__ import annotations

import asyncio
import sqlite3
from pathlib import Path

import pytest

from rxorch.saga import JournalError, Saga, SagaRun, SagaState, SqliteJournal
from tests.conftest import ServeLoopback
from tests.crash.participants import Participants
from tests.crash.saga_program import saga_of
from tests.crash.saga_trials import Books, Trials, runs_in

RUNS = [f"run-{number}" for number in range(10)]


@pytest.fixture
async def services() -> Participants:
    return Participants(refused={RUNS[0]: "shipping", RUNS[1]: "inventory"})


@pytest.fixture
async def url(services: Participants, loopback: ServeLoopback) -> str:
    return (await loopback(services.routes)).url


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "sagas.sqlite"


async def ends(runs: list[SagaRun]) -> list[object]:
    return await asyncio.gather(*runs, return_exceptions=True)


async def saga_is_idle(saga: Saga) -> None:
    """Waits until it drives no run."""
    tasks = [task for _, task in saga._watch.drives.values()]
    if tasks:
        await asyncio.wait(tasks)


async def compared(services: Participants, path: Path) -> Books:
    books = Books()
    books.add(services, await runs_in(path), RUNS, "sequence")
    return books


async def no_more_pages(journal: SqliteJournal, *, most: int | None = None) -> None:
    """As a full disk: no page may be added; or as many as `most`."""
    assert journal._writer is not None

    def limit(connection: sqlite3.Connection) -> None:
        (pages,) = connection.execute("PRAGMA page_count").fetchone()
        connection.execute(f"PRAGMA max_page_count={most or pages}").fetchone()

    while True:
        try:
            return await journal._writer.run(limit)
        except JournalError:  # it was committed together with what does not fit
            continue


@pytest.mark.parametrize("again", [False, True])
@pytest.mark.parametrize("held", ["payment", "shipping", "inventory/undo"])
async def test_a_full_disk(services: Participants, url: str, path: Path, held: str, again: bool) -> None:
    """In the middle of runs. They go on in the same saga, or in another one."""
    name, _, undo = held.partition("/")
    services.held.add(held)
    journal = SqliteJournal(path)
    async with saga_of(url, "sequence", journal) as saga:
        # Long inputs, so that what is written next needs new pages.
        runs = [await saga.start({"run": run_id, "long": "x" * 9_000}, run_id=run_id) for run_id in RUNS]
        await services.until_asked(name, {"payment": 10, "shipping": 9}.get(held, 1), undo=bool(undo))
        if undo:
            await asyncio.gather(*runs[1:])
        await no_more_pages(journal)
        await services.release()
        met = await ends(runs)
        broken = [end for end in met if isinstance(end, Exception)]
        assert broken and all(type(end) is JournalError for end in broken)
        assert "no space is left; make room" in str(broken[0])
        if not again:
            await no_more_pages(journal, most=1_000_000)
            await saga.resume()
            await asyncio.gather(*map(saga.run, RUNS))
    if again:
        async with saga_of(url, "sequence", SqliteJournal(path, now=lambda: 1e10)) as saga:
            await saga.resume()
            await asyncio.gather(*map(saga.run, RUNS))
    books = await compared(services, path)
    assert books.is_clean() and (books.completed, books.compensated) == (8, 2)


@pytest.mark.parametrize("held", ["inventory", "inventory/undo"])
async def test_a_journal_that_another_program_holds(
    services: Participants, url: str, path: Path, held: str
) -> None:
    services.held.add(held)
    is_undo = held.endswith("undo")
    other = sqlite3.connect(path, isolation_level=None)
    async with saga_of(url, "sequence", SqliteJournal(path, busy_timeout=0.05)) as saga:
        runs = [await saga.start({"run": run_id}, run_id=run_id) for run_id in RUNS]
        if is_undo:
            await asyncio.gather(*runs[1:])
        await services.until_asked("inventory", 1 if is_undo else 10, undo=is_undo)
        other.execute("BEGIN IMMEDIATE")
        await services.release()
        met = await ends(runs)
        assert {type(end) for end in met} == {JournalError}
        assert "another program holds it locked; let go of it, and resume" in str(met[0])
        await saga_is_idle(saga)
        # It may be that the undo was not written: nothing is built upon it.
        assert ("payment", True) not in services.asked[RUNS[0]]
        other.execute("ROLLBACK")
        other.close()
        await saga.resume()
        results = await asyncio.gather(*map(saga.run, RUNS))
    assert [result.state for result in results[:3]] == [
        SagaState.COMPENSATED, SagaState.COMPENSATED, SagaState.COMPLETED,
    ]  # fmt: skip
    books = await compared(services, path)
    assert books.is_clean() and (books.completed, books.compensated) == (8, 2)


async def test_files_that_may_grow_no_more(trials: Trials) -> None:
    """A limit of the process, as `ulimit -f` sets it: SQLite says that it is an error of the disk."""
    job = trials.job("sequence", most_bytes=200_000, padding=9_000)
    job.runs = RUNS
    said = await trials.program.do(job)
    assert said["refusals"]
    assert all(text.startswith("JournalError: the journal ") for text in said["refusals"])
    assert "see to the disk and the limits of the process, and resume" in said["refusals"][0]
    trials.books.add(trials.services, await runs_in(Path(job.path)), RUNS, "sequence")
    assert trials.books.is_clean() and trials.books.completed == len(RUNS)
