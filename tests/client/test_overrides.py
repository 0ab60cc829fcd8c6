"""Parts of the user's own: methods that a subclass overrides are used, and a client gets the credentials."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from rxorch.client import (
    AioHttpClient,
    ApiCircuitOpenError,
    ApiClient,
    ApiHttpError,
    ApiKeyAuth,
    BaseRequestHook,
    BearerAuth,
    CircuitBreaker,
    RetryRequestStrategy,
    TokenBucketRateLimiter,
)
from rxorch.errors import ApiConfigurationError
from rxorch.http.http_cache import HttpCache
from rxorch_operators.testing import virtual_time
from tests.support.fake_transport import FakeTransport, in_turn

URL = "http://shop.test/items"


class Logged(AioHttpClient):
    def __init__(self) -> None:
        super().__init__()
        self.asked: list[str] = []

    async def request(self, method: str, url: str, *args: Any, **more: Any) -> Any:
        self.asked.append(f"{method} {url}")
        return {"mine": True}


class Counted(TokenBucketRateLimiter):
    acquired = 0

    async def acquire(self, cost: int = 1, *, max_wait: float | None = None) -> None:
        self.acquired += 1
        await super().acquire(cost, max_wait=max_wait)


class Noting(CircuitBreaker):
    def __init__(self, *args: Any, **settings: Any) -> None:
        super().__init__(*args, **settings)
        self.failures = 0

    def record_failure(self) -> None:
        self.failures += 1
        super().record_failure()


class Shut(CircuitBreaker):
    def is_open(self) -> bool:
        return True


async def test_a_request_method_that_a_subclass_overrides_is_used() -> None:
    http = Logged()
    client = ApiClient(strategy=RetryRequestStrategy(http=http))
    assert await client.call_api(URL) == {"mine": True}
    assert http.asked == [f"GET {URL}"]


async def test_a_request_method_that_an_object_overrides_is_used() -> None:
    http = AioHttpClient()

    async def request(*args: Any, **more: Any) -> Any:
        return {"patched": True}

    http.request = request  # type: ignore[method-assign]
    assert await ApiClient(strategy=RetryRequestStrategy(http=http)).call_api(URL) == {"patched": True}


async def test_a_request_method_that_a_test_patches_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    async def request(self: AioHttpClient, *args: Any, **more: Any) -> Any:
        return {"patched": True}

    monkeypatch.setattr(AioHttpClient, "request", request)
    assert await ApiClient().call_api(URL) == {"patched": True}


@virtual_time
async def test_an_acquire_method_that_a_subclass_overrides_is_used() -> None:
    wire, limiter = FakeTransport(otherwise=in_turn(500, {"ok": True})), Counted(1, 10, burst=1)
    await ApiClient(strategy=RetryRequestStrategy(http=wire, limiter=limiter, backoff=0)).call_api(URL)
    assert (limiter.acquired, wire.times) == (2, [0.0, 10.0])


@virtual_time
async def test_methods_of_a_breaker_that_a_subclass_overrides_are_used() -> None:
    wire, breaker = FakeTransport(otherwise=in_turn(500, 500, {"ok": True})), Noting(2, 60)
    client = ApiClient(strategy=RetryRequestStrategy(http=wire, breaker=breaker, max_retries=0))
    for expected in (ApiHttpError, ApiHttpError, ApiCircuitOpenError):
        with pytest.raises(expected):
            await client.call_api(URL)
    assert (breaker.failures, wire.sends, breaker.is_open()) == (2, 2, True)
    shut = ApiClient(strategy=RetryRequestStrategy(http=wire, breaker=Shut()))
    with pytest.raises(ApiCircuitOpenError):
        await shut.call_api(URL)
    assert wire.sends == 2


@virtual_time
async def test_a_breaker_with_an_override_counts_its_trials_as_its_policy_says() -> None:
    """Three successes close it, not the first: `reset` is not what a success means to one of ours."""
    wire, breaker = FakeTransport(otherwise=in_turn(500, {"ok": True})), Noting(1, 0.001)
    client = ApiClient(strategy=RetryRequestStrategy(http=wire, breaker=breaker, max_retries=1, backoff=1))
    await client.call_api(URL)
    assert breaker.statistics().state.name == "HALF_OPEN"


# -- credentials, redirects and caches with an HTTP client of one's own ----------------------------------


class Elsewhere:
    """An HTTP client of one's own."""

    def __init__(self, *answers: Any) -> None:
        self.answers = list(answers)
        self.asked: list[dict[str, Any]] = []

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
        self.asked.append({"url": url, "headers": headers, "params": params, "json": json_payload})
        answer = self.answers.pop(0) if self.answers else {"ok": True}
        if isinstance(answer, Exception):
            raise answer
        return answer


def client_on(http: Any, hooks: Any = (), **settings: Any) -> ApiClient:
    return ApiClient(strategy=RetryRequestStrategy(http=http, hooks=hooks), **settings)


async def test_it_is_given_the_credentials() -> None:
    http = Elsewhere()
    client = client_on(http, base_url="https://shop.test", auth=BearerAuth("s3cret"))
    await client.call_api("/a", headers={"X-A": "1", "authorization": "old"}, params={"n": 1})
    await client.call_api("https://other.test/")
    assert http.asked == [
        {
            "url": "https://shop.test/a",
            "headers": {"X-A": "1", "Authorization": "Bearer s3cret"},
            "params": {"n": 1},
            "json": None,
        },
        {"url": "https://other.test/", "headers": None, "params": None, "json": None},
    ]


async def test_it_is_given_a_key_in_the_query_that_no_error_shows() -> None:
    http = Elsewhere(ApiHttpError(404))
    client = client_on(http, base_url="https://shop.test", auth=ApiKeyAuth("k", "s3cret", "query"))
    with pytest.raises(ApiHttpError) as caught:
        await client.call_api("/a", params={"n": 1})
    assert (http.asked[0]["url"], http.asked[0]["params"]) == ("https://shop.test/a?n=1&k=s3cret", None)
    assert "s3cret" not in str(caught.value) + str(caught.value.url)


@virtual_time
async def test_each_attempt_is_given_the_credentials_once() -> None:
    http = Elsewhere(ApiHttpError(503))
    client = client_on(http, base_url="https://shop.test", auth=ApiKeyAuth("k", "s3cret", "query"))
    await client.call_api("/a")
    assert [asked["url"] for asked in http.asked] == ["https://shop.test/a?k=s3cret"] * 2


@virtual_time
async def test_a_401_that_it_raises_renews_the_token() -> None:
    tokens = iter(["one", "two"])
    http = Elsewhere({"ok": True}, ApiHttpError(401))
    client = client_on(http, base_url="https://shop.test", auth=BearerAuth(lambda: next(tokens)))
    for _ in range(2):
        assert await client.call_api("/a") == {"ok": True}
    tokens_sent = [asked["headers"]["Authorization"] for asked in http.asked]
    assert tokens_sent == ["Bearer one", "Bearer one", "Bearer two"]


class Tenant(BaseRequestHook):
    """Does not say that it keeps the identity."""


@pytest.mark.parametrize("settings", [{"follow_redirects": True}, {"http_cache": HttpCache()}])
async def test_what_it_cannot_do_is_refused(settings: dict[str, Any]) -> None:
    [name] = settings
    with pytest.raises(ApiConfigurationError, match=f"{name}: the HTTP client of this strategy"):
        client_on(Elsewhere(), **settings)
    client_on(AioHttpClient(), **settings)


async def test_a_cache_that_it_does_not_use_asks_nothing_of_a_hook() -> None:
    """Where a strategy of one's own wraps one with an HTTP client of one's own."""
    inner = RetryRequestStrategy(http=Elsewhere(), hooks=[Tenant()])

    class Wrapped:
        hooks = inner.hooks

        async def execute(self, request: Any, client: Any) -> Any:
            return await inner.execute(request, client)

    assert await ApiClient(strategy=Wrapped(), http_cache=True).call_api(URL) == {"ok": True}


async def test_it_cannot_change_what_the_caller_has() -> None:
    class Greedy(Elsewhere):
        async def request(self, method: str, url: str, *args: Any, **more: Any) -> Any:
            more["json_payload"]["list"].append(1)
            return await super().request(method, url, *args, **more)

    mine: dict[str, Any] = {"list": []}
    await client_on(Greedy()).call_api(URL, "POST", json_payload=mine)
    assert mine == {"list": []}
