"""Hooks: their order, what they may change, and what their errors mean."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from typing import Any

import pytest

from rxorch import APIEndpoint
from rxorch.client import (
    ApiClient,
    ApiHttpError,
    ApiRequestModel,
    ApiTimeoutError,
    ApiValidationError,
    BaseRequestHook,
    CircuitBreaker,
    RetryRequestStrategy,
)
from rxorch.errors import ApiConfigurationError, ApiNetworkError
from rxorch_operators.testing import virtual_time
from tests.support.fake_transport import FakeTransport, Hold, api, in_turn, reply

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
    await ApiClient(wire, hooks=[Bare()]).call_api(URL)
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


# -- what a hook changes, and what its change means ------------------------------------------------------


def changing(**fields: Any) -> BaseRequestHook:
    class Changing(BaseRequestHook):
        async def before(self, request: Any) -> None:
            for name, value in fields.items():
                setattr(request, name, value)

    return Changing()


@pytest.mark.parametrize(
    ("asked", "method", "headers", "answer", "sends"),
    [
        ("GET", "POST", {}, 500, 1),
        ("GET", "patch", {}, ApiNetworkError("reset", sent=True), 1),
        ("GET", "POST", {}, 503, 3),  # which says that nothing was done
        ("GET", "POST", {"Idempotency-Key": "mine"}, 500, 3),
        ("GET", "PUT", {}, 500, 3),
        ("PUT", "POST", {}, 500, 1),
        ("POST", "GET", {}, 500, 1),
    ],
)
@virtual_time
async def test_what_is_repeated_is_judged_by_the_method_that_was_sent(
    asked: str, method: str, headers: dict[str, str], answer: Any, sends: int
) -> None:
    wire = FakeTransport(otherwise=answer)
    with pytest.raises((ApiHttpError, ApiNetworkError)):
        await ApiClient(wire, hooks=[changing(method=method)]).call_api(URL, asked, headers=headers)
    assert (wire.sends, wire.calls[0].method) == (sends, method.upper())


async def test_an_answer_by_another_method_is_not_kept() -> None:
    hook = changing(method="POST")
    hook.keeps_identity = True
    wire = FakeTransport(otherwise=reply(200, {"n": 1}, {"Cache-Control": "max-age=60"}))
    client = ApiClient(wire, hooks=[hook], http_cache=True)
    for _ in range(2):
        await client.call_api(URL)
    assert wire.sends == 2


@pytest.mark.parametrize("method", [None, "TRACE", "GE T"])
async def test_a_method_that_may_not_be_sent_is_not_sent(method: Any) -> None:
    wire = FakeTransport()
    with pytest.raises(ApiConfigurationError):
        await ApiClient(wire, hooks=[changing(method=method)]).call_api(URL)
    assert wire.sends == 0


async def test_what_is_taken_of_the_answer_may_be_changed() -> None:
    wire = FakeTransport(otherwise={"data": {"id": "7"}, "other": 1})
    client = ApiClient(wire, hooks=[changing(response_key="data.id", model=int)])
    assert await client.call_api(URL, response_key="other") == 7


@pytest.mark.parametrize("fields", [{"response_key": 5}, {"response_key": "a[0"}, {"model": object()}])
async def test_a_wrong_change_of_it_is_said_before_anything_is_sent(fields: dict[str, Any]) -> None:
    wire = FakeTransport()
    with pytest.raises((ApiConfigurationError, ApiValidationError), match=next(iter(fields)) + "|dotted"):
        await ApiClient(wire, hooks=[changing(**fields)]).call_api(URL)
    assert wire.sends == 0


@virtual_time
async def test_the_time_limit_stays_the_callers() -> None:
    with pytest.raises(ApiTimeoutError) as caught:
        wire = FakeTransport(otherwise=Hold())
        strategy = RetryRequestStrategy(http=wire, hooks=[changing(timeout=1)], max_retries=0)
        await ApiClient(strategy=strategy).call_api(URL, timeout=5)
    assert caught.value.limit == 5


@pytest.mark.parametrize("field", ["json_payload", "data", "params"])
@virtual_time
async def test_changes_in_place_stay_within_their_attempt(field: str) -> None:
    class Adds(BaseRequestHook):
        async def before(self, request: Any) -> None:
            getattr(request, field)["n"] = 1
            getattr(request, field)["list"].append("added")

    wire = FakeTransport(otherwise=in_turn(500, {"ok": True}))
    mine: dict[str, Any] = {"list": ["mine"]}
    strategy = RetryRequestStrategy(http=wire, hooks=[Adds()], backoff=0)
    body: dict[str, Any] = {field: mine}
    await ApiClient(strategy=strategy).call_api(URL, "PUT", **body)
    assert mine == {"list": ["mine"]}
    sent = [str(request.url) + str(request.body) for request in wire.calls]
    assert sent[0] == sent[1] and sent[0].count("added") == 1


def test_a_copy_for_one_attempt_is_deep_and_leaves_objects_alone() -> None:
    thing = object()
    tree: dict[str, Any] = {"a": [({"b": 1}, thing)], "o": OrderedDict(z=[1])}
    copy = ApiRequestModel(url=URL, json_payload=tree).copied()
    assert copy.json_payload == tree and isinstance(copy.json_payload["o"], OrderedDict)
    assert copy.json_payload["a"][0][0] is not tree["a"][0][0]
    assert copy.json_payload["o"]["z"] is not tree["o"]["z"]
    assert copy.json_payload["a"][0][1] is thing


# -- hooks of any shape ----------------------------------------------------------------------------------


@BOTH
async def test_plain_methods_and_after_alone_will_do(how: str) -> None:
    seen: list[Any] = []

    class Plain:
        def before(self, request: Any) -> None:
            request.headers = {**(request.headers or {}), "X-Plain": "1"}

    class AfterOnly:
        def after(self, request: Any, response: Any) -> None:
            seen.append(response)

    wire = FakeTransport(otherwise={"n": 1})
    await call(ApiClient(wire, hooks=[Plain(), AfterOnly()]), how)
    assert wire.calls[0].headers["X-Plain"] == "1" and seen == [{"n": 1}]
