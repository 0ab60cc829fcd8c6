"""Answers that are broken, cut short or too large: never partial data, and never a connection used again."""

from __future__ import annotations

import asyncio
import gzip
import tracemalloc
import zlib
from collections.abc import Awaitable, Callable

import pytest
from yarl import URL

from rxorch.errors import ApiError, ApiNetworkError, ApiProtocolError, ApiResponseTooLargeError
from rxorch.http import Request, Response
from tests.http.conftest import BOTH, AnyTransport, only
from tests.http.raw import Peer, RawServer, ok
from tests.http.test_decoding import bomb

KINDS = BOTH

Talk = Callable[[Peer], Awaitable[None]]

OK = b"HTTP/1.1 200 OK\r\n"
LENGTH_10 = OK + b"Content-Length: 10\r\n\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"
NO_LENGTH = OK + b"\r\n"
GZIP = "Content-Encoding: gzip"
ZIPPED = gzip.compress(b"hello world " * 50)


async def turns(count: int = 5) -> None:
    """Let the other end read what was written, so that the next piece comes on its own."""
    for _ in range(count):
        await asyncio.sleep(0)


def saying(*pieces: bytes, end: str = "finish") -> Talk:
    """A server that answers one request with these pieces, then ends the connection or waits for its end."""

    async def talk(peer: Peer) -> None:
        await peer.request()
        for piece in pieces:
            await peer.send(piece)
            await turns()
        if end == "reset":
            peer.reset()
        elif end == "finish":
            peer.finish()
        else:
            await peer.gone()

    return talk


async def ask(transport: AnyTransport, talk: Talk, **options: object) -> Response:
    async with RawServer(talk) as server, asyncio.timeout(20):
        method = str(options.pop("method", "GET"))
        request = Request(method, URL(server.url + "/x?token=hunter2"), endpoint="user", **options)  # type: ignore[arg-type]
        try:
            return await transport.send(request)
        finally:
            assert request.sent
            assert transport.sends == 1


async def failure(transport: AnyTransport, talk: Talk, **options: object) -> ApiError:
    with pytest.raises(ApiError) as caught:
        await ask(transport, talk, **options)
    error = caught.value
    assert error.endpoint == "user"
    assert str(error.url).endswith("/x?token=***")
    assert "hunter2" not in str(error)
    return error


CUT_SHORT = {
    "length, then FIN": saying(LENGTH_10 + b"abc"),
    "length in two pieces, then FIN": saying(LENGTH_10, b"abc"),
    "length, then RST": saying(LENGTH_10, b"abc", end="reset"),
    "no body at all": saying(LENGTH_10),
    "in a chunk": saying(CHUNKED, b"5\r\nhe"),
    "in a chunk, then RST": saying(CHUNKED, b"5\r\nhe", end="reset"),
    "between chunks": saying(CHUNKED, b"5\r\nhello\r\n"),
    "before the last line": saying(CHUNKED, b"5\r\nhello\r\n0\r\n"),
    "no length, then RST": saying(NO_LENGTH, b"abc", end="reset"),
    "in the status line": saying(b"HTTP/1.1 20"),
    "in the head": saying(OK + b"A: b\r\n"),
    "in the head, then RST": saying(OK + b"A: b\r\n", end="reset"),
    "no answer": saying(),
    "no answer, RST": saying(end="reset"),
    "after 100 Continue": saying(b"HTTP/1.1 100 Continue\r\n\r\n"),
}


@pytest.mark.parametrize("talk", CUT_SHORT.values(), ids=CUT_SHORT.keys())
async def test_an_answer_cut_short_is_a_network_error(transport: AnyTransport, talk: Talk) -> None:
    error = await failure(transport, talk)
    assert type(error) is ApiNetworkError
    assert error.sent


ZIPPED_CUT = {
    "gzip": saying(ok(ZIPPED[:-5], GZIP)),
    "gzip without its checksum": saying(ok(ZIPPED[:-8], GZIP)),
    "gzip, until the end": saying(OK + b"Content-Encoding: gzip\r\n\r\n", ZIPPED[:-9]),
    "deflate": saying(ok(zlib.compress(b"hello" * 50)[:-3], "Content-Encoding: deflate")),
}


@pytest.mark.parametrize("talk", ZIPPED_CUT.values(), ids=ZIPPED_CUT.keys())
async def test_compressed_data_cut_short_inside_whole_framing(transport: AnyTransport, talk: Talk) -> None:
    error = await failure(transport, talk)
    assert isinstance(error, ApiProtocolError)
    assert error.sent


NOT_HTTP = {
    "another protocol": saying(b"SSH-2.0-OpenSSH_9.6\r\n", end="wait"),
    "bytes": saying(b"\x00\x00\x12\x04\x00\x00", end="wait"),
    "status line": saying(b"HTTX/1.1 200 OK\r\n\r\n", end="wait"),
    "status of four digits": saying(b"HTTP/1.1 1000 OK\r\n\r\n", end="wait"),
    "header without colon": saying(OK + b"hunter2\r\n\r\n", end="wait"),
    "NUL in a header": saying(OK + b"A: a\x00b\r\n\r\n", end="wait"),
    "500 headers": saying(OK + b"A: x\r\n" * 500 + b"\r\n", end="wait"),
    "two lengths": saying(OK + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\na", end="wait"),
    "negative length": saying(OK + b"Content-Length: -1\r\n\r\n", end="wait"),
    "length and chunks": saying(OK + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n"),
    "transfer coding": saying(OK + b"Transfer-Encoding: gzip\r\n\r\nabc"),
    "two transfer codings": saying(CHUNKED.replace(b"chunked", b"gzip, chunked") + b"1\r\na\r\n0\r\n\r\n"),
    "chunk size at once": saying(CHUNKED + b"zz\r\n", end="wait"),
    "chunk size later": saying(CHUNKED, b"5\r\nhello\r\n", b"zz\r\n", end="wait"),
    "chunk size too large": saying(CHUNKED, b"ffffffffffffffffffff\r\n", end="wait"),
    "chunk longer than it says": saying(CHUNKED, b"5\r\nhelloXX", end="wait"),
    "switched protocols": saying(b"HTTP/1.1 101 Go\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n", end="wait"),
    "not gzip": saying(ok(b"hello", GZIP), end="finish"),
    "junk after gzip": saying(ok(ZIPPED + b"junk", GZIP)),
    "unknown content coding": saying(ok(b"hello", "Content-Encoding: br")),
}


@pytest.mark.parametrize("talk", NOT_HTTP.values(), ids=NOT_HTTP.keys())
async def test_what_is_not_http_is_a_protocol_error(transport: AnyTransport, talk: Talk) -> None:
    error = await failure(transport, talk)
    assert isinstance(error, ApiProtocolError)
    assert error.sent


@only("aiohttp")
async def test_a_header_of_20_kb_is_a_protocol_error(transport: AnyTransport) -> None:
    error = await failure(transport, saying(OK + b"A: " + b"x" * 20_000 + b"\r\n\r\n", end="wait"))
    assert isinstance(error, ApiProtocolError)
    assert error.sent


FINE = {
    "in one piece": saying(ok(b"hello"), end="wait"),
    "byte by byte": saying(*(ok(b"hello")[i : i + 1] for i in range(len(ok(b"hello")))), end="wait"),
    "chunks": saying(CHUNKED, b"2\r\nhe\r\n", b"3;ext=1\r\nllo\r\n", b"0\r\nTrailer: x\r\n\r\n", end="wait"),
    "until the end": saying(NO_LENGTH, b"hel", b"lo"),
    "HTTP/1.0": saying(b"HTTP/1.0 200 OK\r\n\r\nhello"),
    "after 100 and 103": saying(
        b"HTTP/1.1 100 Continue\r\n\r\n",
        b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n",
        ok(b"hello"),
        end="wait",
    ),
    "FIN with the last byte": saying(ok(b"hello")),
    "RST after the last byte": saying(ok(b"hello"), end="reset"),
    "two gzip members": saying(ok(gzip.compress(b"hel") + gzip.compress(b"lo"), GZIP), end="wait"),
    "deflate": saying(ok(zlib.compress(b"hello"), "Content-Encoding: deflate"), end="wait"),
    "empty reason": saying(ok(b"hello").replace(b"200 OK", b"200 "), end="wait"),
}


@pytest.mark.parametrize("talk", FINE.values(), ids=FINE.keys())
async def test_unusual_but_whole(transport: AnyTransport, talk: Talk) -> None:
    async with RawServer(talk) as server, asyncio.timeout(20):
        response = await transport.send(Request("GET", URL(server.url)))
        assert (response.status, response.content) == (200, b"hello")
        await transport.aclose()


async def test_the_head_alone(transport: AnyTransport) -> None:
    async with RawServer(saying(OK + b"Content-Length: 99999999999\r\n\r\n", end="wait")) as server:
        response = await transport.send(Request("HEAD", URL(server.url)))
        assert (response.content, response.headers["Content-Length"]) == (b"", "99999999999")
        await transport.aclose()


TOO_LARGE = {
    "it says so": saying(OK + b"Content-Length: 1001\r\n\r\n", end="wait"),
    "it says so absurdly": saying(OK + b"Content-Length: 9223372036854775807\r\n\r\n", end="wait"),
    "in one piece": saying(ok(bytes(1001)), end="wait"),
    "in chunks": saying(CHUNKED, b"3e9\r\n", bytes(1001), end="wait"),
    "until the end": saying(NO_LENGTH, bytes(1001), end="wait"),
    "after decompression": saying(ok(gzip.compress(bytes(1001)), GZIP), end="wait"),
    "compressed on the wire": saying(
        OK + b"Content-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"3e9\r\n",
        bytes(1001),
        end="wait",
    ),
}


@pytest.mark.parametrize("talk", TOO_LARGE.values(), ids=TOO_LARGE.keys())
async def test_too_large_an_answer(transport: AnyTransport, talk: Talk) -> None:
    async with RawServer(talk) as server, asyncio.timeout(20):
        request = Request("GET", URL(server.url), max_response_bytes=1000)
        with pytest.raises(ApiResponseTooLargeError) as caught:
            await transport.send(request)
        assert caught.value.limit == 1000
        await transport.aclose()


async def test_the_limit_itself_is_allowed(transport: AnyTransport) -> None:
    async with RawServer(saying(ok(bytes(1000)), end="wait")) as server:
        response = await transport.send(Request("GET", URL(server.url), max_response_bytes=1000))
        assert len(response.content) == 1000
        await transport.aclose()


@pytest.mark.parametrize(
    "talk", [TOO_LARGE["it says so"], TOO_LARGE["in chunks"], NOT_HTTP["chunk size later"]]
)
async def test_the_connection_of_a_bad_answer_is_closed(transport: AnyTransport, talk: Talk) -> None:
    closed = asyncio.Event()

    async def watched(peer: Peer) -> None:
        await talk(peer)  # ends when the client closes
        closed.set()

    async with RawServer(watched) as server:
        with pytest.raises(ApiError):
            await transport.send(Request("GET", URL(server.url), max_response_bytes=1000))
        async with asyncio.timeout(20):
            await closed.wait()


async def test_a_bomb_of_2_gib_stays_below_the_limit_in_memory(transport: AnyTransport) -> None:
    body = bomb(2048)

    async with RawServer(saying(ok(body, GZIP), end="wait")) as server:
        tracemalloc.start()
        try:
            with pytest.raises(ApiResponseTooLargeError):
                await transport.send(Request("GET", URL(server.url)))
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert peak < 40_000_000
        await transport.aclose()


async def test_an_endless_body_ends_at_the_limit(transport: AnyTransport) -> None:
    async def endless(peer: Peer) -> None:
        await peer.request()
        await peer.send(NO_LENGTH)
        while True:
            await peer.send(bytes(65536))

    async with RawServer(endless) as server:
        tracemalloc.start()
        try:
            with pytest.raises(ApiResponseTooLargeError):
                await transport.send(Request("GET", URL(server.url), max_response_bytes=2_000_000))
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert peak < 12_000_000


async def test_an_endless_row_of_small_chunks_ends_at_the_limit(transport: AnyTransport) -> None:
    async def endless(peer: Peer) -> None:
        await peer.request()
        await peer.send(CHUNKED)
        while True:
            await peer.send(b"1\r\nx\r\n" * 10_000)

    async with RawServer(endless) as server:
        with pytest.raises(ApiResponseTooLargeError):
            await transport.send(Request("GET", URL(server.url), max_response_bytes=200_000))
