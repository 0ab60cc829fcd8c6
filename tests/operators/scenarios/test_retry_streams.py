"""Which failures are repeated and when: RxJS in marbles, and Polly, Failsafe, gRPC and Reactor beside it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import reactivex
from reactivex import operators as ops

from rxorch_operators import from_iterable, retry_backoff
from tests.operators.scenarios.scenario import Scenario, rows
from tests.operators.support import AtOnce, Boom, Marbles, Time

RXJS = "RxJS, packages/rxjs/spec/operators/retry-spec.ts: "
FAILSAFE = "Failsafe, RetryPolicyTest: "


class Fatal(Exception):
    """An error that is not worth another attempt."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryScenario(Scenario):
    """What each attempt does in marbles, and how it fails; the result, and the times of the attempts.

    `#` in `result` stands for the error of the last attempt. There is no jitter: the waits are `base`, twice
    that, and so on.
    """

    attempts: tuple[str, ...]
    errors: tuple[BaseException, ...] = ()
    settings: dict[str, Any] = field(default_factory=dict)
    retry_if: Callable[[Exception], bool] | None = None
    resume: bool = False
    dispose: float | None = None
    result: str
    subscribed: tuple[float, ...]
    released: tuple[float, ...]


IMMEDIATELY = {"base": 0.0}
EVERY_FOUR = {"base": 4.0, "factor": 1.0}

SCENARIOS = (
    RetryScenario(
        name="RxJS makes the attempts and then passes the error",
        source=RXJS + "a source that errors, count of two retries",
        attempts=("--#",),
        settings={**IMMEDIATELY, "max_attempts": 3},
        result="------#",
        subscribed=(0, 2, 4),
        released=(2, 4, 6),
    ),
    RetryScenario(
        name="RxJS stops with the first good attempt",
        source=RXJS + "should retry a number of times, without error, then complete",
        attempts=("-#", "-#", "-a|"),
        settings={**IMMEDIATELY, "max_attempts": 5},
        result="---a|",
        subscribed=(0, 1, 2),
        released=(1, 2, 4),
    ),
    RetryScenario(
        name="RxJS leaves an empty source alone",
        source=RXJS + "should handle an empty source",
        attempts=("|",),
        settings=IMMEDIATELY,
        result="|",
        subscribed=(0,),
        released=(0,),
    ),
    RetryScenario(
        name="RxJS leaves a source alone that never ends",
        source=RXJS + "should handle a never source",
        attempts=("-",),
        settings=IMMEDIATELY,
        dispose=30,
        result="-",
        subscribed=(0,),
        released=(30,),
    ),
    RetryScenario(
        name="RxJS leaves a source alone that completes",
        source=RXJS + "should handle a basic source that emits next then completes",
        attempts=("-a--b-|",),
        settings=IMMEDIATELY,
        result="-a--b-|",
        subscribed=(0,),
        released=(6,),
    ),
    RetryScenario(
        name="RxJS changes nothing with no retries",
        source=RXJS + "should not alter the source when the number of retries is smaller than 1",
        attempts=("-a-b-#",),
        settings={"max_attempts": 1},
        result="-a-b-#",
        subscribed=(0,),
        released=(5,),
    ),
    RetryScenario(
        name="RxJS waits between the attempts",
        source=RXJS + "with delay config, should honor count as the max retries",
        attempts=("---#",),
        settings={**EVERY_FOUR, "max_attempts": 3},
        result="-----------------#",
        subscribed=(0, 7, 14),
        released=(3, 10, 17),
    ),
    RetryScenario(
        name="RxJS unsubscribed during an attempt lets go of it",
        source=RXJS + "a source which eventually throws, and result is unsubscribed early",
        attempts=("-----#",),
        settings={**IMMEDIATELY, "max_attempts": 4},
        dispose=8,
        result="-",
        subscribed=(0, 5),
        released=(5, 8),
    ),
    RetryScenario(
        name="RxJS unsubscribed during the wait subscribes no more",
        source=RXJS + "with delay config, should delay the retry by a specified amount of time, its unsub",
        attempts=("-#",),
        settings={**EVERY_FOUR, "max_attempts": 9},
        dispose=8,
        result="-",
        subscribed=(0, 5),
        released=(1, 6),
    ),
    RetryScenario(
        name="RxJS emits again what the attempts emit when told how to go on",
        source=RXJS + "should handle a basic source that emits next then errors, count=3",
        attempts=("-a-b-#",),
        settings={**IMMEDIATELY, "max_attempts": 3},
        resume=True,
        result="-a-b--a-b--a-b-#",
        subscribed=(0, 5, 10),
        released=(5, 10, 15),
    ),
    RetryScenario(
        name="gRPC commits with the first thing that it hands on",
        source="gRPC proposal A6 (client retries): When Retries are Valid",
        attempts=("-a-#",),
        settings={**IMMEDIATELY, "max_attempts": 5},
        result="-a-#",
        subscribed=(0,),
        released=(3,),
    ),
    RetryScenario(
        name="Polly repeats only what it should handle",
        source="Polly, docs/strategies/retry.md, Usage: ShouldHandle",
        attempts=("-#", "-#"),
        errors=(Boom(), Fatal()),
        settings={**IMMEDIATELY, "max_attempts": 9},
        retry_if=lambda error: isinstance(error, Boom),
        result="--#",
        subscribed=(0, 1),
        released=(1, 2),
    ),
    RetryScenario(
        name="Polly does not repeat a cancellation",
        source="Polly, docs/strategies/retry.md, Defaults: ShouldHandle",
        attempts=("-#",),
        errors=(asyncio.CancelledError(),),
        settings={**IMMEDIATELY, "max_attempts": 9},
        result="-#",
        subscribed=(0,),
        released=(1,),
    ),
    RetryScenario(
        name="Polly backs off exponentially between real attempts",
        source="Polly, docs/strategies/retry.md, Exponential examples",
        attempts=("-#", "-#", "-#", "-a|"),
        settings={"base": 1.0, "max_attempts": 4},
        result="-----------a|",
        subscribed=(0, 2, 5, 10),
        released=(1, 3, 6, 12),
    ),
    RetryScenario(
        name="Failsafe does not repeat a success",
        source=FAILSAFE + "shouldNotRetry",
        attempts=("-a|",),
        settings=EVERY_FOUR,
        result="-a|",
        subscribed=(0,),
        released=(2,),
    ),
    RetryScenario(
        name="Failsafe passes the first error that it does not handle",
        source=FAILSAFE + "shouldThrowOnNonRetriableFailure",
        attempts=("-#", "-#", "-#"),
        errors=(Boom(), Boom(), Fatal()),
        settings={**IMMEDIATELY, "max_attempts": 99},
        retry_if=lambda error: isinstance(error, Boom),
        result="---#",
        subscribed=(0, 1, 2),
        released=(1, 2, 3),
    ),
    RetryScenario(
        name="Failsafe does not repeat after its longest duration",
        source=FAILSAFE + "shouldCompleteWhenMaxDurationExceeded",
        attempts=("------------#",),
        settings={**IMMEDIATELY, "max_attempts": 9, "max_elapsed": 10.0},
        result="------------#",
        subscribed=(0,),
        released=(12,),
    ),
)

DIFFERS = (
    RetryScenario(
        name="RxJS subscribes again after elements",
        source=RXJS + "should handle a basic source that emits next then errors, count=3",
        why="What was emitted would be emitted twice. `resume=` says how to go on, else the error passes.",
        attempts=("-a-b-#",),
        settings={**IMMEDIATELY, "max_attempts": 3},
        result="-a-b-#",
        subscribed=(0,),
        released=(5,),
    ),
    RetryScenario(
        name="RxJS without a count repeats for ever",
        source=RXJS + "should return a never observable given an async just-throw source and no count",
        why="A service that is down would be asked for ever; three attempts by default.",
        attempts=("-#",),
        settings=IMMEDIATELY,
        result="---#",
        subscribed=(0, 1, 2),
        released=(1, 2, 3),
    ),
    RetryScenario(
        name="Reactor wraps the last error",
        source="Reactor, RetryBackoffSpecTest: builderCanBeUsedAsTemplate, exhausted with the error as cause",
        why="Who handles an error looks at its class, and should not have to know whether there was a retry.",
        attempts=("-#",),
        errors=(Boom(), Boom(), Boom()),
        settings={**IMMEDIATELY, "max_attempts": 3},
        result="---#",
        subscribed=(0, 1, 2),
        released=(1, 2, 3),
    ),
)


class Attempts(Marbles):
    """Marbles whose attempts fail with an error each."""

    def __init__(self, time: Time, row: RetryScenario) -> None:
        super().__init__(time, *row.attempts)
        self.failures = row.errors or (Boom(),)

    def play(self, observer: Any) -> Any:
        self.errors = {"error": self.failures[min(len(self.subscribed), len(self.failures) - 1)]}
        return super().play(observer)


@rows(SCENARIOS, DIFFERS)
def test_retry(row: RetryScenario) -> None:
    time = Time()
    source = Attempts(time, row)
    resume = (lambda _count, _last: source) if row.resume else None
    settings: dict[str, Any] = {"jitter": "none", **row.settings}
    repeated = source.pipe(retry_backoff(retry_if=row.retry_if, resume=resume, **settings))
    recorder = time.run(repeated, dispose=row.dispose)
    expected = [(float(at), sign) for at, sign in enumerate(row.result) if sign != "-"]
    if expected and expected[-1][1] == "#":
        expected[-1] = (expected[-1][0], source.errors["error"])  # type: ignore[assignment]
    assert recorder.events == expected
    assert tuple(source.subscribed) == row.subscribed
    assert tuple(source.released) == row.released
    assert time.idle


def test_a_synchronous_attempt_is_let_go_of_before_the_next() -> None:
    """RxJS, retry-spec.ts: should always finalize before starting the next cycle, even when synchronous."""
    log: list[str] = []

    def attempt(_: object) -> reactivex.Observable[int]:
        log.append("subscribed")
        failing: reactivex.Observable[int] = AtOnce(error=Boom())
        return failing.pipe(ops.finally_action(lambda: log.append("released")))

    time = Time()
    time.run(reactivex.defer(attempt).pipe(retry_backoff(base=0.0, max_attempts=3)))
    assert log == ["subscribed", "released"] * 3


def test_a_synchronous_source_is_not_read_on_after_disposal() -> None:
    """RxJS, retry-spec.ts: should stop listening to a synchronous observable when unsubscribed."""
    read: list[int] = []

    def numbers() -> Any:
        for number in range(10):
            read.append(number)
            yield number

    time = Time()
    stream = from_iterable(numbers()).pipe(retry_backoff(max_attempts=2), ops.take(3))
    assert time.run(stream).values == [0, 1, 2]
    assert read == [0, 1, 2]
