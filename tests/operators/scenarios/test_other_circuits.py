"""The circuit breakers of Polly, Failsafe and Hystrix."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from rxorch_operators import CircuitBreaker, Outcome3, TimeoutExceededError, circuit_breaker
from rxorch_operators.engines.circuit import CircuitPolicy
from tests.operators.manual_clock import ManualClock
from tests.operators.scenarios.circuit_script import CircuitScenario
from tests.operators.scenarios.scenario import Scenario, rows
from tests.operators.support import AtOnce, Recorder

POLLY = "Polly, docs/strategies/circuit-breaker.md, "
POLLY_TESTS = "Polly, CircuitStateControllerTests: "
FAILSAFE = "Failsafe, ClosedStateTest: "
HYSTRIX = "Netflix Hystrix, HystrixCircuitBreakerTest: "

HALF_OF_TWO = CircuitPolicy(kind="time", size=2, min_calls=2, timeout=1.0, half_open_permits=1)
ONE_PROBE = CircuitPolicy(threshold=1, timeout=1.0, half_open_permits=1)
TENTH = CircuitPolicy(kind="time", size=30, failure_rate=0.1, min_calls=10)
FORTY_PERCENT = CircuitPolicy(
    kind="time", size=5, failure_rate=0.4, min_calls=8, timeout=2.0, half_open_permits=1
)
ALL_FOUR = CircuitPolicy(kind="time", size=5, failure_rate=0.4, min_calls=4, timeout=2.0, half_open_permits=1)

SCENARIOS = (
    CircuitScenario(
        name="Polly stays closed below the ratio",
        source=POLLY + "Simple: happy path, one failure of three at a ratio of 0.5",
        policy=HALF_OF_TWO,
        script="s s f s",
        states="CCCC",
    ),
    CircuitScenario(
        name="Polly opens when the ratio is met",
        source=POLLY + "Simple: unhappy path, one failure of two at a ratio of 0.5",
        policy=HALF_OF_TWO,
        script="s f x",
        states="C O O",
    ),
    CircuitScenario(
        name="Polly closes after a good probe",
        source=POLLY + "Complex: happy path",
        policy=HALF_OF_TWO,
        script="f f x +1 ? =s s",
        states="C OOO H C C",
    ),
    CircuitScenario(
        name="Polly opens for another break after a bad probe",
        source=POLLY + "Complex: unhappy path",
        policy=HALF_OF_TWO,
        script="f f x +1 ? =f x",
        states="C OOO H O O",
        retry_after=1.0,
    ),
    CircuitScenario(
        name="Polly breaks when throughput and ratio are just enough",
        source="Polly, AdvancedCircuitBehaviorTests: throughput 10 of 10, ratio 0.1 of 0.1",
        policy=TENTH,
        script="s s s s s s s s s f",
        states="CCCCCCCCC O",
    ),
    CircuitScenario(
        name="Polly does not break one call below its throughput",
        source="Polly, AdvancedCircuitBehaviorTests: throughput 9 of 10, ratio above 0.1",
        policy=TENTH,
        script="s s s s s s s s f",
        states="CCCCCCCCC",
        calls=9,
        failed=1,
    ),
    CircuitScenario(
        name="Polly counts throughput and failures in one window",
        source="Polly, RollingHealthMetricsTests: Increment_Ok",
        policy=TENTH,
        script="watch! f s s s s",
        states="MMMMMM",
        calls=5,
        failed=1,
    ),
    CircuitScenario(
        name="Polly refuses a second call while the probe is out",
        source=POLLY_TESTS + "OnActionPreExecute_HalfOpen",
        policy=ONE_PROBE,
        script="f +1 ? x",
        states="OO H H",
        refused=1,
    ),
    CircuitScenario(
        name="Polly isolated refuses until closed by hand",
        source=POLLY_TESTS + "IsolateAsync_Ok, BreakAsync_Ok",
        policy=ONE_PROBE,
        script="open! x +9 x reset! s",
        states="FFFF C C",
        changes=2,
    ),
    CircuitScenario(
        name="Polly isolated is not closed by a late success",
        source=POLLY_TESTS + "OnActionSuccess_EnsureCorrectBehavior, isolated",
        policy=ONE_PROBE,
        script="? open! =s",
        states="C F F",
        changes=1,
    ),
    CircuitScenario(
        name="Polly open stays open on a late failure",
        source=POLLY_TESTS + "OnActionFailureAsync_EnsureCorrectBehavior, open and isolated",
        policy=ONE_PROBE,
        script="? ? =f +0.5 =f",
        states="CC O O O",
        retry_after=0.5,
        changes=1,
    ),
    CircuitScenario(
        name="Polly goes round twice and closes",
        source=POLLY_TESTS + "Flow_Closed_HalfOpen_Open_HalfOpen_Closed",
        policy=ONE_PROBE,
        script="f +1 ? =f +1 ? =s",
        states="OO H OO H C",
        changes=5,
    ),
    CircuitScenario(
        name="Failsafe opens with the first failure by default",
        source=FAILSAFE + "testFailureWithDefaultConfig",
        policy=CircuitPolicy(threshold=1),
        script="s f",
        states="C O",
    ),
    CircuitScenario(
        name="Failsafe opens at two failures of three",
        source=FAILSAFE + "testFailureWithFailureRatio",
        policy=CircuitPolicy(kind="count", size=3, min_calls=3, failure_rate=2 / 3),
        script="f s f",
        states="CC O",
    ),
    CircuitScenario(
        name="Failsafe begins to count anew after a success",
        source=FAILSAFE + "testFailureWithFailureThreshold",
        policy=CircuitPolicy(threshold=3),
        script="f f s f f f",
        states="CCCCC O",
    ),
    CircuitScenario(
        name="Failsafe stays closed when every second call fails and three of four are needed",
        source=FAILSAFE + "testSuccessWithFailureRatio",
        policy=CircuitPolicy(kind="count", size=4, min_calls=4, failure_rate=0.75),
        script="s f " * 12,
        states="CC" * 12,
        calls=4,
        failed=2,
    ),
    CircuitScenario(
        name="Failsafe stays closed when no two failures follow each other",
        source=FAILSAFE + "testSuccessWithFailureThreshold",
        policy=CircuitPolicy(threshold=2),
        script="s f " * 12,
        states="CC" * 12,
    ),
    CircuitScenario(
        name="Failsafe tells the remaining delay and tries when it is over",
        source="Failsafe, OpenStateTest: testTryAcquirePermit, testRemainingDelay",
        policy=ONE_PROBE,
        script="f +0.25",
        states="OO",
        retry_after=0.75,
    ),
    CircuitScenario(
        name="Failsafe has no remaining delay once it is over",
        source="Failsafe, OpenStateTest: testNoRemainingDelay",
        policy=ONE_PROBE,
        script="f +5",
        states="OO",
        retry_after=0.0,
    ),
    CircuitScenario(
        name="Failsafe closes after so many successes in a row",
        source="Failsafe, CircuitBreakerBuilder javadoc: withSuccessThreshold",
        policy=CircuitPolicy(threshold=1, timeout=1.0, half_open_permits=3),
        script="f +1 ? =s ? =s ? =s",
        states="OO HHHHH C",
    ),
    CircuitScenario(
        name="Failsafe opens again with one failure on trial",
        source="Failsafe, CircuitBreakerBuilder javadoc: withSuccessThreshold",
        policy=CircuitPolicy(threshold=1, timeout=1.0, half_open_permits=3),
        script="f +1 ? =s ? =f",
        states="OO HHH O",
    ),
    CircuitScenario(
        name="Hystrix trips above its error percentage",
        source=HYSTRIX + "testTripCircuitOnFailuresAboveThreshold, four of eight at 40 percent",
        policy=FORTY_PERCENT,
        script="s s f s f s f f x",
        states="CCCCCCC O O",
    ),
    CircuitScenario(
        name="Hystrix does not trip below its error percentage",
        source=HYSTRIX + "testCircuitDoesNotTripOnFailuresBelowThreshold, three of eight at 40 percent",
        policy=FORTY_PERCENT,
        script="s s f s f s s f s",
        states="CCCCCCCCC",
    ),
    CircuitScenario(
        name="Hystrix does not trip at a low volume",
        source=HYSTRIX + "testLowVolumeDoesNotTripCircuit",
        policy=CircuitPolicy(kind="time", size=5, failure_rate=0.4, min_calls=5),
        script="f f f f",
        states="CCCC",
        failed=4,
    ),
    CircuitScenario(
        name="Hystrix makes a single test after the sleep window",
        source=HYSTRIX + "testSingleTestOnOpenCircuitAfterTimeWindow",
        policy=ALL_FOUR,
        script="f f f f x +2 ? x",
        states="CCC O O O H H",
    ),
    CircuitScenario(
        name="Hystrix forgets the failures when the single test succeeds",
        source=HYSTRIX + "testCircuitClosedAfterSuccess",
        policy=ALL_FOUR,
        script="f f f f +2 ? x =s s f s",
        states="CCC O O HH C CCC",
        calls=3,
        failed=1,
    ),
    CircuitScenario(
        name="Hystrix makes one test per sleep window until one succeeds",
        source=HYSTRIX + "testMultipleTimeWindowRetriesBeforeClosingCircuit",
        policy=ALL_FOUR,
        script="f f f f x +2 ? x =f x x +2 ? x =f x +2 ? x =s s s",
        states="CCC O O O HH OOO O HH OO O HH C CC",
    ),
)

DIFFERS = (
    CircuitScenario(
        name="Polly forgets at the very end of its window",
        source="Polly, RollingHealthMetricsTests: GetHealthInfo_SamplingDurationRespected",
        why="There a window that is over is empty. Ours slides in fiftieths and reaches back up to one "
        "more, so that it never covers less than it says.",
        policy=CircuitPolicy(kind="time", size=10),
        script="watch! f s +10",
        states="MMMM",
        calls=2,
    ),
    CircuitScenario(
        name="Hystrix calls it open during the single test",
        source=HYSTRIX + "testSingleTestOnOpenCircuitAfterTimeWindow, isOpen while the test is out",
        why="Ours has a state of its own for the trial, as resilience4j and Polly have: who reads the state "
        "sees that a call may have passed.",
        policy=ONE_PROBE,
        script="f +1 ?",
        states="OO H",
    ),
)


@rows(SCENARIOS, DIFFERS)
def test_circuit(row: CircuitScenario) -> None:
    row.check()


@dataclass(frozen=True, slots=True, kw_only=True)
class OutcomeScenario(Scenario):
    """How a call ended and what the circuit makes of it, with classes to ignore where the source has them."""

    error: BaseException
    ignored: tuple[type[BaseException], ...] = ()
    failed: int


OUTCOMES = (
    OutcomeScenario(
        name="Polly does not count a cancellation",
        source=POLLY + "Defaults: ShouldHandle",
        error=asyncio.CancelledError(),
        failed=0,
    ),
    OutcomeScenario(
        name="Polly counts any other exception",
        source=POLLY + "Defaults: ShouldHandle",
        error=OSError("down"),
        failed=1,
    ),
    OutcomeScenario(
        name="Hystrix counts a timeout as a failure",
        source=HYSTRIX + "testTripCircuitOnTimeouts",
        error=TimeoutExceededError(limit=1.0),
        failed=1,
    ),
    OutcomeScenario(
        name="resilience4j ignores what it is told to ignore",
        source="resilience4j, CircuitBreakerStateMachineTest: ignoreExceptions of its configuration",
        error=LookupError("the caller's fault"),
        ignored=(LookupError,),
        failed=0,
    ),
)


@rows(OUTCOMES)
def test_outcome(row: OutcomeScenario) -> None:
    def classify(result: object) -> Outcome3:
        return Outcome3.IGNORED if isinstance(result, row.ignored) else Outcome3.FAILURE

    breaker = CircuitBreaker(threshold=9, classify=classify if row.ignored else None, clock=ManualClock())
    recorder = Recorder()
    AtOnce(error=row.error).pipe(circuit_breaker(breaker)).subscribe(recorder)
    assert recorder.error is row.error
    assert breaker.statistics().failed == row.failed
