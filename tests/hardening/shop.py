"""A server that does its worst, found by name, and the transport that has to live with it."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Sequence
from typing import Any

from rxorch.http import AioHttpTransport
from rxorch.http.resolver import HostResolver
from tests.http.raw import Peer, RawServer
from tests.http.test_faults import Talk

__all__ = ["HERE", "NOBODY", "NOWHERE", "Shop"]

HERE = "127.0.0.1"
NOWHERE = "::1"
"""An address of this machine at which the server does not listen."""
NOBODY = ""
"""The answer of a name server that does not know the name."""


class Shop(RawServer):
    """Gives each connection the next of some talks, and the last one to all that follow.

    Args:
        talks: what the server does with one connection.
        lookups: what its name leads to, lookup by lookup; the last one for ever.

    Attributes:
        requests: how many requests arrived whole.
        transport: finds the server by its name; closed on leaving, before the server is.
    """

    def __init__(self, *talks: Talk, lookups: Sequence[str] = (HERE,)) -> None:
        super().__init__(self._serve_next)
        self.requests = 0
        self.transport = AioHttpTransport(dns_ttl=0)
        self.transport._resolver = HostResolver(getaddrinfo=self._look_up)
        self._talks = list(talks)
        self._lookups = list(lookups)
        self._arrived = asyncio.Event()

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

    async def __aexit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        await self.transport.aclose()
        await super().__aexit__(kind, error, traceback)

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


def _next(items: list[Any]) -> Any:
    return items.pop(0) if len(items) > 1 else items[0]
