"""Answers that are read while they come."""

from __future__ import annotations

import asyncio
import gzip
import zlib
from typing import Any

import pytest
from aioresponses import aioresponses
from yarl import URL

from rxorch.errors import (
    ApiConfigurationError,
    ApiNetworkError,
    ApiProtocolError,
    ApiResponseTooLargeError,
)
from rxorch.http import Request
from rxorch.http.transport import StreamingTransport
from tests.conftest import ServeLoopback
from tests.http.conftest import BOTH, AnyTransport, MakeTransport, only
from tests.http.raw import Peer, RawServer, ok
from tests.http.test_aioresponses import answers_of_this_aiohttp as answers_of_this_aiohttp
from tests.http.test_decoding import bomb
from tests.http.test_upload import MANY, PIECE, turns

KINDS = BOTH

HEAD = b"HTTP/1.1 200 OK\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
GZIPPED = HEAD + b"Content-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n"


def get(url: str, **options: Any) -> Request:
    return Request("GET", URL(url), endpoint="down", **options)


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def saying(*sent: bytes, reset: bool = False) -> Any:
    """A peer that answers each request with these bytes and then ends the connection."""

    async def talk(peer: Peer) -> None:
        await peer.request()
        for data in sent:
            await peer.send(data)
        if reset:
            peer.reset()

    return talk


async def answering(peer: Peer) -> None:
    """A peer that answers one request after another."""
    while True:
        await peer.request()
        await peer.send(CHUNKED + chunk(b"one") + chunk(b"two") + b"0\r\n\r\n")


def test_it_is_a_streaming_transport(transport: AnyTransport) -> None:
    assert isinstance(transport, StreamingTransport)


async def test_pieces_come_before_the_end(transport: AnyTransport, kind: str) -> None:
    seen = asyncio.Event()

    async def talk(peer: Peer) -> None:
        await peer.request()
        await peer.send(HEAD + b"Transfer-Encoding: chunked\r\nX-A: 1\r\n\r\n" + chunk(b"one"))
        await seen.wait()
        await peer.send(chunk(b"two") + b"0\r\n\r\n")

    async with RawServer(talk) as server:
        request = get(server.url + "/x?token=abc")
        async with transport.stream(request) as response:
            reason = "OK" if kind == "aiohttp" else ""
            assert (response.status, response.reason, response.ok) == (200, reason, True)
            assert (response.headers["x-a"], response.url) == ("1", server.url + "/x?token=abc")
            assert (request.sent, transport.sends) == (True, 1)
            assert await anext(response.pieces) == b"one"
            seen.set()
            assert [piece async for piece in response.pieces] == [b"two"]
            assert [piece async for piece in response.pieces] == []


async def test_compressed_pieces_come_before_the_end(transport: AnyTransport) -> None:
    seen = asyncio.Event()

    async def talk(peer: Peer) -> None:
        await peer.request()
        deflater = zlib.compressobj(wbits=31)
        await peer.send(GZIPPED + chunk(deflater.compress(b"one") + deflater.flush(zlib.Z_SYNC_FLUSH)))
        await seen.wait()
        await peer.send(chunk(deflater.compress(b"two") + deflater.flush()) + b"0\r\n\r\n")

    async with RawServer(talk) as server, transport.stream(get(server.url)) as response:
        assert await anext(response.pieces) == b"one"
        seen.set()
        assert [piece async for piece in response.pieces] == [b"two"]


@pytest.mark.parametrize("way", ["read", "pieces", "last piece"])
async def test_a_connection_whose_answer_was_read_is_used_again(transport: AnyTransport, way: str) -> None:
    async with RawServer(answering) as server, RawServer(answering) as other:
        for _ in range(3):
            async with transport.stream(get(server.url)) as response:
                if way == "read":
                    whole = await response.read()
                    assert (whole.content, whole.status, whole.url) == (b"onetwo", 200, server.url)
                elif way == "pieces":
                    assert b"".join([piece async for piece in response.pieces]) == b"onetwo"
                else:
                    read = b""
                    while len(read) < 6:
                        read += await anext(response.pieces)
                    # By the end of a whole exchange the client has seen what came before it: the last chunk.
                    await transport.send(get(other.url))
        assert server.connections == 1
        await transport.aclose()


async def test_the_end_of_the_body_frees_the_connection(make_transport: MakeTransport) -> None:
    transport = make_transport(limit=1)
    async with RawServer(answering) as server:
        async with transport.stream(get(server.url)) as response:
            await response.read()
            assert (await transport.send(get(server.url))).content == b"onetwo"
        await transport.aclose()
    assert server.connections == 1


async def interrupted(peer: Peer) -> None:
    await peer.request()
    await peer.send(CHUNKED + chunk(b"one"))
    await peer.gone()


async def test_leaving_early_ends_the_connection(transport: AnyTransport) -> None:
    async with RawServer(interrupted) as server:
        for _ in range(2):
            async with transport.stream(get(server.url)) as response:
                assert await anext(response.pieces) == b"one"
        assert server.connections == 2
        with pytest.raises(ApiConfigurationError, match="inside its `async with` block"):
            await anext(response.pieces)


@pytest.mark.parametrize("error", [OSError(5, "mine"), asyncio.CancelledError()])
async def test_an_error_of_the_reader_is_its_own(transport: AnyTransport, error: BaseException) -> None:
    async with RawServer(interrupted) as server:
        with pytest.raises(type(error)) as caught:
            async with transport.stream(get(server.url)) as response:
                assert await anext(response.pieces) == b"one"
                raise error
    assert caught.value is error


async def test_leaving_without_a_look_ends_the_connection(transport: AnyTransport) -> None:
    async def talk(peer: Peer) -> None:
        await peer.request()
        await peer.send(CHUNKED)
        await peer.gone()

    async with RawServer(talk) as server, transport.stream(get(server.url)):
        pass


async def test_without_reuse_each_answer_has_its_own_connection(make_transport: MakeTransport) -> None:
    transport = make_transport(connection_reuse=False)
    async with RawServer(saying(ok(b"{}"))) as server:
        for _ in range(2):
            async with transport.stream(get(server.url)) as response:
                assert (await response.read()).content == b"{}"
        assert server.connections == 2


@pytest.mark.parametrize(("method", "status"), [("HEAD", 200), ("GET", 204), ("GET", 304)])
async def test_answers_without_a_body(
    loopback: ServeLoopback, transport: AnyTransport, method: str, status: int
) -> None:
    server = await loopback({"/x": "hello" if method == "HEAD" else status})
    for _ in range(2):
        async with transport.stream(Request(method, URL(server.url + "/x"))) as response:
            assert (response.status, [piece async for piece in response.pieces]) == (status, [])
    assert server.connections_made == 1


BROKEN = {
    "nothing": ((), False, ApiNetworkError, "closed the connection without an answer"),
    "no http": ((b"hello\r\n\r\n",), False, ApiProtocolError, "not valid HTTP"),
    "length": ((HEAD + b"Content-Length: 10\r\n\r\nabc",), False, ApiNetworkError, "cut short"),
    "chunks": ((CHUNKED + chunk(b"abc"),), False, ApiNetworkError, "cut short"),
    "framing": ((CHUNKED + chunk(b"abc"), b"zz\r\n"), False, ApiProtocolError, "not valid HTTP"),
    "gzip": (
        (GZIPPED + chunk(gzip.compress(b"abc")[:-4]) + b"0\r\n\r\n",),
        False,
        ApiProtocolError,
        "cut short",
    ),
    "behind": (
        (GZIPPED + chunk(gzip.compress(b"abc") + b"junk") + b"0\r\n\r\n",),
        False,
        ApiProtocolError,
        "damaged",
    ),
    "brotli": (
        (HEAD + b"Content-Encoding: br\r\nContent-Length: 3\r\n\r\nabc",),
        False,
        ApiProtocolError,
        "'br' is not supported",
    ),
    "transfer": (
        (HEAD + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",),
        False,
        ApiProtocolError,
        "transfer coding|not valid HTTP",
    ),
    "reset": ((CHUNKED + chunk(b"abc"),), True, ApiNetworkError, "cut short"),
    "reset open": ((HEAD + b"\r\nabc",), True, ApiNetworkError, "Connection reset by peer"),
}


@pytest.mark.parametrize("case", BROKEN)
async def test_a_broken_answer_is_an_error_of_its_reader(
    transport: AnyTransport, kind: str, case: str
) -> None:
    sent, reset, error, says = BROKEN[case]
    if (kind, case) == ("pyreqwest", "reset"):
        says = "Connection reset by peer"
    async with RawServer(saying(*sent, reset=reset)) as server:
        request = get(server.url + "/x")
        with pytest.raises(error, match=says) as caught:
            async with transport.stream(request) as response:
                async for _ in response.pieces:
                    pass
    assert (caught.value.sent, caught.value.endpoint, caught.value.url) == (True, "down", server.url + "/x")
    assert caught.value.__context__ is None or caught.value.__suppress_context__


async def test_an_error_stays(transport: AnyTransport) -> None:
    talk = saying(*BROKEN["length"][0])
    async with RawServer(talk) as server, transport.stream(get(server.url)) as response:
        assert await anext(response.pieces) == b"abc"
        for _ in range(3):
            with pytest.raises(ApiNetworkError, match="cut short"):
                await anext(response.pieces)


async def endless(peer: Peer) -> None:
    await peer.request()
    await peer.send(CHUNKED)
    while True:
        await peer.send(chunk(b"x" * 1000))


async def test_the_limit_holds_on_the_wire(transport: AnyTransport) -> None:
    async with RawServer(endless) as server:
        with pytest.raises(ApiResponseTooLargeError) as caught:
            async with transport.stream(get(server.url, max_response_bytes=10_000)) as response:
                async for _ in response.pieces:
                    pass
    assert (caught.value.limit, caught.value.endpoint) == (10_000, "down")


async def test_what_says_that_it_is_too_large_is_not_waited_for(transport: AnyTransport) -> None:
    async def talk(peer: Peer) -> None:
        await peer.request()
        await peer.send(HEAD + b"Content-Length: 10001\r\n\r\n")
        await peer.gone()

    async with RawServer(talk) as server:
        with pytest.raises(ApiResponseTooLargeError):
            async with transport.stream(get(server.url, max_response_bytes=10_000)):
                pass


async def test_the_limit_holds_after_decompression(transport: AnyTransport) -> None:
    opened = 0
    async with RawServer(saying(GZIPPED + chunk(bomb(500)) + b"0\r\n\r\n")) as server:
        with pytest.raises(ApiResponseTooLargeError):
            async with transport.stream(get(server.url, max_response_bytes=1_000_000)) as response:
                async for piece in response.pieces:
                    opened += len(piece)
    assert opened <= 1_000_000


async def test_without_a_limit_anything_may_come(transport: AnyTransport) -> None:
    largest = total = 0
    talk = saying(GZIPPED + chunk(gzip.compress(bytes(50_000_000))) + b"0\r\n\r\n")
    request = get("", max_response_bytes=None)
    async with RawServer(talk) as server:
        request.url = URL(server.url)
        async with transport.stream(request) as response:
            async for piece in response.pieces:
                largest, total = max(largest, len(piece)), total + len(piece)
    assert (total, largest <= 256 * 1024) == (50_000_000, True)


async def test_only_a_stream_may_be_without_a_limit(transport: AnyTransport) -> None:
    with pytest.raises(ApiConfigurationError, match="max_response_bytes=None"):
        await transport.send(get("http://127.0.0.1:9/", max_response_bytes=None))


async def test_a_server_sends_no_faster_than_its_answer_is_read(transport: AnyTransport) -> None:
    sent, size = 0, 64 * 1024

    async def talk(peer: Peer) -> None:
        nonlocal sent
        await peer.request()
        await peer.send(CHUNKED)
        for _ in range(1000):
            await peer.send(chunk(b"x" * size))
            sent += 1
        await peer.send(b"0\r\n\r\n")

    request = get("", max_response_bytes=None)
    async with RawServer(talk) as server:
        request.url = URL(server.url)
        async with transport.stream(request) as response:
            assert await anext(response.pieces)
            await turns()
            assert sent < 500
            rest = sum([len(piece) async for piece in response.pieces])
    assert (sent, rest < 1000 * size) == (1000, True)


@pytest.mark.parametrize("head", [CHUNKED, HEAD + b"\r\n", HEAD + b"Content-Length: 100\r\n\r\n"])
async def test_closing_the_transport_ends_a_stream(make_transport: MakeTransport, head: bytes) -> None:
    transport = make_transport()

    async def talk(peer: Peer) -> None:
        await peer.request()
        await peer.send(head + (chunk(b"one") if head == CHUNKED else b"one"))
        await peer.gone()

    async with RawServer(talk) as server:
        with pytest.raises(ApiNetworkError, match="the transport was closed"):
            async with transport.stream(get(server.url)) as response:
                assert await anext(response.pieces) == b"one"
                await transport.aclose()
                await anext(response.pieces)


async def test_a_transport_that_closes_between_two_pieces_ends_a_stream(transport: AnyTransport) -> None:
    async with RawServer(interrupted) as server:
        with pytest.raises(ApiNetworkError, match="the transport was closed"):
            async with transport.stream(get(server.url)) as response:
                assert await anext(response.pieces) == b"one"
                closing = asyncio.ensure_future(transport.aclose())
                await asyncio.sleep(0)
                await anext(response.pieces)
    await closing


async def test_closing_the_transport_does_not_end_a_body_of_no_length(make_transport: MakeTransport) -> None:
    transport, read = make_transport(), asyncio.Event()

    async def talk(peer: Peer) -> None:
        await peer.request()
        await peer.send(HEAD + b"\r\n")
        for _ in range(MANY):
            await peer.send(PIECE)
        read.set()  # what went out is more than the buffers hold
        await peer.gone()

    async with RawServer(talk) as server:
        request = get(server.url, max_response_bytes=2 * MANY * len(PIECE))
        sending = asyncio.ensure_future(transport.send(request))
        await read.wait()
        await transport.aclose()
        with pytest.raises(ApiNetworkError, match="the transport was closed"):
            await sending


async def test_a_read_that_is_cancelled_loses_nothing(transport: AnyTransport) -> None:
    goes_on = asyncio.Event()

    async def talk(peer: Peer) -> None:
        await peer.request()
        await peer.send(CHUNKED)
        await goes_on.wait()
        await peer.send(chunk(b"one") + b"0\r\n\r\n")

    async with RawServer(talk) as server, transport.stream(get(server.url)) as response:
        reading = asyncio.ensure_future(response.pieces.__anext__())
        await turns(20)
        reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading
        goes_on.set()
        assert (await response.read()).content == b"one"


@only("aiohttp")
async def test_cancelling_before_the_head_comes(make_transport: MakeTransport) -> None:
    transport, asked = make_transport(limit=1), asyncio.Event()

    async def talk(peer: Peer) -> None:
        await peer.request()
        asked.set()
        await peer.gone()

    async def enter(url: str) -> None:
        async with transport.stream(get(url)):
            raise AssertionError("unreachable")

    async with RawServer(talk) as server:
        for _ in range(2):
            entering = asyncio.ensure_future(enter(server.url))
            await asked.wait()
            asked.clear()
            entering.cancel()
            with pytest.raises(asyncio.CancelledError):
                await entering
        assert server.connections == 2


async def test_a_stream_that_is_never_entered_sends_nothing(transport: AnyTransport) -> None:
    transport.stream(get("http://127.0.0.1:9/"))
    assert transport.sends == 0


async def test_a_refused_connection_is_not_a_send(transport: AnyTransport) -> None:
    request = get("http://no-such-host.invalid/")
    with pytest.raises(ApiNetworkError) as caught:
        async with transport.stream(request):
            pass
    assert (caught.value.sent, request.sent, transport.sends) == (False, False, 0)


@only("aiohttp")
@pytest.mark.usefixtures("answers_of_this_aiohttp")
async def test_a_double_answers_a_stream(transport: AnyTransport) -> None:
    with aioresponses() as mock:
        mock.get("http://shop.test/x", status=207, body=b"hello", headers={"X-A": "1"}, repeat=True)
        request = get("http://shop.test/x", max_response_bytes=None)
        async with transport.stream(request) as response:
            assert (response.status, response.headers["x-a"], request.sent) == (207, "1", True)
            assert [piece async for piece in response.pieces] == [b"hello"]
        with pytest.raises(ApiResponseTooLargeError):
            async with transport.stream(get("http://shop.test/x", max_response_bytes=4)):
                pass
    assert transport.sends == 2


async def test_many_streams_at_once(loopback: ServeLoopback, make_transport: MakeTransport) -> None:
    transport = make_transport(limit=7)
    server = await loopback({"GET /{id}": lambda request: request.match_info["id"] * 100_000})

    async def read(number: int) -> None:
        async with transport.stream(get(f"{server.url}/{number}")) as response:
            assert (await response.read()).text == str(number) * 100_000

    await asyncio.gather(*(read(number) for number in range(100)))
    assert (transport.sends, server.connections_made <= 7) == (100, True)
