"""Several processes and one journal: each run is driven by one of them, and by none that stood still."""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from rxorch.saga import SqliteJournal
from tests.crash.saga_trials import SERVICES, Processes, Trials, kinds, processes, requests_of, runs_in


@pytest.fixture(scope="module")
def other() -> Iterator[Processes]:
    """Processes that work at the same time as those of `program`."""
    with processes() as made:
        yield made


async def told(path: str, run_id: str) -> Counter[str]:
    async with SqliteJournal(path) as journal:
        return kinds(await journal.history(run_id))


def stop(process: int, path: str) -> None:
    """Stops a process, but not in the middle of a commit: nobody could write before it goes on."""
    journal = sqlite3.connect(path, isolation_level=None, timeout=60)
    journal.execute("BEGIN IMMEDIATE")
    os.kill(process, signal.SIGSTOP)
    journal.execute("ROLLBACK")
    journal.close()


async def test_two_processes_resume_one_journal(trials: Trials, other: Processes) -> None:
    services = trials.services
    services.held.add("payment")
    job = trials.job("sequence")
    job.runs = [f"run-{number}" for number in range(60)]
    await trials.program.begin(job)
    await trials.program.kill(services.until_asked("payment", 60))
    await services.release()
    both = replace(job, hours=1, together=2)
    said = await asyncio.gather(trials.program.do(both), other.do(both))
    claimed = [each["counts"].get("claimed", 0) for each in said]
    print({"claimed": claimed})
    assert sum(claimed) == 60
    assert [each["counts"].get("fenced", 0) for each in said] == [0, 0]
    trials.books.add(services, await runs_in(Path(job.path)), job.runs, "sequence")
    assert trials.books.is_clean() and trials.books.completed == 60
    for run in await runs_in(Path(job.path)):
        assert run.generation == 2
        assert (await told(job.path, run.run_id))["run.resumed"] == 1
    asked = requests_of(services)
    for run_id in job.runs:  # the first was asked by the process that was killed, too
        assert [asked[run_id, name, False] for name in SERVICES["sequence"]] == [2, 1, 1]


@pytest.mark.parametrize(
    ("refused", "held", "undo"), [(None, "inventory", False), ("shipping", "inventory/undo", True)]
)
async def test_who_stood_still_is_fenced(
    trials: Trials, other: Processes, refused: str | None, held: str, undo: bool
) -> None:
    """Stopped while a request is under way, until another process has driven the runs to their end."""
    services = trials.services
    services.held.add(held)
    job = trials.job("sequence", lease=1.0)
    job.runs = [f"run-{number}" for number in range(5)]
    if refused is not None:
        services.refused = dict.fromkeys(job.runs, refused)
    stopped = await trials.program.begin(job)
    await services.until_asked("inventory", 5, undo=undo)
    stop(stopped, job.path)
    try:
        await other.begin(replace(job, looks=True))
        await services.until_asked("inventory", 10, undo=undo)  # so the leases were over
        await services.release()
        code, said = await other.ended()
        assert code == 0 and said is not None and said["counts"]["claimed"] == 5
        before = requests_of(services)
    finally:
        os.kill(stopped, signal.SIGCONT)
    code, fenced = await trials.program.ended()
    assert code == 0 and fenced is not None
    assert fenced["counts"]["fenced"] >= 5
    assert fenced["states"] == said["states"]
    assert requests_of(services) == before  # it asked for nothing more
    trials.books.add(services, await runs_in(Path(job.path)), job.runs, "sequence")
    assert trials.books.is_clean()
    for run_id in job.runs:
        events = await told(job.path, run_id)
        assert events["run.resumed"] == 1
        assert events["undo.completed" if undo else "step.completed"] == (2 if undo else 3)
        assert events["run.compensated" if undo else "run.completed"] == 1
