"""Every row of what a server must refuse, each over a real socket."""

from __future__ import annotations

import asyncio
import gzip
import hmac
import tracemalloc
from typing import Any

import pytest

from rxorch import ApiConfigurationError, APIOrchestrationConfig
from rxorch.server import ServerLimits, Serving, create_app
from rxorch.server.settings import check_bind
from tests.server.conftest import TOKEN, Ask, Serve, Upstream
from tests.server.raw import connected, post
from tests.support.loopback import Loopback

RUN = "/orchestrations/profile"
JSON = "Content-Type: application/json\r\n"


# -- where it listens, and who may call ----------------------------------------------------------------


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "example.com", ""])
def test_another_address_needs_a_token(host: str) -> None:
    with pytest.raises(ApiConfigurationError, match="token"):
        Serving(create_app({}), host=host)
    Serving(create_app({}, token=TOKEN), host=host)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.5", "::1", "localhost"])
def test_loopback_needs_none(host: str) -> None:
    check_bind(host, has_token=False)


@pytest.mark.parametrize(
    "token", ["", "short", "with space in the token", "line\nbreak-in-the-token", "ä" * 20]
)
def test_poor_tokens_are_refused_and_not_shown(token: str) -> None:
    with pytest.raises(ApiConfigurationError, match="token") as caught:
        create_app({}, token=token)
    assert not token or token not in str(caught.value)


@pytest.mark.parametrize(
    ("shown", "status"),
    [
        (None, 401),
        ("Bearer", 401),
        (f"Bearer {TOKEN}x", 401),
        (f"Bearer {TOKEN[:-1]}", 401),
        (f"Basic {TOKEN}", 401),
        (TOKEN, 401),
        (f"Bearer {TOKEN}", 200),
        (f"bearer {TOKEN}", 200),
    ],
)
async def test_the_token(
    serve: Serve,
    ask: Ask,
    profile: APIOrchestrationConfig,
    services: Loopback,
    shown: str | None,
    status: int,
) -> None:
    server = await serve({"profile": profile}, token=TOKEN)
    headers = {} if shown is None else {"Authorization": shown}
    for method, path in (("POST", RUN), ("GET", "/metrics"), ("GET", "/openapi.json")):
        answer = await ask(method, server.url + path, json={"id": 7}, headers=headers)
        assert answer.status == status
        assert TOKEN not in answer.text
        assert status == 200 or answer.headers["WWW-Authenticate"] == "Bearer"
    assert services.total == (2 if status == 200 else 0)
    assert (await ask("GET", f"{server.url}/healthz")).status == 200


async def test_the_token_is_compared_in_constant_time(
    serve: Serve, ask: Ask, profile: APIOrchestrationConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    compared: list[tuple[int, int]] = []
    compare = hmac.compare_digest

    def spy(a: bytes, b: bytes) -> bool:
        compared.append((len(a), len(b)))
        return compare(a, b)

    monkeypatch.setattr(hmac, "compare_digest", spy)
    server = await serve({"profile": profile}, token=TOKEN)
    for shown in ("a", "a" * 1000):
        await ask("GET", f"{server.url}/metrics", headers={"Authorization": f"Bearer {shown}"})
    assert compared == [(32, 32), (32, 32)]


def test_the_token_is_in_no_repr() -> None:
    from rxorch.server.state import STATE

    assert TOKEN not in repr(create_app({}, token=TOKEN)[STATE])


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("localhost", 200),
        ("127.0.0.1:8080", 200),
        ("LOCALHOST:1", 200),
        ("[::1]:8080", 200),
        ("evil.example", 421),
        ("localhost.evil.example", 421),
        ("localhost@evil.example", 421),
        ("", 421),
    ],
)
async def test_the_host(serve: Serve, ask: Ask, host: str, status: int) -> None:
    server = await serve({})
    answer = await ask("GET", f"{server.url}/openapi.json", headers={"Host": host})
    assert answer.status == status


async def test_hosts_of_ones_own(serve: Serve, ask: Ask) -> None:
    server = await serve({}, hosts=["Api.Example.com"])
    for host, status in (("api.example.com", 200), ("localhost", 421)):
        answer = await ask("GET", f"{server.url}/openapi.json", headers={"Host": host})
        assert answer.status == status


@pytest.mark.parametrize(
    ("origin", "status"),
    [
        (None, 200),
        ("http://localhost", 200),
        ("https://localhost", 200),
        ("http://localhost:81", 403),
        ("https://evil.example", 403),
        ("null", 403),
    ],
)
async def test_the_origin(serve: Serve, ask: Ask, origin: str | None, status: int) -> None:
    server = await serve({})
    headers = {"Host": "localhost"} | ({} if origin is None else {"Origin": origin})
    answer = await ask("GET", f"{server.url}/openapi.json", headers=headers)
    assert answer.status == status
    assert not [name for name in answer.headers if name.startswith("Access-Control")]


async def test_cors_only_for_origins_that_are_named(serve: Serve, ask: Ask) -> None:
    server = await serve({}, origins=["https://app.example.com"], token=TOKEN)
    for origin, status in (("https://app.example.com", 204), ("https://evil.example", 403)):
        headers = {"Origin": origin, "Access-Control-Request-Method": "POST"}
        answer = await ask("OPTIONS", server.url + RUN, headers=headers)
        assert answer.status == status
        assert ("Access-Control-Allow-Origin" in answer.headers) == (status == 204)
    answer = await ask("GET", f"{server.url}/metrics", headers={"Origin": "https://app.example.com"})
    assert (answer.status, answer.headers["Access-Control-Allow-Origin"]) == (401, "https://app.example.com")


# -- bodies --------------------------------------------------------------------------------------------


async def refused(
    serve: Serve, ask: Ask, profile: APIOrchestrationConfig, body: Any, status: int, **headers: str
) -> str:
    server = await serve({"profile": profile}, limits=ServerLimits(body_bytes=1000))
    given = {"Content-Type": "application/json"} | {key.replace("_", "-"): headers[key] for key in headers}
    answer = await ask("POST", server.url + RUN, data=body, headers=given)
    assert answer.status == status
    assert answer.headers["Content-Type"].startswith("application/problem+json")
    detail: str = answer.json["detail"]
    return detail


@pytest.mark.parametrize(
    "body",
    [
        *(b"", b"{", b'{"id": 7} x', b'{"id": NaN}', b'{"id": Infinity}', b'{"id": -1e999}', b"\xff"),
        *(b'{"id": ' + b"9" * 400 + b".0}", b"[" * 900, b'{"id": "\\ud800"}'),
    ],
)
async def test_what_is_no_json_gets_a_fixed_text(
    serve: Serve, ask: Ask, profile: APIOrchestrationConfig, services: Loopback, body: bytes
) -> None:
    assert await refused(serve, ask, profile, body, 400) == "the body is not valid JSON"
    assert services.total == 0


@pytest.mark.parametrize(
    "kind", ["text/plain", "application/x-www-form-urlencoded", "application/json; charset=utf-16", ""]
)
async def test_other_types_are_refused(
    serve: Serve, ask: Ask, profile: APIOrchestrationConfig, kind: str
) -> None:
    assert "application/json" in await refused(serve, ask, profile, b'{"id": 7}', 415, Content_Type=kind)


def test_the_limits_of_the_table() -> None:
    limits = ServerLimits()
    assert (limits.body_bytes, limits.connections) == (1024 * 1024, 256)
    assert (limits.head_seconds, limits.body_seconds, limits.idle_seconds) == (10, 30, 60)
    with pytest.raises(ApiConfigurationError, match="connections"):
        ServerLimits(connections=0)


async def test_a_body_that_is_too_large(serve: Serve, ask: Ask, profile: APIOrchestrationConfig) -> None:
    assert "1000 bytes" in await refused(serve, ask, profile, b'"' + b"a" * 1000 + b'"', 413)


async def test_a_body_that_does_not_say_its_length(
    serve: Serve, ask: Ask, profile: APIOrchestrationConfig
) -> None:
    async def pieces() -> Any:
        for _ in range(20):
            yield b" " * 100

    assert "1000 bytes" in await refused(serve, ask, profile, pieces(), 413)


async def test_compressed_bodies(serve: Serve, ask: Ask, profile: APIOrchestrationConfig) -> None:
    server = await serve({"profile": profile})
    headers = {"Content-Type": "application/json", "Content-Encoding": "gzip"}
    answer = await ask("POST", server.url + RUN, data=gzip.compress(b'{"id": 7}'), headers=headers)
    assert answer.status == 200
    answer = await ask("POST", server.url + RUN, data=b"no gzip at all", headers=headers)
    assert answer.status == 400


async def test_a_compressed_bomb_is_not_unpacked(
    serve: Serve, ask: Ask, profile: APIOrchestrationConfig
) -> None:
    server = await serve({"profile": profile})
    bomb = gzip.compress(bytes(200 * 1024 * 1024), 9)
    assert len(bomb) < 1024 * 1024
    headers = {"Content-Type": "application/json", "Content-Encoding": "gzip"}
    tracemalloc.start()
    try:
        answer = await ask("POST", server.url + RUN, data=bomb, headers=headers)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert answer.status == 413
    assert peak < 20 * 1024 * 1024


# -- slow and many -------------------------------------------------------------------------------------


async def test_a_head_that_does_not_end(serve: Serve) -> None:
    server = await serve({}, limits=ServerLimits(head_seconds=0.05))
    for begin in (b"", b"GET /healthz HTTP/1.1\r\nHost: loc"):
        async with connected(server) as raw:
            await raw.send(begin)
            assert await raw.rest() == b""


async def test_a_second_head_that_does_not_end(serve: Serve) -> None:
    server = await serve({}, limits=ServerLimits(head_seconds=0.05))
    async with connected(server) as raw:
        await raw.send(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert b"200 OK" in await raw.head()
        await raw.reader.readexactly(3)
        await raw.send(b"GET /heal")
        assert await raw.rest() == b""


async def test_an_idle_connection_is_closed(serve: Serve) -> None:
    server = await serve({}, limits=ServerLimits(idle_seconds=0.05))
    async with connected(server) as raw:
        await raw.send(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert b"200 OK" in await raw.head()
        assert await raw.rest() == b"ok\n"


async def test_a_body_that_does_not_end(serve: Serve, profile: APIOrchestrationConfig) -> None:
    server = await serve({"profile": profile}, limits=ServerLimits(body_seconds=0.05))
    async with connected(server) as raw:
        await raw.send(post(RUN, f"{JSON}Content-Length: 100\r\n", b'{"id"'))
        assert b"408 Request Timeout" in await raw.head()
        assert b"within 50 ms" in await raw.rest()


async def test_more_connections_than_there_may_be(serve: Serve) -> None:
    server = await serve({}, limits=ServerLimits(connections=2))
    ask_health = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"
    async with connected(server) as first, connected(server) as second:
        for raw in (first, second):
            await raw.send(ask_health)
            assert b"200 OK" in await raw.head()
        async with connected(server) as third:
            assert b"503 Service Unavailable" in await third.rest()


async def test_more_runs_than_there_may_be(
    serve: Serve, ask: Ask, profile: APIOrchestrationConfig, services: Loopback, upstream: Upstream
) -> None:
    upstream.users = lambda request: asyncio.get_running_loop().create_future()
    server = await serve({"profile": profile}, limits=ServerLimits(runs=1))
    async with connected(server) as raw:
        await raw.send(post(RUN, f"{JSON}Content-Length: 8\r\n", b'{"id":7}'))
        await services.until(lambda: services.hits["/users/7"] == 1)
        answer = await ask("POST", server.url + RUN, json={"id": 8})
        assert (answer.status, answer.headers["Retry-After"]) == (503, "1")
    assert services.hits["/users/8"] == 0


async def test_what_is_no_http(serve: Serve) -> None:
    server = await serve({})
    async with connected(server) as raw:
        await raw.send(b"\x16\x03\x01 s3cret\r\n\r\n")
        answer = await raw.rest()
    assert answer.startswith((b"HTTP/1.0 400", b"HTTP/1.1 400"))
    assert b"no request that the server can read" in answer
    assert b"s3cret" not in answer


async def test_when_the_client_is_gone_the_run_is_cancelled(
    serve: Serve, profile: APIOrchestrationConfig, services: Loopback, upstream: Upstream
) -> None:
    upstream.users = upstream.orders = lambda request: asyncio.get_running_loop().create_future()
    server = await serve({"profile": profile})
    async with connected(server) as raw:
        await raw.send(post(RUN, f"{JSON}Content-Length: 8\r\n", b'{"id":7}'))
        await services.until_in_flight(2)
    await services.until_idle()
    assert services.closed_early == 2
