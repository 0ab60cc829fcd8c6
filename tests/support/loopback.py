"""A real aiohttp server on loopback that counts what reaches it.

    async with Loopback({"GET /users/{id}": lambda request: {"id": request.match_info["id"]}}) as server:
        ...                                # call server.url + "/users/1"
        assert server.hits["/users/1"] == 1

A route is ``"METHOD /path"``, ``"* /path"`` or ``"/path"`` (any method). What it answers is a sync or async
function of the request, or a plain value. Whatever comes out is turned into a response: an ``int`` is an
empty response with that status, ``str`` is text, ``bytes`` are octets, a ``web.StreamResponse`` is itself,
and everything else is JSON.
"""

from __future__ import annotations

import asyncio
import inspect
import socket
import struct
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, NoReturn, Self

from aiohttp import web
from aiohttp.typedefs import Middleware
from multidict import CIMultiDictProxy

__all__ = ["Handler", "Loopback", "Seen", "in_turn", "reset_connection", "served"]

Handler = Callable[[web.Request], Any]
_Served = Callable[[web.Request], Awaitable[web.StreamResponse]]

_PATIENCE = 20.0
"""Seconds after which a wait for something that never happens fails the test instead of hanging it."""

_CLOSED_BY_SERVER = web.RequestKey("closed_by_server", bool)


@dataclass(frozen=True, slots=True)
class Seen:
    """One request as it reached the server, in the order of arrival."""

    method: str
    path: str
    """The raw path with its query string, still percent-encoded."""
    headers: CIMultiDictProxy[str]
    body: bytes
    at: float
    """The time of arrival on the clock of the event loop, in seconds."""


@dataclass(slots=True)
class _Waiter:
    reached: Callable[[], bool]
    future: asyncio.Future[None]


@dataclass(slots=True)
class Loopback:
    """A server on ``127.0.0.1`` with a free port, alive inside ``async with``.

    On leaving, the connections are closed and the handlers still at work are cancelled. A handler that raised
    something other than a ``web.HTTPException`` answered 500 and fails the test then.
    """

    routes: Mapping[str, Any] | web.Application
    hits: Counter[str] = field(default_factory=Counter)
    """Requests per decoded path; a path never asked for counts 0."""
    seen: list[Seen] = field(default_factory=list)
    """Every request whose body arrived."""
    in_flight: int = 0
    """Requests being handled now."""
    peak: int = 0
    """The most requests that were handled at the same time."""
    connections: int = 0
    """Connections open now."""
    connections_made: int = 0
    """Connections accepted so far."""
    closed_early: int = 0
    """Requests whose client went away before the answer was ready."""
    crashes: list[Exception] = field(default_factory=list)
    """What handlers raised by mistake; clear it to accept that."""
    _runner: web.AppRunner | None = None
    _url: str = ""
    _closing: bool = False
    _waiters: list[_Waiter] = field(default_factory=list)

    @property
    def url(self) -> str:
        """The address without a slash at its end, such as ``http://127.0.0.1:40123``."""
        return self._url

    @property
    def total(self) -> int:
        """All requests that arrived."""
        return self.hits.total()

    async def until_idle(self) -> None:
        """Wait until no request is being handled."""
        await self.until(lambda: self.in_flight == 0)

    async def until_in_flight(self, count: int) -> None:
        """Wait until at least ``count`` requests are being handled at the same time."""
        await self.until(lambda: self.in_flight >= count)

    async def until_disconnected(self) -> None:
        """Wait until every connection is closed and every request done."""
        await self.until(lambda: self.connections == 0 and self.in_flight == 0)

    async def until(self, reached: Callable[[], bool]) -> None:
        """Wait until ``reached()`` holds; it is asked again whenever one of the counters changes."""
        if reached():
            return
        waiter = _Waiter(reached, asyncio.get_running_loop().create_future())
        self._waiters.append(waiter)
        try:
            async with asyncio.timeout(_PATIENCE):
                await waiter.future
        except TimeoutError:
            raise AssertionError(f"waited {_PATIENCE:g} s in vain for {reached}; now {self}") from None
        finally:
            self._waiters.remove(waiter)

    async def __aenter__(self) -> Self:
        app = _application(self.routes)
        app.middlewares.insert(0, self._count)
        # handler_cancellation: a handler must notice that its client went away, or closed_early stays 0.
        # shutdown_timeout: the tests do not wait for handlers that sleep on.
        self._runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=0.01)
        await self._runner.setup()
        self._watch_connections(self._runner)
        await web.TCPSite(self._runner, "127.0.0.1", 0, backlog=1024).start()
        host, port = self._runner.addresses[0][:2]
        self._url = f"http://{host}:{port}"
        return self

    async def __aexit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        self._closing = True
        if self._runner is not None:
            await self._runner.cleanup()
        if self.crashes and error is None:
            raise AssertionError(f"a handler crashed: {self.crashes[0]!r}") from self.crashes[0]

    def __str__(self) -> str:
        return (
            f"in_flight={self.in_flight} peak={self.peak} connections={self.connections}"
            f" closed_early={self.closed_early} hits={dict(self.hits)}"
        )

    def _watch_connections(self, runner: web.AppRunner) -> None:
        server = runner.server
        assert server is not None
        made, lost = server.connection_made, server.connection_lost

        def count_made(handler: Any, transport: asyncio.Transport) -> None:
            self.connections += 1
            self.connections_made += 1
            made(handler, transport)
            self._changed()

        def count_lost(handler: Any, exc: BaseException | None = None) -> None:
            self.connections -= 1
            lost(handler, exc)
            self._changed()

        # aiohttp has no hook for this, and a subclass cannot be handed to AppRunner.
        server.connection_made = count_made  # type: ignore[method-assign]
        server.connection_lost = count_lost  # type: ignore[method-assign]

    @property
    def _count(self) -> Middleware:
        @web.middleware
        async def count(request: web.Request, handler: _Served) -> web.StreamResponse:
            arrived = asyncio.get_running_loop().time()
            self.hits[request.path] += 1
            self.in_flight += 1
            self.peak = max(self.peak, self.in_flight)
            self._changed()
            try:
                body = await request.read()
                self.seen.append(Seen(request.method, request.raw_path, request.headers, body, arrived))
                return await handler(request)
            except (web.HTTPException, ConnectionError):
                raise
            except Exception as error:
                self.crashes.append(error)
                return web.Response(status=500, text="the handler crashed")
            finally:
                self.in_flight -= 1
                self._note_departure(request)
                self._changed()

        return count

    def _note_departure(self, request: web.Request) -> None:
        gone = request.transport is None
        if gone and not self._closing and not request.get(_CLOSED_BY_SERVER, False):
            self.closed_early += 1

    def _changed(self) -> None:
        for waiter in self._waiters:
            if not waiter.future.done() and waiter.reached():
                waiter.future.set_result(None)


@asynccontextmanager
async def served(routes: Mapping[str, Any] | web.Application) -> AsyncIterator[Loopback]:
    """The same as ``async with Loopback(routes)``, for an ``AsyncExitStack`` or a fixture."""
    async with Loopback(routes) as server:
        yield server


def in_turn(*answers: Any) -> Handler:
    """A handler that gives one answer after another, then the last one for ever.

    An answer is whatever a route may be: ``in_turn(503, 503, {"ok": True})``.
    """
    left = list(answers)

    async def answer(request: web.Request) -> Any:
        current = left.pop(0) if len(left) > 1 else left[0]
        return await _answer(current, request)

    return answer


async def reset_connection(request: web.Request) -> NoReturn:
    """Break the connection with a TCP reset instead of an answer."""
    request[_CLOSED_BY_SERVER] = True
    assert request.transport is not None
    tcp: socket.socket = request.transport.get_extra_info("socket")
    tcp.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    request.transport.abort()
    await asyncio.get_running_loop().create_future()  # the lost connection cancels this handler
    raise AssertionError("unreachable")


def _application(routes: Mapping[str, Any] | web.Application) -> web.Application:
    if isinstance(routes, web.Application):
        return routes
    app = web.Application(client_max_size=64 * 1024 * 1024)
    for route, answer in routes.items():
        method, _, path = route.rpartition(" ")
        app.router.add_route(method or "*", path, _handler(answer))
    return app


def _handler(answer: Any) -> _Served:
    async def handle(request: web.Request) -> web.StreamResponse:
        return _response(await _answer(answer, request))

    return handle


async def _answer(answer: Any, request: web.Request) -> Any:
    value = answer(request) if callable(answer) else answer
    return await value if inspect.isawaitable(value) else value


def _response(value: Any) -> web.StreamResponse:
    match value:
        case web.StreamResponse():
            return value
        case bool():
            return web.json_response(value)
        case int():
            return web.Response(status=value)
        case str():
            return web.Response(text=value)
        case bytes():
            return web.Response(body=value)
        case _:
            return web.json_response(value)
