"""Programs that are killed: each drives sagas, for services elsewhere.

    python -m tests.crash.saga_program

Reads a `Job` as JSON from each line of its input, and does it in a process of its own, forked from this one,
which has imported everything before: so a hundred kills need no hundred starts of an interpreter. For each
it prints the id of the process, what the process says at its end, and how it ended.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import resource
import signal
import sys
import time
import traceback
import urllib.request
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from rxorch import APIEndpoint, graph, parallel
from rxorch.flow.nodes import Flow
from rxorch.saga import (
    Claim,
    Heard,
    Lease,
    LeaseLostError,
    NewRun,
    Saga,
    SagaState,
    SqliteJournal,
    Step,
    StepRecord,
)
from rxorch_operators import RetryPolicy

__all__ = ["Job", "saga_of"]

QUICK = RetryPolicy(max_attempts=30, base=0.005, cap=0.02, max_elapsed=None)


@dataclass
class Job:
    """What a process has to do.

    Attributes:
        url: Of the services.
        path: Of the journal.
        runs: Ids of the runs that are to be over in the end; known ones are gone on with.
        flow: `sequence`, `parallel` or `graph`; see `saga_of`.
        keys: Whether requests carry idempotency keys.
        kill_at: The point of the journal at which the process kills itself, counted from 1; None: it does
            not.
        is_after: Whether it does so after that point was passed, and not just before.
        is_late: Whether what is posted reaches the file only with what is written next: as it may.
        hours: How far the clock of the journal is ahead: the leases of those killed before are over then.
        lease: Seconds.
        together: How many processes wait for each other before they resume.
        looks: Whether it looks for runs to resume until all are over.
        most_bytes: Limit for the size of files, from when the runs have begun until all have met it or ended.
        padding: Characters in the input of each run.
    """

    url: str
    path: str
    runs: list[str] = field(default_factory=list)
    flow: str = "sequence"
    keys: bool = True
    kill_at: int | None = None
    is_after: bool = False
    is_late: bool = False
    hours: int = 0
    lease: float = 30.0
    together: int = 1
    looks: bool = False
    most_bytes: int | None = None
    padding: int = 0


class PointJournal(SqliteJournal):
    """Counts what it is asked for, and has the process killed at one of these points."""

    def __init__(self, job: Job) -> None:
        super().__init__(job.path, now=lambda: time.time() + 3600.0 * job.hours)
        self._job = job
        self._late: list[tuple[Lease, StepRecord]] = []
        self.points = 0
        self.counts: Counter[str] = Counter()

    def _before(self, kind: str) -> int:
        self.points += 1
        self.counts[kind] += 1
        if not self._job.is_after:
            self._perhaps(self.points)
        if kind != "post":
            late, self._late = self._late, []
            for lease, step in late:
                super().post(lease, step)
        return self.points

    def _perhaps(self, point: int) -> None:
        if point == self._job.kill_at:
            os.kill(os.getpid(), signal.SIGKILL)

    def _after(self, point: int) -> None:
        if self._job.is_after:
            self._perhaps(point)

    async def create(
        self, new: NewRun, owner: str, seconds: float, steps: Sequence[StepRecord] = ()
    ) -> tuple[Claim, bool]:
        point = self._before("create")
        made = await super().create(new, owner, seconds, steps)
        self._after(point)
        return made

    async def claim(self, run_id: str, owner: str, seconds: float) -> Claim | None:
        point = self._before("claim")
        claim = await super().claim(run_id, owner, seconds)
        if claim is not None:
            self.counts["claimed"] += 1
        self._after(point)
        return claim

    def post(self, lease: Lease, step: StepRecord) -> None:
        point = self._before("post")
        if self._job.is_late:
            self._late.append((lease, step))
        else:
            super().post(lease, step)
        self._after(point)

    async def renew(self, lease: Lease, seconds: float) -> Heard:
        try:
            return await super().renew(lease, seconds)
        except LeaseLostError:
            self.counts["fenced"] += 1
            raise

    async def write(
        self,
        lease: Lease,
        steps: Sequence[StepRecord] = (),
        state: SagaState | None = None,
        *,
        error: dict[str, str] | None = None,
        result_json: bytes | None = None,
        unless: SagaState | None = None,
    ) -> Heard:
        point = self._before("write")
        try:
            heard = await super().write(
                lease, steps, state, error=error, result_json=result_json, unless=unless
            )
        except LeaseLostError:
            self.counts["fenced"] += 1
            raise
        self._after(point)
        return heard


def saga_of(url: str, flow: str, journal: SqliteJournal, *, keys: bool = True, lease: float = 30.0) -> Saga:
    """The saga `order`: payment, inventory, shipping; or the first two at once; or two chains of three that
    meet.
    """

    def step(name: str, *depends_on: str) -> Step:
        key = "auto" if keys else None
        # A breaker that opens would refuse most of the runs at their first step: those are no trials.
        settings: dict[str, Any] = {
            "method": "POST", "retry_delay": 0.005, "idempotency_key": key, "circuit_breaker": False
        }  # fmt: skip
        action = APIEndpoint(name=name, url=f"{url}/{name}", depends_on=depends_on, **settings)
        undo = APIEndpoint(name=f"undo_{name}", url=f"{url}/{name}/undo", **settings)
        return Step(action, compensation=undo)

    flows: dict[str, Flow | Sequence[Flow]] = {
        "sequence": [step("payment"), step("inventory"), step("shipping")],
        "parallel": [parallel(step("payment"), step("inventory")), step("shipping")],
        "graph": graph(
            step("a1"), step("a2", "a1"), step("a3", "a2"),
            step("b1"), step("b2", "b1"), step("b3", "b2"),
            step("end", "a3", "b3"),
        ),
    }  # fmt: skip
    return Saga("order", flows[flow], journal=journal, lease=lease, undo=QUICK, recovery=QUICK)


async def work(job: Job) -> dict[str, Any]:
    """Resumes everything, begins what has not begun, and waits for the end of all."""
    journal = PointJournal(job)
    refusals: list[str] = []
    async with saga_of(job.url, job.flow, journal, keys=job.keys, lease=job.lease) as saga:
        if job.together > 1:
            await asyncio.to_thread(_wait_for_others, f"{job.url}/together/{job.together}")
        await saga.resume()
        sent = {"padding": "x" * job.padding}
        runs = await asyncio.gather(*[saga.start({"run": each, **sent}, run_id=each) for each in job.runs])
        if job.most_bytes is not None:
            _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
            resource.setrlimit(resource.RLIMIT_FSIZE, (job.most_bytes, hard))
            ends = await asyncio.gather(*runs, return_exceptions=True)
            refusals += [f"{type(end).__name__}: {end}" for end in ends if isinstance(end, Exception)]
            resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
            await saga.resume()
        looking = asyncio.create_task(_look(saga)) if job.looks else None
        results = await asyncio.gather(*runs)
        driving = [task for _, task in saga._watch.drives.values()]
        if driving:  # somebody else brought the run to its end, which is still to be noticed
            await asyncio.wait(driving)
        if looking is not None:
            looking.cancel()
            await asyncio.wait([looking])
    states = {result.run_id: result.state.value for result in results}
    return {"states": states, "points": journal.points, "counts": journal.counts, "refusals": refusals}


async def _look(saga: Saga) -> None:
    while True:
        await saga.resume()
        await asyncio.sleep(0.05)


def _wait_for_others(url: str) -> None:
    with urllib.request.urlopen(url, timeout=60) as answer:
        answer.read()


def _tell(**what: Any) -> None:
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


def main() -> None:
    """Does one job after the other."""
    gc.collect()
    gc.freeze()
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            try:
                _tell(said=asyncio.run(work(Job(**json.loads(line)))))
            except BaseException:
                _tell(broken=traceback.format_exc())
            os._exit(0)
        _tell(pid=child)
        _, status = os.waitpid(child, 0)
        _tell(ended=os.waitstatus_to_exitcode(status))


if __name__ == "__main__":
    main()
