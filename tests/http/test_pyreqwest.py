"""Where the transport on pyreqwest differs from the other, as its docstring says. When one of these fails
behind an update of pyreqwest, the docstring may have become better than it says.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from yarl import URL

from rxorch.errors import ApiConfigurationError, ApiNetworkError, ApiProtocolError, ApiValidationError
from rxorch.http import Request
from rxorch.http.pyreqwest_transport import PyreqwestTransport
from rxorch.http.tls import TlsOptions
from rxorch.http.transport import StreamingTransport
from tests.conftest import ServeLoopback
from tests.http.conftest import MakeTransport
from tests.http.raw import Peer, RawServer, ok
from tests.http.test_reuse import UNASKED, Wire, exchange, has_ended
from tests.http.test_reuse import wire as wire

KINDS = ("pyreqwest",)

AUTHORITY = Path(__file__).with_name("authority.pem")
SIGNED = Path(__file__).with_name("signed.pem")
"""A certificate for 127.0.0.1 by AUTHORITY, and its key."""

HALF = b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc"


def test_it_streams(transport: PyreqwestTransport) -> None:
    assert isinstance(transport, StreamingTransport)


async def test_cancelling_does_not_reach_a_request_without_an_answer(make_transport: MakeTransport) -> None:
    transport = make_transport(limit=1)
    asked, answer = asyncio.Event(), asyncio.Event()
    after: list[bytes] = []

    async def talk(peer: Peer) -> None:
        if peer.number == 1:
            await peer.request()
            asked.set()
            await answer.wait()
            await peer.answer(b"late")
            after.append(await peer.gone())
        else:
            await peer.request()
            await peer.answer(b"in time", "Connection: close")

    async with RawServer(talk) as server:
        request = Request("GET", URL(server.url))
        sending = asyncio.ensure_future(transport.send(request))
        await asked.wait()
        sending.cancel()
        with pytest.raises(asyncio.CancelledError):
            await sending
        assert (request.sent, transport.sends) == (True, 1)
        # Its place is free, and its connection is not used by anybody else.
        assert (await transport.send(Request("GET", URL(server.url)))).content == b"in time"
        answer.set()
        await transport.aclose()
    assert after == [b""]


async def test_silence_ends_a_request_that_nobody_waits_for(make_transport: MakeTransport) -> None:
    transport, asked = make_transport(silence=0.05), asyncio.Event()

    async def talk(peer: Peer) -> None:
        await peer.request()
        asked.set()
        await peer.gone()

    async with RawServer(talk) as server:
        sending = asyncio.ensure_future(transport.send(Request("GET", URL(server.url))))
        await asked.wait()
        sending.cancel()
        await asyncio.wait([sending])  # leaving waits until the connection is closed


@pytest.mark.parametrize("begun", [b"", HALF])
async def test_silence_is_an_error_of_the_network(make_transport: MakeTransport, begun: bytes) -> None:
    transport = make_transport(silence=0.05)

    async def talk(peer: Peer) -> None:
        await peer.request()
        await peer.send(begun)
        await peer.gone()

    async with RawServer(talk) as server:
        with pytest.raises(ApiNetworkError, match="silent for too long") as caught:
            await transport.send(Request("GET", URL(server.url)))
    assert caught.value.sent


async def test_what_is_cancelled_before_it_has_a_connection_is_not_sent_if_it_has_a_body(
    make_transport: MakeTransport,
) -> None:
    transport, hello, cancelled = make_transport(), asyncio.Event(), asyncio.Event()

    async def slow_handshake(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        hello.set()
        await cancelled.wait()
        writer.write(b"not TLS")
        writer.close()
        await writer.wait_closed()

    server = await asyncio.start_server(slow_handshake, "127.0.0.1", 0)
    request = Request("POST", URL(f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}/"), body=b"x")
    sending = asyncio.ensure_future(transport.send(request))
    await hello.wait()
    sending.cancel()
    with pytest.raises(asyncio.CancelledError):
        await sending
    assert (request.sent, transport.sends) == (False, 0)
    cancelled.set()
    await transport.aclose()
    server.close()
    await server.wait_closed()


async def test_from_the_head_on_cancelling_closes_the_connection(make_transport: MakeTransport) -> None:
    transport = make_transport(limit=1)

    async def talk(peer: Peer) -> None:
        await peer.request()
        await peer.send(HALF)
        await peer.gone()

    async with RawServer(talk) as server:
        for _ in range(3):
            async with transport.stream(Request("GET", URL(server.url))) as response:
                assert await anext(response.pieces) == b"abc"
                reading = asyncio.ensure_future(anext(response.pieces))
                await asyncio.sleep(0)
                reading.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await reading
        await transport.aclose()


async def test_who_reads_on_when_the_block_was_left_gets_no_end(transport: PyreqwestTransport) -> None:
    async def talk(peer: Peer) -> None:
        await peer.request()
        await peer.send(b"HTTP/1.1 200 OK\r\n\r\nabc")
        await peer.gone()

    async def read_on(pieces: AsyncIterator[bytes]) -> bytes:
        return b"".join([piece async for piece in pieces])

    async with RawServer(talk) as server:
        async with transport.stream(Request("GET", URL(server.url))) as response:
            assert await anext(response.pieces) == b"abc"
            reading = asyncio.ensure_future(read_on(response.pieces))
            await asyncio.sleep(0)
        with pytest.raises(ApiConfigurationError, match="inside its `async with` block"):
            await reading


async def test_a_cancellation_is_not_lost_to_an_answer_that_is_there(make_transport: MakeTransport) -> None:
    """pyreqwest, asked with both at once, may say either."""
    transport = make_transport(connection_reuse=False)
    listener = socket.create_server(("127.0.0.1", 0))
    over = threading.Semaphore(0)

    def serve() -> None:
        for _ in range(20):
            peer, _ = listener.accept()
            with peer:
                peer.recv(65536)
                peer.send(ok(b"hello"))
                assert peer.recv(1) == b""  # pyreqwest has read the answer, and closed
            over.release()

    thread = threading.Thread(target=serve)
    thread.start()
    request = Request("GET", URL(f"http://127.0.0.1:{listener.getsockname()[1]}/"))
    cancelled = 0
    for _ in range(20):
        sending = asyncio.ensure_future(transport.send(request))
        await asyncio.sleep(0)
        over.acquire(timeout=20)  # the event loop stands still
        if sending.cancel():  # else the answer was faster than this loop
            cancelled += 1
            with pytest.raises(asyncio.CancelledError):
                await sending
    assert cancelled > 5
    thread.join()
    listener.close()


async def test_no_connection_is_kept_by_default(loopback: ServeLoopback) -> None:
    server = await loopback({"GET /x": 204})
    transport = PyreqwestTransport()
    for _ in range(3):
        await transport.send(Request("GET", URL(server.url + "/x")))
    await transport.aclose()
    assert server.connections_made == 3
    assert {seen.headers["Connection"] for seen in server.seen} == {"close"}


@pytest.mark.parametrize("unasked", [*UNASKED.values(), b""], ids=[*UNASKED.keys(), "the end"])
async def test_what_comes_unasked_ends_an_idle_connection(
    transport: PyreqwestTransport, wire: Wire, unasked: bytes
) -> None:
    first = await exchange(transport, wire, b"one")
    if unasked:
        first.send(unasked)
    else:
        first.shutdown(1)
    assert await has_ended(first)
    second = await exchange(transport, wire, b"two")
    assert second is not first


class HoldsTheThread:
    """A body whose piece takes until it is let go: the thread of pyreqwest does nothing else meanwhile."""

    def __init__(self) -> None:
        self.held = threading.Event()
        self.let_go = threading.Event()

    def __iter__(self) -> Iterator[bytes]:
        self.held.set()
        self.let_go.wait(20)
        yield b"x"


async def test_why_no_connection_is_kept_by_default(transport: PyreqwestTransport, wire: Wire) -> None:
    """An unasked answer lies in the socket before the request is made, and is believed.

    The thread is busy meanwhile; when it is free it writes the request before it looks at the socket. When
    this test fails, hyper looks first, and ``connection_reuse=True`` may become the default.
    """
    first = await exchange(transport, wire, b"one")
    body = HoldsTheThread()
    client: Any = transport._client
    other = Wire()
    holding = asyncio.ensure_future(client.post(str(other.url)).body_stream(iter(body)).build().send())
    answering = asyncio.ensure_future(other.serve(ok(b"")))
    while not body.held.is_set():
        await asyncio.sleep(0)
    first.send(ok(b"WRONG"))
    sending = asyncio.ensure_future(transport.send(Request("GET", wire.url)))
    for _ in range(5):
        await asyncio.sleep(0)
    body.let_go.set()
    assert (await sending).content == b"WRONG"
    for task in (holding, answering):
        task.cancel()
    await asyncio.gather(holding, answering, return_exceptions=True)
    other.close()


# --- urls and headers ---------------------------------------------------------------------------------------

REWRITTEN = ["/%2e%2e/admin", "/a/%2E%2e/b", "/a/./b", "/a/../b", "/a\\b", '/a"b', "/a{b}", "/a?b='c'"]


@pytest.mark.parametrize("path", REWRITTEN)
async def test_a_url_that_reqwest_would_rewrite_is_refused(transport: PyreqwestTransport, path: str) -> None:
    request = Request("GET", URL(f"http://127.0.0.1:9{path}", encoded=True), endpoint="user")
    with pytest.raises(ApiValidationError, match="reqwest would rewrite") as caught:
        await transport.send(request)
    assert (caught.value.endpoint, request.sent, transport.sends) == ("user", False, 0)


SAME = [
    "/",
    "/a%2Fb",
    "/%E2%82%AC",
    "/%e2%82%ac",
    "//a//b",
    "/a%zz",
    "/a;b,c:d@e!$&()*+=~'",
    "/a|b",
    "/%252e",
]


@pytest.mark.parametrize("path", SAME)
@pytest.mark.parametrize("query", ["", "?", "?a=%2F%20+b", "?a=b&a=c#f", "?%27", "?a={}"])
async def test_every_other_url_goes_out_byte_for_byte(
    transport: PyreqwestTransport, path: str, query: str
) -> None:
    heads: list[bytes] = []

    async def talk(peer: Peer) -> None:
        heads.append(await peer.request())
        await peer.answer(b"")

    async with RawServer(talk) as server:
        url = URL(server.url + path + query, encoded=True)
        await transport.send(Request("GET", url))
        await transport.aclose()
    assert heads[0].split(b" ")[1].decode() == url.raw_path_qs


async def test_the_whole_head_of_a_request(transport: PyreqwestTransport) -> None:
    heads: list[bytes] = []

    async def talk(peer: Peer) -> None:
        heads.append(await peer.request())
        await peer.answer(b"")

    async with RawServer(talk) as server:
        headers = {"x-ABC": "ü", "accept": "text/html"}
        await transport.send(Request("POST", URL(server.url + "/x"), headers))
        await transport.aclose()
        host = server.url.removeprefix("http://").encode()
    line, *lines = heads[0].split(b"\r\n")[:-2]
    assert line == b"POST /x HTTP/1.1"
    assert sorted(lines) == sorted(
        [
            b"Host: " + host,
            b"X-Abc: \xc3\xbc",
            b"Accept: text/html",
            b"Accept-Encoding: gzip, deflate",
            b"User-Agent: rxorch",
            b"Content-Length: 0",
        ]
    )


async def test_headers_that_are_not_ascii_are_left_out(transport: PyreqwestTransport) -> None:
    async def talk(peer: Peer) -> None:
        await peer.request()
        await peer.send(b"HTTP/1.1 200 OK\r\nA: \xc3\xbc\r\nB: b\r\nSet-Cookie: 1\r\nSet-Cookie: 2\r\n")
        await peer.send(b"Content-Length: 0\r\n\r\n")

    async with RawServer(talk) as server:
        response = await transport.send(Request("GET", URL(server.url)))
    assert list(response.headers.items()) == [
        ("b", "b"),
        ("set-cookie", "1"),
        ("set-cookie", "2"),
        ("content-length", "0"),
    ]


async def test_framing_that_cannot_be_read_is_an_error(transport: PyreqwestTransport) -> None:
    async def talk(peer: Peer) -> None:
        await peer.request()
        await peer.answer(b"abc", "Content-Encoding: gzip\u00fc")

    async with RawServer(talk) as server:
        with pytest.raises(ApiProtocolError, match="a header of its framing"):
            await transport.send(Request("GET", URL(server.url)))


async def test_a_head_of_20_kb_is_read(transport: PyreqwestTransport) -> None:
    async def talk(peer: Peer) -> None:
        await peer.request()
        await peer.answer(b"", "A: " + "x" * 20_000)

    async with RawServer(talk) as server:
        response = await transport.send(Request("GET", URL(server.url)))
    assert len(response.headers["a"]) == 20_000


async def test_a_server_that_speaks_first_is_believed(transport: PyreqwestTransport) -> None:
    async def talk(peer: Peer) -> None:
        await peer.answer(b"unasked")
        await peer.gone()

    async with RawServer(talk) as server:
        response = await transport.send(Request("GET", URL(server.url)))
        assert response.content == b"unasked"
        await transport.aclose()


async def test_a_proxy(make_transport: MakeTransport) -> None:
    heads: list[bytes] = []

    async def talk(peer: Peer) -> None:
        heads.append(await peer.request())
        await peer.answer(b"by proxy")

    async with RawServer(talk) as server:
        transport = make_transport(proxy=server.url.replace("http://", "http://me:p%40ss@"))
        response = await transport.send(Request("GET", URL("http://shop.test/x?y=1")))
        await transport.aclose()
    assert response.content == b"by proxy"
    assert heads[0].startswith(b"GET http://shop.test/x?y=1 HTTP/1.1\r\n")
    assert b"\r\nproxy-authorization: basic bwu6cebzcw==\r\n" in heads[0].lower()
    assert b"\r\nHost: shop.test\r\n" in heads[0]


async def test_a_proxy_that_opens_no_tunnel(make_transport: MakeTransport) -> None:
    async def talk(peer: Peer) -> None:
        assert (await peer.request()).startswith(b"CONNECT shop.test:443 HTTP/1.1\r\n")
        await peer.send(b"HTTP/1.1 403 hunter2\r\nContent-Length: 0\r\n\r\n")

    async with RawServer(talk) as server:
        transport = make_transport(proxy=server.url)
        request = Request("GET", URL("https://shop.test/"))
        with pytest.raises(ApiNetworkError, match="the proxy does not open a tunnel") as caught:
            await transport.send(request)
    assert (caught.value.sent, request.sent, transport.sends) == (False, False, 0)


def server_side(*, asks: bool = False) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(SIGNED)
    if asks:
        context.load_verify_locations(AUTHORITY)
        context.verify_mode = ssl.CERT_REQUIRED
    return context


async def echo_paths(peer: Peer) -> None:
    while True:
        await peer.answer((await peer.request()).split(b" ")[1])


@pytest.mark.parametrize(
    "tls",
    [
        TlsOptions(ca_file=AUTHORITY),
        TlsOptions(ca_file=AUTHORITY, minimum="1.3"),
        TlsOptions(verify=False),
        TlsOptions(ca_file=AUTHORITY, certificate=SIGNED),
        TlsOptions(ca_file=AUTHORITY, certificate=SIGNED, key=SIGNED),
    ],
)
async def test_a_trusted_server_is_called_over_one_connection(
    make_transport: MakeTransport, tls: TlsOptions
) -> None:
    transport = make_transport(tls=tls)
    async with RawServer(echo_paths, server_side(asks=tls.certificate is not None)) as server:
        for number in range(3):
            response = await transport.send(Request("GET", URL(f"{server.url}/{number}")))
            assert response.content == b"/%d" % number
        assert (transport.sends, server.connections) == (3, 1)
        await transport.aclose()


@pytest.mark.parametrize(
    ("tls", "host", "says"),
    [
        (None, "127.0.0.1", "certificate is not trusted"),
        (TlsOptions(ca_file=AUTHORITY), "localhost", "certificate is not trusted"),
    ],
)
async def test_a_server_that_is_not_trusted_gets_nothing(
    make_transport: MakeTransport, tls: TlsOptions | None, host: str, says: str
) -> None:
    transport = make_transport(tls=tls)
    async with RawServer(echo_paths, server_side()) as server:
        request = Request("POST", URL(server.url).with_host(host), {"Authorization": "Bearer hunter2"}, b"x")
        with pytest.raises(ApiNetworkError, match=says) as caught:
            await transport.send(request)
    assert (caught.value.sent, request.sent, transport.sends) == (False, False, 0)


async def test_an_old_version_of_tls_is_refused(make_transport: MakeTransport) -> None:
    transport = make_transport(tls=TlsOptions(ca_file=AUTHORITY, minimum="1.3"))
    old = server_side()
    old.maximum_version = ssl.TLSVersion.TLSv1_2
    async with RawServer(echo_paths, old) as server:
        with pytest.raises(ApiNetworkError, match="TLS handshake failed") as caught:
            await transport.send(Request("GET", URL(server.url)))
    assert not caught.value.sent


async def test_a_server_without_tls(transport: PyreqwestTransport) -> None:
    async def plain(peer: Peer) -> None:
        await peer.send(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    async with RawServer(plain) as server:
        with pytest.raises(ApiNetworkError, match="TLS handshake failed") as caught:
            await transport.send(Request("GET", URL(server.url.replace("http", "https"))))
    assert not caught.value.sent


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"silence": 0}, "silence must be"),
        ({"keepalive": -1}, "keepalive must be"),
        ({"limit": -1}, "limit is a number"),
        ({"proxy": "ftp://x/"}, "proxy: "),
        ({"tls": TlsOptions(certificate=SIGNED, key_password="x")}, "key_password"),
        ({"tls": TlsOptions(ca_file="missing.pem")}, "ca_file 'missing.pem' cannot be read"),
    ],
)
def test_options_that_cannot_be(options: dict[str, Any], says: str) -> None:
    with pytest.raises(ApiConfigurationError, match=says):
        PyreqwestTransport(**options)


async def test_no_limit(loopback: ServeLoopback, make_transport: MakeTransport) -> None:
    gate = asyncio.Event()

    async def hold(request: web.Request) -> int:
        await gate.wait()
        return 204

    server = await loopback({"GET /x": hold})
    transport = make_transport(limit=0)
    sending = [
        asyncio.ensure_future(transport.send(Request("GET", URL(server.url + "/x")))) for _ in range(150)
    ]
    await server.until_in_flight(150)
    gate.set()
    assert {response.status for response in await asyncio.gather(*sending)} == {204}
