"""How many at once: the semaphore bulkhead of resilience4j and the bulkhead of Failsafe."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from rxorch_operators import Bulkhead, BulkheadFullError, TimeoutExceededError, bulkhead
from rxorch_operators.engines.permits import Permit, PermitPool
from tests.operators.scenarios.scenario import Scenario, rows
from tests.operators.support import END, Time

SEMAPHORE = "resilience4j, SemaphoreBulkheadTest: "
FAILSAFE = "Failsafe, BulkheadTest: "


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolScenario(Scenario):
    """A pool played by a script of one letter per step, and its figures at the end.

    `a` gets a permit, `w` waits for one, `x` is refused, `r` gives the oldest permit back, `-` is the oldest
    waiter that leaves, a digit sets the limit.
    """

    limit: int
    queue: int | None
    script: str
    in_flight: int
    waiting: int = 0
    refused: int = 0


SCENARIOS = (
    PoolScenario(
        name="resilience4j rejects what exceeds the limit",
        source=SEMAPHORE + "testBulkhead",
        limit=2,
        queue=0,
        script="aaxrra",
        in_flight=1,
        refused=1,
    ),
    PoolScenario(
        name="resilience4j lets in at once when the limit is raised",
        source=SEMAPHORE + "changePermissionsCountWhileOneThreadIsRunningWithThisPermission",
        limit=1,
        queue=0,
        script="ax2ax",
        in_flight=2,
        refused=2,
    ),
    PoolScenario(
        name="resilience4j lets a waiter in when the limit is raised",
        source=SEMAPHORE + "changePermissionsCountWhileOneThreadIsWaitingForPermission",
        limit=1,
        queue=None,
        script="aw2r",
        in_flight=1,
    ),
    PoolScenario(
        name="resilience4j lets an interrupted waiter leave without a permit",
        source=SEMAPHORE + "testTryEnterWithInterruptDuringTimeout",
        limit=1,
        queue=None,
        script="aw-ra",
        in_flight=1,
    ),
    PoolScenario(
        name="Failsafe gives the permit that comes back to who waits",
        source=FAILSAFE + "testPermitAcquiredAfterWait",
        limit=2,
        queue=None,
        script="aawr",
        in_flight=2,
    ),
    PoolScenario(
        name="Failsafe serves a long queue to the end",
        source=FAILSAFE + "testPermitAcquiredAfterWaitWithLargeQueue",
        limit=1,
        queue=None,
        script="awwwwwwwww" + "r" * 10,
        in_flight=0,
    ),
    PoolScenario(
        name="Failsafe refuses without a wait when all permits are out",
        source=FAILSAFE + "shouldThrowBulkheadFullExceptionAfterPermitsExceeded",
        limit=2,
        queue=0,
        script="aax",
        in_flight=2,
        refused=1,
    ),
)

DIFFERS = (
    PoolScenario(
        name="resilience4j waits to lower the limit until permits come back",
        source=SEMAPHORE
        + "changePermissionsCountWhileOneThreadIsRunningWithThisPermission, the changer blocks",
        why="Nothing of ours blocks: the lower limit holds at once for who comes, and those inside finish.",
        limit=2,
        queue=0,
        script="aa1xrxra",
        in_flight=1,
        refused=2,
    ),
)


@rows(SCENARIOS, DIFFERS)
def test_pool(row: PoolScenario) -> None:
    pool = PermitPool(row.limit, row.queue)
    asked: list[Permit] = []
    for step in row.script:
        if step == "x":
            with pytest.raises(BulkheadFullError):
                pool.acquire(lambda _: None)
        elif step in "aw":
            permit = pool.acquire(lambda _: None)
            assert permit.held is (step == "a")
            asked.append(permit)
        elif step in "r-":
            held = step == "r"
            oldest = next(permit for permit in asked if permit.held is held)
            asked.remove(oldest)
            oldest.release()
        else:
            pool.limit = int(step)
        held_first = sorted((permit.held for permit in asked), reverse=True)
        assert [permit.held for permit in asked] == held_first  # who came first holds first
    seen = pool.statistics()
    assert (seen.in_flight, seen.waiting, seen.refused) == (row.in_flight, row.waiting, row.refused)


@dataclass(frozen=True, slots=True, kw_only=True)
class WaitScenario(Scenario):
    """One call holds the only permit until `held`; another asks at 0; when it starts, and how it ends."""

    held: float
    max_wait: float | None
    changed_to: float | None = None
    dispose: float | None = None
    starts: float | None
    ends: tuple[float, type[Exception] | str] | None


WAITS = (
    WaitScenario(
        name="resilience4j gives up after the longest wait",
        source=SEMAPHORE + "testTryEnterWithTimeout",
        held=50.0,
        max_wait=5.0,
        starts=None,
        ends=(5.0, TimeoutExceededError),
    ),
    WaitScenario(
        name="resilience4j does not give up what waits when the longest wait is changed",
        source=SEMAPHORE + "changeWaitingTimeWhileOneThreadIsWaitingForPermission",
        held=9.0,
        max_wait=500.0,
        changed_to=0.0,
        starts=9.0,
        ends=(9.0, END),
    ),
    WaitScenario(
        name="resilience4j starts nothing for a caller that was interrupted",
        source=SEMAPHORE + "testAcquireWithInterruptDuringTimeout",
        held=9.0,
        max_wait=20.0,
        dispose=4.0,
        starts=None,
        ends=None,
    ),
    WaitScenario(
        name="Failsafe starts when the permit comes back in time",
        source=FAILSAFE + "testPermitAcquiredAfterWait",
        held=2.0,
        max_wait=10.0,
        starts=2.0,
        ends=(2.0, END),
    ),
)

WAITS_DIFFER = (
    WaitScenario(
        name="Failsafe calls a wait that was too long a full bulkhead",
        source=FAILSAFE + "testMaxWaitTimeExceeded",
        why="Full and too slow call for different answers, so ours have different classes: "
        "`BulkheadFullError` at once, `TimeoutExceededError` of kind queue after the wait.",
        held=50.0,
        max_wait=2.0,
        starts=None,
        ends=(2.0, TimeoutExceededError),
    ),
)


@rows(WAITS, WAITS_DIFFER)
def test_wait(row: WaitScenario) -> None:
    time, shared = Time(), Bulkhead(limit=1, max_wait=row.max_wait)
    time.after(row.held, shared.request(lambda _: None).release)
    source = time.marbles("|")
    recorder, subscription = time.record(source.pipe(bulkhead(shared)))
    if row.changed_to is not None:
        shared.max_wait = row.changed_to
    if row.dispose is not None:
        time.after(row.dispose, subscription.dispose)
    time.advance(100)
    assert source.subscribed == ([] if row.starts is None else [row.starts])
    ends = [(at, type(event) if isinstance(event, Exception) else event) for at, event in recorder.events]
    assert ends == ([] if row.ends is None else [row.ends])
    assert shared.statistics().in_flight == 0 and shared.statistics().waiting == 0
    assert time.idle
