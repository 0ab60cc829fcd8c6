"""Reading one answer from a connection: whole or not at all, or piece by piece."""

from __future__ import annotations

import select

from aiohttp import ClientOSError, ClientPayloadError, StreamReader
from aiohttp.client_proto import ResponseHandler
from aiohttp.hdrs import CONTENT_LENGTH, TRANSFER_ENCODING
from aiohttp.http import RawResponseMessage

from rxorch.errors import ApiProtocolError, ApiResponseTooLargeError

__all__ = ["WireBody", "is_clean", "read_answer", "read_head"]


def is_clean(protocol: ResponseHandler, *, look_at_socket: bool) -> bool:
    """Tell whether a connection is silent, as it must be before a request.

    Bytes that nobody asked for are a late answer to some earlier request, or an attack: whatever they are,
    they would be taken for the answer to the next request. aiohttp parses what arrives on an idle
    connection and keeps it (``should_close`` tells); what the event loop has not read yet waits in the
    socket, as does the end of a connection that the server has closed.
    """
    transport = protocol.transport
    if transport is None or transport.is_closing() or protocol.should_close:
        return False
    if not look_at_socket or not hasattr(select, "poll"):
        return True
    poller = select.poll()
    poller.register(transport.get_extra_info("socket").fileno(), select.POLLIN)
    return not poller.poll(0)


async def read_answer(protocol: ResponseHandler, limit: int) -> tuple[RawResponseMessage, bytes]:
    """Wait for the final answer (1xx are passed over) and read its body, as it is on the wire.

    Raises:
        ApiResponseTooLargeError: the body is, or says that it is, larger than ``limit`` bytes.
        ApiProtocolError: the server switched protocols, or sent the body in a coding that nobody asked for.
        ClientError, HttpProcessingError: from aiohttp, when the answer is broken or incomplete.
    """
    message, payload = await protocol.read()
    if message.code < 200:
        message, payload = await _final(protocol, message)
    if payload.is_eof():
        # The usual case: head and body came in one piece.
        body = payload.read_nowait()
        if len(body) > limit:
            raise ApiResponseTooLargeError(limit)
        _check_framing(protocol, message)
        return message, body
    whole = bytearray()
    pieces = WireBody(protocol, message, payload, limit)
    try:
        while piece := await pieces.read():
            whole += piece
    finally:
        pieces.close()
    return message, bytes(whole)


async def read_head(protocol: ResponseHandler) -> tuple[RawResponseMessage, StreamReader]:
    """Wait for the final answer (1xx are passed over), of which the body may still be on its way.

    Raises:
        ApiProtocolError: the server switched protocols.
        ClientError, HttpProcessingError: from aiohttp, when the answer is broken or does not come.
    """
    message, payload = await protocol.read()
    if message.code < 200:
        message, payload = await _final(protocol, message)
    return message, payload


async def _final(
    protocol: ResponseHandler, message: RawResponseMessage
) -> tuple[RawResponseMessage, StreamReader]:
    while True:
        if message.code == 101:
            raise ApiProtocolError("the server switched to another protocol", sent=True)
        message, payload = await protocol.read()
        if message.code >= 200:
            return message, payload


class WireBody:
    """The body of an answer as it is on the wire, piece by piece.

    Args:
        protocol: the connection that it comes over.
        message: the head of the answer.
        payload: where aiohttp's parser puts the body.
        limit: most bytes that it may have; None for no limit.

    Raises:
        ApiResponseTooLargeError: it says that it is larger than ``limit``.
    """

    __slots__ = ("_closed", "_limit", "_message", "_payload", "_protocol", "_received")

    def __init__(
        self,
        protocol: ResponseHandler,
        message: RawResponseMessage,
        payload: StreamReader,
        limit: int | None,
    ) -> None:
        declared = message.headers.get(CONTENT_LENGTH)
        # What is over already has no length but its own: that of an answer to HEAD is another body's.
        if limit is not None and declared is not None and not payload.is_eof() and int(declared) > limit:
            raise ApiResponseTooLargeError(limit)
        self._protocol = protocol
        self._message = message
        self._payload = payload
        self._limit = limit
        self._received = 0
        self._closed = protocol.closed
        if self._closed is None:
            self._break_off()
        else:
            self._closed.add_done_callback(self._break_off)

    async def read(self) -> bytes:
        """The next piece; empty at the end.

        Raises:
            ApiResponseTooLargeError: more than the limit came.
            ApiProtocolError: the body has a coding that nobody asked for.
            ClientError, HttpProcessingError: from aiohttp, when the body is broken or incomplete.
        """
        while not self._payload.at_eof():
            try:
                piece = await self._payload.readany()
            except RuntimeError:  # of aiohttp: the connection is closing, which its end has yet to tell
                if self._protocol.connected:
                    raise
                raise ClientPayloadError("the connection ended") from None
            self._received += len(piece)
            if self._limit is not None and self._received > self._limit:
                raise ApiResponseTooLargeError(self._limit)
            if piece:
                return piece
        _check_framing(self._protocol, self._message)
        return b""

    @property
    def ended(self) -> bool:
        """True when all of it was read."""
        return self._payload.at_eof()

    def close(self) -> None:
        """Take no more notice of the connection."""
        if self._closed is not None:
            self._closed.remove_done_callback(self._break_off)

    def _break_off(self, _: object = None) -> None:
        # aiohttp lets a reader wait for ever when the chunk framing breaks in the middle of a body.
        payload = self._payload
        if not payload.is_eof() and payload.exception() is None:
            payload.set_exception(self._protocol.exception() or ClientPayloadError("the connection ended"))


def _check_framing(protocol: ResponseHandler, message: RawResponseMessage) -> None:
    """Refuse what looks like a whole body and is not, when there was no Content-Length to measure it by."""
    if CONTENT_LENGTH in message.headers:
        return
    coding = message.headers.get(TRANSFER_ENCODING)
    if coding is not None and coding.strip().lower() != "chunked":
        raise ApiProtocolError("the answer has a transfer coding that was not asked for", sent=True)
    # A body without length ends with its connection, and aiohttp takes any end for that, a reset too.
    error = protocol.exception()
    if coding is None and isinstance(error, ClientOSError):
        raise error
