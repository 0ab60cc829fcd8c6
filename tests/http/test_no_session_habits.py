"""What a session does unasked and the transport does not: keeping cookies, and keeping time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from aiohttp import ClientSession, web
from yarl import URL

from rxorch.http import AioHttpTransport, Request
from rxorch.http.aiohttp_transport.session_route import NO_LIMITS
from tests.conftest import ServeLoopback


@pytest.fixture(params=["own way", "session"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """The transport's own way, and that through a session which somebody has wrapped."""
    if request.param == "session":
        shipped = ClientSession._request

        async def wrapped(self: ClientSession, *args: Any, **options: Any) -> Any:
            return await shipped(self, *args, **options)

        monkeypatch.setattr(ClientSession, "_request", wrapped)


@pytest.mark.usefixtures("way")
async def test_no_cookie_is_kept(loopback: ServeLoopback, transport: AioHttpTransport) -> None:
    def set_cookie(request: web.Request) -> web.Response:
        return web.Response(headers={"Set-Cookie": "id=7; Path=/"})

    server = await loopback({"GET /x": set_cookie})
    for _ in range(2):
        response = await transport.send(Request("GET", URL(server.url + "/x")))
        assert response.headers["Set-Cookie"] == "id=7; Path=/"
        async with transport.stream(Request("GET", URL(server.url + "/x"))) as streamed:
            assert streamed.headers["Set-Cookie"] == "id=7; Path=/"
    assert [seen.headers.get("Cookie") for seen in server.seen] == [None] * 4


@pytest.mark.usefixtures("way")
async def test_aiohttp_times_nothing_but_its_pool(
    loopback: ServeLoopback, transport: AioHttpTransport, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Its timers of more than 5 s fire up to 1 s late. All time limits are those of who awaits the transport.
    timed: list[str] = []
    loop = asyncio.get_running_loop()
    call_at = loop.call_at

    def note(when: float, callback: Callable[..., object], *args: Any, **options: Any) -> asyncio.TimerHandle:
        timed.append(f"{callback.__module__}.{callback.__name__}")
        return call_at(when, callback, *args, **options)

    server = await loopback({"GET /x": "x" * 500_000})
    request = Request("GET", URL(server.url.replace("127.0.0.1", "localhost") + "/x"))
    monkeypatch.setattr(loop, "call_at", note)
    await transport.send(request)
    async with transport.stream(request) as response:
        await response.read()
    monkeypatch.undo()
    # The server beside us runs on aiohttp too, and times its idle connections.
    ours = [name for name in timed if name != "aiohttp.web_protocol._process_keepalive"]
    assert set(ours) <= {"aiohttp.helpers._weakref_handle", "aiohappyeyeballs._staggered._set_result"}


def test_the_limits_of_aiohttp_are_all_off() -> None:
    limits = [getattr(NO_LIMITS, name) for name in ("total", "connect", "sock_read", "sock_connect")]
    assert limits == [None] * 4
