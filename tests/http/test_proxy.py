"""Requests that go through a proxy, which is one."""

from __future__ import annotations

import asyncio
import socket
import ssl
from typing import Any

import pytest
from aiohttp import ClientSession, web
from yarl import URL

from rxorch.errors import ApiConfigurationError, ApiError, ApiNetworkError
from rxorch.http import AioHttpTransport, Request
from rxorch.http.body import StreamedBody
from rxorch.http.gate import AddressGate
from rxorch.http.proxy import Proxies, proxies
from tests.conftest import ServeLoopback
from tests.http.conftest import MakeTransport
from tests.http.proxy import TestProxy
from tests.http.raw import RawServer
from tests.http.test_tls import PEM, echo_paths, server_side

CREDENTIALS = "Basic bWU6aHVudGVyMg=="
"""``me:hunter2``"""


def with_user(proxy: TestProxy) -> str:
    return proxy.url.replace("http://", "http://me:hunter2@")


async def echo(request: web.Request) -> dict[str, Any]:
    return {
        "path": request.path_qs,
        "headers": dict(request.headers),
        "body": (await request.read()).decode(),
    }


@pytest.fixture(params=["own way", "session"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """The transport's own way, and that through a session which somebody has wrapped."""
    if request.param == "session":
        shipped = ClientSession._request

        async def wrapped(self: ClientSession, *args: Any, **options: Any) -> Any:
            return await shipped(self, *args, **options)

        monkeypatch.setattr(ClientSession, "_request", wrapped)
    return str(request.param)


@pytest.mark.usefixtures("way")
async def test_http_requests_go_to_the_proxy(loopback: ServeLoopback, make_transport: MakeTransport) -> None:
    server = await loopback({"* /{path}": echo})
    async with TestProxy(CREDENTIALS) as proxy:
        transport = make_transport(proxy=with_user(proxy))
        for number in range(3):
            request = Request("POST", URL(f"{server.url}/x?n={number}"), {"X-A": "1"}, b"hello")
            answer = (await transport.send(request)).json()
            assert (answer["path"], answer["body"], answer["headers"]["X-A"]) == (
                f"/x?n={number}",
                "hello",
                "1",
            )
            assert not [name for name in answer["headers"] if name.lower().startswith("proxy")]
        assert proxy.heads[0].startswith(f"POST {server.url}/x?n=0 HTTP/1.1\r\n")
        assert f"Host: {server.url.removeprefix('http://')}" in proxy.heads[0]
        assert (transport.sends, proxy.connections, len(proxy.heads)) == (3, 1, 3)
        await transport.aclose()


@pytest.mark.usefixtures("way")
async def test_https_goes_through_a_tunnel(make_transport: MakeTransport) -> None:
    trust = ssl.create_default_context(cafile=str(PEM))
    async with RawServer(echo_paths, server_side()) as server, TestProxy(CREDENTIALS) as proxy:
        transport = make_transport(proxy=with_user(proxy), ssl_context=trust)
        for number in range(3):
            request = Request("GET", URL(f"{server.url}/{number}?secret=1"), {"Authorization": "Bearer me"})
            assert (await transport.send(request)).content == f"/{number}?secret=1".encode()
        (head,) = proxy.heads
        authority = server.url.removeprefix("https://")
        assert head.startswith(f"CONNECT {authority} HTTP/1.1\r\n")
        assert f"Proxy-Authorization: {CREDENTIALS}" in head
        assert "User-Agent: rxorch" in head
        assert "secret" not in head
        assert "Bearer" not in head
        assert (transport.sends, proxy.connections, server.connections) == (3, 1, 1)
        await transport.aclose()


async def test_nothing_of_the_proxy_reaches_the_origin_of_a_tunnel(make_transport: MakeTransport) -> None:
    heads: list[bytes] = []

    async def keep(peer: Any) -> None:
        heads.append(await peer.request())
        await peer.answer()

    trust = ssl.create_default_context(cafile=str(PEM))
    async with RawServer(keep, server_side()) as server, TestProxy(CREDENTIALS) as proxy:
        transport = make_transport(proxy=with_user(proxy), ssl_context=trust)
        await transport.send(Request("GET", URL(server.url)))
        await transport.aclose()
    assert b"Proxy" not in heads[0]
    assert CREDENTIALS.encode() not in heads[0]


async def test_streams_go_through_it_too(loopback: ServeLoopback, make_transport: MakeTransport) -> None:
    server = await loopback({"* /{path}": echo})
    async with TestProxy() as proxy:
        transport = make_transport(proxy=proxy.url)
        body = StreamedBody([b"hel", b"lo"], length=5)
        async with transport.stream(Request("POST", URL(server.url + "/x"), body=body)) as response:
            assert (await response.read()).json()["body"] == "hello"
        assert "Proxy-Authorization" not in proxy.heads[0]
        await transport.aclose()


def says_nothing_of_it(error: ApiError) -> bool:
    chain: list[BaseException] = [error]
    while (before := chain[-1].__cause__ or chain[-1].__context__) is not None:
        chain.append(before)
    text = "".join(f"{part} {part!r} {getattr(part, '__notes__', '')}" for part in chain)
    return not any(secret in text for secret in ("hunter2", "hunter3", "bWU6", CREDENTIALS))


@pytest.mark.usefixtures("way")
async def test_wrong_credentials(loopback: ServeLoopback, make_transport: MakeTransport) -> None:
    server = await loopback({"GET /x": 204})
    async with TestProxy(CREDENTIALS) as proxy:
        transport = make_transport(proxy=with_user(proxy).replace("hunter2", "hunter3"))
        assert (await transport.send(Request("GET", URL(server.url + "/x")))).status == 407
        request = Request("GET", URL("https://127.0.0.1:1/x"))
        with pytest.raises(ApiNetworkError, match="the proxy wants other credentials: HTTP 407") as caught:
            await transport.send(request)
        await transport.aclose()
    assert (caught.value.sent, request.sent, transport.sends, server.total) == (False, False, 1, 0)
    assert says_nothing_of_it(caught.value)


async def test_a_proxy_that_opens_no_tunnel(make_transport: MakeTransport) -> None:
    async with TestProxy(tunnels_end=b"HTTP/1.1 502 me:hunter2\r\nContent-Length: 0\r\n\r\n") as proxy:
        transport = make_transport(proxy=with_user(proxy))
        with pytest.raises(ApiNetworkError, match="the proxy refused the connection: HTTP 502") as caught:
            await transport.send(Request("GET", URL("https://127.0.0.1:1/x")))
    assert says_nothing_of_it(caught.value)


@pytest.mark.parametrize("end", [b"", b"hello\r\n\r\n", b"HTTP/1.1 200 OK\r\n\r\nhello"])
async def test_a_proxy_that_talks_nonsense(make_transport: MakeTransport, end: bytes) -> None:
    async with TestProxy(tunnels_end=end) as proxy:
        request = Request("GET", URL("https://127.0.0.1:1/x"))
        with pytest.raises(ApiNetworkError) as caught:
            await make_transport(proxy=with_user(proxy)).send(request)
    assert (caught.value.sent, says_nothing_of_it(caught.value)) == (False, True)


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_a_proxy_that_is_not_there(make_transport: MakeTransport, scheme: str) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    transport = make_transport(proxy=f"http://me:hunter2@127.0.0.1:{port}")
    with pytest.raises(ApiNetworkError, match="cannot connect to the proxy: Connection refused") as caught:
        await transport.send(Request("GET", URL(f"{scheme}://example.com/x")))
    assert (caught.value.sent, transport.sends, says_nothing_of_it(caught.value)) == (False, 0, True)
    assert "hunter2" not in repr(transport)


async def test_cancelling_while_a_tunnel_is_asked_for(make_transport: MakeTransport) -> None:
    asked = asyncio.Event()

    async def silent(peer: Any) -> None:
        await peer.request()
        asked.set()
        await peer.gone()

    async with RawServer(silent) as proxy:
        transport = make_transport(proxy=proxy.url, limit=1)
        for _ in range(2):
            sending = asyncio.ensure_future(transport.send(Request("GET", URL("https://example.com/"))))
            await asked.wait()
            asked.clear()
            sending.cancel()
            with pytest.raises(asyncio.CancelledError):
                await sending


async def test_some_hosts_need_none(loopback: ServeLoopback, make_transport: MakeTransport) -> None:
    server = await loopback({"GET /x": 204})
    async with TestProxy() as proxy:
        transport = make_transport(proxy=proxy.url, no_proxy=["127.0.0.0/8"])
        assert (await transport.send(Request("GET", URL(server.url + "/x")))).status == 204
        assert (proxy.connections, server.connections_made) == (0, 1)
        await transport.aclose()


async def test_the_environment_counts_only_when_asked(
    loopback: ServeLoopback, make_transport: MakeTransport, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    server = await loopback({"GET /x": 204})
    async with TestProxy() as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy.url.removeprefix("http://"))
        request = Request("GET", URL(server.url + "/x"))
        await make_transport().send(request)
        assert proxy.connections == 0
        transport = make_transport(proxy="environment")
        await transport.send(request)
        assert proxy.connections == 1
        monkeypatch.setenv("NO_PROXY", "other.test, 127.0.0.1")
        await make_transport(proxy="environment").send(request)
        assert proxy.connections == 1
        await transport.aclose()


def test_a_proxy_by_scheme() -> None:
    ways = Proxies({"http": "http://a.test:1", "all": "http://b.test:2"}, [])
    assert [str(ways.of(URL(url))) for url in ("http://x.test", "https://x.test")] == [
        "<Proxy http://a.test:1>",
        "<Proxy http://b.test:2>",
    ]
    assert Proxies({"https": "http://a.test:1"}, []).of(URL("http://x.test")) is None


@pytest.mark.parametrize(
    ("url", "exempt"),
    [
        ("http://example.com/", True),
        ("http://EXAMPLE.com./", True),
        ("http://api.example.com/", True),
        ("http://notexample.com/", False),
        ("http://sub.example.org/", True),
        ("http://example.net:8080/", True),
        ("http://example.net/", False),
        ("http://10.1.2.3/", True),
        ("http://11.1.2.3/", False),
        ("http://[fd00::1]/", True),
        ("http://other.test/", False),
    ],
)
def test_no_proxy(url: str, exempt: bool) -> None:
    no_proxy = ["example.com", ".example.org", "example.net:8080", "10.0.0.0/8", "[fd00::1]", " "]
    ways = proxies("http://proxy.test:3128", no_proxy)
    assert ways is not None
    assert (ways.of(URL(url)) is None) == exempt


def test_no_proxy_for_anything() -> None:
    ways = proxies("http://proxy.test:3128", ["*"])
    assert ways is not None
    assert ways.of(URL("http://example.com/")) is None


@pytest.mark.parametrize(
    ("proxy", "no_proxy"),
    [
        ("proxy.test:3128", []),
        ("https://me:hunter2@proxy.test", []),
        ("socks5://me:hunter2@proxy.test", []),
        ("http://me:hunter2@proxy.test/path", []),
        ("http://me:hunter2@:80", []),
        ("http://me:hunter2@proxy.test:99999", []),
        ("", []),
        ({"ftp": "http://me:hunter2@proxy.test"}, []),
        ({"all": 7}, []),
        ("http://proxy.test", "example.com"),
    ],
)
def test_what_is_no_proxy(proxy: Any, no_proxy: Any) -> None:
    with pytest.raises(ApiConfigurationError, match="proxy") as caught:
        AioHttpTransport(proxy=proxy, no_proxy=no_proxy)
    assert "hunter2" not in str(caught.value)


def test_a_gate_and_a_proxy_do_not_go_together() -> None:
    with pytest.raises(ApiConfigurationError, match="gate or proxy"):
        AioHttpTransport(proxy="http://proxy.test", gate=AddressGate())


@pytest.mark.parametrize(
    "proxy",
    [
        "http://me:12/34hunter@proxy:3128",
        "http://me:12?34hunter@proxy:3128",
        "socks5://me:hunter2@proxy",
        {"http://me:hunter2@p": "x"},
        {"http": "http://me:hunter2/@p"},
        5,
    ],
)
def test_no_message_shows_what_was_given(proxy: Any) -> None:
    with pytest.raises(ApiConfigurationError) as caught:
        AioHttpTransport(proxy=proxy)
    assert "hunter" not in str(caught.value)


@pytest.mark.parametrize(
    ("entry", "url", "exempt"),
    [
        ("bücher.de", "http://www.bücher.de/", True),
        ("EX.test.", "http://ex.test/", True),
        (".ex.test", "http://a.ex.test/", True),
        ("1", "http://9.9.9.1/", False),
        ("9.9.9.1", "http://9.9.9.1/", True),
        ("9.9.9.0/24", "http://9.9.9.1/", True),
        ("ex.test:81", "http://ex.test:81/", True),
        ("ex.test:81", "http://ex.test/", False),
        ("test", "http://contest/", False),
        ("*", "http://9.9.9.1/", True),
    ],
)
def test_which_hosts_are_exempt(entry: str, url: str, exempt: bool) -> None:
    ways = proxies("http://proxy.test:3128", no_proxy=[entry])
    assert ways is not None
    assert (ways.of(URL(url)) is None) is exempt
