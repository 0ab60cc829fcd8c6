"""`call_api`: what is sent, what is repeated, and what is refused before anything is sent."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from aiohttp import web
from pydantic import BaseModel

from rxorch import APIEndpoint
from rxorch.client import (
    ApiCircuitOpenError,
    ApiClient,
    ApiHttpError,
    ApiNetworkError,
    ApiRequestModel,
    ApiTimeoutError,
    ApiValidationError,
    BaseRequestHook,
    CircuitBreaker,
    RetryRequestStrategy,
    TokenBucketRateLimiter,
)
from rxorch.errors import ApiConfigurationError, ApiResponseTooLargeError
from rxorch.events import AttemptFailed, CallFinished
from rxorch.http import Response
from rxorch.http.body import StreamedBody
from rxorch_operators import RetryPolicy
from rxorch_operators.testing import virtual_time
from tests.conftest import ServeLoopback
from tests.support.fake_transport import FakeTransport, Hold, in_turn, reply, turns
from tests.support.virtual_time import now

pytestmark = pytest.mark.usefixtures("each_transport")

URL = "http://shop.test/items"
RESET = ApiNetworkError("reset", sent=True)
REFUSED = ApiNetworkError("refused", sent=False)


def client_on(wire: FakeTransport, **settings: Any) -> ApiClient:
    return ApiClient(strategy=RetryRequestStrategy(http=wire, **settings))


# -- what is sent --------------------------------------------------------------------------------------


async def test_bodies(loopback: ServeLoopback) -> None:
    server = await loopback({"/": {"ok": True}})

    async with ApiClient() as client:

        async def sent(**body: Any) -> tuple[str | None, bytes]:
            await client.call_api(server.url, "post", **body)
            return server.seen[-1].headers.get("Content-Type"), server.seen[-1].body

        assert await sent() == (None, b"")
        assert await sent(json_payload={"a": [1]}) == ("application/json", b'{"a":[1]}')
        assert await sent(json_payload="text") == ("application/json", b'"text"')
        assert await sent(data={"a": "b c", "d": 1}) == ("application/x-www-form-urlencoded", b"a=b%20c&d=1")
        assert await sent(data=b"\x00") == ("application/octet-stream", b"\x00")
        assert await sent(data="ä") == ("text/plain; charset=utf-8", "ä".encode())
        assert await sent(data="<a/>", headers={"content-type": "text/xml"}) == ("text/xml", b"<a/>")


@pytest.mark.parametrize(
    ("url", "params", "path"),
    [
        ("/x", None, "/x"),
        ("/x?a=1", {"b": 2}, "/x?a=1&b=2"),
        ("/x", {"a": [1, "b c"], "off": None, "on": True}, "/x?a=1&a=b%20c&on=true"),
        ("/a b/ä?q=ü", None, "/a%20b/%C3%A4?q=%C3%BC"),
        ("/a%2Fb", {"c": "&="}, "/a%2Fb?c=%26%3D"),
        ("/{not a template}", None, "/%7Bnot%20a%20template%7D"),
        ("/x#part", None, "/x"),
    ],
)
async def test_urls(url: str, params: Any, path: str) -> None:
    wire = FakeTransport()
    await client_on(wire).call_api("http://shop.test" + url, params=params)
    assert wire.calls[0].url.raw_path_qs == path


async def test_a_path_is_put_behind_the_base_url() -> None:
    wire = FakeTransport()
    client = ApiClient(wire, base_url="https://api.test/v1/")
    await client.call_api("/users/7")
    await client.call(APIEndpoint(name="user", url="/users/{id}"), {"id": "a b"})
    await client.call_api("http://other.test/x")
    assert [str(request.url) for request in wire.calls] == [
        "https://api.test/v1/users/7",
        "https://api.test/v1/users/a%20b",
        "http://other.test/x",
    ]


@pytest.mark.parametrize(
    "base_url", ["", "api.test", "ftp://api.test", "https://", "https://u:p@api.test", "https://a.test?x=1"]
)
def test_a_base_url_is_absolute_and_plain(base_url: str) -> None:
    with pytest.raises(ApiConfigurationError, match="base_url"):
        ApiClient(base_url=base_url)


async def test_a_path_needs_a_base_url() -> None:
    client = ApiClient(FakeTransport())
    with pytest.raises(ApiValidationError, match="no base_url"):
        await client.call_api("/users/7")
    with pytest.raises(ApiConfigurationError, match="no base_url"):
        await client.call(APIEndpoint(name="user", url="/users/7"))


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"url": "shop.test/s3cret"}, "the url must begin with http"),
        ({"url": "ftp://shop.test/s3cret"}, "the url must begin with http"),
        ({"url": " http://shop.test/s3cret"}, "white space"),
        ({"url": "http://shop.test/s3cret\r\nX: y"}, "control characters"),
        ({"url": "http://shop.test:99999/s3cret"}, "the url"),
        ({"url": "//shop.test/s3cret"}, "the url must begin with http"),
        ({"headers": {"Host": "s3cret"}}, "'Host' is set by the transport"),
        ({"headers": {"X-A": "s3cret\n"}}, "control characters in its value"),
        ({"headers": {"X A": "s3cret"}}, "not a valid header name"),
        ({"method": "CONNECT"}, "CONNECT"),
        ({"method": "GE T"}, "not a valid HTTP method"),
        ({"params": {"a": object()}}, "the value of 'a'"),
        ({"json_payload": {"a": float("nan")}}, "not finite"),
        ({"json_payload": object()}, "a value of type object"),
        ({"data": {"a": 1}, "json_payload": {"s": "s3cret"}}, "one body"),
        ({"timeout": 0}, "timeout"),
        ({"timeout": -1}, "timeout"),
        ({"timeout": float("nan")}, "timeout"),
        ({"response_key": "a[0"}, "neither a dotted path nor"),
        ({"response_key": "a..b"}, "keys with dots"),
        ({"model": object()}, "model"),
    ],
)
async def test_what_cannot_be_sent_is_said_before_anything_is(arguments: dict[str, Any], error: str) -> None:
    wire = FakeTransport()
    with pytest.raises((ApiConfigurationError, ApiValidationError), match=error) as caught:
        await client_on(wire).call_api(**{"url": URL, **arguments})
    assert "s3cret" not in str(caught.value)
    assert wire.sends == 0


# -- what is repeated ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "headers", "answer", "sends"),
    [
        ("GET", {}, 500, 3),
        ("GET", {}, RESET, 3),
        ("PUT", {}, 500, 3),
        ("POST", {}, 500, 1),
        ("POST", {}, RESET, 1),
        ("POST", {}, 503, 3),
        ("POST", {}, 429, 3),
        ("PATCH", {}, RESET, 1),
        ("POST", {"Idempotency-Key": "mine"}, 500, 3),
        ("POST", {"idempotency-key": "mine"}, RESET, 3),
        ("GET", {}, 404, 1),
    ],
)
@virtual_time
async def test_a_request_is_repeated_only_where_that_is_safe(
    method: str, headers: dict[str, str], answer: Any, sends: int
) -> None:
    wire = FakeTransport(otherwise=answer)
    with pytest.raises((ApiHttpError, ApiNetworkError)):
        await client_on(wire).call_api(URL, method, headers=headers)
    assert wire.sends == sends


@virtual_time
async def test_a_post_that_did_not_leave_is_repeated() -> None:
    wire = FakeTransport(otherwise=in_turn(REFUSED, REFUSED, {"ok": True}))
    assert await client_on(wire).call_api(URL, "POST", json_payload={}) == {"ok": True}


@virtual_time
async def test_all_attempts_of_a_post_carry_one_key() -> None:
    wire = FakeTransport(otherwise=in_turn(503, 503, {"ok": True}))
    client = client_on(wire)
    await client.call_api(URL, "POST", json_payload={})
    await client.call_api(URL, "POST", json_payload={})
    keys = [request.headers["Idempotency-Key"] for request in wire.calls]
    assert keys[0] == keys[1] == keys[2] != keys[3]


@virtual_time
async def test_a_body_that_can_be_sent_once_is_sent_once() -> None:
    wire = FakeTransport(otherwise=503)
    with pytest.raises(ApiHttpError):
        await client_on(wire).call_api(URL, "PUT", data=StreamedBody(iter([b"x"])))
    assert wire.sends == 1
    with pytest.raises(ApiHttpError):
        await client_on(wire).call_api(URL, "PUT", data=StreamedBody(lambda: [b"x"]))
    assert wire.sends == 4


@pytest.mark.parametrize(
    ("settings", "waits"),
    [
        ({"backoff": 2, "max_retries": 3}, [2.0, 4.0, 8.0]),
        ({"backoff": 2, "max_retries": 1}, [2.0]),
        ({"backoff": 0.5, "max_retries": 2}, [0.5, 1.0]),
        ({"backoff": 15, "max_retries": 2}, [15.0, 20.0]),
        ({"backoff": 25, "max_retries": 2}, [25.0, 25.0]),
        ({"jitter": "none"}, [0.2, 0.4]),
        ({"retry": RetryPolicy(max_attempts=2, base=7, jitter="none")}, [7.0]),
        ({"max_retries": 0}, []),
    ],
)
@virtual_time
async def test_backoff(settings: dict[str, Any], waits: list[float]) -> None:
    wire = FakeTransport(otherwise=500)
    with pytest.raises(ApiHttpError):
        await client_on(wire, **settings).call_api(URL)
    assert wire.waits == waits


@virtual_time
async def test_a_time_limit_holds_for_each_attempt() -> None:
    wire = FakeTransport(otherwise=Hold())
    with pytest.raises(ApiTimeoutError) as caught:
        await client_on(wire, max_retries=1, backoff=1).call_api(URL, timeout=5)
    assert (now(), wire.sends, caught.value.limit, caught.value.kind) == (11.0, 2, 5, "attempt")


# -- what is kept for each origin ----------------------------------------------------------------------


@virtual_time
async def test_a_failing_host_opens_its_own_circuit_only() -> None:
    wire = FakeTransport(otherwise=lambda request: 500 if request.url.host == "bad.test" else {"ok": True})
    client = client_on(wire, max_retries=0)
    for _ in range(5):
        with pytest.raises(ApiHttpError):
            await client.call_api("http://bad.test/")
    for method in ("GET", "POST"):  # one circuit for all methods
        with pytest.raises(ApiCircuitOpenError):
            await client.call_api("http://bad.test/", method)
    assert await client.call_api("http://good.test/") == {"ok": True}
    assert await client.call_api("http://good.test:81/") == {"ok": True}


@virtual_time
async def test_no_breaker_at_all() -> None:
    wire = FakeTransport(otherwise=500)
    client = client_on(wire, max_retries=0, breaker=False)
    for _ in range(20):
        with pytest.raises(ApiHttpError):
            await client.call_api(URL)
    assert wire.sends == 20


async def test_hosts_from_input_do_not_grow_it_without_end() -> None:
    client = client_on(FakeTransport(), breaker=CircuitBreaker())
    for n in range(1100):
        await client.call_api(f"http://h{n}.test/")
    assert len(client.loose_runtimes) == 1024


async def test_what_was_used_last_is_kept_longest() -> None:
    client = client_on(FakeTransport())
    for n in range(1024):
        await client.call_api(f"http://h{n}.test/")
    await client.call_api("http://h0.test/")
    await client.call_api("http://new.test/")
    hosts = {runtime.endpoint.url for runtime in client.loose_runtimes.values()}
    assert "http://h0.test/" in hosts and "http://h1.test/" not in hosts


async def test_all_methods_share_a_circuit_however_many_hosts_there_are() -> None:
    client = client_on(FakeTransport())
    for n in range(1100):
        await client.call_api(f"http://h{n}.test/")
        await client.call_api("http://shop.test/")
    await client.call_api("http://shop.test/", "POST")
    by_get, by_post = (
        one for one in client.loose_runtimes.values() if one.endpoint.url == "http://shop.test/"
    )
    assert by_get.breaker is by_post.breaker


async def test_what_is_in_flight_is_kept() -> None:
    hold = Hold()
    wire = FakeTransport(otherwise=lambda request: hold if request.url.host == "slow.test" else {})
    client = client_on(wire)
    task = asyncio.create_task(client.call_api("http://slow.test/"))
    await turns()
    for n in range(1100):
        await client.call_api(f"http://h{n}.test/")
    [slow] = [one for one in client.loose_runtimes.values() if one.calls_in_flight]
    assert slow.endpoint.url == "http://slow.test/" and len(client.loose_runtimes) == 1024
    strategy = client.strategy
    assert isinstance(strategy, RetryRequestStrategy)
    engine = strategy._engine
    assert engine._origins["http://slow.test"].breaker is slow.breaker
    hold.answer({})
    await task


@virtual_time
async def test_an_open_circuit_is_kept() -> None:
    wire = FakeTransport(otherwise=lambda request: 500 if request.url.host == "bad.test" else {})
    client = client_on(wire, max_retries=0)
    for _ in range(5):
        with pytest.raises(ApiHttpError):
            await client.call_api("http://bad.test/")
    for n in range(1100):
        await client.call_api(f"http://h{n}.test/")
    with pytest.raises(ApiCircuitOpenError):
        await client.call_api("http://bad.test/")


class Mine(TokenBucketRateLimiter):
    async def acquire(self, cost: int = 1, *, max_wait: float | None = None) -> None:
        await super().acquire(cost, max_wait=max_wait)


@pytest.mark.parametrize("kind", [TokenBucketRateLimiter, Mine])
@virtual_time
async def test_one_host_that_asks_for_time_does_not_stop_the_others(
    kind: type[TokenBucketRateLimiter],
) -> None:
    busy = reply(429, None, {"Retry-After": "30"})
    wire = FakeTransport(otherwise=lambda request: busy if request.url.host == "busy.test" else {})
    limiter = kind(100, 1, burst=100)
    client = client_on(wire, max_retries=0, limiter=limiter)
    with pytest.raises(ApiHttpError):
        await client.call_api("http://busy.test/")
    await client.call_api("http://other.test/")
    assert wire.times == [0.0, 0.0]
    with pytest.raises(ApiHttpError):  # but this one is left alone for so long, by any method
        await client.call_api("http://busy.test/", "POST")
    assert wire.times[-1] == 30.0


@virtual_time
async def test_a_call_is_seen_in_the_events() -> None:
    wire = FakeTransport(otherwise=in_turn(500, {"ok": True}))
    client = client_on(wire)
    seen: list[Any] = []
    client.events.subscribe(seen.append)
    await client.call_api("http://shop.test:8080/x")
    [failed] = [event for event in seen if isinstance(event, AttemptFailed)]
    [finished] = [event for event in seen if isinstance(event, CallFinished)]
    assert failed.endpoint == finished.endpoint == "GET.shop.test-8080"
    assert (finished.status, finished.attempts, finished.sends) == ("ok", 2, 2)


async def test_a_cancelled_call_ends_its_request() -> None:
    hold = Hold()
    wire = FakeTransport(otherwise=hold)
    task = asyncio.create_task(client_on(wire).call_api(URL))
    await turns()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert hold.cancelled == 1 and wire.in_flight == 0


# -- answers -------------------------------------------------------------------------------------------


class User(BaseModel):
    id: int


@pytest.mark.parametrize(
    ("key", "model", "value"),
    [
        (None, None, {"data": {"users": [{"id": 1}]}}),
        ("data.users.0", None, {"id": 1}),
        ("data.users[0].id", int, 1),
        ("data.users", list[User], [User(id=1)]),
        ("data.users.0", User | int, User(id=1)),
        ("data.users.0.id", User | int, 1),
        ("data.users[*].id", tuple[int, ...], (1,)),
    ],
)
async def test_an_answer_is_unpacked_and_validated(key: str | None, model: Any, value: Any) -> None:
    client = client_on(FakeTransport(otherwise={"data": {"users": [{"id": 1}]}}))
    assert await client.call_api(URL, response_key=key, model=model) == value


async def test_a_wrong_shape_is_not_repeated_and_not_quoted() -> None:
    wire = FakeTransport(otherwise={"id": "s3cret"})
    with pytest.raises(ApiValidationError, match=r"^id: Input should be a valid integer") as caught:
        await client_on(wire).call_api(URL, model=User)
    assert wire.sends == 1 and "s3cret" not in str(caught.value)


# -- construction --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "error"),
    [
        ({"http": object()}, "http: give an HTTP client"),
        ({"breaker": object()}, "breaker: give a circuit breaker"),
        ({"breaker": True}, "breaker: give"),
        ({"limiter": 7}, "limiter: give a rate limiter"),
        ({"limiter": {"key": "a", "period": 1}}, "'max_requests' is missing"),
        ({"limiter": {"max_requests": 1, "perod": 1}}, "unknown entry 'perod'"),
        ({"limiter": {"max_requests": 0, "period": 1}}, "limiter: "),
        ({"max_retries": -1}, "max_retries"),
        ({"max_retries": True}, "max_retries"),
        ({"max_retries": "3"}, "max_retries"),
        ({"backoff": "2"}, "backoff"),
        ({"hooks": [object()]}, "object is no hook"),
        ({"hooks": [User]}, "User is no hook"),
    ],
)
def test_a_strategy_says_what_is_wrong(settings: dict[str, Any], error: str) -> None:
    with pytest.raises(ApiConfigurationError, match=error):
        RetryRequestStrategy(**settings)


def test_one_key_means_one_limit() -> None:
    first = RetryRequestStrategy(limiter={"key": "one", "max_requests": 5, "period": 60})
    again = RetryRequestStrategy(limiter={"key": "one", "max_requests": 5, "period": 60})
    assert first.limiter is again.limiter
    with pytest.raises(ApiConfigurationError, match="in use for 5 requests per 60 s"):
        RetryRequestStrategy(limiter={"key": "one", "max_requests": 6, "period": 60})
    loose = {"max_requests": 5, "period": 60}
    assert RetryRequestStrategy(limiter=loose).limiter is not RetryRequestStrategy(limiter=loose).limiter


def test_a_limiter_can_be_an_object() -> None:
    limiter = TokenBucketRateLimiter(10, 1, key="x")
    assert RetryRequestStrategy(limiter=limiter).limiter is limiter


def test_a_client_says_what_is_wrong() -> None:
    with pytest.raises(ApiConfigurationError, match="strategy: give an object"):
        ApiClient(strategy=object())  # type: ignore[arg-type]
    with pytest.raises(ApiConfigurationError, match="hooks: give them to the strategy"):
        ApiClient(strategy=RetryRequestStrategy(), hooks=[BaseRequestHook()])
    with pytest.raises(ApiConfigurationError, match="follow_redirects"):
        ApiClient(follow_redirects="yes")  # type: ignore[arg-type]
    with pytest.raises(ApiConfigurationError, match="http_cache"):
        ApiClient(http_cache="yes")  # type: ignore[arg-type]


async def test_a_strategy_of_ones_own() -> None:
    class Echo:
        async def execute(self, request: Any, client: Any) -> Any:
            return request.url, request.method, client.defaults.base_url

    client = ApiClient(strategy=Echo(), base_url="https://a.test")
    assert await client.call_api("/x", "PUT") == ("/x", "PUT", "https://a.test")


def test_a_request_shows_no_secret() -> None:
    model = ApiRequestModel(
        url="https://me:s3cret@a.test/?token=s3cret",
        headers={"X-Any": "s3cret"},
        params={"any": "s3cret"},
        data="s3cret",
        json_payload={"a": "s3cret"},
    )
    assert "s3cret" not in repr(model) + str(model)
    with pytest.raises(ValueError) as caught:
        ApiRequestModel(url=7, headers="s3cret", nothing="s3cret")  # type: ignore[arg-type, call-arg]
    assert "s3cret" not in str(caught.value)


# -- the whole answer ----------------------------------------------------------------------------------


async def test_fetch_brings_status_and_headers(loopback: ServeLoopback) -> None:
    async def made(_: web.Request) -> web.Response:
        return web.json_response({"id": 7}, status=201, headers={"Location": "/users/7"})

    server = await loopback({"POST /users": made})
    async with ApiClient(base_url=server.url) as client:
        answer = await client.fetch("/users", "POST", json_payload={"name": "Ada"})
    assert isinstance(answer, Response)
    assert (answer.status, answer.headers["location"], answer.json()) == (201, "/users/7", {"id": 7})
    assert server.seen[0].body == b'{"name":"Ada"}'


@virtual_time
async def test_fetch_is_under_the_same_policies() -> None:
    seen: list[Any] = []

    class Seeing:
        def after(self, request: Any, response: Any) -> None:
            seen.append(response.status)

    wire = FakeTransport(otherwise=in_turn(503, {"ok": True}, 404))
    client = client_on(wire, hooks=[Seeing()])
    assert (await client.fetch(URL)).json() == {"ok": True}
    with pytest.raises(ApiHttpError, match="404"):
        await client.fetch(URL)
    assert (wire.sends, seen) == (3, [200])


async def test_fetch_bounds_the_answer(loopback: ServeLoopback) -> None:
    server = await loopback({"/": {"text": "x" * 1000}})
    async with ApiClient(strategy=RetryRequestStrategy(max_retries=0)) as client:
        assert len((await client.fetch(server.url, max_response_bytes=2000)).content) > 1000
        with pytest.raises(ApiResponseTooLargeError):
            await client.fetch(server.url, max_response_bytes=100)
    for wrong in (0, None, True, "5"):
        with pytest.raises(ApiConfigurationError, match="max_response_bytes"):
            await client.fetch(server.url, max_response_bytes=wrong)  # type: ignore[arg-type]


async def test_fetch_needs_who_has_the_answer() -> None:
    class Parsed:
        async def request(self, method: str, url: str, **more: Any) -> Any:
            raise AssertionError("nothing is sent")

        async def execute(self, request: Any, client: Any) -> Any:
            return {"parsed": True}

    http: Any = Parsed()
    with pytest.raises(ApiConfigurationError, match="fetch: the HTTP client of this strategy"):
        await ApiClient(strategy=RetryRequestStrategy(http=http)).fetch(URL)
    with pytest.raises(ApiConfigurationError, match="fetch: the strategy gave dict"):
        await ApiClient(strategy=Parsed()).fetch(URL)
