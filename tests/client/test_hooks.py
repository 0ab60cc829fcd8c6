"""Hooks: their order, what they may change, and what their errors mean."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from rxorch import APIEndpoint
from rxorch.client import ApiClient, ApiHttpError, BaseRequestHook, CircuitBreaker, RetryRequestStrategy
from rxorch.errors import ApiConfigurationError, ApiNetworkError, ApiTimeoutError
from rxorch_operators.testing import virtual_time
from tests.support.fake_transport import FakeTransport, api, in_turn

URL = "http://shop.test/items"


class Noted(BaseRequestHook):
    keeps_identity = True

    def __init__(self, name: str, trail: list[str]) -> None:
        self.name = name
        self.trail = trail

    async def before(self, request: Any) -> None:
        self.trail.append(f"before {self.name}")
        request.headers = {**(request.headers or {}), f"X-{self.name}": "1"}

    async def after(self, request: Any, response: Any) -> None:
        self.trail.append(f"after {self.name} {response}")


class Failing(BaseRequestHook):
    def __init__(self, error: BaseException, where: str = "before") -> None:
        self.error = error
        self.where = where

    async def before(self, request: Any) -> None:
        if self.where == "before":
            raise self.error

    async def after(self, request: Any, response: Any) -> None:
        if self.where == "after":
            raise self.error


async def call(client: ApiClient, how: str) -> Any:
    if how == "request":
        return await client.call_api(URL)
    return await client.call(api("api", URL, retry_jitter="none"))


BOTH = pytest.mark.parametrize("how", ["request", "endpoint"])


@BOTH
async def test_they_are_an_onion(how: str) -> None:
    trail: list[str] = []
    wire = FakeTransport(otherwise={"n": 1})
    client = ApiClient(wire, hooks=[Noted("A", trail), Noted("B", trail)])
    assert await call(client, how) == {"n": 1}
    assert trail == ["before A", "before B", "after B {'n': 1}", "after A {'n': 1}"]
    assert {"X-A", "X-B"} <= wire.calls[0].headers.keys()


@BOTH
@virtual_time
async def test_they_see_each_attempt_afresh(how: str) -> None:
    class Counting(BaseRequestHook):
        count = 0

        async def before(self, request: Any) -> None:
            assert "X-Try" not in (request.headers or {})
            self.count += 1
            request.headers = {**(request.headers or {}), "X-Try": str(self.count)}

    wire = FakeTransport(otherwise=in_turn(500, {"ok": True}))
    await call(ApiClient(wire, hooks=[Counting()]), how)
    assert [request.headers["X-Try"] for request in wire.calls] == ["1", "2"]


@BOTH
async def test_they_may_change_everything(how: str) -> None:
    class Moves(BaseRequestHook):
        async def before(self, request: Any) -> None:
            request.url = "http://elsewhere.test/a b"
            request.method = "put"
            request.params = {"page": 2}
            request.data = None
            request.json_payload = {"sent": True}

    wire = FakeTransport()
    await call(ApiClient(wire, hooks=[Moves()]), how)
    [request] = wire.calls
    assert (request.method, str(request.url)) == ("PUT", "http://elsewhere.test/a%20b?page=2")
    assert (request.body, request.headers["Content-Type"]) == (b'{"sent":true}', "application/json")


async def test_a_url_that_none_changes_is_sent_byte_for_byte() -> None:
    wire = FakeTransport()
    client = ApiClient(wire, hooks=[Noted("A", [])])
    await client.call(APIEndpoint(name="file", url="http://shop.test/{name}"), {"name": "a/../b%2e"})
    assert wire.calls[0].url.raw_path == "/a%2F..%2Fb%252e"


@BOTH
@pytest.mark.parametrize("where", ["before", "after"])
@pytest.mark.parametrize(
    "error", [ValueError("mine"), ApiNetworkError("mine", sent=False), ApiHttpError(503)]
)
@virtual_time
async def test_their_error_is_the_calls_error(how: str, where: str, error: Exception) -> None:
    """It is raised as it is, not repeated, and no breaker counts it."""
    wire = FakeTransport()
    breaker = CircuitBreaker(max_failures=1)
    strategy = RetryRequestStrategy(http=wire, hooks=[Failing(error, where)], breaker=breaker)
    client = ApiClient(strategy=strategy)
    with pytest.raises(type(error)) as caught:
        if how == "request":
            await client.call_api(URL)
        else:
            await client.call(api("api", URL, circuit_breaker=breaker))
    assert caught.value is error
    assert wire.sends == (0 if where == "before" else 1)
    assert not breaker.is_open()


@BOTH
async def test_a_hook_that_cancels_itself_does_not_look_cancelled(how: str) -> None:
    client = ApiClient(FakeTransport(), hooks=[Failing(asyncio.CancelledError())])
    with pytest.raises(RuntimeError, match="nobody cancelled"):
        await call(client, how)


@BOTH
async def test_after_does_not_see_failures(how: str) -> None:
    trail: list[str] = []
    client = ApiClient(FakeTransport(otherwise=404), hooks=[Noted("A", trail)])
    with pytest.raises(ApiHttpError):
        await call(client, how)
    assert trail == ["before A"]


async def test_after_sees_the_answer_before_it_is_unpacked() -> None:
    trail: list[str] = []
    client = ApiClient(FakeTransport(otherwise={"data": 7}), hooks=[Noted("A", trail)])
    assert await client.call_api(URL, response_key="data") == 7
    assert trail[-1] == "after A {'data': 7}"


async def test_one_method_is_enough_and_no_base_class_is_needed() -> None:
    class Bare:
        async def before(self, request: Any) -> None:
            request.headers = {"X-Bare": "1"}

    wire = FakeTransport()
    await ApiClient(wire, hooks=[Bare()]).call_api(URL)  # type: ignore[list-item]
    assert wire.calls[0].headers["X-Bare"] == "1"


class Tenant(BaseRequestHook):
    """Changes who is asking, and does not say that it does not."""


async def test_answers_are_not_kept_where_a_hook_may_change_who_is_asking() -> None:
    with pytest.raises(ApiConfigurationError, match="keeps_identity"):
        await ApiClient(FakeTransport(), hooks=[Tenant()]).call(api(cache_ttl=60))
    with pytest.raises(ApiConfigurationError, match="keeps_identity"):
        await ApiClient(FakeTransport(), hooks=[Tenant()], http_cache=True).call_api(URL)
    wire = FakeTransport()
    kept = ApiClient(wire, hooks=[Noted("A", [])])
    for _ in range(2):
        await kept.call(api(cache_ttl=60))
    assert wire.sends == 1


class Slow(BaseRequestHook):
    async def before(self, request: Any) -> None:
        await asyncio.sleep(60)


@virtual_time
async def test_a_slow_hook_is_no_fault_of_the_service() -> None:
    """The time limit of the attempt holds for it, and no breaker counts it."""
    wire, breaker = FakeTransport(), CircuitBreaker(max_failures=1)
    client = ApiClient(wire, hooks=[Slow()])
    with pytest.raises(ApiTimeoutError):
        await client.call(api("api", URL, timeout=5, circuit_breaker=breaker))
    assert asyncio.get_running_loop().time() == 5.0
    assert wire.sends == 0 and not breaker.is_open()
