"""How long to wait before a repeat: Polly, resilience4j and Failsafe."""

from __future__ import annotations

from rxorch_operators.engines.backoff import RetryPolicy
from tests.operators.scenarios.backoff_waits import BackoffScenario, schedule
from tests.operators.scenarios.scenario import rows

POLLY = "Polly, docs/strategies/retry.md, Calculation of the next delay: "
POLLY_TESTS = "Polly, RetryHelperTests: "
INTERVAL = "resilience4j, IntervalFunctionTest: "
FAILSAFE = "Failsafe, RetryPolicyBuilder javadoc: "

DAY = 86_400.0

SCENARIOS = (
    BackoffScenario(
        name="Polly constant",
        source=POLLY + "Constant examples",
        policy=schedule(1.5, 60.0, factor=1.0),
        waits=(1.5, 1.5, 1.5, 1.5),
    ),
    BackoffScenario(
        name="Polly exponential",
        source=POLLY + "Exponential examples",
        policy=schedule(1.0, 60.0),
        waits=(1.0, 2.0, 4.0, 8.0, 16.0),
    ),
    BackoffScenario(
        name="Polly exponential with a largest delay",
        source=POLLY + "Exponential examples, MaxDelay",
        policy=schedule(1.0, 15.0),
        waits=(1.0, 2.0, 4.0, 8.0, 15.0, 15.0),
    ),
    BackoffScenario(
        name="Polly linear by a base that grows",
        source=POLLY + "Linear examples",
        policy=schedule(1.0, 60.0, factor=1.0),
        bases=(1.0, 2.0, 3.0, 4.0, 5.0),
        waits=(1.0, 2.0, 3.0, 4.0, 5.0),
    ),
    BackoffScenario(
        name="Polly linear with a largest delay",
        source=POLLY + "Linear examples, MaxDelay",
        policy=schedule(1.0, 4.5, factor=1.0),
        bases=(3.0, 4.0, 5.0, 6.0),
        waits=(3.0, 4.0, 4.5, 4.5),
    ),
    BackoffScenario(
        name="Polly without a delay",
        source=POLLY_TESTS + "Constant_Ok, Exponential_Ok, a delay of zero",
        policy=schedule(0.0, 60.0),
        waits=(0.0, 0.0, 0.0),
    ),
    BackoffScenario(
        name="Polly makes so many retries beside the first call",
        source="Polly, docs/strategies/retry.md, Diagrams: MaxRetryAttempts 2 makes three calls",
        policy=schedule(1.0, 60.0, factor=1.0, attempts=3),
        waits=(1.0, 1.0, None),
        limit="attempts",
    ),
    BackoffScenario(
        name="Polly does not cap a generated delay",
        source=POLLY + "MaxDelay is not applied to what DelayGenerator gives",
        policy=schedule(1.0, 10.0),
        draws=(1.0,),
        hints=(30.0,),
        waits=(30.3,),
    ),
    BackoffScenario(
        name="Polly takes its own delay when none is generated",
        source=POLLY + "DelayGenerator returns null",
        policy=schedule(1.0, 10.0),
        hints=(None, None),
        waits=(1.0, 2.0),
    ),
    BackoffScenario(
        name="Polly exponential of a thousand attempts is the largest delay",
        source=POLLY_TESTS + "GetRetryDelay_OverflowWithMaxDelay_ReturnsMaxDelay",
        policy=schedule(DAY, 2 * DAY, attempts=2_000),
        waits=(DAY, *[2 * DAY] * 1_000),
    ),
    BackoffScenario(
        name="resilience4j exponential intervals stay at the cap",
        source=INTERVAL + "generatesCappedExponentialIntervals",
        policy=schedule(0.1, 100.0),
        waits=(0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 12.8, 25.6, 51.2, 100.0, 100.0, 100.0),
    ),
    BackoffScenario(
        name="resilience4j exponential intervals of one and a half",
        source=INTERVAL + "generatesExponentialIntervals",
        policy=schedule(0.8, 100.0, factor=1.5),
        waits=(0.8, 1.2, 1.8, 2.7),
    ),
    BackoffScenario(
        name="Failsafe backs off by two up to its largest delay",
        source=FAILSAFE + "withBackoff(delay, maxDelay)",
        policy=schedule(3.0, 20.0),
        waits=(3.0, 6.0, 12.0, 20.0, 20.0),
    ),
    BackoffScenario(
        name="Failsafe backs off by a factor of its own",
        source=FAILSAFE + "withBackoff(delay, maxDelay, delayFactor)",
        policy=schedule(3.0, 100.0, factor=3.0),
        waits=(3.0, 9.0, 27.0, 81.0, 100.0),
    ),
    BackoffScenario(
        name="Failsafe makes two retries and so three attempts by default",
        source=FAILSAFE + "class comment, withMaxRetries",
        policy=RetryPolicy(jitter="none"),
        waits=(0.2, 0.4, None),
        limit="attempts",
    ),
    BackoffScenario(
        name="Failsafe does not retry after its longest duration",
        source="Failsafe, RetryPolicyTest: shouldCompleteWhenMaxDurationExceeded",
        policy=RetryPolicy(max_attempts=9, base=0.0, max_elapsed=10.0),
        at=(12.0,),
        waits=(None,),
        limit="max_elapsed",
    ),
)

DIFFERS = (
    BackoffScenario(
        name="Polly spreads a constant delay to both sides",
        source=POLLY_TESTS + "Constant_Jitter_Ok, 0.75 to 1.25 of the delay",
        why="Jitter of ours only shortens: `delays()` is the longest wait there can be, and a worst case "
        "can be summed up.",
        policy=schedule(1.0, 60.0, factor=1.0, jitter="equal"),
        draws=(0.0, 0.4, 0.6, 1.0),
        waits=(0.5, 0.7, 0.8, 1.0),
    ),
    BackoffScenario(
        name="Polly uses a generated delay to the millisecond",
        source=POLLY + "DelayGenerator",
        why="Calls that were given the same time would return together, so a hint gets up to a tenth on top "
        "(at least up to 0.1 s), and never less than was asked for.",
        policy=schedule(1.0, 10.0),
        draws=(1.0, 0.0),
        hints=(4.0, 4.0),
        waits=(4.04, 4.4),
    ),
    BackoffScenario(
        name="Polly ignores a negative generated delay",
        source=POLLY + "DelayGenerator returns a negative time",
        why="A reset that lies in the past means that it is over: the wait is short, and the backoff would "
        "be longer than needed.",
        policy=schedule(5.0, 10.0),
        draws=(1.0,),
        hints=(-3.0,),
        waits=(0.01,),
    ),
    BackoffScenario(
        name="Polly without a largest delay grows for ever",
        source=POLLY_TESTS + "GetRetryDelay_Overflow_ReturnsMaxTimeSpan",
        why="Ours always has a cap, 20 s by default.",
        policy=RetryPolicy(max_attempts=99, base=1.0, jitter="none", max_elapsed=None),
        waits=(1.0, 2.0, 4.0, 8.0, 16.0, *[20.0] * 90),
    ),
    BackoffScenario(
        name="resilience4j spreads an interval to both sides",
        source=INTERVAL + "generatesRandomizedIntervals, 50 to 150 percent",
        why="As with Polly: jitter only shortens, down to the half with `equal`.",
        policy=schedule(0.1, 1.0, factor=1.0, jitter="equal"),
        draws=(0.0, 1.0),
        waits=(0.05, 0.1),
    ),
    BackoffScenario(
        name="Failsafe spreads a delay to both sides",
        source=FAILSAFE + "withJitter(0.25), 75 to 125 ms of 100",
        why="As with Polly: jitter only shortens, down to nothing with `full`.",
        policy=schedule(0.1, 1.0, factor=1.0, jitter="full"),
        draws=(0.0, 1.0),
        waits=(0.0, 0.1),
    ),
)


@rows(SCENARIOS, DIFFERS)
def test_waits(row: BackoffScenario) -> None:
    row.check()
