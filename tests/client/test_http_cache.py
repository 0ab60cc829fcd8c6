"""The HTTP cache in the policy stack: what it has costs nothing, and nobody gets what is another's."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any

import pytest
from aiohttp import web

from rxorch import APIEndpoint, ApiHttpError, Request, Response
from rxorch.client import ApiClient, BaseRequestHook, BearerAuth, RetryRequestStrategy
from rxorch.endpoint.caller import Caller
from rxorch.errors import ApiError, ApiNetworkError, ApiTimeoutError
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


SWR = ("Cache-Control", "max-age=0, stale-while-revalidate=600")


def client_on(wire: FakeTransport, *, hooks: Any = (), **settings: Any) -> ApiClient:
    strategy = RetryRequestStrategy(http=wire, backoff=0, hooks=hooks)
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


class Language(BaseRequestHook):
    """Asks for a language of its own, which is not in the request that the cache is asked about."""

    keeps_identity = True

    def __init__(self) -> None:
        self.language = "de"

    async def before(self, request: Any) -> None:
        request.headers = {**(request.headers or {}), "Accept-Language": self.language}


def in_language(request: Request) -> Response:
    vary = (("Vary", "Accept-Language"), FRESH, TAG)
    return answer(request.headers["Accept-Language"], *vary)


@BOTH
async def test_vary_goes_by_what_hooks_made_of_a_request(how: str) -> None:
    hook = Language()
    client = client_on(FakeTransport(otherwise=in_language), hooks=[hook])
    assert await get(client, how) == "de"
    hook.language = "fr"
    assert await get(client, how) == "fr"


@BOTH
async def test_hooks_that_change_nothing_keep_the_cache(how: str) -> None:
    class Silent(BaseRequestHook):
        keeps_identity = True

    wire = FakeTransport(otherwise=in_turn(answer("one", FRESH), 500))
    client = client_on(wire, hooks=[Silent()])
    assert [await get(client, how) for _ in range(3)] == ["one"] * 3


@BOTH
async def test_what_a_hook_sent_elsewhere_is_not_kept_for_the_first_url(how: str) -> None:
    class Elsewhere(BaseRequestHook):
        keeps_identity = True

        async def before(self, request: Any) -> None:
            request.url = "http://shop.test/y"

    wire = FakeTransport(otherwise=in_turn(answer("one", FRESH), answer("two", FRESH)))
    client = client_on(wire, hooks=[Elsewhere()])
    assert [await get(client, how) for _ in range(2)] == ["one", "two"]
    assert [call.url.path for call in wire.calls] == ["/y", "/y"]


@pytest.mark.parametrize("hooks", [(), [Language()]], ids=["plain", "hooked"])
@BOTH
async def test_what_a_head_found_stale_is_renewed_by_a_get(how: str, hooks: Any) -> None:
    def respond(request: Request) -> Response:
        return Response(200, b"") if request.method == "HEAD" else versions(request)

    versions = in_turn(answer("one", SWR), answer("two", FRESH), 500)
    wire = FakeTransport(otherwise=respond)
    async with client_on(wire, hooks=hooks) as client:
        assert await get(client, how) == "one"
        if how == "request":
            await client.call_api(URL, "HEAD")
        else:
            await client.call(api("head", URL, method="HEAD"))
        await turns()
        assert [call.method for call in wire.calls] == ["GET", "GET"]
        assert await get(client, how) == "two"


async def test_a_stale_answer_is_renewed_below_the_cache_that_keeps_it_for_a_while() -> None:
    wire = FakeTransport(otherwise=in_turn(answer("one", SWR), answer("two", FRESH), 500))
    endpoint = api("api", URL, cache_ttl=600)
    async with client_on(wire) as client:
        assert await client.call(endpoint) == "one"
        client.clear_all_cache()
        assert await client.call(endpoint) == "one"
        await turns()
        assert wire.sends == 2
        client.clear_all_cache()
        assert await client.call(endpoint) == "two"


@BOTH
async def test_a_stale_answer_is_renewed_outside_of_a_block(how: str) -> None:
    hold = Hold()
    wire = FakeTransport(otherwise=in_turn(answer("one", SWR), hold, 500))
    client = client_on(wire)
    assert [await get(client, how) for _ in range(2)] == ["one"] * 2
    await turns()
    assert hold.waiting == 1
    hold.answer(answer("two", FRESH))
    await turns()
    assert await get(client, how) == "two"


async def test_after_a_renewal_that_was_cut_off_another_is_begun() -> None:
    hold = Hold()
    wire = FakeTransport(otherwise=in_turn(answer("one", SWR), hold, answer("two", FRESH)))
    client = client_on(wire)
    async with client:
        assert [await client.call_api(URL) for _ in range(2)] == ["one"] * 2
        await turns()
    assert hold.cancelled == 1
    async with client:
        assert await client.call_api(URL) == "one"
        await turns()
        assert await client.call_api(URL) == "two"


@pytest.mark.parametrize("before", [0, 20])
async def test_no_renewal_is_left_when_the_block_ends(before: int) -> None:
    hold = Hold()
    wire = FakeTransport(otherwise=in_turn(answer("one", SWR), hold))
    others = asyncio.all_tasks()
    client = ApiClient(wire, http_cache=True)
    async with client:
        for _ in range(2):
            assert await client.call(api("api", URL)) == "one"
        await turns(before)
        assert asyncio.all_tasks() - others
    assert not asyncio.all_tasks() - others
    assert hold.waiting == 0


@BOTH
async def test_what_cannot_be_read_is_not_kept(how: str) -> None:
    broken = Response(200, b"{", {"Content-Type": "application/json", **dict([FRESH, TAG])})
    wire = FakeTransport(otherwise=in_turn(broken, answer("one", FRESH), 500))
    client = client_on(wire)
    with pytest.raises(ApiError):
        await get(client, how)
    assert [await get(client, how) for _ in range(2)] == ["one"] * 2


async def test_what_another_reader_stored_and_this_one_cannot_read_is_asked_for_anew() -> None:
    wire = FakeTransport(otherwise=in_turn(answer("one", FRESH), answer("2", FRESH), 500))
    client = client_on(wire)
    assert await client.call_api(URL) == "one"
    with pytest.raises(ApiError):
        await client.call_api(URL, model=int)
    assert await client.call_api(URL, model=int) == 2


async def test_what_was_confirmed_and_cannot_be_read_is_not_asked_about_again() -> None:
    confirmed = Response(304, b"", dict([TAG, FRESH]))
    wire = FakeTransport(otherwise=in_turn(answer("one", STALE, TAG), confirmed, answer("2", FRESH)))
    client = client_on(wire)
    assert await client.call_api(URL) == "one"
    with pytest.raises(ApiError):
        await client.call_api(URL, model=int)
    assert await client.call_api(URL, model=int) == 2
    assert [call.headers.get("If-None-Match") for call in wire.calls] == [None, '"1"', None]


async def test_an_error_of_the_server_may_be_kept() -> None:
    wire = FakeTransport(otherwise=in_turn(answer("gone", FRESH, status=404), answer("one")))
    client = client_on(wire)
    for _ in range(2):
        with pytest.raises(ApiHttpError, match="404"):
            await client.call_api(URL)
    assert wire.sends == 1


@pytest.mark.parametrize("hop", [404, ApiNetworkError("refused", sent=False)], ids=["404", "refused"])
async def test_a_post_that_was_redirected_invalidates_whatever_the_hop_says(hop: Any) -> None:
    away = Response(303, b"", {"Location": "/y"})
    kept = in_turn(answer("one", FRESH), answer("two", FRESH))

    def respond(request: Request) -> Any:
        if request.method == "POST":
            return away
        return hop if request.url.path == "/y" else kept(request)

    client = client_on(FakeTransport(otherwise=respond), follow_redirects=True)
    assert await client.call_api(URL) == "one"
    with pytest.raises(ApiError):
        await client.call_api(URL, "POST", json_payload={})
    assert await client.call_api(URL) == "two"


@pytest.mark.parametrize("first", [500, ApiNetworkError("reset", sent=True)], ids=["500", "reset"])
async def test_a_post_may_have_acted_at_an_earlier_attempt(first: Any) -> None:
    wire = FakeTransport(otherwise=in_turn(answer("one", FRESH), first, 404, answer("two", FRESH)))
    client = client_on(wire)
    assert await client.call_api(URL) == "one"
    with pytest.raises(ApiHttpError, match="404"):
        await client.call(api("api", URL, method="POST", idempotent=True, retry_delay=0.0))
    assert await client.call_api(URL) == "two"


@dataclass
class Plain:
    """Credentials that cannot be hashed."""

    token: str

    async def authorize(self, request: Request, caller: Caller) -> None:
        request.headers = {**request.headers, "Authorization": self.token}

    def refused(self, request: Request) -> bool:
        return False


class Slotted:
    """Credentials that nobody can refer to weakly."""

    __slots__ = ("token",)

    def __init__(self, token: str) -> None:
        self.token = token

    authorize = Plain.authorize
    refused = Plain.refused


@pytest.mark.parametrize("kept", [False, True], ids=["without", "with a cache"])
@pytest.mark.parametrize("kind", [Plain, Slotted])
async def test_credentials_may_be_any_object(kept: bool, kind: Any) -> None:
    wire = FakeTransport(otherwise=lambda request: answer(request.headers["Authorization"], FRESH))
    client = client_on(wire, http_cache=kept)
    endpoints = [api(who, URL, auth=kind(who)) for who in ("ada", "eve")]
    for _ in range(2):
        assert [await client.call(endpoint) for endpoint in endpoints] == ["ada", "eve"]
    assert wire.sends == (2 if kept else 4)
