"""Sagas per second with three steps: ours, and a journal written by hand with SQLAlchemy.

    python -m tests.benchmarks.sagas [SAGAS]

Steps are functions that take no time, so that what is measured is the journal and the engine. Ours is
durable (`synchronous=FULL`). By hand, one transaction for each change: the defaults of SQLite (a rollback
journal, FULL), and WAL with FULL. At a concurrency of 50 the journal by hand works in threads, which SQLite
lets write in turn.
"""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Final, TypeAlias

import sqlalchemy as sa

from rxorch.saga import Saga, SagaState, SqliteJournal, Step

SAGAS: Final = 300
STEPS: Final = ("charge", "reserve", "ship")

Side: TypeAlias = Callable[[Path, int, int], Awaitable[float]]


def charge(order: Any) -> Any:
    return {"id": order["id"]}


def reserve(order: Any) -> Any:
    return {"id": order["id"]}


def ship(order: Any) -> Any:
    return {"id": order["id"]}


async def ours(folder: Path, count: int, at_once: int) -> float:
    """Sagas per second."""
    left = iter(range(count))
    steps = [Step(each) for each in (charge, reserve, ship)]
    async with Saga("order", steps, journal=SqliteJournal(folder / "ours.sqlite")) as saga:

        async def worker() -> None:
            for number in left:
                result = await saga.execute({"id": number})
                assert result.state is SagaState.COMPLETED

        began = time.perf_counter()
        await asyncio.gather(*(worker() for _ in range(at_once)))
        return count / (time.perf_counter() - began)


class ByHand:
    """What one writes first: a table of runs, a table of steps, a commit after each change."""

    def __init__(self, path: Path, pragmas: tuple[str, ...]) -> None:
        self.engine = sa.create_engine(f"sqlite:///{path}", connect_args={"timeout": 60})
        self.metadata = sa.MetaData()
        self.runs = sa.Table(
            "runs",
            self.metadata,
            sa.Column("id", sa.String, primary_key=True),
            sa.Column("state", sa.String),
            sa.Column("input", sa.JSON),
        )
        self.steps = sa.Table(
            "steps",
            self.metadata,
            sa.Column("run", sa.String, primary_key=True),
            sa.Column("step", sa.String, primary_key=True),
            sa.Column("output", sa.JSON),
        )

        @sa.event.listens_for(self.engine, "connect")
        def connected(connection: Any, _: Any) -> None:
            for pragma in pragmas:
                connection.execute(pragma)

        self.metadata.create_all(self.engine)

    def run(self, run_id: str, data: Any) -> None:
        with self.engine.begin() as connection:
            connection.execute(self.runs.insert().values(id=run_id, state="running", input=data))
        for name, step in zip(STEPS, (charge, reserve, ship), strict=True):
            output = step(data)
            with self.engine.begin() as connection:
                connection.execute(self.steps.insert().values(run=run_id, step=name, output=output))
        with self.engine.begin() as connection:
            connection.execute(self.runs.update().where(self.runs.c.id == run_id).values(state="completed"))


def by_hand(*pragmas: str) -> Side:
    async def side(folder: Path, count: int, at_once: int) -> float:
        journal = ByHand(folder / "by_hand.sqlite", pragmas)
        left = iter(range(count))

        async def worker() -> None:
            for number in left:
                if at_once == 1:
                    journal.run(str(number), {"id": number})
                else:
                    await asyncio.to_thread(journal.run, str(number), {"id": number})

        began = time.perf_counter()
        await asyncio.gather(*(worker() for _ in range(at_once)))
        spent = time.perf_counter() - began
        journal.engine.dispose()
        return count / spent

    return side


SIDES: Final[dict[str, Side]] = {
    "ours, FULL": ours,
    "by hand": by_hand(),
    "by hand, WAL, FULL": by_hand("PRAGMA journal_mode=WAL", "PRAGMA synchronous=FULL"),
}


async def measured(count: int = SAGAS, rounds: int = 9) -> dict[str, float]:
    """Sagas per second, the most of several rounds in alternation, by side and concurrency."""
    figures: dict[str, float] = {}
    for number in range(rounds):
        sides = list(SIDES.items())
        if number % 2:
            sides.reverse()
        for at_once in (1, 50):
            for name, side in sides:
                with tempfile.TemporaryDirectory() as folder:
                    speed = await side(Path(folder), count, at_once)
                label = f"{name}, {at_once} at once"
                figures[label] = max(speed, figures.get(label, 0.0))
    return figures


if __name__ == "__main__":
    json.dump(asyncio.run(measured(int(sys.argv[1]) if len(sys.argv) > 1 else SAGAS)), sys.stdout, indent=1)
