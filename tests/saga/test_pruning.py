"""Pruning: runs that are over are deleted with all that was written of them; others stay."""

from __future__ import annotations

from pathlib import Path

import pytest

from rxorch.saga import Journal, Lease, SagaState, SqliteJournal, UnknownRunError
from rxorch.saga import sqlite_journal as module
from tests.saga.journals import NOON, Clock, Journals, begin, bring, new, step

LATER = NOON + 1_000.0


async def over(journal: Journal, run_id: str, state: SagaState = SagaState.COMPLETED) -> Lease:
    """A run that is over."""
    lease = await begin(journal, run_id)
    await journal.signal(run_id, "go", b"1")
    await journal.write(lease, [step()], state)
    return lease


async def published(journal: Journal) -> None:
    """All events are acknowledged."""
    await journal.acknowledge([event.number for event in await journal.outbox(1_000)])


async def names(journal: Journal) -> list[str]:
    return [run.run_id for run in await journal.runs()]


async def test_runs_that_are_over_are_deleted_and_others_stay(journals: Journals) -> None:
    journal = journals.one
    for state in SagaState:
        await bring(journal, await begin(journal, str(state)), state)
    await published(journal)
    assert await journal.prune(NOON) == 0  # nothing was written before
    journals.clock.now = LATER
    late = await begin(journal, "late")
    await journal.write(late, state=SagaState.COMPLETED)
    await published(journal)
    assert await journal.prune(LATER) == 2
    assert await names(await journals.another()) == [
        "running", "cancel_requested", "compensating", "failed", "late",
    ]  # fmt: skip
    assert await journal.prune(LATER) == 0


async def test_what_ended_late_stays_though_it_began_before(journals: Journals) -> None:
    lease = await begin(journals.one, "long")
    journals.clock.now = LATER
    await journals.one.write(lease, state=SagaState.COMPLETED)
    await published(journals.one)
    assert await journals.one.prune(LATER) == 0
    assert await journals.one.prune(LATER + 1) == 1


async def test_nothing_is_left_of_it_and_its_id_is_free(journals: Journals) -> None:
    journal = journals.one
    for run_id in ("a", "b", "c"):
        await over(journal, run_id)
    await published(journal)
    journals.clock.now = LATER
    assert await journal.prune(LATER) == 3
    assert await journal.run("b") is None
    assert (await journal.steps("b"), await journal.signals("b"), await journal.history("b")) == ([], [], [])
    with pytest.raises(UnknownRunError):
        await journal.signal("b", "go", b"1")
    claim, is_new = await journal.create(new("b"), "me", 30.0)
    assert is_new
    assert (claim.steps, claim.signals) == ((), ())
    numbers = [event.number for event in await journal.outbox()]
    assert len(numbers) == 1 and numbers[0] > 9  # none is given twice


async def test_no_number_is_given_twice_however_often_all_is_deleted(journals: Journals) -> None:
    seen: list[int] = []
    for run_id in ("a", "b", "a"):
        journal = await journals.another()
        await over(journal, run_id)
        seen += [event.number for event in await journal.outbox()]
        journals.clock.now += 1_000.0
        assert await journal.prune(journals.clock.now, unpublished=True) == 1
        assert (await journal.outbox(), await journal.count()) == ([], 0)
    assert len(seen) == len(set(seen)) == 12 and seen == sorted(seen)


async def test_pages_go_on_behind_what_was_deleted(journals: Journals) -> None:
    journal = journals.one
    for run_id in ("a", "b"):
        await over(journal, run_id)
    for run_id in ("c", "d"):
        await begin(journal, run_id)
    await published(journal)
    journals.clock.now = LATER
    await journal.prune(LATER)
    await begin(journal, "e")
    assert [run.run_id for run in await journal.runs(after="c")] == ["d", "e"]
    assert [run.run_id for run in await journal.runs(after="d")] == ["e"]


async def test_events_that_nobody_published_keep_their_run(journals: Journals) -> None:
    journal = journals.one
    await over(journal, "a")
    await over(journal, "b", SagaState.COMPENSATED)
    first = [event.number for event in await journal.outbox() if event.run_id == "a"]
    await journal.acknowledge(first[1:])
    journals.clock.now = LATER
    assert await journal.prune(LATER) == 0
    await journal.acknowledge(first)
    assert await journal.prune(LATER) == 1
    assert await names(journal) == ["b"]
    assert await journal.prune(LATER, unpublished=True) == 1
    assert await journal.outbox() == []


async def test_many_are_deleted_some_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_PRUNED", 2)
    clock = Clock()
    async with SqliteJournal(tmp_path / "j.sqlite", durable=False, now=clock) as journal:
        for number in range(5):
            await over(journal, f"r-{number}")
        assert await journal.prune(LATER, unpublished=True) == 5
        assert await names(journal) == []
