"""Calls that cost more than one unit of their limit, such as the tokens of a prompt."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from pydantic import ValidationError

from rxorch import ApiClient, APIOrchestrator, ApiRateLimitError, ApiValidationError, RateLimiter, parallel
from rxorch_operators.testing import virtual_time
from tests.support.fake_transport import FakeTransport, api, in_turn
from tests.support.virtual_time import now


def tokens(**fields: Any) -> Any:
    """1,000 tokens in 60 s, 100 at once; a call costs what its data says."""
    limiter = RateLimiter(1000, 60.0, burst=100)
    return api("llm", rate_limiter=limiter, rate_cost=lambda data: data["tokens"], **fields)


@virtual_time
async def test_calls_leave_at_the_pace_of_their_cost() -> None:
    transport = FakeTransport()
    stream = APIOrchestrator(tokens(), transport=transport).stream(
        ({"tokens": cost} for cost in (100, 50, 10, 200)), max_concurrent=4, ordered=True
    )
    assert [run.ok async for run in stream] == [True] * 4
    assert transport.times == pytest.approx([0.0, 3.0, 3.6, 9.6], abs=1e-3)


@virtual_time
async def test_each_attempt_pays() -> None:
    transport = FakeTransport({"llm": in_turn(503, {})})
    async with ApiClient(transport) as client:
        await client.call(tokens(retry_delay=0.0), {"tokens": 100})
    assert transport.times == pytest.approx([0.0, 6.0], abs=1e-3)


@virtual_time
async def test_a_limit_for_all_counts_requests() -> None:
    transport = FakeTransport()
    orchestrator = APIOrchestrator(
        parallel(tokens(), api("other")), transport=transport, global_rate_limit=2, rate_limit_window=10.0
    )
    await asyncio.gather(*(orchestrator.execute({"tokens": 40}) for _ in range(2)))
    assert orchestrator.limiters[""].statistics().granted == 4
    assert orchestrator.limiters["llm"].statistics().granted == 2
    assert now() == pytest.approx(15.0, abs=1e-3)


@virtual_time
async def test_who_waits_for_tokens_holds_nothing_of_the_limit_for_all() -> None:
    transport = FakeTransport()
    orchestrator = APIOrchestrator(
        parallel(tokens(), api("other")), transport=transport, global_rate_limit=1000, rate_limit_window=1.0
    )
    orchestrator.limit_rate(1000, 1.0, burst=1)
    await orchestrator.execute({"tokens": 100})
    began = now()
    await asyncio.gather(*(orchestrator.execute({"tokens": 100}) for _ in range(5)))
    other = [
        at - began for at, name in zip(transport.times, transport.names, strict=True) if name == "other"
    ][1:]
    assert max(other) < 0.1 and now() - began == pytest.approx(30.0, abs=0.1)


@virtual_time
async def test_a_cost_from_earlier_results_and_a_fixed_one() -> None:
    client = ApiClient(FakeTransport())
    fixed = api("llm", rate_limit=10, rate_limit_window=10.0, burst_limit=5, rate_cost=5)
    await client.call(fixed, {})
    await client.call(fixed, {})
    assert now() == pytest.approx(5.0, abs=1e-3)
    free = api("free", rate_limit=1, rate_cost=0)
    for _ in range(3):
        await client.call(free, {})
    assert now() == pytest.approx(5.0, abs=1e-3)


@virtual_time
async def test_a_wait_that_cannot_end_in_time_fails_at_once() -> None:
    late = api("late", rate_limit=10, rate_limit_window=100.0, burst_limit=1, rate_cost=10, total_timeout=2.0)
    async with ApiClient(FakeTransport()) as client:
        await client.call(late, {})
        with pytest.raises(ApiRateLimitError) as refused:
            await client.call(late, {})
    assert refused.value.retry_after == pytest.approx(100.0, abs=1.0) and now() == 0.0


@pytest.mark.parametrize("cost", [1001, -1, 1.5, True, "7", None])
async def test_a_cost_that_is_none_fails_before_the_call(cost: Any) -> None:
    transport = FakeTransport()
    async with ApiClient(transport) as client:
        with pytest.raises(ApiValidationError, match="rate_cost: a call costs a whole number from 0 to 1000"):
            await client.call(tokens(), {"tokens": cost})
    assert transport.calls == []


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"rate_cost": -1, "rate_limit": 5}, "rate_cost is a whole number"),
        ({"rate_cost": True, "rate_limit": 5}, "rate_cost is a whole number"),
        ({"rate_cost": 2.5, "rate_limit": 5}, "rate_cost is a whole number"),
        ({"rate_cost": 5}, "means nothing without rate_limit or rate_limiter"),
    ],
)
def test_a_cost_that_cannot_work_is_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        api("llm", **fields)
