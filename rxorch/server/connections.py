"""Connections that are counted, and closed when a head does not come, or an answer is not taken."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from typing import Any, Final
from weakref import WeakSet

from aiohttp import web

from rxorch.server.problems import Problem
from rxorch.server.settings import ServerLimits

__all__ = ["connections"]

_FULL: Final = (
    b"HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\nContent-Length: 0\r\nRetry-After: 1\r\n\r\n"
)


def connections(
    server: web.Server, limits: ServerLimits, options: dict[str, Any]
) -> Callable[[], asyncio.Protocol]:
    """What makes a protocol for each connection that is accepted.

    Args:
        server: Handles the requests.
        limits: How many there may be, and how long a head may take.
        options: For `aiohttp.web.RequestHandler`.
    """
    loop = asyncio.get_running_loop()
    alive: WeakSet[_Connection] = WeakSet()

    def accept() -> asyncio.Protocol:
        if len(alive) >= limits.connections:
            return _Refusal()
        connection = _Connection(server, loop, limits, options)
        connection.alive = alive
        alive.add(connection)
        return connection

    return accept


class _Refusal(asyncio.Protocol):
    """Answers that there is no room, whatever is asked."""

    def connection_made(self, transport: Any) -> None:  # those of uvloop are none of asyncio's classes
        transport.write(_FULL)
        transport.close()


class _Connection(web.RequestHandler):
    """A connection of aiohttp, and a timer while a head is awaited."""

    __slots__ = ("__weakref__", "_head_timer", "_limits", "alive")

    alive: WeakSet[_Connection]

    def __init__(
        self,
        server: web.Server,
        loop: asyncio.AbstractEventLoop,
        limits: ServerLimits,
        options: dict[str, Any],
    ) -> None:
        super().__init__(server, loop=loop, **options)
        self._limits = limits
        self._head_timer: asyncio.TimerHandle | None = None

    @property
    def _awaits_head(self) -> bool:
        waiter = self._waiter
        return waiter is not None and not waiter.done()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        _limit_deafness(transport, self._limits.idle_seconds)
        self._start_timer()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if not self._awaits_head:
            self._stop_timer()
        elif self._head_timer is None:
            self._start_timer()

    def connection_lost(self, exc: BaseException | None) -> None:
        self._stop_timer()
        self.alive.discard(self)
        super().connection_lost(exc)

    def log_exception(self, *args: Any, **kw: Any) -> None:
        """What comes behind a refused head is thrown away: that it is broken is no fault of the server."""
        if not isinstance(kw.get("exc_info"), web.RequestPayloadError):
            super().log_exception(*args, **kw)

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """What is no HTTP gets a fixed text, and no line in the log for each."""
        if status == 500 or request.writer.output_size > 0:
            return super().handle_error(request, status, exc, message)
        return Problem(status, "this is no request that the server can read", close=True).response()

    def _start_timer(self) -> None:
        loop = asyncio.get_running_loop()
        self._head_timer = loop.call_later(self._limits.head_seconds, self._too_late)

    def _stop_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _too_late(self) -> None:
        self._head_timer = None
        if self._awaits_head:
            self.force_close()


def _limit_deafness(transport: asyncio.BaseTransport, seconds: float) -> None:
    """Has the kernel drop a connection whose client takes nothing of what is sent: Linux alone can.

    A timer here would not do, since it sees the buffers of the kernel grow empty in leaps of a megabyte.
    """
    option = getattr(socket, "TCP_USER_TIMEOUT", None)
    connection = transport.get_extra_info("socket")
    if option is not None and connection is not None and connection.family != socket.AF_UNIX:
        connection.setsockopt(socket.IPPROTO_TCP, option, max(1, int(seconds * 1000)))
