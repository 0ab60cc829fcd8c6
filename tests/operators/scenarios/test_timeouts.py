"""Time limits: RxJS timeout in marbles, and Polly beside it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from rxorch_operators import TimeoutExceededError, fallback, timeout
from tests.operators.scenarios.scenario import Scenario, rows
from tests.operators.support import Boom, Time, events

RXJS = "RxJS, spec/operators/timeout-spec.ts: "
POLLY = "Polly, docs/strategies/timeout.md, "


@dataclass(frozen=True, slots=True, kw_only=True)
class TimeoutScenario(Scenario):
    """A source and limits; the result, where `T` is the timeout and `#` the source's error.

    `instead` is what is subscribed after a timeout.
    """

    marbles: str
    limits: dict[str, Any] = field(default_factory=dict)
    instead: str | None = None
    dispose: float | None = None
    result: str
    released: float
    kind: str | None = None


SCENARIOS = (
    TimeoutScenario(
        name="RxJS each holds for the first element",
        source=RXJS + "should timeout after a specified timeout period",
        marbles="------a-b|",
        limits={"each": 4.0},
        result="----T",
        released=4,
        kind="each",
    ),
    TimeoutScenario(
        name="RxJS each begins anew with every element",
        source=RXJS + "should not timeout if source emits within timeout period",
        marbles="---a---b---c---|",
        limits={"each": 5.0},
        result="---a---b---c---|",
        released=15,
    ),
    TimeoutScenario(
        name="RxJS each runs out between two elements",
        source=RXJS + "should timeout after a specified timeout period between emit",
        marbles="--a--b--------c-|",
        limits={"each": 5.0},
        result="--a--b----T",
        released=10,
        kind="each",
    ),
    TimeoutScenario(
        name="RxJS each holds for the end of a source without elements",
        source=RXJS + "using with, when source is empty",
        marbles="------------|",
        limits={"each": 8.0},
        result="--------T",
        released=8,
        kind="each",
    ),
    TimeoutScenario(
        name="RxJS each does not concern an end in time",
        source=RXJS + "using with, should not timeout if source completes within timeout period",
        marbles="----|",
        limits={"each": 8.0},
        result="----|",
        released=4,
    ),
    TimeoutScenario(
        name="RxJS each does not concern an error in time",
        source=RXJS + "using with, should not timeout if source raises error within timeout period",
        marbles="----#",
        limits={"each": 8.0},
        result="----#",
        released=4,
    ),
    TimeoutScenario(
        name="RxJS unsubscribed early lets go of source and timer",
        source=RXJS + "should allow unsubscribing explicitly and early",
        marbles="--a--b--c---d-|",
        limits={"each": 5.0},
        dispose=10,
        result="--a--b--c",
        released=10,
    ),
    TimeoutScenario(
        name="RxJS first runs out on a source that never emits",
        source=RXJS + "should timeout at a specified time for first value only",
        marbles="-",
        limits={"first": 9.0},
        result="---------T",
        released=9,
        kind="first",
    ),
    TimeoutScenario(
        name="RxJS first has no say after the first element",
        source=RXJS + "should not timeout for long delays if only first is specified",
        marbles="--a--------------------b-|",
        limits={"first": 7.0},
        result="--a--------------------b-|",
        released=25,
    ),
    TimeoutScenario(
        name="RxJS first and each together",
        source=RXJS + "should timeout for long delays if first is specified as Date AND each is specified",
        marbles="----a--------------b-|",
        limits={"first": 10.0, "each": 5.0},
        result="----a----T",
        released=9,
        kind="each",
    ),
    TimeoutScenario(
        name="RxJS goes on with another source",
        source=RXJS
        + "using with, should timeout after a specified period then subscribe to the passed observable",
        marbles="--------a-|",
        limits={"each": 4.0},
        instead="-x-y|",
        result="-----x-y|",
        released=4,
    ),
    TimeoutScenario(
        name="RxJS keeps what it had and goes on with another source",
        source=RXJS + "using with, between emit then subscribe to the passed observable",
        marbles="--a--b-------c|",
        limits={"each": 4.0},
        instead="--x|",
        result="--a--b-----x|",
        released=9,
    ),
    TimeoutScenario(
        name="RxJS does not go on with another source when there was no timeout",
        source=RXJS + "using with, should not timeout if source emits within timeout period",
        marbles="--a--b|",
        limits={"each": 4.0},
        instead="-x|",
        result="--a--b|",
        released=6,
    ),
    TimeoutScenario(
        name="RxJS goes on with another source whatever the late one would have said",
        source=RXJS + "using with, when source raises error after timeout",
        marbles="---------#",
        limits={"each": 6.0},
        instead="-x|",
        result="-------x|",
        released=6,
    ),
    TimeoutScenario(
        name="Polly cancels what takes longer than its time",
        source=POLLY + "Unhappy path sequence diagram",
        marbles="-a-b-c-d|",
        limits={"total": 3.5},
        result="-a-bT",
        released=3.5,
        kind="total",
    ),
    TimeoutScenario(
        name="Polly leaves alone what ends in time",
        source=POLLY + "Happy path sequence diagram",
        marbles="-a-b|",
        limits={"total": 9.0},
        result="-a-b|",
        released=4,
    ),
    TimeoutScenario(
        name="Polly asks for the time of each execution",
        source=POLLY + "Defaults: TimeoutGenerator",
        marbles="-----a|",
        limits={"total": lambda: 2.0},
        result="--T",
        released=2,
        kind="total",
    ),
    TimeoutScenario(
        name="Polly does not turn the caller's own cancellation into a timeout",
        source=POLLY + "About: the original token is honoured",
        marbles="------a|",
        limits={"total": 5.0},
        dispose=3,
        result="-",
        released=3,
    ),
)

DIFFERS = (
    TimeoutScenario(
        name="RxJS takes a bare number for the gap",
        source=RXJS + "should not timeout if source emits within timeout period, timeout(number)",
        why="A call has one answer, so the first thing one wants to limit is the whole: `timeout(5.0)` is "
        "the total, and the gap is `each=`.",
        marbles="--a--b--c|",
        limits={"total": 5.5},
        result="--a--bT",
        released=5.5,
        kind="total",
    ),
    TimeoutScenario(
        name="Polly has a time of 30 seconds by default",
        source=POLLY + "Defaults: Timeout",
        why="An operator that was given no limit has none.",
        marbles="-" * 45 + "a|",
        result="-" * 45 + "a|",
        released=46,
    ),
)


@rows(SCENARIOS, DIFFERS)
def test_timeout(row: TimeoutScenario) -> None:
    time, boom = Time(), Boom()
    source = time.marbles(row.marbles, error=boom)
    limited = source.pipe(timeout(**row.limits))
    instead = time.marbles(row.instead or "|")
    if row.instead is not None:
        limited = limited.pipe(fallback(lambda _: instead, when=TimeoutExceededError))
    recorder = time.run(limited, dispose=row.dispose)
    expected = events(row.result.replace("T", ""), **({"#": boom} if "#" in row.result else {}))
    seen = recorder.events
    if "T" in row.result:
        at, error = seen.pop()
        assert isinstance(error, TimeoutExceededError)
        assert (at, error.kind) == (row.released, row.kind)
    assert seen == expected
    assert source.released == [row.released]
    assert len(instead.subscribed) == (row.instead is not None and row.result != row.marbles)
    assert time.idle
