"""What the trials of killed sagas share: processes to kill, and the books that are compared in the end."""

from __future__ import annotations

import asyncio
import dataclasses
import itertools
import json
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Awaitable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import IO, Any

from rxorch.saga import AuditEvent, RunRecord, SagaState, SqliteJournal
from tests.crash.participants import Participants
from tests.crash.saga_program import Job

__all__ = [
    "SERVICES",
    "Books",
    "Processes",
    "Trials",
    "in_flight",
    "kinds",
    "processes",
    "requests_of",
    "runs_in",
]

ROOT = Path(__file__).parents[2]

SERVICES = {
    "sequence": ["payment", "inventory", "shipping"],
    "parallel": ["payment", "inventory", "shipping"],
    "graph": ["a1", "a2", "a3", "b1", "b2", "b3", "end"],
}

BEFORE = {
    "sequence": [("payment", "inventory"), ("payment", "shipping"), ("inventory", "shipping")],
    "parallel": [("payment", "shipping"), ("inventory", "shipping")],
    "graph": [
        ("a1", "a2"), ("a2", "a3"), ("b1", "b2"), ("b2", "b3"), ("a3", "end"), ("b3", "end"), ("a1", "a3"),
        ("b1", "b3"),
    ],
}  # fmt: skip
"""Which service is done before which other: it is undone after that."""


class Processes:
    """Processes that do jobs, one after the other."""

    def __init__(self, program: subprocess.Popen[str]) -> None:
        self._program = program
        self.pid = 0

    async def begin(self, job: Job) -> int:
        """Has a process do a job. Returns its id."""
        _input(self._program).write(json.dumps(dataclasses.asdict(job)) + "\n")
        _input(self._program).flush()
        self.pid = (await self._line())["pid"]
        return self.pid

    async def ended(self) -> tuple[int, dict[str, Any] | None]:
        """Waits for its end. Returns how it ended, as `subprocess` does, and what it said before."""
        said = None
        while True:
            line = await self._line()
            if "broken" in line:
                raise AssertionError(line["broken"])
            if "ended" in line:
                return line["ended"], said
            said = line["said"]

    async def do(self, job: Job) -> dict[str, Any]:
        """Has a process do a job to its end, and returns what it says."""
        await self.begin(job)
        code, said = await self.ended()
        assert code == 0
        assert said is not None
        return said

    async def kill_itself(self, job: Job) -> bool:
        """Has a process do a job until it kills itself. Returns whether it did: else it came to the end."""
        await self.begin(job)
        code, _ = await self.ended()
        assert code in (0, -signal.SIGKILL)
        return code != 0

    async def kill(self, when: Awaitable[None]) -> None:
        """Kills the process at work once something has happened, and waits for its end."""
        ending = asyncio.ensure_future(self.ended())
        waiting = asyncio.ensure_future(when)
        try:
            await asyncio.wait([ending, waiting], return_when=asyncio.FIRST_COMPLETED)
            assert waiting.done(), f"the process ended before that: {ending.result()}"
            os.kill(self.pid, signal.SIGKILL)
            code, _ = await ending
            assert code in (0, -signal.SIGKILL)
        finally:
            waiting.cancel()

    async def _line(self) -> dict[str, Any]:
        assert self._program.stdout is not None
        line = await asyncio.to_thread(self._program.stdout.readline)
        assert line, "the program has ended"
        found: dict[str, Any] = json.loads(line)
        return found


@contextmanager
def processes() -> Iterator[Processes]:
    """Processes, as long as the block."""
    with subprocess.Popen(
        [sys.executable, "-m", "tests.crash.saga_program"],
        cwd=ROOT,
        env={"PYTHONPATH": f"{ROOT}:{ROOT / 'operators'}"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as program:
        try:
            yield Processes(program)
        finally:
            _input(program).close()


def _input(program: subprocess.Popen[str]) -> IO[str]:
    assert program.stdin is not None
    return program.stdin


async def runs_in(path: Path) -> list[RunRecord]:
    """The runs of a journal."""
    async with SqliteJournal(path) as journal:
        return await journal.runs(limit=1_000_000)


async def in_flight(path: Path) -> int:
    """How many runs have begun and are not over."""
    return sum(not run.state.is_over for run in await runs_in(path)) if path.exists() else 0


@dataclasses.dataclass
class Books:
    """What journal and services say of the same runs, added up over trials.

    Attributes:
        trials: Runs in flight at a kill, each counted at each kill.
        kills: Processes that were killed.
        lost: Runs that are not over, effects that a completed run has not, effects that an undone run still
            has.
        duplicated: Effects that were had more than once.
        wrong_order: Undos that came before the undo of a later step.
        forward_after_undo: Requests of actions after the first undo of their run.
        repeats: Requests that had no effect, as their key was known.
        tombstones: Undos of actions that never had an effect.
    """

    trials: int = 0
    kills: int = 0
    runs: int = 0
    completed: int = 0
    compensated: int = 0
    lost: int = 0
    duplicated: int = 0
    wrong_order: int = 0
    forward_after_undo: int = 0
    repeats: int = 0
    tombstones: int = 0

    def add(
        self, services: Participants, runs: Sequence[RunRecord], wanted: Sequence[str], flow: str
    ) -> None:
        """Compares what the services had with what the journal says."""
        found = {run.run_id: run.state for run in runs}
        self.runs += len(wanted)
        for run_id in wanted:
            state = found.get(run_id)  # None: not even begun
            self.completed += state is SagaState.COMPLETED
            self.compensated += state is SagaState.COMPENSATED
            self.lost += state not in (SagaState.COMPLETED, SagaState.COMPENSATED)
            for service in SERVICES[flow]:
                done, undone = services.done[run_id, service], services.undone[run_id, service]
                self.duplicated += max(0, done - 1) + max(0, undone - 1)
                left = min(done, 1) - min(undone, 1)
                self.lost += left != (state is SagaState.COMPLETED)
            self.wrong_order += _wrong_order(services.log[run_id], flow)
            self.forward_after_undo += _forward_after_undo(services.asked[run_id])

    def close(self, services: Participants) -> dict[str, int]:
        """The sums, with those that are of all trials of these services."""
        self.repeats += services.repeats
        self.tombstones += len(services.tombs)
        return dataclasses.asdict(self)

    def is_clean(self) -> bool:
        """Whether nothing is amiss."""
        return not (self.lost or self.duplicated or self.wrong_order or self.forward_after_undo)


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
            await self.program.kill(self.services.until_effects(had + moment))
            self.books.kills += 1
            self.books.trials += await in_flight(path)
        await self.program.do(replace(job, hours=len(moments)))
        self.books.add(self.services, await runs_in(path), job.runs, job.flow)


def _wrong_order(log: Sequence[tuple[str, bool]], flow: str) -> int:
    undone = {service: place for place, (service, undo) in enumerate(log) if undo}
    return sum(
        earlier in undone and later in undone and undone[earlier] < undone[later]
        for earlier, later in BEFORE[flow]
    )


def _forward_after_undo(asked: Sequence[tuple[str, bool]]) -> int:
    undos = [place for place, (_, undo) in enumerate(asked) if undo]
    return sum(not undo for _, undo in asked[undos[0] :]) if undos else 0


def requests_of(services: Participants) -> Counter[tuple[str, str, bool]]:
    """How often each step and each undo of each run was asked for."""
    return Counter((run, *what) for run, asked in services.asked.items() for what in asked)


def kinds(history: Sequence[AuditEvent]) -> Counter[str]:
    """How often each kind of event was told."""
    return Counter(event.kind for event in history)
