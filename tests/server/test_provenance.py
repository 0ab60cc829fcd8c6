"""A value that is past its time is called stale: in the outcome, the events and the answer."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from aiohttp import web

from rxorch import APIEndpoint, APIOrchestrationConfig, APIOrchestrator
from rxorch.events import CacheHit
from rxorch.server import Serving
from tests.conftest import ServeLoopback
from tests.server.conftest import Ask, Serve

BASE = {"Content-Type": "application/json"}
OUTAGE = {**BASE, "Cache-Control": "max-age=0, stale-if-error=600"}
RENEWED = {**BASE, "Cache-Control": "max-age=0, stale-while-revalidate=600"}
FRESH = {**BASE, "Cache-Control": "max-age=600"}


async def price_of(loopback: ServeLoopback, *answers: web.Response) -> APIEndpoint:
    """An endpoint that is answered by these in turn, the last one for ever."""
    left: Iterator[web.Response] = iter(answers)
    last = [answers[-1]]

    async def answer(request: web.Request) -> web.Response:
        return next(left, None) or web.Response(
            status=last[0].status, body=last[0].body, headers=last[0].headers
        )

    server = await loopback({"GET /price": answer})
    return APIEndpoint(name="price", url=f"{server.url}/price", retry_count=0)


def said(value: int, headers: dict[str, str]) -> web.Response:
    return web.Response(body=str(value), headers=headers)


async def provenances(ask: Ask, server: Serving, times: int) -> list[tuple[int, Any, str]]:
    seen = []
    for _ in range(times):
        answer = await ask("POST", f"{server.url}/orchestrations/price", json={})
        outcome = answer.json["outcomes"]["price"]
        seen.append((answer.status, answer.json["result"]["price"], outcome["provenance"]))
    return seen


def cached(endpoint: APIEndpoint) -> APIOrchestrator:
    return APIOrchestrator(APIOrchestrationConfig(endpoints=[endpoint], http_cache=True))


async def test_instead_of_an_error(loopback: ServeLoopback, serve: Serve, ask: Ask) -> None:
    flow = cached(await price_of(loopback, said(1, OUTAGE), web.Response(status=503)))
    hits: list[Any] = []
    flow.events.subscribe(hits.append)
    server = await serve({"price": flow})
    assert await provenances(ask, server, 3) == [(200, 1, "fresh"), (200, 1, "stale"), (200, 1, "stale")]
    assert [hit.stale for hit in hits if isinstance(hit, CacheHit)] == [True, True]


async def test_while_it_is_renewed(loopback: ServeLoopback, serve: Serve, ask: Ask) -> None:
    flow = cached(await price_of(loopback, said(1, RENEWED), said(2, FRESH)))
    server = await serve({"price": flow})
    assert await provenances(ask, server, 2) == [(200, 1, "fresh"), (200, 1, "stale")]


async def test_what_is_kept_and_fresh_is_cached(loopback: ServeLoopback, serve: Serve, ask: Ask) -> None:
    server = await serve({"price": cached(await price_of(loopback, said(1, FRESH)))})
    assert await provenances(ask, server, 2) == [(200, 1, "fresh"), (200, 1, "cached")]


async def test_a_handler_stands_in_for_a_stale_value_that_cannot_be_read(
    loopback: ServeLoopback, serve: Serve, ask: Ask
) -> None:
    endpoint = await price_of(loopback, said(1, OUTAGE), web.Response(status=503))
    broken = {"times": 0}

    def only_once(value: Any) -> Any:
        broken["times"] += 1
        if broken["times"] > 1:
            raise ValueError("it can be read once")
        return value

    endpoint = endpoint.model_copy(update={"transform_output": only_once, "error_handler": lambda _: -1})
    server = await serve({"price": cached(endpoint)})
    assert await provenances(ask, server, 2) == [(200, 1, "fresh"), (200, -1, "fallback")]


async def test_the_outcome_has_the_error_that_it_stands_for(loopback: ServeLoopback) -> None:
    async with cached(await price_of(loopback, said(1, OUTAGE), web.Response(status=503))) as flow:
        await flow.execute()
        outcome = (await flow.execute()).outcomes["price"]
    assert (outcome.value, outcome.stale, outcome.cached, outcome.degraded) == (1, True, True, True)
    assert outcome.error is not None
