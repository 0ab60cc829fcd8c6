"""The request layer, as its page shows it: each part in use, against a real server."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest
from aiohttp import web
from pydantic import BaseModel

from rxorch.client import (
    AioHttpClient,
    ApiCircuitOpenError,
    ApiClient,
    ApiError,
    ApiHttpError,
    ApiNetworkError,
    ApiRateLimitError,
    ApiTimeoutError,
    ApiValidationError,
    BaseCircuitBreaker,
    BaseHttpClient,
    BaseRateLimiter,
    BaseRequestHook,
    BaseRequestModel,
    CircuitBreaker,
    RetryRequestStrategy,
    TokenBucketRateLimiter,
)
from rxorch_operators import CircuitState
from rxorch_operators.testing import virtual_time
from tests.acceptance.threaded import ThreadedLoopback
from tests.conftest import ServeLoopback
from tests.support.fake_transport import FakeTransport, in_turn
from tests.support.loopback import in_turn as answering
from tests.support.virtual_time import now

pytestmark = pytest.mark.usefixtures("each_transport")


class Item(BaseModel):
    id: int
    name: str
    active: bool


class Page(BaseModel):
    items: list[Item]
    total: int


ITEMS = [{"id": 1, "name": "lamp", "active": True}, {"id": 2, "name": "desk", "active": False}]


async def test_a_client_made_of_its_parts(loopback: ServeLoopback) -> None:
    """ApiClient, RetryRequestStrategy, AioHttpClient, CircuitBreaker: a call with headers and parameters."""
    server = await loopback({"GET /data": {"ok": True}})
    strategy = RetryRequestStrategy(
        http=AioHttpClient(default_timeout=30),
        breaker=CircuitBreaker(max_failures=5, cooldown_time=60),
        max_retries=3,
        backoff=2,
    )
    client = ApiClient(strategy=strategy)

    answer = await client.call_api(
        url=f"{server.url}/data",
        method="GET",
        headers={"Authorization": "Bearer token"},
        params={"limit": 10},
    )

    assert answer == {"ok": True}
    [seen] = server.seen
    assert (seen.method, seen.path, seen.headers["Authorization"]) == (
        "GET",
        "/data?limit=10",
        "Bearer token",
    )


def test_a_client_without_a_block_serves_a_script_and_leaves_nothing_open() -> None:
    """ApiClient.call_api: under asyncio.run, with no `async with` around it."""
    with ThreadedLoopback({"GET /data": {"ok": True}}) as server:
        client = ApiClient()
        assert asyncio.run(client.call_api(f"{server.url}/data")) == {"ok": True}
        assert asyncio.run(client.call_api(f"{server.url}/data")) == {"ok": True}


async def test_an_answer_is_unpacked_and_validated(loopback: ServeLoopback) -> None:
    """response_key and model: the value under the key, as a pydantic object; a wrong one is an error."""
    server = await loopback({"/good": {"data": {"items": ITEMS, "total": 2}}, "/bad": {"data": {"items": 7}}})
    async with ApiClient() as client:
        page = await client.call_api(f"{server.url}/good", response_key="data", model=Page)
        assert page == Page(items=[Item.model_validate(each) for each in ITEMS], total=2)
        names = await client.call_api(
            f"{server.url}/good", response_key="data.items[?active].name", model=list[str]
        )
        assert names == ["lamp"]
        one: int | str = await client.call_api(
            f"{server.url}/good", response_key="data.total", model=int | str
        )
        assert one == 2
        with pytest.raises(ApiValidationError, match=r"items: Input should be a valid list .and 1 more"):
            await client.call_api(f"{server.url}/bad", response_key="data", model=Page)


def client_on(wire: FakeTransport, **settings: Any) -> ApiClient:
    return ApiClient(strategy=RetryRequestStrategy(http=wire, **settings))


URL = "http://shop.test/"


@virtual_time
async def test_a_limit_given_as_a_mapping_holds() -> None:
    """limiter={"key", "max_requests", "period"}: so many leave at once, then evenly."""
    wire = FakeTransport()
    client = client_on(wire, limiter={"key": "holds", "max_requests": 20, "period": 10})
    await asyncio.gather(*(client.call_api(URL) for _ in range(23)))
    assert wire.times == [0.0] * 3 + [pytest.approx(0.5 * n) for n in range(1, 21)]


@virtual_time
async def test_equal_keys_share_a_limit() -> None:
    """key: the identity of a limit, whoever uses it."""
    wire = FakeTransport()
    config = {"key": "shared", "max_requests": 1, "period": 10}
    one, other = client_on(wire, limiter=config), client_on(wire, limiter=config)
    await asyncio.gather(one.call_api(URL), other.call_api(URL), one.call_api(URL))
    assert wire.times[-1] - wire.times[0] >= 10.0


@virtual_time
async def test_every_attempt_pays_to_the_limiter() -> None:
    """TokenBucketRateLimiter: retries count."""
    wire = FakeTransport(otherwise=in_turn(500, {"ok": True}))
    limiter = TokenBucketRateLimiter(1, 100, burst=1)
    await client_on(wire, limiter=limiter, max_retries=1, backoff=0).call_api(URL)
    assert wire.times == [0.0, 100.0]


class TokenProvider:
    """Another token each time."""

    def __init__(self) -> None:
        self.given = 0

    async def get_token(self) -> str:
        self.given += 1
        return f"token{self.given}"


class Tokens(BaseRequestHook):
    def __init__(self, provider: TokenProvider) -> None:
        self.provider = provider
        self.answers: list[Any] = []

    async def before(self, request: BaseRequestModel) -> None:
        token = await self.provider.get_token()
        if not request.headers:
            request.headers = {}
        request.headers["Authorization"] = f"Bearer {token}"

    async def after(self, request: BaseRequestModel, response: Any) -> None:
        self.answers.append(response)


async def test_a_hook_puts_a_fresh_token_on_every_attempt(loopback: ServeLoopback) -> None:
    """BaseRequestHook: `before` sees each attempt, `after` each success."""
    server = await loopback({"/data": answering(503, {"ok": True})})
    hook = Tokens(TokenProvider())
    strategy = RetryRequestStrategy(
        http=AioHttpClient(), breaker=CircuitBreaker(), hooks=[hook], max_retries=1, backoff=0
    )
    async with ApiClient(strategy=strategy) as client:
        assert await client.call_api(f"{server.url}/data") == {"ok": True}
    assert [seen.headers["Authorization"] for seen in server.seen] == ["Bearer token1", "Bearer token2"]
    assert hook.answers == [{"ok": True}]


@virtual_time
async def test_two_failures_wait_two_seconds_then_four() -> None:
    """backoff=2: the waits of the page's diagram, to the second."""
    wire = FakeTransport(otherwise=in_turn(500, 500, {"ok": True}))
    client = client_on(wire, breaker=CircuitBreaker(max_failures=5), max_retries=3, backoff=2)
    assert await client.call_api(URL) == {"ok": True}
    assert (wire.times, now()) == ([0.0, 2.0, 6.0], 6.0)


@virtual_time
async def test_the_circuit_goes_round_its_states() -> None:
    """CircuitBreaker: closed, open for the cooldown, half-open, and either way from there."""
    wire = FakeTransport(otherwise=500)
    breaker = CircuitBreaker(max_failures=2, cooldown_time=60)
    client = client_on(wire, breaker=breaker, max_retries=0)

    async def call() -> type[BaseException] | None:
        try:
            await client.call_api(URL)
        except ApiError as error:
            return type(error)
        return None

    assert not breaker.is_open() and breaker.state is CircuitState.CLOSED
    assert [await call() for _ in range(3)] == [ApiHttpError, ApiHttpError, ApiCircuitOpenError]
    assert breaker.is_open() and wire.sends == 2
    await asyncio.sleep(60)
    assert not breaker.is_open()
    assert await call() is ApiHttpError  # a trial that fails: open again
    assert breaker.is_open() and await call() is ApiCircuitOpenError
    await asyncio.sleep(60)
    wire._otherwise = {"ok": True}
    assert [await call() for _ in range(3)] == [None, None, None]
    assert breaker.state is CircuitState.CLOSED


async def test_each_kind_of_failure_is_an_error_of_its_own(loopback: ServeLoopback) -> None:
    """The tree: an HTTP status, a time limit, the network, a limit, an open circuit, a wrong shape."""

    async def slow(_: web.Request) -> web.Response:
        await asyncio.Event().wait()
        raise AssertionError

    server = await loopback({"/404": 404, "/429": 429, "/slow": slow, "/list": [1]})
    once = RetryRequestStrategy(max_retries=0)
    async with ApiClient(strategy=once) as client:
        with pytest.raises(ApiHttpError, match="HTTP 404") as caught:
            await client.call_api(f"{server.url}/404")
        assert caught.value.status_code == 404
        with pytest.raises(ApiRateLimitError):
            await client.call_api(f"{server.url}/429")
        with pytest.raises(ApiTimeoutError):
            await client.call_api(f"{server.url}/slow", timeout=0.05)
        with pytest.raises(ApiValidationError):
            await client.call_api(f"{server.url}/list", response_key="data")
        with pytest.raises(ApiNetworkError) as lost:
            await client.call_api("http://127.0.0.1:9/")
        assert not lost.value.sent
    closed = ApiClient(strategy=RetryRequestStrategy(max_retries=0, breaker=CircuitBreaker(max_failures=1)))
    for expected in (ApiNetworkError, ApiCircuitOpenError):
        with pytest.raises(expected) as refused:
            await closed.call_api("http://127.0.0.1:9/")
        assert isinstance(refused.value, ApiError)


class Recorded(BaseHttpClient):
    """An HTTP client of one's own: no network in it."""

    def __init__(self, *answers: Any) -> None:
        self.answers = list(answers)
        self.asked: list[tuple[Any, ...]] = []

    async def request(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str] | None = None,
        params: Mapping[str, Any] | None = None,
        data: Any = None,
        json_payload: Any = None,
        timeout: float | None = None,
    ) -> Any:
        self.asked.append((method, url, params, data, json_payload, timeout))
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


async def test_an_http_client_of_ones_own_is_under_the_same_policies() -> None:
    """BaseHttpClient: its errors are repeated and counted, its answers unpacked."""
    http = Recorded(ConnectionResetError("gone"), ApiHttpError(503), {"data": [1, 2]})
    breaker = CircuitBreaker(max_failures=3)
    client = ApiClient(strategy=RetryRequestStrategy(http=http, breaker=breaker, max_retries=2, backoff=0))
    value = await client.call_api(
        "https://api.example.com/x", params={"a": 1}, response_key="data", timeout=7
    )
    assert value == [1, 2]
    assert http.asked == [("GET", "https://api.example.com/x", {"a": 1}, None, None, 7)] * 3
    assert not breaker.is_open()


class Slow(BaseRateLimiter):
    def __init__(self) -> None:
        self.acquired = 0

    async def acquire(self) -> None:
        await asyncio.sleep(5)
        self.acquired += 1


@virtual_time
async def test_a_limiter_of_ones_own_holds_up_every_attempt() -> None:
    """BaseRateLimiter: its wait is no part of the attempt's time."""
    wire, limiter = FakeTransport(otherwise=in_turn(500, {"ok": True})), Slow()
    await client_on(wire, limiter=limiter, max_retries=1, backoff=0).call_api(URL, timeout=1)
    assert (limiter.acquired, wire.times) == (2, [5.0, 10.0])


class Fuse(BaseCircuitBreaker):
    """Blows at the second failure in a row."""

    def __init__(self) -> None:
        self.failures = 0
        self.resets = 0

    def is_open(self) -> bool:
        return self.failures >= 2

    def record_failure(self) -> None:
        self.failures += 1

    def reset(self) -> None:
        self.failures = 0
        self.resets += 1


@virtual_time
async def test_a_breaker_of_ones_own_is_asked_and_told() -> None:
    """BaseCircuitBreaker: failures of the service and successes; not what is the caller's fault."""
    wire, fuse = FakeTransport(otherwise=in_turn({"ok": True}, 404, 500, 500)), Fuse()
    client = client_on(wire, breaker=fuse, max_retries=0)
    assert await client.call_api(URL) == {"ok": True}
    for expected in (ApiHttpError, ApiHttpError, ApiHttpError, ApiCircuitOpenError):
        with pytest.raises(expected):
            await client.call_api(URL)
    assert (fuse.failures, fuse.resets, wire.sends) == (2, 1, 4)
