"""All services in one event loop, each on a loopback port of its own, and a control port beside them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from aiohttp import web

from rxorch.demo.shop.faults import Faults
from rxorch.demo.shop.front import front_door
from rxorch.demo.shop.protocol import CountingProtocol
from rxorch.demo.shop.services import SERVICES, Desk, routes_of
from rxorch.demo.shop.tally import ServiceTally, Tally

__all__ = ["HOST", "Ports", "open_shop"]

HOST = "127.0.0.1"

_BACKLOG = 1024
_QUIET = 0.02
_QUIET_AT_MOST = 2.0
_SHUTDOWN = 0.1


@dataclass(frozen=True, slots=True)
class Ports:
    """Where the shop listens: ``services`` by name, and ``control``."""

    services: dict[str, int]
    control: int


@asynccontextmanager
async def open_shop(seed: int, faults: Faults) -> AsyncIterator[Ports]:
    """Listen as long as the block runs. Leaving it drops whatever is still in flight.

    Args:
        seed: of the faults.
        faults: their rates.
    """
    desk = Desk(Tally(seed, faults, {name: ServiceTally() for name in SERVICES}))
    async with AsyncExitStack() as stack:
        ports = {}
        for name in SERVICES:
            app = web.Application(middlewares=[front_door])
            app.add_routes(routes_of(name, desk))
            ports[name] = await stack.enter_async_context(_listen(app, _counted_by(name, desk)))
        yield Ports(ports, await stack.enter_async_context(_listen(_control(desk), _uncounted)))


ProtocolFactory = Callable[[web.Server], asyncio.Protocol]


def _counted_by(service: str, desk: Desk) -> ProtocolFactory:
    def connect(server: web.Server) -> asyncio.Protocol:
        loop = asyncio.get_running_loop()
        return CountingProtocol(server, service, lambda: desk.tally, loop=loop, access_log=None)

    return connect


def _uncounted(server: web.Server) -> asyncio.Protocol:
    return server()


@asynccontextmanager
async def _listen(app: web.Application, connect: ProtocolFactory) -> AsyncIterator[int]:
    """Serve ``app`` on a free port and give its number.

    Not a ``web.TCPSite``: that one offers no way to choose the protocol, which is where the counting happens.
    """
    # With handler_cancellation a request that nobody waits for any more ends, as the books already say.
    runner = web.AppRunner(app, handler_cancellation=True, access_log=None, shutdown_timeout=_SHUTDOWN)
    await runner.setup()
    server = runner.server
    assert server is not None
    loop = asyncio.get_running_loop()
    listener = await loop.create_server(lambda: connect(server), HOST, 0, backlog=_BACKLOG)
    try:
        yield int(listener.sockets[0].getsockname()[1])
    finally:
        listener.close()
        await runner.cleanup()


def _control(desk: Desk) -> web.Application:
    async def stats(request: web.Request) -> web.Response:
        if "settled" in request.query:
            await _settle(desk)
        return web.json_response(desk.tally.report())

    async def reset(request: web.Request) -> web.Response:
        desk.reset()
        return web.json_response({"reset": True})

    app = web.Application()
    app.add_routes([web.get("/stats", stats), web.post("/reset", reset)])
    return app


async def _settle(desk: Desk) -> None:
    """Wait until nothing is in flight and nothing new arrives.

    A client that gave up has sent its bytes, but they may still lie in a socket that is not even accepted.
    What was sent before this question was asked is read within a few rounds of the loop.
    """
    clock = asyncio.get_running_loop().time
    patience = clock() + _QUIET_AT_MOST
    known = -1
    while (desk.tally.flight.now or known != desk.tally.requests) and clock() < patience:
        known = desk.tally.requests
        await asyncio.sleep(_QUIET)
