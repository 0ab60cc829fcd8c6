"""A run that can be made again later: its calls that may change something carry keys of its own."""

from __future__ import annotations

from typing import Any

import pytest

from rxorch import ApiClient, sequential
from rxorch.flow import FlowRun, RunSettings, compile_flow
from rxorch_operators import last_of
from rxorch_operators.testing import virtual_time
from tests.support.fake_transport import FakeTransport, api, in_turn


async def keys_of(fields: dict[str, Any], answers: Any = None) -> list[str | None]:
    """The keys of the attempts of one call in a run that makes them of the endpoint's name."""
    transport = FakeTransport({} if answers is None else {"pay": answers})
    plan = compile_flow(sequential(api("pay", **fields)))
    run = FlowRun(
        plan, {"id": 7}, ApiClient(transport), RunSettings(), idempotency=lambda name: f"run-1:{name}"
    )
    await last_of(run)
    return [request.headers.get("Idempotency-Key") for request in transport.calls]


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"method": "POST"}, "run-1:pay"),
        ({"method": "PATCH"}, "run-1:pay"),
        ({"method": "POST", "retry_count": 0}, "run-1:pay"),
        ({"method": "GET"}, None),
        ({"method": "PUT"}, None),
        ({"method": "POST", "idempotent": True}, None),
        ({"method": "POST", "idempotency_key": None}, None),
        ({"method": "POST", "idempotency_key": "mine-{id}"}, "mine-7"),
        ({"method": "POST", "headers": {"idempotency-key": "theirs"}}, None),
    ],
)
async def test_which_calls_carry_it(fields: dict[str, Any], expected: str | None) -> None:
    assert await keys_of(fields) == [expected]


@virtual_time
async def test_all_attempts_carry_the_same() -> None:
    assert await keys_of({"method": "POST"}, in_turn(503, 503, {})) == ["run-1:pay"] * 3
