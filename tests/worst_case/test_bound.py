"""The bound against real runs: none exceeds it, and a server that is bad enough reaches it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rxorch import (
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
from rxorch_operators import RetryPolicy
from rxorch_operators.testing import run_virtual
from tests.support.fake_transport import FakeTransport, api, apis, reply
from tests.worst_case.judged import judged


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


class Late(Cruel):
    """Answers each endpoint after its own time."""

    def __init__(
        self, late: dict[str, float], failing: Callable[[Request, int], Any] = lambda *_: None
    ) -> None:
        super().__init__(failing, lambda: 0.0)
        self.late = late

    async def send(self, request: Request) -> Response:
        await asyncio.sleep(self.late[request.endpoint or ""])
        return await super().send(request)


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


def test_a_refusal_of_credentials_can_stop_its_limiter() -> None:
    tokens = iter("abcdef")
    policy = RetryPolicy(max_attempts=2, base=0.0, jitter="none", max_elapsed=None, max_hint=30.0)
    endpoint = api(
        "a",
        timeout=1.0,
        retry=policy,
        retry_on=[500],
        rate_limit=100,
        auth=BearerAuth(lambda: next(tokens)),
    )
    bound = judged(endpoint, total_timeout=None)

    def answer(request: Request, count: int) -> Response | None:
        return reply(500) if count == 1 else reply(401, headers={"Retry-After": "30"}) if count == 2 else None

    transport = Cruel(answer, lambda: 1.0 - 1e-6)
    seconds = measured(endpoint, transport)
    assert transport.requests == 3 and 30.0 < seconds <= bound.seconds
    assert bound.endpoints[0].queue_seconds == 30.0


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
    late = {endpoint.name: (endpoint.timeout or 0.0) - 1e-6 for endpoint in flow.endpoints()}
    transport = Late(late, refusing(bound))
    seconds = measured(flow, transport)
    assert transport.requests == bound.requests
    assert seconds == pytest.approx(bound.needed, abs=1e-3)


def test_a_cap_with_dependencies_is_bounded_as_graham_proved() -> None:
    needs = {"i": ("a",), **dict.fromkeys("efgh", ("d",))}
    longest = dict(zip("abcdefghi", (3.0, 2.0, 2.0, 2.0, 4.0, 4.0, 4.0, 4.0, 9.0), strict=True))
    flow = graph(
        *(api(n, timeout=t, retry_count=0, depends_on=needs.get(n, ())) for n, t in longest.items()),
        max_concurrent=3,
    )
    bound = worst_case(flow).seconds
    assert bound == pytest.approx(34 / 3 + (1 - 1 / 3) * 12)
    seconds = measured(flow, Late({name: each - 1e-6 for name, each in longest.items()}))
    assert 34 / 3 < seconds <= bound


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
