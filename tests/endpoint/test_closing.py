"""One owner: leaving `async with` ends what is under way, and tells who waits for it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from aiohttp import web

from rxorch import ApiClient, APIEndpoint, ApiError, APIOrchestrator, sequential
from tests.support.loopback import Loopback


async def never(_: web.Request) -> web.Response:
    """Answers when the client is gone."""
    await asyncio.Event().wait()
    raise AssertionError


async def test_leaving_the_client_ends_a_subscribed_call_and_repeats_nothing() -> None:
    async with Loopback({"GET /slow": never}) as server:
        errors: list[Exception] = []
        async with ApiClient() as client:
            call = client.observe(APIEndpoint(name="slow", url=f"{server.url}/slow"))
            call({}).subscribe(on_error=errors.append)
            await server.until_in_flight(1)
        await server.until_idle()
        assert [type(error) for error in errors] == [ApiError]
        assert "client was closed" in str(errors[0])
        assert server.hits["/slow"] == client.sends == 1
        assert client.runtimes["slow"].calls_in_flight == 0


async def test_leaving_the_orchestrator_ends_runs_and_streams_before_their_next_step() -> None:
    async with Loopback({"GET /slow": never, "GET /next": never}) as server:
        steps = [APIEndpoint(name=name, url=f"{server.url}/{name}") for name in ("slow", "next")]
        orchestrator = APIOrchestrator(sequential(*steps))

        async def first_of_stream() -> Any:
            return await anext(orchestrator.stream({"id": number} for number in range(10**9)))

        async with orchestrator:
            run = asyncio.create_task(orchestrator.execute({}))
            stream = asyncio.create_task(first_of_stream())
            await server.until_in_flight(1 + orchestrator.config.max_concurrent)
        with pytest.raises(ApiError, match="client was closed") as caught:
            await run
        assert {name: str(each.status) for name, each in caught.value.result.outcomes.items()} == {
            "slow": "cancelled",
            "next": "cancelled",
        }
        cut_off = await stream  # read, so it has its record
        assert not cut_off.ok and "client was closed" in str(cut_off.error)
        await server.until_idle()
        assert "/next" not in server.hits
        assert orchestrator.in_flight == 0


async def test_the_orchestrator_can_be_used_again_after_it_was_left() -> None:
    async with Loopback({"GET /": lambda _: web.json_response({"ok": True})}) as server:
        orchestrator = APIOrchestrator(APIEndpoint(name="api", url=server.url))
        for _ in range(2):
            async with orchestrator:
                assert (await orchestrator.execute())["api"] == {"ok": True}
        assert orchestrator.get_metrics().total_requests == 2
