"""What a worst case says in numbers, words and JSON."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest

from rxorch import (
    ApiConfigurationError,
    APIOrchestrationConfig,
    APIOrchestrator,
    conditional,
    parallel,
    sequential,
)
from rxorch.worst_case import worst_case
from rxorch_operators import RateLimiter, RetryPolicy
from tests.support.fake_transport import api, apis
from tests.worst_case.judged import codes, judged


def test_what_has_no_limit_is_infinite_and_says_which_field_to_set() -> None:
    case = judged(api("a", timeout=None), api("s", stream="sse"), total_timeout=None)
    assert math.isinf(case.seconds) and math.isinf(case.requests)
    assert [each.missing for each in case.endpoints] == ["timeout", "total_timeout"]
    assert "'a' has no limit of its own: set timeout" in case.text()
    assert codes(case)[:3] == ["no-timeout", "amplification", "no-total-timeout"]
    assert judged(api("a", timeout=None)).seconds == 300.0


def test_the_total_timeout_of_a_call_and_of_the_run_cap_the_seconds() -> None:
    call = judged(api("a", total_timeout=12.0))
    assert (call.seconds, call.endpoints[0].held_by) == (12.0, "total_timeout 12 s")
    run = judged(*apis("abcd"), total_timeout=100.0)
    assert (run.seconds, run.needed) == (100.0, 360.0)
    assert "total_timeout ends the run after 100 s; it could take 360 s" in run.text()


def test_of_a_choice_the_dearer_side_counts() -> None:
    flow = conditional(bool, then=api("a", retry_count=0), otherwise=parallel(*apis("bc", retry_count=1)))
    case = worst_case(flow)
    assert (case.requests, case.usual_requests, case.amplification) == (4, 2, 2.0)


def test_the_retry_budget_bounds_what_many_inputs_cost() -> None:
    assert judged(api("a", retry_count=4)).under_load == pytest.approx(1.2)
    assert judged(api("a", retry_count=4), retry_budget=False).under_load is None
    assert judged(api("a", retry_count=0)).under_load == 1.0


def test_limits_that_calls_share_add_up() -> None:
    shared = RateLimiter(1, 10.0, burst=1)
    policy = RetryPolicy(max_attempts=1, max_hint=0.0)
    case = judged(*apis("abc", timeout=1.0, rate_limiter=shared, retry=policy), mode="parallel")
    assert case.seconds == 1.0 + 20.0


@pytest.mark.parametrize("place", ["own", "shared"])
@pytest.mark.parametrize(
    ("cost", "queue"),
    [(1, 0.0), (0, 0.0), (4, 2.0), (lambda data: 1, 3 * 10 - 10), (lambda data, context: 1, 3 * 10 - 10)],
)
def test_what_a_call_costs_makes_the_next_ones_wait(place: str, cost: Any, queue: float) -> None:
    limits: dict[str, Any] = {"rate_limit": 10, "rate_limit_window": 10.0, "burst_limit": 10}
    if place == "shared":
        limits = {"rate_limiter": RateLimiter(10, 10.0, burst=10)}
    policy = RetryPolicy(max_attempts=3, base=0.0, max_hint=0.0, max_elapsed=None)
    case = judged(api("a", timeout=1.0, retry=policy, rate_cost=cost, **limits))
    alone = judged(api("a", timeout=1.0, retry=policy))
    assert case.seconds == pytest.approx(alone.seconds + queue)


def test_endless_requests_that_cost_nothing_wait_for_nothing() -> None:
    case = judged(api("a", stream="sse", rate_cost=0, rate_limiter=RateLimiter(1)), total_timeout=60.0)
    assert case.seconds == 60.0 and math.isinf(case.needed)


def test_an_empty_flow_costs_nothing() -> None:
    case = judged()
    assert (case.requests, case.seconds, case.amplification, case.findings) == (0, 0.0, 1.0, ())
    assert case.text().startswith("worst case for one input: 0 requests, 0 s")


def test_as_dict_is_fit_for_json() -> None:
    told = json.loads(
        json.dumps(judged(api("a", timeout=None), total_timeout=None).as_dict(), allow_nan=False)
    )
    assert told["seconds"] is None and told["requests"] == 3
    assert told["endpoints"][0]["missing"] == "timeout"
    assert told["findings"][0]["code"] == "no-timeout"


def test_config_flow_endpoint_and_orchestrator_are_judged_alike() -> None:
    endpoint = api("a")
    config = APIOrchestrationConfig(endpoints=[endpoint])
    kinds = (endpoint, sequential(endpoint), config, APIOrchestrator(config))
    assert {worst_case(kind).text() for kind in kinds} == {worst_case(config).text()}
    with pytest.raises(ApiConfigurationError, match="not str"):
        worst_case("flow")  # type: ignore[arg-type]
