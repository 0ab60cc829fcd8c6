"""NDJSON in, NDJSON out: records as they end, and no more read than the client takes."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from aiohttp import web

from rxorch import APIOrchestrationConfig
from rxorch.server import ServerLimits
from tests.conftest import ServeLoopback
from tests.server.conftest import Ask, Serve, Upstream, endpoint, parallel_of
from tests.server.raw import connected, post
from tests.support.loopback import Loopback

STREAM = "/orchestrations/profile/stream"
NDJSON = {"Content-Type": "application/x-ndjson"}
CHUNKED = "Content-Type: application/x-ndjson\r\nTransfer-Encoding: chunked\r\n"


def lines(*numbers: int) -> bytes:
    return b"".join(b'{"id": %d}\n' % number for number in numbers)


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


def records(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


async def test_a_record_for_each_line(serve: Serve, ask: Ask, profile: APIOrchestrationConfig) -> None:
    server = await serve({"profile": profile})
    body = b"\n" + lines(1, 2) + b"\r\n" + lines(3).strip()
    answer = await ask("POST", server.url + STREAM, data=body, headers=NDJSON)
    assert (answer.status, answer.headers["Content-Type"]) == (200, "application/x-ndjson")
    found = sorted(records(answer.text), key=lambda record: record["index"])
    assert [record["result"]["users"]["id"] for record in found] == [1, 2, 3]
    assert {record["status"] for record in found} == {200}


async def test_bad_lines_are_records_too(
    serve: Serve, ask: Ask, profile: APIOrchestrationConfig, services: Loopback
) -> None:
    server = await serve({"profile": profile}, limits=ServerLimits(body_bytes=50))
    bad = [b"{", b'{"id": NaN}', b'"' + b"s3cret" * 20 + b'"', b"\xff"]
    body = b"\n".join([*bad, lines(7)])
    answer = await ask("POST", server.url + STREAM, data=body, headers=NDJSON)
    found = sorted(records(answer.text), key=lambda record: record["index"])
    assert [record["status"] for record in found] == [422, 422, 422, 422, 200]
    assert [found[n]["problem"]["line"] for n in range(4)] == [1, 2, 3, 4]
    assert "s3cret" not in answer.text
    assert services.total == 2


async def test_failed_runs_do_not_end_the_stream(
    serve: Serve, ask: Ask, profile: APIOrchestrationConfig, upstream: Upstream
) -> None:
    upstream.users = lambda request: 503 if request.path == "/users/2" else {"id": 1}
    upstream.orders = lambda request: 503 if request.path != "/orders/1" else []
    server = await serve({"profile": profile})
    answer = await ask("POST", server.url + STREAM, data=lines(1, 2, 3), headers=NDJSON)
    found = sorted(records(answer.text), key=lambda record: record["index"])
    assert [record["status"] for record in found] == [200, 502, 206]
    assert found[1]["problem"]["outcomes"]["users"]["error"]["upstream_status"] == 503


async def test_other_types_are_refused(serve: Serve, ask: Ask, profile: APIOrchestrationConfig) -> None:
    server = await serve({"profile": profile})
    answer = await ask("POST", server.url + STREAM, json={"id": 7})
    assert (answer.status, answer.headers["Accept-Post"]) == (415, "application/x-ndjson")


async def test_answers_come_while_lines_are_sent(serve: Serve, profile: APIOrchestrationConfig) -> None:
    server = await serve({"profile": profile})
    async with connected(server) as raw:
        await raw.send(post(STREAM, CHUNKED))
        await raw.head()
        for number in range(3):
            await raw.send(chunk(lines(number)))
            await raw.line()
            assert json.loads(await raw.line())["result"]["users"]["id"] == number
            await raw.line()
        await raw.send(b"0\r\n\r\n")
        assert await raw.line() == b"0\r\n"


async def test_a_slow_reader_bounds_what_is_read(serve: Serve, loopback: ServeLoopback) -> None:
    """The answers are large, and nobody takes them: the upstream is asked no more after a while."""

    async def user(request: web.Request) -> web.Response:
        return web.json_response("x" * 500_000)

    services = await loopback({"GET /users/{id}": user})
    cap = 4
    flow = parallel_of(endpoint(services, "users"), max_concurrent=cap)
    server = await serve({"profile": flow})
    total = 400
    async with connected(server) as raw:
        await raw.send(post(STREAM, CHUNKED) + chunk(lines(*range(total))) + b"0\r\n\r\n")
        await raw.head()  # and no more: asyncio stops reading at its own limit
        asked = -1
        while asked != services.total:  # until a pause in which nothing has moved
            asked = services.total
            for _ in range(200):
                await asyncio.sleep(0.001)
        assert 0 < asked < total // 2
        seen = 0
        async with asyncio.timeout(60):
            while seen < total:
                seen += (await raw.reader.read(1 << 20)).count(b'"index"')
    assert services.total == total


async def test_a_client_that_is_silent_or_takes_nothing(
    serve: Serve, profile: APIOrchestrationConfig
) -> None:
    server = await serve({"profile": profile}, limits=ServerLimits(idle_seconds=0.1))
    async with connected(server) as raw:
        await raw.send(post(STREAM, CHUNKED) + chunk(lines(1)))
        answer = await raw.rest()
    assert b'"index":0' in answer
    assert b'"status":408' in answer.splitlines()[-4]


async def test_a_client_that_is_gone_ends_the_runs(
    serve: Serve, profile: APIOrchestrationConfig, services: Loopback, upstream: Upstream
) -> None:
    upstream.users = upstream.orders = lambda request: asyncio.get_running_loop().create_future()
    server = await serve({"profile": profile})
    async with connected(server) as raw:
        await raw.send(post(STREAM, CHUNKED) + chunk(lines(1, 2)))
        await services.until_in_flight(4)
    await services.until_idle()
    assert services.closed_early == 4
