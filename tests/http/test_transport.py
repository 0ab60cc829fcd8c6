"""The transport against a server that behaves: what goes out, what comes back, what is counted."""

from __future__ import annotations

import asyncio
import json
import socket

import pytest
from aiohttp import web
from yarl import URL

from rxorch.errors import ApiConfigurationError, ApiNetworkError, ApiValidationError
from rxorch.http import Request, Transport
from tests.conftest import ServeLoopback
from tests.http.conftest import BOTH, AnyTransport, MakeTransport
from tests.support.loopback import Loopback

KINDS = BOTH


def get(server: Loopback, path: str = "/x", **options: object) -> Request:
    return Request("GET", URL(server.url + path, encoded=True), **options)  # type: ignore[arg-type]


def test_it_is_a_transport(transport: AnyTransport) -> None:
    assert isinstance(transport, Transport)


async def test_an_answer_comes_whole(loopback: ServeLoopback, transport: AnyTransport, kind: str) -> None:
    server = await loopback({"GET /users/{id}": lambda request: {"id": request.match_info["id"]}})
    request = get(server, "/users/a%2Fb?x=1%26")
    response = await transport.send(request)
    reason = "OK" if kind == "aiohttp" else ""
    assert (response.status, response.reason, response.json()) == (200, reason, {"id": "a/b"})
    assert response.headers["content-type"] == "application/json; charset=utf-8"
    assert response.url == server.url + "/users/a%2Fb?x=1%26"
    assert (request.sent, transport.sends) == (True, 1)
    assert server.seen[0].path == "/users/a%2Fb?x=1%26"


@pytest.mark.parametrize("size", [0, 1, 1000, 64 * 1024, 64 * 1024 + 1, 5_000_000])
async def test_bodies_of_any_size_go_both_ways(
    loopback: ServeLoopback, transport: AnyTransport, size: int
) -> None:
    async def echo(request: web.Request) -> bytes:
        return await request.read()

    server = await loopback({"POST /echo": echo})
    body = bytes(range(256)) * (size // 256) + b"x" * (size % 256)
    request = Request("POST", URL(server.url + "/echo"), {"Content-Type": "text/plain"}, body)
    response = await transport.send(request)
    assert response.content == body
    assert server.seen[0].body == body
    assert server.seen[0].headers["Content-Length"] == str(size)


async def test_default_headers_and_own_ones(loopback: ServeLoopback, transport: AnyTransport) -> None:
    server = await loopback({"GET /x": 204})
    await transport.send(get(server))
    await transport.send(get(server, headers={"accept": "text/html", "User-Agent": "me", "X-A": "\u00fc"}))
    port = server.url.rpartition(":")[2]
    assert dict(server.seen[0].headers) == {
        "Host": f"127.0.0.1:{port}",
        "Accept": "*/*",
        "Accept-Encoding": "gzip, deflate",
        "User-Agent": "rxorch",
    }
    own = server.seen[1].headers
    assert (own.getall("Accept"), own["User-Agent"], own["X-A"]) == (["text/html"], "me", "\u00fc")


async def test_user_info_becomes_basic_authorization(
    loopback: ServeLoopback, transport: AnyTransport
) -> None:
    server = await loopback({"GET /x": 204})
    url = URL(server.url.replace("http://", "http://me:p%40ss@") + "/x", encoded=True)
    await transport.send(Request("GET", url))
    assert server.seen[0].headers["Authorization"] == "Basic bWU6cEBzcw=="
    assert "@" not in server.seen[0].headers["Host"]


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "HEAD"])
async def test_methods(loopback: ServeLoopback, transport: AnyTransport, method: str) -> None:
    server = await loopback({"/x": "text"})
    for _ in range(2):
        response = await transport.send(Request(method, URL(server.url + "/x")))
        assert response.status == 200
        assert response.text == ("" if method == "HEAD" else "text")
    assert [seen.method for seen in server.seen] == [method] * 2
    assert server.connections_made == 1


@pytest.mark.parametrize("status", [204, 304, 400, 404, 418, 429, 500, 503])
async def test_every_status_is_an_answer(
    loopback: ServeLoopback, transport: AnyTransport, status: int
) -> None:
    server = await loopback({"GET /x": status})
    for _ in range(2):
        response = await transport.send(get(server))
        assert (response.status, response.ok) == (status, status < 300)
    assert server.connections_made == 1


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_redirects_are_not_followed(
    loopback: ServeLoopback, transport: AnyTransport, status: int
) -> None:
    def move(request: web.Request) -> web.Response:
        return web.Response(status=status, headers={"Location": "/elsewhere"})

    server = await loopback({"GET /x": move, "GET /elsewhere": "secret"})
    response = await transport.send(get(server, headers={"X-API-Key": "k"}))
    assert (response.status, response.headers["Location"]) == (status, "/elsewhere")
    assert server.hits == {"/x": 1}


async def test_cookies_are_not_kept(loopback: ServeLoopback, transport: AnyTransport) -> None:
    def login(request: web.Request) -> web.Response:
        return web.Response(headers={"Set-Cookie": "session=tenant-a; Path=/"})

    server = await loopback({"GET /login": login, "GET /x": 204})
    assert (await transport.send(get(server, "/login"))).headers["Set-Cookie"].startswith("session=")
    await transport.send(get(server))
    assert "Cookie" not in server.seen[1].headers


async def test_the_environment_changes_nothing(
    loopback: ServeLoopback, transport: AnyTransport, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    server = await loopback({"GET /x": 204})
    assert (await transport.send(get(server))).status == 204


@pytest.mark.parametrize("coding", ["gzip", "deflate"])
async def test_compressed_answers_are_opened(
    loopback: ServeLoopback, transport: AnyTransport, coding: str
) -> None:
    def compressed(request: web.Request) -> web.Response:
        response = web.json_response(list(range(1000)))
        response.enable_compression(web.ContentCoding(coding))
        return response

    server = await loopback({"GET /x": compressed})
    response = await transport.send(get(server))
    assert response.headers["Content-Encoding"] == coding
    assert response.json() == list(range(1000))


async def test_a_streamed_answer_is_put_together(loopback: ServeLoopback, transport: AnyTransport) -> None:
    async def stream(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        for part in range(50):
            await response.write(b"%d," % part)
            await asyncio.sleep(0)
        return response

    server = await loopback({"GET /x": stream})
    for _ in range(2):
        response = await transport.send(get(server))
        assert response.content == b"".join(b"%d," % part for part in range(50))
    assert server.connections_made == 1


async def test_connections_are_reused_and_sends_counted(
    loopback: ServeLoopback, transport: AnyTransport
) -> None:
    server = await loopback({"GET /x": {}})
    for _ in range(20):
        await transport.send(get(server))
    assert (transport.sends, server.total, server.connections_made) == (20, 20, 1)


async def test_without_reuse_each_request_has_its_own_connection(
    loopback: ServeLoopback, make_transport: MakeTransport
) -> None:
    server = await loopback({"GET /x": {}})
    transport = make_transport(connection_reuse=False)
    for _ in range(5):
        await transport.send(get(server))
    assert (server.total, server.connections_made) == (5, 5)
    assert {seen.headers["Connection"] for seen in server.seen} == {"close"}
    await server.until_disconnected()


async def test_the_limit_holds_and_nobody_is_forgotten(
    loopback: ServeLoopback, make_transport: MakeTransport
) -> None:
    async def slow(request: web.Request) -> int:
        await asyncio.sleep(0)
        return 204

    server = await loopback({"GET /x": slow})
    transport = make_transport(limit=3)
    responses = await asyncio.gather(*(transport.send(get(server)) for _ in range(60)))
    assert [response.status for response in responses] == [204] * 60
    assert server.connections_made == 3
    assert server.peak <= 3


async def test_a_refused_connection_is_not_a_send(transport: AnyTransport) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    request = Request("GET", URL(f"http://127.0.0.1:{port}/?token=hunter2"), endpoint="user")
    with pytest.raises(ApiNetworkError, match="cannot connect: Connection refused") as caught:
        await transport.send(request)
    assert (caught.value.sent, request.sent, transport.sends) == (False, False, 0)
    assert caught.value.endpoint == "user"
    assert caught.value.url == f"http://127.0.0.1:{port}/?token=***"


@pytest.mark.parametrize("host", ["no-such-host.invalid", f"{'a' * 64}.invalid", "127.1"])
async def test_an_unknown_host_is_not_a_send(transport: AnyTransport, host: str) -> None:
    with pytest.raises(ApiNetworkError, match=r"cannot find the address|not a valid host") as caught:
        await transport.send(Request("GET", URL(f"http://{host}/", encoded=True)))
    assert (caught.value.sent, transport.sends) == (False, 0)


@pytest.mark.parametrize(
    "request_",
    [
        Request("GET", URL("ftp://127.0.0.1/")),
        Request("GET", URL("/relative")),
        Request("CONNECT", URL("http://127.0.0.1/")),
        Request("GET", URL("http://127.0.0.1/"), {"Transfer-Encoding": "chunked"}),
        Request("GET", URL("http://127.0.0.1/"), {"X": "a\r\nb"}),
        Request("GET", URL("http://127.0.0.1/a b", encoded=True)),
    ],
)
async def test_what_cannot_go_out_does_not_open_a_connection(
    transport: AnyTransport, request_: Request
) -> None:
    request_.endpoint = "user"
    with pytest.raises((ApiConfigurationError, ApiValidationError)) as caught:
        await transport.send(request_)
    assert (request_.sent, transport.sends, caught.value.endpoint) == (False, 0, "user")


async def test_a_request_sent_twice_tells_about_the_last_time(
    loopback: ServeLoopback, transport: AnyTransport
) -> None:
    server = await loopback({"GET /x": 204})
    request = get(server)
    await transport.send(request)
    request.url = URL("http://no-such-host.invalid/")
    with pytest.raises(ApiNetworkError):
        await transport.send(request)
    assert not request.sent


async def test_servers_users_and_schemes_are_told_apart(
    loopback: ServeLoopback, transport: AnyTransport
) -> None:
    first, second = await loopback({"GET /x": "first"}), await loopback({"GET /x": "second"})
    for server, text in ((first, "first"), (second, "second"), (first, "first")):
        assert (await transport.send(get(server))).text == text
    for user in ("a", "b"):
        await transport.send(Request("GET", URL(first.url.replace("http://", f"http://{user}@") + "/x")))
    sent = [seen.headers.get("Authorization") for seen in first.seen]
    assert sent == [None, None, "Basic YTo=", "Basic Yjo="]
    assert second.seen[0].headers["Host"] == second.url.removeprefix("http://")


async def test_many_origins_do_not_pile_up(loopback: ServeLoopback, transport: AnyTransport) -> None:
    server = await loopback({"GET /x": 204})
    for number in range(1100):
        url = URL(server.url.replace("http://", f"http://user{number}@") + "/x", encoded=True)
        assert (await transport.send(Request("GET", url))).status == 204
    assert len(transport._origins) < 1100
    assert server.connections_made == 1


async def test_the_answers_of_parallel_requests_are_not_mixed_up(
    loopback: ServeLoopback, transport: AnyTransport
) -> None:
    async def answer(request: web.Request) -> dict[str, str]:
        for _ in range(int(request.match_info["id"]) % 7):
            await asyncio.sleep(0)
        return {"id": request.match_info["id"]}

    server = await loopback({"GET /users/{id}": answer})
    responses = await asyncio.gather(*(transport.send(get(server, f"/users/{n}")) for n in range(500)))
    assert [json.loads(response.content)["id"] for response in responses] == [str(n) for n in range(500)]
    assert transport.sends == server.total == 500
