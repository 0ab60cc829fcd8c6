"""kill -9 of sagas: at each point of the journal, twice in a row, and at random moments.

A trial is a run that was in flight at a kill: begun in the journal, and not over. Where a process kills itself
at a point of its journal it drives one run, so a kill is one trial, and none if the run is not in the journal
yet. Where processes are killed from outside each has many runs, and each that was in flight is a trial: they
share the moment of the kill, and not the point where it finds them. A run that is killed twice is two trials.
"""

from __future__ import annotations

import dataclasses
import itertools
import random
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from rxorch.saga import SagaState, SqliteJournal, StepStatus
from tests.conftest import ServeLoopback
from tests.crash.participants import Participants
from tests.crash.saga_program import Job, saga_of
from tests.crash.saga_trials import SERVICES, Books, Processes, in_flight, processes, requests_of, runs_in


@pytest.fixture(scope="module")
def program() -> Iterator[Processes]:
    with processes() as made:
        yield made


class Trials:
    """Runs for the same services, in journals of their own."""

    def __init__(self, program: Processes, url: str, services: Participants, folder: Path) -> None:
        self.program = program
        self.url = url
        self.services = services
        self.folder = folder
        self.books = Books()
        self._numbers = itertools.count(1)

    def job(self, flow: str, refused: str | None = None, **settings: Any) -> Job:
        """A job of one run, in a new journal, that a service may refuse."""
        run_id = f"run-{next(self._numbers)}"
        if refused is not None:
            self.services.refused[run_id] = refused
        return Job(self.url, str(self.folder / f"{run_id}.sqlite"), [run_id], flow, **settings)

    async def killed(self, job: Job, kills: Sequence[dict[str, Any]]) -> bool:
        """Has a job killed at these points in turn, and then done; compares the books.

        Returns:
            Whether all the points were reached.
        """
        path = Path(job.path)
        reached = 0
        for kill in kills:
            if not await self.program.kill_itself(replace(job, hours=reached, **kill)):
                break
            reached += 1
            self.books.kills += 1
            self.books.trials += await in_flight(path)
        await self.program.do(replace(job, hours=reached))
        runs = await runs_in(path)
        self.books.add(self.services, runs, job.runs, job.flow)
        is_undone = job.runs[0] in self.services.refused
        assert runs[0].state is (SagaState.COMPENSATED if is_undone else SagaState.COMPLETED)
        return reached == len(kills)

    async def killed_anywhere(self, runs: Sequence[str], moments: Sequence[int], **settings: Any) -> None:
        """Has many runs killed from outside after so many effects, and then done; compares the books."""
        path = self.folder / f"{runs[0]}.sqlite"
        job = Job(self.url, str(path), list(runs), **settings)
        had = self.services.done.total() + self.services.undone.total()
        for number, moment in enumerate(moments):
            await self.program.begin(replace(job, hours=number))
            await self.services.until_effects(had + moment)
            await self.program.kill()
            self.books.kills += 1
            self.books.trials += await in_flight(path)
        await self.program.do(replace(job, hours=len(moments)))
        self.books.add(self.services, await runs_in(path), job.runs, job.flow)


@pytest.fixture
async def trials(program: Processes, loopback: ServeLoopback, tmp_path: Path) -> Trials:
    services = Participants()
    server = await loopback(services.routes)
    return Trials(program, server.url, services, tmp_path)


KINDS: list[tuple[str, str | None]] = [("sequence", None), ("sequence", "shipping"), ("parallel", "shipping")]
WAYS: list[dict[str, Any]] = [
    {"is_after": False}, {"is_after": True}, {"is_after": False, "is_late": True}
]  # fmt: skip


async def at_each_point(trials: Trials) -> None:
    for (flow, refused), way in itertools.product(KINDS, WAYS):
        points = itertools.count(1)
        while await trials.killed(trials.job(flow, refused), [{**way, "kill_at": next(points)}]):
            pass


async def twice(trials: Trials, step: int) -> None:
    """Kills at each `step`-th of all pairs of points."""
    for flow, refused in KINDS:
        points = (await trials.program.do(trials.job(flow, refused)))["points"]
        pairs = itertools.product(range(2, points + 1), range(1, points), WAYS)
        for first, second, way in itertools.islice(pairs, 0, None, step):
            kills = [{"kill_at": first, "is_late": True}, {**way, "kill_at": second}]
            await trials.killed(trials.job(flow, refused), kills)


async def anywhere(trials: Trials, rounds: int, count: int, kills: int, **settings: Any) -> None:
    """Kills processes with many runs: most succeed, some are refused, some are not answered."""
    chance = random.Random(5)
    services = trials.services
    services.latency = {"payment": 0.002, "inventory": 0.001, "shipping": 0.003}
    for number in range(rounds):
        runs = [f"many-{number}-{each}" for each in range(count)]
        for run_id in runs:
            service = chance.choice(["payment", "inventory", "shipping", "shipping"])
            where = chance.choice([None, services.refused, services.unanswered])
            if where is not None:
                where[run_id] = service
        moments = sorted(chance.sample(range(1, count * 2), kills))
        flow = chance.choice(["sequence", "parallel"])
        await trials.killed_anywhere(runs, moments, flow=flow, **settings)


def report(trials: Trials) -> Books:
    print(trials.books.close(trials.services))
    return trials.books


async def test_at_each_point(trials: Trials) -> None:
    await at_each_point(trials)
    books = report(trials)
    assert books.is_clean()
    assert books.trials >= 80 and books.repeats > 0 and books.compensated > 0


async def test_twice_in_a_row(trials: Trials) -> None:
    await twice(trials, step=11)
    books = report(trials)
    assert books.is_clean() and books.repeats > 0


async def test_at_random_moments(trials: Trials) -> None:
    trials.services.busy = 0.02
    await anywhere(trials, rounds=2, count=50, kills=3)
    books = report(trials)
    assert books.is_clean()
    assert books.trials >= 150 and books.repeats > 0 and books.compensated > 0


async def test_without_keys_effects_are_doubled(trials: Trials) -> None:
    """The services see it, and the books say so: nobody else can."""
    await anywhere(trials, rounds=1, count=50, kills=3, keys=False)
    books = report(trials)
    assert books.duplicated > 0 and books.repeats == 0


@pytest.mark.soak
async def test_killed_three_thousand_times(trials: Trials) -> None:
    await at_each_point(trials)
    await twice(trials, step=1)
    trials.services.busy = 0.02
    await anywhere(trials, rounds=10, count=100, kills=3)
    books = report(trials)
    assert books.is_clean() and books.trials >= 3_000
