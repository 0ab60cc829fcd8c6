"""A transport that logs what goes through it, with secrets removed."""

from __future__ import annotations

import logging
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial

from rxorch.http.body import StreamedBody
from rxorch.http.redaction import REDACTED
from rxorch.http.request import Request
from rxorch.http.response import Response
from rxorch.http.streamed import StreamedResponse
from rxorch.http.transport import StreamingTransport, Transport

__all__ = ["LoggedTransport"]

logger = logging.getLogger("rxorch.requests")


_PLAIN = frozenset({"accept", "accept-encoding", "content-type", "user-agent"})


def _shown(headers: Mapping[str, str]) -> dict[str, str]:
    """Names with the values of the few that never hold a secret: any other header may."""
    return {name: value if name.lower() in _PLAIN else REDACTED for name, value in headers.items()}


def _size(body: bytes | StreamedBody | None) -> str:
    length = body.length if isinstance(body, StreamedBody) else len(body or b"")
    return "stream" if length is None else f"{length} bytes"


class LoggedTransport:
    """Passes requests on to another transport and logs them at level INFO (logger `rxorch.requests`).

    Bodies are never logged, only their size. Of headers only values that cannot be secret are shown, of urls
    all but secret-looking query values; the rest is replaced by `***`.

    Args:
        transport: The one that sends.
        requests: Log each request before it is sent.
        responses: Log each answer, or the error in place of it.
    """

    stream: Callable[[Request], AbstractAsyncContextManager[StreamedResponse]]
    """Sends one request and hands out the answer as it comes. Only there where the other transport can."""

    def __init__(self, transport: Transport, *, requests: bool = True, responses: bool = True) -> None:
        self._transport = transport
        self._requests = requests
        self._responses = responses
        if isinstance(transport, StreamingTransport):
            self.stream = partial(self._stream, transport)

    @property
    def sends(self) -> int:
        """Requests put on the wire since creation."""
        return self._transport.sends

    async def send(self, request: Request) -> Response:
        """Sends one request."""
        exchange = self._begin(request)
        try:
            response = await self._transport.send(request)
        except Exception as error:
            exchange.failed(error)
            raise
        exchange.ended(response.status, len(response.content))
        return response

    async def aclose(self) -> None:
        """Closes the transport behind it."""
        await self._transport.aclose()

    @asynccontextmanager
    async def _stream(self, inner: StreamingTransport, request: Request) -> AsyncIterator[StreamedResponse]:
        exchange = self._begin(request)
        pieces = None
        try:
            async with inner.stream(request) as response:
                pieces = _Counted(response)
                yield StreamedResponse(
                    response.status, pieces, response.headers, reason=response.reason, url=response.url
                )
        except Exception as error:
            if pieces is None:
                exchange.failed(error)
            raise
        finally:
            # An error of who reads the body is not ours to tell; one of the reading is.
            if pieces is not None and pieces.failure is not None:
                exchange.failed(pieces.failure)
            elif pieces is not None:
                exchange.ended(pieces.status, pieces.size)

    def _begin(self, request: Request) -> _LoggedExchange:
        exchange = _LoggedExchange(request, self._responses)
        if self._requests:
            exchange.begun()
        return exchange


class _LoggedExchange:
    """The lines of one request and its answer."""

    def __init__(self, request: Request, responses: bool) -> None:
        self._request = request
        self._responses = responses
        self._url = request.shown_url
        self._started = time.monotonic()

    def begun(self) -> None:
        request = self._request
        logger.info(
            "%s: %s %s headers=%s body=%s",
            request.endpoint, request.method, self._url, _shown(request.headers), _size(request.body),
        )  # fmt: skip

    def failed(self, error: BaseException) -> None:
        if self._responses:
            request, kind = self._request, type(error).__name__
            logger.info("%s: %s %s failed: %s", request.endpoint, request.method, self._url, kind)

    def ended(self, status: int, size: int) -> None:
        if self._responses:
            request = self._request
            logger.info(
                "%s: %s %s -> %d, %d bytes, %.0f ms",
                request.endpoint, request.method, self._url, status, size,
                (time.monotonic() - self._started) * 1000,
            )  # fmt: skip


class _Counted:
    """The pieces of a body, counted as they are read.

    Attributes:
        status: of the answer.
        size: bytes that were read.
        failure: what the reading ended with, where that was an error.
    """

    def __init__(self, response: StreamedResponse) -> None:
        self.status = response.status
        self.size = 0
        self.failure: Exception | None = None
        self._pieces = response.pieces

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        try:
            piece = await anext(self._pieces)
        except StopAsyncIteration:
            raise
        except Exception as error:
            self.failure = error
            raise
        self.size += len(piece)
        return piece
