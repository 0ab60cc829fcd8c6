"""Recorded calls under another policy."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rxorch.endpoint import APIEndpoint
from rxorch.errors import ApiConfigurationError
from rxorch.lab import Comparison, Policy, Tape, TapedAttempt, TapedCall, whatif
from tests.lab.recorded import Plan, config, recorded

NO_CIRCUIT = Policy(circuit_breaker_threshold=None, retry_budget=False)


def one_in_four(_: float, number: int) -> tuple[float, int]:
    return 0.05, 503 if number % 4 == 0 else 200


def figures(found: Comparison, name: str) -> tuple[int, int, int]:
    its = found[name].figures
    return its.ok, its.requests, its.guessed


@pytest.mark.parametrize(
    "plan",
    [one_in_four, lambda at, _: (0.2, 503 if 10 < at < 20 else 200), lambda _, number: (number % 7, 200)],
)
def test_the_replay_of_the_same_policy_is_what_was_recorded(plan: Plan) -> None:
    given = config(retry_count=2, retry_delay=0.3, retry_jitter="none", timeout=3.0)

    found = whatif(recorded(given, plan), Policy(retry_count=2, retry_delay=0.3), flow=given)

    was, replayed = found.recorded, found["as it was"].figures
    assert (replayed.ok, replayed.requests, replayed.guessed) == (was.ok, was.requests, 0)
    assert replayed.durations == pytest.approx(was.durations)


def test_more_attempts_cost_requests_and_gain_values() -> None:
    given = config(retry_count=0)
    found = whatif(
        recorded(given, one_in_four),
        {"never": Policy(retry_count=0), "patient": Policy(retry_count=5, retry_delay=0.1)},
        flow=given,
        price={"user": 2.0},
    )

    assert figures(found, "recorded") == figures(found, "never") == (30, 40, 0)
    ok, requests, guessed = figures(found, "patient")
    assert ok == 40
    assert requests == 40 + guessed >= 50
    assert found["patient"].figures.cost == 2.0 * requests
    assert found["patient"].worst is not None
    assert found["patient"].worst["user"].requests == 6


@pytest.mark.parametrize("key", ["order-{order}", lambda data: data["order"]])
def test_a_key_made_of_data_needs_no_data(key: Any) -> None:
    given = config(retry_count=2, retry_delay=0.1, retry_jitter="none")
    kept = APIEndpoint(
        name="user",
        url="https://api.example.com/users",
        method="POST",
        idempotency_key=key,
        retry_count=2,
        retry_delay=0.1,
        retry_jitter="none",
    )
    found = whatif(recorded(given, one_in_four), {"again": NO_CIRCUIT}, flow=kept)
    assert figures(found, "again") == figures(found, "recorded")


def test_a_time_limit_cuts_what_took_longer() -> None:
    given = config(retry_count=0, timeout=None)
    slow = recorded(given, lambda _, number: (5.0 if number % 2 else 0.1, 200))

    found = whatif(slow, Policy(timeout=1.0), flow=given)

    assert found["what if"].figures.ok == 20
    assert max(found["what if"].figures.durations) == pytest.approx(0.1)


def test_more_time_for_what_was_cut_is_a_guess() -> None:
    given = config(retry_count=0, timeout=1.0)
    slow = recorded(given, lambda _, number: (5.0 if number % 2 else 0.1, 200))

    found = whatif(slow, Policy(timeout=10.0), flow=given)

    its = found["what if"].figures
    assert (its.ok, its.guessed) == (20, 20), "nothing recorded took longer than what was cut"
    assert "50% of the answers are guesses" in found.text()


def test_a_circuit_spares_requests() -> None:
    given = config(retry_count=0)
    found = whatif(
        recorded(given, lambda at, _: (0.1, 503 if at > 10 else 200)),
        Policy(circuit_breaker_threshold=3, circuit_breaker_timeout=10.0),
        flow=given,
    )

    ok, requests, _ = figures(found, "what if")
    assert ok == figures(found, "recorded")[0]
    assert requests < 20 < figures(found, "recorded")[1]


def test_a_rate_limit_makes_calls_wait() -> None:
    given = config(retry_count=0)
    found = whatif(
        recorded(given, lambda _, __: (0.0, 200), calls=20, every=0.1),
        Policy(rate_limit=1, rate_limit_window=1.0),
        flow=given,
    )
    assert found["what if"].figures.durations[-1] == pytest.approx(19 - 1.9)


def test_one_endpoint_alone_is_changed() -> None:
    tape = Tape(
        tuple(
            TapedCall(name, at, 0.1, False, (TapedAttempt(at, 0.1, "network", sent=False),))
            for at in (0.0, 5.0)
            for name in ("user", "posts")
        )
    )
    found = whatif(tape, Policy(retry_count=0, endpoints={"posts": Policy(retry_count=3)}))

    its = found["what if"].worst
    assert its is not None
    assert {name: worst.requests for name, worst in its.items()} == {"user": 1, "posts": 4}
    assert "\nposts\n" in found.text()


def test_the_same_seed_gives_the_same_figures() -> None:
    given = config(retry_count=0)
    events = recorded(given, lambda _, number: (0.01 * (number % 9), 503 if number % 3 else 200))
    policy = Policy(retry_count=2)

    one, two, other = (whatif(events, policy, flow=given, seed=seed) for seed in (1, 1, 2))

    assert one.as_dict() == two.as_dict() != other.as_dict()
    assert one.svg() == two.svg()


def test_answers_of_a_cache_stay() -> None:
    tape = Tape((TapedCall("user", 0.0, 0.0, True, fixed=True), TapedCall("user", 1.0, 0.0, False)))

    found = whatif(tape, Policy(retry_count=0))

    assert figures(found, "what if") == (1, 0, 1), "what a circuit refused then is refused, for all we know"


@pytest.mark.parametrize(
    ("policy", "told"),
    [
        ({}, "policy: give a Policy"),
        ({"recorded": Policy()}, "policy: 'recorded' has to be"),
        ({"a": 7}, "policy: 'a' has to be"),
        (Policy(timeout=-1.0), "policy: timeout"),
        (Policy(retry_count="many"), "policy: retry_count"),  # type: ignore[arg-type]
        (Policy(circuit_breaker_threshold=0), "policy: circuit_breaker_threshold"),
        (Policy(endpoints={"nobody": Policy()}), "endpoints: 'nobody' was not called; there are user"),
    ],
)
def test_policies_that_cannot_be(policy: Any, told: str) -> None:
    tape = Tape((TapedCall("user", 0.0, 0.1, True, (TapedAttempt(0.0, 0.1, "ok", 200),)),))
    with pytest.raises(ApiConfigurationError, match=told):
        whatif(tape, policy)


@pytest.mark.parametrize("own", [Policy(retry_budget=False), Policy(endpoints={}, global_rate_limit=1), 7])
def test_what_holds_for_all_is_not_said_of_one(own: Any) -> None:
    with pytest.raises(ApiConfigurationError, match="'user' needs a Policy of its own"):
        Policy(endpoints={"user": own})


@pytest.mark.parametrize("price", [-1.0, math.inf, True, "much", {"user": None}])
def test_prices_that_cannot_be(price: Any) -> None:
    tape = Tape((TapedCall("user", 0.0, 0.1, True, (TapedAttempt(0.0, 0.1, "ok", 200),)),))
    with pytest.raises(ApiConfigurationError, match="price: give a number"):
        whatif(tape, NO_CIRCUIT, price=price)


attempts = st.builds(
    TapedAttempt,
    at=st.floats(0, 100),
    duration=st.floats(0, 10),
    kind=st.sampled_from(["ok", "status", "network", "unreadable", "cut"]),
    status=st.sampled_from([404, 429, 500, 503]),
    retry_after=st.none() | st.floats(0, 5),
    sent=st.booleans(),
)
calls = st.builds(
    TapedCall,
    endpoint=st.sampled_from(["user", "posts"]),
    at=st.floats(0, 100),
    duration=st.floats(0, 20),
    ok=st.booleans(),
    attempts=st.lists(attempts, max_size=3).map(tuple),
)
policies = st.builds(
    Policy,
    retry_count=st.integers(0, 4),
    timeout=st.none() | st.floats(0.1, 5),
    total_timeout=st.none() | st.floats(0.1, 20),
    circuit_breaker_threshold=st.none() | st.integers(1, 5),
    rate_limit=st.none() | st.integers(1, 5),
    rate_limit_window=st.floats(0.1, 5),
)


@settings(max_examples=50, deadline=None)
@given(st.lists(calls, min_size=1, max_size=12), policies)
def test_whatever_was_recorded_every_call_ends_within_its_worst_case(
    made: list[TapedCall], policy: Policy
) -> None:
    tape = Tape(tuple(sorted(made, key=lambda call: call.at)))

    side = whatif(tape, policy)["what if"]

    assert side.worst is not None
    assert side.figures.calls == len(made)
    for name, its in side.endpoints.items():
        worst = side.worst[name]
        assert its.ok <= its.calls
        assert its.requests <= its.calls * worst.requests
        if policy.rate_limit is None:  # which others use up, too
            assert max(its.durations, default=0.0) <= worst.seconds + 1e-6
