"""What a killed saga does when it is resumed: with another order, in the middle of its undoing, in doubt."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from rxorch.saga import SagaState, SqliteJournal
from tests.crash.saga_trials import SERVICES, Trials, requests_of, runs_in

# Points of the journal of a sequence: the run and its first step begin; a step ends and the next one begins.
AFTER_PAYMENT = 2
AFTER_SHIPPING = 4


async def steps_begun(path: str, run_id: str) -> list[str]:
    """The steps of a run in the order in which they began."""
    async with SqliteJournal(path) as journal:
        return [step.step for step in await journal.steps(run_id) if not step.undo]


@pytest.mark.parametrize("refused", [None, "end"])
async def test_steps_that_start_in_another_order(trials: Trials, refused: str | None) -> None:
    """Two chains: one is slow before the kill, the other after it. Killed at five points each."""
    services = trials.services
    others = 0
    for point in (4, 5, 6, 7, 8):
        services.latency = {"a1": 0.03, "a2": 0.03, "a3": 0.03}
        job = trials.job("graph", refused)
        (run_id,) = job.runs
        assert await trials.program.kill_itself(replace(job, kill_at=point))
        before = [service for service, _ in services.asked[run_id]]
        services.latency = {"b1": 0.03, "b2": 0.03, "b3": 0.03}
        await trials.program.do(replace(job, hours=1))
        runs = await runs_in(Path(job.path))
        assert runs[0].state is (SagaState.COMPLETED if refused is None else SagaState.COMPENSATED)
        trials.books.add(services, runs, job.runs, "graph")
        if refused is None:
            begun = [service for service, undo in services.log[run_id] if not undo]
            assert sorted(begun) == SERVICES["graph"]
            others += begun.index("a2") < begun.index("b2")
        # What was over before the kill was not asked for again; of each chain one step was under way.
        again = [name for name in set(before) if requests_of(services)[run_id, name, False] > 1]
        assert len(again) <= 2
    assert trials.books.is_clean()
    if refused is None:
        assert others  # the order did change


@pytest.mark.parametrize("is_late", [False, True])
async def test_killed_while_it_is_undone(trials: Trials, is_late: bool) -> None:
    """Nothing is done any more, at whichever point of its undoing a run is killed."""
    services = trials.services
    undo_begins = AFTER_SHIPPING
    for point in range(undo_begins + 1, 100):
        job = trials.job("sequence", "shipping")
        (run_id,) = job.runs
        if not await trials.program.kill_itself(replace(job, kill_at=point, is_late=is_late)):
            break
        before = [service for service, undo in services.asked[run_id] if not undo]
        assert before == ["payment", "inventory", "shipping"]
        assert [run.state for run in await runs_in(Path(job.path))] == [SagaState.COMPENSATING]
        services.refused.clear()  # it would succeed now
        await trials.program.do(replace(job, hours=1))
        runs = await runs_in(Path(job.path))
        assert runs[0].state is SagaState.COMPENSATED
        assert [service for service, undo in services.asked[run_id] if not undo] == before
        trials.books.add(services, runs, job.runs, job.flow)
    assert point == undo_begins + 6  # two undos with beginning and end, and the end of the run
    assert trials.books.is_clean()


@pytest.mark.parametrize("is_late", [False, True])
async def test_a_step_in_doubt_that_fails_when_it_is_repeated(trials: Trials, is_late: bool) -> None:
    """Killed between the effect and its record; then the service is gone, but what it did is undone."""
    job = trials.job("sequence", is_late=is_late)
    (run_id,) = job.runs
    assert await trials.program.kill_itself(replace(job, kill_at=AFTER_PAYMENT))
    assert trials.services.done[run_id, "payment"] == 1
    trials.services.down.add("payment")
    await trials.program.do(replace(job, hours=1))
    runs = await runs_in(Path(job.path))
    assert runs[0].state is SagaState.COMPENSATED
    assert trials.services.undone[run_id, "payment"] == 1


@pytest.mark.parametrize("is_late", [False, True])
async def test_a_step_in_doubt_of_a_run_that_is_cancelled(trials: Trials, is_late: bool) -> None:
    """Killed between the effect and its record, and cancelled by another process before it is resumed."""
    job = trials.job("sequence", is_late=is_late)
    (run_id,) = job.runs
    assert await trials.program.kill_itself(replace(job, kill_at=AFTER_PAYMENT))
    async with SqliteJournal(job.path) as journal:
        await journal.request_cancel(run_id)
    await trials.program.do(replace(job, hours=1))
    runs = await runs_in(Path(job.path))
    assert runs[0].state is SagaState.COMPENSATED
    assert trials.services.undone[run_id, "payment"] == 1
