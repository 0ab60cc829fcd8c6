"""When calls may leave: aiolimiter, the smooth limiter of Failsafe, and the cycles of resilience4j."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

import pytest

from rxorch_operators import RateLimiter, RateLimitExceededError, rate_limit
from rxorch_operators.engines.gcra import Gcra
from tests.operators.scenarios.scenario import Scenario, rows
from tests.operators.support import Recorder, Time

AIO = "aiolimiter, tests/test_aiolimiter.py: "
SMOOTH = "Failsafe, SmoothRateLimiterStatsTest: "
CYCLES = "resilience4j, AtomicRateLimiterTest: "


class Reservations:
    """Places taken ahead of time, in order, each at the moment that the engine announces."""

    def __init__(self, meter: Gcra) -> None:
        self.meter = meter
        self.pending: list[tuple[float, float]] = []

    def reserve(self, now: float, cost: float = 1) -> float:
        """Seconds until the place that is taken now."""
        while self.pending and self.pending[0][0] <= now:
            at, paid = self.pending.pop(0)
            assert self.meter.take(at, paid)
        wait = self.meter.peek(now, cost, ahead=sum(paid for _, paid in self.pending))
        self.pending.append((now + wait, cost))
        return wait


@dataclass(frozen=True, slots=True, kw_only=True)
class ReserveScenario(Scenario):
    """Reservations as (second, how many single ones); the wait of the last one of each line."""

    limit: float
    window: float
    burst: float = 1
    reserved: tuple[tuple[float, int], ...]
    waits: tuple[float, ...]


RESERVED = (
    ReserveScenario(
        name="Failsafe smooth spaces what is reserved at once",
        source=SMOOTH + "testAcquirePermits, seven at once",
        limit=1,
        window=5.0,
        reserved=((0.0, 7),),
        waits=(30.0,),
    ),
    ReserveScenario(
        name="Failsafe smooth puts later reservations behind earlier ones",
        source=SMOOTH + "testAcquirePermits, one per half second, times ten",
        limit=1,
        window=5.0,
        reserved=((0.0, 7), (8.0, 3), (23.0, 1), (35.0, 3)),
        waits=(30.0, 37.0, 27.0, 30.0),
    ),
    ReserveScenario(
        name="Failsafe smooth with a faster rate",
        source=SMOOTH + "testAcquirePermits, one per 200 ms, times ten",
        limit=1,
        window=2.0,
        reserved=((0.0, 3), (5.5, 2)),
        waits=(4.0, 2.5),
    ),
    ReserveScenario(
        name="Failsafe smooth keeps the interval when a reserved place falls due",
        source=SMOOTH + "testAcquireInitialStats",
        limit=1,
        window=1.0,
        reserved=((0.0, 1), (0.0, 1), (1.0, 1), (1.0, 1)),
        waits=(0.0, 1.0, 1.0, 2.0),
    ),
    ReserveScenario(
        name="Failsafe smooth does not wait after a rest",
        source=SMOOTH + "testAcquireInitialStats, second half",
        limit=1,
        window=1.0,
        reserved=((0.0, 1), (1.5, 1)),
        waits=(0.0, 0.0),
    ),
    ReserveScenario(
        name="resilience4j makes the second of a cycle wait for the next",
        source=CYCLES + "reserveAndRefresh, one permission per cycle",
        limit=1,
        window=10.0,
        reserved=((10.0, 1), (10.0, 1)),
        waits=(0.0, 10.0),
    ),
    ReserveScenario(
        name="resilience4j does not save up permissions of cycles that passed",
        source=CYCLES + "reserveFewThenSkipCyclesBeforeRefreshNonBlocking",
        limit=1,
        window=10.0,
        reserved=((10.0, 2), (60.0, 1), (60.0, 1)),
        waits=(10.0, 0.0, 10.0),
    ),
)

RESERVED_DIFFERS = (
    ReserveScenario(
        name="Failsafe smooth rounds to a grid of intervals",
        source=SMOOTH + "testAcquireInitialStats, two permits at 2.5 intervals wait half of one",
        why="There the permits stand on a grid that began with the limiter, so two calls may be half an "
        "interval apart. Ours counts from the call before: no two are closer than one interval.",
        limit=1,
        window=1.0,
        reserved=((0.0, 1), (1.5, 1), (2.5, 2)),
        waits=(0.0, 0.0, 1.0),
    ),
    ReserveScenario(
        name="resilience4j lets a whole cycle go at its start",
        source=CYCLES + "reservePermissionsUpfront, three per cycle of 10 and nine tasks",
        why="There four, five and six all wait for the next cycle. Ours lets one go each third of it: the "
        "same rate, and no more than limit and burst in any stretch of time, wherever it begins.",
        limit=3,
        window=10.0,
        burst=3,
        reserved=((10.0, 3), (10.0, 1), (10.0, 1), (10.0, 1)),
        waits=(0.0, 10 / 3, 20 / 3, 10.0),
    ),
)


@rows(RESERVED, RESERVED_DIFFERS)
def test_reservations(row: ReserveScenario) -> None:
    places = Reservations(Gcra(row.limit, row.window, row.burst))
    waits = [[places.reserve(at) for _ in range(count)][-1] for at, count in row.reserved]
    assert waits == pytest.approx(row.waits)


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitScenario(Scenario):
    """Calls as (second, cost); when each leaves, None for one that is refused or left before its turn.

    `leaves` are (second, number of the call that is disposed then).
    """

    limit: float
    window: float
    burst: float
    max_wait: float | None = None
    calls: tuple[tuple[float, int], ...]
    leaves: tuple[tuple[float, int], ...] = ()
    departures: tuple[float | None, ...]
    refused: int = 0


SCENARIOS = (
    LimitScenario(
        name="aiolimiter lets its capacity in at once and then at the leak rate",
        source=AIO + "test_acquire, five per ten seconds and ten tasks",
        limit=5,
        window=10.0,
        burst=5,
        calls=((0.0, 1),) * 10,
        departures=(0.0, 0.0, 0.0, 0.0, 0.0, 2.0, 4.0, 6.0, 8.0, 10.0),
    ),
    LimitScenario(
        name="aiolimiter makes an amount wait until it fits",
        source=AIO + "test_acquire_wait_time",
        limit=3,
        window=3.0,
        burst=3,
        calls=((0.0, 1), (0.0, 3)),
        departures=(0.0, 1.0),
    ),
    LimitScenario(
        name="aiolimiter moves up who stood behind a cancelled one",
        source=AIO + "test_task_cancelled",
        limit=3,
        window=3.0,
        burst=3,
        calls=((0.0, 1), (0.0, 3), (0.0, 3)),
        leaves=((0.5, 1),),
        departures=(0.0, None, 1.0),
    ),
    LimitScenario(
        name="aiolimiter makes two large amounts wait for each other",
        source=AIO + "test_task_cancelled, the times without the cancellation",
        limit=3,
        window=3.0,
        burst=3,
        calls=((0.0, 1), (0.0, 3), (0.0, 3)),
        departures=(0.0, 1.0, 4.0),
    ),
    LimitScenario(
        name="resilience4j refuses at once without patience",
        source=CYCLES + "acquireAndRefreshWithEventPublishing, a timeout of zero",
        limit=1,
        window=10.0,
        burst=1,
        max_wait=0.0,
        calls=((10.0, 1), (10.0, 1), (20.0, 1), (20.0, 1)),
        departures=(10.0, None, 20.0, None),
        refused=2,
    ),
    LimitScenario(
        name="resilience4j waits up to its timeout and refuses what would take longer",
        source=CYCLES + "reserveFewThenSkipCyclesBeforeRefresh, a timeout of one cycle and three callers",
        limit=1,
        window=10.0,
        burst=1,
        max_wait=10.0,
        calls=((10.0, 1), (10.0, 1), (10.0, 1)),
        departures=(10.0, 20.0, None),
        refused=1,
    ),
    LimitScenario(
        name="Failsafe refuses what cannot leave in its longest wait",
        source="Failsafe, RateLimiterBuilder javadoc: withMaxWaitTime",
        limit=1,
        window=5.0,
        burst=1,
        max_wait=12.0,
        calls=((0.0, 1),) * 4,
        departures=(0.0, 5.0, 10.0, None),
        refused=1,
    ),
)

DIFFERS = (
    LimitScenario(
        name="aiolimiter lets a small amount overtake a large one",
        source=AIO + "test_decreasing_acquire",
        why="There the small one is served at once and the large one waits a second longer, with many small "
        "ones for ever. Ours serves in the order of arrival.",
        limit=3,
        window=3.0,
        burst=3,
        calls=((0.0, 1), (0.0, 3), (0.0, 1)),
        departures=(0.0, 1.0, 2.0),
    ),
    LimitScenario(
        name="resilience4j keeps the reservation of an interrupted caller",
        source=CYCLES + "waitingThreadIsInterrupted, still two cycles to wait",
        why="Ours gives the place back, and who stood behind moves up.",
        limit=1,
        window=10.0,
        burst=1,
        calls=((10.0, 1), (10.0, 1), (12.0, 1)),
        leaves=((11.0, 1),),
        departures=(10.0, None, 20.0),
    ),
    LimitScenario(
        name="resilience4j decides at once that a reservation is lost",
        source=CYCLES + "reservePermissionsUpfront, a timeout of 1.2 cycles",
        why="The fourth to sixth wait for the next cycle there; ours lets them go before, evenly, so a "
        "seventh would leave after 13.3 s and is refused just the same.",
        limit=3,
        window=10.0,
        burst=3,
        max_wait=12.0,
        calls=((0.0, 1),) * 7,
        departures=(0.0, 0.0, 0.0, 10 / 3, 20 / 3, 10.0, None),
        refused=1,
    ),
)


@rows(SCENARIOS, DIFFERS)
def test_departures(row: LimitScenario) -> None:
    time = Time()
    limiter = RateLimiter(row.limit, row.window, burst=row.burst, max_wait=row.max_wait)
    sources = [time.marbles("|") for _ in row.calls]
    recorders: list[Recorder] = []
    subscriptions: list[Any] = []

    def call(number: int, cost: int) -> None:
        recorder, subscription = time.record(sources[number].pipe(rate_limit(limiter, cost=cost)))
        recorders.append(recorder)
        subscriptions.append(subscription)

    def leave(number: int) -> None:
        subscriptions[number].dispose()

    for number, (at, cost) in enumerate(row.calls):
        time.after(at, partial(call, number, cost))
    for at, number in row.leaves:
        time.after(at, partial(leave, number))
    time.advance(200)
    left = [source.subscribed[0] if source.subscribed else None for source in sources]
    assert left == [None if at is None else pytest.approx(at, abs=1e-5) for at in row.departures]
    assert sum(isinstance(recorder.error, RateLimitExceededError) for recorder in recorders) == row.refused
    assert limiter.statistics().refused == row.refused
    assert time.idle


def test_capacity() -> None:
    """aiolimiter, test_has_capacity: one per minute, and none left after the first."""
    meter = Gcra(1, 60.0, 1)
    assert meter.peek(0.0) == 0.0
    assert meter.take(0.0)
    assert meter.peek(0.0) == 60.0
