"""The end in good order: nothing new, what is under way ends, and not for ever."""

from __future__ import annotations

import asyncio
import json

import pytest

from rxorch import APIOrchestrationConfig
from rxorch.server import Serving, create_app
from rxorch.server.state import STATE
from tests.server.conftest import Upstream
from tests.server.raw import connected, post
from tests.server.test_streams import CHUNKED, STREAM, chunk, lines
from tests.support.loopback import Loopback

RUN = "/orchestrations/profile"
REQUEST = post(RUN, "Content-Type: application/json\r\nContent-Length: 8\r\n", b'{"id":7}')


async def test_requests_under_way_end_and_new_ones_are_refused(
    profile: APIOrchestrationConfig, services: Loopback, upstream: Upstream
) -> None:
    go = asyncio.Event()

    async def held(request: object) -> dict[str, int]:
        await go.wait()
        return {"id": 7}

    upstream.users = held
    app = create_app({"profile": profile})
    server = Serving(app, port=0)
    await server.__aenter__()
    async with connected(server) as raw, connected(server) as idle:
        await idle.send(b"GET /readyz HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert b"200 OK" in await idle.head()
        await idle.reader.readexactly(len("ready\n"))
        await raw.send(REQUEST)
        await services.until(lambda: services.hits["/users/7"] == 1)
        ending = asyncio.create_task(server.__aexit__(None, None, None))
        while not app[STATE].is_draining:
            await asyncio.sleep(0)
        with pytest.raises(OSError):
            await asyncio.open_connection("127.0.0.1", server.port or 1)
        await idle.send(b"GET /readyz HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert b"503 Service Unavailable" in await idle.head()
        go.set()
        answer = await raw.rest()
        await ending
    assert b"200 OK" in answer
    assert b'"id":7' in answer


async def test_what_does_not_end_is_ended(
    profile: APIOrchestrationConfig, services: Loopback, upstream: Upstream
) -> None:
    upstream.users = lambda request: asyncio.get_running_loop().create_future()
    async with Serving(create_app({"profile": profile}), port=0, drain_seconds=0.05) as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(REQUEST)
        await services.until(lambda: services.hits["/users/7"] == 1)
    assert await reader.read() == b""
    writer.close()
    await writer.wait_closed()
    await services.until_idle()
    assert services.closed_early == 1


async def test_a_stream_says_that_it_was_not_read_to_its_end(
    profile: APIOrchestrationConfig, services: Loopback
) -> None:
    async with Serving(create_app({"profile": profile}), port=0) as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(post(STREAM, CHUNKED) + chunk(lines(1)))
        await reader.readuntil(b"\n{")
        await reader.readuntil(b"}\n")
    left = await reader.read()
    (told,) = [json.loads(line) for line in left.splitlines() if line.startswith(b'{"problem"')]
    assert told["problem"]["status"] == 503
    writer.close()
    await writer.wait_closed()


async def test_a_port_that_is_taken(profile: APIOrchestrationConfig) -> None:
    async with Serving(create_app({}), port=0) as server:
        with pytest.raises(OSError):
            async with Serving(create_app({"profile": profile}), port=server.port):
                pass
