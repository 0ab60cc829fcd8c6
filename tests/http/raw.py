"""A TCP server that does byte by byte what a test tells it: for answers that no HTTP server would give."""

from __future__ import annotations

import asyncio
import socket
import ssl
import struct
from collections.abc import Awaitable, Callable
from typing import Self

_PATIENCE = 20.0
"""Seconds after which a wait in vain fails the test instead of hanging it."""


class Peer:
    """The server's end of one connection."""

    def __init__(
        self,
        number: int,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        length_of_body: bool = True,
    ) -> None:
        self.number = number
        """How many connections the server had accepted with this one."""
        self._length_of_body = length_of_body
        self._reader = reader
        self._writer = writer

    async def request(self) -> bytes:
        """Read one request: its head, and its body if it has a Content-Length (and the server cares)."""
        head = await self._reader.readuntil(b"\r\n\r\n")
        for line in head.split(b"\r\n"):
            name, _, value = line.partition(b":")
            if name.lower() == b"content-length" and self._length_of_body:
                return head + await self._reader.readexactly(int(value))
        return head

    async def receive(self, size: int) -> bytes:
        """Read so many bytes."""
        return await self._reader.readexactly(size)

    async def send(self, data: bytes) -> None:
        """Write ``data`` and wait until it went out."""
        self._writer.write(data)
        await self._writer.drain()

    async def answer(self, body: bytes = b"{}", *lines: str) -> None:
        """Write a whole 200 answer with a Content-Length and the header ``lines`` given."""
        await self.send(ok(body, *lines))

    def finish(self) -> None:
        """End the connection cleanly (FIN)."""
        self._writer.close()

    def reset(self) -> None:
        """Break the connection (RST)."""
        tcp: socket.socket = self._writer.get_extra_info("socket")
        tcp.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._writer.transport.abort()

    async def gone(self) -> bytes:
        """Read on until the client closes its end; give the last that came."""
        last = piece = b""
        try:
            while piece := await self._reader.read(65536):
                last = last[-16:] + piece
        except ConnectionError:
            pass
        return last


def ok(body: bytes, *lines: str) -> bytes:
    """A whole 200 answer as bytes."""
    head = "".join(f"{line}\r\n" for line in ("HTTP/1.1 200 OK", f"Content-Length: {len(body)}", *lines))
    return head.encode() + b"\r\n" + body


class RawServer:
    """Listens on loopback and calls ``talk(peer)`` for each connection; the connection ends with it.

    async with RawServer(talk) as server:
        ...                              # connect to server.url
    """

    def __init__(
        self,
        talk: Callable[[Peer], Awaitable[None]],
        tls: ssl.SSLContext | None = None,
        *,
        length_of_body: bool = True,
    ) -> None:
        self._length_of_body = length_of_body
        self.connections = 0
        self.url = ""
        self._talk = talk
        self._tls = tls
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0, ssl=self._tls)
        port = self._server.sockets[0].getsockname()[1]
        self.url = f"{'https' if self._tls else 'http'}://127.0.0.1:{port}"
        return self

    async def __aexit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        assert self._server is not None
        self._server.close()
        if error is not None:
            for task in self._tasks:
                task.cancel()
        if self._tasks:
            async with asyncio.timeout(_PATIENCE):
                await asyncio.gather(*self._tasks, return_exceptions=error is not None)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # A task of our own: asyncio reports the cancellation of one that it makes here as an error.
        self.connections += 1
        task = asyncio.ensure_future(
            self._serve(Peer(self.connections, reader, writer, self._length_of_body), writer)
        )
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, peer: Peer, writer: asyncio.StreamWriter) -> None:
        try:
            await self._talk(peer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # the client left, as some tests want it to
        finally:
            writer.close()
            try:
                await writer.wait_closed()
            except OSError:
                pass
