"""Basic usage: define endpoints, configure, orchestrate, execute."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import pytest

from rxorch import (
    APIEndpoint,
    APIOrchestrationConfig,
    APIOrchestrator,
    ApiRateLimitError,
    OrchestrationMode,
    OrchestrationResult,
    Request,
    Response,
    pipeline,
)
from tests.acceptance.threaded import ThreadedLoopback
from tests.acceptance.witness import Witness
from tests.support.loopback import Loopback


def users_then_posts(url: str) -> APIOrchestrator:
    user_api = APIEndpoint(name="users", url=f"{url}/users", method="GET")
    posts_api = APIEndpoint(name="posts", url=f"{url}/posts", method="GET", depends_on=["users"])
    config = APIOrchestrationConfig(endpoints=[user_api, posts_api], mode=OrchestrationMode.SEQUENTIAL)
    return APIOrchestrator(config)


def services(witness: Witness) -> dict[str, object]:
    return {
        "GET /users": witness.answers("users", [{"id": 123, "name": "Ada"}], linger=0.01),
        "GET /posts": witness.answers("posts", [{"title": "Notes"}]),
    }


def test_execute_runs_under_asyncio_run() -> None:
    """APIOrchestrator.execute: the basic example as a plain script runs it."""
    witness = Witness()
    with ThreadedLoopback(services(witness)) as server:
        orchestrator = users_then_posts(server.url)
        result = asyncio.run(orchestrator.execute({"user_id": 123}))

    assert witness.trail == ["+users", "-users", "+posts", "-posts"]
    assert result["users"] == [{"id": 123, "name": "Ada"}]
    assert result["posts"] == [{"title": "Notes"}]


def test_one_orchestrator_serves_several_loops() -> None:
    """APIOrchestrator.execute: each asyncio.run is a loop of its own; the orchestrator outlives them."""
    witness = Witness()
    with ThreadedLoopback(services(witness)) as server:
        orchestrator = users_then_posts(server.url)
        first = asyncio.run(orchestrator.execute({"user_id": 1}))
        second = asyncio.run(orchestrator.execute({"user_id": 2}))

    assert first.ok and second.ok
    assert witness.names() == ["users", "posts", "users", "posts"]
    assert orchestrator.get_metrics().total_requests == 4


def test_run_blocks_in_a_script() -> None:
    """APIOrchestrator.run: the blocking form, without a loop of the caller's."""
    with ThreadedLoopback(services(Witness())) as server:
        result = users_then_posts(server.url).run({"user_id": 123})

    assert result["posts"] == [{"title": "Notes"}]


async def test_run_blocks_inside_a_running_loop() -> None:
    """APIOrchestrator.run: works where asyncio.run cannot, as in a notebook cell."""
    with ThreadedLoopback(services(Witness())) as server:
        result = users_then_posts(server.url).run({"user_id": 123})

    assert result["users"][0]["name"] == "Ada"


async def test_run_inside_a_running_loop_is_the_same_orchestrator() -> None:
    """APIOrchestrator.run in a loop: what is remembered, limited, counted and configured stays in force."""
    witness = Witness()
    routes = {"GET /kept": witness.answers("kept"), "GET /limited": witness.answers("limited")}
    with ThreadedLoopback(routes) as server:
        kept = APIEndpoint(name="kept", url=f"{server.url}/kept", cache_ttl=300)
        limited = APIEndpoint(
            name="limited", url=f"{server.url}/limited", rate_limit=1, rate_limit_window=36_000
        )
        orchestrator = APIOrchestrator(pipeline(kept, limited), fail_fast=True)
        orchestrator.run({})
        with pytest.raises(ApiRateLimitError):
            orchestrator.run({})

    assert (witness.count("kept"), witness.count("limited")) == (1, 1)
    metrics = orchestrator.get_metrics()
    assert (metrics.total_requests, metrics.cache_hits) == (2, 1)


class Echo:
    """A transport without a network."""

    sends = 0

    async def send(self, request: Request) -> Response:
        self.sends += 1
        request.sent = True
        return Response(200, b'"echo"', {"Content-Type": "application/json"}, url=request.url)

    async def aclose(self) -> None:
        """Nothing to close."""


async def test_run_inside_a_running_loop_uses_the_transport_it_was_given() -> None:
    """APIOrchestrator.run in a loop: a transport of one's own is not silently replaced by a real one."""
    transport = Echo()
    config = APIOrchestrationConfig(endpoints=[APIEndpoint(name="api", url="http://api.invalid")])
    result = APIOrchestrator(config, transport=transport).run({})

    assert (transport.sends, result["api"]) == (1, "echo")


async def test_async_context_manager_keeps_the_session() -> None:
    """APIOrchestrator as context manager: several executes, one session."""
    witness = Witness()
    async with Loopback(services(witness)) as server, users_then_posts(server.url) as orchestrator:
        results = [await orchestrator.execute({"user_id": i}) for i in range(3)]

    assert all(result.ok for result in results)
    assert witness.count("users") == witness.count("posts") == 3


async def test_the_result_is_a_mapping_with_a_record_for_every_endpoint() -> None:
    """OrchestrationResult: values by name in endpoint order, outcomes, errors, skipped, ok, value."""
    async with Loopback(services(Witness())) as server:
        result = await users_then_posts(server.url).execute({"user_id": 123})

    assert isinstance(result, OrchestrationResult)
    assert isinstance(result, Mapping)
    assert list(result) == ["users", "posts"]
    assert list(result.outcomes) == ["users", "posts"]
    assert all(outcome.attempts == 1 for outcome in result.outcomes.values())
    assert (dict(result.errors), dict(result.skipped), result.ok) == ({}, {}, True)
    assert result.value == [{"title": "Notes"}]
