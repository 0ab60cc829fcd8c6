"""The worst case: a bound that no run exceeds and that a bad server reaches, and findings that are right."""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import Callable
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rxorch import (
    ApiConfigurationError,
    APIEndpoint,
    APIOrchestrationConfig,
    APIOrchestrator,
    conditional,
    graph,
    parallel,
    sequential,
)
from rxorch.endpoint.auth import BearerAuth
from rxorch.endpoint.redirects import RedirectPolicy
from rxorch.flow import Flow
from rxorch.http import Request, Response
from rxorch.worst_case import WorstCase, worst_case
from rxorch_operators import RateLimiter, RetryPolicy
from rxorch_operators.testing import run_virtual
from tests.support.fake_transport import FakeTransport, api, apis, reply


class Cruel(FakeTransport):
    """A transport that answers as it is told, after so many virtual seconds, and counts."""

    def __init__(self, failing: Callable[[Request, int], Response | None], lag: Callable[[], float]) -> None:
        super().__init__()
        self.failing = failing
        self.lag = lag
        self.sent: dict[str, int] = {}

    @property
    def requests(self) -> int:
        return sum(self.sent.values())

    async def send(self, request: Request) -> Response:
        name = request.endpoint or ""
        self.sent[name] = count = self.sent.get(name, 0) + 1
        request.sent = True
        await asyncio.sleep(self.lag())
        return self.failing(request, count) or reply(200, {})


def refusing(bound: WorstCase, headers: dict[str, str] | None = None) -> Callable[[Request, int], Any]:
    """503 to all but the last request that the bound allows."""
    most = {each.name: each.requests for each in bound.endpoints}
    return lambda request, count: (
        reply(503, headers=headers) if count < most[request.endpoint or ""] else None
    )


def measured(flow: Any, transport: Cruel, **more: Any) -> float:
    """Virtual seconds of one run."""

    async def run() -> float:
        loop = asyncio.get_running_loop()
        began = loop.time()
        with_settings = {"retry_budget": False, "circuit_breaker_threshold": None, "total_timeout": None}
        orchestrator = APIOrchestrator(flow, transport=transport, **(with_settings | more))
        await orchestrator.execute({"id": 7})
        return loop.time() - began

    return run_virtual(run())


def judged(*endpoints: Any, **more: Any) -> WorstCase:
    return worst_case(APIOrchestrationConfig(endpoints=endpoints, **more))


def codes(case: WorstCase) -> list[str]:
    return [finding.code for finding in case.findings]


# -- the bound against real runs -----------------------------------------------------------------------

FIXED = RetryPolicy(max_attempts=3, base=2.0, factor=2.0, jitter="none", max_elapsed=None, max_hint=0.0)


def test_one_endpoint_reaches_its_bound_in_requests_and_seconds() -> None:
    endpoint = api("a", timeout=5.0, retry=FIXED)
    bound = judged(endpoint, total_timeout=None)
    transport = Cruel(refusing(bound), lambda: 5.0 - 1e-6)
    seconds = measured(endpoint, transport)
    assert transport.requests == bound.requests == 3
    assert seconds == pytest.approx(bound.seconds, abs=1e-4) == 21.0


def test_a_hint_is_the_longest_wait() -> None:
    endpoint = api("a", timeout=1.0, retry=RetryPolicy(max_attempts=3, max_elapsed=None, max_hint=30.0))
    bound = judged(endpoint, total_timeout=None)
    transport = Cruel(refusing(bound, {"Retry-After": "30"}), lambda: 1.0 - 1e-6)
    seconds = measured(endpoint, transport)
    assert bound.seconds == 3 * 1.0 + 2 * 33.0
    assert 63.0 <= seconds <= bound.seconds


def test_the_last_attempt_begins_before_max_elapsed_and_may_take_its_time() -> None:
    endpoint = api("a", timeout=40.0, retry_count=5)
    bound = judged(endpoint, total_timeout=None)
    transport = Cruel(lambda request, count: reply(503), iter([39.9, 18.0, 39.9, *[1.0] * 9]).__next__)
    seconds = measured(endpoint, transport)
    assert bound.seconds == 60.0 + 40.0 and bound.endpoints[0].held_by == "max_elapsed 60 s"
    assert seconds <= bound.seconds


def test_redirects_multiply_each_attempt() -> None:
    endpoint = api("a", timeout=2.0, retry=FIXED, follow_redirects=RedirectPolicy(max_hops=2))
    bound = judged(endpoint, total_timeout=None)

    def hop(request: Request, count: int) -> Response:
        return reply(503) if count % 3 == 0 else reply(302, headers={"Location": f"/{count}"})

    transport = Cruel(hop, lambda: 2.0 - 1e-6)
    seconds = measured(endpoint, transport)
    assert transport.requests == bound.requests == 9
    assert seconds == pytest.approx(bound.seconds, abs=1e-4)


def test_credentials_are_renewed_once_in_a_call() -> None:
    tokens = iter("abcdef")
    endpoint = api("a", timeout=2.0, retry=FIXED, auth=BearerAuth(lambda: next(tokens)))
    bound = judged(endpoint, total_timeout=None)
    transport = Cruel(lambda request, count: reply(401 if count == 2 else 503), lambda: 2.0 - 1e-6)
    seconds = measured(endpoint, transport)
    assert transport.requests == bound.requests == 4
    assert seconds == pytest.approx(bound.seconds, abs=1e-4)
    assert judged(api("a", auth=BearerAuth("fixed"))).requests == 3


def test_its_own_rate_limit_holds_a_call_up() -> None:
    endpoint = api("a", timeout=1.0, retry=FIXED, rate_limit=2, burst_limit=1, rate_limit_window=60.0)
    bound = judged(endpoint, total_timeout=None)
    transport = Cruel(refusing(bound), lambda: 1.0 - 1e-6)
    seconds = measured(endpoint, transport)
    assert transport.requests == bound.requests == 3
    assert 60.0 <= seconds <= bound.seconds == 3.0 + 6.0 + 60.0


FLOWS: dict[str, Flow] = {
    "sequential": sequential(*apis("abc", timeout=2.0, retry=FIXED)),
    "parallel": parallel(*apis("abcdefg", timeout=2.0, retry=FIXED), max_concurrent=3),
    "graph": graph(
        api("a", timeout=3.0, retry=FIXED),
        api("b", timeout=2.0, retry=FIXED, depends_on=["a"]),
        api("c", timeout=1.0, retry=FIXED, depends_on=["a"]),
        api("d", timeout=4.0, retry=FIXED, depends_on=["b", "c"]),
    ),
    "nested": sequential(
        api("a", timeout=1.0, retry=FIXED),
        parallel(*apis("bcd", timeout=2.0, retry=FIXED)),
        conditional(
            lambda data: True,
            then=sequential(*apis("ef", timeout=1.0, retry=FIXED)),
            otherwise=api("g", timeout=1.0, retry=FIXED),
        ),
    ),
}


@pytest.mark.parametrize("name", FLOWS)
def test_a_flow_reaches_its_bound(name: str) -> None:
    flow = FLOWS[name]
    bound = worst_case(flow)
    late = {endpoint.name: endpoint.timeout or 0.0 for endpoint in flow.endpoints()}
    transport = Cruel(refusing(bound), lambda: 0.0)
    plain = transport.send

    async def late_send(request: Request) -> Response:
        await asyncio.sleep(late[request.endpoint or ""] - 1e-6)
        return await plain(request)

    transport.send = late_send  # type: ignore[method-assign]
    seconds = measured(flow, transport)
    assert transport.requests == bound.requests
    assert seconds == pytest.approx(bound.needed, abs=1e-3)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_no_run_exceeds_the_bound(data: st.DataObject) -> None:
    size = data.draw(st.integers(1, 7))
    names = [f"e{i}" for i in range(size)]
    endpoints = [
        api(
            names[i],
            timeout=data.draw(st.sampled_from([0.5, 1.0, 4.0])),
            retry_count=data.draw(st.integers(0, 3)),
            total_timeout=data.draw(st.sampled_from([None, 3.0])),
            depends_on=data.draw(st.lists(st.sampled_from(names[:i]), unique=True, max_size=2)) if i else [],
        )
        for i in range(size)
    ]
    flow = graph(*endpoints, max_concurrent=data.draw(st.integers(1, 3)))
    limit = data.draw(st.sampled_from([None, 1, 5]))
    config = APIOrchestrationConfig(
        endpoints=[flow], global_rate_limit=limit, rate_limit_window=10.0, total_timeout=None
    )
    bound = worst_case(config)
    chance = Random(data.draw(st.integers(0, 2**16)))
    transport = Cruel(
        lambda request, count: (
            reply(503, headers={"Retry-After": str(chance.randrange(4))}) if chance.random() < 0.6 else None
        ),
        lambda: chance.choice([0.0, 0.3, 0.9, 5.0]),
    )
    seconds = measured(flow, transport, global_rate_limit=limit, rate_limit_window=10.0)
    assert transport.requests <= bound.requests
    assert seconds <= bound.seconds + 1e-6


# -- what it says --------------------------------------------------------------------------------------


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


# -- findings ------------------------------------------------------------------------------------------


def post(**fields: Any) -> APIEndpoint:
    return api("a", method="POST", **fields)


UNSAFE = {"retry_on": [500], "idempotency_key": None}


@pytest.mark.parametrize(
    ("endpoint", "code"),
    [
        (api("a"), None),
        (api("a", timeout=None), "no-timeout"),
        (api("a", timeout=None, total_timeout=9.0), None),
        (post(**UNSAFE), "unsafe-retry"),
        (post(retry_on=[500]), None),
        (post(retry_on=[429, 503], idempotency_key=None), None),
        (post(**UNSAFE, headers={"Idempotency-Key": "{id}"}), None),
        (post(**UNSAFE, retry_count=0), None),
        (post(**UNSAFE, idempotent=True), None),
        (post(idempotency_key=None), None),
        (api("a", retry_count=5), "breaker-in-retries"),
        (api("a", retry_count=4), None),
        (api("a", retry_count=5, circuit_breaker=False), None),
        (api("a", timeout=60.0), "timeout-not-retried"),
        (api("a", timeout=60.0, retry_count=0), None),
        (api("a", total_timeout=30.0), "timeout-not-retried"),
        (api("a", total_timeout=40.0), "short-total-timeout"),
        (api("a", total_timeout=90.0), None),
        (api("a", rate_limit=100), "pace"),
        (api("a", rate_limit=100_000), None),
        (api("a", retry_count=9, circuit_breaker=False), "amplification"),
    ],
)
def test_a_finding_is_made_where_it_is_right(endpoint: APIEndpoint, code: str | None) -> None:
    assert [found for found in codes(judged(endpoint)) if found != "amplification" or code == found] == (
        [code] if code else []
    )


def test_the_pace_of_a_batch_is_that_of_its_limiter() -> None:
    case = judged(api("a"), global_rate_limit=100)
    assert [str(finding) for finding in case.findings] == [
        "note pace: 1,000 requests take at least 593.4 s by global_rate_limit (100 in 60 s)"
    ]


@pytest.mark.parametrize(
    ("fields", "unread"),
    [
        ({}, True),
        ({"url": "http://shop.test/{a.id}"}, False),
        ({"params": {"by": "{a}"}}, False),
        ({"transform_input": lambda data: data}, False),
        ({"condition": lambda data: True}, False),
        ({"transform_output": lambda value, context: value}, False),
        ({"method": "POST"}, False),
        ({"method": "POST", "body": {"x": 1}}, True),
        ({"params": {"by": "{ab.id}"}, "depends_on": ["a", "ab"]}, True),
    ],
)
def test_a_dependency_that_nothing_can_read(fields: dict[str, Any], unread: bool) -> None:
    url = fields.pop("url", "http://shop.test/b")
    last = api("b", url, **{"depends_on": ["a"], **fields})
    assert ("unread-dependency" in codes(worst_case(graph(api("a"), api("ab"), last)))) is unread


def test_warnings_come_first() -> None:
    case = judged(api("a", rate_limit=1), api("b", timeout=None))
    assert [finding.level for finding in case.findings] == ["warning", "note"]
    assert case.warnings == case.findings[:1]
