"""How long to wait before a repeat: the AWS backoff simulator, gRPC and Envoy."""

from __future__ import annotations

import math

from rxorch_operators.engines.backoff import RetryPolicy
from tests.operators.scenarios.backoff_waits import BackoffScenario, schedule
from tests.operators.scenarios.scenario import rows

AWS = "AWS Architecture Blog, aws-arch-backoff-simulator, backoff_simulator.py: "
GRPC = "gRPC proposal A6 (client retries): "
ENVOY = "Envoy, HTTP router filter, x-envoy-max-retries, notes on retries: "

SCENARIOS = (
    BackoffScenario(
        name="AWS exponential",
        source=AWS + "expo and ExpoBackoff, cap of 2000",
        policy=schedule(5.0, 2_000.0),
        waits=(5.0, 10.0, 20.0, 40.0, 80.0, 160.0, 320.0, 640.0, 1_280.0, 2_000.0),
    ),
    BackoffScenario(
        name="AWS equal jitter draws the upper half",
        source=AWS + "ExpoBackoffEqualJitter",
        policy=schedule(8.0, 2_000.0, jitter="equal"),
        draws=(0.0, 0.5, 1.0),
        waits=(4.0, 12.0, 32.0),
    ),
    BackoffScenario(
        name="AWS full jitter draws from zero",
        source=AWS + "ExpoBackoffFullJitter",
        policy=schedule(8.0, 2_000.0, jitter="full"),
        draws=(0.0, 0.25, 0.5, 1.0),
        waits=(0.0, 4.0, 16.0, 64.0),
    ),
    BackoffScenario(
        name="AWS full jitter is capped before the draw",
        source=AWS + "ExpoBackoffFullJitter on a capped expo",
        policy=schedule(8.0, 10.0, jitter="full"),
        draws=(0.5,),
        waits=(4.0, 5.0, 5.0),
    ),
    BackoffScenario(
        name="AWS decorrelated jitter follows the wait before",
        source=AWS + "ExpoBackoffDecorr",
        policy=schedule(4.0, 2_000.0, jitter="decorrelated"),
        draws=(0.5, 0.5, 0.0, 1.0),
        waits=(8.0, 14.0, 4.0, 12.0),
    ),
    BackoffScenario(
        name="AWS decorrelated jitter is capped after the draw",
        source=AWS + "ExpoBackoffDecorr, cap",
        policy=schedule(4.0, 30.0, jitter="decorrelated"),
        draws=(1.0,),
        waits=(12.0, 30.0, 30.0),
    ),
    BackoffScenario(
        name="AWS SDKs make three attempts by default",
        source="AWS SDKs and Tools Reference Guide, Retry behavior: max_attempts in standard mode",
        policy=RetryPolicy(),
        draws=(0.0,),
        waits=(0.0, 0.0, None),
        limit="attempts",
    ),
    BackoffScenario(
        name="gRPC draws from zero up to the capped backoff",
        source=GRPC + "Exponential Backoff",
        policy=schedule(0.25, 1.5, jitter="full"),
        draws=(1.0,),
        waits=(0.25, 0.5, 1.0, 1.5, 1.5),
    ),
    BackoffScenario(
        name="gRPC may draw no wait at all",
        source=GRPC + "Exponential Backoff",
        policy=schedule(0.25, 1.5, jitter="full"),
        draws=(0.0,),
        waits=(0.0, 0.0, 0.0),
    ),
    BackoffScenario(
        name="gRPC counts the original call as an attempt",
        source=GRPC + "Maximum Number of Retries",
        policy=schedule(0.25, 1.5, attempts=4),
        waits=(0.25, 0.5, 1.0, None),
        limit="attempts",
    ),
    BackoffScenario(
        name="gRPC does not retry after the attempts whatever the pushback says",
        source=GRPC + "Pushback, maxAttempts exhausted",
        policy=schedule(0.25, 1.5, attempts=2),
        hints=(None, 0.5),
        waits=(0.25, None),
        limit="attempts",
    ),
    BackoffScenario(
        name="gRPC ends with the deadline whatever the attempts",
        source=GRPC + "Maximum Number of Retries, the call deadline spans all attempts",
        policy=schedule(1.0, 1.0),
        at=(1.0, 4.0, 8.5),
        deadline=9.0,
        waits=(1.0, 1.0, None),
        limit="deadline",
    ),
    BackoffScenario(
        name="Envoy draws the first wait below its base interval",
        source=ENVOY + "25 ms, the first retry",
        policy=schedule(0.025, 0.25, jitter="full"),
        draws=(0.96,),
        waits=(0.024,),
    ),
    BackoffScenario(
        name="Envoy never waits longer than ten base intervals by default",
        source=ENVOY + "maximum interval",
        policy=schedule(0.025, 0.25, jitter="full"),
        draws=(1.0,),
        waits=(0.025, 0.05, 0.1, 0.2, 0.25, 0.25),
    ),
    BackoffScenario(
        name="Envoy leaves a retry what the first attempt left of the time",
        source=ENVOY + "the route timeout includes all retries, 3 s and a first attempt of 2.7 s",
        policy=schedule(0.2, 0.2),
        at=(2.7,),
        deadline=3.0,
        waits=(0.2,),
    ),
    BackoffScenario(
        name="Envoy falls back to its own backoff when a header does not parse",
        source=ENVOY + "rate limited retry back off",
        policy=schedule(1.0, 9.0),
        hints=(math.nan, math.nan),
        waits=(1.0, 2.0),
    ),
)

DIFFERS = (
    BackoffScenario(
        name="AWS simulator begins at twice the base",
        source=AWS + "OccClient.write_rsp, the first failure asks for backoff(1)",
        why="`base` is documented as the first wait before jitter, so ours numbers the repeats from zero.",
        policy=schedule(5.0, 2_000.0),
        waits=(5.0, 10.0, 20.0),
    ),
    BackoffScenario(
        name="gRPC waits exactly the pushback",
        source=GRPC + "Pushback, retried after exactly that delay",
        why="As with Polly: exactly is all at once.",
        policy=schedule(0.25, 1.5),
        draws=(0.5,),
        hints=(2.0,),
        waits=(2.11,),
    ),
    BackoffScenario(
        name="gRPC begins its backoff anew after a pushback",
        source=GRPC + "Pushback, subsequent retries start at initialBackoff",
        why="Ours counts failures: two attempts have failed when the third wait is worked out, whoever "
        "chose the wait between them.",
        policy=schedule(0.25, 1.5),
        draws=(1.0,),
        hints=(None, 2.0, None),
        waits=(0.25, 2.02, 1.0),
    ),
    BackoffScenario(
        name="gRPC takes a negative pushback as a ban",
        source=GRPC + "Pushback, negative or unparseable means not to retry",
        why="Ours reads HTTP hints, where a past reset is an expired limit. Not to retry is said by "
        "`retry_if`.",
        policy=schedule(0.25, 1.5),
        draws=(1.0,),
        hints=(-1.0,),
        waits=(0.01,),
    ),
    BackoffScenario(
        name="Envoy widens by the powers of two less one",
        source=ENVOY + "range [0, (2^N-1)B): 25, 75, 175 ms",
        why="Ours doubles: base, 2 base, 4 base, the formula of the AWS Architecture Blog.",
        policy=schedule(0.025, 0.25, jitter="full"),
        draws=(1.0,),
        waits=(0.025, 0.05, 0.1),
    ),
)


@rows(SCENARIOS, DIFFERS)
def test_waits(row: BackoffScenario) -> None:
    row.check()
