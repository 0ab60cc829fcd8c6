"""A server that does its worst, found by name, and the transport that has to live with it."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Sequence
from typing import Any, Self

from rxorch.errors import ApiError
from rxorch.http import AioHttpTransport, Request, Response
from rxorch.http.choosing import make_transport
from rxorch.http.resolver import HostResolver
from tests.http.raw import Peer, RawServer
from tests.http.test_faults import Talk

__all__ = ["HERE", "HOLE", "KINDS", "NOBODY", "NOWHERE", "Shop"]

KINDS = ("aiohttp", "pyreqwest")
"""The transports that have to live with it."""

HERE = "127.0.0.1"
NOWHERE = "::1"
"""An address of this machine at which the server does not listen."""
HOLE = "127.0.0.2"
"""An address of this machine at which connections are neither accepted nor refused."""
NOBODY = ""
"""The answer of a name server that does not know the name."""


class Shop(RawServer):
    """Gives each connection the next of some talks, and the last one to all that follow.

    Args:
        talks: what the server does with one connection.
        lookups: what its name leads to, lookup by lookup; the last one for ever.
        kind: which transport has to live with it.

    Attributes:
        requests: how many requests arrived whole.
        transport: finds the server by its name; closed on leaving, before the server is.
    """

    def __init__(self, *talks: Talk, lookups: Sequence[str] = (HERE,), kind: str = "aiohttp") -> None:
        super().__init__(self._serve_next)
        self.requests = 0
        self._talks = list(talks)
        self._lookups = list(lookups)
        self._arrived = asyncio.Event()
        self._hole: list[socket.socket] = []
        self.transport: Any
        if kind == "aiohttp":
            self.transport = AioHttpTransport(dns_ttl=0)
            self.transport._resolver = HostResolver(getaddrinfo=self._look_up)
        else:
            self.transport = _Renamed(kind, self._next_address)

    @property
    def named_url(self) -> str:
        """Its address by name."""
        return self.url.replace(HERE, "shop.test")

    async def until_requests(self, count: int) -> None:
        """Wait until so many requests have arrived."""
        async with asyncio.timeout(20):
            while self.requests < count:
                self._arrived.clear()
                await self._arrived.wait()

    async def __aenter__(self) -> Self:
        await super().__aenter__()
        if HOLE in self._lookups:
            self._hole = _hole(int(self.url.rpartition(":")[2]))
        return self

    async def __aexit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        await self.transport.aclose()
        for each in self._hole:
            each.close()
        await super().__aexit__(kind, error, traceback)

    def _next_address(self) -> str:
        return _next(self._lookups)  # type: ignore[no-any-return]

    async def _serve_next(self, peer: Peer) -> None:
        talk = _next(self._talks)
        read = peer.request

        async def request() -> bytes:
            data = await read()
            self.requests += 1
            self._arrived.set()
            return data

        peer.request = request  # type: ignore[method-assign]
        await talk(peer)

    def _look_up(self, host: str, *_: Any, **__: Any) -> list[Any]:
        address = _next(self._lookups)
        if address == NOBODY:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        where = (address, 0, 0, 0) if ":" in address else (address, 0)
        return [(family, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", where)]


def _hole(port: int) -> list[socket.socket]:
    """Listens, accepts nobody and has its backlog full: whoever comes next waits for ever."""
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind((HOLE, port))
    listener.listen(0)
    sockets = [listener]
    for _ in range(2):
        waiting = socket.socket()
        waiting.setblocking(False)
        waiting.connect_ex((HOLE, port))
        sockets.append(waiting)
    return sockets


class _Renamed:
    """A transport that has names looked up for it: each request goes to the next address."""

    def __init__(self, kind: str, next_address: Callable[[], str]) -> None:
        # Abandoned requests go on there until the server was silent for so long: see its class.
        self._inner: Any = make_transport(kind, silence=0.6)  # type: ignore[arg-type]
        self._next_address = next_address

    @property
    def sends(self) -> int:
        return self._inner.sends  # type: ignore[no-any-return]

    async def send(self, request: Request) -> Response:
        url = request.url
        request.url = url.with_host(self._next_address() or "nobody.invalid")
        try:
            return await self._inner.send(request)  # type: ignore[no-any-return]
        except ApiError as error:
            error.url = None
            raise
        finally:
            request.url = url

    async def aclose(self) -> None:
        await self._inner.aclose()


def _next(items: list[Any]) -> Any:
    return items.pop(0) if len(items) > 1 else items[0]
