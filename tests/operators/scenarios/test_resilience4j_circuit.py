"""The circuit breaker of resilience4j: windows, rates, trials and the states set by hand."""

from __future__ import annotations

from rxorch_operators.engines.circuit import CircuitPolicy
from tests.operators.scenarios.circuit_script import CircuitScenario
from tests.operators.scenarios.scenario import rows

TESTS = "resilience4j, CircuitBreakerStateMachineTest: "
CONFIG = "resilience4j, CircuitBreakerConfig javadoc: "
WINDOW = "resilience4j, SlidingTimeWindowMetricsTest: "

BY_COUNT = CircuitPolicy(kind="count", size=4, min_calls=4, slow_call_duration=4.0)
BY_TIME = CircuitPolicy(
    kind="time",
    size=5,
    min_calls=5,
    slow_call_duration=4.0,
    slow_call_rate=0.5,
    timeout=5.0,
    half_open_permits=4,
)
LONGER = CircuitPolicy(
    kind="time",
    size=30,
    min_calls=5,
    slow_call_duration=4.0,
    slow_call_rate=0.5,
    timeout=5.0,
    half_open_permits=4,
)
TRIED_ONE_BY_ONE = CircuitPolicy(threshold=1, timeout=5.0, half_open_permits=1)

ON_TRIAL = "f f f f f +5 "  # BY_TIME opens with the fifth, and its wait ends
TO_TRIAL = "CCCC O O "

SCENARIOS = (
    CircuitScenario(
        name="no rate is judged before the minimum number of calls",
        source=CONFIG + "slidingWindow, minimumNumberOfCalls 10 and nine failures",
        policy=CircuitPolicy(kind="count", size=10, min_calls=10),
        script="f f f f f f f f f f",
        states="CCCCCCCCC O",
    ),
    CircuitScenario(
        name="a time window may ask for more calls than it has seconds",
        source=CONFIG + "slidingWindow, minimumNumberOfCalls of a TIME_BASED window",
        policy=CircuitPolicy(kind="time", size=5, min_calls=8),
        script="f f f f f f f f",
        states="CCCCCCC O",
    ),
    CircuitScenario(
        name="a failure rate equal to the threshold opens",
        source=CONFIG + "failureRateThreshold",
        policy=BY_COUNT,
        script="f s s f x",
        states="CCC O O",
    ),
    CircuitScenario(
        name="a failure rate below the threshold does not open",
        source=CONFIG + "failureRateThreshold",
        policy=BY_COUNT,
        script="f s s s f s s s",
        states="CCCC CCCC",
        failed=1,
    ),
    CircuitScenario(
        name="a success may be the call that opens",
        source=TESTS + "shouldOpenAfterFailureRateThresholdExceeded",
        policy=BY_TIME,
        script="f f f s s",
        states="CCCC O",
    ),
    CircuitScenario(
        name="the figures that opened it stay readable while open and refusals are counted",
        source=TESTS + "shouldOpenAfterFailureRateThresholdExceeded, the metrics at its end",
        policy=BY_TIME,
        script="f f f s s x x",
        states="CCCC OOO",
        calls=5,
        failed=3,
        refused=2,
    ),
    CircuitScenario(
        name="failures spread over a time window add up",
        source=TESTS + "shouldOpenAfterFailureRateThresholdExceeded2",
        policy=LONGER,
        script="s +1 s +1 s +1 f +1 f +1 f",
        states="CC CC CC CC CC O",
        calls=6,
        failed=3,
    ),
    CircuitScenario(
        name="a time window forgets what is older than itself",
        source=WINDOW + "shouldClearSlidingTimeWindowMetrics, testSlidingTimeWindowMetrics",
        policy=BY_TIME,
        script="watch! f +4 s +2 s",
        states="MMMMMM",
        calls=2,
        failed=0,
    ),
    CircuitScenario(
        name="a time window keeps what is within its seconds",
        source=WINDOW + "shouldClearSlidingTimeWindowMetrics, three calls in the first second, read at 4.8 s",
        policy=BY_TIME,
        script="watch! f +0.1 s +0.7 s +4",
        states="MMMMMMM",
        calls=3,
        failed=1,
    ),
    CircuitScenario(
        name="a count window keeps the last calls only",
        source="resilience4j, CircuitBreakerMetricsTest: more calls than the ring holds",
        policy=CircuitPolicy(kind="count", size=5, min_calls=5),
        script="watch! s f f f s s s",
        states="MMMMMMMM",
        calls=5,
        failed=2,
    ),
    CircuitScenario(
        name="slow successes open like failures",
        source=TESTS + "shouldOpenAfterSlowCallRateThresholdExceededUsingMockClock",
        policy=LONGER,
        script="s:6 s:6 s:2 s:2 s:6",
        states="CCCC O",
        calls=5,
        failed=0,
        slow=3,
    ),
    CircuitScenario(
        name="a call of exactly the threshold is not slow",
        source=CONFIG + "slowCallDurationThreshold, calls above it are slow",
        policy=BY_COUNT,
        script="s:4 s:4 s:4 s:4",
        states="CCCC",
        calls=4,
        slow=0,
    ),
    CircuitScenario(
        name="a slow call rate equal to the threshold opens",
        source=CONFIG + "slowCallRateThreshold",
        policy=CircuitPolicy(kind="count", size=4, min_calls=4, slow_call_duration=4.0, slow_call_rate=0.5),
        script="s:5 s:5 s:1 s:1",
        states="CCC O",
    ),
    CircuitScenario(
        name="by default all calls have to be slow",
        source=CONFIG + "slowCallRateThreshold, default of 100 percent",
        policy=BY_COUNT,
        script="s:5 s:5 s:5 s:1 s:5 s:5 s:5 s:5",
        states="CCCCCCC O",
    ),
    CircuitScenario(
        name="a slow failure counts as slow and as failed",
        source=WINDOW + "testSlowCallsPercentage",
        policy=CircuitPolicy(kind="count", size=5, min_calls=5, slow_call_duration=4.0),
        script="watch! s:9 f:9 s:1 s:1 s:1",
        states="MMMMMM",
        calls=5,
        failed=1,
        slow=2,
    ),
    CircuitScenario(
        name="open refuses until its wait is over and the first call after it is a trial",
        source=TESTS + "shouldTransitionToHalfOpenAfterWaitDuration",
        policy=TRIED_ONE_BY_ONE,
        script="f x +3 x +3 ?",
        states="O OOOO H",
        refused=2,
    ),
    CircuitScenario(
        name="the wait may grow with every opening",
        source=TESTS + "shouldTransitionToHalfOpenAfterWaitInterval, 5 s and then half as much again",
        policy=CircuitPolicy(threshold=1, timeout=5.0, growth=1.5, half_open_permits=1),
        script="f +4 x +1 ? =f +6 x +1.5 ?",
        states="OOOO H OOOO H",
    ),
    CircuitScenario(
        name="half open lets only the permitted number through",
        source=TESTS + "shouldOnlyPermitFourCallsInHalfOpenState",
        policy=BY_TIME,
        script=ON_TRIAL + "? ? ? ? x x",
        states=TO_TRIAL + "HHHHHH",
        refused=2,
    ),
    CircuitScenario(
        name="a permit given back may be taken again",
        source=TESTS + "shouldIncreaseCounterOnReleasePermission",
        policy=BY_TIME,
        script=ON_TRIAL + "? ? ? ? x =i ? x",
        states=TO_TRIAL + "HHHH HHHH",
    ),
    CircuitScenario(
        name="one failure of four trials closes it with empty counters",
        source=TESTS + "shouldTransitionBackToClosedStateWhenFailureIsBelowThreshold",
        policy=BY_TIME,
        script=ON_TRIAL + "? =f ? =s ? =s ? =s s",
        states=TO_TRIAL + "HHHHHHH C C",
        calls=1,
        failed=0,
    ),
    CircuitScenario(
        name="an ignored trial counts for nothing and gives its permit back",
        source=TESTS + "shouldReleasePermissionWhenExceptionIgnored",
        policy=BY_TIME,
        script=ON_TRIAL + "? =s ? =s ? =s ? =i ? =f",
        states=TO_TRIAL + "HHHHHHHHH C",
    ),
    CircuitScenario(
        name="ignored trials do not use up the trial",
        source=TESTS + "shouldIgnoreExceptionsAndThenTransitionToClosed",
        policy=BY_TIME,
        script=ON_TRIAL + "? =i ? =i ? =i ? =i ? =s ? =s ? =s ? =s",
        states=TO_TRIAL + "HHHHHHHH HHHHHHH C",
    ),
    CircuitScenario(
        name="disabled lets everything through and counts nothing",
        source=TESTS + "shouldDisableCircuitBreaker",
        policy=BY_TIME,
        script="off! s f f f f f",
        states="DDDDDDD",
        calls=0,
        failed=0,
    ),
    CircuitScenario(
        name="forced open outlasts the wait",
        source=TESTS + "shouldForceOpenCircuitBreaker",
        policy=BY_TIME,
        script="open! x +6 x",
        states="FFFF",
        calls=0,
        refused=2,
    ),
    CircuitScenario(
        name="metrics only counts and never opens",
        source=TESTS + "shouldRecordMetricsInMetricsOnlyState",
        policy=BY_TIME,
        script="watch! f f f s s f",
        states="MMMMMMM",
        calls=6,
        failed=4,
        refused=0,
    ),
    CircuitScenario(
        name="metrics only begins with empty counters",
        source=TESTS + "shouldResetMetricsAfterMetricsOnlyStateTransition",
        policy=BY_TIME,
        script="s f s watch!",
        states="CCC M",
        calls=0,
        failed=0,
    ),
    CircuitScenario(
        name="reset closes an open circuit",
        source=TESTS + "shouldResetToClosedState",
        policy=BY_TIME,
        script="f f f f f x reset! s",
        states="CCCC OO C C",
        calls=1,
    ),
    CircuitScenario(
        name="reset empties the counters of a closed circuit",
        source=TESTS + "shouldResetMetrics, shouldResetClosedState",
        policy=BY_TIME,
        script="s f s reset!",
        states="CCCC",
        calls=0,
        failed=0,
        changes=0,
    ),
    CircuitScenario(
        name="entering the state it is in already is no change",
        source=TESTS + "circuitBreakerDoesNotPublishStateTransitionEventsForInternalTransitions",
        policy=BY_TIME,
        script="open! open! off! off! watch! watch! reset! reset!",
        states="FF DD MM CC",
        changes=4,
    ),
)

DIFFERS = (
    CircuitScenario(
        name="trials are judged as soon as they cannot be saved",
        source=TESTS + "shouldTransitionBackToOpenStateWhenFailureRateIsAboveThreshold",
        why="There it opens with the last of four trials. Two failures are half of all four whatever the "
        "others bring, so ours opens with the second and spares the other side two calls.",
        policy=BY_TIME,
        script=ON_TRIAL + "? =f ? =f",
        states=TO_TRIAL + "HHH O",
    ),
    CircuitScenario(
        name="slow trials are judged as soon as they cannot be saved",
        source=TESTS + "shouldTransitionBackToOpenStateWhenSlowCallRateIsAboveThreshold",
        why="As above, for slow calls.",
        policy=BY_TIME,
        script=ON_TRIAL + "? ? ? ? +5 =s =s",
        states=TO_TRIAL + "HHHHH H O",
    ),
    CircuitScenario(
        name="a time window reaches back one part more than its length",
        source=WINDOW + "shouldClearSlidingTimeWindowMetrics, empty one second after the window ends",
        why="There the window is cut into seconds. Ours slides in fiftieths, and the part under way is not "
        "full yet: counts reach back at least the whole window and up to a fiftieth more.",
        policy=BY_TIME,
        script="watch! f +5",
        states="MMM",
        calls=1,
    ),
    CircuitScenario(
        name="no timer moves an open circuit",
        source="resilience4j, CircuitBreakerAutoTransitionStateMachineTest: testAutoTransition",
        why="There an option makes it half-open by a timer. Ours has none: it stays open until somebody "
        "tries, so an idle breaker owns no timer; `retry_after` tells that a call may pass.",
        policy=CircuitPolicy(threshold=1, timeout=2.0),
        script="f +2 +100",
        states="OOO",
        retry_after=0.0,
    ),
    CircuitScenario(
        name="a trial that hangs loses its permit and not the trial",
        source=TESTS + "circuitBreakerTransitionsToOpenAfterWaitDurationInHalfOpenState",
        why="There the whole half-open state has a longest time and falls back to open. Ours leases each "
        "permit, so another call may try at once, and what the late one says counts for nothing.",
        policy=CircuitPolicy(threshold=1, timeout=5.0, half_open_permits=1, lease=1.0),
        script="f +5 ? x +2 ? =s =s",
        states="O O HHHH H C",
    ),
    CircuitScenario(
        name="trials that never end do not wedge it by default",
        source=CONFIG + "maxWaitDurationInHalfOpenState, without it half-open waits for all its calls",
        why="A call that never ends would keep the circuit half-open for ever; a permit lasts 30 s by "
        "default.",
        policy=CircuitPolicy(threshold=1, timeout=5.0, half_open_permits=1),
        script="f +5 ? x +29 x +1 ?",
        states="O O H H HHHH",
    ),
)


@rows(SCENARIOS, DIFFERS)
def test_circuit(row: CircuitScenario) -> None:
    row.check()
