"""Counting requests where they enter the process.

A middleware cannot count exactly: when a client disconnects at once, aiohttp may cancel the request before
any handler or middleware ran. So the counting is done by the protocol, in the very call in which the parser
completes a request's head.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any

from aiohttp import web
from aiohttp.http import RawRequestMessage

from rxorch.demo.shop.tally import Tally, Ticket

__all__ = ["CountingProtocol"]


class CountingProtocol(web.RequestHandler):
    """aiohttp's server protocol for one connection, with a ticket for each request that arrived on it.

    Args:
        server: the runner's server, to which the protocol belongs.
        service: name of the service that the connection was made to.
        tally: gives the books that are open now (they are replaced by a reset).
    """

    __slots__ = ("_books", "_service", "_tickets")

    def __init__(self, server: web.Server, service: str, tally: Callable[[], Tally], **options: Any) -> None:
        super().__init__(server, **options)
        self._service = service
        self._books = tally
        self._tickets: deque[Ticket] = deque()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Count the connection."""
        self._books().connected(self._service)
        super().connection_made(transport)

    def data_received(self, data: bytes) -> None:
        """Count each request whose head is complete with these bytes."""
        before = self._request_count
        super().data_received(data)
        arrived = self._request_count - before
        if arrived:
            # They are still in the queue: a task empties it, and no task ran since the parser filled it.
            for message, _ in list(self._messages)[-arrived:]:
                self._count(message)

    def eof_received(self) -> None:
        """The client will not read the answer: its requests are over now, before any task notices."""
        self._leave()
        super().eof_received()

    def connection_lost(self, exc: BaseException | None) -> None:
        """As ``eof_received``, for a connection that was reset."""
        self._leave()
        super().connection_lost(exc)

    def oldest(self) -> Ticket:
        """The request that is being handled: aiohttp handles those of one connection in their order."""
        return self._tickets[0]

    def done(self, ticket: Ticket, how: str) -> None:
        """The handler is through with ``ticket``."""
        ticket.end(how)
        if self._tickets and self._tickets[0] is ticket:
            self._tickets.popleft()

    def _count(self, message: Any) -> None:
        if isinstance(message, RawRequestMessage):
            path = message.path.partition("?")[0]
            self._tickets.append(self._books().arrived(self._service, message.method, path, message.headers))
        else:
            self._books().arrived_malformed(self._service)

    def _leave(self) -> None:
        for ticket in self._tickets:
            ticket.end("gone")
