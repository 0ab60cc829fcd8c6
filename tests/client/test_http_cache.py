"""The HTTP cache in the policy stack: what it has costs nothing, and nobody gets what is another's."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from aiohttp import web

from rxorch import APIEndpoint, ApiHttpError, Response
from rxorch.client import ApiClient, BearerAuth, RetryRequestStrategy
from rxorch.errors import ApiTimeoutError
from rxorch.events import CacheHit, CallFinished
from rxorch.http.http_cache import HttpCache
from tests.conftest import ServeLoopback
from tests.support.fake_transport import FakeTransport, Hold, api, in_turn, turns

pytestmark = pytest.mark.usefixtures("each_transport")

URL = "http://shop.test/x"
BOTH = pytest.mark.parametrize("how", ["request", "endpoint"])


def answer(value: str, *headers: tuple[str, str], status: int = 200) -> Response:
    return Response(status, f'"{value}"'.encode(), {"Content-Type": "application/json", **dict(headers)})


FRESH = ("Cache-Control", "max-age=600")
STALE = ("Cache-Control", "max-age=0")
TAG = ("ETag", '"1"')


def client_on(wire: FakeTransport, **settings: Any) -> ApiClient:
    strategy = RetryRequestStrategy(http=wire, backoff=0)
    return ApiClient(strategy=strategy, **{"http_cache": True, **settings})


async def get(client: ApiClient, how: str, **settings: Any) -> Any:
    if how == "request":
        return await client.call_api(URL, **settings)
    return await client.call(api("api", URL, retry_delay=0.0))


@BOTH
async def test_a_fresh_answer_costs_no_request(how: str) -> None:
    wire = FakeTransport(otherwise=in_turn(answer("one", FRESH), answer("two", FRESH)))
    client = client_on(wire)
    seen: list[Any] = []
    client.events.subscribe(seen.append)
    assert [await get(client, how) for _ in range(3)] == ["one"] * 3
    assert wire.sends == 1
    assert len([event for event in seen if isinstance(event, CacheHit)]) == 2
    assert [event.sends for event in seen if isinstance(event, CallFinished)] == [1, 0, 0]


@BOTH
async def test_a_stale_answer_is_confirmed_by_a_304(how: str) -> None:
    wire = FakeTransport(otherwise=in_turn(answer("one", STALE, TAG), Response(304, b"", dict([TAG, FRESH]))))
    client = client_on(wire)
    assert [await get(client, how) for _ in range(3)] == ["one"] * 3
    assert wire.sends == 2 and wire.calls[1].headers["If-None-Match"] == '"1"'


@BOTH
async def test_a_condition_survives_a_retry(how: str) -> None:
    wire = FakeTransport(
        otherwise=in_turn(answer("one", STALE, TAG), 500, Response(304, b"", dict([TAG, FRESH])))
    )
    client = client_on(wire)
    assert [await get(client, how) for _ in range(2)] == ["one"] * 2
    assert [call.headers.get("If-None-Match") for call in wire.calls] == [None, '"1"', '"1"']


@BOTH
async def test_a_304_for_another_version_is_asked_again_without_condition(how: str) -> None:
    wrong = Response(304, b"", {"ETag": '"2"'})
    wire = FakeTransport(otherwise=in_turn(answer("one", STALE, TAG), wrong, answer("two", FRESH)))
    client = client_on(wire)
    assert [await get(client, how) for _ in range(2)] == ["one", "two"]
    assert [call.headers.get("If-None-Match") for call in wire.calls] == [None, '"1"', None]


@BOTH
async def test_a_stale_answer_stands_in_for_an_error(how: str) -> None:
    wire = FakeTransport(
        otherwise=in_turn(answer("one", ("Cache-Control", "max-age=0, stale-if-error=600"), TAG), 500)
    )
    client = client_on(wire)
    assert [await get(client, how) for _ in range(2)] == ["one"] * 2
    assert wire.sends == 4  # the retries came first


@BOTH
async def test_a_stale_answer_is_given_at_once_while_it_is_renewed(how: str) -> None:
    hold = Hold()
    wire = FakeTransport(
        otherwise=in_turn(answer("one", ("Cache-Control", "max-age=0, stale-while-revalidate=600")), hold)
    )
    async with client_on(wire) as client:
        assert await get(client, how) == "one"
        assert await get(client, how) == "one"
        await turns()
        assert hold.waiting == 1
        hold.answer(answer("two", FRESH))
        await turns()
        assert await get(client, how) == "two"
        assert wire.sends == 2


async def test_a_renewal_in_the_background_ends_with_the_client() -> None:
    hold = Hold()
    swr = answer("one", ("Cache-Control", "max-age=0, stale-while-revalidate=600"))
    wire = FakeTransport(otherwise=in_turn(swr, hold))
    async with client_on(wire) as client:
        for _ in range(2):
            assert await client.call(api("api", URL)) == "one"
        await turns()
    await turns()
    assert hold.cancelled == 1


async def test_two_identities_never_share() -> None:
    cache = HttpCache()
    wire = FakeTransport(otherwise=in_turn(answer("ada's", FRESH), answer("eve's", FRESH), 500))
    ada, eve = (
        client_on(wire, http_cache=cache, base_url="http://shop.test", auth=BearerAuth(token))
        for token in ("ada", "eve")
    )
    assert [await ada.call_api(URL), await eve.call_api(URL)] == ["ada's", "eve's"]
    assert [await ada.call_api(URL), await eve.call_api(URL)] == ["ada's", "eve's"]
    headed = FakeTransport(otherwise=in_turn(answer("ada's", FRESH), answer("eve's", FRESH), 500))
    client = client_on(headed, http_cache=cache)
    for _ in range(2):
        for who in ("ada", "eve"):
            assert await client.call_api(URL, headers={"Authorization": who}) == f"{who}'s"
    assert headed.sends == 2


async def test_a_post_makes_what_is_kept_invalid() -> None:
    wire = FakeTransport(otherwise=in_turn(answer("one", FRESH), answer("ok"), answer("two", FRESH)))
    client = client_on(wire)
    assert await client.call_api(URL) == "one"
    await client.call_api(URL, "POST", json_payload={})
    assert await client.call_api(URL) == "two"


async def test_a_post_that_is_cut_off_makes_it_invalid_too() -> None:
    hold = Hold()
    wire = FakeTransport(otherwise=in_turn(answer("one", FRESH), hold, answer("two", FRESH)))
    client = client_on(wire)
    assert await client.call_api(URL) == "one"
    task = asyncio.create_task(client.call_api(URL, "POST", json_payload={}))
    await turns()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await client.call_api(URL) == "two"


async def test_what_is_kept_costs_no_permit_of_a_limit() -> None:
    wire = FakeTransport(otherwise=answer("one", FRESH))
    client = client_on(wire, global_rate_limit=1, rate_limit_window=3600)
    assert [await client.call(api("api", URL, timeout=1)) for _ in range(5)] == ["one"] * 5


async def test_an_endpoint_can_opt_out() -> None:
    wire = FakeTransport(otherwise=in_turn(answer("one", FRESH), answer("two", FRESH)))
    client = client_on(wire)
    endpoint = api("api", URL, http_cache=False)
    assert [await client.call(endpoint), await client.call(endpoint)] == ["one", "two"]


async def test_what_a_redirect_led_to_is_not_kept_under_the_first_url(loopback: ServeLoopback) -> None:
    async def away(request: web.Request) -> web.Response:
        return web.Response(status=302, headers={"Location": "/there"})

    async def there(request: web.Request) -> web.Response:
        return web.json_response({"n": 1}, headers={"Cache-Control": "max-age=600"})

    server = await loopback({"/here": away, "/there": there})
    async with ApiClient(http_cache=True, follow_redirects=True) as client:
        for _ in range(2):
            assert await client.call_api(f"{server.url}/here") == {"n": 1}
    assert server.hits["/here"] == 2


async def test_a_real_server(loopback: ServeLoopback) -> None:
    async def tagged(request: web.Request) -> web.Response:
        if request.headers.get("If-None-Match") == '"v1"':
            return web.Response(status=304, headers={"ETag": '"v1"'})
        return web.json_response({"v": 1}, headers={"ETag": '"v1"', "Cache-Control": "no-cache"})

    server = await loopback({"/x": tagged})
    async with ApiClient(http_cache=True) as client:
        for _ in range(3):
            assert await client.call(APIEndpoint(name="x", url=f"{server.url}/x")) == {"v": 1}
    assert server.total == 3


async def test_errors_stay_errors() -> None:
    client = client_on(FakeTransport(otherwise=404))
    with pytest.raises(ApiHttpError):
        await client.call_api(URL)
    held = client_on(FakeTransport(otherwise=Hold()))
    with pytest.raises(ApiTimeoutError):
        await held.call(api("api", URL, timeout=0.01, retry_count=0))
