"""Kept connections: no answer to the wrong request, no request that nobody counted."""

from __future__ import annotations

import asyncio
import gc
import random
import select
import socket
import threading
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import StreamReader
from yarl import URL

from rxorch.errors import ApiNetworkError, ApiProtocolError
from rxorch.http import AioHttpTransport, Request
from tests.http.conftest import BOTH, AnyTransport, MakeTransport, only
from tests.http.raw import Peer, RawServer, ok

KINDS = BOTH


class Wire:
    """The server's side as a bare socket: its bytes reach the client behind the back of the event loop."""

    def __init__(self) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.listener.setblocking(False)
        self.url = URL(f"http://127.0.0.1:{self.listener.getsockname()[1]}/")
        self.accepted: list[socket.socket] = []

    async def serve(self, *answers: bytes) -> socket.socket:
        """Accept one connection, and answer one request for each of ``answers``."""
        loop = asyncio.get_running_loop()
        peer, _ = await loop.sock_accept(self.listener)
        peer.setblocking(False)
        self.accepted.append(peer)
        await self.go_on(peer, *answers)
        return peer

    async def go_on(self, peer: socket.socket, *answers: bytes) -> None:
        """Answer further requests on ``peer``."""
        for answer in answers:
            assert (await asyncio.get_running_loop().sock_recv(peer, 65536)).endswith(b"\r\n\r\n")
            peer.send(answer)

    def close(self) -> None:
        for item in (self.listener, *self.accepted):
            item.close()


@pytest.fixture
async def wire() -> AsyncIterator[Wire]:
    wire = Wire()
    yield wire
    wire.close()


async def exchange(transport: AnyTransport, wire: Wire, answer: bytes) -> socket.socket:
    """One request over a connection that the server accepts now."""
    serving = asyncio.ensure_future(wire.serve(ok(answer)))
    response = await transport.send(Request("GET", wire.url))
    assert response.content == answer
    return await serving


async def has_ended(peer: socket.socket) -> bool:
    try:
        return await asyncio.get_running_loop().sock_recv(peer, 1) == b""
    except ConnectionResetError:  # the client closed without reading what was there
        return True


UNASKED = {
    "a whole answer": ok(b"WRONG"),
    "a head and half a body": b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nWRO",
    "408 before it closes": b"HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
    "junk": b"\x00\x01",
}


@only("aiohttp")
@pytest.mark.parametrize("unread", [True, False], ids=["in the socket", "read by the loop"])
@pytest.mark.parametrize("unasked", UNASKED.values(), ids=UNASKED.keys())
async def test_bytes_on_an_idle_connection_are_refused(
    transport: AnyTransport, wire: Wire, unasked: bytes, unread: bool
) -> None:
    first = await exchange(transport, wire, b"one")
    first.send(unasked)
    for _ in range(0 if unread else 5):
        await asyncio.sleep(0)
    second = await exchange(transport, wire, b"two")
    assert second is not first
    assert transport.sends == 2
    assert await has_ended(first)


@only("aiohttp")
@pytest.mark.parametrize("unread", [True, False], ids=["in the socket", "seen by the loop"])
@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_a_connection_that_the_server_closed_is_noticed_before_the_request(
    transport: AnyTransport, wire: Wire, method: str, unread: bool
) -> None:
    first = await exchange(transport, wire, b"one")
    first.shutdown(socket.SHUT_WR)
    for _ in range(0 if unread else 5):
        await asyncio.sleep(0)
    serving = asyncio.ensure_future(wire.serve(ok(b"two")))
    response = await transport.send(Request(method, wire.url))
    await serving
    assert response.content == b"two"
    assert (transport.sends, len(wire.accepted)) == (2, 2)


@only("aiohttp")
async def test_the_first_half_of_a_late_answer_is_at_worst_an_error(
    transport: AnyTransport, wire: Wire
) -> None:
    first = await exchange(transport, wire, b"one")
    late = ok(b"WRONG")
    first.send(late[:20])
    for _ in range(5):
        await asyncio.sleep(0)
    serving = asyncio.ensure_future(wire.go_on(first, late[20:] + ok(b"two")))
    with pytest.raises(ApiProtocolError):
        await transport.send(Request("GET", wire.url))
    await serving


async def test_a_second_answer_behind_the_first_is_not_given_to_anybody(
    transport: AnyTransport, wire: Wire
) -> None:
    serving = asyncio.ensure_future(wire.serve(ok(b"one") + ok(b"WRONG")))
    assert (await transport.send(Request("GET", wire.url))).content == b"one"
    first = await serving
    second = await exchange(transport, wire, b"two")
    assert second is not first


@only("aiohttp")
async def test_a_server_that_speaks_first_gets_no_request(
    transport: AioHttpTransport, monkeypatch: pytest.MonkeyPatch
) -> None:
    listener = socket.create_server(("127.0.0.1", 0))

    def greet() -> None:
        for _ in range(2):
            peer, _ = listener.accept()
            peer.send(ok(b"WRONG"))
            greeted.append(peer)

    greeted: list[socket.socket] = []
    thread = threading.Thread(target=greet)
    thread.start()
    prepare = transport._prepare

    def wait_for_the_greeting(protocol: Any) -> None:
        select.select([protocol.transport.get_extra_info("socket").fileno()], [], [], 20)
        prepare(protocol)

    monkeypatch.setattr(transport, "_prepare", wait_for_the_greeting)
    request = Request("GET", URL(f"http://127.0.0.1:{listener.getsockname()[1]}/"))
    for _ in range(2):
        with pytest.raises(ApiProtocolError, match="before it is asked") as caught:
            async with asyncio.timeout(20):
                await transport.send(request)
        assert not caught.value.sent
    assert (request.sent, transport.sends) == (False, 0)
    thread.join()
    for item in (listener, *greeted):
        item.close()


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE", "POST"])
@pytest.mark.parametrize("end", ["finish", "reset"])
async def test_a_failed_request_is_not_repeated_by_itself(
    transport: AnyTransport, method: str, end: str
) -> None:
    requests: list[bytes] = []

    async def once(peer: Peer) -> None:
        requests.append(await peer.request())
        await peer.answer(b"")
        requests.append(await peer.request())
        getattr(peer, end)()

    async with RawServer(once) as server:
        url = URL(server.url)
        await transport.send(Request(method, url))
        request = Request(method, url)
        with pytest.raises(ApiNetworkError) as caught:
            await transport.send(request)
        assert (caught.value.sent, request.sent) == (True, True)
        assert (transport.sends, len(requests), server.connections) == (2, 2, 1)


@pytest.mark.parametrize(
    "answer", [ok(b"x", "Connection: close"), ok(b"x").replace(b"HTTP/1.1", b"HTTP/1.0")]
)
async def test_what_the_server_will_not_keep_is_not_kept(transport: AnyTransport, answer: bytes) -> None:
    async def talk(peer: Peer) -> None:
        await peer.request()
        await peer.send(answer)
        await peer.gone()

    async with RawServer(talk) as server:
        for _ in range(2):
            assert (await transport.send(Request("GET", URL(server.url)))).content == b"x"
        assert server.connections == 2


async def test_an_answer_before_the_whole_request_ends_the_connection(transport: AnyTransport) -> None:
    read: list[int] = []

    async def impatient(peer: Peer) -> None:
        await peer._reader.readuntil(b"\r\n\r\n")
        await peer.send(ok(b"too much").replace(b"200 OK", b"413 Too Large"))
        read.append(0)
        while data := await peer._reader.read(65536):
            read[-1] += len(data)

    async with RawServer(impatient) as server, asyncio.timeout(20):
        body = bytes(30_000_000)
        for _ in range(2):
            response = await transport.send(Request("POST", URL(server.url), body=body))
            assert response.status == 413
        assert server.connections == 2
        await transport.aclose()
    assert max(read) < len(body)


@only("aiohttp")
async def test_a_long_lived_connection_gathers_nothing(transport: AnyTransport) -> None:
    async def talk(peer: Peer) -> None:
        while True:
            await peer.request()
            await peer.send(ok(b"hello")[:-1])
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            await peer.send(b"o")

    def readers() -> int:
        gc.collect()
        return sum(isinstance(item, StreamReader) for item in gc.get_objects())

    async with RawServer(talk) as server:
        counts = []
        for _ in range(30):
            assert (await transport.send(Request("GET", URL(server.url)))).content == b"hello"
            counts.append(readers())
        assert server.connections == 1
        assert counts[-1] <= counts[1]
        await transport.aclose()


async def late_answers(peer: Peer, chance: random.Random, *, visible: bool) -> None:
    """Answer each request with its own path; sometimes say more, or say it late."""
    while True:
        path = (await peer.request()).split(b" ")[1]
        whim = chance.random()
        if path.startswith(b"/never"):
            # The client gives up; this answer is late by any measure.
            await asyncio.sleep(0)
            await peer.send(ok(b"late " + path))
        elif whim < 0.2:
            await peer.send(ok(path) + ok(b"unasked"))
        elif whim < 0.4:
            await peer.send(ok(path))
            peer._writer.write(ok(b"unasked"))
        elif whim < 0.5 and not visible:
            await peer.send(ok(path))
            for _ in range(chance.randrange(4)):
                await asyncio.sleep(0)
            await peer.send(ok(b"unasked"))
        else:
            await peer.send(ok(path))


async def give_up(transport: AnyTransport, url: URL, turns: int) -> None:
    task = asyncio.ensure_future(transport.send(Request("GET", url)))
    for _ in range(turns):
        await asyncio.sleep(0)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def wrong_answers(transport: AnyTransport, count: int, *, visible: bool) -> int:
    chance = random.Random(7)
    wrong = 0

    async def talk(peer: Peer) -> None:
        await late_answers(peer, chance, visible=visible)

    async with RawServer(talk) as server:
        for number in range(count):
            if number % 10 == 0:
                await give_up(transport, URL(f"{server.url}/never{number}"), turns=number % 40)
            response = await transport.send(Request("GET", URL(f"{server.url}/{number}")))
            wrong += response.content != b"/%d" % number
        await transport.aclose()
    return wrong


@only("aiohttp")
async def test_no_wrong_answer_in_10_000_from_a_server_whose_late_answers_can_be_seen(
    transport: AnyTransport,
) -> None:
    assert await wrong_answers(transport, 10_000, visible=True) == 0
    assert transport.sends >= 10_000


async def test_no_wrong_answer_without_reuse_whatever_the_server_does(make_transport: MakeTransport) -> None:
    transport = make_transport(connection_reuse=False)
    assert await wrong_answers(transport, 2_000, visible=False) == 0
