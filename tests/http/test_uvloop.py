"""The same transport on uvloop."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest
import uvloop
from aiohttp import web
from yarl import URL

from rxorch.errors import ApiError
from rxorch.http import AioHttpTransport, Request
from tests.http.raw import RawServer
from tests.http.test_faults import CUT_SHORT, FINE, NOT_HTTP, Talk
from tests.http.test_reuse import wrong_answers
from tests.support.loopback import Loopback


@pytest.fixture
def runner() -> Iterator[asyncio.Runner]:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        yield runner


def test_many_requests_and_a_cancelled_one(runner: asyncio.Runner) -> None:
    async def never(request: web.Request) -> None:
        await asyncio.get_running_loop().create_future()

    async def main() -> None:
        transport = AioHttpTransport(limit=5)
        async with Loopback({"GET /x": {"a": 1}, "GET /never": never}) as server:
            url = URL(server.url + "/x")
            responses = await asyncio.gather(*(transport.send(Request("GET", url)) for _ in range(200)))
            assert [response.json() for response in responses] == [{"a": 1}] * 200
            task = asyncio.ensure_future(transport.send(Request("GET", URL(server.url + "/never"))))
            await server.until_in_flight(1)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            await server.until_idle()
            assert (server.closed_early, transport.sends, server.total) == (1, 201, 201)
            await transport.aclose()
            await server.until_disconnected()

    runner.run(main())


@pytest.mark.parametrize("talk", [*CUT_SHORT.values(), *NOT_HTTP.values()], ids=[*CUT_SHORT, *NOT_HTTP])
def test_faults(runner: asyncio.Runner, talk: Talk) -> None:
    async def main() -> None:
        transport = AioHttpTransport()
        async with RawServer(talk) as server, asyncio.timeout(20):
            with pytest.raises(ApiError):
                await transport.send(Request("GET", URL(server.url)))
            await transport.aclose()

    runner.run(main())


@pytest.mark.parametrize("talk", FINE.values(), ids=FINE.keys())
def test_unusual_but_whole(runner: asyncio.Runner, talk: Talk) -> None:
    async def main() -> None:
        transport = AioHttpTransport()
        async with RawServer(talk) as server, asyncio.timeout(20):
            response = await transport.send(Request("GET", URL(server.url)))
            assert response.content == b"hello"
            await transport.aclose()

    runner.run(main())


def test_no_late_answer_is_given_to_another_request(runner: asyncio.Runner) -> None:
    async def main() -> None:
        transport = AioHttpTransport(connection_reuse=False)
        assert await wrong_answers(transport, 300, visible=False) == 0

    runner.run(main())
