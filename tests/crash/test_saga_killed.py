"""kill -9 of sagas: at each point of the journal, twice in a row, and at random moments.

A trial is a run that was in flight at a kill: begun in the journal, and not over. Where a process kills
itself at a point of its journal it drives one run, so a kill is one trial, and none if the run is not in the
journal yet. Where processes are killed from outside each has many runs, and each that was in flight is a
trial: they share the moment of the kill, and not the point where it finds them. A run that is killed twice is
two trials.
"""

from __future__ import annotations

import itertools
import random
from typing import Any

import pytest

from tests.crash.saga_trials import Books, Trials, requests_of

KINDS: list[tuple[str, str | None]] = [
    ("sequence", None), ("sequence", "shipping"), ("parallel", "shipping"), ("graph", None)
]  # fmt: skip
WAYS: list[dict[str, Any]] = [
    {"is_after": False}, {"is_after": True}, {"is_after": False, "is_late": True}
]  # fmt: skip


async def at_each_point(trials: Trials) -> None:
    for (flow, refused), way in itertools.product(KINDS, WAYS):
        points = itertools.count(1)
        while await trials.killed(trials.job(flow, refused), [{**way, "kill_at": next(points)}]):
            pass


async def twice(trials: Trials, flow: str, refused: str | None, way: dict[str, Any], step: int = 1) -> None:
    """Kills at each `step`-th of all pairs of points."""
    points = (await trials.program.do(trials.job(flow, refused)))["points"]
    pairs = itertools.product(range(2, points + 1), range(1, points))
    for first, second in itertools.islice(pairs, 0, None, step):
        kills = [{"kill_at": first, "is_late": True}, {**way, "kill_at": second}]
        await trials.killed(trials.job(flow, refused), kills)


async def anywhere(trials: Trials, rounds: int, count: int, kills: int, **settings: Any) -> None:
    """Kills processes with many runs: most succeed, some are refused, some are not answered."""
    chance = random.Random(5)
    services = trials.services
    services.latency = {"payment": 0.02, "inventory": 0.01, "shipping": 0.03}
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


async def test_no_run_of_a_trial_is_kept_from_its_services(trials: Trials) -> None:
    """Not by those that failed before: a process could end before it has had the effects to be killed at."""
    job = trials.job("sequence")
    job.runs = [f"run-{number}" for number in range(20)]
    trials.services.down.add("payment")
    await trials.program.do(job)
    asked = requests_of(trials.services)
    assert sum(asked[run_id, "payment", False] for run_id in job.runs) >= 30  # a breaker lets 25 through


async def test_at_each_point(trials: Trials) -> None:
    await at_each_point(trials)
    books = report(trials)
    assert books.is_clean()
    assert books.trials >= 80 and books.repeats > 0 and books.compensated > 0


async def test_twice_in_a_row(trials: Trials) -> None:
    for (flow, refused), way in itertools.product(KINDS, WAYS):
        await twice(trials, flow, refused, way, step=23)
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
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(("flow", "refused"), KINDS)
async def test_at_each_pair_of_points(
    trials: Trials, flow: str, refused: str | None, way: dict[str, Any]
) -> None:
    await twice(trials, flow, refused, way)
    books = report(trials)
    assert books.is_clean() and books.repeats > 0


@pytest.mark.soak
async def test_three_thousand_trials(trials: Trials) -> None:
    trials.services.busy = 0.02
    await anywhere(trials, rounds=12, count=100, kills=3)
    books = report(trials)
    assert books.is_clean() and books.trials >= 3_000
