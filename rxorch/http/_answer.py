"""Reading one answer from a connection, whole or not at all."""

from __future__ import annotations

import select

from aiohttp import ClientOSError, ClientPayloadError, StreamReader
from aiohttp.client_proto import ResponseHandler
from aiohttp.hdrs import CONTENT_LENGTH, TRANSFER_ENCODING
from aiohttp.http import RawResponseMessage

from rxorch.errors import ApiProtocolError, ApiResponseTooLargeError

__all__ = ["is_clean", "read_answer"]


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
    while message.code < 200:
        if message.code == 101:
            raise ApiProtocolError("the server switched to another protocol", sent=True)
        message, payload = await protocol.read()
    declared = message.headers.get(CONTENT_LENGTH)
    if payload.is_eof():
        # The usual case: head and body came in one piece.
        body = payload.read_nowait()
        if len(body) > limit:
            raise ApiResponseTooLargeError(limit)
    else:
        if declared is not None and int(declared) > limit:
            raise ApiResponseTooLargeError(limit)
        body = await _read_body(protocol, payload, limit)
    if declared is None:
        _check_framing(protocol, message)
    return message, body


async def _read_body(protocol: ResponseHandler, payload: StreamReader, limit: int) -> bytes:
    def end(_: object = None) -> None:
        # aiohttp lets a reader wait for ever when the chunk framing breaks in the middle of a body.
        if not payload.is_eof() and payload.exception() is None:
            payload.set_exception(protocol.exception() or ClientPayloadError("the connection ended"))

    body = bytearray()
    closed = protocol.closed
    if closed is None:
        end()
    else:
        closed.add_done_callback(end)
    try:
        while not payload.at_eof():
            body += await payload.readany()
            if len(body) > limit:
                raise ApiResponseTooLargeError(limit)
    finally:
        if closed is not None:
            closed.remove_done_callback(end)
    return bytes(body)


def _check_framing(protocol: ResponseHandler, message: RawResponseMessage) -> None:
    """Refuse what looks like a whole body and is not, when there was no Content-Length to measure it by."""
    coding = message.headers.get(TRANSFER_ENCODING)
    if coding is not None and coding.strip().lower() != "chunked":
        raise ApiProtocolError("the answer has a transfer coding that was not asked for", sent=True)
    # A body without length ends with its connection, and aiohttp takes any end for that, a reset too.
    error = protocol.exception()
    if coding is None and isinstance(error, ClientOSError):
        raise error
