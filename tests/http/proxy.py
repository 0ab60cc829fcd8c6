"""A small proxy: it forwards requests for http, and opens tunnels for anything else."""

from __future__ import annotations

import asyncio
from typing import Any

from tests.http.raw import Peer, RawServer

__all__ = ["TestProxy"]


class TestProxy(RawServer):
    """A proxy on loopback that keeps the heads of what it was asked for.

    Args:
        credentials: value of the Proxy-Authorization header that it insists on.
        tunnels_end: what it answers to CONNECT in the place of a tunnel.
    """

    __test__ = False

    def __init__(self, credentials: str | None = None, tunnels_end: bytes | None = None) -> None:
        super().__init__(self._serve_peer)
        self.heads: list[str] = []
        self._credentials = credentials
        self._tunnels_end = tunnels_end

    async def _serve_peer(self, peer: Peer) -> None:
        while True:
            request = await peer.request()
            head, _, body = request.partition(b"\r\n\r\n")
            self.heads.append(head.decode())
            lines = head.decode().split("\r\n")
            if self._credentials is not None and f"Proxy-Authorization: {self._credentials}" not in lines:
                await peer.send(b"HTTP/1.1 407 hunter2\r\nContent-Length: 0\r\n\r\n")
                continue
            method, target, _ = lines[0].split(" ")
            if method == "CONNECT":
                await self._tunnel(peer, target)
                return
            await self._forward(peer, method, target, lines[1:], body)

    async def _tunnel(self, peer: Peer, target: str) -> None:
        if self._tunnels_end is not None:
            await peer.send(self._tunnels_end)
            return
        host, _, port = target.rpartition(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        await peer.send(b"HTTP/1.1 200 Connection established\r\n\r\n")
        await asyncio.gather(_pipe(peer._reader, writer), _pipe(reader, peer._writer))

    async def _forward(self, peer: Peer, method: str, target: str, lines: list[str], body: bytes) -> None:
        scheme, _, rest = target.partition("://")
        assert scheme == "http"
        authority, _, path = rest.partition("/")
        host, _, port = authority.partition(":")
        reader, writer = await asyncio.open_connection(host, int(port or 80))
        kept = [line for line in lines if not line.startswith("Proxy-")]
        head = "\r\n".join([f"{method} /{path} HTTP/1.1", *kept, "Connection: close", "", ""])
        writer.write(head.encode() + body)
        answer = await reader.read()
        writer.close()
        await writer.wait_closed()
        await peer.send(answer.replace(b"Connection: close\r\n", b""))


async def _pipe(reader: asyncio.StreamReader, writer: Any) -> None:
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    except ConnectionError:
        pass
    finally:
        writer.close()
