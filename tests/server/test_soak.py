"""Load with upstream faults: no error that the policy does not explain, and a clean end."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from rxorch.server import Serving, create_app
from rxorch.server.state import STATE
from tests.server.faults import FaultyServices, Unexplained, aggregator, explained
from tests.server.soak import Tally, clients, soak

_CLIENTS = 32
_CALLS = 600


async def test_a_few_clients_for_a_moment() -> None:
    services, tally, stop = FaultyServices(), Tally(), asyncio.Event()
    async with services.server() as upstream:
        app = create_app({"profile": aggregator(upstream.url, timeout=0.3)}, readable=["profile"])
        async with Serving(app, port=0) as server:
            load = asyncio.create_task(clients(server.url, _CLIENTS, stop, tally))
            await upstream.until(lambda: services.done.total() >= _CALLS or load.done())
            stop.set()
        await load
        assert not app[STATE].tasks and app[STATE].runs == 0
        await upstream.until_disconnected()
    statuses = {status for status, _ in tally.answers}
    assert {200, 206} <= statuses <= {200, 206, 502, 503, 504}
    assert not tally.broken
    assert set(services.done) == {"ok", "503", "500", "slow", "reset", "cut", "no json"}


def outcome(kind: str | None) -> dict[str, Any]:
    if kind is None:
        return {"status": "ok", "provenance": "fresh"}
    return {"status": "failed", "provenance": "missing", "error": {"type": kind}}


@pytest.mark.parametrize(
    ("status", "user", "orders"),
    [
        (502, "ApiTimeoutError", "ApiTimeoutError"),
        (504, "ApiTimeoutError", "ApiHttpError"),
        (502, None, "ApiHttpError"),
        (206, None, None),
        (502, "ValueError", "ApiHttpError"),
        (500, "ApiHttpError", "ApiHttpError"),
    ],
)
def test_what_no_policy_explains(status: int, user: str | None, orders: str | None) -> None:
    document = {"status": status, "detail": "x", "id": "x", "result": {"user": 1, "orders": 1}}
    document["outcomes"] = {"user": outcome(user), "orders": outcome(orders)}
    with pytest.raises(Unexplained):
        explained(status, json.dumps(document).encode())


@pytest.mark.soak
async def test_many_clients_for_a_minute() -> None:
    done = await soak(256, 60.0)
    print(f"\n{done}")
    assert {status for status, _ in done.tally.answers} <= {200, 206, 502, 503, 504}
    assert not done.tally.broken
    assert done.code == 0 and done.connections == 0
    assert "Traceback" not in done.told
    early, late = done.memory
    assert late <= early * 1.1
