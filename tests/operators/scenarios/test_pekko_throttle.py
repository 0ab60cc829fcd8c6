"""The throttle of Pekko Streams (was Akka Streams), in its shaping mode. Ten seconds stand for one there."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import pytest

from rxorch_operators import from_iterable, throttle
from tests.operators.scenarios.scenario import Scenario, rows
from tests.operators.support import Boom, Manual, Time

SPEC = "Pekko Streams, FlowThrottleSpec: "


def broken(_: object) -> float:
    """A cost function that fails."""
    raise Boom


@dataclass(frozen=True, slots=True, kw_only=True)
class ThrottleScenario(Scenario):
    """Elements as (second, value) of a source that pushes; what leaves when; how it ends."""

    rate: float
    window: float
    burst: float = 1
    cost: Callable[[Any], float] | None = None
    pushed: tuple[tuple[float, Any], ...]
    completed: float | None = None
    passed: tuple[tuple[float, Any], ...]
    end: type[Exception] | None = None


def at_once(second: float, *values: Any) -> tuple[tuple[float, Any], ...]:
    """All these at the same second."""
    return tuple((second, value) for value in values)


SCENARIOS = (
    ThrottleScenario(
        name="nothing is lost and the end comes last",
        source=SPEC + "work for the happy case",
        rate=19,
        window=10.0,
        pushed=at_once(0.0, 1, 2, 3),
        completed=0.0,
        passed=((0.0, 1), (10 / 19, 2), (20 / 19, 3), (20 / 19, "|")),
    ),
    ThrottleScenario(
        name="very high rates hold nothing up",
        source=SPEC + "accept very high rates",
        rate=1e9,
        window=1.0,
        pushed=at_once(0.0, 1, 2, 3, 4, 5),
        completed=0.0,
        passed=(*at_once(0.0, 1, 2, 3, 4, 5), (0.0, "|")),
    ),
    ThrottleScenario(
        name="very low rates let one pass and then nothing",
        source=SPEC + "accept very low rates, one per hundred days",
        rate=1,
        window=8_640_000.0,
        pushed=at_once(0.0, 1, 2, 3),
        passed=((0.0, 1),),
    ),
    ThrottleScenario(
        name="one element passes per interval",
        source=SPEC + "send elements downstream as soon as time comes",
        rate=1,
        window=5.0,
        pushed=at_once(0.0, 1, 2, 3, 4, 5),
        passed=((0.0, 1), (5.0, 2), (10.0, 3), (15.0, 4), (20.0, 5)),
    ),
    ThrottleScenario(
        name="nothing is sent while nothing comes",
        source=SPEC + "not send downstream if upstream does not emit element",
        rate=1,
        window=3.0,
        pushed=((0.0, 1), (7.0, 2)),
        completed=9.0,
        passed=((0.0, 1), (7.0, 2), (9.0, "|")),
    ),
    ThrottleScenario(
        name="the whole burst passes again after enough time",
        source=SPEC + "burst according to its maximum if enough time passed",
        rate=1,
        window=2.0,
        burst=5,
        pushed=(*at_once(0.0, 1, 2, 3, 4, 5), *at_once(12.0, 7, 8, 9, 10, 11)),
        passed=(*at_once(0.0, 1, 2, 3, 4, 5), *at_once(12.0, 7, 8, 9, 10, 11)),
    ),
    ThrottleScenario(
        name="part of the burst passes after some time",
        source=SPEC + "burst some elements if have enough time",
        rate=1,
        window=2.0,
        burst=5,
        pushed=(*at_once(0.0, 1, 2, 3, 4, 5, 6), *at_once(7.0, 7, 8, 9)),
        passed=(*at_once(0.0, 1, 2, 3, 4, 5), (2.0, 6), *at_once(7.0, 7, 8), (8.0, 9)),
    ),
    ThrottleScenario(
        name="elements wait for their cost",
        source=SPEC + "for various cost elements, send elements downstream as soon as time comes",
        rate=2,
        window=5.0,
        burst=2,
        cost=lambda _: 2,
        pushed=at_once(0.0, 1, 2, 3),
        passed=((0.0, 1), (5.0, 2), (10.0, 3)),
    ),
    ThrottleScenario(
        name="a burst of many cheap elements is measured by their cost",
        source=SPEC + "for various cost elements, burst according to its maximum",
        rate=2,
        window=4.0,
        burst=5,
        cost=lambda _: 1,
        pushed=(*at_once(0.0, 1, 2, 3, 4, 5, 6), *at_once(14.0, 7, 8, 9, 10, 11)),
        passed=(*at_once(0.0, 1, 2, 3, 4, 5), (2.0, 6), *at_once(14.0, 7, 8, 9, 10, 11)),
    ),
    ThrottleScenario(
        name="a cost function that raises ends the stream",
        source=SPEC + "handle rate calculation function exception",
        rate=2,
        window=2.0,
        cost=broken,
        pushed=((1.0, 1),),
        passed=(),
        end=Boom,
    ),
)

DIFFERS = (
    ThrottleScenario(
        name="the first element waits for its own cost without a burst",
        source=SPEC + "emit single element per tick, a burst of zero",
        why="There a burst of zero holds even the first element for one interval. Ours lets it go at once "
        "and spaces what follows; the least burst is one.",
        rate=1,
        window=3.0,
        pushed=((0.0, 1), (4.0, 2)),
        passed=((0.0, 1), (4.0, 2)),
    ),
    ThrottleScenario(
        name="an expensive element waits for its own cost",
        source=SPEC + "emit elements according to cost, 2 4 6 and 8 bytes at 2 per interval",
        why="There each waits as long as it costs. Ours lets one go that costs more than the burst when all "
        "before it is paid for, and the next one pays for it: the same gaps, one element earlier.",
        rate=8,
        window=8.0,
        pushed=at_once(0.0, 2, 4, 6, 8),
        cost=float,
        passed=((0.0, 2), (2.0, 4), (6.0, 6), (12.0, 8)),
    ),
    ThrottleScenario(
        name="an element beyond rate and burst waits for ever so long",
        source=SPEC + "for various cost elements, burst some elements, one of cost 20 at a burst of 5",
        why="There it waits until it is paid for. Such a cost breaks the limit of every window that it "
        "falls into, so ours calls it an error.",
        rate=2,
        window=4.0,
        burst=5,
        cost=lambda value: 20 if value == "heavy" else 1,
        pushed=((0.0, 1), (1.0, "heavy")),
        passed=((0.0, 1),),
        end=ValueError,
    ),
)


@rows(SCENARIOS, DIFFERS)
def test_throttle(row: ThrottleScenario) -> None:
    time, source = Time(), Manual()
    recorder, subscription = time.record(
        source.pipe(throttle(row.rate, row.window, burst=row.burst, cost=row.cost))
    )
    for at, value in row.pushed:
        time.after(at, partial(source.send, value))
    if row.completed is not None:
        time.after(row.completed, source.complete)
    time.advance(1_000)
    passed = [event for event in recorder.events if not isinstance(event[1], BaseException)]
    assert [what for _, what in passed] == [what for _, what in row.passed]
    assert [at for at, _ in passed] == pytest.approx([at for at, _ in row.passed], abs=1e-5)
    assert type(recorder.error) is (row.end or type(None))
    subscription.dispose()
    assert time.idle


def test_cancelling_stops_the_source() -> None:
    """FlowThrottleSpec: cancel when downstream cancels."""
    time, source = Time(), Manual()
    _, subscription = time.record(source.pipe(throttle(1, 3.0)))
    source.send(1, 2, 3)
    subscription.dispose()
    assert source.disposed == 1 and time.idle


def test_two_subscriptions_have_a_pace_of_their_own() -> None:
    """FlowThrottleSpec: work if there are two throttles in different streams."""
    time = Time()
    once_a_day = throttle(1, 86_400.0)
    twice = from_iterable([1]).pipe(once_a_day, once_a_day)
    assert time.run(twice).values == [1]
    assert time.run(twice).values == [1]
