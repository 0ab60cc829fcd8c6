"""The transport that everything goes over: HTTP/1.1 on aiohttp's connector, protocol and parser.

It stands one floor below ``aiohttp.ClientSession`` and uses of aiohttp

- ``TCPConnector``: connecting, TLS, name cache, happy eyeballs, the pool and its limit;
- ``ResponseHandler``, ``StreamReader``: the parser written in C, flow control, the end of a body.

What a session adds is what a policy stack must not have below it: a second try of its own on a stale
connection (which no counter and no rate limit sees), redirects, cookies, proxies from the environment,
timers. Without it a small request also costs about half the CPU. ``tests/http/test_aiohttp_surface.py``
pins each thing that is relied on here.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

from aiohttp import ClientRequest, ClientSession, ServerDisconnectedError, TCPConnector
from aiohttp.client_proto import ResponseHandler
from aiohttp.connector import Connection
from aiohttp.hdrs import CONTENT_ENCODING
from aiohttp.http import RawResponseMessage

from rxorch.errors import ApiConfigurationError, ApiProtocolError
from rxorch.http._failures import error_of, raise_instead
from rxorch.http._wire import DefaultHeaders, Origin, Origins, encode_head
from rxorch.http.aiohttp_transport.answer import is_clean, read_answer
from rxorch.http.aiohttp_transport.connections import drop, may_be_kept, read_in_small_pieces
from rxorch.http.aiohttp_transport.session_route import NO_LIMITS, SHIPPED, Connect, SessionRoute, is_replaced
from rxorch.http.aiohttp_transport.streaming import Exchange
from rxorch.http.aiohttp_transport.upload import Upload
from rxorch.http.body import StreamedBody
from rxorch.http.decoding import decode_body
from rxorch.http.gate import AddressGate
from rxorch.http.proxy import proxies
from rxorch.http.request import Request
from rxorch.http.resolver import HostResolver
from rxorch.http.response import Response
from rxorch.http.streamed import StreamedResponse
from rxorch.http.tls import TlsOptions

if TYPE_CHECKING:
    from aiohttp.tracing import Trace

__all__ = ["AioHttpTransport"]

_JOIN_UP_TO = 64 * 1024


class AioHttpTransport:
    """Sends requests over pooled connections. Implements ``Transport``.

    It opens on the event loop of the first ``send`` and belongs to that loop from then on.

    Test doubles that patch ``ClientSession`` keep working (aioresponses, vcrpy): as long as its ``_request``
    is not the one that aiohttp shipped, each request goes through a session, with the same limits, errors
    and counts. That holds for tracers that wrap it, too.

    Args:
        limit: most connections at the same time, all hosts together; 0 for no limit. Who comes later waits.
        limit_per_host: the same for each scheme, host and port; 0 for no limit but ``limit``.
        connection_reuse: False sends each request over a connection of its own. That costs a handshake, and
            makes it impossible that a late answer to one request is taken for the answer to another.
        keepalive: seconds that an idle connection is kept.
        dns_ttl: seconds that the addresses of a host are remembered.
        ssl_context: trust and certificates for https; the default trusts what the system trusts.
        tls: the same from files, in the place of ``ssl_context``.
        proxy: url of the proxy that all requests go through (``"http://user:password@host:port"``); urls by
            the scheme that is called (``"http"``, ``"https"``, ``"all"``); or ``"environment"`` for what the
            variables HTTP_PROXY, HTTPS_PROXY, ALL_PROXY and NO_PROXY say, which otherwise count for nothing.
            Calls to https go through a tunnel: the proxy sees which host is called, and no more.
        no_proxy: hosts that are called without the proxy: names, which stand for those below them too; names
            with a port; networks (``"10.0.0.0/8"``), for addresses in urls; ``"*"`` for all.
        gate: keeps requests away from addresses that are not public; None lets them go anywhere.
            Not together with a proxy, which connects for us where no gate can see it.
        user_agent: value of the User-Agent header, for requests that have none.

    Raises:
        ApiConfigurationError: an option that cannot be, a file of ``tls`` that does not serve.

    Attributes:
        sends: requests put on a connection so far. One that failed to connect is not among them.

    Example:
        >>> async def main() -> None:
        ...     transport = AioHttpTransport()
        ...     try:
        ...         response = await transport.send(Request("GET", URL("https://api.example.com/users/7")))
        ...         print(response.status, response.json())
        ...     finally:
        ...         await transport.aclose()
    """

    def __init__(
        self,
        *,
        limit: int = 100,
        limit_per_host: int = 0,
        connection_reuse: bool = True,
        keepalive: float = 15.0,
        dns_ttl: int = 10,
        ssl_context: ssl.SSLContext | None = None,
        tls: TlsOptions | None = None,
        proxy: str | Mapping[str, str] | None = None,
        no_proxy: Iterable[str] = (),
        gate: AddressGate | None = None,
        user_agent: str = "rxorch",
    ) -> None:
        if tls is not None and ssl_context is not None:
            raise ApiConfigurationError("give either ssl_context or tls, not both")
        if limit < 0 or limit_per_host < 0:
            raise ApiConfigurationError("limit and limit_per_host are numbers of connections; 0 is no limit")
        self.sends = 0
        self._reuse = connection_reuse
        self._options: dict[str, Any] = {
            "limit": limit,
            "limit_per_host": limit_per_host,
            "keepalive_timeout": keepalive,
            "ttl_dns_cache": dns_ttl,
            "ssl": (ssl_context if tls is None else tls.context()) or True,
            "socket_factory": None if gate is None else gate.socket,
        }
        by_way_of = proxies(proxy, no_proxy)
        if gate is not None and by_way_of is not None:
            raise ApiConfigurationError(
                "give either gate or proxy: no gate sees where a proxy connects to; it must check by itself"
            )
        self._defaults = DefaultHeaders(user_agent)
        self._origins = Origins(gate, by_way_of, user_agent)
        self._resolver = HostResolver()
        self._connector: TCPConnector | None = None
        self._route: SessionRoute | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._closed = False
        self._open: dict[ResponseHandler, asyncio.Future[None]] = {}

    async def send(self, request: Request) -> Response:
        """Send ``request`` once; see ``Transport.send``."""
        if isinstance(request.body, StreamedBody):
            _limit(request)
            async with self.stream(request) as answer:
                return await answer.read()
        request.sent = False
        try:
            connector = self._running()
            origin = self._origins.of(request.url)
            head = encode_head(request, origin, self._defaults, close=not self._reuse)
            limit = _limit(request)
            if ClientSession._request is not SHIPPED and is_replaced():
                return await self._session_route().send(request, origin, limit)
            message, body = await self._exchange(connector, origin, request, head, limit)
            coding = message.headers.get(CONTENT_ENCODING)
            if coding is not None:
                body = decode_body(body, coding, limit)
        except BaseException as failure:
            raise_instead(self._error(request, None, failure), failure)
        return Response(message.code, body, message.headers, reason=message.reason, url=request.url)

    @asynccontextmanager
    async def stream(self, request: Request) -> AsyncIterator[StreamedResponse]:
        """Send ``request`` once and hand out the answer as it comes; see ``StreamingTransport.stream``.

        An answer to a ``StreamedBody`` may come before all of it was sent. Below status 300 the rest is sent
        while the answer is read; otherwise no more of it is sent, and the connection ends with the answer.
        """
        request.sent = False
        async with AsyncExitStack() as stack:
            upload = None
            try:
                connector = self._running()
                origin = self._origins.of(request.url)
                head = encode_head(request, origin, self._defaults, close=not self._reuse)
                if isinstance(request.body, StreamedBody):
                    upload = Upload(request.body)
                    stack.push_async_callback(upload.stop)
                    await upload.begin()
                if ClientSession._request is not SHIPPED and is_replaced():
                    limit = request.max_response_bytes
                    whole = await self._session_route().send(request, origin, limit, upload)
                    pieces = StreamedBody([whole.content]).pieces()
                    stack.push_async_callback(pieces.aclose)
                    answer = StreamedResponse(
                        whole.status, pieces, whole.headers, reason=whole.reason, url=request.url
                    )
                else:
                    connection = await self._connect(connector.connect, origin.target, [])
                    error = partial(self._error, request, upload)
                    exchange = Exchange(connection, request, upload, error, self._let_go)
                    stack.callback(exchange.close)
                    answer = await exchange.begin(partial(self._ask, request, head))
            except BaseException as failure:
                raise_instead(self._error(request, upload, failure), failure)
            yield answer

    async def aclose(self) -> None:
        """Close all connections and wait until they are closed. What is in flight fails."""
        self._closed = True
        if self._connector is None:
            return
        self._check_loop()
        await self._connector.close()
        if self._route is not None:
            await self._route.aclose()
        await self._resolver.close()
        if self._open:
            await asyncio.wait(self._open.values())

    async def _exchange(
        self, connector: TCPConnector, origin: Origin, request: Request, head: bytes, limit: int
    ) -> tuple[RawResponseMessage, bytes]:
        connection = await self._connect(connector.connect, origin.target, [])
        protocol = connection.protocol
        assert protocol is not None
        try:
            self._ask(request, head, protocol)
            message, body = await read_answer(protocol, limit)
        except BaseException:
            drop(connection)
            raise
        # Where the end of the connection is the end of the body, it must not be we who ended it.
        if not self._let_go(connection, whole=True):
            raise ServerDisconnectedError
        return message, body

    def _let_go(self, connection: Connection, *, whole: bool) -> bool:
        protocol = connection.protocol
        if whole and self._reuse and protocol is not None and may_be_kept(protocol):
            connection.release()
        else:
            drop(connection)
        return not self._closed

    async def _connect(self, connect: Connect, target: ClientRequest, traces: list[Trace]) -> Connection:
        while True:
            connection = await connect(target, traces, NO_LIMITS)
            protocol = connection.protocol
            assert protocol is not None
            fresh = protocol not in self._open
            if fresh:
                self._prepare(protocol)
            # A fresh TLS connection may have session tickets in its socket, which are no answer.
            if is_clean(protocol, look_at_socket=not (fresh and target.is_ssl())):
                return connection
            drop(connection)
            if fresh:
                raise ApiProtocolError("the server closes or speaks before it is asked", sent=False)

    def _prepare(self, protocol: ResponseHandler) -> None:
        read_in_small_pieces(protocol.transport)
        closed = protocol.closed
        if closed is not None:
            self._open[protocol] = closed
            closed.add_done_callback(partial(self._forget, protocol))

    def _forget(self, protocol: ResponseHandler, closed: asyncio.Future[None]) -> None:
        del self._open[protocol]
        if not closed.cancelled():
            closed.exception()  # whoever waits for an answer gets it too; here it only counts as seen

    def _ask(self, request: Request, head: bytes, protocol: ResponseHandler) -> None:
        protocol.set_response_params(
            skip_payload=request.method == "HEAD", read_until_eof=True, auto_decompress=False
        )
        transport = protocol.transport
        assert transport is not None
        body = request.body
        self.sends += 1
        request.sent = True
        if not body or isinstance(body, StreamedBody):
            transport.write(head)
        elif len(body) <= _JOIN_UP_TO:
            transport.write(head + body)
        else:
            transport.write(head)
            transport.write(body)

    def _mark(self, request: Request, sent: bool) -> None:
        if request.sent is not sent:
            request.sent = sent
            self.sends += 1 if sent else -1

    def _error(self, request: Request, upload: Upload | None, failure: BaseException) -> BaseException:
        source_error = None if upload is None else upload.error
        return error_of(failure, request, source_error, closed=self._closed)

    def _running(self) -> TCPConnector:
        if self._closed:
            raise ApiConfigurationError("the transport is closed")
        connector = self._connector
        if connector is not None:
            self._check_loop()
            return connector
        self._loop = asyncio.get_running_loop()
        self._connector = TCPConnector(**self._options, resolver=self._resolver)
        return self._connector

    def _session_route(self) -> SessionRoute:
        if self._route is None:
            options = {**self._options, "resolver": self._resolver}
            if not self._reuse:
                options = {**options, "keepalive_timeout": None, "force_close": True}
            self._route = SessionRoute(self._connect, self._mark, self._defaults, options)
        return self._route

    def _check_loop(self) -> None:
        if asyncio.get_running_loop() is not self._loop:
            raise ApiConfigurationError(
                "the transport belongs to another event loop; make one for each loop and close it there"
            )


def _limit(request: Request) -> int:
    if request.max_response_bytes is None:
        raise ApiConfigurationError("max_response_bytes=None is only for an answer that is read as a stream")
    return request.max_response_bytes
