"""How a transport and its requests end: cancelled, closed, on another loop."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest
from aiohttp import web
from yarl import URL

from rxorch.errors import ApiConfigurationError, ApiNetworkError
from rxorch.http import AioHttpTransport, Request
from tests.conftest import ServeLoopback
from tests.http.conftest import BOTH, AnyTransport, MakeTransport, make_by_name, only
from tests.http.raw import Peer, RawServer
from tests.support.loopback import Loopback

KINDS = BOTH


async def never(request: web.Request) -> None:
    await asyncio.get_running_loop().create_future()


def get(server: Loopback, path: str) -> Request:
    return Request("GET", URL(server.url + path))


async def cancel(task: asyncio.Future[Any]) -> None:
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def half_a_body(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Length": "10"})
    await response.prepare(request)
    await response.write(b"abc")
    return await never(request)  # type: ignore[func-returns-value, return-value]


@only("aiohttp")
@pytest.mark.parametrize("handler", [never, half_a_body])
async def test_cancelling_closes_the_connection_and_frees_its_place(
    loopback: ServeLoopback, make_transport: MakeTransport, handler: Any
) -> None:
    server = await loopback({"GET /wait": handler, "GET /x": 204})
    transport = make_transport(limit=1)
    for round_ in range(1, 4):
        task = asyncio.ensure_future(transport.send(get(server, "/wait")))
        await server.until_in_flight(1)
        await cancel(task)
        await server.until_disconnected()
        assert server.closed_early == round_
        assert (await transport.send(get(server, "/x"))).status == 204
        assert transport.sends == server.total == 2 * round_


async def test_cancelling_who_waits_for_a_connection_harms_nobody(
    loopback: ServeLoopback, make_transport: MakeTransport
) -> None:
    gate = asyncio.Event()

    async def hold(request: web.Request) -> int:
        await gate.wait()
        return 204

    server = await loopback({"GET /hold": hold})
    transport = make_transport(limit=1)
    requests = [get(server, "/hold") for _ in range(4)]
    tasks = [asyncio.ensure_future(transport.send(request)) for request in requests]
    await server.until_in_flight(1)
    await cancel(tasks[1])
    await cancel(tasks[3])
    gate.set()
    assert (await tasks[0]).status == (await tasks[2]).status == 204
    assert [request.sent for request in requests] == [True, False, True, False]
    assert transport.sends == server.total == 2


async def test_cancelling_at_every_turn_of_the_loop_leaves_nothing(
    loopback: ServeLoopback, make_transport: MakeTransport
) -> None:
    server = await loopback({"GET /x": lambda request: {"ok": True}})
    for turns in range(25):
        transport = make_transport(limit=1)
        request = get(server, "/x")
        task = asyncio.ensure_future(transport.send(request))
        for _ in range(turns):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert transport.sends == int(request.sent)
        assert (await transport.send(get(server, "/x"))).json() == {"ok": True}
        await transport.aclose()
    await server.until_disconnected()


@only("aiohttp")
async def test_cancelling_a_name_lookup(transport: AioHttpTransport, monkeypatch: pytest.MonkeyPatch) -> None:
    gate = threading.Event()

    def hang(*args: object, **options: object) -> list[Any]:
        gate.wait(20)
        return []

    monkeypatch.setattr(transport._resolver, "_getaddrinfo", hang)
    task = asyncio.ensure_future(transport.send(Request("GET", URL("http://host.invalid/"))))
    for _ in range(5):
        await asyncio.sleep(0)
    await cancel(task)
    await transport.aclose()
    assert not transport._resolver._lookups
    gate.set()


@only("aiohttp")
async def test_cancelling_a_tls_handshake(transport: AnyTransport) -> None:
    hello = asyncio.Event()

    async def silent(peer: Peer) -> None:
        await peer._reader.read(1)
        hello.set()
        await peer.gone()

    async with RawServer(silent) as server:
        url = URL(server.url.replace("http://", "https://"))
        task = asyncio.ensure_future(transport.send(Request("GET", url)))
        await hello.wait()
        await cancel(task)
    assert transport.sends == 0


async def test_cancelling_an_upload_does_not_send_the_rest(transport: AnyTransport) -> None:
    started, cancelled = asyncio.Event(), asyncio.Event()
    read = 0

    async def slow(peer: Peer) -> None:
        nonlocal read
        await peer._reader.readuntil(b"\r\n\r\n")
        started.set()
        await cancelled.wait()
        while data := await peer._reader.read(65536):
            read += len(data)

    async with RawServer(slow) as server:
        request = Request("POST", URL(server.url), body=bytes(50_000_000))
        task = asyncio.ensure_future(transport.send(request))
        await started.wait()
        await cancel(task)
        cancelled.set()
    assert read < 50_000_000


async def test_closing_fails_what_is_under_way_and_what_waits(
    loopback: ServeLoopback, make_transport: MakeTransport, kind: str
) -> None:
    server = await loopback({"GET /wait": never})
    transport = make_transport(limit=1)
    requests = [get(server, "/wait") for _ in range(3)]
    tasks = [asyncio.ensure_future(transport.send(request)) for request in requests]
    await server.until_in_flight(1)
    await transport.aclose()
    errors = await asyncio.gather(*tasks, return_exceptions=True)
    assert [type(error) for error in errors] == [ApiNetworkError] * 3
    assert [error.sent for error in errors] == [True, False, False]  # type: ignore[union-attr]
    assert "the transport was closed" in str(errors[0])
    if (
        kind == "aiohttp"
    ):  # pyreqwest cannot break off a request whose answer has not begun: see test_pyreqwest
        await server.until_disconnected()


async def test_a_real_cancellation_during_close_stays_one(
    loopback: ServeLoopback, make_transport: MakeTransport
) -> None:
    server = await loopback({"GET /wait": never})
    transport = make_transport(limit=1)
    tasks = [asyncio.ensure_future(transport.send(get(server, "/wait"))) for _ in range(2)]
    await server.until_in_flight(1)
    for task in tasks:
        task.cancel()
    await transport.aclose()
    assert all(
        isinstance(e, asyncio.CancelledError) for e in await asyncio.gather(*tasks, return_exceptions=True)
    )


@pytest.mark.parametrize("idle", [0, 10])
async def test_after_closing_no_connection_is_left(
    loopback: ServeLoopback, transport: AnyTransport, idle: int
) -> None:
    def last(request: web.Request) -> web.Response:
        return web.Response(headers={"Connection": "close"})

    server = await loopback({"GET /x": 204, "GET /close": last})
    await asyncio.gather(*(transport.send(get(server, "/x")) for _ in range(idle)))
    await transport.send(get(server, "/close"))
    await transport.aclose()
    assert not transport._open
    await server.until_disconnected()


async def test_closing_twice_and_closing_unused(
    loopback: ServeLoopback, transport: AnyTransport, kind: str
) -> None:
    await make_by_name(kind).aclose()
    server = await loopback({"GET /x": 204})
    await transport.send(get(server, "/x"))
    await asyncio.gather(transport.aclose(), transport.aclose())
    await transport.aclose()


async def test_a_closed_transport_says_so(kind: str) -> None:
    transport = make_by_name(kind)
    await transport.aclose()
    request = Request("GET", URL("http://127.0.0.1/"), endpoint="user")
    with pytest.raises(ApiConfigurationError, match="closed") as caught:
        await transport.send(request)
    assert caught.value.endpoint == "user"


def test_it_belongs_to_one_loop(kind: str) -> None:
    transport = make_by_name(kind)

    async def use() -> None:
        async with Loopback({"GET /x": 204}) as server:
            await transport.send(get(server, "/x"))

    async def elsewhere() -> None:
        with pytest.raises(ApiConfigurationError, match="another event loop"):
            await transport.send(Request("GET", URL("http://127.0.0.1/")))
        with pytest.raises(ApiConfigurationError, match="another event loop"):
            await transport.aclose()

    with asyncio.Runner() as home, asyncio.Runner() as other:
        home.run(use())
        other.run(elsewhere())
        home.run(transport.aclose())


def test_it_can_be_made_without_a_loop_and_used_on_the_first(kind: str) -> None:
    transport: AnyTransport = make_by_name(kind)

    async def use() -> int:
        async with Loopback({"GET /x": 204}) as server:
            response = await transport.send(get(server, "/x"))
            await transport.aclose()
            return response.status

    assert asyncio.run(use()) == 204
