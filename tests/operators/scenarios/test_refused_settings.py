"""Settings that others correct in silence, or accept though they cannot work, and that ours refuses."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pytest

from rxorch_operators import flat_map_bounded
from rxorch_operators.engines.backoff import RetryPolicy
from rxorch_operators.engines.circuit import CircuitPolicy
from rxorch_operators.engines.gcra import Gcra
from rxorch_operators.engines.permits import PermitPool
from rxorch_operators.hedge import HedgePolicy
from tests.operators.scenarios.scenario import Scenario, rows


@dataclass(frozen=True, slots=True, kw_only=True)
class RefusedScenario(Scenario):
    """What is tried, and the setting that the message names."""

    attempt: Callable[[], object]
    field: str


SCENARIOS = (
    RefusedScenario(
        name="resilience4j refuses a failure rate of zero",
        source="resilience4j, CircuitBreakerConfig javadoc: failureRateThreshold must be greater than 0",
        attempt=lambda: CircuitPolicy(kind="count", failure_rate=0.0),
        field="failure_rate",
    ),
    RefusedScenario(
        name="resilience4j refuses a slow call rate above all calls",
        source="resilience4j, CircuitBreakerConfig javadoc: slowCallRateThreshold not greater than 100",
        attempt=lambda: CircuitPolicy(kind="count", slow_call_duration=1.0, slow_call_rate=1.01),
        field="slow_call_rate",
    ),
    RefusedScenario(
        name="resilience4j refuses half open without calls",
        source="resilience4j, CircuitBreakerConfig javadoc: permittedNumberOfCallsInHalfOpenState",
        attempt=lambda: CircuitPolicy(half_open_permits=0),
        field="half_open_permits",
    ),
    RefusedScenario(
        name="resilience4j refuses a window of no calls",
        source="resilience4j, CircuitBreakerConfig javadoc: slidingWindowSize",
        attempt=lambda: CircuitPolicy(kind="count", size=0),
        field="size",
    ),
    RefusedScenario(
        name="aiolimiter refuses an amount above its capacity",
        source="aiolimiter, tests/test_aiolimiter.py: test_over_acquire",
        attempt=lambda: Gcra(1, 60.0, 1).take(0.0, 42),
        field="cost",
    ),
    RefusedScenario(
        name="Reactor refuses a concurrency of zero",
        source="Reactor, FluxMergeSequentialTest: testInvalidCapacityHint",
        attempt=lambda: flat_map_bounded(lambda _: None, max_concurrent=0, ordered=True),  # type: ignore[arg-type, return-value]
        field="max_concurrent",
    ),
    RefusedScenario(
        name="Failsafe refuses a backoff that shrinks",
        source="Failsafe, RetryPolicyBuilder javadoc: withBackoff, delayFactor",
        attempt=lambda: RetryPolicy(factor=0.9),
        field="factor",
    ),
    RefusedScenario(
        name="Failsafe refuses no attempts at all",
        source="Failsafe, RetryPolicyBuilder javadoc: withMaxAttempts",
        attempt=lambda: RetryPolicy(max_attempts=0),
        field="max_attempts",
    ),
)

DIFFERS = (
    RefusedScenario(
        name="resilience4j lowers a minimum that its count window cannot hold",
        source="resilience4j, CircuitBreakerConfig javadoc: slidingWindow, minimumNumberOfCalls",
        why="There it becomes the size of the window. Ours says which two numbers do not fit.",
        attempt=lambda: CircuitPolicy(kind="count", size=10, min_calls=50),
        field="min_calls",
    ),
    RefusedScenario(
        name="resilience4j accepts a bulkhead that lets nobody in",
        source="resilience4j, SemaphoreBulkheadTest: testZeroMaxConcurrentCalls",
        why="Calls would wait for ever. To let nothing through is what `force_open` of a circuit is for.",
        attempt=lambda: PermitPool(0, 0),
        field="limit",
    ),
    RefusedScenario(
        name="resilience4j reserves cycles ahead for a weight above the limit",
        source="resilience4j, AtomicRateLimiterTest: reserveManyCyclesIfWegithgreaterThenLimitPerPeriod",
        why="Such a call breaks the limit of the window it leaves in. Ours takes up to the larger of limit "
        "and burst, and refuses the rest.",
        attempt=lambda: Gcra(1, 10.0, 1).take(0.0, 3),
        field="cost",
    ),
    RefusedScenario(
        name="Polly cuts every delay down to a smaller largest delay",
        source="Polly, RetryHelperTests: MaxDelay_Ok, a delay of 10 s and a largest of 1 s",
        why="Of two numbers that contradict each other one is a mistake.",
        attempt=lambda: RetryPolicy(base=10.0, cap=1.0),
        field="cap",
    ),
    RefusedScenario(
        name="Polly takes a negative delay for one call after another",
        source="Polly, docs/strategies/hedging.md, Defaults: special values of Delay",
        why="`math.inf` says the same without a code.",
        attempt=lambda: HedgePolicy(delay=-0.001),
        field="delay",
    ),
)


@rows(SCENARIOS, DIFFERS)
def test_refused(row: RefusedScenario) -> None:
    with pytest.raises(ValueError, match=rf"^{row.field}=") as refused:
        row.attempt()
    assert ": " in str(refused.value)  # what to give instead
