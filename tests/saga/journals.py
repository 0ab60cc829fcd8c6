"""Journals of both kinds, with a clock that the test moves, and what to write into them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rxorch.saga import (
    Journal,
    Lease,
    MemoryJournal,
    NewRun,
    SagaState,
    SqliteJournal,
    StepRecord,
    StepStatus,
)

KINDS = ["memory", "sqlite"]
NOON = 1_000_000.0


@dataclass
class Clock:
    """A time of the day that stands still."""

    now: float = NOON

    def __call__(self) -> float:
        return self.now


class Journals:
    """A journal, the clock that it goes by, and others that see the same runs, as other processes do."""

    def __init__(self, kind: str, folder: Path, stack: AsyncExitStack) -> None:
        self.clock = Clock()
        self._kind = kind
        self._path = folder / "sagas.sqlite"
        self._stack = stack
        self.one: Journal

    async def another(self) -> Journal:
        """One more journal of the same runs."""
        if self._kind == "memory":
            return self.one
        return await self._stack.enter_async_context(SqliteJournal(self._path, durable=False, now=self.clock))

    async def first(self) -> None:
        """Opens the first."""
        if self._kind == "memory":
            self.one = await self._stack.enter_async_context(MemoryJournal(now=self.clock))
        else:
            self.one = await self.another()


@asynccontextmanager
async def journals_of(kind: str, folder: Path) -> AsyncIterator[Journals]:
    """Journals of a kind that are closed with the block."""
    async with AsyncExitStack() as stack:
        made = Journals(kind, folder, stack)
        await made.first()
        yield made


def new(run_id: str = "order-1", saga: str = "order", **changes: Any) -> NewRun:
    """A run that is to begin."""
    fields: dict[str, Any] = {"fingerprint": "f1", "input_json": b'{"item":7}', "trace_id": "ab" * 16}
    return NewRun(run_id, saga, **{**fields, **changes})


def step(name: str = "reserve", status: StepStatus = StepStatus.STARTED, **changes: Any) -> StepRecord:
    """A step as it is written."""
    fields: dict[str, Any] = {"undo": False, "attempt": 1, "key": f"key-{name}", "began": 1}
    return StepRecord(step=name, status=status, **{**fields, **changes})


async def begin(
    journal: Journal, run_id: str = "order-1", saga: str = "order", seconds: float = 30.0
) -> Lease:
    """Begins a run, and has its lease."""
    claim, _ = await journal.create(new(run_id, saga), "me", seconds)
    return claim.lease


async def bring(journal: Journal, lease: Lease, state: SagaState) -> None:
    """Has a run come to a state by what is done with journals."""
    if state is SagaState.CANCEL_REQUESTED:
        await journal.request_cancel(lease.run_id)
    elif state is not SagaState.RUNNING:
        await journal.write(lease, state=state)


async def told(journal: Journal, run_id: str = "order-1", after: int = 0) -> list[tuple[str, dict[str, Any]]]:
    """The kinds and the data of the events of a run."""
    return [(event.kind, event.data) for event in await journal.history(run_id, after)]
