"""The way round through ``aiohttp.ClientSession``, for tools that replace its ``_request``.

Test doubles (aioresponses, vcrpy) and tracers do that. The transport's own way passes a session by: without
this file they would see nothing, and a test would go out to the real network. What such a tool lets through
keeps the promises of the transport's own way: connections are taken by the same rules, the session repeats,
follows, remembers and times nothing, and each request is counted once.
"""

from __future__ import annotations

import zlib
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from types import FunctionType
from typing import TYPE_CHECKING, Any, Final

import aiohttp.client
from aiohttp import (
    ClientConnectorError,
    ClientRequest,
    ClientResponse,
    ClientSession,
    ClientTimeout,
    ConnectionTimeoutError,
    DummyCookieJar,
    InvalidURL,
    TCPConnector,
)
from aiohttp.connector import Connection
from aiohttp.hdrs import CONTENT_ENCODING

from rxorch.errors import ApiError, ApiResponseTooLargeError, ApiTimeoutError
from rxorch.http._wire import DefaultHeaders, Origin
from rxorch.http.aiohttp_transport.upload import Upload
from rxorch.http.decoding import decode_body
from rxorch.http.request import Request
from rxorch.http.response import Response

if TYPE_CHECKING:
    from aiohttp.tracing import Trace

__all__ = ["NO_LIMITS", "REPLACED", "SHIPPED", "Connect", "SessionRoute", "is_replaced"]

NO_LIMITS: Final = ClientTimeout(total=None, connect=None, sock_read=None, sock_connect=None)
REPLACED: Final = "aiohttp's ClientSession._request is replaced: the request went to whatever replaced it"

Connect = Callable[[ClientRequest, "list[Trace]", ClientTimeout], Awaitable[Connection]]
"""``TCPConnector.connect``."""

_PIECE = 64 * 1024
_NOT_SENT = (ClientConnectorError, ConnectionTimeoutError, InvalidURL)


def _is_genuine(function: object) -> bool:
    # By the module that it runs in: a double may copy every name, and who stands in between is no function.
    return type(function) is FunctionType and function.__globals__ is vars(aiohttp.client)


SHIPPED: Final[Any] = ClientSession._request if _is_genuine(ClientSession._request) else None
"""What aiohttp shipped; None if it was replaced already when this was imported."""


def is_replaced() -> bool:
    """Tell whether somebody has replaced ``ClientSession._request``.

    Ask first whether it is ``SHIPPED``: that costs next to nothing, and answers nearly always.
    """
    return ClientSession._request is not SHIPPED and not _is_genuine(ClientSession._request)


class _Turn:
    """One request on its way through the session."""

    __slots__ = ("real", "request")

    def __init__(self, request: Request) -> None:
        self.request = request
        self.real = False
        """True once it is handed on to the network: a double lets it through, or a tracer only looks on."""


_turn: ContextVar[_Turn] = ContextVar("rxorch_session_turn")


class SessionRoute:
    """Sends requests through a ``ClientSession``, opened on the running loop by the first of them.

    Args:
        take: gets a connection from a connector, by the transport's own rules.
        mark: notes that a request was sent, or was not after all.
        defaults: headers for requests that have none of these names.
        options: for the connector.
    """

    def __init__(
        self,
        take: Callable[[Connect, ClientRequest, list[Trace]], Awaitable[Connection]],
        mark: Callable[[Request, bool], None],
        defaults: DefaultHeaders,
        options: dict[str, Any],
    ) -> None:
        self._take = take
        self._mark = mark
        self._defaults = defaults
        self._options = options
        self._session: ClientSession | None = None

    async def send(
        self, request: Request, origin: Origin, limit: int | None, upload: Upload | None = None
    ) -> Response:
        """Send ``request`` and read the answer.

        Args:
            request: what is sent; its url names no user on this way.
            origin: where it goes.
            limit: most bytes that the answer's body may have; None for no limit.
            upload: the body, where that is a ``StreamedBody``.

        Raises:
            ApiResponseTooLargeError: the body is larger than ``limit`` bytes.
            ApiTimeoutError: a double raised ``TimeoutError``, by which aiohttp tells that its time was up.
            ClientError, HttpProcessingError, OSError: from aiohttp or the double.
            Exception: what else a double raises.
        """
        turn = _Turn(request)
        token = _turn.set(turn)
        # From here on the double has it. Where it goes on to the network, the connector takes this back.
        self._mark(request, True)
        try:
            headers = self._defaults.added_to(request, origin)
            body = request.body if upload is None else upload.pieces()
            options: dict[str, Any] = {} if body is None else {"data": body}
            if origin.target.proxy is not None:
                options |= {"proxy": origin.target.proxy, "proxy_headers": origin.target.proxy_headers}
            return await self._exchange(turn, headers, limit, options)
        except ApiError:
            raise
        except Exception as failure:
            if isinstance(failure, _NOT_SENT):
                self._mark(request, False)
            if isinstance(failure, TimeoutError) and failure.errno is None:
                raise ApiTimeoutError(kind="attempt") from None
            raise
        finally:
            _turn.reset(token)

    async def aclose(self) -> None:
        """Close the session with its connections."""
        if self._session is not None:
            await self._session.close()

    async def _exchange(
        self, turn: _Turn, headers: dict[str, str], limit: int | None, options: dict[str, Any]
    ) -> Response:
        request = turn.request
        url = request.url.with_user(None)
        answer = await self._running().request(
            request.method, url, headers=headers, allow_redirects=False, **options
        )
        try:
            body = await _read(answer, limit)
            coding = answer.headers.get(CONTENT_ENCODING)
            # What a double makes up is mostly given as if it were decoded already, whatever its headers say.
            if coding is not None and (turn.real or _looks_encoded(body)):
                body = decode_body(body, coding, limit)
        except BaseException:
            answer.close()
            raise
        return Response(answer.status, body, answer.headers, reason=answer.reason or "", url=request.url)

    def _running(self) -> ClientSession:
        if self._session is None:
            self._session = ClientSession(
                connector=_Connector(self._take, self._mark, self._options),
                cookie_jar=DummyCookieJar(),
                timeout=NO_LIMITS,
                auto_decompress=False,
                trust_env=False,
                skip_auto_headers=["Content-Type"],
            )
            # Or the session itself would send again what met a stale connection, and nobody would count it.
            self._session._retry_connection = False
        return self._session


class _Connector(TCPConnector):
    """Gives out connections by the transport's rules, and knows that a request goes to the network."""

    def __init__(
        self,
        take: Callable[[Connect, ClientRequest, list[Trace]], Awaitable[Connection]],
        mark: Callable[[Request, bool], None],
        options: dict[str, Any],
    ) -> None:
        super().__init__(**options)
        self._take = take
        self._mark = mark

    async def connect(self, req: ClientRequest, traces: list[Trace], timeout: ClientTimeout) -> Connection:
        turn = _turn.get()
        turn.real = True
        self._mark(turn.request, False)
        connection = await self._take(super().connect, req, traces)
        self._mark(turn.request, True)
        return connection


async def _read(answer: ClientResponse, limit: int | None) -> bytes:
    content = answer.content  # once: a double may make a new stream of it each time
    body = bytearray()
    while piece := await content.read(_PIECE):
        body += piece
        if limit is not None and len(body) > limit:
            raise ApiResponseTooLargeError(limit)
    if body:
        return bytes(body)
    kept = await answer.read()  # a recorder has read it before us
    if limit is not None and len(kept) > limit:
        raise ApiResponseTooLargeError(limit)
    return kept


def _looks_encoded(body: bytes) -> bool:
    if body.startswith(b"\x1f\x8b"):
        return True
    try:
        zlib.decompressobj().decompress(body, 1)
    except zlib.error:
        return False
    return bool(body)
