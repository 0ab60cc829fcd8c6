"""The server that the other tests count with must itself count right."""

from __future__ import annotations

import asyncio

import aiohttp
import pytest
from aiohttp import web

from tests.support.loopback import Loopback, in_turn, reset_connection, served


async def get(url: str) -> tuple[int, bytes]:
    async with aiohttp.ClientSession() as session, session.get(url) as response:
        return response.status, await response.read()


@pytest.mark.parametrize(
    ("answer", "status", "body"),
    [
        ({"a": 1}, 200, b'{"a": 1}'),
        (True, 200, b"true"),
        (None, 200, b"null"),
        (204, 204, b""),
        ("text", 200, b"text"),
        (b"\x00", 200, b"\x00"),
        (lambda request: {"path": request.path}, 200, b'{"path": "/x"}'),
    ],
)
async def test_anything_becomes_a_response(answer: object, status: int, body: bytes) -> None:
    async with Loopback({"GET /x": answer}) as server:
        assert await get(server.url + "/x") == (status, body)


async def test_one_response_object_cannot_be_a_route_but_a_handler_can_make_one() -> None:
    async def teapot(request: web.Request) -> web.Response:
        return web.Response(status=418)

    async with Loopback({"/pot": teapot}) as server:
        assert (await get(server.url + "/pot"))[0] == 418


async def test_hits_and_seen_record_each_request() -> None:
    async with Loopback({"POST /users/{id}": {}}) as server, aiohttp.ClientSession() as session:
        async with session.post(server.url + "/users/a%20b?q=1", data=b"body", headers={"X-A": "1"}):
            pass
        assert server.hits["/users/a b"] == 1
        assert server.hits["/other"] == 0
        assert server.total == 1
        (seen,) = server.seen
        assert (seen.method, seen.path, seen.body) == ("POST", "/users/a%20b?q=1", b"body")
        assert seen.headers["x-a"] == "1"


async def test_an_unknown_route_is_a_404_and_is_counted() -> None:
    async with Loopback({"GET /x": 200}) as server:
        assert (await get(server.url + "/nothing"))[0] == 404
        assert server.hits["/nothing"] == 1


async def test_peak_is_the_most_requests_at_the_same_time() -> None:
    gate = asyncio.Event()

    async def hold(request: web.Request) -> int:
        await gate.wait()
        return 200

    async with Loopback({"GET /hold": hold}) as server:
        calls = [asyncio.ensure_future(get(server.url + "/hold")) for _ in range(3)]
        await server.until_in_flight(3)
        assert server.in_flight == 3
        gate.set()
        await asyncio.gather(*calls)
        await server.until_idle()
        assert await get(server.url + "/hold") == (200, b"")
        assert (server.peak, server.in_flight, server.total) == (3, 0, 4)
        assert server.closed_early == 0


async def test_a_client_that_goes_away_is_noticed() -> None:
    async def never(request: web.Request) -> None:
        await asyncio.get_running_loop().create_future()

    async with Loopback({"GET /never": never}) as server:
        call = asyncio.ensure_future(get(server.url + "/never"))
        await server.until_in_flight(1)
        call.cancel()
        await server.until_disconnected()
        assert (server.closed_early, server.in_flight, server.connections) == (1, 0, 0)
        assert call.cancelled()


async def test_connections_are_counted_while_they_are_open() -> None:
    async with Loopback({"GET /x": 200}) as server:
        async with aiohttp.ClientSession() as session:
            for _ in range(3):
                async with session.get(server.url + "/x"):
                    pass
            assert (server.connections, server.connections_made) == (1, 1)
        await server.until_disconnected()
        assert server.connections == 0


async def test_handlers_at_work_end_with_the_server() -> None:
    ended = asyncio.Event()

    async def never(request: web.Request) -> None:
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            ended.set()

    async with aiohttp.ClientSession() as session:
        async with served({"GET /never": never}) as server:
            call = asyncio.ensure_future(session.get(server.url + "/never"))
            await server.until_in_flight(1)
        assert ended.is_set()
        assert (server.closed_early, server.in_flight) == (0, 0)
        with pytest.raises(aiohttp.ClientError):
            await call


async def test_answers_in_turn() -> None:
    async with Loopback({"GET /x": in_turn(503, lambda request: 429, 200)}) as server:
        assert [(await get(server.url + "/x"))[0] for _ in range(4)] == [503, 429, 200, 200]


async def test_a_reset_is_the_doing_of_the_server() -> None:
    async with Loopback({"POST /x": reset_connection}) as server:
        async with aiohttp.ClientSession() as session:
            with pytest.raises(aiohttp.ClientConnectionError):
                await session.post(server.url + "/x")  # aiohttp would send a GET twice
        await server.until_disconnected()
        assert (server.closed_early, server.hits["/x"]) == (0, 1)


async def test_a_crash_in_a_handler_fails_the_test() -> None:
    def broken(request: web.Request) -> None:
        raise ZeroDivisionError

    with pytest.raises(AssertionError, match="a handler crashed: ZeroDivisionError") as caught:
        async with Loopback({"GET /x": broken}) as server:
            assert (await get(server.url + "/x"))[0] == 500
    assert isinstance(caught.value.__cause__, ZeroDivisionError)


async def test_an_application_of_ones_own_is_served() -> None:
    app = web.Application()

    async def hello(request: web.Request) -> web.Response:
        return web.Response(text="hello")

    app.router.add_get("/", hello)
    async with Loopback(app) as server:
        assert await get(server.url + "/") == (200, b"hello")
        assert server.hits["/"] == 1


async def test_waiting_in_vain_fails_with_the_counters(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.support.loopback._PATIENCE", 0.01)
    async with Loopback({}) as server:
        with pytest.raises(AssertionError, match="in_flight=0 peak=0"):
            await server.until_in_flight(1)
