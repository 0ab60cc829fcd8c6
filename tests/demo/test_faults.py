"""The plan of faults: repeatable, independent of order, at the configured rates."""

from __future__ import annotations

from collections import Counter
from statistics import median

import pytest

from rxorch.demo.shop.faults import Faults, Outage, Plan, plan, request_key


def plans(faults: Faults, *, seed: int = 1, service: str = "users", count: int = 4000) -> list[Plan]:
    return [plan(seed, faults, service, f"GET /users/{number} ", 0) for number in range(count)]


def test_the_same_request_meets_the_same_fault_whatever_came_before_it() -> None:
    forward = {number: plan(1, Faults(), "users", str(number), 0) for number in range(500)}
    backward = {number: plan(1, Faults(), "users", str(number), 0) for number in reversed(range(500))}
    assert forward == backward


@pytest.mark.parametrize(
    ("seed", "service", "key", "seen"),
    [(2, "users", "k", 0), (1, "x", "k", 0), (1, "users", "l", 0), (1, "users", "k", 1)],
)
def test_seed_service_key_and_repetition_each_change_the_plan(
    seed: int, service: str, key: str, seen: int
) -> None:
    assert plan(seed, Faults(), service, key, seen) != plan(1, Faults(), "users", "k", 0)


def test_rates_are_met() -> None:
    faults = Faults(unavailable=0.2, rate_limited=0.1, reset=0.05, timeout=0.05, slow=0.1)
    kinds = Counter(each.fault for each in plans(faults))
    expected = {"503": 800, "429": 400, "reset": 200, "timeout": 200, "slow": 400, "": 2000}
    assert kinds.keys() == expected.keys()
    for kind, count in expected.items():
        assert abs(kinds[kind] - count) < 5 * count**0.5, kind


def test_half_of_the_faults_without_answer_have_their_effect() -> None:
    with_effect = sum(each.effect_first for each in plans(Faults.none()))
    assert 1800 < with_effect < 2200


def test_latency_is_log_normal_around_its_median() -> None:
    delays = sorted(each.delay for each in plans(Faults(latency=0.01, spread=0.5, slow=0)))
    assert median(delays) == pytest.approx(0.01, rel=0.05)
    # exp(0.5) is one sigma up: 84.1 % of a normal distribution lie below.
    assert delays[int(len(delays) * 0.841)] == pytest.approx(0.01 * 2.718281828**0.5, rel=0.05)


def test_slow_answers_are_slower_than_asked_but_not_by_much() -> None:
    delays = [
        each.delay
        for each in plans(Faults(slow=1, slow_seconds=2, unavailable=0, rate_limited=0, reset=0, timeout=0))
    ]
    assert min(delays) >= 2
    assert max(delays) <= 2.5


def test_no_faults_means_none() -> None:
    assert set(plans(Faults.none(latency=0.5))) <= {Plan("", 0.5, True), Plan("", 0.5, False)}


def test_an_outage_hits_its_orders_at_its_service_only() -> None:
    faults = Faults(outage=Outage(service="fraud", first=3, last=5))
    hit = [
        (service, number)
        for service in ("fraud", "users")
        for number in range(10)
        if plan(1, faults, service, "k", 0, f"order-{number:06d}").fault == "outage"
    ]
    assert hit == [("fraud", 3), ("fraud", 4), ("fraud", 5)]
    assert plan(1, faults, "fraud", "k", 0, "").fault != "outage"


def test_the_key_names_the_order_or_else_the_idempotency_key() -> None:
    headers = {"X-Order-Id": "order-1", "Idempotency-Key": "a"}
    assert request_key("POST", "/charges", headers) == "POST /charges order-1"
    assert request_key("POST", "/charges", {"Idempotency-Key": "a"}) == "POST /charges a"
    assert request_key("POST", "/charges", {}) == "POST /charges "


def test_faults_survive_json() -> None:
    faults = Faults(reset=0.25, outage=Outage(service="fraud", first=1, last=2))
    assert Faults.from_json(faults.to_json()) == faults
    assert Faults.from_json("{}") == Faults()


@pytest.mark.parametrize("text", ['{"reset": -1}', '{"reset": 0.7, "timeout": 0.7}', '{"reset": NaN}'])
def test_impossible_rates_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"at least 0|more than 1"):
        Faults.from_json(text)
