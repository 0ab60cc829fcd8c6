"""Streams fed by APIs, against a real server: pages, polls, event streams; and other streams."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from aiohttp import web
from reactivex import operators as ops

from rxorch import ApiClient, APIEndpoint, APIOrchestrator, parallel
from rxorch import operators as rxo
from rxorch.ledger import Ledger
from rxorch.paging import cursor, link_header, page_number, paginate
from rxorch.sources import poll
from tests.conftest import ServeLoopback
from tests.support.loopback import Loopback

CATALOGUE = list(range(25))


async def by_number(request: web.Request) -> web.Response:
    page = int(request.query["page"])
    return web.json_response([{"id": n} for n in CATALOGUE[10 * (page - 1) : 10 * page]])


async def by_cursor(request: web.Request) -> web.Response:
    start = int(request.query.get("cursor", 0))
    more = start + 10 if start + 10 < len(CATALOGUE) else None
    return web.json_response({"items": [{"id": n} for n in CATALOGUE[start : start + 10]], "next": more})


async def by_link(request: web.Request) -> web.Response:
    start = int(request.query.get("from", 0))
    link = {"Link": f'</linked?from={start + 10}>; rel="next"'} if start + 10 < len(CATALOGUE) else {}
    return web.json_response([{"id": n} for n in CATALOGUE[start : start + 10]], headers=link)


async def feed(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
    await response.prepare(request)
    for n in CATALOGUE:
        await response.write(b"id: %d\ndata: %s\n\n" % (n, json.dumps({"id": n}).encode()))
    return response


async def export(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Type": "application/x-ndjson"})
    await response.prepare(request)
    for n in CATALOGUE:
        await response.write(json.dumps({"id": n}).encode() + b"\n")
    return response


async def detail(request: web.Request) -> web.Response:
    return web.json_response({"price": int(request.match_info["id"]) * 2})


@pytest.fixture
async def server(loopback: ServeLoopback) -> Loopback:
    return await loopback(
        {
            "GET /numbered": by_number,
            "GET /cursored": by_cursor,
            "GET /linked": by_link,
            "GET /feed": feed,
            "GET /export": export,
            "GET /details/{id}": detail,
            "GET /stock/{id}": detail,
        }
    )


def details(server: Loopback) -> APIOrchestrator:
    return APIOrchestrator(
        parallel(
            APIEndpoint(name="detail", url=f"{server.url}/details/{{id}}"),
            APIEndpoint(name="stock", url=f"{server.url}/stock/{{id}}"),
        )
    )


async def prices(server: Loopback, source: Any, **options: Any) -> list[int]:
    async with details(server) as orchestrator:
        runs = [run async for run in orchestrator.stream(source, max_concurrent=8, **options)]
    assert all(run.ok for run in runs)
    return sorted(run.result["detail"]["price"] for run in runs)


@pytest.mark.parametrize(
    ("path", "rule", "items"),
    [
        ("numbered", page_number(), None),
        ("cursored", cursor("next"), "items"),
        ("linked", link_header(), None),
    ],
)
async def test_the_pages_of_a_catalogue(server: Loopback, path: str, rule: Any, items: Any) -> None:
    catalogue = APIEndpoint(name="catalogue", url=f"{server.url}/{path}")
    async with ApiClient() as client:
        source = paginate(client, catalogue, next=rule, items=items)
        assert await prices(server, source) == [2 * n for n in CATALOGUE]


@pytest.mark.parametrize(("path", "kind"), [("feed", "sse"), ("export", "ndjson")])
async def test_the_elements_of_an_answer(server: Loopback, path: str, kind: str) -> None:
    endpoint = APIEndpoint(name="elements", url=f"{server.url}/{path}", stream=kind)  # type: ignore[arg-type]
    async with ApiClient() as client:
        source = client.observe(endpoint)(None)
        if kind == "sse":
            source = source.pipe(ops.map(lambda event: json.loads(event.data)))
        assert await prices(server, source.pipe(ops.take(25))) == [2 * n for n in CATALOGUE]


async def test_what_a_poll_finds(server: Loopback) -> None:
    endpoint = APIEndpoint(name="catalogue", url=f"{server.url}/numbered", params={"page": 1})
    async with ApiClient() as client:
        source = poll(client, endpoint, every=0.001, max_calls=3, changed=True)
        items = source.pipe(rxo.flat_map_bounded(rxo.from_iterable, max_concurrent=1))
        assert await prices(server, items) == [2 * n for n in range(10)]


async def test_one_stream_feeds_another(server: Loopback) -> None:
    """A stream is an Observable: what one orchestration makes is the next one's input."""
    async with details(server) as first, details(server) as second:
        cheap = first.stream([{"id": n} for n in range(20)], max_concurrent=4).pipe(
            ops.filter(lambda run: run.result["detail"]["price"] < 10),
            ops.map(lambda run: {"id": run.input["id"] + 100}),
        )
        runs = [run async for run in second.stream(cheap, max_concurrent=2)]
    assert sorted(run.result["stock"]["price"] for run in runs) == [200, 202, 204, 206, 208]


async def test_a_deadline_keeps_what_is_done(server: Loopback, tmp_path: Any) -> None:
    """`asyncio.timeout` around the loop: partial results kept, in the ledger too, and nothing left."""
    path = tmp_path / "run.sqlite"
    done = []
    async with details(server) as orchestrator:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(60) as deadline:
                async for run in orchestrator.stream(({"id": n} for n in range(10**6)), ledger=path):
                    done.append(run.key)
                    if len(done) == 30:
                        deadline.reschedule(asyncio.get_running_loop().time())
        assert orchestrator.in_flight == 0
    counts = Ledger(path).counts()
    assert 30 <= counts.ok <= 60 and set(done) <= {
        record.key for record in Ledger(path).records(finished=True)
    }
