"""One request and its answer over one connection, of which a body goes or comes piece by piece."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final, Protocol, Self

from aiohttp import ServerDisconnectedError
from aiohttp.client_proto import ResponseHandler
from aiohttp.connector import Connection
from aiohttp.hdrs import CONTENT_ENCODING

from rxorch.errors import ApiConfigurationError
from rxorch.http._failures import raise_instead
from rxorch.http.aiohttp_transport.answer import WireBody, read_head
from rxorch.http.aiohttp_transport.upload import Upload
from rxorch.http.decoding import BodyDecoder
from rxorch.http.request import Request
from rxorch.http.streamed import StreamedResponse

__all__ = ["Exchange"]

_GOES_ON: Final = 300
"""Below, an answer that comes before the request is out accepts it, and the rest of the request is sent."""


class LetGo(Protocol):
    """Takes a connection back; False when it was closed while it was away."""

    def __call__(self, connection: Connection, *, whole: bool) -> bool: ...


class Exchange:
    """Owns a connection from the request to the end of the answer, and iterates over the answer's body.

    The end of the body gives the connection back; an error, or ``close`` before the end, ends it.

    Args:
        connection: a fresh or idle one, on which nothing was sent for this request.
        request: what is sent.
        upload: its body, where that is a ``StreamedBody``.
        error_of: tells what a failure is raised as.
        let_go: takes the connection back; ``whole`` when request and answer are over.
    """

    def __init__(
        self,
        connection: Connection,
        request: Request,
        upload: Upload | None,
        error_of: Callable[[BaseException], BaseException],
        let_go: LetGo,
    ) -> None:
        self._connection: Connection | None = connection
        self._request = request
        self._upload = upload
        self._error_of = error_of
        self._let_go = let_go
        self._body: WireBody | None = None
        self._decoder = BodyDecoder("", None)
        self._parts: Iterator[bytes] = iter(())
        self._failure: BaseException | None = None
        self._ended = False

    async def begin(self, ask: Callable[[ResponseHandler], None]) -> StreamedResponse:
        """Send the request and wait for the head of the answer.

        Args:
            ask: puts the head of the request on the connection, and its body unless that is an ``Upload``.

        Raises:
            ApiResponseTooLargeError: the answer says that it is larger than the request allows.
            ClientError, HttpProcessingError: from aiohttp, when the answer is broken or does not come.
        """
        assert self._connection is not None
        protocol = self._connection.protocol
        assert protocol is not None
        upload, limit = self._upload, self._request.max_response_bytes
        ask(protocol)
        if upload is not None:
            upload.start(protocol)
        message, payload = await read_head(protocol)
        if upload is not None:
            upload.raise_error()
            if not upload.complete and message.code >= _GOES_ON:
                await upload.stop()
        self._body = WireBody(protocol, message, payload, limit)
        self._decoder = BodyDecoder(message.headers.get(CONTENT_ENCODING, ""), limit)
        url = self._request.url
        return StreamedResponse(message.code, self, message.headers, reason=message.reason, url=url)

    def close(self) -> None:
        """Leave the exchange wherever it stands. Unless the body was read to its end, the connection ends."""
        self._end(whole=self._body is not None and self._body.ended and self._failure is None)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        if self._failure is not None:
            raise self._failure
        if self._ended:
            raise StopAsyncIteration
        if self._connection is None:
            raise ApiConfigurationError("the body of a stream is read inside its `async with` block")
        try:
            piece = await self._read()
            # Where the end of the connection is the end of the body, it must not be we who ended it.
            if piece is None and not self._end(whole=True):
                raise ServerDisconnectedError
        except Exception as failure:
            self._end(whole=False)
            self._failure = self._error_of(failure)
            raise_instead(self._failure, failure)
        if piece is None:
            raise StopAsyncIteration
        return piece

    async def _read(self) -> bytes | None:
        assert self._body is not None
        while True:
            for part in self._parts:
                return part
            data = await self._body.read()
            if self._upload is not None:
                self._upload.raise_error()
            if not data:
                self._decoder.finish()
                return None
            self._parts = self._decoder.feed(data)

    def _end(self, *, whole: bool) -> bool:
        connection, self._connection = self._connection, None
        if self._body is not None:
            self._body.close()
        if connection is None:
            return False
        self._ended = whole
        return self._let_go(connection, whole=whole and (self._upload is None or self._upload.complete))
