"""The server on uvloop, as `rxorch serve` runs it: its transports are none of asyncio's classes."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from typing import Any

import uvloop

from rxorch.server import ServerLimits, Serving, create_app
from tests.server.raw import connected

HEALTH = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"


def on_uvloop(main: Any) -> None:
    mistakes: list[dict[str, Any]] = []

    async def watched() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: mistakes.append(context))
        await main()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(watched())
    assert mistakes == []


def test_more_connections_than_there_may_be() -> None:
    async def main() -> None:
        app = create_app({}, limits=ServerLimits(connections=2))
        async with Serving(app, port=0) as server, AsyncExitStack() as stack:
            for _ in range(2):
                raw = await stack.enter_async_context(connected(server))
                await raw.send(HEALTH)
                assert b"200 OK" in await raw.head()
            third = await stack.enter_async_context(connected(server))
            assert b"503 Service Unavailable" in await third.rest()

    on_uvloop(main)


def test_heads_that_do_not_come() -> None:
    async def main() -> None:
        app = create_app({}, limits=ServerLimits(head_seconds=0.05))
        async with Serving(app, port=0) as server, connected(server) as raw:
            await raw.send(HEALTH[:20])
            assert await raw.rest() == b""

    on_uvloop(main)
