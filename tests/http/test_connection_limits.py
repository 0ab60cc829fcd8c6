"""How many connections there may be at the same time."""

from __future__ import annotations

import asyncio

import pytest
from aiohttp import web
from yarl import URL

from rxorch.errors import ApiConfigurationError
from rxorch.http import AioHttpTransport, Request
from tests.conftest import ServeLoopback
from tests.http.conftest import MakeTransport


async def slow(request: web.Request) -> int:
    for _ in range(5):
        await asyncio.sleep(0)
    return 204


async def test_each_host_has_its_own_limit(loopback: ServeLoopback, make_transport: MakeTransport) -> None:
    first, second = await loopback({"/x": slow}), await loopback({"/x": slow})
    transport = make_transport(limit=5, limit_per_host=3)
    requests = [Request("GET", URL(server.url + "/x")) for server in (first, second) for _ in range(40)]
    responses = await asyncio.gather(*map(transport.send, requests))
    assert [response.status for response in responses] == [204] * 80
    assert (first.peak, max(first.peak, second.peak)) == (3, 3)


async def test_streams_count_too(loopback: ServeLoopback, make_transport: MakeTransport) -> None:
    server = await loopback({"/x": slow})
    transport = make_transport(limit_per_host=1)
    async with transport.stream(Request("GET", URL(server.url + "/x"))):
        waiting = asyncio.ensure_future(transport.send(Request("GET", URL(server.url + "/x"))))
        for _ in range(50):
            await asyncio.sleep(0)
        assert (server.peak, server.total, waiting.done()) == (1, 1, False)
    assert (await waiting).status == 204


@pytest.mark.parametrize("option", ["limit", "limit_per_host"])
def test_no_limit_is_negative(option: str) -> None:
    with pytest.raises(ApiConfigurationError, match="0 is no limit"):
        AioHttpTransport(**{option: -1})
