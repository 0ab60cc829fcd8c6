"""What the transport relies on in aiohttp and asyncio, one by one: what a new version breaks, this names."""

from __future__ import annotations

import asyncio
import inspect
from asyncio import selector_events

import aiohttp
from aiohttp import ClientRequest, StreamReader, TCPConnector
from aiohttp.abc import AbstractResolver
from aiohttp.client_proto import ResponseHandler
from aiohttp.connector import Connection
from aiohttp.http import HttpProcessingError, RawResponseMessage, StreamWriter
from aiohttp.streams import EMPTY_PAYLOAD
from yarl import URL

from rxorch.http import AioHttpTransport, Request
from rxorch.http.decoding import ACCEPT_ENCODING
from tests.conftest import ServeLoopback
from tests.http.conftest import MakeTransport


def parameters(function: object) -> list[str]:
    return list(inspect.signature(function).parameters)  # type: ignore[arg-type]


def test_the_connector_connects_for_a_request_without_a_session() -> None:
    assert parameters(TCPConnector.connect) == ["self", "req", "traces", "timeout"]
    options = parameters(TCPConnector.__init__)
    assert {"limit", "limit_per_host", "keepalive_timeout", "ttl_dns_cache", "resolver", "ssl"} <= set(
        options
    )
    assert "socket_factory" in options


async def test_a_client_request_needs_no_session_and_says_where_to_connect() -> None:
    target = ClientRequest("GET", URL("https://example.com:8443/x"))
    assert (target.host, target.port, target.is_ssl(), target.proxy) == ("example.com", 8443, True, None)
    assert target.connection_key == ClientRequest("POST", URL("https://example.com:8443/y")).connection_key
    assert target.connection_key != ClientRequest("GET", URL("https://example.com/x")).connection_key


def test_a_session_takes_what_it_is_told_to_leave_alone() -> None:
    options = parameters(aiohttp.ClientSession.__init__)
    assert {"connector", "cookie_jar", "timeout", "auto_decompress", "skip_auto_headers"} <= set(options)
    assert "_retry_connection" in aiohttp.ClientSession.ATTRS
    assert {"headers", "data", "allow_redirects"} <= set(parameters(aiohttp.ClientSession._request))


def test_a_connection_gives_its_protocol_and_goes_back_or_ends() -> None:
    for name in ("protocol", "release", "close"):
        assert hasattr(Connection, name)


async def test_the_protocol() -> None:
    protocol = ResponseHandler(asyncio.get_running_loop())
    expected = {"skip_payload", "read_until_eof", "auto_decompress"}
    assert expected <= set(parameters(protocol.set_response_params))
    assert protocol.should_close is False
    assert protocol.exception() is None
    assert protocol.transport is None
    assert protocol.closed is not None
    assert protocol.closed is protocol.closed
    protocol.abort()


async def test_bytes_that_nobody_asked_for_make_the_protocol_unfit() -> None:
    protocol = ResponseHandler(asyncio.get_running_loop())
    protocol.data_received(b"HTTP/1.1 200 OK\r\n")
    assert protocol.should_close

    protocol = ResponseHandler(asyncio.get_running_loop())
    protocol.set_response_params(read_until_eof=True, auto_decompress=False)
    protocol.data_received(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
    await protocol.read()
    assert not protocol.should_close
    protocol.data_received(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
    assert protocol.should_close


async def test_an_answer_in_one_piece_can_be_read_at_once_and_is_not_decompressed() -> None:
    protocol = ResponseHandler(asyncio.get_running_loop())
    protocol.set_response_params(read_until_eof=True, auto_decompress=False)
    protocol.data_received(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\nContent-Encoding: gzip\r\n\r\nabcd")
    message, payload = await protocol.read()
    assert isinstance(message, RawResponseMessage)
    assert (message.code, message.reason, message.chunked) == (200, "OK", False)
    assert message.headers["content-length"] == "4"
    assert payload.is_eof()
    assert payload.read_nowait() == b"abcd"
    assert payload.at_eof()


def test_the_empty_payload_reads_like_the_others() -> None:
    assert EMPTY_PAYLOAD.is_eof()
    assert EMPTY_PAYLOAD.at_eof()
    assert EMPTY_PAYLOAD.read_nowait() == b""


def test_the_names_of_the_reader() -> None:
    for name in ("is_eof", "at_eof", "readany", "read_nowait", "exception", "set_exception"):
        assert hasattr(StreamReader, name)


def test_the_writer_of_a_body_waits_where_it_is_told_to() -> None:
    assert parameters(StreamWriter.__init__)[:3] == ["self", "protocol", "loop"]
    assert parameters(StreamWriter.write)[:3] == ["self", "chunk", "drain"]
    for name in ("enable_chunking", "write_eof", "drain", "transport"):
        assert hasattr(StreamWriter, name)


async def test_a_writer_without_head_writes_chunks_and_their_end() -> None:
    written: list[bytes] = []

    class Wire(asyncio.Transport):
        def write(self, data: bytes | bytearray | memoryview) -> None:
            written.append(bytes(data))

        def is_closing(self) -> bool:
            return False

    protocol = ResponseHandler(asyncio.get_running_loop())
    protocol.transport = Wire()
    writer = StreamWriter(protocol, asyncio.get_running_loop())
    writer.enable_chunking()
    await writer.write(b"abc", drain=False)
    await writer.write_eof()
    assert b"".join(written) == b"3\r\nabc\r\n0\r\n\r\n"


def test_the_errors_are_what_they_are_taken_for() -> None:
    assert issubclass(aiohttp.ServerDisconnectedError, aiohttp.ClientError)
    assert issubclass(aiohttp.ClientOSError, OSError)
    assert issubclass(aiohttp.ClientConnectorDNSError, aiohttp.ClientConnectorError)
    assert not issubclass(HttpProcessingError, aiohttp.ClientError)
    assert HttpProcessingError(message="Bad status line:\n\n  b'x'").message.startswith("Bad status line:")


def test_a_resolver_is_two_methods() -> None:
    assert AbstractResolver.__abstractmethods__ == {"resolve", "close"}


def test_what_is_asked_for_can_be_undone() -> None:
    assert ACCEPT_ENCODING == "gzip, deflate"


async def test_reads_are_made_small_where_the_loop_lets_it(
    loopback: ServeLoopback, make_transport: MakeTransport
) -> None:
    assert selector_events._SelectorTransport.max_size == 256 * 1024
    server = await loopback({"GET /x": 204})
    transport: AioHttpTransport = make_transport()
    await transport.send(Request("GET", URL(server.url + "/x")))
    (protocol,) = transport._open
    assert protocol.transport.max_size < 128 * 1024  # type: ignore[union-attr]
