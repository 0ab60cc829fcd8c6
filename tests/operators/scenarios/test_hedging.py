"""The late duplicate: hedging as in gRPC and Polly. Times are ten to a second of gRPC's."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import reactivex

from rxorch_operators import timeout
from rxorch_operators.engines.budget import RetryBudget
from rxorch_operators.hedge import HedgePolicy, hedge
from tests.operators.scenarios.scenario import Scenario, rows
from tests.operators.support import Boom, Time

GRPC = "gRPC proposal A6 (client retries), Hedging Policy: "
POLLY = "Polly, docs/strategies/hedging.md, "


class Fatal(Exception):
    """An error that is not worth another call."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HedgeScenario(Scenario):
    """What each call does, and when; `#` fails with the error of its number.

    `hedge_if` tells which failures bring the next call. The outcome is the first element, or the number or
    class of the error, and when.
    """

    calls: tuple[str, ...]
    errors: tuple[Exception, ...] = field(default_factory=lambda: tuple(Boom() for _ in range(4)))
    policy: HedgePolicy
    hedge_if: Callable[[Exception], bool] | None = None
    budget: RetryBudget | None = None
    deadline: float | None = None
    made: tuple[float, ...]
    released: tuple[float, ...]
    outcome: tuple[float, str | int | type[Exception]]


def fixed(delay: float, max_hedges: int = 1) -> HedgePolicy:
    """A delay that does not follow the durations."""
    return HedgePolicy(delay=delay, max_hedges=max_hedges, percentile=None)


def not_fatal(error: Exception) -> bool:
    """What gRPC calls a non-fatal status."""
    return not isinstance(error, Fatal)


NEVER = "-"

SCENARIOS = (
    HedgeScenario(
        name="gRPC makes one more call after each delay",
        source=GRPC + "four attempts, one each half second",
        calls=(NEVER, NEVER, NEVER, "---a|"),
        policy=fixed(5.0, 3),
        made=(0, 5, 10, 15),
        released=(18, 18, 18, 19),
        outcome=(18, "a"),
    ),
    HedgeScenario(
        name="gRPC makes no more calls than the attempts",
        source=GRPC + "up to maxAttempts",
        calls=("-" * 30 + "a|", NEVER),
        policy=fixed(5.0, 1),
        made=(0, 5),
        released=(30, 31),
        outcome=(30, "a"),
    ),
    HedgeScenario(
        name="gRPC cancels the others with the first good answer",
        source=GRPC + "a non-error response is received",
        calls=("---------a|", "--b|", NEVER),
        policy=fixed(3.0, 3),
        made=(0, 3),
        released=(5, 6),
        outcome=(5, "b"),
    ),
    HedgeScenario(
        name="gRPC makes the next call at once after a failure that is not fatal",
        source=GRPC + "a non-fatal status code shortcuts the delay, later ones resume at hedgingDelay",
        calls=("--#", NEVER, "---c|"),
        policy=fixed(5.0, 2),
        hedge_if=not_fatal,
        made=(0, 2, 7),
        released=(2, 10, 11),
        outcome=(10, "c"),
    ),
    HedgeScenario(
        name="gRPC ends with a fatal failure and cancels the others",
        source=GRPC + "any other status code",
        calls=(NEVER, "--#", NEVER),
        errors=(Boom(), Fatal()),
        policy=fixed(5.0, 2),
        hedge_if=not_fatal,
        made=(0, 5),
        released=(7, 7),
        outcome=(7, 1),
    ),
    HedgeScenario(
        name="gRPC makes no further attempts when all have failed",
        source=GRPC + "all instances of a hedged RPC fail",
        calls=("--#", "--#", "--#"),
        policy=fixed(5.0, 2),
        hedge_if=not_fatal,
        made=(0, 2, 4),
        released=(2, 4, 6),
        outcome=(6, 0),
    ),
    HedgeScenario(
        name="gRPC always makes the first call and no other when throttled",
        source="gRPC proposal A6 (client retries), Throttling Retry Attempts and Hedged RPCs",
        calls=("---------a|", "-b|"),
        policy=fixed(3.0, 2),
        budget=RetryBudget(ratio=0.0, floor=0),
        made=(0,),
        released=(10,),
        outcome=(9, "a"),
    ),
    HedgeScenario(
        name="gRPC ends the whole chain with the deadline",
        source=GRPC + "call deadlines apply to the entire chain of hedged requests",
        calls=(NEVER, NEVER, NEVER),
        policy=fixed(5.0, 2),
        deadline=12.0,
        made=(0, 5, 10),
        released=(12, 12, 12),
        outcome=(12, TimeoutError),
    ),
    HedgeScenario(
        name="Polly makes no hedge when the answer is there in time",
        source=POLLY + "Latency: happy path",
        calls=("-a|", "-b|"),
        policy=fixed(2.0),
        made=(0,),
        released=(2,),
        outcome=(1, "a"),
    ),
    HedgeScenario(
        name="Polly takes the quick second answer and cancels the slow first call",
        source=POLLY + "Latency: unhappy path",
        calls=("---------a|", "-b|"),
        policy=fixed(2.0),
        made=(0, 2),
        released=(3, 4),
        outcome=(3, "b"),
    ),
    HedgeScenario(
        name="Polly hedges a failure at once",
        source=POLLY + "Latency mode, the initial execution fails",
        calls=("-#", "-b|"),
        policy=fixed(9.0),
        hedge_if=not_fatal,
        made=(0, 1),
        released=(1, 3),
        outcome=(2, "b"),
    ),
    HedgeScenario(
        name="Polly ends with the first call's failure when all have failed",
        source=POLLY + "Latency mode, unhappy path",
        calls=("------#", "-#"),
        policy=fixed(2.0),
        hedge_if=not_fatal,
        made=(0, 2),
        released=(3, 6),
        outcome=(6, 0),
    ),
    HedgeScenario(
        name="Polly in fallback mode makes the second call when the first has failed",
        source=POLLY + "Fallback: happy path, a negative delay",
        calls=("-----#", "-b|"),
        policy=fixed(math.inf),
        hedge_if=not_fatal,
        made=(0, 5),
        released=(5, 7),
        outcome=(6, "b"),
    ),
    HedgeScenario(
        name="Polly in fallback mode passes the first call's failure",
        source=POLLY + "Fallback: unhappy path",
        calls=("-----#", "-#"),
        policy=fixed(math.inf),
        hedge_if=not_fatal,
        made=(0, 5),
        released=(5, 6),
        outcome=(6, 0),
    ),
    HedgeScenario(
        name="Polly in parallel mode starts all at once",
        source=POLLY + "Parallel: happy path, a delay of zero",
        calls=("-----a|", "--b|", "---c|"),
        policy=fixed(0.0, 2),
        made=(0, 0, 0),
        released=(2, 2, 3),
        outcome=(2, "b"),
    ),
    HedgeScenario(
        name="Polly in parallel mode passes the first call's failure when all have failed",
        source=POLLY + "Parallel: unhappy path",
        calls=("---#", "-#"),
        policy=fixed(0.0),
        made=(0, 0),
        released=(1, 3),
        outcome=(3, 0),
    ),
    HedgeScenario(
        name="Polly makes one hedge after two seconds by default",
        source=POLLY + "Defaults: MaxHedgedAttempts, Delay",
        calls=("---------a|", "-----b|", "-c|"),
        policy=HedgePolicy(),
        made=(0, 2),
        released=(7, 8),
        outcome=(7, "b"),
    ),
)

DIFFERS = (
    HedgeScenario(
        name="Polly hedges every failure by default",
        source=POLLY + "Defaults: ShouldHandle",
        why="A hedge is for what is late. Which failures are worth a second call is told by `hedge_if`; to "
        "repeat what failed is `retry_backoff`'s, with a wait.",
        calls=("-#", "-b|"),
        policy=fixed(9.0),
        made=(0,),
        released=(1,),
        outcome=(1, 0),
    ),
)


class Calls:
    """A source that does something else each time, and fails with an error of its own."""

    def __init__(self, time: Time, row: HedgeScenario) -> None:
        self.marbles = [
            time.marbles(text, error=error) for text, error in zip(row.calls, row.errors, strict=False)
        ]
        self.made = 0

    def __call__(self) -> Any:
        self.made += 1
        return self.marbles[self.made - 1]


@rows(SCENARIOS, DIFFERS)
def test_hedge(row: HedgeScenario) -> None:
    time = Time()
    calls = Calls(time, row)
    hedged = reactivex.defer(lambda _: calls()).pipe(
        hedge(row.policy, hedge_if=row.hedge_if, budget=row.budget), timeout(row.deadline)
    )
    recorder = time.run(hedged, seconds=100)
    at, outcome = recorder.events[0]
    assert at == row.outcome[0]
    if isinstance(row.outcome[1], str):
        assert outcome == row.outcome[1] and recorder.completed
    elif isinstance(row.outcome[1], int):
        assert outcome is row.errors[row.outcome[1]]
    else:
        assert isinstance(outcome, row.outcome[1])
    assert tuple(at for call in calls.marbles for at in call.subscribed) == row.made
    assert sorted(at for call in calls.marbles for at in call.released) == list(row.released)
    assert time.idle
