"""Redirects: none unless asked for, and then by rules that leak nothing."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from aiohttp import web
from yarl import URL

from rxorch import ApiClient, APIEndpoint, ApiHttpError, CircuitBreaker, CircuitState, Response
from rxorch.client import RedirectPolicy
from rxorch.endpoint.redirects import next_hop
from rxorch.errors import ApiConfigurationError, ApiNetworkError, ApiRateLimitError
from rxorch.http import Request
from rxorch.http.body import StreamedBody
from rxorch.http.origins import same_origin
from rxorch_operators.testing import virtual_time
from tests.conftest import ServeLoopback
from tests.support.fake_transport import FakeTransport, api, in_turn

pytestmark = pytest.mark.usefixtures("each_transport")

ANYWHERE = RedirectPolicy(cross_origin=True)


def hop(
    method: str = "GET",
    status: int = 302,
    location: str = "/new",
    *,
    url: str = "https://a.test/old?q=1",
    headers: dict[str, str] | None = None,
    body: Any = None,
    policy: RedirectPolicy = ANYWHERE,
    hops: int = 0,
) -> Request | str | None:
    request = Request(method, URL(url), headers or {}, body, endpoint="api")
    return next_hop(request, status, {"Location": location}, policy, hops)


@pytest.mark.parametrize(
    ("status", "method", "then", "keeps_body"),
    [
        (301, "POST", "GET", False),
        (302, "POST", "GET", False),
        (303, "POST", "GET", False),
        (303, "PUT", "GET", False),
        (303, "HEAD", "HEAD", True),
        (301, "PUT", "PUT", True),
        (302, "DELETE", "DELETE", True),
        (307, "POST", "POST", True),
        (308, "PATCH", "PATCH", True),
    ],
)
def test_which_method_follows(status: int, method: str, then: str, keeps_body: bool) -> None:
    """RFC 9110, sections 15.4.2 to 15.4.9."""
    request = hop(method, status, headers={"Content-Type": "text/plain", "X-Id": "1"}, body=b"x")
    assert isinstance(request, Request)
    assert (request.method, request.body) == (then, b"x" if keeps_body else None)
    assert ("Content-Type" in request.headers) is keeps_body
    assert request.headers["X-Id"] == "1"
    assert (request.endpoint, request.sent) == ("api", False)


@pytest.mark.parametrize(
    ("location", "url"),
    [
        ("/new", "https://a.test/new"),
        ("new?x=%2F", "https://a.test/new?x=%2F"),
        ("?page=2", "https://a.test/old?page=2"),
        ("//b.test/x", "https://b.test/x"),
        ("https://b.test:8443/x y#part", "https://b.test:8443/x%20y"),
        ("HTTPS://A.test/up", "https://A.test/up"),
        ("/ä", "https://a.test/%C3%A4"),
    ],
)
def test_where_a_location_leads(location: str, url: str) -> None:
    request = hop(location=location)
    assert isinstance(request, Request) and str(request.url) == url


@pytest.mark.parametrize(
    ("location", "reason"),
    [
        ("ftp://a.test/", "no valid http address"),
        ("javascript:alert(1)", "no valid http address"),
        ("file:///etc/passwd", "no valid http address"),
        ("https://user:pw@a.test/", "no valid http address"),
        ("https://[::1", "no valid http address"),
        ("https://a.test:no/", "no valid http address"),
        ("https://a.test:99999/", "no valid http address"),
        ("/a\r\nX: y", "no valid http address"),
        ("http://a.test/", "from https to http"),
        ("http://b.test/", "from https to http"),
    ],
)
def test_where_none_may_lead(location: str, reason: str) -> None:
    found = hop(location=location)
    assert isinstance(found, str) and reason in found


def test_another_origin_gets_neither_body_nor_headers_that_may_be_secret() -> None:
    headers = {"Authorization": "a", "Cookie": "b", "X-API-Key": "c", "X-Anything": "d", "Accept": "*/*"}
    request = hop(location="https://b.test/", headers=headers)
    assert isinstance(request, Request) and request.headers == {"Accept": "*/*"}
    refused = hop("POST", 307, "https://b.test/", body=b"card=4111")
    assert isinstance(refused, str) and "body to another origin" in refused
    assert isinstance(hop("POST", 302, "https://b.test/", body=b"card=4111"), Request)  # becomes a GET


@pytest.mark.parametrize("location", ["https://b.test/", "https://a.test:444/", "https://sub.a.test/"])
def test_another_origin_is_not_followed_unless_asked_for(location: str) -> None:
    found = hop(location=location, policy=RedirectPolicy())
    assert isinstance(found, str) and "another origin" in found
    assert isinstance(hop(location="https://a.test:443/", policy=RedirectPolicy()), Request)


def test_there_is_an_end_to_it() -> None:
    assert isinstance(hop(hops=4), Request)
    assert hop(hops=5) == "more than 5 redirects in a row"


def test_a_body_that_can_be_sent_once_is_not_asked_for_again() -> None:
    found = hop("POST", 307, body=StreamedBody(iter([b"x"])))
    assert isinstance(found, str) and "only once" in found
    assert isinstance(hop("POST", 307, body=StreamedBody(lambda: [b"x"])), Request)


def test_what_is_no_redirect() -> None:
    request = Request("GET", URL("https://a.test/"))
    for status in (200, 300, 304, 305, 306, 404):
        assert next_hop(request, status, {"Location": "/x"}, ANYWHERE, 0) is None
    assert next_hop(request, 302, {}, ANYWHERE, 0) is None


@pytest.mark.parametrize("hops", [0, -1, 21, 1.5, True, "5"])
def test_a_policy_is_checked(hops: Any) -> None:
    with pytest.raises(ApiConfigurationError, match="from 1 to 20"):
        RedirectPolicy(max_hops=hops)


def test_origins_are_the_same_with_the_default_port() -> None:
    assert same_origin(URL("https://a.test"), URL("https://A.test:443/x"))
    assert same_origin(URL("https://A.test", encoded=True), URL("https://a.test"))
    assert not same_origin(URL("https://a.test"), URL("http://a.test:443"))


async def test_a_redirect_is_followed_on_the_wire_and_each_hop_is_counted(loopback: ServeLoopback) -> None:
    async def away(request: web.Request) -> web.Response:
        return web.Response(status=302, headers={"Location": "/users/7"})

    server = await loopback({"/old": away, "/users/7": {"id": 7}})
    async with ApiClient(follow_redirects=True) as client:
        assert await client.call_api(f"{server.url}/old", headers={"X-Key": "k"}) == {"id": 7}
        assert await client.call(APIEndpoint(name="user", url=f"{server.url}/old")) == {"id": 7}
        assert client.sends == server.total == 4
        with pytest.raises(ApiHttpError, match="redirects are not followed"):
            await client.call(APIEndpoint(name="off", url=f"{server.url}/old", follow_redirects=False))
    assert server.seen[1].headers["X-Key"] == "k"
    with pytest.raises(ApiHttpError, match="redirects are not followed"):
        await ApiClient().call_api(f"{server.url}/old")


def away(location: str, status: int = 302) -> Response:
    return Response(status, b"", {"Location": location})


@virtual_time
async def test_each_hop_pays_to_the_limiter() -> None:
    wire = FakeTransport({"api": in_turn(away("/b"), away("/c"), {"ok": True})})
    client = ApiClient(wire, follow_redirects=3)
    await client.call(api(rate_limit=1, rate_limit_window=10, burst_limit=1))
    assert wire.times == [0.0, 10.0, 20.0]


@virtual_time
async def test_a_redirect_that_is_not_followed_says_why_and_shows_no_secret() -> None:
    wire = FakeTransport({"api": away("https://evil.test/?token=s3cret")})
    with pytest.raises(ApiHttpError, match="another origin") as caught:
        await ApiClient(wire, follow_redirects=True).call(api(retry_count=0))
    assert "evil" not in str(caught.value) and caught.value.status_code == 302
    assert wire.sends == 1


SEE_OTHER = away("http://shop.test/order/7", 303)


@pytest.mark.parametrize(
    "failure", [503, ApiNetworkError("refused", sent=False), ApiNetworkError("reset", sent=True)]
)
@virtual_time
async def test_a_post_that_was_carried_out_is_not_sent_again_for_what_came_of_the_redirect(
    failure: Any,
) -> None:
    wire = FakeTransport(otherwise=lambda request: SEE_OTHER if request.method == "POST" else failure)
    client = ApiClient(wire, follow_redirects=True)
    with pytest.raises((ApiHttpError, ApiNetworkError)):
        await client.call(api(method="POST", retry_delay=0.0))
    assert [request.method for request in wire.calls] == ["POST", "GET"]


@virtual_time
async def test_a_put_may_be_repeated_as_a_whole() -> None:
    wire = FakeTransport(otherwise=in_turn(SEE_OTHER, 503, SEE_OTHER, {"ok": True}))
    client = ApiClient(wire, follow_redirects=True)
    assert await client.call(api(method="PUT", retry_delay=0.0)) == {"ok": True}
    assert [request.method for request in wire.calls] == ["PUT", "GET"] * 2


@virtual_time
async def test_a_post_that_was_only_sent_on_is_repeated_as_any_other() -> None:
    """307: it was not carried out there."""
    moved = away("http://shop.test/elsewhere", 307)
    wire = FakeTransport(otherwise=in_turn(moved, 503, moved, {"ok": True}))
    client = ApiClient(wire, follow_redirects=True)
    assert await client.call(api(method="POST", retry_delay=0.0)) == {"ok": True}
    assert [request.method for request in wire.calls] == ["POST"] * 4


@virtual_time
async def test_a_hop_that_waits_for_the_limit_holds_no_permit_and_is_nobodys_fault() -> None:
    """Its wait is no part of the attempt's time, and another call may have the permit meanwhile."""
    wire = FakeTransport({"a": in_turn(away("/b"), {"ok": True}), "b": {"other": True}})
    client = ApiClient(wire, follow_redirects=True, max_in_flight=1)
    breaker = CircuitBreaker(1)
    slow = api("a", rate_limit=1, rate_limit_window=60, burst_limit=1, timeout=5, circuit_breaker=breaker)
    call = asyncio.create_task(client.call(slow))
    await asyncio.sleep(1)
    assert await client.call(api("b")) == {"other": True}
    assert asyncio.get_running_loop().time() == 1.0
    assert await call == {"ok": True}
    assert wire.times == [0.0, 1.0, 60.0] and breaker.state is CircuitState.CLOSED


@virtual_time
async def test_a_hop_that_cannot_get_its_permit_in_time_fails_at_once() -> None:
    wire = FakeTransport(otherwise=away("/b"))
    client = ApiClient(wire, follow_redirects=True)
    slow = api(rate_limit=1, rate_limit_window=60, burst_limit=1, total_timeout=10)
    with pytest.raises(ApiRateLimitError) as caught:
        await client.call(slow)
    assert asyncio.get_running_loop().time() == 0.0 and caught.value.retry_after == pytest.approx(60.0)
