"""Bodies that are made while they are sent."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from aiohttp import ClientSession, web
from aioresponses import CallbackResult, aioresponses
from yarl import URL

from rxorch.errors import ApiNetworkError, ApiValidationError
from rxorch.http import Request
from rxorch.http.body import StreamedBody
from tests.conftest import ServeLoopback
from tests.http.conftest import BOTH, AnyTransport, MakeTransport, only
from tests.http.raw import Peer, RawServer
from tests.http.test_aioresponses import answers_of_this_aiohttp as answers_of_this_aiohttp

KINDS = BOTH

PIECE = b"x" * 64 * 1024
MANY = 1000
"""So many pieces are more than all buffers between client and server hold."""


def post(url: str, body: StreamedBody, **options: Any) -> Request:
    return Request("POST", URL(url), body=body, endpoint="up", **options)


class Source:
    """An async iterable of pieces that counts what was taken, and knows when it was closed."""

    def __init__(
        self, pieces: int = MANY, fails_after: int | None = None, error: Exception | None = None
    ) -> None:
        self.pieces = pieces
        self.fails_after = fails_after
        self.error = error or OSError(5, "the disk is broken")
        self.taken = 0
        self.open = 0

    async def read(self) -> AsyncIterator[bytes]:
        self.open += 1
        try:
            for number in range(self.pieces):
                if number == self.fails_after:
                    raise self.error
                self.taken += 1
                yield PIECE
        finally:
            self.open -= 1


async def turns(count: int = 2000) -> None:
    """Let everything go on that can."""
    for _ in range(count):
        await asyncio.sleep(0)


async def echo(request: web.Request) -> dict[str, Any]:
    body = await request.read()
    return {"size": len(body), "head": body[:10].decode(), "headers": dict(request.headers)}


@pytest.mark.parametrize("size", [0, 1, 1000, 64 * 1024, 3_000_001])
@pytest.mark.parametrize("known", [True, False])
async def test_a_body_arrives_as_it_was_made(
    loopback: ServeLoopback, transport: AnyTransport, size: int, known: bool
) -> None:
    server = await loopback({"POST /up": echo})
    content = bytes(range(256)) * (size // 256) + b"y" * (size % 256)
    pieces = [content[start : start + 100_000] for start in range(0, size, 100_000)]
    body = StreamedBody(pieces, length=size if known else None, content_type="text/plain")
    for _ in range(3):
        request = post(server.url + "/up", body)
        assert (await transport.send(request)).json()["size"] == size
        assert request.sent
    assert [seen.body == content for seen in server.seen] == [True] * 3
    sent = server.seen[0].headers
    assert sent["Content-Type"] == "text/plain"
    assert sent.get("Content-Length") == (str(size) if known else None)
    assert sent.get("Transfer-Encoding") == (None if known else "chunked")
    assert (transport.sends, server.connections_made) == (3, 1)


async def test_a_content_type_of_the_request_stands(loopback: ServeLoopback, transport: AnyTransport) -> None:
    server = await loopback({"POST /up": echo})
    request = post(server.url + "/up", StreamedBody([b"{}"]), headers={"content-type": "application/json"})
    await transport.send(request)
    assert server.seen[0].headers.getall("Content-Type") == ["application/json"]


async def test_no_content_type_begins_another_header(transport: AnyTransport) -> None:
    body = StreamedBody([b"{}"], content_type="text/plain\r\nX-Admin: yes")
    with pytest.raises(ApiValidationError, match="content_type"):
        await transport.send(post("http://127.0.0.1:9/", body))


async def test_what_can_be_sent_once_is_sent_once(loopback: ServeLoopback, transport: AnyTransport) -> None:
    server = await loopback({"POST /up": echo})
    request = post(server.url + "/up", StreamedBody(iter([b"once"])))
    await transport.send(request)
    with pytest.raises(ApiValidationError, match="begun before") as caught:
        await transport.send(request)
    assert (request.sent, transport.sends, server.total) == (False, 1, 1)
    assert caught.value.endpoint == "up"


async def test_a_source_is_read_no_faster_than_the_server_reads(transport: AnyTransport) -> None:
    goes_on = asyncio.Event()

    async def hesitate(peer: Peer) -> None:
        await peer.request()
        await goes_on.wait()
        await peer.receive(len(PIECE) * MANY)
        await peer.answer()

    source = Source()
    async with RawServer(hesitate, length_of_body=False) as server:
        body = StreamedBody(source.read, length=len(PIECE) * MANY)
        sending = asyncio.ensure_future(transport.send(post(server.url, body)))
        while not source.taken:
            await asyncio.sleep(0)
        await turns()
        assert source.taken < MANY / 2
        goes_on.set()
        assert (await sending).status == 200
    assert (source.taken, source.open) == (MANY, 0)


@pytest.mark.parametrize("length", [len(PIECE) * MANY, None])
async def test_a_refusal_before_the_end_is_the_answer(transport: AnyTransport, length: int | None) -> None:
    async def refuse(peer: Peer) -> None:
        await peer.request()
        await peer.send(b"HTTP/1.1 413 Too Large\r\nContent-Length: 8\r\n\r\ntoo much")
        await peer.gone()

    source = Source()
    async with RawServer(refuse, length_of_body=False) as server:
        response = await transport.send(post(server.url, StreamedBody(source.read, length=length)))
        assert (response.status, response.content) == (413, b"too much")
        assert (source.taken < MANY, source.open, server.connections) == (True, 0, 1)


async def test_an_answer_may_come_while_the_rest_is_sent(
    loopback: ServeLoopback, transport: AnyTransport
) -> None:
    async def upper(request: web.Request) -> web.StreamResponse:
        answer = web.StreamResponse()
        await answer.prepare(request)
        async for piece in request.content.iter_any():
            await answer.write(piece.upper())
        return answer

    app = web.Application()
    app.router.add_post("/up", upper)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    questions: asyncio.Queue[bytes | None] = asyncio.Queue()

    async def ask() -> AsyncIterator[bytes]:
        while (question := await questions.get()) is not None:
            yield question

    questions.put_nowait(b"one")
    url = f"http://127.0.0.1:{runner.addresses[0][1]}/up"
    async with transport.stream(post(url, StreamedBody(ask()))) as response:
        assert await anext(response.pieces) == b"ONE"
        questions.put_nowait(b"two")
        assert await anext(response.pieces) == b"TWO"
        questions.put_nowait(None)
        assert [piece async for piece in response.pieces] == []
    await transport.aclose()
    await runner.cleanup()


async def test_an_answer_that_ends_before_the_body_ends_the_connection(transport: AnyTransport) -> None:
    async def impatient(peer: Peer) -> None:
        await peer.request()
        await peer.answer(b"enough")
        await peer.gone()

    async def endless() -> AsyncIterator[bytes]:
        yield b"a"
        await asyncio.get_running_loop().create_future()

    async with RawServer(impatient) as server:
        for _ in range(2):
            assert (await transport.send(post(server.url, StreamedBody(endless)))).content == b"enough"
        assert server.connections == 2


@pytest.mark.parametrize(
    "error", [OSError(5, "the disk is broken"), ValueError("no"), ConnectionResetError(104)]
)
@pytest.mark.parametrize("length", [len(PIECE) * MANY, None])
async def test_an_error_of_the_source_is_the_error_of_the_call(
    transport: AnyTransport, error: Exception, length: int | None
) -> None:
    whole: list[bool] = []

    async def read_on(peer: Peer) -> None:
        await peer.request()
        whole.append((await peer.gone()).endswith(b"0\r\n\r\n"))

    error.__cause__, error.__context__ = KeyError("cause"), KeyError("context")
    source = Source(fails_after=3, error=error)
    request = post("", StreamedBody(source.read, length=length))
    async with RawServer(read_on, length_of_body=False) as server:
        request.url = URL(server.url)
        with pytest.raises(type(error)) as caught:
            await transport.send(request)
    assert caught.value is error
    assert (repr(error.__cause__), repr(error.__context__)) == ("KeyError('cause')", "KeyError('context')")
    assert (request.sent, transport.sends, source.open, whole) == (True, 1, 0, [False])


async def test_a_source_that_fails_at_once_costs_no_connection(
    loopback: ServeLoopback, transport: AnyTransport
) -> None:
    server = await loopback({"POST /up": echo})
    source = Source(fails_after=0)
    request = post(server.url + "/up", StreamedBody(source.read))
    with pytest.raises(OSError, match="the disk is broken"):
        await transport.send(request)
    assert (request.sent, transport.sends, server.connections_made, source.open) == (False, 0, 0, 0)


@pytest.mark.parametrize(("length", "says"), [(3, "more than the 3 bytes"), (5, "has 4 bytes")])
async def test_a_length_is_held_to(transport: AnyTransport, length: int, says: str) -> None:
    async def read_on(peer: Peer) -> None:
        await peer.request()
        await peer.gone()

    async with RawServer(read_on, length_of_body=False) as server:
        with pytest.raises(ApiValidationError, match=says) as caught:
            await transport.send(post(server.url, StreamedBody([b"ab", b"cd"], length=length)))
    assert (caught.value.endpoint, caught.value.url) == ("up", server.url)


async def test_cancelling_closes_source_and_connection(transport: AnyTransport) -> None:
    begun = asyncio.Event()

    async def read_nothing(peer: Peer) -> None:
        await peer.request()
        begun.set()
        await peer.gone()

    source = Source()
    async with RawServer(read_nothing, length_of_body=False) as server:
        sending = asyncio.ensure_future(transport.send(post(server.url, StreamedBody(source.read))))
        await begun.wait()
        sending.cancel()
        with pytest.raises(asyncio.CancelledError):
            await sending
    assert source.open == 0


async def test_cancelling_a_source_that_waits(transport: AnyTransport) -> None:
    waits = asyncio.Event()

    async def slow() -> AsyncIterator[bytes]:
        yield b"a"
        waits.set()
        await asyncio.get_running_loop().create_future()

    async def read_on(peer: Peer) -> None:
        await peer.request()
        await peer.gone()

    async with RawServer(read_on) as server:
        sending = asyncio.ensure_future(transport.send(post(server.url, StreamedBody(slow))))
        await waits.wait()
        sending.cancel()
        with pytest.raises(asyncio.CancelledError):
            await sending


async def test_a_connection_that_breaks_in_the_middle(transport: AnyTransport) -> None:
    async def break_off(peer: Peer) -> None:
        await peer.request()
        peer.reset()

    source = Source()
    async with RawServer(break_off) as server:
        with pytest.raises(ApiNetworkError) as caught:
            await transport.send(post(server.url, StreamedBody(source.read)))
    assert (caught.value.sent, caught.value.endpoint, source.open) == (True, "up", 0)
    assert source.taken < MANY


async def test_closing_the_transport_ends_an_upload(make_transport: MakeTransport) -> None:
    transport, begun = make_transport(), asyncio.Event()

    async def read_nothing(peer: Peer) -> None:
        await peer.request()
        begun.set()
        await peer.gone()

    source = Source()
    async with RawServer(read_nothing, length_of_body=False) as server:
        sending = asyncio.ensure_future(transport.send(post(server.url, StreamedBody(source.read))))
        await begun.wait()
        await transport.aclose()
        with pytest.raises(ApiNetworkError, match="the transport was closed"):
            await sending
    assert source.open == 0


async def test_a_connection_that_cannot_be_made_closes_the_source(transport: AnyTransport) -> None:
    source = Source()
    with pytest.raises(ApiNetworkError) as caught:
        await transport.send(post("http://no-such-host.invalid/", StreamedBody(source.read)))
    assert (caught.value.sent, source.open) == (False, 0)


@pytest.fixture
def traced(monkeypatch: pytest.MonkeyPatch) -> None:
    """A tracer that wraps ``ClientSession._request``: requests go through a session, to the network."""
    request = ClientSession._request

    async def traced_request(self: ClientSession, *args: Any, **options: Any) -> Any:
        return await request(self, *args, **options)

    monkeypatch.setattr(ClientSession, "_request", traced_request)


@only("aiohttp")
@pytest.mark.usefixtures("traced")
@pytest.mark.parametrize("length", [12, None])
async def test_through_a_session(
    loopback: ServeLoopback, transport: AnyTransport, length: int | None
) -> None:
    server = await loopback({"POST /up": echo})
    body = StreamedBody([b"hello ", b"world!"], length=length, content_type="text/plain")
    request = post(server.url + "/up", body)
    assert (await transport.send(request)).json()["size"] == 12
    sent = server.seen[0].headers
    assert (server.seen[0].body, request.sent, transport.sends) == (b"hello world!", True, 1)
    assert sent["Content-Type"] == "text/plain"
    assert sent.get("Content-Length") == (None if length is None else "12")
    assert sent.get("Transfer-Encoding") == ("chunked" if length is None else None)


@only("aiohttp")
@pytest.mark.usefixtures("traced")
@pytest.mark.parametrize("error", [OSError(5, "the disk is broken"), ValueError("no")])
async def test_an_error_of_the_source_through_a_session(transport: AnyTransport, error: Exception) -> None:
    async def read_on(peer: Peer) -> None:
        await peer.request()
        await peer.gone()

    source = Source(fails_after=3, error=error)
    async with RawServer(read_on, length_of_body=False) as server:
        with pytest.raises(type(error)) as caught:
            await transport.send(post(server.url, StreamedBody(source.read)))
    assert (caught.value is error, source.open, transport.sends) == (True, 0, 1)


@only("aiohttp")
@pytest.mark.usefixtures("answers_of_this_aiohttp")
async def test_a_double_may_look_at_the_body_or_not(transport: AnyTransport) -> None:
    source = Source()

    async def look(url: URL, *, data: bytes, **_: Any) -> CallbackResult:
        return CallbackResult(payload={"size": len(data)})

    with aioresponses() as mock:
        mock.post("http://shop.test/up", callback=look)
        mock.post("http://shop.test/up", payload={"size": 0})
        body = StreamedBody(source.read)
        looked = await transport.send(post("http://shop.test/up", body))
        assert looked.json()["size"] == MANY * len(PIECE)
        assert (await transport.send(post("http://shop.test/up", body))).json()["size"] == 0
    assert (source.open, source.taken, transport.sends) == (0, 2 * MANY, 2)


def test_iterators_are_iterable() -> None:
    def pieces() -> Iterator[bytes]:
        yield b"a"

    assert not StreamedBody(pieces()).repeatable
    assert StreamedBody(pieces).repeatable


async def test_a_body_of_known_length_is_over_with_its_last_byte(transport: AnyTransport) -> None:
    # A source may take its time to say that there is no more; the server need not wait for that.
    async def lingering() -> AsyncIterator[bytes]:
        yield b"hello"
        await asyncio.get_running_loop().create_future()

    async def answer_all(peer: Peer) -> None:
        while True:
            await peer.request()
            await peer.answer()

    async with RawServer(answer_all) as server:
        for _ in range(2):
            response = await transport.send(post(server.url, StreamedBody(lingering, length=5)))
            assert response.status == 200
        assert server.connections == 1
        await transport.aclose()


@only("aiohttp")
async def test_a_refusal_stops_the_body_at_once(transport: AnyTransport) -> None:
    async def refuse(peer: Peer) -> None:
        await peer.request()
        await peer.send(b"HTTP/1.1 413 Too Large\r\nContent-Length: 8\r\n\r\n")
        await peer.gone()

    source = Source()
    request = post("", StreamedBody(source.read))
    async with RawServer(refuse, length_of_body=False) as server:
        request.url = URL(server.url)
        async with transport.stream(request) as response:
            assert (response.status, source.open) == (413, 0)
